//! The layout: which time vector and which group each series has, and where the chunks stand.

use std::ops::Range;

use wk_types::UtcMs;

use crate::bounds::{
    DIRECTORY_BYTES_MAX, PART_BYTES_MAX, SEGMENT_SAMPLES, SERIES_MAX, SERIES_SAMPLES_MAX, TIME_CHUNK_BYTES_MAX,
};
use crate::bytes::{Cursor, put_signed, put_varint, unpack};
use crate::error::BlockError;
use crate::header::{FRONT_BYTES, Header, Part, PartSource};

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

/// Neighbouring series whose values stand side by side, one chunk for each segment of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Group {
    /// Its first series.
    pub(crate) series: u32,
    /// Its first value chunk.
    pub(crate) chunk: u32,
}

/// Where times and values of each series of a block are.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Layout {
    pub(crate) vectors: Vec<TimeVector>,
    /// The time vector of each series.
    pub(crate) vector_of: Vec<u32>,
    pub(crate) groups: Vec<Group>,
    pub(crate) time_chunks: Vec<Part>,
    pub(crate) value_chunks: Vec<Part>,
}

/// How many segments a series of `count` samples has.
pub(crate) const fn segments(count: usize) -> usize {
    count.div_ceil(SEGMENT_SAMPLES)
}

/// How many of a series' `count` samples its segment number `segment` has.
pub(crate) fn segment_samples(count: usize, segment: usize) -> usize {
    count.saturating_sub(segment * SEGMENT_SAMPLES).min(SEGMENT_SAMPLES)
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
        let vectors = read_vectors(&mut cursor)?;
        let vector_of = read_vector_of(&mut cursor, header.series as usize, vectors.len())?;
        let mut layout = Self { vectors, vector_of, ..Self::default() };
        layout.read_groups(&mut cursor)?;
        let end = layout.read_chunks(&mut cursor)?;
        cursor.finish()?;
        let samples: u64 = (0..layout.len()).map(|position| u64::from(layout.span(position).count)).sum();
        if samples != header.samples || end != header.dictionary.offset {
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
            + size_of_val(&*self.vector_of)
            + size_of_val(&*self.groups)
            + size_of_val(&*self.time_chunks)
            + size_of_val(&*self.value_chunks)
    }

    /// The group that the series at `position` stands in.
    pub(crate) fn group_of(&self, position: usize) -> usize {
        self.groups.partition_point(|group| group.series as usize <= position) - 1
    }

    /// The series that stand in group `group`.
    pub(crate) fn series_of_group(&self, group: usize) -> Range<usize> {
        let end = self.groups.get(group + 1).map_or(self.len(), |next| next.series as usize);
        self.groups[group].series as usize..end
    }

    /// How many segments the longest series of `series` has.
    fn segments_of(&self, series: Range<usize>) -> usize {
        segments(series.map(|position| self.span(position).count as usize).max().unwrap_or(0))
    }

    fn read_groups(&mut self, cursor: &mut Cursor<'_>) -> Result<(), BlockError> {
        let (mut series, mut chunk) = (0_usize, 0_usize);
        for _ in 0..cursor.count(SERIES_MAX)? {
            let members = cursor.number(self.len() - series)?;
            if members == 0 {
                return Err(BlockError::corrupt(NAME, "a group is empty"));
            }
            self.groups.push(Group { series: series as u32, chunk: chunk as u32 });
            chunk += self.segments_of(series..series + members);
            if chunk > cursor.left() {
                return Err(BlockError::corrupt(NAME, "it counts more chunks than it has bytes"));
            }
            series += members;
        }
        if series == self.len() { Ok(()) } else { Err(BlockError::corrupt(NAME, "a series stands in no group")) }
    }

    /// Reads where the chunks stand; returns where the last one ends.
    fn read_chunks(&mut self, cursor: &mut Cursor<'_>) -> Result<u64, BlockError> {
        let (mut offset, mut placed) = (FRONT_BYTES as u64, 0);
        for _ in 0..cursor.count(DIRECTORY_BYTES_MAX)? {
            let vectors = cursor.number(self.vectors.len() - placed)?;
            let bytes = cursor.number(PART_BYTES_MAX)? as u32;
            let plain = if vectors > 0 { cursor.number(TIME_CHUNK_BYTES_MAX)? as u32 } else { 0 };
            let name = if vectors > 0 { TIME_CHUNK } else { VALUE_CHUNK };
            let part = Part { name, offset, bytes, plain, checksum: cursor.u32()? };
            offset = part.end();
            if vectors > 0 {
                self.place(placed..placed + vectors, plain)?;
                placed += vectors;
                self.time_chunks.push(part);
            } else {
                self.value_chunks.push(part);
            }
        }
        let chunks = self
            .groups
            .last()
            .map_or(0, |group| group.chunk as usize + self.segments_of(group.series as usize..self.len()));
        if placed != self.vectors.len() || self.value_chunks.len() != chunks {
            return Err(BlockError::corrupt(NAME, "a chunk is missing or too many"));
        }
        Ok(offset)
    }

    /// Notes that `vectors` stand in the next time chunk, one after the other.
    fn place(&mut self, vectors: Range<usize>, plain: u32) -> Result<(), BlockError> {
        let (chunk, mut at) = (self.time_chunks.len() as u32, 0_usize);
        for vector in &mut self.vectors[vectors] {
            (vector.chunk, vector.offset) = (chunk, at as u32);
            at += vector.bytes as usize;
            if at > plain as usize {
                return Err(BlockError::corrupt(NAME, "a time vector stands outside its chunk"));
            }
        }
        Ok(())
    }

    /// The plain form.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let vectors = &self.vectors;
        put_varint(&mut out, vectors.len() as u64);
        vectors.iter().for_each(|vector| put_varint(&mut out, u64::from(vector.span.count)));
        vectors.iter().for_each(|vector| put_varint(&mut out, u64::from(vector.bytes)));
        put_differences(&mut out, vectors.iter().map(|vector| vector.span.first.0));
        put_differences(&mut out, vectors.iter().map(|vector| vector.span.last.0.wrapping_sub(vector.span.first.0)));
        put_differences(&mut out, self.vector_of.iter().map(|vector| i64::from(*vector)));
        put_varint(&mut out, self.groups.len() as u64);
        (0..self.groups.len()).for_each(|group| put_varint(&mut out, self.series_of_group(group).len() as u64));
        let mut chunks: Vec<(u64, usize, &Part)> =
            self.value_chunks.iter().map(|part| (part.offset, 0, part)).collect();
        let mut members = vec![0_usize; self.time_chunks.len()];
        vectors.iter().for_each(|vector| members[vector.chunk as usize] += 1);
        chunks.extend(self.time_chunks.iter().zip(members).map(|(part, members)| (part.offset, members, part)));
        chunks.sort_unstable_by_key(|(offset, _, _)| *offset);
        put_varint(&mut out, chunks.len() as u64);
        for (_, members, part) in chunks {
            put_varint(&mut out, members as u64);
            put_varint(&mut out, u64::from(part.bytes));
            if members > 0 {
                put_varint(&mut out, u64::from(part.plain));
            }
            out.extend_from_slice(&part.checksum.to_le_bytes());
        }
        out
    }
}

/// Writes each number as its difference to the one before.
fn put_differences(out: &mut Vec<u8>, numbers: impl Iterator<Item = i64>) {
    let mut previous = 0_i64;
    for number in numbers {
        put_signed(out, number.wrapping_sub(previous));
        previous = number;
    }
}

/// Reads numbers that are stored as differences.
struct Differences(i64);

impl Differences {
    fn next(&mut self, cursor: &mut Cursor<'_>) -> Result<i64, BlockError> {
        self.0 = self.0.wrapping_add(cursor.signed()?);
        Ok(self.0)
    }
}

fn read_vectors(cursor: &mut Cursor<'_>) -> Result<Vec<TimeVector>, BlockError> {
    let count = cursor.count(SERIES_MAX)?;
    let counts = (0..count).map(|_| cursor.number(SERIES_SAMPLES_MAX)).collect::<Result<Vec<_>, _>>()?;
    let bytes = (0..count).map(|_| cursor.number(TIME_CHUNK_BYTES_MAX)).collect::<Result<Vec<_>, _>>()?;
    let mut first = Differences(0);
    let firsts = (0..count).map(|_| first.next(cursor)).collect::<Result<Vec<_>, _>>()?;
    let mut vectors = Vec::with_capacity(count);
    let mut length = Differences(0);
    for ((count, bytes), first) in counts.into_iter().zip(bytes).zip(firsts) {
        let last = first.wrapping_add(length.next(cursor)?);
        if count == 0 || count > bytes + 1 || last < first {
            return Err(BlockError::corrupt(NAME, "a time vector is out of range"));
        }
        let span = SeriesSpan { first: UtcMs(first), last: UtcMs(last), count: count as u32 };
        vectors.push(TimeVector { span, chunk: 0, offset: 0, bytes: bytes as u32 });
    }
    Ok(vectors)
}

fn read_vector_of(cursor: &mut Cursor<'_>, series: usize, vectors: usize) -> Result<Vec<u32>, BlockError> {
    if series > cursor.left() {
        return Err(BlockError::corrupt(NAME, "it counts more series than it has bytes"));
    }
    let mut vector_of = Vec::with_capacity(series);
    let mut vector = Differences(0);
    for _ in 0..series {
        let vector = vector.next(cursor)?;
        if vector < 0 || vector as u64 >= vectors as u64 {
            return Err(BlockError::corrupt(NAME, "a series refers to no time vector"));
        }
        vector_of.push(vector as u32);
    }
    Ok(vector_of)
}
