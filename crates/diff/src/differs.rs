//! Whether a name, written alike on both sides, may stand for something else on the other.

use serde_json::Value;

use crate::parameters::Side;
use crate::references::{Target, each_reference};

/// Whether a parameter may have another value on one side than on the other.
pub(crate) fn parameter_differs(one: Side<'_>, other: Side<'_>, name: &str) -> bool {
    let (mine, its) = match (one.declaration(name), other.declaration(name)) {
        (None, None) => return false,
        (Some(mine), Some(its)) => (mine, its),
        _ => return true,
    };
    if one.is_known_later(name) || other.is_known_later(name) {
        return true;
    }
    match (one.value(name), other.value(name)) {
        (Some(mine), Some(its)) => mine != its,
        // A value that isn't given stays, unless it comes from the declaration.
        (None, None) => ["Type", "Default"].iter().any(|part| mine.get(*part) != its.get(*part)),
        _ => true,
    }
}

/// Whether what `Fn::FindInMap` finds differs: by its keys where they are known, else by the whole mapping.
pub(crate) fn mapping_differs(one: Side<'_>, other: Side<'_>, arguments: &[Value]) -> bool {
    let Some(name) = arguments.first().and_then(Value::as_str) else {
        // The mapping's name is computed: it can be any.
        let all = |side: Side<'_>| side.template.map(|template| template.section("Mappings").clone());
        return all(one) != all(other) || arguments.iter().any(|argument| any_differs(one, other, argument, DEPTH));
    };
    let (mine, its) = (entry(one, "Mappings", name), entry(other, "Mappings", name));
    let found = |side: Side<'_>, mapping: Option<&Value>| {
        let [_, first, second, ..] = arguments else { return None };
        mapping?.get(side.text(first)?)?.get(side.text(second)?).cloned()
    };
    match (found(one, mine), found(other, its)) {
        (Some(mine), Some(its)) => mine != its,
        _ => mine != its || arguments.iter().any(|argument| any_differs(one, other, argument, DEPTH)),
    }
}

/// Whether a condition may come to something else.
pub(crate) fn condition_differs(one: Side<'_>, other: Side<'_>, name: &str) -> bool {
    condition(one, other, name, DEPTH)
}

/// Conditions may be nested as deep as this; CloudFormation takes none that refer to themselves.
const DEPTH: u8 = 32;

fn condition(one: Side<'_>, other: Side<'_>, name: &str, depth: u8) -> bool {
    if let (Some(mine), Some(its)) = (one.condition(name), other.condition(name)) {
        return mine != its;
    }
    let (mine, its) = (entry(one, "Conditions", name), entry(other, "Conditions", name));
    mine != its || mine.is_some_and(|mine| any_differs(one, other, mine, depth))
}

/// Whether something that a value refers to differs.
fn any_differs(one: Side<'_>, other: Side<'_>, value: &Value, depth: u8) -> bool {
    let Some(depth) = depth.checked_sub(1) else { return true };
    let mut differs = false;
    each_reference(value, &mut |target, _| {
        differs |= match target {
            Target::Name(name) => parameter_differs(one, other, name),
            Target::Mapping(name) => entry(one, "Mappings", name) != entry(other, "Mappings", name),
            Target::Condition(name) => condition(one, other, name, depth),
        };
    });
    differs || any_condition(one, other, value, depth)
}

/// As [`any_differs`], for `{"Condition": "Name"}` within a condition.
fn any_condition(one: Side<'_>, other: Side<'_>, value: &Value, depth: u8) -> bool {
    match value {
        Value::Object(map) => map.iter().any(|(key, value)| match value {
            Value::String(name) if key == "Condition" => condition(one, other, name, depth),
            value => any_condition(one, other, value, depth),
        }),
        Value::Array(items) => items.iter().any(|item| any_condition(one, other, item, depth)),
        _ => false,
    }
}

fn entry<'a>(side: Side<'a>, section: &str, name: &str) -> Option<&'a Value> {
    side.template?.section(section).get(name)
}
