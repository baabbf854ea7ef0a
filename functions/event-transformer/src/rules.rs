#![doc = include_str!("../RULES.md")]
//!
//! This module reads the file and checks it; [`crate::transform`] holds events to it.

mod file;

use crate::document::Pointer;
use crate::geo::GeoRule;
use crate::kinds::Kind;
use events::raw::RulesId;
use file::{File, compile, compile_geo};
use std::collections::BTreeMap;

/// The rules that the function is built with.
const EMBEDDED: &str = include_str!("../rules.json");
/// Most characters of a text whose rule doesn't say.
const DEFAULT_MAX_LENGTH: usize = 1_024;
/// The most that a rule may allow; what has a pattern is matched against it.
const LONGEST_TEXT: usize = 65_536;
/// The members that every event needs, with rules of their own.
pub(crate) const OWN_MEMBERS: [&str; 4] = ["event_id", "event_type", "source_region", "timestamp"];

/// Rules for raw events, checked.
#[derive(Debug)]
pub struct RuleSet {
    id: RulesId,
    every_event: Vec<Rule>,
    /// With those of `every_event` that a type has none of its own for.
    event_types: BTreeMap<String, Vec<Rule>>,
    geo: Option<GeoRule>,
}

/// A rule for one value.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) pointer: Pointer,
    pub(crate) required: bool,
    pub(crate) kind: Kind,
}

impl RuleSet {
    /// The rules that the function is built with.
    ///
    /// # Errors
    /// When the file that was built in is wrong; a test of this crate keeps that from being released.
    pub fn embedded() -> Result<Self, RulesError> {
        Self::parse(EMBEDDED)
    }

    /// Reads rules.
    ///
    /// # Errors
    /// When the text isn't of the documented form, or with every mistake in its rules at once.
    pub fn parse(text: &str) -> Result<Self, RulesError> {
        let file: File = serde_json::from_str(text).map_err(RulesError::Malformed)?;
        let mut mistakes = Vec::new();
        if file.version == 0 {
            mistakes.push("`version` is 0; versions count from 1".to_owned());
        }
        let every_event = compile("every_event", &file.every_event, &mut mistakes);
        let mut event_types = BTreeMap::new();
        for (name, rules) in &file.event_types {
            if !is_event_type(name) {
                mistakes.push(format!("`{name}` is no name of an event type"));
            }
            let mut own = compile(name, rules, &mut mistakes);
            let inherited = every_event.iter().filter(|rule| own.iter().all(|own| own.pointer != rule.pointer));
            let mut all: Vec<Rule> = inherited.cloned().collect();
            all.append(&mut own);
            event_types.insert(name.clone(), all);
        }
        let lists = std::iter::once(&every_event).chain(event_types.values());
        let geo = file.geo.as_ref().and_then(|geo| compile_geo(geo, lists.flatten(), &mut mistakes));
        if !mistakes.is_empty() {
            return Err(RulesError::Mistakes(mistakes));
        }
        Ok(Self { id: RulesId::of_file(file.version, text), every_event, event_types, geo })
    }

    /// Version and hash.
    pub fn id(&self) -> &RulesId {
        &self.id
    }

    /// Where an event's address is; none when nobody asks where it lies.
    pub(crate) fn geo(&self) -> Option<&GeoRule> {
        self.geo.as_ref()
    }

    /// The rules for an event of this type; none for an event whose type isn't known.
    pub(crate) fn of(&self, event_type: Option<&str>) -> &[Rule] {
        event_type.and_then(|event_type| self.event_types.get(event_type)).unwrap_or(&self.every_event)
    }
}

/// Whether a text can name an event type: a letter, then letters, digits, `.`, `-`, `_`; at most 128 of them.
pub(crate) fn is_event_type(text: &str) -> bool {
    text.len() <= 128
        && text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
}

/// Why rules can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// The file isn't of the documented form.
    #[error("the rules are not of the form that RULES.md describes")]
    Malformed(#[source] serde_json::Error),
    /// Rules contradict themselves or can't be compiled; at least one.
    #[error("the rules have mistakes: {}", .0.join("; "))]
    Mistakes(Vec<String>),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(rules: &str) -> String {
        format!(r#"{{"version":7,"every_event":[{rules}],"event_types":{{}}}}"#)
    }

    fn mistakes(text: &str) -> Vec<String> {
        match RuleSet::parse(text) {
            Ok(_) => Vec::new(),
            Err(RulesError::Mistakes(mistakes)) => mistakes,
            Err(error @ RulesError::Malformed(_)) => panic!("{error:?}"),
        }
    }

    #[test]
    fn the_version_rises_with_every_change_of_the_file() {
        let rules = RuleSet::embedded().expect("good rules");
        let sha256 = "a8fd09843658195ef15a0d1eb1036922a757843f1faaff86fa4d86bc1bbd51fa".to_owned();
        // Whoever changes rules.json raises its `version` and then writes both down here.
        assert_eq!(*rules.id(), RulesId { version: 2, sha256 });
    }

    #[test]
    fn a_types_own_rule_counts_before_the_general_one() {
        let rules = RuleSet::parse(
            r#"{"version":1,"every_event":[{"pointer":"/a","is":"email"},{"pointer":"/b","is":"uuid"}],
                "event_types":{"t":[{"pointer":"/a","required":true},{"pointer":"/c"}]}}"#,
        )
        .expect("good rules");
        let of = |event_type| {
            let rules = rules.of(event_type).iter();
            rules.map(|rule| (rule.pointer.to_string(), rule.required)).collect::<Vec<_>>()
        };
        let told = |pairs: &[(&str, bool)]| pairs.iter().map(|(a, b)| ((*a).to_owned(), *b)).collect::<Vec<_>>();
        assert_eq!(of(Some("t")), told(&[("/b", false), ("/a", true), ("/c", false)]));
        assert_eq!(of(Some("other")), told(&[("/a", false), ("/b", false)]));
        assert_eq!(of(None), of(Some("other")));
    }

    #[test]
    fn wrong_rules_are_refused_with_their_place() {
        for (rules, expected) in [
            (r#"{"pointer":"data"}"#, "every_event, `data`: not a JSON pointer"),
            (r#"{"pointer":""}"#, "fixed rules"),
            (r#"{"pointer":"/timestamp"}"#, "fixed rules"),
            (r#"{"pointer":"/a"},{"pointer":"/a","is":"uuid"}"#, "two rules"),
            (r#"{"pointer":"/a","is":{"text":{"pattern":"("}}}"#, "can't be used as a pattern"),
            (r#"{"pointer":"/a","is":{"text":{"min_length":5,"max_length":4}}}"#, "at least 5 and at most 4"),
            (r#"{"pointer":"/a","is":{"text":{"max_length":65537}}}"#, "at most 65536"),
            (r#"{"pointer":"/a","is":{"text":{"allowed":[]}}}"#, "`allowed` is empty"),
            (r#"{"pointer":"/a","is":{"number":{"minimum":"1"}}}"#, "`minimum` is no number"),
            (r#"{"pointer":"/a","is":{"number":{"minimum":2,"maximum":1.99}}}"#, "above `maximum`"),
        ] {
            let found = mistakes(&file(rules));
            assert!(found.len() == 1 && found[0].contains(expected), "{rules}: {found:?}");
        }
        assert!(mistakes(r#"{"version":0,"every_event":[],"event_types":{}}"#)[0].contains("count from 1"));
        assert!(mistakes(r#"{"version":1,"every_event":[],"event_types":{"no type":[]}}"#)[0].contains("`no type`"));
    }

    #[test]
    fn an_address_is_no_other_kind_of_value() {
        let with_geo = |geo: &str, rule: &str| {
            mistakes(&format!(r#"{{"version":1,"geo":{geo},"every_event":[],"event_types":{{"t":[{rule}]}}}}"#))
        };
        let at_data = r#"{"address":"/data/ip"}"#;
        for rule in ["", r#"{"pointer":"/data/ip","required":true}"#, r#"{"pointer":"/data/ip","is":"ip_address"}"#] {
            assert_eq!(with_geo(at_data, rule), Vec::<String>::new(), "{rule}");
        }
        for (geo, rule, expected) in [
            (at_data, r#"{"pointer":"/data/ip","is":{"text":{"pattern":"1.*"}}}"#, "something else than `anything`"),
            (at_data, r#"{"pointer":"/data/ip","is":"email"}"#, "something else than `anything`"),
            (r#"{"address":"data"}"#, "", "geo, `data`: not a JSON pointer"),
            (r#"{"address":""}"#, "", "no addresses"),
            (r#"{"address":"/event_id"}"#, "", "no addresses"),
        ] {
            let found = with_geo(geo, rule);
            assert!(found.len() == 1 && found[0].contains(expected), "{geo} {rule}: {found:?}");
        }
        for geo in [r#"{}"#, r#"{"address":"/a","keep":true}"#, r#"{"address":"/a","keep_address":"no"}"#] {
            let text = format!(r#"{{"version":1,"geo":{geo},"every_event":[],"event_types":{{}}}}"#);
            assert!(matches!(RuleSet::parse(&text), Err(RulesError::Malformed(_))), "{geo}");
        }
    }

    #[test]
    fn all_mistakes_at_once() {
        assert_eq!(mistakes(&file(r#"{"pointer":"a"},{"pointer":"b"},{"pointer":"/timestamp"}"#)).len(), 3);
    }

    #[test]
    fn unknown_words_are_refused() {
        for rules in [
            r#"{"pointer":"/a","requires":true}"#,
            r#"{"pointer":"/a","is":"url"}"#,
            r#"{"pointer":"/a","is":{"text":{"pattern":"a","length":1}}}"#,
            r#"{"pointer":"/a","is":{"number":{"min":1}}}"#,
            r#"{"required":true}"#,
        ] {
            assert!(matches!(RuleSet::parse(&file(rules)), Err(RulesError::Malformed(_))), "{rules}");
        }
    }

    #[test]
    fn names_of_event_types() {
        for good in ["a", "customer.registered", "Order_placed-2", &"x".repeat(128)] {
            assert!(is_event_type(good), "{good}");
        }
        for bad in ["", "1a", ".a", "a b", "a/b", "é", &"x".repeat(129)] {
            assert!(!is_event_type(bad), "{bad}");
        }
    }
}
