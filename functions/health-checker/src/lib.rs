//! The health checker: looks at every region each minute, and answers for its own.
//!
//! One decision shapes this crate: **health is what the data planes do.** A check writes, publishes and sends in each region
//! as the programs do; nothing is listed or described. The check runs by the clock and keeps a verdict; the health endpoint
//! only tells it, so that an answer costs one read and nobody can make checks run by asking.
//!
//! What follows from a verdict (alarms, traffic that goes elsewhere) is decided by those who hear of it.

pub mod answer;
pub mod checker;
pub mod clock;
pub mod verdict;

use crate::answer::HttpAnswer;
use crate::checker::Checker;
use crate::clock::Clock;
use aws::health::{AnnounceHealth, KeepVerdicts, ProbeRegion};
use events::health::HealthCheckEvent;
use lambda_runtime::LambdaEvent;
use serde::Serialize;
use serde_json::Value;
use std::io::Write;
use telemetry::invocation::{Ending, Invocation};

/// The function, over its ports.
pub struct Handler<P, K, A, C> {
    checker: Checker<P, K, A, C>,
}

/// What an invocation gives back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Response {
    /// To the API.
    Answer(HttpAnswer),
    /// To whoever asked for a check.
    Checked(HealthCheckEvent),
}

impl<P: ProbeRegion, K: KeepVerdicts, A: AnnounceHealth, C: Clock> Handler<P, K, A, C> {
    /// A handler that checks with `checker`.
    pub fn new(checker: Checker<P, K, A, C>) -> Self {
        Self { checker }
    }

    /// Answers a request of the API, which has a `requestContext`; any other event asks for a check. `metrics` is stdout in
    /// Lambda.
    pub async fn handle(&self, event: LambdaEvent<Value>, metrics: &mut impl Write) -> Response {
        let (event, context) = event.into_parts();
        let invocation = Invocation::begin(&context.env_config.function_name);
        // Boxed, because the compiler gives up on a future that contains all those below it.
        let response = if event.get("requestContext").is_some() {
            Response::Answer(Box::pin(self.answer()).await)
        } else {
            Response::Checked(Box::pin(self.checker.check()).await)
        };
        invocation.end(Ending::Complete, metrics);
        if let Response::Checked(event) = &response {
            forget_status(event);
        }
        response
    }

    async fn answer(&self) -> HttpAnswer {
        let verdict = self.checker.own_verdict().await;
        let is_expired = verdict.as_ref().is_some_and(|verdict| self.checker.is_expired(verdict));
        HttpAnswer::of(self.checker.region(), verdict.as_ref(), is_expired)
    }
}

/// Takes back what was said of the regions, which is written by now: a process that only answers requests from here on would
/// else repeat an old verdict with each of them.
fn forget_status(event: &HealthCheckEvent) {
    for report in &event.regions {
        telemetry::HEALTH_STATUS.remove(&[report.region.as_str()]);
    }
}
