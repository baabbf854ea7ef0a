//! Partitions come and go: what happens when the group rebalances.
//!
//! The start offset of a partition that comes is settled here; what becomes of lanes is said in [`crate::lanes`].
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
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use events::Entity;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde::Deserialize;
use tokio::runtime::Handle;

use crate::lag::{self, Lag};
use crate::lane::{Halt, Signals};
use crate::lanes::{Lanes, Partition, parts};

/// How long the group's coordinator may take to say what is committed.
const COMMITTED_TIMEOUT: Duration = Duration::from_secs(10);

/// The callbacks by which librdkafka changes the lanes.
#[derive(Debug)]
pub struct Assignment {
    lanes: Arc<Lanes>,
    signals: Arc<Signals>,
    runtime: Handle,
    /// Whether a broker answers.
    reachable: Arc<AtomicBool>,
    lag: Arc<Lag>,
    /// Dropped with the member, which ends it.
    lag_watch: Option<lag::Watch>,
}

impl Assignment {
    /// Changes `lanes`, and says in `reachable` whether a broker answered lately.
    /// Must be made on a multi-thread runtime, because a revocation waits for tasks inside a callback.
    pub fn new(lanes: Arc<Lanes>, signals: Arc<Signals>, reachable: Arc<AtomicBool>) -> Self {
        Self { lanes, signals, runtime: Handle::current(), reachable, lag: Arc::default(), lag_watch: None }
    }

    /// Has the lag of its partitions measured; `member` is what the member's client is made from.
    ///
    /// # Errors
    /// When librdkafka refuses the settings.
    pub fn measured(mut self, member: &ClientConfig) -> KafkaResult<Self> {
        self.lag_watch = Some(lag::watch(member, &self.lanes, &self.lag)?);
        Ok(self)
    }

    /// The lanes.
    pub fn lanes(&self) -> &Lanes {
        &self.lanes
    }

    fn assigned(&self, consumer: &BaseConsumer<Self>, partitions: &mut TopicPartitionList) -> KafkaResult<()> {
        match settle_start_offsets(consumer, partitions) {
            Ok(()) => {
                tracing::info!(partitions = describe(partitions), "partitions_assigned");
                self.lanes.start(partitions);
                self.lag.begin(starts(partitions));
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
        if lost {
            self.lanes.lose(partitions);
        } else if !self.lanes.is_empty_for(partitions) {
            // Not without lanes: a consumer that is closed after its drain may outlive the runtime.
            let drain = self.lanes.give_up(partitions);
            let drained = tokio::task::block_in_place(|| self.runtime.block_on(drain));
            if !drained.clean {
                tracing::warn!("given_up_undone");
            }
            // Not waited for, because fetching rests meanwhile: librdkafka sends it before it lets the partitions go, and says
            // afterwards what has become of it.
            if drained.offsets.count() > 0
                && let Err(error) = consumer.commit(&drained.offsets, CommitMode::Async)
            {
                tracing::warn!(error = error.to_string(), "commit_failed");
            }
        }
        for partition in parts(partitions) {
            self.lag.forget(partition);
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
            _ => consumer.unassign(),
        }
    }
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

fn describe(partitions: &TopicPartitionList) -> String {
    let elements = partitions.elements();
    let texts = elements.iter().map(|element| match element.offset() {
        Offset::Offset(offset) => format!("{}/{}@{offset}", element.topic(), element.partition()),
        Offset::Beginning => format!("{}/{}@beginning", element.topic(), element.partition()),
        _ => format!("{}/{}", element.topic(), element.partition()),
    });
    texts.collect::<Vec<_>>().join(" ")
}

/// Where each partition starts; none for its beginning.
fn starts(partitions: &TopicPartitionList) -> Vec<(Partition, Option<i64>)> {
    let elements = partitions.elements();
    let starts = elements.iter().filter_map(|element| {
        let partition = (Entity::from_topic(element.topic())?, element.partition());
        Some((partition, element.offset().to_raw().filter(|offset| *offset >= 0)))
    });
    starts.collect()
}

impl ConsumerContext for Assignment {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, event: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let outcome = match event {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => self.assigned(consumer, partitions),
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS => self.revoked(consumer, partitions),
            _ => {
                self.lanes.abort_all();
                self.lag.forget_all();
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
            Ok(()) => self.lanes.set_committed(offsets),
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
            Ok(Statistics { brokers }) => {
                let reachable = brokers.values().any(|broker| broker.state == "UP");
                self.reachable.store(reachable, Ordering::Release);
            }
            Err(error) => tracing::warn!(error = error.to_string(), "kafka_statistics_malformed"),
        }
    }
}

/// The part of librdkafka's statistics that is used (librdkafka, STATISTICS.md).
#[derive(Deserialize)]
struct Statistics {
    #[serde(default)]
    brokers: HashMap<String, BrokerStatistics>,
}

#[derive(Deserialize)]
struct BrokerStatistics {
    state: String,
}
