//! One partition's work: decode, apply, and know what is done.
//!
//! A lane is a task that owns everything about its partition, so there are no locks on the way of a message.
//! Its bounds: the inbox and the messages in work together hold what [`Limits`] allow, then the pipeline pauses the partition, and that one only.
//! A message that waits for its next attempt holds up its own key and nothing else.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws::Applied;
use events::dead_letter::{PANIC, caught, chain};
use events::qlik::{self, Change, DecodeError, Decoded, Fence, Origin, Poison, SchemaId, SchemaLookup};
use events::{Correlation, Entity, EntityKey, Operation, RowWrite, Timestamp};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rdkafka::error::KafkaError;
use rdkafka::message::{Message, OwnedMessage};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tracing::field::display;

use crate::backoff::Backoff;
use crate::clock::{Clock, within};
use crate::dead_letter::{DeadLetterSink, Diagnosis};
use crate::keyed::KeyQueues;
use crate::message::{correlation, trace_context, view};
use crate::registry::{FetchError, Registry};
use crate::sink::{Sink, SinkError};
use crate::tracker::PrefixTracker;

/// The longest that one write may take before it counts as failed and is tried again.
/// The sink's own timeouts are shorter; this is the net below them.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How often the registry must say that it doesn't have a schema before the message is given up.
const ABSENCE_ATTEMPTS: u32 = 3;

/// How much one partition may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages of one partition that may be unfinished.
    pub messages: usize,
    /// Bytes of one partition that may be unfinished.
    pub bytes: usize,
}

/// What every lane works with.
#[derive(Debug)]
pub struct Tools<S, D> {
    /// Where rows go.
    pub sink: S,
    /// Where messages go that can't be applied.
    pub dead_letters: D,
    /// Where schemas come from.
    pub registry: Arc<Registry>,
    /// What is added to every row.
    pub fence: Fence,
    /// How much one partition may hold.
    pub limits: Limits,
    /// Writes of all partitions that may be under way at once.
    pub writes: Semaphore,
    /// What is waited by.
    pub clock: Arc<dyn Clock>,
    /// Waiting times between attempts: the first and the longest.
    pub backoff: (Duration, Duration),
    /// Waiting time between two questions for a schema that the registry doesn't have.
    pub absence_wait: Duration,
    /// How long a message waits for what another one brings before it becomes a dead letter.
    ///
    /// A change of only some columns waits for its row: the complete row may be on its way in another partition, and meanwhile
    /// later changes of the row wait too. A change whose schema no metadata message has announced holds up its partition.
    pub row_wait: Duration,
}

/// Error class of a change of only some columns whose row didn't come.
///
/// The dead letter is the whole message. Replaying it helps only as long as no later change of the row was applied:
/// after one the replay is stale, and the row must be loaded from the source again.
const PARTIAL_WITHOUT_ROW: &str = "partial_without_row";

/// The waits between the attempts of one message, cut short when the lane stops:
/// a message that waits for its next attempt has nothing under way, so leaving it to the partition's next owner is safe.
struct Patience {
    clock: Arc<dyn Clock>,
    backoff: Backoff,
    stop: watch::Receiver<bool>,
}

/// The lane stops.
struct Stopped;

impl Patience {
    fn new<S, D>(tools: &Tools<S, D>, stop: watch::Receiver<bool>) -> Self {
        Self { clock: Arc::clone(&tools.clock), backoff: Backoff::new(tools.backoff.0, tools.backoff.1), stop }
    }

    /// The number of the attempt that just failed, from 1.
    fn attempt(&self) -> u32 {
        self.backoff.attempts() + 1
    }

    /// Waits for the next waiting time.
    async fn wait(&mut self) -> Result<(), Stopped> {
        let wait = self.backoff.next_wait();
        self.wait_for(wait).await
    }

    /// Waits for a given time.
    async fn wait_for(&mut self, wait: Duration) -> Result<(), Stopped> {
        let over = self.clock.sleep(wait);
        self.or_stop(over).await
    }

    /// Waits for something else.
    async fn or_stop<T>(&mut self, other: impl Future<Output = T>) -> Result<T, Stopped> {
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|stopping| *stopping) => Err(Stopped),
            done = other => Ok(done),
        }
    }
}

/// What lanes and rebalances tell the pipeline.
#[derive(Debug, Default)]
pub struct Signals {
    /// Rung when a lane has room again or the pipeline must stop.
    pub wake: Notify,
    halt: Mutex<Option<Halt>>,
}

impl Signals {
    /// Orders the pipeline to stop. The first order counts, but losing authority outranks every other.
    pub fn order(&self, halt: Halt) {
        let mut slot = self.halt.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.is_none() || matches!(halt, Halt::Fenced(_)) {
            *slot = Some(halt);
        }
        drop(slot);
        self.wake.notify_one();
    }

    /// Takes the order to stop, if there is one.
    pub fn take_order(&self) -> Option<Halt> {
        self.halt.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Why the pipeline must stop.
#[derive(Debug)]
pub enum Halt {
    /// A writer with a higher authority epoch has taken over; what the sink said.
    Fenced(String),
    /// A message can neither be applied nor be put onto the dead-letter topic.
    DeadLetterTooLarge(DeadLetterTooLarge),
    /// A step of a rebalance failed.
    Rebalance(KafkaError),
    /// Partitions came and the group's coordinator didn't say where to start them.
    OffsetsUnknown(KafkaError),
}

/// A message can neither be applied nor be put onto the dead-letter topic. It isn't skipped: its offset stays uncommitted.
#[derive(Debug, thiserror::Error)]
#[error(
    "the message at offset {offset} of `{topic}`, partition {partition}, can't be applied ({class}) and is larger than \
     the dead-letter topic `{dead_letter_topic}` takes; raise that topic's `max.message.bytes` above {bytes} bytes \
     with some room for headers, then start again"
)]
pub struct DeadLetterTooLarge {
    /// The message's topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// Its size, key and value, in bytes.
    pub bytes: usize,
    /// Why it can't be applied.
    pub class: &'static str,
    /// The topic that didn't take it.
    pub dead_letter_topic: String,
}

/// What a lane shows of its state, for the pipeline, commits and metrics.
#[derive(Debug)]
pub struct Progress {
    in_flight: AtomicUsize,
    bytes: AtomicUsize,
    /// The offset to commit; negative before the first message.
    position: AtomicI64,
    /// The offset that the broker has acknowledged; negative before the first commit.
    committed: AtomicI64,
    /// Time of the oldest unfinished message in milliseconds since 1970; negative when there is none.
    oldest_millis: AtomicI64,
    paused: AtomicBool,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            in_flight: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            position: AtomicI64::new(-1),
            committed: AtomicI64::new(-1),
            oldest_millis: AtomicI64::new(-1),
            paused: AtomicBool::new(false),
        }
    }
}

impl Progress {
    /// The offset to commit, if it is ahead of what is committed.
    pub fn to_commit(&self) -> Option<i64> {
        let position = self.position();
        position.filter(|position| *position > self.committed.load(Ordering::Acquire))
    }

    /// One past the last message of the done prefix. None before the first message.
    pub fn position(&self) -> Option<i64> {
        Some(self.position.load(Ordering::Acquire)).filter(|position| *position >= 0)
    }

    /// Remembers what the broker has acknowledged.
    pub fn set_committed(&self, offset: i64) {
        self.committed.fetch_max(offset, Ordering::AcqRel);
    }

    /// How old the oldest unfinished message is.
    pub fn oldest_age(&self, now: Timestamp) -> Option<Duration> {
        let millis = Some(self.oldest_millis.load(Ordering::Acquire)).filter(|millis| *millis >= 0)?;
        Some(Duration::from_millis(u64::try_from(now.as_millisecond() - millis).unwrap_or(0)))
    }
}

/// A lane as its owner holds it.
#[derive(Debug)]
pub struct Lane {
    inbox: mpsc::Sender<Arrived>,
    stop: watch::Sender<bool>,
    /// True when the task has returned; closed without it when the task was aborted or has panicked.
    ended: watch::Receiver<bool>,
    task: JoinHandle<()>,
    limits: Limits,
    progress: Arc<Progress>,
}

#[derive(Debug)]
struct Arrived {
    message: OwnedMessage,
    at: Instant,
}

impl Lane {
    /// Starts a lane.
    pub fn spawn<S: Sink, D: DeadLetterSink>(
        entity: Entity,
        tools: Arc<Tools<S, D>>,
        signals: Arc<Signals>,
        runtime: &tokio::runtime::Handle,
    ) -> Self {
        // Twice the limit: the partition is paused at the limit, and what librdkafka hands over until the pause holds needs room.
        let (inbox, arrivals) = mpsc::channel(tools.limits.messages.saturating_mul(2).max(2));
        let (stop, stopped) = watch::channel(false);
        let progress = Arc::new(Progress::default());
        let limits = tools.limits;
        let worker = Worker {
            entity,
            stop: stopped,
            tools,
            signals,
            progress: Arc::clone(&progress),
            tracker: PrefixTracker::default(),
            queues: KeyQueues::default(),
            jobs: HashMap::new(),
            running: FuturesUnordered::new(),
            waiting_for_schema: None,
        };
        let (has_ended, ended) = watch::channel(false);
        let task = runtime.spawn(async move {
            worker.run(arrivals).await;
            has_ended.send_replace(true);
        });
        Self { inbox, stop, ended, task, limits, progress }
    }

    /// Hands over a message. True when the partition must be paused now.
    ///
    /// # Errors
    /// When the lane's task is gone, which only a panic can cause.
    pub async fn hand_over(&self, message: OwnedMessage) -> Result<bool, LaneGone> {
        let size = message_size(&message);
        let in_flight = self.progress.in_flight.fetch_add(1, Ordering::AcqRel) + 1;
        let bytes = self.progress.bytes.fetch_add(size, Ordering::AcqRel) + size;
        let arrived = Arrived { message, at: Instant::now() };
        self.inbox.send(arrived).await.map_err(|_| LaneGone)?;
        let full = in_flight >= self.limits.messages || bytes >= self.limits.bytes;
        Ok(full && !self.progress.paused.swap(true, Ordering::AcqRel))
    }

    /// Whether the partition was paused and has room again; says so once.
    pub fn take_relief(&self) -> bool {
        let has_room = self.progress.in_flight.load(Ordering::Acquire) <= self.limits.messages / 2
            && self.progress.bytes.load(Ordering::Acquire) <= self.limits.bytes / 2;
        has_room && self.progress.paused.swap(false, Ordering::AcqRel)
    }

    /// The lane's state.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Whether the lane's task has ended without being told to.
    pub fn is_gone(&self) -> bool {
        self.task.is_finished() && !*self.stop.borrow()
    }

    /// Tells the lane to finish what has begun and to leave the rest.
    pub fn begin_drain(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until the lane has ended. True when everything that had begun was finished.
    /// Past the deadline the lane is aborted; what it had not finished is delivered again.
    pub async fn drained(&self, deadline: impl Future<Output = ()>) -> bool {
        let mut ended = self.ended.clone();
        let in_time = tokio::select! {
            biased;
            ended = ended.wait_for(|ended| *ended) => ended.is_ok(),
            () = deadline => false,
        };
        self.task.abort();
        in_time
    }
}

impl Drop for Lane {
    /// A lane without an owner must not go on writing: its partition may belong to someone else.
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A lane's task has ended by a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a partition's worker has ended unexpectedly; its last log lines say why")]
pub struct LaneGone;

fn message_size(message: &OwnedMessage) -> usize {
    message.payload().map_or(0, <[u8]>::len) + message.key().map_or(0, <[u8]>::len)
}

struct Worker<S, D> {
    entity: Entity,
    stop: watch::Receiver<bool>,
    tools: Arc<Tools<S, D>>,
    signals: Arc<Signals>,
    progress: Arc<Progress>,
    tracker: PrefixTracker,
    queues: KeyQueues<EntityKey, i64>,
    /// Unfinished messages by offset.
    jobs: HashMap<i64, Job>,
    running: FuturesUnordered<Pin<Box<dyn Future<Output = Finished> + Send>>>,
    /// The message that can't be decoded before a schema has come. Later ones wait behind it, because their keys are unknown.
    waiting_for_schema: Option<Arrived>,
}

struct Job {
    size: usize,
    arrived: Instant,
    millis: i64,
    keys: Vec<EntityKey>,
    /// What is to be done; taken when it begins.
    work: Option<Work>,
}

enum Work {
    Apply { operation: Operation, writes: Vec<RowWrite>, message: OwnedMessage },
    GiveUp { message: OwnedMessage, diagnosis: Diagnosis },
}

enum Finished {
    Done {
        offset: i64,
    },
    Schema {
        result: Result<(), Unfetched>,
    },
    /// Given back undone, because the lane stops.
    Left,
    /// Undone, and the whole pipeline must stop.
    Halted(Halt),
}

/// A schema that can't be had.
struct Unfetched {
    error: FetchError,
    attempts: u32,
    first_seen: Timestamp,
}

/// Why work on a message ended before the message was done.
enum Interrupted {
    Stopped,
    Halt(Halt),
}

impl From<Stopped> for Interrupted {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl From<Interrupted> for Finished {
    fn from(interrupted: Interrupted) -> Self {
        match interrupted {
            Interrupted::Stopped => Self::Left,
            Interrupted::Halt(halt) => Self::Halted(halt),
        }
    }
}

impl<S: Sink, D: DeadLetterSink> Worker<S, D> {
    async fn run(mut self, mut arrivals: mpsc::Receiver<Arrived>) {
        let mut stop = self.stop.clone();
        loop {
            let stopping = *stop.borrow_and_update();
            if stopping && self.running.is_empty() {
                return;
            }
            tokio::select! {
                biased;
                changed = stop.changed(), if !stopping => {
                    if changed.is_err() {
                        return;
                    }
                }
                Some(finished) = self.running.next() => self.finished(finished, stopping),
                Some(arrived) = arrivals.recv(), if !stopping && self.waiting_for_schema.is_none() => self.take_up(arrived),
                else => return,
            }
        }
    }

    fn take_up(&mut self, arrived: Arrived) {
        let message = &arrived.message;
        if !self.tracker.start(message.offset()) {
            // Kafka repeats messages after a seek or a broken fetch; this one is in work or done.
            self.release(message_size(message));
            return;
        }
        let topic = message.topic();
        telemetry::KAFKA_MESSAGES_CONSUMED_TOTAL.inc(&[topic]);
        if let Some(Err(_)) = trace_context(message) {
            telemetry::TRACE_CONTEXTS_IGNORED_TOTAL.inc(&["kafka"]);
        }
        let job = Job {
            size: message_size(message),
            arrived: arrived.at,
            millis: message.timestamp().to_millis().unwrap_or(0),
            keys: Vec::new(),
            work: None,
        };
        self.jobs.insert(message.offset(), job);
        self.decode(arrived);
        self.publish_progress();
    }

    fn decode(&mut self, arrived: Arrived) {
        let message = &arrived.message;
        let view = view(self.entity, message);
        let decoded = match caught(|| qlik::decode(&*self.tools.registry, &view)) {
            Ok(decoded) => decoded,
            Err(panic) => {
                let diagnosis = panic_diagnosis(panic, &view, correlation(message));
                self.give_up(arrived.message, diagnosis);
                return;
            }
        };
        match decoded {
            Ok(Decoded::Change(change)) => self.begin_change(change, arrived.message),
            Ok(Decoded::CompactionMark) => {
                count(self.entity, "none", "compaction_mark");
                self.done(message.offset());
            }
            Ok(Decoded::Metadata(announcement)) => {
                if let Some(announcement) = announcement {
                    self.tools.registry.announce(*announcement);
                }
                count(self.entity, "none", "metadata");
                self.done(message.offset());
            }
            Err(DecodeError::UnknownSchema(id)) => {
                let tools = Arc::clone(&self.tools);
                let patience = Patience::new(&tools, self.stop.clone());
                self.waiting_for_schema = Some(arrived);
                self.running.push(Box::pin(async move {
                    match fetch_schema(&tools, id, patience).await {
                        Ok(result) => Finished::Schema { result },
                        Err(Stopped) => Finished::Left,
                    }
                }));
            }
            Err(DecodeError::UnannouncedSchema(id)) => {
                let tools = Arc::clone(&self.tools);
                let patience = Patience::new(&tools, self.stop.clone());
                self.waiting_for_schema = Some(arrived);
                self.running.push(Box::pin(async move {
                    match await_announcement(&tools, id, patience).await {
                        Ok(result) => Finished::Schema { result },
                        Err(Stopped) => Finished::Left,
                    }
                }));
            }
            Err(DecodeError::Poison(poison)) => {
                let correlation = correlation(message);
                let diagnosis = diagnosis(poison.class(), &poison, &view, correlation, 1, Timestamp::now());
                self.give_up(arrived.message, diagnosis);
            }
        }
    }

    fn begin_change(&mut self, change: Box<Change>, message: OwnedMessage) {
        if change.is_partial() {
            telemetry::CDC_PARTIAL_IMAGE_TOTAL.inc(&[self.entity.as_str()]);
        }
        let now = Timestamp::now();
        let message_time = message.timestamp().to_millis().and_then(|millis| Timestamp::from_millisecond(millis).ok());
        let offset = message.offset();
        let origin = Origin {
            topic: message.topic(),
            partition: message.partition(),
            offset,
            message_time: message_time.unwrap_or(now),
            now,
            traceparent: correlation(&message).traceparent,
        };
        let operation = change.operation;
        let writes = match caught(|| change.into_writes(&self.tools.fence, &origin)) {
            Ok(writes) => writes,
            Err(panic) => {
                let diagnosis = panic_diagnosis(panic, &view(self.entity, &message), correlation(&message));
                self.give_up(message, diagnosis);
                return;
            }
        };
        let keys: Vec<EntityKey> = writes.iter().map(|write| write.head.key.clone()).collect();
        let ready = self.queues.add(offset, &keys);
        if let Some(job) = self.jobs.get_mut(&offset) {
            job.keys = keys;
            job.work = Some(Work::Apply { operation, writes, message });
        }
        if ready {
            self.begin(offset);
        }
    }

    fn give_up(&mut self, message: OwnedMessage, diagnosis: Diagnosis) {
        let offset = message.offset();
        if let Some(job) = self.jobs.get_mut(&offset) {
            job.work = Some(Work::GiveUp { message, diagnosis });
        }
        self.begin(offset);
    }

    fn begin(&mut self, offset: i64) {
        let Some(work) = self.jobs.get_mut(&offset).and_then(|job| job.work.take()) else {
            return;
        };
        let (entity, tools, stop) = (self.entity, Arc::clone(&self.tools), self.stop.clone());
        self.running.push(Box::pin(async move {
            let finished = match work {
                Work::Apply { operation, writes, message } => {
                    apply(entity, &tools, operation, &writes, &message, &stop).await
                }
                Work::GiveUp { message, diagnosis } => {
                    let sent = send_dead_letter(&tools, &message, &diagnosis, &stop).await;
                    sent.map(|()| {
                        count(entity, "none", "dead_letter");
                        Finished::Done { offset }
                    })
                }
            };
            finished.unwrap_or_else(Finished::from)
        }));
    }

    fn finished(&mut self, finished: Finished, stopping: bool) {
        match finished {
            Finished::Done { offset } => {
                let keys = self.jobs.get(&offset).map(|job| job.keys.clone()).unwrap_or_default();
                let ready = self.queues.finish(&keys);
                self.done(offset);
                // When stopping, what hasn't begun is left for the partition's next owner.
                for offset in ready.into_iter().filter(|_| !stopping) {
                    self.begin(offset);
                }
            }
            Finished::Schema { result } => {
                let Some(arrived) = self.waiting_for_schema.take() else {
                    return;
                };
                if stopping {
                    return;
                }
                match result {
                    Ok(()) => self.decode(arrived),
                    Err(Unfetched { error, attempts, first_seen }) => {
                        let view = view(self.entity, &arrived.message);
                        let correlation = correlation(&arrived.message);
                        let diagnosis = diagnosis(error.class(), &error, &view, correlation, attempts, first_seen);
                        self.give_up(arrived.message, diagnosis);
                    }
                }
            }
            // The message stays undone, so its offset is never committed by this member.
            Finished::Halted(halt) => self.signals.order(halt),
            Finished::Left => {}
        }
        self.publish_progress();
    }

    fn done(&mut self, offset: i64) {
        self.tracker.complete(offset);
        if let Some(job) = self.jobs.remove(&offset) {
            telemetry::KAFKA_PROCESSING_DURATION_SECONDS
                .observe_duration(&[self.entity.topic()], job.arrived.elapsed());
            self.release(job.size);
        }
    }

    fn release(&self, size: usize) {
        self.progress.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.progress.bytes.fetch_sub(size, Ordering::AcqRel);
        if self.progress.paused.load(Ordering::Acquire) {
            self.signals.wake.notify_one();
        }
    }

    fn publish_progress(&self) {
        let Some(position) = self.tracker.position() else {
            return;
        };
        self.progress.position.store(position, Ordering::Release);
        let oldest = self.jobs.get(&position).map_or(-1, |job| job.millis);
        self.progress.oldest_millis.store(oldest, Ordering::Release);
    }
}

fn diagnosis(
    class: &'static str,
    error: &dyn std::error::Error,
    view: &qlik::Message<'_>,
    correlation: Correlation,
    attempts: u32,
    first_seen: Timestamp,
) -> Diagnosis {
    Diagnosis { class, message: chain(error), schema_id: view.schema_id(), attempts, first_seen, correlation }
}

fn panic_diagnosis(message: String, view: &qlik::Message<'_>, correlation: Correlation) -> Diagnosis {
    let (schema_id, first_seen) = (view.schema_id(), Timestamp::now());
    Diagnosis { class: PANIC, message, schema_id, attempts: 1, first_seen, correlation }
}

fn count(entity: Entity, operation: &str, outcome: &str) {
    telemetry::CDC_EVENTS_PROCESSED_TOTAL.inc(&[entity.as_str(), operation, outcome]);
}

/// Asks until the registry gives an answer; an absence is believed after a few, with seconds between them.
async fn fetch_schema<S, D>(
    tools: &Tools<S, D>,
    id: SchemaId,
    mut patience: Patience,
) -> Result<Result<(), Unfetched>, Stopped> {
    let first_seen = Timestamp::now();
    let unfetched = |error, attempts| Ok(Err(Unfetched { error, attempts, first_seen }));
    if tools.registry.is_absent(id) {
        return unfetched(FetchError::NotFound { id }, 1);
    }
    let mut absences = 0;
    loop {
        let error = match tools.registry.fetch(id).await {
            Ok(()) => return Ok(Ok(())),
            Err(error) => error,
        };
        let attempts = patience.attempt() + absences;
        tracing::warn!(schema = display(id), attempt = attempts, error = chain(&error), "schema_fetch_failed");
        if matches!(error, FetchError::NotFound { .. }) {
            absences += 1;
            if absences == ABSENCE_ATTEMPTS {
                tools.registry.believe_absence(id);
                return unfetched(error, attempts);
            }
            patience.wait_for(tools.absence_wait).await?;
        } else if error.is_retryable() {
            patience.wait().await?;
        } else {
            return unfetched(error, attempts);
        }
    }
}

/// Waits until a metadata message has announced a schema. It comes in another partition or not at all:
/// what lies behind a message in its own partition isn't read before the message is done.
async fn await_announcement<S, D>(
    tools: &Tools<S, D>,
    id: String,
    mut patience: Patience,
) -> Result<Result<(), Unfetched>, Stopped> {
    let (first_seen, since) = (Timestamp::now(), tools.clock.now());
    while tools.registry.announced(&id).is_none() {
        if tools.clock.now().duration_since(since) >= tools.row_wait {
            let (error, attempts) = (FetchError::Unannounced(Poison::Unannounced(id)), patience.attempt());
            return Ok(Err(Unfetched { error, attempts, first_seen }));
        }
        patience.wait().await?;
    }
    Ok(Ok(()))
}

async fn apply<S: Sink, D: DeadLetterSink>(
    entity: Entity,
    tools: &Tools<S, D>,
    operation: Operation,
    writes: &[RowWrite],
    message: &OwnedMessage,
    stop: &watch::Receiver<bool>,
) -> Result<Finished, Interrupted> {
    let first_seen = Timestamp::now();
    let mut refused: Option<(Diagnosis, &RowWrite)> = None;
    for write in writes {
        match write_row(tools, write, stop).await? {
            Ok(applied) => count(entity, write.head.operation.as_str(), applied.as_str()),
            Err(Refused::Fenced(message)) => return Err(Interrupted::Halt(Halt::Fenced(message))),
            // The other half of a move is applied all the same.
            Err(Refused::Poison { class, error, attempts }) => {
                let view = view(entity, message);
                let diagnosis = diagnosis(class, &error, &view, write.head.correlation(), attempts, first_seen);
                refused.get_or_insert((diagnosis, write));
            }
        }
    }
    if let Some((diagnosis, write)) = refused {
        tracing::error!(
            entity = entity.as_str(),
            partition = message.partition(),
            offset = message.offset(),
            version = write.head.version.as_str(),
            event_id = display(write.head.event_id),
            trace_id = diagnosis.correlation.trace_id().map(display),
            class = diagnosis.class,
            error = diagnosis.message,
            "row_refused"
        );
        send_dead_letter(tools, message, &diagnosis, stop).await?;
        count(entity, operation.as_str(), "dead_letter");
    }
    Ok(Finished::Done { offset: message.offset() })
}

enum Refused {
    Poison { class: &'static str, error: SinkError, attempts: u32 },
    Fenced(String),
}

/// Writes one row, trying again for as long as that can help.
async fn write_row<S: Sink, D>(
    tools: &Tools<S, D>,
    write: &RowWrite,
    stop: &watch::Receiver<bool>,
) -> Result<Result<Applied, Refused>, Stopped> {
    let mut patience = Patience::new(tools, stop.clone());
    let mut without_row: Option<Instant> = None;
    loop {
        let result = {
            // What still waits for its turn when the lane stops hasn't begun.
            let _permit = patience.or_stop(tools.writes.acquire()).await?;
            within(&*tools.clock, WRITE_TIMEOUT, tools.sink.apply(write)).await
        };
        let attempts = patience.attempt();
        let problem = match result {
            Some(Ok(applied)) => return Ok(Ok(applied)),
            Some(Err(error @ SinkError::Fenced(_))) => return Ok(Err(Refused::Fenced(chain(&error)))),
            Some(Err(error @ SinkError::Poison { class, .. })) => {
                return Ok(Err(Refused::Poison { class, error, attempts }));
            }
            Some(Err(error @ SinkError::NoRow(_))) => {
                let now = tools.clock.now();
                let since = *without_row.get_or_insert(now);
                if now.duration_since(since) >= tools.row_wait {
                    return Ok(Err(Refused::Poison { class: PARTIAL_WITHOUT_ROW, error, attempts }));
                }
                chain(&error)
            }
            Some(Err(error @ SinkError::Retryable(_))) => chain(&error),
            None => format!("no answer within {} s", WRITE_TIMEOUT.as_secs()),
        };
        let head = &write.head;
        tracing::warn!(
            entity = head.entity.as_str(),
            event_id = display(head.event_id),
            trace_id = head.correlation().trace_id().map(display),
            attempt = attempts,
            problem,
            "row_write_failed"
        );
        patience.wait().await?;
    }
}

/// Puts a message onto the dead-letter topic, trying again for ever: a message is never dropped because its last refuge is down.
/// Meanwhile its offset stays uncommitted, so its partition comes to a stand when its limit is reached.
/// A letter that is too large for the topic can't be waited for: then the whole pipeline stops, so that somebody looks.
async fn send_dead_letter<S, D: DeadLetterSink>(
    tools: &Tools<S, D>,
    message: &OwnedMessage,
    diagnosis: &Diagnosis,
    stop: &watch::Receiver<bool>,
) -> Result<(), Interrupted> {
    let mut patience = Patience::new(tools, stop.clone());
    let event_id = diagnosis.correlation.event_id.map(display);
    let trace_id = diagnosis.correlation.trace_id().map(display);
    while let Err(error) = tools.dead_letters.send(message, diagnosis).await {
        tracing::error!(
            topic = message.topic(),
            partition = message.partition(),
            offset = message.offset(),
            event_id,
            trace_id,
            attempt = patience.attempt(),
            error = chain(&error),
            "dead_letter_failed"
        );
        if error.is_too_large() {
            return Err(Interrupted::Halt(Halt::DeadLetterTooLarge(DeadLetterTooLarge {
                topic: message.topic().to_owned(),
                partition: message.partition(),
                offset: message.offset(),
                bytes: message_size(message),
                class: diagnosis.class,
                dead_letter_topic: error.topic().to_owned(),
            })));
        }
        patience.wait().await?;
    }
    telemetry::DEAD_LETTERS_TOTAL.inc(&["consumer", diagnosis.class]);
    tracing::warn!(
        topic = message.topic(),
        partition = message.partition(),
        offset = message.offset(),
        event_id,
        trace_id,
        class = diagnosis.class,
        error = diagnosis.message,
        "dead_letter_sent"
    );
    Ok(())
}
