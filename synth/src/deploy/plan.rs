//! Compares what should be with what is, and says what a deployment will do.
//!
//! Reads at most two answers a stack from CloudFormation. A stack that is as it should be causes no further call and
//! above all no write: not even a change set. A change whose inputs are known gets its change set now, so that what is
//! shown is what is executed. Nothing is executed here.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::{join_all, try_join_all};

use super::apply::Progress;
use super::change_set::{self, ChangeSetError, Made, ReadyChangeSet};
use super::changes::Changes;
use super::cloud::{CallError, Cloud, Observed, StackRef, Standing, Status, patiently};
use super::inputs::{CodeKeys, InputError, Known, Outputs, Resolved, known, resolve};
use super::steps::sequence;
use super::system::{Source, Stack, StackKey};
use super::way_out::way_out;

/// Stacks as they should be, with the code they run: nothing has been compared yet.
#[derive(Clone, Debug)]
pub(crate) struct Drafted {
    /// In deploy order.
    pub(crate) stacks: Vec<Stack>,
    /// Stacks that are not deployed this time, but whose outputs may be needed.
    pub(crate) context: Vec<Stack>,
    pub(crate) code_keys: CodeKeys,
    /// What was read of stacks just before; they aren't read again.
    pub(crate) seen: Seen,
}

/// What is deployed of stacks that were looked at; nothing of one that isn't there.
pub(crate) type Seen = BTreeMap<StackKey, Option<Deployed>>;

/// What a deployment will do, before anyone agreed to it.
#[derive(Debug)]
pub(crate) struct Planned {
    pub(crate) entries: Vec<Entry>,
    pub(crate) code_keys: CodeKeys,
    /// Outputs of what is deployed now.
    pub(crate) outputs: Outputs,
}

/// One stack of a plan.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) stack: Stack,
    pub(crate) action: Action,
}

/// What a deployment will do to a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Nothing.
    Unchanged,
    /// Only turn termination protection on or off.
    Protect,
    /// Create it; before that, delete what a failed creation left behind.
    Create { changes: Changes, leftover: Option<Status> },
    /// Execute a change set.
    Update(ReadyChangeSet),
    /// Update it with change sets that can only be made on the way, so that the changes are an estimate: after the stacks
    /// that decide about its inputs, or because it takes several updates.
    UpdateLater { estimate: Changes, waits_for: BTreeSet<StackKey>, updates: usize },
    /// Wait for an operation that runs already, then look again.
    Attach { status: Status },
    /// Nothing can be done before a person has repaired it.
    Stuck { status: Status, next: String },
}

impl Action {
    /// Whether a deployment leaves the stack alone.
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Unchanged)
    }

    /// What happens to the stack's resources, as far as it is known.
    pub(crate) fn changes(&self) -> Option<&Changes> {
        match self {
            Self::Create { changes, .. } => Some(changes),
            Self::Update(change_set) => Some(&change_set.changes),
            Self::UpdateLater { estimate, .. } => Some(estimate),
            Self::Unchanged | Self::Protect | Self::Attach { .. } | Self::Stuck { .. } => None,
        }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanError {
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the inputs of {stack} can't be resolved")]
    Input { stack: StackKey, source: InputError },
    #[error("{stack} needs {needs}, which is not deployed and not selected")]
    NotSelected { stack: StackKey, needs: StackKey },
    #[error(transparent)]
    ChangeSet(#[from] ChangeSetError),
}

/// A stack that is deployed: its description, and its template where that can be compared.
#[derive(Clone, Debug)]
pub(crate) struct Deployed {
    pub(crate) observed: Observed,
    pub(crate) template: Option<String>,
}

/// Reads what is deployed for `stack`: two calls when it is there, one when it isn't.
pub(crate) async fn look(cloud: &impl Cloud, stack: &Stack) -> Result<Option<Deployed>, CallError> {
    let region = &stack.key.region;
    let target = StackRef { region, name: &stack.cloudformation_name };
    let observed = patiently(cloud, region, async || cloud.stack(target).await).await?;
    let Some(observed) = observed else { return Ok(None) };
    let template = match observed.status.standing() {
        Standing::Good | Standing::RolledBack => {
            Some(patiently(cloud, region, async || cloud.template(target).await).await?)
        }
        Standing::Deleted => return Ok(None),
        Standing::Busy | Standing::Leftover | Standing::Stuck => None,
    };
    Ok(Some(Deployed { observed, template }))
}

/// What the tool does next about a stack, seen its state alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Create,
    /// Delete what a failed creation left, then create.
    Clear(Status),
    /// Compare, and update if there is a difference.
    Compare,
    Wait(Status),
    Stuck {
        status: Status,
        next: String,
    },
}

pub(crate) fn step_for(stack: &Stack, deployed: Option<&Deployed>) -> Step {
    let Some(Deployed { observed, .. }) = deployed else { return Step::Create };
    let status = observed.status.clone();
    match status.standing() {
        Standing::Good | Standing::RolledBack => Step::Compare,
        // A shell whose change set nobody executed takes another one, also while someone else's waits in it.
        _ if status.as_str() == "REVIEW_IN_PROGRESS" => Step::Create,
        Standing::Deleted => Step::Create,
        Standing::Busy => Step::Wait(status),
        Standing::Leftover => Step::Clear(status),
        Standing::Stuck => {
            Step::Stuck { next: way_out(stack, &status, observed.status_reason.as_deref()).unwrap_or_default(), status }
        }
    }
}

/// In what a deployed stack differs from what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    None,
    Protection,
    Content,
}

/// Compares a deployed stack with what it should be; `parameters` holds every input's value.
///
/// After an undone update the template alone proves nothing, so that counts as a difference: CloudFormation itself
/// then says whether there is one.
pub(crate) fn difference(stack: &Stack, parameters: &BTreeMap<String, String>, deployed: &Deployed) -> Difference {
    let observed = &deployed.observed;
    let template = deployed.template.as_deref();
    let same = observed.status.standing() == Standing::Good
        && template.is_some_and(|template| stack.template.says_the_same_as(template))
        && parameters.iter().all(|(parameter, value)| observed.parameters.get(parameter) == Some(value))
        && observed.tags == stack.tags;
    match (same, observed.termination_protection == stack.termination_protection) {
        (false, _) => Difference::Content,
        (true, false) => Difference::Protection,
        (true, true) => Difference::None,
    }
}

/// Compares everything and makes the change sets that can be made now; nobody is told meanwhile.
#[cfg(test)]
pub(crate) async fn plan(cloud: &impl Cloud, drafted: Drafted) -> Result<Planned, PlanError> {
    plan_telling(cloud, drafted, &super::progress::Nobody).await
}

/// Compares everything and makes the change sets that can be made now; tells when each is begun and made.
pub(crate) async fn plan_telling(
    cloud: &impl Cloud,
    drafted: Drafted,
    progress: &dyn Progress,
) -> Result<Planned, PlanError> {
    let Drafted { stacks, context, code_keys, seen } = drafted;
    let deployed = try_join_all(stacks.iter().map(async |stack| match seen.get(&stack.key) {
        Some(deployed) => Ok(deployed.clone()),
        None => look(cloud, stack).await,
    }));
    let deployed = deployed.await?;
    let mut outputs = outputs_of(cloud, &context, &seen).await?;
    for stack in &stacks {
        let known = |needed: &StackKey| outputs.contains_key(needed) || stacks.iter().any(|stack| stack.key == *needed);
        if let Some(needs) = stack.depends_on.iter().find(|needed| !known(needed)) {
            return Err(PlanError::NotSelected { stack: stack.key.clone(), needs: needs.clone() });
        }
    }
    for (stack, deployed) in stacks.iter().zip(&deployed) {
        if let Some(deployed) = deployed {
            outputs.insert(stack.key.clone(), deployed.observed.outputs.clone());
        }
    }
    let mut changing = BTreeSet::new();
    let mut undecided = Vec::new();
    for (stack, deployed) in stacks.into_iter().zip(&deployed) {
        let verdict = judge(cloud, &stack, deployed.as_ref(), &outputs, &code_keys, &changing)
            .await
            .map_err(|source| PlanError::Input { stack: stack.key.clone(), source })?;
        if !matches!(verdict, Verdict::Settled(Action::Unchanged | Action::Protect)) {
            changing.insert(stack.key.clone());
        }
        undecided.push((stack, verdict));
    }
    let entries = undecided.into_iter().map(|(stack, verdict)| {
        let outputs = &outputs;
        async move {
            let action = match verdict {
                Verdict::Settled(action) => action,
                Verdict::Differs(parameters) => {
                    progress.phase(&stack, "planning");
                    let made = change_set::make(cloud, &stack, false, &parameters, outputs).await;
                    progress.phase(&stack, "planned");
                    match made? {
                        Made::Ready(change_set) => Action::Update(change_set),
                        Made::NoChange => Action::Unchanged,
                    }
                }
            };
            Ok::<_, PlanError>(Entry { stack, action })
        }
    });
    // All are awaited even when one fails, so that what was made can be taken back.
    let mut made = Vec::new();
    let mut failed = None;
    for entry in join_all(entries).await {
        match entry {
            Ok(entry) => made.push(entry),
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    let planned = Planned { entries: made, code_keys, outputs };
    match failed {
        None => Ok(planned),
        Some(error) => {
            planned.discard(cloud).await?;
            Err(error)
        }
    }
}

/// Outputs of the stacks that are deployed; the others are left out.
async fn outputs_of(cloud: &impl Cloud, stacks: &[Stack], seen: &Seen) -> Result<Outputs, CallError> {
    let observed = try_join_all(stacks.iter().map(async |stack| {
        if let Some(deployed) = seen.get(&stack.key) {
            return Ok(deployed.as_ref().map(|deployed| deployed.observed.clone()));
        }
        let region = &stack.key.region;
        let target = StackRef { region, name: &stack.cloudformation_name };
        patiently(cloud, region, async || cloud.stack(target).await).await
    }));
    let deployed = stacks.iter().zip(observed.await?).filter_map(|(stack, observed)| {
        let observed = observed?;
        let usable = matches!(observed.status.standing(), Standing::Good | Standing::RolledBack);
        usable.then(|| (stack.key.clone(), observed.outputs))
    });
    Ok(deployed.collect())
}

enum Verdict {
    Settled(Action),
    /// There is a difference, and these are the parameters with which to make the change set.
    Differs(BTreeMap<String, String>),
}

async fn judge(
    cloud: &impl Cloud,
    stack: &Stack,
    deployed: Option<&Deployed>,
    outputs: &Outputs,
    code_keys: &CodeKeys,
    changing: &BTreeSet<StackKey>,
) -> Result<Verdict, InputError> {
    let creating = || Changes::creating(&stack.template);
    let settled = match (step_for(stack, deployed), deployed) {
        (Step::Create, _) | (Step::Compare, None) => Action::Create { changes: creating(), leftover: None },
        (Step::Clear(status), _) => Action::Create { changes: creating(), leftover: Some(status) },
        (Step::Wait(status), _) => Action::Attach { status },
        (Step::Stuck { status, next }, _) => Action::Stuck { status, next },
        (Step::Compare, Some(deployed)) => match resolve(cloud, stack, outputs, code_keys, changing).await? {
            Resolved::After(waits_for) => {
                let code = |parameter: &str| match stack.inputs.get(parameter) {
                    Some(Source::CodeKey { program }) => code_keys.get(program).cloned(),
                    _ => None,
                };
                let values = known(cloud, stack, outputs, changing, code).await?;
                later(stack, deployed, values, waits_for)
            }
            Resolved::Known(parameters) => match difference(stack, &parameters, deployed) {
                Difference::None => Action::Unchanged,
                Difference::Protection => Action::Protect,
                Difference::Content => {
                    let template = deployed.template.as_deref().unwrap_or_default();
                    if sequence(template, &stack.template).len() <= 1 {
                        return Ok(Verdict::Differs(parameters));
                    }
                    let values = parameters.into_iter().map(|(name, value)| (name, Known::Value(value)));
                    later(stack, deployed, values.collect(), BTreeSet::new())
                }
            },
        },
    };
    Ok(Verdict::Settled(settled))
}

/// An update whose change sets can't be made yet, with what the templates say about it.
fn later(stack: &Stack, deployed: &Deployed, values: BTreeMap<String, Known>, waits_for: BTreeSet<StackKey>) -> Action {
    let text = deployed.template.as_deref().unwrap_or_default();
    let parsed = (diff::Template::parse(text), diff::Template::new(stack.template.document().clone()));
    let estimate = match &parsed {
        (Ok(before), Ok(after)) => {
            let key = diff::StackKey::new(stack.key.name.clone(), stack.key.region.clone());
            let observed = deployed.observed.parameters.iter();
            let change = diff::StackChange {
                parameters_before: observed
                    .map(|(name, value)| (name.clone(), diff::ParameterValue::Known(value.clone())))
                    .collect(),
                parameters_after: values.into_iter().map(|(name, value)| (name, value.into())).collect(),
                ..diff::StackChange::new(key, Some(before), Some(after))
            };
            let compared = diff::diff(&[change]).ok();
            compared.and_then(|diff| diff.stacks.first().map(Changes::of)).unwrap_or_default()
        }
        // Nothing is known of it; what does harm is then refused when it is known.
        _ => Changes::default(),
    };
    Action::UpdateLater { estimate, waits_for, updates: sequence(text, &stack.template).len() }
}

impl Planned {
    /// Whether a deployment would change nothing.
    pub(crate) fn is_nothing(&self) -> bool {
        self.entries.iter().all(|entry| entry.action.is_nothing())
    }

    /// Stacks that no deployment can change now: state and the way out of it.
    pub(crate) fn stuck(&self) -> impl Iterator<Item = (&StackKey, &Status, &str)> {
        self.entries.iter().filter_map(|entry| match &entry.action {
            Action::Stuck { status, next } => Some((&entry.stack.key, status, next.as_str())),
            _ => None,
        })
    }

    /// How many resources of all stacks `kind` happens to.
    #[cfg(test)]
    pub(crate) fn count(&self, kind: super::cloud::ChangeKind) -> usize {
        self.entries.iter().filter_map(|entry| entry.action.changes()).map(|changes| changes.count(kind)).sum()
    }

    /// Takes back the change sets of a plan that is not carried out.
    pub(crate) async fn discard(self, cloud: &impl Cloud) -> Result<(), CallError> {
        for entry in &self.entries {
            if let Action::Update(change_set) = &entry.action {
                let region = &entry.stack.key.region;
                let target = StackRef { region, name: &entry.stack.cloudformation_name };
                patiently(cloud, region, async || cloud.delete_change_set(target, &change_set.id).await).await?;
            }
        }
        Ok(())
    }

    /// The plan that someone, or the rule for the target, has agreed to.
    pub(crate) fn approve(self) -> Approved {
        Approved(self)
    }
}

/// A plan that may be carried out; only [`Planned::approve`] makes one.
#[derive(Debug)]
pub(crate) struct Approved(pub(crate) Planned);
