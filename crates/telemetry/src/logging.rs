//! Log lines: one JSON object each on stderr, fields flat beside time, level, target and service.
//!
//! stdout stays free for the embedded metric format. Where the lines go from stderr is the platform's business.

use serde_json::Value;
use std::error::Error;
use std::fmt::{self, Debug, Write as _};
use std::process::ExitCode;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// What is logged when `RUST_LOG` is not set, or cannot be read.
const DEFAULT_FILTER: &str = "info";

/// Sends the process's log to stderr as JSON lines, filtered by `RUST_LOG` (default `info`).
///
/// Later calls in one process change nothing. A `RUST_LOG` that cannot be read is reported as a warning.
pub fn init_logging(service: &'static str) {
    let wanted = std::env::var(EnvFilter::DEFAULT_ENV).unwrap_or_else(|_| DEFAULT_FILTER.to_owned());
    let parsed = EnvFilter::try_new(&wanted);
    let problem = parsed.as_ref().err().map(ToString::to_string);
    let first = tracing_subscriber::fmt()
        .with_env_filter(parsed.unwrap_or_else(|_| EnvFilter::new(DEFAULT_FILTER)))
        .with_writer(std::io::stderr)
        .event_format(JsonLines { service })
        .try_init()
        .is_ok();
    if let (true, Some(problem)) = (first, problem) {
        tracing::warn!(
            variable = EnvFilter::DEFAULT_ENV,
            value = wanted,
            problem,
            "log filter cannot be read, using `info`"
        );
    }
}

/// Runs a program named `name`: its log is set up, and an error that ends it is logged with all its causes.
///
/// The exit code is 0 when `program` ends well, 1 otherwise.
pub async fn run(
    name: &'static str,
    program: impl Future<Output = Result<(), Box<dyn Error + Send + Sync>>>,
) -> ExitCode {
    init_logging(name);
    match program.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = &*error as &dyn Error, "the program ends");
            ExitCode::FAILURE
        }
    }
}

struct JsonLines {
    service: &'static str,
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut line = String::with_capacity(256);
        line.push_str("{\"time\":\"");
        SystemTime.format_time(&mut Writer::new(&mut line))?;
        let metadata = event.metadata();
        let target = Value::from(metadata.target());
        write!(
            line,
            "\",\"level\":\"{}\",\"target\":{target},\"service\":{}",
            metadata.level(),
            Value::from(self.service)
        )?;
        event.record(&mut Fields { line: &mut line });
        line.push('}');
        writeln!(writer, "{line}")
    }
}

/// Appends an event's fields to a JSON object that is being written.
struct Fields<'a> {
    line: &'a mut String,
}

impl Fields<'_> {
    fn put(&mut self, field: &Field, value: &Value) {
        // A field must not shadow what the line itself says: two equal keys make one of them disappear.
        let prefix = if matches!(field.name(), "time" | "level" | "target" | "service") { "field_" } else { "" };
        let name = field.name().strip_prefix("r#").unwrap_or(field.name());
        let key = Value::from(format!("{prefix}{name}"));
        // Writing to a string cannot fail.
        let _ = write!(self.line, ",{key}:{value}");
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, &Value::from(value));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, &Value::from(value));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, &Value::from(value));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, &Value::from(value));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, &Value::from(value));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.put(field, &Value::from(format!("{value:?}")));
    }
    /// The whole chain of causes, outermost first.
    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        let mut chain = value.to_string();
        let mut cause = value.source();
        while let Some(error) = cause {
            let _ = write!(chain, ": {error}");
            cause = error.source();
        }
        self.put(field, &Value::from(chain));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::fmt::MakeWriter;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Buffer {
        type Writer = Buffer;
        fn make_writer(&self) -> Buffer {
            self.clone()
        }
    }

    #[derive(Debug)]
    struct Outer(io::Error);
    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("outer failed")
        }
    }
    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    fn logged(log: impl FnOnce()) -> Value {
        let buffer = Buffer::default();
        let subscriber =
            tracing_subscriber::fmt().with_writer(buffer.clone()).event_format(JsonLines { service: "test" }).finish();
        tracing::subscriber::with_default(subscriber, log);
        let bytes = buffer.0.lock().expect("not poisoned").clone();
        assert_eq!(bytes.iter().filter(|byte| **byte == b'\n').count(), 1, "one event is one line");
        serde_json::from_slice(&bytes).expect("the line is JSON")
    }

    #[test]
    fn fields_lie_flat_in_one_line() {
        let line =
            logged(|| tracing::info!(count = 3, key = "a\nb", ratio = 0.5, done = true, list = ?[1, 2], "did it"));
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["service"], "test");
        assert_eq!(line["message"], "did it");
        assert_eq!((&line["count"], &line["key"]), (&Value::from(3), &Value::from("a\nb")));
        assert_eq!(
            (&line["ratio"], &line["done"], &line["list"]),
            (&Value::from(0.5), &Value::from(true), &Value::from("[1, 2]"))
        );
        let time = line["time"].as_str().expect("time is text");
        assert!(time.ends_with('Z') && time.contains('T'), "{time}");
    }

    #[test]
    fn an_error_is_printed_with_its_causes() {
        let error = Outer(io::Error::other("disk is full"));
        let line = logged(|| tracing::error!(error = &error as &dyn Error, "failed"));
        assert_eq!(line["error"], "outer failed: disk is full");
    }

    #[test]
    fn a_field_does_not_hide_what_the_line_says() {
        let line = logged(|| tracing::warn!(level = "mine", "message"));
        assert_eq!((&line["level"], &line["field_level"]), (&Value::from("WARN"), &Value::from("mine")));
    }
}
