//! What a smoke test found: a table of hops, and exactly what is missing where.

use std::time::Duration;

use events::Region;
use infra::environment::Environment;
use serde::Serialize;

use super::ledger::{Hop, Ledger, quantile};
use super::workload::Workload;
use crate::error::Error;
use crate::ui::{elapsed_text, table};

/// How many missing changes, loops and contradictions are listed one by one.
const LISTED: usize = 20;

/// What a smoke test found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The environment.
    pub environment: String,
    /// The run's name, part of its keys.
    pub run: String,
    /// Whether everything arrived everywhere, once.
    pub passed: bool,
    /// Changes that were sent and count.
    pub count: usize,
    /// Keys that they were spread over.
    pub keys: usize,
    /// Time from the first change to the end, in seconds.
    pub elapsed_secs: f64,
    /// The places where each change must arrive.
    pub hops: Vec<HopReport>,
    /// Changes that did not arrive, at most some per hop.
    pub missing: Vec<Missing>,
    /// Events that came back, or were made anew in the wrong region; at most some.
    pub loops: Vec<String>,
    /// How many there were.
    pub loop_count: usize,
    /// Contradictions: events with a wrong type, id or content; at most some.
    pub wrong: Vec<String>,
    /// How many there were.
    pub wrong_count: usize,
    /// Deliveries that EventBridge or SQS repeated by themselves, which they may.
    pub transport_repeats: usize,
}

/// One hop of the report.
#[derive(Clone, Debug, Serialize)]
pub struct HopReport {
    /// From where to where.
    pub hop: String,
    /// Changes that must arrive.
    pub expected: usize,
    /// Changes that did.
    pub arrived: usize,
    /// Arrivals beyond the first.
    pub duplicates: usize,
    /// Median time in milliseconds.
    pub p50_ms: Option<f64>,
    /// Time within which 99 of 100 arrived, in milliseconds.
    pub p99_ms: Option<f64>,
}

/// A change that did not arrive.
#[derive(Clone, Debug, Serialize)]
pub struct Missing {
    /// Where.
    pub hop: String,
    /// Its key.
    pub key: String,
    /// Its version.
    pub version: String,
    /// Its event's id.
    pub event_id: String,
}

impl Report {
    pub(super) fn of(
        environment: &Environment,
        home: &Region,
        peer: &Region,
        workload: &Workload,
        ledger: &Ledger,
        elapsed: Duration,
    ) -> Self {
        Self::new(environment.environment_name(), home, peer, workload, ledger, elapsed)
    }

    fn new(
        environment: &str,
        home: &Region,
        peer: &Region,
        workload: &Workload,
        ledger: &Ledger,
        elapsed: Duration,
    ) -> Self {
        let name = |hop| match hop {
            Hop::Row => format!("Kafka → row in {home}"),
            Hop::Replica => format!("row → replica in {peer}"),
            Hop::OwnBus => format!("Kafka → bus of {home}"),
            Hop::PeerBus => format!("Kafka → bus of {peer}"),
        };
        let count = workload.counted();
        let hops = Hop::ALL.map(|hop| {
            let latencies = ledger.latencies(hop);
            let millis = |share| quantile(&latencies, share).map(|value| value.as_secs_f64() * 1_000.0);
            HopReport {
                hop: name(hop),
                expected: count,
                arrived: ledger.arrived(hop),
                duplicates: ledger.duplicates(hop),
                p50_ms: millis(0.5),
                p99_ms: millis(0.99),
            }
        });
        let missing = Hop::ALL.into_iter().flat_map(|hop| {
            ledger.missing(hop).into_iter().take(LISTED).map(move |index| (hop, index)).collect::<Vec<_>>()
        });
        let missing = missing.map(|(hop, index)| {
            let change = &workload.changes()[index];
            Missing {
                hop: name(hop),
                key: workload.keys()[change.key].key.as_str().to_owned(),
                version: change.version.as_str().to_owned(),
                event_id: change.event_id.to_string(),
            }
        });
        let clean = ledger.loops().is_empty() && ledger.wrongs().is_empty();
        let once = hops.iter().all(|hop| hop.arrived == hop.expected && hop.duplicates == 0);
        Self {
            environment: environment.to_owned(),
            run: workload.run().to_owned(),
            passed: clean && once,
            count,
            keys: workload.keys().len(),
            elapsed_secs: elapsed.as_secs_f64(),
            hops: hops.into(),
            missing: missing.collect(),
            loops: ledger.loops().iter().take(LISTED).cloned().collect(),
            loop_count: ledger.loops().len(),
            wrong: ledger.wrongs().iter().take(LISTED).cloned().collect(),
            wrong_count: ledger.wrongs().len(),
            transport_repeats: ledger.repeats(),
        }
    }

    /// The report for people, line by line.
    pub fn render(&self) -> Vec<String> {
        let mut rows = vec![["hop", "arrived", "twice", "p50 ms", "p99 ms"].map(str::to_owned).to_vec()];
        let millis = |value: Option<f64>| value.map_or_else(|| "—".to_owned(), |value| format!("{value:.0}"));
        for hop in &self.hops {
            let arrived = format!("{} of {}", hop.arrived, hop.expected);
            rows.push(vec![
                hop.hop.clone(),
                arrived,
                hop.duplicates.to_string(),
                millis(hop.p50_ms),
                millis(hop.p99_ms),
            ]);
        }
        let mut lines = table(&rows);
        let unlisted: usize =
            self.hops.iter().map(|hop| hop.expected - hop.arrived).sum::<usize>() - self.missing.len();
        for missing in &self.missing {
            lines.push(format!(
                "missing at {}: {} version {} (event {})",
                missing.hop, missing.key, missing.version, missing.event_id
            ));
        }
        lines.extend((unlisted > 0).then(|| format!("and {unlisted} more are missing")));
        lines.extend(self.loops.iter().map(|what| format!("loop in {what}")));
        lines.extend(self.wrong.iter().map(|what| format!("wrong: {what}")));
        let elapsed = elapsed_text(Duration::from_secs_f64(self.elapsed_secs));
        let verdict = match (self.passed, self.loop_count) {
            (true, _) => "each arrived once everywhere, no loop".to_owned(),
            (false, loops) => format!("FAILED, {loops} loops, {} contradictions", self.wrong_count),
        };
        lines.push(format!("{} changes of {} keys in {elapsed}: {verdict}", self.count, self.keys));
        lines
    }

    /// Success, or the error that a failed test is.
    ///
    /// # Errors
    /// Something did not arrive, arrived twice, went round or was wrong.
    pub fn verdict(&self) -> Result<(), Error> {
        if self.passed {
            return Ok(());
        }
        let mut error = Error::remote(format!("the smoke test of `{}` failed", self.environment));
        for hop in &self.hops {
            if hop.arrived < hop.expected {
                error = error.detail(format!(
                    "{}: {} of {} are missing",
                    hop.hop,
                    hop.expected - hop.arrived,
                    hop.expected
                ));
            }
            if hop.duplicates > 0 {
                error = error.detail(format!("{}: {} came more than once", hop.hop, hop.duplicates));
            }
        }
        if self.loop_count > 0 {
            error = error.detail(format!("{} events went round", self.loop_count));
        }
        if self.wrong_count > 0 {
            error = error.detail(format!("{} contradictions", self.wrong_count));
        }
        Err(error.hint("look into the logs (`synth local logs`) and the dead-letter queues of the functions"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rows_arrive: bool) -> Report {
        let workload = Workload::example(3);
        let mut ledger = Ledger::new(&workload);
        for (index, change) in workload.changes().iter().enumerate() {
            ledger.sent(index, Duration::ZERO);
            if rows_arrive {
                ledger.row(Hop::Row, change.key, &change.version, Duration::from_millis(12));
            }
        }
        let (home, peer) = ("us-west-2".parse().unwrap(), "us-east-1".parse().unwrap());
        Report::new("test", &home, &peer, &workload, &ledger, Duration::from_millis(2_500))
    }

    #[test]
    fn a_failed_report_says_what_is_missing_where() {
        let report = report(true);
        assert!(!report.passed);
        let text = report.render().join("\n");
        assert!(
            text.starts_with(
                "hop                         arrived  twice  p50 ms  p99 ms\n\
             Kafka → row in us-west-2    3 of 3   0      12      12\n"
            ),
            "{text}"
        );
        assert_eq!(text.matches("missing at Kafka → bus of us-east-1: smoke-test-0 version ").count(), 3, "{text}");
        let error = report.verdict().unwrap_err();
        assert_eq!(error.details().len(), 3, "{:?}", error.details());
        assert_eq!(error.details()[0], "row → replica in us-east-1: 3 of 3 are missing");
    }

    #[test]
    fn the_list_of_missing_changes_is_capped_but_the_number_is_not() {
        let workload = Workload::example(100);
        let ledger = Ledger::new(&workload);
        let (home, peer) = ("us-west-2".parse().unwrap(), "us-east-1".parse().unwrap());
        let report = Report::new("test", &home, &peer, &workload, &ledger, Duration::from_secs(1));
        assert_eq!(report.missing.len(), 4 * LISTED);
        assert!(report.render().contains(&format!("and {} more are missing", 400 - 4 * LISTED)));
        assert!(serde_json::to_string(&report).unwrap().contains("\"passed\":false"));
    }
}
