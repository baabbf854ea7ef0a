//! Values read by their plan, straight into what a row holds.
//!
//! | Avro | attribute |
//! |---|---|
//! | null, boolean, string, bytes and fixed | `NULL`, `BOOL`, `S`, `B` |
//! | int, long | `N`, all digits |
//! | float, double | `N`, the shortest text that reads back as the same number; not-a-number and infinities as `S` |
//! | decimal | `N`, all digits with the schema's scale |
//! | date, time, timestamp | `S`, ISO 8601; timestamps in UTC with `Z`, local timestamps without zone |
//! | enum, uuid | `S` |
//! | duration | `B`, its 12 bytes |
//! | array, map, record | `L`, `M`, `M` |
//!
//! Numbers beyond DynamoDB's limits become `S` with their text.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::error::{DatumError, ReadError, UnsupportedValue};
use super::input::Input;
use super::plan::{Plan, RecordPlan};
use super::scalar;
use crate::AttributeValue;
use crate::qlik::schema::MAX_ALLOCATION;

/// How deep values may be nested, which DynamoDB limits to 32 levels below the item; ours start two levels down.
pub(in crate::qlik) const MAX_DEPTH: usize = 30;
/// What an element of a list and an entry of a map take in memory, in bytes.
const ELEMENT: usize = size_of::<AttributeValue>();
const ENTRY: usize = size_of::<(String, AttributeValue)>();

/// Reads one value, which may be `depth` levels deep.
pub(in crate::qlik) fn attribute(
    plan: &Plan,
    input: &mut Input<'_>,
    depth: usize,
) -> Result<AttributeValue, ReadError> {
    let inner_depth = depth.checked_sub(1).ok_or(UnsupportedValue::TooDeep)?;
    Ok(match plan {
        Plan::Null => AttributeValue::Null,
        Plan::Boolean => AttributeValue::Bool(input.boolean()?),
        Plan::Int => AttributeValue::N(input.int()?.to_string()),
        Plan::Long => AttributeValue::N(input.long()?.to_string()),
        Plan::Float => scalar::float(f32::from_le_bytes(input.array()?)),
        Plan::Double => scalar::double(f64::from_le_bytes(input.array()?)),
        Plan::Bytes => AttributeValue::B(input.bytes()?.to_vec()),
        Plan::Text => AttributeValue::S(input.text()?.to_owned()),
        Plan::Fixed(size) => AttributeValue::B(input.take(*size)?.to_vec()),
        Plan::Enum(symbols) => AttributeValue::text(&symbols[input.index(symbols.len())?]),
        Plan::UuidText | Plan::UuidBytes | Plan::UuidFixed => AttributeValue::text(uuid(plan, input)?.to_string()),
        Plan::Decimal { scale } => scalar::decimal(input.bytes()?, *scale)?,
        Plan::FixedDecimal { size, scale } => scalar::decimal(input.take(*size)?, *scale)?,
        Plan::BigDecimal => big_decimal(input)?,
        Plan::Date => AttributeValue::S(scalar::date(input.int()?)?),
        Plan::TimeMillis => AttributeValue::S(scalar::time_of_day(i64::from(input.int()?), 1_000_000)?),
        Plan::TimeMicros => AttributeValue::S(scalar::time_of_day(input.long()?, 1_000)?),
        Plan::Timestamp { nanos_each } => AttributeValue::S(scalar::timestamp(input.long()?, *nanos_each)?),
        Plan::LocalTimestamp { nanos_each } => AttributeValue::S(scalar::local_timestamp(input.long()?, *nanos_each)?),
        Plan::Duration => AttributeValue::B(input.take(12)?.to_vec()),
        Plan::List(items) => {
            let mut values = Vec::new();
            // Not reserved: a count may lie, and lists in lists would lie many times over.
            each_element(input, ELEMENT, |input| {
                values.push(attribute(items, input, inner_depth)?);
                Ok::<_, ReadError>(())
            })?;
            AttributeValue::L(values)
        }
        Plan::Map(values) => {
            let mut entries = BTreeMap::new();
            each_element(input, ENTRY, |input| {
                let name = input.text()?.to_owned();
                entries.insert(name, attribute(values, input, inner_depth)?);
                Ok::<_, ReadError>(())
            })?;
            AttributeValue::M(entries)
        }
        Plan::Union(variants) => attribute(&variants[input.index(variants.len())?], input, depth)?,
        Plan::Record(record) => {
            let values = fields(record, input, inner_depth)?;
            AttributeValue::M(record.names.iter().cloned().zip(values).collect())
        }
    })
}

/// Reads a record's fields, in the order of the schema.
pub(in crate::qlik) fn fields(
    record: &RecordPlan,
    input: &mut Input<'_>,
    depth: usize,
) -> Result<Vec<AttributeValue>, ReadError> {
    let mut values = Vec::with_capacity(record.fields.len());
    for field in &record.fields {
        values.push(attribute(field, input, depth)?);
    }
    Ok(values)
}

/// Reads a value that isn't needed. It must be as valid as one that is.
pub(in crate::qlik) fn skip(plan: &Plan, input: &mut Input<'_>) -> Result<(), DatumError> {
    match plan {
        Plan::Null => {}
        Plan::Boolean => {
            input.boolean()?;
        }
        Plan::Int | Plan::Date | Plan::TimeMillis => {
            input.int()?;
        }
        Plan::Long | Plan::TimeMicros | Plan::Timestamp { .. } | Plan::LocalTimestamp { .. } => {
            input.long()?;
        }
        Plan::Float => {
            input.take(4)?;
        }
        Plan::Double => {
            input.take(8)?;
        }
        Plan::Bytes | Plan::Decimal { .. } => {
            input.bytes()?;
        }
        Plan::BigDecimal => {
            big_decimal_parts(input)?;
        }
        Plan::Text => {
            input.text()?;
        }
        Plan::Fixed(size) | Plan::FixedDecimal { size, .. } => {
            input.take(*size)?;
        }
        Plan::Enum(symbols) => {
            input.index(symbols.len())?;
        }
        Plan::UuidText | Plan::UuidBytes | Plan::UuidFixed => {
            uuid(plan, input)?;
        }
        Plan::Duration => {
            input.take(12)?;
        }
        Plan::List(items) => each_element(input, ELEMENT, |input| skip(items, input))?,
        Plan::Map(values) => each_element(input, ENTRY, |input| {
            input.text()?;
            skip(values, input)
        })?,
        Plan::Union(variants) => skip(&variants[input.index(variants.len())?], input)?,
        Plan::Record(record) => record.fields.iter().try_for_each(|field| skip(field, input))?,
    }
    Ok(())
}

/// Something that may be text: a string or an enum's symbol.
pub(in crate::qlik) fn text<'a>(plan: &'a Plan, input: &mut Input<'a>) -> Result<Option<&'a str>, DatumError> {
    match plan {
        Plan::Text => input.text().map(Some),
        Plan::Enum(symbols) => Ok(Some(&symbols[input.index(symbols.len())?])),
        Plan::Union(variants) => text(&variants[input.index(variants.len())?], input),
        other => skip(other, input).map(|()| None),
    }
}

/// Something that may be bytes or text.
#[derive(Clone, Copy, Debug)]
pub(in crate::qlik) enum Binary<'a> {
    Null,
    Bytes(&'a [u8]),
    Text(&'a str),
    /// A value of any other type.
    Other,
}

/// Reads something that may be bytes or text.
pub(in crate::qlik) fn binary<'a>(plan: &Plan, input: &mut Input<'a>) -> Result<Binary<'a>, DatumError> {
    match plan {
        Plan::Null => Ok(Binary::Null),
        Plan::Bytes => input.bytes().map(Binary::Bytes),
        Plan::Fixed(size) => input.take(*size).map(Binary::Bytes),
        Plan::Text => input.text().map(Binary::Text),
        Plan::Union(variants) => binary(&variants[input.index(variants.len())?], input),
        other => skip(other, input).map(|()| Binary::Other),
    }
}

/// Goes over a list's or map's elements, each of which takes `size` bytes in memory, and all of them no more than [`MAX_ALLOCATION`].
fn each_element<'b, E: From<DatumError>>(
    input: &mut Input<'b>,
    size: usize,
    mut read: impl FnMut(&mut Input<'b>) -> Result<(), E>,
) -> Result<(), E> {
    let mut total = 0_usize;
    loop {
        let count = input.block()?;
        if count == 0 {
            return Ok(());
        }
        total = total.saturating_add(count);
        if total.saturating_mul(size) > MAX_ALLOCATION {
            return Err(DatumError::TooLarge.into());
        }
        for _ in 0..count {
            read(input)?;
        }
    }
}

fn uuid(plan: &Plan, input: &mut Input<'_>) -> Result<Uuid, DatumError> {
    match plan {
        Plan::UuidText => Uuid::parse_str(input.text()?).map_err(|_| DatumError::Uuid),
        Plan::UuidBytes => Uuid::from_slice(input.bytes()?).map_err(|_| DatumError::Uuid),
        _ => input.array().map(Uuid::from_bytes),
    }
}

fn big_decimal(input: &mut Input<'_>) -> Result<AttributeValue, ReadError> {
    let (digits, scale) = big_decimal_parts(input)?;
    Ok(scalar::big_decimal(digits, scale)?)
}

/// A decimal that brings its scale: bytes that hold a length, that many bytes of the number, and the scale.
fn big_decimal_parts<'b>(input: &mut Input<'b>) -> Result<(&'b [u8], i64), DatumError> {
    let mut parts = Input::new(input.bytes()?);
    Ok((parts.bytes()?, parts.long()?))
}
