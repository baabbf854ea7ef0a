//! What there is to say about a stack, each thing with how dangerous it is. Shared by the renderers for people.

use serde_json::Value;

use crate::group::Group;
use crate::model::{
    AccessChange, AttributeChange, Class, Direction, Finding, PropertyChange, Provenance, Replacement, ResourceDiff,
    SectionChange, Severity, Shown, code,
};

/// How dangerous something is to overlook, the most dangerous last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Danger {
    /// A property of something that is changed in place, an argument of what is said elsewhere.
    Detail,
    Note,
    Section,
    Added,
    Modified,
    Narrowed,
    Warning,
    /// A property of something that is replaced, an unsafe transition's way out.
    GraveDetail,
    Grave,
}

/// What kind of thing an item is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Topic {
    Access,
    Transition,
    Resource,
    Section,
    Note,
}

/// One thing to say. Names and values in it stand between backticks.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) topic: Topic,
    pub(crate) danger: Danger,
    /// Of a resource.
    pub(crate) class: Option<Class>,
    pub(crate) text: String,
    pub(crate) details: Vec<String>,
}

/// How many characters of a value are shown.
const MOST_CHARACTERS: usize = 240;

/// Everything about a group of stacks, the most dangerous first.
pub(crate) fn items(group: &Group) -> Vec<Item> {
    let stack = &group.stack;
    let mut items: Vec<Item> = Vec::new();
    items.extend(stack.permissions.iter().chain(&stack.network).map(access));
    items.extend(stack.findings.iter().map(finding));
    items.extend(stack.resources.iter().map(resource));
    items.extend(stack.sections.iter().map(section));
    if stack.metadata_only > 0 {
        items.push(note(format!("only metadata changes of {}", count(stack.metadata_only, "resource"))));
    }
    items.extend(stack.notes.iter().cloned().map(note));
    // Stable: within one danger the order above stays.
    items.sort_by_key(|item| (std::cmp::Reverse(item.danger), item.topic, std::cmp::Reverse(item.class)));
    items
}

/// A number with its noun.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// The sign before a resource.
pub(crate) fn sign(class: Class) -> &'static str {
    match class {
        Class::Added => "+",
        Class::Imported => ">",
        Class::Drifted | Class::Modified | Class::MayBeModified => "~",
        Class::Orphaned => "<",
        Class::Removed | Class::MayBeRemoved => "-",
        Class::Replaced | Class::MayBeReplaced => "-/+",
    }
}

fn note(text: String) -> Item {
    Item { topic: Topic::Note, danger: Danger::Note, class: None, text, details: Vec::new() }
}

fn access(change: &AccessChange) -> Item {
    let danger = if change.direction.broadens() { Danger::Grave } else { Danger::Narrowed };
    let is_long = change.gained.len() + change.lost.len() > AccessChange::SHOWN;
    let details = if is_long && change.direction != Direction::Same {
        change.gained.iter().chain(&change.lost).cloned().collect()
    } else {
        Vec::new()
    };
    Item { topic: Topic::Access, danger, class: None, text: change.text(), details }
}

fn finding(finding: &Finding) -> Item {
    let danger = if finding.severity == Severity::Warning { Danger::Warning } else { Danger::Grave };
    let text = format!("{} {}: {}", finding.severity, code(&finding.rule), finding.message);
    let details = vec![format!("instead: {}", finding.safe_path)];
    Item { topic: Topic::Transition, danger, class: None, text, details }
}

fn resource(resource: &ResourceDiff) -> Item {
    let danger = match resource.class {
        class if class.is_destructive() => Danger::Grave,
        Class::Added | Class::Imported | Class::Drifted => Danger::Added,
        _ => Danger::Modified,
    };
    let mut text = format!("{} ({}) {}", code(&resource.logical_id), code(&resource.resource_type), resource.class);
    if resource.is_stateful && resource.class.is_destructive() {
        text.push_str(" (holds data)");
    }
    if !resource.because.is_empty() {
        text.push_str(&format!(" because {}", resource.because.join("; ")));
    }
    text.push_str(&sources(&resource.sources));
    let mut details: Vec<String> = resource.properties.iter().map(property).collect();
    details.extend(resource.attributes.iter().map(attribute));
    Item { topic: Topic::Resource, danger, class: Some(resource.class), text, details }
}

fn property(change: &PropertyChange) -> String {
    let mut text = format!("{}: {}", code(&change.path), arrow(change.before.as_ref(), change.after.as_ref()));
    let mut remarks: Vec<&str> = Vec::new();
    match change.replacement {
        Replacement::Never => {}
        Replacement::Maybe => remarks.push("may replace"),
        Replacement::Always => remarks.push("replaces"),
    }
    if change.is_possible {
        remarks.push("if it changes");
    }
    remarks.extend(change.because.as_deref());
    if !remarks.is_empty() {
        text.push_str(&format!(" ({})", remarks.join("; ")));
    }
    text.push_str(&sources(&change.sources));
    text
}

/// Who says so.
fn sources(sources: &[Provenance]) -> String {
    let names: Vec<String> = sources.iter().map(Provenance::to_string).collect();
    format!(" [{}]", names.join(", "))
}

fn attribute(change: &AttributeChange) -> String {
    let shown = |value: &Option<Value>| value.clone().map(Shown::Value);
    let (before, after) = (shown(&change.before), shown(&change.after));
    format!("{}: {} [template]", code(&change.name), arrow(before.as_ref(), after.as_ref()))
}

fn section(change: &SectionChange) -> Item {
    let text = format!(
        "{} {}: {} [template]",
        change.section,
        code(&change.name),
        arrow(change.before.as_ref(), change.after.as_ref())
    );
    Item { topic: Topic::Section, danger: Danger::Section, class: None, text, details: Vec::new() }
}

fn arrow(before: Option<&Shown>, after: Option<&Shown>) -> String {
    match (before, after) {
        (None, Some(after)) => format!("set to {}", shown(after)),
        (Some(before), None) => format!("was {}, no longer set", shown(before)),
        (Some(before), Some(after)) => format!("{} → {}", shown(before), shown(after)),
        (None, None) => "changes".to_owned(),
    }
}

fn shown(value: &Shown) -> String {
    match value {
        Shown::Hidden => "(hidden)".to_owned(),
        Shown::KnownAfterApply => "(known after apply)".to_owned(),
        Shown::Value(value) => {
            let text = value.to_string();
            match text.char_indices().nth(MOST_CHARACTERS) {
                Some((end, _)) => {
                    format!("{} (of {} characters)", code(&format!("{}…", &text[..end])), text.chars().count())
                }
                None => code(&text),
            }
        }
    }
}
