//! Who can reach what: ports, buckets, connections without TLS.

use serde_json::Value as Json;

use super::super::documents::documents;
use super::super::{Context, property};
use crate::check::Violation;
use crate::intrinsic::references;
use crate::template::Declaration;

const EVERYWHERE: [&str; 2] = ["0.0.0.0/0", "::/0"];
const PUBLIC_ACCESS: [&str; 4] = ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"];

/// No rule of a security group lets the whole internet in.
pub(super) fn no_port_is_open_to_all(_: &Context<'_>, group: &Declaration, found: &mut Vec<Violation>) {
    let own = Json::Object(group.properties().as_map().clone());
    let inline = group.properties().get("SecurityGroupIngress").and_then(Json::as_array).into_iter().flatten();
    let rules = inline.enumerate().map(|(index, rule)| (format!("SecurityGroupIngress/{index}/"), rule));
    for (prefix, rule) in rules.chain([(String::new(), &own)]) {
        for name in ["CidrIp", "CidrIpv6"] {
            if rule[name].as_str().is_some_and(|range| EVERYWHERE.contains(&range)) {
                found.push(
                    Violation::new("ingress-open", "lets the whole internet in")
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
        document.statements().iter().any(|(_, statement)| {
            statement["Effect"] == "Deny"
                && statement
                    .pointer("/Condition/Bool/aws:SecureTransport")
                    .is_some_and(|value| *value == false || value == "false")
        })
    });
    if !demanded {
        found.push(
            Violation::new("tls-only", "takes requests without TLS")
                .of(holder)
                .hint("attach a policy that denies everything while `aws:SecureTransport` is `false`"),
        );
    }
}

/// Whether a policy is of that bucket or queue. Its document alone doesn't say: it may name others.
fn is_attached(policy: &Declaration, logical_id: &str) -> bool {
    ["Bucket", "Queues"].iter().filter_map(|name| policy.properties().get(name)).any(|subject| {
        let mut named = false;
        references(subject, &mut |reference| {
            if let crate::intrinsic::Reference::Name(name) | crate::intrinsic::Reference::Attribute(name, _) = reference
            {
                named |= name == logical_id;
            }
        });
        named
    })
}
