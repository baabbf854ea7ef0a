//! The same comparison for who may only read, so that the cluster can't be asked what would become of an object.
//!
//! What shall be is held against what is, with the owned fields as the only schema. Two things are guessed: that the
//! cluster keeps a value as it is written (`1000m` becomes `1`), and that it fills in nothing of what we own as a whole.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Difference, Found, field};
use crate::fields::{Fields, Path, Step};
use crate::object::Key;

/// Compares an object with what it shall be.
pub(crate) fn by_reading(key: &Key, live: &Value, wanted: &Value, manager: &str) -> Difference {
    let own = Fields::applied_by(live, manager);
    let others = Fields::of_others(live, manager);
    let mut reader = Reader { found: Found::of(key), moves_ownership: false };
    let top = Some(&own);
    for (name, wanted) in wanted.as_object().into_iter().flatten() {
        // What names the object isn't owned by anybody.
        if !matches!(name.as_str(), "apiVersion" | "kind") {
            let step = field(name);
            reader.walk(top.and_then(|own| own.field(name)), others.field(name), live.get(name), Some(wanted), &step);
        }
    }
    for (step, below) in own.below() {
        if step.find(wanted).is_none() {
            reader.walk(Some(below), None, step.find(live), None, step);
        }
    }
    let Reader { found, moves_ownership } = reader;
    Difference { changes: found.changes, moves_ownership }
}

struct Reader {
    found: Found,
    moves_ownership: bool,
}

impl Reader {
    fn walk(
        &mut self,
        own: Option<&Fields>,
        others: Option<&Fields>,
        live: Option<&Value>,
        wanted: Option<&Value>,
        step: &Step,
    ) {
        self.at(&Path::default().then(step), own, others, live, wanted);
    }

    fn at(
        &mut self,
        path: &Path,
        own: Option<&Fields>,
        others: Option<&Fields>,
        live: Option<&Value>,
        wanted: Option<&Value>,
    ) {
        match (live, wanted) {
            (None, None) => {}
            (None, Some(wanted)) if is_nothing(wanted) => {}
            (None, Some(wanted)) => self.found.push(path, None, Some(wanted.clone())),
            // Not said any more. It goes, unless somebody else says it too.
            (Some(live), None) => {
                self.moves_ownership = true;
                if others.is_none() {
                    self.found.push(path, own.map(|own| own.cut(live)), None);
                }
            }
            (Some(Value::Object(live_fields)), Some(Value::Object(wanted_fields)))
                if !own.is_some_and(Fields::is_leaf) =>
            {
                let owned = own.into_iter().flat_map(Fields::below);
                let mut names: BTreeSet<&str> = wanted_fields.keys().map(String::as_str).collect();
                names.extend(
                    owned.filter_map(|(step, _)| if let Step::Field(name) = step { Some(name.as_str()) } else { None }),
                );
                for name in names {
                    // What names the object isn't owned by anybody.
                    if path.to_string() == "metadata" && matches!(name, "name" | "namespace") {
                        continue;
                    }
                    let below = |fields: Option<&Fields>| fields.and_then(|fields| fields.field(name)).cloned();
                    let (own, others) = (below(own), below(others));
                    let (live, wanted) = (live_fields.get(name), wanted_fields.get(name));
                    self.at(&path.then(&field(name)), own.as_ref(), others.as_ref(), live, wanted);
                }
            }
            (Some(live @ Value::Array(_)), Some(wanted @ Value::Array(items))) if !own.is_some_and(Fields::is_leaf) => {
                self.items(path, own, others, live, wanted, items);
            }
            (Some(live), Some(wanted)) if holds(live, wanted) => self.moves_ownership |= own.is_none(),
            (Some(live), Some(wanted)) => self.found.push(path, Some(live.clone()), Some(wanted.clone())),
        }
    }

    /// A list whose items are owned one by one, or one of which nothing is owned yet.
    fn items(
        &mut self,
        path: &Path,
        own: Option<&Fields>,
        others: Option<&Fields>,
        live: &Value,
        wanted: &Value,
        items: &[Value],
    ) {
        let known = own.into_iter().chain(others).flat_map(Fields::below).map(|(step, _)| step).next();
        let step_of = |item: &Value| match known {
            Some(known @ Step::Keyed(_)) => Step::keyed_like(known, item),
            Some(Step::Item(_)) => Some(Step::item(item)),
            _ => None,
        };
        let steps: Option<Vec<Step>> = items.iter().map(step_of).collect();
        let Some(steps) = steps else {
            match holds(live, wanted) {
                true => self.moves_ownership |= own.is_none(),
                false => self.found.push(path, Some(live.clone()), Some(wanted.clone())),
            }
            return;
        };
        let below = |fields: Option<&Fields>, step: &Step| {
            fields.and_then(|fields| fields.below().find(|(one, _)| *one == step)).map(|(_, below)| below.clone())
        };
        let gone = own.into_iter().flat_map(Fields::below).map(|(step, _)| step).filter(|step| !steps.contains(step));
        for step in steps.iter().chain(gone) {
            let (own, others) = (below(own, step), below(others, step));
            self.at(&path.then(step), own.as_ref(), others.as_ref(), step.find(live), step.find(wanted));
        }
    }
}

/// Whether what is has everything that is wanted; it may have more, which the cluster has filled in.
fn holds(live: &Value, wanted: &Value) -> bool {
    match (live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => wanted
            .iter()
            .all(|(name, wanted)| live.get(name).map_or_else(|| is_nothing(wanted), |live| holds(live, wanted))),
        (Value::Array(live), Value::Array(wanted)) => {
            live.len() == wanted.len() && live.iter().zip(wanted).all(|(live, wanted)| holds(live, wanted))
        }
        (live, wanted) => live == wanted,
    }
}

/// What a cluster doesn't keep.
fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(fields) => fields.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(mut live: Value, owned: &Value, others: &Value, wanted: &Value) -> (Vec<String>, bool) {
        live["metadata"]["managedFields"] = json!([
            {"manager": "me", "operation": "Apply", "fieldsV1": owned},
            {"manager": "you", "operation": "Update", "fieldsV1": others},
        ]);
        let key = "apps/Deployment/web/shop".parse().unwrap();
        let Difference { changes, moves_ownership } = by_reading(&key, &live, wanted, "me");
        (changes.into_iter().map(|change| change.path).collect(), moves_ownership)
    }

    #[test]
    fn what_is_as_wanted_is_no_difference() {
        let wanted = json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "shop", "namespace": "web"},
            "spec": {
                "selector": {"matchLabels": {"app": "shop"}},
                "ports": [{"port": 80}], "args": ["a"], "empty": {}, "containers": [{"name": "shop", "image": "shop:1"}],
            },
        });
        let live = json!({
            "metadata": {"name": "shop", "namespace": "web", "uid": "1"},
            "spec": {
                "selector": {"matchLabels": {"app": "shop"}}, "replicas": 3, "args": ["a"],
                "ports": [{"port": 80, "protocol": "TCP"}],
                "containers": [{"name": "side"}, {"name": "shop", "image": "shop:1", "tty": false}],
            },
            "status": {"replicas": 3},
        });
        let container = json!({".": {}, "f:name": {}, "f:image": {}});
        let owned = json!({"f:spec": {
            "f:selector": {}, "f:ports": {}, "f:args": {}, "f:empty": {},
            "f:containers": {"k:{\"name\":\"shop\"}": container},
        }});
        let others = json!({"f:spec": {"f:replicas": {}, "f:containers": {"k:{\"name\":\"side\"}": {".": {}}}}});
        assert_eq!(check(live, &owned, &others, &wanted), (Vec::new(), false));
    }

    #[test]
    fn what_changes_comes_and_goes_is_named() {
        let wanted =
            json!({"spec": {"containers": [{"name": "shop", "image": "shop:2"}, {"name": "new"}], "paused": true}});
        let live = json!({"spec": {
            "containers": [{"name": "shop", "image": "shop:1", "tty": true}, {"name": "old", "image": "x"}],
            "strategy": "fast", "replicas": 3,
        }});
        let container = json!({".": {}, "f:name": {}, "f:image": {}});
        let owned = json!({"f:spec": {
            "f:strategy": {}, "f:replicas": {},
            "f:containers": {"k:{\"name\":\"shop\"}": container, "k:{\"name\":\"old\"}": container},
        }});
        let (paths, moves) = check(live, &owned, &json!({"f:spec": {"f:replicas": {}}}), &wanted);
        assert_eq!(
            paths,
            [
                "spec.containers[name=shop].image",
                "spec.containers[name=new]",
                "spec.containers[name=old]",
                "spec.paused",
                "spec.strategy",
            ],
            "others still say how many replicas there are"
        );
        assert!(moves);
    }

    #[test]
    fn what_others_made_alike_only_changes_whose_it_is() {
        let object = json!({"metadata": {"labels": {"app": "shop"}}, "spec": {"ports": [{"port": 80}]}});
        let others = json!({"f:metadata": {"f:labels": {"f:app": {}}}, "f:spec": {"f:ports": {"k:{\"port\":80}": {}}}});
        assert_eq!(check(object.clone(), &json!({}), &others, &object), (Vec::new(), true));
    }
}
