//! What lanes and rebalances tell the pipeline: that there is room again, or that it must stop.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::error::KafkaError;
use rdkafka::message::OwnedMessage;
use tokio::sync::Notify;

/// What lanes and rebalances tell the pipeline.
#[derive(Debug, Default)]
pub struct Signals {
    /// Rung when a lane has room again or the pipeline must stop.
    pub wake: Notify,
    halt: Mutex<Option<Halt>>,
    /// Messages that were handed to lanes and not taken up yet.
    backlog: AtomicUsize,
    /// Rung when the backlog falls below its limit.
    caught_up: Notify,
}

/// Most messages that wait for lanes to look at them. Enough to keep the lanes busy; each message more would only be older.
const MOST_BACKLOG: usize = 256;

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

    /// Waits until the lanes have caught up with what they were handed, so that messages wait in the client and not here.
    pub(crate) async fn caught_up(&self) {
        while self.backlog.load(Ordering::Acquire) >= MOST_BACKLOG {
            self.caught_up.notified().await;
        }
    }

    /// Takes the order to stop, if there is one.
    pub fn take_order(&self) -> Option<Halt> {
        self.halt.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Messages that were handed to a lane, counted until it has looked at them, keeps them behind a schema that it waits for, or is gone.
#[derive(Debug)]
pub(super) struct HandedOver {
    pub(super) messages: Vec<OwnedMessage>,
    count: usize,
    signals: Arc<Signals>,
}

impl HandedOver {
    pub(super) fn new(messages: Vec<OwnedMessage>, signals: &Arc<Signals>) -> Self {
        let count = messages.len();
        signals.backlog.fetch_add(count, Ordering::AcqRel);
        Self { messages, count, signals: Arc::clone(signals) }
    }
}

impl Drop for HandedOver {
    fn drop(&mut self) {
        let before = self.signals.backlog.fetch_sub(self.count, Ordering::AcqRel);
        if before >= MOST_BACKLOG && before - self.count < MOST_BACKLOG {
            self.signals.caught_up.notify_one();
        }
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
