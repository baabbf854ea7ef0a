//! What the process is doing, for `/ready` and metrics.

use std::sync::{Arc, Mutex, PoisonError};

use crate::ownership::Reason;
use crate::pipeline::Status;

/// What the process is doing.
#[derive(Clone, Debug)]
pub enum Phase {
    /// It hasn't read the record of authority yet.
    Starting,
    /// It waits outside of the group.
    StandingBy(Reason),
    /// It is a member of the group.
    Owning(Arc<Status>),
    /// It finishes what has begun.
    Ending,
}

impl Phase {
    /// Words for `consumer_ownership`, in the order of the metric's help.
    pub const WORDS: [&'static str; 4] = ["owning", "standing_by", "unknown", "ending"];

    fn word(&self) -> &'static str {
        match self {
            Self::Owning(_) => "owning",
            Self::StandingBy(Reason::Unknown) | Self::Starting => "unknown",
            Self::StandingBy(_) => "standing_by",
            Self::Ending => "ending",
        }
    }
}

/// The phase of this process, which others look at.
#[derive(Debug)]
pub struct Presence(Mutex<Phase>);

impl Default for Presence {
    fn default() -> Self {
        let presence = Self(Mutex::new(Phase::Starting));
        presence.enter(Phase::Starting);
        presence
    }
}

impl Presence {
    /// Enters a phase.
    pub fn enter(&self, phase: Phase) {
        for word in Phase::WORDS {
            telemetry::CONSUMER_OWNERSHIP.set(&[word], f64::from(u8::from(word == phase.word())));
        }
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = phase;
    }

    fn phase(&self) -> Phase {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whether a process is ready, and in which words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Whether it does what it is there for, waiting for its turn included.
    pub is_ready: bool,
    /// What it says.
    pub text: String,
}

/// Says whether it is ready.
pub trait Ready: Send + Sync + 'static {
    /// Whether it is ready now.
    fn readiness(&self) -> Readiness;
}

impl Ready for Status {
    fn readiness(&self) -> Readiness {
        if self.is_ready() {
            Readiness { is_ready: true, text: "ready".to_owned() }
        } else {
            Readiness { is_ready: false, text: "not ready: no broker answers, or draining".to_owned() }
        }
    }
}

impl Ready for Presence {
    /// A process that doesn't know who owns isn't ready: in a rollout it replaces none that does, and so an outage of the table of
    /// authority ends no consumer that goes on with what it knew.
    fn readiness(&self) -> Readiness {
        match self.phase() {
            Phase::Starting => Readiness { is_ready: false, text: "not ready: starting".to_owned() },
            Phase::StandingBy(reason @ Reason::Unknown) => {
                Readiness { is_ready: false, text: format!("not ready: {reason}") }
            }
            Phase::StandingBy(reason) => Readiness { is_ready: true, text: format!("standby: {reason}") },
            Phase::Owning(status) => status.readiness(),
            Phase::Ending => Readiness { is_ready: false, text: "not ready: draining".to_owned() },
        }
    }
}
