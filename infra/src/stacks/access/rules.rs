//! On what CloudFormation's roles may use an action: one rule for each kind of resource.
//!
//! Which actions know resources, and the form of their ARNs, is from AWS's Service Authorization Reference.

use std::collections::BTreeSet;

/// On what some actions may be used.
pub(super) struct Rule {
    /// Id of the statement.
    pub(super) sid: &'static str,
    /// Actions; one that ends with `*` stands for all that begin so and have no closer rule.
    actions: &'static [&'static str],
    /// Types for which this rule comes before others; empty: for all.
    types: &'static [&'static str],
    /// ARNs without `arn:<partition>:`. `{account}`, `{name}` (system and environment), `{environment}`, `{zone}`,
    /// `{secret}`, `{role}` and `{region}` are filled in. Empty: every resource.
    pub(super) resources: &'static [&'static str],
    /// Why it is every resource, or why ids are open.
    pub(super) reason: &'static str,
    pub(super) guard: Guard,
}

/// A condition of a rule, besides the regions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    None,
    /// Only on roles with the environment's boundary.
    Boundary,
    /// Only for the services that work with the role.
    PassedToService,
    /// Only for the services that make themselves a role.
    ServiceLinked,
    /// Only for functions of the environment.
    OwnFunctions,
    /// Only on what has the environment's tags.
    OwnTags,
    /// Only in the call that makes something, and only with the environment's tags.
    TagsOnCreation,
    /// Only on what EKS made for the environment's cluster and tagged so.
    TagsOfCluster,
    /// Only from a launch template of the account.
    LaunchTemplates,
}

/// What patterns are filled with.
pub(super) struct Names {
    /// System and environment: `tandem-production`.
    pub(super) prefix: String,
    pub(super) environment: String,
    pub(super) hosted_zone: Option<String>,
    /// Secrets whose names the environment file gives.
    pub(super) secrets: Vec<String>,
    /// The stack's own roles.
    pub(super) roles: BTreeSet<String>,
    /// What the names of roles end with that programs and services work with; CloudFormation's and GitHub's don't.
    pub(super) regions: Vec<String>,
}

const fn on(
    sid: &'static str,
    actions: &'static [&'static str],
    resources: &'static [&'static str],
    reason: &'static str,
) -> Rule {
    Rule { sid, actions, types: &[], resources, reason, guard: Guard::None }
}

const fn guarded(guard: Guard, rule: &Rule) -> Rule {
    Rule { guard, ..*rule }
}

const NAMED: &str = "named by system and environment";

/// All rules, in the order of statements.
pub(super) const RULES: &[Rule] = &[
    on("Certificates", &["acm:*"], &["acm:*:{account}:certificate/*"], "ids of certificates are random"),
    on(
        "Api",
        &["apigateway:*"],
        &["apigateway:*::/apis*", "apigateway:*::/domainnames*", "apigateway:*::/tags/*"],
        "ids of APIs are random",
    ),
    on(
        "Scaling",
        &["application-autoscaling:*"],
        &["application-autoscaling:*:{account}:scalable-target/*"],
        "ids of targets are random",
    ),
    on("Alarms", &["cloudwatch:*"], &["cloudwatch:*:{account}:alarm:{name}-*"], NAMED),
    on(
        "AlarmsRead",
        &["cloudwatch:DescribeAlarms"],
        &[],
        "a description asks for all alarms and picks, and CloudWatch takes no resource for composite ones",
    ),
    on(
        "Dashboards",
        &["cloudwatch:DeleteDashboards", "cloudwatch:GetDashboard", "cloudwatch:PutDashboard"],
        &["cloudwatch::{account}:dashboard/{name}", "cloudwatch::{account}:dashboard/{name}-*"],
        NAMED,
    ),
    Rule {
        sid: "DashboardTags",
        actions: &["cloudwatch:ListTagsForResource", "cloudwatch:TagResource", "cloudwatch:UntagResource"],
        types: &["AWS::CloudWatch::Dashboard"],
        resources: &["cloudwatch::{account}:dashboard/{name}", "cloudwatch::{account}:dashboard/{name}-*"],
        reason: NAMED,
        guard: Guard::None,
    },
    on("Tables", &["dynamodb:*"], &["dynamodb:*:{account}:table/{name}-*"], NAMED),
    // What only makes something: it has no tags yet, and what it is made in may be looked at for none.
    on(
        "Network",
        &[
            "ec2:AllocateAddress",
            "ec2:CreateFlowLogs",
            "ec2:CreateInternetGateway",
            "ec2:CreateLaunchTemplate",
            "ec2:CreateNatGateway",
            "ec2:CreateRouteTable",
            "ec2:CreateSecurityGroup",
            "ec2:CreateSubnet",
            "ec2:CreateVpc",
            "ec2:CreateVpcEndpoint",
        ],
        &[],
        "what is only being made has no id and no tags yet",
    ),
    // Routes and associations have no tags of their own: EC2 asks for the route table, the subnet, the gateway or the
    // address that they belong to, and those have them. Types with tags get the stack's when they are made.
    guarded(
        Guard::OwnTags,
        &on(
            "NetworkOwn",
            &[
                "ec2:AssignPrivateNatGatewayAddress",
                "ec2:AssociateAddress",
                "ec2:AssociateNatGatewayAddress",
                "ec2:AssociateRouteTable",
                "ec2:AssociateSubnetCidrBlock",
                "ec2:AttachInternetGateway",
                "ec2:AuthorizeSecurityGroupEgress",
                "ec2:AuthorizeSecurityGroupIngress",
                "ec2:CreateLaunchTemplateVersion",
                "ec2:CreateRoute",
                "ec2:CreateTags",
                "ec2:DeleteFlowLogs",
                "ec2:DeleteInternetGateway",
                "ec2:DeleteLaunchTemplate",
                "ec2:DeleteNatGateway",
                "ec2:DeleteRoute",
                "ec2:DeleteRouteTable",
                "ec2:DeleteSecurityGroup",
                "ec2:DeleteSubnet",
                "ec2:DeleteTags",
                "ec2:DeleteVpc",
                "ec2:DeleteVpcEndpoints",
                "ec2:DetachInternetGateway",
                "ec2:DisassociateAddress",
                "ec2:DisassociateNatGatewayAddress",
                "ec2:DisassociateRouteTable",
                "ec2:DisassociateSubnetCidrBlock",
                "ec2:ModifySubnetAttribute",
                "ec2:ModifyVpcAttribute",
                "ec2:ModifyVpcEndpoint",
                "ec2:ReleaseAddress",
                "ec2:ReplaceRoute",
                "ec2:ReplaceRouteTableAssociation",
                "ec2:RevokeSecurityGroupEgress",
                "ec2:RevokeSecurityGroupIngress",
                "ec2:UnassignPrivateNatGatewayAddress",
                "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
                "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
            ],
            &[],
            "the environment's tags say whose it is",
        ),
    ),
    // Nothing that is there already gets the environment's tags: they would bring it under the rule above.
    guarded(
        Guard::TagsOnCreation,
        &on("NetworkTags", &["ec2:CreateTags"], &[], "only what is just being made gets tags, and the environment's"),
    ),
    // EKS makes the cluster's security group, and gives it tags of its own instead of the environment's.
    Rule {
        sid: "NetworkOfCluster",
        actions: &[
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
        ],
        types: &["AWS::EC2::SecurityGroupIngress"],
        resources: &[],
        reason: "the tag that EKS sets says whose cluster it is",
        guard: Guard::TagsOfCluster,
    },
    // EKS tries with the caller's rights whether nodes could be started. Of which resources it asks, and which tags
    // those have, isn't documented; that it is from a launch template is.
    guarded(
        Guard::LaunchTemplates,
        &on("Nodes", &["ec2:RunInstances"], &[], "only what a launch template describes is started"),
    ),
    on("Images", &["ecr:*"], &["ecr:*:{account}:repository/{name}/*"], NAMED),
    on(
        "Cluster",
        &["eks:*"],
        &["eks:*:{account}:*/{name}", "eks:*:{account}:*/{name}/*"],
        "the cluster has the name of system and environment, and what belongs to it has its name in front",
    ),
    on(
        "Events",
        &["events:*"],
        &[
            "events:*:{account}:archive/{name}-*",
            "events:*:{account}:event-bus/{name}-*",
            "events:*:{account}:rule/{name}-*",
        ],
        NAMED,
    ),
    guarded(
        Guard::Boundary,
        &on(
            "RolesInBoundary",
            &[
                "iam:AttachRolePolicy",
                "iam:CreateRole",
                "iam:DeleteRolePolicy",
                "iam:DetachRolePolicy",
                "iam:PutRolePermissionsBoundary",
                "iam:PutRolePolicy",
            ],
            &["iam::{account}:role/{role}"],
            NAMED,
        ),
    ),
    on(
        "Roles",
        &[
            "iam:DeleteRole",
            "iam:GetRole",
            "iam:GetRolePolicy",
            "iam:ListAttachedRolePolicies",
            "iam:ListRolePolicies",
            "iam:TagRole",
            "iam:UntagRole",
            "iam:UpdateAssumeRolePolicy",
            "iam:UpdateRole",
            "iam:UpdateRoleDescription",
        ],
        &["iam::{account}:role/{role}"],
        NAMED,
    ),
    on(
        "PoliciesRead",
        &["iam:GetPolicy", "iam:GetPolicyVersion", "iam:ListEntitiesForPolicy"],
        &["iam::{account}:policy/{name}-*"],
        NAMED,
    ),
    on(
        "ProviderRead",
        &["iam:GetOpenIDConnectProvider"],
        &["iam::{account}:oidc-provider/token.actions.githubusercontent.com"],
        "there is one provider for the whole account",
    ),
    Rule {
        sid: "RolesRead",
        actions: &["iam:GetRole"],
        types: &[
            "AWS::EKS::Addon",
            "AWS::EKS::Cluster",
            "AWS::EKS::Nodegroup",
            "AWS::EKS::PodIdentityAssociation",
            "AWS::SNS::Subscription",
            "AWS::SNS::Topic",
        ],
        resources: &["iam::{account}:role/{name}-*-{region}"],
        reason: "a role that is handed on may be another stack's",
        guard: Guard::None,
    },
    guarded(
        Guard::PassedToService,
        &on("RolesPassed", &["iam:PassRole"], &["iam::{account}:role/{name}-*-{region}"], NAMED),
    ),
    guarded(
        Guard::ServiceLinked,
        &on(
            "ServiceLinkedRoles",
            &["iam:CreateServiceLinkedRole"],
            &["iam::{account}:role/aws-service-role/*"],
            "AWS names them",
        ),
    ),
    on(
        "Keys",
        &["kms:*"],
        &["kms:*:{account}:key/mrk-*"],
        "ids of keys are random; those of multi-region keys begin so, and each key's own policy says who uses it",
    ),
    on("KeyTags", &["kms:TagResource"], &["kms:*:{account}:key/*"], "a key that is made with tags has no id yet"),
    on("Functions", &["lambda:*"], &["lambda:*:{account}:function:{name}-*"], NAMED),
    on("Layers", &["lambda:GetLayerVersion"], &["lambda:*:{account}:layer:{name}-*"], NAMED),
    guarded(
        Guard::OwnFunctions,
        &on(
            "Mappings",
            &["lambda:DeleteEventSourceMapping", "lambda:GetEventSourceMapping", "lambda:UpdateEventSourceMapping"],
            &["lambda:*:{account}:event-source-mapping:*"],
            "ids of mappings are random; the function says whose it is",
        ),
    ),
    guarded(
        Guard::OwnFunctions,
        &on(
            "MappingsAny",
            &["lambda:CreateEventSourceMapping"],
            &[],
            "a mapping that is made has no ARN yet; only functions of this environment get one",
        ),
    ),
    on(
        "FunctionTags",
        &["lambda:ListTags", "lambda:TagResource", "lambda:UntagResource"],
        &["lambda:*:{account}:event-source-mapping:*", "lambda:*:{account}:function:{name}-*"],
        "ids of mappings are random",
    ),
    on(
        "Logs",
        &["logs:*"],
        // With what stands before for the logs of API Gateway: `/aws/vendedlogs`.
        &["logs:*:{account}:log-group:/aws/eks/{name}/*", "logs:*:{account}:log-group:*/tandem/{environment}/*"],
        NAMED,
    ),
    on("Zone", &["route53:*"], &["route53:::hostedzone/{zone}"], "the zone of the environment's domain"),
    on(
        "ZoneOfEndpoints",
        &["route53:AssociateVPCWithHostedZone"],
        &["route53:::hostedzone/*"],
        "AWS makes the zones of private endpoints",
    ),
    on(
        "HealthChecks",
        &[
            "route53:ChangeTagsForResource",
            "route53:DeleteHealthCheck",
            "route53:GetHealthCheck",
            "route53:ListTagsForResource",
            "route53:UpdateHealthCheck",
        ],
        &["route53:::healthcheck/*"],
        "ids of health checks are random",
    ),
    on("ZoneChanges", &["route53:GetChange"], &["route53:::change/*"], "ids of changes are random"),
    on("Buckets", &["s3:*"], &["s3:::{name}-*"], NAMED),
    on(
        "Schedules",
        &["scheduler:*"],
        &["scheduler:*:{account}:schedule-group/{name}-*", "scheduler:*:{account}:schedule/{name}-*"],
        NAMED,
    ),
    on(
        "Secrets",
        &["secretsmanager:*"],
        &["secretsmanager:*:{account}:secret:{name}-*", "secretsmanager:*:{account}:secret:{secret}*"],
        "Secrets Manager puts six characters behind a name",
    ),
    on("Topics", &["sns:*"], &["sns:*:{account}:{name}-*"], NAMED),
    on("Queues", &["sqs:*"], &["sqs:*:{account}:{name}-*"], NAMED),
    on("Parameters", &["ssm:*"], &["ssm:*:{account}:parameter/{name}/*"], NAMED),
    Rule {
        sid: "AnyResource",
        actions: &[
            "acm:ListCertificates",
            "acm:RequestCertificate",
            "application-autoscaling:Describe*",
            "autoscaling:DescribeTags",
            "cloudwatch:GetMetricData",
            "cloudwatch:ListDashboards",
            "cloudwatch:PutMetricData",
            "dynamodb:ListTables",
            "ec2:Describe*",
            "eks:ListClusters",
            "events:ListArchives",
            "events:ListEventBuses",
            "events:ListRules",
            "events:PutPermission",
            "events:RemovePermission",
            "iam:ListRoles",
            "kms:CreateKey",
            "kms:ListAliases",
            "kms:ListKeys",
            "lambda:ListEventSourceMappings",
            "lambda:ListFunctions",
            "logs:CreateLogDelivery",
            "logs:DeleteLogDelivery",
            "logs:DeleteQueryDefinition",
            "logs:DescribeIndexPolicies",
            "logs:DescribeLogGroups",
            "logs:DescribeQueryDefinitions",
            "logs:DescribeResourcePolicies",
            "logs:GetLogDelivery",
            "logs:ListLogDeliveries",
            "logs:PutQueryDefinition",
            "logs:PutResourcePolicy",
            "logs:UpdateLogDelivery",
            "route53:CreateHealthCheck",
            "route53:ListHealthChecks",
            "route53:ListHostedZones",
            "s3:ListAllMyBuckets",
            "scheduler:ListScheduleGroups",
            "scheduler:ListSchedules",
            "secretsmanager:GetRandomPassword",
            "secretsmanager:ListSecrets",
            "sns:ListSubscriptions",
            "sns:ListTopics",
            "sqs:ListQueues",
            "ssm:DescribeParameters",
        ],
        types: &[],
        resources: &[],
        reason: "these actions know no resource",
        guard: Guard::None,
    },
];

/// Indices of the closest rules for an action on resources of a type, in their order; empty when nobody has decided
/// about it. Rules that are equally close all apply: each allows the action under another condition.
pub(super) fn rules_for(type_name: &str, action: &str) -> Vec<usize> {
    let closeness = |pattern: &str| match pattern.strip_suffix('*') {
        Some(prefix) => action.starts_with(prefix).then_some(prefix.len()),
        None => (pattern == action).then_some(usize::MAX),
    };
    let best = |rule: &Rule| rule.actions.iter().filter_map(|pattern| closeness(pattern)).max();
    let applies = |rule: &Rule| rule.types.is_empty() || rule.types.contains(&type_name);
    let ranked = RULES.iter().enumerate().filter(|(_, rule)| applies(rule));
    let ranked = ranked.filter_map(|(index, rule)| Some(((best(rule)?, !rule.types.is_empty()), index)));
    let ranked: Vec<_> = ranked.collect();
    let closest = ranked.iter().map(|(closeness, _)| *closeness).max();
    ranked.into_iter().filter(|(closeness, _)| Some(*closeness) == closest).map(|(_, index)| index).collect()
}

impl Rule {
    /// The ARNs, for `Fn::Sub`; a pattern with a name that the environment doesn't have falls away.
    pub(super) fn resources_for(&self, names: &Names) -> Vec<String> {
        let mut arns = Vec::new();
        for pattern in self.resources {
            let pattern = pattern
                .replace("{account}", "${AWS::AccountId}")
                .replace("{name}", &names.prefix)
                .replace("{environment}", &names.environment);
            let values: Option<(&str, Vec<&String>)> = if pattern.contains("{zone}") {
                Some(("{zone}", names.hosted_zone.iter().collect()))
            } else if pattern.contains("{secret}") {
                Some(("{secret}", names.secrets.iter().collect()))
            } else if pattern.contains("{role}") {
                Some(("{role}", names.roles.iter().collect()))
            } else if pattern.contains("{region}") {
                Some(("{region}", names.regions.iter().collect()))
            } else {
                None
            };
            let arn = |resource: &str| format!("arn:${{AWS::Partition}}:{resource}");
            match values {
                None => arns.push(arn(&pattern)),
                Some((placeholder, values)) => {
                    arns.extend(values.into_iter().map(|value| arn(&pattern.replace(placeholder, value))));
                }
            }
        }
        arns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_rule_decides() {
        for (action, expected) in [
            ("sqs:CreateQueue", &["Queues"][..]),
            ("sqs:ListQueues", &["AnyResource"]),
            ("ec2:CreateVpc", &["Network"]),
            ("ec2:DescribeVpcs", &["AnyResource"]),
            ("ec2:DeleteVpc", &["NetworkOwn"]),
            ("ec2:CreateTags", &["NetworkOwn", "NetworkTags"]),
            ("ec2:TerminateInstances", &[]),
            ("iam:PassRole", &["RolesPassed"]),
            ("iam:GetRole", &["Roles"]),
            ("iam:CreateUser", &[]),
            ("iam:CreatePolicyVersion", &[]),
            ("organizations:LeaveOrganization", &[]),
        ] {
            assert_eq!(sids("AWS::IAM::Role", action), expected, "{action}");
        }
    }

    fn sids(type_name: &str, action: &str) -> Vec<&'static str> {
        rules_for(type_name, action).into_iter().map(|index| RULES[index].sid).collect()
    }

    #[test]
    fn a_rule_for_a_type_comes_first() {
        assert_eq!(sids("AWS::EKS::Cluster", "iam:GetRole"), ["RolesRead"]);
        let open = "ec2:AuthorizeSecurityGroupIngress";
        assert_eq!(sids("AWS::EC2::SecurityGroupIngress", open), ["NetworkOfCluster"]);
        assert_eq!(sids("AWS::EC2::SecurityGroup", open), ["NetworkOwn"]);
    }

    /// Tags are how the environment's things are told from others: no rule writes them, or changes what may have them,
    /// without a condition.
    #[test]
    fn what_changes_a_network_is_limited() {
        for rule in RULES.iter().filter(|rule| rule.guard == Guard::None) {
            for action in rule.actions.iter().filter(|action| action.starts_with("ec2:")) {
                let harmless =
                    ["ec2:Allocate", "ec2:Create", "ec2:Describe"].iter().any(|verb| action.starts_with(verb));
                assert!(harmless && *action != "ec2:CreateTags", "{} {action}", rule.sid);
            }
        }
    }

    #[test]
    fn each_rule_has_a_reason_and_an_id_of_its_own() {
        let sids: BTreeSet<&str> = RULES.iter().map(|rule| rule.sid).collect();
        assert_eq!(sids.len(), RULES.len());
        for rule in RULES {
            assert!(rule.reason.split(' ').count() >= 3, "{}", rule.sid);
            assert!(rule.sid.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{}", rule.sid);
        }
    }
}
