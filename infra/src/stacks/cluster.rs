//! `cluster`: a region's Kubernetes cluster, its nodes, its add-ons, who may do what in it, and the consumer's images.
//!
//! What runs in the cluster is no part of the stack: that is [`crate::kubernetes`]. Nothing here makes nodes more or
//! fewer by load; a node group keeps its size until somebody, or an autoscaler that is installed later, changes it.
//!
//! CloudFormation replaces a cluster when its name, its role or its encryption changes; the deletion protection then
//! stops the old one from going. So these stand still, and the role has a fixed name.

mod access;
mod addons;
mod control_plane;
mod images;
mod nodes;

use cfn::ec2::Subnet;
use cfn::{Id, Value};
use contracts::Region;

use crate::constructs::{Scope, key};
use crate::environment::{Environment, SYSTEM, ZONES};
use crate::stacks::network::private_subnet_output;
use crate::system::{StackInstance, Subject};

/// The namespace that this system has in the cluster.
pub const NAMESPACE: &str = "tandem";

/// The service account that the consumer's pods run as.
pub(crate) const SERVICE_ACCOUNT: &str = contracts::CdcConsumer::NAME;

/// Kubernetes group of who deploys; what it may do besides Amazon's policy is said in the manifests.
pub(crate) const DEPLOYERS: &str = "tandem:deployers";

/// Kubernetes group of who looks; what it may see besides Amazon's policy is said in the manifests.
pub(crate) const READERS: &str = "tandem:readers";

/// Node label and taint that tell spot nodes from others.
pub(crate) const CAPACITY_LABEL: &str = "tandem/capacity";

/// The stack's short name.
pub const CLUSTER_STACK: &str = "cluster";

/// The output with the cluster's name.
pub const NAME_OUTPUT: &str = "ClusterName";

/// The output with the address of the cluster's API.
pub const ENDPOINT_OUTPUT: &str = "ClusterEndpoint";

/// The output with the authority that signed the API's certificate: PEM in base 64.
pub const AUTHORITY_OUTPUT: &str = "ClusterCertificateAuthority";

/// The stack of one region.
pub(crate) fn stack(environment: &Environment, region: &Region) -> StackInstance {
    let mut scope = Scope::new(environment, region, CLUSTER_STACK, "Kubernetes cluster");
    let key = key::of_region(&mut scope, "KeyArn", region);
    let subnets = private_subnets(&mut scope);

    images::add(&mut scope, &key);
    let cluster = control_plane::add(&mut scope, &key, &subnets);
    // The network plugin and the agent that gives pods their roles come first: no node gets ready without them.
    let early = addons::add_early(&mut scope, &cluster);
    let baseline = nodes::add(&mut scope, &cluster, &key, &subnets, &early);
    addons::add_late(&mut scope, &cluster, &baseline);
    access::add(&mut scope, &cluster);

    scope.watch("Cluster", Subject::Cluster { cluster: name(environment) });
    scope.output(NAME_OUTPUT, "The cluster's name", cluster.reference());
    scope.output(ENDPOINT_OUTPUT, "Address of the cluster's API", cluster.endpoint());
    scope.output(AUTHORITY_OUTPUT, "Who signed the API's certificate", cluster.certificate_authority_data());
    scope.finish()
}

/// The cluster's name, the same in each region.
pub(crate) fn name(environment: &Environment) -> String {
    format!("{SYSTEM}-{}", environment.environment_name())
}

/// Name of the repository with the consumer's images, the same in each region.
pub(crate) fn repository(environment: &Environment) -> String {
    format!("{}/{}", name(environment), contracts::CdcConsumer::NAME)
}

fn private_subnets(scope: &mut Scope<'_>) -> Vec<Value<Id<Subnet>>> {
    (1..=ZONES)
        .map(|number| {
            let output = private_subnet_output(number);
            let description = format!("Private subnet in zone {number}");
            scope.output_of(&output, &description, "network", scope.region, &output)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::stacks::network::tests::{environment, resources};

    fn cluster(name: &str) -> Json {
        let environment = environment(name);
        super::stack(&environment, environment.primary()).template.to_json()
    }

    #[test]
    fn nothing_is_wrong() {
        for name in ["staging", "production"] {
            let environment = environment(name);
            for region in environment.regions() {
                let stack = super::stack(&environment, region);
                assert_eq!(cfn::check(&stack.template, region.as_str()), [], "{name} {region}");
                assert_eq!(cfn::policy(&stack.template, region.as_str()), [], "{name} {region}");
            }
        }
    }

    #[test]
    fn the_api_is_private_unless_networks_are_named() {
        let template = cluster("production");
        let vpc = &template["Resources"]["Cluster"]["Properties"]["ResourcesVpcConfig"];
        assert_eq!((&vpc["EndpointPrivateAccess"], &vpc["EndpointPublicAccess"]), (&json!(true), &json!(false)));
        assert!(vpc.get("PublicAccessCidrs").is_none());

        let text = include_str!("../../../environments/production.toml")
            .replace("api_access = []", "api_access = [\"192.0.2.0/24\"]");
        let open = crate::environment::Environment::parse("production.toml", &text).expect("a good file");
        let template = super::stack(&open, open.primary()).template.to_json();
        let vpc = &template["Resources"]["Cluster"]["Properties"]["ResourcesVpcConfig"];
        assert_eq!((&vpc["EndpointPrivateAccess"], &vpc["EndpointPublicAccess"]), (&json!(true), &json!(true)));
        assert_eq!(vpc["PublicAccessCidrs"], json!(["192.0.2.0/24"]));
    }

    #[test]
    fn nobody_becomes_administrator_by_creating_the_cluster() {
        let template = cluster("production");
        let access = &template["Resources"]["Cluster"]["Properties"]["AccessConfig"];
        assert_eq!(access, &json!({"AuthenticationMode": "API", "BootstrapClusterCreatorAdminPermissions": false}));
    }

    #[test]
    fn only_administrators_have_the_whole_cluster() {
        let text = include_str!("../../../environments/production.toml").replace(
            "arn:aws:iam::000000000000:role/platform-administrators\"",
            "arn:aws:iam::123456789012:role/platform/admins\"",
        );
        let environment = crate::environment::Environment::parse("production.toml", &text).expect("a good file");
        let template = super::stack(&environment, environment.primary()).template.to_json();
        let mut whole = Vec::new();
        for (id, entry) in resources(&template, "AWS::EKS::AccessEntry") {
            for policy in entry["AccessPolicies"].as_array().expect("policies") {
                match policy["AccessScope"]["Type"].as_str() {
                    Some("cluster") => whole.push((id, entry["PrincipalArn"].clone())),
                    _ => assert_eq!(policy["AccessScope"]["Namespaces"], json!(["tandem"]), "{id}"),
                }
            }
        }
        let administrator = json!("arn:aws:iam::123456789012:role/platform/admins");
        assert_eq!(whole, [("Administrator123456789012PlatformAdmins", administrator)]);
    }

    #[test]
    fn nodes_are_of_one_architecture_and_hide_their_role_from_pods() {
        let template = cluster("production");
        for (id, group) in resources(&template, "AWS::EKS::Nodegroup") {
            assert_eq!(group["AmiType"], "BOTTLEROCKET_ARM_64", "{id}");
            let spot = group["CapacityType"] == "SPOT";
            assert_eq!(group["Taints"].is_array(), spot, "only spot nodes keep others away: {id}");
            assert_eq!(group["Labels"]["tandem/capacity"] == "spot", spot, "{id}");
        }
        let (_, nodes) = resources(&template, "AWS::EC2::LaunchTemplate").remove(0);
        let data = &nodes["LaunchTemplateData"];
        assert_eq!(data["MetadataOptions"]["HttpTokens"], "required");
        assert_eq!(data["MetadataOptions"]["HttpPutResponseHopLimit"], 1);
        let volumes = data["BlockDeviceMappings"].as_array().expect("volumes");
        for volume in volumes {
            assert_eq!(
                (&volume["Ebs"]["Encrypted"], &volume["Ebs"]["KmsKeyId"]),
                (&json!(true), &json!({"Ref": "KeyArn"}))
            );
        }
        assert_eq!(volumes.len(), 2, "Bottlerocket has a volume for the system and one for everything else");
    }

    #[test]
    fn workers_come_after_the_plugins_that_they_need() {
        let template = cluster("staging");
        let depends = |id: &str| template["Resources"][id]["DependsOn"].to_string();
        for group in ["BaselineNodes", "SpotNodes"] {
            for addon in ["NetworkAddon", "ProxyAddon", "PodIdentityAddon"] {
                assert!(depends(group).contains(addon), "{group} {addon}");
            }
        }
        for addon in ["DnsAddon", "MetricsAddon", "SecretsAddon"] {
            assert!(depends(addon).contains("BaselineNodes"), "{addon} has pods that need nodes");
        }
    }
}
