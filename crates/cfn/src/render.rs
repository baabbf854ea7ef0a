//! Templates as text, with an order of keys that does not depend on how `serde_json` was built.

use serde_json::{Map, Value as Json};

const SECTIONS: [&str; 7] =
    ["AWSTemplateFormatVersion", "Description", "Metadata", "Parameters", "Conditions", "Resources", "Outputs"];
const RESOURCE_PARTS: [&str; 7] =
    ["Type", "Condition", "DependsOn", "DeletionPolicy", "UpdateReplacePolicy", "Metadata", "Properties"];

/// Where in the template a map stands; it decides the order of the map's keys.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Template,
    Resources,
    Resource,
    Elsewhere,
}

pub(crate) fn template(json: &Json) -> String {
    let mut out = String::with_capacity(16 * 1024);
    write(json, Place::Template, 0, &mut out);
    out.push('\n');
    out
}

fn write(json: &Json, place: Place, depth: usize, out: &mut String) {
    match json {
        Json::Object(map) if map.is_empty() => out.push_str("{}"),
        Json::Array(items) if items.is_empty() => out.push_str("[]"),
        Json::Object(map) => {
            out.push('{');
            for (index, (key, value)) in ordered(map, place).into_iter().enumerate() {
                line(index, depth + 1, out);
                text(key, out);
                out.push_str(": ");
                write(value, place.inside(key), depth + 1, out);
            }
            end(depth, out);
            out.push('}');
        }
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                line(index, depth + 1, out);
                write(item, Place::Elsewhere, depth + 1, out);
            }
            end(depth, out);
            out.push(']');
        }
        Json::String(value) => text(value, out),
        Json::Null => out.push_str("null"),
        Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Json::Number(value) => out.push_str(&value.to_string()),
    }
}

impl Place {
    fn inside(self, key: &str) -> Self {
        match self {
            Self::Template if key == "Resources" => Self::Resources,
            Self::Resources => Self::Resource,
            _ => Self::Elsewhere,
        }
    }
}

fn ordered(map: &Map<String, Json>, place: Place) -> Vec<(&str, &Json)> {
    let known: &[&str] = match place {
        Place::Template => &SECTIONS,
        Place::Resource => &RESOURCE_PARTS,
        Place::Resources | Place::Elsewhere => &[],
    };
    let rank = |key: &str| known.iter().position(|one| *one == key).unwrap_or(known.len());
    let mut entries: Vec<(&str, &Json)> = map.iter().map(|(key, value)| (key.as_str(), value)).collect();
    entries.sort_unstable_by(|(left, _), (right, _)| rank(left).cmp(&rank(right)).then_with(|| left.cmp(right)));
    entries
}

fn line(index: usize, depth: usize, out: &mut String) {
    if index > 0 {
        out.push(',');
    }
    end(depth, out);
}

fn end(depth: usize, out: &mut String) {
    out.push('\n');
    for _ in 0..depth {
        out.push_str("  ");
    }
}

/// A JSON string. Only what JSON demands is escaped, so that text in other scripts stays readable.
fn text(value: &str, out: &mut String) {
    use std::fmt::Write as _;

    out.push('"');
    for character in value.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => {
                write!(out, "\\u{:04x}", u32::from(control)).expect("writing to a string never fails");
            }
            other => out.push(other),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_ordered_by_place() {
        let json = json!({
            "Outputs": {}, "Resources": {"B": {"Properties": {"z": 1, "Type": 2}, "Type": "T"}, "A": {}},
            "AWSTemplateFormatVersion": "2010-09-09",
        });
        let expected = r#"{
  "AWSTemplateFormatVersion": "2010-09-09",
  "Resources": {
    "A": {},
    "B": {
      "Type": "T",
      "Properties": {
        "Type": 2,
        "z": 1
      }
    }
  },
  "Outputs": {}
}
"#;
        assert_eq!(template(&json), expected);
    }

    #[test]
    fn text_is_valid_json() {
        for value in ["plain", "quote \" back \\ slash", "tab\tline\nreturn\r", "\u{1} ü 漢 \u{7f}"] {
            let mut out = String::new();
            text(value, &mut out);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), value);
        }
    }
}
