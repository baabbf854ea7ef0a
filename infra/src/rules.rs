//! What must hold between stacks: what no template shows by itself.
//!
//! One home for what exists once, an alarm for every queue of dead letters, inputs that lead somewhere, an order in
//! which stacks can be created, templates that can be sent when their turn comes. What a single template must hold is in `cfn::check` and `cfn::policy`.

mod dead_letters;
mod inputs;
mod order;
mod ownership;
mod size;

use std::fmt;
use std::panic::Location;

use cfn::{Declaration, Severity};

use crate::system::{StackId, StackInstance, System};

/// The rules in the language of CloudFormation Guard that this system comes with: file names in the checkout, and texts.
///
/// Whoever evaluates them also reads the folder, so that rules are added without compiling anything.
pub const GUARD_FILES: [(&str, &str); 6] = [
    ("infra/policy/access.guard", include_str!("../policy/access.guard")),
    ("infra/policy/encryption.guard", include_str!("../policy/encryption.guard")),
    ("infra/policy/functions.guard", include_str!("../policy/functions.guard")),
    ("infra/policy/network.guard", include_str!("../policy/network.guard")),
    ("infra/policy/retention.guard", include_str!("../policy/retention.guard")),
    ("infra/policy/tags.guard", include_str!("../policy/tags.guard")),
];

/// One thing that is wrong between stacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable name of the rule, such as `one-home`.
    pub rule: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// The stacks that it is about; the first one is where the repair belongs.
    pub stacks: Vec<StackId>,
    /// The resource, parameter or output in the first stack; none if the stack as a whole is meant.
    pub logical_id: Option<String>,
    /// The resource's type.
    pub resource_type: Option<&'static str>,
    /// What is wrong: lower case, no full stop.
    pub message: String,
    /// How to put it right.
    pub hint: String,
    /// File and line that declared it.
    pub location: Option<&'static Location<'static>>,
}

impl Finding {
    fn new(rule: &'static str, stack: &StackInstance, message: String, hint: impl Into<String>) -> Self {
        Self {
            rule,
            severity: Severity::Error,
            stacks: vec![stack.id.clone()],
            logical_id: None,
            resource_type: None,
            message,
            hint: hint.into(),
            location: None,
        }
    }

    fn of(mut self, declaration: &Declaration) -> Self {
        self.logical_id = Some(declaration.logical_id().to_owned());
        self.resource_type = Some(declaration.type_name());
        self.location = Some(declaration.location());
        self
    }

    fn named(mut self, name: &str) -> Self {
        self.logical_id = Some(name.to_owned());
        self
    }

    fn with(mut self, stack: &StackId) -> Self {
        if !self.stacks.contains(stack) {
            self.stacks.push(stack.clone());
        }
        self
    }
}

/// `file:line: stack@region Resource (Type): what is wrong [rule]`, and the hint on a line of its own.
impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = self.location {
            write!(f, "{}:{}: ", location.file(), location.line())?;
        }
        if let Some(stack) = self.stacks.first() {
            write!(f, "{stack}")?;
        }
        if let Some(logical_id) = &self.logical_id {
            write!(f, " {logical_id}")?;
        }
        if let Some(resource_type) = self.resource_type {
            write!(f, " ({resource_type})")?;
        }
        write!(f, ": {} [{}]\n  hint: {}", self.message, self.rule, self.hint)
    }
}

/// Everything that is wrong between the stacks of a system. Empty if all is well.
pub fn check(system: &System) -> Vec<Finding> {
    let mut found = Vec::new();
    ownership::check(system, &mut found);
    inputs::check(system, &mut found);
    order::check(system, &mut found);
    dead_letters::check(system, &mut found);
    size::check(system, &mut found);
    found
}

/// Bytes of a template that CloudFormation takes within a call; a longer one has to lie in a bucket.
///
/// <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/cloudformation-limits.html>, read 2026-11.
pub const INLINE_BYTES: usize = 51_200;

/// The stack of that id.
fn stack<'a>(system: &'a System, id: &StackId) -> Option<&'a StackInstance> {
    system.stacks.iter().find(|stack| stack.id == *id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;

    /// What is found once something was broken in the system of the production environment.
    pub(super) fn broken(change: impl FnOnce(&mut System)) -> Vec<Finding> {
        let text = include_str!("../../environments/production.toml");
        let environment = Environment::parse("production.toml", text).expect("a good file");
        let mut system = crate::system::system(&environment);
        change(&mut system);
        check(&system)
    }

    /// The stack that is written so, such as `data@us-west-2`.
    pub(super) fn stack_of<'a>(system: &'a mut System, id: &str) -> &'a mut StackInstance {
        system.stacks.iter_mut().find(|stack| stack.id.to_string() == id).unwrap_or_else(|| panic!("no {id}"))
    }

    #[test]
    fn the_production_environment_breaks_nothing() {
        assert_eq!(broken(|_| {}), []);
    }
}
