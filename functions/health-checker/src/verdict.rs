//! The verdict on a region: several checks together, so that one bad minute moves nothing.
//!
//! A region becomes unhealthy when enough of the last checks found it so, and recovers in the same way. Each turn starts the
//! counting anew: a check speaks for one turn only, so a region that comes and goes doesn't turn with every check.
//! This is arithmetic; nothing is measured or stored here.

use crate::report::Health;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The verdict on a region and what it's made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What is to be believed of the region.
    pub health: Health,
    /// When the last check began, in milliseconds since 1970.
    checked_at_ms: u64,
    /// Whether enough checks failed, and not enough have succeeded since.
    down: bool,
    /// Whether each check since the last turn failed, oldest first. Invariant: at most as many as the window.
    failed: Vec<bool>,
}

/// How many checks it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hysteresis {
    /// So many checks turn a verdict.
    pub(crate) turns_after: usize,
    /// How many of the last checks are looked at.
    pub(crate) window: usize,
    /// Checks older than this say nothing any more.
    pub(crate) expiry: Duration,
}

impl Verdict {
    /// The verdict after a check that saw `observed`. Without a `previous` one, all was well before.
    pub(crate) fn after(
        previous: Option<&Self>,
        observed: Health,
        checked_at: SystemTime,
        hysteresis: Hysteresis,
    ) -> Self {
        let (mut down, mut failed) = previous.map_or((false, Vec::new()), |previous| {
            // After a long silence the old checks don't count, but what they led to stays.
            let counted = if previous.is_expired(checked_at, hysteresis.expiry) { &[] } else { &previous.failed[..] };
            (previous.down, counted.to_vec())
        });
        let fails = observed == Health::Unhealthy;
        failed.push(fails);
        failed.drain(..failed.len().saturating_sub(hysteresis.window));
        let against = failed.iter().filter(|failed| **failed != down).count();
        if fails != down && against >= hysteresis.turns_after {
            down = fails;
            failed.clear();
        }
        // One failed check is worth a mention; only several make a region unhealthy.
        let health = if down { Health::Unhealthy } else { observed.min(Health::Degraded) };
        Self { health, checked_at_ms: epoch_millis(checked_at), down, failed }
    }

    /// When the last check began.
    pub(crate) fn checked_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.checked_at_ms)
    }

    /// Whether the last check is further than `expiry` from `now`. Clocks of two machines differ, so it may lie ahead a bit.
    pub(crate) fn is_expired(&self, now: SystemTime, expiry: Duration) -> bool {
        Duration::from_millis(epoch_millis(now).abs_diff(self.checked_at_ms)) > expiry
    }

    /// The verdict as text, for [`Self::parse`].
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("numbers, words and a list are always JSON")
    }

    /// Reads a verdict back; none when the text is something else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

fn epoch_millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs checks a minute apart; `H`, `D` and `U` is what each saw and, in the answer, the verdict after it.
    fn verdicts(checks: &str, turns_after: usize, window: usize) -> String {
        let hysteresis = Hysteresis { turns_after, window, expiry: Duration::from_secs(300) };
        let mut verdict = None;
        let mut told = String::new();
        for (minute, check) in (1..).zip(checks.chars()) {
            let observed = match check {
                'H' => Health::Healthy,
                'D' => Health::Degraded,
                _ => Health::Unhealthy,
            };
            let checked_at = UNIX_EPOCH + Duration::from_secs(minute * 60);
            let next = Verdict::after(verdict.as_ref(), observed, checked_at, hysteresis);
            told.push(match next.health {
                Health::Healthy => 'H',
                Health::Degraded => 'D',
                Health::Unhealthy => 'U',
            });
            let read = Verdict::parse(&next.to_json()).expect("reads back");
            assert_eq!(read, next);
            verdict = Some(read);
        }
        told
    }

    #[test]
    fn enough_of_the_last_checks_turn_a_verdict() {
        let cases = [
            // (checks, verdicts) for two of three.
            ("HHH", "HHH"),
            ("D", "D"),
            ("U", "D"),
            ("HUHHUH", "HDHHDH"),
            ("UU", "DU"),
            ("UHU", "DHU"),
            ("UHHU", "DHHD"),
            ("UUH", "DUU"),
            ("UUHH", "DUUH"),
            ("UUHUH", "DUUUH"),
            ("UUDD", "DUUD"),
            ("UUUUUHHU", "DUUUUUHD"),
            // One that comes and goes turns with every third check and not with every one.
            ("UHUHUHUHU", "DHUUUHDHU"),
        ];
        for (checks, expected) in cases {
            assert_eq!(verdicts(checks, 2, 3), expected, "{checks}");
        }
    }

    #[test]
    fn one_of_one_has_no_memory() {
        assert_eq!(verdicts("HUHUDU", 1, 1), "HUHUDU");
    }

    #[test]
    fn checks_outside_of_the_window_are_forgotten() {
        assert_eq!(verdicts("UHHUHHU", 2, 3), "DHHDHHD");
        assert_eq!(verdicts("UHHU", 2, 4), "DHHU");
    }

    #[test]
    fn after_a_silence_old_checks_do_not_count_and_the_state_stays() {
        let hysteresis = Hysteresis { turns_after: 2, window: 3, expiry: Duration::from_secs(300) };
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(10_000 + seconds);
        let first = Verdict::after(None, Health::Unhealthy, at(0), hysteresis);
        for (seconds, expected) in [(300, Health::Unhealthy), (301, Health::Degraded)] {
            let second = Verdict::after(Some(&first), Health::Unhealthy, at(seconds), hysteresis);
            assert_eq!(second.health, expected, "after {seconds} s");
        }
        let down = Verdict::after(Some(&first), Health::Unhealthy, at(60), hysteresis);
        let later = Verdict::after(Some(&down), Health::Healthy, at(9_000), hysteresis);
        assert_eq!(later.health, Health::Unhealthy, "one good check is not enough, however late");
        assert_eq!(Verdict::after(Some(&later), Health::Healthy, at(9_060), hysteresis).health, Health::Healthy);
    }

    #[test]
    fn a_verdict_expires_and_clocks_may_differ() {
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(10_000 + seconds);
        let hysteresis = Hysteresis { turns_after: 2, window: 3, expiry: Duration::from_secs(300) };
        let verdict = Verdict::after(None, Health::Healthy, at(0), hysteresis);
        for (now, expired) in [(at(0), false), (at(300), false), (at(301), true)] {
            assert_eq!(verdict.is_expired(now, hysteresis.expiry), expired);
        }
        assert!(!verdict.is_expired(UNIX_EPOCH + Duration::from_secs(9_999), hysteresis.expiry));
        assert!(verdict.is_expired(UNIX_EPOCH, hysteresis.expiry));
    }

    #[test]
    fn what_is_no_verdict_is_none() {
        for text in ["", "{}", "[]", r#"{"health":"well"}"#] {
            assert_eq!(Verdict::parse(text), None, "{text}");
        }
    }
}
