//! The protocol under every disorder that a network and dying owners can make, and what the answers mean.

use super::*;
use crate::fakes::FakeRecords;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::collections::BTreeSet;

const RETENTION: Duration = Duration::from_secs(100);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn work(payload: &str) -> Work {
    Work { key: Key::new("scope", "id"), payload: PayloadHash::of(payload.as_bytes()) }
}

fn owner(name: &str) -> Owner {
    Owner::in_invocation(name, 0)
}

/// Claims at a second, for ten seconds.
async fn claim(idempotency: &Idempotency<&FakeRecords>, name: &str, payload: &str, second: i64) -> Claim {
    let claim = idempotency.claim(&work(payload), owner(name), at(second + 10), at(second)).await;
    claim.expect("the records answer")
}

async fn claimed(idempotency: &Idempotency<&FakeRecords>, name: &str, payload: &str, second: i64) -> Claimed {
    match claim(idempotency, name, payload, second).await {
        Claim::Claimed(claimed) => claimed,
        other => panic!("{other:?}"),
    }
}

fn lost(name: &str) -> CompletionError {
    CompletionError::Lost { owner: owner(name).to_string() }
}

#[tokio::test]
async fn what_is_done_is_done_until_it_expires() {
    let records = FakeRecords::default();
    let idempotency = Idempotency::new(&records, RETENTION);
    let first = claimed(&idempotency, "a", "content", 0).await;
    assert!(!first.took_over());
    let done = ResultHash::of(b"event");
    idempotency.complete(first, done.clone(), at(5)).await.expect("it is the owner");
    assert_eq!(claim(&idempotency, "b", "content", 5).await, Claim::Duplicate(done.clone()));
    assert_eq!(claim(&idempotency, "b", "content", 105).await, Claim::Duplicate(done), "not a second too early");
    assert!(!claimed(&idempotency, "b", "content", 106).await.took_over());
}

#[tokio::test]
async fn a_key_stands_for_one_content() {
    let records = FakeRecords::default();
    let idempotency = Idempotency::new(&records, RETENTION);
    let first = claimed(&idempotency, "a", "content", 0).await;
    assert_eq!(claim(&idempotency, "b", "other", 1).await, Claim::Mismatch, "while it is at work");
    assert_eq!(claim(&idempotency, "b", "other", 50).await, Claim::Mismatch, "it may have had its effect");
    idempotency.complete(first, ResultHash::of(b"event"), at(51)).await.expect("nobody took over");
    assert_eq!(claim(&idempotency, "b", "other", 52).await, Claim::Mismatch);
}

#[tokio::test]
async fn a_lease_that_runs_out_is_taken_over_and_its_owner_is_told() {
    let records = FakeRecords::default();
    let idempotency = Idempotency::new(&records, RETENTION);
    let zombies = [claimed(&idempotency, "a", "content", 0).await];
    assert_eq!(claim(&idempotency, "b", "content", 9).await, Claim::InProgress(at(10)));
    let second = claimed(&idempotency, "b", "content", 10).await;
    assert!(second.took_over());
    for zombie in zombies {
        assert_eq!(idempotency.complete(zombie, ResultHash::of(b"late"), at(11)).await, Err(lost("a")));
    }
    let done = ResultHash::of(b"event");
    idempotency.complete(second, done.clone(), at(12)).await.expect("it is the owner");
    assert_eq!(claim(&idempotency, "c", "content", 13).await, Claim::Duplicate(done));
}

#[tokio::test]
async fn what_was_given_back_is_anybodys() {
    let records = FakeRecords::default();
    let idempotency = Idempotency::new(&records, RETENTION);
    let first = claimed(&idempotency, "a", "content", 0).await;
    idempotency.release(first, at(1)).await.expect("it is the owner");
    assert!(records.all().is_empty());
    let second = claimed(&idempotency, "b", "other", 2).await;
    assert!(!second.took_over());
    let third = claimed(&idempotency, "c", "other", 12).await;
    assert_eq!(idempotency.release(second, at(13)).await, Err(lost("b")), "somebody else is at it");
    idempotency.release(third, at(14)).await.expect("it is the owner");
}

#[tokio::test]
async fn a_claim_whose_answer_was_lost_is_held_all_the_same() {
    let records = FakeRecords::default();
    let idempotency = Idempotency::new(&records, RETENTION);
    for _ in 0..2 {
        assert!(!claimed(&idempotency, "a", "content", 0).await.took_over());
    }
    let both = [claimed(&idempotency, "a", "content", 0).await, claimed(&idempotency, "a", "content", 0).await];
    for held in both {
        idempotency.complete(held, ResultHash::of(b"event"), at(1)).await.expect("it says so already");
    }
}

#[tokio::test]
async fn without_an_answer_nothing_is_known() {
    let records = FakeRecords::default();
    let idempotency = Idempotency::new(&records, RETENTION);
    let first = claimed(&idempotency, "a", "content", 0).await;
    records.set_unreachable(true);
    let error = idempotency.claim(&work("content"), owner("b"), at(10), at(1)).await.expect_err("told to fail");
    assert_eq!(error.class(), "claims_unavailable");
    let error = idempotency.complete(first, ResultHash::of(b"event"), at(1)).await.expect_err("told to fail");
    assert!(matches!(error, CompletionError::Store(_)));
}

#[test]
fn scopes_never_meet() {
    assert_ne!(Key::new("a", "bc"), Key::new("ab", "c"));
    assert_ne!(Key::new("1:a", "b"), Key::new("1", "a1:b"));
    // SHA-256 of `5:scopeid`.
    assert_eq!(Key::new("scope", "id").as_str(), sha256(b"5:scopeid"));
    assert_eq!(Key::new("scope", "id").as_str().len(), 64);
}

/// What happens next. Actors and messages are chosen from those that are there.
#[derive(Clone, Debug)]
enum Step {
    /// An actor without work claims it, with one of two contents, for some seconds.
    Claim { actor: usize, payload: bool, seconds: i64 },
    /// An actor that has a claim completes it.
    Complete { actor: usize },
    /// An actor that has a claim gives it back.
    Release { actor: usize },
    /// An actor that waits for an answer asks once more.
    Retry { actor: usize },
    /// An actor stops waiting, or dies.
    Forget { actor: usize },
    /// A message arrives, and its answer too or not.
    Arrive { message: usize, answered: bool },
    /// Time passes.
    Wait { seconds: i64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let actor = || 0..4_usize;
    let step = prop_oneof![
        4 => (actor(), prop::bool::weighted(0.2), 1..20_i64)
            .prop_map(|(actor, payload, seconds)| Step::Claim { actor, payload, seconds }),
        3 => actor().prop_map(|actor| Step::Complete { actor }),
        1 => actor().prop_map(|actor| Step::Release { actor }),
        2 => actor().prop_map(|actor| Step::Retry { actor }),
        1 => actor().prop_map(|actor| Step::Forget { actor }),
        10 => (any::<usize>(), prop::bool::weighted(0.8))
            .prop_map(|(message, answered)| Step::Arrive { message, answered }),
        2 => (1..30_i64).prop_map(|seconds| Step::Wait { seconds }),
    ];
    proptest::collection::vec(step, 1..120)
}

#[derive(Debug)]
enum Actor {
    Idle,
    Claiming(Work, Write, Timestamp),
    Working(Claimed, Timestamp),
    Settling(Claimed, Write),
}

/// A network that loses, repeats and delays, and a store at its end.
struct World {
    now: Timestamp,
    there: Option<Record>,
    actors: Vec<Actor>,
    messages: Vec<(usize, Write)>,
    claims: usize,
    completed: BTreeSet<String>,
    allows: fn(&Write, Option<&Record>) -> bool,
}

impl World {
    fn new(allows: fn(&Write, Option<&Record>) -> bool) -> Self {
        Self {
            now: at(1_000),
            there: None,
            actors: std::iter::repeat_with(|| Actor::Idle).take(4).collect(),
            messages: Vec::new(),
            claims: 0,
            completed: BTreeSet::new(),
            allows,
        }
    }

    fn take(&mut self, step: &Step) -> Result<(), String> {
        match *step {
            Step::Claim { actor, payload, seconds } => {
                if matches!(self.actors[actor], Actor::Idle) {
                    self.claims += 1;
                    let work = work(if payload { "other" } else { "content" });
                    let lease_until = self.now + Duration::from_secs(seconds.unsigned_abs());
                    let owner = owner(&self.claims.to_string());
                    let write = record::claim(&work, &owner, lease_until, self.now, RETENTION);
                    self.messages.push((actor, write.clone()));
                    self.actors[actor] = Actor::Claiming(work, write, lease_until);
                }
            }
            Step::Complete { actor } => self.settle(actor, |claimed, now| {
                record::completion(claimed, ResultHash::of(claimed.owner.to_string().as_bytes()), now, RETENTION)
            }),
            Step::Release { actor } => self.settle(actor, record::release),
            Step::Retry { actor } => {
                if let Actor::Claiming(_, write, _) | Actor::Settling(_, write) = &self.actors[actor] {
                    self.messages.push((actor, write.clone()));
                }
            }
            Step::Forget { actor } => self.actors[actor] = Actor::Idle,
            Step::Wait { seconds } => self.now += Duration::from_secs(seconds.unsigned_abs()),
            Step::Arrive { message, answered } if !self.messages.is_empty() => {
                let (actor, write) = self.messages.remove(message % self.messages.len());
                let written = self.apply(&write)?;
                if answered {
                    self.answer(actor, &write, written)?;
                }
            }
            Step::Arrive { .. } => {}
        }
        let working = self.actors.iter().filter(|actor| matches!(actor, Actor::Working(_, until) if *until > self.now));
        if working.count() > 1 { Err("two hold a lease".to_owned()) } else { Ok(()) }
    }

    fn settle(&mut self, actor: usize, write: impl Fn(&Claimed, Timestamp) -> Write) {
        self.actors[actor] = match std::mem::replace(&mut self.actors[actor], Actor::Idle) {
            Actor::Working(claimed, _) => {
                let write = write(&claimed, self.now);
                self.messages.push((actor, write.clone()));
                Actor::Settling(claimed, write)
            }
            other => other,
        };
    }

    fn apply(&mut self, write: &Write) -> Result<Written, String> {
        let before = self.there.clone();
        if !(self.allows)(write, before.as_ref()) {
            return Ok(Written::Refused(before));
        }
        self.there = match &write.change {
            Change::Claim(record) => Some(record.clone()),
            Change::Complete(record) => {
                let was_its_own = before.as_ref().is_some_and(|before| before.owner == record.owner);
                if !was_its_own {
                    return Err("a zombie completed what isn't its own".to_owned());
                }
                if !self.completed.insert(record.owner.to_string()) {
                    return Err("one lease was completed twice".to_owned());
                }
                Some(record.clone())
            }
            Change::Release(_) => None,
        };
        // By the writer's clock, which is behind when its message was long on its way.
        let was_done = before.as_ref().filter(|before| {
            matches!(before.state, RecordState::Done { .. }) && before.expires_at > write.now.as_second()
        });
        if was_done.is_some() && self.there != before {
            return Err("what was done isn't any more".to_owned());
        }
        Ok(Written::Over(before))
    }

    fn answer(&mut self, actor: usize, write: &Write, written: Written) -> Result<(), String> {
        match std::mem::replace(&mut self.actors[actor], Actor::Idle) {
            Actor::Claiming(work, sent, lease_until) if sent == *write => {
                let Change::Claim(Record { owner, .. }) = &sent.change else { return Err("no claim".to_owned()) };
                let claim = record::answer_to_claim(&work, owner, self.now, written);
                if let Claim::Claimed(claimed) = claim.map_err(|error| error.to_string())? {
                    self.actors[actor] = Actor::Working(claimed, lease_until);
                }
            }
            Actor::Settling(claimed, sent) if sent == *write => {
                let settled = record::answer_to_settling(&claimed, &sent, &written);
                let has_completed = self.completed.contains(&claimed.owner.to_string());
                if settled.is_ok() && matches!(sent.change, Change::Complete(_)) && !has_completed {
                    return Err("a completion was confirmed that never was".to_owned());
                }
            }
            // The answer to something that it doesn't wait for any more.
            other => self.actors[actor] = other,
        }
        Ok(())
    }
}

fn run(steps: &[Step], allows: fn(&Write, Option<&Record>) -> bool) -> Result<(), TestCaseError> {
    let mut world = World::new(allows);
    steps.iter().try_for_each(|step| world.take(step)).map_err(TestCaseError::fail)
}

proptest! {
    #![proptest_config(Config { cases: 4_000, ..Config::default() })]

    /// Several owners, messages that are lost, repeated and late, owners that die between any two steps, leases and
    /// records that run out: nobody completes what isn't its own, no lease is completed twice, no two hold one, and what is
    /// done stays done.
    #[test]
    fn any_disorder_keeps_the_rules(steps in steps()) {
        run(&steps, Write::is_allowed)?;
    }
}

#[test]
fn a_broken_rule_is_found() {
    let check = |broken: fn(&Write, Option<&Record>) -> bool| {
        let mut runner = TestRunner::new(Config { cases: 20_000, failure_persistence: None, ..Config::default() });
        assert!(runner.run(&steps(), |steps| run(&steps, broken)).is_err(), "the search would miss it");
    };
    // A completion that asks for nothing.
    check(|write, there| matches!(write.change, Change::Complete(_)) || write.is_allowed(there));
    // A claim that doesn't wait for the lease.
    check(|write, there| matches!(write.change, Change::Claim(_)) || write.is_allowed(there));
    // A release by anybody.
    check(|write, there| matches!(write.change, Change::Release(_)) || write.is_allowed(there));
}
