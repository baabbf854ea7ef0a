//! The router's part of the model: it takes the records of its shard in order and sends or parks each.

use breaker::{Admission, Counts, EventKey, FollowUp, KeyFlag, ParkAnswer, Shared, Stamp, Step, Trip, TripRule};

use crate::setup::{Broken, Setup};
use crate::world::{JITTER, LateWrite, NOW, World, is_stored, same_admission};

/// The invocation that works on a shard, and the shard's checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Router {
    /// Records before this one are done.
    pub(crate) checkpoint: u8,
    /// The record that the invocation is at. Records between the checkpoint and this one are delivered again if it dies.
    pub(crate) cursor: u8,
    pub(crate) at: RouterAt,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum RouterAt {
    /// About to read the breaker's record.
    Read,
    /// About to do with the event what the record says.
    Decide(Shared),
    /// The key's flag was looked up, and there was none.
    Unflagged(Shared),
    /// The key's flag was looked up and was there.
    Flagged(Shared),
    /// About to open the breaker.
    Trip(Shared),
}

/// What can happen to a router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RouterAction {
    Read,
    ReadFlag,
    SendAcknowledged,
    /// The event arrives, but the acknowledgement doesn't.
    SendUnanswered,
    SendUnansweredAndTrips,
    SendFailed,
    /// The send failed, and the window says that the peer is sick.
    SendFailedAndTrips,
    Park,
    /// The event is parked, but the answer is lost.
    ParkUnanswered,
    WriteTrip,
    TripUnanswered,
    /// The store or the peer doesn't do what is asked; the batch is given back from here on.
    GiveBack,
    /// The invocation is killed; the batch is delivered again from its checkpoint.
    Crash,
    /// The same, while a park is on its way.
    CrashWhileParking,
}

impl RouterAction {
    /// Whether it can go on happening when nothing is out of order.
    pub(crate) fn is_regular(self) -> bool {
        matches!(self, Self::Read | Self::ReadFlag | Self::SendAcknowledged | Self::Park | Self::WriteTrip)
    }
}

impl Router {
    pub(crate) fn new() -> Self {
        Self { checkpoint: 0, cursor: 0, at: RouterAt::Read }
    }

    pub(crate) fn held(&mut self) -> Option<&mut Shared> {
        match &mut self.at {
            RouterAt::Decide(shared)
            | RouterAt::Unflagged(shared)
            | RouterAt::Flagged(shared)
            | RouterAt::Trip(shared) => Some(shared),
            RouterAt::Read => None,
        }
    }

    /// A router needs no more of an old record than what it does with an event, and never looks at the number of parks.
    pub(crate) fn simplify(&mut self) {
        let Some(shared) = self.held() else { return };
        *shared = if is_stored(shared) { Shared { parks: 0, ..shared.clone() } } else { same_admission(shared) };
    }

    pub(crate) fn is_done(&self, setup: &Setup, shard: usize) -> bool {
        usize::from(self.checkpoint) == setup.shards[shard].len()
    }
}

fn admission(setup: &Setup, shared: &Shared) -> Admission {
    match shared.admit() {
        Admission::CheckKey if setup.breaks(Broken::SendWithoutFlag) => Admission::Send,
        admission => admission,
    }
}

pub(crate) fn actions(world: &World, setup: &Setup, shard: usize, actions: &mut Vec<RouterAction>) {
    use RouterAction::*;
    let router = &world.routers[shard];
    if router.is_done(setup, shard) {
        return;
    }
    let send: &[RouterAction] = match world.peer_up {
        true => &[SendAcknowledged, SendUnanswered, SendUnansweredAndTrips],
        false => &[SendFailed, SendFailedAndTrips],
    };
    match &router.at {
        RouterAt::Read => actions.push(Read),
        RouterAt::Decide(shared) => match admission(setup, shared) {
            Admission::Send => actions.extend(send),
            Admission::CheckKey => actions.push(ReadFlag),
            Admission::Park => actions.extend([Park, ParkUnanswered, CrashWhileParking]),
        },
        RouterAt::Unflagged(_) => actions.extend(send),
        RouterAt::Flagged(_) => actions.extend([Park, ParkUnanswered, CrashWhileParking]),
        RouterAt::Trip(_) => actions.extend([WriteTrip, TripUnanswered]),
    }
    if router.at != RouterAt::Read || router.cursor != router.checkpoint {
        actions.extend([GiveBack, Crash]);
    }
}

pub(crate) fn step(world: &mut World, setup: &Setup, shard: usize, action: RouterAction) {
    let (key, number) = setup.record(shard, world.routers[shard].cursor);
    match action {
        RouterAction::Read => world.routers[shard].at = RouterAt::Decide(world.read()),
        RouterAction::ReadFlag => read_flag(world, shard, key),
        RouterAction::SendAcknowledged => {
            world.arrive(key, number);
            done(world, setup, shard);
        }
        RouterAction::SendUnanswered => {
            world.arrive(key, number);
            give_back(world, shard);
        }
        RouterAction::SendFailed | RouterAction::GiveBack => give_back(world, shard),
        RouterAction::SendUnansweredAndTrips => {
            world.arrive(key, number);
            trips(world, shard);
        }
        RouterAction::SendFailedAndTrips => trips(world, shard),
        RouterAction::Park => {
            let parked = world.park(setup, key, number);
            park_answered(world, setup, shard, if parked { ParkAnswer::Parked } else { ParkAnswer::Refused });
        }
        RouterAction::ParkUnanswered => {
            world.park(setup, key, number);
            park_answered(world, setup, shard, ParkAnswer::Failed);
        }
        RouterAction::WriteTrip => {
            write_trip(world, setup, shard);
            world.routers[shard].at = RouterAt::Read;
        }
        RouterAction::TripUnanswered => {
            write_trip(world, setup, shard);
            give_back(world, shard);
        }
        RouterAction::Crash => crash(world, shard),
        RouterAction::CrashWhileParking => {
            if setup.late_writes {
                world.late = Some(LateWrite::Park(key, number));
            }
            crash(world, shard);
        }
    }
}

fn read_flag(world: &mut World, shard: usize, key: usize) {
    let stamp = |tail| Stamp { run: 1, number: u64::from(tail) };
    let flag = world.keys[key].tail.map(|tail| KeyFlag { key: EventKey("k".into()), tail: stamp(tail) });
    let router = &mut world.routers[shard];
    let RouterAt::Decide(shared) = &router.at else { unreachable!("the flag is read after the record") };
    router.at = match shared.admit().with_flag(flag.as_ref()) {
        Admission::Park => RouterAt::Flagged(shared.clone()),
        _ => RouterAt::Unflagged(shared.clone()),
    };
}

fn park_answered(world: &mut World, setup: &Setup, shard: usize, answer: ParkAnswer) {
    match answer.follow_up() {
        FollowUp::Done => done(world, setup, shard),
        FollowUp::ReadAgain => world.routers[shard].at = RouterAt::Read,
        FollowUp::GiveBack(_) if setup.breaks(Broken::DoneWithoutPark) => done(world, setup, shard),
        FollowUp::GiveBack(_) => give_back(world, shard),
    }
}

/// The event is sent or parked. The checkpoint moves at the end of the batch, which holds all there is.
fn done(world: &mut World, setup: &Setup, shard: usize) {
    let router = &mut world.routers[shard];
    router.cursor += 1;
    if usize::from(router.cursor) == setup.shards[shard].len() {
        give_back(world, shard);
        return;
    }
    router.at = RouterAt::Decide(router.held().expect("the record was read before this event").clone());
}

fn give_back(world: &mut World, shard: usize) {
    let router = &mut world.routers[shard];
    *router = Router { checkpoint: router.cursor, cursor: router.cursor, at: RouterAt::Read };
}

fn crash(world: &mut World, shard: usize) {
    let router = &mut world.routers[shard];
    *router = Router { checkpoint: router.checkpoint, cursor: router.checkpoint, at: RouterAt::Read };
}

fn trips(world: &mut World, shard: usize) {
    let router = &mut world.routers[shard];
    router.at = RouterAt::Trip(router.held().expect("a sender holds the record").clone());
}

fn write_trip(world: &mut World, setup: &Setup, shard: usize) {
    let RouterAt::Trip(shared) = world.routers[shard].at.clone() else { unreachable!("it is about to trip") };
    if let Step::Write(write) = shared.trip(&trip(), NOW, JITTER, &setup.settings) {
        world.write(setup, &write, &shared);
    }
}

pub(crate) fn trip() -> Trip {
    Trip { rule: TripRule::ConsecutiveFailures, counts: Counts::default() }
}
