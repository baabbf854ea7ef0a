//! One batch of a DynamoDB stream, from Lambda's JSON to the partial-batch answer.
//!
//! Every function that reads the tables' streams goes through [`process`], so that the promise is kept in one place:
//! **a record is done only when every bus of the function accepted its event or put it aside, there was nothing to tell, or it
//! lies in the dead-letter queue.**
//! Everything from the lowest record that is not done onwards is delivered again by Lambda, so a program must be safe to
//! repeat, and what was not tried yet may be left alone.
//!
//! - Records are taken as raw JSON and decoded one by one. Lambda's own event types would refuse the whole batch because
//!   of one malformed record, lose its body, and read numbers as floating point. A record here keeps its exact text for
//!   the dead letter, compressed when it is too large for a queue.
//! - A panic while a record is decoded or mapped is that record's fault and makes it a dead letter. The functions are
//!   therefore built to unwind; aborting would take the whole batch down with it.
//! - A function has one bus or more (the router has one for each peer region). They are sent to side by side, and they share
//!   one checkpoint: while a bus answers that it didn't take an event, the checkpoint stands still, and the others get the
//!   same records again with each delivery, under the same event ids. A bus that can put events aside answers that it did
//!   ([`Taken::Parked`]), and the records are done.
//! - What a record means is the program's business ([`StreamProgram`]); retries, bisecting and the failure destination
//!   belong to the event source mapping.

use crate::batch::{Origin, bury};
use crate::dead_letters::SendDeadLetters;
use crate::publisher::{Answer, OutgoingEvent, PublishError, PublishEvents, Taken};
use contracts::Region;
use events::dead_letter::{PANIC, caught};
use events::domain::Skip;
use events::row::names;
use events::stream::{Record, sequence_number_of};
use events::{AttributeValue, Correlation, Operation, Timestamp, Trace};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::error::Error;
use std::io::Write;
use std::time::Duration;
use telemetry::invocation::Ending;
use tokio::time::Instant;

pub use crate::batch::{BatchResponse, Delivery, Outcome, Poison, Run, stop_before};

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

/// What starts a function that reads streams and has a schedule besides.
#[derive(Debug)]
pub enum Work {
    /// Records of a stream.
    Batch(Batch),
    /// The schedule.
    Schedule,
}

impl<'de> Deserialize<'de> for Work {
    /// Records make a batch; EventBridge Scheduler says that it is the source. Anything else is refused: a batch that was
    /// taken for something else would be lost.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Event {
            #[serde(rename = "Records")]
            records: Option<Vec<Box<RawValue>>>,
            source: Option<String>,
        }
        let event = Event::deserialize(deserializer)?;
        match (event.records, event.source.as_deref()) {
            (Some(records), _) => Ok(Self::Batch(Batch { records })),
            (None, Some("aws.scheduler")) => Ok(Self::Schedule),
            (None, _) => Err(serde::de::Error::custom("the event has neither records nor the scheduler as its source")),
        }
    }
}

/// What a function does with one record.
pub trait StreamProgram: Sync {
    /// Says what is to be done with `record`. Must not wait or do I/O; a panic makes the record a dead letter.
    ///
    /// # Errors
    /// When the record can never be handled.
    fn plan(&self, record: &Record) -> Result<Plan, Poison>;

    /// Is told what became of each record at each bus, once an invocation; for metrics. `bus` is the bus's place among
    /// the function's buses.
    fn settled(&self, subject: &Subject, bus: usize, outcome: Outcome);
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
    /// The event as each bus gets it, in the order of the function's buses. A bus without one is not asked, and the record
    /// is then never done.
    pub events: Vec<OutgoingEvent>,
    /// When the source committed the change.
    pub committed_at: Timestamp,
    /// Where the change came from; goes into the dead letter if the bus refuses the event.
    pub trace: Trace,
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
    /// The buses that it publishes to.
    pub buses: Vec<P>,
    /// Where records go that it can't handle.
    pub dead_letters: D,
}

impl<S: StreamProgram, P: PublishEvents, D: SendDeadLetters> Function<S, P, D> {
    /// Handles one batch and measures the invocation. `metrics` is stdout in Lambda.
    pub async fn handle(&self, batch: Batch, delivery: Delivery<'_>, metrics: &mut impl Write) -> BatchResponse {
        let measured = telemetry::invocation::Invocation::begin(delivery.function);
        let run = Run {
            program: self.name,
            program_version: self.version,
            region: self.region.clone(),
            request_id: delivery.request_id.to_owned(),
            xray_trace_id: delivery.xray_trace_id.map(ToOwned::to_owned),
            deadline: stop_before(delivery.deadline, self.deadline_margin),
        };
        let response = process(batch, &self.program, &self.buses, &self.dead_letters, &run).await;
        measured.end(if response.is_complete() { Ending::Complete } else { Ending::PartialBatch }, metrics);
        response
    }
}

/// Handles one batch and answers from where on Lambda must deliver again.
pub async fn process(
    batch: Batch,
    program: &impl StreamProgram,
    buses: &[impl PublishEvents],
    dead_letters: &impl SendDeadLetters,
    run: &Run,
) -> BatchResponse {
    let first_seen = Timestamp::now();
    let mut items = read(batch, program);
    publish(&mut items, buses, run.deadline).await;
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
        let (source, position) = (source_of(&item.body), sequence_number_of(item.body.get()));
        // A stream doesn't say how often it has delivered a record: it was tried once in this run.
        let origin = Origin { source, position, attempts: 1, first_seen, correlation: item.correlation };
        let letter = run.dead_letter(poison, origin, item.body.get());
        item.state = match bury(&letter, item.correlation, dead_letters, run.deadline).await {
            Ok(()) => State::DeadLettered(poison.class),
            Err(reason) => State::Failed(reason),
        };
        if matches!(item.state, State::Failed(_)) {
            lowest = Some(item.place.clone());
        }
    }
    report(&items, program, buses.len(), lowest.as_ref(), run);
    BatchResponse::again(lowest.map(|place| place.0))
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
    /// By what the record is found in logs. Each has its own: a batch holds records of many traces.
    correlation: Correlation,
    state: State,
    /// What each bus answered, if the event was sent.
    answers: Vec<Answer>,
}

impl Item {
    /// What became of the record as seen from one bus.
    fn outcome_at(&self, bus: usize) -> Outcome {
        match self.answers.get(bus) {
            Some(Ok(Taken::Sent)) => Outcome::Published,
            Some(Ok(Taken::Parked)) => Outcome::Parked,
            Some(Err(error)) if !error.is_poison() => Outcome::Failed(error.class()),
            _ => self.outcome(),
        }
    }

    fn outcome(&self) -> Outcome {
        match &self.state {
            State::Published if self.answers.contains(&Ok(Taken::Parked)) => Outcome::Parked,
            State::Published => Outcome::Published,
            State::Skipped(reason) => Outcome::Skipped(reason),
            State::DeadLettered(class) => Outcome::DeadLettered(class),
            State::Failed(class) => Outcome::Failed(class),
            // Neither outlives `publish` and the loop over the dead letters.
            State::Planned(_) | State::Poisoned(_) => Outcome::Failed("unsettled"),
        }
    }
}

enum State {
    Planned(Box<Publication>),
    Published,
    Skipped(&'static str),
    Poisoned(Poison),
    DeadLettered(&'static str),
    Failed(&'static str),
}

impl State {
    /// Takes the publication out. What is left says that it was never settled, until it is.
    fn take_planned(&mut self) -> Option<Box<Publication>> {
        match std::mem::replace(self, State::Failed("unsettled")) {
            State::Planned(publication) => Some(publication),
            other => {
                *self = other;
                None
            }
        }
    }
}

fn read(batch: Batch, program: &impl StreamProgram) -> Vec<Item> {
    let mut place = Place(String::new());
    let items = batch.records.into_iter().map(|body| {
        let Read { subject, correlation, sequence_number, state } = read_one(body.get(), program);
        // A record that can't be decoded may still have a readable place.
        if let Some(sequence_number) = sequence_number.or_else(|| sequence_number_of(body.get())) {
            place = Place(sequence_number);
        }
        Item { body, place: place.clone(), subject, correlation, state, answers: Vec::new() }
    });
    items.collect()
}

/// What could be read of a record, and what is to be done with it.
struct Read {
    subject: Subject,
    correlation: Correlation,
    sequence_number: Option<String>,
    state: State,
}

fn read_one(body: &str, program: &impl StreamProgram) -> Read {
    let mut subject = Subject { entity: "unknown", operation: "unknown", committed_at: None };
    let mut correlation = Correlation::default();
    let mut sequence_number = None;
    let read = caught(|| {
        let record: Record = serde_json::from_str(body).map_err(|error| Poison::because("undecodable", &error))?;
        subject.entity = record.entity().map_or("unknown", |entity| entity.as_str());
        subject.operation = operation(&record);
        sequence_number = Some(record.sequence_number().to_owned());
        correlation = Correlation::of_record(&record);
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
    Read { subject, correlation, sequence_number, state }
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

async fn publish(items: &mut [Item], buses: &[impl PublishEvents], deadline: Instant) {
    let planned: Vec<(usize, Box<Publication>)> = items
        .iter_mut()
        .enumerate()
        .filter_map(|(index, item)| item.state.take_planned().map(|publication| (index, publication)))
        .collect();
    if planned.is_empty() {
        return;
    }
    let calls = buses.iter().enumerate().map(async |(bus, publisher)| {
        // A record whose program planned too few events ends the list: what follows it must not be sent in its place.
        let events: Vec<_> = planned.iter().map_while(|(_, publication)| publication.events.get(bus)).collect();
        publisher.publish(&events, deadline).await
    });
    let answers = futures::future::join_all(calls).await;
    // A port that answers too little must not make a record look done.
    let mut answers: Vec<_> = answers.into_iter().map(|of_bus| of_bus.into_iter().fuse()).collect();
    for (index, publication) in planned {
        let item = &mut items[index];
        item.answers = answers.iter_mut().map(|of_bus| of_bus.next().unwrap_or(Err(PublishError::HeldBack))).collect();
        item.state = settle(&item.answers, publication.trace, &item.place, item.correlation);
    }
}

/// What the answers of all buses mean together. A failure that may pass counts more than poison: the record is delivered
/// again, and the poison shows itself again.
fn settle(answers: &[Answer], trace: Trace, place: &Place, correlation: Correlation) -> State {
    let errors = || answers.iter().filter_map(|answer| answer.as_ref().err());
    if let Some(error) = errors().find(|error| !error.is_poison()) {
        tracing::warn!(
            error = error as &dyn Error,
            position = place.0,
            event_id = correlation.event_id.map(display),
            trace_id = correlation.trace_id().map(display),
            "event was not published"
        );
        return State::Failed(error.class());
    }
    match errors().next() {
        Some(error) => {
            State::Poisoned(Poison { trace: Some(Box::new(trace)), ..Poison::because(error.class(), error) })
        }
        None if answers.is_empty() => State::Failed("no_bus"),
        None => State::Published,
    }
}

/// The stream that a record came from, if it says so.
fn source_of(body: &RawValue) -> Option<String> {
    #[derive(Deserialize)]
    struct Source {
        #[serde(rename = "eventSourceARN")]
        stream: String,
    }
    serde_json::from_str::<Source>(body.get()).ok().map(|source| source.stream)
}

fn report(items: &[Item], program: &impl StreamProgram, buses: usize, lowest: Option<&Place>, run: &Run) {
    let (mut published, mut parked, mut skipped, mut dead, mut failed) = (0, 0, 0, 0, 0);
    for item in items {
        *match item.outcome() {
            Outcome::Published => &mut published,
            Outcome::Parked => &mut parked,
            Outcome::Skipped(_) => &mut skipped,
            Outcome::DeadLettered(_) => &mut dead,
            Outcome::Failed(_) => &mut failed,
        } += 1;
        for bus in 0..buses {
            program.settled(&item.subject, bus, item.outcome_at(bus));
        }
    }
    let deliver_again_from = lowest.map(|place| place.0.as_str());
    tracing::info!(
        request_id = run.request_id,
        xray_trace_id = run.xray_trace_id,
        records = items.len(),
        published,
        parked,
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
    use crate::testing::{logged, region, row_write};
    use events::{DomainEvent, Item as RowItem, RowChange, domain};
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::sync::Mutex;

    /// Publishes domain events; panics on keys with `panic`; remembers what it was told.
    struct Program {
        buses: usize,
        outcomes: Mutex<Vec<(usize, Outcome)>>,
    }

    impl Default for Program {
        fn default() -> Self {
            Self { buses: 1, outcomes: Mutex::default() }
        }
    }

    impl StreamProgram for Program {
        fn plan(&self, record: &Record) -> Result<Plan, Poison> {
            let mapped = DomainEvent::from_record(record, &region("us-west-2"));
            match mapped.map_err(|error| Poison::because(error.class(), &error))? {
                domain::Mapped::Skipped(skip) => Ok(Plan::Skip(skip)),
                domain::Mapped::Event(event) => {
                    assert!(!event.key.as_str().contains("panic"), "told to panic");
                    Ok(Plan::Publish(Box::new(Publication {
                        events: vec![OutgoingEvent::domain(&event); self.buses],
                        committed_at: event.timestamp,
                        trace: event.trace,
                    })))
                }
            }
        }

        fn settled(&self, _: &Subject, bus: usize, outcome: Outcome) {
            self.outcomes.lock().expect("not poisoned").push((bus, outcome));
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

    const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn traced(mut record: Value) -> Value {
        record["dynamodb"]["NewImage"]["traceparent"] = json!({ "S": TRACEPARENT });
        record
    }

    fn event_id() -> String {
        image("any")["event_id"].as_text().expect("text").to_owned()
    }

    fn malformed(sequence_number: &str) -> Value {
        json!({ "eventName": "EXPLODE", "dynamodb": { "SequenceNumber": sequence_number }, "kept": "9007199254740993" })
    }

    struct World {
        program: Program,
        bus: FakeBus,
        second_bus: Option<FakeBus>,
        dead_letters: FakeDeadLetters,
        time_left: Duration,
    }

    impl World {
        fn new() -> Self {
            Self {
                program: Program::default(),
                bus: FakeBus::default(),
                second_bus: None,
                dead_letters: FakeDeadLetters::default(),
                time_left: Duration::from_secs(30),
            }
        }

        fn with_two_buses() -> Self {
            let program = Program { buses: 2, ..Program::default() };
            Self { program, second_bus: Some(FakeBus::default()), ..Self::new() }
        }

        fn second_bus(&self) -> &FakeBus {
            self.second_bus.as_ref().expect("a world with two buses")
        }

        async fn process(&self, records: &[Value]) -> Option<String> {
            let batch = serde_json::from_str(&json!({ "Records": records }).to_string()).expect("a batch");
            let run = Run {
                program: "test",
                program_version: "0.0.0",
                region: region("us-west-2"),
                request_id: "request-1".to_owned(),
                xray_trace_id: Some("Root=1-0-0".to_owned()),
                deadline: Instant::now() + self.time_left,
            };
            let buses: Vec<&FakeBus> = [&self.bus].into_iter().chain(&self.second_bus).collect();
            let response = process(batch, &self.program, &buses, &self.dead_letters, &run).await;
            response.deliver_again_from().map(ToOwned::to_owned)
        }

        fn keys(&self) -> Vec<String> {
            Self::keys_at(&self.bus)
        }

        fn keys_at(bus: &FakeBus) -> Vec<String> {
            let key = |event: &OutgoingEvent| {
                serde_json::from_str::<Value>(event.detail()).expect("JSON")["key"].as_str().expect("text").to_owned()
            };
            bus.accepted().iter().map(key).collect()
        }

        fn dead(&self) -> Vec<(String, String)> {
            self.dead_letters.kept().into_iter().map(|letter| (letter.position, letter.error_class)).collect()
        }

        fn outcomes(&self) -> Vec<Outcome> {
            self.outcomes_at(0)
        }

        fn outcomes_at(&self, bus: usize) -> Vec<Outcome> {
            let outcomes = self.program.outcomes.lock().expect("not poisoned");
            outcomes.iter().filter(|(at, _)| *at == bus).map(|(_, outcome)| *outcome).collect()
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
        let of = |record: &Value| read_one(&record.to_string(), &Program::default()).subject.operation;
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
    async fn every_bus_gets_every_event() {
        let world = World::with_two_buses();
        assert_eq!(world.process(&[record("9", "a"), record("10", "b")]).await, None);
        assert_eq!(world.keys(), ["a", "b"]);
        assert_eq!(World::keys_at(world.second_bus()), ["a", "b"]);
        assert_eq!(world.outcomes_at(1), [Outcome::Published; 2]);
    }

    #[tokio::test]
    async fn a_record_is_done_when_all_buses_took_it() {
        let world = World::with_two_buses();
        world.bus.fail_on("\"c\"", unavailable());
        world.second_bus().fail_on("\"b\"", unavailable());
        let batch = [record("8", "a"), record("9", "b"), record("10", "c")];
        assert_eq!(world.process(&batch).await.as_deref(), Some("9"));
        assert_eq!(world.keys(), ["a", "b"]);
        assert_eq!(World::keys_at(world.second_bus()), ["a"]);
        let failed = Outcome::Failed("publish_unavailable");
        assert_eq!(world.outcomes_at(0), [Outcome::Published, Outcome::Published, failed]);
        assert_eq!(world.outcomes_at(1), [Outcome::Published, failed, Outcome::Failed("held_back")]);
        world.bus.recover();
        world.second_bus().recover();
        assert_eq!(world.process(&batch[1..]).await, None);
        assert_eq!(world.keys(), ["a", "b", "b", "c"], "the repeat has the same event id");
        assert_eq!(World::keys_at(world.second_bus()), ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn what_one_bus_refuses_is_a_dead_letter_once_the_other_is_well() {
        for refusing in [0, 1] {
            let world = World::with_two_buses();
            let buses = [&world.bus, world.second_bus()];
            buses[refusing].fail_on("", PublishError::TooLarge { bytes: 2_000_000 });
            buses[1 - refusing].fail_on("", unavailable());
            assert_eq!(world.process(&[record("1", "a")]).await.as_deref(), Some("1"));
            assert!(world.dead().is_empty(), "it is delivered again");
            buses[1 - refusing].recover();
            assert_eq!(world.process(&[record("1", "a")]).await, None);
            assert_eq!(world.dead(), [("1".to_owned(), "event_too_large".to_owned())]);
            assert_eq!(world.outcomes_at(1 - refusing)[1], Outcome::Published);
            assert_eq!(world.outcomes_at(refusing)[1], Outcome::DeadLettered("event_too_large"));
        }
    }

    #[tokio::test]
    async fn a_bus_without_an_event_leaves_the_record_undone() {
        let program = Program { buses: 1, ..Program::default() };
        let world = World { program, ..World::with_two_buses() };
        assert_eq!(world.process(&[record("1", "a")]).await.as_deref(), Some("1"));
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

    /// A batch holds records of many traces: each error names that of its own record.
    #[tokio::test]
    async fn errors_name_the_trace_of_their_record() {
        let world = World::new();
        world.bus.fail_on("\"large\"", PublishError::TooLarge { bytes: 2_000_000 });
        world.bus.fail_on("\"late\"", unavailable());
        let mut broken = traced(record("3", "c"));
        broken["dynamodb"]["NewImage"]["ver"] = json!({ "S": "none" });
        let batch = [record("1", "a"), traced(record("2", "large")), broken, malformed("4"), record("5", "late")];
        let (again, log) = logged(world.process(&batch)).await;
        assert_eq!(again.as_deref(), Some("5"));
        let told: Vec<Value> = log
            .iter()
            .filter(|line| line.get("position").is_some())
            .map(|line| json!([line["message"], line["position"], line["event_id"], line["trace_id"]]))
            .collect();
        let (late, buried) = ("event was not published", "record went to the dead-letter queue");
        let (id, came_in) = (event_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let expected = [
            json!([late, "5", id, id.replace('-', "")]),
            json!([buried, "2", id, came_in]),
            json!([buried, "3", id, came_in]),
            json!([buried, "4", null, null]),
        ];
        assert_eq!(told, expected);
        let handled = log.last().expect("a line");
        assert_eq!((&handled["message"], &handled["xray_trace_id"]), (&json!("batch handled"), &json!("Root=1-0-0")));
        assert!(handled.get("trace_id").is_none(), "a batch has none");
    }

    #[tokio::test]
    async fn dead_letters_name_the_trace_of_their_record() {
        let world = World::new();
        world.bus.fail_on("", PublishError::TooLarge { bytes: 2_000_000 });
        assert_eq!(world.process(&[traced(record("1", "a")), record("2", "b"), malformed("3")]).await, None);
        let letters = world.dead_letters.kept();
        let told: Vec<Value> = letters.iter().map(|letter| json!([letter.trace_id, letter.traceparent])).collect();
        let derived = event_id().replace('-', "");
        assert_eq!(told, [json!([TRACEPARENT[3..35], TRACEPARENT]), json!([derived, null]), json!([null, null])]);
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
            let Read { state, .. } = read_one(&record.to_string(), &Program::default());
            let caught = matches!(&state, State::Poisoned(poison) if poison.class == "panic");
            prop_assert!(!caught, "the mapping panicked on {record}");
        }

        #[test]
        fn places_are_ordered_as_numbers(a in any::<u128>(), b in any::<u128>()) {
            prop_assert_eq!(Place(a.to_string()).cmp(&Place(b.to_string())), a.cmp(&b));
        }
    }
}
