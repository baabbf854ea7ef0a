//! The columns of this system's own tables: their Avro types, values and samples.

use std::collections::BTreeSet;

use apache_avro::Decimal;
use apache_avro::types::Value;
use jiff::Timestamp;

use super::{EncodeError, optional};
use crate::json::excerpt;
use crate::{AttributeValue, Columns, Entity};

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

/// A column.
pub(super) struct Column {
    pub(super) name: &'static str,
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
    /// The column's field in a record's schema.
    pub(super) fn field_json(&self) -> String {
        match self.kind {
            Kind::Key => format!(r#"{{"name":"{}","type":"string"}}"#, self.name),
            _ => self.flat_field_json(""),
        }
    }

    /// The column's field in a flattened record's schema.
    pub(super) fn flat_field_json(&self, prefix: &str) -> String {
        let avro = match self.kind {
            Kind::Key | Kind::Text => r#""string""#,
            Kind::Long => r#""long""#,
            Kind::Money => r#"{"type":"bytes","logicalType":"decimal","precision":18,"scale":2}"#,
            Kind::Flag => r#""boolean""#,
            Kind::Time => r#"{"type":"long","logicalType":"timestamp-micros"}"#,
        };
        format!(r#"{{"name":"{prefix}{}","type":["null",{avro}],"default":null}}"#, self.name)
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

/// An entity's columns, in the order of the table.
pub(super) fn columns_of(entity: Entity) -> &'static [Column] {
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

/// A row as a record. What is absent is null, a key an empty text.
pub(super) fn image(entity: Entity, columns: &Columns) -> Result<Value, EncodeError> {
    check_names(entity, columns)?;
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

/// A row as fields that are all optional, behind a prefix. None is a row of nulls.
pub(super) fn flat_image(
    entity: Entity,
    prefix: &str,
    columns: Option<&Columns>,
) -> Result<Vec<(String, Value)>, EncodeError> {
    columns.map_or(Ok(()), |columns| check_names(entity, columns))?;
    let fields = columns_of(entity).iter().map(|column| {
        let value =
            columns.and_then(|columns| columns.get(column.name)).filter(|value| **value != AttributeValue::Null);
        let value = optional(value.map(|value| column.avro(value)).transpose()?);
        Ok((format!("{prefix}{}", column.name), value))
    });
    fields.collect()
}

fn check_names(entity: Entity, columns: &Columns) -> Result<(), EncodeError> {
    let known: BTreeSet<&str> = columns_of(entity).iter().map(|column| column.name).collect();
    match columns.keys().find(|name| !known.contains(name.as_str())) {
        Some(unknown) => Err(EncodeError::UnknownColumn { entity, column: excerpt(unknown).into_owned() }),
        None => Ok(()),
    }
}
