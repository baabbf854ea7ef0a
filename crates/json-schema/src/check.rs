//! Checking a value.

use crate::words::{one_or_more, resolve};
use regex::Regex;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// One check of one value, with what it found.
pub(crate) struct Check<'s> {
    root: &'s Value,
    patterns: &'s BTreeMap<String, Regex>,
    /// The value's place, as a JSON pointer without escapes: for people.
    at: String,
    pub(crate) problems: Vec<String>,
    /// Places of members in the schema that were met.
    pub(crate) used: BTreeSet<String>,
}

impl<'s> Check<'s> {
    pub(crate) fn new(root: &'s Value, patterns: &'s BTreeMap<String, Regex>) -> Self {
        Self { root, patterns, at: String::new(), problems: Vec::new(), used: BTreeSet::new() }
    }

    /// Checks a value against the whole schema.
    pub(crate) fn value(&mut self, value: &Value) {
        self.schema(self.root, "#", value);
    }

    fn schema(&mut self, schema: &'s Value, place: &str, value: &Value) {
        let words = match schema {
            Value::Bool(true) => return,
            Value::Object(words) => words,
            _ => return self.problem("isn't allowed"),
        };
        for (word, operand) in words {
            let place = format!("{place}/{word}");
            match word.as_str() {
                "$ref" => {
                    let reference = operand.as_str().unwrap_or_default();
                    if let Some(target) = resolve(self.root, reference) {
                        self.schema(target, reference, value);
                    }
                }
                "type" => self.kind(operand, value),
                "enum" if !one_or_more(operand).any(|allowed| allowed == value) => {
                    self.problem("isn't one of the allowed");
                }
                "const" if operand != value => self.problem(&format!("isn't {operand}")),
                "allOf" => self.each(operand, &place, value),
                "oneOf" => {
                    let fitting = one_or_more(operand).filter(|schema| self.fits(schema, value)).count();
                    if fitting == 1 {
                        let fits = |(_, schema): &(usize, &'s Value)| self.fits(schema, value);
                        let fitting = one_or_more(operand).enumerate().find(fits);
                        fitting
                            .into_iter()
                            .for_each(|(index, schema)| self.schema(schema, &format!("{place}/{index}"), value));
                    } else {
                        self.problem(&format!("has {fitting} of the forms of which it must have one"));
                    }
                }
                "not" if self.fits(operand, value) => self.problem("has a form that it may not have"),
                "if" => {
                    let branch = if self.fits(operand, value) { "then" } else { "else" };
                    if let Some(schema) = words.get(branch) {
                        self.schema(schema, &format!("{place}/{branch}"), value);
                    }
                }
                _ => match value {
                    Value::String(text) => self.text(word, operand, text),
                    Value::Number(number) => self.number(word, operand, number.as_f64()),
                    Value::Array(values) => self.list(word, operand, &place, values),
                    Value::Object(members) => self.object(words, word, operand, &place, members),
                    Value::Null | Value::Bool(_) => {}
                },
            }
        }
    }

    fn each(&mut self, schemas: &'s Value, place: &str, value: &Value) {
        for (index, schema) in one_or_more(schemas).enumerate() {
            self.schema(schema, &format!("{place}/{index}"), value);
        }
    }

    fn fits(&self, schema: &'s Value, value: &Value) -> bool {
        let mut check = Self::new(self.root, self.patterns);
        check.schema(schema, "", value);
        check.problems.is_empty()
    }

    fn kind(&mut self, types: &Value, value: &Value) {
        let is = |name: &Value| match value {
            Value::Null => name == "null",
            Value::Bool(_) => name == "boolean",
            Value::Number(number) => name == "number" || (name == "integer" && !number.is_f64()),
            Value::String(_) => name == "string",
            Value::Array(_) => name == "array",
            Value::Object(_) => name == "object",
        };
        if !one_or_more(types).any(is) {
            self.problem(&format!("isn't of the type {types}"));
        }
    }

    fn text(&mut self, word: &str, operand: &Value, text: &str) {
        let length = text.chars().count() as u64;
        let good = match word {
            "minLength" => operand.as_u64().is_some_and(|least| length >= least),
            "maxLength" => operand.as_u64().is_some_and(|most| length <= most),
            "pattern" => {
                operand.as_str().and_then(|text| self.patterns.get(text)).is_some_and(|regex| regex.is_match(text))
            }
            _ => true,
        };
        if !good {
            self.problem(&format!("breaks `{word}`: {operand}"));
        }
    }

    fn number(&mut self, word: &str, operand: &Value, number: Option<f64>) {
        let (Some(number), Some(bound)) = (number, operand.as_f64()) else { return };
        let good = match word {
            "minimum" => number >= bound,
            "maximum" => number <= bound,
            _ => true,
        };
        if !good {
            self.problem(&format!("breaks `{word}`: {operand}"));
        }
    }

    fn list(&mut self, word: &str, operand: &'s Value, place: &str, values: &[Value]) {
        let length = values.len() as u64;
        match word {
            "items" => {
                for (index, value) in values.iter().enumerate() {
                    self.within(&index.to_string(), |check| check.schema(operand, place, value));
                }
            }
            "minItems" if operand.as_u64().is_some_and(|least| length < least) => self.problem("has too few items"),
            "maxItems" if operand.as_u64().is_some_and(|most| length > most) => self.problem("has too many items"),
            _ => {}
        }
    }

    fn object(
        &mut self,
        words: &'s Map<String, Value>,
        word: &str,
        operand: &'s Value,
        place: &str,
        members: &Map<String, Value>,
    ) {
        match word {
            "properties" => {
                for (name, schema) in operand.as_object().into_iter().flatten() {
                    let Some(value) = members.get(name) else { continue };
                    let place = format!("{place}/{name}");
                    self.used.insert(place.clone());
                    self.within(name, |check| check.schema(schema, &place, value));
                }
            }
            "additionalProperties" => {
                let named = words.get("properties").and_then(Value::as_object);
                let others = members.iter().filter(|(name, _)| !named.is_some_and(|named| named.contains_key(*name)));
                for (name, value) in others {
                    self.within(name, |check| check.schema(operand, place, value));
                }
            }
            "propertyNames" => {
                for name in members.keys() {
                    self.within(name, |check| check.schema(operand, place, &Value::from(name.as_str())));
                }
            }
            "required" => {
                let missing =
                    one_or_more(operand).filter_map(Value::as_str).filter(|name| !members.contains_key(*name));
                missing.for_each(|name| self.problem(&format!("lacks the member `{name}`")));
            }
            "maxProperties" if operand.as_u64().is_some_and(|most| members.len() as u64 > most) => {
                self.problem("has too many members");
            }
            _ => {}
        }
    }

    fn within(&mut self, step: &str, check: impl FnOnce(&mut Self)) {
        let length = self.at.len();
        self.at.push('/');
        self.at.push_str(step);
        check(self);
        self.at.truncate(length);
    }

    fn problem(&mut self, problem: &str) {
        self.problems.push(format!("`{}` {problem}", self.at));
    }
}

#[cfg(test)]
mod tests {
    use crate::Schema;
    use serde_json::{Value, json};

    fn schema(schema: &Value) -> Schema {
        Schema::parse(&schema.to_string()).expect("a schema")
    }

    /// Which of some values are good.
    fn check(by: &Value, good: &[Value], bad: &[Value]) {
        let schema = schema(by);
        for value in good {
            assert_eq!(schema.problems(value), Vec::<String>::new(), "{by} {value}");
        }
        for value in bad {
            assert_eq!(schema.problems(value).len(), 1, "{by} {value}");
        }
    }

    #[test]
    fn each_word_does_what_it_says() {
        check(&json!({"type": "integer"}), &[json!(1), json!(-1)], &[json!(1.5), json!("1"), json!(null)]);
        check(&json!({"type": ["number", "null"]}), &[json!(1.5), json!(null), json!(2)], &[json!("x"), json!([])]);
        check(&json!({"enum": ["a", 1]}), &[json!("a"), json!(1)], &[json!("b"), json!(null)]);
        check(&json!({"const": false}), &[json!(false)], &[json!(null), json!(0)]);
        check(&json!({"pattern": "^a+$"}), &[json!("aa"), json!(7)], &[json!("ab"), json!("")]);
        check(&json!({"minLength": 2, "maxLength": 3}), &[json!("üü"), json!("abc")], &[json!("a"), json!("abcd")]);
        check(&json!({"minimum": 0, "maximum": 1.5}), &[json!(0), json!(1.5)], &[json!(-1), json!(1.6)]);
        check(&json!({"minItems": 1, "maxItems": 2}), &[json!([1]), json!([1, 2])], &[json!([]), json!([1, 2, 3])]);
        check(&json!({"items": {"type": "null"}}), &[json!([]), json!([null])], &[json!([null, 1])]);
        check(&json!({"required": ["a"]}), &[json!({"a": null}), json!([])], &[json!({}), json!({"b": 1})]);
        check(&json!({"maxProperties": 1}), &[json!({}), json!({"a": 1})], &[json!({"a": 1, "b": 2})]);
        check(&json!({"propertyNames": {"maxLength": 1}}), &[json!({"a": 1})], &[json!({"ab": 1})]);
        check(&json!({"additionalProperties": {"type": "null"}}), &[json!({"a": null})], &[json!({"a": 1})]);
        check(
            &json!({"properties": {"a": {"type": "string"}}, "additionalProperties": false}),
            &[json!({}), json!({"a": "x"})],
            &[json!({"a": 1}), json!({"b": "x"})],
        );
        check(&json!({"not": {"type": "string"}}), &[json!(1)], &[json!("x")]);
        check(&json!({"oneOf": [{"minimum": 2}, {"maximum": 3}]}), &[json!(1), json!(4)], &[json!(2), json!(3)]);
        check(&json!({"allOf": [{"minimum": 2}, {"maximum": 3}]}), &[json!(2)], &[json!(1), json!(4)]);
        let conditional = json!({"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}});
        check(&conditional, &[json!({"a": 1, "b": 1}), json!({"c": 1})], &[json!({"a": 1}), json!({})]);
        let reference = json!({"$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}});
        check(&reference, &[json!(null)], &[json!(1)]);
        check(&json!({"items": false}), &[json!([])], &[json!([1])]);
    }

    #[test]
    fn problems_say_where() {
        let by = json!({"properties": {"a": {"items": {"type": "string", "maxLength": 1}}}});
        assert_eq!(
            schema(&by).problems(&json!({"a": ["x", "yy", 3]})).join("; "),
            "`/a/1` breaks `maxLength`: 1; `/a/2` isn't of the type \"string\""
        );
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for (by, problems) in [
            (json!({"minlength": 1}), 1),
            (json!({"properties": {"a": {"contains": {}}}}), 1),
            (json!({"type": "text", "enum": [], "pattern": "(", "minLength": -1}), 4),
            (json!({"$ref": "#/$defs/a"}), 1),
            (json!({"$ref": "other.json"}), 1),
            (json!({"required": ["a"], "properties": {"b": {}}}), 1),
            (json!({"$defs": {"a": {"oneOf": [{"x": 1}]}}}), 1),
        ] {
            assert_eq!(Schema::parse(&by.to_string()).expect_err("refused").len(), problems, "{by}");
        }
        assert!(Schema::parse("{").is_err());
    }

    #[test]
    fn closed_objects_have_named_members_only() {
        let by = schema(&json!({"type": "object", "properties": {
            "a": {"type": "object", "properties": {"b": {}}},
            "open": {"type": "object", "properties": {}, "additionalProperties": true},
            "any": {"type": "object"},
        }}));
        let value = json!({"a": {"b": 1, "c": 2}, "open": {"x": 1}, "any": {"x": 1}, "d": 3});
        assert_eq!(by.problems(&value), Vec::<String>::new());
        assert_eq!(by.closed().problems(&value), ["`/d` isn't allowed", "`/a/c` isn't allowed"]);
    }

    #[test]
    fn members_that_nobody_uses_are_told() {
        let by = schema(&json!({
            "type": "object",
            "properties": {"a": {"$ref": "#/$defs/a"}, "b": {}},
            "if": {"properties": {"e": {}}},
            "$defs": {"a": {"type": "object", "properties": {"c": {}, "d": {}}}},
        }));
        let values = [json!({"a": {"c": 1}}), json!({"a": {}})];
        let unused: Vec<String> = by.unused(&values).into_iter().collect();
        assert_eq!(unused, ["#/$defs/a/properties/d", "#/properties/b"]);
    }
}
