//! What batches of streams and of queues have in common: one run over a batch, and what becomes of its records.
//!
//! How a batch is read and answered differs: [`crate::stream`] keeps order and has a checkpoint, [`crate::queue`] answers
//! message by message.

use crate::dead_letters::SendDeadLetters;
use contracts::Region;
use events::dead_letter::{DeadLetterEvent, RecordEncoding, chain};
use events::{Correlation, JsonText, Timestamp, Trace};
use serde::Serialize;
use std::error::Error;
use std::time::{Duration, SystemTime};
use tokio::time::{Instant, timeout_at};
use tracing::field::display;

/// What Lambda says about one invocation.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The function's deployed name, for metrics.
    pub function: &'a str,
    /// Lambda's id of the invocation.
    pub request_id: &'a str,
    /// X-Ray's header of the invocation, for the log.
    pub xray_trace_id: Option<&'a str>,
    /// When Lambda ends the invocation.
    pub deadline: SystemTime,
}

/// What Lambda wants to know: what to deliver again.
///
/// No entry means that the batch is done. For a queue each entry names a message; for a stream the one entry names the record
/// from which on everything comes again, or nothing, which means the whole batch
/// (Lambda developer guide, "Handling errors for an SQS event source" and "Partial batch response", read 2026-11).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BatchResponse {
    #[serde(rename = "batchItemFailures")]
    failures: Vec<ItemFailure>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct ItemFailure {
    #[serde(rename = "itemIdentifier")]
    identifier: String,
}

impl BatchResponse {
    /// The answer that asks for these messages, or for everything from this record on.
    pub(crate) fn again(identifiers: impl IntoIterator<Item = String>) -> Self {
        Self { failures: identifiers.into_iter().map(|identifier| ItemFailure { identifier }).collect() }
    }

    /// Whether everything is done.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty()
    }

    /// The ids of the messages that are to be delivered again, for a batch of a queue.
    pub fn deliver_again(&self) -> impl Iterator<Item = &str> {
        self.failures.iter().map(|failure| failure.identifier.as_str())
    }

    /// The lowest sequence number that is to be delivered again, for a batch of a stream; empty when that is the whole batch.
    pub fn deliver_again_from(&self) -> Option<&str> {
        self.deliver_again().next()
    }
}

/// One run of a program over a batch.
#[derive(Clone, Debug)]
pub struct Run {
    /// The program's name, for dead letters.
    pub program: &'static str,
    /// The program's version, for dead letters.
    pub program_version: &'static str,
    /// The region it runs in.
    pub region: Region,
    /// Lambda's id of this invocation, for the log.
    pub request_id: String,
    /// X-Ray's header of this invocation, for the log. Its records have traces of their own.
    pub xray_trace_id: Option<String>,
    /// When work must stop so that the answer still arrives.
    pub deadline: Instant,
}

/// Where a record came from and how often it was tried, as far as is known.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// The ARN of the stream or queue.
    pub(crate) source: Option<String>,
    /// The record's place there.
    pub(crate) position: Option<String>,
    /// How often it was tried, at least 1.
    pub(crate) attempts: u32,
    /// When it was first tried.
    pub(crate) first_seen: Timestamp,
    /// By what it is found in logs.
    pub(crate) correlation: Correlation,
}

impl Run {
    /// The dead letter of a record.
    pub(crate) fn dead_letter(&self, poison: &Poison, origin: Origin, record: &str) -> DeadLetterEvent {
        let Origin { source, position, attempts, first_seen, correlation } = origin;
        let unknown = || "unknown".to_owned();
        DeadLetterEvent {
            program: self.program.to_owned(),
            program_version: self.program_version.to_owned(),
            region: self.region.clone(),
            source: source.unwrap_or_else(unknown),
            position: position.unwrap_or_else(unknown),
            error_class: poison.class.to_owned(),
            message: poison.message.clone(),
            attempts,
            first_seen,
            failed_at: Timestamp::now(),
            trace: poison.trace.as_deref().cloned(),
            trace_id: correlation.trace_id(),
            traceparent: correlation.traceparent,
            record_encoding: RecordEncoding::Json,
            record: JsonText::parse_or_quote(record),
        }
    }
}

/// Stores a dead letter, and answers with a word for the reason when it couldn't be.
pub(crate) async fn bury(
    letter: &DeadLetterEvent,
    correlation: Correlation,
    dead_letters: &impl SendDeadLetters,
    deadline: Instant,
) -> Result<(), &'static str> {
    let DeadLetterEvent { error_class, message, position, source, .. } = letter;
    let (event_id, trace_id) = (correlation.event_id.map(display), correlation.trace_id().map(display));
    match timeout_at(deadline, dead_letters.send(letter)).await {
        Ok(Ok(())) => {
            tracing::error!(
                error_class,
                reason = message,
                position,
                source,
                event_id,
                trace_id,
                "record went to the dead-letter queue"
            );
            Ok(())
        }
        Ok(Err(error)) => {
            let error = &error as &dyn Error;
            tracing::error!(error, error_class, position, event_id, trace_id, "dead letter was not stored");
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
    /// Its event waits in the parking table.
    Parked,
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
            Self::Parked => "parked",
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
    fn the_answer_has_the_form_that_lambda_reads() {
        let text = |response: &BatchResponse| serde_json::to_string(response).expect("serialises");
        assert_eq!(text(&BatchResponse::default()), r#"{"batchItemFailures":[]}"#);
        let failed = BatchResponse::again(["m-7".to_owned(), "m-8".to_owned()]);
        let expected = r#"{"batchItemFailures":[{"itemIdentifier":"m-7"},{"itemIdentifier":"m-8"}]}"#;
        assert_eq!(text(&failed), expected);
        assert_eq!((failed.deliver_again_from(), failed.is_complete()), (Some("m-7"), false));
    }

    #[test]
    fn the_stop_lies_before_the_deadline() {
        let soon = SystemTime::now() + Duration::from_secs(10);
        let stop = stop_before(soon, Duration::from_secs(2)).saturating_duration_since(Instant::now());
        assert!(stop > Duration::from_secs(7) && stop <= Duration::from_secs(8), "{stop:?}");
        assert!(stop_before(SystemTime::UNIX_EPOCH, Duration::from_secs(2)) <= Instant::now());
    }
}
