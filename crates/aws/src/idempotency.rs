//! What was already done, so that a repetition does nothing.
//!
//! Before a piece of work is done it is claimed: one conditional write leaves a record that says whose it is, until when,
//! and by a hash what it is about. Afterwards the record says that it is done. Whoever comes with the same [`Key`]
//! meanwhile or later is told so by the very write that would have been his claim ([`Claim`]).
//!
//! - **A claim is a lease.** It ends when the owner can't be at work any more, which is the end of its invocation. From then
//!   on whoever brings the same content takes it over: work whose owner died is done by the next.
//! - **Only the owner completes or releases**, and only once, which the types see to: both take the [`Claimed`] that only a
//!   claim gives. An owner that was overtaken is told so ([`CompletionError::Lost`]) and changes nothing.
//! - **What is done stays done** until the record expires.
//! - **A key stands for one content.** Another one under the same key is [`Claim::Mismatch`], also when the first was never
//!   completed: it may have had its effect all the same. Only a claim that is released frees its key, so release what surely
//!   had no effect, and leave everything else to the end of its lease.
//!
//! This makes repetitions rare and does not end them: an owner can die, or lose its answer, between its effect and its
//! completion. Receivers tell repeats by the id of the event.
//!
//! Nothing here reads a clock or chooses an owner's name: both are given, and nothing is kept between calls.
//!
//! ```
//! # use aws::idempotency::{Claim, Idempotency, IdempotencyTable, Owner, ResultHash, Work};
//! # use events::Timestamp;
//! # async fn once(
//! #     idempotency: &Idempotency<IdempotencyTable>, work: Work, owner: Owner, lease_until: Timestamp, now: Timestamp,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! if let Claim::Claimed(claimed) = idempotency.claim(&work, owner, lease_until, now).await? {
//!     // Here the work is done.
//!     idempotency.complete(claimed, ResultHash::of(b"done"), now).await?;
//! }
//! # Ok(())
//! # }
//! ```
//!
//! Completing what was never claimed doesn't compile:
//!
//! ```compile_fail
//! # use aws::idempotency::{Idempotency, IdempotencyTable, ResultHash, Work};
//! # async fn without_a_claim(idempotency: &Idempotency<IdempotencyTable>, work: Work) {
//! let _ = idempotency.complete(work, ResultHash::of(b"done"), events::Timestamp::UNIX_EPOCH).await;
//! # }
//! ```
//!
//! and neither does completing it twice:
//!
//! ```compile_fail
//! # use aws::idempotency::{Claimed, Idempotency, IdempotencyTable};
//! # async fn twice(idempotency: &Idempotency<IdempotencyTable>, claimed: Claimed) {
//! let _ = idempotency.release(claimed, events::Timestamp::UNIX_EPOCH).await;
//! let _ = idempotency.release(claimed, events::Timestamp::UNIX_EPOCH).await;
//! # }
//! ```

mod record;
mod table;

pub use record::{Change, Record, RecordState, Write, Written};
pub use table::IdempotencyTable;

use crate::signature::hex;
use events::Timestamp;
use ring::digest;
use std::fmt;
use std::future::Future;
use std::time::Duration;

/// What a record is found by: the SHA-256 of a scope and of an id in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// The key of `id` in `scope`. Ids of different scopes never meet.
    pub fn new(scope: &str, id: &str) -> Self {
        // The length says where the scope ends, so that no other pair gives the same text.
        Self(sha256(format!("{}:{scope}{id}", scope.len()).as_bytes()))
    }

    /// The key in hexadecimal.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! hash {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// The hash of these bytes.
            pub fn of(bytes: &[u8]) -> Self {
                Self(sha256(bytes))
            }

            /// The hash in hexadecimal.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

hash! {
    /// The SHA-256 of what came in.
    PayloadHash
}
hash! {
    /// The SHA-256 of what came of it.
    ResultHash
}

/// Who has claimed something. No two claims may have the same owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner(String);

impl Owner {
    /// The owner of a claim that an invocation makes for the message at `index` of its batch.
    pub fn in_invocation(request_id: &str, index: usize) -> Self {
        Self(format!("{request_id}/{index}"))
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A piece of work that is to be done once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Work {
    /// What it is known by.
    pub key: Key,
    /// What it is about.
    pub payload: PayloadHash,
}

/// The answer to a claim.
#[derive(Debug, PartialEq, Eq)]
pub enum Claim {
    /// It is the caller's now.
    Claimed(Claimed),
    /// It is done; what came of it.
    Duplicate(ResultHash),
    /// Somebody else is at it and may be until then.
    InProgress(Timestamp),
    /// The key stands for another content.
    Mismatch,
}

/// A claim that holds: it is to be completed or released.
#[must_use = "a claim that is neither completed nor released holds others up until its lease ends"]
#[derive(Debug, PartialEq, Eq)]
pub struct Claimed {
    work: Work,
    owner: Owner,
    took_over: bool,
}

impl Claimed {
    /// Whether somebody had claimed it before, whose lease ran out. What it did nobody knows.
    pub fn took_over(&self) -> bool {
        self.took_over
    }
}

/// Why nothing is known of a claim, or of a completion. What was asked for may have taken place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// Too much at once, no answer, or the service's own fault.
    #[error("the table of what was done gave no answer ({code}: {message})")]
    Unavailable {
        /// DynamoDB's error code or the kind of failure.
        code: String,
        /// What was reported.
        message: String,
    },
    /// The program may not use the table, or the table is not there or has another form.
    #[error("the table of what was done refused ({code}: {message}); check the function's role and the table's name")]
    Denied {
        /// DynamoDB's error code.
        code: String,
        /// What was reported.
        message: String,
    },
    /// A record that this version of the program can't read.
    #[error("the record `{key}` of what was done has no valid `{what}`; delete it, or wait until it expires")]
    Unreadable {
        /// The record's key.
        key: String,
        /// What is missing or wrong.
        what: &'static str,
    },
}

impl StoreError {
    /// A stable name of the kind of failure, for metrics and the log.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => "claims_unavailable",
            Self::Denied { .. } => "claims_denied",
            Self::Unreadable { .. } => "claim_unreadable",
        }
    }
}

/// Why a claim was not completed or released.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompletionError {
    /// The record isn't this owner's any more: its lease ran out and somebody took over, or the record expired.
    #[error("the claim of `{owner}` was lost; what it did may be done again")]
    Lost {
        /// Who had it.
        owner: String,
    },
    /// The record could not be written; until the lease ends it says that work goes on.
    #[error("the claim could not be settled")]
    Store(#[source] StoreError),
}

/// Where records are kept: writes under a condition and nothing else.
pub trait Records: Sync {
    /// Writes, if [`Write::is_allowed`] by the record that is there.
    ///
    /// # Errors
    /// When no answer came; the write may have happened.
    fn write(&self, write: &Write) -> impl Future<Output = Result<Written, StoreError>> + Send;
}

impl<R: Records> Records for &R {
    fn write(&self, write: &Write) -> impl Future<Output = Result<Written, StoreError>> + Send {
        (**self).write(write)
    }
}

/// Claims and completions over records.
#[derive(Clone, Debug)]
pub struct Idempotency<R> {
    records: R,
    retention: Duration,
}

impl<R: Records> Idempotency<R> {
    /// Keeps records for `retention` after the last word on them.
    pub fn new(records: R, retention: Duration) -> Self {
        Self { records, retention }
    }

    /// Claims a piece of work until `lease_until`, the moment from which on the caller can't be at work any more.
    ///
    /// # Errors
    /// When it isn't known whether it was claimed. The work must not be done then.
    pub async fn claim(
        &self,
        work: &Work,
        owner: Owner,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<Claim, StoreError> {
        let write = record::claim(work, &owner, lease_until, now, self.retention);
        let written = self.records.write(&write).await;
        let claim = written.and_then(|written| record::answer_to_claim(work, &owner, now, written));
        telemetry::IDEMPOTENCY_TOTAL.inc(&[
            "claim",
            match &claim {
                Ok(Claim::Claimed(claimed)) if claimed.took_over => "taken_over",
                Ok(Claim::Claimed(_)) => "claimed",
                Ok(Claim::Duplicate(_)) => "duplicate",
                Ok(Claim::InProgress(_)) => "in_progress",
                Ok(Claim::Mismatch) => "mismatch",
                Err(_) => "failed",
            },
        ]);
        claim
    }

    /// Says that the work is done and what came of it.
    ///
    /// # Errors
    /// When the record doesn't say so now. The work is done all the same, and may be done again by others.
    pub async fn complete(&self, claimed: Claimed, result: ResultHash, now: Timestamp) -> Result<(), CompletionError> {
        let write = record::completion(&claimed, result, now, self.retention);
        self.settle("complete", &claimed, &write).await
    }

    /// Gives the work back: it surely wasn't done, and whoever comes next may do it, with any content. When it may have been
    /// done, drop the claim instead: its lease ends by itself, and then only the same content takes it over.
    ///
    /// # Errors
    /// When the record is still there, or already somebody else's.
    pub async fn release(&self, claimed: Claimed, now: Timestamp) -> Result<(), CompletionError> {
        let write = record::release(&claimed, now);
        self.settle("release", &claimed, &write).await
    }

    async fn settle(&self, step: &'static str, claimed: &Claimed, write: &Write) -> Result<(), CompletionError> {
        let written = self.records.write(write).await.map_err(CompletionError::Store);
        let settled = written.and_then(|written| record::answer_to_settling(claimed, write, &written));
        telemetry::IDEMPOTENCY_TOTAL.inc(&[
            step,
            match &settled {
                Ok(()) => "settled",
                Err(CompletionError::Lost { .. }) => "lost",
                Err(CompletionError::Store(_)) => "failed",
            },
        ]);
        settled
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests;
