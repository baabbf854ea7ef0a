//! Circuit breaker and order-keeping parking, as pure state machines: no clock, no chance, no I/O.
//!
//! A router sends the changes of one region to targets in others. When a target is sick, its events are *parked* in a
//! table of the router's own region and sent later, so that one target holds up neither the stream nor the other targets.
//! This crate decides; it takes moments and random numbers as arguments and gives back decisions, and conditional writes
//! as values which an adapter carries out one to one. A *route* is a way to one target: (from, to, target).
//!
//! ```
//! # use breaker::*;
//! # use std::time::Duration;
//! let settings = Settings::default();
//! let mut window = Window::new(settings.clone());
//! let shared = Shared::absent();
//! assert_eq!(shared.admit(), Admission::Send);
//!
//! let mut calls = (0..5).map(|second| window.record(Duration::from_secs(second), Outcome::Failure));
//! let trip = calls.find_map(|trip| trip).expect("five failures in a row");
//! let Step::Write(write) = shared.trip(&trip, Millis(1_000), Jitter::NONE, &settings) else { panic!("it was closed") };
//! assert_eq!(write.condition, Condition::Absent);
//!
//! let shared = write.apply(None).expect("there was no record");
//! assert_eq!(shared.admit(), Admission::Park);
//! ```
//!
//! # Two tiers
//!
//! 1. Each process has a [`Window`] for each route: the calls of the last seconds. It opens the breaker when enough of
//!    enough calls failed or were slow, or when several failed in a row. The last rule is for instances with so little
//!    traffic that there are never enough calls.
//! 2. All instances of a region share one record for each route, [`Shared`]. A window's [`Trip`] becomes a write of this
//!    record, and only the record decides what is done with events.
//!
//! What counts as a failure is in [`CallError`]: what is wrong with the peer, not what is wrong with the event.
//!
//! # States
//!
//! | State | Events of the stream | Parked events | Leaves it when |
//! |---|---|---|---|
//! | closed | sent; parked if their key is flagged | drained, if there are any | a window trips: open |
//! | open | parked | wait | its time is over and something is parked: half-open |
//! | half-open | parked | the oldest are probes, one for each lease | a probe fails: open, for longer; enough went well: closed |
//! | forced open | parked | wait | released: open, its time over |
//! | forced closed, metrics only | as closed | as closed | released: closed |
//!
//! An operator can command each of the last three in any state ([`Command`]). Forced closed and metrics only take no notice
//! of what windows say; in metrics only it is reported.
//!
//! Probes are always parked events, never events of the stream, so a probe can't overtake anything. The one that has waited
//! longest of all comes first, as far as the last [`Survey`] knows; the order of keys among each other is no matter of
//! safety, and a probe may be of any key. A probe needs a lease,
//! which is in the record, so that no more run than may over all instances. A probe whose lease is over counts for
//! nothing. An open breaker with an empty lot has nothing to probe with. It stays open until the next event comes, which is
//! parked and is the next probe.
//!
//! # Order
//!
//! Events of one key reach the peer for the first time in their order. (Repeats happen: each event keeps its id, and
//! receivers take each id once.) The record, the flags and the events work together for this:
//!
//! - Parking events is one transaction with three parts ([`ParkWrite`]): it raises the record's `parks`, on condition that
//!   the record says that the lot is in use; it puts the events; and it puts the flags of their keys.
//! - Events of a flagged key are parked even though the breaker is closed.
//! - A drain sends the oldest event of a key, deletes it once the peer has acknowledged it, and goes on to the next
//!   ([`KeyDrain`]). Only one event of a key is on its way at a time. The flag goes when no event is left, on condition that
//!   its tail is the one that was read before ([`ClearFlag`]).
//! - Flags cost a read for each event. So the record says whether anything may be parked at all ([`Lot`]). A breaker that
//!   opens puts the lot in use by the same write. It is declared empty by an [`EmptyCheck`].
//!
//! ## The race that there isn't
//!
//! The danger is an event that lies in a lot which the record calls empty: nobody would look for its flag, and the next
//! event of its key would overtake it. It can't happen. Say that the record was read, then every item of the lot was looked
//! for and none found, and then the record is written with the lot empty.
//!
//! - A park that takes place before the record is read is seen by the look at the lot, which comes later and is strongly
//!   consistent, unless its event and flag have been properly drained.
//! - A park between the read and the write changes `parks`, which the write compares. The write fails.
//! - A park after the write finds that the lot is not in use. The transaction fails, and its router reads the record anew.
//!
//! It doesn't matter how long any of the three takes, or which clock anybody has. With the version compared alone, the
//! second case would slip through, since parks don't raise the version; they must not, or an outage with many parks would
//! make every other write lose.
//!
//! The other danger is to act on an old reading. It is none, because of how streams are read: all records of a key are in
//! one shard, and one invocation at a time works on a shard, in order. So only this invocation, or one before it that was
//! killed, parks events of the key.
//!
//! - It read that the lot is empty. Then no event of the key was parked, and who else could park one?
//! - It read that the key has no flag. The same.
//! - It read that events are parked, and that has changed. Parking is refused if the lot was declared empty; else the event
//!   is parked and drained in its turn.
//! - One before it was killed, and its park arrives late. The records of that park are delivered again and are sent or
//!   parked once more, in order, so the late one only adds a repeat.
//!
//! A [`Snapshot`] is nevertheless good for one second only, so that the breaker is prompt.
//!
//! ## What depends on clocks
//!
//! Only leases and open times. If the clocks of two machines differ by more than the lease has to spare, more probes may run
//! than are allowed. Order and completeness don't depend on it.
//!
//! # When the store fails
//!
//! The batch is given back to the stream from the event on that can't be decided ([`GiveBack`]): it is neither sent nor
//! parked, and is delivered again. The record and the lot are in the DynamoDB of the stream's own region. When that is away,
//! there are no new records to route either, and nothing is won by guessing; a guess could send an event past its parked
//! predecessors. A write without an answer may have taken place. That is harmless for each of them: the record is read
//! again, and an event that is parked twice takes the same place.
//!
//! A lot has [`Bounds`]. When they are reached, events are given back too, under a reason for an alarm. Nothing is ever
//! dropped.
//!
//! # How it is known
//!
//! `tests/protocol` searches every state of small models that call these functions: two shards or two drains, with calls
//! that fail or stay unanswered, programs that die between any two steps, writes that arrive after their program has died, a
//! peer that goes and comes. The rules hold in all states, and from each of them everything drains once faults end. The same
//! search finds the mistake when a rule is left out. Random runs of 200 instances do it at size, with real time.

mod bounds;
mod decide;
mod empty_check;
mod outcome;
mod parking;
mod settings;
mod shared;
mod state;
mod time;
mod transition;
mod window;
mod write;

pub use bounds::{Bounds, GiveBack};
pub use decide::{Admission, Turn};
pub use empty_check::EmptyCheck;
pub use outcome::{CallError, Counts, Outcome};
pub use parking::{
    ClearFlag, DeleteEvent, EventKey, FollowUp, InvalidPark, InvalidPosition, KeyDrain, KeyFlag, KeyStep, ParkAnswer,
    ParkWrite, ParkedEvent, Position, Ramp, Stamp, Stamps,
};
pub use settings::{InvalidSettings, Jitter, Mistake, Settings, Thresholds};
pub use shared::{Reason, Route, Shared, Snapshot, Survey, Transition};
pub use state::{Lease, Lot, Owner, State, StateName};
pub use time::Millis;
pub use transition::{Command, ProbeResult};
pub use window::{Trip, TripRule, Window};
pub use write::{Condition, Step, Write};
