//! The consumer's life: consuming, then draining, then complete.
//!
//! Each phase is a type, and a step consumes the phase before it, so that nothing can be taken in while draining
//! and nothing can be committed after completion.
//! A pipeline that is dropped in any other way behaves like a crash: its work is cut off and nothing more is committed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use events::Entity;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientConfig, TopicPartitionList};
use tokio::time::MissedTickBehavior;

use crate::assignment::Assignment;
use crate::dead_letter::DeadLetterSink;
use crate::lane::{DeadLetterTooLarge, Halt, Lane, LaneGone, Signals, Tools};
use crate::sink::Sink;

/// How often done prefixes are committed. A crash repeats at most what was done since.
const COMMIT_INTERVAL: Duration = Duration::from_millis(500);

/// The phase in which messages are taken in.
#[derive(Debug)]
pub struct Consuming(());

/// The phase in which what has begun is finished.
#[derive(Debug)]
pub struct Draining {
    reason: StopReason,
}

/// The consumer in one of its phases.
pub struct Pipeline<Phase> {
    consumer: Option<Arc<StreamConsumer<Assignment>>>,
    signals: Arc<Signals>,
    status: Arc<Status>,
    phase: Phase,
}

impl<Phase: std::fmt::Debug> std::fmt::Debug for Pipeline<Phase> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pipeline").field("phase", &self.phase).finish_non_exhaustive()
    }
}

/// Why consuming ended.
#[derive(Debug)]
pub enum StopReason {
    /// It was asked to.
    Shutdown,
    /// A writer with a higher authority epoch owns the rows.
    Fenced {
        /// What the sink said.
        message: String,
    },
    /// It can't go on.
    Failed(PipelineError),
}

/// What became of a pipeline.
#[derive(Debug)]
pub struct Complete {
    /// Why consuming ended.
    pub reason: StopReason,
    /// Whether every lane ended in time and everything that is done was committed.
    /// If not, some of what is done is delivered again, which does no harm.
    /// Messages that waited (for a turn, another attempt, a schema, the dead-letter topic) are given back undone in either case.
    pub clean: bool,
}

/// What the outside may know of a pipeline.
#[derive(Debug)]
pub struct Status {
    consumer: OnceLock<Weak<StreamConsumer<Assignment>>>,
    draining: AtomicBool,
}

impl Status {
    fn new() -> Self {
        Self { consumer: OnceLock::new(), draining: AtomicBool::new(false) }
    }

    /// How many partitions are assigned now.
    pub fn partitions(&self) -> usize {
        let consumer = self.consumer.get().and_then(Weak::upgrade);
        consumer.map_or(0, |consumer| consumer.context().lanes().len())
    }

    /// Whether messages are taken in, or would be if there were any: a broker answers and nothing is being drained.
    /// Waiting for partitions counts as ready, because the group may have more members than partitions.
    pub fn is_ready(&self) -> bool {
        let consumer = self.consumer.get().and_then(Weak::upgrade);
        let reachable = consumer.is_some_and(|consumer| consumer.context().is_broker_reachable());
        reachable && !self.draining.load(Ordering::Acquire)
    }
}

impl Pipeline<Consuming> {
    /// Joins the group. Must be called on a multi-thread runtime.
    ///
    /// # Errors
    /// When librdkafka refuses its settings.
    pub fn start<S: Sink, D: DeadLetterSink>(
        client: &ClientConfig,
        drain_deadline: Duration,
        tools: Tools<S, D>,
    ) -> Result<Self, PipelineError> {
        let tools = Arc::new(tools);
        let signals = Arc::new(Signals::default());
        let runtime = tokio::runtime::Handle::current();
        let start_lane = {
            let signals = Arc::clone(&signals);
            move |entity| Lane::spawn(entity, Arc::clone(&tools), Arc::clone(&signals), &runtime)
        };
        let assignment = Assignment::new(drain_deadline, Arc::clone(&signals), start_lane);
        let consumer: StreamConsumer<Assignment> =
            client.create_with_context(assignment).map_err(PipelineError::Settings)?;
        let topics = Entity::ALL.map(Entity::topic);
        consumer.subscribe(&topics).map_err(PipelineError::Settings)?;
        let consumer = Arc::new(consumer);
        let status = Status::new();
        let _ = status.consumer.set(Arc::downgrade(&consumer));
        Ok(Self { consumer: Some(consumer), signals, status: Arc::new(status), phase: Consuming(()) })
    }

    /// What the outside may know.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    /// Takes messages in until `shutdown` is done or the pipeline must stop.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Pipeline<Draining> {
        let reason = match &self.consumer {
            Some(consumer) => consume(consumer, &self.signals, shutdown).await,
            None => StopReason::Shutdown,
        };
        self.status.draining.store(true, Ordering::Release);
        Pipeline {
            consumer: self.consumer.take(),
            signals: Arc::clone(&self.signals),
            status: Arc::clone(&self.status),
            phase: Draining { reason },
        }
    }
}

async fn consume(
    consumer: &StreamConsumer<Assignment>,
    signals: &Signals,
    shutdown: impl Future<Output = ()>,
) -> StopReason {
    let mut tick = tokio::time::interval(COMMIT_INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(shutdown);
    loop {
        // The rare things come first: under a constant flow of messages they would otherwise never be looked at.
        tokio::select! {
            biased;
            () = &mut shutdown => return StopReason::Shutdown,
            () = signals.wake.notified() => {
                if let Some(halt) = signals.take_order() {
                    return halt.into();
                }
                if let Err(error) = resume_relieved(consumer) {
                    return StopReason::Failed(error);
                }
            }
            _ = tick.tick() => {
                if let Err(error) = commit_progress(consumer) {
                    return StopReason::Failed(error);
                }
            }
            received = consumer.recv() => {
                let outcome = match received {
                    Ok(message) => dispatch(consumer, &message).await,
                    Err(error) => survive(error),
                };
                if let Err(error) = outcome {
                    // A rebalance inside of `recv` may have found out why.
                    return signals.take_order().map_or(StopReason::Failed(error), StopReason::from);
                }
            }
        }
    }
}

impl From<Halt> for StopReason {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::Fenced(message) => Self::Fenced { message },
            Halt::DeadLetterTooLarge(error) => Self::Failed(error.into()),
            Halt::Rebalance(error) => Self::Failed(PipelineError::Rebalance(error)),
            Halt::OffsetsUnknown(error) => Self::Failed(PipelineError::OffsetsUnknown(error)),
        }
    }
}

async fn dispatch(consumer: &StreamConsumer<Assignment>, message: &BorrowedMessage<'_>) -> Result<(), PipelineError> {
    let lane =
        Entity::from_topic(message.topic()).and_then(|entity| consumer.context().lane((entity, message.partition())));
    // A message of a partition that was just revoked: its next owner gets it.
    let Some(lane) = lane else {
        return Ok(());
    };
    if lane.hand_over(message.detach()).await? {
        let partition = partition(message.topic(), message.partition());
        consumer.pause(&partition).map_err(PipelineError::Flow)?;
        tracing::info!(topic = message.topic(), partition = message.partition(), "partition_paused");
    }
    Ok(())
}

fn resume_relieved(consumer: &StreamConsumer<Assignment>) -> Result<(), PipelineError> {
    for ((entity, number), lane) in consumer.context().lanes() {
        if lane.take_relief() {
            consumer.resume(&partition(entity.topic(), number)).map_err(PipelineError::Flow)?;
            tracing::info!(topic = entity.topic(), partition = number, "partition_resumed");
        }
    }
    Ok(())
}

fn commit_progress(consumer: &StreamConsumer<Assignment>) -> Result<(), PipelineError> {
    if consumer.context().lanes().iter().any(|(_, lane)| lane.is_gone()) {
        return Err(LaneGone.into());
    }
    // A lane may have found room between its last ring and now.
    resume_relieved(consumer)?;
    let offsets = consumer.context().to_commit();
    if offsets.count() > 0
        && let Err(error) = consumer.commit(&offsets, CommitMode::Async)
    {
        tracing::warn!(error = error.to_string(), "commit_failed");
    }
    Ok(())
}

fn partition(topic: &str, number: i32) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition(topic, number);
    list
}

/// Tells errors that librdkafka recovers from by itself from those that a person must look at.
fn survive(error: KafkaError) -> Result<(), PipelineError> {
    match error {
        KafkaError::MessageConsumption(RDKafkaErrorCode::AutoOffsetReset) => Err(PipelineError::OffsetExpired(error)),
        KafkaError::MessageConsumptionFatal(_) => Err(PipelineError::Fatal(error)),
        recoverable => {
            tracing::warn!(error = recoverable.to_string(), "kafka_error");
            Ok(())
        }
    }
}

impl Pipeline<Draining> {
    /// Finishes what has begun, commits and leaves the group. Takes the drain deadline and at most a few seconds more.
    ///
    /// A reason to stop that is found meanwhile counts if it outranks the one that began the drain:
    /// losing authority outranks everything, and any failure an ordinary shutdown.
    pub async fn drain(mut self) -> Complete {
        let mut reason = std::mem::replace(&mut self.phase.reason, StopReason::Shutdown);
        let Some(consumer) = self.consumer.take() else {
            return Complete { reason, clean: false };
        };
        let drained = consumer.context().drain_all().await;
        match self.signals.take_order() {
            Some(halt @ Halt::Fenced(_)) => reason = halt.into(),
            Some(halt) if matches!(reason, StopReason::Shutdown) => reason = halt.into(),
            Some(_) | None => {}
        }
        // Both of these wait for brokers, for longer than may be waited here. They have a thread of their own
        // because a runtime that ends waits for its blocking tasks, however long they take.
        let (closed, closing) = tokio::sync::oneshot::channel();
        let close = move || {
            let committed = drained.offsets.count() == 0 || commit_sync(&consumer, &drained.offsets);
            drop(consumer);
            // Nobody listens past the timeout.
            let _ = closed.send(drained.clean && committed);
        };
        let clean = match std::thread::Builder::new().name("close".to_owned()).spawn(close) {
            Ok(_) => matches!(tokio::time::timeout(CLOSE_TIMEOUT, closing).await, Ok(Ok(true))),
            Err(error) => {
                tracing::warn!(error = error.to_string(), "close_failed");
                false
            }
        };
        Complete { reason, clean }
    }
}

/// The longest that the last commit and leaving the group may take.
/// With the longest drain (29 s) a pod's grace period of 40 s is kept.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(8);

fn commit_sync(consumer: &StreamConsumer<Assignment>, offsets: &TopicPartitionList) -> bool {
    match consumer.commit(offsets, CommitMode::Sync) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(error = error.to_string(), "commit_failed");
            false
        }
    }
}

impl<Phase> Drop for Pipeline<Phase> {
    /// Without this, closing the consumer would drain and commit through the revocation callback, which is not what dropping means.
    fn drop(&mut self) {
        if let Some(consumer) = &self.consumer {
            consumer.context().abort_all();
        }
    }
}

/// Why a pipeline can't start or go on.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// librdkafka refuses its settings.
    #[error("the Kafka client can't be started")]
    Settings(#[source] KafkaError),
    /// The committed offset is gone.
    #[error(
        "the committed offset of a partition has expired or was never reached, so changes may be missing; \
         reload the tables from the source and set the group's offsets, then start again"
    )]
    OffsetExpired(#[source] KafkaError),
    /// A step of a rebalance failed.
    #[error("partitions can't be taken over or given up; check the brokers, then start again")]
    Rebalance(#[source] KafkaError),
    /// The coordinator didn't say which offsets are committed.
    #[error(
        "the group's coordinator didn't say which offsets are committed, so it isn't known where to start; \
         check that the brokers can be reached and that the group may be read, then start again"
    )]
    OffsetsUnknown(#[source] KafkaError),
    /// A dead letter is larger than its topic takes.
    #[error(transparent)]
    DeadLetterTooLarge(#[from] DeadLetterTooLarge),
    /// librdkafka can't go on.
    #[error("the Kafka client has failed for good")]
    Fatal(#[source] KafkaError),
    /// A partition can't be paused or resumed.
    #[error("a partition can't be paused or resumed")]
    Flow(#[source] KafkaError),
    /// A lane has panicked.
    #[error(transparent)]
    Lane(#[from] LaneGone),
}
