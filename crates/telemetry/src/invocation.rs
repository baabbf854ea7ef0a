//! The metrics of one invocation of a function.
//!
//! Says nothing about what the function did; that is counted where it happens.

use crate::{LAMBDA_DURATION_SECONDS, LAMBDA_ERRORS_TOTAL, LAMBDA_INVOCATIONS_TOTAL, emf};
use std::io::Write;
use std::time::Instant;

/// CloudWatch namespace of everything that functions measure.
pub const NAMESPACE: &str = "Tandem";

/// An invocation that is under way.
#[derive(Debug)]
#[must_use = "an invocation is measured when it ends"]
pub struct Invocation<'a> {
    function: &'a str,
    started: Instant,
    ended: bool,
}

/// How an invocation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All of it is done.
    Complete,
    /// Some records are to be delivered again.
    PartialBatch,
    /// It ends in an error: what it was asked for was not done.
    Failed,
}

impl<'a> Invocation<'a> {
    /// Starts the clock for `function`, its deployed name.
    pub fn begin(function: &'a str) -> Self {
        LAMBDA_INVOCATIONS_TOTAL.inc(&[function]);
        Self { function, started: Instant::now(), ended: false }
    }

    /// Counts the ending and writes everything measured since the last time to `out`, which is stdout in a function.
    ///
    /// Metrics must not fail work that is done: a writer that fails is only logged, and the values wait for the next time.
    pub fn end(mut self, ending: Ending, out: &mut impl Write) {
        self.ended = true;
        LAMBDA_DURATION_SECONDS.observe_duration(&[self.function], self.started.elapsed());
        match ending {
            Ending::Complete => {}
            Ending::PartialBatch => LAMBDA_ERRORS_TOTAL.inc(&[self.function, "partial_batch"]),
            Ending::Failed => LAMBDA_ERRORS_TOTAL.inc(&[self.function, "invocation"]),
        }
        if let Err(error) = emf::flush(NAMESPACE, &[("function", self.function)], out) {
            tracing::warn!(error = &error as &dyn std::error::Error, "metrics could not be written");
        }
    }
}

impl Drop for Invocation<'_> {
    /// An invocation that was begun and never ended, because its handler panicked or was dropped, is counted as an error.
    /// The count is written with the next invocation of the process; one that Lambda kills at its timeout leaves none.
    /// An error that the handler knows of is an [`Ending::Failed`], which is written at once.
    fn drop(&mut self) {
        if !self.ended {
            LAMBDA_DURATION_SECONDS.observe_duration(&[self.function], self.started.elapsed());
            LAMBDA_ERRORS_TOTAL.inc(&[self.function, "invocation"]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One test, because all flushes of a process share the values.
    #[test]
    fn an_invocation_is_counted_measured_and_written() {
        let complete = "tandem-test-complete";
        Invocation::begin(complete).end(Ending::Complete, &mut Vec::new());
        assert_eq!(LAMBDA_INVOCATIONS_TOTAL.get(&[complete]), 1);
        for kind in ["invocation", "partial_batch"] {
            assert_eq!(LAMBDA_ERRORS_TOTAL.get(&[complete, kind]), 0);
        }
        let (failed, mut out) = ("tandem-test-failed", Vec::new());
        Invocation::begin(failed).end(Ending::Failed, &mut out);
        assert_eq!(LAMBDA_ERRORS_TOTAL.get(&[failed, "invocation"]), 1);
        assert_eq!(LAMBDA_DURATION_SECONDS.count(&[failed]), 1);
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains("lambda_errors_total") && text.contains(failed), "{text}");
        let dropped = "tandem-test-dropped";
        drop(Invocation::begin(dropped));
        assert_eq!(LAMBDA_ERRORS_TOTAL.get(&[dropped, "invocation"]), 1);
        assert_eq!(LAMBDA_DURATION_SECONDS.count(&[dropped]), 1);
        let function = "tandem-test-invocation";
        let mut out = Vec::new();
        Invocation::begin(function).end(Ending::PartialBatch, &mut out);
        assert_eq!(LAMBDA_INVOCATIONS_TOTAL.get(&[function]), 1);
        assert_eq!(LAMBDA_ERRORS_TOTAL.get(&[function, "partial_batch"]), 1);
        assert_eq!(LAMBDA_DURATION_SECONDS.count(&[function]), 1);
        let text = String::from_utf8(out).expect("text");
        assert!(text.contains("\"Namespace\":\"Tandem\"") && text.contains("lambda_invocations_total"), "{text}");
    }
}
