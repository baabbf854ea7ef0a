//! Records that cannot be processed, sent to an SQS queue.
//!
//! The message body is the whole [`DeadLetterEvent`]: the full record, why it was given up, where it came from and which
//! version of the program did so. Lambda's own failure record names only shard and sequence number, and the stream
//! forgets after 24 hours. A letter that is too large for a message goes with its record compressed
//! ([`events::dead_letter::RecordEncoding`]). Reading dead letters and replaying them is not done here.

use crate::failure::{Failure, FailureKind};
use crate::json_service::{JsonService, Service};
use aws_types::SdkConfig;
use contracts::QueueUrl;
use events::dead_letter::DeadLetterEvent;
use futures::FutureExt;
use serde::Serialize;
use std::future::Future;
use std::sync::Arc;

/// Most bytes of an SQS message (SQS quotas, read 2026-11).
const MAX_MESSAGE_BYTES: usize = 1_048_576;

/// Takes over records that cannot be processed.
pub trait SendDeadLetters: Sync {
    /// Stores `event` for later repair. After `Ok` the record counts as done.
    ///
    /// # Errors
    /// When it was not stored; the caller must then keep the record.
    fn send(&self, event: &DeadLetterEvent) -> impl Future<Output = Result<(), DeadLetterError>> + Send;
}

impl<D: SendDeadLetters> SendDeadLetters for &D {
    fn send(&self, event: &DeadLetterEvent) -> impl Future<Output = Result<(), DeadLetterError>> + Send {
        (**self).send(event)
    }
}

/// Why a dead letter was not stored.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeadLetterError {
    /// The record with what is told about it is larger than a message may be, even compressed.
    ///
    /// Only two images of nearly DynamoDB's 400 KB each that differ from each other and hold what can't be compressed get here.
    #[error("the compressed dead letter takes {bytes} bytes and a queue takes at most {MAX_MESSAGE_BYTES}")]
    TooLarge {
        /// Bytes of the message with its record compressed.
        bytes: usize,
    },
    /// The queue did not take it.
    #[error("the dead-letter queue did not take the record ({code}: {message})")]
    NotSent {
        /// SQS's error code or the kind of failure.
        code: String,
        /// What was reported.
        message: String,
        /// Whether the queue may take it later without anybody repairing something.
        retryable: bool,
    },
}

impl DeadLetterError {
    /// Whether sending the same again may work without anybody repairing something.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::NotSent { retryable: true, .. })
    }
}

/// A queue for dead letters.
#[derive(Clone, Debug)]
pub struct DeadLetters {
    service: Arc<JsonService>,
    queue: QueueUrl,
}

impl DeadLetters {
    /// Dead letters to `queue`; `config` must be for the queue's region.
    pub fn new(config: &SdkConfig, queue: QueueUrl) -> Self {
        Self { service: Arc::new(JsonService::new(config, Service::QUEUES)), queue }
    }
}

impl SendDeadLetters for DeadLetters {
    async fn send(&self, event: &DeadLetterEvent) -> Result<(), DeadLetterError> {
        let mut body = message_body(event);
        if body.len() > MAX_MESSAGE_BYTES {
            body = message_body(&event.compressed());
        }
        if body.len() > MAX_MESSAGE_BYTES {
            return Err(DeadLetterError::TooLarge { bytes: body.len() });
        }
        // Behind a pointer, because the compiler gives up on a function's whole nest of futures.
        let request = SendMessage { queue_url: self.queue.as_str(), message_body: &body };
        // Texts under fixed names can always be written.
        let request = serde_json::to_vec(&request).unwrap_or_default();
        let call = self.service.call_with_retries("AmazonSQS.SendMessage", request).boxed();
        call.await.map_err(|Failure { kind, code, message, .. }| {
            let retryable = matches!(kind, FailureKind::Throttled | FailureKind::Unavailable);
            DeadLetterError::NotSent { code, message, retryable }
        })?;
        telemetry::DEAD_LETTERS_TOTAL.inc(&[&event.program, &event.error_class]);
        Ok(())
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct SendMessage<'a> {
    queue_url: &'a str,
    message_body: &'a str,
}

/// The event's JSON, without the two code points that SQS refuses and JSON allows (SQS API reference, `SendMessage`).
/// They can only stand inside of strings, where an escape means the same.
fn message_body(event: &DeadLetterEvent) -> String {
    event.to_json().replace('\u{FFFE}', "\\ufffe").replace('\u{FFFF}', "\\uffff")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Script, dead_letter, queue_url, sdk_config};
    use serde_json::{Value, json};

    fn queue(script: &Script) -> DeadLetters {
        DeadLetters::new(&sdk_config(script), queue_url("http://127.0.0.1/000000000000/dead"))
    }

    #[tokio::test]
    async fn the_message_is_the_whole_event() {
        let script = Script::new().ok(json!({ "MessageId": "m-1" }));
        let event = dead_letter("{\"Keys\":{\"pk\":{\"S\":\"a\\nb\"}}}");
        queue(&script).send(&event).await.expect("taken");
        let request = &script.bodies()[0];
        assert_eq!(request["QueueUrl"], "http://127.0.0.1/000000000000/dead");
        let body = request["MessageBody"].as_str().expect("text");
        assert_eq!(serde_json::from_str::<DeadLetterEvent>(body).expect("reads back"), event);
    }

    #[tokio::test]
    async fn code_points_that_a_queue_refuses_are_escaped() {
        let event = dead_letter("\"a\u{FFFE}b\u{FFFF}c\"");
        let body = message_body(&event);
        assert!(!body.contains(['\u{FFFE}', '\u{FFFF}']));
        let value: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(value["record"], "a\u{FFFE}b\u{FFFF}c");
    }

    #[tokio::test]
    async fn a_record_over_the_limit_is_sent_compressed() {
        let script = Script::new().ok(json!({ "MessageId": "m-1" }));
        let event = dead_letter(&json!({ "n": "9007199254740993", "x": "x".repeat(MAX_MESSAGE_BYTES) }).to_string());
        queue(&script).send(&event).await.expect("taken");
        let body = script.bodies()[0]["MessageBody"].as_str().expect("text").to_owned();
        let letter: DeadLetterEvent = serde_json::from_str(&body).expect("a dead letter");
        assert_ne!(letter.record, event.record);
        assert_eq!(letter.original_record().expect("unpacks"), event.record);
    }

    /// A text that no compressor makes shorter than three quarters.
    fn noise(length: usize) -> String {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut state = 1_u64;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            char::from(alphabet[usize::try_from(state >> 58).expect("below 64")])
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    #[tokio::test]
    async fn a_record_over_the_limit_even_compressed_is_not_sent() {
        let script = Script::new();
        let event = dead_letter(&json!(noise(MAX_MESSAGE_BYTES * 2)).to_string());
        let error = queue(&script).send(&event).await.expect_err("too large");
        assert!(matches!(error, DeadLetterError::TooLarge { bytes } if bytes > MAX_MESSAGE_BYTES));
        assert!(!error.is_retryable());
        assert!(script.bodies().is_empty());
    }

    #[tokio::test]
    async fn a_missing_permission_and_an_outage_are_told_apart() {
        let script = Script::new().error(400, "KmsAccessDenied").error(503, "ServiceUnavailable");
        let queue = queue(&script);
        assert!(!queue.send(&dead_letter("{}")).await.expect_err("denied").is_retryable());
        assert!(queue.send(&dead_letter("{}")).await.expect_err("outage").is_retryable());
    }
}
