//! The supervisor: one detached process a platform that keeps the others running.
//!
//! One task owns everything and is reached by messages. What it knows it writes into the state file whenever that
//! changes. It restarts what dies, makes topics again after the broker lost them, and adopts what an earlier
//! supervisor left running. It doesn't judge whether a process that lives also serves: who asks for the status does.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};
use tracing::{info, warn};

use super::control::{self, Token};
use super::files::{self, Lock};
use super::folder::Folder;
use super::keeper::{Change, Keeper};
use super::problem::Problem;
use super::processes::{self, Identity, Table};
use super::registry::Registry;
use super::state::{BROKER, EMULATOR, Launch, Memory, Orders, State, SupervisorRecord, Topic, now};
use super::{registry, topics};
use crate::error::Error;

/// How often the processes are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How often the logs are looked at.
const LOGS_EVERY: Duration = Duration::from_secs(30);
/// A log that grows beyond this is moved aside (one older part is kept) and started anew; bytes.
const LONGEST_LOG: u64 = 64 << 20;
/// How long a restarted broker may take to accept topics.
const TOPICS_LIMIT: Duration = Duration::from_secs(60);
/// Requests that may wait for the supervisor.
const INBOX: usize = 16;

/// What `synth local supervise` is given.
#[derive(Clone, Debug)]
pub struct SuperviseArgs {
    /// The checkout's root.
    pub checkout: PathBuf,
    /// The environment's name.
    pub environment: String,
}

/// Runs the supervisor until it gets SIGTERM or SIGINT; then ends everything that it keeps.
///
/// # Errors
/// Another supervisor runs, there are no orders, or a port is taken.
pub async fn supervise(args: &SuperviseArgs) -> Result<(), Error> {
    // Fails only when this process leads a group already, and then it is detached enough.
    let _ = nix::unistd::setsid();
    // Without a subscriber of the caller's, the log file that is our stderr gets the events.
    let _ = tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).try_init();
    let folder = Folder::of(&args.checkout, &args.environment)?;
    let stop = Signals::listen()?;
    Ok(run(folder, stop).await?)
}

/// Requests to end, from the operating system or from a test.
pub(crate) enum Signals {
    System(Signal, Signal),
    #[cfg(test)]
    Test(mpsc::Receiver<()>),
}

impl Signals {
    fn listen() -> Result<Self, Problem> {
        let one = |kind| signal(kind).map_err(Problem::file("listen to", "signals"));
        Ok(Self::System(one(SignalKind::terminate())?, one(SignalKind::interrupt())?))
    }

    async fn next(&mut self) {
        match self {
            Self::System(terminate, interrupt) => tokio::select! {
                _ = terminate.recv() => (),
                _ = interrupt.recv() => (),
            },
            #[cfg(test)]
            Self::Test(receiver) => {
                if receiver.recv().await.is_none() {
                    std::future::pending::<()>().await;
                }
            }
        }
    }
}

/// A message to the supervisor.
#[derive(Debug)]
pub(crate) enum Message {
    /// Tell what runs.
    Status(oneshot::Sender<State>),
    /// Keep this consumer running, in place of one of the same name.
    Consumer(Box<Launch>, oneshot::Sender<()>),
    /// These topics exist now, and are to exist after a restart of the broker.
    Topics(Vec<Topic>, oneshot::Sender<()>),
    /// Everything is deployed again that was lost at this time.
    Redeployed(String, oneshot::Sender<()>),
}

/// The supervisor's work, from lock to last state.
pub(crate) async fn run(folder: Folder, mut stop: Signals) -> Result<(), Problem> {
    let lock = folder.supervisor_lock();
    let Some(_lock) = Lock::try_take(&lock)? else {
        let source = std::io::Error::new(std::io::ErrorKind::WouldBlock, "another supervisor runs");
        return Err(Problem::File { action: "lock", path: lock, source });
    };
    let orders: Orders = files::read_json(&folder.orders_file())?
        .ok_or_else(|| Problem::CheckoutIncomplete { path: folder.orders_file() })?;
    let (sender, inbox) = mpsc::channel(INBOX);

    let registry_port = orders.ports.schema_registry;
    let registry = Registry::open(folder.registry_file())?;
    let registry_listener = TcpListener::bind(("127.0.0.1", registry_port)).await.map_err(|_| Problem::PortTaken {
        port: registry_port,
        process: "Schema Registry",
        key: "local.schema_registry_port",
    })?;
    let no_port = Problem::file("find a free port on", "127.0.0.1");
    let control_listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(no_port)?;
    let control_port = control_listener.local_addr().map_err(Problem::file("read the port of", "127.0.0.1"))?.port();
    let token = Token::random();

    let mut supervisor = Supervisor::start(folder, orders, inbox).await?;
    supervisor.state.supervisor = Some(SupervisorRecord {
        identity: own_identity()?,
        started_at: now(),
        control_port,
        token: token.as_str().to_owned(),
    });
    let brokers = format!("127.0.0.1:{}", supervisor.state.ports.broker);
    let mut servers = JoinSet::new();
    servers.spawn(axum::serve(registry_listener, registry::router(registry)).into_future());
    servers.spawn(axum::serve(control_listener, control::router(sender, token, brokers)).into_future());
    supervisor.serve(&mut stop).await;
    supervisor.shut_down(&mut stop).await;
    servers.shutdown().await;
    Ok(())
}

fn own_identity() -> Result<Identity, Problem> {
    let unseen = || std::io::Error::other("the process table does not show it");
    Identity::of(std::process::id()).ok_or_else(|| Problem::file("find", "this process")(unseen()))
}

struct Supervisor {
    folder: Folder,
    state: State,
    saved: Option<State>,
    /// Emulator and broker first, then the consumers.
    keepers: Vec<(String, Memory, Keeper)>,
    inbox: mpsc::Receiver<Message>,
    /// The broker was started since the topics were last made sure of.
    topics_due: bool,
    /// The broker died since the consumers were last started anew: their offsets mean nothing to its successor.
    broker_died: bool,
    /// Makes sure of the topics, and counts those that were missing; one task at a time.
    topics: JoinSet<Result<usize, Problem>>,
    logs_looked_at: Instant,
}

impl Supervisor {
    /// Adopts what an earlier supervisor left running, and ends what nobody knows.
    async fn start(folder: Folder, orders: Orders, inbox: mpsc::Receiver<Message>) -> Result<Self, Problem> {
        let earlier = State::load(&folder)?.filter(|state| state.fingerprint == orders.fingerprint);
        let mut state = State::new(&folder, &orders);
        let mut launches = orders.programs;
        let mut broker_died = false;
        if let Some(earlier) = earlier {
            state.topics = earlier.topics;
            state.state_lost_at = earlier.state_lost_at;
            if earlier.ports == state.ports {
                broker_died = earlier.processes.get(BROKER).is_some_and(|record| record.identity.is_none());
                launches.extend(earlier.consumers);
                state.processes = earlier.processes;
            } else if earlier.processes.contains_key(EMULATOR) {
                // What ran on other ports is not taken over: the consumers were told addresses that are void.
                state.state_lost_at.get_or_insert_with(now);
            }
        }
        let mut supervisor = Self {
            folder,
            state,
            saved: None,
            keepers: Vec::new(),
            inbox,
            // The broker may have died while nobody watched.
            topics_due: true,
            broker_died,
            topics: JoinSet::new(),
            logs_looked_at: Instant::now(),
        };
        for launch in launches {
            supervisor.keep(launch);
        }
        supervisor.end_strays().await;
        Ok(supervisor)
    }

    fn keep(&mut self, launch: Launch) {
        let (name, memory) = (launch.name.clone(), launch.memory);
        let keeper = match self.state.processes.remove(&name) {
            // A record says that it ran; if it died unseen, the first look finds out.
            Some(record) => Keeper::adopt(launch, record),
            None => Keeper::new(launch),
        };
        self.keepers.push((name, memory, keeper));
    }

    /// Marked processes that no record names were started by a supervisor that died a moment later.
    async fn end_strays(&self) {
        let kept: Vec<Identity> = self.keepers.iter().filter_map(|(_, _, k)| k.record().identity.clone()).collect();
        let mut strays = processes::of_platform(&self.folder.id(), &[]);
        let family = Table::read().with_descendants(&kept);
        strays.retain(|process| !family.contains(process));
        if !strays.is_empty() {
            warn!(count = strays.len(), "ending processes of an earlier supervisor that no record names");
            processes::stop(&strays, Duration::from_secs(5)).await;
        }
    }

    /// Looks, listens and writes down until the first request to end.
    async fn serve(&mut self, stop: &mut Signals) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.next() => return,
                _ = ticks.tick() => self.look(),
                Some(message) = self.inbox.recv() => self.answer(message),
                Some(result) = self.topics.join_next() => self.note_topics(result),
            }
            self.save();
        }
    }

    /// Ends the consumers, then the rest, then whatever bears the marker; a second request kills at once.
    async fn shut_down(&mut self, stop: &mut Signals) {
        info!("stopping");
        let mut hurry = false;
        for last in [false, true] {
            for (_, memory, keeper) in &mut self.keepers {
                if last || *memory == Memory::None {
                    keeper.end();
                }
            }
            while self
                .keepers
                .iter()
                .any(|(_, memory, keeper)| keeper.is_running() && (last || *memory == Memory::None))
            {
                tokio::select! {
                    () = stop.next(), if !hurry => {
                        hurry = true;
                        for (_, _, keeper) in &mut self.keepers {
                            keeper.kill();
                        }
                    }
                    () = tokio::time::sleep(Duration::from_millis(20)) => (),
                }
                for (_, _, keeper) in &mut self.keepers {
                    keeper.look(&self.folder);
                }
            }
        }
        let rest = processes::of_platform(&self.folder.id(), &[]);
        let survivors = processes::stop(&rest, Duration::from_secs(2)).await;
        if !survivors.is_empty() {
            warn!(count = survivors.len(), "some processes cannot be ended");
        }
        // Only the ports are remembered: nothing of the rest is true any more.
        self.keepers.clear();
        self.state.supervisor = None;
        self.state.topics.clear();
        self.state.state_lost_at = None;
        self.save();
        info!("stopped");
    }

    fn look(&mut self) {
        for (name, memory, keeper) in &mut self.keepers {
            let Some(change) = keeper.look(&self.folder) else {
                continue;
            };
            let end = keeper.record().last_end.as_deref().unwrap_or_default();
            match change {
                Change::Started { again: false } => info!(process = name, "started"),
                Change::Started { again: true } => {
                    info!(process = name, restarts = keeper.record().restarts, "restarted");
                }
                Change::Ended => info!(process = name, end, "ended"),
                Change::Died => {
                    warn!(process = name, end, "died");
                    match memory {
                        Memory::None => {}
                        Memory::Resources => self.state.state_lost_at = Some(now()),
                        Memory::Topics => {
                            self.topics_due = true;
                            self.broker_died = true;
                        }
                    }
                }
            }
        }
        self.restore_topics();
        if self.logs_looked_at.elapsed() >= LOGS_EVERY {
            self.logs_looked_at = Instant::now();
            shorten_logs(&self.folder);
        }
    }

    // Who asked may have gone meanwhile: an answer that nobody takes is dropped.
    fn answer(&mut self, message: Message) {
        match message {
            Message::Status(reply) => {
                self.update();
                let _ = reply.send(self.state.clone());
            }
            Message::Consumer(launch, reply) => {
                match self.keepers.iter_mut().find(|(name, _, _)| *name == launch.name) {
                    Some((_, _, keeper)) => keeper.replace(*launch),
                    None => self.keep(*launch),
                }
                // Who asked reads the record next, and must not find the failures of what was replaced.
                self.save();
                let _ = reply.send(());
            }
            Message::Topics(topics, reply) => {
                self.state.topics.retain(|known| topics.iter().all(|topic| topic.name != known.name));
                self.state.topics.extend(topics);
                let _ = reply.send(());
            }
            Message::Redeployed(lost_at, reply) => {
                self.state.state_lost_at.take_if(|at| *at == lost_at);
                self.save();
                let _ = reply.send(());
            }
        }
    }

    /// Makes lost topics in the background, because a starting broker keeps its callers waiting.
    fn restore_topics(&mut self) {
        let broker = self.keepers.iter().find(|(_, memory, _)| *memory == Memory::Topics);
        let is_running = broker.is_some_and(|(_, _, keeper)| keeper.is_running());
        if !self.topics_due || !self.topics.is_empty() || !is_running {
            return;
        }
        self.topics_due = false;
        let brokers = format!("127.0.0.1:{}", self.state.ports.broker);
        let topics = self.state.topics.clone();
        self.topics.spawn(async move { topics::ensure(&brokers, &topics, TOPICS_LIMIT).await });
    }

    fn note_topics(&mut self, result: Result<Result<usize, Problem>, JoinError>) {
        match result {
            // The broker died once more meanwhile: what counts is the next answer.
            Ok(Ok(_)) if self.topics_due => {}
            // A deployment may have made the lost topics first: the count alone doesn't tell that they are new.
            Ok(Ok(0)) if !self.broker_died => {}
            Ok(Ok(count)) => {
                info!(count, "lost topics exist again");
                self.broker_died = false;
                // A consumer that goes on would look for its old offsets in the new, empty topics.
                for (_, _, keeper) in self.keepers.iter_mut().filter(|(_, memory, _)| *memory == Memory::None) {
                    keeper.restart("restarted because the broker lost its topics");
                }
            }
            Ok(Err(problem)) => {
                warn!(%problem, "lost topics cannot be made again; trying once more");
                self.topics_due = true;
            }
            Err(error) => warn!(%error, "lost topics are not made again"),
        }
    }

    /// Brings the record up to date with the keepers.
    fn update(&mut self) {
        let records = self.keepers.iter().map(|(name, _, keeper)| (name.clone(), keeper.record().clone()));
        self.state.processes = records.collect();
        let probes =
            self.keepers.iter().filter_map(|(name, _, keeper)| Some((name.clone(), keeper.launch()?.probe.clone())));
        self.state.probes = probes.collect();
        let consumers = self.keepers.iter().filter(|(_, memory, _)| *memory == Memory::None);
        self.state.consumers = consumers.filter_map(|(_, _, keeper)| keeper.launch().cloned()).collect();
    }

    fn save(&mut self) {
        self.update();
        if self.saved.as_ref() == Some(&self.state) {
            return;
        }
        match self.state.save(&self.folder) {
            Ok(()) => self.saved = Some(self.state.clone()),
            // A full disk must not end the platform; the next look tries again.
            Err(problem) => warn!(%problem, "the state is not written"),
        }
    }
}

/// Moves logs that grew too long aside; their writers append, so they go on at the new beginning.
fn shorten_logs(folder: &Folder) {
    let Ok(entries) = fs::read_dir(folder.logs()) else {
        return;
    };
    for path in entries.flatten().map(|entry| entry.path()) {
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        if is_log && fs::metadata(&path).is_ok_and(|metadata| metadata.len() > LONGEST_LOG) {
            let shorten = || {
                fs::copy(&path, path.with_extension("log.1"))?;
                fs::OpenOptions::new().write(true).open(&path)?.set_len(0)
            };
            if let Err(error) = shorten() {
                warn!(log = %path.display(), %error, "a long log is not moved aside");
            }
        }
    }
}

#[cfg(test)]
mod tests;
