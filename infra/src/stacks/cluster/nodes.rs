//! Node groups: on-demand nodes for what must not be interrupted, spot nodes for what says that it may be.
//!
//! Bottlerocket has no shell and no package manager, and its root is read-only; nobody logs in to a node.
//! Patches come when the cluster's version changes, or by `aws eks update-nodegroup-version`.

use cfn::ec2::launch_template::{
    BlockDeviceMapping, Ebs, HttpEndpoint, HttpTokens, InstanceMetadataTags, LaunchTemplateData,
    LaunchTemplateTagSpecification, MetadataOptions, ResourceType, TagSpecification, VolumeType,
};
use cfn::ec2::{LaunchTemplate, Subnet};
use cfn::eks::nodegroup::{
    AmiType, CapacityType, Effect, LaunchTemplateSpecification, NodeRepairConfig, ScalingConfig, Taint, UpdateConfig,
};
use cfn::eks::{Addon, Cluster, Nodegroup};
use cfn::{Arn, Declared, Handle, Id, Value, iam, kms};

use super::CAPACITY_LABEL;
use super::control_plane::managed_policy;
use crate::constructs::policy::Statement;
use crate::constructs::{Scope, role};
use crate::environment::NodeGroupSettings;

/// Bottlerocket's volume of the system; its size is the image's.
const SYSTEM_VOLUME: &str = "/dev/xvda";

/// Bottlerocket's volume of images, containers and logs.
const DATA_VOLUME: &str = "/dev/xvdb";

/// GiB for images, containers and logs of a node.
const DATA_VOLUME_GIB: u32 = 50;

/// Adds both node groups after the add-ons `early`; gives the on-demand one.
pub(super) fn add(
    scope: &mut Scope<'_>,
    cluster: &Handle<Cluster>,
    key: &Value<Arn<kms::Key>>,
    subnets: &[Value<Id<Subnet>>],
    early: &[Handle<Addon>],
) -> Handle<Nodegroup> {
    let role = role(scope);
    let template = launch_template(scope, key);
    let group = |scope: &Scope<'_>, settings: &NodeGroupSettings| {
        Nodegroup::new(cluster.reference(), role.arn(), subnets.iter().cloned())
            // No name: instance types and the like can only be changed by a new group, which comes before the old one
            // goes and couldn't have the same name.
            .ami_type(AmiType::BottlerocketArm64)
            .version(scope.environment.cluster().version.as_str())
            .instance_types(&settings.instance_types)
            .launch_template(
                LaunchTemplateSpecification::new().id(template.reference()).version(template.latest_version_number()),
            )
            .scaling_config(
                ScalingConfig::new().min_size(settings.min).max_size(settings.max).desired_size(settings.min),
            )
            .update_config(UpdateConfig::new().max_unavailable(1))
            .node_repair_config(NodeRepairConfig::new().enabled(true))
    };
    let settings = scope.environment.cluster();
    let baseline =
        group(scope, &settings.baseline).capacity_type(CapacityType::OnDemand).labels([(CAPACITY_LABEL, "on-demand")]);
    let spot = group(scope, &settings.spot)
        .capacity_type(CapacityType::Spot)
        .labels([(CAPACITY_LABEL, "spot")])
        .taints([Taint::new().key(CAPACITY_LABEL).value("spot").effect(Effect::NoSchedule)]);
    let baseline = scope.add("BaselineNodes", after(baseline, early));
    scope.add("SpotNodes", after(spot, early));
    baseline
}

fn after(group: Nodegroup, addons: &[Handle<Addon>]) -> Declared<Nodegroup> {
    addons.iter().fold(group.into(), Declared::depends_on)
}

/// The role of the nodes themselves. The network plugin has its own, so that only it can change interfaces.
fn role(scope: &mut Scope<'_>) -> Handle<iam::Role> {
    // EC2 takes roles without naming a source, so there is none to demand.
    let trust = Statement::allow("Nodes", ["sts:AssumeRole"], []).for_service("ec2.amazonaws.com");
    let role_name = format!("{}-{}", scope.environment.name("nodes"), scope.region);
    let description = format!("what the nodes of the cluster in {} do", scope.region);
    role::draft([trust], "nodes", [])
        .with(|role| {
            role.role_name(role_name).description(description).managed_policy_arns([
                managed_policy("AmazonEKSWorkerNodePolicy"),
                managed_policy("AmazonEC2ContainerRegistryPullOnly"),
            ])
        })
        .accepting(&[(
            "iam-managed",
            "AWS keeps them in step with what the nodes' own software calls to join and to pull",
        )])
        .add(scope, "NodeRole")
}

fn launch_template(scope: &mut Scope<'_>, key: &Value<Arn<kms::Key>>) -> Handle<LaunchTemplate> {
    let encrypted =
        || Ebs::new().encrypted(true).kms_key_id(key).volume_type(VolumeType::Gp3).delete_on_termination(true);
    let volumes = [
        BlockDeviceMapping::new().device_name(SYSTEM_VOLUME).ebs(encrypted()),
        BlockDeviceMapping::new().device_name(DATA_VOLUME).ebs(encrypted().volume_size(DATA_VOLUME_GIB)),
    ];
    let metadata = MetadataOptions::new()
        .http_endpoint(HttpEndpoint::Enabled)
        .http_tokens(HttpTokens::Required)
        // One hop ends at the node: pods get credentials from the pod identity agent, never the node's.
        .http_put_response_hop_limit(1)
        .instance_metadata_tags(InstanceMetadataTags::Disabled);
    let name = scope.environment.name("nodes");
    // CloudFormation's tags end at the template; what is started from it carries only what the template says.
    let tags: Vec<(&str, &str)> = scope.tags().chain([("Name", name.as_str())]).collect();
    let started = [ResourceType::Instance, ResourceType::Volume]
        .map(|resource| TagSpecification::new().resource_type(resource).tags(tags.clone()));
    let data =
        LaunchTemplateData::new().block_device_mappings(volumes).metadata_options(metadata).tag_specifications(started);
    let own = LaunchTemplateTagSpecification::new().resource_type(ResourceType::LaunchTemplate).tags(tags.clone());
    let template = LaunchTemplate::new(data).launch_template_name(name.as_str()).tag_specifications([own]);
    scope.add("NodeTemplate", template)
}
