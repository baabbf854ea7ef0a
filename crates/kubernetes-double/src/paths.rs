//! Sets of fields, and what is at them: an account of its own of what structured-merge-diff calls fields and paths, so that a
//! misreading in the code under test isn't shared here.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::schema::{List, Place};

/// A way to a field, in the words of `managedFields`: `f:spec`, `k:{"name":"shop"}`, `v:"x"`.
pub(crate) type Way = Vec<String>;

/// The fields that somebody owns.
pub(crate) type Set = BTreeSet<Way>;

/// Fields of `metadata` that nobody owns.
const UNOWNED: [&str; 8] = [
    "creationTimestamp",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "name",
    "namespace",
    "resourceVersion",
    "uid",
];

/// Every field that an object sets.
pub(crate) fn set_of(object: &Value) -> Set {
    let mut set = Set::new();
    walk(object, Place::of(object), &mut Vec::new(), &mut set);
    set
}

fn walk(value: &Value, place: Place<'_>, way: &mut Way, set: &mut Set) {
    let mut step = |part: String, value: &Value, place: Place<'_>, set: &mut Set| {
        way.push(part);
        walk(value, place, way, set);
        way.pop();
    };
    match value {
        Value::Object(fields) if !fields.is_empty() && !place.is_atomic() => {
            for (name, value) in fields {
                let is_unowned = match place.path() {
                    [] => matches!(name.as_str(), "apiVersion" | "kind"),
                    ["metadata"] => UNOWNED.contains(&name.as_str()),
                    _ => false,
                };
                if !is_unowned && !value.is_null() {
                    step(format!("f:{name}"), value, place.then(name), set);
                }
            }
        }
        Value::Array(items) if !items.is_empty() => match place.list() {
            List::Atomic => drop(set.insert(way.clone())),
            List::Set => items.iter().for_each(|item| {
                let mut way = way.clone();
                way.push(format!("v:{item}"));
                set.insert(way);
            }),
            List::Map(keys) => {
                for item in items {
                    let part = keyed(item, keys);
                    let mut whole = way.clone();
                    whole.push(part.clone());
                    set.insert(whole);
                    way.push(part);
                    walk(item, place, way, set);
                    way.pop();
                }
            }
        },
        _ if way.is_empty() || *way == ["f:metadata"] => {}
        _ => drop(set.insert(way.clone())),
    }
}

/// The key of an item: its key fields in the order of the alphabet. The one that the schema has a default for may be left out.
pub(crate) fn keyed(item: &Value, keys: &[&str]) -> String {
    let value = |key: &str| match &item[key] {
        Value::Null if key == "protocol" => json!("TCP"),
        value => value.clone(),
    };
    let key: Map<String, Value> = keys.iter().map(|key| ((*key).to_owned(), value(key))).collect();
    format!("k:{}", Value::Object(key))
}

/// What is there.
pub(crate) fn at<'v>(value: &'v Value, way: &[String]) -> Option<&'v Value> {
    way.iter().try_fold(value, |value, part| match part.split_once(':') {
        Some(("f", name)) => value.get(name),
        _ => value.as_array()?.iter().find(|item| is(item, part)),
    })
}

/// Whether an item is the one that is named.
pub(crate) fn is(item: &Value, part: &str) -> bool {
    match part.split_once(':') {
        Some(("k", key)) => {
            let key: Map<String, Value> = serde_json::from_str(key).expect("a key was written here");
            let names: Vec<&str> = key.keys().map(String::as_str).collect();
            keyed(item, &names) == part
        }
        Some(("v", text)) => serde_json::from_str::<Value>(text).is_ok_and(|value| *item == value),
        _ => false,
    }
}

/// Takes away what is there, and what is empty then.
pub(crate) fn remove(value: &mut Value, way: &[String]) {
    let [part, rest @ ..] = way else { return };
    match (value, part.split_once(':')) {
        (Value::Object(fields), Some(("f", name))) => {
            if rest.is_empty() {
                fields.remove(name);
            } else if let Some(below) = fields.get_mut(name) {
                remove(below, rest);
                let is_empty =
                    below.as_object().is_some_and(Map::is_empty) || below.as_array().is_some_and(Vec::is_empty);
                if is_empty {
                    fields.remove(name);
                }
            }
        }
        (Value::Array(items), _) if rest.is_empty() => items.retain(|item| !is(item, part)),
        (Value::Array(items), _) => {
            if let Some(item) = items.iter_mut().find(|item| is(item, part)) {
                remove(item, rest);
            }
        }
        _ => {}
    }
}

/// A way as conflicts name it: `.spec.containers[name="shop"].image`.
pub(crate) fn shown(way: &[String]) -> String {
    let mut text = String::new();
    for part in way {
        match part.split_once(':') {
            Some(("f", name)) => text.push_str(&format!(".{name}")),
            Some(("k", key)) => {
                let key: Map<String, Value> = serde_json::from_str(key).expect("a key was written here");
                let key: Vec<String> = key.iter().map(|(name, value)| format!("{name}={value}")).collect();
                text.push_str(&format!("[{}]", key.join(",")));
            }
            Some((_, value)) => text.push_str(&format!("[={value}]")),
            None => {}
        }
    }
    text
}

/// The tree that `managedFields` holds.
pub(crate) fn tree(set: &Set) -> Value {
    let mut root = Map::new();
    for way in set {
        let mut node = &mut root;
        for part in way {
            let below = node.entry(part.clone()).or_insert_with(|| json!({}));
            node = below.as_object_mut().expect("only objects are put there");
        }
        node.insert(".".to_owned(), json!({}));
    }
    // What has nothing below is written without the dot.
    fn tidy(node: &mut Map<String, Value>) {
        for below in node.values_mut().filter_map(Value::as_object_mut) {
            if below.len() == 1 && below.contains_key(".") {
                below.clear();
            } else {
                tidy(below);
            }
        }
    }
    tidy(&mut root);
    Value::Object(root)
}

/// The set that a tree says.
pub(crate) fn read(tree: &Value) -> Set {
    fn walk(node: &Value, way: &mut Way, set: &mut Set) {
        let below = node.as_object().expect("a tree was written here");
        if below.is_empty() {
            set.insert(way.clone());
        }
        for (part, below) in below {
            if part == "." {
                set.insert(way.clone());
            } else {
                way.push(part.clone());
                walk(below, way, set);
                way.pop();
            }
        }
    }
    let mut set = Set::new();
    if tree.as_object().is_some_and(|tree| !tree.is_empty()) {
        walk(tree, &mut Vec::new(), &mut set);
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_as_the_api_writes_them() {
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "shop", "labels": {"app": "shop"}, "finalizers": ["x"]},
            "spec": {
                "selector": {"matchLabels": {"app": "shop"}},
                "template": {"spec": {
                    "nodeSelector": {"os": "linux"},
                    "containers": [{"name": "shop", "args": ["a"], "ports": [{"containerPort": 80, "protocol": "TCP"}]}],
                }},
            },
        });
        let expected = json!({
            "f:metadata": {"f:labels": {"f:app": {}}, "f:finalizers": {"v:\"x\"": {}}},
            "f:spec": {
                "f:selector": {},
                "f:template": {"f:spec": {
                    "f:nodeSelector": {},
                    "f:containers": {"k:{\"name\":\"shop\"}": {
                        ".": {}, "f:name": {}, "f:args": {},
                        "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}":
                                    {".": {}, "f:containerPort": {}, "f:protocol": {}}},
                    }},
                }},
            },
        });
        let set = set_of(&deployment);
        assert_eq!(tree(&set), expected);
        assert_eq!(read(&expected), set);
        let image: Way = ["f:spec", "f:template", "f:spec", "f:containers", "k:{\"name\":\"shop\"}", "f:args"]
            .map(str::to_owned)
            .into();
        assert_eq!(at(&deployment, &image), Some(&json!(["a"])));
        assert_eq!(shown(&image), ".spec.template.spec.containers[name=\"shop\"].args");
    }
}
