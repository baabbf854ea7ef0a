//! Templates as text, with an order of keys that does not depend on how `serde_json` was built.
//!
//! The text is written straight from the declarations: a template is rendered for each check of its size, and a copy as
//! one JSON value would cost as much as the text.

use std::borrow::Cow;
use std::fmt::Write as _;

use serde_json::{Map, Value as Json};

use crate::template::{Declaration, Part, Template};

/// A template as text.
#[derive(Clone, Debug)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    /// Bytes without the white space between the text's parts.
    pub(crate) compact_len: usize,
}

/// The template as text, in CloudFormation's usual order of sections and of a resource's parts; all else by name.
pub(crate) fn template(template: &Template) -> Rendered {
    let mut writer = Writer { text: String::with_capacity(64 * 1024), depth: 0, white: 0 };
    let mut resources: Vec<&Declaration> = template.resources().collect();
    resources.sort_by_key(|one| one.logical_id());
    writer.object(|object| {
        object.entry("AWSTemplateFormatVersion", |writer| writer.string("2010-09-09"));
        if let Some(description) = template.description() {
            object.entry("Description", |writer| writer.string(description));
        }
        object.section(
            "Metadata",
            template.metadata_map().iter().map(|(key, value)| (key.as_str(), Cow::Borrowed(value))),
        );
        object.section("Parameters", template.parameters().map(|(name, value)| (name, Cow::Owned(value))));
        object.section("Conditions", template.conditions().map(|(name, value)| (name, Cow::Borrowed(value))));
        object.entry("Resources", |writer| {
            writer.object(|object| {
                for one in resources {
                    object.entry(one.logical_id(), |writer| writer.resource(one));
                }
            });
        });
        object.section("Outputs", template.outputs().map(|(name, value)| (name, Cow::Owned(value))));
    });
    writer.text.push('\n');
    writer.white += 1;
    Rendered { compact_len: writer.text.len() - writer.white, text: writer.text }
}

/// Text with its indentation.
struct Writer {
    text: String,
    depth: usize,
    /// Bytes of white space between parts so far.
    white: usize,
}

/// An object of which some entries may be written already.
struct Object<'a> {
    writer: &'a mut Writer,
    empty: bool,
}

impl Object<'_> {
    fn entry(&mut self, key: &str, value: impl FnOnce(&mut Writer)) {
        self.writer.item(self.empty);
        self.empty = false;
        self.writer.string(key);
        self.writer.text.push_str(": ");
        self.writer.white += 1;
        value(self.writer);
    }

    /// A part of the template; left out when it is empty.
    fn section<'j>(&mut self, key: &str, entries: impl Iterator<Item = (&'j str, Cow<'j, Json>)>) {
        let mut entries: Vec<(&str, Cow<'_, Json>)> = entries.collect();
        if entries.is_empty() {
            return;
        }
        entries.sort_by_key(|(name, _)| *name);
        self.entry(key, |writer| {
            writer.object(|object| {
                for (name, value) in &entries {
                    object.entry(name, |writer| writer.value(value));
                }
            });
        });
    }
}

impl Writer {
    fn object(&mut self, entries: impl FnOnce(&mut Object<'_>)) {
        self.text.push('{');
        self.depth += 1;
        let mut object = Object { writer: self, empty: true };
        entries(&mut object);
        let empty = object.empty;
        self.close(empty, '}');
    }

    fn resource(&mut self, declaration: &Declaration) {
        self.object(|object| {
            for (part, value) in declaration.parts() {
                object.entry(part, |writer| match value {
                    Part::Borrowed(map) => writer.map(map),
                    Part::Owned(value) => writer.value(&value),
                });
            }
        });
    }

    fn map(&mut self, map: &Map<String, Json>) {
        let mut entries: Vec<(&String, &Json)> = map.iter().collect();
        // Sorted already, unless `serde_json` was built to keep the order of insertion.
        entries.sort_by_key(|(key, _)| *key);
        self.object(|object| {
            for (key, value) in entries {
                object.entry(key, |writer| writer.value(value));
            }
        });
    }

    fn value(&mut self, json: &Json) {
        match json {
            Json::Object(map) => self.map(map),
            Json::Array(items) => {
                self.text.push('[');
                self.depth += 1;
                for (index, item) in items.iter().enumerate() {
                    self.item(index == 0);
                    self.value(item);
                }
                self.close(items.is_empty(), ']');
            }
            Json::String(value) => self.string(value),
            Json::Null => self.text.push_str("null"),
            Json::Bool(value) => self.text.push_str(if *value { "true" } else { "false" }),
            Json::Number(value) => write!(self.text, "{value}").expect("writing to a string never fails"),
        }
    }

    fn item(&mut self, first: bool) {
        if !first {
            self.text.push(',');
        }
        self.line();
    }

    fn close(&mut self, empty: bool, bracket: char) {
        self.depth -= 1;
        if !empty {
            self.line();
        }
        self.text.push(bracket);
    }

    fn line(&mut self) {
        self.white += 1 + 2 * self.depth;
        self.text.push('\n');
        for _ in 0..self.depth {
            self.text.push_str("  ");
        }
    }

    fn string(&mut self, value: &str) {
        string(value, &mut self.text);
    }
}

/// A JSON string. Only what JSON demands is escaped, so that text in other scripts stays readable.
fn string(value: &str, out: &mut String) {
    out.push('"');
    let mut rest = value;
    while let Some(position) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        // What has to be escaped is one byte long, so both cuts are between characters.
        out.push_str(&rest[..position]);
        match rest.as_bytes()[position] {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            b'\x08' => out.push_str("\\b"),
            b'\x0c' => out.push_str("\\f"),
            control => write!(out, "\\u{control:04x}").expect("writing to a string never fails"),
        }
        rest = &rest[position + 1..];
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_valid_json() {
        for value in [
            "plain",
            "",
            "quote \" back \\ slash",
            "tab\tline\nreturn\r",
            "\u{1} ü 漢 \u{7f}",
            "\"",
            "\n\n",
            "\u{8}\u{c}\\",
        ] {
            let mut out = String::new();
            string(value, &mut out);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), value);
            assert_eq!(out, serde_json::to_string(value).unwrap(), "written as `serde_json` writes it");
        }
    }

    #[test]
    fn white_space_between_parts_does_not_count() {
        let json = serde_json::json!({"a b": [1, "x  \\\" \t y", {}, [], null], "c": {"d": "\\"}});
        let mut template = Template::new();
        template.describe("with \"quotes\" and  spaces").metadata("Anything", json);
        template.output("Out", "a: b");
        let Rendered { text, compact_len } = super::template(&template);
        let parsed: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(compact_len, parsed.to_string().len());
    }
}
