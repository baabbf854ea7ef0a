//! The cluster itself: Amazon's part, which the account only configures.

use cfn::ec2::{SecurityGroupIngress, Subnet};
use cfn::eks::Cluster;
use cfn::eks::cluster::{
    AccessConfig, AuthenticationMode, ClusterLogging, EncryptionConfig, Logging, LoggingTypeConfig,
    LoggingTypeConfigType, Provider, ResourcesVpcConfig, SupportType, UpgradePolicy, ZonalShiftConfig,
};
use cfn::{Arn, Handle, Id, Resource, Value, iam, kms, logs};

use super::name;
use crate::constructs::policy::Statement;
use crate::constructs::{Scope, accepted, role, stateful, table};

/// Adds the cluster with its role and its log group.
pub(super) fn add(scope: &mut Scope<'_>, key: &Value<Arn<kms::Key>>, subnets: &[Value<Id<Subnet>>]) -> Handle<Cluster> {
    let environment = scope.environment;
    let settings = environment.cluster();
    let role = role(scope, key);
    let log_group = log_group(scope, key);

    let mut network = ResourcesVpcConfig::new(subnets.iter().cloned())
        .endpoint_private_access(true)
        .endpoint_public_access(!settings.api_access.is_empty());
    if !settings.api_access.is_empty() {
        network = network.public_access_cidrs(settings.api_access.iter().map(ToString::to_string));
    }
    let types = [
        LoggingTypeConfigType::Api,
        LoggingTypeConfigType::Audit,
        LoggingTypeConfigType::Authenticator,
        LoggingTypeConfigType::ControllerManager,
        LoggingTypeConfigType::Scheduler,
    ];
    let types = types.map(|type_| LoggingTypeConfig::new().type_(type_));
    let logging = Logging::new().cluster_logging(ClusterLogging::new().enabled_types(types));
    let encryption = EncryptionConfig::new().provider(Provider::new().key_arn(key)).resources(["secrets"]);
    let cluster = Cluster::new(network, role.arn())
        .name(name(environment))
        .version(settings.version.as_str())
        .access_config(
            AccessConfig::new()
                .authentication_mode(AuthenticationMode::Api)
                // Whoever creates it is CloudFormation's role, and that has no business inside.
                .bootstrap_cluster_creator_admin_permissions(false),
        )
        // They come as add-ons, which the stack can see and change.
        .bootstrap_self_managed_addons(false)
        .logging(logging)
        .encryption_config([encryption])
        .upgrade_policy(UpgradePolicy::new().support_type(SupportType::Standard))
        .zonal_shift_config(ZonalShiftConfig::new().enabled(true))
        .deletion_protection(environment.tables().deletion_protection)
        .depends_on(&log_group);
    let unprotected = environment.is_local() && !environment.tables().deletion_protection;
    let reasons: &[(&str, &str)] = if unprotected { &[("deletion-protection", table::FORGETTING)] } else { &[] };
    let cluster = scope.add("Cluster", accepted(cluster, reasons));
    from_vpc(scope, &cluster);
    cluster
}

/// Nodes reach the API because they share the cluster's security group; a runner elsewhere in the VPC doesn't.
fn from_vpc(scope: &mut Scope<'_>, cluster: &Handle<Cluster>) {
    let addresses = scope.environment.region(scope.region).expect("a region of the environment").network;
    let ingress = SecurityGroupIngress::new("tcp")
        .group_id(cluster.cluster_security_group_id())
        .cidr_ip(addresses.to_string())
        .from_port(443)
        .to_port(443)
        .description("Kubernetes API from the VPC");
    scope.add("ApiFromVpc", ingress);
}

/// Declared before the cluster: EKS would make it itself, unencrypted and for ever.
fn log_group(scope: &mut Scope<'_>, key: &Value<Arn<kms::Key>>) -> Handle<logs::LogGroup> {
    let group = logs::LogGroup::new()
        .log_group_name(format!("/aws/eks/{}/cluster", name(scope.environment)))
        .retention_in_days(scope.environment.logs().retention.days())
        .kms_key_id(key);
    scope.add("ClusterLog", stateful(group))
}

fn role(scope: &mut Scope<'_>, key: &Value<Arn<kms::Key>>) -> Handle<iam::Role> {
    let cluster = format!("cluster/{}", name(scope.environment));
    let trust = role::trust_service("Eks", "eks.amazonaws.com").when(
        "ArnEquals",
        "aws:SourceArn",
        scope.arn_in(scope.region, "eks", &cluster).into_inner(),
    );
    let secrets = Statement::allow(
        "EncryptSecrets",
        ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:ListGrants"],
        [key.into()],
    )
    .because("the control plane encrypts Kubernetes secrets with the environment's key");
    let role_name = format!("{}-{}", scope.environment.name("cluster"), scope.region);
    let description = format!("what the control plane in {} does for the cluster", scope.region);
    role::draft([trust], "secrets", [secrets])
        .with(|role| {
            role.role_name(role_name)
                .description(description)
                .managed_policy_arns([managed_policy("AmazonEKSClusterPolicy")])
        })
        .accepting(&[(
            "iam-managed",
            "the control plane is AWS's software, and AWS extends the policy when it calls more",
        )])
        .add(scope, "ClusterRole")
}

/// The ARN of a policy that Amazon maintains.
pub(super) fn managed_policy(name: &str) -> Value<String> {
    cfn::sub(&format!("arn:${{AWS::Partition}}:iam::aws:policy/{name}"))
}
