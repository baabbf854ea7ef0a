//! The program itself as a process: signals, exit codes, and what it answers meanwhile.

#[path = "process/program.rs"]
mod program;
#[expect(dead_code, reason = "the other tests use more of it")]
#[path = "pipeline/source.rs"]
mod source;
#[path = "process/tables.rs"]
mod tables;
#[expect(dead_code, reason = "the other tests use more of it")]
#[path = "pipeline/world.rs"]
mod world;

use std::time::{Duration, Instant};

use program::Program;
use source::Log;
use tables::{Tables, record};
use world::{World, eventually, eventually_async};

const WEST: &str = "us-west-2";
const EAST: &str = "us-east-1";

/// Liveness, readiness and metrics of a process that waits; then it gets its turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_stands_by_is_ready_and_takes_nothing() {
    let (world, tables) = (World::start(1).await, Tables::start().await);
    let log = Log::generate_clean(30, 10);
    world.produce(&log.messages).await;
    tables.decide(&record(EAST, 6, None));
    let mut program = Program::start(&world, &tables, &[]).await;
    let expected = (200, "standby: `us-east-1` owns the topics\n".to_owned());
    eventually_async("standby", async || program.get("/ready").await == expected).await;
    assert_eq!(program.get("/health").await, (200, "alive\n".to_owned()));
    let metrics = program.get("/metrics").await.1;
    for expected in ["consumer_ownership{phase=\"standing_by\"} 1", "region_authority_epoch{owner=\"us-east-1\"} 6"] {
        assert!(metrics.contains(expected), "{expected} in\n{metrics}");
    }
    assert!(!metrics.contains("kafka_consumer_lag_records{"), "{metrics}");
    // Longer than a join of the group takes.
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(tables.calls(), 0);

    tables.decide(&record(WEST, 7, None));
    eventually("all writes", || tables.epochs().len() == log.messages.len()).await;
    assert!(tables.epochs().iter().all(|epoch| epoch == "7"), "{:?}", tables.epochs());
    let (status, text) = program.get("/ready").await;
    assert_eq!((status, &*text), (200, "ready\n"));
    assert!(program.get("/metrics").await.1.contains("consumer_ownership{phase=\"owning\"} 1"));
    program.terminate();
    assert_eq!(program.ended(Duration::from_secs(30)).await, Some(0), "{}", program.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_is_replaced_ends_in_order() {
    let (world, tables) = (World::start(1).await, Tables::start().await);
    let log = Log::generate_clean(30, 10);
    world.produce(&log.messages).await;
    tables.decide(&record(WEST, 7, None));
    let mut program = Program::start(&world, &tables, &[]).await;
    eventually("all writes", || tables.epochs().len() == log.messages.len()).await;
    tables.decide(&record(EAST, 8, None));
    assert_eq!(program.ended(Duration::from_secs(30)).await, Some(0), "{}", program.log());
    assert!(program.log().contains("handed_over"), "{}", program.log());
    // What was done is committed.
    assert_eq!(world.committed("tandem-cdc-consumers"), world.ends());
}

/// A drain would last as long as the writes, which hang.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_over_ends_the_process() {
    let (world, tables) = (World::start(1).await, Tables::start().await);
    tables.set_slow(Duration::from_secs(600));
    world.produce(&Log::generate_clean(30, 10).messages).await;
    let lease = Duration::from_secs(12);
    let begun = Instant::now();
    tables.decide(&record(WEST, 7, Some(lease)));
    let mut program = Program::start(&world, &tables, &[("LEASE_MARGIN", "2s")]).await;
    eventually("a write", || tables.calls() > 0).await;
    assert_eq!(program.ended(Duration::from_secs(30)).await, Some(3), "{}", program.log());
    let took = begun.elapsed();
    assert!(took < lease, "{took:?}: before the lease is over");
    assert!(program.log().contains("the lease is over"), "{}", program.log());
    assert!(world.committed("tandem-cdc-consumers").values().all(|offset| *offset == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_drains_and_a_second_one_ends_at_once() {
    let (world, tables) = (World::start(1).await, Tables::start().await);
    let log = Log::generate_clean(30, 30);
    world.produce(&log.messages).await;
    tables.decide(&record(WEST, 7, None));
    // Below the time that one attempt may take.
    tables.set_slow(Duration::from_millis(1500));
    let mut program = Program::start(&world, &tables, &[]).await;
    eventually("a write", || tables.calls() > 0).await;
    let asked = Instant::now();
    program.terminate();
    eventually_async("not ready", async || program.get("/ready").await.0 == 503).await;
    assert_eq!(program.get("/health").await.0, 200, "it lives while it drains");
    assert_eq!(program.ended(Duration::from_secs(30)).await, Some(0), "{}", program.log());
    assert!(asked.elapsed() < Duration::from_secs(30));
    assert!(!tables.epochs().is_empty(), "what had begun was finished");

    // Now nothing ends: the drain would last for its whole deadline.
    tables.set_slow(Duration::from_secs(600));
    let calls = tables.calls();
    let more = Log::generate_clean(60, 30).messages;
    world.produce(&more[30..]).await;
    let mut program = Program::start(&world, &tables, &[]).await;
    eventually("another write", || tables.calls() > calls).await;
    program.terminate();
    eventually("the drain", || program.log().contains("draining")).await;
    let asked = Instant::now();
    program.terminate();
    assert_eq!(program.ended(Duration::from_secs(5)).await, Some(130), "{}", program.log());
    assert!(asked.elapsed() < Duration::from_secs(5));
}

/// What is wrong is told at once, with the exit code of a start that failed, and nothing of a secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_is_wrong_with_files_is_told_at_once() {
    let (world, tables) = (World::start(1).await, Tables::start().await);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_str().expect("UTF-8");
    std::fs::write(folder.path().join("key.pem"), "hunter2").expect("written");
    let authorities = format!("{path}/ca.pem");
    let variables = [
        ("KAFKA_SECURITY", "mtls"),
        ("KAFKA_CREDENTIALS_DIR", path),
        ("KAFKA_CA_FILE", &authorities),
        ("SCHEMA_REGISTRY_CREDENTIALS_DIR", "/nowhere"),
    ];
    let mut program = Program::spawn(&world, &tables, &variables);
    assert_eq!(program.ended(Duration::from_secs(30)).await, Some(1), "{}", program.log());
    let log = program.log();
    for part in ["certificate.pem", "key.pem holds no", "ca.pem", "/nowhere/username", "/nowhere/password"] {
        assert!(log.contains(part), "{part} in {log}");
    }
    assert!(!log.contains("hunter2"), "{log}");
}
