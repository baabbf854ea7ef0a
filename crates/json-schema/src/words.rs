//! The words of a schema: which are known, and what may stand behind them.

use regex::Regex;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The types of JSON, and `integer`.
const TYPES: [&str; 7] = ["array", "boolean", "integer", "null", "number", "object", "string"];

/// What stands behind a word.
enum Form {
    /// For people; not checked.
    Note,
    /// A text.
    Text,
    /// One type or a list of them.
    Types,
    /// A whole number from 0.
    Count,
    /// A number.
    Number,
    /// A regular expression.
    Pattern,
    /// Any value.
    Any,
    /// A list of values.
    Values,
    /// A list of texts.
    Texts,
    /// `#/$defs/<name>`.
    Reference,
    /// A schema.
    Schema,
    /// A list of schemas.
    Schemas,
    /// Names with a schema each.
    Named,
}

fn form(word: &str) -> Option<Form> {
    Some(match word {
        "title" | "description" | "$comment" | "examples" | "default" | "format" => Form::Note,
        "$schema" | "$id" => Form::Text,
        "type" => Form::Types,
        "minLength" | "maxLength" | "minItems" | "maxItems" | "maxProperties" => Form::Count,
        "minimum" | "maximum" => Form::Number,
        "pattern" => Form::Pattern,
        "const" => Form::Any,
        "enum" => Form::Values,
        "required" => Form::Texts,
        "$ref" => Form::Reference,
        "items" | "additionalProperties" | "propertyNames" | "not" | "if" | "then" | "else" => Form::Schema,
        "allOf" | "oneOf" => Form::Schemas,
        "properties" | "$defs" => Form::Named,
        _ => return None,
    })
}

/// Everything that is wrong with a schema.
pub(crate) fn problems(schema: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    visit(schema, "#", &mut |place, words| {
        for (word, value) in words {
            let good = match form(word) {
                None => false,
                Some(Form::Note | Form::Any | Form::Schema | Form::Schemas | Form::Named) => true,
                Some(Form::Text) => value.is_string(),
                Some(Form::Types) => {
                    one_or_more(value).all(|value| value.as_str().is_some_and(|text| TYPES.contains(&text)))
                }
                Some(Form::Count) => value.is_u64(),
                Some(Form::Number) => value.is_number(),
                Some(Form::Pattern) => value.as_str().is_some_and(|text| Regex::new(text).is_ok()),
                Some(Form::Values) => value.as_array().is_some_and(|values| !values.is_empty()),
                Some(Form::Texts) => value.as_array().is_some_and(|values| values.iter().all(Value::is_string)),
                Some(Form::Reference) => value.as_str().is_some_and(|reference| resolve(schema, reference).is_some()),
            };
            if !good {
                problems.push(format!("`{place}/{word}` isn't known here, or can't be {value}"));
            }
        }
        let properties = words.get("properties").and_then(Value::as_object);
        let required = words.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        for name in required.filter(|name| properties.is_some_and(|properties| !properties.contains_key(*name))) {
            problems.push(format!("`{place}/required` names `{name}`, which is no property"));
        }
    });
    problems
}

/// What a reference leads to.
pub(crate) fn resolve<'s>(root: &'s Value, reference: &str) -> Option<&'s Value> {
    let name = reference.strip_prefix("#/$defs/")?;
    root.get("$defs")?.get(name)
}

/// Every regular expression of a schema.
pub(crate) fn patterns(schema: &Value) -> BTreeMap<String, Regex> {
    let mut patterns = BTreeMap::new();
    visit(schema, "#", &mut |_, words| {
        let text = words.get("pattern").and_then(Value::as_str);
        patterns.extend(text.and_then(|text| Some((text.to_owned(), Regex::new(text).ok()?))));
    });
    patterns
}

/// The places of all members of objects that the schema describes. What it only asks about members elsewhere isn't counted.
pub(crate) fn members(schema: &Value) -> BTreeSet<String> {
    let mut members = BTreeSet::new();
    visit(schema, "#", &mut |place, words| {
        if !is_object(words) {
            return;
        }
        let names = words.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::keys);
        members.extend(names.map(|name| format!("{place}/properties/{name}")));
    });
    members
}

/// Forbids members that aren't named, in every object that is described and doesn't say anything about them.
pub(crate) fn close(schema: &mut Value) {
    let Value::Object(words) = schema else { return };
    if is_object(words) && words.contains_key("properties") {
        words.entry("additionalProperties").or_insert(Value::Bool(false));
    }
    for (word, value) in words {
        match form(word) {
            Some(Form::Schema) => close(value),
            Some(Form::Schemas) => value.as_array_mut().into_iter().flatten().for_each(close),
            Some(Form::Named) => value.as_object_mut().into_iter().flatten().for_each(|(_, value)| close(value)),
            _ => {}
        }
    }
}

fn is_object(words: &Map<String, Value>) -> bool {
    words.get("type").is_some_and(|kind| kind == "object")
}

/// Shows every schema within a schema with its place.
fn visit(schema: &Value, place: &str, see: &mut impl FnMut(&str, &Map<String, Value>)) {
    let Value::Object(words) = schema else { return };
    see(place, words);
    for (word, value) in words {
        let place = format!("{place}/{word}");
        match (form(word), value) {
            (Some(Form::Schema), schema) => visit(schema, &place, see),
            (Some(Form::Schemas), Value::Array(schemas)) => {
                schemas.iter().enumerate().for_each(|(index, schema)| visit(schema, &format!("{place}/{index}"), see));
            }
            (Some(Form::Named), Value::Object(schemas)) => {
                schemas.iter().for_each(|(name, schema)| visit(schema, &format!("{place}/{name}"), see));
            }
            _ => {}
        }
    }
}

/// A value, or the values of a list.
pub(crate) fn one_or_more(value: &Value) -> impl Iterator<Item = &Value> {
    match value {
        Value::Array(values) => values.iter(),
        one => std::slice::from_ref(one).iter(),
    }
}
