//! Integers as bytes, and compression with a known plain size.

use zstd::bulk::Compressor;

use crate::error::BlockError;

/// Bytes of the longest LEB128 form of a 64-bit integer.
pub(crate) const VARINT_BYTES_MAX: usize = 10;

/// How hard zstd tries: past 9 it costs ten times the time for 3 % of the bytes.
const COMPRESSION_LEVEL: i32 = 9;

/// Streams shorter than this are not worth a zstd frame.
const COMPRESS_BYTES_MIN: usize = 24;

/// Maps small magnitudes of either sign to small unsigned integers.
pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

/// Undoes [`zigzag`].
pub(crate) const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

/// Appends the LEB128 form of `value`.
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends the zig-zag LEB128 form of `value`.
pub(crate) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put_varint(out, zigzag(value));
}

/// Reads integers off the front of a part.
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    bytes: usize,
    part: &'static str,
}

impl<'a> Cursor<'a> {
    pub(crate) const fn new(bytes: &'a [u8], part: &'static str) -> Self {
        Self { rest: bytes, bytes: bytes.len(), part }
    }

    pub(crate) const fn left(&self) -> usize {
        self.rest.len()
    }

    /// How many bytes have been read.
    pub(crate) const fn position(&self) -> usize {
        self.bytes - self.rest.len()
    }

    pub(crate) fn take(&mut self, bytes: usize) -> Result<&'a [u8], BlockError> {
        let (taken, rest) =
            self.rest.split_at_checked(bytes).ok_or(BlockError::corrupt(self.part, "it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], BlockError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, BlockError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u32(&mut self) -> Result<u32, BlockError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, BlockError> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn varint(&mut self) -> Result<u64, BlockError> {
        let mut value = 0_u64;
        for position in 0..VARINT_BYTES_MAX {
            let byte = self.u8()?;
            if position == VARINT_BYTES_MAX - 1 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << (7 * position);
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(BlockError::corrupt(self.part, "an integer is too long"))
    }

    pub(crate) fn signed(&mut self) -> Result<i64, BlockError> {
        self.varint().map(unzigzag)
    }

    /// Reads an integer that must not be over `max`.
    pub(crate) fn number(&mut self, max: usize) -> Result<usize, BlockError> {
        let value = self.varint()?;
        if value > max as u64 {
            Err(BlockError::corrupt(self.part, "a number is out of range"))
        } else {
            Ok(value as usize)
        }
    }

    /// Reads how many items follow: at most `max`, each of at least one byte.
    pub(crate) fn count(&mut self, max: usize) -> Result<usize, BlockError> {
        let count = self.number(max)?;
        if count > self.left() {
            return Err(BlockError::corrupt(self.part, "it counts more items than it has bytes"));
        }
        Ok(count)
    }

    pub(crate) fn finish(&self) -> Result<(), BlockError> {
        if self.rest.is_empty() { Ok(()) } else { Err(BlockError::corrupt(self.part, "bytes are left over")) }
    }
}

/// Compresses parts; holds the compressor's tables, so that many small streams share them.
pub(crate) struct Packer(Compressor<'static>);

impl Packer {
    pub(crate) fn new() -> Result<Self, BlockError> {
        let mut compressor = Compressor::new(COMPRESSION_LEVEL).map_err(BlockError::Compress)?;
        compressor.include_contentsize(false).map_err(BlockError::Compress)?;
        Ok(Self(compressor))
    }

    /// Compresses `plain`, or gives it back as it is where that is not longer; equal lengths mean "not compressed".
    pub(crate) fn pack(&mut self, plain: Vec<u8>) -> Result<Vec<u8>, BlockError> {
        if plain.len() < COMPRESS_BYTES_MIN {
            return Ok(plain);
        }
        let packed = self.0.compress(&plain).map_err(BlockError::Compress)?;
        Ok(if packed.len() < plain.len() { packed } else { plain })
    }
}

/// Undoes [`Packer::pack`] for a plain size of `plain` bytes, at most `max`.
pub(crate) fn unpack(stored: &[u8], plain: usize, max: usize, part: &'static str) -> Result<Vec<u8>, BlockError> {
    if plain > max || stored.len() > plain {
        return Err(BlockError::corrupt(part, "its plain size is out of range"));
    }
    if stored.len() == plain {
        return Ok(stored.to_vec());
    }
    let bytes = zstd::bulk::decompress(stored, plain)
        .map_err(|_| BlockError::corrupt(part, "it does not decompress to its plain size"))?;
    if bytes.len() != plain {
        return Err(BlockError::corrupt(part, "it does not decompress to its plain size"));
    }
    Ok(bytes)
}
