//! Attaches to what runs in an environment, from any machine: shows it from its beginning to its end, and changes nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use futures::stream::{FuturesUnordered, StreamExt as _};
use infra::environment::{Environment, Target};
use jiff::Timestamp;
use serde::Serialize;

use super::apply::Progress;
use super::cloud::{CallError, Cloud};
use super::draft::{Selection, stacks_of};
use super::lease::{Held, held};
use super::lease_of;
use super::outcome::call_error;
use super::progress::Board;
use super::running::{StackEnd, followed, running};
use super::sdk::Clouds;
use super::system::{Stack, StackKey};
use crate::error::Error;
use crate::reach;
use crate::ui::Ui;

/// Looks at which nothing runs before a deployment that isn't known to hold the lock counts as ended: between two of its stacks
/// it plans, and nothing runs.
const QUIET_LOOKS: u32 = 5;

/// What to watch.
#[derive(Clone, Debug)]
pub struct Options {
    /// The checkout's root folder.
    pub checkout: PathBuf,
    /// Which stacks.
    pub selection: Selection,
}

/// What was seen.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The environment.
    pub environment: String,
    /// Who holds the environment's lock.
    pub lock: Option<Lock>,
    /// How what ran ended, in deploy order; nothing ran when it is empty.
    pub stacks: Vec<StackEnd>,
}

/// Who changes the environment, as the lock says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lock {
    /// Person or workflow run, and machine.
    pub holder: String,
    /// What is done.
    pub command: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when, unless it is renewed.
    pub until: Timestamp,
}

impl From<Held> for Lock {
    fn from(held: Held) -> Self {
        let Held { holder, command, run: _, since, until } = held;
        Self { holder, command, since, until }
    }
}

impl Lock {
    /// The lock in a sentence.
    pub fn says(&self, environment: &str) -> String {
        format!("`{environment}` is held by {} (`{}`, since {})", self.holder, self.command, self.since)
    }
}

impl Report {
    /// Whether all that ran succeeded.
    pub fn is_good(&self) -> bool {
        self.stacks.iter().all(|stack| stack.succeeded)
    }

    /// The report for people, line by line.
    pub fn render(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.lock.iter().map(|lock| lock.says(&self.environment)).collect();
        if self.stacks.is_empty() {
            lines.push(format!("nothing runs in `{}`", self.environment));
        }
        lines.extend(self.stacks.iter().flat_map(StackEnd::render));
        lines
    }
}

/// Watches until nothing runs any more and nobody holds the environment.
///
/// # Errors
/// The cloud can't be asked, or a selection selects nothing.
pub async fn run(ui: &Ui, environment: &Environment, options: &Options) -> Result<Report, Error> {
    let stacks = stacks_of(environment)?;
    options.selection.check(&stacks)?;
    let clouds = reach::clouds(environment, &options.checkout).await?;
    let lock = lock_of(ui, environment, &clouds).await;
    if let Some(lock) = &lock {
        ui.status(&lock.says(environment.environment_name()));
    }
    let chosen: Vec<Stack> = stacks.into_iter().filter(|stack| options.selection.includes(&stack.key)).collect();
    let ends = {
        let board = Board::new(ui);
        watch(&clouds, &chosen, async || is_held(environment, &clouds).await, &board).await
    };
    let stacks = ends.map_err(|error| call_error("what runs can't be followed", error))?;
    Ok(Report { environment: environment.environment_name().to_owned(), lock, stacks })
}

/// Who holds the environment. Not to know it keeps nobody from watching.
pub(super) async fn lock_of(ui: &Ui, environment: &Environment, clouds: &Clouds) -> Option<Lock> {
    if environment.target() == Target::Local {
        return None;
    }
    let found = match lease_of(environment, clouds).await {
        Ok(None) => return None,
        Ok(Some(store)) => held(&store).await.map_err(|error| call_error("the lock can't be read", error)),
        Err(error) => Err(error),
    };
    match found {
        Ok(held) => held.map(Lock::from),
        Err(error) => {
            let causes = error.causes().join(": ");
            ui.status(&format!("who holds `{}` can't be told: {causes}", environment.environment_name()));
            None
        }
    }
}

/// Whether somebody is known to hold the environment now.
async fn is_held(environment: &Environment, clouds: &Clouds) -> bool {
    if environment.target() == Target::Local {
        return false;
    }
    match lease_of(environment, clouds).await {
        Ok(Some(store)) => matches!(held(&store).await, Ok(Some(_))),
        _ => false,
    }
}

/// Follows what runs, and what is begun meanwhile in any of the stacks, until nothing runs; a stack's last end counts.
///
/// Whoever holds the environment may begin something at any time. Where nobody is known to, a few looks tell.
async fn watch(
    cloud: &impl Cloud,
    stacks: &[Stack],
    is_held: impl AsyncFn() -> bool,
    progress: &dyn Progress,
) -> Result<Vec<StackEnd>, CallError> {
    let mut ends: BTreeMap<StackKey, StackEnd> = BTreeMap::new();
    let mut known: BTreeSet<StackKey> = BTreeSet::new();
    let mut following = FuturesUnordered::new();
    let (mut looks, mut quiet) = (0, 0);
    let Some(home) = stacks.first().map(|stack| stack.key.region.as_str()) else { return Ok(Vec::new()) };
    loop {
        for one in running(cloud, stacks).await? {
            if known.insert(one.stack.key.clone()) {
                looks = 0;
                following.push(async move { followed(cloud, &one, progress).await });
            }
        }
        if following.is_empty() {
            let is_held = is_held().await;
            quiet = if is_held { 0 } else { quiet + 1 };
            // Where nothing ran at all, there is nothing to wait for.
            if !is_held && (ends.is_empty() || quiet >= QUIET_LOOKS) {
                let in_order = stacks.iter().filter_map(|stack| ends.remove(&stack.key));
                return Ok(in_order.collect());
            }
        } else {
            quiet = 0;
        }
        tokio::select! {
            biased;
            Some(end) = following.next() => {
                let end = end?;
                known.remove(&end.stack);
                ends.insert(end.stack.clone(), end);
                looks = 0;
            }
            () = cloud.pause(home, looks) => looks += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::fake::FakeCloud;
    use crate::deploy::tests::{Heard, key, system};

    async fn watched(cloud: &FakeCloud) -> (Report, Vec<String>) {
        watched_while_held(cloud, 0).await
    }

    /// Somebody holds the environment for so many looks at the lock.
    async fn watched_while_held(cloud: &FakeCloud, looks: u32) -> (Report, Vec<String>) {
        let heard = Heard::default();
        let left = std::cell::Cell::new(looks);
        let is_held = async || {
            let is_held = left.get() > 0;
            left.set(left.get().saturating_sub(1));
            is_held
        };
        let stacks = watch(cloud, &system(), is_held, &heard).await.unwrap();
        (Report { environment: "test".to_owned(), lock: None, stacks }, heard.0.into_inner())
    }

    #[tokio::test]
    async fn nothing_runs_is_said_at_once() {
        let cloud = FakeCloud::default();
        cloud.set_status(&key("data@us-west-2"), "UPDATE_COMPLETE");
        let (report, heard) = watched(&cloud).await;
        assert_eq!(report.render(), ["nothing runs in `test`"]);
        assert!(report.is_good() && heard.is_empty());
        assert_eq!(cloud.calls.borrow().len(), system().len(), "each stack is looked at once");
        assert_eq!(cloud.writes(), []);
    }

    #[tokio::test]
    async fn what_runs_in_two_regions_is_shown_from_its_beginning() {
        let cloud = FakeCloud::default();
        for region in ["us-west-2", "us-east-1"] {
            let stack = key(&format!("events@{region}"));
            cloud.begin(&stack, "UPDATE_COMPLETE", 0);
            cloud.begin(&stack, "UPDATE_IN_PROGRESS", 3);
            cloud.resource_event(&stack, "Queue", "UPDATE_COMPLETE", None);
        }
        cloud.forget_calls();
        let (report, heard) = watched(&cloud).await;
        assert!(report.is_good());
        assert_eq!(
            report.render(),
            ["events@us-west-2 ended: UPDATE_COMPLETE", "events@us-east-1 ended: UPDATE_COMPLETE"]
        );
        for region in ["us-west-2", "us-east-1"] {
            let of_region: Vec<&String> = heard.iter().filter(|line| line.contains(region)).collect();
            let began = of_region.iter().filter(|line| line.ends_with("tandem-test-events UPDATE_IN_PROGRESS")).count();
            assert_eq!(began, 1, "the beginning is shown, once: {of_region:?}");
            assert!(of_region.iter().any(|line| line.ends_with("Queue UPDATE_COMPLETE")), "{of_region:?}");
        }
        assert_eq!(cloud.writes(), []);
    }

    #[tokio::test]
    async fn a_failure_has_its_cause_its_hint_and_the_next_command() {
        let cloud = FakeCloud::default();
        let stack = key("events@us-west-2");
        cloud.begin(&stack, "UPDATE_IN_PROGRESS", 2);
        cloud.resource_event(&stack, "Queue", "UPDATE_FAILED", Some("Rate exceeded"));
        cloud.ends_in(&stack, "UPDATE_ROLLBACK_COMPLETE");
        let (report, _) = watched(&cloud).await;
        assert!(!report.is_good());
        let lines = report.render();
        assert!(lines[0].starts_with("events@us-west-2 ended in UPDATE_ROLLBACK_COMPLETE: `Queue`"), "{lines:?}");
        assert!(lines[0].ends_with(": Rate exceeded"), "{lines:?}");
        assert!(lines[1].starts_with("  hint: the service refuses more calls"), "{lines:?}");
        assert!(lines[2].contains("`synth deploy --env test`"), "{lines:?}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["stacks"][0]["cause"]["resource"]["logical_id"], "Queue");
    }

    #[tokio::test]
    async fn a_deletion_that_ends_well_leaves_nothing() {
        let cloud = FakeCloud::default();
        cloud.begin(&key("data@us-west-2"), "DELETE_IN_PROGRESS", 2);
        let (report, _) = watched(&cloud).await;
        assert!(report.is_good());
        assert_eq!(report.render(), ["data@us-west-2 ended: gone"]);
    }

    /// Between two stacks a deployment plans, and nothing runs: whoever watches it sees all of it.
    #[tokio::test]
    async fn while_the_environment_is_held_what_comes_next_is_waited_for() {
        let cloud = FakeCloud::default();
        cloud.begin(&key("data@us-west-2"), "UPDATE_IN_PROGRESS", 1);
        cloud.begins_after(30, &key("events@us-west-2"), "CREATE_IN_PROGRESS", 1);
        let (report, _) = watched_while_held(&cloud, 60).await;
        assert_eq!(
            report.render(),
            ["data@us-west-2 ended: UPDATE_COMPLETE", "events@us-west-2 ended: CREATE_COMPLETE"]
        );
        // Also when it is still planning its first one.
        let cloud = FakeCloud::default();
        cloud.begins_after(30, &key("data@us-west-2"), "CREATE_IN_PROGRESS", 1);
        let (report, _) = watched_while_held(&cloud, 60).await;
        assert_eq!(report.render(), ["data@us-west-2 ended: CREATE_COMPLETE"]);
    }

    #[tokio::test]
    async fn where_nobody_is_known_to_hold_it_a_few_looks_tell() {
        let cloud = FakeCloud::default();
        cloud.begin(&key("data@us-west-2"), "UPDATE_IN_PROGRESS", 1);
        cloud.begins_after(QUIET_LOOKS, &key("events@us-west-2"), "CREATE_IN_PROGRESS", 1);
        let (report, _) = watched(&cloud).await;
        assert_eq!(report.stacks.len(), 2, "{report:?}");

        let cloud = FakeCloud::default();
        cloud.begin(&key("data@us-west-2"), "UPDATE_IN_PROGRESS", 1);
        cloud.begins_after(1_000, &key("events@us-west-2"), "CREATE_IN_PROGRESS", 1);
        let (report, _) = watched(&cloud).await;
        assert_eq!(report.stacks.len(), 1, "nobody waits for ever: {report:?}");
    }

    /// A deployment runs several stacks at once: one that takes long hides no other.
    #[tokio::test]
    async fn what_is_begun_beside_a_long_one_is_followed_at_once() {
        let cloud = FakeCloud::default();
        cloud.begin(&key("data@us-west-2"), "UPDATE_IN_PROGRESS", 200);
        cloud.begins_after(4, &key("events@us-east-1"), "CREATE_IN_PROGRESS", 2);
        let (report, heard) = watched(&cloud).await;
        assert_eq!(report.stacks.len(), 2, "{report:?}");
        let place = |line: &str| heard.iter().position(|heard| heard == line).unwrap_or_else(|| panic!("{heard:?}"));
        assert!(place("events@us-east-1: CREATE_COMPLETE") < place("data@us-west-2: UPDATE_COMPLETE"), "{heard:?}");
    }

    /// A stack that comes right after another is followed too.
    #[tokio::test]
    async fn what_is_begun_meanwhile_is_followed() {
        let cloud = FakeCloud::default();
        cloud.begin(&key("data@us-west-2"), "UPDATE_IN_PROGRESS", 1);
        cloud.begins_next(&key("data@us-west-2"), &key("events@us-east-1"), "CREATE_IN_PROGRESS", 1);
        let (report, _) = watched(&cloud).await;
        assert_eq!(
            report.render(),
            ["data@us-west-2 ended: UPDATE_COMPLETE", "events@us-east-1 ended: CREATE_COMPLETE"]
        );
    }

    #[tokio::test]
    async fn throttling_is_outlived_and_a_storm_is_an_error() {
        let cloud = FakeCloud::default();
        cloud.begin(&key("data@us-west-2"), "UPDATE_IN_PROGRESS", 2);
        for operation in ["DescribeStacks", "DescribeStackEvents"] {
            cloud.throttled.borrow_mut().insert(operation, 4);
        }
        assert!(watched(&cloud).await.0.is_good());
        cloud.begin(&key("data@us-west-2"), "UPDATE_IN_PROGRESS", 2);
        cloud.throttled.borrow_mut().insert("DescribeStackEvents", u32::MAX);
        let error = watch(&cloud, &system(), async || false, &Heard::default()).await.unwrap_err();
        assert!(error.to_string().contains("is throttled"), "{error}");
    }
}
