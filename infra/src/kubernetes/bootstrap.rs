//! What limits the consumer and its deployments, and isn't theirs to change: applied by an administrator.

use k8s_openapi::api::core::v1::{
    LimitRange, LimitRangeItem, LimitRangeSpec, Namespace, ResourceQuota, ResourceQuotaSpec,
};
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::deployment::{LIMITS, REQUESTS};
use super::{Folder, Manifest, NAMESPACE, shared_metadata, texts, unbound_metadata};
use crate::environment::Environment;
use crate::stacks::cluster::{DEPLOYERS, READERS};

/// Kinds of the consumer's manifests that Kubernetes itself doesn't have, so that Amazon's access policies don't know
/// them: API group and resources.
const CUSTOM_KINDS: [(&str, &[&str]); 2] = [
    ("monitoring.coreos.com", &["podmonitors", "prometheusrules"]),
    ("secrets-store.csi.x-k8s.io", &["secretproviderclasses"]),
];

const ASK: &[&str] = &["get", "list", "watch"];
const MANAGE: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];

pub(super) fn manifests(environment: &Environment) -> Vec<Manifest> {
    let mut manifests = vec![
        bootstrap("namespace.yaml", &namespace(environment)),
        bootstrap("resource-quota.yaml", &resource_quota(environment)),
        bootstrap("limit-range.yaml", &limit_range()),
    ];
    for (name, group, verbs) in [("deployers", DEPLOYERS, MANAGE), ("readers", READERS, ASK)] {
        manifests.push(bootstrap(&format!("role-{name}.yaml"), &role(name, verbs)));
        manifests.push(bootstrap(&format!("role-binding-{name}.yaml"), &role_binding(name, group)));
    }
    manifests
}

fn bootstrap(file: &str, object: &impl serde::Serialize) -> Manifest {
    Manifest::new(Folder::Bootstrap, file, object)
}

/// Refuses, tells and records every pod that isn't restricted, by the rules of the cluster's own version.
fn namespace(environment: &Environment) -> Namespace {
    let version = format!("v{}", environment.cluster().version);
    let mut metadata = unbound_metadata(NAMESPACE);
    let labels = metadata.labels.get_or_insert_default();
    for mode in ["audit", "enforce", "warn"] {
        labels.insert(format!("pod-security.kubernetes.io/{mode}"), "restricted".to_owned());
        labels.insert(format!("pod-security.kubernetes.io/{mode}-version"), version.clone());
    }
    Namespace { metadata, ..Namespace::default() }
}

/// Room for twice the most pods: during a rollout as many may be on their way out as run.
fn resource_quota(environment: &Environment) -> ResourceQuota {
    let pods = 2 * environment.consumer().max_replicas;
    let (limits, requests) = (LIMITS.times(pods), REQUESTS.times(pods));
    let hard = [
        ("limits.cpu", limits.processors()),
        ("limits.memory", limits.memory()),
        ("pods", pods.to_string()),
        ("requests.cpu", requests.processors()),
        ("requests.memory", requests.memory()),
        // Nothing here is reached from outside.
        ("services.loadbalancers", "0".to_owned()),
        ("services.nodeports", "0".to_owned()),
    ];
    let hard = hard.into_iter().map(|(name, value)| (name.to_owned(), Quantity(value))).collect();
    ResourceQuota {
        metadata: shared_metadata("tandem"),
        spec: Some(ResourceQuotaSpec { hard: Some(hard), ..ResourceQuotaSpec::default() }),
        ..ResourceQuota::default()
    }
}

/// A container that says nothing gets what the consumer has; none gets more.
fn limit_range() -> LimitRange {
    let container = LimitRangeItem {
        type_: "Container".to_owned(),
        default: Some(LIMITS.quantities()),
        default_request: Some(REQUESTS.quantities()),
        max: Some(LIMITS.quantities()),
        ..LimitRangeItem::default()
    };
    LimitRange { metadata: shared_metadata("tandem"), spec: Some(LimitRangeSpec { limits: vec![container] }) }
}

fn role(name: &str, verbs: &[&str]) -> Role {
    let rules = CUSTOM_KINDS.map(|(group, resources)| PolicyRule {
        api_groups: Some(texts([group])),
        resources: Some(texts(resources.iter().copied())),
        verbs: texts(verbs.iter().copied()),
        ..PolicyRule::default()
    });
    Role { metadata: shared_metadata(name), rules: Some(rules.into()) }
}

/// Gives a role to a group that access entries of the `cluster` stack put people and GitHub in.
fn role_binding(name: &str, group: &str) -> RoleBinding {
    let api_group = "rbac.authorization.k8s.io".to_owned();
    RoleBinding {
        metadata: shared_metadata(name),
        role_ref: RoleRef { api_group: api_group.clone(), kind: "Role".to_owned(), name: name.to_owned() },
        subjects: Some(vec![Subject {
            api_group: Some(api_group),
            kind: "Group".to_owned(),
            name: group.to_owned(),
            namespace: None,
        }]),
    }
}
