//! Putting events into the lot.

use super::{EventKey, KeyFlag, ParkedEvent};
use crate::bounds::GiveBack;
use crate::shared::Shared;
use crate::state::Lot;
use std::collections::BTreeMap;

/// A mark that no other park of any run has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// The run's random number.
    pub run: u64,
    /// The number of the mark in its run.
    pub number: u64,
}

/// The marks of one run of a program.
#[derive(Clone, Debug)]
pub struct Stamps(Stamp);

impl Stamps {
    /// The marks of the run with the random number `run`.
    ///
    /// It must be random, not a count that begins anew: a drain that stood still would take a later park for the one that
    /// it knows, and clear the flag over it.
    pub fn new(run: u64) -> Self {
        Self(Stamp { run, number: 0 })
    }

    fn draw(&mut self) -> Stamp {
        self.0.number += 1;
        self.0
    }
}

/// One transaction that parks events of one route, all or none:
///
/// 1. in the route's record, raise `parks` by the number of events, on condition that the record's lot is in use
///    ([`ParkWrite::apply`]);
/// 2. put each of the [`events`](Self::events), whether it is there or not: an event that is delivered again takes its old
///    place;
/// 3. put each of the [`flags`](Self::flags), whether it is there or not.
///
/// The first part is what keeps the lot's end safe: see [`EmptyCheck`](crate::EmptyCheck). Its price is that all parks of
/// a route meet in one item. They exclude each other for some milliseconds, and one that is refused by the store for that
/// reason is repeated after a moment; so as many events as possible go into each.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct ParkWrite {
    events: Vec<ParkedEvent>,
    flags: Vec<KeyFlag>,
}

impl ParkWrite {
    /// The most actions of a transaction.
    /// (DynamoDB API Reference, `TransactWriteItems`: 100 actions, 4 MB.)
    pub const MAX_ACTIONS: usize = 100;
    /// The most bytes of bodies in a transaction; the rest of its 4 MB is for the attributes beside them.
    pub const MAX_BYTES: usize = 3_500_000;
    /// The most bytes of one body. An item has 400 KB at most, attribute names included.
    pub const MAX_BODY: usize = 390_000;

    /// The fewest writes that park `events`, to be carried out one after the other: a later one must not be begun before
    /// the earlier one is known to have taken place. Events of one key are given in the order of the key.
    ///
    /// # Errors
    /// An event is too large for the table. It can only be sent or be a dead letter.
    pub fn pack(events: impl IntoIterator<Item = ParkedEvent>, stamps: &mut Stamps) -> Result<Vec<Self>, InvalidPark> {
        let mut packs: Vec<Pack> = Vec::new();
        for event in events {
            if event.body.len() > Self::MAX_BODY {
                return Err(InvalidPark { event_id: event.event_id, bytes: event.body.len() });
            }
            match packs.last_mut().filter(|pack| pack.has_room_for(&event)) {
                Some(pack) => pack.push(event, stamps),
                None => {
                    let mut pack = Pack::default();
                    pack.push(event, stamps);
                    packs.push(pack);
                }
            }
        }
        Ok(packs.into_iter().map(Pack::finish).collect())
    }

    /// The events, each key's in its order.
    pub fn events(&self) -> &[ParkedEvent] {
        &self.events
    }

    /// The flags: one for each key of the events.
    pub fn flags(&self) -> &[KeyFlag] {
        &self.flags
    }

    /// What the record is afterwards, or nothing if it refuses: the meaning of the first part, for stores that live in
    /// memory and as a pattern for others.
    pub fn apply(&self, stored: Option<&Shared>) -> Option<Shared> {
        let stored = stored.filter(|stored| stored.state.lot() == Lot::InUse)?;
        Some(Shared { parks: stored.parks + self.events.len() as u64, ..stored.clone() })
    }
}

#[derive(Default)]
struct Pack {
    events: Vec<ParkedEvent>,
    tails: BTreeMap<EventKey, Stamp>,
    bytes: usize,
}

impl Pack {
    fn has_room_for(&self, event: &ParkedEvent) -> bool {
        let flags = self.tails.len() + usize::from(!self.tails.contains_key(&event.key));
        1 + self.events.len() + 1 + flags <= ParkWrite::MAX_ACTIONS
            && self.bytes + event.body.len() <= ParkWrite::MAX_BYTES
            && self.events.iter().all(|other| (&other.key, &other.position) != (&event.key, &event.position))
    }

    fn push(&mut self, event: ParkedEvent, stamps: &mut Stamps) {
        self.bytes += event.body.len();
        self.tails.insert(event.key.clone(), stamps.draw());
        self.events.push(event);
    }

    fn finish(self) -> ParkWrite {
        let flags = self.tails.into_iter().map(|(key, tail)| KeyFlag { key, tail }).collect();
        ParkWrite { events: self.events, flags }
    }
}

/// An event that can't be parked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event `{event_id}` has {bytes} bytes, and {} is the most that can be parked", ParkWrite::MAX_BODY)]
pub struct InvalidPark {
    /// The event.
    pub event_id: std::sync::Arc<str>,
    /// The length of its body.
    pub bytes: usize,
}

/// What the store answered to a [`ParkWrite`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ParkAnswer {
    /// It took place.
    Parked,
    /// The record's lot is not in use (any more).
    Refused,
    /// No answer, or no room; it may have taken place.
    Failed,
}

/// What follows from an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FollowUp {
    /// The stream's records are done.
    Done,
    /// The record is read again, and the events are decided on anew.
    ReadAgain,
    /// The stream's records are given back. If the events were parked after all, they are parked again in the same places.
    GiveBack(GiveBack),
}

impl ParkAnswer {
    /// What follows.
    pub fn follow_up(self) -> FollowUp {
        match self {
            Self::Parked => FollowUp::Done,
            Self::Refused => FollowUp::ReadAgain,
            Self::Failed => FollowUp::GiveBack(GiveBack::ParkFailed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Position;
    use super::*;
    use crate::state::State;
    use crate::time::Millis;
    use proptest::prelude::*;

    fn event(key: u8, position: usize, bytes: usize) -> ParkedEvent {
        ParkedEvent {
            key: EventKey(key.to_string().into()),
            position: Position::new(&position.to_string()).expect("digits"),
            event_id: position.to_string().into(),
            original_at: Millis(0),
            parked_at: Millis(0),
            attempts: 0,
            episode: 1,
            body: vec![0; bytes].into(),
        }
    }

    #[test]
    fn only_a_lot_in_use_takes_events() {
        let packed = ParkWrite::pack([event(1, 1, 0), event(1, 2, 0)], &mut Stamps::new(0)).expect("small");
        let [write] = packed.as_slice() else { panic!("one write") };
        assert_eq!(write.apply(None), None);
        assert_eq!(write.apply(Some(&Shared::absent())), None);
        let open = Shared { state: State::Open { until: Millis(0), step: 0 }, parks: 5, ..Shared::absent() };
        assert_eq!(write.apply(Some(&open)).map(|shared| shared.parks), Some(7));
        let draining = Shared { state: State::Closed { lot: Lot::InUse }, ..open };
        assert_eq!(write.apply(Some(&draining)).map(|shared| shared.parks), Some(7));
    }

    #[test]
    fn a_body_that_no_item_holds_is_refused() {
        let error = ParkWrite::pack([event(1, 1, 390_001)], &mut Stamps::new(0)).expect_err("too large");
        assert_eq!(error.to_string(), "event `1` has 390001 bytes, and 390000 is the most that can be parked");
    }

    #[test]
    fn an_event_twice_is_two_writes() {
        let packed = ParkWrite::pack([event(1, 1, 0), event(1, 1, 0)], &mut Stamps::new(0)).expect("small");
        assert_eq!(packed.len(), 2, "a transaction has one action for an item");
    }

    proptest! {
        #[test]
        fn packs_keep_the_order_and_the_limits(sizes in prop::collection::vec((0_u8..60, 0_usize..390_000), 0..150)) {
            let events: Vec<_> = sizes.iter().enumerate().map(|(at, (key, size))| event(*key, at, *size)).collect();
            let packed = ParkWrite::pack(events.clone(), &mut Stamps::new(3)).expect("small");
            let all: Vec<_> = packed.iter().flat_map(|write| write.events().to_vec()).collect();
            prop_assert_eq!(all, events);
            let mut tails = std::collections::BTreeSet::new();
            for write in &packed {
                prop_assert!(1 + write.events.len() + write.flags.len() <= 100);
                prop_assert!(write.events.iter().map(|event| event.body.len()).sum::<usize>() <= 3_500_000);
                let keys: std::collections::BTreeSet<_> = write.events.iter().map(|event| &event.key).collect();
                prop_assert!(keys.iter().copied().eq(write.flags.iter().map(|flag| &flag.key)));
                prop_assert!(write.flags.iter().all(|flag| tails.insert(flag.tail)), "a tail occurs twice");
            }
        }
    }
}
