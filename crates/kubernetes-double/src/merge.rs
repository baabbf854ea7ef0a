//! Server-side apply: who owns what, what conflicts, and what comes of it.

use serde_json::{Map, Value, json};

use crate::paths::{Set, Way, at, is, keyed, read, remove, set_of, shown, tree};
use crate::schema::{List, Place};

/// One entry of `managedFields`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Owner {
    pub(crate) manager: String,
    pub(crate) operation: &'static str,
    pub(crate) api_version: String,
    pub(crate) subresource: String,
    pub(crate) set: Set,
}

/// A field that somebody else owns.
pub(crate) struct Clash {
    way: Way,
    owner: Owner,
}

impl Clash {
    /// The field, as a refusal names it.
    pub(crate) fn field(&self) -> String {
        shown(&self.way)
    }

    /// The owner, as a refusal names them.
    pub(crate) fn with(&self) -> String {
        let Owner { manager, operation, api_version, subresource, .. } = &self.owner;
        let mut text = format!("{manager:?}");
        if !subresource.is_empty() {
            text.push_str(&format!(" with subresource {subresource:?}"));
        }
        if *operation == "Update" {
            text.push_str(&format!(" using {api_version}"));
        }
        text
    }
}

/// What `managedFields` says.
pub(crate) fn owners(object: &Value) -> Vec<Owner> {
    let entries = object["metadata"]["managedFields"].as_array().into_iter().flatten();
    let owner = |entry: &Value| Owner {
        manager: entry["manager"].as_str().unwrap_or_default().to_owned(),
        operation: if entry["operation"] == "Apply" { "Apply" } else { "Update" },
        api_version: entry["apiVersion"].as_str().unwrap_or_default().to_owned(),
        subresource: entry["subresource"].as_str().unwrap_or_default().to_owned(),
        set: read(&entry["fieldsV1"]),
    };
    entries.map(owner).collect()
}

/// Writes `managedFields`.
pub(crate) fn set_owners(object: &mut Value, owners: &[Owner]) {
    let entries = owners.iter().filter(|owner| !owner.set.is_empty()).map(|owner| {
        let mut entry = json!({
            "manager": owner.manager, "operation": owner.operation, "apiVersion": owner.api_version,
            "time": "2026-12-01T10:00:00Z", "fieldsType": "FieldsV1", "fieldsV1": tree(&owner.set),
        });
        if !owner.subresource.is_empty() {
            entry["subresource"] = json!(owner.subresource);
        }
        entry
    });
    object["metadata"]["managedFields"] = entries.collect();
}

/// Applies `config` on what is there. Gives the object with its new owners, or what others own.
pub(crate) fn apply(live: Option<&Value>, config: &Value, manager: &str, force: bool) -> Result<Value, Vec<Clash>> {
    let new = set_of(config);
    let nothing = json!({});
    let live_value = live.unwrap_or(&nothing);
    let mut all = owners(live_value);
    let is_mine =
        |owner: &Owner| owner.manager == manager && owner.operation == "Apply" && owner.subresource.is_empty();
    let last = all.iter().find(|owner| is_mine(owner)).map(|owner| owner.set.clone()).unwrap_or_default();
    let changes = |way: &Way| !is_item(way) && at(live_value, way) != at(config, way);
    let clashes: Vec<Clash> = all
        .iter()
        .filter(|owner| !is_mine(owner))
        .flat_map(|owner| {
            let clash = |way: &&Way| owner.set.contains(*way) && changes(way);
            new.iter().filter(clash).map(|way| Clash { way: way.clone(), owner: owner.clone() }).collect::<Vec<_>>()
        })
        .collect();
    if !clashes.is_empty() && !force {
        return Err(clashes);
    }
    for clash in &clashes {
        for owner in all.iter_mut().filter(|owner| **owner == clash.owner || owner.manager == clash.owner.manager) {
            if !is_mine(owner) {
                owner.set.remove(&clash.way);
            }
        }
    }
    let mut merged = match live {
        Some(live) => merged(live, config, Place::of(config)),
        None => config.clone(),
    };
    // What was said earlier and isn't any more goes, unless somebody else says it.
    let others: Set = all.iter().filter(|owner| !is_mine(owner)).flat_map(|owner| owner.set.clone()).collect();
    let gone: Vec<&Way> = last.difference(&new).filter(|way| !others.contains(*way)).collect();
    // An item goes before its parts: its key is one of them.
    for way in gone {
        let is_needed = new.iter().chain(&others).any(|other| other.starts_with(way));
        if !is_needed {
            remove(&mut merged, way);
        }
    }
    all.retain(|owner| !is_mine(owner));
    all.push(Owner {
        manager: manager.to_owned(),
        operation: "Apply",
        api_version: config["apiVersion"].as_str().unwrap_or_default().to_owned(),
        subresource: String::new(),
        set: new,
    });
    set_owners(&mut merged, &all);
    Ok(merged)
}

/// Whether it leads to an item of a list, which is owned by itself.
fn is_item(way: &Way) -> bool {
    way.last().is_some_and(|part| part.starts_with("k:") || part.starts_with("v:"))
}

fn merged(live: &Value, config: &Value, place: Place<'_>) -> Value {
    match (live, config) {
        (Value::Object(live), Value::Object(config)) if !place.is_atomic() => {
            let mut fields: Map<String, Value> = live.clone();
            for (name, value) in config.iter().filter(|(_, value)| !value.is_null()) {
                let below = match live.get(name) {
                    Some(live) => merged(live, value, place.then(name)),
                    None => value.clone(),
                };
                fields.insert(name.clone(), below);
            }
            Value::Object(fields)
        }
        (Value::Array(live), Value::Array(config)) => match place.list() {
            List::Atomic => Value::Array(config.clone()),
            List::Set => {
                let new = config.iter().filter(|item| !live.contains(item));
                Value::Array(live.iter().chain(new).cloned().collect())
            }
            List::Map(keys) => {
                let mut items = live.clone();
                for item in config {
                    let key = keyed(item, keys);
                    match items.iter_mut().find(|known| is(known, &key)) {
                        Some(known) => *known = merged(known, item, place),
                        None => items.push(item.clone()),
                    }
                }
                Value::Array(items)
            }
        },
        (_, config) => config.clone(),
    }
}

/// Whose fields are what after `manager` has written `new` over `live` in any other way than by applying.
pub(crate) fn update(live: Option<&Value>, new: &mut Value, manager: &str, subresource: &str) {
    let nothing = json!({});
    let live_value = live.unwrap_or(&nothing);
    let mut all = owners(live_value);
    let (before, after) = (set_of(live_value), set_of(new));
    let is_changed = |way: &&Way| match is_item(way) {
        true => at(live_value, way).is_none(),
        false => at(live_value, way) != at(new, way),
    };
    let changed: Set = after.iter().filter(is_changed).cloned().collect();
    let gone: Set = before.difference(&after).cloned().collect();
    for owner in &mut all {
        owner.set.retain(|way| !changed.contains(way) && !gone.contains(way));
    }
    let api_version = new["apiVersion"].as_str().unwrap_or_default().to_owned();
    let is_same = |owner: &&mut Owner| {
        owner.manager == manager && owner.operation == "Update" && owner.subresource == subresource
    };
    match all.iter_mut().find(is_same) {
        Some(owner) => owner.set.extend(changed),
        None => all.push(Owner {
            manager: manager.to_owned(),
            operation: "Update",
            api_version,
            subresource: subresource.to_owned(),
            set: changed,
        }),
    }
    set_owners(new, &all);
}
