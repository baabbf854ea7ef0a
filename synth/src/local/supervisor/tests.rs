//! The supervisor with shell scripts in the place of emulator, broker and consumer.

use std::collections::BTreeSet;

use hyper::Method;
use hyper::StatusCode;
use tokio::task::JoinHandle;

use super::*;
use crate::local::http;
use crate::local::keeper::script;
use crate::local::platform::wait_until_ready;
use crate::local::ports::{FixedPorts, choose};
use crate::local::state::{EMULATOR, SCHEMA};

/// A platform whose emulator only sleeps.
struct Bench {
    _checkout: tempfile::TempDir,
    folder: Folder,
}

/// A supervisor inside the test.
struct Running {
    stop: mpsc::Sender<()>,
    task: JoinHandle<Result<(), Problem>>,
}

impl Bench {
    fn new(programs: Vec<Launch>) -> Self {
        let checkout = tempfile::tempdir().expect("a folder");
        let folder = Folder::of(checkout.path(), "sandbox").expect("a good name");
        folder.create().expect("writable");
        let ports = choose(FixedPorts::default(), None).expect("free ports");
        let orders = Orders { schema: SCHEMA, fingerprint: "f".to_owned(), ports, programs };
        files::write_json(&folder.orders_file(), &orders).expect("writable");
        Self { _checkout: checkout, folder }
    }

    fn supervise(&self) -> Running {
        let (stop, receiver) = mpsc::channel(2);
        Running { stop, task: tokio::spawn(run(self.folder.clone(), Signals::Test(receiver))) }
    }

    /// The state once it is as wanted.
    async fn state(&self, wanted: impl Fn(&State) -> bool) -> State {
        for _ in 0..1200 {
            match State::load(&self.folder).expect("readable") {
                Some(state) if wanted(&state) => return state,
                _ => tokio::time::sleep(Duration::from_millis(25)).await,
            }
        }
        panic!("the state never gets there: {:?}", State::load(&self.folder));
    }

    async fn order(&self, method: Method, path: &str, body: Vec<u8>) -> StatusCode {
        let record = self.state(|state| state.supervisor.is_some()).await.supervisor.expect("it was waited for");
        let url = format!("http://127.0.0.1:{}{path}", record.control_port);
        let answer = http::send(method, &url, Some(&record.token), body, Duration::from_secs(5)).await;
        answer.expect("it answers").status
    }

    fn all(&self) -> BTreeSet<Identity> {
        processes::of_platform(&self.folder.id(), &[])
    }
}

impl Running {
    async fn stop(self) {
        self.stop.send(()).await.expect("it listens");
        self.task.await.expect("no panic").expect("no failure");
    }

    /// As SIGKILL does it: nothing is stopped and nothing written.
    async fn vanish(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()));
    }
}

fn sleeping_emulator() -> Launch {
    script(EMULATOR, "exec sleep 100", Memory::Resources)
}

fn identity(state: &State, name: &str) -> Option<Identity> {
    state.processes.get(name)?.identity.clone()
}

#[tokio::test]
async fn a_dead_emulator_is_restarted_and_its_loss_marked_until_everything_is_deployed_again() {
    let bench = Bench::new(vec![sleeping_emulator()]);
    let running = bench.supervise();
    let state = bench.state(|state| identity(state, EMULATOR).is_some()).await;
    assert_eq!(state.state_lost_at, None);
    let first = identity(&state, EMULATOR).expect("it was waited for");
    first.signal(nix::sys::signal::Signal::SIGKILL);
    let state = bench.state(|state| state.processes.get(EMULATOR).is_some_and(|record| record.restarts == 1)).await;
    assert_ne!(identity(&state, EMULATOR), Some(first));
    let lost_at = state.state_lost_at;
    assert!(lost_at.is_some());
    assert_eq!(bench.order(Method::POST, "/redeployed", b"\"earlier\"".to_vec()).await, StatusCode::OK);
    bench.state(|state| state.state_lost_at == lost_at).await;
    let body = serde_json::to_vec(&lost_at).expect("JSON");
    assert_eq!(bench.order(Method::POST, "/redeployed", body).await, StatusCode::OK);
    bench.state(|state| state.state_lost_at.is_none()).await;
    running.stop().await;
    assert!(bench.all().is_empty());
    let state = bench.state(|state| state.supervisor.is_none()).await;
    assert!(state.processes.is_empty() && state.consumers.is_empty());
}

#[tokio::test]
async fn what_outlives_a_supervisor_is_adopted_by_the_next() {
    let bench = Bench::new(vec![sleeping_emulator()]);
    let first = bench.supervise();
    bench.state(|state| identity(state, EMULATOR).is_some()).await;
    let consumer = script("consumer-a", "exec sleep 100", Memory::None);
    let body = serde_json::to_vec(&consumer).expect("JSON");
    assert_eq!(bench.order(Method::PUT, "/consumer", body).await, StatusCode::OK);
    let before = bench.state(|state| identity(state, "consumer-a").is_some()).await;
    first.vanish().await;

    let second = bench.supervise();
    let token = |state: &State| state.supervisor.as_ref().map(|record| record.token.clone());
    let after = bench.state(|state| token(state) != token(&before)).await;
    for name in [EMULATOR, "consumer-a"] {
        assert_eq!(identity(&after, name), identity(&before, name), "{name}");
    }
    assert_eq!(after.state_lost_at, None);
    // What is adopted is also restarted, although it is no child.
    identity(&after, "consumer-a").expect("it runs").signal(nix::sys::signal::Signal::SIGKILL);
    bench.state(|state| state.processes.get("consumer-a").is_some_and(|record| record.restarts == 1)).await;
    second.stop().await;
    assert!(bench.all().is_empty());
}

#[tokio::test]
async fn an_emulator_that_died_while_nobody_watched_counts_as_lost_state() {
    let bench = Bench::new(vec![sleeping_emulator()]);
    let first = bench.supervise();
    let state = bench.state(|state| identity(state, EMULATOR).is_some()).await;
    first.vanish().await;
    identity(&state, EMULATOR).expect("it runs").signal(nix::sys::signal::Signal::SIGKILL);
    let second = bench.supervise();
    bench.state(|state| state.state_lost_at.is_some() && identity(state, EMULATOR).is_some()).await;
    second.stop().await;
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn marked_processes_that_no_record_names_are_ended_at_the_start() {
    let bench = Bench::new(vec![sleeping_emulator()]);
    let mut stray = std::process::Command::new("/bin/sleep")
        .arg("100")
        .env(processes::PLATFORM_VARIABLE, bench.folder.id().as_str())
        .spawn()
        .expect("it starts");
    let running = bench.supervise();
    bench.state(|state| identity(state, EMULATOR).is_some()).await;
    // It was told to end before the emulator was started; a busy machine may take a moment for the rest.
    let ended = async {
        while stray.try_wait().expect("ours").is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("it ends");
    running.stop().await;
}

#[tokio::test]
async fn a_consumer_is_replaced_and_keeps_its_name() {
    let bench = Bench::new(vec![sleeping_emulator()]);
    let running = bench.supervise();
    for seconds in ["100", "200"] {
        let mut launch = script("consumer-a", "", Memory::None);
        launch.program = PathBuf::from("/bin/sleep");
        launch.arguments = vec![seconds.to_owned()];
        let body = serde_json::to_vec(&launch).expect("JSON");
        assert_eq!(bench.order(Method::PUT, "/consumer", body).await, StatusCode::OK);
        bench.state(|s| s.consumers == [launch.clone()] && identity(s, "consumer-a").is_some()).await;
    }
    let consumers = bench.all().len();
    assert!(consumers <= 2, "one emulator and one consumer, not {consumers} processes");
    running.stop().await;
    assert!(bench.all().is_empty());
}

#[tokio::test]
async fn a_second_supervisor_and_a_taken_port_are_refused() {
    let bench = Bench::new(Vec::new());
    let running = bench.supervise();
    let state = bench.state(|state| state.supervisor.is_some()).await;
    let problem = run(bench.folder.clone(), Signals::Test(mpsc::channel(1).1)).await.expect_err("one runs already");
    assert!(problem.to_string().starts_with("cannot lock"), "{problem}");
    running.stop().await;

    let taken = std::net::TcpListener::bind(("127.0.0.1", state.ports.schema_registry)).expect("free again");
    let problem = run(bench.folder.clone(), Signals::Test(mpsc::channel(1).1)).await.expect_err("the port is taken");
    assert!(matches!(problem, Problem::PortTaken { .. }), "{problem}");
    drop(taken);
}

#[tokio::test]
async fn a_consumer_that_cannot_start_keeps_nobody_waiting_and_can_be_ordered_anew() {
    let bench = Bench::new(vec![sleeping_emulator()]);
    let running = bench.supervise();
    let broken = script("consumer-a", "exit 3", Memory::None);
    let body = serde_json::to_vec(&broken).expect("JSON");
    assert_eq!(bench.order(Method::PUT, "/consumer", body.clone()).await, StatusCode::OK);
    let failures = |state: &State| state.processes.get("consumer-a").map_or(0, |record| record.failures);
    bench.state(|state| failures(state) >= 3).await;
    wait_until_ready(&bench.folder, Duration::from_secs(20), || None).await.expect("the rest serves");
    assert_eq!(bench.order(Method::PUT, "/consumer", body).await, StatusCode::OK);
    let state = State::load(&bench.folder).expect("readable").expect("written");
    assert!(failures(&state) < 3, "the answer comes after the failures are forgotten: {state:?}");
    running.stop().await;
}

#[tokio::test]
async fn consumers_that_know_other_ports_are_not_started_again() {
    let bench = Bench::new(vec![sleeping_emulator()]);
    let first = bench.supervise();
    let consumer = script("consumer-a", "exec sleep 100", Memory::None);
    let body = serde_json::to_vec(&consumer).expect("JSON");
    assert_eq!(bench.order(Method::PUT, "/consumer", body).await, StatusCode::OK);
    let before = bench.state(|state| identity(state, "consumer-a").is_some()).await;
    first.vanish().await;

    let ports = choose(FixedPorts::default(), None).expect("free ports");
    assert_ne!(ports, before.ports);
    let orders = Orders { schema: SCHEMA, fingerprint: "f".to_owned(), ports, programs: vec![sleeping_emulator()] };
    files::write_json(&bench.folder.orders_file(), &orders).expect("writable");
    let second = bench.supervise();
    let after = bench.state(|state| state.ports == ports && identity(state, EMULATOR).is_some()).await;
    assert!(after.consumers.is_empty() && after.state_lost_at.is_some(), "{after:?}");
    assert!(!identity(&before, "consumer-a").expect("it ran").is_alive());
    second.stop().await;
}

#[tokio::test]
async fn consumers_start_anew_after_a_loss_of_the_broker_whoever_makes_its_topics() {
    // Without topics none is ever missing, as when a deployment makes them before the supervisor does.
    let broker = script(BROKER, "exec sleep 100", Memory::Topics);
    let bench = Bench::new(vec![broker]);
    let running = bench.supervise();
    let consumer = script("consumer-a", "exec sleep 100", Memory::None);
    let body = serde_json::to_vec(&consumer).expect("JSON");
    assert_eq!(bench.order(Method::PUT, "/consumer", body).await, StatusCode::OK);
    let running_both = |state: &State| identity(state, BROKER).is_some() && identity(state, "consumer-a").is_some();
    let before = bench.state(running_both).await;
    identity(&before, BROKER).expect("it runs").signal(nix::sys::signal::Signal::SIGKILL);
    let consumer = identity(&before, "consumer-a");
    let after = bench.state(|state| running_both(state) && identity(state, "consumer-a") != consumer).await;
    assert_eq!(after.processes["consumer-a"].failures, 0, "it was asked to end");
    running.stop().await;
}
