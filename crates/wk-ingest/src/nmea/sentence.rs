//! One sentence: its frame and checksum (IEC 61162-1, 7.2 and 7.3).

/// How many fields a sentence has at most.
pub const FIELDS_MAX: usize = 96;

/// A sentence whose checksum is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence<'a> {
    /// Who speaks, such as `GP`; `P` and the maker's letters for proprietary sentences.
    pub talker: &'a str,
    /// What it says, such as `RMC`; empty for proprietary sentences.
    pub formatter: &'a str,
    /// The fields behind the address, empty ones included.
    pub fields: Vec<&'a str>,
}

/// Why a line is no sentence; the text is the reason it is counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSentence {
    /// It does not begin with `$` or `!`, or holds other characters than the standard allows.
    #[error("not a sentence")]
    Frame,
    /// There is no checksum.
    #[error("no checksum")]
    NoChecksum,
    /// The checksum is another one: a bit was flipped on the way.
    #[error("wrong checksum")]
    Checksum,
    /// The address is too short or holds other characters than capital letters and digits.
    #[error("bad address")]
    Address,
    /// There are more than [`FIELDS_MAX`] fields.
    #[error("too many fields")]
    TooManyFields,
}

impl<'a> Sentence<'a> {
    /// Reads one line without its end.
    ///
    /// # Errors
    /// Whatever is wrong with the frame. A sentence without a checksum is refused: a flipped bit would move the ship.
    pub fn parse(line: &'a [u8]) -> Result<Self, BadSentence> {
        let [b'$' | b'!', rest @ ..] = line else { return Err(BadSentence::Frame) };
        let text = std::str::from_utf8(rest).map_err(|_| BadSentence::Frame)?;
        if text.bytes().any(|byte| !(0x20..0x7f).contains(&byte)) {
            return Err(BadSentence::Frame);
        }
        let body = checked(text)?;
        if body.bytes().filter(|byte| *byte == b',').count() > FIELDS_MAX {
            return Err(BadSentence::TooManyFields);
        }
        let mut fields = body.split(',');
        let address = fields.next().unwrap_or_default();
        let (talker, formatter) = split_address(address)?;
        Ok(Self { talker, formatter, fields: fields.collect() })
    }

    /// A field by its place, counted from 1 as the standard does; empty where it is missing.
    #[must_use]
    pub fn field(&self, place: usize) -> &'a str {
        place.checked_sub(1).and_then(|at| self.fields.get(at)).copied().unwrap_or_default()
    }
}

fn split_address(address: &str) -> Result<(&str, &str), BadSentence> {
    let is_plain = address.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    if !is_plain || address.len() < 4 {
        return Err(BadSentence::Address);
    }
    if address.starts_with('P') {
        return Ok((&address[..4], ""));
    }
    if address.len() != 5 {
        return Err(BadSentence::Address);
    }
    Ok(address.split_at(2))
}

/// What stands before `*` and two hexadecimal digits that are the exclusive or of all its bytes.
///
/// # Errors
/// A checksum that is missing or wrong.
pub fn checked(text: &str) -> Result<&str, BadSentence> {
    let (body, digits) = text.rsplit_once('*').ok_or(BadSentence::NoChecksum)?;
    if digits.len() != 2 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(BadSentence::NoChecksum);
    }
    let expected = u8::from_str_radix(digits, 16).map_err(|_| BadSentence::NoChecksum)?;
    let found = body.bytes().fold(0, |sum, byte| sum ^ byte);
    if found == expected { Ok(body) } else { Err(BadSentence::Checksum) }
}
