//! What a deployment says: the plan's table, the result, the failures.

use std::collections::BTreeMap;
use std::path::PathBuf;

use infra::environment::Environment;
use serde::Serialize;

use super::apply::{Applied, Done, StackError, StackOutcome};
use super::change_set::{ChangeSetError, told};
use super::changes::Changes;
use super::cloud::{CallClass, CallError, ChangeKind};
use super::draft::Missing;
use super::hints::hint_for;
use super::manifests::RegionResult;
use super::plan::{Action, PlanError, Planned};
use super::platform::ResourceTypes;
use super::system::{Stack, StackKey};
use super::times::Times;
use super::verify::FunctionCode;
use crate::error::Error;
use crate::local::Platform;
use crate::ui::{elapsed_text, table};

/// What a deployment did.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The environment.
    pub environment: String,
    /// Each stack and what happened to it, in deploy order.
    pub stacks: Vec<StackResult>,
    /// What happened to the objects in the clusters, region by region.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<RegionResult>,
    /// The functions and the code they run, verified.
    pub functions: Vec<FunctionCode>,
    /// Resources that the local platform can't make.
    pub left_out: Missing,
    /// Resource types that the local platform accepts but that do nothing there, with how many resources have them.
    pub placeholders: BTreeMap<String, usize>,
    /// Whether the local platform's consumer was started or replaced.
    pub consumer_changed: bool,
    /// How to look around on the local platform: what for, and the command or address.
    pub look_around: Vec<(String, String)>,
    /// Time since the command was started, in seconds.
    pub elapsed_secs: f64,
    /// How long its parts took.
    pub times: Times,
    /// The page that shows what happened when; none when it could not be written.
    pub timeline: Option<PathBuf>,
}

/// What happened to one stack.
#[derive(Clone, Debug, Serialize)]
pub struct StackResult {
    /// The stack.
    pub stack: StackKey,
    /// `unchanged`, `created`, `updated` or `protected`.
    pub result: &'static str,
    /// What happened to its resources.
    pub changes: Changes,
}

impl Outcome {
    /// The outcome of a deployment in which every stack succeeded.
    pub(crate) fn of(environment: &Environment, applied: &Applied) -> Self {
        let result = |(stack, outcome): &(Stack, StackOutcome)| {
            let (result, changes) = match outcome {
                StackOutcome::Done(Done::Created(changes)) => ("created", changes.clone()),
                StackOutcome::Done(Done::Updated(changes)) => ("updated", changes.clone()),
                StackOutcome::Done(Done::Protected) => ("protected", Changes::default()),
                StackOutcome::Done(Done::Unchanged) => ("unchanged", Changes::default()),
                StackOutcome::Failed(_) => ("failed", Changes::default()),
                StackOutcome::Skipped { .. } => ("skipped", Changes::default()),
            };
            StackResult { stack: stack.key.clone(), result, changes }
        };
        Self {
            environment: environment.environment_name().to_owned(),
            stacks: applied.stacks.iter().map(result).collect(),
            manifests: applied
                .followed
                .iter()
                .filter_map(|(_, outcome)| match outcome {
                    StackOutcome::Done(result) => Some(result.clone()),
                    StackOutcome::Failed(_) | StackOutcome::Skipped { .. } => None,
                })
                .collect(),
            functions: Vec::new(),
            left_out: Missing::new(),
            placeholders: BTreeMap::new(),
            consumer_changed: false,
            look_around: Vec::new(),
            elapsed_secs: 0.0,
            times: Times::default(),
            timeline: None,
        }
    }

    /// Whether anything was changed.
    pub fn changed(&self) -> bool {
        self.consumer_changed
            || self.stacks.iter().any(|stack| stack.result != "unchanged")
            || self.manifests.iter().any(RegionResult::changed)
    }

    /// The outcome for people, line by line.
    pub fn render(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let elapsed = elapsed_text(std::time::Duration::from_secs_f64(self.elapsed_secs.max(0.0)));
        if self.changed() {
            let count = |result| self.stacks.iter().filter(|stack| stack.result == result).count();
            let mut parts: Vec<String> = [("created", count("created")), ("updated", count("updated"))]
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(result, count)| format!("{count} {} {result}", if count == 1 { "stack" } else { "stacks" }))
                .collect();
            let unchanged = count("unchanged");
            parts.extend((unchanged > 0).then(|| format!("{unchanged} unchanged")));
            parts.extend(self.consumer_changed.then(|| "consumer started".to_owned()));
            lines.push(format!("`{}` is deployed in {elapsed}: {}", self.environment, parts.join(", ")));
        } else {
            lines.push(format!("nothing changed in `{}` ({} stacks, {elapsed})", self.environment, self.stacks.len()));
        }
        lines.extend(match self.functions.len() {
            0 => None,
            1 => Some("1 function runs the code that was built".to_owned()),
            count => Some(format!("{count} functions run the code that was built")),
        });
        lines.extend(self.manifests.iter().flat_map(RegionResult::render));
        for (stack, resources) in &self.left_out {
            for resource in resources {
                let because = match &resource.because_of {
                    Some(other) => format!("it refers to `{other}`"),
                    None => "the local platform can't make that type".to_owned(),
                };
                lines.push(format!(
                    "left out of {stack}: `{}` ({}), {because}",
                    resource.logical_id, resource.resource_type
                ));
            }
        }
        let placeholders: Vec<String> =
            self.placeholders.iter().map(|(resource_type, count)| format!("{count} × {resource_type}")).collect();
        if !placeholders.is_empty() {
            lines.push(format!("accepted but without effect on the local platform: {}", placeholders.join(", ")));
        }
        let mut times = self.times.render();
        times.extend(self.timeline.as_ref().map(|path| format!("timeline: {}", path.display())));
        if !times.is_empty() {
            lines.push(String::new());
            lines.extend(times);
        }
        if !self.look_around.is_empty() {
            lines.push(String::new());
            let rows: Vec<Vec<String>> =
                self.look_around.iter().map(|(what, how)| vec![what.clone(), how.clone()]).collect();
            lines.extend(table(&rows));
        }
        lines
    }
}

/// Types in the stacks that have no effect on the platform, with how many resources have them.
pub(crate) fn placeholders(stacks: &[Stack], types: &ResourceTypes) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (_, resource) in stacks.iter().flat_map(|stack| stack.template.resources()) {
        let resource_type = resource["Type"].as_str().unwrap_or_default();
        if types.is_placeholder(resource_type) {
            *counts.entry(resource_type.to_owned()).or_default() += 1;
        }
    }
    counts
}

/// Where to look on the local platform.
pub(crate) fn look_around(environment: &Environment, platform: &Platform) -> Vec<(String, String)> {
    let name = environment.environment_name();
    let consumer = format!("http://127.0.0.1:{}", platform.consumer_port);
    [
        ("prove that it works", format!("synth smoke --env {name} --count 1000")),
        ("see how it stands", format!("synth status --env {name}")),
        ("read logs", format!("synth local logs --env {name}")),
        (
            "AWS",
            format!(
                "{} (access key `{}`, any tool with --endpoint-url)",
                platform.endpoint_url, platform.root_access_key
            ),
        ),
        ("Kafka", platform.kafka_brokers.clone()),
        ("Schema Registry", platform.schema_registry_url.clone()),
        ("consumer", format!("{consumer}/metrics, {consumer}/ready")),
        ("take it down", format!("synth destroy --env {name}")),
    ]
    .map(|(what, how)| (what.to_owned(), how))
    .to_vec()
}

/// The plan for people: a row for each stack that is touched.
pub(crate) fn plan_table(planned: &Planned) -> Vec<String> {
    if planned.is_nothing() {
        return Vec::new();
    }
    let kinds = [ChangeKind::Add, ChangeKind::Modify, ChangeKind::MayReplace, ChangeKind::Replace, ChangeKind::Remove];
    let mut rows =
        vec![["stack", "action", "add", "modify", "may replace", "replace", "remove"].map(str::to_owned).to_vec()];
    for entry in &planned.entries {
        let mut row = vec![entry.stack.key.to_string(), words_for(&entry.action)];
        row.extend(entry.action.changes().into_iter().flat_map(|changes| {
            kinds.map(|kind| match changes.count(kind) {
                0 => "·".to_owned(),
                count => count.to_string(),
            })
        }));
        rows.push(row);
    }
    let mut lines = table(&rows);
    for entry in &planned.entries {
        if let Action::Update(change_set) = &entry.action {
            let warnings = change_set.warnings.iter().map(|fault| told(&entry.stack, fault));
            lines.extend(warnings.map(|fault| format!("{} is warned of {fault}", entry.stack.key)));
        }
        let harm = entry.action.changes().into_iter().flat_map(Changes::iter);
        for change in harm.filter(|change| change.kind > ChangeKind::Modify) {
            let verb = match change.kind {
                ChangeKind::Remove => "removes",
                ChangeKind::Replace => "replaces",
                _ => "may replace",
            };
            let key = &entry.stack.key;
            lines.push(format!("{key} {verb} `{}` ({})", change.logical_id, change.resource_type));
        }
    }
    lines
}

fn words_for(action: &Action) -> String {
    match action {
        Action::Unchanged => "unchanged".to_owned(),
        Action::Protect => "set termination protection".to_owned(),
        Action::Create { leftover: None, .. } => "create".to_owned(),
        Action::Create { leftover: Some(status), .. } => format!("create anew after {status}"),
        Action::Update(_) => "update".to_owned(),
        Action::UpdateLater { waits_for, updates, .. } => {
            let steps =
                if *updates > 1 { format!("{updates} updates, one after the other") } else { "update".to_owned() };
            let waits: Vec<String> = waits_for.iter().map(ToString::to_string).collect();
            let known = if waits.is_empty() { String::new() } else { format!(", known after {}", waits.join(", ")) };
            format!("{steps}{known} (estimate)")
        }
        Action::Attach { status } => format!("wait for {status}"),
        Action::Stuck { status, .. } => format!("stuck in {status}"),
    }
}

/// A failed plan as the tool's error.
pub(crate) fn plan_error(error: PlanError) -> Error {
    match error {
        PlanError::Call(error) => call_error("what is deployed can't be read", error),
        PlanError::NotSelected { .. } => Error::usage("the selection can't be deployed alone")
            .caused_by(error)
            .hint("deploy without `--stack` and `--region`"),
        PlanError::ChangeSet(error) => {
            let hint = change_set_hint(&error);
            with_hint(Error::remote("there is no plan").caused_by(error), hint)
        }
        PlanError::Input { .. } => Error::remote("there is no plan").caused_by(error),
    }
}

/// A failed call as the tool's error, with what to do about its kind.
pub(crate) fn call_error(what: &str, error: CallError) -> Error {
    let said = error.source.to_string();
    let hint = hint_for(&said).or(match error.class {
        CallClass::Unreachable => Some("check the network; for the local platform see `synth status`"),
        CallClass::Denied => Some("the credentials lack a permission for that call"),
        CallClass::Throttled => Some("the service refuses more calls at this moment; try again in a minute"),
        CallClass::Overtaken => {
            Some("another operation runs; look with `synth status`, and deploy again when it has ended")
        }
        CallClass::NotFound | CallClass::Refused => None,
    });
    with_hint(Error::remote(what).caused_by(error), hint)
}

fn with_hint(error: Error, hint: Option<&str>) -> Error {
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn change_set_hint(error: &ChangeSetError) -> Option<&'static str> {
    match error {
        ChangeSetError::Refused { hint, .. } => *hint,
        ChangeSetError::Call(error) => hint_for(&error.source.to_string()),
        ChangeSetError::NoBucket { .. } => Some("deploy the `delivery` stack of that region first"),
    }
}

/// The error of a command in which a stack failed; none when all succeeded.
pub(crate) fn failure_of<D>(stacks: &[(Stack, StackOutcome<D>)], how_to_go_on: &str) -> Option<Error> {
    let failed: Vec<(&Stack, &StackError)> = stacks
        .iter()
        .filter_map(|(stack, outcome)| match outcome {
            StackOutcome::Failed(error) => Some((stack, error)),
            _ => None,
        })
        .collect();
    let refusal =
        failed.iter().any(|(_, error)| matches!(error, StackError::Unapproved { .. } | StackError::Stuck { .. }));
    let mut error = match failed.as_slice() {
        [] => return None,
        [(stack, _)] => format!("{} failed", stack.key),
        _ => format!("{} of {} stacks failed", failed.len(), stacks.len()),
    };
    let skipped: Vec<String> = stacks
        .iter()
        .filter_map(|(stack, outcome)| match outcome {
            StackOutcome::Skipped { because_of } => Some(format!("{} (because of {because_of})", stack.key)),
            _ => None,
        })
        .collect();
    if !skipped.is_empty() {
        error.push_str(&format!(", {} were not tried", skipped.len()));
    }
    let mut error = if refusal { Error::refused(error) } else { Error::remote(error) };
    let mut hints: Vec<&str> = Vec::new();
    for (_, failure) in &failed {
        error = error.detail(chain(*failure));
        hints.extend(stack_hint(failure));
        if let StackError::Operation(cause) = failure {
            hints.extend(cause.next.as_deref());
        }
    }
    for skipped in skipped {
        error = error.detail(format!("not tried: {skipped}"));
    }
    hints.sort_unstable();
    hints.dedup();
    hints.push(how_to_go_on);
    Some(hints.into_iter().fold(error, Error::hint))
}

pub(crate) fn stack_hint(error: &StackError) -> Option<&str> {
    match error {
        StackError::Operation(cause) => cause.hint,
        StackError::ChangeSet(error) => change_set_hint(error),
        StackError::Stuck { next, .. } => Some(next),
        StackError::Unapproved { .. } => Some("deploy once more: the new plan shows that harm and asks for it"),
        StackError::Call(error) => hint_for(&error.source.to_string()),
        StackError::Input { .. } | StackError::Restless { .. } | StackError::Code { .. } | StackError::Follow(_) => {
            None
        }
    }
}

/// An error and its causes as one text.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}
