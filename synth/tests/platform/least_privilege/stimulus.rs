//! What makes a program use a statement: one stimulus for each statement, in one table.

use ::aws::idempotency::Key;
use events::{Entity, raw};
use serde_json::{Value as Json, json};

use super::effect::{Effect, Scene};
use super::now;
use crate::api::raw_event;
use crate::aws::Aws;
use crate::breaker;
use crate::changes::send_partial;
use crate::rows::{TABLE, put_row, row};

const RAW_EVENTS: &str = "tandem-sandbox-raw-events";
const HEALTH_CHECKER: &str = "tandem-sandbox-health-checker";
const AUTHORIZER: &str = "tandem-sandbox-authorizer";
const EVENT_ROUTER: &str = "tandem-sandbox-event-router";

/// Something that happens to the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stimulus {
    /// A row of the home region, of which the stream processor tells the own bus.
    Row,
    /// The same, for the event router, which tells the other region's bus.
    RoutedRow,
    /// A row that the function can't decode.
    BrokenRow(&'static str),
    /// A row that the function can't publish, while its mapping gives up at the first failure. The second name is the
    /// statement by which it publishes.
    GivenUpRow(&'static str, &'static str),
    /// A raw event, by the API.
    Request,
    /// The same, with an authorizer that has no secret in memory.
    RequestAtStart,
    /// A raw event that the event transformer can't publish, so that it gives its claim back.
    UnpublishedEvent,
    /// A message for the event transformer that is no event.
    Garbage,
    /// A check of the health checker that somebody waits for.
    Check,
    /// The same, of a process that knows no queue yet.
    CheckAtStart,
    /// One that nobody waits for, and that fails.
    FailingCheck,
    /// A start of the event router that nobody waits for, and that fails.
    FailingStart,
    /// A time of a program's schedule.
    Tick(&'static str),
    /// The same, for a function that the schedule may not start.
    UndeliveredTick(&'static str),
    /// A row that the event router parks, because the breaker is forced open.
    ParkedRow,
    /// A row of which the event router looks whether its key has parked events.
    CheckedRow,
    /// A run of the drain over a key whose events are all gone.
    Drain,
    /// Changes in Kafka: an insert, an update and a deletion for each table.
    Changes,
    /// An insert, and an update that holds only some columns.
    PartialChange(Entity),
}

/// What was changed for a stimulus.
pub(super) enum Prepared {
    Nothing,
    /// A mapping and its retries.
    Mapping {
        path: String,
        retries: Json,
    },
    /// The health checker's variables.
    Variables(Json),
    /// Schedules of a program that a stimulus makes.
    Schedules(&'static str),
    /// The breaker's record.
    Breaker,
}

impl Stimulus {
    /// The one that needs the statement; none for a statement that nobody has written one for.
    ///
    /// Some actions of a statement are used only where the others aren't.
    pub(super) fn of(program: &str, sid: &str, action: Option<&str>) -> Option<Self> {
        match (program, sid, action) {
            ("event-transformer", "KeyThroughSqs", Some("kms:GenerateDataKey")) => return Some(Self::Garbage),
            ("event-transformer", "Idempotency", Some("dynamodb:DeleteItem")) => return Some(Self::UnpublishedEvent),
            ("health-checker", "Canaries", Some("sqs:GetQueueUrl")) => return Some(Self::CheckAtStart),
            ("event-router", "Breakers", Some("dynamodb:UpdateItem"))
            | ("event-router", "Parking", Some("dynamodb:PutItem")) => return Some(Self::ParkedRow),
            ("event-router", "Parking", Some("dynamodb:DeleteItem" | "dynamodb:Query")) => return Some(Self::Drain),
            ("consumer", table, Some("dynamodb:UpdateItem")) => {
                let entity = Entity::ALL.into_iter().find(|entity| entity.as_str() == table.to_lowercase())?;
                return Some(Self::PartialChange(entity));
            }
            _ => {}
        }
        Some(match (program, sid) {
            ("stream-processor", "Log" | "Bus" | "Streams" | "KeyThroughDynamodb") => Self::Row,
            ("stream-processor", "DeadLetters" | "KeyThroughSqs") => Self::BrokenRow("stream-processor"),
            ("stream-processor", "GiveUpTo") => Self::GivenUpRow("stream-processor", "Bus"),
            ("event-router", "Log" | "PeerBus" | "Streams" | "KeyThroughDynamodb" | "Breakers") => Self::RoutedRow,
            ("event-router", "Parking") => Self::CheckedRow,
            ("event-router", "Failures") => Self::FailingStart,
            ("event-router-schedule", "Function") => Self::Tick("event-router"),
            ("event-router-schedule", "Undelivered" | "KeyThroughSqs") => Self::UndeliveredTick("event-router"),
            ("event-router", "DeadLetters" | "KeyThroughSqs") => Self::BrokenRow("event-router"),
            ("event-router", "GiveUpTo") => Self::GivenUpRow("event-router", "PeerBus"),
            (
                "event-transformer",
                "Log" | "Bus" | "Messages" | "KeyThroughSqs" | "Idempotency" | "KeyThroughDynamodb",
            )
            | ("publisher", "PublishRawEvents") => Self::Request,
            ("event-transformer", "DeadLetters") => Self::Garbage,
            (
                "health-checker",
                "Log"
                | "Health"
                | "Authority"
                | "Bus"
                | "Canaries"
                | "KeyThroughDynamodb"
                | "KeyThroughDynamodbUsEast1"
                | "KeyThroughSqs"
                | "KeyThroughSqsUsEast1",
            ) => Self::Check,
            ("health-checker", "Failures") => Self::FailingCheck,
            ("health-checker-schedule", "Function") => Self::Tick("health-checker"),
            ("health-checker-schedule", "Undelivered" | "KeyThroughSqs") => Self::UndeliveredTick("health-checker"),
            ("authorizer", "Log" | "SigningSecret" | "KeyThroughSecretsmanager") => Self::RequestAtStart,
            ("consumer", "Customers" | "Orders" | "Products" | "Authority" | "KeyThroughDynamodb") => Self::Changes,
            _ => return None,
        })
    }

    /// Statements that must be missing too, or the one in question is never used.
    pub(super) fn also_without(&self) -> &[&'static str] {
        match self {
            Self::GivenUpRow(_, publishes) => std::slice::from_ref(publishes),
            Self::UndeliveredTick(_) => &["Function"],
            Self::UnpublishedEvent => &["Bus"],
            _ => &[],
        }
    }

    /// Whether it goes on until it has its effect, so that it isn't applied once more.
    pub(super) fn lasts(&self) -> bool {
        matches!(self, Self::Changes | Self::PartialChange(_))
    }

    /// Sets things up so that it has its effect.
    pub(super) fn prepare(&self, scene: &Scene<'_>) -> Prepared {
        let aws = scene.home();
        match self {
            Self::GivenUpRow(program, _) => {
                let listed = format!("/2015-03-31/event-source-mappings/?FunctionName=tandem-sandbox-{program}");
                let mappings = aws.rest("lambda", ("GET", &listed), &[], None).json();
                let mappings = mappings["EventSourceMappings"].as_array().cloned().unwrap_or_default();
                let of_table = |mapping: &&Json| {
                    mapping["EventSourceArn"].as_str().is_some_and(|arn| arn.contains(&format!("table/{TABLE}/")))
                };
                let mapping = mappings.iter().find(of_table).expect("the table's stream is read");
                let path = format!("/2015-03-31/event-source-mappings/{}", mapping["UUID"].as_str().expect("an id"));
                aws.rest("lambda", ("PUT", &path), &[], Some(&json!({"MaximumRetryAttempts": 0})));
                Prepared::Mapping { path, retries: mapping["MaximumRetryAttempts"].clone() }
            }
            Self::FailingCheck => {
                let variables = variables(aws, HEALTH_CHECKER);
                let mut wrong = variables.clone();
                wrong["HEALTH_TABLE"] = "no table".into();
                set_variables(aws, HEALTH_CHECKER, &wrong);
                Prepared::Variables(variables)
            }
            Self::Tick(program) | Self::UndeliveredTick(program) => Prepared::Schedules(program),
            Self::ParkedRow | Self::CheckedRow | Self::Drain => Prepared::Breaker,
            _ => Prepared::Nothing,
        }
    }

    /// Lets it happen, and says what must come of it.
    pub(super) fn apply(&self, scene: &mut Scene<'_>) -> Effect {
        let mark = scene.mark();
        let aws = scene.home().clone();
        match *self {
            Self::Row => {
                put_row(&aws, &row(&mark));
                Effect::Told { source: "tandem.cdc", text: mark }
            }
            Self::RoutedRow => {
                put_row(&aws, &row(&mark));
                Effect::Routed { text: mark }
            }
            Self::BrokenRow(program) => {
                put_row(&aws, &json!({"pk": {"S": mark}, "origin_region": {"S": aws.region()}}));
                Effect::Message { queue: format!("tandem-sandbox-{program}-dead-letters"), text: mark }
            }
            Self::GivenUpRow(program, _) => {
                let queue = format!("tandem-sandbox-{program}-failures");
                let than = scene.inbox(&queue).count();
                put_row(&aws, &row(&mark));
                Effect::MoreMessages { queue, than }
            }
            Self::Request => {
                scene.api().post(&raw_event(&mark));
                Effect::Told { source: "tandem.transformer", text: mark }
            }
            Self::RequestAtStart => {
                start_afresh(&aws, AUTHORIZER);
                scene.api().post(&raw_event(&mark));
                Effect::Told { source: "tandem.transformer", text: mark }
            }
            Self::UnpublishedEvent => {
                let event = raw_event(&mark);
                let scope = format!("event-transformer/transformed/{}", event["source_region"].as_str().expect("text"));
                let key = Key::new(&scope, event["event_id"].as_str().expect("text")).as_str().to_owned();
                let since = now();
                let body = json!({
                    "id": mark, "source": raw::SOURCE, "detail-type": raw::DETAIL_TYPE, "region": aws.region(),
                    "time": events::Timestamp::now().to_string(), "detail": event,
                });
                let message = send_raw(&aws, &body.to_string());
                Effect::ClaimGivenBack { key, message, since }
            }
            Self::Garbage => {
                send_raw(&aws, &mark);
                Effect::Message { queue: "tandem-sandbox-event-transformer-dead-letters".to_owned(), text: mark }
            }
            Self::Check | Self::CheckAtStart => {
                if *self == Self::CheckAtStart {
                    start_afresh(&aws, HEALTH_CHECKER);
                }
                scene.check_finds_nothing();
                Effect::GoodCheck
            }
            Self::FailingCheck => {
                let queue = format!("{HEALTH_CHECKER}-failures");
                let than = scene.inbox(&queue).count();
                let path = format!("/2015-03-31/functions/{HEALTH_CHECKER}/invocations");
                aws.rest("lambda", ("POST", &path), &[("x-amz-invocation-type", "Event")], Some(&json!({})));
                Effect::MoreMessages { queue, than }
            }
            Self::FailingStart => {
                let queue = format!("{EVENT_ROUTER}-drain-failures");
                let than = scene.inbox(&queue).count();
                let path = format!("/2015-03-31/functions/{EVENT_ROUTER}/invocations");
                aws.rest("lambda", ("POST", &path), &[("x-amz-invocation-type", "Event")], Some(&json!({})));
                Effect::MoreMessages { queue, than }
            }
            Self::Tick(program) => {
                let since = now();
                add_schedule(&aws, program, &mark);
                Effect::Log { program, since }
            }
            Self::UndeliveredTick(program) => {
                let queue = format!("tandem-sandbox-{program}-undelivered");
                let than = scene.inbox(&queue).count();
                add_schedule(&aws, program, &mark);
                Effect::MoreMessages { queue, than }
            }
            Self::ParkedRow => {
                breaker::put(&aws, "forced_open", "in_use");
                put_row(&aws, &row(&mark));
                Effect::Parked { text: mark }
            }
            Self::CheckedRow => {
                breaker::put(&aws, "closed", "in_use");
                put_row(&aws, &row(&mark));
                Effect::Routed { text: mark }
            }
            Self::Drain => {
                breaker::put(&aws, "closed", "in_use");
                breaker::flag(&aws, &mark);
                breaker::start_drain(&aws);
                Effect::NoFlag { key: mark }
            }
            Self::PartialChange(entity) => {
                let version = send_partial(scene.checkout(), entity, &mark);
                Effect::Row { entity, key: mark, version }
            }
            Self::Changes => Effect::Smoke(scene.checkout().start(&["smoke", "--count", "9", "--format", "json"])),
        }
    }
}

impl Prepared {
    /// Puts things back.
    pub(super) fn undo(self, scene: &Scene<'_>) {
        let aws = scene.home();
        match self {
            Self::Nothing => {}
            Self::Mapping { path, retries } => {
                aws.rest("lambda", ("PUT", &path), &[], Some(&json!({"MaximumRetryAttempts": retries})));
            }
            Self::Variables(variables) => set_variables(aws, HEALTH_CHECKER, &variables),
            Self::Schedules(program) => remove_schedules(aws, program),
            // What was parked meanwhile is drained, and the lot declared empty.
            Self::Breaker => breaker::put(aws, "closed", "in_use"),
        }
    }
}

/// Puts a message into the event transformer's queue. Gives its id.
fn send_raw(aws: &Aws, body: &str) -> String {
    let queue = aws.call("sqs", "GetQueueUrl", &json!({"QueueName": RAW_EVENTS}));
    let message = json!({"QueueUrl": queue["QueueUrl"], "MessageBody": body});
    aws.call("sqs", "SendMessage", &message)["MessageId"].as_str().expect("an id").to_owned()
}

fn variables(aws: &Aws, function: &str) -> Json {
    let path = format!("/2015-03-31/functions/{function}/configuration");
    aws.rest("lambda", ("GET", &path), &[], None).json()["Environment"]["Variables"].clone()
}

/// Lambda starts a function whose variables are set afresh, also when they are the same.
fn start_afresh(aws: &Aws, function: &str) {
    set_variables(aws, function, &variables(aws, function));
}

fn set_variables(aws: &Aws, function: &str, variables: &Json) {
    let path = format!("/2015-03-31/functions/{function}/configuration");
    aws.rest("lambda", ("PUT", &path), &[], Some(&json!({"Environment": {"Variables": variables}})));
}

/// Makes a schedule like the program's. A schedule with a rate is due at once, so nobody waits for a minute.
fn add_schedule(aws: &Aws, program: &str, name: &str) {
    let own = format!("/schedules/tandem-sandbox-{program}?groupName=tandem-sandbox-{program}");
    let mut schedule = aws.rest("scheduler", ("GET", &own), &[], None).json();
    let fields = schedule.as_object_mut().expect("a schedule");
    fields
        .retain(|name, _| ["FlexibleTimeWindow", "GroupName", "ScheduleExpression", "Target"].contains(&name.as_str()));
    aws.rest("scheduler", ("POST", &format!("/schedules/{name}")), &[], Some(&schedule));
}

fn remove_schedules(aws: &Aws, program: &str) {
    let own = format!("tandem-sandbox-{program}");
    let listed = format!("/schedules?ScheduleGroup={own}");
    let listed = aws.rest("scheduler", ("GET", &listed), &[], None).json();
    for schedule in listed["Schedules"].as_array().expect("schedules") {
        let name = schedule["Name"].as_str().expect("a name");
        if name != own {
            let path = format!("/schedules/{name}?groupName={own}");
            aws.rest("scheduler", ("DELETE", &path), &[], None);
        }
    }
}
