//! What a value is made of, however it is written.
//!
//! `Fn::Sub`, `Fn::Join`, `Ref` and `Fn::GetAtt` can say the same in many ways. Taken apart into literal text and
//! references, equal values are equal lists.

use std::borrow::Cow;

use serde_json::Value;

/// A part of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    Literal(Cow<'a, str>),
    /// `Ref` (without attribute) or `Fn::GetAtt`.
    Reference(&'a str, Option<Cow<'a, str>>),
    /// Whatever else CloudFormation computes, as canonical text.
    Opaque(String),
}

/// Gives a parameter's value where it is known.
pub(crate) type Resolve<'r> = &'r dyn Fn(&str) -> Option<String>;

/// Leaves every reference as it is.
pub(crate) fn unresolved(_: &str) -> Option<String> {
    None
}

/// Whether CloudFormation computes the value: an object of one of its functions.
pub(crate) fn is_intrinsic(value: &Value) -> bool {
    intrinsic(value).is_some()
}

/// The function and its argument.
pub(crate) fn intrinsic(value: &Value) -> Option<(&str, &Value)> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    let (name, argument) = map.iter().next()?;
    (name == "Ref" || name.starts_with("Fn::")).then_some((name.as_str(), argument))
}

/// Whether the value stands for no value at all.
pub(crate) fn is_no_value(value: &Value) -> bool {
    matches!(intrinsic(value), Some(("Ref", Value::String(name))) if name == "AWS::NoValue")
}

/// Takes a scalar or an intrinsic apart.
pub(crate) fn pieces<'a>(value: &'a Value, resolve: Resolve<'_>) -> Vec<Piece<'a>> {
    let mut found = Vec::new();
    take_apart(value, resolve, &mut found);
    found
}

/// A scalar as CloudFormation would hand it over as text.
pub(crate) fn scalar_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Bool(_) | Value::Number(_) => Some(Cow::Owned(value.to_string())),
        _ => None,
    }
}

fn take_apart<'a>(value: &'a Value, resolve: Resolve<'_>, found: &mut Vec<Piece<'a>>) {
    if let Some(text) = scalar_text(value) {
        return push_literal(text, found);
    }
    match intrinsic(value) {
        Some(("Ref", Value::String(name))) => reference(name, None, resolve, found),
        Some(("Fn::GetAtt", argument)) => match attribute(argument) {
            Some((target, name)) => reference(target, Some(name), resolve, found),
            None => found.push(Piece::Opaque(canonical(value, resolve).to_string())),
        },
        Some(("Fn::Sub", Value::String(text))) => substitute(text, None, resolve, found),
        Some(("Fn::Sub", Value::Array(list))) => match list.as_slice() {
            [Value::String(text)] => substitute(text, None, resolve, found),
            [Value::String(text), variables] => substitute(text, Some(variables), resolve, found),
            _ => found.push(Piece::Opaque(canonical(value, resolve).to_string())),
        },
        Some(("Fn::Join", Value::Array(list))) => match list.as_slice() {
            [Value::String(between), Value::Array(parts)] => {
                for (index, part) in parts.iter().enumerate() {
                    if index > 0 {
                        push_literal(Cow::Borrowed(between), found);
                    }
                    take_apart(part, resolve, found);
                }
                if parts.is_empty() {
                    push_literal(Cow::Borrowed(""), found);
                }
            }
            _ => found.push(Piece::Opaque(canonical(value, resolve).to_string())),
        },
        _ => found.push(Piece::Opaque(canonical(value, resolve).to_string())),
    }
}

fn reference<'a>(name: &'a str, attribute: Option<Cow<'a, str>>, resolve: Resolve<'_>, found: &mut Vec<Piece<'a>>) {
    match attribute.is_none().then(|| resolve(name)).flatten() {
        Some(value) => push_literal(Cow::Owned(value), found),
        None => found.push(Piece::Reference(name, attribute)),
    }
}

fn push_literal<'a>(text: Cow<'a, str>, found: &mut Vec<Piece<'a>>) {
    match found.last_mut() {
        Some(Piece::Literal(last)) => last.to_mut().push_str(&text),
        _ => found.push(Piece::Literal(text)),
    }
}

/// The target and attribute of `Fn::GetAtt`, in either form.
pub(crate) fn attribute(argument: &Value) -> Option<(&str, Cow<'_, str>)> {
    match argument {
        Value::String(text) => text.split_once('.').map(|(target, name)| (target, Cow::Borrowed(name))),
        Value::Array(list) => match list.as_slice() {
            [Value::String(target), Value::String(name)] => Some((target, Cow::Borrowed(name))),
            _ => None,
        },
        _ => None,
    }
}

fn substitute<'a>(text: &'a str, variables: Option<&'a Value>, resolve: Resolve<'_>, found: &mut Vec<Piece<'a>>) {
    if text.is_empty() {
        push_literal(Cow::Borrowed(""), found);
    }
    for part in sub_parts(text) {
        match part {
            SubPart::Literal(text) => push_literal(Cow::Borrowed(text), found),
            SubPart::Variable(name) => match variables.and_then(|variables| variables.get(name)) {
                Some(value) => take_apart(value, resolve, found),
                None => match name.split_once('.') {
                    Some((target, attribute)) => reference(target, Some(Cow::Borrowed(attribute)), resolve, found),
                    None => reference(name, None, resolve, found),
                },
            },
        }
    }
}

/// A part of the text of `Fn::Sub`.
pub(crate) enum SubPart<'a> {
    Literal(&'a str),
    /// What stands between `${` and `}`.
    Variable(&'a str),
}

/// The parts of the text of `Fn::Sub`; `${!x}` is the literal `${x}`.
pub(crate) fn sub_parts(text: &str) -> Vec<SubPart<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let Some(length) = rest[start..].find('}') else { break };
        let name = &rest[start + 2..start + length];
        if start > 0 {
            parts.push(SubPart::Literal(&rest[..start]));
        }
        match name.strip_prefix('!') {
            Some(_) => {
                parts.push(SubPart::Literal("${"));
                parts.push(SubPart::Literal(&rest[start + 3..=start + length]));
            }
            None => parts.push(SubPart::Variable(name.trim())),
        }
        rest = &rest[start + length + 1..];
    }
    if !rest.is_empty() {
        parts.push(SubPart::Literal(rest));
    }
    parts
}

/// The value with every intrinsic in one way of writing; a literal that was computed becomes one.
pub(crate) fn canonical(value: &Value, resolve: Resolve<'_>) -> Value {
    match value {
        Value::Array(items) => {
            items.iter().filter(|item| !is_no_value(item)).map(|item| canonical(item, resolve)).collect()
        }
        Value::Object(map) => match intrinsic(value) {
            Some(("Ref" | "Fn::Sub" | "Fn::Join" | "Fn::GetAtt", _)) => written(value, resolve),
            // Which of a function's arguments is no value makes a difference.
            Some((name, Value::Array(arguments))) => {
                let arguments = arguments.iter().map(|argument| canonical(argument, resolve)).collect();
                Value::Object([(name.to_owned(), Value::Array(arguments))].into_iter().collect())
            }
            _ => {
                let entries = map.iter().filter(|(_, value)| !is_no_value(value));
                Value::Object(entries.map(|(name, value)| (name.clone(), canonical(value, resolve))).collect())
            }
        },
        scalar => scalar.clone(),
    }
}

fn written(value: &Value, resolve: Resolve<'_>) -> Value {
    // What can't be taken apart has to be kept as it is, or this would ask itself for ever.
    let can = match intrinsic(value) {
        Some(("Ref", argument)) => argument.is_string(),
        Some(("Fn::GetAtt", argument)) => attribute(argument).is_some(),
        Some(("Fn::Sub", Value::Array(list))) => matches!(list.as_slice(), [Value::String(_)] | [Value::String(_), _]),
        Some(("Fn::Sub", argument)) => argument.is_string(),
        Some(("Fn::Join", Value::Array(list))) => matches!(list.as_slice(), [Value::String(_), Value::Array(_)]),
        _ => false,
    };
    if !can {
        let map = value.as_object().into_iter().flatten();
        let arguments = map.map(|(name, argument)| (name.clone(), canonical(argument, resolve)));
        return Value::Object(arguments.collect());
    }
    let pieces = pieces(value, resolve);
    match pieces.as_slice() {
        [Piece::Literal(text)] => Value::String(text.to_string()),
        [one] => piece_value(one),
        pieces => serde_json::json!({ "Fn::Join": pieces.iter().map(piece_value).collect::<Vec<_>>() }),
    }
}

fn piece_value(piece: &Piece<'_>) -> Value {
    match piece {
        Piece::Literal(text) => Value::String(text.to_string()),
        Piece::Reference(target, Some(name)) => serde_json::json!({ "Fn::GetAtt": format!("{target}.{name}") }),
        Piece::Reference(target, None) => serde_json::json!({ "Ref": target }),
        Piece::Opaque(text) => serde_json::json!({ "Opaque": text }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn ways_of_writing_are_one() {
        for (left, right) in [
            (json!({"Fn::Sub": "plain"}), json!("plain")),
            (json!({"Fn::Sub": ["plain", {}]}), json!("plain")),
            (json!({"Fn::GetAtt": ["Q", "Arn"]}), json!({"Fn::GetAtt": "Q.Arn"})),
            (json!({"Fn::Sub": "${Q.Arn}"}), json!({"Fn::GetAtt": ["Q", "Arn"]})),
            (json!({"Fn::Sub": "${Q}"}), json!({"Ref": "Q"})),
            (json!({"Fn::Join": ["", [{"Ref": "Q"}, "/x"]]}), json!({"Fn::Sub": "${Q}/x"})),
            (json!({"Fn::Join": ["-", ["a", "b"]]}), json!("a-b")),
            (json!({"Fn::Sub": ["${V}/x", {"V": {"Ref": "Q"}}]}), json!({"Fn::Sub": "${Q}/x"})),
            (json!({"Fn::Sub": "${!Literal}"}), json!("${Literal}")),
            (json!({"Fn::GetAtt": ["Stack", "Outputs.X"]}), json!({"Fn::GetAtt": "Stack.Outputs.X"})),
        ] {
            assert_eq!(pieces(&left, &unresolved), pieces(&right, &unresolved), "{left} and {right}");
            assert_eq!(canonical(&left, &unresolved), canonical(&right, &unresolved), "{left} and {right}");
        }
    }

    #[test]
    fn what_differs_stays_different() {
        for (left, right) in [
            (json!({"Ref": "A"}), json!("A")),
            (json!({"Fn::GetAtt": "A.Arn"}), json!({"Ref": "A"})),
            (json!({"Fn::Sub": "${A}-x"}), json!({"Fn::Sub": "${A}-y"})),
            (json!({"Fn::Select": [0, {"Fn::GetAZs": ""}]}), json!({"Fn::Select": [1, {"Fn::GetAZs": ""}]})),
        ] {
            assert_ne!(pieces(&left, &unresolved), pieces(&right, &unresolved));
        }
    }

    #[test]
    fn no_value_is_nothing_in_a_list_but_something_to_a_function() {
        let none = json!({"Ref": "AWS::NoValue"});
        let choice = |yes: &Value, no: &Value| canonical(&json!({"Fn::If": ["C", yes, no]}), &unresolved);
        assert_ne!(choice(&json!("a"), &none), choice(&none, &json!("a")));
        assert_eq!(canonical(&json!(["a", none]), &unresolved), json!(["a"]));
    }

    #[test]
    fn known_parameters_are_put_in() {
        let resolve = |name: &str| (name == "Env").then(|| "prod".to_owned());
        let value = json!({"Fn::Sub": "x-${Env}-${Other}"});
        let expected = [Piece::Literal("x-prod-".into()), Piece::Reference("Other", None)];
        assert_eq!(pieces(&value, &resolve), expected);
    }

    #[test]
    fn malformed_functions_are_opaque_and_end() {
        for odd in [json!({"Fn::GetAtt": 3}), json!({"Ref": []}), json!({"Fn::Sub": {}}), json!({"Fn::Join": "x"})] {
            assert!(matches!(pieces(&odd, &unresolved).as_slice(), [Piece::Opaque(_)]), "{odd}");
        }
    }
}
