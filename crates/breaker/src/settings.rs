//! The breaker's settings, checked as a whole.

use std::time::Duration;

/// The numbers of a breaker, with the defaults of [`Thresholds::default`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// How far back calls count; 1 s to 10 min. Default 10 s.
    pub window: Duration,
    /// Ratios say nothing below this number of calls in the window; from 1. Default 20.
    pub min_calls: u32,
    /// The part of failed calls, in percent, from which on the breaker opens; 1 to 100. Default 50.
    pub failure_percent: u32,
    /// This many failures in a row open the breaker whatever the ratios say; from 1. Default 5.
    /// It exists because an instance with little traffic never reaches `min_calls` within the window.
    pub consecutive_failures: u32,
    /// A call that took so long is slow; above zero. Default 2 s.
    pub slow_call: Duration,
    /// The part of slow calls, in percent, from which on the breaker opens; 1 to 100. Default 100.
    pub slow_percent: u32,
    /// How long the breaker is open the first time; from 1 ms. Default 5 s. It doubles with each failed probe.
    pub open: Duration,
    /// The longest time it is open; not below `open`. Default 60 s.
    pub open_max: Duration,
    /// By up to this part, in percent, an open time is made shorter at random; 0 to 100. Default 20.
    pub jitter_percent: u32,
    /// Probes that may run at the same time over all instances; 1 to 10. Default 1.
    pub probes: u32,
    /// How long a probe may take; from 1 ms. Default 10 s.
    /// It must be longer than the longest send with its retries, plus the difference of two clocks.
    pub probe_lease: Duration,
    /// Successful probes that close the breaker; from 1. Default 2.
    pub successes_to_close: u32,
    /// The most events that a drain sends side by side; from 1. Default 64. It starts with one and doubles.
    pub drain_max: u32,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            window: Duration::from_secs(10),
            min_calls: 20,
            failure_percent: 50,
            consecutive_failures: 5,
            slow_call: Duration::from_secs(2),
            slow_percent: 100,
            open: Duration::from_secs(5),
            open_max: Duration::from_secs(60),
            jitter_percent: 20,
            probes: 1,
            probe_lease: Duration::from_secs(10),
            successes_to_close: 2,
            drain_max: 64,
        }
    }
}

/// Settings that can be worked with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(Thresholds);

impl Settings {
    /// Checks `thresholds`.
    ///
    /// # Errors
    /// All that is out of range, at once.
    pub fn new(thresholds: Thresholds) -> Result<Self, InvalidSettings> {
        let mistakes = mistakes(&thresholds);
        if mistakes.is_empty() { Ok(Self(thresholds)) } else { Err(InvalidSettings(mistakes)) }
    }

    /// The numbers.
    pub fn thresholds(&self) -> &Thresholds {
        &self.0
    }

    /// How long the breaker is open after `step` failed probes.
    pub(crate) fn open_time(&self, step: u32, jitter: Jitter) -> Duration {
        let doubled = self.0.open.saturating_mul(1_u32.checked_shl(step).unwrap_or(u32::MAX));
        let full = doubled.min(self.0.open_max);
        full - full.mul_f64(jitter.0 * f64::from(self.0.jitter_percent) / 100.0)
    }

    /// The step after `step`; it stays where the open time has reached its longest.
    pub(crate) fn next_step(&self, step: u32) -> u32 {
        if self.open_time(step, Jitter::NONE) < self.0.open_max { step + 1 } else { step }
    }
}

fn mistakes(thresholds: &Thresholds) -> Vec<Mistake> {
    let Thresholds {
        window,
        min_calls,
        failure_percent,
        consecutive_failures,
        slow_call,
        slow_percent,
        open,
        open_max,
        jitter_percent,
        probes,
        probe_lease,
        successes_to_close,
        drain_max,
    } = thresholds;
    let millisecond = Duration::from_millis(1);
    let rules = [
        ((Duration::from_secs(1)..=Duration::from_secs(600)).contains(window), "window", "1 s to 10 min"),
        (*min_calls > 0, "min_calls", "at least 1"),
        ((1..=100).contains(failure_percent), "failure_percent", "1 to 100"),
        (*consecutive_failures > 0, "consecutive_failures", "at least 1"),
        (!slow_call.is_zero(), "slow_call", "above zero"),
        ((1..=100).contains(slow_percent), "slow_percent", "1 to 100"),
        (*open >= millisecond, "open", "at least 1 ms"),
        (open_max >= open, "open_max", "at least `open`"),
        (*jitter_percent <= 100, "jitter_percent", "0 to 100"),
        ((1..=10).contains(probes), "probes", "1 to 10"),
        (*probe_lease >= millisecond, "probe_lease", "at least 1 ms"),
        (*successes_to_close > 0, "successes_to_close", "at least 1"),
        (*drain_max > 0, "drain_max", "at least 1"),
    ];
    rules.into_iter().filter(|(good, ..)| !good).map(|(_, setting, range)| Mistake { setting, range }).collect()
}

/// A setting that is out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{setting}` must be {range}")]
pub struct Mistake {
    /// The field of [`Thresholds`].
    pub setting: &'static str,
    /// What it may be.
    pub range: &'static str,
}

/// Settings that contradict themselves or are out of range: at least one mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
pub struct InvalidSettings(pub Vec<Mistake>);

/// A random number from 0 to 1 that spreads out what would otherwise happen everywhere at once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Jitter(f64);

impl Jitter {
    /// No spread: the full time.
    pub const NONE: Self = Self(0.0);

    /// A spread of `fraction`, which is brought into 0 to 1; what is no number becomes 0.
    pub fn new(fraction: f64) -> Self {
        Self(if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert!(Settings::new(Thresholds::default()).is_ok());
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let thresholds = Thresholds {
            window: Duration::ZERO,
            failure_percent: 101,
            open: Duration::from_secs(9),
            open_max: Duration::from_secs(8),
            probes: 0,
            ..Thresholds::default()
        };
        let error = Settings::new(thresholds).expect_err("out of range");
        assert_eq!(
            error.to_string(),
            "`window` must be 1 s to 10 min, `failure_percent` must be 1 to 100, `open_max` must be at least `open`, \
             `probes` must be 1 to 10"
        );
    }

    #[test]
    fn open_times_double_up_to_the_longest() {
        let settings = Settings::default();
        let mut step = 0;
        let mut seconds = Vec::new();
        for _ in 0..6 {
            seconds.push(settings.open_time(step, Jitter::NONE).as_secs());
            step = settings.next_step(step);
        }
        assert_eq!(seconds, [5, 10, 20, 40, 60, 60]);
        assert_eq!(step, 4, "the step doesn't grow without end");
        assert_eq!(settings.open_time(40, Jitter::NONE).as_secs(), 60, "nothing overflows");
    }

    #[test]
    fn jitter_shortens_by_its_part_at_most() {
        let settings = Settings::default();
        assert_eq!(settings.open_time(0, Jitter::new(1.0)), Duration::from_secs(4));
        assert_eq!(settings.open_time(0, Jitter::new(7.0)), Duration::from_secs(4));
        assert_eq!(settings.open_time(0, Jitter::new(f64::NAN)), Duration::from_secs(5));
    }
}
