//! Segments: files of frames, each described by a small index file once nothing more is written to it.
//!
//! `<base>.seg` holds frames only. `<base>.idx` beside it says how many of its bytes count, which records they hold
//! and where; it is written when the segment is closed, or by the next start after a crash. A segment without a
//! valid index file is scanned instead, so that losing one costs time only.

use std::path::{Path, PathBuf};

use wk_types::{Seq, UtcMs};

use super::frame::Header;
use super::scan::{Ledger, Look, Patched, Step, Walk, WalkError};
use super::{Damage, IntakeError};
use crate::io::{self, Io, ReadFile};

/// The seqs a segment may use, counted from its base. Since a start after a crash goes on behind them, a segment that
/// lost frames without a trace does not make seqs repeat.
pub(super) const SEQS_MAX: u64 = 1 << 18;
/// Bytes between two known places within a segment.
const MARK_BYTES: u64 = 256 << 10;
/// Bounds the known places of one segment, whatever its size.
const MARKS_MAX: usize = 4_096;

const INDEX_MAGIC: [u8; 4] = *b"\xf7WKI";
/// The number of the index file's format.
const INDEX_FORMAT: u8 = 1;
/// Words of an index file before its marks.
const INDEX_WORDS: usize = 12;
/// Magic and format, words, marks, checksum.
const INDEX_BYTES_MAX: u64 = 8 + 8 * INDEX_WORDS as u64 + 16 * MARKS_MAX as u64 + 4;

/// A place within a segment: the frame at `offset` begins with the record `first`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    first: Seq,
    offset: u64,
}

/// What is known of one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment {
    /// The lowest seq it may hold; names its files.
    pub(super) base: u64,
    /// Its first record's predecessor.
    pub(super) previous: Seq,
    /// Its last record; `previous` while it has none.
    pub(super) last: Seq,
    /// How many records it holds.
    pub(super) records: u64,
    /// How many bytes of the file count.
    pub(super) bytes: u64,
    /// The seq that comes after it.
    pub(super) next: u64,
    /// Earliest and latest time of receipt.
    pub(super) received: Option<(UtcMs, UtcMs)>,
    /// When its last frame was written.
    pub(super) written_at: Option<UtcMs>,
    /// Whether no index file needs to be written for it any more.
    pub(super) sealed: bool,
    marks: Vec<Mark>,
}

impl Segment {
    /// A segment without frames.
    pub(super) const fn new(base: u64, previous: Seq) -> Self {
        Self {
            base,
            previous,
            last: previous,
            records: 0,
            bytes: 0,
            next: base,
            received: None,
            written_at: None,
            sealed: false,
            marks: Vec::new(),
        }
    }

    /// Takes note of a good frame at `offset`.
    pub(super) fn add(&mut self, header: &Header, offset: u64) {
        let meta = &header.meta;
        if self.records == 0 {
            self.previous = meta.previous;
        }
        let far = self.marks.last().is_none_or(|mark| offset >= mark.offset + MARK_BYTES);
        if far && self.marks.len() < MARKS_MAX {
            self.marks.push(Mark { first: meta.first, offset });
        }
        self.last = meta.last();
        self.next = self.next.max(meta.last().0 + 1);
        self.records += u64::from(meta.count);
        self.bytes = offset + header.frame_bytes();
        self.received = Some(match self.received {
            Some((from, to)) => (from.min(meta.received.0), to.max(meta.received.1)),
            None => meta.received,
        });
        self.written_at = Some(meta.written_at);
    }

    /// Its first record, where it has one.
    pub(super) fn first(&self) -> Option<Seq> {
        self.marks.first().map(|mark| mark.first)
    }

    /// The greatest known offset of a frame that does not begin after the record `seq`.
    pub(super) fn offset_before(&self, seq: Seq) -> u64 {
        let after = self.marks.partition_point(|mark| mark.first <= seq);
        after.checked_sub(1).map_or(0, |at| self.marks[at].offset)
    }

    /// How many of its records come after `cursor`.
    pub(super) fn records_after(&self, cursor: Seq) -> u64 {
        if cursor <= self.previous { self.records } else { self.last.0.saturating_sub(cursor.0).min(self.records) }
    }

    /// Writes the index file.
    pub(super) fn seal(&mut self, io: &dyn Io, dir: &Path) -> std::io::Result<()> {
        io::write_whole(io, &index_path(dir, self.base), &self.to_index())?;
        self.sealed = true;
        Ok(())
    }

    fn to_index(&self) -> Vec<u8> {
        let (from, to) = self.received.unwrap_or_default();
        let words = [
            self.base,
            self.previous.0,
            self.last.0,
            self.records,
            self.bytes,
            self.next,
            u64::from(self.received.is_some()),
            from.0 as u64,
            to.0 as u64,
            u64::from(self.written_at.is_some()),
            self.written_at.unwrap_or_default().0 as u64,
            self.marks.len() as u64,
        ];
        let marks = self.marks.iter().flat_map(|mark| [mark.first.0, mark.offset]);
        let mut bytes = INDEX_MAGIC.to_vec();
        bytes.extend([INDEX_FORMAT, 0, 0, 0]);
        bytes.extend(words.into_iter().chain(marks).flat_map(u64::to_le_bytes));
        bytes.extend(crc32c::crc32c(&bytes).to_le_bytes());
        bytes
    }

    /// Reads an index file's bytes: `Ok(None)` where they are damaged, the format where it is a newer one.
    fn from_index(bytes: &[u8]) -> Result<Option<Self>, u32> {
        let Some((body, crc)) = bytes.split_last_chunk::<4>() else { return Ok(None) };
        let Some((head, words)) = body.split_first_chunk::<8>() else { return Ok(None) };
        if head[..4] != INDEX_MAGIC || crc32c::crc32c(body) != u32::from_le_bytes(*crc) {
            return Ok(None);
        }
        if head[4] > INDEX_FORMAT {
            return Err(u32::from(head[4]));
        }
        let (words, rest) = words.as_chunks::<8>();
        let words: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let Some((fixed, marks)) = words.split_first_chunk::<INDEX_WORDS>() else { return Ok(None) };
        if !rest.is_empty() || fixed[11].checked_mul(2) != Some(marks.len() as u64) {
            return Ok(None);
        }
        let [base, previous, last, records, bytes, next, has_received, from, to, has_written, written, _] = *fixed;
        let marks = marks.chunks_exact(2).map(|pair| Mark { first: Seq(pair[0]), offset: pair[1] }).collect();
        Ok(Some(Self {
            base,
            previous: Seq(previous),
            last: Seq(last),
            records,
            bytes,
            next,
            received: (has_received == 1).then_some((UtcMs(from as i64), UtcMs(to as i64))),
            written_at: (has_written == 1).then_some(UtcMs(written as i64)),
            sealed: true,
            marks,
        }))
    }
}

/// The path of the segment with this base.
pub(super) fn segment_path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:020}.seg"))
}

/// The path of its index file.
pub(super) fn index_path(dir: &Path, base: u64) -> PathBuf {
    dir.join(format!("{base:020}.idx"))
}

/// The base that a segment's or index file's name states.
pub(super) fn base_of(name: &str, extension: &str) -> Option<u64> {
    let digits = name.strip_suffix(extension)?.strip_suffix('.')?;
    let well_formed = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| well_formed)
}

/// A segment as a start finds it.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) segment: Segment,
    /// The last seq that is in it or known to be lost.
    pub(super) seen: Seq,
    /// Whether it had to be scanned.
    pub(super) scanned: bool,
    /// Whether it may have held more than is known: no index file states its end, or the file is shorter.
    pub(super) unclean: bool,
    pub(super) damage: Vec<Damage>,
}

/// Learns what a segment holds: from its index file where that fits and `look` asks for no more, else by a walk over
/// its frames. Everything up to `before` is accounted for by earlier segments.
///
/// # Errors
/// A newer format, and files that cannot be opened. Damage is no error.
pub(super) fn load(io: &dyn Io, dir: &Path, base: u64, before: Seq, look: Look) -> Result<Loaded, IntakeError> {
    let path = segment_path(dir, base);
    let file = io.open(&path).map_err(|source| IntakeError::open(&path, source))?;
    let size = file.size().map_err(|source| IntakeError::open(&path, source))?;
    let known = read_index(io, &index_path(dir, base))?.filter(|known| known.base == base);
    match known {
        Some(segment) if segment.bytes <= size && look == Look::Headers => Ok(trust(segment, before)),
        known => scan(&*file, Segment::new(base, before), known, look).map_err(|error| error.about(&path)),
    }
}

fn read_index(io: &dyn Io, path: &Path) -> Result<Option<Segment>, IntakeError> {
    let Ok(bytes) = io::read_all(io, path, INDEX_BYTES_MAX) else { return Ok(None) };
    Segment::from_index(&bytes).map_err(|found| IntakeError::Newer { path: path.to_owned(), found })
}

fn trust(segment: Segment, before: Seq) -> Loaded {
    let mut ledger = Ledger::new(segment.base, before);
    ledger.end(segment.previous, segment.received.map(|(from, _)| from));
    let seen = segment.last.max(before);
    Loaded { segment, seen, scanned: false, unclean: false, damage: ledger.into_damage() }
}

/// Walks over the frames of a segment of which only base and predecessor are known, and what its index file says.
fn scan(file: &dyn ReadFile, mut segment: Segment, known: Option<Segment>, look: Look) -> Result<Loaded, WalkError> {
    let size = file.size()?;
    let file = Patched::new(file);
    // Bytes behind those that the index file counts were never acknowledged.
    let end = known.as_ref().map_or(size, |known| known.bytes.min(size));
    let mut walk = Walk::new(&file, 0, end);
    let mut ledger = Ledger::new(segment.base, segment.previous);
    while let Some(step) = walk.step(look)? {
        match step {
            Step::Frame { at, header } => {
                segment.add(&header, at);
                ledger.good(&header);
            }
            Step::Broken { header, what } => {
                segment.next = header.map_or(segment.next, |header| segment.next.max(header.meta.last().0 + 1));
                ledger.broken(header.as_ref(), what);
            }
        }
    }
    match &known {
        Some(known) => ledger.end(known.last, known.received.map(|(_, to)| to)),
        None => ledger.end(Seq(0), None),
    }
    segment.next = segment.next.max(known.as_ref().map_or(0, |known| known.next));
    let unclean = known.as_ref().is_none_or(|known| known.bytes > size);
    // What the disk could not read now it may read at the next start: nothing is decided about it.
    let unchanged = known.is_some_and(|known| known.bytes == segment.bytes && known.records == segment.records);
    segment.sealed = unchanged || file.has_holes();
    Ok(Loaded { segment, seen: ledger.seen(), scanned: true, unclean, damage: ledger.into_damage() })
}

#[cfg(test)]
mod tests;
