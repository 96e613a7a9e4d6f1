//! Walking through the frames of a segment, around whatever is damaged.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use wk_types::{Kinds, Seq, UtcMs};

use super::frame::{Frame, FrameError, FrameMeta, HEADER_BYTES, Header, MAGIC};
use super::{Damage, IntakeError};
use crate::io::ReadFile;

/// How much is read at once while hopping from header to header.
const WINDOW_BYTES: usize = 16 << 10;
/// What a disk reads or fails to read as a whole.
const BLOCK_BYTES: u64 = 4 << 10;

/// How closely a walk looks at payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// Headers only, and a payload where the frame behind it cannot be found.
    Headers,
    /// The checksum of every payload that holds one of these kinds, and the headers of all.
    Payloads(Kinds),
}

impl Look {
    /// Looks at every payload.
    pub(super) const ALL: Self = Self::Payloads(Kinds::ALL);

    fn is_at_payload(self, meta: &FrameMeta) -> bool {
        match self {
            Self::Headers => false,
            Self::Payloads(kinds) => kinds == Kinds::ALL || kinds.meet(meta.holds),
        }
    }
}

/// What a walk comes upon.
#[derive(Debug)]
pub(super) enum Step {
    /// A frame, as far as it was looked at.
    Frame { at: u64, header: Header },
    /// Bytes that are no good frame; with the header where that one is whole.
    Broken { header: Option<Header>, what: &'static str },
}

/// A file whose unreadable blocks read as zeros, so that a bad sector costs the frames it touches and no more.
pub(super) struct Patched<'a> {
    file: &'a dyn ReadFile,
    holes: AtomicBool,
}

impl<'a> Patched<'a> {
    pub(super) const fn new(file: &'a dyn ReadFile) -> Self {
        Self { file, holes: AtomicBool::new(false) }
    }

    /// Tells whether anything could not be read.
    pub(super) fn has_holes(&self) -> bool {
        self.holes.load(Ordering::Relaxed)
    }
}

impl ReadFile for Patched<'_> {
    fn size(&self) -> io::Result<u64> {
        self.file.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        if let Ok(read) = self.file.read_at(offset, buffer) {
            return Ok(read);
        }
        self.holes.store(true, Ordering::Relaxed);
        let wanted = (self.size()?.saturating_sub(offset)).min(buffer.len() as u64) as usize;
        let mut at = 0;
        while at < wanted {
            let block_end = (offset + at as u64) / BLOCK_BYTES * BLOCK_BYTES + BLOCK_BYTES;
            let end = wanted.min((block_end - offset) as usize);
            if self.file.read_at(offset + at as u64, &mut buffer[at..end]).is_err() {
                buffer[at..end].fill(0);
            }
            at = end;
        }
        Ok(wanted)
    }
}

/// Why a walk cannot go on.
#[derive(Debug)]
pub(super) enum WalkError {
    Read(io::Error),
    /// The frame has this format.
    Newer(u32),
}

impl From<io::Error> for WalkError {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

/// A walk over the frames of one file.
pub(super) struct Walk<'a> {
    file: &'a dyn ReadFile,
    end: u64,
    /// Where the next frame is expected.
    at: u64,
    /// The last seq passed: what repeats it is no frame of this log.
    floor: Seq,
    window: Vec<u8>,
    window_at: u64,
    /// The payload that was looked at last.
    payload: Vec<u8>,
}

impl<'a> Walk<'a> {
    /// Starts a walk at the offset `at` of a file of which the first `end` bytes count.
    pub(super) fn new(file: &'a dyn ReadFile, at: u64, end: u64) -> Self {
        Self { file, end, at, floor: Seq(0), window: Vec::new(), window_at: 0, payload: Vec::new() }
    }

    /// Where the next step begins.
    pub(super) const fn offset(&self) -> u64 {
        self.at
    }

    /// Goes one step; `None` at the end.
    pub(super) fn step(&mut self, look: Look) -> Result<Option<Step>, WalkError> {
        if self.at >= self.end {
            return Ok(None);
        }
        let at = self.at;
        let header = match self.header_at(at)? {
            Ok(header) => header,
            Err(what) => {
                self.at = self.find_header(at + 1)?;
                return Ok(Some(Step::Broken { header: None, what }));
            }
        };
        let follow = at + header.frame_bytes();
        let whole = follow <= self.end;
        let followed = follow == self.end || (whole && self.header_at(follow)?.is_ok());
        let trusted = followed && !look.is_at_payload(&header.meta);
        let good = whole && (trusted || self.payload_is_good(at, &header)?);
        self.floor = header.meta.last().max(self.floor);
        if good {
            self.at = follow;
            return Ok(Some(Step::Frame { at, header }));
        }
        self.at = if followed { follow } else { self.find_header(at + 1)? };
        let what = if whole { "the payload's checksum does not match" } else { "the frame is cut off" };
        Ok(Some(Step::Broken { header: Some(header), what }))
    }

    /// Unpacks the frame that the last step found, having looked at its payload.
    pub(super) fn frame(&self, header: &Header) -> Result<Frame, FrameError> {
        header.unpack(&self.payload)
    }

    fn payload_is_good(&mut self, at: u64, header: &Header) -> io::Result<bool> {
        self.payload.resize(header.payload_bytes as usize, 0);
        let read = self.file.read_at(at + HEADER_BYTES as u64, &mut self.payload)?;
        self.payload.truncate(read);
        Ok(header.covers(&self.payload))
    }

    /// The header at `at`, or what is wrong with it.
    fn header_at(&mut self, at: u64) -> Result<Result<Header, &'static str>, WalkError> {
        if self.end - at < HEADER_BYTES as u64 {
            return Ok(Err("the frame's header is cut off"));
        }
        self.fill(at, HEADER_BYTES)?;
        let from = (at - self.window_at) as usize;
        let Some(bytes) = self.window.get(from..).and_then(|rest| rest.first_chunk::<HEADER_BYTES>()) else {
            return Ok(Err("the file ends early"));
        };
        match Header::from_bytes(bytes) {
            Ok(header) if header.meta.first <= self.floor => Ok(Err("the frame's seqs are out of order")),
            Ok(header) => Ok(Ok(header)),
            Err(FrameError::Newer { found }) => Err(WalkError::Newer(u32::from(found))),
            Err(FrameError::Damaged { what }) => Ok(Err(what)),
            Err(_) => Ok(Err("the frame's header is damaged")),
        }
    }

    /// The next place from `from` on where a good header stands, or the end.
    fn find_header(&mut self, from: u64) -> Result<u64, WalkError> {
        let mut at = from;
        while at + HEADER_BYTES as u64 <= self.end {
            self.fill(at, HEADER_BYTES)?;
            let seen = (at - self.window_at) as usize;
            let Some(rest) = self.window.get(seen..).filter(|rest| rest.len() >= HEADER_BYTES) else { break };
            match rest.windows(MAGIC.len()).position(|candidate| candidate == MAGIC) {
                None => at += (rest.len() - MAGIC.len() + 1) as u64,
                Some(skipped) => {
                    at += skipped as u64;
                    match self.header_at(at) {
                        // Chance bytes may look like a newer format; only a frame in its place is believed.
                        Ok(Err(_)) | Err(WalkError::Newer(_)) => at += 1,
                        Ok(Ok(_)) => return Ok(at),
                        Err(error) => return Err(error),
                    }
                }
            }
        }
        Ok(self.end)
    }

    /// Sees to it that the window covers `length` bytes at `at`, as far as the file has them.
    fn fill(&mut self, at: u64, length: usize) -> io::Result<()> {
        if at >= self.window_at && at + length as u64 <= self.window_at + self.window.len() as u64 {
            return Ok(());
        }
        let wanted = (self.end - at).min(WINDOW_BYTES as u64) as usize;
        self.window.resize(wanted, 0);
        self.window_at = at;
        let read = self.file.read_at(at, &mut self.window).inspect_err(|_| self.window.clear())?;
        self.window.truncate(read);
        Ok(())
    }
}

/// Turns what a walk comes upon into reports of what was lost.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The file's name as a number.
    segment: u64,
    /// The last seq that is read or known to be lost.
    seen: Seq,
    /// The latest time of receipt before what is read next.
    received: Option<UtcMs>,
    /// Broken places whose extent the next good frame will tell: how many, and what is wrong.
    open: Option<(u64, &'static str)>,
    found: Vec<Damage>,
}

impl Ledger {
    /// Starts with everything up to `seen` accounted for.
    pub(super) const fn new(segment: u64, seen: Seq) -> Self {
        Self { segment, seen, received: None, open: None, found: Vec::new() }
    }

    /// The last seq that is read or known to be lost.
    pub(super) const fn seen(&self) -> Seq {
        self.seen
    }

    /// Goes on with a segment; everything up to `freed` was let go on purpose.
    pub(super) fn enter(&mut self, segment: u64, freed: Seq) {
        self.segment = segment;
        self.seen = self.seen.max(freed);
    }

    /// A frame of which everything is already accounted for.
    pub(super) fn passed(&mut self, header: &Header) {
        self.open = None;
        self.received = Some(header.meta.received.1);
    }

    /// A good frame: whatever is missing before it is now known.
    pub(super) fn good(&mut self, header: &Header) {
        self.close_gap(header.meta.previous, Some(header.meta.received.0));
        self.seen = self.seen.max(header.meta.last());
        self.received = Some(header.meta.received.1);
    }

    /// A broken place.
    pub(super) fn broken(&mut self, header: Option<&Header>, what: &'static str) {
        let Some(Header { meta, .. }) = header else {
            self.open = Some((self.open.map_or(1, |(frames, _)| frames + 1), what));
            return;
        };
        self.close_gap(meta.previous, Some(meta.received.0));
        if meta.last() > self.seen {
            let first = meta.first.max(self.seen.next());
            self.report(1, Some((first, meta.last())), Some(meta.received), what);
            self.seen = meta.last();
        }
        self.received = Some(meta.received.1);
    }

    /// The segment's end, which held records up to `last` when it was written.
    pub(super) fn end(&mut self, last: Seq, received: Option<UtcMs>) {
        if last > self.seen {
            self.close_gap(last, received);
        } else if let Some((frames, what)) = self.open.take() {
            // A torn end holds what nobody can count: most often what was never acknowledged.
            self.report(frames, None, None, what);
        }
    }

    /// What was found so far.
    pub(super) fn into_damage(self) -> Vec<Damage> {
        self.found
    }

    fn close_gap(&mut self, last: Seq, until: Option<UtcMs>) {
        let open = self.open.take();
        if last <= self.seen {
            return;
        }
        let (frames, what) = open.unwrap_or((1, "frames are missing"));
        // Receipt ascends nearly always; where a clock ran backwards the range is put in order.
        let received = match (self.received, until) {
            (Some(from), Some(until)) => Some((from.min(until), from.max(until))),
            (Some(only), None) | (None, Some(only)) => Some((only, only)),
            (None, None) => None,
        };
        self.report(frames, Some((self.seen.next(), last)), received, what);
        self.seen = last;
    }

    fn report(&mut self, frames: u64, records: Option<(Seq, Seq)>, received: Option<(UtcMs, UtcMs)>, what: &str) {
        self.found.push(Damage { segment: self.segment, frames, records, received, what: what.to_owned() });
    }
}

impl WalkError {
    /// The error to a caller, about the file at `path`.
    pub(super) fn about(self, path: &Path) -> IntakeError {
        match self {
            Self::Read(source) => IntakeError::read(path, source),
            Self::Newer(found) => IntakeError::Newer { path: path.to_owned(), found },
        }
    }
}
