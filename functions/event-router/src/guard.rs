//! The way to one peer: its bus behind a breaker, and the parking table beside it.
//!
//! What is decided, and why no event overtakes another of its key, is told in the crate `breaker`. This module asks it
//! about each batch and carries out what it says: events are sent, parked, or given back to the stream.

use aws::dead_letters::SendDeadLetters;
use aws::publisher::{Answer, IN_FLIGHT, MAX_ENTRIES, OutgoingEvent, PublishError, PublishEvents, Taken};
use aws::routes::{RouteStore, StoreError, Until};
use breaker::{
    Admission, Bounds, CallError, EventKey, FollowUp, GiveBack, Jitter, Millis, Outcome, Owner, ParkWrite, ParkedEvent,
    Position, Settings, Shared, Stamps, StateName, Step, Trip, Turn, Window, Write,
};
use contracts::Region;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
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
    /// Whether metrics show the record's state.
    is_shown: AtomicBool,
}

impl<P: PublishEvents, S: RouteStore, D: SendDeadLetters> Guarded<P, S, D> {
    /// The way from `region` to `peer`: its bus, where the breaker and the parked events of this way are kept, and where parked events go
    /// that the bus refuses.
    pub fn new([region, peer]: [Region; 2], bus: P, store: S, letters: D, settings: Settings, bounds: Bounds) -> Self {
        let window = Mutex::new(Window::new(settings.clone()));
        let stamps = Mutex::new(Stamps::new(random()));
        let (started, is_shown) = (Instant::now(), AtomicBool::new(false));
        Self { region, peer, bus, store, letters, settings, bounds, started, window, stamps, is_shown }
    }

    /// The region that it leads to.
    pub fn peer(&self) -> &Region {
        &self.peer
    }

    /// The region that it starts in.
    pub(crate) fn region(&self) -> &Region {
        &self.region
    }

    /// Breaker and parking table, which are given up on at the deadline.
    pub(crate) fn store(&self, deadline: Instant) -> Until<'_, S> {
        Until::new(&self.store, deadline)
    }

    pub(crate) fn letters(&self) -> &D {
        &self.letters
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The record as it is now.
    ///
    /// Metrics show its state if it isn't closed. That it is closed is told by the drain, each minute: said with every
    /// batch it would be most of what a batch writes.
    pub(crate) async fn read(&self, deadline: Instant) -> Result<Shared, StoreError> {
        let shared = self.store(deadline).read().await.inspect_err(|error| {
            tracing::warn!(error = error as &dyn Error, peer = self.peer.as_str(), "breaker could not be read");
        })?;
        if shared.state.name() != StateName::Closed || self.is_shown.load(Relaxed) {
            self.show(&shared);
        }
        if shared.state.name() != StateName::Closed {
            // What was seen before says nothing of the time after.
            locked(&self.window).reset();
        }
        Ok(shared)
    }

    /// Has metrics show the state until [`Self::forget_gauges`].
    pub(crate) fn show(&self, shared: &Shared) {
        self.is_shown.store(true, Relaxed);
        for (state, value) in shared.state.name().gauges() {
            telemetry::CIRCUIT_BREAKER_STATE.set(&[self.peer.as_str(), state], f64::from(value));
        }
    }

    /// Takes back what metrics show of this way, once it is written: it would be written again with each invocation, also
    /// when it holds no more.
    pub(crate) fn forget_gauges(&self) {
        // Most batches show nothing.
        if self.is_shown.swap(false, Relaxed) {
            let peer = self.peer.as_str();
            telemetry::PARKING_DEPTH.remove(&[peer]);
            telemetry::PARKING_OLDEST_AGE_SECONDS.remove(&[peer]);
            StateName::ALL.iter().for_each(|state| telemetry::CIRCUIT_BREAKER_STATE.remove(&[peer, state.as_str()]));
        }
    }

    /// Carries out a write of the record and tells of the transition; false if somebody else was first.
    pub(crate) async fn write(&self, write: &Write, deadline: Instant) -> Result<bool, StoreError> {
        let won = self.store(deadline).write(write).await?;
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
    pub(crate) async fn send(&self, events: &[&OutgoingEvent], deadline: Instant) -> (Vec<Answer>, Option<Trip>) {
        let (begun, rounds) = (Instant::now(), rounds(events));
        let answers = self.bus.publish(events, deadline).await;
        let took = begun.elapsed() / rounds;
        let trip = self.note(&answers, took);
        (answers, trip)
    }

    /// Events of one request fail together, so ten of them count as one call. Good calls count first: a failure is then one
    /// of those in a row.
    fn note(&self, answers: &[Answer], took: Duration) -> Option<Trip> {
        let calls = |events: usize| events.div_ceil(MAX_ENTRIES);
        let good = answers.iter().filter(|answer| answer.is_ok()).count();
        let errors = answers.iter().filter_map(|answer| call_error(answer.as_ref().err()?));
        let (bad, other): (Vec<CallError>, Vec<CallError>) = errors.partition(|error| error.is_failure());
        let bad = bad.first().map_or(0, |_| calls(bad.len())).min(bad.len());
        let results = std::iter::repeat_n(Ok(()), calls(good))
            .chain(other.into_iter().take(1).map(Err))
            .chain(std::iter::repeat_n(Err(CallError::Server), bad));
        let slow = self.settings.thresholds().slow_call;
        let now = self.started.elapsed();
        let mut window = locked(&self.window);
        results.filter_map(|result| window.record(now, Outcome::of_call(result, took, slow))).last()
    }

    /// Opens the breaker, if it is closed. Who loses the write reads again; who gets no answer finds out later.
    pub(crate) async fn trip(&self, mut shared: Shared, trip: &Trip, deadline: Instant) {
        for _ in 0..ROUNDS {
            let Step::Write(write) = shared.trip(trip, now(), jitter(), &self.settings) else {
                let (state, rule) = (shared.state.name().as_str(), trip.rule);
                tracing::warn!(peer = self.peer.as_str(), state, ?rule, "peer is sick, and the breaker isn't closed");
                return;
            };
            let written = match self.write(&write, deadline).await {
                Ok(true) => {
                    locked(&self.window).reset();
                    return;
                }
                Ok(false) => self.read(deadline).await,
                Err(error) => Err(error),
            };
            match written {
                Ok(read) => shared = read,
                Err(error) => {
                    tracing::warn!(error = &error as &dyn Error, peer = self.peer.as_str(), "breaker was not opened");
                    return;
                }
            }
        }
    }

    /// Parks events in their order; says for each what became of it. Nothing is said of those that have to be decided on anew.
    async fn park(&self, shared: &Shared, batch: &mut Batch<'_>, wanted: &[usize], deadline: Instant) {
        let Batch { events, answers, refusals } = batch;
        let now = now();
        if let Err(reason) = self.bounds.room(shared, wanted.len() as u64, now) {
            return give_back(wanted, reason, answers);
        }
        let mut places: Vec<usize> = Vec::with_capacity(wanted.len());
        let mut parked: Vec<ParkedEvent> = Vec::with_capacity(wanted.len());
        for index in wanted.iter().copied() {
            let attempts = u32::from(refusals[index].as_ref().is_some_and(|error| *error != PublishError::HeldBack));
            match parked_event(events[index], shared, now, attempts) {
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
            match self.store(deadline).park(&write).await.follow_up() {
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
    async fn admit(
        &self,
        shared: &Shared,
        events: &[&OutgoingEvent],
        wanted: &[usize],
        deadline: Instant,
    ) -> Result<Split, StoreError> {
        match shared.admit() {
            Admission::Send => Ok(Split { send: wanted.to_vec(), park: Vec::new() }),
            Admission::Park => Ok(Split { send: Vec::new(), park: wanted.to_vec() }),
            Admission::CheckKey => {
                let keys: BTreeSet<EventKey> = wanted.iter().map(|index| key_of(events[*index])).collect();
                let flags = self.store(deadline).flags(&keys.into_iter().collect::<Vec<_>>()).await?;
                let flagged: BTreeSet<EventKey> = flags.into_iter().map(|flag| flag.key).collect();
                let (park, send) = wanted.iter().partition(|index| flagged.contains(&key_of(events[**index])));
                Ok(Split { send, park })
            }
        }
    }

    /// One try to bring the breaker further, if its time has come and there is enough left of the batch's: an event that
    /// waits is the probe. False if there was none.
    async fn probe_if_due(&self, shared: &Shared, deadline: Instant) -> bool {
        let owner = Owner(Uuid::new_v4().to_string().into());
        let Turn::Probe { write, lease } = shared.turn(&owner, now(), &self.settings) else { return false };
        if deadline.saturating_duration_since(Instant::now()) < self.settings.thresholds().probe_lease {
            return false;
        }
        if let Err(error) = Box::pin(self.probe(&shared.survey, write.as_deref(), &lease, deadline)).await {
            tracing::warn!(error = &error as &dyn Error, peer = self.peer.as_str(), "probe was broken off");
        }
        true
    }
}

/// A batch while it is worked on.
struct Batch<'a> {
    events: &'a [&'a OutgoingEvent],
    answers: Vec<Option<Answer>>,
    /// What the bus said of events that it didn't take; the answer, unless they are parked instead.
    refusals: Vec<Option<PublishError>>,
}

/// Places of events, in their order.
struct Split {
    send: Vec<usize>,
    park: Vec<usize>,
}

impl<'a> Batch<'a> {
    fn new(events: &'a [&'a OutgoingEvent]) -> Self {
        let (answers, refusals) = (vec![None; events.len()], vec![None; events.len()]);
        Self { events, answers, refusals }
    }

    fn pending(&self) -> Vec<usize> {
        (0..self.events.len()).filter(|index| self.answers[*index].is_none()).collect()
    }

    fn settle(&mut self, sent: Vec<usize>, results: Vec<Answer>) {
        for (index, result) in sent.into_iter().zip(results) {
            match result {
                Err(error) if !error.is_poison() => self.refusals[index] = Some(error),
                settled => self.answers[index] = Some(settled),
            }
        }
    }

    fn into_answers(self) -> Vec<Answer> {
        let left = self.answers.into_iter().zip(self.refusals);
        left.map(|(answer, refusal)| answer.unwrap_or_else(|| Err(refusal.unwrap_or(PublishError::HeldBack)))).collect()
    }
}

impl<P: PublishEvents, S: RouteStore, D: SendDeadLetters> PublishEvents for Guarded<P, S, D> {
    async fn publish(&self, events: &[&OutgoingEvent], deadline: Instant) -> Vec<Answer> {
        let left = deadline.saturating_duration_since(Instant::now());
        let send_by = deadline - PARKING_TIME.min(left / PARKING_PART);
        let mut batch = Batch::new(events);
        let mut probed = false;
        for _ in 0..ROUNDS {
            let pending = batch.pending();
            if pending.is_empty() {
                break;
            }
            let Ok(shared) = self.read(deadline).await else {
                give_back(&pending, GiveBack::RecordUnreadable, &mut batch.answers);
                break;
            };
            if shared.admit() == Admission::Park && !probed {
                // At most one a batch; what it brought about is seen by the next reading.
                probed = true;
                if self.probe_if_due(&shared, send_by).await {
                    continue;
                }
            }
            let Ok(Split { send, park }) = self.admit(&shared, batch.events, &pending, deadline).await else {
                give_back(&pending, GiveBack::FlagUnreadable, &mut batch.answers);
                break;
            };
            // An event that the bus didn't take is parked if the breaker has opened, and given back if it hasn't.
            let (again, send): (Vec<usize>, Vec<usize>) =
                send.into_iter().partition(|index| batch.refusals[*index].is_some());
            for index in again {
                batch.answers[index] = batch.refusals[index].take().map(Err);
            }
            if !park.is_empty() {
                self.park(&shared, &mut batch, &park, deadline).await;
            }
            if !send.is_empty() {
                let outgoing: Vec<_> = send.iter().map(|index| batch.events[*index]).collect();
                let (results, trip) = self.send(&outgoing, send_by).await;
                batch.settle(send, results);
                if let Some(trip) = trip {
                    self.trip(shared, &trip, deadline).await;
                }
            }
        }
        batch.into_answers()
    }
}

/// How many requests follow one another when these events are sent: so many go side by side, and of one key one after the
/// other.
fn rounds(events: &[&OutgoingEvent]) -> u32 {
    let mut of_key: BTreeMap<&str, usize> = BTreeMap::new();
    for event in events {
        *of_key.entry(event.order_key()).or_default() += 1;
    }
    let longest = of_key.into_values().max().unwrap_or_default();
    u32::try_from(events.len().div_ceil(IN_FLIGHT).max(longest).max(1)).unwrap_or(u32::MAX)
}

fn give_back(indices: &[usize], reason: GiveBack, answers: &mut [Option<Answer>]) {
    for index in indices {
        answers[*index] = Some(Err(PublishError::GivenBack { reason: reason.as_str() }));
    }
}

pub(crate) fn key_of(event: &OutgoingEvent) -> EventKey {
    EventKey(event.order_key().into())
}

fn parked_event(
    event: &OutgoingEvent,
    shared: &Shared,
    now: Millis,
    attempts: u32,
) -> Result<ParkedEvent, PublishError> {
    let place = event.place().ok_or(PublishError::NoPlace)?;
    if event.detail().len() > ParkWrite::MAX_BODY {
        return Err(PublishError::TooLargeToPark { bytes: event.detail().len() });
    }
    Ok(ParkedEvent {
        key: key_of(event),
        position: Position::new(&place.sequence_number).map_err(|_| PublishError::NoPlace)?,
        event_id: place.event_id.to_string().into(),
        original_at: Millis(u64::try_from(place.happened_at.as_millisecond()).unwrap_or_default()),
        parked_at: now,
        attempts,
        episode: shared.episode,
        body: event.detail().as_bytes().into(),
    })
}

/// What an answer means to the breaker; nothing for an event that wasn't tried, or whose time was over: a peer that hangs
/// makes each attempt end before that.
fn call_error(error: &PublishError) -> Option<CallError> {
    match error {
        PublishError::Throttled { .. } => Some(CallError::Throttled),
        PublishError::Unavailable { .. } => Some(CallError::Server),
        PublishError::Denied { .. } => Some(CallError::AccessDenied),
        PublishError::Refused { .. } => Some(CallError::Invalid),
        PublishError::TooLarge { .. } => Some(CallError::TooLarge),
        PublishError::TooLargeToPark { .. }
        | PublishError::NoPlace
        | PublishError::HeldBack
        | PublishError::GivenBack { .. }
        | PublishError::OutOfTime => None,
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
