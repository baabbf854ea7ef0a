//! `synth destroy`

use std::time::Duration;

use clap::Args;

use super::deploy::duration;
use super::{Checkout, Ended, wait_for};
use crate::deploy::destroy::{self, Options};
use crate::exit_code;
use crate::ui::Ui;

/// Remove everything that an environment deployed
///
/// Stacks go in reverse order. On AWS, resources with data stay in the account, and each of them must be named first.
/// Of a local environment the platform is stopped too: no process, no port and no data is left.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  synth destroy --env sandbox\n  synth destroy --env staging --allow-data Customers")]
pub(crate) struct DestroyArgs {
    /// Don't ask before AWS is changed
    #[arg(long, short)]
    yes: bool,

    /// How long to wait while another run changes the environment, such as `90s` or `1h`
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration)]
    wait: Duration,

    /// Resource with data that may stay in the account without its stack, by logical id; may be repeated
    #[arg(long = "allow-data", value_name = "LOGICAL_ID")]
    allow_data: Vec<String>,
}

pub(super) fn run(ui: &Ui, environments: &[String], arguments: &DestroyArgs) -> Ended {
    let checkout = Checkout::find()?;
    let environment = checkout.deployable_environment(environments)?;
    let DestroyArgs { yes, wait, allow_data } = arguments;
    let options = Options {
        checkout: checkout.root().to_owned(),
        assume_yes: *yes,
        wait: *wait,
        allow_data: allow_data.iter().cloned().collect(),
    };
    let outcome = wait_for(destroy::run(ui, &environment, &options))?;
    if ui.is_json() {
        ui.json(&outcome);
    } else {
        ui.answer(&outcome.render().join("\n"));
    }
    Ok(exit_code::DONE)
}
