//! Reading one log file, each part only after its checksum.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use arrow::compute::concat_batches;
use bytes::{Buf, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;
use wk_store::io::{Io, ReadFile};
use wk_types::UtcMs;
use xxhash_rust::xxh3::xxh3_64;

use crate::block::{Block, Column, Columns};
use crate::error::LakeError;
use crate::name::FileName;
use crate::predicate::Predicate;
use crate::write::{GroupIndex, KEY_FORMAT, KEY_INDEX, footer_of};

/// Parquet's end of a file: the footer's length and the magic.
pub(crate) const FOOTER_TAIL_BYTES: usize = 8;
/// Read at once from a file's end; most footers fit.
const FOOTER_GUESS_BYTES: u64 = 32 << 10;
const FOOTER_BYTES_MAX: u64 = 16 << 20;
/// A column chunk of more than this is not ours.
const CHUNK_BYTES_MAX: u64 = 256 << 20;

/// A log file as the catalogue knows it.
#[derive(Debug)]
pub(crate) struct LogFile {
    pub(crate) name: FileName,
    pub(crate) path: PathBuf,
    pub(crate) bytes: u64,
}

impl LogFile {
    fn damaged(&self, what: impl Into<String>) -> LakeError {
        LakeError::damaged(&self.name.to_string(), what)
    }

    fn read_error(&self, source: std::io::Error) -> LakeError {
        LakeError::ReadFile { name: self.name.to_string(), source }
    }

    pub(crate) fn open(&self, io: &dyn Io) -> Result<Box<dyn ReadFile>, LakeError> {
        io.open(&self.path).map_err(|source| self.read_error(source))
    }

    fn read(&self, file: &dyn ReadFile, offset: u64, length: usize) -> Result<Bytes, LakeError> {
        let mut bytes = vec![0; length];
        let read = file.read_at(offset, &mut bytes).map_err(|source| self.read_error(source))?;
        if read < length {
            return Err(self.damaged(format!("it ends at byte {}", offset + read as u64)));
        }
        Ok(bytes.into())
    }
}

/// What is known of a row group before it is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct GroupSummary {
    pub(crate) from: UtcMs,
    pub(crate) to: UtcMs,
    pub(crate) rows: usize,
    pub(crate) severities: [u64; 4],
}

/// A file's footer, checked.
#[derive(Debug)]
pub(crate) struct Footer {
    arrow: ArrowReaderMetadata,
    index: Vec<GroupIndex>,
    groups: Vec<GroupSummary>,
}

impl Footer {
    /// Reads and checks a file's footer.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or has a newer format.
    pub(crate) fn load(io: &dyn Io, file: &LogFile) -> Result<Self, LakeError> {
        let reader = file.open(io)?;
        let size = reader.size().map_err(|source| file.read_error(source))?;
        let footer = read_footer(file, &*reader, size)?;
        if xxh3_64(&footer) != file.name.check {
            return Err(file.damaged("its footer does not match its name"));
        }
        let encoded = &footer[..footer.len() - FOOTER_TAIL_BYTES];
        let metadata =
            ParquetMetaDataReader::decode_metadata(encoded).map_err(|error| file.damaged(error.to_string()))?;
        let index = read_index(file, &metadata)?;
        let groups =
            summaries(&metadata, &index).ok_or_else(|| file.damaged("its index does not fit its row groups"))?;
        let arrow = ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new())
            .map_err(|error| file.damaged(error.to_string()))?;
        Ok(Self { arrow, index, groups })
    }

    pub(crate) fn groups(&self) -> &[GroupSummary] {
        &self.groups
    }
}

fn read_footer(file: &LogFile, reader: &dyn ReadFile, size: u64) -> Result<Bytes, LakeError> {
    let guess = size.min(FOOTER_GUESS_BYTES);
    let end = file.read(reader, size - guess, guess as usize)?;
    if let Some(footer) = footer_of(&end) {
        return Ok(end.slice_ref(footer));
    }
    let tail = end.len().checked_sub(FOOTER_TAIL_BYTES).ok_or_else(|| file.damaged("it is too short"))?;
    let length = u64::from((&end[tail..]).get_u32_le()) + FOOTER_TAIL_BYTES as u64;
    if length > size.min(FOOTER_BYTES_MAX) {
        return Err(file.damaged("its footer's length is impossible"));
    }
    file.read(reader, size - length, length as usize)
}

fn read_index(file: &LogFile, metadata: &ParquetMetaData) -> Result<Vec<GroupIndex>, LakeError> {
    let pairs = metadata.file_metadata().key_value_metadata();
    let value = |key: &str| {
        pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == key)).and_then(|pair| pair.value.as_deref())
    };
    let format = value(KEY_FORMAT).and_then(|text| text.parse::<u32>().ok());
    match format {
        Some(found) if found > crate::FORMAT => Err(LakeError::Newer { name: file.name.to_string(), found }),
        Some(_) => value(KEY_INDEX)
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or_else(|| file.damaged("it has no index")),
        None => Err(file.damaged("it has no format number")),
    }
}

fn summaries(metadata: &ParquetMetaData, index: &[GroupIndex]) -> Option<Vec<GroupSummary>> {
    let fits = metadata.num_row_groups() == index.len()
        && index.iter().all(|group| group.columns.len() == Column::ALL.len())
        && metadata.row_groups().iter().all(|group| group.num_columns() == Column::ALL.len());
    if !fits {
        return None;
    }
    let summary = |(position, index): (usize, &GroupIndex)| {
        let group = metadata.row_group(position);
        let (from, to) = match group.column(Column::Time as usize).statistics() {
            Some(Statistics::Int64(times)) => (*times.min_opt()?, *times.max_opt()?),
            _ => (i64::MIN, i64::MAX),
        };
        let rows = usize::try_from(group.num_rows()).ok()?;
        Some(GroupSummary { from: UtcMs(from), to: UtcMs(to), rows, severities: index.severities })
    };
    index.iter().enumerate().map(summary).collect()
}

/// Reads one row group.
pub(crate) struct GroupReader<'a> {
    pub(crate) file: &'a LogFile,
    pub(crate) footer: &'a Footer,
    pub(crate) reader: &'a dyn ReadFile,
    pub(crate) group: usize,
}

impl GroupReader<'_> {
    /// Tells whether the group may hold a wanted row; reads at most its filter.
    ///
    /// # Errors
    /// A file that cannot be read or is damaged.
    pub(crate) fn may_match(&self, predicate: &Predicate) -> Result<bool, LakeError> {
        if !predicate.may_match_group(&self.footer.groups[self.group]) {
            return Ok(false);
        }
        if !predicate.needs_filter() {
            return Ok(true);
        }
        let index = &self.footer.index[self.group];
        let filter = self.checked(index.filter_offset, index.filter_bytes as u64, index.filter_check)?;
        Ok(predicate.may_match_filter(&filter))
    }

    /// The positions of the wanted rows, ascending.
    ///
    /// # Errors
    /// A file that cannot be read or is damaged.
    pub(crate) fn positions(&self, predicate: &Predicate) -> Result<Vec<u32>, LakeError> {
        let columns = predicate.columns();
        let rows = self.footer.groups[self.group].rows;
        let block = if columns.is_empty() { Block::bare(rows) } else { self.block(columns, None)? };
        let mut positions = predicate.positions(&block);
        if positions.is_empty() || predicate.patterns.is_empty() {
            return Ok(positions);
        }
        let messages = self.block(Columns::default().with(Column::Message), Some(&positions))?;
        let mut scratch = String::new();
        let mut row = 0;
        positions.retain(|_| {
            row += 1;
            let message = messages.text(Column::Message, row - 1).unwrap_or_default();
            predicate.matches_text(message, &mut scratch)
        });
        Ok(positions)
    }

    /// Some columns of the rows at `positions` (ascending), or of all.
    ///
    /// # Errors
    /// A file that cannot be read or is damaged.
    pub(crate) fn block(&self, columns: Columns, positions: Option<&[u32]>) -> Result<Block, LakeError> {
        let rows = self.footer.groups[self.group].rows;
        let taken = positions.filter(|positions| positions.len() < rows);
        if columns.is_empty() {
            return Ok(Block::bare(positions.map_or(rows, <[u32]>::len)));
        }
        let batches = self
            .batches(columns, taken, rows.max(1))?
            .collect::<Result<Vec<RecordBatch>, _>>()
            .map_err(|error| self.file.damaged(error.to_string()))?;
        let batch = match &batches[..] {
            [one] => one.clone(),
            [] => return Ok(Block::bare(0)),
            [first, ..] => {
                concat_batches(first.schema_ref(), &batches).map_err(|error| self.file.damaged(error.to_string()))?
            }
        };
        Block::from_batch(&batch).ok_or_else(|| self.file.damaged("a column has an unexpected type"))
    }

    /// Reads some columns in batches of `batch_rows`.
    ///
    /// # Errors
    /// A file that cannot be read or is damaged.
    pub(crate) fn batches(
        &self,
        columns: Columns,
        positions: Option<&[u32]>,
        batch_rows: usize,
    ) -> Result<ParquetRecordBatchReader, LakeError> {
        let chunks = self.chunks(columns)?;
        let mask = ProjectionMask::leaves(self.footer.arrow.parquet_schema(), columns.iter().map(|one| one as usize));
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(chunks, self.footer.arrow.clone())
            .with_row_groups(vec![self.group])
            .with_projection(mask)
            .with_batch_size(batch_rows);
        if let Some(positions) = positions {
            let rows = self.footer.groups[self.group].rows;
            builder = builder.with_row_selection(selection(positions, rows));
        }
        builder.build().map_err(|error| self.file.damaged(error.to_string()))
    }

    fn chunks(&self, columns: Columns) -> Result<Chunks, LakeError> {
        let group = self.footer.arrow.metadata().row_group(self.group);
        let checks = &self.footer.index[self.group].columns;
        let read = |column: Column| {
            let (start, length) = group.column(column as usize).byte_range();
            Ok((start, self.checked(start, length, checks[column as usize])?))
        };
        Ok(Chunks { size: self.file.bytes, parts: columns.iter().map(read).collect::<Result<_, LakeError>>()? })
    }

    fn checked(&self, start: u64, length: u64, check: u64) -> Result<Bytes, LakeError> {
        if length > CHUNK_BYTES_MAX {
            return Err(self.file.damaged("a part's length is impossible"));
        }
        let bytes = self.file.read(self.reader, start, length as usize)?;
        if xxh3_64(&bytes) != check {
            return Err(self.file.damaged(format!("the checksum of {length} bytes at {start} does not match")));
        }
        Ok(bytes)
    }
}

fn selection(positions: &[u32], rows: usize) -> RowSelection {
    let mut wanted = positions.iter().map(|position| *position as usize).peekable();
    let mask = BooleanBuffer::collect_bool(rows, |row| wanted.next_if_eq(&row).is_some());
    RowSelection::from_boolean_buffer(mask)
}

/// Column chunks in memory, standing at their places in the file.
struct Chunks {
    size: u64,
    parts: Vec<(u64, Bytes)>,
}

impl Chunks {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        let part = self.parts.iter().find_map(|(begin, bytes)| {
            let offset = usize::try_from(start.checked_sub(*begin)?).ok()?;
            (offset < bytes.len()).then(|| bytes.slice(offset..))
        });
        part.ok_or_else(|| ParquetError::General(format!("byte {start} lies in no column wanted")))
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Chunks {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        if length > bytes.len() {
            return Err(ParquetError::EOF(format!("{length} bytes at {start} reach beyond their column")));
        }
        Ok(bytes.slice(..length))
    }
}

#[cfg(test)]
mod tests;
