//! Reading MessagePack in place: one token at a time, borrowed from the buffer, with nothing set aside for what a
//! length claims.
//!
//! *Source*: <https://github.com/msgpack/msgpack/blob/master/spec.md>; the markers are those of `rmp`.

use rmp::Marker;

/// How deep values may be nested.
pub const DEPTH_MAX: usize = 32;

/// A token; the values of arrays and maps follow it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Token<'a> {
    /// Nothing.
    Nil,
    /// Yes or no.
    Bool(bool),
    /// A whole number below zero.
    Negative(i64),
    /// A whole number from zero.
    Number(u64),
    /// A floating-point number.
    Float(f64),
    /// A text, which need not be UTF-8.
    Text(&'a [u8]),
    /// Bytes.
    Bytes(&'a [u8]),
    /// So many values follow.
    Array(usize),
    /// So many names with their values follow.
    Map(usize),
    /// A value of a kind of its own.
    Extension(i8, &'a [u8]),
}

/// Why bytes are no MessagePack that is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPack {
    /// The marker that the format keeps free.
    #[error("not MessagePack")]
    Marker,
    /// Values are nested too deep.
    #[error("nested deeper than {DEPTH_MAX}")]
    Depth,
    /// The value ends before it is whole.
    #[error("ends within a value")]
    Ended,
    /// A value of another kind stands there than the protocol has.
    #[error("not a message of the Forward protocol")]
    Kind,
}

/// Reads the next token and moves behind it; `Ok(None)` where it is not all there, and nothing moves.
pub fn token<'a>(bytes: &mut &'a [u8]) -> Result<Option<Token<'a>>, BadPack> {
    let mut rest = *bytes;
    let read = read_token(&mut rest)?;
    if read.is_some() {
        *bytes = rest;
    }
    Ok(read)
}

/// Reads a token that has to be all there.
pub fn next<'a>(bytes: &mut &'a [u8]) -> Result<Token<'a>, BadPack> {
    token(bytes)?.ok_or(BadPack::Ended)
}

fn read_token<'a>(rest: &mut &'a [u8]) -> Result<Option<Token<'a>>, BadPack> {
    let Some((first, behind)) = rest.split_first() else { return Ok(None) };
    *rest = behind;
    Ok(match Marker::from_u8(*first) {
        Marker::Reserved => return Err(BadPack::Marker),
        Marker::Null => Some(Token::Nil),
        Marker::True => Some(Token::Bool(true)),
        Marker::False => Some(Token::Bool(false)),
        Marker::FixPos(number) => Some(Token::Number(number.into())),
        Marker::FixNeg(number) => Some(Token::Negative(number.into())),
        Marker::U8 => unsigned(rest, 1).map(Token::Number),
        Marker::U16 => unsigned(rest, 2).map(Token::Number),
        Marker::U32 => unsigned(rest, 4).map(Token::Number),
        Marker::U64 => unsigned(rest, 8).map(Token::Number),
        Marker::I8 => signed(rest, 1),
        Marker::I16 => signed(rest, 2),
        Marker::I32 => signed(rest, 4),
        Marker::I64 => signed(rest, 8),
        Marker::F32 => unsigned(rest, 4).map(|bits| Token::Float(f32::from_bits(bits as u32).into())),
        Marker::F64 => unsigned(rest, 8).map(|bits| Token::Float(f64::from_bits(bits))),
        Marker::FixStr(length) => take(rest, length.into()).map(Token::Text),
        Marker::Str8 => sized(rest, 1).map(Token::Text),
        Marker::Str16 => sized(rest, 2).map(Token::Text),
        Marker::Str32 => sized(rest, 4).map(Token::Text),
        Marker::Bin8 => sized(rest, 1).map(Token::Bytes),
        Marker::Bin16 => sized(rest, 2).map(Token::Bytes),
        Marker::Bin32 => sized(rest, 4).map(Token::Bytes),
        Marker::FixArray(count) => Some(Token::Array(count.into())),
        Marker::Array16 => count(rest, 2).map(Token::Array),
        Marker::Array32 => count(rest, 4).map(Token::Array),
        Marker::FixMap(count) => Some(Token::Map(count.into())),
        Marker::Map16 => count(rest, 2).map(Token::Map),
        Marker::Map32 => count(rest, 4).map(Token::Map),
        Marker::FixExt1 => extension(rest, 1),
        Marker::FixExt2 => extension(rest, 2),
        Marker::FixExt4 => extension(rest, 4),
        Marker::FixExt8 => extension(rest, 8),
        Marker::FixExt16 => extension(rest, 16),
        Marker::Ext8 => count(rest, 1).and_then(|length| extension(rest, length)),
        Marker::Ext16 => count(rest, 2).and_then(|length| extension(rest, length)),
        Marker::Ext32 => count(rest, 4).and_then(|length| extension(rest, length)),
    })
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(taken)
}

fn unsigned(rest: &mut &[u8], width: usize) -> Option<u64> {
    Some(take(rest, width)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
}

fn signed(rest: &mut &[u8], width: usize) -> Option<Token<'static>> {
    let unused = 64 - 8 * width as u32;
    let number = (unsigned(rest, width)? << unused) as i64 >> unused;
    Some(u64::try_from(number).map_or(Token::Negative(number), Token::Number))
}

fn count(rest: &mut &[u8], width: usize) -> Option<usize> {
    usize::try_from(unsigned(rest, width)?).ok()
}

fn sized<'a>(rest: &mut &'a [u8], width: usize) -> Option<&'a [u8]> {
    let length = count(rest, width)?;
    take(rest, length)
}

fn extension<'a>(rest: &mut &'a [u8], length: usize) -> Option<Token<'a>> {
    let (kind, bytes) = take(rest, length.checked_add(1)?)?.split_first()?;
    Some(Token::Extension(*kind as i8, bytes))
}

/// Finds where a value ends, going on where it stopped when more bytes come.
#[derive(Debug, Default)]
pub struct Scanner {
    /// How far the value was read.
    at: usize,
    /// How many values are still missing, outermost first.
    missing: Vec<u64>,
}

impl Scanner {
    /// Where the value at the begin of `bytes` ends; `None` while it is not all there. Begins anew after an answer.
    pub fn end(&mut self, bytes: &[u8]) -> Result<Option<usize>, BadPack> {
        let mut rest = &bytes[self.at..];
        loop {
            let Some(token) = token(&mut rest)? else { return Ok(None) };
            self.at = bytes.len() - rest.len();
            match token {
                Token::Array(count) if count > 0 => self.missing.push(count as u64),
                Token::Map(count) if count > 0 => self.missing.push(2 * count as u64),
                _ => self.close(),
            }
            if self.missing.len() > DEPTH_MAX {
                return Err(BadPack::Depth);
            }
            if self.missing.is_empty() {
                return Ok(Some(std::mem::take(&mut self.at)));
            }
        }
    }

    /// Notes that a value is whole, and with it those that it was the last of.
    fn close(&mut self) {
        while let Some(missing) = self.missing.last_mut() {
            *missing -= 1;
            if *missing > 0 {
                return;
            }
            self.missing.pop();
        }
    }
}

/// Moves behind one value and answers its bytes.
pub fn value<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], BadPack> {
    let end = Scanner::default().end(bytes)?.ok_or(BadPack::Ended)?;
    let (value, rest) = bytes.split_at(end);
    *bytes = rest;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rmp::encode;

    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = Vec::new();
        encode::write_array_len(&mut bytes, 3).unwrap();
        encode::write_str(&mut bytes, "vsat").unwrap();
        encode::write_map_len(&mut bytes, 1).unwrap();
        encode::write_str(&mut bytes, "level").unwrap();
        encode::write_sint(&mut bytes, -300).unwrap();
        encode::write_array_len(&mut bytes, 0).unwrap();
        bytes
    }

    #[test]
    fn tokens_are_read_one_after_the_other() {
        let bytes = sample();
        let mut rest = &bytes[..];
        let mut tokens = Vec::new();
        while let Some(token) = token(&mut rest).unwrap() {
            tokens.push(token);
        }
        let expected = [
            Token::Array(3),
            Token::Text(b"vsat"),
            Token::Map(1),
            Token::Text(b"level"),
            Token::Negative(-300),
            Token::Array(0),
        ];
        assert_eq!(tokens, expected);
    }

    #[test]
    fn numbers_keep_their_sign_and_size() {
        for number in [0, 1, 127, 128, 255, 65_536, i64::MAX, -1, -32, -33, -129, i64::MIN] {
            let mut bytes = Vec::new();
            encode::write_sint(&mut bytes, number).unwrap();
            let expected = u64::try_from(number).map_or(Token::Negative(number), Token::Number);
            assert_eq!(token(&mut &bytes[..]), Ok(Some(expected)));
        }
    }

    #[test]
    fn the_end_of_a_value_is_found_however_it_arrives() {
        let bytes = [sample(), vec![0xc0]].concat();
        let mut scanner = Scanner::default();
        for length in 0..bytes.len() - 1 {
            assert_eq!(scanner.end(&bytes[..length]), Ok(None), "{length}");
        }
        assert_eq!(scanner.end(&bytes), Ok(Some(bytes.len() - 1)));
        assert_eq!(scanner.end(&bytes[bytes.len() - 1..]), Ok(Some(1)));
    }

    #[test]
    fn what_is_nested_too_deep_is_refused() {
        let deep = [vec![0x91; DEPTH_MAX + 1], vec![0xc0]].concat();
        assert_eq!(Scanner::default().end(&deep), Err(BadPack::Depth));
        assert_eq!(Scanner::default().end(&[0xc1]), Err(BadPack::Marker));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_scanner_panic(bytes: Vec<u8>) {
            let mut rest = &bytes[..];
            while let Ok(Some(_)) = token(&mut rest) {}
            if let Ok(Some(end)) = Scanner::default().end(&bytes) {
                prop_assert!(end <= bytes.len());
            }
        }
    }
}
