//! The health checker: small reads and writes in every region, a verdict, and the answer of the health endpoint.

use std::time::Duration;

use crate::macros::program;
use crate::{Region, Regions};

program! {
    /// Configuration of `health-checker`.
    HealthChecker("health-checker"), HealthCheckerBinding, HealthCheckerSettings {
        ambient {
            /// The region it runs in; Lambda sets it.
            region: Region = "AWS_REGION",
        }
        required {
            /// The regions it looks at, its own among them.
            regions: Regions = "CHECKED_REGIONS",
        }
        resources {
            /// Canary rows and the last verdict; the table has the same name in each region.
            health: Table as Probe = "HEALTH_TABLE",
            /// The bus of each region, which gets canary events and, in the own region, the verdict.
            bus: EventBus as Publish = "EVENT_BUS_NAME",
            /// Canary messages; the queue has the same name in each region.
            canaries: NamedQueue as Probe = "CANARY_QUEUE_NAME",
        }
        settings {
            /// A probe that takes longer is degraded.
            degraded_latency: Duration = "DEGRADED_LATENCY", Duration::from_millis(500), Duration::from_millis(10)..=Duration::from_secs(10);
            /// A probe that takes longer is unhealthy.
            probe_timeout: Duration = "PROBE_TIMEOUT", Duration::from_secs(3), Duration::from_millis(100)..=Duration::from_secs(20);
            /// So many of the last `window` checks must fail before a region is unhealthy.
            unhealthy_after: u32 = "UNHEALTHY_AFTER", 2, 1..=10;
            /// How many of the last checks are looked at.
            window: u32 = "HEALTH_WINDOW", 3, 1..=20;
            /// A verdict older than this says nothing any more: the health endpoint answers unhealthy.
            verdict_expiry: Duration = "VERDICT_EXPIRY", Duration::from_secs(300), Duration::from_secs(30)..=Duration::from_secs(3600);
        }
    }
}
