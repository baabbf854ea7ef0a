//! Replication between regions: the tables' own, and events on their way to the peers' buses.

use contracts::Region;
use events::Entity;
use serde_json::Value as Json;

use super::PROGRAM_METRICS;
use super::functions::own_lines;
use super::grafana::{Dashboard, Graph, Line, Unit};
use crate::environment::{Environment, Program};

pub(super) fn dashboard(environment: &Environment) -> Json {
    let tables = pairs(environment).into_iter().flat_map(|(from, to)| {
        Entity::ALL.map(|entity| Line::CloudWatch {
            region: from.to_string(),
            namespace: "AWS/DynamoDB",
            metric: "ReplicationLatency",
            dimensions: vec![("TableName", environment.name(entity.as_str())), ("ReceivingRegion", to.to_string())],
            statistic: "Average",
            legend: format!("{} {from} to {to}", entity.as_str()),
        })
    });
    let journey = |statistic: &'static str| -> Vec<Line> {
        let line = |(from, to): (&Region, &Region)| Line::CloudWatch {
            region: from.to_string(),
            namespace: PROGRAM_METRICS,
            metric: "cross_region_latency_seconds",
            dimensions: vec![
                ("function", environment.name(Program::EventRouter.name())),
                ("source_region", from.to_string()),
                ("target_region", to.to_string()),
            ],
            statistic,
            legend: format!("{statistic} {from} to {to}"),
        };
        pairs(environment).into_iter().map(line).collect()
    };
    let router = [Program::EventRouter];
    Dashboard {
        uid: environment.name("replication"),
        title: format!("Tandem {}: cross-region replication", environment.environment_name()),
        graphs: vec![
            Graph::new(
                "Tables: time to the other region's replica",
                Unit::Milliseconds,
                "About a second is usual. It is what a lost region would cost in changes.",
                tables,
            ),
            Graph::new(
                "Events: commit at the source to the peer's bus",
                Unit::Seconds,
                "Clocks of two machines are compared.",
                journey("p50").into_iter().chain(journey("p99")),
            ),
            Graph::new(
                "Events to peers by outcome",
                Unit::Count,
                "Per minute.",
                own_lines(
                    environment,
                    &router,
                    "cross_region_events_total",
                    "Sum",
                    &["outcome", "source_region", "target_region"],
                ),
            ),
            Graph::new(
                "Age of the last record read",
                Unit::Milliseconds,
                "How far the router is behind the tables' streams.",
                environment.regions().map(|region| Line::CloudWatch {
                    region: region.to_string(),
                    namespace: "AWS/Lambda",
                    metric: "IteratorAge",
                    dimensions: vec![("FunctionName", environment.name(Program::EventRouter.name()))],
                    statistic: "Maximum",
                    legend: region.to_string(),
                }),
            ),
        ],
    }
    .into_json()
}

/// Each region with each of its peers.
fn pairs(environment: &Environment) -> Vec<(&Region, &Region)> {
    environment.regions().flat_map(|from| environment.peers(from).map(move |to| (from, to))).collect()
}
