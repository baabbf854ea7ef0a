//! Made-up domain events of a realistic kind, to train dictionaries on and to measure with.
//!
//! One decision shaped this crate: each event takes the way of a real one. Columns become a row's item, the item a stream
//! record, and [`DomainEvent::from_record`] makes the event, so that samples change when the real form does.
//!
//! Everything follows from the set and the number of the sample: no clock, no chance, the same bytes on every machine.
//! There are no real people, companies or places: names are put together from syllables.
//!
//! What is measured must not be what was trained on, nor too much like it. So the two sets have names, streets, towns and
//! brands of their own and lie months apart; they share what two months of a real system share: the columns, the codes,
//! the English words, and the names of task, table and topic.
//!
//! No program depends on this crate.

mod entities;
mod event;
mod random;
mod vocabulary;

use events::domain::Mapped;
use events::stream::Record;
use events::{DomainEvent, Entity, Region};

use crate::random::Random;
use crate::vocabulary::Vocabulary;

/// Which samples: those to learn from, or those to measure with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// What dictionaries are trained on.
    Training,
    /// What is only measured; training never sees it.
    HeldOut,
}

impl Set {
    const fn seed(self) -> u64 {
        match self {
            Self::Training => 0x7472_6169_6e00_0001,
            Self::HeldOut => 0x6865_6c64_6f75_7402,
        }
    }

    /// When the set's first event was committed, in seconds since 1970: 2026-01-05 and 2026-04-13, 09:00 UTC.
    const fn start(self) -> i64 {
        match self {
            Self::Training => 1_767_603_600,
            Self::HeldOut => 1_776_070_800,
        }
    }
}

/// The first `count` events of an entity in a set: 15 % created, 75 % updated, 10 % deleted.
///
/// A live event has about 1 KB of JSON (850 to 1,300 bytes), a deletion about half of that.
pub fn events(set: Set, entity: Entity, count: usize) -> Vec<DomainEvent> {
    let changes = changes(set, entity, count);
    changes.iter().map(|(record, region)| event_of(record, region)).collect()
}

/// The stream records that [`events`] are made from. A fifth of them are of a region other than us-west-2, which is for that
/// region to tell.
pub fn records(set: Set, entity: Entity, count: usize) -> Vec<Record> {
    changes(set, entity, count).into_iter().map(|(record, _)| record).collect()
}

/// Records with the region that wrote the row.
fn changes(set: Set, entity: Entity, count: usize) -> Vec<(Record, Region)> {
    let mut random =
        Random::new(set.seed() ^ entity.as_str().len() as u64 ^ u64::from(entity.as_str().as_bytes()[0]) << 32);
    let vocabulary = Vocabulary::new(&mut Random::new(set.seed()));
    let mut log = event::Log::start(set.start(), &mut random);
    (0..count).map(|_| event::next(entity, &mut log, &vocabulary, &mut random)).collect()
}

fn event_of(record: &Record, region: &Region) -> DomainEvent {
    match DomainEvent::from_record(record, region) {
        Ok(Mapped::Event(event)) => *event,
        other => unreachable!("a sample is a change of an own row: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use events::domain::Action;

    use super::*;

    #[test]
    fn samples_are_the_same_every_time() {
        for entity in Entity::ALL {
            let long = events(Set::Training, entity, 50);
            assert_eq!(events(Set::Training, entity, 20), long[..20], "{entity}");
            let ids: BTreeSet<_> = long.iter().map(|event| event.event_id).collect();
            assert_eq!(ids.len(), 50, "{entity}: ids repeat");
        }
    }

    #[test]
    fn samples_have_the_announced_kinds_and_lengths() {
        for entity in Entity::ALL {
            for set in [Set::Training, Set::HeldOut] {
                let events = events(set, entity, 400);
                for action in Action::ALL {
                    let share = events.iter().filter(|event| event.event_type.action == action).count();
                    let expected = match action {
                        Action::Created => 30..90,
                        Action::Updated => 260..340,
                        Action::Deleted => 20..70,
                    };
                    assert!(expected.contains(&share), "{entity} {}: {share}", action.as_str());
                }
                for event in events {
                    let bytes = event.to_json().len();
                    let expected = if event.data.is_some() { 850..1300 } else { 400..650 };
                    assert!(expected.contains(&bytes), "{bytes}: {}", event.to_json());
                }
            }
        }
    }

    #[test]
    fn the_sets_share_no_names() {
        let names = |set: Set| -> BTreeSet<String> {
            let vocabulary = Vocabulary::new(&mut Random::new(set.seed()));
            vocabulary.family_names.into_iter().chain(vocabulary.streets).collect()
        };
        let (training, held_out) = (names(Set::Training), names(Set::HeldOut));
        let shared = training.intersection(&held_out).count();
        assert!(shared * 10 < held_out.len(), "{shared} of {} names are in both", held_out.len());
    }
}
