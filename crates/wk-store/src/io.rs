//! The file operations that durability rests on, behind one trait, so that a test can take the power away between
//! any two of them.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub mod crash;
pub mod faulty;

/// Bytes that a [`WholeFile`] gathers before it hands them on.
const BUFFER_BYTES: usize = 1 << 18;

/// The room of a file system, as an ordinary user has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// All of it, in bytes.
    pub total: u64,
    /// What is left, in bytes.
    pub free: u64,
}

/// A file being written. Bytes are durable only after [`sync`](Self::sync) has returned without error.
pub trait WriteFile: Send {
    /// Appends all of `bytes`.
    ///
    /// # Errors
    /// Whatever the system reports, such as a full disk; part of `bytes` may have been written.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Forces what was written to the disk (`fdatasync`).
    ///
    /// # Errors
    /// After an error it is unknown what is on disk: the caller must not write to this file again.
    fn sync(&mut self) -> io::Result<()>;
}

/// A file being read at chosen places.
pub trait ReadFile: Send + Sync {
    /// The file's length in bytes.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn size(&self) -> io::Result<u64>;

    /// Reads up to `buffer.len()` bytes at `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;
}

/// The file operations that durability rests on.
pub trait Io: Send + Sync + fmt::Debug + 'static {
    /// Creates a folder and its missing parents; durable on return.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;

    /// The names of the files in `dir`, sorted; folders are left out.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;

    /// Creates a new file for writing; fails where it exists.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>>;

    /// Opens a file for reading.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>>;

    /// Renames a file, replacing the target. Durable only after [`sync_dir`](Self::sync_dir) of the folder.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Forces a folder's entries (creations, renames, removals) to the disk.
    ///
    /// # Errors
    /// Whatever the system reports.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;

    /// The room of the file system that `dir` is on.
    ///
    /// # Errors
    /// Whatever the system reports, and `Unsupported` where it cannot tell.
    fn space(&self, dir: &Path) -> io::Result<Space> {
        let _ = dir;
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// The operating system's file operations.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemIo;

struct SystemWriteFile(fs::File);

impl WriteFile for SystemWriteFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl ReadFile for fs::File {
    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match FileExt::read_at(self, &mut buffer[filled..], offset + filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    }
}

impl Io for SystemIo {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        let missing: Vec<&Path> =
            dir.ancestors().take_while(|folder| !folder.as_os_str().is_empty() && !folder.exists()).collect();
        fs::create_dir_all(dir)?;
        missing.into_iter().filter_map(Path::parent).try_for_each(|parent| self.sync_dir(parent))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                names.push(entry.file_name().to_string_lossy().into_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        Ok(Box::new(SystemWriteFile(fs::File::create_new(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        Ok(Box::new(fs::File::open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        fs::File::open(dir)?.sync_all()
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        let answer = rustix::fs::statvfs(dir)?;
        Ok(Space { total: answer.f_blocks * answer.f_frsize, free: answer.f_bavail * answer.f_frsize })
    }
}

/// Reads a whole file.
///
/// # Errors
/// Whatever the system reports, and files of more than `bytes_max`.
pub fn read_all(io: &dyn Io, path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let file = io.open(path)?;
    let size = file.size()?;
    if size > bytes_max {
        return Err(io::Error::other(format!("{} has {size} bytes, more than {bytes_max}", path.display())));
    }
    let mut bytes = vec![0; size as usize];
    let read = file.read_at(0, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// A file being written that after a crash is there whole or not at all: a `.tmp` beside the others, synced, renamed,
/// and the folder synced. It is deleted again unless it is [kept](Self::keep).
pub struct WholeFile<'a> {
    io: &'a dyn Io,
    temporary: PathBuf,
    file: Box<dyn WriteFile>,
    buffer: Vec<u8>,
    kept: bool,
}

impl<'a> WholeFile<'a> {
    /// Begins the file at `temporary`; one left there by a crash is replaced.
    ///
    /// # Errors
    /// Whatever the system reports.
    pub fn create(io: &'a dyn Io, temporary: PathBuf) -> io::Result<Self> {
        match io.remove(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let file = io.create(&temporary)?;
        Ok(Self { io, temporary, file, buffer: Vec::new(), kept: false })
    }

    /// Makes the file durable as `path`, in the same folder.
    ///
    /// # Errors
    /// Whatever the system reports; `path` is then untouched, or already whole.
    pub fn keep(mut self, path: &Path) -> io::Result<()> {
        self.flush()?;
        self.file.sync()?;
        self.io.rename(&self.temporary, path)?;
        self.kept = true;
        self.io.sync_dir(path.parent().unwrap_or(Path::new(".")))
    }
}

impl io::Write for WholeFile<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.file.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }
}

impl Drop for WholeFile<'_> {
    fn drop(&mut self) {
        if !self.kept {
            // A half-written file must not take room on a disk that may be full; what stays is replaced later.
            let _ = self.io.remove(&self.temporary);
        }
    }
}

/// Writes a file so that after a crash it is there whole or not at all.
///
/// # Errors
/// Whatever the system reports; the target is then untouched, or already whole.
pub fn write_whole(io: &dyn Io, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = WholeFile::create(io, path.with_extension("tmp"))?;
    file.write_all(bytes)?;
    file.keep(path)
}

#[cfg(test)]
mod tests;
