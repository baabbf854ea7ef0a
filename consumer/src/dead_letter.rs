//! The dead-letter topic: what becomes of messages that can't be applied.
//!
//! A dead letter is the message itself (raw key, raw value, every header) with further headers that say where it was and what is wrong.
//! Replaying it means producing it to its topic again without those headers.

use std::time::Duration;

use events::{Correlation, Timestamp};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders, OwnedMessage};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::util::Timeout;

/// What is wrong with a message, beside the message.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// A stable name of the kind of error.
    pub class: &'static str,
    /// What went wrong, for people, with its causes.
    pub message: String,
    /// The registry's id of the value's schema, if the value has one.
    pub schema_id: Option<u32>,
    /// How often the message was tried since this member took it up, at least 1. Earlier deliveries aren't known.
    pub attempts: u32,
    /// When this member first tried it.
    pub first_seen: Timestamp,
    /// By what the change is found in logs, as far as the message could be read.
    pub correlation: Correlation,
}

/// Takes dead letters.
pub trait DeadLetterSink: Send + Sync + 'static {
    /// Stores a message with its diagnosis. Success means that it will outlive this process.
    fn send(
        &self,
        message: &OwnedMessage,
        diagnosis: &Diagnosis,
    ) -> impl Future<Output = Result<(), DeadLetterError>> + Send;
}

/// A message couldn't be put onto the dead-letter topic.
#[derive(Debug, thiserror::Error)]
#[error("the dead-letter topic `{topic}` didn't take the message; check that it exists and may be written to")]
pub struct DeadLetterError {
    topic: String,
    source: KafkaError,
}

impl DeadLetterError {
    /// The dead-letter topic `topic` didn't take a message.
    pub fn new(topic: &str, source: KafkaError) -> Self {
        Self { topic: topic.to_owned(), source }
    }

    /// The dead-letter topic.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// Whether the letter is larger than the topic takes, so that sending it again can't help before somebody raises the limit.
    pub fn is_too_large(&self) -> bool {
        self.source.rdkafka_error_code() == Some(RDKafkaErrorCode::MessageSizeTooLarge)
    }
}

/// The dead-letter topic.
pub struct DeadLetterTopic {
    producer: FutureProducer,
    topic: String,
    group: String,
}

impl std::fmt::Debug for DeadLetterTopic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeadLetterTopic").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl DeadLetterTopic {
    /// A topic that `producer` writes to, for consumers of `group`.
    /// The producer must wait for all replicas (`acks=all`).
    pub fn new(producer: FutureProducer, topic: &str, group: &str) -> Self {
        Self { producer, topic: topic.to_owned(), group: group.to_owned() }
    }
}

impl DeadLetterSink for DeadLetterTopic {
    async fn send(&self, message: &OwnedMessage, diagnosis: &Diagnosis) -> Result<(), DeadLetterError> {
        let mut record = FutureRecord::to(&self.topic).headers(headers(message, diagnosis, &self.group));
        record.key = message.key();
        record.payload = message.payload();
        // The producer's own `message.timeout.ms` bounds the delivery; this bounds the wait for room in its queue.
        let room = Timeout::After(Duration::from_secs(5));
        let delivered = self.producer.send::<[u8], [u8], _>(record, room).await;
        delivered.map(|_| ()).map_err(|(source, _)| DeadLetterError::new(&self.topic, source))
    }
}

/// Prefix of the headers that a dead letter has beside the message's own.
pub const HEADER_PREFIX: &str = "tandem.dead-letter.";
/// The longest message text in bytes, so that the headers can't make a record too large for the topic.
const MAX_MESSAGE_BYTES: usize = 1024;

fn headers(message: &OwnedMessage, diagnosis: &Diagnosis, group: &str) -> OwnedHeaders {
    let Diagnosis { class, message: text, schema_id, attempts, first_seen, correlation } = diagnosis;
    let original = message.headers().map_or_else(OwnedHeaders::new, OwnedHeaders::clone);
    let cut = text.floor_char_boundary(MAX_MESSAGE_BYTES);
    let facts = [
        ("topic", message.topic().to_owned()),
        ("partition", message.partition().to_string()),
        ("offset", message.offset().to_string()),
        ("timestamp", message.timestamp().to_millis().map_or_else(String::new, |millis| millis.to_string())),
        ("schema-id", schema_id.map_or_else(String::new, |id| id.to_string())),
        ("error-class", (*class).to_owned()),
        ("message", text[..cut].to_owned()),
        ("attempts", attempts.to_string()),
        ("first-seen", first_seen.to_string()),
        ("event-id", correlation.event_id.map_or_else(String::new, |id| id.to_string())),
        ("trace-id", correlation.trace_id().map_or_else(String::new, |id| id.to_string())),
        ("failed-at", Timestamp::now().to_string()),
        ("group", group.to_owned()),
        ("program", env!("CARGO_PKG_NAME").to_owned()),
        ("program-version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    facts.iter().fold(original, |headers, (name, value)| {
        headers.insert(Header { key: &format!("{HEADER_PREFIX}{name}"), value: Some(value) })
    })
}
