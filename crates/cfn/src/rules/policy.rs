//! What a careful team wants besides what AWS demands: opinions, one module a concern.
//!
//! Each can be overruled where it doesn't fit, by a reason in the resource's metadata that a reviewer reads:
//!
//! - `Accepted: {"<rule>": "<reason>"}` for any rule here but `iam-administrator`,
//! - `AnyResource: {"<Sid>": "<reason>"}` for a statement that can't name its resources,
//! - `Disposable: "<reason>"` for something that holds data nobody misses.
//!
//! A reason that excuses nothing is told too, so that reasons don't outlive what they were for.

mod alarms;
mod api;
mod asynchronous;
mod encryption;
mod iam;
mod managed;
mod network;
mod permission;
mod removal;
mod source;

use serde_json::{Map, Value as Json};

pub use iam::is_broad;

use super::{Context, Rule};
use crate::check::Violation;
use crate::template::{Declaration, Template};

const ACCEPTED: &str = "Accepted";
const ANY_RESOURCE: &str = "AnyResource";
const DISPOSABLE: &str = "Disposable";
/// Rules that no reason overrules.
const NEVER_ACCEPTED: [&str; 1] = ["iam-administrator"];
/// A reason in fewer words says nothing.
const FEWEST_WORDS: usize = 3;

/// Every rule of [`policy`] by its name, and what it wants.
pub const POLICY_RULES: &[(&str, &str)] = &[
    ("alarm-action", "an alarm tells somebody"),
    ("alarm-runbook", "an alarm's description holds the address of its runbook"),
    ("api-stage", "a stage deploys by itself, writes an access log and throttles"),
    ("api-tls", "a custom domain speaks TLS 1.2 or newer"),
    ("authorizer-cache", "a cached answer of an authorizer is for one route only"),
    ("bucket-public", "a bucket blocks all public access"),
    ("deletion-protection", "what can be protected against deletion is"),
    ("iam-action", "no statement allows all actions, or all of a service"),
    ("iam-administrator", "nobody gets a policy that allows whatever there is; no reason overrules this"),
    ("iam-federation", "a trust in an identity provider pins audience and subject"),
    ("iam-foreign", "no other account is let in without a reason"),
    ("iam-managed", "a policy that AWS maintains is attached for a reason"),
    ("iam-not", "nothing is allowed by exclusion"),
    ("iam-opaque", "a policy document stands in the template, with its actions"),
    ("iam-open", "nothing is allowed to everybody"),
    ("iam-pass-role", "roles are passed by name, and to named services"),
    ("iam-resource", "a statement names its resources, or the reason why it can't"),
    ("iam-source", "a service acts only for resources of the account (confused deputy)"),
    ("ingress-open", "no port is open to the whole internet"),
    ("invoke-dead-letters", "a failed asynchronous invocation leaves its event somewhere"),
    ("kept", "what holds data stays when its stack goes or a change replaces it"),
    ("log-retention", "a log group forgets at some time"),
    ("mapping-dead-letters", "what a mapping gives up on leaves a trace"),
    ("mapping-settings", "a mapping bisects, ends its retries, and reports single failures"),
    ("needless-reason", "a reason in the metadata excuses something"),
    ("open-route", "a route of an API asks who is calling"),
    ("own-key", "what holds data is encrypted with a customer's key"),
    ("permission-open", "only the own account and services acting for it may call a function"),
    ("queue-dead-letters", "a queue that feeds a function puts aside what fails again and again"),
    ("reason", "a reason is a sentence"),
    ("recovery", "a table can be restored to any point in time"),
    ("schedule-dead-letters", "a schedule's failed calls are kept"),
    ("subscription-dead-letters", "what a topic can't deliver to a queue or function is kept"),
    ("target-dead-letters", "what a rule can't deliver is kept"),
    ("tls-only", "buckets and queues refuse connections without TLS"),
    ("visibility-timeout", "a queue hides a message for six times the time that its reader may take"),
];

const RULES: &[Rule] = &[
    Rule { resource_type: "AWS::ApiGatewayV2::Authorizer", check: api::cached_answers_are_for_one_route },
    Rule { resource_type: "AWS::ApiGatewayV2::DomainName", check: api::domains_speak_modern_tls },
    Rule { resource_type: "AWS::ApiGatewayV2::Route", check: api::routes_ask_who_is_calling },
    Rule { resource_type: "AWS::ApiGatewayV2::Stage", check: api::stages_deploy_log_and_throttle },
    Rule { resource_type: "AWS::CloudWatch::Alarm", check: alarms::somebody_is_told },
    Rule { resource_type: "AWS::CloudWatch::Alarm", check: alarms::a_runbook_is_named },
    Rule { resource_type: "AWS::CloudWatch::CompositeAlarm", check: alarms::somebody_is_told },
    Rule { resource_type: "AWS::CloudWatch::CompositeAlarm", check: alarms::a_runbook_is_named },
    Rule { resource_type: "AWS::EC2::SecurityGroup", check: network::no_port_is_open_to_all },
    Rule { resource_type: "AWS::EC2::SecurityGroupIngress", check: network::no_port_is_open_to_all },
    Rule { resource_type: "AWS::Events::Rule", check: asynchronous::targets_have_dead_letters },
    Rule { resource_type: "AWS::IAM::Role", check: managed::attached_policies_are_known },
    Rule { resource_type: "AWS::Lambda::EventSourceMapping", check: asynchronous::mappings_have_dead_letters },
    Rule { resource_type: "AWS::Lambda::EventSourceMapping", check: asynchronous::mappings_end_their_retries },
    Rule { resource_type: "AWS::Lambda::EventInvokeConfig", check: asynchronous::invoke_configs_have_a_destination },
    Rule { resource_type: "AWS::Lambda::Function", check: asynchronous::invoked_functions_have_dead_letters },
    Rule { resource_type: "AWS::Lambda::Permission", check: permission::callers_are_of_the_account },
    Rule { resource_type: "AWS::Logs::LogGroup", check: removal::logs_have_an_end },
    Rule { resource_type: "AWS::S3::Bucket", check: network::buckets_are_private },
    Rule { resource_type: "AWS::S3::Bucket", check: network::tls_is_demanded },
    Rule { resource_type: "AWS::SNS::Subscription", check: asynchronous::subscriptions_have_dead_letters },
    Rule { resource_type: "AWS::SQS::Queue", check: network::tls_is_demanded },
    Rule { resource_type: "AWS::SQS::Queue", check: asynchronous::read_queues_have_dead_letters },
    Rule { resource_type: "AWS::SQS::Queue", check: asynchronous::visibility_outlasts_the_readers },
    Rule { resource_type: "AWS::Scheduler::Schedule", check: asynchronous::schedules_have_dead_letters },
];

/// Checks that look at resources of several types.
const GENERAL: [fn(&Context<'_>, &Declaration, &mut Vec<Violation>); 5] = [
    iam::check,
    removal::data_stays,
    removal::deletion_is_refused,
    removal::tables_can_be_restored,
    encryption::own_keys,
];

/// What is unwise in a template, in the order of declaration; opinions, where [`check`](crate::check) says facts.
///
/// The rules are those of [`POLICY_RULES`]. A rule is silent about a resource whose metadata accepts it with a reason.
pub fn policy(template: &Template, region: &str) -> Vec<Violation> {
    let context = Context { template, region };
    let mut found = Vec::new();
    for declaration in template.resources() {
        let mut own = Vec::new();
        for check in GENERAL {
            check(&context, declaration, &mut own);
        }
        for rule in RULES.iter().filter(|rule| rule.resource_type == declaration.type_name()) {
            (rule.check)(&context, declaration, &mut own);
        }
        weigh_reasons(declaration, &mut own);
        found.append(&mut own);
    }
    found
}

/// Takes out what is accepted, and tells reasons that are none or that excuse nothing.
fn weigh_reasons(declaration: &Declaration, found: &mut Vec<Violation>) {
    for (rule, reason) in reasons(declaration, ACCEPTED) {
        let path = format!("{ACCEPTED}/{rule}");
        let before = found.len();
        if !NEVER_ACCEPTED.contains(&rule) {
            found.retain(|violation| violation.rule != rule);
        }
        let excused = found.len() < before;
        tell_reason(declaration, &path, reason, excused, found);
    }
}

/// Reports a reason in the metadata that says nothing or excuses nothing.
fn tell_reason(declaration: &Declaration, path: &str, reason: &Json, excused: bool, found: &mut Vec<Violation>) {
    let words = reason.as_str().map_or(0, |text| text.split_whitespace().count());
    if words < FEWEST_WORDS {
        found.push(
            Violation::new("reason", format!("the metadata's `{path}` gives no reason"))
                .of(declaration)
                .hint("say in a sentence why it is right here, for whoever reviews it"),
        );
    } else if !excused {
        found.push(
            Violation::new("needless-reason", format!("the metadata's `{path}` excuses nothing"))
                .note()
                .of(declaration)
                .hint("take it out"),
        );
    }
}

/// The reasons under a key of the metadata.
fn reasons<'a>(declaration: &'a Declaration, key: &str) -> impl Iterator<Item = (&'a str, &'a Json)> + use<'a> {
    let map = declaration.metadata(key).and_then(Json::as_object);
    map.into_iter().flat_map(Map::iter).map(|(name, reason)| (name.as_str(), reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_about_vendored_types() {
        for rule in RULES {
            assert!(crate::describe(rule.resource_type).is_some(), "{}", rule.resource_type);
        }
    }

    #[test]
    fn names_are_sorted_and_given_once() {
        assert!(POLICY_RULES.is_sorted_by(|(left, _), (right, _)| left < right));
    }
}
