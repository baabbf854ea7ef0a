//! The commands, one module each: its arguments, and one function that does it.

mod breaker;
mod build;
mod cancel;
mod check;
mod checkout;
mod deploy;
mod destroy;
mod diff;
mod doctor;
mod drift;
mod generate;
mod graph;
mod kubernetes;
mod list;
mod local;
mod parity;
mod redrive;
mod roles;
mod smoke;
mod status;
mod sweep;
mod synth;
mod watch;

use std::future::Future;

use clap::Subcommand;

use crate::error::Error;
use crate::ui::Ui;

pub(crate) use checkout::Checkout;

/// How a command ended: its exit code, see [`crate::exit_code`].
pub(crate) type Ended = Result<u8, Error>;

/// What the tool can do; each command's help stands on its arguments.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    List(list::ListArgs),
    Synth(synth::SynthArgs),
    Check(check::CheckArgs),
    Roles(roles::RolesArgs),
    Parity(parity::ParityArgs),
    Graph(graph::GraphArgs),
    Diff(diff::DiffArgs),
    Build(build::BuildArgs),
    Deploy(deploy::DeployArgs),
    Watch(watch::WatchArgs),
    Cancel(cancel::CancelArgs),
    Status(status::StatusArgs),
    Drift(drift::DriftArgs),
    Destroy(destroy::DestroyArgs),
    Kubernetes(kubernetes::KubernetesArgs),
    Smoke(smoke::SmokeArgs),
    Generate(generate::GenerateArgs),
    Redrive(redrive::RedriveArgs),
    Breaker(breaker::BreakerArgs),
    Sweep(sweep::SweepArgs),
    Local(local::LocalArgs),
    Doctor(doctor::DoctorArgs),
}

impl Command {
    /// The environments that are meant: those that were named, or else the one that the process's environment names.
    /// Without any, the command has a default of its own.
    ///
    /// `check` looks at all unless it is told otherwise on its own line: a variable that was set for another command
    /// must not make it blind.
    pub(crate) fn environments(&self, named: Vec<String>, variable: Option<String>) -> Vec<String> {
        if !named.is_empty() || matches!(self, Self::Check(_)) {
            return named;
        }
        variable.into_iter().filter(|name| !name.is_empty()).collect()
    }

    /// Whether its answer can be Markdown.
    pub(crate) fn writes_markdown(&self) -> bool {
        match self {
            Self::Diff(_) | Self::Drift(_) => true,
            Self::Kubernetes(arguments) => arguments.writes_markdown(),
            _ => false,
        }
    }

    /// Does what was asked for, in the environments that were named.
    ///
    /// # Errors
    /// See the command.
    pub(crate) fn run(&self, ui: &Ui, environments: &[String]) -> Ended {
        match self {
            Self::List(arguments) => list::run(ui, environments, arguments),
            Self::Synth(arguments) => synth::run(ui, environments, arguments),
            Self::Check(arguments) => check::run(ui, environments, arguments),
            Self::Roles(arguments) => roles::run(ui, environments, arguments),
            Self::Parity(arguments) => parity::run(ui, environments, arguments),
            Self::Graph(arguments) => graph::run(ui, environments, arguments),
            Self::Diff(arguments) => diff::run(ui, environments, arguments),
            Self::Build(arguments) => build::run(ui, arguments),
            Self::Deploy(arguments) => deploy::run(ui, environments, arguments),
            Self::Watch(arguments) => watch::run(ui, environments, arguments),
            Self::Cancel(arguments) => cancel::run(ui, environments, arguments),
            Self::Status(arguments) => status::run(ui, environments, arguments),
            Self::Drift(arguments) => drift::run(ui, environments, arguments),
            Self::Kubernetes(arguments) => kubernetes::run(ui, environments, arguments),
            Self::Destroy(arguments) => destroy::run(ui, environments, arguments),
            Self::Smoke(arguments) => smoke::run(ui, environments, arguments),
            Self::Generate(arguments) => generate::run(ui, environments, arguments),
            Self::Redrive(arguments) => redrive::run(ui, environments, arguments),
            Self::Breaker(arguments) => breaker::run(ui, environments, arguments),
            Self::Sweep(arguments) => sweep::run(ui, environments, arguments),
            Self::Local(arguments) => local::run(ui, environments, arguments),
            Self::Doctor(arguments) => doctor::run(ui, environments, arguments),
        }
    }
}

/// Runs the part of a command that waits for others.
fn wait_for<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime =
        runtime.map_err(|error| Error::internal("cannot start the threads for network calls").caused_by(error))?;
    let outcome = runtime.block_on(work);
    // Nobody waits for an answer that isn't wanted any more.
    runtime.shutdown_background();
    outcome
}

/// Gives the answer: one document for programs, lines for people.
fn answer(ui: &Ui, document: &impl serde::Serialize, lines: impl FnOnce() -> Vec<String>) {
    if ui.is_json() {
        ui.json(document);
    } else {
        ui.answer(&lines().join("\n"));
    }
}
