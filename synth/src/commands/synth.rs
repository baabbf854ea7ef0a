//! `synth synth`

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use infra::System;
use infra::environment::Environment;
use serde::{Deserialize, Serialize};

use super::check::Findings;
use super::{Checkout, Ended};
use crate::error::Error;
use crate::exit_code;
use crate::ui::Ui;

/// The list of an environment's files, beside its regions' folders.
const MANIFEST: &str = "manifest.json";

/// Write the CloudFormation templates and Kubernetes manifests of an environment
///
/// Writes `synth.out/<environment>/<region>/<stack>.json`, manifests with a `kustomization.yaml` under
/// `<region>/kubernetes/`, and dashboards and alert rules under `<environment>/`.
/// The same checkout always gives the same bytes. Files of stacks that are no more are removed. With `--check` nothing is written when a rule is broken.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  synth synth --env all --check")]
pub(crate) struct SynthArgs {
    /// Folder to write to [default: synth.out in the checkout]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// Run every rule before
    #[arg(long)]
    check: bool,
}

#[derive(Serialize)]
struct Answer {
    out: PathBuf,
    environments: Vec<Manifest>,
}

/// What was written for one environment; also tells the next run what it may remove.
#[derive(Deserialize, Serialize)]
struct Manifest {
    environment: String,
    templates: Vec<TemplateFile>,
    /// Manifests, dashboards and alert rules.
    #[serde(default)]
    files: Vec<String>,
}

impl Manifest {
    fn all_files(&self) -> impl Iterator<Item = &str> {
        self.templates.iter().map(|template| template.file.as_str()).chain(self.files.iter().map(String::as_str))
    }
}

#[derive(Deserialize, Serialize)]
struct TemplateFile {
    stack: String,
    region: String,
    name: String,
    file: String,
    depends_on: Vec<String>,
}

pub(super) fn run(ui: &Ui, environments: &[String], arguments: &SynthArgs) -> Ended {
    let checkout = Checkout::find()?;
    let environments = checkout.environments(environments)?;
    // Manifests and dashboards don't depend on the stacks: another processor makes them meanwhile.
    let (systems, others) = std::thread::scope(|scope| {
        let others = scope.spawn(|| environments.iter().map(other_files).collect::<Vec<_>>());
        let systems: Vec<_> =
            environments.iter().map(|environment| (environment, infra::system(environment))).collect();
        (systems, others.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    if arguments.check {
        let findings = Findings::of(&checkout, &systems)?;
        findings.refusal()?;
        ui.status(&findings.summary());
    }
    let out = arguments.out.clone().unwrap_or_else(|| checkout.root().join("synth.out"));
    let written =
        systems.iter().zip(&others).map(|((environment, system), others)| write(&out, environment, system, others));
    let written = written.collect::<Result<Vec<Manifest>, Error>>()?;
    // The process is about to end: to free a hundred thousand small values one by one would only take time.
    std::mem::forget((systems, others));
    if ui.is_json() {
        ui.json(&Answer { out, environments: written });
    } else {
        let shown = arguments.out.as_deref().unwrap_or(Path::new("synth.out"));
        let files = written.iter().flat_map(Manifest::all_files);
        ui.answer(&files.map(|file| shown.join(file).display().to_string()).collect::<Vec<_>>().join("\n"));
    }
    Ok(exit_code::DONE)
}

/// Writes the files of one environment and removes those that an earlier run wrote and this one didn't.
fn write(
    out: &Path,
    environment: &Environment,
    system: &System,
    others: &[(String, String)],
) -> Result<Manifest, Error> {
    let name = environment.environment_name();
    let mut templates = Vec::new();
    for stack in &system.stacks {
        let file = format!("{name}/{}/{}.json", stack.id.region, stack.id.name);
        replace(&out.join(&file), stack.template.render().as_bytes())?;
        templates.push(TemplateFile {
            stack: stack.id.name.to_owned(),
            region: stack.id.region.to_string(),
            name: stack.cloudformation_name.clone(),
            file,
            depends_on: stack.depends_on.iter().map(ToString::to_string).collect(),
        });
    }
    let mut files = Vec::new();
    for (file, text) in others {
        let file = format!("{name}/{file}");
        replace(&out.join(&file), text.as_bytes())?;
        files.push(file);
    }
    let manifest = Manifest { environment: name.to_owned(), templates, files };
    let path = out.join(name).join(MANIFEST);
    remove_old(out, &path, &manifest)?;
    let text = serde_json::to_string_pretty(&manifest)
        .map_err(|error| Error::internal("the list of templates has no JSON form").caused_by(error))?;
    replace(&path, format!("{text}\n").as_bytes())?;
    Ok(manifest)
}

/// What is no template: path below the environment's folder, text.
fn other_files(environment: &Environment) -> Vec<(String, String)> {
    let manifests = environment.regions().flat_map(|region| {
        let files = infra::kubernetes::files(environment, region);
        files.into_iter().map(move |(file, text)| (format!("{region}/kubernetes/{file}"), text))
    });
    manifests.chain(infra::dashboards::files(environment)).collect()
}

/// Writes a file unless it has these bytes already, so that nothing that watches it wakes up in vain.
fn replace(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |error: io::Error| Error::configuration(format!("cannot write `{}`", path.display())).caused_by(error);
    if fs::read(path).is_ok_and(|found| found == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    fs::write(path, bytes).map_err(failed)
}

/// Removes only what the earlier run's list names inside the environment's folder: the folder may hold other things.
fn remove_old(out: &Path, manifest_path: &Path, manifest: &Manifest) -> Result<(), Error> {
    let earlier = fs::read(manifest_path).ok().and_then(|bytes| serde_json::from_slice::<Manifest>(&bytes).ok());
    let kept: BTreeSet<&str> = manifest.all_files().collect();
    for file in earlier.iter().flat_map(Manifest::all_files) {
        let path = Path::new(file);
        let inside = path.starts_with(&manifest.environment) && path.components().count() > 2;
        let plain = path.components().all(|part| matches!(part, std::path::Component::Normal(_)));
        if !inside || !plain || kept.contains(file) {
            continue;
        }
        match fs::remove_file(out.join(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                let message = format!("cannot remove `{}`", out.join(path).display());
                return Err(Error::configuration(message).caused_by(error));
            }
            _ => {}
        }
    }
    Ok(())
}
