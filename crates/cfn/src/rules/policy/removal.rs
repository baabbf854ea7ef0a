//! What holds data: it stays, it can be restored, and logs end at some time.

use serde_json::Value as Json;

use super::super::select::places;
use super::super::{Context, property};
use super::{DISPOSABLE, tell_reason};
use crate::check::Violation;
use crate::describe::{TypeDescription, describe};
use crate::resource::RemovalPolicy;
use crate::template::Declaration;

/// Where a type says that it can't be deleted.
const PROTECTION: [(&str, &str); 3] = [
    ("AWS::DynamoDB::GlobalTable", "Replicas/*/DeletionProtectionEnabled"),
    ("AWS::DynamoDB::Table", "DeletionProtectionEnabled"),
    ("AWS::EKS::Cluster", "DeletionProtection"),
];
/// Where a table says that it can be restored.
const RECOVERY: [(&str, &str); 2] = [
    ("AWS::DynamoDB::GlobalTable", "Replicas/*/PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled"),
    ("AWS::DynamoDB::Table", "PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled"),
];

/// Deleting a stack, or a change that replaces, must not delete what can't be made again.
pub(super) fn data_stays(_: &Context<'_>, declaration: &Declaration, found: &mut Vec<Violation>) {
    if !describe(declaration.type_name()).is_some_and(TypeDescription::is_stateful) {
        return;
    }
    let keeps = |policy: Option<RemovalPolicy>| policy.is_some_and(|policy| policy != RemovalPolicy::Delete);
    let mut lost = Vec::new();
    if !keeps(declaration.deletion_policy()) {
        lost.push(("DeletionPolicy", "goes with its stack"));
    }
    if !keeps(declaration.update_replace_policy()) {
        lost.push(("UpdateReplacePolicy", "goes when a change replaces it"));
    }
    if let Some(reason) = declaration.metadata(DISPOSABLE) {
        tell_reason(declaration, DISPOSABLE, reason, !lost.is_empty(), found);
        return;
    }
    for (path, message) in lost {
        found.push(
            Violation::new("kept", message)
                .of(declaration)
                .at(path)
                .hint(format!("keep it by `.retain()`, or say in the metadata's `{DISPOSABLE}` why nobody misses it")),
        );
    }
}

/// Protection that is forgotten or switched off: whoever wants it off says why in the metadata.
pub(super) fn deletion_is_refused(_: &Context<'_>, declaration: &Declaration, found: &mut Vec<Violation>) {
    for_each_switch(&PROTECTION, declaration, |path, value| {
        let violation = match value {
            None => Violation::new("deletion-protection", "can be deleted by one call"),
            Some(_) => Violation::new("deletion-protection", "is not protected against deletion"),
        };
        found.push(violation.of(declaration).at(path).hint("set it to `true`, or accept the rule with a reason"));
    });
}

/// As with protection: whoever wants no backup says why.
pub(super) fn tables_can_be_restored(_: &Context<'_>, declaration: &Declaration, found: &mut Vec<Violation>) {
    for_each_switch(&RECOVERY, declaration, |path, value| {
        let violation = match value {
            None => Violation::new("recovery", "can't be restored to an earlier point in time"),
            Some(_) => Violation::new("recovery", "has no backup of earlier points in time"),
        };
        found.push(violation.of(declaration).at(path).hint("set it to `true`, or accept the rule with a reason"));
    });
}

/// Logs without an end cost more each month and keep what should be forgotten.
pub(super) fn logs_have_an_end(_: &Context<'_>, group: &Declaration, found: &mut Vec<Violation>) {
    if property(group, "RetentionInDays").is_none() {
        found.push(
            Violation::new("log-retention", "keeps its logs for ever")
                .of(group)
                .at("RetentionInDays")
                .hint("set the days, such as 30 or 90"),
        );
    }
}

/// Calls `report` for each switch of the table that is off or isn't set.
fn for_each_switch(
    switches: &[(&str, &'static str)],
    declaration: &Declaration,
    mut report: impl FnMut(String, Option<&Json>),
) {
    for (_, path) in switches.iter().filter(|(type_name, _)| *type_name == declaration.type_name()) {
        for (path, value) in places(declaration, path) {
            if value.is_none_or(|value| *value == false) {
                report(path, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_switch_exists() {
        for (type_name, path) in PROTECTION.iter().chain(&RECOVERY) {
            assert!(describe(type_name).and_then(|one| one.property(path)).is_some(), "{type_name} {path}");
        }
    }
}
