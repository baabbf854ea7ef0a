//! Turns the environment's stacks into what is deployed: rendered, filtered, without what the platform can't make.

use std::collections::{BTreeMap, BTreeSet};

use infra::environment::Environment;
use infra::{StackId, StackInstance};

use super::system::{Bake, LeftOut, Location, Source, Stack, StackKey, Template};
use crate::error::Error;

/// The stacks that a command is about.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Only stacks of these names; all when none is given.
    pub stacks: Vec<String>,
    /// Only stacks in these regions; all when none is given.
    pub regions: Vec<String>,
}

impl Selection {
    /// Whether the stack is meant.
    pub fn includes(&self, key: &StackKey) -> bool {
        (self.stacks.is_empty() || self.stacks.contains(&key.name))
            && (self.regions.is_empty() || self.regions.contains(&key.region))
    }

    /// Whether nothing is left out.
    pub fn is_everything(&self) -> bool {
        self.stacks.is_empty() && self.regions.is_empty()
    }

    /// Makes sure that it selects something among `stacks`.
    ///
    /// # Errors
    /// Nothing is selected: a name is wrong.
    pub(crate) fn check(&self, stacks: &[Stack]) -> Result<(), Error> {
        if stacks.iter().any(|stack| self.includes(&stack.key)) {
            return Ok(());
        }
        let known: Vec<String> = stacks.iter().map(|stack| stack.key.to_string()).collect();
        Err(Error::usage("no stack has that name in that region")
            .hint(format!("the environment's stacks are {}", known.join(", "))))
    }
}

/// All stacks of the environment, in deploy order, rendered.
///
/// # Errors
/// The environment describes no system that can be deployed.
pub fn stacks_of(environment: &Environment) -> Result<Vec<Stack>, Error> {
    let system = infra::system(environment);
    if !system.mistakes.is_empty() {
        let error = Error::configuration("the environment describes no system that can be deployed");
        return Err(system.mistakes.into_iter().fold(error, Error::detail));
    }
    system.stacks.into_iter().map(|instance| stack_of(environment, instance)).collect()
}

fn stack_of(environment: &Environment, instance: StackInstance) -> Result<Stack, Error> {
    // Its mistakes are among those of the system, which were looked at before.
    let StackInstance {
        id,
        cloudformation_name,
        template,
        inputs,
        depends_on,
        mistakes: _,
        tags,
        termination_protection,
        execution_role,
        bake,
        watches: _,
        flows: _,
        grants: _,
    } = instance;
    let declared_at = template.resources().map(|resource| {
        let place = resource.location();
        (resource.logical_id().to_owned(), Location { file: place.file().to_owned(), line: place.line() })
    });
    let template = Template::parse(template.render().to_owned(), declared_at.collect())
        .map_err(|error| Error::internal(format!("the template of {id} is no JSON")).caused_by(error))?;
    Ok(Stack {
        key: key_of(&id),
        cloudformation_name,
        template,
        inputs: inputs.into_iter().map(|input| (input.parameter, source_of(input.source))).collect(),
        depends_on: depends_on.iter().map(key_of).collect(),
        tags,
        termination_protection,
        role: execution_role.map(|name| role_arn(environment, &id, &name)),
        bake: bake.map(|bake| Bake {
            watched_by: key_of(&bake.watched_by),
            alarm: format!(
                "arn:{}:cloudwatch:{}:{}:alarm:{}",
                partition(&id),
                id.region,
                environment.account(),
                bake.alarm
            ),
            minutes: bake.minutes,
        }),
    })
}

fn role_arn(environment: &Environment, id: &StackId, name: &str) -> String {
    format!("arn:{}:iam::{}:role/{name}", partition(id), environment.account())
}

fn partition(id: &StackId) -> &'static str {
    match id.region.as_str() {
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    }
}

fn key_of(id: &StackId) -> StackKey {
    StackKey::new(id.name, id.region.as_str())
}

fn source_of(source: infra::Source) -> Source {
    match source {
        infra::Source::StackOutput { stack, output } => Source::StackOutput { stack: key_of(&stack), output },
        infra::Source::TableStream { table } => Source::TableStream { table },
        infra::Source::CodeBucket => Source::CodeBucket,
        infra::Source::CodeKey { program } => Source::CodeKey { program: program.to_owned() },
    }
}

/// What a platform leaves out of the stacks, by stack.
pub type Missing = BTreeMap<StackKey, Vec<LeftOut>>;

/// The stacks without the resources whose type isn't in `types`, and what had to go.
///
/// A stack of which nothing is left goes as a whole.
pub(crate) fn reduced(stacks: Vec<Stack>, types: &BTreeSet<String>) -> (Vec<Stack>, Missing) {
    let mut missing = Missing::new();
    let mut kept = Vec::new();
    for mut stack in stacks {
        let (template, left_out) = stack.template.without_unsupported(|resource_type| types.contains(resource_type));
        stack.template = template;
        if !left_out.is_empty() {
            missing.insert(stack.key.clone(), left_out);
        }
        if stack.template.resources().next().is_some() {
            kept.push(stack);
        }
    }
    let there: BTreeSet<StackKey> = kept.iter().map(|stack| stack.key.clone()).collect();
    for stack in &mut kept {
        stack.depends_on.retain(|needed| there.contains(needed));
    }
    (kept, missing)
}
