//! Decisions by the shared record: what the router does with an event, and what a drain may do now.

use crate::parking::KeyFlag;
use crate::settings::Settings;
use crate::shared::Shared;
use crate::state::{Lease, Lot, Owner, State};
use crate::time::Millis;
use crate::write::{Step, Write};

/// What the router does with an event of the stream.
///
/// An event of the stream is never a probe: while the breaker isn't closed it is parked, and probes are taken from the
/// lot. So the oldest parked event is the probe, and an event that came later can't overtake it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Admission {
    /// It is sent. No flag needs to be looked up, because nothing is parked.
    Send,
    /// Its key's flag is read, strongly consistent; [`Admission::with_flag`] says what follows.
    CheckKey,
    /// It is parked.
    Park,
}

impl Admission {
    /// The decision with the key's flag known. An event of a flagged key is parked behind those before it.
    #[must_use]
    pub fn with_flag(self, flag: Option<&KeyFlag>) -> Self {
        match (self, flag) {
            (Self::CheckKey, None) => Self::Send,
            (Self::CheckKey, Some(_)) => Self::Park,
            (decided, _) => decided,
        }
    }
}

/// What a drain may do now.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Turn {
    /// Nothing is parked.
    Rest,
    /// Not yet: nothing before this moment, or for an indefinite time.
    Wait(Option<Millis>),
    /// Send the oldest parked event as a probe, once the lease is written. If the write loses, read again.
    /// If the lot turns out to have nothing to send, don't write.
    ///
    /// The key of that event is [`Survey::oldest_key`](crate::Survey). Where that isn't known or waits no longer, the oldest
    /// event of any flagged key will do: the order within a key is all that safety rests on.
    Probe {
        /// The lease to write; nothing if the owner holds it already, because an earlier write took place unnoticed.
        write: Option<Box<Write>>,
        /// The lease. The probe must have ended before it does.
        lease: Lease,
    },
    /// Send what is parked, slowly at first ([`Ramp`](crate::Ramp)).
    Drain,
}

impl Shared {
    /// What the router does with an event.
    pub fn admit(&self) -> Admission {
        match (&self.state, self.state.lot()) {
            (State::Open { .. } | State::HalfOpen { .. } | State::ForcedOpen, _) => Admission::Park,
            (_, Lot::InUse) => Admission::CheckKey,
            (_, Lot::Empty) => Admission::Send,
        }
    }

    /// What a drain run by `owner` may do at `now`.
    pub fn turn(&self, owner: &Owner, now: Millis, settings: &Settings) -> Turn {
        match &self.state {
            State::ForcedOpen => Turn::Wait(None),
            State::Open { until, .. } if now < *until => Turn::Wait(Some(*until)),
            State::Open { .. } => self.probe(owner, now, settings),
            State::HalfOpen { probes, .. } => {
                let live = || probes.iter().filter(|lease| lease.is_live(now));
                if let Some(lease) = live().find(|lease| lease.owner == *owner) {
                    return Turn::Probe { write: None, lease: lease.clone() };
                }
                if live().count() < settings.thresholds().probes as usize {
                    return self.probe(owner, now, settings);
                }
                Turn::Wait(live().map(|lease| lease.expires).min())
            }
            State::Closed { lot } | State::ForcedClosed { lot } | State::MetricsOnly { lot } => match lot {
                Lot::Empty => Turn::Rest,
                Lot::InUse => Turn::Drain,
            },
        }
    }

    fn probe(&self, owner: &Owner, now: Millis, settings: &Settings) -> Turn {
        let lease = Lease { owner: owner.clone(), expires: now.after(settings.thresholds().probe_lease) };
        match self.begin_probe(lease.clone(), now) {
            Step::Write(write) => Turn::Probe { write: Some(write), lease },
            Step::Keep => Turn::Wait(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parking::{EventKey, Stamp};
    use crate::settings::Thresholds;

    const NOW: Millis = Millis(50_000);

    fn shared(state: State) -> Shared {
        Shared { version: 3, state, since: NOW, ..Shared::absent() }
    }

    fn lease(owner: &str, expires: u64) -> Lease {
        Lease { owner: Owner(owner.into()), expires: Millis(expires) }
    }

    fn half_open(probes: Vec<Lease>) -> Shared {
        shared(State::HalfOpen { step: 0, probes, successes: 0 })
    }

    #[test]
    fn flags_are_looked_up_only_where_something_may_be_parked() {
        let (empty, used) = (Lot::Empty, Lot::InUse);
        let cases = [
            (State::Closed { lot: empty }, Admission::Send),
            (State::Closed { lot: used }, Admission::CheckKey),
            (State::ForcedClosed { lot: empty }, Admission::Send),
            (State::ForcedClosed { lot: used }, Admission::CheckKey),
            (State::MetricsOnly { lot: empty }, Admission::Send),
            (State::MetricsOnly { lot: used }, Admission::CheckKey),
            (State::Open { until: Millis(0), step: 0 }, Admission::Park),
            (State::HalfOpen { step: 0, probes: vec![], successes: 0 }, Admission::Park),
            (State::ForcedOpen, Admission::Park),
        ];
        for (state, expected) in cases {
            assert_eq!(shared(state.clone()).admit(), expected, "{state:?}");
        }
    }

    #[test]
    fn an_event_of_a_flagged_key_is_parked() {
        let flag = KeyFlag { key: EventKey("k".into()), tail: Stamp { run: 1, number: 1 } };
        assert_eq!(Admission::CheckKey.with_flag(None), Admission::Send);
        assert_eq!(Admission::CheckKey.with_flag(Some(&flag)), Admission::Park);
        assert_eq!(Admission::Park.with_flag(None), Admission::Park);
    }

    #[test]
    fn a_drain_waits_probes_or_drains() {
        let me = Owner("me".into());
        let turn = |shared: Shared| shared.turn(&me, NOW, &Settings::default());
        let closed = |lot| shared(State::Closed { lot });
        assert_eq!(turn(closed(Lot::Empty)), Turn::Rest);
        assert_eq!(turn(closed(Lot::InUse)), Turn::Drain);
        assert_eq!(turn(shared(State::ForcedOpen)), Turn::Wait(None));
        assert_eq!(turn(shared(State::Open { until: Millis(50_001), step: 0 })), Turn::Wait(Some(Millis(50_001))));
        assert!(matches!(turn(shared(State::Open { until: NOW, step: 0 })), Turn::Probe { write: Some(_), .. }));
        assert_eq!(turn(half_open(vec![lease("other", 50_001)])), Turn::Wait(Some(Millis(50_001))));
    }

    #[test]
    fn a_lease_that_is_over_makes_room_and_disappears() {
        let me = Owner("me".into());
        let turn = half_open(vec![lease("other", 50_000)]).turn(&me, NOW, &Settings::default());
        let Turn::Probe { write: Some(write), lease: mine } = turn else { panic!("there is room: {turn:?}") };
        assert_eq!(mine, lease("me", 60_000));
        assert_eq!(write.next.state, State::HalfOpen { step: 0, probes: vec![mine], successes: 0 });
        assert_eq!(write.transition, None);
    }

    #[test]
    fn a_lease_that_was_written_unnoticed_is_used() {
        let turn = half_open(vec![lease("me", 50_001)]).turn(&Owner("me".into()), NOW, &Settings::default());
        assert_eq!(turn, Turn::Probe { write: None, lease: lease("me", 50_001) });
    }

    #[test]
    fn as_many_probes_run_as_are_allowed() {
        let settings = Settings::new(Thresholds { probes: 2, ..Thresholds::default() }).expect("valid");
        let turn = |probes| half_open(probes).turn(&Owner("me".into()), NOW, &settings);
        assert!(matches!(turn(vec![lease("a", 60_000)]), Turn::Probe { .. }));
        assert_eq!(turn(vec![lease("a", 60_000), lease("b", 55_000)]), Turn::Wait(Some(Millis(55_000))));
    }
}
