//! Compares the rows of a table with what they must be.

use std::collections::BTreeMap;
use std::fmt;

use events::{AttributeValue, Columns, Entity, EntityKey, EventId, Region, Row, RowState, SourceId};

use crate::expected::Expected;
use crate::message::RowAfter;

/// What every row carries that the consumers wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Writer {
    /// The source that owns the rows.
    pub source: SourceId,
    /// The writers' authority epoch.
    pub epoch: u64,
    /// Their region.
    pub region: Region,
}

/// A row that isn't what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowDifference {
    /// Its table.
    pub entity: Entity,
    /// Its key.
    pub key: EntityKey,
    /// What is wrong with it.
    pub what: WrongRow,
}

/// What is wrong with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WrongRow {
    /// It isn't there.
    Lost,
    /// It lives although it was deleted.
    Resurrected,
    /// It is a tombstone although it lives.
    Deleted,
    /// It is there although nothing told of it.
    Unknown,
    /// A part of it is another one.
    Differs {
        /// Which part.
        part: String,
        /// What must be there.
        expected: String,
        /// What is there.
        found: String,
    },
}

impl fmt::Display for RowDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entity, key, what } = self;
        match what {
            WrongRow::Lost => write!(f, "{entity} `{key}` is lost"),
            WrongRow::Resurrected => write!(f, "{entity} `{key}` lives although it was deleted"),
            WrongRow::Deleted => write!(f, "{entity} `{key}` is deleted although it lives"),
            WrongRow::Unknown => write!(f, "{entity} `{key}` is there although nothing told of it"),
            WrongRow::Differs { part, expected, found } => {
                write!(f, "{entity} `{key}` has `{found}` as its {part} instead of `{expected}`")
            }
        }
    }
}

impl Expected {
    /// What is wrong with the rows of a table. `found` are all of them.
    pub fn compare_rows(&self, entity: Entity, found: &[Row], writer: &Writer) -> Vec<RowDifference> {
        let mut unknown: BTreeMap<&EntityKey, &Row> = found.iter().map(|row| (&row.head.key, row)).collect();
        let mut differences = Vec::new();
        let mut wrong = |key: &EntityKey, what| differences.push(RowDifference { entity, key: key.clone(), what });
        for expected in self.rows(entity) {
            match unknown.remove(&expected.key) {
                None => wrong(&expected.key, WrongRow::Lost),
                Some(row) => {
                    if let Some(what) = difference(entity, expected, row, writer) {
                        wrong(&expected.key, what);
                    }
                }
            }
        }
        for key in unknown.keys() {
            wrong(key, WrongRow::Unknown);
        }
        differences
    }
}

fn difference(entity: Entity, expected: &RowAfter, row: &Row, writer: &Writer) -> Option<WrongRow> {
    let columns = match (&expected.columns, &row.state) {
        (None, RowState::Live(_)) => return Some(WrongRow::Resurrected),
        (Some(_), RowState::Tombstone { .. }) => return Some(WrongRow::Deleted),
        (None, RowState::Tombstone { .. }) => None,
        (Some(expected), RowState::Live(found)) => Some((expected, found)),
    };
    let head = &row.head;
    let event_id = EventId::new(&writer.source, entity, &expected.key, &expected.version);
    let context = |context: Option<events::TraceParent>| context.map_or_else(|| "none".to_owned(), |it| it.to_string());
    let parts = [
        ("version", expected.version.to_string(), head.version.to_string()),
        ("event id", event_id.to_string(), head.event_id.to_string()),
        ("operation", expected.operation.to_string(), head.operation.to_string()),
        ("commit time", expected.committed_at.to_string(), head.committed_at.to_string()),
        ("trace context", context(expected.traceparent), context(head.traceparent)),
        ("source", writer.source.to_string(), head.source.to_string()),
        ("epoch", writer.epoch.to_string(), head.epoch.to_string()),
        ("region", writer.region.to_string(), head.origin_region.to_string()),
    ];
    let part = parts.into_iter().find(|(_, expected, found)| expected != found);
    part.map(|(part, expected, found)| WrongRow::Differs { part: part.to_owned(), expected, found })
        .or_else(|| columns.and_then(|(expected, found)| column_difference(expected, found)))
}

fn column_difference(expected: &Columns, found: &Columns) -> Option<WrongRow> {
    let absent = "nothing";
    let name = expected.keys().chain(found.keys()).find(|name| {
        let text = |columns: &Columns| columns.get(*name).map(normal);
        text(expected) != text(found)
    })?;
    let text = |columns: &Columns| columns.get(name).map_or_else(|| absent.to_owned(), |value| format!("{value:?}"));
    Some(WrongRow::Differs { part: format!("column `{name}`"), expected: text(expected), found: text(found) })
}

/// DynamoDB gives numbers back without the zeros that say nothing.
fn normal(value: &AttributeValue) -> AttributeValue {
    match value {
        AttributeValue::N(number) if number.contains('.') => {
            AttributeValue::N(number.trim_end_matches('0').trim_end_matches('.').to_owned())
        }
        other => other.clone(),
    }
}
