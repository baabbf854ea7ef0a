//! The event router: changes that this region owns go to the buses of the peer regions.

use std::time::Duration;

use crate::macros::program;
use crate::{Mistake, Region, Regions};

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
        }
        settings {
            /// The longest that publishing one request may take, with its retries.
            publish_timeout: Duration = "PUBLISH_TIMEOUT", Duration::from_secs(10), Duration::from_secs(1)..=Duration::from_secs(30);
            /// What is kept of the function's time for the answer: work stops this long before the deadline.
            deadline_margin: Duration = "DEADLINE_MARGIN", Duration::from_secs(2), Duration::from_millis(100)..=Duration::from_secs(30);
        }
        contradictions: contradictions,
    }
}

fn contradictions(region: Option<&Region>, peers: &Regions, _: &EventRouterSettings) -> Vec<Mistake> {
    let own = region.filter(|region| peers.contains(region));
    let mistake = own.map(|region| Mistake {
        variable: "PEER_REGIONS",
        problem: format!("holds `{region}`, where the router itself runs; its events would come back to it; remove it"),
    });
    mistake.into_iter().collect()
}
