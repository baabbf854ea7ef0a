//! A Kafka message's key, from its bytes.
//!
//! | bytes | key |
//! |---|---|
//! | none, or no key | absent |
//! | a schema id in the header, or `0x00` and a schema id | Avro: a record of the key columns, or one value |
//! | `{"…` | a JSON object of the key columns |
//! | `"…"` that is a JSON string | the string's content |
//! | other UTF-8 without `NUL`, a number and what begins with `[` included | the text itself |

use std::borrow::Cow;

use super::KEY_SCHEMA_HEADER;
use super::avro::error::ReadError;
use super::avro::input::Input;
use super::avro::plan::Plan;
use super::avro::read::{MAX_DEPTH, attribute, fields, text};
use super::cells::Cells;
use super::json::Members;
use super::key::KeyError;
use super::message::{DecodeError, Message, SchemaId, framed};
use super::poison::Poison;
use super::schema::WriterSchema;
use crate::{AttributeValue, Entity};

/// The key of a Kafka message.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum MessageKey<'m> {
    /// There is none.
    Absent,
    /// Names and values of the key columns, in key order.
    Record(Cells<'m>),
    /// The one key column, which is a text: as nearly all keys are, so nothing is copied for it.
    Named {
        /// The column's name.
        name: &'m str,
        /// Its value.
        text: &'m str,
    },
    /// A text.
    Text(Cow<'m, str>),
}

/// Finds out which schema the key needs, and where its datum is.
pub(super) fn avro_key<'m>(message: &Message<'m>) -> Result<Option<(SchemaId, &'m [u8])>, Poison> {
    let Some(bytes) = message.key.filter(|bytes| !bytes.is_empty()) else {
        return Ok(None);
    };
    match message.key_schema_header {
        Some(header) => {
            let id = SchemaId::from_header(header).ok_or(Poison::SchemaHeader { header: KEY_SCHEMA_HEADER })?;
            Ok(Some((id, bytes)))
        }
        None => Ok(framed(bytes)),
    }
}

/// Reads a key in Avro.
pub(super) fn read_avro<'a>(
    writer: &'a WriterSchema,
    schema_id: SchemaId,
    datum: &'a [u8],
) -> Result<MessageKey<'a>, Poison> {
    let poison = |error: ReadError| match error {
        ReadError::Datum(source) => Poison::Key { schema_id, source },
        ReadError::Unsupported(error) => Poison::Column(error),
    };
    let mut input = Input::new(datum);
    let key = match writer.plan() {
        Plan::Record(record) if matches!(record.fields[..], [Plan::Text]) => {
            let text = text(&record.fields[0], &mut input).map_err(|error| poison(error.into()))?;
            MessageKey::Named { name: &record.names[0], text: text.unwrap_or_default() }
        }
        Plan::Record(record) => {
            let values = fields(record, &mut input, MAX_DEPTH).map_err(poison)?;
            MessageKey::Record(Cells::of_schema(&record.names, values))
        }
        single => match attribute(single, &mut input, MAX_DEPTH).map_err(poison)? {
            AttributeValue::S(text) | AttributeValue::N(text) => MessageKey::Text(Cow::Owned(text)),
            _ => return Err(KeyError::Type.into()),
        },
    };
    input.finish().map_err(|error| poison(error.into()))?;
    Ok(key)
}

/// Reads a key that isn't Avro.
pub(super) fn read_text<'m>(entity: Entity, bytes: Option<&'m [u8]>) -> Result<MessageKey<'m>, DecodeError> {
    let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
        return Ok(MessageKey::Absent);
    };
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if !text.contains('\0') => text,
        _ => return Err(Poison::KeyEncoding.into()),
    };
    if is_object(text) {
        let members = Members::parse(text).map_err(Poison::JsonKey)?;
        return Ok(MessageKey::Record(in_key_order(entity, members.cells()?)));
    }
    if text.starts_with('"')
        && let Ok(content) = serde_json::from_str::<String>(text)
    {
        return Ok(MessageKey::Text(Cow::Owned(content)));
    }
    Ok(MessageKey::Text(Cow::Borrowed(text)))
}

/// Whether a text means to be a JSON object. A brace alone could begin a text such as a GUID in braces.
fn is_object(text: &str) -> bool {
    let inside = text.trim_ascii_start().strip_prefix('{');
    inside.is_some_and(|inside| inside.trim_ascii_start().starts_with(['"', '}']))
}

/// Puts the members of an object into the order of the entity's key columns, those it doesn't know behind them by their names:
/// the order in the text means nothing, and one row must not have two keys.
fn in_key_order(entity: Entity, cells: Cells<'_>) -> Cells<'_> {
    let place = |name: &str| {
        let known = entity.key_columns().iter().position(|column| column.eq_ignore_ascii_case(name));
        known.unwrap_or(usize::MAX)
    };
    let mut sorted: Vec<(String, AttributeValue)> = cells.into_columns().into_iter().collect();
    // By name already, as columns are; the sort keeps that among equals.
    sorted.sort_by_key(|(name, _)| place(name));
    Cells::named(sorted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, expected: &str) {
        let found = match read_text(Entity::Orders, Some(key.as_bytes())) {
            Ok(MessageKey::Absent) => "absent".to_owned(),
            Ok(MessageKey::Named { name, text }) => format!("named {name}={text}"),
            Ok(MessageKey::Text(text)) => format!("text {text}"),
            Ok(MessageKey::Record(cells)) => {
                let cells = cells.names().iter().zip(cells.values());
                let cells = cells.map(|(name, value)| format!("{name}={value:?}"));
                format!("record {}", cells.collect::<Vec<_>>().join(" "))
            }
            Err(DecodeError::Poison(poison)) => poison.class().to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{key}");
    }

    #[test]
    fn keys_that_are_text_or_json() {
        check("", "absent");
        check("A-1", "text A-1");
        check("42", "text 42");
        check("1.50", "text 1.50");
        check("null", "text null");
        check("[1,2]", "text [1,2]");
        check("[west] 7", "text [west] 7");
        check("\"A-1\"", "text A-1");
        check("\"A\\u002d1\"", "text A-1");
        check("\"quoted\" name", "text \"quoted\" name");
        check("{0b1c7a3e-0000-4000-8000-000000000000}", "text {0b1c7a3e-0000-4000-8000-000000000000}");
        check("{\"order_id\":\"A-1\"}", "record order_id=S(\"A-1\")");
        check(" { \"order_id\" : 7.0 }", "record order_id=N(\"7.0\")");
        check("{\"order_id\":", "json_key");
        check("{\"order_id\":1} 2", "json_key");
        check("{}", "record ");
        check("a\0b", "key_encoding");
    }

    /// Members may come in any order; those that the entity knows come first.
    #[test]
    fn members_of_a_key_have_one_order() {
        for key in [
            "{\"tenant\":1,\"ORDER_ID\":2,\"area\":3}",
            "{\"area\":3,\"tenant\":1,\"ORDER_ID\":2}",
            "{\"ORDER_ID\":2,\"area\":3,\"tenant\":1}",
        ] {
            check(key, "record ORDER_ID=N(\"2\") area=N(\"3\") tenant=N(\"1\")");
        }
    }
}
