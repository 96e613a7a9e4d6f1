//! File names as catalogue: all that pruning, merging, retention and the cursor need to know about a file.

use std::fmt;
use std::str::FromStr;

use wk_types::{Seq, UtcMs};

/// How every log file's name ends.
pub(crate) const EXTENSION: &str = ".parquet";

/// The latest instant whose year has four digits.
const NAMED_TIME_MAX: i64 = 253_402_300_799_999;
const DAY_MS: i64 = 86_400_000;

/// What a log file's name says, `<received>_<first>_<last>_<from>_<to>_<rows>_<check>.parquet`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct FileName {
    /// When the newest record in it was received.
    pub(crate) received: UtcMs,
    /// The first intake record in it.
    pub(crate) first: Seq,
    /// The last intake record it stands for; records without logs may lie between.
    pub(crate) last: Seq,
    /// The earliest time of a row.
    pub(crate) from: UtcMs,
    /// The latest time of a row.
    pub(crate) to: UtcMs,
    /// How many rows.
    pub(crate) rows: u64,
    /// Checksum of its footer, so that no damaged footer is ever interpreted.
    pub(crate) check: u64,
}

impl FileName {
    /// Tells whether this file holds everything that the other one holds.
    pub(crate) fn covers(&self, other: &Self) -> bool {
        self != other && self.first <= other.first && other.last <= self.last
    }

    /// The UTC day of receipt, counted from the epoch.
    pub(crate) const fn day(&self) -> i64 {
        self.received.0.div_euclid(DAY_MS)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let received = UtcMs(self.received.0.clamp(0, NAMED_TIME_MAX)).to_string().replace(['-', ':'], "");
        let Self { first, last, from, to, rows, check, .. } = self;
        write!(f, "{received}_{:012}_{:012}_{}_{}_{rows}_{check:016x}{EXTENSION}", first.0, last.0, from.0, to.0)
    }
}

/// The name is none that this version gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ForeignName;

impl FromStr for FileName {
    type Err = ForeignName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let stem = text.strip_suffix(EXTENSION).ok_or(ForeignName)?;
        let fields: Vec<&str> = stem.split('_').collect();
        let [received, first, last, from, to, rows, check] = fields[..] else { return Err(ForeignName) };
        let name = Self {
            received: received.parse().map_err(|_| ForeignName)?,
            first: Seq(number(first)?),
            last: Seq(number(last)?),
            from: UtcMs(number(from)?),
            to: UtcMs(number(to)?),
            rows: number(rows)?,
            check: u64::from_str_radix(check, 16).map_err(|_| ForeignName)?,
        };
        // A name that does not print back the same is not ours, so one file has only one name.
        if name.first > name.last || name.from > name.to || name.to_string() != text {
            return Err(ForeignName);
        }
        Ok(name)
    }
}

fn number<T: FromStr>(text: &str) -> Result<T, ForeignName> {
    text.parse().map_err(|_| ForeignName)
}

#[cfg(test)]
mod tests;
