//! Upkeep: writing the head as parts, joining parts, deleting what is too old or too much.

use std::io;
use std::sync::Arc;

use wk_block::{BlockError, Header, Writer};
use wk_types::{DurationMs, Sample, Seq, Series, UtcMs};

use super::file::{BlockFile, set_aside};
use super::head::Frozen;
use super::retention::expired;
use super::{HEAD_SAMPLES_FLUSH, Maintained, MetricError, MetricStore, Shared, Upkeep};
use crate::io::write_whole;

/// How long to wait before a part that could not be written is tried again.
const RETRY_AFTER: DurationMs = DurationMs::from_secs(10);

/// A series and its number.
pub(super) type Numbered = (Arc<Series>, u32);

/// The index is swept when it has this many more series than the head, and twice as many.
const SWEEP_SERIES_MIN: usize = 10_000;

impl MetricStore {
    /// Does what is due at `now`: deletes what is too old or too much, writes the head as a part, joins parts into
    /// blocks. To be called after every batch of records and at least once a minute; cheap where nothing is due.
    ///
    /// # Errors
    /// Files that cannot be written, read or removed; the rest of the round is done all the same, and nothing is lost:
    /// what was not written stays in memory, and the cursor stays where it is.
    pub fn maintain(&self, now: UtcMs) -> Result<Maintained, MetricError> {
        let mut upkeep = self.0.upkeep();
        let mut done = Maintained::default();
        let steps = [
            self.0.set_doubted_aside(&mut done),
            self.0.retain(now, &mut done),
            self.0.write_part_if_due(now, &mut upkeep, &mut done),
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

    fn retain(&self, now: UtcMs, done: &mut Maintained) -> Result<(), MetricError> {
        let (old, excess) = {
            let mut state = self.write();
            state.clock.observe(now);
            done.retention_held = state.clock.is_held();
            state.oldest_kept = state.clock.time().map_or(UtcMs::MIN, |time| time - self.options.age_max);
            let (old, excess) = expired(&state.blocks, state.oldest_kept, self.options.bytes_max);
            let gone = |block: &Arc<BlockFile>| old.iter().chain(&excess).any(|one| Arc::ptr_eq(one, block));
            if !old.is_empty() || !excess.is_empty() {
                state.blocks.retain(|block| !gone(block));
            }
            (old, excess)
        };
        self.remove(old.iter().chain(&excess))?;
        (done.deleted_by_age, done.deleted_by_bytes) = (old.len(), excess.len());
        Ok(())
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

    /// Writes what could not be written before, else the head; tells whether there was anything.
    fn write_part(&self) -> Result<bool, MetricError> {
        let Some((frozen, series)) = self.freeze() else { return Ok(false) };
        let (block, bytes) = encode(&frozen, series)?;
        write_whole(&*self.io, &self.dir.join(&block.name), &bytes)
            .map_err(|source| MetricError::Write { file: block.name.clone(), source })?;
        let mut state = self.write();
        state.persisted = state.persisted.max(block.seqs.1);
        state.blocks.push(Arc::new(block));
        state.frozen = None;
        Ok(true)
    }

    /// The samples to write next, and their series.
    fn freeze(&self) -> Option<(Arc<Frozen>, Vec<Numbered>)> {
        let mut state = self.write();
        if state.frozen.is_none() {
            if state.head.samples() == 0 {
                return None;
            }
            let seqs = (state.persisted.next(), state.seen);
            state.frozen = Some(Arc::new(state.head.freeze(seqs)));
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
        let at = state.blocks.partition_point(|known| known.seqs < block.seqs);
        state.blocks.insert(at, Arc::new(block));
        state.files_merged += replaced.len() as u64;
    }
}

fn encode(frozen: &Frozen, mut series: Vec<Numbered>) -> Result<(BlockFile, Vec<u8>), MetricError> {
    series.sort_unstable_by(|a, b| a.0.labels.cmp(&b.0.labels));
    let write = || -> Result<Vec<u8>, BlockError> {
        let mut writer = Writer::new()?;
        let mut samples: Vec<Sample> = Vec::new();
        for (series, number) in &series {
            samples.clear();
            if let Some(columns) = frozen.columns.get(number) {
                columns.copy(UtcMs::MIN, UtcMs::MAX, &mut samples);
            }
            writer.push(series, &samples)?;
        }
        writer.finish()
    };
    named(frozen.seqs, write()).map_err(|source| MetricError::Encode { samples: frozen.samples, source })
}

/// Names a finished block after what it holds.
pub(super) fn named(seqs: (Seq, Seq), bytes: Result<Vec<u8>, BlockError>) -> Result<(BlockFile, Vec<u8>), BlockError> {
    let bytes = bytes?;
    let header = Header::read(&bytes[..])?;
    Ok((BlockFile::new(seqs, &header), bytes))
}
