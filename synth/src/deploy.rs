//! Deploys the environment's stacks, tells how they stand, takes them down.
//!
//! A deployment goes through phases, each of which consumes the one before: drafted (what should be), planned (what
//! that means for what is), approved, applied. Nothing is remembered between runs: each reads what is deployed, so a
//! run that was killed anywhere is carried on by starting another. On AWS and on the local platform the same code
//! makes the same calls; the local platform adds topics and the consumer, see [`run`].
//!
//! Building is [`crate::artifacts`]' matter, starting the platform [`crate::local`]'s, and the command line speaks
//! through [`Options`] only.

mod apply;
pub mod cancel;
mod change_set;
mod changes;
mod cloud;
pub mod destroy;
mod draft;
pub mod drift;
mod estimate;
mod failure;
mod follow;
mod graph;
pub(crate) mod guard;
mod hints;
mod history;
mod inputs;
mod interrupt;
mod lease;
mod lock;
pub(crate) mod manifests;
mod outcome;
pub(crate) mod pins;
mod plan;
mod platform;
mod progress;
mod revision;
mod running;
mod sdk;
pub mod status;
mod steps;
pub(crate) mod survey;
pub mod system;
mod timeline;
mod times;
mod verify;
pub mod watch;
mod way_out;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod story;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::time::Duration;

use programs::FUNCTIONS;

use infra::environment::{Environment, Target as EnvironmentTarget};

use crate::artifacts::{self, Artifacts, Built, CONSUMER, Target, bundle};
use crate::doctor::{self, Needs};
use crate::error::{Error, Kind};
use crate::local::{self, ConsumerChange, FixedPorts, Platform};
use crate::ui::Ui;
use apply::{Applied, Rules};
use cloud::{StackRef, Stacks as _};
use history::History;
use interrupt::until_asked_to_end;
use lease::Lease;
use lock::DeployLock;
use pins::PlanFile;
use plan::{Action, Approved, Drafted, Planned, Seen};
use progress::{Board, Both, Expectation};
use timeline::record::{RunResult, StepKind, Trouble};
use timeline::{Ending, Recorder};
use times::Times;

pub use changes::Changes;
pub use cloud::{Change, ChangeKind, Fault, Status};
pub use draft::{Missing, Selection, stacks_of};
pub use failure::{FailedResource, RootCause};
pub use guard::Consent;
pub use manifests::ImageDigest;
pub use manifests::Options as ManifestOptions;
pub use outcome::{Outcome, StackResult};
pub use running::StackEnd;
pub(crate) use sdk::describe;
pub use sdk::{Clouds, Endpoint};
pub use times::{StackTime, StepTime};
pub use verify::{FunctionCode, IdleMapping};

/// How to deploy.
#[derive(Clone, Debug)]
pub struct Options {
    /// The checkout's root folder.
    pub checkout: PathBuf,
    /// Don't ask before AWS is changed.
    pub assume_yes: bool,
    /// Where packed functions are, when they aren't to be built.
    pub from_artifacts: Option<PathBuf>,
    /// How long to wait while another run changes the environment.
    pub wait: Duration,
    /// A reviewed plan, to be carried out or nothing.
    pub plan: Option<PathBuf>,
    /// What may be destroyed, and why.
    pub consents: Vec<Consent>,
    /// Which stacks to deploy.
    pub selection: Selection,
    /// What to do about the clusters.
    pub manifests: ManifestOptions,
    /// Ports that the local platform must use, when that is the target.
    pub ports: FixedPorts,
    /// Where the timeline goes besides the state folder.
    pub timeline: Option<PathBuf>,
}

/// What every part of a deployment has at hand.
#[derive(Clone, Copy)]
struct Run<'a> {
    ui: &'a Ui,
    recorder: &'a Recorder,
    /// How long things took before.
    history: &'a History,
}

/// Deploys the environment: builds, plans, asks (on AWS), applies, verifies.
///
/// With the local target it first starts the platform, and at the end makes the topics and keeps the consumer running;
/// a deployment of selected stacks leaves the consumer alone.
///
/// # Errors
/// A prerequisite is missing, the plan is refused or declined, someone ended the command, or a stack failed: then all
/// others that could be deployed are, and the error names each root cause.
pub async fn run(ui: &Ui, environment: &Environment, options: &Options) -> Result<Outcome, Error> {
    let _lock = DeployLock::take(ui, &options.checkout, environment.environment_name(), "deploy", options.wait).await?;
    let drafted = stacks_of(environment)?;
    options.selection.check(&drafted)?;
    // Before anything is built: what is wrong with the file is told at once.
    let (name, account) = (environment.environment_name(), environment.account().as_str());
    let plan = options.plan.as_deref().map(|path| PlanFile::read(path, name, account)).transpose()?;
    let state = local::state_root(&options.checkout).join(name);
    let history = past(ui, &state);
    let recorder = Recorder::new(name, Box::new(jiff::Timestamp::now));
    let run = Run { ui, recorder: &recorder, history: &history };
    let ended = match environment.target() {
        EnvironmentTarget::Local => {
            until_asked_to_end(run_local(run, environment, options, drafted, plan.as_ref())).await
        }
        EnvironmentTarget::Aws => run_aws(run, environment, options, drafted, plan.as_ref()).await,
    };
    kept(run, &state, options, ended)
}

/// How long things took before. It only serves estimates, so a deployment never fails for it.
fn past(ui: &Ui, state: &Path) -> History {
    History::read(&History::file(state)).unwrap_or_else(|error| {
        ui.status(&format!("how long it takes can't be estimated: {error}; the file is written anew"));
        History::default()
    })
}

/// Keeps what happened when, once something has begun, and says where it is.
fn kept(run: Run<'_>, state: &Path, options: &Options, ended: Result<Outcome, Error>) -> Result<Outcome, Error> {
    let Run { ui, recorder, history } = run;
    if !recorder.has_begun() {
        return ended;
    }
    let ending = match &ended {
        Ok(outcome) if outcome.changed() => Ending::Good(RunResult::Succeeded),
        Ok(_) => Ending::Good(RunResult::Unchanged),
        Err(error) => {
            let result = if error.kind() == Kind::Interrupted { RunResult::Interrupted } else { RunResult::Failed };
            let details = error.causes().into_iter().chain(error.details().iter().cloned()).collect();
            Ending::Bad(result, Trouble { message: error.to_string(), details, hints: error.hints().to_vec() })
        }
    };
    let record = recorder.finish(ending);
    let mut history = history.clone();
    history.learn(&record);
    if let Err(error) = history.write(&History::file(state)) {
        ui.warning(&format!("how long it took can't be kept for estimates: {error}"));
    }
    let times = Times::of(&record);
    let page = match timeline::keep(&record, &state.join("timelines"), options.timeline.as_deref()) {
        Ok(page) => Some(page),
        Err(error) => {
            ui.warning(&Error::configuration("there is no timeline").caused_by(error).render());
            None
        }
    };
    match ended {
        Ok(outcome) => Ok(Outcome { times, timeline: page, ..outcome }),
        Err(error) => {
            for line in times.render() {
                ui.status(&line);
            }
            Err(match page {
                Some(page) => error.hint(format!("what happened when is in {}", page.display())),
                None => error,
            })
        }
    }
}

async fn run_aws(
    run: Run<'_>,
    environment: &Environment,
    options: &Options,
    stacks: Vec<system::Stack>,
    plan: Option<&PlanFile>,
) -> Result<Outcome, Error> {
    // An administrator who makes the roles needs no compiler for Lambda's processors.
    let runs_code = |stack: &system::Stack| options.selection.includes(&stack.key) && !stack.programs().is_empty();
    let builds = options.from_artifacts.is_none() && stacks.iter().any(runs_code);
    let needs = if builds { Needs::Aws } else { Needs::Deploy };
    doctor::require(&doctor::check(needs))?;
    let revision = revision::of_checkout(&options.checkout).await;
    let clouds = connect(environment, Endpoint::Aws).await.of_revision(revision);
    clouds.check_account(environment.account().as_str()).await?;
    // Compiling takes long and changes nothing, so nobody has to wait for it.
    let artifacts = match &options.from_artifacts {
        Some(folder) => bundle::read_all(folder, &FUNCTIONS).map_err(|error| {
            Error::configuration("the packed functions can't be deployed")
                .caused_by(error)
                .hint("pack them anew with `synth build --out <folder>`")
        })?,
        None if builds => {
            let building = artifacts::build(run.ui, &options.checkout, Target::Lambda);
            let built = run.recorder.step(StepKind::Build, building).await?;
            run.recorder.step(StepKind::Pack, packed(environment, &options.checkout, built)).await?
        }
        None => Artifacts::default(),
    };
    let work = released(run, environment, options, stacks, plan, &clouds, &artifacts);
    let mut outcome = alone(run.ui, environment, &clouds, options.wait, "synth deploy", work).await?;
    if options.from_artifacts.is_none() {
        artifacts.remove_others();
    }
    outcome.elapsed_secs = run.ui.elapsed().as_secs_f64();
    Ok(outcome)
}

/// Does something while no other run changes the environment.
async fn alone<T>(
    ui: &Ui,
    environment: &Environment,
    clouds: &Clouds,
    wait: Duration,
    command: &str,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    // Of the first deployment there is none.
    let Some(store) = lease_of(environment, clouds).await? else { return until_asked_to_end(work).await };
    let holder = lease::holder(|name| std::env::var(name).ok());
    let lease = Lease::take(ui, store, holder, command, wait).await?;
    let outcome = tokio::select! {
        outcome = until_asked_to_end(work) => outcome,
        lost = lease.lost() => Err(lost),
    };
    // The signals are taken away from the operating system, so a second one must be heard here.
    let released = until_asked_to_end(async {
        lease.release().await;
        Ok(())
    });
    match (released.await, outcome) {
        (Err(ended), Ok(_)) => Err(ended),
        (_, outcome) => outcome,
    }
}

/// The environment's lock; none before there is a bucket for it.
async fn lease_of(environment: &Environment, clouds: &Clouds) -> Result<Option<sdk::LeaseObject>, Error> {
    let home = environment.primary().as_str();
    let delivery = StackRef { region: home, name: &environment.name(system::DELIVERY_STACK) };
    let observed = clouds.stack(delivery).await;
    let observed = observed.map_err(|error| outcome::call_error("what is deployed can't be read", error))?;
    let bucket = observed.and_then(|stack| stack.outputs.get(system::BUCKET_OUTPUT).cloned());
    bucket.map(|bucket| clouds.lease(home, &bucket, environment.environment_name())).transpose()
}

/// Plans, asks, applies, verifies.
async fn released(
    run: Run<'_>,
    environment: &Environment,
    options: &Options,
    stacks: Vec<system::Stack>,
    plan: Option<&PlanFile>,
    clouds: &Clouds,
    artifacts: &Artifacts,
) -> Result<Outcome, Error> {
    let is_agreed = options.assume_yes || plan.is_some();
    let (how, selection) = (&options.manifests, &options.selection);
    let planning = async {
        let Reviewed { seen, diff, consents } = reviewed(run.ui, environment, options, &stacks, plan, clouds).await?;
        let outputs =
            seen.iter().filter_map(|(key, deployed)| Some((key.clone(), deployed.as_ref()?.observed.outputs.clone())));
        let (reach, outputs) = (manifests::Reach::by_stacks(clouds, environment)?, outputs.collect());
        let manifests = manifests::prepare(run.ui, environment, reach, how, selection, plan, &outputs).await?;
        let planned = planned(run, clouds, stacks, selection, artifacts, seen).await?;
        // A person who is asked sees the change sets; nobody else does.
        let planned = if is_agreed { no_worse(clouds, planned, &diff, &consents).await? } else { planned };
        Ok::<_, Error>((planned, manifests))
    };
    let (planned, manifests) = run.recorder.step(StepKind::Plan, planning).await?;
    let question = format!(
        "change account {} ({}) for environment `{}`?",
        environment.account(),
        environment.regions().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        environment.environment_name()
    );
    let asking = approved(run.ui, clouds, planned, &manifests, is_agreed, &question);
    let approved = run.recorder.step(StepKind::Approval, asking).await?;
    let rules = Rules { refuse_unapproved_harm: true };
    let applied = carried_out(run, clouds, approved, artifacts, rules, &manifests.following).await?;
    let mut outcome = Outcome::of(environment, &applied);
    outcome.functions = verified(run, clouds, &applied, artifacts).await?;
    Ok(outcome)
}

/// What is deployed, what the change does by the templates, and what may be lost.
struct Reviewed {
    seen: Seen,
    diff: diff::Diff,
    consents: Vec<Consent>,
}

/// Makes sure that the change sets destroy nothing that the comparison didn't show.
async fn no_worse(
    clouds: &Clouds,
    planned: Planned,
    diff: &diff::Diff,
    consents: &[Consent],
) -> Result<Planned, Error> {
    let harms = planned.entries.iter().filter_map(|entry| match &entry.action {
        Action::Update(change_set) => Some(guard::beyond(diff, &entry.stack.key, &change_set.changes, consents)),
        _ => None,
    });
    let harms: Vec<String> = harms.flatten().collect();
    if harms.is_empty() {
        return Ok(planned);
    }
    let taken_back = planned.discard(clouds).await;
    taken_back.map_err(|error| Error::remote("the plan can't be taken back").caused_by(error))?;
    let error = Error::refused("CloudFormation would destroy what the comparison didn't show, so nothing was changed");
    let error = harms.into_iter().fold(error, Error::detail);
    Err(error.hint("if it may be lost, say so with `--allow <stack>@<region>/<logical id>:<reason>`"))
}

/// Makes sure that the plan that was given still holds, and that nothing that is refused is in the change.
async fn reviewed(
    ui: &Ui,
    environment: &Environment,
    options: &Options,
    stacks: &[system::Stack],
    plan: Option<&PlanFile>,
    clouds: &Clouds,
) -> Result<Reviewed, Error> {
    let surveyed = survey::read(clouds, stacks.to_vec()).await?;
    if let Some(plan) = plan {
        plan.check(&surveyed, &options.selection)?;
    }
    let planned = plan.map(|plan| plan.consents.clone()).unwrap_or_default();
    let diff = survey::carried_out(&surveyed)?;
    if environment.target() == EnvironmentTarget::Aws {
        for agreed in guard::check(&diff, &options.selection, &planned, &options.consents)? {
            ui.notice(&agreed);
        }
    }
    let consents = planned.into_iter().chain(options.consents.iter().cloned()).collect();
    Ok(Reviewed { seen: survey::seen(surveyed), diff, consents })
}

async fn run_local(
    run: Run<'_>,
    environment: &Environment,
    options: &Options,
    stacks: Vec<system::Stack>,
    plan: Option<&PlanFile>,
) -> Result<Outcome, Error> {
    if options.from_artifacts.is_some() {
        return Err(Error::usage("packed functions are for AWS, and the local platform runs what is built here")
            .hint("deploy without `--from-artifacts`"));
    }
    if !options.consents.is_empty() {
        run.ui.notice("`--allow` is for AWS: a local platform's data may always be lost");
    }
    if options.manifests.image.is_some() {
        return Err(Error::usage("the local platform has no cluster, so it takes no image")
            .hint("deploy without `--image`: the consumer runs as it is built here"));
    }
    doctor::require(&doctor::check(Needs::Local))?;
    let name = environment.environment_name();
    // The platform starts while the compiler works; if one fails the other's result is of no use.
    let platform = local::up(run.ui, &options.checkout, name, options.ports);
    let build = artifacts::build(run.ui, &options.checkout, Target::Host);
    let (platform, built) =
        tokio::try_join!(run.recorder.step(StepKind::Platform, platform), run.recorder.step(StepKind::Build, build))?;
    let outcome = match run_on(run, environment, options, stacks, plan, built, &platform).await {
        Ok(outcome) => outcome,
        Err(error) => return Err(with_damage(error, &platform).await),
    };
    let lost_at = platform.state_lost_at()?;
    match lost_at {
        // Whatever was deployed before that moment is gone, although every step succeeded.
        Some(at) if platform.state_lost_at.as_ref() != Some(&at) => return Err(lost(&at)),
        Some(at) if options.selection.is_everything() => platform.mark_redeployed(&at).await?,
        _ => {}
    }
    Ok(outcome)
}

/// The emulator died in the middle of a deployment.
fn lost(at: &str) -> Error {
    Error::remote(format!("the emulator died at {at}, and everything deployed in it is gone"))
        .hint("deploy again: the next deployment restores everything; `synth local logs emulator` shows what happened")
}

/// What failed, with what is wrong with the platform before it: a dead emulator looks like deleted stacks.
async fn with_damage(error: Error, platform: &Platform) -> Error {
    let lost_at = platform.state_lost_at().ok().flatten().filter(|at| platform.state_lost_at.as_ref() != Some(at));
    let damage = match lost_at {
        Some(at) => lost(&at),
        None => match platform.check().await {
            Ok(()) => return error,
            Err(damage) => damage,
        },
    };
    damage.detail(error.render())
}

/// Deploys to a platform that runs.
async fn run_on(
    run: Run<'_>,
    environment: &Environment,
    options: &Options,
    stacks: Vec<system::Stack>,
    plan: Option<&PlanFile>,
    built: Built,
    platform: &Platform,
) -> Result<Outcome, Error> {
    let executable = built.executable(CONSUMER).map(Path::to_owned);
    let packing = packed(environment, &options.checkout, built);
    let artifacts = run.recorder.step(StepKind::Pack, packing).await?;
    let revision = revision::of_checkout(&options.checkout).await;
    let clouds = connect(environment, endpoint_of(platform)).await.of_revision(revision);
    let types = platform::resource_types(&platform.endpoint_url).await?;
    let (stacks, left_out) = match &types {
        Some(types) => draft::reduced(stacks, &types.accepted()),
        None => (stacks, Missing::new()),
    };
    let placeholders = types.iter().flat_map(|types| outcome::placeholders(&stacks, types)).collect();

    let planning = async {
        let seen = match plan {
            Some(_) => reviewed(run.ui, environment, options, &stacks, plan, &clouds).await?.seen,
            None => Seen::new(),
        };
        planned(run, &clouds, stacks, &options.selection, &artifacts, seen).await
    };
    let planned = run.recorder.step(StepKind::Plan, planning).await?;
    for line in outcome::plan_table(&planned) {
        run.ui.status(&line);
    }
    let rules = Rules { refuse_unapproved_harm: false };
    let applied = carried_out(run, &clouds, planned.approve(), &artifacts, rules, &()).await?;
    let mut outcome = Outcome::of(environment, &applied);
    outcome.left_out = left_out;
    outcome.placeholders = placeholders;
    outcome.functions = verified(run, &clouds, &applied, &artifacts).await?;
    if let (true, Some(executable)) = (options.selection.is_everything(), executable) {
        let consumer = async {
            platform::create_topics(platform, environment).await?;
            platform::run_consumer(platform, environment, &options.checkout, &executable, &applied.outputs).await
        };
        let change = run.recorder.step(StepKind::Consumer, consumer).await?;
        outcome.consumer_changed = change != ConsumerChange::Unchanged;
    }
    artifacts.remove_others();
    outcome.look_around = outcome::look_around(environment, platform);
    outcome.elapsed_secs = run.ui.elapsed().as_secs_f64();
    Ok(outcome)
}

/// Clients for all regions of the environment.
pub(crate) async fn connect(environment: &Environment, endpoint: Endpoint) -> Clouds {
    Clouds::connect(endpoint, environment.regions().map(contracts::Region::as_str)).await
}

/// The platform's address and root keys.
pub fn endpoint_of(platform: &Platform) -> Endpoint {
    Endpoint::Local {
        url: platform.endpoint_url.clone(),
        access_key: platform.root_access_key.clone(),
        secret_key: platform.root_secret_key.clone(),
    }
}

/// Packing reads and compresses whole executables, so it runs beside the threads that wait for the network.
async fn packed(environment: &Environment, checkout: &Path, built: Built) -> Result<Artifacts, Error> {
    // Each environment has its own, because a deployment removes what it doesn't use.
    let folder = crate::local::state_root(checkout).join(environment.environment_name()).join("artifacts");
    let packed = tokio::task::spawn_blocking(move || Artifacts::pack(&built, &folder)).await;
    packed
        .map_err(|error| Error::internal("packing the functions was broken off").caused_by(error))?
        .map_err(|error| Error::configuration("the functions can't be packed").caused_by(error))
}

async fn planned(
    run: Run<'_>,
    clouds: &Clouds,
    stacks: Vec<system::Stack>,
    selection: &Selection,
    artifacts: &Artifacts,
    seen: Seen,
) -> Result<Planned, Error> {
    let (stacks, context): (Vec<_>, _) = stacks.into_iter().partition(|stack| selection.includes(&stack.key));
    run.recorder.expect(&stacks);
    let drafted = Drafted { stacks, context, code_keys: artifacts.keys(), seen };
    let planned = plan::plan_telling(clouds, drafted, run.recorder).await.map_err(outcome::plan_error)?;
    let left_alone = planned.entries.iter().filter(|entry| entry.action.is_nothing());
    run.recorder.leave_alone(left_alone.map(|entry| entry.stack.key.clone()));
    let stuck: Vec<_> =
        planned.stuck().map(|(key, status, next)| (format!("{key} is in {status}"), next.to_owned())).collect();
    if !stuck.is_empty() {
        let error = Error::refused("CloudFormation takes no update of some stacks in the state they are in");
        planned
            .discard(clouds)
            .await
            .map_err(|error| Error::remote("the plan can't be taken back").caused_by(error))?;
        return Err(stuck.into_iter().fold(error, |error, (state, next)| error.detail(state).hint(next)));
    }
    Ok(planned)
}

/// Shows the plan and asks on a terminal; without one, only `--yes` lets a change through.
async fn approved(
    ui: &Ui,
    clouds: &Clouds,
    planned: Planned,
    manifests: &manifests::Prepared<'_>,
    yes: bool,
    question: &str,
) -> Result<Approved, Error> {
    let is_nothing = planned.is_nothing() && manifests.is_nothing;
    let is_asked = !yes && !is_nothing;
    for line in outcome::plan_table(&planned).into_iter().chain(manifests.lines.iter().cloned()) {
        // Nobody can agree to what isn't shown, so quiet doesn't count then.
        if is_asked { ui.notice(&line) } else { ui.status(&line) }
    }
    if !is_asked {
        return Ok(planned.approve());
    }
    let refusal = match ui.confirm(question).await {
        Some(true) => return Ok(planned.approve()),
        Some(false) => Error::refused("the plan was declined, nothing was changed"),
        None => Error::refused("nobody can be asked to approve the plan, nothing was changed")
            .hint("look at the plan above, then deploy with `--yes`"),
    };
    planned.discard(clouds).await.map_err(|error| Error::remote("the plan can't be taken back").caused_by(error))?;
    Err(refusal)
}

/// What follows the stacks.
const AFTER_STACKS: [StepKind; 2] = [StepKind::Verification, StepKind::Consumer];

async fn carried_out(
    run: Run<'_>,
    clouds: &Clouds,
    approved: Approved,
    artifacts: &Artifacts,
    rules: Rules,
    follow: &impl apply::Follow,
) -> Result<Applied, Error> {
    let work = async {
        let applied = {
            let board = Board::expecting(run.ui, Expectation::of(&approved.0, run.history, &AFTER_STACKS));
            let progress = Both(&board, run.recorder);
            board.during(apply::apply_and_follow(clouds, approved, artifacts, rules, &progress, follow)).await
        };
        let failure = outcome::failure_of(&applied.stacks, "what succeeded stays; deploy again to carry on");
        manifests::report::failure(failure, &applied.followed).map_or(Ok(applied), Err)
    };
    run.recorder.step(StepKind::Stacks, work).await
}

/// What the functions run, once it is proven that it is what was built and that every mapping delivers.
async fn verified(
    run: Run<'_>,
    clouds: &Clouds,
    applied: &Applied,
    artifacts: &Artifacts,
) -> Result<Vec<FunctionCode>, Error> {
    run.recorder.step(StepKind::Verification, what_runs(clouds, applied, artifacts)).await
}

async fn what_runs(clouds: &Clouds, applied: &Applied, artifacts: &Artifacts) -> Result<Vec<FunctionCode>, Error> {
    let stacks: Vec<&system::Stack> = applied.stacks.iter().map(|(stack, _)| stack).collect();
    let failed = |error| Error::remote("what is deployed can't be verified").caused_by(error);
    let codes = verify::function_codes(clouds, &stacks, artifacts);
    let idle = verify::idle_mappings(clouds, &stacks);
    let (codes, idle) = tokio::try_join!(codes, idle).map_err(failed)?;
    let wrong = codes.iter().filter(|code| !code.is_current()).map(|code| match &code.runs {
        Some(runs) => format!("`{}` of {} runs code {runs}, not the built one", code.function, code.stack),
        None => format!("`{}` of {} is not there", code.function, code.stack),
    });
    let idle =
        idle.iter().map(|mapping| format!("mapping `{}` of {} is {}", mapping.mapping, mapping.stack, mapping.state));
    let findings: Vec<String> = wrong.chain(idle).collect();
    if findings.is_empty() {
        return Ok(codes);
    }
    let error = Error::remote("the stacks are deployed, but not everything runs as it should");
    let error = findings.into_iter().fold(error, Error::detail);
    Err(error.hint("someone may have changed the functions by hand; deploy again, or look at them in the console"))
}
