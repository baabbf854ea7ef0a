//! `[functions.<program>]`: size, time and stream settings of each function.

use std::time::Duration;

use contracts::{EventRouter, StreamProcessor};

use super::reader::Section;
use super::rule::{duration, memory, one_of, seconds, whole};
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
    /// The region's own events go to the peer's bus.
    EventRouter,
}

impl Program {
    /// Every program, in the order of the enum.
    pub const ALL: [Self; 2] = [Self::StreamProcessor, Self::EventRouter];

    /// The program's name: its folder, its binary, the last part of its function's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::StreamProcessor => StreamProcessor::NAME,
            Self::EventRouter => EventRouter::NAME,
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

/// Settings of one function.
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
    /// The longest that publishing one request may take, with its retries.
    pub publish_timeout: Duration,
    /// What is kept of the timeout for the answer.
    pub deadline_margin: Duration,
    /// How it reads the tables' streams.
    pub stream: StreamSettings,
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

/// Settings of every function, in the order of [`Program::ALL`].
pub(super) fn read(section: &mut Section<'_>) -> Option<Vec<FunctionSettings>> {
    let all = Program::ALL.map(|program| section.section(program.name(), function));
    all.into_iter().collect()
}

fn function(section: &mut Section<'_>) -> Option<FunctionSettings> {
    let memory = section.required("memory", &memory(128..=10_240));
    let timeout = section.required("timeout", &seconds(Duration::from_secs(1)..=LONGEST_RUN));
    let log_level = section.required("log_level", &log_level());
    let reserved_concurrency = section.optional("reserved_concurrency", &whole(1..=10_000));
    let publish_timeout =
        section.required("publish_timeout", &duration(Duration::from_secs(1)..=Duration::from_secs(30)));
    let deadline_margin =
        section.required("deadline_margin", &duration(Duration::from_millis(100)..=Duration::from_secs(30)));
    let stream = section.section("stream", stream);
    if let (Some(timeout), Some(publish_timeout), Some(deadline_margin)) = (timeout, publish_timeout, deadline_margin)
        && publish_timeout + deadline_margin >= timeout
    {
        let needed = contracts::duration::render(publish_timeout + deadline_margin);
        let problem = format!("which `publish_timeout` and `deadline_margin` use up ({needed} together)");
        section.mistake("timeout", &problem, "raise `timeout` or lower the other two");
        return None;
    }
    Some(FunctionSettings {
        memory: memory?,
        timeout: timeout?,
        log_level: log_level?,
        reserved_concurrency: reserved_concurrency?,
        publish_timeout: publish_timeout?,
        deadline_margin: deadline_margin?,
        stream: stream?,
    })
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
