//! The consumer's life: consuming, then draining, then complete.
//!
//! Each phase is a type, and a step consumes the phase before it, so that nothing can be taken in while draining
//! and nothing can be committed after completion.
//! A pipeline that is dropped in any other way behaves like a crash: its work is cut off and nothing more is committed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use events::Entity;
use futures::FutureExt;
use rdkafka::ClientConfig;
use rdkafka::consumer::{Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::OwnedMessage;

use crate::assignment::Assignment;
use crate::clock::Clock;
use crate::dead_letter::DeadLetterSink;
use crate::groups::Groups;
use crate::lane::{DeadLetterTooLarge, Halt, LaneGone, Signals, Tools};
use crate::lanes::Lanes;
use crate::sink::Sink;
use crate::source::Source;

/// How often done prefixes are committed. A crash repeats at most what was done since.
const COMMIT_INTERVAL: Duration = Duration::from_millis(500);

/// Most messages that are taken in before the rare things are looked at again.
const LONGEST_GROUP: usize = 256;

/// The phase in which messages are taken in.
#[derive(Debug)]
pub struct Consuming(());

/// The phase in which what has begun is finished.
#[derive(Debug)]
pub struct Draining {
    reason: StopReason,
}

/// The consumer in one of its phases.
pub struct Pipeline<Phase, M = StreamConsumer<Assignment>> {
    source: Option<Arc<M>>,
    parts: Parts,
    phase: Phase,
}

/// What a pipeline works with in every phase.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The lanes that the source's partitions have.
    pub lanes: Arc<Lanes>,
    /// What the lanes tell the pipeline.
    pub signals: Arc<Signals>,
    /// What commits wait by.
    pub clock: Arc<dyn Clock>,
    /// What the outside may know.
    pub status: Arc<Status>,
}

impl Parts {
    /// Parts for lanes that work with `tools`. Must be made on a runtime.
    pub fn new<S: Sink, D: DeadLetterSink>(tools: Tools<S, D>, drain_deadline: Duration) -> Self {
        let (signals, clock) = (Arc::new(Signals::default()), Arc::clone(&tools.clock));
        let lanes = Arc::new(Lanes::new(tools, Arc::clone(&signals), drain_deadline));
        let status = Arc::new(Status {
            lanes: Arc::clone(&lanes),
            reachable: Arc::new(AtomicBool::new(false)),
            draining: AtomicBool::new(false),
        });
        Self { lanes, signals, clock, status }
    }
}

impl<Phase: std::fmt::Debug, M> std::fmt::Debug for Pipeline<Phase, M> {
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
    lanes: Arc<Lanes>,
    /// Whether a broker answered lately.
    reachable: Arc<AtomicBool>,
    draining: AtomicBool,
}

impl Status {
    /// How many partitions are assigned now.
    pub fn partitions(&self) -> usize {
        self.lanes.all().len()
    }

    /// Whether messages are taken in, or would be if there were any: a broker answers and nothing is being drained.
    /// Waiting for partitions counts as ready, because the group may have more members than partitions.
    pub fn is_ready(&self) -> bool {
        self.reachable.load(Ordering::Acquire) && !self.draining.load(Ordering::Acquire)
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
        let parts = Parts::new(tools, drain_deadline);
        let (lanes, signals) = (Arc::clone(&parts.lanes), Arc::clone(&parts.signals));
        let assignment = Assignment::new(lanes, signals, Arc::clone(&parts.status.reachable))
            .measured(client)
            .map_err(PipelineError::Settings)?;
        let consumer: StreamConsumer<Assignment> =
            client.create_with_context(assignment).map_err(PipelineError::Settings)?;
        let topics = Entity::ALL.map(Entity::topic);
        consumer.subscribe(&topics).map_err(PipelineError::Settings)?;
        Ok(Self::over(Arc::new(consumer), parts))
    }
}

impl<M: Source> Pipeline<Consuming, M> {
    /// Consumes from a member that has joined and that starts and ends the lanes of `parts`.
    pub fn over(source: Arc<M>, parts: Parts) -> Self {
        Self { source: Some(source), parts, phase: Consuming(()) }
    }

    /// What the outside may know.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.parts.status)
    }

    /// The lanes, for whoever must cut them off even while a rebalance holds the pipeline up.
    pub fn lanes(&self) -> Arc<Lanes> {
        Arc::clone(&self.parts.lanes)
    }

    /// Takes messages in until `shutdown` is done or the pipeline must stop.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) -> Pipeline<Draining, M> {
        let reason = match &self.source {
            Some(source) => consume(&**source, &self.parts, shutdown).await,
            None => StopReason::Shutdown,
        };
        self.parts.status.draining.store(true, Ordering::Release);
        Pipeline { source: self.source.take(), parts: self.parts.clone(), phase: Draining { reason } }
    }
}

async fn consume(source: &impl Source, parts: &Parts, shutdown: impl Future<Output = ()>) -> StopReason {
    let Parts { lanes, signals, clock, status: _ } = parts;
    let mut tick = clock.sleep(COMMIT_INTERVAL);
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
                if let Err(error) = resume_relieved(source, lanes) {
                    return StopReason::Failed(error);
                }
            }
            () = &mut tick => {
                tick = clock.sleep(COMMIT_INTERVAL);
                if let Err(error) = commit_progress(source, lanes) {
                    return StopReason::Failed(error);
                }
            }
            received = signals.caught_up().then(|()| source.recv()) => {
                let outcome = match received {
                    Ok(message) => take_in(source, lanes, message),
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

/// Takes in a message and what is ready behind it, so that lanes get messages in groups and not one by one.
fn take_in(source: &impl Source, lanes: &Lanes, first: OwnedMessage) -> Result<(), PipelineError> {
    let mut groups = Groups::default();
    let mut outcome = Ok(());
    let (mut message, mut count) = (first, 1);
    loop {
        if let Some(partition) = groups.add(lanes, message) {
            source.pause(partition).map_err(PipelineError::Flow)?;
            tracing::info!(topic = partition.0.topic(), partition = partition.1, "partition_paused");
        }
        if count == LONGEST_GROUP {
            break;
        }
        match source.recv().now_or_never() {
            None => break,
            Some(Ok(next)) => (message, count) = (next, count + 1),
            Some(Err(error)) => {
                outcome = survive(error);
                break;
            }
        }
    }
    groups.hand_over(lanes)?;
    outcome
}

fn resume_relieved(source: &impl Source, lanes: &Lanes) -> Result<(), PipelineError> {
    for (partition, lane) in lanes.all() {
        if lane.take_relief() {
            source.resume(partition).map_err(PipelineError::Flow)?;
            tracing::info!(topic = partition.0.topic(), partition = partition.1, "partition_resumed");
        }
    }
    Ok(())
}

fn commit_progress(source: &impl Source, lanes: &Lanes) -> Result<(), PipelineError> {
    if lanes.all().iter().any(|(_, lane)| lane.is_gone()) {
        return Err(LaneGone.into());
    }
    // A lane may have found room between its last ring and now.
    resume_relieved(source, lanes)?;
    let offsets = lanes.to_commit();
    if offsets.count() > 0
        && let Err(error) = source.commit(&offsets)
    {
        tracing::warn!(error = error.to_string(), "commit_failed");
    }
    Ok(())
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

impl<M: Source> Pipeline<Draining, M> {
    /// Finishes what has begun, commits and leaves the group. Takes the drain deadline and at most a few seconds more.
    ///
    /// A reason to stop that is found meanwhile counts if it outranks the one that began the drain:
    /// losing authority outranks everything, and any failure an ordinary shutdown.
    pub async fn drain(mut self) -> Complete {
        let mut reason = std::mem::replace(&mut self.phase.reason, StopReason::Shutdown);
        let Some(source) = self.source.take() else {
            return Complete { reason, clean: false };
        };
        let drained = self.parts.lanes.drain_all().await;
        match self.parts.signals.take_order() {
            Some(halt @ Halt::Fenced(_)) => reason = halt.into(),
            Some(halt) if matches!(reason, StopReason::Shutdown) => reason = halt.into(),
            Some(_) | None => {}
        }
        let committed = source.close(drained.offsets).await;
        Complete { reason, clean: drained.clean && committed }
    }
}

impl<Phase, M> Drop for Pipeline<Phase, M> {
    /// Without this, closing the consumer would drain and commit through the revocation callback, which is not what dropping means.
    fn drop(&mut self) {
        if self.source.is_some() {
            self.parts.lanes.abort_all();
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
