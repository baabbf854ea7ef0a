//! The breaker's states.

use crate::time::Millis;
use std::sync::Arc;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_gauge_is_set() {
        for name in StateName::ALL {
            let set: Vec<_> = name.gauges().into_iter().filter(|(_, value)| *value == 1).collect();
            assert_eq!(set, [(name.as_str(), 1)]);
        }
    }
}
