//! The event transformer: each raw event of the API is checked and brought into its normal form.
//!
//! Its source is a queue that a rule of the bus fills. Every message has one of three fates: a `transformed` event on the
//! bus, a `validation_failed` event with all that is wrong and the original, or the dead-letter queue, when it is no raw
//! event at all or its event is larger than a bus takes. What counts as valid is said in [`rules`]; nothing else than the
//! message, the rules and the database of addresses ([`geo`]) decides, so a message that is delivered again gives the same
//! event.
//!
//! That event isn't published again: clients repeat requests under the same `event_id`, and bus and queue deliver more than
//! once. What is known of an id, and for how long, is said in [`once`].
//!
//! What happens to a batch (claims, retries, dead letters, the deadline) is [`aws::queue`]'s business.

mod document;
pub mod geo;
mod kinds;
pub mod once;
pub mod rules;
pub mod transform;

use aws::OutgoingEvent;
use aws::batch::{Delivery, Outcome, Poison};
use aws::dead_letters::SendDeadLetters;
use aws::idempotency::{Idempotency, Records};
use aws::publisher::PublishEvents;
use aws::queue::{Batch, BatchResponse, Function, Message, Planned, QueueProgram};
use contracts::{EventTransformer, Region};
use events::geo::GeoStatus;
use events::raw::{RawEvent, ValidationFailed, ViolationCode};
use geo::GeoDatabase;
use lambda_runtime::LambdaEvent;
use rules::RuleSet;
use std::io::Write;
use std::time::{Duration, Instant};
use transform::{Judged, Verdict, Window, judge, reused};

/// What the function works with.
#[derive(Debug)]
pub struct Ports<P, D, R> {
    /// The bus that it publishes to.
    pub publisher: P,
    /// Where messages go that are no raw events.
    pub dead_letters: D,
    /// Which events were published already.
    pub idempotency: Idempotency<R>,
}

/// The function, over its ports.
#[derive(Debug)]
pub struct Handler<P, D, R>(Function<Transformer, P, D, R>);

impl<P: PublishEvents, D: SendDeadLetters, R: Records> Handler<P, D, R> {
    /// A handler in `region` that holds raw events to `rules` and looks addresses up in `database`.
    ///
    /// Work stops `deadline_margin` before the function's deadline, which leaves time for the answer.
    pub fn new(
        region: Region,
        rules: RuleSet,
        window: Window,
        database: Option<GeoDatabase>,
        deadline_margin: Duration,
        ports: Ports<P, D, R>,
    ) -> Self {
        let Ports { publisher, dead_letters, idempotency } = ports;
        Self(Function {
            name: EventTransformer::NAME,
            version: env!("CARGO_PKG_VERSION"),
            program: Transformer { region: region.clone(), rules, window, database },
            region,
            deadline_margin,
            publisher,
            dead_letters,
            idempotency,
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

/// Turns messages into events for the bus.
#[derive(Debug)]
struct Transformer {
    region: Region,
    rules: RuleSet,
    window: Window,
    database: Option<GeoDatabase>,
}

/// What is counted of an event once it is told.
#[derive(Debug, Default)]
struct Note {
    /// The mistakes in it; none when it was transformed.
    mistakes: Vec<ViolationCode>,
    /// How the search for its address ended, if there was one.
    geo_status: Option<GeoStatus>,
}

impl QueueProgram for Transformer {
    type Note = Note;

    fn plan(&self, message: &Message) -> Result<Planned<Self::Note>, Poison> {
        let started = Instant::now();
        let raw = raw_event(message)?;
        let judged = judge(&raw, &self.region, &self.rules, &self.window, self.database.as_ref());
        let wanted = once::wanted(&raw, &judged);
        let Judged { verdict, ignored_trace_context, .. } = judged;
        if ignored_trace_context {
            telemetry::TRACE_CONTEXTS_IGNORED_TOTAL.inc(&["raw_event"]);
        }
        let (event, note) = match verdict {
            Verdict::Transformed(event) => {
                let geo_status = event.geo.as_ref().map(|geo| geo.geo_status);
                (OutgoingEvent::transformed(&event), Note { geo_status, ..Note::default() })
            }
            Verdict::Refused(refusal) => told_of(&refusal),
        };
        telemetry::RAW_EVENT_TRANSFORM_SECONDS.observe_duration(&[], started.elapsed());
        Ok(Planned { event, note, wanted })
    }

    fn plan_mismatch(&self, message: &Message) -> Result<(OutgoingEvent, Self::Note), Poison> {
        Ok(told_of(&reused(&raw_event(message)?, &self.region, &self.rules)))
    }

    fn settled(&self, note: Option<&Self::Note>, outcome: Outcome) {
        let mistakes = note.map_or(&[][..], |note| &note.mistakes);
        telemetry::RAW_EVENTS_TOTAL.inc(&[match outcome {
            Outcome::Published if mistakes.is_empty() => "transformed",
            Outcome::Published => "invalid",
            other => other.as_str(),
        }]);
        if outcome == Outcome::Published {
            // Not where they are found: an event that is delivered again would count each time.
            mistakes.iter().for_each(|code| telemetry::VALIDATION_ERRORS_TOTAL.inc(&[code.as_str()]));
            if let Some(status) = note.and_then(|note| note.geo_status) {
                telemetry::GEO_LOOKUPS_TOTAL.inc(&[status.as_str()]);
            }
        }
    }
}

fn raw_event(message: &Message) -> Result<RawEvent<'_>, Poison> {
    RawEvent::from_bus(&message.body).map_err(|error| Poison::because(error.class(), &error))
}

/// What is published of an event that is refused.
fn told_of(refusal: &ValidationFailed) -> (OutgoingEvent, Note) {
    let mistakes = refusal.errors.iter().map(|violation| violation.code).collect();
    (OutgoingEvent::validation_failed(refusal), Note { mistakes, ..Note::default() })
}
