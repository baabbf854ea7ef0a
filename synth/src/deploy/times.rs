//! How long a deployment's parts took, for the answer of the command.

use std::time::Duration;

use serde::Serialize;

use super::timeline::record::{LaneResult, PhaseKind, Record};
use crate::ui::{elapsed_text, table};

/// How long each part took.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Times {
    /// The parts of the whole, in the order in which they began.
    pub steps: Vec<StepTime>,
    /// The stacks that were worked on, in deploy order.
    pub stacks: Vec<StackTime>,
}

/// How long a part of the whole took.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepTime {
    /// Which part: `build`, `plan`, `stacks`, `verification` and others.
    pub step: &'static str,
    /// Seconds.
    pub secs: f64,
}

/// How long the work on a stack took, in seconds; nothing for what it did not need.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StackTime {
    /// The stack.
    pub stack: String,
    /// `created`, `updated`, `failed` and others.
    pub result: &'static str,
    /// Making and reading its change set.
    pub change_set_secs: Option<f64>,
    /// Uploading code.
    pub upload_secs: Option<f64>,
    /// Executing the change set, with what CloudFormation removes or undoes afterwards.
    pub execution_secs: Option<f64>,
    /// All of it, with waiting in between; nothing when it was broken off.
    pub total_secs: Option<f64>,
}

impl Times {
    /// What a record says.
    pub(crate) fn of(record: &Record) -> Self {
        let mut steps: Vec<StepTime> = Vec::new();
        for step in &record.steps {
            steps.extend(step.span.took().map(|took| StepTime { step: step.kind.says(), secs: took.as_secs_f64() }));
        }
        let worked =
            record.lanes.iter().filter(|lane| lane.span.is_some() && !matches!(lane.result, LaneResult::Unchanged));
        let stacks = worked.map(|lane| {
            let secs = |took: Option<Duration>| took.map(|took| took.as_secs_f64());
            let execution = [PhaseKind::Execution, PhaseKind::Cleanup, PhaseKind::Rollback];
            StackTime {
                stack: lane.key(),
                result: lane.result.says(),
                change_set_secs: secs(lane.took_in(PhaseKind::ChangeSet)),
                upload_secs: secs(lane.took_in(PhaseKind::Upload)),
                execution_secs: secs(execution.into_iter().filter_map(|kind| lane.took_in(kind)).reduce(|a, b| a + b)),
                total_secs: secs(lane.took()),
            }
        });
        Self { stacks: stacks.collect(), steps }
    }

    /// The times for people, line by line.
    pub fn render(&self) -> Vec<String> {
        let text = |secs: f64| elapsed_text(Duration::try_from_secs_f64(secs).unwrap_or_default());
        let mut lines = Vec::new();
        if !self.stacks.is_empty() {
            let mut rows =
                vec![["stack", "result", "change set", "upload", "execution", "total"].map(str::to_owned).to_vec()];
            for stack in &self.stacks {
                let cell = |secs: Option<f64>| secs.map_or_else(|| "·".to_owned(), text);
                let mut row = vec![stack.stack.clone(), stack.result.to_owned()];
                let times = [stack.change_set_secs, stack.upload_secs, stack.execution_secs, stack.total_secs];
                row.extend(times.map(cell));
                rows.push(row);
            }
            lines.extend(table(&rows));
        }
        let steps: Vec<String> = self.steps.iter().map(|step| format!("{} {}", step.step, text(step.secs))).collect();
        lines.extend((!steps.is_empty()).then(|| steps.join(", ")));
        lines
    }
}
