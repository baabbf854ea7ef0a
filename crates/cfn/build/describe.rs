//! What is needed of a schema while the tool runs (rules, replacement, permissions, tagging), as constant data.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

use crate::names::literal;

/// Keywords that demand nothing of a value.
const SILENT: [&str; 7] = ["$comment", "default", "description", "examples", "format", "relationshipRef", "title"];
/// Keywords of a type's own schema that aren't about its properties' values.
const ABOUT_THE_TYPE: [&str; 17] = [
    "$schema",
    "additionalIdentifiers",
    "conditionalCreateOnlyProperties",
    "createOnlyProperties",
    "definitions",
    "deprecatedProperties",
    "handlers",
    "primaryIdentifier",
    "propertyTransform",
    "readOnlyProperties",
    "replacementStrategy",
    "resourceLink",
    "sourceUrl",
    "tagging",
    "typeName",
    "writeOnlyProperties",
    "nonPublicProperties",
];

/// Descriptions of all types, and what they share.
#[derive(Default)]
pub(crate) struct Descriptions {
    /// Patterns by their text; the number is the place in the list.
    patterns: BTreeMap<String, usize>,
    statics: String,
    types: Vec<String>,
}

impl Descriptions {
    /// Adds a type. Types are added in the order of their names.
    pub(crate) fn add(&mut self, schema: &Json, regions: &Json) {
        let number = self.types.len();
        let definitions: Vec<(&String, &Json)> = schema["definitions"].as_object().into_iter().flatten().collect();
        let mut writer = Writer {
            number,
            definitions: definitions.iter().map(|(name, _)| name.as_str()).collect(),
            referred: Vec::new(),
            read_only: paths(schema, "readOnlyProperties").collect(),
            patterns: &mut self.patterns,
        };
        let root = writer.schema(schema, true);
        let mut statics = format!("static T{number}: TypeDescription = {};\n", description(schema, regions, &root));
        // A definition may refer to further ones; what nothing refers to is left out.
        let mut written = 0;
        while let Some(index) = writer.referred.get(written).copied() {
            written += 1;
            let demands = writer.schema(definitions[index].1, false);
            let _ = writeln!(statics, "static T{number}_{index}: Schema = {demands};");
        }
        self.statics.push_str(&statics);
        self.types.push(format!("&T{number}"));
    }

    /// Everything as Rust source.
    pub(crate) fn source(&self) -> String {
        let mut patterns: Vec<(&String, &usize)> = self.patterns.iter().collect();
        patterns.sort_by_key(|(_, index)| **index);
        let patterns: Vec<String> = patterns.into_iter().map(|(text, _)| literal(text)).collect();
        format!(
            "pub(crate) static TYPES: [&TypeDescription; {}] = [{}];\npub(crate) const PATTERNS: [&str; {}] = [{}];\n{}",
            self.types.len(),
            self.types.join(", "),
            patterns.len(),
            patterns.join(", "),
            self.statics
        )
    }
}

fn description(schema: &Json, regions: &Json, root: &str) -> String {
    let list = |key: &str| texts(paths(schema, key));
    let handlers = schema["handlers"].as_object().into_iter().flatten().map(|(name, handler)| {
        format!(
            "Handler {{ name: {}, permissions: {}, timeout_minutes: {:?} }}",
            literal(name),
            texts(strings(&handler["permissions"])),
            handler["timeoutInMinutes"].as_u64()
        )
    });
    let handlers: Vec<String> = handlers.collect();
    // Untagged types say so in different ways; the property itself is the proof.
    let tag_property = schema["tagging"]["tagProperty"]
        .as_str()
        .and_then(|path| path.strip_prefix("/properties/"))
        .filter(|name| schema["properties"].get(name).is_some());
    format!(
        "TypeDescription {{
    type_name: {},
    create_only: {},
    conditional_create_only: {},
    write_only: {},
    read_only: {},
    deprecated: {},
    required: {},
    primary_identifier: {},
    handlers: &[{}],
    tag_property: {tag_property:?},
    regions: {},
    schema: {root},
}}",
        literal(schema["typeName"].as_str().expect("a schema has a type name")),
        list("createOnlyProperties"),
        list("conditionalCreateOnlyProperties"),
        list("writeOnlyProperties"),
        list("readOnlyProperties"),
        list("deprecatedProperties"),
        texts(strings(&schema["required"])),
        list("primaryIdentifier"),
        handlers.join(", "),
        texts(strings(regions)),
    )
}

/// Turns the nodes of one type's schema into Rust expressions.
struct Writer<'a> {
    number: usize,
    /// In the order of their statics.
    definitions: Vec<&'a str>,
    /// Places of those definitions that something refers to, in the order in which they were met.
    referred: Vec<usize>,
    read_only: BTreeSet<&'a str>,
    patterns: &'a mut BTreeMap<String, usize>,
}

impl Writer<'_> {
    /// `Schema(&[…])`, with the demands in the order in which a value is judged. `root` says that the node is the type's
    /// own schema, or an alternative of it.
    fn schema(&mut self, node: &Json, root: bool) -> String {
        let map = node.as_object().unwrap_or_else(|| panic!("a schema that is no object isn't understood: {node}"));
        let mut demands = Vec::new();
        if !root {
            self.combinations(map, root, &mut demands);
        }
        self.choices(map, &mut demands);
        self.scalars(map, &mut demands);
        self.lists(map, &mut demands);
        self.objects(map, root, &mut demands);
        // What is wrong with a resource's own properties comes first.
        if root {
            self.combinations(map, root, &mut demands);
        }
        if let Some(shapes) = map.get("type").filter(|_| !root) {
            let shapes: Vec<String> = one_or_many(shapes).map(shape).collect();
            demands.push(format!("Demand::Type(&[{}])", shapes.join(", ")));
        }
        for keyword in map.keys() {
            let known = KEYWORDS.contains(&keyword.as_str())
                || SILENT.contains(&keyword.as_str())
                || (root && ABOUT_THE_TYPE.contains(&keyword.as_str()));
            assert!(known, "the schema keyword `{keyword}` is not known: say in `build/describe.rs` what it demands");
        }
        format!("Schema(&[{}])", demands.join(", "))
    }

    fn schemas(&mut self, nodes: &[Json], root: bool) -> String {
        let schemas: Vec<String> = nodes.iter().map(|node| self.schema(node, root)).collect();
        format!("&[{}]", schemas.join(", "))
    }

    fn combinations(&mut self, map: &Map<String, Json>, root: bool, demands: &mut Vec<String>) {
        if let Some(name) = map.get("$ref").and_then(Json::as_str).and_then(|name| name.strip_prefix("#/definitions/"))
        {
            let index = self.definitions.iter().position(|known| *known == name);
            let index = index.unwrap_or_else(|| panic!("`{name}` is no definition"));
            if !self.referred.contains(&index) {
                self.referred.push(index);
            }
            demands.push(format!("Demand::Refers(&T{}_{index})", self.number));
        }
        if let Some(branches) = map.get("allOf").and_then(Json::as_array) {
            let branches: Vec<String> = branches
                .iter()
                .map(|branch| match (branch.get("if"), branch.get("then")) {
                    (Some(condition), Some(then)) => {
                        let keywords = branch.as_object().map_or(0, Map::len);
                        assert_eq!(keywords, 2, "a branch with more than `if` and `then` isn't understood: {branch}");
                        let (condition, then) = (self.schema(condition, root), self.schema(then, root));
                        format!("Branch {{ condition: Some({condition}), then: {then} }}")
                    }
                    _ => format!("Branch {{ condition: None, then: {} }}", self.schema(branch, root)),
                })
                .collect();
            demands.push(format!("Demand::AllOf(&[{}])", branches.join(", ")));
        }
        for (keyword, demand) in [("anyOf", "AnyOf"), ("oneOf", "OneOf")] {
            if let Some(branches) = map.get(keyword).and_then(Json::as_array).filter(|branches| !branches.is_empty()) {
                demands.push(format!("Demand::{demand}({})", self.schemas(branches, root)));
            }
        }
    }

    fn choices(&mut self, map: &Map<String, Json>, demands: &mut Vec<String>) {
        for (keyword, demand) in [("enum", "Enum"), ("enumCaseInsensitive", "EnumAnyCase")] {
            if let Some(accepted) = map.get(keyword).and_then(Json::as_array).filter(|accepted| !accepted.is_empty()) {
                assert!(accepted.iter().all(|one| !one.is_array() && !one.is_object()), "`{keyword}` holds no scalars");
                let plain: Vec<String> = accepted.iter().map(plain).collect();
                let numbers = accepted.iter().all(Json::is_number);
                let texts = texts(plain.iter().map(String::as_str));
                demands.push(format!("Demand::{demand}(&Accepted {{ texts: {texts}, numbers: {numbers} }})"));
            }
        }
        if let Some(constant) = map.get("const") {
            assert!(!constant.is_array() && !constant.is_object(), "`const` is no scalar: {constant}");
            demands.push(format!("Demand::Const({})", literal(&plain(constant))));
        }
    }

    fn scalars(&mut self, map: &Map<String, Json>, demands: &mut Vec<String>) {
        counts(map, &[("minLength", "MinLength"), ("maxLength", "MaxLength")], demands);
        if let Some(pattern) = map.get("pattern").and_then(Json::as_str) {
            demands.push(format!("Demand::Pattern({})", self.pattern(pattern)));
        }
        for (keyword, demand) in [("minimum", "Minimum"), ("maximum", "Maximum")] {
            if let Some(bound) = map.get(keyword).and_then(Json::as_f64) {
                demands.push(format!("Demand::{demand}({bound:?})"));
            }
        }
    }

    fn lists(&mut self, map: &Map<String, Json>, demands: &mut Vec<String>) {
        counts(map, &[("minItems", "MinItems"), ("maxItems", "MaxItems")], demands);
        if map.get("uniqueItems").is_some_and(|unique| *unique == true) {
            demands.push("Demand::Unique".to_owned());
        }
        if map.get("insertionOrder").is_some_and(|ordered| *ordered == false) {
            demands.push("Demand::Unordered".to_owned());
        }
        counts(map, &[("maxUniqueItems", "MaxUniqueItems")], demands);
        if let Some(keys) = map.get("uniqueKeys") {
            demands.push(format!("Demand::UniqueKeys({})", names(keys)));
        }
        if let Some(items) = map.get("items") {
            demands.push(format!("Demand::Items({})", self.schema(items, false)));
        }
        if let Some(first) = map.get("prefixItems").and_then(Json::as_array) {
            demands.push(format!("Demand::PrefixItems({})", self.schemas(first, false)));
        }
    }

    fn objects(&mut self, map: &Map<String, Json>, root: bool, demands: &mut Vec<String>) {
        counts(map, &[("minProperties", "MinProperties"), ("maxProperties", "MaxProperties")], demands);
        if let Some(required) = map.get("required") {
            // Some schemas list a read-only property as required: the service sets it.
            let required = strings(required).filter(|name| !(root && self.read_only.contains(name)));
            demands.push(format!("Demand::Required({})", texts(required)));
        }
        for (keyword, demand) in [("requiredXor", "RequiredXor"), ("requiredOr", "RequiredOr")] {
            if let Some(names) = map.get(keyword) {
                demands.push(format!("Demand::{demand}({})", self::names(names)));
            }
        }
        for (keyword, demand) in [
            ("dependentRequired", "DependentRequired"),
            ("dependencies", "DependentRequired"),
            ("dependentExcluded", "DependentExcluded"),
        ] {
            if let Some(dependents) = map.get(keyword).and_then(Json::as_object) {
                let dependents: Vec<String> = dependents
                    .iter()
                    .map(|(name, others)| format!("({}, {})", literal(name), self::names(others)))
                    .collect();
                demands.push(format!("Demand::{demand}(&[{}])", dependents.join(", ")));
            }
        }
        let others = map.get("additionalProperties");
        assert!(others.is_none_or(Json::is_boolean), "a schema of additional properties isn't understood: {others:?}");
        let closed = others.is_some_and(|others| *others == false);
        if closed || map.contains_key("properties") || map.contains_key("patternProperties") {
            demands.push(self.names(map, closed));
        }
    }

    fn names(&mut self, map: &Map<String, Json>, closed: bool) -> String {
        let entries = |keyword: &str| map.get(keyword).and_then(Json::as_object).into_iter().flatten();
        let mut properties: Vec<(&String, &Json)> = entries("properties").collect();
        properties.sort_by_key(|(name, _)| *name);
        let properties: Vec<String> = properties
            .into_iter()
            .map(|(name, property)| format!("({}, {})", literal(name), self.schema(property, false)))
            .collect();
        let patterns: Vec<String> = entries("patternProperties")
            .map(|(pattern, property)| format!("({}, {})", self.pattern(pattern), self.schema(property, false)))
            .collect();
        format!(
            "Demand::Names(Names {{ properties: &[{}], patterns: &[{}], closed: {closed} }})",
            properties.join(", "),
            patterns.join(", ")
        )
    }

    fn pattern(&mut self, text: &str) -> String {
        let next = self.patterns.len();
        format!("Pattern({})", self.patterns.entry(text.to_owned()).or_insert(next))
    }
}

/// Keywords that become demands.
const KEYWORDS: [&str; 32] = [
    "$ref",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "dependencies",
    "dependentExcluded",
    "dependentRequired",
    "enum",
    "enumCaseInsensitive",
    "insertionOrder",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maxUniqueItems",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "required",
    "requiredOr",
    "requiredXor",
    "type",
    "uniqueItems",
    "uniqueKeys",
];

fn counts(map: &Map<String, Json>, keywords: &[(&str, &str)], demands: &mut Vec<String>) {
    for (keyword, demand) in keywords {
        if let Some(count) = map.get(*keyword).and_then(Json::as_u64) {
            demands.push(format!("Demand::{demand}({count})"));
        }
    }
}

fn shape(name: &str) -> String {
    match name {
        "array" => "Shape::Array".to_owned(),
        "object" => "Shape::Object".to_owned(),
        scalar => format!("Shape::Scalar({})", literal(scalar)),
    }
}

fn one_or_many(json: &Json) -> impl Iterator<Item = &str> {
    json.as_str().into_iter().chain(strings(json))
}

fn plain(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), ToOwned::to_owned)
}

fn paths<'a>(schema: &'a Json, key: &str) -> impl Iterator<Item = &'a str> {
    strings(&schema[key]).filter_map(|path| path.strip_prefix("/properties/"))
}

fn strings(json: &Json) -> impl Iterator<Item = &str> {
    json.as_array().into_iter().flatten().filter_map(Json::as_str)
}

/// A list of names that says something: at least one, and nothing but texts.
fn names(json: &Json) -> String {
    let given = json.as_array().map_or(0, Vec::len);
    assert!(given > 0 && strings(json).count() == given, "a list of names isn't understood: {json}");
    texts(strings(json))
}

fn texts<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let texts: Vec<String> = texts.map(literal).collect();
    format!("&[{}]", texts.join(", "))
}
