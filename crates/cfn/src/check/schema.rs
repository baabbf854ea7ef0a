//! A resource's properties against its schema.

use serde_json::{Map, Value as Json};

use super::{Violation, pattern};
use crate::describe::TypeDescription;
use crate::intrinsic::{is_intrinsic, is_no_value};
use crate::template::Declaration;

pub(super) fn check(declaration: &Declaration, description: &'static TypeDescription, found: &mut Vec<Violation>) {
    let checker = Checker { declaration, schema: &description.schema };
    let properties = declaration.properties().as_map();
    checker.object(&description.schema, properties, "", found);
    // Most types have no combinations at the top, and their properties can be large.
    if ["allOf", "anyOf", "oneOf"].iter().any(|key| description.schema.get(key).is_some()) {
        checker.combinations(&description.schema, &Json::Object(properties.clone()), "", found);
    }
}

struct Checker<'a> {
    declaration: &'a Declaration,
    schema: &'static Json,
}

impl Checker<'_> {
    fn node(&self, schema: &'static Json, value: &Json, path: &str, found: &mut Vec<Violation>) {
        if is_intrinsic(value) {
            return;
        }
        if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/definitions/")) {
            self.node(&self.schema["definitions"][name], value, path, found);
        }
        self.combinations(schema, value, path, found);
        self.choices(schema, value, path, found);
        match value {
            Json::String(text) => self.text(schema, text, path, found),
            Json::Number(number) => self.number(schema, number, path, found),
            Json::Array(items) => self.list(schema, items, path, found),
            Json::Object(map) => self.object(schema, map, path, found),
            Json::Null | Json::Bool(_) => {}
        }
        self.shape(schema, value, path, found);
    }

    /// `allOf`, `anyOf`, `oneOf`, `if` and `then`.
    fn combinations(&self, schema: &'static Json, value: &Json, path: &str, found: &mut Vec<Violation>) {
        for branch in list(&schema["allOf"]) {
            match (&branch["if"], &branch["then"]) {
                (Json::Null, _) => self.node(branch, value, path, found),
                (condition, then) if self.fits(condition, value) => self.node(then, value, path, found),
                _ => {}
            }
        }
        let any_of = list(&schema["anyOf"]);
        if !any_of.is_empty() && !any_of.iter().any(|branch| self.fits(branch, value)) {
            self.report("any-of", format!("needs {}", alternatives(any_of)), path, found);
        }
        let one_of = list(&schema["oneOf"]);
        if one_of.is_empty() {
            return;
        }
        let told_by_required = one_of.iter().all(|branch| branch.get("required").is_some());
        match one_of.iter().filter(|branch| self.fits(branch, value)).count() {
            0 if told_by_required => {
                self.report("one-of", format!("needs exactly one form: {}", alternatives(one_of)), path, found);
            }
            // What is wrong with the form that comes closest says more than that none fits.
            0 => {
                let wrong = one_of.iter().map(|branch| self.against(branch, value, path)).min_by_key(Vec::len);
                for violation in wrong.into_iter().flatten() {
                    if !found.contains(&violation) {
                        found.push(violation);
                    }
                }
            }
            1 => {}
            _ if told_by_required => {
                self.report("one-of", format!("takes only one form: {}", alternatives(one_of)), path, found);
            }
            // Forms without a required property overlap by nature.
            _ => {}
        }
    }

    /// True if nothing in the value is against the schema.
    fn fits(&self, schema: &'static Json, value: &Json) -> bool {
        self.against(schema, value, "").is_empty()
    }

    fn against(&self, schema: &'static Json, value: &Json, path: &str) -> Vec<Violation> {
        let mut found = Vec::new();
        self.node(schema, value, path, &mut found);
        found
    }

    fn choices(&self, schema: &'static Json, value: &Json, path: &str, found: &mut Vec<Violation>) {
        let allowed = list(&schema["enum"]);
        if !allowed.is_empty() && !allowed.iter().any(|one| same(one, value)) {
            let violation = self.violation("enum", format!("`{}` is not accepted", plain(value)), path);
            found.push(violation.hint(nearest(allowed, value)));
        }
        let any_case = list(&schema["enumCaseInsensitive"]);
        let is_one = || any_case.iter().any(|one| plain(one).to_lowercase() == plain(value).to_lowercase());
        if !any_case.is_empty() && !is_one() {
            let violation = self.violation("enum", format!("`{}` is not accepted", plain(value)), path);
            found.push(violation.hint(nearest(any_case, value)));
        }
        if let Some(constant) = schema.get("const")
            && !same(constant, value)
        {
            self.report("enum", format!("`{}` is not accepted, only `{}`", plain(value), plain(constant)), path, found);
        }
    }

    fn text(&self, schema: &'static Json, text: &str, path: &str, found: &mut Vec<Violation>) {
        let length = text.chars().count() as u64;
        self.bounds(schema, ["minLength", "maxLength"], length, "character", path, found);
        if let Some(wanted) = schema["pattern"].as_str()
            && !pattern::finds(wanted, text)
        {
            let violation =
                self.violation("pattern", format!("`{text}` does not have the form that AWS accepts"), path);
            found.push(violation.hint(format!("it has to match `{wanted}`")));
        }
    }

    fn number(&self, schema: &'static Json, number: &serde_json::Number, path: &str, found: &mut Vec<Violation>) {
        let Some(value) = number.as_f64() else { return };
        if let Some(minimum) = schema["minimum"].as_f64()
            && value < minimum
        {
            self.report("range", format!("{number} is below the minimum of {minimum}"), path, found);
        }
        if let Some(maximum) = schema["maximum"].as_f64()
            && value > maximum
        {
            self.report("range", format!("{number} is above the maximum of {maximum}"), path, found);
        }
    }

    fn list(&self, schema: &'static Json, items: &[Json], path: &str, found: &mut Vec<Violation>) {
        let count = items.len() as u64;
        self.bounds(schema, ["minItems", "maxItems"], count, "item", path, found);
        if schema["uniqueItems"] == true {
            for (index, item) in items.iter().enumerate() {
                if items[..index].contains(item) {
                    self.report(
                        "unique",
                        "it is in the list twice".to_owned(),
                        &inside(path, &index.to_string()),
                        found,
                    );
                }
            }
        }
        if let Some(most) = schema["maxUniqueItems"].as_u64()
            && count > most
        {
            self.report("length", format!("has {count} items, at most {most} are accepted"), path, found);
        }
        let keys: Vec<&str> = list(&schema["uniqueKeys"]).iter().filter_map(Json::as_str).collect();
        if !keys.is_empty() {
            let key_of = |item: &Json| keys.iter().map(|key| item[*key].clone()).collect::<Vec<_>>();
            for (index, item) in items.iter().enumerate() {
                if items[..index].iter().any(|earlier| key_of(earlier) == key_of(item)) {
                    let message = format!("another item has the same {}", names(&keys, "and"));
                    self.report("unique", message, &inside(path, &index.to_string()), found);
                }
            }
        }
        let each = schema.get("items");
        let prefix = list(&schema["prefixItems"]);
        for (index, item) in items.iter().enumerate() {
            let path = inside(path, &index.to_string());
            if let Some(each) = each {
                self.node(each, item, &path, found);
            }
            if let Some(first) = prefix.get(index) {
                self.node(first, item, &path, found);
            }
        }
    }

    fn object(&self, schema: &'static Json, map: &Map<String, Json>, path: &str, found: &mut Vec<Violation>) {
        let count = map.len() as u64;
        self.bounds(schema, ["minProperties", "maxProperties"], count, "entry", path, found);
        for name in strings(&schema["required"]) {
            if map.get(name).is_none_or(is_no_value) && !self.is_read_only(path, name) {
                self.report("required", format!("`{name}` is missing"), path, found);
            }
        }
        self.exclusive(schema, map, path, found);

        let properties = &schema["properties"];
        let patterns = schema["patternProperties"].as_object();
        for (name, value) in map {
            let mut known = false;
            if let Some(property) = properties.get(name) {
                known = true;
                self.node(property, value, &inside(path, name), found);
            }
            for (wanted, property) in patterns.into_iter().flatten() {
                if pattern::finds(wanted, name) {
                    known = true;
                    self.node(property, value, &inside(path, name), found);
                }
            }
            if !known && schema["additionalProperties"] == false {
                let rule = if patterns.is_some() { "pattern" } else { "unknown-property" };
                self.report(rule, format!("`{name}` is not a name that is accepted here"), path, found);
            }
        }
    }

    /// What must or must not stand together.
    fn exclusive(&self, schema: &'static Json, map: &Map<String, Json>, path: &str, found: &mut Vec<Violation>) {
        let present = |names: &[&'static str]| -> Vec<&'static str> {
            names.iter().copied().filter(|name| map.contains_key(*name)).collect()
        };
        let exactly_one: Vec<&str> = strings(&schema["requiredXor"]).collect();
        if !exactly_one.is_empty() {
            match present(&exactly_one).as_slice() {
                [_] => {}
                [] => self.report("required", format!("needs one of {}", names(&exactly_one, "or")), path, found),
                several => {
                    let message = format!("{} exclude each other", names(several, "and"));
                    self.report("excluded", message, path, found);
                }
            }
        }
        let at_least_one: Vec<&str> = strings(&schema["requiredOr"]).collect();
        if !at_least_one.is_empty() && present(&at_least_one).is_empty() {
            self.report("required", format!("needs one of {}", names(&at_least_one, "or")), path, found);
        }
        for key in ["dependentRequired", "dependencies"] {
            for (name, needed) in
                schema[key].as_object().into_iter().flatten().filter(|(name, _)| map.contains_key(*name))
            {
                for missing in strings(needed).filter(|needed| !map.contains_key(*needed)) {
                    self.report("required", format!("`{name}` needs `{missing}` beside it"), path, found);
                }
            }
        }
        for (name, excluded) in schema["dependentExcluded"].as_object().into_iter().flatten() {
            for other in strings(excluded).filter(|other| map.contains_key(name) && map.contains_key(*other)) {
                // The schemas name most pairs from both sides; one report is enough.
                let mirrored = strings(&schema["dependentExcluded"][other]).any(|one| one == name);
                if !mirrored || name.as_str() < other {
                    self.report("excluded", format!("`{name}` and `{other}` exclude each other"), path, found);
                }
            }
        }
    }

    /// A list where an object belongs and the like. Scalars pass: CloudFormation turns them into each other.
    fn shape(&self, schema: &'static Json, value: &Json, path: &str, found: &mut Vec<Violation>) {
        let wanted: Vec<&str> = match &schema["type"] {
            Json::String(one) => vec![one],
            several => strings(several).collect(),
        };
        let shape = match value {
            Json::Array(_) => "array",
            Json::Object(_) => "object",
            _ => "scalar",
        };
        let takes = |one: &&str| match *one {
            "array" | "object" => *one == shape,
            _ => shape == "scalar",
        };
        if !wanted.is_empty() && !wanted.iter().any(takes) {
            self.report("type", format!("holds {shape}, needs {}", names(&wanted, "or")), path, found);
        }
    }

    fn bounds(
        &self,
        schema: &'static Json,
        [low, high]: [&str; 2],
        length: u64,
        unit: &str,
        path: &str,
        found: &mut Vec<Violation>,
    ) {
        let plural = |count: u64| match (count, unit) {
            (1, unit) => format!("1 {unit}"),
            (count, "entry") => format!("{count} entries"),
            (count, unit) => format!("{count} {unit}s"),
        };
        if let Some(least) = schema[low].as_u64()
            && length < least
        {
            self.report("length", format!("has {}, needs at least {least}", plural(length)), path, found);
        }
        if let Some(most) = schema[high].as_u64()
            && length > most
        {
            self.report("length", format!("has {}, at most {most} are accepted", plural(length)), path, found);
        }
    }

    /// Some schemas list a read-only property as required: the service sets it.
    fn is_read_only(&self, path: &str, name: &str) -> bool {
        path.is_empty()
            && strings(&self.schema["readOnlyProperties"]).any(|one| one.strip_prefix("/properties/") == Some(name))
    }

    fn violation(&self, rule: &'static str, message: String, path: &str) -> Violation {
        Violation::new(rule, message).of(self.declaration).at(path)
    }

    /// Reports it, unless a rule that stands twice in the schema has already.
    fn report(&self, rule: &'static str, message: String, path: &str, found: &mut Vec<Violation>) {
        let violation = self.violation(rule, message, path);
        if !found.contains(&violation) {
            found.push(violation);
        }
    }
}

fn inside(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") }
}

fn list(json: &'static Json) -> &'static [Json] {
    json.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn strings(json: &Json) -> impl Iterator<Item = &str> {
    json.as_array().into_iter().flatten().filter_map(Json::as_str)
}

/// Equal, or equal as text: CloudFormation takes `"30"` for `30`.
fn same(left: &Json, right: &Json) -> bool {
    left == right || (!left.is_object() && !left.is_array() && plain(left) == plain(right))
}

fn plain(json: &Json) -> String {
    json.as_str().map_or_else(|| json.to_string(), ToOwned::to_owned)
}

/// What is accepted instead: the two neighbours of a number, else the list.
fn nearest(allowed: &[Json], value: &Json) -> String {
    if let (Some(number), Some(mut numbers)) =
        (value.as_f64(), allowed.iter().map(Json::as_f64).collect::<Option<Vec<f64>>>())
    {
        numbers.sort_unstable_by(f64::total_cmp);
        let below = numbers.iter().rev().find(|one| **one < number);
        let above = numbers.iter().find(|one| **one > number);
        let near: Vec<String> = below.into_iter().chain(above).map(ToString::to_string).collect();
        return format!("the nearest accepted values are {}", near.join(" and "));
    }
    let shown: Vec<String> = allowed.iter().take(12).map(|one| format!("`{}`", plain(one))).collect();
    let more = if allowed.len() > shown.len() { ", …" } else { "" };
    format!("accepted are {}{more}", shown.join(", "))
}

fn names(names: &[&str], word: &str) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} {word} {last}", first.join(", ")),
    }
}

/// The forms of an `anyOf` or `oneOf`, told by what each requires.
fn alternatives(branches: &[Json]) -> String {
    let forms: Vec<String> =
        branches.iter().map(|branch| names(&strings(&branch["required"]).collect::<Vec<_>>(), "and")).collect();
    let told: Vec<String> = forms.into_iter().filter(|form| !form.is_empty()).collect();
    if told.is_empty() { "one of the schema's forms".to_owned() } else { told.join(", or ") }
}
