//! Numbers, compared as decimals: no digit is lost, however long the number is.

use super::Mistake;
use events::raw::ViolationCode;
use std::cmp::Ordering;

/// The range of a number.
#[derive(Clone, Debug, Default)]
pub(crate) struct NumberRule {
    pub(crate) minimum: Option<Decimal>,
    pub(crate) maximum: Option<Decimal>,
    pub(crate) whole: bool,
}

impl NumberRule {
    /// Checks a JSON number.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn check(&self, number: &str) -> Result<(), Vec<Mistake>> {
        let value = Decimal::parse(number);
        let mut mistakes = Vec::new();
        if self.whole && !value.is_whole() {
            mistakes.push(Mistake::new(ViolationCode::NotWhole, "expected a whole number"));
        }
        if let Some(minimum) = self.minimum.as_ref().filter(|minimum| value < **minimum) {
            mistakes.push(Mistake::new(ViolationCode::TooSmall, format!("expected at least {}", minimum.text)));
        }
        if let Some(maximum) = self.maximum.as_ref().filter(|maximum| value > **maximum) {
            mistakes.push(Mistake::new(ViolationCode::TooLarge, format!("expected at most {}", maximum.text)));
        }
        if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
    }
}

/// A decimal number: `0.digits × 10^exponent`.
///
/// Invariant: `digits` neither begins nor ends with a zero; it is empty for zero, which is then neither negative nor has
/// an exponent.
#[derive(Clone, Debug)]
pub(crate) struct Decimal {
    text: String,
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    /// Reads a JSON number. An exponent beyond 10^15 counts as that: no bound of a rule is out there.
    pub(crate) fn parse(text: &str) -> Self {
        const FARTHEST: i64 = 1_000_000_000_000_000;
        let (negative, unsigned) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, power) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let farthest = if power.starts_with('-') { -FARTHEST } else { FARTHEST };
        let power = power.parse::<i64>().unwrap_or(farthest).clamp(-FARTHEST, FARTHEST);
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: String = [whole, fraction].concat();
        let significant = all.trim_start_matches('0');
        let digits = significant.trim_end_matches('0').to_owned();
        let leading_zeros = all.len() - significant.len();
        let place = |length: usize| i64::try_from(length).unwrap_or(FARTHEST);
        let exponent = if digits.is_empty() { 0 } else { power + place(whole.len()) - place(leading_zeros) };
        Self { text: text.to_owned(), negative: negative && !digits.is_empty(), digits, exponent }
    }

    fn is_whole(&self) -> bool {
        i64::try_from(self.digits.len()).is_ok_and(|length| length <= self.exponent.max(0))
    }

    fn magnitude(&self, other: &Self) -> Ordering {
        // Zero first: its exponent says nothing.
        (!self.digits.is_empty())
            .cmp(&!other.digits.is_empty())
            .then(self.exponent.cmp(&other.exponent))
            .then_with(|| self.digits.cmp(&other.digits))
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Decimal {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::parse(text)
    }

    #[test]
    fn order_is_exact() {
        let rising = [
            "-1e400",
            "-9007199254740993",
            "-9007199254740992",
            "-1.5",
            "-1e-400",
            "0",
            "1e-400",
            "0.1",
            "0.10000000000000000000000000000000000001",
            "1",
            "9007199254740992",
            "9007199254740992.5",
            "9007199254740993",
            "1e400",
            "1e999999999999999999999",
        ];
        for (place, smaller) in rising.iter().enumerate() {
            for larger in &rising[place + 1..] {
                assert!(decimal(smaller) < decimal(larger), "{smaller} < {larger}");
                assert!(decimal(larger) > decimal(smaller), "{larger} > {smaller}");
            }
        }
    }

    #[test]
    fn spellings_of_one_number_are_equal() {
        for (a, b) in [("0", "-0.000e5"), ("1", "1.000"), ("100", "1E+2"), ("0.05", "5e-2"), ("0.0012e3", "1.2")] {
            assert_eq!(decimal(a), decimal(b));
        }
    }

    #[test]
    fn whole_numbers() {
        for whole in ["0", "-0.0", "1", "1.0", "1e2", "1.25e2", "123456789012345678901234567890", "-7"] {
            assert!(decimal(whole).is_whole(), "{whole}");
        }
        for not in ["0.5", "1.25e1", "1e-1", "-1.000000000000000000001", "9007199254740992.5"] {
            assert!(!decimal(not).is_whole(), "{not}");
        }
    }

    #[test]
    fn all_mistakes_are_told() {
        let rule = NumberRule { minimum: Some(decimal("0")), maximum: Some(decimal("99.99")), whole: true };
        let check = |number: &str, expected: &[ViolationCode]| {
            let codes: Vec<_> = rule.check(number).err().into_iter().flatten().map(|mistake| mistake.code).collect();
            assert_eq!(codes, expected, "{number}");
        };
        check("0", &[]);
        check("99", &[]);
        check("99.99", &[ViolationCode::NotWhole]);
        check("-0.5", &[ViolationCode::NotWhole, ViolationCode::TooSmall]);
        check("99.990000000000000000001", &[ViolationCode::NotWhole, ViolationCode::TooLarge]);
    }

    proptest! {
        #[test]
        fn integers_compare_as_integers(a in any::<i128>(), b in any::<i128>()) {
            prop_assert_eq!(decimal(&a.to_string()).cmp(&decimal(&b.to_string())), a.cmp(&b));
        }

        #[test]
        fn shifting_the_point_changes_nothing(number in any::<i64>(), places in 0..30_usize) {
            let shifted = format!("{number}{}e-{places}", "0".repeat(places));
            prop_assert_eq!(decimal(&shifted), decimal(&number.to_string()));
        }
    }
}
