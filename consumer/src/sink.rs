//! Where rows go.
//!
//! The pipeline knows a sink only by this trait, so that tests and benchmarks can run it into memory or a counter.

use aws::{Applied, TableWriter, WriteError};
use events::RowWrite;

/// Takes conditional writes.
///
/// Applying a write twice must have the effect of applying it once: after an error, a timeout or a crash it comes again.
pub trait Sink: Send + Sync + 'static {
    /// Applies a write, or says that the row has this version or a newer one.
    fn apply(&self, write: &RowWrite) -> impl Future<Output = Result<Applied, SinkError>> + Send;
}

/// Why a write wasn't applied, by what has to happen next.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The same write can succeed later.
    #[error("the row can't be written now")]
    Retryable(#[source] Cause),
    /// The write needs a row that isn't there. The same write can succeed when the row has come, if it comes.
    #[error("the row can't be written without the rest of it")]
    NoRow(#[source] Cause),
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

impl Sink for TableWriter {
    async fn apply(&self, write: &RowWrite) -> Result<Applied, SinkError> {
        TableWriter::apply(self, write).await.map_err(|error| match error {
            WriteError::Fenced { .. } => SinkError::Fenced(error.into()),
            WriteError::NoRow => SinkError::NoRow(error.into()),
            _ if error.is_retryable() => SinkError::Retryable(error.into()),
            _ => SinkError::Poison { class: error.class(), source: error.into() },
        })
    }
}
