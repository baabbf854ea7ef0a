//! Finds out why an operation on a stack failed: the first real failure, where it was declared, what to do.
//!
//! CloudFormation reports a failure many times over: once for what failed, then for everything it cancelled, then for
//! the stack. Only the first kind says why.

use std::fmt;

use super::cloud::{Event, Standing, Status};
use super::hints::hint_for;
use super::system::{Location, Stack, StackKey};
use super::way_out::way_out;

/// Why an operation on a stack failed.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct RootCause {
    /// The stack.
    pub stack: StackKey,
    /// Its status afterwards.
    pub status: Status,
    /// The resource that failed first; none when CloudFormation blames the stack as a whole.
    pub resource: Option<FailedResource>,
    /// What the service said.
    pub reason: String,
    /// What to do about it, when the message is a known one.
    pub hint: Option<&'static str>,
    /// Further resources that failed by themselves, with what the service said.
    pub also: Vec<(String, String)>,
    /// Resources of which undoing the operation failed too, with what the service said.
    pub undoing: Vec<(String, String)>,
    /// The next command, when the stack is in a state out of which only a person leads it.
    pub next: Option<String>,
}

/// The resource behind a failure.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FailedResource {
    /// Its logical id.
    pub logical_id: String,
    /// Its type.
    pub resource_type: String,
    /// Where the project declares it.
    pub declared_at: Option<Location>,
}

impl fmt::Display for RootCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ended in {}", self.stack, self.status)?;
        if let Some(resource) = &self.resource {
            write!(f, ": `{}` ({})", resource.logical_id, resource.resource_type)?;
            if let Some(place) = &resource.declared_at {
                write!(f, ", declared at {place}")?;
            }
        }
        write!(f, ": {}", self.reason)?;
        for (logical_id, reason) in &self.also {
            write!(f, "\n  also `{logical_id}`: {reason}")?;
        }
        for (logical_id, reason) in &self.undoing {
            write!(f, "\n  undoing it failed too: `{logical_id}`: {reason}")?;
        }
        Ok(())
    }
}

impl std::error::Error for RootCause {}

/// The reason behind a failed operation, from its events, oldest first.
pub(crate) fn root_cause(stack: &Stack, status: &Status, status_reason: Option<&str>, events: &[Event]) -> RootCause {
    let undone_from =
        events.iter().position(|event| event.is_of_stack() && event.status.ends_with("ROLLBACK_IN_PROGRESS"));
    // A rollback that succeeds may try something twice.
    let undone_from = undone_from.filter(|_| status.as_str().ends_with("ROLLBACK_FAILED")).unwrap_or(events.len());
    let (events, undoing) = events.split_at(undone_from);
    let undoing = told(&failures_in(undoing), undoing);
    let hint = |reason: &str| undoing.iter().find_map(|(_, reason)| hint_for(reason)).or_else(|| hint_for(reason));
    let next = (status.standing() == Standing::Stuck).then(|| way_out(stack, status, status_reason)).flatten();
    let failures = failures_in(events);
    let Some((first, others)) = failures.split_first() else {
        let of_stack = events.iter().rev().find(|event| event.is_of_stack() && event.reason.is_some());
        let reason = of_stack.and_then(|event| event.reason.as_deref()).or(status_reason);
        let reason = reason.unwrap_or("CloudFormation gives no reason").to_owned();
        return RootCause {
            stack: stack.key.clone(),
            status: status.clone(),
            resource: None,
            hint: hint(&reason),
            reason,
            also: vec![],
            undoing,
            next,
        };
    };
    let reason = reason_of(first, events);
    RootCause {
        stack: stack.key.clone(),
        status: status.clone(),
        resource: Some(FailedResource {
            logical_id: first.logical_id.clone(),
            resource_type: first.resource_type.clone(),
            declared_at: stack.template.declared_at(&first.logical_id).cloned(),
        }),
        hint: hint(&reason),
        reason,
        also: told(others, events),
        undoing,
        next,
    }
}

/// The first real failure of each resource.
fn failures_in(events: &[Event]) -> Vec<&Event> {
    let mut failures: Vec<&Event> = Vec::new();
    for event in events.iter().filter(|event| is_real_failure(event)) {
        if !failures.iter().any(|known| known.logical_id == event.logical_id) {
            failures.push(event);
        }
    }
    failures
}

/// Logical ids and reasons.
fn told(failures: &[&Event], events: &[Event]) -> Vec<(String, String)> {
    failures.iter().map(|event| (event.logical_id.clone(), reason_of(event, events))).collect()
}

/// What the service said, and of a hook's refusal what the hook said: that stands in an event of its own.
fn reason_of(event: &Event, events: &[Event]) -> String {
    let reason = event.reason.clone().unwrap_or_else(|| "no reason given".to_owned());
    if !reason.contains("hook(s) failed") {
        return reason;
    }
    let of_hooks = events.iter().filter(|other| other.logical_id == event.logical_id);
    let said: Vec<&str> = of_hooks.filter_map(|other| other.reason.as_deref()?.strip_prefix(HOOK_SAYS)).collect();
    std::iter::once(reason.as_str()).chain(said).collect::<Vec<_>>().join("; ")
}

/// How the reason of an event begins in which a hook says why it refuses.
pub(crate) const HOOK_SAYS: &str = "hook ";

/// A resource failed by itself: not cancelled for another's sake, not the stack's own summary.
pub(crate) fn is_real_failure(event: &Event) -> bool {
    let cancelled = event.reason.as_deref().is_some_and(|reason| {
        let reason = reason.to_lowercase();
        reason.contains("cancelled") || reason.contains("canceled")
    });
    event.status.ends_with("_FAILED") && !cancelled && !event.is_of_stack()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::deploy::system::Template;

    fn event(logical_id: &str, status: &str, reason: &str) -> Event {
        let of_stack = logical_id == "tandem-test-events";
        Event {
            id: format!("{logical_id}-{status}"),
            at: None,
            logical_id: logical_id.to_owned(),
            physical_id: if of_stack { "arn:aws:cloudformation:us-west-2:0:stack/x/1" } else { "" }.to_owned(),
            resource_type: if of_stack { "AWS::CloudFormation::Stack" } else { "AWS::SQS::Queue" }.to_owned(),
            status: status.to_owned(),
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
        }
    }

    fn cause(events: &[Event]) -> RootCause {
        cause_of("ROLLBACK_COMPLETE", events)
    }

    fn cause_of(status: &str, events: &[Event]) -> RootCause {
        let place = Location { file: "infra/src/events.rs".to_owned(), line: 42 };
        let stack = Stack {
            key: StackKey::new("events", "us-west-2"),
            cloudformation_name: "tandem-test-events".to_owned(),
            template: Template::parse("{}".to_owned(), BTreeMap::from([("Queue".to_owned(), place)])).unwrap(),
            inputs: BTreeMap::new(),
            depends_on: Vec::new(),
            tags: BTreeMap::new(),
            termination_protection: false,
            role: None,
            bake: None,
        };
        root_cause(&stack, &Status::new(status), Some("status reason"), events)
    }

    #[test]
    fn the_first_real_failure_is_the_cause() {
        let cause = cause(&[
            event("tandem-test-events", "CREATE_IN_PROGRESS", "User Initiated"),
            event("Early", "CREATE_FAILED", "Resource creation cancelled"),
            event("Queue", "CREATE_FAILED", "Queue already exists"),
            event("Other", "CREATE_FAILED", "Rate exceeded"),
            event("Late", "CREATE_FAILED", "Resource creation Cancelled"),
            event("tandem-test-events", "ROLLBACK_IN_PROGRESS", "The following resource(s) failed to create: [Queue]"),
            event("Queue", "DELETE_FAILED", "still in use"),
        ]);
        assert_eq!(
            cause.to_string(),
            "events@us-west-2 ended in ROLLBACK_COMPLETE: `Queue` (AWS::SQS::Queue), declared at \
             infra/src/events.rs:42: Queue already exists\n  also `Other`: Rate exceeded"
        );
        assert!(cause.hint.unwrap().contains("something outside"));
    }

    #[test]
    fn what_keeps_an_update_from_being_undone_has_its_hint_and_the_next_command() {
        let events = [
            event("tandem-test-events", "UPDATE_IN_PROGRESS", "User Initiated"),
            event("Queue", "UPDATE_FAILED", "Queue already exists"),
            event(
                "tandem-test-events",
                "UPDATE_ROLLBACK_IN_PROGRESS",
                "The following resource(s) failed to update: [Queue]",
            ),
            event("Queue", "UPDATE_FAILED", "Internal Failure"),
            event("Other", "UPDATE_FAILED", "Resource update cancelled"),
            event(
                "tandem-test-events",
                "UPDATE_ROLLBACK_FAILED",
                "The following resource(s) failed to update: [Queue]. ",
            ),
        ];
        let cause = cause_of("UPDATE_ROLLBACK_FAILED", &events);
        assert!(
            cause.to_string().ends_with(": Queue already exists\n  undoing it failed too: `Queue`: Internal Failure"),
            "{cause}"
        );
        assert!(cause.hint.unwrap().contains("the service failed by itself"), "{:?}", cause.hint);
        assert!(cause.next.as_deref().unwrap().contains("continue-update-rollback --stack-name tandem-test-events"));
        // One that was undone is told by its cause alone.
        let cause = cause_of("UPDATE_ROLLBACK_COMPLETE", &events);
        assert_eq!((cause.undoing, cause.next), (Vec::new(), None));
        assert_eq!(cause.also, Vec::new());
    }

    #[test]
    fn what_a_hook_says_is_part_of_the_reason() {
        let cause = cause(&[
            event("Other", "CREATE_IN_PROGRESS", "hook Private::Guard::Other: fine"),
            event("Queue", "CREATE_IN_PROGRESS", "hook Private::Guard::Encrypted: queues are to be encrypted"),
            event("Queue", "CREATE_FAILED", "The following hook(s) failed: [Private::Guard::Encrypted]"),
        ]);
        assert_eq!(
            cause.reason,
            "The following hook(s) failed: [Private::Guard::Encrypted]; Private::Guard::Encrypted: queues are to be encrypted"
        );
    }

    #[test]
    fn without_a_failed_resource_the_stack_speaks() {
        let of_stack = event("tandem-test-events", "ROLLBACK_IN_PROGRESS", "Template error");
        assert_eq!(cause(&[of_stack]).reason, "Template error");
        assert_eq!(cause(&[]).reason, "status reason");
    }
}
