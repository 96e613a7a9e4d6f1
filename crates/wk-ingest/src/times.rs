//! What a sender's own time is worth, and the shapes in which log lines write it.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
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
    text.parse::<Timestamp>().ok().map(|instant| UtcMs(instant.as_millisecond()))
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

/// The instant of a local date and time that lacks its year: the year that brings it nearest to `near`.
#[must_use]
pub fn in_nearest_year(month: i8, day: i8, time: jiff::civil::Time, near: UtcMs, zone: &TimeZone) -> Option<UtcMs> {
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
