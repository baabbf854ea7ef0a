//! What holds for messages of any carriage, and for the ids and the metadata in envelopes.

#[path = "golden/known.rs"]
mod known;

use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use events::qlik::encode::{
    Carriage, ENVELOPE_SCHEMA, Encoder, Record, SchemaIds, Written, flat_schema_json, sample_columns, schema_json,
};
use events::qlik::{
    Announcement, Announcements, Change, DecodeError, Decoded, Image, SchemaId, SchemaLookup, WriterSchema, decode,
};
use events::{AttributeValue, ChangeSequence, Columns, Entity, Operation, Timestamp};
use proptest::prelude::*;

use known::{ANNOUNCED, ANNOUNCED_JSON, ENVELOPE, FLAT, KEY, Known, VALUE, guid};

const ENTITY: Entity = Entity::Customers;

fn at() -> Timestamp {
    "2026-03-04T05:06:07.89Z".parse().expect("valid")
}

fn written(
    carriage: Carriage,
    operation: Operation,
    columns: &Columns,
    mask: Option<&[u8]>,
    key: Option<&str>,
) -> Written {
    let value = match carriage {
        Carriage::FlatAvro => FLAT.into(),
        Carriage::Header => guid(1),
        _ => VALUE.into(),
    };
    let announced = if carriage.is_json() { ANNOUNCED_JSON } else { ANNOUNCED };
    let ids = SchemaIds { value, key: KEY.into(), envelope: ENVELOPE, announced };
    let sequence = ChangeSequence::new(at(), 5);
    let record = Record {
        entity: ENTITY,
        operation,
        columns,
        before: None,
        change_sequence: (operation != Operation::Refresh).then_some(&sequence),
        committed_at: at(),
        stream_position: "0:1",
        transaction_id: "5",
        column_mask: mask,
    };
    Encoder::new(ENTITY).message(carriage, &ids, &record, key).expect("encoded")
}

fn change(schemas: &impl SchemaLookup, message: &Written) -> Change {
    match decode(schemas, &message.message(ENTITY)) {
        Ok(Decoded::Change(change)) => *change,
        other => panic!("{other:?}"),
    }
}

/// An envelope with the registry's schema, or unframed.
fn envelope(framed: bool, kind: &str, schema_id: Option<&str>, schema: Option<&str>, message: &[u8]) -> Written {
    let text = |text: &str| Value::String(text.to_owned());
    let optional = |value: Option<&str>| match value {
        None => Value::Union(0, Box::new(Value::Null)),
        Some(value) => Value::Union(1, Box::new(text(value))),
    };
    let fields = [
        ("magic", Value::Fixed(5, b"atMSG".to_vec())),
        ("type", text(kind)),
        ("headers", optional(None)),
        ("messageSchemaId", optional(schema_id)),
        ("messageSchema", optional(schema)),
        ("message", Value::Bytes(message.to_vec())),
    ];
    let avro = Schema::parse_str(ENVELOPE_SCHEMA).expect("a schema");
    let writer = GenericDatumWriter::builder(&avro).build().expect("a writer");
    let record = Value::Record(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect());
    let datum = writer.write_value_to_vec(record).expect("written");
    let framing = if framed { [&[0][..], &ENVELOPE.to_be_bytes()].concat() } else { Vec::new() };
    Written { value: Some([framing, datum].concat()), ..Written::default() }
}

proptest! {
    #[test]
    fn what_is_written_in_any_carriage_is_read_the_same(
        carriage in prop::sample::select(Carriage::ALL.to_vec()),
        operation in prop::sample::select(Operation::ALL.to_vec()),
        key in "[a-zA-Z0-9-]{1,12}",
        revision in any::<u64>(),
        has_key in any::<bool>(),
    ) {
        let columns = sample_columns(ENTITY, &key, revision);
        let message = written(carriage, operation, &columns, None, has_key.then_some(&key));
        let change = change(&Known::default(), &message);
        prop_assert_eq!(change.key.as_str(), key);
        prop_assert_eq!((change.operation, change.committed_at), (operation, Some(at())));
        // Only metadata proves that an update in JSON is all of the row.
        let unproven = matches!(carriage, Carriage::Json | Carriage::FlatJson);
        let expected = match operation {
            Operation::Delete => Image::Gone,
            Operation::Update if unproven => Image::Partial(columns),
            _ => Image::Complete(columns),
        };
        prop_assert_eq!(change.image, expected);
    }

    /// What is almost right reaches deep; nothing panics.
    #[test]
    fn damaged_messages_never_panic(
        carriage in prop::sample::select(Carriage::ALL.to_vec()),
        damages in prop::collection::vec(fuzz::damage(), 1..4),
    ) {
        let columns = sample_columns(ENTITY, "C-1", 7);
        let mut message = written(carriage, Operation::Update, &columns, Some(&[0x15]), Some("C-1"));
        if let Some(value) = &mut message.value {
            damages.iter().for_each(|damage| damage.apply(value));
        }
        let _ = decode(&Known::default(), &message.message(ENTITY));
    }
}

/// A lookup that knows what was announced to it, and no registry.
#[derive(Default)]
struct WithoutRegistry(Announcements);

impl SchemaLookup for WithoutRegistry {
    fn schema(&self, _id: u32) -> Option<Arc<WriterSchema>> {
        None
    }

    fn announced(&self, id: &str) -> Option<Arc<Announcement>> {
        self.0.get(id)
    }
}

#[test]
fn a_schema_is_waited_for_until_metadata_announces_it() {
    let (known, columns) = (WithoutRegistry::default(), sample_columns(ENTITY, "C-1", 7));
    let message = written(Carriage::EnvelopeAnnounced, Operation::Insert, &columns, None, Some("C-1"));
    match decode(&known, &message.message(ENTITY)) {
        Err(DecodeError::UnannouncedSchema(id)) => assert_eq!(id, ANNOUNCED),
        other => panic!("{other:?}"),
    }
    let ids = SchemaIds { value: VALUE.into(), key: KEY.into(), envelope: ENVELOPE, announced: ANNOUNCED };
    let metadata = Encoder::new(ENTITY).metadata(Carriage::EnvelopeAnnounced, &ids).expect("encoded").expect("one");
    match decode(&known, &metadata.message(ENTITY)) {
        Ok(Decoded::Metadata(Some(announcement))) => assert!(known.0.add(*announcement)),
        other => panic!("{other:?}"),
    }
    assert_eq!(change(&known, &message).image, Image::Complete(columns));
}

/// A registry's number has one spelling; others are names that nobody but a metadata message explains,
/// so no registry is asked for them again and again.
#[test]
fn ids_in_envelopes_are_numbers_in_one_spelling_only() {
    let known = Known::default();
    let columns = sample_columns(ENTITY, "C-1", 7);
    let datum = written(Carriage::Framed, Operation::Insert, &columns, None, None).value.expect("a value").split_off(5);
    let decoded = |framed: bool, id: &str| {
        let message = envelope(framed, "DT", Some(id), None, &datum);
        decode(&known, &message.message(ENTITY))
    };
    assert!(matches!(decoded(true, "7"), Ok(Decoded::Change(_))));
    assert!(matches!(decoded(true, ANNOUNCED), Ok(Decoded::Change(_))));
    assert!(matches!(decoded(true, "99"), Err(DecodeError::UnknownSchema(SchemaId::Number(99)))));
    for (framed, id) in [(true, "07"), (true, "+7"), (true, " 7"), (true, "4294967296"), (false, "7"), (false, "99")] {
        match decoded(framed, id) {
            Err(DecodeError::UnannouncedSchema(found)) => assert_eq!(found, id),
            other => panic!("{id}: {other:?}"),
        }
    }
    // No process waits for an id of any length.
    match decoded(false, &"7".repeat(257)) {
        Err(DecodeError::Poison(poison)) => assert_eq!(poison.class(), "schema_missing"),
        other => panic!("{other:?}"),
    }
}

/// Beside a registry nothing depends on metadata, whatever is in it. Without one it must be readable.
#[test]
fn metadata_beside_a_registry_is_never_poison() {
    let known = Known::default();
    let string = r#""string""#;
    for (id, schema) in [(Some("7"), None), (Some("999"), None), (None, None), (None, Some("{")), (None, Some(string))]
    {
        let decoded = |framed| decode(&known, &envelope(framed, "MD", id, schema, b"\x02a").message(ENTITY));
        assert!(matches!(decoded(true), Ok(Decoded::Metadata(None))), "{id:?} {schema:?}");
        assert!(decoded(false).is_err(), "{id:?} {schema:?}");
    }
}

/// A mask's bits are ordinals, which metadata tells; the order of an object's members tells nothing.
#[test]
fn members_of_an_object_may_come_in_any_order() {
    let known = Known::default();
    let (headers, table) = (
        r#""headers":{"operation":"UPDATE","changeSequence":"20260304050607890000000000000000005","columnMask":"07"}"#,
        format!(r#""messageSchemaId":"{ANNOUNCED_JSON}""#),
    );
    let text = AttributeValue::text;
    let expected = |email: AttributeValue| {
        Columns::from(
            [("customer_id", text("C-1")), ("name", text("Ada")), ("email", email)].map(|(n, v)| (n.to_owned(), v)),
        )
    };
    // The mask speaks of `customer_id`, `name` and `email`, wherever these are.
    for (data, email) in [
        (r#"{"email":"e","name":"Ada","customer_id":"C-1"}"#, text("e")),
        (
            r#"{"updated_at":null,"email":null,"credit":null,"active":null,"name":"Ada","customer_id":"C-1"}"#,
            AttributeValue::Null,
        ),
        (r#"{"name":"Ada","customer_id":"C-1","email":null,"updated_at":null}"#, AttributeValue::Null),
    ] {
        let value = format!(r#"{{"message":{{{headers},"data":{data}}},{table},"type":"DT","magic":"atMSG"}}"#);
        let message = Written { value: Some(value.into_bytes()), ..Written::default() };
        assert_eq!(change(&known, &message).image, Image::Partial(expected(email)), "{data}");
    }
}

/// Each message may bring its schema; it is the same text for all of a table.
#[test]
fn a_schema_may_come_with_its_message() {
    let columns = sample_columns(ENTITY, "C-1", 7);
    let datum = written(Carriage::Framed, Operation::Insert, &columns, None, None).value.expect("a value").split_off(5);
    for framed in [true, false] {
        let message = envelope(framed, "DT", None, Some(&schema_json(ENTITY)), &datum);
        assert_eq!(change(&Known::default(), &message).image, Image::Complete(columns.clone()));
    }
}

/// Beside an image, a member may be a column of its own whose neighbour only has a name like an image's. Neither is guessed at.
#[test]
fn columns_that_may_be_flattened_or_bare_are_no_row() {
    let refused = |value: &str| {
        let (key, value) = (br#"{"customer_id":"7"}"#, value.as_bytes());
        let message = events::qlik::Message {
            entity: ENTITY,
            key: Some(key),
            value: Some(value),
            key_schema_header: None,
            value_schema_header: None,
        };
        match decode(&Known::default(), &message) {
            Err(DecodeError::Poison(poison)) => poison.class() == "record_shape",
            _ => false,
        }
    };
    let headers = r#""headers_operation":"INSERT","headers_changeSequence":"20230911032325000000000000000000005","headers_timestamp":"2023-09-11T03:23:25.000""#;
    assert!(refused(&format!(r#"{{{headers},"customer_id":"7","name":"A","data_source":"crm"}}"#)));
    assert!(refused(&format!(r#"{{{headers},"customer_id":"7","data":{{"x":1}}}}"#)));
    assert!(!refused(&format!(r#"{{{headers},"customer_id":"7","name":"A"}}"#)));
    assert!(!refused(&format!(r#"{{{headers},"data_customer_id":"7","data_name":"A"}}"#)));
}

/// A registry whose flattened schema has one more field, behind the others.
struct Extended(Known, Arc<WriterSchema>);

impl Extended {
    fn new() -> Self {
        let mut schema: serde_json::Value = serde_json::from_str(&flat_schema_json(ENTITY)).expect("JSON");
        let field = serde_json::json!({"name": "source", "type": "string"});
        schema["fields"].as_array_mut().expect("a record").push(field);
        Self(Known::default(), Arc::new(WriterSchema::parse(&schema.to_string()).expect("a schema")))
    }
}

impl SchemaLookup for Extended {
    fn schema(&self, id: u32) -> Option<Arc<WriterSchema>> {
        if id == FLAT { Some(Arc::clone(&self.1)) } else { self.0.schema(id) }
    }

    fn announced(&self, id: &str) -> Option<Arc<Announcement>> {
        self.0.announced(id)
    }
}

#[test]
fn nor_are_they_in_avro() {
    let columns = sample_columns(ENTITY, "C-1", 7);
    let mut message = written(Carriage::FlatAvro, Operation::Insert, &columns, None, Some("C-1"));
    assert_eq!(change(&Known::default(), &message).image, Image::Complete(columns));
    message.value.as_mut().expect("a value").extend(b"\x06crm");
    match decode(&Extended::new(), &message.message(ENTITY)) {
        Err(DecodeError::Poison(poison)) => assert_eq!(poison.class(), "record_shape"),
        other => panic!("{other:?}"),
    }
}
