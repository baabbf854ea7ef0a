//! The sweep after a reload: which rows the source no longer has, and the write that deletes each.
//!
//! A reload raises the generation, so every row that the source still has gets a version of the new one: that is the mark.
//! What the source deleted while nobody listened is never told. Such rows keep versions of earlier generations, and once the
//! load has ended they are turned into tombstones. Whether it has ended can't be seen in the rows; that is the caller's to know.
//!
//! A tombstone of the sweep has the version that ends the generation before ([`Version::end_of`]), not one of the new
//! generation. So it is newer than all that the row has ever been, and older than everything that may still be on its way: a row
//! of the load that comes late has `generation|0|`, and brings its row back.
//!
//! Nothing is read or written here; the calls are in the crate `aws`.

use std::num::NonZeroU32;
use std::time::Duration;

use contracts::Region;
use jiff::Timestamp;

use crate::row::{self, RowError, names, number, parsed};
use crate::{
    AttributeValue, Entity, EntityKey, EventId, Item, Operation, Row, RowChange, RowHead, RowState, RowWrite, SourceId,
    Trace, Version,
};

/// What `stream_position` of a sweep's [`Trace`] begins with; the generation follows, in ten digits.
pub const POSITION_PREFIX: &str = "sweep:";

/// A sweep of the rows that one source has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// The source that was loaded again.
    pub source: SourceId,
    /// The generation of the load. The first one follows on nothing, so there is none to sweep for.
    pub generation: NonZeroU32,
    /// The authority epoch of whoever sweeps.
    pub epoch: u64,
    /// The region whose table is written.
    pub origin_region: Region,
    /// When the sweep began; what its events say of when the rows were deleted, because nobody knows better.
    pub at: Timestamp,
    /// How long tombstones are kept.
    pub tombstone_retention: Duration,
}

/// What a sweep has to know of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenRow {
    /// The key.
    pub key: EntityKey,
    /// The source that owns the row.
    pub source: SourceId,
    /// The version.
    pub version: Version,
    /// The authority epoch of the last write.
    pub epoch: u64,
    /// Whether it is no tombstone.
    pub is_live: bool,
    /// When the source committed what the row says; of a row of a load, when it was read.
    pub committed_at: Timestamp,
    /// The table in the source, if the row's trace names one.
    pub table: Option<String>,
}

impl SeenRow {
    /// The attributes that are read.
    pub const ATTRIBUTES: [&str; 7] =
        [names::PK, names::SRC, names::VER, names::EP, names::DELETED, names::COMMITTED_AT, names::TRACE];

    /// Reads an item that has these attributes of a row, or more.
    ///
    /// # Errors
    /// When an attribute is missing, of another type or malformed.
    pub fn from_item(item: &Item) -> Result<Self, RowError> {
        let trace = item.get(names::TRACE).and_then(AttributeValue::as_map);
        let table = trace.and_then(|trace| trace.get("table")).and_then(AttributeValue::as_text);
        Ok(Self {
            key: parsed(item, names::PK)?,
            source: parsed(item, names::SRC)?,
            version: parsed(item, names::VER)?,
            epoch: number(item, names::EP)?,
            is_live: !row::is_tombstone(item),
            committed_at: parsed(item, names::COMMITTED_AT)?,
            table: table.map(str::to_owned),
        })
    }
}

/// What a row is to a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// It lives, and is as the load brought it.
    Loaded,
    /// It lives, and has changed since the generation was raised.
    Changed,
    /// It lives, and a later generation has it.
    Later,
    /// It lives, and the load didn't have it: it is to be swept.
    Outdated,
    /// It is deleted already, whenever that was.
    Tombstone,
    /// It belongs to another source, whose versions say nothing here.
    Foreign,
    /// It was written under a higher epoch: authority has moved on, and whoever has the lower one must not write.
    Fenced,
    /// It has the version that only a sweep gives, and lives: nobody knows what it is.
    Odd,
}

/// One conditional write of a sweep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SweepWrite {
    /// The version that the row had when it was seen, and must have still.
    pub seen: Version,
    /// The tombstone.
    pub tombstone: RowWrite,
}

impl Sweep {
    /// The version of all tombstones of this sweep.
    pub fn version(&self) -> Version {
        Version::end_of(self.generation.get() - 1)
    }

    /// What a row is to this sweep. A higher epoch comes first, as in every write.
    pub fn class(&self, row: &SeenRow) -> Class {
        if row.epoch > self.epoch {
            return Class::Fenced;
        }
        if row.source != self.source {
            return Class::Foreign;
        }
        if !row.is_live {
            return Class::Tombstone;
        }
        let loaded = Version::refresh(self.generation.get());
        if row.version.generation() > self.generation.get() {
            Class::Later
        } else if row.version > loaded {
            Class::Changed
        } else if row.version == loaded {
            Class::Loaded
        } else if row.version < self.version() {
            Class::Outdated
        } else {
            Class::Odd
        }
    }

    /// The write that sweeps a row of `entity`; none for a row that stays.
    ///
    /// Whoever sweeps the same row for the same generation makes an event of the same id.
    pub fn write(&self, entity: Entity, row: &SeenRow) -> Option<SweepWrite> {
        if self.class(row) != Class::Outdated {
            return None;
        }
        let version = self.version();
        let retention = i64::try_from(self.tombstone_retention.as_secs()).unwrap_or(i64::MAX);
        let head = RowHead {
            entity,
            event_id: EventId::new(&self.source, entity, &row.key, &version),
            key: row.key.clone(),
            source: self.source.clone(),
            version,
            epoch: self.epoch,
            origin_region: self.origin_region.clone(),
            operation: Operation::Delete,
            committed_at: self.at,
            trace: Trace {
                task: self.source.to_string(),
                table: row.table.clone().unwrap_or_else(|| entity.to_string()),
                stream_position: format!("{POSITION_PREFIX}{:010}", self.generation),
                // No message, and no sequence of the source.
                ..Trace::default()
            },
            traceparent: None,
        };
        let change = RowChange::Tombstone { expires_at: self.at.as_second().saturating_add(retention) };
        Some(SweepWrite { seen: row.version.clone(), tombstone: RowWrite { head, change } })
    }
}

impl SweepWrite {
    /// The condition: what is stored is a live row of the source with the version that was seen, under no higher epoch.
    pub fn holds_for(&self, stored: Option<&Row>) -> bool {
        let own = &self.tombstone.head;
        stored.is_some_and(|Row { head, state }| {
            head.version == self.seen
                && head.source == own.source
                && head.epoch <= own.epoch
                && matches!(state, RowState::Live(_))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Action, DomainEvent, Mapped};
    use crate::row::tests::write;
    use crate::stream::{Change, EventName, Record};
    use crate::{ChangeSequence, Columns};

    fn sweep(generation: u32) -> Sweep {
        Sweep {
            source: "shop".parse().expect("a source"),
            generation: NonZeroU32::new(generation).expect("a later generation"),
            epoch: 7,
            origin_region: Region::new("us-west-2").expect("a region"),
            at: "2026-03-05T00:00:00Z".parse().expect("a time"),
            tombstone_retention: Duration::from_secs(86_400),
        }
    }

    /// A live row of generation 1, changed as told.
    fn item(change: impl FnOnce(&mut RowWrite)) -> Item {
        let mut row = write("42", 5, RowChange::Put(Columns::new()));
        change(&mut row);
        row.item()
    }

    fn check(change: impl FnOnce(&mut RowWrite), expected: Class) {
        let row = SeenRow::from_item(&item(change)).expect("a row");
        assert_eq!(sweep(2).class(&row), expected, "{row:?}");
        assert_eq!(sweep(2).write(Entity::Customers, &row).is_some(), expected == Class::Outdated, "{row:?}");
    }

    #[test]
    fn only_live_rows_of_earlier_generations_are_swept() {
        let sequence = || ChangeSequence::new(Timestamp::UNIX_EPOCH, 1);
        check(|_| {}, Class::Outdated);
        check(|row| row.head.version = Version::refresh(0), Class::Outdated);
        check(|row| row.head.version = Version::refresh(2), Class::Loaded);
        check(|row| row.head.version = Version::cdc(2, &sequence()), Class::Changed);
        check(|row| row.head.version = Version::end_of(2), Class::Changed);
        check(|row| row.head.version = Version::refresh(3), Class::Later);
        check(|row| row.head.version = Version::end_of(1), Class::Odd);
        check(|row| row.change = RowChange::Tombstone { expires_at: 0 }, Class::Tombstone);
        check(|row| row.head.source = "other".parse().expect("a source"), Class::Foreign);
        check(|row| row.head.epoch = 6, Class::Outdated);
        check(|row| row.head.epoch = 8, Class::Fenced);
        let fenced = |row: &mut RowWrite| {
            row.head.epoch = 8;
            row.head.source = "other".parse().expect("a source");
        };
        check(fenced, Class::Fenced);
    }

    #[test]
    fn only_the_attributes_that_are_named_are_read() {
        let whole = item(|_| {});
        let mut projected = whole.clone();
        projected.retain(|name, _| SeenRow::ATTRIBUTES.contains(&name.as_str()));
        assert_eq!(SeenRow::from_item(&projected), SeenRow::from_item(&whole));
        for needed in SeenRow::ATTRIBUTES.iter().filter(|name| ![names::DELETED, names::TRACE].contains(name)) {
            let mut item = projected.clone();
            item.remove(*needed);
            let error = SeenRow::from_item(&item).expect_err(needed);
            assert!(error.to_string().contains(&format!("`{needed}`")), "{error}");
        }
        projected.remove(names::TRACE);
        assert_eq!(SeenRow::from_item(&projected).expect("a row").table, None);
    }

    #[test]
    fn a_swept_row_is_told_as_a_deletion_with_an_id_that_follows_from_the_row() {
        let old = item(|_| {});
        let row = SeenRow::from_item(&old).expect("a row");
        let SweepWrite { seen, tombstone } = sweep(2).write(Entity::Customers, &row).expect("outdated");
        assert_eq!((&seen, tombstone.head.version.as_str().len()), (&row.version, 48));
        let again = Sweep { at: Timestamp::UNIX_EPOCH, ..sweep(2) }.write(Entity::Customers, &row).expect("outdated");
        assert_eq!(again.tombstone.head.event_id, tombstone.head.event_id);

        let record = Record {
            event_id: None,
            event_name: EventName::Modify,
            aws_region: None,
            event_source_arn: "arn:aws:dynamodb:us-west-2:0:table/tandem-sandbox-customers/stream/x".to_owned(),
            user_identity: None,
            change: Change {
                keys: Item::new(),
                old_image: Some(old),
                new_image: Some(tombstone.item()),
                sequence_number: "1".to_owned(),
            },
        };
        let Ok(Mapped::Event(event)) = DomainEvent::from_record(&record, &sweep(2).origin_region) else {
            panic!("a sweep is told");
        };
        assert_eq!((event.event_type.action, event.data.is_none(), event.hop), (Action::Deleted, true, 0));
        assert_eq!(
            event.event_id,
            EventId::new(
                &row.source,
                Entity::Customers,
                &row.key,
                &"0000000001|1|99999999999999999999999999999999999".parse().expect("a version")
            )
        );
        let trace = Trace {
            task: "shop".to_owned(),
            table: "sales.customers".to_owned(),
            stream_position: "sweep:0000000002".to_owned(),
            ..Trace::default()
        };
        assert_eq!((event.trace, event.timestamp), (trace, sweep(2).at));
        assert_eq!(tombstone.change, RowChange::Tombstone { expires_at: sweep(2).at.as_second() + 86_400 });
    }
}
