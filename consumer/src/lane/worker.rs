//! The task behind a lane: it decodes messages in order and begins what may begin.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use contracts::Coalescing;
use events::dead_letter::caught;
use events::qlik::{self, Change, DecodeError, Decoded, Origin};
use events::{Entity, EntityKey, RowWrite, Timestamp};
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rdkafka::message::{Message, OwnedMessage};
use tokio::sync::{mpsc, watch};

use super::apply::{self, Interrupted};
use super::orders::{Halt, HandedOver, Signals};
use super::patience::{Patience, Stopped};
use super::progress::Progress;
use super::schema::{Unfetched, await_announcement, fetch_schema};
use super::{Tools, message_size};
use crate::dead_letter::{DeadLetterSink, Diagnosis};
use crate::fold;
use crate::keyed::{KeyQueues, NumberMap};
use crate::message::{correlation, diagnosis, panic_diagnosis, trace_context, view};
use crate::sink::Sink;
use crate::tracker::PrefixTracker;

pub(super) struct Worker<S, D> {
    entity: Entity,
    stop: watch::Receiver<bool>,
    tools: Arc<Tools<S, D>>,
    signals: Arc<Signals>,
    progress: Arc<Progress>,
    tracker: PrefixTracker,
    /// Queues of offsets by a hash of the row's key. Two keys with one hash wait for each other, which does no harm.
    queues: KeyQueues<u64, i64>,
    hasher: RandomState,
    /// Unfinished messages by offset.
    jobs: NumberMap<i64, Job>,
    running: FuturesUnordered<Running>,
    /// The message that can't be decoded before a schema has come. Later ones wait behind it, because their keys are unknown.
    waiting_for_schema: Option<OwnedMessage>,
    /// What has come and wasn't looked at yet.
    behind: VecDeque<OwnedMessage>,
    /// On both clocks, when the last group came or what waited for a schema could go on: messages are looked at at once then.
    now: (Instant, Timestamp),
}

/// Something that was begun.
type Running = Pin<Box<dyn Future<Output = Finished> + Send>>;

struct Job {
    size: usize,
    taken_up: Instant,
    millis: i64,
    queues: Queues,
    /// What is to be done; taken when it begins.
    work: Option<Work>,
}

/// The queues that a job is in.
#[derive(Clone, Copy)]
enum Queues {
    None,
    One([u64; 1]),
    Two([u64; 2]),
}

impl Queues {
    fn as_slice(&self) -> &[u64] {
        match self {
            Self::None => &[],
            Self::One(queue) => queue,
            Self::Two(queues) => queues,
        }
    }
}

/// What is to be done for a message. In boxes, because it is handed on several times and a row's head alone is half a kilobyte.
enum Work {
    Row(Box<RowWork>),
    Move(Box<MoveWork>),
    GiveUp(Box<LostWork>),
}

/// A row is to be written.
pub(super) struct RowWork {
    pub(super) message: OwnedMessage,
    pub(super) write: RowWrite,
    pub(super) first_seen: Timestamp,
    /// Whether it must not be written together with other changes, because that was tried in vain.
    pub(super) is_single: bool,
    /// Since when its row has been missing, as far as that is known.
    pub(super) without_row: Option<Instant>,
}

/// A row moves to another key.
pub(super) struct MoveWork {
    pub(super) message: OwnedMessage,
    pub(super) leave: RowWrite,
    pub(super) arrive: RowWrite,
    pub(super) first_seen: Timestamp,
}

/// A message can't be read.
pub(super) struct LostWork {
    pub(super) message: OwnedMessage,
    pub(super) diagnosis: Diagnosis,
}

/// What has become of something that was begun.
pub(super) enum Finished {
    /// All that was begun is done, from this offset on.
    Done {
        offset: i64,
        /// Offsets of further changes that were written with the first one.
        with: Vec<i64>,
    },
    /// Changes that were to be written as one must be written one by one. Nothing is done.
    Apart(Vec<RowWork>),
    Schema {
        result: Result<(), Box<Unfetched>>,
    },
    /// Given back undone, because the lane stops.
    Left,
    /// Undone, and the whole pipeline must stop.
    Halted(Box<Halt>),
}

impl From<Interrupted> for Finished {
    fn from(interrupted: Interrupted) -> Self {
        match interrupted {
            Interrupted::Stopped => Self::Left,
            Interrupted::Halt(halt) => Self::Halted(Box::new(halt)),
        }
    }
}

impl<S: Sink, D: DeadLetterSink> Worker<S, D> {
    pub(super) fn new(
        entity: Entity,
        stop: watch::Receiver<bool>,
        tools: Arc<Tools<S, D>>,
        signals: Arc<Signals>,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            entity,
            stop,
            tools,
            signals,
            progress,
            tracker: PrefixTracker::default(),
            queues: KeyQueues::default(),
            hasher: RandomState::new(),
            jobs: NumberMap::default(),
            running: FuturesUnordered::new(),
            waiting_for_schema: None,
            behind: VecDeque::new(),
            now: (Instant::now(), Timestamp::now()),
        }
    }

    pub(super) async fn run(mut self, mut arrivals: mpsc::UnboundedReceiver<HandedOver>) {
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
                Some(finished) = self.running.next() => {
                    self.finished(finished, stopping);
                    // Many end together; what they mean to the outside is told once.
                    while let Some(Some(finished)) = futures::FutureExt::now_or_never(self.running.next()) {
                        self.finished(finished, stopping);
                    }
                    self.show_progress();
                }
                Some(mut group) = arrivals.recv(), if !stopping => {
                    self.now = (Instant::now(), Timestamp::now());
                    self.behind.extend(std::mem::take(&mut group.messages));
                    self.take_up_group();
                    drop(group);
                    self.show_progress();
                }
                else => return,
            }
        }
    }

    fn take_up_group(&mut self) {
        let before = self.behind.len();
        while self.waiting_for_schema.is_none()
            && let Some(message) = self.behind.pop_front()
        {
            self.take_up(message);
        }
        let count = u64::try_from(before - self.behind.len()).unwrap_or(u64::MAX);
        telemetry::KAFKA_MESSAGES_CONSUMED_TOTAL.add(&[self.entity.topic()], count);
    }

    fn take_up(&mut self, message: OwnedMessage) {
        let size = message_size(&message);
        if !self.tracker.start(message.offset()) {
            // Kafka repeats messages after a seek or a broken fetch; this one is in work or done.
            self.release(1, size);
            return;
        }
        if let Some(Err(_)) = trace_context(&message) {
            telemetry::TRACE_CONTEXTS_IGNORED_TOTAL.inc(&["kafka"]);
        }
        let millis = message.timestamp().to_millis().unwrap_or(0);
        let job = Job { size, taken_up: self.now.0, millis, queues: Queues::None, work: None };
        self.jobs.insert(message.offset(), job);
        self.decode(message);
    }

    fn decode(&mut self, message: OwnedMessage) {
        let decoded = {
            let view = view(self.entity, &message);
            caught(|| qlik::decode(&*self.tools.registry, &view))
        };
        match decoded {
            Ok(Ok(Decoded::Change(change))) => self.take_change(*change, message),
            Ok(Ok(Decoded::CompactionMark)) => {
                apply::count(self.entity, "none", "compaction_mark");
                self.done(message.offset());
            }
            Ok(Ok(Decoded::Metadata(announcement))) => {
                if let Some(announcement) = announcement
                    && !self.tools.registry.announce(*announcement)
                {
                    tracing::warn!(
                        topic = message.topic(),
                        partition = message.partition(),
                        offset = message.offset(),
                        "announcement_too_large"
                    );
                }
                apply::count(self.entity, "none", "metadata");
                self.done(message.offset());
            }
            Ok(Err(DecodeError::UnannouncedSchema(id))) => {
                let tools = Arc::clone(&self.tools);
                let patience = Patience::new(&tools, self.stop.clone());
                self.waiting_for_schema = Some(message);
                self.running.push(Box::pin(async move {
                    match await_announcement(&tools, id, patience).await {
                        Ok(result) => Finished::Schema { result: result.map_err(Box::new) },
                        Err(Stopped) => Finished::Left,
                    }
                }));
            }
            Ok(Err(DecodeError::UnknownSchema(id))) => {
                let tools = Arc::clone(&self.tools);
                let patience = Patience::new(&tools, self.stop.clone());
                self.waiting_for_schema = Some(message);
                self.running.push(Box::pin(async move {
                    match fetch_schema(&tools, id, patience).await {
                        Ok(result) => Finished::Schema { result: result.map_err(Box::new) },
                        Err(Stopped) => Finished::Left,
                    }
                }));
            }
            Ok(Err(DecodeError::Poison(poison))) => {
                let view = view(self.entity, &message);
                let diagnosis = diagnosis(poison.class(), &poison, &view, correlation(&message), 1, Timestamp::now());
                self.give_up(message, diagnosis);
            }
            Err(panic) => self.panicked(message, panic),
        }
    }

    fn take_change(&mut self, change: Change, message: OwnedMessage) {
        if change.is_partial() {
            telemetry::CDC_PARTIAL_IMAGE_TOTAL.inc(&[self.entity.as_str()]);
        }
        let now = self.now.1;
        let message_time = message.timestamp().to_millis().and_then(|millis| Timestamp::from_millisecond(millis).ok());
        let writes = {
            let origin = Origin {
                topic: message.topic(),
                partition: message.partition(),
                offset: message.offset(),
                message_time: message_time.unwrap_or(now),
                now,
                traceparent: correlation(&message).traceparent,
            };
            caught(|| change.into_writes(&self.tools.fence, &origin))
        };
        let mut writes = match writes {
            Ok(writes) => writes.into_iter(),
            Err(panic) => return self.panicked(message, panic),
        };
        match (writes.next(), writes.next()) {
            (Some(leave), Some(arrive)) => {
                let queues = match (self.queue_of(&leave.head.key), self.queue_of(&arrive.head.key)) {
                    (one, other) if one == other => Queues::One([one]),
                    (one, other) => Queues::Two([one, other]),
                };
                self.line_up(
                    message.offset(),
                    queues,
                    Work::Move(Box::new(MoveWork { message, leave, arrive, first_seen: now })),
                );
            }
            (Some(write), None) => {
                let queues = Queues::One([self.queue_of(&write.head.key)]);
                let work = RowWork { message, write, first_seen: now, is_single: false, without_row: None };
                self.line_up(work.message.offset(), queues, Work::Row(Box::new(work)));
            }
            (None, _) => self.done(message.offset()),
        }
    }

    fn queue_of(&self, key: &EntityKey) -> u64 {
        self.hasher.hash_one(key.as_str())
    }

    fn line_up(&mut self, offset: i64, queues: Queues, work: Work) {
        let may_run = self.queues.add(offset, queues.as_slice());
        if let Some(job) = self.jobs.get_mut(&offset) {
            job.queues = queues;
            job.work = Some(work);
        }
        if may_run {
            self.begin(offset);
        }
    }

    fn panicked(&mut self, message: OwnedMessage, panic: String) {
        let diagnosis = panic_diagnosis(panic, &view(self.entity, &message), correlation(&message));
        self.give_up(message, diagnosis);
    }

    fn give_up(&mut self, message: OwnedMessage, diagnosis: Diagnosis) {
        let offset = message.offset();
        if let Some(job) = self.jobs.get_mut(&offset) {
            job.work = Some(Work::GiveUp(Box::new(LostWork { message, diagnosis })));
        }
        self.begin(offset);
    }

    /// Begins what a message needs, and whatever may follow what is done at once.
    fn begin(&mut self, offset: i64) {
        let mut next = vec![offset];
        while let Some(offset) = next.pop() {
            let Some(work) = self.jobs.get_mut(&offset).and_then(|job| job.work.take()) else {
                continue;
            };
            let mut begun = self.begun(work);
            // Most of what a fast sink takes is done without a wait, and then nobody has to be woken for it.
            match futures::FutureExt::now_or_never(&mut begun) {
                Some(finished) => next.extend(self.settle(finished)),
                None => self.running.push(begun),
            }
        }
    }

    fn begun(&mut self, work: Work) -> Running {
        let (entity, tools, stop) = (self.entity, Arc::clone(&self.tools), self.stop.clone());
        match work {
            Work::Row(first) => {
                let with = self.take_waiting(&first);
                if with.is_empty() {
                    Box::pin(apply::one(entity, tools, first, stop))
                } else {
                    let changes = std::iter::once(*first).chain(with).collect();
                    Box::pin(apply::several(entity, tools, changes, stop))
                }
            }
            Work::Move(change) => Box::pin(apply::moved(entity, tools, change, stop)),
            Work::GiveUp(lost) => Box::pin(apply::give_up(entity, tools, lost, stop)),
        }
    }

    /// Takes the changes that wait behind `first` and can be written with it.
    fn take_waiting(&mut self, first: &RowWork) -> Vec<RowWork> {
        if self.tools.coalescing == Coalescing::Never || first.is_single {
            return Vec::new();
        }
        let queue = self.queue_of(&first.write.head.key);
        let waiting = self.queues.waiting_in(&queue).map_while(|offset| match &self.jobs.get(&offset)?.work {
            Some(Work::Row(next)) if !next.is_single && next.write.head.key == first.write.head.key => {
                Some(&next.write)
            }
            _ => None,
        });
        let count = fold::length(std::iter::once(&first.write).chain(waiting)) - 1;
        let offsets: Vec<i64> = self.queues.waiting_in(&queue).take(count).collect();
        let taken = offsets.into_iter().filter_map(|offset| match self.jobs.get_mut(&offset)?.work.take() {
            Some(Work::Row(next)) => Some(*next),
            _ => None,
        });
        taken.collect()
    }

    /// Takes note of what has ended, and begins what waited for it.
    fn finished(&mut self, finished: Finished, stopping: bool) {
        // When stopping, what hasn't begun is left for the partition's next owner.
        if let Finished::Schema { result } = finished {
            if !stopping {
                self.take_schema(result);
            }
            return;
        }
        for offset in self.settle(finished) {
            if !stopping {
                self.begin(offset);
            }
        }
    }

    /// Takes note of what has ended. Gives the messages whose turn it is now.
    fn settle(&mut self, finished: Finished) -> Vec<i64> {
        match finished {
            Finished::Done { offset, with } => {
                let queues = self.jobs.get(&offset).map_or(Queues::None, |job| job.queues);
                let ready = self.queues.finish(queues.as_slice(), 1 + with.len());
                for offset in std::iter::once(offset).chain(with) {
                    self.done(offset);
                }
                ready
            }
            Finished::Apart(changes) => {
                let first = changes.first().map(|change| change.message.offset());
                for mut change in changes {
                    change.is_single = true;
                    if let Some(job) = self.jobs.get_mut(&change.message.offset()) {
                        job.work = Some(Work::Row(Box::new(change)));
                    }
                }
                first.into_iter().collect()
            }
            // The message stays undone, so its offset is never committed by this member.
            Finished::Halted(halt) => {
                self.signals.order(*halt);
                Vec::new()
            }
            Finished::Left | Finished::Schema { .. } => Vec::new(),
        }
    }

    fn take_schema(&mut self, result: Result<(), Box<Unfetched>>) {
        let Some(message) = self.waiting_for_schema.take() else {
            return;
        };
        self.now = (Instant::now(), Timestamp::now());
        match result {
            Ok(()) => self.decode(message),
            Err(unfetched) => {
                let Unfetched { error, attempts, first_seen } = *unfetched;
                let view = view(self.entity, &message);
                let diagnosis = diagnosis(error.class(), &error, &view, correlation(&message), attempts, first_seen);
                self.give_up(message, diagnosis);
            }
        }
        self.take_up_group();
    }

    fn done(&mut self, offset: i64) {
        self.tracker.complete(offset);
        if let Some(job) = self.jobs.remove(&offset) {
            telemetry::KAFKA_PROCESSING_DURATION_SECONDS
                .observe_duration(&[self.entity.topic()], job.taken_up.elapsed());
            self.release(1, job.size);
        }
    }

    fn release(&self, messages: usize, bytes: usize) {
        if self.progress.releases(messages, bytes) {
            self.signals.wake.notify_one();
        }
    }

    fn show_progress(&self) {
        if let Some(position) = self.tracker.position() {
            self.progress.show(position, self.jobs.get(&position).map(|job| job.millis));
        }
    }
}
