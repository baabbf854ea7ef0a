//! Books where each change has arrived, how long that took, and what came that should not have.
//!
//! Pure: times are handed in, so every case is tested without a clock or a network.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use events::domain::Action;
use events::{DomainEvent, EventId, Operation, Region, Version};

use super::workload::Workload;

/// The places where a change must arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Hop {
    /// The row in the home region.
    Row,
    /// The row in the peer region.
    Replica,
    /// The home region's bus, as a domain event.
    OwnBus,
    /// The peer region's bus, as a cross-region event.
    PeerBus,
}

impl Hop {
    pub(super) const ALL: [Self; 4] = [Self::Row, Self::Replica, Self::OwnBus, Self::PeerBus];
}

/// What is known about one change.
#[derive(Clone, Debug, Default)]
struct Entry {
    /// When it was handed to Kafka, since the start of the run.
    sent: Option<Duration>,
    /// When it was first seen, by hop.
    seen: [Option<Duration>; Hop::ALL.len()],
}

/// Everything that is known about the run's changes.
#[derive(Debug)]
pub(super) struct Ledger {
    entries: Vec<Entry>,
    counted: Vec<bool>,
    operations: Vec<Operation>,
    by_event: BTreeMap<EventId, usize>,
    /// For each key its changes, oldest first: version and index.
    by_key: Vec<Vec<(Version, usize)>>,
    /// The newest version of each key that was seen, in the home and the peer region.
    rows: Vec<[Option<Version>; 2]>,
    /// Ids that EventBridge gave to events that were seen, to tell its own repeats from ours.
    deliveries: BTreeSet<(usize, String)>,
    duplicates: [usize; Hop::ALL.len()],
    repeats: usize,
    loops: Vec<String>,
    wrong: Vec<String>,
    last_arrival: Duration,
}

impl Ledger {
    pub(super) fn new(workload: &Workload) -> Self {
        let changes = workload.changes();
        let mut by_key = vec![Vec::new(); workload.keys().len()];
        for (index, change) in changes.iter().enumerate() {
            by_key[change.key].push((change.version.clone(), index));
        }
        let by_event = changes.iter().enumerate().map(|(index, change)| (change.event_id, index));
        Self {
            entries: vec![Entry::default(); changes.len()],
            counted: changes.iter().map(|change| change.counted).collect(),
            operations: changes.iter().map(|change| change.operation).collect(),
            by_event: by_event.collect(),
            rows: vec![[None, None]; by_key.len()],
            by_key,
            deliveries: BTreeSet::new(),
            duplicates: [0; Hop::ALL.len()],
            repeats: 0,
            loops: Vec::new(),
            wrong: Vec::new(),
            last_arrival: Duration::ZERO,
        }
    }

    /// The change with this index was handed to Kafka.
    pub(super) fn sent(&mut self, index: usize, at: Duration) {
        self.entries[index].sent = Some(at);
        self.last_arrival = self.last_arrival.max(at);
    }

    /// A key's row holds `version` in a region (`hop` is [`Hop::Row`] or [`Hop::Replica`]).
    ///
    /// Versions of one key are applied in order, so all older ones have been there too.
    pub(super) fn row(&mut self, hop: Hop, key: usize, version: &Version, at: Duration) {
        let known = &mut self.rows[key][hop as usize];
        if known.as_ref().is_some_and(|known| known > version) {
            let what = format!(
                "the row of key {key} went back from {} to {}",
                known.as_ref().map_or("", Version::as_str),
                version.as_str()
            );
            self.wrong.push(what);
            return;
        }
        *known = Some(version.clone());
        for (reached, index) in &self.by_key[key] {
            if reached <= version && self.entries[*index].seen[hop as usize].is_none() {
                self.entries[*index].seen[hop as usize] = Some(at);
                self.last_arrival = at;
            }
        }
    }

    /// Keys whose row has not reached the newest version that was sent.
    pub(super) fn keys_behind(&self, hop: Hop) -> Vec<usize> {
        let behind = |key: &usize| {
            let newest = self.by_key[*key].iter().rev().find(|(_, index)| self.entries[*index].sent.is_some());
            newest.is_some_and(|(version, _)| self.rows[*key][hop as usize].as_ref() != Some(version))
        };
        (0..self.by_key.len()).filter(behind).collect()
    }

    /// A domain event of the run was on a bus; `delivery` is the id that EventBridge gave it.
    pub(super) fn event(&mut self, hop: Hop, delivery: &str, event: &DomainEvent, at: Duration) {
        let Some(&index) = self.by_event.get(&event.event_id) else {
            self.wrong.push(format!("an event for {} has the unknown id {}", event.key.as_str(), event.event_id));
            return;
        };
        if !self.deliveries.insert((hop as usize, delivery.to_owned())) {
            // EventBridge and SQS deliver at least once; the same delivery again is theirs, not the system's.
            self.repeats += 1;
            return;
        }
        let expected = match self.operations[index] {
            Operation::Insert | Operation::Refresh => Action::Created,
            Operation::Update => Action::Updated,
            Operation::Delete => Action::Deleted,
        };
        if event.event_type.action != expected {
            let (is, key) = (event.event_type.action.as_str(), event.key.as_str());
            self.wrong.push(format!(
                "the event {} of {key} says `{is}` instead of `{}`",
                event.event_id,
                expected.as_str()
            ));
        }
        let seen = &mut self.entries[index].seen[hop as usize];
        match seen {
            Some(_) => self.duplicates[hop as usize] += usize::from(self.counted[index]),
            None => {
                *seen = Some(at);
                self.last_arrival = at;
            }
        }
    }

    /// An event came back to, or was made anew in, a region where it must not be.
    pub(super) fn looped(&mut self, region: &Region, what: &str) {
        self.loops.push(format!("{region}: {what}"));
    }

    /// Something arrived that can't be understood or contradicts itself.
    pub(super) fn wrong(&mut self, what: String) {
        self.wrong.push(what);
    }

    /// How many of the changes that count have arrived.
    pub(super) fn arrived(&self, hop: Hop) -> usize {
        self.indices(true).filter(|&index| self.entries[index].seen[hop as usize].is_some()).count()
    }

    /// Whether all changes that count (or that clean up) have arrived everywhere.
    pub(super) fn complete(&self, counted: bool) -> bool {
        self.indices(counted).all(|index| self.entries[index].seen.iter().all(Option::is_some))
    }

    /// The latest time at which something was sent or arrived.
    pub(super) fn last_arrival(&self) -> Duration {
        self.last_arrival
    }

    /// Changes that count and have not arrived, by index.
    pub(super) fn missing(&self, hop: Hop) -> Vec<usize> {
        self.indices(true).filter(|&index| self.entries[index].seen[hop as usize].is_none()).collect()
    }

    /// Events that came more often than once, beyond the transport's own repeats.
    pub(super) fn duplicates(&self, hop: Hop) -> usize {
        self.duplicates[hop as usize]
    }

    /// Deliveries that the transport repeated.
    pub(super) fn repeats(&self) -> usize {
        self.repeats
    }

    pub(super) fn loops(&self) -> &[String] {
        &self.loops
    }

    pub(super) fn wrongs(&self) -> &[String] {
        &self.wrong
    }

    /// How long the hop took, for each change that counts and arrived, in ascending order.
    ///
    /// From the sending, except for the replica, which is measured from the row. A row that was overwritten before it
    /// was looked at counts with the later look, so for rows these are upper bounds.
    pub(super) fn latencies(&self, hop: Hop) -> Vec<Duration> {
        let mut latencies: Vec<Duration> = self
            .indices(true)
            .filter_map(|index| {
                let Entry { sent, seen } = &self.entries[index];
                let from = if hop == Hop::Replica { seen[Hop::Row as usize] } else { *sent };
                Some(seen[hop as usize]?.saturating_sub(from?))
            })
            .collect();
        latencies.sort_unstable();
        latencies
    }

    fn indices(&self, counted: bool) -> impl Iterator<Item = usize> {
        (0..self.entries.len()).filter(move |&index| self.counted[index] == counted)
    }
}

/// The value below which the share `quantile` (0 to 1) of the sorted values lies; none without values.
pub(super) fn quantile(sorted: &[Duration], quantile: f64) -> Option<Duration> {
    let last = sorted.len().checked_sub(1)?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "an index"
    )]
    let index = (last as f64 * quantile).ceil() as usize;
    sorted.get(index.min(last)).copied()
}

#[cfg(test)]
mod tests {
    use events::domain::EventType;
    use events::{Timestamp, Trace};

    use super::*;
    use crate::smoke::workload::Change;

    const fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn event(workload: &Workload, change: &Change) -> DomainEvent {
        let key = &workload.keys()[change.key];
        let action = match change.operation {
            Operation::Insert | Operation::Refresh => Action::Created,
            Operation::Update => Action::Updated,
            Operation::Delete => Action::Deleted,
        };
        let region: Region = "us-west-2".parse().unwrap();
        DomainEvent {
            event_id: change.event_id,
            event_type: EventType { entity: key.entity, action },
            entity: key.entity,
            key: key.key.clone(),
            version: change.version.clone(),
            source_region: region.clone(),
            origin_region: region,
            hop: 0,
            timestamp: Timestamp::UNIX_EPOCH,
            data: None,
            trace: Trace {
                task: String::new(),
                table: String::new(),
                change_sequence: String::new(),
                stream_position: String::new(),
                topic: String::new(),
                partition: 0,
                offset: 0,
            },
            traceparent: None,
        }
    }

    fn full_run(workload: &Workload) -> Ledger {
        let mut ledger = Ledger::new(workload);
        for (index, change) in workload.changes().iter().enumerate() {
            ledger.sent(index, ms(index as u64));
            ledger.row(Hop::Row, change.key, &change.version, ms(index as u64 + 10));
            ledger.row(Hop::Replica, change.key, &change.version, ms(index as u64 + 15));
            ledger.event(Hop::OwnBus, &format!("own-{index}"), &event(workload, change), ms(index as u64 + 30));
            ledger.event(Hop::PeerBus, &format!("peer-{index}"), &event(workload, change), ms(index as u64 + 50));
        }
        ledger
    }

    #[test]
    fn a_run_in_which_everything_arrives_is_complete_and_timed() {
        let workload = Workload::example(10);
        let ledger = full_run(&workload);
        assert!(ledger.complete(true) && ledger.complete(false));
        for (hop, millis) in Hop::ALL.into_iter().zip([10, 5, 30, 50]) {
            assert_eq!(ledger.arrived(hop), 10);
            assert!(ledger.missing(hop).is_empty());
            assert_eq!(ledger.latencies(hop), vec![ms(millis); 10], "{hop:?}");
            assert_eq!(ledger.duplicates(hop), 0);
        }
        assert!(ledger.keys_behind(Hop::Row).is_empty());
    }

    #[test]
    fn a_newer_row_proves_the_older_versions_and_an_older_one_is_wrong() {
        let workload = Workload::example(3);
        let mut ledger = Ledger::new(&workload);
        for index in 0..3 {
            ledger.sent(index, ms(0));
        }
        assert_eq!(ledger.keys_behind(Hop::Row), [0]);
        let versions: Vec<Version> = workload.changes().iter().map(|change| change.version.clone()).collect();
        ledger.row(Hop::Row, 0, &versions[1], ms(20));
        assert_eq!(ledger.arrived(Hop::Row), 2);
        assert_eq!(ledger.keys_behind(Hop::Row), [0]);
        ledger.row(Hop::Row, 0, &versions[2], ms(25));
        assert!(ledger.keys_behind(Hop::Row).is_empty());
        ledger.row(Hop::Row, 0, &versions[0], ms(30));
        assert_eq!(ledger.wrongs().len(), 1);
    }

    #[test]
    fn a_second_event_is_a_duplicate_but_the_same_delivery_again_is_not() {
        let workload = Workload::example(3);
        let mut ledger = full_run(&workload);
        let again = event(&workload, &workload.changes()[0]);
        ledger.event(Hop::OwnBus, "own-0", &again, ms(90));
        assert_eq!((ledger.duplicates(Hop::OwnBus), ledger.repeats()), (0, 1));
        ledger.event(Hop::OwnBus, "own-another", &again, ms(90));
        assert_eq!((ledger.duplicates(Hop::OwnBus), ledger.repeats()), (1, 1));
        assert_eq!(ledger.duplicates(Hop::PeerBus), 0);
    }

    #[test]
    fn wrong_actions_and_unknown_ids_are_noted() {
        let workload = Workload::example(3);
        let mut ledger = Ledger::new(&workload);
        let mut strange = event(&workload, &workload.changes()[0]);
        strange.event_type.action = Action::Deleted;
        ledger.event(Hop::OwnBus, "1", &strange, ms(1));
        assert!(ledger.wrongs()[0].contains("says `deleted` instead of `created`"), "{:?}", ledger.wrongs());
        let other = Workload::example(6);
        ledger.event(Hop::OwnBus, "2", &event(&other, other.changes().last().unwrap()), ms(1));
        assert!(ledger.wrongs()[1].contains("unknown id"), "{:?}", ledger.wrongs());
    }

    #[test]
    fn what_cleans_up_is_not_counted() {
        let workload = Workload::example(1);
        let mut ledger = Ledger::new(&workload);
        assert_eq!(workload.changes().len(), 2);
        let insert = event(&workload, &workload.changes()[0]);
        ledger.sent(0, ms(0));
        ledger.row(Hop::Row, 0, &workload.changes()[0].version, ms(1));
        ledger.row(Hop::Replica, 0, &workload.changes()[0].version, ms(1));
        ledger.event(Hop::OwnBus, "1", &insert, ms(1));
        assert_eq!(ledger.missing(Hop::PeerBus), [0]);
        ledger.event(Hop::PeerBus, "2", &insert, ms(1));
        assert!(ledger.complete(true));
        assert!(!ledger.complete(false));
    }

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let values: Vec<Duration> = (1..=100).map(ms).collect();
        assert_eq!(quantile(&values, 0.5), Some(ms(51)));
        assert_eq!(quantile(&values, 0.99), Some(ms(100)));
        assert_eq!(quantile(&values[..1], 0.99), Some(ms(1)));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
