//! What came of a sweep, for people and for programs.

use events::Timestamp;
use serde::Serialize;

use super::survey::{Counted, Survey};
use crate::error::Error;
use crate::redrive::counted;
use crate::ui::table;

/// Failures that people are shown one by one; JSON has them all.
const SHOWN: usize = 20;

/// What came of a sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The environment.
    pub environment: String,
    /// The region whose tables were written.
    pub region: String,
    /// The source whose rows are meant.
    pub source: String,
    /// The generation of the load.
    pub generation: u32,
    /// When the run began; the time of its deletion events.
    pub started_at: Timestamp,
    /// The tables.
    pub tables: Vec<Swept>,
    /// Why the run ended before the tables' end, if it did.
    pub stopped: Option<String>,
    /// Whether it stopped because another region owns the data.
    pub is_fenced: bool,
}

/// What came of the sweep of one table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// The entity.
    pub entity: String,
    /// The table's full name.
    pub table: String,
    /// How many rows the survey has counted, and no more are deleted.
    pub agreed: u64,
    /// How many are deleted now.
    pub swept: u64,
    /// How many have changed since they were counted, so they stay.
    pub changed: u64,
    /// Rows whose write failed; they may be deleted or not.
    pub failed: Vec<Failed>,
}

/// A row whose write failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failed {
    /// Its key.
    pub key: String,
    /// Why.
    pub reason: String,
}

impl Swept {
    fn left(&self) -> u64 {
        self.agreed.saturating_sub(self.swept + self.changed + self.failed.len() as u64)
    }

    /// How far it is, for one row of a terminal.
    pub(super) fn progress(&self) -> String {
        format!("{} of {} swept, {} changed, {} failed", self.swept, self.agreed, self.changed, self.failed.len())
    }
}

impl Report {
    pub(super) fn new(survey: &Survey) -> Self {
        let Survey { environment, region, source, generation, at, tables, refusals: _ } = survey.clone();
        let table = |Counted { entity, table, outdated, .. }: Counted| Swept {
            entity,
            table,
            agreed: outdated,
            ..Swept::default()
        };
        Self {
            environment,
            region,
            source,
            generation,
            started_at: at,
            tables: tables.into_iter().map(table).collect(),
            stopped: None,
            is_fenced: false,
        }
    }

    /// The report for people, line by line.
    pub fn render(&self) -> Vec<String> {
        let Self { region, source, generation, .. } = self;
        if self.tables.iter().all(|table| table.agreed == 0) {
            return vec![format!(
                "nothing to sweep: no row of `{source}` in {region} is older than generation {generation}"
            )];
        }
        let heading = ["table", "swept", "changed meanwhile", "failed", "left"].map(str::to_owned).to_vec();
        let row = |table: &Swept| {
            let numbers = [table.swept, table.changed, table.failed.len() as u64, table.left()];
            [table.entity.clone()].into_iter().chain(numbers.map(|number| number.to_string())).collect()
        };
        let mut lines = table(&[heading].into_iter().chain(self.tables.iter().map(row)).collect::<Vec<_>>());
        let failed: Vec<(&str, &Failed)> = self
            .tables
            .iter()
            .flat_map(|table| table.failed.iter().map(|failed| (table.entity.as_str(), failed)))
            .collect();
        lines.extend(
            failed.iter().take(SHOWN).map(|(entity, failed)| format!("{entity} {}: {}", failed.key, failed.reason)),
        );
        if failed.len() > SHOWN {
            lines.push(format!("and {} more failed; `--format json` has them all", failed.len() - SHOWN));
        }
        let swept = self.sum(|table| table.swept);
        lines.push(format!("swept for generation {generation} of `{source}` in {region}: {}", counted(swept, "row")));
        lines
    }

    /// Whether everything that was meant is done.
    ///
    /// # Errors
    /// A write failed, or the run stopped early.
    pub fn verdict(&self) -> Result<(), Error> {
        let swept = counted(self.sum(|table| table.swept), "row");
        if let Some(reason) = &self.stopped {
            let message = format!("the sweep in {} stopped after {swept}", self.region);
            let error = if self.is_fenced { Error::refused(message) } else { Error::remote(message) };
            return Err(error.detail(reason.clone()).hint(AGAIN));
        }
        match self.sum(|table| table.failed.len() as u64) {
            0 => Ok(()),
            failed => {
                Err(Error::remote(format!("{} failed, and {swept} are swept", counted(failed, "write"))).hint(AGAIN))
            }
        }
    }

    fn sum(&self, count: impl Fn(&Swept) -> u64) -> usize {
        usize::try_from(self.tables.iter().map(count).sum::<u64>()).unwrap_or(usize::MAX)
    }
}

const AGAIN: &str =
    "mend what the reason says, then run the same command again: it finds what is left, and sweeps nothing twice";
