//! Performance of the functions.

use contracts::Region;
use serde_json::Value as Json;

use super::PROGRAM_METRICS;
use super::grafana::{Dashboard, Graph, Line, Unit};
use crate::environment::{Environment, Program};

pub(super) fn dashboard(environment: &Environment) -> Json {
    let all = |metric, statistic| lines(environment, &Program::ALL, "AWS/Lambda", metric, statistic);
    let readers = [Program::StreamProcessor, Program::EventRouter];
    let own = |metric, statistic, rest: &[&'static str], programs: &[Program]| {
        own_lines(environment, programs, metric, statistic, rest)
    };
    let publishers = [Program::StreamProcessor, Program::EventRouter, Program::EventTransformer];
    Dashboard {
        uid: environment.name("functions"),
        title: format!("Tandem {}: functions", environment.environment_name()),
        graphs: vec![
            Graph::new("Runs", Unit::Count, "Per minute.", all("Invocations", "Sum")),
            Graph::new("Errors", Unit::Count, "Runs that failed as a whole, per minute.", all("Errors", "Sum")),
            Graph::new(
                "Duration, 99th percentile",
                Unit::Milliseconds,
                "Near the timeout, runs are killed half way and repeated.",
                all("Duration", "p99"),
            ),
            Graph::new("Duration, median", Unit::Milliseconds, "The usual run.", all("Duration", "p50")),
            Graph::new(
                "Throttled",
                Unit::Count,
                "Runs that Lambda refused for want of concurrency, per minute.",
                all("Throttles", "Sum"),
            ),
            Graph::new(
                "At the same time",
                Unit::Count,
                "Against the reserved concurrency, and the account's.",
                all("ConcurrentExecutions", "Maximum"),
            ),
            Graph::new(
                "Age of the last record read",
                Unit::Milliseconds,
                "Rising without end: a batch fails again and again.",
                lines(environment, &readers, "AWS/Lambda", "IteratorAge", "Maximum"),
            ),
            Graph::new(
                "Time in the handler, 99th percentile",
                Unit::Seconds,
                "Measured by the programs: without Lambda's own time.",
                own("lambda_duration_seconds", "p99", &[], &Program::ALL),
            ),
            Graph::new(
                "Records given back",
                Unit::Count,
                "Runs that gave some of their records back to be retried (partial_batch), or ended in an error.",
                own("lambda_errors_total", "Sum", &["kind"], &publishers),
            ),
            Graph::new(
                "Start, by stage",
                Unit::Seconds,
                "What a cold start spends its time on.",
                own("init_stage_seconds", "p99", &["stage"], &Program::ALL),
            ),
            Graph::new(
                "Events published",
                Unit::Count,
                "Taken by a bus, per minute.",
                own("eventbridge_events_published_total", "Sum", &["detail_type", "region"], &publishers),
            ),
            Graph::new(
                "Events not published",
                Unit::Count,
                "Not taken after all retries, by class; their records are delivered again.",
                own("eventbridge_publish_errors_total", "Sum", &["class", "region"], &publishers),
            ),
            Graph::new(
                "Raw events, by outcome",
                Unit::Count,
                "What became of what came in by the API. Those that had come before (duplicate) are not published again.",
                own("raw_events_total", "Sum", &["outcome"], &[Program::EventTransformer]),
            ),
            Graph::new(
                "Claims of raw events",
                Unit::Count,
                "Each before it is published, and its completion. What is taken_over or lost may have been published twice.",
                own("idempotency_total", "Sum", &["outcome", "step"], &[Program::EventTransformer]),
            ),
            Graph::new(
                "Dead letters",
                Unit::Count,
                "Records given up on with their body, by reason.",
                own("dead_letters_total", "Sum", &["reason", "source"], &publishers),
            ),
            Graph::new(
                "Decisions of the authorizer",
                Unit::Count,
                "`failed`: it could not decide, and callers were turned away.",
                own("authorizations_total", "Sum", &["outcome"], &[Program::Authorizer]),
            ),
            Graph::new(
                "Health probes, 99th percentile",
                Unit::Seconds,
                "By region and service.",
                own("health_probe_seconds", "p99", &["region", "service"], &[Program::HealthChecker]),
            ),
            Graph::new(
                "Health verdicts",
                Unit::Count,
                "0 healthy, 1 degraded, 2 unhealthy, as each region sees each.",
                own("health_status", "Maximum", &["region"], &[Program::HealthChecker]),
            ),
            Graph::new(
                "Authority: epoch",
                Unit::Count,
                "By owner, as each region reads it; it rises by one with each decision.",
                own("region_authority_epoch", "Maximum", &["owner"], &[Program::HealthChecker]),
            ),
        ],
    }
    .into_json()
}

/// A line for each region and program of something that Lambda measures.
fn lines(
    environment: &Environment,
    programs: &[Program],
    namespace: &'static str,
    metric: &'static str,
    statistic: &'static str,
) -> Vec<Line> {
    each(environment, programs, |region, program| Line::CloudWatch {
        region: region.to_string(),
        namespace,
        metric,
        dimensions: vec![("FunctionName", environment.name(program.name()))],
        statistic,
        legend: format!("{} {region}", program.name()),
    })
}

/// Lines of something that the programs measure, one for each value of the labels in `labels`.
pub(super) fn own_lines(
    environment: &Environment,
    programs: &[Program],
    metric: &'static str,
    statistic: &'static str,
    labels: &[&'static str],
) -> Vec<Line> {
    each(environment, programs, |region, program| {
        let function = ("function", environment.name(program.name()));
        let rest = labels.iter().map(|label| (*label, "*".to_owned()));
        let names: Vec<String> = labels.iter().map(|label| format!("${{PROP('Dim.{label}')}}")).collect();
        Line::CloudWatch {
            region: region.to_string(),
            namespace: PROGRAM_METRICS,
            metric,
            dimensions: [function].into_iter().chain(rest).collect(),
            statistic,
            legend: format!("{} {region} {}", program.name(), names.join(" ")).trim_end().to_owned(),
        }
    })
}

fn each(environment: &Environment, programs: &[Program], line: impl Fn(&Region, Program) -> Line) -> Vec<Line> {
    let mut lines = Vec::new();
    for region in environment.regions() {
        lines.extend(programs.iter().map(|program| line(region, *program)));
    }
    lines
}
