//! What must not be seen, taken out before it gets into a result.

use cfn::TypeDescription;
use serde_json::Value;

use crate::model::Shown;
use crate::parameters::Side;
use crate::pieces::intrinsic;
use crate::references::{Target, each_reference};

/// What stands where a part of a value must not be seen.
pub(crate) const HIDDEN: &str = "(hidden)";

/// A value of a template at a path as the schema writes it.
///
/// A dynamic reference (`{{resolve:…}}`) is shown: it names the secret and doesn't hold it.
pub(crate) fn shown(description: Option<&TypeDescription>, schema_path: &str, value: &Value) -> Shown {
    let write_only = description.map_or(&[] as &[&str], |description| description.write_only);
    if write_only.iter().any(|hidden| is_within(schema_path, hidden)) {
        return if is_reference(value) { Shown::Value(value.clone()) } else { Shown::Hidden };
    }
    let mut value = value.clone();
    for hidden in write_only {
        if let Some(rest) = hidden.strip_prefix(schema_path).and_then(|rest| rest.strip_prefix('/')) {
            hide(&mut value, rest);
        }
    }
    Shown::Value(value)
}

/// A value that comes from outside of the template, at a place where the template has `in_template`.
///
/// What the template keeps in a secret or in a parameter that isn't echoed stands there in clear.
pub(crate) fn shown_from_outside(
    description: Option<&TypeDescription>,
    schema_path: &str,
    in_template: &[Option<&Value>],
    sides: [Side<'_>; 2],
    value: &Value,
) -> Shown {
    let mut is_secret = false;
    for value in in_template.iter().flatten() {
        is_secret |= holds_dynamic_reference(value);
        each_reference(value, &mut |target, _| {
            if let Target::Name(name) = target {
                is_secret |= sides.iter().any(|side| side.is_secret(name));
            }
        });
    }
    if is_secret { Shown::Hidden } else { shown(description, schema_path, value) }
}

/// A declaration of a parameter, whose default may be a secret.
pub(crate) fn shown_parameter(declaration: &Value, is_secret: bool) -> Shown {
    let mut declaration = declaration.clone();
    if is_secret && let Some(default) = declaration.get_mut("Default") {
        *default = Value::String(HIDDEN.to_owned());
    }
    Shown::Value(declaration)
}

fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Names only: a text of `Fn::Sub` or `Fn::Join` may hold the secret itself.
fn is_reference(value: &Value) -> bool {
    matches!(intrinsic(value), Some(("Ref" | "Fn::GetAtt", _)))
        || value.as_str().is_some_and(|text| {
            text.starts_with("{{resolve:") && text.ends_with("}}") && text.matches("{{").count() == 1
        })
}

fn holds_dynamic_reference(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains("{{resolve:"),
        Value::Array(items) => items.iter().any(holds_dynamic_reference),
        Value::Object(map) => map.values().any(holds_dynamic_reference),
        _ => false,
    }
}

fn hide(value: &mut Value, path: &str) {
    let (first, rest) = path.split_once('/').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let below = |value: &mut Value| match rest {
        Some(rest) => hide(value, rest),
        None if is_reference(value) => {}
        None => *value = Value::String(HIDDEN.to_owned()),
    };
    match value {
        Value::Array(items) if first == "*" => items.iter_mut().for_each(below),
        // A function may hold the value in any of its arguments.
        Value::Object(_) if intrinsic(value).is_some() && !is_reference(value) => {
            *value = Value::String(HIDDEN.to_owned());
        }
        Value::Object(map) => {
            if let Some(value) = map.get_mut(first) {
                below(value);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn write_only_values_are_hidden_wherever_they_are() {
        let function = cfn::describe("AWS::Lambda::Function");
        assert_eq!(shown(function, "Code/ZipFile", &json!("code")), Shown::Hidden);
        assert_eq!(
            shown(function, "Code", &json!({"ZipFile": "code", "S3Key": {"Ref": "Key"}})),
            Shown::Value(json!({"ZipFile": "(hidden)", "S3Key": {"Ref": "Key"}}))
        );
        assert_eq!(shown(function, "Code", &json!({"Fn::If": ["A", "x", "y"]})), Shown::Value(json!("(hidden)")));
        assert_eq!(shown(function, "Timeout", &json!(3)), Shown::Value(json!(3)));
    }

    #[test]
    fn a_dynamic_reference_is_shown_and_what_it_resolves_to_is_not() {
        let secret = cfn::describe("AWS::SecretsManager::Secret");
        let reference = json!("{{resolve:secretsmanager:x}}");
        assert_eq!(shown(secret, "SecretString", &reference), Shown::Value(reference.clone()));
        assert_eq!(shown(secret, "SecretString", &json!("pa55")), Shown::Hidden);
        assert!(holds_dynamic_reference(&json!({"a": [reference]})));
    }

    #[test]
    fn the_default_of_a_silent_parameter_is_hidden() {
        let declaration = json!({"Type": "String", "NoEcho": "true", "Default": "pa55"});
        let expected = json!({"Type": "String", "NoEcho": "true", "Default": "(hidden)"});
        assert_eq!(shown_parameter(&declaration, true), Shown::Value(expected));
    }
}
