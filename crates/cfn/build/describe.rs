//! The part of a schema that is needed while the tool runs: rules, replacement, permissions, tagging.

use serde_json::{Map, Value as Json, json};

/// Keys that only people read, or that say nothing that is used.
const DROPPED: [&str; 9] = [
    "description",
    "title",
    "examples",
    "$comment",
    "$schema",
    "sourceUrl",
    "insertionOrder",
    "resourceLink",
    "replacementStrategy",
];

pub(crate) fn compact(schema: &Json, regions: &Json) -> String {
    let mut schema = strip(schema, false);
    schema["regions"] = json!(regions);
    schema.to_string()
}

/// Drops keys, but never a property that happens to have such a name.
fn strip(node: &Json, names: bool) -> Json {
    match node {
        Json::Object(map) => {
            let kept: Map<String, Json> = map
                .iter()
                .filter(|(key, _)| names || !DROPPED.contains(&key.as_str()))
                .map(|(key, value)| {
                    let inner_names =
                        !names && (key == "properties" || key == "definitions" || key == "patternProperties");
                    (key.clone(), strip(value, inner_names))
                })
                .collect();
            Json::Object(kept)
        }
        Json::Array(items) => Json::Array(items.iter().map(|item| strip(item, false)).collect()),
        leaf => leaf.clone(),
    }
}
