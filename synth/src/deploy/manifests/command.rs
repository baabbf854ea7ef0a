//! What `synth kubernetes` does: the same comparison and application as in a deployment, of the clusters alone.

use std::path::PathBuf;
use std::time::Duration;

use contracts::Region;
use futures::future::{join_all, try_join_all};
use infra::environment::Environment;
use infra::kubernetes::{CLUSTER_STACK, Folder};

use super::follow::{applied, holds, lines, refuse_conflicts};
use super::look::{Found, Look, looks};
use super::reach::Reach;
use super::report::RegionResult;
use super::{Options, connect};
use crate::deploy::cloud::{StackRef, Stacks as _};
use crate::deploy::inputs::Outputs;
use crate::deploy::outcome::call_error;
use crate::deploy::pins::PlanFile;
use crate::deploy::sdk::{Clouds, Endpoint};
use crate::deploy::system::StackKey;
use crate::deploy::{alone, lock::DeployLock};
use crate::error::Error;
use crate::ui::Ui;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The checkout's root folder.
    pub(crate) checkout: PathBuf,
    /// Only these regions; all when none is given.
    pub(crate) regions: Vec<String>,
    /// In the order in which they are applied.
    pub(crate) folders: Vec<Folder>,
    /// How the cluster is reached, if not by AWS.
    pub(crate) kubeconfig: Option<Kubeconfig>,
    pub(crate) options: Options,
}

/// A cluster that is reached in another way.
#[derive(Clone, Debug)]
pub(crate) struct Kubeconfig {
    /// None: what `KUBECONFIG` names, or the user's own.
    pub(crate) file: Option<PathBuf>,
    /// None: the current one.
    pub(crate) context: Option<String>,
}

/// How to apply.
#[derive(Clone, Debug)]
pub(crate) struct How {
    pub(crate) assume_yes: bool,
    /// A reviewed plan, to be carried out or nothing.
    pub(crate) plan: Option<PathBuf>,
    /// How long to wait while another run changes the environment.
    pub(crate) wait: Duration,
}

/// Clusters, and the way to them.
struct Ways<'a> {
    reach: Reach,
    outputs: Outputs,
    regions: Vec<&'a Region>,
    clouds: Option<Clouds>,
}

/// Looks at the folders.
///
/// # Errors
/// There is no such region, or no credentials. That a cluster can't be asked is part of the answer.
pub(crate) async fn compare(environment: &Environment, request: &Request) -> Result<Vec<Look>, Error> {
    let ways = ways(environment, request).await?;
    let mut found = Vec::new();
    for folder in &request.folders {
        found.extend(look(environment, request, &ways, *folder, &ways.regions).await?);
    }
    Ok(found)
}

/// Looks at the folders, asks, and applies them, wave by wave.
///
/// # Errors
/// As [`compare`]; nobody agreed; the plan is stale; or something failed.
pub(crate) async fn apply(
    ui: &Ui,
    environment: &Environment,
    request: &Request,
    how: &How,
) -> Result<Vec<RegionResult>, Error> {
    let name = environment.environment_name();
    let _lock = DeployLock::take(ui, &request.checkout, name, "kubernetes apply", how.wait).await?;
    let (name, account) = (environment.environment_name(), environment.account().as_str());
    let plan = how.plan.as_deref().map(|path| PlanFile::read(path, name, account)).transpose()?;
    let ways = ways(environment, request).await?;
    let work = async {
        let mut results = Vec::new();
        for folder in &request.folders {
            // Each after the other is done: the second needs what the first makes.
            results.extend(folder_applied(ui, environment, request, &ways, *folder, how, plan.as_ref()).await?);
        }
        Ok(results)
    };
    match &ways.clouds {
        Some(clouds) => alone(ui, environment, clouds, how.wait, "synth kubernetes apply", work).await,
        // Without AWS there is no place for the environment's lock.
        None => work.await,
    }
}

async fn folder_applied(
    ui: &Ui,
    environment: &Environment,
    request: &Request,
    ways: &Ways<'_>,
    folder: Folder,
    how: &How,
    plan: Option<&PlanFile>,
) -> Result<Vec<RegionResult>, Error> {
    // A plan is about what deployments apply; of the rest it says nothing.
    let plan = plan.filter(|_| folder == Folder::Consumer);
    let found = look_for(environment, request, ways, folder, &ways.regions, plan).await?;
    let is_asked = !how.assume_yes && plan.is_none() && !found.iter().all(Look::is_nothing);
    for line in found.iter().flat_map(lines) {
        // Nobody can agree to what isn't shown, so quiet doesn't count then.
        if is_asked { ui.notice(&line) } else { ui.status(&line) }
    }
    if is_asked {
        let question = format!("apply {} in `{}`?", folder.name(), environment.environment_name());
        match ui.confirm(&question).await {
            Some(true) => {}
            Some(false) => return Err(Error::refused("it was declined, nothing was changed")),
            None => {
                return Err(Error::refused("nobody can be asked to approve it, nothing was changed")
                    .hint("look at the lines above, then apply with `--yes`"));
            }
        }
    }
    let mut results = Vec::new();
    for wave in infra::waves(environment) {
        let is_now = |region: &&&Region| wave.iter().any(|id| id.region == ***region);
        let regions: Vec<&Region> = ways.regions.iter().filter(is_now).copied().collect();
        // Whoever was asked took a while, and so did the wave before.
        let now = look_for(environment, request, ways, folder, &regions, plan).await?;
        // Each region goes on to its end, whatever becomes of the others.
        let ended = join_all(now.into_iter().map(|look| applied(ui, look, &request.options))).await;
        let mut failures = Vec::new();
        for one in ended {
            match one {
                Ok(result) => results.push(result),
                Err(error) => failures.push(error),
            }
        }
        let mut failures = failures.into_iter();
        if let Some(first) = failures.next() {
            let error = failures.fold(first, |error, other| error.detail(other.render()));
            return Err(results.iter().flat_map(RegionResult::render).fold(error, Error::detail));
        }
    }
    Ok(results)
}

/// Looks at a folder in regions, and makes sure that it may be applied as it is.
async fn look_for(
    environment: &Environment,
    request: &Request,
    ways: &Ways<'_>,
    folder: Folder,
    regions: &[&Region],
    plan: Option<&PlanFile>,
) -> Result<Vec<Look>, Error> {
    let found = look(environment, request, ways, folder, regions).await?;
    if let Some(plan) = plan {
        holds(environment, plan, &found)?;
    }
    for look in &found {
        if let Found::Asked(asked) = &look.found {
            refuse_conflicts(look, asked)?;
            if folder == Folder::Consumer {
                asked.image.required(look.region.as_str())?;
            }
        }
    }
    Ok(found)
}

async fn look(
    environment: &Environment,
    request: &Request,
    ways: &Ways<'_>,
    folder: Folder,
    regions: &[&Region],
) -> Result<Vec<Look>, Error> {
    looks(&ways.reach, environment, regions, folder, &request.options, &ways.outputs).await
}

async fn ways<'a>(environment: &'a Environment, request: &Request) -> Result<Ways<'a>, Error> {
    let regions = regions(environment, &request.regions)?;
    if let Some(Kubeconfig { file, context }) = &request.kubeconfig {
        if regions.len() > 1 {
            return Err(Error::usage("a kubeconfig leads to one cluster, and the environment has several regions")
                .hint("say with `--region` which of them it is"));
        }
        let reach = Reach::by_kubeconfig(file.clone(), context.clone());
        return Ok(Ways { reach, outputs: Outputs::new(), regions, clouds: None });
    }
    let clouds = connect(environment, Endpoint::Aws).await;
    clouds.check_account(environment.account().as_str()).await?;
    let name = environment.name(CLUSTER_STACK);
    let outputs = try_join_all(regions.iter().map(async |region| {
        let stack = clouds.stack(StackRef { region: region.as_str(), name: &name }).await;
        let stack = stack.map_err(|error| call_error("what is deployed can't be read", error))?;
        let key = StackKey::new(CLUSTER_STACK, region.as_str());
        Ok::<_, Error>(stack.map(|stack| (key, stack.outputs)))
    }));
    let outputs = outputs.await?.into_iter().flatten().collect();
    Ok(Ways { reach: Reach::by_stacks(&clouds, environment)?, outputs, regions, clouds: Some(clouds) })
}

fn regions<'a>(environment: &'a Environment, named: &[String]) -> Result<Vec<&'a Region>, Error> {
    let known: Vec<&Region> = environment.regions().collect();
    if let Some(wrong) = named.iter().find(|name| !known.iter().any(|region| region.as_str() == name.as_str())) {
        let known: Vec<&str> = known.iter().map(|region| region.as_str()).collect();
        return Err(Error::usage(format!("the environment has no region `{wrong}`"))
            .hint(format!("its regions are {}", known.join(", "))));
    }
    let is_meant = |region: &&Region| named.is_empty() || named.iter().any(|name| name == region.as_str());
    Ok(known.into_iter().filter(is_meant).collect())
}
