//! The intake log: everything observed and every command, on disk before it is acknowledged.
//!
//! Records are written in [frames](frame) to segment files by one thread, which syncs once for all that wait (group
//! commit). Readers go forward by [`Seq`] at their own pace, each with a cursor that it keeps itself; a segment is
//! freed only once all of them have passed it. Seqs ascend and are never used twice, but a start after a crash and a
//! failed write leave gaps between them. A record whose sender was told that it failed may still be found after a
//! crash: taking in is at least once.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use wk_types::wire::Decoder;
use wk_types::{Body, DurationMs, IntakeRecord, Kinds, NewRecord, Seq, UtcMs};

use crate::io::Io;

mod catalog;
mod error;
pub mod frame;
#[cfg(any(test, fuzzing))]
pub mod hostile;
mod opening;
mod queue;
mod reader;
mod recent;
mod report;
mod scan;
mod segment;
mod writer;

use catalog::{Catalog, Retention};
use frame::Header;
use queue::{Pending, Queue};
use recent::{Recent, Wanted};

pub use error::{Bound, IntakeError};
pub use queue::RECORD_BYTES_MAX;
pub use report::{Damage, IntakeStats, OpenReport, ReadBatch, ReaderStats};

/// Tells the time; only `wk_node::clock` asks the system for it.
pub type Clock = Arc<dyn Fn() -> UtcMs + Send + Sync>;

/// Ticks and commands may use one part in this many beyond the byte bound, so that the node can be operated while
/// telemetry is refused.
const RESERVE_PARTS: u64 = 20;

/// How an intake log behaves.
#[derive(Clone)]
pub struct IntakeOptions {
    /// A segment is ended once it has this many bytes.
    pub segment_bytes_max: u64,
    /// With this many bytes on disk, telemetry is refused until readers let segments go.
    pub bytes_max: u64,
    /// How many bytes of segments that all readers have passed are kept for `trace` and recordings.
    pub read_bytes_max: u64,
    /// How long such segments are kept; counted back from the newest frame, and never overrides an unread cursor.
    pub age_max: DurationMs,
    /// How many records may wait for the writer.
    pub queue_records_max: usize,
    /// How many bytes may wait for the writer.
    pub queue_bytes_max: usize,
    /// How many bytes are written between two syncs, uncompressed.
    pub batch_bytes_max: usize,
    /// About how many bytes of memory the records written last may take, for the readers that keep up.
    pub recent_bytes_max: usize,
    /// Nothing is freed before all these readers are registered.
    pub readers_required: Vec<String>,
    /// Tells when a frame is written.
    pub clock: Clock,
}

impl IntakeOptions {
    /// The defaults: segments of 32 MiB, 2 GiB in all, 256 MiB or 7 days of what has been read.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            segment_bytes_max: 32 << 20,
            bytes_max: 2 << 30,
            read_bytes_max: 256 << 20,
            age_max: DurationMs::from_hours(7 * 24),
            queue_records_max: 1 << 16,
            queue_bytes_max: 64 << 20,
            batch_bytes_max: 4 << 20,
            recent_bytes_max: 24 << 20,
            readers_required: Vec::new(),
            clock,
        }
    }
}

impl fmt::Debug for IntakeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntakeOptions")
            .field("segment_bytes_max", &self.segment_bytes_max)
            .field("bytes_max", &self.bytes_max)
            .field("readers_required", &self.readers_required)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Counters {
    /// Bytes on disk, kept beside the catalog so that submitting does not wait for it.
    bytes: AtomicU64,
    written_records: AtomicU64,
    written_bytes: AtomicU64,
    written_frames: AtomicU64,
    failed_records: AtomicU64,
    refused_records: AtomicU64,
    syncs: AtomicU64,
    sync_errors: AtomicU64,
}

struct Shared {
    io: Arc<dyn Io>,
    dir: PathBuf,
    options: IntakeOptions,
    queue: Queue,
    catalog: Mutex<Catalog>,
    recent: Mutex<Recent>,
    /// What readers that lag decode with.
    decoder: Mutex<Decoder>,
    /// Signalled when records are on disk, and when the writer ends.
    grown: Condvar,
    counters: Counters,
}

/// The intake log; clones share it, and the last one dropped closes it.
#[derive(Clone)]
pub struct IntakeLog(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for IntakeLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntakeLog").field("dir", &self.0.shared.dir).finish_non_exhaustive()
    }
}

impl IntakeLog {
    /// Opens the log in `dir` and starts its writer. One process at a time: the caller holds the data folder's lock.
    /// Damage is reported, not an error, and only the newest segment is read.
    ///
    /// # Errors
    /// A folder or file that cannot be opened, and a newer format.
    pub fn open(io: Arc<dyn Io>, dir: &Path, options: IntakeOptions) -> Result<(Self, OpenReport), IntakeError> {
        let opened = opening::open(&*io, dir)?;
        let catalog = Catalog::new(opened.segments, opened.next, options.readers_required.clone());
        let shared = Arc::new(Shared {
            io,
            dir: dir.to_owned(),
            queue: Queue::new(options.queue_records_max, options.queue_bytes_max),
            recent: Mutex::new(Recent::new(options.recent_bytes_max)),
            decoder: Mutex::default(),
            options,
            catalog: Mutex::new(catalog),
            grown: Condvar::new(),
            counters: Counters { bytes: opened.report.bytes.into(), ..Counters::default() },
        });
        shared.note_damage(&opened.report.damage);
        let writing = Arc::clone(&shared);
        let writer = thread::Builder::new()
            .name("intake-writer".to_owned())
            .spawn(move || writer::run(&writing))
            .map_err(|source| IntakeError::open(dir, source))?;
        Ok((Self(Arc::new(Handle { shared, writer: Mutex::new(Some(writer)) })), opened.report))
    }

    /// Queues a record; `done` is called once it is on disk or has failed, by the writer, which waits for it.
    ///
    /// # Errors
    /// At once, without calling `done`: a bound that is reached, a record that is too large, a closed log.
    pub fn submit(
        &self,
        record: NewRecord,
        done: impl FnOnce(Result<Seq, IntakeError>) + Send + 'static,
    ) -> Result<(), IntakeError> {
        let shared = &self.0.shared;
        let bytes = queue::encoded_bytes(&record);
        if bytes > RECORD_BYTES_MAX {
            return Err(IntakeError::TooLarge { bytes });
        }
        let reserve = match record.body {
            Body::Samples(_) | Body::Logs(_) => 0,
            Body::Tick | Body::Command(_) => shared.options.bytes_max / RESERVE_PARTS,
        };
        let full = shared.counters.bytes.load(Ordering::Relaxed) >= shared.options.bytes_max + reserve;
        let pushed = if full {
            Err(IntakeError::Busy { bound: Bound::Bytes })
        } else {
            shared.queue.push(Pending { record, bytes, done: Box::new(done) })
        };
        if matches!(pushed, Err(IntakeError::Busy { .. })) {
            shared.counters.refused_records.fetch_add(1, Ordering::Relaxed);
        }
        pushed
    }

    /// Writes a record and returns once it is on disk.
    ///
    /// # Errors
    /// As [`submit`](Self::submit), and whatever kept it from the disk.
    pub fn append(&self, record: NewRecord) -> Result<Seq, IntakeError> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        self.submit(record, move |written| {
            // Nobody listens any more only where the caller's thread has died.
            let _ = sender.send(written);
        })?;
        receiver.recv().unwrap_or(Err(IntakeError::Closed))
    }

    /// The last record on disk.
    #[must_use]
    pub fn durable(&self) -> Seq {
        self.0.shared.catalog().last()
    }

    /// Waits until a record after `after` is on disk, or the time is up; returns the last record on disk.
    #[must_use]
    pub fn wait_beyond(&self, after: Seq, timeout: Duration) -> Seq {
        let shared = &self.0.shared;
        let deadline = Instant::now() + timeout;
        let mut catalog = shared.catalog();
        while catalog.last() <= after {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || shared.queue.is_closed() {
                break;
            }
            catalog = shared.grown.wait_timeout(catalog, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        catalog.last()
    }

    /// Reads the records after `after`: whole frames, until about `bytes_max` bytes are decoded; none where nothing
    /// newer is on disk. What is damaged is skipped and reported.
    ///
    /// # Errors
    /// A segment that cannot be read just now, and a newer format.
    pub fn read(&self, after: Seq, bytes_max: usize) -> Result<ReadBatch, IntakeError> {
        self.read_kinds(after, bytes_max, Kinds::ALL)
    }

    /// Reads as [`read`](Self::read) does, but only records of some kinds; frames that hold none of them are passed over
    /// without a look at their content.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_kinds(&self, after: Seq, bytes_max: usize, kinds: Kinds) -> Result<ReadBatch, IntakeError> {
        reader::read(&self.0.shared, Wanted { after, kinds, bytes_max })
    }

    /// When the record was written; `None` where it is not in the log (any more).
    #[must_use]
    pub fn written_at(&self, seq: Seq) -> Option<UtcMs> {
        reader::written_at(&self.0.shared, seq)
    }

    /// Enters a reader that has everything up to `cursor` in its own store. Call it for all readers before the first
    /// record is submitted: what one of them has seen is never numbered again. Answers what is missing where the
    /// reader has seen more than the log holds.
    pub fn register_reader(&self, name: &str, cursor: Seq) -> Option<Damage> {
        let missing = self.0.shared.catalog().advance(name, cursor);
        if let Some(damage) = &missing {
            self.0.shared.note_damage(std::slice::from_ref(damage));
        }
        missing
    }

    /// Moves a reader's cursor forward and frees what all readers have passed and need not be kept.
    pub fn advance(&self, name: &str, cursor: Seq) {
        self.register_reader(name, cursor);
        self.0.shared.free_read();
    }

    /// What the log has done since it was opened, and what it holds.
    #[must_use]
    pub fn stats(&self) -> IntakeStats {
        let shared = &self.0.shared;
        let (queued_records, queued_bytes) = shared.queue.depth();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &shared.counters;
        let catalog = shared.catalog();
        IntakeStats {
            bytes: catalog.bytes(),
            segments: catalog.segments(),
            first: catalog.first(),
            last: catalog.last(),
            readers: catalog.readers(),
            queued_records,
            queued_bytes,
            written_records: count(&counters.written_records),
            written_bytes: count(&counters.written_bytes),
            written_frames: count(&counters.written_frames),
            failed_records: count(&counters.failed_records),
            refused_records: count(&counters.refused_records),
            syncs: count(&counters.syncs),
            sync_errors: count(&counters.sync_errors),
            damaged_frames: catalog.damaged_frames,
            damaged_records: catalog.damaged_records,
            freed_segments: catalog.freed_segments,
        }
    }

    /// Takes no more records, writes those that wait, and returns once the writer has ended. Reading still works.
    pub fn close(&self) {
        self.0.close();
    }
}

impl Handle {
    fn close(&self) {
        self.shared.queue.close();
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The last handle may be dropped by a caller's `done`, on the writer itself.
        if let Some(writer) = writer.filter(|writer| writer.thread().id() != thread::current().id())
            && writer.join().is_err()
        {
            tracing::error!("the intake log's writer panicked");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn catalog(&self) -> MutexGuard<'_, Catalog> {
        self.catalog.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_damage(&self, damage: &[Damage]) {
        let mut catalog = self.catalog();
        damage.iter().for_each(|damage| catalog.note_damage(damage));
    }

    /// Frames are on disk: from here on their records are acknowledged and read.
    fn commit(&self, frames: &[Header], bytes: u64, records: Vec<IntakeRecord>) {
        let mut records = records.into_iter().map(Arc::new);
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        for Header { meta, .. } in frames {
            recent.push(meta.previous, records.by_ref().take(meta.count as usize).collect());
        }
        drop(recent);
        let mut catalog = self.catalog();
        catalog.commit(frames);
        self.counters.bytes.store(catalog.bytes(), Ordering::Relaxed);
        drop(catalog);
        self.counters.written_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.counters.written_frames.fetch_add(frames.len() as u64, Ordering::Relaxed);
        self.grown.notify_all();
    }

    fn count_batch(&self, records: u64, written: bool) {
        let counters = &self.counters;
        let counter = if written { &counters.written_records } else { &counters.failed_records };
        counter.fetch_add(records, Ordering::Relaxed);
    }

    fn count_sync(&self, synced: io::Result<()>) -> io::Result<()> {
        let counter = if synced.is_ok() { &self.counters.syncs } else { &self.counters.sync_errors };
        counter.fetch_add(1, Ordering::Relaxed);
        synced
    }

    /// Frees the segments that all readers have passed and that need not be kept.
    fn free_read(&self) {
        let options = &self.options;
        let (bytes_max, read_bytes_max) = (options.bytes_max, options.read_bytes_max);
        self.free(&Retention { bytes_max, read_bytes_max, age_max: options.age_max });
    }

    fn free(&self, retention: &Retention) -> usize {
        let mut catalog = self.catalog();
        let free = catalog.take_free(retention);
        self.counters.bytes.store(catalog.bytes(), Ordering::Relaxed);
        drop(catalog);
        for base in &free {
            opening::remove_segment(&*self.io, &self.dir, *base);
        }
        free.len()
    }
}

#[cfg(test)]
mod tests;
