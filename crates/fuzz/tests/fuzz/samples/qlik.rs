//! What Qlik Replicate sends, byte by byte where this system has no writer for it.

use std::collections::BTreeMap;

use events::qlik::encode::{
    Carriage, Encoder, Record, SchemaIds, Written, flat_schema_json, key_schema_json, sample_columns, schema_json,
};
use events::{ChangeSequence, Entity, Operation, Timestamp};
use serde_json::json;

const ENTITY: Entity = Entity::Customers;

const ENVELOPE: &str = r#"{"type":"record","name":"MessageEnvelope","namespace":"com.attunity.queue.msg","fields":[{"name":"magic","type":{"type":"fixed","name":"Magic","size":5}},{"name":"type","type":"string"},{"name":"headers","type":["null",{"type":"map","values":"string"}]},{"name":"messageSchemaId","type":["null","string"]},{"name":"messageSchema","type":["null","string"]},{"name":"message","type":"bytes"}]}"#;

/// A table with columns of the rarer types.
const ODD: &str = r#"{"type":"record","name":"DataRecord","namespace":"com.attunity.queue.msg.task.shop.odd","fields":[{"name":"data","type":["null",{"type":"record","name":"Data","fields":[{"name":"customer_id","type":"string"},{"name":"list","type":{"type":"array","items":"long"}},{"name":"words","type":{"type":"array","items":"string"}},{"name":"map","type":{"type":"map","values":["null","int"]}},{"name":"money","type":{"type":"bytes","logicalType":"decimal","precision":40,"scale":2}},{"name":"big","type":{"type":"bytes","logicalType":"big-decimal"}},{"name":"day","type":{"type":"int","logicalType":"date"}},{"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}},{"name":"ratio","type":"double"}]}]},{"name":"beforeData","type":["null","Data"]},{"name":"headers","type":{"type":"record","name":"Headers","fields":[{"name":"operation","type":"string"},{"name":"changeSequence","type":"string"},{"name":"timestamp","type":"string"},{"name":"columnMask","type":["null","bytes"]}]}}]}"#;

/// The registry's schemas, by id.
pub(crate) fn schemas() -> BTreeMap<u32, String> {
    let own = [(7, schema_json(ENTITY)), (8, key_schema_json(ENTITY)), (11, flat_schema_json(ENTITY))];
    own.into_iter().chain([(9, ENVELOPE.to_owned()), (10, ODD.to_owned())]).collect()
}

pub(super) fn corpus() -> Vec<(String, Vec<u8>)> {
    let list = [long(2), long(1), long(2)].concat();
    let record_key = Encoder::new(ENTITY).key(8, "C-1").expect("encoded");
    let files = [
        ("qlik_value/insert.bin", insert()),
        ("qlik_value/update.bin", value(Operation::Update)),
        ("qlik_value/delete.bin", value(Operation::Delete)),
        ("qlik_value/refresh.bin", value(Operation::Refresh)),
        ("qlik_value/odd.bin", odd_value(&list)),
        ("qlik_value/embedded_schema.bin", embedded(&schema_json(ENTITY), &insert()[5..])),
        ("qlik_value/schema_by_id.bin", envelope(Some("7"), None, &insert()[5..])),
        ("qlik_key/record.bin", record_key),
        ("qlik_key/text.bin", b"C-1".to_vec()),
        ("avro_schema/value.json", schema_json(ENTITY).into_bytes()),
        ("avro_schema/key.json", key_schema_json(ENTITY).into_bytes()),
        ("avro_schema/envelope.json", ENVELOPE.into()),
        ("avro_schema/odd.json", ODD.into()),
    ];
    let mut corpus: Vec<(String, Vec<u8>)> = files.map(|(name, bytes)| (name.to_owned(), bytes)).into();
    let json = json_values().into_iter().map(|(name, bytes)| (format!("qlik_json_value/{name}.json"), bytes));
    corpus.extend(json);
    let flat = written(Carriage::FlatAvro, Operation::Update, 11);
    let announced = metadata(Carriage::EnvelopeAnnounced);
    let more = [
        ("qlik_value/flat.bin", flat.value),
        ("qlik_json_key/object.json", Some(br#"{"customer_id":"C-1"}"#.to_vec())),
        ("qlik_json_key/text.json", Some(br#""C-1""#.to_vec())),
        ("qlik_schema_header/number.bin", Some(vec![0, 0, 0, 0, 7])),
        ("qlik_metadata/envelope.bin", announced),
        ("qlik_metadata/json.json", Some(json_metadata())),
    ];
    corpus.extend(more.map(|(name, bytes)| (name.to_owned(), bytes.expect("written"))));
    corpus
}

/// Values in JSON, by their form.
pub(crate) fn json_values() -> Vec<(&'static str, Vec<u8>)> {
    let value = |carriage, operation| written(carriage, operation, 7).value.expect("a value");
    vec![
        ("nested", value(Carriage::Json, Operation::Insert)),
        ("update", value(Carriage::Json, Operation::Update)),
        ("envelope", value(Carriage::JsonEnvelope, Operation::Update)),
        ("flat", value(Carriage::FlatJson, Operation::Insert)),
        ("flat_update", value(Carriage::FlatJson, Operation::Update)),
    ]
}

pub(crate) fn json_insert() -> Vec<u8> {
    written(Carriage::Json, Operation::Insert, 7).value.expect("a value")
}

/// A metadata message in JSON.
pub(crate) fn json_metadata() -> Vec<u8> {
    metadata(Carriage::JsonEnvelope).expect("written")
}

/// A metadata message in JSON that announces this schema.
pub(crate) fn metadata_with(schema: &str) -> Vec<u8> {
    let message = json!({ "schemaId": "1", "dataSchema": schema });
    json!({ "magic": "atMSG", "type": "MD", "message": message }).to_string().into_bytes()
}

fn metadata(carriage: Carriage) -> Option<Vec<u8>> {
    Encoder::new(ENTITY).metadata(carriage, &ids(7)).expect("encoded")?.value
}

fn ids(value: u32) -> SchemaIds<'static> {
    SchemaIds { value: value.into(), key: 8.into(), envelope: 9, announced: "7d1f3c0e9a5b4c6d8e2f10a1b2c3d4e5" }
}

/// A new customer.
pub(crate) fn insert() -> Vec<u8> {
    value(Operation::Insert)
}

fn value(operation: Operation) -> Vec<u8> {
    written(Carriage::Framed, operation, 7).value.expect("a value")
}

fn written(carriage: Carriage, operation: Operation, value: u32) -> Written {
    let columns = sample_columns(ENTITY, "C-1", 7);
    let before = sample_columns(ENTITY, "C-1", 6);
    let committed_at: Timestamp = "2026-03-04T05:06:07Z".parse().expect("a time");
    let sequence = ChangeSequence::new(committed_at, 5);
    let record = Record {
        entity: ENTITY,
        operation,
        columns: &columns,
        before: (operation == Operation::Update).then_some(&before),
        change_sequence: (operation != Operation::Refresh).then_some(&sequence),
        committed_at,
        stream_position: "0:1",
        transaction_id: "5",
        column_mask: None,
    };
    Encoder::new(ENTITY).message(carriage, &ids(value), &record, None).expect("encoded")
}

/// A row with the rarer types; `list` is the blocks of its list of numbers, without the end.
pub(crate) fn odd_value(list: &[u8]) -> Vec<u8> {
    let sequence = "20260304050607120000000000000000007";
    let big = [bytes(&[1]), long(2)].concat();
    let data = [
        string("C-1"),
        [list, &long(0)].concat(),
        [long(1), string("a"), long(0)].concat(),
        [long(1), string("k"), long(1), long(5), long(0)].concat(),
        bytes(&[0x30, 0x39]),
        bytes(&big),
        long(20_000),
        long(1_772_600_000_000_000),
        1.5_f64.to_le_bytes().to_vec(),
    ];
    let headers = [string("INSERT"), string(sequence), string("2026-03-04T05:06:07"), long(0)];
    framed(10, &[long(1), data.concat(), long(0), headers.concat()].concat())
}

/// A message in Replicate's envelope that brings its schema.
pub(crate) fn embedded(schema: &str, message: &[u8]) -> Vec<u8> {
    envelope(None, Some(schema), message)
}

fn envelope(schema_id: Option<&str>, schema: Option<&str>, message: &[u8]) -> Vec<u8> {
    let optional = |text: Option<&str>| text.map_or_else(|| long(0), |text| [long(1), string(text)].concat());
    let parts = [b"atMSG".to_vec(), string("DT"), long(0), optional(schema_id), optional(schema), bytes(message)];
    framed(9, &parts.concat())
}

fn framed(schema_id: u32, datum: &[u8]) -> Vec<u8> {
    [&[0], &schema_id.to_be_bytes()[..], datum].concat()
}

/// Avro's `long`: the sign is the last bit, and seven bits go into a byte.
pub(crate) fn long(number: i64) -> Vec<u8> {
    let mut rest = (number << 1 ^ number >> 63).cast_unsigned();
    let mut bytes = Vec::new();
    while rest > 0x7f {
        bytes.push(u8::try_from(rest & 0x7f).expect("seven bits") | 0x80);
        rest >>= 7;
    }
    bytes.push(u8::try_from(rest).expect("seven bits"));
    bytes
}

fn bytes(bytes: &[u8]) -> Vec<u8> {
    [long(i64::try_from(bytes.len()).expect("short")), bytes.to_vec()].concat()
}

pub(crate) fn string(text: &str) -> Vec<u8> {
    bytes(text.as_bytes())
}

/// The schema of a list.
pub(crate) fn array_schema(items: &str) -> String {
    format!("{{\"type\":\"array\",\"items\":{items}}}")
}

/// The schema of a list that goes on as long as its datum says.
pub(crate) fn list_of_itself() -> String {
    r#"{"type":"record","name":"Node","fields":[{"name":"next","type":["null","Node"]}]}"#.to_owned()
}

/// A short schema of so many records, each of which holds the one before twice.
pub(crate) fn doubling(levels: usize) -> String {
    (1..levels).fold(r#"{"type":"record","name":"R0","fields":[]}"#.to_owned(), |inner, level| {
        let before = level - 1;
        format!(
            r#"{{"type":"record","name":"R{level}","fields":[{{"name":"a","type":{inner}}},{{"name":"b","type":"R{before}"}}]}}"#
        )
    })
}

pub(crate) fn registry_answer() -> String {
    answer_with(&schema_json(ENTITY))
}

pub(crate) fn answer_with(schema: &str) -> String {
    json!({ "schema": schema, "schemaType": "AVRO", "references": [] }).to_string()
}
