//! `events`: a region's bus, its queues, its functions, and the consumer's role.

use std::time::Duration;

use cfn::events::event_bus;
use cfn::events::rule::{DeadLetterConfig, RuleState, Target};
use cfn::{Arn, Handle, Value, kms};
use contracts::{
    AuthorizerBinding, AuthorizerSettings, Binding, Bound, EventRouterBinding, EventRouterSettings,
    EventTransformerBinding, EventTransformerSettings, Flow, HealthCheckerBinding, HealthCheckerSettings, Region,
    Regions, StreamProcessorBinding, StreamProcessorSettings, resource,
};
use events::{Entity, cross_region, domain, health, raw};
use serde_json::{Value as Json, json};

use crate::constructs::function::{self, Shared};
use crate::constructs::policy::{Statement, statements_of};
use crate::constructs::queue::{OpenQueue, Queue};
use crate::constructs::trigger::{Schedule, Streams, Trigger, WorkQueue};
use crate::constructs::{Scope, bus, key, role, stateful, table};
use crate::consumer::{self, KafkaEndpoints};
use crate::environment::Environment;
use crate::stacks::{api, cluster, secrets, state};
use crate::system::{Source, StackInstance, Subject};

/// Keys of synthetic rows start with this; the observer sees their events and no others.
pub const SYNTHETIC_PREFIX: &str = "smoke-";

/// The stack of one region.
pub(crate) fn stack(environment: &Environment, region: &Region) -> StackInstance {
    let mut scope = Scope::new(environment, region, "events", "Event bus, queues and functions");
    let key = key::of_region(&mut scope, "KeyArn", region);
    scope.after("data", environment.primary());
    scope.after("secrets", environment.primary());
    scope.after("state", region);
    scope.after("delivery", region);
    let code_bucket = scope.input("CodeBucket", "Artifact bucket of this region", Source::CodeBucket);
    let shared = Shared { code_bucket: &code_bucket, key: &key };

    let bus = event_bus(&mut scope, &key);
    observer(&mut scope, &bus, &key);
    let streams = table_streams(&mut scope);
    stream_processor(&mut scope, &bus, &streams, &shared);
    event_router(&mut scope, &streams, &shared);
    event_transformer(&mut scope, &bus, &shared);
    health_checker(&mut scope, &shared);
    authorizer(&mut scope, &shared);
    consumer_role(&mut scope, &key);
    scope.finish()
}

fn event_bus(scope: &mut Scope<'_>, key: &Value<Arn<kms::Key>>) -> Handle<cfn::events::EventBus> {
    let name = bus::name(scope);
    let arn = bus::arn_in(scope, scope.region);
    let dead_letters =
        OpenQueue::dead_letters(scope, "EventBusDeadLetters", "event-bus-dead-letters", key).for_bus(scope, &arn);
    // It stays with its archive, which keeps a rule on it.
    let bus = stateful(
        cfn::events::EventBus::new(name)
            .description("domain events of this region and what its peers send")
            .kms_key_identifier(key)
            .dead_letter_config(event_bus::DeadLetterConfig::new().arn(dead_letters.arn())),
    );
    let bus = scope.add("EventBus", bus);
    let days = scope.environment.archive().retention.days();
    scope.add(
        "EventArchive",
        stateful(
            cfn::events::Archive::new(bus.arn())
                .archive_name(scope.environment.name("events"))
                .description("everything that was on the bus but canaries, for replay")
                .event_pattern(json!({"source": [{"anything-but": health::SOURCE}]}))
                .kms_key_identifier(key)
                .retention_days(days),
        ),
    );
    scope.output("EventBusName", "The region's bus", bus.reference());
    scope.output("EventBusArn", "ARN of the region's bus", bus.arn());
    bus
}

/// Sends what `pattern` matches to a queue; what can't be sent goes to `undelivered`.
#[track_caller]
fn rule_to_queue(
    scope: &mut Scope<'_>,
    (logical_id, name): (&str, &str),
    description: &str,
    bus: &Handle<cfn::events::EventBus>,
    pattern: Json,
    queue: OpenQueue,
    undelivered: OpenQueue,
) -> Queue {
    let rule_name = scope.environment.name(name);
    let dead_letters = DeadLetterConfig::new().arn(undelivered.arn());
    let rule = scope.add(
        logical_id,
        cfn::events::Rule::new()
            .name(rule_name.as_str())
            .description(description)
            .event_bus_name(bus.reference())
            .event_pattern(pattern)
            .state(RuleState::Enabled)
            .targets([Target::new(queue.arn(), name).dead_letter_config(dead_letters)]),
    );
    scope.watch(logical_id, Subject::Rule { bus: bus::name(scope), rule: rule_name });
    undelivered.for_rule(scope, &rule);
    let queue = queue.for_rule(scope, &rule);
    scope.flow(scope.place("event bus", bus::BUS), "sends to", scope.place("queue", queue.name()));
    queue
}

/// A queue that gets the events of synthetic rows, so that `synth smoke` can prove their arrival.
fn observer(scope: &mut Scope<'_>, bus: &Handle<cfn::events::EventBus>, key: &Value<Arn<kms::Key>>) {
    // What nobody fetched within a day is from a run that was broken off.
    let retention = Duration::from_secs(86_400);
    let why = "events of synthetic rows, which nobody misses";
    let queue = OpenQueue::passing(scope, "Observer", "observer", retention, why, key);
    let undelivered = OpenQueue::dead_letters(scope, "ObserverDeadLetters", "observer-dead-letters", key);
    let pattern = json!({
        "source": [domain::SOURCE, cross_region::SOURCE],
        "detail": {"key": [{"prefix": SYNTHETIC_PREFIX}]},
    });
    let names = ("ObserverRule", "observer");
    let queue = rule_to_queue(scope, names, "events of synthetic rows", bus, pattern, queue, undelivered);
    scope.output("ObserverQueueUrl", "Events of synthetic rows", queue.url());
}

fn table_streams(scope: &mut Scope<'_>) -> Vec<(Entity, Value<String>)> {
    let stream = |entity: Entity| {
        let parameter = format!("{}StreamArn", table::logical_id(entity));
        let description = format!("Stream of this region's replica of {}", entity.as_str());
        let source = Source::TableStream { table: table::name(scope, entity) };
        (entity, scope.input(&parameter, &description, source))
    };
    Entity::ALL.into_iter().map(stream).collect()
}

fn stream_processor(
    scope: &mut Scope<'_>,
    bus: &Handle<cfn::events::EventBus>,
    streams: &[(Entity, Value<String>)],
    shared: &Shared<'_>,
) {
    let letters = queue_of_role(scope, "StreamProcessorDeadLetters", "stream-processor-dead-letters", shared);
    let failures = pointers_of_role(scope, "StreamProcessorFailures", "stream-processor-failures", shared);
    let settings = &scope.environment.functions().stream_processor;
    let binding = StreamProcessorBinding {
        bus: bus::publish(bus),
        dead_letters: letters.send(),
        settings: StreamProcessorSettings {
            publish_timeout: settings.publish.publish_timeout,
            deadline_margin: settings.publish.deadline_margin,
        },
    };
    let trigger = Trigger::Streams(Streams { tables: streams, settings: &settings.stream, give_up_to: &failures });
    function::add(scope, "StreamProcessor", &binding, shared, &trigger);
}

/// How often parked events are taken up.
const DRAIN_EVERY: Duration = Duration::from_secs(60);

fn event_router(scope: &mut Scope<'_>, streams: &[(Entity, Value<String>)], shared: &Shared<'_>) {
    let letters = queue_of_role(scope, "EventRouterDeadLetters", "event-router-dead-letters", shared);
    let failures = pointers_of_role(scope, "EventRouterFailures", "event-router-failures", shared);
    let settings = &scope.environment.functions().event_router;
    let peers: Vec<&Region> = scope.environment.peers(scope.region).collect();
    let binding = EventRouterBinding {
        peers: Regions::new(peers.iter().copied().cloned()).expect("an environment has two regions or more, each once"),
        peer_bus: bus::publish_in(scope, peers),
        dead_letters: letters.send(),
        breakers: state::share_breakers(scope, shared.key),
        parking: state::park_events(scope, shared.key),
        settings: EventRouterSettings {
            publish_timeout: settings.publish.publish_timeout,
            deadline_margin: settings.publish.deadline_margin,
            ..EventRouterSettings::default()
        },
    };
    let streams = Trigger::Streams(Streams { tables: streams, settings: &settings.stream, give_up_to: &failures });
    // Parked events are taken up by the clock: a peer that comes back must not wait for the next change.
    let undelivered = queue_of_role(scope, "EventRouterUndelivered", "event-router-undelivered", shared);
    let drains = queue_of_role(scope, "EventRouterDrainFailures", "event-router-drain-failures", shared);
    let drain = Trigger::Schedule(Schedule { every: DRAIN_EVERY, undelivered: &undelivered, failures: &drains });
    function::add(scope, "EventRouter", &binding, shared, &Trigger::Both(&streams, &drain));
}

/// Raw events wait in a queue for the transformer: nothing is lost while it is down, and one bad event holds up none.
fn event_transformer(scope: &mut Scope<'_>, bus: &Handle<cfn::events::EventBus>, shared: &Shared<'_>) {
    let settings = &scope.environment.functions().event_transformer;
    let given_up = queue_of_role(scope, "RawEventsDeadLetters", "raw-events-dead-letters", shared);
    let timeout = settings.function.timeout;
    let raw = OpenQueue::work(scope, "RawEvents", "raw-events", timeout, &given_up, shared.key);
    let undelivered = OpenQueue::dead_letters(scope, "RawEventsUndelivered", "raw-events-undelivered", shared.key);
    let pattern = json!({"source": [raw::SOURCE], "detail-type": [raw::DETAIL_TYPE]});
    let names = ("RawEventsRule", "raw-events");
    let raw = rule_to_queue(scope, names, "events from the API", bus, pattern, raw, undelivered);
    scope.flow(scope.place("queue", raw.name()), "gives up to", scope.place("queue", given_up.name()));

    let letters = queue_of_role(scope, "EventTransformerDeadLetters", "event-transformer-dead-letters", shared);
    let binding = EventTransformerBinding {
        bus: bus::publish(bus),
        dead_letters: letters.send(),
        idempotency: state::claim_work(scope, shared.key),
        settings: EventTransformerSettings {
            publish_timeout: settings.publish.publish_timeout,
            deadline_margin: settings.publish.deadline_margin,
            idempotency_retention: settings.idempotency_retention,
            geo_database: settings.geo.file(),
            ..EventTransformerSettings::default()
        },
    };
    let (batch_size, concurrency) = (settings.batch_size, settings.concurrency);
    let trigger = Trigger::Queue(WorkQueue { queue: &raw, batch_size, concurrency });
    function::add(scope, "EventTransformer", &binding, shared, &trigger);
}

fn health_checker(scope: &mut Scope<'_>, shared: &Shared<'_>) {
    let undelivered = queue_of_role(scope, "HealthCheckerUndelivered", "health-checker-undelivered", shared);
    let failures = queue_of_role(scope, "HealthCheckerFailures", "health-checker-failures", shared);
    let why = "canary messages, which say nothing after a moment";
    let retention = Duration::from_secs(300);
    let canaries = OpenQueue::passing(scope, "HealthCanaries", CANARIES, retention, why, shared.key).for_roles(scope);
    let peers = key::of_peers(scope);
    let settings = &scope.environment.functions().health_checker;
    let binding = HealthCheckerBinding {
        regions: Regions::new(scope.environment.from_region(scope.region).cloned())
            .expect("an environment has two regions or more, each once"),
        health: state::probe_health(scope, shared.key, &peers),
        authority: table::read_authority(scope, shared.key),
        bus: bus::publish_in(scope, scope.environment.from_region(scope.region)),
        canaries: probe_canaries(scope, &canaries, shared.key, &peers),
        control_planes: control_planes(scope, settings.list_control_planes),
        settings: HealthCheckerSettings {
            // Two checks may be missed before the verdict means nothing any more.
            verdict_expiry: 3 * settings.every,
            check_interval: settings.every,
            ..HealthCheckerSettings::default()
        },
    };
    let trigger = Trigger::Schedule(Schedule { every: settings.every, undelivered: &undelivered, failures: &failures });
    function::add(scope, "HealthChecker", &binding, shared, &trigger);
}

/// The control planes of every region, if they are to be looked at. Listing knows no single resource.
fn control_planes(scope: &Scope<'_>, listed: bool) -> Bound<Value<String>, resource::ControlPlanes, resource::List> {
    if !listed {
        return Bound::unused("ignored".into());
    }
    Bound::new("names of what there is", "listed".into(), Vec::new())
        .in_regions(scope.environment.from_region(scope.region))
}

/// The canary queue's name without system and environment, the same in each region.
const CANARIES: &str = "health-canaries";

/// Probing the canary queue of every region; `peers` are the other regions with their keys.
fn probe_canaries(
    scope: &Scope<'_>,
    own: &Queue,
    key: &Value<Arn<kms::Key>>,
    peers: &[(&Region, Value<Arn<kms::Key>>)],
) -> Bound<Value<String>, resource::NamedQueue, resource::Probe> {
    let name = scope.environment.name(CANARIES);
    let mut arns: Vec<Value<String>> = vec![own.arn().into()];
    arns.extend(peers.iter().map(|(region, _)| scope.arn_in(region, "sqs", &name)));
    let bound = Bound::new(CANARIES, name.as_str().into(), arns)
        .in_regions(scope.environment.from_region(scope.region))
        .encrypted_by(key.clone().into());
    peers.iter().fold(bound, |bound, (region, key)| bound.encrypted_in((*region).clone(), key.clone().into()))
}

fn authorizer(scope: &mut Scope<'_>, shared: &Shared<'_>) {
    let settings = scope.environment.api();
    let binding = AuthorizerBinding {
        secret_issuer: settings.secret_issuer.clone(),
        key_issuer: settings.key_issuer.clone(),
        audience: settings.audience.clone(),
        grants: api::grants(scope.environment),
        signing_secret: secrets::read_jwt(scope, shared.key),
        settings: AuthorizerSettings {
            answer_kept: settings.answer_kept,
            http_answer: api::ANSWER,
            bad_token: settings.bad_token,
            ..AuthorizerSettings::default()
        },
    };
    function::add(scope, "Authorizer", &binding, shared, &Trigger::Calls);
}

/// A dead-letter queue that a role of the account sends to.
#[track_caller]
fn queue_of_role(scope: &mut Scope<'_>, logical_id: &str, name: &str, shared: &Shared<'_>) -> Queue {
    OpenQueue::dead_letters(scope, logical_id, name, shared.key).for_roles(scope)
}

/// A queue for what event source mappings of streams give up on, which the function's role sends there.
#[track_caller]
fn pointers_of_role(scope: &mut Scope<'_>, logical_id: &str, name: &str, shared: &Shared<'_>) -> Queue {
    OpenQueue::pointers(scope, logical_id, name, shared.key).for_roles(scope)
}

/// The role that the consumer's pods run as.
fn consumer_role(scope: &mut Scope<'_>, key: &Value<Arn<kms::Key>>) {
    let endpoints = KafkaEndpoints::of(scope.environment);
    let binding =
        consumer::binding(scope.environment, scope.region, &endpoints, table::read_authority(scope, key), |entity| {
            table::write(scope, entity, key)
        });
    scope.report(binding.mistakes());
    let needs = binding.needs();
    for entity in Entity::ALL {
        let topic = crate::system::Place { kind: "topic", name: entity.topic().to_owned(), region: None };
        scope.flow(topic, "feeds", scope.place("consumer", contracts::CdcConsumer::NAME));
    }
    for need in &needs {
        let consumer = scope.place("consumer", contracts::CdcConsumer::NAME);
        let table = scope.place(need.kind, need.target.clone());
        let (from, to) = match need.flow {
            Flow::In => (table, consumer),
            Flow::Out | Flow::Both => (consumer, table),
        };
        scope.flow(from, need.verb, to);
    }
    let mut statements = statements_of(contracts::CdcConsumer::NAME, &needs);
    statements.extend(secrets::read_for_pods(scope, key));
    let pods = role::trust_pods(scope, &cluster::name(scope.environment));
    // The local platform has no pods: the tool itself takes the role for the consumer's process there.
    let tool = scope.environment.is_local().then(|| {
        let account = cfn::sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root");
        Statement::allow("Tool", ["sts:AssumeRole"], []).to(json!({"AWS": account}))
    });
    let name = format!("{}-{}", scope.environment.name("consumer"), scope.region);
    let description =
        format!("what the consumer may do in {} of {}", scope.region, scope.environment.environment_name());
    let role = role::draft([pods].into_iter().chain(tool), "consumer", statements)
        .with(|role| role.role_name(name).description(description))
        .add(scope, "ConsumerRole");
    scope.output("ConsumerRoleArn", "Role of the consumer's pods", role.arn());
}
