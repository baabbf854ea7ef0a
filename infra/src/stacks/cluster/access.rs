//! Who may do what in the cluster: people and GitHub by access entries, the consumer by its pod identity.
//!
//! Amazon's policies know neither the kinds that add-ons define nor limits to single objects; what the groups may do
//! besides is said by roles in [`crate::kubernetes`], which an administrator applies once.

use cfn::eks::access_entry::{AccessPolicy, AccessScope, AccessScopeType};
use cfn::eks::{AccessEntry, Cluster, PodIdentityAssociation};
use cfn::{Handle, Value};

use super::{DEPLOYERS, NAMESPACE, READERS, SERVICE_ACCOUNT};
use crate::constructs::Scope;
use crate::constructs::policy::pascal_case;

/// Adds access entries and the consumer's identity.
pub(super) fn add(scope: &mut Scope<'_>, cluster: &Handle<Cluster>) {
    let environment = scope.environment;
    for arn in &environment.cluster().administrators {
        let policy =
            AccessPolicy::new(AccessScope::new(AccessScopeType::Cluster), access_policy("AmazonEKSClusterAdminPolicy"));
        let entry = AccessEntry::new(cluster.reference(), arn.as_str()).access_policies([policy]);
        scope.add(&administrator_id(arn), entry);
    }
    // The roles are made by the `access` stack, and only for GitHub.
    if environment.github().is_some() {
        let entries = [
            ("DeployAccess", "deploy", DEPLOYERS, "AmazonEKSEditPolicy"),
            ("ReaderAccess", "reader", READERS, "AmazonEKSViewPolicy"),
        ];
        for (logical_id, role, group, policy) in entries {
            let namespace = AccessScope::new(AccessScopeType::Namespace).namespaces([NAMESPACE]);
            let role = scope.global_arn("iam", &format!("role/{}", environment.name(role)));
            let entry = AccessEntry::new(cluster.reference(), role)
                .access_policies([AccessPolicy::new(namespace, access_policy(policy))])
                .kubernetes_groups([group]);
            scope.add(logical_id, entry);
        }
    }
    consumer_identity(scope, cluster);
}

/// Pods of the consumer's service account get the role that the `events` stack made for them.
fn consumer_identity(scope: &mut Scope<'_>, cluster: &Handle<Cluster>) {
    // EKS refuses a role that doesn't exist.
    scope.after("events", scope.region);
    let role = format!("role/{}-{}", scope.environment.name("consumer"), scope.region);
    let role = Value::from_json(scope.global_arn("iam", &role).into_inner());
    scope.add("ConsumerIdentity", PodIdentityAssociation::new(cluster.reference(), NAMESPACE, role, SERVICE_ACCOUNT));
}

/// Named for the role and not numbered: a principal has one entry, so an entry that only moved to another logical id
/// would meet itself.
fn administrator_id(arn: &str) -> String {
    let words = arn.splitn(5, ':').last().unwrap_or_default().replacen(":role/", "-", 1);
    let words: String = words.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    format!("Administrator{}", pascal_case(&words))
}

/// The ARN of an access policy, which Amazon maintains.
fn access_policy(name: &str) -> Value<String> {
    cfn::sub(&format!("arn:${{AWS::Partition}}:eks::aws:cluster-access-policy/{name}"))
}
