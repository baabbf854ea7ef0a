//! Convergence: whatever happens on the way, the table ends as the source's log says.
//!
//! The real pipeline and its lanes run over a log, a table and a dead-letter topic in memory, where a list of numbers decides what
//! happens next: which message arrives, which request is done and what its asker hears of it, which wait ends, which partition
//! moves, who is thrown out, who dies. So a run is a function of its numbers, and proptest finds the shortest list that fails.

#[path = "convergence/history.rs"]
mod history;
#[path = "convergence/network.rs"]
mod network;
#[path = "convergence/run.rs"]
mod run;

use contracts::Coalescing;
use history::{History, events};
use network::{Flaw, Seen};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use run::run;

fn picks() -> impl Strategy<Value = Vec<u32>> {
    proptest::collection::vec(any::<u32>(), 0..400)
}

fn coalescing() -> impl Strategy<Value = Coalescing> {
    prop_oneof![Just(Coalescing::Never), Just(Coalescing::Waiting)]
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::default() })]
    #[test]
    fn the_table_is_the_fold_of_the_log(events in events(), picks in picks(), coalescing in coalescing()) {
        run(&History::of(&events), &picks, coalescing, Flaw::None)?;
    }
}

/// The property would mean nothing if little went wrong on the way.
#[test]
fn runs_are_full_of_trouble() {
    let mut total = Seen::new();
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    for _ in 0..200 {
        let (events, picks, coalescing) =
            (events(), picks(), coalescing()).new_tree(&mut runner).expect("a case").current();
        for (what, count) in run(&History::of(&events), &picks, coalescing, Flaw::None).expect("it converges") {
            *total.entry(what).or_default() += count;
        }
    }
    for what in [
        "a row is written",
        "a row is merged",
        "duplicate",
        "stale",
        "a change waits for its row",
        "changes are written as one",
        "changes can't be written as one",
        "a move is done at once",
        "a move is done in halves",
        "a request is done twice",
        "a request is done when its asker is gone",
        "an answer of the table is lost",
        "a partition is drained",
        "a drain takes too long",
        "a member hears that it is thrown out",
        "a commit is refused",
        "a message is delivered again",
        "a consumer is stopped",
        "a consumer dies",
    ] {
        assert!(total.get(what).is_some_and(|count| *count >= 5), "too rarely {what}: {total:?}");
    }
}

/// Nor if it didn't find a rule that is broken.
fn check_finds(flaw: Flaw, expected: &str) {
    let config = Config { failure_persistence: None, cases: 2_000, max_shrink_iters: 0, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let outcome = runner.run(&(events(), picks(), coalescing()), |(events, picks, coalescing)| {
        run(&History::of(&events), &picks, coalescing, flaw).map(drop)
    });
    match outcome {
        Err(TestError::Fail(reason, _)) => assert!(reason.message().contains(expected), "{reason}"),
        other => panic!("{flaw:?} isn't found: {other:?}"),
    }
}

#[test]
fn writes_without_the_fence_are_found() {
    check_finds(Flaw::NoFence, "isn't done");
}

#[test]
fn deletions_without_tombstones_are_found() {
    check_finds(Flaw::NoTombstones, "isn't done");
}

#[test]
fn merges_into_earlier_generations_are_found() {
    check_finds(Flaw::MergesIntoEarlierGenerations, "left == right");
}

#[test]
fn commits_out_of_order_are_found() {
    check_finds(Flaw::CommitsOutOfOrder, "isn't done");
}

#[test]
fn folds_over_what_is_between_are_found() {
    check_finds(Flaw::FoldsOverWhatIsBetween, "left == right");
}

#[test]
fn halves_that_cancel_each_other_are_found() {
    check_finds(Flaw::StaleHalvesCancel, "isn't done");
}

#[test]
fn lost_dead_letters_are_found() {
    check_finds(Flaw::LosesLetters, "isn't done");
}
