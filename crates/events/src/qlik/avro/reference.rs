//! The reference: the Avro crate's generic reader, and its values as attributes. Only for tests.

use std::collections::HashMap;
use std::io::{self, Read};

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::{Name, ResolvedSchema};
use apache_avro::types::Value;
use apache_avro::{Decimal, Schema};
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::error::UnsupportedValue;
use super::read::MAX_DEPTH;
use crate::AttributeValue;
use crate::qlik::schema::MAX_ALLOCATION;

/// A schema, and the types that it names.
pub(super) struct Reference {
    schema: Schema,
    names: HashMap<Name, Schema>,
}

impl Reference {
    pub(super) fn parse(json: &str) -> Self {
        apache_avro::util::max_allocation_bytes(MAX_ALLOCATION);
        let schema = Schema::parse_str(json).unwrap_or_else(|error| panic!("{json}: {error}"));
        let resolved = ResolvedSchema::try_from(&schema).expect("resolved");
        let names = resolved.get_names().iter().map(|(name, schema)| (name.clone(), (*schema).clone())).collect();
        Self { schema, names }
    }

    pub(super) fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The value of bytes that are one datum.
    pub(super) fn read(&self, bytes: &[u8]) -> Option<Value> {
        let reader = GenericDatumReader::builder(&self.schema).build().expect("a reader");
        let mut input = Input { rest: bytes, overrun: false };
        let value = reader.read_value(&mut input).ok()?;
        (!input.overrun && input.rest.is_empty()).then_some(value)
    }

    pub(super) fn attribute(&self, value: &Value) -> Result<AttributeValue, UnsupportedValue> {
        self.convert(value, &self.schema, MAX_DEPTH)
    }

    fn convert(&self, value: &Value, schema: &Schema, depth: usize) -> Result<AttributeValue, UnsupportedValue> {
        let schema = match schema {
            Schema::Ref { name } => &self.names[name],
            other => other,
        };
        let inner_depth = depth.checked_sub(1).ok_or(UnsupportedValue::TooDeep)?;
        let text = |text: String| Ok(AttributeValue::S(text));
        match (value, schema) {
            (Value::Union(index, inner), Schema::Union(union)) => {
                let index = usize::try_from(*index).expect("small");
                self.convert(inner, &union.variants()[index], depth)
            }
            (Value::Null, _) => Ok(AttributeValue::Null),
            (Value::Boolean(value), _) => Ok(AttributeValue::Bool(*value)),
            (Value::Int(number), _) => Ok(AttributeValue::N(number.to_string())),
            (Value::Long(number), _) => Ok(AttributeValue::N(number.to_string())),
            (Value::Float(number), _) => Ok(AttributeValue::number(format!("{number:?}"))),
            (Value::Double(number), _) => Ok(AttributeValue::number(format!("{number:?}"))),
            (Value::Bytes(bytes) | Value::Fixed(_, bytes), _) => Ok(AttributeValue::B(bytes.clone())),
            (Value::String(value) | Value::Enum(_, value), _) => text(value.clone()),
            (Value::Uuid(id), _) => text(id.to_string()),
            (Value::Decimal(value), Schema::Decimal(schema)) => decimal(value, schema.scale),
            (Value::BigDecimal(number), _) => Ok(AttributeValue::number(number.to_string())),
            (Value::Date(days), _) => text(date(*days)?),
            (Value::TimeMillis(millis), _) => text(time_of_day(i64::from(*millis), 1_000_000)?),
            (Value::TimeMicros(micros), _) => text(time_of_day(*micros, 1_000)?),
            (Value::TimestampMillis(millis), _) => text(instant(*millis, 1_000_000)?.to_string()),
            (Value::TimestampMicros(micros), _) => text(instant(*micros, 1_000)?.to_string()),
            (Value::TimestampNanos(nanos), _) => text(instant(*nanos, 1)?.to_string()),
            (Value::LocalTimestampMillis(millis), _) => text(local(*millis, 1_000_000)?),
            (Value::LocalTimestampMicros(micros), _) => text(local(*micros, 1_000)?),
            (Value::LocalTimestampNanos(nanos), _) => text(local(*nanos, 1)?),
            (Value::Duration(duration), _) => Ok(AttributeValue::B(<[u8; 12]>::from(*duration).to_vec())),
            (Value::Array(values), Schema::Array(array)) => {
                let values = values.iter().map(|value| self.convert(value, &array.items, inner_depth));
                Ok(AttributeValue::L(values.collect::<Result<_, _>>()?))
            }
            (Value::Map(entries), Schema::Map(map)) => {
                let entries = entries.iter();
                let entries =
                    entries.map(|(name, value)| Ok((name.clone(), self.convert(value, &map.types, inner_depth)?)));
                Ok(AttributeValue::M(entries.collect::<Result<_, _>>()?))
            }
            (Value::Record(fields), Schema::Record(record)) => {
                let fields = fields.iter().zip(&record.fields);
                let fields = fields
                    .map(|((name, value), field)| Ok((name.clone(), self.convert(value, &field.schema, inner_depth)?)));
                Ok(AttributeValue::M(fields.collect::<Result<_, _>>()?))
            }
            (value, schema) => panic!("{value:?} is no value of {schema:?}"),
        }
    }
}

/// By the digits of the Avro crate's own number, where its scale allows that.
fn decimal(value: &Decimal, scale: usize) -> Result<AttributeValue, UnsupportedValue> {
    let bytes = Vec::<u8>::try_from(value).map_err(|_| UnsupportedValue::Decimal)?;
    if bytes.len() > 128 {
        return Err(UnsupportedValue::Decimal);
    }
    let digits = apache_avro::BigDecimal::new(value.clone().into(), 0).to_plain_string();
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |digits| ("-", digits));
    let digits = format!("{}{digits}", "0".repeat((scale + 1).saturating_sub(digits.len())));
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let point = if scale > 0 { "." } else { "" };
    Ok(AttributeValue::number(format!("{sign}{whole}{point}{fraction}")))
}

fn date(days: i32) -> Result<String, UnsupportedValue> {
    let span = Span::new().try_days(days).map_err(|_| UnsupportedValue::Time)?;
    Date::constant(1970, 1, 1).checked_add(span).map(|date| date.to_string()).map_err(|_| UnsupportedValue::Time)
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

fn local(count: i64, nanos_each: i64) -> Result<String, UnsupportedValue> {
    Ok(instant(count, nanos_each)?.to_zoned(TimeZone::UTC).datetime().to_string())
}

/// Bytes that remember whether more was wanted than there was.
///
/// The Avro crate reads a union or a text that starts at the end of its input as null or empty instead of failing,
/// which would turn a truncated record into a valid one with columns lost.
struct Input<'b> {
    rest: &'b [u8],
    overrun: bool,
}

impl Read for Input<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.overrun |= self.rest.is_empty() && !buffer.is_empty();
        self.rest.read(buffer)
    }
}
