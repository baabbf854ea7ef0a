//! Rules about the way from the deployed template to the new one: what AWS refuses, and what loses something.
//!
//! Each rule is an entry of a table. A template can be right and the way to it wrong.

mod dynamodb;
mod names;
mod outputs;
mod properties;
mod stateful;

use crate::input::{OutputRead, StackChange, StackKey};
use crate::model::{Finding, Resources, Severity};
use crate::template::{Resource, Template};

pub(crate) use stateful::unprotected;

/// What a rule looks at.
pub(crate) struct Context<'a> {
    pub(crate) key: &'a StackKey,
    pub(crate) before: Option<&'a Template>,
    pub(crate) after: Option<&'a Template>,
    pub(crate) resources: &'a Resources,
    /// Who goes on reading which output, over all given stacks.
    pub(crate) reads: &'a [(&'a StackKey, &'a OutputRead)],
    /// Names of exports that a given stack of the region goes on importing, with that stack.
    pub(crate) imports: &'a [(&'a StackKey, &'a str)],
}

/// A rule about transitions.
struct Rule {
    name: &'static str,
    check: fn(&Context<'_>, &mut Vec<Found>),
}

/// What a rule found.
struct Found {
    severity: Severity,
    subject: Option<String>,
    message: String,
    safe_path: String,
}

/// Sorted by name.
const RULES: &[Rule] = &[
    Rule { name: "deletion-protection-off", check: stateful::protection_goes },
    Rule { name: "export-removed", check: outputs::exports_stay },
    Rule { name: "index-with-replica", check: dynamodb::indexes_and_replicas_are_apart },
    Rule { name: "name-is-taken", check: names::names_are_free },
    Rule { name: "one-index-per-update", check: dynamodb::one_index_at_a_time },
    Rule { name: "one-replica-per-update", check: dynamodb::one_replica_at_a_time },
    Rule { name: "output-removed", check: outputs::outputs_stay },
    Rule { name: "own-replica-removed", check: dynamodb::own_replica_stays },
    Rule { name: "policy-comes-too-late", check: stateful::policies_come_first },
    Rule { name: "replica-alone", check: dynamodb::replicas_change_alone },
    Rule { name: "retain-removed", check: stateful::retention_goes },
    Rule { name: "stateful-loss", check: stateful::nothing_is_lost },
    Rule { name: "table-becomes-global", check: dynamodb::tables_keep_their_type },
    Rule { name: "too-many-resources", check: outputs::resources_fit },
];

/// The most resources that CloudFormation takes in a template.
pub(crate) const MOST_RESOURCES: usize = 500;

/// The names of all rules about transitions, sorted.
pub fn rules() -> Vec<&'static str> {
    let mut names: Vec<&str> = RULES.iter().map(|rule| rule.name).chain(properties::names()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Everything that is unsafe, the worst first.
pub(crate) fn findings(context: &Context<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut found = Vec::new();
    for rule in RULES {
        (rule.check)(context, &mut found);
        findings.extend(found.drain(..).map(|one| finding(rule.name, one)));
    }
    properties::check(context, &mut |name, one| findings.push(finding(name, one)));
    findings.sort_by(|left, right| {
        right.severity.cmp(&left.severity).then_with(|| (&left.rule, &left.subject).cmp(&(&right.rule, &right.subject)))
    });
    findings
}

fn finding(rule: &str, found: Found) -> Finding {
    let Found { severity, subject, message, safe_path } = found;
    Finding { rule: rule.to_owned(), severity, subject, message, safe_path }
}

/// Exports that a stack's new template imports by their literal name.
pub(crate) fn imports<'a>(stack: &StackChange<'a>) -> Vec<&'a str> {
    let mut found = Vec::new();
    if let Some(after) = stack.after {
        import_names(after.document(), &mut found);
    }
    found
}

fn import_names<'a>(value: &'a serde_json::Value, found: &mut Vec<&'a str>) {
    match value {
        serde_json::Value::Object(map) => {
            if let Some(name) = map.get("Fn::ImportValue").and_then(serde_json::Value::as_str) {
                found.push(name);
            }
            map.values().for_each(|value| import_names(value, found));
        }
        serde_json::Value::Array(items) => items.iter().for_each(|value| import_names(value, found)),
        _ => {}
    }
}

impl<'a> Context<'a> {
    /// Resources of both templates, with their logical id.
    fn pairs(&self) -> impl Iterator<Item = (&'a str, Resource<'a>, Resource<'a>)> {
        let after = self.after;
        let before = self.before.into_iter().flat_map(Template::resources);
        before.filter_map(move |(id, old)| Some((id, old, after?.resource(id)?)))
    }

    fn deployed(&self, logical_id: &str) -> Option<Resource<'a>> {
        self.before?.resource(logical_id)
    }

    fn latest(&self, logical_id: &str) -> Option<Resource<'a>> {
        self.after?.resource(logical_id)
    }
}
