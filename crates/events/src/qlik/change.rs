//! A decoded change, and the writes that it means.

use std::time::Duration;

use contracts::Region;
use jiff::Timestamp;

use crate::version::ChangeSequence;
use crate::{
    Columns, Entity, EntityKey, EventId, Operation, RowChange, RowHead, RowWrite, SourceId, Trace, TraceParent, Version,
};

/// One change of one row in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The kind of thing.
    pub entity: Entity,
    /// What the source did.
    pub operation: Operation,
    /// The row.
    pub key: EntityKey,
    /// The row's key before, when an update moved it.
    pub previous_key: Option<EntityKey>,
    /// The row's columns after the change.
    pub image: Image,
    /// The change's place in the task's order; none for a full-load row.
    pub sequence: Option<ChangeSequence>,
    /// When the source committed it, where the message says so.
    pub committed_at: Option<Timestamp>,
    /// The position in the source's log; empty for a full-load row.
    pub stream_position: String,
    /// The table in the source, from the schema's namespace where it says so, else the entity's name.
    pub table: String,
}

/// What a change says about a row's columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Image {
    /// All of them.
    Complete(Columns),
    /// Some of them.
    Partial(Columns),
    /// The row is gone.
    Gone,
}

/// What a writer adds to every row it writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// The source that owns the rows.
    pub source: SourceId,
    /// The generation of the load.
    pub generation: u32,
    /// The writer's authority epoch.
    pub epoch: u64,
    /// The writer's region.
    pub origin_region: Region,
    /// How long tombstones are kept.
    pub tombstone_retention: Duration,
}

/// Where in Kafka a change came from, and when it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin<'m> {
    /// The topic.
    pub topic: &'m str,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The message's own time, which stands in for a commit time that the source didn't give.
    pub message_time: Timestamp,
    /// The time now, from which a tombstone's retention counts: an old change that is replayed needs its tombstone as long as a new one.
    pub now: Timestamp,
    /// The trace context that the message came with.
    pub traceparent: Option<TraceParent>,
}

impl Change {
    /// The version that the change gives its row.
    pub fn version(&self, generation: u32) -> Version {
        match &self.sequence {
            Some(sequence) => Version::cdc(generation, sequence),
            None => Version::refresh(generation),
        }
    }

    /// Whether the change carries only part of the row.
    pub fn is_partial(&self) -> bool {
        matches!(self.image, Image::Partial(_))
    }

    /// The conditional writes that the change means: one, or two when it moves a row to another key.
    ///
    /// The two halves of a move are independent: each is applied, or found stale, on its own.
    pub fn into_writes(self, fence: &Fence, origin: &Origin<'_>) -> Vec<RowWrite> {
        let version = self.version(fence.generation);
        let Self { entity, operation, key, previous_key, image, sequence, committed_at, stream_position, table } = self;
        let retention = i64::try_from(fence.tombstone_retention.as_secs()).unwrap_or(i64::MAX);
        let tombstone = || RowChange::Tombstone { expires_at: origin.now.as_second().saturating_add(retention) };
        let change = match image {
            Image::Complete(columns) => RowChange::Put(columns),
            Image::Partial(columns) => RowChange::Merge(columns),
            Image::Gone => tombstone(),
        };
        let arrive = RowHead {
            entity,
            event_id: EventId::new(&fence.source, entity, &key, &version),
            key,
            source: fence.source.clone(),
            version,
            epoch: fence.epoch,
            origin_region: fence.origin_region.clone(),
            operation,
            committed_at: committed_at.unwrap_or(origin.message_time),
            trace: Trace {
                task: fence.source.to_string(),
                table,
                change_sequence: sequence.map_or_else(String::new, ChangeSequence::into_string),
                stream_position,
                topic: origin.topic.to_owned(),
                partition: origin.partition,
                offset: origin.offset,
            },
            traceparent: origin.traceparent,
        };
        let leave = previous_key.map(|key| RowWrite {
            head: RowHead {
                event_id: EventId::new(&fence.source, entity, &key, &arrive.version),
                key,
                operation: Operation::Delete,
                ..arrive.clone()
            },
            change: tombstone(),
        });
        leave.into_iter().chain([RowWrite { head: arrive, change }]).collect()
    }

    /// As [`Self::into_writes`], for who needs the change afterwards.
    pub fn writes(&self, fence: &Fence, origin: &Origin<'_>) -> Vec<RowWrite> {
        self.clone().into_writes(fence, origin)
    }
}
