//! How a change travels: through references, until nothing new follows.
//!
//! A replaced resource has another physical id and other attributes, so whoever refers to it changes; if that can't be
//! done in place, it is replaced too, and so on. A parameter with another value reaches its users in the same way.

use std::collections::VecDeque;

use crate::differs::condition_differs;
use crate::draft::{Draft, replacement, settle};
use crate::model::{Class, PropertyChange, Provenance, ResourceDiff, Shown, code};
use crate::parameters::{Side, value_change};
use crate::pieces::{Piece, pieces};
use crate::references::{Target, Use, each_reference, uses};
use crate::secret;

/// Attributes that get another value although the resource stays: type, attribute, property.
const VOLATILE: [(&str, &str, &str); 4] = [
    ("AWS::DynamoDB::GlobalTable", "StreamArn", "StreamSpecification"),
    ("AWS::DynamoDB::Table", "StreamArn", "StreamSpecification"),
    ("AWS::EC2::LaunchTemplate", "DefaultVersionNumber", "LaunchTemplateData"),
    ("AWS::EC2::LaunchTemplate", "LatestVersionNumber", "LaunchTemplateData"),
];

/// Something whose references give another value now.
struct Cause<'a> {
    target: Target<'a>,
    /// Only this attribute; none for all of them and `Ref`.
    attribute: Option<&'static str>,
    is_possible: bool,
    because: String,
}

/// Adds to the draft what follows from it.
pub(crate) fn propagate(draft: &mut Draft, before: Side<'_>, after: Side<'_>) {
    let Some(template) = after.template else { return };
    let mut causes: VecDeque<Cause<'_>> = outside(before, after);
    for (id, diff) in &draft.resources {
        if let Some((id, _)) = template.section("Resources").get_key_value(id) {
            causes.extend(of_resource(id, diff));
        }
    }
    if causes.is_empty() {
        return;
    }
    let uses = uses(template);
    while let Some(cause) = causes.pop_front() {
        let affected = uses.get(&cause.target).into_iter().flatten();
        let affected: Vec<&Use<'_>> =
            affected.filter(|one| cause.attribute.is_none() || one.attribute == cause.attribute).collect();
        for one in affected {
            let was = draft.resources.get(one.dependent).map(|diff| diff.class);
            if reach(draft, one, &cause, before, after) {
                let diff = &draft.resources[one.dependent];
                if was != Some(diff.class) {
                    causes.extend(of_resource(one.dependent, diff));
                }
            }
        }
    }
}

/// Parameters, mappings and conditions that have another value.
fn outside<'a>(before: Side<'_>, after: Side<'a>) -> VecDeque<Cause<'a>> {
    let mut causes = VecDeque::new();
    let (Some(old), Some(new)) = (before.template, after.template) else { return causes };
    for name in new.section("Parameters").keys() {
        if let Some(change) = value_change(before, after, name) {
            let target = Target::Name(name);
            causes.push_back(Cause {
                target,
                attribute: None,
                is_possible: change.is_possible,
                because: change.because,
            });
        }
    }
    let differs = |section: &str, name: &str, value| old.section(section).get(name).is_some_and(|old| old != value);
    for (name, mapping) in new.section("Mappings") {
        if differs("Mappings", name, mapping) {
            let because = format!("mapping {} changes", code(name));
            causes.push_back(Cause { target: Target::Mapping(name), attribute: None, is_possible: true, because });
        }
    }
    for name in new.section("Conditions").keys() {
        let (was, is) = (before.condition(name), after.condition(name));
        let is_possible = was.is_none() || is.is_none();
        if old.section("Conditions").contains_key(name) && condition_differs(before, after, name) {
            let because = format!("condition {} {}", code(name), if is_possible { "changes" } else { "turns" });
            causes.push_back(Cause { target: Target::Condition(name), attribute: None, is_possible, because });
        }
    }
    causes
}

/// What follows for others from what happens to a resource.
fn of_resource<'a>(id: &'a str, diff: &ResourceDiff) -> Vec<Cause<'a>> {
    let cause = |attribute, is_possible, because| Cause { target: Target::Name(id), attribute, is_possible, because };
    match diff.class {
        Class::Replaced => vec![cause(None, false, format!("it refers to {}, which is replaced", code(id)))],
        Class::MayBeReplaced => vec![cause(None, true, format!("it refers to {}, which may be replaced", code(id)))],
        Class::Modified | Class::MayBeModified => {
            let changes =
                |property: &str| diff.properties.iter().any(|change| change.path.split('/').next() == Some(property));
            let volatile = VOLATILE
                .iter()
                .filter(|(type_name, _, property)| *type_name == diff.resource_type && changes(property));
            volatile
                .map(|(_, attribute, property)| {
                    let because = format!(
                        "it refers to {}, which changes with {}",
                        code(&format!("{id}.{attribute}")),
                        code(property)
                    );
                    cause(Some(attribute), diff.class == Class::MayBeModified, because)
                })
                .collect()
        }
        _ => Vec::new(),
    }
}

/// Marks the property that refers to the cause as changing; false if that was known.
fn reach(draft: &mut Draft, one: &Use<'_>, cause: &Cause<'_>, before: Side<'_>, after: Side<'_>) -> bool {
    let Some(common) = draft.common.get(one.dependent).copied() else { return false };
    let resource = after.template.and_then(|template| template.resource(one.dependent));
    let type_name = resource.map_or("", |resource| resource.type_name());
    let (was, is) = values(one, cause, common.description, before, after);
    let change = PropertyChange {
        path: one.path.clone(),
        before: Some(was),
        after: Some(is),
        replacement: replacement(common.description, type_name, &one.schema_path),
        is_possible: cause.is_possible,
        because: Some(cause.because.clone()),
        sources: vec![Provenance::Template],
    };
    let diff = draft.resources.entry(one.dependent.to_owned()).or_insert_with(|| ResourceDiff {
        logical_id: one.dependent.to_owned(),
        resource_type: type_name.to_owned(),
        class: Class::MayBeModified,
        because: Vec::new(),
        is_stateful: common.description.is_some_and(cfn::TypeDescription::is_stateful),
        sources: vec![Provenance::Template],
        properties: Vec::new(),
        attributes: Vec::new(),
    });
    let known = diff.properties.iter_mut().find(|known| covers(&known.path, &change.path));
    match known {
        // A certain cause says more than a possible one.
        Some(known) if known.path == change.path && known.is_possible && !change.is_possible => *known = change,
        Some(_) => return false,
        None => {
            if cause.is_possible {
                draft.deploy_time.insert((one.dependent.to_owned(), one.path.clone()));
            }
            diff.properties.push(change);
        }
    }
    settle(diff, resource);
    true
}

/// What the property was and will be: in clear where parameters alone make it, and none of them is a secret.
fn values(
    one: &Use<'_>,
    cause: &Cause<'_>,
    description: Option<&'static cfn::TypeDescription>,
    before: Side<'_>,
    after: Side<'_>,
) -> (Shown, Shown) {
    let mut is_secret = false;
    each_reference(one.value, &mut |target, _| {
        is_secret |= matches!(target, Target::Name(name) if before.is_secret(name) || after.is_secret(name));
    });
    let text = |side: Side<'_>| match pieces(one.value, &|name| side.value(name)).as_slice() {
        [Piece::Literal(text)] => Some(serde_json::Value::String(text.to_string())),
        _ => None,
    };
    if !cause.is_possible
        && !is_secret
        && let (Some(was), Some(is)) = (text(before), text(after))
        && was != is
    {
        let show = |value| secret::shown(description, &one.schema_path, value);
        return (show(&was), show(&is));
    }
    (secret::shown(description, &one.schema_path, one.value), Shown::KnownAfterApply)
}

fn covers(outer: &str, path: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
