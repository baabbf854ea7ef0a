//! The event router: each change that this region owns goes, sealed, to the bus of the peer region.
//!
//! It reads the same streams as the stream processor and makes the same domain event; the envelope around it carries the
//! routing fields, so that a rule in the peer region can choose without opening it.
//! Two fences keep an event from travelling in circles: only rows that this region wrote are routed, and an event is
//! never sealed for a region that it has already been in.
//!
//! What happens to a batch (order, retries, dead letters, the deadline) is [`aws::stream`]'s business. While the peer is
//! away, the batch is given back to Lambda: nothing is parked here.

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
pub struct Handler<P, D>(Function<Route, P, D>);

impl<P: PublishEvents, D: SendDeadLetters> Handler<P, D> {
    /// A handler for the streams of `region` that sends to the bus of `peer_region` behind `publisher`.
    ///
    /// Work stops `deadline_margin` before the function's deadline, which leaves time for the answer.
    pub fn new(region: Region, peer_region: Region, deadline_margin: Duration, publisher: P, dead_letters: D) -> Self {
        Self(Function {
            name: EventRouter::NAME,
            version: env!("CARGO_PKG_VERSION"),
            program: Route { region: region.clone(), peer_region },
            region,
            deadline_margin,
            publisher,
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

/// The way from one region to another.
#[derive(Debug)]
struct Route {
    region: Region,
    peer_region: Region,
}

impl StreamProgram for Route {
    fn plan(&self, record: &Record) -> Result<Plan, Poison> {
        let mapped = DomainEvent::from_record(record, &self.region);
        let event = match mapped.map_err(|error| Poison::because(error.class(), &error))? {
            Mapped::Skipped(skip) => return Ok(Plan::Skip(skip)),
            Mapped::Event(event) => event,
        };
        let sealed = cross_region::seal(&event, &self.region, &self.peer_region, Timestamp::now());
        let envelope = sealed.map_err(|error| Poison {
            trace: Some(Box::new(event.trace.clone())),
            ..Poison::because(error.class(), &error)
        })?;
        Ok(Plan::Publish(Box::new(Publication {
            event: OutgoingEvent::cross_region(&envelope),
            committed_at: event.timestamp,
            trace: event.trace,
        })))
    }

    fn settled(&self, subject: &Subject, outcome: Outcome) {
        let (source, target) = (self.region.as_str(), self.peer_region.as_str());
        telemetry::CROSS_REGION_EVENTS_TOTAL.inc(&[source, target, outcome.as_str()]);
        if let (Outcome::Published, Some(committed_at)) = (outcome, subject.committed_at) {
            let latency = Timestamp::now().duration_since(committed_at).as_secs_f64();
            telemetry::CROSS_REGION_LATENCY_SECONDS.observe(&[source, target], latency);
        }
    }
}
