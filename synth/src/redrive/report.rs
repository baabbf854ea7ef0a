//! What came of a replay, for people and for programs.

use events::Timestamp;
use serde::Serialize;

use super::plan::{Letter, Received};
use crate::error::Error;

/// Failures that people are shown one by one; JSON has them all.
const SHOWN: usize = 20;
/// Characters of a reason that people are shown.
const REASON_CHARS: usize = 300;

/// What came of a replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The environment.
    pub environment: String,
    /// The queue's region.
    pub region: String,
    /// The queue, without system and environment.
    pub queue: String,
    /// When the run began; what came into the queue later was left.
    pub started_at: Timestamp,
    /// How many messages were replayed and have left the queue.
    pub replayed: usize,
    /// How many were replayed and came back as new letters: the old one is deleted, the new one holds the same record.
    pub still_failing: usize,
    /// How many the filter left out.
    pub skipped: usize,
    /// Messages whose replay failed, with the reasons; they stay.
    pub failed: Vec<Failed>,
    /// How many came since the run began from others.
    pub newer: usize,
    /// How many messages that the run met stay in the queue.
    pub left: usize,
    /// Why the run ended before the queue's end, if it did.
    pub stopped: Option<String>,
}

/// A message whose replay failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// SQS's id of the message.
    pub message_id: String,
    /// The letter's error class, if it is one.
    pub error_class: Option<String>,
    /// The record's place, if it is one.
    pub position: Option<String>,
    /// Why it failed.
    pub reason: String,
}

impl Failed {
    pub(super) fn of(message: &Received, letter: Option<&Letter>, reason: String) -> Self {
        Self {
            message_id: message.id.clone(),
            error_class: letter.map(|letter| letter.error_class.clone()),
            position: letter.map(|letter| letter.position.clone()),
            reason,
        }
    }

    /// The failures for people, under a heading; nothing when there are none.
    pub(super) fn render(failed: &[Self], heading: &str) -> Vec<String> {
        if failed.is_empty() {
            return Vec::new();
        }
        let mut lines = vec![format!("{heading}: {}", failed.len())];
        lines.extend(failed.iter().take(SHOWN).map(|failed| {
            let place = failed.position.as_ref().map(|position| format!(" at {position}")).unwrap_or_default();
            let reason: String = failed.reason.chars().take(REASON_CHARS).collect();
            format!("  {}{place}: {reason}", failed.message_id)
        }));
        if failed.len() > SHOWN {
            lines.push(format!("  and {} more; `--format json` has them all", failed.len() - SHOWN));
        }
        lines
    }
}

impl Report {
    /// The report for people, line by line.
    pub fn render(&self) -> Vec<String> {
        let mut lines =
            vec![format!("replayed: {} of `{}` in {}", counted(self.replayed, "message"), self.queue, self.region)];
        if self.still_failing > 0 {
            lines.push(format!(
                "still failing: {}, which came back as new letters with the same records",
                self.still_failing
            ));
        }
        if self.skipped > 0 {
            lines.push(format!("left out by the filter: {}", self.skipped));
        }
        if self.newer > 0 {
            lines.push(format!("came since the run began: {}, for another run", self.newer));
        }
        lines.extend(Failed::render(&self.failed, "failed"));
        lines.push(format!("left in the queue, as far as the run met them: {}", self.left));
        lines
    }

    /// How far the run is, for one row of a terminal.
    pub(super) fn progress(&self) -> String {
        format!("{} replayed, {} failed, {} left out", self.replayed, self.failed.len(), self.skipped)
    }

    /// Whether everything that was meant was replayed and is done.
    ///
    /// # Errors
    /// A replay failed, a record is still poison, or the run stopped early.
    pub fn verdict(&self) -> Result<(), Error> {
        let again = "mend what the reasons say, then run the same command again: what stays in the queue is not lost";
        if let Some(reason) = &self.stopped {
            let replayed = counted(self.replayed, "message");
            let message = format!("the replay of `{}` in {} stopped after {replayed}", self.queue, self.region);
            return Err(Error::remote(message).detail(reason.clone()).hint(again));
        }
        let failed = counted(self.failed.len(), "replay");
        match (self.failed.len(), self.still_failing) {
            (0, 0) => Ok(()),
            (0, still) => Err(Error::remote(format!("{} of `{}` came back", counted(still, "record"), self.queue))
                .hint("look at their letters with `--dry-run --format json`: their cause is not mended yet")),
            _ => Err(Error::remote(format!("{failed} of `{}` in {} failed", self.queue, self.region)).hint(again)),
        }
    }
}

/// `1 message`, `2 messages`.
pub(crate) fn counted(count: usize, thing: &str) -> String {
    format!("{count} {thing}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_code;

    fn report() -> Report {
        let queue = "event-router-dead-letters".to_owned();
        Report { region: "us-west-2".to_owned(), queue, replayed: 2, ..Report::default() }
    }

    fn failed(count: usize) -> Vec<Failed> {
        let one = |index| Failed {
            message_id: format!("m-{index}"),
            error_class: Some("panic".to_owned()),
            position: Some("12".to_owned()),
            reason: "the function failed".to_owned(),
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn everything_done_is_a_success() {
        assert_eq!(
            report().render(),
            [
                "replayed: 2 messages of `event-router-dead-letters` in us-west-2",
                "left in the queue, as far as the run met them: 0"
            ]
        );
        assert!(report().verdict().is_ok());
        assert!(Report { skipped: 3, newer: 1, ..report() }.verdict().is_ok(), "what wasn't meant is no failure");
    }

    #[test]
    fn whatever_is_not_done_is_an_error_that_says_what_to_do() {
        for (report, says) in [
            (Report { failed: failed(1), ..report() }, "1 replay of `event-router-dead-letters` in us-west-2 failed"),
            (Report { still_failing: 2, ..report() }, "2 records of `event-router-dead-letters` came back"),
            (Report { stopped: Some("denied".to_owned()), ..report() }, "stopped after 2 messages"),
        ] {
            let error = report.verdict().expect_err(says);
            assert!(error.to_string().contains(says), "{error}");
            assert_eq!(error.kind().exit_code(), exit_code::ERROR);
            assert_eq!(error.hints().len(), 1);
        }
    }

    #[test]
    fn many_failures_are_cut_for_people() {
        let lines = Report { failed: failed(25), left: 25, ..report() }.render();
        assert_eq!(lines[1], "failed: 25");
        assert_eq!(lines[2], "  m-0 at 12: the function failed");
        assert_eq!(lines[22], "  and 5 more; `--format json` has them all");
        assert_eq!(lines.last().expect("a line"), "left in the queue, as far as the run met them: 25");
    }
}
