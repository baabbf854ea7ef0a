//! The metric model: counters, gauges and histograms with a fixed set of label names.
//!
//! Values are atomics; the map from label values to a value is locked for reading on use and for writing only when a
//! new series appears. It knows nothing of any output format.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

/// Most series that one metric keeps, not counting the overflow series.
///
/// A label that turns out to be unbounded (a key, an error text) then costs precision and not the process's memory or
/// the CloudWatch bill, where each series is charged.
pub const MAX_SERIES: usize = 256;

/// Value of every label of the series that takes what comes after [`MAX_SERIES`].
pub const OVERFLOW_LABEL: &str = "other";

/// Longest label value in bytes; the rest is cut off. CloudWatch refuses dimension values over 1,024 characters.
pub const MAX_LABEL_BYTES: usize = 200;

/// Most observations that a histogram keeps for the next embedded-metric flush.
///
/// A function flushes after each invocation and observes at most a few hundred values in one. A program that never
/// flushes (the consumer is scraped instead) holds this many per series and no more.
const MAX_UNFLUSHED: usize = 1_000;

/// A number that only rises, by label values.
pub struct Counter<const LABELS: usize> {
    family: Family<CounterCell>,
}

/// A number that goes up and down, by label values.
pub struct Gauge<const LABELS: usize> {
    family: Family<GaugeCell>,
}

/// Observations sorted into fixed buckets, by label values.
pub struct Histogram<const LABELS: usize> {
    family: Family<HistogramCell>,
    bounds: &'static [f64],
}

/// One entry of [`crate::ALL`]: a declared metric of any kind.
#[derive(Clone, Copy)]
pub struct Metric(pub(crate) Inner);

/// What a metric's value means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only rises.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Distribution of observations.
    Histogram,
}

impl Kind {
    /// The word that the Prometheus text format uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}

impl Metric {
    /// The metric's name, in base units, ending in `_total` for counters.
    pub fn name(&self) -> &'static str {
        self.description().name
    }

    /// One sentence on what is measured.
    pub fn help(&self) -> &'static str {
        self.description().help
    }

    /// Names of the labels, in the order in which values are given.
    pub fn labels(&self) -> &'static [&'static str] {
        self.description().labels
    }

    /// What the value means.
    pub fn kind(&self) -> Kind {
        match self.0 {
            Inner::Counter(_) => Kind::Counter,
            Inner::Gauge(_) => Kind::Gauge,
            Inner::Histogram(..) => Kind::Histogram,
        }
    }

    fn description(&self) -> &'static Description {
        match self.0 {
            Inner::Counter(family) => &family.description,
            Inner::Gauge(family) => &family.description,
            Inner::Histogram(family, _) => &family.description,
        }
    }
}

impl<const LABELS: usize> Counter<LABELS> {
    /// Declares a counter; `labels` are the names of its labels.
    pub const fn new(name: &'static str, help: &'static str, labels: &'static [&'static str; LABELS]) -> Self {
        Self { family: Family::new(name, help, labels) }
    }

    /// Adds one to the series with these label values.
    pub fn inc(&self, labels: &[&str; LABELS]) {
        self.add(labels, 1);
    }

    /// Adds `count` to the series with these label values.
    pub fn add(&self, labels: &[&str; LABELS], count: u64) {
        self.family.series(labels, CounterCell::default).value.total.fetch_add(count, Ordering::Relaxed);
    }

    /// The current total of the series with these label values; 0 when nothing was counted yet.
    pub fn get(&self, labels: &[&str; LABELS]) -> u64 {
        self.family.find(labels).map_or(0, |series| series.value.total.load(Ordering::Relaxed))
    }

    /// This counter as an entry for a list of metrics.
    pub const fn metric(&'static self) -> Metric {
        Metric(Inner::Counter(&self.family))
    }
}

impl<const LABELS: usize> Gauge<LABELS> {
    /// Declares a gauge; `labels` are the names of its labels.
    pub const fn new(name: &'static str, help: &'static str, labels: &'static [&'static str; LABELS]) -> Self {
        Self { family: Family::new(name, help, labels) }
    }

    /// Sets the series with these label values. A value that is not a number is ignored.
    pub fn set(&self, labels: &[&str; LABELS], value: f64) {
        if value.is_finite() {
            self.family.series(labels, GaugeCell::default).value.bits.store(value.to_bits(), Ordering::Relaxed);
        }
    }

    /// Forgets the series with these label values, so that a partition given up is no longer reported.
    pub fn remove(&self, labels: &[&str; LABELS]) {
        self.family.remove(labels);
    }

    /// The current value of the series with these label values.
    pub fn get(&self, labels: &[&str; LABELS]) -> Option<f64> {
        self.family.find(labels).map(|series| series.value.get())
    }

    /// This gauge as an entry for a list of metrics.
    pub const fn metric(&'static self) -> Metric {
        Metric(Inner::Gauge(&self.family))
    }
}

impl<const LABELS: usize> Histogram<LABELS> {
    /// Declares a histogram of seconds; `bounds` are the upper bounds of its buckets, rising, without infinity.
    pub const fn new(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str; LABELS],
        bounds: &'static [f64],
    ) -> Self {
        Self { family: Family::new(name, help, labels), bounds }
    }

    /// Records one observation in seconds.
    ///
    /// Below zero counts as zero (clocks of two machines differ); a value that is not a number is ignored.
    pub fn observe(&self, labels: &[&str; LABELS], seconds: f64) {
        if seconds.is_finite() {
            let series = self.family.series(labels, || HistogramCell::new(self.bounds.len()));
            series.value.observe(self.bounds, seconds.max(0.0));
        }
    }

    /// Records one observation.
    pub fn observe_duration(&self, labels: &[&str; LABELS], duration: Duration) {
        self.observe(labels, duration.as_secs_f64());
    }

    /// How many observations the series with these label values holds.
    pub fn count(&self, labels: &[&str; LABELS]) -> u64 {
        self.family.find(labels).map_or(0, |series| series.value.snapshot().buckets.iter().sum())
    }

    /// This histogram as an entry for a list of metrics.
    pub const fn metric(&'static self) -> Metric {
        Metric(Inner::Histogram(&self.family, self.bounds))
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Inner {
    Counter(&'static Family<CounterCell>),
    Gauge(&'static Family<GaugeCell>),
    Histogram(&'static Family<HistogramCell>, &'static [f64]),
}

struct Description {
    name: &'static str,
    help: &'static str,
    labels: &'static [&'static str],
}

/// All series of one metric.
pub(crate) struct Family<Cell> {
    description: Description,
    /// Invariant: sorted by label values, without repetition, at most [`MAX_SERIES`] + 1 long.
    series: RwLock<Vec<Arc<Series<Cell>>>>,
}

/// One combination of label values and what was measured for it.
pub(crate) struct Series<Cell> {
    pub(crate) labels: Vec<String>,
    pub(crate) value: Cell,
}

impl<Cell> Family<Cell> {
    const fn new(name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Self {
        Self { description: Description { name, help, labels }, series: RwLock::new(Vec::new()) }
    }

    /// All series, in the order of their label values.
    pub(crate) fn all(&self) -> Vec<Arc<Series<Cell>>> {
        self.series.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn find(&self, labels: &[&str]) -> Option<Arc<Series<Cell>>> {
        let all = self.series.read().unwrap_or_else(PoisonError::into_inner);
        position(&all, labels).ok().map(|index| Arc::clone(&all[index]))
    }

    fn series(&self, labels: &[&str], empty: impl FnOnce() -> Cell) -> Arc<Series<Cell>> {
        if let Some(found) = self.find(labels) {
            return found;
        }
        let mut all = self.series.write().unwrap_or_else(PoisonError::into_inner);
        let overflow = vec![OVERFLOW_LABEL; labels.len()];
        let index = match position(&all, labels) {
            Ok(index) => index,
            Err(index) if all.len() < MAX_SERIES => {
                all.insert(index, Arc::new(Series::new(labels, empty())));
                index
            }
            Err(_) => position(&all, &overflow).unwrap_or_else(|index| {
                all.insert(index, Arc::new(Series::new(&overflow, empty())));
                index
            }),
        };
        Arc::clone(&all[index])
    }

    fn remove(&self, labels: &[&str]) {
        let mut all = self.series.write().unwrap_or_else(PoisonError::into_inner);
        if let Ok(index) = position(&all, labels) {
            all.remove(index);
        }
    }
}

impl<Cell> Series<Cell> {
    fn new(labels: &[&str], value: Cell) -> Self {
        Self { labels: labels.iter().map(|label| clip(label).to_owned()).collect(), value }
    }
}

fn position<Cell>(all: &[Arc<Series<Cell>>], labels: &[&str]) -> Result<usize, usize> {
    all.binary_search_by(|series| series.labels.iter().map(String::as_str).cmp(labels.iter().map(|label| clip(label))))
}

fn clip(label: &str) -> &str {
    &label[..label.floor_char_boundary(MAX_LABEL_BYTES)]
}

#[derive(Default)]
pub(crate) struct CounterCell {
    total: AtomicU64,
    flushed: AtomicU64,
}

impl CounterCell {
    pub(crate) fn get(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// What was counted since the last call. Callers are serialised by the flush lock.
    pub(crate) fn take_unflushed(&self) -> u64 {
        let total = self.get();
        total - self.flushed.swap(total, Ordering::Relaxed)
    }

    pub(crate) fn put_back(&self, count: u64) {
        self.flushed.fetch_sub(count, Ordering::Relaxed);
    }
}

#[derive(Default)]
pub(crate) struct GaugeCell {
    bits: AtomicU64,
}

impl GaugeCell {
    pub(crate) fn get(&self) -> f64 {
        f64::from_bits(self.bits.load(Ordering::Relaxed))
    }
}

pub(crate) struct HistogramCell {
    /// Observations per bucket, not cumulative; the last one has no upper bound.
    buckets: Box<[AtomicU64]>,
    sum_nanos: AtomicU64,
    unflushed: Mutex<Vec<f64>>,
    /// Set while `unflushed` is at its limit, so that a program which never flushes does not take the lock.
    full: AtomicBool,
}

pub(crate) struct HistogramSnapshot {
    pub(crate) buckets: Vec<u64>,
    pub(crate) sum_seconds: f64,
}

impl HistogramCell {
    fn new(bounds: usize) -> Self {
        Self {
            buckets: (0..=bounds).map(|_| AtomicU64::new(0)).collect(),
            sum_nanos: AtomicU64::new(0),
            unflushed: Mutex::new(Vec::new()),
            full: AtomicBool::new(false),
        }
    }

    fn observe(&self, bounds: &[f64], seconds: f64) {
        let bucket = bounds.partition_point(|bound| *bound < seconds);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast saturates, seconds >= 0"
        )]
        self.sum_nanos.fetch_add((seconds * 1e9) as u64, Ordering::Relaxed);
        if !self.full.load(Ordering::Relaxed) {
            let mut unflushed = self.unflushed.lock().unwrap_or_else(PoisonError::into_inner);
            if unflushed.len() < MAX_UNFLUSHED {
                unflushed.push(seconds);
            } else {
                self.full.store(true, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn snapshot(&self) -> HistogramSnapshot {
        #[expect(clippy::cast_precision_loss, reason = "nanoseconds of a sum need no more than 53 bits to be useful")]
        let sum_seconds = self.sum_nanos.load(Ordering::Relaxed) as f64 / 1e9;
        HistogramSnapshot {
            buckets: self.buckets.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
            sum_seconds,
        }
    }

    pub(crate) fn take_unflushed(&self) -> Vec<f64> {
        let taken = std::mem::take(&mut *self.unflushed.lock().unwrap_or_else(PoisonError::into_inner));
        self.full.store(false, Ordering::Relaxed);
        taken
    }

    pub(crate) fn put_back(&self, mut values: Vec<f64>) {
        let mut unflushed = self.unflushed.lock().unwrap_or_else(PoisonError::into_inner);
        values.append(&mut unflushed);
        values.truncate(MAX_UNFLUSHED);
        *unflushed = values;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn concurrent_increments_are_all_counted() {
        static HITS: Counter<1> = Counter::new("hits_total", "hits", &["who"]);
        static TOOK: Histogram<0> = Histogram::new("took_seconds", "took", &[], &[0.5]);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                scope.spawn(move || {
                    for _ in 0..1_000 {
                        HITS.inc(&[if thread % 2 == 0 { "even" } else { "odd" }]);
                        TOOK.observe(&[], 0.25);
                    }
                });
            }
        });
        assert_eq!((HITS.get(&["even"]), HITS.get(&["odd"])), (4_000, 4_000));
        assert_eq!(TOOK.count(&[]), 8_000);
    }

    #[test]
    fn series_beyond_the_cap_share_one() {
        static WIDE: Counter<2> = Counter::new("wide_total", "wide", &["key", "kind"]);
        for key in 0..MAX_SERIES + 50 {
            WIDE.inc(&[&format!("key-{key}"), "a"]);
        }
        assert_eq!(WIDE.family.all().len(), MAX_SERIES + 1);
        assert_eq!(WIDE.get(&[OVERFLOW_LABEL, OVERFLOW_LABEL]), 50);
        WIDE.inc(&["key-0", "a"]);
        assert_eq!(WIDE.get(&["key-0", "a"]), 2, "a series that exists is not affected by the cap");
    }

    #[test]
    fn long_label_values_are_cut_at_a_character() {
        static LONG: Counter<1> = Counter::new("long_total", "long", &["text"]);
        let text = "é".repeat(MAX_LABEL_BYTES);
        LONG.inc(&[&text]);
        LONG.inc(&[&text]);
        assert_eq!(LONG.get(&[&text]), 2);
        assert_eq!(LONG.family.all()[0].labels[0].len(), MAX_LABEL_BYTES);
    }

    #[test]
    fn bounds_belong_to_their_bucket_and_odd_values_do_no_harm() {
        static EDGE: Histogram<0> = Histogram::new("edge_seconds", "edge", &[], &[0.1, 1.0]);
        for seconds in [0.1, 1.0, 1.5, -3.0, f64::NAN, f64::INFINITY] {
            EDGE.observe(&[], seconds);
        }
        let snapshot = EDGE.family.all()[0].value.snapshot();
        assert_eq!(snapshot.buckets, [2, 1, 1]);
        assert!((snapshot.sum_seconds - 2.6).abs() < 1e-9);
    }

    #[test]
    fn a_program_that_never_flushes_keeps_a_bounded_number_of_samples() {
        static MANY: Histogram<0> = Histogram::new("many_seconds", "many", &[], &[1.0]);
        for _ in 0..MAX_UNFLUSHED * 2 {
            MANY.observe(&[], 0.5);
        }
        let cell = &MANY.family.all()[0].value;
        assert_eq!(cell.take_unflushed().len(), MAX_UNFLUSHED);
        MANY.observe(&[], 0.5);
        assert_eq!(cell.take_unflushed().len(), 1, "after a flush there is room again");
        assert_eq!(MANY.count(&[]), MAX_UNFLUSHED as u64 * 2 + 1);
    }

    #[test]
    fn a_removed_gauge_series_is_gone() {
        static LAG: Gauge<1> = Gauge::new("lag_records", "lag", &["partition"]);
        LAG.set(&["0"], 5.0);
        LAG.set(&["1"], f64::NAN);
        assert_eq!((LAG.get(&["0"]), LAG.get(&["1"])), (Some(5.0), None));
        LAG.remove(&["0"]);
        assert_eq!(LAG.get(&["0"]), None);
    }
}
