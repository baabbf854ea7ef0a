//! Events to an EventBridge bus, with an answer for each event.
//!
//! What EventBridge leaves to its callers is done here: requests of at most ten entries and 1 MB, retry of just those
//! entries that failed, and order. A bus keeps no order by itself; it is kept **per key** by never having two events of
//! one key in flight, and by holding back what follows an event that could not be delivered.
//!
//! An answer of "failed" does not mean "not delivered": a request may have arrived whose answer did not.
//! Receivers tell repeats apart by `event_id`.

use crate::config::CallBudget;
use crate::failure::{Failure, FailureKind};
use crate::json_service::{JsonService, Service, pause};
use aws_smithy_async::rt::sleep::{AsyncSleep, SharedAsyncSleep, TokioSleep};
use aws_types::SdkConfig;
use contracts::{BusName, Region};
use events::cross_region::{self, Envelope};
use events::domain::{self, DomainEvent};
use events::raw::{self, TransformedEvent, ValidationFailed};
use events::trace_context::XRayHeader;
use events::{Correlation, EventId, Timestamp, TraceParent};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::future::Future;
use std::sync::Arc;
use tokio::time::Instant;

/// Most entries of one `PutEvents` request (EventBridge API reference, `PutEvents`, read 2026-11).
pub const MAX_ENTRIES: usize = 10;

/// Most bytes of one request as it is sent. AWS's limit is 1 MB since 2026-01 and its pages do not agree whether it is
/// meant for an entry or for a request, so the strict reading is taken, with 5 % to spare.
const MAX_REQUEST_BYTES: usize = 950_000;

/// Bytes of an entry besides its texts: names, quotes, separators.
const ENTRY_OVERHEAD: usize = 96;

/// Bytes of an entry's trace header with its name, quotes and separators.
const TRACE_HEADER_BYTES: usize = r#","TraceHeader":"""#.len() + XRayHeader::LEN;

/// Requests that one call has in flight, each with events of different keys.
const CONCURRENT_REQUESTS: usize = 4;

/// Events that a call has on their way at the same time.
pub const IN_FLIGHT: usize = MAX_ENTRIES * CONCURRENT_REQUESTS;

/// Puts events onto a bus.
pub trait PublishEvents: Sync {
    /// Publishes `events` and answers for each, in the same order. Begins nothing after `deadline`, and never takes much longer
    /// than until then.
    ///
    /// Events of one key arrive in the order given. After an event was given up for a reason that lies outside of it,
    /// later events of its key, and those not yet tried, are answered with [`PublishError::HeldBack`].
    fn publish(&self, events: &[&OutgoingEvent], deadline: Instant) -> impl Future<Output = Vec<Answer>> + Send;
}

impl<P: PublishEvents> PublishEvents for &P {
    fn publish(&self, events: &[&OutgoingEvent], deadline: Instant) -> impl Future<Output = Vec<Answer>> + Send {
        (**self).publish(events, deadline)
    }
}

/// What became of an event that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The bus has it.
    Sent,
    /// It waits in the parking table, and is sent from there in the order of its key.
    Parked,
}

/// What is answered for one event.
pub type Answer = Result<Taken, PublishError>;

/// What a stream says of the record behind an event; an event that may have to wait needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The event's id, by which receivers tell repeats.
    pub event_id: EventId,
    /// The record's sequence number.
    pub sequence_number: String,
    /// When the change happened.
    pub happened_at: Timestamp,
}

/// An event as a bus takes it.
///
/// Invariant: the detail is a JSON object, because it only comes from types that serialise as one. EventBridge refuses
/// anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingEvent {
    source: &'static str,
    detail_type: String,
    detail: String,
    order_key: String,
    correlation: Correlation,
    place: Option<Place>,
}

impl OutgoingEvent {
    /// A domain event for the region's own bus.
    pub fn domain(event: &DomainEvent) -> Self {
        Self {
            source: domain::SOURCE,
            detail_type: event.event_type.to_string(),
            detail: event.to_json(),
            order_key: format!("{}/{}", event.entity.as_str(), event.key),
            correlation: event.correlation(),
            place: None,
        }
    }

    /// A sealed event for the peer region's bus.
    pub fn cross_region(envelope: &Envelope) -> Self {
        Self {
            source: cross_region::SOURCE,
            detail_type: cross_region::DETAIL_TYPE.to_owned(),
            detail: envelope.to_json(),
            order_key: format!("{}/{}", envelope.entity.as_str(), envelope.key),
            correlation: envelope.correlation(),
            place: None,
        }
    }

    /// A sealed event that waited: its envelope's JSON as it was parked, under the key that it was parked by.
    pub fn parked(order_key: &str, envelope: String) -> Self {
        #[derive(Default, Deserialize)]
        struct Texts {
            event_id: Option<String>,
            traceparent: Option<String>,
        }
        // It is sent as it is, whatever can be read of it; a bad trace context costs no id.
        let Texts { event_id, traceparent } = serde_json::from_str(&envelope).unwrap_or_default();
        let event_id = event_id.and_then(|text| text.parse().ok());
        let traceparent = traceparent.and_then(|text| text.parse().ok());
        Self {
            source: cross_region::SOURCE,
            detail_type: cross_region::DETAIL_TYPE.to_owned(),
            detail: envelope,
            order_key: order_key.to_owned(),
            correlation: Correlation { event_id, traceparent },
            place: None,
        }
    }

    /// The same event with the place of its record.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }

    /// A raw event that was transformed, for the region's own bus. It is kept in no order with others.
    pub fn transformed(event: &TransformedEvent) -> Self {
        Self::of_transformer(raw::TRANSFORMED, event.to_json(), &event.raw_event_id, event.correlation())
    }

    /// A raw event that was refused, for the region's own bus. It is kept in no order with others.
    pub fn validation_failed(event: &ValidationFailed) -> Self {
        Self::of_transformer(raw::VALIDATION_FAILED, event.to_json(), &event.raw_event_id, event.correlation())
    }

    fn of_transformer(detail_type: &str, detail: String, raw_event_id: &str, correlation: Correlation) -> Self {
        Self {
            source: raw::TRANSFORMER_SOURCE,
            detail_type: detail_type.to_owned(),
            detail,
            order_key: format!("raw/{raw_event_id}"),
            correlation,
            place: None,
        }
    }

    /// EventBridge's `Source`.
    pub fn source(&self) -> &str {
        self.source
    }

    /// EventBridge's `DetailType`.
    pub fn detail_type(&self) -> &str {
        &self.detail_type
    }

    /// EventBridge's `Detail`: a JSON object as text.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Events with the same text here are kept in order.
    pub fn order_key(&self) -> &str {
        &self.order_key
    }

    /// By what the event is found in logs.
    pub fn correlation(&self) -> Correlation {
        self.correlation
    }

    /// X-Ray's header, so that AWS's services go on with a trace that is recorded. They begin one by themselves if they want.
    fn trace_header(&self) -> Option<XRayHeader> {
        self.correlation.traceparent.filter(TraceParent::is_sampled).map(TraceParent::to_xray)
    }

    /// The place of its record, if that is known.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// Bytes that this event takes in a request to `bus`.
    fn request_bytes(&self, bus: &BusName) -> usize {
        let texts = [self.source, &self.detail_type, &self.detail, bus.as_str()];
        let trace_header = self.trace_header().map_or(0, |_| TRACE_HEADER_BYTES);
        ENTRY_OVERHEAD + trace_header + texts.into_iter().map(json_text_bytes).sum::<usize>()
    }
}

/// Why an event was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The bus had too much to do, until the last attempt.
    #[error("the bus throttled the event ({code}: {message}); it is sent again with the batch")]
    Throttled {
        /// EventBridge's error code.
        code: String,
        /// EventBridge's words.
        message: String,
    },
    /// No useful answer came, until the last attempt, or to one after which the others weren't taken. The bus may have the event.
    #[error("the bus could not be reached ({code}: {message}); the event is sent again with the batch")]
    Unavailable {
        /// EventBridge's error code or the kind of failure.
        code: String,
        /// What was reported.
        message: String,
    },
    /// The program may not publish to this bus, or the bus is not there.
    #[error("publishing was denied ({code}: {message}); check the function's role and the bus's name")]
    Denied {
        /// EventBridge's error code.
        code: String,
        /// EventBridge's words.
        message: String,
    },
    /// The bus will never take this event.
    #[error("the bus refused the event ({code}: {message})")]
    Refused {
        /// EventBridge's error code.
        code: String,
        /// EventBridge's words.
        message: String,
    },
    /// The event is larger than a request may be; it was not sent.
    #[error("the event takes {bytes} bytes in a request, and at most {MAX_REQUEST_BYTES} may be sent")]
    TooLarge {
        /// Bytes of the event in a request.
        bytes: usize,
    },
    /// The peer is away, and the event is larger than what can be parked.
    #[error("the event has {bytes} bytes, which is more than can be parked while its peer is away")]
    TooLargeToPark {
        /// Bytes of the event.
        bytes: usize,
    },
    /// It can't be parked in its order, because its stream record says no valid place.
    #[error("the event's stream record has no valid sequence number")]
    NoPlace,
    /// Not tried, because an event before it was not delivered.
    #[error("an event before this one was not delivered; both are sent again with the batch")]
    HeldBack,
    /// The breaker could neither send nor park it.
    #[error("the event could be neither sent nor parked ({reason}); it is sent again with the batch")]
    GivenBack {
        /// A stable name of the reason.
        reason: &'static str,
    },
    /// The deadline came first, before an attempt or during one.
    #[error("no time was left before the function's deadline; the event is sent again with the batch")]
    OutOfTime,
}

impl PublishError {
    /// Whether the event itself is at fault, so that sending it again can never work.
    pub fn is_poison(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::TooLarge { .. } | Self::TooLargeToPark { .. } | Self::NoPlace)
    }

    /// Whether it is known that the bus doesn't have the event. An attempt without an answer may have arrived; what is refused
    /// is refused however often it is sent.
    pub fn is_surely_unsent(&self) -> bool {
        match self {
            Self::Throttled { .. }
            | Self::Denied { .. }
            | Self::Refused { .. }
            | Self::TooLarge { .. }
            | Self::TooLargeToPark { .. }
            | Self::NoPlace
            | Self::HeldBack => true,
            Self::Unavailable { .. } | Self::GivenBack { .. } | Self::OutOfTime => false,
        }
    }

    /// A word for metrics and dead letters.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Throttled { .. } => "publish_throttled",
            Self::Unavailable { .. } => "publish_unavailable",
            Self::Denied { .. } => "publish_denied",
            Self::Refused { .. } => "publish_refused",
            Self::TooLarge { .. } => "event_too_large",
            Self::HeldBack => "held_back",
            Self::GivenBack { reason } => reason,
            Self::TooLargeToPark { .. } => "too_large_to_park",
            Self::NoPlace => "no_place",
            Self::OutOfTime => "out_of_time",
        }
    }
}

impl From<Failure> for PublishError {
    fn from(Failure { kind, code, message, .. }: Failure) -> Self {
        match kind {
            FailureKind::Throttled => Self::Throttled { code, message },
            FailureKind::Unavailable => Self::Unavailable { code, message },
            FailureKind::Denied => Self::Denied { code, message },
            FailureKind::Refused => Self::Refused { code, message },
        }
    }
}

/// Publishes to one bus of one region.
#[derive(Clone, Debug)]
pub struct EventPublisher {
    service: Arc<JsonService>,
    bus: BusName,
    region: Region,
    budget: CallBudget,
    sleep: SharedAsyncSleep,
}

impl EventPublisher {
    /// A publisher to `bus` in `region`; `config` must be for that region.
    ///
    /// `budget.operation()` is the longest that one event may take with all its attempts.
    pub fn new(config: &SdkConfig, region: Region, bus: BusName, budget: CallBudget) -> Self {
        let service = Arc::new(JsonService::new(config, Service::EVENTS));
        Self { service, bus, region, budget, sleep: SharedAsyncSleep::new(TokioSleep::new()) }
    }

    async fn send<'e>(&self, events: impl Iterator<Item = &'e OutgoingEvent>, deadline: Instant) -> RequestAnswer {
        let entries: Vec<Entry<'_>> = events.map(|event| self.entry(event)).collect();
        let count = entries.len();
        // Texts under fixed names can always be written.
        let body = serde_json::to_vec(&PutEvents { entries }).unwrap_or_default();
        let answer = match self.service.call("AWSEvents.PutEvents", body, deadline).await {
            None => return RequestAnswer::OutOfTime,
            Some(Err(failure)) => return RequestAnswer::Failed(failure),
            Some(Ok(answer)) => answer,
        };
        let entries = match serde_json::from_slice::<PutEventsAnswer>(&answer) {
            Err(error) => return RequestAnswer::Failed(Failure::without_answer("UnreadableResponse", &error)),
            Ok(answer) => answer.entries,
        };
        if entries.len() != count {
            let message = format!("the answer has {} entries for {count} events", entries.len());
            return RequestAnswer::Failed(Failure::of_entry("UnreadableResponse", &message));
        }
        let answers = entries.iter().map(|entry| match (&entry.event_id, &entry.error_code) {
            (_, Some(code)) => {
                Err(Failure::of_entry(code, entry.error_message.as_deref().unwrap_or("no message was given")))
            }
            (Some(_), None) => Ok(()),
            (None, None) => Err(Failure::of_entry("UnreadableResponse", "the answer has neither an id nor an error")),
        });
        RequestAnswer::Entries(answers.collect())
    }

    fn entry<'a>(&'a self, event: &'a OutgoingEvent) -> Entry<'a> {
        Entry {
            event_bus_name: self.bus.as_str(),
            source: event.source,
            detail_type: &event.detail_type,
            detail: &event.detail,
            trace_header: event.trace_header(),
        }
    }

    fn count(&self, work: &Work<'_>) {
        let region = self.region.as_str();
        for item in &work.items {
            match &item.result {
                Some(Ok(_)) => {
                    telemetry::EVENTBRIDGE_EVENTS_PUBLISHED_TOTAL.inc(&[region, &item.event.detail_type]);
                }
                Some(Err(error)) => telemetry::EVENTBRIDGE_PUBLISH_ERRORS_TOTAL.inc(&[region, error.class()]),
                None => {}
            }
        }
    }
}

impl PublishEvents for EventPublisher {
    async fn publish(&self, events: &[&OutgoingEvent], deadline: Instant) -> Vec<Answer> {
        let mut work = Work::new(events, &self.bus, self.budget.attempts());
        let mut failed_rounds = 0;
        loop {
            if Instant::now() >= deadline {
                work.run_out_of_time();
            }
            let requests = work.next_requests();
            if requests.is_empty() {
                break;
            }
            let calls = requests
                .iter()
                .map(|request| self.send(request.iter().map(|index| work.items[*index].event), deadline));
            let answers = futures::future::join_all(calls).await;
            let mut retry = false;
            for (request, answer) in requests.iter().zip(answers) {
                retry |= work.settle(request, answer);
            }
            if retry {
                let pause = pause(failed_rounds, self.budget.operation() / 8);
                self.sleep.sleep(pause.min(deadline.saturating_duration_since(Instant::now()))).await;
                failed_rounds += 1;
            }
        }
        work.admit_doubts();
        self.count(&work);
        work.into_results()
    }
}

/// A request as EventBridge takes it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct PutEvents<'a> {
    entries: Vec<Entry<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Entry<'a> {
    event_bus_name: &'a str,
    source: &'a str,
    detail_type: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_header: Option<XRayHeader>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PutEventsAnswer {
    #[serde(default)]
    entries: Vec<EntryAnswer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EntryAnswer {
    event_id: Option<String>,
    error_code: Option<String>,
    error_message: Option<String>,
}

/// What came of one request.
enum RequestAnswer {
    Entries(Vec<Result<(), Failure>>),
    Failed(Failure),
    OutOfTime,
}

/// The events of one call and what became of them so far. No I/O, no clock.
struct Work<'a> {
    items: Vec<Item<'a>>,
    max_attempts: u32,
}

struct Item<'a> {
    event: &'a OutgoingEvent,
    bytes: usize,
    attempts: u32,
    /// Sent in a request of its own, to find out which entry of a refused request is at fault.
    alone: bool,
    /// An attempt that may have arrived, because no useful answer came.
    doubt: Option<PublishError>,
    result: Option<Answer>,
}

impl<'a> Work<'a> {
    fn new(events: &[&'a OutgoingEvent], bus: &BusName, max_attempts: u32) -> Self {
        let items = events.iter().copied().map(|event| {
            let bytes = event.request_bytes(bus);
            let result = (bytes > MAX_REQUEST_BYTES).then_some(Err(PublishError::TooLarge { bytes }));
            Item { event, bytes, attempts: 0, alone: false, doubt: None, result }
        });
        Self { items: items.collect(), max_attempts }
    }

    /// The requests of the next round, as indices: of each key the first waiting event, and no other.
    fn next_requests(&self) -> Vec<Vec<usize>> {
        let mut keys = HashSet::new();
        let mut requests = Vec::new();
        let (mut request, mut bytes) = (Vec::new(), 0);
        for (index, item) in self.items.iter().enumerate().filter(|(_, item)| item.result.is_none()) {
            if requests.len() == CONCURRENT_REQUESTS {
                return requests;
            }
            if !keys.insert(item.event.order_key.as_str()) {
                continue;
            }
            if item.alone {
                requests.push(vec![index]);
                continue;
            }
            if request.len() == MAX_ENTRIES || bytes + item.bytes > MAX_REQUEST_BYTES {
                requests.push(std::mem::take(&mut request));
                bytes = 0;
            }
            request.push(index);
            bytes += item.bytes;
        }
        if !request.is_empty() && requests.len() < CONCURRENT_REQUESTS {
            requests.push(request);
        }
        requests
    }

    /// Takes in the answer to a request; true when something of it will be sent again.
    fn settle(&mut self, request: &[usize], answer: RequestAnswer) -> bool {
        match answer {
            RequestAnswer::Entries(answers) => {
                let settled = request.iter().zip(answers).map(|(index, answer)| match answer {
                    Ok(()) => {
                        self.items[*index].result = Some(Ok(Taken::Sent));
                        false
                    }
                    Err(failure) => self.settle_failure(*index, failure),
                });
                settled.fold(false, |any, retry| any | retry)
            }
            RequestAnswer::Failed(failure) if failure.kind == FailureKind::Refused && request.len() > 1 => {
                request.iter().for_each(|index| self.items[*index].alone = true);
                false
            }
            RequestAnswer::Failed(failure) => {
                request.iter().fold(false, |any, index| any | self.settle_failure(*index, failure.clone()))
            }
            RequestAnswer::OutOfTime => {
                request.iter().for_each(|index| self.give_up(*index, PublishError::OutOfTime));
                false
            }
        }
    }

    fn settle_failure(&mut self, index: usize, failure: Failure) -> bool {
        let item = &mut self.items[index];
        item.attempts += 1;
        if failure.kind == FailureKind::Unavailable {
            item.doubt = Some(failure.clone().into());
        }
        match failure.kind {
            FailureKind::Throttled | FailureKind::Unavailable if item.attempts < self.max_attempts => {
                // It may have been held back meanwhile, by a neighbour that was given up.
                item.result.is_none()
            }
            FailureKind::Refused => {
                // Its own fault: what follows it is not affected.
                item.result = Some(Err(failure.into()));
                false
            }
            FailureKind::Throttled | FailureKind::Unavailable | FailureKind::Denied => {
                self.give_up(index, failure.into());
                false
            }
        }
    }

    /// Ends an event for a reason that is not its own. The bus is in trouble and the caller will come again with all of
    /// them, so nothing new is begun.
    ///
    /// What follows of the same key is among those not yet tried, because no two events of a key are ever in flight.
    fn give_up(&mut self, index: usize, error: PublishError) {
        self.items[index].result = Some(Err(error));
        for later in &mut self.items[index + 1..] {
            if later.result.is_none() && later.attempts == 0 {
                later.result = Some(Err(PublishError::HeldBack));
            }
        }
    }

    fn run_out_of_time(&mut self) {
        self.items.iter_mut().filter(|item| item.result.is_none()).for_each(|item| {
            item.result = Some(Err(PublishError::OutOfTime));
        });
    }

    /// Answers for what sounds unsent but may have arrived with the attempt that is told instead. What the bus refuses it had
    /// refused then too.
    fn admit_doubts(&mut self) {
        for item in &mut self.items {
            let sounds_unsent =
                matches!(&item.result, Some(Err(error)) if error.is_surely_unsent() && !error.is_poison());
            if let Some(doubt) = item.doubt.take_if(|_| sounds_unsent) {
                item.result = Some(Err(doubt));
            }
        }
    }

    fn into_results(self) -> Vec<Answer> {
        self.items.into_iter().map(|item| item.result.unwrap_or(Err(PublishError::HeldBack))).collect()
    }
}

/// Bytes of `text` as a JSON string without its quotes.
fn json_text_bytes(text: &str) -> usize {
    let bytes_of = |byte| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0C => 2,
        0x00..=0x1F => 6,
        _ => 1,
    };
    text.bytes().map(bytes_of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{InstantSleep, Script, event_bus, region, sdk_config};
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use std::time::Duration;

    fn event(key: &str, detail: &str) -> OutgoingEvent {
        OutgoingEvent {
            source: "test",
            detail_type: "customer.updated".to_owned(),
            detail: json!({ "is": detail }).to_string(),
            order_key: key.to_owned(),
            correlation: Correlation::default(),
            place: None,
        }
    }

    fn publisher(script: &Script) -> (EventPublisher, InstantSleep) {
        let budget = CallBudget::within(Duration::from_secs(8));
        let sleep = InstantSleep::default();
        let publisher = EventPublisher {
            sleep: SharedAsyncSleep::new(sleep.clone()),
            ..EventPublisher::new(&sdk_config(script), region("us-west-2"), event_bus("bus"), budget)
        };
        (publisher, sleep)
    }

    fn refs(events: &[OutgoingEvent]) -> Vec<&OutgoingEvent> {
        events.iter().collect()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(30)
    }

    /// What each request carried: the details of its entries.
    fn sent(script: &Script) -> Vec<Vec<String>> {
        let detail = |entry: &Value| {
            let detail: Value = serde_json::from_str(entry["Detail"].as_str().expect("text")).expect("JSON");
            detail["is"].as_str().expect("text").to_owned()
        };
        let entries = |body: &Value| body["Entries"].as_array().expect("a list").iter().map(detail).collect();
        script.bodies().iter().map(entries).collect()
    }

    /// An answer to `PutEvents` with one entry for each of `codes`; an empty code is success.
    fn answer(codes: &[&str]) -> Value {
        let entries: Vec<Value> = codes
            .iter()
            .map(|code| match *code {
                "" => json!({ "EventId": "id" }),
                code => json!({ "ErrorCode": code, "ErrorMessage": "told" }),
            })
            .collect();
        let failed = codes.iter().filter(|code| !code.is_empty()).count();
        json!({ "FailedEntryCount": failed, "Entries": entries })
    }

    #[tokio::test]
    async fn entries_carry_what_a_bus_needs() {
        let script = Script::new().ok(answer(&[""]));
        let results = publisher(&script).0.publish(&refs(&[event("k", "a")]), soon()).await;
        assert_eq!(results, [Ok(Taken::Sent)]);
        let expected = json!({ "Entries": [{
            "Source": "test", "DetailType": "customer.updated", "Detail": "{\"is\":\"a\"}", "EventBusName": "bus",
        }]});
        assert_eq!(script.bodies(), [expected]);
    }

    #[test]
    fn what_waited_is_found_by_whatever_can_be_read_of_it() {
        let id = "c818f4bf-67a4-4b26-ab31-e855aa277d6c";
        let check = |envelope: Value, expected: (Option<&str>, bool)| {
            let Correlation { event_id, traceparent } = OutgoingEvent::parked("k", envelope.to_string()).correlation();
            let found = (event_id.map(|id| id.to_string()), traceparent.is_some());
            assert_eq!((found.0.as_deref(), found.1), expected, "{envelope}");
        };
        let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        check(json!({ "event_id": id, "traceparent": traceparent }), (Some(id), true));
        check(json!({ "event_id": id, "traceparent": "nonsense" }), (Some(id), false));
        check(json!({ "event_id": "nonsense", "traceparent": traceparent }), (None, true));
        check(json!([]), (None, false));
    }

    fn traced(event: OutgoingEvent, flags: &str) -> OutgoingEvent {
        let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
        let traceparent = Some(text.parse().expect("a trace context"));
        OutgoingEvent { correlation: Correlation { event_id: None, traceparent }, ..event }
    }

    #[tokio::test]
    async fn recorded_traces_go_with_their_entries() {
        let script = Script::new().ok(answer(&["", "", ""]));
        let events = vec![event("a", "1"), traced(event("b", "2"), "01"), traced(event("c", "3"), "00")];
        publisher(&script).0.publish(&refs(&events), soon()).await;
        let entries = &script.bodies()[0]["Entries"];
        let header = "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1";
        assert_eq!(entries[1]["TraceHeader"], header);
        assert!(entries[0].get("TraceHeader").is_none());
        assert!(entries[2].get("TraceHeader").is_none(), "nobody records it");
    }

    #[test]
    fn a_parked_event_has_the_trace_of_its_envelope() {
        let context = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let id = "ff07b5ad-56c8-57e9-b469-f019380fb126";
        let of = |envelope: &str| OutgoingEvent::parked("k", envelope.to_owned()).correlation();
        let event_id = Some(id.parse().expect("an id"));
        let traceparent = Some(context.parse().expect("a trace context"));
        let envelope = json!({ "event_id": id, "traceparent": context, "payload": {} });
        assert_eq!(of(&envelope.to_string()), Correlation { event_id, traceparent });
        let envelope = json!({ "event_id": id, "payload": {} });
        assert_eq!(of(&envelope.to_string()), Correlation { event_id, traceparent: None });
        assert_eq!(of("damaged"), Correlation::default());
    }

    #[tokio::test]
    async fn nothing_to_publish_sends_nothing() {
        let script = Script::new();
        assert!(publisher(&script).0.publish(&refs(&[]), soon()).await.is_empty());
        assert!(script.bodies().is_empty());
    }

    #[tokio::test]
    async fn only_failed_entries_are_sent_again() {
        let script = Script::new().ok(answer(&["", "ThrottlingException", ""])).ok(answer(&[""]));
        let (publisher, sleep) = publisher(&script);
        let results = publisher.publish(&refs(&[event("a", "1"), event("b", "2"), event("c", "3")]), soon()).await;
        assert_eq!(results, [Ok(Taken::Sent), Ok(Taken::Sent), Ok(Taken::Sent)]);
        assert_eq!(sent(&script), [vec!["1", "2", "3"], vec!["2"]]);
        let pauses = sleep.taken();
        assert_eq!(pauses.len(), 1);
        assert!((25..=50).contains(&pauses[0].as_millis()), "{pauses:?}");
    }

    #[tokio::test]
    async fn events_of_one_key_go_one_after_the_other() {
        let script = Script::new().ok(answer(&["InternalFailure", ""])).ok(answer(&[""])).ok(answer(&[""]));
        let events = vec![event("a", "a1"), event("a", "a2"), event("b", "b1")];
        let results = publisher(&script).0.publish(&refs(&events), soon()).await;
        assert!(results.iter().all(Result::is_ok));
        assert_eq!(sent(&script), [vec!["a1", "b1"], vec!["a1"], vec!["a2"]]);
    }

    #[tokio::test]
    async fn what_follows_a_lost_event_is_held_back() {
        let throttled = || answer(&["ThrottlingException"]);
        let script = Script::new().ok(answer(&["ThrottlingException", ""])).ok(throttled()).ok(throttled());
        let events = vec![event("a", "a1"), event("a", "a2"), event("b", "b1")];
        let results = publisher(&script).0.publish(&refs(&events), soon()).await;
        assert!(matches!(results[0], Err(PublishError::Throttled { .. })));
        assert_eq!(results[1..], [Err(PublishError::HeldBack), Ok(Taken::Sent)]);
        assert_eq!(sent(&script).len(), 3, "three attempts and no more");
    }

    #[tokio::test]
    async fn poison_does_not_hold_back_what_follows() {
        let script = Script::new().ok(answer(&["MalformedDetail"])).ok(answer(&[""]));
        let results = publisher(&script).0.publish(&refs(&[event("a", "a1"), event("a", "a2")]), soon()).await;
        let error = results[0].clone().expect_err("refused");
        assert!(error.is_poison() && error.class() == "publish_refused");
        assert_eq!(results[1], Ok(Taken::Sent));
    }

    #[tokio::test]
    async fn a_refused_request_is_taken_apart() {
        let script =
            Script::new().error(400, "ValidationException").ok(answer(&[""])).error(400, "ValidationException");
        let results = publisher(&script).0.publish(&refs(&[event("a", "good"), event("b", "bad")]), soon()).await;
        assert_eq!(results[0], Ok(Taken::Sent));
        assert!(matches!(results[1], Err(PublishError::Refused { .. })));
        assert_eq!(sent(&script), [vec!["good", "bad"], vec!["good"], vec!["bad"]]);
    }

    #[tokio::test]
    async fn denied_is_nobodys_poison_and_not_tried_again() {
        let script = Script::new().error(400, "AccessDeniedException");
        let results = publisher(&script).0.publish(&refs(&[event("a", "1"), event("b", "2")]), soon()).await;
        for result in results {
            let error = result.expect_err("denied");
            assert!(!error.is_poison(), "{error}");
        }
        assert_eq!(sent(&script).len(), 1);
    }

    #[tokio::test]
    async fn a_server_error_and_a_lost_connection_are_tried_again() {
        let script = Script::new().error(500, "InternalException").lost_connection().ok(answer(&[""]));
        assert_eq!(publisher(&script).0.publish(&refs(&[event("a", "1")]), soon()).await, [Ok(Taken::Sent)]);
    }

    #[tokio::test]
    async fn an_attempt_without_an_answer_is_not_forgotten() {
        let outcome = async |script: Script| {
            let mut results = publisher(&script).0.publish(&refs(&[event("a", "1")]), soon()).await;
            let error = results.remove(0).expect_err("nothing was taken");
            (error.class(), error.is_surely_unsent())
        };
        let throttled = |script: Script| script.error(400, "ThrottlingException");
        let denied = |script: Script| script.error(400, "AccessDeniedException");
        assert_eq!(outcome(throttled(throttled(throttled(Script::new())))).await, ("publish_throttled", true));
        assert_eq!(outcome(denied(throttled(Script::new()))).await, ("publish_denied", true));
        let unavailable = ("publish_unavailable", false);
        for uncertain in [
            Script::new().error(500, "InternalException"),
            Script::new().lost_connection(),
            Script::new().ok(json!("unreadable")),
            Script::new().ok(answer(&["InternalFailure"])),
        ] {
            assert_eq!(outcome(throttled(throttled(uncertain))).await, unavailable);
        }
        assert_eq!(outcome(denied(Script::new().lost_connection())).await, unavailable);
        let refused = Script::new().lost_connection().error(400, "ValidationException");
        assert_eq!(outcome(refused).await, ("publish_refused", true), "as it would have been before");
        let late = Script::new().hangs();
        let deadline = Instant::now() + Duration::from_millis(50);
        let results = publisher(&late).0.publish(&refs(&[event("a", "1")]), deadline).await;
        assert!(matches!(&results[..], [Err(error)] if !error.is_surely_unsent()), "{results:?}");
    }

    #[test]
    fn who_was_under_way_when_a_neighbour_was_given_up_may_have_arrived() {
        let events = [event("a", "1"), event("b", "2"), event("c", "3")];
        let refs = refs(&events);
        let mut work = Work::new(&refs, &event_bus("bus"), 3);
        let failure = Failure::of_entry;
        work.settle(&[0], RequestAnswer::Failed(failure("AccessDeniedException", "m")));
        work.settle(&[1], RequestAnswer::Failed(failure("InternalFailure", "m")));
        work.admit_doubts();
        let unsent = |answer: Answer| answer.map_err(|error| error.is_surely_unsent());
        let unsent: Vec<_> = work.into_results().into_iter().map(unsent).collect();
        assert_eq!(unsent, [Err(true), Err(false), Err(true)]);
    }

    #[tokio::test]
    async fn an_answer_that_does_not_fit_is_no_success() {
        let script = Script::new().ok(answer(&[""])).ok(answer(&[""])).ok(answer(&["", "", ""]));
        let results = publisher(&script).0.publish(&refs(&[event("a", "1"), event("b", "2")]), soon()).await;
        assert!(results.iter().all(|result| matches!(result, Err(PublishError::Unavailable { .. }))), "{results:?}");
    }

    #[tokio::test]
    async fn an_event_over_the_limit_is_not_sent() {
        let script = Script::new().ok(answer(&[""]));
        // Each quote takes two bytes in the request: the text alone would fit.
        let large = event("a", &"\"".repeat(MAX_REQUEST_BYTES / 3));
        let results = publisher(&script).0.publish(&refs(&[large, event("a", "small")]), soon()).await;
        assert!(matches!(results[0], Err(PublishError::TooLarge { .. })));
        assert_eq!(results[1], Ok(Taken::Sent));
        assert_eq!(sent(&script), [vec!["small"]]);
    }

    #[tokio::test]
    async fn nothing_is_begun_after_the_deadline() {
        let script = Script::new().hangs();
        let results = publisher(&script).0.publish(&refs(&[event("a", "1"), event("b", "2")]), Instant::now()).await;
        assert!(results.iter().all(|result| *result == Err(PublishError::OutOfTime)), "{results:?}");
        assert!(script.bodies().is_empty(), "nothing was sent");
    }

    #[tokio::test]
    async fn a_request_under_way_is_given_up_at_the_deadline() {
        let script = Script::new().hangs();
        let deadline = Instant::now() + Duration::from_millis(50);
        let results = publisher(&script).0.publish(&refs(&[event("a", "1"), event("a", "2")]), deadline).await;
        assert_eq!(results[0], Err(PublishError::OutOfTime));
        assert!(results[1].is_err());
        assert_eq!(sent(&script), [vec!["1"]]);
    }

    #[test]
    fn requests_respect_entries_bytes_and_concurrency() {
        let many: Vec<_> = (0..100).map(|n| event(&n.to_string(), "x")).collect();
        let work = Work::new(&refs(&many), &event_bus("bus"), 3);
        let requests = work.next_requests();
        assert_eq!(requests.iter().map(Vec::len).collect::<Vec<_>>(), [10, 10, 10, 10]);
        let half = "x".repeat(MAX_REQUEST_BYTES / 2 - 1_000);
        let large: Vec<_> = (0..5).map(|n| event(&n.to_string(), &half)).collect();
        let work = Work::new(&refs(&large), &event_bus("bus"), 3);
        assert_eq!(work.next_requests(), [vec![0, 1], vec![2, 3], vec![4]]);
    }

    proptest! {
        #[test]
        fn the_size_is_never_underestimated(
            detail in ".{0,300}",
            key in "[a-z]{1,5}",
            flags in proptest::option::of("0[01]"),
        ) {
            let event = event(&key, &detail);
            let event = match flags {
                Some(flags) => traced(event, &flags),
                None => event,
            };
            let (publisher, _) = publisher(&Script::new());
            let entry = serde_json::to_string(&publisher.entry(&event)).expect("JSON");
            prop_assert!(entry.len() + ",".len() <= event.request_bytes(&event_bus("bus")));
        }

        /// Whatever the bus answers: each key's successes are a prefix of its events, up to poison.
        #[test]
        fn order_per_key_is_kept(keys in prop::collection::vec(0..4_u8, 1..40), seed in any::<u64>()) {
            let events: Vec<_> = keys.iter().enumerate().map(|(n, key)| event(&key.to_string(), &n.to_string())).collect();
            let events = refs(&events);
            let mut work = Work::new(&events, &event_bus("bus"), 3);
            let mut delivered: Vec<usize> = Vec::new();
            let mut chance = seed | 1;
            for _ in 0..1_000 {
                let requests = work.next_requests();
                if requests.is_empty() {
                    break;
                }
                for request in requests {
                    let answers = request.iter().map(|index| {
                        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                        match (chance >> 33) % 4 {
                            0 => Err(Failure::of_entry("InternalFailure", "m")),
                            1 if index % 7 == 0 => Err(Failure::of_entry("MalformedDetail", "m")),
                            _ => {
                                delivered.push(*index);
                                Ok(())
                            }
                        }
                    });
                    let answers = RequestAnswer::Entries(answers.collect());
                    work.settle(&request, answers);
                }
            }
            prop_assert!(work.next_requests().is_empty(), "it ends");
            for key in 0..4_u8 {
                let of_key: Vec<usize> = delivered.iter().copied().filter(|index| keys[*index] == key).collect();
                prop_assert!(of_key.is_sorted_by(|a, b| a < b), "in order, once each: {of_key:?}");
                let results: Vec<_> = (0..keys.len()).filter(|n| keys[*n] == key).map(|n| work.items[n].result.clone()).collect();
                let lost = results.iter().position(|r| matches!(r, Some(Err(e)) if !e.is_poison()));
                if let Some(lost) = lost {
                    prop_assert!(results[lost..].iter().all(|r| !matches!(r, Some(Ok(Taken::Sent)))), "nothing overtakes");
                }
            }
        }
    }
}
