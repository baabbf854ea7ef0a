//! What a value must look like: rules for text, numbers, durations, sizes.
//!
//! A rule's hint says how to write any good value; a problem's hint may say how to write this one.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use contracts::duration;
use toml::de::DeValue;

use super::reader::nearest;
use super::units::{Days, MemorySize};

/// How a value of one key is read.
pub(super) struct Rule<T> {
    hint: String,
    /// Wrong values are not quoted: they may be secrets that stand in the wrong place.
    hidden: bool,
    read: Read<T>,
}

type Read<T> = Box<dyn Fn(&DeValue<'_>) -> Result<T, Problem>>;

/// Why a value is refused.
pub(super) struct Problem {
    /// Completes "`key` is …, which is".
    pub(super) phrase: String,
    /// How to repair it.
    pub(super) hint: String,
}

impl<T: 'static> Rule<T> {
    /// A rule whose refusals all have the same hint.
    fn new(hint: impl Into<String>, read: impl Fn(&DeValue<'_>) -> Result<T, String> + 'static) -> Self {
        let hint = hint.into();
        let same = hint.clone();
        let read = move |value: &DeValue<'_>| read(value).map_err(|phrase| Problem { phrase, hint: same.clone() });
        Self { hint, hidden: false, read: Box::new(read) }
    }

    pub(super) fn hint(&self) -> &str {
        &self.hint
    }

    pub(super) fn hidden(&self) -> bool {
        self.hidden
    }

    pub(super) fn read(&self, value: &DeValue<'_>) -> Result<T, Problem> {
        (self.read)(value)
    }

    /// Keeps wrong values out of messages.
    pub(super) fn hide(self) -> Self {
        Self { hidden: true, ..self }
    }

    /// Refuses some of the values that the rule accepts; the phrase completes "which is".
    pub(super) fn and(self, check: impl Fn(&T) -> Result<(), Problem> + 'static) -> Self {
        let Self { hint, hidden, read } = self;
        let checked = move |value: &DeValue<'_>| {
            let value = read(value)?;
            check(&value)?;
            Ok(value)
        };
        Self { hint, hidden, read: Box::new(checked) }
    }

    /// Makes another type of the value.
    pub(super) fn map<U: 'static>(self, convert: impl Fn(T) -> U + 'static) -> Rule<U> {
        let Self { hint, hidden, read } = self;
        Rule { hint, hidden, read: Box::new(move |value| read(value).map(&convert)) }
    }
}

/// A text that `parse` accepts; its error completes "which is".
pub(super) fn text<T: 'static>(
    hint: impl Into<String>,
    parse: impl Fn(&str) -> Result<T, String> + 'static,
) -> Rule<T> {
    Rule::new(hint, move |value| match value.as_str() {
        Some(text) => parse(text),
        None => Err("not a text in quotes".to_owned()),
    })
}

/// `true` or `false`.
pub(super) fn flag() -> Rule<bool> {
    Rule::new("write `true` or `false`, without quotes", |value| {
        value.as_bool().ok_or_else(|| "neither `true` nor `false`".to_owned())
    })
}

/// One of some words.
pub(super) fn one_of<T: Copy + 'static>(words: &'static [(&'static str, T)]) -> Rule<T> {
    let names: Vec<&'static str> = words.iter().map(|(name, _)| *name).collect();
    let list = names.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let hint = format!("write one of {list}");
    let refused = hint.clone();
    let read = move |value: &DeValue<'_>| {
        let text = value.as_str().unwrap_or_default();
        let found = words.iter().find(|(name, _)| *name == text).map(|(_, word)| *word);
        found.ok_or_else(|| Problem {
            phrase: "not one of the known words".to_owned(),
            hint: nearest(text, &names).map_or_else(|| refused.clone(), |name| format!("did you mean \"{name}\"?")),
        })
    };
    Rule { hint, hidden: false, read: Box::new(read) }
}

/// A whole number in a range.
pub(super) fn whole<T>(range: RangeInclusive<T>) -> Rule<T>
where
    T: Copy + PartialOrd + Display + TryFrom<u64> + 'static,
{
    let limits = format!("{} to {}", range.start(), range.end());
    Rule::new(format!("write a whole number from {limits}, without quotes"), move |value| {
        let number =
            value.as_integer().and_then(|integer| i128::from_str_radix(integer.as_str(), integer.radix()).ok());
        let number = number.ok_or_else(|| "not a whole number".to_owned())?;
        let small = u64::try_from(number).ok().and_then(|number| T::try_from(number).ok());
        small.filter(|number| range.contains(number)).ok_or_else(|| format!("outside {limits}"))
    })
}

/// A duration with its unit, in a range.
pub(super) fn duration(range: RangeInclusive<Duration>) -> Rule<Duration> {
    let limits = format!("{} to {}", duration::render(*range.start()), duration::render(*range.end()));
    let example = duration::render(*range.start());
    let hint = format!("write a whole number with a unit (ms, s, m, h, d), {limits}");
    let refused = hint.clone();
    let read = move |value: &DeValue<'_>| {
        let written = match value {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(number) => number.to_string(),
            _ => String::new(),
        };
        match value.as_str().map(duration::parse) {
            Some(Ok(found)) if range.contains(&found) => Ok(found),
            Some(Ok(_)) => Err(Problem { phrase: format!("outside {limits}"), hint: refused.clone() }),
            Some(Err(_)) | None => {
                let repaired = with_unit(&written).unwrap_or_else(|| example.clone());
                let hint = format!("write a whole number with a unit, such as \"{repaired}\"");
                Err(Problem { phrase: "not a duration".to_owned(), hint })
            }
        }
    };
    Rule { hint, hidden: false, read: Box::new(read) }
}

/// A duration without a part of a second: what AWS takes as a number of seconds.
pub(super) fn seconds(range: RangeInclusive<Duration>) -> Rule<Duration> {
    duration(range).and(|found| {
        if found.subsec_nanos() == 0 {
            return Ok(());
        }
        let hint = format!("write whole seconds, such as \"{}s\"", found.as_secs() + 1);
        Err(Problem { phrase: "not a number of whole seconds".to_owned(), hint })
    })
}

/// A number of whole minutes, such as `"5m"`.
pub(super) fn minutes(range: RangeInclusive<u64>) -> Rule<Duration> {
    duration(Duration::from_secs(range.start() * 60)..=Duration::from_secs(range.end() * 60)).and(|found| {
        if found.as_millis().is_multiple_of(60_000) {
            return Ok(());
        }
        let hint = format!("write whole minutes, such as \"{}m\"", found.as_secs() / 60 + 1);
        Err(Problem { phrase: "not a number of whole minutes".to_owned(), hint })
    })
}

/// A number of days, such as `"30d"`.
pub(super) fn days(range: RangeInclusive<u32>) -> Rule<Days> {
    let limits = format!("{}d to {}d", range.start(), range.end());
    text(format!("write a number of days, {limits}, such as \"{}d\"", range.end().min(&30)), move |text| {
        let days = Days::parse(text).ok_or_else(|| "not a number of days".to_owned())?;
        if range.contains(&days.days()) { Ok(days) } else { Err(format!("outside {limits}")) }
    })
}

/// A memory size, such as `"256Mi"`.
pub(super) fn memory(range: RangeInclusive<u32>) -> Rule<MemorySize> {
    let limits = format!("{}Mi to {}Mi", range.start(), range.end());
    text(format!("write a whole number with `Mi` or `Gi`, {limits}, such as \"256Mi\""), move |text| {
        let size = MemorySize::parse(text).ok_or_else(|| "not a memory size".to_owned())?;
        if range.contains(&size.mebibytes()) { Ok(size) } else { Err(format!("outside {limits}")) }
    })
}

/// The duration that somebody probably meant: a bare number of seconds, or a unit written out.
fn with_unit(text: &str) -> Option<String> {
    let text = text.trim().to_ascii_lowercase();
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let unit = match unit.trim() {
        "" => "s",
        unit if unit.starts_with("ms") || unit.starts_with("mil") => "ms",
        unit => ["s", "m", "h", "d"].into_iter().find(|known| unit.starts_with(known))?,
    };
    let repaired = format!("{number}{unit}");
    duration::parse(&repaired).is_ok().then_some(repaired)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_that_were_probably_meant() {
        let cases = [
            ("3 sec", Some("3s")),
            ("10", Some("10s")),
            ("5 Minutes", Some("5m")),
            ("250 milliseconds", Some("250ms")),
            ("2 hours", Some("2h")),
            ("14 days", Some("14d")),
            ("soon", None),
            ("", None),
            ("1.5s", None),
        ];
        for (text, expected) in cases {
            assert_eq!(with_unit(text).as_deref(), expected, "{text}");
        }
    }
}
