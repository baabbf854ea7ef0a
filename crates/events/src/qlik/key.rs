//! Which row a message is about.
//!
//! A Kafka key is either a record of the key columns (Qlik's `KeyRecord` in Avro, or a JSON object) or plain text. Both are supported:
//!
//! - a key record names its columns, so it decides which columns form the key, and for a deletion it decides the key itself:
//!   the images of a deletion may be empty or hold defaults;
//! - plain text carries no names. It must agree with an image that has all key columns, because Qlik can also be set to use
//!   the table's name as the key, and then every row would collapse into one.
//!
//! Without a Kafka key the images decide: for a deletion the before image if it is there, else the data.

use std::borrow::Cow;

use super::cells::Cells;
use super::message_key::MessageKey;
use crate::json::excerpt;
use crate::{AttributeValue, Entity, EntityKey, InvalidKey, Operation};

/// The row that a message is about, and the one that it was before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) key: EntityKey,
    /// Set when an update moved the row to another key.
    pub(super) previous: Option<EntityKey>,
}

/// Finds the keys.
pub(super) fn keys<'c>(
    entity: Entity,
    operation: Operation,
    message: &'c MessageKey<'_>,
    data: Option<&'c Cells<'_>>,
    before: Option<&'c Cells<'_>>,
) -> Result<Keys, KeyError> {
    let named: Vec<&str>;
    let names = match message {
        MessageKey::Record(parts) => {
            named = parts.names().iter().map(String::as_str).collect();
            &named[..]
        }
        MessageKey::Named { name, .. } => std::slice::from_ref(name),
        MessageKey::Text(_) | MessageKey::Absent => entity.key_columns(),
    };
    let of_image = |image: Option<&'c Cells<'_>>| image.map_or(Ok(None), |image| image_key(names, image));
    let (of_data, of_before) = (of_image(data)?, of_image(before)?);
    let given = match message {
        MessageKey::Absent => None,
        MessageKey::Text(text) => Some(Cow::Borrowed(&**text)),
        MessageKey::Named { text, .. } => Some(Cow::Borrowed(*text)),
        MessageKey::Record(parts) => Some(joined(parts.values().iter())?),
    };
    if operation == Operation::Delete {
        let of_images = of_before.or(of_data);
        return match (given, of_images, message) {
            (Some(key), Some(image), MessageKey::Text(_)) if key != image => Err(KeyError::mismatch(&key, &image)),
            (Some(key), _, _) | (None, Some(key), _) => Ok(Keys { key: key.parse()?, previous: None }),
            (None, None, _) => Err(KeyError::missing(names)),
        };
    }
    let previous = match (operation, &of_data, of_before) {
        (Operation::Update, Some(new), Some(old)) if *new != old => Some(old),
        _ => None,
    };
    match (given, of_data) {
        (Some(key), Some(image)) if key != image && previous.as_ref() != Some(&key) => {
            Err(KeyError::mismatch(&key, &image))
        }
        (_, Some(key)) | (Some(key), None) => {
            Ok(Keys { key: key.parse()?, previous: previous.map(|previous| previous.parse()).transpose()? })
        }
        (None, None) => Err(KeyError::missing(names)),
    }
}

/// The key of an image that holds every key column with a value. An empty text is the default of a row that isn't there.
fn image_key<'c>(names: &[&str], image: &'c Cells<'_>) -> Result<Option<Cow<'c, str>>, KeyError> {
    let value = |name: &&str| image.get(name).filter(|value| **value != AttributeValue::Null);
    if !names.iter().all(|name| value(name).is_some()) {
        return Ok(None);
    }
    Ok(Some(joined(names.iter().filter_map(value))?).filter(|key| !key.is_empty()))
}

/// The text of a key with these parts: a single one as it is, see [`EntityKey`].
fn joined<'v>(mut values: impl Iterator<Item = &'v AttributeValue>) -> Result<Cow<'v, str>, KeyError> {
    let first = values.next().map_or(Ok(""), part)?;
    let Some(second) = values.next() else {
        return Ok(Cow::Borrowed(first));
    };
    let mut parts = vec![first, part(second)?];
    for value in values {
        parts.push(part(value)?);
    }
    Ok(Cow::Owned(EntityKey::join(&parts)))
}

/// A value's text in a key.
fn part(value: &AttributeValue) -> Result<&str, KeyError> {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => Ok(text),
        AttributeValue::Bool(true) => Ok("true"),
        AttributeValue::Bool(false) => Ok("false"),
        _ => Err(KeyError::Type),
    }
}

/// Why a message's row can't be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither the message's key nor an image has the key columns.
    #[error(
        "neither the Kafka key nor an image holds the key column(s) {columns}; have Qlik send the primary key as the message key"
    )]
    Missing {
        /// The key columns.
        columns: String,
    },
    /// The message's key and the image name different rows.
    #[error("the Kafka key says `{key}`, the image says `{image}`; have Qlik send the primary key as the message key")]
    Mismatch {
        /// The message's key.
        key: String,
        /// The image's key.
        image: String,
    },
    /// A key column is null, bytes or nested.
    #[error("a key column is neither text nor number nor boolean")]
    Type,
    /// The key is empty or too long.
    #[error("the key can't be a row's key")]
    Invalid(#[from] InvalidKey),
}

impl KeyError {
    fn missing(names: &[&str]) -> Self {
        Self::Missing { columns: names.join(", ") }
    }

    fn mismatch(key: &str, image: &str) -> Self {
        Self::Mismatch { key: excerpt(key).into_owned(), image: excerpt(image).into_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `42` gives an image with that key, `-` one with a null key, the empty text none at all.
    fn image(text: &str) -> Option<Cells<'static>> {
        let value = match text {
            "" => return None,
            "-" => AttributeValue::Null,
            key => AttributeValue::text(key),
        };
        Some(Cells::named([("CUSTOMER_ID".to_owned(), value)]))
    }

    fn check(operation: Operation, message: &MessageKey<'_>, data: &str, before: &str, expected: &str) {
        let found = keys(Entity::Customers, operation, message, image(data).as_ref(), image(before).as_ref());
        let found = match found {
            Ok(Keys { key, previous: None }) => key.to_string(),
            Ok(Keys { key, previous: Some(old) }) => format!("{old}->{key}"),
            Err(KeyError::Missing { .. }) => "missing".to_owned(),
            Err(KeyError::Mismatch { .. }) => "mismatch".to_owned(),
            Err(error) => error.to_string(),
        };
        assert_eq!(found, expected, "{operation} {message:?} data={data} before={before}");
    }

    #[test]
    fn where_keys_come_from() {
        use Operation::{Delete, Insert, Update};
        let absent = MessageKey::Absent;
        let text = MessageKey::Text("1".into());
        let record = MessageKey::Record(Cells::named([("customer_id".to_owned(), AttributeValue::N("1".to_owned()))]));
        let named = MessageKey::Named { name: "customer_id", text: "1" };
        for key in [&absent, &text, &record, &named] {
            check(Insert, key, "1", "", "1");
            check(Update, key, "1", "1", "1");
            check(Update, key, "1", "2", "2->1");
            check(Delete, key, "1", "", "1");
            check(Delete, key, "-", "1", "1");
        }
        for key in [&text, &record, &named] {
            check(Delete, key, "", "", "1");
            check(Delete, key, "-", "-", "1");
            check(Insert, key, "2", "", "mismatch");
            // The key of an update that moves a row may name either place.
            check(Update, key, "2", "1", "1->2");
            check(Update, key, "3", "2", "mismatch");
        }
        check(Delete, &absent, "2", "1", "1");
        check(Delete, &absent, "2", "", "2");
        check(Delete, &absent, "-", "", "missing");
        check(Insert, &absent, "-", "", "missing");
        // A key record is certain; plain text might be the table's name.
        check(Delete, &record, "2", "", "1");
        check(Delete, &named, "2", "", "1");
        check(Delete, &text, "2", "", "mismatch");
    }

    #[test]
    fn key_records_decide_the_columns() {
        let record = MessageKey::Record(Cells::named([
            ("tenant".to_owned(), AttributeValue::text("a#")),
            ("nr".to_owned(), AttributeValue::N("7".to_owned())),
        ]));
        let data = Cells::named([
            ("NR".to_owned(), AttributeValue::N("7".to_owned())),
            ("TENANT".to_owned(), AttributeValue::text("a#")),
        ]);
        let found = keys(Entity::Orders, Operation::Insert, &record, Some(&data), None).expect("a key");
        assert_eq!(found.key.as_str(), "a%23#7");
        let bytes = MessageKey::Record(Cells::named([("nr".to_owned(), AttributeValue::B(vec![1]))]));
        assert_eq!(keys(Entity::Orders, Operation::Delete, &bytes, None, None), Err(KeyError::Type));
    }
}
