//! A Kafka message as decoding and dead letters see it.

use events::dead_letter::{PANIC, chain};
use events::qlik::{self, KEY_SCHEMA_HEADER, VALUE_SCHEMA_HEADER};
use events::trace_context::{InvalidTraceParent, TRACEPARENT};
use events::{Correlation, Entity, Timestamp, TraceParent};
use rdkafka::message::{Headers, Message, OwnedMessage};

use crate::dead_letter::Diagnosis;

pub(crate) fn view(entity: Entity, message: &OwnedMessage) -> qlik::Message<'_> {
    let has_schema_header = message.headers().is_some_and(|headers| {
        headers.iter().any(|header| [VALUE_SCHEMA_HEADER, KEY_SCHEMA_HEADER].contains(&header.key))
    });
    qlik::Message { entity, key: message.key(), value: message.payload(), has_schema_header }
}

/// The trace context in a message's headers. Of several the last one counts, as it does with Kafka's own clients.
pub(crate) fn trace_context(message: &OwnedMessage) -> Option<Result<TraceParent, InvalidTraceParent>> {
    let header = message.headers()?.iter().filter(|header| header.key == TRACEPARENT).last()?;
    // What is no text is no trace context either.
    let text = header.value.and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default();
    Some(text.parse())
}

/// By what a message is found in logs before it is decoded: which change it is isn't known yet.
pub(crate) fn correlation(message: &OwnedMessage) -> Correlation {
    Correlation { event_id: None, traceparent: trace_context(message).and_then(Result::ok) }
}

pub(crate) fn diagnosis(
    class: &'static str,
    error: &dyn std::error::Error,
    view: &qlik::Message<'_>,
    correlation: Correlation,
    attempts: u32,
    first_seen: Timestamp,
) -> Diagnosis {
    Diagnosis { class, message: chain(error), schema_id: view.schema_id(), attempts, first_seen, correlation }
}

pub(crate) fn panic_diagnosis(message: String, view: &qlik::Message<'_>, correlation: Correlation) -> Diagnosis {
    let (schema_id, first_seen) = (view.schema_id(), Timestamp::now());
    Diagnosis { class: PANIC, message, schema_id, attempts: 1, first_seen, correlation }
}
