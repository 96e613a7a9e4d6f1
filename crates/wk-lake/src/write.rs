//! Writing one log file: standard Parquet, with a filter after each row group and an index in the key-value metadata.

use std::io::{self, Write};

use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::ParquetError;
use parquet::file::metadata::{KeyValue, RowGroupMetaData, SortingColumn};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::ColumnPath;
use serde::{Deserialize, Serialize};
use wk_store::io::WriteFile;
use wk_types::UtcMs;
use xxhash_rust::xxh3::xxh3_64;

use crate::block::{Column, schema};
use crate::error::LakeError;
use crate::file::{FOOTER_TAIL_BYTES, GroupReader};
use crate::sorted::Sorted;

/// The key of the format number in a file's metadata.
pub(crate) const KEY_FORMAT: &str = "watchkeeper.format";
/// The key of the [`GroupIndex`] list in a file's metadata.
pub(crate) const KEY_INDEX: &str = "watchkeeper.index";
pub(crate) const KEY_VESSEL: &str = "watchkeeper.vessel";

/// Rows in a row group at most.
pub(crate) const GROUP_ROWS_MAX: usize = 1 << 16;
/// Text in a row group at most, so that reading one has a bound.
pub(crate) const GROUP_BYTES_MAX: usize = 16 << 20;
/// Rows of a column handed to the Parquet writer at once.
const SLICE_ROWS: usize = 8_192;
/// On real and on made logs, level 1 gives smaller columns than levels 2 to 4, in half the time.
const ZSTD_LEVEL: i32 = 1;

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

/// What a file holds that has been written to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) from: UtcMs,
    pub(crate) to: UtcMs,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    /// Checksum of the footer.
    pub(crate) check: u64,
}

/// A file being written, of which one row group at most is in memory.
struct Sink {
    file: Box<dyn WriteFile>,
    pending: Vec<u8>,
    /// Where in the file the pending bytes begin.
    base: u64,
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Sink {
    fn drain(&mut self) -> io::Result<()> {
        self.file.write_all(&self.pending)?;
        self.base += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    fn check(&self, start: u64, length: u64) -> u64 {
        let start = (start - self.base) as usize;
        xxh3_64(&self.pending[start..start + length as usize])
    }
}

/// Writes row groups to a file.
pub(crate) struct Encoder {
    writer: SerializedFileWriter<Sink>,
    groups: ArrowRowGroupWriterFactory,
    index: Vec<GroupIndex>,
    times: Option<(UtcMs, UtcMs)>,
    rows: u64,
}

impl Encoder {
    pub(crate) fn new(file: Box<dyn WriteFile>, vessel: Option<&str>) -> Result<Self, LakeError> {
        let sink = Sink { file, pending: Vec::new(), base: 0 };
        let (mut writer, groups) = ArrowWriter::try_new(sink, schema(), Some(sorted_properties(&schema())?))
            .and_then(ArrowWriter::into_serialized_writer)
            .map_err(LakeError::Encode)?;
        writer.append_key_value_metadata(KeyValue::new(KEY_FORMAT.to_owned(), crate::FORMAT.to_string()));
        if let Some(vessel) = vessel {
            writer.append_key_value_metadata(KeyValue::new(KEY_VESSEL.to_owned(), vessel.to_owned()));
        }
        Ok(Self { writer, groups, index: Vec::new(), times: None, rows: 0 })
    }

    /// Writes sorted rows as row groups of bounded size.
    pub(crate) fn write(&mut self, sorted: &Sorted<'_>) -> Result<(), LakeError> {
        sorted.groups().try_for_each(|group| self.write_group(&group))
    }

    fn write_group(&mut self, sorted: &Sorted<'_>) -> Result<(), LakeError> {
        let schema = schema();
        let writers = self.groups.create_column_writers(self.index.len()).map_err(LakeError::Encode)?;
        let mut group = self.writer.next_row_group().map_err(LakeError::Encode)?;
        for (column, mut writer) in Column::ALL.into_iter().zip(writers) {
            for slice in sorted.slices(SLICE_ROWS) {
                let array = slice.column(column).to_array(column);
                let leaves = compute_leaves(schema.field(column as usize), &array).map_err(LakeError::Encode)?;
                leaves.iter().try_for_each(|leaf| writer.write(leaf)).map_err(LakeError::Encode)?;
            }
            writer.close().and_then(|chunk| chunk.append_to_row_group(&mut group)).map_err(LakeError::Encode)?;
        }
        let metadata = group.close().map_err(LakeError::Encode)?;
        self.note_times(sorted.times());
        self.end_group(&metadata, sorted.severities(), &sorted.filter())
    }

    /// Copies a row group of the present format as it is.
    pub(crate) fn copy_group(&mut self, reader: &GroupReader<'_>) -> Result<(), LakeError> {
        let (from, index) = (reader.footer.metadata(reader.group), reader.footer.index(reader.group));
        let mut group = self.writer.next_row_group().map_err(LakeError::Encode)?;
        for column in Column::ALL {
            let metadata = from.column(column as usize);
            let chunk = Placed { start: metadata.byte_range().0, bytes: reader.stored_chunk(column)? };
            let close = ColumnCloseResult {
                bytes_written: chunk.bytes.len() as u64,
                rows_written: from.num_rows() as u64,
                metadata: metadata.clone(),
                bloom_filter: None,
                column_index: None,
                offset_index: None,
            };
            group.append_column(&chunk, close).map_err(LakeError::Encode)?;
        }
        let metadata = group.close().map_err(LakeError::Encode)?;
        let summary = reader.summary();
        self.note_times((summary.from, summary.to));
        self.end_group(&metadata, index.severities, &reader.filter()?)
    }

    fn note_times(&mut self, (from, to): (UtcMs, UtcMs)) {
        let (first, last) = self.times.unwrap_or((from, to));
        self.times = Some((first.min(from), last.max(to)));
    }

    fn end_group(&mut self, metadata: &RowGroupMetaData, severities: [u64; 4], filter: &[u8]) -> Result<(), LakeError> {
        self.writer.flush().map_err(encode_io)?;
        let sink = self.writer.inner();
        let checks = metadata.columns().iter().map(|column| column.byte_range());
        let columns = checks.map(|(start, length)| sink.check(start, length)).collect();
        let filter_offset = sink.base + sink.pending.len() as u64;
        self.writer.write_all(filter).map_err(encode_io)?;
        self.writer.flush().map_err(encode_io)?;
        self.writer.inner_mut().drain().map_err(LakeError::Write)?;
        let (filter_bytes, filter_check) = (filter.len(), xxh3_64(filter));
        self.index.push(GroupIndex { columns, severities, filter_offset, filter_bytes, filter_check });
        self.rows += metadata.num_rows().unsigned_abs();
        Ok(())
    }

    /// Ends the file and syncs it; `None` where no row came.
    pub(crate) fn finish(mut self) -> Result<Option<Written>, LakeError> {
        let Some((from, to)) = self.times else { return Ok(None) };
        let index = serde_json::to_string(&self.index).expect("an index has only numbers");
        self.writer.append_key_value_metadata(KeyValue::new(KEY_INDEX.to_owned(), index));
        self.writer.finish().map_err(LakeError::Encode)?;
        self.writer.flush().map_err(encode_io)?;
        let sink = self.writer.inner_mut();
        let check = xxh3_64(footer_of(&sink.pending).expect("a file just written ends with a footer"));
        sink.drain().and_then(|()| sink.file.sync()).map_err(LakeError::Write)?;
        Ok(Some(Written { from, to, rows: self.rows, bytes: sink.base, check }))
    }
}

fn encode_io(error: io::Error) -> LakeError {
    LakeError::Encode(error.into())
}

/// A column chunk in memory, standing at its place in a file.
struct Placed {
    start: u64,
    bytes: Bytes,
}

impl parquet::file::reader::Length for Placed {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl parquet::file::reader::ChunkReader for Placed {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        self.get_bytes(start, self.bytes.len().saturating_sub(start.saturating_sub(self.start) as usize))
            .map(bytes::Buf::reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let offset = start.checked_sub(self.start).and_then(|offset| usize::try_from(offset).ok());
        offset
            .filter(|offset| offset.checked_add(length).is_some_and(|end| end <= self.bytes.len()))
            .map(|offset| self.bytes.slice(offset..offset + length))
            .ok_or_else(|| ParquetError::EOF(format!("{length} bytes at {start} lie outside their column")))
    }
}

/// The footer with its length and magic; `None` where the bytes are too short for it.
pub(crate) fn footer_of(bytes: &[u8]) -> Option<&[u8]> {
    let (rest, tail) = bytes.split_at_checked(bytes.len().checked_sub(FOOTER_TAIL_BYTES)?)?;
    let length = u32::from_le_bytes(tail[..4].try_into().ok()?) as usize;
    Some(&bytes[rest.len().checked_sub(length)?..])
}

/// How log files are written, whose row groups are sorted.
fn sorted_properties(schema: &SchemaRef) -> Result<WriterProperties, LakeError> {
    let sorting = [Column::App, Column::Asset, Column::Time, Column::Seq].map(|column| SortingColumn {
        column_idx: column as i32,
        descending: false,
        nulls_first: false,
    });
    let builder = properties(schema)?.set_max_row_group_row_count(Some(GROUP_ROWS_MAX));
    Ok(builder.set_sorting_columns(Some(sorting.to_vec())).build())
}

/// How the columns of logs are written.
pub(crate) fn properties(schema: &SchemaRef) -> Result<WriterPropertiesBuilder, LakeError> {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).map_err(LakeError::Encode)?;
    let mut builder = WriterProperties::builder()
        .set_created_by(format!("watchkeeper {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(level))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    for column in [Column::Time, Column::Seq, Column::Line] {
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
    Ok(builder)
}

fn path(schema: &SchemaRef, column: Column) -> ColumnPath {
    ColumnPath::from(schema.field(column as usize).name().as_str())
}
