//! The bounds of a lot, and what happens to events that can neither be sent nor parked.

use crate::shared::Shared;
use crate::time::Millis;
use std::time::Duration;

/// How much may be parked on a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The most events. The default is a million.
    pub max_depth: u64,
    /// How long an event may be parked before no more are taken. The default is 12 hours: half of the time that a stream
    /// keeps its records, so that what is given back still has the other half.
    pub max_age: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { max_depth: 1_000_000, max_age: Duration::from_secs(12 * 3600) }
    }
}

impl Bounds {
    /// Whether `events` more may be parked.
    ///
    /// The depth is counted from above, by the last survey and what was parked since. An age is known only of what a survey
    /// saw: a breaker that has been open for long over an empty lot must take an event, because only an event can probe.
    ///
    /// # Errors
    /// Why not. The events must then be given back to the stream: they are neither sent nor dropped.
    pub fn room(&self, shared: &Shared, events: u64, now: Millis) -> Result<(), GiveBack> {
        let oldest = shared.survey.oldest.filter(|_| shared.survey.depth > 0);
        if shared.depth().saturating_add(events) > self.max_depth {
            Err(GiveBack::ParkingFull)
        } else if oldest.is_some_and(|oldest| now.since(oldest) > self.max_age) {
            Err(GiveBack::ParkingTooOld)
        } else {
            Ok(())
        }
    }
}

/// Why an event, and with it everything behind it in its shard, is given back to the stream: not sent, not parked and not
/// done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum GiveBack {
    /// The breaker's record could not be read.
    #[error("the breaker's record could not be read")]
    RecordUnreadable,
    /// The key's flag could not be read.
    #[error("the key's flag could not be read")]
    FlagUnreadable,
    /// The event could not be parked.
    #[error("the event could not be parked")]
    ParkFailed,
    /// The peer didn't take it, and the breaker is still closed.
    #[error("the peer didn't take the event")]
    SendFailed,
    /// As many events are parked as may be. For an alarm.
    #[error("as many events are parked as may be")]
    ParkingFull,
    /// The oldest event has been parked for longer than may be. For an alarm.
    #[error("the oldest event has been parked for longer than may be")]
    ParkingTooOld,
}

impl GiveBack {
    /// A stable name for metrics and alarms.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RecordUnreadable => "record_unreadable",
            Self::FlagUnreadable => "flag_unreadable",
            Self::ParkFailed => "park_failed",
            Self::SendFailed => "send_failed",
            Self::ParkingFull => "parking_full",
            Self::ParkingTooOld => "parking_too_old",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shared::Survey;
    use crate::state::State;

    const NOW: Millis = Millis(50_000);

    #[test]
    fn a_full_or_old_lot_gives_back() {
        let bounds = Bounds { max_depth: 100, max_age: Duration::from_secs(10) };
        let state = State::Open { until: NOW, step: 0 };
        let survey = |depth, oldest| Survey { parks: 0, depth, oldest, oldest_key: None };
        let room = |survey, parks, events| {
            let shared = Shared { state: state.clone(), survey, parks, since: Millis(45_000), ..Shared::absent() };
            bounds.room(&shared, events, NOW)
        };
        assert_eq!(room(survey(0, None), 90, 10), Ok(()));
        assert_eq!(room(survey(0, None), 90, 11), Err(GiveBack::ParkingFull));
        assert_eq!(room(survey(50, Some(Millis(40_000))), 0, 1), Ok(()));
        assert_eq!(room(survey(50, Some(Millis(39_999))), 0, 1), Err(GiveBack::ParkingTooOld));
        assert_eq!(room(survey(0, Some(Millis(1))), 0, 1), Ok(()), "an empty survey has no oldest event");
    }

    /// Were it refused, nothing could probe, and the breaker would stay open for ever.
    #[test]
    fn a_breaker_that_has_long_been_open_over_an_empty_lot_takes_an_event() {
        let since = Millis(0);
        let shared = Shared { state: State::Open { until: since, step: 3 }, since, ..Shared::absent() };
        assert_eq!(Bounds::default().room(&shared, 1, Millis(30 * 86_400_000)), Ok(()));
    }
}
