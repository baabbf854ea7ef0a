//! The classes that a diff falls into, for exit codes, and how many of what.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::{Class, Diff, Severity};

/// A class of a change, the gravest last. No class: nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeClass {
    /// Something changes.
    Changes,
    /// Something is replaced or removed, or may be.
    Destructive,
    /// More is permitted or reachable, or it can't be proven that not.
    Broadened,
}

/// All classes that apply, and counts over all stacks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// All that apply; empty if nothing changes.
    pub classes: BTreeSet<ChangeClass>,
    /// Resources by what happens to them.
    pub resources: BTreeMap<Class, usize>,
    /// Resources that hold what can't be made again and are replaced or removed, or may be.
    pub stateful_at_risk: usize,
    /// Changes of permissions and reachability that broaden.
    pub broadened: usize,
    /// Changes of permissions and reachability that only narrow.
    pub narrowed: usize,
    /// Findings about the transition, by severity.
    pub findings: BTreeMap<Severity, usize>,
    /// Changes of outputs, parameters and the like.
    pub sections: usize,
    /// Resources of which only metadata changes.
    pub metadata_only: usize,
}

impl Summary {
    pub(crate) fn of(diff: &Diff) -> Self {
        let mut summary = Self::default();
        for stack in &diff.stacks {
            for resource in &stack.resources {
                *summary.resources.entry(resource.class).or_default() += 1;
                if resource.class.is_destructive() {
                    summary.stateful_at_risk += usize::from(resource.is_stateful);
                    summary.classes.insert(ChangeClass::Destructive);
                }
            }
            for change in stack.permissions.iter().chain(&stack.network) {
                match change.direction {
                    direction if direction.broadens() => summary.broadened += 1,
                    crate::Direction::Narrowed => summary.narrowed += 1,
                    _ => {}
                }
            }
            for finding in &stack.findings {
                *summary.findings.entry(finding.severity).or_default() += 1;
            }
            summary.sections += stack.sections.len();
            summary.metadata_only += stack.metadata_only;
            if !stack.is_empty() {
                summary.classes.insert(ChangeClass::Changes);
            }
        }
        if summary.broadened > 0 {
            summary.classes.insert(ChangeClass::Broadened);
        }
        summary
    }

    /// The gravest class; none if nothing changes.
    pub fn gravest(&self) -> Option<ChangeClass> {
        self.classes.last().copied()
    }

    /// How many resources are replaced or removed, or may be.
    pub fn destructive(&self) -> usize {
        self.resources.iter().filter(|(class, _)| class.is_destructive()).map(|(_, count)| count).sum()
    }

    /// How many findings of that severity there are.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.get(&severity).copied().unwrap_or_default()
    }
}
