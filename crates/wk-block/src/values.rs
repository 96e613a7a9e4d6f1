//! Value chunks: the values of many series side by side, like with like.
//!
//! The values of a series become integers ([`crate::scale`]), integers become the residuals of a prediction
//! ([`predict`]), and a residual is cut in two: its low bits, which are noise, are packed as they are; what is above is
//! a small number, and those of all series of like spread stand in one stream, which zstd shrinks to their entropy.

mod bits;
mod chunk;
mod plan;
mod predict;

pub(crate) use chunk::ValueChunk;
pub(crate) use plan::ChunkWriter;

use crate::error::BlockError;
use predict::Predictor;

const NAME: &str = "value chunk";

/// One byte per series: how it is predicted, and what else there is of it.
const CODES: usize = 0;
/// One byte per series: how its values became integers.
const SCALES: usize = 1;
/// One byte per series that is not constant: how far its residuals spread.
const SPREADS: usize = 2;
/// The integers of constant series.
const CONSTANTS: usize = 3;
/// Bit lengths of the first integers of the others; the bits stand in [`BITS`].
const FIRSTS: usize = 4;
/// What predictions begin with, without their low bits.
const SEEDS: usize = 5;
/// Per outlying series what the heads above 254 are.
const OUTLIERS: usize = 6;
/// Per patched series the values that do not scale.
const PATCHES: usize = 7;
/// Bits packed as they are: first integers and the low bits of residuals.
const BITS: usize = 8;
/// The heads of residuals, a stream for each class of spread.
const HEADS: usize = 9;
const STREAMS: usize = HEADS + SPREAD_CLASSES;

/// Classes of spread whose residuals have no low bits; one more is for all that have some.
const SMALL_CLASSES: usize = 7;
const SPREAD_CLASSES: usize = SMALL_CLASSES + 1;
/// Low bits at most: what is above fits a byte then.
const LOW_BITS_MAX: usize = 56;
/// The head that says "the rest stands among the outliers".
const OUTLIER: u8 = 255;
/// A series may build on the one before it, and that one again, so often.
const CHAIN_MAX: usize = 32;

const CONSTANT: u8 = 0x10;
const PATCHED: u8 = 0x20;
const OUTLYING: u8 = 0x40;
const BESIDE: u8 = 0x80;

/// How far residuals spread: 0 where all are zero, then the classes without low bits, then one for each number of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spread(u8);

impl Spread {
    const NONE: Self = Self(0);
    const MAX: usize = SMALL_CLASSES + LOW_BITS_MAX;

    /// For residuals of so many bits, in all, of which there are `count`.
    fn of(bits: u64, count: usize) -> Self {
        if bits == 0 || count == 0 {
            return Self::NONE;
        }
        let per_hundred = bits.saturating_mul(100) / count as u64;
        let small = [4, 15, 40, 90, 160, 280];
        if let Some(class) = small.iter().position(|end| per_hundred < *end) {
            return Self(1 + class as u8);
        }
        let low_bits = ((per_hundred + 50) / 100).saturating_sub(4).min(LOW_BITS_MAX as u64);
        Self(SMALL_CLASSES as u8 + low_bits as u8)
    }

    fn decode(code: u8) -> Result<Self, BlockError> {
        if usize::from(code) > Self::MAX {
            return Err(BlockError::corrupt(NAME, "a spread is out of range"));
        }
        Ok(Self(code))
    }

    const fn low_bits(self) -> usize {
        (self.0 as usize).saturating_sub(SMALL_CLASSES)
    }

    /// The stream of the heads; `None` where there are none.
    fn stream(self) -> Option<usize> {
        (self != Self::NONE).then(|| HEADS + usize::from(self.0 - 1).min(SMALL_CLASSES))
    }
}

/// How a series is coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Code {
    /// `None` for a constant.
    predictor: Option<Predictor>,
    patched: bool,
    outlying: bool,
    /// Its integers are those of the series before it plus what is coded here.
    beside: bool,
}

impl Code {
    fn encode(self) -> u8 {
        let mut code = match self.predictor {
            Some(predictor) => predictor.encode(),
            None => CONSTANT,
        };
        for (set, flag) in [(self.patched, PATCHED), (self.outlying, OUTLYING), (self.beside, BESIDE)] {
            code |= if set { flag } else { 0 };
        }
        code
    }

    fn decode(code: u8) -> Result<Self, BlockError> {
        let has = |flag: u8| code & flag != 0;
        let predictor = match code & 0x1f {
            CONSTANT => None,
            code => Some(Predictor::decode(code).ok_or(BlockError::corrupt(NAME, "a prediction is unknown"))?),
        };
        Ok(Self { predictor, patched: has(PATCHED), outlying: has(OUTLYING), beside: has(BESIDE) })
    }
}

#[cfg(test)]
mod tests;
