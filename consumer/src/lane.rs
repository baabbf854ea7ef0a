//! One partition's work: decode, apply, and know what is done.
//!
//! A lane is a task that owns everything about its partition, so lanes share little on the way of a message: schemas, the limit of writes, and what tells the pipeline of them.
//! Its bounds: the inbox and the messages in work together hold what [`Limits`] allow, then the pipeline pauses the partition, and that one only.
//! A message that waits for its next attempt holds up its own key and nothing else.

mod apply;
mod orders;
mod patience;
mod progress;
mod schema;
mod tools;
mod worker;

use std::sync::Arc;

use events::Entity;
use rdkafka::message::{Message, OwnedMessage};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

pub use orders::{DeadLetterTooLarge, Halt, Signals};
pub use progress::Progress;
pub use tools::{Limits, Tools};

use crate::dead_letter::DeadLetterSink;
use crate::sink::Sink;
use orders::HandedOver;
use worker::Worker;

/// A lane as its owner holds it.
#[derive(Debug)]
pub struct Lane {
    /// Without a bound of its own: the partition is paused at the limits.
    inbox: mpsc::UnboundedSender<HandedOver>,
    signals: Arc<Signals>,
    stop: watch::Sender<bool>,
    /// True when the task has returned; closed without it when the task was aborted or has panicked.
    ended: watch::Receiver<bool>,
    task: JoinHandle<()>,
    limits: Limits,
    progress: Arc<Progress>,
}

impl Lane {
    /// Starts a lane.
    pub fn spawn<S: Sink, D: DeadLetterSink>(
        entity: Entity,
        tools: Arc<Tools<S, D>>,
        signals: Arc<Signals>,
        runtime: &tokio::runtime::Handle,
    ) -> Self {
        let (inbox, arrivals) = mpsc::unbounded_channel();
        let (stop, stopped) = watch::channel(false);
        let progress = Arc::new(Progress::default());
        let limits = tools.limits;
        let worker = Worker::new(entity, stopped, tools, Arc::clone(&signals), Arc::clone(&progress));
        let (has_ended, ended) = watch::channel(false);
        let task = runtime.spawn(async move {
            worker.run(arrivals).await;
            has_ended.send_replace(true);
        });
        Self { inbox, signals, stop, ended, task, limits, progress }
    }

    /// Counts a message that will be handed over. True when the partition must be paused now.
    pub fn expect(&self, message: &OwnedMessage) -> bool {
        self.progress.takes_up(message_size(message), &self.limits)
    }

    /// Hands over messages, in their order, all of which were announced by [`Self::expect`].
    ///
    /// # Errors
    /// When the lane's task is gone: it has panicked, or was cut off with its owner's authority.
    pub fn hand_over(&self, messages: Vec<OwnedMessage>) -> Result<(), LaneGone> {
        self.inbox.send(HandedOver::new(messages, &self.signals)).map_err(|_| LaneGone)
    }

    /// Whether the partition was paused and has room again; says so once.
    pub fn take_relief(&self) -> bool {
        self.progress.take_relief(&self.limits)
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

    /// Ends the lane at once. What it had not finished is delivered again.
    pub fn abort(&self) {
        self.task.abort();
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
