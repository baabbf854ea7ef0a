//! What went wrong, why, and what to do about it.

use maud::{Markup, html};

use super::{anchor, name, sentence, shown, took};
use crate::deploy::timeline::record::{Failure, Lane, LaneResult, Record, RunResult, Trouble};

/// Every failure; nothing when there is none.
pub(super) fn section(record: &Record) -> Markup {
    let failed: Vec<(usize, &Lane, &Failure)> = record
        .lanes
        .iter()
        .enumerate()
        .filter_map(|(position, lane)| Some((position, lane, lane.failure.as_ref()?)))
        .collect();
    let Some(trouble) = record.error.as_ref() else { return html! {} };
    html! {
        section aria-labelledby="failures" {
            h2 id="failures" { @if record.result == RunResult::Interrupted { "Broken off" } @else { "What failed" } }
            @for (position, lane, failure) in &failed { (card(record, *position, lane, failure)) }
            // What stands in the cards needn't be said once more.
            @if failed.is_empty() { (general(record, trouble)) }
            @if !failed.is_empty() && record.result == RunResult::Interrupted { (general(record, trouble)) }
            @let hints: Vec<&String> = trouble.hints.iter().filter(|hint| !is_said(hint, &failed)).collect();
            @if !hints.is_empty() {
                p class="next" { strong { "Next:" } }
                ul { @for hint in hints { li { (sentence(hint)) } } }
            }
        }
    }
}

fn is_said(hint: &str, failed: &[(usize, &Lane, &Failure)]) -> bool {
    failed.iter().any(|(_, _, failure)| failure.hint.as_deref() == Some(hint))
}

fn card(record: &Record, position: usize, lane: &Lane, failure: &Failure) -> Markup {
    let key = lane.key();
    let lost: Vec<String> = lost_with(record, &key);
    html! {
        article class="failure" {
            h3 {
                a href={ "#" (anchor(position)) } { (shown(&key)) }
                @match &failure.status { Some(status) => { " ended in " (name(status)) } None => " failed" }
                @if let Some(time) = lane.took() { " after " (took(time)) }
            }
            @match (&failure.resource, &failure.reason) {
                (Some(resource), Some(reason)) => {
                    p {
                        (name(resource))
                        @if let Some(resource_type) = &failure.resource_type { " (" (name(resource_type)) ")" }
                        @if let Some(place) = &failure.declared_at { ", declared at " (name(place)) }
                        ":"
                    }
                    blockquote { (shown(reason)) }
                }
                (_, Some(reason)) => blockquote { (shown(reason)) }
                _ => blockquote { (sentence(&failure.message)) }
            }
            @if let Some(hint) = &failure.hint { p class="hint" { strong { "What to do: " } (sentence(hint)) } }
            @if !failure.also.is_empty() {
                p { "These failed by themselves as well:" }
                ul { @for (resource, reason) in &failure.also { li { (name(resource)) ": " (shown(reason)) } } }
            }
            @if !lost.is_empty() {
                p { "Not tried because of it: " @for (at, key) in lost.iter().enumerate() { @if at > 0 { ", " } (name(key)) } }
            }
        }
    }
}

/// The lanes that were not tried because this one failed, at whatever remove.
fn lost_with(record: &Record, key: &str) -> Vec<String> {
    let mut lost = vec![key.to_owned()];
    for lane in record.lanes.iter().filter(|lane| lane.result == LaneResult::NotTried) {
        if lane.because_of.as_ref().is_some_and(|because| lost.contains(because)) {
            lost.push(lane.key());
        }
    }
    lost.split_off(1)
}

fn general(record: &Record, trouble: &Trouble) -> Markup {
    let running: Vec<String> =
        record.lanes.iter().filter(|lane| lane.result == LaneResult::Unfinished).map(Lane::key).collect();
    html! {
        article class="failure" {
            h3 { (sentence(&trouble.message)) }
            @if !trouble.details.is_empty() {
                ul { @for detail in &trouble.details { li { (sentence(detail)) } } }
            }
            @if !running.is_empty() {
                p { "Unfinished: " @for (at, key) in running.iter().enumerate() { @if at > 0 { ", " } (name(key)) } }
            }
        }
    }
}
