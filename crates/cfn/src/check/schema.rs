//! A resource's properties against its schema.

use std::borrow::Cow;
use std::fmt;

use serde_json::{Map, Value as Json};

use super::{Violation, pattern};
use crate::describe::TypeDescription;
use crate::intrinsic::{is_intrinsic, is_no_value};
use crate::schema::{Accepted, Branch, Demand, Names, Schema, Shape};
use crate::template::Declaration;

pub(super) fn check(declaration: &Declaration, description: &'static TypeDescription, found: &mut Vec<Violation>) {
    let checker = Checker { declaration };
    let properties = declaration.properties().as_map();
    for demand in description.schema.0 {
        match demand {
            // Most types have no combinations at the top, and their properties can be large.
            Demand::AllOf(_) | Demand::AnyOf(_) | Demand::OneOf(_) => {
                checker.combination(demand, &Json::Object(properties.clone()), &Path::ROOT, found);
            }
            demand => checker.object(demand, properties, &Path::ROOT, found),
        }
    }
}

/// Where a value is. Written out only when something is wrong with it.
struct Path<'a> {
    above: Option<&'a Self>,
    name: Name<'a>,
}

enum Name<'a> {
    Property(&'a str),
    Item(usize),
}

impl Path<'_> {
    const ROOT: Self = Self { above: None, name: Name::Property("") };

    fn property<'a>(&'a self, name: &'a str) -> Path<'a> {
        Path { above: Some(self), name: Name::Property(name) }
    }

    fn item(&self, index: usize) -> Path<'_> {
        Path { above: Some(self), name: Name::Item(index) }
    }
}

/// Names with `/` between them; empty for the resource as a whole.
impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(above) = self.above else { return Ok(()) };
        if above.above.is_some() {
            write!(f, "{above}/")?;
        }
        match self.name {
            Name::Property(name) => f.write_str(name),
            Name::Item(index) => write!(f, "{index}"),
        }
    }
}

struct Checker<'a> {
    declaration: &'a Declaration,
}

impl Checker<'_> {
    fn node(&self, schema: &'static Schema, value: &Json, path: &Path<'_>, found: &mut Vec<Violation>) {
        if is_intrinsic(value) {
            return;
        }
        for demand in schema.0 {
            self.demand(demand, value, path, found);
        }
    }

    fn demand(&self, demand: &'static Demand, value: &Json, path: &Path<'_>, found: &mut Vec<Violation>) {
        match demand {
            Demand::Refers(schema) => self.node(schema, value, path, found),
            Demand::AllOf(_) | Demand::AnyOf(_) | Demand::OneOf(_) => self.combination(demand, value, path, found),
            Demand::Enum(_) | Demand::EnumAnyCase(_) | Demand::Const(_) => self.choice(demand, value, path, found),
            Demand::Type(shapes) => self.shape(shapes, value, path, found),
            demand => match value {
                Json::String(text) => self.text(demand, text, path, found),
                Json::Number(number) => self.number(demand, number, path, found),
                Json::Array(items) => self.list(demand, items, path, found),
                Json::Object(map) => self.object(demand, map, path, found),
                Json::Null | Json::Bool(_) => {}
            },
        }
    }

    /// `allOf`, `anyOf`, `oneOf`, `if` and `then`.
    fn combination(&self, demand: &'static Demand, value: &Json, path: &Path<'_>, found: &mut Vec<Violation>) {
        match demand {
            Demand::AllOf(branches) => {
                for Branch { condition, then } in *branches {
                    if condition.as_ref().is_none_or(|condition| self.fits(condition, value)) {
                        self.node(then, value, path, found);
                    }
                }
            }
            Demand::AnyOf(branches) if !branches.iter().any(|branch| self.fits(branch, value)) => {
                self.report("any-of", format!("needs {}", alternatives(branches)), path, found);
            }
            Demand::OneOf(branches) => self.one_of(branches, value, path, found),
            _ => {}
        }
    }

    fn one_of(&self, branches: &'static [Schema], value: &Json, path: &Path<'_>, found: &mut Vec<Violation>) {
        let told_by_required = branches.iter().all(|branch| required(branch).is_some());
        match branches.iter().filter(|branch| self.fits(branch, value)).count() {
            0 if told_by_required => {
                self.report("one-of", format!("needs exactly one form: {}", alternatives(branches)), path, found);
            }
            // What is wrong with the form that comes closest says more than that none fits.
            0 => {
                let wrong = branches.iter().map(|branch| self.against(branch, value, path)).min_by_key(Vec::len);
                for violation in wrong.into_iter().flatten() {
                    if !found.contains(&violation) {
                        found.push(violation);
                    }
                }
            }
            1 => {}
            _ if told_by_required => {
                self.report("one-of", format!("takes only one form: {}", alternatives(branches)), path, found);
            }
            // Forms without a required property overlap by nature.
            _ => {}
        }
    }

    /// True if nothing in the value is against the schema.
    fn fits(&self, schema: &'static Schema, value: &Json) -> bool {
        self.against(schema, value, &Path::ROOT).is_empty()
    }

    fn against(&self, schema: &'static Schema, value: &Json, path: &Path<'_>) -> Vec<Violation> {
        let mut found = Vec::new();
        self.node(schema, value, path, &mut found);
        found
    }

    fn choice(&self, demand: &'static Demand, value: &Json, path: &Path<'_>, found: &mut Vec<Violation>) {
        let given = plain(value);
        let refusal = || self.violation("enum", format!("`{given}` is not accepted"), path);
        match demand {
            Demand::Enum(accepted) if !accepted.texts.contains(&&*given) => {
                found.push(refusal().hint(nearest(accepted, value)));
            }
            Demand::EnumAnyCase(accepted)
                if !accepted.texts.iter().any(|one| one.to_lowercase() == given.to_lowercase()) =>
            {
                found.push(refusal().hint(nearest(accepted, value)));
            }
            Demand::Const(constant) if *constant != given => {
                self.report("enum", format!("`{given}` is not accepted, only `{constant}`"), path, found);
            }
            _ => {}
        }
    }

    fn text(&self, demand: &'static Demand, text: &str, path: &Path<'_>, found: &mut Vec<Violation>) {
        let length = || text.chars().count() as u64;
        match demand {
            Demand::MinLength(least) => self.least(length(), *least, "character", path, found),
            Demand::MaxLength(most) => self.most(length(), *most, "character", path, found),
            Demand::Pattern(wanted) if !pattern::finds(*wanted, text) => {
                let message = format!("`{text}` does not have the form that AWS accepts");
                let violation = self.violation("pattern", message, path);
                found.push(violation.hint(format!("it has to match `{}`", wanted.text())));
            }
            _ => {}
        }
    }

    fn number(
        &self,
        demand: &'static Demand,
        number: &serde_json::Number,
        path: &Path<'_>,
        found: &mut Vec<Violation>,
    ) {
        let Some(value) = number.as_f64() else { return };
        match demand {
            Demand::Minimum(minimum) if value < *minimum => {
                self.report("range", format!("{number} is below the minimum of {minimum}"), path, found);
            }
            Demand::Maximum(maximum) if value > *maximum => {
                self.report("range", format!("{number} is above the maximum of {maximum}"), path, found);
            }
            _ => {}
        }
    }

    fn list(&self, demand: &'static Demand, items: &[Json], path: &Path<'_>, found: &mut Vec<Violation>) {
        let count = items.len() as u64;
        match demand {
            Demand::MinItems(least) => self.least(count, *least, "item", path, found),
            Demand::MaxItems(most) => self.most(count, *most, "item", path, found),
            Demand::Unique => {
                for index in repeated(items, |item| item) {
                    self.report("unique", "it is in the list twice".to_owned(), &path.item(index), found);
                }
            }
            Demand::MaxUniqueItems(most) if count > *most => {
                self.report("length", format!("has {count} items, at most {most} are accepted"), path, found);
            }
            Demand::UniqueKeys(keys) => {
                let key_of = |item: &Json| keys.iter().map(|key| item[*key].clone()).collect::<Vec<_>>();
                for index in repeated(items, key_of) {
                    let message = format!("another item has the same {}", names(keys, "and"));
                    self.report("unique", message, &path.item(index), found);
                }
            }
            Demand::Items(each) => {
                for (index, item) in items.iter().enumerate() {
                    self.node(each, item, &path.item(index), found);
                }
            }
            Demand::PrefixItems(first) => {
                for (index, (item, schema)) in items.iter().zip(*first).enumerate() {
                    self.node(schema, item, &path.item(index), found);
                }
            }
            _ => {}
        }
    }

    fn object(&self, demand: &'static Demand, map: &Map<String, Json>, path: &Path<'_>, found: &mut Vec<Violation>) {
        let count = map.len() as u64;
        match demand {
            Demand::MinProperties(least) => self.least(count, *least, "entry", path, found),
            Demand::MaxProperties(most) => self.most(count, *most, "entry", path, found),
            Demand::Required(required) => {
                for name in required.iter().filter(|name| map.get(**name).is_none_or(is_no_value)) {
                    self.report("required", format!("`{name}` is missing"), path, found);
                }
            }
            Demand::Names(names) => self.names(names, map, path, found),
            demand => self.exclusive(demand, map, path, found),
        }
    }

    fn names(&self, names: &'static Names, map: &Map<String, Json>, path: &Path<'_>, found: &mut Vec<Violation>) {
        for (name, value) in map {
            let inside = path.property(name);
            let property = names.property(name);
            if let Some(schema) = property {
                self.node(schema, value, &inside, found);
            }
            let mut known = property.is_some();
            for (_, schema) in names.patterns.iter().filter(|(wanted, _)| pattern::finds(*wanted, name)) {
                known = true;
                self.node(schema, value, &inside, found);
            }
            if !known && names.closed {
                let rule = if names.patterns.is_empty() { "unknown-property" } else { "pattern" };
                self.report(rule, format!("`{name}` is not a name that is accepted here"), path, found);
            }
        }
    }

    /// What must or must not stand together.
    fn exclusive(&self, demand: &'static Demand, map: &Map<String, Json>, path: &Path<'_>, found: &mut Vec<Violation>) {
        let present = |names: &[&'static str]| -> Vec<&'static str> {
            names.iter().copied().filter(|name| map.contains_key(*name)).collect()
        };
        match demand {
            Demand::RequiredXor(exactly_one) => match present(exactly_one).as_slice() {
                [_] => {}
                [] => self.report("required", format!("needs one of {}", names(exactly_one, "or")), path, found),
                several => {
                    self.report("excluded", format!("{} exclude each other", names(several, "and")), path, found);
                }
            },
            Demand::RequiredOr(at_least_one) if present(at_least_one).is_empty() => {
                self.report("required", format!("needs one of {}", names(at_least_one, "or")), path, found);
            }
            Demand::DependentRequired(dependents) => {
                for (name, needed) in dependents.iter().filter(|(name, _)| map.contains_key(*name)) {
                    for missing in needed.iter().filter(|needed| !map.contains_key(**needed)) {
                        self.report("required", format!("`{name}` needs `{missing}` beside it"), path, found);
                    }
                }
            }
            Demand::DependentExcluded(dependents) => {
                for (name, excluded) in dependents.iter().filter(|(name, _)| map.contains_key(*name)) {
                    for other in excluded.iter().filter(|other| map.contains_key(**other)) {
                        // The schemas name most pairs from both sides; one report is enough.
                        let mirrored = dependents.iter().any(|(from, to)| from == other && to.contains(name));
                        if !mirrored || name < other {
                            self.report("excluded", format!("`{name}` and `{other}` exclude each other"), path, found);
                        }
                    }
                }
            }
            _ => {}
        }
    }

    /// A list where an object belongs and the like. Scalars pass: CloudFormation turns them into each other.
    fn shape(&self, shapes: &'static [Shape], value: &Json, path: &Path<'_>, found: &mut Vec<Violation>) {
        let fits = |shape: &Shape| match value {
            Json::Array(_) => *shape == Shape::Array,
            Json::Object(_) => *shape == Shape::Object,
            _ => matches!(shape, Shape::Scalar(_)),
        };
        if !shapes.is_empty() && !shapes.iter().any(fits) {
            let shape = match value {
                Json::Array(_) => "array",
                Json::Object(_) => "object",
                _ => "scalar",
            };
            let wanted: Vec<&str> = shapes.iter().map(|shape| shape.as_str()).collect();
            self.report("type", format!("holds {shape}, needs {}", names(&wanted, "or")), path, found);
        }
    }

    fn least(&self, count: u64, least: u64, unit: &str, path: &Path<'_>, found: &mut Vec<Violation>) {
        if count < least {
            let message = format!("has {}, needs at least {least}", counted(count, unit));
            self.report("length", message, path, found);
        }
    }

    fn most(&self, count: u64, most: u64, unit: &str, path: &Path<'_>, found: &mut Vec<Violation>) {
        if count > most {
            let message = format!("has {}, at most {most} are accepted", counted(count, unit));
            self.report("length", message, path, found);
        }
    }

    fn violation(&self, rule: &'static str, message: String, path: &Path<'_>) -> Violation {
        Violation::new(rule, message).of(self.declaration).at(path.to_string())
    }

    /// Reports it, unless a rule that stands twice in the schema has already.
    fn report(&self, rule: &'static str, message: String, path: &Path<'_>, found: &mut Vec<Violation>) {
        let violation = self.violation(rule, message, path);
        if !found.contains(&violation) {
            found.push(violation);
        }
    }
}

/// Places of the items whose key an earlier item has.
fn repeated<'a, K: PartialEq>(items: &'a [Json], key: impl Fn(&'a Json) -> K) -> Vec<usize> {
    let keys: Vec<K> = items.iter().map(key).collect();
    (0..keys.len()).filter(|index| keys[..*index].contains(&keys[*index])).collect()
}

fn required(schema: &Schema) -> Option<&'static [&'static str]> {
    schema.0.iter().find_map(|demand| if let Demand::Required(names) = demand { Some(*names) } else { None })
}

fn plain(json: &Json) -> Cow<'_, str> {
    json.as_str().map_or_else(|| Cow::Owned(json.to_string()), Cow::Borrowed)
}

fn counted(count: u64, unit: &str) -> String {
    match (count, unit) {
        (1, unit) => format!("1 {unit}"),
        (count, "entry") => format!("{count} entries"),
        (count, unit) => format!("{count} {unit}s"),
    }
}

/// What is accepted instead: the two neighbours of a number, else the list.
fn nearest(accepted: &Accepted, value: &Json) -> String {
    if let (true, Some(number)) = (accepted.numbers, value.as_f64()) {
        let mut numbers: Vec<f64> = accepted.texts.iter().filter_map(|text| text.parse().ok()).collect();
        numbers.sort_unstable_by(f64::total_cmp);
        let below = numbers.iter().rev().find(|one| **one < number);
        let above = numbers.iter().find(|one| **one > number);
        let near: Vec<String> = below.into_iter().chain(above).map(ToString::to_string).collect();
        return format!("the nearest accepted values are {}", near.join(" and "));
    }
    let shown: Vec<String> = accepted.texts.iter().take(12).map(|one| format!("`{one}`")).collect();
    let more = if accepted.texts.len() > shown.len() { ", …" } else { "" };
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
fn alternatives(branches: &[Schema]) -> String {
    let forms = branches.iter().map(|branch| names(required(branch).unwrap_or_default(), "and"));
    let told: Vec<String> = forms.filter(|form| !form.is_empty()).collect();
    if told.is_empty() { "one of the schema's forms".to_owned() } else { told.join(", or ") }
}
