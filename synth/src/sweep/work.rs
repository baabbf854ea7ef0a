//! The sweep itself: each row that is outdated becomes a tombstone, if it is still as it was seen.

use std::cell::RefCell;

use aws::sweep::{self, CallFailed, Pace, ScanSettings, SweepRows, Wanted, scan};
use events::dead_letter::chain;
use events::sweep::{SeenRow, SweepWrite};
use events::{Item, Version};

use super::report::{Failed, Report, Swept};
use super::request::Request;
use super::survey::{SEGMENTS, Survey, Table};

/// Writes that fail one after the other until a run stops: their cause is then not in the rows.
const FAILURES_IN_A_ROW: u32 = 5;

/// Why a run stops before its end.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(transparent)]
    Call(#[from] CallFailed),
    #[error("a row carries epoch {found}: authority has moved, and another region writes now")]
    Fenced { found: String },
    #[error("{FAILURES_IN_A_ROW} writes failed one after the other")]
    Failures,
    #[error(
        "more rows are of earlier generations than were counted: something writes such rows still; \
         has each pod of the consumer been restarted?"
    )]
    More,
}

/// Sweeps the tables one after the other, of each no more rows than the survey has counted; `progress` is told how far it is.
pub(super) async fn sweep<R: SweepRows>(
    request: &Request,
    tables: &[Table<R>],
    survey: &Survey,
    progress: impl Fn(&Swept),
) -> Report {
    let mut report = Report::new(survey);
    for (table, swept) in tables.iter().zip(&mut report.tables) {
        if swept.agreed == 0 {
            continue;
        }
        let state = RefCell::new(State { swept: swept.clone(), met: 0, failures: 0, fenced: None });
        let ended = sweep_table(request, table, &state, &progress).await;
        let State { swept: done, met, .. } = state.into_inner();
        *swept = done;
        match ended {
            // What was counted and not met again has changed before it was looked at.
            Ok(()) => swept.changed += swept.agreed.saturating_sub(met),
            Err(stop) => {
                report.is_fenced = matches!(stop, Stop::Fenced { .. });
                report.stopped = Some(chain(&stop));
                break;
            }
        }
    }
    report
}

/// What the segments of one table share. It is never borrowed while something is waited for.
struct State {
    swept: Swept,
    met: u64,
    failures: u32,
    /// The epoch of a row that another region has written by now.
    fenced: Option<String>,
}

async fn sweep_table<R: SweepRows>(
    request: &Request,
    table: &Table<R>,
    state: &RefCell<State>,
    progress: &impl Fn(&Swept),
) -> Result<(), Stop> {
    let (reads, writes) = (Pace::of(request.reads_per_second), Pace::of(request.writes_per_second));
    let settings = ScanSettings { segments: SEGMENTS, reads: &reads, patience: request.patience };
    let generation = Version::refresh(request.sweep.generation.get());
    let wanted = Wanted::Before { source: request.sweep.source.clone(), generation };
    let visit = async |items: Vec<Item>, _| {
        for item in items {
            // What is no row was counted as unknown, and is left alone.
            let Some(write) = SeenRow::from_item(&item).ok().and_then(|row| request.sweep.write(table.entity, &row))
            else {
                continue;
            };
            begin(state)?;
            writes.wait().await;
            writes.used(1.0);
            let written = request.patience.with(async || table.rows.sweep(&write).await).await;
            note(state, &write, written)?;
            progress(&state.borrow().swept);
        }
        Ok(())
    };
    scan(&table.rows, &wanted, &settings, visit).await
}

fn begin(state: &RefCell<State>) -> Result<(), Stop> {
    let mut state = state.borrow_mut();
    if let Some(found) = &state.fenced {
        return Err(Stop::Fenced { found: found.clone() });
    }
    if state.failures >= FAILURES_IN_A_ROW {
        return Err(Stop::Failures);
    }
    if state.met == state.swept.agreed {
        return Err(Stop::More);
    }
    state.met += 1;
    Ok(())
}

fn note(state: &RefCell<State>, write: &SweepWrite, written: Result<sweep::Swept, CallFailed>) -> Result<(), Stop> {
    let mut state = state.borrow_mut();
    match written {
        Ok(sweep::Swept::Written) => state.swept.swept += 1,
        Ok(sweep::Swept::Changed) => state.swept.changed += 1,
        Ok(sweep::Swept::Fenced { found }) => {
            // It was met and nothing was done to it.
            state.met -= 1;
            state.fenced = Some(found.clone());
            return Err(Stop::Fenced { found });
        }
        Err(error) => {
            let key = write.tombstone.head.key.as_str().to_owned();
            state.swept.failed.push(Failed { key, reason: chain(&error) });
            state.failures += 1;
            return Ok(());
        }
    }
    state.failures = 0;
    Ok(())
}
