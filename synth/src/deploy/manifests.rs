//! What runs in the clusters: compared, pinned, and applied after a region's stacks and before those of the next wave.
//!
//! [`kubernetes`] does it; here it is said what belongs to which cluster, how a cluster is reached, which image it gets, and
//! what all of that means to the rest of the tool: a part of the diff, of the plan, of the deployment's graph and of its
//! errors. The local platform has no cluster, and nothing here is done for it.

mod bundle;
pub(crate) mod command;
mod follow;
mod image;
mod look;
pub(crate) mod pins;
mod reach;
pub(crate) mod report;
mod shown;
#[cfg(test)]
mod tests;
mod token;
mod trouble;

use std::collections::BTreeSet;
use std::time::Duration;

use contracts::Region;
use infra::environment::Environment;
use infra::kubernetes::Folder;
use kubernetes::{Bundle, Chosen, Consents, Key};

use super::connect;
use super::sdk::Endpoint;
use super::survey::Surveyed;
use super::system::StackKey;
use crate::error::Error;

pub(crate) use follow::{Prepared, prepare};
pub use image::ImageDigest;
pub(crate) use look::{Look, looks};
pub(crate) use reach::Reach;
pub(crate) use report::RegionResult;
pub(crate) use shown::{notes, stack_diffs};

/// What may be chosen about manifests.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Leave the clusters alone.
    pub skip: bool,
    /// The consumer's image; nothing: the one that runs.
    pub image: Option<ImageDigest>,
    /// Whose fields may be taken from others: `Deployment/consumer`, or `all`.
    pub take_over: Vec<String>,
    /// Namespaces and definitions that may be pruned: `Namespace/old`.
    pub prune: Vec<String>,
    /// How long something may stand still; nothing: as long as its kind usually takes.
    pub patience: Option<Duration>,
}

impl Options {
    /// What was agreed to, as objects of the bundle.
    ///
    /// # Errors
    /// No object has that kind and name.
    fn consents(&self, bundle: &Bundle) -> Result<Consents, Error> {
        Ok(Consents { take_over: take_over(&self.take_over, bundle)?, prune: prune(&self.prune)? })
    }
}

fn take_over(named: &[String], bundle: &Bundle) -> Result<Chosen, Error> {
    if named.iter().any(|name| name == "all") {
        return Ok(Chosen::All);
    }
    let short = |key: &Key| format!("{}/{}", key.kind, key.name);
    let known = || bundle.wanted().iter().map(|wanted| wanted.object.key());
    // A name that another region or folder has is no mistake here, so only its form can be wrong.
    let chosen: BTreeSet<Key> = known().filter(|key| named.contains(&short(key))).cloned().collect();
    if let Some(wrong) = named.iter().find(|name| name.split('/').count() != 2) {
        let known: Vec<String> = known().map(short).collect();
        return Err(Error::usage(format!("`{wrong}` names no object"))
            .hint(format!("write kind and name, or `all`; there are {}", known.join(", "))));
    }
    Ok(Chosen::These(chosen))
}

fn prune(named: &[String]) -> Result<Chosen, Error> {
    let key = |name: &String| match name.split_once('/') {
        Some(("Namespace", name)) => Ok(format!("/Namespace//{name}")),
        Some(("CustomResourceDefinition", name)) => {
            Ok(format!("apiextensions.k8s.io/CustomResourceDefinition//{name}"))
        }
        _ => Err(Error::usage(format!("`{name}` needs no consent to be pruned")).hint(
            "only `Namespace/<name>` and `CustomResourceDefinition/<name>` do: everything in them goes with them",
        )),
    };
    let keys = named.iter().map(|name| key(name)?.parse().map_err(|error| Error::usage("no object").caused_by(error)));
    keys.collect::<Result<_, Error>>().map(Chosen::These)
}

/// What deployments apply, beside what is in the clusters of stacks that were surveyed.
///
/// # Errors
/// There are no credentials to ask with. That a cluster can't be asked is part of the answer.
pub(crate) async fn compared(
    environment: &Environment,
    surveyed: &[Surveyed],
    options: &Options,
) -> Result<Vec<Look>, Error> {
    if environment.is_local() || options.skip {
        return Ok(Vec::new());
    }
    let clouds = connect(environment, Endpoint::Aws).await;
    let outputs = surveyed
        .iter()
        .filter_map(|one| Some((one.stack.key.clone(), one.deployed.as_ref()?.observed.outputs.clone())))
        .collect();
    let regions: Vec<&Region> = environment.regions().collect();
    let reach = Reach::by_stacks(&clouds, environment)?;
    looks(&reach, environment, &regions, Folder::Consumer, options, &outputs).await
}

/// What a folder is called where stacks are: `manifests@us-west-2`.
pub(crate) fn key(folder: Folder, region: &str) -> StackKey {
    let name = match folder {
        Folder::Bootstrap => "bootstrap",
        Folder::Consumer => "manifests",
    };
    StackKey::new(name, region)
}
