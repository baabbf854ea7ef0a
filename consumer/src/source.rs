//! Where messages come from, and what keeps the offsets.
//!
//! The pipeline knows Kafka only by this trait, so that tests can run it over a log in memory.

use std::sync::Arc;
use std::time::Duration;

use events::Entity;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::error::KafkaResult;
use rdkafka::message::OwnedMessage;

use crate::assignment::Assignment;
use crate::lanes::Partition;

/// A member of the consumer group.
pub trait Source: Send + Sync + 'static {
    /// The next message of any partition that isn't paused. Partitions come and go inside of this call.
    fn recv(&self) -> impl Future<Output = KafkaResult<OwnedMessage>> + Send;

    /// Delivers nothing more of a partition.
    ///
    /// # Errors
    /// When the client doesn't know the partition.
    fn pause(&self, partition: Partition) -> KafkaResult<()>;

    /// Goes on with a partition.
    ///
    /// # Errors
    /// When the client doesn't know the partition.
    fn resume(&self, partition: Partition) -> KafkaResult<()>;

    /// Begins to commit. Offsets that the broker has committed are handed to [`crate::lanes::Lanes::set_committed`].
    ///
    /// # Errors
    /// When that can't even begin.
    fn commit(&self, offsets: &TopicPartitionList) -> KafkaResult<()>;

    /// Commits for the last time and leaves the group. True when that was done in time.
    fn close(self: Arc<Self>, offsets: TopicPartitionList) -> impl Future<Output = bool> + Send;
}

/// The longest that the last commit and leaving the group may take.
/// With the longest drain (29 s) a pod's grace period of 40 s is kept.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(8);

impl Source for StreamConsumer<Assignment> {
    async fn recv(&self) -> KafkaResult<OwnedMessage> {
        Ok(StreamConsumer::recv(self).await?.detach())
    }

    fn pause(&self, partition: Partition) -> KafkaResult<()> {
        Consumer::pause(self, &list(partition))
    }

    fn resume(&self, partition: Partition) -> KafkaResult<()> {
        Consumer::resume(self, &list(partition))
    }

    fn commit(&self, offsets: &TopicPartitionList) -> KafkaResult<()> {
        Consumer::commit(self, offsets, CommitMode::Async)
    }

    async fn close(self: Arc<Self>, offsets: TopicPartitionList) -> bool {
        // Both of these wait for brokers, for longer than may be waited here. They have a thread of their own
        // because a runtime that ends waits for its blocking tasks, however long they take.
        let (closed, closing) = tokio::sync::oneshot::channel();
        let close = move || {
            let committed = offsets.count() == 0 || commit_sync(&self, &offsets);
            drop(self);
            // Nobody listens past the timeout.
            let _ = closed.send(committed);
        };
        match std::thread::Builder::new().name("close".to_owned()).spawn(close) {
            Ok(_) => matches!(tokio::time::timeout(CLOSE_TIMEOUT, closing).await, Ok(Ok(true))),
            Err(error) => {
                tracing::warn!(error = error.to_string(), "close_failed");
                false
            }
        }
    }
}

fn commit_sync(consumer: &StreamConsumer<Assignment>, offsets: &TopicPartitionList) -> bool {
    match Consumer::commit(consumer, offsets, CommitMode::Sync) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(error = error.to_string(), "commit_failed");
            false
        }
    }
}

fn list((entity, number): (Entity, i32)) -> TopicPartitionList {
    let mut list = TopicPartitionList::with_capacity(1);
    list.add_partition(entity.topic(), number);
    list
}
