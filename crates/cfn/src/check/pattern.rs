//! Regular expressions of the schemas, in the dialect that the matcher speaks.
//!
//! The schemas' dialect is the one of ECMAScript, with pieces of others. What the matcher can't hold (look-around,
//! repetition in the ten thousands) is skipped, and [`skipped_patterns`] names each with the reason.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};

use regex_lite::{Regex, RegexBuilder};
use serde_json::Value as Json;

use crate::describe::{describe, type_names};

/// Compiled size that a pattern may take, in bytes. The largest in use, for addresses and ARNs, stay below.
const SIZE_LIMIT: usize = 1 << 20;

/// A pattern of a schema that is not checked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct SkippedPattern {
    /// The resource type whose schema holds it.
    pub type_name: &'static str,
    /// The pattern, as the schema has it.
    pub pattern: String,
    /// Why it is not checked.
    pub reason: String,
}

/// All patterns that are not checked. It reads every schema, so it is for tests and reports.
pub fn skipped_patterns() -> Vec<SkippedPattern> {
    let mut skipped = Vec::new();
    for type_name in type_names() {
        let description = describe(type_name).expect("every named type is described");
        collect(&description.schema, &mut |pattern| {
            if let Err(reason) = compile(pattern) {
                skipped.push(SkippedPattern { type_name, pattern: pattern.to_owned(), reason });
            }
        });
    }
    skipped.sort_unstable();
    skipped.dedup();
    skipped
}

/// Whether the pattern is found in the text. A pattern that is not checked finds everything.
pub(crate) fn finds(pattern: &str, text: &str) -> bool {
    static COMPILED: LazyLock<Mutex<BTreeMap<String, Option<Arc<Regex>>>>> = LazyLock::new(Mutex::default);
    let mut compiled = COMPILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let regex = match compiled.get(pattern) {
        Some(known) => known.clone(),
        None => {
            let fresh = compile(pattern).ok().map(Arc::new);
            compiled.insert(pattern.to_owned(), fresh.clone());
            fresh
        }
    };
    drop(compiled);
    regex.is_none_or(|regex| regex.is_match(text))
}

fn collect(node: &Json, visit: &mut impl FnMut(&str)) {
    match node {
        Json::Object(map) => {
            for (key, value) in map {
                match (key.as_str(), value) {
                    ("pattern", Json::String(pattern)) => visit(pattern),
                    ("patternProperties", Json::Object(patterns)) => {
                        patterns.keys().for_each(|pattern| visit(pattern));
                        collect(value, visit);
                    }
                    _ => collect(value, visit),
                }
            }
        }
        Json::Array(items) => items.iter().for_each(|item| collect(item, visit)),
        _ => {}
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    if ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|look| pattern.contains(look)) {
        return Err("it looks around".to_owned());
    }
    RegexBuilder::new(&translate(pattern)).size_limit(SIZE_LIMIT).build().map_err(|error| error.to_string())
}

/// Rewrites what ECMAScript and Java write differently.
fn translate(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut characters = pattern.chars().peekable();
    let mut in_class = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('p') if characters.peek() == Some(&'{') => {
                    let name: String = characters.by_ref().skip(1).take_while(|one| *one != '}').collect();
                    // Beyond ASCII every letter, digit and space passes: the matcher has no tables of scripts.
                    let class = match name.as_str() {
                        "L" => r"a-zA-Z\u{80}-\u{10FFFF}",
                        "N" => r"0-9\u{80}-\u{10FFFF}",
                        "Z" => r" \u{80}-\u{10FFFF}",
                        "Print" => r"\x20-\x7E",
                        // The compiler refuses it, so that the pattern is listed as skipped.
                        _ => r"\p{unknown}",
                    };
                    out.push_str(&if in_class { class.to_owned() } else { format!("[{class}]") });
                }
                Some('Z') if !in_class => out.push('$'),
                Some(escaped) => out.extend(['\\', escaped]),
                None => out.push('\\'),
            },
            '[' if in_class => out.push_str("\\["),
            '[' => {
                in_class = true;
                out.push('[');
                if characters.peek() == Some(&'^') {
                    out.extend(characters.next());
                }
            }
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            // Set operations of the matcher that are plain characters elsewhere.
            '&' | '~' if in_class => out.extend(['\\', character]),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialects_are_translated() {
        for (pattern, fits, fails) in [
            (r"^([\p{L}\p{Z}\p{N}_.:/=+\-@]*)$", "Größe 1/2", "a;b"),
            (r"^\p{Print}+$", "plain", "tab\t"),
            (r"^[.\-_/#A-Za-z0-9]{1,512}\Z", "a/b", "a b"),
            (r"^([a-z,@[\]+=&;\{\}!$*])*$", "a[b]&c", "a\"b"),
            (r"^[\u0009\u000A\u000D\u0020-\u00FF]+$", "tab\tand ü", "漢"),
            (r"^(alias/)[a-zA-Z0-9:/_-]+$", "alias/key", "key"),
        ] {
            assert!(finds(pattern, fits), "{pattern} should find {fits:?}");
            assert!(!finds(pattern, fails), "{pattern} should not find {fails:?}");
        }
    }

    /// A pattern that joins this list is no longer checked: that should be seen in review.
    #[test]
    fn few_patterns_are_skipped() {
        let skipped: Vec<String> = skipped_patterns()
            .into_iter()
            .map(|one| format!("{} {} ({})", one.type_name, one.pattern, one.reason))
            .collect();
        insta::assert_snapshot!(skipped.join("\n"));
    }
}
