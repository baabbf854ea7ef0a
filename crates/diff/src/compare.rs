//! Where two values differ in what they mean.
//!
//! Knows ways of writing that are the same to CloudFormation, lists without order, and policy documents. Doesn't know
//! what a difference brings about.

mod list;
mod policy;

use std::borrow::Cow;
use std::fmt;

use cfn::TypeDescription;
use serde_json::{Map, Value};

pub(crate) use list::item_label;

use crate::pieces::{self, Resolve, canonical, is_intrinsic, is_no_value, pieces};

/// Where a value is. Written out only where something differs.
pub(crate) struct Path<'a> {
    above: Option<&'a Self>,
    name: &'a str,
    is_item: bool,
}

impl<'a> Path<'a> {
    pub(crate) const ROOT: Path<'static> = Path { above: None, name: "", is_item: false };

    pub(crate) fn property<'b>(&'b self, name: &'b str) -> Path<'b>
    where
        'a: 'b,
    {
        Path { above: Some(self), name, is_item: false }
    }

    /// An item of a list, by its key or its place.
    pub(crate) fn item<'b>(&'b self, label: &'b str) -> Path<'b>
    where
        'a: 'b,
    {
        Path { above: Some(self), name: label, is_item: true }
    }

    /// As the schemas write it: `*` for every item.
    pub(crate) fn schema(&self) -> String {
        let Some(above) = self.above else { return String::new() };
        let name = if self.is_item { "*" } else { self.name };
        if above.above.is_some() { format!("{}/{name}", above.schema()) } else { name.to_owned() }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(above) = self.above else { return Ok(()) };
        if above.above.is_some() {
            write!(f, "{above}/")?;
        }
        f.write_str(self.name)
    }
}

/// A place where two values differ.
#[derive(Debug)]
pub(crate) struct Difference<'a> {
    pub(crate) path: String,
    pub(crate) schema_path: String,
    pub(crate) before: Option<&'a Value>,
    pub(crate) after: Option<&'a Value>,
}

/// What is needed to compare.
pub(crate) struct Comparison<'c> {
    /// What the schema says; nothing for a type that isn't known, and outside of properties.
    pub(crate) description: Option<&'static TypeDescription>,
    pub(crate) resolve_before: Resolve<'c>,
    pub(crate) resolve_after: Resolve<'c>,
}

impl Comparison<'_> {
    /// Differences of two sets of properties.
    pub(crate) fn properties<'a>(
        &self,
        before: &'a Map<String, Value>,
        after: &'a Map<String, Value>,
    ) -> Vec<Difference<'a>> {
        let mut found = Vec::new();
        self.maps(before, after, &Path::ROOT, &mut found);
        found
    }

    /// Whether two values mean the same.
    pub(crate) fn same(&self, before: &Value, after: &Value, path: &Path<'_>) -> bool {
        if before == after {
            return true;
        }
        let mut found = Vec::new();
        self.values(before, after, path, &mut found);
        found.is_empty()
    }

    fn maps<'a>(
        &self,
        before: &'a Map<String, Value>,
        after: &'a Map<String, Value>,
        path: &Path<'_>,
        found: &mut Vec<Difference<'a>>,
    ) {
        for (name, before) in before {
            self.optional(Some(before), after.get(name), &path.property(name), found);
        }
        for (name, after) in after {
            if !before.contains_key(name) {
                self.optional(None, Some(after), &path.property(name), found);
            }
        }
    }

    fn optional<'a>(
        &self,
        before: Option<&'a Value>,
        after: Option<&'a Value>,
        path: &Path<'_>,
        found: &mut Vec<Difference<'a>>,
    ) {
        let before = before.filter(|value| !is_no_value(value));
        let after = after.filter(|value| !is_no_value(value));
        match (before, after) {
            (None, None) => {}
            (Some(before), Some(after)) => self.values(before, after, path, found),
            (before, after) => found.push(difference(before, after, path)),
        }
    }

    fn values<'a>(&self, before: &'a Value, after: &'a Value, path: &Path<'_>, found: &mut Vec<Difference<'a>>) {
        if before == after {
            return;
        }
        if is_intrinsic(before) || is_intrinsic(after) {
            if !self.computed_same(before, after) {
                found.push(difference(Some(before), Some(after), path));
            }
            return;
        }
        match (before, after) {
            (Value::Object(left), Value::Object(right)) => {
                if policy::is_document(before) && policy::is_document(after) {
                    self.documents(left, right, path, found);
                } else if policy::is_statement(before) && policy::is_statement(after) {
                    self.statements(left, right, path, found);
                } else {
                    self.maps(left, right, path, found);
                }
            }
            (Value::Array(left), Value::Array(right)) => self.lists(left, right, path, found),
            _ => {
                if !self.scalars_same(before, after, path) {
                    found.push(difference(Some(before), Some(after), path));
                }
            }
        }
    }

    /// What CloudFormation computes, taken apart. A container on one side is never the same as a function on the other.
    fn computed_same(&self, before: &Value, after: &Value) -> bool {
        let is_container = |value: &Value| !is_intrinsic(value) && (value.is_object() || value.is_array());
        if is_container(before) || is_container(after) {
            return false;
        }
        pieces(before, self.resolve_before) == pieces(after, self.resolve_after)
    }

    /// CloudFormation turns scalars into each other where the schema asks for one.
    fn scalars_same(&self, before: &Value, after: &Value, path: &Path<'_>) -> bool {
        let (Some(left), Some(right)) = (pieces::scalar_text(before), pieces::scalar_text(after)) else { return false };
        let converts = || {
            let property = self.description.and_then(|description| description.property(&path.schema()));
            property.is_some_and(cfn::Schema::is_scalar)
        };
        left == right && converts()
    }

    /// A value in one way of writing, to compare or to sort by.
    fn canonical(&self, value: &Value, side: Side) -> Value {
        canonical(value, if side == Side::Before { self.resolve_before } else { self.resolve_after })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

fn difference<'a>(before: Option<&'a Value>, after: Option<&'a Value>, path: &Path<'_>) -> Difference<'a> {
    Difference { path: path.to_string(), schema_path: path.schema(), before, after }
}

/// A key of a list's item as a part of a path: without what separates parts.
fn label(key: &str) -> Cow<'_, str> {
    if key.contains('/') { Cow::Owned(key.replace('/', "\u{2215}")) } else { Cow::Borrowed(key) }
}
