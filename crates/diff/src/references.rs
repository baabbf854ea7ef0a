//! Who refers to what within a template: the way on which a change travels.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::compare::{Path, item_label};
use crate::pieces::{SubPart, attribute, intrinsic, sub_parts};
use crate::template::Template;

/// What is referred to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target<'a> {
    /// A resource or a parameter.
    Name(&'a str),
    Mapping(&'a str),
    Condition(&'a str),
}

/// A place in a resource's properties that refers to something.
#[derive(Clone, Debug)]
pub(crate) struct Use<'a> {
    pub(crate) dependent: &'a str,
    /// The attribute that is read; none for `Ref`.
    pub(crate) attribute: Option<&'a str>,
    pub(crate) path: String,
    pub(crate) schema_path: String,
    /// The whole value there.
    pub(crate) value: &'a Value,
}

/// All uses in the properties of a template's resources, by what is used.
pub(crate) fn uses(template: &Template) -> BTreeMap<Target<'_>, Vec<Use<'_>>> {
    let mut uses: BTreeMap<Target<'_>, Vec<Use<'_>>> = BTreeMap::new();
    for (dependent, resource) in template.resources() {
        for (name, value) in resource.properties() {
            let path = Path::ROOT.property(name);
            find(value, &path, &mut |target, attribute, path, value| {
                let path_text = path.to_string();
                let schema_path = path.schema();
                uses.entry(target).or_default().push(Use { dependent, attribute, path: path_text, schema_path, value });
            });
        }
    }
    uses
}

type Visit<'v, 'a> = &'v mut dyn FnMut(Target<'a>, Option<&'a str>, &Path<'_>, &'a Value);

/// Visits intrinsics with the path of the outermost one.
fn find<'a>(value: &'a Value, path: &Path<'_>, visit: Visit<'_, 'a>) {
    match value {
        Value::Object(map) => {
            if intrinsic(value).is_some() {
                each_reference(value, &mut |target, attribute| visit(target, attribute, path, value));
            } else {
                for (name, value) in map {
                    find(value, &path.property(name), visit);
                }
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let label = item_label(items, index);
                find(item, &path.item(&label), visit);
            }
        }
        _ => {}
    }
}

/// Everything that a value refers to, with the attribute that it reads.
pub(crate) fn each_reference<'a>(value: &'a Value, visit: &mut dyn FnMut(Target<'a>, Option<&'a str>)) {
    match value {
        Value::Object(map) => {
            let mut local = None;
            match intrinsic(value) {
                Some(("Ref", Value::String(name))) => visit(Target::Name(name), None),
                Some(("Fn::GetAtt", argument)) => {
                    if let Some((target, std::borrow::Cow::Borrowed(name))) = attribute(argument) {
                        visit(Target::Name(target), Some(name));
                    }
                }
                Some(("Fn::FindInMap", Value::Array(list))) => {
                    if let Some(Value::String(name)) = list.first() {
                        visit(Target::Mapping(name), None);
                    }
                }
                Some(("Fn::If", Value::Array(list))) => {
                    if let Some(Value::String(name)) = list.first() {
                        visit(Target::Condition(name), None);
                    }
                }
                Some(("Fn::Sub", Value::String(text))) => in_sub(text, None, visit),
                Some(("Fn::Sub", Value::Array(list))) => {
                    local = list.get(1);
                    if let Some(Value::String(text)) = list.first() {
                        in_sub(text, local, visit);
                    }
                }
                _ => map.values().for_each(|value| each_reference(value, visit)),
            }
            if let Some(variables) = local {
                each_reference(variables, visit);
            } else if let Some(("Fn::FindInMap" | "Fn::If", argument)) = intrinsic(value) {
                each_reference(argument, visit);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| each_reference(item, visit)),
        _ => {}
    }
}

fn in_sub<'a>(text: &'a str, local: Option<&'a Value>, visit: &mut dyn FnMut(Target<'a>, Option<&'a str>)) {
    for part in sub_parts(text) {
        if let SubPart::Variable(name) = part
            && local.is_none_or(|local| local.get(name).is_none())
        {
            match name.split_once('.') {
                Some((target, attribute)) => visit(Target::Name(target), Some(attribute)),
                None => visit(Target::Name(name), None),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_found_with_their_place() {
        let template = Template::new(json!({"Resources": {"F": {"Type": "T", "Properties": {
            "A": {"Ref": "P"},
            "B": [{"Fn::Sub": ["${X}-${Q.Arn}", {"X": {"Ref": "R"}}]}],
            "C": {"D": {"Fn::If": ["Prod", {"Fn::FindInMap": ["M", "a", "b"]}, {"Fn::GetAtt": ["G", "Arn"]}]}}
        }}}}))
        .unwrap();
        let mut found: Vec<String> = Vec::new();
        for (target, uses) in uses(&template) {
            found.extend(uses.iter().map(|one| format!("{target:?} {:?} at {}", one.attribute, one.path)));
        }
        assert_eq!(
            found,
            [
                "Name(\"G\") Some(\"Arn\") at C/D",
                "Name(\"P\") None at A",
                "Name(\"Q\") Some(\"Arn\") at B/0",
                "Name(\"R\") None at B/0",
                "Mapping(\"M\") None at C/D",
                "Condition(\"Prod\") None at C/D",
            ]
        );
    }
}
