//! Reading value chunks: only the streams that a wanted series needs are decompressed.

use std::ops::Range;

use super::predict::Predictor;
use super::{
    BITS, CHAIN_MAX, CODES, CONSTANTS, Code, FIRSTS, HEADS, NAME, OUTLIER, OUTLIERS, PATCHES, SCALES, SEEDS, SPREADS,
    STREAMS, Spread, bits,
};
use crate::bounds::{GROUP_SAMPLES_MAX, PART_BYTES_MAX};
use crate::bytes::{Cursor, VARINT_BYTES_MAX, unpack, unzigzag};
use crate::error::BlockError;
use crate::scale::Scale;

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
    inflated: Vec<Option<Vec<u8>>>,
    series: Vec<Entry>,
    outliers: Vec<u8>,
    patches: Vec<u8>,
    /// The entry whose integers were restored last, and these.
    integers: Option<(usize, Vec<i64>)>,
}

/// One series of the chunk.
struct Entry {
    position: usize,
    count: usize,
    code: Code,
    scale: Scale,
    spread: Spread,
    /// The value of a constant, or where the first integer stands in the packed bits, and how many bits it has.
    first: First,
    seed: i64,
    /// Where its heads begin in their stream.
    heads_at: usize,
    /// Where its low bits begin.
    bits_at: usize,
    outliers: Range<usize>,
    patches: Range<usize>,
}

#[derive(Clone, Copy)]
enum First {
    Known(i64),
    Packed { at: usize, length: u8 },
}

impl ValueChunk {
    /// Reads the directory of a chunk of `members`: ascending positions, and how many values each has.
    pub(crate) fn open(bytes: Vec<u8>, members: impl Iterator<Item = (usize, usize)>) -> Result<Self, BlockError> {
        let members: Vec<(usize, usize)> = members.collect();
        let streams = read_streams(&bytes, members.len(), members.iter().map(|(_, count)| count).sum())?;
        let mut chunk = Self {
            bytes,
            streams,
            inflated: vec![None; STREAMS],
            series: Vec::new(),
            outliers: Vec::new(),
            patches: Vec::new(),
            integers: None,
        };
        chunk.outliers = chunk.inflate(OUTLIERS)?;
        chunk.patches = chunk.inflate(PATCHES)?;
        let inflate = |stream| chunk.inflate(stream);
        let (codes, scales, spreads) = (inflate(CODES)?, inflate(SCALES)?, inflate(SPREADS)?);
        let (constants, firsts, seeds) = (inflate(CONSTANTS)?, inflate(FIRSTS)?, inflate(SEEDS)?);
        let mut directory = Directory {
            codes: Cursor::new(&codes, NAME),
            scales: Cursor::new(&scales, NAME),
            spreads: Cursor::new(&spreads, NAME),
            constants: Cursor::new(&constants, NAME),
            firsts: Cursor::new(&firsts, NAME),
            seeds: Cursor::new(&seeds, NAME),
            outliers: Cursor::new(&chunk.outliers, NAME),
            patches: Cursor::new(&chunk.patches, NAME),
            count_before: None,
            heads: [0; STREAMS],
            bits: 0,
        };
        let next = |(position, count)| directory.next(position, count);
        let series = members.into_iter().map(next).collect::<Result<_, _>>()?;
        directory.finish(&chunk.streams)?;
        chunk.series = series;
        Ok(chunk)
    }

    /// How the series number `at` is coded.
    #[cfg(test)]
    pub(super) fn code(&self, at: usize) -> Code {
        self.series[at].code
    }

    fn inflate(&self, stream: usize) -> Result<Vec<u8>, BlockError> {
        let Stream { stored, plain } = &self.streams[stream];
        unpack(&self.bytes[stored.clone()], *plain, *plain, NAME)
    }

    /// Decompresses a stream where it is not yet.
    fn need(&mut self, stream: usize) -> Result<(), BlockError> {
        if self.inflated[stream].is_none() {
            let mut plain = self.inflate(stream)?;
            if stream == BITS {
                plain.extend_from_slice(&[0; bits::PADDING]);
            }
            self.inflated[stream] = Some(plain);
        }
        Ok(())
    }

    /// Puts the values of the series at `position` into `out`.
    pub(crate) fn values(&mut self, position: usize, out: &mut Vec<f64>) -> Result<(), BlockError> {
        out.clear();
        let at = self.series.binary_search_by_key(&position, |entry| entry.position);
        let at = at.map_err(|_| BlockError::corrupt(NAME, "it lacks a series"))?;
        let integers = self.integers(at)?;
        let entry = &self.series[at];
        entry.scale.values(&integers, out);
        self.integers = Some((at, integers));
        if entry.code.patched {
            apply_patches(&self.patches[entry.patches.clone()], out)?;
        }
        Ok(())
    }

    /// The integers of entry `at`, for which those of entries before it may be needed.
    fn integers(&mut self, at: usize) -> Result<Vec<i64>, BlockError> {
        let (known, mut integers) = match self.integers.take() {
            Some((known, integers)) => (Some(known), integers),
            None => (None, Vec::new()),
        };
        if known == Some(at) {
            return Ok(integers);
        }
        let mut from = at;
        while self.series[from].code.beside && known != Some(from - 1) {
            from -= 1;
            if at - from > CHAIN_MAX {
                return Err(BlockError::corrupt(NAME, "a series builds on too many others"));
            }
        }
        let mut differences = Vec::new();
        for now in from..=at {
            if self.series[now].code.beside {
                self.restore(now, &mut differences)?;
                for (integer, difference) in integers.iter_mut().zip(&differences) {
                    *integer = integer.wrapping_add(*difference);
                }
            } else {
                self.restore(now, &mut integers)?;
            }
        }
        Ok(integers)
    }

    /// Restores what is coded for entry `at`.
    fn restore(&mut self, at: usize, out: &mut Vec<i64>) -> Result<(), BlockError> {
        if matches!(self.series[at].first, First::Packed { .. }) || self.series[at].spread.low_bits() > 0 {
            self.need(BITS)?;
        }
        if let Some(stream) = self.series[at].spread.stream() {
            self.need(stream)?;
        }
        let entry = &self.series[at];
        let packed = self.inflated[BITS].as_deref().unwrap_or(&[]);
        out.clear();
        let Some(predictor) = entry.code.predictor else {
            let First::Known(value) = entry.first else { return Err(BlockError::corrupt(NAME, "it lacks a value")) };
            out.resize(entry.count, value);
            return Ok(());
        };
        out.reserve(entry.count);
        if predictor.has_first() {
            out.push(entry.first(packed));
        }
        match entry.spread.stream() {
            None => out.resize(entry.count, 0),
            Some(stream) => {
                let heads = self.inflated[stream].as_deref().unwrap_or(&[]);
                let heads = heads.get(entry.heads_at..entry.heads_at + predictor.residuals(entry.count));
                let heads = heads.ok_or(BlockError::corrupt(NAME, "it lacks residuals"))?;
                entry.residuals(heads, packed, &self.outliers, out)?;
            }
        }
        predictor.restore(out, entry.seed);
        Ok(())
    }
}

impl Entry {
    fn first(&self, packed: &[u8]) -> i64 {
        match self.first {
            First::Known(value) => value,
            First::Packed { length: 0, .. } => 0,
            First::Packed { at, length } => {
                let below = usize::from(length) - 1;
                unzigzag(1 << below | bits::get_long(packed, at, below))
            }
        }
    }

    /// Appends the residuals that `heads` begin.
    fn residuals(&self, heads: &[u8], packed: &[u8], outliers: &[u8], out: &mut Vec<i64>) -> Result<(), BlockError> {
        let low_bits = self.spread.low_bits();
        if self.code.outlying {
            let mut outliers = Cursor::new(&outliers[self.outliers.clone()], NAME);
            outliers.varint()?;
            for (number, head) in heads.iter().enumerate() {
                let above = if *head == OUTLIER { outliers.varint()? } else { 0 };
                let head = u64::from(*head).wrapping_add(above) << low_bits;
                out.push(unzigzag(head | bits::get(packed, self.bits_at + number * low_bits, low_bits)));
            }
            return outliers.finish();
        }
        if low_bits == 0 {
            out.extend(heads.iter().map(|head| unzigzag(u64::from(*head))));
        } else {
            let mut at = self.bits_at;
            out.extend(heads.iter().map(|head| {
                let low = bits::get(packed, at, low_bits);
                at += low_bits;
                unzigzag(u64::from(*head) << low_bits | low)
            }));
        }
        Ok(())
    }
}

/// The columns of a chunk's directory, read series by series.
struct Directory<'a> {
    codes: Cursor<'a>,
    scales: Cursor<'a>,
    spreads: Cursor<'a>,
    constants: Cursor<'a>,
    firsts: Cursor<'a>,
    seeds: Cursor<'a>,
    outliers: Cursor<'a>,
    patches: Cursor<'a>,
    /// How many values the series before has.
    count_before: Option<usize>,
    /// Heads so far in each stream.
    heads: [usize; STREAMS],
    /// Packed bits so far.
    bits: usize,
}

impl Directory<'_> {
    fn next(&mut self, position: usize, count: usize) -> Result<Entry, BlockError> {
        let code = Code::decode(self.codes.u8()?)?;
        let scale = Scale::decode(self.scales.u8()?).ok_or(BlockError::corrupt(NAME, "a scale is unknown"))?;
        if (code.patched && !scale.takes_patches()) || (code.beside && self.count_before != Some(count)) {
            return Err(BlockError::corrupt(NAME, "a series is coded in an impossible way"));
        }
        self.count_before = Some(count);
        let mut entry = Entry {
            position,
            count,
            code,
            scale,
            spread: Spread::NONE,
            first: First::Known(0),
            seed: 0,
            heads_at: 0,
            bits_at: 0,
            outliers: 0..0,
            patches: 0..0,
        };
        match code.predictor {
            Some(predictor) => self.predicted(&mut entry, predictor)?,
            None if scale == Scale::Double => entry.first = First::Known(self.constants.u64()? as i64),
            None => entry.first = First::Known(self.constants.signed()?),
        }
        if code.patched {
            let before = self.patches.position();
            skip_patches(&mut self.patches)?;
            entry.patches = before..self.patches.position();
        }
        Ok(entry)
    }

    fn predicted(&mut self, entry: &mut Entry, predictor: Predictor) -> Result<(), BlockError> {
        entry.spread = Spread::decode(self.spreads.u8()?)?;
        if predictor.has_first() {
            let length = self.firsts.u8()?;
            if length > 64 {
                return Err(BlockError::corrupt(NAME, "a first value is too long"));
            }
            entry.first = First::Packed { at: self.bits, length };
            self.bits += usize::from(length).saturating_sub(1);
        }
        if predictor.has_seed() {
            entry.seed = self.seeds.signed()? << entry.spread.low_bits();
        }
        let residuals = predictor.residuals(entry.count);
        if let Some(stream) = entry.spread.stream() {
            entry.heads_at = self.heads[stream];
            self.heads[stream] += residuals;
        }
        entry.bits_at = self.bits;
        self.bits += residuals * entry.spread.low_bits();
        if entry.code.outlying {
            let before = self.outliers.position();
            for _ in 0..self.outliers.count(GROUP_SAMPLES_MAX)? {
                self.outliers.varint()?;
            }
            entry.outliers = before..self.outliers.position();
        }
        Ok(())
    }

    fn finish(&self, streams: &[Stream]) -> Result<(), BlockError> {
        let columns = [
            &self.codes,
            &self.scales,
            &self.spreads,
            &self.constants,
            &self.firsts,
            &self.seeds,
            &self.outliers,
            &self.patches,
        ];
        columns.into_iter().try_for_each(Cursor::finish)?;
        let heads_fit = (HEADS..STREAMS).all(|stream| self.heads[stream] == streams[stream].plain);
        if heads_fit && self.bits.div_ceil(8) == streams[BITS].plain {
            Ok(())
        } else {
            Err(BlockError::corrupt(NAME, "it has another number of residuals than its series"))
        }
    }
}

/// What a stream of a chunk of so many series and samples has at most: what it may take once decompressed.
fn stream_bytes_max(stream: usize, series: usize, samples: usize) -> usize {
    match stream {
        CODES | SCALES | SPREADS | FIRSTS => series,
        CONSTANTS | SEEDS => series * VARINT_BYTES_MAX,
        OUTLIERS => (series + samples) * VARINT_BYTES_MAX,
        PATCHES => (series + 2 * samples) * VARINT_BYTES_MAX,
        BITS => (series + samples) * 8,
        _ => samples,
    }
}

/// Reads where the streams of a chunk of so many series and samples stand.
fn read_streams(bytes: &[u8], series: usize, samples: usize) -> Result<Vec<Stream>, BlockError> {
    let mut cursor = Cursor::new(bytes, NAME);
    let mut streams = vec![Stream::default(); STREAMS];
    let mut order = Vec::with_capacity(STREAMS);
    for _ in 0..cursor.count(STREAMS)? {
        let id = usize::from(cursor.u8()?);
        if id >= STREAMS || order.iter().any(|(known, _)| *known == id) {
            return Err(BlockError::corrupt(NAME, "a stream is unknown or stands there twice"));
        }
        streams[id].plain = cursor.number(stream_bytes_max(id, series, samples))?;
        order.push((id, cursor.number(PART_BYTES_MAX)?));
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

fn skip_patches(cursor: &mut Cursor<'_>) -> Result<(), BlockError> {
    for _ in 0..cursor.count(GROUP_SAMPLES_MAX)? {
        cursor.varint()?;
        cursor.take(8)?;
    }
    Ok(())
}

fn apply_patches(bytes: &[u8], values: &mut [f64]) -> Result<(), BlockError> {
    let mut cursor = Cursor::new(bytes, NAME);
    let mut position = 0_usize;
    for _ in 0..cursor.count(GROUP_SAMPLES_MAX)? {
        position += cursor.number(values.len())?;
        let bits = cursor.u64()?;
        let value = values.get_mut(position).ok_or(BlockError::corrupt(NAME, "a patch stands outside its series"))?;
        *value = f64::from_bits(bits);
    }
    cursor.finish()
}
