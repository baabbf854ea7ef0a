//! Which offset of a partition may be committed.

use std::collections::VecDeque;

/// The messages of one partition that were taken up, and which of them are done.
///
/// Invariant: [`PrefixTracker::position`] never passes a message that isn't done, whatever the order of completion.
/// After a crash everything from the committed position on is delivered again, so nothing is lost.
#[derive(Clone, Debug, Default)]
pub struct PrefixTracker {
    /// Messages from the first that isn't done on, by offset.
    entries: VecDeque<Entry>,
    /// One past the last message taken up.
    next: Option<i64>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    offset: i64,
    done: bool,
}

impl PrefixTracker {
    /// Takes up a message. Offsets rise, with gaps where Kafka's log was compacted.
    /// False when the offset was taken up before: the message is a repetition and must not be worked on again.
    #[must_use]
    pub fn start(&mut self, offset: i64) -> bool {
        if self.next.is_some_and(|next| offset < next) {
            return false;
        }
        self.entries.push_back(Entry { offset, done: false });
        self.next = Some(offset + 1);
        true
    }

    /// Says that a message is done. Unknown offsets and repetitions change nothing.
    pub fn complete(&mut self, offset: i64) {
        if let Ok(index) = self.entries.binary_search_by_key(&offset, |entry| entry.offset) {
            self.entries[index].done = true;
        }
        while self.entries.front().is_some_and(|entry| entry.done) {
            self.entries.pop_front();
        }
    }

    /// The offset to commit: that of the next message to be delivered after a restart. None before the first message.
    pub fn position(&self) -> Option<i64> {
        self.entries.front().map(|entry| entry.offset).or(self.next)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_gap_holds_the_position() {
        let mut tracker = PrefixTracker::default();
        assert_eq!(tracker.position(), None);
        for offset in 0..4 {
            assert!(tracker.start(offset));
        }
        for offset in [0, 2, 3] {
            tracker.complete(offset);
        }
        assert_eq!(tracker.position(), Some(1));
        tracker.complete(1);
        assert_eq!(tracker.position(), Some(4));
        assert!(tracker.entries.is_empty());
        assert!(!tracker.start(3), "a repetition");
        assert!(tracker.start(9), "a gap in the log");
        assert_eq!(tracker.position(), Some(9));
    }

    proptest! {
        /// Against the definition: the position is the lowest offset that isn't done, or one past the end.
        #[test]
        fn the_position_is_the_done_prefix(
            gaps in proptest::collection::vec(1_i64..4, 1..60),
            completions in proptest::collection::vec(any::<prop::sample::Index>(), 0..120),
        ) {
            let offsets: Vec<i64> = gaps.iter().scan(0, |at, gap| { *at += gap; Some(*at) }).collect();
            let mut tracker = PrefixTracker::default();
            let mut open = BTreeSet::new();
            let mut completions = completions.into_iter();
            for (count, offset) in offsets.iter().enumerate() {
                prop_assert!(tracker.start(*offset));
                open.insert(*offset);
                // Two completions for each start, of anything started so far.
                for index in completions.by_ref().take(2) {
                    let done = offsets[index.index(count + 1)];
                    tracker.complete(done);
                    open.remove(&done);
                    let expected = open.first().copied().unwrap_or(*offset + 1);
                    prop_assert_eq!(tracker.position(), Some(expected));
                    prop_assert!(tracker.entries.len() >= open.len());
                }
            }
            for offset in open {
                prop_assert!(tracker.position() <= Some(offset));
                tracker.complete(offset);
            }
            prop_assert_eq!(tracker.position(), offsets.last().map(|last| last + 1));
            prop_assert!(tracker.entries.is_empty());
        }
    }
}
