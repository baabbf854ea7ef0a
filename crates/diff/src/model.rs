//! What a comparison finds. Plain values: everything that must not be seen was taken out when they were made.

mod access;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use access::{AccessChange, Direction, Flag};

use crate::input::StackKey;
use crate::summary::Summary;

/// What a change of templates means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Diff {
    /// Each stack, in order of its key; also those that don't change.
    pub stacks: Vec<StackDiff>,
}

impl Diff {
    /// Whether nothing changes anywhere.
    pub fn is_empty(&self) -> bool {
        self.stacks.iter().all(StackDiff::is_empty)
    }

    /// The classes that apply, and how many of what.
    pub fn summary(&self) -> Summary {
        Summary::of(self)
    }

    /// The stack with that key.
    pub fn stack(&self, key: &StackKey) -> Option<&StackDiff> {
        self.stacks.iter().find(|stack| stack.key == *key)
    }
}

/// What happens to one stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StackDiff {
    /// Which stack.
    pub key: StackKey,
    /// What happens to it as a whole.
    pub fate: StackFate,
    /// Resources that change, in order of logical id.
    pub resources: Vec<ResourceDiff>,
    /// Changes of outputs, parameters, conditions, mappings and the like.
    pub sections: Vec<SectionChange>,
    /// Changes of who may do what.
    pub permissions: Vec<AccessChange>,
    /// Changes of who can reach what.
    pub network: Vec<AccessChange>,
    /// What makes the way from the one template to the other unsafe.
    pub findings: Vec<Finding>,
    /// Resources of which nothing but metadata changes.
    pub metadata_only: usize,
    /// What a reader should know about the sources.
    pub notes: Vec<String>,
}

impl StackDiff {
    /// Whether nothing changes, metadata included.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
            && self.permissions.is_empty()
            && self.network.is_empty()
            && self.sections.is_empty()
            && self.metadata_only == 0
            && self.fate == StackFate::Stays
            && self.findings.is_empty()
    }

    /// The resource with that logical id, if it changes.
    pub fn resource(&self, logical_id: &str) -> Option<&ResourceDiff> {
        let index = self.resources.binary_search_by(|resource| resource.logical_id.as_str().cmp(logical_id)).ok()?;
        Some(&self.resources[index])
    }
}

/// What happens to a stack as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StackFate {
    /// It is made.
    Created,
    /// It was there and will be.
    Stays,
    /// It is deleted.
    Deleted,
}

/// What happens to one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResourceDiff {
    /// The resource.
    pub logical_id: String,
    /// Its type; the old one if it goes.
    pub resource_type: String,
    /// What happens to it.
    pub class: Class,
    /// Why it is replaced or may be; why it may go.
    pub because: Vec<String>,
    /// Whether the real thing holds what can't be made again.
    pub is_stateful: bool,
    /// Who says so.
    pub sources: Vec<Provenance>,
    /// Changes of its properties, in order of path. Empty for what is made or goes as a whole.
    pub properties: Vec<PropertyChange>,
    /// Changes of what stands beside its properties.
    pub attributes: Vec<AttributeChange>,
}

/// What happens to a resource, the most harmful last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Nothing by this change, but reality isn't as the template says.
    Drifted,
    /// A real thing becomes part of the stack.
    Imported,
    /// It is made.
    Added,
    /// It changes if a value that is known later is another one.
    MayBeModified,
    /// It is changed in place.
    Modified,
    /// It leaves the template, and the real thing stays (`DeletionPolicy: Retain`).
    Orphaned,
    /// It is made anew, or not; the reasons are beside it.
    MayBeReplaced,
    /// It goes if a condition that is known later doesn't hold.
    MayBeRemoved,
    /// It is made anew, and the old one goes.
    Replaced,
    /// It goes.
    Removed,
}

impl Class {
    /// Whether something is lost, or may be.
    pub fn is_destructive(self) -> bool {
        self >= Self::MayBeReplaced
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drifted => "drifted",
            Self::Imported => "imported",
            Self::Added => "added",
            Self::MayBeModified => "may be modified",
            Self::Modified => "modified",
            Self::Orphaned => "retained, leaves the stack",
            Self::MayBeReplaced => "may be replaced",
            Self::MayBeRemoved => "may be removed",
            Self::Replaced => "replaced",
            Self::Removed => "removed",
        })
    }
}

/// Who says that something changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// The templates and the values of parameters.
    Template,
    /// The change set.
    ChangeSet,
    /// What was found in reality.
    Live,
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Template => "template",
            Self::ChangeSet => "change set",
            Self::Live => "live",
        })
    }
}

/// A property that changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PropertyChange {
    /// Names with `/` between them; an item of a keyed list has its key: `Replicas/us-east-1/Tags`.
    pub path: String,
    /// The value before; nothing if it wasn't set.
    pub before: Option<Shown>,
    /// The value after; nothing if it isn't set any more.
    pub after: Option<Shown>,
    /// Whether the resource is made anew for it.
    pub replacement: Replacement,
    /// Whether it changes at all is known only later.
    pub is_possible: bool,
    /// Why: a reference to what changes, a value of a parameter.
    pub because: Option<String>,
    /// Who says so.
    pub sources: Vec<Provenance>,
}

/// Whether a change makes a resource anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Replacement {
    /// It stays.
    Never,
    /// That depends on values or on the state of the real thing.
    Maybe,
    /// It is made anew.
    Always,
}

impl From<cfn::Replacement> for Replacement {
    fn from(replacement: cfn::Replacement) -> Self {
        match replacement {
            cfn::Replacement::Never => Self::Never,
            cfn::Replacement::Maybe => Self::Maybe,
            cfn::Replacement::Always => Self::Always,
        }
    }
}

/// A value as it may be shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shown {
    /// The value; parts that must not be seen are replaced by a word.
    Value(Value),
    /// There is a value, and it must not be seen.
    Hidden,
    /// There will be a value.
    KnownAfterApply,
}

/// A change beside a resource's properties.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AttributeChange {
    /// `DeletionPolicy`, `DependsOn`, ….
    pub name: String,
    /// The value before.
    pub before: Option<Value>,
    /// The value after.
    pub after: Option<Value>,
}

/// A change in a part of the template other than `Resources`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SectionChange {
    /// `Outputs`, `Parameters`, ….
    pub section: String,
    /// What in it.
    pub name: String,
    /// The value before; nothing if it is new.
    pub before: Option<Shown>,
    /// The value after; nothing if it goes.
    pub after: Option<Shown>,
}

/// What makes a transition unsafe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule's name: `one-index-per-update`.
    pub rule: String,
    /// How bad.
    pub severity: Severity,
    /// The resource or output that it is about.
    pub subject: Option<String>,
    /// What happens.
    pub message: String,
    /// What to do instead.
    pub safe_path: String,
}

/// How bad a transition is, the worst last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It works, and costs something.
    Warning,
    /// It works in several updates: [`sequence()`](crate::sequence()) makes them for tables, for others the safe path
    /// names them.
    NeedsSequence,
    /// AWS refuses it, or something is lost.
    Refused,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::NeedsSequence => "needs a sequence",
            Self::Refused => "refused",
        })
    }
}

/// Resources by their logical id, while they are worked out.
pub(crate) type Resources = BTreeMap<String, ResourceDiff>;

/// Puts a name or value into a sentence, so that no renderer mistakes it for the sentence's own words.
///
/// A backtick within it would end the quotation, so it becomes another sign.
pub(crate) fn code(text: &str) -> String {
    format!("`{}`", text.replace('`', "\u{2bb}"))
}
