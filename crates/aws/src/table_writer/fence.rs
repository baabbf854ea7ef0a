//! What the condition of a write means: which stored row lets it in, and what it says of the write that one doesn't.
//!
//! Pure, so that who stands in for the table in a test judges as the writer does.

use events::{RowChange, RowWrite, Version};

use super::WriteError;

/// What decides about a write in a stored row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredHead {
    /// The source that owns the row; empty when the row has none.
    pub source: String,
    /// The version; empty when the row has none.
    pub version: String,
    /// The authority epoch of its writer.
    pub epoch: Option<String>,
    /// Whether it has columns: a tombstone has none.
    pub live: bool,
}

/// What becomes of a write at a stored row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The condition holds.
    Admitted,
    /// The row already holds this very version.
    Duplicate,
    /// The row holds a newer version.
    Stale,
    /// A partial image has no row of its generation to be merged into.
    NoRow,
}

/// Judges a write of changes of which the first that counts has version `since`; of a single change that is its own version.
/// Authority comes first: a fenced writer must learn it at once.
///
/// # Errors
/// When the row belongs to another source or a higher epoch, or holds one of the versions between `since` and the write's own.
pub fn judge(write: &RowWrite, since: &Version, stored: Option<&StoredHead>) -> Result<Verdict, WriteError> {
    let is_merge = matches!(write.change, RowChange::Merge(_));
    let Some(StoredHead { source, version, epoch, live }) = stored else {
        return Ok(if is_merge { Verdict::NoRow } else { Verdict::Admitted });
    };
    let head = &write.head;
    if let Some(found) = epoch.as_ref().filter(|found| is_greater(found, head.epoch)) {
        return Err(WriteError::Fenced { own: head.epoch, found: found.clone() });
    }
    if source != head.source.as_str() {
        return Err(WriteError::ForeignSource { own: head.source.as_str().to_owned(), found: source.clone() });
    }
    match version.as_str().cmp(head.version.as_str()) {
        std::cmp::Ordering::Equal => return Ok(Verdict::Duplicate),
        std::cmp::Ordering::Greater => return Ok(Verdict::Stale),
        std::cmp::Ordering::Less => {}
    }
    if version.as_str() >= since.as_str() {
        return Err(WriteError::Interleaved { found: version.clone() });
    }
    let is_current = version.as_str() >= head.version.generation_floor();
    Ok(if is_merge && !(*live && is_current) { Verdict::NoRow } else { Verdict::Admitted })
}

/// Whether a stored epoch is above ours. One that does not fit into our type certainly is.
fn is_greater(stored: &str, own: u64) -> bool {
    stored.parse::<u64>().map_or(true, |stored| stored > own)
}
