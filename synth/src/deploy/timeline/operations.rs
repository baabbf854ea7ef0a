//! Makes operations with a start and an end out of CloudFormation's events, each of which is one moment only.

use jiff::Timestamp;

use super::record::{Operation, OperationOutcome, Span};
use crate::deploy::cloud::Event;
use crate::deploy::failure::is_real_failure;
use crate::deploy::system::Template;

/// An event, and the moment at which it happened.
pub(crate) struct Moment<'a> {
    pub(crate) at: Timestamp,
    pub(crate) event: &'a Event,
}

/// The operations on a stack's resources, in the order in which they began.
///
/// CloudFormation says twice that a creation is in progress, and once more for what replaces a resource; that is one
/// operation each. A failure that nothing preceded is an operation without length.
pub(crate) fn operations(moments: &[Moment<'_>], template: &Template) -> Vec<Operation> {
    let mut operations: Vec<Operation> = Vec::new();
    let mut undoes = false;
    for Moment { at, event } in moments {
        if event.is_of_stack() {
            undoes = event.status.contains("ROLLBACK");
            continue;
        }
        let Some((verb, state)) = parts(&event.status) else { continue };
        let verb = verb.to_lowercase().replace('_', " ");
        let runs = |operation: &&mut Operation| {
            operation.resource == event.logical_id && operation.outcome == OperationOutcome::Running
        };
        let open = operations.iter_mut().rev().find(runs);
        let is_same = open.as_ref().is_some_and(|open| open.verb == verb);
        let outcome = match state {
            State::InProgress => OperationOutcome::Running,
            State::Ended(outcome) => {
                let is_cancelled = outcome == OperationOutcome::Failed && !is_real_failure(event);
                if is_cancelled { OperationOutcome::Cancelled } else { outcome }
            }
        };
        if let Some(open) = open {
            if is_same {
                open.replaces |= says_replacement(event);
                if outcome != OperationOutcome::Running {
                    open.outcome = outcome;
                    open.span.ended_at = Some((*at).max(open.span.started_at));
                    open.reason = reason_of(event, outcome);
                }
                continue;
            }
            // Another operation on the same resource: CloudFormation doesn't go on with the one before.
            open.outcome = OperationOutcome::Cancelled;
            open.span.ended_at = Some((*at).max(open.span.started_at));
        }
        operations.push(Operation {
            resource: event.logical_id.clone(),
            resource_type: event.resource_type.clone(),
            verb,
            outcome,
            reason: reason_of(event, outcome),
            declared_at: template.declared_at(&event.logical_id).map(ToString::to_string),
            is_undo: undoes,
            replaces: says_replacement(event),
            is_critical: false,
            span: Span { started_at: *at, ended_at: (outcome != OperationOutcome::Running).then_some(*at) },
        });
    }
    operations
}

enum State {
    InProgress,
    Ended(OperationOutcome),
}

/// What a status says is done, and how far it is.
fn parts(status: &str) -> Option<(&str, State)> {
    let states = [
        ("_IN_PROGRESS", State::InProgress),
        ("_COMPLETE", State::Ended(OperationOutcome::Done)),
        ("_FAILED", State::Ended(OperationOutcome::Failed)),
        ("_SKIPPED", State::Ended(OperationOutcome::Skipped)),
    ];
    states.into_iter().find_map(|(ending, state)| Some((status.strip_suffix(ending)?, state)))
}

/// The words of success are noise.
fn reason_of(event: &Event, outcome: OperationOutcome) -> Option<String> {
    let says_why =
        matches!(outcome, OperationOutcome::Failed | OperationOutcome::Cancelled | OperationOutcome::Skipped);
    event.reason.clone().filter(|_| says_why)
}

fn says_replacement(event: &Event) -> bool {
    event.reason.as_deref().is_some_and(|reason| reason.contains("requires the creation of a new physical resource"))
}
