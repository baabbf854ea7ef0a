//! The second tier: the record that all instances of a region share about one way to a target.

use crate::outcome::Counts;
use crate::time::Millis;
use crate::window::TripRule;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A way for events: from a region to a target in another one. Each has its own record and its own lot.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Route {
    /// The region whose router sends.
    pub from: Arc<str>,
    /// The region that receives.
    pub to: Arc<str>,
    /// What it is sent to there, such as the name of a bus.
    pub target: Arc<str>,
}

/// `from#to#target`: the record's partition key. None of the three holds a `#`.
impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}#{}", self.from, self.to, self.target)
    }
}

/// The record of one [`Route`], as one strongly consistent read gave it.
///
/// It is changed by [`Write`](crate::Write)s, which compare the version, and beside them by two updates that touch only
/// [`parks`](Self::parks) and [`survey`](Self::survey).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Shared {
    /// Rises by one with each write; 0 if there is no record yet.
    pub version: u64,
    /// What is done with events.
    pub state: State,
    /// Rises by one each time a breaker that sent events begins to park them; 0 if it never did. Parked events carry it.
    pub episode: u64,
    /// When the state was entered.
    pub since: Millis,
    /// Why it was entered.
    pub reason: Reason,
    /// How many events were parked since the record exists, repeats included. Each [`ParkWrite`](crate::ParkWrite) raises
    /// it in its transaction, and no other write touches it: the lot is declared empty only if it is unchanged.
    pub parks: u64,
    /// What a drain last saw of the lot.
    pub survey: Survey,
}

/// What is done with events, with what each state needs.
///
/// Invariant: where events are parked without further question (open, half-open, forced open), the lot is in use by
/// definition. A write that opens the breaker thereby declares the lot in use before the first event can be in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Events are sent.
    Closed {
        /// Whether anything may still be parked.
        lot: Lot,
    },
    /// Events are parked.
    Open {
        /// From when on the peer may be probed.
        until: Millis,
        /// How many probes have failed in this episode, as far as it matters to the open time.
        step: u32,
    },
    /// Events are parked, and the oldest parked ones are sent as probes.
    HalfOpen {
        /// The open time's step, if a probe fails.
        step: u32,
        /// The probes that run. Invariant: one for each owner at most.
        probes: Vec<Lease>,
        /// Probes that went well.
        successes: u32,
    },
    /// Events are parked until the operator says otherwise; nothing is probed or drained.
    ForcedOpen,
    /// Events are sent, and failures have no consequence, until the operator says otherwise.
    ForcedClosed {
        /// Whether anything may still be parked.
        lot: Lot,
    },
    /// As forced closed, but what the windows say is reported.
    MetricsOnly {
        /// Whether anything may still be parked.
        lot: Lot,
    },
}

impl State {
    /// The state's name.
    pub fn name(&self) -> StateName {
        match self {
            Self::Closed { .. } => StateName::Closed,
            Self::Open { .. } => StateName::Open,
            Self::HalfOpen { .. } => StateName::HalfOpen,
            Self::ForcedOpen => StateName::ForcedOpen,
            Self::ForcedClosed { .. } => StateName::ForcedClosed,
            Self::MetricsOnly { .. } => StateName::MetricsOnly,
        }
    }

    /// Whether all events of the stream are parked.
    pub fn parks_everything(&self) -> bool {
        match self {
            Self::Open { .. } | Self::HalfOpen { .. } | Self::ForcedOpen => true,
            Self::Closed { .. } | Self::ForcedClosed { .. } | Self::MetricsOnly { .. } => false,
        }
    }

    /// Whether something may be parked. The record must hold this as an attribute of its own, because the condition of
    /// [`ParkWrite`](crate::ParkWrite) asks for it.
    pub fn lot(&self) -> Lot {
        match self {
            Self::Closed { lot } | Self::ForcedClosed { lot } | Self::MetricsOnly { lot } => *lot,
            Self::Open { .. } | Self::HalfOpen { .. } | Self::ForcedOpen => Lot::InUse,
        }
    }
}

/// Whether anything may be parked on a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lot {
    /// No event of the route is parked and no key is flagged, and the store refuses to park.
    Empty,
    /// Events may be parked; the ones of flagged keys must be.
    InUse,
}

/// The right to run one probe.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Who runs it.
    pub owner: Owner,
    /// When the right ends. At this moment it is over already.
    pub expires: Millis,
}

impl Lease {
    /// Whether the right holds at `now`.
    pub fn is_live(&self, now: Millis) -> bool {
        now < self.expires
    }
}

/// Who runs a probe: unique for each run of a program, such as Lambda's request id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(pub Arc<str>);

/// What a drain saw of the lot. It is written without a condition, because it only informs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Survey {
    /// The record's [`parks`](Shared::parks) just before the lot was counted.
    pub parks: u64,
    /// How many events there were.
    pub depth: u64,
    /// When the oldest of them was parked; nothing if there was none.
    pub oldest: Option<Millis>,
}

/// A state's name, in the words of metrics and of the record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateName {
    /// `closed`
    Closed,
    /// `open`
    Open,
    /// `half_open`
    HalfOpen,
    /// `forced_open`
    ForcedOpen,
    /// `forced_closed`
    ForcedClosed,
    /// `metrics_only`
    MetricsOnly,
}

impl StateName {
    /// All names.
    pub const ALL: [Self; 6] =
        [Self::Closed, Self::Open, Self::HalfOpen, Self::ForcedOpen, Self::ForcedClosed, Self::MetricsOnly];

    /// The name as text. Stable.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
            Self::ForcedOpen => "forced_open",
            Self::ForcedClosed => "forced_closed",
            Self::MetricsOnly => "metrics_only",
        }
    }

    /// The gauge `circuit_breaker_state` for each state: 1 for this one and 0 for the others.
    pub fn gauges(self) -> [(&'static str, u8); 6] {
        Self::ALL.map(|name| (name.as_str(), u8::from(name == self)))
    }
}

/// Why a state was entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nothing has happened yet.
    Initial,
    /// A window said so.
    Tripped(TripRule),
    /// The open time was over, and a probe began.
    OpenTimeOver,
    /// A probe failed.
    ProbeFailed,
    /// Enough probes went well.
    ProbesSucceeded,
    /// The operator said so.
    Operator,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 8] = [
        Self::Initial,
        Self::Tripped(TripRule::FailureRatio),
        Self::Tripped(TripRule::SlowRatio),
        Self::Tripped(TripRule::ConsecutiveFailures),
        Self::OpenTimeOver,
        Self::ProbeFailed,
        Self::ProbesSucceeded,
        Self::Operator,
    ];

    /// The reason as text. Stable.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Tripped(TripRule::FailureRatio) => "failure_ratio",
            Self::Tripped(TripRule::SlowRatio) => "slow_ratio",
            Self::Tripped(TripRule::ConsecutiveFailures) => "consecutive_failures",
            Self::OpenTimeOver => "open_time_over",
            Self::ProbeFailed => "probe_failed",
            Self::ProbesSucceeded => "probes_succeeded",
            Self::Operator => "operator",
        }
    }
}

impl Shared {
    /// What a read means that found no record: closed, nothing parked. The first write creates the record.
    pub fn absent() -> Self {
        Self {
            version: 0,
            state: State::Closed { lot: Lot::Empty },
            episode: 0,
            since: Millis(0),
            reason: Reason::Initial,
            parks: 0,
            survey: Survey::default(),
        }
    }

    /// How many events are parked at most: what the last survey counted and all that were parked after it.
    pub fn depth(&self) -> u64 {
        match self.state.lot() {
            Lot::Empty => 0,
            Lot::InUse => self.survey.depth.saturating_add(self.parks.saturating_sub(self.survey.parks)),
        }
    }
}

/// A change of state, for log and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transition {
    /// The state before.
    pub from: StateName,
    /// The state after.
    pub to: StateName,
    /// Why.
    pub reason: Reason,
    /// The calls that led to it, if it was a window's doing.
    pub counts: Option<Counts>,
    /// The episode that the new state belongs to.
    pub episode: u64,
}

/// What one strongly consistent read gave, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The record.
    pub shared: Shared,
    /// When the read began, in the process's monotonic time.
    pub read_at: Duration,
}

impl Snapshot {
    /// How long a reading may be acted on.
    ///
    /// Only promptness depends on it, not order: see the crate's documentation.
    pub const VALIDITY: Duration = Duration::from_secs(1);

    /// Whether the reading may still be acted on at `at`; else the record is read again.
    pub fn is_fresh(&self, at: Duration) -> bool {
        at.saturating_sub(self.read_at) < Self::VALIDITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_one_gauge_is_set() {
        let reasons: std::collections::BTreeSet<_> = Reason::ALL.map(Reason::as_str).into();
        assert_eq!(reasons.len(), Reason::ALL.len());
        for name in StateName::ALL {
            let set: Vec<_> = name.gauges().into_iter().filter(|(_, value)| *value == 1).collect();
            assert_eq!(set, [(name.as_str(), 1)]);
        }
    }

    #[test]
    fn depth_is_the_survey_and_what_came_after() {
        let survey = Survey { parks: 7, depth: 3, oldest: None };
        let open = State::Open { until: Millis(0), step: 0 };
        let shared = Shared { state: open, parks: 12, survey, ..Shared::absent() };
        assert_eq!(shared.depth(), 8);
        assert_eq!(Shared { state: State::Closed { lot: Lot::Empty }, ..shared }.depth(), 0);
    }

    #[test]
    fn a_reading_is_good_for_a_second() {
        let snapshot = Snapshot { shared: Shared::absent(), read_at: Duration::from_secs(5) };
        assert!(snapshot.is_fresh(Duration::from_millis(5_999)));
        assert!(!snapshot.is_fresh(Duration::from_secs(6)));
    }
}
