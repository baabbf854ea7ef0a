//! Faults at each call, in each stack, and two runs at once.

use super::*;
use crate::deploy::cloud::CallClass;
use crate::deploy::graph::reversed;
use crate::deploy::lease::Lease;
use crate::deploy::lease::tests::Bucket;
use crate::deploy::outcome::chain;
use crate::deploy::{apply, plan};
use crate::ui::{Format, Ui};

/// A deployed system, and what it shall be: another stack of data with another output, and other code.
async fn before_an_update() -> (Bench, Vec<Stack>) {
    let mut bench = Bench::deployed().await;
    bench.revision = 2;
    let mut stacks = changed_system();
    let changed = stacks[2].template.text().replace("arn:orders", "arn:orders-2");
    stacks[2].template = Template::parse(changed, BTreeMap::new()).unwrap();
    (bench, stacks)
}

async fn before_a_first_deployment() -> (Bench, Vec<Stack>) {
    (Bench::new(), system())
}

/// What a run did, or why it did not begin.
async fn run(bench: &Bench, stacks: Vec<Stack>) -> Result<Applied, plan::PlanError> {
    let code_keys = artifacts(&bench.folder, bench.revision).keys();
    let planned =
        plan::plan(&bench.cloud, Drafted { stacks, context: Vec::new(), code_keys, seen: Seen::new() }).await?;
    Ok(bench.apply(planned).await)
}

/// Everything is as it should be and nothing is left to do.
async fn assert_carried_on(bench: &Bench, stacks: Vec<Stack>, what: &str) {
    let applied = run(bench, stacks.clone()).await.unwrap();
    let summary = summary(&applied);
    assert!(!summary.contains("failed") && !summary.contains("skipped"), "{what}: {summary}");
    assert!(bench.plan(stacks).await.is_nothing(), "{what}");
}

#[derive(Clone, Copy, Debug)]
enum Start {
    Nothing,
    Deployed,
}

impl Start {
    async fn made(self) -> (Bench, Vec<Stack>) {
        match self {
            Self::Nothing => before_a_first_deployment().await,
            Self::Deployed => before_an_update().await,
        }
    }
}

#[tokio::test]
async fn a_call_that_fails_stops_its_stack_alone_and_the_next_run_carries_on() {
    for start in [Start::Nothing, Start::Deployed] {
        let (bench, stacks) = start.made().await;
        run(&bench, stacks).await.unwrap();
        let calls = u32::try_from(bench.cloud.calls.borrow().len()).unwrap();
        assert!(calls > 40, "{calls} calls");
        for class in [CallClass::Denied, CallClass::Refused] {
            for call in 0..calls {
                let what = format!("{start:?}, {class:?}, call {call}");
                let (bench, stacks) = start.made().await;
                bench.cloud.fails_after.set(Some((call, class)));
                let outcome = run(&bench, stacks.clone()).await;
                let failed = bench.cloud.calls.borrow()[call as usize].clone();
                match outcome {
                    // Warnings about a change set that was made are only told where they can be read.
                    Ok(applied) if failed.0 == "DescribeEvents" => {
                        assert_eq!(summary(&applied).matches("failed").count(), 0, "{what}: {}", summary(&applied));
                    }
                    // Nothing was begun.
                    Err(error) => {
                        assert_eq!(bench.cloud.count("ExecuteChangeSet"), 0, "{what}");
                        let told = chain(&error);
                        assert!(told.contains("a fault that was put in"), "{what}: {told}");
                    }
                    Ok(applied) => {
                        let summary = summary(&applied);
                        assert_eq!(summary.matches("failed").count(), 1, "{what}, {failed:?}: {summary}");
                        let told = cause_of(&applied);
                        assert!(told.contains("a fault that was put in"), "{what}: {told}");
                        assert_only_dependents_are_skipped(&applied, &stacks);
                    }
                }
                assert_carried_on(&bench, stacks, &what).await;
            }
        }
    }
}

/// A storm of calls that are throttled or unanswered for a while is nothing that anyone has to know of.
#[tokio::test]
async fn a_call_that_fails_for_a_moment_is_made_again() {
    for start in [Start::Nothing, Start::Deployed] {
        let (bench, stacks) = start.made().await;
        let good = summary(&run(&bench, stacks).await.unwrap());
        let calls = u32::try_from(bench.cloud.calls.borrow().len()).unwrap();
        for class in [CallClass::Throttled, CallClass::Unreachable] {
            for call in 0..calls {
                let (bench, stacks) = start.made().await;
                bench.cloud.fails_after.set(Some((call, class)));
                let applied = run(&bench, stacks.clone()).await.unwrap();
                assert_eq!(summary(&applied), good, "{start:?}, {class:?}, call {call}");
                assert!(bench.plan(stacks).await.is_nothing());
            }
        }
    }
}

#[tokio::test]
async fn a_run_that_is_killed_in_an_update_is_carried_on() {
    let (bench, stacks) = before_an_update().await;
    run(&bench, stacks).await.unwrap();
    let calls = u32::try_from(bench.cloud.calls.borrow().len()).unwrap();
    for call in 0..calls {
        let (bench, stacks) = before_an_update().await;
        bench.cloud.dies_after.set(Some(call));
        // What the killed run reports does not matter: it is gone.
        drop(run(&bench, stacks.clone()).await);
        bench.cloud.dies_after.set(None);
        assert_carried_on(&bench, stacks, &format!("killed after {call} calls")).await;
    }
}

/// Skipped is exactly what depends on the stack that failed, directly or not.
fn assert_only_dependents_are_skipped(applied: &Applied, stacks: &[Stack]) {
    let dependents = reversed(&apply::dependencies_of(stacks.iter()));
    let mut lost: Vec<bool> =
        applied.stacks.iter().map(|(_, outcome)| matches!(outcome, StackOutcome::Failed(_))).collect();
    for node in 0..stacks.len() {
        if lost[node] {
            dependents[node].iter().for_each(|&dependent| lost[dependent] = true);
        }
    }
    for (node, (stack, outcome)) in applied.stacks.iter().enumerate() {
        assert_eq!(!matches!(outcome, StackOutcome::Done(_)), lost[node], "{}: {}", stack.key, summary(applied));
    }
}

#[tokio::test]
async fn a_failure_in_each_stack_stops_only_its_dependents() {
    for (failing, expected) in [
        ("us-west-2/Bucket", "failed created skipped skipped skipped"),
        ("us-east-1/Bucket", "created failed created created skipped"),
        ("us-west-2/Orders", "created created failed skipped skipped"),
        ("us-west-2/Router", "created created created failed created"),
        ("us-east-1/Router", "created created created created failed"),
    ] {
        let bench = Bench::new();
        bench.cloud.failing.borrow_mut().insert(failing.to_owned(), "Internal failure".to_owned());
        let applied = bench.deploy(system()).await;
        assert_eq!(summary(&applied), expected, "{failing}");
        assert_only_dependents_are_skipped(&applied, &system());
        let executed = bench.cloud.count("ExecuteChangeSet");
        assert_eq!(executed, expected.split(' ').filter(|word| *word != "skipped").count(), "{failing}");
        bench.cloud.failing.borrow_mut().clear();
        assert_carried_on(&bench, system(), failing).await;
    }
}

/// Before there is a bucket there is no lock, and CloudFormation alone keeps two runs apart.
#[tokio::test]
async fn two_runs_at_once_end_where_one_does() {
    for start in [Start::Nothing, Start::Deployed] {
        let (bench, stacks) = start.made().await;
        let (one, other) = tokio::join!(run(&bench, stacks.clone()), run(&bench, stacks.clone()));
        for outcome in [one, other] {
            // A change set of a plan may have been swept away before it was read: then nothing was begun.
            let Ok(applied) = outcome else { continue };
            let summary = summary(&applied);
            assert!(!summary.contains("failed"), "{start:?}: {summary}: {}", cause_of(&applied));
        }
        assert!(bench.plan(stacks).await.is_nothing(), "{start:?}");
    }
}

/// With the lock the second run finds nothing to do.
#[tokio::test]
async fn the_run_that_waited_for_the_lock_writes_nothing() {
    let (bench, stacks) = before_an_update().await;
    let bucket = Bucket::default();
    let (ui, _) = Ui::buffered(Format::Human);
    let alone = async |name: &str| {
        let wait = std::time::Duration::from_secs(3_600);
        let lease = Lease::take(&ui, bucket.clone(), name.to_owned(), "synth deploy", wait).await.unwrap();
        bench.cloud.forget_calls();
        let summary = summary(&run(&bench, stacks.clone()).await.unwrap());
        let writes = bench.cloud.writes().len();
        lease.release().await;
        (summary, writes)
    };
    let (first, second) = tokio::join!(alone("first"), alone("second"));
    assert!(first.0.contains("updated") && first.1 > 0, "{first:?}");
    assert_eq!(second, ("unchanged unchanged unchanged unchanged unchanged".to_owned(), 0));
}
