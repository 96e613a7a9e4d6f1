//! Logs as one Parquet file for other programs: what a query wants, with the columns of the log files.

use std::io::Write;
use std::sync::Arc;

use arrow::array::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::file::metadata::KeyValue;
use wk_types::DurationMs;

use crate::block::{Block, Column, Columns, schema};
use crate::error::LakeError;
use crate::lake::Lake;
use crate::query::{Cancel, LogQuery};
use crate::snapshot::{Deadline, Scan};
use crate::write::{KEY_VESSEL, properties};

/// Longest time that an export may take.
const EXPORT_MAX: DurationMs = DurationMs::from_hours(6);

/// Rows on their way into a file; the files they come from stay on disk until it ends.
pub struct LogExport {
    scan: Scan,
    first: Block,
}

impl Lake {
    /// Finds the rows that a query wants, whatever its limit and order; `None` where there are none.
    ///
    /// # Errors
    /// A query beyond its bounds, or a file that cannot be read. A damaged file is set aside, reported, and left out.
    pub fn export(&self, query: &LogQuery, cancel: &Cancel) -> Result<Option<LogExport>, LakeError> {
        let deadline = Deadline::after(EXPORT_MAX, cancel);
        let mut scan = Scan::new(Arc::new(self.snapshot()), query.predicate()?, Columns::ALL, deadline);
        Ok(scan.next_block()?.map(|(first, _)| LogExport { scan, first }))
    }
}

impl LogExport {
    /// Writes the rows, and answers how many there are. They stand in the order of the log files: by no column over the
    /// whole of a file.
    ///
    /// *Limits*: holds a row group as it was read, and one being written.
    ///
    /// # Errors
    /// A file that cannot be read, a call to stop, and whatever `out` reports.
    pub fn write(self, out: impl Write + Send, vessel: &str) -> Result<u64, LakeError> {
        let Self { mut scan, first } = self;
        let settings = properties(&schema())?.build();
        let mut writer = ArrowWriter::try_new(out, schema(), Some(settings)).map_err(LakeError::Encode)?;
        writer.append_key_value_metadata(KeyValue::new(KEY_VESSEL.to_owned(), vessel.to_owned()));
        let (mut rows, mut next) = (0, Some(first));
        while let Some(block) = next {
            rows += block.rows() as u64;
            writer.write(&batch(&block)?).map_err(LakeError::Encode)?;
            next = scan.next_block()?.map(|(block, _)| block);
        }
        writer.close().map_err(LakeError::Encode)?;
        Ok(rows)
    }
}

fn batch(block: &Block) -> Result<RecordBatch, LakeError> {
    let columns = Column::ALL.into_iter().filter_map(|column| block.array(column)).collect();
    RecordBatch::try_new(schema(), columns).map_err(|error| LakeError::Encode(error.into()))
}

#[cfg(test)]
mod tests;
