//! The parts of a template beside its resources: outputs, parameters, conditions and the like.

use serde_json::Value;

use crate::model::{Class, ResourceDiff, Resources, SectionChange, Shown};
use crate::parameters::{Side, value_change};
use crate::pieces::canonical;
use crate::references::{Target, each_reference};
use crate::secret::shown_parameter;

/// Sections of named entries that are compared entry by entry.
const SECTIONS: [&str; 5] = ["Conditions", "Mappings", "Outputs", "Parameters", "Rules"];
/// Parts that are one value.
const SINGLE: [&str; 2] = ["Description", "Transform"];

/// Changes outside of `Resources`; nothing for a stack that comes or goes as a whole.
///
/// An output whose words stay gets another value if what it refers to is made anew or has another value.
pub(crate) fn sections(before: Side<'_>, after: Side<'_>, resources: &Resources) -> Vec<SectionChange> {
    let (Some(old), Some(new)) = (before.template, after.template) else { return Vec::new() };
    let mut found = Vec::new();
    for section in SECTIONS {
        let (old, new) = (old.section(section), new.section(section));
        let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
        for name in names {
            let (was, is) = (old.get(name), new.get(name));
            if same(was, is, before, after) {
                if section == "Outputs" && is.is_some_and(|output| follows(output, before, after, resources)) {
                    let (before, after) = (was.cloned().map(Shown::Value), Some(Shown::KnownAfterApply));
                    found.push(SectionChange { section: section.to_owned(), name: name.clone(), before, after });
                }
                continue;
            }
            let is_secret = before.is_secret(name) || after.is_secret(name);
            let show = |value: &Value| {
                if section == "Parameters" { shown_parameter(value, is_secret) } else { Shown::Value(value.clone()) }
            };
            let (before, after) = (was.map(show), is.map(show));
            found.push(SectionChange { section: section.to_owned(), name: name.clone(), before, after });
        }
    }
    for section in SINGLE {
        let (was, is) = (old.document().get(section), new.document().get(section));
        if was != is {
            let show = |value: &Value| Shown::Value(value.clone());
            let (before, after) = (was.map(show), is.map(show));
            found.push(SectionChange { section: section.to_owned(), name: section.to_owned(), before, after });
        }
    }
    found.sort_by(|left, right| (&left.section, &left.name).cmp(&(&right.section, &right.name)));
    found
}

/// Whether an output's value changes, or may, because what it refers to does.
fn follows(output: &Value, before: Side<'_>, after: Side<'_>, resources: &Resources) -> bool {
    let mut changes = false;
    each_reference(&output["Value"], &mut |target, _| {
        if let Target::Name(name) = target {
            let is_anew = |diff: &ResourceDiff| matches!(diff.class, Class::Replaced | Class::MayBeReplaced);
            changes |= resources.get(name).is_some_and(is_anew) || value_change(before, after, name).is_some();
        }
    });
    changes
}

fn same(was: Option<&Value>, is: Option<&Value>, before: Side<'_>, after: Side<'_>) -> bool {
    let (Some(was), Some(is)) = (was, is) else { return was == is };
    // Values of parameters stay references here: a changed value is told where it is used.
    was == is || canonical(was, &|name| pseudo(before, name)) == canonical(is, &|name| pseudo(after, name))
}

fn pseudo(side: Side<'_>, name: &str) -> Option<String> {
    if name.starts_with("AWS::") { side.value(name) } else { None }
}
