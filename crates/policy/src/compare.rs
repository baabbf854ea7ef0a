//! When two values are equal, contained in each other, or smaller.
//!
//! Values of different types can't be compared: that is neither true nor false, and a clause about it fails either way.

use std::cmp::Ordering;

use serde_json::Value as Json;

use crate::syntax::{Comparison, Literal, Range};

/// Equality of a value and a literal; nothing if they can't be compared.
pub(crate) fn equal(value: &Json, literal: &Literal) -> Option<bool> {
    match (value, literal) {
        (value, Literal::Json(json)) => equal_json(value, json),
        (Json::String(text), Literal::Regex(regex)) => Some(regex.finds(text)),
        (Json::Number(number), Literal::Range(range)) => within(number, range),
        (Json::Array(values), Literal::List(literals)) => {
            if values.len() != literals.len() {
                return Some(false);
            }
            all(values.iter().zip(literals).map(|(value, literal)| equal(value, literal)))
        }
        _ => None,
    }
}

/// Equality of two values; nothing if they can't be compared.
pub(crate) fn equal_json(left: &Json, right: &Json) -> Option<bool> {
    match (left, right) {
        (Json::Bool(left), Json::Bool(right)) => Some(left == right),
        (Json::Array(left), Json::Array(right)) if left.len() == right.len() => {
            all(left.iter().zip(right).map(|(left, right)| equal_json(left, right)))
        }
        (Json::Object(left), Json::Object(right)) if left.len() == right.len() => {
            all(left.iter().map(|(name, value)| right.get(name).map_or(Some(false), |other| equal_json(value, other))))
        }
        (Json::Array(_), Json::Array(_)) | (Json::Object(_), Json::Object(_)) => Some(false),
        _ => order(left, right).map(Ordering::is_eq),
    }
}

/// Equality that is false where nothing can be compared.
pub(crate) fn same(value: &Json, literal: &Literal) -> bool {
    equal(value, literal).unwrap_or(false)
}

/// An ordering comparison; nothing if the two can't be compared.
pub(crate) fn ordered(left: &Json, right: &Json, comparison: Comparison) -> Option<bool> {
    let ordering = order(left, right)?;
    Some(match comparison {
        Comparison::Less => ordering.is_lt(),
        Comparison::LessOrEqual => ordering.is_le(),
        Comparison::Greater => ordering.is_gt(),
        Comparison::GreaterOrEqual => ordering.is_ge(),
        Comparison::Equal | Comparison::In => return None,
    })
}

/// Whole and broken numbers are different types.
fn order(left: &Json, right: &Json) -> Option<Ordering> {
    match (left, right) {
        (Json::Null, Json::Null) => Some(Ordering::Equal),
        (Json::String(left), Json::String(right)) => Some(left.cmp(right)),
        (Json::Number(left), Json::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => Some(left.cmp(&right)),
            (None, None) => left.as_f64()?.partial_cmp(&right.as_f64()?),
            _ => None,
        },
        _ => None,
    }
}

fn within(number: &serde_json::Number, range: &Range) -> Option<bool> {
    let value = number.as_f64().filter(|_| number.is_i64() == range.whole)?;
    let above = value > range.low || (range.with_low && value == range.low);
    let below = value < range.high || (range.with_high && value == range.high);
    Some(above && below)
}

/// True if all are; nothing if one that can't be compared comes before one that differs.
fn all(results: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    for result in results {
        if !result? {
            return Some(false);
        }
    }
    Some(true)
}
