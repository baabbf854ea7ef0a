//! Alarms: somebody is told, and knows what to do.

use serde_json::Value as Json;

use super::super::evaluate::text;
use super::super::{Context, property};
use crate::check::Violation;
use crate::template::Declaration;

/// An alarm without an action only changes its colour.
pub(super) fn somebody_is_told(_: &Context<'_>, alarm: &Declaration, found: &mut Vec<Violation>) {
    let actions = property(alarm, "AlarmActions");
    let none = actions.is_none() || actions.and_then(Json::as_array).is_some_and(Vec::is_empty);
    let off = property(alarm, "ActionsEnabled").and_then(Json::as_bool) == Some(false);
    if none || off {
        let (path, message) =
            if off { ("ActionsEnabled", "its actions are switched off") } else { ("AlarmActions", "tells nobody") };
        found.push(
            Violation::new("alarm-action", message)
                .of(alarm)
                .at(path)
                .hint("name the topic that reaches whoever is on call"),
        );
    }
}

/// Whoever is woken reads the description first.
pub(super) fn a_runbook_is_named(context: &Context<'_>, alarm: &Declaration, found: &mut Vec<Violation>) {
    let description = property(alarm, "AlarmDescription").map(|json| text(json, context.region));
    let names_one = description.is_some_and(|description| description.known.contains("https://"));
    if !names_one {
        found.push(
            Violation::new("alarm-runbook", "its description holds no address of a runbook")
                .of(alarm)
                .at("AlarmDescription")
                .hint("say what it means, and end with the runbook's `https://` address"),
        );
    }
}
