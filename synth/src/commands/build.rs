//! `synth build`

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::{Checkout, Ended, answer, wait_for};
use crate::artifacts::{self, Artifacts, Target, bundle};
use crate::doctor::{self, Needs};
use crate::error::Error;
use crate::exit_code;
use crate::ui::{Ui, table};

/// Build the functions for AWS and pack them into a folder
///
/// `synth deploy --from-artifacts` deploys that folder, so that one build goes through all environments.
/// The same sources, toolchain and path of the checkout give the same bytes.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  synth build --out artifacts\n  synth deploy --env staging --from-artifacts artifacts"
)]
pub(crate) struct BuildArgs {
    /// Folder for the zips and their manifest
    #[arg(long, value_name = "FOLDER", default_value = "synth.out/artifacts")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Packed {
    folder: PathBuf,
    functions: Vec<PackedFunction>,
}

#[derive(Serialize)]
struct PackedFunction {
    program: String,
    file: String,
    bytes: u64,
}

pub(super) fn run(ui: &Ui, arguments: &BuildArgs) -> Ended {
    let checkout = Checkout::find()?;
    doctor::require(&doctor::check(Needs::Build))?;
    let built = wait_for(artifacts::build(ui, checkout.root(), Target::Lambda))?;
    let folder = crate::local::state_root(checkout.root()).join("artifacts");
    let failed = || Error::configuration("the functions can't be packed");
    let artifacts = Artifacts::pack(&built, &folder).map_err(|error| failed().caused_by(error))?;
    bundle::write(&artifacts, &arguments.out).map_err(|error| failed().caused_by(error))?;
    artifacts.remove_others();
    let functions = artifacts.iter().map(|artifact| PackedFunction {
        program: artifact.program.clone(),
        file: artifact.key.clone(),
        bytes: artifact.size,
    });
    let packed = Packed { folder: arguments.out.clone(), functions: functions.collect() };
    answer(ui, &packed, || {
        let mut rows = vec![["function", "bytes", "file"].map(str::to_owned).to_vec()];
        rows.extend(
            packed
                .functions
                .iter()
                .map(|function| vec![function.program.clone(), function.bytes.to_string(), function.file.clone()]),
        );
        let mut lines = table(&rows);
        lines.push(format!("packed into {}", packed.folder.display()));
        lines
    });
    Ok(exit_code::DONE)
}
