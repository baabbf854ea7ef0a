//! The event router over fake ports: what reaches the peer's bus, and what becomes of the rest.

use aws::PublishError;
use aws::fakes::{FakeBus, FakeChange, FakeDeadLetters, FakeRow};
use aws::stream::Batch;
use event_router::Handler;
use events::Region;
use events::cross_region::{self, Envelope};
use events::domain::{DomainEvent, Mapped};
use lambda_runtime::{Config, Context, LambdaEvent};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The function with its fake surroundings.
#[derive(Default)]
struct World {
    bus: FakeBus,
    dead_letters: FakeDeadLetters,
}

impl World {
    /// Hands over a batch; gives back from where on it must be delivered again.
    async fn handle(&self, records: &[Value]) -> Option<String> {
        self.handle_as("tandem-test-event-router", records, Duration::from_secs(60)).await
    }

    async fn handle_as(&self, function: &str, records: &[Value], time_left: Duration) -> Option<String> {
        let margin = Duration::from_secs(2);
        let handler = Handler::new(region("us-west-2"), region("us-east-1"), margin, &self.bus, &self.dead_letters);
        let response = handler.handle(lambda_event(records, function, time_left), &mut Vec::new()).await;
        response.deliver_again_from().map(ToOwned::to_owned)
    }

    /// The envelopes on the peer's bus, in order.
    fn envelopes(&self) -> Vec<Envelope> {
        self.bus.accepted().iter().map(|event| serde_json::from_str(event.detail()).expect("an envelope")).collect()
    }
}

/// The event that the stream processor tells of the same record.
fn domain_event(record: &Value) -> DomainEvent {
    let record = serde_json::from_str(&record.to_string()).expect("a record");
    match DomainEvent::from_record(&record, &region("us-west-2")).expect("a row") {
        Mapped::Event(event) => *event,
        Mapped::Skipped(skip) => panic!("skipped: {}", skip.as_str()),
    }
}

#[tokio::test]
async fn the_peer_gets_the_event_sealed() {
    let world = World::default();
    let record = change().record();
    assert_eq!(world.handle(std::slice::from_ref(&record)).await, None);
    let accepted = world.bus.accepted();
    assert_eq!((accepted[0].source(), accepted[0].detail_type()), ("tandem.cross-region", "CrossRegionEvent"));
    let envelope = &world.envelopes()[0];
    let own = domain_event(&record);
    assert_eq!((&envelope.event_id, &envelope.event_type, &envelope.key), (&own.event_id, &own.event_type, &own.key));
    assert_eq!((envelope.source_region.as_str(), envelope.target_region.as_str()), ("us-west-2", "us-east-1"));
    assert_eq!((envelope.hop, &envelope.path), (1, &vec![region("us-west-2")]));
    let opened = cross_region::open(envelope).expect("opens");
    assert_eq!(opened, DomainEvent { hop: 1, ..own });
}

#[tokio::test]
async fn a_deletion_crosses_too() {
    let world = World::default();
    let record = change().between(Some(FakeRow::Live), Some(FakeRow::Tombstone)).record();
    assert_eq!(world.handle(&[record]).await, None);
    let opened = cross_region::open(&world.envelopes()[0]).expect("opens");
    assert_eq!((opened.event_type.to_string().as_str(), opened.data), ("customer.deleted", None));
}

#[tokio::test]
async fn what_came_from_the_peer_never_goes_back() {
    let world = World::default();
    let foreign = FakeChange::new("us-east-1").record();
    assert_eq!(
        world.handle(&[foreign, change().at("101", "C-1").between(Some(FakeRow::Tombstone), None).record()]).await,
        None
    );
    assert!(world.bus.accepted().is_empty() && world.dead_letters.kept().is_empty());
}

#[tokio::test]
async fn an_event_is_not_sent_where_it_has_been() {
    let (bus, dead_letters) = (FakeBus::default(), FakeDeadLetters::default());
    let own = region("us-west-2");
    let handler = Handler::new(own.clone(), own, Duration::from_secs(2), &bus, &dead_letters);
    let event = lambda_event(&[change().record()], "tandem-test-circle", Duration::from_secs(60));
    assert!(handler.handle(event, &mut Vec::new()).await.is_complete());
    assert!(bus.accepted().is_empty());
    let letter = &dead_letters.kept()[0];
    assert_eq!(letter.program, "event-router");
    assert!(letter.trace.is_some());
}

#[tokio::test]
async fn while_the_peer_is_away_the_batch_is_given_back() {
    let world = World::default();
    let batch: Vec<Value> = ["98", "99", "100"]
        .iter()
        .map(|sequence_number| change().at(sequence_number, sequence_number).record())
        .collect();
    world.bus.fail_on("", unavailable());
    assert_eq!(world.handle(&batch).await.as_deref(), Some("98"));
    assert!(world.dead_letters.kept().is_empty(), "an outage makes no dead letters");
    world.bus.recover();
    assert_eq!(world.handle(&batch).await, None);
    let keys: Vec<String> = world.envelopes().iter().map(|envelope| envelope.key.to_string()).collect();
    assert_eq!(keys, ["98", "99", "100"]);
}

#[tokio::test]
async fn a_denied_peer_makes_no_dead_letters_either() {
    let world = World::default();
    let denied = PublishError::Denied { code: "AccessDeniedException".to_owned(), message: "told".to_owned() };
    world.bus.fail_on("", denied);
    assert_eq!(world.handle(&[change().record()]).await.as_deref(), Some("100"));
    assert!(world.dead_letters.kept().is_empty());
}

#[tokio::test]
async fn poison_does_not_stop_what_follows() {
    let world = World::default();
    let mut stranger = change().at("7", "C-1").record();
    stranger["dynamodb"]["NewImage"]["ver"] = json!({ "S": "not a version" });
    assert_eq!(world.handle(&[stranger, change().at("8", "C-1").record()]).await, None);
    assert_eq!(world.envelopes().len(), 1);
    assert_eq!(world.dead_letters.kept()[0].position, "7");
}

#[tokio::test]
async fn a_redelivered_record_gives_the_same_event_inside() {
    let world = World::default();
    let batch = [change().record()];
    assert_eq!(world.handle(&batch).await, None);
    assert_eq!(world.handle(&batch).await, None);
    let opened: Vec<_> =
        world.envelopes().iter().map(|envelope| cross_region::open(envelope).expect("opens")).collect();
    assert_eq!(opened[0], opened[1], "only the time of sending may differ");
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
