//! A change in several updates, where AWS wants indexes and replicas of a table one at a time.
//!
//! Order within a table: other settings, removals of indexes, additions of indexes, removals of replicas, additions of
//! replicas. Tables go side by side. What isn't a table changes with the first update if indexes only go, so that
//! nobody uses them any more; and with the last one if indexes come, so that they are there before somebody uses them. Nothing
//! is removed before the last update.

mod table;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::references::{Target, each_reference};
use crate::tables::{delta, is_table};
use crate::template::Template;

/// Templates to deploy one after the other instead of `new` at once; the last one equals `new`.
///
/// One template where nothing has to be taken apart, also if a table's indexes or replicas aren't written out with
/// literal names. A replica that can't be removed at all stays the matter of the findings.
pub fn sequence(deployed: &Template, new: &Template) -> Vec<Template> {
    let mut tables: BTreeMap<&str, Vec<Map<String, Value>>> = BTreeMap::new();
    let mut adds_index = false;
    for (id, after) in new.resources().filter(|(_, resource)| is_table(*resource)) {
        let before = deployed.resource(id).filter(|before| before.type_name() == after.type_name());
        let Some((before, delta)) = before.and_then(|before| Some((before, delta(before, after)?))) else { continue };
        if !delta.is_one_step() {
            adds_index |= !delta.added_indexes.is_empty();
            tables.insert(id, table::states(before, after, &delta));
        }
    }
    let steps = tables.values().map(Vec::len).max().unwrap_or(1);
    let rest = if adds_index { Rest::Last } else { Rest::First };
    let mut templates = Vec::with_capacity(steps);
    for step in 0..steps.saturating_sub(1) {
        let states: BTreeMap<&str, &Map<String, Value>> =
            tables.iter().map(|(id, states)| (*id, &states[step.min(states.len() - 1)])).collect();
        let document = intermediate(deployed, new, &states, rest);
        templates.push(Template::new(document).expect("made of the resources of two templates"));
    }
    templates.push(new.clone());
    templates
}

/// When what isn't taken apart changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    First,
    Last,
}

/// Sections whose entries resources refer to. Both sides' entries are there as long as both sides' resources are.
const REFERRED: [&str; 3] = ["Conditions", "Mappings", "Parameters"];

fn intermediate<'a>(
    deployed: &Template,
    new: &'a Template,
    tables: &BTreeMap<&'a str, &Map<String, Value>>,
    rest: Rest,
) -> Value {
    let (base, other) = if rest == Rest::First { (new, deployed) } else { (deployed, new) };
    let mut document = base.document().clone();
    for section in REFERRED {
        let mut entries = deployed.section(section).clone();
        entries.extend(new.section(section).clone());
        if !entries.is_empty() {
            document[section] = Value::Object(entries);
        }
    }
    if rest == Rest::First {
        for section in ["Outputs", "Resources"] {
            for (name, entry) in other.section(section) {
                if base.section(section).get(name).is_none() {
                    document[section][name] = entry.clone();
                }
            }
        }
    }
    for (id, state) in tables {
        document["Resources"][*id]["Properties"] = Value::Object((*state).clone());
    }
    if rest == Rest::Last {
        let needed: BTreeSet<&str> = tables.keys().copied().collect();
        bring_along(&mut document, new, needed);
    }
    document
}

/// Adds new resources that the tables' new settings refer to, and what those refer to.
fn bring_along<'a>(document: &mut Value, new: &'a Template, mut open: BTreeSet<&'a str>) {
    let mut seen = open.clone();
    while let Some(id) = open.pop_first() {
        let Some((_, resource)) = new.section("Resources").get_key_value(id) else { continue };
        if document["Resources"].get(id).is_none() {
            document["Resources"][id] = resource.clone();
        }
        let mut refer = |name| {
            if seen.insert(name) {
                open.insert(name);
            }
        };
        let is_old = |name: &str| document["Resources"].get(name).is_some();
        each_reference(resource, &mut |target, _| {
            if let Target::Name(name) = target
                && !is_old(name)
            {
                refer(name);
            }
        });
        let depends = resource.get("DependsOn");
        let depends = depends
            .and_then(Value::as_array)
            .map_or_else(|| depends.into_iter().collect(), |list| list.iter().collect::<Vec<_>>());
        depends.into_iter().filter_map(Value::as_str).filter(|name| !is_old(name)).for_each(refer);
    }
}
