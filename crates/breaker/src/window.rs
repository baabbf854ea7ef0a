//! The first tier: what one process saw in the last seconds.
//!
//! Time here is the process's own monotonic time, as a duration since any fixed moment. A window says that the peer is
//! sick; what follows from it is the business of the shared record ([`crate::Shared::trip`]).

use crate::outcome::{Counts, Outcome};
use crate::settings::Settings;
use std::collections::VecDeque;
use std::time::Duration;

/// A window is cut into this many buckets. What leaves it leaves bucket by bucket, so it spans nine tenths to all of its
/// length.
const BUCKETS: u32 = 10;

/// The calls of one process to one target, over the last seconds.
#[derive(Clone, Debug)]
pub struct Window {
    settings: Settings,
    /// Invariant: in the order of time, at most [`BUCKETS`], none empty.
    buckets: VecDeque<Bucket>,
    consecutive_failures: u32,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// Its place in time: how many bucket lengths fit before it.
    number: u128,
    calls: u32,
    failures: u32,
    slow: u32,
}

/// Why a window says that the breaker should open, and by which calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Trip {
    /// The rule.
    pub rule: TripRule,
    /// The calls it was applied to.
    pub counts: Counts,
}

/// A rule by which a window opens the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TripRule {
    /// Enough calls, and too many of them failed.
    FailureRatio,
    /// Enough calls, and too many of them were slow.
    SlowRatio,
    /// Too many failures in a row, however few calls there were.
    ConsecutiveFailures,
}

impl Window {
    /// A window that has seen nothing.
    pub fn new(settings: Settings) -> Self {
        Self { settings, buckets: VecDeque::new(), consecutive_failures: 0 }
    }

    /// Takes the outcome of a call that ended at `at`, and says whether the breaker should open.
    ///
    /// Every attempt counts as a call: with little traffic, retries are what reaches the number of consecutive failures.
    /// If `at` is before the last call's time, the call counts as of that time.
    pub fn record(&mut self, at: Duration, outcome: Outcome) -> Option<Trip> {
        if outcome == Outcome::Ignored {
            return None;
        }
        let failed = outcome == Outcome::Failure;
        self.consecutive_failures = if failed { self.consecutive_failures.saturating_add(1) } else { 0 };
        let bucket = self.bucket_at(at);
        bucket.calls += 1;
        bucket.failures += u32::from(failed);
        bucket.slow += u32::from(outcome == Outcome::Slow);
        self.judge()
    }

    /// Forgets everything; for when the breaker has opened, so that the old calls don't open it again.
    pub fn reset(&mut self) {
        self.buckets.clear();
        self.consecutive_failures = 0;
    }

    /// The calls in the window as of the last recorded one.
    pub fn counts(&self) -> Counts {
        let empty = Counts { consecutive_failures: self.consecutive_failures, ..Counts::default() };
        self.buckets.iter().fold(empty, |sum, bucket| Counts {
            calls: sum.calls + bucket.calls,
            failures: sum.failures + bucket.failures,
            slow: sum.slow + bucket.slow,
            ..sum
        })
    }

    fn bucket_at(&mut self, at: Duration) -> &mut Bucket {
        let length = self.settings.thresholds().window / BUCKETS;
        let newest = self.buckets.back().map_or(0, |bucket| bucket.number);
        let number = (at.as_nanos() / length.as_nanos()).max(newest);
        while self.buckets.front().is_some_and(|bucket| bucket.number + u128::from(BUCKETS) <= number) {
            self.buckets.pop_front();
        }
        if self.buckets.back().is_none_or(|bucket| bucket.number != number) {
            self.buckets.push_back(Bucket { number, calls: 0, failures: 0, slow: 0 });
        }
        self.buckets.back_mut().expect("a bucket was pushed if there was none")
    }

    fn judge(&self) -> Option<Trip> {
        let thresholds = self.settings.thresholds();
        let counts = self.counts();
        let enough = counts.calls >= thresholds.min_calls;
        let reaches = |part: u32, percent: u32| u64::from(part) * 100 >= u64::from(counts.calls) * u64::from(percent);
        let rule = if counts.consecutive_failures >= thresholds.consecutive_failures {
            TripRule::ConsecutiveFailures
        } else if enough && reaches(counts.failures, thresholds.failure_percent) {
            TripRule::FailureRatio
        } else if enough && reaches(counts.slow, thresholds.slow_percent) {
            TripRule::SlowRatio
        } else {
            return None;
        };
        Some(Trip { rule, counts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Outcome::{Failure, Ignored, Slow, Success};
    use proptest::prelude::*;

    /// The rule of the first trip among calls that are `step` milliseconds apart, and after how many calls it came.
    fn first_trip(step: u64, outcomes: impl IntoIterator<Item = Outcome>) -> Option<(TripRule, usize)> {
        let mut window = Window::new(Settings::default());
        outcomes.into_iter().enumerate().find_map(|(index, outcome)| {
            let at = Duration::from_millis(step * index as u64);
            window.record(at, outcome).map(|trip| (trip.rule, index + 1))
        })
    }

    fn repeat(pattern: &[Outcome], calls: usize) -> Vec<Outcome> {
        pattern.iter().copied().cycle().take(calls).collect()
    }

    #[test]
    fn half_of_twenty_calls_open() {
        assert_eq!(first_trip(1, repeat(&[Failure, Success], 40)), Some((TripRule::FailureRatio, 20)));
        assert_eq!(first_trip(1, repeat(&[Failure, Success, Success], 400)), None);
    }

    #[test]
    fn all_slow_open() {
        assert_eq!(first_trip(1, repeat(&[Slow], 40)), Some((TripRule::SlowRatio, 20)));
        assert_eq!(first_trip(1, repeat(&[Slow, Slow, Success], 400)), None);
    }

    #[test]
    fn five_failures_in_a_row_open_at_any_rate() {
        for step in [1, 60_000] {
            assert_eq!(first_trip(step, [Failure; 9]), Some((TripRule::ConsecutiveFailures, 5)));
            assert_eq!(first_trip(step, [Failure, Failure, Failure, Failure, Slow, Failure, Failure]), None);
        }
    }

    #[test]
    fn ignored_calls_are_nothing() {
        assert_eq!(first_trip(1, repeat(&[Ignored], 100)), None);
        let across = [Failure, Failure, Ignored, Failure, Failure, Ignored, Failure];
        assert_eq!(first_trip(1, across), Some((TripRule::ConsecutiveFailures, 7)));
    }

    #[test]
    fn old_calls_leave() {
        let mut window = Window::new(Settings::default());
        for millis in [0, 500, 1_500] {
            window.record(Duration::from_millis(millis), Success);
        }
        window.record(Duration::from_millis(9_999), Success);
        assert_eq!(window.counts().calls, 4);
        window.record(Duration::from_millis(10_000), Success);
        assert_eq!(window.counts().calls, 3);
        window.record(Duration::from_millis(11_000), Success);
        assert_eq!(window.counts().calls, 3);
        window.record(Duration::from_secs(3600), Success);
        assert_eq!(window.counts().calls, 1);
    }

    proptest! {
        /// Counting anew over what is younger than the window gives at least what the buckets hold, and what is younger
        /// than nine tenths of it gives at most that.
        #[test]
        fn buckets_hold_what_a_recount_gives(
            calls in prop::collection::vec((0_u64..3_000, prop_oneof![Just(Success), Just(Failure), Just(Slow)]), 1..80),
        ) {
            let mut window = Window::new(Settings::default());
            let mut at = 0;
            let times: Vec<u64> = calls.iter().map(|(wait, outcome)| {
                at += wait;
                window.record(Duration::from_millis(at), *outcome);
                at
            }).collect();
            let younger_than = |millis: u64| times.iter().filter(|time| *time + millis > at).count();
            let held = window.counts().calls as usize;
            prop_assert!(younger_than(9_000) <= held && held <= younger_than(10_000));
        }
    }
}
