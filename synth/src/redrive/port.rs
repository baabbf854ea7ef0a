//! What a replay needs from AWS, as one small trait, so that it is tested without any.

use std::time::{Duration, Instant};

use contracts::Region;

use super::plan::Received;

/// A call that brought no answer, or a refusal.
#[derive(Debug, thiserror::Error)]
#[error("`{operation}` failed")]
pub(super) struct CallFailed {
    pub(super) operation: &'static str,
    /// The service's own words, or the transport's.
    #[source]
    pub(super) source: Box<dyn std::error::Error + Send + Sync>,
}

/// What Lambda said of one run of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Set when the run itself failed.
    pub(super) function_error: Option<String>,
    /// What the function answered, or what Lambda says of the failure.
    pub(super) payload: String,
}

/// What a bus said of one event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Entry {
    /// The bus's own id of the event, when it was taken.
    pub(super) event_id: Option<String>,
    /// Code and message, when it was refused.
    pub(super) error: Option<(String, String)>,
}

/// One queue of what was given up on, and where its messages are replayed to.
pub(super) trait Port {
    /// The present, for how long messages stay hidden.
    fn now(&self) -> Instant;
    /// Up to ten messages, hidden from others for so long; none when the queue has none to give.
    async fn receive(&self, hidden_for: Duration) -> Result<Vec<Received>, CallFailed>;
    /// Hides these messages for so long from now on; zero shows them at once.
    async fn hide(&self, receipts: &[String], time: Duration) -> Result<(), CallFailed>;
    /// Takes a message out of the queue for good.
    async fn delete(&self, receipt: &str) -> Result<(), CallFailed>;
    /// Runs a function and waits for its answer, at most [`REPLAY_LIMIT`].
    async fn invoke(&self, function: &str, payload: &str) -> Result<Answer, CallFailed>;
    /// Puts an envelope onto the bus of `peer`.
    async fn publish(&self, peer: &Region, envelope: &str) -> Result<Entry, CallFailed>;
    /// Sends a body to the queue that the transformer works on.
    async fn send(&self, body: &str) -> Result<(), CallFailed>;
}

/// The longest that one replay may take: twice the longest timeout of a function.
pub(super) const REPLAY_LIMIT: Duration = Duration::from_secs(120);
