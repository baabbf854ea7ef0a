//! Which removal policies CloudFormation takes where.
//!
//! Sources: "DeletionPolicy attribute" and "UpdateReplacePolicy attribute" in the CloudFormation user guide.

use super::Violation;
use crate::resource::RemovalPolicy;
use crate::template::{Declaration, Template};

/// Types of which a snapshot can be taken.
const WITH_SNAPSHOTS: [&str; 8] = [
    "AWS::DocDB::DBCluster",
    "AWS::EC2::Volume",
    "AWS::ElastiCache::CacheCluster",
    "AWS::ElastiCache::ReplicationGroup",
    "AWS::Neptune::DBCluster",
    "AWS::RDS::DBCluster",
    "AWS::RDS::DBInstance",
    "AWS::Redshift::Cluster",
];

pub(super) fn check(template: &Template, found: &mut Vec<Violation>) {
    for declaration in template.resources() {
        found.extend(judge(declaration, "DeletionPolicy", declaration.deletion_policy()));
        found.extend(judge(declaration, "UpdateReplacePolicy", declaration.update_replace_policy()));
    }
}

fn judge(declaration: &Declaration, option: &'static str, policy: Option<RemovalPolicy>) -> Option<Violation> {
    let (message, hint) = match policy? {
        // Nothing is replaced while it is created.
        RemovalPolicy::RetainExceptOnCreate if option == "UpdateReplacePolicy" => {
            ("`RetainExceptOnCreate` is for `DeletionPolicy` only".to_owned(), "set `Retain`")
        }
        RemovalPolicy::Snapshot if !WITH_SNAPSHOTS.contains(&declaration.type_name()) => {
            (format!("no snapshot can be taken of `{}`", declaration.type_name()), "set `Retain` or `Delete`")
        }
        _ => return None,
    };
    Some(Violation::new("removal-policy", message).of(declaration).at(option).hint(hint))
}
