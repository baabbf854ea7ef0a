//! Queues: Amazon SQS developer guide, and "Using Lambda with Amazon SQS".

use serde_json::Value as Json;

use super::{Context, property};
use crate::check::Violation;
use crate::template::Declaration;

/// Seconds that a message stays hidden where nothing is said.
const DEFAULT_VISIBILITY: i64 = 30;
/// Seconds that a function may run where nothing is said.
const DEFAULT_TIMEOUT: i64 = 3;

/// A message must stay hidden for six times the function's timeout: Lambda retries a throttled batch meanwhile.
pub(super) fn visibility_outlasts_the_function(
    context: &Context<'_>,
    mapping: &Declaration,
    found: &mut Vec<Violation>,
) {
    let Some(queue) = context.referred(property(mapping, "EventSourceArn"), "AWS::SQS::Queue") else {
        return;
    };
    let Some(function) = context.referred(property(mapping, "FunctionName"), "AWS::Lambda::Function") else {
        return;
    };
    let seconds = |declaration: &Declaration, name: &str, otherwise: i64| match property(declaration, name) {
        None => Some(otherwise),
        Some(set) => set.as_i64(),
    };
    let (Some(visibility), Some(timeout)) =
        (seconds(queue, "VisibilityTimeout", DEFAULT_VISIBILITY), seconds(function, "Timeout", DEFAULT_TIMEOUT))
    else {
        return;
    };
    if visibility < 6 * timeout {
        let message = format!(
            "hides messages for {visibility} s, but `{}` reads it and may run for {timeout} s",
            function.logical_id()
        );
        found.push(
            Violation::new("visibility-timeout", message)
                .of(queue)
                .at("VisibilityTimeout")
                .hint(format!("at least six times as long: {} s", 6 * timeout)),
        );
    }
}

/// SQS takes a FIFO queue's name only with the suffix, and the suffix only on a FIFO queue.
pub(super) fn fifo_names_end_in_fifo(_: &Context<'_>, queue: &Declaration, found: &mut Vec<Violation>) {
    let Some(name) = property(queue, "QueueName").and_then(Json::as_str) else {
        return;
    };
    let message = match (is_fifo(queue), name.ends_with(".fifo")) {
        (true, false) => format!("`{name}` is the name of a FIFO queue and does not end in `.fifo`"),
        (false, true) => format!("`{name}` ends in `.fifo`, but the queue is no FIFO queue"),
        _ => return,
    };
    found.push(
        Violation::new("fifo-name", message).of(queue).at("QueueName").hint("set `FifoQueue` and the suffix together"),
    );
}

/// A FIFO queue's dead letters go to a FIFO queue, a standard queue's to a standard queue.
pub(super) fn dead_letters_are_of_the_same_kind(
    context: &Context<'_>,
    queue: &Declaration,
    found: &mut Vec<Violation>,
) {
    let path = "RedrivePolicy/deadLetterTargetArn";
    let Some(target) = context.referred(property(queue, path), "AWS::SQS::Queue") else {
        return;
    };
    if is_fifo(queue) != is_fifo(target) {
        let message =
            format!("gives its dead letters to `{}`, and only one of the two is a FIFO queue", target.logical_id());
        found.push(
            Violation::new("dead-letter-kind", message).of(queue).at(path).hint("set `FifoQueue` on both or on none"),
        );
    }
}

fn is_fifo(queue: &Declaration) -> bool {
    property(queue, "FifoQueue").and_then(Json::as_bool) == Some(true)
}
