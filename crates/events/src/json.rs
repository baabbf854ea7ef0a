//! JSON that is carried as its text.
//!
//! The payload of an event is not this system's to interpret.
//! Kept as text, its numbers reach the last consumer with the exact value that the table gave,
//! which is the source's value in DynamoDB's spelling: zeros at the ends are trimmed.

use std::borrow::Cow;
use std::fmt;
use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::{AttributeValue, Columns};

/// A JSON document, kept as its text.
///
/// Invariant: the text is valid JSON.
/// Deserialise types that hold one by `serde_json::from_str` or `from_slice`, never through `serde_json::Value`, which loses the text.
#[derive(Clone)]
pub struct JsonText(Box<RawValue>);

impl JsonText {
    /// Takes a text that must be JSON.
    ///
    /// # Errors
    /// When it isn't.
    pub fn parse(text: String) -> Result<Self, InvalidJson> {
        RawValue::from_string(text).map(Self).map_err(InvalidJson)
    }

    /// Takes any text: JSON as it is, anything else as a JSON string.
    pub fn parse_or_quote(text: &str) -> Self {
        Self::parse(text.to_owned()).unwrap_or_else(|_| Self::quote(text))
    }

    /// A row's columns as a JSON object, in the order of the columns' names.
    ///
    /// Numbers are JSON numbers with all their digits, bytes are base64 texts, sets are arrays.
    pub fn of_columns(columns: &Columns) -> Self {
        let mut text = String::with_capacity(columns.len() * 24);
        write_object(&mut text, columns);
        Self::parse(text).expect("invariant: the writer below writes JSON")
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    pub(crate) fn quote(text: &str) -> Self {
        let mut quoted = String::with_capacity(text.len() + 2);
        write_string(&mut quoted, text);
        Self::parse(quoted).expect("invariant: a quoted text is JSON")
    }
}

fn write_object(out: &mut String, entries: &Columns) {
    out.push('{');
    for (index, (name, value)) in entries.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_string(out, name);
        out.push(':');
        write_value(out, value);
    }
    out.push('}');
}

fn write_value(out: &mut String, value: &AttributeValue) {
    match value {
        AttributeValue::S(text) => write_string(out, text),
        AttributeValue::N(number) => write_number(out, number),
        AttributeValue::B(bytes) => write_string(out, &BASE64.encode(bytes)),
        AttributeValue::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        AttributeValue::Null => out.push_str("null"),
        AttributeValue::L(values) => write_array(out, values, write_value),
        AttributeValue::M(entries) => write_object(out, entries),
        AttributeValue::Ss(texts) => write_array(out, texts, |out, text| write_string(out, text)),
        AttributeValue::Ns(numbers) => write_array(out, numbers, |out, number| write_number(out, number)),
        AttributeValue::Bs(values) => write_array(out, values, |out, bytes| write_string(out, &BASE64.encode(bytes))),
    }
}

fn write_array<T>(out: &mut String, values: &[T], mut write: impl FnMut(&mut String, &T)) {
    out.push('[');
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, value);
    }
    out.push(']');
}

/// DynamoDB's number texts are mostly JSON numbers; the rest (`+1`, `.5`) go out as strings rather than changed.
fn write_number(out: &mut String, number: &str) {
    let digits = number.strip_prefix('-').unwrap_or(number).as_bytes();
    let starts_well = matches!(digits, [b'0'] | [b'0', b'.' | b'e' | b'E', ..] | [b'1'..=b'9', ..]);
    if starts_well && serde_json::from_str::<&RawValue>(number).is_ok_and(|raw| raw.get() == number) {
        out.push_str(number);
    } else {
        write_string(out, number);
    }
}

fn write_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                // Writing into a `String` never fails.
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

impl PartialEq for JsonText {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for JsonText {}

impl fmt::Debug for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for JsonText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(Self)
    }
}

/// A text that isn't JSON.
#[derive(Debug, thiserror::Error)]
#[error("the text is no JSON")]
pub struct InvalidJson(#[source] serde_json::Error);

/// Writes a value whose serialisation can't fail: plain structs of texts, numbers and [`JsonText`].
pub(crate) fn to_json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("invariant: maps have string keys and no field's serialisation fails")
}

/// Shortens a text for an error message.
pub(crate) fn excerpt(text: &str) -> Cow<'_, str> {
    const LIMIT: usize = 64;
    match text.char_indices().nth(LIMIT) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::attribute::tests::values;

    #[test]
    fn numbers_keep_every_digit() {
        let columns = Columns::from([
            ("big".to_owned(), AttributeValue::N("9007199254740993".to_owned())),
            ("money".to_owned(), AttributeValue::N("-12345678901234567890.10".to_owned())),
            ("odd".to_owned(), AttributeValue::N("007".to_owned())),
            ("tiny".to_owned(), AttributeValue::N("1E-130".to_owned())),
        ]);
        let json = r#"{"big":9007199254740993,"money":-12345678901234567890.10,"odd":"007","tiny":1E-130}"#;
        assert_eq!(JsonText::of_columns(&columns).as_str(), json);
        let back: JsonText = serde_json::from_str(json).expect("JSON");
        assert_eq!(serde_json::to_string(&back).expect("serialises"), json);
    }

    #[test]
    fn bodies_that_are_no_json_are_quoted() {
        assert_eq!(JsonText::parse_or_quote("{\"a\": 1}").as_str(), "{\"a\": 1}");
        assert_eq!(JsonText::parse_or_quote("{\"a\"").as_str(), "\"{\\\"a\\\"\"");
        assert!(JsonText::parse("nope".to_owned()).is_err());
    }

    proptest! {
        #[test]
        fn columns_are_always_json(columns in proptest::collection::btree_map(".{0,8}", values(), 0..5)) {
            let json = JsonText::of_columns(&columns);
            let parsed: serde_json::Value = serde_json::from_str(json.as_str()).expect("JSON");
            let names: Vec<&String> = parsed.as_object().expect("an object").keys().collect();
            prop_assert_eq!(names, columns.keys().collect::<Vec<_>>());
        }
    }
}
