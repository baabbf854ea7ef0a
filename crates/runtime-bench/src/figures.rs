//! What is printed of many measurements.

use std::time::Duration;

use serde_json::{Value, json};

/// The nearest-rank percentile of sorted values, in thousandths: 500 is the median, 999 what one of a thousand exceeds.
/// Zero when there are no values.
pub fn percentile(sorted: &[Duration], thousandths: usize) -> Duration {
    let rank = (sorted.len() * thousandths).div_ceil(1000).max(1);
    sorted.get(rank - 1).or(sorted.last()).copied().unwrap_or_default()
}

/// The median of a few values; of two in the middle the lower one. Zero when there are no values.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

/// Milliseconds with three decimals.
pub fn millis(duration: Duration) -> f64 {
    rounded(duration.as_secs_f64() * 1e3, 3)
}

/// A number with so many decimals.
pub fn rounded(value: f64, decimals: i32) -> f64 {
    let factor = 10_f64.powi(decimals);
    (value * factor).round() / factor
}

/// Percentiles in milliseconds, of unsorted values.
pub fn percentiles(mut values: Vec<Duration>, named: &[(&str, usize)]) -> Value {
    values.sort_unstable();
    named
        .iter()
        .map(|(name, thousandths)| ((*name).to_owned(), json!(millis(percentile(&values, *thousandths)))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let thousand: Vec<Duration> = (1..=1000).map(Duration::from_millis).collect();
        for (thousandths, expected) in [(500, 500), (990, 990), (999, 999), (1000, 1000), (0, 1)] {
            assert_eq!(percentile(&thousand, thousandths), Duration::from_millis(expected));
        }
        assert_eq!(percentile(&thousand[..3], 500), Duration::from_millis(2));
        assert_eq!(percentile(&[], 500), Duration::ZERO);
    }

    #[test]
    fn the_median_of_a_few() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0]), 1.0);
        assert_eq!(median(Vec::new()), 0.0);
    }
}
