//! `synth breaker`

use clap::{Args, Subcommand};

use super::{Checkout, Ended, answer, wait_for};
use crate::breakers::{self, Command, Options};
use crate::exit_code;
use crate::ui::Ui;

/// Characters of a reason: it is read in a line.
const REASON_CHARS: usize = 300;

/// Show the breakers between the regions, and command them
///
/// Between a region's event router and each peer stands a circuit breaker. It opens when the peer fails: events are then
/// parked in the router's own region, in order, and sent when the peer is well again. All of that goes by itself. A command
/// overrules it until `release`: for maintenance of a peer, for a drill, or when the breaker is wrong about a peer.
/// No command loses an event or lets one overtake another of its key.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  synth breaker show --env production
  synth breaker force-open --env production --region us-west-2 --reason \"us-east-1 is maintained\"
  synth breaker release --env production --region us-west-2 --reason \"the maintenance is over\"")]
pub(crate) struct BreakerArgs {
    #[command(subcommand)]
    command: BreakerCommand,

    /// Region whose router sends [default: all; of a command: the one that fits]
    #[arg(long, value_name = "REGION", global = true)]
    region: Option<String>,

    /// Region that it sends to [default: all; of a command: the one that fits]
    #[arg(long, value_name = "REGION", global = true)]
    peer: Option<String>,
}

#[derive(Debug, Subcommand)]
enum BreakerCommand {
    Show(ShowArgs),
    ForceOpen(ForceOpenArgs),
    ForceClosed(ForceClosedArgs),
    MetricsOnly(MetricsOnlyArgs),
    Release(ReleaseArgs),
}

impl BreakerCommand {
    /// What is asked of a breaker; nothing where it is only shown.
    fn asks(&self) -> Option<(Command, &HowArgs)> {
        match self {
            Self::Show(_) => None,
            Self::ForceOpen(ForceOpenArgs { how }) => Some((Command::ForceOpen, how)),
            Self::ForceClosed(ForceClosedArgs { how }) => Some((Command::ForceClosed, how)),
            Self::MetricsOnly(MetricsOnlyArgs { how }) => Some((Command::MetricsOnly, how)),
            Self::Release(ReleaseArgs { how }) => Some((Command::Release, how)),
        }
    }
}

/// Show each breaker: state, since when and why, probes, and what waits
///
/// Reads the record that all instances of the router share, and counts what waits up to 20 MB; changes nothing.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  synth breaker show --env sandbox --format json")]
struct ShowArgs {}

/// Park everything for a peer, until `release`
///
/// The peer gets nothing, not even probes. What is parked is bounded (a million events, and 12 hours, if the environment doesn't
/// say otherwise); beyond that the region's streams hold what comes, 24 hours after the change at most.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  synth breaker force-open --env production --region us-west-2 --reason \"us-east-1 is maintained\""
)]
struct ForceOpenArgs {
    #[command(flatten)]
    how: HowArgs,
}

/// Send everything to a peer whatever fails, until `release`
///
/// What waits is drained first, key by key. An event that fails is parked no longer: it is tried again and holds up its stream
/// meanwhile. For when the breaker is open although the peer is well.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  synth breaker force-closed --env production --region us-west-2 --reason \"only one key is throttled\""
)]
struct ForceClosedArgs {
    #[command(flatten)]
    how: HowArgs,
}

/// Send everything to a peer and only measure, until `release`
///
/// As `force-closed`, and the router's log tells when the breaker would have opened. For trying other thresholds.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  synth breaker metrics-only --env staging --region us-west-2 --reason \"trying a shorter window\""
)]
struct MetricsOnlyArgs {
    #[command(flatten)]
    how: HowArgs,
}

/// Let a breaker work by itself again
///
/// One that was forced open probes the peer first, with an event that waits, and closes when enough probes went well. Any other
/// is closed, and opens when the peer fails. If no operator has commanded it there is nothing to change.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  synth breaker release --env production --region us-west-2 --reason \"the maintenance is over\""
)]
struct ReleaseArgs {
    #[command(flatten)]
    how: HowArgs,
}

#[derive(Args, Debug)]
struct HowArgs {
    /// Why: kept in the breaker's record, and shown to whoever looks at it
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,

    /// Don't ask before a breaker on AWS is commanded
    #[arg(long, short)]
    yes: bool,
}

pub(super) fn run(ui: &Ui, environments: &[String], arguments: &BreakerArgs) -> Ended {
    let BreakerArgs { command, region, peer } = arguments;
    let asked = command.asks();
    let checkout = Checkout::find()?;
    let environment = checkout.deployable_environment(environments)?;
    let options = Options {
        checkout: checkout.root().to_owned(),
        region: region.clone(),
        peer: peer.clone(),
        assume_yes: asked.is_some_and(|(_, how)| how.yes),
    };
    let Some((command, how)) = asked else {
        let survey = wait_for(breakers::show(&environment, &options))?;
        answer(ui, &survey, || survey.render());
        return Ok(exit_code::DONE);
    };
    let commanded = wait_for(breakers::command(ui, &environment, command, &how.reason, &options))?;
    answer(ui, &commanded, || commanded.render());
    Ok(exit_code::DONE)
}

/// A reason that says something and fits into a line.
fn reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("say why: who finds the breaker so must know whether it may be released".to_owned());
    }
    if text.chars().count() > REASON_CHARS || text.contains(char::is_control) {
        return Err(format!("expected one line of at most {REASON_CHARS} characters"));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_line_that_says_something() {
        assert_eq!(reason(" a drill "), Ok("a drill".to_owned()));
        for text in ["", "  ", "two\nlines", &"long".repeat(76)] {
            assert!(reason(text).is_err(), "{text:?}");
        }
    }
}
