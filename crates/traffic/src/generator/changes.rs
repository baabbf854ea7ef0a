//! What the source can do, each with the message that tells of it.

use events::qlik::encode::{Record, column_names};
use events::trace_context::TRACEPARENT;
use events::{ChangeSequence, Columns, EntityKey, Operation, Timestamp, TraceParent, Version};

use super::{Pending, Traffic};
use crate::message::{Kind, Meaning, Message, RowAfter};
use crate::poison::{self, Poison};

/// When the source committed its first change.
const START_MILLIS: i64 = 1_767_603_600_000;
/// Milliseconds between two transactions.
const PACE_MILLIS: i64 = 20;
/// Changes of a transaction.
const PER_TRANSACTION: u64 = 3;

/// What an event of the source says, besides its rows.
struct Told<'a> {
    row: usize,
    key: Option<usize>,
    kind: Kind,
    operation: Operation,
    columns: &'a Columns,
    before: Option<&'a Columns>,
    mask: Option<Vec<u8>>,
}

/// `table` and `row` are places in the lists of tables and rows.
impl Traffic {
    pub(super) fn refresh(&mut self, table: usize, row: usize) -> Message {
        let columns = self.tables[table].get(row).expect("invariant: nothing changes during a load").columns.clone();
        self.tables[table].put(row, columns.clone(), true);
        let told = Told {
            row,
            key: None,
            kind: Kind::Refresh,
            operation: Operation::Refresh,
            columns: &columns,
            before: None,
            mask: None,
        };
        self.change(table, &told, &[(row, Operation::Refresh, Some(&columns))])
    }

    pub(super) fn put(&mut self, table: usize, row: usize) -> Message {
        self.changes += 1;
        let after = self.tables[table].whole(row, self.changes, &mut self.random);
        let before = self.tables[table].remove(row).map(|row| row.columns);
        let (kind, operation) = match before {
            Some(_) => (Kind::Update, Operation::Update),
            None => (Kind::Insert, Operation::Insert),
        };
        let masked = before.is_some() && self.random.percent(50);
        let told = Told {
            row,
            key: None,
            kind,
            operation,
            columns: &after,
            before: before.as_ref().filter(|_| self.random.percent(60)),
            mask: masked.then(|| self.mask(table, &after)),
        };
        let message = self.change(table, &told, &[(row, operation, Some(&after))]);
        self.tables[table].put(row, after, true);
        message
    }

    pub(super) fn change_a_part(&mut self, table: usize, row: usize) -> Message {
        if !self.tables[table].get(row).is_some_and(|row| row.at_home) {
            return self.put(table, row);
        }
        self.changes += 1;
        let part = self.tables[table].part(row, self.changes, &mut self.random);
        let before = self.tables[table].remove(row).expect("invariant: it is there").columns;
        let mut after = before.clone();
        after.extend(part.clone());
        let told = Told {
            row,
            key: None,
            kind: Kind::PartialUpdate,
            operation: Operation::Update,
            columns: &part,
            before: self.random.percent(50).then_some(&before),
            mask: Some(self.mask(table, &part)),
        };
        let message = self.change(table, &told, &[(row, Operation::Update, Some(&after))]);
        self.tables[table].put(row, after, true);
        message
    }

    pub(super) fn delete(&mut self, table: usize, row: usize) -> Message {
        let Some(gone) = self.tables[table].remove(row) else {
            return self.put(table, row);
        };
        self.changes += 1;
        // The deleted row is in the one image or in the other.
        let key_column = self.tables[table].key_column();
        let mut key_alone = gone.columns.clone();
        key_alone.retain(|name, _| name == key_column);
        let (columns, before) = match self.random.percent(50) {
            true => (&gone.columns, None),
            false => (&key_alone, Some(&gone.columns)),
        };
        let told =
            Told { row, key: None, kind: Kind::Delete, operation: Operation::Delete, columns, before, mask: None };
        let message = self.change(table, &told, &[(row, Operation::Delete, None)]);
        if self.random.percent(30) {
            self.pending.push_back(Pending::Mark(table, row));
        }
        message
    }

    /// The message lies with those of the old key, so that it comes after the changes of the row before.
    pub(super) fn change_key(&mut self, table: usize, row: usize) -> Message {
        let Some(new_row) = self.free_key(table, row) else {
            return self.put(table, row);
        };
        let Some(old) = self.tables[table].remove(row) else {
            return self.put(table, row);
        };
        self.changes += 1;
        let same_partition = self.tables[table].partition(row) == self.tables[table].partition(new_row);
        let (columns, after, mask) = match self.random.percent(50) {
            true => {
                let whole = self.tables[table].whole(new_row, self.changes, &mut self.random);
                (whole.clone(), whole, None)
            }
            // What the message doesn't carry comes from the image before.
            false => {
                let part = self.tables[table].part(new_row, self.changes, &mut self.random);
                let mut after = old.columns.clone();
                after.extend(part.clone());
                let mask = self.mask(table, &part);
                (part, after, Some(mask))
            }
        };
        let told = Told {
            row,
            key: (same_partition && self.random.percent(50)).then_some(new_row),
            kind: Kind::KeyChange,
            operation: Operation::Update,
            columns: &columns,
            before: Some(&old.columns),
            mask,
        };
        let rows = [(row, Operation::Delete, None), (new_row, Operation::Update, Some(&after))];
        let message = self.change(table, &told, &rows);
        self.tables[table].put(new_row, after, same_partition);
        message
    }

    /// A key that no row has; rather one whose messages are in the same partition.
    fn free_key(&mut self, table: usize, row: usize) -> Option<usize> {
        let drawn: Vec<usize> = (0..8).map(|_| self.random.index(self.tables[table].len())).collect();
        let table = &self.tables[table];
        let free: Vec<usize> = drawn.into_iter().filter(|other| table.get(*other).is_none()).collect();
        let near = free.iter().find(|other| table.partition(**other) == table.partition(row));
        let first = free.first();
        // Both ways are of use, and near ones are rarer.
        near.filter(|_| self.random.percent(60)).or(first).copied()
    }

    pub(super) fn mark(&mut self, table: usize, row: usize) -> Message {
        Message {
            number: 0,
            entity: self.tables[table].entity(),
            partition: self.tables[table].partition(row),
            key: self.tables[table].form.key(&self.tables[table].key(row)),
            value: None,
            headers: Vec::new(),
            kind: Kind::CompactionMark,
            meaning: Meaning::Mark,
        }
    }

    pub(super) fn repeat(&mut self, table: usize, row: usize) -> Message {
        let recent = self.recent(table, self.tables[table].partition(row));
        match self.recent[recent].len() {
            0 => self.put(table, row),
            len => self.recent[recent][self.random.index(len)].clone(),
        }
    }

    pub(super) fn replay(&mut self, table: usize, row: usize) -> Message {
        let recent = self.recent(table, self.tables[table].partition(row));
        let again = self.recent[recent].iter().cloned().map(|message| Pending::Again(Box::new(message)));
        self.pending.extend(again);
        match self.pending.is_empty() {
            true => self.put(table, row),
            false => self.tell(),
        }
    }

    pub(super) fn poison(&mut self, table: usize, row: usize) -> Message {
        self.changes += 1;
        let poison = Poison::draw(&mut self.random);
        let columns = self.tables[table].full(row, self.changes);
        let (at, sequence) = self.moment();
        let Self { tables, random, .. } = self;
        let table = &tables[table];
        let parts = poison::write(poison, &table.form, &table.key(row), &columns, &sequence, at, random);
        Message {
            number: 0,
            entity: table.entity(),
            partition: table.partition(row),
            key: parts.key,
            value: Some(parts.value),
            headers: parts.header.into_iter().collect(),
            kind: Kind::Poison,
            meaning: Meaning::Poison(poison),
        }
    }

    fn mask(&self, table: usize, columns: &Columns) -> Vec<u8> {
        let table = &self.tables[table];
        table.form.mask(column_names(table.entity()).map(|name| columns.contains_key(name)))
    }

    /// The commit time of the last change, and its place in the order of all.
    fn moment(&self) -> (Timestamp, ChangeSequence) {
        let transaction = i64::try_from(self.changes / PER_TRANSACTION).expect("invariant: nobody waits for so many");
        let at = Timestamp::from_millisecond(START_MILLIS + transaction * PACE_MILLIS)
            .expect("invariant: a run ends in this millennium");
        (at, ChangeSequence::new(at, self.changes))
    }

    /// Writes the message of the last change.
    fn change(&mut self, table: usize, told: &Told<'_>, rows: &[(usize, Operation, Option<&Columns>)]) -> Message {
        let (committed_at, sequence) = self.moment();
        let sequence = Some(sequence).filter(|_| told.operation != Operation::Refresh);
        let (headers, traceparent) = self.trace_context();
        let table = &self.tables[table];
        let position = sequence.as_ref().map_or("", ChangeSequence::as_str);
        let record = Record {
            entity: table.entity(),
            operation: told.operation,
            columns: told.columns,
            before: told.before,
            change_sequence: sequence.as_ref(),
            committed_at,
            stream_position: position,
            transaction_id: &format!("{:016X}", self.changes / PER_TRANSACTION),
            column_mask: told.mask.as_deref(),
        };
        let value = table.form.encoder.value(table.form.ids.value, &record);
        let version = match &sequence {
            Some(sequence) => Version::cdc(self.generation, sequence),
            None => Version::refresh(self.generation),
        };
        let after = rows.iter().map(|(row, operation, columns)| RowAfter {
            key: EntityKey::from_parts(&[&table.key(*row)]).expect("invariant: keys are short"),
            version: version.clone(),
            operation: *operation,
            committed_at,
            traceparent,
            columns: columns.cloned(),
        });
        Message {
            number: 0,
            entity: table.entity(),
            partition: table.partition(told.row),
            key: table.form.key(&table.key(told.key.unwrap_or(told.row))),
            value: Some(value.expect("invariant: sample columns fit their schema")),
            headers,
            kind: told.kind,
            meaning: Meaning::Change(after.collect()),
        }
    }

    /// Some changes come with a trace context, and a few with one that is none.
    fn trace_context(&mut self) -> (Vec<(&'static str, Vec<u8>)>, Option<TraceParent>) {
        let drawn = self.random.below(100);
        if drawn >= 32 {
            return (Vec::new(), None);
        }
        let text = match drawn {
            0 | 1 => "00-nonsense".to_owned(),
            _ => format!(
                "00-{:016x}{:016x}-{:016x}-01",
                self.random.number() | 1,
                self.random.number(),
                self.random.number() | 1
            ),
        };
        (vec![(TRACEPARENT, text.clone().into_bytes())], text.parse().ok())
    }
}
