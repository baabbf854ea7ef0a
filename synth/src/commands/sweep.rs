//! `synth sweep`

use std::time::Duration;

use clap::Args;
use events::Entity;

use super::{Checkout, Ended, answer, wait_for};
use crate::exit_code;
use crate::sweep::{self, Limits, Options};
use crate::ui::Ui;

/// Delete rows that a reload from the source no longer had
///
/// A reload raises `generation` under `[consumer]`, so that every row which the source still has gets a version of the new
/// generation. Rows that the source deleted while nobody listened keep older ones. Once the load has ended, this turns them into
/// tombstones, and each is told as a deletion. Rows of other sources, tombstones and whatever changes meanwhile stay.
///
/// What can't be seen in the tables, check before: Qlik's load of all tables is over, the consumer's lag is 0, and each of
/// its pods was restarted since the generation was raised. "Reload from the source" in docs/runbooks.md has the steps.
///
/// Counts first, refuses what looks like no finished load, and asks. A run may be broken off at any time and repeated.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  synth sweep --env production --dry-run
  synth sweep --env production --max-share 5%
  synth sweep --env production --entity orders --max-deletes 1000 --yes")]
pub(crate) struct SweepArgs {
    /// Region that owns the data; what is written there is replicated [default: the home region]
    #[arg(long, value_name = "REGION")]
    region: Option<String>,

    /// Table to sweep: `customers`, `orders`, `products` or `all`
    #[arg(long, value_name = "ENTITY", default_value = "all", value_parser = entities)]
    entity: Entities,

    /// Generation of the load, no later than the consumer's [default: the consumer's]
    #[arg(long, value_name = "NUMBER")]
    generation: Option<u32>,

    /// Count what would be swept and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Refuse when more than this share of a table's live rows would go
    #[arg(long, value_name = "PERCENT", default_value = "20%", value_parser = share)]
    max_share: u8,

    /// Refuse when more rows than this would go, of all tables together [default: any number]
    #[arg(long, value_name = "NUMBER")]
    max_deletes: Option<u64>,

    /// Refuse when a row of the load came within the last so many minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 10)]
    settled: u32,

    /// Read capacity units to use in a second; both scans of a table read all of it
    #[arg(long, value_name = "UNITS", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..))]
    reads: u32,

    /// Rows to delete in a second, each of which is a write in every region, and an event
    #[arg(long, value_name = "ROWS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    writes: u32,

    /// Don't ask before something is swept on AWS
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn run(ui: &Ui, environments: &[String], arguments: &SweepArgs) -> Ended {
    let checkout = Checkout::find()?;
    let environment = checkout.deployable_environment(environments)?;
    let SweepArgs { region, entity, generation, dry_run, max_share, max_deletes, settled, reads, writes, yes } =
        arguments;
    let options = Options {
        checkout: checkout.root().to_owned(),
        region: region.clone(),
        entities: entity.0.clone(),
        generation: *generation,
        limits: Limits {
            max_share: *max_share,
            max_deletes: *max_deletes,
            settled: Duration::from_secs(u64::from(*settled) * 60),
        },
        reads_per_second: *reads,
        writes_per_second: *writes,
        assume_yes: *yes,
    };
    if *dry_run {
        let survey = wait_for(sweep::survey(ui, &environment, &options))?;
        answer(ui, &survey, || survey.render());
        return Ok(exit_code::DONE);
    }
    let report = wait_for(sweep::run(ui, &environment, &options))?;
    answer(ui, &report, || report.render());
    match report.verdict() {
        Ok(()) => Ok(exit_code::DONE),
        // The report says all that the error would, and the answer is one document.
        Err(error) if ui.is_json() => Ok(error.kind().exit_code()),
        Err(error) => Err(error),
    }
}

/// Which tables; a type of its own, because a parser that gives a list means something else to clap.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entities(Vec<Entity>);

fn entities(text: &str) -> Result<Entities, String> {
    match text {
        "all" => Ok(Entities(Entity::ALL.to_vec())),
        one => one.parse().map(|entity| Entities(vec![entity])).map_err(|error| format!("{error}, or `all`")),
    }
}

fn share(text: &str) -> Result<u8, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim_end().parse().ok();
    number
        .filter(|percent| *percent <= 100)
        .ok_or_else(|| "expected a share of 0% to 100%, in whole percent".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_whole_percent() {
        for (text, percent) in [("20%", 20), ("0", 0), ("100 %", 100)] {
            assert_eq!(share(text), Ok(percent), "{text}");
        }
        for text in ["", "%", "101%", "-1%", "0.5%", "a lot"] {
            assert!(share(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_entity_is_one_or_all() {
        assert_eq!(entities("all"), Ok(Entities(Entity::ALL.to_vec())));
        assert_eq!(entities("orders"), Ok(Entities(vec![Entity::Orders])));
        let error = entities("order").expect_err("none");
        assert_eq!(error, "`order` is no entity; expected `customers`, `orders` or `products`, or `all`");
    }
}
