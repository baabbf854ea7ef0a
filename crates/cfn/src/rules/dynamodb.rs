//! Tables: CloudFormation's template reference of both table types, and the DynamoDB developer guide on global tables.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::{Context, items, property};
use crate::check::Violation;
use crate::template::Declaration;

/// Settings that protect or mark data and belong to each replica by itself: it is easy to protect one region only.
const SET_ALIKE: [&str; 5] = [
    "DeletionProtectionEnabled",
    "PointInTimeRecoverySpecification",
    "SSESpecification",
    "ContributorInsightsSpecification",
    "Tags",
];
/// The one of them that differs by nature: each replica has a key of its own region.
const OWN_KEY: &str = "SSESpecification";
/// Regions, replicas and witness together, that strongly consistent replication runs in.
const STRONG_REGIONS: usize = 3;

/// CloudFormation makes the table in the stack's region, so that region has to be among the replicas.
pub(super) fn own_region_is_a_replica(context: &Context<'_>, table: &Declaration, found: &mut Vec<Violation>) {
    let replicas = items(table, "Replicas");
    let regions: Vec<&str> = replicas.iter().filter_map(|replica| replica["Region"].as_str()).collect();
    let all_known = regions.len() == replicas.len() && !replicas.is_empty();
    if all_known && !regions.contains(&context.region) {
        let message = format!("is declared in {}, which is not among its replicas", context.region);
        found.push(
            Violation::new("global-table-region", message)
                .of(table)
                .at("Replicas")
                .hint("declare the table once, in the region of one of its replicas"),
        );
    }
}

/// A setting that one replica has and another lacks, or has otherwise, is a forgotten region.
pub(super) fn replicas_are_set_alike(_: &Context<'_>, table: &Declaration, found: &mut Vec<Violation>) {
    let replicas = items(table, "Replicas");
    for setting in SET_ALIKE {
        let set_somewhere = replicas.iter().any(|replica| replica.get(setting).is_some());
        for (index, replica) in replicas.iter().enumerate().filter(|_| set_somewhere) {
            if replica.get(setting).is_none() {
                let region = replica["Region"].as_str().unwrap_or("one region");
                found.push(
                    Violation::new(
                        "global-table-replicas",
                        format!("`{setting}` is set in another replica, not in {region}"),
                    )
                    .of(table)
                    .at(format!("Replicas/{index}/{setting}"))
                    .hint("build all replicas by one function"),
                );
            } else if setting != OWN_KEY && replica.get(setting) != replicas[0].get(setting) {
                let region = replica["Region"].as_str().unwrap_or("one region");
                found.push(
                    Violation::new(
                        "global-table-replicas",
                        format!("`{setting}` is not the same in {region} as in the first replica"),
                    )
                    .of(table)
                    .at(format!("Replicas/{index}/{setting}"))
                    .hint("build all replicas by one function"),
                );
            }
        }
    }
}

/// Replication between regions runs over a stream with both images, except if it is strongly consistent.
pub(super) fn replication_needs_a_stream(_: &Context<'_>, table: &Declaration, found: &mut Vec<Violation>) {
    if items(table, "Replicas").len() < 2 || is_strong(table) {
        return;
    }
    let view = property(table, "StreamSpecification/StreamViewType");
    if view.is_none() || view.and_then(Json::as_str).is_some_and(|view| view != "NEW_AND_OLD_IMAGES") {
        found.push(
            Violation::new("global-table-stream", "has several replicas and no stream with new and old images")
                .of(table)
                .at("StreamSpecification")
                .hint("set `StreamViewType` to `NEW_AND_OLD_IMAGES`"),
        );
    }
}

/// Strong consistency runs in exactly three regions: three replicas, or two and a witness.
pub(super) fn strong_consistency_needs_three_regions(_: &Context<'_>, table: &Declaration, found: &mut Vec<Violation>) {
    if !is_strong(table) {
        return;
    }
    let (replicas, witnesses) = (items(table, "Replicas").len(), items(table, "GlobalTableWitnesses").len());
    if replicas + witnesses != STRONG_REGIONS || witnesses > 1 {
        let message = format!("is strongly consistent with {replicas} replicas and {witnesses} witnesses");
        found.push(
            Violation::new("global-table-consistency", message)
                .of(table)
                .at("MultiRegionConsistency")
                .hint("it takes three replicas, or two replicas and one witness"),
        );
    }
}

/// DynamoDB wants exactly those attributes defined that are part of a key.
pub(super) fn keys_are_defined(_: &Context<'_>, table: &Declaration, found: &mut Vec<Violation>) {
    let defined: Vec<&str> =
        items(table, "AttributeDefinitions").iter().filter_map(|one| one["AttributeName"].as_str()).collect();
    let mut keys: Vec<(String, &[Json])> = vec![("KeySchema".to_owned(), items(table, "KeySchema"))];
    for list in ["GlobalSecondaryIndexes", "LocalSecondaryIndexes"] {
        for (index, one) in items(table, list).iter().enumerate() {
            let schema = one["KeySchema"].as_array().map(Vec::as_slice).unwrap_or_default();
            keys.push((format!("{list}/{index}/KeySchema"), schema));
        }
    }
    let mut used: BTreeSet<&str> = BTreeSet::new();
    for (path, schema) in keys {
        for (index, key) in schema.iter().enumerate() {
            let Some(name) = key["AttributeName"].as_str() else {
                continue;
            };
            used.insert(name);
            if !defined.contains(&name) {
                let message = format!("`{name}` is part of a key and not among the attribute definitions");
                found.push(Violation::new("attribute-definitions", message).of(table).at(format!("{path}/{index}")));
            }
        }
    }
    // The schema of a vector index may name attributes that are part of no key.
    if !items(table, "VectorIndexes").is_empty() {
        return;
    }
    for (index, name) in defined.iter().enumerate().filter(|(_, name)| !used.contains(**name)) {
        found.push(
            Violation::new("attribute-definitions", format!("`{name}` is part of no key"))
                .of(table)
                .at(format!("AttributeDefinitions/{index}"))
                .hint("only key attributes are defined; leave the others out"),
        );
    }
}

fn is_strong(table: &Declaration) -> bool {
    property(table, "MultiRegionConsistency").and_then(Json::as_str) == Some("STRONG")
}
