//! Time inside Watchkeeper: UTC milliseconds, always passed in, never read from a clock here.

use std::fmt;
use std::ops::{Add, AddAssign, Sub};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A span of time in milliseconds; may be negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DurationMs(pub i64);

impl DurationMs {
    /// A span of whole seconds.
    #[must_use]
    pub const fn from_secs(seconds: i64) -> Self {
        Self(seconds * 1_000)
    }

    /// A span of whole minutes.
    #[must_use]
    pub const fn from_mins(minutes: i64) -> Self {
        Self(minutes * 60_000)
    }

    /// A span of whole hours.
    #[must_use]
    pub const fn from_hours(hours: i64) -> Self {
        Self(hours * 3_600_000)
    }

    /// The span in seconds.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1_000.0
    }

    /// The span as the standard library's type; negative spans become zero.
    #[must_use]
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0.max(0).unsigned_abs())
    }
}

impl fmt::Display for DurationMs {
    /// Writes the span as a person says it: `450 ms`, `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.abs() < 1_000 {
            return write!(f, "{} ms", self.0);
        }
        let seconds = self.0 / 1_000;
        let (days, hours) = (seconds / 86_400, seconds % 86_400 / 3_600);
        let minutes = seconds % 3_600 / 60;
        match (days, hours, minutes) {
            (0, 0, 0) => write!(f, "{seconds} s"),
            (0, 0, _) => write!(f, "{minutes} min"),
            (0, _, 0) => write!(f, "{hours} h"),
            (0, _, _) => write!(f, "{hours} h {minutes} min"),
            (_, 0, _) => write!(f, "{days} d"),
            _ => write!(f, "{days} d {hours} h"),
        }
    }
}

/// An instant: milliseconds since 1970-01-01T00:00:00Z.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct UtcMs(pub i64);

impl UtcMs {
    /// The earliest instant that can be named.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest instant that can be named.
    pub const MAX: Self = Self(i64::MAX);

    /// The instant as seconds since the epoch, as Prometheus prints it.
    #[must_use]
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1_000.0
    }

    /// The instant `seconds` after the epoch, rounded to the millisecond; out-of-range values saturate.
    #[must_use]
    pub fn from_secs_f64(seconds: f64) -> Self {
        Self((seconds * 1_000.0).round() as i64)
    }

    /// The span from `earlier` to this instant; saturates.
    #[must_use]
    pub const fn since(self, earlier: Self) -> DurationMs {
        DurationMs(self.0.saturating_sub(earlier.0))
    }

    /// The largest multiple of `step` that is not after this instant.
    ///
    /// # Panics
    /// If `step` is not positive.
    #[must_use]
    pub const fn floor_to(self, step: DurationMs) -> Self {
        assert!(step.0 > 0, "step is positive");
        Self(self.0 - self.0.rem_euclid(step.0))
    }
}

impl Add<DurationMs> for UtcMs {
    type Output = Self;
    fn add(self, span: DurationMs) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl AddAssign<DurationMs> for UtcMs {
    fn add_assign(&mut self, span: DurationMs) {
        *self = *self + span;
    }
}

impl Sub<DurationMs> for UtcMs {
    type Output = Self;
    fn sub(self, span: DurationMs) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

impl fmt::Display for UtcMs {
    /// Writes RFC 3339 in UTC with milliseconds, or the bare number where the calendar ends.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(timestamp) => write!(f, "{timestamp:.3}"),
            Err(_) => write!(f, "{} ms", self.0),
        }
    }
}

/// The text was not an instant in RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not read {text:?} as a time in RFC 3339, such as 2026-11-24T02:14:00Z")]
pub struct ParseTimeError {
    text: String,
}

impl FromStr for UtcMs {
    type Err = ParseTimeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<jiff::Timestamp>()
            .map(|timestamp| Self(timestamp.as_millisecond()))
            .map_err(|_| ParseTimeError { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_print_and_parse_as_rfc_3339() {
        let instant: UtcMs = "2026-11-24T02:14:00.250Z".parse().unwrap();
        assert_eq!(instant.to_string(), "2026-11-24T02:14:00.250Z");
        assert!("yesterday".parse::<UtcMs>().is_err());
    }

    #[test]
    fn spans_read_as_a_person_says_them() {
        let said: Vec<String> =
            [450, 45_000, 720_000, 12_000_000, 187_200_000].into_iter().map(|ms| DurationMs(ms).to_string()).collect();
        assert_eq!(said, ["450 ms", "45 s", "12 min", "3 h 20 min", "2 d 4 h"]);
    }

    #[test]
    fn flooring_works_before_the_epoch() {
        assert_eq!(UtcMs(-1).floor_to(DurationMs(1_000)), UtcMs(-1_000));
    }
}
