//! Reasons to refuse a sweep: what a survey looks like when a load has not ended, or is not the one that was meant.
//!
//! A load says nothing in the tables when it ends, so none of these proves that it has. They find what goes wrong most: no load,
//! a load that goes on, a wrong generation, a table that was left out.

use std::time::Duration;

use events::Timestamp;

use super::survey::Counted;
use crate::redrive::counted;
use crate::ui::elapsed_text;

/// When to refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most of a table's live rows that may go, in percent.
    pub max_share: u8,
    /// The most rows that may go, of all tables together.
    pub max_deletes: Option<u64>,
    /// How long no row of the load may have come.
    pub settled: Duration,
}

/// Everything that speaks against a sweep of these tables, in whole sentences; nothing where nothing would be swept.
pub(super) fn refusals(tables: &[Counted], generation: u32, epoch: u64, at: Timestamp, limits: &Limits) -> Vec<String> {
    let sum = |count: fn(&Counted) -> u64| tables.iter().map(count).sum::<u64>();
    let outdated = sum(|table| table.outdated);
    if outdated == 0 {
        return Vec::new();
    }
    let mut refusals = Vec::new();
    for table in tables.iter().filter(|table| table.fenced > 0) {
        refusals.push(format!(
            "{} of {} carry a higher epoch than {epoch}: authority has moved, and another region writes now",
            rows(table.fenced),
            table.entity
        ));
    }
    if sum(|table| table.loaded + table.changed) == 0 {
        refusals.push(format!("no row has generation {generation}: the load has not run"));
    } else if sum(|table| table.loaded) == 0 {
        refusals.push(format!(
            "no row is as a load brings it: what has generation {generation} came by changes alone, and the load has not run"
        ));
    }
    let newest = tables.iter().filter_map(|table| Some((table.loaded_until?, &table.entity))).max();
    if let Some((newest, entity)) = newest {
        // A row that is newer than this clock has only just come.
        let since = Duration::try_from(at.duration_since(newest)).unwrap_or_default();
        if since < limits.settled {
            let (since, settled) = (elapsed_text(since), elapsed_text(limits.settled));
            refusals.push(format!(
                "the load seems to go on: its newest row, of {entity}, came {since} ago, and {settled} must pass without one \
                 (`--settled`)"
            ));
        }
    }
    let most = |table: &Counted| u128::from(table.live()) * u128::from(limits.max_share);
    for table in tables.iter().filter(|table| u128::from(table.outdated) * 100 > most(table)) {
        let (Counted { entity, outdated, .. }, live) = (table, table.live());
        refusals.push(format!(
            "{outdated} of {live} live {entity} would go, which is more than {} % (`--max-share`): was {entity} loaded to its \
             end, as generation {generation}?",
            limits.max_share
        ));
    }
    if let Some(most) = limits.max_deletes.filter(|most| outdated > *most) {
        refusals.push(format!("{} would go, and at most {most} may (`--max-deletes`)", rows(outdated)));
    }
    refusals
}

fn rows(count: u64) -> String {
    counted(usize::try_from(count).unwrap_or(usize::MAX), "row")
}
