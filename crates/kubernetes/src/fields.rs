//! Who owns which fields of an object, as `metadata.managedFields` says it, and what those fields hold.
//!
//! The cluster writes a tree whose names begin with what they are: `f:name` is a field, `k:{"name":"shop"}` the item of a
//! list with that key, `v:"x"` an item that is its own key, `i:0` one by its place, and `.` says that the part as a whole
//! is owned. So a value can be found and cut out without knowing the kind's schema.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};

/// Owned fields: for each step the fields below it. One with nothing below is owned with all that it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(BTreeMap<Step, Self>);

/// One step into an object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// The part itself.
    Whole,
    /// A field.
    Field(String),
    /// The item of a list that has these values.
    Keyed(Vec<(String, Scalar)>),
    /// The item of a list that is this value.
    Item(Scalar),
    /// The item of a list at a place.
    At(usize),
}

/// A simple value as its JSON text, which has an order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Scalar(String);

impl Scalar {
    fn of(value: &Value) -> Self {
        Self(value.to_string())
    }

    fn is(&self, value: &Value) -> bool {
        *self == Self::of(value)
    }
}

impl Fields {
    /// The fields that `manager` has applied; none if it never did.
    pub(crate) fn applied_by(object: &Value, manager: &str) -> Self {
        let mut own = Self::default();
        for entry in entries(object) {
            let is_whole = entry["subresource"].as_str().unwrap_or_default().is_empty();
            if entry["manager"] == manager && entry["operation"] == "Apply" && is_whole {
                own.add(Self::read(&entry["fieldsV1"]));
            }
        }
        own
    }

    /// The fields of everybody but what `manager` has applied.
    pub(crate) fn of_others(object: &Value, manager: &str) -> Self {
        let mut others = Self::default();
        for entry in entries(object) {
            if entry["manager"] != manager || entry["operation"] != "Apply" {
                others.add(Self::read(&entry["fieldsV1"]));
            }
        }
        others
    }

    /// Reads a tree; what has no known form is left out.
    pub(crate) fn read(tree: &Value) -> Self {
        let below = tree.as_object().into_iter().flatten();
        Self(below.filter_map(|(name, tree)| Some((Step::read(name)?, Self::read(tree)))).collect())
    }

    /// Whether nothing is owned, or nothing below.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the part is owned with all that it holds.
    pub(crate) fn is_leaf(&self) -> bool {
        self.0.keys().all(|step| *step == Step::Whole)
    }

    /// The steps below but the part itself.
    pub(crate) fn below(&self) -> impl Iterator<Item = (&Step, &Self)> {
        self.0.iter().filter(|(step, _)| **step != Step::Whole)
    }

    /// The fields below a field.
    pub(crate) fn field(&self, name: &str) -> Option<&Self> {
        self.0.get(&Step::Field(name.to_owned()))
    }

    /// Takes over the fields of others.
    pub(crate) fn add(&mut self, other: Self) {
        for (step, below) in other.0 {
            self.0.entry(step).or_default().add(below);
        }
    }

    /// The part of a value that these fields are.
    pub(crate) fn cut(&self, value: &Value) -> Value {
        if self.is_leaf() {
            return value.clone();
        }
        match value {
            Value::Object(_) => {
                let fields = self.below().filter_map(|(step, below)| match step {
                    Step::Field(name) => Some((name.clone(), below.cut(step.find(value)?))),
                    _ => None,
                });
                Value::Object(fields.collect::<Map<String, Value>>())
            }
            Value::Array(_) => {
                let items = self.below().filter_map(|(step, below)| step.find(value).map(|item| below.cut(item)));
                Value::Array(items.collect())
            }
            other => other.clone(),
        }
    }
}

fn entries(object: &Value) -> impl Iterator<Item = &Value> {
    object["metadata"]["managedFields"].as_array().into_iter().flatten()
}

impl Step {
    fn read(text: &str) -> Option<Self> {
        if text == "." {
            return Some(Self::Whole);
        }
        let (form, rest) = text.split_once(':')?;
        match form {
            "f" => Some(Self::Field(rest.to_owned())),
            "k" => {
                let key: BTreeMap<String, Value> = serde_json::from_str(rest).ok()?;
                Some(Self::Keyed(key.iter().map(|(name, value)| (name.clone(), Scalar::of(value))).collect()))
            }
            "v" => serde_json::from_str::<Value>(rest).ok().map(|value| Self::Item(Scalar::of(&value))),
            "i" => rest.parse().ok().map(Self::At),
            _ => None,
        }
    }

    /// The key of an item, made of the fields that another item of its list has as key.
    pub(crate) fn keyed_like(other: &Self, item: &Value) -> Option<Self> {
        let Self::Keyed(names) = other else { return None };
        let key = names.iter().map(|(name, _)| Some((name.clone(), Scalar::of(item.get(name)?))));
        key.collect::<Option<Vec<_>>>().map(Self::Keyed)
    }

    /// The key of an item that is its own key.
    pub(crate) fn item(value: &Value) -> Self {
        Self::Item(Scalar::of(value))
    }

    /// What the step leads to.
    pub(crate) fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        match self {
            Self::Whole => Some(value),
            Self::Field(name) => value.get(name),
            Self::Keyed(key) => {
                let has = |item: &&Value| key.iter().all(|(name, text)| item.get(name).is_some_and(|one| text.is(one)));
                value.as_array()?.iter().find(has)
            }
            Self::Item(text) => value.as_array()?.iter().find(|item| text.is(item)),
            Self::At(place) => value.as_array()?.get(*place),
        }
    }
}

/// A way into an object, for people: `spec.containers[name=shop].image`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path(String);

impl Path {
    pub(crate) fn then(&self, step: &Step) -> Self {
        let Self(path) = self;
        Self(match step {
            Step::Whole => path.clone(),
            Step::Field(name) if name.contains(['.', '/', '[', '"']) => format!("{path}[\"{name}\"]"),
            Step::Field(name) if path.is_empty() => name.clone(),
            Step::Field(name) => format!("{path}.{name}"),
            Step::Keyed(key) => {
                let key: Vec<String> =
                    key.iter().map(|(name, Scalar(value))| format!("{name}={}", value.trim_matches('"'))).collect();
                format!("{path}[{}]", key.join(","))
            }
            Step::Item(Scalar(value)) => format!("{path}[={value}]"),
            Step::At(place) => format!("{path}[{place}]"),
        })
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object() -> Value {
        json!({
            "metadata": {"finalizers": ["a", "b"], "labels": {"app": "shop", "other": "x"}, "managedFields": [
                {"manager": "me", "operation": "Apply", "apiVersion": "apps/v1", "fieldsV1": {
                    "f:metadata": {"f:labels": {"f:app": {}}, "f:finalizers": {"v:\"b\"": {}}},
                    "f:spec": {
                        "f:selector": {},
                        "f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}": {".": {}, "f:port": {}}},
                    },
                }},
                {"manager": "me", "operation": "Apply", "subresource": "status", "fieldsV1": {"f:status": {}}},
                {"manager": "me", "operation": "Update", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
                {"manager": "you", "operation": "Apply", "fieldsV1": {"f:spec": {"f:paused": {}}}},
            ]},
            "spec": {
                "selector": {"a": [1, 2]},
                "ports": [{"port": 90, "protocol": "TCP"}, {"port": 80, "protocol": "TCP", "name": "web"}],
                "replicas": 3,
            },
        })
    }

    #[test]
    fn what_is_owned_can_be_cut_out() {
        let own = Fields::applied_by(&object(), "me");
        let expected = json!({
            "metadata": {"finalizers": ["b"], "labels": {"app": "shop"}},
            "spec": {"selector": {"a": [1, 2]}, "ports": [{"port": 80}]},
        });
        assert_eq!(own.cut(&object()), expected);
        assert!(Fields::applied_by(&object(), "nobody").is_empty());
    }

    #[test]
    fn what_the_same_manager_has_updated_is_apart_from_what_it_applied() {
        let others = Fields::of_others(&object(), "me");
        assert_eq!(others, Fields::read(&json!({"f:spec": {"f:replicas": {}, "f:paused": {}}})));
    }

    #[test]
    fn ways_are_written_for_people() {
        let way = |steps: &[&str]| {
            steps.iter().fold(Path::default(), |path, step| path.then(&Step::read(step).unwrap())).to_string()
        };
        let ports = "k:{\"containerPort\":8080,\"protocol\":\"TCP\"}";
        for (steps, expected) in [
            (vec!["f:spec", "f:replicas"], "spec.replicas"),
            (vec!["f:spec", "f:ports", ports, "f:name"], "spec.ports[containerPort=8080,protocol=TCP].name"),
            (vec!["f:metadata", "f:annotations", "f:a.io/b"], "metadata.annotations[\"a.io/b\"]"),
            (vec!["f:metadata", "f:finalizers", "v:\"b\""], "metadata.finalizers[=\"b\"]"),
            (vec!["f:args", "i:2", "."], "args[2]"),
        ] {
            assert_eq!(way(&steps), expected);
        }
        assert_eq!(Step::read("x:y"), None);
        assert_eq!(Step::read("k:no json"), None);
    }
}
