//! The stream processor: each change of a table becomes one domain event on the region's own bus.
//!
//! The event is made from the stored row and from nothing else, and its id comes with the row. So a record that Lambda
//! delivers again gives the same event with the same id, and this function keeps no state of its own.
//! Only rows that this region wrote are told of: the other region's stream processor tells of the rest.
//!
//! What happens to a batch (order, retries, dead letters, the deadline) is [`aws::stream`]'s business.

use aws::OutgoingEvent;
use aws::dead_letters::SendDeadLetters;
use aws::publisher::PublishEvents;
use aws::stream::{
    Batch, BatchResponse, Delivery, Function, Outcome, Plan, Poison, Publication, StreamProgram, Subject,
};
use contracts::{Region, StreamProcessor};
use events::DomainEvent;
use events::domain::Mapped;
use events::stream::Record;
use lambda_runtime::LambdaEvent;
use std::io::Write;
use std::time::Duration;

/// The function, over its ports.
#[derive(Debug)]
pub struct Handler<P, D>(Function<DomainEvents, P, D>);

impl<P: PublishEvents, D: SendDeadLetters> Handler<P, D> {
    /// A handler for the streams of `region`, publishing to the bus behind `publisher`.
    ///
    /// Work stops `deadline_margin` before the function's deadline, which leaves time for the answer.
    pub fn new(region: Region, deadline_margin: Duration, publisher: P, dead_letters: D) -> Self {
        Self(Function {
            name: StreamProcessor::NAME,
            version: env!("CARGO_PKG_VERSION"),
            program: DomainEvents { region: region.clone() },
            region,
            deadline_margin,
            buses: vec![publisher],
            dead_letters,
        })
    }

    /// Handles one batch. `metrics` is stdout in Lambda.
    pub async fn handle(&self, event: LambdaEvent<Batch>, metrics: &mut impl Write) -> BatchResponse {
        let (batch, context) = event.into_parts();
        let function = &context.env_config.function_name;
        let (request_id, xray_trace_id) = (context.request_id.as_str(), context.xray_trace_id.as_deref());
        let delivery = Delivery { function, request_id, xray_trace_id, deadline: context.deadline() };
        self.0.handle(batch, delivery, metrics).await
    }
}

/// Turns records into domain events.
#[derive(Debug)]
struct DomainEvents {
    region: Region,
}

impl StreamProgram for DomainEvents {
    fn plan(&self, record: &Record) -> Result<Plan, Poison> {
        let mapped = DomainEvent::from_record(record, &self.region);
        Ok(match mapped.map_err(|error| Poison::because(error.class(), &error))? {
            Mapped::Skipped(skip) => Plan::Skip(skip),
            Mapped::Event(event) => Plan::Publish(Box::new(Publication {
                events: vec![OutgoingEvent::domain(&event)],
                committed_at: event.timestamp,
                trace: event.trace,
            })),
        })
    }

    fn settled(&self, subject: &Subject, _: usize, outcome: Outcome) {
        telemetry::CDC_EVENTS_PROCESSED_TOTAL.inc(&[subject.entity, subject.operation, outcome.as_str()]);
    }
}
