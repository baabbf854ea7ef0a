//! The second tier: the record that all instances of a region share about one way to a target.

use crate::outcome::Counts;
use crate::parking::EventKey;
use crate::state::{Lot, State, StateName};
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
    /// What the operator said for a reason, if it was the operator who entered it. It only informs.
    pub note: Option<Arc<str>>,
    /// How many events were parked since the record exists, repeats included. Each [`ParkWrite`](crate::ParkWrite) raises
    /// it in its transaction, and no other write touches it: the lot is declared empty only if it is unchanged.
    pub parks: u64,
    /// What a drain last saw of the lot.
    pub survey: Survey,
}

/// What a drain saw of the lot. It is written without a condition, because it only informs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Survey {
    /// The record's [`parks`](Shared::parks) just before the lot was counted.
    pub parks: u64,
    /// How many events there were.
    pub depth: u64,
    /// When the oldest of them was parked; nothing if there was none.
    pub oldest: Option<Millis>,
    /// The key of that one. What was parked since is younger, so a probe takes the oldest event of this key.
    pub oldest_key: Option<EventKey>,
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
            note: None,
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
    fn reasons_have_distinct_names() {
        let reasons: std::collections::BTreeSet<_> = Reason::ALL.map(Reason::as_str).into();
        assert_eq!(reasons.len(), Reason::ALL.len());
    }

    #[test]
    fn depth_is_the_survey_and_what_came_after() {
        let survey = Survey { parks: 7, depth: 3, ..Survey::default() };
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
