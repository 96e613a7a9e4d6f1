//! What is on the disk, living and durable.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::{Dice, Faults, Names};

/// What became of a run of a file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Durable,
    /// Written, not yet synced.
    Pending,
    /// Its sync failed: the system forgot that it has to be written.
    Doomed,
}

/// One file's content.
#[derive(Debug, Default)]
pub(super) struct Content {
    pub(super) bytes: Vec<u8>,
    /// Lengths and fates of the runs that `bytes` consists of.
    runs: Vec<(usize, Fate)>,
}

impl Content {
    pub(super) fn append(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.runs.push((bytes.len(), Fate::Pending));
    }

    pub(super) fn make_durable(&mut self) {
        self.turn_pending_into(Fate::Durable);
    }

    pub(super) fn doom(&mut self) {
        self.turn_pending_into(Fate::Doomed);
    }

    /// Declares the whole content durable.
    pub(super) fn settle(&mut self) {
        self.runs = vec![(self.bytes.len(), Fate::Durable)];
    }

    fn turn_pending_into(&mut self, fate: Fate) {
        for run in self.runs.iter_mut().filter(|run| run.1 == Fate::Pending) {
            run.1 = fate;
        }
        self.runs.dedup_by(|run, before| {
            let same = run.1 == before.1;
            before.0 += if same { run.0 } else { 0 };
            same
        });
    }

    /// Keeps what a loss of power leaves: lost bytes before durable ones become zeros, those behind are cut off.
    fn lose_power(&mut self, dice: &mut Dice, leftovers: bool) {
        let mut kept = 0;
        let mut at = 0;
        for (length, fate) in self.runs.drain(..) {
            let run = at..at + length;
            at = run.end;
            if fate == Fate::Durable {
                kept = run.end;
                continue;
            }
            let written = if leftovers { dice.below(length as u64 + 1) as usize } else { 0 };
            self.bytes[run.start + written..run.end].fill(0);
            if written > 0 && kept == run.start {
                let grown = if dice.chance(300) { run.end } else { run.start + written };
                kept = grown;
            }
        }
        self.bytes.truncate(kept);
        self.settle();
    }
}

/// A change of a folder's entries that is not yet durable.
#[derive(Debug)]
pub(super) enum NameChange {
    Put(PathBuf, u64),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
}

impl NameChange {
    fn apply(&self, names: &mut Names) {
        match self {
            Self::Put(path, id) => {
                names.insert(path.clone(), *id);
            }
            Self::Remove(path) => {
                names.remove(path);
            }
            Self::Rename(from, to) => {
                if let Some(id) = names.remove(from) {
                    names.insert(to.clone(), id);
                }
            }
        }
    }

    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Put(path, _) | Self::Remove(path) | Self::Rename(_, path) => path.parent(),
        }
    }
}

/// The disk: names and contents, each with what of it is durable.
#[derive(Debug)]
pub(super) struct Disk {
    /// How often the power has come back; handles of an earlier start are dead.
    pub(super) start: u64,
    pub(super) off: bool,
    pub(super) operations: u64,
    pub(super) dice: Dice,
    pub(super) folders: BTreeSet<PathBuf>,
    pub(super) names: Names,
    pub(super) files: BTreeMap<u64, Content>,
    durable_names: Names,
    changes: Vec<NameChange>,
    faults: Faults,
    /// The operation at which the power goes off.
    off_at: Option<u64>,
    next_file: u64,
}

impl Disk {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            start: 0,
            off: false,
            operations: 0,
            dice: Dice::new(seed),
            folders: BTreeSet::new(),
            names: Names::new(),
            files: BTreeMap::new(),
            durable_names: Names::new(),
            changes: Vec::new(),
            faults: Faults::default(),
            off_at: None,
            next_file: 0,
        }
    }

    pub(super) fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
        self.off_at = faults.power_off_after.map(|after| self.operations + after);
    }

    /// Counts an operation; answers false where the power goes off in the midst of it.
    pub(super) fn operate(&mut self) -> bool {
        self.operations += 1;
        self.off |= self.off_at.is_some_and(|off_at| self.operations > off_at);
        !self.off
    }

    pub(super) fn sync_fails(&mut self) -> bool {
        self.dice.chance(self.faults.sync_errors_per_mille)
    }

    /// How many more bytes fit.
    pub(super) fn room(&self) -> u64 {
        let used: usize = self.names.values().filter_map(|id| self.files.get(id)).map(|file| file.bytes.len()).sum();
        self.faults.bytes_max.map_or(u64::MAX, |max| max.saturating_sub(used as u64))
    }

    pub(super) fn folder(&self, dir: &Path) -> io::Result<()> {
        if self.folders.contains(dir) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    pub(super) fn file(&mut self, id: u64) -> &mut Content {
        self.files.entry(id).or_default()
    }

    pub(super) fn new_file(&mut self) -> u64 {
        self.next_file += 1;
        self.files.insert(self.next_file, Content::default());
        self.next_file
    }

    pub(super) fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.changes.push(change);
    }

    pub(super) fn make_names_durable(&mut self, dir: &Path) {
        let durable_names = &mut self.durable_names;
        self.changes.retain(|change| {
            let here = change.folder() == Some(dir);
            if here {
                change.apply(durable_names);
            }
            !here
        });
    }

    /// Loses what was not durable; the power is on again afterwards.
    pub(super) fn restart(&mut self) {
        let survived = if self.faults.leftovers { self.dice.below(self.changes.len() as u64 + 1) } else { 0 };
        for change in self.changes.drain(..).take(survived as usize) {
            change.apply(&mut self.durable_names);
        }
        self.names = self.durable_names.clone();
        let named: BTreeSet<u64> = self.names.values().copied().collect();
        self.files.retain(|id, _| named.contains(id));
        for file in self.files.values_mut() {
            file.lose_power(&mut self.dice, self.faults.leftovers);
        }
        self.set_faults(Faults::default());
        self.start += 1;
        self.off = false;
    }
}
