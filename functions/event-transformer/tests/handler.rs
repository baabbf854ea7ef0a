//! The event transformer over fake ports: what reaches the bus, and what becomes of the rest.

mod mmdb;

use aws::PublishError;
use aws::fakes::{FakeBus, FakeDeadLetters, FakeRecords};
use aws::idempotency::Idempotency;
use aws::queue::Batch;
use event_transformer::geo::GeoDatabase;
use event_transformer::rules::RuleSet;
use event_transformer::transform::Window;
use event_transformer::{Handler, Ports};
use events::geo::GeoStatus;
use events::raw::{TransformedEvent, ValidationFailed, ViolationCode};
use events::{Region, TraceParent};
use lambda_runtime::{Config, Context, LambdaEvent};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The function with its fake surroundings.
#[derive(Default)]
struct World {
    bus: FakeBus,
    dead_letters: FakeDeadLetters,
    records: FakeRecords,
    /// The bytes of the database of addresses, if there is one.
    geo_database: Option<Vec<u8>>,
    /// X-Ray's header of every message, if the queue has one.
    trace_header: Option<&'static str>,
}

impl World {
    /// Hands over messages `m-0`, `m-1`, …; gives back which of them are to be delivered again.
    async fn handle(&self, bodies: &[String]) -> Vec<String> {
        self.handle_as("tandem-test-event-transformer", bodies, Duration::from_secs(60)).await.0
    }

    /// The same, with what was written as metrics.
    async fn handle_as(&self, function: &str, bodies: &[String], time_left: Duration) -> (Vec<String>, String) {
        let region = Region::new("us-west-2").expect("a region");
        let rules = RuleSet::embedded().expect("good rules");
        let window = Window { oldest: Duration::from_secs(7 * 86_400), furthest_ahead: Duration::from_secs(300) };
        let margin = Duration::from_secs(2);
        let bytes = self.geo_database.clone();
        let database = bytes.map(|bytes| GeoDatabase::from_bytes(bytes).expect("a database"));
        let ports = Ports {
            publisher: &self.bus,
            dead_letters: &self.dead_letters,
            idempotency: Idempotency::new(&self.records, Duration::from_secs(86_400)),
        };
        let handler = Handler::new(region, rules, window, database, margin, ports);
        let mut metrics = Vec::new();
        let response = handler.handle(lambda_event(bodies, self.trace_header, function, time_left), &mut metrics).await;
        (response.deliver_again().map(ToOwned::to_owned).collect(), String::from_utf8(metrics).expect("text"))
    }

    /// `Source` and `DetailType` of what is on the bus.
    fn told(&self) -> Vec<(String, String)> {
        let pair = |event: &aws::OutgoingEvent| (event.source().to_owned(), event.detail_type().to_owned());
        self.bus.accepted().iter().map(pair).collect()
    }

    fn transformed(&self, index: usize) -> TransformedEvent {
        serde_json::from_str(self.bus.accepted()[index].detail()).expect("a transformed event")
    }

    fn refused(&self, index: usize) -> ValidationFailed {
        serde_json::from_str(self.bus.accepted()[index].detail()).expect("a refusal")
    }
}

#[tokio::test]
async fn a_valid_event_is_told_normalised() {
    let world = World::default();
    assert!(world.handle(&[message(&order("C-1"))]).await.is_empty());
    assert_eq!(world.told(), [("tandem.transformer".to_owned(), "transformed".to_owned())]);
    let event = world.transformed(0);
    assert_eq!((event.event_type.as_str(), event.source_region.as_str()), ("order.placed", "eu-west-1"));
    assert_eq!((event.raw_event_id.as_str(), event.transformed_in.as_str()), ("bus-event-1", "us-west-2"));
    assert_eq!(event.timestamp.to_string(), "2026-03-04T05:06:00Z");
    assert_eq!(event.originals["/timestamp"].as_str(), r#""2026-03-04T06:06:00+01:00""#);
    assert!(event.event.as_str().contains(r#""total":12345678901234567890.10"#), "{}", event.event);
    assert_eq!(&event.rules, RuleSet::embedded().expect("good rules").id());
}

#[tokio::test]
async fn an_invalid_event_is_told_with_all_mistakes_and_its_text() {
    let world = World::default();
    let detail = order("C 1").replace("\"EUR\"", "\"euro\"").replace("12345678901234567890.10", "-0.001");
    assert!(world.handle(&[message(&detail)]).await.is_empty());
    assert_eq!(world.told(), [("tandem.transformer".to_owned(), "validation_failed".to_owned())]);
    let refusal = world.refused(0);
    let mistakes: Vec<_> = refusal.errors.iter().map(|error| (error.pointer.as_str(), error.code)).collect();
    let expected = [
        ("/data/customer_id", ViolationCode::WrongForm),
        ("/data/currency", ViolationCode::TooLong),
        ("/data/total", ViolationCode::TooSmall),
    ];
    assert_eq!(mistakes, expected);
    assert_eq!(refusal.original, detail, "as the bus delivered it");
    assert!(world.dead_letters.kept().is_empty());
}

#[tokio::test]
async fn what_is_no_raw_event_becomes_a_dead_letter() {
    let world = World::default();
    let strange = message(&order("C-1")).replace("tandem.api", "tandem.transformer");
    let bodies = ["no JSON \u{1}".to_owned(), "{}".to_owned(), strange.clone(), message(&order("C-1"))];
    assert!(world.handle(&bodies).await.is_empty());
    assert_eq!(world.told().len(), 1);
    let kept = world.dead_letters.kept();
    let told: Vec<_> = kept.iter().map(|letter| (letter.position.as_str(), letter.error_class.as_str())).collect();
    assert_eq!(told, [("m-0", "undecodable"), ("m-1", "undecodable"), ("m-2", "no_raw_event")]);
    assert_eq!(kept[0].program, "event-transformer");
    assert_eq!(serde_json::from_str::<String>(kept[0].record.as_str()).expect("a text"), bodies[0]);
    assert_eq!(kept[2].record.as_str(), strange);
}

#[tokio::test]
async fn a_trace_context_is_kept_whatever_becomes_of_the_event() {
    // What comes beside the body isn't there when the event is replayed, so no event depends on it.
    let inner = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
    let outer = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let header = "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1";
    let check = async |trace_header: Option<&'static str>, member: Option<&str>, expected: Option<&str>| {
        let world = World { trace_header, ..World::default() };
        let member = member.map(|text| format!(r#""traceparent": {text},"#)).unwrap_or_default();
        let good = order("C-1").replacen('{', &format!("{{{member}"), 1);
        let refused = good.replace("\"EUR\"", "\"euro\"");
        assert!(world.handle(&[message(&good), message(&refused), "no event".to_owned()]).await.is_empty());
        let expected = expected.map(|text| text.parse().expect("a trace context"));
        let transformed = world.transformed(0);
        assert_eq!((transformed.traceparent, world.refused(1).traceparent), (expected, expected));
        assert!(
            member.is_empty() || transformed.event.as_str().contains("traceparent"),
            "what no rule speaks of is kept"
        );
        let outer = trace_header.filter(|text| *text == header).map(|_| outer.parse().expect("a trace context"));
        let letter = &world.dead_letters.kept()[0];
        assert_eq!(
            (letter.traceparent, letter.trace_id),
            (outer, outer.map(|context: TraceParent| context.trace_id()))
        );
    };
    let quoted = format!("\"{inner}\"");
    check(None, None, None).await;
    check(None, Some(&quoted), Some(inner)).await;
    check(Some(header), None, None).await;
    check(Some(header), Some(&quoted), Some(inner)).await;
    let ignored = |source| telemetry::TRACE_CONTEXTS_IGNORED_TOTAL.get(&[source]);
    let before = (ignored("raw_event"), ignored("queue"));
    for malformed in ["\"00-nonsense\"", "7", "null", "{}"] {
        check(None, Some(malformed), None).await;
        check(Some(header), Some(malformed), None).await;
    }
    check(Some("Root=nonsense"), None, None).await;
    check(Some("Root=nonsense"), Some(&quoted), Some(inner)).await;
    // Of each check two events have a member and all three messages a header.
    assert_eq!((ignored("raw_event"), ignored("queue")), (before.0 + 16, before.1 + 6));
}

#[tokio::test]
async fn a_refused_events_dead_letter_names_its_trace() {
    let world = World::default();
    world.bus.fail_on("C-1", PublishError::TooLarge { bytes: 2_000_000 });
    assert!(world.handle(&[message(&order("C-1"))]).await.is_empty());
    let letter = &world.dead_letters.kept()[0];
    assert_eq!(letter.traceparent, None);
    // The digits of the event's id.
    assert_eq!(letter.trace_id.expect("an id").to_string(), "919108f752d143209bacf847db4148a1");
}

#[tokio::test]
async fn only_messages_that_were_not_published_come_again() {
    let world = World::default();
    world.bus.fail_on("C-2", throttled());
    let bodies = ["C-1", "C-2", "C-3"].map(|customer| message(&order(customer)));
    assert_eq!(world.handle(&bodies).await, ["m-1", "m-2"]);
    assert_eq!(world.told().len(), 1);
    world.bus.recover();
    assert!(world.handle(&bodies[1..]).await.is_empty());
    let customers: Vec<String> = (0..3).map(|index| customer_of(&world.transformed(index))).collect();
    assert_eq!(customers, ["C-1", "C-2", "C-3"]);
    assert!(world.dead_letters.kept().is_empty(), "an outage makes no dead letters");
}

#[tokio::test]
async fn a_message_that_comes_again_gives_the_same_event() {
    let mut world = World::default();
    let bodies = [replayed(&message(&order("C-1"))), message("{}")];
    assert!(world.handle(&bodies).await.is_empty());
    world.trace_header = Some("Root=1-4bf92f35-77b34da6a3ce929d0e0e4736;Parent=00f067aa0ba902b7;Sampled=1");
    assert!(world.handle(&bodies).await.is_empty());
    let accepted = world.bus.accepted();
    assert_eq!(accepted[..2], accepted[2..], "byte for byte, so receivers can drop it");
}

#[tokio::test]
async fn an_event_that_is_sent_again_is_not_told_again() {
    let world = World::default();
    let again = message(&order("C-1")).replace("bus-event-1", "bus-event-2").replace("05:06:07Z", "05:09:07Z");
    assert!(world.handle(&[message(&order("C-1"))]).await.is_empty());
    let duplicates = || telemetry::RAW_EVENTS_TOTAL.get(&["duplicate"]);
    let before = duplicates();
    assert!(world.handle(&[again]).await.is_empty(), "the client's second request");
    assert!(world.handle(&[message(&order("C-1"))]).await.is_empty(), "the queue's second delivery");
    assert_eq!(world.told().len(), 1);
    assert!(duplicates() >= before + 2);
    let elsewhere = message(&order("C-1").replace("eu-west-1", "us-east-1"));
    assert!(world.handle(&[elsewhere]).await.is_empty());
    assert_eq!(world.told().len(), 2, "ids are a source's own");
}

#[tokio::test]
async fn an_event_that_is_sent_again_under_a_new_span_is_the_same() {
    let world = World::default();
    let of_span = |parent: &str| {
        let member = format!(r#"{{ "traceparent": "00-0af7651916cd43dd8448eb211c80319c-{parent}-01","#);
        message(&order("C-1").replacen('{', &member, 1))
    };
    for body in [of_span("b7ad6b7169203331"), of_span("00f067aa0ba902b7"), message(&order("C-1"))] {
        assert!(world.handle(&[body]).await.is_empty());
    }
    assert_eq!(world.told(), [("tandem.transformer".to_owned(), "transformed".to_owned())]);
}

#[tokio::test]
async fn an_id_with_another_content_is_refused_with_its_text() {
    let world = World::default();
    let other = order("C-1").replace("12345678901234567890.10", "1");
    assert!(world.handle(&[message(&order("C-1"))]).await.is_empty());
    assert!(world.handle(&[message(&other)]).await.is_empty());
    assert_eq!(world.told()[1], ("tandem.transformer".to_owned(), "validation_failed".to_owned()));
    let refusal = world.refused(1);
    let mistakes: Vec<_> = refusal.errors.iter().map(|error| (error.pointer.as_str(), error.code)).collect();
    assert_eq!(mistakes, [("/event_id", ViolationCode::EventIdReused)]);
    assert_eq!((refusal.original.as_str(), refusal.event_type.as_deref()), (other.as_str(), Some("order.placed")));
    assert_eq!(refusal.event_id.as_deref(), Some(world.transformed(0).event_id.to_string().as_str()));
    assert!(telemetry::VALIDATION_ERRORS_TOTAL.get(&["event_id_reused"]) >= 1);
}

#[tokio::test]
async fn what_was_refused_can_be_corrected_under_its_id() {
    let world = World::default();
    let wrong = message(&order("C-1").replace("\"EUR\"", "\"euro\""));
    assert!(world.handle(std::slice::from_ref(&wrong)).await.is_empty());
    assert!(world.handle(&[wrong]).await.is_empty());
    assert_eq!(world.told().len(), 1, "told once");
    assert!(world.handle(&[message(&order("C-1"))]).await.is_empty());
    assert_eq!(world.told()[1].1, "transformed");
}

#[tokio::test]
async fn what_has_no_id_is_refused_each_time() {
    let world = World::default();
    let nameless = message(&order("C-1").replace("event_id", "id"));
    let twice = message(&order("C-1").replacen('{', r#"{ "event_id": "x", "#, 1));
    for body in [nameless, twice] {
        assert!(world.handle(&[body.clone(), body]).await.is_empty());
    }
    assert_eq!((world.told().len(), world.records.writes()), (4, 0));
}

#[tokio::test]
async fn a_replay_tells_everything_once_more() {
    let world = World::default();
    let body = message(&order("C-1"));
    let other = message(&order("C-1").replace("12345678901234567890.10", "1"));
    assert!(world.handle(std::slice::from_ref(&body)).await.is_empty());
    assert!(world.handle(std::slice::from_ref(&other)).await.is_empty());
    assert!(world.handle(&[replayed(&other)]).await.is_empty(), "a replay has no order");
    assert!(world.handle(&[replayed(&body)]).await.is_empty());
    let types: Vec<String> = world.told().into_iter().map(|(_, detail_type)| detail_type).collect();
    assert_eq!(types, ["transformed", "validation_failed", "validation_failed", "transformed"]);
    let accepted = world.bus.accepted();
    assert_eq!((&accepted[3], &accepted[2]), (&accepted[0], &accepted[1]), "byte for byte");
    assert_eq!(world.refused(2).errors[0].code, ViolationCode::EventIdReused);
    // What is replayed before anything is known of it is remembered too.
    let first = message(&order("C-2"));
    for body in [replayed(&first), first] {
        assert!(world.handle(&[body]).await.is_empty());
    }
    assert_eq!(world.told().len(), 5);
}

#[tokio::test]
async fn without_the_records_the_queue_keeps_its_messages() {
    let world = World::default();
    world.records.set_unreachable(true);
    let body = message(&order("C-1"));
    assert_eq!(world.handle(std::slice::from_ref(&body)).await, ["m-0"]);
    assert!(world.told().is_empty());
    world.records.set_unreachable(false);
    assert!(world.handle(&[body]).await.is_empty());
    assert_eq!(world.told().len(), 1);
}

#[tokio::test]
async fn an_event_that_the_bus_refuses_becomes_a_dead_letter() {
    let world = World::default();
    world.bus.fail_on("C-1", PublishError::TooLarge { bytes: 2_000_000 });
    let body = message(&order("C-1"));
    assert!(world.handle(std::slice::from_ref(&body)).await.is_empty());
    let letter = &world.dead_letters.kept()[0];
    assert_eq!((letter.error_class.as_str(), letter.record.as_str()), ("event_too_large", body.as_str()));
}

#[tokio::test]
async fn a_dead_letter_that_is_not_stored_keeps_the_message() {
    let world = World::default();
    world.dead_letters.set_broken(true);
    assert_eq!(world.handle(&["nonsense".to_owned(), message(&order("C-1"))]).await, ["m-0"]);
}

#[tokio::test]
async fn work_stops_before_the_deadline() {
    let world = World::default();
    let bodies = [message(&order("C-1")), "nonsense".to_owned()];
    // Less than the margin is left.
    let (again, _) = world.handle_as("tandem-test-late", &bodies, Duration::from_secs(1)).await;
    assert_eq!(again, ["m-0", "m-1"]);
    assert!(world.told().is_empty() && world.dead_letters.kept().is_empty());
    assert_eq!(telemetry::LAMBDA_ERRORS_TOTAL.get(&["tandem-test-late", "partial_batch"]), 1);
}

#[tokio::test]
async fn everything_is_counted() {
    let world = World::default();
    let counts = || {
        let of = |outcome| telemetry::RAW_EVENTS_TOTAL.get(&[outcome]);
        [of("transformed"), of("invalid"), of("dead_letter"), of("failed")]
    };
    let measured = || telemetry::RAW_EVENT_TRANSFORM_SECONDS.count(&[]);
    let missing = || telemetry::VALIDATION_ERRORS_TOTAL.get(&["missing"]);
    let (before, measured_before, missing_before) = (counts(), measured(), missing());
    world.bus.fail_on("C-2", throttled());
    let bodies = [message(&order("C-1")), message("{}"), "nonsense".to_owned(), message(&order("C-2"))];
    world.handle(&bodies).await;
    // Tests of this process share the counts, so they may be higher.
    for (before, after) in before.into_iter().zip(counts()) {
        assert!(after > before);
    }
    assert!(measured() >= measured_before + 3 && missing() >= missing_before + 4);
}

/// Mistakes of a kind that no other test of this process makes.
#[tokio::test]
async fn mistakes_are_counted_when_they_are_told() {
    let world = World::default();
    let counted = || telemetry::VALIDATION_ERRORS_TOTAL.get(&["not_region"]);
    let body = message(&order("C-1").replace("eu-west-1", "nowhere"));
    world.bus.fail_on("nowhere", throttled());
    for _ in 0..3 {
        assert_eq!(world.handle(std::slice::from_ref(&body)).await, ["m-0"]);
    }
    assert_eq!(counted(), 0, "it comes again");
    world.bus.recover();
    assert!(world.handle(std::slice::from_ref(&body)).await.is_empty());
    assert_eq!(counted(), 1);
}

/// A status that no other test of this process has.
#[tokio::test]
async fn an_event_tells_where_its_address_lies() {
    let networks = [("8.0.0.0/7", mmdb::geoip2("US", "NA"))];
    let world = World { geo_database: Some(mmdb::database("Test-Country", &networks)), ..World::default() };
    let counted = || telemetry::GEO_LOOKUPS_TOTAL.get(&["hit"]);
    let body = message(&order("C-1").replace("\"unknown\"", "\"ip_address\": \"9.1.2.3\", \"unknown\""));
    world.bus.fail_on("C-1", throttled());
    assert_eq!(world.handle(std::slice::from_ref(&body)).await, ["m-0"]);
    assert_eq!(counted(), 0, "it comes again");
    world.bus.recover();
    assert!(world.handle(std::slice::from_ref(&body)).await.is_empty());
    assert_eq!(counted(), 1);
    let event = world.transformed(0);
    let geo = event.geo.expect("asked for");
    assert_eq!((geo.geo_status, geo.country), (GeoStatus::Hit, "US".parse().ok()));
    let database = geo.database.expect("there was one");
    assert_eq!((database.name.as_str(), database.build_epoch), ("Test-Country", mmdb::BUILD_EPOCH));
    assert!(event.event.as_str().contains(r#""ip_address":"9.1.2.0""#), "{}", event.event);
    assert!(!world.bus.accepted()[0].detail().contains("9.1.2.3"));
}

#[tokio::test]
async fn metrics_are_written_at_the_end_of_an_invocation() {
    let world = World::default();
    let (_, metrics) = world.handle_as("tandem-test-metrics", &[message(&order("C-1"))], Duration::from_secs(60)).await;
    // Another test's invocation may have written this one's other values.
    assert!(metrics.contains("\"CloudWatchMetrics\"") && metrics.contains("\"Namespace\":\"Tandem\""), "{metrics}");
}

/// The `detail` of a customer's order, with an id of its own and a number that no double holds.
fn order(customer: &str) -> String {
    let number = &customer[2..];
    format!(
        r#"{{ "event_id": "919108f7-52d1-4320-9bac-f847db4148a{number}", "event_type": "order.placed", "source_region": "eu-west-1",
        "timestamp": "2026-03-04T06:06:00+01:00", "data": {{ "order_id": "O-1", "customer_id": "{customer}",
        "currency": "EUR", "total": 12345678901234567890.10, "unknown": "kept" }} }}"#
    )
}

fn customer_of(event: &TransformedEvent) -> String {
    let event: Value = serde_json::from_str(event.event.as_str()).expect("JSON");
    event["data"]["customer_id"].as_str().expect("text").to_owned()
}

/// The same from the bus's archive.
fn replayed(message: &str) -> String {
    message.replacen('{', r#"{"replay-name":"after-the-outage","#, 1)
}

/// The body of a message: what the bus puts into the queue.
fn message(detail: &str) -> String {
    format!(
        r#"{{"version":"0","id":"bus-event-1","detail-type":"RawEvent","source":"tandem.api","account":"000000000000","time":"2026-03-04T05:06:07Z","region":"us-west-2","resources":[],"detail":{detail}}}"#
    )
}

fn lambda_event(
    bodies: &[String],
    trace_header: Option<&str>,
    function: &str,
    time_left: Duration,
) -> LambdaEvent<Batch> {
    let records = bodies.iter().enumerate().map(|(index, body)| {
        let mut record = json!({
            "messageId": format!("m-{index}"),
            "receiptHandle": "AQEB",
            "body": body,
            "attributes": { "ApproximateReceiveCount": "1", "SentTimestamp": "1772600767000" },
            "messageAttributes": {},
            "md5OfBody": "d41d8cd98f00b204e9800998ecf8427e",
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-west-2:000000000000:tandem-test-raw-events",
            "awsRegion": "us-west-2",
        });
        if let Some(header) = trace_header {
            record["attributes"]["AWSTraceHeader"] = json!(header);
        }
        record
    });
    let records: Vec<Value> = records.collect();
    let batch = serde_json::from_str(&json!({ "Records": records }).to_string()).expect("a batch");
    let mut context = Context::default();
    let deadline = (SystemTime::now() + time_left).duration_since(UNIX_EPOCH).expect("after 1970");
    context.deadline = u64::try_from(deadline.as_millis()).expect("in range");
    context.env_config = Arc::new(Config { function_name: function.to_owned(), ..Config::default() });
    LambdaEvent::new(batch, context)
}

fn throttled() -> PublishError {
    PublishError::Throttled { code: "ThrottlingException".to_owned(), message: "told to fail".to_owned() }
}
