//! Breaks off what runs in an environment, as far as CloudFormation can, and follows it until it is undone.
//!
//! It doesn't take the environment's lock: the run that is broken off holds it. That run sees its stack rolled back and says
//! so. Only an update can be cancelled; what begins a stack can only be ended by deleting it.

use std::path::PathBuf;

use infra::environment::{Environment, Target};
use serde::Serialize;

use super::apply::{Progress, StackError, delete_and_follow};
use super::cloud::{CallClass, CallError, Cloud, StackRef, Standing, Status, patiently};
use super::destroy::retained;
use super::draft::{Selection, stacks_of};
use super::failure::RootCause;
use super::follow::{follow, watch_running};
use super::outcome::call_error;
use super::progress::Board;
use super::running::{Running, StackEnd, each, end_of, running};
use super::system::{Stack, StackKey};
use super::watch::{Lock, lock_of};
use super::way_out::{again, way_out};
use crate::error::Error;
use crate::reach;
use crate::ui::Ui;

/// What to break off.
#[derive(Clone, Debug)]
pub struct Options {
    /// The checkout's root folder.
    pub checkout: PathBuf,
    /// Which stacks.
    pub selection: Selection,
    /// Don't ask before AWS is changed.
    pub assume_yes: bool,
    /// Delete stacks that are just being created.
    pub delete_creating: bool,
}

/// What came of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The environment.
    pub environment: String,
    /// Who holds the environment's lock.
    pub lock: Option<Lock>,
    /// What ran, in deploy order, and what became of it.
    pub stacks: Vec<Broken>,
}

/// What became of what ran in a stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    /// The stack.
    pub stack: StackKey,
    /// Its status when it was found.
    pub was: Status,
    /// Its status now; none when it is gone.
    pub is: Option<Status>,
    /// What came of it.
    pub result: BreakResult,
    /// What failed, where something did.
    pub cause: Option<RootCause>,
    /// What to do next.
    pub next: Option<String>,
}

/// What came of breaking off what runs in a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakResult {
    /// The update is undone.
    Cancelled,
    /// The stack that was being created is deleted.
    Deleted,
    /// It ended before it could be broken off.
    EndedByItself,
    /// It goes on: it can't be broken off, or it has begun meanwhile.
    GoesOn,
    /// It was broken off, and what should follow failed.
    Failed,
}

impl Report {
    /// Whether nothing goes on and nothing failed.
    pub fn is_good(&self) -> bool {
        self.stacks.iter().all(|stack| !matches!(stack.result, BreakResult::GoesOn | BreakResult::Failed))
    }

    /// The report for people, line by line.
    pub fn render(&self) -> Vec<String> {
        if self.stacks.is_empty() {
            let mut lines = vec![format!("nothing runs in `{}`", self.environment)];
            lines.extend(self.lock.iter().map(|lock| {
                format!("  next: {}: stop that run, or it begins what comes next", lock.says(&self.environment))
            }));
            return lines;
        }
        self.stacks.iter().flat_map(Broken::render).collect()
    }
}

impl Broken {
    fn render(&self) -> Vec<String> {
        let Self { stack, was, is, result, cause, next } = self;
        let now = is.as_ref().map_or("gone", Status::as_str);
        let mut lines = vec![match result {
            BreakResult::Cancelled => format!("{stack}: the update is cancelled and undone, {now}"),
            BreakResult::Deleted => format!("{stack}: the creation is broken off, the stack is deleted"),
            BreakResult::EndedByItself => format!("{stack}: it ended before it could be broken off, {now}"),
            BreakResult::GoesOn => format!("{stack}: {was} goes on"),
            BreakResult::Failed => format!("{stack}: it ended, but it isn't undone, {now}"),
        }];
        lines.extend(cause.as_ref().map(|cause| format!("  {cause}")));
        lines.extend(cause.as_ref().and_then(|cause| cause.hint).map(|hint| format!("  hint: {hint}")));
        lines.extend(next.as_ref().map(|next| format!("  next: {next}")));
        lines
    }
}

/// What can be done about something that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Way {
    /// The update can be cancelled.
    Cancel,
    /// The stack that is being created can be deleted.
    Delete,
    /// Nothing, and what to do instead.
    None { instead: String },
}

impl Way {
    fn of(running: &Running, delete_creating: bool) -> Self {
        let Running { stack, observed } = running;
        let (name, region) = (&stack.cloudformation_name, &stack.key.region);
        let follow = || way_out(stack, &observed.status, None).unwrap_or_default();
        match observed.status.as_str() {
            "UPDATE_IN_PROGRESS" => Self::Cancel,
            "CREATE_IN_PROGRESS" if delete_creating => Self::Delete,
            "CREATE_IN_PROGRESS" => {
                let role = stack.role.as_ref().map(|role| format!(" --role-arn {role}")).unwrap_or_default();
                Self::None {
                    instead: format!(
                        "a creation can't be cancelled, but ended by deleting the stack: cancel with `--delete-creating`, \
                         or run `aws cloudformation delete-stack --stack-name {name} --region {region}{role}`"
                    ),
                }
            }
            "DELETE_IN_PROGRESS" => {
                Self::None { instead: format!("a deletion can't be cancelled: {}, then deploy again", follow()) }
            }
            "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS" => Self::None {
                instead: format!(
                    "the update is through, and what it replaced is being removed: {}; deploy the earlier commit to go \
                     back",
                    follow()
                ),
            },
            status if status.contains("ROLLBACK") => {
                Self::None { instead: format!("it is being undone already: {}", follow()) }
            }
            _ => Self::None { instead: format!("CloudFormation can cancel updates only: {}", follow()) },
        }
    }

    /// What is about to happen, for the question.
    fn says(&self, running: &Running) -> String {
        let Running { stack, observed } = running;
        let (key, status) = (&stack.key, &observed.status);
        match self {
            Self::Cancel => format!("{key}: {status} is cancelled and undone"),
            Self::Delete => {
                let kept: Vec<String> = retained(stack).map(|kept| format!("`{}`", kept.logical_id)).collect();
                let kept = if kept.is_empty() {
                    String::new()
                } else {
                    format!("; what is made of {} already stays in the account", kept.join(", "))
                };
                format!("{key}: {status} ends, and the stack is deleted{kept}")
            }
            Self::None { instead } => format!("{key}: {status} goes on; {instead}"),
        }
    }
}

/// Breaks off what runs, after asking, and follows it to its end.
///
/// # Errors
/// The cloud can't be asked, a selection selects nothing, or nobody agreed.
pub async fn run(ui: &Ui, environment: &Environment, options: &Options) -> Result<Report, Error> {
    let stacks = stacks_of(environment)?;
    options.selection.check(&stacks)?;
    let clouds = reach::clouds(environment, &options.checkout).await?;
    let unreadable = |error| call_error("what runs can't be read", error);
    let chosen: Vec<Stack> = stacks.into_iter().filter(|stack| options.selection.includes(&stack.key)).collect();
    let busy = running(&clouds, &chosen).await.map_err(unreadable)?;
    let name = environment.environment_name();
    let lock = lock_of(ui, environment, &clouds).await;
    let mut report = Report { environment: name.to_owned(), lock, stacks: Vec::new() };
    if busy.is_empty() {
        return Ok(report);
    }
    let work: Vec<(Running, Way)> = busy
        .into_iter()
        .map(|one| (Way::of(&one, options.delete_creating), one))
        .map(|(way, one)| (one, way))
        .collect();
    agree(ui, environment, &report, &work, options.assume_yes).await?;
    report.stacks = {
        let board = Board::new(ui);
        break_off(&clouds, &work, &board).await?
    };
    let begun = begun_meanwhile(&clouds, &chosen, &report).await;
    let begun = begun.map_err(|error| with(unreadable(error), &report.stacks))?;
    report.stacks.extend(begun);
    Ok(report)
}

/// What runs now and was not there to be broken off: the run that was broken off goes on with what doesn't depend on it.
async fn begun_meanwhile(cloud: &impl Cloud, stacks: &[Stack], report: &Report) -> Result<Vec<Broken>, CallError> {
    let next = match &report.lock {
        Some(_) => "the run that holds the lock goes on; stop it, then cancel again",
        None => "it has begun meanwhile; stop the run that began it, then cancel again",
    };
    let is_told =
        |key: &StackKey| report.stacks.iter().any(|one| one.stack == *key && one.result == BreakResult::GoesOn);
    let busy = running(cloud, stacks).await?.into_iter().filter(|one| !is_told(&one.stack.key));
    let goes_on = |Running { stack, observed }| Broken {
        stack: stack.key,
        was: observed.status.clone(),
        is: Some(observed.status),
        result: BreakResult::GoesOn,
        cause: None,
        next: Some(next.to_owned()),
    };
    Ok(busy.map(goes_on).collect())
}

/// Shows what will happen, and asks on AWS where something will.
async fn agree(
    ui: &Ui,
    environment: &Environment,
    report: &Report,
    work: &[(Running, Way)],
    yes: bool,
) -> Result<(), Error> {
    let changes = work.iter().any(|(_, way)| !matches!(way, Way::None { .. }));
    let is_asked = changes && !yes && environment.target() == Target::Aws;
    let lock = report.lock.iter().map(|lock| lock.says(environment.environment_name()));
    for line in lock.chain(work.iter().map(|(running, way)| way.says(running))) {
        // Nobody can agree to what isn't shown.
        if is_asked { ui.notice(&line) } else { ui.status(&line) }
    }
    if !is_asked {
        return Ok(());
    }
    let question = format!(
        "break off what runs in environment `{}` of account {}?",
        environment.environment_name(),
        environment.account()
    );
    match ui.confirm(&question).await {
        Some(true) => Ok(()),
        Some(false) => Err(Error::refused("it was declined, so everything goes on")),
        None => Err(Error::refused("nobody can be asked, so everything goes on")
            .hint("look at what runs above, then cancel with `--yes`")),
    }
}

/// Breaks off all of it at the same time; the first failed call is the error, after all have ended.
async fn break_off(cloud: &impl Cloud, work: &[(Running, Way)], progress: &dyn Progress) -> Result<Vec<Broken>, Error> {
    let done = each(work, |(running, way)| async move {
        match way {
            Way::Cancel => cancelled(cloud, running, progress).await,
            Way::Delete => deleted(cloud, running, progress).await,
            Way::None { instead } => Ok(Broken {
                stack: running.stack.key.clone(),
                was: running.observed.status.clone(),
                is: Some(running.observed.status.clone()),
                result: BreakResult::GoesOn,
                cause: None,
                next: Some(instead.clone()),
            }),
        }
    });
    let mut broken = Vec::new();
    let mut failed: Option<Error> = None;
    for one in done.await {
        match one {
            Ok(one) => broken.push(one),
            Err(error) => {
                failed = Some(failed.map_or_else(|| error_of(&error), |known| known.detail(error.to_string())));
            }
        }
    }
    // What was done is part of the error, because there is no answer beside it.
    match failed {
        Some(error) => Err(with(error, &broken)),
        None => Ok(broken),
    }
}

/// The error with what was done.
fn with(error: Error, broken: &[Broken]) -> Error {
    let lines = broken.iter().flat_map(Broken::render);
    lines.fold(error, Error::detail).hint("see `synth status`, and cancel again")
}

fn error_of(error: &StackError) -> Error {
    match error {
        StackError::Call(call) => {
            Error::remote("not everything could be broken off").detail(format!("{call}: {}", call.source))
        }
        other => Error::remote("not everything could be broken off").detail(other.to_string()),
    }
}

/// Cancels an update and follows its rollback.
async fn cancelled(cloud: &impl Cloud, running: &Running, progress: &dyn Progress) -> Result<Broken, StackError> {
    let Running { stack, observed } = running;
    let target = StackRef { region: &stack.key.region, name: &observed.id };
    progress.phase(stack, "cancelling");
    let watch = watch_running(cloud, target).await?;
    // One request, however often it is sent: a second one would meet the rollback.
    let token = format!("cancel-{}", cloud.change_set_name());
    let asked = patiently(cloud, target.region, async || cloud.cancel_update(target, &token).await).await;
    let was_late = match asked {
        Ok(()) => false,
        // It is through, or somebody else was faster; what follows shows which.
        Err(error) if matches!(error.class, CallClass::Refused | CallClass::NotFound) => {
            let now = patiently(cloud, target.region, async || cloud.stack(target).await).await?;
            if now.is_some_and(|now| now.status.as_str() == "UPDATE_IN_PROGRESS") {
                return Err(error.into());
            }
            true
        }
        Err(error) => return Err(error.into()),
    };
    let ended = follow(cloud, target, watch, |event| progress.event(stack, event)).await?;
    let StackEnd { stack: key, was, is, succeeded: _, cause, next } = end_of(running, &ended);
    let standing = is.as_ref().map(Status::standing);
    let result = match (was_late, standing) {
        (false, Some(Standing::RolledBack)) => BreakResult::Cancelled,
        (_, Some(Standing::RolledBack | Standing::Good) | None) => BreakResult::EndedByItself,
        _ => BreakResult::Failed,
    };
    progress.phase(stack, is.as_ref().map_or("gone", Status::as_str));
    let (cause, next) = match result {
        // It has no cause but this command.
        BreakResult::Cancelled => (None, Some(format!("{}, when the change shall be made after all", again(stack)))),
        _ => (cause, next),
    };
    Ok(Broken { stack: key, was, is, result, cause, next })
}

/// Deletes a stack that is being created.
async fn deleted(cloud: &impl Cloud, running: &Running, progress: &dyn Progress) -> Result<Broken, StackError> {
    let Running { stack, observed } = running;
    let target = StackRef { region: &stack.key.region, name: &observed.id };
    // What is through by now is a stack like any other, and not this command's to delete.
    let now = patiently(cloud, target.region, async || cloud.stack(target).await).await?;
    if now.as_ref().is_none_or(|now| now.status.as_str() != "CREATE_IN_PROGRESS") {
        let ended =
            follow(cloud, target, watch_running(cloud, target).await?, |event| progress.event(stack, event)).await?;
        let StackEnd { stack, was, is, succeeded: _, cause, next } = end_of(running, &ended);
        return Ok(Broken { stack, was, is, result: BreakResult::EndedByItself, cause, next });
    }
    progress.phase(stack, "deleting");
    let outcome = delete_and_follow(cloud, stack, observed, |event| progress.event(stack, event)).await;
    let (is, result, cause) = match outcome {
        Ok(()) => (None, BreakResult::Deleted, None),
        Err(StackError::Operation(cause)) => (Some(cause.status.clone()), BreakResult::Failed, Some(*cause)),
        Err(error) => return Err(error),
    };
    let next = match &is {
        // What failed names the resources.
        Some(status) => cause.as_ref().and_then(|cause| cause.next.clone()).or_else(|| way_out(stack, status, None)),
        None => Some(again(stack)),
    };
    progress.phase(stack, is.as_ref().map_or("gone", Status::as_str));
    Ok(Broken { stack: stack.key.clone(), was: observed.status.clone(), is, result, cause, next })
}

#[cfg(test)]
mod tests;
