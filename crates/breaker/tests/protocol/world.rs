//! The model's world: what is stored, what arrived, where each program stands, and what time and faults do to it.
//!
//! Programs read and write through the crate's own functions. Only what they compare matters to them, never what a number
//! is. So a world is brought into a normal form after each step (now is always the same moment, versions are "the stored
//! one" or "an older one"), and the number of worlds is finite although time, versions and faults have no end.

use breaker::{
    EventKey, Jitter, Lease, Lot, Millis, Owner, ParkWrite, ParkedEvent, Position, Reason, Shared, Stamps, State, Write,
};
use std::cmp::Ordering;
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::drainer::Drainer;
use crate::router::Router;
use crate::setup::{Broken, Setup};

/// The present, in every world.
pub(crate) const NOW: Millis = Millis(1_000);

/// The stored version, in normal form; older ones are 1.
const STORED: u64 = 2;

/// A state of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) peer_up: bool,
    pub(crate) stored: Option<Shared>,
    pub(crate) keys: Vec<KeyWorld>,
    pub(crate) routers: Vec<Router>,
    pub(crate) drainers: Vec<Drainer>,
    pub(crate) late: Option<LateWrite>,
    /// What went wrong in the step to this state, if it can't be seen by the state itself.
    pub(crate) wrong: Option<Wrong>,
}

/// What is in store of one key, and what the peer has of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct KeyWorld {
    /// The flag's tail, in normal form: 1.
    pub(crate) tail: Option<u8>,
    /// The parked events as a set of bits.
    pub(crate) parked: u8,
    /// How many events have arrived for the first time.
    pub(crate) arrived: u8,
}

/// A write whose program has died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum LateWrite {
    Park(usize, u8),
    Delete(usize, u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Wrong {
    /// An event arrived before one that is before it in its key.
    Overtaken,
    /// A write by a record that wasn't the stored one any more.
    SecondWinner,
}

impl KeyWorld {
    pub(crate) fn oldest(&self) -> Option<u8> {
        (0..8).find(|number| self.holds(*number))
    }

    pub(crate) fn newest(&self) -> Option<u8> {
        (0..8).rev().find(|number| self.holds(*number))
    }

    pub(crate) fn holds(&self, number: u8) -> bool {
        self.parked & (1 << number) != 0
    }

    pub(crate) fn is_clear(&self) -> bool {
        self.tail.is_none() && self.parked == 0
    }
}

pub(crate) fn owner(drainer: usize) -> Owner {
    Owner(["0", "1", "2"][drainer].into())
}

/// The model's event as the crate has it.
pub(crate) fn parked_event(key: usize, number: u8) -> ParkedEvent {
    ParkedEvent {
        key: EventKey(key.to_string().into()),
        position: Position::new(&number.to_string()).expect("digits"),
        event_id: "e".into(),
        original_at: NOW,
        parked_at: NOW,
        attempts: 0,
        episode: 1,
        body: Vec::new().into(),
    }
}

/// The key and the number of an event.
pub(crate) fn event_of(key: &EventKey, position: &Position) -> (usize, u8) {
    (key.0.parse().expect("a number"), position.as_str().parse().expect("a small number"))
}

impl World {
    pub(crate) fn new(setup: &Setup) -> Self {
        Self {
            peer_up: true,
            stored: None,
            keys: vec![KeyWorld::default(); setup.keys()],
            routers: vec![Router::new(); setup.shards.len()],
            drainers: vec![Drainer::Idle; setup.drainers],
            late: None,
            wrong: None,
        }
    }

    /// A strongly consistent read of the record.
    pub(crate) fn read(&self) -> Shared {
        self.stored.clone().unwrap_or_else(Shared::absent)
    }

    /// Carries out a write that was made from `based_on`, and says whether it took place.
    pub(crate) fn write(&mut self, setup: &Setup, write: &Write, based_on: &Shared) -> bool {
        let applied = if setup.breaks(Broken::WriteWithoutVersion) {
            Some(Shared { parks: self.read().parks, ..write.next.clone() })
        } else {
            write.apply(self.stored.as_ref())
        };
        let Some(next) = applied else { return false };
        if self.read().version != based_on.version {
            self.wrong = Some(Wrong::SecondWinner);
        }
        self.stored = Some(next);
        true
    }

    /// Parks an event, and says whether the record let it.
    pub(crate) fn park(&mut self, setup: &Setup, key: usize, number: u8) -> bool {
        let mut writes = ParkWrite::pack([parked_event(key, number)], &mut Stamps::new(1)).expect("small");
        let write = writes.pop().expect("one write");
        match write.apply(self.stored.as_ref()) {
            Some(shared) => self.stored = Some(shared),
            None if setup.breaks(Broken::ParkWithoutRecord) => {}
            None => return false,
        }
        for event in write.events() {
            let (key, number) = event_of(&event.key, &event.position);
            self.keys[key].parked |= 1 << number;
        }
        for flag in write.flags() {
            let key: usize = flag.key.0.parse().expect("a number");
            self.keys[key].tail = Some(1);
            self.forget_tail(key);
        }
        true
    }

    pub(crate) fn delete_flag(&mut self, key: usize) {
        self.keys[key].tail = None;
        self.forget_tail(key);
    }

    pub(crate) fn delete(&mut self, key: usize, number: u8) {
        self.keys[key].parked &= !(1 << number);
    }

    /// The peer gets an event.
    pub(crate) fn arrive(&mut self, key: usize, number: u8) {
        let arrived = &mut self.keys[key].arrived;
        if number > *arrived {
            self.wrong = Some(Wrong::Overtaken);
        }
        *arrived = (*arrived).max(number + 1);
    }

    /// Whether an event of this key, one of two, is about to be sent as a probe while both keys have some that wait.
    pub(crate) fn probes(&self, key: usize) -> bool {
        self.keys.iter().all(|key| key.parked > 0) && self.drainers.iter().any(|drainer| drainer.sends_probe_of(key))
    }

    /// A write whose program has died arrives after all.
    pub(crate) fn late_write(&mut self, setup: &Setup) {
        match self.late.take() {
            Some(LateWrite::Park(key, number)) => {
                self.park(setup, key, number);
            }
            Some(LateWrite::Delete(key, number)) => self.delete(key, number),
            None => {}
        }
    }

    /// A millisecond passes: all moments come closer by one.
    pub(crate) fn tick(&mut self) {
        let earlier = |moment: &mut Millis| moment.0 = moment.0.saturating_sub(1).max(NOW.0);
        self.stored.iter_mut().for_each(|shared| for_each_moment(shared, earlier));
        self.each_held(|shared| for_each_moment(shared, earlier));
        self.drainers.iter_mut().filter_map(Drainer::lease).for_each(earlier);
    }

    /// Brings the world into normal form.
    pub(crate) fn normalize(&mut self) {
        let stored = self.stored.as_ref().map(|shared| (shared.version, shared.parks));
        if let Some(shared) = &mut self.stored {
            plain(shared);
            (shared.version, shared.parks) = (STORED, 1);
        }
        let Some((version, parks)) = stored else { return };
        self.each_held(|shared| {
            plain(shared);
            (shared.version, shared.parks) =
                if shared.version == version { (STORED, u64::from(shared.parks == parks)) } else { (1, 0) };
        });
        self.routers.iter_mut().for_each(Router::simplify);
        self.drainers.iter_mut().for_each(Drainer::simplify);
        self.order_drainers();
    }

    /// Two drains are alike: worlds that differ only in which is which are one.
    fn order_drainers(&mut self) {
        let [first, second] = self.drainers.as_slice() else { return };
        let order = first.rank().cmp(&second.rank());
        if order == Ordering::Less {
            return;
        }
        let mut swapped = self.clone();
        swapped.drainers.swap(0, 1);
        let swap = |shared: &mut Shared| {
            let State::HalfOpen { probes, .. } = &mut shared.state else { return };
            for lease in probes {
                lease.owner = owner(usize::from(lease.owner == owner(0)));
            }
        };
        swapped.stored.iter_mut().for_each(swap);
        swapped.each_held(swap);
        if order == Ordering::Greater || fingerprint(&swapped) < fingerprint(self) {
            *self = swapped;
        }
    }

    fn each_held(&mut self, change: impl Fn(&mut Shared)) {
        self.routers.iter_mut().filter_map(Router::held).for_each(&change);
        self.drainers.iter_mut().filter_map(Drainer::held).for_each(&change);
    }

    fn forget_tail(&mut self, key: usize) {
        self.drainers.iter_mut().filter_map(|drainer| drainer.tail_of(key)).for_each(|tail| *tail = 0);
    }
}

pub(crate) fn fingerprint(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    world.hash(&mut hasher);
    hasher.finish()
}

/// Whether a held copy is the stored record, in normal form.
pub(crate) fn is_stored(shared: &Shared) -> bool {
    shared.version == STORED || shared.version == 0
}

/// The simplest record that the router does the same with.
pub(crate) fn same_admission(shared: &Shared) -> Shared {
    let state = match shared.state.lot() {
        _ if shared.state.parks_everything() => State::Open { until: NOW, step: 0 },
        Lot::InUse => State::Closed { lot: Lot::InUse },
        Lot::Empty => State::Closed { lot: Lot::Empty },
    };
    Shared { version: shared.version, state, ..Shared::absent() }
}

fn plain(shared: &mut Shared) {
    (shared.since, shared.episode, shared.reason) = (NOW, 0, Reason::Initial);
    for_each_moment(shared, |moment| moment.0 = moment.0.max(NOW.0));
}

fn for_each_moment(shared: &mut Shared, mut change: impl FnMut(&mut Millis)) {
    match &mut shared.state {
        State::Open { until, .. } => change(until),
        State::HalfOpen { probes, .. } => probes.iter_mut().for_each(|Lease { expires, .. }| change(expires)),
        _ => {}
    }
}

pub(crate) const JITTER: Jitter = Jitter::NONE;
