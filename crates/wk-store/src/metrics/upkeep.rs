//! Upkeep: writing the head as parts, joining parts, deleting what is too old or too much.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;

use wk_block::{BlockError, Header, Writer};
use wk_types::{DurationMs, Sample, Series, UtcMs};

use super::file::{BlockFile, Kind, set_aside};
use super::head::Frozen;
use super::retention::{Oldest, Room, expired};
use super::{FUTURE_MAX, HEAD_SAMPLES_FLUSH, Maintained, MetricError, MetricStore, Shared, State, TIME_MIN, Upkeep};
use crate::io::{Space, WholeFile};

/// How long to wait before a part that could not be written is tried again.
const RETRY_AFTER: DurationMs = DurationMs::from_secs(10);

/// How often the file system is asked for its room.
const SPACE_EVERY: DurationMs = DurationMs::from_secs(30);

/// What a file is called until it is whole.
const TEMPORARY: &str = "block.tmp";

/// Writes a block to a file.
pub(super) type BlockWriter<'a> = Writer<WholeFile<'a>>;

/// A series and its number.
pub(super) type Numbered = (Arc<Series>, u32);

/// The index is swept when it has this many more series than the head, and twice as many.
const SWEEP_SERIES_MIN: usize = 10_000;

impl MetricStore {
    /// Does what is due at `now`: deletes what is too old or too much, writes the head as a part, sums up one stretch of
    /// time, joins one run of files. To be called after every batch of records and at least once a minute; cheap where nothing is due.
    ///
    /// # Errors
    /// Files that cannot be written, read or removed; the rest of the round is done all the same, and nothing is lost:
    /// what was not written stays in memory, and the cursor stays where it is.
    pub fn maintain(&self, now: UtcMs) -> Result<Maintained, MetricError> {
        let mut upkeep = self.0.upkeep();
        let mut done = Maintained::default();
        let steps = [
            self.0.set_doubted_aside(&mut done),
            self.0.retain(now, &mut upkeep, &mut done),
            self.0.write_part_if_due(now, &mut upkeep, &mut done),
            self.0.roll_up(now, &mut upkeep, &mut done),
            self.0.merge(&mut upkeep, &mut done),
        ];
        self.0.sweep();
        steps.into_iter().collect::<Result<(), MetricError>>()?;
        Ok(done)
    }

    /// Writes everything that is in memory.
    ///
    /// # Errors
    /// A part that cannot be written; its samples stay in memory.
    pub fn flush(&self) -> Result<(), MetricError> {
        let _upkeep = self.0.upkeep();
        // What an earlier call could not write stands before the head.
        self.0.write_part()?;
        self.0.write_part()?;
        Ok(())
    }

    /// Deletes the blocks whose samples all lie at or before `until`, for somebody else has them by now, and answers how
    /// many there were. Rollups stay, and so does what is in memory.
    ///
    /// # Errors
    /// Files that cannot be removed; they are out of use all the same, and come back at the next start.
    pub fn release(&self, until: UtcMs) -> Result<usize, MetricError> {
        let _upkeep = self.0.upkeep();
        let mut state = self.0.write();
        let (gone, kept): (Vec<_>, Vec<_>) = state.blocks.iter().cloned().partition(|block| block.last <= until);
        state.blocks = kept;
        drop(state);
        self.0.remove(gone.iter())?;
        Ok(gone.len())
    }
}

impl Shared {
    fn set_doubted_aside(&self, done: &mut Maintained) -> Result<(), MetricError> {
        let doubted = std::mem::take(&mut self.write().doubted);
        let mut result = Ok(());
        for block in doubted {
            match set_aside(&*self.io, &self.dir, &block.file) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    result = Err(MetricError::Remove { file: block.file.clone(), source });
                    self.write().doubted.push(block);
                }
                _ => done.damaged.push(block),
            }
        }
        result
    }

    fn retain(&self, now: UtcMs, upkeep: &mut Upkeep, done: &mut Maintained) -> Result<(), MetricError> {
        let space = self.space(now, upkeep);
        let options = &self.options;
        let (old, excess) = {
            let mut state = self.write();
            state.clock.observe(now);
            done.retention_held = state.clock.is_held();
            let since = |age: DurationMs| state.clock.time().map_or(UtcMs::MIN, |time| time - age);
            let oldest = Oldest {
                raw: since(options.age_max),
                five_minutes: since(options.rollup_5m_age_max),
                hour: since(options.rollup_1h_age_max),
            };
            let room = Room::new(options.bytes_max, options.disk_percent_max, space);
            let raw: Vec<(Arc<BlockFile>, bool)> =
                state.blocks.iter().map(|block| (Arc::clone(block), state.is_rolled(block, upkeep))).collect();
            let (old, excess) = expired(&raw, &state.rollups, oldest, room);
            state.oldest_kept = oldest.raw.max(TIME_MIN);
            state.bytes_max = room.bytes_max;
            state.deleted_by_bytes += excess.len() as u64;
            let gone: HashSet<&str> = old.iter().chain(&excess).map(|file| &*file.name).collect();
            if !gone.is_empty() {
                state.blocks.retain(|block| !gone.contains(&*block.name));
                state.rollups.retain(|_, file| !gone.contains(&*file.name));
            }
            (old, excess)
        };
        if !excess.is_empty() {
            tracing::warn!(files = excess.len(), "metric files are deleted for want of room");
            // What they took is free now; the file system is asked anew before more is deleted for its sake.
            upkeep.space = None;
        }
        self.remove(old.iter().chain(&excess))?;
        (done.deleted_by_age, done.deleted_by_bytes) = (old.len(), excess.len());
        Ok(())
    }

    /// The room of the file system, asked for now and then; `None` where it cannot tell.
    fn space(&self, now: UtcMs, upkeep: &mut Upkeep) -> Option<Space> {
        let age = |asked: UtcMs| now.since(asked);
        if let Some((asked, known)) = upkeep.space
            && (DurationMs(0)..SPACE_EVERY).contains(&age(asked))
        {
            return known;
        }
        let space = self.io.space(&self.dir);
        if let Err(error) = &space
            && upkeep.space.is_none_or(|(_, known)| known.is_some())
            && error.kind() != io::ErrorKind::Unsupported
        {
            tracing::warn!(%error, "the file system does not tell its room; only the bound in bytes holds");
        }
        let space = space.ok();
        upkeep.space = Some((now, space));
        space
    }

    /// Deletes files that are no longer in use.
    pub(super) fn remove<'a>(&self, blocks: impl Iterator<Item = &'a Arc<BlockFile>>) -> Result<(), MetricError> {
        let mut result = Ok(());
        let mut removed = None;
        for block in blocks {
            self.cache.forget(&block.name);
            match self.io.remove(&self.dir.join(&block.name)) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    result = Err(MetricError::Remove { file: block.name.clone(), source });
                }
                _ => removed = Some(&block.name),
            }
        }
        if let Some(name) = removed {
            self.io.sync_dir(&self.dir).map_err(|source| MetricError::Remove { file: name.clone(), source })?;
        }
        result
    }

    fn write_part_if_due(&self, now: UtcMs, upkeep: &mut Upkeep, done: &mut Maintained) -> Result<(), MetricError> {
        let waited = now.since(*upkeep.last_part.get_or_insert(now));
        let (full, retried) = {
            let state = self.read();
            (state.head.samples() >= HEAD_SAMPLES_FLUSH, state.frozen.is_some())
        };
        let due = waited >= self.options.part_every || waited < DurationMs(0);
        let due_early = if retried { waited >= RETRY_AFTER } else { full };
        if !due && !due_early {
            return Ok(());
        }
        upkeep.last_part = Some(now);
        done.parts_written += usize::from(self.write_part()?);
        if retried {
            done.parts_written += usize::from(self.write_part()?);
        }
        Ok(())
    }

    /// Writes what could not be written before, else the head; tells whether there was anything. Late samples come
    /// first: the cursor follows from the other file.
    fn write_part(&self) -> Result<bool, MetricError> {
        let Some((frozen, mut series)) = self.freeze() else { return Ok(false) };
        series.sort_unstable_by(|a, b| a.0.labels.cmp(&b.0.labels));
        let late = if frozen.has_late() { Some(self.write_frozen(&frozen, &series, Kind::Late)?) } else { None };
        let normal = self.write_frozen(&frozen, &series, Kind::Normal)?;
        let mut state = self.write();
        state.persisted = state.persisted.max(frozen.seqs.1);
        state.insert(normal);
        if let Some(late) = late {
            state.insert(late);
        }
        state.frozen = None;
        Ok(true)
    }

    fn write_frozen(&self, frozen: &Frozen, series: &[Numbered], kind: Kind) -> Result<BlockFile, MetricError> {
        let fill = |writer: &mut BlockWriter<'_>| {
            let mut samples: Vec<Sample> = Vec::new();
            for (series, number) in series {
                samples.clear();
                frozen.copy(*number, kind == Kind::Late, &mut samples);
                writer.push(series, &samples).map_err(encoding)?;
            }
            Ok(())
        };
        self.write_block(fill, |header| BlockFile::new(kind, frozen.seqs, header))
    }

    /// Writes one block, whose name follows from its header.
    pub(super) fn write_block(
        &self,
        fill: impl FnOnce(&mut BlockWriter<'_>) -> Result<(), MetricError>,
        file: impl FnOnce(&Header) -> BlockFile,
    ) -> Result<BlockFile, MetricError> {
        let sink = WholeFile::create(&*self.io, self.dir.join(TEMPORARY))
            .map_err(|source| MetricError::Write { file: TEMPORARY.to_owned(), source })?;
        let mut writer = Writer::to(sink).map_err(encoding)?;
        fill(&mut writer)?;
        let (header, sink) = writer.close().map_err(encoding)?;
        let file = file(&header);
        match sink.keep(&self.dir.join(&file.name)) {
            Ok(()) => Ok(file),
            Err(source) => Err(MetricError::Write { file: file.name, source }),
        }
    }

    /// The samples to write next, and their series.
    fn freeze(&self) -> Option<(Arc<Frozen>, Vec<Numbered>)> {
        let mut state = self.write();
        if state.frozen.is_none() {
            if state.head.samples() == 0 {
                return None;
            }
            let seqs = (state.persisted.next(), state.seen);
            let normal = (state.received - self.options.late_window, state.received + FUTURE_MAX);
            state.frozen = Some(Arc::new(state.head.freeze(seqs, normal)));
        }
        let frozen = Arc::clone(state.frozen.as_ref()?);
        let known = |number| state.index.series(number).expect("a series of the head is in the index");
        let series = frozen.columns.keys().map(|number| (Arc::clone(known(*number)), *number)).collect();
        Some((frozen, series))
    }

    /// Forgets series that neither the head nor a loaded directory has.
    fn sweep(&self) {
        let mut state = self.write();
        let (known, active) = (state.index.len(), state.head.series());
        if known < 2 * active || known < active + SWEEP_SERIES_MIN {
            return;
        }
        let mut live = self.cache.live() | state.head.numbers();
        live.extend(state.frozen.iter().flat_map(|frozen| frozen.columns.keys().copied()));
        state.index.retain(&live);
    }

    /// Puts a block into use that has just been written in place of `replaced`.
    pub(super) fn install(&self, block: BlockFile, replaced: &[Arc<BlockFile>]) {
        let mut state = self.write();
        state.blocks.retain(|known| !replaced.iter().any(|one| Arc::ptr_eq(one, known)));
        state.insert(block);
        state.files_merged += replaced.len() as u64;
    }
}

impl State {
    fn insert(&mut self, block: BlockFile) {
        // A late file whose part could not be written is written again under its name.
        self.blocks.retain(|known| known.name != block.name);
        let at = self.blocks.partition_point(|known| (known.seqs, known.kind) < (block.seqs, block.kind));
        self.blocks.insert(at, Arc::new(block));
    }
}

/// What an error of the block's writer is to the store.
pub(super) fn encoding(error: BlockError) -> MetricError {
    match error {
        BlockError::Write(source) => MetricError::Write { file: TEMPORARY.to_owned(), source },
        source => MetricError::Encode { source },
    }
}
