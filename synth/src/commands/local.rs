//! `synth local`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use infra::environment::Environment;

use super::{Checkout, Ended, wait_for};
use crate::error::Error;
use crate::exit_code;
use crate::local::{self, FixedPorts, SuperviseArgs};
use crate::ui::Ui;

/// Start, stop and look into the local platform
///
/// The local platform is an AWS emulator, a Kafka broker, a Schema Registry and the consumer, all on 127.0.0.1.
/// `deploy` starts it by itself; these commands are for looking inside and for starting over.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  synth local logs consumer --follow")]
pub(crate) struct LocalArgs {
    #[command(subcommand)]
    command: LocalCommand,
}

#[derive(Debug, Subcommand)]
enum LocalCommand {
    Up(UpArgs),
    Down(DownArgs),
    Logs(LogsArgs),
    Reset(ResetArgs),
    Supervise(SupervisorArgs),
}

/// Start the local platform without deploying anything
///
/// Installs what it needs into the cache folder, chooses free ports and keeps everything running.
/// A platform that runs already is left as it is.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  synth local up --env sandbox")]
struct UpArgs {}

/// Stop the local platform and everything that it started
///
/// The emulator's and the broker's contents are gone afterwards; logs stay.
/// What an earlier crash left running is found and stopped too.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  synth local down --env sandbox")]
struct DownArgs {}

/// Show the logs of the local platform's processes
///
/// Without a name all logs are shown, each line with its process before it.
/// With `--follow` new lines are shown until Ctrl-C.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  synth local logs emulator --lines 100")]
struct LogsArgs {
    /// Process whose log is shown; the beginning of its name is enough
    process: Option<String>,

    /// Show what comes, until Ctrl-C
    #[arg(long, short)]
    follow: bool,

    /// Lines of each log that are shown first
    #[arg(long, short = 'n', value_name = "N", default_value_t = 50)]
    lines: usize,
}

/// Stop the local platform, remove its files and start it empty
///
/// Ports and the installed programs are kept; the next `deploy` makes everything anew.
/// For when something is broken in a way that nothing else repairs.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  synth local reset --env sandbox && synth deploy --env sandbox")]
struct ResetArgs {}

/// Keep the local platform running; started by the other commands
///
/// Runs in the foreground until it is told to end.
/// Not meant to be typed.
#[derive(Args, Debug)]
#[command(hide = true)]
struct SupervisorArgs {
    /// The checkout's root
    #[arg(long, value_name = "DIR")]
    checkout: PathBuf,
}

pub(super) fn run(ui: &Ui, environments: &[String], arguments: &LocalArgs) -> Ended {
    if let LocalCommand::Supervise(SupervisorArgs { checkout }) = &arguments.command {
        return supervise(environments, checkout.clone());
    }
    let checkout = Checkout::find()?;
    let environment = checkout.environment(environments)?;
    if !environment.is_local() {
        let name = environment.environment_name();
        return Err(Error::usage(format!("environment `{name}` is on AWS and has no local platform"))
            .hint("name a local one: `--env sandbox`"));
    }
    let (root, name) = (checkout.root(), environment.environment_name());
    match &arguments.command {
        LocalCommand::Up(UpArgs {}) => {
            let ports = fixed_ports(&environment)?;
            show(ui, &wait_for(local::up(ui, root, name, ports))?);
        }
        LocalCommand::Reset(ResetArgs {}) => {
            let ports = fixed_ports(&environment)?;
            show(ui, &wait_for(local::reset(ui, root, name, ports))?);
        }
        LocalCommand::Down(DownArgs {}) => {
            let ended = wait_for(local::down(ui, root, name))?;
            if ui.is_json() {
                ui.json(&serde_json::json!({ "environment": name, "ended_processes": ended }));
            } else if ended == 0 {
                ui.answer("the local platform was not running");
            } else {
                ui.answer(&format!("the local platform is down, {ended} processes ended"));
            }
        }
        LocalCommand::Logs(_) if ui.is_json() => {
            return Err(Error::usage("logs are lines of text and have no JSON form")
                .hint("leave out `--format json`; `synth status --format json` tells how the processes are"));
        }
        LocalCommand::Logs(LogsArgs { process, follow, lines }) => {
            wait_for(local::logs(ui, root, name, process.as_deref(), *follow, *lines))?;
        }
        LocalCommand::Supervise(_) => unreachable!("the supervisor was started above"),
    }
    Ok(exit_code::DONE)
}

/// The ports that the environment's file and the process environment ask for.
pub(super) fn fixed_ports(environment: &Environment) -> Result<FixedPorts, Error> {
    let fixed = environment.local();
    let ports = FixedPorts {
        emulator: fixed.emulator_port,
        kafka: fixed.kafka_port,
        schema_registry: fixed.schema_registry_port,
        consumer: fixed.consumer_port,
    };
    Ok(ports.overridden_by(|variable| std::env::var(variable).ok())?)
}

fn show(ui: &Ui, platform: &local::Platform) {
    let places = [
        ("aws", &platform.endpoint_url),
        ("kafka", &platform.kafka_brokers),
        ("schema_registry", &platform.schema_registry_url),
    ];
    if ui.is_json() {
        ui.json(&places.into_iter().collect::<std::collections::BTreeMap<_, _>>());
    } else {
        for (name, place) in places {
            ui.answer(&format!("{name:<16}{place}"));
        }
    }
}

/// The environment is only a name here: its file may be broken while the platform runs on.
fn supervise(environments: &[String], checkout: PathBuf) -> Ended {
    let [environment] = environments else {
        return Err(Error::usage("a supervisor keeps one environment").hint("name it: `--env sandbox`"));
    };
    wait_for(local::supervise(&SuperviseArgs { checkout, environment: environment.clone() }))?;
    Ok(exit_code::DONE)
}
