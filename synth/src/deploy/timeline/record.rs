//! A deployment as data.
//!
//! ```text
//! {
//!   "version": 1,
//!   "environment": "staging",
//!   "result": "failed",
//!   "started_at": "2026-12-01T09:50:30.123Z", "ended_at": …,
//!   "error": {"message": …, "details": […], "hints": […]} or null,
//!   "clock_shift_ms": 0,
//!   "steps": [{"kind": "build", "outcome": "done", "started_at": …, "ended_at": … or null}, …],
//!   "lanes": [{
//!     "kind": "stack", "name": "data", "region": "us-west-2", "needs": ["keys@us-west-2", …],
//!     "result": "failed", "because_of": null, "started_at": …, "ended_at": …, "is_critical": true,
//!     "failure": {"message": …, "status": …, "resource": …, "declared_at": …, "reason": …, "hint": …, "also": […]} or null,
//!     "phases": [{"kind": "change_set", "text": "planning", "started_at": …, "ended_at": …}, …],
//!     "operations": [{
//!       "resource": "Orders", "resource_type": "AWS::DynamoDB::GlobalTable", "verb": "create", "outcome": "failed",
//!       "reason": …, "declared_at": …, "is_undo": false, "replaces": false, "is_critical": true,
//!       "started_at": …, "ended_at": … or null
//!     }, …]
//!   }, …]
//! }
//! ```
//!
//! Lanes stand in deploy order, what is in them in the order in which it began; a lane that was never begun has no times.
//! A field may be added within a version; none goes or changes its meaning. Times are of the clock of the machine that
//! deployed; those of operations are CloudFormation's, moved by `clock_shift_ms` where its clock can't be right.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

/// The version of the document.
pub(crate) const VERSION: u32 = 1;

/// What happened in a deployment.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Record {
    pub(crate) version: u32,
    pub(crate) environment: String,
    pub(crate) result: RunResult,
    pub(crate) started_at: Timestamp,
    pub(crate) ended_at: Timestamp,
    /// Why it did not succeed.
    pub(crate) error: Option<Trouble>,
    /// What was added to CloudFormation's times, in milliseconds.
    pub(crate) clock_shift_ms: i64,
    /// What the whole deployment went through.
    pub(crate) steps: Vec<Step>,
    /// Each stack.
    pub(crate) lanes: Vec<Lane>,
}

/// How a deployment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RunResult {
    Succeeded,
    /// Everything was as it should be.
    Unchanged,
    Failed,
    /// Someone ended the tool.
    Interrupted,
}

/// The error that the command ended with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Trouble {
    pub(crate) message: String,
    pub(crate) details: Vec<String>,
    pub(crate) hints: Vec<String>,
}

/// From when to when something ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Span {
    pub(crate) started_at: Timestamp,
    /// None of what still ran, or was broken off, when the deployment ended.
    pub(crate) ended_at: Option<Timestamp>,
}

impl Span {
    /// How long it ran, or nothing of what has no end.
    pub(crate) fn took(&self) -> Option<Duration> {
        self.ended_at.map(|end| between(self.started_at, end))
    }
}

/// The time from one moment to another, or none at all when they are the other way round.
pub(crate) fn between(start: Timestamp, end: Timestamp) -> Duration {
    Duration::try_from(end.duration_since(start)).unwrap_or_default()
}

/// A part of the whole deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Step {
    pub(crate) kind: StepKind,
    pub(crate) outcome: StepOutcome,
    #[serde(flatten)]
    pub(crate) span: Span,
}

/// What a step is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepKind {
    /// The local platform starts.
    Platform,
    /// The programs are compiled.
    Build,
    /// The functions are packed.
    Pack,
    /// What is deployed is read and compared, and change sets are made.
    Plan,
    /// Someone is asked.
    Approval,
    /// The stacks are changed.
    Stacks,
    /// What runs is compared with what was built.
    Verification,
    /// The local platform gets its topics and its consumer.
    Consumer,
}

impl StepKind {
    /// The step in words.
    pub(crate) fn says(self) -> &'static str {
        match self {
            Self::Platform => "local platform",
            Self::Build => "build",
            Self::Pack => "packing",
            Self::Plan => "plan",
            Self::Approval => "approval",
            Self::Stacks => "stacks",
            Self::Verification => "verification",
            Self::Consumer => "consumer",
        }
    }
}

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StepOutcome {
    Done,
    Failed,
    /// It had no end.
    BrokenOff,
}

/// One unit of work: a stack.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Lane {
    pub(crate) kind: LaneKind,
    pub(crate) name: String,
    pub(crate) region: String,
    /// Lanes that came before it: `<name>@<region>`.
    pub(crate) needs: Vec<String>,
    pub(crate) result: LaneResult,
    /// The lane that kept it from being tried.
    pub(crate) because_of: Option<String>,
    pub(crate) failure: Option<Failure>,
    /// Nothing when it was never begun.
    #[serde(flatten)]
    pub(crate) span: Option<Span>,
    /// Whether it lies on the longest chain of lanes that waited for each other.
    pub(crate) is_critical: bool,
    pub(crate) phases: Vec<Phase>,
    pub(crate) operations: Vec<Operation>,
}

impl Lane {
    /// `<name>@<region>`.
    pub(crate) fn key(&self) -> String {
        format!("{}@{}", self.name, self.region)
    }

    /// How long it was worked on, or nothing when it has no end.
    ///
    /// Its change set may have been made long before its turn, for the plan; that counts, and the time between doesn't.
    pub(crate) fn took(&self) -> Option<Duration> {
        let span = self.span?;
        let before = self.phases.iter().filter(|phase| phase.span.started_at < span.started_at);
        let before: Duration = before.filter_map(|phase| phase.span.took()).sum();
        Some(span.took()? + before)
    }

    /// How long all phases of a kind took that ended.
    pub(crate) fn took_in(&self, kind: PhaseKind) -> Option<Duration> {
        let of_kind = self.phases.iter().filter(|phase| phase.kind == kind);
        of_kind.filter_map(|phase| phase.span.took()).reduce(|sum, took| sum + took)
    }
}

/// What a lane stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LaneKind {
    /// A stack of CloudFormation.
    Stack,
}

/// How the work of a lane ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LaneResult {
    Unchanged,
    Created,
    Updated,
    /// Only its termination protection was changed.
    Protected,
    Failed,
    /// Not tried, because of another lane.
    NotTried,
    /// It ran when the deployment was broken off.
    Unfinished,
    /// The deployment was broken off before its turn.
    NotBegun,
}

impl LaneResult {
    /// The result in words.
    pub(crate) fn says(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Protected => "protection set",
            Self::Failed => "failed",
            Self::NotTried => "not tried",
            Self::Unfinished => "unfinished",
            Self::NotBegun => "not begun",
        }
    }
}

/// Why a lane failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Failure {
    /// Everything in one text, as the command line says it.
    pub(crate) message: String,
    /// The stack's status afterwards, when an operation failed.
    pub(crate) status: Option<String>,
    /// The resource that failed first.
    pub(crate) resource: Option<String>,
    pub(crate) resource_type: Option<String>,
    /// Where the project declares it.
    pub(crate) declared_at: Option<String>,
    /// What the service said.
    pub(crate) reason: Option<String>,
    pub(crate) hint: Option<String>,
    /// Further resources that failed by themselves, with what the service said.
    pub(crate) also: Vec<(String, String)>,
}

/// A part of a lane's work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Phase {
    pub(crate) kind: PhaseKind,
    /// What the live table said.
    pub(crate) text: String,
    #[serde(flatten)]
    pub(crate) span: Span,
}

/// What a phase is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PhaseKind {
    /// A change set is made and read.
    ChangeSet,
    /// Code is uploaded.
    Upload,
    /// A change set is executed.
    Execution,
    /// CloudFormation undoes what failed.
    Rollback,
    /// CloudFormation removes what was replaced.
    Cleanup,
    /// What an earlier run left is deleted.
    Clearing,
    /// An operation of someone else runs.
    Waiting,
    /// Something else; see the text.
    Other,
}

impl PhaseKind {
    /// The kind in words.
    pub(crate) fn says(self) -> &'static str {
        match self {
            Self::ChangeSet => "change set",
            Self::Upload => "upload",
            Self::Execution => "execution",
            Self::Rollback => "rollback",
            Self::Cleanup => "clean-up",
            Self::Clearing => "clearing",
            Self::Waiting => "waiting",
            Self::Other => "other",
        }
    }
}

/// What CloudFormation did to one resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Operation {
    pub(crate) resource: String,
    pub(crate) resource_type: String,
    /// `create`, `update`, `delete`, `import`: CloudFormation's own words.
    pub(crate) verb: String,
    pub(crate) outcome: OperationOutcome,
    /// Why it failed.
    pub(crate) reason: Option<String>,
    /// Where the project declares the resource.
    pub(crate) declared_at: Option<String>,
    /// Whether it undoes what was done before.
    pub(crate) is_undo: bool,
    /// Whether an update made a new resource in the place of the old one.
    pub(crate) replaces: bool,
    /// Whether it lies on the longest chain of operations of its lane that waited for each other.
    pub(crate) is_critical: bool,
    #[serde(flatten)]
    pub(crate) span: Span,
}

/// How an operation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum OperationOutcome {
    Done,
    Failed,
    /// CloudFormation broke it off for another's sake.
    Cancelled,
    /// CloudFormation left the resource as it is.
    Skipped,
    /// It had not ended when the deployment did.
    Running,
}

impl OperationOutcome {
    /// The outcome in words.
    pub(crate) fn says(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
            Self::Running => "still running",
        }
    }
}

impl Record {
    /// How long the deployment took.
    pub(crate) fn took(&self) -> Duration {
        between(self.started_at, self.ended_at)
    }

    /// How long the steps of a kind took that ended.
    pub(crate) fn took_in(&self, kind: StepKind) -> Option<Duration> {
        let of_kind = self.steps.iter().filter(|step| step.kind == kind);
        of_kind.filter_map(|step| step.span.took()).reduce(|sum, took| sum + took)
    }
}
