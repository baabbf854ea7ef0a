//! What a change does to a stack: counted for the plan's table, listed for the guard.
//!
//! Two sources: the change set, which knows; and a comparison of templates for stacks whose change set can only be
//! made later, which is an estimate and says so.

use std::collections::BTreeMap;

use diff::{Class, ResourceDiff, StackDiff};
use serde_json::Value;

use super::cloud::{Change, ChangeKind};
use super::system::Template;

/// The changes to one stack, in order of logical id.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Changes(Vec<Change>);

impl Changes {
    pub(crate) fn new(mut changes: Vec<Change>) -> Self {
        changes.sort();
        Self(changes)
    }

    /// Every resource of `template` is new.
    pub(crate) fn creating(template: &Template) -> Self {
        let add = |(logical_id, resource): (&str, &Value)| change(logical_id, resource, ChangeKind::Add);
        Self::new(template.resources().map(add).collect())
    }

    /// What a comparison says.
    pub(crate) fn of(diff: &StackDiff) -> Self {
        let change = |resource: &ResourceDiff| {
            let kind = match resource.class {
                Class::Drifted => return None,
                Class::Imported | Class::Added => ChangeKind::Add,
                Class::MayBeModified | Class::Modified => ChangeKind::Modify,
                Class::MayBeReplaced => ChangeKind::MayReplace,
                Class::Replaced => ChangeKind::Replace,
                Class::Orphaned | Class::MayBeRemoved | Class::Removed => ChangeKind::Remove,
            };
            let (logical_id, resource_type) = (resource.logical_id.clone(), resource.resource_type.clone());
            Some(Change { logical_id, resource_type: resource_type.to_string(), kind })
        };
        Self::new(diff.resources.iter().filter_map(change).collect())
    }

    /// These and then those: of a resource that is in both, the most harmful.
    #[must_use]
    pub(crate) fn and(self, later: Self) -> Self {
        let mut changes: BTreeMap<String, Change> = BTreeMap::new();
        for change in self.0.into_iter().chain(later.0) {
            let known = changes.entry(change.logical_id.clone()).or_insert_with(|| change.clone());
            known.kind = known.kind.max(change.kind);
        }
        Self::new(changes.into_values().collect())
    }

    /// How many resources `kind` happens to.
    pub fn count(&self, kind: ChangeKind) -> usize {
        self.0.iter().filter(|change| change.kind == kind).count()
    }

    /// How many resources change at all.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no resource changes; outputs may.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The changes, in order of logical id.
    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.0.iter()
    }

    /// Resources that are replaced or removed here, but not in `approved`; who approved that one may be replaced has agreed
    /// that it is.
    pub(crate) fn harm_beyond<'a>(&'a self, approved: &'a Self) -> impl Iterator<Item = &'a Change> {
        let least = |change: &Change| match change.kind {
            ChangeKind::Add | ChangeKind::Modify => None,
            ChangeKind::MayReplace | ChangeKind::Replace => Some(ChangeKind::MayReplace),
            ChangeKind::Remove => Some(ChangeKind::Remove),
        };
        self.0.iter().filter(move |change| {
            let is_covered =
                |least| approved.0.iter().any(|known| known.logical_id == change.logical_id && known.kind >= least);
            least(change).is_some_and(|least| !is_covered(least))
        })
    }
}

fn change(logical_id: &str, resource: &Value, kind: ChangeKind) -> Change {
    let resource_type = resource["Type"].as_str().unwrap_or_default().to_owned();
    Change { logical_id: logical_id.to_owned(), resource_type, kind }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_says_what_happens_to_each_resource() {
        let template = |text: &str| diff::Template::parse(text).unwrap();
        let queue = |name: &str| format!(r#"{{"Type": "AWS::SQS::Queue", "Properties": {{"QueueName": {name}}}}}"#);
        let before = format!(
            r#"{{"Parameters": {{"P": {{"Type": "String"}}}}, "Resources": {{
                "Same": {0}, "Changed": {{"Type": "AWS::SQS::Queue", "Properties": {{"DelaySeconds": 1}}}}, "Gone": {0},
                "Renamed": {0}, "ByInput": {1}}}}}"#,
            queue("\"a\""),
            queue(r#"{"Ref": "P"}"#)
        );
        let after = before.replace("DelaySeconds\": 1", "DelaySeconds\": 2").replace("\"Gone\"", "\"New\"");
        let after = after.replace("\"Renamed\": ", "\"Renamed\": {\"Type\": \"AWS::SNS::Topic\"}, \"Other\": ");
        let (before, after) = (template(&before), template(&after));
        let mut change = diff::StackChange::new(diff::StackKey::new("data", "us-west-2"), Some(&before), Some(&after));
        let values = |value| BTreeMap::from([("P".to_owned(), value)]);
        change.parameters_before = values(diff::ParameterValue::Known("b".to_owned()));
        change.parameters_after = values(diff::ParameterValue::KnownAfterApply);
        let changes = Changes::of(&diff::diff(&[change]).unwrap().stacks[0]);
        let seen: Vec<_> = changes.iter().map(|change| (change.logical_id.as_str(), change.kind)).collect();
        assert_eq!(
            seen,
            [
                ("ByInput", ChangeKind::MayReplace),
                ("Changed", ChangeKind::Modify),
                ("Gone", ChangeKind::Remove),
                ("New", ChangeKind::Add),
                ("Other", ChangeKind::Add),
                ("Renamed", ChangeKind::Replace),
            ]
        );
    }

    #[test]
    fn several_updates_of_a_resource_count_as_the_most_harmful() {
        let changes = |list: &[(&str, ChangeKind)]| {
            let change = |(id, kind): &(&str, ChangeKind)| change(id, &Value::Null, *kind);
            Changes::new(list.iter().map(change).collect())
        };
        let first = changes(&[("A", ChangeKind::Modify), ("B", ChangeKind::Replace)]);
        let both = first.and(changes(&[("A", ChangeKind::Remove), ("B", ChangeKind::Modify), ("C", ChangeKind::Add)]));
        assert_eq!(both, changes(&[("A", ChangeKind::Remove), ("B", ChangeKind::Replace), ("C", ChangeKind::Add)]));
    }

    #[test]
    fn only_harm_that_was_not_approved_is_beyond() {
        let changes = |list: &[(&str, ChangeKind)]| {
            let change = |(id, kind): &(&str, ChangeKind)| change(id, &Value::Null, *kind);
            Changes::new(list.iter().map(change).collect())
        };
        let approved = changes(&[("A", ChangeKind::Replace), ("B", ChangeKind::Modify), ("D", ChangeKind::MayReplace)]);
        let actual = changes(&[
            ("A", ChangeKind::Replace),
            ("B", ChangeKind::Replace),
            ("C", ChangeKind::Add),
            ("D", ChangeKind::Replace),
            ("E", ChangeKind::Remove),
        ]);
        let beyond: Vec<_> = actual.harm_beyond(&approved).map(|change| change.logical_id.as_str()).collect();
        assert_eq!(beyond, ["B", "E"]);
    }
}
