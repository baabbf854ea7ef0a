//! `[functions.<program>]`: size, time and stream settings of each function.

use std::time::Duration;

use contracts::{Authorizer, EventRouter, EventTransformer, HealthChecker, StreamProcessor};

use super::Target;
use super::geo::GeoSource;
use super::reader::Section;
use super::rule::{duration, flag, memory, minutes, one_of, seconds, whole};
use super::units::MemorySize;

/// The longest that Lambda lets a function run.
const LONGEST_RUN: Duration = Duration::from_secs(900);
/// DynamoDB keeps stream records for 24 hours; a record must be given up before, or it is lost without a trace.
/// The last hour is left for handing it to the on-failure queue.
const OLDEST_RECORD: Duration = Duration::from_secs(23 * 3600);

/// A program that runs as a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// Changes of the tables become domain events on the own bus.
    StreamProcessor,
    /// The region's own events go to the peers' buses.
    EventRouter,
    /// Raw events are validated and normalised.
    EventTransformer,
    /// Probes of every region, and the health endpoint's answer.
    HealthChecker,
    /// Checks the tokens of the API's callers.
    Authorizer,
}

impl Program {
    /// Every program.
    pub const ALL: [Self; 5] =
        [Self::StreamProcessor, Self::EventRouter, Self::EventTransformer, Self::HealthChecker, Self::Authorizer];

    /// The program's name: its folder, its binary, the last part of its function's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::StreamProcessor => StreamProcessor::NAME,
            Self::EventRouter => EventRouter::NAME,
            Self::EventTransformer => EventTransformer::NAME,
            Self::HealthChecker => HealthChecker::NAME,
            Self::Authorizer => Authorizer::NAME,
        }
    }
}

/// How much a function logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// Failures only.
    Error,
    /// And what looks wrong.
    Warn,
    /// And what happens once a batch.
    Info,
    /// And what happens once a record.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The word in the environment file and in a log filter.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// What every function has.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FunctionSettings {
    /// Memory, 128 MiB to 10,240 MiB; processor time grows with it.
    pub memory: MemorySize,
    /// The longest run, whole seconds up to 15 minutes.
    pub timeout: Duration,
    /// How much it logs.
    pub log_level: LogLevel,
    /// Runs at the same time that are set aside for it; none shares the account's pool.
    pub reserved_concurrency: Option<u32>,
}

/// Time for publishing, and for the answer after it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PublishSettings {
    /// The longest that publishing one request may take, with its retries.
    pub publish_timeout: Duration,
    /// What is kept of the timeout for the answer.
    pub deadline_margin: Duration,
}

/// A function that reads the tables' streams.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StreamFunction {
    /// What every function has.
    pub function: FunctionSettings,
    /// Time for publishing.
    pub publish: PublishSettings,
    /// How it reads the tables' streams.
    pub stream: StreamSettings,
}

/// The event transformer, which reads a queue.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TransformerSettings {
    /// What every function has.
    pub function: FunctionSettings,
    /// Time for publishing.
    pub publish: PublishSettings,
    /// Messages a batch, 1 to 10.
    pub batch_size: u32,
    /// Invocations that the queue may cause at the same time, 2 to 1,000.
    pub concurrency: u32,
    /// How long an event that was published is known, so that it isn't published again; a day longer than queues keep
    /// messages at least, because a bus may try for that long before a queue has them.
    pub idempotency_retention: Duration,
    /// The database of addresses.
    pub geo: GeoSource,
}

/// The health checker, which a schedule starts.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct HealthCheckerSettings {
    /// What every function has.
    pub function: FunctionSettings,
    /// Time between two checks, whole minutes up to an hour.
    pub every: Duration,
    /// Whether each check also asks control planes for names of tables, buses and queues; no, if left out. It changes no
    /// verdict, and lets the function see names of the whole account.
    pub list_control_planes: bool,
}

/// Settings of every function.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Functions {
    /// Whether Lambda records each function's invocations for X-Ray; no, if left out. It costs by the trace, and lets the
    /// functions write segments, which can't be limited to a resource.
    pub tracing: bool,
    /// Changes of the tables become domain events.
    pub stream_processor: StreamFunction,
    /// Domain events go to the peers.
    pub event_router: StreamFunction,
    /// Raw events are validated.
    pub event_transformer: TransformerSettings,
    /// Probes and health.
    pub health_checker: HealthCheckerSettings,
    /// Tokens.
    pub authorizer: FunctionSettings,
}

impl Functions {
    /// What every function has, of this one.
    pub fn of(&self, program: Program) -> &FunctionSettings {
        match program {
            Program::StreamProcessor => &self.stream_processor.function,
            Program::EventRouter => &self.event_router.function,
            Program::EventTransformer => &self.event_transformer.function,
            Program::HealthChecker => &self.health_checker.function,
            Program::Authorizer => &self.authorizer,
        }
    }

    /// The layer that a function has: what its name ends with after system and environment, and its version.
    pub fn layer_of(&self, program: Program) -> Option<(&'static str, u32)> {
        match program {
            Program::EventTransformer => self.event_transformer.geo.layer_version().map(|version| ("geo", version)),
            Program::StreamProcessor | Program::EventRouter | Program::HealthChecker | Program::Authorizer => None,
        }
    }
}

/// How a function reads a table's stream.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamSettings {
    /// Records a batch, up to 10,000.
    pub batch_size: u32,
    /// Attempts after the first, up to 10,000; never endless.
    pub retries: u32,
    /// Records older than this are given up, one minute to 23 hours (the stream keeps 24).
    pub max_age: Duration,
    /// Batches of one shard at the same time, 1 to 10; order stays per key.
    pub parallelization: u32,
}

/// Settings of every function.
pub(super) fn read(section: &mut Section<'_>, target: Option<Target>) -> Option<Functions> {
    let tracing = section.optional("tracing", &flag());
    let stream_processor = section.section(Program::StreamProcessor.name(), stream_function);
    let event_router = section.section(Program::EventRouter.name(), stream_function);
    let event_transformer = section.section(Program::EventTransformer.name(), |section| transformer(section, target));
    let health_checker = section.section(Program::HealthChecker.name(), health_checker);
    let authorizer = section.section(Program::Authorizer.name(), authorizer);
    Some(Functions {
        tracing: tracing?.unwrap_or(false),
        stream_processor: stream_processor?,
        event_router: event_router?,
        event_transformer: event_transformer?,
        health_checker: health_checker?,
        authorizer: authorizer?,
    })
}

fn stream_function(section: &mut Section<'_>) -> Option<StreamFunction> {
    let function = function(section, LONGEST_RUN);
    let publish = publish(section, function.as_ref());
    let stream = section.section("stream", stream);
    Some(StreamFunction { function: function?, publish: publish?, stream: stream? })
}

fn transformer(section: &mut Section<'_>, target: Option<Target>) -> Option<TransformerSettings> {
    let function = function(section, LONGEST_RUN);
    let publish = publish(section, function.as_ref());
    let batch_size = section.required("batch_size", &whole(1..=10));
    let concurrency = section.required("concurrency", &whole(2..=1_000));
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let idempotency_retention = section.required("idempotency_retention", &seconds(days(1)..=days(365)));
    let geo = GeoSource::read(section, target);
    Some(TransformerSettings {
        function: function?,
        publish: publish?,
        batch_size: batch_size?,
        concurrency: concurrency?,
        idempotency_retention: idempotency_retention?,
        geo: geo?,
    })
}

fn health_checker(section: &mut Section<'_>) -> Option<HealthCheckerSettings> {
    let function = function(section, LONGEST_RUN);
    let every = section.required("every", &minutes(1..=60));
    let list_control_planes = section.optional("list_control_planes", &flag());
    if let (Some(function), Some(every)) = (&function, every)
        && function.timeout > every
    {
        section.mistake("timeout", "which is longer than `every`: checks would overlap", "lower it, or raise `every`");
        return None;
    }
    Some(HealthCheckerSettings {
        function: function?,
        every: every?,
        list_control_planes: list_control_planes?.unwrap_or(false),
    })
}

/// A caller waits for the authorizer, and API Gateway for 10 seconds at most.
fn authorizer(section: &mut Section<'_>) -> Option<FunctionSettings> {
    function(section, Duration::from_secs(10))
}

fn function(section: &mut Section<'_>, longest: Duration) -> Option<FunctionSettings> {
    let memory = section.required("memory", &memory(128..=10_240));
    let timeout = section.required("timeout", &seconds(Duration::from_secs(1)..=longest));
    let log_level = section.required("log_level", &log_level());
    let reserved_concurrency = section.optional("reserved_concurrency", &whole(1..=10_000));
    Some(FunctionSettings {
        memory: memory?,
        timeout: timeout?,
        log_level: log_level?,
        reserved_concurrency: reserved_concurrency?,
    })
}

fn publish(section: &mut Section<'_>, function: Option<&FunctionSettings>) -> Option<PublishSettings> {
    let publish_timeout =
        section.required("publish_timeout", &duration(Duration::from_secs(1)..=Duration::from_secs(30)));
    let deadline_margin =
        section.required("deadline_margin", &duration(Duration::from_millis(100)..=Duration::from_secs(30)));
    let (publish_timeout, deadline_margin) = (publish_timeout?, deadline_margin?);
    if function.is_some_and(|function| publish_timeout + deadline_margin >= function.timeout) {
        let needed = contracts::duration::render(publish_timeout + deadline_margin);
        let problem = format!("which `publish_timeout` and `deadline_margin` use up ({needed} together)");
        section.mistake("timeout", &problem, "raise `timeout` or lower the other two");
        return None;
    }
    Some(PublishSettings { publish_timeout, deadline_margin })
}

fn stream(section: &mut Section<'_>) -> Option<StreamSettings> {
    let batch_size = section.required("batch_size", &whole(1..=10_000));
    let retries = section.required("retries", &whole(0..=10_000));
    let max_age = section.required("max_age", &seconds(Duration::from_secs(60)..=OLDEST_RECORD));
    let parallelization = section.required("parallelization", &whole(1..=10));
    Some(StreamSettings {
        batch_size: batch_size?,
        retries: retries?,
        max_age: max_age?,
        parallelization: parallelization?,
    })
}

pub(super) fn log_level() -> super::rule::Rule<LogLevel> {
    one_of(&[
        ("error", LogLevel::Error),
        ("warn", LogLevel::Warn),
        ("info", LogLevel::Info),
        ("debug", LogLevel::Debug),
        ("trace", LogLevel::Trace),
    ])
}
