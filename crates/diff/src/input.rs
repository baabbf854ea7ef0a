//! What a caller knows about a stack: templates, values of parameters, a change set, live state.
//!
//! Everything but the templates is optional: the less is known, the more the result says "may".

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::template::Template;

/// A stack in a region.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct StackKey {
    /// The stack's name within its system: `data`.
    pub name: String,
    /// Its region: `us-west-2`.
    pub region: String,
}

impl StackKey {
    /// The stack `name` in `region`.
    pub fn new(name: impl Into<String>, region: impl Into<String>) -> Self {
        Self { name: name.into(), region: region.into() }
    }
}

impl fmt::Display for StackKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.region)
    }
}

/// One stack before and after.
#[derive(Clone, Debug)]
pub struct StackChange<'a> {
    /// Which stack.
    pub key: StackKey,
    /// What is deployed; nothing if the stack is yet to be made.
    pub before: Option<&'a Template>,
    /// What it shall become; nothing if the stack goes.
    pub after: Option<&'a Template>,
    /// Values of the deployed stack's parameters. One that is missing has its default.
    pub parameters_before: BTreeMap<String, ParameterValue>,
    /// Values that the parameters shall have. One that is missing has its default.
    pub parameters_after: BTreeMap<String, ParameterValue>,
    /// What CloudFormation says would happen.
    pub change_set: Option<ChangeSet>,
    /// Where reality isn't what the deployed template says.
    pub drift: Vec<Drift>,
    /// Outputs of other stacks that this one goes on reading.
    pub reads: Vec<OutputRead>,
}

impl<'a> StackChange<'a> {
    /// A change of templates about which nothing else is known.
    pub fn new(key: StackKey, before: Option<&'a Template>, after: Option<&'a Template>) -> Self {
        Self {
            key,
            before,
            after,
            parameters_before: BTreeMap::new(),
            parameters_after: BTreeMap::new(),
            change_set: None,
            drift: Vec::new(),
            reads: Vec::new(),
        }
    }

    /// The template that decides what the stack's resources are: the new one, or the last one.
    pub(crate) fn latest(&self) -> Option<&'a Template> {
        self.after.or(self.before)
    }
}

/// What is known of a parameter's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParameterValue {
    /// The value.
    Known(String),
    /// Something else is deployed first, and then there is a value.
    KnownAfterApply,
}

/// An output that a stack reads.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OutputRead {
    /// The stack that has the output.
    pub stack: StackKey,
    /// The output's name.
    pub output: String,
}

/// What a change set says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ChangeSet {
    /// What happens to each resource.
    pub changes: Vec<ResourceReport>,
    /// Whether changes may be missing: a description with values of properties can leave resources out.
    pub may_be_incomplete: bool,
}

/// What a change set says about a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct ResourceReport {
    /// The resource.
    pub logical_id: String,
    /// Its type.
    pub resource_type: String,
    /// What happens to it.
    pub action: Action,
    /// Whether it is replaced; nothing where CloudFormation doesn't say.
    pub replacement: Option<ReportedReplacement>,
    /// Why.
    pub details: Vec<Detail>,
}

/// CloudFormation's `Action`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// It is made.
    Add,
    /// It is changed.
    Modify,
    /// It is deleted.
    Remove,
    /// A real thing becomes part of the stack.
    Import,
    /// That is decided while the stack is updated.
    Dynamic,
}

/// CloudFormation's `Replacement`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportedReplacement {
    /// A new one is made.
    True,
    /// It stays.
    False,
    /// That depends on values that are known later.
    Conditional,
}

/// One reason for a change, as a change set gives it.
#[derive(Clone, Debug, PartialEq)]
pub struct Detail {
    /// The property: `Replicas/0/Tags`. `Tags` for the stack's own tags.
    pub path: String,
    /// Whether the resource has to be made anew for it.
    pub requires_recreation: RequiresRecreation,
    /// Whether the value was known.
    pub evaluation: Evaluation,
    /// What brings the change about: `Key.Arn`.
    pub causing_entity: Option<String>,
    /// The value before, where CloudFormation gives it.
    pub before: Option<Value>,
    /// The value after, where CloudFormation gives it.
    pub after: Option<Value>,
}

/// CloudFormation's `RequiresRecreation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiresRecreation {
    /// Changed in place.
    Never,
    /// Depends.
    Conditionally,
    /// Made anew.
    Always,
}

/// CloudFormation's `Evaluation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evaluation {
    /// The new value is known.
    Static,
    /// The value depends on what happens to something else.
    Dynamic,
}

/// A property that isn't as the deployed template says.
#[derive(Clone, Debug, PartialEq)]
pub struct Drift {
    /// The resource.
    pub logical_id: String,
    /// The property: `VisibilityTimeout`. Empty if the whole resource is gone.
    pub path: String,
    /// What the deployed template says.
    pub expected: Option<Value>,
    /// What is there.
    pub actual: Option<Value>,
}
