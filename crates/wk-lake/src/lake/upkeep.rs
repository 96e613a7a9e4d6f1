//! Upkeep: writing the buffer, merging, retention.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde::{Deserialize, Serialize};
use wk_store::io::{Io, read_all, write_whole};
use wk_types::{Seq, UtcMs};

use super::{DAMAGED_BYTES_MAX, DAMAGED_FILES_MAX, Inner, Lake, Maintained, Upkeep, lock};
use crate::block::Block;
use crate::error::LakeError;
use crate::file::LogFile;
use crate::merge::{Merge, Mergeable, choose};
use crate::name::FileName;
use crate::retention::{Aged, expired};
use crate::sorted::Sorted;
use crate::stored::StoredFile;
use crate::write::{Encoder, Written};

/// Merges in one round of upkeep, so that a round has a bound.
const MERGES_MAX: usize = 4;
const DAY_MS: i64 = 86_400_000;
/// The name of a file that is being written; a start removes it.
const UNFINISHED_FILE: &str = "unfinished.tmp";
/// Where a time believed is kept while the clock is not.
const HELD_CLOCK_FILE: &str = "clock.held";
const HELD_CLOCK_BYTES_MAX: u64 = 1_024;

impl Lake {
    /// Writes the buffer to a file where it is full or old, merges small files, and deletes old ones.
    ///
    /// # Errors
    /// What cannot be written or removed; the rest of the upkeep is done all the same, and the next round tries again.
    pub fn maintain(&self, now: UtcMs) -> Result<Maintained, LakeError> {
        let inner = &*self.0;
        let mut upkeep = lock(&inner.upkeep);
        let mut done = Maintained::default();
        let mut results = Vec::new();
        if inner.is_flush_due(now) {
            results.push(inner.flush().map(|rows| done.rows_written = rows));
        }
        results.push(inner.merge_small(&mut upkeep, now).map(|files| done.files_merged = files));
        results.push(inner.expire(&mut upkeep, now, &mut done));
        results.push(inner.remove_leaving(&mut upkeep));
        results.push(inner.remove_damaged());
        results.into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(done)
    }

    /// Deletes old files and nothing else, for a lake whose job another store has taken over: its files stay the ones they
    /// are until they have been moved there.
    ///
    /// # Errors
    /// As [`Self::maintain`].
    pub fn retire(&self, now: UtcMs) -> Result<Maintained, LakeError> {
        let inner = &*self.0;
        let mut upkeep = lock(&inner.upkeep);
        let mut done = Maintained::default();
        inner.expire(&mut upkeep, now, &mut done)?;
        inner.remove_leaving(&mut upkeep)?;
        inner.remove_damaged()?;
        Ok(done)
    }

    /// Writes the buffer to a file.
    ///
    /// # Errors
    /// What cannot be written; the buffer is then kept.
    pub fn flush(&self) -> Result<(), LakeError> {
        let _upkeep = lock(&self.0.upkeep);
        self.0.flush().map(|_| ())
    }

    /// Deletes a file whose rows are safe in another store, at once or as soon as no query reads it.
    ///
    /// # Errors
    /// A file that cannot be removed; the next round of upkeep tries again.
    pub fn delete_stored(&self, file: StoredFile) -> Result<(), LakeError> {
        let inner = &*self.0;
        let mut upkeep = lock(&inner.upkeep);
        inner.write_state().files.retain(|other| other.name != file.0.name);
        upkeep.leaving.push(file.0);
        inner.remove_leaving(&mut upkeep)
    }

    /// Believes the clock as it is, so that deletion by age goes on after a jump: for a person, or for a clock that
    /// has been synchronised.
    pub fn confirm_clock(&self) {
        lock(&self.0.upkeep).clock.confirm();
        self.0.write_state().is_age_paused = false;
    }
}

impl Inner {
    fn is_flush_due(&self, now: UtcMs) -> bool {
        let oldest = self.read_state().buffer.oldest();
        // A clock that went back makes an age negative; such a buffer is written as well.
        self.is_buffer_full() || oldest.is_some_and(|time| now.since(time).0.abs_diff(0) >= self.flush_after_ms())
    }

    fn flush_after_ms(&self) -> u64 {
        self.options.flush_after.0.max(0).unsigned_abs()
    }

    /// Writes the buffer to a file; the caller holds the upkeep lock.
    fn flush(&self) -> Result<u64, LakeError> {
        let (chunks, first, last) = {
            let mut state = self.write_state();
            (state.buffer.close(), state.stored.next(), state.buffer.seen)
        };
        let Some(received) = chunks.last().map(|chunk| chunk.received.1) else { return Ok(0) };
        let blocks: Vec<Block> = chunks.iter().map(|chunk| chunk.block.clone()).collect();
        let file = self.store((received, first, last), |encoder| encoder.write(&Sorted::new(&blocks)))?;
        let Some(file) = file else { return Ok(0) };
        let rows = file.name.rows;
        let mut state = self.write_state();
        state.files.push(file);
        state.buffer.forget(chunks.len());
        state.stored = last;
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        Ok(rows)
    }

    /// Writes a file under a name for the time being, and gives it the name that describes it; `None` where no row
    /// came.
    fn store(
        &self,
        (received, first, last): (UtcMs, Seq, Seq),
        write: impl FnOnce(&mut Encoder) -> Result<(), LakeError>,
    ) -> Result<Option<Arc<LogFile>>, LakeError> {
        let unfinished = self.dir.join(UNFINISHED_FILE);
        let failed = |name: &str, source| LakeError::WriteFile { name: name.to_owned(), source };
        let file = self.io.create(&unfinished).map_err(|source| failed(UNFINISHED_FILE, source))?;
        let mut encoder = Encoder::new(file, self.options.vessel.as_ref().map(|vessel| vessel.as_str()))?;
        let written = write(&mut encoder).and_then(|()| encoder.finish());
        let Some(Written { from, to, rows, bytes, check }) = written? else { return Ok(None) };
        let name = FileName { received, first, last, from, to, rows, check };
        let path = self.dir.join(name.to_string());
        let renamed = self.io.rename(&unfinished, &path).and_then(|()| self.io.sync_dir(&self.dir));
        renamed.map_err(|source| failed(&name.to_string(), source))?;
        // The name on disk has what the name can say; a strange time of receipt is clamped there.
        let name = name.to_string().parse().unwrap_or(name);
        Ok(Some(Arc::new(LogFile { name, path, bytes })))
    }

    fn merge_small(&self, upkeep: &mut Upkeep, now: UtcMs) -> Result<usize, LakeError> {
        let today = now.0.div_euclid(DAY_MS);
        let mut merged = 0;
        for _ in 0..MERGES_MAX {
            self.remove_uncertain(upkeep)?;
            let files = self.read_state().files.clone();
            let sizes: Vec<Mergeable> = files.iter().map(|file| Mergeable::of(file)).collect();
            let Some(merge) = choose(&sizes, today) else { break };
            merged += self.merge_run(upkeep, &files[merge.files()], &merge)?;
        }
        self.counters.files_merged.fetch_add(merged as u64, Ordering::Relaxed);
        Ok(merged)
    }

    fn merge_run(&self, upkeep: &mut Upkeep, run: &[Arc<LogFile>], merge: &Merge) -> Result<usize, LakeError> {
        let (Some(oldest), Some(newest)) = (run.first(), run.last()) else { return Ok(0) };
        let received = run.iter().map(|file| file.name.received).max().unwrap_or(newest.name.received);
        let mut fault = None;
        let stored = self.store((received, oldest.name.first, newest.name.last), |encoder| {
            merge.write(&*self.io, run, encoder, &mut fault)
        });
        let file = match (stored, fault) {
            (Ok(Some(file)), _) => file,
            (Ok(None), _) => return Ok(0),
            (Err(error @ (LakeError::Damaged { .. } | LakeError::Newer { .. })), Some(file)) => {
                self.set_aside(&file, &error);
                return Ok(0);
            }
            (Err(error), _) => {
                if let LakeError::WriteFile { name, .. } = &error {
                    upkeep.uncertain = Some(name.clone());
                }
                return Err(error);
            }
        };
        let mut state = self.write_state();
        // A query may have found an input damaged meanwhile; the merged file has its rows nevertheless.
        state.files.retain(|file| !run.iter().any(|input| input.name == file.name));
        let position = state.files.partition_point(|other| other.name.first < file.name.first);
        state.files.insert(position, file);
        drop(state);
        upkeep.leaving.extend(run.iter().cloned());
        Ok(run.len())
    }

    /// Takes a merged file away again of which it is not known whether it is on disk. The next merge may be one of other
    /// neighbours, and a start that found both would have the rows twice that both hold.
    fn remove_uncertain(&self, upkeep: &mut Upkeep) -> Result<(), LakeError> {
        let Some(name) = &upkeep.uncertain else { return Ok(()) };
        let removed = match self.io.remove(&self.dir.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => self.io.sync_dir(&self.dir),
        };
        removed.map_err(|source| LakeError::WriteFile { name: name.clone(), source })?;
        upkeep.uncertain = None;
        Ok(())
    }

    fn expire(&self, upkeep: &mut Upkeep, now: UtcMs, done: &mut Maintained) -> Result<(), LakeError> {
        let believed = upkeep.clock.observe(now, (self.options.monotonic)());
        done.is_age_paused = believed.is_none();
        let mut state = self.write_state();
        state.is_age_paused = done.is_age_paused;
        let aged: Vec<Aged> =
            state.files.iter().map(|file| Aged { received: file.name.received, bytes: file.bytes }).collect();
        let count = expired(&aged, believed.map(|now| now - self.options.age_max), self.options.bytes_max);
        let gone: Vec<Arc<LogFile>> = state.files.drain(..count).collect();
        drop(state);
        done.files_deleted = gone.len();
        done.rows_deleted = gone.iter().map(|file| file.name.rows).sum();
        self.counters.files_deleted.fetch_add(gone.len() as u64, Ordering::Relaxed);
        upkeep.leaving.extend(gone);
        self.keep_held_clock(upkeep)
    }

    /// Keeps the time believed over a restart, so that rows received under a wrong clock do not vouch for it.
    fn keep_held_clock(&self, upkeep: &mut Upkeep) -> Result<(), LakeError> {
        let path = self.dir.join(HELD_CLOCK_FILE);
        let kept = match upkeep.clock.held_at() {
            Some(believed) if !upkeep.is_hold_kept => {
                tracing::warn!(%believed, "clock jumped ahead; logs are not deleted by age until it is confirmed");
                let held = HeldClock { format: crate::FORMAT, believed };
                let text = serde_json::to_vec(&held).expect("two numbers are always JSON");
                write_whole(&*self.io, &path, &text)
            }
            None if upkeep.is_hold_kept => match self.io.remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
            _ => return Ok(()),
        };
        kept.map_err(|source| LakeError::WriteFile { name: HELD_CLOCK_FILE.to_owned(), source })?;
        upkeep.is_hold_kept = !upkeep.is_hold_kept;
        Ok(())
    }

    /// Removes the oldest damaged files where there are too many; their loss was reported when they were found.
    fn remove_damaged(&self) -> Result<(), LakeError> {
        loop {
            let oldest = {
                let damaged = &self.read_state().damaged;
                let is_within =
                    damaged.len() <= DAMAGED_FILES_MAX && damaged.values().sum::<u64>() <= DAMAGED_BYTES_MAX;
                damaged.keys().next().filter(|_| !is_within).cloned()
            };
            let Some(name) = oldest else { return Ok(()) };
            match self.io.remove(&self.dir.join(&name)) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(LakeError::WriteFile { name, source });
                }
                _ => tracing::warn!(file = name, "deleted a damaged log file, since too many lie aside"),
            }
            self.write_state().damaged.remove(&name);
            self.counters.damaged_deleted.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Removes the files that no query reads any more.
    fn remove_leaving(&self, upkeep: &mut Upkeep) -> Result<(), LakeError> {
        let mut first_error = None;
        let mut is_changed = false;
        upkeep.leaving.retain(|file| {
            if Arc::strong_count(file) > 1 {
                return true;
            }
            lock(&self.footers).remove(&file.name);
            match self.io.remove(&file.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    first_error.get_or_insert(LakeError::WriteFile { name: file.name.to_string(), source: error });
                    true
                }
                _ => {
                    is_changed = true;
                    false
                }
            }
        });
        if is_changed {
            let folder = |source| LakeError::Folder { path: self.dir.clone(), source };
            self.io.sync_dir(&self.dir).map_err(folder)?;
        }
        first_error.map_or(Ok(()), Err)
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct HeldClock {
    format: u32,
    believed: UtcMs,
}

/// The time believed when the clock was last in doubt; `None` where it was not.
pub(super) fn read_held_clock(io: &dyn Io, dir: &Path) -> Option<UtcMs> {
    let bytes = read_all(io, &dir.join(HELD_CLOCK_FILE), HELD_CLOCK_BYTES_MAX).ok()?;
    let held: HeldClock = serde_json::from_slice(&bytes).ok()?;
    Some(held.believed)
}
