//! Taking parked events up again: probes while the breaker isn't closed, and the drain once it is.
//!
//! A run of the drain is started by the schedule each minute and goes on until nothing waits, the peer fails, or its time is
//! over. Runs may overlap: an event may then be sent twice, under one id, and none overtakes another of its key.

use aws::dead_letters::SendDeadLetters;
use aws::publisher::{OutgoingEvent, PublishError, PublishEvents};
use aws::routes::{Counted, RouteStore, StoreError};
use breaker::{
    EmptyCheck, KeyDrain, KeyFlag, KeyStep, Lease, Lot, Millis, Owner, ParkedEvent, ProbeResult, Ramp, Shared, Step,
    Survey, Turn, Write,
};
use contracts::EventRouter;
use events::dead_letter::{DeadLetterEvent, PARKED_FOR, RecordEncoding};
use events::{JsonText, Timestamp};
use futures::future::join_all;
use std::error::Error;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout_at};
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
    /// A table couldn't be reached.
    Broken,
}

impl Ended {
    /// A word for the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Waiting => "waiting",
            Self::OutOfTime => "out_of_time",
            Self::Broken => "broken",
        }
    }
}

/// What came of sending a parked event.
enum Sent {
    /// The peer has it, or it lies among the dead letters; it waits no longer.
    Gone,
    /// The peer didn't take it; it waits on.
    Waits,
    /// It says nothing about the peer, and it waits on.
    Unsettled,
}

impl<P: PublishEvents, S: RouteStore, D: SendDeadLetters> Guarded<P, S, D> {
    /// Sends what waits, until nothing waits or it can't go on.
    pub async fn drain(&self, deadline: Instant) -> Ended {
        let ended = match self.run(deadline).await {
            Ok(ended) => ended,
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, peer = self.peer().as_str(), "drain was broken off");
                Ended::Broken
            }
        };
        tracing::info!(peer = self.peer().as_str(), ended = ended.as_str(), "drain ended");
        ended
    }

    async fn run(&self, deadline: Instant) -> Result<Ended, StoreError> {
        let owner = Owner(Uuid::new_v4().to_string().into());
        let mut surveyed = false;
        while Instant::now() < deadline {
            let shared = self.read().await?;
            if !surveyed {
                surveyed = true;
                self.survey(&shared).await?;
            }
            match shared.turn(&owner, now(), self.settings()) {
                Turn::Rest => return Ok(Ended::Empty),
                Turn::Wait(None) => return Ok(Ended::Waiting),
                Turn::Wait(Some(until)) => {
                    let pause = Duration::from_millis(until.0.saturating_sub(now().0).max(1));
                    if Instant::now() + pause >= deadline {
                        return Ok(Ended::Waiting);
                    }
                    sleep_until(Instant::now() + pause).await;
                }
                Turn::Probe { write, lease } => {
                    if !self.probe(write.as_deref(), &lease, deadline).await? {
                        return Ok(Ended::Waiting);
                    }
                }
                Turn::Drain => {
                    if !self.drain_all(&shared, deadline).await? {
                        return Ok(if Instant::now() < deadline { Ended::Waiting } else { Ended::OutOfTime });
                    }
                }
            }
        }
        Ok(Ended::OutOfTime)
    }

    /// Counts what waits, for metrics and for the bounds of the lot.
    async fn survey(&self, shared: &Shared) -> Result<(), StoreError> {
        let peer = self.peer().as_str();
        let counted = match shared.state.lot() {
            Lot::Empty => Counted { events: 0, oldest: None },
            Lot::InUse => match self.store().count().await? {
                Some(counted) => {
                    let survey = Survey { parks: shared.parks, depth: counted.events, oldest: counted.oldest };
                    self.store().note(&survey).await?;
                    counted
                }
                None => Counted { events: shared.depth(), oldest: shared.survey.oldest },
            },
        };
        #[expect(clippy::cast_precision_loss, reason = "a count beyond 2^53 is beyond every lot")]
        telemetry::PARKING_DEPTH.set(&[peer], counted.events as f64);
        let age = counted.oldest.map_or(Duration::ZERO, |oldest| now().since(oldest));
        telemetry::PARKING_OLDEST_AGE_SECONDS.set(&[peer], age.as_secs_f64());
        Ok(())
    }

    /// One probe: the lease, the oldest event of a key that waits, and what came of it. False if there is nothing more to do
    /// for now.
    pub(crate) async fn probe(
        &self,
        write: Option<&Write>,
        lease: &Lease,
        deadline: Instant,
    ) -> Result<bool, StoreError> {
        let Some(flag) = self.store().first_flags(1).await?.into_iter().next() else { return Ok(false) };
        if let Some(write) = write
            && !self.write(write).await?
        {
            return Ok(true);
        }
        let left = Duration::from_millis(lease.expires.0.saturating_sub(now().0));
        let deadline = deadline.min(Instant::now() + left);
        let result = match self.next_of(flag).await? {
            // A probe that outlives its lease would be one more than may run.
            KeyStep::Send(event) => match timeout_at(deadline, self.send_parked(vec![event], deadline)).await {
                Ok(sent) => match sent?.0.first() {
                    Some(Sent::Gone) => ProbeResult::Success,
                    Some(Sent::Waits) => ProbeResult::Failure,
                    Some(Sent::Unsettled) | None => ProbeResult::Inconclusive,
                },
                Err(_) => ProbeResult::Failure,
            },
            KeyStep::Clear(clear) => {
                self.store().clear(&clear).await?;
                ProbeResult::Inconclusive
            }
        };
        self.report(&lease.owner, result).await?;
        Ok(true)
    }

    async fn report(&self, owner: &Owner, result: ProbeResult) -> Result<(), StoreError> {
        loop {
            let shared = self.read().await?;
            match shared.probe_ended(owner, result, now(), jitter(), self.settings()) {
                Step::Keep => return Ok(()),
                Step::Write(write) if self.write(&write).await? => return Ok(()),
                Step::Write(_) => {}
            }
        }
    }

    /// Sends what waits, first one event and then more side by side, each of another key. True if nothing waits any more or
    /// the record has changed, so that it is to be read again.
    async fn drain_all(&self, shared: &Shared, deadline: Instant) -> Result<bool, StoreError> {
        // The record was read before the lot is looked at: that order makes the check right.
        let check = EmptyCheck::begin(shared);
        let mut ramp = Ramp::new(self.settings());
        loop {
            if Instant::now() >= deadline {
                return Ok(false);
            }
            let flags = self.store().first_flags(ramp.allowance()).await?;
            if flags.is_empty() {
                break;
            }
            let steps = join_all(flags.into_iter().map(|flag| self.next_of(flag))).await;
            let mut events = Vec::new();
            for step in steps {
                match step? {
                    KeyStep::Send(event) => events.push(event),
                    // If an event was parked meanwhile, the flag stays and is met again.
                    KeyStep::Clear(clear) => drop(self.store().clear(&clear).await?),
                }
            }
            if events.is_empty() {
                continue;
            }
            let (sent, trip) = self.send_parked(events, deadline).await?;
            if let Some(trip) = trip {
                self.trip(shared, &trip).await;
            }
            if sent.iter().any(|sent| !matches!(sent, Sent::Gone)) {
                ramp.failed();
                return Ok(false);
            }
            ramp.succeeded();
        }
        let items = u64::from(!self.store().is_empty().await?);
        match check.map(|check| check.end(items)) {
            Some(Step::Write(write)) => self.write(&write).await.map(|_| true),
            _ => Ok(true),
        }
    }

    async fn next_of(&self, flag: KeyFlag) -> Result<KeyStep, StoreError> {
        let drain = KeyDrain::begin(flag);
        let oldest = self.store().oldest(drain.key()).await?;
        Ok(drain.next(oldest))
    }

    /// Sends events, each of another key, and removes those that the peer has; with what the window says of the peer.
    async fn send_parked(
        &self,
        events: Vec<ParkedEvent>,
        deadline: Instant,
    ) -> Result<(Vec<Sent>, Option<breaker::Trip>), StoreError> {
        let (answers, trip) = self.send(events.iter().map(outgoing).collect(), deadline).await;
        let settled = events.iter().zip(answers).map(|(event, answer)| async move {
            let (sent, outcome) = match answer {
                Ok(_) => (Sent::Gone, "sent"),
                Err(error) if error.is_poison() => match self.bury(event, &error).await {
                    true => (Sent::Gone, "dead_letter"),
                    false => (Sent::Unsettled, "failed"),
                },
                Err(PublishError::HeldBack | PublishError::Denied { .. }) => (Sent::Unsettled, "failed"),
                Err(_) => (Sent::Waits, "failed"),
            };
            telemetry::DRAINED_EVENTS_TOTAL.inc(&[self.peer().as_str(), outcome]);
            if matches!(sent, Sent::Gone) {
                self.store().delete(&event.acknowledged()).await?;
            }
            Ok(sent)
        });
        let sent: Result<Vec<Sent>, StoreError> = join_all(settled).await.into_iter().collect();
        Ok((sent?, trip))
    }

    /// Puts an event that the bus refuses among the dead letters; false if that didn't work.
    async fn bury(&self, event: &ParkedEvent, error: &PublishError) -> bool {
        let time = |Millis(millis)| {
            i64::try_from(millis).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok()).unwrap_or_default()
        };
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
            trace: None,
            record_encoding: RecordEncoding::Json,
            record: JsonText::parse_or_quote(&String::from_utf8_lossy(&event.body)),
        };
        match self.letters().send(&letter).await {
            Ok(()) => {
                let event_id = &*event.event_id;
                tracing::error!(event_id, error = error as &dyn Error, "parked event went to the dead-letter queue");
                true
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn Error, "dead letter was not stored");
                false
            }
        }
    }
}

fn outgoing(event: &ParkedEvent) -> OutgoingEvent {
    OutgoingEvent::parked(&event.key.0, String::from_utf8_lossy(&event.body).into_owned())
}
