//! Framing of syslog over a stream (RFC 6587), detected anew for every message.
//!
//! A message that begins with a count, a space and `<` is octet-counted; every other one ends at a line feed or NUL.
//! The `<` is asked for because a text may begin with a number, while every counted message begins with a priority.

use super::MESSAGE_BYTES_MAX;

/// The largest octet count that is taken for one; what lies beyond [`MESSAGE_BYTES_MAX`] is read over.
const COUNT_MAX: usize = 16 * 1024 * 1024;
const COUNT_DIGITS_MAX: usize = 8;

/// One message as it was framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The message without its framing.
    pub bytes: &'a [u8],
    /// Tells whether it was longer, or the connection ended within it.
    pub cut: bool,
}

/// The state of one connection's framing.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
    scanned: usize,
    skip: Skip,
}

/// What is read over before the next message.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Skip {
    #[default]
    Nothing,
    Bytes(usize),
    Line,
}

enum Head {
    Counted { from: usize, length: usize },
    Line,
    Unclear,
}

impl Decoder {
    /// Adds bytes as they were read.
    pub fn extend(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.scanned = self.scanned.saturating_sub(self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// How many bytes wait for the rest of their message.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.buffer.len() - self.start
    }

    /// The next whole message, `None` while it is not all there.
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        if !self.skipped() {
            return None;
        }
        match self.head() {
            Head::Unclear => None,
            Head::Counted { from, length } => self.counted(from, length),
            Head::Line => self.line(),
        }
    }

    /// The message that the end of the connection cut off, if there is one.
    pub fn last_frame(&mut self) -> Option<Frame<'_>> {
        if !self.skipped() {
            return None;
        }
        let (from, counted) = match self.head() {
            Head::Counted { from, .. } => (from, true),
            _ => (self.start, false),
        };
        let end = self.buffer.len();
        self.start = end;
        let bytes = self.buffer.get(from..end.min(from + MESSAGE_BYTES_MAX)).filter(|bytes| !bytes.is_empty())?;
        Some(Frame { bytes, cut: counted })
    }

    /// Reads over what is to be skipped and the separators in front of a message; false while more has to come.
    fn skipped(&mut self) -> bool {
        match self.skip {
            Skip::Nothing => {}
            Skip::Bytes(count) => {
                let now = count.min(self.waiting());
                self.advance(now);
                if now < count {
                    self.skip = Skip::Bytes(count - now);
                    return false;
                }
            }
            Skip::Line => match memchr::memchr2(b'\n', 0, &self.buffer[self.start..]) {
                Some(end) => self.advance(end + 1),
                None => {
                    self.advance(self.waiting());
                    return false;
                }
            },
        }
        self.skip = Skip::Nothing;
        let separators = self.buffer[self.start..].iter().take_while(|byte| matches!(byte, b'\n' | b'\r' | 0)).count();
        self.advance(separators);
        self.waiting() > 0
    }

    fn advance(&mut self, count: usize) {
        self.start += count;
        self.scanned = self.scanned.max(self.start);
    }

    fn head(&self) -> Head {
        let bytes = &self.buffer[self.start..];
        let digits = bytes.iter().take(COUNT_DIGITS_MAX + 1).take_while(|byte| byte.is_ascii_digit()).count();
        if digits == 0 || digits > COUNT_DIGITS_MAX || bytes[0] == b'0' {
            return Head::Line;
        }
        match (bytes.get(digits), bytes.get(digits + 1)) {
            (Some(b' '), Some(b'<')) => {
                let length = bytes[..digits].iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
                if length > COUNT_MAX { Head::Line } else { Head::Counted { from: self.start + digits + 1, length } }
            }
            (None, _) | (Some(b' '), None) => Head::Unclear,
            _ => Head::Line,
        }
    }

    fn counted(&mut self, from: usize, length: usize) -> Option<Frame<'_>> {
        let kept = length.min(MESSAGE_BYTES_MAX);
        if self.buffer.len() < from + kept {
            return None;
        }
        self.advance(from + kept - self.start);
        if length > kept {
            self.skip = Skip::Bytes(length - kept);
        }
        Some(Frame { bytes: &self.buffer[from..from + kept], cut: length > kept })
    }

    fn line(&mut self) -> Option<Frame<'_>> {
        let from = self.start;
        let search_from = self.scanned.max(from);
        let found = memchr::memchr2(b'\n', 0, &self.buffer[search_from..]).map(|at| search_from + at);
        match found.filter(|end| end - from <= MESSAGE_BYTES_MAX) {
            Some(end) => {
                self.advance(end + 1 - from);
                Some(Frame { bytes: trimmed(&self.buffer[from..end]), cut: false })
            }
            None if self.buffer.len() - from > MESSAGE_BYTES_MAX => {
                self.advance(MESSAGE_BYTES_MAX);
                self.skip = Skip::Line;
                Some(Frame { bytes: &self.buffer[from..from + MESSAGE_BYTES_MAX], cut: true })
            }
            None => {
                self.scanned = self.buffer.len();
                None
            }
        }
    }
}

fn trimmed(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests;
