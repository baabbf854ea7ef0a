//! The time, as something that tests can set.
//!
//! Wall-clock time serves for tokens and for the age of keys alike: while a function is frozen between invocations it is
//! the one clock that certainly goes on.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tells the time. Clones are the same clock, so that tasks can have one.
pub trait Clock: Clone + Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> SystemTime;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// Whether `span` has passed since `then`. A `then` in the future means that the clock was set back; it counts as passed,
/// so that nothing is kept for longer than it may be.
pub(crate) fn has_passed(now: SystemTime, then: SystemTime, span: Duration) -> bool {
    now.duration_since(then).map_or(true, |age| age >= span)
}

/// Whole seconds since 1970, as tokens count time.
pub(crate) fn epoch_seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
