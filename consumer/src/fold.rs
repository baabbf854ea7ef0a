//! Several changes of one row as one write.
//!
//! The last whole image counts, and what later partial images say is laid over it; what comes with a version that is not above
//! those before it changes nothing. So the row ends as if each change had been written in turn, provided that it holds nothing
//! from between them. Therefore the write carries two versions: that of the last change, which the row gets, and that of the first
//! change it holds anything of, below which the stored row must be ([`aws::TableWriter::apply_since`]).
//!
//! What is lost: the versions between, which nobody sees, neither in the table nor as events.

use events::{Columns, Operation, RowChange, RowHead, RowWrite, Version};

/// Most changes that become one write, so that taking them apart again stays cheap.
pub const MOST: usize = 100;

/// What several changes come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folded {
    /// The one write, with the head of the last change.
    pub write: RowWrite,
    /// The version of the first change that it holds anything of.
    pub since: Version,
    /// How many changes, from the first on, it stands for.
    pub count: usize,
}

/// Folds as many of the changes of one row, in their order, as can be one write. None when there are none.
///
/// A partial image after a deletion isn't taken in: it has no row to go into and must find that out by itself.
pub fn fold<'w>(changes: impl IntoIterator<Item = &'w RowWrite>) -> Option<Folded> {
    let (parts, count) = taken(changes)?;
    Some(parts.finish(count))
}

/// How many of the changes, from the first on, [`fold`] takes in.
pub fn length<'w>(changes: impl IntoIterator<Item = &'w RowWrite>) -> usize {
    taken(changes).map_or(0, |(_, count)| count)
}

fn taken<'w>(changes: impl IntoIterator<Item = &'w RowWrite>) -> Option<(Parts<'w>, usize)> {
    let mut changes = changes.into_iter().take(MOST);
    let first = changes.next()?;
    let mut parts = Parts { whole: first, later: Vec::new(), head: &first.head, is_new: is_insert(first) };
    let mut count = 1;
    for change in changes {
        if change.head.version > parts.head.version && !parts.take(change) {
            break;
        }
        count += 1;
    }
    Some((parts, count))
}

/// The changes that leave something.
struct Parts<'w> {
    /// The last whole image, or the first partial one if there is none.
    whole: &'w RowWrite,
    /// What partial images said after it.
    later: Vec<&'w Columns>,
    /// The head of the last change.
    head: &'w RowHead,
    /// Whether the row began among these changes, which is what it must be reported as.
    is_new: bool,
}

impl<'w> Parts<'w> {
    /// Takes in a change that is newer than all before. False when it can't be a part of them.
    fn take(&mut self, change: &'w RowWrite) -> bool {
        match (&self.whole.change, &change.change) {
            (_, RowChange::Tombstone { .. }) => (self.whole, self.is_new) = (change, false),
            (_, RowChange::Put(_)) => (self.whole, self.is_new) = (change, self.is_new || is_insert(change)),
            (RowChange::Tombstone { .. }, RowChange::Merge(_)) => return false,
            (RowChange::Put(_) | RowChange::Merge(_), RowChange::Merge(columns)) => {
                self.later.push(columns);
                self.head = &change.head;
                return true;
            }
        }
        self.later.clear();
        self.head = &change.head;
        true
    }

    fn finish(self, count: usize) -> Folded {
        let mut change = self.whole.change.clone();
        if let RowChange::Put(columns) | RowChange::Merge(columns) = &mut change {
            columns.extend(self.later.into_iter().flatten().map(|(name, value)| (name.clone(), value.clone())));
        }
        let mut head = self.head.clone();
        if self.is_new {
            head.operation = Operation::Insert;
        }
        Folded { write: RowWrite { head, change }, since: self.whole.head.version.clone(), count }
    }
}

fn is_insert(change: &RowWrite) -> bool {
    change.head.operation == Operation::Insert
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use aws::table_writer::{StoredHead, Verdict, judge};
    use contracts::Region;
    use events::{AttributeValue, ChangeSequence, Entity, EventId, Timestamp, Trace};
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Kind {
        Put,
        Merge(u8),
        Tombstone,
    }

    fn change(counter: u64, operation: Operation, kind: &Kind) -> RowWrite {
        let value = |name: &str| (name.to_owned(), AttributeValue::text(format!("{name}{counter}")));
        let (source, key) = ("shop".parse().expect("valid"), "k".parse().expect("valid"));
        let version = Version::cdc(1, &ChangeSequence::new(Timestamp::UNIX_EPOCH, counter));
        let change = match kind {
            Kind::Put => RowChange::Put(Columns::from(["a", "b", "c"].map(value))),
            Kind::Merge(column) => RowChange::Merge(Columns::from([value(["a", "b", "c"][usize::from(*column % 3)])])),
            Kind::Tombstone => RowChange::Tombstone { expires_at: 1 },
        };
        RowWrite {
            head: RowHead {
                entity: Entity::Orders,
                event_id: EventId::new(&source, Entity::Orders, &key, &version),
                key,
                source,
                version,
                epoch: 1,
                origin_region: Region::new("us-west-2").expect("valid"),
                operation,
                committed_at: Timestamp::UNIX_EPOCH,
                trace: Trace::default(),
                traceparent: None,
            },
            change,
        }
    }

    fn changes() -> impl Strategy<Value = Vec<RowWrite>> {
        let kind = prop_oneof![2 => Just(Kind::Put), 4 => (0_u8..3).prop_map(Kind::Merge), 1 => Just(Kind::Tombstone)];
        let change = (0_u64..9, kind).prop_map(|(counter, kind)| {
            // A version says one thing, however often it comes.
            let kind = if counter % 4 == 0 { Kind::Put } else { kind };
            change(counter, Operation::Update, &kind)
        });
        proptest::collection::vec(change, 1..8).prop_map(|changes| {
            let mut by_version = BTreeMap::new();
            for change in &changes {
                by_version.entry(change.head.version.clone()).or_insert_with(|| change.clone());
            }
            changes.iter().map(|change| by_version[&change.head.version].clone()).collect()
        })
    }

    type Stored = Option<(Version, Option<Columns>)>;

    /// What the writer does, or none when the write must come in another form or later.
    fn written(stored: &Stored, write: &RowWrite, since: &Version) -> Option<Stored> {
        let head = stored.as_ref().map(|(version, columns)| StoredHead {
            source: "shop".to_owned(),
            version: version.to_string(),
            epoch: Some("1".to_owned()),
            live: columns.is_some(),
        });
        match judge(write, since, head.as_ref()).ok()? {
            Verdict::NoRow => None,
            Verdict::Duplicate | Verdict::Stale => Some(stored.clone()),
            Verdict::Admitted => {
                let columns = match &write.change {
                    RowChange::Put(columns) => Some(columns.clone()),
                    RowChange::Tombstone { .. } => None,
                    RowChange::Merge(columns) => {
                        let mut whole = stored.clone().and_then(|(_, columns)| columns).unwrap_or_default();
                        whole.extend(columns.clone());
                        Some(whole)
                    }
                };
                Some(Some((write.head.version.clone(), columns)))
            }
        }
    }

    proptest! {
        /// Whatever the row held before: if the one write is accepted, the row ends as if each had been written in turn,
        /// where a partial image without a row would have been given up.
        #[test]
        fn one_write_is_as_good_as_each_in_turn(before in changes(), changes in changes()) {
            let in_turn = |stored: Stored, changes: &[RowWrite]| {
                changes.iter().fold(stored, |stored, change| {
                    written(&stored, change, &change.head.version).unwrap_or(stored)
                })
            };
            let stored = in_turn(None, &before);
            let folded = fold(&changes).expect("there are changes");
            let (taken, _) = changes.split_at(folded.count);
            if let Some(once) = written(&stored, &folded.write, &folded.since) {
                prop_assert_eq!(once, in_turn(stored, taken), "{:?}", folded);
            }
        }

        /// Nor is the fold refused without need: into a row that is older than all of them it goes whenever each would.
        #[test]
        fn a_fold_is_accepted_where_the_row_is_older(changes in changes()) {
            let older = Some((Version::refresh(1), Some(Columns::new())));
            let folded = fold(&changes).expect("there are changes");
            let first = change(0, Operation::Insert, &Kind::Put);
            prop_assume!(changes.iter().all(|change| change.head.version > first.head.version));
            prop_assert!(written(&older, &folded.write, &folded.since).is_some());
        }
    }

    #[test]
    fn a_row_that_begins_is_reported_as_new() {
        let operations = |kinds: &[(Operation, Kind)]| {
            let changes: Vec<_> =
                (1..).zip(kinds).map(|(counter, (operation, kind))| change(counter, *operation, kind)).collect();
            let folded = fold(&changes).expect("there are changes");
            (folded.write.head.operation, folded.count)
        };
        let (insert, update) = ((Operation::Insert, Kind::Put), (Operation::Update, Kind::Put));
        let (patch, delete) = ((Operation::Update, Kind::Merge(0)), (Operation::Delete, Kind::Tombstone));
        assert_eq!(operations(&[insert.clone(), patch.clone(), update.clone()]), (Operation::Insert, 3));
        assert_eq!(operations(&[delete.clone(), insert.clone(), patch.clone()]), (Operation::Insert, 3));
        assert_eq!(operations(&[insert.clone(), delete.clone()]), (Operation::Delete, 2));
        assert_eq!(operations(&[insert, delete.clone(), update.clone()]), (Operation::Update, 3));
        assert_eq!(operations(&[update, delete, patch]), (Operation::Delete, 2));
    }

    #[test]
    fn a_fold_has_a_longest_length() {
        let changes: Vec<_> = (1..200).map(|counter| change(counter, Operation::Update, &Kind::Put)).collect();
        assert_eq!(fold(&changes).expect("there are changes").count, MOST);
        assert_eq!(fold(&[]), None);
    }
}
