//! A member of a group, in a process of its own so that its processor time and memory are its own.

use std::collections::HashMap;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use aws::table_writer::Together;
use aws::{Applied, TableWriter};
use consumer::clock::RuntimeClock;
use consumer::dead_letter::DeadLetterTopic;
use consumer::kafka;
use consumer::lane::{Limits, Tools};
use consumer::limiter::Limiter;
use consumer::pipeline::Pipeline;
use consumer::registry::Registry;
use consumer::sink::{Sink, SinkError};
use contracts::CdcConsumer;
use events::qlik::Fence;
use events::{Entity, RowWrite, Version};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rdkafka::consumer::{Consumer, StreamConsumer};
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::Failure;
use crate::broker::Broker;
use crate::endpoint::{self, Endpoint};

/// The first argument of such a process.
pub(crate) const ROLE: &str = "--member";
/// The longest that a member may take for all of its messages.
const LIMIT: Duration = Duration::from_secs(300);

/// Runs a member until it has applied `messages`, and gives what it says of itself.
pub(crate) async fn run(
    broker: &Broker,
    registry: &str,
    group: &str,
    messages: usize,
    endpoint: Option<&Endpoint>,
) -> Result<Value, Failure> {
    start(broker, registry, group, messages, endpoint.map(Endpoint::url)).await
}

/// What reading alone costs: the same client, and nothing is done with what it reads.
pub(crate) async fn read_only(broker: &Broker, registry: &str, group: &str, messages: usize) -> Result<Value, Failure> {
    start(broker, registry, group, messages, Some(READ_ONLY.to_owned())).await
}

async fn start(
    broker: &Broker,
    registry: &str,
    group: &str,
    messages: usize,
    target: Option<String>,
) -> Result<Value, Failure> {
    let mut command = tokio::process::Command::new(std::env::current_exe()?);
    command.args([ROLE, &broker.address(), registry, group, &messages.to_string()]);
    command.args(target).stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.spawn()?.wait_with_output())
        .await
        .map_err(|_| format!("the member of `{group}` isn't done after {} s", LIMIT.as_secs()))??;
    if !output.status.success() {
        return Err(format!("the member of `{group}` ended with {}", output.status).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// In the place of an endpoint: nothing is decoded or written.
const READ_ONLY: &str = "read-only";

async fn read(config: &CdcConsumer, wanted: usize) -> Result<Value, Failure> {
    let consumer: StreamConsumer = kafka::consumer_config(config)?.set("auto.offset.reset", "earliest").create()?;
    consumer.subscribe(&Entity::ALL.map(Entity::topic))?;
    consumer.recv().await?;
    let start = Point::now();
    for _ in 1..wanted {
        consumer.recv().await?;
    }
    Ok(Point::now().since(start, wanted))
}

/// Counts writes, and passes them on if there is somewhere to pass them to.
struct CountingSink {
    table: Option<TableWriter>,
    meter: Arc<Meter>,
}

struct Meter {
    wanted: usize,
    done: AtomicUsize,
    start: OnceLock<Point>,
    all_done: Notify,
}

/// A moment, and the processor time used until then.
#[derive(Clone, Copy)]
struct Point {
    at: Instant,
    processor: Duration,
}

impl Point {
    fn now() -> Self {
        let usage = getrusage(UsageWho::RUSAGE_SELF).expect("invariant: a process may ask for its own usage");
        let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
        Self { at: Instant::now(), processor: Duration::from_micros(u64::try_from(micros).unwrap_or(0)) }
    }

    fn since(self, start: Self, count: usize) -> Value {
        let seconds = self.at.duration_since(start.at).as_secs_f64();
        let processor = (self.processor - start.processor).as_secs_f64();
        json!({
            "messages_per_second": (count as f64 / seconds).round(),
            "processor_micros_per_message": (processor * 1e8 / count as f64).round() / 100.0,
            "seconds": (seconds * 1000.0).round() / 1000.0,
        })
    }
}

impl CountingSink {
    fn count(&self) {
        if self.meter.done.fetch_add(1, Ordering::AcqRel) + 1 == self.meter.wanted {
            self.meter.all_done.notify_one();
        }
    }
}

impl Sink for CountingSink {
    async fn apply(&self, write: &RowWrite, since: &Version) -> Result<Applied, SinkError> {
        self.meter.start.get_or_init(Point::now);
        let applied = match &self.table {
            Some(table) => table.apply_since(write, since).await?,
            None => Applied::Written,
        };
        self.count();
        Ok(applied)
    }

    async fn apply_both(&self, one: &RowWrite, other: &RowWrite) -> Result<Together, SinkError> {
        let together = match &self.table {
            Some(table) => table.apply_both(one, other).await?,
            None => Together::Written,
        };
        self.count();
        Ok(together)
    }
}

/// The member's own process.
pub(crate) fn main(arguments: &[String]) -> Result<Value, Failure> {
    let [brokers, registry, group, messages, endpoint @ ..] = arguments else {
        return Err("a member wants brokers, a registry, a group and a number of messages".into());
    };
    let wanted = messages.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(measure(brokers, registry, group, wanted, endpoint.first().map(String::as_str)))
}

async fn measure(
    brokers: &str,
    registry: &str,
    group: &str,
    wanted: usize,
    endpoint: Option<&str>,
) -> Result<Value, Failure> {
    let variables = HashMap::from([
        ("AWS_REGION", "us-west-2"),
        ("AUTHORITY", "epoch:1"),
        ("KAFKA_BROKERS", brokers),
        ("KAFKA_SECURITY", "plaintext"),
        ("KAFKA_GROUP_ID", group),
        ("SCHEMA_REGISTRY_URL", registry),
        ("SOURCE_ID", "shop"),
        ("CUSTOMERS_TABLE", "customers"),
        ("ORDERS_TABLE", "orders"),
        ("PRODUCTS_TABLE", "products"),
    ]);
    let config = CdcConsumer::from_lookup(|name| variables.get(name).map(ToString::to_string))?;
    if endpoint == Some(READ_ONLY) {
        return read(&config, wanted).await;
    }
    let settings = &config.settings;
    let meter = Arc::new(Meter { wanted, done: AtomicUsize::new(0), start: OnceLock::new(), all_done: Notify::new() });
    let producer = kafka::producer_config(&config)?.create()?;
    let tools = Tools {
        sink: CountingSink { table: endpoint.map(endpoint::writer), meter: Arc::clone(&meter) },
        dead_letters: DeadLetterTopic::new(producer, &settings.dead_letter_topic, &settings.group_id),
        registry: Arc::new(Registry::new(registry, None)?),
        fence: Fence {
            source: config.source_id.parse()?,
            generation: 1,
            epoch: 1,
            origin_region: config.region.clone(),
            tombstone_retention: settings.tombstone_retention,
        },
        limits: Limits { messages: usize::try_from(settings.in_flight_per_partition)?, bytes: 16 * 1024 * 1024 },
        writes: Limiter::new(settings.shards),
        coalescing: settings.coalescing,
        clock: Arc::new(RuntimeClock),
        backoff: (Duration::from_millis(100), Duration::from_secs(10)),
        absence_wait: Duration::from_secs(2),
        row_wait: Duration::from_secs(15),
    };
    let pipeline = Pipeline::start(&kafka::consumer_config(&config)?, settings.drain_deadline, tools)?;
    let stop = Arc::new(Notify::new());
    let stopped = Arc::clone(&stop);
    let running =
        tokio::spawn(async move { pipeline.run(async move { stopped.notified().await }).await.drain().await });
    meter.all_done.notified().await;
    let end = Point::now();
    stop.notify_one();
    let complete = running.await?;
    if !complete.clean {
        return Err(format!("the member didn't end cleanly: {:?}", complete.reason).into());
    }
    let start = *meter.start.get().ok_or("nothing was applied")?;
    let mut report = end.since(start, wanted);
    report["peak_memory_mib"] = json!(peak_memory_mib()?);
    report["polled_to_done"] = latencies();
    Ok(report)
}

/// The largest resident memory so far.
fn peak_memory_mib() -> Result<f64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("the kernel tells no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok((kib / 102.4).round() / 10.0)
}

/// Shares of all messages that were done within a time, from the consumer's own metric.
fn latencies() -> Value {
    let text = telemetry::prometheus::render();
    let mut within: Vec<(f64, f64)> = Vec::new();
    for line in text.lines().filter(|line| line.starts_with("kafka_processing_duration_seconds_bucket")) {
        let bound = line.split("le=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
        let count: f64 = line.rsplit(' ').next().and_then(|count| count.parse().ok()).unwrap_or_default();
        let bound: f64 = bound.parse().unwrap_or(f64::INFINITY);
        match within.iter_mut().find(|(known, _)| *known == bound) {
            Some((_, sum)) => *sum += count,
            None => within.push((bound, count)),
        }
    }
    within.sort_by(|one, other| one.0.total_cmp(&other.0));
    let all = within.last().map_or(0.0, |(_, count)| *count);
    let percentile = |share: f64| {
        // Within a bucket observations count as evenly spread.
        let mut before = (0.0, 0.0);
        for (bound, count) in &within {
            if *count >= share * all {
                let part = (share * all - before.1) / (count - before.1).max(1.0);
                return json!(((before.0 + (bound - before.0) * part) * 1e5).round() / 100.0);
            }
            before = (*bound, *count);
        }
        Value::Null
    };
    json!({ "p50_ms": percentile(0.5), "p99_ms": percentile(0.99), "p999_ms": percentile(0.999) })
}
