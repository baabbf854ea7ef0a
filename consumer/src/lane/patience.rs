//! The waits between the attempts of one message, cut short when the lane stops.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Tools;
use crate::backoff::Backoff;
use crate::clock::Clock;

/// The waits between the attempts of one message, cut short when the lane stops:
/// a message that waits for its next attempt has nothing under way, so leaving it to the partition's next owner is safe.
pub(super) struct Patience {
    clock: Arc<dyn Clock>,
    backoff: Backoff,
    stop: watch::Receiver<bool>,
}

/// The lane stops.
pub(super) struct Stopped;

impl Patience {
    pub(super) fn new<S, D>(tools: &Tools<S, D>, stop: watch::Receiver<bool>) -> Self {
        Self { clock: Arc::clone(&tools.clock), backoff: Backoff::new(tools.backoff.0, tools.backoff.1), stop }
    }

    /// The number of the attempt that just failed, from 1.
    pub(super) fn attempt(&self) -> u32 {
        self.backoff.attempts() + 1
    }

    /// Waits for the next waiting time.
    pub(super) async fn wait(&mut self) -> Result<(), Stopped> {
        let wait = self.backoff.next_wait();
        self.wait_for(wait).await
    }

    /// Waits for a given time.
    pub(super) async fn wait_for(&mut self, wait: Duration) -> Result<(), Stopped> {
        let over = self.clock.sleep(wait);
        self.or_stop(over).await
    }

    /// Waits for something else.
    pub(super) async fn or_stop<T>(&mut self, other: impl Future<Output = T>) -> Result<T, Stopped> {
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|stopping| *stopping) => Err(Stopped),
            done = other => Ok(done),
        }
    }
}
