//! `synth generate`

use clap::Args;
use clap::builder::RangedU64ValueParser;

use super::{Checkout, Ended, answer, wait_for};
use crate::exit_code;
use crate::generate::{self, Options};
use crate::ui::Ui;

/// Produce made-up changes of Qlik Replicate to Kafka, and tell what must come of them
///
/// Sends inserts, whole and partial updates, key changes, deletions, marks for log compaction, repetitions and messages
/// that can't be applied to the three change topics; few rows change often. The same seed gives the same messages.
/// Tells what the tables and the dead-letter topic must hold when the consumer is done with them.
/// Only for local environments: Kafka beside AWS wants SASL and TLS, which this does not speak yet.
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  synth generate --env sandbox --count 100000\n  synth generate --count 5000 \
                        --rate 200 --seed 7 --format json")]
pub(crate) struct GenerateArgs {
    /// Messages in total; they begin with a load of half of the rows
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = RangedU64ValueParser::<u64>::new().range(1..=100_000_000))]
    count: u64,

    /// Messages a second; 0 for as fast as possible
    #[arg(long, value_name = "R", default_value_t = 0, value_parser = RangedU64ValueParser::<u32>::new().range(0..=1_000_000))]
    rate: u32,

    /// What all messages follow from, with the other settings; more of the same seed goes on where less of it ended
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,

    /// Rows that each of the three tables can have
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = RangedU64ValueParser::<u32>::new().range(2..=10_000_000))]
    keys: u32,
}

pub(super) fn run(ui: &Ui, environments: &[String], arguments: &GenerateArgs) -> Ended {
    let checkout = Checkout::find()?;
    let environment = checkout.deployable_environment(environments)?;
    let GenerateArgs { count, rate, seed, keys } = *arguments;
    let options = Options { checkout: checkout.root().to_owned(), count, rate, seed, keys };
    let report = wait_for(generate::run(ui, &environment, &options))?;
    answer(ui, &report, || report.render());
    Ok(exit_code::DONE)
}
