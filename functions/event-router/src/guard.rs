//! The way to one peer: its bus behind a breaker, and the parking table beside it.
//!
//! What is decided, and why no event overtakes another of its key, is told in the crate `breaker`. This module asks it
//! about each batch and carries out what it says: events are sent, parked, or given back to the stream.

use aws::dead_letters::SendDeadLetters;
use aws::publisher::{Answer, IN_FLIGHT, OutgoingEvent, PublishError, PublishEvents, Taken};
use aws::routes::{RouteStore, StoreError};
use breaker::{
    Admission, Bounds, CallError, EventKey, FollowUp, GiveBack, Jitter, Millis, Outcome, Owner, ParkWrite, ParkedEvent,
    Position, Settings, Shared, Stamps, Step, Trip, Turn, Window, Write,
};
use contracts::Region;
use std::collections::BTreeSet;
use std::error::Error;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;
use uuid::Uuid;

/// What is kept of a batch's time for parking what can't be sent, at most: a batch of 100 events is three transactions.
const PARKING_TIME: Duration = Duration::from_secs(5);
/// The part of a batch's time that is kept for it where that is less.
const PARKING_PART: u32 = 4;

/// How often a batch is decided on anew, because the record changed between a reading and what followed from it. What is left
/// after that is given back.
const ROUNDS: usize = 5;

/// A peer's bus behind a breaker.
#[derive(Debug)]
pub struct Guarded<P, S, D> {
    region: Region,
    peer: Region,
    bus: P,
    store: S,
    letters: D,
    settings: Settings,
    bounds: Bounds,
    /// The zero of the window's time.
    started: Instant,
    window: Mutex<Window>,
    stamps: Mutex<Stamps>,
}

impl<P: PublishEvents, S: RouteStore, D: SendDeadLetters> Guarded<P, S, D> {
    /// The way from `region` to `peer`: its bus, where the breaker and the parked events of this way are kept, and where parked events go
    /// that the bus refuses.
    pub fn new([region, peer]: [Region; 2], bus: P, store: S, letters: D, settings: Settings, bounds: Bounds) -> Self {
        let window = Mutex::new(Window::new(settings.clone()));
        let stamps = Mutex::new(Stamps::new(random()));
        Self { region, peer, bus, store, letters, settings, bounds, started: Instant::now(), window, stamps }
    }

    /// The region that it leads to.
    pub fn peer(&self) -> &Region {
        &self.peer
    }

    /// The region that it starts in.
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    pub(crate) fn store(&self) -> &S {
        &self.store
    }

    pub(crate) fn letters(&self) -> &D {
        &self.letters
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The record as it is now; metrics show its state.
    pub(crate) async fn read(&self) -> Result<Shared, StoreError> {
        let shared = self.store.read().await.inspect_err(|error| {
            tracing::warn!(error = error as &dyn Error, peer = self.peer.as_str(), "breaker could not be read");
        })?;
        for (state, value) in shared.state.name().gauges() {
            telemetry::CIRCUIT_BREAKER_STATE.set(&[self.peer.as_str(), state], f64::from(value));
        }
        Ok(shared)
    }

    /// Carries out a write of the record and tells of the transition; false if somebody else was first.
    pub(crate) async fn write(&self, write: &Write) -> Result<bool, StoreError> {
        let won = self.store.write(write).await?;
        if let Some(transition) = write.transition.filter(|_| won) {
            let (from, to, reason) = (transition.from.as_str(), transition.to.as_str(), transition.reason.as_str());
            let peer = self.peer.as_str();
            telemetry::CIRCUIT_BREAKER_TRANSITIONS_TOTAL.inc(&[peer, from, to, reason]);
            let (episode, counts) = (transition.episode, transition.counts);
            tracing::warn!(peer, from, to, reason, episode, ?counts, "breaker changed its state");
        }
        Ok(won)
    }

    /// Sends events and takes note of how it went; gives the answers, and what the window says of the peer.
    pub(crate) async fn send(&self, events: Vec<OutgoingEvent>, deadline: Instant) -> (Vec<Answer>, Option<Trip>) {
        let (begun, count) = (Instant::now(), events.len());
        let answers = self.bus.publish(events, deadline).await;
        // A call sends so many side by side; what takes long is one of these waves.
        let waves = u32::try_from(count.div_ceil(IN_FLIGHT).max(1)).unwrap_or(u32::MAX);
        let took = begun.elapsed() / waves;
        let slow = self.settings.thresholds().slow_call;
        let mut window = locked(&self.window);
        let now = self.started.elapsed();
        let trips = answers.iter().filter_map(|answer| {
            let result = match answer {
                Ok(_) => Ok(()),
                Err(error) => Err(call_error(error)?),
            };
            window.record(now, Outcome::of_call(result, took, slow))
        });
        let trip = trips.last();
        (answers, trip)
    }

    /// Opens the breaker, if it is closed. Whoever loses the write, or gets no answer, finds out by the next reading.
    pub(crate) async fn trip(&self, shared: &Shared, trip: &Trip) {
        match shared.trip(trip, now(), jitter(), &self.settings) {
            Step::Write(write) => {
                if let Err(error) = self.write(&write).await {
                    tracing::warn!(error = &error as &dyn Error, peer = self.peer.as_str(), "breaker was not opened");
                }
                locked(&self.window).reset();
            }
            Step::Keep => {
                let rule = trip.rule;
                tracing::warn!(peer = self.peer.as_str(), ?rule, "breaker would open, but is not its own master");
            }
        }
    }

    /// Parks events in their order; says for each what became of it. Nothing is said of those that have to be decided on anew.
    async fn park(&self, shared: &Shared, events: &[OutgoingEvent], wanted: &[usize], answers: &mut [Option<Answer>]) {
        let now = now();
        if let Err(reason) = self.bounds.room(shared, wanted.len() as u64, now) {
            return give_back(wanted, reason, answers);
        }
        let mut places: Vec<usize> = Vec::with_capacity(wanted.len());
        let mut parked: Vec<ParkedEvent> = Vec::with_capacity(wanted.len());
        for index in wanted.iter().copied() {
            match parked_event(&events[index], shared, now) {
                Ok(event) => {
                    places.push(index);
                    parked.push(event);
                }
                Err(error) => answers[index] = Some(Err(error)),
            }
        }
        let writes = ParkWrite::pack(parked, &mut locked(&self.stamps)).expect("invariant: large bodies were refused");
        let mut rest = places.as_slice();
        for write in writes {
            let (these, later) = rest.split_at(write.events().len());
            match self.store.park(&write).await.follow_up() {
                FollowUp::Done => {
                    telemetry::PARKED_EVENTS_TOTAL.add(&[self.peer.as_str()], these.len() as u64);
                    these.iter().for_each(|index| answers[*index] = Some(Ok(Taken::Parked)));
                }
                FollowUp::ReadAgain => return,
                FollowUp::GiveBack(reason) => return give_back(rest, reason, answers),
            }
            rest = later;
        }
    }

    /// Which of the events are sent now, and which are parked.
    async fn admit(&self, shared: &Shared, events: &[OutgoingEvent], wanted: &[usize]) -> Result<Split, StoreError> {
        match shared.admit() {
            Admission::Send => Ok(Split { send: wanted.to_vec(), park: Vec::new() }),
            Admission::Park => Ok(Split { send: Vec::new(), park: wanted.to_vec() }),
            Admission::CheckKey => {
                let keys: BTreeSet<EventKey> = wanted.iter().map(|index| key_of(&events[*index])).collect();
                let flags = self.store.flags(&keys.into_iter().collect::<Vec<_>>()).await?;
                let flagged: BTreeSet<EventKey> = flags.into_iter().map(|flag| flag.key).collect();
                let (park, send) = wanted.iter().partition(|index| flagged.contains(&key_of(&events[**index])));
                Ok(Split { send, park })
            }
        }
    }

    /// One try to bring the breaker further, if its time has come: the oldest event that waits is the probe. False if it
    /// hasn't.
    async fn probe_if_due(&self, shared: &Shared, deadline: Instant) -> bool {
        let owner = Owner(Uuid::new_v4().to_string().into());
        let Turn::Probe { write, lease } = shared.turn(&owner, now(), &self.settings) else { return false };
        if let Err(error) = Box::pin(self.probe(write.as_deref(), &lease, deadline)).await {
            tracing::warn!(error = &error as &dyn Error, peer = self.peer.as_str(), "probe was broken off");
        }
        true
    }
}

/// Places of events, in their order.
struct Split {
    send: Vec<usize>,
    park: Vec<usize>,
}

impl<P: PublishEvents, S: RouteStore, D: SendDeadLetters> PublishEvents for Guarded<P, S, D> {
    async fn publish(&self, events: Vec<OutgoingEvent>, deadline: Instant) -> Vec<Answer> {
        let left = deadline.saturating_duration_since(Instant::now());
        let send_by = deadline - PARKING_TIME.min(left / PARKING_PART);
        let mut answers: Vec<Option<Answer>> = vec![None; events.len()];
        // What the bus said of events that it didn't take; the answer, unless they are parked instead.
        let mut refusals: Vec<Option<PublishError>> = vec![None; events.len()];
        let mut probed = false;
        for _ in 0..ROUNDS {
            let pending: Vec<usize> = (0..events.len()).filter(|index| answers[*index].is_none()).collect();
            if pending.is_empty() {
                break;
            }
            let Ok(shared) = self.read().await else {
                give_back(&pending, GiveBack::RecordUnreadable, &mut answers);
                break;
            };
            if shared.admit() == Admission::Park && !probed {
                // At most one a batch; what it brought about is seen by the next reading.
                probed = true;
                if self.probe_if_due(&shared, send_by).await {
                    continue;
                }
            }
            let Ok(Split { send, park }) = self.admit(&shared, &events, &pending).await else {
                give_back(&pending, GiveBack::FlagUnreadable, &mut answers);
                break;
            };
            // An event that the bus didn't take is parked if the breaker has opened, and given back if it hasn't.
            let (again, send): (Vec<usize>, Vec<usize>) =
                send.into_iter().partition(|index| refusals[*index].is_some());
            for index in again {
                answers[index] = refusals[index].take().map(Err);
            }
            if !send.is_empty() {
                let outgoing = send.iter().map(|index| events[*index].clone()).collect();
                let (results, trip) = self.send(outgoing, send_by).await;
                for (index, result) in send.into_iter().zip(results) {
                    match result {
                        Err(error) if !error.is_poison() => refusals[index] = Some(error),
                        settled => answers[index] = Some(settled),
                    }
                }
                if let Some(trip) = trip {
                    self.trip(&shared, &trip).await;
                }
            }
            if !park.is_empty() {
                self.park(&shared, &events, &park, &mut answers).await;
            }
        }
        let left = answers.into_iter().zip(refusals);
        left.map(|(answer, refusal)| answer.unwrap_or_else(|| Err(refusal.unwrap_or(PublishError::HeldBack)))).collect()
    }
}

fn give_back(indices: &[usize], reason: GiveBack, answers: &mut [Option<Answer>]) {
    for index in indices {
        answers[*index] = Some(Err(PublishError::GivenBack { reason: reason.as_str() }));
    }
}

pub(crate) fn key_of(event: &OutgoingEvent) -> EventKey {
    EventKey(event.order_key().into())
}

fn parked_event(event: &OutgoingEvent, shared: &Shared, now: Millis) -> Result<ParkedEvent, PublishError> {
    let unplaced = || PublishError::GivenBack { reason: "no_sequence_number" };
    let place = event.place().ok_or_else(unplaced)?;
    if event.detail().len() > ParkWrite::MAX_BODY {
        return Err(PublishError::TooLarge { bytes: event.detail().len() });
    }
    Ok(ParkedEvent {
        key: key_of(event),
        position: Position::new(&place.sequence_number).map_err(|_| unplaced())?,
        event_id: place.event_id.to_string().into(),
        original_at: Millis(u64::try_from(place.happened_at.as_millisecond()).unwrap_or_default()),
        parked_at: now,
        attempts: 0,
        episode: shared.episode,
        body: event.detail().as_bytes().into(),
    })
}

/// What an answer means to the breaker; nothing for an event that wasn't tried.
fn call_error(error: &PublishError) -> Option<CallError> {
    match error {
        PublishError::Throttled { .. } => Some(CallError::Throttled),
        PublishError::Unavailable { .. } => Some(CallError::Server),
        PublishError::OutOfTime => Some(CallError::Timeout),
        PublishError::Denied { .. } => Some(CallError::AccessDenied),
        PublishError::Refused { .. } => Some(CallError::Invalid),
        PublishError::TooLarge { .. } => Some(CallError::TooLarge),
        PublishError::HeldBack | PublishError::GivenBack { .. } => None,
    }
}

/// The machine's time, for leases and open times.
pub(crate) fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[expect(clippy::cast_precision_loss, reason = "a spread needs no more than 53 bits")]
pub(crate) fn jitter() -> Jitter {
    Jitter::new(random() as f64 / u64::MAX as f64)
}

#[expect(clippy::cast_possible_truncation, reason = "any 64 of the random bits will do")]
fn random() -> u64 {
    // The low half of a UUID of version 4 is random but for two bits.
    Uuid::new_v4().as_u128() as u64
}

/// What a panic left is whole: nothing is changed in two steps under these locks.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
