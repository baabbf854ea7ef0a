//! What the type system can't hold: lengths, patterns, limits, dangling names, rules between resources.
//!
//! Only literals are checked. An intrinsic passes, since its value is known only when the stack is deployed.

mod graph;
mod limits;
mod pattern;
mod removal;
mod schema;

use std::fmt;
use std::panic::Location;

use crate::describe::{RECORDED_REGIONS, describe};
use crate::rules;
use crate::template::{Declaration, Template};

pub use pattern::{SkippedPattern, skipped_patterns};
pub(crate) use pattern::{compile, finds};

/// Everything that is wrong with a template in a region, in the order of declaration. Empty if all is well.
pub fn check(template: &Template, region: &str) -> Vec<Violation> {
    let mut found = template.recorded.clone();
    let recorded = RECORDED_REGIONS.contains(&region);
    if !recorded {
        let known = RECORDED_REGIONS.join(", ");
        let message = format!("which types exist in {region} is not recorded, only for {known}");
        found.push(Violation::new("region", message).note().hint("add it to `REGIONS` in `xtask/src/schemas.rs`"));
    }
    for declaration in template.resources() {
        match describe(declaration.type_name()) {
            Some(description) => {
                if recorded && !description.regions.contains(&region) {
                    found.push(
                        Violation::new("region", format!("`{}` does not exist in {region}", declaration.type_name()))
                            .of(declaration)
                            .hint(format!("it is known in {}", description.regions.join(", "))),
                    );
                }
                schema::check(declaration, description, &mut found);
            }
            None => found.push(
                Violation::new("unknown-type", format!("no schema of `{}` is vendored", declaration.type_name()))
                    .of(declaration)
                    .hint("add the type to `schemas/types.txt`"),
            ),
        }
    }
    removal::check(template, &mut found);
    graph::check(template, &mut found);
    limits::check(template, &mut found);
    rules::check(template, region, &mut found);
    found
}

/// How much a violation matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; the template can be deployed.
    Note,
    /// The deployment would fail, or would do what nobody wants.
    Error,
}

/// One thing that is wrong with a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Stable name of the rule, such as `pattern`.
    pub rule: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// The resource, parameter or output; none if the template as a whole is meant.
    pub logical_id: Option<String>,
    /// The resource's type.
    pub resource_type: Option<&'static str>,
    /// The property, written with `/` between names and list indices from 0; empty if the resource as a whole is meant.
    pub path: String,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// How to put it right, where that can be said.
    pub hint: Option<String>,
    /// File and line that declared it.
    pub location: Option<&'static Location<'static>>,
}

impl Violation {
    pub(crate) fn new(rule: &'static str, message: impl Into<String>) -> Self {
        Self {
            rule,
            severity: Severity::Error,
            logical_id: None,
            resource_type: None,
            path: String::new(),
            message: message.into(),
            hint: None,
            location: None,
        }
    }

    pub(crate) fn note(mut self) -> Self {
        self.severity = Severity::Note;
        self
    }

    pub(crate) fn of(mut self, declaration: &Declaration) -> Self {
        self.logical_id = Some(declaration.logical_id().to_owned());
        self.resource_type = Some(declaration.type_name());
        self.location = Some(declaration.location());
        self
    }

    pub(crate) fn of_name(mut self, name: &str, location: &'static Location<'static>) -> Self {
        self.logical_id = Some(name.to_owned());
        self.location = Some(location);
        self
    }

    pub(crate) fn at(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// `file:line: Resource (Type) Property/Path: what is wrong [rule]`, and the hint on a line of its own.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = self.location {
            write!(f, "{}:{}: ", location.file(), location.line())?;
        }
        if let Some(logical_id) = &self.logical_id {
            write!(f, "{logical_id}")?;
            if let Some(resource_type) = self.resource_type {
                write!(f, " ({resource_type})")?;
            }
            if !self.path.is_empty() {
                write!(f, " {}", self.path)?;
            }
            write!(f, ": ")?;
        }
        write!(f, "{} [{}]", self.message, self.rule)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}
