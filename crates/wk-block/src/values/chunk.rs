//! Reading value chunks: only the streams that a wanted series needs are decompressed.

use std::ops::Range;

use super::{DESCRIPTORS, Descriptor, FIRSTS, NAME, PATCHES, STREAMS, Transform, WIDTH_MAX, plane_stream};
use crate::bounds::STREAM_BYTES_MAX;
use crate::bytes::{Cursor, unpack, unzigzag};
use crate::error::BlockError;
use crate::scale::unscale;

/// Where a stream stands in the chunk's bytes.
#[derive(Debug, Clone, Default)]
struct Stream {
    stored: Range<usize>,
    plain: usize,
}

/// A chunk whose directory is read.
pub(crate) struct ValueChunk {
    bytes: Vec<u8>,
    streams: Vec<Stream>,
    planes: Vec<Option<Vec<u8>>>,
    series: Vec<Entry>,
    patches: Vec<u8>,
}

/// One series of the chunk.
struct Entry {
    position: usize,
    descriptor: Descriptor,
    count: usize,
    /// What the residuals build on: bits, or one or two integers.
    firsts: [i64; 2],
    /// Where its residuals begin in the planes of its width.
    residuals_at: usize,
    /// Where its patches stand.
    patches: Range<usize>,
}

impl ValueChunk {
    /// Reads the directory of a chunk of `members`: ascending positions, and how many values each has.
    pub(crate) fn open(bytes: Vec<u8>, members: impl Iterator<Item = (usize, usize)>) -> Result<Self, BlockError> {
        let streams = read_streams(&bytes)?;
        let mut chunk = Self { bytes, streams, planes: vec![None; STREAMS], series: Vec::new(), patches: Vec::new() };
        let descriptors = chunk.inflate(DESCRIPTORS)?;
        let firsts = chunk.inflate(FIRSTS)?;
        chunk.patches = chunk.inflate(PATCHES)?;
        chunk.series = read_entries(&descriptors, &firsts, &chunk.patches, members)?;
        Ok(chunk)
    }

    fn inflate(&self, stream: usize) -> Result<Vec<u8>, BlockError> {
        let Stream { stored, plain } = &self.streams[stream];
        unpack(&self.bytes[stored.clone()], *plain, STREAM_BYTES_MAX, NAME)
    }

    /// Puts the values of the series at `position` into `out`.
    pub(crate) fn values(&mut self, position: usize, out: &mut Vec<f64>) -> Result<(), BlockError> {
        out.clear();
        let at = self.series.binary_search_by_key(&position, |entry| entry.position);
        let at = at.map_err(|_| BlockError::corrupt(NAME, "it lacks a series"))?;
        let (width, residuals) = {
            let entry = &self.series[at];
            let from = entry.residuals_at;
            (entry.descriptor.width, from..from + entry.descriptor.transform.residuals(entry.count))
        };
        let residuals = self.residuals(width, residuals)?;
        let entry = &self.series[at];
        if entry.descriptor.is_bits() {
            out.extend(from_bits(entry, &residuals));
            return Ok(());
        }
        let integers = from_residuals(entry, &residuals);
        out.extend(integers.into_iter().map(|integer| unscale(integer, entry.descriptor.exponent)));
        if entry.descriptor.patched {
            apply_patches(&self.patches[entry.patches.clone()], out)?;
        }
        Ok(())
    }

    fn residuals(&mut self, width: usize, range: Range<usize>) -> Result<Vec<u64>, BlockError> {
        for plane in 0..width {
            let stream = plane_stream(width, plane);
            if self.planes[stream].is_none() {
                self.planes[stream] = Some(self.inflate(stream)?);
            }
            let bytes = self.planes[stream].as_deref().unwrap_or(&[]);
            if range.end > bytes.len() {
                return Err(BlockError::corrupt(NAME, "a byte plane is too short"));
            }
        }
        let mut residuals = vec![0_u64; range.len()];
        for plane in 0..width {
            let bytes = self.planes[plane_stream(width, plane)].as_deref().unwrap_or(&[]);
            for (residual, byte) in residuals.iter_mut().zip(&bytes[range.clone()]) {
                *residual |= u64::from(*byte) << (8 * plane);
            }
        }
        Ok(residuals)
    }
}

fn read_streams(bytes: &[u8]) -> Result<Vec<Stream>, BlockError> {
    let mut cursor = Cursor::new(bytes, NAME);
    let mut streams = vec![Stream::default(); STREAMS];
    let mut order = Vec::with_capacity(STREAMS);
    for _ in 0..cursor.count(STREAMS)? {
        let id = usize::from(cursor.u8()?);
        if id >= STREAMS || order.iter().any(|(known, _)| *known == id) {
            return Err(BlockError::corrupt(NAME, "a stream is unknown or stands there twice"));
        }
        streams[id].plain = cursor.number(STREAM_BYTES_MAX)?;
        order.push((id, cursor.number(STREAM_BYTES_MAX)?));
    }
    let mut at = bytes.len() - cursor.left();
    for (id, stored) in order {
        cursor.take(stored)?;
        streams[id].stored = at..at + stored;
        at += stored;
    }
    cursor.finish()?;
    Ok(streams)
}

fn read_entries(
    descriptors: &[u8],
    firsts: &[u8],
    patches: &[u8],
    members: impl Iterator<Item = (usize, usize)>,
) -> Result<Vec<Entry>, BlockError> {
    let mut firsts = Cursor::new(firsts, NAME);
    let mut patches_left = Cursor::new(patches, NAME);
    let mut ends = [0_usize; WIDTH_MAX + 1];
    let mut descriptors = Cursor::new(descriptors, NAME);
    let mut entries = Vec::new();
    for (position, count) in members {
        let descriptor = Descriptor::decode(descriptors.array()?)?;
        let from = patches.len() - patches_left.left();
        if descriptor.patched {
            skip_patches(&mut patches_left)?;
        }
        let to = patches.len() - patches_left.left();
        let residuals_at = ends[descriptor.width];
        ends[descriptor.width] += descriptor.transform.residuals(count);
        let firsts = read_firsts(&mut firsts, descriptor)?;
        entries.push(Entry { position, descriptor, count, firsts, residuals_at, patches: from..to });
    }
    descriptors.finish()?;
    firsts.finish()?;
    patches_left.finish()?;
    Ok(entries)
}

fn read_firsts(cursor: &mut Cursor<'_>, descriptor: Descriptor) -> Result<[i64; 2], BlockError> {
    Ok(match descriptor.transform {
        Transform::Raw => [0, 0],
        Transform::Xor => [cursor.u64()? as i64, 0],
        Transform::Constant if descriptor.is_bits() => [cursor.u64()? as i64, 0],
        Transform::Constant | Transform::Value => [cursor.signed()?, 0],
        Transform::Delta | Transform::DeltaDelta => [cursor.signed()?, cursor.signed()?],
    })
}

fn skip_patches(cursor: &mut Cursor<'_>) -> Result<(), BlockError> {
    for _ in 0..cursor.count(STREAM_BYTES_MAX)? {
        cursor.varint()?;
        cursor.take(8)?;
    }
    Ok(())
}

fn apply_patches(bytes: &[u8], values: &mut [f64]) -> Result<(), BlockError> {
    let mut cursor = Cursor::new(bytes, NAME);
    let mut position = 0_usize;
    for _ in 0..cursor.count(STREAM_BYTES_MAX)? {
        position += cursor.number(values.len())?;
        let bits = cursor.u64()?;
        let value = values.get_mut(position).ok_or(BlockError::corrupt(NAME, "a patch stands outside its series"))?;
        *value = f64::from_bits(bits);
    }
    cursor.finish()
}

fn from_bits(entry: &Entry, residuals: &[u64]) -> Vec<f64> {
    let first = entry.firsts[0] as u64;
    match entry.descriptor.transform {
        Transform::Raw => residuals.iter().copied().map(f64::from_bits).collect(),
        Transform::Xor => running(first, residuals.iter().copied(), entry.count, |bits, residual| bits ^ residual)
            .into_iter()
            .map(f64::from_bits)
            .collect(),
        _ => vec![f64::from_bits(first); entry.count],
    }
}

fn from_residuals(entry: &Entry, residuals: &[u64]) -> Vec<i64> {
    let [first, second] = entry.firsts;
    let residuals = residuals.iter().copied().map(unzigzag);
    match entry.descriptor.transform {
        Transform::Value => residuals.map(|residual| first.wrapping_add(residual)).collect(),
        Transform::Delta => {
            running(first, residuals, entry.count, |at, residual| at.wrapping_add(second).wrapping_add(residual))
        }
        Transform::DeltaDelta => {
            let mut step = second;
            let steps = std::iter::once(0).chain(residuals);
            running(first, steps, entry.count, |at, residual| {
                step = step.wrapping_add(residual);
                at.wrapping_add(step)
            })
        }
        _ => vec![first; entry.count],
    }
}

/// `first`, then what `next` makes of the value before and each residual, `count` values in all.
fn running<T: Copy, R>(
    first: T,
    residuals: impl Iterator<Item = R>,
    count: usize,
    mut next: impl FnMut(T, R) -> T,
) -> Vec<T> {
    let mut values = Vec::with_capacity(count);
    let mut value = first;
    if count > 0 {
        values.push(value);
    }
    for residual in residuals.take(count.saturating_sub(1)) {
        value = next(value, residual);
        values.push(value);
    }
    values
}
