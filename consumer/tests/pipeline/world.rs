//! What surrounds a consumer in these tests: a broker, a registry, a table, a dead-letter topic.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws::Applied;
use aws::table_writer::{StoredHead, Together, Verdict, judge};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use consumer::clock::RuntimeClock;
use consumer::dead_letter::{DeadLetterError, DeadLetterSink, DeadLetterTopic, Diagnosis};
use consumer::lane::{Limits, Tools};
use consumer::limiter::Limiter;
use consumer::pipeline::{Complete, Pipeline, Status};
use consumer::registry::Registry;
use consumer::sink::{Sink, SinkError};
use contracts::{CdcConsumer, Coalescing, Region};
use events::qlik::Fence;
use events::qlik::encode::schema_json;
use events::{Columns, Correlation, Entity, RowChange, RowWrite, TraceParent, Version};
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, Message, OwnedHeaders, OwnedMessage};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{DefaultProducerContext, FutureProducer, FutureRecord};
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::source::{GENERATION, KafkaMessage, Rows, schema_id};

/// Waits until something holds; fails the test when it doesn't in 40 seconds.
pub(crate) async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    eventually_async(what, async || holds()).await;
}

/// The same for a question that takes time.
pub(crate) async fn eventually_async(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(40);
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Everything around a consumer.
pub(crate) struct World {
    cluster: MockCluster<'static, DefaultProducerContext>,
    partitions: i32,
    ends: Mutex<BTreeMap<(Entity, i32), i64>>,
    pub(crate) registry: RegistryStub,
    pub(crate) sink: MemorySink,
    pub(crate) dead_letters: MemoryDeadLetters,
}

/// How a consumer is set up.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    /// Messages of one partition that may be unfinished.
    pub(crate) in_flight: usize,
    /// Whether changes of one row that wait together are written as one.
    pub(crate) coalescing: Coalescing,
}

impl Default for Options {
    fn default() -> Self {
        Self { in_flight: 200, coalescing: Coalescing::Never }
    }
}

impl World {
    pub(crate) async fn start(partitions: i32) -> Self {
        if std::env::var_os("RUST_LOG").is_some() {
            telemetry::init_logging("consumer");
        }
        let cluster = MockCluster::new(1).expect("a broker");
        for entity in Entity::ALL {
            cluster.create_topic(entity.topic(), partitions, 1).expect("a topic");
        }
        cluster.create_topic("tandem.cdc.dead-letters", 1, 1).expect("a topic");
        Self {
            cluster,
            partitions,
            ends: Mutex::default(),
            registry: RegistryStub::start().await,
            sink: MemorySink::default(),
            dead_letters: MemoryDeadLetters::default(),
        }
    }

    /// The next requests for committed offsets are refused, as by a coordinator that is not to be had.
    pub(crate) fn refuse_committed_offsets(&self) {
        let refusals = [RDKafkaRespErr::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED; 50];
        self.cluster.request_errors(RDKafkaApiKey::OffsetFetch, &refusals);
    }

    /// The settings of a plain client.
    pub(crate) fn client(&self, group: &str) -> ClientConfig {
        let mut client = ClientConfig::new();
        client
            .set("bootstrap.servers", self.cluster.bootstrap_servers())
            .set("group.id", group)
            .set("enable.auto.commit", "false");
        client
    }

    pub(crate) fn producer(&self) -> FutureProducer {
        let mut client = ClientConfig::new();
        client.set("bootstrap.servers", self.cluster.bootstrap_servers()).set("acks", "all").set("linger.ms", "0");
        client.create().expect("a producer")
    }

    /// Produces messages in order.
    pub(crate) async fn produce(&self, messages: &[KafkaMessage]) {
        let producer = self.producer();
        let sent: Vec<_> = messages
            .iter()
            .map(|message| {
                let headers = message.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
                    headers.insert(Header { key, value: Some(value) })
                });
                let mut record = FutureRecord::to(message.entity.topic()).headers(headers);
                record.key = message.key.as_ref();
                record.payload = message.value.as_ref();
                let queued = producer.send_result(record).map_err(|(error, _)| error).expect("queued");
                (message.entity, queued)
            })
            .collect();
        for (entity, queued) in sent {
            let delivery = queued.await.expect("an answer").map_err(|(error, _)| error).expect("delivered");
            let mut ends = self.ends.lock().expect("no panic");
            let end = ends.entry((entity, delivery.partition)).or_default();
            *end = (*end).max(delivery.offset + 1);
        }
    }

    /// The end of each partition that has messages.
    pub(crate) fn ends(&self) -> BTreeMap<(Entity, i32), i64> {
        let mut ends = self.ends.lock().expect("no panic").clone();
        for entity in Entity::ALL {
            for partition in 0..self.partitions {
                ends.entry((entity, partition)).or_default();
            }
        }
        ends
    }

    /// The committed offset of each partition, 0 where nothing is.
    pub(crate) fn committed(&self, group: &str) -> BTreeMap<(Entity, i32), i64> {
        let reader: BaseConsumer = self.client(group).create().expect("a consumer");
        let mut list = TopicPartitionList::new();
        for entity in Entity::ALL {
            list.add_partition_range(entity.topic(), 0, self.partitions - 1);
        }
        let committed = reader.committed_offsets(list, Duration::from_secs(10)).expect("an answer");
        let elements = committed.elements();
        let offsets = elements.iter().map(|element| {
            let offset = match element.offset() {
                Offset::Offset(offset) => offset,
                _ => 0,
            };
            ((Entity::from_topic(element.topic()).expect("known"), element.partition()), offset)
        });
        offsets.collect()
    }

    pub(crate) fn committed_offset(&self, entity: Entity, partition: i32) -> Option<i64> {
        self.committed("tandem-cdc-consumers").get(&(entity, partition)).copied()
    }

    pub(crate) fn consumer(&self, options: Options) -> Running {
        self.consumer_with(options, self.dead_letters.clone())
    }

    pub(crate) fn consumer_with<D: DeadLetterSink>(&self, options: Options, dead_letters: D) -> Running {
        self.member(options, Duration::from_millis(3500), self.sink.clone(), dead_letters)
    }

    /// A consumer whose session is over after so long, with a sink of its own.
    pub(crate) fn member<S: Sink, D: DeadLetterSink>(
        &self,
        options: Options,
        session: Duration,
        sink: S,
        dead_letters: D,
    ) -> Running {
        let variables = HashMap::from([
            ("AWS_REGION", "us-west-2".to_owned()),
            ("KAFKA_BROKERS", self.cluster.bootstrap_servers()),
            ("KAFKA_SECURITY", "plaintext".to_owned()),
            ("SCHEMA_REGISTRY_URL", self.registry.url()),
            ("SOURCE_ID", "shop".to_owned()),
            ("CUSTOMERS_TABLE", "customers".to_owned()),
            ("ORDERS_TABLE", "orders".to_owned()),
            ("PRODUCTS_TABLE", "products".to_owned()),
            ("AUTHORITY", "epoch:1".to_owned()),
        ]);
        let config = CdcConsumer::from_lookup(|name| variables.get(name).cloned()).expect("complete");
        let mut client = consumer::kafka::consumer_config(&config).expect("no credentials needed");
        // The mock lets a group wait for its session timeout whenever a member comes or goes.
        client.set("session.timeout.ms", session.as_millis().to_string()).set("heartbeat.interval.ms", "500");
        let tools = Tools {
            sink,
            dead_letters,
            registry: Arc::new(Registry::new(&self.registry.url(), None).expect("a URL")),
            fence: Fence {
                source: "shop".parse().expect("valid"),
                generation: GENERATION,
                epoch: 1,
                origin_region: Region::new("us-west-2").expect("valid"),
                tombstone_retention: Duration::from_secs(86_400),
            },
            limits: Limits { messages: options.in_flight, bytes: 16 * 1024 * 1024 },
            writes: Limiter::new(32),
            coalescing: options.coalescing,
            clock: Arc::new(RuntimeClock),
            backoff: (Duration::from_millis(5), Duration::from_millis(50)),
            absence_wait: Duration::from_millis(100),
            row_wait: Duration::from_millis(300),
        };
        let pipeline = Pipeline::start(&client, Duration::from_secs(10), tools).expect("started");
        let status = pipeline.status();
        let stop = Arc::new(Notify::new());
        let stopped = Arc::clone(&stop);
        let task =
            tokio::spawn(async move { pipeline.run(async move { stopped.notified().await }).await.drain().await });
        Running { status, stop, task }
    }
}

/// A consumer that runs.
pub(crate) struct Running {
    status: Arc<Status>,
    stop: Arc<Notify>,
    task: JoinHandle<Complete>,
}

impl Running {
    pub(crate) fn status(&self) -> Arc<Status> {
        Arc::clone(&self.status)
    }

    pub(crate) fn has_partitions(&self) -> bool {
        self.partitions() > 0
    }

    pub(crate) fn partitions(&self) -> usize {
        self.status.partitions()
    }

    /// Stops it as SIGTERM would.
    pub(crate) async fn stop(self) -> Complete {
        self.stop.notify_one();
        self.ended().await
    }

    pub(crate) async fn ended(self) -> Complete {
        tokio::time::timeout(Duration::from_secs(40), self.task).await.expect("ends in time").expect("no panic")
    }

    /// Cuts it off at whatever it is doing.
    pub(crate) async fn crash(self) {
        self.task.abort();
        assert!(self.task.await.is_err_and(|error| error.is_cancelled()));
    }
}

/// A Schema Registry with the value schemas of all entities.
pub(crate) struct RegistryStub {
    address: SocketAddr,
    state: Arc<RegistryState>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct RegistryState {
    failures: AtomicUsize,
    denials: AtomicUsize,
    requests: AtomicUsize,
}

impl RegistryStub {
    async fn start() -> Self {
        let state = Arc::new(RegistryState::default());
        let router =
            axum::Router::new().route("/schemas/ids/{id}", axum::routing::get(answer)).with_state(Arc::clone(&state));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
        Self { address, state, server }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The next `count` requests get a 503.
    pub(crate) fn fail_next(&self, count: usize) {
        self.state.failures.store(count, Ordering::SeqCst);
    }

    /// The next `count` requests get a 404.
    pub(crate) fn deny_next(&self, count: usize) {
        self.state.denials.store(count, Ordering::SeqCst);
    }

    pub(crate) fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }
}

impl Drop for RegistryStub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(state): State<Arc<RegistryState>>, Path(id): Path<u32>) -> (StatusCode, String) {
    state.requests.fetch_add(1, Ordering::SeqCst);
    let failing = state.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    if failing.is_ok() {
        return (StatusCode::SERVICE_UNAVAILABLE, String::new());
    }
    let denied = state.denials.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
    match Entity::ALL.into_iter().find(|entity| schema_id(*entity) == id && !denied) {
        Some(entity) => {
            let body = serde_json::json!({ "schema": schema_json(entity) });
            (StatusCode::OK, body.to_string())
        }
        None => (StatusCode::NOT_FOUND, r#"{"error_code":40403,"message":"Schema not found"}"#.to_owned()),
    }
}

/// What is wrong with the table.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) enum Broken {
    #[default]
    Nothing,
    /// Some writes are refused for now, of some the answer is lost after the write was made.
    SomeWrites,
    /// Every write takes 20 milliseconds.
    Slow,
    /// Every write is refused for now.
    AllWrites,
    /// The table has too much to do for any write.
    Overloaded,
    /// Every write is refused for good.
    Poison,
    /// Another writer has taken over.
    Fenced,
    /// The same, and it takes half a second to find out.
    FencedSlowly,
}

/// A table in memory with the same conditions as the real one.
#[derive(Clone, Default)]
pub(crate) struct MemorySink(Arc<MemoryTable>);

#[derive(Default)]
struct MemoryTable {
    rows: Mutex<Rows>,
    /// How often each version of each key was written.
    writes: Mutex<BTreeMap<(Entity, String, String), usize>>,
    /// The trace context that each version was written with.
    traces: Mutex<BTreeMap<String, Option<TraceParent>>>,
    broken: Mutex<Broken>,
    calls: AtomicUsize,
    under_way: AtomicUsize,
    most_at_once: AtomicUsize,
}

impl MemorySink {
    pub(crate) fn set_broken(&self, broken: Broken) {
        *self.0.broken.lock().expect("no panic") = broken;
    }

    /// How many writes, with repetitions, have had an effect.
    pub(crate) fn applied(&self) -> usize {
        self.0.writes.lock().expect("no panic").values().sum()
    }

    /// How many different writes have had an effect.
    pub(crate) fn written(&self) -> usize {
        self.0.writes.lock().expect("no panic").len()
    }

    pub(crate) fn writes(&self) -> BTreeMap<(Entity, String, String), usize> {
        self.0.writes.lock().expect("no panic").clone()
    }

    pub(crate) fn rows(&self) -> Rows {
        self.0.rows.lock().expect("no panic").clone()
    }

    pub(crate) fn traces(&self) -> BTreeMap<String, Option<TraceParent>> {
        self.0.traces.lock().expect("no panic").clone()
    }

    /// How many writes were asked for.
    pub(crate) fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn most_at_once(&self) -> usize {
        self.0.most_at_once.load(Ordering::SeqCst)
    }

    /// What the stored row lets happen, as the writer judges it. All rows have the same source and epoch.
    fn judge(&self, write: &RowWrite, since: &Version) -> Result<Verdict, SinkError> {
        let rows = self.0.rows.lock().expect("no panic");
        let stored = rows.get(&(write.head.entity, write.head.key.to_string())).map(|(version, columns)| StoredHead {
            source: write.head.source.to_string(),
            version: version.clone(),
            epoch: None,
            live: columns.is_some(),
        });
        Ok(judge(write, since, stored.as_ref())?)
    }

    fn write(&self, write: &RowWrite, since: &Version) -> Result<Applied, SinkError> {
        match self.judge(write, since)? {
            Verdict::Admitted => {
                self.store(write);
                Ok(Applied::Written)
            }
            Verdict::Duplicate => Ok(Applied::Duplicate),
            Verdict::Stale => Ok(Applied::Stale),
            Verdict::NoRow => Err(SinkError::NoRow("there is no row to merge into".into())),
        }
    }

    fn write_both(&self, one: &RowWrite, other: &RowWrite) -> Together {
        let admitted = |half: &RowWrite| {
            !matches!(half.change, RowChange::Merge(_))
                && matches!(self.judge(half, &half.head.version), Ok(Verdict::Admitted))
        };
        if !admitted(one) || !admitted(other) {
            return Together::Apart;
        }
        self.store(one);
        self.store(other);
        Together::Written
    }

    fn store(&self, write: &RowWrite) {
        let key = (write.head.entity, write.head.key.to_string());
        let version = write.head.version.to_string();
        let mut rows = self.0.rows.lock().expect("no panic");
        let row = rows.entry(key.clone()).or_default();
        row.0.clone_from(&version);
        match &write.change {
            RowChange::Put(columns) => row.1 = Some(columns.clone()),
            RowChange::Tombstone { .. } => row.1 = None,
            RowChange::Merge(columns) => row.1.get_or_insert_with(Columns::new).extend(columns.clone()),
        }
        drop(rows);
        self.0.traces.lock().expect("no panic").insert(version.clone(), write.head.traceparent);
        let mut writes = self.0.writes.lock().expect("no panic");
        *writes.entry((key.0, key.1, version)).or_default() += 1;
    }

    /// Takes the time of a request, and does with `work` what is broken.
    async fn request<T>(&self, work: impl Fn() -> Result<T, SinkError> + Send) -> Result<T, SinkError> {
        let call = self.0.calls.fetch_add(1, Ordering::SeqCst);
        let now = self.0.under_way.fetch_add(1, Ordering::SeqCst) + 1;
        self.0.most_at_once.fetch_max(now, Ordering::SeqCst);
        let broken = *self.0.broken.lock().expect("no panic");
        // Different waits bring keys out of step.
        let wait = match broken {
            Broken::Slow => 20,
            Broken::FencedSlowly => 500,
            _ => u64::try_from(call % 4).expect("small"),
        };
        tokio::time::sleep(Duration::from_millis(wait)).await;
        self.0.under_way.fetch_sub(1, Ordering::SeqCst);
        match broken {
            Broken::SomeWrites if call % 7 == 3 => Err(SinkError::Overloaded("throttled".into())),
            Broken::SomeWrites if call % 11 == 5 => {
                let _ = work();
                Err(SinkError::Retryable("the answer is lost".into()))
            }
            Broken::AllWrites => Err(SinkError::Retryable("not now".into())),
            Broken::Overloaded => Err(SinkError::Overloaded("throttled".into())),
            Broken::Poison => Err(SinkError::Poison { class: "invalid_row", source: "larger than 400 KB".into() }),
            Broken::Fenced | Broken::FencedSlowly => Err(SinkError::Fenced("epoch 2 has taken over".into())),
            _ => work(),
        }
    }
}

impl Sink for MemorySink {
    async fn apply(&self, write: &RowWrite, since: &Version) -> Result<Applied, SinkError> {
        self.request(|| self.write(write, since)).await
    }

    async fn apply_both(&self, one: &RowWrite, other: &RowWrite) -> Result<Together, SinkError> {
        self.request(|| Ok(self.write_both(one, other))).await
    }
}

/// Topic, partition and offset.
type Place = (Entity, i32, i64);

/// A dead-letter topic in memory.
#[derive(Clone, Default)]
pub(crate) struct MemoryDeadLetters(Arc<MemoryLetters>);

#[derive(Default)]
struct MemoryLetters {
    letters: Mutex<Vec<(Place, Diagnosis)>>,
    broken: Mutex<bool>,
    attempts: AtomicUsize,
}

impl MemoryDeadLetters {
    pub(crate) fn set_broken(&self, broken: bool) {
        *self.0.broken.lock().expect("no panic") = broken;
    }

    pub(crate) fn attempts(&self) -> usize {
        self.0.attempts.load(Ordering::SeqCst)
    }

    pub(crate) fn offsets(&self) -> BTreeSet<(Entity, i32, i64)> {
        self.0.letters.lock().expect("no panic").iter().map(|(place, _)| *place).collect()
    }

    pub(crate) fn classes(&self) -> Vec<&'static str> {
        self.0.letters.lock().expect("no panic").iter().map(|(_, diagnosis)| diagnosis.class).collect()
    }

    /// How often each message was tried before it was given up.
    pub(crate) fn attempts_of_letters(&self) -> Vec<u32> {
        self.0.letters.lock().expect("no panic").iter().map(|(_, diagnosis)| diagnosis.attempts).collect()
    }

    /// By what the letters are found in logs, in the order of their messages.
    pub(crate) fn correlations(&self) -> Vec<Correlation> {
        let mut letters = self.0.letters.lock().expect("no panic").clone();
        letters.sort_by_key(|(place, _)| *place);
        letters.into_iter().map(|(_, diagnosis)| diagnosis.correlation).collect()
    }
}

impl DeadLetterSink for MemoryDeadLetters {
    async fn send(&self, message: &OwnedMessage, diagnosis: &Diagnosis) -> Result<(), DeadLetterError> {
        self.0.attempts.fetch_add(1, Ordering::SeqCst);
        if *self.0.broken.lock().expect("no panic") {
            // The error of the real one, from a broker that isn't there.
            return unreachable_topic().send(message, diagnosis).await;
        }
        let entity = Entity::from_topic(message.topic()).expect("known");
        let place = (entity, message.partition(), message.offset());
        self.0.letters.lock().expect("no panic").push((place, diagnosis.clone()));
        Ok(())
    }
}

fn unreachable_topic() -> DeadLetterTopic {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", "127.0.0.1:1").set("message.timeout.ms", "50");
    DeadLetterTopic::new(client.create().expect("a producer"), "nowhere", "group")
}

/// Asks a server on this machine.
pub(crate) async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let client: Client<_, Empty<bytes::Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let uri = format!("http://{address}{path}").parse().expect("a URI");
    let response = client.get(uri).await.expect("an answer");
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"))
}
