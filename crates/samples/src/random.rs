//! Numbers that look random and follow from a seed.

/// A generator by SplitMix64: good enough for samples, and the same everywhere and for ever.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is at least 1.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        u32::try_from(self.next() % u64::from(bound)).expect("invariant: less than a `u32`")
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }

    /// True in so many of a hundred cases.
    pub(crate) fn percent(&mut self, share: u32) -> bool {
        self.below(100) < share
    }

    /// One of the values; each is as likely.
    pub(crate) fn pick<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        let count = u32::try_from(values.len()).expect("invariant: lists of samples are short");
        &values[self.below(count) as usize]
    }

    /// One of the values; the first are likelier, as codes and names are in life.
    pub(crate) fn pick_early<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        let count = u32::try_from(values.len()).expect("invariant: lists of samples are short");
        let place = self.below(count).min(self.below(count)).min(self.below(count));
        &values[place as usize]
    }

    /// A text of so many characters of the alphabet, which is ASCII.
    pub(crate) fn text(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length).map(|_| char::from(*self.pick(alphabet))).collect()
    }
}

pub(crate) const DIGITS: &[u8] = b"0123456789";
pub(crate) const HEX: &[u8] = b"0123456789abcdef";
pub(crate) const CODE: &[u8] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
