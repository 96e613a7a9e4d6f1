//! ClickHouse's format RowBinary: values one after the other, without a word about their types.

use std::sync::Arc;

use wk_lake::LogRow;

/// A text that is longer is none of ours.
const TEXT_BYTES_MAX: u64 = 64 << 20;
/// Elements of an array or map at most.
const ELEMENTS_MAX: u64 = 1 << 20;

/// Writes values behind each other.
pub(super) trait Put {
    fn put_length(&mut self, length: usize);
    fn put_text(&mut self, text: &str);
}

impl Put for Vec<u8> {
    /// As LEB128.
    fn put_length(&mut self, mut length: usize) {
        while length >= 0x80 {
            self.push(length as u8 | 0x80);
            length >>= 7;
        }
        self.push(length as u8);
    }

    fn put_text(&mut self, text: &str) {
        self.put_length(text.len());
        self.extend_from_slice(text.as_bytes());
    }
}

/// Why a value cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// More bytes are needed.
    Short,
    /// They are no such value.
    Wrong,
}

/// Bytes to be read.
pub(super) struct Input<'a>(pub(super) &'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Unread> {
        let (taken, rest) = self.0.split_at_checked(length).ok_or(Unread::Short)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Unread> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Unread::Short)?;
        self.0 = rest;
        Ok(*taken)
    }

    /// A length of at most `most`.
    fn length(&mut self, most: u64) -> Result<usize, Unread> {
        let mut length = 0_u64;
        for shift in (0..35).step_by(7) {
            let [byte] = self.array()?;
            length |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return usize::try_from(length).ok().filter(|_| length <= most).ok_or(Unread::Wrong);
            }
        }
        Err(Unread::Wrong)
    }
}

/// A value that can be read.
pub(super) trait Get: Sized {
    fn get(input: &mut Input<'_>) -> Result<Self, Unread>;
}

macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl Get for $number {
            fn get(input: &mut Input<'_>) -> Result<Self, Unread> {
                input.array().map(Self::from_le_bytes)
            }
        })*
    };
}

numbers!(i8, u32, u64, i64);

impl Get for String {
    /// What is no UTF-8, which only others can have written, is replaced.
    fn get(input: &mut Input<'_>) -> Result<Self, Unread> {
        let length = input.length(TEXT_BYTES_MAX)?;
        input.take(length).map(|bytes| Self::from_utf8_lossy(bytes).into_owned())
    }
}

impl Get for Arc<str> {
    fn get(input: &mut Input<'_>) -> Result<Self, Unread> {
        String::get(input).map(Self::from)
    }
}

impl<T: Get> Get for Option<T> {
    fn get(input: &mut Input<'_>) -> Result<Self, Unread> {
        match i8::get(input)? {
            0 => T::get(input).map(Some),
            1 => Ok(None),
            _ => Err(Unread::Wrong),
        }
    }
}

impl<T: Get> Get for Vec<T> {
    fn get(input: &mut Input<'_>) -> Result<Self, Unread> {
        (0..input.length(ELEMENTS_MAX)?).map(|_| T::get(input)).collect()
    }
}

impl<A: Get, B: Get> Get for (A, B) {
    fn get(input: &mut Input<'_>) -> Result<Self, Unread> {
        Ok((A::get(input)?, B::get(input)?))
    }
}

impl Get for LogRow {
    /// The columns of [`found_columns`](super::rows::found_columns).
    fn get(input: &mut Input<'_>) -> Result<Self, Unread> {
        let time = wk_types::UtcMs(i64::get(input)?);
        let (asset, app) = (String::get(input)?.into(), Get::get(input)?);
        let severity = super::rows::severity(i8::get(input)?);
        let (message, template) = Get::get(input)?;
        let attributes = Vec::<(Arc<str>, Arc<str>)>::get(input)?.into_iter().collect();
        let (seq, line) = Get::get(input)?;
        Ok(Self { seq: wk_types::Seq(seq), line, time, asset, app, severity, message, template, attributes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_read_again_and_a_part_of_it_is_not() {
        for length in [0, 1, 127, 128, 20_000] {
            let text = "x".repeat(length);
            let mut bytes = Vec::new();
            bytes.put_text(&text);
            assert_eq!(String::get(&mut Input(&bytes)), Ok(text));
            for cut in 0..bytes.len() {
                assert_eq!(String::get(&mut Input(&bytes[..cut])), Err(Unread::Short), "{length} {cut}");
            }
        }
    }

    #[test]
    fn what_is_no_value_is_told() {
        assert_eq!(String::get(&mut Input(&[0xff; 9])), Err(Unread::Wrong));
        assert_eq!(Option::<u32>::get(&mut Input(&[7, 0, 0, 0, 0])), Err(Unread::Wrong));
        assert_eq!(Vec::<i8>::get(&mut Input(&[3, 1, 2])), Err(Unread::Short));
    }
}
