//! The fixed ends of a block, and how its parts are read. The header stands last: a writer that streams knows it last.

use std::borrow::Cow;
use std::io;

use wk_types::UtcMs;

use crate::bounds::{DIRECTORY_BYTES_MAX, PART_BYTES_MAX, SERIES_MAX, SERIES_SAMPLES_MAX};
use crate::bytes::Cursor;
use crate::error::BlockError;

/// The number of the format that is written.
pub const FORMAT: u32 = 1;
/// Bytes of the header, the last ones of a block.
pub const HEADER_BYTES: usize = 64;
/// Bytes before the first part: magic and format.
pub(crate) const FRONT_BYTES: usize = 12;

const MAGIC: &[u8; 8] = b"WKMETBLK";
const NAME: &str = "header";

/// Where the bytes of a block come from.
pub trait PartSource {
    /// How many bytes there are.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn size(&self) -> io::Result<u64>;

    /// Reads `bytes` bytes at `offset`; fewer only where the block ends before.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn read(&self, offset: u64, bytes: usize) -> io::Result<Cow<'_, [u8]>>;
}

impl PartSource for [u8] {
    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read(&self, offset: u64, bytes: usize) -> io::Result<Cow<'_, [u8]>> {
        let start = usize::try_from(offset).map_or(self.len(), |offset| offset.min(self.len()));
        let end = start.saturating_add(bytes).min(self.len());
        Ok(Cow::Borrowed(&self[start..end]))
    }
}

/// Where a part stands, and what it must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// What the part is called in an error.
    pub name: &'static str,
    /// Bytes before it.
    pub offset: u64,
    /// Bytes it has.
    pub bytes: u32,
    /// Bytes it has once decompressed; 0 for a value chunk, whose streams are compressed one by one.
    pub plain: u32,
    /// CRC-32C of its stored bytes.
    pub checksum: u32,
}

impl Part {
    /// Reads the part's stored bytes and checks them.
    ///
    /// # Errors
    /// Whatever the source reports, a size out of bounds, missing bytes, and a checksum that does not fit.
    pub fn read<'a, S: PartSource + ?Sized>(&self, source: &'a S) -> Result<Cow<'a, [u8]>, BlockError> {
        let size = self.bytes as usize;
        if size > PART_BYTES_MAX {
            return Err(BlockError::corrupt(self.name, "its size is out of range"));
        }
        let bytes = source.read(self.offset, size).map_err(|source| BlockError::Read { part: self.name, source })?;
        if bytes.len() != size {
            return Err(BlockError::corrupt(self.name, "it ends too early"));
        }
        if crc32c::crc32c(&bytes) != self.checksum {
            return Err(BlockError::Checksum { part: self.name });
        }
        Ok(bytes)
    }

    /// The byte after the part.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.offset + self.bytes as u64
    }
}

/// What a block holds, and where its directory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// How many series there are.
    pub series: u32,
    /// How many samples all series have together.
    pub samples: u64,
    /// The earliest time of a sample.
    pub first: UtcMs,
    /// The latest time of a sample.
    pub last: UtcMs,
    /// The series' labels and assets.
    pub dictionary: Part,
    /// Where times and values of each series are.
    pub layout: Part,
    /// Bytes of the whole block.
    pub file_bytes: u64,
}

/// The first bytes of every block.
pub(crate) fn front() -> [u8; FRONT_BYTES] {
    let mut front = [0; FRONT_BYTES];
    front[..MAGIC.len()].copy_from_slice(MAGIC);
    front[MAGIC.len()..].copy_from_slice(&FORMAT.to_le_bytes());
    front
}

impl Header {
    /// Reads and checks the header.
    ///
    /// # Errors
    /// Whatever the source reports, bytes that are no block, a newer format, and damage.
    pub fn read<S: PartSource + ?Sized>(source: &S) -> Result<Self, BlockError> {
        let failed = |source| BlockError::Read { part: NAME, source };
        match check_front(&source.read(0, FRONT_BYTES).map_err(failed)?) {
            Ok(()) => Self::read_end(source),
            // A block that ends as only this format does is one whose number is damaged.
            Err(BlockError::Newer { .. }) if Self::read_end(source).is_ok() => {
                Err(BlockError::corrupt(NAME, "the format number is damaged"))
            }
            Err(error) => Err(error),
        }
    }

    fn read_end<S: PartSource + ?Sized>(source: &S) -> Result<Self, BlockError> {
        let failed = |source| BlockError::Read { part: NAME, source };
        let size = source.size().map_err(failed)?;
        let at = size.checked_sub(HEADER_BYTES as u64).filter(|at| *at >= FRONT_BYTES as u64);
        let at = at.ok_or(BlockError::corrupt(NAME, "the block ends too early"))?;
        let bytes = source.read(at, HEADER_BYTES).map_err(failed)?;
        if bytes.len() != HEADER_BYTES {
            return Err(BlockError::corrupt(NAME, "the block ends too early"));
        }
        let (covered, checksum) = bytes.split_at(HEADER_BYTES - 4);
        if crc32c::crc32c(covered).to_le_bytes() != checksum {
            return Err(BlockError::Checksum { part: NAME });
        }
        Self::read_fields(&mut Cursor::new(covered, NAME), size)
    }

    fn read_fields(cursor: &mut Cursor<'_>, file_bytes: u64) -> Result<Self, BlockError> {
        let series = cursor.u32()?;
        let samples = cursor.u64()?;
        let (first, last) = (UtcMs(cursor.u64()? as i64), UtcMs(cursor.u64()? as i64));
        let mut part = |name| -> Result<Part, BlockError> {
            Ok(Part { name, offset: 0, bytes: cursor.u32()?, plain: cursor.u32()?, checksum: cursor.u32()? })
        };
        let (mut dictionary, mut layout) = (part("dictionary")?, part("layout")?);
        let plain_max = dictionary.plain.max(layout.plain) as usize;
        let samples_max = u64::from(series) * SERIES_SAMPLES_MAX as u64;
        let directory_bytes = u64::from(dictionary.bytes) + u64::from(layout.bytes) + HEADER_BYTES as u64;
        if series as usize > SERIES_MAX
            || samples > samples_max
            || first > last
            || plain_max > DIRECTORY_BYTES_MAX
            || cursor.u64()? != file_bytes
            || FRONT_BYTES as u64 + directory_bytes > file_bytes
        {
            return Err(BlockError::corrupt(NAME, "a size is out of range"));
        }
        dictionary.offset = file_bytes - directory_bytes;
        layout.offset = dictionary.end();
        Ok(Self { series, samples, first, last, dictionary, layout, file_bytes })
    }

    /// The stored form.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_BYTES);
        out.extend_from_slice(&self.series.to_le_bytes());
        out.extend_from_slice(&self.samples.to_le_bytes());
        out.extend_from_slice(&self.first.0.to_le_bytes());
        out.extend_from_slice(&self.last.0.to_le_bytes());
        for part in [&self.dictionary, &self.layout] {
            for number in [part.bytes, part.plain, part.checksum] {
                out.extend_from_slice(&number.to_le_bytes());
            }
        }
        out.extend_from_slice(&self.file_bytes.to_le_bytes());
        out.extend_from_slice(&crc32c::crc32c(&out).to_le_bytes());
        out
    }
}

/// Checks magic and format.
fn check_front(bytes: &[u8]) -> Result<(), BlockError> {
    let mut cursor = Cursor::new(bytes, NAME);
    if cursor.left() < MAGIC.len() || &cursor.array::<8>()? != MAGIC {
        return Err(BlockError::NotABlock);
    }
    match cursor.u32()? {
        FORMAT => Ok(()),
        0 => Err(BlockError::corrupt(NAME, "format 0 was never written")),
        found => Err(BlockError::Newer { found }),
    }
}
