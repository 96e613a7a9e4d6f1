//! A disk in memory that can lose its power, for tests of durability.
//!
//! [`CrashIo`] keeps beside the living state what is durable: bytes by [`WriteFile::sync`], names by
//! [`Io::sync_dir`]. The power goes off at a chosen operation; [`CrashIo::restart`] hands out the disk as the next
//! start finds it. Syncs fail at a chosen rate, and space runs out at a chosen size.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Io, ReadFile, WriteFile};

mod disk;

use disk::{Disk, NameChange};

/// The system's error number for "no space left on device".
const ENOSPC: i32 = 28;

/// A source of repeatable chance (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// Makes dice that always fall the same way for one `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, each of the 2^64 equally likely.
    pub const fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 where `bound` is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.roll() % bound }
    }

    /// Answers true `per_mille` times in a thousand.
    pub const fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }
}

/// What the disk does to those who use it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// How many syncs in a thousand fail. As on a real system the bytes of a failed sync may or may not reach the
    /// disk, and a later sync that succeeds says nothing about them.
    pub sync_errors_per_mille: u64,
    /// Whether a part of what was not synced survives the loss of power: a prefix of the bytes, or zeros in their
    /// place, and the first few of the changes of names. Otherwise nothing of it survives.
    pub leftovers: bool,
    /// How many bytes all files together may have; writing more fails as on a full disk.
    pub bytes_max: Option<u64>,
    /// The operation (create, write, sync, rename, remove, sync of a folder), counted from now, at which the power
    /// goes off.
    pub power_off_after: Option<u64>,
}

/// A disk in memory that can lose its power; clones share it.
#[derive(Clone)]
pub struct CrashIo {
    disk: Arc<Mutex<Disk>>,
    start: u64,
}

impl fmt::Debug for CrashIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrashIo").field("start", &self.start).finish_non_exhaustive()
    }
}

impl CrashIo {
    /// Makes an empty disk whose chance follows from `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { disk: Arc::new(Mutex::new(Disk::new(seed))), start: 0 }
    }

    /// Sets what the disk does from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.disk().set_faults(faults);
    }

    /// Takes the power away now: every call fails until [`restart`](Self::restart).
    pub fn power_off(&self) {
        self.disk().off = true;
    }

    /// Tells whether the power is off for this handle.
    #[must_use]
    pub fn is_off(&self) -> bool {
        let disk = self.disk();
        disk.off || disk.start != self.start
    }

    /// Loses what was not durable and returns the disk as the next start finds it, without faults. This handle and
    /// all files opened through it stay without power for good.
    #[must_use]
    pub fn restart(&self) -> Self {
        let mut disk = self.disk();
        disk.restart();
        Self { disk: Arc::clone(&self.disk), start: disk.start }
    }

    /// The operations counted so far.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.disk().operations
    }

    /// The paths of all files, sorted.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        self.disk().names.keys().cloned().collect()
    }

    /// The content of the file at `path`, where there is one.
    #[must_use]
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let disk = self.disk();
        disk.names.get(path).map(|id| disk.files[id].bytes.clone())
    }

    /// Changes the content of the file at `path` behind everybody's back, as bad hardware does; answers whether there
    /// is such a file.
    pub fn damage(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut disk = self.disk();
        let Some(id) = disk.names.get(path).copied() else { return false };
        let file = disk.files.entry(id).or_default();
        change(&mut file.bytes);
        file.settle();
        true
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn powered(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let disk = self.disk();
        if disk.off || disk.start != self.start {
            return Err(power_is_off());
        }
        Ok(disk)
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

struct CrashFile {
    io: CrashIo,
    id: u64,
}

impl WriteFile for CrashFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut disk = self.io.powered()?;
        let lives = disk.operate();
        let room = disk.room().min(bytes.len() as u64) as usize;
        let written = if lives { room } else { disk.dice.below(room as u64 + 1) as usize };
        disk.file(self.id).append(&bytes[..written]);
        match (lives, room < bytes.len()) {
            (false, _) => Err(power_is_off()),
            (true, true) => Err(io::Error::from_raw_os_error(ENOSPC)),
            (true, false) => Ok(()),
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut disk = self.io.powered()?;
        if !disk.operate() {
            // The disk may have done its work and lost power before it could say so.
            if disk.dice.chance(500) {
                disk.file(self.id).make_durable();
            }
            return Err(power_is_off());
        }
        if disk.sync_fails() {
            disk.file(self.id).doom();
            return Err(io::Error::other("the disk could not sync the file"));
        }
        disk.file(self.id).make_durable();
        Ok(())
    }
}

impl ReadFile for CrashFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.io.powered()?.file(self.id).bytes.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut disk = self.io.powered()?;
        let bytes = &disk.file(self.id).bytes;
        let from = (offset as usize).min(bytes.len());
        let read = buffer.len().min(bytes.len() - from);
        buffer[..read].copy_from_slice(&bytes[from..from + read]);
        Ok(read)
    }
}

impl Io for CrashIo {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let mut disk = self.powered()?;
        disk.folders.extend(dir.ancestors().map(Path::to_owned));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let disk = self.powered()?;
        disk.folder(dir)?;
        let inside = disk.names.keys().filter(|path| path.parent() == Some(dir)).filter_map(|path| path.file_name());
        let sorted: BTreeSet<String> = inside.map(|name| name.to_string_lossy().into_owned()).collect();
        Ok(sorted.into_iter().collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        let mut disk = self.powered()?;
        disk.folder(path.parent().unwrap_or(Path::new("")))?;
        if !disk.operate() {
            return Err(power_is_off());
        }
        if disk.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let id = disk.new_file();
        disk.change(NameChange::Put(path.to_owned(), id));
        Ok(Box::new(CrashFile { io: self.clone(), id }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        let disk = self.powered()?;
        let id = *disk.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(CrashFile { io: self.clone(), id }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.powered()?;
        if !disk.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if !disk.operate() {
            return Err(power_is_off());
        }
        disk.change(NameChange::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.powered()?;
        if !disk.names.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if !disk.operate() {
            return Err(power_is_off());
        }
        disk.change(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut disk = self.powered()?;
        disk.folder(dir)?;
        if !disk.operate() {
            if disk.dice.chance(500) {
                disk.make_names_durable(dir);
            }
            return Err(power_is_off());
        }
        if disk.sync_fails() {
            return Err(io::Error::other("the disk could not sync the folder"));
        }
        disk.make_names_durable(dir);
        Ok(())
    }
}

/// The names of files by path, as ids.
type Names = BTreeMap<PathBuf, u64>;

#[cfg(test)]
mod tests;
