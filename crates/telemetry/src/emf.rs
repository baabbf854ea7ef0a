//! CloudWatch's embedded metric format: metrics as JSON lines in the log, which CloudWatch turns into metrics.
//!
//! A function has no port to be scraped on and no time to call an API; a line on stdout costs nothing. Each flush writes
//! what happened **since the last flush**, because CloudWatch adds values up itself.
//!
//! Rules come from AWS's "Specification: Embedded metric format" (CloudWatch user guide, read 2026-11): at most
//! 100 metrics an object, at most 100 values a metric, at most 30 dimensions, no empty dimension value.

use crate::ALL;
use crate::metric::{CounterCell, GaugeCell, HistogramCell, Inner, Kind, Metric, Series};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

const MAX_METRICS: usize = 100;
const MAX_VALUES: usize = 100;
const MAX_DIMENSIONS: usize = 30;

/// One flush at a time: a value is taken, written and, when writing failed, put back.
static FLUSHING: Mutex<()> = Mutex::new(());

/// Writes what all metrics of [`ALL`] gathered since the last flush, one JSON object a line, and nothing if there is
/// nothing.
///
/// `dimensions` (name and value) are added to each metric's own labels; a label of the same name wins.
///
/// # Errors
/// The writer's error, or `InvalidInput` when there would be more than 30 dimensions. The values are then kept for the
/// next flush.
pub fn flush(namespace: &str, dimensions: &[(&str, &str)], out: &mut impl Write) -> io::Result<()> {
    let millis = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
    flush_metrics(&ALL, namespace, dimensions, millis, out)
}

fn flush_metrics(
    metrics: &[Metric],
    namespace: &str,
    dimensions: &[(&str, &str)],
    millis: u128,
    out: &mut impl Write,
) -> io::Result<()> {
    let _one_at_a_time = FLUSHING.lock().unwrap_or_else(PoisonError::into_inner);
    if metrics.iter().any(|metric| dimensions.len() + metric.labels().len() > MAX_DIMENSIONS) {
        let message = format!("more than {MAX_DIMENSIONS} dimensions, CloudWatch would drop the metrics; give fewer");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    let taken: Vec<(Metric, Taken)> = metrics.iter().flat_map(|metric| Taken::all(*metric)).collect();
    let written = out.write_all(lines(&taken, namespace, dimensions, millis).as_bytes()).and_then(|()| out.flush());
    if written.is_err() {
        taken.into_iter().for_each(|(_, taken)| taken.put_back());
    }
    written
}

/// Values of one series that were taken out of the model for this flush.
enum Taken {
    Counter(Arc<Series<CounterCell>>, u64),
    Gauge(Arc<Series<GaugeCell>>, f64),
    Histogram(Arc<Series<HistogramCell>>, Vec<f64>),
}

impl Taken {
    fn all(metric: Metric) -> Vec<(Metric, Taken)> {
        let taken: Vec<Taken> = match metric.0 {
            Inner::Counter(family) => {
                let deltas = family.all().into_iter().map(|series| (series.value.take_unflushed(), series));
                deltas.filter(|(count, _)| *count > 0).map(|(count, series)| Taken::Counter(series, count)).collect()
            }
            Inner::Gauge(family) => family
                .all()
                .into_iter()
                .map(|series| (series.value.get(), series))
                .map(|(value, series)| Taken::Gauge(series, value))
                .collect(),
            Inner::Histogram(family, _) => {
                let samples = family.all().into_iter().map(|series| (series.value.take_unflushed(), series));
                samples
                    .filter(|(values, _)| !values.is_empty())
                    .map(|(values, series)| Taken::Histogram(series, values))
                    .collect()
            }
        };
        taken.into_iter().map(|taken| (metric, taken)).collect()
    }

    fn labels(&self) -> &[String] {
        match self {
            Taken::Counter(series, _) => &series.labels,
            Taken::Gauge(series, _) => &series.labels,
            Taken::Histogram(series, _) => &series.labels,
        }
    }

    fn values(&self) -> Vec<f64> {
        match self {
            #[expect(clippy::cast_precision_loss, reason = "CloudWatch keeps doubles")]
            Taken::Counter(_, count) => vec![*count as f64],
            Taken::Gauge(_, value) => vec![*value],
            Taken::Histogram(_, values) => values.clone(),
        }
    }

    fn put_back(self) {
        match self {
            Taken::Counter(series, count) => series.value.put_back(count),
            Taken::Gauge(..) => {}
            Taken::Histogram(series, values) => series.value.put_back(values),
        }
    }
}

/// Names and values, in the order in which they are written.
type Dimensions<'a> = Vec<(&'a str, &'a str)>;

fn lines(taken: &[(Metric, Taken)], namespace: &str, dimensions: &[(&str, &str)], millis: u128) -> String {
    // One object holds one set of dimensions, so series with the same labels share it.
    let mut groups: BTreeMap<Dimensions<'_>, Vec<(&Metric, Vec<f64>)>> = BTreeMap::new();
    for (metric, taken) in taken {
        let labels = metric.labels().iter().copied().zip(taken.labels().iter().map(String::as_str));
        let own: Vec<(&str, &str)> = labels.collect();
        let common = dimensions.iter().copied().filter(|(name, _)| !metric.labels().contains(name));
        groups.entry(common.chain(own.iter().copied()).collect()).or_default().push((metric, taken.values()));
    }
    let mut text = String::with_capacity(2 * 1024);
    for (dimensions, metrics) in groups {
        let rounds = metrics.iter().map(|(_, values)| values.len().div_ceil(MAX_VALUES)).max().unwrap_or(0);
        for round in 0..rounds {
            let in_round: Vec<_> = metrics
                .iter()
                .filter_map(|(metric, values)| values.chunks(MAX_VALUES).nth(round).map(|values| (*metric, values)))
                .collect();
            for part in in_round.chunks(MAX_METRICS) {
                object(&mut text, namespace, &dimensions, part, millis);
            }
        }
    }
    text
}

/// Writes one object. By hand, so that the order of its keys does not hang on a feature of the JSON library.
fn object(
    text: &mut String,
    namespace: &str,
    dimensions: &[(&str, &str)],
    metrics: &[(&Metric, &[f64])],
    millis: u128,
) {
    // Writing to a string cannot fail.
    let _ = write!(text, "{{\"_aws\":{{\"Timestamp\":{millis},\"CloudWatchMetrics\":[{{\"Namespace\":");
    quoted(text, namespace);
    text.push_str(",\"Dimensions\":[[");
    list(text, dimensions, |text, (name, _)| quoted(text, name));
    text.push_str("]],\"Metrics\":[");
    list(text, metrics, |text, (metric, _)| {
        text.push_str("{\"Name\":");
        quoted(text, metric.name());
        let _ = write!(text, ",\"Unit\":\"{}\"}}", unit(metric));
    });
    text.push_str("]}]}");
    for (name, value) in dimensions {
        text.push(',');
        quoted(text, name);
        text.push(':');
        quoted(text, if value.is_empty() { "none" } else { value });
    }
    for (metric, values) in metrics {
        text.push(',');
        quoted(text, metric.name());
        text.push(':');
        if let [value] = values {
            let _ = write!(text, "{value}");
        } else {
            text.push('[');
            list(text, values, |text, value| {
                let _ = write!(text, "{value}");
            });
            text.push(']');
        }
    }
    text.push_str("}\n");
}

fn unit(metric: &Metric) -> &'static str {
    match metric.kind() {
        Kind::Counter => "Count",
        Kind::Gauge | Kind::Histogram if metric.name().ends_with("_seconds") => "Seconds",
        Kind::Gauge | Kind::Histogram => "Count",
    }
}

/// A JSON string. Names and most values are plain and are copied as they are.
fn quoted(text: &mut String, value: &str) {
    if value.bytes().all(|byte| byte >= 0x20 && !matches!(byte, b'"' | b'\\')) {
        text.push('"');
        text.push_str(value);
        text.push('"');
    } else {
        let _ = write!(text, "{}", serde_json::Value::from(value));
    }
}

/// Writes `items` with commas between them.
fn list<T>(text: &mut String, items: &[T], write: impl Fn(&mut String, &T)) {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        write(text, item);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{Counter, Gauge, Histogram};

    const DIMENSIONS: &[(&str, &str)] = &[("environment", "test"), ("region", "us-west-2")];

    fn flushed(metrics: &[Metric]) -> String {
        let mut out = Vec::new();
        flush_metrics(metrics, "Tandem", DIMENSIONS, 1_700_000_000_000, &mut out).expect("a vector takes everything");
        let text = String::from_utf8(out).expect("text");
        for line in text.lines() {
            serde_json::from_str::<serde_json::Value>(line).expect("each line is JSON");
        }
        text
    }

    #[test]
    fn objects_of_each_kind() {
        static COUNTER: Counter<1> = Counter::new("things_total", "things", &["function"]);
        static GAUGE: Gauge<0> = Gauge::new("level", "level", &[]);
        static HISTOGRAM: Histogram<1> = Histogram::new("took_seconds", "took", &["function"], &[0.1, 1.0]);
        COUNTER.add(&["a \"quoted\""], 3);
        COUNTER.inc(&[""]);
        GAUGE.set(&[], 1.5);
        HISTOGRAM.observe(&["a \"quoted\""], 0.25);
        HISTOGRAM.observe(&["a \"quoted\""], 0.000_001);
        insta::assert_snapshot!(flushed(&[COUNTER.metric(), GAUGE.metric(), HISTOGRAM.metric()]));
    }

    #[test]
    fn a_flush_writes_only_what_is_new() {
        static COUNTER: Counter<0> = Counter::new("new_total", "new", &[]);
        COUNTER.add(&[], 3);
        assert!(flushed(&[COUNTER.metric()]).contains("\"new_total\":3}"));
        assert_eq!(flushed(&[COUNTER.metric()]), "");
        COUNTER.add(&[], 2);
        assert!(flushed(&[COUNTER.metric()]).contains("\"new_total\":2}"));
    }

    #[test]
    fn a_failed_write_loses_nothing() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::Error::other("broken"))
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        static COUNTER: Counter<0> = Counter::new("kept_total", "kept", &[]);
        static HISTOGRAM: Histogram<0> = Histogram::new("kept_seconds", "kept", &[], &[1.0]);
        COUNTER.add(&[], 3);
        HISTOGRAM.observe(&[], 0.5);
        let metrics = [COUNTER.metric(), HISTOGRAM.metric()];
        flush_metrics(&metrics, "Tandem", DIMENSIONS, 0, &mut Broken).expect_err("the writer is broken");
        COUNTER.add(&[], 1);
        let text = flushed(&metrics);
        assert!(text.contains("\"kept_total\":4,\"kept_seconds\":0.5"), "{text}");
    }

    #[test]
    fn many_values_and_many_series_are_split() {
        static HISTOGRAM: Histogram<0> = Histogram::new("many_seconds", "many", &[], &[1.0]);
        for _ in 0..250 {
            HISTOGRAM.observe(&[], 0.5);
        }
        let text = flushed(&[HISTOGRAM.metric()]);
        let counts: Vec<usize> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
            .map(|object| object["many_seconds"].as_array().map_or(1, Vec::len))
            .collect();
        assert_eq!(counts, [100, 100, 50]);
    }

    #[test]
    fn more_than_a_hundred_metrics_need_two_objects() {
        let metrics: Vec<Metric> = (0..101)
            .map(|index| {
                let name: &'static str = Box::leak(format!("metric_{index:03}_total").into_boxed_str());
                let counter: &'static Counter<0> = Box::leak(Box::new(Counter::new(name, "many", &[])));
                counter.inc(&[]);
                counter.metric()
            })
            .collect();
        let text = flushed(&metrics);
        let objects: Vec<usize> = text.lines().map(|line| line.matches("\"Name\":").count()).collect();
        assert_eq!(objects, [100, 1]);
    }

    #[test]
    fn a_label_wins_over_a_dimension_of_the_same_name() {
        static COUNTER: Counter<1> = Counter::new("same_total", "same", &["region"]);
        COUNTER.inc(&["us-east-1"]);
        let text = flushed(&[COUNTER.metric()]);
        assert_eq!(text.matches("\"region\":").count(), 1, "{text}");
        assert!(text.contains("\"region\":\"us-east-1\""));
    }

    #[test]
    fn too_many_dimensions_are_refused() {
        static COUNTER: Counter<0> = Counter::new("crowded_total", "crowded", &[]);
        COUNTER.inc(&[]);
        let dimensions = vec![("name", "value"); 31];
        let error = flush_metrics(&[COUNTER.metric()], "Tandem", &dimensions, 0, &mut Vec::new()).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
