//! `synth doctor`

use clap::Args;
use infra::environment::Target;
use serde_json::json;

use super::{Checkout, Ended};
use crate::doctor::{self, Finding, Needs, Verdict};
use crate::exit_code;
use crate::ui::{Style, Ui};

/// Look for what this machine lacks, with the command that installs it
///
/// What is needed depends on the environment: a local one needs Python for the emulator, one on AWS a compiler for
/// arm64 and credentials.
/// Looks only, and installs nothing. Ends with 1 when something is missing; `deploy` asks the same first.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  synth doctor --env sandbox")]
pub(crate) struct DoctorArgs {}

pub(super) fn run(ui: &Ui, environments: &[String], _: &DoctorArgs) -> Ended {
    let needs = match Checkout::find()?.environment(environments)?.target() {
        Target::Local => Needs::Local,
        Target::Aws => Needs::Aws,
    };
    let findings = doctor::check(needs);
    if ui.is_json() {
        ui.json(&json!({ "findings": findings }));
    } else {
        for finding in &findings {
            ui.answer(&human(ui, finding));
        }
    }
    let missing = findings.iter().any(|finding| finding.verdict == Verdict::Missing);
    Ok(if missing { exit_code::ERROR } else { exit_code::DONE })
}

fn human(ui: &Ui, finding: &Finding) -> String {
    let Finding { name, verdict, found, purpose, repair } = finding;
    let (word, style) = match verdict {
        Verdict::Ok => ("ok     ", Style::Good),
        Verdict::Warning => ("warning", Style::Changed),
        Verdict::Missing => ("missing", Style::Bad),
    };
    let mut text = format!("{}  {name}", ui.paint_answer(style, word));
    if !found.is_empty() {
        text.push_str(&format!(": {found}"));
    }
    if let Some(repair) = repair {
        text.push_str(&format!("\n         for {purpose}\n         repair: {repair}"));
    }
    text
}
