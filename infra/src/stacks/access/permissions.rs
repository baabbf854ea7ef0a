//! What CloudFormation must be allowed to do for the resources of a template.
//!
//! AWS's schemas list the IAM actions of each type's handlers. The lists are for every property that a type has, and
//! some entries are no IAM actions at all, so three tables stand between them and a role: [`CORRECTIONS`] for what is
//! misspelt, [`OPTIONAL`] for what only certain properties need, and [`ADDITIONS`] for what the lists lack.
//! On which resources an action is allowed is not said here.

use std::collections::{BTreeMap, BTreeSet};

use cfn::{Declaration, Template};
use serde_json::Value as Json;

/// An IAM action that CloudFormation takes for resources of one type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerPermission {
    /// The resource type that needs it.
    pub type_name: &'static str,
    /// The action as the schema writes it, such as `sqs:CreateQueue`.
    pub listed: String,
    /// What stands for it in a policy; nothing when it is left out.
    pub actions: BTreeSet<String>,
    /// Why it is left out or written in another way; none when it is taken as it is.
    pub note: Option<&'static str>,
}

/// What the schemas write wrongly: the entry, what stands for it, and why.
///
/// Which actions exist is said by AWS's Service Authorization Reference; cfn-lint 1.58 carries a copy of its names.
const CORRECTIONS: &[(&str, &[&str], &str)] = &[
    ("apigateway:TagResource", &["apigateway:POST", "apigateway:PUT"], "tags of API Gateway are written by HTTP verb"),
    ("apigateway:UntagResource", &["apigateway:DELETE"], "tags of API Gateway are removed by HTTP verb"),
    (
        "application-autoscaling:Describe*",
        &[
            "application-autoscaling:DescribeScalableTargets",
            "application-autoscaling:DescribeScalingPolicies",
            "application-autoscaling:DescribeScheduledActions",
        ],
        "written out: no action with a wildcard is allowed",
    ),
    (
        "dynamodb:Describe*",
        &[
            "dynamodb:DescribeContinuousBackups",
            "dynamodb:DescribeContributorInsights",
            "dynamodb:DescribeKinesisStreamingDestination",
            "dynamodb:DescribeTable",
            "dynamodb:DescribeTableReplicaAutoScaling",
            "dynamodb:DescribeTimeToLive",
        ],
        "written out: no action with a wildcard is allowed",
    ),
    ("iam:DeleteRolePermissionsBoundary", &[], "no role of this system may lose its boundary"),
    ("kms:ReEncrypt", &["kms:ReEncryptFrom", "kms:ReEncryptTo"], "is two actions"),
    ("lambda:AssociateRuntimeAlias", &[], "is no IAM action"),
    ("payments:GetConnectedAccount", &[], "is no IAM action"),
    ("s3:DeleteBucketAnalyticsConfiguration", &["s3:PutAnalyticsConfiguration"], "removing is a way of writing"),
    ("s3:DeleteBucketCors", &["s3:PutBucketCORS"], "removing is a way of writing"),
    ("s3:DeleteBucketEncryption", &["s3:PutEncryptionConfiguration"], "removing is a way of writing"),
    ("s3:DeleteBucketLifecycle", &["s3:PutLifecycleConfiguration"], "removing is a way of writing"),
    ("s3:DeleteBucketMetricsConfiguration", &["s3:PutMetricsConfiguration"], "removing is a way of writing"),
    ("s3:DeleteBucketReplication", &["s3:PutReplicationConfiguration"], "removing is a way of writing"),
    ("s3:GetObjectMetadata", &["s3:GetObject"], "is part of another action"),
    ("s3:PutBucketReplication", &["s3:PutReplicationConfiguration"], "has another name"),
    ("s3:PutObjectLockConfiguration", &["s3:PutBucketObjectLockConfiguration"], "has another name"),
    ("s3:REST.PUT.OBJECT", &[], "is an operation in access logs, no IAM action"),
    ("s3:getObject", &["s3:GetObject"], "is written with a capital letter"),
    ("wafv2:listWebACLs", &["wafv2:ListWebACLs"], "is written with a capital letter"),
];

/// Actions that a type needs only for some of its properties.
struct Optional {
    type_name: &'static str,
    /// Actions as the schema writes them.
    actions: &'static [&'static str],
    /// Any of these properties needs them; `*` stands for each item of a list. None: no template here can.
    properties: &'static [&'static str],
    /// What a resource without these properties has not.
    note: &'static str,
}

const fn optional(
    type_name: &'static str,
    properties: &'static [&'static str],
    note: &'static str,
    actions: &'static [&'static str],
) -> Optional {
    Optional { type_name, actions, properties, note }
}

const OPTIONAL: &[Optional] = &[
    optional("AWS::ApiGatewayV2::Api", &["BodyS3Location"], "no definition in a bucket", &["s3:getObject"]),
    optional(
        "AWS::ApiGatewayV2::Authorizer",
        &["AuthorizerCredentialsArn"],
        "no role for the authorizer",
        &["iam:PassRole"],
    ),
    optional(
        "AWS::ApiGatewayV2::DomainName",
        &["MutualTlsAuthentication"],
        "no trust store in a bucket",
        &["s3:GetObject", "s3:GetObjectVersion"],
    ),
    optional("AWS::ApiGatewayV2::Integration", &["CredentialsArn"], "no role for the integration", &["iam:PassRole"]),
    optional(
        "AWS::CertificateManager::Certificate",
        &["CertificateAuthorityArn"],
        "no private authority",
        &["acm-pca:GetCertificate", "acm-pca:IssueCertificate"],
    ),
    optional(
        "AWS::CertificateManager::Certificate",
        &["DomainValidationOptions/*/HostedZoneId"],
        "nothing is proven by DNS records",
        &["route53:ChangeResourceRecordSets"],
    ),
    optional(
        "AWS::DynamoDB::GlobalTable",
        &[
            "Replicas/*/ReadProvisionedThroughputSettings",
            "WriteProvisionedThroughputSettings",
            "GlobalSecondaryIndexes/*/WriteProvisionedThroughputSettings",
        ],
        "no provisioned capacity that scales",
        &[
            "application-autoscaling:DeleteScalingPolicy",
            "application-autoscaling:DeleteScheduledAction",
            "application-autoscaling:DeregisterScalableTarget",
            "application-autoscaling:Describe*",
            "application-autoscaling:PutScalingPolicy",
            "application-autoscaling:PutScheduledAction",
            "application-autoscaling:RegisterScalableTarget",
            "dynamodb:UpdateTableReplicaAutoScaling",
        ],
    ),
    optional(
        "AWS::DynamoDB::GlobalTable",
        &["Replicas/*/KinesisStreamSpecification"],
        "no stream of Kinesis",
        &[
            "dynamodb:DisableKinesisStreamingDestination",
            "dynamodb:EnableKinesisStreamingDestination",
            "dynamodb:UpdateKinesisStreamingDestination",
            "kinesis:DescribeStream",
            "kinesis:ListStreams",
            "kinesis:PutRecords",
        ],
    ),
    optional(
        "AWS::DynamoDB::GlobalTable",
        &["GlobalTableSourceArn"],
        "no table of another account",
        &["dynamodb:DisassociateTableReplica"],
    ),
    optional(
        "AWS::DynamoDB::GlobalTable",
        &["Replicas/*/ResourcePolicy", "Replicas/*/ReplicaStreamSpecification"],
        "no policy on a replica",
        &["dynamodb:DeleteResourcePolicy", "dynamodb:PutResourcePolicy"],
    ),
    optional(
        "AWS::DynamoDB::Table",
        &["KinesisStreamSpecification"],
        "no stream of Kinesis",
        &[
            "dynamodb:DisableKinesisStreamingDestination",
            "dynamodb:EnableKinesisStreamingDestination",
            "dynamodb:UpdateKinesisStreamingDestination",
            "kinesis:DescribeStream",
            "kinesis:PutRecords",
        ],
    ),
    optional(
        "AWS::DynamoDB::Table",
        &["KinesisStreamSpecification", "ContributorInsightsSpecification"],
        "no feature with a service-linked role",
        &["iam:CreateServiceLinkedRole"],
    ),
    optional(
        "AWS::DynamoDB::Table",
        &["ImportSourceSpecification"],
        "no data from a bucket",
        &[
            "dynamodb:DescribeImport",
            "dynamodb:ImportTable",
            "logs:CreateLogGroup",
            "logs:CreateLogStream",
            "logs:DescribeLogGroups",
            "logs:DescribeLogStreams",
            "logs:PutLogEvents",
            "logs:PutRetentionPolicy",
            "s3:GetObject",
            "s3:GetObjectMetadata",
            "s3:ListBucket",
        ],
    ),
    optional(
        "AWS::DynamoDB::Table",
        &["ResourcePolicy", "StreamSpecification/ResourcePolicy"],
        "no policy on the table",
        &["dynamodb:DeleteResourcePolicy", "dynamodb:PutResourcePolicy"],
    ),
    optional(
        "AWS::DynamoDB::Table",
        &[],
        "replicas are declared as global tables here, and rows are none of CloudFormation's business",
        &[
            "dynamodb:AssociateTableReplica",
            "dynamodb:BatchWriteItem",
            "dynamodb:CreateTableReplica",
            "dynamodb:DeleteItem",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:Query",
            "dynamodb:Scan",
            "dynamodb:UpdateItem",
        ],
    ),
    optional("AWS::EC2::EIP", &["TransferAddress"], "no address of another account", &["ec2:AcceptAddressTransfer"]),
    optional(
        "AWS::EC2::FlowLog",
        &["LogDestination"],
        "no bucket as destination",
        &["s3:GetBucketPolicy", "s3:PutBucketPolicy"],
    ),
    optional("AWS::EC2::FlowLog", &["DeliverLogsPermissionArn"], "no role for the log", &["iam:PassRole"]),
    optional("AWS::EC2::VPC", &["InstanceTenancy"], "no dedicated hosts", &["ec2:ModifyVpcTenancy"]),
    optional(
        "AWS::EC2::VPC",
        &["VpcEncryptionControl"],
        "no control of encryption in the network",
        &["ec2:CreateVpcEncryptionControl"],
    ),
    optional(
        "AWS::EC2::VPCEndpoint",
        &["ServiceNetworkArn", "ResourceConfigurationArn"],
        "no VPC Lattice",
        &[
            "vpc-lattice:CreateServiceNetworkVpcEndpointAssociation",
            "vpc-lattice:DescribeServiceNetworkVpcEndpointAssociation",
        ],
    ),
    optional("AWS::EC2::VPCEndpoint", &["ServiceRegion"], "no service of another region", &["vpce:AllowMultiRegion"]),
    optional(
        "AWS::EC2::VPCGatewayAttachment",
        &["VpnGatewayId"],
        "no VPN",
        &["ec2:AttachVpnGateway", "ec2:DetachVpnGateway"],
    ),
    optional(
        "AWS::ECR::Repository",
        &["EncryptionConfiguration/KmsKey"],
        "no key of a customer",
        &["kms:CreateGrant", "kms:DescribeKey", "kms:RetireGrant"],
    ),
    optional(
        "AWS::EKS::Addon",
        &["PodIdentityAssociations"],
        "no role for the add-on's pods",
        &["eks:CreatePodIdentityAssociation", "eks:DeletePodIdentityAssociation", "eks:UpdatePodIdentityAssociation"],
    ),
    optional(
        "AWS::EKS::Addon",
        &["PodIdentityAssociations", "ServiceAccountRoleArn"],
        "no role for the add-on's pods",
        &["iam:GetRole", "iam:PassRole"],
    ),
    optional(
        "AWS::EKS::Cluster",
        &["ComputeConfig"],
        "no nodes that EKS manages by itself",
        &[
            "iam:AddRoleToInstanceProfile",
            "iam:CreateInstanceProfile",
            "iam:DeleteInstanceProfile",
            "iam:GetInstanceProfile",
            "iam:RemoveRoleFromInstanceProfile",
            "iam:TagInstanceProfile",
        ],
    ),
    optional(
        "AWS::EKS::Cluster",
        &["EncryptionConfig"],
        "no key of a customer",
        &["kms:CreateGrant", "kms:DescribeKey"],
    ),
    optional("AWS::Events::Rule", &["RoleArn", "Targets/*/RoleArn"], "no role for the rule", &["iam:PassRole"]),
    optional(
        "AWS::IAM::ManagedPolicy",
        &["Groups", "Users"],
        "no groups and no users",
        &["iam:AttachGroupPolicy", "iam:AttachUserPolicy", "iam:DetachGroupPolicy", "iam:DetachUserPolicy"],
    ),
    optional(
        "AWS::Lambda::Alias",
        &[],
        "needs an update policy, which templates here have not",
        &[
            "codedeploy:CreateDeployment",
            "codedeploy:GetDeployment",
            "codedeploy:GetDeploymentConfig",
            "codedeploy:GetDeploymentGroup",
            "codedeploy:StopDeployment",
        ],
    ),
    optional(
        "AWS::Lambda::Function",
        &["FileSystemConfigs"],
        "no file system",
        &["elasticfilesystem:DescribeMountTargets", "s3files:ListMountTargets"],
    ),
    optional(
        "AWS::Lambda::Function",
        &["VpcConfig"],
        "no network of its own",
        &["ec2:DescribeNetworkInterfaces", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"],
    ),
    optional(
        "AWS::Lambda::Function",
        &["CapacityProviderConfig"],
        "no instances of its own",
        &["lambda:PassCapacityProvider"],
    ),
    optional(
        "AWS::Lambda::Function",
        &["CodeSigningConfigArn"],
        "no signed code",
        &[
            "lambda:DeleteFunctionCodeSigningConfig",
            "lambda:GetCodeSigningConfig",
            "lambda:PutFunctionCodeSigningConfig",
        ],
    ),
    optional("AWS::Lambda::Function", &["Layers"], "no layers", &["lambda:GetLayerVersion"]),
    optional(
        "AWS::Logs::LogGroup",
        &["BearerTokenAuthenticationEnabled"],
        "no bearer tokens",
        &["logs:PutBearerTokenAuthentication"],
    ),
    optional(
        "AWS::Logs::LogGroup",
        &["DataProtectionPolicy"],
        "nothing is masked, so no findings are delivered",
        &[
            "firehose:TagDeliveryStream",
            "logs:CreateLogDelivery",
            "logs:DeleteDataProtectionPolicy",
            "logs:PutDataProtectionPolicy",
            "s3:REST.PUT.OBJECT",
        ],
    ),
    optional(
        "AWS::Logs::LogGroup",
        &["FieldIndexPolicies"],
        "no indexed fields",
        &["logs:DeleteIndexPolicy", "logs:PutIndexPolicy"],
    ),
    optional(
        "AWS::Logs::LogGroup",
        &["ResourcePolicyDocument"],
        "no policy on the log group",
        &["logs:DeleteResourcePolicy", "logs:PutResourcePolicy"],
    ),
    optional(
        "AWS::Route53::HealthCheck",
        &["HealthCheckConfig/AlarmIdentifier"],
        "no alarm behind the health check",
        &["cloudwatch:DescribeAlarms"],
    ),
    optional(
        "AWS::Route53::HealthCheck",
        &["HealthCheckConfig/RoutingControlArn"],
        "no routing control behind the health check",
        &["route53-recovery-control-config:DescribeRoutingControl"],
    ),
    optional("AWS::S3::Bucket", &["AbacStatus"], "no access by tags", &["s3:PutBucketAbac"]),
    optional("AWS::S3::Bucket", &["AccelerateConfiguration"], "no acceleration", &["s3:PutAccelerateConfiguration"]),
    optional("AWS::S3::Bucket", &["AccessControl"], "no access control lists", &["s3:PutBucketAcl", "s3:PutObjectAcl"]),
    optional(
        "AWS::S3::Bucket",
        &["AnalyticsConfigurations"],
        "no analytics",
        &["s3:DeleteBucketAnalyticsConfiguration", "s3:PutAnalyticsConfiguration"],
    ),
    optional("AWS::S3::Bucket", &["CorsConfiguration"], "no browsers", &["s3:DeleteBucketCors", "s3:PutBucketCORS"]),
    optional(
        "AWS::S3::Bucket",
        &["IntelligentTieringConfigurations"],
        "no tiers",
        &["s3:PutIntelligentTieringConfiguration"],
    ),
    optional("AWS::S3::Bucket", &["InventoryConfigurations"], "no inventory", &["s3:PutInventoryConfiguration"]),
    optional("AWS::S3::Bucket", &["LoggingConfiguration"], "no log of accesses", &["s3:PutBucketLogging"]),
    optional(
        "AWS::S3::Bucket",
        &["MetadataConfiguration", "MetadataTableConfiguration"],
        "no tables of metadata",
        &[
            "s3:CreateBucketMetadataTableConfiguration",
            "s3:DeleteBucketMetadataTableConfiguration",
            "s3:UpdateBucketMetadataAnnotationTableConfiguration",
            "s3:UpdateBucketMetadataInventoryTableConfiguration",
            "s3:UpdateBucketMetadataJournalTableConfiguration",
            "s3tables:CreateNamespace",
            "s3tables:CreateTable",
            "s3tables:CreateTableBucket",
            "s3tables:GetTable",
            "s3tables:GetTableMetadataLocation",
            "s3tables:PutTableBucketPolicy",
            "s3tables:PutTableEncryption",
            "s3tables:PutTablePolicy",
            "s3tables:UpdateTableMetadataLocation",
        ],
    ),
    optional(
        "AWS::S3::Bucket",
        &["MetricsConfigurations"],
        "no metrics of its own",
        &["s3:DeleteBucketMetricsConfiguration", "s3:PutMetricsConfiguration"],
    ),
    optional(
        "AWS::S3::Bucket",
        &["NotificationConfiguration"],
        "nobody is told of objects",
        &["s3:PutBucketNotification"],
    ),
    optional(
        "AWS::S3::Bucket",
        &["ObjectLockConfiguration", "ObjectLockEnabled"],
        "no locked objects",
        &["s3:PutBucketObjectLockConfiguration", "s3:PutObjectLockConfiguration"],
    ),
    optional(
        "AWS::S3::Bucket",
        &["ReplicationConfiguration"],
        "no copies in other buckets",
        &["iam:PassRole", "s3:DeleteBucketReplication", "s3:PutBucketReplication", "s3:PutReplicationConfiguration"],
    ),
    optional(
        "AWS::S3::Bucket",
        &["WebsiteConfiguration"],
        "no web site",
        &["s3:DeleteBucketWebsite", "s3:PutBucketWebsite"],
    ),
    optional(
        "AWS::SNS::Subscription",
        &["SubscriptionRoleArn"],
        "no role for the subscription",
        &["iam:GetRole", "iam:PassRole"],
    ),
    optional("AWS::SNS::Topic", &["DeliveryStatusLogging"], "no log of deliveries", &["iam:GetRole", "iam:PassRole"]),
    optional("AWS::SNS::Topic", &["DataProtectionPolicy"], "nothing is masked", &["sns:PutDataProtectionPolicy"]),
];

/// Actions that the schemas don't list: the type, the property that needs them (empty: any resource of the type), the
/// actions, and why.
const ADDITIONS: &[(&str, &str, &[&str], &str)] = &[
    (
        "AWS::ApiGatewayV2::DomainName",
        "",
        &["iam:CreateServiceLinkedRole"],
        "API Gateway makes its service-linked role with the first custom domain",
    ),
    (
        "AWS::ApiGatewayV2::Stage",
        "AccessLogSettings",
        &[
            "logs:CreateLogDelivery",
            "logs:DeleteLogDelivery",
            "logs:DescribeLogGroups",
            "logs:DescribeResourcePolicies",
            "logs:GetLogDelivery",
            "logs:ListLogDeliveries",
            "logs:PutResourcePolicy",
            "logs:UpdateLogDelivery",
        ],
        "who turns on an access log must be allowed to deliver logs",
    ),
    (
        "AWS::DynamoDB::GlobalTable",
        "GlobalTableWitnesses",
        &["dynamodb:CreateGlobalTableWitness", "dynamodb:DeleteGlobalTableWitness"],
        "the third region of a strongly consistent table is made by an action of its own",
    ),
    (
        "AWS::DynamoDB::GlobalTable",
        "SSESpecification",
        &["kms:Encrypt", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"],
        "DynamoDB encrypts in the name of who makes the table",
    ),
    (
        "AWS::DynamoDB::Table",
        "SSESpecification",
        &["kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"],
        "DynamoDB encrypts in the name of who makes the table",
    ),
    (
        "AWS::EC2::VPCEndpoint",
        "PrivateDnsEnabled",
        &["route53:AssociateVPCWithHostedZone"],
        "an endpoint's private names are a hosted zone of the network",
    ),
    (
        "AWS::KMS::Key",
        "MultiRegion",
        &["iam:CreateServiceLinkedRole"],
        "KMS makes its service-linked role with the first multi-region key",
    ),
    (
        "AWS::KMS::ReplicaKey",
        "",
        &["iam:CreateServiceLinkedRole"],
        "KMS makes its service-linked role with the first multi-region key",
    ),
    (
        "AWS::SecretsManager::Secret",
        "KmsKeyId",
        &["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey"],
        "a secret and its replicas are encrypted in the name of who makes them",
    ),
];

/// What a handler that reads lists and a search for drift doesn't get: the entry, and why.
///
/// What neither describes nor lists something is left out by itself.
const WITHHELD: &[(&str, &str)] = &[
    ("secretsmanager:GetSecretValue", "a secret's value is written and never compared"),
    ("s3:GetObject", "what is in a bucket is none of CloudFormation's business"),
];

/// What CloudFormation reads of the resources of these templates: what the handlers that read list, but for what changes or
/// decrypts something, or reads data. Sorted by type and action.
///
/// A search for drift reads in the name of whoever asks, unlike a deployment.
pub fn read_permissions<'a>(templates: impl IntoIterator<Item = &'a Template>) -> Vec<HandlerPermission> {
    let by_type = by_type(templates);
    let listed =
        by_type.iter().flat_map(|(type_name, resources)| listed_by(type_name, resources, |name| name == "read"));
    listed.map(only_reading).collect()
}

fn only_reading(mut permission: HandlerPermission) -> HandlerPermission {
    let withheld = |action: &String| {
        let verb = action.split_once(':').map_or("", |(_, verb)| verb);
        match WITHHELD.iter().find(|(known, _)| known == action) {
            Some((_, why)) => Some(*why),
            None if ["Describe", "GET", "Get", "List"].iter().any(|word| verb.starts_with(word)) => None,
            None => Some("only what describes something is granted"),
        }
    };
    if let Some(why) = permission.actions.iter().find_map(withheld) {
        permission.actions.retain(|action| withheld(action).is_none());
        permission.note = Some(why);
    }
    permission
}

/// Every action that CloudFormation takes for the resources of these templates: of all handlers (create, read, update,
/// delete and list) of each type, with what is left out and why. Sorted by type and action.
pub fn handler_permissions<'a>(templates: impl IntoIterator<Item = &'a Template>) -> Vec<HandlerPermission> {
    by_type(templates).iter().flat_map(|(type_name, resources)| of_type(type_name, resources)).collect()
}

fn by_type<'a>(templates: impl IntoIterator<Item = &'a Template>) -> BTreeMap<&'static str, Vec<&'a Declaration>> {
    let mut by_type: BTreeMap<&'static str, Vec<&Declaration>> = BTreeMap::new();
    for resource in templates.into_iter().flat_map(Template::resources) {
        by_type.entry(resource.type_name()).or_default().push(resource);
    }
    by_type
}

/// What handlers of these names list.
fn listed_by(
    type_name: &'static str,
    resources: &[&Declaration],
    counts: impl Fn(&str) -> bool,
) -> Vec<HandlerPermission> {
    let handlers = cfn::describe(type_name).into_iter().flat_map(|description| description.handlers);
    let handlers = handlers.filter(|handler| counts(handler.name));
    let listed: BTreeSet<&str> = handlers.flat_map(|handler| handler.permissions).copied().collect();
    listed.into_iter().map(|action| permission(type_name, action, resources)).collect()
}

fn of_type(type_name: &'static str, resources: &[&Declaration]) -> Vec<HandlerPermission> {
    let mut all = listed_by(type_name, resources, |_| true);
    let needed = ADDITIONS.iter().filter(|(needs, property, ..)| {
        *needs == type_name && (property.is_empty() || any_has(resources, &[property]))
    });
    for (_, _, actions, note) in needed {
        for action in *actions {
            if !all.iter().any(|known| known.actions.contains(*action)) {
                all.push(HandlerPermission { note: Some(note), ..as_listed(type_name, action) });
            }
        }
    }
    all
}

fn permission(type_name: &'static str, listed: &str, resources: &[&Declaration]) -> HandlerPermission {
    let unused = OPTIONAL.iter().find(|optional| {
        optional.type_name == type_name
            && optional.actions.contains(&listed)
            && !any_has(resources, optional.properties)
    });
    if let Some(optional) = unused {
        return HandlerPermission {
            actions: BTreeSet::new(),
            note: Some(optional.note),
            ..as_listed(type_name, listed)
        };
    }
    match CORRECTIONS.iter().find(|(wrong, ..)| *wrong == listed) {
        None => as_listed(type_name, listed),
        Some((_, right, note)) => HandlerPermission {
            actions: right.iter().map(|action| (*action).to_owned()).collect(),
            note: Some(note),
            ..as_listed(type_name, listed)
        },
    }
}

fn as_listed(type_name: &'static str, action: &str) -> HandlerPermission {
    HandlerPermission { type_name, listed: action.to_owned(), actions: BTreeSet::from([action.to_owned()]), note: None }
}

fn any_has(resources: &[&Declaration], paths: &[&str]) -> bool {
    resources.iter().any(|resource| {
        paths.iter().any(|path| {
            let (property, rest) = path.split_once('/').map_or((*path, None), |(first, rest)| (first, Some(rest)));
            let value = resource.properties().get(property);
            value.is_some_and(|value| rest.is_none_or(|rest| has(value, rest)))
        })
    })
}

/// Whether something stands at `path`. A value that only a deployment knows may hold anything.
fn has(value: &Json, path: &str) -> bool {
    let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let below = |value: &Json| rest.is_none_or(|rest| has(value, rest));
    match value {
        Json::Array(items) if first == "*" => items.iter().any(below),
        Json::Object(fields) if is_intrinsic(fields) => true,
        Json::Object(fields) => fields.get(first).is_some_and(below),
        _ => false,
    }
}

fn is_intrinsic(fields: &serde_json::Map<String, Json>) -> bool {
    fields.len() == 1 && fields.keys().all(|key| key == "Ref" || key.starts_with("Fn::"))
}

#[cfg(test)]
mod tests {
    use cfn::{Resource, s3, sqs};

    use super::*;

    fn template(add: impl FnOnce(&mut Template)) -> Template {
        let mut template = Template::new();
        add(&mut template);
        template
    }

    fn taken(template: &Template) -> BTreeSet<String> {
        handler_permissions([template]).into_iter().flat_map(|permission| permission.actions).collect()
    }

    #[test]
    fn every_handler_counts() {
        let queue = template(|template| {
            template.add("Queue", sqs::Queue::new());
        });
        let expected = [
            "sqs:CreateQueue",
            "sqs:DeleteQueue",
            "sqs:GetQueueAttributes",
            "sqs:GetQueueUrl",
            "sqs:ListQueueTags",
            "sqs:ListQueues",
            "sqs:SetQueueAttributes",
            "sqs:TagQueue",
            "sqs:UntagQueue",
        ];
        assert_eq!(taken(&queue), expected.map(str::to_owned).into());
    }

    #[test]
    fn a_property_brings_its_actions() {
        let plain = template(|template| {
            template.add("Bucket", s3::Bucket::new());
        });
        assert!(!taken(&plain).contains("s3:PutBucketWebsite"));
        let site = template(|template| {
            template.add("Plain", s3::Bucket::new());
            let site = s3::bucket::WebsiteConfiguration::new().index_document("index.html");
            template.add("Site", s3::Bucket::new().website_configuration(site));
        });
        assert!(taken(&site).contains("s3:PutBucketWebsite"));
        let unknown = template(|template| {
            let mut properties = cfn::Properties::new();
            properties.set("ReplicationConfiguration", serde_json::json!({"Ref": "Given"}));
            template.add("Bucket", s3::Bucket::from_properties(properties));
        });
        assert!(taken(&unknown).contains("iam:PassRole"), "a value that is known later may need it");
    }

    /// A line of a table that no schema knows any more would hide a new spelling of the same.
    #[test]
    fn tables_speak_of_what_schemas_list() {
        let listed = |type_name: &str| -> BTreeSet<&str> {
            let description = cfn::describe(type_name).unwrap_or_else(|| panic!("{type_name} is vendored"));
            description.handlers.iter().flat_map(|one| one.permissions).copied().collect()
        };
        let everywhere: BTreeSet<&str> = cfn::type_names().flat_map(listed).collect();
        for (wrong, right, why) in CORRECTIONS {
            assert!(everywhere.contains(wrong), "{wrong}");
            assert!(!right.contains(wrong) && !why.is_empty(), "{wrong}");
        }
        for Optional { type_name, actions, properties, note } in OPTIONAL {
            for action in *actions {
                assert!(listed(type_name).contains(action), "{type_name} {action}");
            }
            for property in *properties {
                assert!(cfn::describe(type_name).unwrap().property(property).is_some(), "{type_name} {property}");
            }
            assert!(!note.is_empty());
        }
        for (type_name, property, actions, _) in ADDITIONS {
            assert!(
                property.is_empty() || cfn::describe(type_name).unwrap().property(property).is_some(),
                "{property}"
            );
            for action in *actions {
                assert!(!listed(type_name).contains(action), "{type_name} lists {action} by now");
            }
        }
    }

    /// Whatever type somebody adds to a stack: what is taken from its schema has the form of an action.
    #[test]
    fn what_is_taken_is_well_formed() {
        for type_name in cfn::type_names() {
            for handler in cfn::describe(type_name).unwrap().handlers {
                for listed in handler.permissions {
                    for action in permission(type_name, listed, &[]).actions {
                        let (service, name) = action.split_once(':').unwrap_or_else(|| panic!("{action}"));
                        let lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
                        assert!(service.bytes().all(lower), "{type_name} {action}");
                        let starts_well = name.starts_with(|letter: char| letter.is_ascii_uppercase());
                        assert!(starts_well && name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{action}");
                    }
                }
            }
        }
    }
}
