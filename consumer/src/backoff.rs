//! Waiting times between attempts.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

/// Exponential waiting times with full jitter: each is drawn between zero and a bound that doubles up to a limit,
/// so that writers that failed together don't come back together.
#[derive(Clone, Debug)]
pub struct Backoff {
    base: Duration,
    limit: Duration,
    attempts: u32,
}

impl Backoff {
    /// Waiting times below `base` at first and below `limit` at last.
    pub fn new(base: Duration, limit: Duration) -> Self {
        Self { base, limit, attempts: 0 }
    }

    /// How often waiting was asked for.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// The next waiting time.
    pub fn next_wait(&mut self) -> Duration {
        let bound = self.base.saturating_mul(1 << self.attempts.min(16)).min(self.limit);
        self.attempts = self.attempts.saturating_add(1);
        bound.mul_f64(unit_random())
    }
}

/// A number from 0 to 1. Good enough for jitter, and no dependency: the standard library seeds each hasher anew.
fn unit_random() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 32;
    f64::from(u32::try_from(bits).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_limit() {
        let limit = Duration::from_secs(5);
        let mut backoff = Backoff::new(Duration::from_millis(100), limit);
        let waits: Vec<Duration> = (0..200).map(|_| backoff.next_wait()).collect();
        assert!(waits[0] <= Duration::from_millis(100));
        assert!(waits[1] <= Duration::from_millis(200));
        assert!(waits.iter().all(|wait| *wait <= limit));
        assert!(waits[20..].iter().any(|wait| *wait > limit / 2), "jitter uses the whole range");
        assert!(waits[20..].iter().any(|wait| *wait < limit / 2), "jitter uses the whole range");
        assert_eq!(backoff.attempts(), 200);
    }
}
