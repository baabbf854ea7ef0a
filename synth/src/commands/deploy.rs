//! `synth deploy`

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::{Checkout, Ended, local, wait_for};
use crate::deploy::{self, Consent, ImageDigest, ManifestOptions, Options, Selection};
use crate::exit_code;
use crate::ui::Ui;

/// Deploy an environment: plan, ask, apply, verify
///
/// A local environment starts its platform first and asks nothing; on AWS the plan is shown and asked for.
/// There, what runs in a region's cluster is applied when the region's stacks are done, and the next wave waits until it works.
/// Stacks that are as they should be are left alone, and a deployment that was killed is carried on by the next.
#[derive(Args, Debug)]
#[command(after_help = "Example:
  synth deploy --env sandbox
  synth deploy --env staging --stack events --region us-east-1
  synth deploy --env staging --image sha256:0a1b…")]
pub(crate) struct DeployArgs {
    /// Don't ask before AWS is changed
    #[arg(long, short)]
    yes: bool,

    /// How long to wait while another run changes the environment, such as `90s` or `1h`
    #[arg(long, value_name = "DURATION", default_value = "15m", value_parser = duration)]
    wait: Duration,

    /// Deploy the functions that `synth build` packed into this folder, instead of building them
    #[arg(long, value_name = "FOLDER")]
    from_artifacts: Option<PathBuf>,

    /// Carry out this plan of `synth diff --out`, or nothing when anything has moved since
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,

    /// Agree that what a resource holds or is known by may be lost, and say why: `Orders:moved`, or of one stack
    /// `data@us-west-2/Orders:moved`; may be given several times
    #[arg(long, value_name = "RESOURCE:REASON")]
    allow: Vec<Consent>,

    /// The consumer's image, by its digest: `sha256:…`, which the region's registry must have [default: the one that runs]
    #[arg(long, value_name = "DIGEST")]
    image: Option<ImageDigest>,

    /// Leave the clusters alone: stacks only
    #[arg(long)]
    skip_manifests: bool,

    /// Take fields of this object in the clusters over from whoever owns them, or of `all`; may be given several times
    #[arg(long, value_name = "KIND/NAME")]
    take_over: Vec<String>,

    /// Only stacks of this name, and no manifests; may be given several times
    #[arg(long, value_name = "STACK")]
    stack: Vec<String>,

    /// Only stacks in this region; may be given several times
    #[arg(long, value_name = "REGION")]
    region: Vec<String>,

    /// Write the timeline to this file too, and the record it is made from beside it, with the ending `.json`
    #[arg(long, value_name = "FILE.html", value_parser = page)]
    timeline: Option<PathBuf>,
}

pub(super) fn run(ui: &Ui, environments: &[String], arguments: &DeployArgs) -> Ended {
    let checkout = Checkout::find()?;
    let environment = checkout.deployable_environment(environments)?;
    let DeployArgs {
        yes,
        wait,
        from_artifacts,
        plan,
        allow,
        image,
        skip_manifests,
        take_over,
        stack,
        region,
        timeline,
    } = arguments;
    let options = Options {
        checkout: checkout.root().to_owned(),
        assume_yes: *yes,
        wait: *wait,
        from_artifacts: from_artifacts.clone(),
        plan: plan.clone(),
        consents: allow.clone(),
        selection: Selection { stacks: stack.clone(), regions: region.clone() },
        manifests: ManifestOptions {
            skip: *skip_manifests,
            image: image.clone(),
            take_over: take_over.clone(),
            ..ManifestOptions::default()
        },
        ports: local::fixed_ports(&environment)?,
        timeline: timeline.clone(),
    };
    let outcome = wait_for(deploy::run(ui, &environment, &options))?;
    if ui.is_json() {
        ui.json(&outcome);
    } else {
        ui.answer(&outcome.render().join("\n"));
    }
    Ok(exit_code::DONE)
}

fn page(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    match path.extension() {
        Some(ending) if ending == "html" => Ok(path),
        _ => Err("the timeline is a page, so its name ends in `.html`".to_owned()),
    }
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    contracts::duration::parse(text).map_err(|hint| hint.to_string())
}
