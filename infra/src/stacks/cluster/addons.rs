//! Add-ons, which Amazon maintains for the cluster's version; none is pinned, so an update of the cluster takes the
//! version that goes with it.

use cfn::eks::addon::{PodIdentityAssociation, ResolveConflicts};
use cfn::eks::{Addon, Cluster, Nodegroup};
use cfn::{Handle, Resource, iam};
use serde_json::{Value as Json, json};

use super::control_plane::managed_policy;
use super::name;
use crate::constructs::{Scope, role};

/// Adds what every node needs before it is ready. Its pods run on the node's own network.
pub(super) fn add_early(scope: &mut Scope<'_>, cluster: &Handle<Cluster>) -> [Handle<Addon>; 3] {
    // The agent comes first: the network plugin gets its role from it.
    let agent = scope.add("PodIdentityAddon", addon(cluster, "eks-pod-identity-agent"));
    let role = network_role(scope);
    // Without this setting network policies are accepted and nothing enforces them.
    let settings = json!({"enableNetworkPolicy": "true"});
    let network = configured(addon(cluster, "vpc-cni"), &settings)
        .pod_identity_associations([PodIdentityAssociation::new(role.arn(), "aws-node")])
        .depends_on(&agent);
    let network = scope.add("NetworkAddon", network);
    let proxy = scope.add("ProxyAddon", addon(cluster, "kube-proxy"));
    [agent, network, proxy]
}

/// Adds what runs on nodes like any other pod; without nodes its creation would never end.
pub(super) fn add_late(scope: &mut Scope<'_>, cluster: &Handle<Cluster>, nodes: &Handle<Nodegroup>) {
    let late = [
        ("DnsAddon", "coredns"),
        // The autoscaler of pods asks it for processor and memory.
        ("MetricsAddon", "metrics-server"),
        // Mounts secrets into pods, with the pod's own role.
        ("SecretsAddon", "aws-secrets-store-csi-driver-provider"),
    ];
    for (logical_id, name) in late {
        scope.add(logical_id, addon(cluster, name).depends_on(nodes));
    }
}

fn addon(cluster: &Handle<Cluster>, name: &str) -> Addon {
    // What somebody set by hand during an incident outlives the next deployment.
    Addon::new(name, cluster.reference()).resolve_conflicts(ResolveConflicts::Preserve)
}

fn configured(addon: Addon, settings: &Json) -> Addon {
    addon.configuration_values(settings.to_string())
}

/// The network plugin's role: it attaches interfaces and addresses to nodes.
fn network_role(scope: &mut Scope<'_>) -> Handle<iam::Role> {
    let trust = role::trust_pods(scope, &name(scope.environment));
    let role_name = format!("{}-{}", scope.environment.name("network-plugin"), scope.region);
    let description = format!("gives nodes and pods of the cluster in {} their addresses", scope.region);
    role::draft([trust], "network", [])
        .with(|role| {
            role.role_name(role_name)
                .description(description)
                .managed_policy_arns([managed_policy("AmazonEKS_CNI_Policy")])
        })
        .accepting(&[("iam-managed", "AWS keeps it in step with what the plugin's versions call")])
        .add(scope, "NetworkPluginRole")
}
