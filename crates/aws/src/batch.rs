//! What batches of streams and of queues have in common: one invocation, and what becomes of its records.
//!
//! How a batch is read and answered differs: [`crate::stream`] keeps order and has a checkpoint, [`crate::queue`] answers
//! message by message.

use crate::dead_letters::SendDeadLetters;
use contracts::Region;
use events::dead_letter::{DeadLetterEvent, RecordEncoding, chain};
use events::{JsonText, Timestamp, Trace};
use std::error::Error;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, timeout_at};

/// What Lambda says about one invocation.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The function's deployed name, for metrics.
    pub function: &'a str,
    /// Lambda's id of the invocation.
    pub request_id: &'a str,
    /// When Lambda ends the invocation.
    pub deadline: SystemTime,
}

/// What an invocation brings along.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The program's name, for dead letters.
    pub program: &'static str,
    /// The program's version, for dead letters.
    pub program_version: &'static str,
    /// The region it runs in.
    pub region: Region,
    /// Lambda's id of this invocation, for the log.
    pub request_id: String,
    /// When work must stop so that the answer still arrives.
    pub deadline: Instant,
}

impl Invocation {
    /// The dead letter of a record that came at `position` of `source` and that was first looked at `first_seen`.
    pub(crate) fn dead_letter(
        &self,
        poison: &Poison,
        source: Option<String>,
        position: Option<String>,
        first_seen: Timestamp,
        record: &str,
    ) -> DeadLetterEvent {
        let unknown = || "unknown".to_owned();
        DeadLetterEvent {
            program: self.program.to_owned(),
            program_version: self.program_version.to_owned(),
            region: self.region.clone(),
            source: source.unwrap_or_else(unknown),
            position: position.unwrap_or_else(unknown),
            error_class: poison.class.to_owned(),
            message: poison.message.clone(),
            // In this invocation it was tried once.
            attempts: 1,
            first_seen,
            failed_at: Timestamp::now(),
            trace: poison.trace.as_deref().cloned(),
            record_encoding: RecordEncoding::Json,
            record: JsonText::parse_or_quote(record),
        }
    }
}

/// Stores a dead letter, and answers with a word for the reason when it couldn't be.
pub(crate) async fn bury(
    letter: &DeadLetterEvent,
    dead_letters: &impl SendDeadLetters,
    deadline: Instant,
) -> Result<(), &'static str> {
    let DeadLetterEvent { error_class, message, position, source, .. } = letter;
    match timeout_at(deadline, dead_letters.send(letter)).await {
        Ok(Ok(())) => {
            tracing::error!(error_class, reason = message, position, source, "record went to the dead-letter queue");
            Ok(())
        }
        Ok(Err(error)) => {
            tracing::error!(error = &error as &dyn Error, error_class, position, "dead letter was not stored");
            Err("dead_letter_not_stored")
        }
        Err(_) => Err("out_of_time"),
    }
}

/// The moment to stop: `margin` before the function's deadline as Lambda gives it.
pub fn stop_before(function_deadline: SystemTime, margin: Duration) -> Instant {
    let left = function_deadline.duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now() + left.saturating_sub(margin)
}

/// Why a record can never be handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poison {
    /// A stable name of the kind of error.
    pub class: &'static str,
    /// What went wrong, for people, with its causes.
    pub message: String,
    /// Where the change came from, if the record could be read that far.
    pub trace: Option<Box<Trace>>,
}

impl Poison {
    /// Poison because of `error`.
    pub fn because(class: &'static str, error: &dyn Error) -> Self {
        Self { class, message: chain(error), trace: None }
    }
}

/// What became of a record in this invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its event was accepted.
    Published,
    /// There was nothing to tell; why.
    Skipped(&'static str),
    /// It lies in the dead-letter queue; the kind of error.
    DeadLettered(&'static str),
    /// It is delivered again; why.
    Failed(&'static str),
}

impl Outcome {
    /// A word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Skipped(reason) => reason,
            Self::DeadLettered(_) => "dead_letter",
            Self::Failed(_) => "failed",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stop_lies_before_the_deadline() {
        let soon = SystemTime::now() + Duration::from_secs(10);
        let stop = stop_before(soon, Duration::from_secs(2)).saturating_duration_since(Instant::now());
        assert!(stop > Duration::from_secs(7) && stop <= Duration::from_secs(8), "{stop:?}");
        assert!(stop_before(SystemTime::UNIX_EPOCH, Duration::from_secs(2)) <= Instant::now());
    }
}
