//! `network`: a region's VPC over three zones, its ways out, its endpoints and its flow log.
//!
//! Nodes live in private subnets; the public ones hold NAT gateways and, if somebody wants one, load balancers.
//! What the nodes and pods ask of AWS goes through endpoints, whose policies let only this account's callers pass.
//!
//! The VPC's default security group can't be closed by CloudFormation, which only reads its id. Nothing here uses it:
//! every interface has a group of its own. An account that wants it closed does that outside of the stack.

mod endpoints;
mod flow_log;
mod subnets;

use cfn::{Handle, ec2};
use contracts::Region;

use crate::constructs::Scope;
use crate::environment::{Cidr, Environment};
use crate::system::StackInstance;

/// The stack of one region.
pub(crate) fn stack(environment: &Environment, region: &Region) -> StackInstance {
    let mut scope = Scope::new(environment, region, "network", "Network");
    let settings = environment.region(region).expect("stacks are made for regions of the environment");
    let addresses = settings.network;
    let vpc = vpc(&mut scope, addresses);
    let subnets = subnets::add(&mut scope, &vpc, settings);
    endpoints::add(&mut scope, &vpc, addresses, &subnets);
    flow_log::add(&mut scope, &vpc);

    scope.output("VpcId", "The region's VPC", vpc.reference());
    for (index, subnet) in subnets.private.iter().enumerate() {
        let number = index + 1;
        let description = format!("Private subnet in zone {number}");
        scope.output(&private_subnet_output(number), &description, subnet.reference());
    }
    scope.finish()
}

/// The output with the id of the private subnet in a zone, counted from 1.
pub(crate) fn private_subnet_output(number: usize) -> String {
    format!("PrivateSubnet{number}")
}

fn vpc(scope: &mut Scope<'_>, addresses: Cidr) -> Handle<ec2::VPC> {
    let vpc = ec2::VPC::new()
        .cidr_block(addresses.to_string())
        // Private names of the endpoints need both.
        .enable_dns_support(true)
        .enable_dns_hostnames(true)
        .tags(name_tag(scope, "network"));
    scope.add("Vpc", vpc)
}

/// EC2 resources have no names, only a tag that consoles show.
fn name_tag(scope: &Scope<'_>, thing: &str) -> [(&'static str, String); 1] {
    [("Name", scope.environment.name(thing))]
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value as Json, json};

    use crate::environment::Environment;

    /// A committed environment.
    pub(crate) fn environment(name: &str) -> Environment {
        let text = match name {
            "sandbox" => include_str!("../../../environments/sandbox.toml"),
            "staging" => include_str!("../../../environments/staging.toml"),
            "production" => include_str!("../../../environments/production.toml"),
            other => panic!("no environment `{other}`"),
        };
        Environment::parse(&format!("{name}.toml"), text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
    }

    /// Logical ids and properties of the resources of a type; there must be some.
    pub(crate) fn resources<'a>(template: &'a Json, type_name: &str) -> Vec<(&'a str, &'a Json)> {
        let all = template["Resources"].as_object().expect("resources");
        let found: Vec<_> = all
            .iter()
            .filter(|(_, resource)| resource["Type"] == type_name)
            .map(|(id, resource)| (id.as_str(), &resource["Properties"]))
            .collect();
        assert!(!found.is_empty(), "no {type_name}");
        found
    }

    fn network(name: &str) -> Json {
        let environment = environment(name);
        super::stack(&environment, environment.primary()).template.to_json()
    }

    #[test]
    fn nothing_is_wrong() {
        for name in ["sandbox", "staging", "production"] {
            let environment = environment(name);
            for region in environment.regions() {
                let stack = super::stack(&environment, region);
                assert_eq!(cfn::check(&stack.template, region.as_str()), [], "{name} {region}");
                assert_eq!(cfn::policy(&stack.template, region.as_str()), [], "{name} {region}");
            }
        }
    }

    #[test]
    fn subnets_share_no_address() {
        let template = network("production");
        let subnets: Vec<&str> = resources(&template, "AWS::EC2::Subnet")
            .into_iter()
            .map(|(_, subnet)| subnet["CidrBlock"].as_str().expect("a network"))
            .collect();
        assert_eq!(
            subnets,
            ["10.40.0.0/20", "10.40.16.0/20", "10.40.32.0/20", "10.40.240.0/24", "10.40.241.0/24", "10.40.242.0/24"]
        );
    }

    #[test]
    fn subnets_are_in_zones_that_take_a_cluster() {
        for name in ["sandbox", "staging", "production"] {
            let environment = environment(name);
            for settings in environment.region_settings() {
                let template = super::stack(&environment, &settings.region).template.to_json();
                for (id, subnet) in resources(&template, "AWS::EC2::Subnet") {
                    let number: usize = id[id.len() - 1..].parse().expect("a number at the end");
                    assert_eq!(subnet["AvailabilityZoneId"], settings.zones[number - 1], "{name} {id}");
                    assert_eq!(subnet.get("AvailabilityZone"), None, "{name} {id}: letters differ between accounts");
                }
            }
        }
    }

    #[test]
    fn private_subnets_never_lead_to_the_internet_directly() {
        for environment in ["staging", "production"] {
            let template = network(environment);
            for (id, route) in resources(&template, "AWS::EC2::Route") {
                let private = id.starts_with("Private");
                assert_eq!(route["NatGatewayId"].is_object(), private, "{environment} {id}");
                assert_eq!(route["GatewayId"].is_object(), !private, "{environment} {id}");
            }
            for (id, subnet) in resources(&template, "AWS::EC2::Subnet") {
                assert_eq!(subnet["MapPublicIpOnLaunch"], json!(false), "{environment} {id}");
            }
        }
    }

    #[test]
    fn each_zone_has_its_own_gateway_where_the_file_says_so() {
        let gateways = |environment: &str| resources(&network(environment), "AWS::EC2::NatGateway").len();
        assert_eq!((gateways("staging"), gateways("production")), (1, 3));
        let template = network("production");
        let leads_to = |zone: u32| {
            template["Resources"][format!("PrivateDefaultRoute{zone}")]["Properties"]["NatGatewayId"]["Ref"].clone()
        };
        assert_eq!([leads_to(1), leads_to(2), leads_to(3)], ["NatGateway1", "NatGateway2", "NatGateway3"]);
    }

    #[test]
    fn endpoints_answer_the_vpc_only_and_call_nobody() {
        let template = network("production");
        let group = &template["Resources"]["EndpointGroup"]["Properties"];
        let ingress = group["SecurityGroupIngress"].as_array().expect("a list");
        assert_eq!(ingress.len(), 1);
        assert_eq!((&ingress[0]["CidrIp"], &ingress[0]["FromPort"]), (&json!("10.40.0.0/16"), &json!(443)));
        assert_eq!(group["SecurityGroupEgress"][0]["CidrIp"], "127.0.0.1/32");
        for (id, endpoint) in resources(&template, "AWS::EC2::VPCEndpoint") {
            let interface = endpoint["VpcEndpointType"] == "Interface";
            assert_eq!(endpoint["PrivateDnsEnabled"] == json!(true), interface, "{id}");
            assert_eq!(endpoint["SecurityGroupIds"].is_array(), interface, "{id}");
        }
    }
}
