//! Starting: the catalogue from file names alone, whatever a crash has left.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock};

use wk_store::io::Io;

use super::upkeep::read_held_clock;
use super::{Counters, DAMAGED_SUFFIX, FileProblem, Inner, Lake, LakeOptions, OpenReport, State, Upkeep};
use crate::error::LakeError;
use crate::file::{Footer, LogFile};
use crate::name::{EXTENSION, FileName};
use crate::retention::RetentionClock;

/// Only the newest files can have been cut off by a crash; the others are checked when they are read.
const CHECKED_AT_START: usize = 8;
const TEMPORARY_SUFFIX: &str = ".tmp";

impl Lake {
    /// Opens the folder, removing half-written files and those that a merged one stands for.
    ///
    /// # Errors
    /// A folder that cannot be made or listed. Damaged and newer files are reported, not errors.
    pub fn open(io: Arc<dyn Io>, dir: &Path, options: LakeOptions) -> Result<(Self, OpenReport), LakeError> {
        let folder = |source| LakeError::Folder { path: dir.to_owned(), source };
        io.create_dir_all(dir).map_err(folder)?;
        // The last run may have ended between a rename and its sync. The intake log lets go of what a file stands for,
        // so no name may count that a loss of power could still take away.
        io.sync_dir(dir).map_err(folder)?;
        let mut report = OpenReport::default();
        let (mut files, mut unreadable, mut damaged) = (Vec::new(), Vec::new(), BTreeMap::new());
        for name in io.list(dir).map_err(folder)? {
            let path = dir.join(&name);
            if name.ends_with(TEMPORARY_SUFFIX) {
                report.unfinished += usize::from(is_removed(&*io, &path));
            } else if let Ok(parsed) = name.parse() {
                match io.open(&path).and_then(|file| file.size()) {
                    Ok(bytes) => files.push(Arc::new(LogFile { name: parsed, path, bytes })),
                    Err(error) => unreadable.push((parsed, error)),
                }
            } else if name.ends_with(EXTENSION) {
                report.foreign.push(name);
            } else if name.ends_with(DAMAGED_SUFFIX) {
                tracing::warn!(file = name, "a damaged log file lies in the folder since an earlier run");
                let bytes = io.open(&path).and_then(|file| file.size()).unwrap_or_default();
                damaged.insert(name, bytes);
            }
        }
        files.sort_by_key(|file| (file.name.first, std::cmp::Reverse(file.name.last)));
        let held = read_held_clock(&*io, dir);
        let believed = held.or_else(|| files.iter().map(|file| file.name.received).max());
        let inner = Inner {
            io,
            dir: dir.to_owned(),
            options,
            state: RwLock::new(State { files, damaged, ..State::default() }),
            upkeep: Mutex::new(Upkeep {
                clock: RetentionClock::new(believed),
                is_hold_kept: held.is_some(),
                leaving: Vec::new(),
                uncertain: None,
            }),
            footers: Mutex::new(HashMap::new()),
            footer_uses: AtomicU64::new(0),
            counters: Counters::default(),
        };
        for (name, error) in unreadable {
            inner.note_unreadable(&name, &error);
        }
        report.covered = inner.remove_covered();
        inner.check_newest();
        inner.begin(&mut report);
        Ok((Self(Arc::new(inner)), report))
    }
}

impl Inner {
    /// Reports a file that the disk does not give; its records count as stored, for they may well be there.
    fn note_unreadable(&self, name: &FileName, error: &io::Error) {
        tracing::error!(file = %name, rows = name.rows, %error, "log file cannot be read");
        let mut state = self.write_state();
        state.stored = state.stored.max(name.last);
        state.note(FileProblem::new(name, error, false));
    }

    /// Takes out files whose rows a merged file holds; a merged file that is damaged is set aside instead.
    fn remove_covered(&self) -> usize {
        let mut removed = 0;
        while let Some((merged, covered)) = self.covered_pair() {
            if let Err(error) = Footer::load(&*self.io, &merged) {
                self.set_aside(&merged, &error);
                continue;
            }
            self.write_state().files.retain(|file| file.name != covered.name);
            removed += usize::from(is_removed(&*self.io, &covered.path));
        }
        if removed > 0
            && let Err(error) = self.io.sync_dir(&self.dir)
        {
            tracing::warn!(%error, "could not sync the log folder");
        }
        removed
    }

    /// A merged file and one whose rows it holds.
    fn covered_pair(&self) -> Option<(Arc<LogFile>, Arc<LogFile>)> {
        let state = self.read_state();
        let mut pairs = state.files.iter().zip(state.files.iter().skip(1));
        pairs.find(|(a, b)| a.name.covers(&b.name)).map(|(a, b)| (Arc::clone(a), Arc::clone(b)))
    }

    /// Checks the newest files' footers, and finds the last record that a file stands for. A damaged file stands for
    /// nothing, so that the intake log gives its records again where it still has them; a newer one does.
    fn check_newest(&self) {
        let newest: Vec<Arc<LogFile>> = self.read_state().files.iter().rev().take(CHECKED_AT_START).cloned().collect();
        for file in newest {
            let checked = Footer::load(&*self.io, &file);
            if let Err(error) = &checked {
                self.set_aside(&file, error);
            }
            if matches!(checked, Err(LakeError::Newer { .. })) {
                let mut state = self.write_state();
                state.stored = state.stored.max(file.name.last);
            }
        }
        let mut state = self.write_state();
        let last = state.files.iter().map(|file| file.name.last).max().unwrap_or_default();
        state.stored = state.stored.max(last);
        state.buffer.seen = state.stored;
    }

    fn begin(&self, report: &mut OpenReport) {
        let state = self.read_state();
        report.cursor = state.stored;
        report.files = state.files.len();
        report.rows = state.files.iter().map(|file| file.name.rows).sum();
        report.bytes = state.files.iter().map(|file| file.bytes).sum();
        report.problems.clone_from(&state.problems);
    }
}

/// Removes a file nobody needs; where that fails, as on a read-only disk, it is only a waste of space.
fn is_removed(io: &dyn Io, path: &Path) -> bool {
    let removed = io.remove(path);
    if let Err(error) = &removed {
        tracing::warn!(path = %path.display(), %error, "could not remove a log file that is not needed");
    }
    removed.is_ok()
}
