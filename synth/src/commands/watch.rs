//! `synth watch`

use clap::Args;

use super::{Checkout, Ended, wait_for};
use crate::deploy::Selection;
use crate::deploy::watch::{self, Options};
use crate::exit_code;
use crate::ui::Ui;

/// Follow what runs in an environment's stacks now, whoever started it, until nothing runs any more
///
/// Shows each operation from its beginning, as `deploy` does, and what begins meanwhile. Says who holds the environment's lock.
/// While somebody holds it, it waits for what comes next, also when nothing runs; when nothing runs and nobody is known to hold
/// it, it says so and ends. Only reads: breaking it off leaves the operations alone, from whatever machine.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit codes:\n  0  nothing runs, or all that ran succeeded\n  1  something failed; its cause and the next command are shown\n\nExamples:\n  synth watch --env production\n  synth watch --env production --region us-east-1 --format json"
)]
pub(crate) struct WatchArgs {
    /// Only stacks of this name; may be given several times
    #[arg(long, value_name = "STACK")]
    stack: Vec<String>,

    /// Only stacks in this region; may be given several times
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,
}

pub(super) fn run(ui: &Ui, environments: &[String], arguments: &WatchArgs) -> Ended {
    let checkout = Checkout::find()?;
    let environment = checkout.deployable_environment(environments)?;
    let WatchArgs { stack, region } = arguments;
    let selection = Selection { stacks: stack.clone(), regions: region.clone() };
    let options = Options { checkout: checkout.root().to_owned(), selection };
    let report = wait_for(watch::run(ui, &environment, &options))?;
    if ui.is_json() {
        ui.json(&report);
    } else {
        ui.answer(&report.render().join("\n"));
    }
    Ok(if report.is_good() { exit_code::DONE } else { exit_code::ERROR })
}
