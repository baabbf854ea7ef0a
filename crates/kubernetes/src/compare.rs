//! In which of the fields that are ours an object differs from what it would be.
//!
//! What others own, what the cluster fills in and what it counts up is no difference: nobody here has said it.

mod reading;

use serde::Serialize;
use serde_json::Value;

use crate::fields::{Fields, Path, Step};
use crate::object::Key;

pub(crate) use reading::by_reading;

/// A field that changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FieldChange {
    /// The field: `spec.template.spec.containers[name=shop].image`.
    pub path: String,
    /// What it is; nothing if it isn't set.
    pub before: Option<Seen>,
    /// What it will be; nothing if it isn't set any more.
    pub after: Option<Seen>,
}

/// A value as it may be shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Seen {
    /// The value.
    Value(Value),
    /// There is one, and it must not be seen.
    Hidden,
}

/// How an object differs.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Difference {
    pub(crate) changes: Vec<FieldChange>,
    /// Whether somebody begins or ceases to own a field, even if no value changes.
    pub(crate) moves_ownership: bool,
}

impl Difference {
    pub(crate) fn is_none(&self) -> bool {
        self.changes.is_empty() && !self.moves_ownership
    }
}

/// Compares an object with the cluster's answer to what would become of it.
pub(crate) fn by_dry_run(key: &Key, live: &Value, tried: &Value, manager: &str) -> Difference {
    let (before, after) = (Fields::applied_by(live, manager), Fields::applied_by(tried, manager));
    let moves_ownership = before != after;
    let mut ours = before;
    ours.add(after);
    let mut found = Found::of(key);
    walk(&ours, Some(live), Some(tried), &Path::default(), &mut found);
    Difference { changes: found.changes, moves_ownership }
}

/// Changes while they are collected.
struct Found {
    changes: Vec<FieldChange>,
    is_secret: bool,
}

impl Found {
    fn of(key: &Key) -> Self {
        Self { changes: Vec::new(), is_secret: key.is_secret() }
    }

    fn push(&mut self, path: &Path, before: Option<Value>, after: Option<Value>) {
        let path = path.to_string();
        let is_hidden = self.is_secret && (path == "data" || path.starts_with("data.") || path.starts_with("data["));
        let seen = |value| if is_hidden { Seen::Hidden } else { Seen::Value(value) };
        self.changes.push(FieldChange { path, before: before.map(seen), after: after.map(seen) });
    }
}

fn walk(ours: &Fields, live: Option<&Value>, tried: Option<&Value>, path: &Path, found: &mut Found) {
    if live == tried {
        return;
    }
    let (Some(before), Some(after)) = (live, tried) else {
        // What comes or goes as a whole is said once, with what of it is ours.
        found.push(path, live.map(|value| ours.cut(value)), tried.map(|value| ours.cut(value)));
        return;
    };
    if ours.is_leaf() {
        found.push(path, Some(before.clone()), Some(after.clone()));
        return;
    }
    for (step, below) in ours.below() {
        walk(below, step.find(before), step.find(after), &path.then(step), found);
    }
}

/// What of an object is ours, to tell later whether that has changed.
pub(crate) fn ours(live: &Value, manager: &str) -> Option<Value> {
    let own = Fields::applied_by(live, manager);
    (!own.is_empty()).then(|| own.cut(live))
}

/// A step to a field.
fn field(name: &str) -> Step {
    Step::Field(name.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key() -> Key {
        "apps/Deployment/web/shop".parse().unwrap()
    }

    fn managed(mut object: Value, owned: &Value) -> Value {
        object["metadata"]["managedFields"] =
            json!([{"manager": "me", "operation": "Apply", "apiVersion": "apps/v1", "fieldsV1": owned}]);
        object
    }

    fn texts(difference: &Difference) -> Vec<String> {
        let shown = |seen: &Option<Seen>| match seen {
            Some(Seen::Value(value)) => value.to_string(),
            Some(Seen::Hidden) => "(hidden)".to_owned(),
            None => "-".to_owned(),
        };
        let changes = difference.changes.iter();
        changes.map(|change| format!("{} {} {}", change.path, shown(&change.before), shown(&change.after))).collect()
    }

    #[test]
    fn what_is_not_ours_makes_no_difference() {
        let owned = json!({"f:spec": {"f:paused": {}}});
        let live = managed(json!({"spec": {"paused": false, "replicas": 3}, "status": {"n": 1}}), &owned);
        let tried = managed(json!({"spec": {"paused": false, "replicas": 4}, "status": {"n": 2}}), &owned);
        assert!(by_dry_run(&key(), &live, &tried, "me").is_none());
    }

    #[test]
    fn changes_are_named_to_the_leaf() {
        let owned = |more: &Value| json!({"f:spec": {"f:containers": more}});
        let shop = json!({".": {}, "f:name": {}, "f:image": {}});
        let live = managed(
            json!({"spec": {"containers": [{"name": "shop", "image": "shop:1", "tty": false}, {"name": "log", "x": 1}]}}),
            &owned(&json!({"k:{\"name\":\"shop\"}": shop, "k:{\"name\":\"log\"}": {".": {}, "f:name": {}}})),
        );
        let tried = managed(
            json!({"spec": {"containers": [{"name": "shop", "image": "shop:2", "tty": false}, {"name": "new", "y": 1}]}}),
            &owned(&json!({"k:{\"name\":\"shop\"}": shop, "k:{\"name\":\"new\"}": {".": {}, "f:name": {}}})),
        );
        let difference = by_dry_run(&key(), &live, &tried, "me");
        assert_eq!(
            texts(&difference),
            [
                "spec.containers[name=log] {\"name\":\"log\"} -",
                "spec.containers[name=new] - {\"name\":\"new\"}",
                "spec.containers[name=shop].image \"shop:1\" \"shop:2\"",
            ]
        );
        assert!(difference.moves_ownership);
    }

    #[test]
    fn taking_what_is_already_so_changes_only_whose_it_is() {
        let object = json!({"spec": {"paused": false}});
        let tried = managed(object.clone(), &json!({"f:spec": {"f:paused": {}}}));
        let difference = by_dry_run(&key(), &object, &tried, "me");
        assert_eq!((texts(&difference), difference.moves_ownership), (Vec::new(), true));
    }

    #[test]
    fn values_of_secrets_are_not_shown() {
        let key = "/Secret/web/keys".parse().unwrap();
        let owned = json!({"f:data": {"f:password": {}}, "f:metadata": {"f:labels": {"f:a": {}}}});
        let live = managed(json!({"data": {"password": "b2xk"}, "metadata": {"labels": {"a": "1"}}}), &owned);
        let tried = managed(json!({"data": {"password": "bmV3"}, "metadata": {"labels": {"a": "2"}}}), &owned);
        let difference = by_dry_run(&key, &live, &tried, "me");
        assert_eq!(texts(&difference), ["data.password (hidden) (hidden)", "metadata.labels.a \"1\" \"2\""]);
        let gone = by_dry_run(&key, &live, &json!({"metadata": {"labels": {"a": "1"}}}), "me");
        assert_eq!(texts(&gone), ["data (hidden) -"]);
    }
}
