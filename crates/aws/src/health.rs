//! What a health check does to a region, and where its verdicts are kept and told.
//!
//! A probe uses the data plane, as the programs do: a row written and read back, an event put onto a bus, a message sent
//! and received. Listing resources asks control planes, which fail apart from what the programs need: it is done beside that,
//! for people who want to know, and is no probe.
//! A probe makes one attempt, because a retry would hide what it is meant to find, and it knows no deadline: the caller
//! limits it. A service is as fast as the slowest single call on a connection that is open: how long it takes to open one
//! says how far a region is and not how well. What an outcome means for a region isn't decided here.

mod bus;
mod listing;
mod probes;
mod verdicts;

use crate::failure::Failure;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use std::error::Error;
use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub use bus::HealthBus;
pub use events::health::ProbedService;
pub use probes::RegionProbes;
pub use verdicts::VerdictTable;

/// Uses the services of one region, once.
pub trait ProbeRegion: Sync {
    /// Uses `service`, once, as the programs do, and tells how long the slowest single call took, without opening a
    /// connection. It may take for ever; the caller sets a limit.
    ///
    /// # Errors
    /// When the service did not do what it was asked for.
    fn probe(&self, service: ProbedService) -> impl Future<Output = Result<Duration, HealthError>> + Send;

    /// Asks the control plane of `service` for a name of what there is, and tells how long that took, the opening of a
    /// connection included. It may take for ever; the caller sets a limit.
    ///
    /// # Errors
    /// When there was no answer. That says nothing about the data plane.
    fn list(&self, service: ProbedService) -> impl Future<Output = Result<Duration, HealthError>> + Send;
}

/// Keeps texts under a key, so that none overwrites one that its writer hasn't seen.
pub trait KeepVerdicts: Sync {
    /// What was kept last under `key`, if there is something.
    ///
    /// # Errors
    /// When the store did not answer.
    fn load(&self, key: &str) -> impl Future<Output = Result<Option<KeptText>, HealthError>> + Send;

    /// Keeps `kept` under `key`, at least until `expires_at`, if nothing is there or what is there has the stamp `seen`.
    ///
    /// # Errors
    /// When the store did not take it, or gave no answer.
    fn keep(
        &self,
        key: &str,
        kept: &KeptText,
        seen: Option<u64>,
        expires_at: SystemTime,
    ) -> impl Future<Output = Result<Keeping, HealthError>> + Send;
}

/// A text with the number that tells it from what was kept before and after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptText {
    /// The text.
    pub text: String,
    /// The number.
    pub stamp: u64,
}

/// What became of a text that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// It is kept.
    Kept,
    /// Something else is there that the writer hasn't seen; it stays.
    Overtaken,
}

/// Tells the outcome of a check.
pub trait AnnounceHealth: Sync {
    /// Puts a health check event with this detail, a JSON object, onto the bus.
    ///
    /// # Errors
    /// When the bus did not take it, or gave no answer.
    fn announce(&self, detail: &str) -> impl Future<Output = Result<(), HealthError>> + Send;
}

impl<P: ProbeRegion> ProbeRegion for &P {
    fn probe(&self, service: ProbedService) -> impl Future<Output = Result<Duration, HealthError>> + Send {
        (**self).probe(service)
    }

    fn list(&self, service: ProbedService) -> impl Future<Output = Result<Duration, HealthError>> + Send {
        (**self).list(service)
    }
}

impl<K: KeepVerdicts> KeepVerdicts for &K {
    fn load(&self, key: &str) -> impl Future<Output = Result<Option<KeptText>, HealthError>> + Send {
        (**self).load(key)
    }

    fn keep(
        &self,
        key: &str,
        kept: &KeptText,
        seen: Option<u64>,
        expires_at: SystemTime,
    ) -> impl Future<Output = Result<Keeping, HealthError>> + Send {
        (**self).keep(key, kept, seen, expires_at)
    }
}

impl<A: AnnounceHealth> AnnounceHealth for &A {
    fn announce(&self, detail: &str) -> impl Future<Output = Result<(), HealthError>> + Send {
        (**self).announce(detail)
    }
}

/// Why a service did not do what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HealthError {
    /// The call failed.
    #[error("{code}: {message}")]
    Failed {
        /// The service's error code or the kind of failure.
        code: String,
        /// What was reported.
        message: String,
    },
    /// What was written is not what was read.
    #[error("the table did not give back the row that was just written")]
    NotReadBack,
    /// The caller's limit came first.
    #[error("no answer within {} ms", limit.as_millis())]
    Timeout {
        /// The limit.
        limit: Duration,
    },
}

impl HealthError {
    /// A word for metrics.
    pub const fn class(&self) -> &'static str {
        match self {
            Self::Failed { .. } => "failed",
            Self::NotReadBack => "not_read_back",
            Self::Timeout { .. } => "timeout",
        }
    }
}

impl From<Failure> for HealthError {
    fn from(Failure { code, message, .. }: Failure) -> Self {
        Self::Failed { code, message }
    }
}

/// What a call of the SDK gives.
async fn called<T, E>(call: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>) -> Result<T, HealthError>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    call.await.map_err(|error| Failure::of(&error).into())
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}
