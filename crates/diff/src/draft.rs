//! What the templates alone say about each resource: who comes, goes and changes.
//!
//! How a change of one resource reaches others is the matter of [`crate::propagate`].

use std::collections::{BTreeMap, BTreeSet};

use cfn::TypeDescription;
use serde_json::Value;

use crate::compare::{Comparison, Difference, Path};
use crate::model::{AttributeChange, Class, PropertyChange, Provenance, Replacement, ResourceDiff, Resources, code};
use crate::parameters::Side;
use crate::pieces::{Piece, is_intrinsic, pieces};
use crate::secret;
use crate::template::{Resource, Template};

/// What stands beside a resource's properties and means something. Metadata doesn't.
const ATTRIBUTES: [&str; 6] =
    ["Condition", "CreationPolicy", "DeletionPolicy", "DependsOn", "UpdatePolicy", "UpdateReplacePolicy"];

/// The resources of a stack, while they are worked out.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub(crate) resources: Resources,
    /// Changes that consist of values which only a deployment knows, by resource and path: a change set may veto them.
    pub(crate) deploy_time: BTreeSet<(String, String)>,
    /// Resources of which only metadata changes.
    pub(crate) metadata_only: usize,
    /// Resources that are in both templates and exist on both sides.
    pub(crate) common: BTreeMap<String, Common>,
}

/// A resource that is there before and after, with the same type.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Common {
    pub(crate) description: Option<&'static TypeDescription>,
}

/// Compares the resources of two templates.
pub(crate) fn draft(before: Side<'_>, after: Side<'_>) -> Draft {
    let mut draft = Draft::default();
    let old: BTreeMap<&str, Resource<'_>> = before.template.into_iter().flat_map(Template::resources).collect();
    let new: BTreeMap<&str, Resource<'_>> = after.template.into_iter().flat_map(Template::resources).collect();
    for (id, resource) in &old {
        let other = new.get(id).copied();
        match (presence(before, after, *resource, other), other) {
            (Presence::Stays, Some(other)) => draft.stays(id, *resource, other, before, after),
            (Presence::Comes, Some(other)) => draft.insert(whole(id, other, Class::Added, Vec::new())),
            (Presence::Goes(because), _) => draft.insert(removed(id, *resource, because)),
            (Presence::MayGo(because), Some(_)) => {
                draft.insert(whole(id, *resource, Class::MayBeRemoved, vec![because]));
            }
            _ => {}
        }
    }
    for (id, resource) in &new {
        if !old.contains_key(id) && condition(after, *resource) != Some(false) {
            draft.insert(whole(id, *resource, Class::Added, Vec::new()));
        }
    }
    draft
}

/// Whether a resource of the deployed template is there on each side.
enum Presence {
    Absent,
    Comes,
    Stays,
    Goes(Vec<String>),
    MayGo(String),
}

fn presence(before: Side<'_>, after: Side<'_>, old: Resource<'_>, new: Option<Resource<'_>>) -> Presence {
    let was = condition(before, old);
    let Some(new) = new else {
        return if was == Some(false) { Presence::Absent } else { Presence::Goes(Vec::new()) };
    };
    let name = new.attribute("Condition").and_then(Value::as_str).unwrap_or_default();
    match (was, condition(after, new)) {
        (Some(false), Some(false)) => Presence::Absent,
        (Some(false), _) => Presence::Comes,
        (_, Some(false)) if was.is_none() && is_same_condition(before, after, old, new) => Presence::Stays,
        (_, Some(false)) => Presence::Goes(vec![format!("its condition {} doesn't hold any more", code(name))]),
        (_, Some(true)) => Presence::Stays,
        (was, None) if was.is_none() && is_same_condition(before, after, old, new) => Presence::Stays,
        (_, None) => Presence::MayGo(format!("whether its condition {} holds is known after apply", code(name))),
    }
}

fn condition(side: Side<'_>, resource: Resource<'_>) -> Option<bool> {
    match resource.attribute("Condition").and_then(Value::as_str) {
        Some(name) => side.condition(name),
        None => Some(true),
    }
}

fn is_same_condition(before: Side<'_>, after: Side<'_>, old: Resource<'_>, new: Resource<'_>) -> bool {
    let expression = |side: Side<'_>, resource: Resource<'_>| {
        let name = resource.attribute("Condition").and_then(Value::as_str)?;
        side.template?.section("Conditions").get(name).cloned()
    };
    let expression_before = expression(before, old);
    expression_before.is_some() && expression_before == expression(after, new)
}

fn whole(id: &str, resource: Resource<'_>, class: Class, because: Vec<String>) -> ResourceDiff {
    let resource_type = resource.type_name().to_owned();
    let is_stateful = cfn::describe(&resource_type).is_some_and(TypeDescription::is_stateful);
    ResourceDiff {
        logical_id: id.to_owned(),
        resource_type,
        class,
        because,
        is_stateful,
        sources: vec![Provenance::Template],
        properties: Vec::new(),
        attributes: Vec::new(),
    }
}

fn removed(id: &str, resource: Resource<'_>, mut because: Vec<String>) -> ResourceDiff {
    let class = if resource.is_kept() { Class::Orphaned } else { Class::Removed };
    if resource.attribute("DeletionPolicy").is_some_and(|policy| policy == "Snapshot") {
        because.push("a snapshot stays".to_owned());
    }
    whole(id, resource, class, because)
}

impl Draft {
    fn insert(&mut self, resource: ResourceDiff) {
        self.resources.insert(resource.logical_id.clone(), resource);
    }

    fn stays(&mut self, id: &str, old: Resource<'_>, new: Resource<'_>, before: Side<'_>, after: Side<'_>) {
        if old.type_name() != new.type_name() {
            let because = format!("its type changes from {} to {}", code(old.type_name()), code(new.type_name()));
            let mut diff = whole(id, new, Class::Replaced, vec![because]);
            diff.is_stateful |= cfn::describe(old.type_name()).is_some_and(TypeDescription::is_stateful);
            let types = [old.attribute("Type").cloned(), new.attribute("Type").cloned()];
            let [before, after] = types;
            diff.attributes = vec![AttributeChange { name: "Type".to_owned(), before, after }];
            self.insert(diff);
            return;
        }
        let description = cfn::describe(new.type_name());
        self.common.insert(id.to_owned(), Common { description });
        if old == new {
            return;
        }
        let resolve_before = |name: &str| before.value(name);
        let resolve_after = |name: &str| after.value(name);
        let comparison = Comparison { description, resolve_before: &resolve_before, resolve_after: &resolve_after };
        let differences = comparison.properties(old.properties(), new.properties());
        let attributes = attributes(old, new, &comparison);
        if differences.is_empty() && attributes.is_empty() {
            self.metadata_only += usize::from(old.attribute("Metadata") != new.attribute("Metadata"));
            return;
        }
        let mut diff = whole(id, new, Class::Modified, Vec::new());
        for difference in &differences {
            if is_deploy_time(difference) {
                self.deploy_time.insert((id.to_owned(), difference.path.clone()));
            }
            diff.properties.push(property(description, new.type_name(), difference));
        }
        diff.attributes = attributes;
        settle(&mut diff, Some(new));
        self.insert(diff);
    }
}

fn attributes(old: Resource<'_>, new: Resource<'_>, comparison: &Comparison<'_>) -> Vec<AttributeChange> {
    let mut found = Vec::new();
    for name in ATTRIBUTES {
        let (before, after) = (old.attribute(name), new.attribute(name));
        let same = match (before, after) {
            (Some(before), Some(after)) if name == "DependsOn" => names(before) == names(after),
            (Some(before), Some(after)) => comparison.same(before, after, &Path::ROOT),
            (before, after) => before == after,
        };
        if !same {
            found.push(AttributeChange { name: name.to_owned(), before: before.cloned(), after: after.cloned() });
        }
    }
    found
}

/// One name or several, in any order.
fn names(value: &Value) -> BTreeSet<&str> {
    match value {
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect(),
        one => one.as_str().into_iter().collect(),
    }
}

fn property(
    description: Option<&'static TypeDescription>,
    type_name: &str,
    difference: &Difference<'_>,
) -> PropertyChange {
    let Difference { path, schema_path, before, after } = difference;
    let show = |value: &&Value| secret::shown(description, schema_path, value);
    PropertyChange {
        path: path.clone(),
        before: before.as_ref().map(show),
        after: after.as_ref().map(show),
        replacement: replacement(description, type_name, schema_path),
        is_possible: false,
        because: None,
        sources: vec![Provenance::Template],
    }
}

/// Whether a change at the path makes the resource anew, as far as the schema says it.
pub(crate) fn replacement(
    description: Option<&'static TypeDescription>,
    type_name: &str,
    schema_path: &str,
) -> Replacement {
    match description {
        Some(description) => description.replacement(schema_path).into(),
        None if type_name == "AWS::CloudFormation::Stack" => Replacement::Never,
        None if schema_path == "ServiceToken" => Replacement::Always,
        // Nothing is known about it, so nothing can be promised.
        None => Replacement::Maybe,
    }
}

/// Whether both values can turn out to be the same: one is computed, and what is literal in them doesn't differ.
fn is_deploy_time(difference: &Difference<'_>) -> bool {
    let (Some(before), Some(after)) = (difference.before, difference.after) else { return false };
    if !is_intrinsic(before) && !is_intrinsic(after) {
        return false;
    }
    let references = |value| -> BTreeSet<String> {
        let parts = pieces(value, &crate::pieces::unresolved);
        parts.iter().filter(|piece| !matches!(piece, Piece::Literal(_))).map(|piece| format!("{piece:?}")).collect()
    };
    // The same references with another text around them give another value for sure.
    references(before) != references(after)
}

/// Makes class and reasons of a resource follow from its changes.
pub(crate) fn settle(diff: &mut ResourceDiff, new: Option<Resource<'_>>) {
    diff.properties.sort_by(|left, right| left.path.cmp(&right.path));
    let replaces = |change: &PropertyChange| change.replacement == Replacement::Always && !change.is_possible;
    let may_replace = |change: &PropertyChange| change.replacement != Replacement::Never;
    diff.class = if diff.properties.iter().any(replaces) {
        Class::Replaced
    } else if diff.properties.iter().any(may_replace) {
        Class::MayBeReplaced
    } else if diff.attributes.is_empty() && diff.properties.iter().all(|change| change.is_possible) {
        Class::MayBeModified
    } else {
        Class::Modified
    };
    let has_schema = cfn::describe(&diff.resource_type).is_some();
    diff.because =
        diff.properties.iter().filter(|change| may_replace(change)).map(|one| reason(one, has_schema)).collect();
    let keeps_old = new.and_then(|new| new.attribute("UpdateReplacePolicy")).is_some_and(|policy| policy == "Retain");
    if diff.class.is_destructive() && keeps_old {
        diff.because.push("the old one stays (`UpdateReplacePolicy`)".to_owned());
    }
}

fn reason(change: &PropertyChange, has_schema: bool) -> String {
    let path = code(&change.path);
    let cause = change.because.as_deref();
    match (change.replacement, cause) {
        (Replacement::Always, None) => format!("{path} can't be changed in place"),
        (Replacement::Always, Some(cause)) => format!("{path} can't be changed in place, and {cause}"),
        (_, None) if !has_schema => format!("{path} changes, and there is no schema of the type"),
        (_, None) => format!("a change of {path} can need a new resource"),
        (_, Some(cause)) => format!("a change of {path} can need a new resource, and {cause}"),
    }
}
