//! The log lake: buffer, files, and their upkeep.

mod open;
mod upkeep;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use serde::Serialize;
use wk_store::io::Io;
use wk_types::{DurationMs, LogRecord, Seq, UtcMs, VesselId};

use crate::buffer::Buffer;
use crate::error::LakeError;
use crate::file::{Footer, GroupSummary, LogFile};
use crate::name::FileName;
use crate::query::TailCursor;
use crate::retention::RetentionClock;
use crate::snapshot::Snapshot;
use crate::write::GROUP_ROWS_MAX;

/// Footers kept in memory; one takes some 10 to 100 KiB.
const FOOTERS_MAX: usize = 256;
/// Problems kept for the statistics; all are logged.
const PROBLEMS_MAX: usize = 100;
/// How the name of a damaged file ends.
const DAMAGED_SUFFIX: &str = ".damaged";

/// Damaged files kept at most, for a person to look at; the oldest go first.
const DAMAGED_FILES_MAX: usize = 32;
/// Bytes of damaged files kept at most.
const DAMAGED_BYTES_MAX: u64 = 256 << 20;

/// The bounds of a lake.
#[derive(Clone)]
pub struct LakeOptions {
    /// Written into each file, where given.
    pub vessel: Option<VesselId>,
    /// Rows in the buffer from which a file is written.
    pub buffer_rows_max: usize,
    /// Bytes in the buffer from which a file is written.
    pub buffer_bytes_max: usize,
    /// A buffered row is in a file after this time.
    pub flush_after: DurationMs,
    /// Files received longer ago than this are deleted.
    pub age_max: DurationMs,
    /// The oldest files are deleted until all take no more than this.
    pub bytes_max: u64,
    /// A clock that never jumps, from any start.
    pub monotonic: Arc<dyn Fn() -> Duration + Send + Sync>,
}

impl Default for LakeOptions {
    fn default() -> Self {
        let start = Instant::now();
        Self {
            vessel: None,
            buffer_rows_max: GROUP_ROWS_MAX,
            buffer_bytes_max: 32 << 20,
            flush_after: DurationMs::from_mins(5),
            age_max: DurationMs::from_hours(30 * 24),
            bytes_max: 10 << 30,
            monotonic: Arc::new(move || start.elapsed()),
        }
    }
}

impl fmt::Debug for LakeOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LakeOptions")
            .field("vessel", &self.vessel)
            .field("buffer_rows_max", &self.buffer_rows_max)
            .field("buffer_bytes_max", &self.buffer_bytes_max)
            .field("flush_after", &self.flush_after)
            .field("age_max", &self.age_max)
            .field("bytes_max", &self.bytes_max)
            .finish_non_exhaustive()
    }
}

/// A log file that cannot be used, or a row group of one; it stays in the folder, a damaged file under a name that ends
/// in `.damaged`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileProblem {
    /// The file's name as it was.
    pub name: String,
    /// What is wrong with it.
    pub what: String,
    /// The first and the last intake record that the rows are of.
    pub records: (Seq, Seq),
    /// How many rows cannot be read.
    pub rows: u64,
    /// The earliest and the latest time of these rows.
    pub times: (UtcMs, UtcMs),
    /// Whether it is damaged, or else of a newer format or not readable.
    pub is_damaged: bool,
}

impl FileProblem {
    fn new(name: &FileName, what: &impl fmt::Display, is_damaged: bool) -> Self {
        let FileName { first, last, from, to, rows, .. } = *name;
        let (name, what) = (name.to_string(), what.to_string());
        Self { name, what, records: (first, last), rows, times: (from, to), is_damaged }
    }
}

/// What was found at the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenReport {
    /// Everything up to this record is in files.
    pub cursor: Seq,
    /// Usable files.
    pub files: usize,
    /// Their rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files removed because a merged one holds their rows.
    pub covered: usize,
    /// Half-written files removed.
    pub unfinished: usize,
    /// Files that cannot be used.
    pub problems: Vec<FileProblem>,
    /// Files in the folder that are none of ours; they are left alone.
    pub foreign: Vec<String>,
}

/// What became of a record's logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Appended {
    /// Rows taken.
    pub stored: usize,
    /// Rows ignored, since their record was taken before.
    pub duplicate: usize,
}

/// What upkeep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Maintained {
    /// Rows written to a new file.
    pub rows_written: u64,
    /// Files merged into larger ones.
    pub files_merged: usize,
    /// Files deleted for their age or for space.
    pub files_deleted: usize,
    /// The rows in them.
    pub rows_deleted: u64,
    /// Whether deletion by age pauses, since the clock has jumped.
    pub is_age_paused: bool,
}

/// How a lake stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct LakeStats {
    /// Everything up to this record is in files.
    pub cursor: Seq,
    /// Usable files.
    pub files: usize,
    /// Their rows.
    pub rows: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Rows in the buffer.
    pub buffered_rows: usize,
    /// Bytes in the buffer.
    pub buffered_bytes: usize,
    /// Rows taken since the start.
    pub appended: u64,
    /// Rows ignored since the start, since their record was taken before.
    pub duplicate: u64,
    /// Files written from the buffer since the start.
    pub flushes: u64,
    /// Files merged into larger ones since the start.
    pub files_merged: u64,
    /// Files deleted for their age or for space since the start.
    pub files_deleted: u64,
    /// Whether deletion by age pauses, since the clock has jumped.
    pub is_age_paused: bool,
    /// Files that cannot be used, the latest hundred.
    pub problems: Vec<FileProblem>,
    /// Damaged files that lie aside in the folder, those of earlier runs included.
    pub damaged_files: usize,
    /// Their bytes.
    pub damaged_bytes: u64,
    /// Damaged files deleted since the start, since there were too many of them.
    pub damaged_deleted: u64,
}

/// Logs in a bounded buffer and in Parquet files, searchable from the moment they are taken. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lake(Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) io: Arc<dyn Io>,
    dir: PathBuf,
    options: LakeOptions,
    state: RwLock<State>,
    /// Held by whoever changes files; taken before `state`.
    upkeep: Mutex<Upkeep>,
    footers: Mutex<HashMap<FileName, (u64, Arc<Footer>)>>,
    footer_uses: AtomicU64,
    counters: Counters,
}

#[derive(Debug, Default)]
struct State {
    /// In the order of their records.
    files: Vec<Arc<LogFile>>,
    buffer: Buffer,
    /// The last record that a file stands for.
    stored: Seq,
    problems: Vec<FileProblem>,
    is_age_paused: bool,
    /// Damaged files that lie aside, with their bytes, the oldest first.
    damaged: BTreeMap<String, u64>,
    /// Row groups found damaged of files that are in use for their others.
    damaged_groups: HashSet<(FileName, usize)>,
}

#[derive(Debug)]
struct Upkeep {
    clock: RetentionClock,
    /// Whether the time believed is kept in a file, since the clock is not.
    is_hold_kept: bool,
    /// Files that no longer count but may still be read by a query; removed once none does.
    leaving: Vec<Arc<LogFile>>,
    /// The name of a merged file that could not be written to its end, and may be there nevertheless.
    uncertain: Option<String>,
}

#[derive(Debug, Default)]
struct Counters {
    appended: AtomicU64,
    duplicate: AtomicU64,
    flushes: AtomicU64,
    files_merged: AtomicU64,
    files_deleted: AtomicU64,
    damaged_deleted: AtomicU64,
}

impl Lake {
    /// Takes a record's logs into the buffer, where they are searched at once; writes the buffer to a file first where
    /// it is full. Every record is to be told, also one without logs, so that the cursor keeps up. A record that was
    /// told before is ignored.
    ///
    /// # Errors
    /// A full buffer that cannot be written; nothing of the record is then taken, and the same call may be repeated.
    pub fn append(&self, seq: Seq, received: UtcMs, logs: &[LogRecord]) -> Result<Appended, LakeError> {
        if self.0.is_buffer_full() {
            self.flush()?;
        }
        let is_new = self.0.write_state().buffer.append(seq, received, logs);
        let appended = if is_new {
            Appended { stored: logs.len(), duplicate: 0 }
        } else {
            Appended { stored: 0, duplicate: logs.len() }
        };
        self.0.counters.appended.fetch_add(appended.stored as u64, Ordering::Relaxed);
        self.0.counters.duplicate.fetch_add(appended.duplicate as u64, Ordering::Relaxed);
        Ok(appended)
    }

    /// Everything up to this record is in files on disk.
    #[must_use]
    pub fn cursor(&self) -> Seq {
        self.0.read_state().buffer.clear_upto()
    }

    /// How the lake stands.
    #[must_use]
    pub fn stats(&self) -> LakeStats {
        let state = self.0.read_state();
        let counters = &self.0.counters;
        LakeStats {
            cursor: state.buffer.clear_upto(),
            files: state.files.len(),
            rows: state.files.iter().map(|file| file.name.rows).sum(),
            bytes: state.files.iter().map(|file| file.bytes).sum(),
            buffered_rows: state.buffer.rows(),
            buffered_bytes: state.buffer.bytes(),
            appended: counters.appended.load(Ordering::Relaxed),
            duplicate: counters.duplicate.load(Ordering::Relaxed),
            flushes: counters.flushes.load(Ordering::Relaxed),
            files_merged: counters.files_merged.load(Ordering::Relaxed),
            files_deleted: counters.files_deleted.load(Ordering::Relaxed),
            is_age_paused: state.is_age_paused,
            problems: state.problems.clone(),
            damaged_files: state.damaged.len(),
            damaged_bytes: state.damaged.values().sum(),
            damaged_deleted: counters.damaged_deleted.load(Ordering::Relaxed),
        }
    }

    /// The earliest and the latest time of all rows; `None` where there are none.
    #[must_use]
    pub fn time_range(&self) -> Option<(UtcMs, UtcMs)> {
        let snapshot = self.snapshot();
        let files = snapshot.files.iter().map(|file| (file.name.from, file.name.to));
        let buffered = snapshot.buffered.iter().map(|chunk| (chunk.summary.from, chunk.summary.to));
        files.chain(buffered).reduce(|(first, last), (from, to)| (first.min(from), last.max(to)))
    }

    /// The place behind the newest row, cheap to ask.
    #[must_use]
    pub fn newest(&self) -> TailCursor {
        TailCursor::after(self.0.read_state().buffer.seen)
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.snapshot_and_end().0
    }

    /// All rows, and the place behind the newest one.
    pub(crate) fn snapshot_and_end(&self) -> (Snapshot, TailCursor) {
        let state = self.0.read_state();
        let buffered = state.buffer.look(TailCursor::default());
        let snapshot = Snapshot { lake: Arc::clone(&self.0), files: state.files.clone(), buffered };
        (snapshot, TailCursor::after(state.buffer.seen))
    }

    /// All rows that arrived after a place and perhaps some before, and the place behind the newest one.
    pub(crate) fn snapshot_after(&self, after: TailCursor) -> (Snapshot, TailCursor) {
        let state = self.0.read_state();
        let files = state.files.iter().filter(|file| file.name.last >= after.seq).cloned().collect();
        let buffered = state.buffer.look(after);
        let snapshot = Snapshot { lake: Arc::clone(&self.0), files, buffered };
        (snapshot, TailCursor::after(state.buffer.seen))
    }
}

impl Inner {
    /// A file's footer, from memory where it was wanted lately.
    pub(crate) fn footer(&self, file: &LogFile) -> Result<Arc<Footer>, LakeError> {
        let use_number = self.footer_uses.fetch_add(1, Ordering::Relaxed);
        if let Some((used, footer)) = lock(&self.footers).get_mut(&file.name) {
            *used = use_number;
            return Ok(Arc::clone(footer));
        }
        let footer = Arc::new(Footer::load(&*self.io, file)?);
        let mut footers = lock(&self.footers);
        if footers.len() >= FOOTERS_MAX
            && let Some(oldest) = footers.iter().min_by_key(|(_, (used, _))| *used).map(|(name, _)| *name)
        {
            footers.remove(&oldest);
        }
        footers.insert(file.name, (use_number, Arc::clone(&footer)));
        Ok(footer)
    }

    /// Takes a file that cannot be used out of the catalogue, once; a damaged one is renamed, a newer one left.
    pub(crate) fn set_aside(&self, file: &LogFile, error: &LakeError) {
        let mut state = self.write_state();
        let known = state.files.len();
        state.files.retain(|other| other.name != file.name);
        if state.files.len() < known {
            let problem = self.dispose(file, error);
            if problem.is_damaged {
                state.damaged.insert(format!("{}{DAMAGED_SUFFIX}", problem.name), file.bytes);
            }
            state.note(problem);
        }
    }

    /// Reports a damaged row group, once; the other row groups of its file stay in use.
    pub(crate) fn note_damaged_group(&self, file: &LogFile, group: (usize, &GroupSummary), error: &LakeError) {
        let (number, summary) = group;
        let mut state = self.write_state();
        let State { files, damaged_groups, .. } = &mut *state;
        damaged_groups.retain(|(name, _)| files.iter().any(|file| file.name == *name));
        if !damaged_groups.insert((file.name, number)) {
            return;
        }
        let rows = summary.rows as u64;
        tracing::error!(file = %file.name, group = number, rows, from = %summary.from, to = %summary.to, %error, "row group of a log file cannot be read");
        state.note(FileProblem {
            name: file.name.to_string(),
            what: format!("row group {number}: {error}"),
            records: summary.seqs,
            rows,
            times: (summary.from, summary.to),
            is_damaged: true,
        });
    }

    /// Renames a damaged file and logs what is lost.
    fn dispose(&self, file: &LogFile, error: &LakeError) -> FileProblem {
        let FileName { first, last, from, to, rows, .. } = file.name;
        let is_damaged = matches!(error, LakeError::Damaged { .. });
        let name = file.name.to_string();
        tracing::error!(file = name, rows, %first, %last, %from, %to, %error, "log file cannot be used");
        if is_damaged {
            self.move_aside(file);
        }
        lock(&self.footers).remove(&file.name);
        FileProblem::new(&file.name, error, is_damaged)
    }

    fn move_aside(&self, file: &LogFile) {
        let aside = self.dir.join(format!("{}{DAMAGED_SUFFIX}", file.name));
        let renamed = self.io.rename(&file.path, &aside).and_then(|()| self.io.sync_dir(&self.dir));
        if let Err(error) = renamed {
            tracing::warn!(file = %file.name, %error, "could not set the damaged log file aside");
        }
    }

    fn is_buffer_full(&self) -> bool {
        let state = self.read_state();
        state.buffer.rows() >= self.options.buffer_rows_max || state.buffer.bytes() >= self.options.buffer_bytes_max
    }

    fn read_state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_state(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note(&mut self, problem: FileProblem) {
        if self.problems.len() >= PROBLEMS_MAX {
            self.problems.remove(0);
        }
        self.problems.push(problem);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
