//! What is in the tables: a scan that only counts.

use std::cell::RefCell;
use std::collections::BTreeMap;

use aws::sweep::{CallFailed, Pace, ScanSettings, SweepRows, Wanted, scan};
use events::sweep::{Class, SeenRow};
use events::{AttributeValue, Entity, Item, Timestamp, Version};
use infra::environment::Environment;
use serde::Serialize;

use super::limits::refusals;
use super::request::Request;
use crate::redrive::counted;
use crate::ui::table;

/// Rows that are shown of each table.
const SAMPLE: usize = 5;
/// Segments that are read side by side.
pub(super) const SEGMENTS: u32 = 4;

/// One table.
pub(super) struct Table<R> {
    pub(super) entity: Entity,
    pub(super) name: String,
    pub(super) rows: R,
}

/// What a sweep would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Survey {
    /// The environment.
    pub environment: String,
    /// The region whose tables were read.
    pub region: String,
    /// The source whose rows are meant.
    pub source: String,
    /// The generation of the load.
    pub generation: u32,
    /// When the survey began.
    pub at: Timestamp,
    /// The tables.
    pub tables: Vec<Counted>,
    /// Why a sweep would be refused; nothing when it wouldn't.
    pub refusals: Vec<String>,
}

/// What is in one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counted {
    /// The entity.
    pub entity: String,
    /// The table's full name.
    pub table: String,
    /// Live rows that are as the load brought them.
    pub loaded: u64,
    /// Live rows of the generation that have changed since.
    pub changed: u64,
    /// Live rows of later generations.
    pub later: u64,
    /// Live rows of earlier generations: those that a sweep deletes.
    pub outdated: u64,
    /// Deleted rows, of whatever generation.
    pub tombstones: u64,
    /// Rows of other sources.
    pub foreign: u64,
    /// Rows that were written under a higher epoch.
    pub fenced: u64,
    /// Items that are no rows, or none that a sweep understands. They are left alone.
    pub unknown: u64,
    /// The lowest version of a live row.
    pub oldest: Option<Version>,
    /// The highest version of a live row.
    pub newest: Option<Version>,
    /// When the newest row of the load was read from the source.
    pub loaded_until: Option<Timestamp>,
    /// Some of the rows that a sweep deletes, the first by key.
    pub sample: Vec<Sampled>,
    /// Some of the items that are unknown, each with the reason.
    pub problems: Vec<String>,
}

/// A row that a sweep deletes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sampled {
    /// Its key.
    pub key: String,
    /// Its version.
    pub version: Version,
}

impl Counted {
    /// The source's rows that live.
    pub fn live(&self) -> u64 {
        self.loaded + self.changed + self.later + self.outdated
    }

    fn add(&mut self, request: &Request, item: &Item, sample: &mut BTreeMap<String, Version>) {
        let row = match SeenRow::from_item(item) {
            Ok(row) => row,
            Err(error) => return self.add_unknown(item, &error.to_string()),
        };
        let count = match request.sweep.class(&row) {
            Class::Loaded => {
                self.loaded_until = self.loaded_until.max(Some(row.committed_at));
                &mut self.loaded
            }
            Class::Changed => &mut self.changed,
            Class::Later => &mut self.later,
            Class::Outdated => {
                sample.insert(row.key.as_str().to_owned(), row.version.clone());
                if sample.len() > SAMPLE {
                    sample.pop_last();
                }
                &mut self.outdated
            }
            Class::Tombstone => return self.tombstones += 1,
            Class::Foreign => return self.foreign += 1,
            Class::Fenced => return self.fenced += 1,
            Class::Odd => return self.add_unknown(item, "it lives with a version that only a sweep gives"),
        };
        *count += 1;
        if self.oldest.as_ref().is_none_or(|oldest| row.version < *oldest) {
            self.oldest = Some(row.version.clone());
        }
        self.newest = self.newest.take().max(Some(row.version));
    }

    fn add_unknown(&mut self, item: &Item, why: &str) {
        self.unknown += 1;
        if self.problems.len() < SAMPLE {
            let key = item.get("pk").and_then(AttributeValue::as_text).unwrap_or("(no key)");
            self.problems.push(format!("{key}: {why}"));
        }
    }
}

/// Counts what is in the tables, one after the other; `progress` is told how many rows of which were read.
pub(super) async fn count<R: SweepRows>(
    request: &Request,
    tables: &[Table<R>],
    progress: impl Fn(&str, u64),
) -> Result<Vec<Counted>, CallFailed> {
    let mut all = Vec::new();
    for Table { entity, name, rows } in tables {
        let counted = Counted { entity: entity.to_string(), table: name.clone(), ..Counted::default() };
        let state = RefCell::new((counted, BTreeMap::new(), 0));
        let reads = Pace::of(request.reads_per_second);
        let settings = ScanSettings { segments: SEGMENTS, reads: &reads, patience: request.patience };
        let counting = scan(rows, &Wanted::All, &settings, async |items: Vec<Item>, read| {
            let (counted, sample, sum) = &mut *state.borrow_mut();
            items.iter().for_each(|item| counted.add(request, item, sample));
            *sum += read;
            progress(entity.as_str(), *sum);
            Ok::<(), CallFailed>(())
        });
        counting.await?;
        let (mut counted, sample, _) = state.into_inner();
        counted.sample = sample.into_iter().map(|(key, version)| Sampled { key, version }).collect();
        all.push(counted);
    }
    Ok(all)
}

impl Survey {
    pub(super) fn new(environment: &Environment, request: &Request, tables: Vec<Counted>) -> Self {
        let sweep = &request.sweep;
        let generation = sweep.generation.get();
        Self {
            environment: environment.environment_name().to_owned(),
            region: request.region.to_string(),
            source: sweep.source.to_string(),
            generation,
            at: sweep.at,
            refusals: refusals(&tables, generation, sweep.epoch, sweep.at, &request.limits),
            tables,
        }
    }

    /// How many rows a sweep deletes.
    pub fn outdated(&self) -> u64 {
        self.tables.iter().map(|table| table.outdated).sum()
    }

    /// How many rows of which tables a sweep deletes.
    pub(super) fn says_what(&self) -> String {
        let of = |table: &Counted| format!("{} of {} {}", table.outdated, table.live(), table.entity);
        let tables: Vec<String> = self.tables.iter().filter(|table| table.outdated > 0).map(of).collect();
        let rows = counted(usize::try_from(self.outdated()).unwrap_or(usize::MAX), "row");
        format!("{rows} ({})", tables.join(", "))
    }

    /// The survey for people, line by line.
    pub fn render(&self) -> Vec<String> {
        let heading =
            ["table", "loaded", "changed since", "later", "to sweep", "deleted before", "of others", "unknown"];
        let row = |table: &Counted| {
            let Counted { entity, loaded, changed, later, outdated, tombstones, foreign, fenced, unknown, .. } = table;
            let numbers = [*loaded, *changed, *later, *outdated, *tombstones, *foreign, fenced + unknown];
            [entity.clone()].into_iter().chain(numbers.map(|number| number.to_string())).collect()
        };
        let heading = heading.map(str::to_owned).to_vec();
        let mut lines = table(&[heading].into_iter().chain(self.tables.iter().map(row)).collect::<Vec<_>>());
        for table in &self.tables {
            let Counted { entity, oldest, newest, loaded_until, sample, problems, outdated, .. } = table;
            if let (Some(oldest), Some(newest)) = (oldest, newest) {
                lines.push(format!("{entity}: versions {oldest} to {newest}"));
            }
            if let Some(until) = loaded_until {
                lines.push(format!("{entity}: the newest row of the load came {until:.0}"));
            }
            let more = if *outdated > sample.len() as u64 { ", and more" } else { "" };
            if !sample.is_empty() {
                let keys: Vec<String> = sample.iter().map(|row| format!("{} ({})", row.key, row.version)).collect();
                lines.push(format!("{entity}: to sweep are {}{more}", keys.join(", ")));
            }
            lines.extend(problems.iter().map(|problem| format!("{entity}: left alone is {problem}")));
        }
        lines.push(match self.outdated() {
            0 => format!(
                "nothing to sweep: no row of `{}` in {} is older than generation {}",
                self.source, self.region, self.generation
            ),
            _ => format!(
                "a sweep for generation {} of `{}` deletes {} in {}",
                self.generation,
                self.source,
                self.says_what(),
                self.region
            ),
        });
        lines.extend(self.refusals.iter().map(|refusal| format!("would be refused: {refusal}")));
        lines
    }
}
