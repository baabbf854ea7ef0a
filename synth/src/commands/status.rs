//! `synth status`

use clap::Args;

use super::{Checkout, Ended, wait_for};
use crate::deploy::status::{self, Options};
use crate::exit_code;
use crate::ui::Ui;

/// Show what is deployed, region beside region, and whether it is what the checkout says
///
/// Reads stacks, functions and, of a local environment, the platform's processes; changes nothing.
/// Ends with 0 whatever it finds: what changes are pending is part of the answer.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  synth status --env sandbox --format json")]
pub(crate) struct StatusArgs {}

pub(super) fn run(ui: &Ui, environments: &[String], _: &StatusArgs) -> Ended {
    let checkout = Checkout::find()?;
    let environment = checkout.deployable_environment(environments)?;
    let options = Options { checkout: checkout.root().to_owned() };
    let report = wait_for(status::run(&environment, &options))?;
    if ui.is_json() {
        ui.json(&report);
    } else {
        ui.answer(&report.render().join("\n"));
    }
    Ok(exit_code::DONE)
}
