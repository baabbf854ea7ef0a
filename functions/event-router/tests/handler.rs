//! The event router over fake ports: what reaches the peers' buses, and what becomes of the rest.

use aws::PublishError;
use aws::fakes::{FakeBus, FakeChange, FakeDeadLetters, FakeRoute, FakeRow};
use aws::stream::Work;
use breaker::{Bounds, Settings};
use event_router::Handler;
use event_router::guard::Guarded;
use events::Region;
use events::cross_region::{self, Envelope};
use events::domain::{DomainEvent, Mapped};
use lambda_runtime::{Config, Context, LambdaEvent};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The function with its fake surroundings.
struct World {
    peers: usize,
    bus: FakeBus,
    second_bus: FakeBus,
    routes: [FakeRoute; 2],
    dead_letters: FakeDeadLetters,
}

impl Default for World {
    fn default() -> Self {
        Self {
            peers: 1,
            bus: FakeBus::default(),
            second_bus: FakeBus::default(),
            routes: Default::default(),
            dead_letters: FakeDeadLetters::default(),
        }
    }
}

impl World {
    /// Hands over a batch; gives back from where on it must be delivered again.
    async fn handle(&self, records: &[Value]) -> Option<String> {
        self.handle_as("tandem-test-event-router", records, Duration::from_secs(60)).await
    }

    async fn handle_as(&self, function: &str, records: &[Value], time_left: Duration) -> Option<String> {
        let margin = Duration::from_secs(2);
        let own = region("us-west-2");
        let peers = [("us-east-1", &self.bus), ("eu-west-1", &self.second_bus)].into_iter().zip(&self.routes);
        let ways = peers
            .take(self.peers)
            .map(|((peer, bus), route)| way([own.clone(), region(peer)], bus, route, &self.dead_letters));
        let handler = Handler::new(own.clone(), ways, margin, &self.dead_letters);
        let response =
            handler.handle(lambda_event(records, function, time_left), &mut Vec::new()).await.expect("an answer");
        response.deliver_again_from().map(ToOwned::to_owned)
    }

    /// The envelopes on the first peer's bus, in order.
    fn envelopes(&self) -> Vec<Envelope> {
        Self::envelopes_on(&self.bus)
    }

    fn envelopes_on(bus: &FakeBus) -> Vec<Envelope> {
        bus.accepted().iter().map(|event| serde_json::from_str(event.detail()).expect("an envelope")).collect()
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
async fn a_trace_context_crosses_inside_and_outside_of_the_envelope() {
    let world = World::default();
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    assert_eq!(world.handle(&[change().traced(traceparent).record()]).await, None);
    let envelope = &world.envelopes()[0];
    assert_eq!(envelope.traceparent, Some(traceparent.parse().expect("a trace context")));
    assert_eq!(cross_region::open(envelope).expect("opens").traceparent, envelope.traceparent);
    assert_eq!(world.bus.accepted()[0].correlation(), envelope.correlation());
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
    let (bus, route, dead_letters) = (FakeBus::default(), FakeRoute::default(), FakeDeadLetters::default());
    let own = region("us-west-2");
    let circle = way([own.clone(), own.clone()], &bus, &route, &dead_letters);
    let handler = Handler::new(own, [circle], Duration::from_secs(2), &dead_letters);
    let event = lambda_event(&[change().record()], "tandem-test-circle", Duration::from_secs(60));
    assert!(handler.handle(event, &mut Vec::new()).await.expect("an answer").is_complete());
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

/// Two peers: `us-east-1` and `eu-west-1`.
fn two_peers() -> World {
    World { peers: 2, ..World::default() }
}

fn three_rows() -> Vec<Value> {
    [("98", "a"), ("99", "b"), ("100", "c")].map(|(place, key)| change().at(place, key).record()).into()
}

fn keys(envelopes: &[Envelope]) -> Vec<&str> {
    envelopes.iter().map(|envelope| envelope.key.as_str()).collect()
}

#[tokio::test]
async fn every_peer_gets_every_event_sealed_for_it() {
    let world = two_peers();
    assert_eq!(world.handle(&three_rows()).await, None);
    for (bus, target) in [(&world.bus, "us-east-1"), (&world.second_bus, "eu-west-1")] {
        let envelopes = World::envelopes_on(bus);
        assert_eq!(keys(&envelopes), ["a", "b", "c"]);
        assert!(envelopes.iter().all(|envelope| envelope.target_region.as_str() == target), "{target}");
        assert!(envelopes.iter().all(|envelope| cross_region::open(envelope).is_ok()));
    }
    let ids = |bus| World::envelopes_on(bus).into_iter().map(|envelope| envelope.event_id).collect::<Vec<_>>();
    assert_eq!(ids(&world.bus), ids(&world.second_bus));
}

#[tokio::test]
async fn a_record_is_done_when_all_peers_took_it() {
    let world = two_peers();
    world.second_bus.fail_on(r#""key":"b""#, unavailable());
    let batch = three_rows();
    assert_eq!(world.handle(&batch).await.as_deref(), Some("99"));
    assert_eq!(keys(&World::envelopes_on(&world.bus)), ["a", "b", "c"], "the peer that is well gets all of them");
    assert_eq!(keys(&World::envelopes_on(&world.second_bus)), ["a"]);
    world.second_bus.recover();
    assert_eq!(world.handle(&batch[1..]).await, None);
    let first = World::envelopes_on(&world.bus);
    assert_eq!(keys(&first), ["a", "b", "c", "b", "c"]);
    assert_eq!(first[1].event_id, first[3].event_id, "a repeat is known by its id");
    assert_eq!(keys(&World::envelopes_on(&world.second_bus)), ["a", "b", "c"]);
    assert!(world.dead_letters.kept().is_empty());
}

#[tokio::test]
async fn the_lowest_record_that_any_peer_missed_is_the_checkpoint() {
    let world = two_peers();
    world.bus.fail_on(r#""key":"c""#, unavailable());
    world.second_bus.fail_on(r#""key":"a""#, unavailable());
    assert_eq!(world.handle(&three_rows()).await.as_deref(), Some("98"));
}

#[tokio::test]
async fn each_peer_has_its_own_count() {
    // A region of its own, because all tests of the process share the counts.
    let (west, first, second) = (region("ap-south-1"), FakeBus::default(), FakeBus::default());
    let dead_letters = FakeDeadLetters::default();
    second.fail_on("", unavailable());
    let routes: [FakeRoute; 2] = Default::default();
    let ways = [("us-east-1", &first, &routes[0]), ("eu-west-1", &second, &routes[1])]
        .map(|(peer, bus, route)| way([west.clone(), region(peer)], bus, route, &dead_letters));
    let handler = Handler::new(west, ways, Duration::from_secs(2), &dead_letters);
    let batch = [FakeChange::new("ap-south-1").record()];
    let event = lambda_event(&batch, "tandem-test-counts", Duration::from_secs(60));
    assert!(!handler.handle(event, &mut Vec::new()).await.expect("an answer").is_complete());
    let count = |peer, outcome| telemetry::CROSS_REGION_EVENTS_TOTAL.get(&["ap-south-1", peer, outcome]);
    assert_eq!((count("us-east-1", "published"), count("us-east-1", "failed")), (1, 0));
    assert_eq!((count("eu-west-1", "published"), count("eu-west-1", "failed")), (0, 1));
    let measured = |peer| telemetry::CROSS_REGION_LATENCY_SECONDS.count(&["ap-south-1", peer]);
    assert_eq!((measured("us-east-1"), measured("eu-west-1")), (1, 0));
}

/// A new row `C-1` of this region.
fn change() -> FakeChange {
    FakeChange::new("us-west-2")
}

fn region(name: &str) -> Region {
    Region::new(name).expect("a region")
}

fn way<'a>(
    ends: [Region; 2],
    bus: &'a FakeBus,
    route: &'a FakeRoute,
    dead_letters: &'a FakeDeadLetters,
) -> Guarded<&'a FakeBus, &'a FakeRoute, &'a FakeDeadLetters> {
    Guarded::new(ends, bus, route, dead_letters, Settings::default(), Bounds::default())
}

fn lambda_event(records: &[Value], function: &str, time_left: Duration) -> LambdaEvent<Work> {
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
