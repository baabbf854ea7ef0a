//! Ownership carried out: reading the record of authority, waiting for the region's turn, and serving while it lasts.
//!
//! What is decided is in [`crate::ownership`]. Reading is a task of its own, since a rebalance may hold the pipeline's task up,
//! and the end of a lease waits for nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aws::authority::{AuthorityError, ReadAuthority};
use contracts::CdcConsumer;
use events::Timestamp;
use events::dead_letter::chain;
use tokio::sync::watch;

use crate::clock::{Clock, within};
use crate::ownership::{Decision, Known, Moment, Reason, Record, Rules, Tenure, decide, left};
use crate::pipeline::{Complete, Consuming, Pipeline};
use crate::presence::{Phase, Presence};
use crate::source::Source;

/// Where the right to write comes from.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one in a process")]
pub enum Authority<R> {
    /// The record.
    Record(Watcher<R>),
    /// Nobody takes it away.
    Fixed(Tenure),
}

impl<R: ReadAuthority + Send + 'static> Authority<R> {
    /// Waits until this region owns.
    pub async fn begins(&mut self) -> Tenure {
        match self {
            Self::Record(watcher) => watcher.begins().await,
            Self::Fixed(tenure) => tenure.clone(),
        }
    }

    /// Watches the tenure that has begun, in a task that lives as long as somebody looks.
    pub fn watch(self, tenure: Tenure) -> Watched {
        let (orders, watched) = watch::channel(Order::GoOn);
        if let Self::Record(watcher) = self {
            tokio::spawn(watcher.watch(tenure, orders));
        } else {
            // Nothing is ever ordered, for as long as somebody looks.
            tokio::spawn(async move { orders.closed().await });
        }
        Watched(watched)
    }
}

/// Reads the record again and again.
#[derive(Debug)]
pub struct Watcher<R> {
    record: R,
    rules: Rules,
    interval: Duration,
    timeout: Duration,
    presence: Arc<Presence>,
    clocks: Clocks,
    known: Known,
}

impl<R: ReadAuthority> Watcher<R> {
    /// A watcher with the settings of `config`, that hasn't read anything. It tells `presence` how things stand, waits by
    /// `clock`, and knows the time of day by `time_of_day`.
    pub fn new(
        record: R,
        config: &CdcConsumer,
        presence: Arc<Presence>,
        clock: Arc<dyn Clock>,
        time_of_day: fn() -> Timestamp,
    ) -> Self {
        Self {
            record,
            rules: Rules::of(config),
            interval: config.settings.authority_interval,
            timeout: config.settings.authority_timeout,
            presence,
            clocks: Clocks::start(clock, time_of_day),
            known: Known::default(),
        }
    }

    /// Waits until this region owns.
    pub async fn begins(&mut self) -> Tenure {
        let mut told = None;
        loop {
            self.read(self.timeout).await;
            match self.decide(None) {
                Decision::Own(tenure) => {
                    tracing::info!(epoch = tenure.epoch, lease_until = until(&tenure), "owner");
                    return tenure;
                }
                Decision::StandBy(reason) | Decision::HandOver { reason, .. } | Decision::Stop(reason) => {
                    if told.as_ref() != Some(&reason) {
                        tracing::info!(reason = reason.to_string(), "standing_by");
                    }
                    self.presence.enter(Phase::StandingBy(reason.clone()));
                    told = Some(reason);
                }
            }
            self.clocks.clock.sleep(self.interval).await;
        }
    }

    /// Watches a tenure until it is over at once, or nobody looks any more.
    async fn watch(mut self, mut tenure: Tenure, orders: watch::Sender<Order>) {
        loop {
            let now = self.clocks.now();
            let rest = left(tenure.lease_until, now, &self.rules);
            tokio::select! {
                () = orders.closed() => return,
                () = self.clocks.clock.sleep(rest.map_or(self.interval, |rest| rest.min(self.interval))) => {}
            }
            // A reading may take longer than the lease lasts.
            let rest = left(tenure.lease_until, self.clocks.now(), &self.rules);
            if rest != Some(Duration::ZERO) {
                self.read(rest.map_or(self.timeout, |rest| rest.min(self.timeout))).await;
            }
            match self.decide(Some(&tenure)) {
                Decision::Own(renewed) => tenure = renewed,
                Decision::HandOver { reason, lease_until } => {
                    tenure.lease_until = lease_until;
                    orders.send_if_modified(|order| order.raise(Order::HandOver(reason)));
                }
                Decision::Stop(reason) | Decision::StandBy(reason) => {
                    orders.send_replace(Order::Stop(reason));
                    return;
                }
            }
        }
    }

    fn decide(&mut self, tenure: Option<&Tenure>) -> Decision {
        let now = self.clocks.now();
        decide(tenure, &self.known, now, &self.rules)
    }

    /// Reads the record once; what can't be read changes nothing that is known.
    async fn read(&mut self, limit: Duration) {
        let began = self.clocks.now();
        let read = within(&*self.clocks.clock, limit, self.record.read()).await;
        let read = read.unwrap_or(Err(AuthorityError::Timeout { limit }));
        if let Err(error) = &read {
            telemetry::DYNAMODB_ERRORS_TOTAL.inc(&["read_authority", error.class()]);
            tracing::warn!(class = error.class(), error = chain(error), "authority_unread");
        }
        let before = self.known.newest().cloned();
        self.known.note(began, read.ok().map(|record| Record::from(record.as_ref())));
        if self.known.is_behind() {
            let epoch = self.known.newest().map(Record::epoch);
            tracing::error!(
                known = epoch,
                "the record of authority has a lower epoch than one that is known, or is gone"
            );
        }
        measure(before.as_ref(), self.known.newest());
    }
}

/// Shows the epoch, by its owner.
fn measure(before: Option<&Record>, newest: Option<&Record>) {
    let owner = |record: &Record| match record {
        Record::Absent => "none".to_owned(),
        Record::Decided { owner, .. } => owner.to_string(),
    };
    if let Some(before) = before.filter(|before| Some(owner(before)) != newest.map(owner)) {
        telemetry::REGION_AUTHORITY_EPOCH.remove(&[&owner(before)]);
    }
    if let Some(newest) = newest {
        telemetry::REGION_AUTHORITY_EPOCH.set(&[&owner(newest)], newest.epoch() as f64);
    }
}

fn until(tenure: &Tenure) -> String {
    tenure.lease_until.map_or_else(|| "none".to_owned(), |until| until.to_string())
}

/// Both clocks.
#[derive(Debug)]
struct Clocks {
    clock: Arc<dyn Clock>,
    start: Instant,
    last: Moment,
    time_of_day: fn() -> Timestamp,
}

impl Clocks {
    fn start(clock: Arc<dyn Clock>, time_of_day: fn() -> Timestamp) -> Self {
        let last = Moment { running: Duration::ZERO, time: time_of_day() };
        Self { start: clock.now(), clock, last, time_of_day }
    }

    fn now(&mut self) -> Moment {
        self.last = self.last.then(self.clock.now().saturating_duration_since(self.start), (self.time_of_day)());
        self.last
    }
}

/// What a watcher tells those who write.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Order {
    GoOn,
    HandOver(Reason),
    Stop(Reason),
}

impl Order {
    /// Becomes `order` if nothing else was ordered before.
    fn raise(&mut self, order: Self) -> bool {
        let is_first = *self == Self::GoOn;
        if is_first {
            *self = order;
        }
        is_first
    }
}

/// A tenure that is watched; the watching ends with the last copy.
#[derive(Clone, Debug)]
pub struct Watched(watch::Receiver<Order>);

impl Watched {
    /// Waits until the tenure ends in order; it may end at once instead, or after.
    pub async fn handed_over(&mut self) -> Reason {
        self.ordered(|order| match order {
            Order::HandOver(reason) => Some(reason.clone()),
            Order::GoOn | Order::Stop(_) => None,
        })
        .await
    }

    /// Waits until the tenure ends at once.
    pub async fn stopped(&mut self) -> Reason {
        self.ordered(|order| match order {
            Order::Stop(reason) => Some(reason.clone()),
            Order::GoOn | Order::HandOver(_) => None,
        })
        .await
    }

    async fn ordered(&mut self, wanted: impl Fn(&Order) -> Option<Reason>) -> Reason {
        let found = self.0.wait_for(|order| wanted(order).is_some()).await;
        match found.ok().and_then(|order| wanted(&order)) {
            Some(reason) => reason,
            // The watcher's task is gone, by a panic or with its runtime: nobody would say when to stop.
            None => Reason::Unknown,
        }
    }
}

/// How serving ended.
#[derive(Debug)]
pub enum Ended {
    /// The pipeline ended by itself, or because it was asked to.
    Complete(Complete),
    /// It drained because somebody decided anew.
    HandedOver {
        /// Why.
        reason: Reason,
        /// What became of the pipeline.
        complete: Complete,
    },
    /// It was cut off at once: nothing more was written or committed.
    Stopped(Reason),
}

/// Runs a pipeline until `shutdown` is done, the pipeline must stop, or the tenure ends.
pub async fn serve<M: Source>(
    pipeline: Pipeline<Consuming, M>,
    watched: Watched,
    presence: Arc<Presence>,
    shutdown: impl Future<Output = ()>,
) -> Ended {
    presence.enter(Phase::Owning(pipeline.status()));
    let (mut handed_over, mut stopped) = (watched.clone(), watched);
    let consume = async {
        let mut handover = None;
        let end = async {
            tokio::select! {
                () = shutdown => {}
                reason = handed_over.handed_over() => {
                    tracing::warn!(reason = reason.to_string(), "handing_over");
                    handover = Some(reason);
                }
            }
        };
        let draining = pipeline.run(end).await;
        tracing::info!("draining");
        presence.enter(Phase::Ending);
        let complete = draining.drain().await;
        match handover {
            Some(reason) => Ended::HandedOver { reason, complete },
            None => Ended::Complete(complete),
        }
    };
    // Dropping a pipeline cuts its lanes off.
    tokio::select! {
        biased;
        reason = stopped.stopped() => Ended::Stopped(reason),
        ended = consume => ended,
    }
}
