//! The cluster's state, and what each request does to it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::defaults::{changed_although_fixed, fill_in, unknown_field};
use crate::kinds::{Kind, defined, group_list, kinds, resource_list};
use crate::merge::{apply, owners, update};
use crate::request::{Query, Target};
use crate::rollout::Rollout;
use crate::status::Answer;

/// Group, plural, namespace, name.
pub(crate) type Place = (String, String, String, String);

/// Everything there is.
pub(crate) struct World {
    pub(crate) kinds: Vec<Kind>,
    pub(crate) objects: BTreeMap<Place, Value>,
    /// What becomes of deployments, by name; others are ready at the next look.
    pub(crate) rollouts: BTreeMap<String, Rollout>,
    /// Verbs that are refused, with the plural.
    pub(crate) forbidden: BTreeSet<(String, String)>,
    version: u64,
    made: u64,
}

impl Default for World {
    fn default() -> Self {
        Self {
            kinds: kinds(),
            objects: BTreeMap::new(),
            rollouts: BTreeMap::new(),
            forbidden: BTreeSet::new(),
            version: 100,
            made: 0,
        }
    }
}

/// A request about objects.
struct Asked<'a> {
    kind: Kind,
    namespace: String,
    name: String,
    query: &'a Query,
    body: &'a Value,
}

impl Asked<'_> {
    fn place(&self) -> Place {
        (self.kind.group.clone(), self.kind.plural.clone(), self.namespace.clone(), self.name.clone())
    }

    fn not_found(&self) -> Answer {
        Answer::not_found(&self.kind.group, &self.kind.plural, &self.name)
    }
}

impl World {
    /// Answers a request.
    pub(crate) fn answer(&mut self, method: &str, target: Target, query: &Query, body: &Value) -> Answer {
        let (group, version, namespace, plural, name) = match target {
            Target::Nothing => return Answer::no_address(),
            Target::Server => {
                return Answer::ok(json!({"major": "1", "minor": "34", "gitVersion": "v1.34.0", "gitCommit": "",
                                         "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "",
                                         "platform": ""}));
            }
            Target::Groups => return Answer::ok(group_list(&self.kinds)),
            Target::Version(version) => return self.kinds_of(&version),
            Target::Objects { group, version, namespace, plural, name } => (group, version, namespace, plural, name),
        };
        let served =
            self.kinds.iter().find(|kind| kind.group == group && kind.version == version && kind.plural == plural);
        let Some(kind) = served.cloned() else { return Answer::no_address() };
        let given = body["metadata"]["name"].as_str().map(str::to_owned);
        let is_list = name.is_none();
        let name = name.or(given).unwrap_or_default();
        let asked = Asked { kind, namespace: namespace.unwrap_or_default(), name, query, body };
        let verb = match (method, is_list) {
            ("GET", true) => "list",
            ("GET", false) => "get",
            ("POST", true) => "create",
            ("PUT", false) => "update",
            ("PATCH", false) => "patch",
            ("DELETE", false) => "delete",
            _ => return Answer::failure(405, "MethodNotAllowed", "the server does not allow this method", &json!({})),
        };
        if self.forbidden.contains(&(verb.to_owned(), plural.clone())) {
            return Answer::forbidden(&group, &plural, &asked.name, verb);
        }
        if matches!(verb, "create" | "patch") {
            let is_there = |name: &str| self.objects.contains_key(&place("", "namespaces", "", name));
            if asked.kind.is_namespaced && !is_there(&asked.namespace) {
                return Answer::not_found("", "namespaces", &asked.namespace);
            }
            if let Some(field) = unknown_field(body).filter(|_| verb == "patch") {
                let message = format!("strict decoding error: unknown field {field:?}");
                return Answer::failure(400, "BadRequest", &message, &json!({}));
            }
        }
        self.run_controllers();
        match verb {
            "list" => self.list(&asked),
            "get" => {
                self.objects.get(&asked.place()).map_or_else(|| asked.not_found(), |found| Answer::ok(found.clone()))
            }
            "create" => self.create(&asked),
            "update" => self.replace(&asked),
            "patch" => self.apply(&asked),
            _ => self.delete(&asked),
        }
    }

    fn kinds_of(&self, api_version: &str) -> Answer {
        let kinds: Vec<&Kind> = self.kinds.iter().filter(|kind| kind.api_version() == api_version).collect();
        if kinds.is_empty() { Answer::no_address() } else { Answer::ok(resource_list(api_version, &kinds)) }
    }

    fn list(&self, asked: &Asked<'_>) -> Answer {
        let (labels, fields) = (asked.query.get("labelSelector"), asked.query.get("fieldSelector"));
        let of_kind = self.objects.iter().filter(|((group, plural, namespace, _), _)| {
            *group == asked.kind.group
                && *plural == asked.kind.plural
                && (asked.namespace.is_empty() || *namespace == asked.namespace)
        });
        let items: Vec<&Value> = of_kind
            .map(|(_, object)| object)
            .filter(|object| has_labels(object, labels) && has_fields(object, fields))
            .collect();
        Answer::ok(json!({"kind": format!("{}List", asked.kind.kind), "apiVersion": asked.kind.api_version(),
                          "metadata": {"resourceVersion": self.version.to_string()}, "items": items}))
    }

    fn create(&mut self, asked: &Asked<'_>) -> Answer {
        if self.objects.contains_key(&asked.place()) {
            return Answer::already_exists(&asked.kind.group, &asked.kind.plural, &asked.name);
        }
        let mut new = asked.body.clone();
        fill_in(&mut new);
        update(None, &mut new, asked.query.get("fieldManager"), "");
        self.stamp(&mut new, None);
        self.keep(asked, new, 201)
    }

    fn replace(&mut self, asked: &Asked<'_>) -> Answer {
        let Some(live) = self.objects.get(&asked.place()).cloned() else { return asked.not_found() };
        let version = &asked.body["metadata"]["resourceVersion"];
        if !version.is_null() && *version != live["metadata"]["resourceVersion"] {
            let why = "the object has been modified; please apply your changes to the latest version and try again";
            return Answer::outdated(&asked.kind.group, &asked.kind.plural, &asked.name, why);
        }
        let mut new = asked.body.clone();
        fill_in(&mut new);
        self.written(asked, &live, new, "")
    }

    fn written(&mut self, asked: &Asked<'_>, live: &Value, mut new: Value, subresource: &str) -> Answer {
        let fixed = changed_although_fixed(live, &new);
        if !fixed.is_empty() {
            return Answer::invalid(&asked.kind.kind, &asked.name, &fixed);
        }
        update(Some(live), &mut new, asked.query.get("fieldManager"), subresource);
        self.stamp(&mut new, Some(live));
        self.keep(asked, new, 200)
    }

    fn apply(&mut self, asked: &Asked<'_>) -> Answer {
        let live = self.objects.get(&asked.place()).cloned();
        let mut config = asked.body.clone();
        let says = |field: &str| config[field].as_str().unwrap_or_default().to_owned();
        if (says("apiVersion"), says("kind")) != (asked.kind.api_version(), asked.kind.kind.clone()) {
            return Answer::failure(400, "BadRequest", "the object's kind isn't that of its address", &json!({}));
        }
        let manager = asked.query.get("fieldManager");
        if manager.is_empty() {
            return Answer::failure(
                422,
                "Invalid",
                "fieldManager: Required value: is required for apply patch",
                &json!({}),
            );
        }
        // Amounts are compared as the API writes them; the rest is filled in afterwards and belongs to nobody.
        let mut canonical = config.clone();
        fill_in(&mut canonical);
        overlay(&mut config, &canonical);
        let mut new = match apply(live.as_ref(), &config, manager, asked.query.get("force") == "true") {
            Ok(new) => new,
            Err(clashes) => return Answer::clashes(&clashes),
        };
        fill_in(&mut new);
        if let Some(live) = &live {
            let fixed = changed_although_fixed(live, &new);
            if !fixed.is_empty() {
                return Answer::invalid(&asked.kind.kind, &asked.name, &fixed);
            }
        }
        self.stamp(&mut new, live.as_ref());
        self.keep(asked, new, if live.is_some() { 200 } else { 201 })
    }

    fn delete(&mut self, asked: &Asked<'_>) -> Answer {
        let Some(live) = self.objects.get(&asked.place()) else { return asked.not_found() };
        let wanted = &asked.body["preconditions"];
        for field in ["uid", "resourceVersion"] {
            if !wanted[field].is_null() && wanted[field] != live["metadata"][field] {
                let why = format!(
                    "Precondition failed: {field} in precondition: {}, in object meta: {}",
                    wanted[field], live["metadata"][field]
                );
                return Answer::outdated(&asked.kind.group, &asked.kind.plural, &asked.name, &why);
            }
        }
        if !asked.query.is_dry_run() {
            self.objects.remove(&asked.place());
            if asked.kind.plural == "namespaces" {
                self.objects.retain(|(_, _, namespace, _), _| *namespace != asked.name);
            }
        }
        Answer::ok(json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
                          "details": {"name": asked.name, "kind": asked.kind.plural}}))
    }

    /// Gives an object what only the cluster says; one that is as it was stays the version that it is.
    fn stamp(&mut self, new: &mut Value, live: Option<&Value>) {
        match live {
            None => {
                self.made += 1;
                new["metadata"]["uid"] = json!(format!("00000000-0000-4000-8000-{:012}", self.made));
                new["metadata"]["creationTimestamp"] = json!("2026-12-01T10:00:00Z");
                new["metadata"]["generation"] = json!(1);
            }
            Some(live) => {
                for field in ["uid", "creationTimestamp", "generation", "resourceVersion"] {
                    new["metadata"][field] = live["metadata"][field].clone();
                }
                if same(live, new) {
                    *new = live.clone();
                    return;
                }
                if live["spec"] != new["spec"] {
                    new["metadata"]["generation"] = json!(live["metadata"]["generation"].as_u64().unwrap_or(1) + 1);
                }
            }
        }
        self.version += 1;
        new["metadata"]["resourceVersion"] = json!(self.version.to_string());
    }

    fn keep(&mut self, asked: &Asked<'_>, new: Value, code: u16) -> Answer {
        if asked.query.is_dry_run() {
            self.made -= u64::from(code == 201);
        } else {
            self.objects.insert(asked.place(), new.clone());
        }
        Answer { code: axum::http::StatusCode::from_u16(code).expect("a code of HTTP"), body: new }
    }

    /// Writes an object as somebody else does, by whatever means but an application.
    pub(crate) fn write(&mut self, at: &Place, manager: &str, subresource: &str, change: impl FnOnce(&mut Value)) {
        let live = self.objects.get(at).unwrap_or_else(|| panic!("{at:?} isn't there")).clone();
        let mut new = live.clone();
        change(&mut new);
        update(Some(&live), &mut new, manager, subresource);
        self.stamp(&mut new, Some(&live));
        self.objects.insert(at.clone(), new);
    }

    /// Puts an object there as somebody else does.
    pub(crate) fn put(&mut self, kind: &str, mut object: Value, manager: &str) -> Place {
        let api_version = object["apiVersion"].as_str().unwrap_or_default().to_owned();
        let known = self.kinds.iter().find(|one| one.kind == kind && one.api_version() == api_version);
        let known = known.unwrap_or_else(|| panic!("{kind} of {api_version} isn't served")).clone();
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let at = (known.group, known.plural, text("namespace"), text("name"));
        fill_in(&mut object);
        update(None, &mut object, manager, "");
        self.stamp(&mut object, None);
        self.objects.insert(at.clone(), object);
        at
    }

    /// Kinds whose definitions have been there for a look are served from now on.
    pub(crate) fn establish(&mut self) {
        let definitions: Vec<(Place, Value)> = self
            .objects
            .iter()
            .filter(|((_, plural, ..), _)| plural == "customresourcedefinitions")
            .map(|(at, object)| (at.clone(), object.clone()))
            .collect();
        for (at, definition) in definitions {
            let Some(kind) = defined(&definition) else { continue };
            if self.kinds.contains(&kind) {
                continue;
            }
            let conditions = |status: &str| json!([{"type": "Established", "status": status}]);
            if definition["status"]["conditions"].is_null() {
                self.write(&at, "kube-apiserver", "status", |object| {
                    object["status"]["conditions"] = conditions("False");
                });
            } else {
                self.kinds.push(kind);
                self.write(&at, "kube-apiserver", "status", |object| {
                    object["status"]["conditions"] = conditions("True");
                });
            }
        }
    }
}

pub(crate) fn place(group: &str, plural: &str, namespace: &str, name: &str) -> Place {
    (group.to_owned(), plural.to_owned(), namespace.to_owned(), name.to_owned())
}

/// Whether nothing but the time of the last write differs.
fn same(live: &Value, new: &Value) -> bool {
    let bare = |object: &Value| {
        let mut object = object.clone();
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        object
    };
    let sorted = |object: &Value| {
        let mut owners = owners(object);
        owners.sort_by(|one, other| {
            (&one.manager, one.operation, &one.subresource).cmp(&(&other.manager, other.operation, &other.subresource))
        });
        owners
    };
    bare(live) == bare(new) && sorted(live) == sorted(new)
}

/// Writes texts that both have as the other has them.
fn overlay(config: &mut Value, canonical: &Value) {
    match (config, canonical) {
        (Value::Object(fields), Value::Object(canonical)) => {
            for (name, value) in fields.iter_mut() {
                overlay(value, &canonical[name]);
            }
        }
        (Value::Array(items), Value::Array(canonical)) => {
            items.iter_mut().zip(canonical).for_each(|(item, canonical)| overlay(item, canonical));
        }
        (config @ Value::String(_), Value::String(canonical)) => *config = json!(canonical),
        _ => {}
    }
}

fn has_labels(object: &Value, selector: &str) -> bool {
    let pairs = selector.split(',').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().all(|(label, value)| object["metadata"]["labels"][label] == value)
}

fn has_fields(object: &Value, selector: &str) -> bool {
    let pairs = selector.split(',').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().all(|(field, value)| field.split('.').fold(object, |part, name| &part[name]) == value)
}
