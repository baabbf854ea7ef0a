//! Avro values as DynamoDB attributes.
//!
//! | Avro | attribute |
//! |---|---|
//! | null, boolean, string, bytes and fixed | `NULL`, `BOOL`, `S`, `B` |
//! | int, long | `N`, all digits |
//! | float, double | `N`, the shortest text that reads back as the same number; not-a-number and infinities as `S` |
//! | decimal | `N`, all digits with the schema's scale |
//! | date, time, timestamp | `S`, ISO 8601; timestamps in UTC with `Z`, local timestamps without zone |
//! | enum, uuid | `S` |
//! | array, map, record | `L`, `M`, `M` |
//!
//! Numbers beyond DynamoDB's limits become `S` with their text.

use std::collections::BTreeMap;

use apache_avro::types::Value;
use apache_avro::{Decimal, Schema};
use jiff::civil::{Date, DateTime, Time};
use jiff::{Span, Timestamp};

use super::schema::WriterSchema;
use crate::{AttributeValue, Columns};

/// How deep values may be nested, which DynamoDB limits to 32 levels below the item; ours start two levels down.
const MAX_DEPTH: usize = 30;
/// The longest decimal in bytes; 128 bytes are 308 digits, far beyond any database.
const MAX_DECIMAL_BYTES: usize = 128;

/// Converts a record's fields to columns.
pub(super) fn columns(
    fields: &[(String, Value)],
    schema: &Schema,
    writer: &WriterSchema,
) -> Result<Columns, UnsupportedValue> {
    record(fields, schema, writer, MAX_DEPTH)
}

/// Converts one value.
pub(super) fn attribute(
    value: &Value,
    schema: &Schema,
    writer: &WriterSchema,
) -> Result<AttributeValue, UnsupportedValue> {
    convert(value, schema, writer, MAX_DEPTH)
}

fn record(
    fields: &[(String, Value)],
    schema: &Schema,
    writer: &WriterSchema,
    depth: usize,
) -> Result<BTreeMap<String, AttributeValue>, UnsupportedValue> {
    let Schema::Record(record) = writer.resolve(schema) else {
        return Err(UnsupportedValue::SchemaMismatch);
    };
    fields
        .iter()
        .zip(&record.fields)
        .map(|((name, value), field)| Ok((name.clone(), convert(value, &field.schema, writer, depth)?)))
        .collect()
}

fn convert(
    value: &Value,
    schema: &Schema,
    writer: &WriterSchema,
    depth: usize,
) -> Result<AttributeValue, UnsupportedValue> {
    let schema = writer.resolve(schema);
    let inner_depth = depth.checked_sub(1).ok_or(UnsupportedValue::TooDeep)?;
    Ok(match value {
        Value::Union(index, inner) => {
            let Schema::Union(union) = schema else {
                return Err(UnsupportedValue::SchemaMismatch);
            };
            let variant = usize::try_from(*index)
                .ok()
                .and_then(|index| union.variants().get(index))
                .ok_or(UnsupportedValue::SchemaMismatch)?;
            convert(inner, variant, writer, depth)?
        }
        Value::Null => AttributeValue::Null,
        Value::Boolean(value) => AttributeValue::Bool(*value),
        Value::Int(number) => AttributeValue::N(number.to_string()),
        Value::Long(number) => AttributeValue::N(number.to_string()),
        Value::Float(number) => AttributeValue::number(format!("{number:?}")),
        Value::Double(number) => AttributeValue::number(format!("{number:?}")),
        Value::Bytes(bytes) | Value::Fixed(_, bytes) => AttributeValue::B(bytes.clone()),
        Value::String(text) => AttributeValue::text(text),
        Value::Enum(_, symbol) => AttributeValue::text(symbol),
        Value::Uuid(id) => AttributeValue::text(id.to_string()),
        Value::Decimal(decimal) => match schema {
            Schema::Decimal(schema) => decimal_number(decimal, schema.scale)?,
            _ => return Err(UnsupportedValue::SchemaMismatch),
        },
        Value::BigDecimal(number) => AttributeValue::number(number.to_string()),
        Value::Date(days) => AttributeValue::text(date(*days)?),
        Value::TimeMillis(millis) => AttributeValue::text(time_of_day(i64::from(*millis), 1_000_000)?),
        Value::TimeMicros(micros) => AttributeValue::text(time_of_day(*micros, 1_000)?),
        Value::TimestampMillis(millis) => AttributeValue::text(instant(*millis, 1_000_000)?.to_string()),
        Value::TimestampMicros(micros) => AttributeValue::text(instant(*micros, 1_000)?.to_string()),
        Value::TimestampNanos(nanos) => AttributeValue::text(instant(*nanos, 1)?.to_string()),
        Value::LocalTimestampMillis(millis) => AttributeValue::text(local(*millis, 1_000_000)?.to_string()),
        Value::LocalTimestampMicros(micros) => AttributeValue::text(local(*micros, 1_000)?.to_string()),
        Value::LocalTimestampNanos(nanos) => AttributeValue::text(local(*nanos, 1)?.to_string()),
        Value::Duration(duration) => AttributeValue::B(<[u8; 12]>::from(*duration).to_vec()),
        Value::Array(values) => {
            let Schema::Array(array) = schema else {
                return Err(UnsupportedValue::SchemaMismatch);
            };
            let values = values.iter().map(|value| convert(value, &array.items, writer, inner_depth));
            AttributeValue::L(values.collect::<Result<_, _>>()?)
        }
        Value::Map(entries) => {
            let Schema::Map(map) = schema else {
                return Err(UnsupportedValue::SchemaMismatch);
            };
            let entries = entries
                .iter()
                .map(|(name, value)| Ok((name.clone(), convert(value, &map.types, writer, inner_depth)?)));
            AttributeValue::M(entries.collect::<Result<_, _>>()?)
        }
        Value::Record(fields) => AttributeValue::M(record(fields, schema, writer, inner_depth)?),
    })
}

/// A decimal's digits: its bytes are a big-endian two's-complement number, the schema says where the point is.
fn decimal_number(decimal: &Decimal, scale: usize) -> Result<AttributeValue, UnsupportedValue> {
    let bytes = Vec::<u8>::try_from(decimal).map_err(|_| UnsupportedValue::Decimal)?;
    if bytes.len() > MAX_DECIMAL_BYTES || scale > MAX_DECIMAL_BYTES * 3 {
        return Err(UnsupportedValue::Decimal);
    }
    let (negative, magnitude) = magnitude(bytes);
    let mut digits = decimal_digits(magnitude);
    if digits.len() <= scale {
        digits.insert_str(0, &"0".repeat(scale + 1 - digits.len()));
    }
    if scale > 0 {
        digits.insert(digits.len() - scale, '.');
    }
    if negative {
        digits.insert(0, '-');
    }
    Ok(AttributeValue::number(digits))
}

fn magnitude(mut bytes: Vec<u8>) -> (bool, Vec<u8>) {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    if negative {
        let mut carry = true;
        for byte in bytes.iter_mut().rev() {
            let (sum, overflow) = (!*byte).overflowing_add(u8::from(carry));
            *byte = sum;
            carry = overflow;
        }
    }
    (negative, bytes)
}

/// Long division by ten, one digit a round; quadratic, which 128 bytes keep small.
fn decimal_digits(mut bytes: Vec<u8>) -> String {
    let mut digits = Vec::new();
    loop {
        let mut rest = 0_u16;
        for byte in &mut bytes {
            let part = rest * 256 + u16::from(*byte);
            // Below 10 * 256 / 10 = 256 by the rest's bound.
            *byte = u8::try_from(part / 10).unwrap_or(u8::MAX);
            rest = part % 10;
        }
        digits.push(char::from(b'0' + u8::try_from(rest).unwrap_or(0)));
        if bytes.iter().all(|byte| *byte == 0) {
            break;
        }
    }
    digits.iter().rev().collect()
}

fn date(days: i32) -> Result<String, UnsupportedValue> {
    let epoch = Date::constant(1970, 1, 1);
    let span = Span::new().try_days(days).map_err(|_| UnsupportedValue::Time)?;
    epoch.checked_add(span).map(|date| date.to_string()).map_err(|_| UnsupportedValue::Time)
}

fn time_of_day(count: i64, nanos_each: i64) -> Result<String, UnsupportedValue> {
    let nanos = count.checked_mul(nanos_each).ok_or(UnsupportedValue::Time)?;
    let span = Span::new().try_nanoseconds(nanos).map_err(|_| UnsupportedValue::Time)?;
    Time::midnight().checked_add(span).map(|time| time.to_string()).map_err(|_| UnsupportedValue::Time)
}

fn instant(count: i64, nanos_each: i64) -> Result<Timestamp, UnsupportedValue> {
    let nanos = i128::from(count) * i128::from(nanos_each);
    Timestamp::from_nanosecond(nanos).map_err(|_| UnsupportedValue::Time)
}

fn local(count: i64, nanos_each: i64) -> Result<DateTime, UnsupportedValue> {
    Ok(instant(count, nanos_each)?.to_zoned(jiff::tz::TimeZone::UTC).datetime())
}

/// Why a value can't be kept in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsupportedValue {
    /// The decoded value and its schema disagree.
    #[error("a value doesn't fit its schema")]
    SchemaMismatch,
    /// Deeper than DynamoDB allows.
    #[error("a value is nested deeper than the 32 levels that DynamoDB takes")]
    TooDeep,
    /// A decimal of more than 128 bytes.
    #[error("a decimal has more than 128 bytes")]
    Decimal,
    /// A date or time outside the years -9999 to 9999, or a time of day beyond 24 hours.
    #[error("a date or time is out of range")]
    Time,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert_one(schema: &str, value: &Value) -> Result<AttributeValue, UnsupportedValue> {
        let writer = WriterSchema::parse(schema).expect("a schema");
        attribute(value, writer.schema(), &writer)
    }

    fn check(schema: &str, value: &Value, expected: AttributeValue) {
        assert_eq!(convert_one(schema, value), Ok(expected), "{schema}");
    }

    #[test]
    fn numbers_are_exact() {
        let number = |text: &str| AttributeValue::N(text.to_owned());
        check(r#""long""#, &Value::Long(i64::MAX), number("9223372036854775807"));
        check(r#""double""#, &Value::Double(0.1), number("0.1"));
        check(r#""double""#, &Value::Double(-1.5e300), AttributeValue::text("-1.5e300"));
        check(r#""double""#, &Value::Double(f64::NAN), AttributeValue::text("NaN"));
        let decimal = r#"{"type":"bytes","logicalType":"decimal","precision":38,"scale":2}"#;
        for (unscaled, expected) in [
            (0_i128, "0.00"),
            (5, "0.05"),
            (-5, "-0.05"),
            (1250, "12.50"),
            (-128, "-1.28"),
            (12_345_678_901_234_567_890, "123456789012345678.90"),
            (i128::from(i64::MIN), "-92233720368547758.08"),
        ] {
            check(decimal, &Value::Decimal(Decimal::from(unscaled.to_be_bytes())), number(expected));
        }
        let too_long = convert_one(decimal, &Value::Decimal(Decimal::from(vec![1_u8; 129])));
        assert_eq!(too_long, Err(UnsupportedValue::Decimal));
    }

    #[test]
    fn times_are_iso_8601() {
        let text = AttributeValue::text;
        let logical = |base: &str, logical: &str| format!(r#"{{"type":"{base}","logicalType":"{logical}"}}"#);
        check(&logical("int", "date"), &Value::Date(-1), text("1969-12-31"));
        check(&logical("long", "time-micros"), &Value::TimeMicros(3_600_000_001), text("01:00:00.000001"));
        check(
            &logical("long", "timestamp-micros"),
            &Value::TimestampMicros(1_694_402_605_000_001),
            text("2023-09-11T03:23:25.000001Z"),
        );
        check(&logical("long", "local-timestamp-millis"), &Value::LocalTimestampMillis(0), text("1970-01-01T00:00:00"));
        let out_of_range = convert_one(&logical("long", "timestamp-micros"), &Value::TimestampMicros(i64::MAX));
        assert_eq!(out_of_range, Err(UnsupportedValue::Time));
    }

    #[test]
    fn nesting_has_a_limit() {
        let mut schema = r#""long""#.to_owned();
        let mut value = Value::Long(1);
        for _ in 0..29 {
            schema = format!(r#"{{"type":"array","items":{schema}}}"#);
            value = Value::Array(vec![value]);
        }
        assert!(convert_one(&schema, &value).is_ok());
        let deeper = format!(r#"{{"type":"array","items":{schema}}}"#);
        assert_eq!(convert_one(&deeper, &Value::Array(vec![value])), Err(UnsupportedValue::TooDeep));
    }
}
