//! Every metric of the system, declared once.
//!
//! A name, its labels and its unit are a contract with dashboards, alarms and the autoscaler: change one only together
//! with them. Label values must come from a bounded set (an entity, an outcome, an error class), never from data.

use crate::metric::{Counter, Gauge, Histogram, Metric};

/// Bucket bounds in seconds for work inside one process: 0.5 ms to 60 s, the longest function timeout.
const WORK_SECONDS: &[f64] =
    &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

/// Bucket bounds in seconds for ways across machines and queues: 5 ms to one hour.
const JOURNEY_SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0];

/// Invocations of a function.
pub static LAMBDA_INVOCATIONS_TOTAL: Counter<1> =
    Counter::new("lambda_invocations_total", "Invocations of a function.", &["function"]);

/// Invocations that ended in an error or gave records back to be retried.
pub static LAMBDA_ERRORS_TOTAL: Counter<2> = Counter::new(
    "lambda_errors_total",
    "Invocations that ended in an error (kind invocation) or gave records back to be retried (kind partial_batch).",
    &["function", "kind"],
);

/// Time from the handler's start to its answer.
pub static LAMBDA_DURATION_SECONDS: Histogram<1> = Histogram::new(
    "lambda_duration_seconds",
    "Time from the handler's start to its answer.",
    &["function"],
    WORK_SECONDS,
);

/// Time spent in one stage of a program's start.
pub static INIT_STAGE_SECONDS: Histogram<1> =
    Histogram::new("init_stage_seconds", "Time spent in one stage of the program's start.", &["stage"], WORK_SECONDS);

/// Messages read from Kafka.
pub static KAFKA_MESSAGES_CONSUMED_TOTAL: Counter<1> =
    Counter::new("kafka_messages_consumed_total", "Messages read from Kafka.", &["topic"]);

/// High watermark minus the offset of the first message that isn't done, which is committed within about half a second.
/// The broker is asked once a second; a partition without any message done counts from where it started.
pub static KAFKA_CONSUMER_LAG_RECORDS: Gauge<2> = Gauge::new(
    "kafka_consumer_lag_records",
    "Records between the first that is not done and the high watermark.",
    &["topic", "partition"],
);

/// Age of the next record that is not done; 0 when there is none. By the record's own time once it was taken up, before that by
/// when the high watermark was seen to pass it.
pub static KAFKA_CONSUMER_LAG_SECONDS: Gauge<2> = Gauge::new(
    "kafka_consumer_lag_seconds",
    "Age of the next record that is not done, 0 when there is none.",
    &["topic", "partition"],
);

/// Time from reading a message to its lasting effect.
pub static KAFKA_PROCESSING_DURATION_SECONDS: Histogram<1> = Histogram::new(
    "kafka_processing_duration_seconds",
    "Time from reading a message to its lasting effect.",
    &["topic"],
    WORK_SECONDS,
);

/// Writes to DynamoDB that may be under way at once. It falls when a table throttles and rises while it doesn't.
pub static DYNAMODB_WRITE_LIMIT: Gauge<0> =
    Gauge::new("dynamodb_write_limit", "Writes to DynamoDB that may be under way at once.", &[]);

/// Changes handled, by what became of them. The operation is the source's: `insert`, `update`, `delete` or `refresh`;
/// `none` where a message isn't a change, `unknown` where a row doesn't say.
pub static CDC_EVENTS_PROCESSED_TOTAL: Counter<3> = Counter::new(
    "cdc_events_processed_total",
    "Changes handled, by entity, operation and outcome.",
    &["entity", "operation", "outcome"],
);

/// Changes that carried only some of the row's columns. They are merged into the row, or refused if there is none.
pub static CDC_PARTIAL_IMAGE_TOTAL: Counter<1> = Counter::new(
    "cdc_partial_image_total",
    "Changes that carried only some of the row's columns and were merged.",
    &["entity"],
);

/// Events that a bus accepted.
pub static EVENTBRIDGE_EVENTS_PUBLISHED_TOTAL: Counter<2> = Counter::new(
    "eventbridge_events_published_total",
    "Events that a bus accepted, by the bus's region and the detail type.",
    &["region", "detail_type"],
);

/// Events that a bus did not take in the end.
pub static EVENTBRIDGE_PUBLISH_ERRORS_TOTAL: Counter<2> = Counter::new(
    "eventbridge_publish_errors_total",
    "Events that a bus did not take after all retries, by the bus's region and the class of the error.",
    &["region", "class"],
);

/// Calls to DynamoDB.
pub static DYNAMODB_OPERATIONS_TOTAL: Counter<2> = Counter::new(
    "dynamodb_operations_total",
    "Calls to DynamoDB, by operation and outcome.",
    &["operation", "outcome"],
);

/// Calls to DynamoDB that failed after all retries.
pub static DYNAMODB_ERRORS_TOTAL: Counter<2> = Counter::new(
    "dynamodb_errors_total",
    "Calls to DynamoDB that failed after all retries, by operation and class of the error.",
    &["operation", "class"],
);

/// Records that went to a dead-letter queue or topic.
pub static DEAD_LETTERS_TOTAL: Counter<2> = Counter::new(
    "dead_letters_total",
    "Records that went to a dead-letter queue or topic, by the program that gave up and its reason.",
    &["source", "reason"],
);

/// Events handled on their way to a peer region, by what became of them there.
pub static CROSS_REGION_EVENTS_TOTAL: Counter<3> = Counter::new(
    "cross_region_events_total",
    "Events on their way to a peer region, by both regions and outcome.",
    &["source_region", "target_region", "outcome"],
);

/// Time from the commit at the source to acceptance by a peer's bus, by two machines' clocks.
pub static CROSS_REGION_LATENCY_SECONDS: Histogram<2> = Histogram::new(
    "cross_region_latency_seconds",
    "Time from the commit at the source to acceptance by a peer's bus; clocks of two machines are compared.",
    &["source_region", "target_region"],
    JOURNEY_SECONDS,
);

/// The breaker of the way to a region: 1 for the state that it is in, 0 for the others.
pub static CIRCUIT_BREAKER_STATE: Gauge<2> = Gauge::new(
    "circuit_breaker_state",
    "The breaker of the way to a region: 1 for the state that it is in, 0 for the others.",
    &["target_region", "state"],
);

/// Changes of a breaker's state.
pub static CIRCUIT_BREAKER_TRANSITIONS_TOTAL: Counter<4> = Counter::new(
    "circuit_breaker_transitions_total",
    "Changes of a breaker's state, by region, both states and reason.",
    &["target_region", "from", "to", "reason"],
);

/// Events that were parked because their peer was away, repeats included.
pub static PARKED_EVENTS_TOTAL: Counter<1> = Counter::new(
    "parked_events_total",
    "Events that were parked because their peer was away, repeats included.",
    &["target_region"],
);

/// Parked events that left, by what became of them: `sent`, `dead_letter`, or `failed` when they stay for another time.
pub static DRAINED_EVENTS_TOTAL: Counter<2> = Counter::new(
    "drained_events_total",
    "Parked events that were taken up, by outcome: sent, dead_letter, or failed when they stay parked.",
    &["target_region", "outcome"],
);

/// Events that wait for a region, as last counted.
pub static PARKING_DEPTH: Gauge<1> =
    Gauge::new("parking_depth", "Events that wait for a region, as last counted.", &["target_region"]);

/// How long the oldest event has been waiting for a region; 0 when none waits.
pub static PARKING_OLDEST_AGE_SECONDS: Gauge<1> = Gauge::new(
    "parking_oldest_age_seconds",
    "How long the oldest event has been waiting for a region, 0 when none waits.",
    &["target_region"],
);

/// Requests that the authorizer decided on, by what became of them: `allowed`, `forbidden` for a good token that opens nothing of
/// what was asked for, the class of the refusal, or `failed`.
pub static AUTHORIZATIONS_TOTAL: Counter<1> = Counter::new(
    "authorizations_total",
    "Requests that the authorizer decided on, by outcome: allowed, forbidden, the class of the refusal, or failed.",
    &["outcome"],
);

/// Fetches of the keys that tokens are checked with.
pub static TOKEN_KEY_FETCHES_TOTAL: Counter<2> = Counter::new(
    "token_key_fetches_total",
    "Fetches of the keys that tokens are checked with, by source and outcome.",
    &["source", "outcome"],
);

/// Time of the slowest call of one probe of a service in a region; of a probe that failed or was given up, its whole time.
pub static HEALTH_PROBE_SECONDS: Histogram<2> = Histogram::new(
    "health_probe_seconds",
    "Time of the slowest call of one probe of a service in a region, or the whole time of a probe that failed.",
    &["region", "service"],
    WORK_SECONDS,
);

/// Probes of a service in a region, by what they showed.
pub static HEALTH_PROBES_TOTAL: Counter<3> = Counter::new(
    "health_probes_total",
    "Probes of a service in a region, by what they showed: healthy, degraded or unhealthy.",
    &["region", "service", "status"],
);

/// The verdict on a region: 0 healthy, 1 degraded, 2 unhealthy.
pub static HEALTH_STATUS: Gauge<1> =
    Gauge::new("health_status", "The verdict on a region: 0 healthy, 1 degraded, 2 unhealthy.", &["region"]);

/// The epoch of the record that says which region owns what, by the owner; 0 of `none` when there is no record. It has no value
/// when the record could not be read.
pub static REGION_AUTHORITY_EPOCH: Gauge<1> = Gauge::new(
    "region_authority_epoch",
    "The epoch of the record of authority, by the owner; 0 of none without a record.",
    &["owner"],
);

/// What a process of the consumer is doing: 1 for the phase that it is in, 0 for the others. `owning` is a member of the group,
/// `standing_by` waits because its region doesn't own, `unknown` can't read who does, `ending` finishes what has begun.
pub static CONSUMER_OWNERSHIP: Gauge<1> = Gauge::new(
    "consumer_ownership",
    "What a process of the consumer is doing (owning, standing_by, unknown or ending): 1 for that, 0 for the others.",
    &["phase"],
);

/// Trace contexts that came in and couldn't be read. What they came with is handled as if it had come without.
/// Sources: `kafka`, a header; `raw_event`, a member of the event; `queue`, X-Ray's header of a message.
pub static TRACE_CONTEXTS_IGNORED_TOTAL: Counter<1> = Counter::new(
    "trace_contexts_ignored_total",
    "Trace contexts that came in and couldn't be read (source kafka, raw_event or queue).",
    &["source"],
);

/// Raw events of the API, by what became of them: `transformed`, `invalid`, `duplicate` when they had come before,
/// `dead_letter`, or `failed` when they are delivered again.
pub static RAW_EVENTS_TOTAL: Counter<1> =
    Counter::new("raw_events_total", "Raw events of the API, by outcome.", &["outcome"]);

/// Mistakes in raw events that were told as invalid.
pub static VALIDATION_ERRORS_TOTAL: Counter<1> =
    Counter::new("validation_errors_total", "Mistakes in raw events that were told as invalid, by kind.", &["code"]);

/// Time that it took to check and normalise one raw event.
pub static RAW_EVENT_TRANSFORM_SECONDS: Histogram<0> = Histogram::new(
    "raw_event_transform_seconds",
    "Time that it took to check and normalise one raw event.",
    &[],
    WORK_SECONDS,
);

/// Searches for the addresses of raw events that were transformed, by how they ended (`geo_status`).
pub static GEO_LOOKUPS_TOTAL: Counter<1> = Counter::new(
    "geo_lookups_total",
    "Searches for the addresses of raw events that were transformed, by status.",
    &["status"],
);

/// Whether a starting transformer found a database of addresses that it can use: 1, or 0.
pub static GEO_DATABASE_LOADED: Gauge<0> = Gauge::new(
    "geo_database_loaded",
    "Whether a starting transformer found a database of addresses that it can use: 1 or 0.",
    &[],
);

/// Claims of work that is to be done once, completions and releases, by outcome. A claim is `claimed`, `taken_over` from an
/// owner whose lease ran out, `duplicate`, `in_progress`, `mismatch` or `failed`; the other steps are `settled`, `lost` to
/// another owner, or `failed`.
pub static IDEMPOTENCY_TOTAL: Counter<2> = Counter::new(
    "idempotency_total",
    "Claims of work that is to be done once, completions and releases, by step and outcome.",
    &["step", "outcome"],
);

/// Every metric, in the order in which exporters write them.
pub static ALL: [Metric; 38] = [
    LAMBDA_INVOCATIONS_TOTAL.metric(),
    LAMBDA_ERRORS_TOTAL.metric(),
    LAMBDA_DURATION_SECONDS.metric(),
    INIT_STAGE_SECONDS.metric(),
    KAFKA_MESSAGES_CONSUMED_TOTAL.metric(),
    KAFKA_CONSUMER_LAG_RECORDS.metric(),
    KAFKA_CONSUMER_LAG_SECONDS.metric(),
    KAFKA_PROCESSING_DURATION_SECONDS.metric(),
    CDC_EVENTS_PROCESSED_TOTAL.metric(),
    CDC_PARTIAL_IMAGE_TOTAL.metric(),
    EVENTBRIDGE_EVENTS_PUBLISHED_TOTAL.metric(),
    EVENTBRIDGE_PUBLISH_ERRORS_TOTAL.metric(),
    DYNAMODB_WRITE_LIMIT.metric(),
    DYNAMODB_OPERATIONS_TOTAL.metric(),
    DYNAMODB_ERRORS_TOTAL.metric(),
    DEAD_LETTERS_TOTAL.metric(),
    CROSS_REGION_EVENTS_TOTAL.metric(),
    CROSS_REGION_LATENCY_SECONDS.metric(),
    CIRCUIT_BREAKER_STATE.metric(),
    CIRCUIT_BREAKER_TRANSITIONS_TOTAL.metric(),
    PARKED_EVENTS_TOTAL.metric(),
    DRAINED_EVENTS_TOTAL.metric(),
    PARKING_DEPTH.metric(),
    PARKING_OLDEST_AGE_SECONDS.metric(),
    AUTHORIZATIONS_TOTAL.metric(),
    TOKEN_KEY_FETCHES_TOTAL.metric(),
    HEALTH_PROBE_SECONDS.metric(),
    HEALTH_PROBES_TOTAL.metric(),
    HEALTH_STATUS.metric(),
    REGION_AUTHORITY_EPOCH.metric(),
    CONSUMER_OWNERSHIP.metric(),
    TRACE_CONTEXTS_IGNORED_TOTAL.metric(),
    RAW_EVENTS_TOTAL.metric(),
    VALIDATION_ERRORS_TOTAL.metric(),
    RAW_EVENT_TRANSFORM_SECONDS.metric(),
    GEO_LOOKUPS_TOTAL.metric(),
    GEO_DATABASE_LOADED.metric(),
    IDEMPOTENCY_TOTAL.metric(),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use std::collections::BTreeSet;

    #[test]
    fn the_whole_list() {
        let list: String = ALL
            .iter()
            .map(|metric| {
                format!("{} {}{:?} — {}\n", metric.name(), metric.kind().as_str(), metric.labels(), metric.help())
            })
            .collect();
        insta::assert_snapshot!(list);
    }

    #[test]
    fn names_follow_the_rules() {
        let names: BTreeSet<_> = ALL.iter().map(Metric::name).collect();
        assert_eq!(names.len(), ALL.len(), "a name is used twice");
        for metric in &ALL {
            let name = metric.name();
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{name}");
            assert_eq!(metric.kind() == Kind::Counter, name.ends_with("_total"), "{name}");
            assert_eq!(
                metric.kind() == Kind::Histogram,
                name.ends_with("_seconds") && !name.contains("_lag_") && !name.contains("_age_"),
                "{name}"
            );
            assert!(metric.help().ends_with('.'), "{name}");
        }
    }

    /// CloudWatch charges each series, so a label is a word of a list in the code or a name from an environment file, and never
    /// an id, a key or the text of an error.
    #[test]
    fn labels_are_words_of_bounded_number() {
        const OF_THE_CODE: [&str; 17] = [
            "class",
            "code",
            "detail_type",
            "entity",
            "from",
            "kind",
            "operation",
            "outcome",
            "phase",
            "reason",
            "service",
            "source",
            "stage",
            "state",
            "status",
            "step",
            "to",
        ];
        // An owner is a region.
        const OF_THE_ENVIRONMENT: [&str; 7] =
            ["function", "owner", "partition", "region", "source_region", "target_region", "topic"];
        // CloudWatch takes 30 dimensions, and the function's name is one more beside the labels.
        const MOST: usize = 29;
        for metric in &ALL {
            let unknown = |label: &&&str| !OF_THE_CODE.contains(label) && !OF_THE_ENVIRONMENT.contains(label);
            assert_eq!(metric.labels().iter().find(unknown), None, "{}: how many values can it have?", metric.name());
            assert!(metric.labels().len() <= MOST, "{}", metric.name());
        }
    }

    #[test]
    fn bucket_bounds_rise() {
        for bounds in [WORK_SECONDS, JOURNEY_SECONDS] {
            assert!(bounds.is_sorted_by(|a, b| a < b));
        }
    }
}
