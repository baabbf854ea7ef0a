//! Carries out an approved plan.
//!
//! Each stack is brought to its goal from whatever state it is found in, so a run that was killed anywhere is simply
//! started again: reality is read, nothing is remembered. Stacks that don't depend on each other go at the same time;
//! a failure stops only its dependents.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use super::change_set::{self, ChangeSetError, Made, ReadyChangeSet};
use super::changes::Changes;
use super::cloud::{CallError, Cloud, Event, Observed, StackRef, Standing, Status, patiently};
use super::failure::{RootCause, root_cause};
use super::follow::{Followed, Watch, follow, watch_from_now, watch_running};
use super::graph::{self, Ended};
use super::inputs::{CodeKeys, InputError, Outputs, Resolved, delivery_of, resolve};
use super::manifests::RegionResult;
use super::plan::{Action, Approved, Deployed, Difference, Entry, Planned, Step, difference, look, step_for};
use super::steps::{parameters_of, steps};
use super::system::{BUCKET_OUTPUT, Stack, StackKey};
use crate::artifacts::Artifacts;
use crate::error::Error;

/// How many stacks are worked on at the same time in a region.
pub(crate) const PARALLEL_STACKS: usize = 6;

/// How many operations one stack may need: wait, clear up, create; more is a sign that someone else works on it.
const ROUNDS: usize = 6;

/// Told what happens while it happens.
pub(crate) trait Progress {
    /// The stack is in a new phase.
    fn phase(&self, stack: &Stack, text: &str);
    /// CloudFormation reports an event.
    fn event(&self, stack: &Stack, event: &Event);
    /// It is the stack's turn.
    fn began(&self, stack: &Stack);
    /// The work on the stack ended.
    fn ended(&self, stack: &Stack, outcome: &Result<Done, StackError>);
    /// CloudFormation warns of something that doesn't keep the stack from being changed.
    fn warning(&self, stack: &Stack, text: &str);
}

/// Work that follows the stacks of a region, before those of a later wave.
pub(crate) trait Follow {
    /// Where it stands among the stacks.
    fn steps(&self) -> &[FollowStep];
    /// Does it; `outputs` are those of everything that is deployed by then.
    async fn follow(&self, step: usize, outputs: &Outputs) -> Result<RegionResult, Error>;
}

/// A place among the stacks. Stacks that aren't deployed this time count for nothing.
#[derive(Clone, Debug)]
pub(crate) struct FollowStep {
    /// What it is called: `manifests@us-west-2`.
    pub(crate) key: StackKey,
    /// Stacks that come before.
    pub(crate) after: Vec<StackKey>,
    /// Stacks that wait for it.
    pub(crate) before: Vec<StackKey>,
}

/// Nothing follows.
impl Follow for () {
    fn steps(&self) -> &[FollowStep] {
        &[]
    }

    async fn follow(&self, _: usize, _: &Outputs) -> Result<RegionResult, Error> {
        Err(Error::internal("nothing was to follow"))
    }
}

/// What a deployment did.
#[derive(Debug)]
pub(crate) struct Applied {
    /// In deploy order.
    pub(crate) stacks: Vec<(Stack, StackOutcome)>,
    /// What followed.
    pub(crate) followed: Vec<(StackKey, StackOutcome<RegionResult>)>,
    /// Outputs of everything that is deployed now.
    pub(crate) outputs: Outputs,
}

/// What happened to one stack.
#[derive(Debug)]
pub(crate) enum StackOutcome<D = Done> {
    Done(D),
    Failed(StackError),
    /// Not tried, because this one did not get ready.
    Skipped {
        because_of: StackKey,
    },
}

/// A stack is as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    Unchanged,
    Created(Changes),
    Updated(Changes),
    Protected,
}

/// Why a stack is not as it should be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StackError {
    #[error("{0}")]
    Operation(Box<RootCause>),
    #[error(transparent)]
    ChangeSet(#[from] ChangeSetError),
    #[error("the inputs of {stack} can't be resolved")]
    Input { stack: StackKey, source: InputError },
    #[error("{stack} is in {status}, which takes no update")]
    Stuck { stack: StackKey, status: Status, next: String },
    #[error("the change of {stack} does more harm than the approved plan showed: {harm}")]
    Unapproved { stack: StackKey, harm: String },
    #[error("{stack} did not come to rest within {ROUNDS} operations; does someone else work on it")]
    Restless { stack: StackKey },
    #[error("the code of `{program}` can't be read from {path}")]
    Code { program: String, path: String, source: std::io::Error },
    #[error(transparent)]
    Call(#[from] CallError),
    /// Of what follows stacks.
    #[error("{0}")]
    Follow(Error),
}

impl StackError {
    /// Whether another run was faster, so that reality has to be looked at again.
    fn is_overtaken(&self) -> bool {
        match self {
            Self::Call(error) | Self::ChangeSet(ChangeSetError::Call(error)) => error.is_overtaken(),
            _ => false,
        }
    }
}

/// How a plan is carried out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    /// Refuse a change set that was made after the approval and removes or replaces what the plan did not show.
    pub(crate) refuse_unapproved_harm: bool,
}

/// Carries out the plan; failures are part of the answer.
#[cfg(test)]
pub(crate) async fn apply(
    cloud: &impl Cloud,
    approved: Approved,
    artifacts: &Artifacts,
    rules: Rules,
    progress: &dyn Progress,
) -> Applied {
    apply_and_follow(cloud, approved, artifacts, rules, progress, &()).await
}

/// As [`apply`], with work that follows the stacks of regions.
pub(crate) async fn apply_and_follow(
    cloud: &impl Cloud,
    approved: Approved,
    artifacts: &Artifacts,
    rules: Rules,
    progress: &dyn Progress,
    follow: &impl Follow,
) -> Applied {
    let Approved(Planned { entries, code_keys, outputs }) = approved;
    let mut dependencies = dependencies_of(entries.iter().map(|entry| &entry.stack));
    let stacks: Vec<&StackKey> = entries.iter().map(|entry| &entry.stack.key).collect();
    add_steps(&mut dependencies, &stacks, follow.steps());
    let run = Run { cloud, artifacts, rules, progress, code_keys, outputs: RefCell::new(outputs) };
    let work = async |node: usize| match entries.get(node) {
        Some(entry) => {
            progress.began(&entry.stack);
            let outcome = run.converge(entry).await;
            progress.ended(&entry.stack, &outcome);
            outcome.map(Work::Stack)
        }
        None => {
            let outputs = run.outputs.borrow().clone();
            follow.follow(node - entries.len(), &outputs).await.map(Work::Followed).map_err(StackError::Follow)
        }
    };
    let of_stacks = entries.iter().map(|entry| entry.stack.key.region.as_str());
    let regions: Vec<&str> = of_stacks.chain(follow.steps().iter().map(|step| step.key.region.as_str())).collect();
    let ended = graph::run(&dependencies, &regions, PARALLEL_STACKS, &work).await;
    let keys: Vec<StackKey> = entries.iter().map(|entry| entry.stack.key.clone()).collect();
    let keys: Vec<StackKey> = keys.into_iter().chain(follow.steps().iter().map(|step| step.key.clone())).collect();
    let mut stacks: Vec<Stack> = entries.into_iter().map(|entry| entry.stack).rev().collect();
    let mut applied = Applied { stacks: Vec::new(), followed: Vec::new(), outputs: run.outputs.into_inner() };
    for (node, ended) in ended.into_iter().enumerate() {
        match (stacks.pop(), outcome(ended, &keys)) {
            (Some(stack), ended) => applied.stacks.push((stack, ended.map(Work::stack))),
            (None, ended) => applied.followed.push((keys[node].clone(), ended.map(Work::followed))),
        }
    }
    applied
}

/// What a node of the graph did.
enum Work {
    Stack(Done),
    Followed(RegionResult),
}

impl Work {
    fn stack(self) -> Done {
        match self {
            Self::Stack(done) => done,
            Self::Followed(_) => unreachable!("nodes of stacks come first"),
        }
    }

    fn followed(self) -> RegionResult {
        match self {
            Self::Followed(result) => result,
            Self::Stack(_) => unreachable!("nodes of stacks come first"),
        }
    }
}

/// Adds a node for each step, after the stacks' nodes.
fn add_steps(dependencies: &mut Vec<Vec<usize>>, stacks: &[&StackKey], steps: &[FollowStep]) {
    let place = |key: &StackKey| stacks.iter().position(|&stack| stack == key);
    for step in steps {
        let node = dependencies.len();
        dependencies.push(step.after.iter().filter_map(place).collect());
        for later in step.before.iter().filter_map(place) {
            dependencies[later].push(node);
        }
    }
}

/// For each stack the stacks that come before it, by index; those that aren't given are taken as deployed.
pub(crate) fn dependencies_of<'s>(stacks: impl Iterator<Item = &'s Stack> + Clone) -> Vec<Vec<usize>> {
    let index: BTreeMap<&StackKey, usize> =
        stacks.clone().enumerate().map(|(node, stack)| (&stack.key, node)).collect();
    let needed = |stack: &Stack| stack.depends_on.iter().filter_map(|key| index.get(key).copied()).collect();
    stacks.map(needed).collect()
}

/// Each stack with how its work ended.
pub(crate) fn outcomes<D>(stacks: Vec<Stack>, ended: Vec<Ended<D, StackError>>) -> Vec<(Stack, StackOutcome<D>)> {
    let keys: Vec<StackKey> = stacks.iter().map(|stack| stack.key.clone()).collect();
    stacks.into_iter().zip(ended.into_iter().map(|ended| outcome(ended, &keys))).collect()
}

fn outcome<D>(ended: Ended<D, StackError>, keys: &[StackKey]) -> StackOutcome<D> {
    match ended {
        Ended::Done(done) => StackOutcome::Done(done),
        Ended::Failed(error) => StackOutcome::Failed(error),
        Ended::Skipped { because_of } => StackOutcome::Skipped { because_of: keys[because_of].clone() },
    }
}

impl<D> StackOutcome<D> {
    fn map<T>(self, done: impl FnOnce(D) -> T) -> StackOutcome<T> {
        match self {
            Self::Done(one) => StackOutcome::Done(done(one)),
            Self::Failed(error) => StackOutcome::Failed(error),
            Self::Skipped { because_of } => StackOutcome::Skipped { because_of },
        }
    }
}

struct Run<'a, C> {
    cloud: &'a C,
    artifacts: &'a Artifacts,
    rules: Rules,
    progress: &'a dyn Progress,
    code_keys: CodeKeys,
    outputs: RefCell<Outputs>,
}

impl<C: Cloud> Run<'_, C> {
    /// Brings one stack to its goal.
    async fn converge(&self, entry: &Entry) -> Result<Done, StackError> {
        let stack = &entry.stack;
        if entry.action.is_nothing() {
            self.progress.phase(stack, "unchanged");
            return Ok(Done::Unchanged);
        }
        let mut reviewed = match &entry.action {
            Action::Update(change_set) => Some(change_set.clone()),
            _ => None,
        };
        for _ in 0..ROUNDS {
            let deployed = look(self.cloud, stack).await?;
            let outcome = match step_for(stack, deployed.as_ref()) {
                Step::Create => self.create(stack).await,
                Step::Compare => {
                    let Some(deployed) = deployed else { continue };
                    match reviewed.take() {
                        Some(change_set) => self.execute_update(stack, &deployed.observed, change_set).await,
                        None => self.update(stack, &deployed, entry.action.changes()).await,
                    }
                }
                Step::Clear(status) => {
                    self.progress.phase(stack, &format!("clearing up after {status}"));
                    self.delete(stack, deployed.as_ref().map(|deployed| &deployed.observed)).await?;
                    continue;
                }
                Step::Wait(status) => {
                    self.progress.phase(stack, &format!("waiting: {status} runs already"));
                    let watch = watch_running(self.cloud, self.target(stack)).await?;
                    let Followed { observed, events } = self.follow(stack, watch).await?;
                    let standing = observed.as_ref().map(|observed| observed.status.standing());
                    if let (Some(observed), Some(Standing::RolledBack)) = (&observed, standing) {
                        // Somebody has cancelled it, or an alarm has: what was undone isn't begun again unasked.
                        let cause = root_cause(stack, &observed.status, observed.status_reason.as_deref(), &events);
                        return Err(StackError::Operation(Box::new(cause)));
                    }
                    continue;
                }
                Step::Stuck { status, next } => {
                    return Err(StackError::Stuck { stack: stack.key.clone(), status, next });
                }
            };
            match outcome {
                Err(error) if error.is_overtaken() => {
                    self.progress.phase(stack, "overtaken by another operation");
                }
                outcome => return outcome,
            }
        }
        Err(StackError::Restless { stack: stack.key.clone() })
    }

    async fn create(&self, stack: &Stack) -> Result<Done, StackError> {
        let parameters = self.parameters(stack).await?;
        self.upload_code(stack).await?;
        self.progress.phase(stack, "planning");
        let outputs = self.outputs.borrow().clone();
        let made = change_set::make(self.cloud, stack, true, &parameters, &outputs).await;
        let change_set = match made {
            Ok(Made::Ready(change_set)) => change_set,
            // A template without resources; CloudFormation refuses those, so there is nothing to create.
            Ok(Made::NoChange) => return Ok(Done::Unchanged),
            Err(error) => {
                // The failed change set leaves an empty shell of a stack behind.
                let shell = look(self.cloud, stack).await?;
                if shell.as_ref().is_some_and(|shell| shell.observed.status.standing() == Standing::Leftover) {
                    self.delete(stack, shell.as_ref().map(|shell| &shell.observed)).await?;
                }
                return Err(error.into());
            }
        };
        self.warn(stack, &change_set);
        self.progress.phase(stack, "creating");
        let observed = self.execute(stack, &change_set).await?;
        self.finish(stack, &observed, observed.termination_protection).await?;
        Ok(Done::Created(change_set.changes))
    }

    async fn update(&self, stack: &Stack, deployed: &Deployed, approved: Option<&Changes>) -> Result<Done, StackError> {
        let parameters = self.parameters(stack).await?;
        let protection = deployed.observed.termination_protection;
        match difference(stack, &parameters, deployed) {
            Difference::None => {
                self.finish(stack, &deployed.observed, protection).await?;
                self.progress.phase(stack, "unchanged");
                return Ok(Done::Unchanged);
            }
            Difference::Protection => {
                self.finish(stack, &deployed.observed, protection).await?;
                return Ok(Done::Protected);
            }
            Difference::Content => {}
        }
        self.upload_code(stack).await?;
        let steps = steps(deployed.template.as_deref().unwrap_or_default(), stack);
        let mut done: Option<Changes> = None;
        let mut observed = deployed.observed.clone();
        for (position, step) in steps.iter().enumerate() {
            let part = if steps.len() > 1 { format!(", {} of {}", position + 1, steps.len()) } else { String::new() };
            self.progress.phase(stack, &format!("planning{part}"));
            let parameters = parameters_of(step, &parameters, &observed);
            let outputs = self.outputs.borrow().clone();
            match change_set::make(self.cloud, step, false, &parameters, &outputs).await? {
                Made::NoChange => {}
                Made::Ready(change_set) => {
                    self.warn(stack, &change_set);
                    self.check_harm(stack, &change_set, approved).await?;
                    self.progress.phase(stack, &format!("updating{part}"));
                    observed = self.execute(stack, &change_set).await?;
                    done = Some(done.unwrap_or_default().and(change_set.changes));
                }
            }
        }
        self.finish(stack, &observed, protection).await?;
        match done {
            Some(changes) => Ok(Done::Updated(changes)),
            None => {
                self.progress.phase(stack, "unchanged");
                Ok(Done::Unchanged)
            }
        }
    }

    async fn execute_update(
        &self,
        stack: &Stack,
        before: &Observed,
        change_set: ReadyChangeSet,
    ) -> Result<Done, StackError> {
        self.upload_code(stack).await?;
        self.progress.phase(stack, "updating");
        let observed = self.execute(stack, &change_set).await?;
        self.finish(stack, &observed, before.termination_protection).await?;
        Ok(Done::Updated(change_set.changes))
    }

    /// Executes a change set and waits for its end.
    async fn execute(&self, stack: &Stack, change_set: &ReadyChangeSet) -> Result<Observed, StackError> {
        let (region, target) = (&stack.key.region, self.target(stack));
        let watch = watch_from_now(self.cloud, target).await?;
        patiently(self.cloud, region, async || self.cloud.execute_change_set(target, &change_set.id).await).await?;
        let Followed { observed, events } = self.follow(stack, watch).await?;
        let Some(observed) = observed else {
            let cause = root_cause(stack, &Status::new("DELETE_COMPLETE"), None, &events);
            return Err(StackError::Operation(Box::new(cause)));
        };
        if observed.status.standing() == Standing::Good {
            return Ok(observed);
        }
        let cause = root_cause(stack, &observed.status, observed.status_reason.as_deref(), &events);
        self.progress.phase(stack, &format!("failed: {}", observed.status));
        Err(StackError::Operation(Box::new(cause)))
    }

    /// Deletes what is there and waits until it is gone.
    async fn delete(&self, stack: &Stack, observed: Option<&Observed>) -> Result<(), StackError> {
        let Some(observed) = observed else { return Ok(()) };
        delete_and_follow(self.cloud, stack, observed, |event| self.progress.event(stack, event)).await
    }

    /// Notes the outputs for the stacks that follow and sets termination protection as it should be.
    async fn finish(&self, stack: &Stack, observed: &Observed, is_protected: bool) -> Result<(), CallError> {
        let (region, target) = (&stack.key.region, self.target(stack));
        if is_protected != stack.termination_protection {
            let protect = stack.termination_protection;
            patiently(self.cloud, region, async || self.cloud.protect_stack(target, protect).await).await?;
        }
        self.outputs.borrow_mut().insert(stack.key.clone(), observed.outputs.clone());
        self.progress.phase(stack, observed.status.as_str());
        Ok(())
    }

    async fn parameters(&self, stack: &Stack) -> Result<BTreeMap<String, String>, StackError> {
        let outputs = self.outputs.borrow().clone();
        let resolved = resolve(self.cloud, stack, &outputs, &self.code_keys, &BTreeSet::new()).await;
        match resolved.map_err(|source| StackError::Input { stack: stack.key.clone(), source })? {
            Resolved::Known(parameters) => Ok(parameters),
            // Nothing is given as changing, so there is nothing to wait for.
            Resolved::After(_) => Err(StackError::Restless { stack: stack.key.clone() }),
        }
    }

    /// Puts the code of the stack's programs into the region's bucket, where it isn't there yet.
    async fn upload_code(&self, stack: &Stack) -> Result<(), StackError> {
        let region = &stack.key.region;
        for program in stack.programs() {
            let delivery = delivery_of(stack);
            let bucket = self.outputs.borrow().get(&delivery).and_then(|outputs| outputs.get(BUCKET_OUTPUT)).cloned();
            let (Some(bucket), Some(artifact)) = (bucket, self.artifacts.get(program)) else {
                // Resolving the inputs has reported a missing bucket or program before.
                continue;
            };
            let key = &artifact.key;
            let there = patiently(self.cloud, region, async || self.cloud.has_object(region, &bucket, key).await);
            if there.await? {
                continue;
            }
            self.progress.phase(stack, &format!("uploading {program}"));
            let bytes = artifact.read().await.map_err(|source| StackError::Code {
                program: program.to_owned(),
                path: artifact.path.display().to_string(),
                source,
            })?;
            let put = async || self.cloud.put_object(region, &bucket, key, bytes.clone()).await;
            patiently(self.cloud, region, put).await?;
        }
        Ok(())
    }

    async fn check_harm(
        &self,
        stack: &Stack,
        change_set: &ReadyChangeSet,
        approved: Option<&Changes>,
    ) -> Result<(), StackError> {
        if !self.rules.refuse_unapproved_harm {
            return Ok(());
        }
        let none = Changes::default();
        let harm: Vec<String> = change_set
            .changes
            .harm_beyond(approved.unwrap_or(&none))
            .map(|change| format!("`{}` ({})", change.logical_id, change.resource_type))
            .collect();
        if harm.is_empty() {
            return Ok(());
        }
        let (region, target) = (&stack.key.region, self.target(stack));
        patiently(self.cloud, region, async || self.cloud.delete_change_set(target, &change_set.id).await).await?;
        Err(StackError::Unapproved { stack: stack.key.clone(), harm: harm.join(", ") })
    }

    /// What CloudFormation warns of in a change set that no plan has shown.
    fn warn(&self, stack: &Stack, change_set: &ReadyChangeSet) {
        change_set.warnings.iter().for_each(|fault| self.progress.warning(stack, &change_set::told(stack, fault)));
    }

    async fn follow(&self, stack: &Stack, watch: Watch) -> Result<Followed, CallError> {
        follow(self.cloud, self.target(stack), watch, |event| self.progress.event(stack, event)).await
    }

    fn target<'s>(&self, stack: &'s Stack) -> StackRef<'s> {
        StackRef { region: &stack.key.region, name: &stack.cloudformation_name }
    }
}

/// Deletes a stack and waits until it is gone.
pub(crate) async fn delete_and_follow(
    cloud: &impl Cloud,
    stack: &Stack,
    observed: &Observed,
    report: impl Fn(&Event),
) -> Result<(), StackError> {
    let region = &stack.key.region;
    // By id, because a deleted stack is not found by its name.
    let target = StackRef { region, name: &observed.id };
    let watch = watch_from_now(cloud, target).await?;
    patiently(cloud, region, async || cloud.delete_stack(target, stack.role.as_deref()).await).await?;
    let Followed { observed, events } = follow(cloud, target, watch, report).await?;
    match observed {
        None => Ok(()),
        Some(observed) if observed.status.standing() == Standing::Deleted => Ok(()),
        Some(observed) => {
            let cause = root_cause(stack, &observed.status, observed.status_reason.as_deref(), &events);
            Err(StackError::Operation(Box::new(cause)))
        }
    }
}
