//! A deployed or a new template: what every other module may rely on without asking again.
//!
//! Only the outline is checked, so that whatever CloudFormation once accepted can be compared.

use std::sync::LazyLock;

use serde_json::{Map, Value};

use crate::pieces::is_no_value;

/// A template whose outline is known to be right.
///
/// Invariant: an object; `Resources` is an object of objects, each with a text `Type` and, if at all, an object
/// `Properties`.
#[derive(Clone, Debug, PartialEq)]
pub struct Template(Value);

/// A template that can't be compared.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The text isn't JSON.
    #[error("the template is no JSON; a template in YAML has to be converted first, for example by `synth synth`")]
    NoJson(#[source] serde_json::Error),
    /// Something isn't of the form that CloudFormation asks for.
    #[error("`{path}` of the template is {found}, and {needed} is needed there")]
    Form {
        /// Where: names with `/` between them.
        path: String,
        /// What is there.
        found: &'static str,
        /// What belongs there.
        needed: &'static str,
    },
}

impl Template {
    /// Reads a template's text.
    ///
    /// # Errors
    /// The text isn't JSON, or not a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        Self::new(serde_json::from_str(text).map_err(TemplateError::NoJson)?)
    }

    /// Takes a template that was read before.
    ///
    /// # Errors
    /// It isn't a template.
    pub fn new(document: Value) -> Result<Self, TemplateError> {
        let resources = document.get("Resources").unwrap_or(&Value::Null);
        let Some(resources) = resources.as_object() else {
            return Err(wrong("Resources", resources, "an object of resources"));
        };
        for (logical_id, resource) in resources {
            let type_name = &resource["Type"];
            if !resource.is_object() {
                return Err(wrong(&format!("Resources/{logical_id}"), resource, "an object"));
            }
            if !type_name.is_string() {
                return Err(wrong(&format!("Resources/{logical_id}/Type"), type_name, "the name of a resource type"));
            }
            if let Some(properties) = resource.get("Properties").filter(|properties| !properties.is_object()) {
                return Err(wrong(&format!("Resources/{logical_id}/Properties"), properties, "an object"));
            }
        }
        Ok(Self(document))
    }

    /// The template as it was read.
    pub fn document(&self) -> &Value {
        &self.0
    }

    /// Every resource with its logical id.
    pub(crate) fn resources(&self) -> impl Iterator<Item = (&str, Resource<'_>)> {
        self.section("Resources").iter().map(|(id, resource)| (id.as_str(), Resource(resource)))
    }

    pub(crate) fn resource(&self, logical_id: &str) -> Option<Resource<'_>> {
        self.0["Resources"].get(logical_id).map(Resource)
    }

    /// A part of the template, such as `Outputs`; empty where there is none.
    pub(crate) fn section(&self, name: &str) -> &Map<String, Value> {
        self.0.get(name).and_then(Value::as_object).unwrap_or(&EMPTY)
    }
}

/// Stands for what a template leaves out.
static EMPTY: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

impl TryFrom<Value> for Template {
    type Error = TemplateError;

    fn try_from(document: Value) -> Result<Self, TemplateError> {
        Self::new(document)
    }
}

fn wrong(path: &str, found: &Value, needed: &'static str) -> TemplateError {
    let found = match found {
        Value::Null => "missing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    };
    TemplateError::Form { path: path.to_owned(), found, needed }
}

/// One resource of a template.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Resource<'a>(pub(crate) &'a Value);

impl<'a> Resource<'a> {
    pub(crate) fn type_name(self) -> &'a str {
        self.0["Type"].as_str().unwrap_or_default()
    }

    pub(crate) fn properties(self) -> &'a Map<String, Value> {
        self.0.get("Properties").and_then(Value::as_object).unwrap_or(&EMPTY)
    }

    /// The value at a path, or the innermost one above it where a function or nothing is on the way.
    pub(crate) fn nearest(self, path: &str) -> Option<&'a Value> {
        let mut parts = path.split('/');
        let mut nearest = self.properties().get(parts.next()?)?;
        for part in parts {
            let below = match nearest {
                Value::Array(items) => part.parse::<usize>().ok().and_then(|at| items.get(at)),
                other => other.get(part),
            };
            match below {
                Some(below) => nearest = below,
                None => break,
            }
        }
        Some(nearest)
    }

    /// A property by its path: `Replicas/0/Region`. `AWS::NoValue` is none.
    pub(crate) fn at(self, path: &str) -> Option<&'a Value> {
        let mut parts = path.split('/');
        let first = self.properties().get(parts.next()?)?;
        let found = parts.try_fold(first, |value, part| match value {
            Value::Array(items) => items.get(part.parse::<usize>().ok()?),
            other => other.get(part),
        });
        found.filter(|value| !is_no_value(value))
    }

    /// An attribute beside the properties: `DeletionPolicy`.
    pub(crate) fn attribute(self, name: &str) -> Option<&'a Value> {
        self.0.get(name)
    }

    /// Whether the real thing stays when the resource leaves the template.
    pub(crate) fn is_kept(self) -> bool {
        matches!(self.attribute("DeletionPolicy").and_then(Value::as_str), Some("Retain" | "RetainExceptOnCreate"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_template_is_refused_with_its_place() {
        for (text, message) in [
            (
                "Resources:",
                "the template is no JSON; a template in YAML has to be converted first, for example by `synth synth`",
            ),
            ("[]", "`Resources` of the template is missing, and an object of resources is needed there"),
            (
                r#"{"Resources":[]}"#,
                "`Resources` of the template is a list, and an object of resources is needed there",
            ),
            (r#"{"Resources":{"A":1}}"#, "`Resources/A` of the template is a number, and an object is needed there"),
            (
                r#"{"Resources":{"A":{"Type":true}}}"#,
                "`Resources/A/Type` of the template is a truth value, and the name of a resource type is needed there",
            ),
            (
                r#"{"Resources":{"A":{"Type":"T","Properties":"x"}}}"#,
                "`Resources/A/Properties` of the template is text, and an object is needed there",
            ),
        ] {
            assert_eq!(Template::parse(text).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_property_is_found_by_its_path() {
        let value = serde_json::json!({"Type": "T", "Properties": {"A": [{"B": "x"}]}});
        assert_eq!(Resource(&value).at("A/0/B"), Some(&Value::from("x")));
        assert_eq!(Resource(&value).at("A/1"), None);
        assert_eq!(Resource(&value).nearest("A/0/C/D"), Some(&serde_json::json!({"B": "x"})));
        assert_eq!(Resource(&value).nearest("B"), None);
    }
}
