//! What was sent, and what must come of it.

use std::collections::BTreeMap;
use std::time::Duration;

use events::Entity;
use serde::Serialize;
use traffic::{Expected, Kind};

use super::Options;
use crate::ui::{elapsed_text, table};

/// What was sent, and what must come of it.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The environment.
    pub environment: String,
    /// What every key begins with.
    pub run: String,
    /// What the traffic followed from.
    pub seed: u64,
    /// Messages that the broker has.
    pub count: u64,
    /// Time until it had all of them, in seconds.
    pub elapsed_secs: f64,
    /// Messages a second.
    pub per_second: f64,
    /// Messages by kind.
    pub kinds: BTreeMap<&'static str, u64>,
    /// Rows that each table must have with keys of this run, as soon as the consumer is done.
    pub tables: BTreeMap<&'static str, TableReport>,
    /// Messages by class that must be in the dead-letter topic.
    pub dead_letters: BTreeMap<&'static str, u64>,
}

/// Rows of one table.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct TableReport {
    /// Rows with columns.
    pub live: usize,
    /// Deleted ones.
    pub tombstones: usize,
}

impl Report {
    pub(super) fn new(environment: &str, run: &str, options: &Options, expected: &Expected, elapsed: Duration) -> Self {
        let mut dead_letters = BTreeMap::new();
        for poison in expected.poison().values() {
            *dead_letters.entry(poison.class()).or_default() += 1;
        }
        let tables = Entity::ALL.map(|entity| {
            let counts = expected.row_counts(entity);
            (entity.as_str(), TableReport { live: counts.live, tombstones: counts.tombstones })
        });
        Self {
            environment: environment.to_owned(),
            run: run.to_owned(),
            seed: options.seed,
            count: options.count,
            elapsed_secs: elapsed.as_secs_f64(),
            per_second: options.count as f64 / elapsed.as_secs_f64(),
            kinds: Kind::ALL.map(|kind| (kind.as_str(), expected.count(kind))).into(),
            tables: tables.into(),
            dead_letters,
        }
    }

    /// The report for people, line by line.
    pub fn render(&self) -> Vec<String> {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        let counts = |heading: &str, counts: &BTreeMap<&'static str, u64>| {
            let rows = counts.iter().map(|(name, count)| row(&[name, &count.to_string()]));
            table(&[row(&[heading, "messages"])].into_iter().chain(rows).collect::<Vec<_>>())
        };
        let tables = self.tables.iter();
        let tables = tables.map(|(name, table)| row(&[name, &table.live.to_string(), &table.tombstones.to_string()]));
        let tables: Vec<_> = [row(&["table", "live rows", "tombstones"])].into_iter().chain(tables).collect();
        let mut lines = counts("kind", &self.kinds);
        lines.push(String::new());
        lines.extend(table(&tables));
        if !self.dead_letters.is_empty() {
            lines.push(String::new());
            lines.extend(counts("dead letter", &self.dead_letters));
        }
        lines.push(String::new());
        lines.push(format!(
            "{} messages of `{}` in {} ({:.0} a second); the tables and the dead-letter topic must hold this as soon as the \
             consumer is done",
            self.count,
            self.run,
            elapsed_text(Duration::from_secs_f64(self.elapsed_secs)),
            self.per_second
        ));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use traffic::{Config, Mix, Schemas, Traffic};

    #[test]
    fn a_report_says_what_must_come_of_it() {
        let config = Config { seed: 3, keys: 20, partitions: 2, generation: 0, mix: Mix::default() };
        let mut traffic = Traffic::new(&config, |_| Schemas { value: 1, key: 2, odd_value: 3 });
        let mut expected = Expected::default();
        traffic.by_ref().take(2_000).for_each(|message| expected.take(&message));
        let options = Options { checkout: "/c".into(), count: 2_000, rate: 0, seed: 3, keys: 20 };
        let report = Report::new("sandbox", traffic.run(), &options, &expected, Duration::from_millis(500));
        assert_eq!(report.kinds.values().sum::<u64>(), 2_000);
        // A message that comes once more is poison once more.
        assert!(report.dead_letters.values().sum::<u64>() >= report.kinds["poison"], "{:?}", report.dead_letters);
        assert!(report.tables.values().all(|table| table.live + table.tombstones <= 20));
        let text = report.render().join("\n");
        assert!(text.starts_with("kind             messages\n"), "{text}");
        assert!(text.contains("\ntable      live rows  tombstones\ncustomers  "), "{text}");
        assert!(text.contains("(4000 a second)"), "{text}");
        let json = serde_json::to_value(&report).expect("JSON");
        assert_eq!((&json["count"], &json["per_second"]), (&2_000.into(), &4_000.0.into()));
    }
}
