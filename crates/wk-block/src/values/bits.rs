//! Bits packed without gaps, the lowest first.

/// Bytes that may be read beyond the last packed bit.
pub(super) const PADDING: usize = 8;

/// Packs numbers.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    out: Vec<u8>,
    open: u128,
    open_bits: usize,
}

impl BitWriter {
    /// Appends the lowest `bits` of `value`, at most 64.
    pub(super) fn put(&mut self, value: u64, bits: usize) {
        if bits == 0 {
            return;
        }
        let value = value & (u64::MAX >> (64 - bits));
        self.open |= u128::from(value) << self.open_bits;
        self.open_bits += bits;
        while self.open_bits >= 64 {
            self.out.extend_from_slice(&(self.open as u64).to_le_bytes());
            self.open >>= 64;
            self.open_bits -= 64;
        }
    }

    /// The packed bytes, after which the writer is empty again.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let left = self.open_bits.div_ceil(8);
        self.out.extend_from_slice(&(self.open as u64).to_le_bytes()[..left]);
        (self.open, self.open_bits) = (0, 0);
        std::mem::take(&mut self.out)
    }
}

/// The `bits` bits, at most 56, from bit `at` on; `bytes` go on for [`PADDING`] beyond them.
#[inline]
pub(super) fn get(bytes: &[u8], at: usize, bits: usize) -> u64 {
    let from = at / 8;
    let Some(eight) = bytes.get(from..from + 8).and_then(|eight| eight.first_chunk::<8>()) else { return 0 };
    (u64::from_le_bytes(*eight) >> (at % 8)) & ((1 << bits) - 1)
}

/// The same for up to 64 bits.
pub(super) fn get_long(bytes: &[u8], at: usize, bits: usize) -> u64 {
    let low = bits.min(32);
    get(bytes, at, low) | get(bytes, at + low, bits - low) << low
}
