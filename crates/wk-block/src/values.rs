//! Value chunks: the values of many series side by side, alike bytes next to each other.

mod chunk;
mod plan;

pub(crate) use chunk::ValueChunk;
pub(crate) use plan::ChunkWriter;

use crate::error::BlockError;

const NAME: &str = "value chunk";

/// Two bytes per series: how it is coded.
const DESCRIPTORS: usize = 0;
/// Per series what its residuals build on.
const FIRSTS: usize = 1;
/// Per patched series the values that do not scale.
const PATCHES: usize = 2;
/// The byte planes, one stream for each width and each byte of it.
const PLANES: usize = 3;
const WIDTH_MAX: usize = 8;
const STREAMS: usize = PLANES + WIDTH_MAX * (WIDTH_MAX + 1) / 2;

/// The exponent that says "no decimal scaling: the bits themselves".
const EXPONENT_BITS: u8 = 15;
const PATCHED: u8 = 0x08;

/// The stream that holds byte `plane` (0 is the lowest) of residuals that are `width` bytes wide.
const fn plane_stream(width: usize, plane: usize) -> usize {
    PLANES + width * (width - 1) / 2 + plane
}

/// How values become residuals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transform {
    /// One value throughout.
    Constant = 0,
    /// Each integer less the middle one.
    Value = 1,
    /// Each step less the middle step.
    Delta = 2,
    /// Each step less the step before.
    DeltaDelta = 3,
    /// The bits XOR the bits before.
    Xor = 4,
    /// The bits as they are.
    Raw = 5,
}

impl Transform {
    const ALL: [Self; 6] = [Self::Constant, Self::Value, Self::Delta, Self::DeltaDelta, Self::Xor, Self::Raw];

    /// How many residuals a series of `count` values has.
    const fn residuals(self, count: usize) -> usize {
        match self {
            Self::Constant => 0,
            Self::Value | Self::Raw => count,
            Self::Delta | Self::Xor => count.saturating_sub(1),
            Self::DeltaDelta => count.saturating_sub(2),
        }
    }
}

/// How the values of one series are coded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Descriptor {
    transform: Transform,
    patched: bool,
    /// Bytes of a residual; 0 where all are zero.
    width: usize,
    exponent: u8,
}

impl Descriptor {
    fn encode(self) -> [u8; 2] {
        let patched = if self.patched { PATCHED } else { 0 };
        [self.transform as u8 | patched | (self.width as u8) << 4, self.exponent]
    }

    fn decode([code, exponent]: [u8; 2]) -> Result<Self, BlockError> {
        let transform = *Transform::ALL
            .get(usize::from(code & 0x07))
            .ok_or(BlockError::corrupt(NAME, "a series is coded in an unknown way"))?;
        let width = usize::from(code >> 4);
        let one = Self { transform, patched: code & PATCHED != 0, width, exponent };
        let bits_only = matches!(transform, Transform::Xor | Transform::Raw);
        let bits_possible = bits_only || transform == Transform::Constant;
        if width > WIDTH_MAX
            || exponent > EXPONENT_BITS
            || (bits_only && !one.is_bits())
            || (one.is_bits() && (!bits_possible || one.patched))
        {
            return Err(BlockError::corrupt(NAME, "a series is coded in an unknown way"));
        }
        Ok(one)
    }

    const fn is_bits(self) -> bool {
        self.exponent == EXPONENT_BITS
    }
}

#[cfg(test)]
mod tests;
