//! Queues: Amazon SQS developer guide.

use serde_json::Value as Json;

use super::{Context, property};
use crate::check::Violation;
use crate::template::Declaration;

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
