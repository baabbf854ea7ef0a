//! Which rows change how often.

use crate::random::Random;

/// How much flatter than Zipf's law the most popular rows are. Without it the first of 2,000 rows would take one change in
/// eight, more than a row can be written one change after the other; with it it takes one in fifty.
const FLATTENED: u64 = 7;
/// The weight of an imaginary row of rank 1 without the flattening. Whole numbers, because powers and logarithms of
/// floating-point numbers may differ between machines.
const UNIT: u64 = 1 << 32;

/// A Zipf-Mandelbrot law: the row of rank n is as likely as 1 / (n + 7).
#[derive(Clone, Debug)]
pub(crate) struct Popularity {
    /// The weights of each rank and all before it, summed up.
    sums: Vec<u64>,
}

impl Popularity {
    /// A law over `ranks` rows, of which there is at least one.
    pub(crate) fn new(ranks: usize) -> Self {
        let weights = (1..=ranks.max(1) as u64).map(|rank| UNIT / (rank + FLATTENED));
        let sums = weights.scan(0, |sum, weight| {
            *sum += weight;
            Some(*sum)
        });
        Self { sums: sums.collect() }
    }

    /// A rank, counted from 0.
    pub(crate) fn draw(&self, random: &mut Random) -> usize {
        let whole = self.sums.last().copied().expect("invariant: there is a rank");
        let drawn = random.below(whole);
        self.sums.partition_point(|sum| *sum <= drawn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_rows_are_drawn_most_and_the_last_ones_too() {
        let (popularity, mut random) = (Popularity::new(2_000), Random::new(1));
        let mut drawn = vec![0_u32; 2_000];
        for _ in 0..100_000 {
            drawn[popularity.draw(&mut random)] += 1;
        }
        assert!((1_800..2_700).contains(&drawn[0]), "{}", drawn[0]);
        let (first_tenth, last_tenth): (u32, u32) = (drawn[..200].iter().sum(), drawn[1_800..].iter().sum());
        assert!(first_tenth > 20 * last_tenth, "{first_tenth} and {last_tenth}");
        assert!(last_tenth > 500, "{last_tenth}");
    }
}
