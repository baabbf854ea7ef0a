//! Turns a stack's inputs into parameter values, as far as they are known now.

use std::collections::{BTreeMap, BTreeSet};

use super::cloud::{CallError, Cloud, patiently};
use super::system::{ACCESS_STACK, BUCKET_OUTPUT, DELIVERY_STACK, Source, Stack, StackKey};

/// Outputs of deployed stacks, by stack.
pub(crate) type Outputs = BTreeMap<StackKey, BTreeMap<String, String>>;

/// Keys of the programs' code in the artifact buckets, by program.
pub(crate) type CodeKeys = BTreeMap<String, String>;

/// Why an input has no value though everything it depends on is deployed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("parameter `{parameter}` needs output `{output}` of {stack}, which has no such output")]
    NoOutput { parameter: String, stack: StackKey, output: String },
    #[error("parameter `{parameter}` needs the stream of table `{table}`, which has none in {region}")]
    NoStream { parameter: String, table: String, region: String },
    #[error("parameter `{parameter}` needs the code of program `{program}`, which was not built")]
    NoCode { parameter: String, program: String },
    #[error(transparent)]
    Call(#[from] CallError),
}

/// The stack's parameters, or the stacks that must be deployed before they are known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Resolved {
    Known(BTreeMap<String, String>),
    After(BTreeSet<StackKey>),
}

/// The stacks (among `changing`) whose deployment decides about the inputs of `stack`.
///
/// A table's stream belongs to one of the stacks that `stack` depends on, so any change there counts. So does a change
/// of the stack that makes the role it is deployed with: CloudFormation takes no change set with a role that isn't there.
fn waits_for(stack: &Stack, changing: &BTreeSet<StackKey>) -> BTreeSet<StackKey> {
    let mut waits = BTreeSet::new();
    if stack.role.is_some() {
        let roles = stack.depends_on.iter().filter(|needed| needed.name == ACCESS_STACK && changing.contains(needed));
        waits.extend(roles.cloned());
    }
    waits.extend(stack.inputs.values().flat_map(|source| waits_of(stack, source, changing)));
    waits
}

/// The stacks among `changing` that decide about one input.
fn waits_of(stack: &Stack, source: &Source, changing: &BTreeSet<StackKey>) -> Vec<StackKey> {
    let among = |key: StackKey| changing.contains(&key).then_some(key);
    match source {
        Source::StackOutput { stack: producer, .. } => among(producer.clone()).into_iter().collect(),
        Source::TableStream { .. } => stack.depends_on.iter().cloned().filter_map(among).collect(),
        Source::CodeBucket => among(delivery_of(stack)).into_iter().collect(),
        Source::CodeKey { .. } => Vec::new(),
    }
}

/// The values of the stack's parameters, or what they wait for when one of `changing` decides about them.
pub(crate) async fn resolve(
    cloud: &impl Cloud,
    stack: &Stack,
    outputs: &Outputs,
    code_keys: &CodeKeys,
    changing: &BTreeSet<StackKey>,
) -> Result<Resolved, InputError> {
    let waits = waits_for(stack, changing);
    if !waits.is_empty() {
        return Ok(Resolved::After(waits));
    }
    let mut parameters = BTreeMap::new();
    for (parameter, source) in &stack.inputs {
        let value = value_of(cloud, stack, parameter, source, outputs, code_keys).await?;
        parameters.insert(parameter.clone(), value);
    }
    Ok(Resolved::Known(parameters))
}

/// A parameter's value as far as it is known before anything is deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Value(String),
    /// A deployment of another stack decides about it.
    Later,
}

impl From<Known> for diff::ParameterValue {
    fn from(known: Known) -> Self {
        match known {
            Known::Value(value) => Self::Known(value),
            Known::Later => Self::KnownAfterApply,
        }
    }
}

/// What is known of the stack's parameters while `changing` are yet to be deployed; `code` has the key of a program's code
/// by parameter, where there is one.
pub(crate) async fn known(
    cloud: &impl Cloud,
    stack: &Stack,
    outputs: &Outputs,
    changing: &BTreeSet<StackKey>,
    code: impl Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, Known>, InputError> {
    let mut parameters = BTreeMap::new();
    for (parameter, source) in &stack.inputs {
        let waits = !waits_of(stack, source, changing).is_empty();
        let value = match source {
            Source::CodeKey { .. } => code(parameter).map_or(Known::Later, Known::Value),
            _ if waits => Known::Later,
            _ => match value_of(cloud, stack, parameter, source, outputs, &CodeKeys::new()).await {
                Ok(value) => Known::Value(value),
                // It comes with a stack that isn't there yet.
                Err(InputError::NoOutput { .. } | InputError::NoStream { .. }) => Known::Later,
                Err(error) => return Err(error),
            },
        };
        parameters.insert(parameter.clone(), value);
    }
    Ok(parameters)
}

async fn value_of(
    cloud: &impl Cloud,
    stack: &Stack,
    parameter: &str,
    source: &Source,
    outputs: &Outputs,
    code_keys: &CodeKeys,
) -> Result<String, InputError> {
    let output_of = |producer: &StackKey, output: &str| {
        let value = outputs.get(producer).and_then(|outputs| outputs.get(output)).cloned();
        value.ok_or_else(|| InputError::NoOutput {
            parameter: parameter.to_owned(),
            stack: producer.clone(),
            output: output.to_owned(),
        })
    };
    match source {
        Source::StackOutput { stack: producer, output } => output_of(producer, output),
        Source::CodeBucket => output_of(&delivery_of(stack), BUCKET_OUTPUT),
        Source::CodeKey { program } => code_keys
            .get(program)
            .cloned()
            .ok_or_else(|| InputError::NoCode { parameter: parameter.to_owned(), program: program.clone() }),
        Source::TableStream { table } => {
            let region = &stack.key.region;
            let arn = patiently(cloud, region, async || cloud.stream_arn(region, table).await).await?;
            arn.ok_or_else(|| InputError::NoStream {
                parameter: parameter.to_owned(),
                table: table.clone(),
                region: region.clone(),
            })
        }
    }
}

/// The stack that holds the artifact bucket of the stack's region.
pub(crate) fn delivery_of(stack: &Stack) -> StackKey {
    StackKey::new(DELIVERY_STACK, stack.key.region.clone())
}
