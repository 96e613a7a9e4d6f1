//! Reading samples out of a block: of one series, or of many in ascending position.

use std::sync::Arc;

use wk_types::{Sample, Series, UtcMs};

use crate::bounds::SEGMENT_SAMPLES;
use crate::dictionary::decode_dictionary;
use crate::error::BlockError;
use crate::header::{Header, PartSource};
use crate::layout::{Layout, segment_samples};
use crate::times::TimeReader;
use crate::values::ValueChunk;

/// Reads series of one block; a chunk is decompressed once as long as positions ascend.
///
/// *Limits*: holds the chunks of one group, and bounded numbers of times and of time chunks.
pub struct SeriesReader<'a, S: PartSource + ?Sized> {
    layout: &'a Layout,
    source: &'a S,
    times: TimeReader,
    group: Option<OpenGroup>,
    values: Vec<f64>,
}

/// The group that was read last, and those of its chunks that were needed.
struct OpenGroup {
    number: usize,
    chunks: Vec<Option<ValueChunk>>,
}

impl<'a, S: PartSource + ?Sized> SeriesReader<'a, S> {
    /// Makes a reader of the block that `layout` describes.
    pub fn new(layout: &'a Layout, source: &'a S) -> Self {
        Self { layout, source, times: TimeReader::new(), group: None, values: Vec::new() }
    }

    /// The samples of the series at `position`, in ascending time.
    ///
    /// # Errors
    /// Whatever the source reports, and damage in the chunks that the series stands in.
    ///
    /// # Panics
    /// If the block has no series at `position`.
    pub fn samples(&mut self, position: usize) -> Result<Vec<Sample>, BlockError> {
        let mut samples = Vec::with_capacity(self.layout.span(position).count as usize);
        self.append(position, UtcMs::MIN, UtcMs::MAX, &mut samples)?;
        Ok(samples)
    }

    /// Appends the samples that the series at `position` has in `from..=to`, in ascending time; only the chunks they
    /// stand in are read. After an error `out` may have got some of them.
    ///
    /// # Errors
    /// Whatever the source reports, and damage in these chunks.
    ///
    /// # Panics
    /// If the block has no series at `position`.
    pub fn append(&mut self, position: usize, from: UtcMs, to: UtcMs, out: &mut Vec<Sample>) -> Result<(), BlockError> {
        let Self { layout, source, times, group, values } = self;
        let times = times.read(layout, *source, layout.vector_of[position], (from.0, to.0))?;
        let mut times_left = &*times.times;
        let mut at = times.positions.start;
        while at < times.positions.end {
            let segment = at / SEGMENT_SAMPLES;
            let begin = at % SEGMENT_SAMPLES;
            let chunk = open_chunk(group, layout, *source, position, segment)?;
            chunk.values(position, values)?;
            let now = values.len().saturating_sub(begin).min(times_left.len());
            let (times_now, rest) = times_left.split_at(now);
            out.extend(times_now.iter().zip(&values[begin..]).map(|(time, value)| Sample::new(UtcMs(*time), *value)));
            times_left = rest;
            at = (segment + 1) * SEGMENT_SAMPLES;
        }
        Ok(())
    }

    /// A number for the neighbourhood that the series at `position` stands in: what damages one of its values may damage
    /// all of them.
    #[must_use]
    pub fn chunk_of(&self, position: usize) -> usize {
        self.layout.group_of(position)
    }
}

/// The chunk of segment `segment` in the group of the series at `position`.
fn open_chunk<'a, S: PartSource + ?Sized>(
    open: &'a mut Option<OpenGroup>,
    layout: &Layout,
    source: &S,
    position: usize,
    segment: usize,
) -> Result<&'a mut ValueChunk, BlockError> {
    let number = match open {
        Some(group) if layout.series_of_group(group.number).contains(&position) => group.number,
        _ => layout.group_of(position),
    };
    if open.as_ref().is_none_or(|group| group.number != number) {
        *open = None;
    }
    let group = open.get_or_insert_with(|| OpenGroup { number, chunks: Vec::new() });
    if group.chunks.len() <= segment {
        group.chunks.resize_with(segment + 1, || None);
    }
    let slot = &mut group.chunks[segment];
    if slot.is_none() {
        let part = &layout.value_chunks[layout.groups[number].chunk as usize + segment];
        let stored = part.read(source)?.into_owned();
        let members = layout.series_of_group(number).filter_map(|position| {
            let count = segment_samples(layout.span(position).count as usize, segment);
            (count > 0).then_some((position, count))
        });
        *slot = Some(ValueChunk::open(stored, members)?);
    }
    slot.as_mut().ok_or(BlockError::corrupt("value chunk", "it was not opened"))
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
