//! Numbers, dates and times as a row holds them.

use apache_avro::{BigDecimal, Decimal};
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::error::UnsupportedValue;
use crate::AttributeValue;

/// The longest decimal in bytes; 128 bytes are 308 digits, far beyond any database.
const MAX_DECIMAL_BYTES: usize = 128;
/// DynamoDB keeps so many significant digits.
const EXACT_DIGITS: usize = 38;

pub(super) fn float(number: f32) -> AttributeValue {
    AttributeValue::number(format!("{number:?}"))
}

pub(super) fn double(number: f64) -> AttributeValue {
    AttributeValue::number(format!("{number:?}"))
}

/// A decimal's digits: its bytes are a big-endian two's-complement number, the schema says where the point is.
pub(super) fn decimal(bytes: &[u8], scale: usize) -> Result<AttributeValue, UnsupportedValue> {
    if !(1..=MAX_DECIMAL_BYTES).contains(&bytes.len()) || scale > MAX_DECIMAL_BYTES * 3 {
        return Err(UnsupportedValue::Decimal);
    }
    let negative = bytes[0] & 0x80 != 0;
    let mut digits = match short(bytes) {
        Some(number) => number.to_string(),
        None => decimal_digits(magnitude(bytes, negative)),
    };
    if digits.len() <= scale {
        digits.insert_str(0, &"0".repeat(scale + 1 - digits.len()));
    }
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let mut text = String::with_capacity(digits.len() + 2);
    if negative {
        text.push('-');
    }
    text.push_str(whole);
    if scale > 0 {
        text.push('.');
        text.push_str(fraction);
    }
    // So few digits are exact, and so small a scale is within DynamoDB's range: no need to look at the text again.
    let fits = digits.len() <= EXACT_DIGITS && scale < EXACT_DIGITS;
    Ok(if fits { AttributeValue::N(text) } else { AttributeValue::number(text) })
}

/// The magnitude of a number of at most 8 bytes, as most decimals of databases are.
fn short(bytes: &[u8]) -> Option<u64> {
    let sign = if bytes.first()? & 0x80 == 0 { 0 } else { 0xff };
    let mut whole = [sign; 8];
    whole.get_mut(8_usize.checked_sub(bytes.len())?..)?.copy_from_slice(bytes);
    Some(i64::from_be_bytes(whole).unsigned_abs())
}

fn magnitude(bytes: &[u8], negative: bool) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if negative {
        let mut carry = true;
        for byte in bytes.iter_mut().rev() {
            let (sum, overflow) = (!*byte).overflowing_add(u8::from(carry));
            *byte = sum;
            carry = overflow;
        }
    }
    bytes
}

/// Long division by ten, one digit a round; quadratic, which 128 bytes keep small.
fn decimal_digits(mut bytes: Vec<u8>) -> String {
    let mut digits = Vec::new();
    loop {
        let mut rest = 0_u16;
        for byte in &mut bytes {
            let part = rest * 256 + u16::from(*byte);
            // Below 10 * 256 / 10 = 256 by the rest's bound.
            *byte = u8::try_from(part / 10).unwrap_or(u8::MAX);
            rest = part % 10;
        }
        digits.push(char::from(b'0' + u8::try_from(rest).unwrap_or(0)));
        if bytes.iter().all(|byte| *byte == 0) {
            break;
        }
    }
    digits.iter().rev().collect()
}

/// A decimal that brings its scale. The Avro crate's own type says how it is written.
pub(super) fn big_decimal(bytes: &[u8], scale: i64) -> Result<AttributeValue, UnsupportedValue> {
    if bytes.len() > MAX_DECIMAL_BYTES {
        return Err(UnsupportedValue::Decimal);
    }
    let number = BigDecimal::new(Decimal::from(bytes).into(), scale);
    Ok(AttributeValue::number(number.to_string()))
}

/// A date from its days since 1970.
pub(super) fn date(days: i32) -> Result<String, UnsupportedValue> {
    let epoch = Date::constant(1970, 1, 1);
    let span = Span::new().try_days(days).map_err(|_| UnsupportedValue::Time)?;
    epoch.checked_add(span).map(|date| date.to_string()).map_err(|_| UnsupportedValue::Time)
}

/// A time of day, in units of so many nanoseconds.
pub(super) fn time_of_day(count: i64, nanos_each: i64) -> Result<String, UnsupportedValue> {
    let nanos = count.checked_mul(nanos_each).ok_or(UnsupportedValue::Time)?;
    let span = Span::new().try_nanoseconds(nanos).map_err(|_| UnsupportedValue::Time)?;
    Time::midnight().checked_add(span).map(|time| time.to_string()).map_err(|_| UnsupportedValue::Time)
}

/// An instant since 1970, in units of so many nanoseconds.
pub(super) fn timestamp(count: i64, nanos_each: i64) -> Result<String, UnsupportedValue> {
    match common_time(count, nanos_each, "Z") {
        Some(text) => Ok(text),
        None => Ok(instant(count, nanos_each)?.to_string()),
    }
}

/// A date and time without zone since 1970, in units of so many nanoseconds.
pub(super) fn local_timestamp(count: i64, nanos_each: i64) -> Result<String, UnsupportedValue> {
    match common_time(count, nanos_each, "") {
        Some(text) => Ok(text),
        None => Ok(instant(count, nanos_each)?.to_zoned(TimeZone::UTC).datetime().to_string()),
    }
}

/// The text of a time from 1970 to 9999, as nearly all are: in one piece, where the library's takes three times as long.
fn common_time(count: i64, nanos_each: i64, zone: &str) -> Option<String> {
    const SECOND: u64 = 1_000_000_000;
    let (count, nanos_each) = (u64::try_from(count).ok()?, u64::try_from(nanos_each).ok()?);
    let each_second = SECOND / nanos_each;
    let (seconds, rest) = (count / each_second, count % each_second);
    let (year, month, day) = civil(seconds / 86_400)?;
    let of_day = seconds % 86_400;
    let mut buffer = *b"0000-00-00T00:00:00.000000000";
    let parts = [(0..4, year), (5..7, month), (8..10, day), (11..13, of_day / 3_600)];
    let parts =
        parts.into_iter().chain([(14..16, of_day / 60 % 60), (17..19, of_day % 60), (20..29, rest * nanos_each)]);
    for (place, part) in parts {
        put_digits(&mut buffer[place], part);
    }
    let text = std::str::from_utf8(&buffer).ok()?;
    let text = if rest > 0 { text.trim_end_matches('0') } else { &text[..19] };
    Some([text, zone].concat())
}

/// Year, month and day of a day since 1970, nearly to the end of the year 9999.
///
/// Counted in eras of 400 years that begin on the first of March, so that a leap day is the last of its year.
fn civil(days: u64) -> Option<(u64, u64, u64)> {
    // The last whole day that the library's timestamps have, 9999-12-29.
    if days > 2_932_894 {
        return None;
    }
    // The era that holds 1970 began 719,468 days before it.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let leap_days = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = 400 * era + year_of_era + u64::from(month <= 2);
    Some((year, month, day))
}

/// Writes a number into places for digits.
fn put_digits(places: &mut [u8], mut number: u64) {
    for place in places.iter_mut().rev() {
        *place = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
    }
}

fn instant(count: i64, nanos_each: i64) -> Result<Timestamp, UnsupportedValue> {
    let nanos = i128::from(count) * i128::from(nanos_each);
    Timestamp::from_nanosecond(nanos).map_err(|_| UnsupportedValue::Time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact() {
        let check = |bytes: &[u8], scale: usize, expected: &str| {
            assert_eq!(decimal(bytes, scale), Ok(AttributeValue::N(expected.to_owned())), "{bytes:?}");
        };
        for (unscaled, expected) in [
            (0_i128, "0.00"),
            (5, "0.05"),
            (-5, "-0.05"),
            (1250, "12.50"),
            (-128, "-1.28"),
            (12_345_678_901_234_567_890, "123456789012345678.90"),
            (i128::from(i64::MIN), "-92233720368547758.08"),
        ] {
            check(&unscaled.to_be_bytes(), 2, expected);
            if let Ok(short) = i64::try_from(unscaled) {
                check(&short.to_be_bytes(), 2, expected);
            }
        }
        check(&[0xff], 0, "-1");
        check(&[0x80], 0, "-128");
        check(&[1], 37, &format!("0.{}1", "0".repeat(36)));
        // DynamoDB would round 39 digits and has no number as small as the last.
        assert_eq!(decimal(&[0x7f; 16], 0), Ok(AttributeValue::text(i128::from_be_bytes([0x7f; 16]).to_string())));
        assert_eq!(decimal(&[1], 131), Ok(AttributeValue::text(format!("0.{}1", "0".repeat(130)))));
        for bad in [&[][..], &[1; 129]] {
            assert_eq!(decimal(bad, 2), Err(UnsupportedValue::Decimal));
        }
    }

    #[test]
    fn floating_numbers_are_the_shortest_text() {
        assert_eq!(double(0.1), AttributeValue::N("0.1".to_owned()));
        assert_eq!(double(-1.5e300), AttributeValue::text("-1.5e300"));
        assert_eq!(double(f64::NAN), AttributeValue::text("NaN"));
        assert_eq!(float(0.1), AttributeValue::N("0.1".to_owned()));
    }

    /// Every thirteenth day up to the year 9999, and each time of a day.
    #[test]
    fn times_are_written_as_the_library_writes_them() {
        for day in (0..=2_932_894).step_by(13) {
            let second = day * 86_400 + day * 7 % 86_400;
            let expected = Timestamp::from_second(second).expect("in range").to_string();
            assert_eq!(common_time(second, 1_000_000_000, "Z"), Some(expected));
        }
        assert_eq!(common_time(2_932_895 * 86_400, 1_000_000_000, "Z"), None);
        assert_eq!(common_time(-1, 1_000, "Z"), None);
        for nanos in [1, 10, 999_999_999, 120_000_000, 1_000_000_000] {
            let expected = Timestamp::from_nanosecond(i128::from(nanos)).expect("in range").to_string();
            assert_eq!(common_time(nanos, 1, "Z"), Some(expected));
        }
    }

    #[test]
    fn times_are_iso_8601() {
        assert_eq!(date(-1).as_deref(), Ok("1969-12-31"));
        assert_eq!(time_of_day(3_600_000_001, 1_000).as_deref(), Ok("01:00:00.000001"));
        assert_eq!(timestamp(1_694_402_605_000_001, 1_000).as_deref(), Ok("2023-09-11T03:23:25.000001Z"));
        assert_eq!(local_timestamp(0, 1_000_000).as_deref(), Ok("1970-01-01T00:00:00"));
        assert_eq!(timestamp(i64::MAX, 1_000), Err(UnsupportedValue::Time));
        assert_eq!(timestamp(253_402_207_199, 1_000_000_000).as_deref(), Ok("9999-12-30T21:59:59Z"));
        assert_eq!(timestamp(253_402_300_799, 1_000_000_000), Err(UnsupportedValue::Time));
        assert_eq!(time_of_day(24 * 3_600_000, 1_000_000), Err(UnsupportedValue::Time));
    }
}
