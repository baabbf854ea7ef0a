//! What a change set adds to the templates' account, and the little that it may take away.
//!
//! A change set knows values that only CloudFormation has. But it is silent about real changes (unions in WAF's rules),
//! leaves resources out of a description with values, and calls a replacement certain that depends on what isn't known
//! yet. So its silence vetoes only a difference that consists of such values, and `Always` with `Dynamic` is "maybe".

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::draft::{Draft, settle};
use crate::input::{
    Action, ChangeSet, Detail, Drift, Evaluation, ReportedReplacement, RequiresRecreation, ResourceReport,
};
use crate::model::{Class, PropertyChange, Provenance, Replacement, ResourceDiff, code};
use crate::parameters::Side;
use crate::secret;
use crate::template::Resource;

/// Merges a change set into the draft; gives what a reader should know.
pub(crate) fn merge(draft: &mut Draft, change_set: &ChangeSet, before: Side<'_>, after: Side<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    if change_set.may_be_incomplete {
        notes.push("the change set may leave changes out; what it doesn't name is as the templates say".to_owned());
    } else {
        let silent = veto(draft, change_set, after);
        if !silent.is_empty() {
            let names: Vec<String> = silent.iter().map(|id| code(id)).collect();
            notes.push(format!("the change set is silent about {}; the templates say otherwise", names.join(", ")));
        }
    }
    for report in &change_set.changes {
        apply(draft, report, before, after);
    }
    notes
}

/// Takes away what the change set doesn't confirm and may veto. Gives what changes in spite of its silence.
fn veto(draft: &mut Draft, change_set: &ChangeSet, after: Side<'_>) -> Vec<String> {
    let mut named: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for report in &change_set.changes {
        let properties = report.details.iter().map(|detail| first(bare(&detail.path)));
        named.entry(&report.logical_id).or_default().extend(properties);
    }
    let Draft { resources, deploy_time, .. } = draft;
    let mut silent = Vec::new();
    resources.retain(|id, diff| {
        let details = named.get(id.as_str());
        let unknown = |path: &str| match details {
            None => true,
            // A report without details says nothing about single properties.
            Some(properties) => !properties.is_empty() && !properties.contains(first(path)),
        };
        let count = diff.properties.len();
        diff.properties
            .retain(|change| !(unknown(&change.path) && deploy_time.contains(&(id.clone(), change.path.clone()))));
        if count > 0 && diff.properties.is_empty() && diff.attributes.is_empty() {
            return false;
        }
        if diff.properties.len() < count {
            settle(diff, after.template.and_then(|template| template.resource(id)));
        }
        // Attributes alone don't change the real thing, and a retained one stays: there is nothing for it to say.
        let touches = !diff.properties.is_empty() || diff.attributes.is_empty() || diff.class == Class::Replaced;
        if details.is_none() && touches && diff.class != Class::Orphaned {
            silent.push(id.clone());
        }
        true
    });
    silent
}

fn apply(draft: &mut Draft, report: &ResourceReport, before: Side<'_>, after: Side<'_>) {
    let was_known = draft.resources.contains_key(&report.logical_id);
    if !was_known && report.action == Action::Modify && is_metadata(report) {
        return;
    }
    let description = cfn::describe(&report.resource_type);
    let diff = draft.resources.entry(report.logical_id.clone()).or_insert_with(|| ResourceDiff {
        logical_id: report.logical_id.clone(),
        resource_type: report.resource_type.clone(),
        class: Class::MayBeModified,
        because: Vec::new(),
        is_stateful: description.is_some_and(cfn::TypeDescription::is_stateful),
        sources: Vec::new(),
        properties: Vec::new(),
        attributes: Vec::new(),
    });
    confirm(&mut diff.sources);
    match report.action {
        Action::Import if !was_known || diff.class == Class::Added => diff.class = Class::Imported,
        Action::Add if !was_known || diff.class == Class::MayBeRemoved => diff.class = Class::Added,
        Action::Remove if !matches!(diff.class, Class::Removed | Class::Orphaned) => {
            let old = before.template.and_then(|template| template.resource(&report.logical_id));
            diff.class = if old.is_some_and(Resource::is_kept) { Class::Orphaned } else { Class::Removed };
            diff.because = vec!["the change set says so".to_owned()];
        }
        Action::Dynamic if !was_known => {
            diff.class = Class::MayBeReplaced;
            diff.because.push("CloudFormation decides it while it updates the stack".to_owned());
        }
        Action::Modify if !matches!(diff.class, Class::Added | Class::Removed | Class::Orphaned) => {
            modify(diff, &draft.deploy_time, report, before, after);
        }
        _ => {}
    }
}

/// Whether nothing but metadata changes, which the templates have counted.
fn is_metadata(report: &ResourceReport) -> bool {
    !report.details.is_empty() && report.details.iter().all(|detail| first(bare(&detail.path)) == "Metadata")
}

fn modify(
    diff: &mut ResourceDiff,
    deploy_time: &BTreeSet<(String, String)>,
    report: &ResourceReport,
    before: Side<'_>,
    after: Side<'_>,
) {
    let type_changes = diff.attributes.iter().any(|attribute| attribute.name == "Type");
    if type_changes {
        return;
    }
    let old = before.template.and_then(|template| template.resource(&report.logical_id));
    let new = after.template.and_then(|template| template.resource(&report.logical_id));
    for detail in decisive(&report.details) {
        let path = bare(&detail.path);
        let level = level(detail);
        let mut is_known = false;
        for change in diff.properties.iter_mut().filter(|change| meets(&change.path, path)) {
            is_known = true;
            confirm(&mut change.sources);
            if deploy_time.contains(&(report.logical_id.clone(), change.path.clone())) {
                change.replacement = level;
                change.is_possible = detail.evaluation == Evaluation::Dynamic;
            } else if change.replacement != Replacement::Always {
                let says_never = level == Replacement::Never && detail.evaluation == Evaluation::Static;
                change.replacement = if says_never { level } else { change.replacement.max(level) };
            }
        }
        if !is_known && !path.is_empty() {
            let schema_path = schema_path(path);
            let description = cfn::describe(&report.resource_type);
            let in_template = [old.and_then(|old| old.nearest(path)), new.and_then(|new| new.nearest(path))];
            let show = |value: &Value| {
                secret::shown_from_outside(description, &schema_path, &in_template, [before, after], value)
            };
            diff.properties.push(PropertyChange {
                path: path.to_owned(),
                before: detail.before.as_ref().map(show),
                after: detail.after.as_ref().map(show),
                replacement: level,
                is_possible: detail.evaluation == Evaluation::Dynamic,
                because: detail.causing_entity.as_deref().map(|entity| format!("it depends on {}", code(entity))),
                sources: vec![Provenance::ChangeSet],
            });
        }
    }
    settle(diff, new);
    let says = "the change set says so".to_owned();
    match report.replacement {
        Some(ReportedReplacement::True) if report.details.is_empty() && diff.class < Class::Replaced => {
            diff.class = Class::Replaced;
            diff.because.push(says);
        }
        Some(ReportedReplacement::True | ReportedReplacement::Conditional) if diff.class < Class::MayBeReplaced => {
            diff.class = Class::MayBeReplaced;
            diff.because.push(says);
        }
        _ => {}
    }
}

/// Where a property has a detail with a known value, those with an unknown one say nothing more.
fn decisive(details: &[Detail]) -> impl Iterator<Item = &Detail> {
    let known: BTreeSet<&str> = details
        .iter()
        .filter(|detail| detail.evaluation == Evaluation::Static)
        .map(|detail| detail.path.as_str())
        .collect();
    details
        .iter()
        .filter(move |detail| detail.evaluation == Evaluation::Static || !known.contains(detail.path.as_str()))
}

fn level(detail: &Detail) -> Replacement {
    match (detail.requires_recreation, detail.evaluation) {
        (RequiresRecreation::Never, _) => Replacement::Never,
        (RequiresRecreation::Always, Evaluation::Static) => Replacement::Always,
        (RequiresRecreation::Always, Evaluation::Dynamic) | (RequiresRecreation::Conditionally, _) => {
            Replacement::Maybe
        }
    }
}

fn confirm(sources: &mut Vec<Provenance>) {
    if !sources.contains(&Provenance::ChangeSet) {
        sources.push(Provenance::ChangeSet);
        sources.sort_unstable();
    }
}

/// A path without the prefix that CloudFormation's descriptions have.
fn bare(path: &str) -> &str {
    path.strip_prefix("/Properties/").unwrap_or(path)
}

fn first(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

/// Whether a detail is about a change, or about what it is a part of, or the other way round.
///
/// Items have keys here and places there, so the place of an item meets every key.
fn meets(change: &str, detail: &str) -> bool {
    let is_place = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    change.split('/').zip(detail.split('/')).all(|(left, right)| left == right || is_place(right))
}

fn schema_path(path: &str) -> String {
    let part =
        |part: &'_ str| if part.bytes().all(|byte| byte.is_ascii_digit()) { "*".to_owned() } else { part.to_owned() };
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Adds where reality isn't what the deployed template says.
pub(crate) fn merge_drift(draft: &mut Draft, drift: &[Drift], before: Side<'_>, after: Side<'_>) {
    for one in drift {
        let old = before.template.and_then(|template| template.resource(&one.logical_id));
        let type_name = old.map_or("", |old| old.type_name());
        let description = cfn::describe(type_name);
        let diff = draft.resources.entry(one.logical_id.clone()).or_insert_with(|| ResourceDiff {
            logical_id: one.logical_id.clone(),
            resource_type: type_name.to_owned(),
            class: Class::Drifted,
            because: Vec::new(),
            is_stateful: description.is_some_and(cfn::TypeDescription::is_stateful),
            sources: Vec::new(),
            properties: Vec::new(),
            attributes: Vec::new(),
        });
        if !diff.sources.contains(&Provenance::Live) {
            diff.sources.push(Provenance::Live);
        }
        let path = bare(&one.path);
        if path.is_empty() {
            diff.because.push("the real resource is gone".to_owned());
            continue;
        }
        let schema_path = schema_path(path);
        let in_template = [old.and_then(|old| old.nearest(path))];
        let show =
            |value: &Value| secret::shown_from_outside(description, &schema_path, &in_template, [before, after], value);
        diff.properties.push(PropertyChange {
            path: path.to_owned(),
            before: one.actual.as_ref().map(show),
            after: one.expected.as_ref().map(show),
            replacement: Replacement::Never,
            is_possible: false,
            because: Some("reality isn't as the deployed template says".to_owned()),
            sources: vec![Provenance::Live],
        });
    }
}
