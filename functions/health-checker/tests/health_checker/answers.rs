//! What the health endpoint says.

use crate::world::Behaviour::{FailsAfter, Hangs, Takes};
use crate::world::{OWN, PEER, World};
use serde_json::json;
use std::time::Duration;

#[test]
fn a_healthy_and_a_degraded_region_answer_200_and_an_unhealthy_one_503() {
    for (behaviour, checks, status, code) in [
        (Takes(20), 1, "healthy", 200),
        (Takes(800), 1, "degraded", 200),
        (FailsAfter(20), 1, "degraded", 200),
        (FailsAfter(20), 2, "unhealthy", 503),
    ] {
        let world = World::new();
        world.set_all(OWN, behaviour);
        let process = world.process();
        (0..checks).for_each(|_| drop(world.check_a_minute_later(&process)));
        // Another process has only the store.
        for process in [process, world.process()] {
            let (answered, body) = world.ask(&process);
            assert_eq!((answered, &body["status"], &body["region"]), (code, &json!(status), &json!(OWN)));
            assert!(body["checked_at"].as_str().expect("a time").starts_with("2027-01-15T08:0"), "{body}");
        }
    }
}

#[test]
fn an_answer_tells_nothing_of_the_parts() {
    let world = World::new();
    let process = world.process();
    world.check(&process);
    let (_, body) = world.ask(&process);
    let names: Vec<&String> = body.as_object().expect("an object").keys().collect();
    let expected = [
        "authority_age_ms",
        "checked_at",
        "epoch",
        "owner",
        "region",
        "status",
        "verdict",
        "verdict_age_ms",
        "withdrawn",
    ];
    assert_eq!(names, expected);
}

#[test]
fn without_a_check_nobody_knows() {
    let world = World::new();
    let expected = json!({
        "region": OWN,
        "status": "unknown",
        "verdict": null,
        "checked_at": null,
        "verdict_age_ms": null,
        "epoch": 0,
        "owner": null,
        "withdrawn": false,
        "authority_age_ms": 20,
    });
    assert_eq!(world.ask(&world.process()), (503, expected));
}

#[test]
fn an_answer_asks_no_region() {
    let world = World::new();
    let process = world.process();
    world.check(&process);
    world.set_all(PEER, Hangs);
    world.set_all(OWN, Hangs);
    let calls = (world.calls(OWN), world.calls(PEER));
    for process in [&process, &world.process()] {
        let before = health_checker::clock::Clock::elapsed(&world.time);
        assert_eq!(world.ask(process).0, 200, "it tells the last verdict");
        let took = health_checker::clock::Clock::elapsed(&world.time) - before;
        // A copy costs nothing, and a process without one reads the own region's store and the record once, side by side.
        assert!(took <= Duration::from_millis(20), "{took:?}");
    }
    assert_eq!((world.calls(OWN), world.calls(PEER)), calls);
}

#[test]
fn a_verdict_that_is_too_old_says_nothing() {
    let world = World::new();
    let process = world.process();
    world.check(&process);
    let passed = health_checker::clock::Clock::elapsed(&world.time);
    // The reading itself takes 20 ms.
    world.time.pass(Duration::from_secs(300) - passed - Duration::from_millis(20));
    assert_eq!(world.ask(&process).0, 200, "just in time");
    world.time.pass(Duration::from_millis(1));
    let (code, body) = world.ask(&process);
    let told = [&body["status"], &body["verdict"], &body["checked_at"], &body["verdict_age_ms"]];
    let expected = [json!("unknown"), json!("healthy"), json!("2027-01-15T08:00:00.000Z"), json!(300_001)];
    assert_eq!((code, told), (503, expected.each_ref()));
}

#[test]
fn a_copy_answers_for_five_seconds() {
    let world = World::new();
    world.check(&world.process());
    let process = world.process();
    let before = world.loads();
    for (pass_ms, loads) in [(0, 1), (0, 1), (5000, 1), (1, 2), (4000, 2)] {
        world.time.pass(Duration::from_millis(pass_ms));
        assert_eq!(world.ask(&process).0, 200);
        assert_eq!(world.loads() - before, loads, "{pass_ms} ms later");
    }
}

#[test]
fn a_newer_verdict_of_another_process_is_seen() {
    let world = World::new();
    let (checking, answering) = (world.process(), world.process());
    world.check(&checking);
    assert_eq!(world.ask(&answering).0, 200);
    world.set_all(OWN, FailsAfter(10));
    (0..2).for_each(|_| drop(world.check_a_minute_later(&checking)));
    world.time.pass(Duration::from_secs(6));
    assert_eq!(world.ask(&answering).0, 503);
}

#[test]
fn a_store_that_does_not_answer_is_waited_for_a_second() {
    for behaviour in [FailsAfter(10), Hangs] {
        let world = World::new();
        let process = world.process();
        world.check(&process);
        world.set_store(behaviour);
        assert_eq!(world.ask(&process).0, 200, "from the copy");
        world.time.pass(Duration::from_secs(6));
        // A process that knows something tells it until it expires, the others don't know.
        for (process, known) in [(&process, 200), (&world.process(), 503)] {
            let before = health_checker::clock::Clock::elapsed(&world.time);
            assert_eq!(world.ask(process).0, known);
            let took = health_checker::clock::Clock::elapsed(&world.time) - before;
            assert!(took <= Duration::from_secs(1), "{took:?}");
        }
        world.time.pass(Duration::from_secs(290));
        assert_eq!(world.ask(&process).0, 200, "still valid");
        world.time.pass(Duration::from_secs(10));
        assert_eq!(world.ask(&process).0, 503, "expired");
    }
}

#[test]
fn a_load_that_failed_answers_for_five_seconds_too() {
    for (behaviour, first) in [(FailsAfter(30), 30), (Hangs, 1_000)] {
        let world = World::new();
        let knowing = world.process();
        world.check(&knowing);
        world.set_store(behaviour);
        world.time.pass(Duration::from_secs(6));
        for (process, code) in [(&knowing, 200), (&world.process(), 503)] {
            let before = world.loads();
            for (pass_ms, loads, took_ms) in [(0, 1, first), (0, 1, 0), (3_900, 1, 0), (2_000, 2, first)] {
                world.time.pass(Duration::from_millis(pass_ms));
                let (answered, body, took) = world.ask_timed(process);
                assert_eq!((answered, took), (code, Duration::from_millis(took_ms)), "{behaviour:?} {body}");
                assert_eq!(world.loads() - before, loads, "{behaviour:?}");
            }
        }
    }
}

#[test]
fn what_is_gone_from_the_store_is_not_told() {
    let world = World::new();
    let process = world.process();
    world.check(&process);
    world.remove("verdict#us-west-2");
    world.time.pass(Duration::from_secs(6));
    let before = world.loads();
    assert_eq!(world.ask(&process).0, 503, "not there is an answer, unlike no answer");
    assert_eq!((world.ask(&process).0, world.loads() - before), (503, 1), "and answers for five seconds");
    world.check(&process);
    assert_eq!(world.ask(&process).0, 200, "a check is told at once");
}

#[test]
fn an_older_verdict_in_the_store_replaces_no_copy_that_could_not_be_kept() {
    let world = World::new();
    let process = world.process();
    world.check(&process);
    world.set_all(OWN, FailsAfter(10));
    world.check_a_minute_later(&process);
    assert!(world.kept("verdict#us-west-2").expect("kept").0.contains("degraded"));
    // Neither read nor written, and the process knows what is kept.
    world.set_store(FailsAfter(10));
    world.check_a_minute_later(&process);
    world.set_store(Takes(20));
    for _ in 0..2 {
        world.time.pass(Duration::from_secs(6));
        assert_eq!(world.ask(&process).1["status"], "unhealthy");
    }
    world.set_all(OWN, Takes(20));
    let (outcome, _) = world.check_a_minute_later(&process);
    assert_eq!(outcome["regions"][0]["verdict"], "unhealthy", "the next check builds upon the copy");
}

#[test]
fn a_verdict_made_blindly_is_not_told_in_place_of_the_kept_one() {
    let world = World::new();
    world.set_all(OWN, FailsAfter(10));
    (0..2).for_each(|_| drop(world.check_anew()));
    world.set_all(OWN, Takes(20));
    world.set_store(FailsAfter(10));
    let process = world.process();
    world.check_a_minute_later(&process);
    world.set_store(Takes(20));
    world.time.pass(Duration::from_secs(6));
    assert_eq!(world.ask(&process).1["status"], "unhealthy");
}

#[test]
fn any_event_that_is_no_request_asks_for_a_check() {
    let world = World::new();
    let process = world.process();
    let events = [
        json!({}),
        json!(null),
        json!("check"),
        json!({ "source": "aws.scheduler", "detail-type": "Scheduled Event", "detail": {} }),
    ];
    for (count, event) in (1..).zip(events) {
        let outcome = world.invoke(&process, event, &mut Vec::new());
        assert_eq!(outcome["overall"], "healthy");
        assert_eq!(world.told().len(), count);
    }
    world.invoke(&process, crate::world::http_request(), &mut Vec::new());
    assert_eq!(world.told().len(), 4, "a request makes no check run");
}
