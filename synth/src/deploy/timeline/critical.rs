//! What a deployment waited for: the chain of work, each part of which waited for the one before, that ended last.

use jiff::{SignedDuration, Timestamp};

use super::record::{Lane, Operation, OperationOutcome};
use crate::deploy::system::Template;

/// When what still runs has ended: later than anything else.
const NOT_YET: Timestamp = Timestamp::MAX;

/// How much an operation may begin before what it needs has ended: CloudFormation tells the end of one and the
/// beginning of the next in any order.
const OVERLAP: SignedDuration = SignedDuration::from_secs(1);

/// Marks the lanes that decided how long the stacks took.
pub(super) fn mark_lanes(lanes: &mut [Lane]) {
    let ended =
        |lane: &Lane| lane.span.map(|span| span.ended_at.unwrap_or(NOT_YET)).filter(|_| !lane.phases.is_empty());
    let mut next = latest(lanes, |lane| ended(lane));
    while let Some(at) = next {
        lanes[at].is_critical = true;
        let needs = lanes[at].needs.clone();
        // A lane needs lanes that stand before it, so this comes to an end.
        next = latest(&lanes[..at], |lane| ended(lane).filter(|_| needs.contains(&lane.key())));
    }
}

/// Marks the operations that decided how long a stack took; what references say is taken from its template.
pub(super) fn mark_operations(operations: &mut [Operation], template: &Template) {
    let made = |operation: &Operation| {
        let is_work = !operation.is_undo && operation.verb != "delete";
        let counts = is_work && operation.outcome != OperationOutcome::Cancelled;
        counts.then(|| operation.span.ended_at.unwrap_or(NOT_YET))
    };
    let mut next = latest(operations, |operation| made(operation));
    while let Some(at) = next {
        operations[at].is_critical = true;
        let began = operations[at].span.started_at;
        let needs = template.needs_of(&operations[at].resource);
        next = latest(operations, |operation| {
            let is_before = |end: &Timestamp| end.duration_since(began) <= OVERLAP;
            let is_needed = !operation.is_critical && needs.contains(&operation.resource);
            made(operation).filter(is_before).filter(|_| is_needed)
        });
    }
}

/// The position of what has the latest time, the first of several.
fn latest<T>(items: &[T], time: impl Fn(&T) -> Option<Timestamp>) -> Option<usize> {
    let timed = items.iter().enumerate().filter_map(|(position, item)| Some((time(item)?, position)));
    timed.max_by_key(|(time, position)| (*time, std::cmp::Reverse(*position))).map(|(_, position)| position)
}
