//! Time vectors: the first step, then how each step differs from the one before; the first time stands in the layout.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::bounds::{DECODED_TIMES, SHARED_TIME_BYTES, TIME_CHUNK_BYTES_MAX};
use crate::bytes::{Cursor, put_signed, unpack};
use crate::error::BlockError;
use crate::header::PartSource;
use crate::layout::{Layout, TimeVector};

const NAME: &str = "times";

/// The stored form of ascending `times`.
pub(crate) fn encode_times(mut times: impl Iterator<Item = i64>) -> Vec<u8> {
    let mut out = Vec::with_capacity(times.size_hint().0);
    let Some(mut previous) = times.next() else { return out };
    let mut step = 0_i64;
    for time in times {
        let next_step = time.wrapping_sub(previous);
        put_signed(&mut out, next_step.wrapping_sub(step));
        (previous, step) = (time, next_step);
    }
    out
}

/// Undoes [`encode_times`] for `count` times from `first` on.
fn decode_times(bytes: &[u8], count: usize, first: i64) -> Result<Vec<i64>, BlockError> {
    if count > bytes.len() + 1 {
        return Err(BlockError::corrupt(NAME, "a vector counts more times than it has bytes"));
    }
    let mut cursor = Cursor::new(bytes, NAME);
    let mut times = Vec::with_capacity(count);
    let (mut time, mut step) = (first, 0_i64);
    times.push(first);
    for _ in 1..count {
        step = step.wrapping_add(cursor.signed()?);
        let next = time.wrapping_add(step);
        if next <= time {
            return Err(BlockError::corrupt(NAME, "times do not ascend"));
        }
        times.push(next);
        time = next;
    }
    cursor.finish()?;
    Ok(times)
}

/// The time vectors that a writer has met lately, so that series with equal times share one.
#[derive(Default)]
pub(crate) struct SharedTimes {
    known: HashMap<(i64, Arc<[u8]>), u32>,
    bytes: usize,
}

impl SharedTimes {
    /// The number of the vector with these times; where there is none, `add` is to give one.
    pub(crate) fn find_or_add(&mut self, first: i64, times: &Arc<[u8]>, add: impl FnOnce() -> u32) -> u32 {
        let key = (first, Arc::clone(times));
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let number = add();
        if self.bytes + times.len() > SHARED_TIME_BYTES {
            self.known.clear();
            self.bytes = 0;
        }
        self.bytes += times.len();
        self.known.insert(key, number);
        number
    }
}

/// The times of a vector that lie in the range asked for.
#[derive(Debug, Clone)]
pub(crate) struct TimeRange {
    /// Their positions in the vector.
    pub(crate) positions: Range<usize>,
    pub(crate) times: Arc<[i64]>,
}

/// Reads time vectors; of a range of time only what lies in it is kept.
pub(crate) struct TimeReader {
    range: (i64, i64),
    decoded: HashMap<u32, TimeRange>,
    decoded_times: usize,
    chunks: HashMap<u32, Vec<u8>>,
    chunk_bytes: usize,
}

impl TimeReader {
    pub(crate) fn new() -> Self {
        let (decoded, chunks) = (HashMap::new(), HashMap::new());
        Self { range: (i64::MIN, i64::MAX), decoded, decoded_times: 0, chunks, chunk_bytes: 0 }
    }

    /// The times of the vector `number` from `from` to `to`.
    pub(crate) fn read<S: PartSource + ?Sized>(
        &mut self,
        layout: &Layout,
        source: &S,
        number: u32,
        (from, to): (i64, i64),
    ) -> Result<TimeRange, BlockError> {
        if self.range != (from, to) {
            self.range = (from, to);
            self.decoded.clear();
            self.decoded_times = 0;
        }
        if let Some(known) = self.decoded.get(&number) {
            return Ok(known.clone());
        }
        let vector = &layout.vectors[number as usize];
        let plain = self.chunk(layout, source, vector.chunk)?;
        let times = decode_vector(plain, vector)?;
        let begin = times.partition_point(|time| *time < from);
        let end = times.partition_point(|time| *time <= to);
        let range = TimeRange { positions: begin..end, times: times[begin..end].into() };
        if self.decoded_times + range.times.len() > DECODED_TIMES {
            self.decoded.clear();
            self.decoded_times = 0;
        }
        self.decoded_times += range.times.len();
        self.decoded.insert(number, range.clone());
        Ok(range)
    }

    fn chunk<S: PartSource + ?Sized>(&mut self, layout: &Layout, source: &S, chunk: u32) -> Result<&[u8], BlockError> {
        if !self.chunks.contains_key(&chunk) {
            let part = &layout.time_chunks[chunk as usize];
            let plain = unpack(&part.read(source)?, part.plain as usize, TIME_CHUNK_BYTES_MAX, NAME)?;
            if self.chunk_bytes + plain.len() > SHARED_TIME_BYTES {
                self.chunks.clear();
                self.chunk_bytes = 0;
            }
            self.chunk_bytes += plain.len();
            self.chunks.insert(chunk, plain);
        }
        Ok(&self.chunks[&chunk])
    }
}

fn decode_vector(chunk: &[u8], vector: &TimeVector) -> Result<Vec<i64>, BlockError> {
    let from = vector.offset as usize;
    let bytes = chunk
        .get(from..from + vector.bytes as usize)
        .ok_or(BlockError::corrupt(NAME, "a vector stands outside its chunk"))?;
    let times = decode_times(bytes, vector.span.count as usize, vector.span.first.0)?;
    if times.last() != Some(&vector.span.last.0) {
        return Err(BlockError::corrupt(NAME, "a vector contradicts the layout"));
    }
    Ok(times)
}
