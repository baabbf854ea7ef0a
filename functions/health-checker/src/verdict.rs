//! The verdict on a region: several checks together, so that one bad minute moves nothing.
//!
//! A region becomes unhealthy when enough of the last checks found it so, and recovers in the same way. Each turn starts the
//! counting anew: a check speaks for one turn only, so a region that comes and goes doesn't turn with every check.
//! A check that is delivered twice counts once.
//! This is arithmetic; nothing is measured or stored here.

use crate::authority::Known;
use events::health::Health;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The verdict on a region and what it's made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What is to be believed of the region.
    pub health: Health,
    /// When the last check began, in milliseconds since 1970.
    checked_at_ms: u64,
    /// When the last check began that counts beside those before it. Later ones were the same check again.
    counted_at_ms: u64,
    /// Whether enough checks failed, and not enough have succeeded since.
    down: bool,
    /// Whether each check since the last turn failed, oldest first. Invariant: at most as many as the window.
    failed: Vec<bool>,
    /// The newest that its maker knew of authority, which has no part in the verdict. It is kept here because whoever reads the
    /// verdict then needs no record to know as much, and a process that starts while the record can't be read is no worse off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    under: Option<Known>,
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
    /// How far apart checks are.
    pub(crate) interval: Duration,
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
        let repeated = previous.filter(|previous| previous.is_repeated(checked_at, hysteresis));
        // A repeated check takes the place of what it repeats. If that turned the verdict, nothing is left to replace, and
        // it adds nothing: it would be the first step of a turn back.
        let adds_nothing = repeated.is_some() && failed.pop().is_none();
        if !adds_nothing {
            failed.push(fails);
            failed.drain(..failed.len().saturating_sub(hysteresis.window));
        }
        let against = failed.iter().filter(|failed| **failed != down).count();
        if fails != down && against >= hysteresis.turns_after {
            down = fails;
            failed.clear();
        }
        // One failed check is worth a mention; only several make a region unhealthy.
        let health = if down { Health::Unhealthy } else { observed.min(Health::Degraded) };
        let began = epoch_millis(checked_at);
        // Counted from the first of them, so that checks that come too often can't keep each other from counting.
        let counted_at_ms = repeated.map_or(began, |previous| previous.counted_at_ms);
        let checked_at_ms = repeated.map_or(began, |previous| previous.checked_at_ms.max(began));
        let under = previous.and_then(|previous| previous.under.clone());
        Self { health, checked_at_ms, counted_at_ms, down, failed, under }
    }

    /// The same verdict, by somebody who knew this of authority too.
    pub(crate) fn made_under(self, known: Option<Known>) -> Self {
        Self { under: Known::newest(self.under.into_iter().chain(known)), ..self }
    }

    /// What was known of authority when it was made.
    pub(crate) fn under(&self) -> Option<&Known> {
        self.under.as_ref()
    }

    /// Whether a check that begins at `checked_at` is the last one again.
    fn is_repeated(&self, checked_at: SystemTime, hysteresis: Hysteresis) -> bool {
        let since = Duration::from_millis(epoch_millis(checked_at).saturating_sub(self.counted_at_ms));
        since < hysteresis.interval / 2 && !self.is_expired(checked_at, hysteresis.expiry)
    }

    /// When the last check began.
    pub(crate) fn checked_at(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.checked_at_ms)
    }

    /// Whether the last check is further than `expiry` from `now`. Clocks of two machines differ, so it may lie ahead a bit.
    pub(crate) fn is_expired(&self, now: SystemTime, expiry: Duration) -> bool {
        Duration::from_millis(epoch_millis(now).abs_diff(self.checked_at_ms)) > expiry
    }

    /// What tells this verdict from those before and after it.
    pub(crate) fn stamp(&self) -> u64 {
        self.checked_at_ms
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

/// Milliseconds since 1970.
pub(crate) fn epoch_millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::authority::Standing;

    const HYSTERESIS: Hysteresis =
        Hysteresis { turns_after: 2, window: 3, expiry: Duration::from_secs(300), interval: Duration::from_secs(60) };

    /// Runs checks a minute apart; `H`, `D` and `U` is what each saw and, in the answer, the verdict after it.
    fn verdicts(checks: &str, turns_after: usize, window: usize) -> String {
        let seconds: Vec<u64> = (1..).map(|minute| minute * 60).take(checks.len()).collect();
        verdicts_at(checks, &seconds, turns_after, window)
    }

    /// The same, with the seconds at which the checks begin.
    fn verdicts_at(checks: &str, seconds: &[u64], turns_after: usize, window: usize) -> String {
        let hysteresis = Hysteresis { turns_after, window, ..HYSTERESIS };
        let mut verdict = None;
        let mut told = String::new();
        for (second, check) in seconds.iter().zip(checks.chars()) {
            let observed = match check {
                'H' => Health::Healthy,
                'D' => Health::Degraded,
                _ => Health::Unhealthy,
            };
            let checked_at = UNIX_EPOCH + Duration::from_secs(*second);
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
    fn a_check_that_is_delivered_twice_counts_once() {
        let cases = [
            // (checks, when they begin, verdicts) for two of three.
            ("UU", &[0, 29][..], "DD"),
            ("UU", &[0, 30], "DU"),
            ("UUU", &[0, 1, 60], "DDU"),
            // The last word counts.
            ("UHU", &[0, 1, 60], "DHD"),
            ("HUU", &[0, 1, 60], "HDU"),
            // However often it comes, there is a check for each half of an interval.
            ("UUUU", &[0, 20, 40, 60], "DDUU"),
            // What turned a verdict is not also the first step back.
            ("UUHHH", &[0, 60, 61, 120, 180], "DUUUH"),
            ("UUHH", &[0, 60, 61, 119], "DUUU"),
            // A check that is delivered late, by a clock that is behind.
            ("UHU", &[60, 59, 120], "DHD"),
        ];
        for (checks, seconds, expected) in cases {
            let seconds: Vec<u64> = seconds.iter().map(|second| 10_000 + second).collect();
            assert_eq!(verdicts_at(checks, &seconds, 2, 3), expected, "{checks} at {seconds:?}");
        }
    }

    #[test]
    fn checks_outside_of_the_window_are_forgotten() {
        assert_eq!(verdicts("UHHUHHU", 2, 3), "DHHDHHD");
        assert_eq!(verdicts("UHHU", 2, 4), "DHHU");
    }

    #[test]
    fn after_a_silence_old_checks_do_not_count_and_the_state_stays() {
        let hysteresis = HYSTERESIS;
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
        let hysteresis = HYSTERESIS;
        let verdict = Verdict::after(None, Health::Healthy, at(0), hysteresis);
        for (now, expired) in [(at(0), false), (at(300), false), (at(301), true)] {
            assert_eq!(verdict.is_expired(now, hysteresis.expiry), expired);
        }
        assert!(!verdict.is_expired(UNIX_EPOCH + Duration::from_secs(9_999), hysteresis.expiry));
        assert!(verdict.is_expired(UNIX_EPOCH, hysteresis.expiry));
    }

    #[test]
    fn a_verdict_keeps_the_newest_that_was_known_of_authority() {
        let known = |epoch, seconds| {
            let standing = Standing { epoch, ..Standing::default() };
            Known::new(standing, UNIX_EPOCH + Duration::from_secs(seconds))
        };
        let mut previous: Option<Verdict> = None;
        for (read, expected) in [
            (None, None),
            (Some(known(2, 60)), Some(known(2, 60))),
            (None, Some(known(2, 60))),
            (Some(known(1, 180)), Some(known(2, 60))),
            (Some(known(2, 240)), Some(known(2, 240))),
            (Some(known(3, 300)), Some(known(3, 300))),
        ] {
            let checked_at = UNIX_EPOCH + Duration::from_secs(300);
            let verdict = Verdict::after(previous.as_ref(), Health::Healthy, checked_at, HYSTERESIS).made_under(read);
            let kept = Verdict::parse(&verdict.to_json()).expect("reads back");
            assert_eq!(kept.under(), expected.as_ref());
            previous = Some(kept);
        }
    }

    #[test]
    fn a_verdict_that_was_kept_before_authority_was_known_is_read() {
        let kept = r#"{"health":"healthy","checked_at_ms":7,"counted_at_ms":7,"down":false,"failed":[false]}"#;
        let read = Verdict::parse(kept).expect("a verdict");
        assert_eq!((read.under(), read.to_json().as_str()), (None, kept));
    }

    #[test]
    fn what_is_no_verdict_is_none() {
        for text in ["", "{}", "[]", r#"{"health":"well"}"#] {
            assert_eq!(Verdict::parse(text), None, "{text}");
        }
    }
}
