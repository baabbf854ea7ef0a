//! Consumer lag and throughput.

use serde_json::Value as Json;

use super::grafana::{Dashboard, Graph, Unit, prometheus};
use super::{memory_of_consumer, of_consumer, rate_of_consumer};
use crate::environment::Environment;

pub(super) fn dashboard(environment: &Environment) -> Json {
    let lag = of_consumer("kafka_consumer_lag_records");
    let late = of_consumer("kafka_consumer_lag_seconds");
    let read = rate_of_consumer("kafka_messages_consumed_total", "5m");
    let done = rate_of_consumer("kafka_processing_duration_seconds_count", "5m");
    let buckets = rate_of_consumer("kafka_processing_duration_seconds_bucket", "5m");
    let handled = rate_of_consumer("cdc_events_processed_total", "5m");
    let merged = rate_of_consumer("cdc_partial_image_total", "5m");
    let letters = rate_of_consumer("dead_letters_total", "5m");
    let calls = rate_of_consumer("dynamodb_operations_total", "5m");
    let failed = rate_of_consumer("dynamodb_errors_total", "5m");
    let phases = of_consumer("consumer_ownership");
    let [memory, most] = memory_of_consumer();
    let percentile = |part: &str| format!("histogram_quantile({part}, sum by (le, topic) ({buckets}))");
    Dashboard {
        uid: environment.name("consumer"),
        title: format!("Tandem {}: consumer lag and throughput", environment.environment_name()),
        graphs: vec![
            Graph::new(
                "Lag in records",
                Unit::Count,
                "Records between the first that is not done and the end of the topic. Rising: too few pods, or a partition is stuck.",
                [prometheus(format!("sum by (topic) ({lag})"), "{{topic}}")],
            ),
            Graph::new(
                "Lag in seconds",
                Unit::Seconds,
                "Age of the next record that is not done, also while nobody can read it.",
                [prometheus(format!("max by (topic) ({late})"), "{{topic}}")],
            ),
            Graph::new(
                "Lag by partition, the worst ten",
                Unit::Count,
                "One partition far above the others is stuck, or its keys are hot.",
                [prometheus(format!("topk(10, max by (topic, partition) ({lag}))"), "{{topic}} {{partition}}")],
            ),
            Graph::new(
                "Records read and done",
                Unit::PerSecond,
                "Read without done: the tables don't take what is written.",
                [
                    prometheus(format!("sum by (topic) ({read})"), "read {{topic}}"),
                    prometheus(format!("sum by (topic) ({done})"), "done {{topic}}"),
                ],
            ),
            Graph::new(
                "Time from reading to the lasting effect",
                Unit::Seconds,
                "The 99th percentile is at most 15 ms in good times.",
                [prometheus(percentile("0.5"), "p50 {{topic}}"), prometheus(percentile("0.99"), "p99 {{topic}}")],
            ),
            Graph::new(
                "Changes by outcome",
                Unit::PerSecond,
                "Duplicates and stale changes are usual after a restart or a reload.",
                [prometheus(format!("sum by (outcome) ({handled})"), "{{outcome}}")],
            ),
            Graph::new(
                "Changes by entity and operation",
                Unit::PerSecond,
                "What the source does.",
                [
                    prometheus(format!("sum by (entity, operation) ({handled})"), "{{entity}} {{operation}}"),
                    prometheus(format!("sum by (entity) ({merged})"), "{{entity}} partial"),
                ],
            ),
            Graph::new(
                "Dead letters",
                Unit::PerSecond,
                "Each is in the dead-letter topic with its body.",
                [prometheus(format!("sum by (reason) ({letters})"), "{{reason}}")],
            ),
            Graph::new(
                "Calls to DynamoDB",
                Unit::PerSecond,
                "By outcome, and those that failed after all retries by class.",
                [
                    prometheus(format!("sum by (operation, outcome) ({calls})"), "{{operation}} {{outcome}}"),
                    prometheus(format!("sum by (class) ({failed})"), "failed: {{class}}"),
                ],
            ),
            Graph::new(
                "What the pods are doing",
                Unit::Count,
                "`unknown`: the record that says which region owns can't be read. No pod that owns, in any region: nobody consumes.",
                [prometheus(format!("sum by (phase) ({phases})"), "{{phase}}")],
            ),
            Graph::new(
                "Memory",
                Unit::Bytes,
                "A container that reaches its limit is killed.",
                [prometheus(memory, "{{pod}}"), prometheus(most, "limit {{pod}}")],
            ),
        ],
    }
    .into_json()
}
