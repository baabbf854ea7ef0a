//! Partitions come and go: what happens when the group rebalances.
//!
//! - Assigned: the start offset is settled and a lane is started.
//! - Revoked: the lanes finish what they have begun, within the drain deadline, and their done prefixes are committed before the partitions are let go.
//! - Lost (this member was thrown out of the group): the lanes are aborted and nothing is committed, because someone else owns the partitions by now.
//!
//! A step of a rebalance that fails stops the pipeline: this member would otherwise hold partitions that it doesn't work on.
//!
//! **Start offsets.** librdkafka's `auto.offset.reset` answers two different questions with one setting: where a group starts that never committed,
//! and where it goes on when its committed offset has expired. Skipping ahead (or silently starting over) in the second case would hide lost changes.
//! So the setting is `error`, which stops the consumer there with a clear message, and the first case is settled here:
//! a partition for which the coordinator knows no committed offset starts at its beginning.
//! That includes a group whose offsets the broker has forgotten (`offsets.retention.minutes`): it starts over, which repeats changes
//! but shows nothing of what the topic itself has dropped meanwhile.
//! When the coordinator doesn't answer, nothing is assumed: the pipeline stops.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use events::Entity;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{Offset, TopicPartitionList};
use serde::Deserialize;
use tokio::runtime::Handle;

use crate::lane::{Halt, Lane, Progress, Signals};

/// How long the group's coordinator may take to say what is committed.
const COMMITTED_TIMEOUT: Duration = Duration::from_secs(10);

/// A topic's partition.
pub type Partition = (Entity, i32);

/// The assigned partitions' lanes, and the callbacks by which librdkafka changes them.
pub struct Assignment {
    lanes: Mutex<HashMap<Partition, Arc<Lane>>>,
    start_lane: Box<dyn Fn(Entity) -> Lane + Send + Sync>,
    signals: Arc<Signals>,
    drain_deadline: Duration,
    runtime: Handle,
    /// Whether a broker answers.
    reachable: AtomicBool,
}

impl std::fmt::Debug for Assignment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assignment")
            .field("partitions", &self.lock().keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl Assignment {
    /// No partitions yet. Must be made on a multi-thread runtime, because a revocation waits for tasks inside a callback.
    pub fn new(
        drain_deadline: Duration,
        signals: Arc<Signals>,
        start_lane: impl Fn(Entity) -> Lane + Send + Sync + 'static,
    ) -> Self {
        Self {
            lanes: Mutex::default(),
            start_lane: Box::new(start_lane),
            signals,
            drain_deadline,
            runtime: Handle::current(),
            reachable: AtomicBool::new(false),
        }
    }

    /// The lane of a partition.
    pub fn lane(&self, partition: Partition) -> Option<Arc<Lane>> {
        self.lock().get(&partition).cloned()
    }

    /// Every lane.
    pub fn lanes(&self) -> Vec<(Partition, Arc<Lane>)> {
        self.lock().iter().map(|(partition, lane)| (*partition, Arc::clone(lane))).collect()
    }

    /// Whether a broker answered lately.
    pub fn is_broker_reachable(&self) -> bool {
        self.reachable.load(Ordering::Acquire)
    }

    /// What can be committed now: the done prefixes that are ahead of what is committed.
    pub fn to_commit(&self) -> TopicPartitionList {
        let lanes = self.lanes();
        to_commit(lanes.iter().map(|(partition, lane)| (*partition, lane.progress())))
    }

    /// Takes every lane away and drains it; see [`Assignment`]'s module about what is finished.
    /// Gives what may be committed then, and whether all lanes met the deadline.
    pub async fn drain_all(&self) -> Drained {
        let lanes = std::mem::take(&mut *self.lock()).into_iter().collect();
        drain(lanes, self.drain_deadline).await
    }

    /// Aborts every lane at once, as a crash would.
    pub fn abort_all(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Partition, Arc<Lane>>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, partitions: &TopicPartitionList) -> Vec<(Partition, Arc<Lane>)> {
        let mut lanes = self.lock();
        parts(partitions).into_iter().filter_map(|partition| Some((partition, lanes.remove(&partition)?))).collect()
    }

    fn assigned(&self, consumer: &BaseConsumer<Self>, partitions: &mut TopicPartitionList) -> KafkaResult<()> {
        match settle_start_offsets(consumer, partitions) {
            Ok(()) => {
                tracing::info!(partitions = describe(partitions), "partitions_assigned");
                let mut lanes = self.lock();
                for (entity, number) in parts(partitions) {
                    lanes.insert((entity, number), Arc::new((self.start_lane)(entity)));
                }
            }
            // The group waits for the assignment all the same. Without lanes nothing of these partitions is worked on or committed.
            Err(error) => {
                tracing::error!(error = error.to_string(), "committed_offsets_unknown");
                self.signals.order(Halt::OffsetsUnknown(error));
            }
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(partitions)?,
            _ => consumer.assign(partitions)?,
        }
        // Assigning doesn't undo a pause: a partition that was paused when it was taken away would come back paused for ever.
        consumer.resume(partitions)
    }

    fn revoked(&self, consumer: &BaseConsumer<Self>, partitions: &TopicPartitionList) -> KafkaResult<()> {
        let lost = consumer.assignment_lost();
        tracing::info!(partitions = describe(partitions), lost, "partitions_revoked");
        let lanes = self.take(partitions);
        if lost {
            // Dropping aborts them.
            drop(lanes);
        } else if !lanes.is_empty() {
            let deadline = self.drain_deadline;
            let drained = tokio::task::block_in_place(|| self.runtime.block_on(drain(lanes, deadline)));
            if !drained.clean {
                tracing::warn!("drain_deadline_passed");
            }
            if drained.offsets.count() > 0
                && let Err(error) = consumer.commit(&drained.offsets, CommitMode::Sync)
            {
                tracing::warn!(error = error.to_string(), "commit_failed");
            }
        }
        for (entity, number) in parts(partitions) {
            forget_lag(entity, number);
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
            _ => consumer.unassign(),
        }
    }
}

/// What is left of lanes that were drained.
#[derive(Debug)]
pub struct Drained {
    /// The offsets to commit.
    pub offsets: TopicPartitionList,
    /// Whether every lane finished what it had begun in time.
    pub clean: bool,
}

async fn drain(lanes: Vec<(Partition, Arc<Lane>)>, deadline: Duration) -> Drained {
    let deadline = tokio::time::Instant::now() + deadline;
    for (_, lane) in &lanes {
        lane.begin_drain();
    }
    let mut clean = true;
    let mut progress = Vec::new();
    for (partition, lane) in lanes {
        progress.push((partition, Arc::clone(lane.progress())));
        clean &= lane.drained(deadline).await;
    }
    Drained { offsets: to_commit(progress.iter().map(|(partition, progress)| (*partition, progress))), clean }
}

fn to_commit<'p>(progress: impl Iterator<Item = (Partition, &'p Arc<Progress>)>) -> TopicPartitionList {
    let mut offsets = TopicPartitionList::new();
    for ((entity, number), progress) in progress {
        if let Some(offset) = progress.to_commit()
            && let Err(error) = offsets.add_partition_offset(entity.topic(), number, Offset::Offset(offset))
        {
            tracing::error!(error = error.to_string(), "offset_out_of_range");
        }
    }
    offsets
}

/// Gives each partition its committed offset, or its beginning where the group has committed nothing.
///
/// The list is changed in place and never replaced: librdkafka owns its memory.
fn settle_start_offsets<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partitions: &mut TopicPartitionList,
) -> KafkaResult<()> {
    let committed = consumer.committed_offsets(partitions.clone(), COMMITTED_TIMEOUT)?;
    for element in committed.elements() {
        element.error()?;
    }
    for element in committed.elements() {
        let start = match element.offset() {
            offset @ Offset::Offset(_) => offset,
            _ => Offset::Beginning,
        };
        partitions.set_partition_offset(element.topic(), element.partition(), start)?;
    }
    Ok(())
}

fn parts(partitions: &TopicPartitionList) -> Vec<Partition> {
    let elements = partitions.elements();
    let known = elements.iter().filter_map(|element| Some((Entity::from_topic(element.topic())?, element.partition())));
    known.collect()
}

fn describe(partitions: &TopicPartitionList) -> String {
    let elements = partitions.elements();
    let texts = elements.iter().map(|element| match element.offset() {
        Offset::Offset(offset) => format!("{}/{}@{offset}", element.topic(), element.partition()),
        Offset::Beginning => format!("{}/{}@beginning", element.topic(), element.partition()),
        _ => format!("{}/{}", element.topic(), element.partition()),
    });
    texts.collect::<Vec<_>>().join(" ")
}

fn forget_lag(entity: Entity, number: i32) {
    let number = number.to_string();
    telemetry::KAFKA_CONSUMER_LAG_RECORDS.remove(&[entity.topic(), &number]);
    telemetry::KAFKA_CONSUMER_LAG_SECONDS.remove(&[entity.topic(), &number]);
}

impl ConsumerContext for Assignment {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let outcome = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assigned(consumer, partitions),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => self.revoked(consumer, partitions),
            _ => {
                self.abort_all();
                consumer.unassign().and(Err(KafkaError::Rebalance(event.into())))
            }
        };
        if let Err(error) = outcome {
            tracing::error!(error = error.to_string(), "rebalance_failed");
            self.signals.order(Halt::Rebalance(error));
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, offsets: &TopicPartitionList) {
        match result {
            Ok(()) => {
                for element in offsets.elements() {
                    let lane =
                        Entity::from_topic(element.topic()).and_then(|entity| self.lane((entity, element.partition())));
                    if let (Some(lane), Offset::Offset(offset), Ok(())) = (lane, element.offset(), element.error()) {
                        lane.progress().set_committed(offset);
                    }
                }
            }
            // The position stays ahead of what is committed, so the next tick tries again.
            Err(error) => tracing::warn!(error = error.to_string(), "commit_failed"),
        }
    }
}

impl ClientContext for Assignment {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        crate::kafka::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(rdkafka::types::RDKafkaErrorCode::AllBrokersDown) {
            self.reachable.store(false, Ordering::Release);
        }
        tracing::warn!(error = error.to_string(), reason, "kafka_error");
    }

    fn stats_raw(&self, json: &[u8]) {
        match serde_json::from_slice::<Statistics>(json) {
            Ok(statistics) => self.observe(&statistics),
            Err(error) => tracing::warn!(error = error.to_string(), "kafka_statistics_malformed"),
        }
    }
}

/// The part of librdkafka's statistics that is used (librdkafka, STATISTICS.md).
#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    brokers: HashMap<String, BrokerStatistics>,
    #[serde(default)]
    topics: HashMap<String, TopicStatistics>,
}

#[derive(Deserialize)]
struct BrokerStatistics {
    state: String,
}

#[derive(Deserialize)]
struct TopicStatistics {
    partitions: HashMap<String, PartitionStatistics>,
}

#[derive(Deserialize)]
struct PartitionStatistics {
    partition: i32,
    hi_offset: i64,
    committed_offset: i64,
}

impl Assignment {
    fn observe(&self, statistics: &Statistics) {
        let reachable = statistics.brokers.values().any(|broker| broker.state == "UP");
        self.reachable.store(reachable, Ordering::Release);
        let now = events::Timestamp::now();
        for (topic, statistics) in &statistics.topics {
            for partition in statistics.partitions.values() {
                let Some(lane) = Entity::from_topic(topic).and_then(|entity| self.lane((entity, partition.partition)))
                else {
                    continue;
                };
                let progress = lane.progress();
                let number = partition.partition.to_string();
                let position = progress.position().unwrap_or(partition.committed_offset.max(0));
                // Some brokers report a high watermark behind what they have delivered, so the position is a lower bound for it.
                let behind = u32::try_from(partition.hi_offset.max(position) - position).unwrap_or(u32::MAX);
                telemetry::KAFKA_CONSUMER_LAG_RECORDS.set(&[topic, &number], f64::from(behind));
                let age = progress.oldest_age(now).unwrap_or_default();
                telemetry::KAFKA_CONSUMER_LAG_SECONDS.set(&[topic, &number], age.as_secs_f64());
            }
        }
    }
}
