//! Whether this region owns the topics: what is decided, by what is known of the record of authority.
//!
//! Everything here is pure. [`crate::tenure`] reads the record and carries out what is decided.
//!
//! **Waiting.** A consumer that doesn't own stays out of the group and takes no partition. It begins only by a reading that has
//! just succeeded: nobody begins to write by what was once true.
//!
//! **Owning.** The epoch of the record goes into every write of the tenure and never changes within it: a row that carries a
//! higher one refuses the write. A tenure ends
//!
//! - *in order*, when somebody decided anew (another owner, or the same with a higher epoch) while its right runs on: what has
//!   begun is finished and committed, within what is left of the lease;
//! - *at once*, when its lease is over, or under `fail_safe` when the record hasn't been confirmed for too long: nothing more is
//!   written or committed.
//!
//! The process ends with its tenure. Whatever starts it again (Kubernetes, the local supervisor) starts one that waits.
//!
//! **Lease.** `lease_until` is a promise that nobody else writes before, and this consumer not after. It is kept by two clocks,
//! so the owner stops a margin early ([`Rules::lease_margin`], 5 s unless set otherwise), and whoever takes over waits for the
//! lease and as long again. A clock that is set back while the process runs prolongs no lease ([`Moment`]). The margin also has to
//! hold what a write that is on its way may need to arrive; what comes later still is refused by its epoch where the new owner has
//! written the row. Whoever gives a lease renews it: this program only reads.
//!
//! **Set back.** A record with a lower epoch than one that was seen, or that is gone, takes nothing back. It counts like one that
//! can't be read: somebody has to mend it, as the runbook says.

use std::fmt;
use std::time::Duration;

use contracts::{CdcConsumer, Region, WhenUnread, WithoutRecord};
use events::Timestamp;
use events::authority::Authority;

/// By what is decided.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The region that the consumer runs in.
    pub region: Region,
    /// What an owner does that can't read the record any more.
    pub when_unread: WhenUnread,
    /// What happens while there is no record.
    pub without_record: WithoutRecord,
    /// How long before the end of a lease writing stops.
    pub lease_margin: Duration,
}

impl Rules {
    /// The rules that a consumer is configured with.
    pub fn of(config: &CdcConsumer) -> Self {
        Self {
            region: config.region.clone(),
            when_unread: config.settings.when_unread,
            without_record: config.settings.without_record,
            lease_margin: config.settings.lease_margin,
        }
    }
}

/// What matters of a record, and that there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Nobody has decided anything.
    Absent,
    /// The last decision.
    Decided {
        /// Who owns.
        owner: Region,
        /// The decision's number, from 1.
        epoch: u64,
        /// Until when the owner may act; none: until a decision with a higher epoch.
        lease_until: Option<Timestamp>,
    },
}

impl Record {
    /// The decision's number; 0 when there is none.
    pub fn epoch(&self) -> u64 {
        match self {
            Self::Absent => 0,
            Self::Decided { epoch, .. } => *epoch,
        }
    }
}

impl From<Option<&Authority>> for Record {
    fn from(record: Option<&Authority>) -> Self {
        record.map_or(Self::Absent, |record| Self::Decided {
            owner: record.owner.clone(),
            epoch: record.epoch.get(),
            lease_until: record.lease_until,
        })
    }
}

/// A point in time on both clocks.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Time since the process's start.
    pub running: Duration,
    /// The time of day. Invariant: never earlier than in an earlier moment by what has passed since; setting a clock back makes
    /// it no earlier.
    pub time: Timestamp,
}

impl Moment {
    /// The moment after `self`, when the process has run for so long and the clock shows `time`.
    #[must_use]
    pub fn then(self, running: Duration, time: Timestamp) -> Self {
        let passed = running.saturating_sub(self.running);
        Self { running, time: time.max(self.time.saturating_add(passed).unwrap_or(Timestamp::MAX)) }
    }
}

/// What is known of the record. Knowledge only grows: no reading takes a higher epoch back.
#[derive(Clone, Debug, Default)]
pub struct Known {
    newest: Option<(Record, Moment)>,
    /// Whether the last reading confirmed it.
    is_confirmed: bool,
    /// Whether the last reading gave less than is known.
    is_behind: bool,
}

impl Known {
    /// Notes what a reading gave that began at `began`; none when it gave nothing.
    pub fn note(&mut self, began: Moment, read: Option<Record>) {
        let newest = self.newest.as_ref().map(|(record, _)| record.epoch());
        self.is_confirmed = read.as_ref().is_some_and(|record| Some(record.epoch()) >= newest);
        self.is_behind = read.is_some() && !self.is_confirmed;
        if let Some(record) = read.filter(|_| self.is_confirmed) {
            self.newest = Some((record, began));
        }
    }

    /// The record with the highest epoch that was read.
    pub fn newest(&self) -> Option<&Record> {
        self.newest.as_ref().map(|(record, _)| record)
    }

    /// Whether the last reading gave less than is known: the record was set back, or is gone.
    pub fn is_behind(&self) -> bool {
        self.is_behind
    }
}

/// A right to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenure {
    /// The epoch that every write carries.
    pub epoch: u64,
    /// Until when; none: until somebody decides anew.
    pub lease_until: Option<Timestamp>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Wait, outside of the group.
    StandBy(Reason),
    /// Consume, or go on.
    Own(Tenure),
    /// Finish what has begun and end, before `lease_until` if that is given.
    HandOver {
        /// Why.
        reason: Reason,
        /// When the tenure's own lease ends.
        lease_until: Option<Timestamp>,
    },
    /// End at once: write and commit nothing more.
    Stop(Reason),
}

/// Why a region doesn't own, or no longer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The record says that another region owns.
    Elsewhere(Region),
    /// There is no record, and this region isn't the one that owns without.
    NoRecord,
    /// The record can't be read, or was set back.
    Unknown,
    /// The lease is over, or nearly so.
    LeaseOver,
    /// Somebody decided anew, and the owner is the same.
    NewEpoch(u64),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elsewhere(owner) => write!(f, "`{owner}` owns the topics"),
            Self::NoRecord => f.write_str("there is no record of authority, and this region owns nothing without one"),
            Self::Unknown => f.write_str("the record of authority can't be read, or was set back"),
            Self::LeaseOver => f.write_str("the lease is over"),
            Self::NewEpoch(epoch) => write!(f, "authority has moved on to epoch {epoch}"),
        }
    }
}

/// What a consumer does that waits (`tenure` is none) or owns.
pub fn decide(tenure: Option<&Tenure>, known: &Known, now: Moment, rules: &Rules) -> Decision {
    match tenure {
        None => begin(known, now, rules),
        Some(tenure) => go_on(tenure, known, now, rules),
    }
}

fn begin(known: &Known, now: Moment, rules: &Rules) -> Decision {
    let Some((record, _)) = known.newest.as_ref().filter(|_| known.is_confirmed) else {
        return Decision::StandBy(Reason::Unknown);
    };
    match record {
        Record::Absent if rules.without_record == WithoutRecord::Own => {
            Decision::Own(Tenure { epoch: record.epoch(), lease_until: None })
        }
        Record::Absent => Decision::StandBy(Reason::NoRecord),
        Record::Decided { owner, .. } if *owner != rules.region => Decision::StandBy(Reason::Elsewhere(owner.clone())),
        Record::Decided { lease_until, .. } if is_over(*lease_until, now, rules) => {
            Decision::StandBy(Reason::LeaseOver)
        }
        Record::Decided { epoch, lease_until, .. } => {
            Decision::Own(Tenure { epoch: *epoch, lease_until: *lease_until })
        }
    }
}

fn go_on(tenure: &Tenure, known: &Known, now: Moment, rules: &Rules) -> Decision {
    let Some((record, read_at)) = &known.newest else {
        return Decision::Stop(Reason::Unknown);
    };
    // The same decision may have got a longer lease; a later one says nothing about this tenure's.
    let (lease_until, renewed) = match record {
        Record::Decided { owner, epoch, lease_until } if *owner == rules.region && *epoch == tenure.epoch => {
            (*lease_until, Some(Tenure { epoch: *epoch, lease_until: *lease_until }))
        }
        Record::Absent if tenure.epoch == 0 => (None, Some(tenure.clone())),
        _ => (tenure.lease_until, None),
    };
    if is_over(lease_until, now, rules) {
        return Decision::Stop(Reason::LeaseOver);
    }
    let Some(renewed) = renewed else {
        let reason = match record {
            Record::Decided { owner, .. } if *owner != rules.region => Reason::Elsewhere(owner.clone()),
            _ => Reason::NewEpoch(record.epoch()),
        };
        return Decision::HandOver { reason, lease_until };
    };
    let unconfirmed = if known.is_confirmed { Duration::ZERO } else { now.running.saturating_sub(read_at.running) };
    match rules.when_unread {
        WhenUnread::FailSafe(after) if unconfirmed >= after => Decision::Stop(Reason::Unknown),
        _ => Decision::Own(renewed),
    }
}

fn is_over(lease_until: Option<Timestamp>, now: Moment, rules: &Rules) -> bool {
    left(lease_until, now, rules) == Some(Duration::ZERO)
}

/// How long writing under a lease may go on; none where there is no lease.
pub fn left(lease_until: Option<Timestamp>, now: Moment, rules: &Rules) -> Option<Duration> {
    let last = lease_until?.saturating_sub(rules.lease_margin).unwrap_or(Timestamp::MIN);
    Some(Duration::try_from(last.duration_since(now.time)).unwrap_or_default())
}

#[cfg(test)]
#[path = "ownership/tests.rs"]
mod tests;
