//! Values with a unit: days, memory sizes; and account ids.

use std::fmt;
use std::time::Duration;

/// A number of days, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Days(u32);

impl Days {
    /// Reads `30d`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let days = digits(text.strip_suffix('d')?)?;
        (days > 0).then_some(Self(days))
    }

    /// The number of days.
    pub fn days(self) -> u32 {
        self.0
    }

    /// The same span as a duration.
    pub fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.0) * 86_400)
    }
}

impl fmt::Display for Days {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}d", self.0)
    }
}

/// A size of memory in whole mebibytes, at least one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MemorySize(u32);

impl MemorySize {
    /// Reads `256Mi` and `1Gi`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mebibytes = match text.strip_suffix("Gi") {
            Some(number) => digits(number)?.checked_mul(1024)?,
            None => digits(text.strip_suffix("Mi")?)?,
        };
        (mebibytes > 0).then_some(Self(mebibytes))
    }

    /// The size in MiB, which Lambda calls MB.
    pub fn mebibytes(self) -> u32 {
        self.0
    }
}

impl fmt::Display for MemorySize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}Mi", self.0)
    }
}

/// The id of an AWS account: 12 digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountId(String);

impl AccountId {
    /// Stands for an account that isn't known yet; it is also the local platform's account.
    pub const PLACEHOLDER: &'static str = "000000000000";

    pub(super) fn parse(text: &str) -> Option<Self> {
        let well_formed = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        well_formed.then(|| Self(text.to_owned()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is [`AccountId::PLACEHOLDER`].
    pub fn is_placeholder(&self) -> bool {
        self.0 == Self::PLACEHOLDER
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A number written in digits only, without a sign.
fn digits(text: &str) -> Option<u32> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_needed_and_kept() {
        assert_eq!(Days::parse("30d").map(|days| days.to_string()).as_deref(), Some("30d"));
        assert_eq!(MemorySize::parse("1Gi").map(MemorySize::mebibytes), Some(1024));
        assert_eq!(MemorySize::parse("256Mi").map(|size| size.to_string()).as_deref(), Some("256Mi"));
        for bad in ["", "d", "30", "0d", "-1d", "+1d", "1.5d", "30 d", "4294967296d"] {
            assert_eq!(Days::parse(bad), None, "{bad}");
        }
        for bad in ["", "Mi", "256", "0Mi", "256MB", "+1Gi", "4194304Gi"] {
            assert_eq!(MemorySize::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn account_ids_are_twelve_digits() {
        assert!(AccountId::parse("000000000000").is_some_and(|account| account.is_placeholder()));
        assert!(AccountId::parse("123456789012").is_some_and(|account| !account.is_placeholder()));
        for bad in ["", "12345678901", "1234567890123", "12345678901a", "１２３４"] {
            assert_eq!(AccountId::parse(bad), None, "{bad}");
        }
    }
}
