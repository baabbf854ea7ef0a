//! What a text property refers to.
//!
//! The schemas say it for some properties (`format`, `relationshipRef`). Where they are silent and AWS's documentation
//! leaves no doubt, [`ADDED`] says it. A property that takes several unrelated kinds stays plain text.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

/// Kind of a text value. Paths are Rust paths of resource types.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Arn(String),
    Id(String),
    AnyKey,
    AnyFunction,
}

const ANY_KEY: &str = "any key";
const ANY_FUNCTION: &str = "any function";

/// Property (`Type` `[Definition.]Property`) and what it refers to, where the schemas are silent.
const ADDED: &[(&str, &str, &str)] = &[
    ("AWS::ARCRegionSwitch::Plan", "ExecutionRole", "AWS::IAM::Role.Arn"),
    ("AWS::ApiGatewayV2::ApiMapping", "ApiId", "AWS::ApiGatewayV2::Api.Id"),
    ("AWS::ApiGatewayV2::Authorizer", "ApiId", "AWS::ApiGatewayV2::Api.Id"),
    ("AWS::ApiGatewayV2::Integration", "ApiId", "AWS::ApiGatewayV2::Api.Id"),
    ("AWS::ApiGatewayV2::Route", "ApiId", "AWS::ApiGatewayV2::Api.Id"),
    ("AWS::ApiGatewayV2::Route", "AuthorizerId", "AWS::ApiGatewayV2::Authorizer.Id"),
    ("AWS::ApiGatewayV2::Stage", "ApiId", "AWS::ApiGatewayV2::Api.Id"),
    ("AWS::EC2::Route", "NatGatewayId", "AWS::EC2::NatGateway.Id"),
    ("AWS::EC2::Route", "RouteTableId", "AWS::EC2::RouteTable.Id"),
    ("AWS::EC2::SubnetRouteTableAssociation", "RouteTableId", "AWS::EC2::RouteTable.Id"),
    ("AWS::EC2::VPCGatewayAttachment", "InternetGatewayId", "AWS::EC2::InternetGateway.Id"),
    ("AWS::ECR::Repository", "EncryptionConfiguration.KmsKey", ANY_KEY),
    ("AWS::EKS::AccessEntry", "ClusterName", "AWS::EKS::Cluster.Id"),
    ("AWS::EKS::Addon", "ClusterName", "AWS::EKS::Cluster.Id"),
    ("AWS::EKS::Cluster", "Provider.KeyArn", "AWS::KMS::Key.Arn"),
    ("AWS::EKS::Cluster", "ResourcesVpcConfig.SubnetIds", "AWS::EC2::Subnet.Id"),
    ("AWS::EKS::Nodegroup", "ClusterName", "AWS::EKS::Cluster.Id"),
    ("AWS::EKS::Nodegroup", "NodeRole", "AWS::IAM::Role.Arn"),
    ("AWS::EKS::PodIdentityAssociation", "ClusterName", "AWS::EKS::Cluster.Id"),
    ("AWS::Events::Archive", "KmsKeyIdentifier", ANY_KEY),
    ("AWS::Events::Archive", "SourceArn", "AWS::Events::EventBus.Arn"),
    ("AWS::Events::EventBus", "DeadLetterConfig.Arn", "AWS::SQS::Queue.Arn"),
    ("AWS::Events::EventBus", "KmsKeyIdentifier", ANY_KEY),
    ("AWS::Events::EventBusPolicy", "EventBusName", "AWS::Events::EventBus.Id"),
    ("AWS::Events::Rule", "DeadLetterConfig.Arn", "AWS::SQS::Queue.Arn"),
    ("AWS::IAM::RolePolicy", "RoleName", "AWS::IAM::Role.Id"),
    ("AWS::KMS::Alias", "TargetKeyId", ANY_KEY),
    ("AWS::KMS::ReplicaKey", "PrimaryKeyArn", "AWS::KMS::Key.Arn"),
    ("AWS::Lambda::Alias", "FunctionName", ANY_FUNCTION),
    ("AWS::Lambda::EventInvokeConfig", "FunctionName", ANY_FUNCTION),
    ("AWS::Lambda::EventSourceMapping", "FunctionName", ANY_FUNCTION),
    ("AWS::Lambda::Function", "LoggingConfig.LogGroup", "AWS::Logs::LogGroup.Id"),
    ("AWS::Lambda::Function", "Role", "AWS::IAM::Role.Arn"),
    ("AWS::Lambda::Function", "VpcConfig.SubnetIds", "AWS::EC2::Subnet.Id"),
    ("AWS::Lambda::Permission", "FunctionName", ANY_FUNCTION),
    ("AWS::Lambda::Version", "FunctionName", ANY_FUNCTION),
    ("AWS::Logs::QueryDefinition", "LogGroupNames", "AWS::Logs::LogGroup.Id"),
    ("AWS::Route53::RecordSet", "HealthCheckId", "AWS::Route53::HealthCheck.Id"),
    ("AWS::Route53::RecordSet", "HostedZoneId", "AWS::Route53::HostedZone.Id"),
    ("AWS::S3::BucketPolicy", "Bucket", "AWS::S3::Bucket.Id"),
    ("AWS::SNS::TopicPolicy", "Topics", "AWS::SNS::Topic.Arn"),
    ("AWS::SQS::Queue", "RedrivePolicy.deadLetterTargetArn", "AWS::SQS::Queue.Arn"),
    ("AWS::SQS::QueuePolicy", "Queues", "AWS::SQS::Queue.Id"),
    ("AWS::Scheduler::Schedule", "DeadLetterConfig.Arn", "AWS::SQS::Queue.Arn"),
    ("AWS::Scheduler::Schedule", "GroupName", "AWS::Scheduler::ScheduleGroup.Id"),
    ("AWS::SecretsManager::ResourcePolicy", "SecretId", "AWS::SecretsManager::Secret.Arn"),
    ("AWS::SecretsManager::RotationSchedule", "SecretId", "AWS::SecretsManager::Secret.Arn"),
    ("AWS::WAFv2::WebACLAssociation", "WebACLArn", "AWS::WAFv2::WebACL.Arn"),
];

/// Types whose `Ref` is an ARN, and whose. For all others it is an id or name.
///
/// Source: "Return values" of each type's page in the CloudFormation template reference.
const REF_IS_ARN: &[(&str, &str)] = &[
    ("AWS::ARCRegionSwitch::Plan", "AWS::ARCRegionSwitch::Plan"),
    ("AWS::ApplicationAutoScaling::ScalingPolicy", "AWS::ApplicationAutoScaling::ScalingPolicy"),
    ("AWS::CertificateManager::Certificate", "AWS::CertificateManager::Certificate"),
    ("AWS::IAM::ManagedPolicy", "AWS::IAM::ManagedPolicy"),
    ("AWS::IAM::OIDCProvider", "AWS::IAM::OIDCProvider"),
    ("AWS::Lambda::Alias", "AWS::Lambda::Function"),
    ("AWS::Lambda::LayerVersion", "AWS::Lambda::LayerVersion"),
    ("AWS::Lambda::Version", "AWS::Lambda::Function"),
    ("AWS::SNS::Subscription", "AWS::SNS::Subscription"),
    ("AWS::SNS::Topic", "AWS::SNS::Topic"),
    ("AWS::SecretsManager::Secret", "AWS::SecretsManager::Secret"),
];

/// Attributes that are ARNs although neither their format nor their name says so.
const ATTRIBUTE_IS_ARN: &[(&str, &str)] = &[("AWS::SecretsManager::Secret", "Id")];

pub(crate) struct Kinds {
    types: BTreeSet<String>,
    unused: BTreeMap<(&'static str, &'static str), &'static str>,
}

impl Kinds {
    pub(crate) fn new<'a>(types: impl Iterator<Item = &'a str>) -> Self {
        let types: BTreeSet<String> = types.map(ToOwned::to_owned).collect();
        let unused = ADDED
            .iter()
            .filter(|(type_name, ..)| types.contains(*type_name))
            .map(|(type_name, property, refers)| ((*type_name, *property), *refers))
            .collect();
        Self { types, unused }
    }

    /// What a property refers to. `owner` is the definition that holds it, empty at the top.
    pub(crate) fn of_property(&mut self, type_name: &str, owner: &str, property: &str, node: &Json) -> Option<Kind> {
        let place = if owner.is_empty() { property.to_owned() } else { format!("{owner}.{property}") };
        let added = ADDED.iter().find(|(one, name, _)| *one == type_name && *name == place);
        if let Some(&(one, name, refers)) = added {
            self.unused.remove(&(one, name));
            return self.parse(refers);
        }
        let kind = self.of_schema(node)?;
        // A resource's own name is given as text: it is what others will refer to.
        let own = rust_path(type_name);
        match &kind {
            Kind::Arn(path) | Kind::Id(path) if owner.is_empty() && *path == own => None,
            _ => Some(kind),
        }
    }

    /// What an attribute is, as others will refer to it.
    pub(crate) fn of_attribute(&self, type_name: &str, attribute: &str, node: &Json) -> Option<Kind> {
        let short = type_name.rsplit("::").next().unwrap_or(type_name);
        // A replica key's attributes have a key's formats, but are told apart.
        let is_key = type_name.contains("::KMS::");
        let named_arn = attribute.strip_suffix("Arn").is_some_and(|owner| owner.is_empty() || owner == short);
        let own_arn = named_arn && (is_key || self.of_schema(node).is_none());
        if own_arn || ATTRIBUTE_IS_ARN.contains(&(type_name, attribute)) {
            return Some(Kind::Arn(rust_path(type_name)));
        }
        if is_key && attribute == "KeyId" {
            return Some(Kind::Id(rust_path(type_name)));
        }
        self.of_schema(node)
    }

    /// What `Ref` yields.
    pub(crate) fn of_reference(&self, type_name: &str) -> Kind {
        match REF_IS_ARN.iter().find(|(one, _)| *one == type_name) {
            Some((_, owner)) => Kind::Arn(rust_path(owner)),
            None => Kind::Id(rust_path(type_name)),
        }
    }

    /// Panics if an entry of [`ADDED`] met no property: the schema has changed, or the entry is misspelt.
    pub(crate) fn assert_all_used(&self) {
        assert!(self.unused.is_empty(), "no such properties in the schemas: {:?}", self.unused.keys());
    }

    fn of_schema(&self, node: &Json) -> Option<Kind> {
        if let Some(Json::Array(branches)) = node.get("anyOf") {
            let kinds: BTreeSet<Kind> = branches.iter().filter_map(|branch| self.of_one(branch)).collect();
            let key = rust_path("AWS::KMS::Key");
            let any_key = [Kind::Arn(key.clone()), Kind::Id(key), Kind::Id(rust_path("AWS::KMS::Alias"))];
            if kinds == any_key.into_iter().collect() {
                return Some(Kind::AnyKey);
            }
            return if kinds.len() == 1 { kinds.into_iter().next() } else { None };
        }
        self.of_one(node)
    }

    fn of_one(&self, node: &Json) -> Option<Kind> {
        if let Some(format) = node.get("format").and_then(Json::as_str) {
            return self.parse(format);
        }
        let refers = node.get("relationshipRef")?;
        let type_name = refers["typeName"].as_str()?;
        let property = refers["propertyPath"].as_str()?.strip_prefix("/properties/")?;
        match property {
            "Arn" => self.parse(&format!("{type_name}.Arn")),
            "DefaultSecurityGroup" => self.parse("AWS::EC2::SecurityGroup.Id"),
            _ => self.parse(&format!("{type_name}.Id")),
        }
    }

    /// `AWS::SQS::Queue.Arn` and the like; nothing for a type that is not vendored.
    fn parse(&self, refers: &str) -> Option<Kind> {
        match refers {
            ANY_KEY => return Some(Kind::AnyKey),
            ANY_FUNCTION => return Some(Kind::AnyFunction),
            _ => {}
        }
        let (type_name, part) = refers.split_once('.')?;
        let type_name = type_name.replace("AWS::ACM::", "AWS::CertificateManager::");
        if !self.types.contains(&type_name) {
            return None;
        }
        match part {
            "Arn" => Some(Kind::Arn(rust_path(&type_name))),
            // What `Ref` yields for a security group is its id; the name is another thing.
            "Name" | "Names" if type_name == "AWS::EC2::SecurityGroup" => None,
            "Id" | "Ids" | "Name" | "AliasName" => Some(Kind::Id(rust_path(&type_name))),
            _ => None,
        }
    }
}

/// `AWS::SQS::Queue` is `crate::sqs::Queue`.
fn rust_path(type_name: &str) -> String {
    let mut parts = type_name.split("::").skip(1);
    let service = parts.next().unwrap_or_default().to_lowercase();
    format!("crate::{service}::{}", parts.next().unwrap_or_default())
}
