//! Numbers and runs of bytes as the wire form has them.

use super::WireError;

const CUT_OFF: WireError = WireError::Damaged { what: "it ends within a field" };
const BAD_NUMBER: WireError = WireError::Damaged { what: "a number has too many digits" };

/// Appends a number in base 128, least digit first, every byte but the last with its top bit set.
pub(super) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Appends the difference of two numbers, its sign in the lowest bit.
pub(super) fn put_difference(out: &mut Vec<u8>, number: i64, from: i64) {
    let difference = number.wrapping_sub(from);
    put(out, ((difference << 1) ^ (difference >> 63)) as u64);
}

/// Bytes that are read from the front.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> Result<u8, WireError> {
        let (first, rest) = self.0.split_first().ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn number(&mut self) -> Result<u64, WireError> {
        let first = self.byte()?;
        if first < 0x80 {
            return Ok(u64::from(first));
        }
        let mut number = u64::from(first & 0x7f);
        for shift in (7..64).step_by(7) {
            let byte = self.byte()?;
            if shift == 63 && byte > 1 {
                return Err(BAD_NUMBER);
            }
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(BAD_NUMBER)
    }

    /// A position in a table.
    pub(super) fn position(&mut self) -> Result<u32, WireError> {
        u32::try_from(self.number()?).map_err(|_| WireError::Damaged { what: "a position is out of range" })
    }

    /// A number that was written as the difference from `from`.
    pub(super) fn difference(&mut self, from: i64) -> Result<i64, WireError> {
        let zigzag = self.number()?;
        Ok(from.wrapping_add((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64)))
    }

    /// How many things follow of which each takes at least one byte, so that no count makes anything grow beyond the
    /// bytes there are.
    pub(super) fn count(&mut self) -> Result<usize, WireError> {
        let count = usize::try_from(self.number()?).map_err(|_| CUT_OFF)?;
        if count > self.0.len() { Err(CUT_OFF) } else { Ok(count) }
    }

    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], WireError> {
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(CUT_OFF)?;
        self.0 = rest;
        Ok(bytes)
    }

    pub(super) fn numbers(&mut self, count: usize) -> Result<Vec<u64>, WireError> {
        (0..count).map(|_| self.number()).collect()
    }

    /// Texts that stand behind each other, their lengths before them.
    pub(super) fn texts(&mut self, count: usize) -> Result<Vec<&'a str>, WireError> {
        let lengths = self.numbers(count)?;
        let total = lengths.iter().try_fold(0_u64, |sum, length| sum.checked_add(*length)).ok_or(CUT_OFF)?;
        let all = self.bytes(usize::try_from(total).map_err(|_| CUT_OFF)?)?;
        let not_text = || WireError::Damaged { what: "a text is not UTF-8" };
        let mut rest = std::str::from_utf8(all).map_err(|_| not_text())?;
        let mut texts = Vec::with_capacity(count);
        for length in lengths {
            let (text, behind) = rest.split_at_checked(length as usize).ok_or_else(not_text)?;
            texts.push(text);
            rest = behind;
        }
        Ok(texts)
    }
}
