//! Changes of the shared record.
//!
//! Each function takes the record as it was read and gives the write that should follow, or says that nothing should be
//! written. Who loses a write reads again and asks again; the new answer may be that there is nothing left to do.

use crate::outcome::Counts;
use crate::settings::{Jitter, Settings};
use crate::shared::{Reason, Shared, Transition};
use crate::state::{Lease, Lot, Owner, State};
use crate::time::Millis;
use crate::window::Trip;
use crate::write::{Condition, Step, Write};

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

    /// The operator asks for something, and says why in `note`. What is parked stays parked until it is drained, whatever is
    /// asked. Nothing is to be written, and no note kept, if the breaker does already what is asked for.
    pub fn command(&self, command: Command, note: &str, now: Millis) -> Step {
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
        if state == self.state {
            return Step::Keep;
        }
        match self.enter(state, Reason::Operator, None, now) {
            Step::Keep => Step::Keep,
            Step::Write(mut write) => {
                write.next.note = (!note.is_empty()).then(|| note.into());
                Step::Write(write)
            }
        }
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
        self.write(
            Shared { state, episode, since: now, reason, note: None, ..self.clone() },
            self.unchanged(),
            transition,
        )
    }

    fn stay(&self, state: State) -> Step {
        self.write(Shared { state, ..self.clone() }, self.unchanged(), None)
    }

    fn unchanged(&self) -> Condition {
        if self.version == 0 { Condition::Absent } else { Condition::Version(self.version) }
    }

    pub(crate) fn write(&self, next: Shared, condition: Condition, transition: Option<Transition>) -> Step {
        let next = Shared { version: self.version + 1, ..next };
        Step::Write(Box::new(Write { next, condition, transition }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::empty_check::EmptyCheck;
    use crate::state::StateName;
    use crate::window::TripRule;

    const NOW: Millis = Millis(50_000);

    fn shared(state: State) -> Shared {
        Shared { version: 3, state, episode: 7, parks: 9, ..Shared::absent() }
    }

    fn closed(lot: Lot) -> Shared {
        shared(State::Closed { lot })
    }

    fn half_open(step: u32, successes: u32) -> Shared {
        let probes = vec![Lease { owner: me(), expires: Millis(50_001) }];
        shared(State::HalfOpen { step, probes, successes })
    }

    fn me() -> Owner {
        Owner("me".into())
    }

    fn written(step: Step) -> Write {
        match step {
            Step::Write(write) => *write,
            Step::Keep => panic!("nothing is written"),
        }
    }

    fn trip(shared: &Shared) -> Step {
        let counts = Counts { calls: 20, failures: 10, slow: 0, consecutive_failures: 1 };
        let trip = Trip { rule: TripRule::FailureRatio, counts };
        shared.trip(&trip, NOW, Jitter::NONE, &Settings::default())
    }

    fn end_probe(shared: &Shared, result: ProbeResult, now: Millis) -> Step {
        shared.probe_ended(&me(), result, now, Jitter::NONE, &Settings::default())
    }

    #[test]
    fn a_trip_opens_and_puts_the_lot_in_use() {
        let write = written(trip(&closed(Lot::Empty)));
        assert_eq!(write.next.state, State::Open { until: Millis(55_000), step: 0 });
        assert_eq!((write.next.version, write.next.episode, write.next.since), (4, 8, NOW));
        assert_eq!(write.next.state.lot(), Lot::InUse);
        assert_eq!(write.condition, Condition::Version(3));
        let transition = write.transition.expect("the state changes");
        assert_eq!((transition.from, transition.to), (StateName::Closed, StateName::Open));
        assert_eq!((transition.reason.as_str(), transition.episode), ("failure_ratio", 8));
        assert_eq!(transition.counts.map(|counts| counts.failures), Some(10));
    }

    #[test]
    fn only_a_closed_breaker_trips() {
        let lot = Lot::InUse;
        let others = [State::Open { until: NOW, step: 1 }, State::ForcedOpen, State::MetricsOnly { lot }];
        for state in others.into_iter().chain([State::ForcedClosed { lot }, half_open(0, 0).state]) {
            assert_eq!(trip(&shared(state.clone())), Step::Keep, "{state:?}");
        }
    }

    #[test]
    fn the_first_write_creates_the_record() {
        assert_eq!(written(trip(&Shared::absent())).condition, Condition::Absent);
    }

    #[test]
    fn a_failed_probe_opens_for_longer_in_the_same_episode() {
        let write = written(end_probe(&half_open(0, 1), ProbeResult::Failure, NOW));
        assert_eq!(write.next.state, State::Open { until: Millis(60_000), step: 1 });
        assert_eq!((write.next.episode, write.next.reason), (7, Reason::ProbeFailed));
    }

    #[test]
    fn enough_successes_close_and_the_lot_stays_in_use() {
        let first = written(end_probe(&half_open(2, 0), ProbeResult::Success, NOW));
        assert_eq!(first.next.state, State::HalfOpen { step: 2, probes: vec![], successes: 1 });
        assert_eq!(first.transition, None);
        let last = written(end_probe(&half_open(2, 1), ProbeResult::Success, NOW));
        assert_eq!(last.next.state, State::Closed { lot: Lot::InUse });
        assert_eq!(last.next.reason, Reason::ProbesSucceeded);
    }

    #[test]
    fn a_probe_that_says_nothing_gives_its_lease_back() {
        let write = written(end_probe(&half_open(0, 1), ProbeResult::Inconclusive, NOW));
        assert_eq!(write.next.state, State::HalfOpen { step: 0, probes: vec![], successes: 1 });
    }

    #[test]
    fn a_probe_counts_only_with_a_live_lease() {
        for result in [ProbeResult::Success, ProbeResult::Failure] {
            assert_eq!(end_probe(&half_open(0, 1), result, Millis(50_001)), Step::Keep);
            assert_eq!(end_probe(&closed(Lot::InUse), result, NOW), Step::Keep);
        }
    }

    #[test]
    fn an_operator_commands_in_any_state() {
        use Command::{ForceClosed, ForceOpen, MetricsOnly, Release};
        let (empty, used) = (Lot::Empty, Lot::InUse);
        let cases = [
            (ForceOpen, State::Closed { lot: empty }, Some(State::ForcedOpen)),
            (ForceClosed, State::Closed { lot: empty }, Some(State::ForcedClosed { lot: empty })),
            (ForceClosed, State::ForcedOpen, Some(State::ForcedClosed { lot: used })),
            (MetricsOnly, half_open(0, 0).state, Some(State::MetricsOnly { lot: used })),
            (Release, State::ForcedOpen, Some(State::Open { until: NOW, step: 0 })),
            (Release, State::MetricsOnly { lot: empty }, Some(State::Closed { lot: empty })),
            (Release, State::ForcedClosed { lot: used }, Some(State::Closed { lot: used })),
            (Release, State::Closed { lot: used }, None),
            (ForceOpen, State::ForcedOpen, None),
        ];
        for (command, state, expected) in cases {
            let next = match shared(state.clone()).command(command, "", NOW) {
                Step::Write(write) => Some(write.next.state),
                Step::Keep => None,
            };
            assert_eq!(next, expected, "{command:?} in {state:?}");
        }
    }

    #[test]
    fn an_episode_begins_when_events_begin_to_be_parked() {
        let episode = |state, command| written(shared(state).command(command, "", NOW)).next.episode;
        assert_eq!(episode(State::Closed { lot: Lot::InUse }, Command::ForceOpen), 8);
        assert_eq!(episode(State::Open { until: NOW, step: 0 }, Command::ForceOpen), 7);
        assert_eq!(episode(State::ForcedOpen, Command::Release), 7);
        assert_eq!(episode(State::ForcedOpen, Command::ForceClosed), 7);
    }

    #[test]
    fn what_an_operator_says_is_kept_as_long_as_the_state() {
        let note = |shared: &Shared| shared.note.as_deref().map(str::to_owned);
        let forced =
            written(shared(State::Closed { lot: Lot::InUse }).command(Command::ForceClosed, "a drill", NOW)).next;
        assert_eq!(note(&forced).as_deref(), Some("a drill"));
        let emptied = EmptyCheck::begin(&forced).expect("it is in use").end(0);
        assert_eq!(note(&written(emptied).next).as_deref(), Some("a drill"), "the state is the same");
        let released = written(forced.command(Command::Release, "it is over", NOW)).next;
        assert_eq!(note(&released).as_deref(), Some("it is over"));
        let tripped = written(trip(&released)).next;
        assert_eq!(note(&tripped), None, "nobody said anything");
    }
}
