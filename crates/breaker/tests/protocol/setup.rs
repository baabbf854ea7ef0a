//! What a model consists of, and which rule it breaks.

use breaker::{Settings, Thresholds};
use std::time::Duration;

/// What is built into a model, apart from the protocol itself.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    /// For each shard the keys of its records, oldest first. A key occurs in one shard only.
    pub(crate) shards: Vec<Vec<usize>>,
    pub(crate) drainers: usize,
    pub(crate) settings: Settings,
    /// Whether an operator forces states.
    pub(crate) operator: bool,
    /// Whether a write of a program that has died can still arrive.
    pub(crate) late_writes: bool,
    pub(crate) broken: Option<Broken>,
}

/// A rule of the protocol that a model can break, to show that it would be noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The record is written whatever its version is.
    WriteWithoutVersion,
    /// An event is parked whatever the record says.
    ParkWithoutRecord,
    /// The lot is declared empty although events were parked since the record was read.
    EmptyWithoutParks,
    /// The lot is looked at before the record is read.
    EmptyByLaterRecord,
    /// The flag goes although its tail has changed.
    ClearWithoutTail,
    /// An event is sent without a look at its key's flag.
    SendWithoutFlag,
    /// A drain begins with the newest event of a key.
    NewestFirst,
    /// A parked event is deleted before it is sent.
    DeleteBeforeSend,
    /// A probe is sent without a lease.
    ProbeWithoutLease,
    /// A record of the stream is done though parking failed.
    DoneWithoutPark,
}

/// Thresholds of so few milliseconds that every order of what ends first occurs.
pub(crate) fn thresholds() -> Thresholds {
    let millis = Duration::from_millis;
    Thresholds {
        open: millis(1),
        open_max: millis(2),
        probe_lease: millis(1),
        successes_to_close: 1,
        ..Thresholds::default()
    }
}

impl Setup {
    pub(crate) fn new(shards: &[&[usize]], drainers: usize) -> Self {
        Self {
            shards: shards.iter().map(|shard| shard.to_vec()).collect(),
            drainers,
            settings: Settings::new(thresholds()).expect("valid"),
            operator: false,
            late_writes: false,
            broken: None,
        }
    }

    pub(crate) fn breaks(&self, rule: Broken) -> bool {
        self.broken == Some(rule)
    }

    /// The record at a place of a shard: its key, and its number among those of the key.
    pub(crate) fn record(&self, shard: usize, place: u8) -> (usize, u8) {
        let keys = &self.shards[shard][..=usize::from(place)];
        let key = keys[usize::from(place)];
        (key, u8::try_from(keys.iter().filter(|other| **other == key).count() - 1).expect("few"))
    }

    pub(crate) fn keys(&self) -> usize {
        self.shards.iter().flatten().max().map_or(0, |key| key + 1)
    }
}
