//! What happens in a source, the messages that Kafka carries of it, and what the table must hold in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use events::qlik::encode::{Encoder, Record, sample_columns};
use events::{AttributeValue, ChangeSequence, Columns, Entity, Operation, Timestamp, Version};
use proptest::prelude::*;

/// The one topic. What one topic shows, three show.
pub(crate) const ENTITY: Entity = Entity::Orders;
/// Its partitions.
pub(crate) const PARTITIONS: usize = 3;
/// The registry's id of its schema.
pub(crate) const SCHEMA_ID: u32 = 1;
const KEYS: usize = 4;

/// What happens next in the source or on its way to Kafka. What makes no sense at its place becomes an insert.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// A row is inserted or changed; the image is whole.
    Put(usize),
    /// A column of a row changes; the image holds only the key and that column.
    Patch(usize, Column),
    Delete(usize),
    /// A row gets another key.
    Move(usize, usize),
    /// A mark for Kafka's log compaction.
    Mark(usize),
    /// A message that can't be decoded.
    Poison(usize),
    /// The message of some places before comes once more.
    Repeat(usize),
    /// The last messages come once more, in order.
    Replay(usize),
    /// An outage in which the source's changes are missed, then a reload under a new generation.
    Reload(Vec<Missed>),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Column {
    Customer,
    Status,
}

/// A change that no message tells of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Missed {
    Put(usize),
    Delete(usize),
}

pub(crate) fn events() -> impl Strategy<Value = Vec<Event>> {
    let key = || 0..KEYS;
    let column = prop_oneof![Just(Column::Customer), Just(Column::Status)];
    let missed = prop_oneof![key().prop_map(Missed::Put), key().prop_map(Missed::Delete)];
    let event = prop_oneof![
        6 => key().prop_map(Event::Put),
        9 => (key(), column).prop_map(|(key, column)| Event::Patch(key, column)),
        4 => key().prop_map(Event::Delete),
        6 => (key(), key()).prop_map(|(from, to)| Event::Move(from, to)),
        1 => key().prop_map(Event::Mark),
        2 => key().prop_map(Event::Poison),
        2 => (1_usize..20).prop_map(Event::Repeat),
        1 => (1_usize..12).prop_map(Event::Replay),
        1 => proptest::collection::vec(missed, 0..5).prop_map(Event::Reload),
    ];
    // Another row takes the place of one that the source lost during an outage.
    let ghost = (key(), key()).prop_map(|(ghost, other)| {
        let reload = Event::Reload(vec![Missed::Delete(ghost), Missed::Put(other)]);
        vec![Event::Put(ghost), reload, Event::Move(other, ghost), Event::Patch(ghost, Column::Status)]
    });
    let events = prop_oneof![30 => event.prop_map(|event| vec![event]), 1 => ghost];
    proptest::collection::vec(events, 1..40).prop_map(|events| events.concat())
}

/// One Kafka message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) key: String,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) meaning: Meaning,
}

/// What a message is.
#[derive(Clone, Debug)]
pub(crate) enum Meaning {
    /// Rows that have this version or a later one when the change is done.
    Change(Vec<(String, Version)>),
    Mark,
    Poison,
}

/// A version and columns; no columns for a tombstone.
pub(crate) type Row = (Version, Option<Columns>);

/// The messages between two reloads.
#[derive(Clone, Debug, Default)]
pub(crate) struct Era {
    pub(crate) messages: Vec<Message>,
}

/// All that a source tells.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// The generation is the place in this list.
    pub(crate) eras: Vec<Era>,
    /// What the table must hold in the end.
    pub(crate) rows: BTreeMap<String, Row>,
    /// What the source holds in the end.
    pub(crate) source: BTreeMap<String, Columns>,
}

pub(crate) fn partition_of(key: &str) -> usize {
    usize::from(key.as_bytes()[1]) % PARTITIONS
}

impl History {
    pub(crate) fn of(events: &[Event]) -> Self {
        let mut teller = Teller {
            history: Self { eras: vec![Era::default()], rows: BTreeMap::new(), source: BTreeMap::new() },
            counter: 0,
        };
        for event in events {
            teller.tell(event);
        }
        teller.history
    }

    pub(crate) fn generation(&self) -> u32 {
        u32::try_from(self.eras.len() - 1).expect("few")
    }

    /// Keys of rows that the source no longer has and that nothing told of.
    pub(crate) fn ghosts(&self) -> BTreeSet<String> {
        let floor = Version::refresh(self.generation());
        self.rows.iter().filter(|(_, (version, _))| *version < floor).map(|(key, _)| key.clone()).collect()
    }
}

static ENCODER: LazyLock<Encoder> = LazyLock::new(|| Encoder::new(ENTITY));

struct Teller {
    history: History,
    counter: u64,
}

impl Teller {
    fn tell(&mut self, event: &Event) {
        let name = |key: usize| format!("k{key}");
        match event {
            Event::Put(key) => self.put(&name(*key)),
            Event::Patch(key, column) => self.patch(&name(*key), *column),
            Event::Delete(key) => self.delete(&name(*key)),
            Event::Move(from, to) => self.rename(&name(*from), &name(*to)),
            Event::Mark(key) => self.send(&name(*key), None, Meaning::Mark),
            Event::Poison(key) => self.send(&name(*key), Some(b"no Avro".to_vec()), Meaning::Poison),
            Event::Repeat(back) => {
                let sent = self.sent();
                if let Some(place) = sent.len().checked_sub(*back) {
                    let again = sent[place].clone();
                    sent.push(again);
                }
            }
            Event::Replay(count) => {
                let sent = self.sent();
                let again = sent[sent.len().saturating_sub(*count)..].to_vec();
                sent.extend(again);
            }
            Event::Reload(missed) => self.reload(missed),
        }
    }

    fn sent(&mut self) -> &mut Vec<Message> {
        &mut self.history.eras.last_mut().expect("there always is one").messages
    }

    fn send(&mut self, key: &str, value: Option<Vec<u8>>, meaning: Meaning) {
        self.sent().push(Message { key: key.to_owned(), value, meaning });
    }

    fn is_alive(&self, key: &str) -> bool {
        self.history.source.contains_key(key)
    }

    fn next(&mut self) -> ChangeSequence {
        self.counter += 1;
        ChangeSequence::new(committed_at(), self.counter)
    }

    fn put(&mut self, key: &str) {
        let operation = if self.is_alive(key) { Operation::Update } else { Operation::Insert };
        let sequence = self.next();
        let columns = sample_columns(ENTITY, key, self.counter);
        self.history.source.insert(key.to_owned(), columns.clone());
        self.change(key, operation, &columns, None, Some(&sequence), None, &[(key, Some(columns.clone()))]);
    }

    fn patch(&mut self, key: &str, column: Column) {
        if !self.is_alive(key) {
            return self.put(key);
        }
        let sequence = self.next();
        // Bits of the columns in the schema's order; the first one is the key.
        let (name, mask) = match column {
            Column::Customer => ("customer_id", 0b011_u8),
            Column::Status => ("status", 0b101),
        };
        let value = AttributeValue::text(format!("{name} {}", self.counter));
        let row = self.history.source.get_mut(key).expect("it is alive");
        row.insert(name.to_owned(), value.clone());
        let whole = row.clone();
        let known = Columns::from([("order_id".to_owned(), AttributeValue::text(key)), (name.to_owned(), value)]);
        self.change(key, Operation::Update, &known, None, Some(&sequence), Some(&[mask]), &[(key, Some(whole))]);
    }

    fn delete(&mut self, key: &str) {
        let Some(columns) = self.history.source.remove(key) else {
            return self.put(key);
        };
        let sequence = self.next();
        self.change(key, Operation::Delete, &columns, None, Some(&sequence), None, &[(key, None)]);
    }

    /// The message has the old key, so it is in the partition of the row's changes before.
    fn rename(&mut self, from: &str, to: &str) {
        if !self.is_alive(from) || self.is_alive(to) {
            return self.put(from);
        }
        let sequence = self.next();
        let before = self.history.source.remove(from).expect("it is alive");
        let after = sample_columns(ENTITY, to, self.counter);
        self.history.source.insert(to.to_owned(), after.clone());
        let rows = [(from, None), (to, Some(after.clone()))];
        self.change(from, Operation::Update, &after, Some(&before), Some(&sequence), None, &rows);
    }

    fn reload(&mut self, missed: &[Missed]) {
        for missed in missed {
            self.counter += 1;
            match missed {
                Missed::Put(key) => {
                    let key = format!("k{key}");
                    let columns = sample_columns(ENTITY, &key, self.counter);
                    self.history.source.insert(key, columns);
                }
                Missed::Delete(key) => {
                    self.history.source.remove(&format!("k{key}"));
                }
            }
        }
        self.history.eras.push(Era::default());
        for (key, columns) in self.history.source.clone() {
            self.change(&key, Operation::Refresh, &columns, None, None, None, &[(&key, Some(columns.clone()))]);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "each is a part of a message or what it means")]
    fn change(
        &mut self,
        key: &str,
        operation: Operation,
        columns: &Columns,
        before: Option<&Columns>,
        sequence: Option<&ChangeSequence>,
        mask: Option<&[u8]>,
        rows: &[(&str, Option<Columns>)],
    ) {
        let record = Record {
            entity: ENTITY,
            operation,
            columns,
            before,
            change_sequence: sequence,
            committed_at: committed_at(),
            stream_position: "1",
            transaction_id: "2",
            column_mask: mask,
        };
        let value = ENCODER.value(SCHEMA_ID, &record).expect("encoded");
        let generation = self.history.generation();
        let version = match sequence {
            Some(sequence) => Version::cdc(generation, sequence),
            None => Version::refresh(generation),
        };
        let meaning = Meaning::Change(rows.iter().map(|(key, _)| ((*key).to_owned(), version.clone())).collect());
        for (key, columns) in rows {
            self.history.rows.insert((*key).to_owned(), (version.clone(), columns.clone()));
        }
        self.send(key, Some(value), meaning);
    }
}

fn committed_at() -> Timestamp {
    "2026-03-04T05:06:07Z".parse().expect("valid")
}

proptest! {
    /// Tells a history that is wrong from a pipeline that is.
    #[test]
    fn what_is_told_folds_to_the_source(events in events()) {
        let history = History::of(&events);
        let ghosts = history.ghosts();
        let rows = history.rows.iter().filter(|(key, _)| !ghosts.contains(*key));
        let told: BTreeMap<String, Columns> =
            rows.filter_map(|(key, (_, columns))| Some((key.clone(), columns.clone()?))).collect();
        prop_assert_eq!(&told, &history.source);
    }
}
