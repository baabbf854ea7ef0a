//! What a function keeps of a record that it can't handle: everything that is needed to understand and replay it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use contracts::Region;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::json::to_json;
use crate::{InvalidJson, JsonText, Trace, TraceId, TraceParent};

/// A record that can't be handled, as a function puts it into its dead-letter queue.
///
/// The full body goes with it, because a stream forgets its records after 24 hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetterEvent {
    /// The program that gave up.
    pub program: String,
    /// The program's version.
    pub program_version: String,
    /// The region where it ran.
    #[serde(with = "crate::text")]
    pub region: Region,
    /// Where the record came from: a stream's ARN, a topic.
    pub source: String,
    /// The record's place there: a sequence number, an offset.
    pub position: String,
    /// A stable name of the kind of error.
    pub error_class: String,
    /// What went wrong, for people, with its causes.
    pub message: String,
    /// How often the record was tried, at least 1. A queue counts its deliveries; a stream doesn't tell of earlier ones.
    pub attempts: u32,
    /// When it was first tried, as far as is known in the same way.
    #[serde(with = "crate::text")]
    pub first_seen: Timestamp,
    /// When the program gave up.
    #[serde(with = "crate::text")]
    pub failed_at: Timestamp,
    /// Where the change came from, if the record could be read that far.
    pub trace: Option<Trace>,
    /// The trace that the logs name, if the record could be read that far: that of `traceparent`, or the digits of the event's id.
    #[serde(default, with = "crate::text::lenient", skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<TraceId>,
    /// The trace context that the record came with.
    #[serde(default, with = "crate::text::lenient", skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<TraceParent>,
    /// How `record` is written. Left out when it is the record itself.
    #[serde(default, skip_serializing_if = "RecordEncoding::is_json")]
    pub record_encoding: RecordEncoding,
    /// The record in that encoding; [`DeadLetterEvent::original_record`] gives it back.
    pub record: JsonText,
}

/// How the source of a parked event begins; the region that it waited for follows. Its record is the envelope.
pub const PARKED_FOR: &str = "parking for ";

/// How a dead letter's record is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordEncoding {
    /// The record's JSON as it came; a JSON string if it was no JSON.
    #[default]
    #[serde(rename = "json")]
    Json,
    /// A JSON string: base64 of the zstd frame of that JSON. For records that are too large for a queue otherwise.
    #[serde(rename = "zstd+base64")]
    ZstdBase64,
}

impl RecordEncoding {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
    fn is_json(&self) -> bool {
        *self == Self::Json
    }
}

/// The longest record in bytes of JSON that is unpacked. Lambda hands over at most 6 MB.
const MAX_RECORD_BYTES: usize = 16 * 1024 * 1024;
/// zstd's level for records: they are few and must become small.
const RECORD_LEVEL: i32 = 9;

impl DeadLetterEvent {
    /// The same letter with its record compressed; as it is when that is done already or can't be done.
    #[must_use]
    pub fn compressed(&self) -> Self {
        let text = self.record.as_str();
        let packed = match self.record_encoding {
            RecordEncoding::Json if text.len() <= MAX_RECORD_BYTES => {
                zstd::bulk::compress(text.as_bytes(), RECORD_LEVEL).ok()
            }
            RecordEncoding::Json | RecordEncoding::ZstdBase64 => None,
        };
        let Some(packed) = packed else {
            return self.clone();
        };
        let record = JsonText::quote(&BASE64.encode(packed));
        Self { record_encoding: RecordEncoding::ZstdBase64, record, ..self.clone() }
    }

    /// The record as it was before any compression, for replaying it.
    ///
    /// # Errors
    /// When a compressed record is damaged or longer than 16 MiB.
    pub fn original_record(&self) -> Result<JsonText, InvalidRecord> {
        match self.record_encoding {
            RecordEncoding::Json => Ok(self.record.clone()),
            RecordEncoding::ZstdBase64 => {
                let text: String = serde_json::from_str(self.record.as_str()).map_err(InvalidRecord::NoText)?;
                let packed = BASE64.decode(text).map_err(InvalidRecord::NoBase64)?;
                let bytes = zstd::bulk::decompress(&packed, MAX_RECORD_BYTES).map_err(InvalidRecord::Corrupt)?;
                let text = String::from_utf8(bytes).map_err(InvalidRecord::NoUtf8)?;
                JsonText::parse(text).map_err(InvalidRecord::NoJson)
            }
        }
    }

    /// The dead letter as JSON.
    pub fn to_json(&self) -> String {
        to_json(self)
    }
}

/// Why a compressed record can't be had back.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRecord {
    /// It is no JSON string.
    #[error("the compressed record is no JSON string")]
    NoText(#[source] serde_json::Error),
    /// It is no base64.
    #[error("the compressed record is no base64")]
    NoBase64(#[source] base64::DecodeError),
    /// It is no zstd frame, or unpacks to more than 16 MiB.
    #[error("the compressed record can't be unpacked")]
    Corrupt(#[source] std::io::Error),
    /// It unpacks to no text.
    #[error("the compressed record is no UTF-8")]
    NoUtf8(#[source] std::string::FromUtf8Error),
    /// It unpacks to no JSON.
    #[error("the compressed record is no JSON")]
    NoJson(#[source] InvalidJson),
}

/// Error class of a record on which the program panicked.
pub const PANIC: &str = "panic";

/// Works on one record so that a panic costs only that record: it comes back as a message for its dead letter, of class [`PANIC`].
///
/// What `work` changes from outside must stay usable after a panic in its middle.
///
/// # Errors
/// The panic's message.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| panic_message(&*panic))
}

fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("the program panicked on this record: {}", text.unwrap_or("no message was given"))
}

/// An error and its causes in one line, for a dead letter's `message`.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace_context;

    fn letter(record: &str) -> DeadLetterEvent {
        let at: Timestamp = "2026-03-04T05:06:07Z".parse().expect("valid");
        DeadLetterEvent {
            program: "stream-processor".to_owned(),
            program_version: "0.0.0".to_owned(),
            region: Region::new("us-west-2").expect("valid"),
            source: "arn".to_owned(),
            position: "1".to_owned(),
            error_class: "malformed_row".to_owned(),
            message: "the record's new image is no row: the item has no attribute `pk`".to_owned(),
            attempts: 1,
            first_seen: at,
            failed_at: at,
            trace: None,
            trace_id: None,
            traceparent: None,
            record_encoding: RecordEncoding::Json,
            record: JsonText::parse_or_quote(record),
        }
    }

    #[test]
    fn dead_letters_keep_the_body() {
        let letter = letter(r#"{"n": 9007199254740993.10}"#);
        assert_eq!(letter.original_record().expect("as it is"), letter.record);
        let json = letter.to_json();
        assert!(json.ends_with(r#""trace":null,"record":{"n": 9007199254740993.10}}"#), "{json}");
        assert_eq!(serde_json::from_str::<DeadLetterEvent>(&json).expect("a dead letter"), letter);
    }

    #[test]
    fn dead_letters_name_their_trace() {
        let traceparent = trace_context::tests::example();
        let letter =
            DeadLetterEvent { trace_id: Some(traceparent.trace_id()), traceparent: Some(traceparent), ..letter("{}") };
        let json = letter.to_json();
        let named = format!(
            r#""trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","traceparent":"{}","record""#,
            trace_context::tests::EXAMPLE
        );
        assert!(json.contains(&named), "{json}");
        assert_eq!(serde_json::from_str::<DeadLetterEvent>(&json).expect("a dead letter"), letter);
        assert_eq!(letter.compressed().trace_id, letter.trace_id);
    }

    #[test]
    fn compressed_letters_give_their_record_back() {
        for record in [r#"{"n": 9007199254740993.10}"#, "no JSON \u{1}"] {
            let letter = letter(record);
            let packed = letter.compressed();
            assert_eq!(packed.compressed(), packed, "once is enough");
            let json = packed.to_json();
            assert!(json.contains(r#""record_encoding":"zstd+base64""#), "{json}");
            let read: DeadLetterEvent = serde_json::from_str(&json).expect("a dead letter");
            assert_eq!(read.original_record().expect("unpacks"), letter.record);
        }
        let damaged = DeadLetterEvent { record: JsonText::parse_or_quote("AAAA"), ..letter("{}").compressed() };
        assert!(matches!(damaged.original_record(), Err(InvalidRecord::Corrupt(_))));
    }

    #[test]
    fn panics_become_messages() {
        assert_eq!(caught(|| 1), Ok(1));
        let message = caught::<()>(|| panic!("told to panic")).expect_err("panics");
        assert_eq!(message, "the program panicked on this record: told to panic");
    }

    #[test]
    fn messages_hold_the_causes() {
        let error = crate::domain::RecordError::from(crate::row::RowError::Missing { attribute: "pk" });
        assert_eq!(
            chain(&error),
            "the record's new image is no row: the item has no attribute `pk`, so it wasn't written by the consumer"
        );
    }
}
