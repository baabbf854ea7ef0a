//! The whole system on the local platform: real programs, real templates, real Kafka, in a checkout of their own.
//!
//! The steps build on each other and share one platform, so they are one test.

mod api;
mod aws;
mod breaker;
mod changes;
mod checkout;
mod drift;
mod least_privilege;
mod queues;
mod receiver;
mod redrive;
mod rows;
mod sweep;

use std::collections::BTreeSet;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use checkout::Checkout;
use receiver::Receiver;
use serde_json::Value as Json;

/// Five functions in two regions.
const FUNCTIONS: usize = 10;
/// The sandbox's regions.
const HOME: &str = "us-west-2";
const PEER: &str = "us-east-1";
/// The sandbox's bus, the same in each region.
const BUS: &str = "tandem-sandbox-events";

#[test]
fn the_system_comes_up_proves_itself_and_leaves_nothing() {
    let checkout = Checkout::fresh();
    step("leftovers", || drop(checkout.run(&["destroy", "--yes"])));
    step("kill while `data` is created", || a_killed_deployment_is_carried_on(&checkout, "[data@us-west-2] creating"));
    step("destroy", || drop(checkout.run(&["destroy", "--yes"])));
    step("kill while `events` is created", || {
        a_killed_deployment_is_carried_on(&checkout, "[events@us-east-1] creating");
    });
    step("smoke", || every_change_arrives_once(&checkout, 1000));
    step("nothing changed", || nothing_changed_means_no_write(&checkout));
    step("one changed function", || one_changed_function_is_one_updated_function(&checkout));
    step("drift", || drift::what_is_changed_by_hand_is_found(&checkout));
    step("nothing runs", || drift::nothing_runs(&checkout));
    step("kill of the consumer", || a_killed_consumer_loses_and_repeats_nothing(&checkout));
    step("50 kills of functions", || killed_functions_lose_nothing(&checkout));
    step("kill of the emulator", || a_lost_emulator_is_said_and_restored(&checkout));
    step("events by the API", || api::events_come_in(&checkout));
    step("replay of dead letters", || redrive::dead_letters_are_replayed(&checkout));
    step("a commanded breaker", || breaker::an_operator_commands_it(&checkout));
    step("loss of the peer region", || breaker::events_wait_for_a_lost_region(&checkout));
    step("least privilege", || least_privilege::every_statement_is_missed(&checkout));
    step("sweep after a reload", || sweep::missing_rows_are_deleted(&checkout));
    step("smoke", || every_change_arrives_once(&checkout, 30));
    step("destroy", || nothing_is_left(&checkout));
}

/// Says how long a step took: they are slow, and a log without times doesn't tell which.
fn step(name: &str, run: impl FnOnce()) {
    let start = Instant::now();
    run();
    say(&format!("{name}: {:.1} s", start.elapsed().as_secs_f64()));
}

/// Writes a line of the test's log.
#[expect(clippy::print_stderr, reason = "a test has no `Ui`, and its log is what this is for")]
fn say(line: &str) {
    eprintln!("{line}");
}

/// Whether it becomes so within some seconds.
fn eventually(seconds: u64, mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// `kill -9` of the tool as soon as it says `moment`, then `deploy` again.
fn a_killed_deployment_is_carried_on(checkout: &Checkout, moment: &str) {
    let mut first = checkout.start(&["deploy"]);
    first.wait_for(|line| line.contains(moment));
    first.kill();
    let outcome = checkout.answer(&["deploy"]);
    let stacks = outcome["stacks"].as_array().expect("stacks");
    let listed = checkout.answer(&["list"]);
    assert_eq!(Some(stacks.len()), listed["environments"][0]["stacks"].as_array().map(Vec::len), "{outcome:#}");
    assert_eq!(outcome["functions"].as_array().map(Vec::len), Some(FUNCTIONS), "{outcome:#}");
    let status = checkout.answer(&["status"]);
    for stack in status["stacks"].as_array().expect("stacks") {
        assert_eq!(stack["compared"], "up_to_date", "after {moment}: {status:#}");
    }
    assert!(processes(&status).iter().all(|process| process["healthy"] == true), "after {moment}: {status:#}");
}

fn every_change_arrives_once(checkout: &Checkout, count: usize) {
    let report = checkout.answer(&["smoke", "--count", &count.to_string()]);
    all_arrived_once(&report, count);
}

fn all_arrived_once(report: &Json, count: usize) {
    assert_eq!(report["passed"], true, "{report:#}");
    assert_eq!(report["loop_count"], 0, "{report:#}");
    let hops = report["hops"].as_array().expect("hops");
    assert_eq!(hops.len(), 4, "{report:#}");
    for hop in hops {
        assert_eq!(hop["arrived"], count, "{report:#}");
        assert_eq!(hop["duplicates"], 0, "{report:#}");
    }
}

fn nothing_changed_means_no_write(checkout: &Checkout) {
    let before = checkout.calls_of_the_tool();
    let outcome = checkout.answer(&["deploy"]);
    for stack in outcome["stacks"].as_array().expect("stacks") {
        assert_eq!(stack["result"], "unchanged", "{outcome:#}");
    }
    let reads = |action: &str| {
        let (_, verb) = action.split_once(':').expect("service and verb");
        // The consumer takes its role as root, whenever its credentials run out.
        ["Describe", "Get", "List", "Head"].iter().any(|prefix| verb.starts_with(prefix)) || action == "sts:AssumeRole"
    };
    let writes: Vec<_> = checkout
        .calls_of_the_tool()
        .into_iter()
        .filter(|(action, count)| !reads(action) && before.get(action) != Some(count))
        .collect();
    assert!(writes.is_empty(), "{writes:?}");
    assert!(!before.is_empty(), "the emulator counts calls");
}

fn one_changed_function_is_one_updated_function(checkout: &Checkout) {
    let before = code(&checkout.answer(&["status"]));
    checkout.change_a_line_of_the_stream_processor();
    let outcome = checkout.answer(&["deploy"]);
    for stack in outcome["stacks"].as_array().expect("stacks") {
        let of_functions = stack["stack"].as_str().is_some_and(|id| id.starts_with("events@"));
        let expected = if of_functions { "updated" } else { "unchanged" };
        assert_eq!(stack["result"], expected, "{outcome:#}");
        let changed: Vec<&Json> = stack["changes"].as_array().expect("changes").iter().collect();
        assert!(changed.iter().all(|change| change["logical_id"] == "StreamProcessor"), "{outcome:#}");
        assert_eq!(changed.len(), usize::from(of_functions), "{outcome:#}");
    }
    let after = code(&checkout.answer(&["status"]));
    assert_eq!(before.len(), FUNCTIONS);
    for ([stack, function, old], [.., new]) in before.iter().zip(&after) {
        assert_eq!(old != new, function.ends_with("stream-processor"), "{function} of {stack}");
    }
    every_change_arrives_once(checkout, 30);
}

fn a_killed_consumer_loses_and_repeats_nothing(checkout: &Checkout) {
    let count = 5000;
    let mut smoke = checkout.start(&["smoke", "--count", &count.to_string(), "--format", "json"]);
    smoke.wait_for(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let applied = words.iter().position(|word| *word == "in").and_then(|at| words.get(at.checked_sub(1)?));
        line.contains("in the table") && applied.and_then(|word| word.parse::<usize>().ok()).is_some_and(|n| n > 300)
    });
    let status = checkout.answer(&["status"]);
    let consumer = pid(&status, "consumer-us-west-2");
    checkout::kill(consumer);
    let report = smoke.answer();
    all_arrived_once(&report, count);
    let restarted = pid(&checkout.answer(&["status"]), "consumer-us-west-2");
    assert_ne!(consumer, restarted, "the platform has started another consumer");
}

/// `kill -9` of functions in the middle of their batches, under a stream of changes: each arrives everywhere. An event
/// whose batch was killed after the bus had it comes again, under the same id, by which receivers know it: behind a store
/// of what was done each change passes once.
fn killed_functions_lose_nothing(checkout: &Checkout) {
    const KILLS: usize = 50;
    /// Events that are delivered to receivers once more whether or not a kill repeated any.
    const AGAIN: usize = 200;
    // Three changes a key: of a number that isn't divisible by three, what clears the last key away comes besides.
    let count = 5001;
    let receivers = [HOME, PEER].map(|region| Receiver::at(checkout, region));
    let port = checkout.port_of("emulator");
    let functions = ["tandem-sandbox-event-router", "tandem-sandbox-stream-processor"];
    let mut smoke = checkout.start(&["smoke", "--count", &count.to_string(), "--format", "json"]);
    let mut kills = 0;
    while kills < KILLS && smoke.goes_on() {
        let victims = checkout::function_processes(functions[kills % functions.len()], port);
        if let Some(victim) = victims.get(kills % victims.len().max(1)) {
            checkout::kill(*victim);
            kills += 1;
        }
        thread::sleep(Duration::from_millis(300));
    }
    let (report, _) = smoke.end();
    assert_eq!(kills, KILLS, "the stream of changes was over too early: {report:#}");
    assert_eq!((&report["loop_count"], &report["wrong_count"]), (&0.into(), &0.into()), "{report:#}");
    let hops = report["hops"].as_array().expect("hops");
    assert_eq!(hops.len(), 4, "{report:#}");
    for hop in hops {
        assert_eq!(hop["arrived"], count, "{report:#}");
    }
    let repeats: Vec<String> = hops.iter().map(|hop| hop["duplicates"].to_string()).collect();
    say(&format!("  {kills} kills, everything arrived; repeats at the four hops: {}", repeats.join(", ")));
    let run = report["run"].as_str().expect("the run's name");
    for (region, receiver) in [HOME, PEER].into_iter().zip(receivers) {
        let received = receiver.receive(run, AGAIN);
        let distinct: BTreeSet<String> = received.passed.iter().map(ToString::to_string).collect();
        assert_eq!((received.passed.len(), distinct.len()), (count, count), "each id passes once in {region}");
        assert_eq!(received.repeats, received.arrived - count + AGAIN, "in {region}");
        say(&format!("  a receiver in {region} lets {count} of {} events pass, each once", received.arrived + AGAIN));
    }
}

fn a_lost_emulator_is_said_and_restored(checkout: &Checkout) {
    checkout::kill(pid(&checkout.answer(&["status"]), "emulator"));
    // Until it answers again nothing is known of the stacks; then they are known to be gone.
    let lost = checkout
        .wait_for_status(|status| !status["platform"]["state_lost_at"].is_null() && status["reachable"] == true);
    assert!(lost["stacks"].as_array().is_some_and(|stacks| stacks.iter().all(|one| one["compared"] == "missing")));
    // Once more, in the middle of the deployment that is to restore everything: not a deleted stack is what is said.
    let mut deployment = checkout.start(&["deploy"]);
    deployment.wait_for(|line| line.contains("[data@us-west-2] creating"));
    checkout::kill(pid(&checkout.answer(&["status"]), "emulator"));
    let said = deployment.failure();
    assert!(said.contains("remote error: the emulator died at ") && said.contains("hint: deploy again"), "{said}");
    let outcome = checkout.answer(&["deploy"]);
    for stack in outcome["stacks"].as_array().expect("stacks") {
        assert_eq!(stack["result"], "created", "{outcome:#}");
    }
    let status = checkout.answer(&["status"]);
    assert!(status["platform"]["state_lost_at"].is_null(), "{status:#}");
    every_change_arrives_once(checkout, 30);
}

fn nothing_is_left(checkout: &Checkout) {
    let status = checkout.answer(&["status"]);
    let ports: Vec<u64> = processes(&status).iter().filter_map(|process| process["port"].as_u64()).collect();
    assert!(ports.len() >= 4, "{status:#}");
    let id = status["platform"]["id"].as_str().expect("an id");
    assert!(checkout::marked_processes(id).len() >= 4, "{status:#}");
    checkout.run(&["destroy", "--yes"]);
    assert_eq!(checkout::marked_processes(id), Vec::<u32>::new());
    for port in ports {
        let address = format!("127.0.0.1:{port}").parse().expect("an address");
        assert!(TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err(), "port {port} is open");
    }
    let status = checkout.answer(&["status"]);
    assert!(status["platform"].is_null(), "{status:#}");
}

fn processes(status: &Json) -> Vec<Json> {
    status["platform"]["processes"].as_array().expect("a platform").clone()
}

fn pid(status: &Json, name: &str) -> u32 {
    let process = processes(status).into_iter().find(|process| process["name"] == name);
    let pid = process.as_ref().and_then(|process| process["pid"].as_u64());
    u32::try_from(pid.unwrap_or_else(|| panic!("{name} runs: {status:#}"))).expect("a pid")
}

/// Stack, function and digest of the code it runs.
fn code(status: &Json) -> Vec<[String; 3]> {
    let text = |json: &Json| json.as_str().unwrap_or_else(|| panic!("text, not {json}")).to_owned();
    let functions = status["functions"].as_array().expect("functions");
    functions.iter().map(|function| ["stack", "function", "runs"].map(|field| text(&function[field]))).collect()
}
