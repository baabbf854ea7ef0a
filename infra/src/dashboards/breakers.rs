//! What the breakers between regions act on: failures of publishing to a peer, and the tables that hold breakers and
//! parked events.
//!
//! The programs measure no state of a breaker, so no graph shows one.

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
