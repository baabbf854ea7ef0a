//! Functions, their sources and permissions: AWS Lambda developer guide and API reference.

use serde_json::Value as Json;

use super::evaluate::text;
use super::{Context, property};
use crate::check::Violation;
use crate::intrinsic::Reference;
use crate::template::Declaration;

/// Most records of a batch that Lambda collects without a window, for queues.
const LARGEST_BATCH_WITHOUT_WINDOW: i64 = 10;
/// How the names of services end.
const SERVICES: [&str; 2] = [".amazonaws.com", ".amazonaws.com.cn"];

/// A mapping of a stream says where to start; the service refuses it otherwise.
pub(super) fn stream_needs_a_start(_: &Context<'_>, mapping: &Declaration, found: &mut Vec<Violation>) {
    let source = property(mapping, "EventSourceArn");
    let is_stream = match source.and_then(Reference::of) {
        Some(Reference::Attribute(_, attribute)) => attribute == "StreamArn",
        _ => source.and_then(Json::as_str).is_some_and(|arn| arn.contains(":dynamodb:") || arn.contains(":kinesis:")),
    };
    if is_stream && property(mapping, "StartingPosition").is_none() {
        found.push(
            Violation::new("starting-position", "reads a stream and does not say where to start")
                .of(mapping)
                .at("StartingPosition")
                .hint("`TRIM_HORIZON` starts with the oldest record, `LATEST` with the next one"),
        );
    }
}

/// A mapping reads one source; an ARN with a wildcard, which IAM would take, names none.
pub(super) fn a_source_is_named_in_full(context: &Context<'_>, mapping: &Declaration, found: &mut Vec<Violation>) {
    let Some(source) = property(mapping, "EventSourceArn") else { return };
    let source = text(source, context.region).known;
    if source.contains('*') {
        found.push(
            Violation::new("event-source", format!("reads `{source}`, which names no single source"))
                .of(mapping)
                .at("EventSourceArn")
                .hint("a stream's ARN holds a time stamp and can't be computed; take it as a parameter"),
        );
    }
}

/// A queue has no positions.
pub(super) fn queue_has_no_start(context: &Context<'_>, mapping: &Declaration, found: &mut Vec<Violation>) {
    if reads_a_queue(context, mapping) && property(mapping, "StartingPosition").is_some() {
        found.push(
            Violation::new("starting-position", "reads a queue, which has no position to start from")
                .of(mapping)
                .at("StartingPosition")
                .hint("leave it out"),
        );
    }
}

/// More than ten messages of a queue need a batching window of at least one second.
pub(super) fn large_batches_need_a_window(context: &Context<'_>, mapping: &Declaration, found: &mut Vec<Violation>) {
    let size = property(mapping, "BatchSize").and_then(Json::as_i64).unwrap_or(LARGEST_BATCH_WITHOUT_WINDOW);
    if !reads_a_queue(context, mapping) || size <= LARGEST_BATCH_WITHOUT_WINDOW {
        return;
    }
    let window = property(mapping, "MaximumBatchingWindowInSeconds");
    if window.is_none() || window.and_then(Json::as_i64) == Some(0) {
        found.push(
            Violation::new("batching-window", format!("asks for {size} messages at once without a batching window"))
                .of(mapping)
                .at("MaximumBatchingWindowInSeconds")
                .hint("set it to 1 or more, or take at most 10 messages"),
        );
    }
}

/// A service acts for all accounts: without a source anyone could make it call the function. An account alone would
/// let in each of its resources.
pub(super) fn services_are_told_apart(context: &Context<'_>, permission: &Declaration, found: &mut Vec<Violation>) {
    let principal = property(permission, "Principal").map(|json| text(json, context.region).known);
    let by_service = principal.is_some_and(|name| SERVICES.iter().any(|suffix| name.ends_with(suffix)));
    if by_service && property(permission, "SourceArn").is_none() {
        found.push(
            Violation::new("permission-source", "lets a service call the function on behalf of anyone")
                .of(permission)
                .at("SourceArn")
                .hint("set `SourceArn` to what may call, such as a rule"),
        );
    }
}

fn reads_a_queue(context: &Context<'_>, mapping: &Declaration) -> bool {
    let source = property(mapping, "EventSourceArn");
    context.referred(source, "AWS::SQS::Queue").is_some()
        || source.and_then(Json::as_str).is_some_and(|arn| arn.contains(":sqs:"))
}
