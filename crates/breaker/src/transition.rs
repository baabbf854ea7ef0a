//! Changes of the shared record, as values that a store carries out.
//!
//! Each function takes the record as it was read and gives the write that should follow, or says that nothing should be
//! written. A write holds only while the record's version is the one that was read. Who loses reads again and asks again;
//! the new answer may be that there is nothing left to do.

use crate::outcome::Counts;
use crate::settings::{Jitter, Settings};
use crate::shared::{Lease, Lot, Owner, Reason, Shared, State, Transition};
use crate::time::Millis;
use crate::window::Trip;

/// What should follow.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub enum Step {
    /// Nothing is to be written.
    Keep,
    /// The record is to be written.
    Write(Box<Write>),
}

/// A conditional write of the record.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct Write {
    /// The record after it. The write sets every attribute but `parks` and `survey`, which it leaves as they are.
    pub next: Shared,
    /// What must hold of the stored record for the write to take place.
    pub condition: Condition,
    /// What to tell once it took place; nothing if the state's name stays.
    pub transition: Option<Transition>,
}

/// What must hold of the stored record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// There is none.
    Absent,
    /// It has this version.
    Version(u64),
    /// It has this version, and nothing was parked since it was read.
    VersionAndParks {
        /// The version that was read.
        version: u64,
        /// The number of parks that was read.
        parks: u64,
    },
}

impl Condition {
    /// Whether it holds of the stored record.
    pub fn holds(self, stored: Option<&Shared>) -> bool {
        match (self, stored) {
            (Self::Absent, stored) => stored.is_none(),
            (_, None) => false,
            (Self::Version(version), Some(stored)) => stored.version == version,
            (Self::VersionAndParks { version, parks }, Some(stored)) => {
                stored.version == version && stored.parks == parks
            }
        }
    }
}

impl Write {
    /// What the store holds afterwards, or nothing if the condition doesn't hold: the meaning of a write, for stores that
    /// live in memory and as a pattern for others.
    pub fn apply(&self, stored: Option<&Shared>) -> Option<Shared> {
        if !self.condition.holds(stored) {
            return None;
        }
        let (parks, survey) = stored.map(|stored| (stored.parks, stored.survey.clone())).unwrap_or_default();
        Some(Shared { parks, survey, ..self.next.clone() })
    }
}

/// What an operator can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Park everything.
    ForceOpen,
    /// Send everything, whatever the failures.
    ForceClosed,
    /// Send everything and only measure.
    MetricsOnly,
    /// Let the breaker work by itself again. From forced open it probes first.
    Release,
}

/// How a probe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProbeResult {
    /// The peer took the event.
    Success,
    /// The peer is at fault.
    Failure,
    /// The probe says nothing about the peer: there was nothing to send, or the event itself was refused.
    Inconclusive,
}

impl Shared {
    /// A window says that the peer is sick: a closed breaker opens.
    pub fn trip(&self, trip: &Trip, now: Millis, jitter: Jitter, settings: &Settings) -> Step {
        if !matches!(self.state, State::Closed { .. }) {
            return Step::Keep;
        }
        let state = State::Open { until: now.after(settings.open_time(0, jitter)), step: 0 };
        self.enter(state, Reason::Tripped(trip.rule), Some(trip.counts), now)
    }

    /// A probe of `owner` has ended. It counts only while its lease is live; what comes later is as good as never run.
    pub fn probe_ended(
        &self,
        owner: &Owner,
        result: ProbeResult,
        now: Millis,
        jitter: Jitter,
        settings: &Settings,
    ) -> Step {
        let State::HalfOpen { step, probes, successes } = &self.state else { return Step::Keep };
        if !probes.iter().any(|lease| lease.owner == *owner && lease.is_live(now)) {
            return Step::Keep;
        }
        let successes = successes + u32::from(result == ProbeResult::Success);
        if result == ProbeResult::Failure {
            let step = settings.next_step(*step);
            let until = now.after(settings.open_time(step, jitter));
            return self.enter(State::Open { until, step }, Reason::ProbeFailed, None, now);
        }
        if successes >= settings.thresholds().successes_to_close {
            return self.enter(State::Closed { lot: Lot::InUse }, Reason::ProbesSucceeded, None, now);
        }
        let probes = probes.iter().filter(|lease| lease.owner != *owner).cloned().collect();
        self.stay(State::HalfOpen { step: *step, probes, successes })
    }

    /// The operator asks for something. What is parked stays parked until it is drained, whatever is asked.
    pub fn command(&self, command: Command, now: Millis) -> Step {
        let lot = self.state.lot();
        let state = match (command, &self.state) {
            (Command::ForceOpen, _) => State::ForcedOpen,
            (Command::ForceClosed, _) => State::ForcedClosed { lot },
            (Command::MetricsOnly, _) => State::MetricsOnly { lot },
            (Command::Release, State::ForcedOpen) => State::Open { until: now, step: 0 },
            (Command::Release, State::ForcedClosed { .. } | State::MetricsOnly { .. }) => State::Closed { lot },
            (Command::Release, State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. }) => {
                return Step::Keep;
            }
        };
        if state == self.state { Step::Keep } else { self.enter(state, Reason::Operator, None, now) }
    }

    /// The write that gives `owner` a lease, for [`Shared::turn`](crate::Turn).
    pub(crate) fn begin_probe(&self, lease: Lease, now: Millis) -> Step {
        match &self.state {
            State::Open { step, .. } => {
                let state = State::HalfOpen { step: *step, probes: vec![lease], successes: 0 };
                self.enter(state, Reason::OpenTimeOver, None, now)
            }
            State::HalfOpen { step, probes, successes } => {
                let mut probes: Vec<Lease> = probes.iter().filter(|lease| lease.is_live(now)).cloned().collect();
                probes.push(lease);
                self.stay(State::HalfOpen { step: *step, probes, successes: *successes })
            }
            _ => Step::Keep,
        }
    }

    fn enter(&self, state: State, reason: Reason, counts: Option<Counts>, now: Millis) -> Step {
        let (from, to) = (self.state.name(), state.name());
        let opens = !self.state.parks_everything() && state.parks_everything();
        let episode = self.episode + u64::from(opens);
        let transition = Some(Transition { from, to, reason, counts, episode });
        self.write(Shared { state, episode, since: now, reason, ..self.clone() }, self.unchanged(), transition)
    }

    fn stay(&self, state: State) -> Step {
        self.write(Shared { state, ..self.clone() }, self.unchanged(), None)
    }

    fn unchanged(&self) -> Condition {
        if self.version == 0 { Condition::Absent } else { Condition::Version(self.version) }
    }

    fn write(&self, next: Shared, condition: Condition, transition: Option<Transition>) -> Step {
        let next = Shared { version: self.version + 1, ..next };
        Step::Write(Box::new(Write { next, condition, transition }))
    }
}

/// A check that the lot is empty, begun with the record as it was read **before** the lot is looked at.
///
/// The order is what makes it right. Each park raises the record's count in its own transaction. If the count is still
/// the same when the write takes place, nothing was added after the record was read; so a lot in which everything was then
/// seen gone, page by page and in any time, is empty now.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct EmptyCheck {
    before: Shared,
}

impl EmptyCheck {
    /// Begins a check, if the record is in a state in which the lot can be declared empty and isn't yet.
    pub fn begin(shared: &Shared) -> Option<Self> {
        let ends = match shared.state {
            State::Closed { lot } | State::ForcedClosed { lot } | State::MetricsOnly { lot } => lot == Lot::InUse,
            State::Open { .. } | State::HalfOpen { .. } | State::ForcedOpen => false,
        };
        ends.then(|| Self { before: shared.clone() })
    }

    /// The record that the check began with.
    pub fn before(&self) -> &Shared {
        &self.before
    }

    /// Ends the check. `items` is how many items of the route, flags and events alike, strongly consistent reads of the
    /// whole lot have found since the check began.
    pub fn end(self, items: u64) -> Step {
        let lot = Lot::Empty;
        let state = match self.before.state {
            _ if items > 0 => return Step::Keep,
            State::Closed { .. } => State::Closed { lot },
            State::ForcedClosed { .. } => State::ForcedClosed { lot },
            State::MetricsOnly { .. } => State::MetricsOnly { lot },
            State::Open { .. } | State::HalfOpen { .. } | State::ForcedOpen => return Step::Keep,
        };
        let condition = Condition::VersionAndParks { version: self.before.version, parks: self.before.parks };
        self.before.write(Shared { state, ..self.before.clone() }, condition, None)
    }
}
