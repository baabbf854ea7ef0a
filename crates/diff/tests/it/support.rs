//! Stacks out of short JSON.

use std::collections::BTreeMap;

use diff::{
    Action, ChangeSet, Detail, Diff, Drift, Evaluation, OutputRead, ParameterValue, ReportedReplacement,
    RequiresRecreation, ResourceReport, StackChange, StackKey, Template,
};
use serde_json::{Value, json};

/// A template, or only its resources.
pub(crate) fn template(value: &Value) -> Template {
    let document = if value.get("Resources").is_some() { value.clone() } else { json!({ "Resources": value }) };
    Template::new(document).expect("a template")
}

/// The diff of one stack about which only its templates are known.
pub(crate) fn diff_of(before: &Value, after: &Value) -> Diff {
    let (before, after) = (template(before), template(after));
    let stack = StackChange::new(StackKey::new("app", "us-west-2"), Some(&before), Some(&after));
    diff::diff(&[stack]).expect("one stack")
}

/// The templates of a case, which have to live as long as what is made of them.
pub(crate) struct Templates {
    pub(crate) before: Option<Template>,
    pub(crate) after: Option<Template>,
}

impl Templates {
    pub(crate) fn of(case: &Value) -> Self {
        let side = |name: &str| case.get(name).filter(|value| !value.is_null()).map(template);
        Self { before: side("before"), after: side("after") }
    }

    /// The case's stack, with whatever else it says.
    pub(crate) fn stack(&self, case: &Value) -> StackChange<'_> {
        let name = case["stack"].as_str().unwrap_or("app");
        let region = case["region"].as_str().unwrap_or("us-west-2");
        let mut stack = StackChange::new(StackKey::new(name, region), self.before.as_ref(), self.after.as_ref());
        stack.parameters_before = parameters(&case["parameters"]["before"]);
        stack.parameters_after = parameters(&case["parameters"]["after"]);
        stack.change_set = case.get("change_set").map(change_set);
        stack.drift = list(&case["drift"]).iter().map(drift).collect();
        stack.reads = list(&case["reads"]).iter().map(read).collect();
        stack
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("text, not {value}")).to_owned()
}

/// `null` is what is known after apply.
fn parameters(value: &Value) -> BTreeMap<String, ParameterValue> {
    let entries = value.as_object().into_iter().flatten();
    let known = |value: &Value| {
        if value.is_null() { ParameterValue::KnownAfterApply } else { ParameterValue::Known(text(value)) }
    };
    entries.map(|(name, value)| (name.clone(), known(value))).collect()
}

fn change_set(value: &Value) -> ChangeSet {
    ChangeSet {
        changes: list(&value["changes"]).iter().map(report).collect(),
        may_be_incomplete: value["incomplete"] == true,
    }
}

fn report(value: &Value) -> ResourceReport {
    ResourceReport {
        logical_id: text(&value["id"]),
        resource_type: text(&value["type"]),
        action: match value["action"].as_str() {
            Some("Add") => Action::Add,
            Some("Modify") => Action::Modify,
            Some("Remove") => Action::Remove,
            Some("Import") => Action::Import,
            Some("Dynamic") => Action::Dynamic,
            other => panic!("an action, not {other:?}"),
        },
        replacement: value["replacement"].as_str().map(|word| match word {
            "True" => ReportedReplacement::True,
            "False" => ReportedReplacement::False,
            "Conditional" => ReportedReplacement::Conditional,
            other => panic!("a replacement, not `{other}`"),
        }),
        details: list(&value["details"]).iter().map(detail).collect(),
    }
}

fn detail(value: &Value) -> Detail {
    Detail {
        path: text(&value["path"]),
        requires_recreation: match value["recreation"].as_str() {
            Some("Never") => RequiresRecreation::Never,
            Some("Conditionally") => RequiresRecreation::Conditionally,
            Some("Always") => RequiresRecreation::Always,
            other => panic!("a recreation, not {other:?}"),
        },
        evaluation: match value["evaluation"].as_str() {
            Some("Static") => Evaluation::Static,
            Some("Dynamic") => Evaluation::Dynamic,
            other => panic!("an evaluation, not {other:?}"),
        },
        causing_entity: value["cause"].as_str().map(str::to_owned),
        before: value.get("before").cloned(),
        after: value.get("after").cloned(),
    }
}

fn drift(value: &Value) -> Drift {
    Drift {
        logical_id: text(&value["id"]),
        path: text(&value["path"]),
        expected: value.get("expected").cloned(),
        actual: value.get("actual").cloned(),
    }
}

fn read(value: &Value) -> OutputRead {
    OutputRead { stack: StackKey::new(text(&value["stack"]), text(&value["region"])), output: text(&value["output"]) }
}
