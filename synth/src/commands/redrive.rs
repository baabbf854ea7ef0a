//! `synth redrive`

use clap::Args;

use super::{Checkout, Ended, answer, wait_for};
use crate::exit_code;
use crate::redrive::{self, Filter, Options};
use crate::ui::Ui;

/// Replay dead letters: send what was given up on the way again that failed
///
/// Mend the cause first. Records of streams go through their function again, raw events into the transformer's queue, events
/// that were parked for a peer onto the peer's bus. A message is deleted only after its replay succeeded, and the run ends at
/// what came into the queue after it began. A record that is still poison comes back as a new letter, and the old one goes.
/// A run may be broken off at any time: what it held shows up again within five minutes, and replaying twice does no harm.
/// Without `--queue`, lists the queues with about how many messages each holds.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  synth redrive --env production
  synth redrive --env production --queue event-router-dead-letters --dry-run
  synth redrive --env production --queue event-router-dead-letters --filter error_class=panic")]
pub(crate) struct RedriveArgs {
    /// Queue to replay, by its name without system and environment, such as stream-processor-dead-letters
    #[arg(long, value_name = "QUEUE")]
    queue: Option<String>,

    /// The queue's region [default: the home region; of the list: all]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,

    /// Replay only letters with this `error_class`, `program`, `source` or beginning of `position`; may be repeated: of one
    /// key one value must hold, of several keys each
    #[arg(long = "filter", value_name = "KEY=VALUE", requires = "queue")]
    filters: Vec<Filter>,

    /// Show what would be replayed and change nothing; reading hides messages for a moment
    #[arg(long, requires = "queue")]
    dry_run: bool,

    /// Don't ask before something is replayed on AWS
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn run(ui: &Ui, environments: &[String], arguments: &RedriveArgs) -> Ended {
    let checkout = Checkout::find()?;
    let environment = checkout.deployable_environment(environments)?;
    let RedriveArgs { queue, region, filters, dry_run, yes } = arguments;
    let options = Options {
        checkout: checkout.root().to_owned(),
        region: region.clone(),
        filters: filters.clone(),
        assume_yes: *yes,
    };
    let Some(queue) = queue else {
        let list = wait_for(redrive::list(&environment, &options))?;
        answer(ui, &list, || list.render());
        return Ok(exit_code::DONE);
    };
    if *dry_run {
        let survey = wait_for(redrive::survey(&environment, queue, &options))?;
        answer(ui, &survey, || survey.render());
        return Ok(exit_code::DONE);
    }
    let report = wait_for(redrive::run(ui, &environment, queue, &options))?;
    answer(ui, &report, || report.render());
    match report.verdict() {
        Ok(()) => Ok(exit_code::DONE),
        // The report says all that the error would, and the answer is one document.
        Err(error) if ui.is_json() => Ok(error.kind().exit_code()),
        Err(error) => Err(error),
    }
}
