//! The stream processor over fake ports: what reaches the bus, and what becomes of the rest.

use aws::PublishError;
use aws::fakes::{FakeBus, FakeChange, FakeDeadLetters, FakeRow};
use aws::stream::Batch;
use events::{DomainEvent, Entity, EntityKey, EventId, Region, SourceId};
use lambda_runtime::{Config, Context, LambdaEvent};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use stream_processor::Handler;

/// The function with its fake surroundings.
#[derive(Default)]
struct World {
    bus: FakeBus,
    dead_letters: FakeDeadLetters,
}

impl World {
    /// Hands over a batch; gives back from where on it must be delivered again.
    async fn handle(&self, records: &[Value]) -> Option<String> {
        self.handle_as("tandem-test-stream-processor", records, Duration::from_secs(60)).await
    }

    async fn handle_as(&self, function: &str, records: &[Value], time_left: Duration) -> Option<String> {
        let margin = Duration::from_secs(2);
        let handler = Handler::new(region("us-west-2"), margin, &self.bus, &self.dead_letters);
        let response = handler.handle(lambda_event(records, function, time_left), &mut Vec::new()).await;
        response.deliver_again_from().map(ToOwned::to_owned)
    }

    /// The events on the bus, in order.
    fn events(&self) -> Vec<DomainEvent> {
        self.bus.accepted().iter().map(|event| serde_json::from_str(event.detail()).expect("a domain event")).collect()
    }

    fn event_types(&self) -> Vec<String> {
        self.bus.accepted().iter().map(|event| event.detail_type().to_owned()).collect()
    }
}

#[tokio::test]
async fn a_new_row_is_told_in_full() {
    let world = World::default();
    assert_eq!(world.handle(&[change().record()]).await, None);
    let accepted = world.bus.accepted();
    assert_eq!(accepted.len(), 1);
    assert_eq!((accepted[0].source(), accepted[0].detail_type()), ("tandem.cdc", "customer.created"));
    assert!(
        accepted[0].detail().contains(r#""balance":9007199254740993.10"#),
        "numbers stay exact: {}",
        accepted[0].detail()
    );
    let detail: Value = serde_json::from_str(accepted[0].detail()).expect("JSON");
    let version = "0000000001|1|20260304050607120000000000000000007";
    let source: SourceId = "crm".parse().expect("a source");
    let key: EntityKey = "C-1".parse().expect("a key");
    let event_id = EventId::new(&source, Entity::Customers, &key, &version.parse().expect("a version"));
    let expected = json!({
        "event_id": event_id.to_string(),
        "event_type": "customer.created",
        "entity": "customers",
        "key": "C-1",
        "version": version,
        "source_region": "us-west-2",
        "origin_region": "us-west-2",
        "hop": 0,
        "timestamp": "2026-03-04T05:06:07.12Z",
        "data": detail["data"],
        "trace": {
            "task": "crm", "table": "public.customers", "change_sequence": &version[13..], "stream_position": "00000001.0002",
            "topic": "qlik.customers", "partition": 2, "offset": 40,
        },
    });
    assert_eq!(detail, expected);
    assert_eq!(detail["data"]["name"], "Ada");
}

#[tokio::test]
async fn a_trace_context_goes_from_the_row_onto_the_bus() {
    let world = World::default();
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let batch = [change().traced(traceparent).record(), change().at("101", "C-2").record()];
    assert_eq!(world.handle(&batch).await, None);
    let [traced, other] = &world.bus.accepted()[..] else { panic!("two events") };
    let member = |event: &aws::OutgoingEvent| {
        serde_json::from_str::<Value>(event.detail()).expect("JSON").get("traceparent").cloned()
    };
    assert_eq!((member(traced), member(other)), (Some(json!(traceparent)), None));
    assert_eq!(traced.correlation().traceparent, traceparent.parse().ok());
    assert_eq!(other.correlation().traceparent, None);
}

#[tokio::test]
async fn the_images_decide_what_happened() {
    let world = World::default();
    let between = |before, after| change().between(before, Some(after)).record();
    let batch = [
        between(None, FakeRow::Live),
        between(Some(FakeRow::Live), FakeRow::Live),
        between(Some(FakeRow::Live), FakeRow::Tombstone),
        between(Some(FakeRow::Tombstone), FakeRow::Live),
        between(None, FakeRow::Tombstone),
    ];
    assert_eq!(world.handle(&batch).await, None);
    let expected = ["customer.created", "customer.updated", "customer.deleted", "customer.created", "customer.deleted"];
    assert_eq!(world.event_types(), expected);
    assert!(world.events()[2].data.is_none(), "a deletion carries no columns");
}

#[tokio::test]
async fn the_end_of_a_tombstone_is_not_told() {
    let world = World::default();
    assert_eq!(world.handle(&[change().at("5", "C-1").between(Some(FakeRow::Tombstone), None).record()]).await, None);
    assert!(world.bus.accepted().is_empty() && world.dead_letters.kept().is_empty());
}

#[tokio::test]
async fn rows_of_the_other_region_are_left_to_it() {
    let world = World::default();
    let foreign = FakeChange::new("us-east-1").record();
    assert_eq!(world.handle(&[foreign, change().record()]).await, None);
    assert_eq!(world.events().len(), 1);
    assert!(world.dead_letters.kept().is_empty());
}

#[tokio::test]
async fn a_redelivered_record_gives_the_same_event() {
    let world = World::default();
    let batch = [change().record()];
    assert_eq!(world.handle(&batch).await, None);
    assert_eq!(world.handle(&batch).await, None);
    let accepted = world.bus.accepted();
    assert_eq!(accepted.len(), 2);
    assert_eq!(accepted[0], accepted[1], "byte for byte, so receivers can drop it");
}

#[tokio::test]
async fn a_write_without_a_new_version_is_not_told() {
    let world = World::default();
    let mut record = change().between(Some(FakeRow::Live), Some(FakeRow::Live)).record();
    record["dynamodb"]["OldImage"] = record["dynamodb"]["NewImage"].clone();
    assert_eq!(world.handle(&[record]).await, None);
    assert!(world.bus.accepted().is_empty());
}

#[tokio::test]
async fn changes_of_a_key_stay_in_order() {
    let world = World::default();
    let batch: Vec<Value> = (1..=6)
        .map(|counter| {
            let key = if counter % 2 == 0 { "even" } else { "odd" };
            FakeChange { counter, ..change().at(&counter.to_string(), key) }.record()
        })
        .collect();
    assert_eq!(world.handle(&batch).await, None);
    for key in ["even", "odd"] {
        let events = world.events();
        let versions: Vec<_> =
            events.iter().filter(|event| event.key.as_str() == key).map(|event| &event.version).collect();
        assert_eq!(versions.len(), 3);
        assert!(versions.is_sorted(), "{versions:?}");
    }
}

#[tokio::test]
async fn a_failed_event_is_delivered_again_and_nothing_is_lost() {
    let world = World::default();
    let keys = ["a", "b", "c"];
    let batch: Vec<Value> = keys
        .iter()
        .zip(["98", "99", "100"])
        .map(|(key, sequence_number)| change().at(sequence_number, key).record())
        .collect();
    world.bus.fail_on(r#""key":"b""#, unavailable());
    assert_eq!(world.handle(&batch).await.as_deref(), Some("99"));
    world.bus.recover();
    assert_eq!(world.handle(&batch[1..]).await, None);
    let told: std::collections::BTreeSet<String> = world.events().iter().map(|event| event.key.to_string()).collect();
    assert_eq!(told, keys.map(str::to_owned).into());
}

#[tokio::test]
async fn an_item_that_is_no_row_becomes_a_dead_letter() {
    let world = World::default();
    let mut stranger = change().at("7", "C-1").record();
    stranger["dynamodb"]["NewImage"].as_object_mut().expect("an image").remove("ver");
    assert_eq!(world.handle(&[stranger.clone(), change().record()]).await, None);
    assert_eq!(world.events().len(), 1);
    let letter = &world.dead_letters.kept()[0];
    assert_eq!((letter.program.as_str(), letter.position.as_str()), ("stream-processor", "7"));
    assert!(letter.source.contains("tandem-test-customers"), "{}", letter.source);
    assert!(letter.message.contains("`ver`"), "{}", letter.message);
    assert_eq!(serde_json::from_str::<Value>(letter.record.as_str()).expect("JSON"), stranger);
}

#[tokio::test]
async fn a_dead_letter_that_is_not_stored_keeps_the_record() {
    let world = World::default();
    world.dead_letters.set_broken(true);
    let nonsense = json!({ "dynamodb": { "SequenceNumber": "7" } });
    assert_eq!(world.handle(&[nonsense]).await.as_deref(), Some("7"));
}

#[tokio::test]
async fn work_stops_before_the_deadline() {
    let world = World::default();
    let batch = [change().record()];
    // Less than the margin is left.
    assert_eq!(world.handle_as("tandem-test-late", &batch, Duration::from_secs(1)).await.as_deref(), Some("100"));
    assert!(world.bus.accepted().is_empty());
    assert_eq!(telemetry::LAMBDA_INVOCATIONS_TOTAL.get(&["tandem-test-late"]), 1);
    assert_eq!(telemetry::LAMBDA_ERRORS_TOTAL.get(&["tandem-test-late", "partial_batch"]), 1);
}

/// A new row `C-1` of this region.
fn change() -> FakeChange {
    FakeChange::new("us-west-2")
}

fn region(name: &str) -> Region {
    Region::new(name).expect("a region")
}

fn lambda_event(records: &[Value], function: &str, time_left: Duration) -> LambdaEvent<Batch> {
    let batch = serde_json::from_str(&json!({ "Records": records }).to_string()).expect("a batch");
    let mut context = Context::default();
    let deadline = (SystemTime::now() + time_left).duration_since(UNIX_EPOCH).expect("after 1970");
    context.deadline = u64::try_from(deadline.as_millis()).expect("in range");
    context.env_config = Arc::new(Config { function_name: function.to_owned(), ..Config::default() });
    LambdaEvent::new(batch, context)
}

fn unavailable() -> PublishError {
    PublishError::Unavailable { code: "InternalFailure".to_owned(), message: "told to fail".to_owned() }
}
