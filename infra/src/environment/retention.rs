//! `[logs]`, `[archive]`, `[queues]`, `[tables]`: how long things are kept and how they are protected.

use std::time::Duration;

use super::Target;
use super::reader::Section;
use super::rule::{Problem, Rule, days, flag, seconds};
use super::units::Days;

/// What CloudWatch Logs takes as `RetentionInDays` (API reference of PutRetentionPolicy, read 2026-11-21).
const LOG_RETENTIONS: [u32; 22] =
    [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653];

/// How long log events are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LogSettings {
    /// One of the numbers of days that CloudWatch Logs takes.
    pub retention: Days,
}

impl LogSettings {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        Some(Self { retention: section.required("retention", &log_retention())? })
    }
}

/// The buses' archives.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArchiveSettings {
    /// How long events can be replayed.
    pub retention: Days,
}

impl ArchiveSettings {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        Some(Self { retention: section.required("retention", &days(1..=3650))? })
    }
}

/// The queues, dead letters above all.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct QueueSettings {
    /// How long a message waits to be taken: one minute to 14 days, whole seconds.
    pub retention: Duration,
}

impl QueueSettings {
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let range = Duration::from_secs(60)..=Duration::from_secs(14 * 86_400);
        Some(Self { retention: section.required("retention", &seconds(range))? })
    }
}

/// The entity tables.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TableSettings {
    /// Refuse deletion, of the tables and of the stacks that hold them. Always on AWS.
    pub deletion_protection: bool,
    /// Keep what is needed to go back to any second of the last 35 days.
    pub point_in_time_recovery: bool,
}

impl TableSettings {
    pub(super) fn read(section: &mut Section<'_>, target: Option<Target>) -> Option<Self> {
        let deletion_protection = section.required("deletion_protection", &flag());
        let point_in_time_recovery = section.required("point_in_time_recovery", &flag());
        if target == Some(Target::Aws) && deletion_protection == Some(false) {
            let hint = "write `true`; to give an environment up, switch the protection off in AWS by hand";
            section.mistake("deletion_protection", "which lets one call delete data on AWS", hint);
            return None;
        }
        Some(Self { deletion_protection: deletion_protection?, point_in_time_recovery: point_in_time_recovery? })
    }
}

fn log_retention() -> Rule<Days> {
    days(1..=3653).and(|retention| {
        let wanted = retention.days();
        if LOG_RETENTIONS.contains(&wanted) {
            return Ok(());
        }
        let below = LOG_RETENTIONS.iter().rfind(|&&accepted| accepted < wanted);
        let above = LOG_RETENTIONS.iter().find(|&&accepted| accepted > wanted);
        let hint = match (below, above) {
            (Some(below), Some(above)) => format!("the nearest accepted values are \"{below}d\" and \"{above}d\""),
            (Some(only), None) | (None, Some(only)) => format!("the nearest accepted value is \"{only}d\""),
            (None, None) => unreachable!("the list of accepted values isn't empty"),
        };
        Err(Problem { phrase: "a retention that CloudWatch Logs does not accept".to_owned(), hint })
    })
}
