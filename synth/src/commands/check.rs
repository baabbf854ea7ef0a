//! `synth check`

use std::collections::BTreeMap;

use cfn::{Severity, Violation};
use clap::Args;
use infra::environment::Environment;
use infra::{StackId, System};
use serde::Serialize;

use super::{Checkout, Ended};
use crate::error::Error;
use crate::exit_code;
use crate::ui::{Style, Ui};

/// Check the templates of all environments against every rule
///
/// Rules are AWS's resource schemas, CloudFormation's limits and rules between resources; nothing is asked of AWS.
/// Without `--env` every environment is checked. Ends with 1 when something is wrong.
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
    let findings = Findings::of(&systems);
    if ui.is_json() {
        ui.json(&findings);
    } else {
        for finding in &findings.findings {
            ui.answer(&finding.human(ui));
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

#[derive(Debug, Serialize)]
struct Finding {
    severity: &'static str,
    #[serde(flatten)]
    subject: Subject,
    /// Stacks as `environment/stack@region`.
    stacks: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Subject {
    file: Option<&'static str>,
    line: Option<u32>,
    rule: &'static str,
    logical_id: Option<String>,
    resource_type: Option<&'static str>,
    path: String,
    message: String,
    hint: Option<String>,
}

impl Findings {
    /// Checks every template.
    pub(super) fn of(systems: &[(&Environment, System)]) -> Self {
        let mut found: BTreeMap<(Severity, Subject), Vec<String>> = BTreeMap::new();
        for (environment, system) in systems {
            let name = environment.environment_name();
            for mistake in &system.mistakes {
                let subject = Subject::of_system(mistake.clone());
                found.entry((Severity::Error, subject)).or_default().push(name.to_owned());
            }
            for stack in &system.stacks {
                let StackId { region, .. } = &stack.id;
                for violation in cfn::check(&stack.template, region.as_str()) {
                    let key = (violation.severity, Subject::of_violation(violation));
                    found.entry(key).or_default().push(format!("{name}/{}", stack.id));
                }
            }
        }
        let count = |wanted| found.keys().filter(|(severity, _)| *severity == wanted).count();
        Self {
            environments: systems.len(),
            templates: systems.iter().map(|(_, system)| system.stacks.len()).sum(),
            errors: count(Severity::Error),
            notes: count(Severity::Note),
            // Errors first: they are what has to be done.
            findings: found.into_iter().rev().map(Finding::new).collect(),
        }
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
}

impl Finding {
    fn new(((severity, subject), stacks): ((Severity, Subject), Vec<String>)) -> Self {
        Self { severity: severity_name(severity), subject, stacks }
    }

    fn human(&self, ui: &Ui) -> String {
        let style = if self.severity == severity_name(Severity::Error) { Style::Bad } else { Style::Changed };
        format!("{} {}", ui.paint_answer(style, &format!("{}:", self.severity)), self.text())
    }

    fn text(&self) -> String {
        let Subject { file, line, rule, logical_id, resource_type, path, message, hint } = &self.subject;
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
    fn of_violation(violation: Violation) -> Self {
        let Violation { rule, severity: _, logical_id, resource_type, path, message, hint, location } = violation;
        Self {
            file: location.map(std::panic::Location::file),
            line: location.map(std::panic::Location::line),
            rule,
            logical_id,
            resource_type,
            path,
            message,
            hint,
        }
    }

    fn of_system(message: String) -> Self {
        Self {
            file: None,
            line: None,
            rule: "system",
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
