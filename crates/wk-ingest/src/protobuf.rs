//! Walks protobuf messages field by field, borrowing from the body: no count in a message makes anything grow, and what
//! is not asked for costs nothing.

use prost::DecodeError;
use prost::encoding::{DecodeContext, WireType, skip_field};

/// Where a message departs from the encoding.
#[derive(Debug, thiserror::Error)]
pub enum BadMessage {
    /// A length points behind the end, or the message ends within a field.
    #[error("the message ends within a field")]
    Truncated,
    /// The message is of another version than its content type says: all of it would be passed over.
    #[error("field {field} is none of this version of remote write; send the content type of the body's version")]
    OtherVersion {
        /// The number of the field.
        field: u32,
    },
    /// A key or a number is out of range.
    #[error("a number in the message is out of range")]
    Number,
    /// A field cannot be read.
    #[error(transparent)]
    Encoding(#[from] DecodeError),
}

/// The value of a field.
pub enum Field<'a> {
    /// A number in base 128.
    Varint(u64),
    /// Eight bytes, least first.
    Fixed64(u64),
    /// Text, bytes, an inner message or packed numbers.
    Bytes(&'a [u8]),
}

/// Calls `each` with every field of a message; fields of other wire types are skipped.
pub fn fields<'a>(
    mut body: &'a [u8],
    mut each: impl FnMut(u32, Field<'a>) -> Result<(), BadMessage>,
) -> Result<(), BadMessage> {
    while !body.is_empty() {
        let key = varint(&mut body)?;
        let (tag, wire_type) = (u32::try_from(key >> 3).map_err(|_| BadMessage::Number)?, key & 7);
        if tag == 0 {
            return Err(BadMessage::Number);
        }
        let field = match WireType::try_from(wire_type)? {
            WireType::Varint => Field::Varint(varint(&mut body)?),
            WireType::SixtyFourBit => {
                let (bytes, rest) = body.split_first_chunk::<8>().ok_or(BadMessage::Truncated)?;
                body = rest;
                Field::Fixed64(u64::from_le_bytes(*bytes))
            }
            WireType::LengthDelimited => Field::Bytes(delimited(&mut body)?),
            other @ (WireType::ThirtyTwoBit | WireType::StartGroup | WireType::EndGroup) => {
                skip_field(other, tag, &mut body, DecodeContext::default())?;
                continue;
            }
        };
        each(tag, field)?;
    }
    Ok(())
}

/// Reads a length and what it delimits.
pub fn delimited<'a>(body: &mut &'a [u8]) -> Result<&'a [u8], BadMessage> {
    let length = usize::try_from(varint(body)?).map_err(|_| BadMessage::Truncated)?;
    let (bytes, rest) = body.split_at_checked(length).ok_or(BadMessage::Truncated)?;
    *body = rest;
    Ok(bytes)
}

/// Reads a number in base 128; most have one or two digits.
pub fn varint(body: &mut &[u8]) -> Result<u64, BadMessage> {
    let mut number = 0;
    for (at, byte) in body.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if *byte < 0x80 {
            *body = &body[at + 1..];
            return if at == 9 && *byte > 1 { Err(BadMessage::Number) } else { Ok(number) };
        }
    }
    Err(if body.len() < 10 { BadMessage::Truncated } else { BadMessage::Number })
}
