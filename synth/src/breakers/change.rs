//! One command: read, decide, write if nobody was first, and say truthfully what came of it.

use std::time::Duration;

use aws::routes::StoreError;
use breaker::{Command, Millis, Shared, State, StateName, Step};

use super::Breaker;

/// How often a command is tried when somebody else wrote the record first: the router writes it at each probe.
const ATTEMPTS: u32 = 10;
/// Pause before the second attempt; each further one waits longer by as much.
const PAUSE: Duration = Duration::from_millis(20);

/// A command that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Changed {
    /// The record that was written over, or the one that needed nothing.
    pub(super) before: Shared,
    /// The record as it was written.
    pub(super) after: Shared,
}

/// A command that was not carried out, or of which that isn't known.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotChanged {
    /// The record can't be read.
    #[error("changed nothing: the record can't be read")]
    Unreadable(#[source] StoreError),
    /// The write failed, and the record is as it was.
    #[error("did not take place so far")]
    NotWritten(#[source] StoreError),
    /// The write failed, and nobody can say whether it took place.
    #[error("may have taken place or not: the write got no answer")]
    Unknown(#[source] StoreError),
    /// Another operator was there since the record was looked at.
    #[error("changed nothing: somebody else made it `{}` meanwhile{}", .state.as_str(), said(.note.as_deref()))]
    Overruled {
        /// The state that it has by now.
        state: StateName,
        /// What the other operator said.
        note: Option<String>,
    },
    /// Others were first each time.
    #[error("changed nothing: others wrote the record first {} times", .attempts)]
    Contended {
        /// How often it was tried.
        attempts: u32,
    },
}

fn said(note: Option<&str>) -> String {
    note.map(|note| format!(" (\"{note}\")")).unwrap_or_default()
}

/// Whether the command would change anything.
pub(super) fn is_needed(seen: &Shared, command: Command, now: Millis) -> bool {
    matches!(seen.command(command, "", now), Step::Write(_))
}

/// Carries the command out, if the record is still what was `seen`, as far as an operator decides by it: what the breaker does
/// by itself in the meantime is no matter, and what another operator does is.
pub(super) async fn carry_out(
    breaker: &impl Breaker,
    command: Command,
    note: &str,
    seen: &Shared,
    now: impl Fn() -> Millis,
) -> Result<Changed, NotChanged> {
    for attempt in 0..ATTEMPTS {
        tokio::time::sleep(PAUSE * attempt).await;
        let before = breaker.read().await.map_err(NotChanged::Unreadable)?;
        if commanded(&before) != commanded(seen) {
            return Err(NotChanged::Overruled {
                state: before.state.name(),
                note: before.note.as_deref().map(str::to_owned),
            });
        }
        let Step::Write(write) = before.command(command, note, now()) else {
            return Ok(Changed { after: before.clone(), before });
        };
        match breaker.write(&write).await {
            Ok(true) => return Ok(Changed { before, after: write.next }),
            // A repeated attempt is refused by what the one before has written, if only its answer was lost.
            Ok(false) => match breaker.read().await {
                Ok(stored) if is_same_write(&stored, &write.next) => return Ok(Changed { before, after: write.next }),
                Ok(_) | Err(_) => {}
            },
            Err(error) => return without_answer(breaker, before, write.next, error).await,
        }
    }
    Err(NotChanged::Contended { attempts: ATTEMPTS })
}

/// Looks whether a write took place that got no useful answer.
async fn without_answer(
    breaker: &impl Breaker,
    before: Shared,
    after: Shared,
    error: StoreError,
) -> Result<Changed, NotChanged> {
    match breaker.read().await {
        Ok(stored) if is_same_write(&stored, &after) => Ok(Changed { before, after }),
        Ok(stored) if stored.version == before.version => Err(NotChanged::NotWritten(error)),
        Ok(_) | Err(_) => Err(NotChanged::Unknown(error)),
    }
}

/// Two writes of one version agree in all of this only if they are the same.
fn is_same_write(stored: &Shared, written: &Shared) -> bool {
    let of = |shared: &Shared| (shared.version, shared.state.clone(), shared.since, shared.note.clone());
    of(stored) == of(written)
}

/// The state that an operator commanded, and when; nothing while the breaker works by itself.
fn commanded(shared: &Shared) -> Option<(StateName, Millis)> {
    match shared.state {
        State::ForcedOpen | State::ForcedClosed { .. } | State::MetricsOnly { .. } => {
            Some((shared.state.name(), shared.since))
        }
        State::Closed { .. } | State::Open { .. } | State::HalfOpen { .. } => None,
    }
}
