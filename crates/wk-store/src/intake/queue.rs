//! The queue between those who submit records and the writer.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use wk_types::{Body, LogRecord, NewRecord, Seq, SeriesSamples};

use super::frame::RECORDS_MAX;
use super::{Bound, IntakeError};

/// What is called once a record is on disk or has failed.
pub(super) type Done = Box<dyn FnOnce(Result<Seq, IntakeError>) + Send>;

/// The most bytes one record may have, uncompressed.
pub const RECORD_BYTES_MAX: usize = 16 << 20;

/// A record on its way to the disk.
pub(super) struct Pending {
    pub(super) record: NewRecord,
    pub(super) bytes: usize,
    pub(super) done: Done,
}

#[derive(Default)]
struct Waiting {
    records: VecDeque<Pending>,
    bytes: usize,
    closed: bool,
}

/// Records that wait for the writer, bounded in number and bytes.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    records_max: usize,
    bytes_max: usize,
}

impl Queue {
    pub(super) fn new(records_max: usize, bytes_max: usize) -> Self {
        Self { waiting: Mutex::default(), filled: Condvar::new(), records_max, bytes_max }
    }

    /// Lines a record up; answers at once where that is not possible.
    pub(super) fn push(&self, pending: Pending) -> Result<(), IntakeError> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(IntakeError::Closed);
        }
        let full = waiting.records.len() >= self.records_max || waiting.bytes >= self.bytes_max;
        if full {
            return Err(IntakeError::Busy { bound: Bound::Queue });
        }
        waiting.bytes += pending.bytes;
        waiting.records.push_back(pending);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for records and takes as many as one batch may have; `None` once the queue is closed and empty.
    pub(super) fn take(&self, batch_bytes_max: usize) -> Option<Vec<Pending>> {
        let mut waiting = self.lock();
        while waiting.records.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting = self.filled.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let mut batch = Vec::new();
        let mut bytes = 0;
        while let Some(pending) = waiting.records.pop_front() {
            bytes += pending.bytes;
            batch.push(pending);
            if bytes >= batch_bytes_max || batch.len() == RECORDS_MAX {
                break;
            }
        }
        waiting.bytes -= bytes;
        Some(batch)
    }

    /// Takes no more records; those that wait are still written.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
    }

    /// Tells whether no more records are taken.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Gives up: takes no more records and returns those that wait.
    pub(super) fn abandon(&self) -> VecDeque<Pending> {
        let mut waiting = self.lock();
        waiting.closed = true;
        waiting.bytes = 0;
        std::mem::take(&mut waiting.records)
    }

    /// How many records and bytes wait.
    pub(super) fn depth(&self) -> (usize, usize) {
        let waiting = self.lock();
        (waiting.records.len(), waiting.bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// At most how many bytes the record takes before compression.
pub(super) fn encoded_bytes(record: &NewRecord) -> usize {
    /// Seq, time of receipt, positions and framing.
    const RECORD_BYTES: usize = 64;
    /// Positions and counts.
    const ITEM_BYTES: usize = 32;
    let body: usize = match &record.body {
        Body::Samples(series) => series.iter().map(|one| ITEM_BYTES + series_bytes(one)).sum(),
        Body::Logs(logs) => logs.iter().map(|log| ITEM_BYTES + log_bytes(log)).sum(),
        Body::Tick => 0,
        Body::Command(command) => serde_json::to_vec(command).map_or(0, |text| text.len()),
    };
    RECORD_BYTES + record.source.as_str().len() + body
}

/// A text in the table, with its reference.
const TEXT_BYTES: usize = 16;

fn series_bytes(one: &SeriesSamples) -> usize {
    /// A varint of the time and the value's bits.
    const SAMPLE_BYTES: usize = 18;
    let labels: usize = one.series.labels.iter().map(|(name, value)| 2 * TEXT_BYTES + name.len() + value.len()).sum();
    TEXT_BYTES + one.series.asset.as_str().len() + labels + SAMPLE_BYTES * one.samples.len()
}

fn log_bytes(log: &LogRecord) -> usize {
    let attributes: usize = log.attributes.iter().map(|(name, value)| 2 * TEXT_BYTES + name.len() + value.len()).sum();
    3 * TEXT_BYTES + log.asset.as_str().len() + log.app.len() + log.message.len() + attributes
}

#[cfg(test)]
mod tests;
