//! What a change does to a stack: counted for the plan's table, listed for the guard.
//!
//! Two sources: the change set, which knows; and a comparison of templates for stacks whose change set can only be
//! made later, which is an estimate and says so.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cloud::{Change, ChangeKind};
use super::system::{Template, resources_of};

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

    /// What differs between a deployed template and the new one, resource by resource.
    ///
    /// Changes that only come from values of parameters are not seen, and no replacement is: it is an estimate.
    pub(crate) fn between(deployed: &str, new: &Template) -> Self {
        let deployed: Value = serde_json::from_str(deployed).unwrap_or_default();
        let old: BTreeMap<&str, &Value> = resources_of(&deployed).collect();
        let mut changes = Vec::new();
        for (logical_id, resource) in new.resources() {
            match old.get(logical_id) {
                None => changes.push(change(logical_id, resource, ChangeKind::Add)),
                Some(&before) if before != resource => changes.push(change(logical_id, resource, ChangeKind::Modify)),
                Some(_) => {}
            }
        }
        let gone = old.iter().filter(|(logical_id, _)| new.document()["Resources"].get(**logical_id).is_none());
        changes.extend(gone.map(|(logical_id, resource)| change(logical_id, resource, ChangeKind::Remove)));
        Self::new(changes)
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

    /// Resources that are replaced or removed here, but not in `approved`.
    pub(crate) fn harm_beyond<'a>(&'a self, approved: &'a Self) -> impl Iterator<Item = &'a Change> {
        let harms = |change: &&Change| change.kind > ChangeKind::Modify;
        self.0.iter().filter(harms).filter(|change| {
            !approved.0.iter().any(|known| known.logical_id == change.logical_id && known.kind >= change.kind)
        })
    }
}

fn change(logical_id: &str, resource: &Value, kind: ChangeKind) -> Change {
    let resource_type = resource["Type"].as_str().unwrap_or_default().to_owned();
    Change { logical_id: logical_id.to_owned(), resource_type, kind }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(document: &Value) -> Template {
        Template::parse(document.to_string(), BTreeMap::new()).unwrap()
    }

    #[test]
    fn templates_are_compared_resource_by_resource() {
        let deployed = json!({ "Resources": {
            "Same": { "Type": "T" }, "Changed": { "Type": "T", "Properties": { "a": 1 } }, "Gone": { "Type": "T" }
        } });
        let new = template(&json!({ "Resources": {
            "Same": { "Type": "T" }, "Changed": { "Type": "T", "Properties": { "a": 2 } }, "New": { "Type": "U" }
        } }));
        let changes = Changes::between(&deployed.to_string(), &new);
        let seen: Vec<_> = changes.iter().map(|change| (change.logical_id.as_str(), change.kind)).collect();
        assert_eq!(seen, [("Changed", ChangeKind::Modify), ("Gone", ChangeKind::Remove), ("New", ChangeKind::Add)]);
        assert_eq!(Changes::creating(&new).count(ChangeKind::Add), 3);
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
        assert_eq!(beyond, ["B", "D", "E"]);
    }
}
