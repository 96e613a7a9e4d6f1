//! Where logs are asked: of the lake itself, or of a store outside that has taken over its job.

use std::fmt;

use wk_types::DurationMs;

use crate::error::LakeError;
use crate::lake::Lake;
use crate::query::{Histogram, LogField, LogQuery, Page, SearchLimits, Tail, TailCursor, TopValues, ValueCount};
use crate::row::LogRow;
use crate::sql::{SqlAnswer, SqlLimits, SqlSources};

/// A store of logs that answers the node's questions. Every store answers the same rows with the same.
pub trait LogSource: fmt::Debug + Send + Sync {
    /// The rows that a query wants, in the order of time; as [`Lake::search`].
    ///
    /// # Errors
    /// A query beyond its bounds, one that takes too long or is called off, or a store that does not answer.
    fn search(&self, query: &LogQuery, limits: &SearchLimits) -> Result<Page, LakeError>;

    /// The wanted rows that arrived after a place; as [`Lake::tail`].
    ///
    /// # Errors
    /// As [`Self::search`].
    fn tail(&self, query: &LogQuery, after: Option<TailCursor>, limits: &SearchLimits) -> Result<Tail, LakeError>;

    /// The place behind the newest row that can be asked for, cheap to ask.
    fn newest(&self) -> TailCursor;

    /// Counts wanted rows by severity per `step`; as [`Lake::histogram`].
    ///
    /// # Errors
    /// As [`Self::search`], and a step that is not positive or too small.
    fn histogram(&self, query: &LogQuery, step: DurationMs, limits: &SearchLimits) -> Result<Histogram, LakeError>;

    /// The most frequent combinations of some fields' values; as [`Lake::top_values`].
    ///
    /// # Errors
    /// As [`Self::search`], and too many fields or different values.
    fn top_values(
        &self,
        query: &LogQuery,
        fields: &[LogField],
        limit: usize,
        limits: &SearchLimits,
    ) -> Result<TopValues, LakeError>;

    /// Answers one SELECT; as [`Lake::sql`].
    ///
    /// # Errors
    /// As [`Lake::sql`].
    fn sql(&self, sources: &SqlSources<'_>, query: &str, limits: &SqlLimits) -> Result<SqlAnswer, LakeError>;
}

impl LogSource for Lake {
    fn search(&self, query: &LogQuery, limits: &SearchLimits) -> Result<Page, LakeError> {
        Self::search(self, query, limits)
    }

    fn tail(&self, query: &LogQuery, after: Option<TailCursor>, limits: &SearchLimits) -> Result<Tail, LakeError> {
        Self::tail(self, query, after, limits)
    }

    fn newest(&self) -> TailCursor {
        Self::newest(self)
    }

    fn histogram(&self, query: &LogQuery, step: DurationMs, limits: &SearchLimits) -> Result<Histogram, LakeError> {
        Self::histogram(self, query, step, limits)
    }

    fn top_values(
        &self,
        query: &LogQuery,
        fields: &[LogField],
        limit: usize,
        limits: &SearchLimits,
    ) -> Result<TopValues, LakeError> {
        Self::top_values(self, query, fields, limit, limits)
    }

    fn sql(&self, sources: &SqlSources<'_>, query: &str, limits: &SqlLimits) -> Result<SqlAnswer, LakeError> {
        Self::sql(self, sources, query, limits)
    }
}

/// Rows wanted by a statement of SQL from a store outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableScan {
    /// Which rows; of its limit and its order only [`Self::rows_max`] and [`Self::is_ordered`] say whether they count.
    pub query: LogQuery,
    /// Whether the rows must come in the query's order of time.
    pub is_ordered: bool,
    /// How many rows at most, where they are ordered; `None` for all.
    pub rows_max: Option<usize>,
    /// Whether the messages are read; otherwise they may be left empty.
    pub has_messages: bool,
    /// Whether the attributes are read; otherwise they may be left empty.
    pub has_attributes: bool,
}

/// Rows as they come, some at a time, never none.
pub type RowBatches = Box<dyn Iterator<Item = Result<Vec<LogRow>, LakeError>>>;

/// A table of logs in a store outside, as SQL reads it.
pub trait OutsideLogs: Send + Sync {
    /// Begins to read rows.
    ///
    /// # Errors
    /// As [`LogSource::search`].
    fn scan(&self, scan: &TableScan, limits: &SearchLimits) -> Result<RowBatches, LakeError>;

    /// Counts wanted rows by some fields' values, all combinations in any order; without a field, all rows as one.
    ///
    /// # Errors
    /// As [`LogSource::top_values`].
    fn counts(
        &self,
        query: &LogQuery,
        fields: &[LogField],
        limits: &SearchLimits,
    ) -> Result<Vec<ValueCount>, LakeError>;
}
