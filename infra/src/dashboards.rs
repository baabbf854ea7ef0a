//! Grafana dashboards and Prometheus rules, as files.
//!
//! What pods measure is asked of Prometheus, what functions and AWS services measure of CloudWatch; both data sources are
//! variables of the dashboards. Alarms over CloudWatch's metrics are in the `observability` stack, not here.
//! Which metrics exist is said by the telemetry crate; `infra/tests/dashboards.rs` compares every query with it.

mod breakers;
mod consumer;
mod functions;
mod grafana;
mod replication;
mod rules;

pub(crate) use rules::{LAG_TO_SCALE_BY, RECORDS_PER_POD};

use serde_json::Value as Json;

use crate::environment::Environment;
use crate::stacks::cluster::NAMESPACE;

/// Name of the consumer's container.
const CONTAINER: &str = contracts::CdcConsumer::NAME;

/// CloudWatch namespace of what the functions measure. A test compares it with the telemetry crate's.
pub const PROGRAM_METRICS: &str = "Tandem";

/// All files of `environment`: path below the output folder, content.
///
/// Dashboards are JSON as Grafana imports it. The rules come twice, as the Prometheus operator's `PrometheusRule`
/// and as a plain rules file; both are JSON, which every reader of YAML takes.
pub fn files(environment: &Environment) -> Vec<(String, String)> {
    let dashboards = [
        ("grafana/consumer.json", consumer::dashboard(environment)),
        ("grafana/functions.json", functions::dashboard(environment)),
        ("grafana/breakers.json", breakers::dashboard(environment)),
        ("grafana/replication.json", replication::dashboard(environment)),
    ];
    let rules = [
        ("prometheus/consumer-rules.json", rules::file(environment)),
        ("prometheus/prometheus-rule.json", rules::manifest(environment)),
    ];
    dashboards.into_iter().chain(rules).map(|(name, content)| (name.to_owned(), text(&content))).collect()
}

/// A metric of the consumer's pods with its selector.
fn of_consumer(metric: &str) -> String {
    format!("{metric}{{namespace=\"{NAMESPACE}\"}}")
}

/// The increase a second of a counter of the consumer's pods over `window`.
fn rate_of_consumer(counter: &str, window: &str) -> String {
    format!("rate({}[{window}])", of_consumer(counter))
}

/// Memory that the consumer's containers use, and what they may use, by pod.
fn memory_of_consumer() -> [String; 2] {
    let selector = format!("namespace=\"{NAMESPACE}\",container=\"{CONTAINER}\"");
    [
        format!("max by (pod) (container_memory_working_set_bytes{{{selector}}})"),
        format!("max by (pod) (kube_pod_container_resource_limits{{{selector},resource=\"memory\"}})"),
    ]
}

fn text(content: &Json) -> String {
    let text = serde_json::to_string_pretty(content).expect("invariant: a JSON value has a JSON form");
    text + "\n"
}
