//! Everything once more as a table: for screen readers, for searching, for copying.

use std::time::Duration;

use maud::{Markup, html};

use super::chart::operation_verb;
use super::{sentence, shown, took};
use crate::deploy::timeline::record::{Lane, Record, Span, StepOutcome, between};

/// One line of the table.
struct Line {
    what: String,
    of: String,
    did: String,
    outcome: String,
    span: Option<Span>,
    /// How long, where that is not from start to end.
    took: Option<Duration>,
    remark: String,
}

/// All steps, lanes, phases and operations.
pub(super) fn section(record: &Record) -> Markup {
    let lines = lines(record);
    let since = |span: Option<Span>| span.map(|span| took(between(record.started_at, span.started_at)));
    html! {
        section aria-labelledby="table" {
            h2 id="table" { "As a table" }
            details class="all" {
                summary { (lines.len()) " rows" }
                div class="wide" tabindex="0" role="region" aria-labelledby="table" {
                    table {
                        thead {
                            tr { @for heading in ["what", "of", "did", "ended", "began after", "took", "why, where"] { th scope="col" { (heading) } } }
                        }
                        tbody {
                            @for line in &lines {
                                tr {
                                    th scope="row" { (line.what) }
                                    td { (line.of) }
                                    td { (line.did) }
                                    td { (line.outcome) }
                                    td class="number" { (since(line.span).unwrap_or_default()) }
                                    td class="number" { (line.took.map(took).unwrap_or_default()) }
                                    td { (sentence(&line.remark)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn lines(record: &Record) -> Vec<Line> {
    let steps = record.steps.iter().map(|step| Line {
        what: step.kind.says().to_owned(),
        of: "the whole".to_owned(),
        did: "step".to_owned(),
        outcome: match step.outcome {
            StepOutcome::Done => "done",
            StepOutcome::Failed => "failed",
            StepOutcome::BrokenOff => "broken off",
        }
        .to_owned(),
        span: Some(step.span),
        took: step.span.took(),
        remark: String::new(),
    });
    steps.chain(record.lanes.iter().flat_map(lane_lines)).collect()
}

fn lane_lines(lane: &Lane) -> Vec<Line> {
    let key = shown(&lane.key()).into_owned();
    let remark = match (&lane.failure, &lane.because_of) {
        (Some(failure), _) => failure.message.clone(),
        (None, Some(because)) => format!("because of `{because}`"),
        (None, None) => String::new(),
    };
    let own = Line {
        what: key.clone(),
        of: shown(&lane.region).into_owned(),
        did: "stack".to_owned(),
        outcome: lane.result.says().to_owned(),
        span: lane.span,
        took: lane.took(),
        remark,
    };
    let phases = lane.phases.iter().map(|phase| Line {
        what: phase.kind.says().to_owned(),
        of: key.clone(),
        did: "phase".to_owned(),
        outcome: if phase.span.ended_at.is_some() { "done" } else { "broken off" }.to_owned(),
        span: Some(phase.span),
        took: phase.span.took(),
        remark: shown(&phase.text).into_owned(),
    });
    let operations = lane.operations.iter().map(|operation| {
        let place = operation.declared_at.as_ref().map(|place| format!("declared at `{place}`"));
        let remark = operation.reason.iter().cloned().chain(place).collect::<Vec<_>>().join(", ");
        Line {
            what: format!("{} ({})", shown(&operation.resource), shown(&operation.resource_type)),
            of: key.clone(),
            did: operation_verb(operation),
            outcome: operation.outcome.says().to_owned(),
            span: Some(operation.span),
            took: operation.span.took(),
            remark,
        }
    });
    [own].into_iter().chain(phases).chain(operations).collect()
}
