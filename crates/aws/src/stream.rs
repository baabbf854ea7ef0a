//! One batch of a DynamoDB stream, from Lambda's JSON to the partial-batch answer.
//!
//! Every function that reads the tables' streams goes through [`process`], so that the promise is kept in one place:
//! **a record is done only when its event was accepted, there was nothing to tell, or it lies in the dead-letter queue.**
//! Everything from the lowest record that is not done onwards is delivered again by Lambda, so a program must be safe to
//! repeat, and what was not tried yet may be left alone.
//!
//! - Records are taken as raw JSON and decoded one by one. Lambda's own event types would refuse the whole batch because
//!   of one malformed record, lose its body, and read numbers as floating point. A record here keeps its exact text for
//!   the dead letter, compressed when it is too large for a queue.
//! - A panic while a record is decoded or mapped is that record's fault and makes it a dead letter. The functions are
//!   therefore built to unwind; aborting would take the whole batch down with it.
//! - What a record means is the program's business ([`StreamProgram`]); retries, bisecting and the failure destination
//!   belong to the event source mapping.

use crate::dead_letters::SendDeadLetters;
use crate::publisher::{OutgoingEvent, PublishError, PublishEvents};
use contracts::Region;
use events::dead_letter::{DeadLetterEvent, PANIC, RecordEncoding, caught, chain};
use events::domain::Skip;
use events::row::names;
use events::stream::{Record, sequence_number_of};
use events::{AttributeValue, JsonText, Operation, Timestamp, Trace};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::error::Error;
use std::io::Write;
use std::time::{Duration, SystemTime};
use telemetry::invocation::Ending;
use tokio::time::{Instant, timeout_at};

/// What Lambda hands over: records of one shard, oldest first.
#[derive(Debug, Deserialize)]
pub struct Batch {
    #[serde(rename = "Records")]
    records: Vec<Box<RawValue>>,
}

impl Batch {
    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }
}

/// What Lambda wants to know: from which record on to deliver again.
///
/// Lambda takes the lowest sequence number as the checkpoint; no entry means that the batch is done, an entry with an
/// empty name that all of it is to be delivered again (Lambda developer guide, "Partial batch response", read 2026-11).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct BatchResponse {
    #[serde(rename = "batchItemFailures")]
    failures: Vec<ItemFailure>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct ItemFailure {
    #[serde(rename = "itemIdentifier")]
    sequence_number: String,
}

impl BatchResponse {
    /// Whether every record is done.
    pub fn is_complete(&self) -> bool {
        self.failures.is_empty()
    }

    /// The lowest sequence number that is to be delivered again; empty when that is the whole batch.
    pub fn deliver_again_from(&self) -> Option<&str> {
        self.failures.first().map(|failure| failure.sequence_number.as_str())
    }

    fn from(checkpoint: Option<Place>) -> Self {
        let failures = checkpoint.map(|place| ItemFailure { sequence_number: place.0 }).into_iter().collect();
        Self { failures }
    }
}

/// What a function does with one record.
pub trait StreamProgram: Sync {
    /// Says what is to be done with `record`. Must not wait or do I/O; a panic makes the record a dead letter.
    ///
    /// # Errors
    /// When the record can never be handled.
    fn plan(&self, record: &Record) -> Result<Plan, Poison>;

    /// Is told what became of each record, once an invocation; for metrics.
    fn settled(&self, subject: &Subject, outcome: Outcome);
}

/// What is to be done with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Publish an event.
    Publish(Box<Publication>),
    /// Nothing to tell.
    Skip(Skip),
}

/// An event to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    /// The event.
    pub event: OutgoingEvent,
    /// When the source committed the change.
    pub committed_at: Timestamp,
    /// Where the change came from; goes into the dead letter if the bus refuses the event.
    pub trace: Trace,
}

/// Why a record can never be handled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poison {
    /// A stable name of the kind of error.
    pub class: &'static str,
    /// What went wrong, for people, with its causes.
    pub message: String,
    /// Where the change came from, if the record could be read that far.
    pub trace: Option<Box<Trace>>,
}

impl Poison {
    /// Poison because of `error`.
    pub fn because(class: &'static str, error: &dyn Error) -> Self {
        Self { class, message: chain(error), trace: None }
    }
}

/// What a record is about, in words of bounded number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The entity, or `unknown`.
    pub entity: &'static str,
    /// What the source did: `insert`, `update`, `delete`, `refresh`, or `unknown` when the row doesn't say.
    pub operation: &'static str,
    /// When the source committed the change, if an event was planned.
    pub committed_at: Option<Timestamp>,
}

/// What became of a record in this invocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Its event was accepted.
    Published,
    /// There was nothing to tell; why.
    Skipped(&'static str),
    /// It lies in the dead-letter queue; the kind of error.
    DeadLettered(&'static str),
    /// It is delivered again; why.
    Failed(&'static str),
}

impl Outcome {
    /// A word for metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Skipped(reason) => reason,
            Self::DeadLettered(_) => "dead_letter",
            Self::Failed(_) => "failed",
        }
    }
}

/// A function that reads a table's stream: its program over its ports.
#[derive(Debug)]
pub struct Function<S, P, D> {
    /// The function's name, for dead letters.
    pub name: &'static str,
    /// Its version, for dead letters.
    pub version: &'static str,
    /// The region it runs in.
    pub region: Region,
    /// How long before Lambda's deadline work stops, which leaves time for the answer.
    pub deadline_margin: Duration,
    /// What it does with a record.
    pub program: S,
    /// The bus that it publishes to.
    pub publisher: P,
    /// Where records go that it can't handle.
    pub dead_letters: D,
}

/// What Lambda says about one invocation.
#[derive(Clone, Copy, Debug)]
pub struct Delivery<'a> {
    /// The function's deployed name, for metrics.
    pub function: &'a str,
    /// Lambda's id of the invocation.
    pub request_id: &'a str,
    /// When Lambda ends the invocation.
    pub deadline: SystemTime,
}

impl<S: StreamProgram, P: PublishEvents, D: SendDeadLetters> Function<S, P, D> {
    /// Handles one batch and measures the invocation. `metrics` is stdout in Lambda.
    pub async fn handle(&self, batch: Batch, delivery: Delivery<'_>, metrics: &mut impl Write) -> BatchResponse {
        let measured = telemetry::invocation::Invocation::begin(delivery.function);
        let invocation = Invocation {
            program: self.name,
            program_version: self.version,
            region: self.region.clone(),
            request_id: delivery.request_id.to_owned(),
            deadline: stop_before(delivery.deadline, self.deadline_margin),
        };
        let response = process(batch, &self.program, &self.publisher, &self.dead_letters, &invocation).await;
        measured.end(if response.is_complete() { Ending::Complete } else { Ending::PartialBatch }, metrics);
        response
    }
}

/// What an invocation brings along.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The program's name, for dead letters.
    pub program: &'static str,
    /// The program's version, for dead letters.
    pub program_version: &'static str,
    /// The region it runs in.
    pub region: Region,
    /// Lambda's id of this invocation, for the log.
    pub request_id: String,
    /// When work must stop so that the answer still arrives.
    pub deadline: Instant,
}

/// The moment to stop: `margin` before the function's deadline as Lambda gives it.
pub fn stop_before(function_deadline: SystemTime, margin: Duration) -> Instant {
    let left = function_deadline.duration_since(SystemTime::now()).unwrap_or_default();
    Instant::now() + left.saturating_sub(margin)
}

/// Handles one batch and answers from where on Lambda must deliver again.
pub async fn process(
    batch: Batch,
    program: &impl StreamProgram,
    publisher: &impl PublishEvents,
    dead_letters: &impl SendDeadLetters,
    invocation: &Invocation,
) -> BatchResponse {
    let first_seen = Timestamp::now();
    let mut items = read(batch, program);
    publish(&mut items, publisher, invocation.deadline).await;
    // Lambda delivers in this order; it is made sure of because a checkpoint only makes sense in it.
    items.sort_by(|a, b| a.place.cmp(&b.place));
    let mut lowest = items.iter().find(|item| matches!(item.state, State::Failed(_))).map(|item| item.place.clone());
    for item in &mut items {
        let State::Poisoned(poison) = &item.state else { continue };
        // What lies behind the checkpoint is delivered again and would become a second dead letter.
        if lowest.as_ref().is_some_and(|lowest| item.place >= *lowest) {
            item.state = State::Failed("held_back");
            continue;
        }
        let letter = dead_letter(item, poison, first_seen, invocation);
        item.state = match timeout_at(invocation.deadline, dead_letters.send(&letter)).await {
            Ok(Ok(())) => {
                let DeadLetterEvent { error_class, message, position, source, .. } = &letter;
                tracing::error!(
                    error_class,
                    reason = message,
                    position,
                    source,
                    "record went to the dead-letter queue"
                );
                State::DeadLettered(poison.class)
            }
            Ok(Err(error)) => {
                let DeadLetterEvent { error_class, position, .. } = &letter;
                tracing::error!(error = &error as &dyn Error, error_class, position, "dead letter was not stored");
                State::Failed("dead_letter_not_stored")
            }
            Err(_) => State::Failed("out_of_time"),
        };
        if matches!(item.state, State::Failed(_)) {
            lowest = Some(item.place.clone());
        }
    }
    report(&items, program, lowest.as_ref(), &invocation.request_id);
    BatchResponse::from(lowest)
}

/// A sequence number as a place in the shard: the number of digits counts first.
///
/// Invariant: the derived order of the fields' tuple would be wrong for numbers of different length, hence `Ord` below.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place(String);

impl Ord for Place {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let digits = |place: &Self| place.0.trim_start_matches('0').len();
        digits(self)
            .cmp(&digits(other))
            .then_with(|| self.0.trim_start_matches('0').cmp(other.0.trim_start_matches('0')))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

struct Item {
    body: Box<RawValue>,
    /// From where to deliver again if this record fails: its own sequence number, or that of the record before when it
    /// has none, or nothing, which means the whole batch.
    place: Place,
    subject: Subject,
    state: State,
}

enum State {
    Planned(Box<Publication>),
    Published,
    Skipped(&'static str),
    Poisoned(Poison),
    DeadLettered(&'static str),
    Failed(&'static str),
}

fn read(batch: Batch, program: &impl StreamProgram) -> Vec<Item> {
    let mut place = Place(String::new());
    let items = batch.records.into_iter().map(|body| {
        let (subject, state) = read_one(body.get(), program);
        if let Some(sequence_number) = sequence_number_of(body.get()) {
            place = Place(sequence_number);
        }
        Item { body, place: place.clone(), subject, state }
    });
    items.collect()
}

fn read_one(body: &str, program: &impl StreamProgram) -> (Subject, State) {
    let mut subject = Subject { entity: "unknown", operation: "unknown", committed_at: None };
    let read = caught(|| {
        let record: Record = serde_json::from_str(body).map_err(|error| Poison::because("undecodable", &error))?;
        subject.entity = record.entity().map_or("unknown", |entity| entity.as_str());
        subject.operation = operation(&record);
        program.plan(&record)
    });
    let state = match read {
        Ok(Ok(Plan::Publish(publication))) => {
            subject.committed_at = Some(publication.committed_at);
            State::Planned(publication)
        }
        Ok(Ok(Plan::Skip(skip))) => State::Skipped(skip.as_str()),
        Ok(Err(poison)) => State::Poisoned(poison),
        Err(message) => State::Poisoned(Poison { class: PANIC, message, trace: None }),
    };
    (subject, state)
}

/// What the source did, as the row says it. The stream's own words tell only what became of the item:
/// a deletion is a `MODIFY`, because it writes a tombstone.
fn operation(record: &Record) -> &'static str {
    let image = record.change.new_image.as_ref().or(record.change.old_image.as_ref());
    let operation = match image.and_then(|image| image.get(names::OP)) {
        Some(AttributeValue::S(text)) => text.parse::<Operation>().ok(),
        _ => None,
    };
    operation.map_or("unknown", Operation::as_str)
}

async fn publish(items: &mut [Item], publisher: &impl PublishEvents, deadline: Instant) {
    let mut planned = Vec::new();
    let mut events = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if let State::Planned(publication) = &item.state {
            planned.push(index);
            events.push(publication.event.clone());
        }
    }
    if events.is_empty() {
        return;
    }
    // A port that answers too little must not make a record look done.
    let answers = publisher.publish(events, deadline).await.into_iter().map(Some).chain(std::iter::repeat(None));
    for (index, answer) in planned.into_iter().zip(answers) {
        let item = &mut items[index];
        item.state = match answer.unwrap_or(Err(PublishError::HeldBack)) {
            Ok(()) => State::Published,
            Err(error) if error.is_poison() => {
                let trace = match &item.state {
                    State::Planned(publication) => Some(Box::new(publication.trace.clone())),
                    _ => None,
                };
                State::Poisoned(Poison { trace, ..Poison::because(error.class(), &error) })
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn Error, position = item.place.0, "event was not published");
                State::Failed(error.class())
            }
        };
    }
}

fn dead_letter(item: &Item, poison: &Poison, first_seen: Timestamp, invocation: &Invocation) -> DeadLetterEvent {
    #[derive(Deserialize)]
    struct Origin {
        #[serde(rename = "eventSourceARN")]
        stream: String,
    }
    let source =
        serde_json::from_str::<Origin>(item.body.get()).map_or_else(|_| "unknown".to_owned(), |origin| origin.stream);
    DeadLetterEvent {
        program: invocation.program.to_owned(),
        program_version: invocation.program_version.to_owned(),
        region: invocation.region.clone(),
        source,
        position: sequence_number_of(item.body.get()).unwrap_or_else(|| "unknown".to_owned()),
        error_class: poison.class.to_owned(),
        message: poison.message.clone(),
        // Lambda does not tell how often it delivered the record; in this invocation it was tried once.
        attempts: 1,
        first_seen,
        failed_at: Timestamp::now(),
        trace: poison.trace.as_deref().cloned(),
        record_encoding: RecordEncoding::Json,
        record: JsonText::parse_or_quote(item.body.get()),
    }
}

fn report(items: &[Item], program: &impl StreamProgram, lowest: Option<&Place>, request_id: &str) {
    let (mut published, mut skipped, mut dead, mut failed) = (0, 0, 0, 0);
    for item in items {
        let (outcome, count) = match &item.state {
            State::Published => (Outcome::Published, &mut published),
            State::Skipped(reason) => (Outcome::Skipped(reason), &mut skipped),
            State::DeadLettered(class) => (Outcome::DeadLettered(class), &mut dead),
            State::Failed(class) => (Outcome::Failed(class), &mut failed),
            // Neither outlives `publish` and the loop over the dead letters.
            State::Planned(_) | State::Poisoned(_) => (Outcome::Failed("unsettled"), &mut failed),
        };
        *count += 1;
        program.settled(&item.subject, outcome);
    }
    let deliver_again_from = lowest.map(|place| place.0.as_str());
    tracing::info!(
        request_id,
        records = items.len(),
        published,
        skipped,
        dead_letters = dead,
        failed,
        deliver_again_from,
        "batch handled"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{FakeBus, FakeDeadLetters};
    use crate::testing::{region, row_write};
    use events::{DomainEvent, Item as RowItem, RowChange, domain};
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::sync::Mutex;

    /// Publishes domain events; panics on keys with `panic`; remembers what it was told.
    #[derive(Default)]
    struct Program {
        outcomes: Mutex<Vec<Outcome>>,
    }

    impl StreamProgram for Program {
        fn plan(&self, record: &Record) -> Result<Plan, Poison> {
            let mapped = DomainEvent::from_record(record, &region("us-west-2"));
            match mapped.map_err(|error| Poison::because(error.class(), &error))? {
                domain::Mapped::Skipped(skip) => Ok(Plan::Skip(skip)),
                domain::Mapped::Event(event) => {
                    assert!(!event.key.as_str().contains("panic"), "told to panic");
                    Ok(Plan::Publish(Box::new(Publication {
                        event: OutgoingEvent::domain(&event),
                        committed_at: event.timestamp,
                        trace: event.trace,
                    })))
                }
            }
        }

        fn settled(&self, _: &Subject, outcome: Outcome) {
            self.outcomes.lock().expect("not poisoned").push(outcome);
        }
    }

    fn image(key: &str) -> RowItem {
        let mut write = row_write(RowChange::Put([].into()));
        write.head.key = key.parse().expect("a key");
        write.item()
    }

    fn record(sequence_number: &str, key: &str) -> Value {
        json!({
            "eventName": "INSERT",
            "eventSourceARN": "arn:aws:dynamodb:us-west-2:000000000000:table/tandem-test-customers/stream/1",
            "dynamodb": {
                "Keys": { "pk": { "S": key } },
                "NewImage": image(key),
                "SequenceNumber": sequence_number,
            },
        })
    }

    fn malformed(sequence_number: &str) -> Value {
        json!({ "eventName": "EXPLODE", "dynamodb": { "SequenceNumber": sequence_number }, "kept": "9007199254740993" })
    }

    struct World {
        program: Program,
        bus: FakeBus,
        dead_letters: FakeDeadLetters,
        time_left: Duration,
    }

    impl World {
        fn new() -> Self {
            Self {
                program: Program::default(),
                bus: FakeBus::default(),
                dead_letters: FakeDeadLetters::default(),
                time_left: Duration::from_secs(30),
            }
        }

        async fn process(&self, records: &[Value]) -> Option<String> {
            let batch = serde_json::from_str(&json!({ "Records": records }).to_string()).expect("a batch");
            let invocation = Invocation {
                program: "test",
                program_version: "0.0.0",
                region: region("us-west-2"),
                request_id: "request-1".to_owned(),
                deadline: Instant::now() + self.time_left,
            };
            let response = process(batch, &self.program, &self.bus, &self.dead_letters, &invocation).await;
            response.deliver_again_from().map(ToOwned::to_owned)
        }

        fn keys(&self) -> Vec<String> {
            let key = |event: &OutgoingEvent| {
                serde_json::from_str::<Value>(event.detail()).expect("JSON")["key"].as_str().expect("text").to_owned()
            };
            self.bus.accepted().iter().map(key).collect()
        }

        fn dead(&self) -> Vec<(String, String)> {
            self.dead_letters.kept().into_iter().map(|letter| (letter.position, letter.error_class)).collect()
        }

        fn outcomes(&self) -> Vec<Outcome> {
            self.program.outcomes.lock().expect("not poisoned").clone()
        }
    }

    fn unavailable() -> PublishError {
        PublishError::Unavailable { code: "InternalFailure".to_owned(), message: "told".to_owned() }
    }

    #[tokio::test]
    async fn all_records_are_published_in_order() {
        let world = World::new();
        assert_eq!(world.process(&[record("9", "a"), record("10", "b"), record("11", "a")]).await, None);
        assert_eq!(world.keys(), ["a", "b", "a"]);
        assert_eq!(world.outcomes(), [Outcome::Published; 3]);
    }

    #[test]
    fn operations_are_those_of_the_source() {
        let of = |record: &Value| read_one(&record.to_string(), &Program::default()).0.operation;
        assert_eq!(of(&record("1", "a")), "update", "the row says so, although the item is new");
        let mut tombstone_ends = record("1", "a");
        let change = tombstone_ends["dynamodb"].as_object_mut().expect("an object");
        let mut image = change.remove("NewImage").expect("an image");
        image["op"] = json!({ "S": "delete" });
        change.insert("OldImage".to_owned(), image);
        tombstone_ends["eventName"] = json!("REMOVE");
        assert_eq!(of(&tombstone_ends), "delete");
        assert_eq!(of(&malformed("1")), "unknown");
    }

    #[tokio::test]
    async fn an_empty_batch_is_done() {
        assert_eq!(World::new().process(&[]).await, None);
    }

    #[tokio::test]
    async fn the_lowest_failed_record_is_the_checkpoint() {
        let world = World::new();
        world.bus.fail_on("\"b\"", unavailable());
        world.bus.fail_on("\"c\"", unavailable());
        // Numbers, not texts: 9 comes before 10.
        let batch = [record("8", "a"), record("9", "b"), record("10", "c"), record("11", "d")];
        assert_eq!(world.process(&batch).await.as_deref(), Some("9"));
        world.bus.recover();
        assert_eq!(world.process(&batch[1..]).await, None);
        assert_eq!(world.keys(), ["a", "b", "c", "d"]);
    }

    #[tokio::test]
    async fn a_batch_out_of_order_still_has_its_lowest_checkpoint() {
        let world = World::new();
        world.bus.fail_on("\"x\"", unavailable());
        assert_eq!(
            world.process(&[record("30", "x"), record("7", "x"), record("12", "y")]).await.as_deref(),
            Some("7")
        );
    }

    #[tokio::test]
    async fn poison_becomes_a_dead_letter_with_its_body() {
        let world = World::new();
        assert_eq!(world.process(&[record("1", "a"), malformed("2"), record("3", "b")]).await, None);
        assert_eq!(world.keys(), ["a", "b"]);
        let letter = &world.dead_letters.kept()[0];
        assert_eq!((letter.position.as_str(), letter.error_class.as_str()), ("2", "undecodable"));
        assert_eq!(serde_json::from_str::<Value>(letter.record.as_str()).expect("JSON"), malformed("2"));
        assert_eq!(world.outcomes()[1], Outcome::DeadLettered("undecodable"));
    }

    #[tokio::test]
    async fn a_panic_costs_only_its_record() {
        let world = World::new();
        assert_eq!(world.process(&[record("1", "a"), record("2", "panic"), record("3", "b")]).await, None);
        assert_eq!(world.keys(), ["a", "b"]);
        assert_eq!(world.dead(), [("2".to_owned(), "panic".to_owned())]);
        assert!(world.dead_letters.kept()[0].message.contains("told to panic"));
    }

    #[tokio::test]
    async fn an_event_that_the_bus_refuses_becomes_a_dead_letter() {
        let world = World::new();
        world.bus.fail_on("\"b\"", PublishError::TooLarge { bytes: 2_000_000 });
        assert_eq!(world.process(&[record("1", "a"), record("2", "b"), record("3", "c")]).await, None);
        assert_eq!(world.dead(), [("2".to_owned(), "event_too_large".to_owned())]);
        assert!(world.dead_letters.kept()[0].trace.is_some());
    }

    #[tokio::test]
    async fn a_dead_letter_that_cannot_be_stored_keeps_its_record() {
        let world = World::new();
        world.dead_letters.set_broken(true);
        let batch = [record("1", "a"), malformed("2"), record("3", "b")];
        assert_eq!(world.process(&batch).await.as_deref(), Some("2"));
        world.dead_letters.set_broken(false);
        assert_eq!(world.process(&batch[1..]).await, None);
        assert_eq!(world.dead().len(), 1);
    }

    #[tokio::test]
    async fn poison_behind_the_checkpoint_waits_for_the_redelivery() {
        let world = World::new();
        world.bus.fail_on("\"b\"", unavailable());
        let batch = [malformed("1"), record("2", "b"), malformed("3")];
        assert_eq!(world.process(&batch).await.as_deref(), Some("2"));
        assert_eq!(world.dead(), [("1".to_owned(), "undecodable".to_owned())]);
        world.bus.recover();
        assert_eq!(world.process(&batch[1..]).await, None);
        assert_eq!(world.dead().len(), 2, "each once");
    }

    #[tokio::test]
    async fn a_record_without_a_sequence_number_falls_back_to_the_one_before() {
        let world = World::new();
        world.dead_letters.set_broken(true);
        let nameless = || json!({ "no": "sequence number" });
        assert_eq!(world.process(&[record("5", "a"), nameless()]).await.as_deref(), Some("5"));
        assert_eq!(world.process(&[nameless(), record("5", "a")]).await.as_deref(), Some(""), "the whole batch");
    }

    #[tokio::test]
    async fn nothing_is_done_after_the_deadline() {
        let world = World { time_left: Duration::ZERO, ..World::new() };
        assert_eq!(world.process(&[record("4", "a"), record("5", "b")]).await.as_deref(), Some("4"));
        assert!(world.keys().is_empty());
    }

    #[test]
    fn the_answer_has_the_form_that_lambda_reads() {
        let text = |response: &BatchResponse| serde_json::to_string(response).expect("serialises");
        assert_eq!(text(&BatchResponse::default()), r#"{"batchItemFailures":[]}"#);
        let failed = BatchResponse::from(Some(Place("7".to_owned())));
        assert_eq!(text(&failed), r#"{"batchItemFailures":[{"itemIdentifier":"7"}]}"#);
    }

    #[test]
    fn the_stop_lies_before_the_deadline() {
        let soon = SystemTime::now() + Duration::from_secs(10);
        let stop = stop_before(soon, Duration::from_secs(2)).saturating_duration_since(Instant::now());
        assert!(stop > Duration::from_secs(7) && stop <= Duration::from_secs(8), "{stop:?}");
        assert!(stop_before(SystemTime::UNIX_EPOCH, Duration::from_secs(2)) <= Instant::now());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "[a-zA-Z:/|0-9-]{0,12}".prop_map(Value::from),
        ];
        let name = prop_oneof![
            Just("dynamodb"),
            Just("NewImage"),
            Just("OldImage"),
            Just("Keys"),
            Just("SequenceNumber"),
            Just("eventName"),
            Just("eventSourceARN"),
            Just("S"),
            Just("N"),
            Just("M"),
            Just("pk"),
            Just("ver"),
            Just("data"),
            Just("trace"),
        ];
        leaf.prop_recursive(5, 48, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::vec((name.clone(), inner), 0..6).prop_map(|pairs| Value::from_iter(
                    pairs.into_iter().map(|(name, value)| (name.to_owned(), value))
                )),
            ]
        })
    }

    /// A good record with one value anywhere in it replaced.
    fn damaged_record() -> impl Strategy<Value = Value> {
        (any_json(), any::<prop::sample::Index>()).prop_map(|(value, index)| {
            let mut record = record("5", "a");
            let mut pointers = Vec::new();
            collect(&record, String::new(), &mut pointers);
            *record.pointer_mut(&pointers[index.index(pointers.len())]).expect("it was there") = value;
            record
        })
    }

    fn collect(value: &Value, at: String, pointers: &mut Vec<String>) {
        if let Value::Object(map) = value {
            map.iter().for_each(|(name, value)| collect(value, format!("{at}/{name}"), pointers));
        }
        pointers.push(at);
    }

    proptest! {
        /// Whatever a record is, it is decided on without a panic, and none is lost.
        #[test]
        fn any_record_has_a_fate(record in prop_oneof![any_json(), damaged_record()]) {
            let (_, state) = read_one(&record.to_string(), &Program::default());
            let caught = matches!(&state, State::Poisoned(poison) if poison.class == "panic");
            prop_assert!(!caught, "the mapping panicked on {record}");
        }

        #[test]
        fn places_are_ordered_as_numbers(a in any::<u128>(), b in any::<u128>()) {
            prop_assert_eq!(Place(a.to_string()).cmp(&Place(b.to_string())), a.cmp(&b));
        }
    }
}
