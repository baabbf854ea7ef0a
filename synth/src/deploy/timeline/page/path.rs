//! What the deployment waited for: step after step, and in place of the stacks those that decided how long they took.

use std::time::Duration;

use jiff::Timestamp;
use maud::{Markup, html};

use super::{anchor, shown, took};
use crate::deploy::timeline::record::{Record, Span, Step, StepKind, between};

/// A part of the way.
struct Part {
    words: String,
    anchor: Option<String>,
    span: Span,
    time: Duration,
}

/// How much of the whole a part takes before it is worth looking at, in percent.
const MUCH: f64 = 10.0;

/// The parts, with how much of the whole each takes.
pub(super) fn section(record: &Record) -> Markup {
    let parts = parts(record);
    let whole = record.took().as_secs_f64();
    let share = |time: Duration| if whole > 0.0 { time.as_secs_f64() / whole * 100.0 } else { 0.0 };
    html! {
        @if !parts.is_empty() {
            section aria-labelledby="path" {
                h2 id="path" { "What it waited for" }
                ol class="path" {
                    @for part in &parts {
                        @let share = share(part.time);
                        li class=[(share >= MUCH).then_some("much")] {
                            @match &part.anchor {
                                Some(anchor) => a href={ "#" (anchor) } { (part.words) }
                                None => (part.words)
                            }
                            " " (took(part.time))
                            @if share >= 1.0 { " (" (format!("{share:.0}")) "\u{a0}%)" }
                        }
                    }
                }
            }
        }
    }
}

fn parts(record: &Record) -> Vec<Part> {
    let steps = record.steps.iter().filter(|step| step.kind != StepKind::Stacks && is_awaited(step, &record.steps));
    let mut parts: Vec<Part> = steps
        .filter_map(|step| {
            let words = match step.kind {
                StepKind::Approval => "approval by a person",
                kind => kind.says(),
            };
            Some(Part { words: words.to_owned(), anchor: None, span: step.span, time: step.span.took()? })
        })
        .collect();
    let lanes = record.lanes.iter().enumerate().filter(|(_, lane)| lane.is_critical);
    parts.extend(lanes.filter_map(|(position, lane)| {
        let span = lane.span?;
        let words = shown(&lane.key()).into_owned();
        let end: Timestamp = span.ended_at.unwrap_or(record.ended_at);
        Some(Part { words, anchor: Some(anchor(position)), span, time: between(span.started_at, end) })
    }));
    parts.retain(|part| part.time >= Duration::from_millis(1));
    parts.sort_by_key(|part| part.span.started_at);
    parts
}

/// Of steps that run beside each other the one that ends last is waited for.
fn is_awaited(step: &Step, steps: &[Step]) -> bool {
    let Some(end) = step.span.ended_at else { return false };
    !steps.iter().any(|other| {
        let overlaps =
            other.span.started_at < end && other.span.ended_at.is_none_or(|other_end| step.span.started_at < other_end);
        let is_later = other.span.ended_at.is_none_or(|other_end| other_end > end);
        other.kind != step.kind && overlaps && is_later
    })
}
