//! Rollups: what a series did in each step of five minutes or of one hour, kept long after its samples.

use std::sync::Arc;

use crate::series::{Matcher, Series, SourceError};
use crate::time::{DurationMs, UtcMs};

/// How coarse a rollup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// One row every five minutes.
    FiveMinutes,
    /// One row an hour.
    Hour,
}

impl Resolution {
    /// Both, the finer one first.
    pub const ALL: [Self; 2] = [Self::FiveMinutes, Self::Hour];

    /// How long one step is; steps begin at whole multiples of it.
    #[must_use]
    pub const fn step(self) -> DurationMs {
        match self {
            Self::FiveMinutes => DurationMs::from_mins(5),
            Self::Hour => DurationMs::from_hours(1),
        }
    }

    /// The name as it stands in file and table names.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FiveMinutes => "5m",
            Self::Hour => "1h",
        }
    }
}

/// What one series did in one step. Stale markers and other NaNs count as no sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RollupRow {
    /// When the step begins; samples from then until the next step's beginning count.
    pub time: UtcMs,
    /// The mean of the samples; `None` for a counter.
    pub avg: Option<f64>,
    /// The smallest sample; `None` for a counter.
    pub min: Option<f64>,
    /// The largest sample; `None` for a counter.
    pub max: Option<f64>,
    /// The last sample.
    pub last: f64,
    /// How many samples there were, at least one.
    pub count: u64,
    /// By how much a counter grew, resets taken into account, from the sample before the step to the step's last one;
    /// `None` for what is no counter.
    pub increase: Option<f64>,
}

/// Rows of one series, in ascending time, at least one.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesRollup {
    /// The series whose samples these rows sum up.
    pub series: Arc<Series>,
    /// Its rows.
    pub rows: Vec<RollupRow>,
}

/// Rollups one series at a time.
pub type Rollups = Box<dyn Iterator<Item = Result<SeriesRollup, SourceError>> + Send>;

/// Where rollups are read from.
pub trait RollupSource: Send + Sync {
    /// Returns the rows that begin in `from..=to` of every series that meets all `matchers`, of what is stored and of
    /// what is too recent to be stored. They come a stretch of time after the other, oldest first, in each of them
    /// sorted by labels: a series comes once per stretch, and no row comes twice.
    ///
    /// *Limits*: holds the rows of one series, and what reading one stretch takes, whatever the range.
    ///
    /// # Errors
    /// A pattern that does not compile; while iterating, stored data that cannot be read.
    fn rollups(
        &self,
        matchers: &[Matcher],
        from: UtcMs,
        to: UtcMs,
        resolution: Resolution,
    ) -> Result<Rollups, SourceError>;
}
