//! What every lane works with.

use std::sync::Arc;
use std::time::Duration;

use contracts::Coalescing;
use events::qlik::Fence;

use crate::clock::Clock;
use crate::limiter::Limiter;
use crate::registry::Registry;

/// How much one partition may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Messages of one partition that may be unfinished.
    pub messages: usize,
    /// Bytes of one partition that may be unfinished.
    pub bytes: usize,
}

/// What every lane works with.
#[derive(Debug)]
pub struct Tools<S, D> {
    /// Where rows go.
    pub sink: S,
    /// Where messages go that can't be applied.
    pub dead_letters: D,
    /// Where schemas come from.
    pub registry: Arc<Registry>,
    /// What is added to every row.
    pub fence: Fence,
    /// How much one partition may hold.
    pub limits: Limits,
    /// Writes of all partitions that may be under way at once.
    pub writes: Limiter,
    /// Whether changes of one row that wait together are written as one.
    pub coalescing: Coalescing,
    /// What is waited by.
    pub clock: Arc<dyn Clock>,
    /// Waiting times between attempts: the first and the longest.
    pub backoff: (Duration, Duration),
    /// Waiting time between two questions for a schema that the registry doesn't have.
    pub absence_wait: Duration,
    /// How long a message waits for what another one brings before it becomes a dead letter.
    ///
    /// A change of only some columns waits for its row: the complete row may be on its way in another partition, and meanwhile
    /// later changes of the row wait too. A change whose schema no metadata message has announced holds up its partition.
    pub row_wait: Duration,
}
