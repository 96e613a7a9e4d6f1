//! Writing a block, series after series, in the memory of the finished block and one open chunk.

use std::collections::HashMap;
use std::sync::Arc;

use wk_types::{Sample, Series, UtcMs};

use crate::bounds::{CHUNK_SAMPLES, CHUNK_SERIES, DIRECTORY_BYTES_MAX, LABELS_MAX, SERIES_MAX, SERIES_SAMPLES_MAX};
use crate::bytes::Packer;
use crate::dictionary::encode_dictionary;
use crate::error::BlockError;
use crate::header::{HEADER_BYTES, Header, Part};
use crate::layout::{Layout, SeriesSpan, TimeVector};
use crate::times::encode_times;
use crate::values::ChunkWriter;

/// A series with its samples, to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockSeries {
    /// The series.
    pub series: Arc<Series>,
    /// Its samples in ascending time, each time once.
    pub samples: Vec<Sample>,
}

/// Writes a whole block. Series without samples are left out.
///
/// # Errors
/// As [`Writer::push`] and [`Writer::finish`].
pub fn encode(series: &[BlockSeries]) -> Result<Vec<u8>, BlockError> {
    let mut writer = Writer::new()?;
    for one in series {
        writer.push(&one.series, &one.samples)?;
    }
    writer.finish()
}

/// Writes a block series by series.
pub struct Writer {
    packer: Packer,
    base: Option<i64>,
    series: Vec<Arc<Series>>,
    labels: usize,
    samples: u64,
    vectors: Vec<TimeVector>,
    vector_bytes: Vec<Arc<[u8]>>,
    vector_by_bytes: HashMap<Arc<[u8]>, u32>,
    vector_of: Vec<u32>,
    open: ChunkWriter,
    chunk_starts: Vec<u32>,
    value_chunks: Vec<Vec<u8>>,
}

impl Writer {
    /// Begins an empty block.
    ///
    /// # Errors
    /// The compressor could not be set up.
    pub fn new() -> Result<Self, BlockError> {
        Ok(Self {
            packer: Packer::new()?,
            base: None,
            series: Vec::new(),
            labels: 0,
            samples: 0,
            vectors: Vec::new(),
            vector_bytes: Vec::new(),
            vector_by_bytes: HashMap::new(),
            vector_of: Vec::new(),
            open: ChunkWriter::new(),
            chunk_starts: Vec::new(),
            value_chunks: Vec::new(),
        })
    }

    /// How many series have been written.
    #[must_use]
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Tells whether no series has been written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    /// Adds a series; one without samples is left out.
    ///
    /// # Errors
    /// Labels not above those before, times that do not ascend, and more than a block may hold.
    pub fn push(&mut self, series: &Arc<Series>, samples: &[Sample]) -> Result<(), BlockError> {
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else { return Ok(()) };
        self.check(series, samples)?;
        let base = *self.base.get_or_insert(first.time.0);
        let bytes: Arc<[u8]> = encode_times(samples.iter().map(|sample| sample.time.0), base).into();
        let vector = match self.vector_by_bytes.get(&bytes) {
            Some(known) => *known,
            None => {
                let span = SeriesSpan { first: first.time, last: last.time, count: samples.len() as u32 };
                self.vectors.push(TimeVector { span, chunk: 0, offset: 0, bytes: bytes.len() as u32 });
                self.vector_bytes.push(Arc::clone(&bytes));
                self.vector_by_bytes.insert(bytes, self.vectors.len() as u32 - 1);
                self.vectors.len() as u32 - 1
            }
        };
        if self.open.series() == 0 {
            self.chunk_starts.push(self.series.len() as u32);
        }
        self.vector_of.push(vector);
        self.series.push(Arc::clone(series));
        self.labels += series.labels.len();
        self.samples += samples.len() as u64;
        self.open.push(samples.iter().map(|sample| sample.value));
        if self.open.series() >= CHUNK_SERIES || self.open.samples() >= CHUNK_SAMPLES {
            self.value_chunks.push(self.open.finish(&mut self.packer)?);
        }
        Ok(())
    }

    fn check(&self, series: &Series, samples: &[Sample]) -> Result<(), BlockError> {
        if self.series.last().is_some_and(|before| before.labels >= series.labels) {
            return Err(BlockError::Unsorted { what: "series" });
        }
        if samples.windows(2).any(|pair| pair[0].time >= pair[1].time) {
            return Err(BlockError::Unsorted { what: "times of a series" });
        }
        let bounds = [
            (self.series.len() + 1, SERIES_MAX, "series"),
            (self.labels + series.labels.len(), LABELS_MAX, "labels"),
            (samples.len(), SERIES_SAMPLES_MAX, "samples of one series"),
        ];
        match bounds.into_iter().find(|(count, max, _)| count > max) {
            Some((_, max, what)) => Err(BlockError::TooLarge { what, max }),
            None => Ok(()),
        }
    }

    /// The finished block.
    ///
    /// # Errors
    /// More than a block may hold, and a compressor that fails.
    pub fn finish(mut self) -> Result<Vec<u8>, BlockError> {
        if self.open.series() > 0 {
            self.value_chunks.push(self.open.finish(&mut self.packer)?);
        }
        let (mut time_chunks, mut time_parts) = (Vec::new(), Vec::new());
        for plain in self.gather_time_chunks() {
            let size = plain.len();
            let stored = self.packer.pack(plain)?;
            time_parts.push(part(&stored, size));
            time_chunks.push(stored);
        }
        let layout = Layout {
            base: self.base.unwrap_or(0),
            vectors: self.vectors,
            time_chunks: time_parts,
            vector_of: self.vector_of,
            chunk_starts: self.chunk_starts,
            value_chunks: self.value_chunks.iter().map(|stored| part(stored, 0)).collect(),
        };
        let (dictionary, dictionary_part) = pack_directory(&mut self.packer, encode_dictionary(&self.series))?;
        let (layout_bytes, layout_part) = pack_directory(&mut self.packer, layout.encode())?;
        let spans = layout.vectors.iter().map(|vector| vector.span);
        let body: Vec<Vec<u8>> =
            [dictionary, layout_bytes].into_iter().chain(time_chunks).chain(self.value_chunks).collect();
        let header = Header {
            series: self.series.len() as u32,
            samples: self.samples,
            first: spans.clone().map(|span| span.first).min().unwrap_or(UtcMs::MIN),
            last: spans.map(|span| span.last).max().unwrap_or(UtcMs::MIN),
            dictionary: dictionary_part,
            layout: layout_part,
            file_bytes: (HEADER_BYTES + body.iter().map(Vec::len).sum::<usize>()) as u64,
        };
        let mut block = header.encode();
        block.reserve_exact(header.file_bytes as usize - HEADER_BYTES);
        for part in body {
            block.extend_from_slice(&part);
        }
        Ok(block)
    }

    /// Joins the time vectors into chunks and notes where each stands.
    fn gather_time_chunks(&mut self) -> Vec<Vec<u8>> {
        let mut chunks = Vec::new();
        let (mut plain, mut samples) = (Vec::new(), 0);
        for (vector, bytes) in self.vectors.iter_mut().zip(&self.vector_bytes) {
            (vector.chunk, vector.offset) = (chunks.len() as u32, plain.len() as u32);
            plain.extend_from_slice(bytes);
            samples += vector.span.count as usize;
            if samples >= CHUNK_SAMPLES {
                chunks.push(std::mem::take(&mut plain));
                samples = 0;
            }
        }
        if !plain.is_empty() {
            chunks.push(plain);
        }
        chunks
    }
}

/// Describes a part; where it stands follows from those before it.
fn part(stored: &[u8], plain: usize) -> Part {
    let checksum = crc32c::crc32c(stored);
    Part { name: "part", offset: 0, bytes: stored.len() as u32, plain: plain as u32, checksum }
}

fn pack_directory(packer: &mut Packer, plain: Vec<u8>) -> Result<(Vec<u8>, Part), BlockError> {
    let size = plain.len();
    if size > DIRECTORY_BYTES_MAX {
        return Err(BlockError::TooLarge { what: "bytes of labels and layout", max: DIRECTORY_BYTES_MAX });
    }
    let stored = packer.pack(plain)?;
    let part = part(&stored, size);
    Ok((stored, part))
}
