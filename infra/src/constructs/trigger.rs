//! What starts a function: table streams, a queue, a schedule, or calls.
//!
//! Each way has the permissions that it takes and a place for what is given up on.

use std::time::Duration;

use cfn::lambda::event_invoke_config;
use cfn::lambda::event_source_mapping::{
    DestinationConfig, Filter, FilterCriteria, FunctionResponseType, OnFailure, ScalingConfig,
};
use cfn::scheduler::schedule::{DeadLetterConfig, FlexibleTimeWindow, FlexibleTimeWindowMode, RetryPolicy, Target};
use cfn::{Arn, Handle, Value, kms, lambda, scheduler};
use contracts::{Flow as Direction, KeyNeed, Need};
use events::Entity;

use crate::constructs::policy::statements_of;
use crate::constructs::queue::{Queue, whole_seconds};
use crate::constructs::{Scope, function, role, table};
use crate::environment::{Program, StreamSettings};
use crate::system::Subject;

/// What starts a function.
pub(crate) enum Trigger<'a> {
    /// Changes of tables.
    Streams(Streams<'a>),
    /// Messages.
    Queue(WorkQueue<'a>),
    /// Time.
    Schedule(Schedule<'a>),
    /// Calls that wait for the answer; who may call is said where the caller is.
    Calls,
    /// Two ways.
    Both(&'a Trigger<'a>, &'a Trigger<'a>),
}

/// The streams of tables.
pub(crate) struct Streams<'a> {
    /// Each table with the ARN of its stream in this region.
    pub(crate) tables: &'a [(Entity, Value<String>)],
    /// How they are read.
    pub(crate) settings: &'a StreamSettings,
    /// Gets a pointer (shard and sequence numbers, no bodies) to each batch that is given up on; the stream keeps the
    /// records for 24 hours after their change.
    pub(crate) give_up_to: &'a Queue,
}

/// A queue that a function works on.
pub(crate) struct WorkQueue<'a> {
    /// The queue.
    pub(crate) queue: &'a Queue,
    /// Messages a batch, 1 to 10.
    pub(crate) batch_size: u32,
    /// Invocations at the same time, 2 to 1,000.
    pub(crate) concurrency: u32,
}

/// A time between two runs.
pub(crate) struct Schedule<'a> {
    /// Whole minutes.
    pub(crate) every: Duration,
    /// Gets what the schedule couldn't hand to Lambda.
    pub(crate) undelivered: &'a Queue,
    /// Gets what the function failed on.
    pub(crate) failures: &'a Queue,
}

impl Trigger<'_> {
    /// What the function's role needs for being started so.
    pub(crate) fn needs(&self, key: &Value<Arn<kms::Key>>) -> Vec<Need<Value<String>>> {
        match self {
            Self::Streams(streams) => vec![
                Need {
                    field: "streams",
                    verb: "is fed by",
                    flow: Direction::In,
                    kind: "stream",
                    target: "the tables".to_owned(),
                    regions: Vec::new(),
                    actions: &[
                        "dynamodb:DescribeStream",
                        "dynamodb:GetRecords",
                        "dynamodb:GetShardIterator",
                        "dynamodb:ListStreams",
                    ],
                    resources: streams.tables.iter().map(|(_, stream)| stream.clone()).collect(),
                    on_any_because: None,
                    keys: vec![key_need(key, "dynamodb", &["kms:Decrypt"])],
                },
                send("give_up_to", "gives up to", streams.give_up_to, key),
            ],
            Self::Queue(work) => vec![Need {
                field: "messages",
                verb: "is fed by",
                flow: Direction::In,
                kind: "queue",
                target: work.queue.name().to_owned(),
                regions: Vec::new(),
                actions: &["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"],
                resources: vec![work.queue.arn().into()],
                on_any_because: None,
                keys: vec![key_need(key, "sqs", &["kms:Decrypt"])],
            }],
            Self::Schedule(schedule) => vec![send("failures", "gives up to", schedule.failures, key)],
            Self::Calls => Vec::new(),
            Self::Both(one, other) => one.needs(key).into_iter().chain(other.needs(key)).collect(),
        }
    }

    /// Whether it reads streams, so that it can fall behind.
    pub(crate) fn reads_streams(&self) -> bool {
        match self {
            Self::Streams(_) => true,
            Self::Queue(_) | Self::Schedule(_) | Self::Calls => false,
            Self::Both(one, other) => one.reads_streams() || other.reads_streams(),
        }
    }

    /// What takes its failures, since a dead-letter queue of the function itself would take only those of
    /// asynchronous calls, without the error.
    pub(crate) fn what_takes_failures(&self) -> String {
        match self {
            Self::Streams(_) => "the event source mapping has an on-failure destination".to_owned(),
            Self::Queue(_) => "the queue it works on has a dead-letter queue".to_owned(),
            Self::Schedule(_) => "its asynchronous invocations have an on-failure destination".to_owned(),
            Self::Calls => "it is only called by those who wait for the answer".to_owned(),
            Self::Both(one, other) => format!("{}, and {}", one.what_takes_failures(), other.what_takes_failures()),
        }
    }

    /// Connects the function.
    #[track_caller]
    pub(crate) fn connect(
        &self,
        scope: &mut Scope<'_>,
        logical_id: &str,
        function: &Handle<lambda::Function>,
        program: Program,
    ) {
        match self {
            Self::Streams(streams) => {
                for (entity, stream) in streams.tables {
                    map_stream(scope, logical_id, function, program, streams, (*entity, stream));
                }
            }
            Self::Queue(work) => map_queue(scope, logical_id, function, program, work),
            Self::Schedule(schedule) => start_by_time(scope, logical_id, function, program, schedule),
            Self::Calls => {}
            Self::Both(one, other) => {
                one.connect(scope, logical_id, function, program);
                other.connect(scope, logical_id, function, program);
            }
        }
    }
}

fn key_need(
    key: &Value<Arn<kms::Key>>,
    via_service: &'static str,
    actions: &'static [&'static str],
) -> KeyNeed<Value<String>> {
    KeyNeed { key: key.clone().into(), actions, via_service, region: None }
}

fn send(field: &'static str, verb: &'static str, queue: &Queue, key: &Value<Arn<kms::Key>>) -> Need<Value<String>> {
    Need {
        field,
        verb,
        flow: Direction::Out,
        kind: "queue",
        target: queue.name().to_owned(),
        regions: Vec::new(),
        actions: &["sqs:SendMessage"],
        resources: vec![queue.arn().into()],
        on_any_because: None,
        keys: vec![key_need(key, "sqs", &["kms:Decrypt", "kms:GenerateDataKey"])],
    }
}

/// Feeds a table's stream to the function.
#[track_caller]
fn map_stream(
    scope: &mut Scope<'_>,
    logical_id: &str,
    function: &Handle<lambda::Function>,
    program: Program,
    streams: &Streams<'_>,
    (entity, stream): (Entity, &Value<String>),
) {
    let Streams { settings, give_up_to, .. } = streams;
    // Replicated rows and time-to-live clean-ups need no invocation. Rows without an origin do get through:
    // the program puts them among its dead letters, where somebody sees them.
    let own_origin = format!(r#""{}""#, scope.region);
    let no_origin = r#"{"exists":false}"#.to_owned();
    let filters = [own_origin, no_origin].map(|origin| {
        Filter::new().pattern(format!(
            r#"{{"dynamodb":{{"NewImage":{{"origin_region":{{"S":[{origin}]}}}}}},"eventName":["INSERT","MODIFY"]}}"#
        ))
    });
    let mapping = lambda::EventSourceMapping::new(function.reference())
        .event_source_arn(stream)
        // Nothing that was written before the mapping existed is passed over.
        .starting_position("TRIM_HORIZON")
        .batch_size(settings.batch_size)
        .parallelization_factor(settings.parallelization)
        .function_response_types([FunctionResponseType::ReportBatchItemFailures])
        .bisect_batch_on_function_error(true)
        .maximum_retry_attempts(settings.retries)
        .maximum_record_age_in_seconds(whole_seconds(settings.max_age))
        .destination_config(DestinationConfig::new().on_failure(OnFailure::new().destination(give_up_to.arn())))
        .filter_criteria(FilterCriteria::new().filters(filters));
    scope.add(&format!("{logical_id}{}Stream", table::logical_id(entity)), mapping);
    let here = function::place(scope, program.name());
    scope.flow(scope.place("table", entity.as_str()), "streams to", here.clone());
    scope.flow(here, "gives up to", scope.place("queue", give_up_to.name()));
}

/// Feeds a queue to the function.
#[track_caller]
fn map_queue(
    scope: &mut Scope<'_>,
    logical_id: &str,
    function: &Handle<lambda::Function>,
    program: Program,
    work: &WorkQueue<'_>,
) {
    let mapping = lambda::EventSourceMapping::new(function.reference())
        .event_source_arn(work.queue.arn())
        .batch_size(work.batch_size)
        .function_response_types([FunctionResponseType::ReportBatchItemFailures])
        .scaling_config(ScalingConfig::new().maximum_concurrency(work.concurrency));
    scope.add(&format!("{logical_id}Messages"), mapping);
    scope.flow(scope.place("queue", work.queue.name()), "feeds", function::place(scope, program.name()));
}

/// Starts the function again and again.
#[track_caller]
fn start_by_time(
    scope: &mut Scope<'_>,
    logical_id: &str,
    function: &Handle<lambda::Function>,
    program: Program,
    schedule: &Schedule<'_>,
) {
    let name = scope.environment.name(program.name());
    let key = schedule.undelivered.key();
    let mut needs = vec![send("undelivered", "gives up to", schedule.undelivered, key)];
    needs.push(Need {
        field: "function",
        verb: "starts",
        flow: Direction::Out,
        kind: "function",
        target: program.name().to_owned(),
        regions: Vec::new(),
        actions: &["lambda:InvokeFunction"],
        resources: vec![function.arn().into()],
        on_any_because: None,
        keys: Vec::new(),
    });
    let description = format!("what the schedule of {} may do in {}", program.name(), scope.region);
    // Scheduler names the group and not the schedule as its source (EventBridge Scheduler user guide, "Confused deputy
    // prevention").
    let group_arn = scope.arn_in(scope.region, "scheduler", &format!("schedule-group/{name}"));
    let trust = role::trust_service("Scheduler", "scheduler.amazonaws.com").when(
        "ArnEquals",
        "aws:SourceArn",
        group_arn.into_inner(),
    );
    let role = role::draft([trust], "start", statements_of("scheduler", &needs))
        .with(|role| role.description(description))
        .add(scope, &format!("{logical_id}ScheduleRole"));
    let group = scope.add(&format!("{logical_id}Schedules"), scheduler::ScheduleGroup::new().name(name.as_str()));
    let minutes = whole_seconds(schedule.every) / 60;
    let unit = if minutes == 1 { "minute" } else { "minutes" };
    let target = Target::new(function.arn(), role.arn())
        .dead_letter_config(DeadLetterConfig::new().arn(schedule.undelivered.arn()))
        // A check that comes late says nothing: the next one is due anyway.
        .retry_policy(RetryPolicy::new().maximum_retry_attempts(0).maximum_event_age_in_seconds(60));
    // No key of ours: Scheduler decrypts the target's input with the schedule's role, which would need `kms:Decrypt` for
    // it, and there is no input. Without a key the schedule is encrypted with one of AWS.
    let declared = scheduler::Schedule::new(
        FlexibleTimeWindow::new(FlexibleTimeWindowMode::Off),
        format!("rate({minutes} {unit})"),
        target,
    )
    .name(name.as_str())
    .group_name(group.reference())
    .description(format!("starts {}", program.name()));
    scope.add(&format!("{logical_id}Schedule"), declared);
    scope.watch(&format!("{logical_id}Schedule"), Subject::Schedule { group: name });

    // A failed run is not repeated: the next one is due anyway. But somebody sees it.
    let on_failure = event_invoke_config::OnFailure::new(schedule.failures.arn());
    let config = lambda::EventInvokeConfig::new(function.reference(), "$LATEST")
        .maximum_retry_attempts(0)
        .maximum_event_age_in_seconds(60)
        .destination_config(event_invoke_config::DestinationConfig::new().on_failure(on_failure));
    scope.add(&format!("{logical_id}Asynchronous"), config);
    let here = function::place(scope, program.name());
    scope.flow(scope.place("schedule", program.name()), "starts", here.clone());
    scope.flow(here, "gives up to", scope.place("queue", schedule.failures.name()));
}
