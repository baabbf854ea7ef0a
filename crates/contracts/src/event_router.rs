//! The event router: changes that this region owns go to the buses of the peer regions.

use std::time::Duration;

use crate::macros::program;
use crate::{Mistake, Region, Regions, Setting};

program! {
    /// Configuration of `event-router`.
    EventRouter("event-router"), EventRouterBinding, EventRouterSettings {
        ambient {
            /// The region it runs in; Lambda sets it.
            region: Region = "AWS_REGION",
        }
        required {
            /// The regions it sends to, its own not among them.
            peers: Regions = "PEER_REGIONS",
        }
        resources {
            /// The bus of each peer region; it has the same name in each.
            peer_bus: EventBus as Publish = "PEER_EVENT_BUS_NAME",
            /// Gets records that can't be decoded, with their full body.
            dead_letters: Queue as Send = "DEAD_LETTER_QUEUE_URL",
            /// The state of the breaker of the way to each peer, which all instances share.
            breakers: Table as Share = "BREAKERS_TABLE_NAME",
            /// Events that wait for a peer.
            parking: Table as Park = "PARKING_TABLE_NAME",
        }
        settings {
            /// The longest that publishing one request may take, with its retries.
            publish_timeout: Duration = "PUBLISH_TIMEOUT", Duration::from_secs(10), Duration::from_secs(1)..=Duration::from_secs(30);
            /// What is kept of the function's time for the answer: work stops this long before the deadline.
            deadline_margin: Duration = "DEADLINE_MARGIN", Duration::from_secs(2), Duration::from_millis(100)..=Duration::from_secs(30);
            /// How far back an instance looks at its calls to a peer.
            breaker_window: Duration = "BREAKER_WINDOW", Duration::from_secs(10), Duration::from_secs(1)..=Duration::from_secs(600);
            /// Calls within the window below which their ratio says nothing.
            breaker_min_calls: u32 = "BREAKER_MIN_CALLS", 20, 1..=100_000;
            /// The part of failed calls, in percent, from which on the breaker opens.
            breaker_failure_percent: u32 = "BREAKER_FAILURE_PERCENT", 50, 1..=100;
            /// Failures in a row that open the breaker, however few the calls.
            breaker_consecutive_failures: u32 = "BREAKER_CONSECUTIVE_FAILURES", 5, 1..=1_000;
            /// A call that takes so long is slow; when all calls of the window are, the breaker opens.
            breaker_slow_call: Duration = "BREAKER_SLOW_CALL", Duration::from_secs(2), Duration::from_millis(50)..=Duration::from_secs(30);
            /// How long the breaker is open before the first probe; it doubles with each probe that fails.
            breaker_open: Duration = "BREAKER_OPEN", Duration::from_secs(5), Duration::from_millis(100)..=Duration::from_secs(600);
            /// The longest that the breaker is open between two probes.
            breaker_open_max: Duration = "BREAKER_OPEN_MAX", Duration::from_secs(60), Duration::from_millis(100)..=Duration::from_secs(3600);
            /// Events that may wait for one peer; what comes beyond them stays in the stream.
            parking_max_depth: u64 = "PARKING_MAX_DEPTH", 1_000_000, 1..=1_000_000_000;
            /// How long an event may wait before no more are parked behind it.
            parking_max_age: Duration = "PARKING_MAX_AGE", Duration::from_secs(12 * 3600), Duration::from_secs(60)..=Duration::from_secs(7 * 86_400);
        }
        contradictions: contradictions,
    }
}

fn contradictions(region: Option<&Region>, peers: &Regions, settings: &EventRouterSettings) -> Vec<Mistake> {
    let own = region.filter(|region| peers.contains(region));
    let mistake = own.map(|region| Mistake {
        variable: "PEER_REGIONS",
        problem: format!("holds `{region}`, where the router itself runs; its events would come back to it; remove it"),
    });
    let EventRouterSettings { breaker_open, breaker_open_max, .. } = settings;
    let reversed = (breaker_open > breaker_open_max).then(|| Mistake {
        variable: "BREAKER_OPEN",
        problem: format!(
            "is `{}`, which is longer than `{}` (`BREAKER_OPEN_MAX`); make it shorter",
            breaker_open.render(),
            breaker_open_max.render()
        ),
    });
    mistake.into_iter().chain(reversed).collect()
}
