//! Qlik's change records: golden vectors, round trips and arbitrary bytes.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use events::qlik::encode::{Encoder, Record, key_schema_json, sample_columns, schema_json};
use events::qlik::{Change, DecodeError, Decoded, Fence, Image, Message, Origin, SchemaId, WriterSchema, decode};
use events::{AttributeValue, ChangeSequence, Columns, Entity, JsonText, Operation, Region, RowChange, Timestamp};
use proptest::prelude::*;
use serde::Deserialize;

const VALUE_SCHEMA: u32 = 7;
const KEY_SCHEMA: u32 = 8;

fn schemas(entity: Entity) -> HashMap<u32, Arc<WriterSchema>> {
    let parse = |json: &str| Arc::new(WriterSchema::parse(json).expect("a schema"));
    HashMap::from([(VALUE_SCHEMA, parse(&schema_json(entity))), (KEY_SCHEMA, parse(&key_schema_json(entity)))])
}

fn at() -> Timestamp {
    "2026-03-04T05:06:07.89Z".parse().expect("valid")
}

fn change(decoded: Result<Decoded, DecodeError>) -> Change {
    match decoded {
        Ok(Decoded::Change(change)) => *change,
        other => panic!("{other:?}"),
    }
}

fn message<'m>(entity: Entity, key: Option<&'m [u8]>, value: &'m [u8]) -> Message<'m> {
    Message { entity, key, value: Some(value), key_schema_header: None, value_schema_header: None }
}

fn fence() -> Fence {
    Fence {
        source: "shop".parse().expect("valid"),
        generation: 3,
        epoch: 9,
        origin_region: Region::new("us-west-2").expect("valid"),
        tombstone_retention: Duration::from_secs(60),
    }
}

fn origin(topic: &str) -> Origin<'_> {
    Origin {
        topic,
        partition: 2,
        offset: 17,
        message_time: at(),
        now: Timestamp::from_second(1_000).expect("valid"),
        traceparent: None,
    }
}

/// One vector of `tests/vectors/vectors.json`; see `tests/vectors/generate.py`.
#[derive(Deserialize)]
struct Vector {
    name: String,
    entity: Entity,
    key: Option<String>,
    value: Option<String>,
    #[serde(default)]
    schema_header: bool,
}

#[derive(Deserialize)]
struct Vectors {
    schemas: BTreeMap<u32, serde_json::Value>,
    vectors: Vec<Vector>,
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|index| u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).expect("hexadecimal"))
        .collect()
}

fn describe(decoded: Result<Decoded, DecodeError>) -> String {
    let change = match decoded {
        Ok(Decoded::Change(change)) => change,
        Ok(Decoded::CompactionMark) => return "compaction mark".to_owned(),
        Ok(Decoded::Metadata(_)) => return "metadata".to_owned(),
        Err(DecodeError::UnknownSchema(id)) => return format!("needs schema {id}"),
        Err(DecodeError::UnannouncedSchema(id)) => return format!("needs the announced schema {id}"),
        Err(DecodeError::Poison(poison)) => {
            return format!("poison {}: {}", poison.class(), events::dead_letter::chain(&poison));
        }
    };
    let mut text = format!("{} {} {}", change.operation, change.table, change.key);
    if let Some(previous) = &change.previous_key {
        write!(text, " (was {previous})").expect("fits");
    }
    let sequence = change.sequence.as_ref().map_or("no sequence", ChangeSequence::as_str);
    let committed = change.committed_at.map_or_else(|| "no time".to_owned(), |at| at.to_string());
    write!(text, " | {sequence} | {committed} | {} | ", change.stream_position).expect("fits");
    match &change.image {
        Image::Complete(columns) => write!(text, "complete {}", JsonText::of_columns(columns)),
        Image::Partial(columns) => write!(text, "partial {}", JsonText::of_columns(columns)),
        Image::Gone => write!(text, "gone"),
    }
    .expect("fits");
    text
}

/// The vectors are written by another Avro implementation, so that a mistake of ours can't cancel itself out.
#[test]
fn golden_vectors() {
    let file: Vectors = serde_json::from_str(include_str!("vectors/vectors.json")).expect("vectors");
    let schemas: HashMap<u32, Arc<WriterSchema>> = file
        .schemas
        .iter()
        .map(|(id, schema)| (*id, Arc::new(WriterSchema::parse(&schema.to_string()).expect("a schema"))))
        .collect();
    let mut report = String::new();
    for vector in &file.vectors {
        let (key, value) = (vector.key.as_deref().map(unhex), vector.value.as_deref().map(unhex));
        let message = Message {
            entity: vector.entity,
            key: key.as_deref(),
            value: value.as_deref(),
            key_schema_header: None,
            value_schema_header: vector.schema_header.then_some(&[0, 0, 0, 0, 11]),
        };
        writeln!(report, "{}: {}", vector.name, describe(decode(&schemas, &message))).expect("fits");
    }
    insta::assert_snapshot!(report);
}

#[test]
fn a_move_is_a_tombstone_and_a_put() {
    let (old, new) = (sample_columns(Entity::Orders, "a", 1), sample_columns(Entity::Orders, "b", 2));
    let sequence = ChangeSequence::new(at(), 5);
    let record = Record {
        entity: Entity::Orders,
        operation: Operation::Update,
        columns: &new,
        before: Some(&old),
        change_sequence: Some(&sequence),
        committed_at: at(),
        stream_position: "1",
        transaction_id: "2",
        column_mask: None,
    };
    let value = Encoder::new(Entity::Orders).value(VALUE_SCHEMA, &record).expect("encoded");
    let change = change(decode(&schemas(Entity::Orders), &message(Entity::Orders, None, &value)));
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".parse().ok();
    let writes = change.writes(&fence(), &Origin { traceparent, ..origin("qlik.orders") });
    let [leave, arrive] = writes.as_slice() else { panic!("{writes:?}") };
    assert_eq!(leave.head.key.as_str(), "a");
    assert_eq!(leave.head.operation, Operation::Delete);
    assert_eq!(leave.change, RowChange::Tombstone { expires_at: 1_060 });
    assert_eq!(arrive.head.key.as_str(), "b");
    assert_eq!(arrive.head.operation, Operation::Update);
    assert_eq!(arrive.change, RowChange::Put(new));
    assert_eq!(leave.head.version, arrive.head.version);
    assert_ne!(leave.head.event_id, arrive.head.event_id);
    assert_eq!(arrive.head.version.as_str(), format!("0000000003|1|{sequence}"));
    assert_eq!(arrive.head.trace.table, "shop.orders");
    assert!(traceparent.is_some());
    assert_eq!([leave.head.traceparent, arrive.head.traceparent], [traceparent; 2]);
}

/// A partial image that moves a row takes along what the before image knows.
#[test]
fn a_partial_move_keeps_what_is_known() {
    let old = sample_columns(Entity::Products, "a", 1);
    let new = Columns::from([
        ("product_id".to_owned(), AttributeValue::text("b")),
        ("stock".to_owned(), AttributeValue::N("99".to_owned())),
    ]);
    let sequence = ChangeSequence::new(at(), 5);
    let record = Record {
        entity: Entity::Products,
        operation: Operation::Update,
        columns: &new,
        before: Some(&old),
        change_sequence: Some(&sequence),
        committed_at: at(),
        stream_position: "1",
        transaction_id: "2",
        column_mask: Some(&[0b0001_0001]),
    };
    let value = Encoder::new(Entity::Products).value(VALUE_SCHEMA, &record).expect("encoded");
    let change = change(decode(&schemas(Entity::Products), &message(Entity::Products, None, &value)));
    let mut expected = old;
    expected.extend(new);
    assert_eq!(change.image, Image::Complete(expected));
    assert_eq!(change.previous_key.as_ref().map(events::EntityKey::as_str), Some("a"));
}

#[test]
fn schemas_are_asked_for() {
    let columns = sample_columns(Entity::Customers, "1", 1);
    let record = Record {
        entity: Entity::Customers,
        operation: Operation::Refresh,
        columns: &columns,
        before: None,
        change_sequence: None,
        committed_at: at(),
        stream_position: "",
        transaction_id: "",
        column_mask: None,
    };
    let encoder = Encoder::new(Entity::Customers);
    let value = encoder.value(VALUE_SCHEMA, &record).expect("encoded");
    let key = encoder.key(KEY_SCHEMA, "1").expect("encoded");
    let message = message(Entity::Customers, Some(&key), &value);
    assert_eq!(message.schema_id(), Some(VALUE_SCHEMA));
    let mut known = HashMap::new();
    for expected in [VALUE_SCHEMA, KEY_SCHEMA] {
        match decode(&known, &message) {
            Err(DecodeError::UnknownSchema(id)) => assert_eq!(id, SchemaId::Number(expected)),
            other => panic!("{other:?}"),
        }
        let schema = schemas(Entity::Customers).remove(&expected).expect("known");
        known.insert(expected, schema);
    }
    let change = change(decode(&known, &message));
    assert_eq!(change.version(3).as_str(), "0000000003|0|");
    let writes = change.writes(&fence(), &origin("qlik.customers"));
    assert_eq!(writes.len(), 1);
    assert_eq!(writes[0].change, RowChange::Put(columns));
}

fn entities() -> impl Strategy<Value = Entity> {
    proptest::sample::select(Entity::ALL.to_vec())
}

proptest! {
    #[test]
    fn decoding_what_is_encoded_gives_the_same(
        entity in entities(),
        operation in proptest::sample::select(Operation::ALL.to_vec()),
        key in "[a-z0-9-]{1,12}",
        revision in any::<u64>(),
        counter in 0_u64..1_000_000,
        avro_key in any::<bool>(),
    ) {
        let columns = sample_columns(entity, &key, revision);
        let sequence = ChangeSequence::new(at(), counter);
        let record = Record {
            entity, operation, columns: &columns, before: None,
            change_sequence: (operation != Operation::Refresh).then_some(&sequence),
            committed_at: at(), stream_position: "0:1", transaction_id: "5", column_mask: None,
        };
        let encoder = Encoder::new(entity);
        let value = encoder.value(VALUE_SCHEMA, &record).expect("encoded");
        let key_bytes = if avro_key { encoder.key(KEY_SCHEMA, &key).expect("encoded") } else { key.clone().into_bytes() };
        let change = change(decode(&schemas(entity), &message(entity, Some(&key_bytes), &value)));
        prop_assert_eq!(change.key.as_str(), key);
        prop_assert_eq!(change.operation, operation);
        prop_assert_eq!(change.sequence, record.change_sequence.cloned());
        prop_assert_eq!(change.committed_at, Some(at()));
        let expected = if operation == Operation::Delete { Image::Gone } else { Image::Complete(columns) };
        prop_assert_eq!(change.image, expected);
    }

    #[test]
    fn arbitrary_bytes_never_panic(
        entity in entities(),
        datum in proptest::collection::vec(any::<u8>(), 0..200),
        key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
        framed in any::<bool>(),
    ) {
        let mut value = if framed { vec![0, 0, 0, 0, 7] } else { Vec::new() };
        value.extend(datum);
        let _ = decode(&schemas(entity), &message(entity, key.as_deref(), &value));
    }

    /// Bytes that are almost right reach deeper than random ones.
    #[test]
    fn damaged_records_never_panic(entity in entities(), damages in proptest::collection::vec(fuzz::damage(), 1..4)) {
        let columns = sample_columns(entity, "k", 7);
        let sequence = ChangeSequence::new(at(), 1);
        let record = Record {
            entity, operation: Operation::Update, columns: &columns, before: Some(&columns), change_sequence: Some(&sequence),
            committed_at: at(), stream_position: "0:1", transaction_id: "5", column_mask: Some(&[0x15]),
        };
        let mut value = Encoder::new(entity).value(VALUE_SCHEMA, &record).expect("encoded");
        damages.iter().for_each(|damage| damage.apply(&mut value));
        let _ = decode(&schemas(entity), &message(entity, None, &value));
    }
}
