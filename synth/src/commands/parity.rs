//! `synth parity`

use clap::Args;
use infra::parity;
use serde::Serialize;

use super::{Checkout, Ended};
use crate::exit_code;
use crate::ui::{Style, Ui};

/// Prove that the regions are alike, as the checkout has them
///
/// A failover needs a region that can do what the other does. Names, networks and zones of two regions are exchanged in
/// what one of them has, and then it must be what the other has: templates, inputs, tags, termination protection and
/// CloudFormation's role of each stack, and the Kubernetes manifests. What may differ stands in a list with its reason.
/// What is deployed isn't asked. Ends with 1 when anything else differs.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  synth parity --env production")]
pub(crate) struct ParityArgs {}

#[derive(Serialize)]
struct Answer {
    environment: String,
    differences: Vec<Shown>,
    allowed: Vec<Shown>,
}

#[derive(Serialize)]
struct Shown {
    stack: &'static str,
    region: String,
    other: String,
    path: String,
    value: Option<serde_json::Value>,
    other_value: Option<serde_json::Value>,
    allowed: Option<&'static str>,
}

impl From<parity::Difference> for Shown {
    fn from(difference: parity::Difference) -> Self {
        let parity::Difference { stack, region, other, path, value, other_value, allowed } = difference;
        Self { stack, region: region.to_string(), other: other.to_string(), path, value, other_value, allowed }
    }
}

pub(super) fn run(ui: &Ui, environments: &[String], _: &ParityArgs) -> Ended {
    let environments = Checkout::find()?.environments(environments)?;
    let mut answers = Vec::new();
    let mut unlike = 0;
    for environment in &environments {
        let name = environment.environment_name();
        let found = parity::differences(environment, &infra::system(environment));
        let (allowed, differences): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| found.allowed.is_some());
        unlike += differences.len();
        if !ui.is_json() {
            ui.answer(&ui.paint_answer(Style::Heading, name));
            for difference in differences.iter().chain(&allowed) {
                ui.answer(&format!("  {difference}"));
            }
            ui.answer(&match differences.len() {
                0 => format!("  the regions are alike but for what is allowed ({})", allowed.len()),
                count => format!("  differences that nothing allows: {count}"),
            });
        }
        answers.push(Answer {
            environment: name.to_owned(),
            differences: differences.into_iter().map(Shown::from).collect(),
            allowed: allowed.into_iter().map(Shown::from).collect(),
        });
    }
    if ui.is_json() {
        ui.json(&serde_json::json!({ "environments": answers }));
    }
    Ok(if unlike == 0 { exit_code::DONE } else { exit_code::ERROR })
}
