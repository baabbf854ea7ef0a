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
/// Strongly consistent tables don't reach beyond one of these sets.
const STRONG_SETS: [&[&str]; 3] = [
    &["us-east-1", "us-east-2", "us-west-2"],
    &["eu-central-1", "eu-west-1", "eu-west-2", "eu-west-3"],
    &["ap-northeast-1", "ap-northeast-2", "ap-northeast-3"],
];
const WRITE_CAPACITY: &str = "WriteProvisionedThroughputSettings";

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

/// A region holds one replica of a table.
pub(super) fn a_region_has_one_replica(_: &Context<'_>, table: &Declaration, found: &mut Vec<Violation>) {
    let replicas = items(table, "Replicas");
    for (index, region) in replicas.iter().enumerate().filter_map(|(index, one)| Some((index, one["Region"].as_str()?)))
    {
        if replicas[..index].iter().any(|earlier| earlier["Region"] == region) {
            found.push(
                Violation::new("global-table-replicas", format!("{region} has another replica already"))
                    .of(table)
                    .at(format!("Replicas/{index}/Region"))
                    .hint("declare each region once"),
            );
        }
    }
}

/// A witness takes part in deciding on writes, which only strong consistency needs, and holds no replica.
pub(super) fn a_witness_belongs_to_strong_consistency(
    _: &Context<'_>,
    table: &Declaration,
    found: &mut Vec<Violation>,
) {
    let witnesses = items(table, "GlobalTableWitnesses");
    if !witnesses.is_empty() && !is_strong(table) {
        found.push(
            Violation::new("global-table-consistency", "has a witness without being strongly consistent")
                .of(table)
                .at("GlobalTableWitnesses")
                .hint("set `MultiRegionConsistency` to `STRONG`, or leave the witness out"),
        );
    }
    for (index, region) in
        witnesses.iter().enumerate().filter_map(|(index, one)| Some((index, one["Region"].as_str()?)))
    {
        if items(table, "Replicas").iter().any(|replica| replica["Region"] == region) {
            found.push(
                Violation::new("global-table-consistency", format!("the witness is in {region}, beside a replica"))
                    .of(table)
                    .at(format!("GlobalTableWitnesses/{index}/Region"))
                    .hint("put the witness into a region without a replica"),
            );
        }
    }
}

/// Strongly consistent tables have no time to live and no local indexes, and stay within one set of regions.
pub(super) fn strong_consistency_excludes_features(_: &Context<'_>, table: &Declaration, found: &mut Vec<Violation>) {
    if !is_strong(table) {
        return;
    }
    let mut report = |path: &str, message: String, hint: &str| {
        found.push(Violation::new("global-table-consistency", message).of(table).at(path).hint(hint));
    };
    if property(table, "TimeToLiveSpecification/Enabled").is_some_and(|enabled| enabled != false) {
        let message = "is strongly consistent, which excludes a time to live".to_owned();
        report("TimeToLiveSpecification", message, "leave it out and delete old rows by a program");
    }
    if !items(table, "LocalSecondaryIndexes").is_empty() {
        let message = "is strongly consistent, which excludes local indexes".to_owned();
        report("LocalSecondaryIndexes", message, "use a global index");
    }
    let members = items(table, "Replicas").iter().chain(items(table, "GlobalTableWitnesses"));
    let regions: Vec<&str> = members.filter_map(|one| one["Region"].as_str()).collect();
    let set_of = |region: &str| STRONG_SETS.iter().position(|set| set.contains(&region));
    let sets: BTreeSet<Option<usize>> = regions.iter().map(|region| set_of(region)).collect();
    if sets.len() > 1 || sets.contains(&None) {
        let message = format!("is strongly consistent over {}, which are not of one set", regions.join(", "));
        let known = STRONG_SETS.map(|set| set.join(", ")).join("; or ");
        report("Replicas", message, &format!("take regions of one set: {known}"));
    }
}

/// A key serves its own region: each replica names one of its region, and the table says that keys are used at all.
pub(super) fn each_replica_has_a_key_of_its_region(_: &Context<'_>, table: &Declaration, found: &mut Vec<Violation>) {
    let replicas = items(table, "Replicas");
    let key_of = |replica: &'_ Json| replica.pointer("/SSESpecification/KMSMasterKeyId").cloned();
    for (index, replica) in replicas.iter().enumerate() {
        let Some(key) = key_of(replica) else { continue };
        let path = format!("Replicas/{index}/SSESpecification/KMSMasterKeyId");
        let region = replica["Region"].as_str().unwrap_or("its region");
        let foreign = key.as_str().and_then(|arn| arn.split(':').nth(3)).filter(|named| *named != region);
        let shared = replicas[..index].iter().any(|earlier| key_of(earlier).as_ref() == Some(&key));
        let message = match (foreign, shared) {
            (Some(foreign), _) => format!("the replica in {region} has a key of {foreign}"),
            (None, true) => format!("the replica in {region} has the key of another replica"),
            (None, false) => continue,
        };
        found.push(
            Violation::new("global-table-key", message)
                .of(table)
                .at(path)
                .hint("make a replica of the key in each region, and name it here"),
        );
    }
    let own_keys = replicas.iter().any(|replica| key_of(replica).is_some());
    if own_keys && property(table, "SSESpecification/SSEType").is_none_or(|kind| kind != "KMS") {
        found.push(
            Violation::new("global-table-key", "its replicas name keys, but the table does not use any")
                .of(table)
                .at("SSESpecification")
                .hint("set `SSEEnabled` to `true` and `SSEType` to `KMS`"),
        );
    }
}

/// A replica's settings of an index are about an index that the table has.
pub(super) fn replicas_know_the_indexes(_: &Context<'_>, table: &Declaration, found: &mut Vec<Violation>) {
    let known: Vec<&Json> = items(table, "GlobalSecondaryIndexes").iter().map(|index| &index["IndexName"]).collect();
    for (replica, settings) in items(table, "Replicas").iter().enumerate() {
        let indexes = settings["GlobalSecondaryIndexes"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (index, name) in indexes.iter().enumerate().map(|(index, one)| (index, &one["IndexName"])) {
            if name.is_string() && !known.contains(&name) {
                found.push(
                    Violation::new("global-table-index", format!("the table has no index {name}"))
                        .of(table)
                        .at(format!("Replicas/{replica}/GlobalSecondaryIndexes/{index}/IndexName"))
                        .hint("declare it under `GlobalSecondaryIndexes` of the table"),
                );
            }
        }
    }
}

/// Provisioned tables say how much is written, for the table and each index; others must not.
pub(super) fn capacity_fits_the_billing_mode(_: &Context<'_>, table: &Declaration, found: &mut Vec<Violation>) {
    // Provisioned is what CloudFormation takes where nothing is said.
    let Some(mode) = property(table, "BillingMode").map_or(Some("PROVISIONED"), Json::as_str) else { return };
    let indexes = items(table, "GlobalSecondaryIndexes").iter().enumerate();
    let places = indexes.map(|(index, one)| (format!("GlobalSecondaryIndexes/{index}/"), one));
    let own = Json::Object(table.properties().as_map().clone());
    for (prefix, place) in places.chain([(String::new(), &own)]) {
        let set = place.get(WRITE_CAPACITY).is_some();
        let message = match mode {
            "PAY_PER_REQUEST" if set => "is paid by request and has a write capacity",
            "PROVISIONED" if !set => "is provisioned and does not say how much is written",
            _ => continue,
        };
        found.push(
            Violation::new("global-table-capacity", message)
                .of(table)
                .at(format!("{prefix}{WRITE_CAPACITY}"))
                .hint("set it together with `BillingMode` `PROVISIONED`, or neither"),
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
