//! How fast, and how long: a limit on what is used in a second, and how often a call is tried that may pass.

use super::CallFailed;
use crate::json_service::pause;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// A limit on what all that share it use in a second.
///
/// What a request costs is known after it, so it is the next one that waits.
#[derive(Debug)]
pub struct Pace {
    per_second: f64,
    /// When what was used so far is paid for.
    paid_at: Mutex<Option<Instant>>,
}

impl Pace {
    /// At most so many units a second, at least one.
    pub fn of(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second.max(1)), paid_at: Mutex::default() }
    }

    /// Waits until what was used so far is paid for.
    pub async fn wait(&self) {
        if let Some(due) = self.due() {
            tokio::time::sleep_until(due).await;
        }
    }

    /// Notes what was used.
    pub fn used(&self, units: f64) {
        self.used_at(Instant::now(), units);
    }

    fn due(&self) -> Option<Instant> {
        *self.paid_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time in which nothing was used isn't saved up.
    fn used_at(&self, now: Instant, units: f64) {
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        let from = paid_at.map_or(now, |paid_at| paid_at.max(now));
        *paid_at = Some(from + Duration::from_secs_f64(units.max(0.0) / self.per_second));
    }
}

/// How often a call is tried that was throttled or stayed unanswered; each time is as many attempts as the configuration has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How often.
    pub rounds: u32,
    /// The longest pause between two; pauses double up to it, and are shortened by chance.
    pub longest_pause: Duration,
}

impl Patience {
    /// Calls until it succeeds, can't succeed, or patience is over.
    ///
    /// # Errors
    /// The last failure.
    pub async fn with<T>(&self, call: impl AsyncFn() -> Result<T, CallFailed>) -> Result<T, CallFailed> {
        let mut failed = 0;
        loop {
            match call().await {
                Err(error) if error.passes && failed + 1 < self.rounds => {
                    // The first pauses were the configuration's own.
                    tokio::time::sleep(pause(failed + 4, self.longest_pause)).await;
                    failed += 1;
                }
                ended => return ended,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn what_was_used_is_waited_for_and_idle_time_is_not_saved() {
        let start = Instant::now();
        let after = |millis| start + Duration::from_millis(millis);
        let pace = Pace::of(100);
        assert_eq!(pace.due(), None, "the first request waits for nothing");
        pace.used_at(start, 50.0);
        assert_eq!(pace.due(), Some(after(500)));
        pace.used_at(after(100), 25.0);
        assert_eq!(pace.due(), Some(after(750)), "others' use adds up");
        pace.used_at(after(10_000), 10.0);
        assert_eq!(pace.due(), Some(after(10_100)));
        pace.used_at(after(10_000), 0.0);
        assert_eq!(pace.due(), Some(after(10_100)));
        let slow = Pace::of(0);
        slow.used_at(start, 2.0);
        assert_eq!(slow.due(), Some(after(2_000)), "at least one a second");
    }

    #[tokio::test]
    async fn only_what_may_pass_is_tried_again() {
        let patience = Patience { rounds: 3, longest_pause: Duration::ZERO };
        let calls = Cell::new(0);
        let failing = async |passes: bool, until: u32| {
            calls.set(0);
            let call = async || {
                calls.set(calls.get() + 1);
                let error = || CallFailed {
                    operation: "scan",
                    table: "t".to_owned(),
                    code: "Told".to_owned(),
                    message: String::new(),
                    passes,
                };
                if calls.get() > until { Ok(calls.get()) } else { Err(error()) }
            };
            (patience.with(call).await.ok(), calls.get())
        };
        assert_eq!(failing(true, 2).await, (Some(3), 3));
        assert_eq!(failing(true, 3).await, (None, 3));
        assert_eq!(failing(false, 1).await, (None, 1));
    }
}
