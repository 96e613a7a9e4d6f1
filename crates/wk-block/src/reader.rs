//! Reading samples out of a block: of one series, or of many in ascending position.

use std::collections::HashMap;
use std::sync::Arc;

use wk_types::{Sample, Series, UtcMs};

use crate::bounds::TIME_CHUNK_BYTES_MAX;
use crate::bytes::unpack;
use crate::dictionary::decode_dictionary;
use crate::error::BlockError;
use crate::header::{Header, PartSource};
use crate::layout::Layout;
use crate::times::decode_times;
use crate::values::ValueChunk;

const TIMES: &str = "times";

/// Reads series of one block; a chunk is decompressed once as long as positions ascend.
///
/// *Limits*: holds one value chunk and the decompressed time chunks it has met.
pub struct SeriesReader<'a, S: PartSource + ?Sized> {
    layout: &'a Layout,
    source: &'a S,
    values: Option<(usize, ValueChunk)>,
    times: HashMap<u32, Vec<u8>>,
}

impl<'a, S: PartSource + ?Sized> SeriesReader<'a, S> {
    /// Makes a reader of the block that `layout` describes.
    pub fn new(layout: &'a Layout, source: &'a S) -> Self {
        Self { layout, source, values: None, times: HashMap::new() }
    }

    /// The samples of the series at `position`, in ascending time.
    ///
    /// # Errors
    /// Whatever the source reports, and damage in the chunks that the series stands in.
    ///
    /// # Panics
    /// If the block has no series at `position`.
    pub fn samples(&mut self, position: usize) -> Result<Vec<Sample>, BlockError> {
        let times = self.times(position)?;
        let chunk = self.layout.chunk_starts.partition_point(|start| *start as usize <= position) - 1;
        let start = self.layout.chunk_starts[chunk] as usize;
        let values = self.value_chunk(chunk)?.values(position - start)?;
        Ok(times.into_iter().zip(values).map(|(time, value)| Sample::new(UtcMs(time), value)).collect())
    }

    /// The number of the value chunk that the series at `position` stands in.
    #[must_use]
    pub fn chunk_of(&self, position: usize) -> usize {
        self.layout.chunk_starts.partition_point(|start| *start as usize <= position).saturating_sub(1)
    }

    fn times(&mut self, position: usize) -> Result<Vec<i64>, BlockError> {
        let vector = self.layout.vectors[self.layout.vector_of[position] as usize];
        let plain = match self.times.entry(vector.chunk) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(free) => {
                let part = self.layout.time_chunks[vector.chunk as usize];
                let stored = part.read(self.source)?;
                free.insert(unpack(&stored, part.plain as usize, TIME_CHUNK_BYTES_MAX, TIMES)?)
            }
        };
        let bytes = plain
            .get(vector.offset as usize..vector.offset as usize + vector.bytes as usize)
            .ok_or(BlockError::corrupt(TIMES, "a vector stands outside its chunk"))?;
        let times = decode_times(bytes, vector.span.count as usize, self.layout.base)?;
        if times.first() != Some(&vector.span.first.0) || times.last() != Some(&vector.span.last.0) {
            return Err(BlockError::corrupt(TIMES, "a vector contradicts the layout"));
        }
        Ok(times)
    }

    fn value_chunk(&mut self, chunk: usize) -> Result<&mut ValueChunk, BlockError> {
        let layout = self.layout;
        let opened = match self.values.take() {
            Some((open, values)) if open == chunk => values,
            _ => {
                let stored = layout.value_chunks[chunk].read(self.source)?.into_owned();
                let series = layout.series_of_chunk(chunk);
                ValueChunk::open(stored, series.map(|position| layout.span(position).count as usize))?
            }
        };
        Ok(&mut self.values.insert((chunk, opened)).1)
    }
}

/// What a block says about one of its series.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesEntry {
    /// The series.
    pub series: Arc<Series>,
    /// The time of its first sample.
    pub first: UtcMs,
    /// The time of its last sample.
    pub last: UtcMs,
    /// How many samples it has, at least one.
    pub count: u32,
}

/// A block held in memory as its stored bytes.
#[derive(Debug)]
pub struct Block<B> {
    bytes: B,
    header: Header,
    layout: Layout,
    series: Vec<SeriesEntry>,
}

impl<B: AsRef<[u8]>> Block<B> {
    /// Reads header, dictionary and layout.
    ///
    /// # Errors
    /// Bytes that are no block, a newer format, and damage in these parts.
    pub fn open(bytes: B) -> Result<Self, BlockError> {
        let source = bytes.as_ref();
        let header = Header::read(source)?;
        let layout = Layout::read(&header, source)?;
        let series = decode_dictionary(&header, &header.dictionary.read(source)?)?;
        let series = series
            .into_iter()
            .enumerate()
            .map(|(position, series)| {
                let span = layout.span(position);
                SeriesEntry { series: Arc::new(series), first: span.first, last: span.last, count: span.count }
            })
            .collect();
        Ok(Self { bytes, header, layout, series })
    }

    /// The block's header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The series in label order.
    #[must_use]
    pub fn series(&self) -> &[SeriesEntry] {
        &self.series
    }

    /// The samples of the series at `position`, in ascending time.
    ///
    /// # Errors
    /// Damage in the chunks that the series stands in.
    ///
    /// # Panics
    /// If the block has no series at `position`.
    pub fn samples(&self, position: usize) -> Result<Vec<Sample>, BlockError> {
        SeriesReader::new(&self.layout, self.bytes.as_ref()).samples(position)
    }
}

/// Checks every part of a block against its checksum, one after the other.
///
/// # Errors
/// Whatever the source reports, and the first damage that is found.
pub fn verify<S: PartSource + ?Sized>(source: &S) -> Result<Header, BlockError> {
    let header = Header::read(source)?;
    header.dictionary.read(source)?;
    let layout = Layout::read(&header, source)?;
    for part in layout.time_chunks.iter().chain(&layout.value_chunks) {
        part.read(source)?;
    }
    Ok(header)
}

#[cfg(test)]
mod tests;
