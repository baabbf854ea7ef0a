//! Policy documents, as far as their form goes: what they allow is the matter of [`crate::access`].

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{Comparison, Difference, Path, Side, difference, label};
use crate::pieces::{is_intrinsic, scalar_text};

/// Whether the value is a policy document.
pub(crate) fn is_document(value: &Value) -> bool {
    match value.get("Statement") {
        Some(Value::Array(items)) => !items.is_empty() && items.iter().all(is_statement),
        Some(one) => is_statement(one),
        None => false,
    }
}

/// Whether the value is a policy's statement.
pub(crate) fn is_statement(value: &Value) -> bool {
    value.get("Effect").is_some() && (value.get("Action").is_some() || value.get("NotAction").is_some())
}

impl Comparison<'_> {
    pub(super) fn documents<'a>(
        &self,
        before: &'a Map<String, Value>,
        after: &'a Map<String, Value>,
        path: &Path<'_>,
        found: &mut Vec<Difference<'a>>,
    ) {
        for (name, value) in before.iter().filter(|(name, _)| *name != "Statement") {
            self.optional(Some(value), after.get(name), &path.property(name), found);
        }
        for (name, value) in after.iter().filter(|(name, _)| *name != "Statement" && !before.contains_key(*name)) {
            self.optional(None, Some(value), &path.property(name), found);
        }
        let list = |map: &'a Map<String, Value>| match map.get("Statement") {
            Some(Value::Array(items)) => items.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => &[],
        };
        self.align(list(before), list(after), &path.property("Statement"), found);
    }

    /// Statements with the same Sid are compared, and those without one that are most alike; equal ones are left out.
    fn align<'a>(&self, before: &'a [Value], after: &'a [Value], path: &Path<'_>, found: &mut Vec<Difference<'a>>) {
        let mut new: BTreeMap<String, Vec<&'a Value>> = BTreeMap::new();
        for statement in after {
            new.entry(self.statement_text(statement, Side::After)).or_default().push(statement);
        }
        let mut old: Vec<&'a Value> = Vec::new();
        for statement in before {
            let same = new.get_mut(&self.statement_text(statement, Side::Before));
            if same.and_then(Vec::pop).is_none() {
                old.push(statement);
            }
        }
        let mut fresh: Vec<&'a Value> = new.into_values().flatten().collect();
        old.sort_by_cached_key(|statement| self.statement_text(statement, Side::Before));
        for (at, statement) in old.into_iter().enumerate() {
            let sid = statement.get("Sid").and_then(Value::as_str);
            let partner = match sid {
                Some(sid) => fresh.iter().position(|other| other["Sid"] == *sid),
                None => self.most_alike(statement, &fresh),
            };
            let place = at.to_string();
            let label = label(sid.unwrap_or(&place));
            let item = path.item(&label);
            match partner.map(|at| fresh.remove(at)) {
                Some(partner) => match (statement.as_object(), partner.as_object()) {
                    (Some(left), Some(right)) => self.statements(left, right, &item, found),
                    _ => found.push(difference(Some(statement), Some(partner), &item)),
                },
                None => found.push(difference(Some(statement), None, &item)),
            }
        }
        for (at, statement) in fresh.into_iter().enumerate() {
            let place = at.to_string();
            let label = label(statement.get("Sid").and_then(Value::as_str).unwrap_or(&place));
            found.push(difference(None, Some(statement), &path.item(&label)));
        }
    }

    /// The statement without a Sid that shares the most fields, of those that do the same and share something else.
    fn most_alike(&self, statement: &Value, others: &[&Value]) -> Option<usize> {
        let shared = |other: &Value| {
            let fields = statement.as_object().into_iter().flatten();
            let same = fields.filter(|(name, value)| {
                let field = other.get(name.as_str()).map(|other| self.field_text(other, Side::After));
                field == Some(self.field_text(value, Side::Before))
            });
            same.count()
        };
        let is_candidate = |other: &Value| other.get("Sid").is_none() && other["Effect"] == statement["Effect"];
        let candidates = others.iter().enumerate().filter(|(_, other)| is_candidate(other));
        let best = candidates.map(|(at, other)| (shared(other), std::cmp::Reverse(at))).max()?;
        (best.0 > 1).then_some(best.1.0)
    }

    /// Field by field, with lists as sets.
    pub(super) fn statements<'a>(
        &self,
        before: &'a Map<String, Value>,
        after: &'a Map<String, Value>,
        path: &Path<'_>,
        found: &mut Vec<Difference<'a>>,
    ) {
        let text = |value: Option<&Value>, side| value.map(|value| self.field_text(value, side));
        let names = before.keys().chain(after.keys().filter(|name| !before.contains_key(*name)));
        for name in names {
            let (left, right) = (before.get(name), after.get(name));
            if left != right && text(left, Side::Before) != text(right, Side::After) {
                found.push(difference(left, right, &path.property(name)));
            }
        }
    }

    fn statement_text(&self, statement: &Value, side: Side) -> String {
        let fields = statement.as_object().into_iter().flatten();
        let fields: Map<String, Value> =
            fields.map(|(name, value)| (name.clone(), Value::String(self.field_text(value, side)))).collect();
        Value::Object(fields).to_string()
    }

    /// A field of a statement in one way of writing.
    fn field_text(&self, value: &Value, side: Side) -> String {
        as_sets(&self.canonical(value, side)).to_string()
    }
}

/// Every list sorted and without repetitions, every scalar a list of one text.
fn as_sets(value: &Value) -> Value {
    match value {
        // A function's arguments have their order.
        Value::Object(_) if is_intrinsic(value) => Value::Array(vec![value.clone()]),
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), as_sets(value))).collect(),
        Value::Array(items) => {
            let mut texts: Vec<Value> = items.iter().map(single).collect();
            texts.sort_by_cached_key(Value::to_string);
            texts.dedup();
            Value::Array(texts)
        }
        scalar => Value::Array(vec![single(scalar)]),
    }
}

fn single(value: &Value) -> Value {
    scalar_text(value).map_or_else(|| value.clone(), |text| Value::String(text.into_owned()))
}
