//! What happens to a DynamoDB table's indexes and replicas, which AWS changes only one at a time.
//!
//! Shared by the rules, which count, and by the sequence, which takes the changes apart.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::compare::Comparison;
use crate::pieces::{canonical, unresolved};
use crate::template::Resource;

pub(crate) const TABLE: &str = "AWS::DynamoDB::Table";
pub(crate) const GLOBAL_TABLE: &str = "AWS::DynamoDB::GlobalTable";

pub(crate) const INDEXES: &str = "GlobalSecondaryIndexes";
pub(crate) const REPLICAS: &str = "Replicas";
pub(crate) const ATTRIBUTES: &str = "AttributeDefinitions";

/// The changes of a table that AWS wants one by one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct TableDelta<'a> {
    /// Indexes that go; one whose keys or projection change is here and in `added_indexes`.
    pub(crate) removed_indexes: Vec<&'a str>,
    pub(crate) added_indexes: Vec<&'a str>,
    /// Regions.
    pub(crate) removed_replicas: Vec<&'a str>,
    pub(crate) added_replicas: Vec<&'a str>,
    /// Whether anything else of the table changes.
    pub(crate) has_others: bool,
}

impl TableDelta<'_> {
    pub(crate) fn indexes(&self) -> usize {
        self.removed_indexes.len() + self.added_indexes.len()
    }

    pub(crate) fn replicas(&self) -> usize {
        self.removed_replicas.len() + self.added_replicas.len()
    }

    /// Whether AWS takes it in one update.
    pub(crate) fn is_one_step(&self) -> bool {
        match (self.indexes(), self.replicas()) {
            (indexes, 0) => indexes <= 1,
            (0, 1) => !self.has_others,
            _ => false,
        }
    }
}

pub(crate) fn is_table(resource: Resource<'_>) -> bool {
    matches!(resource.type_name(), TABLE | GLOBAL_TABLE)
}

/// What happens to a table that stays. Nothing if indexes or replicas aren't written out with literal names.
pub(crate) fn delta<'a>(before: Resource<'a>, after: Resource<'a>) -> Option<TableDelta<'a>> {
    let (old, new) = (Named::of(before, INDEXES, "IndexName")?, Named::of(after, INDEXES, "IndexName")?);
    let is_same_index = |name: &str| match (old.get(name), new.get(name)) {
        (Some(old), Some(new)) => ["KeySchema", "Projection"].iter().all(|part| {
            let part = |index: &Value| index.get(part).map(|value| canonical(value, &unresolved));
            part(old) == part(new)
        }),
        _ => false,
    };
    let removed_indexes: Vec<&str> = old.names().filter(|name| !is_same_index(name)).collect();
    let added_indexes: Vec<&str> = new.names().filter(|name| !is_same_index(name)).collect();
    let (old, new) = (Named::of(before, REPLICAS, "Region")?, Named::of(after, REPLICAS, "Region")?);
    let removed_replicas: Vec<&str> = old.names().filter(|name| new.get(name).is_none()).collect();
    let added_replicas: Vec<&str> = new.names().filter(|name| old.get(name).is_none()).collect();
    let indexes: BTreeSet<&str> = removed_indexes.iter().chain(&added_indexes).copied().collect();
    let replicas: BTreeSet<&str> = removed_replicas.iter().chain(&added_replicas).copied().collect();
    let comparison = Comparison {
        description: cfn::describe(after.type_name()),
        resolve_before: &unresolved,
        resolve_after: &unresolved,
    };
    let (left, right) = (rest(before, &indexes, &replicas), rest(after, &indexes, &replicas));
    let has_others = !comparison.properties(&left, &right).is_empty();
    Some(TableDelta { removed_indexes, added_indexes, removed_replicas, added_replicas, has_others })
}

/// A list whose items have literal, distinct names.
pub(crate) struct Named<'a>(Vec<(&'a str, &'a Value)>);

impl<'a> Named<'a> {
    /// Nothing if an item has no literal name, or two have the same.
    pub(crate) fn of(table: Resource<'a>, property: &str, key: &str) -> Option<Self> {
        let Some(list) = table.at(property) else { return Some(Self(Vec::new())) };
        let mut seen = BTreeSet::new();
        let mut items = Vec::new();
        for item in list.as_array()? {
            let name = item.get(key).and_then(Value::as_str).filter(|name| seen.insert(*name))?;
            items.push((name, item));
        }
        Some(Self(items))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'a Value> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, item)| *item)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.0.iter().map(|(name, _)| *name)
    }
}

/// The properties without what belongs to the given indexes and replicas. Definitions of attributes follow the indexes.
fn rest(table: Resource<'_>, indexes: &BTreeSet<&str>, replicas: &BTreeSet<&str>) -> Map<String, Value> {
    let mut properties = table.properties().clone();
    if !indexes.is_empty() {
        properties.remove(ATTRIBUTES);
    }
    without(&mut properties, INDEXES, "IndexName", indexes);
    without(&mut properties, REPLICAS, "Region", replicas);
    for replica in properties.get_mut(REPLICAS).and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(replica) = replica.as_object_mut() {
            without(replica, INDEXES, "IndexName", indexes);
        }
    }
    properties
}

/// Takes items away by name, and the list if nothing is left.
pub(crate) fn without(map: &mut Map<String, Value>, property: &str, key: &str, names: &BTreeSet<&str>) {
    if let Some(list) = map.get_mut(property).and_then(Value::as_array_mut) {
        list.retain(|item| item.get(key).and_then(Value::as_str).is_none_or(|name| !names.contains(name)));
        if list.is_empty() {
            map.remove(property);
        }
    }
}
