//! Where moments lie on the chart.

use std::time::Duration;

use jiff::Timestamp;

use crate::deploy::timeline::record::{Span, between};
use crate::ui::elapsed_text;

/// Distances between marks that people can read, in seconds.
const STEPS: [u64; 18] =
    [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400];
/// The most marks; more don't fit beside each other on a small screen.
const MARKS: u64 = 6;

/// The time of a deployment, as the width of the chart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scale {
    start: Timestamp,
    end: Timestamp,
    total: Duration,
    step: Duration,
}

impl Scale {
    /// From the beginning of the deployment to its end.
    pub(super) fn of(start: Timestamp, end: Timestamp) -> Self {
        // A deployment without length would have nowhere to lie.
        let total = between(start, end).max(Duration::from_millis(1));
        let fits = |step: &&u64| total.as_secs() / **step <= MARKS;
        let step = STEPS.iter().find(fits).copied().unwrap_or(total.as_secs() / MARKS);
        Self { start, end, total, step: Duration::from_secs(step) }
    }

    /// When it begins.
    pub(super) fn start(&self) -> Timestamp {
        self.start
    }

    /// Where a moment lies, in percent of the width; what lies outside is put to the edge.
    pub(super) fn x(&self, at: Timestamp) -> f64 {
        (between(self.start, at).as_secs_f64() / self.total.as_secs_f64() * 100.0).min(100.0)
    }

    /// Where something begins and how wide it is. What has no end lasts to the end.
    pub(super) fn bar(&self, span: Span) -> (f64, f64) {
        let x = self.x(span.started_at);
        (x, (self.x(span.ended_at.unwrap_or(self.end)) - x).max(0.0))
    }

    /// How far the marks are from each other, in percent of the width.
    pub(super) fn step_percent(&self) -> f64 {
        self.step.as_secs_f64() / self.total.as_secs_f64() * 100.0
    }

    /// The marks: where, and what stands there.
    pub(super) fn marks(&self) -> Vec<(f64, String)> {
        let number = u32::try_from(self.total.as_millis() / self.step.as_millis().max(1)).unwrap_or_default();
        (0..=number)
            .map(|mark| (self.step_percent() * f64::from(mark), label(self.step * mark)))
            .filter(|(x, _)| *x <= 100.0)
            .collect()
    }
}

/// `0`, `30 s`, `2 min`, `2 h`: without what is nothing.
fn label(time: Duration) -> String {
    match time.as_secs() {
        0 => "0".to_owned(),
        secs if secs % 3_600 == 0 => format!("{} h", secs / 3_600),
        secs if secs % 60 == 0 => format!("{} min", secs / 60),
        secs if secs < 60 => format!("{secs} s"),
        _ => elapsed_text(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scale(millis: i64) -> Scale {
        let at = |millis| Timestamp::from_millisecond(millis).unwrap();
        Scale::of(at(1_000), at(1_000 + millis))
    }

    #[test]
    fn marks_are_few_and_readable() {
        for (millis, expected) in [
            (0, "0"),
            (800, "0"),
            (5_500, "0, 1 s, 2 s, 3 s, 4 s, 5 s"),
            (95_000, "0, 15 s, 30 s, 45 s, 1 min, 1 min 15 s, 1 min 30 s"),
            (725_000, "0, 2 min, 4 min, 6 min, 8 min, 10 min, 12 min"),
            (7_300_000, "0, 30 min, 1 h, 90 min, 2 h"),
        ] {
            let marks: Vec<String> = scale(millis).marks().into_iter().map(|(_, label)| label).collect();
            assert_eq!(marks.join(", "), expected, "{millis}");
        }
        for days in 1..40 {
            let marks = scale(days * 86_400_000).marks();
            assert!(marks.len() <= 8 && marks.iter().all(|(x, _)| (0.0..=100.0).contains(x)), "{days}");
        }
    }

    #[test]
    fn nothing_lies_outside() {
        let scale = scale(10_000);
        let at = |millis| Timestamp::from_millisecond(millis).unwrap();
        let bar = |start, end: Option<i64>| scale.bar(Span { started_at: at(start), ended_at: end.map(at) });
        assert_eq!(bar(3_500, Some(6_000)), (25.0, 25.0));
        assert_eq!(bar(3_500, None), (25.0, 75.0));
        assert_eq!(bar(-5_000, Some(6_000)), (0.0, 50.0));
        assert_eq!(bar(20_000, Some(90_000)), (100.0, 0.0));
        assert_eq!(bar(6_000, Some(3_500)), (50.0, 0.0));
    }
}
