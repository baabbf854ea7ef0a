//! The charts: the steps of the whole; and the stacks, region by region, with a bar an operation.

use maud::{Markup, html};

use super::scale::Scale;
use super::{anchor, name, shown, took};
use crate::deploy::timeline::record::{
    Lane, LaneResult, Operation, OperationOutcome, Phase, PhaseKind, Record, Span, Step, StepOutcome, between,
};

/// A deployment of no more operations than this is shown with all of them unfolded.
const UNFOLDED: usize = 30;

/// The steps of the whole deployment.
pub(super) fn whole(record: &Record, scale: &Scale) -> Markup {
    html! {
        section class="chart whole" aria-labelledby="whole" {
            h2 id="whole" { "The whole" }
            (axis(scale))
            @for step in &record.steps { (step_row(step, scale)) }
        }
    }
}

/// Each region's lanes.
pub(super) fn stacks(record: &Record, scale: &Scale) -> Markup {
    let is_small = record.lanes.iter().map(|lane| lane.operations.len()).sum::<usize>() <= UNFOLDED;
    let mut regions: Vec<&str> = Vec::new();
    for lane in &record.lanes {
        if !regions.contains(&lane.region.as_str()) {
            regions.push(&lane.region);
        }
    }
    html! {
        section class="chart stacks" aria-labelledby="stacks" {
            h2 id="stacks" { "Stacks" }
            p class="facts" { "Their time begins " (took(between(record.started_at, scale.start()))) " after the beginning of the whole." }
            (legend())
            (axis(scale))
            @for region in regions { (region_part(record, region, is_small, scale)) }
        }
    }
}

fn legend() -> Markup {
    let phases =
        [PhaseKind::ChangeSet, PhaseKind::Upload, PhaseKind::Execution, PhaseKind::Rollback, PhaseKind::Waiting];
    let operations = [
        ("create", "create"),
        ("update", "update"),
        ("delete", "delete"),
        ("failed", "failed"),
        ("cancelled", "cancelled"),
    ];
    let entries = |entries: Vec<(&'static str, &'static str)>| {
        html! {
            @for (class, words) in entries {
                li { svg width="18" height="12" aria-hidden="true" { rect class=(class) x="1" y="1" width="16" height="10" {} } " " (words) }
            }
        }
    };
    html! {
        ul class="legend" {
            li class="of" { "A stack:" }
            (entries(phases.map(|kind| (phase_class(kind), kind.says())).to_vec()))
        }
        ul class="legend" {
            li class="of" { "A resource:" }
            (entries(operations.to_vec()))
            li { (diamond()) " on the longest chain of things that waited for each other" }
        }
    }
}

fn axis(scale: &Scale) -> Markup {
    html! {
        div class="row axis" aria-hidden="true" {
            span class="name" {}
            svg class="track" {
                @for (x, label) in scale.marks() {
                    @let anchor = if x < 3.0 { "start" } else if x > 94.0 { "end" } else { "middle" };
                    text x=(format!("{x:.3}%")) y="13" text-anchor=(anchor) { (label) }
                }
            }
            span class="said" {}
        }
    }
}

fn step_row(step: &Step, scale: &Scale) -> Markup {
    let class = match step.outcome {
        StepOutcome::Done => "step",
        StepOutcome::Failed => "failed",
        StepOutcome::BrokenOff => "cancelled",
    };
    let says = match (step.outcome, step.span.took()) {
        (StepOutcome::Done, Some(time)) => took(time),
        (StepOutcome::Failed, Some(time)) => format!("failed after {}", took(time)),
        _ => "broken off".to_owned(),
    };
    html! {
        div class="row" {
            span class="name" { (step.kind.says()) }
            svg class="track" aria-hidden="true" { (bar(scale, step.span, class, &format!("{}: {says}", step.kind.says()))) }
            span class="said" { (says) }
        }
    }
}

fn region_part(record: &Record, region: &str, is_small: bool, scale: &Scale) -> Markup {
    let of_region = || record.lanes.iter().enumerate().filter(|(_, lane)| lane.region == region);
    let mut worked: Vec<(usize, &Lane)> =
        of_region().filter(|(_, lane)| lane.result != LaneResult::Unchanged).collect();
    // As it went; what never began stands last, in deploy order.
    worked.sort_by_key(|(_, lane)| lane.span.map_or((true, None), |span| (false, Some(span.started_at))));
    let unchanged: Vec<&str> = of_region()
        .filter(|(_, lane)| lane.result == LaneResult::Unchanged)
        .map(|(_, lane)| lane.name.as_str())
        .collect();
    html! {
        h3 { (shown(region)) }
        @for (position, lane) in worked { (lane_rows(position, lane, is_small, scale)) }
        @if !unchanged.is_empty() {
            p class="unchanged" { "Unchanged: " @for (at, stack) in unchanged.iter().enumerate() { @if at > 0 { ", " } (name(stack)) } }
        }
    }
}

fn lane_rows(position: usize, lane: &Lane, is_small: bool, scale: &Scale) -> Markup {
    let is_bad = matches!(lane.result, LaneResult::Failed | LaneResult::Unfinished);
    let name = html! {
        span class="name" {
            (name(&lane.name)) " "
            @if lane.is_critical { (diamond()) " " }
            @if is_bad || lane.span.is_none() { span class={ "badge" @if is_bad { " bad" } } { (lane.result.says()) } }
        }
    };
    if lane.span.is_none() {
        return html! {
            div class="row lane idle" id=(anchor(position)) {
                (name)
                @if let Some(because) = &lane.because_of { span class="said" { "because of " (shown(because)) } }
            }
        };
    }
    let row = html! {
        (name)
        svg class="track" aria-hidden="true" {
            // A change set that was made for the plan lies before the chart.
            @for phase in lane.phases.iter().filter(|phase| phase.span.ended_at.is_none_or(|end| end > scale.start())) {
                (bar(scale, phase.span, phase_class(phase.kind), &phase_words(phase)))
            }
            @if let (true, Some(span)) = (lane.is_critical, lane.span) { (underline(scale, span)) }
        }
        span class="said" { (lane.result.says()) @if let Some(time) = lane.took() { ", " (took(time)) } }
    };
    if lane.operations.is_empty() {
        return html! { div class="row lane" id=(anchor(position)) { (row) } };
    }
    html! {
        details class={ "lane" @if is_bad { " bad" } } id=(anchor(position)) open[is_small || is_bad] {
            summary class="row" { (row) }
            @let (first, others) = split(lane, is_bad);
            @for operation in &first { (operation_row(operation, scale)) }
            @if !others.is_empty() {
                details class="others" {
                    summary { (others.len()) " others" }
                    @for operation in &others { (operation_row(operation, scale)) }
                }
            }
        }
    }
}

/// What is shown first, and what only on demand: of a large lane that failed, what ended well and held nothing up.
fn split(lane: &Lane, is_bad: bool) -> (Vec<&Operation>, Vec<&Operation>) {
    let is_large = is_bad && lane.operations.len() > UNFOLDED;
    lane.operations.iter().partition(|operation| {
        let is_good = matches!(operation.outcome, OperationOutcome::Done | OperationOutcome::Cancelled);
        !is_large || operation.is_critical || !is_good
    })
}

fn operation_row(operation: &Operation, scale: &Scale) -> Markup {
    let verb = operation_verb(operation);
    let says = match (operation.outcome, operation.span.took()) {
        (OperationOutcome::Done, Some(time)) => format!("{verb}, {}", took(time)),
        (outcome, Some(time)) => format!("{verb} {} after {}", outcome.says(), took(time)),
        (outcome, None) => format!("{verb} {}", outcome.says()),
    };
    let words = format!("{}: {says}", shown(&operation.resource));
    html! {
        div class={ "row operation" @if operation.outcome == OperationOutcome::Failed { " bad" } } {
            span class="name" {
                (name(&operation.resource)) " "
                @if operation.is_critical { (diamond()) " " }
                span class="type" { (shown(&operation.resource_type)) }
            }
            svg class="track" aria-hidden="true" {
                (bar(scale, operation.span, operation_class(operation), &words))
                @if operation.is_critical { (underline(scale, operation.span)) }
            }
            span class="said" { (says) }
        }
    }
}

/// What was done, in words: CloudFormation's verb, and what it was for.
pub(super) fn operation_verb(operation: &Operation) -> String {
    let verb = shown(&operation.verb);
    match (operation.is_undo, operation.replaces) {
        (true, _) => format!("undo: {verb}"),
        (false, true) => format!("{verb} (replaces)"),
        (false, false) => verb.into_owned(),
    }
}

fn bar(scale: &Scale, span: Span, class: &str, words: &str) -> Markup {
    let (x, width) = scale.bar(span);
    let open = if span.ended_at.is_none() { " open" } else { "" };
    html! {
        rect class={ (class) (open) } x=(format!("{x:.3}%")) y="3" width=(format!("{width:.3}%")) height="12" rx="2" {
            title { (words) }
        }
    }
}

fn underline(scale: &Scale, span: Span) -> Markup {
    let (x, width) = scale.bar(span);
    html! { rect class="critical" x=(format!("{x:.3}%")) y="17" width=(format!("{width:.3}%")) height="2" {} }
}

/// Also for those who hear the page.
fn diamond() -> Markup {
    html! { span class="diamond" role="img" aria-label="on the longest chain" title="on the longest chain" { "◆" } }
}

fn phase_words(phase: &Phase) -> String {
    let time = phase.span.took().map_or_else(|| "not ended".to_owned(), took);
    format!("{}: {time}", shown(&phase.text))
}

fn phase_class(kind: PhaseKind) -> &'static str {
    match kind {
        PhaseKind::ChangeSet => "change-set",
        PhaseKind::Upload => "upload",
        PhaseKind::Execution => "execution",
        PhaseKind::Rollback => "rollback",
        PhaseKind::Cleanup => "cleanup",
        PhaseKind::Clearing => "delete",
        PhaseKind::Waiting => "waiting",
        PhaseKind::Other => "step",
    }
}

fn operation_class(operation: &Operation) -> &'static str {
    match (operation.outcome, operation.verb.as_str()) {
        (OperationOutcome::Failed, _) => "failed",
        (OperationOutcome::Cancelled, _) => "cancelled",
        _ if operation.is_undo => "rollback",
        (_, "create" | "import") => "create",
        (_, "update") => "update",
        (_, "delete") => "delete",
        _ => "step",
    }
}
