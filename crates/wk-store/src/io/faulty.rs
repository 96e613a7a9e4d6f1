//! File operations that fail with an error of the system's, for tests of what happens then.
//!
//! [`FaultyIo`] passes everything on to another [`Io`], and lets those operations fail that a [`Fault`] names: one, or
//! all from one on, until the disk is mended. A write that fails for want of room has written half of its bytes.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Io, ReadFile, Space, WriteFile};

/// What the system says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// `ENOSPC`: writes and creations fail.
    DiskFull,
    /// `EROFS`: everything that changes something fails.
    ReadOnly,
    /// `EIO`: everything that changes something fails.
    Broken,
}

impl FaultKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::DiskFull, Self::ReadOnly, Self::Broken];

    const fn errno(self) -> i32 {
        match self {
            Self::DiskFull => 28,
            Self::ReadOnly => 30,
            Self::Broken => 5,
        }
    }

    const fn hits(self, operation: Operation) -> bool {
        match self {
            Self::DiskFull => matches!(operation, Operation::Create | Operation::Write),
            Self::ReadOnly | Self::Broken => true,
        }
    }
}

/// Which operations fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// With which error.
    pub kind: FaultKind,
    /// How many operations that it could hit succeed before.
    pub after: u64,
    /// How many fail then.
    pub count: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Create,
    Write,
    Sync,
    Rename,
    Remove,
    SyncDir,
}

#[derive(Debug, Default)]
struct Plan {
    fault: Option<Fault>,
    /// Operations that the fault could have hit since it was set.
    met: u64,
    failed: u64,
}

/// File operations that fail where a [`Fault`] says so; clones share it.
#[derive(Clone)]
pub struct FaultyIo {
    inner: Arc<dyn Io>,
    plan: Arc<Mutex<Plan>>,
}

impl fmt::Debug for FaultyIo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyIo").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl FaultyIo {
    /// Passes everything on to `inner` until a fault is set.
    #[must_use]
    pub fn new(inner: Arc<dyn Io>) -> Self {
        Self { inner, plan: Arc::default() }
    }

    /// Sets what fails from now on.
    pub fn set(&self, fault: Fault) {
        *self.plan() = Plan { fault: Some(fault), ..Plan::default() };
    }

    /// Mends the disk, and answers how many operations had failed.
    pub fn mend(&self) -> u64 {
        std::mem::take(&mut *self.plan()).failed
    }

    fn plan(&self) -> MutexGuard<'_, Plan> {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn meet(&self, operation: Operation) -> io::Result<()> {
        let mut plan = self.plan();
        let Some(fault) = plan.fault.filter(|fault| fault.kind.hits(operation)) else { return Ok(()) };
        let number = plan.met;
        plan.met += 1;
        if number < fault.after || number - fault.after >= fault.count {
            return Ok(());
        }
        plan.failed += 1;
        Err(io::Error::from_raw_os_error(fault.kind.errno()))
    }
}

struct FaultyFile {
    io: FaultyIo,
    file: Box<dyn WriteFile>,
}

impl WriteFile for FaultyFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.io.meet(Operation::Write) {
            self.file.write_all(&bytes[..bytes.len() / 2])?;
            return Err(error);
        }
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.io.meet(Operation::Sync)?;
        self.file.sync()
    }
}

impl Io for FaultyIo {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        self.inner.create_dir_all(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.inner.list(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn WriteFile>> {
        self.meet(Operation::Create)?;
        Ok(Box::new(FaultyFile { io: self.clone(), file: self.inner.create(path)? }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn ReadFile>> {
        self.inner.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.meet(Operation::Rename)?;
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.meet(Operation::Remove)?;
        self.inner.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.meet(Operation::SyncDir)?;
        self.inner.sync_dir(dir)
    }

    fn space(&self, dir: &Path) -> io::Result<Space> {
        self.inner.space(dir)
    }
}
