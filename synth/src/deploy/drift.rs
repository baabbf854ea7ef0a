//! Whether what is live is still what was deployed.
//!
//! CloudFormation compares each resource with its deployed template, for those types and properties that it can read. What it
//! can't is told: types without drift detection, resources that it failed to read, properties that no service gives back. One
//! of those is looked at in another way: the code that functions run has a digest, and the deployed one is in the name of its
//! object. Nothing is changed.

mod report;
mod search;

use std::path::PathBuf;

use infra::environment::Environment;

use super::cloud::{CallError, Cloud};
use super::draft::{Selection, stacks_of};
use super::outcome::call_error;
use super::running::each;
use super::system::{Stack, StackKey};
use crate::error::Error;
use crate::reach;
use crate::ui::{Live, Ui};
use search::{Looked, is_any_there, look_at};

pub use report::{Report, Unchecked, Unseen};

/// What to look at.
#[derive(Clone, Debug)]
pub struct Options {
    /// The checkout's root folder.
    pub checkout: PathBuf,
    /// Which stacks.
    pub selection: Selection,
}

/// Looks for drift in the environment's stacks.
///
/// # Errors
/// The cloud can't be asked, no stack could be looked at, or a selection selects nothing.
pub async fn run(ui: &Ui, environment: &Environment, options: &Options) -> Result<Report, Error> {
    let stacks = stacks_of(environment)?;
    options.selection.check(&stacks)?;
    let clouds = reach::clouds(environment, &options.checkout).await?;
    let (chosen, others): (Vec<Stack>, Vec<Stack>) =
        stacks.into_iter().partition(|stack| options.selection.includes(&stack.key));
    let live = ui.live();
    searched(&clouds, environment.environment_name(), (&chosen, &others), &live).await
}

async fn searched(
    cloud: &impl Cloud,
    environment: &str,
    (chosen, others): (&[Stack], &[Stack]),
    live: &Live<'_>,
) -> Result<Report, Error> {
    let looked = each(chosen, |stack| async move {
        let row = stack.key.to_string();
        live.row(&row, "looking");
        let looked = look_at(cloud, stack).await;
        live.row(&row, looked.as_ref().map_or("failed", Looked::says));
        (stack.key.clone(), looked)
    });
    let mut report = of(environment, looked.await)?;
    // An environment that was never deployed lacks nothing; of one that was, somebody may have deleted what is missing.
    if !report.not_deployed.is_empty() {
        let is_there = report.not_deployed.len() < chosen.len()
            || is_any_there(cloud, others)
                .await
                .map_err(|error| call_error("what is deployed can't be read", error))?;
        report.missing(is_there);
    }
    Ok(report)
}

/// One that can't be looked at doesn't hide the others; all that can't are an error.
fn of(environment: &str, looked: Vec<(StackKey, Result<Looked, CallError>)>) -> Result<Report, Error> {
    let mut report = Report::new(environment);
    let mut found = Vec::new();
    let mut failed: Option<CallError> = None;
    let (mut bad, all) = (0, looked.len());
    for (key, looked) in looked {
        match looked {
            Ok(Looked::Absent) => report.not_deployed.push(key),
            Ok(Looked::Unsettled(reason)) => report.unchecked.push(Unchecked::stack(&key, reason)),
            Ok(Looked::Found(one)) => found.push(one),
            Err(error) => {
                bad += 1;
                report.unchecked.push(Unchecked::stack(&key, format!("{error}: {}", error.source)));
                failed = failed.or(Some(error));
            }
        }
    }
    if let Some(error) = failed.filter(|_| bad == all) {
        return Err(call_error("no stack can be looked at", error));
    }
    for one in &mut found {
        report.unchecked.append(&mut one.unchecked);
        report.unseen.append(&mut one.unseen);
    }
    report.diff = diff::drift(&found.iter().map(search::Found::live).collect::<Vec<_>>());
    Ok(report)
}

#[cfg(test)]
mod tests;
