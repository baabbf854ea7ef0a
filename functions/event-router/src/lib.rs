//! The event router: each change that this region owns goes, sealed, to the bus of every peer region.
//!
//! It reads the same streams as the stream processor and makes the same domain event; the envelope around it carries the
//! routing fields, so that a rule in a peer region can choose without opening it.
//! Two fences keep an event from travelling in circles: only rows that this region wrote are routed, and an event is
//! never sealed for a region that it has already been in.
//!
//! What happens to a batch (order, retries, dead letters, the deadline) is [`aws::stream`]'s business. A record
//! is done when each peer took its event or has it parked. Between the function and each peer's bus stands a breaker
//! ([`guard`]): while a peer is away, its events are parked in a table of this region, in order, and neither the stream nor the
//! other peers wait for it. A schedule starts the drain ([`drain`]), which probes the peer and sends what waits.

pub mod drain;
pub mod guard;

use aws::dead_letters::SendDeadLetters;
use aws::publisher::{OutgoingEvent, Place, PublishEvents};
use aws::routes::{RouteStore, StoreError};
use aws::stream::{
    BatchResponse, Delivery, Function, Outcome, Plan, Poison, Publication, StreamProgram, Subject, Work, stop_before,
};
use contracts::{EventRouter, Region};
use events::domain::Mapped;
use events::stream::Record;
use events::{DomainEvent, Timestamp, cross_region};
use futures::future::join_all;
use lambda_runtime::LambdaEvent;
use std::io::Write;
use std::time::Duration;
use telemetry::invocation::{Ending, Invocation};

use crate::guard::Guarded;

/// The function, over its ports.
#[derive(Debug)]
pub struct Handler<P, S, D>(Function<Routes, Guarded<P, S, D>, D>);

impl<P: PublishEvents, S: RouteStore, D: SendDeadLetters> Handler<P, S, D> {
    /// A handler for the streams of `region` that sends by these ways, one to each peer.
    ///
    /// Work stops `deadline_margin` before the function's deadline, which leaves time for the answer.
    pub fn new(
        region: Region,
        ways: impl IntoIterator<Item = Guarded<P, S, D>>,
        deadline_margin: Duration,
        dead_letters: D,
    ) -> Self {
        let buses: Vec<Guarded<P, S, D>> = ways.into_iter().collect();
        let peers = buses.iter().map(|way| way.peer().clone()).collect();
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

    /// Handles one batch, or drains what is parked when the schedule asks for it. `metrics` is stdout in Lambda.
    ///
    /// # Errors
    /// A drain couldn't work with its tables. Batches are given back instead.
    pub async fn handle(
        &self,
        event: LambdaEvent<Work>,
        metrics: &mut impl Write,
    ) -> Result<BatchResponse, StoreError> {
        let (work, context) = event.into_parts();
        let function = &context.env_config.function_name;
        match work {
            Work::Batch(batch) => {
                let (request_id, xray_trace_id) = (context.request_id.as_str(), context.xray_trace_id.as_deref());
                let delivery = Delivery { function, request_id, xray_trace_id, deadline: context.deadline() };
                let response = self.0.handle(batch, delivery, metrics).await;
                self.0.buses.iter().for_each(Guarded::forget_gauges);
                Ok(response)
            }
            Work::Schedule => {
                let measured = Invocation::begin(function);
                let deadline = stop_before(context.deadline(), self.0.deadline_margin);
                // All ways side by side: a peer that is away must not take the others' time.
                let ended = join_all(self.0.buses.iter().map(|way| Box::pin(way.drain(deadline)))).await;
                let broken = ended.into_iter().find_map(Result::err);
                measured.end(if broken.is_some() { Ending::Failed } else { Ending::Complete }, metrics);
                self.0.buses.iter().for_each(Guarded::forget_gauges);
                broken.map_or_else(|| Ok(BatchResponse::default()), Err)
            }
        }
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
    fn seal(&self, event: &DomainEvent, record: &Record, peer: &Region) -> Result<OutgoingEvent, Poison> {
        let sealed = cross_region::seal(event, &self.region, peer, Timestamp::now());
        let envelope = sealed.map_err(|error| Poison {
            trace: Some(Box::new(event.trace.clone())),
            ..Poison::because(error.class(), &error)
        })?;
        let place = Place {
            event_id: event.event_id,
            sequence_number: record.sequence_number().to_owned(),
            happened_at: event.timestamp,
        };
        Ok(OutgoingEvent::cross_region(&envelope).at(place))
    }
}

impl StreamProgram for Routes {
    fn plan(&self, record: &Record) -> Result<Plan, Poison> {
        let mapped = DomainEvent::from_record(record, &self.region);
        let event = match mapped.map_err(|error| Poison::because(error.class(), &error))? {
            Mapped::Skipped(skip) => return Ok(Plan::Skip(skip)),
            Mapped::Event(event) => event,
        };
        let events: Result<Vec<_>, _> = self.peers.iter().map(|peer| self.seal(&event, record, peer)).collect();
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
