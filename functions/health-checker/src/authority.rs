//! What is known of authority: who owns what, and which regions get no traffic.
//!
//! Knowledge only grows. What has the higher epoch counts, wherever it comes from: the record, this process's memory, or what
//! was kept with a verdict. A record that can't be read takes nothing back, so everything stays as it was (`fail_static`), and
//! a record with a lower epoch than one that is known takes nothing back either: it tells that somebody knows more.
//! This is bookkeeping; nothing is read here.

use crate::verdict::epoch_millis;
use events::authority::Standing;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// How authority stood at some time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// What the record said.
    pub standing: Standing,
    /// When it was asked, in milliseconds since 1970.
    read_at_ms: u64,
}

impl Known {
    /// What a reading gave that began at `read_at`.
    pub(crate) fn new(standing: Standing, read_at: SystemTime) -> Self {
        Self { standing, read_at_ms: epoch_millis(read_at) }
    }

    /// The newest of some: the one with the highest epoch, and of those the one that was read last.
    pub(crate) fn newest(some: impl IntoIterator<Item = Self>) -> Option<Self> {
        some.into_iter().max_by_key(|known| (known.standing.epoch, known.read_at_ms))
    }

    /// How long ago it was read.
    pub(crate) fn age(&self, now: SystemTime) -> Duration {
        Duration::from_millis(epoch_millis(now).saturating_sub(self.read_at_ms))
    }
}

/// What a process remembers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    newest: Option<Known>,
    last: Option<Reading>,
}

/// An attempt to read the record.
#[derive(Clone, Debug)]
struct Reading {
    began: SystemTime,
    /// The epoch that it gave, if it gave one.
    epoch: Option<u64>,
}

impl Memory {
    /// Notes a reading that began at `began`, and what it gave if it gave something.
    pub(crate) fn note(&mut self, began: SystemTime, standing: Option<Standing>) {
        self.last = Some(Reading { began, epoch: standing.as_ref().map(|standing| standing.epoch) });
        self.learn(standing.map(|standing| Known::new(standing, began)));
    }

    /// Takes over what somebody else knew; says whether that is a decision which this process hadn't heard of.
    pub(crate) fn learn(&mut self, known: Option<Known>) -> bool {
        let before = self.epoch();
        self.newest = Known::newest(self.newest.take().into_iter().chain(known));
        self.epoch() > before
    }

    /// The newest that is known.
    pub(crate) fn newest(&self) -> Option<&Known> {
        self.newest.as_ref()
    }

    /// Whether the record was asked, with success or without, at most `age` ago.
    pub(crate) fn is_fresh(&self, now: SystemTime, age: Duration) -> bool {
        // A clock that was set back makes nothing younger.
        self.last.as_ref().is_some_and(|last| now.duration_since(last.began).is_ok_and(|passed| passed <= age))
    }

    /// Whether the last reading gave less than is known: the record was set back, or somebody decided since.
    pub(crate) fn is_behind(&self) -> bool {
        self.last.as_ref().and_then(|last| last.epoch).is_some_and(|epoch| Some(epoch) < self.epoch())
    }

    fn epoch(&self) -> Option<u64> {
        self.newest.as_ref().map(|known| known.standing.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::UNIX_EPOCH;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn standing(epoch: u64) -> Standing {
        Standing { epoch, ..Standing::default() }
    }

    #[test]
    fn the_highest_epoch_counts_and_then_the_last_reading() {
        let check = |some: &[(u64, u64)], expected: Option<(u64, u64)>| {
            let known = some.iter().map(|(epoch, second)| Known::new(standing(*epoch), at(*second)));
            let expected = expected.map(|(epoch, second)| Known::new(standing(epoch), at(second)));
            assert_eq!(Known::newest(known), expected, "{some:?}");
        };
        check(&[], None);
        check(&[(0, 5)], Some((0, 5)));
        check(&[(2, 5), (1, 9)], Some((2, 5)));
        check(&[(1, 9), (2, 5)], Some((2, 5)));
        check(&[(2, 9), (2, 5)], Some((2, 9)));
    }

    #[test]
    fn nothing_takes_back_what_is_known() {
        let mut memory = Memory::default();
        assert!(memory.newest().is_none() && !memory.is_behind() && !memory.is_fresh(at(0), Duration::MAX));
        memory.note(at(10), Some(standing(3)));
        for outcome in [None, Some(standing(2)), Some(standing(0))] {
            let gave_less = outcome.is_some();
            memory.note(at(20), outcome);
            assert_eq!(memory.newest(), Some(&Known::new(standing(3), at(10))));
            assert_eq!(memory.is_behind(), gave_less, "no answer isn't less");
        }
        memory.note(at(30), Some(standing(3)));
        assert!(!memory.is_behind());
        assert_eq!(memory.newest().map(|known| known.age(at(31))), Some(Duration::from_secs(1)));
    }

    #[test]
    fn what_a_verdict_was_made_under_is_learned() {
        let mut memory = Memory::default();
        memory.note(at(10), Some(standing(3)));
        assert!(!memory.learn(None));
        assert!(!memory.learn(Some(Known::new(standing(3), at(12)))), "the same decision");
        assert!(!memory.is_behind());
        assert!(memory.learn(Some(Known::new(standing(4), at(12)))));
        assert!(memory.is_behind(), "the reading is older than that");
        memory.note(at(13), None);
        assert!(!memory.is_behind(), "nobody knows what the record says");
        assert_eq!(memory.newest(), Some(&Known::new(standing(4), at(12))));
    }

    #[test]
    fn a_reading_is_fresh_whatever_came_of_it() {
        for outcome in [None, Some(standing(1))] {
            let mut memory = Memory::default();
            memory.note(at(10), outcome);
            for (now, expected) in [(at(9), false), (at(10), true), (at(15), true), (at(16), false)] {
                assert_eq!(memory.is_fresh(now, Duration::from_secs(5)), expected);
            }
        }
    }
}
