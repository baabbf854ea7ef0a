//! A data record, whatever carried it.

use std::borrow::Cow;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::cells::Cells;
use super::layout::Header;
use super::poison::Poison;
use crate::Operation;
use crate::json::excerpt;
use crate::version::ChangeSequence;

/// The parts of a data record.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) headers: Headers<'a>,
    /// The row after the change, or the deleted row.
    pub(super) data: Option<Cells<'a>>,
    /// The row before the change.
    pub(super) before: Option<Cells<'a>>,
}

/// The headers that are used.
#[derive(Debug, Default)]
pub(super) struct Headers<'a> {
    operation: Cow<'a, str>,
    change_sequence: Cow<'a, str>,
    timestamp: Cow<'a, str>,
    stream_position: Cow<'a, str>,
    mask: Mask<'a>,
}

/// A column mask as it came.
#[derive(Debug, Default)]
pub(super) enum Mask<'a> {
    #[default]
    Absent,
    Bytes(&'a [u8]),
    Hexadecimal(Cow<'a, str>),
    OtherType,
}

impl<'a> Headers<'a> {
    /// Keeps the text of a header. One that isn't text counts as empty.
    pub(super) fn set(&mut self, header: Header, text: Cow<'a, str>) {
        match header {
            Header::Operation => self.operation = text,
            Header::ChangeSequence => self.change_sequence = text,
            Header::Timestamp => self.timestamp = text,
            Header::StreamPosition => self.stream_position = text,
            Header::ColumnMask => self.mask = Mask::Hexadecimal(text),
        }
    }

    pub(super) fn set_mask(&mut self, mask: Mask<'a>) {
        self.mask = mask;
    }

    pub(super) fn operation(&self) -> Result<Operation, Poison> {
        match &*self.operation {
            "INSERT" => Ok(Operation::Insert),
            "UPDATE" => Ok(Operation::Update),
            "DELETE" => Ok(Operation::Delete),
            "REFRESH" => Ok(Operation::Refresh),
            other => Err(Poison::Operation(excerpt(other).into_owned())),
        }
    }

    /// The change's place in order, which a refresh has none of.
    pub(super) fn sequence(&self, operation: Operation) -> Result<Option<ChangeSequence>, Poison> {
        match operation {
            Operation::Refresh => Ok(None),
            _ => Ok(Some(self.change_sequence.parse()?)),
        }
    }

    /// When the source committed. Qlik writes that in UTC without a zone.
    pub(super) fn committed_at(&self) -> Result<Option<Timestamp>, Poison> {
        let text = &*self.timestamp;
        if text.is_empty() {
            return Ok(None);
        }
        if let Some(time) = common_time(text) {
            return Ok(Some(time));
        }
        // Behind the date, a sign or a `Z` can only belong to a zone.
        let has_zone = text.bytes().skip(10).any(|byte| matches!(byte, b'Z' | b'z' | b'+' | b'-'));
        let parsed = if has_zone {
            text.parse::<Timestamp>().ok()
        } else {
            let plain = text.parse::<DateTime>().ok();
            plain.and_then(|time| TimeZone::UTC.to_timestamp(time).ok())
        };
        parsed.map(Some).ok_or_else(|| Poison::Timestamp(excerpt(text).into_owned()))
    }

    pub(super) fn stream_position(&self) -> &str {
        &self.stream_position
    }

    /// The mask's bytes. None says nothing about the columns.
    pub(super) fn column_mask(&self) -> Result<Option<Cow<'_, [u8]>>, Poison> {
        match &self.mask {
            Mask::Absent => Ok(None),
            Mask::Bytes(bytes) => Ok(Some(Cow::Borrowed(bytes))),
            Mask::Hexadecimal(digits) if digits.is_empty() => Ok(None),
            Mask::Hexadecimal(digits) => Ok(Some(Cow::Owned(from_hexadecimal(digits).ok_or(Poison::MaskType)?))),
            Mask::OtherType => Err(Poison::MaskType),
        }
    }
}

/// A time spelled `YYYY-MM-DDThh:mm:ss` with at most nine digits of a fraction, as Qlik spells it; the library takes several
/// times as long, because it knows other spellings as well.
fn common_time(text: &str) -> Option<Timestamp> {
    let digits = |place: &[u8]| {
        place.iter().try_fold(0_i32, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i32::from(byte - b'0')))
    };
    let (seconds, fraction) = text.as_bytes().split_at_checked(19)?;
    if [4, 7, 10, 13, 16].map(|place| seconds[place]) != *b"--T::" {
        return None;
    }
    let nanos = match fraction {
        [] => 0,
        [b'.', fraction @ ..] if (1..=9).contains(&fraction.len()) => {
            let missing = u32::try_from(9 - fraction.len()).ok()?;
            digits(fraction)?.checked_mul(10_i32.pow(missing))?
        }
        _ => return None,
    };
    let small = |place: std::ops::Range<usize>| i8::try_from(digits(&seconds[place])?).ok();
    let year = i16::try_from(digits(&seconds[..4])?).ok()?;
    let time = DateTime::new(year, small(5..7)?, small(8..10)?, small(11..13)?, small(14..16)?, small(17..19)?, nanos);
    TimeZone::UTC.to_timestamp(time.ok()?).ok()
}

fn from_hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    rest.is_empty().then(|| bytes.collect())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_come_in_pairs() {
        assert_eq!(from_hexadecimal("00fF80"), Some(vec![0, 0xff, 0x80]));
        for bad in ["0", "0g", "+1", "é"] {
            assert_eq!(from_hexadecimal(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn the_common_spelling_is_read_as_the_library_reads_it(
            text in "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9](\\.[0-9]{1,9})?",
        ) {
            let plain = text.parse::<DateTime>().ok().and_then(|time| TimeZone::UTC.to_timestamp(time).ok());
            // A leap second is the library's to round.
            if !text[17..].starts_with("60") {
                proptest::prop_assert_eq!(common_time(&text), plain);
            }
        }
    }

    #[test]
    fn commit_times_are_utc_unless_they_say_otherwise() {
        let at = |text: &'static str| Headers { timestamp: text.into(), ..Headers::default() }.committed_at();
        let expected: Timestamp = "2023-09-11T03:23:25.12Z".parse().expect("a time");
        for same in [
            "2023-09-11T03:23:25.120",
            "2023-09-11T03:23:25.12Z",
            "2023-09-11T05:23:25.12+02:00",
            "2023-09-10T22:23:25.12-05",
            "2023-09-11 03:23:25.12",
        ] {
            assert_eq!(at(same).expect(same), Some(expected), "{same}");
        }
        assert_eq!(at("").expect("none"), None);
        for bad in ["yesterday", "2023-09-11T03:23:25+", "2023-13-01T00:00:00"] {
            assert!(matches!(at(bad), Err(Poison::Timestamp(_))), "{bad}");
        }
    }
}
