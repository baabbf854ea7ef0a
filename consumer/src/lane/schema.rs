//! Asking for the schema that a message needs.

use events::Timestamp;
use events::dead_letter::chain;
use events::qlik::{Poison, SchemaId, SchemaLookup};

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
    id: SchemaId,
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
        tracing::warn!(schema = display(id), attempt = attempts, error = chain(&error), "schema_fetch_failed");
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

/// Waits until a metadata message has announced a schema. It comes in another partition or not at all:
/// what lies behind a message in its own partition isn't read before the message is done.
/// What was waited for in vain isn't waited for again for a minute.
pub(super) async fn await_announcement<S, D>(
    tools: &Tools<S, D>,
    id: String,
    mut patience: Patience,
) -> Result<Result<(), Unfetched>, Stopped> {
    let (first_seen, since) = (Timestamp::now(), tools.clock.now());
    while tools.registry.announced(&id).is_none() {
        let is_over = tools.clock.now().duration_since(since) >= tools.row_wait;
        if is_over {
            tools.registry.believe_unannounced(&id);
        }
        if is_over || tools.registry.is_unannounced(&id) {
            let (error, attempts) = (FetchError::Unannounced(Poison::Unannounced(id)), patience.attempt());
            return Ok(Err(Unfetched { error, attempts, first_seen }));
        }
        patience.wait().await?;
    }
    Ok(Ok(()))
}
