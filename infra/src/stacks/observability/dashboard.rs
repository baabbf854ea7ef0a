//! The region's dashboard: all alarms, and the numbers behind them.

use cfn::cloudwatch;
use serde_json::{Value as Json, json};

use super::alarm::{Alarm, Stat};
use super::subjects::PUT_EVENTS_FAILED;
use crate::constructs::Scope;
use crate::dashboards::PROGRAM_METRICS;
use crate::environment::Program;
use crate::system::{Subject, Watch};

/// Columns of a dashboard (CloudWatch API reference, "Dashboard body structure and syntax", read 2026-11).
const COLUMNS: usize = 24;

/// Height of a graph in rows.
const HEIGHT: usize = 6;

/// Graphs side by side.
const PER_ROW: usize = 3;

/// Alarms that one widget shows at most (same source).
const ALARMS_PER_WIDGET: usize = 100;

/// Adds the dashboard.
pub(super) fn add(scope: &mut Scope<'_>, watches: &[Watch], alarms: &[Alarm]) {
    let mut widgets = alarm_widgets(scope, alarms);
    let top = widgets.len() * HEIGHT;
    let width = COLUMNS / PER_ROW;
    for (index, graph) in graphs(scope, watches).into_iter().filter(|graph| !graph.metrics.is_empty()).enumerate() {
        let place = ((index % PER_ROW) * width, top + (index / PER_ROW) * HEIGHT);
        widgets.push(graph.into_widget(place, width, scope.region.as_str()));
    }
    // Names are written out; only the account and ids that AWS chooses are left to the deployment.
    let body = cfn::sub(&json!({"start": "-PT3H", "widgets": widgets}).to_string());
    let name = format!("{}-{}", scope.environment.name("region"), scope.region);
    scope.add("Dashboard", cloudwatch::Dashboard::new(body).dashboard_name(name));
}

fn alarm_widgets(scope: &Scope<'_>, alarms: &[Alarm]) -> Vec<Json> {
    let arn =
        |name: &str| format!("arn:${{AWS::Partition}}:cloudwatch:{}:${{AWS::AccountId}}:alarm:{name}", scope.region);
    let names = [scope.environment.name(super::REGION_UNHEALTHY)]
        .into_iter()
        .chain(alarms.iter().map(|alarm| alarm.name(scope.environment)));
    let arns: Vec<String> = names.map(|name| arn(&name)).collect();
    let widget = |(index, arns): (usize, &[String])| {
        json!({
            "type": "alarm",
            "x": 0, "y": index * HEIGHT, "width": COLUMNS, "height": HEIGHT,
            "properties": {"title": "Alarms", "alarms": arns, "sortBy": "stateUpdatedTimestamp"},
        })
    };
    arns.chunks(ALARMS_PER_WIDGET).enumerate().map(widget).collect()
}

/// One graph with a line a metric.
struct Graph {
    title: &'static str,
    statistic: Stat,
    metrics: Vec<Vec<String>>,
}

impl Graph {
    fn into_widget(self, (x, y): (usize, usize), width: usize, region: &str) -> Json {
        json!({
            "type": "metric",
            "x": x, "y": y, "width": width, "height": HEIGHT,
            "properties": {
                "title": self.title,
                "view": "timeSeries",
                "region": region,
                "stat": self.statistic.as_str(),
                "period": 60,
                "metrics": self.metrics,
            },
        })
    }
}

fn graphs(scope: &Scope<'_>, watches: &[Watch]) -> Vec<Graph> {
    let lines = |title, statistic, line: &dyn Fn(&Subject) -> Vec<Vec<String>>| Graph {
        title,
        statistic,
        metrics: watches.iter().flat_map(|watch| line(&watch.subject)).collect(),
    };
    let letters = |name: &'static str| {
        move |subject: &Subject| match subject {
            Subject::DeadLetters { queue } | Subject::Pointers { queue } => {
                vec![row("AWS/SQS", name, &[("QueueName", queue)])]
            }
            _ => Vec::new(),
        }
    };
    let work = |name: &'static str| {
        move |subject: &Subject| match subject {
            Subject::WorkQueue { queue } => vec![row("AWS/SQS", name, &[("QueueName", queue)])],
            _ => Vec::new(),
        }
    };
    let functions = |name: &'static str| {
        move |subject: &Subject| match subject {
            Subject::Function { function, .. } => vec![row("AWS/Lambda", name, &[("FunctionName", function)])],
            _ => Vec::new(),
        }
    };
    let readers = |subject: &Subject| match subject {
        Subject::Function { function, reads_streams: true, .. } => {
            vec![row("AWS/Lambda", "IteratorAge", &[("FunctionName", function)])]
        }
        _ => Vec::new(),
    };
    let rules = |subject: &Subject| match subject {
        Subject::Rule { bus, rule } => ["Invocations", "FailedInvocations", "InvocationsSentToDlq"]
            .map(|name| row("AWS/Events", name, &[("EventBusName", bus), ("RuleName", rule)]))
            .to_vec(),
        _ => Vec::new(),
    };
    let schedules = |subject: &Subject| match subject {
        Subject::Schedule { group } => ["InvocationAttemptCount", "TargetErrorCount", "InvocationDroppedCount"]
            .map(|name| row("AWS/Scheduler", name, &[("ScheduleGroup", group)]))
            .to_vec(),
        _ => Vec::new(),
    };
    let throttles = |subject: &Subject| match subject {
        Subject::Table { table, .. } => ["ReadThrottleEvents", "WriteThrottleEvents"]
            .map(|name| row("AWS/DynamoDB", name, &[("TableName", table)]))
            .to_vec(),
        _ => Vec::new(),
    };
    let replication = |subject: &Subject| match subject {
        Subject::Table { table, replicas, lags: true } => replicas
            .iter()
            .map(|region| {
                let dimensions = [("TableName", table.as_str()), ("ReceivingRegion", region.as_str())];
                row("AWS/DynamoDB", "ReplicationLatency", &dimensions)
            })
            .collect(),
        _ => Vec::new(),
    };
    let api = |names: &'static [&'static str]| {
        move |subject: &Subject| match subject {
            Subject::Api { id_output, stage, method, path, .. } => {
                let id = format!("${{{id_output}}}");
                let dimensions = [("ApiId", id.as_str()), ("Method", method), ("Resource", path), ("Stage", stage)];
                names.iter().map(|name| row("AWS/ApiGateway", name, &dimensions)).collect()
            }
            _ => Vec::new(),
        }
    };
    let nat = |subject: &Subject| match subject {
        Subject::NatGateway { id_output, .. } => {
            let id = format!("${{{id_output}}}");
            ["ErrorPortAllocation", "PacketsDropCount"]
                .map(|name| row("AWS/NATGateway", name, &[("NatGatewayId", &id)]))
                .to_vec()
        }
        _ => Vec::new(),
    };
    let cluster = |subject: &Subject| match subject {
        Subject::Cluster { cluster } => {
            ["scheduler_pending_pods", "scheduler_pending_pods_UNSCHEDULABLE", "apiserver_request_total_5XX"]
                .map(|name| row("AWS/EKS", name, &[("ClusterName", cluster)]))
                .to_vec()
        }
        _ => Vec::new(),
    };
    let refused = |subject: &Subject| match subject {
        Subject::Api { .. } => vec![row("AWS/Events", PUT_EVENTS_FAILED, &[])],
        _ => Vec::new(),
    };
    let mut graphs = vec![
        lines("Dead letters: messages", Stat::Maximum, &letters("ApproximateNumberOfMessagesVisible")),
        lines("Dead letters: age of the oldest (s)", Stat::Maximum, &letters("ApproximateAgeOfOldestMessage")),
        lines("Work queues: messages", Stat::Maximum, &work("ApproximateNumberOfMessagesVisible")),
        lines("Work queues: age of the oldest (s)", Stat::Maximum, &work("ApproximateAgeOfOldestMessage")),
        lines("Functions: runs", Stat::Sum, &functions("Invocations")),
        lines("Functions: errors", Stat::Sum, &functions("Errors")),
        lines("Functions: throttled", Stat::Sum, &functions("Throttles")),
        lines("Functions: duration, 99th percentile (ms)", Stat::P99, &functions("Duration")),
        lines("Functions: at the same time", Stat::Maximum, &functions("ConcurrentExecutions")),
        lines("Streams: age of the last record read (ms)", Stat::Maximum, &readers),
        lines("Rules", Stat::Sum, &rules),
        lines("Schedules", Stat::Sum, &schedules),
        lines("Tables: throttled", Stat::Sum, &throttles),
        lines("Tables: replication latency (ms)", Stat::Average, &replication),
        lines("API: requests and errors", Stat::Sum, &api(&["Count", "4xx", "5xx"])),
        lines("API: latency, 99th percentile (ms)", Stat::P99, &api(&["Latency", "IntegrationLatency"])),
        lines("Event buses: events refused, of the whole account", Stat::Sum, &refused),
        lines("NAT gateways", Stat::Sum, &nat),
        lines("Cluster", Stat::Sum, &cluster),
    ];
    graphs.extend(of_programs(scope));
    graphs
}

fn of_programs(scope: &Scope<'_>) -> [Graph; 2] {
    let environment = scope.environment;
    let router = environment.name(Program::EventRouter.name());
    let checker = environment.name(Program::HealthChecker.name());
    let latency = environment.peers(scope.region).map(|peer| {
        let dimensions =
            [("function", router.as_str()), ("source_region", scope.region.as_str()), ("target_region", peer.as_str())];
        row(PROGRAM_METRICS, "cross_region_latency_seconds", &dimensions)
    });
    let verdict = environment
        .from_region(scope.region)
        .map(|region| row(PROGRAM_METRICS, "health_status", &[("function", &checker), ("region", region.as_str())]));
    [
        Graph {
            title: "Cross-region: commit to the peer's bus, 99th percentile (s)",
            statistic: Stat::P99,
            metrics: latency.collect(),
        },
        Graph {
            title: "Health: 0 healthy, 1 degraded, 2 unhealthy",
            statistic: Stat::Maximum,
            metrics: verdict.collect(),
        },
    ]
}

/// A line of a graph, as a dashboard writes it: namespace, metric, then names and values of dimensions.
fn row(namespace: &str, name: &str, dimensions: &[(&str, &str)]) -> Vec<String> {
    let dimensions = dimensions.iter().flat_map(|(name, value)| [(*name).to_owned(), (*value).to_owned()]);
    [namespace.to_owned(), name.to_owned()].into_iter().chain(dimensions).collect()
}
