//! What surrounds a consumer in these tests.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws::Applied;
use aws::authority::{AuthorityError, ReadAuthority};
use aws::table_writer::Together;
use consumer::dead_letter::{DeadLetterError, DeadLetterSink, Diagnosis};
use consumer::lane::{Limits, Tools};
use consumer::lanes::Partition;
use consumer::limiter::Limiter;
use consumer::ownership::Tenure;
use consumer::pipeline::{Parts, Pipeline};
use consumer::presence::Presence;
use consumer::registry::Registry;
use consumer::sink::{Sink, SinkError};
use consumer::source::Source;
use consumer::tenure::{self, Ended, Watcher, serve};
use contracts::{CdcConsumer, Coalescing, Region};
use events::authority::{Authority, Scope};
use events::qlik::Fence;
use events::qlik::encode::{Encoder, Record, sample_columns, schema_json};
use events::{ChangeSequence, Entity, Operation, RowWrite, SourceId, Version};
use rdkafka::error::KafkaResult;
use rdkafka::message::OwnedMessage;
use rdkafka::{Offset, TopicPartitionList};

use crate::time::{self, elapsed, sleep, start_of_time, time_of_day};

/// What says whether the region owns.
pub(crate) type Tenures = tenure::Authority<Scripted>;

pub(crate) const WEST: &str = "us-west-2";
pub(crate) const EAST: &str = "us-east-1";

pub(crate) fn region(name: &str) -> Region {
    Region::new(name).expect("a region")
}

/// What a reading of the record gives; none: no answer, however long one waits.
pub(crate) type Reading = Option<Option<Authority>>;

/// A record that says what was written down before.
#[derive(Clone, Debug)]
pub(crate) struct Scripted {
    /// The last one is given for ever.
    script: Arc<Mutex<VecDeque<Reading>>>,
    reads: Arc<AtomicUsize>,
}

impl Scripted {
    pub(crate) fn new(script: impl IntoIterator<Item = Reading>) -> Self {
        Self { script: Arc::new(Mutex::new(script.into_iter().collect())), reads: Arc::default() }
    }

    /// How often it was read.
    pub(crate) fn count(&self) -> usize {
        self.reads.load(Ordering::SeqCst)
    }
}

impl ReadAuthority for Scripted {
    async fn read(&self) -> Result<Option<Authority>, AuthorityError> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        let next = {
            let mut script = self.script.lock().expect("no panic");
            if script.len() > 1 { script.pop_front().expect("some") } else { script[0].clone() }
        };
        match next {
            Some(record) => Ok(record),
            // It hangs, until the caller gives up.
            None => std::future::pending().await,
        }
    }
}

/// A record; its lease ends so many seconds after the start of time.
pub(crate) fn record(owner: &str, epoch: u64, lease: Option<u64>) -> Reading {
    Some(Some(Authority {
        scope: Scope::all(),
        owner: region(owner),
        epoch: epoch.try_into().expect("from 1"),
        lease_until: lease.map(|seconds| start_of_time() + Duration::from_secs(seconds)),
        withdrawn: BTreeMap::new(),
        changed_at: start_of_time(),
        changed_by: "ada".to_owned(),
    }))
}

/// There is no record.
pub(crate) fn absent() -> Reading {
    Some(None)
}

/// No answer.
pub(crate) fn unread() -> Reading {
    None
}

/// A table that takes a while, and remembers the epochs that it was written with.
#[derive(Clone)]
pub(crate) struct Table(Arc<Mutex<(Vec<u64>, Duration)>>);

impl Default for Table {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((Vec::new(), Duration::from_millis(500)))))
    }
}

impl Table {
    /// The epoch of each write.
    pub(crate) fn epochs(&self) -> Vec<u64> {
        self.0.lock().expect("no panic").0.clone()
    }

    /// Each write takes so long from now on.
    pub(crate) fn set_slow(&self, write: Duration) {
        self.0.lock().expect("no panic").1 = write;
    }
}

impl Sink for Table {
    async fn apply(&self, write: &RowWrite, _: &Version) -> Result<Applied, SinkError> {
        let wait = self.0.lock().expect("no panic").1;
        sleep(wait).await;
        self.0.lock().expect("no panic").0.push(write.head.epoch);
        Ok(Applied::Written)
    }

    async fn apply_both(&self, one: &RowWrite, _: &RowWrite) -> Result<Together, SinkError> {
        panic!("nothing moves here: {one:?}");
    }
}

struct NoDeadLetters;

impl DeadLetterSink for NoDeadLetters {
    async fn send(&self, _: &OwnedMessage, diagnosis: &Diagnosis) -> Result<(), DeadLetterError> {
        panic!("a dead letter: {diagnosis:?}");
    }
}

/// A partition with a message every second.
pub(crate) struct Endless {
    parts: Parts,
    value: Vec<u8>,
    began: Duration,
    next: Mutex<i64>,
    committed: Mutex<Option<i64>>,
    closed: Mutex<bool>,
}

const PARTITION: Partition = (Entity::Customers, 0);

impl Endless {
    fn over(parts: &Parts) -> Arc<Self> {
        let mut list = TopicPartitionList::new();
        list.add_partition(PARTITION.0.topic(), PARTITION.1);
        parts.lanes.start(&list);
        let columns = sample_columns(Entity::Customers, "k", 1);
        let sequence = ChangeSequence::new(start_of_time(), 1);
        let record = Record {
            entity: Entity::Customers,
            operation: Operation::Insert,
            columns: &columns,
            before: None,
            change_sequence: Some(&sequence),
            committed_at: start_of_time(),
            stream_position: "1",
            transaction_id: "2",
            column_mask: None,
        };
        let value = Encoder::new(Entity::Customers).value(1, &record).expect("encoded");
        Arc::new(Self {
            parts: parts.clone(),
            value,
            began: elapsed(),
            next: Mutex::default(),
            committed: Mutex::default(),
            closed: Mutex::default(),
        })
    }

    /// The offset that is committed.
    pub(crate) fn committed(&self) -> Option<i64> {
        *self.committed.lock().expect("no panic")
    }

    /// Whether the group was left in order.
    pub(crate) fn is_closed(&self) -> bool {
        *self.closed.lock().expect("no panic")
    }

    fn note(&self, offsets: &TopicPartitionList) {
        for element in offsets.elements() {
            if let Offset::Offset(offset) = element.offset() {
                *self.committed.lock().expect("no panic") = Some(offset);
            }
        }
        self.parts.lanes.set_committed(offsets);
    }
}

impl Source for Endless {
    async fn recv(&self) -> KafkaResult<OwnedMessage> {
        // The pipeline drops this call whenever it has something else to do.
        let offset = *self.next.lock().expect("no panic");
        let due = Duration::from_secs(u64::try_from(offset).expect("from 0") + 1) + self.began;
        sleep(due.saturating_sub(elapsed())).await;
        *self.next.lock().expect("no panic") += 1;
        let time = rdkafka::Timestamp::CreateTime(start_of_time().as_millisecond());
        let topic = PARTITION.0.topic().to_owned();
        Ok(OwnedMessage::new(Some(self.value.clone()), Some(b"k".to_vec()), topic, time, PARTITION.1, offset, None))
    }

    fn pause(&self, _: Partition) -> KafkaResult<()> {
        Ok(())
    }

    fn resume(&self, _: Partition) -> KafkaResult<()> {
        Ok(())
    }

    fn commit(&self, offsets: &TopicPartitionList) -> KafkaResult<()> {
        self.note(offsets);
        Ok(())
    }

    async fn close(self: Arc<Self>, offsets: TopicPartitionList) -> bool {
        self.note(&offsets);
        *self.closed.lock().expect("no panic") = true;
        true
    }
}

/// Everything of a run.
pub(crate) struct World {
    pub(crate) record: Scripted,
    pub(crate) table: Table,
    pub(crate) presence: Arc<Presence>,
    config: CdcConsumer,
    registry: Arc<Registry>,
}

impl World {
    pub(crate) async fn new(record: Scripted, variables: &[(&str, &str)]) -> Self {
        let mut known = HashMap::from([
            ("AWS_REGION", WEST),
            ("KAFKA_BROKERS", "127.0.0.1:9"),
            ("KAFKA_SECURITY", "plaintext"),
            ("SCHEMA_REGISTRY_URL", "http://127.0.0.1:9"),
            ("SOURCE_ID", "shop"),
            ("CUSTOMERS_TABLE", "customers"),
            ("ORDERS_TABLE", "orders"),
            ("PRODUCTS_TABLE", "products"),
            ("AUTHORITY", "authority"),
        ]);
        known.extend(variables.iter().copied());
        let config = CdcConsumer::from_lookup(|name| known.get(name).map(ToString::to_string)).expect("complete");
        let registry = Arc::new(registry().await);
        Self { record, table: Table::default(), presence: Arc::default(), config, registry }
    }

    pub(crate) fn authority(&self) -> Tenures {
        let presence = Arc::clone(&self.presence);
        tenure::Authority::Record(Watcher::new(self.record.clone(), &self.config, presence, time::clock(), time_of_day))
    }

    /// Waits for the tenure and serves it.
    pub(crate) async fn run(&self) -> (Ended, Arc<Endless>) {
        let mut authority = self.authority();
        let tenure = authority.begins().await;
        self.serve(authority, tenure).await
    }

    /// Serves a tenure; gives what became of the partition too.
    pub(crate) async fn serve(&self, authority: Tenures, tenure: Tenure) -> (Ended, Arc<Endless>) {
        let tools = Tools {
            sink: self.table.clone(),
            dead_letters: NoDeadLetters,
            registry: Arc::clone(&self.registry),
            fence: Fence {
                source: "shop".parse::<SourceId>().expect("valid"),
                generation: 1,
                epoch: tenure.epoch,
                origin_region: region(WEST),
                tombstone_retention: Duration::from_secs(86_400),
            },
            limits: Limits { messages: 100, bytes: 1 << 20 },
            writes: Limiter::new(8),
            coalescing: Coalescing::Never,
            clock: time::clock(),
            backoff: (Duration::from_millis(5), Duration::from_millis(50)),
            absence_wait: Duration::from_millis(100),
            row_wait: Duration::from_millis(300),
        };
        let parts = Parts::new(tools, Duration::from_secs(20));
        let source = Endless::over(&parts);
        let pipeline = Pipeline::over(Arc::clone(&source), parts);
        let watched = authority.watch(tenure);
        let ended = serve(pipeline, watched, Arc::clone(&self.presence), std::future::pending()).await;
        (ended, source)
    }
}

/// A registry that has been asked already: the clock doesn't wait for sockets.
async fn registry() -> Registry {
    let body = serde_json::json!({ "schema": schema_json(Entity::Customers) }).to_string();
    let router = axum::Router::new().route("/schemas/ids/1", axum::routing::get(move || async move { body }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("serves") });
    let registry = Registry::new(&url, None).expect("a URL");
    registry.fetch(1).await.expect("the schema");
    server.abort();
    time::start();
    registry
}
