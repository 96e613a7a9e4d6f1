//! Metrics as Parquet, for other programs and for taking in again.
//!
//! A row is a sample: `time` (milliseconds, UTC), `value` (a double, bit for bit), `metric` (the name), `asset` (whose
//! it is), and a text column per label, null where the series has none. Rows stand series by series in the order of
//! their labels, and in the order of time within a series. A label that is called like one of the other columns, up to
//! case, gets `label_` before its name; the field's metadata tells the name it has.

mod read;
mod write;

use std::collections::HashSet;

use parquet::errors::ParquetError;
use wk_types::ErrorKind;

pub use read::{MetricFileReader, MetricRows};
pub use write::MetricFileWriter;

/// Label columns of one file at most.
pub const LABELS_MAX: usize = 1_000;

/// The number of the layout, in a file's metadata under [`KEY_FORMAT`].
const FORMAT: u32 = 1;
const KEY_FORMAT: &str = "watchkeeper.metrics.format";
/// The key of a label's name in the metadata of its field.
const KEY_LABEL: &str = "watchkeeper.label";
const TIME: &str = "time";
const VALUE: &str = "value";
const METRIC: &str = "metric";
const ASSET: &str = "asset";
/// Stands before the name of a label that is called like another column.
const LABEL_PREFIX: &str = "label_";

/// Why metrics could not be written as Parquet, or read from it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MetricFileError {
    /// There are more labels than a file has columns for.
    #[error("the series have {found} labels, a file has columns for {LABELS_MAX}; export fewer at once by a selector")]
    TooManyLabels {
        /// How many there are.
        found: usize,
    },
    /// A series has a label that has no column.
    #[error("the label {label:?} came up while the file was being written; export again")]
    NewLabel {
        /// The label.
        label: String,
    },
    /// The file cannot be written.
    #[error("could not write metrics as Parquet")]
    Write(#[source] ParquetError),
    /// The file is no Parquet file, or damaged.
    #[error("could not read metrics from Parquet")]
    Read(#[source] ParquetError),
    /// A newer version wrote the file.
    #[error("the file has layout {found}, this version reads up to {FORMAT}; use a newer watchkeeper")]
    Newer {
        /// The layout found.
        found: String,
    },
    /// A column is missing or is not as it must be.
    #[error("the column {column:?} {what}")]
    Column {
        /// Which one.
        column: String,
        /// What is wrong with it, and what to do.
        what: String,
    },
}

impl MetricFileError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::NewLabel { .. } | Self::Newer { .. } => ErrorKind::Conflict,
            Self::Write(_) => ErrorKind::Unavailable,
            Self::TooManyLabels { .. } | Self::Column { .. } => ErrorKind::InvalidInput,
            Self::Read(_) => ErrorKind::Corrupt,
        }
    }

    /// Tells whether the same call may succeed later without being changed.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.kind().is_retryable()
    }

    fn column(column: &str, what: impl Into<String>) -> Self {
        Self::Column { column: column.to_owned(), what: what.into() }
    }
}

/// The names of the columns of labels, none equal to another up to case.
fn column_names(labels: &[String]) -> Vec<String> {
    let mut taken: HashSet<String> = [TIME, VALUE, METRIC, ASSET].map(str::to_owned).into();
    let name = |label: &String| {
        let mut name = label.clone();
        while !taken.insert(name.to_lowercase()) {
            name.insert_str(0, LABEL_PREFIX);
        }
        name
    };
    labels.iter().map(name).collect()
}

#[cfg(test)]
mod tests;
