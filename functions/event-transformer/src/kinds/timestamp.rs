//! Points in time: RFC 3339 with an offset in, UTC out.
//!
//! The form is checked before the time is read, because the library reads more of ISO 8601 than RFC 3339 allows.

use super::Mistake;
use events::Timestamp;
use events::raw::ViolationCode;

/// The begin of the year 0000 in UTC, the earliest time that RFC 3339 can write there: `0000-01-01T00:00:00+01:00` is an
/// hour before. The library's own last second lies in the year 9999.
const EARLIEST: Timestamp = Timestamp::constant(-62_167_219_200, 0);

/// Most digits of a second that are kept.
const MAX_FRACTION_DIGITS: usize = 9;

/// The time in UTC, with as many digits of a second as it needs.
pub(super) fn normalise(text: &str) -> Result<String, Mistake> {
    instant(text).map(|instant| instant.to_string())
}

/// The point in time.
pub(crate) fn instant(text: &str) -> Result<Timestamp, Mistake> {
    let mistake = || {
        let message = format!(
            "expected an RFC 3339 time with an offset and at most {MAX_FRACTION_DIGITS} digits of a second, such as \
             `2026-03-04T05:06:07.89+01:00`, in the years 0000 to 9999 of UTC"
        );
        Mistake::new(ViolationCode::NotTimestamp, message)
    };
    if !has_the_form(text.as_bytes()) {
        return Err(mistake());
    }
    let instant: Timestamp = text.parse().map_err(|_| mistake())?;
    if instant < EARLIEST { Err(mistake()) } else { Ok(instant) }
}

/// RFC 3339, section 5.6: `date-time`, with its letters in upper or lower case.
fn has_the_form(text: &[u8]) -> bool {
    let Some((date_time, rest)) = text.split_at_checked("2026-03-04T05:06:07".len()) else { return false };
    let rest = match rest.strip_prefix(b".") {
        None => rest,
        Some(rest) => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            if !(1..=MAX_FRACTION_DIGITS).contains(&digits) {
                return false;
            }
            &rest[digits..]
        }
    };
    let offset = matches!(rest, b"Z" | b"z") || is_like(rest, b"+00:00") || is_like(rest, b"-00:00");
    offset && (is_like(date_time, b"0000-00-00T00:00:00") || is_like(date_time, b"0000-00-00t00:00:00"))
}

/// Whether `text` has a digit where `pattern` has `0`, and is the same elsewhere.
fn is_like(text: &[u8], pattern: &[u8]) -> bool {
    let fits = |(byte, expected): (&u8, &u8)| if *expected == b'0' { byte.is_ascii_digit() } else { byte == expected };
    text.len() == pattern.len() && text.iter().zip(pattern).all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_become_utc() {
        for (text, expected) in [
            ("2026-03-04T05:06:07Z", "2026-03-04T05:06:07Z"),
            ("2026-03-04t05:06:07z", "2026-03-04T05:06:07Z"),
            ("2026-03-04T05:06:07.120Z", "2026-03-04T05:06:07.12Z"),
            ("2026-03-04T05:06:07.123456789+01:00", "2026-03-04T04:06:07.123456789Z"),
            ("2026-01-01T00:30:00+05:45", "2025-12-31T18:45:00Z"),
            ("2026-03-04T05:06:07-00:00", "2026-03-04T05:06:07Z"),
            ("2024-02-29T23:59:59-12:00", "2024-03-01T11:59:59Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
            ("0000-01-01T00:00:00-00:01", "0000-01-01T00:01:00Z"),
        ] {
            assert_eq!(normalise(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2026-03-04",
            "2026-03-04T05:06:07",
            "2026-03-04 05:06:07Z",
            "2026-03-04T05:06Z",
            "20260304T050607Z",
            "2026-03-04T05:06:07.Z",
            "2026-03-04T05:06:07,5Z",
            "2026-03-04T05:06:07.1234567890Z",
            "2026-03-04T05:06:07+0100",
            "2026-03-04T05:06:07+01",
            "2026-03-04T05:06:07+01:00[Europe/Paris]",
            "2026-03-04T05:06:07 +01:00",
            "+02026-03-04T05:06:07Z",
            "2026-02-30T05:06:07Z",
            "2026-13-04T05:06:07Z",
            "2026-03-04T24:00:00Z",
            "2026-03-04T05:60:07Z",
            "2026-03-04T05:06:07+99:00",
            "0000-01-01T00:00:00+00:01",
            "0000-01-01T23:59:59.999999999+24:00",
            "9999-12-31T23:59:59-01:00",
            "1772600000",
            "２026-03-04T05:06:07Z",
        ] {
            let code = normalise(text).map_err(|mistake| mistake.code);
            assert_eq!(code, Err(ViolationCode::NotTimestamp), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_normal_form_is_its_own(seconds in EARLIEST.as_second()..=253_402_207_199, nanoseconds in 0..1_000_000_000_i32) {
            let instant = Timestamp::new(seconds, nanoseconds).expect("in range");
            let normal = normalise(&instant.to_string());
            prop_assert_eq!(normal, Ok(instant.to_string()));
        }

        /// Any year and any offset; the ends of the calendar more often than the rest.
        #[test]
        fn what_is_accepted_can_be_read_again(
            year in prop_oneof![Just(0_u16), Just(9_999), 0..=9_999_u16],
            (month, day) in prop_oneof![Just((1, 1)), Just((12, 31)), (1..=12_u8, 1..=28_u8)],
            (hour, minute) in (0..24_u8, 0..60_u8),
            sign in prop_oneof![Just('+'), Just('-')],
            (offset_hours, offset_minutes) in (0..24_u8, 0..60_u8),
        ) {
            let text = format!(
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:00{sign}{offset_hours:02}:{offset_minutes:02}"
            );
            if let Ok(normal) = normalise(&text) {
                prop_assert_eq!(normalise(&normal), Ok(normal.clone()), "{}", text);
            } else {
                prop_assert!(year == 0 || year == 9_999, "{} is a time", text);
            }
        }
    }
}
