//! Times as SQLite writes and users type them.

use std::cmp::Ordering;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use wk_types::UtcMs;

const DAY_MS: i64 = 86_400_000;
/// The instants whose year has four digits, 0000-01-01 to 9999-12-31.
const FOUR_DIGIT_YEARS: std::ops::RangeInclusive<i64> = -62_167_219_200_000..=253_402_300_799_999;
const NANOS_PER_MS: i128 = 1_000_000;
/// Numbers from here on have more than the eight digits of a date.
const NUMBERS_FROM: f64 = 1e8;
/// Numbers from here on are milliseconds since the epoch, smaller ones seconds (up to the year 5138).
const MILLISECONDS_FROM: f64 = 1e11;

/// An instant that may lie between two milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instant {
    /// The millisecond at or before it.
    pub(crate) floor: UtcMs,
    /// The millisecond at or after it.
    pub(crate) ceil: UtcMs,
}

impl Instant {
    const fn from_nanos(nanos: i128) -> Self {
        let floor = nanos.div_euclid(NANOS_PER_MS) as i64;
        let has_rest = nanos.rem_euclid(NANOS_PER_MS) != 0;
        Self { floor: UtcMs(floor), ceil: UtcMs(floor + has_rest as i64) }
    }
}

/// Reads RFC 3339, SQLite's own forms in UTC (a date, with or without a time of day), or a number of seconds since the
/// epoch, of milliseconds where it is too large for seconds. Eight digits are a date.
pub(crate) fn parse(text: &str) -> Option<Instant> {
    let text = text.trim();
    match text.parse::<f64>() {
        Ok(number) if number.abs() >= NUMBERS_FROM => from_number(number),
        Ok(number) => parse_date(text).or_else(|| from_number(number)),
        Err(_) => parse_date(text),
    }
}

fn parse_date(text: &str) -> Option<Instant> {
    let timestamp = match text.parse::<jiff::Timestamp>() {
        Ok(timestamp) => timestamp,
        Err(_) => TimeZone::UTC.to_timestamp(text.parse::<DateTime>().ok()?).ok()?,
    };
    Some(Instant::from_nanos(timestamp.as_nanosecond()))
}

fn from_number(number: f64) -> Option<Instant> {
    let ms = if number.abs() < MILLISECONDS_FROM { number * 1_000.0 } else { number };
    ms.is_finite().then(|| Instant { floor: UtcMs(ms.floor() as i64), ceil: UtcMs(ms.ceil() as i64) })
}

/// Compares two texts as times, so that all forms of one instant are equal; what is no time comes last.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    if is_canonical(a) && is_canonical(b) {
        return a.cmp(b);
    }
    match (parse(a), parse(b)) {
        (Some(a), Some(b)) => (a.floor, a.ceil).cmp(&(b.floor, b.ceil)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

/// Tells whether the text has the form that [`format_into`] gives, in which texts sort as times do.
fn is_canonical(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() == 23 && bytes[4] == b'-' && bytes[10] == b' ' && bytes[19] == b'.' && !bytes[20..].contains(&b'-')
}

/// The length of the longest text that a time is written as.
pub(crate) const FORMATTED_MAX: usize = 23;

/// Writes `YYYY-MM-DD HH:MM:SS.SSS` in UTC; the bare number of milliseconds outside the years 0 to 9999.
pub(crate) fn format_into(time: UtcMs, text: &mut [u8; FORMATTED_MAX]) -> &str {
    let length = if FOUR_DIGIT_YEARS.contains(&time.0) {
        let (year, month, day) = civil(time.0.div_euclid(DAY_MS));
        let ms = time.0.rem_euclid(DAY_MS);
        *text = *b"0000-00-00 00:00:00.000";
        digits(&mut text[0..4], year);
        digits(&mut text[5..7], month);
        digits(&mut text[8..10], day);
        digits(&mut text[11..13], ms / 3_600_000);
        digits(&mut text[14..16], ms / 60_000 % 60);
        digits(&mut text[17..19], ms / 1_000 % 60);
        digits(&mut text[20..23], ms % 1_000);
        FORMATTED_MAX
    } else {
        let number = time.0.to_string();
        text[..number.len()].copy_from_slice(number.as_bytes());
        number.len()
    };
    std::str::from_utf8(&text[..length]).expect("digits and signs are ASCII")
}

fn digits(place: &mut [u8], mut number: i64) {
    for digit in place.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// Year, month and day of a day counted from the epoch.
///
/// *Source*: Howard Hinnant, "chrono-compatible low-level date algorithms", `civil_from_days`; checked against jiff.
const fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + (month <= 2) as i64, month, day)
}

#[cfg(test)]
mod tests;
