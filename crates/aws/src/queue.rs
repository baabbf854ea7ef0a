//! One batch of an SQS queue, from Lambda's JSON to the partial-batch answer.
//!
//! The promise is the same as for streams: **a message is done only when its event was accepted, or the same was published
//! before, or it lies in the dead-letter queue of the function.** Every other message is named in the answer, returns to the
//! queue and is delivered again, until the queue's own redrive policy moves it away with its body. Messages have no order,
//! so one that is refused holds nobody back; while the bus itself is in trouble, the publisher begins nothing new.
//!
//! - What a message asks for is done once, as far as its program names it ([`Planned::wanted`]): it is claimed before it is
//!   published and completed after ([`crate::idempotency`]). What was done before is done; what somebody else is at comes
//!   again; and while claims can't be made nothing of it is published, because the queue keeps it.
//! - A claim is given back only when the bus surely doesn't have the event. Otherwise its lease ends by itself, before the
//!   queue delivers the message again: then the same content takes it over, and another one under the key is still refused.
//! - A panic while a message is looked at fails that message only.
//! - No message is looked at after the deadline, which leaves time for the answer.
//! - What a message means is the program's business ([`QueueProgram`]).

use crate::batch::{Delivery, Origin, Outcome, Poison, Run, bury, stop_before};
use crate::dead_letters::SendDeadLetters;
use crate::idempotency::{Claim, Claimed, Idempotency, Owner, Records, ResultHash, Work};
use crate::publisher::{OutgoingEvent, PublishError, PublishEvents, Taken};
use contracts::Region;
use events::dead_letter::{PANIC, caught};
use events::{Correlation, Timestamp, TraceParent};
use futures::stream::{self, StreamExt};
use serde::{Deserialize, Deserializer};
use std::error::Error;
use std::io::Write;
use std::time::{Duration, SystemTime};
use telemetry::invocation::Ending;
use tokio::time::{Instant, timeout_at};
use tracing::field::display;

pub use crate::batch::BatchResponse;

/// What Lambda hands over: messages of one queue.
#[derive(Debug, Deserialize)]
pub struct Batch {
    #[serde(rename = "Records")]
    messages: Vec<Message>,
}

/// One message. What Lambda tells besides isn't read.
#[derive(Clone, Debug, Deserialize)]
pub struct Message {
    /// SQS's id of the message.
    #[serde(rename = "messageId")]
    pub id: String,
    /// What was sent.
    pub body: String,
    /// The queue.
    #[serde(rename = "eventSourceARN")]
    pub queue_arn: String,
    /// What the queue says about earlier deliveries.
    #[serde(default)]
    pub attributes: Attributes,
}

impl Message {
    /// By what the message is found in logs before its body is read.
    fn correlation(&self) -> Correlation {
        Correlation { event_id: None, traceparent: self.attributes.traceparent }
    }
}

/// What a queue says about the deliveries of a message, this one included, and about its trace (SQS API reference,
/// `ReceiveMessage`, read 2026-11).
///
/// The numbers come as texts. One that is missing or can't be read is no reason to refuse a message.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Attributes {
    #[serde(default, rename = "ApproximateReceiveCount")]
    receive_count: Option<String>,
    #[serde(default, rename = "ApproximateFirstReceiveTimestamp")]
    first_receive_timestamp: Option<String>,
    /// The trace context that the message came with.
    #[serde(default, rename = "AWSTraceHeader", deserialize_with = "from_trace_header")]
    pub traceparent: Option<TraceParent>,
}

/// Reads X-Ray's header. One that can't be read is as good as none; it is counted here, which is once a delivery.
fn from_trace_header<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TraceParent>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let traceparent = TraceParent::from_xray(&text);
    Ok(traceparent.inspect_err(|_| telemetry::TRACE_CONTEXTS_IGNORED_TOTAL.inc(&["queue"])).ok())
}

impl Attributes {
    /// How often the message was delivered, at least 1.
    fn deliveries(&self) -> u32 {
        self.receive_count.as_ref().and_then(|text| text.parse().ok()).map_or(1, |count: u32| count.max(1))
    }

    /// When the message was first delivered, if the queue says so.
    fn first_delivered(&self) -> Option<Timestamp> {
        let millis = self.first_receive_timestamp.as_ref()?.parse().ok()?;
        Timestamp::from_millisecond(millis).ok()
    }
}

/// The reason of a message that asks for what was done before.
pub const DUPLICATE: &str = "duplicate";

/// Claims and completions of a batch that are on their way at the same time: as many as a batch of a queue usually has
/// messages.
const CLAIMS_IN_FLIGHT: usize = 10;

/// The longest that an invocation lasts, and so a lease: no deadline, however wrong, locks an id for longer
/// (Lambda quotas, "Function timeout", read 2026-11).
const LONGEST_INVOCATION: Duration = Duration::from_secs(900);

/// What a program makes of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned<N> {
    /// The event to publish.
    pub event: OutgoingEvent,
    /// What the program wants to know again when the message is settled.
    pub note: N,
    /// How often.
    pub wanted: Wanted,
}

/// How often an event is to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Each time that it comes: nothing is remembered of it.
    EachTime,
    /// Once.
    Once(Work),
    /// Once more, also when it was published before. Another content under the key is refused all the same, and what
    /// somebody else is at comes again.
    OnceMore(Work),
}

impl Wanted {
    /// What is to be claimed.
    fn work(&self) -> Option<&Work> {
        match self {
            Self::EachTime => None,
            Self::Once(work) | Self::OnceMore(work) => Some(work),
        }
    }
}

/// What a function does with one message.
pub trait QueueProgram: Sync {
    /// What the program wants to know again when a message is settled.
    type Note: Send;

    /// Says what to do for a message. Must not wait or do I/O; a panic fails the message.
    ///
    /// # Errors
    /// When the message can never be handled.
    fn plan(&self, message: &Message) -> Result<Planned<Self::Note>, Poison>;

    /// Says what to publish instead when the key of the message's work stands for another content. That isn't claimed.
    /// Must not wait or do I/O; a panic fails the message.
    ///
    /// # Errors
    /// When the message can never be handled.
    fn plan_mismatch(&self, message: &Message) -> Result<(OutgoingEvent, Self::Note), Poison>;

    /// Is told what became of each message, once a run, with the note on the event that was planned for it; for metrics.
    fn settled(&self, note: Option<&Self::Note>, outcome: Outcome);
}

/// A function that reads a queue: its program over its ports.
#[derive(Debug)]
pub struct Function<S, P, D, R> {
    /// The function's name, for dead letters.
    pub name: &'static str,
    /// Its version, for dead letters.
    pub version: &'static str,
    /// The region it runs in.
    pub region: Region,
    /// How long before Lambda's deadline work stops, which leaves time for settling claims and for the answer.
    pub deadline_margin: Duration,
    /// What it does with a message.
    pub program: S,
    /// The bus that it publishes to.
    pub publisher: P,
    /// Where messages go that it can't handle.
    pub dead_letters: D,
    /// What was already done.
    pub idempotency: Idempotency<R>,
}

impl<S: QueueProgram, P: PublishEvents, D: SendDeadLetters, R: Records> Function<S, P, D, R> {
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
        let response = self.process(batch, &run, delivery.deadline).await;
        measured.end(if response.is_complete() { Ending::Complete } else { Ending::PartialBatch }, metrics);
        response
    }

    async fn process(&self, batch: Batch, run: &Run, lease_until: SystemTime) -> BatchResponse {
        let now = Timestamp::now();
        let deadline = run.deadline;
        let mut items: Vec<Item<S::Note>> =
            batch.messages.into_iter().map(|message| self.plan(message, deadline)).collect();
        self.claim(&mut items, run, lease_until).await;
        self.publish(&mut items, deadline).await;
        for item in &mut items {
            let State::Poisoned(poison) = &item.state else { continue };
            let Message { id, body, queue_arn, attributes } = &item.message;
            let correlation = item.correlation();
            let origin = Origin {
                source: Some(queue_arn.clone()),
                position: Some(id.clone()),
                attempts: attributes.deliveries(),
                first_seen: attributes.first_delivered().unwrap_or(now),
                correlation,
            };
            let letter = run.dead_letter(poison, origin, body);
            item.state = State::Settled(match bury(&letter, correlation, &self.dead_letters, deadline).await {
                Ok(()) => Outcome::DeadLettered(poison.class),
                Err(reason) => Outcome::Failed(reason),
            });
        }
        // Some of the margin is for this: what was published up to the last moment should still be remembered.
        self.settle_claims(&mut items, deadline + self.deadline_margin / 2).await;
        settle_repeats(&mut items);
        self.report(&items, run);
        let failed = items.into_iter().filter(|item| matches!(item.outcome(), Outcome::Failed(_)));
        BatchResponse::again(failed.map(|item| item.message.id))
    }

    fn plan(&self, message: Message, deadline: Instant) -> Item<S::Note> {
        if Instant::now() >= deadline {
            return Item::new(message, None, State::Settled(Outcome::Failed("out_of_time")));
        }
        let (planned, state) = match caught(|| self.program.plan(&message)) {
            Ok(Ok(planned)) => (Some(planned), State::Planned),
            Ok(Err(poison)) => (None, State::Poisoned(poison)),
            Err(reason) => (None, panicked(&message, &reason)),
        };
        Item::new(message, planned, state)
    }

    /// Claims what is to be done once, side by side.
    async fn claim(&self, items: &mut [Item<S::Note>], run: &Run, lease_until: SystemTime) {
        let wanted: Vec<(usize, Wanted)> = items
            .iter()
            .enumerate()
            .filter_map(|(index, item)| Some((index, item.planned.as_ref()?.wanted.clone())))
            .collect();
        let works: Vec<(usize, &Wanted, &Work)> =
            wanted.iter().filter_map(|(index, wanted)| Some((*index, wanted, wanted.work()?))).collect();
        let first = |wanted: &Wanted| works.iter().find(|(_, other, _)| *other == wanted).map(|(index, ..)| *index);
        let lease_until = lease_until_at_most(lease_until, Timestamp::now());
        let claims = stream::iter(&works).map(async |&(index, wanted, work)| {
            if let Some(first) = first(wanted).filter(|first| *first < index) {
                return (index, Err(State::Repeats(first)));
            }
            let owner = Owner::in_invocation(&run.request_id, index);
            let claim = self.idempotency.claim(work, owner, lease_until, Timestamp::now());
            let claim = timeout_at(run.deadline, claim).await;
            let claim = claim.map_err(|_| {
                count_out_of_time("claim");
                State::Settled(Outcome::Failed("out_of_time"))
            });
            (index, claim)
        });
        let claims: Vec<_> = claims.buffer_unordered(CLAIMS_IN_FLIGHT).collect().await;
        for (index, claim) in claims {
            let item = &mut items[index];
            item.state = match claim {
                Ok(Ok(Claim::Claimed(claimed))) => {
                    if claimed.took_over() {
                        tracing::warn!(position = item.message.id, "work of an owner that is gone is done again");
                    }
                    item.claimed = Some(claimed);
                    State::Planned
                }
                Ok(Ok(Claim::Duplicate(_))) if item.is_wanted_once_more() => State::Planned,
                Ok(Ok(Claim::Duplicate(result))) => {
                    tracing::info!(position = item.message.id, result = result.as_str(), "message was done before");
                    State::Settled(Outcome::Skipped(DUPLICATE))
                }
                Ok(Ok(Claim::InProgress(until))) => {
                    tracing::info!(position = item.message.id, %until, "somebody else is at the message's work");
                    State::Settled(Outcome::Failed("in_progress"))
                }
                Ok(Ok(Claim::Mismatch)) => {
                    let (planned, state) = self.mismatch(&item.message);
                    item.planned = planned;
                    state
                }
                Ok(Err(error)) => {
                    tracing::warn!(error = &error as &dyn Error, position = item.message.id, "message was not claimed");
                    State::Settled(Outcome::Failed(error.class()))
                }
                Err(state) => state,
            };
        }
    }

    fn mismatch(&self, message: &Message) -> (Option<Planned<S::Note>>, State) {
        match caught(|| self.program.plan_mismatch(message)) {
            Ok(Ok((event, note))) => (Some(Planned { event, note, wanted: Wanted::EachTime }), State::Planned),
            Ok(Err(poison)) => (None, State::Poisoned(poison)),
            Err(reason) => (None, panicked(message, &reason)),
        }
    }

    /// Completes what was published and releases what surely wasn't, side by side. Whether that works changes no message's
    /// fate: an event that was published is done, and a claim that stays ends with its lease.
    async fn settle_claims(&self, items: &mut [Item<S::Note>], until: Instant) {
        let settling = stream::iter(items).map(async |item| {
            let Some(claimed) = item.claimed.take() else { return };
            let result = item.result().filter(|_| matches!(item.outcome(), Outcome::Published | Outcome::Parked));
            let now = Timestamp::now();
            let step = if result.is_some() { "complete" } else { "release" };
            let settled = timeout_at(until, async {
                match result {
                    Some(result) => self.idempotency.complete(claimed, result, now).await,
                    None => self.idempotency.release(claimed, now).await,
                }
            });
            match settled.await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(error = &error as &dyn Error, position = item.message.id, "claim was not settled");
                }
                Err(_) => {
                    count_out_of_time(step);
                    tracing::warn!(position = item.message.id, "no time was left to settle a claim");
                }
            }
        });
        settling.buffer_unordered(CLAIMS_IN_FLIGHT).collect::<()>().await;
    }

    async fn publish(&self, items: &mut [Item<S::Note>], deadline: Instant) {
        let is_planned = |item: &Item<S::Note>| matches!(item.state, State::Planned);
        let planned = items.iter().filter(|item| is_planned(item));
        let events: Vec<&OutgoingEvent> =
            planned.filter_map(|item| item.planned.as_ref()).map(|planned| &planned.event).collect();
        if events.is_empty() {
            return;
        }
        let was_late = Instant::now() >= deadline;
        // A port that answers too little must not make a message look done.
        let answers =
            self.publisher.publish(&events, deadline).await.into_iter().map(Some).chain(std::iter::repeat(None));
        for (item, answer) in items.iter_mut().filter(|item| is_planned(item)).zip(answers) {
            // Nothing is begun after the deadline. A message without an answer may have been published.
            let is_unsent = was_late || matches!(&answer, Some(Err(error)) if error.is_surely_unsent());
            item.state = match answer.unwrap_or(Err(PublishError::HeldBack)) {
                Ok(Taken::Sent) => State::Settled(Outcome::Published),
                Ok(Taken::Parked) => State::Settled(Outcome::Parked),
                Err(error) if error.is_poison() => State::Poisoned(Poison::because(error.class(), &error)),
                Err(error) => {
                    // If the bus may have the event, also from an owner before, its key still stands for its content: the
                    // lease ends by itself.
                    item.claimed = item.claimed.take().filter(|claimed| is_unsent && !claimed.took_over());
                    let correlation = item.correlation();
                    tracing::warn!(
                        error = &error as &dyn Error,
                        position = item.message.id,
                        event_id = correlation.event_id.map(display),
                        trace_id = correlation.trace_id().map(display),
                        "event was not published"
                    );
                    State::Settled(Outcome::Failed(error.class()))
                }
            };
        }
    }

    fn report(&self, items: &[Item<S::Note>], run: &Run) {
        let (mut published, mut skipped, mut dead, mut failed) = (0, 0, 0, 0);
        for item in items {
            let outcome = item.outcome();
            *match outcome {
                Outcome::Published | Outcome::Parked => &mut published,
                Outcome::Skipped(_) => &mut skipped,
                Outcome::DeadLettered(_) => &mut dead,
                Outcome::Failed(_) => &mut failed,
            } += 1;
            self.program.settled(item.planned.as_ref().map(|planned| &planned.note), outcome);
        }
        tracing::info!(
            request_id = run.request_id,
            xray_trace_id = run.xray_trace_id,
            messages = items.len(),
            published,
            skipped,
            dead_letters = dead,
            failed,
            "batch handled"
        );
    }
}

/// Messages that ask for the same as another one of their batch have its fate: what is done is done for all of them.
fn settle_repeats<N>(items: &mut [Item<N>]) {
    for index in 0..items.len() {
        let State::Repeats(first) = items[index].state else { continue };
        items[index].state = State::Settled(match items[first].outcome() {
            Outcome::Published | Outcome::Parked | Outcome::Skipped(_) => Outcome::Skipped(DUPLICATE),
            // What the first one was refused for isn't known of this one until it is looked at by itself.
            Outcome::DeadLettered(reason) | Outcome::Failed(reason) => Outcome::Failed(reason),
        });
    }
}

/// The moment from which on nobody of an invocation is at work any more.
fn lease_until_at_most(deadline: SystemTime, now: Timestamp) -> Timestamp {
    let longest = now + LONGEST_INVOCATION;
    Timestamp::try_from(deadline).map_or(longest, |deadline| deadline.min(longest))
}

/// Counts a step that was given up for want of time; what came of it isn't known.
fn count_out_of_time(step: &str) {
    telemetry::IDEMPOTENCY_TOTAL.inc(&[step, "failed"]);
}

fn panicked(message: &Message, reason: &str) -> State {
    let trace_id = message.correlation().trace_id().map(display);
    tracing::error!(position = message.id, reason, trace_id, "message was not handled");
    State::Settled(Outcome::Failed(PANIC))
}

struct Item<N> {
    message: Message,
    planned: Option<Planned<N>>,
    claimed: Option<Claimed>,
    state: State,
}

enum State {
    Planned,
    Poisoned(Poison),
    /// It asks for the same as the message at this place of the batch.
    Repeats(usize),
    Settled(Outcome),
}

impl<N> Item<N> {
    fn new(message: Message, planned: Option<Planned<N>>, state: State) -> Self {
        Self { message, planned, claimed: None, state }
    }

    /// By what it is found in logs: as far as the event says that was planned for it, and for the rest the message itself.
    fn correlation(&self) -> Correlation {
        let of_message = self.message.correlation();
        self.planned.as_ref().map_or(of_message, |planned| {
            let Correlation { event_id, traceparent } = planned.event.correlation();
            Correlation { event_id, traceparent: traceparent.or(of_message.traceparent) }
        })
    }

    fn is_wanted_once_more(&self) -> bool {
        self.planned.as_ref().is_some_and(|planned| matches!(planned.wanted, Wanted::OnceMore(_)))
    }

    fn outcome(&self) -> Outcome {
        match self.state {
            State::Settled(outcome) => outcome,
            // None of them outlives its step of `process`.
            State::Planned | State::Poisoned(_) | State::Repeats(_) => Outcome::Failed("unsettled"),
        }
    }

    /// What came of the message's work, if it was published.
    fn result(&self) -> Option<ResultHash> {
        self.planned.as_ref().map(|planned| ResultHash::of(planned.event.detail().as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fakes::{FakeBus, FakeDeadLetters, FakeRecords};
    use crate::idempotency::{Change, Key, PayloadHash, Record, RecordState, StoreError, Write, Written};
    use crate::testing::{logged, region};
    use events::JsonText;
    use events::raw::{RulesId, TransformedEvent};
    use serde_json::{Value, json};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::SystemTime;

    /// Publishes an event named for the body; refuses `poison` and panics on `panic`. Of a body such as `once id content` the
    /// content is published once for the id, with `once-more` also when that was done, and `once id panic content` can't be
    /// refused.
    #[derive(Default)]
    struct Program(Mutex<Vec<(bool, Outcome)>>);

    impl Program {
        fn event(message: &Message, event_type: &str) -> OutgoingEvent {
            OutgoingEvent::transformed(&TransformedEvent {
                event_id: "c818f4bf-67a4-4b26-ab31-e855aa277d6c".parse().expect("an id"),
                event_type: event_type.to_owned(),
                source_region: region("us-west-2"),
                timestamp: Timestamp::UNIX_EPOCH,
                received_at: Timestamp::UNIX_EPOCH,
                transformed_in: region("us-west-2"),
                raw_event_id: message.id.clone(),
                traceparent: None,
                rules: RulesId { version: 1, sha256: String::new() },
                originals: [].into(),
                geo: None,
                event: JsonText::parse_or_quote("{}"),
            })
        }
    }

    impl QueueProgram for Program {
        type Note = String;

        fn plan(&self, message: &Message) -> Result<Planned<String>, Poison> {
            assert_ne!(message.body, "panic", "told to panic");
            if message.body.starts_with("poison") {
                return Err(Poison { class: "told", message: "told to refuse".to_owned(), trace: None });
            }
            let mut words = message.body.splitn(3, ' ');
            let wanted = match (words.next(), words.next(), words.next()) {
                (Some("once"), Some(id), Some(content)) => Wanted::Once(work(id, content)),
                (Some("once-more"), Some(id), Some(content)) => Wanted::OnceMore(work(id, content)),
                _ => Wanted::EachTime,
            };
            Ok(Planned { event: Self::event(message, &message.body), note: message.body.clone(), wanted })
        }

        fn plan_mismatch(&self, message: &Message) -> Result<(OutgoingEvent, String), Poison> {
            assert!(!message.body.contains("panic"), "told to panic");
            Ok((Self::event(message, &format!("not {}", message.body)), message.body.clone()))
        }

        fn settled(&self, note: Option<&String>, outcome: Outcome) {
            self.0.lock().expect("not poisoned").push((note.is_some(), outcome));
        }
    }

    const HEADER: &str = "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1";

    /// Each invocation has an id of its own, or its claims would look like another's whose answer was lost.
    static INVOCATIONS: AtomicUsize = AtomicUsize::new(1);

    type World = Function<Program, FakeBus, FakeDeadLetters, &'static FakeRecords>;

    fn work(id: &str, content: &str) -> Work {
        Work { key: Key::new("test", id), payload: PayloadHash::of(content.as_bytes()) }
    }

    fn world() -> World {
        world_over(Box::leak(Box::default()))
    }

    fn world_over(records: &'static FakeRecords) -> World {
        Function {
            name: "test",
            version: "0.0.0",
            region: region("us-west-2"),
            deadline_margin: Duration::from_secs(2),
            program: Program::default(),
            publisher: FakeBus::default(),
            dead_letters: FakeDeadLetters::default(),
            idempotency: Idempotency::new(records, Duration::from_secs(86_400)),
        }
    }

    fn records() -> &'static FakeRecords {
        Box::leak(Box::default())
    }

    /// Somebody has claimed the work of `once id content`, until some seconds from now.
    fn claimed_elsewhere(records: &FakeRecords, id: &str, content: &str, seconds: i64) {
        let Work { key, payload } = work(id, content);
        let second = Timestamp::now().as_second() + seconds;
        let state = RecordState::Pending { lease_until: Timestamp::from_second(second).expect("a time") };
        let owner = Owner::in_invocation("request-0", 0);
        records.put(key, Record { owner, payload, state, expires_at: second + 86_400 });
    }

    fn is_done(records: &FakeRecords, id: &str) -> bool {
        let record = records.all().remove(&work(id, "").key);
        matches!(record, Some(Record { state: RecordState::Done { .. }, .. }))
    }

    /// Hands over messages `m-0`, `m-1`, … and gives back which are to be delivered again.
    async fn handle(world: &World, bodies: &[&str]) -> Vec<String> {
        handle_within(world, bodies, Duration::from_secs(30)).await
    }

    async fn handle_within(world: &World, bodies: &[&str], time_left: Duration) -> Vec<String> {
        let messages = bodies.iter().enumerate().map(|(index, body)| {
            json!({
                "messageId": format!("m-{index}"),
                "receiptHandle": "AQEB",
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": "3",
                    "ApproximateFirstReceiveTimestamp": "1772600767000",
                    "AWSTraceHeader": HEADER,
                },
                "messageAttributes": {},
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-west-2:000000000000:tandem-test-raw-events",
                "awsRegion": "us-west-2",
            })
        });
        let records = messages.collect::<Vec<Value>>();
        let batch = serde_json::from_str(&json!({ "Records": records }).to_string()).expect("a batch");
        let deadline = SystemTime::now() + time_left;
        let request_id = format!("request-{}", INVOCATIONS.fetch_add(1, Ordering::Relaxed));
        let (function, xray_trace_id) = ("tandem-test-queue", Some("Root=1-0-0"));
        let delivery = Delivery { function, request_id: &request_id, xray_trace_id, deadline };
        let response = world.handle(batch, delivery, &mut Vec::new()).await;
        response.deliver_again().map(ToOwned::to_owned).collect()
    }

    fn types(world: &World) -> Vec<String> {
        let of = |event: OutgoingEvent| {
            let detail: Value = serde_json::from_str(event.detail()).expect("JSON");
            detail["event_type"].as_str().expect("text").to_owned()
        };
        world.publisher.accepted().into_iter().map(of).collect()
    }

    fn outcomes(world: &World) -> Vec<(bool, Outcome)> {
        world.program.0.lock().expect("not poisoned").clone()
    }

    fn unavailable() -> PublishError {
        PublishError::Unavailable { code: "InternalFailure".to_owned(), message: "told".to_owned() }
    }

    fn throttled() -> PublishError {
        PublishError::Throttled { code: "ThrottlingException".to_owned(), message: "told".to_owned() }
    }

    #[tokio::test]
    async fn every_message_is_published() {
        let world = world();
        assert!(handle(&world, &["a", "b"]).await.is_empty());
        assert!(handle(&world, &[]).await.is_empty());
        assert_eq!(types(&world), ["a", "b"]);
        assert_eq!(outcomes(&world), [(true, Outcome::Published); 2]);
    }

    #[tokio::test]
    async fn only_what_was_not_published_is_delivered_again() {
        let world = world();
        world.publisher.fail_on("\"b\"", unavailable());
        assert_eq!(handle(&world, &["a", "b", "c"]).await, ["m-1", "m-2"], "the bus begins nothing after a failure");
        assert_eq!(types(&world), ["a"]);
        assert!(world.dead_letters.kept().is_empty());
        world.publisher.recover();
        assert!(handle(&world, &["b", "c"]).await.is_empty());
    }

    #[tokio::test]
    async fn a_panic_fails_its_message_only() {
        let world = world();
        assert_eq!(handle(&world, &["a", "panic", "b"]).await, ["m-1"]);
        assert_eq!(types(&world), ["a", "b"]);
        assert!(world.dead_letters.kept().is_empty(), "the queue's own redrive takes it, with its body");
        assert_eq!(outcomes(&world)[1], (false, Outcome::Failed("panic")));
    }

    #[tokio::test]
    async fn poison_becomes_a_dead_letter_with_its_body() {
        let world = world();
        world.publisher.fail_on("\"large\"", PublishError::TooLarge { bytes: 2_000_000 });
        assert!(handle(&world, &["poison \u{1}", "a", "large"]).await.is_empty());
        let kept = world.dead_letters.kept();
        let told: Vec<_> = kept.iter().map(|letter| (letter.position.as_str(), letter.error_class.as_str())).collect();
        assert_eq!(told, [("m-0", "told"), ("m-2", "event_too_large")]);
        assert_eq!(serde_json::from_str::<String>(kept[0].record.as_str()).expect("a text"), "poison \u{1}");
        assert_eq!(kept[0].source, "arn:aws:sqs:us-west-2:000000000000:tandem-test-raw-events");
        for letter in &kept {
            assert_eq!((letter.attempts, letter.first_seen.to_string().as_str()), (3, "2026-03-04T05:06:07Z"));
        }
        assert_eq!(outcomes(&world)[2], (true, Outcome::DeadLettered("event_too_large")));
    }

    #[tokio::test]
    async fn errors_name_the_trace_of_their_message() {
        let world = world();
        world.publisher.fail_on("\"late\"", unavailable());
        let (again, log) = logged(handle(&world, &["poison", "panic", "late"])).await;
        assert_eq!(again, ["m-1", "m-2"]);
        let told: Vec<Value> = log
            .iter()
            .filter(|line| line.get("position").is_some())
            .map(|line| json!([line["position"], line["event_id"], line["trace_id"]]))
            .collect();
        let (id, came_in) = ("c818f4bf-67a4-4b26-ab31-e855aa277d6c", "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(told, [json!(["m-1", null, came_in]), json!(["m-2", id, came_in]), json!(["m-0", null, came_in])]);
        let letter = &world.dead_letters.kept()[0];
        assert_eq!(json!(letter.trace_id), came_in);
        assert_eq!(letter.traceparent.map(|context| context.trace_id()), letter.trace_id);
        let handled = log.last().expect("a line");
        assert_eq!((&handled["message"], &handled["xray_trace_id"]), (&json!("batch handled"), &json!("Root=1-0-0")));
    }

    #[test]
    fn a_trace_header_that_cannot_be_read_is_ignored_and_counted() {
        let of = |attributes: Value| -> Attributes { serde_json::from_value(attributes).expect("attributes") };
        let ignored = || telemetry::TRACE_CONTEXTS_IGNORED_TOTAL.get(&["queue"]);
        let before = ignored();
        assert!(of(json!({ "AWSTraceHeader": HEADER })).traceparent.expect("a context").is_sampled());
        assert_eq!(of(json!({ "AWSTraceHeader": null })).traceparent, None);
        assert_eq!(of(json!({})).traceparent, None);
        assert_eq!(ignored(), before);
        assert_eq!(of(json!({ "AWSTraceHeader": "Root=nonsense" })).traceparent, None);
        assert_eq!(ignored(), before + 1);
    }

    #[tokio::test]
    async fn a_dead_letter_that_is_not_stored_keeps_the_message() {
        let world = world();
        world.dead_letters.set_broken(true);
        assert_eq!(handle(&world, &["poison", "a"]).await, ["m-0"]);
        assert_eq!(outcomes(&world)[0], (false, Outcome::Failed("dead_letter_not_stored")));
    }

    #[tokio::test]
    async fn nothing_is_begun_within_the_margin() {
        let world = world();
        assert_eq!(handle_within(&world, &["a", "poison"], Duration::from_secs(1)).await, ["m-0", "m-1"]);
        assert!(types(&world).is_empty() && world.dead_letters.kept().is_empty());
        assert_eq!(outcomes(&world), [(false, Outcome::Failed("out_of_time")); 2]);
    }

    #[tokio::test]
    async fn what_was_done_is_not_done_again() {
        let records = records();
        let world = world_over(records);
        assert!(handle(&world, &["once 1 a", "once 2 b"]).await.is_empty());
        assert!(is_done(records, "1") && is_done(records, "2"));
        assert!(handle(&world, &["once 1 a", "once 3 c", "once 2 b"]).await.is_empty());
        assert_eq!(types(&world), ["once 1 a", "once 2 b", "once 3 c"]);
        let duplicate = (true, Outcome::Skipped(DUPLICATE));
        assert_eq!(outcomes(&world)[2..], [duplicate, (true, Outcome::Published), duplicate]);
    }

    #[tokio::test]
    async fn what_a_batch_has_twice_is_done_once() {
        let records = records();
        let world = world_over(records);
        assert!(handle(&world, &["once 1 a", "once 1 a", "once 1 a"]).await.is_empty());
        assert_eq!((types(&world).len(), records.writes()), (1, 2), "one claim, one completion");
        world.publisher.fail_on("once 2", throttled());
        assert_eq!(handle(&world, &["once 2 b", "once 2 b"]).await, ["m-0", "m-1"], "neither is done");
        assert_eq!(outcomes(&world)[3..], [(true, Outcome::Failed("publish_throttled")); 2], "for one reason");
        world.publisher.recover();
        assert!(handle(&world, &["once 2 b", "once 2 b"]).await.is_empty());
        assert_eq!(types(&world).len(), 2);
    }

    #[tokio::test]
    async fn what_somebody_else_is_at_comes_again() {
        let records = records();
        let world = world_over(records);
        claimed_elsewhere(records, "1", "a", 60);
        assert_eq!(handle(&world, &["once 1 a", "once 2 b"]).await, ["m-0"]);
        assert_eq!(types(&world), ["once 2 b"]);
        claimed_elsewhere(records, "1", "a", -1);
        assert!(handle(&world, &["once 1 a"]).await.is_empty(), "its owner is gone");
        assert_eq!(types(&world), ["once 2 b", "once 1 a"]);
        assert!(is_done(records, "1"));
    }

    #[tokio::test]
    async fn another_content_is_told_and_not_remembered() {
        let records = records();
        let world = world_over(records);
        assert!(handle(&world, &["once 1 a"]).await.is_empty());
        let before = records.all();
        assert!(handle(&world, &["once 1 b"]).await.is_empty());
        assert_eq!(handle(&world, &["once 1 panic"]).await, ["m-0"]);
        assert_eq!(types(&world), ["once 1 a", "not once 1 b"]);
        assert_eq!(records.all(), before);
    }

    #[tokio::test]
    async fn nothing_is_published_unguarded() {
        let records = records();
        let world = world_over(records);
        records.set_unreachable(true);
        assert_eq!(handle(&world, &["once 1 a", "b", "once 2 c"]).await, ["m-0", "m-2"]);
        assert_eq!(types(&world), ["b"], "which needs no guard");
        assert_eq!(outcomes(&world)[0], (true, Outcome::Failed("claims_unavailable")));
        records.set_unreachable(false);
        assert!(handle(&world, &["once 1 a", "once 2 c"]).await.is_empty());
    }

    #[tokio::test]
    async fn what_was_not_published_is_given_back() {
        let records = records();
        let world = world_over(records);
        world.publisher.fail_on("once 1", throttled());
        assert_eq!(handle(&world, &["once 1 a", "once 3 c"]).await, ["m-0", "m-1"], "one is throttled, one held back");
        assert!(records.all().is_empty(), "the next delivery doesn't have to wait for the lease");
        world.publisher.recover();
        world.publisher.fail_on("once 2", PublishError::TooLarge { bytes: 2_000_000 });
        assert!(handle(&world, &["once 1 a", "once 2 b"]).await.is_empty());
        assert!(is_done(records, "1"));
        assert_eq!(records.all().len(), 1, "a dead letter that is sent on again must not look done");
    }

    /// The bus may have an event whose answer was lost.
    #[tokio::test]
    async fn what_may_have_been_published_keeps_its_key() {
        for uncertain in [unavailable(), PublishError::OutOfTime, PublishError::GivenBack { reason: "told" }] {
            let records = records();
            let world = world_over(records);
            world.publisher.fail_on("\"once 1 a\"", uncertain);
            assert_eq!(handle(&world, &["once 1 a"]).await, ["m-0"]);
            assert!(handle(&world, &["once 1 b"]).await.is_empty());
            assert_eq!(types(&world), ["not once 1 b"], "another content, while the lease lasts");
            assert_eq!(handle(&world, &["once 1 a"]).await, ["m-0"]);
            assert_eq!(outcomes(&world)[2], (true, Outcome::Failed("in_progress")));
            claimed_elsewhere(records, "1", "a", -1);
            assert!(handle(&world, &["once 1 b"]).await.is_empty());
            assert_eq!(types(&world).len(), 2, "and after that");
            assert!(types(&world).iter().all(|told| told == "not once 1 b"));
            world.publisher.recover();
            world.publisher.fail_on("\"once 1 a\"", throttled());
            assert_eq!(handle(&world, &["once 1 a"]).await, ["m-0"], "the same content takes over");
            assert_eq!(records.all().len(), 1, "which doesn't undo what was before");
            claimed_elsewhere(records, "1", "a", -1);
            world.publisher.recover();
            assert!(handle(&world, &["once 1 a"]).await.is_empty());
            assert_eq!(types(&world)[2], "once 1 a");
            assert!(is_done(records, "1"));
        }
    }

    #[tokio::test]
    async fn what_is_wanted_once_more_is_published_whether_or_not_it_was_done() {
        let records = records();
        let world = world_over(records);
        assert!(handle(&world, &["once-more 1 a"]).await.is_empty());
        assert!(is_done(records, "1"), "it is remembered");
        assert!(handle(&world, &["once 1 a", "once-more 1 a"]).await.is_empty());
        assert!(handle(&world, &["once-more 1 b"]).await.is_empty());
        assert_eq!(types(&world), ["once-more 1 a", "once-more 1 a", "not once-more 1 b"]);
        claimed_elsewhere(records, "2", "c", 60);
        assert_eq!(handle(&world, &["once-more 2 c"]).await, ["m-0"], "somebody is at it");
    }

    #[test]
    fn no_deadline_locks_an_id_for_ever() {
        let now = Timestamp::from_second(1_000).expect("a time");
        let check = |seconds: u64, expected: i64| {
            let deadline = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            assert_eq!(lease_until_at_most(deadline, now).as_second(), expected, "{seconds}");
        };
        check(1_030, 1_030);
        check(1_900, 1_900);
        check(1_901, 1_900);
        // No timestamp reaches so far.
        check(1 << 40, 1_900);
    }

    /// Records that say nothing of some writes.
    struct Silent(FakeRecords, fn(&Change) -> bool);

    impl Records for Silent {
        async fn write(&self, write: &Write) -> Result<Written, StoreError> {
            if (self.1)(&write.change) {
                return std::future::pending().await;
            }
            self.0.write(write).await
        }
    }

    #[tokio::test]
    async fn claims_that_run_out_of_time_are_counted() {
        let check = async |step: &'static str, is_done: bool, silent: fn(&Change) -> bool| {
            let Function { name, version, region, program, publisher, dead_letters, .. } = world();
            let deadline_margin = Duration::from_millis(100);
            let idempotency = Idempotency::new(Silent(FakeRecords::default(), silent), Duration::from_secs(86_400));
            let world =
                Function { name, version, region, deadline_margin, program, publisher, dead_letters, idempotency };
            let counted = || telemetry::IDEMPOTENCY_TOTAL.get(&[step, "failed"]);
            let before = counted();
            let batch = serde_json::from_value(json!({ "Records": [{
                "messageId": "m-0", "body": "once 1 a", "eventSourceARN": "arn:aws:sqs:us-west-2:000000000000:q",
            }] }));
            let deadline = SystemTime::now() + Duration::from_millis(300);
            let delivery =
                Delivery { function: "tandem-test-queue", request_id: "request-1", xray_trace_id: None, deadline };
            let response = world.handle(batch.expect("a batch"), delivery, &mut Vec::new()).await;
            assert_eq!(response.is_complete(), is_done, "{step}");
            // Other tests of this process count too.
            assert!(counted() > before, "{step}");
        };
        check("claim", false, |change| matches!(change, Change::Claim(_))).await;
        check("complete", true, |change| matches!(change, Change::Complete(_))).await;
    }

    /// The records' end is lost between claim and completion: the event was published, so its message is done.
    #[tokio::test]
    async fn a_completion_that_is_lost_keeps_no_message() {
        let records = records();
        let Function { name, version, region, deadline_margin, program, dead_letters, idempotency, .. } =
            world_over(records);
        let publisher = BreaksRecords(FakeBus::default(), records);
        let world = Function { name, version, region, deadline_margin, program, publisher, dead_letters, idempotency };
        let batch = serde_json::from_value(json!({ "Records": [{
            "messageId": "m-0", "body": "once 1 a", "eventSourceARN": "arn:aws:sqs:us-west-2:000000000000:q",
        }] }));
        let deadline = SystemTime::now() + Duration::from_secs(30);
        let delivery =
            Delivery { function: "tandem-test-queue", request_id: "request-1", xray_trace_id: None, deadline };
        let response = world.handle(batch.expect("a batch"), delivery, &mut Vec::new()).await;
        assert!(response.is_complete());
        assert_eq!(world.publisher.0.accepted().len(), 1);
        assert!(!is_done(records, "1"), "so it may be published again once the lease is over");
    }

    /// A bus behind which the records can't be reached any more.
    struct BreaksRecords(FakeBus, &'static FakeRecords);

    impl PublishEvents for BreaksRecords {
        async fn publish(&self, events: &[&OutgoingEvent], deadline: Instant) -> Vec<crate::publisher::Answer> {
            self.1.set_unreachable(true);
            self.0.publish(events, deadline).await
        }
    }

    #[test]
    fn a_queue_that_says_nothing_of_deliveries_has_delivered_once() {
        let of = |attributes: Value| -> Attributes { serde_json::from_value(attributes).expect("attributes") };
        for silent in [
            json!({}),
            json!({ "ApproximateReceiveCount": "0", "ApproximateFirstReceiveTimestamp": "" }),
            json!({ "ApproximateReceiveCount": "many", "ApproximateFirstReceiveTimestamp": "99999999999999999" }),
        ] {
            assert_eq!((of(silent.clone()).deliveries(), of(silent.clone()).first_delivered()), (1, None), "{silent}");
        }
    }
}
