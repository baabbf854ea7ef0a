//! For a terminal: lines that say everything without colour, each with what it is, so that a caller may paint.

use std::fmt;

use super::About;
use super::escape::visible;
use super::item::{Danger, Item, Topic, count, items, sign};
use crate::group::{Group, groups, regions};
use crate::model::{Class, Diff, Severity, StackFate};
use crate::summary::ChangeClass;

/// A diff as lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// The lines, in order.
    pub lines: Vec<Line>,
}

/// One line, without what its end is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How deep it stands: two spaces each.
    pub depth: usize,
    /// What it is.
    pub role: Role,
    /// The words, without control characters.
    pub text: String,
}

/// What a line is, for painting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A stack.
    Heading,
    /// More is permitted or reachable.
    Broadened,
    /// Less is, or as much.
    Narrowed,
    /// A transition that is refused or needs several steps.
    Refused,
    /// A transition that costs something.
    Warning,
    /// Something goes, or may.
    Removed,
    /// Something is made anew, or may be.
    Replaced,
    /// Something changes in place.
    Modified,
    /// Something comes.
    Added,
    /// More about the line above.
    Detail,
    /// A remark.
    Note,
    /// What it comes to.
    Total,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:width$}{}", "", self.text, width = self.depth * 2)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// The diff of a change for a terminal, stack by stack, in each the most dangerous first.
pub fn human(diff: &Diff) -> Text {
    human_about(diff, About::Change)
}

/// As [`human`], in the words for what the diff tells of.
pub fn human_about(diff: &Diff, about: About) -> Text {
    let all_regions = regions(diff);
    let mut lines = Vec::new();
    for group in groups(diff) {
        let text = visible(&heading(&group, all_regions)).into_owned();
        lines.push(Line { depth: 0, role: Role::Heading, text });
        for item in items(&group) {
            let text = match item.class {
                Some(class) => format!("{} {}", sign(class), item.text),
                None => item.text.clone(),
            };
            lines.push(Line { depth: 1, role: role(&item), text: visible(&text).into_owned() });
            let details = item.details.iter();
            lines.extend(details.map(|detail| Line {
                depth: 3,
                role: Role::Detail,
                text: visible(detail).into_owned(),
            }));
        }
    }
    lines.push(Line { depth: 0, role: Role::Total, text: total(diff, about) });
    Text { lines }
}

fn heading(group: &Group, all_regions: usize) -> String {
    format!("{} ({}){}", group.name, group.place(all_regions), fate(group.stack.fate))
}

/// What happens to a stack as a whole, after its name.
pub(super) fn fate(fate: StackFate) -> &'static str {
    match fate {
        StackFate::Created => ", created",
        StackFate::Stays => "",
        StackFate::Deleted => ", deleted",
    }
}

/// What it comes to, in one line.
pub(super) fn total(diff: &Diff, about: About) -> String {
    let summary = diff.summary();
    let (nothing, verb) = match about {
        About::Change => ("no changes", "changed"),
        About::Drift => ("no drift", "not as deployed"),
    };
    if summary.classes.is_empty() {
        return nothing.to_owned();
    }
    let stacks = diff.stacks.iter().filter(|stack| !stack.is_empty()).count();
    let mut parts = vec![format!("{} {verb}", count(stacks, "stack"))];
    for (class, number) in summary.resources.iter().rev() {
        parts.push(format!("{number} {}", short(*class)));
    }
    if summary.stateful_at_risk > 0 {
        parts.push(format!("{} at risk with data", summary.stateful_at_risk));
    }
    if summary.classes.contains(&ChangeClass::Broadened) {
        parts.push(format!("{} broadened", summary.broadened));
    }
    if summary.narrowed > 0 {
        parts.push(format!("{} narrowed", summary.narrowed));
    }
    for severity in [Severity::Refused, Severity::NeedsSequence, Severity::Warning] {
        if summary.count(severity) > 0 {
            parts.push(match severity {
                Severity::Refused => count(summary.count(severity), "refused transition"),
                Severity::NeedsSequence => count(summary.count(severity), "transition") + " in several steps",
                Severity::Warning => count(summary.count(severity), "warning"),
            });
        }
    }
    parts.join(", ")
}

/// A class without its explanation.
pub(super) fn short(class: Class) -> String {
    match class {
        Class::Orphaned => "retained".to_owned(),
        other => other.to_string(),
    }
}

fn role(item: &Item) -> Role {
    match (item.topic, item.danger, item.class) {
        (Topic::Access, Danger::Grave, _) => Role::Broadened,
        (Topic::Access, ..) => Role::Narrowed,
        (Topic::Transition, Danger::Warning, _) => Role::Warning,
        (Topic::Transition, ..) => Role::Refused,
        (_, _, Some(Class::Removed | Class::MayBeRemoved)) => Role::Removed,
        (_, _, Some(Class::Replaced | Class::MayBeReplaced)) => Role::Replaced,
        (_, _, Some(Class::Added | Class::Imported)) => Role::Added,
        (_, _, Some(_)) | (Topic::Section, ..) => Role::Modified,
        _ => Role::Note,
    }
}
