//! What a search for drift says: the diff, and beside it what could not be seen.

use std::collections::{BTreeMap, BTreeSet};

use diff::Diff;
use diff::render::{About, MarkdownOptions, json, markdown};
use serde::Serialize;
use serde_json::Value;

use crate::deploy::system::StackKey;

/// Names that are shown before the rest is only counted.
const SHOWN: usize = 8;

/// The most bytes of what could not be seen, in Markdown.
const MOST_NOTES: usize = 12_000;

/// What a search for drift found.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// The environment.
    pub environment: String,
    /// From what is deployed to what is live.
    pub diff: Diff,
    /// What was not looked at.
    pub unchecked: Vec<Unchecked>,
    /// Properties of what was looked at that can't be seen.
    pub unseen: Vec<Unseen>,
    /// Stacks that aren't there.
    pub not_deployed: Vec<StackKey>,
}

/// A resource, or a whole stack, that was not looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Unchecked {
    /// The stack.
    pub stack: StackKey,
    /// The resource; none for the whole stack.
    pub logical_id: Option<String>,
    /// Its type.
    pub resource_type: Option<String>,
    /// Why it failed; none when drift can't be detected in resources of the type.
    pub reason: Option<String>,
}

impl Unchecked {
    pub(super) fn stack(stack: &StackKey, reason: String) -> Self {
        Self { stack: stack.clone(), logical_id: None, resource_type: None, reason: Some(reason) }
    }

    pub(super) fn resource(stack: &StackKey, id: &str, kind: &str, reason: Option<String>) -> Self {
        let (logical_id, resource_type) = (Some(id.to_owned()), Some(kind.to_owned()));
        Self { stack: stack.clone(), logical_id, resource_type, reason }
    }
}

/// A property that is set and that no service gives back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unseen {
    /// The stack.
    pub stack: StackKey,
    /// The resource.
    pub logical_id: String,
    /// Its type.
    pub resource_type: String,
    /// The property's path.
    pub property: String,
}

impl Report {
    pub(super) fn new(environment: &str) -> Self {
        Self {
            environment: environment.to_owned(),
            diff: Diff { stacks: Vec::new() },
            unchecked: Vec::new(),
            unseen: Vec::new(),
            not_deployed: Vec::new(),
        }
    }

    /// Counts stacks that aren't there as not looked at, where the environment is there: nobody knows who deleted them.
    pub(super) fn missing(&mut self, environment_is_there: bool) {
        if environment_is_there {
            let reason = || "it isn't deployed, and other stacks of the environment are".to_owned();
            let missing = self.not_deployed.iter().map(|stack| Unchecked::stack(stack, reason()));
            self.unchecked.extend(missing.collect::<Vec<_>>());
        }
    }

    /// What should have been looked at and could not be.
    pub fn failures(&self) -> impl Iterator<Item = &Unchecked> {
        self.unchecked.iter().filter(|one| one.reason.is_some())
    }

    /// What could not be seen, line by line: failures first.
    pub fn notes(&self) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for one in self.failures() {
            let what = match (&one.logical_id, &one.resource_type) {
                (Some(id), Some(kind)) => format!("`{id}` ({kind}) of {}", one.stack),
                _ => one.stack.to_string(),
            };
            lines.push(format!("not looked at: {what}: {}", one.reason.as_deref().unwrap_or_default()));
        }
        let mut by_type: BTreeMap<&str, (usize, BTreeSet<String>)> = BTreeMap::new();
        for one in self.unchecked.iter().filter(|one| one.reason.is_none()) {
            let (count, names) = by_type.entry(one.resource_type.as_deref().unwrap_or_default()).or_default();
            *count += 1;
            names.insert(format!("{}/{}", one.stack.name, one.logical_id.as_deref().unwrap_or_default()));
        }
        lines.extend(
            by_type
                .into_iter()
                .map(|(kind, (count, names))| format!("no drift detection: {count} × {kind}: {}", some_of(&names))),
        );
        let mut by_property: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
        for one in &self.unseen {
            let names = by_property.entry((&one.resource_type, &one.property)).or_default();
            names.insert(format!("{}/{}", one.stack.name, one.logical_id));
        }
        lines.extend(by_property.into_iter().map(|((kind, property), names)| {
            format!("can't be read back: `{property}` of {kind}: {}", some_of(&names))
        }));
        let is_told = |stack: &StackKey| self.failures().any(|one| one.logical_id.is_none() && one.stack == *stack);
        let absent = self.not_deployed.iter().filter(|stack| !is_told(stack));
        lines.extend(absent.map(|stack| format!("not deployed: {stack}")));
        lines
    }

    /// One document: that of a diff, with `environment`, `unchecked`, `unseen` and `not_deployed` beside.
    pub fn json(&self) -> Value {
        let mut document: Value = serde_json::from_str(&json(&self.diff)).unwrap_or_default();
        let value = |value: Result<Value, serde_json::Error>| value.unwrap_or_default();
        document["environment"] = self.environment.clone().into();
        document["unchecked"] = value(serde_json::to_value(&self.unchecked));
        document["unseen"] = value(serde_json::to_value(&self.unseen));
        document["not_deployed"] = value(serde_json::to_value(&self.not_deployed));
        document
    }

    /// For GitHub, of no more bytes than a comment or an issue takes.
    pub fn markdown(&self, artifact: &str) -> String {
        let notes = self.notes();
        let mut below = String::new();
        if !notes.is_empty() {
            let (failed, all) = (self.failures().count(), notes.len());
            let title =
                if failed > 0 { format!("{failed} could not be looked at") } else { "What isn't seen".to_owned() };
            let mut list = String::new();
            let mut left_out = 0;
            for note in &notes {
                let line = format!("- {}\n", diff::render::escaped(note));
                if list.len() + line.len() > MOST_NOTES {
                    left_out += 1;
                } else {
                    list.push_str(&line);
                }
            }
            if left_out > 0 {
                list.push_str(&format!(
                    "- {left_out} of {all} lines left out: see {}\n",
                    diff::render::escaped(artifact)
                ));
            }
            below = format!("\n<details><summary>{title}</summary>\n\n{list}\n</details>\n");
        }
        let options = MarkdownOptions {
            marker: format!("tandem-drift-{}", self.environment),
            artifact: Some(artifact.to_owned()),
            about: About::Drift,
            subject: Some(self.environment.clone()),
            against: None,
            cap: MarkdownOptions::default().cap - below.len(),
        };
        format!("{}{below}", markdown(&self.diff, &options))
    }
}

/// The first names, and how many more there are.
fn some_of(names: &BTreeSet<String>) -> String {
    let mut shown: Vec<String> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = names.len() - shown.len();
    shown.extend((more > 0).then(|| format!("and {more} more (`--format json` has all)")));
    shown.join(", ")
}
