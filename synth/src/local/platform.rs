//! The handle to a running platform: its addresses, its state, and orders to its supervisor.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use hyper::Method;
use serde::Serialize;

use super::files;
use super::folder::{Folder, PlatformId};
use super::http;
use super::logs;
use super::problem::Problem;
use super::processes::{self, Identity};
use super::programs;
use super::state::{
    BROKER, EMULATOR, Launch, Ports, Probe, ProcessRecord, REGISTRY, SUPERVISOR, State, SupervisorRecord, Topic,
};
use crate::error::Error;

/// Longest wait for one look whether a process serves.
const PROBE_LIMIT: Duration = Duration::from_secs(2);
/// Longest wait for the supervisor, which answers from memory.
const ORDER_LIMIT: Duration = Duration::from_secs(10);
/// Longest wait for the supervisor while it talks to the broker.
const TOPICS_LIMIT: Duration = Duration::from_secs(30);
/// Longest time for a consumer to drain, end, start and serve.
const CONSUMER_LIMIT: Duration = Duration::from_secs(75);
/// How often something that is awaited is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Deaths in a row after which a process is not waited for any longer.
const TRIES: u32 = 3;

/// A local platform, some of whose processes run.
#[derive(Clone, Debug)]
pub struct Platform {
    /// Where every AWS request goes; `http://127.0.0.1:PORT`.
    pub endpoint_url: String,
    /// Bootstrap servers; `127.0.0.1:PORT`.
    pub kafka_brokers: String,
    /// The Schema Registry; `http://127.0.0.1:PORT`.
    pub schema_registry_url: String,
    /// The account's root access key: it may do everything, as long as no role is assumed.
    pub root_access_key: String,
    /// The secret that belongs to the root access key.
    pub root_secret_key: String,
    /// The port on 127.0.0.1 that is reserved for the consumer's health and metrics.
    pub consumer_port: u16,
    /// When the emulator died with everything deployed in it (RFC 3339), if no deployment has restored it yet; as it
    /// was when the platform was found, see [`Platform::state_lost_at`].
    pub state_lost_at: Option<String>,
    folder: Folder,
}

/// A consumer to keep running.
#[derive(Clone, Debug)]
pub struct ConsumerProcess {
    /// The region that it works for; one consumer runs for each.
    pub region: String,
    /// The executable; it is copied, so it may be rebuilt while it runs.
    pub binary: PathBuf,
    /// Its whole environment, besides `PATH`, `HOME`, `TMPDIR` and `LANG`, which the platform sets.
    pub environment: BTreeMap<String, String>,
    /// Where it answers `GET /health` on 127.0.0.1; without it, being alive counts as healthy.
    pub health_port: Option<u16>,
}

/// What [`Platform::run_consumer`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConsumerChange {
    /// It ran already, with the same binary and environment.
    Unchanged,
    /// It was started, or started anew because it did not serve.
    Started,
    /// It took the place of one with another binary or environment, after that had drained.
    Replaced,
}

/// How a platform is at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlatformStatus {
    /// What marks its processes.
    pub id: PlatformId,
    /// Whether dead processes are being restarted.
    pub supervised: bool,
    /// The emulator died with everything deployed in it at this time (RFC 3339), and no deployment has restored it.
    pub state_lost_at: Option<String>,
    /// The processes that are kept running, the supervisor first.
    pub processes: Vec<ProcessStatus>,
    /// Further living processes of the platform: the functions' environments.
    pub others: usize,
    /// Living processes of a platform whose record is gone, by number; only `down` and `destroy` can deal with them.
    pub unrecorded: Vec<u32>,
}

/// One process that is kept running.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcessStatus {
    /// `supervisor`, `emulator`, `broker`, `schema-registry` or `consumer-<region>`.
    pub name: String,
    /// Whether it lives.
    pub running: bool,
    /// Its number, while it lives.
    pub pid: Option<u32>,
    /// The port that it serves, on 127.0.0.1.
    pub port: Option<u16>,
    /// Time since its start in seconds, while it lives.
    pub uptime_secs: Option<u64>,
    /// Starts after the first.
    pub restarts: u32,
    /// Whether it lives and serves.
    pub healthy: bool,
    /// How it last ended, if it did.
    pub last_end: Option<String>,
}

impl PlatformStatus {
    /// Whether every process serves and nothing is lost.
    pub fn is_healthy(&self) -> bool {
        self.supervised
            && self.state_lost_at.is_none()
            && self.unrecorded.is_empty()
            && self.processes.iter().all(|process| process.healthy)
    }
}

impl Platform {
    /// The platform of `environment` in `checkout`, if any of its processes runs.
    ///
    /// # Errors
    /// The state folder can't be read, or processes run of which there is no record.
    pub fn find(checkout: &Path, environment: &str) -> Result<Option<Self>, Error> {
        Ok(Self::of(&Folder::of(checkout, environment)?)?)
    }

    /// What runs of the platform of `environment` although there is no record of it: someone removed the state folder.
    ///
    /// # Errors
    /// The state folder can't be read.
    pub fn unrecorded(checkout: &Path, environment: &str) -> Result<Option<PlatformStatus>, Error> {
        let folder = Folder::of(checkout, environment)?;
        if State::load(&folder)?.is_some() {
            return Ok(None);
        }
        let running = processes::of_platform(&folder.id(), &[]);
        Ok((!running.is_empty()).then(|| PlatformStatus {
            id: folder.id(),
            supervised: false,
            state_lost_at: None,
            processes: Vec::new(),
            others: 0,
            unrecorded: running.into_iter().map(|process| process.pid).collect(),
        }))
    }

    pub(crate) fn of(folder: &Folder) -> Result<Option<Self>, Problem> {
        let state = State::load(folder)?;
        let recorded = state.as_ref().map(State::recorded).unwrap_or_default();
        let running = processes::of_platform(&folder.id(), &recorded);
        match state {
            _ if running.is_empty() => Ok(None),
            Some(state) => Ok(Some(Self::new(folder, &state))),
            None => Err(Problem::Damaged {
                what: format!(
                    "{} processes run of which `{}` says nothing",
                    running.len(),
                    folder.state_file().display()
                ),
            }),
        }
    }

    pub(crate) fn new(folder: &Folder, state: &State) -> Self {
        let Ports { emulator, broker, schema_registry, consumer } = state.ports;
        Self {
            endpoint_url: format!("http://127.0.0.1:{emulator}"),
            kafka_brokers: format!("127.0.0.1:{broker}"),
            schema_registry_url: format!("http://127.0.0.1:{schema_registry}"),
            root_access_key: programs::ROOT_ACCESS_KEY.to_owned(),
            root_secret_key: programs::ROOT_SECRET_KEY.to_owned(),
            consumer_port: consumer,
            state_lost_at: state.state_lost_at.clone(),
            folder: folder.clone(),
        }
    }

    /// Looks at every process, and asks those that serve something.
    ///
    /// # Errors
    /// The state folder can't be read, or the platform was taken away meanwhile.
    pub async fn status(&self) -> Result<PlatformStatus, Error> {
        let state = self.state()?;
        let mut looks = vec![supervisor_status(&state)];
        looks.extend(futures::future::join_all(named_records(&state).map(|(n, r, p)| process_status(n, r, p))).await);
        let recorded: BTreeSet<Identity> = state.recorded().into_iter().collect();
        let all = processes::of_platform(&state.id, &state.recorded());
        Ok(PlatformStatus {
            id: state.id.clone(),
            supervised: state.live_supervisor().is_some(),
            state_lost_at: state.state_lost_at.clone(),
            processes: looks,
            others: all.difference(&recorded).count(),
            unrecorded: Vec::new(),
        })
    }

    /// Fails unless supervisor, emulator, broker and registry live and serve; for telling a dead emulator from a failed
    /// request. Consumers don't count: a deployment replaces them, and says by itself what is wrong with them.
    ///
    /// # Errors
    /// The names of the processes that are dead or don't answer.
    pub async fn check(&self) -> Result<(), Error> {
        let status = self.status().await?;
        let needed = |name: &str| name == SUPERVISOR || is_needed(name);
        let bad = status.processes.iter().filter(|process| !process.healthy && needed(&process.name)).map(|process| {
            let end = process.last_end.as_ref().map(|end| format!(" ({end})")).unwrap_or_default();
            match process.pid {
                Some(pid) => format!("the {} (pid {pid}) does not answer", process.name),
                None => format!("the {} is dead{end}", process.name),
            }
        });
        let bad: Vec<String> = bad.collect();
        if bad.is_empty() { Ok(()) } else { Err(Problem::Damaged { what: bad.join(", ") }.into()) }
    }

    /// When the emulator died with everything deployed in it, as it is recorded now; none once it is restored.
    ///
    /// # Errors
    /// The state folder can't be read, or the platform was taken away meanwhile.
    pub fn state_lost_at(&self) -> Result<Option<String>, Error> {
        Ok(self.state()?.state_lost_at)
    }

    /// Keeps a consumer running, in place of one with another binary or environment; waits until it serves.
    ///
    /// After the emulator has lost its state every consumer is replaced: the credentials that it holds are void.
    ///
    /// # Errors
    /// The supervisor is gone, the binary can't be copied, or the consumer dies or doesn't serve in time.
    pub async fn run_consumer(&self, process: ConsumerProcess) -> Result<ConsumerChange, Error> {
        let known: State = self.order_with_answer(Method::GET, "/status", Vec::new(), ORDER_LIMIT).await?;
        let name = programs::consumer_name(&process.region);
        let current = known.consumers.iter().find(|launch| launch.name == name);
        if let Some(current) = current
            && known.state_lost_at.is_none()
            && files::same_content(&process.binary, &current.program)?
            && programs::consumer(&self.folder, &process, &current.program) == *current
        {
            let record = known.processes.get(&name).cloned().unwrap_or_default();
            if is_healthy(&record, &current.probe).await {
                return Ok(ConsumerChange::Unchanged);
            }
            // The same order again: it forgets earlier failures, after which nobody would wait for it.
            self.order(Method::PUT, "/consumer", json(current)?, ORDER_LIMIT).await?;
            self.wait_for_consumer(current, record.identity.as_ref()).await?;
            return Ok(ConsumerChange::Started);
        }
        let copy = self.copy_binary(&name, &process.binary, current)?;
        let launch = programs::consumer(&self.folder, &process, &copy);
        self.order(Method::PUT, "/consumer", json(&launch)?, ORDER_LIMIT).await?;
        self.wait_for_consumer(&launch, None).await?;
        Ok(if current.is_some() { ConsumerChange::Replaced } else { ConsumerChange::Started })
    }

    /// Makes those of `topics` (name, partitions) that aren't there; they are made again if the broker restarts.
    ///
    /// # Errors
    /// The supervisor is gone, or the broker refuses.
    pub async fn create_topics(&self, topics: &[(&str, u32)]) -> Result<(), Error> {
        let topics: Vec<Topic> = topics
            .iter()
            .map(|(name, partitions)| Topic { name: (*name).to_owned(), partitions: *partitions })
            .collect();
        let answer = self.order(Method::POST, "/topics", json(&topics)?, TOPICS_LIMIT).await;
        match answer {
            Err(Problem::SupervisorRefused { said }) => Err(Problem::BrokerRefused {
                brokers: self.kafka_brokers.clone(),
                action: "create topics".to_owned(),
                said,
            }
            .into()),
            Err(problem) => Err(problem.into()),
            Ok(_) => Ok(()),
        }
    }

    /// Notes that everything is deployed again that the emulator had lost at `lost_at`; a later loss stays noted.
    ///
    /// # Errors
    /// The supervisor is gone.
    pub async fn mark_redeployed(&self, lost_at: &str) -> Result<(), Error> {
        self.order(Method::POST, "/redeployed", json(&lost_at)?, ORDER_LIMIT).await?;
        Ok(())
    }

    fn state(&self) -> Result<State, Problem> {
        let gone = || Problem::NotRunning { environment: self.folder.environment().to_owned() };
        State::load(&self.folder)?.ok_or_else(gone)
    }

    async fn order(&self, method: Method, path: &str, body: Vec<u8>, limit: Duration) -> Result<Vec<u8>, Problem> {
        let state = self.state()?;
        let gone = || Problem::NotSupervised { environment: self.folder.environment().to_owned() };
        let SupervisorRecord { control_port, token, .. } = state.live_supervisor().ok_or_else(gone)?;
        let url = format!("http://127.0.0.1:{control_port}{path}");
        let answer = http::send(method, &url, Some(token), body, limit).await?;
        if answer.status.is_success() {
            return Ok(answer.body.to_vec());
        }
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let said = if text.is_empty() { answer.status.to_string() } else { text };
        Err(Problem::SupervisorRefused { said })
    }

    async fn order_with_answer<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<T, Problem> {
        let answer = self.order(method, path, body, limit).await?;
        serde_json::from_slice(&answer).map_err(|source| Problem::Json { path: self.folder.state_file(), source })
    }

    /// A copy under a new name; copies that nobody uses any more are removed.
    fn copy_binary(&self, name: &str, binary: &Path, current: Option<&Launch>) -> Result<PathBuf, Problem> {
        let programs = self.folder.programs();
        fs::create_dir_all(&programs).map_err(Problem::file("create", &programs))?;
        for entry in fs::read_dir(&programs).map_err(Problem::file("read", &programs))?.flatten() {
            let is_ours = entry.file_name().to_str().is_some_and(|file| file.starts_with(&format!("{name}.")));
            if is_ours && current.is_none_or(|current| current.program != entry.path()) {
                fs::remove_file(entry.path()).map_err(Problem::file("remove", entry.path()))?;
            }
        }
        let copy = programs.join(format!("{name}.{}", jiff::Timestamp::now().as_millisecond()));
        fs::copy(binary, &copy).map_err(Problem::file("copy", binary))?;
        Ok(copy)
    }

    /// Waits until `launch` serves, and not as the process `old`, which is to end.
    async fn wait_for_consumer(&self, launch: &Launch, old: Option<&Identity>) -> Result<(), Problem> {
        let deadline = Instant::now() + CONSUMER_LIMIT;
        let log_path = self.folder.log(&launch.name);
        loop {
            let state = self.state()?;
            if state.live_supervisor().is_none() {
                return Err(Problem::NotSupervised { environment: self.folder.environment().to_owned() });
            }
            let record = state.processes.get(&launch.name).filter(|r| r.program.as_ref() == Some(&launch.program));
            if let Some(record) = record {
                let is_old = record.identity.is_some() && record.identity.as_ref() == old;
                if !is_old && is_healthy(record, &launch.probe).await {
                    return Ok(());
                }
                if record.failures >= TRIES {
                    return Err(given_up(&launch.name, record, log_path));
                }
            }
            if Instant::now() >= deadline {
                let reason = format!("it is not healthy after {} s", CONSUMER_LIMIT.as_secs());
                let log = logs::tail(&log_path, 10);
                return Err(Problem::NotReady { process: launch.name.clone(), reason, log, log_path });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Waits until emulator, broker and registry serve; `exited` tells how the supervisor ended, if it did.
///
/// Consumers are not waited for: one that can't start is replaced by the deployment that this may be the beginning of.
pub(crate) async fn wait_until_ready(
    folder: &Folder,
    limit: Duration,
    mut exited: impl FnMut() -> Option<String>,
) -> Result<Platform, Problem> {
    let deadline = Instant::now() + limit;
    loop {
        // Asked before the state is read: a supervisor that ends after this was at least alive when it was written.
        let exit = exited();
        let state = State::load(folder)?.filter(|state| state.live_supervisor().is_some());
        let mut waiting_for = vec![SUPERVISOR.to_owned()];
        if let Some(state) = &state {
            waiting_for.clear();
            for (name, record, probe) in named_records(state).filter(|(name, ..)| is_needed(name)) {
                if is_healthy(&record, &probe).await {
                    continue;
                }
                if record.failures >= TRIES {
                    let log_path = folder.log(&name);
                    return Err(given_up(&name, &record, log_path));
                }
                waiting_for.push(name);
            }
            if waiting_for.is_empty() {
                return Ok(Platform::new(folder, state));
            }
        }
        let reason = match exit {
            Some(exit) => exit,
            None if Instant::now() >= deadline => format!("it does not answer after {} s", limit.as_secs()),
            None => {
                tokio::time::sleep(LOOK_EVERY).await;
                continue;
            }
        };
        let process = waiting_for.swap_remove(0);
        let log_path = folder.log(if process == REGISTRY { SUPERVISOR } else { &process });
        return Err(Problem::NotReady { process, reason, log: logs::tail(&log_path, 10), log_path });
    }
}

/// Whether a platform without this process is of no use; consumers may be missing.
fn is_needed(process: &str) -> bool {
    [EMULATOR, BROKER, REGISTRY].contains(&process)
}

fn given_up(name: &str, record: &ProcessRecord, log_path: PathBuf) -> Problem {
    let end = record.last_end.as_deref().unwrap_or("it ended");
    let reason = format!("{end} ({} times in a row)", record.failures);
    Problem::NotReady { process: name.to_owned(), reason, log: logs::tail(&log_path, 10), log_path }
}

/// Every kept process with how to see that it serves, in the order of their names; the registry lives in the supervisor.
fn named_records(state: &State) -> impl Iterator<Item = (String, ProcessRecord, Probe)> {
    let port = state.ports.schema_registry;
    let registry = ProcessRecord {
        identity: state.supervisor.as_ref().map(|record| record.identity.clone()),
        program: None,
        port: Some(port),
        started_at: state.supervisor.as_ref().map(|record| record.started_at.clone()),
        restarts: 0,
        failures: 0,
        last_end: None,
    };
    let registry = (REGISTRY.to_owned(), registry, Probe::Answers { port, path: "/subjects".to_owned() });
    let kept = state.processes.iter().map(|(name, record)| {
        let probe = state.probes.get(name).cloned().unwrap_or(Probe::Alive);
        (name.clone(), record.clone(), probe)
    });
    kept.chain([registry]).collect::<Vec<_>>().into_iter()
}

fn supervisor_status(state: &State) -> ProcessStatus {
    let record = state.live_supervisor();
    ProcessStatus {
        name: SUPERVISOR.to_owned(),
        running: record.is_some(),
        pid: record.map(|record| record.identity.pid),
        port: record.map(|record| record.control_port),
        uptime_secs: record.and_then(|record| uptime_secs(&record.started_at)),
        restarts: 0,
        healthy: record.is_some(),
        last_end: None,
    }
}

async fn process_status(name: String, record: ProcessRecord, probe: Probe) -> ProcessStatus {
    let alive = record.identity.as_ref().filter(|identity| identity.is_alive());
    ProcessStatus {
        running: alive.is_some(),
        pid: alive.map(|identity| identity.pid),
        uptime_secs: alive.and_then(|_| uptime_secs(record.started_at.as_deref()?)),
        healthy: is_healthy(&record, &probe).await,
        name,
        port: record.port,
        restarts: record.restarts,
        last_end: record.last_end,
    }
}

/// Whether the process lives and serves.
async fn is_healthy(record: &ProcessRecord, probe: &Probe) -> bool {
    let alive = record.identity.as_ref().is_some_and(Identity::is_alive);
    alive
        && match probe {
            Probe::Alive => true,
            Probe::Accepts { port } => {
                let connect = tokio::net::TcpStream::connect(("127.0.0.1", *port));
                tokio::time::timeout(PROBE_LIMIT, connect).await.is_ok_and(|connected| connected.is_ok())
            }
            Probe::Answers { port, path } => {
                http::answers(&format!("http://127.0.0.1:{port}{path}"), PROBE_LIMIT).await
            }
        }
}

fn uptime_secs(started_at: &str) -> Option<u64> {
    let started: jiff::Timestamp = started_at.parse().ok()?;
    let seconds = jiff::Timestamp::now().as_second().checked_sub(started.as_second())?;
    u64::try_from(seconds).ok()
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(value).map_err(|source| Problem::Json { path: PathBuf::from("the order"), source })
}
