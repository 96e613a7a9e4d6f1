//! Entry points for bytes that were not written by us: whatever comes in, a reader answers with an error or with samples.
//!
//! Fuzz targets call these, and so does the test run with a bounded number of made inputs. A part of a block is put in
//! place below the checksums, so that the decoders behind them see it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a defect shows as a panic")]

use std::sync::Arc;

use wk_types::{AssetId, Labels, Sample, Series, UtcMs};

use crate::bounds::DIRECTORY_BYTES_MAX;
use crate::bytes::unpack;
use crate::header::{HEADER_BYTES, Header, Part, front};
use crate::layout::Layout;
use crate::reader::{Block, SeriesReader, verify};
use crate::writer::{BlockSeries, encode};

/// Samples that are read of one block at most: a few bytes may stand for very many.
const READ_MAX: usize = 1 << 20;

/// A block taken apart; put together again, every checksum fits.
#[derive(Clone)]
pub(crate) struct Parts {
    header: Header,
    pub(crate) dictionary: Vec<u8>,
    pub(crate) layout: Vec<u8>,
    pub(crate) chunks: Vec<Vec<u8>>,
}

pub(crate) fn sample_block() -> Vec<u8> {
    let series: Vec<BlockSeries> = (0..12_i32)
        .map(|at| {
            let labels = Labels::metric("power_watts", &[("unit", &format!("{at:02}")), ("deck", "3")]);
            let samples = (0..30_i64).map(|step| {
                let value = match at % 4 {
                    0 => 7.5,
                    1 => (step * step * 17 % 23) as f64,
                    2 => step as f64 * 1_000.0 + (step % 7) as f64 / 10.0,
                    _ => 1.0 / (step + 3) as f64,
                };
                let value = if step == 29 && at % 3 == 0 { f64::NAN } else { value };
                Sample::new(UtcMs(1_000_000 + step * 15_000 + i64::from(at % 2)), value)
            });
            BlockSeries { series: Arc::new(Series::new(labels, AssetId::from("pump"))), samples: samples.collect() }
        })
        .collect();
    encode(&series).unwrap()
}

impl Parts {
    pub(crate) fn of(block: &[u8]) -> Self {
        let header = Header::read(block).unwrap();
        let layout = Layout::read(&header, block).unwrap();
        let plain =
            |part: &Part| unpack(&part.read(block).unwrap(), part.plain as usize, DIRECTORY_BYTES_MAX, "part").unwrap();
        let mut chunks: Vec<&Part> = layout.time_chunks.iter().chain(&layout.value_chunks).collect();
        chunks.sort_by_key(|part| part.offset);
        Self {
            dictionary: plain(&header.dictionary),
            layout: plain(&header.layout),
            chunks: chunks.iter().map(|part| part.read(block).unwrap().into_owned()).collect(),
            header,
        }
    }

    /// Puts the block together, its directory uncompressed.
    pub(crate) fn assemble(mut self) -> Vec<u8> {
        let describe = |bytes: &[u8]| Part {
            name: "part",
            offset: 0,
            bytes: bytes.len() as u32,
            plain: bytes.len() as u32,
            checksum: crc32c::crc32c(bytes),
        };
        self.header.dictionary = describe(&self.dictionary);
        self.header.layout = describe(&self.layout);
        let mut block = front().to_vec();
        self.chunks.into_iter().chain([self.dictionary, self.layout]).for_each(|part| block.extend(part));
        self.header.file_bytes = (block.len() + HEADER_BYTES) as u64;
        block.extend(self.header.encode());
        block
    }

    /// Writes the layout anew so that it fits the chunks as they now are.
    pub(crate) fn mend_layout(&mut self, block: &[u8]) {
        let mut layout = Layout::read(&self.header, block).unwrap();
        let mut parts: Vec<&mut Part> = layout.time_chunks.iter_mut().chain(&mut layout.value_chunks).collect();
        parts.sort_by_key(|part| part.offset);
        for (part, bytes) in parts.into_iter().zip(&self.chunks) {
            (part.bytes, part.checksum) = (bytes.len() as u32, crc32c::crc32c(bytes));
        }
        self.layout = layout.encode();
    }
}

/// Reads everything; tells whether all of it could be read.
pub(crate) fn read_everything(bytes: &[u8]) -> bool {
    let Ok(block) = Block::open(bytes) else { return false };
    let layout = Layout::read(block.header(), bytes).unwrap();
    let mut reader = SeriesReader::new(&layout, bytes);
    let (mut whole, mut left) = (true, READ_MAX);
    for (position, entry) in block.series().iter().enumerate() {
        let Some(after) = left.checked_sub(entry.count as usize) else { return false };
        left = after;
        match reader.samples(position) {
            Ok(samples) => assert_eq!(samples.len(), entry.count as usize),
            Err(_) => whole = false,
        }
    }
    whole
}

/// Takes `bytes` for a whole block.
pub fn whole(bytes: &[u8]) {
    let verified = verify(bytes).is_ok();
    let read = read_everything(bytes);
    assert!(verified || !read, "what can be read whole has right checksums");
}

/// Takes `bytes` for one part of a block that is otherwise sound: the first byte says which, the second whether what
/// follows is the part or changes of the sound one, three bytes each.
pub fn part(bytes: &[u8]) {
    let [which, how, rest @ ..] = bytes else { return };
    let block = sample_block();
    let mut parts = Parts::of(&block);
    let chunks = parts.chunks.len();
    let target = match usize::from(*which) % (chunks + 2) {
        0 => &mut parts.dictionary,
        1 => &mut parts.layout,
        chunk => &mut parts.chunks[chunk - 2],
    };
    if how % 2 == 0 {
        *target = rest.to_vec();
    } else {
        for change in rest.chunks_exact(3) {
            let at = usize::from(change[0]) << 8 | usize::from(change[1]);
            let length = target.len().max(1);
            if let Some(byte) = target.get_mut(at % length) {
                *byte = change[2];
            }
        }
    }
    if usize::from(*which) % (chunks + 2) > 1 {
        parts.mend_layout(&block);
    }
    read_everything(&parts.assemble());
}

/// Makes series of `bytes`, writes them, and compares what is read with what was written.
pub fn round_trip(bytes: &[u8]) {
    let series = made_of(bytes);
    let block = Block::open(encode(&series).unwrap()).unwrap();
    assert_eq!(block.series().len(), series.len());
    for (position, one) in series.iter().enumerate() {
        let bits = |samples: &[Sample]| samples.iter().map(|s| (s.time, s.value.to_bits())).collect::<Vec<_>>();
        assert_eq!(bits(&block.samples(position).unwrap()), bits(&one.samples));
        assert_eq!(block.series()[position].series, one.series);
    }
}

/// Series of samples: nine bytes make one, of the first byte the lowest bits begin a series or choose what the next
/// eight are.
fn made_of(bytes: &[u8]) -> Vec<BlockSeries> {
    let mut made: Vec<BlockSeries> = Vec::new();
    let (mut time, mut value) = (UtcMs(0), 0.0);
    for piece in bytes.chunks_exact(9) {
        let number = u64::from_le_bytes(*piece[1..].first_chunk().unwrap());
        if made.is_empty() || piece[0] % 8 == 0 {
            let labels = Labels::metric(&format!("m{:05}", made.len()), &[("piece", &format!("{:x}", piece[1]))]);
            let series = Arc::new(Series::new(labels, AssetId::from(format!("{:x}", piece[2]))));
            made.push(BlockSeries { series, samples: Vec::new() });
            time = UtcMs((number >> 20) as i64);
        }
        value = match piece[0] % 8 {
            1 => f64::from_bits(number),
            2 => f64::from(f32::from_bits(number as u32)),
            3 => value + (number % 1_000) as f64,
            4 => (number % 100_000) as f64 / 1_000.0,
            5 => (number % 1_000 * 4_096) as f64,
            _ => value,
        };
        if let Some(one) = made.last_mut() {
            one.samples.push(Sample::new(time, value));
        }
        time = UtcMs(time.0.saturating_add(1 + i64::from(piece[0] >> 3) * 1_000));
    }
    made.iter_mut().for_each(|one| one.samples.dedup_by_key(|sample| sample.time));
    made
}

#[cfg(test)]
mod tests;
