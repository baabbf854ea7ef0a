//! What a run found.

use std::collections::BTreeMap;

use serde::Serialize;
use traffic::{Expected, Kind};

use crate::chaos::Events;
use crate::faults::Done;

/// The whole run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    /// Messages that were sent, of all kinds.
    pub(crate) messages: u64,
    pub(crate) kinds: BTreeMap<&'static str, u64>,
    pub(crate) database: &'static str,
    pub(crate) events: Events,
    /// What the proxy in front of DynamoDB did.
    pub(crate) faults: Done,
    /// Rows that live, and tombstones, of all tables.
    pub(crate) live_rows: usize,
    pub(crate) tombstones: usize,
    pub(crate) dead_letters: DeadLetters,
    /// Log lines of the consumers that tell of something.
    pub(crate) said: BTreeMap<&'static str, usize>,
    /// From the first message to the last commit, without the time for looking.
    pub(crate) seconds: f64,
    /// Messages a second over that time.
    pub(crate) per_second: f64,
    /// What the damage was that was done on purpose in the end, and how it was found.
    pub(crate) self_check: SelfCheck,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct DeadLetters {
    /// Messages that can't be applied.
    pub(crate) expected: usize,
    /// Letters in the topic.
    pub(crate) letters: usize,
    /// Messages that have a letter.
    pub(crate) distinct: usize,
}

#[derive(Debug, Default, Serialize)]
pub(crate) struct SelfCheck {
    pub(crate) a_changed_column: String,
    pub(crate) a_revived_tombstone: String,
    pub(crate) a_lost_letter: String,
    pub(crate) swallowed_writes: u64,
    pub(crate) rows_found_wrong_by_them: usize,
}

pub(crate) fn kinds(expected: &Expected) -> BTreeMap<&'static str, u64> {
    Kind::ALL.map(|kind| (kind.as_str(), expected.count(kind))).into()
}
