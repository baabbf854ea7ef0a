//! A message of Kafka as the decoder sees it, and what its headers tell.

use events::dead_letter::{PANIC, chain};
use events::qlik::{self, KEY_SCHEMA_HEADER, VALUE_SCHEMA_HEADER};
use events::trace_context::{InvalidTraceParent, TRACEPARENT};
use events::{Correlation, Entity, Timestamp, TraceParent};
use rdkafka::message::{Headers, Message, OwnedMessage};

use crate::dead_letter::Diagnosis;

/// The message without a copy.
pub(crate) fn view(entity: Entity, message: &OwnedMessage) -> qlik::Message<'_> {
    qlik::Message {
        entity,
        key: message.key(),
        value: message.payload(),
        key_schema_header: header(message, KEY_SCHEMA_HEADER),
        value_schema_header: header(message, VALUE_SCHEMA_HEADER),
    }
}

/// The trace context in a message's headers. One whose value is no text is no trace context either.
pub(crate) fn trace_context(message: &OwnedMessage) -> Option<Result<TraceParent, InvalidTraceParent>> {
    let value = header(message, TRACEPARENT)?;
    Some(std::str::from_utf8(value).unwrap_or_default().parse())
}

/// By what a message is found in logs before it is decoded: which change it is isn't known yet.
pub(crate) fn correlation(message: &OwnedMessage) -> Correlation {
    Correlation { event_id: None, traceparent: trace_context(message).and_then(Result::ok) }
}

/// What is wrong with a message that was tried `attempts` times.
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

/// The same of a message at which the program failed.
pub(crate) fn panic_diagnosis(message: String, view: &qlik::Message<'_>, correlation: Correlation) -> Diagnosis {
    let (schema_id, first_seen) = (view.schema_id(), Timestamp::now());
    Diagnosis { class: PANIC, message, schema_id, attempts: 1, first_seen, correlation }
}

/// The value of a header. Of several the last one counts, as it does with Kafka's own clients; one without a value is empty.
fn header<'m>(message: &'m OwnedMessage, name: &str) -> Option<&'m [u8]> {
    let header = message.headers()?.iter().filter(|header| header.key == name).last()?;
    Some(header.value.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use rdkafka::Timestamp;
    use rdkafka::message::{Header, OwnedHeaders};

    use super::*;

    fn message(headers: &[(&str, Option<&[u8]>)]) -> OwnedMessage {
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value: *value }));
        let topic = "qlik.orders".to_owned();
        OwnedMessage::new(Some(b"value".to_vec()), None, topic, Timestamp::NotAvailable, 0, 0, Some(headers))
    }

    #[test]
    fn the_last_header_of_a_name_counts() {
        let number = [0, 0, 0, 0, 7];
        let several = message(&[
            (VALUE_SCHEMA_HEADER, Some(b"other")),
            (VALUE_SCHEMA_HEADER, Some(&number)),
            (KEY_SCHEMA_HEADER, None),
        ]);
        let seen = view(Entity::Orders, &several);
        assert_eq!(seen.value_schema_header, Some(&number[..]));
        // There, and no schema id: told apart from a message without the header.
        assert_eq!(seen.key_schema_header, Some(&[][..]));
        assert_eq!(seen.schema_id(), Some(7));
        let none = message(&[]);
        let seen = view(Entity::Orders, &none);
        assert_eq!((seen.value_schema_header, seen.key_schema_header, seen.key), (None, None, None));
        assert!(trace_context(&none).is_none());
        assert!(trace_context(&message(&[(TRACEPARENT, Some(b"\xff"))])).is_some_and(|context| context.is_err()));
    }
}
