//! Endpoints: what nodes and pods ask of AWS stays in the VPC, and only this account's callers pass.
//!
//! A policy of an endpoint grants nothing. It refuses what roles would allow, so that code that got hold of somebody
//! else's credentials can't carry data out through it. A pod that needs another action adds it to the tables here.

use cfn::ec2::security_group::{Egress, Ingress};
use cfn::ec2::vpc_endpoint::VpcEndpointType;
use cfn::ec2::{SecurityGroup, VPC, VPCEndpoint};
use cfn::{Handle, Value};
use serde_json::{Value as Json, json};

use super::name_tag;
use super::subnets::Subnets;
use crate::constructs::policy::{Statement, document, pascal_case};
use crate::constructs::{Scope, accepted};
use crate::environment::Cidr;

/// A service that is reached by an interface in each private subnet.
struct Interface {
    /// The service's last name, such as `ecr.api`.
    service: &'static str,
    /// What passes; empty: everything, because the endpoint isn't known to take a policy.
    actions: &'static [&'static str],
}

/// What Amazon ECR's two endpoints are asked for while an image is pulled.
const PULL: &[&str] = &[
    "ecr:BatchCheckLayerAvailability",
    "ecr:BatchGetImage",
    "ecr:GetAuthorizationToken",
    "ecr:GetDownloadUrlForLayer",
];

/// Sorted by service. The actions are those of the managed policies of EKS's nodes and network plugin, of the programs'
/// contracts, and of the driver that mounts secrets.
const INTERFACES: [Interface; 11] = [
    Interface {
        service: "ec2",
        actions: &[
            "ec2:AssignPrivateIpAddresses",
            "ec2:AttachNetworkInterface",
            "ec2:CreateNetworkInterface",
            "ec2:CreateTags",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeInstanceTypes",
            "ec2:DescribeInstances",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeRouteTables",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeTags",
            "ec2:DescribeVolumes",
            "ec2:DescribeVolumesModifications",
            "ec2:DescribeVpcs",
            "ec2:DetachNetworkInterface",
            "ec2:ModifyNetworkInterfaceAttribute",
            "ec2:UnassignPrivateIpAddresses",
        ],
    },
    Interface { service: "ecr.api", actions: PULL },
    Interface { service: "ecr.dkr", actions: PULL },
    Interface { service: "eks", actions: &["eks:DescribeCluster"] },
    // Pods get their role's credentials here. It serves nothing else, and isn't documented to take a policy.
    Interface { service: "eks-auth", actions: &[] },
    Interface { service: "events", actions: &["events:PutEvents"] },
    Interface { service: "kms", actions: &["kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey"] },
    Interface {
        service: "logs",
        actions: &["logs:CreateLogStream", "logs:DescribeLogGroups", "logs:DescribeLogStreams", "logs:PutLogEvents"],
    },
    Interface {
        service: "secretsmanager",
        actions: &["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"],
    },
    Interface {
        service: "sqs",
        actions: &[
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:GetQueueUrl",
            "sqs:ReceiveMessage",
            "sqs:SendMessage",
        ],
    },
    Interface { service: "sts", actions: &["sts:AssumeRole", "sts:GetCallerIdentity", "sts:TagSession"] },
];

/// Rows of the environment's tables: what the consumer's contract knows, and reading.
const ROWS: [&str; 6] = [
    "dynamodb:BatchGetItem",
    "dynamodb:DescribeTable",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
];

/// Adds the endpoints and the security group of their interfaces.
pub(super) fn add(scope: &mut Scope<'_>, vpc: &Handle<VPC>, addresses: Cidr, subnets: &Subnets) {
    let layers = Statement::allow(
        "ImageLayers",
        ["s3:GetObject"],
        [cfn::sub("arn:${AWS::Partition}:s3:::prod-${AWS::Region}-starport-layer-bucket/*")],
    )
    // ECR user guide, "Create the Amazon S3 gateway endpoint".
    .to(json!("*"));
    let why = "ECR itself signs the addresses of image layers in a bucket of its own, so no caller of this account is there to ask for";
    let endpoint = accepted(gateway(scope, vpc, "s3", document([layers]), subnets), &[("iam-open", why)]);
    scope.add(&logical_id("s3"), endpoint);

    let table = scope.environment.name("*");
    let rows = of_this_account(Statement::allow(
        "Rows",
        ROWS,
        [scope.arn_in(scope.region, "dynamodb", &format!("table/{table}"))],
    ));
    let endpoint = gateway(scope, vpc, "dynamodb", document([rows]), subnets);
    scope.add(&logical_id("dynamodb"), endpoint);

    let group = security_group(scope, vpc, addresses);
    for interface in &INTERFACES {
        add_interface(scope, vpc, interface, &group, subnets);
    }
}

fn gateway(scope: &Scope<'_>, vpc: &Handle<VPC>, service: &str, policy: Json, subnets: &Subnets) -> VPCEndpoint {
    VPCEndpoint::new(vpc.reference())
        .service_name(service_name(service))
        .vpc_endpoint_type(VpcEndpointType::Gateway)
        .route_table_ids(subnets.private_routes.iter().map(Handle::reference))
        .policy_document(policy)
        .tags(name_tag(scope, &format!("endpoint-{service}")))
}

fn add_interface(
    scope: &mut Scope<'_>,
    vpc: &Handle<VPC>,
    interface: &Interface,
    group: &Handle<SecurityGroup>,
    subnets: &Subnets,
) {
    let Interface { service, actions } = interface;
    let mut endpoint = VPCEndpoint::new(vpc.reference())
        .service_name(service_name(service))
        .vpc_endpoint_type(VpcEndpointType::Interface)
        .private_dns_enabled(true)
        .subnet_ids(subnets.private.iter().map(Handle::reference))
        .security_group_ids([group.group_id()])
        .tags(name_tag(scope, &format!("endpoint-{}", service.replace('.', "-"))));
    if !actions.is_empty() {
        let callers = of_this_account(Statement::allow("Callers", actions.iter().copied(), [Value::from("*")]));
        endpoint = endpoint.policy_document(document([callers]));
    }
    scope.add(&logical_id(service), endpoint);
}

/// Lets pass whoever belongs to this account and is allowed to by a policy of its own.
fn of_this_account(statement: Statement) -> Statement {
    statement.to(json!("*")).when("StringEquals", "aws:PrincipalAccount", cfn::pseudo::account_id().into_inner())
}

fn security_group(scope: &mut Scope<'_>, vpc: &Handle<VPC>, addresses: Cidr) -> Handle<SecurityGroup> {
    let from_vpc = Ingress::new("tcp")
        .cidr_ip(addresses.to_string())
        .from_port(443)
        .to_port(443)
        .description("HTTPS from the VPC");
    // An endpoint only answers. Without a rule CloudFormation would leave the one that allows everything.
    let nowhere = Egress::new("-1").cidr_ip("127.0.0.1/32").description("Endpoints call nobody");
    let group = SecurityGroup::new("Interface endpoints, HTTPS from the VPC only")
        .vpc_id(vpc.reference())
        .security_group_ingress([from_vpc])
        .security_group_egress([nowhere])
        .tags(name_tag(scope, "endpoints"));
    scope.add("EndpointGroup", group)
}

fn service_name(service: &str) -> Value<String> {
    cfn::sub(&format!("com.amazonaws.${{AWS::Region}}.{service}"))
}

/// `ecr.api` becomes `EcrApiEndpoint`.
fn logical_id(service: &str) -> String {
    format!("{}Endpoint", pascal_case(&service.replace('.', "-")))
}
