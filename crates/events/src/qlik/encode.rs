//! Writing change records as Qlik does: for tests and for synthetic changes through a running system.
//!
//! [`Encoder::value`] writes a framed data record without Replicate's envelope, [`Encoder::message`] a whole message in any [`Carriage`].
//! The schemas are this system's own tables; they are registered as they are under `<topic>-value` and `<topic>-key`.

mod carriage;
mod columns;
mod json;

use apache_avro::Schema;
use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::version::ChangeSequence;
use crate::{Columns, Entity, Operation};

/// The Avro schema of Replicate's envelope.
pub use super::decode::ENVELOPE as ENVELOPE_SCHEMA;
pub use carriage::{Carriage, SchemaIds, Written};
pub use columns::sample_columns;
use columns::{columns_of, image};

/// The Avro schema of an entity's data records, to be registered under `<topic>-value`.
pub fn schema_json(entity: Entity) -> String {
    let fields: Vec<String> = columns_of(entity).iter().map(columns::Column::field_json).collect();
    let namespace = namespace(entity);
    let data =
        format!(r#"{{"type":"record","name":"Data","namespace":"{namespace}","fields":[{}]}}"#, fields.join(","));
    format!(
        r#"{{"type":"record","name":"DataRecord","namespace":"{namespace}","fields":[{{"name":"data","type":["null",{data}],"default":null}},{{"name":"beforeData","type":["null","Data"],"default":null}},{{"name":"headers","type":{{"type":"record","name":"Headers","namespace":"com.attunity.queue.msg","fields":[{HEADER_FIELDS}]}}}}]}}"#
    )
}

/// The Avro schema of an entity's message keys, to be registered under `<topic>-key`.
/// Needed only for keys in Avro; a key in plain text is understood as well.
pub fn key_schema_json(entity: Entity) -> String {
    let fields: Vec<String> =
        entity.key_columns().iter().map(|name| format!(r#"{{"name":"{name}","type":"string"}}"#)).collect();
    format!(
        r#"{{"type":"record","name":"KeyRecord","namespace":"{}","fields":[{}]}}"#,
        namespace(entity),
        fields.join(",")
    )
}

/// The Avro schema of an entity's flattened data records: every column and header is a field of its own.
pub fn flat_schema_json(entity: Entity) -> String {
    let columns =
        |prefix: &str| columns_of(entity).iter().map(|column| column.flat_field_json(prefix)).collect::<Vec<_>>();
    let headers = HEADER_FIELDS.replace(r#"{"name":""#, r#"{"name":"headers_"#);
    // The enum's own name isn't flattened.
    let headers = headers.replace(r#""name":"headers_operation","symbols""#, r#""name":"operation","symbols""#);
    let fields = [columns("data_"), columns("beforeData_"), vec![headers]].concat().join(",");
    format!(r#"{{"type":"record","name":"Flat","fields":[{fields}]}}"#)
}

const HEADER_FIELDS: &str = r#"{"name":"operation","type":{"type":"enum","name":"operation","symbols":["INSERT","UPDATE","DELETE","REFRESH"]}},{"name":"changeSequence","type":"string"},{"name":"timestamp","type":"string"},{"name":"streamPosition","type":"string"},{"name":"transactionId","type":"string"},{"name":"changeMask","type":["null","bytes"],"default":null},{"name":"columnMask","type":["null","bytes"],"default":null},{"name":"transactionEventCounter","type":["null","long"],"default":null},{"name":"transactionLastEvent","type":["null","boolean"],"default":null}"#;

fn namespace(entity: Entity) -> String {
    format!("com.attunity.queue.msg.tandem.shop.{entity}")
}

/// A change record to be written.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// The kind of thing.
    pub entity: Entity,
    /// What the source did.
    pub operation: Operation,
    /// The row after the change, or the deleted row. Columns that are absent are written as null.
    pub columns: &'a Columns,
    /// The row before the change.
    pub before: Option<&'a Columns>,
    /// The change's place in order; none for a refresh.
    pub change_sequence: Option<&'a ChangeSequence>,
    /// When the source committed it.
    pub committed_at: Timestamp,
    /// The position in the source's log.
    pub stream_position: &'a str,
    /// The transaction in the source.
    pub transaction_id: &'a str,
    /// Which columns `columns` holds: bits in little-endian order, bit 0 for the first column. None says all.
    pub column_mask: Option<&'a [u8]>,
}

/// Writes records of one entity, with its schemas parsed once.
#[derive(Debug)]
pub struct Encoder {
    entity: Entity,
    value: Schema,
    key: Schema,
    flat: Schema,
}

impl Encoder {
    /// An encoder for an entity.
    pub fn new(entity: Entity) -> Self {
        let parse = |json: &str| Schema::parse_str(json).expect("invariant: this system's schemas are Avro schemas");
        Self {
            entity,
            value: parse(&schema_json(entity)),
            key: parse(&key_schema_json(entity)),
            flat: parse(&flat_schema_json(entity)),
        }
    }

    /// Writes a message's value: framing, then the datum. `schema_id` is the registry's id of [`schema_json`].
    ///
    /// # Errors
    /// When a column isn't one of the entity's or its value isn't of the column's type.
    pub fn value(&self, schema_id: u32, record: &Record<'_>) -> Result<Vec<u8>, EncodeError> {
        Ok(framed(schema_id, &self.value_datum(record)?))
    }

    /// A data record without framing.
    fn value_datum(&self, record: &Record<'_>) -> Result<Vec<u8>, EncodeError> {
        let data = image(self.entity, record.columns)?;
        let before = record.before.map(|before| image(self.entity, before)).transpose()?;
        let value = Value::Record(vec![
            ("data".to_owned(), optional(Some(data))),
            ("beforeData".to_owned(), optional(before)),
            ("headers".to_owned(), Value::Record(headers(record, ""))),
        ]);
        datum(&self.value, value)
    }

    /// A flattened data record without framing.
    fn flat_datum(&self, record: &Record<'_>) -> Result<Vec<u8>, EncodeError> {
        let mut fields = columns::flat_image(self.entity, "data_", Some(record.columns))?;
        fields.extend(columns::flat_image(self.entity, "beforeData_", record.before)?);
        fields.extend(headers(record, "headers_"));
        datum(&self.flat, Value::Record(fields))
    }

    /// Writes a message's key as a key record. `schema_id` is the registry's id of [`key_schema_json`].
    ///
    /// # Errors
    /// Never for the entities of this system, whose keys are one text.
    pub fn key(&self, schema_id: u32, key_text: &str) -> Result<Vec<u8>, EncodeError> {
        Ok(framed(schema_id, &self.key_datum(key_text)?))
    }

    fn key_datum(&self, key_text: &str) -> Result<Vec<u8>, EncodeError> {
        let fields =
            self.entity.key_columns().iter().map(|name| ((*name).to_owned(), Value::String(key_text.to_owned())));
        datum(&self.key, Value::Record(fields.collect()))
    }
}

/// The headers, behind a prefix.
fn headers(record: &Record<'_>, prefix: &str) -> Vec<(String, Value)> {
    let text = |text: &str| Value::String(text.to_owned());
    let index = match record.operation {
        Operation::Insert => 0,
        Operation::Update => 1,
        Operation::Delete => 2,
        Operation::Refresh => 3,
    };
    let headers = [
        ("operation", Value::Enum(index, operation_name(record.operation).to_owned())),
        ("changeSequence", text(record.change_sequence.map_or("", ChangeSequence::as_str))),
        ("timestamp", text(&commit_time(record))),
        ("streamPosition", text(record.stream_position)),
        ("transactionId", text(record.transaction_id)),
        ("changeMask", optional(None)),
        ("columnMask", optional(record.column_mask.map(|mask| Value::Bytes(mask.to_vec())))),
        ("transactionEventCounter", optional(Some(Value::Long(1)))),
        ("transactionLastEvent", optional(Some(Value::Boolean(true)))),
    ];
    headers.into_iter().map(|(name, value)| (format!("{prefix}{name}"), value)).collect()
}

fn operation_name(operation: Operation) -> &'static str {
    match operation {
        Operation::Insert => "INSERT",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
        Operation::Refresh => "REFRESH",
    }
}

/// When the source committed, in UTC without a zone.
fn commit_time(record: &Record<'_>) -> String {
    record.committed_at.to_zoned(TimeZone::UTC).datetime().to_string()
}

/// A value of a union of null and one type.
fn optional(value: Option<Value>) -> Value {
    match value {
        None => Value::Union(0, Box::new(Value::Null)),
        Some(value) => Value::Union(1, Box::new(value)),
    }
}

fn datum(schema: &Schema, value: Value) -> Result<Vec<u8>, EncodeError> {
    let avro = |source| EncodeError::Avro(Box::new(source));
    let writer = GenericDatumWriter::builder(schema).build().map_err(avro)?;
    writer.write_value_to_vec(value).map_err(avro)
}

fn framed(schema_id: u32, datum: &[u8]) -> Vec<u8> {
    [&[0], &schema_id.to_be_bytes()[..], datum].concat()
}

/// The names of an entity's columns in the order of its schema, which is the order of a column mask's bits. The key is the first.
pub fn column_names(entity: Entity) -> impl Iterator<Item = &'static str> {
    columns::columns_of(entity).iter().map(|column| column.name)
}

/// Why a record can't be written.
#[derive(Debug, thiserror::Error)]
pub enum EncodeError {
    /// The entity has no such column.
    #[error("{entity} have no column `{column}`")]
    UnknownColumn {
        /// The entity.
        entity: Entity,
        /// The column.
        column: String,
    },
    /// A column's value is of another type.
    #[error("the value of column `{column}` is of another type than the column")]
    WrongType {
        /// The column.
        column: &'static str,
    },
    /// A carriage needs the schema's number, and only a GUID is given.
    #[error("the carriage names schemas by number, and a GUID is given")]
    NoNumber,
    /// The record doesn't fit its schema.
    #[error("the record doesn't fit its schema")]
    Avro(#[source] Box<apache_avro::Error>),
}
