//! What a lane shows of its state.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

use events::Timestamp;

use super::Limits;

/// What a lane shows of its state, for the pipeline, commits and metrics.
#[derive(Debug)]
pub struct Progress {
    in_flight: AtomicUsize,
    bytes: AtomicUsize,
    /// The offset to commit; negative before the first message.
    position: AtomicI64,
    /// The offset that the broker has acknowledged; negative before the first commit.
    committed: AtomicI64,
    /// Time of the oldest unfinished message in milliseconds since 1970; negative when there is none.
    oldest_millis: AtomicI64,
    paused: AtomicBool,
}

impl Default for Progress {
    fn default() -> Self {
        Self {
            in_flight: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            position: AtomicI64::new(-1),
            committed: AtomicI64::new(-1),
            oldest_millis: AtomicI64::new(-1),
            paused: AtomicBool::new(false),
        }
    }
}

impl Progress {
    /// The offset to commit, if it is ahead of what is committed.
    pub fn to_commit(&self) -> Option<i64> {
        let position = self.position();
        position.filter(|position| *position > self.committed.load(Ordering::Acquire))
    }

    /// One past the last message of the done prefix. None before the first message.
    pub fn position(&self) -> Option<i64> {
        Some(self.position.load(Ordering::Acquire)).filter(|position| *position >= 0)
    }

    /// Remembers what the broker has acknowledged.
    pub fn set_committed(&self, offset: i64) {
        self.committed.fetch_max(offset, Ordering::AcqRel);
    }

    /// How old the oldest unfinished message is.
    pub fn oldest_age(&self, now: Timestamp) -> Option<Duration> {
        let millis = Some(self.oldest_millis.load(Ordering::Acquire)).filter(|millis| *millis >= 0)?;
        Some(Duration::from_millis(u64::try_from(now.as_millisecond() - millis).unwrap_or(0)))
    }

    /// Counts a message of `size` bytes. True when the partition must be paused now.
    pub(super) fn takes_up(&self, size: usize, limits: &Limits) -> bool {
        let in_flight = self.in_flight.fetch_add(1, Ordering::AcqRel) + 1;
        let bytes = self.bytes.fetch_add(size, Ordering::AcqRel) + size;
        let full = in_flight >= limits.messages || bytes >= limits.bytes;
        full && !self.paused.swap(true, Ordering::AcqRel)
    }

    /// Counts messages out. True when the pipeline waits for that.
    pub(super) fn releases(&self, messages: usize, bytes: usize) -> bool {
        self.in_flight.fetch_sub(messages, Ordering::AcqRel);
        self.bytes.fetch_sub(bytes, Ordering::AcqRel);
        self.paused.load(Ordering::Acquire)
    }

    /// Whether the partition was paused and has room again; says so once.
    pub(super) fn take_relief(&self, limits: &Limits) -> bool {
        let has_room = self.in_flight.load(Ordering::Acquire) <= limits.messages / 2
            && self.bytes.load(Ordering::Acquire) <= limits.bytes / 2;
        has_room && self.paused.swap(false, Ordering::AcqRel)
    }

    /// Shows how far the lane is: the offset to commit, and the time of the message there in milliseconds since 1970.
    pub(super) fn show(&self, position: i64, oldest_millis: Option<i64>) {
        self.position.store(position, Ordering::Release);
        self.oldest_millis.store(oldest_millis.unwrap_or(-1), Ordering::Release);
    }
}
