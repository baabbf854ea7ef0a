//! Writing change records as Qlik does: for tests and for synthetic changes through a running system.
//!
//! The value is a framed data record without Replicate's envelope.
//! The schemas are this system's own tables; they are registered as they are under `<topic>-value` and `<topic>-key`.

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

/// Writes records of one entity.
///
/// The bytes are put down one after the other, without a tree of values in between: traffic for a load test is written by this.
#[derive(Clone, Copy, Debug)]
pub struct Encoder {
    entity: Entity,
}

impl Encoder {
    /// An encoder for an entity.
    pub fn new(entity: Entity) -> Self {
        Self { entity }
    }

    /// Writes a message's value: framing, then the datum. `schema_id` is the registry's id of [`schema_json`].
    ///
    /// # Errors
    /// When a column isn't one of the entity's or its value isn't of the column's type.
    pub fn value(&self, schema_id: u32, record: &Record<'_>) -> Result<Vec<u8>, EncodeError> {
        let mut datum = Datum::framed(schema_id);
        datum.some();
        datum.image(self.entity, record.columns)?;
        match record.before {
            None => datum.none(),
            Some(before) => {
                datum.some();
                datum.image(self.entity, before)?;
            }
        }
        datum.long(match record.operation {
            Operation::Insert => 0,
            Operation::Update => 1,
            Operation::Delete => 2,
            Operation::Refresh => 3,
        });
        let committed_at = record.committed_at.to_zoned(TimeZone::UTC).datetime();
        datum.text(record.change_sequence.map_or("", ChangeSequence::as_str));
        datum.text(&committed_at.to_string());
        datum.text(record.stream_position);
        datum.text(record.transaction_id);
        // The change mask.
        datum.none();
        match record.column_mask {
            None => datum.none(),
            Some(mask) => {
                datum.some();
                datum.bytes(mask);
            }
        }
        // The change's number in its transaction, and that it is the last one.
        datum.some();
        datum.long(1);
        datum.some();
        datum.flag(true);
        Ok(datum.0)
    }

    /// Writes a message's key as a key record. `schema_id` is the registry's id of [`key_schema_json`].
    ///
    /// # Errors
    /// Never for the entities of this system, whose keys are one text.
    pub fn key(&self, schema_id: u32, key_text: &str) -> Result<Vec<u8>, EncodeError> {
        let mut datum = Datum::framed(schema_id);
        for _ in self.entity.key_columns() {
            datum.text(key_text);
        }
        Ok(datum.0)
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

/// Bytes in Avro's binary encoding (Apache Avro 1.12 specification, "Binary encoding", read 2026-11).
struct Datum(Vec<u8>);

impl Datum {
    /// A datum behind the registry's framing.
    fn framed(schema_id: u32) -> Self {
        let mut bytes = Vec::with_capacity(512);
        bytes.push(0);
        bytes.extend(schema_id.to_be_bytes());
        Self(bytes)
    }

    /// Zigzag, then seven bits a byte, the lowest first. An enum's symbol and a union's variant are written so too.
    fn long(&mut self, value: i64) {
        let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
        while rest >= 0x80 {
            self.0.push(rest.to_le_bytes()[0] | 0x80);
            rest >>= 7;
        }
        self.0.push(rest.to_le_bytes()[0]);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.long(i64::try_from(bytes.len()).expect("invariant: a message is far below 2^63 bytes"));
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn flag(&mut self, flag: bool) {
        self.0.push(u8::from(flag));
    }

    /// Null, of a union of null and one type.
    fn none(&mut self) {
        self.long(0);
    }

    /// Says that a value of the one type follows.
    fn some(&mut self) {
        self.long(1);
    }

    fn image(&mut self, entity: Entity, columns: &Columns) -> Result<(), EncodeError> {
        let known = columns_of(entity);
        if let Some(unknown) = columns.keys().find(|name| !known.iter().any(|column| column.name == **name)) {
            return Err(EncodeError::UnknownColumn { entity, column: excerpt(unknown).into_owned() });
        }
        for column in known {
            match (columns.get(column.name), column.kind) {
                (None | Some(AttributeValue::Null), Kind::Key) => self.text(""),
                (None | Some(AttributeValue::Null), _) => self.none(),
                (Some(value), Kind::Key) => self.column(column, value)?,
                (Some(value), _) => {
                    self.some();
                    self.column(column, value)?;
                }
            }
        }
        Ok(())
    }

    fn column(&mut self, column: &Column, value: &AttributeValue) -> Result<(), EncodeError> {
        let wrong = || EncodeError::WrongType { column: column.name };
        let text = || value.as_text().ok_or_else(wrong);
        let number = || value.as_number().ok_or_else(wrong);
        match column.kind {
            Kind::Key | Kind::Text => self.text(text()?),
            Kind::Long => self.long(number()?.parse().map_err(|_| wrong())?),
            Kind::Money => self.bytes(&cents(number()?).ok_or_else(wrong)?.to_be_bytes()),
            Kind::Flag => match value {
                AttributeValue::Bool(flag) => self.flag(*flag),
                _ => return Err(wrong()),
            },
            Kind::Time => {
                let at: Timestamp = text()?.parse().map_err(|_| wrong())?;
                self.long(at.as_microsecond());
            }
        }
        Ok(())
    }
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
}
