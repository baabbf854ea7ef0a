//! The states that one table goes through.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::tables::{ATTRIBUTES, INDEXES, REPLICAS, TableDelta};
use crate::template::Resource;

/// Which parts of a table are there at some moment.
#[derive(Clone)]
struct Parts<'a> {
    /// Indexes that still are as they were and will go.
    old_indexes: BTreeSet<&'a str>,
    /// Indexes as they will be.
    new_indexes: BTreeSet<&'a str>,
    old_replicas: BTreeSet<&'a str>,
    new_replicas: BTreeSet<&'a str>,
}

/// The table's properties after each update; the last ones are the new ones.
pub(super) fn states(before: Resource<'_>, after: Resource<'_>, delta: &TableDelta<'_>) -> Vec<Map<String, Value>> {
    let added: BTreeSet<&str> = delta.added_indexes.iter().copied().collect();
    let new_replicas: BTreeSet<&str> = delta.added_replicas.iter().copied().collect();
    let kept = |property, key, out: &BTreeSet<&str>| -> BTreeSet<&str> {
        names(after, property, key).filter(|name| !out.contains(name)).collect()
    };
    let mut parts = Parts {
        old_indexes: delta.removed_indexes.iter().copied().collect(),
        new_indexes: kept(INDEXES, "IndexName", &added),
        old_replicas: delta.removed_replicas.iter().copied().collect(),
        new_replicas: kept(REPLICAS, "Region", &new_replicas),
    };
    let mut states = Vec::new();
    if delta.has_others {
        states.push(state(before, after, &parts));
    }
    for name in &delta.removed_indexes {
        parts.old_indexes.remove(name);
        states.push(state(before, after, &parts));
    }
    for name in &delta.added_indexes {
        parts.new_indexes.insert(name);
        states.push(state(before, after, &parts));
    }
    for region in &delta.removed_replicas {
        parts.old_replicas.remove(region);
        states.push(state(before, after, &parts));
    }
    for region in &delta.added_replicas {
        parts.new_replicas.insert(region);
        states.push(state(before, after, &parts));
    }
    states
}

fn state(before: Resource<'_>, after: Resource<'_>, parts: &Parts<'_>) -> Map<String, Value> {
    let mut table = after.properties().clone();
    let indexes = choose(after, &parts.new_indexes, before, &parts.old_indexes, INDEXES, "IndexName");
    define_attributes(&mut table, before, &indexes);
    set(&mut table, INDEXES, indexes);
    let mut replicas = choose(after, &parts.new_replicas, before, &parts.old_replicas, REPLICAS, "Region");
    for replica in &mut replicas {
        let old = items(before, REPLICAS).find(|old| old["Region"] == replica["Region"]);
        settle_indexes(replica, old, parts);
    }
    set(&mut table, REPLICAS, replicas);
    table
}

/// Items of the new list that are there, in its order, then those of the old list that still are.
fn choose(
    after: Resource<'_>,
    new: &BTreeSet<&str>,
    before: Resource<'_>,
    old: &BTreeSet<&str>,
    property: &str,
    key: &str,
) -> Vec<Value> {
    let is_in = |names: &BTreeSet<&str>, item: &&Value| item[key].as_str().is_some_and(|name| names.contains(name));
    let chosen = items(after, property).filter(|item| is_in(new, item));
    chosen.chain(items(before, property).filter(|item| is_in(old, item))).cloned().collect()
}

/// A replica's settings of indexes, for the indexes that are there.
fn settle_indexes(replica: &mut Value, old: Option<&Value>, parts: &Parts<'_>) {
    let list = |replica: &Value, names: &BTreeSet<&str>| -> Vec<Value> {
        let items = replica.get(INDEXES).and_then(Value::as_array).into_iter().flatten();
        let is_there = |item: &&Value| item["IndexName"].as_str().is_some_and(|name| names.contains(name));
        items.filter(is_there).cloned().collect()
    };
    let mut settings = list(replica, &parts.new_indexes);
    settings.extend(old.map(|old| list(old, &parts.old_indexes)).unwrap_or_default());
    if let Some(replica) = replica.as_object_mut() {
        set(replica, INDEXES, settings);
    }
}

/// DynamoDB takes definitions of exactly the attributes that keys use.
fn define_attributes(table: &mut Map<String, Value>, before: Resource<'_>, indexes: &[Value]) {
    let mut used = BTreeSet::new();
    let keys = |holder: &Value, used: &mut BTreeSet<String>| {
        for key in holder.get("KeySchema").and_then(Value::as_array).into_iter().flatten() {
            used.extend(key["AttributeName"].as_str().map(str::to_owned));
        }
    };
    keys(&Value::Object(table.clone()), &mut used);
    for index in table.get("LocalSecondaryIndexes").and_then(Value::as_array).into_iter().flatten().chain(indexes) {
        keys(index, &mut used);
    }
    let new = table.get(ATTRIBUTES).and_then(Value::as_array).cloned().unwrap_or_default();
    let name = |definition: &Value| definition["AttributeName"].as_str().map(str::to_owned);
    let mut definitions: Vec<Value> = Vec::new();
    for definition in new.iter().chain(items(before, ATTRIBUTES)) {
        let is_used = name(definition).is_some_and(|name| used.remove(&name));
        if is_used {
            definitions.push(definition.clone());
        }
    }
    set(table, ATTRIBUTES, definitions);
}

fn set(map: &mut Map<String, Value>, property: &str, list: Vec<Value>) {
    if list.is_empty() {
        map.remove(property);
    } else {
        map.insert(property.to_owned(), Value::Array(list));
    }
}

fn items<'a>(table: Resource<'a>, property: &str) -> impl Iterator<Item = &'a Value> {
    table.at(property).and_then(Value::as_array).into_iter().flatten()
}

fn names<'a>(table: Resource<'a>, property: &str, key: &'static str) -> impl Iterator<Item = &'a str> {
    items(table, property).filter_map(move |item| item[key].as_str())
}
