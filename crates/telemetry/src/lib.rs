//! What the programs tell about themselves: metrics and log lines.
//!
//! One decision shapes this crate: **a metric is declared once, as a static, and two exporters read the same value.**
//! The consumer is scraped ([`prometheus::render`]); a function cannot be scraped, so it writes CloudWatch's embedded
//! metric format at the end of an invocation ([`emf::flush`]). Names, labels and meaning are the same on both sides, and
//! every metric is listed in [`ALL`].
//!
//! ```
//! telemetry::LAMBDA_INVOCATIONS_TOTAL.inc(&["stream-processor"]);
//! assert!(telemetry::prometheus::render().contains("lambda_invocations_total{function=\"stream-processor\"}"));
//! ```
//!
//! This crate opens no port, knows no cloud interface and starts no task. Traces are not part of it.

mod catalogue;
pub mod emf;
pub mod invocation;
mod logging;
mod metric;
pub mod prometheus;

pub use catalogue::*;
pub use logging::{init_logging, run};
pub use metric::{Counter, Gauge, Histogram, Kind, MAX_LABEL_BYTES, MAX_SERIES, Metric, OVERFLOW_LABEL};
