//! DynamoDB's attribute values, without an SDK.
//!
//! The JSON form is DynamoDB's own (`{"S": "text"}`), which both stream records and the low-level API use.
//! Numbers stay the text that they were; see [`AttributeValue::number`] for the numbers that DynamoDB can't hold.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A whole item: attribute name to value.
pub type Item = BTreeMap<String, AttributeValue>;

/// One attribute value of DynamoDB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    /// A text.
    S(String),
    /// A number, as text.
    N(String),
    /// Bytes.
    B(Vec<u8>),
    /// A truth value.
    Bool(bool),
    /// The known absence of a value; not the same as an absent attribute.
    Null,
    /// A list.
    L(Vec<AttributeValue>),
    /// A map.
    M(BTreeMap<String, AttributeValue>),
    /// A set of texts.
    Ss(Vec<String>),
    /// A set of numbers, as texts.
    Ns(Vec<String>),
    /// A set of byte strings.
    Bs(Vec<Vec<u8>>),
}

impl AttributeValue {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::S(text.into())
    }

    /// A number from its decimal text, or the text itself where DynamoDB would round or refuse the number:
    /// more than 38 significant digits, a magnitude outside 1E-130 to 9.99E+125 (other than zero), or no number at all (`NaN`).
    /// (DynamoDB developer guide, "Data types: Number", read 2026-11.)
    pub fn number(text: impl Into<String>) -> Self {
        let text = text.into();
        if fits_dynamodb_number(&text) { Self::N(text) } else { Self::S(text) }
    }

    /// The text of an `S`.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::S(text) => Some(text),
            _ => None,
        }
    }

    /// The text of an `N`.
    pub fn as_number(&self) -> Option<&str> {
        match self {
            Self::N(text) => Some(text),
            _ => None,
        }
    }

    /// The entries of an `M`.
    pub fn as_map(&self) -> Option<&BTreeMap<String, AttributeValue>> {
        match self {
            Self::M(entries) => Some(entries),
            _ => None,
        }
    }
}

/// A decimal number's text taken apart, if it is one: digits without sign and point, and the power of ten of the last digit.
fn decimal_parts(text: &str) -> Option<(String, i64)> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (unsigned, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return None,
        None => (mantissa, ""),
    };
    let only_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !only_digits(whole) || !only_digits(fraction) {
        return None;
    }
    let last = i64::from(exponent) - i64::try_from(fraction.len()).ok()?;
    Some((format!("{whole}{fraction}"), last))
}

fn fits_dynamodb_number(text: &str) -> bool {
    let Some((digits, last_power)) = decimal_parts(text) else {
        return false;
    };
    let significant = digits.trim_start_matches('0');
    let trimmed = significant.trim_end_matches('0');
    let Ok(length) = i64::try_from(significant.len()) else {
        return false;
    };
    // The power of ten of the first digit, which is what the limits are about.
    let magnitude = last_power + length - 1;
    trimmed.is_empty() || (trimmed.len() <= 38 && (-130..=125).contains(&magnitude))
}

impl Serialize for AttributeValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        match self {
            Self::S(text) => map.serialize_entry("S", text)?,
            Self::N(text) => map.serialize_entry("N", text)?,
            Self::B(bytes) => map.serialize_entry("B", &BASE64.encode(bytes))?,
            Self::Bool(value) => map.serialize_entry("BOOL", value)?,
            Self::Null => map.serialize_entry("NULL", &true)?,
            Self::L(values) => map.serialize_entry("L", values)?,
            Self::M(entries) => map.serialize_entry("M", entries)?,
            Self::Ss(texts) => map.serialize_entry("SS", texts)?,
            Self::Ns(numbers) => map.serialize_entry("NS", numbers)?,
            Self::Bs(values) => {
                let encoded: Vec<String> = values.iter().map(|bytes| BASE64.encode(bytes)).collect();
                map.serialize_entry("BS", &encoded)?;
            }
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for AttributeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = AttributeValue;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a DynamoDB attribute value such as {\"S\": \"text\"}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AttributeValue, A::Error> {
        const TYPES: &[&str] = &["S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS"];
        let decode = |text: String| BASE64.decode(text).map_err(de::Error::custom);
        let Some(kind) = map.next_key::<String>()? else {
            return Err(de::Error::custom("an attribute value has exactly one type, this one has none"));
        };
        let value = match kind.as_str() {
            "S" => AttributeValue::S(map.next_value()?),
            "N" => AttributeValue::N(checked_number(map.next_value()?)?),
            "B" => AttributeValue::B(decode(map.next_value()?)?),
            "BOOL" => AttributeValue::Bool(map.next_value()?),
            "NULL" => {
                map.next_value::<bool>()?;
                AttributeValue::Null
            }
            "L" => AttributeValue::L(map.next_value()?),
            "M" => AttributeValue::M(map.next_value()?),
            "SS" => AttributeValue::Ss(map.next_value()?),
            "NS" => {
                let numbers: Vec<String> = map.next_value()?;
                AttributeValue::Ns(numbers.into_iter().map(checked_number).collect::<Result<_, _>>()?)
            }
            "BS" => {
                let texts: Vec<String> = map.next_value()?;
                AttributeValue::Bs(texts.into_iter().map(decode).collect::<Result<_, _>>()?)
            }
            other => return Err(de::Error::unknown_variant(other, TYPES)),
        };
        match map.next_key::<String>()? {
            None => Ok(value),
            Some(second) => Err(de::Error::custom(format!(
                "an attribute value has exactly one type, this one has `{kind}` and `{second}`"
            ))),
        }
    }
}

fn checked_number<E: de::Error>(text: String) -> Result<String, E> {
    if decimal_parts(text.strip_prefix('+').unwrap_or(&text)).is_some() {
        Ok(text)
    } else {
        Err(E::custom(format!("`{}` is no number", text.chars().take(64).collect::<String>())))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn values() -> impl Strategy<Value = AttributeValue> {
        let leaf = prop_oneof![
            ".{0,12}".prop_map(AttributeValue::S),
            "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,6})?".prop_map(AttributeValue::N),
            proptest::collection::vec(any::<u8>(), 0..20).prop_map(AttributeValue::B),
            any::<bool>().prop_map(AttributeValue::Bool),
            Just(AttributeValue::Null),
            proptest::collection::vec("[a-z]{1,4}", 1..3).prop_map(AttributeValue::Ss),
            proptest::collection::vec("[1-9][0-9]{0,4}", 1..3).prop_map(AttributeValue::Ns),
            proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..4), 1..3).prop_map(AttributeValue::Bs),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(AttributeValue::L),
                proptest::collection::btree_map("[a-z]{1,6}", inner, 0..4).prop_map(AttributeValue::M),
            ]
        })
    }

    #[test]
    fn numbers_that_dynamodb_would_change_stay_text() {
        let digits_38 = "1".repeat(38);
        let digits_39 = "1".repeat(39);
        for number in [
            "0",
            "-1",
            "9007199254740993",
            "12.50",
            "0.000",
            "1E125",
            "1e-130",
            digits_38.as_str(),
            &format!("{}00", "1".repeat(38)),
        ] {
            assert_eq!(AttributeValue::number(number), AttributeValue::N(number.to_owned()), "{number}");
        }
        for text in ["", "-", "NaN", "inf", "1.", ".5", "1e126", "1e-131", "1e99999999999", "0x1", digits_39.as_str()] {
            assert_eq!(AttributeValue::number(text), AttributeValue::S(text.to_owned()), "{text}");
        }
    }

    #[test]
    fn json_is_dynamodbs_own() {
        let value = AttributeValue::M(BTreeMap::from([
            ("a".to_owned(), AttributeValue::N("9007199254740993.1".to_owned())),
            ("b".to_owned(), AttributeValue::B(vec![1, 2])),
            ("c".to_owned(), AttributeValue::Null),
            ("d".to_owned(), AttributeValue::L(vec![AttributeValue::Bool(true)])),
        ]));
        let json =
            r#"{"M":{"a":{"N":"9007199254740993.1"},"b":{"B":"AQI="},"c":{"NULL":true},"d":{"L":[{"BOOL":true}]}}}"#;
        assert_eq!(serde_json::to_string(&value).expect("serialises"), json);
        assert_eq!(serde_json::from_str::<AttributeValue>(json).expect("deserialises"), value);
    }

    #[test]
    fn malformed_values_are_refused() {
        for bad in
            ["{}", r#"{"S":"a","N":"1"}"#, r#"{"X":"a"}"#, r#"{"N":"one"}"#, r#"{"N":1}"#, r#"{"B":"*"}"#, "1", "null"]
        {
            assert!(serde_json::from_str::<AttributeValue>(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_what_is_printed_gives_the_same(value in values()) {
            let json = serde_json::to_string(&value).expect("serialises");
            prop_assert_eq!(serde_json::from_str::<AttributeValue>(&json).expect("deserialises"), value);
        }
    }
}
