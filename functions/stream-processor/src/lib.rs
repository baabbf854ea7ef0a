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
use aws::stream::{self, Batch, BatchResponse, Outcome, Plan, Poison, Publication, StreamProgram, Subject};
use contracts::{Region, StreamProcessor};
use events::DomainEvent;
use events::domain::Mapped;
use events::stream::Record;
use lambda_runtime::LambdaEvent;
use std::io::Write;
use std::time::Duration;
use telemetry::invocation::{Ending, Invocation};

/// The function, over its ports.
#[derive(Debug)]
pub struct Handler<P, D> {
    domain_events: DomainEvents,
    deadline_margin: Duration,
    publisher: P,
    dead_letters: D,
}

impl<P: PublishEvents, D: SendDeadLetters> Handler<P, D> {
    /// A handler for the streams of `region`, publishing to the bus behind `publisher`.
    ///
    /// Work stops `deadline_margin` before the function's deadline, which leaves time for the answer.
    pub fn new(region: Region, deadline_margin: Duration, publisher: P, dead_letters: D) -> Self {
        Self { domain_events: DomainEvents { region }, deadline_margin, publisher, dead_letters }
    }

    /// Handles one batch. `metrics` is stdout in Lambda.
    pub async fn handle(&self, event: LambdaEvent<Batch>, metrics: &mut impl Write) -> BatchResponse {
        let (batch, context) = event.into_parts();
        let measured = Invocation::begin(&context.env_config.function_name);
        let invocation = stream::Invocation {
            program: StreamProcessor::NAME,
            program_version: env!("CARGO_PKG_VERSION"),
            region: self.domain_events.region.clone(),
            request_id: context.request_id.clone(),
            deadline: stream::stop_before(context.deadline(), self.deadline_margin),
        };
        let response =
            stream::process(batch, &self.domain_events, &self.publisher, &self.dead_letters, &invocation).await;
        measured.end(if response.is_complete() { Ending::Complete } else { Ending::PartialBatch }, metrics);
        response
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
                event: OutgoingEvent::domain(&event),
                committed_at: event.timestamp,
                trace: event.trace,
            })),
        })
    }

    fn settled(&self, subject: &Subject, outcome: Outcome) {
        telemetry::CDC_EVENTS_PROCESSED_TOTAL.inc(&[subject.entity, subject.operation, outcome.as_str()]);
    }
}
