//! `synth check`

mod guard;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use cfn::{Severity, Violation};
use clap::Args;
use infra::environment::Environment;
use infra::{StackInstance, System};
use policy::Problem;
use serde::Serialize;

use self::guard::Rules;
use super::{Checkout, Ended};
use crate::error::Error;
use crate::exit_code;
use crate::ui::{Style, Ui};

/// Check the templates of all environments against every rule
///
/// Rules are AWS's resource schemas, CloudFormation's limits, rules between resources and between stacks, policy, and
/// the Guard files in `infra/policy`; nothing is asked of AWS.
/// Without `--env` every environment is checked, whatever `TANDEM_ENV` says. Ends with 1 when something is wrong.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  synth check --env staging --format json")]
pub(crate) struct CheckArgs {}

pub(super) fn run(ui: &Ui, environments: &[String], _: &CheckArgs) -> Ended {
    let checkout = Checkout::find()?;
    let environments = match environments {
        [] => checkout.all_environments()?,
        named => checkout.environments(named)?,
    };
    let systems: Vec<_> = environments.iter().map(|environment| (environment, infra::system(environment))).collect();
    let findings = Findings::of(&checkout, &systems)?;
    // As in `synth synth`: the process is about to end.
    std::mem::forget(systems);
    if ui.is_json() {
        ui.json(&findings);
    } else {
        for group in Group::ALL {
            findings.show(ui, group);
        }
        ui.answer(&findings.summary());
    }
    Ok(if findings.errors == 0 { exit_code::DONE } else { exit_code::ERROR })
}

/// What is wrong with the templates of some environments; what is wrong in several of them stands here once.
#[derive(Debug, Serialize)]
pub(super) struct Findings {
    environments: usize,
    templates: usize,
    errors: usize,
    notes: usize,
    findings: Vec<Finding>,
}

/// Who says that something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Group {
    /// What AWS refuses, or what loses data.
    Template,
    /// What must hold between stacks.
    System,
    /// What a careful team wants besides.
    Policy,
    /// What the Guard files say.
    Guard,
}

impl Group {
    const ALL: [Self; 4] = [Self::Template, Self::System, Self::Policy, Self::Guard];

    fn title(self) -> &'static str {
        match self {
            Self::Template => "what AWS refuses, or what loses data",
            Self::System => "between stacks",
            Self::Policy => "policy",
            Self::Guard => "policy of infra/policy/*.guard",
        }
    }
}

#[derive(Debug, Serialize)]
struct Finding {
    severity: &'static str,
    #[serde(flatten)]
    subject: Subject,
    /// Stacks as `environment/stack@region`.
    stacks: Vec<String>,
}

/// One thing that is wrong, wherever it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Subject {
    group: Group,
    file: Option<String>,
    line: Option<u32>,
    rule: String,
    logical_id: Option<String>,
    resource_type: Option<String>,
    path: String,
    message: String,
    hint: Option<String>,
}

/// Found things in the order in which they are told: errors first, then by place.
type Found = BTreeMap<(std::cmp::Reverse<Severity>, Subject), Vec<String>>;

impl Findings {
    /// Checks every template.
    ///
    /// # Errors
    /// A Guard file can't be read or is no Guard file.
    pub(super) fn of(checkout: &Checkout, systems: &[(&Environment, System)]) -> Result<Self, Error> {
        let rules = Rules::read(checkout)?;
        let mut found = Found::new();
        let mut add = |(severity, subject, place): Told| {
            let places = found.entry((std::cmp::Reverse(severity), subject)).or_default();
            if !places.contains(&place) {
                places.push(place);
            }
        };
        judge(systems, &rules)?.into_iter().for_each(&mut add);
        let count = |wanted| found.keys().filter(|(severity, _)| severity.0 == wanted).count();
        Ok(Self {
            environments: systems.len(),
            templates: systems.iter().map(|(_, system)| system.stacks.len()).sum(),
            errors: count(Severity::Error),
            notes: count(Severity::Note),
            findings: found.into_iter().map(Finding::new).collect(),
        })
    }

    /// All errors as one error; notes are no reason to stop.
    pub(super) fn refusal(&self) -> Result<(), Error> {
        if self.errors == 0 {
            return Ok(());
        }
        let error = Error::configuration(format!("the templates break {}", counted(self.errors, "rule")));
        let errors = self.findings.iter().filter(|finding| finding.severity == severity_name(Severity::Error));
        Err(errors.fold(error, |error, finding| error.detail(finding.text())))
    }

    /// One line for people.
    pub(super) fn summary(&self) -> String {
        format!(
            "{} in {}: {}, {}",
            counted(self.templates, "template"),
            counted(self.environments, "environment"),
            counted(self.errors, "error"),
            counted(self.notes, "note")
        )
    }

    /// The findings of a group under its title; nothing if it has none.
    fn show(&self, ui: &Ui, group: Group) {
        let mut findings = self.findings.iter().filter(|finding| finding.subject.group == group).peekable();
        if findings.peek().is_some() {
            ui.answer(&ui.paint_answer(Style::Dim, &format!("# {}", group.title())));
            findings.for_each(|finding| ui.answer(&finding.human(ui)));
            ui.answer("");
        }
    }
}

/// Something that is wrong, and where, as `environment/stack@region`.
type Told = (Severity, Subject, String);

/// What is wrong with an environment's bindings and between its stacks.
fn between_stacks<'a>(environment: &'a str, system: &'a System) -> impl Iterator<Item = Told> + 'a {
    let mistakes = system
        .mistakes
        .iter()
        .map(move |mistake| (Severity::Error, Subject::of_mistake(mistake.clone()), environment.to_owned()));
    let findings = infra::rules::check(system).into_iter().flat_map(move |finding| {
        // All that are concerned: the first one is where the repair belongs.
        let places: Vec<String> = finding.stacks.iter().map(|stack| format!("{environment}/{stack}")).collect();
        let (severity, subject) = (finding.severity, Subject::of_system(finding));
        places.into_iter().map(move |place| (severity, subject.clone(), place))
    });
    mistakes.chain(findings)
}

/// What is wrong between the stacks of each system and inside of each stack, in their order.
///
/// Each is judged by itself, so processors share the work: each takes what is next.
fn judge(systems: &[(&Environment, System)], rules: &Rules) -> Result<Vec<Told>, Error> {
    let between = systems.iter().map(|(environment, system)| Part::Between(environment.environment_name(), system));
    let inside = systems.iter().flat_map(|(environment, system)| {
        system.stacks.iter().map(|stack| Part::Inside(environment.environment_name(), stack))
    });
    let parts: Vec<Part<'_>> = between.chain(inside).collect();
    let next = AtomicUsize::new(0);
    let work = || -> Vec<(usize, Result<Vec<Told>, Problem>)> {
        let mut told = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = parts.get(index) else { return told };
            told.push((index, part.judge(rules)));
        }
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from).min(parts.len()).max(1);
    let mut told = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
        let mut told = work();
        for thread in threads {
            told.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        told
    });
    // The first problem by order, whoever met it.
    told.sort_by_key(|(index, _)| *index);
    let told: Result<Vec<Vec<Told>>, Problem> = told.into_iter().map(|(_, told)| told).collect();
    Ok(told.map_err(|problem| guard::unusable(&problem))?.into_iter().flatten().collect())
}

/// Something that is judged by itself; with the name of its environment.
enum Part<'a> {
    Between(&'a str, &'a System),
    Inside(&'a str, &'a StackInstance),
}

impl Part<'_> {
    fn judge(&self, rules: &Rules) -> Result<Vec<Told>, Problem> {
        match self {
            Self::Between(environment, system) => Ok(between_stacks(environment, system).collect()),
            Self::Inside(environment, stack) => in_stack(environment, stack, rules),
        }
    }
}

/// What is wrong inside of one stack.
fn in_stack(environment: &str, stack: &StackInstance, rules: &Rules) -> Result<Vec<Told>, Problem> {
    let region = stack.id.region.as_str();
    let place = format!("{environment}/{}", stack.id);
    let mut told = Vec::new();
    for (group, violations) in
        [(Group::Template, cfn::check(&stack.template, region)), (Group::Policy, cfn::policy(&stack.template, region))]
    {
        let violations = violations.into_iter();
        told.extend(violations.map(|one| (one.severity, Subject::of_violation(group, one), place.clone())));
    }
    let subjects = rules.judge(&stack.template)?.into_iter();
    told.extend(subjects.map(|subject| (Severity::Error, subject, place.clone())));
    Ok(told)
}

impl Finding {
    fn new(((severity, subject), stacks): ((std::cmp::Reverse<Severity>, Subject), Vec<String>)) -> Self {
        Self { severity: severity_name(severity.0), subject, stacks }
    }

    fn human(&self, ui: &Ui) -> String {
        let style = if self.severity == severity_name(Severity::Error) { Style::Bad } else { Style::Changed };
        format!("{} {}", ui.paint_answer(style, &format!("{}:", self.severity)), self.text())
    }

    fn text(&self) -> String {
        let Subject { group: _, file, line, rule, logical_id, resource_type, path, message, hint } = &self.subject;
        let mut text = String::new();
        if let (Some(file), Some(line)) = (file, line) {
            text.push_str(&format!("{file}:{line}: "));
        }
        if let Some(logical_id) = logical_id {
            text.push_str(logical_id);
            if let Some(resource_type) = resource_type {
                text.push_str(&format!(" ({resource_type})"));
            }
            if !path.is_empty() {
                text.push_str(&format!(" {path}"));
            }
            text.push_str(": ");
        }
        text.push_str(&format!("{message} [{rule}]\n  in: {}", self.stacks.join(", ")));
        if let Some(hint) = hint {
            text.push_str(&format!("\n  hint: {hint}"));
        }
        text
    }
}

impl Subject {
    fn of_violation(group: Group, violation: Violation) -> Self {
        let Violation { rule, severity: _, logical_id, resource_type, path, message, hint, location } = violation;
        Self {
            group,
            file: location.map(|location| location.file().to_owned()),
            line: location.map(std::panic::Location::line),
            rule: rule.to_owned(),
            logical_id,
            resource_type: resource_type.map(str::to_owned),
            path,
            message,
            hint,
        }
    }

    fn of_system(finding: infra::rules::Finding) -> Self {
        let infra::rules::Finding { rule, severity: _, stacks: _, logical_id, resource_type, message, hint, location } =
            finding;
        Self {
            group: Group::System,
            file: location.map(|location| location.file().to_owned()),
            line: location.map(std::panic::Location::line),
            rule: rule.to_owned(),
            logical_id,
            resource_type: resource_type.map(str::to_owned),
            path: String::new(),
            message,
            hint: Some(hint),
        }
    }

    fn of_mistake(message: String) -> Self {
        Self {
            group: Group::System,
            file: None,
            line: None,
            rule: "system".to_owned(),
            logical_id: None,
            resource_type: None,
            path: String::new(),
            message,
            hint: None,
        }
    }
}

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Error => "error",
    }
}

fn counted(count: usize, thing: &str) -> String {
    match count {
        0 => format!("no {thing}"),
        1 => format!("1 {thing}"),
        _ => format!("{count} {thing}s"),
    }
}
