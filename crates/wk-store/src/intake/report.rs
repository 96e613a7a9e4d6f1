//! What the intake log answers with and tells about itself.

use std::sync::Arc;

use wk_types::{IntakeRecord, Seq, UtcMs};

/// Something that was written and cannot be read any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment, by the number in its file's name.
    pub segment: u64,
    /// How many frames or places are damaged, at least.
    pub frames: u64,
    /// The first and last record lost; `None` where a torn end holds none that is known.
    pub records: Option<(Seq, Seq)>,
    /// Earliest and latest time of receipt of what was lost, or of what stands around it.
    pub received: Option<(UtcMs, UtcMs)>,
    /// What is wrong.
    pub what: String,
}

impl Damage {
    /// At most how many records are lost.
    #[must_use]
    pub fn records_lost(&self) -> u64 {
        self.records.map_or(0, |(first, last)| last.0 - first.0 + 1)
    }
}

/// What a start found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    /// The first record on disk.
    pub first: Option<Seq>,
    /// The last record on disk; 0 where there never was one.
    pub last: Seq,
    /// How many segments there are.
    pub segments: usize,
    /// How many of them had to be scanned: the newest, and those without a valid index file.
    pub scanned: usize,
    /// How many bytes they have.
    pub bytes: u64,
    /// What is damaged, as far as it was looked at.
    pub damage: Vec<Damage>,
}

/// What a read answers with.
#[derive(Debug, Clone, PartialEq)]
pub struct ReadBatch {
    /// Records in ascending order; those read just after they were written are shared with other readers.
    pub records: Vec<Arc<IntakeRecord>>,
    /// What to read after next time, and the reader's cursor once `records` are safe in its own store.
    pub next: Seq,
    /// What could not be read and was skipped.
    pub damage: Vec<Damage>,
}

/// How far a reader is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderStats {
    /// Its name.
    pub name: String,
    /// Everything up to here is safe in its own store.
    pub cursor: Seq,
    /// How many records on disk lie before it.
    pub lag_records: u64,
    /// How many bytes the segments have that it has not passed.
    pub lag_bytes: u64,
}

/// What the log has done since it was opened, and what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IntakeStats {
    /// Bytes on disk.
    pub bytes: u64,
    /// Segments on disk.
    pub segments: usize,
    /// The first record on disk.
    pub first: Option<Seq>,
    /// The last record on disk.
    pub last: Seq,
    /// The registered readers.
    pub readers: Vec<ReaderStats>,
    /// Records that wait for the writer.
    pub queued_records: usize,
    /// Bytes that wait for the writer, uncompressed.
    pub queued_bytes: usize,
    /// Records written and acknowledged.
    pub written_records: u64,
    /// Bytes written, compressed.
    pub written_bytes: u64,
    /// Frames written.
    pub written_frames: u64,
    /// Records that were queued and could not be written; their senders were told.
    pub failed_records: u64,
    /// Records refused because a bound was reached.
    pub refused_records: u64,
    /// Syncs of files and folders that succeeded.
    pub syncs: u64,
    /// Syncs that failed.
    pub sync_errors: u64,
    /// Frames found damaged.
    pub damaged_frames: u64,
    /// Records lost by it.
    pub damaged_records: u64,
    /// Segments freed.
    pub freed_segments: u64,
}
