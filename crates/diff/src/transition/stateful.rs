//! What can't be made again, and what protects it.

use serde_json::Value;

use super::{Context, Found};
use crate::model::{Class, Severity, code};
use crate::pieces::scalar_text;
use crate::tables::Named;
use crate::template::Resource;

pub(super) fn nothing_is_lost(context: &Context<'_>, found: &mut Vec<Found>) {
    for diff in context.resources.values().filter(|diff| diff.is_stateful && diff.class.is_destructive()) {
        let is_sure = matches!(diff.class, Class::Removed | Class::Replaced);
        let goes = matches!(diff.class, Class::Removed | Class::MayBeRemoved);
        let safe_path = if goes {
            "deploy `DeletionPolicy: Retain` on it first, and remove it in a later deployment"
        } else {
            "make a second one beside it, copy what it holds, switch over, and remove the old one later"
        };
        found.push(Found {
            severity: if is_sure { Severity::Refused } else { Severity::Warning },
            subject: Some(diff.logical_id.clone()),
            message: format!(
                "{} ({}) is to be {}, with what it holds",
                code(&diff.logical_id),
                code(&diff.resource_type),
                diff.class.to_string().trim_start_matches("may be ")
            ),
            safe_path: safe_path.to_owned(),
        });
    }
}

pub(super) fn retention_goes(context: &Context<'_>, found: &mut Vec<Found>) {
    for (id, old, new) in context.pairs().filter(|(_, old, new)| old.is_kept() && !new.is_kept()) {
        let is_stateful = cfn::describe(old.type_name()).is_some_and(cfn::TypeDescription::is_stateful);
        let after = new.attribute("DeletionPolicy").and_then(Value::as_str).unwrap_or("Delete");
        found.push(Found {
            severity: if is_stateful { Severity::Refused } else { Severity::Warning },
            subject: Some(id.to_owned()),
            message: format!("{} is no longer retained: its `DeletionPolicy` becomes {}", code(id), code(after)),
            safe_path: "keep `Retain`; delete the real thing by hand once nobody needs it".to_owned(),
        });
    }
}

pub(super) fn policies_come_first(context: &Context<'_>, found: &mut Vec<Found>) {
    for (id, old, new) in context.pairs() {
        let Some(diff) = context.resources.get(id) else { continue };
        if !matches!(diff.class, Class::Removed | Class::MayBeRemoved | Class::Replaced) {
            continue;
        }
        for name in ["DeletionPolicy", "UpdateReplacePolicy"] {
            let (before, after) = (old.attribute(name), new.attribute(name));
            if before != after {
                found.push(Found {
                    severity: Severity::Refused,
                    subject: Some(id.to_owned()),
                    message: format!(
                        "{} goes in the same update that changes its {}, and the deployed one may still count",
                        code(id),
                        code(name)
                    ),
                    safe_path: format!("deploy the new {} alone, then the rest", code(name)),
                });
            }
        }
    }
}

pub(super) fn protection_goes(context: &Context<'_>, found: &mut Vec<Found>) {
    for (id, old, new) in context.pairs().filter(|(_, old, new)| old.type_name() == new.type_name()) {
        for place in unprotected(old, new) {
            found.push(Found {
                severity: Severity::Refused,
                subject: Some(id.to_owned()),
                message: format!("deletion protection of {}{place} is switched off", code(id)),
                safe_path: "leave it on; switch it off alone, right before a removal that somebody asked for"
                    .to_owned(),
            });
        }
    }
}

/// Where a resource loses its protection against deletion, in words to follow its name.
pub(crate) fn unprotected(old: Resource<'_>, new: Resource<'_>) -> Vec<String> {
    let mut places = Vec::new();
    for property in ["DeletionProtectionEnabled", "DeletionProtection"] {
        if is_on(old.at(property)) && !is_on(new.at(property)) {
            places.push(String::new());
        }
    }
    places.extend(replicas(old, new));
    places
}

/// Replicas that stay and lose their protection.
fn replicas(old: Resource<'_>, new: Resource<'_>) -> Vec<String> {
    let lists = (Named::of(old, "Replicas", "Region"), Named::of(new, "Replicas", "Region"));
    let (Some(before), Some(after)) = lists else { return Vec::new() };
    let protected = |replica: Option<&Value>| is_on(replica.and_then(|one| one.get("DeletionProtectionEnabled")));
    let stays = before.names().filter(|region| after.get(region).is_some());
    let loses = stays.filter(|region| protected(before.get(region)) && !protected(after.get(region)));
    loses.map(|region| format!(" in {}", code(region))).collect()
}

fn is_on(value: Option<&Value>) -> bool {
    value.and_then(scalar_text).is_some_and(|text| text == "true")
}
