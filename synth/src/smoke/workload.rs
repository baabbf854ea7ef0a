//! The changes of one run: which keys, in which order, with which versions and event ids.
//!
//! Each key is inserted, updated and deleted. Keys take turns, so changes of many keys are under way together while
//! those of one key keep their order.

use events::qlik::ChangeSequence;
use events::{Entity, EntityKey, EventId, Operation, SourceId, Timestamp, Version};
use infra::SYNTHETIC_PREFIX;
use infra::environment::Environment;

use crate::error::Error;

/// What happens to each key, in order.
const LIFE: [Operation; 3] = [Operation::Insert, Operation::Update, Operation::Delete];

/// Keys whose changes are interleaved.
const BLOCK: usize = 64;

/// A synthetic row.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) entity: Entity,
    pub(super) key: EntityKey,
}

/// One change to be sent.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// Index of its key.
    pub(super) key: usize,
    pub(super) operation: Operation,
    /// 0 for the insert, 1 for the update, 2 for the delete.
    pub(super) revision: u64,
    pub(super) sequence: ChangeSequence,
    pub(super) committed_at: Timestamp,
    pub(super) version: Version,
    pub(super) event_id: EventId,
    /// Whether it belongs to the number that was asked for; the others only clean up.
    pub(super) counted: bool,
}

/// All changes of one run, in the order in which they are sent.
#[derive(Debug)]
pub(super) struct Workload {
    run: String,
    keys: Vec<Key>,
    changes: Vec<Change>,
}

impl Workload {
    /// A run with a name of its own.
    pub(super) fn new(environment: &Environment, count: u32) -> Result<Self, Error> {
        let now = Timestamp::now();
        // Milliseconds alone could be shared by two runs on two machines.
        let run = format!("{:x}{:04x}", now.as_millisecond(), std::process::id() & 0xffff);
        let consumer = environment.consumer();
        let source = consumer
            .source_id
            .parse::<SourceId>()
            .map_err(|error| Error::configuration("the consumer's source id is no source id").caused_by(error))?;
        Self::named(&run, &source, consumer.generation, now, count)
    }

    fn named(run: &str, source: &SourceId, generation: u32, now: Timestamp, count: u32) -> Result<Self, Error> {
        let count = count as usize;
        let unusual = |error: events::InvalidKey| Error::internal("a synthetic key is no key").caused_by(error);
        let keys = (0..count.div_ceil(LIFE.len())).map(|n| {
            let key = EntityKey::from_parts(&[&format!("{SYNTHETIC_PREFIX}{run}-{n}")]).map_err(unusual)?;
            Ok(Key { entity: Entity::ALL[n % Entity::ALL.len()], key })
        });
        let keys: Vec<Key> = keys.collect::<Result<_, Error>>()?;
        let mut counter = 0;
        let mut change = |index: usize, revision: usize, counted: bool| {
            counter += 1;
            let Key { entity, key } = &keys[index];
            let sequence = ChangeSequence::new(now, counter);
            let version = Version::cdc(generation, &sequence);
            let event_id = EventId::new(source, *entity, key, &version);
            let (operation, revision) = (LIFE[revision], revision as u64);
            Change { key: index, operation, revision, sequence, committed_at: now, version, event_id, counted }
        };
        // The last key has only as many changes as are left.
        let changes_of = |index: usize| (count - index * LIFE.len()).min(LIFE.len());
        let mut changes = Vec::new();
        for block in (0..keys.len()).collect::<Vec<_>>().chunks(BLOCK) {
            for revision in 0..LIFE.len() {
                let alive = block.iter().filter(|&&index| revision < changes_of(index));
                changes.extend(alive.map(|&index| change(index, revision, true)));
            }
        }
        let left_over = (0..keys.len()).filter(|&index| changes_of(index) < LIFE.len());
        changes.extend(left_over.map(|index| change(index, LIFE.len() - 1, false)).collect::<Vec<_>>());
        Ok(Self { run: run.to_owned(), keys, changes })
    }

    /// The run's name, part of every key.
    pub(super) fn run(&self) -> &str {
        &self.run
    }

    pub(super) fn keys(&self) -> &[Key] {
        &self.keys
    }

    /// The changes in the order in which they are sent: those that count first.
    pub(super) fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// How many changes count.
    pub(super) fn counted(&self) -> usize {
        self.changes.iter().filter(|change| change.counted).count()
    }
}

#[cfg(test)]
impl Workload {
    /// A run for tests.
    pub(super) fn example(count: u32) -> Self {
        let source = "qlik-task".parse().unwrap();
        Self::named("test", &source, 1, Timestamp::from_second(1_800_000_000).unwrap(), count).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn exactly_the_wanted_number_counts_and_every_key_ends_deleted() {
        for count in [1, 2, 3, 4, 100, 1000] {
            let workload = Workload::example(count);
            assert_eq!(workload.counted(), count as usize);
            let ids: BTreeSet<EventId> = workload.changes().iter().map(|change| change.event_id).collect();
            assert_eq!(ids.len(), workload.changes().len());
            for index in 0..workload.keys().len() {
                let of_key: Vec<&Change> = workload.changes().iter().filter(|change| change.key == index).collect();
                assert_eq!(of_key.last().unwrap().operation, Operation::Delete);
                assert!(of_key.is_sorted_by(|one, other| one.version < other.version));
            }
        }
    }

    #[test]
    fn keys_take_turns_over_all_entities() {
        let workload = Workload::example(300);
        let first: Vec<usize> = workload.changes()[..4].iter().map(|change| change.key).collect();
        assert_eq!(first, [0, 1, 2, 3]);
        let entities: BTreeSet<&str> = workload.keys().iter().map(|key| key.entity.as_str()).collect();
        assert_eq!(entities.len(), 3);
    }
}
