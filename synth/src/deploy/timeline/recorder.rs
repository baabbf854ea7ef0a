//! Hears what happens and makes a record of it.
//!
//! While a deployment runs, only what was heard and when is kept; everything else follows from that at the end, without
//! a clock or a cloud.

use std::cell::RefCell;
use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use super::critical;
use super::operations::{Moment, operations};
use super::record::{
    Failure, Lane, LaneKind, LaneResult, Phase, PhaseKind, Record, RunResult, Span, Step, StepKind, StepOutcome,
    Trouble, VERSION,
};
use crate::deploy::apply::{Done, Progress, StackError};
use crate::deploy::cloud::Event;
use crate::deploy::outcome::{chain, stack_hint};
use crate::deploy::system::{Stack, StackKey};

/// Says what time it is.
pub(crate) type Clock = Box<dyn Fn() -> Timestamp>;

/// Something that was heard of a stack.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Heard {
    /// When it was heard.
    pub(crate) at: Timestamp,
    pub(crate) stack: StackKey,
    pub(crate) what: What,
}

/// What was heard.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum What {
    /// It is the stack's turn.
    Began,
    /// The stack is in a new phase, in words.
    Phase(String),
    /// CloudFormation reports an event.
    Event(Event),
    /// The work on the stack ended.
    Ended(LaneResult, Option<Failure>),
}

/// How the command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Good(RunResult),
    Bad(RunResult, Trouble),
}

/// Hears what happens in one deployment.
pub(crate) struct Recorder {
    environment: String,
    now: Clock,
    started_at: Timestamp,
    stacks: RefCell<Vec<Stack>>,
    /// Stacks that the plan leaves alone.
    left_alone: RefCell<BTreeSet<StackKey>>,
    steps: RefCell<Vec<Step>>,
    log: RefCell<Vec<Heard>>,
}

impl Recorder {
    /// A recorder of a deployment that begins now.
    pub(crate) fn new(environment: &str, now: Clock) -> Self {
        Self {
            environment: environment.to_owned(),
            started_at: now(),
            now,
            stacks: RefCell::default(),
            left_alone: RefCell::default(),
            steps: RefCell::default(),
            log: RefCell::default(),
        }
    }

    /// Takes down from when to when `work` runs. What is dropped before its end is broken off.
    pub(crate) async fn step<T, E>(&self, kind: StepKind, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let span = Span { started_at: (self.now)(), ended_at: None };
        let number = {
            let mut steps = self.steps.borrow_mut();
            steps.push(Step { kind, outcome: StepOutcome::BrokenOff, span });
            steps.len() - 1
        };
        let ended = work.await;
        if let Some(step) = self.steps.borrow_mut().get_mut(number) {
            step.span.ended_at = Some((self.now)());
            step.outcome = if ended.is_ok() { StepOutcome::Done } else { StepOutcome::Failed };
        }
        ended
    }

    /// Takes down which stacks there are, in deploy order.
    pub(crate) fn expect(&self, stacks: &[Stack]) {
        stacks.clone_into(&mut self.stacks.borrow_mut());
    }

    /// Takes down which stacks the plan leaves alone: those are unchanged whether or not they had their turn.
    pub(crate) fn leave_alone(&self, stacks: impl Iterator<Item = StackKey>) {
        self.left_alone.borrow_mut().extend(stacks);
    }

    /// Whether a stack had its turn.
    pub(crate) fn has_begun(&self) -> bool {
        self.log.borrow().iter().any(|heard| heard.what == What::Began)
    }

    /// The record of a deployment that ends now.
    pub(crate) fn finish(&self, ending: Ending) -> Record {
        let (result, error) = match ending {
            Ending::Good(result) => (result, None),
            Ending::Bad(result, trouble) => (result, Some(trouble)),
        };
        let log = self.log.borrow();
        let shift = clock_shift(&log);
        Record {
            version: VERSION,
            environment: self.environment.clone(),
            result,
            started_at: self.started_at,
            ended_at: (self.now)(),
            error,
            clock_shift_ms: i64::try_from(shift.as_millis()).unwrap_or_default(),
            steps: self.steps.borrow().clone(),
            lanes: lanes(&self.stacks.borrow(), &self.left_alone.borrow(), &log, shift),
        }
    }

    fn hear(&self, stack: &Stack, what: What) {
        self.log.borrow_mut().push(Heard { at: (self.now)(), stack: stack.key.clone(), what });
    }
}

impl Progress for Recorder {
    fn phase(&self, stack: &Stack, text: &str) {
        self.hear(stack, What::Phase(text.to_owned()));
    }

    fn event(&self, stack: &Stack, event: &Event) {
        self.hear(stack, What::Event(event.clone()));
    }

    /// Warnings stand in the log; the record has what happened.
    fn warning(&self, _: &Stack, _: &str) {}

    fn began(&self, stack: &Stack) {
        self.hear(stack, What::Began);
    }

    fn ended(&self, stack: &Stack, outcome: &Result<Done, StackError>) {
        let (result, failure) = match outcome {
            Ok(Done::Unchanged) => (LaneResult::Unchanged, None),
            Ok(Done::Created(_)) => (LaneResult::Created, None),
            Ok(Done::Updated(_)) => (LaneResult::Updated, None),
            Ok(Done::Protected) => (LaneResult::Protected, None),
            Err(error) => (LaneResult::Failed, Some(failure_of(error))),
        };
        self.hear(stack, What::Ended(result, failure));
    }
}

fn failure_of(error: &StackError) -> Failure {
    let mut failure = Failure {
        message: chain(error),
        status: None,
        resource: None,
        resource_type: None,
        declared_at: None,
        reason: None,
        hint: stack_hint(error).map(str::to_owned),
        also: Vec::new(),
    };
    if let StackError::Operation(cause) = error {
        failure.status = Some(cause.status.to_string());
        failure.reason = Some(cause.reason.clone());
        failure.also.clone_from(&cause.also);
        if let Some(resource) = &cause.resource {
            failure.resource = Some(resource.logical_id.clone());
            failure.resource_type = Some(resource.resource_type.clone());
            failure.declared_at = resource.declared_at.as_ref().map(ToString::to_string);
        }
    }
    failure
}

/// What a phase's words mean for the record: a phase begins, or the one before ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Begins(PhaseKind),
    Ends,
}

/// The phases that a deployment reports.
fn turn_of(text: &str) -> Turn {
    // Of several updates the phase says which: `updating, 2 of 4`.
    match text.split_once(", ").map_or(text, |(phase, _)| phase) {
        "planning" => Turn::Begins(PhaseKind::ChangeSet),
        "creating" | "updating" => Turn::Begins(PhaseKind::Execution),
        "planned" | "unchanged" => Turn::Ends,
        _ if text.starts_with("uploading ") => Turn::Begins(PhaseKind::Upload),
        _ if text.starts_with("clearing up after ") => Turn::Begins(PhaseKind::Clearing),
        _ if text.starts_with("waiting: ") => Turn::Begins(PhaseKind::Waiting),
        _ if text.starts_with("failed: ") || text.ends_with("_COMPLETE") => Turn::Ends,
        _ => Turn::Begins(PhaseKind::Other),
    }
}

/// What CloudFormation says of a whole stack, as a turn of its work.
fn turn_of_stack(status: &str) -> Option<Turn> {
    if status.ends_with("ROLLBACK_IN_PROGRESS") {
        return Some(Turn::Begins(PhaseKind::Rollback));
    }
    if status.ends_with("CLEANUP_IN_PROGRESS") {
        return Some(Turn::Begins(PhaseKind::Cleanup));
    }
    (!status.ends_with("_IN_PROGRESS")).then_some(Turn::Ends)
}

fn lanes(stacks: &[Stack], left_alone: &BTreeSet<StackKey>, log: &[Heard], shift: SignedDuration) -> Vec<Lane> {
    let mut lanes: Vec<Lane> = stacks.iter().map(|stack| lane(stack, log, shift)).collect();
    let mut lost: BTreeSet<String> = BTreeSet::new();
    // In deploy order, so that what a lane needs has been looked at before it.
    for (lane, stack) in lanes.iter_mut().zip(stacks) {
        if lane.result == LaneResult::NotBegun && left_alone.contains(&stack.key) {
            lane.result = LaneResult::Unchanged;
        }
        if lane.result == LaneResult::NotBegun
            && let Some(needed) = lane.needs.iter().find(|needed| lost.contains(*needed))
        {
            lane.because_of = Some(needed.clone());
            lane.result = LaneResult::NotTried;
        }
        if matches!(lane.result, LaneResult::Failed | LaneResult::NotTried) {
            lost.insert(lane.key());
        }
    }
    critical::mark_lanes(&mut lanes);
    for (lane, stack) in lanes.iter_mut().zip(stacks) {
        critical::mark_operations(&mut lane.operations, &stack.template);
    }
    lanes
}

fn lane(stack: &Stack, log: &[Heard], shift: SignedDuration) -> Lane {
    let mut lane = Lane {
        kind: LaneKind::Stack,
        name: stack.key.name.clone(),
        region: stack.key.region.clone(),
        needs: stack.depends_on.iter().map(ToString::to_string).collect(),
        result: LaneResult::NotBegun,
        because_of: None,
        failure: None,
        span: None,
        is_critical: false,
        phases: Vec::new(),
        operations: Vec::new(),
    };
    let mut moments: Vec<Moment<'_>> = Vec::new();
    for Heard { at, what, .. } in log.iter().filter(|heard| heard.stack == stack.key) {
        match what {
            What::Began => {
                lane.span = Some(Span { started_at: *at, ended_at: None });
                lane.result = LaneResult::Unfinished;
            }
            What::Phase(text) => lane.turn(*at, turn_of(text), text),
            What::Event(event) => {
                let at = event.at.map_or(*at, |told| told.checked_add(shift).unwrap_or(told));
                if event.is_of_stack()
                    && let Some(turn) = turn_of_stack(&event.status)
                {
                    lane.turn(at, turn, &event.status);
                }
                moments.push(Moment { at, event });
            }
            What::Ended(result, failure) => {
                lane.turn(*at, Turn::Ends, "");
                if let Some(span) = &mut lane.span {
                    span.ended_at = Some(*at);
                }
                lane.result = *result;
                lane.failure.clone_from(failure);
            }
        }
    }
    lane.operations = operations(&moments, &stack.template);
    lane
}

impl Lane {
    /// Ends the phase that runs, and begins another.
    fn turn(&mut self, at: Timestamp, turn: Turn, text: &str) {
        if let Some(Phase { span, .. }) = self.phases.last_mut()
            && span.ended_at.is_none()
        {
            span.ended_at = Some(at.max(span.started_at));
        }
        if let Turn::Begins(kind) = turn {
            self.phases.push(Phase { kind, text: text.to_owned(), span: Span { started_at: at, ended_at: None } });
        }
    }
}

/// What must be added to CloudFormation's times so that they fit to what was heard: the least that does.
///
/// An event can't be heard before it happens, and the first event of an operation can't happen before it was begun.
fn clock_shift(log: &[Heard]) -> SignedDuration {
    let mut least = SignedDuration::MIN;
    let mut most = SignedDuration::MAX;
    let mut begun: Vec<(&StackKey, Timestamp)> = Vec::new();
    for Heard { at, stack, what } in log {
        match what {
            What::Phase(text) => {
                begun.retain(|(known, _)| *known != stack);
                if matches!(turn_of(text), Turn::Begins(PhaseKind::Execution | PhaseKind::Clearing)) {
                    begun.push((stack, *at));
                }
            }
            What::Event(Event { at: Some(told), .. }) => {
                most = most.min(at.duration_since(*told));
                if let Some(position) = begun.iter().position(|(known, _)| *known == stack) {
                    let (_, begun_at) = begun.remove(position);
                    least = least.max(begun_at.duration_since(*told));
                }
            }
            _ => {}
        }
    }
    // Where both can't be, nothing may be in the future.
    SignedDuration::ZERO.max(least).min(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_phases_are_understood() {
        for (text, turn) in [
            ("planning", Turn::Begins(PhaseKind::ChangeSet)),
            ("planned", Turn::Ends),
            ("uploading event-router", Turn::Begins(PhaseKind::Upload)),
            ("creating", Turn::Begins(PhaseKind::Execution)),
            ("updating", Turn::Begins(PhaseKind::Execution)),
            ("planning, 2 of 4", Turn::Begins(PhaseKind::ChangeSet)),
            ("updating, 2 of 4", Turn::Begins(PhaseKind::Execution)),
            ("waiting: UPDATE_IN_PROGRESS runs already", Turn::Begins(PhaseKind::Waiting)),
            ("clearing up after ROLLBACK_COMPLETE", Turn::Begins(PhaseKind::Clearing)),
            ("unchanged", Turn::Ends),
            ("UPDATE_COMPLETE", Turn::Ends),
            ("failed: ROLLBACK_FAILED", Turn::Ends),
            ("something new", Turn::Begins(PhaseKind::Other)),
        ] {
            assert_eq!(turn_of(text), turn, "{text}");
        }
    }

    #[test]
    fn a_stack_that_undoes_or_cleans_up_is_in_another_phase() {
        for (status, turn) in [
            ("CREATE_IN_PROGRESS", None),
            ("UPDATE_IN_PROGRESS", None),
            ("ROLLBACK_IN_PROGRESS", Some(Turn::Begins(PhaseKind::Rollback))),
            ("UPDATE_ROLLBACK_IN_PROGRESS", Some(Turn::Begins(PhaseKind::Rollback))),
            ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", Some(Turn::Begins(PhaseKind::Cleanup))),
            ("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", Some(Turn::Begins(PhaseKind::Cleanup))),
            ("UPDATE_COMPLETE", Some(Turn::Ends)),
            ("ROLLBACK_COMPLETE", Some(Turn::Ends)),
            ("UPDATE_ROLLBACK_FAILED", Some(Turn::Ends)),
        ] {
            assert_eq!(turn_of_stack(status), turn, "{status}");
        }
    }
}
