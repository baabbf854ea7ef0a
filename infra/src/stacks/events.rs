//! `events`: a region's bus, its queues, its functions, and the consumer's role.

use std::time::Duration;

use cfn::events::event_bus;
use cfn::events::rule::{DeadLetterConfig, RuleState, Target};
use cfn::{Arn, Handle, Value, iam, kms};
use contracts::{
    Binding, EventRouterBinding, EventRouterSettings, Region, StreamProcessorBinding, StreamProcessorSettings,
};
use events::{Entity, cross_region, domain};
use serde_json::json;

use crate::constructs::function::{self, Streams};
use crate::constructs::policy::{Statement, document, statements_of};
use crate::constructs::queue::OpenQueue;
use crate::constructs::{Scope, bus, key, stateful, table};
use crate::consumer::{self, KafkaEndpoints};
use crate::environment::{Environment, Program};
use crate::system::{Source, StackInstance};

/// Keys of synthetic rows start with this; the observer sees their events and no others.
pub const SYNTHETIC_PREFIX: &str = "smoke-";

/// The stack of one region.
pub(crate) fn stack(environment: &Environment, region: &Region) -> StackInstance {
    let mut scope = Scope::new(environment, region, "events", "Event bus, queues and functions");
    let key = key::of_region(&mut scope, "KeyArn", region);
    scope.after("data", environment.primary());
    scope.after("delivery", region);
    let code_bucket = scope.input("CodeBucket", "Artifact bucket of this region", Source::CodeBucket);
    let streams: Vec<_> = Entity::ALL
        .into_iter()
        .map(|entity| {
            let parameter = format!("{}StreamArn", table::logical_id(entity));
            let description = format!("Stream of this region's replica of {}", entity.as_str());
            let source = Source::TableStream { table: table::name(&scope, entity) };
            (entity, scope.input(&parameter, &description, source))
        })
        .collect();

    let bus = event_bus(&mut scope, &key);
    observer(&mut scope, &bus, &key);

    let retention = environment.queues().retention;
    let processor_letters =
        OpenQueue::add(&mut scope, "StreamProcessorDeadLetters", "stream-processor-dead-letters", retention, &key)
            .for_roles(&mut scope);
    let processor_failures =
        OpenQueue::add(&mut scope, "StreamProcessorFailures", "stream-processor-failures", retention, &key)
            .for_roles(&mut scope);
    let settings = environment.function(Program::StreamProcessor);
    let processor = StreamProcessorBinding {
        bus: bus::publish(&bus),
        dead_letters: processor_letters.send(),
        settings: StreamProcessorSettings {
            publish_timeout: settings.publish_timeout,
            deadline_margin: settings.deadline_margin,
        },
    };
    let from_streams = Streams { tables: &streams, give_up_to: &processor_failures };
    function::add(&mut scope, "StreamProcessor", &processor, &code_bucket, &key, &from_streams);

    let router_letters =
        OpenQueue::add(&mut scope, "EventRouterDeadLetters", "event-router-dead-letters", retention, &key)
            .for_roles(&mut scope);
    let router_failures = OpenQueue::add(&mut scope, "EventRouterFailures", "event-router-failures", retention, &key)
        .for_roles(&mut scope);
    let settings = environment.function(Program::EventRouter);
    let peer = peer_of(environment, region);
    let router = EventRouterBinding {
        peer_region: peer.clone(),
        peer_bus: bus::publish_in(&scope, &peer),
        dead_letters: router_letters.send(),
        settings: EventRouterSettings {
            publish_timeout: settings.publish_timeout,
            deadline_margin: settings.deadline_margin,
        },
    };
    let from_streams = Streams { tables: &streams, give_up_to: &router_failures };
    function::add(&mut scope, "EventRouter", &router, &code_bucket, &key, &from_streams);

    consumer_role(&mut scope, &key);
    scope.finish()
}

fn event_bus(scope: &mut Scope<'_>, key: &Value<Arn<kms::Key>>) -> Handle<cfn::events::EventBus> {
    let name = bus::name(scope);
    let arn = scope.arn_in(scope.region, "events", &format!("event-bus/{name}"));
    let retention = scope.environment.queues().retention;
    let dead_letters =
        OpenQueue::add(scope, "EventBusDeadLetters", "event-bus-dead-letters", retention, key).for_bus(scope, &arn);
    // It stays with its archive, which keeps a rule on it.
    let bus = stateful(
        cfn::events::EventBus::new(name)
            .description("domain events of this region and what its peer sends")
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
                .description("everything that was on the bus, for replay")
                .kms_key_identifier(key)
                .retention_days(days),
        ),
    );
    scope.output("EventBusName", "The region's bus", bus.reference());
    bus
}

/// A queue that gets the events of synthetic rows, so that `synth smoke` can prove their arrival.
fn observer(scope: &mut Scope<'_>, bus: &Handle<cfn::events::EventBus>, key: &Value<Arn<kms::Key>>) {
    // What nobody fetched within a day is from a run that was broken off.
    let retention = Duration::from_secs(86_400);
    let queue = OpenQueue::add_passing(scope, "Observer", "observer", retention, key);
    let dead_letters = OpenQueue::add(
        scope,
        "ObserverDeadLetters",
        "observer-dead-letters",
        scope.environment.queues().retention,
        key,
    );
    let rule = scope.add(
        "ObserverRule",
        cfn::events::Rule::new()
            .name(scope.environment.name("observer"))
            .description("events of synthetic rows")
            .event_bus_name(bus.reference())
            .event_pattern(json!({
                "source": [domain::SOURCE, cross_region::SOURCE],
                "detail": {"key": [{"prefix": SYNTHETIC_PREFIX}]},
            }))
            .state(RuleState::Enabled)
            .targets([Target::new(queue.arn(), "observer")
                .dead_letter_config(DeadLetterConfig::new().arn(dead_letters.arn()))]),
    );
    let queue = queue.for_rule(scope, &rule);
    dead_letters.for_rule(scope, &rule);
    scope.output("ObserverQueueUrl", "Events of synthetic rows", queue.url());
}

/// The role that the consumer's pods run as.
fn consumer_role(scope: &mut Scope<'_>, key: &Value<Arn<kms::Key>>) {
    let endpoints = KafkaEndpoints::of(scope.environment);
    let binding =
        consumer::binding(scope.environment, scope.region, &endpoints, |entity| table::write(scope, entity, key));
    scope.report(binding.mistakes());
    let pods = Statement::allow("Pods", ["sts:AssumeRole", "sts:TagSession"], [])
        .for_service("pods.eks.amazonaws.com")
        .when("StringEquals", "aws:SourceAccount", cfn::pseudo::account_id().into_inner());
    // The local platform has no pods: the tool itself takes the role for the consumer's process there.
    let tool = scope.environment.is_local().then(|| {
        let account = cfn::sub("arn:${AWS::Partition}:iam::${AWS::AccountId}:root");
        Statement::allow("Tool", ["sts:AssumeRole"], []).to(json!({"AWS": account}))
    });
    let role = scope.add(
        "ConsumerRole",
        iam::Role::new(document([pods].into_iter().chain(tool)))
            .role_name(format!("{}-{}", scope.environment.name("consumer"), scope.region))
            .description(format!(
                "what the consumer may do in {} of {}",
                scope.region,
                scope.environment.environment_name()
            ))
            .policies([iam::role::Policy::new(document(statements_of(&binding.needs())), "consumer")]),
    );
    scope.output("ConsumerRoleArn", "Role of the consumer's pods", role.arn());
}

/// The region that this one sends to.
fn peer_of(environment: &Environment, region: &Region) -> Region {
    environment.peers(region).next().expect("an environment has two regions").clone()
}
