//! What the record of authority does to answers, and what a check tells of it.

use crate::world::Behaviour::{FailsAfter, Hangs, Takes};
use crate::world::{OWN, PEER, Process, THIRD, World};
use serde_json::{Value, json};
use std::time::Duration;

/// More than a copy's age.
const LATER: Duration = Duration::from_secs(6);

/// Asks `process` after a copy's age, and compares status code, status and epoch.
#[track_caller]
fn check(world: &World, process: &Process, code: u64, status: &str, epoch: impl Into<Value>) {
    world.time.pass(LATER);
    let (answered, body) = world.ask(process);
    assert_eq!((answered, &body["status"], &body["epoch"]), (code, &json!(status), &epoch.into()), "{body}");
}

/// A process that knows nothing, so that only the kept verdict and the record speak.
#[track_caller]
fn check_anew(world: &World, code: u64, status: &str, epoch: impl Into<Value>) {
    check(world, &world.process(), code, status, epoch);
}

#[test]
fn an_answer_shows_verdict_and_authority_with_their_ages() {
    let world = World::new();
    world.decide(7, &[OWN]);
    let process = world.process();
    world.check(&process);
    world.time.pass(Duration::from_secs(2));
    let expected = json!({
        "region": OWN,
        "status": "withdrawn",
        "verdict": "healthy",
        "checked_at": "2027-01-15T08:00:00.000Z",
        "verdict_age_ms": 2_040,
        "epoch": 7,
        "owner": OWN,
        "withdrawn": true,
        "authority_age_ms": 2_040,
    });
    assert_eq!(world.ask(&process), (503, expected));
}

#[test]
fn one_write_takes_a_region_out_and_one_brings_it_back() {
    let world = World::new();
    let process = world.process();
    world.check(&process);
    check(&world, &process, 200, "healthy", 0);
    world.decide(1, &[]);
    check(&world, &process, 200, "healthy", 1);
    world.decide(2, &[OWN]);
    check(&world, &process, 503, "withdrawn", 2);
    check_anew(&world, 503, "withdrawn", 2);
    world.decide(3, &[PEER]);
    check(&world, &process, 200, "healthy", 3);
    check_anew(&world, 200, "healthy", 3);
}

#[test]
fn a_region_that_owns_nothing_is_as_well_as_any() {
    let world = World::new();
    world.hand_over(4, PEER);
    world.check_anew();
    let process = world.process();
    check(&world, &process, 200, "healthy", 4);
    assert_eq!(world.ask(&process).1["owner"], PEER);
}

#[test]
fn without_a_record_nobody_is_withdrawn() {
    let world = World::new();
    let outcome = world.check_anew();
    assert_eq!(outcome["authority"], json!({ "epoch": 0 }));
    check_anew(&world, 200, "healthy", 0);
}

#[test]
fn a_record_that_cannot_be_read_changes_nothing() {
    for (withdrawn, code, status) in [(vec![], 200, "healthy"), (vec![OWN], 503, "withdrawn")] {
        for behaviour in [FailsAfter(10), Hangs] {
            let world = World::new();
            world.decide(5, &withdrawn);
            let process = world.process();
            world.check(&process);
            world.set_record(behaviour);
            // Whatever is decided meanwhile.
            world.decide(6, &[PEER]);
            check(&world, &process, code, status, 5);
            check_anew(&world, code, status, 5);
            // Checks go on, and none of them can read it either.
            (0..10).for_each(|_| drop(world.check_anew()));
            check_anew(&world, code, status, 5);
            world.time.pass(LATER);
            let (_, body) = world.ask(&process);
            assert!(body["authority_age_ms"].as_u64().expect("an age") > 600_000, "it shows how old that is: {body}");
            world.set_record(Takes(20));
            check(&world, &process, 200, "healthy", 6);
        }
    }
}

#[test]
fn a_record_that_nobody_ever_read_withdraws_nobody() {
    let world = World::new();
    world.decide(5, &[OWN]);
    world.set_record(FailsAfter(10));
    let outcome = world.check_anew();
    assert_eq!(outcome.get("authority"), None);
    let process = world.process();
    check(&world, &process, 200, "healthy", Value::Null);
    assert_eq!(world.ask(&process).1["authority_age_ms"], Value::Null);
}

/// A process that has just read the record of epoch 1, and whose copy of the verdict ends in less than half a second.
fn process_with_the_fresher_record(world: &World) -> Process {
    world.check_anew();
    let process = world.process();
    // Its reading of the verdict ends half a second after that of the record, so the record is due again first.
    world.set_store(Takes(500));
    assert_eq!(world.ask(&process).1["epoch"], 1);
    world.set_store(Takes(20));
    world.time.pass(Duration::from_millis(4_600));
    let (loads, reads) = (world.loads(), world.record_reads());
    world.ask(&process);
    assert_eq!((world.loads() - loads, world.record_reads() - reads), (0, 1));
    process
}

#[test]
fn what_the_verdict_was_made_under_outranks_an_older_copy() {
    for behaviour in [Takes(20), FailsAfter(20)] {
        let world = World::new();
        world.decide(1, &[]);
        let process = process_with_the_fresher_record(&world);
        // Another process hears of a decision while the copy is still fresh.
        world.decide(2, &[OWN]);
        let checked = world.check(&world.process()).0;
        assert_eq!(checked["authority"]["epoch"], 2);
        world.time.pass(Duration::from_millis(500));
        let before_answer = world.record_reads();
        world.set_record(behaviour);
        let (code, body) = world.ask(&process);
        assert_eq!((code, &body["status"], &body["epoch"]), (503, &json!("withdrawn"), &json!(2)), "{behaviour:?}");
        assert_eq!(world.record_reads() - before_answer, 1, "it asks again because it knows too little");
        assert_eq!(world.ask(&process).0, 503);
        assert_eq!(world.record_reads() - before_answer, 1, "and then it knows");
    }
}

#[test]
fn a_decision_that_the_verdict_knew_of_may_be_good_news() {
    let world = World::new();
    world.decide(1, &[OWN]);
    let process = process_with_the_fresher_record(&world);
    world.decide(2, &[]);
    world.check(&world.process());
    world.time.pass(Duration::from_millis(500));
    assert_eq!(world.ask(&process).0, 200);
}

#[test]
fn a_check_that_hears_of_a_later_decision_reads_the_record_again() {
    for (withdrawn, code, status) in [(vec![], 200, "healthy"), (vec![OWN], 503, "withdrawn")] {
        let world = World::new();
        world.decide(2, &withdrawn);
        world.check_anew();
        let process = world.process();
        // Its reading began before the decision that the kept verdict was made under.
        world.outdate_next_read(1);
        let before = world.record_reads();
        let (outcome, took) = world.check_a_minute_later(&process);
        assert_eq!((world.record_reads() - before, &outcome["authority"]["epoch"]), (2, &json!(2)));
        assert_eq!(took, Duration::from_millis(60), "the probes, the record again, then keeping and telling");
        let (answered, body) = world.ask(&process);
        assert_eq!((answered, &body["status"], world.record_reads() - before), (code, &json!(status), 2), "{body}");
    }
}

#[test]
fn a_check_whose_second_reading_fails_fences_nobody() {
    let world = World::new();
    world.decide(2, &[]);
    world.check_anew();
    let process = world.process();
    world.outdate_next_read(1);
    world.set_record(FailsAfter(20));
    let (outcome, _) = world.check_a_minute_later(&process);
    assert_eq!(outcome["authority"]["epoch"], 1, "it tells what it read");
    assert_eq!(world.ask(&process).1["status"], "healthy");
}

#[test]
fn a_record_that_was_set_back_lets_nobody_claim_to_be_well() {
    type SetBack = fn(&World);
    let ways: [SetBack; 3] = [|world| world.decide(2, &[]), |world| world.decide(2, &[OWN]), World::lose_record];
    for set_back in ways {
        let world = World::new();
        world.decide(3, &[]);
        let process = world.process();
        world.check(&process);
        set_back(&world);
        check(&world, &process, 503, "fenced", 3);
        // The verdict tells new processes, also after further checks.
        check_anew(&world, 503, "fenced", 3);
        let outcome = world.check_anew();
        assert_eq!(outcome["overall"], "healthy", "the region is as well as it was");
        assert!(outcome["authority"]["epoch"].as_u64().expect("an epoch") < 3, "a check tells what it read");
        check_anew(&world, 503, "fenced", 3);
        // What was withdrawn stays so, and a higher epoch ends it.
        world.decide(4, &[]);
        check(&world, &process, 200, "healthy", 4);
        check_anew(&world, 200, "healthy", 4);
    }
}

#[test]
fn a_record_that_was_set_back_brings_no_withdrawn_region_back() {
    let world = World::new();
    world.decide(3, &[OWN]);
    let process = world.process();
    world.check(&process);
    world.decide(2, &[]);
    check(&world, &process, 503, "withdrawn", 3);
    check_anew(&world, 503, "withdrawn", 3);
}

#[test]
fn authority_makes_no_sick_region_well() {
    let world = World::new();
    world.decide(1, &[PEER]);
    world.set_all(OWN, FailsAfter(10));
    world.check_anew();
    world.check_anew();
    check_anew(&world, 503, "unhealthy", 1);
    world.time.pass(Duration::from_secs(300));
    check_anew(&world, 503, "unknown", 1);
    world.decide(2, &[OWN]);
    check_anew(&world, 503, "unknown", 2);
}

#[test]
fn a_reading_answers_for_five_seconds_also_one_that_failed() {
    for (behaviour, first) in [(Takes(20), 20), (FailsAfter(20), 20), (Hangs, 1_000)] {
        let world = World::new();
        world.check(&world.process());
        world.set_record(behaviour);
        let process = world.process();
        let before = (world.record_reads(), world.loads());
        for (pass_ms, reads, took_ms) in [(0, 1, first), (0, 1, 0), (3_900, 1, 0), (2_000, 2, first)] {
            world.time.pass(Duration::from_millis(pass_ms));
            let (code, body, took) = world.ask_timed(&process);
            assert_eq!((code, took), (200, Duration::from_millis(took_ms)), "{behaviour:?} {body}");
            // Verdict and record are read together, side by side.
            assert_eq!(world.record_reads() - before.0, reads, "{behaviour:?}");
            assert_eq!(world.loads() - before.1, reads, "{behaviour:?}");
        }
    }
}

#[test]
fn a_check_tells_epoch_owner_and_who_is_withdrawn() {
    let world = World::new();
    world.decide(9, &[PEER]);
    let (outcome, took) = world.check(&world.process());
    assert_eq!(outcome["authority"], json!({ "epoch": 9, "owner": OWN, "withdrawn": { PEER: 9 } }));
    assert_eq!(world.told(), [outcome]);
    assert_eq!(took, Duration::from_millis(40), "it is read beside the probes");
}

#[test]
fn a_record_that_hangs_delays_a_check_no_longer_than_a_probe() {
    let world = World::new();
    world.set_record(Hangs);
    let (outcome, took) = world.check(&world.process());
    assert_eq!((&outcome["overall"], took), (&json!("healthy"), Duration::from_millis(3_020)));
}

#[test]
fn the_epoch_is_measured_by_checks_that_could_read_it() {
    // All tests of this process share the metrics, so this one has an owner of its own.
    let world = World::new();
    world.hand_over(41, THIRD);
    let process = world.process();
    let said = |event: Value| {
        let mut metrics = Vec::new();
        world.invoke(&process, event, &mut metrics);
        let text = String::from_utf8(metrics).expect("text");
        let mut lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        lines.find(|line| line["owner"] == THIRD).and_then(|line| line["region_authority_epoch"].as_f64())
    };
    assert_eq!(said(json!({})), Some(41.0));
    assert_eq!(said(crate::world::http_request()), None, "a request repeats no epoch");
    world.set_record(FailsAfter(5));
    assert_eq!(said(json!({})), None, "nobody knows it now");
}
