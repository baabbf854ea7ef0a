//! Taking parked events up again: probes while the breaker isn't closed, and the drain once it is.
//!
//! A run of the drain is started by the schedule each minute and goes on until nothing waits, the peer fails, or its time is
//! over. Runs may overlap: an event may then be sent twice, under one id, and none overtakes another of its key.

use aws::dead_letters::SendDeadLetters;
use aws::publisher::{OutgoingEvent, PublishError, PublishEvents};
use aws::routes::{Counted, Oldest, RouteStore, StoreError};
use breaker::{
    EmptyCheck, EventKey, KeyDrain, KeyFlag, KeyStep, Lease, Lot, Millis, Owner, ParkedEvent, ProbeResult, Ramp,
    Shared, Snapshot, Step, Survey, Trip, Turn, Write,
};
use contracts::EventRouter;
use events::cross_region::{self, Envelope};
use events::dead_letter::{DeadLetterEvent, PARKED_FOR, RecordEncoding};
use events::{JsonText, Timestamp, Trace};
use futures::future::join_all;
use std::collections::BTreeSet;
use std::error::Error;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::field::display;
use uuid::Uuid;

use crate::guard::{Guarded, jitter, now};

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Nothing waits.
    Empty,
    /// Events wait: the peer isn't ready for them, or not until the run's end.
    Waiting,
    /// The time was over.
    OutOfTime,
}

impl Ended {
    /// A word for the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Waiting => "waiting",
            Self::OutOfTime => "out_of_time",
        }
    }
}

/// What came of sending a parked event.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// The peer has it; it waits no longer.
    Gone,
    /// The peer refused it for good, and it lies among the dead letters; it waits no longer.
    Buried,
    /// The peer didn't take it; it waits on.
    Waits,
    /// It says nothing about the peer, and it waits on.
    Unsettled,
}

/// How a turn ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turned {
    /// The record is to be read again.
    ReadAgain,
    /// There is nothing more to do for now.
    Enough,
}

/// What a run remembers from one turn to the next.
struct Progress {
    ramp: Ramp,
    /// Keys whose oldest event could be neither sent nor buried; the others don't wait for them.
    passed_over: BTreeSet<EventKey>,
}

/// How long a drain goes on by one reading of the record: an operator's command, or a trip of another instance, stops it then.
const READING: Duration = Snapshot::VALIDITY;
/// Pause after a peer didn't take an event and the breaker is still closed.
const PAUSE: Duration = Duration::from_millis(200);

impl<P: PublishEvents, S: RouteStore, D: SendDeadLetters> Guarded<P, S, D> {
    /// Sends what waits, until nothing waits or it can't go on.
    ///
    /// # Errors
    /// The tables can't be worked with.
    pub async fn drain(&self, deadline: Instant) -> Result<Ended, StoreError> {
        let ended = self.run(deadline).await;
        let peer = self.peer().as_str();
        match &ended {
            Ok(ended) => tracing::info!(peer, ended = ended.as_str(), "drain ended"),
            Err(error) => tracing::error!(peer, error = error as &dyn Error, "drain was broken off"),
        }
        ended
    }

    async fn run(&self, deadline: Instant) -> Result<Ended, StoreError> {
        let owner = Owner(Uuid::new_v4().to_string().into());
        let mut progress = Progress { ramp: Ramp::new(self.settings()), passed_over: BTreeSet::new() };
        let (mut surveyed, mut probed, mut countable) = (false, false, true);
        while Instant::now() < deadline {
            let mut shared = self.read(deadline).await?;
            self.show(&shared);
            let mut turn = shared.turn(&owner, now(), self.settings());
            if !surveyed || matches!(turn, Turn::Probe { .. }) && probed && countable {
                // After a probe another event may be the oldest.
                (surveyed, probed) = (true, false);
                countable = self.look(&mut shared, deadline).await;
                if Instant::now() >= deadline {
                    break;
                }
                // That may have taken a while, and a lease counts from now on.
                turn = shared.turn(&owner, now(), self.settings());
            }
            let turned = match turn {
                Turn::Rest => return Ok(Ended::Empty),
                Turn::Wait(None) => return Ok(Ended::Waiting),
                Turn::Wait(Some(until)) => {
                    let pause = Duration::from_millis(until.0.saturating_sub(now().0).max(1));
                    if Instant::now() + pause >= deadline {
                        return Ok(Ended::Waiting);
                    }
                    sleep_until(Instant::now() + pause).await;
                    Turned::ReadAgain
                }
                Turn::Probe { write, lease } => {
                    probed = true;
                    self.probe(&shared.survey, write.as_deref(), &lease, deadline).await?
                }
                Turn::Drain => self.drain_for_a_while(shared, &mut progress, deadline).await?,
            };
            if turned == Turned::Enough {
                return Ok(if Instant::now() < deadline { Ended::Waiting } else { Ended::OutOfTime });
            }
        }
        Ok(Ended::OutOfTime)
    }

    /// A survey, if one can be had: it informs, and what waits is sent without it, too. False if another one soon would
    /// cost much and tell little.
    async fn look(&self, shared: &mut Shared, deadline: Instant) -> bool {
        match self.survey(shared, deadline).await {
            Ok((survey, is_partial)) => {
                shared.survey = survey;
                !is_partial
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, peer = self.peer().as_str(), "lot was not counted");
                false
            }
        }
    }

    /// Counts what waits, for metrics, for the bounds of the lot, and to know which event is the next probe; says too whether
    /// there was more than could be counted. The oldest is then the oldest that was seen, so the age is one that is reached.
    async fn survey(&self, shared: &Shared, deadline: Instant) -> Result<(Survey, bool), StoreError> {
        let peer = self.peer().as_str();
        let store = self.store(deadline);
        let Counted { events, oldest, is_partial } = match shared.state.lot() {
            Lot::Empty => Counted::default(),
            Lot::InUse => store.count().await?,
        };
        let (oldest, oldest_key) = oldest.map(|Oldest { parked_at, key }| (parked_at, key)).unzip();
        let depth = if is_partial { shared.depth().max(events) } else { events };
        let survey = Survey { parks: shared.parks, depth, oldest, oldest_key };
        // What an earlier outage left would count against the next one.
        let seen = |survey: &Survey| (survey.depth, survey.oldest, survey.oldest_key.clone());
        if seen(&survey) != seen(&shared.survey) {
            store.note(&survey).await?;
        }
        #[expect(clippy::cast_precision_loss, reason = "a count beyond 2^53 is beyond every lot")]
        telemetry::PARKING_DEPTH.set(&[peer], depth as f64);
        let age = oldest.map_or(Duration::ZERO, |oldest| now().since(oldest));
        telemetry::PARKING_OLDEST_AGE_SECONDS.set(&[peer], age.as_secs_f64());
        Ok((survey, is_partial))
    }

    /// One probe: the lease, the event that has waited longest as far as `survey` knows, and what came of it.
    pub(crate) async fn probe(
        &self,
        survey: &Survey,
        write: Option<&Write>,
        lease: &Lease,
        deadline: Instant,
    ) -> Result<Turned, StoreError> {
        let store = self.store(deadline);
        let Some(flag) = self.key_to_probe(survey, deadline).await? else { return Ok(Turned::Enough) };
        if let Some(write) = write
            && !self.write(write, deadline).await?
        {
            return Ok(Turned::ReadAgain);
        }
        let left = Duration::from_millis(lease.expires.0.saturating_sub(now().0));
        // A probe that outlives its lease would be one more than may run.
        let until = deadline.min(Instant::now() + left);
        let result = match self.next_of(flag, deadline).await? {
            KeyStep::Send(event) => match timeout_at(until, self.send_parked(vec![event], until, deadline)).await {
                Ok(sent) => match sent?.0.first() {
                    Some(Sent::Gone) => ProbeResult::Success,
                    Some(Sent::Waits) => ProbeResult::Failure,
                    Some(Sent::Buried | Sent::Unsettled) | None => ProbeResult::Inconclusive,
                },
                Err(_) => ProbeResult::Inconclusive,
            },
            KeyStep::Clear(clear) => {
                store.clear(&clear).await?;
                self.report(&lease.owner, ProbeResult::Inconclusive, deadline).await?;
                return Ok(Turned::ReadAgain);
            }
        };
        self.report(&lease.owner, result, deadline).await?;
        // Without a pause it would only go round.
        Ok(if result == ProbeResult::Inconclusive { Turned::Enough } else { Turned::ReadAgain })
    }

    /// The key of the event that has waited longest. Where no survey knows it, or it waits no longer, the first key.
    async fn key_to_probe(&self, survey: &Survey, deadline: Instant) -> Result<Option<KeyFlag>, StoreError> {
        let store = self.store(deadline);
        if let Some(key) = &survey.oldest_key
            && let Some(flag) = store.flags(std::slice::from_ref(key)).await?.into_iter().next()
        {
            return Ok(Some(flag));
        }
        Ok(store.first_flags(1).await?.into_iter().next())
    }

    async fn report(&self, owner: &Owner, result: ProbeResult, deadline: Instant) -> Result<(), StoreError> {
        loop {
            let shared = self.read(deadline).await?;
            match shared.probe_ended(owner, result, now(), jitter(), self.settings()) {
                Step::Keep => return Ok(()),
                Step::Write(write) if self.write(&write, deadline).await? => return Ok(()),
                Step::Write(_) => {}
            }
        }
    }

    /// Sends what waits, first one event and then more side by side, each of another key, as long as the reading is good.
    async fn drain_for_a_while(
        &self,
        shared: Shared,
        progress: &mut Progress,
        deadline: Instant,
    ) -> Result<Turned, StoreError> {
        let store = self.store(deadline);
        let good_until = (Instant::now() + READING).min(deadline);
        // The record was read before the lot is looked at: that order makes the check right.
        let check = EmptyCheck::begin(&shared);
        while Instant::now() < good_until {
            let passed_over = u32::try_from(progress.passed_over.len()).unwrap_or(u32::MAX);
            let flags = store.first_flags(progress.ramp.allowance().saturating_add(passed_over)).await?;
            if flags.is_empty() {
                return self.declare_empty(&shared, check, deadline).await;
            }
            let flags: Vec<KeyFlag> =
                flags.into_iter().filter(|flag| !progress.passed_over.contains(&flag.key)).collect();
            if flags.is_empty() {
                return Ok(Turned::Enough);
            }
            let steps = join_all(flags.into_iter().map(|flag| self.next_of(flag, deadline))).await;
            let mut events = Vec::new();
            for step in steps {
                match step? {
                    KeyStep::Send(event) => events.push(event),
                    // If an event was parked meanwhile, the flag stays and is met again.
                    KeyStep::Clear(clear) => drop(store.clear(&clear).await?),
                }
            }
            if events.is_empty() {
                continue;
            }
            let keys: Vec<EventKey> = events.iter().map(|event| event.key.clone()).collect();
            let (sent, trip) = self.send_parked(events, deadline, deadline).await?;
            if let Some(trip) = trip {
                self.trip(shared, &trip, deadline).await;
                return Ok(Turned::ReadAgain);
            }
            if sent.contains(&Sent::Waits) {
                progress.ramp.failed();
                tokio::time::sleep(PAUSE).await;
                return Ok(Turned::ReadAgain);
            }
            let unsettled = keys.into_iter().zip(&sent).filter(|(_, sent)| **sent == Sent::Unsettled);
            progress.passed_over.extend(unsettled.map(|(key, _)| key));
            progress.ramp.succeeded();
        }
        Ok(Turned::ReadAgain)
    }

    async fn declare_empty(
        &self,
        shared: &Shared,
        check: Option<EmptyCheck>,
        deadline: Instant,
    ) -> Result<Turned, StoreError> {
        let store = self.store(deadline);
        let items = u64::from(!store.is_empty().await?);
        if let Some(Step::Write(write)) = check.map(|check| check.end(items))
            && self.write(&write, deadline).await?
        {
            // The next outage begins with nothing.
            store.note(&Survey { parks: shared.parks, ..Survey::default() }).await?;
        }
        Ok(Turned::ReadAgain)
    }

    async fn next_of(&self, flag: KeyFlag, deadline: Instant) -> Result<KeyStep, StoreError> {
        let drain = KeyDrain::begin(flag);
        let oldest = self.store(deadline).oldest(drain.key()).await?;
        Ok(drain.next(oldest))
    }

    /// Sends events until a moment, each of another key, and removes those that wait no longer; with what the window says of
    /// the peer.
    async fn send_parked(
        &self,
        events: Vec<ParkedEvent>,
        until: Instant,
        deadline: Instant,
    ) -> Result<(Vec<Sent>, Option<Trip>), StoreError> {
        let outgoing: Vec<OutgoingEvent> = events.iter().map(outgoing).collect();
        let (answers, trip) = self.send(&outgoing.iter().collect::<Vec<_>>(), until).await;
        let settled = events.iter().zip(answers).map(|(event, answer)| async move {
            let (sent, outcome) = match answer {
                Ok(_) => (Sent::Gone, "sent"),
                Err(error) if error.is_poison() => match self.bury(event, &error, deadline).await {
                    true => (Sent::Buried, "dead_letter"),
                    false => (Sent::Unsettled, "failed"),
                },
                Err(PublishError::HeldBack | PublishError::OutOfTime | PublishError::Denied { .. }) => {
                    (Sent::Unsettled, "failed")
                }
                Err(_) => (Sent::Waits, "failed"),
            };
            telemetry::DRAINED_EVENTS_TOTAL.inc(&[self.peer().as_str(), outcome]);
            if sent == Sent::Gone {
                let took = now().since(event.original_at).as_secs_f64();
                let ends = [self.region().as_str(), self.peer().as_str()];
                telemetry::CROSS_REGION_LATENCY_SECONDS.observe(&ends, took);
            }
            if matches!(sent, Sent::Gone | Sent::Buried) {
                self.store(deadline).delete(&event.acknowledged()).await?;
            }
            Ok(sent)
        });
        let sent: Result<Vec<Sent>, StoreError> = join_all(settled).await.into_iter().collect();
        Ok((sent?, trip))
    }

    /// Puts an event that the bus refuses among the dead letters; false if that didn't work.
    async fn bury(&self, event: &ParkedEvent, error: &PublishError, deadline: Instant) -> bool {
        let time = |Millis(millis)| {
            i64::try_from(millis).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok()).unwrap_or_default()
        };
        let correlation = outgoing(event).correlation();
        let letter = DeadLetterEvent {
            program: EventRouter::NAME.to_owned(),
            program_version: env!("CARGO_PKG_VERSION").to_owned(),
            region: self.region().clone(),
            source: format!("{PARKED_FOR}{}", self.peer()),
            position: event.position.to_string(),
            error_class: error.class().to_owned(),
            message: error.to_string(),
            attempts: event.attempts + 1,
            first_seen: time(event.parked_at),
            failed_at: Timestamp::now(),
            trace: trace_of(event),
            trace_id: correlation.trace_id(),
            traceparent: correlation.traceparent,
            record_encoding: RecordEncoding::Json,
            record: JsonText::parse_or_quote(&String::from_utf8_lossy(&event.body)),
        };
        let (event_id, trace_id) = (&*event.event_id, correlation.trace_id().map(display));
        match timeout_at(deadline, self.letters().send(&letter)).await {
            Ok(Ok(())) => {
                let error = error as &dyn Error;
                tracing::error!(event_id, trace_id, error, "parked event went to the dead-letter queue");
                true
            }
            Ok(Err(error)) => {
                tracing::error!(event_id, trace_id, error = &error as &dyn Error, "dead letter was not stored");
                false
            }
            Err(_) => false,
        }
    }
}

/// Where the change came from, if the envelope can be opened.
fn trace_of(event: &ParkedEvent) -> Option<Trace> {
    let envelope: Envelope = serde_json::from_slice(&event.body).ok()?;
    Some(cross_region::open(&envelope).ok()?.trace)
}

fn outgoing(event: &ParkedEvent) -> OutgoingEvent {
    OutgoingEvent::parked(&event.key.0, String::from_utf8_lossy(&event.body).into_owned())
}
