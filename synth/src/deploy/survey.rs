//! What is deployed beside what should be, for a comparison: reads only, and not even a change set is made.

use std::collections::{BTreeMap, BTreeSet};

use diff::{OutputRead, ParameterValue, SectionChange, Severity, Shown, StackChange, Template};
use futures::future::try_join_all;
use infra::environment::{Environment, Target};

use super::cloud::{CallError, Cloud};
use super::inputs::{InputError, Known, Outputs, known};
use super::outcome::{call_error, plan_error};
use super::plan::{Deployed, Difference, PlanError, Seen, difference, look};
use super::sdk::Endpoint;
use super::system::{Source, Stack, StackKey};
use super::{connect, draft, endpoint_of, platform};
use crate::error::Error;
use crate::local::Platform;

/// A stack as it is and as it should be.
#[derive(Clone, Debug)]
pub(crate) struct Surveyed {
    pub(crate) stack: Stack,
    pub(crate) deployed: Option<Deployed>,
    before: Option<Template>,
    after: Template,
    parameters: BTreeMap<String, ParameterValue>,
    /// Whether a deployment would leave it alone, but for code that is yet to be built.
    pub(crate) is_current: bool,
}

impl Surveyed {
    /// The values of parameters that are known now.
    pub(crate) fn known_parameters(&self) -> BTreeMap<String, String> {
        let known = self.parameters.iter().filter(|(name, _)| {
            // The code is pinned by whoever builds it.
            !matches!(self.stack.inputs.get(*name), Some(Source::CodeKey { .. }))
        });
        let known = known.filter_map(|(name, value)| match value {
            ParameterValue::Known(value) => Some((name.clone(), value.clone())),
            ParameterValue::KnownAfterApply => None,
        });
        known.collect()
    }

    /// The templates on the way to the new one, where AWS takes the change only in several updates.
    pub(crate) fn intermediate(&self) -> Vec<Template> {
        let Some(before) = &self.before else { return Vec::new() };
        let mut sequence = diff::sequence(before, &self.after);
        sequence.pop();
        sequence
    }

    /// What changes beside the template: tags, which CloudFormation hands on to the resources, and protection.
    fn settings(&self) -> Vec<SectionChange> {
        let Some(Deployed { observed, .. }) = &self.deployed else { return Vec::new() };
        let shown = |value: &str| Shown::Value(value.into());
        let names: BTreeSet<&String> = observed.tags.keys().chain(self.stack.tags.keys()).collect();
        let tags = names.into_iter().filter_map(|name| {
            let (before, after) = (observed.tags.get(name), self.stack.tags.get(name));
            (before != after).then(|| SectionChange {
                section: "Tags".to_owned(),
                name: name.clone(),
                before: before.map(|value| shown(value)),
                after: after.map(|value| shown(value)),
            })
        });
        let on = |is_on: bool| Some(shown(if is_on { "on" } else { "off" }));
        let (before, after) = (observed.termination_protection, self.stack.termination_protection);
        let protection = (before != after).then(|| SectionChange {
            section: "Stack".to_owned(),
            name: "TerminationProtection".to_owned(),
            before: on(before),
            after: on(after),
        });
        tags.chain(protection).collect()
    }

    /// What the comparison needs.
    pub(crate) fn change(&self) -> StackChange<'_> {
        let reads = self.stack.inputs.values().filter_map(|source| match source {
            Source::StackOutput { stack, output } => Some(OutputRead { stack: key_of(stack), output: output.clone() }),
            _ => None,
        });
        let observed = self.deployed.iter().flat_map(|deployed| &deployed.observed.parameters);
        StackChange {
            parameters_before: observed
                .map(|(name, value)| (name.clone(), ParameterValue::Known(value.clone())))
                .collect(),
            parameters_after: self.parameters.clone(),
            reads: reads.collect(),
            ..StackChange::new(key_of(&self.stack.key), self.before.as_ref(), Some(&self.after))
        }
    }
}

/// What the guard looks at: the comparison, without the transitions that the steps on the way avoid.
///
/// # Errors
/// A rule of the tool's own is broken.
pub(crate) fn carried_out(surveyed: &[Surveyed]) -> Result<diff::Diff, Error> {
    let mut diff = compared(surveyed)?;
    for stack in &mut diff.stacks {
        let Some(one) = surveyed.iter().find(|one| key_of(&one.stack.key) == stack.key) else { continue };
        let intermediate = one.intermediate();
        if intermediate.is_empty() {
            continue;
        }
        let templates: Vec<&Template> = one.before.iter().chain(&intermediate).chain([&one.after]).collect();
        let mut met: BTreeSet<(String, Option<String>)> = BTreeSet::new();
        for pair in templates.windows(2) {
            let step = StackChange { before: Some(pair[0]), after: Some(pair[1]), ..one.change() };
            let step = diff::diff(&[step]).map_err(broken)?;
            let findings = step.stacks.into_iter().flat_map(|stack| stack.findings);
            met.extend(findings.map(|finding| (finding.rule, finding.subject)));
        }
        stack.findings.retain(|finding| {
            finding.severity != Severity::NeedsSequence
                || met.contains(&(finding.rule.clone(), finding.subject.clone()))
        });
    }
    Ok(diff)
}

fn broken(error: diff::DiffError) -> Error {
    Error::internal("the stacks can't be compared").caused_by(error)
}

/// What was read of each stack, for a plan of the same moment.
pub(crate) fn seen(surveyed: Vec<Surveyed>) -> Seen {
    surveyed.into_iter().map(|one| (one.stack.key, one.deployed)).collect()
}

/// Compares what was surveyed.
///
/// # Errors
/// A rule of the tool's own is broken.
pub(crate) fn compared(surveyed: &[Surveyed]) -> Result<diff::Diff, Error> {
    let changes: Vec<StackChange<'_>> = surveyed.iter().map(Surveyed::change).collect();
    let mut diff = diff::diff(&changes).map_err(broken)?;
    for stack in &mut diff.stacks {
        let Some(one) = surveyed.iter().find(|one| key_of(&one.stack.key) == stack.key) else { continue };
        stack.sections.extend(one.settings());
        let intermediate = one.intermediate().len();
        if intermediate > 0 {
            stack.notes.push(format!("a deployment makes {} updates, one after the other", intermediate + 1));
        }
    }
    Ok(diff)
}

fn key_of(key: &StackKey) -> diff::StackKey {
    diff::StackKey::new(key.name.clone(), key.region.clone())
}

/// Looks at what is deployed of the environment.
///
/// # Errors
/// The cloud can't be asked, or what is deployed can't be compared.
pub(crate) async fn survey(environment: &Environment, checkout: &std::path::Path) -> Result<Vec<Surveyed>, Error> {
    let stacks = draft::stacks_of(environment)?;
    let (clouds, stacks) = match environment.target() {
        Target::Aws => {
            let clouds = connect(environment, Endpoint::Aws).await;
            clouds.check_account(environment.account().as_str()).await?;
            (clouds, stacks)
        }
        Target::Local => {
            let name = environment.environment_name();
            let platform = Platform::find(checkout, name)?.ok_or_else(|| {
                Error::configuration(format!(
                    "the platform of `{name}` doesn't run, so there is nothing to compare with"
                ))
                .hint(format!("start it with `synth deploy --env {name}`, or compare folders with `--from` and `--to`"))
            })?;
            let types = platform::resource_types(&platform.endpoint_url).await?;
            let stacks = match types {
                Some(types) => draft::reduced(stacks, &types.accepted()).0,
                None => stacks,
            };
            (connect(environment, endpoint_of(&platform)).await, stacks)
        }
    };
    read(&clouds, stacks).await
}

/// Reads what is deployed: two calls a stack, and one for each stream that a stack reads.
pub(crate) async fn read(cloud: &impl Cloud, stacks: Vec<Stack>) -> Result<Vec<Surveyed>, Error> {
    let unreadable = |error: CallError| call_error("what is deployed can't be read", error);
    let deployed = try_join_all(stacks.iter().map(|stack| look(cloud, stack))).await.map_err(unreadable)?;
    let outputs: Outputs = stacks
        .iter()
        .zip(&deployed)
        .filter_map(|(stack, deployed)| Some((stack.key.clone(), deployed.as_ref()?.observed.outputs.clone())))
        .collect();
    let mut changing = BTreeSet::new();
    let mut surveyed = Vec::new();
    for (stack, deployed) in stacks.into_iter().zip(deployed) {
        let failed = |source: InputError| plan_error(PlanError::Input { stack: stack.key.clone(), source });
        let observed = deployed.as_ref().map(|deployed| &deployed.observed.parameters);
        // What the functions run is decided by a build, and a comparison builds nothing: the code stays what it is.
        let code = |parameter: &str| observed.and_then(|observed| observed.get(parameter)).cloned();
        let values = known(cloud, &stack, &outputs, &changing, code).await.map_err(failed)?;
        let plain: Option<BTreeMap<String, String>> = values
            .iter()
            .map(|(name, value)| match value {
                Known::Value(value) => Some((name.clone(), value.clone())),
                Known::Later => None,
            })
            .collect();
        let is_same = match (&deployed, plain) {
            (Some(deployed), Some(values)) => difference(&stack, &values, deployed) != Difference::Content,
            _ => false,
        };
        if !is_same {
            changing.insert(stack.key.clone());
        }
        let wrong = |which: &str, error| {
            Error::remote(format!("the {which} template of {} can't be compared", stack.key)).caused_by(error)
        };
        let before = deployed.as_ref().and_then(|deployed| deployed.template.as_deref());
        let before = before.map(Template::parse).transpose().map_err(|error| wrong("deployed", error))?;
        let after = Template::new(stack.template.document().clone()).map_err(|error| wrong("new", error))?;
        surveyed.push(Surveyed {
            parameters: values.into_iter().map(|(name, value)| (name, value.into())).collect(),
            is_current: is_same,
            stack,
            deployed,
            before,
            after,
        });
    }
    Ok(surveyed)
}
