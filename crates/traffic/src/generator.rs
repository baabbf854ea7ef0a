//! The traffic itself: what the source does, one message after the other.

mod changes;

use std::collections::VecDeque;

use events::Entity;

use crate::message::{Kind, Meaning, Message, NUMBER_HEADER};
use crate::popularity::Popularity;
use crate::random::{Random, hash};
use crate::schemas::{Form, SchemaIds};
use crate::source::Table;

/// What traffic to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Everything follows from it and the other settings.
    pub seed: u64,
    /// Rows that each table can have; at least 2.
    pub keys: u32,
    /// Partitions of each topic; at least 1.
    pub partitions: u32,
    /// The generation that the consumers write at first.
    pub generation: u32,
    /// What comes how often.
    pub mix: Mix,
}

/// How often what comes: shares of the whole that these numbers sum up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix {
    /// Inserts, and updates that carry the whole row.
    pub put: u32,
    /// Updates that carry some columns.
    pub partial: u32,
    /// Deletions.
    pub delete: u32,
    /// Rows that get another key.
    pub key_change: u32,
    /// One message that comes once more, somewhat later.
    pub repeat: u32,
    /// The last messages of a partition that come once more, in order.
    pub replay: u32,
    /// Messages that can't be applied.
    pub poison: u32,
}

impl Default for Mix {
    fn default() -> Self {
        Self { put: 420, partial: 330, delete: 90, key_change: 90, repeat: 45, replay: 5, poison: 20 }
    }
}

/// Messages of a partition that may come once more.
const REMEMBERED: usize = 32;
/// Endless traffic. It is a function of its configuration and of the calls to [`Traffic::reload`].
#[derive(Debug)]
pub struct Traffic {
    run: String,
    mix: Mix,
    generation: u32,
    random: Random,
    popularity: Popularity,
    tables: Vec<Table>,
    /// What has to come before anything new.
    pending: VecDeque<Pending>,
    /// For each partition of each topic the last messages, newest last.
    recent: Vec<VecDeque<Message>>,
    partitions: usize,
    /// Changes of the source so far.
    changes: u64,
    /// Messages so far.
    number: u64,
}

#[derive(Debug)]
enum Pending {
    Refresh(usize, usize),
    Mark(usize, usize),
    Again(Box<Message>),
}

/// Something that can happen to a row of a table.
type Way = fn(&mut Traffic, usize, usize) -> Message;

impl Traffic {
    /// The traffic of a source whose tables are half full. It begins with loading their rows.
    ///
    /// `ids` says which ids the Schema Registry has given to [`crate::schemas`].
    pub fn new(config: &Config, ids: impl Fn(Entity) -> SchemaIds) -> Self {
        let keys = usize::try_from(config.keys.max(2)).expect("invariant: a `usize` has 32 bits or more");
        let partitions = usize::try_from(config.partitions.max(1)).expect("invariant: a `usize` has 32 bits or more");
        let run = run_name(config);
        let tables =
            Entity::ALL.map(|entity| Table::new(Form::new(entity, ids(entity)), &run, keys, config.partitions.max(1)));
        let mut traffic = Self {
            run,
            mix: config.mix,
            generation: config.generation,
            random: Random::new(config.seed),
            popularity: Popularity::new(keys),
            tables: tables.into(),
            pending: VecDeque::new(),
            recent: vec![VecDeque::new(); Entity::ALL.len() * partitions],
            partitions,
            changes: 0,
            number: 0,
        };
        for table in 0..traffic.tables.len() {
            for row in 0..keys {
                if traffic.random.percent(50) {
                    traffic.miss_put(table, row);
                }
            }
        }
        traffic.load();
        traffic
    }

    /// What the keys of this traffic begin with; other settings have other keys.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// The generation under which consumers must work on what comes next.
    pub fn generation(&self) -> u32 {
        self.generation
    }

    /// Plays an outage in which changes of the source are lost, and the reload after it: what comes next are all rows of all
    /// tables, under the next generation. The consumers must be done with everything before, and know of the new generation.
    pub fn reload(&mut self) {
        self.generation += 1;
        // They belong to the generation before.
        self.pending.clear();
        self.recent.iter_mut().for_each(VecDeque::clear);
        for table in 0..self.tables.len() {
            for _ in 0..self.tables[table].len().div_ceil(10) {
                let row = self.random.index(self.tables[table].len());
                match self.random.percent(40) {
                    true => drop(self.tables[table].remove(row)),
                    false => self.miss_put(table, row),
                }
            }
        }
        self.load();
    }

    /// The source changes a row and no message tells of it.
    fn miss_put(&mut self, table: usize, row: usize) {
        self.changes += 1;
        let columns = self.tables[table].whole(row, self.changes, &mut self.random);
        self.tables[table].put(row, columns, false);
    }

    fn load(&mut self) {
        for (number, table) in self.tables.iter().enumerate() {
            self.pending.extend(table.living().map(|row| Pending::Refresh(number, row)));
        }
    }

    fn tell(&mut self) -> Message {
        match self.pending.pop_front() {
            Some(Pending::Refresh(table, row)) => self.refresh(table, row),
            Some(Pending::Mark(table, row)) => self.mark(table, row),
            Some(Pending::Again(message)) => *message,
            None => self.tell_something_new(),
        }
    }

    fn tell_something_new(&mut self) -> Message {
        let Mix { put, partial, delete, key_change, repeat, replay, poison } = self.mix;
        let table = self.random.index(self.tables.len());
        let row = self.popularity.draw(&mut self.random);
        // What makes no sense at its place becomes an insert or an update.
        let ways: [(u32, Way); 7] = [
            (put, Self::put),
            (partial, Self::change_a_part),
            (delete, Self::delete),
            (key_change, Self::change_key),
            (repeat, Self::repeat),
            (replay, Self::replay),
            (poison, Self::poison),
        ];
        let whole: u64 = ways.iter().map(|(share, _)| u64::from(*share)).sum();
        let mut drawn = self.random.below(whole.max(1));
        for (share, way) in ways {
            match drawn.checked_sub(u64::from(share)) {
                Some(rest) => drawn = rest,
                None => return way(self, table, row),
            }
        }
        self.put(table, row)
    }

    fn recent(&self, table: usize, partition: i32) -> usize {
        table * self.partitions + usize::try_from(partition).expect("invariant: partitions count from 0")
    }
}

impl Iterator for Traffic {
    type Item = Message;

    /// Never ends.
    fn next(&mut self) -> Option<Message> {
        let mut message = self.tell();
        let table = Entity::ALL.iter().position(|entity| *entity == message.entity);
        let recent = self.recent(table.expect("invariant: it lists every entity"), message.partition);
        let known = &mut self.recent[recent];
        // A few are enough, and copies cost.
        if self.number.is_multiple_of(4) && message.kind != Kind::Repeat {
            if known.len() == REMEMBERED {
                known.pop_front();
            }
            known.push_back(Message { kind: Kind::Repeat, ..message.clone() });
        }
        message.number = self.number;
        if matches!(message.meaning, Meaning::Poison(_)) {
            message.headers.push((NUMBER_HEADER, message.number.to_string().into_bytes()));
        }
        self.number += 1;
        Some(message)
    }
}

/// The beginning of every key: other settings never write the same rows with other content.
fn run_name(config: &Config) -> String {
    let Config { seed, keys, partitions, generation: _, mix } = config;
    let Mix { put, partial, delete, key_change, repeat, replay, poison } = *mix;
    let settings = [*keys, *partitions, put, partial, delete, key_change, repeat, replay, poison];
    let bytes = seed.to_be_bytes().into_iter().chain(settings.iter().flat_map(|setting| setting.to_be_bytes()));
    format!("traffic-{:08x}", hash(bytes) >> 32)
}
