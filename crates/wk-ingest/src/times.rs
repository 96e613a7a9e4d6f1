//! What a sender's own time is worth, and the shapes in which log lines write it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use wk_types::{DurationMs, UtcMs};

/// How far after its receipt a log message's own time may lie before it is set aside.
pub const AHEAD_MAX: DurationMs = DurationMs::from_hours(24);
/// How far before its receipt a log message's own time may lie before it is set aside: what waited longer than this
/// in a sender's queue is past retention anyway, what claims to is a clock that was never set.
pub const BEHIND_MAX: DurationMs = DurationMs::from_hours(30 * 24);
/// The earliest time a sample may carry: 2000-01-01. Earlier ones come from clocks that were never set.
pub const SAMPLE_TIME_MIN: UtcMs = UtcMs(946_684_800_000);
/// The latest time a sample may carry: 2100-01-01.
pub const SAMPLE_TIME_MAX: UtcMs = UtcMs(4_102_444_800_000);
/// The reason under which set-aside times are counted.
pub const CLOCK_DIFFERS: &str = "clock differs";

/// The time a log message is kept under, and the sender's time where it was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settled {
    /// The time to keep.
    pub time: UtcMs,
    /// What the sender said, if that was not taken.
    pub set_aside: Option<UtcMs>,
}

/// Takes the sender's time if it lies within [`BEHIND_MAX`] and [`AHEAD_MAX`] of the receipt, else the time of receipt.
#[must_use]
pub fn settle(sent: Option<UtcMs>, received: UtcMs) -> Settled {
    match sent {
        None => Settled { time: received, set_aside: None },
        Some(sent) if sent.since(received) > AHEAD_MAX || received.since(sent) > BEHIND_MAX => {
            Settled { time: received, set_aside: Some(sent) }
        }
        Some(sent) => Settled { time: sent, set_aside: None },
    }
}

/// Tells whether a sample's time can be right at all.
#[must_use]
pub fn is_sample_time(time: UtcMs) -> bool {
    (SAMPLE_TIME_MIN..=SAMPLE_TIME_MAX).contains(&time)
}

/// Reads a time in RFC 3339 (a space may stand for the `T`).
#[must_use]
pub fn read_rfc3339(text: &str) -> Option<UtcMs> {
    read_usual(text.as_bytes())
        .or_else(|| text.parse::<Timestamp>().ok().map(|instant| UtcMs(instant.as_millisecond())))
}

/// Reads `yyyy-mm-ddThh:mm:ss`, a fraction, and `Z` or `±hh:mm`, from 1971 on and up to the 28th of a month, as nearly
/// all senders write nearly all times; the rest is left to the library.
fn read_usual(text: &[u8]) -> Option<UtcMs> {
    let (head, rest) = text.split_first_chunk::<19>()?;
    if [head[4], head[7], head[10], head[13], head[16]] != *b"--T::" {
        return None;
    }
    let (year, month, day) = (digits(&head[..4])?, digits(&head[5..7])?, digits(&head[8..10])?);
    let (hour, minute, second) = (digits(&head[11..13])?, digits(&head[14..16])?, digits(&head[17..])?);
    let is_date = (1971..9999).contains(&year) && (1..=12).contains(&month) && (1..=28).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (milliseconds, rest) = read_milliseconds(rest)?;
    let minutes = (days_since_epoch(year, month, day) * 24 + hour) * 60 + minute - read_offset(rest)?;
    Some(UtcMs(minutes * 60_000 + second * 1_000 + milliseconds))
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// Reads a fraction of a second, where there is one.
fn read_milliseconds(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some(behind) = text.strip_prefix(b".") else { return Some((0, text)) };
    let count = behind.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (fraction, rest) = behind.split_at_checked(count).filter(|_| (1..=9).contains(&count))?;
    let kept = &fraction[..count.min(3)];
    Some((digits(kept)? * [100, 10, 1][kept.len() - 1], rest))
}

/// Reads an offset in minutes.
fn read_offset(text: &[u8]) -> Option<i64> {
    let (sign, rest) = match text {
        b"Z" => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let [a, b, b':', c, d] = rest else { return None };
    let (hours, minutes) = (digits(&[*a, *b])?, digits(&[*c, *d])?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 60 + minutes))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar; years begin in March, so that leap days end them.
const fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    year * 365 + leap_days + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// Reads a number since the epoch: seconds, milliseconds, microseconds or nanoseconds, told apart by its size.
#[must_use]
pub fn read_epoch(number: f64) -> Option<UtcMs> {
    let scale = match number.abs() {
        size if size < 1e11 => 1e3,
        size if size < 1e14 => 1.0,
        size if size < 1e17 => 1e-3,
        size if size < 1e20 => 1e-6,
        _ => return None,
    };
    Some(UtcMs((number * scale).round() as i64))
}

/// The instant of a local date and time.
#[must_use]
pub fn in_zone(local: DateTime, zone: &TimeZone) -> Option<UtcMs> {
    zone.to_ambiguous_zoned(local).compatible().ok().map(|zoned| UtcMs(zoned.timestamp().as_millisecond()))
}

/// A time zone, and the minute that was asked for last in it: messages come in the order of their times, and a zone's
/// rules take long to go through.
#[derive(Debug)]
pub struct Zone {
    zone: TimeZone,
    /// The minutes since the epoch, and below them the month, day, hour and minute that they are here.
    last: AtomicU64,
}

/// How many bits month, day, hour and minute take together.
const MINUTE_BITS: u32 = 4 + 5 + 5 + 6;
/// A year that brings a time as near as this is the nearest one.
const SURELY_NEAREST: DurationMs = DurationMs::from_hours(180 * 24);

impl Clone for Zone {
    fn clone(&self) -> Self {
        Self::new(self.zone.clone())
    }
}

impl Zone {
    /// Makes a zone that has been asked for nothing.
    #[must_use]
    pub const fn new(zone: TimeZone) -> Self {
        Self { zone, last: AtomicU64::new(0) }
    }

    /// The instant of a local date and time.
    #[must_use]
    pub fn instant(&self, local: DateTime) -> Option<UtcMs> {
        in_zone(local, &self.zone)
    }

    /// The instant of a local date and time that lacks its year: the year that brings it nearest to `near`.
    #[must_use]
    pub fn in_nearest_year(&self, month: i8, day: i8, time: Time, near: UtcMs) -> Option<UtcMs> {
        let parts = [(month, 4), (day, 5), (time.hour(), 5), (time.minute(), 6)];
        let here = parts.iter().fold(0, |all, (part, bits)| all << bits | u64::from(part.unsigned_abs()));
        let within = i64::from(time.second()) * 1_000 + i64::from(time.subsec_nanosecond() / 1_000_000);
        let last = self.last.load(Relaxed);
        let known = UtcMs((last >> MINUTE_BITS) as i64 * 60_000 + within);
        if last & ((1 << MINUTE_BITS) - 1) == here && known.0.abs_diff(near.0) <= SURELY_NEAREST.0.unsigned_abs() {
            return Some(known);
        }
        let instant = in_nearest_year(month, day, time, near, &self.zone)?;
        let begin = instant.0 - within;
        if begin > 0 && begin % 60_000 == 0 {
            self.last.store((begin as u64 / 60_000) << MINUTE_BITS | here, Relaxed);
        }
        Some(instant)
    }
}

/// The instant of a local date and time that lacks its year: the year that brings it nearest to `near`.
fn in_nearest_year(month: i8, day: i8, time: Time, near: UtcMs, zone: &TimeZone) -> Option<UtcMs> {
    let this_year = Timestamp::from_millisecond(near.0).ok()?.to_zoned(zone.clone()).year();
    (this_year.saturating_sub(1)..=this_year.saturating_add(1))
        .filter_map(|year| Date::new(year, month, day).ok())
        .filter_map(|date| in_zone(date.to_datetime(time), zone))
        .min_by_key(|instant| instant.0.abs_diff(near.0))
}

/// Reads a fraction of a second, as written after the point, into nanoseconds; digits beyond the ninth are ignored.
#[must_use]
pub fn fraction(digits: &str) -> Option<i32> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let kept = &digits[..digits.len().min(9)];
    let number: i32 = kept.parse().ok()?;
    Some(number * 10_i32.pow(9 - kept.len() as u32))
}

#[cfg(test)]
mod tests;
