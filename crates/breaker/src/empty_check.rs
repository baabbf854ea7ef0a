//! The end of parking: the lot is declared empty.

use crate::shared::Shared;
use crate::state::{Lot, State};
use crate::write::{Condition, Step};

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

#[cfg(test)]
mod tests {
    use super::*;

    fn shared(state: State) -> Shared {
        Shared { version: 3, state, parks: 9, ..Shared::absent() }
    }

    #[test]
    fn an_empty_lot_is_declared_so_only_if_nothing_was_parked_since() {
        let before = shared(State::Closed { lot: Lot::InUse });
        let check = || EmptyCheck::begin(&before).expect("it drains");
        assert_eq!(check().end(1), Step::Keep);
        let Step::Write(write) = check().end(0) else { panic!("it is empty") };
        assert_eq!(write.apply(Some(&before)).map(|next| next.state), Some(State::Closed { lot: Lot::Empty }));
        assert_eq!(write.apply(Some(&Shared { parks: 10, ..before.clone() })), None);
        assert_eq!(write.apply(Some(&Shared { version: 4, ..before.clone() })), None);
        let half_open = State::HalfOpen { step: 0, probes: vec![], successes: 0 };
        for state in [State::ForcedOpen, State::Closed { lot: Lot::Empty }, half_open] {
            assert_eq!(EmptyCheck::begin(&shared(state)), None);
        }
    }
}
