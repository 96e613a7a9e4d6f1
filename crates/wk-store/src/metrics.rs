//! The metric store: a head in memory, immutable blocks on disk, one label index over both.
//!
//! Samples come from the intake log, which keeps them until they are in a block: the store has no log of its own. Every
//! five minutes [`MetricStore::maintain`] writes the head as a *part*, joins the parts of two hours into one block, and
//! the blocks of a day into one. A file's name carries the range of records it holds, so the cursor follows from the
//! files alone, and a file whose range lies within another's has been merged and is deleted at start.
//!
//! Of several values of a series at one time the first stays. Samples that come out of order are kept: those within two
//! hours stand in the part that was open when they came, all others in a file of late samples beside it, so that a part
//! spans little more than two hours. A late file is written before its part, from which alone the cursor follows.
//!
//! Once six hours are over and no sample can reach back into them but a late one, their *rollups* are written, in steps
//! of five minutes, and those of a day in steps of an hour. A file of rollups is a function of the samples up to the
//! record that its name tells; a late file that came after makes it be written anew.

mod cache;
mod error;
mod file;
mod head;
mod history;
mod index;
mod merge;
mod open;
mod query;
mod retention;
mod rollup;
mod upkeep;
mod walk;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use wk_block::BlockError;
use wk_types::{DurationMs, Resolution, Seq, SeriesSamples, UtcMs};

use crate::io::Io;
use cache::Cache;
pub use error::MetricError;
use file::{BlockFile, Kind};
use head::{Frozen, Head, NoRoom, SeriesLimits, Stored};
pub use history::History;
use index::Index;
use retention::ConfirmedClock;
pub use walk::Walk;

/// Samples before this are not taken, whatever is kept: no calendar reaches so far back.
const TIME_MIN: UtcMs = UtcMs(i64::MIN / 4);
/// How far ahead of its reception a sample may be.
pub const FUTURE_MAX: DurationMs = DurationMs::from_mins(10);
/// Samples in memory at which a part is written early.
pub const HEAD_SAMPLES_FLUSH: usize = 1 << 20;
/// Samples in memory beyond which nothing more is taken.
pub const HEAD_SAMPLES_MAX: usize = 1 << 21;

/// Bounds of a metric store.
#[derive(Debug, Clone)]
pub struct MetricOptions {
    /// How long samples are kept.
    pub age_max: DurationMs,
    /// How long rollups in steps of five minutes are kept.
    pub rollup_5m_age_max: DurationMs,
    /// How long rollups in steps of an hour are kept.
    pub rollup_1h_age_max: DurationMs,
    /// How many bytes the files may take together; a twentieth of it is kept free.
    pub bytes_max: u64,
    /// How much of the file system's room they may take, in hundredths.
    pub disk_percent_max: u8,
    /// How many series may be active at once.
    pub series_max: usize,
    /// How many series of one source, that is of one job, may be active at once.
    pub source_series_max: usize,
    /// How late a sample may be and still stand among the others; a later one goes into a file of its own.
    pub late_window: DurationMs,
    /// How often the head is written as a part.
    pub part_every: DurationMs,
    /// The window whose parts are joined into one block.
    pub block_span: DurationMs,
    /// The window whose blocks are joined into one.
    pub day_span: DurationMs,
    /// How many bytes of memory the directories of blocks may take.
    pub cache_bytes_max: usize,
}

impl Default for MetricOptions {
    fn default() -> Self {
        Self {
            age_max: DurationMs::from_hours(30 * 24),
            rollup_5m_age_max: DurationMs::from_hours(180 * 24),
            rollup_1h_age_max: DurationMs::from_hours(3 * 365 * 24),
            bytes_max: 4 << 30,
            disk_percent_max: 50,
            series_max: 200_000,
            source_series_max: 100_000,
            late_window: DurationMs::from_hours(2),
            part_every: DurationMs::from_mins(5),
            block_span: DurationMs::from_hours(2),
            day_span: DurationMs::from_hours(24),
            cache_bytes_max: 32 << 20,
        }
    }
}

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    /// Every record up to here is in a block on disk.
    pub cursor: Seq,
    /// How many blocks of samples there are.
    pub blocks: usize,
    /// How many files of rollups there are.
    pub rollups: usize,
    /// Blocks that were set aside because they could not be read.
    pub damaged: Vec<DamagedBlock>,
    /// Files that a finished merge had left behind, now deleted.
    pub superseded: usize,
}

/// A block that could not be read, kept beside the others as `<file>.damaged`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedBlock {
    /// The file's name before.
    pub file: String,
    /// The records it held, first and last.
    pub seqs: (Seq, Seq),
    /// The times of its samples, first and last.
    pub times: (UtcMs, UtcMs),
    /// What was found.
    pub what: String,
}

/// What became of the samples of one record, or of all of them since start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Appended {
    /// Samples taken.
    pub stored: u64,
    /// Of those, samples older than one of the same series before them.
    pub late: u64,
    /// Samples rejected because they are over [`FUTURE_MAX`] ahead of their reception.
    pub future: u64,
    /// Samples rejected because they are older than anything that is kept.
    pub too_old: u64,
    /// Samples rejected because there is one of the same series and time, and samples of records taken before.
    pub duplicate: u64,
    /// Samples rejected because their series would be one too many.
    pub over_limit: u64,
    /// Samples rejected because their series would be one too many of its source.
    pub over_source_limit: u64,
}

impl Appended {
    fn add(&mut self, other: Self) {
        self.stored += other.stored;
        self.late += other.late;
        self.future += other.future;
        self.too_old += other.too_old;
        self.duplicate += other.duplicate;
        self.over_limit += other.over_limit;
        self.over_source_limit += other.over_source_limit;
    }
}

/// What one round of upkeep did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Maintained {
    /// Parts written.
    pub parts_written: usize,
    /// Files joined into a block.
    pub files_merged: usize,
    /// Files of rollups written.
    pub rollups_written: usize,
    /// Blocks deleted by age.
    pub deleted_by_age: usize,
    /// Blocks deleted because all together took too many bytes, or the disk is nearly full.
    pub deleted_by_bytes: usize,
    /// Tells whether deletion by age lags behind a clock that jumped ahead.
    pub retention_held: bool,
    /// Blocks found damaged since the round before, set aside.
    pub damaged: Vec<DamagedBlock>,
}

/// The active series of one source, that is of one job, or of an asset where there is no job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceSeries {
    /// The source.
    pub source: Arc<str>,
    /// How many series are active.
    pub series: usize,
    /// Samples rejected since start because their series would have been one too many.
    pub refused: u64,
}

/// Counters and gauges of a metric store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricStats {
    /// Series active in the head.
    pub series_head: usize,
    /// Samples that are not yet on disk.
    pub samples_head: usize,
    /// Series in the label index.
    pub series_indexed: usize,
    /// Blocks on disk.
    pub blocks: usize,
    /// Samples in these, before duplicates across blocks collapse.
    pub samples_blocks: u64,
    /// Files of rollups on disk.
    pub rollups: usize,
    /// Bytes that blocks and rollups take.
    pub bytes: u64,
    /// Of those, bytes of rollups.
    pub bytes_rollups: u64,
    /// Bytes that they may take as things stand, a twentieth kept free already taken off.
    pub bytes_max: u64,
    /// Bytes of memory that loaded directories take.
    pub cache_bytes: usize,
    /// Every record up to here is in a block on disk.
    pub cursor: Seq,
    /// The time of the earliest sample, `None` where there is none.
    pub oldest: Option<UtcMs>,
    /// The time of the latest sample, `None` where there is none.
    pub newest: Option<UtcMs>,
    /// What became of all samples since start.
    pub appended: Appended,
    /// Blocks set aside since start, those at opening included.
    pub blocks_damaged: u64,
    /// Damaged chunks that queries and merges have skipped since start.
    pub chunks_damaged: u64,
    /// Files joined into blocks since start.
    pub files_merged: u64,
    /// The time that retention counts from.
    pub retention_time: Option<UtcMs>,
    /// Tells whether deletion by age lags behind a clock that jumped ahead.
    pub retention_held: bool,
    /// Blocks and rollups deleted since start because all together took too many bytes, or the disk was nearly full.
    pub deleted_by_bytes: u64,
    /// The sources with the most active series, and those of which series are refused.
    pub sources: Vec<SourceSeries>,
}

/// Sources that [`MetricStats`] names.
const SOURCES_NAMED_MAX: usize = 20;

/// The metric store; a clone is another handle to the same one.
#[derive(Clone)]
pub struct MetricStore(Arc<Shared>);

struct Shared {
    io: Arc<dyn Io>,
    dir: PathBuf,
    options: MetricOptions,
    state: RwLock<State>,
    cache: Cache,
    upkeep: Mutex<Upkeep>,
}

/// What appends, queries and upkeep share.
struct State {
    index: Index,
    head: Head,
    /// The head before this one, while it is being written.
    frozen: Option<Arc<Frozen>>,
    /// Blocks of samples, in the order of the records they hold.
    blocks: Vec<Arc<BlockFile>>,
    /// Files of rollups, by the beginning of the stretch they sum up.
    rollups: BTreeMap<(Resolution, UtcMs), Arc<BlockFile>>,
    /// Every record up to here is in a block, or had nothing to be kept.
    persisted: Seq,
    /// The last record that was appended.
    seen: Seq,
    /// When that was received.
    received: UtcMs,
    /// Samples before this are not taken.
    oldest_kept: UtcMs,
    /// Bytes that the files may take as things stand.
    bytes_max: u64,
    deleted_by_bytes: u64,
    appended: Appended,
    /// Blocks found damaged that are yet to be set aside.
    doubted: Vec<DamagedBlock>,
    blocks_damaged: u64,
    chunks_damaged: u64,
    files_merged: u64,
    clock: ConfirmedClock,
}

/// What only upkeep needs; its lock keeps two rounds from running at once.
#[derive(Default)]
struct Upkeep {
    last_part: Option<UtcMs>,
    /// First files of runs that do not fit into one block.
    unmergeable: HashSet<String>,
    /// The stretches that a block with an unusually long range has samples in.
    stretches: BTreeMap<String, Vec<UtcMs>>,
    /// Blocks with samples of stretches whose rollups are older than they.
    unrolled: HashSet<String>,
    /// Since when there are such blocks.
    unrolled_since: Option<UtcMs>,
    /// When the file system was last asked for its room, and what it said.
    space: Option<(UtcMs, Option<crate::io::Space>)>,
}

impl std::fmt::Debug for MetricStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetricStore").field("dir", &self.0.dir).finish_non_exhaustive()
    }
}

impl MetricStore {
    /// Opens the store in `dir`, which is made where it does not exist. Damaged blocks are set aside; only the beginning
    /// of each block is read.
    ///
    /// # Errors
    /// A folder that cannot be made or read, and a block of a newer format.
    pub fn open(io: Arc<dyn Io>, dir: &Path, options: MetricOptions) -> Result<(Self, OpenReport), MetricError> {
        let (blocks, rollups, report) = open::scan(&*io, dir)?;
        let normal = blocks.iter().filter(|block| block.kind == Kind::Normal && block.samples > 0);
        let lasts: Vec<UtcMs> = normal.map(|block| block.last).collect();
        let state = State {
            index: Index::default(),
            head: Head::default(),
            frozen: None,
            blocks,
            rollups,
            persisted: report.cursor,
            seen: report.cursor,
            received: UtcMs::MIN,
            oldest_kept: TIME_MIN,
            bytes_max: options.bytes_max,
            deleted_by_bytes: 0,
            appended: Appended::default(),
            doubted: Vec::new(),
            blocks_damaged: report.damaged.len() as u64,
            chunks_damaged: 0,
            files_merged: 0,
            clock: ConfirmedClock::from_history(&lasts, options.age_max),
        };
        let shared = Shared {
            io,
            dir: dir.to_owned(),
            cache: Cache::new(options.cache_bytes_max),
            options,
            state: RwLock::new(state),
            upkeep: Mutex::default(),
        };
        Ok((Self(Arc::new(shared)), report))
    }

    /// Takes the samples of record `seq`. Every record must be passed, those without samples with none, so that the
    /// cursor moves on; a record up to the last one appended is known already and changes nothing.
    ///
    /// # Errors
    /// The head is full because parts could not be written: nothing of the record is taken; call
    /// [`maintain`](Self::maintain), then append it again.
    pub fn append(&self, seq: Seq, received: UtcMs, series: &[SeriesSamples]) -> Result<Appended, MetricError> {
        let mut state = self.0.write();
        let samples = state.samples_unwritten();
        if samples >= HEAD_SAMPLES_MAX && !series.is_empty() {
            return Err(MetricError::HeadFull { samples });
        }
        let mut appended = Appended::default();
        if seq <= state.seen {
            appended.duplicate = series.iter().map(|one| one.samples.len() as u64).sum();
        } else {
            state.persisted = state.cursor();
            state.seen = seq;
            if !series.is_empty() {
                state.received = received;
            }
            let MetricOptions { series_max: all, source_series_max: per_source, .. } = self.0.options;
            for one in series {
                state.append(one, received, SeriesLimits { all, per_source }, &mut appended);
            }
        }
        state.appended.add(appended);
        Ok(appended)
    }

    /// Every record up to this one is in a block on disk, or had nothing to be kept.
    #[must_use]
    pub fn cursor(&self) -> Seq {
        self.0.read().cursor()
    }

    /// The time before which samples are not taken, since they are older than what is kept.
    #[must_use]
    pub fn oldest_kept(&self) -> UtcMs {
        self.0.read().oldest_kept
    }

    /// Says that `now` is right, so that deletion by age may catch up after a jump of the clock.
    pub fn confirm_clock(&self, now: UtcMs) {
        self.0.write().clock.confirm(now);
    }

    /// Counters and gauges as they stand.
    #[must_use]
    pub fn stats(&self) -> MetricStats {
        let cache_bytes = self.0.cache.bytes();
        let state = self.0.read();
        let (oldest, newest) = state.time_range();
        MetricStats {
            series_head: state.head.series(),
            samples_head: state.samples_unwritten(),
            series_indexed: state.index.len(),
            blocks: state.blocks.len(),
            samples_blocks: state.blocks.iter().map(|block| block.samples).sum(),
            rollups: state.rollups.len(),
            bytes: state.bytes(),
            bytes_rollups: state.rollups.values().map(|file| file.bytes).sum(),
            bytes_max: state.bytes_max,
            cache_bytes,
            cursor: state.cursor(),
            oldest,
            newest,
            appended: state.appended,
            blocks_damaged: state.blocks_damaged,
            chunks_damaged: state.chunks_damaged,
            files_merged: state.files_merged,
            retention_time: state.clock.time(),
            retention_held: state.clock.is_held(),
            deleted_by_bytes: state.deleted_by_bytes,
            sources: state.sources(),
        }
    }
}

impl Shared {
    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn upkeep(&self) -> MutexGuard<'_, Upkeep> {
        self.upkeep.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a block out of use; the next round of upkeep sets its file aside.
    fn doubt(&self, block: &Arc<BlockFile>, error: &BlockError) {
        tracing::error!(file = %block.name, first = %block.first, last = %block.last, %error, "metric block is damaged");
        let mut state = self.write();
        let before = state.blocks.len();
        state.blocks.retain(|known| !Arc::ptr_eq(known, block));
        let rollups = state.rollups.len();
        state.rollups.retain(|_, known| !Arc::ptr_eq(known, block));
        if state.blocks.len() < before || state.rollups.len() < rollups {
            state.blocks_damaged += 1;
            state.doubted.push(DamagedBlock {
                file: block.name.clone(),
                seqs: block.seqs,
                times: (block.first, block.last),
                what: error.to_string(),
            });
        }
        drop(state);
        self.cache.forget(&block.name);
    }
}

impl State {
    fn append(&mut self, one: &SeriesSamples, received: UtcMs, limits: SeriesLimits, appended: &mut Appended) {
        let future = received + FUTURE_MAX;
        let mut wanted = one.samples.iter().filter(|sample| {
            appended.future += u64::from(sample.time > future);
            appended.too_old += u64::from(sample.time < self.oldest_kept);
            sample.time <= future && sample.time >= self.oldest_kept
        });
        let Some(first) = wanted.next() else { return };
        let wanted: Vec<_> = std::iter::once(first).chain(wanted).copied().collect();
        let known = self.index.number(one.series.id).filter(|number| self.head.contains(*number));
        let number = match known {
            Some(number) => number,
            None => match self.head.admit(&one.series, wanted.len() as u64, limits) {
                Ok(source) => {
                    let number = self.index.intern(&one.series);
                    self.head.add(number, &one.series, source);
                    number
                }
                Err(NoRoom::Store) => return appended.over_limit += wanted.len() as u64,
                Err(NoRoom::Source) => return appended.over_source_limit += wanted.len() as u64,
            },
        };
        self.index.reattribute(number, &one.series);
        for sample in wanted {
            match self.head.push(number, sample) {
                Stored::InOrder => appended.stored += 1,
                Stored::Late => {
                    appended.stored += 1;
                    appended.late += 1;
                }
                Stored::Again | Stored::Duplicate => appended.duplicate += 1,
            }
        }
    }

    fn samples_unwritten(&self) -> usize {
        self.head.samples() + self.frozen.as_ref().map_or(0, |frozen| frozen.samples)
    }

    fn cursor(&self) -> Seq {
        if self.samples_unwritten() == 0 { self.seen } else { self.persisted }
    }

    /// Bytes of all files.
    fn bytes(&self) -> u64 {
        self.blocks.iter().chain(self.rollups.values()).map(|file| file.bytes).sum()
    }

    fn sources(&self) -> Vec<SourceSeries> {
        let mut sources: Vec<_> = self.head.sources().iter().filter(|one| one.series > 0 || one.refused > 0).collect();
        sources.sort_unstable_by_key(|one| (std::cmp::Reverse((one.refused > 0, one.series)), Arc::clone(&one.name)));
        sources.truncate(SOURCES_NAMED_MAX);
        let named = |one: &&head::Source| SourceSeries {
            source: Arc::clone(&one.name),
            series: one.series,
            refused: one.refused,
        };
        sources.iter().map(named).collect()
    }

    fn overlapping(&self, from: UtcMs, to: UtcMs) -> Vec<Arc<BlockFile>> {
        self.blocks.iter().filter(|block| block.meets(from, to)).cloned().collect()
    }

    /// The range of the samples that are not yet on disk.
    fn unwritten_range(&self) -> Option<(UtcMs, UtcMs)> {
        let frozen = self.frozen.iter().flat_map(|frozen| frozen.columns.values());
        let unwritten = self.head.iter().map(|(_, columns)| columns).chain(frozen);
        let ranges = unwritten.filter_map(|columns| Some((UtcMs(columns.first()?), UtcMs(columns.last()?))));
        ranges.reduce(|(first, last), (begin, end)| (first.min(begin), last.max(end)))
    }

    fn time_range(&self) -> (Option<UtcMs>, Option<UtcMs>) {
        let blocks = self.blocks.iter().filter(|block| block.samples > 0).map(|block| (block.first, block.last));
        let all = blocks.chain(self.unwritten_range());
        let range = all.reduce(|(first, last), (begin, end)| (first.min(begin), last.max(end)));
        range.unzip()
    }
}

#[cfg(test)]
mod tests;
