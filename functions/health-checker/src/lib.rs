//! The health checker: looks at every region each minute, and answers for its own.
//!
//! One decision shapes this crate: **health is what the data planes do.** A check writes, publishes and sends in each region
//! as the programs do; nothing is listed or described. The check runs by the clock and keeps a verdict; the health endpoint
//! tells it, unless the record of authority withdraws the region. So an answer costs two reads at most, side by side, and a third
//! where the verdict tells of a decision that the record didn't; nobody can make checks run by asking.
//!
//! What follows from a verdict (alarms, traffic that goes elsewhere) is decided by those who hear of it.

pub mod answer;
pub mod authority;
pub mod checker;
pub mod clock;
pub mod verdict;

use crate::answer::HttpAnswer;
use crate::checker::{Checker, owner};
use crate::clock::Clock;
use aws::authority::ReadAuthority;
use aws::health::{AnnounceHealth, KeepVerdicts, ProbeRegion};
use events::health::HealthCheckEvent;
use lambda_runtime::LambdaEvent;
use serde::Serialize;
use serde_json::Value;
use std::io::Write;
use telemetry::invocation::{Ending, Invocation};

/// The function, over its ports.
pub struct Handler<P, K, A, R, C> {
    checker: Checker<P, K, A, R, C>,
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

impl<P: ProbeRegion, K: KeepVerdicts, A: AnnounceHealth, R: ReadAuthority, C: Clock> Handler<P, K, A, R, C> {
    /// A handler that checks with `checker`.
    pub fn new(checker: Checker<P, K, A, R, C>) -> Self {
        Self { checker }
    }

    /// Answers a request of the API, which has a `requestContext`; any other event asks for a check. `metrics` is stdout in
    /// Lambda.
    pub async fn handle(&self, event: LambdaEvent<Value>, metrics: &mut impl Write) -> Response {
        let (event, context) = event.into_parts();
        let invocation = Invocation::begin(&context.env_config.function_name);
        // Boxed, because the compiler gives up on a future that contains all those below it.
        let response = if event.get("requestContext").is_some() {
            Response::Answer(Box::pin(self.checker.answer()).await)
        } else {
            Response::Checked(Box::pin(self.checker.check()).await)
        };
        invocation.end(Ending::Complete, metrics);
        if let Response::Checked(event) = &response {
            forget_status(event);
        }
        response
    }
}

/// Takes back what was said of the regions and of authority, which is written by now: a process that only answers requests
/// from here on would else repeat old values with each of them.
fn forget_status(event: &HealthCheckEvent) {
    for report in &event.regions {
        telemetry::HEALTH_STATUS.remove(&[report.region.as_str()]);
    }
    if let Some(standing) = &event.authority {
        telemetry::REGION_AUTHORITY_EPOCH.remove(&[owner(standing)]);
    }
}
