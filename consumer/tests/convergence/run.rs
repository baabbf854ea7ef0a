//! One run: consumers work on a history while the test decides what happens when.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use consumer::lane::{Limits, Tools};
use consumer::lanes::GIVE_UP_DEADLINE;
use consumer::limiter::Limiter;
use consumer::pipeline::{Complete, Parts, Pipeline, StopReason};
use consumer::registry::Registry;
use contracts::{Coalescing, Region};
use events::qlik::Fence;
use events::qlik::encode::schema_json;
use proptest::test_runner::TestCaseError;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::history::{ENTITY, History, Meaning, Message, PARTITIONS, SCHEMA_ID, partition_of};
use crate::network::{Fate, Flaw, Membership, Network, Seen};

/// Shorter waits end by themselves once nothing disturbs any more, but the deadline of what is given up; a write's limit and the
/// drain deadline are longer.
const SHORT: Duration = Duration::from_secs(15);
const DRAIN_DEADLINE: Duration = Duration::from_secs(20);
/// Consumers that run at once.
const MOST: usize = 3;

/// A registry that needs no network any more.
fn registry() -> Arc<Registry> {
    static REGISTRY: OnceLock<Arc<Registry>> = OnceLock::new();
    let registry = REGISTRY.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let schema = serde_json::json!({ "schema": schema_json(ENTITY) }).to_string();
            let answer = axum::routing::get(move || std::future::ready(schema.clone()));
            let router = axum::Router::new().route(&format!("/schemas/ids/{SCHEMA_ID}"), answer);
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let address = listener.local_addr().expect("an address");
            let server = tokio::spawn(async move { axum::serve(listener, router).await });
            let registry = Registry::new(&format!("http://{address}"), None).expect("a URL");
            registry.fetch(SCHEMA_ID).await.expect("the schema");
            server.abort();
            Arc::new(registry)
        })
    });
    Arc::clone(registry)
}

/// A consumer's process.
struct Process {
    task: JoinHandle<Complete>,
    shutdown: Arc<Notify>,
}

struct Run {
    network: Network,
    registry: Arc<Registry>,
    processes: BTreeMap<usize, Process>,
    /// Consumers of earlier generations that don't know that they are cut off.
    relics: Vec<Process>,
    started: usize,
    generation: u32,
    coalescing: Coalescing,
}

/// Runs consumers over a history, with `picks` deciding what happens, and looks at what came of it.
pub(crate) fn run(history: &History, picks: &[u32], coalescing: Coalescing, flaw: Flaw) -> Result<Seen, TestCaseError> {
    // Not inside of the runtime: the first run makes one of its own for it.
    let registry = registry();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let network = Network::new(flaw);
        let mut run = Run {
            network,
            registry,
            processes: BTreeMap::new(),
            relics: Vec::new(),
            started: 0,
            generation: 0,
            coalescing,
        };
        let share = picks.len().div_ceil(history.eras.len()).max(1);
        let mut picks = picks.chunks(share);
        for (generation, era) in history.eras.iter().enumerate() {
            run.generation = u32::try_from(generation).expect("few");
            run.start();
            run.era(&era.messages, picks.next().unwrap_or_default()).await?;
        }
        run.end(history)?;
        Ok(std::mem::take(&mut run.network.state().seen))
    })
}

impl Run {
    fn start(&mut self) {
        let id = self.started;
        self.started += 1;
        let tools = Tools {
            sink: self.network.clone(),
            dead_letters: self.network.clone(),
            registry: Arc::clone(&self.registry),
            fence: Fence {
                source: "shop".parse().expect("valid"),
                generation: self.generation,
                epoch: 1,
                origin_region: Region::new("us-west-2").expect("valid"),
                tombstone_retention: Duration::from_secs(86_400),
            },
            limits: Limits { messages: 6, bytes: 1 << 20 },
            writes: Limiter::new(3),
            coalescing: self.coalescing,
            clock: Arc::new(self.network.clone()),
            backoff: (Duration::from_millis(100), Duration::from_secs(10)),
            absence_wait: Duration::from_secs(2),
            row_wait: Duration::from_secs(15),
        };
        let parts = Parts::new(tools, DRAIN_DEADLINE);
        let membership = Arc::new(Membership::join(&self.network, id, Arc::clone(&parts.lanes)));
        let pipeline = Pipeline::over(membership, parts);
        let shutdown = Arc::new(Notify::new());
        let stopped = Arc::clone(&shutdown);
        let task =
            tokio::spawn(async move { pipeline.run(async move { stopped.notified().await }).await.drain().await });
        self.processes.insert(id, Process { task, shutdown });
    }

    /// The source sends its messages while everything goes wrong that can, then everything works until all is committed.
    async fn era(&mut self, messages: &[Message], picks: &[u32]) -> Result<(), TestCaseError> {
        let mut coming = messages.iter().cloned();
        for pick in picks {
            let argument = usize::try_from(pick >> 6).expect("small");
            if pick % 4 == 0 {
                self.produce(coming.by_ref().take(1));
            }
            self.act(pick % 64, argument);
            self.go_on(argument % 4).await?;
            self.look()?;
        }
        self.produce(coming);
        self.settle().await?;
        // Before a reload the consumers are replaced; one that doesn't know goes on with the old generation.
        let stays = picks.last().copied().unwrap_or_default() as usize;
        for (id, process) in std::mem::take(&mut self.processes) {
            if id % 3 == stays % 3 {
                let mut state = self.network.state();
                state.expel(id);
                if let Some(member) = state.members.get_mut(&id) {
                    member.is_cut_off = true;
                }
                drop(state);
                self.relics.push(process);
            } else {
                let is_member = self.network.state().members.get(&id).is_some_and(|member| !member.is_expelled);
                process.shutdown.notify_one();
                match self.ended(process.task).await? {
                    Some(Complete { reason: StopReason::Shutdown, clean }) if clean || !is_member => {}
                    Some(complete) => return Err(TestCaseError::fail(format!("{complete:?}"))),
                    // It had died just before, and the group finds out.
                    None => self.forget(id),
                }
            }
        }
        Ok(())
    }

    fn produce(&mut self, messages: impl Iterator<Item = Message>) {
        let mut state = self.network.state();
        for message in messages {
            state.logs[partition_of(&message.key)].push(message);
        }
    }

    fn act(&mut self, kind: u32, argument: usize) {
        let mut state = self.network.state();
        match kind {
            0..=14 => state.deliver(argument, argument / MOST),
            15..=26 => state.answer_request(argument, Fate::Done),
            27..=28 => state.answer_request(argument, Fate::Refused),
            29..=30 => state.answer_request(argument, Fate::AnswerLost),
            31 => state.answer_request(argument, Fate::Doubled),
            32..=34 => state.answer_posting(argument, Fate::Done),
            35 => state.answer_posting(argument, Fate::Refused),
            36 => state.answer_posting(argument, Fate::AnswerLost),
            37..=40 => state.fire(argument),
            41..=43 => state.answer_commit(argument, Fate::Done),
            44 => state.answer_commit(argument, Fate::AnswerLost),
            45 => state.answer_commit(argument, Fate::Refused),
            46..=49 => state.tell(argument),
            50..=53 => state.assign(argument % PARTITIONS, argument / PARTITIONS),
            54..=55 => state.revoke(argument % PARTITIONS),
            56..=57 => state.deliver_again(argument, argument / MOST),
            58 => state.refuses_commits = argument.is_multiple_of(4),
            59 if argument.is_multiple_of(3) => {
                let id = self.processes.keys().nth(argument % self.processes.len().max(1)).copied();
                if let Some(id) = id {
                    state.expel(id);
                }
            }
            60 if self.processes.len() < MOST => {
                drop(state);
                self.start();
            }
            61 if argument.is_multiple_of(3) => {
                drop(state);
                self.end_one(argument / 3, "a consumer is stopped", |process| process.shutdown.notify_one());
            }
            62 if argument.is_multiple_of(3) => {
                drop(state);
                self.end_one(argument / 3, "a consumer dies", |process| process.task.abort());
            }
            59..=63 => {
                state.fire_long(GIVE_UP_DEADLINE);
                state.fire_long(DRAIN_DEADLINE);
            }
            _ => {}
        }
    }

    fn end_one(&mut self, argument: usize, what: &'static str, end: impl FnOnce(&Process)) {
        let id = self.processes.keys().nth(argument % self.processes.len().max(1)).copied();
        if let Some(process) = id.and_then(|id| self.processes.get(&id)) {
            end(process);
            self.network.state().saw(what);
        }
    }

    /// Lets everything go on that can, for a while.
    async fn go_on(&mut self, rounds: usize) -> Result<(), TestCaseError> {
        for _ in 0..rounds {
            tokio::task::yield_now().await;
        }
        // What has ended is replaced, and the group finds out.
        let ended: Vec<usize> =
            self.processes.iter().filter(|(_, process)| process.task.is_finished()).map(|(id, _)| *id).collect();
        for id in ended {
            if let Some(process) = self.processes.remove(&id) {
                match process.task.await {
                    Ok(Complete { reason: StopReason::Shutdown, .. }) => {}
                    Err(error) if error.is_cancelled() => {}
                    other => return Err(TestCaseError::fail(format!("a consumer ends by itself: {other:?}"))),
                }
            }
            self.forget(id);
            if self.processes.is_empty() {
                self.start();
            }
        }
        Ok(())
    }

    /// A member is dead, and the group doesn't count on it any more.
    fn forget(&self, id: usize) {
        let mut state = self.network.state();
        state.expel(id);
        state.members.remove(&id);
    }

    fn look(&self) -> Result<(), TestCaseError> {
        match self.network.state().wrong.take() {
            Some(wrong) => Err(TestCaseError::fail(wrong)),
            None => Ok(()),
        }
    }

    /// One round in which nothing goes wrong.
    fn help(&mut self) {
        let mut state = self.network.state();
        state.refuses_commits = false;
        for _ in 0..state.requests.len() {
            state.answer_request(0, Fate::Done);
        }
        for _ in 0..state.postings.len() {
            state.answer_posting(0, Fate::Done);
        }
        for member in 0..state.members.len() {
            state.tell(member);
            state.answer_commit(member, Fate::Done);
            for partition in 0..PARTITIONS {
                state.deliver(member, partition);
            }
        }
        for number in 0..PARTITIONS {
            state.assign(number, number);
        }
        state.fire_below(SHORT, GIVE_UP_DEADLINE);
    }

    async fn settle(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..2_000 {
            if self.network.state().is_committed() {
                return Ok(());
            }
            self.help();
            self.go_on(4).await?;
            self.look()?;
        }
        let state = self.network.state();
        let ends: Vec<usize> = state.logs.iter().map(Vec::len).collect();
        Err(TestCaseError::fail(format!("not done: committed {:?} of {ends:?}", state.committed)))
    }

    async fn ended(&mut self, mut task: JoinHandle<Complete>) -> Result<Option<Complete>, TestCaseError> {
        for _ in 0..200 {
            self.help();
            tokio::task::yield_now().await;
            self.look()?;
            if task.is_finished() {
                return match (&mut task).await {
                    Err(error) if error.is_panic() => Err(TestCaseError::fail(error.to_string())),
                    ended => Ok(ended.ok()),
                };
            }
        }
        Err(TestCaseError::fail("a consumer doesn't end"))
    }

    /// What was under way all the time arrives at last, then the table is compared with the source's.
    fn end(&self, history: &History) -> Result<(), TestCaseError> {
        let mut state = self.network.state();
        while !state.requests.is_empty() {
            state.answer_request(0, Fate::Done);
        }
        let found: BTreeMap<_, _> =
            state.table.iter().map(|(key, row)| (key.clone(), (row.version.clone(), row.columns.clone()))).collect();
        let expected: BTreeMap<_, _> = history
            .rows
            .iter()
            .map(|(key, (version, columns))| (key.clone(), (version.to_string(), columns.clone())))
            .collect();
        proptest::prop_assert_eq!(found, expected);
        let places =
            state.logs.iter().enumerate().flat_map(|(number, log)| {
                log.iter().enumerate().map(move |(offset, message)| ((number, offset), message))
            });
        let poison = places.filter(|(_, message)| matches!(message.meaning, Meaning::Poison)).map(|(place, _)| place);
        proptest::prop_assert_eq!(&state.letters, &poison.collect());
        Ok(())
    }
}
