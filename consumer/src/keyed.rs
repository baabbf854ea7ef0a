//! Order per key, parallelism across keys.
//!
//! A fixed number of shards would let one key that is retried hold up every other key of its shard.
//! Here each key has its own queue, which exists only while the key has work.
//! A job may belong to two keys (a change that moves a row): it runs when it is the first of both.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A map of offsets, or of what is a hash already. Nobody outside chooses these numbers so that they collide.
pub type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

/// Spreads one number: a multiplication by an odd constant of many bits (Knuth, The Art of Computer Programming 3, 6.4).
#[derive(Clone, Copy, Debug, Default)]
pub struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let spread = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // Tables take the lowest and the highest bits; the lowest of a product are as regular as those of its factors.
        self.0 = spread ^ (spread >> 32);
    }

    fn write_i64(&mut self, number: i64) {
        self.write_u64(number.cast_unsigned());
    }
}

/// Queues of jobs by key.
///
/// Invariant: at most one job of a key runs at a time, and jobs of a key run in the order in which they were added.
#[derive(Debug)]
pub struct KeyQueues<K, J> {
    queues: NumberMap<K, VecDeque<J>>,
    /// In how many queues a job isn't the first. Jobs that may run aren't listed.
    waiting: NumberMap<J, usize>,
}

impl<K, J> Default for KeyQueues<K, J> {
    fn default() -> Self {
        Self { queues: NumberMap::default(), waiting: NumberMap::default() }
    }
}

impl<K: Clone + Eq + Hash, J: Copy + Eq + Hash> KeyQueues<K, J> {
    /// Adds a job under its keys, which differ from each other. True when it may run now.
    #[must_use]
    pub fn add(&mut self, job: J, keys: &[K]) -> bool {
        let mut behind = 0;
        for key in keys {
            let queue = self.queues.entry(key.clone()).or_default();
            behind += usize::from(!queue.is_empty());
            queue.push_back(job);
        }
        if behind > 0 {
            self.waiting.insert(job, behind);
        }
        behind == 0
    }

    /// The jobs behind the one that runs in a queue, in order. A job of two keys may be among them.
    pub fn waiting_in(&self, key: &K) -> impl Iterator<Item = J> {
        self.queues.get(key).into_iter().flat_map(|queue| queue.iter().skip(1).copied())
    }

    /// Removes the job that ran from its queues, or in one queue the first `count` if those behind it ran with it;
    /// gives those that may run now.
    #[must_use]
    pub fn finish(&mut self, keys: &[K], count: usize) -> Vec<J> {
        let mut ready = Vec::new();
        for key in keys {
            let Some(queue) = self.queues.get_mut(key) else {
                continue;
            };
            for job in queue.drain(..count.min(queue.len())).skip(1) {
                self.waiting.remove(&job);
            }
            let Some(first) = queue.front().copied() else {
                self.queues.remove(key);
                continue;
            };
            if let Some(behind) = self.waiting.get_mut(&first) {
                *behind -= 1;
                if *behind == 0 {
                    self.waiting.remove(&first);
                    ready.push(first);
                }
            }
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Runs jobs in a random order of completion and checks each key's order, that nothing overlaps and that all run.
        #[test]
        fn jobs_of_a_key_run_in_order(
            jobs in proptest::collection::vec(prop_oneof![
                (0_u8..5).prop_map(|key| vec![key]),
                (0_u8..5, 1_u8..5).prop_map(|(key, step)| vec![key, (key + step) % 5]),
            ], 1..60),
            picks in proptest::collection::vec(any::<prop::sample::Index>(), 60),
        ) {
            let mut queues = KeyQueues::default();
            let mut running: Vec<usize> = Vec::new();
            let mut ran: BTreeMap<u8, Vec<usize>> = BTreeMap::new();
            let mut picks = picks.into_iter();
            let mut step = |queues: &mut KeyQueues<u8, usize>, running: &mut Vec<usize>, pick: prop::sample::Index| {
                let job = running.swap_remove(pick.index(running.len()));
                for key in &jobs[job] {
                    assert!(!running.iter().any(|other| jobs[*other].contains(key)), "two jobs of one key ran at once");
                    ran.entry(*key).or_default().push(job);
                }
                running.extend(queues.finish(&jobs[job], 1));
            };
            for (job, keys) in jobs.iter().enumerate() {
                if queues.add(job, keys) { running.push(job); }
                if job % 3 == 2 && !running.is_empty() {
                    step(&mut queues, &mut running, picks.next().expect("enough picks"));
                }
            }
            while !running.is_empty() {
                step(&mut queues, &mut running, picks.next().expect("enough picks"));
            }
            prop_assert!(queues.queues.is_empty());
            prop_assert!(queues.waiting.is_empty());
            for (key, order) in ran {
                let expected: Vec<usize> = (0..jobs.len()).filter(|job| jobs[*job].contains(&key)).collect();
                prop_assert_eq!(order, expected);
            }
        }
    }

    #[test]
    fn jobs_that_ran_together_go_together() {
        let mut queues = KeyQueues::default();
        assert!(queues.add(1, &["a"]));
        for (job, keys) in [(2, &["a"][..]), (3, &["a"]), (4, &["a", "b"]), (5, &["b"])] {
            assert!(!queues.add(job, keys));
        }
        assert_eq!(queues.waiting_in(&"a").collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(queues.finish(&["a"], 3), [4]);
        assert_eq!(queues.finish(&["a", "b"], 1), [5]);
        assert_eq!(queues.finish(&["b"], 1), [0; 0]);
        assert!(queues.queues.is_empty() && queues.waiting.is_empty());
    }
}
