//! Commands over a record in memory, and what is shown of records.

use aws::routes::{Counted, Oldest};
use breaker::{
    Command, EventKey, Lease, Lot, Millis, Owner, Reason, Shared, State, StateName, Survey as Seen, TripRule,
};
use infra::environment::Environment;

use super::change::{Changed, NotChanged, carry_out, is_needed};
use super::fake::{AtWrite, FakeBreaker, failed};
use super::report::{Shown, Waiting};
use super::ways::{self, Way};
use super::{Breaker, commanded, consequence, look, not_changed, timestamp, unreadable};
use crate::error::Kind;
use crate::redrive::tests::environment;

/// 2026-03-04T05:06:07Z
const NOW: Millis = Millis(1_772_600_767_000);

fn ago(secs: u64) -> Millis {
    Millis(NOW.0 - secs * 1_000)
}

fn way(environment: &Environment) -> Way {
    ways::one(environment, Some("us-west-2"), None).expect("one way")
}

fn shared(version: u64, state: State) -> Shared {
    Shared { version, state, episode: 4, since: ago(200), ..Shared::absent() }
}

fn closed(version: u64) -> Shared {
    shared(version, State::Closed { lot: Lot::InUse })
}

fn forced(version: u64, since: Millis) -> Shared {
    let note = Some("a drill".into());
    Shared { since, reason: Reason::Operator, note, ..shared(version, State::ForcedOpen) }
}

/// Looks, and carries the command out.
async fn command(breaker: &FakeBreaker, command: Command) -> Result<Changed, NotChanged> {
    let seen = breaker.read().await.expect("readable");
    carry_out(breaker, command, "because", &seen, || NOW).await
}

#[tokio::test]
async fn a_command_is_one_write_and_keeps_the_reason() {
    let breaker = FakeBreaker::with(closed(3));
    let Changed { before, after } = command(&breaker, Command::ForceOpen).await.expect("written");
    assert_eq!((before, after.state.name(), after.version), (closed(3), StateName::ForcedOpen, 4));
    let stored = breaker.read().await.expect("readable");
    assert_eq!((stored.note.as_deref(), stored.reason, stored.since), (Some("because"), Reason::Operator, NOW));
    assert_eq!((stored, breaker.writes.get()), (after, 1));
}

#[tokio::test]
async fn the_first_command_makes_the_record() {
    let breaker = FakeBreaker::default();
    let Changed { after, .. } = command(&breaker, Command::ForceClosed).await.expect("written");
    assert_eq!((after.version, after.state), (1, State::ForcedClosed { lot: Lot::Empty }));
}

#[tokio::test]
async fn who_loses_the_write_reads_again() {
    let open = shared(4, State::Open { until: NOW, step: 0 });
    let half_open = shared(5, State::HalfOpen { step: 0, probes: vec![], successes: 1 });
    let breaker = FakeBreaker::with(closed(3))
        .then(AtWrite::Overtaken(Shared { parks: 7, ..open }))
        .then(AtWrite::Overtaken(half_open.clone()));
    let Changed { before, after } = command(&breaker, Command::ForceOpen).await.expect("the third time");
    assert_eq!((before, after.version, breaker.writes.get()), (half_open, 6, 3));
}

#[tokio::test]
async fn who_always_loses_says_so() {
    let breaker = (4..14)
        .fold(FakeBreaker::with(closed(3)), |breaker, version| breaker.then(AtWrite::Overtaken(closed(version))));
    let error = command(&breaker, Command::ForceOpen).await.expect_err("contended");
    assert_eq!(error.to_string(), "changed nothing: others wrote the record first 10 times");
    assert_eq!(breaker.read().await, Ok(closed(13)));
}

#[tokio::test]
async fn another_operator_is_not_overruled() {
    for (before, meanwhile) in [
        (closed(3), forced(4, ago(1))),
        (forced(3, ago(100)), closed(4)),
        // Released and forced again.
        (forced(3, ago(100)), forced(5, ago(1))),
    ] {
        let forces_open = (before.state.name() != StateName::ForcedOpen).then_some(Command::ForceOpen);
        for wanted in [Command::MetricsOnly, Command::ForceClosed].into_iter().chain(forces_open) {
            let breaker = FakeBreaker::with(before.clone()).then(AtWrite::Overtaken(meanwhile.clone()));
            let error = command(&breaker, wanted).await.expect_err("overruled");
            assert!(matches!(error, NotChanged::Overruled { .. }), "{error}");
            assert_eq!(breaker.read().await, Ok(meanwhile.clone()), "it is as the other operator left it");
        }
    }
}

#[tokio::test]
async fn a_command_that_would_change_nothing_is_not_written() {
    let breaker = FakeBreaker::with(closed(3));
    let seen = breaker.read().await.expect("readable");
    let changed = carry_out(&breaker, Command::Release, "because", &seen, || NOW).await;
    assert_eq!(changed, Ok(Changed { before: closed(3), after: closed(3) }));
    assert_eq!(breaker.writes.get(), 0);
    assert!(!is_needed(&forced(3, ago(1)), Command::ForceOpen, NOW) && is_needed(&closed(3), Command::ForceOpen, NOW));
}

#[tokio::test]
async fn a_write_that_was_refused_by_itself_took_place() {
    for (before, wanted) in [(closed(3), Command::ForceOpen), (forced(3, ago(9)), Command::Release)] {
        let breaker = FakeBreaker::with(before.clone()).then(AtWrite::RefusedAfterItself);
        let changed = command(&breaker, wanted).await.expect("it took place");
        assert_eq!((changed.before, changed.after.version, breaker.writes.get()), (before, 4, 1));
    }
}

#[tokio::test]
async fn a_write_without_an_answer_is_looked_for() {
    let breaker = FakeBreaker::with(closed(3)).then(AtWrite::Unanswered);
    let changed = command(&breaker, Command::ForceOpen).await.expect("it took place");
    assert_eq!((changed.after.version, breaker.writes.get()), (4, 1));

    let breaker = FakeBreaker::with(closed(3)).then(AtWrite::Refused);
    assert_eq!(command(&breaker, Command::ForceOpen).await, Err(NotChanged::NotWritten(failed())));

    // Whether ours came before the other one can't be seen any more.
    let later = shared(5, State::HalfOpen { step: 0, probes: vec![], successes: 0 });
    let breaker = FakeBreaker::with(forced(3, ago(9))).then(AtWrite::UnansweredAndOvertaken(later));
    assert_eq!(command(&breaker, Command::Release).await, Err(NotChanged::Unknown(failed())));

    let breaker = FakeBreaker::with(closed(3)).then(AtWrite::Unanswered);
    breaker.readable.set(Some(2));
    assert_eq!(command(&breaker, Command::ForceOpen).await, Err(NotChanged::Unknown(failed())));
}

#[tokio::test]
async fn a_store_that_is_away_is_an_error_with_hints() {
    let environment = environment();
    let breaker = FakeBreaker::with(closed(3));
    breaker.readable.set(Some(1));
    let error = command(&breaker, Command::ForceOpen).await.expect_err("unreadable");
    assert_eq!(error, NotChanged::Unreadable(failed()));
    let error = not_changed(&environment, &way(&environment), Command::ForceOpen, error);
    insta::assert_snapshot!("unreachable", error.render());
    assert_eq!(error.kind(), Kind::Remote);
    let error = look(&environment, &way(&environment), &breaker).await.expect_err("unreadable");
    assert_eq!(error.to_string(), unreadable(&environment, &way(&environment), failed()).to_string());
}

#[test]
fn each_end_without_a_change_has_its_kind() {
    let environment = environment();
    let error = |error| not_changed(&environment, &way(&environment), Command::Release, error);
    let overruled = error(NotChanged::Overruled { state: StateName::ForcedOpen, note: Some("a drill".to_owned()) });
    assert_eq!(overruled.kind(), Kind::Refused);
    insta::assert_snapshot!("overruled", overruled.render());
    assert_eq!(error(NotChanged::Contended { attempts: 10 }).kind(), Kind::Remote);
    assert_eq!(error(NotChanged::Unknown(failed())).kind(), Kind::Remote);
}

/// A record in each state.
fn records() -> Vec<Shared> {
    let seen = Seen { parks: 30, depth: 12, oldest: Some(ago(190)), oldest_key: None };
    let known = |shared: Shared| Shared { parks: 34, survey: seen.clone(), ..shared };
    let lease = |owner: &str, expires| Lease { owner: Owner(owner.into()), expires };
    let probes = vec![lease("4f0e", NOW.after(std::time::Duration::from_secs(9))), lease("77aa", ago(1))];
    let tripped = Reason::Tripped(TripRule::ConsecutiveFailures);
    vec![
        Shared::absent(),
        known(Shared { reason: tripped, ..shared(9, State::Open { until: Millis(NOW.0 + 12_000), step: 0 }) }),
        known(Shared { reason: Reason::ProbeFailed, ..shared(11, State::Open { until: ago(3), step: 2 }) }),
        known(Shared { reason: Reason::OpenTimeOver, ..shared(12, State::HalfOpen { step: 2, probes, successes: 1 }) }),
        known(forced(13, ago(7_000))),
        Shared { parks: 34, ..shared(20, State::ForcedClosed { lot: Lot::Empty }) },
    ]
}

#[tokio::test]
async fn people_are_shown_every_state() {
    let environment = environment();
    let way = way(&environment);
    let oldest = Oldest { parked_at: ago(150), key: EventKey("customers/a".into()) };
    let counted = Counted { events: 1, oldest: Some(oldest), is_partial: false };
    let crowded = || Ok(Counted { is_partial: true, ..Counted::default() });
    let mut shown = Vec::new();
    for (record, counted) in
        records().into_iter().zip([crowded(), Ok(counted), crowded(), Err(failed()), Err(failed()), crowded()])
    {
        let breaker = FakeBreaker::with(record);
        breaker.counted.replace(Some(counted));
        shown.extend(look(&environment, &way, &breaker).await.expect("readable").render(timestamp(NOW)));
        shown.push(String::new());
    }
    insta::assert_snapshot!("every_state", shown.join("\n"));
}

#[test]
fn programs_are_shown_the_same() {
    let environment = environment();
    let shown: Vec<Shown> = records()
        .iter()
        .map(|record| Shown::new(&way(&environment), record, Waiting::by_record(record, None)))
        .collect();
    insta::assert_snapshot!("every_state_json", serde_json::to_string_pretty(&shown).expect("JSON"));
}

#[test]
fn a_command_is_told_with_the_breaker_before_and_after() {
    let environment = environment();
    let way = way(&environment);
    let told = |command, before: Shared, after: Shared| {
        let mut told = commanded(&environment, &way, command, "because", Changed { before, after });
        told.at = timestamp(NOW);
        told
    };
    let changed = told(Command::ForceOpen, closed(3), forced(4, NOW));
    insta::assert_snapshot!("commanded", changed.render().join("\n"));
    let same = told(Command::ForceOpen, forced(4, NOW), forced(4, NOW));
    assert!(changed.changed && !same.changed);
    assert_eq!(same.render()[0], "nothing to change: `force-open` is what us-west-2 -> us-east-1 does already");
}

#[test]
fn what_a_command_means_is_said_before_it_is_given() {
    let way = way(&environment());
    let commands = [Command::ForceOpen, Command::ForceClosed, Command::MetricsOnly, Command::Release];
    let mut said: Vec<String> = commands.map(|command| consequence(command, &closed(3), &way)).to_vec();
    said.push(consequence(Command::Release, &forced(3, NOW), &way));
    insta::assert_snapshot!("consequences", said.join("\n"));
}
