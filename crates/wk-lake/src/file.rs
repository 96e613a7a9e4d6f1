//! Reading one log file, each part only after its checksum.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use arrow::compute::concat_batches;
use bytes::{Buf, Bytes};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::statistics::Statistics;
use wk_store::io::{Io, ReadFile};
use wk_types::{Seq, UtcMs};
use xxhash_rust::xxh3::xxh3_64;

use crate::block::{Block, COLUMNS, Column, Columns, Values};
use crate::error::LakeError;
use crate::name::FileName;
use crate::predicate::Predicate;
use crate::query::Scanned;
use crate::write::{GROUP_ROWS_MAX, GroupIndex, KEY_FORMAT, KEY_INDEX, footer_of};

/// Parquet's end of a file: the footer's length and the magic.
pub(crate) const FOOTER_TAIL_BYTES: usize = 8;
/// Read at once from a file's end; most footers fit.
const FOOTER_GUESS_BYTES: u64 = 32 << 10;
const FOOTER_BYTES_MAX: u64 = 16 << 20;
/// A column chunk of more than this is not ours.
const CHUNK_BYTES_MAX: u64 = 256 << 20;
/// Columns of the first format.
const COLUMNS_MIN: usize = 8;
/// Where fewer than one row in so many is wanted, the others are not decoded.
const SPARSE: usize = 16;

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
    /// The first and the last intake record.
    pub(crate) seqs: (Seq, Seq),
    pub(crate) rows: usize,
    /// Rows of each severity, least first.
    pub(crate) severities: [u64; 4],
}

/// A file's footer, checked.
#[derive(Debug)]
pub(crate) struct Footer {
    format: u32,
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
        let (format, index) = read_index(file, &metadata)?;
        let groups =
            summaries(&metadata, &index).ok_or_else(|| file.damaged("its index does not fit its row groups"))?;
        let arrow = ArrowReaderMetadata::try_new(Arc::new(metadata), ArrowReaderOptions::new())
            .map_err(|error| file.damaged(error.to_string()))?;
        Ok(Self { format, arrow, index, groups })
    }

    pub(crate) fn groups(&self) -> &[GroupSummary] {
        &self.groups
    }

    /// Tells whether the row groups are as this version writes them.
    pub(crate) const fn is_present_format(&self) -> bool {
        self.format == crate::FORMAT
    }

    pub(crate) fn metadata(&self, group: usize) -> &RowGroupMetaData {
        self.arrow.metadata().row_group(group)
    }

    pub(crate) fn index(&self, group: usize) -> &GroupIndex {
        &self.index[group]
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

fn read_index(file: &LogFile, metadata: &ParquetMetaData) -> Result<(u32, Vec<GroupIndex>), LakeError> {
    let pairs = metadata.file_metadata().key_value_metadata();
    let value = |key: &str| {
        pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == key)).and_then(|pair| pair.value.as_deref())
    };
    let format = value(KEY_FORMAT).and_then(|text| text.parse::<u32>().ok());
    match format {
        Some(found) if found > crate::FORMAT => Err(LakeError::Newer { name: file.name.to_string(), found }),
        Some(format) => value(KEY_INDEX)
            .and_then(|text| serde_json::from_str(text).ok())
            .map(|index| (format, index))
            .ok_or_else(|| file.damaged("it has no index")),
        None => Err(file.damaged("it has no format number")),
    }
}

fn summaries(metadata: &ParquetMetaData, index: &[GroupIndex]) -> Option<Vec<GroupSummary>> {
    let columns = metadata.file_metadata().schema_descr().num_columns();
    let fits = metadata.num_row_groups() == index.len()
        && (COLUMNS_MIN..=COLUMNS).contains(&columns)
        && index.iter().all(|group| group.columns.len() == columns)
        && metadata.row_groups().iter().all(|group| group.num_columns() == columns);
    if !fits {
        return None;
    }
    let summary = |(position, index): (usize, &GroupIndex)| {
        let group = metadata.row_group(position);
        let bounds = |column: Column| match group.column(column as usize).statistics() {
            Some(Statistics::Int64(times)) => Some((*times.min_opt()?, *times.max_opt()?)),
            _ => None,
        };
        let (from, to) = bounds(Column::Time).unwrap_or((i64::MIN, i64::MAX));
        let (first, last) = bounds(Column::Seq).unwrap_or((0, i64::MAX));
        let rows = usize::try_from(group.num_rows()).ok()?;
        let seqs = (Seq(first as u64), Seq(last as u64));
        Some(GroupSummary { from: UtcMs(from), to: UtcMs(to), seqs, rows, severities: index.severities })
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
        Ok(predicate.may_match_filter(&self.filter()?))
    }

    /// The wanted rows' positions, ascending, and some of their columns.
    ///
    /// # Errors
    /// A file that cannot be read or is damaged.
    pub(crate) fn wanted(
        &self,
        predicate: &Predicate,
        columns: Columns,
        scanned: &mut Scanned,
    ) -> Result<(Vec<u32>, Block), LakeError> {
        if !self.may_match(predicate)? {
            scanned.groups_skipped += 1;
            return Ok(Default::default());
        }
        scanned.groups += 1;
        scanned.rows += self.summary().rows as u64;
        let deciding = self.block(predicate.columns(&self.footer.groups[self.group]), None)?;
        let mut positions = predicate.positions(&deciding);
        let texts = predicate.text_columns();
        let mut block = deciding.take(&positions);
        if !texts.is_empty() && !positions.is_empty() {
            let read = self.block(texts, Some(&positions))?;
            let kept = predicate.places_of_texts(&read);
            positions = kept.iter().map(|place| positions[*place as usize]).collect();
            block = block.and(read).take(&kept);
        }
        if positions.is_empty() {
            return Ok(Default::default());
        }
        let missing = columns.without(block.columns());
        let block = block.and(self.block(missing, Some(&positions))?).only(columns);
        Ok((positions, block))
    }

    /// Some columns of the rows at `positions` (ascending), or of all.
    ///
    /// # Errors
    /// A file that cannot be read or is damaged.
    pub(crate) fn block(&self, columns: Columns, positions: Option<&[u32]>) -> Result<Block, LakeError> {
        let rows = self.footer.groups[self.group].rows;
        let positions = positions.filter(|positions| positions.len() < rows);
        let stored = columns.and(self.stored_columns());
        let block = match positions {
            Some(positions) if positions.len() < rows / SPARSE => self.read_block(stored, Some(positions))?,
            Some(positions) => self.read_block(stored, None)?.take(positions),
            None => self.read_block(stored, None)?,
        };
        if columns.has(Column::Line) && !stored.has(Column::Line) {
            let base = (self.group * GROUP_ROWS_MAX) as i64;
            let places: Vec<i64> = match positions {
                Some(positions) => positions.iter().map(|position| base + i64::from(*position)).collect(),
                None => (base..base + rows as i64).collect(),
            };
            return Ok(block.with(Column::Line, Values::Numbers(places.into())));
        }
        Ok(block)
    }

    /// The first format had no place in the record; that in the file stands in for it.
    fn stored_columns(&self) -> Columns {
        let stored = self.footer.arrow.metadata().file_metadata().schema_descr().num_columns();
        Column::ALL.into_iter().take(stored).collect()
    }

    fn read_block(&self, columns: Columns, positions: Option<&[u32]>) -> Result<Block, LakeError> {
        let rows = self.footer.groups[self.group].rows;
        if columns.is_empty() {
            return Ok(Block::bare(positions.map_or(rows, <[u32]>::len)));
        }
        let damaged = |error: String| self.file.damaged(error);
        let mask = ProjectionMask::leaves(self.footer.arrow.parquet_schema(), columns.iter().map(|one| one as usize));
        let chunks = self.chunks(columns)?;
        let mut builder = ParquetRecordBatchReaderBuilder::new_with_metadata(chunks, self.footer.arrow.clone())
            .with_row_groups(vec![self.group])
            .with_projection(mask)
            .with_batch_size(rows.max(1));
        if let Some(positions) = positions {
            builder = builder.with_row_selection(selection(positions, rows));
        }
        let reader = builder.build().map_err(|error| damaged(error.to_string()))?;
        let batches = reader.collect::<Result<Vec<RecordBatch>, _>>().map_err(|error| damaged(error.to_string()))?;
        let batch = match &batches[..] {
            [one] => one.clone(),
            [] => return Ok(Block::bare(0)),
            [first, ..] => concat_batches(first.schema_ref(), &batches).map_err(|error| damaged(error.to_string()))?,
        };
        let wanted = positions.map_or(rows, <[u32]>::len);
        Block::from_batch(&batch)
            .filter(|block| block.rows() == wanted)
            .ok_or_else(|| damaged("a column has an unexpected type or length".to_owned()))
    }

    pub(crate) fn summary(&self) -> &GroupSummary {
        &self.footer.groups[self.group]
    }

    /// A column chunk as it is stored.
    ///
    /// # Errors
    /// A file that cannot be read or is damaged.
    pub(crate) fn stored_chunk(&self, column: Column) -> Result<Bytes, LakeError> {
        let (start, length) = self.footer.metadata(self.group).column(column as usize).byte_range();
        self.checked(start, length, self.footer.index[self.group].columns[column as usize])
    }

    /// The group's filter as it is stored.
    ///
    /// # Errors
    /// A file that cannot be read or is damaged.
    pub(crate) fn filter(&self) -> Result<Bytes, LakeError> {
        let index = &self.footer.index[self.group];
        self.checked(index.filter_offset, index.filter_bytes as u64, index.filter_check)
    }

    /// Tells whether every part of the group is as it was written.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(crate) fn is_sound(&self) -> Result<bool, LakeError> {
        let mut parts = self
            .stored_columns()
            .iter()
            .map(|column| self.stored_chunk(column))
            .chain(std::iter::once_with(|| self.filter()));
        match parts.find_map(Result::err) {
            None => Ok(true),
            Some(LakeError::Damaged { .. }) => Ok(false),
            Some(error) => Err(error),
        }
    }

    fn chunks(&self, columns: Columns) -> Result<Chunks, LakeError> {
        let read = |column: Column| {
            let (start, _) = self.footer.metadata(self.group).column(column as usize).byte_range();
            Ok((start, self.stored_chunk(column)?))
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
