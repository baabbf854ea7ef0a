//! The topics: made, measured and read.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use events::Entity;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers as _, Message as _};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use traffic::{Letter, NUMBER_HEADER, Place};

/// Partitions of each of the three topics.
pub(crate) const PARTITIONS: u32 = 4;
/// Where messages go that can't be applied.
pub(crate) const DEAD_LETTERS: &str = "tandem.crash.dead-letters";
/// The consumers' group.
pub(crate) const GROUP: &str = "tandem-crash";
/// What the consumer puts before its own headers.
const PREFIX: &str = "tandem.dead-letter.";
/// Longest wait for one answer of the broker.
const LIMIT: Duration = Duration::from_secs(10);

/// For each topic and partition an offset.
pub(crate) type Offsets = BTreeMap<(String, i32), i64>;

pub(crate) async fn create(brokers: &str) {
    let topics = Entity::ALL.map(Entity::topic).map(|topic| (topic, PARTITIONS));
    let topics: Vec<NewTopic<'_>> = topics
        .iter()
        .copied()
        .chain([(DEAD_LETTERS, 1)])
        .map(|(name, partitions)| NewTopic::new(name, partitions.try_into().expect("few"), TopicReplication::Fixed(1)))
        .collect();
    let options = AdminOptions::new().request_timeout(Some(LIMIT)).operation_timeout(Some(LIMIT));
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let admin: AdminClient<_> = client(brokers).create().expect("a client");
        let results = admin.create_topics(&topics, &options).await;
        let is_there = |code: &RDKafkaErrorCode| *code == RDKafkaErrorCode::TopicAlreadyExists;
        let done = |results: &Vec<Result<String, (String, RDKafkaErrorCode)>>| {
            results.iter().all(|result| result.as_ref().map_or_else(|(_, code)| is_there(code), |_| true))
        };
        match results {
            Ok(results) if done(&results) => return,
            other => assert!(Instant::now() < deadline, "the broker makes no topics: {other:?}"),
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn client(brokers: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client
        .set("bootstrap.servers", brokers)
        .set("group.id", GROUP)
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("reconnect.backoff.max.ms", "500")
        // The broker is away now and then, which is no news.
        .set("log_level", "0");
    client
}

/// How many messages the group hasn't committed yet; nothing while the broker doesn't say.
pub(crate) fn lag(brokers: &str, ends: &Offsets) -> Option<i64> {
    let consumer: BaseConsumer = client(brokers).create().expect("a client");
    let mut wanted = TopicPartitionList::new();
    for (topic, partition) in ends.keys() {
        wanted.add_partition(topic, *partition);
    }
    let committed = consumer.committed_offsets(wanted, Duration::from_secs(5)).ok()?;
    let mut lag = 0;
    for element in committed.elements() {
        element.error().ok()?;
        let end = ends.get(&(element.topic().to_owned(), element.partition()))?;
        let done = match element.offset() {
            Offset::Offset(offset) => offset,
            _ => 0,
        };
        lag += (end - done).max(0);
    }
    Some(lag)
}

/// What the change topics hold.
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// Where the messages lie that can't be applied, with their numbers.
    pub(crate) poison: BTreeMap<Place, u64>,
    /// How many messages there are in each partition.
    pub(crate) counts: Offsets,
}

pub(crate) fn read_log(brokers: &str) -> Log {
    let mut log = Log::default();
    let topics = Entity::ALL.map(Entity::topic);
    read(brokers, &topics, PARTITIONS, |message| {
        *log.counts.entry((message.topic().to_owned(), message.partition())).or_default() += 1;
        if let Some(number) = number(message) {
            let place =
                Place { topic: message.topic().to_owned(), partition: message.partition(), offset: message.offset() };
            log.poison.insert(place, number);
        }
    });
    log
}

/// Every dead letter.
pub(crate) fn read_letters(brokers: &str) -> Vec<Letter> {
    let mut letters = Vec::new();
    read(brokers, &[DEAD_LETTERS], 1, |message| {
        let text = |name: &str| header(message, &format!("{PREFIX}{name}")).unwrap_or_default();
        let place = Place {
            topic: text("topic"),
            partition: text("partition").parse().expect("a partition"),
            offset: text("offset").parse().expect("an offset"),
        };
        letters.push(Letter { place, number: number(message), class: text("error-class") });
    });
    letters
}

fn number(message: &BorrowedMessage<'_>) -> Option<u64> {
    header(message, NUMBER_HEADER)?.parse().ok()
}

fn header(message: &BorrowedMessage<'_>, name: &str) -> Option<String> {
    let header = message.headers()?.iter().find(|header| header.key == name)?;
    Some(String::from_utf8_lossy(header.value?).into_owned())
}

/// Reads every partition from its beginning to its end.
fn read(brokers: &str, topics: &[&str], partitions: u32, mut take: impl FnMut(&BorrowedMessage<'_>)) {
    let consumer: BaseConsumer = client(brokers).create().expect("a client");
    let mut list = TopicPartitionList::new();
    for topic in topics {
        for partition in 0..i32::try_from(partitions).expect("few") {
            list.add_partition_offset(topic, partition, Offset::Beginning).expect("a place");
        }
    }
    let mut open = list.count();
    consumer.assign(&list).expect("assigned");
    let deadline = Instant::now() + Duration::from_secs(120);
    while open > 0 {
        assert!(Instant::now() < deadline, "the topics {topics:?} can't be read to their end");
        match consumer.poll(Duration::from_secs(1)) {
            Some(Ok(message)) => take(&message),
            Some(Err(KafkaError::PartitionEOF(_))) => open -= 1,
            Some(Err(_)) | None => {}
        }
    }
}
