//! What a value can be: each kind checks one value and gives its normal form.
//!
//! A normal form is its own normal form. No kind looks at another value, a clock or a configuration.

mod email;
mod ip_address;
mod number;
mod text;
mod timestamp;
mod uuid;

pub(crate) use email::LocalPart;
pub(crate) use number::{Decimal, NumberRule};
pub(crate) use text::{Pattern, TextRule, composed};

use crate::document::Value;
use events::raw::ViolationCode;
use std::borrow::Cow;

pub(crate) use timestamp::instant;
pub(crate) use uuid::version;

/// What a rule asks of a value.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Anything,
    Boolean,
    Email(LocalPart),
    IpAddress,
    Timestamp,
    Uuid,
    Text(TextRule),
    Number(NumberRule),
}

/// A mistake in one value: what kind, and what is expected instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mistake {
    pub(crate) code: ViolationCode,
    pub(crate) message: String,
}

impl Mistake {
    pub(crate) fn new(code: ViolationCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl Kind {
    /// The kind's normal form of `value`, if that is a text that differs from it.
    ///
    /// # Errors
    /// Everything that is wrong with the value.
    pub(crate) fn normalise(&self, value: &Value<'_>) -> Result<Option<String>, Vec<Mistake>> {
        match self {
            Self::Anything => Ok(None),
            Self::Boolean => match value {
                Value::Boolean(_) => Ok(None),
                _ => Err(vec![wrong_type("`true` or `false`")]),
            },
            Self::Number(rule) => match value {
                Value::Number(number) => rule.check(number).map(|()| None),
                _ => Err(vec![wrong_type("a number")]),
            },
            Self::Email(local) => {
                of_text(value, |text| email::normalise(text, *local).map_err(|mistake| vec![mistake]))
            }
            Self::IpAddress => of_text(value, |text| ip_address::normalise(text).map_err(|mistake| vec![mistake])),
            Self::Timestamp => of_text(value, |text| timestamp::normalise(text).map_err(|mistake| vec![mistake])),
            Self::Uuid => of_text(value, |text| uuid::normalise(text).map_err(|mistake| vec![mistake])),
            Self::Text(rule) => of_text(value, |text| rule.normalise(text)),
        }
    }
}

fn of_text(
    value: &Value<'_>,
    normalise: impl Fn(&str) -> Result<String, Vec<Mistake>>,
) -> Result<Option<String>, Vec<Mistake>> {
    let text = match value {
        // Half a surrogate pair is reported where the document is read.
        Value::Text(_) => value.as_text().unwrap_or(Cow::Borrowed("")),
        _ => return Err(vec![wrong_type("a text")]),
    };
    normalise(&text).map(|normal| (normal != text).then_some(normal))
}

pub(crate) fn wrong_type(expected: &str) -> Mistake {
    Mistake::new(ViolationCode::WrongType, format!("expected {expected}"))
}
