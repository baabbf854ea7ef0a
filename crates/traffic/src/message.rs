//! One message of the traffic, and what it means.

use events::{Columns, Entity, EntityKey, Operation, Timestamp, TraceParent, Version};

use crate::poison::Poison;

/// The header by which a message that can't be applied is known again in the dead-letter topic: the message's number.
pub const NUMBER_HEADER: &str = "traffic-number";

/// One Kafka message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its place in the traffic, from 0.
    pub number: u64,
    /// Which topic it is for.
    pub entity: Entity,
    /// The topic's partition. It follows from the row's key, so the order of a row's changes is kept.
    pub partition: i32,
    /// The Kafka key.
    pub key: Vec<u8>,
    /// The value; none for a mark for log compaction.
    pub value: Option<Vec<u8>>,
    /// Header names and values.
    pub headers: Vec<(&'static str, Vec<u8>)>,
    /// What sort of message it is, for counting.
    pub kind: Kind,
    /// What becomes of it.
    pub meaning: Meaning,
}

/// What becomes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// These rows are so afterwards, unless they are newer already. Two of them when a row gets another key.
    Change(Vec<RowAfter>),
    /// Nothing: it is a mark for log compaction.
    Mark,
    /// A dead letter.
    Poison(Poison),
}

/// A row after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowAfter {
    /// Its key.
    pub key: EntityKey,
    /// Its version.
    pub version: Version,
    /// What the source did to this row.
    pub operation: Operation,
    /// When the source committed it.
    pub committed_at: Timestamp,
    /// The trace context that the change came with.
    pub traceparent: Option<TraceParent>,
    /// All its columns, also of a message that carries only some; none of a deleted row.
    pub columns: Option<Columns>,
}

/// What sort of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A row of the first load or of a reload.
    Refresh,
    /// A new row.
    Insert,
    /// An update that carries the whole row.
    Update,
    /// An update that carries some columns only.
    PartialUpdate,
    /// A row that gets another key.
    KeyChange,
    /// A row that goes.
    Delete,
    /// A mark for log compaction.
    CompactionMark,
    /// A message that came before.
    Repeat,
    /// A message that can't be applied.
    Poison,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::Refresh,
        Self::Insert,
        Self::Update,
        Self::PartialUpdate,
        Self::KeyChange,
        Self::Delete,
        Self::CompactionMark,
        Self::Repeat,
        Self::Poison,
    ];

    /// A word for reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Insert => "insert",
            Self::Update => "update",
            Self::PartialUpdate => "partial_update",
            Self::KeyChange => "key_change",
            Self::Delete => "delete",
            Self::CompactionMark => "compaction_mark",
            Self::Repeat => "repeat",
            Self::Poison => "poison",
        }
    }
}
