//! Writing a block, series after series; finished chunks go to the sink at once.

use std::io::Write;
use std::sync::Arc;

use wk_types::{Sample, Series, UtcMs};

use crate::bounds::{
    CHUNK_SAMPLES, DIRECTORY_BYTES_MAX, GROUP_SAMPLES, GROUP_SERIES, LABELS_MAX, SEGMENT_SAMPLES, SERIES_MAX,
    SERIES_SAMPLES_MAX,
};
use crate::bytes::Packer;
use crate::dictionary::encode_dictionary;
use crate::error::BlockError;
use crate::header::{HEADER_BYTES, Header, Part, front};
use crate::layout::{Group, Layout, SeriesSpan, TimeVector};
use crate::times::{SharedTimes, encode_times};
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

/// Writes a block series by series to a sink; after an error the sink holds no block.
///
/// *Limits*: holds the labels of the series, the open group of [`GROUP_SAMPLES`] samples or [`GROUP_SERIES`] series,
/// and the time vectors met lately.
pub struct Writer<W: Write = Vec<u8>> {
    packer: Packer,
    sink: W,
    written: u64,
    series: Vec<Arc<Series>>,
    labels: usize,
    samples: u64,
    layout: Layout,
    shared: SharedTimes,
    open_times: OpenTimes,
    open: OpenGroup,
}

/// The time vectors of the chunk that is not yet written.
#[derive(Default)]
struct OpenTimes {
    plain: Vec<u8>,
    samples: usize,
    vectors: usize,
}

/// The series of the group that is not yet written, a chunk for each segment.
#[derive(Default)]
struct OpenGroup {
    chunks: Vec<ChunkWriter>,
    series: usize,
    samples: usize,
}

impl OpenGroup {
    fn push(&mut self, samples: &[Sample]) {
        for (segment, run) in samples.chunks(SEGMENT_SAMPLES).enumerate() {
            if segment == self.chunks.len() {
                self.chunks.push(ChunkWriter::new());
            }
            self.chunks[segment].push(run.iter().map(|sample| sample.value));
        }
        self.series += 1;
        self.samples += samples.len();
    }

    fn is_full(&self) -> bool {
        let first = self.chunks.first().map_or(0, ChunkWriter::samples);
        self.series >= GROUP_SERIES || self.samples >= GROUP_SAMPLES || first >= CHUNK_SAMPLES
    }
}

impl Writer {
    /// Begins an empty block in memory.
    ///
    /// # Errors
    /// The compressor could not be set up.
    pub fn new() -> Result<Self, BlockError> {
        Self::to(Vec::new())
    }

    /// The finished block.
    ///
    /// # Errors
    /// As [`close`](Self::close).
    pub fn finish(self) -> Result<Vec<u8>, BlockError> {
        self.close().map(|(_, block)| block)
    }
}

impl<W: Write> Writer<W> {
    /// Begins an empty block in `sink`, which gets the chunks as they become full.
    ///
    /// # Errors
    /// The compressor could not be set up, and a sink that fails.
    pub fn to(sink: W) -> Result<Self, BlockError> {
        let mut writer = Self {
            packer: Packer::new()?,
            sink,
            written: 0,
            series: Vec::new(),
            labels: 0,
            samples: 0,
            layout: Layout::default(),
            shared: SharedTimes::default(),
            open_times: OpenTimes::default(),
            open: OpenGroup::default(),
        };
        writer.put(&front())?;
        Ok(writer)
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
    /// Labels not above those before, times that do not ascend, more than a block may hold, and a sink that fails.
    pub fn push(&mut self, series: &Arc<Series>, samples: &[Sample]) -> Result<(), BlockError> {
        if samples.is_empty() {
            return Ok(());
        }
        self.check(series, samples)?;
        let vector = self.time_vector(samples)?;
        if self.open.series == 0 {
            let group = Group { series: self.series.len() as u32, chunk: self.layout.value_chunks.len() as u32 };
            self.layout.groups.push(group);
        }
        self.layout.vector_of.push(vector);
        self.series.push(Arc::clone(series));
        self.labels += series.labels.len();
        self.samples += samples.len() as u64;
        self.open.push(samples);
        if self.open.is_full() { self.close_group() } else { Ok(()) }
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

    /// The number of the time vector of `samples`, which is written where it is new.
    fn time_vector(&mut self, samples: &[Sample]) -> Result<u32, BlockError> {
        let (first, last) = (samples[0].time, samples[samples.len() - 1].time);
        let bytes: Arc<[u8]> = encode_times(samples.iter().map(|sample| sample.time.0)).into();
        let Self { shared, layout, open_times, .. } = self;
        let number = shared.find_or_add(first.0, &bytes, || {
            let span = SeriesSpan { first, last, count: samples.len() as u32 };
            layout.vectors.push(TimeVector {
                span,
                chunk: layout.time_chunks.len() as u32,
                offset: open_times.plain.len() as u32,
                bytes: bytes.len() as u32,
            });
            open_times.plain.extend_from_slice(&bytes);
            open_times.samples += samples.len();
            open_times.vectors += 1;
            layout.vectors.len() as u32 - 1
        });
        if self.open_times.samples >= CHUNK_SAMPLES {
            self.close_times()?;
        }
        Ok(number)
    }

    fn close_times(&mut self) -> Result<(), BlockError> {
        let plain = std::mem::take(&mut self.open_times).plain;
        let size = plain.len();
        let stored = self.packer.pack(plain)?;
        let part = self.put_part("time chunk", &stored, size)?;
        self.layout.time_chunks.push(part);
        Ok(())
    }

    fn close_group(&mut self) -> Result<(), BlockError> {
        for mut chunk in std::mem::take(&mut self.open).chunks {
            let stored = chunk.finish(&mut self.packer)?;
            let part = self.put_part("value chunk", &stored, 0)?;
            self.layout.value_chunks.push(part);
        }
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), BlockError> {
        self.sink.write_all(bytes).map_err(BlockError::Write)?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    fn put_part(&mut self, name: &'static str, stored: &[u8], plain: usize) -> Result<Part, BlockError> {
        let (offset, checksum) = (self.written, crc32c::crc32c(stored));
        self.put(stored)?;
        Ok(Part { name, offset, bytes: stored.len() as u32, plain: plain as u32, checksum })
    }

    fn put_directory(&mut self, name: &'static str, plain: Vec<u8>) -> Result<Part, BlockError> {
        let size = plain.len();
        if size > DIRECTORY_BYTES_MAX {
            return Err(BlockError::TooLarge { what: "bytes of labels and layout", max: DIRECTORY_BYTES_MAX });
        }
        let stored = self.packer.pack(plain)?;
        self.put_part(name, &stored, size)
    }

    /// Writes what is left, and gives the sink back. The block is whole, but flushing the sink is up to the caller.
    ///
    /// # Errors
    /// More than a block may hold, a compressor that fails, and a sink that fails.
    pub fn close(mut self) -> Result<(Header, W), BlockError> {
        self.close_group()?;
        if self.open_times.vectors > 0 {
            self.close_times()?;
        }
        let dictionary = self.put_directory("dictionary", encode_dictionary(&self.series))?;
        let layout = self.put_directory("layout", self.layout.encode())?;
        let spans = self.layout.vectors.iter().map(|vector| vector.span);
        let header = Header {
            series: self.series.len() as u32,
            samples: self.samples,
            first: spans.clone().map(|span| span.first).min().unwrap_or(UtcMs::MIN),
            last: spans.map(|span| span.last).max().unwrap_or(UtcMs::MIN),
            dictionary,
            layout,
            file_bytes: self.written + HEADER_BYTES as u64,
        };
        self.put(&header.encode())?;
        Ok((header, self.sink))
    }
}
