//! `synth kubernetes`

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use diff::Diff;
use infra::environment::Environment;

use super::{Checkout, Ended, answer, diff as shown, wait_for};
use crate::deploy::manifests::command::{self, How, Kubeconfig, Request};
use crate::deploy::manifests::{self, RegionResult};
use crate::deploy::{ImageDigest, ManifestOptions};
use crate::error::Error;
use crate::exit_code;
use crate::ui::Ui;

/// Compare and apply what runs in the clusters, without the stacks
///
/// A region's manifests are two folders: `bootstrap` limits what deployments may do, so an administrator applies it, once and
/// whenever it changes; `consumer` is what deployments apply. `synth deploy` applies `consumer` by itself.
/// Applied is what differs, by server-side apply: fields that others own are named and not taken.
/// The local platform has no cluster, because the consumer runs there as a process.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  synth kubernetes diff --env staging --region us-west-2
  synth kubernetes apply --env staging --folder bootstrap
  synth kubernetes apply --env production --folder consumer --image sha256:0a1b…")]
pub(crate) struct KubernetesArgs {
    #[command(subcommand)]
    command: KubernetesCommand,
}

impl KubernetesArgs {
    /// Whether its answer can be Markdown.
    pub(super) fn writes_markdown(&self) -> bool {
        matches!(self.command, KubernetesCommand::Diff(_))
    }
}

#[derive(Debug, Subcommand)]
enum KubernetesCommand {
    Apply(ApplyArgs),
    Diff(DiffArgs),
}

/// Apply manifests: compare, ask, write what differs, wait until it works, prune
///
/// Waits for each rollout, and says of one that stands still what its pods say. What was applied earlier and isn't wanted
/// any more goes, unless somebody else has it now. Can be repeated: what is as it should be is not written.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  synth kubernetes apply --env staging --folder bootstrap
  synth kubernetes apply --env production --image sha256:0a1b… --take-over Deployment/consumer
  synth kubernetes apply --env staging --region us-west-2 --kubeconfig ./kubeconfig --folder bootstrap")]
struct ApplyArgs {
    #[command(flatten)]
    what: WhatArgs,

    /// Don't ask before anything is changed
    #[arg(long, short)]
    yes: bool,

    /// Carry out this plan of `synth diff --out`, or nothing when anything has moved since; it is about `consumer` alone
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,

    /// How long something may stand still before it is given up, such as `90s` [default: as long as its kind usually takes]
    #[arg(long, value_name = "DURATION", value_parser = super::deploy::duration)]
    patience: Option<Duration>,

    /// How long to wait while another run changes the environment, such as `90s` or `1h`
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = super::deploy::duration)]
    wait: Duration,
}

/// Show what an application would change, without changing anything
///
/// Asks the cluster by dry runs, and shows what changes in fields that the manifests set; what others own and what the cluster
/// fills in doesn't count. Who may only read sees what reading shows. Values of secrets are never shown.
#[derive(Args, Debug)]
#[command(after_help = "Exit codes:
  0  nothing changes
  2  something changes
  3  something is removed
  4  more is permitted or reachable, or that can't be told

Example:
  synth kubernetes diff --env production --format json")]
struct DiffArgs {
    #[command(flatten)]
    what: WhatArgs,
}

#[derive(Args, Debug)]
struct WhatArgs {
    /// Only clusters in this region; may be given several times
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,

    /// Only this folder [default: both]
    #[arg(long, value_name = "FOLDER", value_enum)]
    folder: Option<Folder>,

    /// The consumer's image, by its digest: `sha256:…` [default: the one that runs]
    #[arg(long, value_name = "DIGEST")]
    image: Option<ImageDigest>,

    /// Take fields of this object over from whoever owns them, or of `all`; may be given several times
    #[arg(long, value_name = "KIND/NAME")]
    take_over: Vec<String>,

    /// Agree that this namespace or definition of a kind is pruned with everything in it; may be given several times
    #[arg(long, value_name = "KIND/NAME")]
    prune: Vec<String>,

    /// Reach the cluster by this file, instead of AWS's credentials and what the stack `cluster` says
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,

    /// Reach the cluster by this context of the kubeconfig: of `--kubeconfig`, or of `KUBECONFIG`, or the user's own
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Folder {
    Bootstrap,
    Consumer,
}

impl WhatArgs {
    fn request(&self, checkout: &Checkout, patience: Option<Duration>) -> Request {
        use infra::kubernetes::Folder as Known;
        let is_by_kubeconfig = self.kubeconfig.is_some() || self.context.is_some();
        Request {
            checkout: checkout.root().to_owned(),
            regions: self.region.clone(),
            folders: match self.folder {
                None => Known::ALL.to_vec(),
                Some(Folder::Bootstrap) => vec![Known::Bootstrap],
                Some(Folder::Consumer) => vec![Known::Consumer],
            },
            kubeconfig: is_by_kubeconfig
                .then(|| Kubeconfig { file: self.kubeconfig.clone(), context: self.context.clone() }),
            options: ManifestOptions {
                skip: false,
                image: self.image.clone(),
                take_over: self.take_over.clone(),
                prune: self.prune.clone(),
                patience,
            },
        }
    }

    fn environment(&self, checkout: &Checkout, environments: &[String]) -> Result<Environment, Error> {
        // A cluster that is named by itself needs no account.
        let environment = match self.kubeconfig.is_some() || self.context.is_some() {
            true => checkout.environment(environments)?,
            false if checkout.environment(environments)?.is_local() => checkout.environment(environments)?,
            false => checkout.deployable_environment(environments)?,
        };
        if environment.is_local() {
            let name = environment.environment_name();
            return Err(Error::usage(format!("`{name}` runs on the local platform, which has no cluster"))
                .hint("name an environment on AWS: `--env staging`"));
        }
        Ok(environment)
    }
}

pub(super) fn run(ui: &Ui, environments: &[String], arguments: &KubernetesArgs) -> Ended {
    let checkout = Checkout::find()?;
    match &arguments.command {
        KubernetesCommand::Apply(arguments) => {
            let ApplyArgs { what, yes, plan, patience, wait } = arguments;
            let environment = what.environment(&checkout, environments)?;
            let request = what.request(&checkout, *patience);
            let how = How { assume_yes: *yes, plan: plan.clone(), wait: *wait };
            let results = wait_for(command::apply(ui, &environment, &request, &how))?;
            answer(ui, &results, || results.iter().flat_map(RegionResult::render).collect());
            Ok(exit_code::DONE)
        }
        KubernetesCommand::Diff(arguments) => {
            let environment = arguments.what.environment(&checkout, environments)?;
            let request = arguments.what.request(&checkout, None);
            let looks = wait_for(command::compare(&environment, &request))?;
            let mut diff = Diff { stacks: manifests::stack_diffs(&looks) };
            diff.stacks.sort_by(|one, other| one.key.cmp(&other.key));
            let notes = manifests::notes(&looks);
            shown::show(
                ui,
                environment.environment_name(),
                &diff,
                "what is deployed",
                &notes,
                "the artifacts of this run",
            );
            Ok(shown::exit_code_of(&diff))
        }
    }
}
