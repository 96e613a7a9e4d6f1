//! Logs as Parquet, their search, and SQL over them; the only crate that knows arrow and parquet.
//!
//! A [`Lake`] reads the intake log's log records into a bounded buffer that is searched as well, and writes it as
//! Parquet files whose names are their catalogue: which records a file holds, which times, how many rows, and the
//! checksum of its footer. So the cursor and the pruning by time need no other index, and a start reads no data.

mod attributes;
mod block;
mod buffer;
mod chunk;
mod counts;
mod error;
mod file;
mod lake;
mod merge;
mod name;
mod pattern;
mod predicate;
mod query;
mod regular;
mod retention;
mod row;
mod search;
mod snapshot;
mod sorted;
mod source;
mod sql;
mod stored;
mod time_text;
mod top;
mod trigrams;
mod write;

pub use counts::{HistogramBuilder, VALUES_MAX, check_fields, too_many_values};
pub use error::LakeError;
pub use lake::{Appended, FileProblem, Lake, LakeOptions, LakeStats, Maintained, OpenReport};
pub use query::{
    Bin, Cancel, Condition, Cursor, Histogram, LogField, LogQuery, Page, ParseError, SEARCH_ROWS_MAX, Scanned,
    SearchLimits, Tail, TailCursor, TextTest, TopValues, ValueCount,
};
pub use row::LogRow;
pub use source::{LogSource, OutsideLogs, RowBatches, TableScan};
pub use sql::{SqlAnswer, SqlLimits, SqlSources, sql_outside};
pub use stored::StoredFile;

/// The format number of the files this version writes, and the newest it reads.
pub const FORMAT: u32 = 2;

#[cfg(test)]
mod testing;
