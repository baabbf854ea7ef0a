//! A schema as the structs, enums and attributes that it becomes.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use crate::kinds::{Kind, Kinds};
use crate::names;

/// Type of a property, an item or an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ty {
    Text,
    Integer,
    Number,
    Boolean,
    Json,
    Refers(Kind),
    /// A nested struct or enum of the same resource.
    Nested(String),
    Tag,
    List(Box<Ty>),
    Map(Box<Ty>),
}

pub(crate) struct Property {
    pub(crate) name: String,
    pub(crate) method: String,
    pub(crate) ty: Ty,
    pub(crate) required: bool,
    pub(crate) docs: Vec<String>,
}

pub(crate) struct Object {
    pub(crate) docs: String,
    pub(crate) properties: Vec<Property>,
}

pub(crate) struct Enum {
    pub(crate) docs: String,
    pub(crate) values: Vec<String>,
}

pub(crate) struct Attribute {
    pub(crate) method: String,
    pub(crate) name: String,
    pub(crate) ty: Ty,
    pub(crate) docs: String,
}

/// Everything that is generated for one resource type.
pub(crate) struct Resource {
    pub(crate) type_name: String,
    pub(crate) service: String,
    pub(crate) name: String,
    pub(crate) module: String,
    pub(crate) object: Object,
    pub(crate) objects: BTreeMap<String, Object>,
    pub(crate) enums: BTreeMap<String, Enum>,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) reference: Kind,
}

/// Methods that every resource has from the `Resource` trait; a setter of that name would hide them.
const RESERVED: [&str; 8] = [
    "depends_on",
    "deletion_policy",
    "from_properties",
    "into_properties",
    "metadata",
    "only_if",
    "retain",
    "update_replace_policy",
];
/// Property names that say too little to name an enum by themselves.
const VAGUE: [&str; 10] =
    ["Action", "Enabled", "Format", "Mode", "Name", "Protocol", "State", "Status", "Type", "Value"];

impl Resource {
    pub(crate) fn new(schema: &Json, kinds: &mut Kinds) -> Self {
        let type_name = schema["typeName"].as_str().expect("a schema has a type name");
        let parts: Vec<&str> = type_name.split("::").collect();
        let [_, service, name] = parts[..] else { panic!("`{type_name}` has not three parts") };
        let mut modeller =
            Modeller { type_name, root: name, schema, kinds, objects: BTreeMap::new(), enums: BTreeMap::new() };
        let object = modeller.object("", name, schema);
        for property in &object.properties {
            assert!(!RESERVED.contains(&property.method.as_str()), "`{type_name}` has a property `{}`", property.name);
        }
        let attributes = modeller.attributes();
        let Modeller { objects, enums, kinds, .. } = modeller;
        Self {
            type_name: type_name.to_owned(),
            service: service.to_lowercase(),
            name: name.to_owned(),
            module: names::snake(name),
            object,
            objects,
            enums,
            attributes,
            reference: kinds.of_reference(type_name),
        }
    }
}

struct Modeller<'a> {
    type_name: &'a str,
    /// Name of the resource itself.
    root: &'a str,
    schema: &'a Json,
    kinds: &'a mut Kinds,
    objects: BTreeMap<String, Object>,
    enums: BTreeMap<String, Enum>,
}

impl<'a> Modeller<'a> {
    /// `owner` is the definition's name, empty for the resource itself; `parent` names enums of vague properties.
    fn object(&mut self, owner: &str, parent: &str, node: &'a Json) -> Object {
        let read_only = if owner.is_empty() { self.paths("readOnlyProperties") } else { BTreeSet::new() };
        let mut required: BTreeSet<&str> = BTreeSet::new();
        required.extend(strings(node.get("required")));
        let mut properties = Vec::new();
        for (name, property) in merged_properties(node) {
            if read_only.contains(name) {
                continue;
            }
            let ty = self.property_type(owner, parent, name, property);
            let docs = self.docs(owner, name, property, &ty);
            let required = required.contains(name.as_str());
            properties.push(Property { method: names::snake(name), name: name.clone(), ty, required, docs });
        }
        Object { docs: description(node), properties }
    }

    fn property_type(&mut self, owner: &str, parent: &str, name: &str, node: &'a Json) -> Ty {
        let ty = self.ty(name, parent, node);
        let target = match &ty {
            Ty::List(item) => item.as_ref(),
            other => other,
        };
        if !matches!(target, Ty::Text | Ty::Refers(_)) {
            return ty;
        }
        let item = if matches!(ty, Ty::List(_)) { self.resolved(node).get("items").unwrap_or(node) } else { node };
        let kind = self.kinds.of_property(self.type_name, owner, name, item);
        let refined = kind.map_or(Ty::Text, Ty::Refers);
        if matches!(ty, Ty::List(_)) { Ty::List(Box::new(refined)) } else { refined }
    }

    /// Type of a schema node. `hint` names what has no name of its own.
    fn ty(&mut self, hint: &str, parent: &str, node: &'a Json) -> Ty {
        if let Some(name) = reference(node) {
            let definition = self.definition(name);
            return self.ty(name, "", definition);
        }
        if let Some(branch) = typed_branch(node) {
            return self.ty(hint, parent, branch);
        }
        let types: Vec<&str> = match node.get("type") {
            Some(Json::String(one)) => vec![one.as_str()],
            other => strings(other).collect(),
        };
        if types == ["array"] {
            let item = node.get("items").map_or(Ty::Json, |items| self.ty(&names::singular(hint), parent, items));
            return Ty::List(Box::new(item));
        }
        if merged_properties(node).next().is_some() {
            return self.nested_object(hint, parent, node);
        }
        if let Some(Json::Object(patterns)) = node.get("patternProperties") {
            let value = patterns.values().next().expect("a map says what it holds");
            return Ty::Map(Box::new(self.ty(&names::singular(hint), parent, value)));
        }
        if types.contains(&"object") && !types.contains(&"number") {
            return Ty::Json;
        }
        let constant = node.get("const").and_then(Json::as_str);
        let values: Vec<String> = strings(node.get("enum")).chain(constant).map(ToOwned::to_owned).collect();
        if !values.is_empty() {
            return self.nested_enum(hint, parent, values, description(node));
        }
        match types.first() {
            Some(&"integer") => Ty::Integer,
            Some(&"number") => Ty::Number,
            Some(&"boolean") => Ty::Boolean,
            Some(_) => Ty::Text,
            None if node.get("format").and_then(Json::as_str) == Some("json") => Ty::Json,
            None if node.get("format").is_some() || node.get("minLength").is_some() => Ty::Text,
            None => Ty::Json,
        }
    }

    fn nested_object(&mut self, hint: &str, parent: &str, node: &'a Json) -> Ty {
        let name = names::pascal(hint);
        let keys: Vec<&str> = merged_properties(node).map(|(key, _)| key.as_str()).collect();
        if name.ends_with("Tag") && keys == ["Key", "Value"] {
            return Ty::Tag;
        }
        let same = |object: &Object| object.properties.iter().map(|one| one.name.as_str()).eq(keys.iter().copied());
        let name = match self.objects.get(&name) {
            Some(known) if same(known) => return Ty::Nested(name),
            Some(_) => format!("{}{name}", names::pascal(parent)),
            None => name,
        };
        // A placeholder first: definitions may hold themselves.
        let placeholder = keys
            .iter()
            .map(|key| Property {
                name: (*key).to_owned(),
                method: String::new(),
                ty: Ty::Json,
                required: false,
                docs: Vec::new(),
            })
            .collect();
        self.objects.insert(name.clone(), Object { docs: String::new(), properties: placeholder });
        let object = self.object(hint, &name, node);
        self.objects.insert(name.clone(), object);
        Ty::Nested(name)
    }

    fn nested_enum(&mut self, hint: &str, parent: &str, values: Vec<String>, docs: String) -> Ty {
        let short = names::pascal(hint);
        let long = format!("{}{short}", if parent.is_empty() { self.root } else { parent });
        let is_definition = self.schema["definitions"].get(hint).is_some();
        let taken = |name: &str, enums: &BTreeMap<String, Enum>| {
            (!is_definition && self.schema["definitions"].get(name).is_some())
                || self.objects.contains_key(name)
                || enums.get(name).is_some_and(|known| known.values != values)
        };
        let vague = VAGUE.contains(&short.as_str());
        let name = if vague || taken(&short, &self.enums) { long } else { short };
        assert!(!taken(&name, &self.enums), "`{}`: two enums want the name `{name}`", self.type_name);
        self.enums.entry(name.clone()).or_insert(Enum { docs, values });
        Ty::Nested(name)
    }

    /// Readable attributes: read-only properties of plain types, also inside objects, never inside lists.
    fn attributes(&mut self) -> Vec<Attribute> {
        let mut attributes = Vec::new();
        let schema = self.schema;
        let paths = self.paths("readOnlyProperties");
        for path in &paths {
            // Some schemas name the same thing at the top and inside an object; CloudFormation documents the top one.
            if path.contains('/') && paths.contains(&path.replace('/', "")) {
                continue;
            }
            let mut node = schema;
            let mut found = true;
            for part in path.split('/') {
                let inner = self.resolved(node);
                match inner.get("properties").and_then(|properties| properties.get(part)) {
                    Some(next) => node = next,
                    None => found = false,
                }
            }
            if !found {
                continue;
            }
            let node = self.resolved(node);
            let plain = |node: &Json| match node.get("type").and_then(Json::as_str) {
                Some("string") | None => Some(Ty::Text),
                Some("integer") => Some(Ty::Integer),
                Some("number") => Some(Ty::Number),
                Some("boolean") => Some(Ty::Boolean),
                Some(_) => None,
            };
            let ty = match node.get("type").and_then(Json::as_str) {
                Some("array") => {
                    node.get("items").and_then(|items| plain(self.resolved(items))).map(|item| Ty::List(Box::new(item)))
                }
                None if node.get("properties").is_some() || node.get("oneOf").is_some() => None,
                _ => plain(node),
            };
            let Some(ty) = ty else { continue };
            let kind = self.kinds.of_attribute(self.type_name, path, node);
            let ty = if ty == Ty::Text { kind.map_or(ty, Ty::Refers) } else { ty };
            let name = path.replace('/', ".");
            let method = names::snake(&path.replace('/', "_"));
            assert!(
                !["reference", "logical_id", "attribute", "clone", "new"].contains(&method.as_str()),
                "`{}`: the attribute `{name}` hides a method of handles",
                self.type_name
            );
            attributes.push(Attribute { method, name, ty, docs: description(node) });
        }
        attributes
    }

    fn docs(&self, owner: &str, name: &str, property: &'a Json, ty: &Ty) -> Vec<String> {
        let node = self.resolved(property);
        let mut docs = Vec::new();
        let described = description(property);
        let described = if described.is_empty() { description(node) } else { described };
        docs.push(if described.is_empty() { format!("Sets `{name}`.") } else { described });
        let mut rules = Vec::new();
        let unit = match ty {
            Ty::List(_) => "items",
            Ty::Map(_) => "entries",
            Ty::Text | Ty::Refers(_) => "characters",
            _ => "",
        };
        for (low, high) in [
            ("minimum", "maximum"),
            ("minLength", "maxLength"),
            ("minItems", "maxItems"),
            ("minProperties", "maxProperties"),
        ] {
            match (node.get(low), node.get(high)) {
                (Some(low), Some(high)) => rules.push(format!("{low} to {high} {unit}")),
                (Some(low), None) if low.as_u64() != Some(0) => rules.push(format!("at least {low} {unit}")),
                (None, Some(high)) => rules.push(format!("up to {high} {unit}")),
                _ => {}
            }
        }
        if !rules.is_empty() {
            let rules: Vec<&str> = rules.iter().map(|rule| rule.trim_end()).collect();
            docs.push(format!("Takes {}.", rules.join(", ")));
        }
        if owner.is_empty() {
            if self.paths("createOnlyProperties").contains(name) {
                docs.push("A change replaces the resource.".to_owned());
            } else if self.paths("conditionalCreateOnlyProperties").contains(name) {
                docs.push("A change may replace the resource.".to_owned());
            }
            if self.paths("deprecatedProperties").contains(name) {
                docs.push("AWS has deprecated it.".to_owned());
            }
        }
        docs
    }

    /// Property paths of a list in the schema, without their common beginning.
    fn paths(&self, list: &str) -> BTreeSet<String> {
        strings(self.schema.get(list))
            .filter_map(|path| path.strip_prefix("/properties/"))
            .map(ToOwned::to_owned)
            .collect()
    }

    fn resolved(&self, node: &'a Json) -> &'a Json {
        let mut node = node;
        loop {
            match (reference(node), typed_branch(node)) {
                (Some(name), _) => node = self.definition(name),
                (None, Some(branch)) => node = branch,
                (None, None) => return node,
            }
        }
    }

    fn definition(&self, name: &str) -> &'a Json {
        let definition = self.schema["definitions"].get(name);
        definition
            .unwrap_or_else(|| panic!("`{}` refers to the definition `{name}`, which is not there", self.type_name))
    }
}

fn reference(node: &Json) -> Option<&str> {
    node.get("$ref")?.as_str()?.strip_prefix("#/definitions/")
}

/// The branch of an `allOf` or `oneOf` that says the type, for nodes that don't say it themselves.
fn typed_branch(node: &Json) -> Option<&Json> {
    if node.get("type").is_some() || merged_properties(node).next().is_some() {
        return None;
    }
    let branches = node.get("allOf").or_else(|| node.get("oneOf"))?.as_array()?;
    branches.iter().find(|branch| reference(branch).is_some() || branch.get("type").is_some_and(Json::is_string))
}

/// Properties of a node and of the branches of its `oneOf`, sorted by name.
fn merged_properties(node: &Json) -> impl Iterator<Item = (&String, &Json)> {
    let mut merged: BTreeMap<&String, &Json> = BTreeMap::new();
    let is_list = node.get("type").and_then(Json::as_str) == Some("array");
    let branches = node.get("oneOf").and_then(Json::as_array).into_iter().flatten();
    for part in std::iter::once(node).chain(branches).filter(|_| !is_list) {
        if let Some(properties) = part.get("properties").and_then(Json::as_object) {
            merged.extend(properties);
        }
    }
    merged.into_iter()
}

fn strings(node: Option<&Json>) -> impl Iterator<Item = &str> {
    node.and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str)
}

fn description(node: &Json) -> String {
    node.as_object()
        .and_then(|map: &Map<String, Json>| map.get("description"))
        .and_then(Json::as_str)
        .unwrap_or_default()
        .to_owned()
}
