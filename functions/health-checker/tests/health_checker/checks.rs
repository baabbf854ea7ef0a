//! What a check sees, says and keeps.

use crate::world::Behaviour::{FailsAfter, Hangs, Takes, TakesTimes};
use crate::world::{OWN, PEER, THIRD, World};
use aws::health::ProbedService;
use events::health::HealthCheckEvent;
use serde_json::{Value, json};
use std::time::{Duration, UNIX_EPOCH};

/// Verdict of a region and the status of each service.
fn summary(outcome: &Value, region: usize) -> (String, Vec<String>) {
    let report = &outcome["regions"][region];
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let probes = report["probes"].as_array().expect("probes").iter().map(|probe| text(&probe["status"])).collect();
    (text(&report["verdict"]), probes)
}

#[test]
fn all_is_well() {
    let world = World::new();
    let (outcome, took) = world.check(&world.process());
    let probes = json!([
        { "service": "dynamodb", "status": "healthy", "latency_ms": 20 },
        { "service": "eventbridge", "status": "healthy", "latency_ms": 20 },
        { "service": "sqs", "status": "healthy", "latency_ms": 20 },
    ]);
    let expected = json!({
        "version": 1,
        "checked_at": "2027-01-15T08:00:00.000Z",
        "observer_region": OWN,
        "overall": "healthy",
        "authority": { "epoch": 0 },
        "regions": [
            { "region": OWN, "verdict": "healthy", "probes": probes },
            { "region": PEER, "verdict": "healthy", "probes": probes },
        ],
    });
    assert_eq!(outcome, expected);
    let read = HealthCheckEvent::parse(&expected.to_string()).expect("whoever hears of it can read it");
    assert_eq!(serde_json::to_value(read).expect("JSON"), expected);
    assert_eq!(world.told(), [expected], "one event tells of all regions");
    assert_eq!(took, Duration::from_millis(40), "the probes all at once, then keeping and telling at once");
}

#[test]
fn verdicts_are_kept_in_the_own_region_until_long_after_they_expire() {
    let world = World::new();
    world.check(&world.process());
    for region in [OWN, PEER] {
        let (text, expires_at) = world.kept(&format!("verdict#{region}")).expect("kept");
        assert!(text.contains("\"health\":\"healthy\""), "{text}");
        let seconds = expires_at.duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        assert_eq!(seconds, 1_800_000_000 + 300 + 7 * 24 * 3600);
    }
}

#[test]
fn a_slow_service_makes_its_region_degraded() {
    for (millis, expected) in [(500, "healthy"), (501, "degraded"), (2999, "degraded")] {
        let world = World::new();
        world.set(PEER, ProbedService::Sqs, Takes(millis));
        let (outcome, _) = world.check(&world.process());
        assert_eq!(
            summary(&outcome, 1),
            (expected.to_owned(), ["healthy", "healthy", expected].map(str::to_owned).into())
        );
        assert_eq!(summary(&outcome, 0).0, "healthy");
        assert_eq!(outcome["overall"], expected);
        assert_eq!(outcome["regions"][1]["probes"][2]["latency_ms"], millis);
    }
}

#[test]
fn a_service_is_as_slow_as_its_slowest_call() {
    for (calls, millis, expected) in [(5, 499, "healthy"), (5, 501, "degraded")] {
        let world = World::new();
        world.set_all(PEER, TakesTimes(calls, millis));
        let (outcome, took) = world.check(&world.process());
        assert_eq!(summary(&outcome, 1), (expected.to_owned(), vec![expected.to_owned(); 3]));
        assert_eq!(outcome["regions"][1]["probes"][0]["latency_ms"], millis);
        assert!(took >= Duration::from_millis(calls * millis), "{took:?}");
    }
}

#[test]
fn a_region_that_hangs_spoils_and_delays_nothing_else() {
    let world = World::new();
    world.set_all(PEER, Hangs);
    let process = world.process();
    let (outcome, took) = world.check(&process);
    assert_eq!(summary(&outcome, 0), ("healthy".to_owned(), vec!["healthy".to_owned(); 3]));
    let (verdict, services) = summary(&outcome, 1);
    assert_eq!(verdict, "degraded", "one failed check is not enough");
    assert_eq!(services, vec!["unhealthy"; 3]);
    assert_eq!(outcome["regions"][1]["probes"][0]["error"], "no answer within 3000 ms");
    assert_eq!(outcome["regions"][1]["probes"][0]["latency_ms"], 3000);
    assert_eq!(took, Duration::from_millis(3020), "one limit for all that hangs, then keeping and telling");
    let (outcome, _) = world.check_a_minute_later(&process);
    assert_eq!(summary(&outcome, 1).0, "unhealthy");
    assert_eq!(outcome["overall"], "unhealthy");
    assert_eq!(summary(&outcome, 0).0, "healthy");
}

/// With `CONTROL_PLANES` = `listed`.
fn listing(world: &World) -> crate::world::Process {
    world.process_with(&[("CONTROL_PLANES", "listed")])
}

#[test]
fn control_planes_are_told_of_and_change_no_verdict() {
    for (behaviour, status) in
        [(Takes(20), "healthy"), (Takes(900), "degraded"), (FailsAfter(5), "unhealthy"), (Hangs, "unhealthy")]
    {
        let world = World::new();
        world.set_control_planes(OWN, behaviour);
        world.set_control_planes(PEER, behaviour);
        let process = listing(&world);
        // However long it lasts.
        for _ in 0..4 {
            let (outcome, took) = world.check_a_minute_later(&process);
            assert_eq!(outcome["overall"], "healthy", "{behaviour:?}");
            for region in [0, 1] {
                assert_eq!(summary(&outcome, region), ("healthy".to_owned(), vec!["healthy".to_owned(); 3]));
                let planes = outcome["regions"][region]["control_planes"].as_array().expect("control planes");
                let told: Vec<&Value> = planes.iter().map(|plane| &plane["status"]).collect();
                assert_eq!(told, [status; 3], "{behaviour:?}");
            }
            assert!(took <= Duration::from_millis(3_020), "they are asked beside the probes: {took:?}");
        }
        assert_eq!(world.ask(&process).0, 200, "{behaviour:?}");
    }
}

#[test]
fn control_planes_that_answer_save_nobody() {
    let world = World::new();
    world.set_all(PEER, FailsAfter(10));
    let process = listing(&world);
    world.check(&process);
    let (outcome, _) = world.check_a_minute_later(&process);
    assert_eq!(summary(&outcome, 1).0, "unhealthy");
    assert_eq!(outcome["regions"][1]["control_planes"][0]["status"], "healthy");
}

#[test]
fn control_planes_are_left_alone_unless_they_are_wanted() {
    let world = World::new();
    let (outcome, _) = world.check(&world.process());
    assert_eq!(outcome["regions"][0].get("control_planes"), None);
    assert_eq!((world.calls(OWN), world.calls(PEER)), (3, 3), "the probes only");
    world.check(&listing(&world));
    assert_eq!((world.calls(OWN), world.calls(PEER)), (9, 9));
}

#[test]
fn an_error_is_told_with_its_cause() {
    let world = World::new();
    world.set(OWN, ProbedService::EventBridge, FailsAfter(5));
    let (outcome, _) = world.check(&world.process());
    let probe = &outcome["regions"][0]["probes"][1];
    let expected = json!({ "service": "eventbridge", "status": "unhealthy", "latency_ms": 5, "error": "InternalFailure: told to fail" });
    assert_eq!(*probe, expected);
}

#[test]
fn several_checks_make_a_verdict_also_over_new_processes() {
    let world = World::new();
    // Two of three. Each check is made by a new process, which knows the others from the store alone.
    let story = [
        (Takes(20), "healthy"),
        (FailsAfter(20), "degraded"),
        (Takes(20), "healthy"),
        (FailsAfter(20), "unhealthy"),
        (Takes(20), "unhealthy"),
        (FailsAfter(20), "unhealthy"),
        (Takes(600), "degraded"),
        (Takes(20), "healthy"),
    ];
    for (minute, (behaviour, expected)) in story.into_iter().enumerate() {
        world.set(PEER, ProbedService::DynamoDb, behaviour);
        let verdicts = world.verdicts_a_minute_later();
        assert_eq!(verdicts, ("healthy".to_owned(), expected.to_owned()), "minute {minute}");
    }
}

#[test]
fn a_store_that_is_down_does_not_silence_a_check() {
    for (behaviour, longest) in [(FailsAfter(10), 100), (Hangs, 3_000 + 5_000)] {
        let world = World::new();
        world.set_store(behaviour);
        world.set_all(PEER, FailsAfter(10));
        let process = world.process();
        let (first, took) = world.check(&process);
        assert_eq!(world.told(), std::slice::from_ref(&first));
        assert!(took <= Duration::from_millis(longest), "{took:?}");
        assert_eq!(summary(&first, 1).0, "degraded");
        let (second, _) = world.check_a_minute_later(&process);
        assert_eq!(summary(&second, 1).0, "unhealthy", "the process remembers what the store doesn't take");
        assert_eq!(world.kept("verdict#us-east-1"), None);
        world.set_store(Takes(10));
        world.set_all(PEER, Takes(10));
        let (third, _) = world.check_a_minute_later(&process);
        assert_eq!(summary(&third, 1).0, "unhealthy", "and goes on with it when the store is back");
        assert!(world.kept("verdict#us-east-1").is_some());
    }
}

#[test]
fn a_kept_verdict_that_could_not_be_read_is_not_overwritten() {
    let world = World::new();
    world.set_all(PEER, FailsAfter(10));
    assert_eq!(world.verdicts_a_minute_later().1, "degraded");
    assert_eq!(world.verdicts_a_minute_later().1, "unhealthy");
    let down = world.kept("verdict#us-east-1");
    world.set_all(PEER, Takes(10));
    // Both regions' verdicts.
    world.fail_loads(2);
    let process = world.process();
    let (blind, _) = world.check_a_minute_later(&process);
    assert_eq!(summary(&blind, 1).0, "healthy", "it tells what it saw");
    assert_eq!(world.told().last(), Some(&blind));
    assert_eq!(world.kept("verdict#us-east-1"), down, "and leaves what is kept");
    let (next, _) = world.check_a_minute_later(&process);
    assert_eq!(summary(&next, 1).0, "unhealthy", "one good check is not enough");
    assert_eq!(world.verdicts_a_minute_later().1, "healthy");
}

#[test]
fn a_verdict_made_blindly_gives_way_to_the_kept_one() {
    let world = World::new();
    world.set_all(PEER, FailsAfter(10));
    (0..2).for_each(|_| drop(world.verdicts_a_minute_later()));
    world.set_all(PEER, Takes(10));
    // Neither read nor written: the process has only its own word.
    world.set_store(FailsAfter(10));
    let process = world.process();
    let (blind, _) = world.check_a_minute_later(&process);
    assert_eq!(summary(&blind, 1).0, "healthy");
    world.set_store(Takes(10));
    let (next, _) = world.check_a_minute_later(&process);
    assert_eq!(summary(&next, 1).0, "unhealthy");
}

#[test]
fn a_check_that_is_delivered_twice_counts_once() {
    let world = World::new();
    world.set_all(PEER, FailsAfter(10));
    assert_eq!(world.verdicts_a_minute_later().1, "degraded");
    world.time.pass(Duration::from_secs(29));
    assert_eq!(summary(&world.check(&world.process()).0, 1).0, "degraded", "the same check again");
    world.time.pass(Duration::from_secs(30));
    assert_eq!(summary(&world.check(&world.process()).0, 1).0, "unhealthy", "the next one");
    // The interval is a setting.
    let world = World::new();
    world.set_all(PEER, FailsAfter(10));
    let process = world.process_with(&[("CHECK_INTERVAL", "3m")]);
    assert_eq!(summary(&world.check(&process).0, 1).0, "degraded");
    assert_eq!(summary(&world.check_a_minute_later(&process).0, 1).0, "degraded");
    assert_eq!(summary(&world.check_a_minute_later(&process).0, 1).0, "unhealthy");
}

#[test]
fn a_bus_that_is_down_does_not_lose_the_verdicts() {
    for behaviour in [FailsAfter(10), Hangs] {
        let world = World::new();
        world.set_bus(behaviour);
        let (outcome, took) = world.check(&world.process());
        assert_eq!(outcome["overall"], "healthy");
        assert!(world.told().is_empty() && took <= Duration::from_secs(6), "{took:?}");
        assert!(world.kept("verdict#us-west-2").is_some() && world.kept("verdict#us-east-1").is_some());
    }
}

#[test]
fn a_kept_verdict_that_cannot_be_read_is_made_anew() {
    let world = World::new();
    world.put("verdict#us-west-2", "something else");
    let (outcome, _) = world.check(&world.process());
    assert_eq!(outcome["overall"], "healthy");
    assert!(world.kept("verdict#us-west-2").expect("kept").0.contains("healthy"));
}

#[test]
fn a_check_is_measured_and_its_verdict_is_said_once() {
    // All tests of this process share the metrics, so this one has a region of its own.
    let world = World::new();
    world.set_all(THIRD, FailsAfter(30));
    let regions = [OWN, THIRD].join(",");
    let process = world.process_with(&[("CHECKED_REGIONS", &regions), ("UNHEALTHY_AFTER", "1")]);
    let said = |event: Value| {
        let mut metrics = Vec::new();
        world.invoke(&process, event, &mut metrics);
        let lines: Vec<Value> = String::from_utf8(metrics)
            .expect("text")
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"))
            .collect();
        lines.iter().filter(|line| line["region"] == THIRD).find_map(|line| line.get("health_status").cloned())
    };
    assert_eq!(said(json!({})).and_then(|level| level.as_f64()), Some(2.0));
    assert_eq!(said(crate::world::http_request()), None, "a request repeats no verdict");
    assert_eq!(telemetry::HEALTH_PROBES_TOTAL.get(&[THIRD, "sqs", "unhealthy"]), 1);
    assert_eq!(telemetry::HEALTH_PROBE_SECONDS.count(&[THIRD, "sqs"]), 1);
}
