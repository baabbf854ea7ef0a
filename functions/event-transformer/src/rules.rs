#![doc = include_str!("../RULES.md")]
//!
//! This module reads the file and checks it; [`mod@crate::transform`] holds events to it.

mod file;

use crate::document::Pointer;
use crate::geo::GeoRule;
use crate::kinds::Kind;
use events::raw::RulesId;
use file::{File, compile, compile_geo, compile_versions};
use std::collections::BTreeMap;

/// The rules that the function is built with.
const EMBEDDED: &str = include_str!("../rules.json");
/// Most characters of a text whose rule doesn't say.
const DEFAULT_MAX_LENGTH: usize = 1_024;
/// The most that a rule may allow; what has a pattern is matched against it.
const LONGEST_TEXT: usize = 65_536;
/// Versions of UUIDs that an event's id may have, unless the file allows fewer: by chance, by name, by time.
const EVENT_ID_VERSIONS: [u8; 3] = [4, 5, 7];
/// The members that every event needs, with rules of their own.
pub(crate) const OWN_MEMBERS: [&str; 4] = ["event_id", "event_type", "source_region", "timestamp"];

/// Rules for raw events, checked.
#[derive(Debug)]
pub struct RuleSet {
    id: RulesId,
    every_event: Vec<Rule>,
    /// With those of `every_event` that a type has none of its own for.
    event_types: BTreeMap<String, Vec<Rule>>,
    event_id_versions: Vec<u8>,
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
        let event_id_versions = compile_versions(file.event_id_versions.as_deref(), &mut mistakes);
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
        Ok(Self { id: RulesId::of_file(file.version, text), every_event, event_types, event_id_versions, geo })
    }

    /// Version and hash.
    pub fn id(&self) -> &RulesId {
        &self.id
    }

    /// The versions of UUIDs that an event's id may have.
    pub(crate) fn event_id_versions(&self) -> &[u8] {
        &self.event_id_versions
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
mod tests;
