//! Reading forward from a cursor.

use std::io;
use std::sync::{Arc, PoisonError};

use wk_types::wire::WireError;
use wk_types::{IntakeRecord, Seq, UtcMs};

use super::catalog::Place;
use super::frame::{FrameError, HEADER_BYTES, Header};
use super::recent::Wanted;
use super::scan::{Ledger, Look, Patched, Step, Walk, WalkError};
use super::segment::segment_path;
use super::{IntakeError, ReadBatch, Shared};
use crate::io::ReadFile;

/// How often reading may fail at one place before what cannot be read is given up as damaged.
const ATTEMPTS_MAX: u32 = 8;

/// A read in progress.
struct Reading {
    wanted: Wanted,
    records: Vec<Arc<IntakeRecord>>,
    ledger: Ledger,
    bytes_left: usize,
}

/// Reads wanted records until about as many decoded bytes are read as are wanted.
pub(super) fn read(shared: &Shared, wanted: Wanted) -> Result<ReadBatch, IntakeError> {
    let after = wanted.after;
    let recent = shared.recent.lock().unwrap_or_else(PoisonError::into_inner).read(&wanted);
    if let Some((records, next)) = recent {
        return Ok(ReadBatch { records, next, damage: Vec::new() });
    }
    let ledger = Ledger::new(0, after);
    let mut reading = Reading { wanted, records: Vec::new(), ledger, bytes_left: wanted.bytes_max.max(1) };
    let mut failed = None;
    while reading.bytes_left > 0 && failed.is_none() {
        let Some(place) = shared.catalog().place(reading.ledger.seen()) else { break };
        failed = read_segment(shared, &place, &mut reading).err();
    }
    let next = reading.ledger.seen();
    let damage = reading.ledger.into_damage();
    shared.note_damage(&damage);
    match failed {
        // What was read before the failure is handed out first; the next call meets it again.
        Some(error) if next == after => Err(error),
        _ => Ok(ReadBatch { records: reading.records, next, damage }),
    }
}

fn read_segment(shared: &Shared, place: &Place, reading: &mut Reading) -> Result<(), IntakeError> {
    reading.ledger.enter(place.base, place.freed);
    let path = segment_path(&shared.dir, place.base);
    let file = match shared.io.open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Otherwise it was freed in the meantime, and the next place is found without it.
            if shared.catalog().holds(place.base) {
                reading.ledger.broken(None, "the segment's file is gone");
                reading.ledger.end(place.last, place.received);
            }
            return Ok(());
        }
        Err(source) => return Err(IntakeError::read(&path, source)),
    };
    let hopeless = shared.catalog().read_failures(reading.ledger.seen()) >= ATTEMPTS_MAX;
    let patched = Patched::new(&*file);
    let source: &dyn ReadFile = if hopeless { &patched } else { &*file };
    walk_segment(shared, source, place, reading).map_err(|error| {
        shared.catalog().note_read_failure(reading.ledger.seen());
        error.about(&path)
    })
}

fn walk_segment(shared: &Shared, file: &dyn ReadFile, place: &Place, reading: &mut Reading) -> Result<(), WalkError> {
    let mut walk = Walk::new(file, place.offset, place.end);
    while reading.bytes_left > 0 {
        let Some(step) = walk.step(Look::Payloads(reading.wanted.kinds))? else {
            reading.ledger.end(place.last, place.received);
            break;
        };
        match step {
            Step::Frame { header, .. } | Step::Broken { header: Some(header), .. }
                if header.meta.last() <= reading.wanted.after =>
            {
                reading.ledger.passed(&header);
            }
            Step::Broken { header, what } => reading.ledger.broken(header.as_ref(), what),
            Step::Frame { header, .. } if !header.meta.holds.meet(reading.wanted.kinds) => reading.pass(&header),
            Step::Frame { header, .. } => match unpack(shared, &walk, &header) {
                Ok(records) => reading.take(&header, records),
                Err(FrameError::Newer { found }) => return Err(WalkError::Newer(u32::from(found))),
                Err(FrameError::Decode(WireError::Newer { found })) => return Err(WalkError::Newer(found)),
                Err(_) => reading.ledger.broken(Some(&header), "the records could not be decoded"),
            },
        }
    }
    shared.catalog().keep_position(reading.ledger.seen(), place.base, walk.offset());
    Ok(())
}

fn unpack(shared: &Shared, walk: &Walk<'_>, header: &Header) -> Result<Vec<IntakeRecord>, FrameError> {
    let frame = walk.frame(header)?;
    frame.records(&mut shared.decoder.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Reading {
    /// Passes over a frame that holds nothing wanted.
    fn pass(&mut self, header: &Header) {
        self.ledger.good(header);
        self.bytes_left = self.bytes_left.saturating_sub(HEADER_BYTES);
    }

    fn take(&mut self, header: &Header, records: Vec<IntakeRecord>) {
        self.ledger.good(header);
        let Wanted { after, kinds, .. } = self.wanted;
        let mine = |record: &IntakeRecord| record.seq > after && record.body.kind().meet(kinds);
        self.records.extend(records.into_iter().filter(mine).map(Arc::new));
        self.bytes_left = self.bytes_left.saturating_sub(header.raw_bytes as usize);
    }
}

/// When the frame that holds the record `seq` was written.
pub(super) fn written_at(shared: &Shared, seq: Seq) -> Option<UtcMs> {
    let place = shared.catalog().place(Seq(seq.0.checked_sub(1)?))?;
    let file = shared.io.open(&segment_path(&shared.dir, place.base)).ok()?;
    let mut walk = Walk::new(&*file, place.offset, place.end);
    while let Ok(Some(step)) = walk.step(Look::Headers) {
        if let Step::Frame { header, .. } = step
            && header.meta.last() >= seq
        {
            return (header.meta.first <= seq).then_some(header.meta.written_at);
        }
    }
    None
}

#[cfg(test)]
mod tests;
