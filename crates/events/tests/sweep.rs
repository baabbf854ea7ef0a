//! The sweep among everything that may happen at the same time, over a table in memory.
//!
//! A source has been loaded again as generation 2. Rows of the load, changes and what an overtaken consumer still writes come in
//! any order and any number of times; looks and writes of sweeps lie anywhere between them. Once everything has come, and a sweep
//! has gone through the table, the table is what the source has.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::time::Duration;

use events::domain::{Action, Mapped};
use events::row::names;
use events::stream::{Change, EventName, Record};
use events::sweep::{Class, SeenRow, Sweep, SweepWrite};
use events::{
    AttributeValue, ChangeSequence, Columns, DomainEvent, Entity, EventId, Item, Operation, Region, Row, RowChange,
    RowHead, RowState, RowWrite, SourceId, Timestamp, Trace, Version,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

const KEYS: u8 = 3;
const GENERATION: u32 = 2;
const REGION: &str = "us-west-2";

/// A message of the source: what it does to a key, and when.
#[derive(Clone, Debug)]
struct Message {
    key: u8,
    /// Absent for a row of the load.
    counter: Option<u64>,
    is_delete: bool,
}

/// What a table holds of one key before the load.
#[derive(Clone, Copy, Debug)]
enum Before {
    Nothing,
    Live,
    Deleted,
    Foreign,
}

#[derive(Clone, Debug)]
enum Step {
    /// A message comes, by its place in the list.
    Deliver(usize),
    /// A consumer that was not restarted writes a change of the generation before.
    Overtaken { key: u8, counter: u64 },
    /// A sweep sees a row.
    Look(u8),
    /// It writes what it has seen, by its place among what was seen.
    Write(usize),
}

#[derive(Clone, Debug)]
struct Case {
    before: Vec<Before>,
    messages: Vec<Message>,
    steps: Vec<Step>,
}

/// The rules that the model plays by; broken ones must be found.
#[derive(Clone, Copy)]
struct Rules {
    version: fn(&Sweep) -> Version,
    /// Whether the row must be as it was seen.
    is_guarded: bool,
}

const RULES: Rules = Rules { version: Sweep::version, is_guarded: true };

fn source(name: &str) -> SourceId {
    name.parse().expect("a source")
}

fn sweep() -> Sweep {
    Sweep {
        source: source("shop"),
        generation: NonZeroU32::new(GENERATION).expect("not the first"),
        epoch: 1,
        origin_region: Region::new(REGION).expect("a region"),
        at: Timestamp::UNIX_EPOCH,
        tombstone_retention: Duration::from_secs(86_400),
    }
}

/// A write of the consumer. Its columns name the version, so that no two versions of a row are equal.
fn write(owner: &str, key: u8, version: Version, is_delete: bool) -> RowWrite {
    let (source, key) = (source(owner), key.to_string().parse().expect("a key"));
    let columns = Columns::from([("is".to_owned(), AttributeValue::text(version.as_str()))]);
    RowWrite {
        head: RowHead {
            entity: Entity::Orders,
            event_id: EventId::new(&source, Entity::Orders, &key, &version),
            key,
            source,
            version,
            epoch: 1,
            origin_region: Region::new(REGION).expect("a region"),
            operation: if is_delete { Operation::Delete } else { Operation::Update },
            committed_at: Timestamp::UNIX_EPOCH,
            trace: Trace::default(),
            traceparent: None,
        },
        change: if is_delete { RowChange::Tombstone { expires_at: 1 } } else { RowChange::Put(columns) },
    }
}

fn cdc(generation: u32, counter: u64) -> Version {
    Version::cdc(generation, &ChangeSequence::new(Timestamp::UNIX_EPOCH, counter))
}

impl Message {
    fn write(&self) -> RowWrite {
        let version = self.counter.map_or(Version::refresh(GENERATION), |counter| cdc(GENERATION, counter));
        write("shop", self.key, version, self.is_delete)
    }
}

/// A table with what its stream tells.
struct Table {
    rules: Rules,
    items: BTreeMap<u8, Item>,
    told: BTreeMap<u8, Vec<DomainEvent>>,
}

impl Table {
    fn row(&self, key: u8) -> Option<Row> {
        self.items.get(&key).map(|item| Row::from_item(Entity::Orders, item).expect("a row"))
    }

    fn put(&mut self, key: u8, write: &RowWrite) {
        let old_image = self.items.insert(key, write.item());
        let change =
            Change { keys: Item::new(), old_image, new_image: Some(write.item()), sequence_number: "1".to_owned() };
        let record = Record {
            event_id: None,
            event_name: EventName::Modify,
            aws_region: None,
            event_source_arn: "arn:aws:dynamodb:us-west-2:0:table/tandem-x-orders/stream/x".to_owned(),
            user_identity: None,
            change,
        };
        match DomainEvent::from_record(&record, &write.head.origin_region).expect("a row") {
            Mapped::Event(event) => self.told.entry(key).or_default().push(*event),
            Mapped::Skipped(_) => {}
        }
    }

    /// The consumer's condition, for one source and one epoch.
    fn apply(&mut self, key: u8, write: &RowWrite) {
        let is_older = |row: &Row| row.head.source == write.head.source && row.head.version < write.head.version;
        if self.row(key).as_ref().is_none_or(is_older) {
            self.put(key, write);
        }
    }

    fn look(&self, key: u8) -> Option<SweepWrite> {
        let row = SeenRow::from_item(self.items.get(&key)?).expect("a row");
        let mut write = sweep().write(Entity::Orders, &row)?;
        write.tombstone.head.version = (self.rules.version)(&sweep());
        Some(write)
    }

    /// Whether it was written.
    fn sweep(&mut self, key: u8, write: &SweepWrite) -> bool {
        let holds = !self.rules.is_guarded || write.holds_for(self.row(key).as_ref());
        if holds {
            self.put(key, &write.tombstone);
        }
        holds
    }
}

/// What the source has of each key in the end: the version of its last message, and whether it lives.
fn fold(messages: &[Message]) -> BTreeMap<u8, (Version, bool)> {
    let mut state: BTreeMap<u8, (Version, bool)> = BTreeMap::new();
    for message in messages {
        let version = message.write().head.version;
        let known = state.entry(message.key).or_insert_with(|| (version.clone(), !message.is_delete));
        if version > known.0 {
            *known = (version, !message.is_delete);
        }
    }
    state
}

fn check(case: &Case, rules: Rules) -> Result<(), TestCaseError> {
    let mut table = Table { rules, items: BTreeMap::new(), told: BTreeMap::new() };
    for (key, before) in (0..KEYS).zip(&case.before) {
        match before {
            Before::Nothing => {}
            Before::Live => table.put(key, &write("shop", key, cdc(1, 1), false)),
            Before::Deleted => table.put(key, &write("shop", key, cdc(1, 1), true)),
            Before::Foreign => table.put(key, &write("other", key, cdc(1, 1), false)),
        }
    }
    let mut seen: Vec<(u8, SweepWrite)> = Vec::new();
    for step in &case.steps {
        match *step {
            Step::Deliver(index) => {
                if let Some(message) = case.messages.get(index % case.messages.len().max(1)) {
                    table.apply(message.key, &message.write());
                }
            }
            Step::Overtaken { key, counter } => table.apply(key, &write("shop", key, cdc(1, counter), false)),
            Step::Look(key) => seen.extend(table.look(key).map(|write| (key, write))),
            Step::Write(index) => {
                if let Some((key, write)) = seen.get(index % seen.len().max(1)).cloned() {
                    table.sweep(key, &write);
                }
            }
        }
    }
    for message in &case.messages {
        table.apply(message.key, &message.write());
    }
    for key in 0..KEYS {
        if let Some(write) = table.look(key) {
            table.sweep(key, &write);
        }
    }
    // What was seen long ago, and a second sweep, change nothing.
    let settled = table.items.clone();
    for (key, write) in &seen {
        prop_assert!(!table.sweep(*key, write), "an old look of {key} is written");
    }
    prop_assert!((0..KEYS).all(|key| table.look(key).is_none()), "a second sweep finds rows");
    prop_assert_eq!(&settled, &table.items);

    let source = fold(&case.messages);
    for (key, before) in (0..KEYS).zip(&case.before) {
        let row = table.row(key);
        if matches!(before, Before::Foreign) {
            prop_assert_eq!(table.items.get(&key), Some(&write("other", key, cdc(1, 1), false).item()));
            prop_assert!(row.is_some_and(|row| row.head.source.as_str() == "other"));
            continue;
        }
        let live = row.as_ref().filter(|row| matches!(row.state, RowState::Live(_))).map(|row| &row.head.version);
        let expected = source.get(&key).filter(|(_, lives)| *lives).map(|(version, _)| version);
        prop_assert_eq!(live, expected, "key {}", key);
        // Receivers end where the table does, and by ids and versions they know every repetition.
        let told = table.told.get(&key).map(Vec::as_slice).unwrap_or_default();
        prop_assert_eq!(told.last().map(|event| &event.version), row.as_ref().map(|row| &row.head.version));
        let is_deleted = told.last().map(|event| event.event_type.action == Action::Deleted);
        prop_assert_eq!(is_deleted, row.as_ref().map(|_| expected.is_none()));
        prop_assert!(told.is_sorted_by(|one, next| one.version < next.version), "key {}: {:?}", key, told);
        prop_assert_eq!(told.iter().map(|event| event.event_id).collect::<BTreeSet<_>>().len(), told.len());
    }
    Ok(())
}

fn messages() -> impl Strategy<Value = Vec<Message>> {
    let loaded = proptest::collection::vec(any::<bool>(), usize::from(KEYS));
    let changes = proptest::collection::vec((0..KEYS, any::<bool>()), 0..6);
    (loaded, changes).prop_map(|(loaded, changes)| {
        let loaded = (0..KEYS).zip(loaded).filter(|(_, is)| *is);
        let loaded = loaded.map(|(key, _)| Message { key, counter: None, is_delete: false });
        let changes = changes.into_iter().zip(1..);
        let changes = changes.map(|((key, is_delete), counter)| Message { key, counter: Some(counter), is_delete });
        loaded.chain(changes).collect()
    })
}

fn cases() -> impl Strategy<Value = Case> {
    let before = prop_oneof![Just(Before::Nothing), Just(Before::Live), Just(Before::Deleted), Just(Before::Foreign)];
    let step = prop_oneof![
        3 => (0..16_usize).prop_map(Step::Deliver),
        1 => (0..KEYS, 1..4_u64).prop_map(|(key, counter)| Step::Overtaken { key, counter }),
        3 => (0..KEYS).prop_map(Step::Look),
        3 => (0..16_usize).prop_map(Step::Write),
    ];
    (proptest::collection::vec(before, usize::from(KEYS)), messages(), proptest::collection::vec(step, 0..24))
        .prop_map(|(before, messages, steps)| Case { before, messages, steps })
}

fn is_found(rules: Rules) -> bool {
    let mut runner = TestRunner::new(Config { cases: 2_000, failure_persistence: None, ..Config::default() });
    matches!(runner.run(&cases(), |case| check(&case, rules)), Err(TestError::Fail(..)))
}

proptest! {
    #[test]
    fn after_a_sweep_the_table_is_what_the_source_has(case in cases()) {
        check(&case, RULES)?;
    }

    /// Every row is of one class, and a tombstone is never outdated.
    #[test]
    fn what_was_swept_is_left_alone(counter in 0..u64::MAX, generation in 0..4_u32) {
        let row = write("shop", 1, cdc(generation, counter), false);
        let seen = SeenRow::from_item(&row.item()).expect("a row");
        if let Some(write) = sweep().write(Entity::Orders, &seen) {
            let swept = SeenRow::from_item(&write.tombstone.item()).expect("a row");
            prop_assert_eq!(sweep().class(&swept), Class::Tombstone);
            prop_assert!(swept.version > seen.version && swept.version < Version::refresh(GENERATION));
            let mut revived = write.tombstone.item();
            revived.remove(names::DELETED);
            prop_assert_eq!(sweep().class(&SeenRow::from_item(&revived).expect("a row")), Class::Odd);
        } else {
            prop_assert!(generation >= GENERATION);
        }
    }
}

#[test]
fn a_tombstone_that_keeps_late_rows_out_is_found() {
    assert!(
        is_found(Rules { version: |sweep| Version::refresh(sweep.generation.get()), ..RULES }),
        "as a row of the load"
    );
    assert!(is_found(Rules { version: |sweep| Version::end_of(sweep.generation.get()), ..RULES }), "above the load");
}

#[test]
fn a_tombstone_that_lets_overtaken_changes_in_is_found() {
    assert!(is_found(Rules { version: |_| cdc(1, 2), ..RULES }), "below what an overtaken consumer writes");
}

#[test]
fn a_sweep_of_what_has_changed_meanwhile_is_found() {
    assert!(is_found(Rules { is_guarded: false, ..RULES }));
}
