//! What nobody waits for: every event that can't be handled stays somewhere, and no retry goes on for ever.
//!
//! Source: the Lambda, EventBridge and EventBridge Scheduler guides on error handling.

use serde_json::Value as Json;

use super::super::select::places;
use super::super::{Context, items, property};
use crate::check::Violation;
use crate::intrinsic::{Reference, references};
use crate::template::Declaration;

/// A stream keeps its records for 24 hours; a record that waits longer is lost before the mapping gives up on it.
const STREAM_SECONDS: i64 = 86_400;
/// Seconds that a message stays hidden where nothing is said.
const DEFAULT_VISIBILITY: i64 = 30;
/// Seconds that a function may run where nothing is said.
const DEFAULT_TIMEOUT: i64 = 3;
/// Protocols of deliveries to machines of ours; a mail or a text message that can't be delivered helps nobody later.
const KEPT_PROTOCOLS: [&str; 2] = ["lambda", "sqs"];
const REPORT_FAILURES: &str = "ReportBatchItemFailures";

/// What the mapping of a stream gives up on leaves at least a pointer.
pub(super) fn mappings_have_dead_letters(context: &Context<'_>, mapping: &Declaration, found: &mut Vec<Violation>) {
    let path = "DestinationConfig/OnFailure/Destination";
    if source(context, mapping) == Source::Stream && property(mapping, path).is_none() {
        found.push(
            Violation::new("mapping-dead-letters", "forgets the records that it gives up on")
                .of(mapping)
                .at(path)
                .hint("name a queue with an alarm"),
        );
    }
}

/// One bad record must neither stop its shard for a day nor take its whole batch with it.
pub(super) fn mappings_end_their_retries(context: &Context<'_>, mapping: &Declaration, found: &mut Vec<Violation>) {
    let source = source(context, mapping);
    let mut want = |path: &str, message: &str, hint: &str| {
        found.push(Violation::new("mapping-settings", message).of(mapping).at(path).hint(hint));
    };
    if source != Source::Other && !items(mapping, "FunctionResponseTypes").iter().any(|one| one == REPORT_FAILURES) {
        want(
            "FunctionResponseTypes",
            "repeats whole batches for the sake of one record",
            "set `ReportBatchItemFailures`, and return what failed",
        );
    }
    if source != Source::Stream {
        return;
    }
    if property(mapping, "BisectBatchOnFunctionError").is_none_or(|value| *value == false) {
        want(
            "BisectBatchOnFunctionError",
            "does not narrow down a batch that makes the function fail",
            "set it to `true`",
        );
    }
    // -1 is without end, and what holds where nothing is said.
    if property(mapping, "MaximumRetryAttempts").is_none_or(|value| value.as_i64() == Some(-1)) {
        want(
            "MaximumRetryAttempts",
            "retries without end",
            "set it to 0 or more; `MaximumRecordAgeInSeconds` ends retries too",
        );
    }
    let age = property(mapping, "MaximumRecordAgeInSeconds");
    if age.is_none_or(|age| age.as_i64().is_some_and(|seconds| !(0..STREAM_SECONDS).contains(&seconds))) {
        want(
            "MaximumRecordAgeInSeconds",
            "waits for records that the stream no longer has",
            "set it to less than 24 hours, 86400 seconds",
        );
    }
}

/// A message stays hidden for six times the function's timeout and the batching window: Lambda retries a throttled
/// batch meanwhile. Lambda itself only refuses less than the timeout ("Using Lambda with Amazon SQS").
pub(super) fn visibility_outlasts_the_readers(context: &Context<'_>, queue: &Declaration, found: &mut Vec<Violation>) {
    let seconds = |declaration: &Declaration, name: &str, otherwise: i64| match property(declaration, name) {
        None => Some(otherwise),
        Some(set) => set.as_i64(),
    };
    let Some(visibility) = seconds(queue, "VisibilityTimeout", DEFAULT_VISIBILITY) else { return };
    for mapping in readers(context, queue) {
        let Some(function) = context.referred(property(mapping, "FunctionName"), "AWS::Lambda::Function") else {
            continue;
        };
        let timeout = seconds(function, "Timeout", DEFAULT_TIMEOUT);
        let window = seconds(mapping, "MaximumBatchingWindowInSeconds", 0);
        let (Some(timeout), Some(window)) = (timeout, window) else { continue };
        let least = 6 * timeout + window;
        if visibility < least {
            let reader = function.logical_id();
            let message = format!(
                "hides messages for {visibility} s, but `{reader}` reads it, waits {window} s for a batch and may run for {timeout} s"
            );
            found.push(
                Violation::new("visibility-timeout", message)
                    .of(queue)
                    .at("VisibilityTimeout")
                    .hint(format!("at least six times the timeout, and the window: {least} s")),
            );
        }
    }
}

/// The mappings that read a queue of the template.
fn readers<'a>(context: &Context<'a>, queue: &Declaration) -> impl Iterator<Item = &'a Declaration> {
    let queue = queue.logical_id().to_owned();
    let mappings = context.template.resources().filter(|other| other.type_name() == "AWS::Lambda::EventSourceMapping");
    mappings
        .filter(move |mapping| property(mapping, "EventSourceArn").and_then(Reference::target) == Some(queue.as_str()))
}

/// What a topic can't deliver to a queue or a function is gone after its retries.
pub(super) fn subscriptions_have_dead_letters(_: &Context<'_>, subscription: &Declaration, found: &mut Vec<Violation>) {
    let protocol = property(subscription, "Protocol").and_then(Json::as_str).unwrap_or_default();
    if KEPT_PROTOCOLS.contains(&protocol) && property(subscription, "RedrivePolicy").is_none() {
        found.push(
            Violation::new("subscription-dead-letters", "forgets the messages that it can't deliver")
                .of(subscription)
                .at("RedrivePolicy")
                .hint("name a queue whose policy lets the topic send"),
        );
    }
}

/// A queue that a function reads puts aside what fails again and again.
pub(super) fn read_queues_have_dead_letters(context: &Context<'_>, queue: &Declaration, found: &mut Vec<Violation>) {
    if let Some(reader) = readers(context, queue).next()
        && property(queue, "RedrivePolicy").is_none()
    {
        let message =
            format!("`{}` reads it, and what fails there comes again until it is too old", reader.logical_id());
        found.push(
            Violation::new("queue-dead-letters", message)
                .of(queue)
                .at("RedrivePolicy")
                .hint("name a dead-letter queue and a `maxReceiveCount` of 5 or so"),
        );
    }
}

/// The function's own dead letters don't hold what the rule couldn't deliver to it.
pub(super) fn targets_have_dead_letters(_: &Context<'_>, rule: &Declaration, found: &mut Vec<Violation>) {
    let no_targets = items(rule, "Targets").is_empty();
    for (path, arn) in places(rule, "Targets/*/DeadLetterConfig/Arn").into_iter().filter(|_| !no_targets) {
        if arn.is_none() {
            found.push(
                Violation::new("target-dead-letters", "forgets the events that it can't deliver")
                    .of(rule)
                    .at(path)
                    .hint("name a queue whose policy lets this rule send"),
            );
        }
    }
}

/// A schedule retries for a day and then forgets.
pub(super) fn schedules_have_dead_letters(_: &Context<'_>, schedule: &Declaration, found: &mut Vec<Violation>) {
    let path = "Target/DeadLetterConfig/Arn";
    if property(schedule, path).is_none() {
        found.push(
            Violation::new("schedule-dead-letters", "forgets the calls that fail")
                .of(schedule)
                .at(path)
                .hint("name a queue that the schedule's role may send to"),
        );
    }
}

/// An invoke configuration without a destination leaves nothing behind.
pub(super) fn invoke_configs_have_a_destination(_: &Context<'_>, config: &Declaration, found: &mut Vec<Violation>) {
    let path = "DestinationConfig/OnFailure/Destination";
    if property(config, path).is_none() {
        found.push(
            Violation::new("invoke-dead-letters", "forgets the events that fail")
                .of(config)
                .at(path)
                .hint("name a queue that the function's role may send to"),
        );
    }
}

/// A function that a rule, a schedule or a topic calls has nobody waiting for its answer.
pub(super) fn invoked_functions_have_dead_letters(
    context: &Context<'_>,
    function: &Declaration,
    found: &mut Vec<Violation>,
) {
    if property(function, "DeadLetterConfig/TargetArn").is_some() {
        return;
    }
    let calls = |other: &&Declaration| {
        let property = match other.type_name() {
            "AWS::Events::Rule" => "Targets",
            "AWS::SNS::Subscription" => "Endpoint",
            "AWS::Scheduler::Schedule" => "Target",
            _ => return false,
        };
        other.properties().get(property).is_some_and(|json| refers(json, function.logical_id()))
    };
    let configured = context.template.resources().any(|other| {
        other.type_name() == "AWS::Lambda::EventInvokeConfig"
            && other.properties().get("FunctionName").is_some_and(|json| refers(json, function.logical_id()))
    });
    if let Some(caller) = context.template.resources().find(calls).filter(|_| !configured) {
        let message = format!("`{}` calls it without waiting, and what fails is forgotten", caller.logical_id());
        found.push(
            Violation::new("invoke-dead-letters", message)
                .of(function)
                .hint("add an `AWS::Lambda::EventInvokeConfig` with a destination for failures"),
        );
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Stream,
    Queue,
    /// Kafka and others, whose settings differ.
    Other,
}

/// What a mapping reads; a stream that comes as a parameter is known by its starting position.
fn source(context: &Context<'_>, mapping: &Declaration) -> Source {
    let arn = property(mapping, "EventSourceArn");
    let literal = arn.and_then(Json::as_str).unwrap_or_default();
    let kafka = ["AmazonManagedKafkaEventSourceConfig", "SelfManagedEventSource", "Topics"];
    if literal.contains(":sqs:") || context.referred(arn, "AWS::SQS::Queue").is_some() {
        Source::Queue
    } else if kafka.iter().any(|name| property(mapping, name).is_some()) {
        Source::Other
    } else if property(mapping, "StartingPosition").is_some()
        || literal.contains(":dynamodb:")
        || literal.contains(":kinesis:")
        || matches!(arn.and_then(Reference::of), Some(Reference::Attribute(_, "StreamArn")))
    {
        Source::Stream
    } else {
        Source::Other
    }
}

fn refers(json: &Json, logical_id: &str) -> bool {
    let mut named = false;
    references(json, &mut |reference| {
        if let Reference::Name(name) | Reference::Attribute(name, _) = reference {
            named |= name == logical_id;
        }
    });
    named
}
