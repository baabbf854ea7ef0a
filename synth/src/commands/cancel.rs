//! `synth cancel`

use clap::Args;

use super::{Checkout, Ended, wait_for};
use crate::deploy::Selection;
use crate::deploy::cancel::{self, Options};
use crate::exit_code;
use crate::ui::Ui;

/// Break off what runs in an environment's stacks, and follow it until it is undone
///
/// CloudFormation can cancel an update, which is rolled back then. It can't cancel a creation, a deletion or a rollback: those are
/// named with what to do instead, and go on. A creation ends when its stack is deleted; `--delete-creating` does that.
///
/// It works while another run holds the environment's lock, from whatever machine: that run sees its stack rolled back, says so
/// and ends. Until then it begins what doesn't depend on that stack, so stop the run first; what has begun meanwhile is named at
/// the end. Shows what runs and asks before anything is changed on AWS.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit codes:\n  0  nothing ran, or nothing ran any more at the end\n  1  something goes on, has begun meanwhile or wasn't undone; the next command is shown\n\nExamples:\n  synth cancel --env production\n  synth cancel --env staging --stack events --region us-east-1 --yes"
)]
pub(crate) struct CancelArgs {
    /// Only stacks of this name; may be given several times
    #[arg(long, value_name = "STACK")]
    stack: Vec<String>,

    /// Only stacks in this region; may be given several times
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,

    /// Don't ask before AWS is changed
    #[arg(long, short)]
    yes: bool,

    /// Delete stacks that are just being created; what their template retains stays in the account
    #[arg(long)]
    delete_creating: bool,
}

pub(super) fn run(ui: &Ui, environments: &[String], arguments: &CancelArgs) -> Ended {
    let checkout = Checkout::find()?;
    let environment = checkout.deployable_environment(environments)?;
    let CancelArgs { stack, region, yes, delete_creating } = arguments;
    let options = Options {
        checkout: checkout.root().to_owned(),
        selection: Selection { stacks: stack.clone(), regions: region.clone() },
        assume_yes: *yes,
        delete_creating: *delete_creating,
    };
    let report = wait_for(cancel::run(ui, &environment, &options))?;
    if ui.is_json() {
        ui.json(&report);
    } else {
        ui.answer(&report.render().join("\n"));
    }
    Ok(if report.is_good() { exit_code::DONE } else { exit_code::ERROR })
}
