//! Writing one log file: standard Parquet, with a filter after each row group and an index in the key-value metadata.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, RowGroupMetaData, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use serde::{Deserialize, Serialize};
use wk_types::UtcMs;
use xxhash_rust::xxh3::xxh3_64;

use crate::block::{Column, batch_of, schema};
use crate::error::LakeError;
use crate::file::FOOTER_TAIL_BYTES;
use crate::row::Row;
use crate::trigrams::{FilterBuilder, NameKind};

/// The key of the format number in a file's metadata.
pub(crate) const KEY_FORMAT: &str = "watchkeeper.format";
/// The key of the [`GroupIndex`] list in a file's metadata.
pub(crate) const KEY_INDEX: &str = "watchkeeper.index";
const KEY_VESSEL: &str = "watchkeeper.vessel";

/// Rows in a row group at most.
pub(crate) const GROUP_ROWS_MAX: usize = 1 << 16;
/// Text in a row group at most, so that reading one has a bound.
const GROUP_BYTES_MAX: usize = 16 << 20;
/// Rows handed to the Parquet writer at once.
const BATCH_ROWS: usize = 8_192;
const ZSTD_LEVEL: i32 = 3;

/// What Watchkeeper keeps about a row group beside what Parquet does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct GroupIndex {
    /// Checksum of each column chunk, in the order of columns.
    pub(crate) columns: Vec<u64>,
    /// Rows of each severity, least first.
    pub(crate) severities: [u64; 4],
    /// Where the filter lies in the file.
    pub(crate) filter_offset: u64,
    /// The filter's length.
    pub(crate) filter_bytes: usize,
    /// The filter's checksum.
    pub(crate) filter_check: u64,
}

/// A file ready to be written.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub(crate) bytes: Vec<u8>,
    pub(crate) from: UtcMs,
    pub(crate) to: UtcMs,
    pub(crate) rows: u64,
    /// Checksum of the footer.
    pub(crate) check: u64,
}

/// Encodes rows that come in the order of [`Row::order`].
pub(crate) struct Encoder {
    writer: ArrowWriter<Vec<u8>>,
    pending: Vec<Arc<Row>>,
    filter: FilterBuilder,
    severities: [u64; 4],
    group_rows: usize,
    group_bytes: usize,
    index: Vec<GroupIndex>,
    times: Option<(UtcMs, UtcMs)>,
    rows: u64,
}

impl Encoder {
    pub(crate) fn new(vessel: Option<&str>) -> Result<Self, LakeError> {
        let mut writer =
            ArrowWriter::try_new(Vec::new(), schema(), Some(properties(&schema())?)).map_err(LakeError::Encode)?;
        writer.append_key_value_metadata(KeyValue::new(KEY_FORMAT.to_owned(), crate::FORMAT.to_string()));
        if let Some(vessel) = vessel {
            writer.append_key_value_metadata(KeyValue::new(KEY_VESSEL.to_owned(), vessel.to_owned()));
        }
        Ok(Self {
            writer,
            pending: Vec::new(),
            filter: FilterBuilder::new(),
            severities: [0; 4],
            group_rows: 0,
            group_bytes: 0,
            index: Vec::new(),
            times: None,
            rows: 0,
        })
    }

    pub(crate) fn push(&mut self, row: Arc<Row>) -> Result<(), LakeError> {
        let (from, to) = self.times.unwrap_or((row.time, row.time));
        self.times = Some((from.min(row.time), to.max(row.time)));
        self.filter.add_text(&row.message);
        self.filter.add_name(NameKind::Asset, row.asset.as_str());
        self.filter.add_name(NameKind::App, &row.app);
        self.severities[row.severity as usize] += 1;
        self.rows += 1;
        self.group_rows += 1;
        self.group_bytes += row.bytes();
        self.pending.push(row);
        if self.group_rows >= GROUP_ROWS_MAX || self.group_bytes >= GROUP_BYTES_MAX {
            return self.end_group();
        }
        if self.pending.len() >= BATCH_ROWS { self.write_pending() } else { Ok(()) }
    }

    fn write_pending(&mut self) -> Result<(), LakeError> {
        let batch = batch_of(self.pending.iter().map(AsRef::as_ref));
        self.pending.clear();
        self.writer.write(&batch).map_err(LakeError::Encode)
    }

    fn end_group(&mut self) -> Result<(), LakeError> {
        self.write_pending()?;
        self.writer.flush().map_err(LakeError::Encode)?;
        let io = |error: std::io::Error| LakeError::Encode(error.into());
        self.writer.sync().map_err(io)?;
        let written = self.writer.inner();
        let group = self.writer.flushed_row_groups().last().expect("a group was just written");
        let columns = column_checks(group, written);
        let filter_offset = written.len() as u64;
        let filter = self.filter.finish();
        self.writer.write_all(&filter).map_err(io)?;
        self.index.push(GroupIndex {
            columns,
            severities: std::mem::take(&mut self.severities),
            filter_offset,
            filter_bytes: filter.len(),
            filter_check: xxh3_64(&filter),
        });
        (self.group_rows, self.group_bytes) = (0, 0);
        Ok(())
    }

    /// Ends the file; `None` where no row came.
    pub(crate) fn finish(mut self) -> Result<Option<Encoded>, LakeError> {
        if self.group_rows > 0 {
            self.end_group()?;
        }
        let Some((from, to)) = self.times else { return Ok(None) };
        let index = serde_json::to_string(&self.index).expect("an index has only numbers");
        self.writer.append_key_value_metadata(KeyValue::new(KEY_INDEX.to_owned(), index));
        let bytes = self.writer.into_inner().map_err(LakeError::Encode)?;
        let check = xxh3_64(footer_of(&bytes).expect("a file just written ends with a footer"));
        Ok(Some(Encoded { bytes, from, to, rows: self.rows, check }))
    }
}

fn column_checks(group: &RowGroupMetaData, written: &[u8]) -> Vec<u64> {
    let check = |(start, length): (u64, u64)| xxh3_64(&written[start as usize..(start + length) as usize]);
    group.columns().iter().map(|column| check(column.byte_range())).collect()
}

/// The footer with its length and magic; `None` where the bytes are too short for it.
pub(crate) fn footer_of(bytes: &[u8]) -> Option<&[u8]> {
    let (rest, tail) = bytes.split_at_checked(bytes.len().checked_sub(FOOTER_TAIL_BYTES)?)?;
    let length = u32::from_le_bytes(tail[..4].try_into().ok()?) as usize;
    Some(&bytes[rest.len().checked_sub(length)?..])
}

fn properties(schema: &SchemaRef) -> Result<WriterProperties, LakeError> {
    let sorting = [Column::App, Column::Asset, Column::Time, Column::Seq].map(|column| SortingColumn {
        column_idx: column as i32,
        descending: false,
        nulls_first: false,
    });
    let level = ZstdLevel::try_new(ZSTD_LEVEL).map_err(LakeError::Encode)?;
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("watchkeeper {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(GROUP_ROWS_MAX))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_sorting_columns(Some(sorting.to_vec()));
    for column in [Column::Time, Column::Seq] {
        builder = builder
            .set_column_dictionary_enabled(path(schema, column), false)
            .set_column_encoding(path(schema, column), Encoding::DELTA_BINARY_PACKED);
    }
    builder = builder
        .set_column_dictionary_enabled(path(schema, Column::Message), false)
        .set_column_encoding(path(schema, Column::Message), Encoding::DELTA_LENGTH_BYTE_ARRAY);
    for column in [Column::Message, Column::Template, Column::Attributes] {
        builder = builder.set_column_statistics_enabled(path(schema, column), EnabledStatistics::None);
    }
    Ok(builder.build())
}

fn path(schema: &SchemaRef, column: Column) -> ColumnPath {
    ColumnPath::from(schema.field(column as usize).name().as_str())
}
