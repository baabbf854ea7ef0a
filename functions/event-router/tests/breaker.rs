//! The event router while a peer is away and when it comes back: over a bus and a route in memory, in paused time.

use aws::PublishError;
use aws::fakes::{FakeBus, FakeChange, FakeDeadLetters, FakeRoute};
use aws::stream::Work;
use breaker::{Bounds, Command, Lot, Millis, Reason, Settings, State, StateName, Step, Survey, Thresholds};
use event_router::Handler;
use event_router::guard::Guarded;
use events::Region;
use events::cross_region::Envelope;
use lambda_runtime::{Config, Context, LambdaEvent};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What the function stands in; it outlives the function's instances.
struct World {
    /// Metrics are one for the whole process: a test that reads those of its peer has one of its own.
    peer: &'static str,
    bus: FakeBus,
    route: FakeRoute,
    dead_letters: FakeDeadLetters,
    bounds: Bounds,
}

impl Default for World {
    fn default() -> Self {
        Self {
            peer: "us-east-1",
            bus: FakeBus::default(),
            route: FakeRoute::default(),
            dead_letters: FakeDeadLetters::default(),
            bounds: Bounds::default(),
        }
    }
}

type Router<'a> = Handler<&'a FakeBus, &'a FakeRoute, &'a FakeDeadLetters>;

impl World {
    /// A new instance of the function.
    fn router(&self) -> Router<'_> {
        // Short, because the record's times are those of the machine.
        let open = Duration::from_millis(20);
        let thresholds = Thresholds { open, open_max: open, ..Thresholds::default() };
        let settings = Settings::new(thresholds).expect("valid");
        let ends = [region("us-west-2"), region(self.peer)];
        let way = Guarded::new(ends, &self.bus, &self.route, &self.dead_letters, settings, self.bounds);
        Handler::new(region("us-west-2"), [way], Duration::from_secs(2), &self.dead_letters)
    }

    /// The versions of a key on the peer's bus, in the order in which they first arrived.
    fn arrived(&self, key: &str) -> Vec<String> {
        let mut versions: Vec<String> = Vec::new();
        for event in self.bus.accepted() {
            let envelope: Envelope = serde_json::from_str(event.detail()).expect("an envelope");
            let version = envelope.version.to_string();
            if envelope.key.as_str() == key && !versions.contains(&version) {
                versions.push(version);
            }
        }
        versions
    }

    fn state(&self) -> StateName {
        self.route.record().state.name()
    }

    /// Opens the breaker by an operator's command.
    fn command(&self, command: Command) {
        let record = self.route.record();
        let Step::Write(write) = record.command(command, "a test", Millis(1)) else {
            panic!("there is nothing to change")
        };
        self.route.put_record(write.apply((record.version > 0).then_some(&record)).expect("nobody else writes"));
    }
}

/// A change of a key: its `number` is its place in the stream and its version.
fn change(key: &str, number: u64) -> Value {
    FakeChange { counter: number, ..FakeChange::new("us-west-2").at(&(100 + number).to_string(), key) }.record()
}

async fn handle(router: &Router<'_>, records: &[Value]) -> Option<String> {
    let answer = router.handle(event(&json!({ "Records": records })), &mut Vec::new()).await.expect("an answer");
    answer.deliver_again_from().map(ToOwned::to_owned)
}

/// What metrics tell of `peer` after one more batch.
async fn told_of(peer: &str, router: &Router<'_>, record: Value) -> String {
    let mut metrics = Vec::new();
    router.handle(event(&json!({ "Records": [record] })), &mut metrics).await.expect("an answer");
    let text = String::from_utf8(metrics).expect("text");
    text.lines().filter(|line| line.contains(peer)).collect()
}

/// Drains, and gives back the metrics that were written.
async fn drain(router: &Router<'_>) -> String {
    let mut metrics = Vec::new();
    let answer = router.handle(event(&json!({ "source": "aws.scheduler", "detail": {} })), &mut metrics).await;
    assert!(answer.expect("the tables are there").is_complete());
    String::from_utf8(metrics).expect("text")
}

/// Fails until the breaker opens; the events that were tried are parked by then.
async fn outage(world: &World, router: &Router<'_>, key: &str) {
    world.bus.fail_on("", unavailable());
    for _ in 0..5 {
        handle(router, &[change(key, 1)]).await;
    }
    assert_eq!(world.state(), StateName::Open);
}

#[tokio::test]
async fn an_open_breaker_parks_and_the_stream_goes_on() {
    let world = World::default();
    let router = world.router();
    world.bus.fail_on("", unavailable());
    for number in 1..5 {
        assert_eq!(handle(&router, &[change("a", number)]).await, Some((100 + number).to_string()), "still closed");
    }
    assert_eq!(handle(&router, &[change("a", 5)]).await, None, "the fifth failure opens it, and the event is parked");
    assert_eq!(handle(&router, &[change("b", 6), change("a", 7)]).await, None);
    assert_eq!(world.state(), StateName::Open);
    let parked = world.route.parked();
    let places: Vec<_> =
        parked.iter().map(|event| (&*event.key.0, event.position.as_str().trim_start_matches('0'))).collect();
    assert_eq!(places, [("customers/a", "105"), ("customers/a", "107"), ("customers/b", "106")]);
    assert!(world.bus.accepted().is_empty() && world.dead_letters.kept().is_empty());
}

#[tokio::test]
async fn another_instance_knows_of_the_open_breaker() {
    let world = World::default();
    outage(&world, &world.router(), "a").await;
    world.bus.recover();
    let other = world.router();
    assert_eq!(handle(&other, &[change("b", 2)]).await, None);
    assert!(world.arrived("b").is_empty(), "it is parked though this instance saw no failure");
    assert_eq!(world.route.flagged(), ["customers/a", "customers/b"]);
}

#[tokio::test]
async fn what_waited_arrives_in_order_and_the_lot_is_declared_empty() {
    let world = World::default();
    let router = world.router();
    outage(&world, &router, "a").await;
    for number in 2..=6 {
        assert_eq!(handle(&router, &[change("a", number), change("b", number)]).await, None);
    }
    world.bus.recover();
    drain(&router).await;
    assert_eq!(world.route.record().state, State::Closed { lot: Lot::Empty });
    assert!(world.route.parked().is_empty() && world.route.flagged().is_empty());
    let (a, b) = (world.arrived("a"), world.arrived("b"));
    assert_eq!((a.len(), b.len()), (6, 5));
    assert!(a.is_sorted() && b.is_sorted(), "{a:?} {b:?}");
    let reads = world.route.flag_reads();
    assert_eq!(handle(&router, &[change("a", 7)]).await, None);
    assert_eq!((world.arrived("a").len(), world.route.flag_reads()), (7, reads), "no flag is looked up any more");
}

#[tokio::test]
async fn an_event_waits_behind_those_of_its_key_although_the_breaker_is_closed() {
    let world = World::default();
    let router = world.router();
    world.command(Command::ForceOpen);
    assert_eq!(handle(&router, &[change("a", 1)]).await, None);
    world.command(Command::ForceClosed);
    assert_eq!(handle(&router, &[change("a", 2), change("b", 3)]).await, None);
    assert_eq!((world.arrived("a").len(), world.arrived("b").len()), (0, 1));
    assert_eq!(world.route.parked().len(), 2);
    drain(&router).await;
    assert_eq!(world.arrived("a").len(), 2);
    assert!(world.arrived("a").is_sorted());
}

#[tokio::test]
async fn a_drain_tells_what_waits_and_later_batches_do_not_repeat_it() {
    let world = World { peer: "eu-north-1", ..World::default() };
    let router = world.router();
    world.command(Command::ForceOpen);
    assert_eq!(handle(&router, &[change("a", 1), change("b", 2)]).await, None);
    let told = drain(&router).await;
    assert!(told.contains("parking_depth") && told.contains("parking_oldest_age_seconds"), "{told}");
    let later = told_of(world.peer, &router, change("c", 3)).await;
    assert!(!later.contains("parking_depth") && later.contains("circuit_breaker_state"), "{later}");
}

#[tokio::test]
async fn a_drain_tells_of_a_closed_breaker_and_batches_do_not() {
    let world = World { peer: "eu-west-3", ..World::default() };
    let router = world.router();
    let told = told_of(world.peer, &router, change("a", 1)).await;
    assert!(told.contains("cross_region_events_total") && !told.contains("circuit_breaker_state"), "{told}");
    let told = drain(&router).await;
    assert!(told.lines().any(|line| line.contains(world.peer) && line.contains("circuit_breaker_state")), "{told}");
    let later = told_of(world.peer, &router, change("a", 2)).await;
    assert!(!later.contains("circuit_breaker_state"), "{later}");
}

#[tokio::test]
async fn traffic_itself_probes_with_an_event_that_waits() {
    let world = World::default();
    let router = world.router();
    outage(&world, &router, "a").await;
    world.bus.recover();
    // The open time, by the machine's clock.
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(handle(&router, &[change("b", 2)]).await, None);
    assert_eq!((world.arrived("a").len(), world.arrived("b").len()), (1, 0));
    assert_eq!(world.state(), StateName::HalfOpen, "two probes must go well");
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(handle(&router, &[change("c", 3)]).await, None);
}

/// Parks an event of each key, one after the other, and lets the breaker probe.
async fn parked_in_turn(world: &World, router: &Router<'_>, keys: &[&str]) {
    world.command(Command::ForceOpen);
    for (number, key) in (1..).zip(keys) {
        assert_eq!(handle(router, &[change(key, number)]).await, None);
        // Else two could be of one millisecond, by the machine's clock.
        std::thread::sleep(Duration::from_millis(3));
    }
}

/// The keys on the peer's bus in the order of their arrival.
fn keys_in_order(world: &World) -> Vec<String> {
    let key = |detail: &str| serde_json::from_str::<Envelope>(detail).expect("an envelope").key.to_string();
    world.bus.accepted().iter().map(|event| key(event.detail())).collect()
}

#[tokio::test]
async fn a_drain_probes_with_the_oldest_event_of_all_keys() {
    let world = World::default();
    let router = world.router();
    parked_in_turn(&world, &router, &["m", "z", "a", "z", "m"]).await;
    world.command(Command::Release);
    drain(&router).await;
    // Two probes, each the oldest of what waits then; what follows goes in the order of keys.
    assert_eq!(keys_in_order(&world), ["m", "z", "a", "m", "z"]);
    assert_eq!(world.route.counts(), 2, "before each probe, and not for the drain");
    assert_eq!(world.route.record().state, State::Closed { lot: Lot::Empty });
}

#[tokio::test]
async fn traffic_probes_with_what_the_last_survey_saw_as_the_oldest() {
    let world = World::default();
    let router = world.router();
    parked_in_turn(&world, &router, &["z", "a"]).await;
    // The drain of a breaker that was forced open only counts.
    drain(&router).await;
    assert_eq!(world.route.record().survey.oldest_key.as_ref().map(|key| &*key.0), Some("customers/z"));
    world.command(Command::Release);
    assert_eq!(handle(&router, &[change("b", 9)]).await, None);
    assert_eq!((keys_in_order(&world), world.state()), (vec!["z".to_owned()], StateName::HalfOpen));
    assert_eq!(world.route.counts(), 1, "a batch doesn't count");
    // Nobody knows of an older one by now. The flag of a key without events goes first.
    for number in 10..=12 {
        assert_eq!(handle(&router, &[change("b", number)]).await, None);
    }
    assert_eq!(keys_in_order(&world)[..2], ["z", "a"]);
}

#[tokio::test]
async fn where_too_many_wait_to_be_counted_the_oldest_that_was_seen_is_probed() {
    let world = World::default();
    let router = world.router();
    world.route.set_crowded(true);
    parked_in_turn(&world, &router, &["z", "a"]).await;
    // The drain of a breaker that was forced open only counts.
    drain(&router).await;
    let survey = world.route.record().survey;
    assert_eq!((survey.depth, survey.oldest_key.as_ref().map(|key| &*key.0)), (2, Some("customers/a")));
    assert!(survey.oldest.is_some(), "an age that is reached, for the alarm and the bounds");
    world.command(Command::Release);
    drain(&router).await;
    assert_eq!(keys_in_order(&world), ["a", "z"]);
    assert_eq!(world.route.counts(), 2, "once in each drain");
    assert!(world.route.parked().is_empty());
}

#[tokio::test]
async fn a_probe_that_fails_opens_the_breaker_again() {
    let world = World::default();
    let router = world.router();
    outage(&world, &router, "a").await;
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(handle(&router, &[change("b", 2)]).await, None);
    assert_eq!(world.state(), StateName::Open);
    assert_eq!(world.route.record().reason, Reason::ProbeFailed);
    assert_eq!(world.route.parked().len(), 2);
}

#[tokio::test]
async fn a_drain_that_cannot_reach_its_tables_fails() {
    let world = World::default();
    world.route.set_broken(true);
    let answer = world.router().handle(event(&json!({ "source": "aws.scheduler" })), &mut Vec::new()).await;
    assert_eq!(answer.expect_err("no table").code, "ServiceUnavailable");
}

#[tokio::test]
async fn what_an_outage_left_in_the_record_does_not_count_against_the_next() {
    let world = World { bounds: Bounds { max_age: Duration::ZERO, ..Bounds::default() }, ..World::default() };
    let router = world.router();
    world.command(Command::ForceOpen);
    assert_eq!(handle(&router, &[change("a", 1)]).await, None);
    drain(&router).await;
    assert_eq!(world.route.record().survey.depth, 1);
    world.command(Command::ForceClosed);
    drain(&router).await;
    assert_eq!(world.route.record().survey, Survey { parks: 1, ..Survey::default() });
    world.command(Command::ForceOpen);
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(handle(&router, &[change("a", 2)]).await, None);
}

#[tokio::test]
async fn a_key_that_can_neither_be_sent_nor_buried_holds_up_no_other() {
    let world = World::default();
    let router = world.router();
    world.command(Command::ForceOpen);
    assert_eq!(handle(&router, &[change("a", 1), change("b", 2)]).await, None);
    world.command(Command::ForceClosed);
    let refused = PublishError::Refused { code: "MalformedDetail".to_owned(), message: "told to refuse".to_owned() };
    world.bus.fail_on(r#""key":"a""#, refused);
    world.dead_letters.set_broken(true);
    drain(&router).await;
    assert_eq!((world.arrived("b").len(), world.route.flagged()), (1, vec!["customers/a".to_owned()]));
}

#[tokio::test]
async fn time_that_is_over_says_nothing_against_the_peer() {
    let world = World::default();
    let router = world.router();
    world.bus.fail_on("", PublishError::OutOfTime);
    for _ in 0..10 {
        assert_eq!(handle(&router, &[change("a", 1)]).await.as_deref(), Some("101"));
    }
    assert_eq!(world.state(), StateName::Closed);
}

#[tokio::test]
async fn without_the_store_nothing_is_sent_or_parked() {
    let world = World::default();
    let router = world.router();
    world.route.set_broken(true);
    assert_eq!(handle(&router, &[change("a", 1), change("b", 2)]).await.as_deref(), Some("101"));
    assert!(world.bus.accepted().is_empty());
    world.route.set_broken(false);
    assert_eq!(handle(&router, &[change("a", 1), change("b", 2)]).await, None);
    assert_eq!(world.bus.accepted().len(), 2);
}

#[tokio::test]
async fn a_full_lot_gives_back_and_drops_nothing() {
    let world = World { bounds: Bounds { max_depth: 1, ..Bounds::default() }, ..World::default() };
    let router = world.router();
    world.command(Command::ForceOpen);
    assert_eq!(handle(&router, &[change("a", 1)]).await, None);
    assert_eq!(handle(&router, &[change("b", 2)]).await.as_deref(), Some("102"));
    assert_eq!(world.route.parked().len(), 1);
}

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Of two keys an event waits for a bus that takes events again: that of `a` has a trace, that of `b` has none.
async fn parked_with_a_trace(world: &World, router: &Router<'_>) {
    world.command(Command::ForceOpen);
    let traced = FakeChange::new("us-west-2").at("101", "a").traced(TRACEPARENT).record();
    assert_eq!(handle(router, &[traced, change("b", 2)]).await, None);
    world.command(Command::ForceClosed);
}

#[tokio::test]
async fn a_parked_event_that_the_bus_refuses_becomes_a_dead_letter() {
    let world = World::default();
    let router = world.router();
    parked_with_a_trace(&world, &router).await;
    let refused = PublishError::Refused { code: "MalformedDetail".to_owned(), message: "told to refuse".to_owned() };
    world.bus.fail_on(r#""key":"a""#, refused);
    drain(&router).await;
    let letters = world.dead_letters.kept();
    assert_eq!((letters.len(), letters[0].error_class.as_str()), (1, "publish_refused"));
    assert_eq!(letters[0].traceparent, TRACEPARENT.parse().ok());
    assert_eq!(letters[0].trace_id, letters[0].traceparent.map(|context| context.trace_id()));
    let record = letters[0].original_record().expect("readable");
    assert_eq!(serde_json::from_str::<Envelope>(record.as_str()).expect("the whole envelope").key.as_str(), "a");
    assert_eq!(world.arrived("b").len(), 1);
    assert!(world.route.parked().is_empty() && world.route.flagged().is_empty());
}

#[tokio::test]
async fn an_event_that_waited_has_its_trace_again() {
    let world = World::default();
    let router = world.router();
    parked_with_a_trace(&world, &router).await;
    drain(&router).await;
    let accepted = world.bus.accepted();
    let traces: BTreeMap<&str, _> =
        accepted.iter().map(|event| (event.order_key(), event.correlation().traceparent)).collect();
    assert_eq!(traces, [("customers/a", TRACEPARENT.parse().ok()), ("customers/b", None)].into());
}

#[tokio::test]
async fn a_denied_peer_is_no_sick_peer() {
    let world = World::default();
    let router = world.router();
    let denied = PublishError::Denied { code: "AccessDeniedException".to_owned(), message: "told".to_owned() };
    world.bus.fail_on("", denied);
    for _ in 0..10 {
        assert_eq!(handle(&router, &[change("a", 1)]).await.as_deref(), Some("101"));
    }
    assert_eq!(world.state(), StateName::Closed, "waiting doesn't help, so nothing is parked");
}

#[test]
fn an_event_of_neither_kind_is_refused() {
    for wrong in [json!({}), json!({ "source": "aws.events" }), json!([]), json!("text")] {
        assert!(serde_json::from_str::<Work>(&wrong.to_string()).is_err(), "{wrong}");
    }
}

fn event(body: &Value) -> LambdaEvent<Work> {
    let work = serde_json::from_str(&body.to_string()).expect("an event");
    let mut context = Context::default();
    let deadline = (SystemTime::now() + Duration::from_secs(30)).duration_since(UNIX_EPOCH).expect("after 1970");
    context.deadline = u64::try_from(deadline.as_millis()).expect("in range");
    context.env_config = Arc::new(Config { function_name: "tandem-test-breaker".to_owned(), ..Config::default() });
    LambdaEvent::new(work, context)
}

fn region(name: &str) -> Region {
    Region::new(name).expect("a region")
}

fn unavailable() -> PublishError {
    PublishError::Unavailable { code: "InternalFailure".to_owned(), message: "told to fail".to_owned() }
}

#[tokio::test]
async fn a_transition_is_counted_with_where_from_where_to_and_why() {
    let world = World { peer: "ap-south-1", ..World::default() };
    let router = world.router();
    outage(&world, &router, "a").await;
    // What the next batch writes of it may have been written by another test's batch, so what is counted is looked at.
    let counted = telemetry::prometheus::render();
    let name = "circuit_breaker_transitions_total{";
    let lines: Vec<&str> = counted.lines().filter(|line| line.starts_with(name) && line.contains(world.peer)).collect();
    let labels = r#"target_region="ap-south-1",from="closed",to="open",reason="consecutive_failures""#;
    assert_eq!(lines, [format!("{name}{labels}}} 1")]);
}
