//! A record, what may be written over it, and what the answers mean: values without I/O.
//!
//! ```text
//!              claim                       complete
//!   nothing ───────────▶ PENDING, a lease ──────────▶ DONE
//!      ▲                   │   ▲      │                │
//!      ├─── release ───────┘   └──────┘ claim, when    │
//!      │                                the lease is over
//!      └──────────── both expire ──────────────────────┘
//! ```

use super::{Claim, Claimed, CompletionError, Key, Owner, PayloadHash, ResultHash, StoreError, Work};
use events::Timestamp;
use std::time::Duration;

/// What is known of a piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Who claimed it last.
    pub owner: Owner,
    /// What it is about.
    pub payload: PayloadHash,
    /// How far it is.
    pub state: RecordState,
    /// The second, counted from 1970, from which on the record counts as gone. DynamoDB removes it some time later.
    pub expires_at: i64,
}

/// How far a piece of work is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordState {
    /// Its owner is at it.
    Pending {
        /// When the owner can't be at it any more.
        lease_until: Timestamp,
    },
    /// It is done.
    Done {
        /// What came of it.
        result: ResultHash,
    },
}

impl Record {
    fn is_gone(&self, now: Timestamp) -> bool {
        self.expires_at <= now.as_second()
    }

    fn is_pending_of(&self, owner: &Owner) -> bool {
        matches!(self.state, RecordState::Pending { .. }) && self.owner == *owner
    }
}

/// One write of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// Which record.
    pub key: Key,
    /// What is written.
    pub change: Change,
    /// The writer's clock.
    pub now: Timestamp,
}

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A new lease.
    Claim(Record),
    /// The same owner's work is done.
    Complete(Record),
    /// This owner's record goes.
    Release(Owner),
}

/// What came of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It was written; what was there before.
    Over(Option<Record>),
    /// It wasn't allowed, because of what is there.
    Refused(Option<Record>),
}

impl Write {
    /// Whether it may take place over what is there.
    pub fn is_allowed(&self, there: Option<&Record>) -> bool {
        match (&self.change, there) {
            (Change::Claim(_), None) => true,
            (Change::Claim(new), Some(there)) => {
                let is_free = match there.state {
                    RecordState::Pending { lease_until } => lease_until <= self.now && there.payload == new.payload,
                    RecordState::Done { .. } => false,
                };
                is_free || there.is_gone(self.now)
            }
            (Change::Complete(Record { owner, .. }) | Change::Release(owner), there) => {
                there.is_some_and(|there| there.is_pending_of(owner))
            }
        }
    }
}

/// The write that claims `work`.
pub(super) fn claim(work: &Work, owner: &Owner, lease_until: Timestamp, now: Timestamp, retention: Duration) -> Write {
    let record = Record {
        owner: owner.clone(),
        payload: work.payload.clone(),
        // DynamoDB gets milliseconds.
        state: RecordState::Pending { lease_until: in_milliseconds(lease_until) },
        // A lease never outlives its record.
        expires_at: expiry(now.max(lease_until), retention),
    };
    Write { key: work.key.clone(), change: Change::Claim(record), now: in_milliseconds(now) }
}

/// What the answer to a claim means.
pub(super) fn answer_to_claim(
    work: &Work,
    owner: &Owner,
    now: Timestamp,
    written: Written,
) -> Result<Claim, StoreError> {
    let claimed = |took_over| Claim::Claimed(Claimed { work: work.clone(), owner: owner.clone(), took_over });
    match written {
        Written::Over(there) => Ok(claimed(there.is_some_and(|there| !there.is_gone(now)))),
        // An attempt whose answer was lost has claimed it.
        Written::Refused(Some(there)) if there.is_pending_of(owner) => Ok(claimed(false)),
        Written::Refused(Some(there)) if there.payload != work.payload => Ok(Claim::Mismatch),
        Written::Refused(Some(there)) => Ok(match there.state {
            RecordState::Done { result } => Claim::Duplicate(result),
            RecordState::Pending { lease_until } => Claim::InProgress(lease_until),
        }),
        Written::Refused(None) => Err(StoreError::Unreadable { key: work.key.as_str().to_owned(), what: "record" }),
    }
}

/// The write that completes a claim.
pub(super) fn completion(claimed: &Claimed, result: ResultHash, now: Timestamp, retention: Duration) -> Write {
    let record = Record {
        owner: claimed.owner.clone(),
        payload: claimed.work.payload.clone(),
        state: RecordState::Done { result },
        expires_at: expiry(now, retention),
    };
    Write { key: claimed.work.key.clone(), change: Change::Complete(record), now: in_milliseconds(now) }
}

/// The write that gives a claim back.
pub(super) fn release(claimed: &Claimed, now: Timestamp) -> Write {
    let change = Change::Release(claimed.owner.clone());
    Write { key: claimed.work.key.clone(), change, now: in_milliseconds(now) }
}

/// What the answer to a completion or a release means.
pub(super) fn answer_to_settling(claimed: &Claimed, write: &Write, written: &Written) -> Result<(), CompletionError> {
    // An attempt whose answer was lost has done it already.
    let is_so = match (&write.change, written) {
        (_, Written::Over(_)) => true,
        (Change::Complete(done), Written::Refused(Some(there))) => {
            there.owner == done.owner && there.state == done.state
        }
        (Change::Release(_), Written::Refused(there)) => there.is_none(),
        (Change::Claim(_) | Change::Complete(_), Written::Refused(_)) => false,
    };
    if is_so { Ok(()) } else { Err(CompletionError::Lost { owner: claimed.owner.to_string() }) }
}

/// The first second in which something kept since `from` is gone.
fn expiry(from: Timestamp, retention: Duration) -> i64 {
    let seconds = i64::try_from(retention.as_secs()).unwrap_or(i64::MAX);
    from.as_second().saturating_add(seconds).saturating_add(1)
}

fn in_milliseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}
