//! Proves after a deployment that what runs is what was built: code digests and event source mappings.

use std::collections::BTreeMap;

use futures::future::try_join_all;

use super::cloud::{CallError, Cloud, StackRef, patiently};
use super::system::{Stack, StackKey};
use crate::artifacts::Artifacts;

/// Looks at a mapping that is being made or changed before it counts as not enabled.
const MAPPING_LOOKS: u32 = 60;

/// What a function of a stack runs.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct FunctionCode {
    /// The stack, which also says the region.
    pub stack: StackKey,
    /// The function's name.
    pub function: String,
    /// The program it should run.
    pub program: String,
    /// Base64 SHA-256 of the code that it runs; none when it isn't there.
    pub runs: Option<String>,
    /// Base64 SHA-256 of the code that was built; none when nothing was built.
    pub built: Option<String>,
}

impl FunctionCode {
    /// Whether it runs what was built.
    pub fn is_current(&self) -> bool {
        self.runs.is_some() && self.runs == self.built
    }
}

/// A mapping from a stream to a function that does not deliver.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct IdleMapping {
    /// The stack, which also says the region.
    pub stack: StackKey,
    /// The mapping's logical id.
    pub mapping: String,
    /// Its state.
    pub state: String,
}

/// What all functions of the stacks run.
pub(crate) async fn function_codes(
    cloud: &impl Cloud,
    stacks: &[&Stack],
    artifacts: &Artifacts,
) -> Result<Vec<FunctionCode>, CallError> {
    let of_stack = async |stack: &Stack| {
        let (key, functions) = (&stack.key, stack.functions());
        if functions.is_empty() {
            return Ok(Vec::new());
        }
        let physical = physical_ids(cloud, stack).await?;
        let mut codes = Vec::new();
        for (logical_id, program) in functions {
            let function = physical.get(logical_id).cloned().unwrap_or_else(|| logical_id.to_owned());
            let runs = patiently(cloud, &key.region, async || cloud.code_digest(&key.region, &function).await).await?;
            let built = artifacts.get(program).map(|artifact| artifact.digest.clone());
            codes.push(FunctionCode { stack: key.clone(), function, program: program.to_owned(), runs, built });
        }
        Ok::<_, CallError>(codes)
    };
    let codes = try_join_all(stacks.iter().map(|stack| of_stack(stack))).await?;
    Ok(codes.into_iter().flatten().collect())
}

/// Mappings of the stacks that are not enabled, after waiting for those that are just being made.
pub(crate) async fn idle_mappings(cloud: &impl Cloud, stacks: &[&Stack]) -> Result<Vec<IdleMapping>, CallError> {
    let of_stack = async |stack: &Stack| {
        let mappings: Vec<&str> = stack
            .template
            .resources()
            .filter(|(_, resource)| resource["Type"] == "AWS::Lambda::EventSourceMapping")
            .map(|(logical_id, _)| logical_id)
            .collect();
        if mappings.is_empty() {
            return Ok(Vec::new());
        }
        let physical = physical_ids(cloud, stack).await?;
        let mut idle = Vec::new();
        for logical_id in mappings {
            let state = match physical.get(logical_id) {
                Some(mapping) => settled_state(cloud, &stack.key.region, mapping).await?,
                None => "missing".to_owned(),
            };
            if state != "Enabled" {
                idle.push(IdleMapping { stack: stack.key.clone(), mapping: logical_id.to_owned(), state });
            }
        }
        Ok::<_, CallError>(idle)
    };
    let idle = try_join_all(stacks.iter().map(|stack| of_stack(stack))).await?;
    Ok(idle.into_iter().flatten().collect())
}

async fn settled_state(cloud: &impl Cloud, region: &str, mapping: &str) -> Result<String, CallError> {
    let mut attempt = 0;
    loop {
        let state = patiently(cloud, region, async || cloud.mapping_state(region, mapping).await).await?;
        let settling = matches!(state.as_str(), "Creating" | "Enabling" | "Updating");
        if !settling || attempt >= MAPPING_LOOKS {
            return Ok(state);
        }
        cloud.pause(region, attempt).await;
        attempt += 1;
    }
}

async fn physical_ids(cloud: &impl Cloud, stack: &Stack) -> Result<BTreeMap<String, String>, CallError> {
    let region = &stack.key.region;
    let target = StackRef { region, name: &stack.cloudformation_name };
    let resources = patiently(cloud, region, async || cloud.resources(target).await).await?;
    Ok(resources.into_iter().map(|resource| (resource.logical_id, resource.physical_id)).collect())
}
