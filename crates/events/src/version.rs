//! The order of changes: Qlik's change sequence and the version that every row carries.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::text::serde_as_text;

/// Qlik's change sequence: 35 digits, 16 of time (`YYYYMMDDHHmmSShh`) and 19 of a counter that one task shares over all its tables.
///
/// All have the same width, so byte order is the order of changes.
/// (Qlik Replicate help, "Change Tables": `[header__]change_seq`.)
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChangeSequence(String);

impl ChangeSequence {
    const DIGITS: usize = 35;
    const MAX_COUNTER: u64 = 9_999_999_999_999_999_999;

    /// The sequence of a change at `at` (UTC, to the hundredth of a second) with the task's `counter`.
    /// Counters beyond 19 digits are cut to the largest one.
    pub fn new(at: Timestamp, counter: u64) -> Self {
        let time = at.to_zoned(TimeZone::UTC).datetime();
        let counter = counter.min(Self::MAX_COUNTER);
        Self(format!(
            "{:04}{:02}{:02}{:02}{:02}{:02}{:02}{counter:019}",
            time.year().max(0),
            time.month(),
            time.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.millisecond() / 10,
        ))
    }

    /// The 35 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

impl fmt::Display for ChangeSequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ChangeSequence {
    type Err = InvalidChangeSequence;

    fn from_str(text: &str) -> Result<Self, InvalidChangeSequence> {
        let is_number = text.len() == Self::DIGITS && text.bytes().all(|byte| byte.is_ascii_digit());
        // Nothing would ever get past a row with the sequence that ends a generation.
        if is_number && !is_end(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidChangeSequence(text.chars().take(64).collect()))
        }
    }
}

/// Whether a version with these digits ends its generation; see [`Version::end_of`].
fn is_end(digits: &str) -> bool {
    digits.len() == ChangeSequence::DIGITS && digits.bytes().all(|byte| byte == b'9')
}

/// A text that is no change sequence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no change sequence; expected 35 digits, not all of them 9")]
pub struct InvalidChangeSequence(String);

/// The version of a row: `{generation:010}|{phase}|{changeSequence}`.
///
/// Invariant: the order of versions is the order of their bytes, which a DynamoDB condition compares.
/// A newer generation (a reload from the source) beats an older one;
/// within a generation a captured change (phase 1) beats a full-load row (phase 0, no sequence), and sequences decide between captured changes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(String);

impl Version {
    const GENERATION_DIGITS: usize = 10;

    /// The version of a captured change.
    pub fn cdc(generation: u32, sequence: &ChangeSequence) -> Self {
        // Made for every change, so without the general way to pad a number.
        let generation = u64::from(generation) + 10_u64.pow(10);
        let mut text = String::with_capacity(Self::GENERATION_DIGITS + 3 + ChangeSequence::DIGITS);
        text.push_str(&generation.to_string()[1..]);
        text.push_str("|1|");
        text.push_str(sequence.as_str());
        Self(text)
    }

    /// The version of a row of the full load.
    pub fn refresh(generation: u32) -> Self {
        Self(format!("{generation:010}|0|"))
    }

    /// The version that ends a generation: above all others of it, and below all of later ones.
    ///
    /// A sweep gives it to rows that a reload no longer had. It has the form of a captured change, so that every reader knows
    /// it, and no change has it: a sequence begins with a date, so nobody misses the one of nines, which is refused.
    pub fn end_of(generation: u32) -> Self {
        Self(format!("{generation:010}|1|{}", "9".repeat(ChangeSequence::DIGITS)))
    }

    /// The version as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The generation.
    pub fn generation(&self) -> u32 {
        let digits = self.0.get(..Self::GENERATION_DIGITS).and_then(|digits| digits.parse().ok());
        digits.expect("a version begins with the ten digits of a generation")
    }

    /// A text that is below all versions of this one's generation and above all versions of earlier ones.
    pub fn generation_floor(&self) -> &str {
        &self.0[..=Self::GENERATION_DIGITS]
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Version {
    type Err = InvalidVersion;

    fn from_str(text: &str) -> Result<Self, InvalidVersion> {
        let invalid = || InvalidVersion(text.chars().take(64).collect());
        let mut parts = text.splitn(3, '|');
        let (Some(generation), Some(phase), Some(sequence)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(invalid());
        };
        if generation.len() != Self::GENERATION_DIGITS || !generation.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(invalid());
        }
        let generation: u32 = generation.parse().map_err(|_| invalid())?;
        match phase {
            "0" if sequence.is_empty() => Ok(Self::refresh(generation)),
            "1" if is_end(sequence) => Ok(Self::end_of(generation)),
            "1" => Ok(Self::cdc(generation, &sequence.parse().map_err(|_| invalid())?)),
            _ => Err(invalid()),
        }
    }
}

serde_as_text!(ChangeSequence, Version);

/// A text that is no version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version; expected `<generation, 10 digits>|0|` or `<generation, 10 digits>|1|<change sequence>`")]
pub struct InvalidVersion(String);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn versions() -> impl Strategy<Value = (u32, Option<(i64, u64)>)> {
        (any::<u32>(), proptest::option::of((0_i64..253_402_300_799, 0..u64::MAX / 2)))
    }

    fn version((generation, change): &(u32, Option<(i64, u64)>)) -> Version {
        match change {
            None => Version::refresh(*generation),
            Some((second, counter)) => {
                let at = Timestamp::from_second(*second).expect("in range");
                Version::cdc(*generation, &ChangeSequence::new(at, *counter))
            }
        }
    }

    #[test]
    fn a_sequence_is_time_then_counter() {
        let at: Timestamp = "2023-09-11T03:23:25.129Z".parse().expect("valid");
        assert_eq!(ChangeSequence::new(at, 5).as_str(), "20230911032325120000000000000000005");
        assert_eq!(ChangeSequence::new(at, u64::MAX).as_str().len(), 35);
    }

    #[test]
    fn no_change_ends_a_generation() {
        let end = "9".repeat(35);
        assert!(end.parse::<ChangeSequence>().is_err());
        assert_eq!(format!("0000000001|1|{end}").parse(), Ok(Version::end_of(1)));
    }

    #[test]
    fn malformed_versions_are_refused() {
        let good = format!("0000000001|1|{}", "2".repeat(35));
        assert!(good.parse::<Version>().is_ok());
        for bad in [
            "",
            "1|0|",
            "0000000001|0|1",
            "0000000001|2|",
            "0000000001|1|",
            "0000000001|1|12",
            "9999999999|0|",
            "+000000001|0|",
            "0000000001|1|2023091103232500000000000000000000x",
        ] {
            assert!(bad.parse::<Version>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_what_is_printed_gives_the_same(parts in versions()) {
            let version = version(&parts);
            prop_assert_eq!(version.to_string().parse::<Version>(), Ok(version));
        }

        #[test]
        fn a_generation_is_above_its_floor_and_earlier_ones_are_below(left in versions(), right in versions()) {
            let (floor, other) = (version(&left), version(&right));
            prop_assert_eq!(other.as_str() >= floor.generation_floor(), right.0 >= left.0);
        }

        #[test]
        fn a_generation_ends_above_its_changes_and_below_later_ones(of in versions(), other in versions()) {
            let end = Version::end_of(of.0);
            prop_assert_eq!(version(&other) < end, other.0 <= of.0);
            prop_assert_eq!(end.generation(), of.0);
            prop_assert_eq!(version(&of).generation(), of.0);
            prop_assert_eq!(end.to_string().parse::<Version>(), Ok(end));
        }

        /// The order of the text is the order of (generation, phase, time, counter).
        #[test]
        fn byte_order_is_the_order(left in versions(), right in versions()) {
            prop_assert_eq!(version(&left).cmp(&version(&right)), left.cmp(&right));
        }

        #[test]
        fn any_text_is_handled(text in ".{0,60}") {
            if let Ok(version) = text.parse::<Version>() {
                prop_assert_eq!(version.as_str(), text);
            }
        }
    }
}
