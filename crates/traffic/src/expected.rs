//! What the tables and the dead-letter topic must hold in the end: the fold of the traffic.

use std::collections::BTreeMap;

use events::{Entity, EntityKey};

use crate::message::{Kind, Meaning, Message, RowAfter};
use crate::poison::Poison;

/// What must be there after all messages that were taken in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expected {
    rows: BTreeMap<(Entity, EntityKey), RowAfter>,
    poison: BTreeMap<u64, Poison>,
    counts: BTreeMap<Kind, u64>,
}

/// The rows of one table, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Rows with columns.
    pub live: usize,
    /// Deleted ones.
    pub tombstones: usize,
}

impl Expected {
    /// Takes the next message in.
    pub fn take(&mut self, message: &Message) {
        *self.counts.entry(message.kind).or_default() += 1;
        match &message.meaning {
            Meaning::Mark => {}
            Meaning::Poison(poison) => {
                self.poison.insert(message.number, *poison);
            }
            Meaning::Change(rows) => {
                for after in rows {
                    let place = (message.entity, after.key.clone());
                    // A change that comes once more changes nothing.
                    if self.rows.get(&place).is_none_or(|row| row.version < after.version) {
                        self.rows.insert(place, after.clone());
                    }
                }
            }
        }
    }

    /// The rows of a table, by their keys.
    pub fn rows(&self, entity: Entity) -> impl Iterator<Item = &RowAfter> {
        self.rows.iter().filter(move |((of, _), _)| *of == entity).map(|(_, row)| row)
    }

    /// How many rows a table has.
    pub fn row_counts(&self, entity: Entity) -> RowCounts {
        self.rows(entity).fold(RowCounts::default(), |counts, row| match row.columns {
            Some(_) => RowCounts { live: counts.live + 1, ..counts },
            None => RowCounts { tombstones: counts.tombstones + 1, ..counts },
        })
    }

    /// The messages that can't be applied, by their numbers.
    pub fn poison(&self) -> &BTreeMap<u64, Poison> {
        &self.poison
    }

    /// How many messages of a kind there were.
    pub fn count(&self, kind: Kind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or_default()
    }
}
