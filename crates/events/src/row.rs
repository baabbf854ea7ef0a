//! Rows: what a change writes, and what a stored item says.
//!
//! Every write carries what its condition needs (source, version, epoch), so that a write that is delivered twice,
//! out of order or by a program that lost its authority changes nothing.
//! The write itself, with its condition, belongs to the crate that has the database's client.

use std::collections::BTreeMap;

use contracts::Region;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::json::excerpt;
use crate::{AttributeValue, Correlation, Entity, EntityKey, EventId, Item, Operation, SourceId, TraceParent, Version};

/// Attribute names of a row.
pub mod names {
    /// The entity's key.
    pub const PK: &str = "pk";
    /// The source that owns the row.
    pub const SRC: &str = "src";
    /// The version; its bytes are in order.
    pub const VER: &str = "ver";
    /// The authority epoch of the writer.
    pub const EP: &str = "ep";
    /// The region that wrote the row.
    pub const ORIGIN_REGION: &str = "origin_region";
    /// The id of the change.
    pub const EVENT_ID: &str = "event_id";
    /// What the source did.
    pub const OP: &str = "op";
    /// True on tombstones, absent on live rows.
    pub const DELETED: &str = "deleted";
    /// When a tombstone may go, in seconds since 1970; absent on live rows.
    pub const EXPIRES_AT: &str = "expires_at";
    /// The columns; absent on tombstones.
    pub const DATA: &str = "data";
    /// When the source committed the change, RFC 3339 in UTC.
    pub const COMMITTED_AT: &str = "committed_at";
    /// Where the change came from.
    pub const TRACE: &str = "trace";
    /// The trace context that the change came with; absent when it came with none.
    pub const TRACEPARENT: &str = crate::trace_context::TRACEPARENT;
}

/// A row's columns: name to value. A column that is absent is unknown, a `Null` is known to be null.
pub type Columns = BTreeMap<String, AttributeValue>;

/// Where a change came from, for following it by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    /// The Qlik task.
    pub task: String,
    /// The table in the source, `schema.table` where known.
    pub table: String,
    /// Qlik's change sequence; empty for a full-load row.
    pub change_sequence: String,
    /// The position in the source's log; empty for a full-load row.
    pub stream_position: String,
    /// The Kafka topic.
    pub topic: String,
    /// The topic's partition.
    pub partition: i32,
    /// The offset in the partition.
    pub offset: i64,
}

impl Trace {
    fn to_attribute(&self) -> AttributeValue {
        let Self { task, table, change_sequence, stream_position, topic, partition, offset } = self;
        AttributeValue::M(BTreeMap::from([
            ("task".to_owned(), AttributeValue::text(task)),
            ("table".to_owned(), AttributeValue::text(table)),
            ("change_sequence".to_owned(), AttributeValue::text(change_sequence)),
            ("stream_position".to_owned(), AttributeValue::text(stream_position)),
            ("topic".to_owned(), AttributeValue::text(topic)),
            ("partition".to_owned(), AttributeValue::N(partition.to_string())),
            ("offset".to_owned(), AttributeValue::N(offset.to_string())),
        ]))
    }

    fn from_item(item: &Item) -> Result<Self, RowError> {
        let entries = match item.get(names::TRACE) {
            Some(AttributeValue::M(entries)) => entries,
            Some(_) => return Err(RowError::wrong_type(names::TRACE, "M")),
            None => return Err(RowError::Missing { attribute: names::TRACE }),
        };
        let text = |name: &str| {
            entries.get(name).and_then(AttributeValue::as_text).map(str::to_owned).ok_or(RowError::Malformed {
                attribute: names::TRACE,
                problem: format!("its `{name}` is missing or no text"),
            })
        };
        let number = |name: &str| {
            entries.get(name).and_then(AttributeValue::as_number).and_then(|number| number.parse::<i64>().ok()).ok_or(
                RowError::Malformed {
                    attribute: names::TRACE,
                    problem: format!("its `{name}` is missing or no whole number"),
                },
            )
        };
        Ok(Self {
            task: text("task")?,
            table: text("table")?,
            change_sequence: text("change_sequence")?,
            stream_position: text("stream_position")?,
            topic: text("topic")?,
            partition: i32::try_from(number("partition")?).map_err(|_| RowError::Malformed {
                attribute: names::TRACE,
                problem: "its `partition` is out of range".to_owned(),
            })?,
            offset: number("offset")?,
        })
    }
}

/// Everything about a row but its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowHead {
    /// The kind of thing, which decides the table; not an attribute.
    pub entity: Entity,
    /// The key.
    pub key: EntityKey,
    /// The source that owns the row.
    pub source: SourceId,
    /// The version.
    pub version: Version,
    /// The writer's authority epoch.
    pub epoch: u64,
    /// The writer's region.
    pub origin_region: Region,
    /// The id of the change.
    pub event_id: EventId,
    /// What the source did.
    pub operation: Operation,
    /// When the source committed the change.
    pub committed_at: Timestamp,
    /// Where the change came from.
    pub trace: Trace,
    /// The trace context that the change came with.
    pub traceparent: Option<TraceParent>,
}

impl RowHead {
    /// Every attribute of the head except the key.
    pub fn attributes(&self) -> Item {
        let Self {
            entity: _,
            key: _,
            source,
            version,
            epoch,
            origin_region,
            event_id,
            operation,
            committed_at,
            trace,
            traceparent,
        } = self;
        let mut attributes = Item::from([
            (names::SRC.to_owned(), AttributeValue::text(source.as_str())),
            (names::VER.to_owned(), AttributeValue::text(version.as_str())),
            (names::EP.to_owned(), AttributeValue::N(epoch.to_string())),
            (names::ORIGIN_REGION.to_owned(), AttributeValue::text(origin_region.as_str())),
            (names::EVENT_ID.to_owned(), AttributeValue::text(event_id.to_string())),
            (names::OP.to_owned(), AttributeValue::text(operation.as_str())),
            (names::COMMITTED_AT.to_owned(), AttributeValue::text(committed_at.to_string())),
            (names::TRACE.to_owned(), trace.to_attribute()),
        ]);
        if let Some(traceparent) = traceparent {
            attributes.insert(names::TRACEPARENT.to_owned(), AttributeValue::text(traceparent.to_string()));
        }
        attributes
    }

    /// By what the change is found in logs.
    pub fn correlation(&self) -> Correlation {
        Correlation { event_id: Some(self.event_id), traceparent: self.traceparent }
    }
}

/// One conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowWrite {
    /// Key, fence and origin.
    pub head: RowHead,
    /// What becomes of the columns.
    pub change: RowChange,
}

/// What a write does to the columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowChange {
    /// The image is complete: it replaces the row.
    Put(Columns),
    /// Only these columns are known: the others keep their values. Needs a row that has columns.
    Merge(Columns),
    /// The row is deleted: a tombstone takes its place, so that a late change can't bring it back.
    Tombstone {
        /// When the tombstone may go, in seconds since 1970.
        expires_at: i64,
    },
}

impl RowWrite {
    /// The whole item that this write would leave in an empty table; of a [`RowChange::Merge`], which is refused there, the known part.
    pub fn item(&self) -> Item {
        let mut item = self.head.attributes();
        item.insert(names::PK.to_owned(), AttributeValue::text(self.head.key.as_str()));
        match &self.change {
            RowChange::Put(columns) | RowChange::Merge(columns) => {
                item.insert(names::DATA.to_owned(), AttributeValue::M(columns.clone()));
            }
            RowChange::Tombstone { expires_at } => {
                item.insert(names::DELETED.to_owned(), AttributeValue::Bool(true));
                item.insert(names::EXPIRES_AT.to_owned(), AttributeValue::N(expires_at.to_string()));
            }
        }
        item
    }
}

/// What a stored item says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Key, fence and origin.
    pub head: RowHead,
    /// Whether the row lives, and its columns.
    pub state: RowState,
}

/// Whether a row lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowState {
    /// It does, with these columns.
    Live(Columns),
    /// It was deleted.
    Tombstone {
        /// When the tombstone may go, in seconds since 1970.
        expires_at: i64,
    },
}

impl Row {
    /// Reads an item of the table of `entity`.
    /// Attributes that no row has are ignored: DynamoDB's own (`aws:rep:…`) and those of newer versions.
    ///
    /// # Errors
    /// When an attribute is missing, of another type or malformed.
    pub fn from_item(entity: Entity, item: &Item) -> Result<Self, RowError> {
        let head = RowHead {
            entity,
            key: parsed(item, names::PK)?,
            source: parsed(item, names::SRC)?,
            version: parsed(item, names::VER)?,
            epoch: number(item, names::EP)?,
            origin_region: parsed(item, names::ORIGIN_REGION)?,
            event_id: parsed(item, names::EVENT_ID)?,
            operation: parsed(item, names::OP)?,
            committed_at: parsed(item, names::COMMITTED_AT)?,
            trace: Trace::from_item(item)?,
            // A malformed one is as good as none.
            traceparent: item
                .get(names::TRACEPARENT)
                .and_then(AttributeValue::as_text)
                .and_then(|text| text.parse().ok()),
        };
        let state = if is_tombstone(item) {
            RowState::Tombstone { expires_at: number(item, names::EXPIRES_AT)? }
        } else {
            match item.get(names::DATA) {
                Some(AttributeValue::M(columns)) => RowState::Live(columns.clone()),
                Some(_) => return Err(RowError::wrong_type(names::DATA, "M")),
                None => return Err(RowError::Missing { attribute: names::DATA }),
            }
        };
        Ok(Self { head, state })
    }
}

/// Whether an item is a tombstone.
pub fn is_tombstone(item: &Item) -> bool {
    item.get(names::DELETED) == Some(&AttributeValue::Bool(true))
}

pub(crate) fn parsed<T>(item: &Item, attribute: &'static str) -> Result<T, RowError>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    match item.get(attribute) {
        Some(AttributeValue::S(text)) => {
            text.parse().map_err(|error: T::Err| RowError::Malformed { attribute, problem: error.to_string() })
        }
        Some(_) => Err(RowError::wrong_type(attribute, "S")),
        None => Err(RowError::Missing { attribute }),
    }
}

pub(crate) fn number<T: std::str::FromStr>(item: &Item, attribute: &'static str) -> Result<T, RowError> {
    match item.get(attribute) {
        Some(AttributeValue::N(text)) => text.parse().map_err(|_| RowError::Malformed {
            attribute,
            problem: format!("`{}` is no whole number in range", excerpt(text)),
        }),
        Some(_) => Err(RowError::wrong_type(attribute, "N")),
        None => Err(RowError::Missing { attribute }),
    }
}

/// Why an item is no row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// An attribute that every such row has is absent.
    #[error("the item has no attribute `{attribute}`, so it wasn't written by the consumer")]
    Missing {
        /// The attribute.
        attribute: &'static str,
    },
    /// An attribute is of another DynamoDB type.
    #[error("the item's attribute `{attribute}` is not of type {expected}")]
    WrongType {
        /// The attribute.
        attribute: &'static str,
        /// DynamoDB's name of the type that it should have.
        expected: &'static str,
    },
    /// An attribute's value is malformed.
    #[error("the item's attribute `{attribute}` is malformed: {problem}")]
    Malformed {
        /// The attribute.
        attribute: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

impl RowError {
    fn wrong_type(attribute: &'static str, expected: &'static str) -> Self {
        Self::WrongType { attribute, expected }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ChangeSequence;
    use crate::trace_context::tests::trace_parents;

    pub(crate) fn write(key: &str, counter: u64, change: RowChange) -> RowWrite {
        let committed_at: Timestamp = "2026-03-04T05:06:07.89Z".parse().expect("valid");
        let sequence = ChangeSequence::new(committed_at, counter);
        let (source, key): (SourceId, EntityKey) = ("shop".parse().expect("valid"), key.parse().expect("valid"));
        let version = Version::cdc(1, &sequence);
        RowWrite {
            head: RowHead {
                entity: Entity::Customers,
                event_id: EventId::new(&source, Entity::Customers, &key, &version),
                key,
                source,
                version,
                epoch: 7,
                origin_region: Region::new("us-west-2").expect("valid"),
                operation: match change {
                    RowChange::Tombstone { .. } => Operation::Delete,
                    _ => Operation::Update,
                },
                committed_at,
                trace: Trace {
                    task: "shop".to_owned(),
                    table: "sales.customers".to_owned(),
                    change_sequence: sequence.to_string(),
                    stream_position: "0:12".to_owned(),
                    topic: "qlik.customers".to_owned(),
                    partition: 3,
                    offset: 99,
                },
                traceparent: None,
            },
            change,
        }
    }

    #[test]
    fn rows_without_an_attribute_name_it() {
        let whole = write("a", 1, RowChange::Put(Columns::new())).item();
        for attribute in whole.keys() {
            let mut item = whole.clone();
            item.remove(attribute);
            let error = Row::from_item(Entity::Customers, &item).expect_err(attribute);
            assert!(error.to_string().contains(&format!("`{attribute}`")), "{error}");
            item.insert(attribute.clone(), AttributeValue::Bool(false));
            let error = Row::from_item(Entity::Customers, &item).expect_err(attribute);
            assert!(error.to_string().contains(&format!("`{attribute}`")), "{error}");
        }
    }

    #[test]
    fn a_malformed_trace_context_is_no_reason_to_refuse_a_row() {
        let write = write("a", 1, RowChange::Put(Columns::new()));
        for malformed in [AttributeValue::text("00-nonsense"), AttributeValue::Bool(true)] {
            let mut item = write.item();
            item.insert(names::TRACEPARENT.to_owned(), malformed);
            assert_eq!(Row::from_item(Entity::Customers, &item).expect("a row").head, write.head);
        }
    }

    proptest! {
        #[test]
        fn reading_what_is_written_gives_the_same(
            key in ".{1,20}",
            counter in 0..u64::MAX / 2,
            columns in proptest::collection::btree_map("[a-z]{1,8}", crate::attribute::tests::values(), 0..5),
            expires_at in proptest::option::of(any::<i64>()),
            traceparent in proptest::option::of(trace_parents()),
        ) {
            let (change, state) = match expires_at {
                Some(expires_at) => (RowChange::Tombstone { expires_at }, RowState::Tombstone { expires_at }),
                None => (RowChange::Put(columns.clone()), RowState::Live(columns)),
            };
            let mut write = write(&key, counter, change);
            write.head.traceparent = traceparent;
            prop_assert_eq!(write.item().contains_key(names::TRACEPARENT), traceparent.is_some());
            let row = Row::from_item(Entity::Customers, &write.item()).expect("a row");
            prop_assert_eq!(row, Row { head: write.head, state });
        }
    }
}
