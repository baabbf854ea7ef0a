//! What a call to the peer came to, and which of its errors speak against the peer.

use std::time::Duration;

/// Why a call failed, after the client's own retries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CallError {
    /// No answer in time.
    Timeout,
    /// No connection, or it broke.
    Connect,
    /// The peer answered with a 5xx.
    Server,
    /// The peer still throttled after the retries.
    Throttled,
    /// The peer refused the event as malformed.
    Invalid,
    /// The event is larger than the peer takes.
    TooLarge,
    /// The caller isn't allowed to do this. Not for the breaker, but for an alarm: waiting doesn't help.
    AccessDenied,
}

impl CallError {
    /// Whether the error speaks against the peer's health. The others are about the event or the configuration.
    pub fn is_failure(self) -> bool {
        match self {
            Self::Timeout | Self::Connect | Self::Server | Self::Throttled => true,
            Self::Invalid | Self::TooLarge | Self::AccessDenied => false,
        }
    }

    /// A stable name for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Connect => "connect",
            Self::Server => "server",
            Self::Throttled => "throttled",
            Self::Invalid => "invalid",
            Self::TooLarge => "too_large",
            Self::AccessDenied => "access_denied",
        }
    }
}

/// What a call means to the breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It went well and was quick enough.
    Success,
    /// The peer is at fault.
    Failure,
    /// It went well but took as long as the threshold for slow calls or longer.
    Slow,
    /// It says nothing about the peer.
    Ignored,
}

impl Outcome {
    /// The outcome of a call that took `took`, with `slow` as the threshold for slow calls.
    pub fn of_call(result: Result<(), CallError>, took: Duration, slow: Duration) -> Self {
        match result {
            Ok(()) if took >= slow => Self::Slow,
            Ok(()) => Self::Success,
            Err(error) if error.is_failure() => Self::Failure,
            Err(_) => Self::Ignored,
        }
    }
}

/// The calls that led to a decision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counts {
    /// Calls in the window, without ignored ones.
    pub calls: u32,
    /// Failures among them.
    pub failures: u32,
    /// Slow calls among them.
    pub slow: u32,
    /// Failures since the last call that went well, in the window or before it.
    pub consecutive_failures: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_peers_faults_are_failures() {
        let slow = Duration::from_secs(2);
        let outcome = |result, took| Outcome::of_call(result, Duration::from_millis(took), slow);
        assert_eq!(outcome(Ok(()), 1999), Outcome::Success);
        assert_eq!(outcome(Ok(()), 2000), Outcome::Slow);
        for error in [CallError::Timeout, CallError::Connect, CallError::Server, CallError::Throttled] {
            assert_eq!(outcome(Err(error), 5000), Outcome::Failure, "{}", error.as_str());
        }
        for error in [CallError::Invalid, CallError::TooLarge, CallError::AccessDenied] {
            assert_eq!(outcome(Err(error), 5000), Outcome::Ignored, "{}", error.as_str());
        }
    }
}
