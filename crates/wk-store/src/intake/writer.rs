//! The writer: one thread that takes what is queued, writes it, syncs once, and answers.

use std::io;
use std::io::ErrorKind::{QuotaExceeded, StorageFull};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use wk_types::{DurationMs, IntakeRecord, Seq, wire};

use super::catalog::Retention;
use super::frame::{self, FrameMeta, HEADER_BYTES, Header};
use super::queue::{Done, Pending};
use super::segment::{SEQS_MAX, index_path, segment_path};
use super::{IntakeError, Shared};
use crate::io::WriteFile;

/// A frame is closed once its records have about this many bytes uncompressed.
const FRAME_BYTES_AIM: usize = 1 << 20;

/// Writes until the queue is closed and empty.
pub(super) fn run(shared: &Shared) {
    let _guard = EndGuard(shared);
    let mut writer = Writer { shared, file: None };
    while let Some(batch) = shared.queue.take(shared.options.batch_bytes_max) {
        writer.write_batch(batch);
    }
    writer.end_segment();
    writer.seal_ended();
}

/// Whatever ends the writer, nobody waits for it in vain.
struct EndGuard<'a>(&'a Shared);

impl Drop for EndGuard<'_> {
    fn drop(&mut self) {
        for pending in self.0.queue.abandon() {
            (pending.done)(Err(IntakeError::Closed));
        }
        self.0.grown.notify_all();
    }
}

struct ActiveFile {
    base: u64,
    path: PathBuf,
    file: Box<dyn WriteFile>,
}

struct Writer<'a> {
    shared: &'a Shared,
    file: Option<ActiveFile>,
}

impl Writer<'_> {
    fn write_batch(&mut self, batch: Vec<Pending>) {
        let mut records = Vec::with_capacity(batch.len());
        let mut sizes = Vec::with_capacity(batch.len());
        let mut callers = Vec::with_capacity(batch.len());
        for Pending { record, bytes, done } in batch {
            let (received, source, body) = (record.received, record.source, record.body);
            records.push(IntakeRecord { seq: Seq(0), received, source, body });
            sizes.push(bytes);
            callers.push(done);
        }
        let mut written = self.try_batch(&mut records, &sizes);
        // Segments that everybody has read are only kept while there is room for them.
        if matches!(written, Err(IntakeError::Full { .. })) && self.shared.free_all_read() > 0 {
            written = self.try_batch(&mut records, &sizes);
        }
        if let Err(error) = &written {
            tracing::error!(records = records.len(), %error, "the intake log could not be written");
        }
        self.shared.count_batch(callers.len() as u64, written.is_ok());
        answer(callers, &written);
        if written.is_ok() {
            self.shared.free_read();
        }
    }

    /// Gives the records their seqs, puts them on disk and hands them on to the readers; answers the first seq.
    fn try_batch(&mut self, records: &mut Vec<IntakeRecord>, sizes: &[usize]) -> Result<Seq, IntakeError> {
        let (first, previous) = {
            let mut catalog = self.shared.catalog();
            (catalog.take_seqs(records.len() as u64), catalog.last())
        };
        self.end_full_segment(first.0 + records.len() as u64);
        for (record, seq) in records.iter_mut().zip(first.0..) {
            record.seq = Seq(seq);
        }
        let (bytes, headers) = self.encode(records, sizes, previous)?;
        let written = self.begin_segment(first).and_then(|()| self.put(&bytes));
        match written {
            Ok(()) => {
                self.shared.commit(&headers, bytes.len() as u64, std::mem::take(records));
                Ok(first)
            }
            Err(error) => {
                self.give_up_segment();
                Err(error)
            }
        }
    }

    fn encode(
        &self,
        records: &[IntakeRecord],
        sizes: &[usize],
        mut previous: Seq,
    ) -> Result<(Vec<u8>, Vec<Header>), IntakeError> {
        let written_at = (self.shared.options.clock)();
        let (mut bytes, mut headers) = (Vec::new(), Vec::new());
        let mut from = 0;
        while from < records.len() {
            let mut frame_bytes = 0;
            let full = |size: &usize| {
                frame_bytes += size;
                frame_bytes >= FRAME_BYTES_AIM
            };
            let to = sizes[from..].iter().position(full).map_or(records.len(), |at| from + at + 1);
            let chosen = &records[from..to];
            let meta = FrameMeta::of_records(chosen, previous, written_at);
            let frame = frame::encode(&meta, &wire::encode(chosen))
                .map_err(|error| IntakeError::Encode { reason: error.to_string() })?;
            let header = frame.first_chunk::<HEADER_BYTES>().and_then(|head| Header::from_bytes(head).ok());
            headers.push(header.expect("an encoded frame begins with its header"));
            bytes.extend(frame);
            previous = meta.last();
            from = to;
        }
        Ok((bytes, headers))
    }

    /// Writes and syncs. Until this has returned without error nothing is acknowledged.
    fn put(&mut self, bytes: &[u8]) -> Result<(), IntakeError> {
        let active = self.file.as_mut().expect("a segment was begun");
        active.file.write_all(bytes).map_err(|error| self.shared.write_error(&active.path, error))?;
        self.shared.count_sync(active.file.sync()).map_err(|error| self.shared.write_error(&active.path, error))
    }

    /// Sees to it that there is a segment to write to, durable in its folder.
    fn begin_segment(&mut self, first: Seq) -> Result<(), IntakeError> {
        if self.file.is_some() {
            return Ok(());
        }
        self.seal_ended();
        let (io, dir) = (&self.shared.io, &self.shared.dir);
        let path = segment_path(dir, first.0);
        let failed = |error| self.shared.write_error(&path, error);
        let mut file = io.create(&path).map_err(failed)?;
        // From here on the file is ours to take away again where something fails.
        let durable = file.sync().and_then(|()| io.sync_dir(dir));
        self.shared.count_sync(durable).map_err(failed).inspect_err(|_| self.remove_files(first.0))?;
        self.shared.catalog().begin_segment(first.0);
        self.file = Some(ActiveFile { base: first.0, path, file });
        Ok(())
    }

    /// Ends the segment where it has no room for more bytes, or for seqs up to `next`.
    fn end_full_segment(&mut self, next: u64) {
        let full = self.file.as_ref().is_some_and(|active| {
            let bytes = self.shared.catalog().active_bytes();
            bytes >= self.shared.options.segment_bytes_max || next > active.base + SEQS_MAX
        });
        if full {
            self.end_segment();
        }
    }

    fn end_segment(&mut self) {
        self.file = None;
        self.shared.catalog().end_segment();
    }

    /// Leaves a segment whose last frame failed: what is behind its good frames does not count.
    fn give_up_segment(&mut self) {
        let Some(active) = self.file.take() else { return };
        let empty = {
            let mut catalog = self.shared.catalog();
            catalog.end_segment();
            catalog.drop_newest_if_empty(active.base)
        };
        drop(active.file);
        if empty {
            self.remove_files(active.base);
        }
    }

    fn remove_files(&self, base: u64) {
        let (io, dir) = (&self.shared.io, &self.shared.dir);
        for path in [segment_path(dir, base), index_path(dir, base)] {
            // What cannot be removed is found empty by the next start.
            let _ = io.remove(&path);
        }
    }

    /// Writes the index files that are missing. Without one a segment is scanned at the next start: no more is lost.
    fn seal_ended(&self) {
        let unsealed = self.shared.catalog().unsealed();
        for mut segment in unsealed {
            match segment.seal(&*self.shared.io, &self.shared.dir) {
                Ok(()) => self.shared.catalog().sealed(segment.base),
                Err(error) => tracing::warn!(segment = segment.base, %error, "could not write a segment's index file"),
            }
        }
    }
}

fn answer(callers: Vec<Done>, written: &Result<Seq, IntakeError>) {
    for (at, done) in callers.into_iter().enumerate() {
        done(written.clone().map(|first| Seq(first.0 + at as u64)));
    }
}

impl Shared {
    /// The error to callers; a full disk has its own, because a person must act on it.
    fn write_error(&self, path: &Path, error: io::Error) -> IntakeError {
        match error.kind() {
            StorageFull | QuotaExceeded => IntakeError::Full { dir: self.dir.clone() },
            _ => IntakeError::Write { path: path.to_owned(), source: Arc::new(error) },
        }
    }

    /// What is freed when the disk is full: everything that all readers have passed.
    fn free_all_read(&self) -> usize {
        let all = Retention { bytes_max: 0, read_bytes_max: 0, age_max: DurationMs(0) };
        self.free(&all)
    }
}
