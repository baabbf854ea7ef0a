//! What a function keeps of a record that it can't handle: everything that is needed to understand and replay it.

use contracts::Region;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::json::to_json;
use crate::{JsonText, Trace};

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
    /// How often the record was tried; at least 1.
    pub attempts: u32,
    /// When it was first tried.
    #[serde(with = "crate::text")]
    pub first_seen: Timestamp,
    /// When the program gave up.
    #[serde(with = "crate::text")]
    pub failed_at: Timestamp,
    /// Where the change came from, if the record could be read that far.
    pub trace: Option<Trace>,
    /// The record itself.
    pub record: JsonText,
}

impl DeadLetterEvent {
    /// The dead letter as JSON.
    pub fn to_json(&self) -> String {
        to_json(self)
    }
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

    #[test]
    fn dead_letters_keep_the_body() {
        let at: Timestamp = "2026-03-04T05:06:07Z".parse().expect("valid");
        let letter = DeadLetterEvent {
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
            record: JsonText::parse_or_quote(r#"{"n": 9007199254740993.10}"#),
        };
        let json = letter.to_json();
        assert!(json.ends_with(r#""trace":null,"record":{"n": 9007199254740993.10}}"#), "{json}");
        assert_eq!(serde_json::from_str::<DeadLetterEvent>(&json).expect("a dead letter"), letter);
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
