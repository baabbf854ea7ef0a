//! Regular expressions of the schemas, in the dialect that the matcher speaks.
//!
//! The schemas' dialect is the one of ECMAScript, with pieces of others. What the matcher can't hold (look-around,
//! repetition in the ten thousands) is skipped, and [`skipped_patterns`] names each with the reason.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use regex_lite::{Regex, RegexBuilder};

use crate::describe::{describe, type_names};
use crate::schema::{Pattern, Schema};

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
        let patterns = description.schema.with_parts().into_iter().flat_map(Schema::patterns);
        skipped.extend(patterns.filter_map(|pattern| {
            let reason = pattern.compiled().as_ref().err()?.clone();
            Some(SkippedPattern { type_name, pattern: pattern.text().to_owned(), reason })
        }));
    }
    skipped.sort_unstable();
    skipped.dedup();
    skipped
}

/// Whether the pattern is found in the text. A pattern that is not checked finds everything.
pub(crate) fn finds(pattern: Pattern, text: &str) -> bool {
    thread_local! {
        // The same tags, names and ARNs stand at many resources; matching is the dearest part of a check.
        static FOUND: RefCell<BTreeMap<Pattern, BTreeSet<Box<str>>>> = const { RefCell::new(BTreeMap::new()) };
    }
    let Ok(regex) = pattern.compiled() else { return true };
    FOUND.with_borrow_mut(|found| {
        let texts = found.entry(pattern).or_default();
        texts.contains(text) || (regex.is_match(text) && texts.insert(text.into()))
    })
}

/// The matcher of a pattern, or why it isn't checked.
pub(crate) fn compile(pattern: &str) -> Result<Regex, String> {
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
            let compiled = compile(pattern).unwrap();
            assert!(compiled.is_match(fits), "{pattern} should find {fits:?}");
            assert!(!compiled.is_match(fails), "{pattern} should not find {fails:?}");
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
