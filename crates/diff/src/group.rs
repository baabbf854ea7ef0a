//! Stacks of several regions that change alike, to be shown once.

use crate::model::{Diff, StackDiff};

/// What stands for a stack's own region in a group of several.
const OWN: &str = "<region>";

/// Stacks of one name whose changes are alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The stacks' name.
    pub name: String,
    /// Their regions, sorted.
    pub regions: Vec<String>,
    /// What happens to each of them. In a group of several `<region>` stands for the region's own name.
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
    let mut groups: Vec<(Group, StackDiff)> = Vec::new();
    let changed = diff.stacks.iter().filter(|stack| !stack.is_empty());
    for stack in changed {
        let neutral = neutral(stack);
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
    let mut regions: Vec<&str> = diff.stacks.iter().map(|stack| stack.key.region.as_str()).collect();
    regions.sort_unstable();
    regions.dedup();
    regions.len()
}

/// The stack's diff with a word instead of its region's name, wherever that stands.
fn neutral(stack: &StackDiff) -> StackDiff {
    let text = serde_json::to_value(stack).expect("a diff has only text keys");
    let value = replace(text, &stack.key.region);
    serde_json::from_value(value).expect("texts and keys are free in a diff")
}

fn replace(value: serde_json::Value, region: &str) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) if text.contains(region) => Value::String(text.replace(region, OWN)),
        Value::Array(items) => items.into_iter().map(|item| replace(item, region)).collect(),
        Value::Object(map) => {
            map.into_iter().map(|(name, value)| (name.replace(region, OWN), replace(value, region))).collect()
        }
        other => other,
    }
}
