//! A receiver of a region's events as anybody would write one: it tells repeats by `event_id`, with the store that the event
//! transformer uses, in the table that is deployed.

use std::time::Duration;

use ::aws::idempotency::{Claim, Idempotency, IdempotencyTable, Key, Owner, PayloadHash, ResultHash, Work};
use ::aws::{CallBudget, sdk_config_with};
use aws_credential_types::Credentials;
use events::cross_region::{self, Envelope};
use events::{DomainEvent, EventId, Region, Timestamp, domain};
use futures::stream::{self, StreamExt as _};
use serde_json::Value as Json;

use crate::BUS;
use crate::checkout::Checkout;
use crate::queues::Witness;

const TABLE: &str = "tandem-sandbox-idempotency";
/// Events that it is at side by side.
const AT_ONCE: usize = 8;
/// Longer than one event takes.
const LEASE: Duration = Duration::from_secs(30);
const RETENTION: Duration = Duration::from_secs(86_400);

/// Collects the events of changes on a region's bus.
pub(crate) struct Receiver {
    region: &'static str,
    endpoint: String,
    witness: Witness,
}

/// What came of them.
#[derive(Debug)]
pub(crate) struct Received {
    /// The events that passed.
    pub(crate) passed: Vec<EventId>,
    /// How many were known already.
    pub(crate) repeats: usize,
    /// How many of the run there were on the bus.
    pub(crate) arrived: usize,
}

impl Receiver {
    /// Begins to collect.
    pub(crate) fn at(checkout: &Checkout, region: &'static str) -> Self {
        let endpoint = format!("http://127.0.0.1:{}", checkout.port_of("emulator"));
        Self { region, endpoint, witness: Witness::of(&checkout.aws(region), BUS) }
    }

    /// Takes what was on the bus of a run in the order of its arrival, and after that its first `again` events once more.
    pub(crate) fn receive(mut self, run: &str, again: usize) -> Received {
        let bodies = self.witness.bodies();
        let mut events: Vec<DomainEvent> = bodies.iter().filter_map(|body| event_in(body)).collect();
        // What an earlier run did may arrive late.
        events.retain(|event| event.key.as_str().contains(run));
        self.witness.end();
        let arrived = events.len();
        events.extend_from_within(..again);
        let region: Region = self.region.parse().expect("a region");
        let credentials = Credentials::new("test", "test", None, None, "test");
        let sdk = sdk_config_with(credentials, &region, &CallBudget::within(Duration::from_secs(30)));
        let sdk = sdk.to_builder().endpoint_url(self.endpoint).build();
        let idempotency =
            Idempotency::new(IdempotencyTable::new(&sdk, TABLE.parse().expect("a table name")), RETENTION);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let results: Vec<Option<EventId>> = runtime.block_on(async {
            let take = async |(index, event): (usize, &DomainEvent)| passes(&idempotency, index, event).await;
            stream::iter(events.iter().enumerate()).map(take).buffered(AT_ONCE).collect().await
        });
        let passed: Vec<EventId> = results.into_iter().flatten().collect();
        Received { repeats: events.len() - passed.len(), passed, arrived }
    }
}

/// The event's id, if it wasn't known.
async fn passes(idempotency: &Idempotency<IdempotencyTable>, index: usize, event: &DomainEvent) -> Option<EventId> {
    let payload = PayloadHash::of(event.to_json().as_bytes());
    let work = Work { key: Key::new("receiver", &event.event_id.to_string()), payload };
    loop {
        let now = Timestamp::now();
        let owner = Owner::in_invocation("receiver", index);
        match idempotency.claim(&work, owner, now + LEASE, now).await.expect("the table answers") {
            Claim::Claimed(claimed) => {
                let result = ResultHash::of(event.event_id.to_string().as_bytes());
                idempotency.complete(claimed, result, Timestamp::now()).await.expect("nobody takes over");
                return Some(event.event_id);
            }
            Claim::Duplicate(_) => return None,
            // Another one of its repeats, which is at work right now.
            Claim::InProgress(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            Claim::Mismatch => panic!("two events have the id {}", event.event_id),
        }
    }
}

/// The change that an event of a bus tells of, if it tells of one.
fn event_in(body: &str) -> Option<DomainEvent> {
    let event: Json = serde_json::from_str(body).expect("an event");
    let detail = event["detail"].to_string();
    match event["source"].as_str() {
        Some(domain::SOURCE) => Some(serde_json::from_str(&detail).expect("a domain event")),
        Some(cross_region::SOURCE) => {
            let envelope: Envelope = serde_json::from_str(&detail).expect("an envelope");
            Some(cross_region::open(&envelope).expect("a good envelope"))
        }
        _ => None,
    }
}
