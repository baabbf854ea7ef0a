//! Where rows go.
//!
//! The pipeline knows a sink only by this trait, so that tests and benchmarks can run it into memory or a counter.

use aws::table_writer::Together;
use aws::{Applied, TableWriter, WriteError};
use events::{RowWrite, Version};

/// Takes conditional writes.
///
/// Applying a write twice must have the effect of applying it once: after an error, a timeout or a crash it comes again.
pub trait Sink: Send + Sync + 'static {
    /// Applies a write, or says that the row has this version or a newer one.
    ///
    /// `since` is the version of the first change that the write holds anything of: its own, unless several changes are written
    /// as one. A row with a version from between refuses such a write ([`SinkError::Interleaved`]).
    fn apply(&self, write: &RowWrite, since: &Version) -> impl Future<Output = Result<Applied, SinkError>> + Send;

    /// Applies two writes to different rows together, or says that they must be applied apart.
    fn apply_both(&self, one: &RowWrite, other: &RowWrite) -> impl Future<Output = Result<Together, SinkError>> + Send;
}

/// Why a write wasn't applied, by what has to happen next.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The same write can succeed later.
    #[error("the row can't be written now")]
    Retryable(#[source] Cause),
    /// The same write can succeed later, and so that it does, less must be written at once.
    #[error("the table has too much to do")]
    Overloaded(#[source] Cause),
    /// The write needs a row that isn't there. The same write can succeed when the row has come, if it comes.
    #[error("the row can't be written without the rest of it")]
    NoRow(#[source] Cause),
    /// Several changes can't be written as one. Each of them can be written on its own.
    #[error("the changes can't be written as one")]
    Interleaved(#[source] Cause),
    /// The write can never succeed.
    #[error("the row can't be written")]
    Poison {
        /// A stable name of the kind of error.
        class: &'static str,
        /// What is wrong.
        source: Cause,
    },
    /// A writer with a higher authority epoch owns the rows: this one must stop.
    #[error("this writer has lost its authority")]
    Fenced(#[source] Cause),
}

/// An error of whatever is behind a sink.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

impl From<WriteError> for SinkError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Fenced { .. } => Self::Fenced(error.into()),
            WriteError::NoRow => Self::NoRow(error.into()),
            WriteError::Interleaved { .. } => Self::Interleaved(error.into()),
            WriteError::Throttled { .. } => Self::Overloaded(error.into()),
            WriteError::Denied { .. } | WriteError::Unavailable { .. } => Self::Retryable(error.into()),
            WriteError::ForeignSource { .. } | WriteError::Invalid { .. } => {
                Self::Poison { class: error.class(), source: error.into() }
            }
        }
    }
}

impl Sink for TableWriter {
    async fn apply(&self, write: &RowWrite, since: &Version) -> Result<Applied, SinkError> {
        Ok(self.apply_since(write, since).await?)
    }

    async fn apply_both(&self, one: &RowWrite, other: &RowWrite) -> Result<Together, SinkError> {
        Ok(TableWriter::apply_both(self, one, other).await?)
    }
}
