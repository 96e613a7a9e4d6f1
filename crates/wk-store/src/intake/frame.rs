//! Frames: the checksummed, compressed unit of the intake log and of recordings.
//!
//! A frame is a header of [`HEADER_BYTES`] and a zstd payload. All numbers are little-endian:
//!
//! | at | bytes | what |
//! |---|---|---|
//! | 0 | 4 | `f7 57 4b 46`; the first byte never occurs in UTF-8 text |
//! | 4 | 1 | format, 1 |
//! | 5 | 1 | kind |
//! | 6 | 2 | the kinds of records it holds: 1 samples, 2 logs, 4 ticks, 8 commands, added up |
//! | 8 | 4 | bytes of the payload |
//! | 12 | 4 | bytes of the payload when decompressed |
//! | 16 | 4 | CRC-32C of the payload as stored |
//! | 20 | 4 | count of records |
//! | 24 | 8 | seq of the first record |
//! | 32 | 8 | seq of the record before the first one: a frame that is missing in between is found by it |
//! | 40 | 16 | earliest and latest time of receipt |
//! | 56 | 8 | when the frame was written |
//! | 64 | 4 | CRC-32C of the header's first 64 bytes |
//!
//! Magic, format and the header's length and checksum stay where they are in every later format, so that an older
//! node can tell a newer frame from a damaged one.

use std::borrow::Borrow;
use std::io::{self, Read, Write};

use wk_types::wire::{Decoder, WireError};
use wk_types::{ErrorKind, IntakeRecord, Kinds, Seq, UtcMs};

/// The number of the format that is written.
pub const FORMAT: u8 = 1;
/// The length of a frame's header.
pub const HEADER_BYTES: usize = 68;
/// The most bytes a payload may have, stored or decompressed.
pub const PAYLOAD_BYTES_MAX: usize = 32 << 20;
/// The most records in one frame.
pub const RECORDS_MAX: usize = 1 << 16;

pub(super) const MAGIC: [u8; 4] = *b"\xf7WKF";
/// Fast, and within a tenth of the default level's size on telemetry.
const ZSTD_LEVEL: i32 = 1;

/// What a frame's payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// Intake records as `wk_types::wire` writes them.
    Records = 1,
    /// A saved state of the engine.
    Snapshot = 2,
    /// Facts as JSON lines.
    Facts = 3,
}

impl FrameKind {
    const fn from_number(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Records),
            2 => Some(Self::Snapshot),
            3 => Some(Self::Facts),
            _ => None,
        }
    }
}

/// Why a frame could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The stream could not be read.
    #[error("could not read a frame")]
    Read(#[source] io::Error),
    /// The stream could not be written.
    #[error("could not write a frame")]
    Write(#[source] io::Error),
    /// The content does not fit into one frame.
    #[error("the frame's content has {found} {unit}, more than {max}")]
    TooLarge {
        /// How many there are.
        found: usize,
        /// The bound.
        max: usize,
        /// What is counted.
        unit: &'static str,
    },
    /// A newer node wrote this.
    #[error("the frame has format {found}, this version reads up to {FORMAT}; use a newer watchkeeper")]
    Newer {
        /// The format found.
        found: u8,
    },
    /// The bytes are not what was written.
    #[error("the frame is damaged: {what}")]
    Damaged {
        /// What does not fit.
        what: &'static str,
    },
    /// The content could not be decoded.
    #[error("could not decode the frame's records")]
    Decode(#[source] WireError),
}

impl FrameError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Read(_) | Self::Write(_) => ErrorKind::Unavailable,
            Self::TooLarge { .. } => ErrorKind::InvalidInput,
            Self::Newer { .. } => ErrorKind::Conflict,
            Self::Damaged { .. } => ErrorKind::Corrupt,
            Self::Decode(error) => error.kind(),
        }
    }

    /// Tells whether a newer version of Watchkeeper wrote this.
    #[must_use]
    pub const fn is_newer(&self) -> bool {
        matches!(self, Self::Newer { .. } | Self::Decode(WireError::Newer { .. }))
    }
}

/// What a frame says about its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameMeta {
    /// What the payload is.
    pub kind: FrameKind,
    /// Of which kinds the records are that it holds.
    pub holds: Kinds,
    /// How many records it holds.
    pub count: u32,
    /// The first record's seq, at least 1; the others follow without a gap.
    pub first: Seq,
    /// The seq of the record that was written before the first one, lower than that one's.
    pub previous: Seq,
    /// Earliest and latest time of receipt.
    pub received: (UtcMs, UtcMs),
    /// When the frame was written.
    pub written_at: UtcMs,
}

impl FrameMeta {
    /// Describes records that follow each other, written after the record `previous`.
    #[must_use]
    pub fn of_records<R: Borrow<IntakeRecord>>(records: &[R], previous: Seq, written_at: UtcMs) -> Self {
        let times = || records.iter().map(|record| record.borrow().received);
        let received = (times().min().unwrap_or(written_at), times().max().unwrap_or(written_at));
        let first = records.first().map_or(previous.next(), |record| record.borrow().seq);
        let holds = records.iter().fold(Kinds::NONE, |kinds, record| kinds.and(record.borrow().body.kind()));
        Self { kind: FrameKind::Records, holds, count: records.len() as u32, first, previous, received, written_at }
    }

    /// The last record's seq; the one before the first where there is none.
    #[must_use]
    pub const fn last(&self) -> Seq {
        Seq((self.first.0 + self.count as u64).saturating_sub(1))
    }
}

/// A frame's header: what it says about its content, and where the content ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) meta: FrameMeta,
    pub(super) payload_bytes: u32,
    pub(super) raw_bytes: u32,
    payload_crc: u32,
}

impl Header {
    /// The length of the whole frame.
    pub(super) const fn frame_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + self.payload_bytes as u64
    }

    fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = FORMAT;
        bytes[5] = self.meta.kind as u8;
        bytes[6..8].copy_from_slice(&self.meta.holds.0.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.payload_bytes.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.raw_bytes.to_le_bytes());
        bytes[16..20].copy_from_slice(&self.payload_crc.to_le_bytes());
        bytes[20..24].copy_from_slice(&self.meta.count.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.meta.first.0.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.meta.previous.0.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.meta.received.0.0.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.meta.received.1.0.to_le_bytes());
        bytes[56..64].copy_from_slice(&self.meta.written_at.0.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..64]);
        bytes[64..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads a header.
    pub(super) fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Result<Self, FrameError> {
        if bytes[..4] != MAGIC {
            return Err(FrameError::Damaged { what: "no frame begins here" });
        }
        if crc32c::crc32c(&bytes[..64]) != u32_at(bytes, 64) {
            return Err(FrameError::Damaged { what: "the header's checksum does not match" });
        }
        if bytes[4] > FORMAT {
            return Err(FrameError::Newer { found: bytes[4] });
        }
        let kind = FrameKind::from_number(bytes[5]).ok_or(FrameError::Damaged { what: "the kind is unknown" })?;
        let meta = FrameMeta {
            kind,
            holds: Kinds(u16::from_le_bytes([bytes[6], bytes[7]])),
            count: u32_at(bytes, 20),
            first: Seq(u64_at(bytes, 24)),
            previous: Seq(u64_at(bytes, 32)),
            received: (UtcMs(u64_at(bytes, 40) as i64), UtcMs(u64_at(bytes, 48) as i64)),
            written_at: UtcMs(u64_at(bytes, 56) as i64),
        };
        let header = Self {
            meta,
            payload_bytes: u32_at(bytes, 8),
            raw_bytes: u32_at(bytes, 12),
            payload_crc: u32_at(bytes, 16),
        };
        header.check_bounds()?;
        Ok(header)
    }

    fn check_bounds(&self) -> Result<(), FrameError> {
        let fits = self.payload_bytes as usize <= PAYLOAD_BYTES_MAX
            && self.raw_bytes as usize <= PAYLOAD_BYTES_MAX
            && self.meta.count as usize <= RECORDS_MAX
            && self.meta.first.0 < u64::MAX - RECORDS_MAX as u64
            && self.meta.previous < self.meta.first;
        if fits { Ok(()) } else { Err(FrameError::Damaged { what: "the header contradicts itself" }) }
    }

    /// Tells whether `payload` is what was written.
    pub(super) fn covers(&self, payload: &[u8]) -> bool {
        payload.len() == self.payload_bytes as usize && crc32c::crc32c(payload) == self.payload_crc
    }

    /// Checks and decompresses the payload.
    pub(super) fn unpack(self, payload: &[u8]) -> Result<Frame, FrameError> {
        if !self.covers(payload) {
            return Err(FrameError::Damaged { what: "the payload's checksum does not match" });
        }
        let raw = zstd::bulk::decompress(payload, self.raw_bytes as usize)
            .map_err(|_| FrameError::Damaged { what: "the payload could not be decompressed" })?;
        if raw.len() != self.raw_bytes as usize {
            return Err(FrameError::Damaged { what: "the payload has another length than stated" });
        }
        Ok(Frame { meta: self.meta, content: raw })
    }
}

fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

/// A frame that was read: checked and decompressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it says about its content.
    pub meta: FrameMeta,
    /// The content.
    pub content: Vec<u8>,
}

impl Frame {
    /// Decodes the records of a frame of that kind.
    ///
    /// # Errors
    /// Another kind, content that is no batch of records, and records that do not fit the header.
    pub fn records(&self, decoder: &mut Decoder) -> Result<Vec<IntakeRecord>, FrameError> {
        if self.meta.kind != FrameKind::Records {
            return Err(FrameError::Damaged { what: "the frame holds no records" });
        }
        let records = decoder.decode(&self.content).map_err(FrameError::Decode)?;
        let in_order = records.iter().zip(self.meta.first.0..).all(|(record, seq)| record.seq.0 == seq);
        if records.len() != self.meta.count as usize || !in_order {
            return Err(FrameError::Damaged { what: "the records do not fit the header" });
        }
        Ok(records)
    }
}

/// Encodes one frame.
///
/// # Errors
/// Content of more than [`PAYLOAD_BYTES_MAX`] bytes or [`RECORDS_MAX`] records.
///
/// # Panics
/// If `meta.previous` is not lower than `meta.first`.
pub fn encode(meta: &FrameMeta, content: &[u8]) -> Result<Vec<u8>, FrameError> {
    assert!(meta.previous < meta.first, "seqs ascend");
    if content.len() > PAYLOAD_BYTES_MAX {
        return Err(FrameError::TooLarge { found: content.len(), max: PAYLOAD_BYTES_MAX, unit: "bytes" });
    }
    if meta.count as usize > RECORDS_MAX {
        return Err(FrameError::TooLarge { found: meta.count as usize, max: RECORDS_MAX, unit: "records" });
    }
    let payload = zstd::bulk::compress(content, ZSTD_LEVEL).map_err(FrameError::Write)?;
    if payload.len() > PAYLOAD_BYTES_MAX {
        return Err(FrameError::TooLarge { found: payload.len(), max: PAYLOAD_BYTES_MAX, unit: "compressed bytes" });
    }
    let header = Header {
        meta: *meta,
        payload_bytes: payload.len() as u32,
        raw_bytes: content.len() as u32,
        payload_crc: crc32c::crc32c(&payload),
    };
    Ok([&header.to_bytes()[..], &payload].concat())
}

/// Writes one frame.
///
/// # Errors
/// As [`encode`], and whatever `out` reports.
pub fn write(out: &mut impl Write, meta: &FrameMeta, content: &[u8]) -> Result<(), FrameError> {
    out.write_all(&encode(meta, content)?).map_err(FrameError::Write)
}

/// Reads the next frame, or `None` where the stream ends before one begins.
///
/// *Limits*: at most [`PAYLOAD_BYTES_MAX`] stored and as many decompressed bytes in memory, whatever the header says.
///
/// # Errors
/// Whatever `input` reports, a frame that is cut off or damaged, and a newer format.
pub fn read(input: &mut impl Read) -> Result<Option<Frame>, FrameError> {
    let mut header = Vec::with_capacity(HEADER_BYTES);
    input.by_ref().take(HEADER_BYTES as u64).read_to_end(&mut header).map_err(FrameError::Read)?;
    if header.is_empty() {
        return Ok(None);
    }
    let header: [u8; HEADER_BYTES] =
        header.try_into().map_err(|_| FrameError::Damaged { what: "the header is cut off" })?;
    let header = Header::from_bytes(&header)?;
    let mut payload = Vec::new();
    input.by_ref().take(u64::from(header.payload_bytes)).read_to_end(&mut payload).map_err(FrameError::Read)?;
    if payload.len() < header.payload_bytes as usize {
        return Err(FrameError::Damaged { what: "the payload is cut off" });
    }
    header.unpack(&payload).map(Some)
}

#[cfg(test)]
mod tests;
