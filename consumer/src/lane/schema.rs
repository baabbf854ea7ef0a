//! Asking for the schema that a message needs.

use events::Timestamp;
use events::dead_letter::chain;

use super::Tools;
use super::patience::{Patience, Stopped};
use crate::registry::FetchError;

/// How often the registry must say that it doesn't have a schema before the message is given up.
const ABSENCE_ATTEMPTS: u32 = 3;

/// A schema that can't be had.
pub(super) struct Unfetched {
    pub(super) error: FetchError,
    pub(super) attempts: u32,
    pub(super) first_seen: Timestamp,
}

/// Asks until the registry gives an answer; an absence is believed after a few, with seconds between them.
pub(super) async fn fetch_schema<S, D>(
    tools: &Tools<S, D>,
    id: u32,
    mut patience: Patience,
) -> Result<Result<(), Unfetched>, Stopped> {
    let first_seen = Timestamp::now();
    let unfetched = |error, attempts| Ok(Err(Unfetched { error, attempts, first_seen }));
    if tools.registry.is_absent(id) {
        return unfetched(FetchError::NotFound { id }, 1);
    }
    let mut absences = 0;
    loop {
        let error = match tools.registry.fetch(id).await {
            Ok(()) => return Ok(Ok(())),
            Err(error) => error,
        };
        let attempts = patience.attempt() + absences;
        tracing::warn!(schema = id, attempt = attempts, error = chain(&error), "schema_fetch_failed");
        if matches!(error, FetchError::NotFound { .. }) {
            absences += 1;
            if absences == ABSENCE_ATTEMPTS {
                tools.registry.believe_absence(id);
                return unfetched(error, attempts);
            }
            patience.wait_for(tools.absence_wait).await?;
        } else if error.is_retryable() {
            patience.wait().await?;
        } else {
            return unfetched(error, attempts);
        }
    }
}
