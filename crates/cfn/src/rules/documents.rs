//! Policy documents, wherever a template holds them, and what AWS refuses in them.
//!
//! Sources: "IAM JSON policy elements reference", "IAM and AWS STS quotas" and the quota pages of the services that
//! hold resource policies, as of November 2026. Whether a document is wise is judged in `policy::iam`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Context;
use super::evaluate::text;
use super::select::found;
use crate::check::Violation;
use crate::intrinsic::{Reference, is_intrinsic};
use crate::template::Declaration;

/// Whom a document speaks about, which decides what it must and must not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// What the holder of a role may do.
    Identity,
    /// Who may take a role.
    Trust,
    /// Who may do what with the resource that it is attached to.
    Resource,
    /// As [`Self::Resource`], for a key: its `*` means the key.
    Key,
    /// What may pass an endpoint; it permits nothing by itself.
    Endpoint,
}

/// A property that holds policy documents.
struct Holder {
    resource_type: &'static str,
    path: &'static str,
    kind: Kind,
    /// Characters that the service takes, without white space.
    most: usize,
}

const fn holder(resource_type: &'static str, path: &'static str, kind: Kind, most: usize) -> Holder {
    Holder { resource_type, path, kind, most }
}

/// A property whose document isn't inside a list: `Policies/*` is summed up, since the limit is for all of a role.
const HOLDERS: [Holder; 20] = [
    holder(
        "AWS::DynamoDB::GlobalTable",
        "Replicas/*/ReplicaStreamSpecification/ResourcePolicy/PolicyDocument",
        Kind::Resource,
        20_480,
    ),
    holder("AWS::DynamoDB::GlobalTable", "Replicas/*/ResourcePolicy/PolicyDocument", Kind::Resource, 20_480),
    holder("AWS::DynamoDB::Table", "ResourcePolicy/PolicyDocument", Kind::Resource, 20_480),
    holder("AWS::DynamoDB::Table", "StreamSpecification/ResourcePolicy/PolicyDocument", Kind::Resource, 20_480),
    holder("AWS::EC2::VPCEndpoint", "PolicyDocument", Kind::Endpoint, 20_480),
    holder("AWS::ECR::Repository", "RepositoryPolicyText", Kind::Resource, 10_240),
    holder("AWS::Events::EventBus", "Policy", Kind::Resource, 10_240),
    holder("AWS::Events::EventBusPolicy", "Statement", Kind::Resource, 10_240),
    holder("AWS::IAM::ManagedPolicy", "PolicyDocument", Kind::Identity, 6_144),
    holder("AWS::IAM::Role", "AssumeRolePolicyDocument", Kind::Trust, 2_048),
    holder("AWS::IAM::Role", "Policies/*/PolicyDocument", Kind::Identity, 10_240),
    holder("AWS::IAM::RolePolicy", "PolicyDocument", Kind::Identity, 10_240),
    holder("AWS::KMS::Key", "KeyPolicy", Kind::Key, 32_768),
    holder("AWS::KMS::ReplicaKey", "KeyPolicy", Kind::Key, 32_768),
    holder("AWS::Logs::LogGroup", "ResourcePolicyDocument", Kind::Resource, 5_120),
    holder("AWS::S3::BucketPolicy", "PolicyDocument", Kind::Resource, 20_480),
    holder("AWS::SNS::TopicPolicy", "PolicyDocument", Kind::Resource, 30_720),
    holder("AWS::SQS::QueuePolicy", "PolicyDocument", Kind::Resource, 8_192),
    holder("AWS::SecretsManager::ResourcePolicy", "ResourcePolicy", Kind::Resource, 20_480),
    holder("AWS::EKS::PodIdentityAssociation", "Policy", Kind::Identity, 2_048),
];

/// A document of a resource.
pub(super) struct Document<'a> {
    pub(super) kind: Kind,
    pub(super) path: String,
    most: usize,
    json: Cow<'a, Json>,
}

impl Document<'_> {
    /// Statements with their paths. A document may hold one without a list, and a bus policy is a statement itself.
    pub(super) fn statements(&self) -> Vec<(String, &Json)> {
        match self.json.get("Statement") {
            Some(Json::Array(statements)) => {
                let path = |index: usize| format!("{}/Statement/{index}", self.path);
                statements.iter().enumerate().map(|(index, one)| (path(index), one)).collect()
            }
            Some(one) => vec![(format!("{}/Statement", self.path), one)],
            None if self.json.get("Effect").is_some() => vec![(self.path.clone(), &*self.json)],
            None => Vec::new(),
        }
    }

    /// True if the template holds only something that becomes a document when it is deployed.
    pub(super) fn is_opaque(&self) -> bool {
        is_intrinsic(&self.json)
    }
}

/// The documents that a resource holds.
pub(super) fn documents(declaration: &Declaration) -> Vec<Document<'_>> {
    let holders = HOLDERS.iter().filter(|holder| holder.resource_type == declaration.type_name());
    let documents = holders.flat_map(|holder| {
        found(declaration, holder.path).into_iter().map(|(path, json)| {
            // Some properties take a document as text.
            let parsed = json.as_str().and_then(|text| serde_json::from_str(text).ok());
            let json = parsed.map_or(Cow::Borrowed(json), Cow::Owned);
            Document { kind: holder.kind, path, most: holder.most, json }
        })
    });
    documents.collect()
}

/// What IAM and the services refuse: documents that are too long, ids given twice, elements that don't belong there.
pub(super) fn check(context: &Context<'_>, declaration: &Declaration, found: &mut Vec<Violation>) {
    let documents = documents(declaration);
    lengths(context, declaration, &documents, found);
    for document in &documents {
        sids(declaration, document, found);
        for (path, statement) in document.statements() {
            elements(declaration, document.kind, &path, statement, found);
        }
    }
}

/// Inline documents of a role share one limit; every other document has its own.
fn lengths(context: &Context<'_>, declaration: &Declaration, documents: &[Document<'_>], found: &mut Vec<Violation>) {
    let mut sums: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for document in documents {
        let place = document.path.split_once('/').map_or(document.path.as_str(), |(first, _)| first);
        let place = if place == "Policies" { place } else { &document.path };
        let sum = sums.entry(place).or_insert((0, document.most));
        sum.0 += least_length(&document.json, context.region);
    }
    for (path, (length, most)) in sums.into_iter().filter(|(_, (length, most))| length > most) {
        let message = format!("has at least {length} characters without white space, at most {most} are accepted");
        found.push(
            Violation::new("policy-length", message)
                .of(declaration)
                .at(path)
                .hint("join statements that differ only in their actions or resources, or split the role"),
        );
    }
}

/// Characters of the document as JSON without white space, each unknown value counted as the shortest one.
fn least_length(json: &Json, region: &str) -> usize {
    // No ARN is shorter; anything else may be a single character.
    const SHORTEST_ARN: usize = "arn:aws:s3:::abc".len();
    match json {
        intrinsic if is_intrinsic(intrinsic) => {
            let arn = matches!(Reference::of(json), Some(Reference::Attribute(_, name)) if name.ends_with("Arn"));
            let known = text(json, region).known.chars().filter(|one| !one.is_whitespace()).count();
            2 + known.max(if arn { SHORTEST_ARN } else { 1 })
        }
        Json::String(text) => 2 + text.chars().filter(|one| !one.is_whitespace()).count(),
        Json::Array(items) => {
            items.iter().map(|item| least_length(item, region) + 1).sum::<usize>() + 2 - usize::from(!items.is_empty())
        }
        Json::Object(map) => {
            let entries = map.iter().map(|(name, value)| name.chars().count() + 4 + least_length(value, region));
            entries.sum::<usize>() + 2 - usize::from(!map.is_empty())
        }
        other => other.to_string().len(),
    }
}

/// A statement id names one statement of its document; IAM takes letters and digits only.
fn sids(declaration: &Declaration, document: &Document<'_>, found: &mut Vec<Violation>) {
    let statements = document.statements();
    for (index, (path, statement)) in statements.iter().enumerate() {
        let Some(sid) = statement["Sid"].as_str() else { continue };
        if statements[..index].iter().any(|(_, earlier)| earlier["Sid"] == statement["Sid"]) {
            found.push(
                Violation::new("policy-sid", format!("`{sid}` is the id of an earlier statement of this document"))
                    .of(declaration)
                    .at(format!("{path}/Sid"))
                    .hint("give each statement an id of its own"),
            );
        }
        let strict = matches!(document.kind, Kind::Identity | Kind::Trust);
        if strict && !sid.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            found.push(
                Violation::new("policy-sid", format!("`{sid}` has more than letters and digits"))
                    .of(declaration)
                    .at(format!("{path}/Sid"))
                    .hint("write words together, as in `ReadOrders`"),
            );
        }
    }
}

/// Which elements a statement needs and which it must not have.
fn elements(declaration: &Declaration, kind: Kind, path: &str, statement: &Json, found: &mut Vec<Violation>) {
    if is_intrinsic(statement) {
        return;
    }
    let has = |names: [&str; 2]| names.iter().any(|name| statement.get(name).is_some());
    let mut report = |message: String, hint: &str| {
        found.push(Violation::new("policy-element", message).of(declaration).at(path).hint(hint));
    };
    if !matches!(statement["Effect"].as_str(), Some("Allow" | "Deny")) {
        report("the statement neither allows nor denies".to_owned(), "set `Effect` to `Allow` or `Deny`");
    }
    if !has(["Action", "NotAction"]) {
        report("the statement has no `Action`".to_owned(), "name the actions");
    }
    let (principal, resource) = (has(["Principal", "NotPrincipal"]), has(["Resource", "NotResource"]));
    match kind {
        Kind::Identity if principal => {
            report("a role's own policy has no `Principal`".to_owned(), "leave it out: the role is meant");
        }
        Kind::Trust if resource => {
            report("a trust policy has no `Resource`".to_owned(), "leave it out: the role is meant");
        }
        _ => {}
    }
    if kind == Kind::Identity && !resource {
        report("the statement has no `Resource`".to_owned(), "name the resources");
    }
    if kind != Kind::Identity && !principal {
        report("the statement has no `Principal`".to_owned(), "say who is meant");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::Shape;

    /// A property of a vendored type that looks like a policy document is judged, or is named here with the reason.
    #[test]
    fn no_property_with_a_document_is_forgotten() {
        let not_iam = [
            // What a log group or topic masks, keeps, delivers or moves on; no statement of IAM's language.
            "AWS::Logs::LogGroup DataProtectionPolicy",
            "AWS::SNS::Subscription DeliveryPolicy",
            "AWS::SNS::Subscription FilterPolicy",
            "AWS::SNS::Subscription RedrivePolicy",
            "AWS::SNS::Subscription ReplayPolicy",
            "AWS::SNS::Topic ArchivePolicy",
            "AWS::SNS::Topic DataProtectionPolicy",
            "AWS::SQS::Queue RedriveAllowPolicy",
            "AWS::SQS::Queue RedrivePolicy",
        ];
        let mut unknown = Vec::new();
        for type_name in crate::type_names() {
            let schema = crate::describe(type_name).expect("every named type is described").schema;
            for (name, property) in schema.with_parts().iter().flat_map(|schema| schema.properties()) {
                let free = property.shapes().contains(&Shape::Object) || property.shapes().len() > 1;
                let named = name.contains("Policy") && free;
                let known = HOLDERS
                    .iter()
                    .any(|one| one.resource_type == type_name && one.path.rsplit('/').next() == Some(*name));
                let told = format!("{type_name} {name}");
                if named && !known && !not_iam.contains(&told.as_str()) {
                    unknown.push(told);
                }
            }
        }
        assert_eq!(unknown, [""; 0]);
    }

    #[test]
    fn every_holder_leads_to_a_property() {
        for holder in &HOLDERS {
            let description = crate::describe(holder.resource_type).expect(holder.resource_type);
            assert!(description.property(holder.path).is_some(), "{} {}", holder.resource_type, holder.path);
        }
    }
}
