//! Stacks of several regions that change alike, to be shown once.

use serde_json::Value;

use crate::input::StackKey;
use crate::model::{
    AccessChange, AttributeChange, Diff, Finding, PropertyChange, ResourceDiff, SectionChange, Shown, StackDiff,
};

/// What stands for a stack's own region in a group of several.
const OWN: &str = "<region>";
/// What stands there for the other region, where there are two.
const OTHER: &str = "<other region>";

/// Stacks of one name whose changes are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The stacks' name.
    pub name: String,
    /// Their regions, sorted.
    pub regions: Vec<String>,
    /// What happens to each of them. In a group of several `<region>` stands for the region's own name, and
    /// `<other region>` for the other's where the diff is about two.
    pub stack: StackDiff,
}

impl Group {
    /// The regions in words: `us-west-2`, or `both regions` if there are no others.
    pub fn place(&self, all_regions: usize) -> String {
        match self.regions.len() {
            2 if all_regions == 2 => "both regions".to_owned(),
            count if count > 2 && count == all_regions => "all regions".to_owned(),
            _ => self.regions.join(", "),
        }
    }
}

/// The stacks of a diff that change, in order of name and region, with alike ones together.
pub fn groups(diff: &Diff) -> Vec<Group> {
    let regions = regions_of(diff);
    let mut groups: Vec<(Group, StackDiff)> = Vec::new();
    let changed = diff.stacks.iter().filter(|stack| !stack.is_empty());
    for stack in changed {
        let own = stack.key.region.as_str();
        let neutral = neutral(stack, other_of(own, &regions));
        // The stacks are in order of their names, so only the last groups can be of the same name.
        let same_name = groups.iter_mut().rev().take_while(|(group, _)| group.name == stack.key.name);
        match same_name.into_iter().find(|(_, known)| *known == neutral) {
            Some((group, known)) => {
                group.regions.push(stack.key.region.clone());
                group.stack = known.clone();
            }
            None => {
                let (name, regions) = (stack.key.name.clone(), vec![stack.key.region.clone()]);
                groups.push((Group { name, regions, stack: stack.clone() }, neutral));
            }
        }
    }
    groups.into_iter().map(|(group, _)| group).collect()
}

/// How many regions a diff is about.
pub(crate) fn regions(diff: &Diff) -> usize {
    regions_of(diff).len()
}

fn regions_of(diff: &Diff) -> Vec<&str> {
    let mut regions: Vec<&str> = diff.stacks.iter().map(|stack| stack.key.region.as_str()).collect();
    regions.sort_unstable();
    regions.dedup();
    regions
}

/// The other of two regions, if their names can be told apart within a text.
fn other_of<'r>(own: &str, regions: &[&'r str]) -> Option<&'r str> {
    let [one, two] = regions else { return None };
    let other = if *one == own { two } else { one };
    (!other.contains(own) && !own.contains(other)).then_some(other)
}

/// The stack's diff with a word instead of its region's name and of the other's, wherever they stand in a text.
fn neutral(stack: &StackDiff, other: Option<&str>) -> StackDiff {
    let names = [(Some(stack.key.region.as_str()), OWN), (other, OTHER)];
    let text = |text: &str| {
        // A shorter name than that of any region would be found in the middle of words.
        let names = names.iter().filter_map(|(name, word)| Some((name.filter(|name| name.len() >= 6)?, word)));
        names.fold(text.to_owned(), |text, (name, word)| text.replace(name, word))
    };
    let texts = |list: &[String]| list.iter().map(|one| text(one)).collect::<Vec<String>>();
    let shown = |value: &Option<Shown>| {
        value.as_ref().map(|value| match value {
            Shown::Value(value) => Shown::Value(replaced(value, &text)),
            other => other.clone(),
        })
    };
    let property = |change: &PropertyChange| PropertyChange {
        path: text(&change.path),
        before: shown(&change.before),
        after: shown(&change.after),
        because: change.because.as_deref().map(text),
        ..change.clone()
    };
    let attribute = |change: &AttributeChange| AttributeChange {
        name: change.name.clone(),
        before: change.before.as_ref().map(|value| replaced(value, &text)),
        after: change.after.as_ref().map(|value| replaced(value, &text)),
    };
    let resource = |resource: &ResourceDiff| ResourceDiff {
        logical_id: text(&resource.logical_id),
        because: texts(&resource.because),
        properties: resource.properties.iter().map(property).collect(),
        attributes: resource.attributes.iter().map(attribute).collect(),
        ..resource.clone()
    };
    let section = |change: &SectionChange| SectionChange {
        section: change.section.clone(),
        name: text(&change.name),
        before: shown(&change.before),
        after: shown(&change.after),
    };
    let access = |change: &AccessChange| AccessChange {
        subject: text(&change.subject),
        gained: texts(&change.gained),
        lost: texts(&change.lost),
        ..change.clone()
    };
    let finding = |finding: &Finding| Finding {
        subject: finding.subject.as_deref().map(text),
        message: text(&finding.message),
        safe_path: text(&finding.safe_path),
        ..finding.clone()
    };
    StackDiff {
        key: StackKey::new(stack.key.name.as_str(), OWN),
        fate: stack.fate,
        resources: stack.resources.iter().map(resource).collect(),
        sections: stack.sections.iter().map(section).collect(),
        permissions: stack.permissions.iter().map(access).collect(),
        network: stack.network.iter().map(access).collect(),
        findings: stack.findings.iter().map(finding).collect(),
        metadata_only: stack.metadata_only,
        notes: texts(&stack.notes),
    }
}

fn replaced(value: &Value, text: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(one) => Value::String(text(one)),
        Value::Array(items) => items.iter().map(|item| replaced(item, text)).collect(),
        Value::Object(map) => map.iter().map(|(name, value)| (text(name), replaced(value, text))).collect(),
        other => other.clone(),
    }
}
