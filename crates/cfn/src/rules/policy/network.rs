//! Who can reach what: ports, buckets, connections without TLS.

use serde_json::Value as Json;

use super::super::documents::documents;
use super::super::evaluate::text;
use super::super::{Context, property};
use crate::check::Violation;
use crate::intrinsic::{Reference, references};
use crate::template::Declaration;

/// The least bits of a network that is still somebody's: all of 10.0.0.0/8, and what a provider gets of IPv6.
const PREFIXES: [(&str, u8); 2] = [("CidrIp", 8), ("CidrIpv6", 32)];
const PUBLIC_ACCESS: [&str; 4] = ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"];

/// No rule of a security group lets the whole internet in.
pub(super) fn no_port_is_open_to_all(context: &Context<'_>, group: &Declaration, found: &mut Vec<Violation>) {
    let own = Json::Object(group.properties().as_map().clone());
    let inline = group.properties().get("SecurityGroupIngress").and_then(Json::as_array).into_iter().flatten();
    let rules = inline.enumerate().map(|(index, rule)| (format!("SecurityGroupIngress/{index}/"), rule));
    for (prefix, rule) in rules.chain([(String::new(), &own)]) {
        for (name, least) in PREFIXES {
            let network = text(&rule[name], context.region).known;
            let bits = network.rsplit_once('/').and_then(|(_, bits)| bits.parse::<u8>().ok());
            if bits.is_some_and(|bits| bits < least) {
                let message = format!("lets in `{network}`, the internet or a great part of it");
                found.push(
                    Violation::new("ingress-open", message)
                        .of(group)
                        .at(format!("{prefix}{name}"))
                        .hint("name the network or the security group that may connect"),
                );
            }
        }
    }
}

/// Each of the four switches closes another way to make a bucket public.
pub(super) fn buckets_are_private(_: &Context<'_>, bucket: &Declaration, found: &mut Vec<Violation>) {
    for switch in PUBLIC_ACCESS {
        let path = format!("PublicAccessBlockConfiguration/{switch}");
        if property(bucket, &path).is_none_or(|value| *value == false) {
            found.push(
                Violation::new("bucket-public", "does not block public access")
                    .of(bucket)
                    .at(path)
                    .hint("set it to `true`"),
            );
        }
    }
}

/// Buckets and queues take requests without TLS unless their policy denies them.
pub(super) fn tls_is_demanded(context: &Context<'_>, holder: &Declaration, found: &mut Vec<Violation>) {
    let policies = context.template.resources().filter(|other| {
        let is_policy = matches!(other.type_name(), "AWS::S3::BucketPolicy" | "AWS::SQS::QueuePolicy");
        is_policy && is_attached(other, holder.logical_id())
    });
    let demanded = policies.flat_map(documents).any(|document| {
        document.statements().iter().any(|(_, statement)| denies_all_without_tls(context, holder, statement))
    });
    if !demanded {
        found.push(Violation::new("tls-only", "takes requests without TLS").of(holder).hint(
            "attach a policy that denies everybody every action on all of it while `aws:SecureTransport` is `false`",
        ));
    }
}

/// Whether the statement denies everything to everybody, under no other condition than that there is no TLS.
fn denies_all_without_tls(context: &Context<'_>, holder: &Declaration, statement: &Json) -> bool {
    let read = |json: &Json| text(json, context.region).known;
    let everybody = statement["Principal"] == "*" || one_or_many(&statement["Principal"]["AWS"]).any(|one| *one == "*");
    let is_bucket = holder.type_name() == "AWS::S3::Bucket";
    let all = if is_bucket { "s3:*" } else { "sqs:*" };
    let every_action = one_or_many(&statement["Action"]).map(read).any(|action| action == "*" || action == all);
    let conditions = statement["Condition"].as_object().filter(|operators| operators.len() == 1);
    let keys = conditions.and_then(|operators| operators.get("Bool")?.as_object()).filter(|keys| keys.len() == 1);
    let without_tls = keys.and_then(|keys| keys.get("aws:SecureTransport"));
    let without_tls = without_tls.is_some_and(|value| *value == false || value == "false");
    let resources: Vec<(&Json, String)> =
        one_or_many(&statement["Resource"]).map(|resource| (resource, read(resource))).collect();
    let every_resource = if is_bucket {
        let objects = |known: &str| known.ends_with("/*");
        resources.iter().any(|(_, known)| objects(known)) && resources.iter().any(|(_, known)| !objects(known))
    } else {
        resources
            .iter()
            .any(|(resource, known)| known == "*" || Reference::target(resource) == Some(holder.logical_id()))
    };
    statement["Effect"] == "Deny" && everybody && every_action && without_tls && every_resource
}

/// One value, or each of a list.
fn one_or_many(json: &Json) -> impl Iterator<Item = &Json> {
    json.as_array().map_or_else(|| std::slice::from_ref(json), Vec::as_slice).iter()
}

/// Whether a policy is of that bucket or queue. Its document alone doesn't say: it may name others.
fn is_attached(policy: &Declaration, logical_id: &str) -> bool {
    ["Bucket", "Queues"].iter().filter_map(|name| policy.properties().get(name)).any(|subject| {
        let mut named = false;
        references(subject, &mut |reference| {
            if let Reference::Name(name) | Reference::Attribute(name, _) = reference {
                named |= name == logical_id;
            }
        });
        named
    })
}
