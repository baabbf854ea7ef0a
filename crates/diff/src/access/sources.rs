//! Where a template says who may do what, by whom or what it is about.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use serde_json::Value;

use super::condition::Demand;
use super::pattern::{Pattern, Scope};
use super::statement::{self, Atom, Effect};
use crate::model::code;
use crate::parameters::Side;
use crate::pieces::{Piece, Resolve, canonical, is_intrinsic, is_no_value, pieces, unresolved};
use crate::template::Resource;

/// What a policy is the policy of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// What a role, user or group may do, or a policy that can be attached to one.
    Identity,
    /// Who may take a role.
    Trust,
    /// Who may use a resource.
    Resource,
    /// Who may call a function.
    Function,
}

/// Whose access, or access to what.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Subject {
    pub(crate) kind: Kind,
    what: &'static str,
    name: String,
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = if self.kind == Kind::Trust { "trust of " } else { "" };
        write!(f, "{of}{} {}", self.what, code(&self.name))
    }
}

/// A part of a template that grants or denies something.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Source<'a> {
    Document(&'a Value),
    Statement(&'a Value),
    /// A policy that stands elsewhere.
    Managed(&'a Value),
    /// A policy of the template that says itself whom it is attached to.
    Attached(&'a str),
    /// The most that an identity may do, whatever else allows it.
    Boundary(&'a Value),
    /// An `AWS::Lambda::Permission`.
    Permission(Resource<'a>),
    /// An `AWS::Events::EventBusPolicy` without a statement.
    BusPermission(Resource<'a>),
    /// An access policy or group of a Kubernetes cluster, given by an `AWS::EKS::AccessEntry`.
    Cluster(Resource<'a>, &'a Value),
    /// The role of an `AWS::EKS::PodIdentityAssociation`.
    Pod(Resource<'a>, &'a Value),
    /// What a group may do.
    Member(&'a Value),
    /// An endpoint without a policy lets everything through.
    Everything,
}

/// A source, and the condition of its resource where it isn't decided.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Conditional<'a> {
    source: Source<'a>,
    condition: Option<&'a str>,
}

pub(crate) type Sources<'a> = BTreeMap<Subject, Vec<Conditional<'a>>>;

/// Resource types whose policy is about one thing: type, property of the policy, the thing it names (none for itself),
/// what that is.
const RESOURCE_POLICIES: &[(&str, &str, Option<&str>, &str)] = &[
    ("AWS::ApiGateway::RestApi", "Policy", None, "API"),
    ("AWS::DynamoDB::Table", "ResourcePolicy/PolicyDocument", None, "table"),
    ("AWS::DynamoDB::Table", "StreamSpecification/ResourcePolicy/PolicyDocument", None, "table stream"),
    ("AWS::ECR::Repository", "RepositoryPolicyText", None, "repository"),
    ("AWS::EFS::FileSystem", "FileSystemPolicy", None, "file system"),
    ("AWS::Events::EventBus", "Policy", None, "event bus"),
    ("AWS::KMS::Key", "KeyPolicy", None, "key"),
    ("AWS::KMS::ReplicaKey", "KeyPolicy", None, "key"),
    ("AWS::OpenSearchService::Domain", "AccessPolicies", None, "domain"),
    ("AWS::S3::AccessPoint", "Policy", None, "access point"),
    ("AWS::S3::BucketPolicy", "PolicyDocument", Some("Bucket"), "bucket"),
    ("AWS::SNS::TopicPolicy", "PolicyDocument", Some("Topics"), "topic"),
    ("AWS::SQS::QueuePolicy", "PolicyDocument", Some("Queues"), "queue"),
    ("AWS::SecretsManager::ResourcePolicy", "ResourcePolicy", Some("SecretId"), "secret"),
];

/// Resource types that attach a policy to identities: type, properties that name them with what they are.
const ATTACHED: &[(&str, &[(&str, &str)])] = &[
    ("AWS::IAM::GroupPolicy", &[("GroupName", "group")]),
    ("AWS::IAM::Policy", &[("Groups", "group"), ("Roles", "role"), ("Users", "user")]),
    ("AWS::IAM::RolePolicy", &[("RoleName", "role")]),
    ("AWS::IAM::UserPolicy", &[("UserName", "user")]),
];

/// Every source of a template, by its subject.
pub(crate) fn collect(side: Side<'_>) -> Sources<'_> {
    let mut sources = Sources::new();
    let Some(template) = side.template else { return sources };
    for (id, resource) in template.resources() {
        let condition = resource.attribute("Condition").and_then(Value::as_str);
        match condition.map(|name| (name, side.condition(name))) {
            Some((_, Some(false))) => {}
            Some((name, None)) => of_resource(id, resource, Some(name), &mut sources),
            None | Some((_, Some(true))) => of_resource(id, resource, None, &mut sources),
        }
    }
    sources
}

fn of_resource<'a>(id: &'a str, resource: Resource<'a>, condition: Option<&'a str>, sources: &mut Sources<'a>) {
    let mut add = |kind, what, name: String, source| {
        sources.entry(Subject { kind, what, name }).or_default().push(Conditional { source, condition });
    };
    let type_name = resource.type_name();
    match type_name {
        "AWS::IAM::Role" | "AWS::IAM::User" | "AWS::IAM::Group" => {
            let what = match type_name {
                "AWS::IAM::Role" => "role",
                "AWS::IAM::User" => "user",
                _ => "group",
            };
            for policy in items(resource.at("Policies")) {
                let document = policy.get("PolicyDocument").filter(|_| !is_intrinsic(policy)).unwrap_or(policy);
                add(Kind::Identity, what, id.to_owned(), Source::Document(document));
            }
            for managed in items(resource.at("ManagedPolicyArns")) {
                add(Kind::Identity, what, id.to_owned(), Source::Managed(managed));
            }
            if type_name == "AWS::IAM::User" {
                for group in items(resource.at("Groups")) {
                    add(Kind::Identity, what, id.to_owned(), Source::Member(group));
                }
            }
            if let Some(boundary) = resource.at("PermissionsBoundary") {
                add(Kind::Identity, what, id.to_owned(), Source::Boundary(boundary));
            }
            if let Some(trust) = resource.at("AssumeRolePolicyDocument") {
                add(Kind::Trust, what, id.to_owned(), Source::Document(trust));
            }
        }
        "AWS::IAM::ManagedPolicy" => {
            if let Some(document) = resource.at("PolicyDocument") {
                add(Kind::Identity, "policy", id.to_owned(), Source::Document(document));
            }
            for (property, what) in [("Groups", "group"), ("Roles", "role"), ("Users", "user")] {
                for holder in items(resource.at(property)) {
                    add(Kind::Identity, what, name_of(holder), Source::Attached(id));
                }
            }
        }
        "AWS::Lambda::Permission" => {
            let function = resource.at("FunctionName").map_or_else(|| id.to_owned(), name_of);
            add(Kind::Function, "function", function, Source::Permission(resource));
        }
        "AWS::Events::EventBusPolicy" => {
            let bus = resource.at("EventBusName").map_or_else(|| "default".to_owned(), name_of);
            let source = resource.at("Statement").map_or_else(|| Source::BusPermission(resource), Source::Statement);
            add(Kind::Resource, "event bus", bus, source);
        }
        "AWS::EC2::VPCEndpoint" => {
            let source = resource.at("PolicyDocument").map_or(Source::Everything, Source::Document);
            add(Kind::Resource, "VPC endpoint", id.to_owned(), source);
        }
        "AWS::EKS::AccessEntry" => {
            for property in ["AccessPolicies", "KubernetesGroups", "Type"] {
                for access in items(resource.at(property)).iter().filter(|access| *access != "STANDARD") {
                    add(Kind::Identity, "access entry", id.to_owned(), Source::Cluster(resource, access));
                }
            }
        }
        "AWS::EKS::PodIdentityAssociation" => {
            for property in ["RoleArn", "TargetRoleArn"] {
                if let Some(role) = resource.at(property) {
                    add(Kind::Identity, "pod identity", id.to_owned(), Source::Pod(resource, role));
                }
            }
            if let Some(policy) = resource.at("Policy") {
                add(Kind::Identity, "pod identity", id.to_owned(), Source::Boundary(policy));
            }
        }
        "AWS::IAM::UserToGroupAddition" => {
            let Some(group) = resource.at("GroupName") else { return };
            for user in items(resource.at("Users")) {
                add(Kind::Identity, "user", name_of(user), Source::Member(group));
            }
        }
        "AWS::DynamoDB::GlobalTable" => {
            for replica in items(resource.at("Replicas")) {
                let region = replica.get("Region").map(|region| Pattern::of(region, &unresolved).to_string());
                let name = region.map_or_else(|| id.to_owned(), |region| format!("{id}/{region}"));
                for (path, what) in [
                    (&["ResourcePolicy", "PolicyDocument"] as &[&str], "table"),
                    (&["ReplicaStreamSpecification", "ResourcePolicy", "PolicyDocument"], "table stream"),
                ] {
                    if let Some(document) = policy_in(replica, path) {
                        add(Kind::Resource, what, name.clone(), Source::Document(document));
                    }
                }
            }
        }
        _ => {
            for (_, property, names, what) in RESOURCE_POLICIES.iter().filter(|(name, ..)| *name == type_name) {
                let mut path = property.split('/');
                let first = path.next().and_then(|first| resource.at(first));
                let Some(document) = first.and_then(|first| policy_in(first, &path.collect::<Vec<_>>())) else {
                    continue;
                };
                match names {
                    None => add(Kind::Resource, what, id.to_owned(), Source::Document(document)),
                    Some(names) => {
                        for thing in items(resource.at(names)) {
                            add(Kind::Resource, what, name_of(thing), Source::Document(document));
                        }
                    }
                }
            }
            for (_, holders) in ATTACHED.iter().filter(|(name, _)| *name == type_name) {
                let Some(document) = resource.at("PolicyDocument") else { continue };
                for (property, what) in *holders {
                    for holder in items(resource.at(property)) {
                        add(Kind::Identity, what, name_of(holder), Source::Document(document));
                    }
                }
            }
        }
    }
}

/// One value or a list of them.
fn items(value: Option<&Value>) -> &[Value] {
    match value {
        None => &[],
        Some(Value::Array(items)) => items,
        Some(one) => std::slice::from_ref(one),
    }
}

/// The policy at a path, or the function above it that hides one.
fn policy_in<'a>(value: &'a Value, path: &[&str]) -> Option<&'a Value> {
    let mut value = value;
    for part in path {
        if is_intrinsic(value) {
            // Most of what a function makes is no policy.
            return value.to_string().contains("Policy").then_some(value);
        }
        value = value.get(part)?;
    }
    (!is_no_value(value)).then_some(value)
}

/// What a value names: the resource that it refers to, or its text.
fn name_of(value: &Value) -> String {
    let parts = pieces(value, &unresolved);
    let target = parts.iter().find_map(|piece| match piece {
        Piece::Reference(target, _) if !target.starts_with("AWS::") => Some((*target).to_owned()),
        _ => None,
    });
    target.unwrap_or_else(|| Pattern::of(value, &unresolved).to_string())
}

impl Conditional<'_> {
    /// What it allows and denies, if its condition holds.
    pub(crate) fn atoms(&self, kind: Kind, resolve: Resolve<'_>) -> Vec<Atom> {
        let mut atoms = self.source.atoms(kind, resolve);
        if let Some(name) = self.condition {
            atoms.iter_mut().for_each(|atom| atom.depend_on(name));
        }
        atoms
    }
}

impl Source<'_> {
    /// What it allows and denies.
    fn atoms(&self, kind: Kind, resolve: Resolve<'_>) -> Vec<Atom> {
        let named = |what: &str, value: &Value| format!("{what} {}", Pattern::of(value, resolve));
        match self {
            Self::Document(document) => {
                if is_intrinsic(document) || !document.is_object() {
                    return vec![Atom::opaque(Effect::Allow, canonical(document, resolve).to_string())];
                }
                let statements = items(document.get("Statement"));
                statements.iter().flat_map(|statement| statement::atoms(statement, kind, resolve)).collect()
            }
            Self::Statement(statement) => statement::atoms(statement, kind, resolve),
            Self::Managed(arn) => vec![Atom::opaque(Effect::Allow, named("policy", arn))],
            Self::Attached(id) => vec![Atom::opaque(Effect::Allow, format!("policy ${{{id}}}"))],
            Self::Boundary(arn) => vec![Atom::opaque(Effect::Deny, named("all beyond boundary", arn))],
            Self::Cluster(entry, access) => {
                let given = |property: &str| Pattern::of(entry.at(property).unwrap_or(&Value::Null), resolve);
                let (principal, cluster) = (given("PrincipalArn"), given("ClusterName"));
                let access = canonical(access, resolve);
                vec![Atom::opaque(Effect::Allow, format!("access {access} of {principal} to cluster {cluster}"))]
            }
            Self::Pod(association, role) => {
                let given = |property: &str| Pattern::of(association.at(property).unwrap_or(&Value::Null), resolve);
                let (namespace, account, cluster) = (given("Namespace"), given("ServiceAccount"), given("ClusterName"));
                let text = format!("{} by {namespace}/{account} of cluster {cluster}", named("role", role));
                vec![Atom::opaque(Effect::Allow, text)]
            }
            Self::Member(group) => vec![Atom::opaque(Effect::Allow, named("all of group", group))],
            Self::Everything => {
                let all = || Scope::Of(Pattern::text("*"));
                vec![Atom {
                    effect: Effect::Allow,
                    principal: all(),
                    action: all(),
                    action_text: "*".into(),
                    resource: all(),
                    conditions: Rc::new([]),
                    opaque: None,
                }]
            }
            Self::Permission(permission) => vec![of_permission(*permission, resolve)],
            Self::BusPermission(permission) => vec![of_bus_permission(*permission, resolve)],
        }
    }
}

fn of_permission(permission: Resource<'_>, resolve: Resolve<'_>) -> Atom {
    let pattern = |property: &str| permission.at(property).map(|value| Pattern::of(value, resolve));
    let principal = pattern("Principal").unwrap_or_else(|| Pattern::text("*"));
    let principal = match principal.as_text() {
        Some(text) if text.contains(".amazonaws.com") => principal.after("Service:"),
        _ if principal.is_any() => principal,
        _ => principal.after("AWS:"),
    };
    let demand = |operator: &str, key: &str, property: &str| {
        pattern(property).map(|value| Demand::new(operator, key, vec![value]))
    };
    let conditions = [
        demand("ArnLike", "aws:SourceArn", "SourceArn"),
        demand("StringEquals", "aws:SourceAccount", "SourceAccount"),
        demand("StringEquals", "aws:PrincipalOrgID", "PrincipalOrgID"),
        demand("StringEquals", "lambda:FunctionUrlAuthType", "FunctionUrlAuthType"),
        demand("StringEquals", "lambda:EventSourceToken", "EventSourceToken"),
        demand("Bool", "lambda:InvokedViaFunctionUrl", "InvokedViaFunctionUrl"),
    ];
    let action = Scope::Of(pattern("Action").unwrap_or_else(|| Pattern::text("lambda:*")));
    let mut conditions: Vec<Demand> = conditions.into_iter().flatten().collect();
    conditions.sort_unstable();
    Atom {
        effect: Effect::Allow,
        principal: Scope::Of(principal),
        action: action.lower(),
        action_text: action.to_string().into(),
        // The function is the subject; a version or alias of it is told apart by its name.
        resource: Scope::Of(pattern("FunctionName").unwrap_or_else(|| Pattern::unknown("itself"))),
        conditions: conditions.into(),
        opaque: None,
    }
}

fn of_bus_permission(permission: Resource<'_>, resolve: Resolve<'_>) -> Atom {
    let pattern = |property: &str| permission.at(property).map(|value| Pattern::of(value, resolve));
    let principal = pattern("Principal").unwrap_or_else(|| Pattern::text("*"));
    let principal = if principal.is_any() { principal } else { principal.after("AWS:") };
    let action = Scope::Of(pattern("Action").unwrap_or_else(|| Pattern::text("events:*")));
    let conditions = permission.at("Condition").filter(|condition| condition["Key"].is_string());
    let conditions = conditions.map(|condition| {
        let value = Pattern::of(&condition["Value"], resolve);
        Demand::new(
            condition["Type"].as_str().unwrap_or("StringEquals"),
            condition["Key"].as_str().unwrap_or_default(),
            vec![value],
        )
    });
    Atom {
        effect: Effect::Allow,
        principal: Scope::Of(principal),
        action: action.lower(),
        action_text: action.to_string().into(),
        resource: Scope::Of(Pattern::unknown("itself")),
        conditions: conditions.into_iter().collect(),
        opaque: None,
    }
}
