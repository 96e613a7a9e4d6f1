//! What IEC 61162-450 puts around a sentence: the datagram's header and TAG blocks (clauses 6.2 and 7.2).

use super::sentence::{BadSentence, checked};

/// The header of datagrams that hold sentences.
const HEADER: &[u8] = b"UdPbC\0";
/// The headers of datagrams with binary files.
const FILE_HEADERS: [&[u8]; 3] = [b"RaUdP\0", b"RrUdP\0", b"RpUdP\0"];

/// What a datagram holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Datagram<'a> {
    /// Lines with sentences, each perhaps with a TAG block.
    Lines(&'a [u8]),
    /// A part of a binary file.
    File,
}

/// Tells what a datagram holds; one without a header is taken as plain lines.
#[must_use]
pub fn datagram(bytes: &[u8]) -> Datagram<'_> {
    if let Some(lines) = bytes.strip_prefix(HEADER) {
        return Datagram::Lines(lines);
    }
    if FILE_HEADERS.iter().any(|header| bytes.starts_with(header)) { Datagram::File } else { Datagram::Lines(bytes) }
}

/// What a TAG block says about the sentence behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tag<'a> {
    /// The source's identification, such as `GP0001`; `s`.
    pub source: Option<&'a str>,
    /// The line's number, from 1 to 999 and round again; `n`.
    pub line: Option<u16>,
}

/// Splits the TAG block from a line; a line without one has an empty one.
///
/// # Errors
/// A block that does not end, or whose checksum is missing or wrong.
pub fn split(line: &[u8]) -> Result<(Tag<'_>, &[u8]), BadSentence> {
    let Some(rest) = line.strip_prefix(b"\\") else { return Ok((Tag::default(), line)) };
    let end = memchr::memchr(b'\\', rest).ok_or(BadSentence::Frame)?;
    let text = std::str::from_utf8(&rest[..end]).map_err(|_| BadSentence::Frame)?;
    let mut tag = Tag::default();
    for parameter in checked(text)?.split(',') {
        match parameter.split_once(':') {
            Some(("s", source)) if is_source(source) => tag.source = Some(source),
            Some(("n", number)) => tag.line = number.parse().ok(),
            // Time, destination, grouping and text say nothing that is needed here.
            _ => {}
        }
    }
    Ok((tag, &rest[end + 1..]))
}

fn is_source(text: &str) -> bool {
    (1..=15).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric())
}
