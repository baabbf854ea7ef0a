//! The permissions boundary: the most that any role of this system can ever do.
//!
//! It is the sum of what the roles of all stacks do, by action. Which resources are meant is said by the roles' own
//! policies; the boundary says that a role which somebody changes gains no service, no action and no region.

use std::collections::BTreeSet;

use cfn::iam;
use serde_json::{Value as Json, json};

use super::execution::characters;
use crate::constructs::policy::{Statement, document};
use crate::constructs::{Scope, role};
use crate::system::StackInstance;

/// Characters of a managed policy, without white space (IAM user guide, "IAM and AWS STS quotas").
const CHARACTERS: usize = 6_144;

/// What the policies allow that AWS keeps and that roles here have (AWS managed policy reference, read 2026-11),
/// without what is denied anyway, and without load balancers: nothing in the cluster asks for one.
const AWS_POLICIES: &[(&str, &[&str])] = &[
    (
        "AmazonEC2ContainerRegistryPullOnly",
        &[
            "ecr:BatchGetImage",
            "ecr:BatchImportUpstreamImage",
            "ecr:GetAuthorizationToken",
            "ecr:GetDownloadUrlForLayer",
        ],
    ),
    (
        "AmazonEKSClusterPolicy",
        &[
            "autoscaling:DescribeAutoScalingGroups",
            "autoscaling:UpdateAutoScalingGroup",
            "ec2:AttachVolume",
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:CreateRoute",
            "ec2:CreateSecurityGroup",
            "ec2:CreateTags",
            "ec2:CreateVolume",
            "ec2:DeleteNetworkInterface",
            "ec2:DeleteRoute",
            "ec2:DeleteSecurityGroup",
            "ec2:DeleteVolume",
            "ec2:DescribeAccountAttributes",
            "ec2:DescribeAddresses",
            "ec2:DescribeAvailabilityZones",
            "ec2:DescribeDhcpOptions",
            "ec2:DescribeInstanceTopology",
            "ec2:DescribeInstances",
            "ec2:DescribeInternetGateways",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeRouteTables",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVolumes",
            "ec2:DescribeVolumesModifications",
            "ec2:DescribeVpcs",
            "ec2:DetachVolume",
            "ec2:ModifyInstanceAttribute",
            "ec2:ModifyVolume",
            "ec2:RevokeSecurityGroupIngress",
            "kms:DescribeKey",
        ],
    ),
    ("AmazonEKSWorkerNodeMinimalPolicy", &["eks-auth:AssumeRoleForPodIdentity"]),
    (
        "AmazonEKSWorkerNodePolicy",
        &[
            "ec2:DescribeInstanceTypes",
            "ec2:DescribeInstances",
            "ec2:DescribeRouteTables",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeVolumes",
            "ec2:DescribeVolumesModifications",
            "ec2:DescribeVpcs",
            "eks-auth:AssumeRoleForPodIdentity",
            "eks:DescribeCluster",
        ],
    ),
    (
        "AmazonEKS_CNI_Policy",
        &[
            "ec2:AssignPrivateIpAddresses",
            "ec2:AttachNetworkInterface",
            "ec2:CreateNetworkInterface",
            "ec2:CreateTags",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeInstanceTypes",
            "ec2:DescribeInstances",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSecurityGroups",
            "ec2:DescribeSubnets",
            "ec2:DescribeTags",
            "ec2:DetachNetworkInterface",
            "ec2:ModifyNetworkInterfaceAttribute",
            "ec2:UnassignPrivateIpAddresses",
        ],
    ),
];

/// Adds the boundary of all roles in `stacks`.
pub(super) fn add(scope: &mut Scope<'_>, stacks: &[StackInstance]) {
    let mut actions = BTreeSet::new();
    let mut mistakes = Vec::new();
    for stack in stacks {
        for resource in stack.template.resources() {
            let properties = resource.properties();
            let documents: Vec<&Json> = match resource.type_name() {
                "AWS::IAM::Role" => {
                    let inline = properties.get("Policies").and_then(Json::as_array);
                    inline.into_iter().flatten().map(|policy| &policy["PolicyDocument"]).collect()
                }
                "AWS::IAM::RolePolicy" | "AWS::IAM::ManagedPolicy" => {
                    properties.get("PolicyDocument").into_iter().collect()
                }
                _ => continue,
            };
            actions.extend(documents.into_iter().flat_map(allowed_by));
            let attached = properties.get("ManagedPolicyArns").and_then(Json::as_array);
            for arn in attached.into_iter().flatten() {
                match aws_policy(arn) {
                    Some(known) => actions.extend(known.iter().map(|action| (*action).to_owned())),
                    None => mistakes.push(format!(
                        "{} `{}` has policy {arn}, which the boundary doesn't know: write down what it allows",
                        stack.id,
                        resource.logical_id()
                    )),
                }
            }
        }
    }
    actions.retain(|action| !is_denied(action));

    let regions: Vec<String> = scope.environment.regions().map(ToString::to_string).collect();
    let statements = [
        Statement::allow_on_any(
            "AtMost",
            actions.iter().map(String::as_str),
            "a boundary only limits: the roles' own policies name the resources",
        )
        .when("StringEquals", "aws:RequestedRegion", json!(regions))
        .because("the sum of what the roles of all stacks do, in the environment's regions"),
        Statement::deny("NoEscalation", DENIED, ["*".into()])
            .because("no running program changes who may do what, whatever its policies say"),
    ];
    if characters(&document(statements.clone())) > CHARACTERS {
        mistakes.push(format!("the boundary is longer than IAM's {CHARACTERS} characters of one policy"));
    }
    scope.report(mistakes);
    role::record(scope, "Boundary", &statements);
    let policy = iam::ManagedPolicy::new(document(statements.clone()))
        .managed_policy_name(role::boundary_name(scope.environment))
        .description(format!("the most that a role of {} can do", scope.environment.environment_name()));
    scope.add("Boundary", role::with_reasons(policy, &statements));
}

/// Services that decide who may do what.
const DENIED: [&str; 3] = ["account:*", "iam:*", "organizations:*"];

fn is_denied(action: &str) -> bool {
    DENIED.iter().any(|denied| action.starts_with(denied.trim_end_matches('*')))
}

/// The actions that a document allows.
fn allowed_by(document: &Json) -> Vec<String> {
    let allows = one_or_many(&document["Statement"]).filter(|statement| statement["Effect"] == "Allow");
    allows.flat_map(|statement| one_or_many(&statement["Action"])).filter_map(Json::as_str).map(str::to_owned).collect()
}

fn one_or_many(json: &Json) -> Box<dyn Iterator<Item = &Json> + '_> {
    match json {
        Json::Array(items) => Box::new(items.iter()),
        other => Box::new(std::iter::once(other)),
    }
}

fn aws_policy(arn: &Json) -> Option<&'static [&'static str]> {
    let text = arn.get("Fn::Sub").unwrap_or(arn).as_str()?;
    let name = text.split_once(":iam::aws:policy/")?.1;
    AWS_POLICIES.iter().find(|(known, _)| *known == name).map(|(_, actions)| *actions)
}
