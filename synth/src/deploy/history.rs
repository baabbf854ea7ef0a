//! How long things took in past deployments of an environment from this checkout, in a file of its state folder.
//!
//! ```text
//! {"version": 1, "durations": {"stack data@us-west-2 update": [41.2, 38.9], "step verification": [1.3], …}}
//! ```
//!
//! Seconds, the newest last, a few of each. It only serves estimates: a file that is damaged is as good as none.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::system::StackKey;
use super::timeline::record::{LaneResult, Record, StepKind};
use crate::local::write_json;

/// The version of the file.
const VERSION: u32 = 1;
/// How many durations of one kind are kept. The median of a few follows a change soon and forgives an outlier.
const SAMPLES: usize = 9;
/// How many kinds are kept: a few environments' worth of stacks.
const KINDS: usize = 400;

/// What is done to a stack, as far as its duration is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StackWork {
    Create,
    Update,
}

impl StackWork {
    fn says(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
        }
    }
}

/// Durations of past deployments.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct History {
    version: u32,
    durations: BTreeMap<String, Vec<f64>>,
}

impl Default for History {
    fn default() -> Self {
        Self { version: VERSION, durations: BTreeMap::new() }
    }
}

/// Why there is no history although there is a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HistoryError {
    #[error("{path} can't be read")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is damaged")]
    Form { path: PathBuf, source: serde_json::Error },
    #[error("{path} has version {version}, and this tool reads version {VERSION}")]
    Version { path: PathBuf, version: u32 },
}

impl History {
    /// Where the durations of an environment's deployments are.
    pub(crate) fn file(state: &Path) -> PathBuf {
        state.join("durations.json")
    }

    /// What the file says; nothing yet when there is none.
    pub(crate) fn read(path: &Path) -> Result<Self, HistoryError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(HistoryError::Read { path: path.to_owned(), source }),
        };
        let form = |source| HistoryError::Form { path: path.to_owned(), source };
        let history: Self = serde_json::from_slice(&text).map_err(form)?;
        if history.version == VERSION {
            Ok(history)
        } else {
            Err(HistoryError::Version { path: path.to_owned(), version: history.version })
        }
    }

    /// Writes the file as a whole.
    pub(crate) fn write(&self, path: &Path) -> Result<(), crate::local::Problem> {
        write_json(path, self)
    }

    /// How long such work on the stack takes as a rule; where it was never done, how long it takes in other regions.
    pub(crate) fn expected(&self, stack: &StackKey, work: StackWork) -> Option<Duration> {
        let own = self.durations.get(&stack_kind(&stack.to_string(), work)).and_then(|samples| median(samples));
        let elsewhere = || {
            let (before, after) = (format!("stack {}@", stack.name), format!(" {}", work.says()));
            let kinds = self.durations.iter().filter(|(kind, _)| kind.starts_with(&before) && kind.ends_with(&after));
            kinds.filter_map(|(_, samples)| median(samples)).max()
        };
        own.or_else(elsewhere)
    }

    /// How long a step takes as a rule.
    pub(crate) fn expected_step(&self, step: StepKind) -> Option<Duration> {
        self.durations.get(&step_kind(step)).and_then(|samples| median(samples))
    }

    /// Takes what succeeded in a deployment; what failed or was broken off says nothing about how long it takes.
    pub(crate) fn learn(&mut self, record: &Record) {
        let mut learned = Vec::new();
        for lane in &record.lanes {
            let work = match lane.result {
                LaneResult::Created => StackWork::Create,
                LaneResult::Updated => StackWork::Update,
                _ => continue,
            };
            if let Some(took) = lane.span.and_then(|span| span.took()) {
                learned.push((stack_kind(&lane.key(), work), took));
            }
        }
        for step in [StepKind::Verification, StepKind::Consumer] {
            learned.extend(record.took_in(step).map(|took| (step_kind(step), took)));
        }
        let is_full = |durations: &BTreeMap<String, Vec<f64>>| durations.len() >= KINDS;
        for (kind, took) in learned {
            if is_full(&self.durations) && !self.durations.contains_key(&kind) {
                // Stacks that are gone; which of them goes first doesn't matter.
                self.durations.pop_first();
            }
            let samples = self.durations.entry(kind).or_default();
            samples.push((took.as_secs_f64() * 1_000.0).round() / 1_000.0);
            let surplus = samples.len().saturating_sub(SAMPLES);
            samples.drain(..surplus);
        }
    }
}

fn stack_kind(stack: &str, work: StackWork) -> String {
    format!("stack {stack} {}", work.says())
}

fn step_kind(step: StepKind) -> String {
    format!("step {}", step.says())
}

/// The middle one; nonsense in the file counts as nothing.
fn median(samples: &[f64]) -> Option<Duration> {
    let mut good: Vec<Duration> = samples.iter().filter_map(|secs| Duration::try_from_secs_f64(*secs).ok()).collect();
    good.sort_unstable();
    good.get(good.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(durations: &[(&str, &[f64])]) -> History {
        let durations = durations.iter().map(|(kind, samples)| ((*kind).to_owned(), samples.to_vec())).collect();
        History { version: VERSION, durations }
    }

    #[test]
    fn the_middle_of_the_same_work_is_expected_else_that_of_another_region() {
        let history = history(&[
            ("stack data@us-west-2 update", &[40.0, 900.0, 42.0]),
            ("stack data@us-east-1 create", &[80.0]),
            ("stack data-lake@us-east-1 update", &[7.0]),
            ("step verification", &[2.0, -1.0]),
        ]);
        let expected = |stack: &str, region: &str, work| {
            history.expected(&StackKey::new(stack, region), work).map(|expected| expected.as_secs())
        };
        assert_eq!(expected("data", "us-west-2", StackWork::Update), Some(42));
        assert_eq!(expected("data", "us-east-1", StackWork::Update), Some(42));
        assert_eq!(expected("data", "us-west-2", StackWork::Create), Some(80));
        assert_eq!(expected("events", "us-west-2", StackWork::Update), None);
        assert_eq!(history.expected_step(StepKind::Verification), Some(Duration::from_secs(2)));
        assert_eq!(history.expected_step(StepKind::Consumer), None);
    }

    #[test]
    fn a_damaged_file_is_told_from_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = History::file(folder.path());
        assert_eq!(History::read(&path).unwrap(), History::default());
        let kept = history(&[("step build", &[1.5])]);
        kept.write(&path).unwrap();
        assert_eq!(History::read(&path).unwrap(), kept);
        fs::write(&path, r#"{"version": 1, "durations": {"a": ["#).unwrap();
        assert!(matches!(History::read(&path).unwrap_err(), HistoryError::Form { .. }));
        fs::write(&path, r#"{"version": 2, "durations": {}}"#).unwrap();
        assert!(matches!(History::read(&path).unwrap_err(), HistoryError::Version { version: 2, .. }));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(History::read(&path).unwrap_err(), HistoryError::Read { .. }));
    }
}
