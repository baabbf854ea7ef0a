//! What is live beside what is deployed: drift as a diff.
//!
//! Before is what the deployed template says, after is what was found. Which properties differ is the finder's word, since
//! it knows how a service writes a value back; what that means for access is worked out from the whole properties. Nothing
//! is said of what wasn't looked at.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::access;
use crate::draft::replacement;
use crate::input::{ParameterValue, StackChange, StackKey};
use crate::model::{
    AccessChange, Class, Diff, Finding, PropertyChange, Provenance, Replacement, ResourceDiff, Severity, Shown,
    StackDiff, StackFate, code,
};
use crate::parameters::Side;
use crate::secret;
use crate::template::{Resource, Template};
use crate::transition::unprotected;

/// A deployed stack, and where reality isn't what its template says.
#[derive(Clone, Debug)]
pub struct LiveStack<'a> {
    /// Which stack.
    pub key: StackKey,
    /// What is deployed.
    pub deployed: &'a Template,
    /// Values of the deployed stack's parameters.
    pub parameters: BTreeMap<String, ParameterValue>,
    /// Resources that were found to differ, each once.
    pub resources: Vec<LiveResource>,
}

/// A resource that isn't what the deployed template says.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveResource {
    /// Its logical id.
    pub logical_id: String,
    /// Its type.
    pub resource_type: String,
    /// What was found.
    pub state: LiveState,
}

/// What was found in a resource's place.
#[derive(Clone, Debug, PartialEq)]
pub enum LiveState {
    /// Nothing.
    Gone,
    /// A resource with other properties.
    Differs {
        /// All properties as they should be, with every value filled in. Empty where the finder doesn't say.
        expected: Map<String, Value>,
        /// All properties as they are. Empty where the finder doesn't say.
        actual: Map<String, Value>,
        /// Where the two differ.
        differences: Vec<LiveDifference>,
    },
}

/// A property that differs.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveDifference {
    /// Names and places with `/` between them: `RedrivePolicy/maxReceiveCount`.
    pub path: String,
    /// The value that it should have; nothing if it shouldn't be there.
    pub expected: Option<Value>,
    /// The value that it has; nothing if it isn't there.
    pub actual: Option<Value>,
}

/// Drift as a diff, in order of stacks and logical ids; every line has [`Provenance::Live`].
///
/// A resource whose properties differ is [`Class::Drifted`], or [`Class::Replaced`] where AWS doesn't change such a property
/// in place, so that it must be another resource than the deployed one. One that is gone is [`Class::Removed`].
pub fn drift(stacks: &[LiveStack<'_>]) -> Diff {
    let mut stacks: Vec<StackDiff> = stacks.iter().map(of_stack).collect();
    stacks.sort_by(|left, right| left.key.cmp(&right.key));
    Diff { stacks }
}

fn of_stack(stack: &LiveStack<'_>) -> StackDiff {
    let (expected, actual) = (properties_of(stack, Reading::Expected), properties_of(stack, Reading::Actual));
    let change = StackChange {
        parameters_before: stack.parameters.clone(),
        parameters_after: stack.parameters.clone(),
        ..StackChange::new(stack.key.clone(), Some(&expected), Some(&actual))
    };
    let (before, after) = (Side::before(&change), Side::after(&change));
    let deployed = before.with_template(Some(stack.deployed));
    let mut resources: Vec<ResourceDiff> = stack.resources.iter().map(|one| of_resource(one, deployed)).collect();
    resources.sort_by(|left, right| left.logical_id.cmp(&right.logical_id));
    StackDiff {
        key: stack.key.clone(),
        fate: StackFate::Stays,
        resources,
        sections: Vec::new(),
        permissions: changed(access::permissions(before, after, true)),
        network: changed(access::network(before, after)),
        findings: findings(&expected, &actual),
        metadata_only: 0,
        notes: Vec::new(),
    }
}

/// Another way to write the same down is no drift.
fn changed(changes: Vec<AccessChange>) -> Vec<AccessChange> {
    changes.into_iter().filter(|change| change.direction != crate::model::Direction::Same).collect()
}

/// Which of the two accounts of a resource.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Expected,
    Actual,
}

/// A template of nothing but the resources that differ, with their properties filled in.
///
/// Only properties in which a difference was found are taken from reality: the others may be written in another way there.
fn properties_of(stack: &LiveStack<'_>, reading: Reading) -> Template {
    let mut resources = Map::new();
    for LiveResource { logical_id, resource_type, state } in &stack.resources {
        let properties = match (state, reading) {
            (LiveState::Gone, Reading::Actual) => continue,
            // What it should be is only known in the template's own words.
            (LiveState::Gone, Reading::Expected) => {
                stack.deployed.resource(logical_id).map(|one| one.properties().clone()).unwrap_or_default()
            }
            (LiveState::Differs { expected, .. }, Reading::Expected) => expected.clone(),
            (LiveState::Differs { expected, actual, differences }, Reading::Actual) => {
                let mut found = expected.clone();
                for difference in differences {
                    let name = first(&difference.path);
                    match actual.get(name) {
                        Some(value) => found.insert(name.to_owned(), value.clone()),
                        None => found.remove(name),
                    };
                }
                found
            }
        };
        resources.insert(logical_id.clone(), json!({ "Type": resource_type, "Properties": properties }));
    }
    Template::new(json!({ "Resources": resources })).expect("the outline is a template's")
}

fn of_resource(resource: &LiveResource, deployed: Side<'_>) -> ResourceDiff {
    let LiveResource { logical_id, resource_type, state } = resource;
    let description = cfn::describe(resource_type);
    let declared = deployed.template.and_then(|template| template.resource(logical_id));
    let mut diff = ResourceDiff {
        logical_id: logical_id.clone(),
        resource_type: resource_type.clone(),
        class: Class::Drifted,
        because: Vec::new(),
        is_stateful: description.is_some_and(cfn::TypeDescription::is_stateful),
        sources: vec![Provenance::Live],
        properties: Vec::new(),
        attributes: Vec::new(),
    };
    let LiveState::Differs { differences, .. } = state else {
        diff.class = Class::Removed;
        diff.because = vec!["the real one is gone".to_owned()];
        return diff;
    };
    for LiveDifference { path, expected, actual } in differences {
        let schema_path = schema_path(path);
        let shown = |value: &Value| shown(description, path, &schema_path, declared, deployed, value);
        let replacement = replacement(description, resource_type, &schema_path);
        if replacement == Replacement::Always {
            diff.class = Class::Replaced;
            diff.because.push(format!("{} can't be changed in place", code(path)));
        }
        diff.properties.push(PropertyChange {
            path: path.clone(),
            before: expected.as_ref().map(shown),
            after: actual.as_ref().map(shown),
            // It has happened, so nothing may follow from it.
            replacement: if replacement == Replacement::Always { replacement } else { Replacement::Never },
            is_possible: false,
            because: None,
            sources: vec![Provenance::Live],
        });
    }
    diff.properties.sort_by(|left, right| left.path.cmp(&right.path));
    diff
}

/// A value that was found, unless it may be a secret.
fn shown(
    description: Option<&'static cfn::TypeDescription>,
    path: &str,
    schema_path: &str,
    declared: Option<Resource<'_>>,
    deployed: Side<'_>,
    value: &Value,
) -> Shown {
    // The template can't tell whether a setting that somebody has added by hand is a secret.
    let is_setting = SETTINGS.iter().any(|place| path == *place || path.starts_with(&format!("{place}/")));
    let is_declared = declared.is_some_and(|resource| resource.at(path).is_some());
    if is_setting && (!is_declared || value.is_object()) {
        return Shown::Hidden;
    }
    // Places in a list needn't be those of the template, so all of the list counts.
    let named: Vec<&str> = path.split('/').take_while(|part| !is_place(part)).collect();
    let in_template = declared.and_then(|resource| resource.nearest(&named.join("/")));
    secret::shown_from_outside(description, schema_path, &[in_template], [deployed, deployed], value)
}

/// Properties in which programs are given settings, secrets among them.
const SETTINGS: [&str; 2] = ["Environment", "StageVariables"];

fn findings(expected: &Template, actual: &Template) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (id, old) in expected.resources() {
        let Some(new) = actual.resource(id) else { continue };
        findings.extend(unprotected(old, new).into_iter().map(|place| Finding {
            rule: "deletion-protection-off".to_owned(),
            severity: Severity::Warning,
            subject: Some(id.to_owned()),
            message: format!("deletion protection of {}{place} is switched off", code(id)),
            safe_path: "switch it on again, in the service itself: a deployment doesn't see it".to_owned(),
        }));
    }
    findings
}

fn first(path: &str) -> &str {
    path.split('/').next().unwrap_or_default()
}

fn is_place(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit())
}

fn schema_path(path: &str) -> String {
    path.split('/').map(|part| if is_place(part) { "*" } else { part }).collect::<Vec<_>>().join("/")
}
