//! The health checker: small reads and writes in every region, a verdict, and the answer of the health endpoint.

use std::time::Duration;

use crate::macros::program;
use crate::{Mistake, Region, Regions, Setting};

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
            /// The record that says which region owns what and which get no traffic; the own region's replica is read.
            authority: Table as Read = "AUTHORITY_TABLE",
            /// The bus of each region, which gets canary events and, in the own region, the verdict.
            bus: EventBus as Publish = "EVENT_BUS_NAME",
            /// Canary messages; the queue has the same name in each region.
            canaries: NamedQueue as Probe = "CANARY_QUEUE_NAME",
            /// Whether each region's control planes are asked for names of tables, buses and queues. It changes no verdict.
            control_planes: ControlPlanes as List = "CONTROL_PLANES",
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
            /// How far apart checks are. One that begins less than half of it after the one before is the same check,
            /// delivered twice.
            check_interval: Duration = "CHECK_INTERVAL", Duration::from_secs(60), Duration::from_secs(1)..=Duration::from_secs(3600);
            /// A verdict older than this says nothing any more: the health endpoint answers unhealthy.
            verdict_expiry: Duration = "VERDICT_EXPIRY", Duration::from_secs(300), Duration::from_secs(30)..=Duration::from_secs(3600);
        }
        contradictions: contradictions,
    }
}

fn contradictions(region: Option<&Region>, regions: &Regions, settings: &HealthCheckerSettings) -> Vec<Mistake> {
    let HealthCheckerSettings { unhealthy_after, window, check_interval, verdict_expiry, .. } = settings;
    let mut mistakes = Vec::new();
    let mut mistake = |variable, problem| mistakes.push(Mistake { variable, problem });
    if let Some(region) = region.filter(|region| !regions.contains(region)) {
        let problem = format!(
            "lacks `{region}`, where the checker itself runs and whose verdict its health endpoint answers with; add it"
        );
        mistake("CHECKED_REGIONS", problem);
    }
    if unhealthy_after > window {
        let problem = format!(
            "is `{unhealthy_after}`, and of the last {window} checks (`HEALTH_WINDOW`) so many can't fail; make the window as \
             large"
        );
        mistake("UNHEALTHY_AFTER", problem);
    }
    if verdict_expiry < check_interval {
        let problem = format!(
            "is `{}`, and the next check comes only after `{}` (`CHECK_INTERVAL`): in between nothing would be known; make it \
             longer",
            verdict_expiry.render(),
            check_interval.render()
        );
        mistake("VERDICT_EXPIRY", problem);
    }
    mistakes
}
