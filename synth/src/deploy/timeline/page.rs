//! The page of a deployment: one file that opens without a server and runs no script.
//!
//! Failures come first, then what the deployment waited for, then a chart of the whole, one of the stacks with a lane
//! each, and all of it as a table. The stacks have a scale of their own: a build, or someone who is asked, may take
//! longer than all of them. Everything that comes from outside goes through the template's escaping, and the page forbids itself to load
//! or run anything.

mod chart;
mod failures;
mod path;
mod scale;
mod table;

use std::borrow::Cow;
use std::time::Duration;

use diff::render::visible;
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::record::{LaneResult, OperationOutcome, Record, RunResult, StepKind};
use crate::ui::elapsed_text;
use scale::Scale;

/// Colours, and how the parts lie, in light and dark, wide and narrow.
const STYLE: &str = include_str!("page/style.css");

/// The page of a record.
pub(super) fn page(record: &Record) -> String {
    let whole = Scale::of(record.started_at, record.ended_at);
    let stacks = of_stacks(record);
    let marks =
        format!(".whole{{--marks:{:.4}%}}.stacks{{--marks:{:.4}%}}", whole.step_percent(), stacks.step_percent());
    let title = format!("{}: deployment {}", shown(&record.environment), ended(record.result));
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'";
                title { (title) ", " (moment(record.started_at)) }
                style { (PreEscaped(STYLE)) (PreEscaped(marks)) }
            }
            body {
                // Patterns that bars are filled with; by them, what went wrong is seen without colours too.
                svg class="patterns" width="0" height="0" aria-hidden="true" {
                    @for name in ["undone", "idle"] {
                        pattern id=(name) class=(name) width="6" height="6" patternUnits="userSpaceOnUse"
                            patternTransform="rotate(45)" {
                            rect width="6" height="6" class="ground" {}
                            rect width="3" height="6" class="stripe" {}
                        }
                    }
                }
                main {
                    (header(record))
                    (failures::section(record))
                    (path::section(record))
                    (chart::whole(record, &whole))
                    (chart::stacks(record, &stacks))
                    (table::section(record))
                }
            }
        }
    };
    page.into_string()
}

/// The time in which the stacks were changed.
fn of_stacks(record: &Record) -> Scale {
    let step = record.steps.iter().find(|step| step.kind == StepKind::Stacks).map(|step| step.span);
    let start = step.map_or(record.started_at, |span| span.started_at);
    Scale::of(start, step.and_then(|span| span.ended_at).unwrap_or(record.ended_at))
}

fn header(record: &Record) -> Markup {
    let mut regions: Vec<&str> = Vec::new();
    for lane in &record.lanes {
        if !regions.contains(&lane.region.as_str()) {
            regions.push(&lane.region);
        }
    }
    html! {
        header {
            h1 {
                "Deployment of " (name(&record.environment)) " "
                span class={ "result " (class_of(record.result)) } { (ended(record.result)) }
            }
            p class="facts" {
                strong { (took(record.took())) }
                ", from " time datetime=(record.started_at) { (moment(record.started_at)) }
                " to " time datetime=(record.ended_at) { (moment(record.ended_at)) }
                @if !regions.is_empty() { ", in " (regions.join(", ")) }
            }
            ul class="counts" {
                @for (number, what) in counts(record) { li { strong { (number) } " " (what) } }
            }
        }
    }
}

/// How many stacks ended how, and how many resources were worked on.
fn counts(record: &Record) -> Vec<(usize, String)> {
    let results = [
        LaneResult::Failed,
        LaneResult::Unfinished,
        LaneResult::NotTried,
        LaneResult::NotBegun,
        LaneResult::Created,
        LaneResult::Updated,
        LaneResult::Protected,
        LaneResult::Unchanged,
    ];
    let lanes = results.into_iter().map(|result| {
        let number = record.lanes.iter().filter(|lane| lane.result == result).count();
        (number, format!("{} {}", if number == 1 { "stack" } else { "stacks" }, result.says()))
    });
    let operations = || record.lanes.iter().flat_map(|lane| &lane.operations);
    let failed = operations().filter(|operation| operation.outcome == OperationOutcome::Failed).count();
    let all = operations().count();
    let noun = |number| if number == 1 { "operation" } else { "operations" };
    lanes
        .chain([(all, format!("{} on resources", noun(all))), (failed, format!("failed {}", noun(failed)))])
        .filter(|(number, _)| *number > 0)
        .collect()
}

fn ended(result: RunResult) -> &'static str {
    match result {
        RunResult::Succeeded => "succeeded",
        RunResult::Unchanged => "changed nothing",
        RunResult::Failed => "failed",
        RunResult::Interrupted => "was broken off",
    }
}

fn class_of(result: RunResult) -> &'static str {
    match result {
        RunResult::Succeeded | RunResult::Unchanged => "good",
        RunResult::Failed => "bad",
        RunResult::Interrupted => "warn",
    }
}

/// Text with everything in it that can't be seen written out, but for line ends.
fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains('\n') {
        return visible(text);
    }
    Cow::Owned(text.lines().map(visible).collect::<Vec<_>>().join("\n"))
}

/// A name, as code.
fn name(name: &str) -> Markup {
    html! { code { (shown(name)) } }
}

/// A sentence in which names stand between backticks.
fn sentence(text: &str) -> Markup {
    let text = shown(text);
    if !text.matches('`').count().is_multiple_of(2) {
        return html! { (text) };
    }
    html! {
        @for (position, part) in text.split('`').enumerate() {
            @if position % 2 == 0 { (part) } @else { code { (part) } }
        }
    }
}

/// A span of time that no line end tears apart.
fn took(time: Duration) -> String {
    elapsed_text(time).replace(' ', "\u{a0}")
}

fn moment(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Where a lane is in the page. Names can't be trusted to be ids.
fn anchor(position: usize) -> String {
    format!("lane-{position}")
}
