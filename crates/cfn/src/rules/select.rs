//! Finding properties by path, where a path may lead through every item of a list.

use serde_json::Value as Json;

use crate::intrinsic::is_no_value;
use crate::template::Declaration;

/// The value, unless it is `AWS::NoValue`: then CloudFormation treats it as not set.
pub(super) fn set(json: &Json) -> Option<&Json> {
    (!is_no_value(json)).then_some(json)
}

/// Every place that `path` leads to: `*` stands for each item of a list. A place that isn't set has no value.
///
/// A list that is missing, empty or an intrinsic counts as one place without a value, so that nothing passes by absence.
pub(super) fn places<'a>(declaration: &'a Declaration, path: &str) -> Vec<(String, Option<&'a Json>)> {
    let mut parts = path.split('/');
    let Some(first) = parts.next() else { return Vec::new() };
    let mut places = vec![(first.to_owned(), declaration.properties().get(first).and_then(set))];
    for part in parts {
        places = places.into_iter().flat_map(|(path, json)| step(path, json, part)).collect();
    }
    places
}

/// As [`places`], without those that aren't set.
pub(super) fn found<'a>(declaration: &'a Declaration, path: &str) -> Vec<(String, &'a Json)> {
    places(declaration, path).into_iter().filter_map(|(path, json)| Some((path, json?))).collect()
}

fn step<'a>(path: String, json: Option<&'a Json>, part: &str) -> Vec<(String, Option<&'a Json>)> {
    if part != "*" {
        return vec![(format!("{path}/{part}"), json.and_then(|json| json.get(part)).and_then(set))];
    }
    match json.and_then(Json::as_array) {
        Some(items) if !items.is_empty() => {
            items.iter().enumerate().map(|(index, item)| (format!("{path}/{index}"), set(item))).collect()
        }
        _ => vec![(path, None)],
    }
}
