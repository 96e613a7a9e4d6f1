//! The layout: which time vector and which value chunk each series has, and where they stand.

use wk_types::UtcMs;

use crate::bounds::{DIRECTORY_BYTES_MAX, PART_BYTES_MAX, SERIES_MAX, SERIES_SAMPLES_MAX, TIME_CHUNK_BYTES_MAX};
use crate::bytes::{Cursor, put_signed, put_varint, unpack};
use crate::error::BlockError;
use crate::header::{Header, Part, PartSource};

const NAME: &str = "layout";
const TIME_CHUNK: &str = "time chunk";
const VALUE_CHUNK: &str = "value chunk";

/// When a series has samples, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesSpan {
    /// The time of its first sample.
    pub first: UtcMs,
    /// The time of its last sample.
    pub last: UtcMs,
    /// How many samples it has, at least one.
    pub count: u32,
}

impl SeriesSpan {
    /// Tells whether a sample may lie in `from..=to`.
    #[must_use]
    pub fn meets(&self, from: UtcMs, to: UtcMs) -> bool {
        self.first <= to && self.last >= from
    }
}

/// One time vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeVector {
    pub(crate) span: SeriesSpan,
    /// The time chunk it stands in.
    pub(crate) chunk: u32,
    /// Where it begins in the decompressed chunk.
    pub(crate) offset: u32,
    /// Bytes of its stored form.
    pub(crate) bytes: u32,
}

/// Where times and values of each series of a block are.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    /// What times are counted from.
    pub(crate) base: i64,
    pub(crate) vectors: Vec<TimeVector>,
    pub(crate) time_chunks: Vec<Part>,
    /// The time vector of each series.
    pub(crate) vector_of: Vec<u32>,
    /// The first series of each value chunk.
    pub(crate) chunk_starts: Vec<u32>,
    pub(crate) value_chunks: Vec<Part>,
}

impl Layout {
    /// Reads the layout of a block.
    ///
    /// # Errors
    /// Whatever the source reports, and bytes that are not the layout of a block with this header.
    pub fn read<S: PartSource + ?Sized>(header: &Header, source: &S) -> Result<Self, BlockError> {
        let stored = header.layout.read(source)?;
        let plain = unpack(&stored, header.layout.plain as usize, DIRECTORY_BYTES_MAX, NAME)?;
        let mut cursor = Cursor::new(&plain, NAME);
        let base = cursor.u64()? as i64;
        let mut vectors = read_vectors(&mut cursor, base)?;
        let mut offset = header.layout.end();
        let time_chunks = read_time_chunks(&mut cursor, &mut vectors, &mut offset)?;
        let vector_of = read_vector_of(&mut cursor, header.series as usize, vectors.len())?;
        let (chunk_starts, value_chunks) = read_value_chunks(&mut cursor, vector_of.len(), &mut offset)?;
        cursor.finish()?;
        let layout = Self { base, vectors, time_chunks, vector_of, chunk_starts, value_chunks };
        let samples: u64 = (0..layout.len()).map(|position| u64::from(layout.span(position).count)).sum();
        if samples != header.samples || offset != header.file_bytes {
            return Err(BlockError::corrupt(NAME, "it contradicts the header"));
        }
        Ok(layout)
    }

    /// How many series there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.vector_of.len()
    }

    /// Tells whether there is no series.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.vector_of.is_empty()
    }

    /// When the series at `position` has samples.
    ///
    /// # Panics
    /// If `position` is not below [`len`](Self::len).
    #[must_use]
    pub fn span(&self, position: usize) -> SeriesSpan {
        self.vectors[self.vector_of[position] as usize].span
    }

    /// About how many bytes of memory the layout takes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.vectors)
            + size_of_val(&*self.time_chunks)
            + size_of_val(&*self.vector_of)
            + size_of_val(&*self.value_chunks)
    }

    /// The series that stand in value chunk `chunk`.
    pub(crate) fn series_of_chunk(&self, chunk: usize) -> std::ops::Range<usize> {
        let end = self.chunk_starts.get(chunk + 1).map_or(self.len(), |start| *start as usize);
        self.chunk_starts[chunk] as usize..end
    }

    /// The plain form.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.base.to_le_bytes().to_vec();
        let vectors = &self.vectors;
        put_varint(&mut out, vectors.len() as u64);
        vectors.iter().for_each(|vector| put_varint(&mut out, u64::from(vector.span.count)));
        vectors.iter().for_each(|vector| put_varint(&mut out, u64::from(vector.bytes)));
        vectors.iter().for_each(|vector| put_signed(&mut out, vector.span.first.0.wrapping_sub(self.base)));
        vectors
            .iter()
            .for_each(|vector| put_varint(&mut out, vector.span.last.0.wrapping_sub(vector.span.first.0) as u64));
        put_varint(&mut out, self.time_chunks.len() as u64);
        for (position, part) in self.time_chunks.iter().enumerate() {
            let members = vectors.iter().filter(|vector| vector.chunk as usize == position).count();
            put_varint(&mut out, members as u64);
            put_varint(&mut out, u64::from(part.bytes));
            put_varint(&mut out, u64::from(part.plain));
            out.extend_from_slice(&part.checksum.to_le_bytes());
        }
        let mut previous = 0;
        for vector in &self.vector_of {
            put_signed(&mut out, i64::from(*vector) - previous);
            previous = i64::from(*vector);
        }
        put_varint(&mut out, self.value_chunks.len() as u64);
        for (position, part) in self.value_chunks.iter().enumerate() {
            put_varint(&mut out, self.series_of_chunk(position).len() as u64);
            put_varint(&mut out, u64::from(part.bytes));
            out.extend_from_slice(&part.checksum.to_le_bytes());
        }
        out
    }
}

fn read_vectors(cursor: &mut Cursor<'_>, base: i64) -> Result<Vec<TimeVector>, BlockError> {
    let count = cursor.count(SERIES_MAX)?;
    let counts = (0..count).map(|_| cursor.number(SERIES_SAMPLES_MAX)).collect::<Result<Vec<_>, _>>()?;
    let bytes = (0..count).map(|_| cursor.number(TIME_CHUNK_BYTES_MAX)).collect::<Result<Vec<_>, _>>()?;
    let firsts = (0..count).map(|_| cursor.signed()).collect::<Result<Vec<_>, _>>()?;
    let mut vectors = Vec::with_capacity(count);
    for ((count, bytes), first) in counts.into_iter().zip(bytes).zip(firsts) {
        let first = base.wrapping_add(first);
        let last = first.wrapping_add(cursor.varint()? as i64);
        if count == 0 || count > bytes || last < first {
            return Err(BlockError::corrupt(NAME, "a time vector is out of range"));
        }
        let span = SeriesSpan { first: UtcMs(first), last: UtcMs(last), count: count as u32 };
        vectors.push(TimeVector { span, chunk: 0, offset: 0, bytes: bytes as u32 });
    }
    Ok(vectors)
}

fn read_time_chunks(
    cursor: &mut Cursor<'_>,
    vectors: &mut [TimeVector],
    offset: &mut u64,
) -> Result<Vec<Part>, BlockError> {
    let mut parts = Vec::new();
    let mut left = vectors;
    for chunk in 0..cursor.count(SERIES_MAX)? {
        let members = cursor.number(left.len())?;
        let bytes = cursor.number(PART_BYTES_MAX)? as u32;
        let plain = cursor.number(TIME_CHUNK_BYTES_MAX)?;
        let part = Part { name: TIME_CHUNK, offset: *offset, bytes, plain: plain as u32, checksum: cursor.u32()? };
        let (mine, rest) = left.split_at_mut(members);
        let mut at = 0_usize;
        for vector in mine {
            (vector.chunk, vector.offset) = (chunk as u32, at as u32);
            at += vector.bytes as usize;
            if at > plain {
                return Err(BlockError::corrupt(NAME, "a time vector stands outside its chunk"));
            }
        }
        *offset = part.end();
        parts.push(part);
        left = rest;
    }
    if left.is_empty() { Ok(parts) } else { Err(BlockError::corrupt(NAME, "a time vector stands in no chunk")) }
}

fn read_vector_of(cursor: &mut Cursor<'_>, series: usize, vectors: usize) -> Result<Vec<u32>, BlockError> {
    if series > cursor.left() {
        return Err(BlockError::corrupt(NAME, "it counts more series than it has bytes"));
    }
    let mut vector_of = Vec::with_capacity(series);
    let mut vector = 0_i64;
    for _ in 0..series {
        vector = vector.wrapping_add(cursor.signed()?);
        if vector < 0 || vector as u64 >= vectors as u64 {
            return Err(BlockError::corrupt(NAME, "a series refers to no time vector"));
        }
        vector_of.push(vector as u32);
    }
    Ok(vector_of)
}

fn read_value_chunks(
    cursor: &mut Cursor<'_>,
    series: usize,
    offset: &mut u64,
) -> Result<(Vec<u32>, Vec<Part>), BlockError> {
    let (mut starts, mut parts, mut start) = (Vec::new(), Vec::new(), 0_usize);
    for _ in 0..cursor.count(SERIES_MAX)? {
        let members = cursor.number(series - start)?;
        let bytes = cursor.number(PART_BYTES_MAX)? as u32;
        let part = Part { name: VALUE_CHUNK, offset: *offset, bytes, plain: 0, checksum: cursor.u32()? };
        if members == 0 {
            return Err(BlockError::corrupt(NAME, "a value chunk is empty"));
        }
        starts.push(start as u32);
        start += members;
        *offset = part.end();
        parts.push(part);
    }
    if start == series { Ok((starts, parts)) } else { Err(BlockError::corrupt(NAME, "a series stands in no chunk")) }
}
