//! Entry points for bytes that were not written by us: whatever a file holds, the log starts, reads what is sound and
//! goes on.
//!
//! Fuzz targets call these, and so does the test run with the targets' seeds.
#![allow(clippy::unwrap_used, reason = "a defect shows as a panic")]

use std::path::Path;
use std::sync::Arc;

use wk_types::wire::{self, Decoder};
use wk_types::{Body, IntakeRecord, NewRecord, Seq, UtcMs};

use super::frame::{self, FORMAT, FrameMeta, HEADER_BYTES, MAGIC};
use super::segment::segment_path;
use super::{IntakeLog, IntakeOptions};
use crate::io::crash::CrashIo;

/// Frames of the sound segment.
const FRAMES: u64 = 6;
/// Bytes that describe one change of it.
const CHANGE_BYTES: usize = 4;

/// Takes `bytes` for a stream of frames, then for one frame whose checksums are right.
pub fn frames(bytes: &[u8]) {
    read_stream(bytes);
    if bytes.len() < HEADER_BYTES {
        return;
    }
    let mut forged = bytes.to_vec();
    let payload = crc32c::crc32c(&forged[HEADER_BYTES..]);
    let length = (forged.len() - HEADER_BYTES) as u32;
    forged[..4].copy_from_slice(&MAGIC);
    forged[4] = FORMAT;
    forged[8..12].copy_from_slice(&length.to_le_bytes());
    forged[16..20].copy_from_slice(&payload.to_le_bytes());
    seal_header(&mut forged);
    read_stream(&forged);
}

fn seal_header(header: &mut [u8]) {
    let crc = crc32c::crc32c(&header[..HEADER_BYTES - 4]);
    header[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
}

fn read_stream(mut rest: &[u8]) {
    let mut decoder = Decoder::new();
    while let Ok(Some(read)) = frame::read(&mut rest) {
        if let Ok(records) = read.records(&mut decoder) {
            assert_eq!(records.len(), read.meta.count as usize);
            assert!(records.is_sorted_by(|a, b| a.seq < b.seq));
        }
    }
}

/// Changes a sound segment, four bytes a change: which sort, where, and to what; the first byte says whether headers
/// get right checksums afterwards. The log must start, read to its end, and take a further record that is read too.
pub fn segment(bytes: &[u8]) {
    let [mend, changes @ ..] = bytes else { return };
    let (mut file, starts) = sound_segment();
    changes.chunks_exact(CHANGE_BYTES).for_each(|change| apply(change, &mut file));
    if mend % 2 == 1 {
        for at in starts {
            if let Some(header) = file.get_mut(at..at + HEADER_BYTES) {
                seal_header(header);
            }
        }
    }
    let dir = Path::new("/intake");
    let io = CrashIo::new(1);
    crate::io::Io::create_dir_all(&io, dir).unwrap();
    crate::io::Io::create(&io, &segment_path(dir, 1)).unwrap();
    io.damage(&segment_path(dir, 1), |content| *content = file);
    let options = || IntakeOptions::new(Arc::new(|| UtcMs(9)));
    let (log, report) = match IntakeLog::open(Arc::new(io), dir, options()) {
        Ok(opened) => opened,
        // A frame in its place may say that it is of a newer format; nothing else keeps the log from starting.
        Err(error) => return assert_eq!(error.kind(), wk_types::ErrorKind::Conflict, "{error}"),
    };
    let next = log.append(NewRecord { received: UtcMs(8), source: "test".into(), body: Body::Tick }).unwrap();
    assert!(next > report.last);
    let mut after = Seq(0);
    let mut found = Vec::new();
    while after < next {
        let Ok(batch) = log.read(after, 1) else { return };
        assert!(batch.next > after, "a read goes on");
        after = batch.next;
        found.extend(batch.records.into_iter().map(|record| record.seq));
    }
    assert!(found.is_sorted_by(|a, b| a < b));
    assert_eq!(found.last(), Some(&next));
}

fn apply(change: &[u8], file: &mut Vec<u8>) {
    let at = usize::from(change[1]) << 8 | usize::from(change[2]);
    let at = at % file.len().max(1);
    match change[0] % 4 {
        0 => file.truncate(at),
        1 => drop(file.drain(at..(at + usize::from(change[3])).min(file.len()))),
        2 => file.insert(at, change[3]),
        _ => file.get_mut(at).into_iter().for_each(|byte| *byte = change[3]),
    }
}

/// A segment of ticks, and where its frames begin.
fn sound_segment() -> (Vec<u8>, Vec<usize>) {
    let (mut file, mut starts) = (Vec::new(), Vec::new());
    for number in 0..FRAMES {
        let records: Vec<IntakeRecord> = (1..=3)
            .map(|at| IntakeRecord {
                seq: Seq(number * 3 + at),
                received: UtcMs(number as i64 * 1_000),
                source: "node".into(),
                body: Body::Tick,
            })
            .collect();
        starts.push(file.len());
        let meta = FrameMeta::of_records(&records, Seq(number * 3), UtcMs(7));
        frame::write(&mut file, &meta, &wire::encode(&records)).unwrap();
    }
    (file, starts)
}

#[cfg(test)]
mod tests;
