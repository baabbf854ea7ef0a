//! The time, as something that tests can drive.
//!
//! Latencies come from a clock that never steps, ages of verdicts from the wall clock, which other machines share.

use aws::authority::AuthorityError;
use aws::health::HealthError;
use std::future::Future;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Tells the time and waits.
pub trait Clock: Sync {
    /// The time of day.
    fn now(&self) -> SystemTime;

    /// Time since some moment that stays the same; it never goes back.
    fn elapsed(&self) -> Duration;

    /// Waits for so long.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

impl<C: Clock> Clock for &C {
    fn now(&self) -> SystemTime {
        (**self).now()
    }

    fn elapsed(&self) -> Duration {
        (**self).elapsed()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        (**self).sleep(duration)
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
pub struct MachineClock {
    started: Instant,
}

impl MachineClock {
    /// The clock, from now on.
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for MachineClock {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(duration)
    }
}

/// An error that can say that a limit was reached.
pub(crate) trait TimedOut {
    /// There was no answer within `limit`.
    fn after(limit: Duration) -> Self;
}

impl TimedOut for HealthError {
    fn after(limit: Duration) -> Self {
        Self::Timeout { limit }
    }
}

impl TimedOut for AuthorityError {
    fn after(limit: Duration) -> Self {
        Self::Timeout { limit }
    }
}

/// What `work` gives, or that it took longer than `limit`.
pub(crate) async fn within<T, E: TimedOut>(
    clock: &impl Clock,
    limit: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    // Boxed, because futures of the SDK are deep and every layer above would contain them.
    let work = Box::pin(work);
    // Work goes first: what is done at the very end of its time is done.
    tokio::select! {
        biased;
        output = work => output,
        () = clock.sleep(limit) => Err(E::after(limit)),
    }
}
