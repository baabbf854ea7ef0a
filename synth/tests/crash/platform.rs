//! The real peers of a run: broker, Schema Registry, DynamoDB and two consumers, in a folder of their own.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use events::Entity;
use hyper::Method;
use nix::sys::signal::Signal;
use synth::artifacts::CONSUMER;
use synth::local::{self, Installation, Registry};
use synth::ui::{Options, Ui};

use crate::gate::Gate;
use crate::http::Http;
use crate::process::{Process, Program, tail};
use crate::proxy::Proxy;
use crate::settings::Settings;
use crate::tables::Tables;
use crate::topics;

/// The broker's storage: a bucket of its own emulator, which outlives the broker.
const BUCKET: &str = "crash";
/// How many consumers there are.
pub(crate) const CONSUMERS: usize = 2;
/// Longest time for a program to serve.
const START_LIMIT: Duration = Duration::from_secs(60);
/// The source of the rows and the writers' epoch.
pub(crate) const SOURCE: &str = "crash-source";
pub(crate) const EPOCH: u64 = 3;
pub(crate) const REGION: &str = "us-west-2";

pub(crate) struct Platform {
    broker_program: Program,
    broker: Option<Process>,
    consumer_programs: Vec<Program>,
    pub(crate) consumers: Vec<Option<Process>>,
    /// Where the broker itself listens.
    broker_address: String,
    gate: Gate,
    /// Where its clients find it.
    pub(crate) brokers: String,
    pub(crate) registry_url: String,
    pub(crate) tables: Tables,
    pub(crate) proxy: Proxy,
    _others: Vec<Process>,
    registry: tokio::task::JoinHandle<()>,
    /// Logs and the programs' own files. They stay, to be looked at; the next run begins anew.
    folder: PathBuf,
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.registry.abort();
    }
}

impl Platform {
    /// Installs and builds what is needed, starts everything but the consumers.
    pub(crate) async fn start(settings: &Settings) -> Self {
        let ui = Ui::new(Options::default());
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let cache = local::cache_folder(|name| std::env::var(name).ok()).expect("a cache folder");
        let installation = local::install(&ui, checkout, &cache).await.expect("installed");
        let path = &fresh_folder();
        // A copy, because a build that goes on beside the test may replace it.
        let consumer = path.join(CONSUMER);
        let built = settings.consumer.clone().unwrap_or_else(|| built_consumer(checkout));
        fs::copy(built, &consumer).expect("copied");

        let (storage, storage_url) = emulator(&installation, path, "storage").await;
        let (database, endpoint) = match &settings.dynoxide {
            Some(program) => dynoxide(program, path).await,
            None => emulator(&installation, path, "database").await,
        };
        make_bucket(&storage_url).await;
        let (registry, registry_url) = registry(path).await;
        let proxy = Proxy::start(&endpoint, settings.seed).await;
        let tables = Tables::at(&endpoint);
        tables.create().await;

        let broker_address = format!("127.0.0.1:{}", free_port());
        let gate = Gate::start(&broker_address).await;
        let address = gate.address.clone();
        let broker_program = broker(&installation, path, (&broker_address, &address), &storage_url);
        let consumer_programs = (0..CONSUMERS).map(|number| {
            let name = format!("consumer-{number}");
            let environment = consumer_environment(&address, &registry_url, &proxy.url);
            let log = path.join(format!("{name}.log"));
            Program { name, program: consumer.clone(), arguments: Vec::new(), environment, log }
        });
        let mut platform = Self {
            consumer_programs: consumer_programs.collect(),
            consumers: Vec::new(),
            broker: None,
            broker_program,
            broker_address,
            brokers: address,
            gate,
            registry_url,
            tables,
            proxy,
            _others: vec![storage, database],
            registry,
            folder: path.clone(),
        };
        platform.start_broker().await;
        topics::create(&platform.brokers).await;
        platform
    }

    pub(crate) async fn start_broker(&mut self) {
        self.broker = Some(self.broker_program.start());
        let deadline = Instant::now() + START_LIMIT;
        while TcpStream::connect(&self.broker_address).is_err() {
            assert!(Instant::now() < deadline, "the broker doesn't serve\n{}", self.logs());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.gate.set_open(true);
    }

    /// Cuts all connections, then `kill -9`.
    pub(crate) async fn kill_broker(&mut self) {
        self.gate.set_open(false);
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.broker.take().expect("it runs").kill();
    }

    /// Stops the broker in the middle of whatever it does, or has it go on.
    pub(crate) fn freeze_broker(&self, frozen: bool) {
        let signal = if frozen { Signal::SIGSTOP } else { Signal::SIGCONT };
        self.broker.as_ref().expect("it runs").signal(signal);
    }

    /// Starts the consumers that don't run, under a generation.
    pub(crate) fn start_consumers(&mut self, generation: u32) {
        for program in &mut self.consumer_programs {
            program.environment.insert("SOURCE_GENERATION".to_owned(), generation.to_string());
        }
        self.consumers.resize_with(CONSUMERS, || None);
        for (consumer, program) in self.consumers.iter_mut().zip(&self.consumer_programs) {
            consumer.get_or_insert_with(|| program.start());
        }
    }

    /// `kill -9` of one.
    pub(crate) fn kill_consumer(&mut self, number: usize) {
        if let Some(consumer) = self.consumers[number].take() {
            consumer.kill();
        }
    }

    /// Takes consumers away that have ended by themselves, and says how.
    pub(crate) fn ended_consumers(&mut self) -> Vec<ExitStatus> {
        let mut ended = Vec::new();
        for slot in &mut self.consumers {
            if let Some(status) = slot.as_mut().and_then(Process::ended) {
                ended.push(status);
                *slot = None;
            }
        }
        ended
    }

    /// Stops every consumer as a deployment does: they drain, commit and leave.
    pub(crate) async fn stop_consumers(&mut self) {
        for consumer in std::mem::take(&mut self.consumers).into_iter().flatten() {
            let status = consumer.stop(Duration::from_secs(30)).await;
            assert!(status.success(), "a consumer that was asked to end did so with {status}\n{}", self.logs());
        }
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.log"))
    }

    /// The last words of all.
    pub(crate) fn logs(&self) -> String {
        let names = ["consumer-0", "consumer-1", "broker", "database", "storage"];
        let tails = names.map(|name| format!("== {name}\n{}\n", tail(&self.log(name), 15))).concat();
        format!("{tails}== all of it is in {}", self.folder.display())
    }

    /// Lines of both consumers' logs that hold this text.
    pub(crate) fn said(&self, text: &str) -> usize {
        let logs = ["consumer-0", "consumer-1"].map(|name| fs::read_to_string(self.log(name)).unwrap_or_default());
        logs.iter().flat_map(|log| log.lines()).filter(|line| line.contains(text)).count()
    }
}

/// The consumer as a test run of the whole workspace builds it, for its own tests: after such a run nothing is built here.
/// Asked for by its package alone it would have other features of its dependencies, and they would be compiled once more.
fn built_consumer(checkout: &Path) -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(checkout).args(["test", "--workspace", "--no-run", "--test", "pipeline"]);
    cargo.arg("--message-format=json-render-diagnostics").stdin(Stdio::null()).stderr(Stdio::inherit());
    for (name, _) in std::env::vars_os().filter(|(name, _)| programs::is_of_surrounding_package(name)) {
        cargo.env_remove(name);
    }
    let output = cargo.output().expect("cargo starts");
    assert!(output.status.success(), "the consumer doesn't build: cargo ended with {}", output.status);
    let mut executables = programs::executables_in(&String::from_utf8_lossy(&output.stdout));
    executables.remove(CONSUMER).expect("the consumer has a test `pipeline`, so cargo builds its program")
}

fn fresh_folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crash");
    if folder.exists() {
        fs::remove_dir_all(&folder).expect("what an earlier run left is removed");
    }
    fs::create_dir_all(&folder).expect("a folder");
    folder
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("bound").port()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

async fn emulator(installation: &Installation, folder: &Path, name: &str) -> (Process, String) {
    let ready = folder.join(format!("{name}.ready"));
    let ready_text = text(&ready);
    let arguments =
        ["-m", "tandem_emulator", "--port", "0", "--no-iam", "--log-level", "ERROR", "--ready-file", &ready_text];
    let environment = [
        ("PYTHONPATH", text(&installation.emulator)),
        ("HOME", text(folder)),
        ("TMPDIR", text(folder)),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
    ];
    let program = Program {
        name: name.to_owned(),
        program: installation.python.clone(),
        arguments: arguments.map(str::to_owned).to_vec(),
        environment: environment.map(|(name, value)| (name.to_owned(), value)).into(),
        log: folder.join(format!("{name}.log")),
    };
    let mut process = program.start();
    let deadline = Instant::now() + START_LIMIT;
    loop {
        if let Ok(said) = fs::read_to_string(&ready) {
            let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
            return (process, said["url"].as_str().expect("a URL").to_owned());
        }
        assert!(
            process.ended().is_none() && Instant::now() < deadline,
            "the emulator doesn't start\n{}",
            tail(&program.log, 20)
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn dynoxide(binary: &Path, folder: &Path) -> (Process, String) {
    let port = free_port();
    let port_text = port.to_string();
    let program = Program {
        name: "database".to_owned(),
        program: binary.to_owned(),
        arguments: ["serve", "--port", &port_text, "--log", "quiet"].map(str::to_owned).to_vec(),
        environment: BTreeMap::from([("HOME".to_owned(), text(folder))]),
        log: folder.join("database.log"),
    };
    let process = program.start();
    let deadline = Instant::now() + START_LIMIT;
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < deadline, "dynoxide doesn't start\n{}", tail(&program.log, 20));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    (process, format!("http://127.0.0.1:{port}"))
}

async fn make_bucket(endpoint: &str) {
    let url = format!("{endpoint}/{BUCKET}");
    let place = format!(
        "<CreateBucketConfiguration><LocationConstraint>{REGION}</LocationConstraint></CreateBucketConfiguration>"
    );
    let (status, answer) = Http::new().aws("s3", Method::PUT, &url, &[], place).await;
    assert!(status.is_success(), "no bucket: {status}: {}", String::from_utf8_lossy(&answer));
}

fn broker(installation: &Installation, folder: &Path, (own, advertised): (&str, &str), storage: &str) -> Program {
    let (own, advertised) = (format!("tcp://{own}"), format!("tcp://{advertised}"));
    let bucket = format!("s3://{BUCKET}/");
    let arguments =
        ["broker", "--storage-engine", &bucket, "--listener-url", &own, "--advertised-listener-url", &advertised];
    let environment = [
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_REGION", REGION),
        ("AWS_ENDPOINT", storage),
        ("AWS_ALLOW_HTTP", "true"),
    ];
    Program {
        name: "broker".to_owned(),
        program: installation.broker.clone(),
        arguments: arguments.map(str::to_owned).to_vec(),
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        log: folder.join("broker.log"),
    }
}

async fn registry(folder: &Path) -> (tokio::task::JoinHandle<()>, String) {
    let router = local::registry_router(Registry::open(folder.join("registry.json")).expect("a registry"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    (tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") }), url)
}

fn consumer_environment(brokers: &str, registry: &str, endpoint: &str) -> BTreeMap<String, String> {
    let settings = [
        ("AWS_REGION", REGION),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL", endpoint),
        ("KAFKA_BROKERS", brokers),
        ("KAFKA_SECURITY", "plaintext"),
        ("KAFKA_GROUP_ID", topics::GROUP),
        ("KAFKA_DEAD_LETTER_TOPIC", topics::DEAD_LETTERS),
        ("SCHEMA_REGISTRY_URL", registry),
        ("SOURCE_ID", SOURCE),
        // A member that was killed is missed after this and five seconds more.
        ("DRAIN_DEADLINE", "1s"),
        ("HTTP_PORT", "0"),
    ];
    let tables = Entity::ALL.map(|entity| (format!("{}_TABLE", entity.as_str().to_uppercase()), Tables::name(entity)));
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned()));
    settings.into_iter().chain(tables).chain([("AUTHORITY".to_owned(), format!("epoch:{EPOCH}"))]).collect()
}
