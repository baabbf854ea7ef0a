//! A scan in segments side by side.

use super::{CallFailed, Pace, PageRequest, Patience, SweepRows, Wanted};
use events::Item;
use futures::future::join_all;
use std::sync::atomic::{AtomicBool, Ordering};

/// How a table is scanned.
#[derive(Clone, Copy, Debug)]
pub struct ScanSettings<'a> {
    /// How many segments are read side by side, at least one.
    pub segments: u32,
    /// Read units a second.
    pub reads: &'a Pace,
    /// How often a page is asked for.
    pub patience: Patience,
}

/// Reads the wanted rows of a table; `visit` gets the items of each page with how many rows were read for it.
///
/// When a visit or a page fails, the other segments end with the page that they are at: what a visit has begun is never cut off.
///
/// # Errors
/// The first failure.
pub async fn scan<E: From<CallFailed>>(
    rows: &impl SweepRows,
    wanted: &Wanted,
    settings: &ScanSettings<'_>,
    visit: impl AsyncFn(Vec<Item>, u64) -> Result<(), E>,
) -> Result<(), E> {
    let is_over = AtomicBool::new(false);
    let segments = settings.segments.max(1);
    let ended = join_all((0..segments).map(async |segment| {
        let mut request = PageRequest { segment, segments, wanted, after: None };
        while !is_over.load(Ordering::Relaxed) {
            settings.reads.wait().await;
            let read = settings.patience.with(async || rows.page(&request).await).await;
            let visited = match read {
                Ok(page) => {
                    settings.reads.used(page.units);
                    request.after = page.next;
                    visit(page.items, page.read).await
                }
                Err(error) => Err(E::from(error)),
            };
            if visited.is_err() {
                is_over.store(true, Ordering::Relaxed);
                return visited;
            }
            if request.after.is_none() {
                break;
            }
        }
        Ok(())
    }));
    ended.await.into_iter().collect()
}
