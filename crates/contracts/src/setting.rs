//! Values that fit into an environment variable, with the units in the text.

use std::time::Duration;

use crate::{Region, Regions};

/// A setting's type: reads itself from text and writes itself so that reading gives the same value.
pub trait Setting: Sized {
    /// Parses the text of a variable.
    ///
    /// # Errors
    /// A phrase that completes "`VARIABLE` is `text`, which is …".
    fn parse(text: &str) -> Result<Self, String>;

    /// Writes the value; `parse(render(x)) == x`.
    fn render(&self) -> String;

    /// Whether the variable can be left out, because its absence says the same. Only a type that every setting has as its
    /// default in this value may say so.
    fn is_said_by_absence(&self) -> bool {
        false
    }
}

macro_rules! unsigned {
    ($($integer:ty),*) => {$(
        impl Setting for $integer {
            fn parse(text: &str) -> Result<Self, String> {
                text.parse().map_err(|_| format!("not a whole number from 0 to {}", <$integer>::MAX))
            }

            fn render(&self) -> String {
                self.to_string()
            }
        }
    )*};
}

unsigned!(u16, u32, u64);

impl Setting for String {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() { Err("empty".to_owned()) } else { Ok(text.to_owned()) }
    }

    fn render(&self) -> String {
        self.clone()
    }
}

impl Setting for Region {
    fn parse(text: &str) -> Result<Self, String> {
        Region::new(text).map_err(|_| "not an AWS region name such as `us-west-2`".to_owned())
    }

    fn render(&self) -> String {
        self.to_string()
    }
}

impl Setting for Regions {
    fn parse(text: &str) -> Result<Self, String> {
        let regions: Result<Vec<Region>, String> = text.split(',').map(Region::parse).collect();
        Self::new(regions?).ok_or_else(|| "a list in which a region stands twice".to_owned())
    }

    fn render(&self) -> String {
        self.iter().map(Region::as_str).collect::<Vec<_>>().join(",")
    }
}

impl Setting for Duration {
    fn parse(text: &str) -> Result<Self, String> {
        duration::parse(text)
    }

    fn render(&self) -> String {
        duration::render(*self)
    }
}

/// Durations as people write them: a whole number and one unit, `250ms`, `30s`, `5m`, `12h`, `14d`.
pub mod duration {
    use std::time::Duration;

    const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

    /// Parses a duration.
    ///
    /// # Errors
    /// A phrase that says what a duration looks like.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let malformed = || "not a duration (a whole number and a unit: `250ms`, `30s`, `5m`, `12h`, `14d`)".to_owned();
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(malformed)?;
        let (number, unit) = text.split_at(digits);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(malformed)?;
        let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor)).ok_or_else(malformed)?;
        Ok(Duration::from_millis(millis))
    }

    /// Writes a duration in the largest unit that holds it exactly; parts below a millisecond are dropped.
    pub fn render(duration: Duration) -> String {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (unit, factor) =
            UNITS.iter().rev().find(|(_, factor)| millis > 0 && millis.is_multiple_of(*factor)).unwrap_or(&UNITS[1]);
        format!("{}{unit}", millis / factor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_round_trip() {
        for text in ["250ms", "30s", "5m", "12h", "14d", "0s", "1001ms"] {
            assert_eq!(duration::render(duration::parse(text).expect(text)), text);
        }
        for bad in ["", "3", "s", "3 s", "3sec", "-1s", "1.5s", "99999999999999999999d"] {
            assert!(duration::parse(bad).is_err(), "{bad}");
        }
    }
}
