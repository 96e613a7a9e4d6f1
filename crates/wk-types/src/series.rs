//! Series, samples, and the trait through which every evaluator reads them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::ErrorKind;
use crate::id::AssetId;
use crate::labels::{Labels, SeriesId};
use crate::time::UtcMs;

/// One value of a series at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When the value was observed.
    pub time: UtcMs,
    /// The value, in the metric's base unit.
    #[serde(with = "crate::number")]
    pub value: f64,
}

/// The NaN that says "the series ended here" (Prometheus `value.StaleNaN`).
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;

impl Sample {
    /// Makes a sample.
    #[must_use]
    pub const fn new(time: UtcMs, value: f64) -> Self {
        Self { time, value }
    }

    /// Tells whether the sample is a stale marker.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.value.to_bits() == STALE_NAN_BITS
    }
}

/// A series' identity: its labels, the id derived from them, and the asset it was attributed to at intake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Series {
    /// Derived from `labels`.
    pub id: SeriesId,
    /// All labels, the metric name among them.
    pub labels: Labels,
    /// Whose series it is.
    pub asset: AssetId,
}

impl Series {
    /// Makes a series and derives its id.
    #[must_use]
    pub fn new(labels: Labels, asset: AssetId) -> Self {
        Self { id: labels.id(), labels, asset }
    }
}

/// Samples of one series as they came in, in the order they came.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesSamples {
    /// The series they belong to.
    pub series: Arc<Series>,
    /// The samples; times may repeat or run backwards.
    pub samples: Vec<Sample>,
}

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MatchOp {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `=~`, anchored at both ends
    Regex,
    /// `!~`, anchored at both ends
    NotRegex,
}

/// A condition on one label; a label that is absent counts as the empty text.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Matcher {
    /// The label's name.
    pub name: Arc<str>,
    /// How it compares.
    pub op: MatchOp,
    /// The text, or the regular expression without anchors.
    pub value: Arc<str>,
}

impl Matcher {
    /// Makes a matcher.
    #[must_use]
    pub fn new(name: &str, op: MatchOp, value: &str) -> Self {
        Self { name: name.into(), op, value: value.into() }
    }
}

/// What a [`SeriesSource`] answers with: one series and its samples in ascending time, each time once.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesData {
    /// The series' labels.
    pub labels: Labels,
    /// Samples within the range asked for, stale markers included.
    pub samples: Arc<[Sample]>,
}

/// Why a source of series could not answer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    /// A matcher's regular expression does not compile.
    #[error("could not read the regular expression {pattern:?}: {reason}")]
    BadPattern {
        /// The pattern as written.
        pattern: String,
        /// What the compiler said.
        reason: String,
    },
    /// More samples than the query may read.
    #[error("the query reads more than {max} samples; narrow the selector or the time range")]
    TooManySamples {
        /// The bound.
        max: usize,
    },
    /// The store could not be read.
    #[error("could not read the stored series: {reason}")]
    Read {
        /// What went wrong.
        reason: String,
    },
}

impl SourceError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::BadPattern { .. } | Self::TooManySamples { .. } => ErrorKind::InvalidInput,
            Self::Read { .. } => ErrorKind::Unavailable,
        }
    }
}

/// Where an evaluator reads series from.
pub trait SeriesSource {
    /// Returns every series that meets all `matchers` and has a sample in `from..=to`, sorted by labels.
    ///
    /// # Errors
    /// A pattern that does not compile, more than `samples_max` samples in all, or stored data that cannot be read.
    fn select(
        &self,
        matchers: &[Matcher],
        from: UtcMs,
        to: UtcMs,
        samples_max: usize,
    ) -> Result<Vec<SeriesData>, SourceError>;

    /// Returns when each sample of `series`, an answer of [`SeriesSource::select`], began to count: one list per
    /// series with one time per sample, zero where it is not known. No list at all where the source keeps no start
    /// times.
    fn starts(&self, series: &[SeriesData]) -> Vec<Vec<UtcMs>> {
        let _ = series;
        Vec::new()
    }
}
