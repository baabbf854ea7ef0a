//! What runs in an environment's stacks at this moment, whoever started it, followed to its end.

use serde::Serialize;

use super::apply::{PARALLEL_STACKS, Progress};
use super::cloud::{CallError, Cloud, Observed, StackRef, Standing, Status, patiently};
use super::failure::{RootCause, root_cause};
use super::follow::{Followed, follow, watch_running};
use super::graph::{self, Ended};
use super::system::{Stack, StackKey};
use super::way_out::way_out;

/// A stack in which something runs.
#[derive(Clone, Debug)]
pub(crate) struct Running {
    pub(crate) stack: Stack,
    pub(crate) observed: Observed,
}

/// How what ran in a stack ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StackEnd {
    /// The stack.
    pub stack: StackKey,
    /// Its status when it was found.
    pub was: Status,
    /// Its status now; none when it is gone.
    pub is: Option<Status>,
    /// Whether what was begun succeeded: a rollback undoes what failed.
    pub succeeded: bool,
    /// Why not.
    pub cause: Option<RootCause>,
    /// The next command, when it didn't.
    pub next: Option<String>,
}

impl StackEnd {
    /// The end for people, line by line.
    pub fn render(&self) -> Vec<String> {
        let now = self.is.as_ref().map_or("gone", Status::as_str);
        let mut lines = vec![match (&self.cause, self.succeeded) {
            // It names stack and status.
            (Some(cause), _) => cause.to_string(),
            (None, _) => format!("{} ended: {now}", self.stack),
        }];
        let hint = self.cause.as_ref().and_then(|cause| cause.hint);
        lines.extend(hint.map(|hint| format!("  hint: {hint}")));
        lines.extend(self.next.as_ref().map(|next| format!("  next: {next}")));
        lines
    }
}

/// The stacks in which something runs now.
pub(crate) async fn running(cloud: &impl Cloud, stacks: &[Stack]) -> Result<Vec<Running>, CallError> {
    let look = async |stack: &Stack| {
        let target = StackRef { region: &stack.key.region, name: &stack.cloudformation_name };
        patiently(cloud, target.region, async || cloud.stack(target).await).await
    };
    let observed = each(stacks, look).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    let busy = stacks.iter().zip(observed).filter_map(|(stack, observed)| {
        let observed = observed.filter(|observed| observed.status.standing() == Standing::Busy)?;
        Some(Running { stack: stack.clone(), observed })
    });
    Ok(busy.collect())
}

/// Follows what runs in a stack from its beginning to its end.
pub(crate) async fn followed(
    cloud: &impl Cloud,
    running: &Running,
    progress: &dyn Progress,
) -> Result<StackEnd, CallError> {
    let Running { stack, observed } = running;
    progress.phase(stack, observed.status.as_str());
    // By id: once it is deleted, its name finds nothing, or another one.
    let target = StackRef { region: &stack.key.region, name: &observed.id };
    let watch = watch_running(cloud, target).await?;
    let ended = follow(cloud, target, watch, |event| progress.event(stack, event)).await?;
    let end = end_of(running, &ended);
    progress.phase(stack, end.is.as_ref().map_or("gone", Status::as_str));
    Ok(end)
}

/// What the end of an operation means.
pub(crate) fn end_of(running: &Running, ended: &Followed) -> StackEnd {
    let Running { stack, observed: before } = running;
    let after = ended.observed.as_ref().filter(|after| after.status.standing() != Standing::Deleted);
    let deletes = before.status.as_str() == "DELETE_IN_PROGRESS";
    let succeeded = match after {
        None => deletes,
        Some(after) => !deletes && after.status.standing() == Standing::Good,
    };
    let cause = (!succeeded).then(|| {
        let gone = Status::new("DELETE_COMPLETE");
        let (status, reason) = after.map_or((&gone, None), |after| (&after.status, after.status_reason.as_deref()));
        root_cause(stack, status, reason, &ended.events)
    });
    StackEnd {
        stack: stack.key.clone(),
        was: before.status.clone(),
        is: after.map(|after| after.status.clone()),
        succeeded,
        cause,
        next: after
            .filter(|_| !succeeded)
            .and_then(|after| way_out(stack, &after.status, after.status_reason.as_deref())),
    }
}

/// Does the same for each, some at the same time; the answers are in order.
pub(crate) async fn each<'s, S, T, F>(items: &'s [S], work: impl Fn(&'s S) -> F) -> Vec<T>
where
    F: Future<Output = T>,
{
    let independent = vec![Vec::new(); items.len()];
    let one_lane = vec![(); items.len()];
    let ended = graph::run(&independent, &one_lane, PARALLEL_STACKS, |node| {
        let work = work(&items[node]);
        async move { Ok::<T, std::convert::Infallible>(work.await) }
    });
    let done = ended.await.into_iter().filter_map(|ended| match ended {
        Ended::Done(done) => Some(done),
        Ended::Failed(never) => match never {},
        // Nothing depends on anything.
        Ended::Skipped { .. } => None,
    });
    done.collect()
}
