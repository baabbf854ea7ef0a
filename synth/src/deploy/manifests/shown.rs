//! A comparison of manifests as a part of the diff: a folder of a region is shown as a stack is, its objects as resources.

use diff::{
    AccessChange, Class, Direction, Finding, Flag, PropertyChange, Provenance, Replacement, ResourceDiff,
    SectionChange, Severity, Shown, StackDiff, StackFate,
};
use kubernetes::{Compared, Conflict, Fate, FieldChange, Key, Problem, Seen, Unwanted, Verdict, Way};
use serde_json::json;

use super::look::{Found, Look};

/// The folders that were looked at, to be shown among the stacks.
pub(crate) fn stack_diffs(looks: &[Look]) -> Vec<StackDiff> {
    looks.iter().map(stack_diff).collect()
}

/// What a reader has to know although it is no change: what wasn't compared, and what was compared by halves.
pub(crate) fn notes(looks: &[Look]) -> Vec<String> {
    looks.iter().flat_map(notes_of).collect()
}

fn notes_of(look: &Look) -> Vec<String> {
    match &look.found {
        Found::Unasked(error) => {
            let mut why = error.to_string();
            for cause in error.causes() {
                why = format!("{why}: {cause}");
            }
            vec![format!("{} is not compared, and a plan pins nothing in the cluster: {why}", look.key)]
        }
        Found::Problems(_) => Vec::new(),
        Found::Asked(asked) => {
            let read = asked.survey.objects.iter().any(|object| object.way == Way::Reading);
            let read = read.then(|| {
                format!(
                    "{} is compared by reading alone, because these credentials may not apply it: conflicts aren't seen, and \
                     what the cluster writes in another way looks changed",
                    look.key
                )
            });
            let kept = asked.survey.unwanted.iter().filter_map(|one| match &one.fate {
                Fate::Kept(why) => Some(format!("{}: {} isn't wanted any more and stays: {why}", look.key, one.key)),
                _ => None,
            });
            read.into_iter().chain(kept).collect()
        }
    }
}

fn stack_diff(look: &Look) -> StackDiff {
    let mut stack = StackDiff {
        key: diff::StackKey::new(look.key.name.clone(), look.key.region.clone()),
        fate: StackFate::Stays,
        resources: Vec::new(),
        sections: Vec::new(),
        permissions: Vec::new(),
        network: Vec::new(),
        findings: Vec::new(),
        metadata_only: 0,
        notes: notes_of(look),
    };
    match &look.found {
        Found::Unasked(_) => {}
        Found::Problems(problems) => stack.findings.extend(problems.iter().map(problem)),
        Found::Asked(asked) => {
            for object in &asked.survey.objects {
                compared(object, &mut stack);
            }
            for one in &asked.survey.unwanted {
                unwanted(one, &mut stack);
            }
        }
    }
    stack.resources.sort_by(|one, other| one.logical_id.cmp(&other.logical_id));
    stack
}

fn compared(object: &Compared, stack: &mut StackDiff) {
    let key = &object.key;
    let sources = vec![Provenance::Live];
    let (class, because, properties) = match &object.verdict {
        Verdict::Unchanged => return,
        Verdict::Created => (Class::Added, Vec::new(), Vec::new()),
        Verdict::Changed { changes, taken } => {
            let mut because: Vec<String> = taken.iter().map(|one| format!("taken over: {one}")).collect();
            if changes.is_empty() && taken.is_empty() {
                because.push("only whose fields they are changes, no value".to_owned());
            }
            (Class::Modified, because, changes.iter().map(|change| property(change, &sources)).collect())
        }
        Verdict::Conflicting(conflicts) => {
            stack.findings.push(conflict(key, conflicts));
            (Class::Modified, vec!["others own fields that would be changed".to_owned()], Vec::new())
        }
    };
    access(key, class, stack);
    stack.resources.push(resource(key, class, because, sources, properties));
}

fn unwanted(one: &Unwanted, stack: &mut StackDiff) {
    if one.fate != Fate::Pruned {
        return;
    }
    let key = &one.key;
    if key.is("", "ConfigMap") || key.is("", "Secret") {
        // Nobody names it any more, so nothing is lost: settings have a new name whenever they change.
        stack.sections.push(SectionChange {
            section: "Pruned".to_owned(),
            name: key.to_string(),
            before: Some(Shown::Value(json!("nobody names it any more"))),
            after: None,
        });
        return;
    }
    access(key, Class::Removed, stack);
    let because = vec!["it isn't wanted any more".to_owned()];
    stack.resources.push(resource(key, Class::Removed, because, vec![Provenance::Live], Vec::new()));
}

fn resource(
    key: &Key,
    class: Class,
    because: Vec<String>,
    sources: Vec<Provenance>,
    properties: Vec<PropertyChange>,
) -> ResourceDiff {
    let group = if key.group.is_empty() { String::new() } else { format!("{}/", key.group) };
    ResourceDiff {
        logical_id: key.to_string(),
        resource_type: format!("{group}{}", key.kind),
        class,
        because,
        is_stateful: kubernetes::is_whole(key) || key.is("", "PersistentVolumeClaim") || key.is("apps", "StatefulSet"),
        sources,
        properties,
        attributes: Vec::new(),
    }
}

fn property(change: &FieldChange, sources: &[Provenance]) -> PropertyChange {
    let shown = |seen: &Option<Seen>| {
        seen.as_ref().map(|seen| match seen {
            Seen::Value(value) => Shown::Value(value.clone()),
            Seen::Hidden => Shown::Hidden,
        })
    };
    PropertyChange {
        path: change.path.clone(),
        before: shown(&change.before),
        after: shown(&change.after),
        replacement: Replacement::Never,
        is_possible: false,
        because: None,
        sources: sources.to_vec(),
    }
}

/// Who may do or reach what: that a change of it narrows is proven here only for what goes.
fn access(key: &Key, class: Class, stack: &mut StackDiff) {
    let change = |direction: Direction, what: &str| AccessChange {
        subject: format!("`{key}`"),
        direction,
        gained: if direction.broadens() { vec![what.to_owned()] } else { Vec::new() },
        lost: if direction.broadens() { Vec::new() } else { vec![what.to_owned()] },
        flags: if direction.broadens() { vec![Flag::Opaque] } else { Vec::new() },
    };
    match (key.group.as_str(), key.kind.as_str()) {
        ("rbac.authorization.k8s.io", _) => {
            let direction = if class == Class::Removed { Direction::Narrowed } else { Direction::Broadened };
            stack.permissions.push(change(direction, "rights in the cluster"));
        }
        // Without a policy everything is let through, and beside one another lets more through.
        ("networking.k8s.io", "NetworkPolicy") => {
            stack.network.push(change(Direction::Broadened, "ways from and to pods"));
        }
        _ => {}
    }
}

fn conflict(key: &Key, conflicts: &[Conflict]) -> Finding {
    let conflicts: Vec<String> = conflicts.iter().map(ToString::to_string).collect();
    Finding {
        rule: "fields-of-others".to_owned(),
        severity: Severity::Refused,
        subject: Some(key.to_string()),
        message: format!("`{key}` would be refused: {}", conflicts.join("; ")),
        safe_path: format!(
            "take what they say into the manifests, or agree to take it over: `--take-over {}/{}`",
            key.kind, key.name
        ),
    }
}

fn problem(problem: &Problem) -> Finding {
    Finding {
        rule: "can-be-applied".to_owned(),
        severity: Severity::Refused,
        subject: Some(problem.key.to_string()),
        message: format!("`{}`: {}", problem.key, problem.trouble),
        safe_path: problem.trouble.repair(),
    }
}
