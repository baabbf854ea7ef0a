//! The columns of each entity's rows.

mod customers;
mod orders;
mod products;

use events::{AttributeValue, Columns, Entity, Timestamp};
use jiff::SignedDuration;

use crate::random::Random;
use crate::vocabulary::Vocabulary;

/// A row: its key and its columns.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) key: String,
    pub(crate) columns: Columns,
}

/// A row as it is after a change at `at`.
pub(crate) fn row(entity: Entity, at: Timestamp, vocabulary: &Vocabulary, random: &mut Random) -> Row {
    match entity {
        Entity::Customers => customers::row(at, vocabulary, random),
        Entity::Orders => orders::row(at, vocabulary, random),
        Entity::Products => products::row(at, vocabulary, random),
    }
}

fn columns(entries: impl IntoIterator<Item = (&'static str, AttributeValue)>) -> Columns {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn text(text: impl Into<String>) -> AttributeValue {
    AttributeValue::text(text)
}

fn number(number: impl std::fmt::Display) -> AttributeValue {
    AttributeValue::number(number.to_string())
}

/// An amount of money in DynamoDB's spelling: no zeros at the end.
fn money(cents: u32) -> AttributeValue {
    let (whole, rest) = (cents / 100, cents % 100);
    match rest {
        0 => number(whole),
        _ if rest % 10 == 0 => number(format!("{whole}.{}", rest / 10)),
        _ => number(format!("{whole}.{rest:02}")),
    }
}

/// A time up to so many days before `at`, as sources write it.
fn earlier(at: Timestamp, days: u32, random: &mut Random) -> AttributeValue {
    let ago = SignedDuration::from_secs(i64::from(random.below(days * 86_400)));
    let millis = SignedDuration::from_millis(i64::from(random.below(1000)));
    text((at - ago - millis).to_string())
}

fn or_null(random: &mut Random, percent: u32, value: impl FnOnce(&mut Random) -> AttributeValue) -> AttributeValue {
    if random.percent(percent) { value(random) } else { AttributeValue::Null }
}
