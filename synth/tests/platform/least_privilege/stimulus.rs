//! What makes a program use a statement: one stimulus for each statement, in one table.

use events::Entity;
use serde_json::{Value as Json, json};

use super::effect::{Effect, Scene};
use super::now;
use crate::api::raw_event;
use crate::aws::Aws;
use crate::changes::send_partial;

const TABLE: &str = "tandem-sandbox-customers";
const RAW_EVENTS: &str = "tandem-sandbox-raw-events";
const HEALTH_CHECKER: &str = "tandem-sandbox-health-checker";
const AUTHORIZER: &str = "tandem-sandbox-authorizer";

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
    /// A message for the event transformer that is no event.
    Garbage,
    /// A check of the health checker that somebody waits for.
    Check,
    /// The same, of a process that knows no queue yet.
    CheckAtStart,
    /// One that nobody waits for, and that fails.
    FailingCheck,
    /// A time of a schedule.
    Tick,
    /// The same, for a function that the schedule may not start.
    UndeliveredTick,
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
    /// Schedules that a stimulus makes.
    Schedules,
}

impl Stimulus {
    /// The one that needs the statement; none for a statement that nobody has written one for.
    ///
    /// Some actions of a statement are used only where the others aren't.
    pub(super) fn of(program: &str, sid: &str, action: Option<&str>) -> Option<Self> {
        match (program, sid, action) {
            ("event-transformer", "KeyThroughSqs", Some("kms:GenerateDataKey")) => return Some(Self::Garbage),
            ("health-checker", "Canaries", Some("sqs:GetQueueUrl")) => return Some(Self::CheckAtStart),
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
            ("event-router", "Log" | "PeerBus" | "Streams" | "KeyThroughDynamodb") => Self::RoutedRow,
            ("event-router", "DeadLetters" | "KeyThroughSqs") => Self::BrokenRow("event-router"),
            ("event-router", "GiveUpTo") => Self::GivenUpRow("event-router", "PeerBus"),
            ("event-transformer", "Log" | "Bus" | "Messages" | "KeyThroughSqs") | ("publisher", "PublishRawEvents") => {
                Self::Request
            }
            ("event-transformer", "DeadLetters") => Self::Garbage,
            (
                "health-checker",
                "Log"
                | "Health"
                | "Bus"
                | "Canaries"
                | "KeyThroughDynamodb"
                | "KeyThroughDynamodbUsEast1"
                | "KeyThroughSqs"
                | "KeyThroughSqsUsEast1",
            ) => Self::Check,
            ("health-checker", "Failures") => Self::FailingCheck,
            ("health-checker-schedule", "Function") => Self::Tick,
            ("health-checker-schedule", "Undelivered" | "KeyThroughSqs") => Self::UndeliveredTick,
            ("authorizer", "Log" | "SigningSecret" | "KeyThroughSecretsmanager") => Self::RequestAtStart,
            ("consumer", "Customers" | "Orders" | "Products" | "KeyThroughDynamodb") => Self::Changes,
            _ => return None,
        })
    }

    /// Statements that must be missing too, or the one in question is never used.
    pub(super) fn also_without(&self) -> &[&'static str] {
        match self {
            Self::GivenUpRow(_, publishes) => std::slice::from_ref(publishes),
            Self::UndeliveredTick => &["Function"],
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
            Self::Tick | Self::UndeliveredTick => Prepared::Schedules,
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
            Self::Garbage => {
                let queue = aws.call("sqs", "GetQueueUrl", &json!({"QueueName": RAW_EVENTS}));
                let message = json!({"QueueUrl": queue["QueueUrl"], "MessageBody": mark});
                aws.call("sqs", "SendMessage", &message);
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
            Self::Tick => {
                let since = now();
                add_schedule(&aws, &mark);
                Effect::Log { program: "health-checker", since }
            }
            Self::UndeliveredTick => {
                let queue = format!("{HEALTH_CHECKER}-undelivered");
                let than = scene.inbox(&queue).count();
                add_schedule(&aws, &mark);
                Effect::MoreMessages { queue, than }
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
            Self::Schedules => remove_schedules(aws),
        }
    }
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

fn put_row(aws: &Aws, row: &Json) {
    aws.call("dynamodb", "PutItem", &json!({"TableName": TABLE, "Item": row}));
}

/// A row as the consumer writes it.
fn row(key: &str) -> Json {
    let text = |text: &str| json!({"S": text});
    let number = json!({"N": "0"});
    let trace = json!({
        "task": text("a-test"), "table": text("dbo.customers"), "change_sequence": text(""),
        "stream_position": text(""), "topic": text("qlik.customers"), "partition": number, "offset": number,
    });
    json!({
        "pk": text(key), "src": text("a-test"), "ver": text("0000000000|0|"), "ep": {"N": "1"},
        "origin_region": text(crate::HOME), "event_id": text(&uuid::Uuid::new_v4().to_string()), "op": text("refresh"),
        "committed_at": text("2026-01-01T00:00:00Z"), "trace": {"M": trace}, "data": {"M": {"name": text(key)}},
    })
}

/// Makes a schedule like the health checker's. A schedule with a rate is due at once, so nobody waits for a minute.
fn add_schedule(aws: &Aws, name: &str) {
    let own = format!("/schedules/{HEALTH_CHECKER}?groupName={HEALTH_CHECKER}");
    let mut schedule = aws.rest("scheduler", ("GET", &own), &[], None).json();
    let fields = schedule.as_object_mut().expect("a schedule");
    fields
        .retain(|name, _| ["FlexibleTimeWindow", "GroupName", "ScheduleExpression", "Target"].contains(&name.as_str()));
    aws.rest("scheduler", ("POST", &format!("/schedules/{name}")), &[], Some(&schedule));
}

fn remove_schedules(aws: &Aws) {
    let listed = format!("/schedules?ScheduleGroup={HEALTH_CHECKER}");
    let listed = aws.rest("scheduler", ("GET", &listed), &[], None).json();
    for schedule in listed["Schedules"].as_array().expect("schedules") {
        let name = schedule["Name"].as_str().expect("a name");
        if name != HEALTH_CHECKER {
            let path = format!("/schedules/{name}?groupName={HEALTH_CHECKER}");
            aws.rest("scheduler", ("DELETE", &path), &[], None);
        }
    }
}
