//! The event router: each change that this region owns goes, sealed, to the bus of every peer region.
//!
//! It reads the same streams as the stream processor and makes the same domain event; the envelope around it carries the
//! routing fields, so that a rule in a peer region can choose without opening it.
//! Two fences keep an event from travelling in circles: only rows that this region wrote are routed, and an event is
//! never sealed for a region that it has already been in.
//!
//! What happens to a batch (order, retries, dead letters, the deadline) is [`aws::stream`]'s business. A record
//! is done when all peers took it. While one of them is away, the batch is given back to Lambda from there on, and the
//! other peers get those events again, with the same ids: nothing is parked here.
//! All peers share the stream's one checkpoint. With three regions or more, an outage of one peer therefore also holds up
//! what the others get, from the first event that it didn't take until it recovers or Lambda gives the records up.

use aws::OutgoingEvent;
use aws::dead_letters::SendDeadLetters;
use aws::publisher::PublishEvents;
use aws::stream::{
    Batch, BatchResponse, Delivery, Function, Outcome, Plan, Poison, Publication, StreamProgram, Subject,
};
use contracts::{EventRouter, Region};
use events::domain::Mapped;
use events::stream::Record;
use events::{DomainEvent, Timestamp, cross_region};
use lambda_runtime::LambdaEvent;
use std::io::Write;
use std::time::Duration;

/// The function, over its ports.
#[derive(Debug)]
pub struct Handler<P, D>(Function<Routes, P, D>);

impl<P: PublishEvents, D: SendDeadLetters> Handler<P, D> {
    /// A handler for the streams of `region` that sends to the bus of each peer, which is behind the peer's publisher.
    ///
    /// Work stops `deadline_margin` before the function's deadline, which leaves time for the answer.
    pub fn new(
        region: Region,
        peers: impl IntoIterator<Item = (Region, P)>,
        deadline_margin: Duration,
        dead_letters: D,
    ) -> Self {
        let (peers, buses) = peers.into_iter().unzip();
        Self(Function {
            name: EventRouter::NAME,
            version: env!("CARGO_PKG_VERSION"),
            program: Routes { region: region.clone(), peers },
            region,
            deadline_margin,
            buses,
            dead_letters,
        })
    }

    /// Handles one batch. `metrics` is stdout in Lambda.
    pub async fn handle(&self, event: LambdaEvent<Batch>, metrics: &mut impl Write) -> BatchResponse {
        let (batch, context) = event.into_parts();
        let function = &context.env_config.function_name;
        let delivery = Delivery { function, request_id: &context.request_id, deadline: context.deadline() };
        self.0.handle(batch, delivery, metrics).await
    }
}

/// The ways from one region to its peers.
#[derive(Debug)]
struct Routes {
    region: Region,
    /// Invariant: in the order of the function's buses.
    peers: Vec<Region>,
}

impl Routes {
    fn seal(&self, event: &DomainEvent, peer: &Region) -> Result<OutgoingEvent, Poison> {
        let sealed = cross_region::seal(event, &self.region, peer, Timestamp::now());
        let envelope = sealed.map_err(|error| Poison {
            trace: Some(Box::new(event.trace.clone())),
            ..Poison::because(error.class(), &error)
        })?;
        Ok(OutgoingEvent::cross_region(&envelope))
    }
}

impl StreamProgram for Routes {
    fn plan(&self, record: &Record) -> Result<Plan, Poison> {
        let mapped = DomainEvent::from_record(record, &self.region);
        let event = match mapped.map_err(|error| Poison::because(error.class(), &error))? {
            Mapped::Skipped(skip) => return Ok(Plan::Skip(skip)),
            Mapped::Event(event) => event,
        };
        let events: Result<Vec<_>, _> = self.peers.iter().map(|peer| self.seal(&event, peer)).collect();
        Ok(Plan::Publish(Box::new(Publication { events: events?, committed_at: event.timestamp, trace: event.trace })))
    }

    fn settled(&self, subject: &Subject, bus: usize, outcome: Outcome) {
        let (source, target) = (self.region.as_str(), self.peers[bus].as_str());
        telemetry::CROSS_REGION_EVENTS_TOTAL.inc(&[source, target, outcome.as_str()]);
        if let (Outcome::Published, Some(committed_at)) = (outcome, subject.committed_at) {
            let latency = Timestamp::now().duration_since(committed_at).as_secs_f64();
            telemetry::CROSS_REGION_LATENCY_SECONDS.observe(&[source, target], latency);
        }
    }
}
