//! `synth smoke`

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::{Checkout, Ended, wait_for};
use crate::exit_code;
use crate::smoke::{self, Options};
use crate::ui::Ui;

/// Send changes through the whole deployed system and prove that each arrives
///
/// Produces change records to Kafka and follows them through tables and event buses of both regions.
/// Tells the latency of each hop; fails with what is missing where.
/// Only for local environments: Kafka beside AWS wants SASL and TLS, which this does not speak yet.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  synth smoke --env sandbox --count 1000")]
pub(crate) struct SmokeArgs {
    /// Changes in total: inserts, updates and deletes
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = RangedU64ValueParser::<u32>::new().range(1..=1_000_000))]
    count: u32,

    /// Changes a second; as fast as possible when not given
    #[arg(long, value_name = "R", value_parser = RangedU64ValueParser::<u32>::new().range(1..=100_000))]
    rate: Option<u32>,
}

pub(super) fn run(ui: &Ui, environments: &[String], arguments: &SmokeArgs) -> Ended {
    let checkout = Checkout::find()?;
    let environment = checkout.deployable_environment(environments)?;
    let SmokeArgs { count, rate } = arguments;
    let options = Options { checkout: checkout.root().to_owned(), count: *count, rate: *rate };
    let report = wait_for(smoke::run(ui, &environment, &options))?;
    let verdict = report.verdict();
    if ui.is_json() {
        // The report says all that the error would, and the answer is one document.
        ui.json(&report);
        return Ok(verdict.map_or_else(|error| error.kind().exit_code(), |()| exit_code::DONE));
    }
    ui.answer(&report.render().join("\n"));
    verdict.map(|()| exit_code::DONE)
}
