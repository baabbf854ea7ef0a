//! The breakers between regions: their states, what they act on, and the events that wait.

use contracts::Region;
use serde_json::Value as Json;

use super::functions::own_lines;
use super::grafana::{Dashboard, Graph, Line, Unit};
use crate::environment::{Environment, Program};

pub(super) fn dashboard(environment: &Environment) -> Json {
    let router = [Program::EventRouter];
    let tables = |metric: &'static str| -> Vec<Line> {
        let both = |region: &Region| ["breakers", "parking"].map(|table| of_table(environment, region, table, metric));
        environment.regions().flat_map(both).collect()
    };
    Dashboard {
        uid: environment.name("breakers"),
        title: format!("Tandem {}: breakers", environment.environment_name()),
        graphs: vec![
            Graph::new(
                "Events to peers by outcome",
                Unit::Count,
                "Per minute. Anything but published counts against the way to that peer.",
                own_lines(
                    environment,
                    &router,
                    "cross_region_events_total",
                    "Sum",
                    &["outcome", "source_region", "target_region"],
                ),
            ),
            Graph::new(
                "Failures by class",
                Unit::Count,
                "Why a peer's bus did not take events, per minute.",
                own_lines(environment, &router, "eventbridge_publish_errors_total", "Sum", &["class", "region"]),
            ),
            Graph::new(
                "State of the breakers",
                Unit::Count,
                "1 for the state that a breaker is in.",
                own_lines(environment, &router, "circuit_breaker_state", "Maximum", &["state", "target_region"]),
            ),
            Graph::new(
                "Changes of state",
                Unit::Count,
                "Per minute, with the reason.",
                own_lines(
                    environment,
                    &router,
                    "circuit_breaker_transitions_total",
                    "Sum",
                    &["from", "reason", "target_region", "to"],
                ),
            ),
            Graph::new(
                "Events that wait",
                Unit::Count,
                "As counted once a minute.",
                own_lines(environment, &router, "parking_depth", "Maximum", &["target_region"]),
            ),
            Graph::new(
                "Age of the oldest event that waits",
                Unit::Seconds,
                "At a quarter of an hour somebody is called; after 12 hours no more are parked.",
                own_lines(environment, &router, "parking_oldest_age_seconds", "Maximum", &["target_region"]),
            ),
            Graph::new(
                "Events parked",
                Unit::Count,
                "Per minute, repeats included.",
                own_lines(environment, &router, "parked_events_total", "Sum", &["target_region"]),
            ),
            Graph::new(
                "Parked events taken up",
                Unit::Count,
                "Per minute, by what became of them.",
                own_lines(environment, &router, "drained_events_total", "Sum", &["outcome", "target_region"]),
            ),
            Graph::new(
                "Writes to the tables of breakers and parked events",
                Unit::Count,
                "Capacity units per minute: changes of breakers, events that wait.",
                tables("ConsumedWriteCapacityUnits"),
            ),
            Graph::new(
                "Reads of the tables of breakers and parked events",
                Unit::Count,
                "Capacity units per minute: looks at breakers, replays.",
                tables("ConsumedReadCapacityUnits"),
            ),
        ],
    }
    .into_json()
}

fn of_table(environment: &Environment, region: &Region, table: &str, metric: &'static str) -> Line {
    Line::CloudWatch {
        region: region.to_string(),
        namespace: "AWS/DynamoDB",
        metric,
        dimensions: vec![("TableName", environment.name(table))],
        statistic: "Sum",
        legend: format!("{table} {region}"),
    }
}
