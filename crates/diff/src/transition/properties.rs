//! Properties whose change is dangerous by itself, in a table.

use super::{Context, Found};
use crate::model::{Class, PropertyChange, Provenance, Replacement, Severity, code};

/// A property that is dangerous to change.
struct Dangerous {
    rule: &'static str,
    severity: Severity,
    resource_type: &'static str,
    /// Top-level properties; empty for any.
    properties: &'static [&'static str],
    /// Setting it where it wasn't set is harmless.
    may_be_set: bool,
    what: &'static str,
    safe_path: &'static str,
}

const IN_TWO: &str = "add the new one under another logical id and name, move what uses it, then remove the old one";

const DANGEROUS: &[Dangerous] = &[
    Dangerous {
        rule: "event-source-mapping-conflict",
        severity: Severity::Refused,
        resource_type: "AWS::Lambda::EventSourceMapping",
        properties: &["EventSourceArn", "StartingPosition", "StartingPositionTimestamp"],
        may_be_set: false,
        what: "the new mapping is made before the old one goes, and Lambda answers 409 if function and source are mapped",
        safe_path: "remove the mapping in one deployment and add it in the next, or map an alias of the function",
    },
    Dangerous {
        rule: "lambda-permission-gap",
        severity: Severity::Warning,
        resource_type: "AWS::Lambda::Permission",
        properties: &[],
        may_be_set: false,
        what: "permissions have no update: while the new one is made, calls can be refused",
        safe_path: "add the new permission beside the old one, and remove that in a later deployment",
    },
    Dangerous {
        rule: "cluster-replaced",
        severity: Severity::Refused,
        resource_type: "AWS::EKS::Cluster",
        properties: &["EncryptionConfig", "Name", "RoleArn"],
        may_be_set: false,
        what: "the cluster is made anew, with everything that runs in it",
        safe_path: "give the existing role what it needs; for another name or key move the load to a second cluster",
    },
    Dangerous {
        rule: "event-bus-renamed",
        severity: Severity::NeedsSequence,
        resource_type: "AWS::Events::EventBus",
        properties: &["Name"],
        may_be_set: false,
        what: "another bus is made, and what is published to the old one in between is lost to the new one's rules",
        safe_path: IN_TWO,
    },
    Dangerous {
        rule: "stream-changes",
        severity: Severity::NeedsSequence,
        resource_type: "AWS::DynamoDB::GlobalTable",
        properties: &["StreamSpecification"],
        may_be_set: true,
        what: "the stream gets another ARN, and its consumers lose their place",
        safe_path: "stop writing, let consumers finish, change the stream, and make their mappings anew",
    },
    Dangerous {
        rule: "stream-changes",
        severity: Severity::NeedsSequence,
        resource_type: "AWS::DynamoDB::Table",
        properties: &["StreamSpecification"],
        may_be_set: true,
        what: "the stream gets another ARN, and its consumers lose their place",
        safe_path: "stop writing, let consumers finish, change the stream, and make their mappings anew",
    },
    Dangerous {
        rule: "table-keys-change",
        severity: Severity::Refused,
        resource_type: "AWS::DynamoDB::GlobalTable",
        properties: &["KeySchema", "LocalSecondaryIndexes"],
        may_be_set: false,
        what: "keys of a table can't change: another, empty table takes its place",
        safe_path: "make a second table, copy the rows, switch over, and remove the old one later",
    },
    Dangerous {
        rule: "table-keys-change",
        severity: Severity::Refused,
        resource_type: "AWS::DynamoDB::Table",
        properties: &["KeySchema", "LocalSecondaryIndexes"],
        may_be_set: false,
        what: "keys of a table can't change: another, empty table takes its place",
        safe_path: "make a second table, copy the rows, switch over, and remove the old one later",
    },
    Dangerous {
        rule: "api-replaced",
        severity: Severity::NeedsSequence,
        resource_type: "AWS::ApiGatewayV2::Api",
        properties: &["ProtocolType"],
        may_be_set: false,
        what: "another API is made, with another address",
        safe_path: IN_TWO,
    },
    Dangerous {
        rule: "authorizer-replaced",
        severity: Severity::NeedsSequence,
        resource_type: "AWS::ApiGatewayV2::Authorizer",
        properties: &["ApiId"],
        may_be_set: false,
        what: "the authorizer is made anew for another API, and routes still name the old one",
        safe_path: IN_TWO,
    },
    Dangerous {
        rule: "stage-replaced",
        severity: Severity::NeedsSequence,
        resource_type: "AWS::ApiGatewayV2::Stage",
        properties: &["ApiId", "StageName"],
        may_be_set: false,
        what: "the stage is made anew under another path, and mappings still name the old one",
        safe_path: IN_TWO,
    },
    Dangerous {
        rule: "replica-key-replaced",
        severity: Severity::Refused,
        resource_type: "AWS::KMS::ReplicaKey",
        properties: &["PrimaryKeyArn"],
        may_be_set: false,
        what: "another key takes its place, which can't read what the old one encrypted",
        safe_path: "add a replica of the new key under another logical id, encrypt anew, and remove the old one later",
    },
    Dangerous {
        rule: "network-replaced",
        severity: Severity::NeedsSequence,
        resource_type: "AWS::EC2::VPC",
        properties: &["CidrBlock"],
        may_be_set: false,
        what: "another network is made, and everything in the old one has to move",
        safe_path: "add a secondary block to the network, or build a second network and move what is in it",
    },
    Dangerous {
        rule: "subnet-replaced",
        severity: Severity::NeedsSequence,
        resource_type: "AWS::EC2::Subnet",
        properties: &["AvailabilityZone", "AvailabilityZoneId", "CidrBlock"],
        may_be_set: false,
        what: "another subnet is made before the old one goes: blocks must not overlap, and what is in it has to move",
        safe_path: "add a subnet with a free block, move what uses the old one, then remove that",
    },
];

/// The names of the table's rules.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    DANGEROUS.iter().map(|entry| entry.rule)
}

/// Looks every change of a property up in the table.
pub(super) fn check(context: &Context<'_>, report: &mut dyn FnMut(&'static str, Found)) {
    for diff in context.resources.values() {
        if matches!(diff.class, Class::Added | Class::Removed | Class::Orphaned | Class::Imported | Class::Drifted) {
            continue;
        }
        for entry in DANGEROUS.iter().filter(|entry| entry.resource_type == diff.resource_type) {
            let concerns = |top: &str| entry.properties.is_empty() || entry.properties.contains(&top);
            let mut changes = diff.properties.iter().filter(|change| {
                let is_live = change.sources == [Provenance::Live];
                let is_harmless = entry.may_be_set && change.before.is_none();
                !is_live
                    && !is_harmless
                    && !is_denied(&diff.resource_type, change)
                    && concerns(change.path.split('/').next().unwrap_or_default())
            });
            let Some(first) = changes.next() else { continue };
            let is_sure = !first.is_possible || changes.any(|change| !change.is_possible);
            report(
                entry.rule,
                Found {
                    severity: if is_sure { entry.severity } else { Severity::Warning },
                    subject: Some(diff.logical_id.clone()),
                    message: format!(
                        "{} of {} {}: {}",
                        code(&first.path),
                        code(&diff.logical_id),
                        if is_sure { "changes" } else { "may change" },
                        entry.what
                    ),
                    safe_path: entry.safe_path.to_owned(),
                },
            );
        }
    }
}

/// Whether the schema says that the change may replace the resource, and the change set that it doesn't.
fn is_denied(resource_type: &str, change: &PropertyChange) -> bool {
    let by_schema = cfn::describe(resource_type).map(|description| description.replacement(&change.path));
    change.replacement == Replacement::Never && by_schema.is_some_and(|by_schema| by_schema != cfn::Replacement::Never)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_names_what_the_schema_has() {
        for entry in DANGEROUS {
            let description = cfn::describe(entry.resource_type).expect("a vendored type");
            for property in entry.properties {
                assert!(description.property(property).is_some(), "{property} of {}", entry.resource_type);
            }
        }
    }
}
