//! Writing change records as Qlik does: for tests and for synthetic changes through a running system.
//!
//! The value is a framed data record without Replicate's envelope.
//! The schemas are this system's own tables; they are registered as they are under `<topic>-value` and `<topic>-key`.

use std::collections::BTreeMap;

use apache_avro::types::Value;
use apache_avro::writer::datum::GenericDatumWriter;
use apache_avro::{Decimal, Schema};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::json::excerpt;
use crate::version::ChangeSequence;
use crate::{AttributeValue, Columns, Entity, Operation};

/// The Avro schema of an entity's data records, to be registered under `<topic>-value`.
pub fn schema_json(entity: Entity) -> String {
    let fields: Vec<String> = columns_of(entity).iter().map(Column::field_json).collect();
    let namespace = namespace(entity);
    let data =
        format!(r#"{{"type":"record","name":"Data","namespace":"{namespace}","fields":[{}]}}"#, fields.join(","));
    format!(
        r#"{{"type":"record","name":"DataRecord","namespace":"{namespace}","fields":[{{"name":"data","type":["null",{data}],"default":null}},{{"name":"beforeData","type":["null","Data"],"default":null}},{{"name":"headers","type":{HEADERS}}}]}}"#
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

const HEADERS: &str = r#"{"type":"record","name":"Headers","namespace":"com.attunity.queue.msg","fields":[{"name":"operation","type":{"type":"enum","name":"operation","symbols":["INSERT","UPDATE","DELETE","REFRESH"]}},{"name":"changeSequence","type":"string"},{"name":"timestamp","type":"string"},{"name":"streamPosition","type":"string"},{"name":"transactionId","type":"string"},{"name":"changeMask","type":["null","bytes"],"default":null},{"name":"columnMask","type":["null","bytes"],"default":null},{"name":"transactionEventCounter","type":["null","long"],"default":null},{"name":"transactionLastEvent","type":["null","boolean"],"default":null}]}"#;

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
}

impl Encoder {
    /// An encoder for an entity.
    pub fn new(entity: Entity) -> Self {
        let parse = |json: &str| Schema::parse_str(json).expect("invariant: this system's schemas are Avro schemas");
        Self { entity, value: parse(&schema_json(entity)), key: parse(&key_schema_json(entity)) }
    }

    /// Writes a message's value: framing, then the datum. `schema_id` is the registry's id of [`schema_json`].
    ///
    /// # Errors
    /// When a column isn't one of the entity's or its value isn't of the column's type.
    pub fn value(&self, schema_id: u32, record: &Record<'_>) -> Result<Vec<u8>, EncodeError> {
        let data = image(self.entity, record.columns)?;
        let before = record.before.map(|before| image(self.entity, before)).transpose()?;
        let text = |text: &str| Value::String(text.to_owned());
        let symbols = ["INSERT", "UPDATE", "DELETE", "REFRESH"];
        let (index, symbol) = match record.operation {
            Operation::Insert => (0, symbols[0]),
            Operation::Update => (1, symbols[1]),
            Operation::Delete => (2, symbols[2]),
            Operation::Refresh => (3, symbols[3]),
        };
        let committed_at = record.committed_at.to_zoned(TimeZone::UTC).datetime();
        let headers = Value::Record(vec![
            ("operation".to_owned(), Value::Enum(index, symbol.to_owned())),
            ("changeSequence".to_owned(), text(record.change_sequence.map_or("", ChangeSequence::as_str))),
            ("timestamp".to_owned(), text(&committed_at.to_string())),
            ("streamPosition".to_owned(), text(record.stream_position)),
            ("transactionId".to_owned(), text(record.transaction_id)),
            ("changeMask".to_owned(), optional(None)),
            ("columnMask".to_owned(), optional(record.column_mask.map(|mask| Value::Bytes(mask.to_vec())))),
            ("transactionEventCounter".to_owned(), optional(Some(Value::Long(1)))),
            ("transactionLastEvent".to_owned(), optional(Some(Value::Boolean(true)))),
        ]);
        let value = Value::Record(vec![
            ("data".to_owned(), optional(Some(data))),
            ("beforeData".to_owned(), optional(before)),
            ("headers".to_owned(), headers),
        ]);
        framed(schema_id, &self.value, value)
    }

    /// Writes a message's key as a key record. `schema_id` is the registry's id of [`key_schema_json`].
    ///
    /// # Errors
    /// Never for the entities of this system, whose keys are one text.
    pub fn key(&self, schema_id: u32, key_text: &str) -> Result<Vec<u8>, EncodeError> {
        let fields =
            self.entity.key_columns().iter().map(|name| ((*name).to_owned(), Value::String(key_text.to_owned())));
        framed(schema_id, &self.key, Value::Record(fields.collect()))
    }
}

/// A plausible whole row for a key; another revision gives other values.
pub fn sample_columns(entity: Entity, key: &str, revision: u64) -> Columns {
    columns_of(entity)
        .iter()
        .map(|column| {
            let value = match column.kind {
                Kind::Key => AttributeValue::text(key),
                Kind::Text => AttributeValue::text(format!("{} {revision} of {key}", column.name)),
                Kind::Long => AttributeValue::N((revision % 1_000_000).to_string()),
                Kind::Money => AttributeValue::N(format!("{}.{:02}", revision % 1_000_000, revision % 100)),
                Kind::Flag => AttributeValue::Bool(revision.is_multiple_of(2)),
                Kind::Time => {
                    let second = 1_767_225_600 + i64::try_from(revision % 1_000_000).unwrap_or(0);
                    let at = Timestamp::from_second(second).expect("invariant: 2026 is in range");
                    AttributeValue::text(at.to_string())
                }
            };
            (column.name.to_owned(), value)
        })
        .collect()
}

/// The names of an entity's columns in the order of its schema, which is the order of a column mask's bits. The key is the first.
pub fn column_names(entity: Entity) -> impl Iterator<Item = &'static str> {
    columns_of(entity).iter().map(|column| column.name)
}

struct Column {
    name: &'static str,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    Key,
    Text,
    Long,
    Money,
    Flag,
    Time,
}

impl Column {
    fn field_json(&self) -> String {
        let avro = match self.kind {
            Kind::Key => return format!(r#"{{"name":"{}","type":"string"}}"#, self.name),
            Kind::Text => r#""string""#,
            Kind::Long => r#""long""#,
            Kind::Money => r#"{"type":"bytes","logicalType":"decimal","precision":18,"scale":2}"#,
            Kind::Flag => r#""boolean""#,
            Kind::Time => r#"{"type":"long","logicalType":"timestamp-micros"}"#,
        };
        format!(r#"{{"name":"{}","type":["null",{avro}],"default":null}}"#, self.name)
    }

    fn avro(&self, value: &AttributeValue) -> Result<Value, EncodeError> {
        let wrong = || EncodeError::WrongType { column: self.name };
        let text = || value.as_text().ok_or_else(wrong);
        let number = || value.as_number().ok_or_else(wrong);
        Ok(match self.kind {
            Kind::Key | Kind::Text => Value::String(text()?.to_owned()),
            Kind::Long => Value::Long(number()?.parse().map_err(|_| wrong())?),
            Kind::Money => Value::Decimal(Decimal::from(cents(number()?).ok_or_else(wrong)?.to_be_bytes())),
            Kind::Flag => match value {
                AttributeValue::Bool(flag) => Value::Boolean(*flag),
                _ => return Err(wrong()),
            },
            Kind::Time => {
                let at: Timestamp = text()?.parse().map_err(|_| wrong())?;
                Value::TimestampMicros(at.as_microsecond())
            }
        })
    }
}

fn columns_of(entity: Entity) -> &'static [Column] {
    const fn column(name: &'static str, kind: Kind) -> Column {
        Column { name, kind }
    }
    const CUSTOMERS: &[Column] = &[
        column("customer_id", Kind::Key),
        column("name", Kind::Text),
        column("email", Kind::Text),
        column("credit", Kind::Money),
        column("active", Kind::Flag),
        column("updated_at", Kind::Time),
    ];
    const ORDERS: &[Column] = &[
        column("order_id", Kind::Key),
        column("customer_id", Kind::Text),
        column("status", Kind::Text),
        column("amount", Kind::Money),
        column("items", Kind::Long),
        column("placed_at", Kind::Time),
    ];
    const PRODUCTS: &[Column] = &[
        column("product_id", Kind::Key),
        column("sku", Kind::Text),
        column("title", Kind::Text),
        column("price", Kind::Money),
        column("stock", Kind::Long),
        column("listed", Kind::Flag),
    ];
    match entity {
        Entity::Customers => CUSTOMERS,
        Entity::Orders => ORDERS,
        Entity::Products => PRODUCTS,
    }
}

/// A number with at most two decimals as a count of hundredths.
fn cents(number: &str) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if fraction.len() > 2 {
        return None;
    }
    format!("{whole}{fraction:0<2}").parse().ok()
}

fn image(entity: Entity, columns: &Columns) -> Result<Value, EncodeError> {
    let known: BTreeMap<&str, &Column> = columns_of(entity).iter().map(|column| (column.name, column)).collect();
    if let Some(unknown) = columns.keys().find(|name| !known.contains_key(name.as_str())) {
        return Err(EncodeError::UnknownColumn { entity, column: excerpt(unknown).into_owned() });
    }
    let fields = columns_of(entity).iter().map(|column| {
        let value = match (columns.get(column.name), column.kind) {
            (None | Some(AttributeValue::Null), Kind::Key) => Value::String(String::new()),
            (None | Some(AttributeValue::Null), _) => optional(None),
            (Some(value), Kind::Key) => column.avro(value)?,
            (Some(value), _) => optional(Some(column.avro(value)?)),
        };
        Ok((column.name.to_owned(), value))
    });
    Ok(Value::Record(fields.collect::<Result<_, EncodeError>>()?))
}

/// A value of a union of null and one type.
fn optional(value: Option<Value>) -> Value {
    match value {
        None => Value::Union(0, Box::new(Value::Null)),
        Some(value) => Value::Union(1, Box::new(value)),
    }
}

fn framed(schema_id: u32, schema: &Schema, value: Value) -> Result<Vec<u8>, EncodeError> {
    let avro = |source| EncodeError::Avro(Box::new(source));
    let writer = GenericDatumWriter::builder(schema).build().map_err(avro)?;
    let datum = writer.write_value_to_vec(value).map_err(avro)?;
    let mut bytes = Vec::with_capacity(datum.len() + 5);
    bytes.push(0);
    bytes.extend(schema_id.to_be_bytes());
    bytes.extend(datum);
    Ok(bytes)
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
    /// The record doesn't fit its schema.
    #[error("the record doesn't fit its schema")]
    Avro(#[source] Box<apache_avro::Error>),
}
