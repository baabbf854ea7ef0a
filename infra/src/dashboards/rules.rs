//! Prometheus rules over what the consumer's pods measure: alerts, and what the autoscaler goes by.
//!
//! `severity` is `page` where data is late or lost soon, and `ticket` where nothing is lost while it waits.

use serde_json::{Value as Json, json};

use super::{CONTAINER, NAMESPACE, memory_of_consumer, of_consumer, rate_of_consumer};
use crate::environment::Environment;

/// Records that one pod works off without falling behind; the autoscaler adds pods by the same number.
pub(crate) const RECORDS_PER_POD: u32 = 1_000;

/// What the autoscaler sums up: waiting records by partition, none worth more than one pod.
pub(crate) const LAG_TO_SCALE_BY: &str = "partition:kafka_consumer_lag_records:clamp_max";

/// How often the rules are evaluated.
const INTERVAL: &str = "30s";

struct Rule {
    alert: &'static str,
    query: String,
    lasts: &'static str,
    severity: &'static str,
    summary: &'static str,
    /// Anchor in the runbooks.
    runbook: &'static str,
}

/// The plain rules file.
pub(super) fn file(environment: &Environment) -> Json {
    json!({"groups": groups(environment)})
}

/// The same rules for the Prometheus operator.
pub(super) fn manifest(environment: &Environment) -> Json {
    json!({
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": environment.name("consumer"),
            "namespace": NAMESPACE,
            "labels": {
                "app.kubernetes.io/managed-by": "synth",
                "app.kubernetes.io/part-of": crate::environment::SYSTEM,
            },
        },
        "spec": {"groups": groups(environment)},
    })
}

fn groups(environment: &Environment) -> [Json; 2] {
    [scaling(environment), alerts(environment)]
}

/// A partition is read by one pod, so however far it is behind, it can't keep more than one busy. Without the limit one
/// stuck partition would drive the group to its largest size, and each new pod would move the others' partitions.
fn scaling(environment: &Environment) -> Json {
    // While a partition moves, its old and its new owner both report it.
    let lag = format!("max by (namespace, topic, partition) ({})", of_consumer("kafka_consumer_lag_records"));
    let name = environment.name("consumer-scaling");
    let rule = json!({"record": LAG_TO_SCALE_BY, "expr": format!("clamp_max({lag}, {RECORDS_PER_POD})")});
    json!({"name": name, "interval": INTERVAL, "rules": [rule]})
}

fn alerts(environment: &Environment) -> Json {
    let runbooks = &environment.alarms().runbooks;
    let rules: Vec<Json> = rules(environment)
        .into_iter()
        .map(|rule| {
            json!({
                "alert": rule.alert,
                "expr": rule.query,
                "for": rule.lasts,
                "labels": {"severity": rule.severity, "environment": environment.environment_name()},
                "annotations": {
                    "summary": rule.summary,
                    "runbook_url": format!("{runbooks}#{}", rule.runbook),
                },
            })
        })
        .collect();
    json!({"name": environment.name("consumer"), "interval": INTERVAL, "rules": rules})
}

fn rules(environment: &Environment) -> Vec<Rule> {
    // More than the largest number of pods is meant for: adding pods no longer helps.
    let most_lag = u64::from(environment.consumer().max_replicas) * u64::from(RECORDS_PER_POD);
    let lag = of_consumer("kafka_consumer_lag_records");
    let late = of_consumer("kafka_consumer_lag_seconds");
    let done = rate_of_consumer("kafka_processing_duration_seconds_count", "10m");
    let buckets = rate_of_consumer("kafka_processing_duration_seconds_bucket", "10m");
    let failed = rate_of_consumer("dynamodb_errors_total", "10m");
    let letters = of_consumer("dead_letters_total");
    let up = format!("up{{namespace=\"{NAMESPACE}\",container=\"{CONTAINER}\"}}");
    let wanted = format!("kube_deployment_spec_replicas{{namespace=\"{NAMESPACE}\",deployment=\"{CONTAINER}\"}}");
    let [memory, most] = memory_of_consumer();
    vec![
        Rule {
            alert: "TandemConsumerLag",
            query: format!("sum by (topic) ({lag}) > {most_lag}"),
            lasts: "10m",
            severity: "ticket",
            summary: "{{ $labels.topic }} is {{ $value }} records behind, more than all pods together are meant for.",
            runbook: "consumer-lag",
        },
        Rule {
            alert: "TandemConsumerLate",
            query: format!("max by (topic) ({late}) > 300"),
            lasts: "10m",
            severity: "page",
            summary: "The oldest unfinished record of {{ $labels.topic }} is {{ $value }} seconds old.",
            runbook: "consumer-late",
        },
        Rule {
            alert: "TandemConsumerStuck",
            // `unless` and not a comparison with zero, because a pod that never finished a record has no such series.
            query: format!("sum by (topic) ({lag}) > 0 unless on (topic) sum by (topic) ({done}) > 0"),
            lasts: "10m",
            severity: "page",
            summary: "{{ $labels.topic }} has {{ $value }} records to do and none is being finished.",
            runbook: "consumer-stuck",
        },
        Rule {
            alert: "TandemConsumerDeadLetters",
            // A series begins with its first dead letter, and an increase can't be seen from one value: hence the second half.
            query: format!(
                "sum by (reason) (increase({letters}[15m])) > 0 or sum by (reason) ({letters} unless {letters} offset 15m) > 0"
            ),
            lasts: "0s",
            severity: "ticket",
            summary: "Records went to the dead-letter topic because of {{ $labels.reason }}.",
            runbook: "consumer-dead-letters",
        },
        Rule {
            alert: "TandemConsumerRebalancing",
            // Only the owner of a partition reports its lag, so the pods that did so in a while are its owners in that while.
            // A rolling release moves a partition once or twice.
            query: format!("max(count by (topic, partition) (last_over_time({lag}[15m]))) > 3"),
            lasts: "10m",
            severity: "ticket",
            summary: "A partition had {{ $value }} owners within 15 minutes: the group doesn't come to rest.",
            runbook: "consumer-rebalancing",
        },
        Rule {
            alert: "TandemConsumerSlow",
            query: format!("histogram_quantile(0.99, sum by (le, topic) ({buckets})) > 1"),
            lasts: "15m",
            severity: "ticket",
            summary: "One record in a hundred of {{ $labels.topic }} takes {{ $value }} seconds or more.",
            runbook: "consumer-slow",
        },
        Rule {
            alert: "TandemConsumerWriteErrors",
            query: format!("sum by (class) ({failed}) > 0"),
            lasts: "10m",
            severity: "ticket",
            summary: "Calls to DynamoDB keep failing after all retries: {{ $labels.class }}.",
            runbook: "consumer-write-errors",
        },
        Rule {
            alert: "TandemConsumerMemory",
            query: format!("{memory} / on (pod) {most} > 0.9"),
            lasts: "10m",
            severity: "ticket",
            summary: "{{ $labels.pod }} uses {{ $value | humanizePercentage }} of its memory.",
            runbook: "consumer-memory",
        },
        Rule {
            alert: "TandemConsumerDown",
            // A region that stands by wants no pods, and none is missing there.
            query: format!("{up} == 0 or {wanted} > 0 unless on (namespace) {up}"),
            lasts: "5m",
            severity: "page",
            summary: "Prometheus can't reach a pod of the consumer, or finds none although some are wanted.",
            runbook: "consumer-down",
        },
    ]
}
