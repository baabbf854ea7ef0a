//! The Prometheus text format, version 0.0.4.
//!
//! Only renders; serving it over HTTP is the program's business.

use crate::ALL;
use crate::metric::{Inner, Metric};

/// The `Content-Type` that belongs to [`render`]'s text.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// All metrics of [`ALL`] with their current values.
pub fn render() -> String {
    render_metrics(&ALL)
}

fn render_metrics(metrics: &[Metric]) -> String {
    let mut text = String::with_capacity(4096);
    for metric in metrics {
        header(&mut text, metric);
        match metric.0 {
            Inner::Counter(family) => {
                for series in family.all() {
                    line(&mut text, metric, "", &series.labels, None, &series.value.get().to_string());
                }
            }
            Inner::Gauge(family) => {
                for series in family.all() {
                    line(&mut text, metric, "", &series.labels, None, &series.value.get().to_string());
                }
            }
            Inner::Histogram(family, bounds) => {
                for series in family.all() {
                    let snapshot = series.value.snapshot();
                    let mut count = 0;
                    for (index, in_bucket) in snapshot.buckets.iter().enumerate() {
                        count += in_bucket;
                        let bound = bounds.get(index).map_or_else(|| "+Inf".to_owned(), f64::to_string);
                        line(&mut text, metric, "_bucket", &series.labels, Some(&bound), &count.to_string());
                    }
                    line(&mut text, metric, "_sum", &series.labels, None, &snapshot.sum_seconds.to_string());
                    line(&mut text, metric, "_count", &series.labels, None, &count.to_string());
                }
            }
        }
    }
    text
}

fn header(text: &mut String, metric: &Metric) {
    let help = metric.help().replace('\\', "\\\\").replace('\n', "\\n");
    text.push_str(&format!("# HELP {} {help}\n# TYPE {} {}\n", metric.name(), metric.name(), metric.kind().as_str()));
}

fn line(text: &mut String, metric: &Metric, suffix: &str, values: &[String], bound: Option<&str>, number: &str) {
    text.push_str(metric.name());
    text.push_str(suffix);
    let labels = metric.labels().iter().copied().zip(values.iter().map(String::as_str));
    let mut separator = '{';
    for (name, value) in labels.chain(bound.map(|bound| ("le", bound))) {
        text.push(separator);
        text.push_str(name);
        text.push_str("=\"");
        escape(text, value);
        text.push('"');
        separator = ',';
    }
    if separator == ',' {
        text.push('}');
    }
    text.push(' ');
    text.push_str(number);
    text.push('\n');
}

fn escape(text: &mut String, value: &str) {
    for character in value.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::{Counter, Gauge, Histogram};

    #[test]
    fn text_of_each_kind() {
        static COUNTER: Counter<2> = Counter::new("things_total", "Things, \\ counted.", &["kind", "text"]);
        static GAUGE: Gauge<0> = Gauge::new("level", "Level.", &[]);
        static HISTOGRAM: Histogram<1> = Histogram::new("took_seconds", "Took.", &["who"], &[0.1, 1.0]);
        COUNTER.add(&["b", "plain"], 3);
        COUNTER.inc(&["a", "quote \" back \\ line \n end"]);
        GAUGE.set(&[], 1.5);
        for seconds in [0.05, 0.5, 0.5, 7.0] {
            HISTOGRAM.observe(&["me"], seconds);
        }
        insta::assert_snapshot!(render_metrics(&[COUNTER.metric(), GAUGE.metric(), HISTOGRAM.metric()]));
    }

    #[test]
    fn every_declared_metric_is_rendered() {
        let text = render();
        for metric in &ALL {
            assert!(text.contains(&format!("# TYPE {} {}\n", metric.name(), metric.kind().as_str())));
        }
    }
}
