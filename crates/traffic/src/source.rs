//! One table of the source, as the traffic has told of it so far.

use events::qlik::encode::sample_columns;
use events::{AttributeValue, Columns, Entity};

use crate::random::{Random, hash};
use crate::schemas::Form;

/// A row that is there.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) columns: Columns,
    /// Whether the last message with the whole row was in the partition of the row's own messages.
    ///
    /// Only then may a message follow that carries some columns: the consumer merges it into the row that is stored, and a
    /// partition that lags behind another one may not have brought it yet. It waits for seconds, then it gives up, and whether
    /// that happens would be a matter of luck.
    pub(crate) at_home: bool,
}

/// A table.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) form: Form,
    run: String,
    partitions: u32,
    rows: Vec<Option<Row>>,
}

impl Table {
    /// A table for `keys` rows, none of which is there yet.
    pub(crate) fn new(form: Form, run: &str, keys: usize, partitions: u32) -> Self {
        Self { form, run: run.to_owned(), partitions, rows: vec![None; keys] }
    }

    pub(crate) fn entity(&self) -> Entity {
        self.form.entity
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The key of the row with this number.
    pub(crate) fn key(&self, row: usize) -> String {
        format!("{}-{row}", self.run)
    }

    /// The partition of a row's messages.
    pub(crate) fn partition(&self, row: usize) -> i32 {
        let partition = hash(self.key(row).into_bytes()) % u64::from(self.partitions);
        i32::try_from(partition).expect("invariant: a topic has few partitions")
    }

    pub(crate) fn get(&self, row: usize) -> Option<&Row> {
        self.rows[row].as_ref()
    }

    pub(crate) fn put(&mut self, row: usize, columns: Columns, at_home: bool) {
        self.rows[row] = Some(Row { columns, at_home });
    }

    pub(crate) fn remove(&mut self, row: usize) -> Option<Row> {
        self.rows[row].take()
    }

    /// The numbers of the rows that are there, in order.
    pub(crate) fn living(&self) -> impl Iterator<Item = usize> {
        self.rows.iter().enumerate().filter_map(|(row, there)| there.as_ref().map(|_| row))
    }

    /// The name of the column that is the key. It is the first one of the schema.
    pub(crate) fn key_column(&self) -> &'static str {
        self.entity().key_columns()[0]
    }

    /// A whole row for this key, in which every column has a value.
    pub(crate) fn full(&self, row: usize, revision: u64) -> Columns {
        sample_columns(self.entity(), &self.key(row), revision)
    }

    /// A whole row for this key, in which some columns are null.
    pub(crate) fn whole(&self, row: usize, revision: u64, random: &mut Random) -> Columns {
        let mut columns = self.full(row, revision);
        for (_, value) in columns.iter_mut().filter(|(name, _)| *name != self.key_column()) {
            if random.percent(10) {
                *value = AttributeValue::Null;
            }
        }
        columns
    }

    /// The key and one to three other columns of such a row.
    pub(crate) fn part(&self, row: usize, revision: u64, random: &mut Random) -> Columns {
        let mut columns = self.whole(row, revision, random);
        let others: Vec<String> = columns.keys().filter(|name| *name != self.key_column()).cloned().collect();
        let first = random.index(others.len());
        let count = 1 + random.index(3);
        let kept: Vec<&String> = others.iter().cycle().skip(first).take(count).collect();
        columns.retain(|name, _| name == self.key_column() || kept.contains(&name));
        columns
    }
}
