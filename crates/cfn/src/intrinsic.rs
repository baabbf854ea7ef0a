//! Intrinsic functions and pseudo parameters.
//!
//! `Ref` and `Fn::GetAtt` are not here: they come from a [`Handle`](crate::Handle), so that they always name something
//! that the template holds.

use serde_json::{Value as Json, json};

use crate::value::{IntoList, List, Value};

/// Values that CloudFormation knows in every stack.
pub mod pseudo {
    use crate::value::Value;

    /// Id of the account that the stack is in.
    pub fn account_id() -> Value<String> {
        super::reference("AWS::AccountId")
    }

    /// Region that the stack is in.
    pub fn region() -> Value<String> {
        super::reference("AWS::Region")
    }

    /// Partition of the region: `aws`, `aws-cn`, `aws-us-gov`.
    pub fn partition() -> Value<String> {
        super::reference("AWS::Partition")
    }

    /// ARN of the stack.
    pub fn stack_id() -> Value<String> {
        super::reference("AWS::StackId")
    }

    /// Name of the stack.
    pub fn stack_name() -> Value<String> {
        super::reference("AWS::StackName")
    }

    /// Domain suffix of the region: `amazonaws.com` nearly everywhere.
    pub fn url_suffix() -> Value<String> {
        super::reference("AWS::URLSuffix")
    }

    /// Removes the property that it is given to. For use inside [`either`](crate::either).
    pub fn no_value<T>() -> Value<T> {
        super::reference("AWS::NoValue")
    }
}

/// `Fn::Join`: the texts with `separator` between them.
pub fn join(separator: &str, parts: impl IntoList<String>) -> Value<String> {
    Value::from_json(json!({"Fn::Join": [separator, parts.into_list()]}))
}

/// `Fn::Sub`: text with `${LogicalId}`, `${LogicalId.Attribute}` and `${AWS::Region}` replaced.
///
/// The names are checked with the template, not by the compiler; [`sub_with`] takes typed values instead.
pub fn sub(text: &str) -> Value<String> {
    Value::from_json(json!({"Fn::Sub": text}))
}

/// `Fn::Sub` with variables: each `${name}` is replaced by the value given for it.
pub fn sub_with<V: Into<Value<String>>>(
    text: &str,
    variables: impl IntoIterator<Item = (&'static str, V)>,
) -> Value<String> {
    let variables: serde_json::Map<String, Json> =
        variables.into_iter().map(|(name, value)| (name.to_owned(), value.into().into_inner())).collect();
    Value::from_json(json!({"Fn::Sub": [text, variables]}))
}

/// `Fn::ImportValue`: what another stack of the same region exports under `name`. `T` is the caller's claim.
pub fn import_value<T>(name: impl Into<Value<String>>) -> Value<T> {
    Value::from_json(json!({"Fn::ImportValue": name.into()}))
}

/// `Fn::Select`: the item at `index`, counted from 0.
pub fn select<T>(index: u32, list: impl IntoList<T>) -> Value<T> {
    Value::from_json(json!({"Fn::Select": [index, list.into_list()]}))
}

/// `Fn::Split`: the parts of a text between the `separator`s.
pub fn split(separator: &str, text: impl Into<Value<String>>) -> Value<List<String>> {
    Value::from_json(json!({"Fn::Split": [separator, text.into()]}))
}

/// `Fn::GetAZs`: names of the availability zones of the stack's region.
pub fn availability_zones() -> Value<List<String>> {
    Value::from_json(json!({"Fn::GetAZs": ""}))
}

/// `Fn::Cidr`: `count` address blocks with `bits` host bits each, cut out of `block`.
pub fn cidr(block: impl Into<Value<String>>, count: u32, bits: u32) -> Value<List<String>> {
    Value::from_json(json!({"Fn::Cidr": [block.into(), count, bits]}))
}

/// `Fn::Base64`: the text in Base64, as user data wants it.
pub fn base64(text: impl Into<Value<String>>) -> Value<String> {
    Value::from_json(json!({"Fn::Base64": text.into()}))
}

/// `Fn::If`: one value if the condition holds, else the other.
pub fn either<T>(
    condition: &crate::template::ConditionName,
    holds: impl Into<Value<T>>,
    otherwise: impl Into<Value<T>>,
) -> Value<T> {
    Value::from_json(json!({"Fn::If": [condition.as_str(), holds.into(), otherwise.into()]}))
}

/// `Ref` to anything by name.
pub(crate) fn reference<T>(name: &str) -> Value<T> {
    Value::from_json(json!({"Ref": name}))
}

/// `Fn::GetAtt`.
pub(crate) fn attribute<T>(logical_id: &str, name: &str) -> Value<T> {
    Value::from_json(json!({"Fn::GetAtt": [logical_id, name]}))
}

/// True if CloudFormation puts something else in the place of this fragment.
pub(crate) fn is_intrinsic(json: &Json) -> bool {
    match json {
        Json::Object(map) if map.len() == 1 => map.keys().all(|key| key == "Ref" || key.starts_with("Fn::")),
        // Dynamic references to secrets and parameters.
        Json::String(text) => text.contains("{{resolve:"),
        _ => false,
    }
}

/// True if the fragment takes away what it is given to, as if it weren't set.
pub(crate) fn is_no_value(json: &Json) -> bool {
    Reference::of(json) == Some(Reference::Name("AWS::NoValue"))
}

/// Something of the template that a fragment refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reference<'a> {
    /// `Ref`, or a bare name in `Fn::Sub`.
    Name(&'a str),
    /// `Fn::GetAtt`, or a dotted name in `Fn::Sub`.
    Attribute(&'a str, &'a str),
    /// The condition of an `Fn::If`, or a condition that another one names.
    Condition(&'a str),
}

impl<'a> Reference<'a> {
    /// What this very fragment refers to, if it is a `Ref` or `Fn::GetAtt`.
    pub(crate) fn of(json: &'a Json) -> Option<Self> {
        let map = json.as_object().filter(|map| map.len() == 1)?;
        if let Some(name) = map.get("Ref") {
            return name.as_str().map(Self::Name);
        }
        match map.get("Fn::GetAtt")? {
            Json::String(dotted) => dotted.split_once('.').map(|(name, attribute)| Self::Attribute(name, attribute)),
            Json::Array(parts) => Some(Self::Attribute(parts.first()?.as_str()?, parts.get(1)?.as_str()?)),
            _ => None,
        }
    }

    /// The logical id that this very fragment refers to, if any.
    pub(crate) fn target(json: &'a Json) -> Option<&'a str> {
        match Self::of(json)? {
            Self::Name(name) | Self::Attribute(name, _) => Some(name),
            Self::Condition(_) => None,
        }
    }
}

/// Calls `visit` for everything that a fragment refers to, at any depth.
pub(crate) fn references<'a>(json: &'a Json, visit: &mut impl FnMut(Reference<'a>)) {
    if let Some(reference) = Reference::of(json) {
        visit(reference);
        return;
    }
    match json {
        Json::Array(items) => items.iter().for_each(|item| references(item, visit)),
        Json::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("Fn::Sub", Json::String(text)) => sub_references(text, |_| false, visit),
                    ("Fn::Sub", Json::Array(parts)) => {
                        let variables = parts.get(1).and_then(Json::as_object);
                        if let Some(text) = parts.first().and_then(Json::as_str) {
                            sub_references(text, |name| variables.is_some_and(|map| map.contains_key(name)), visit);
                        }
                        if let Some(variables) = parts.get(1) {
                            references(variables, visit);
                        }
                    }
                    ("Fn::If", Json::Array(parts)) => {
                        if let Some(name) = parts.first().and_then(Json::as_str) {
                            visit(Reference::Condition(name));
                        }
                        parts.iter().skip(1).for_each(|part| references(part, visit));
                    }
                    // A condition that names another one, and the condition of an output.
                    ("Condition", Json::String(name)) => visit(Reference::Condition(name)),
                    _ => references(value, visit),
                }
            }
        }
        _ => {}
    }
}

/// The `${…}` of an `Fn::Sub`, without its own variables and without `${!…}`, which stands for itself.
fn sub_references<'a>(text: &'a str, is_variable: impl Fn(&str) -> bool, visit: &mut impl FnMut(Reference<'a>)) {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("${") {
        let Some((name, remaining)) = after.split_once('}') else {
            return;
        };
        rest = remaining;
        let name = name.trim();
        if name.starts_with('!') || is_variable(name) {
            continue;
        }
        visit(match name.split_once('.') {
            Some((logical_id, attribute)) => Reference::Attribute(logical_id, attribute),
            None => Reference::Name(name),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intrinsics_have_cloudformations_form() {
        for (value, expected) in [
            (pseudo::region(), json!({"Ref": "AWS::Region"})),
            (join(":", ["a", "b"]), json!({"Fn::Join": [":", ["a", "b"]]})),
            (sub("${AWS::StackName}-x"), json!({"Fn::Sub": "${AWS::StackName}-x"})),
            (
                sub_with("${a}-x", [("a", pseudo::region())]),
                json!({"Fn::Sub": ["${a}-x", {"a": {"Ref": "AWS::Region"}}]}),
            ),
            (import_value("shared-bus"), json!({"Fn::ImportValue": "shared-bus"})),
            (select(0, availability_zones()), json!({"Fn::Select": [0, {"Fn::GetAZs": ""}]})),
            (select(1, split(",", "a,b")), json!({"Fn::Select": [1, {"Fn::Split": [",", "a,b"]}]})),
            (base64("x"), json!({"Fn::Base64": "x"})),
        ] {
            assert_eq!(value.as_json(), &expected);
            assert!(!value.is_literal());
        }
        assert!(!Value::<String>::from("{{resolve:ssm:/a}}").is_literal());
        assert!(Value::<String>::from("plain").is_literal());
    }

    #[test]
    fn references_are_found_at_any_depth() {
        let json = json!({
            "a": [{"Ref": "One"}, {"Fn::GetAtt": ["Two", "Arn"]}, {"Fn::GetAtt": "Three.Endpoint.Port"}],
            "b": {"Fn::Sub": "${Four}-${Five.Arn}-${!Literal}-${AWS::Region}"},
            "c": {"Fn::Sub": ["${own}-${Six}", {"own": {"Ref": "Seven"}}]},
            "d": {"Fn::If": ["Eight", {"Ref": "Nine"}, "x"]},
        });
        let mut found = Vec::new();
        references(&json, &mut |reference| found.push(reference));
        let expected = [
            Reference::Name("One"),
            Reference::Attribute("Two", "Arn"),
            Reference::Attribute("Three", "Endpoint.Port"),
            Reference::Name("Four"),
            Reference::Attribute("Five", "Arn"),
            Reference::Name("AWS::Region"),
            Reference::Name("Six"),
            Reference::Name("Seven"),
            Reference::Condition("Eight"),
            Reference::Name("Nine"),
        ];
        assert_eq!(found, expected);
    }
}
