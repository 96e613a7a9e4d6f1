//! The data folder: its layout, its format number and the lock that keeps a second process out.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::error::NodeError;

/// The number of the folder's format that this version writes and reads.
pub const FORMAT: u32 = 1;

/// A data folder that this process alone may use.
#[derive(Debug)]
pub struct DataFolder {
    root: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Creates the folder where it is missing, locks it and checks its format.
    ///
    /// # Errors
    /// A folder that cannot be written, that another process uses, or whose format is newer.
    pub fn open(root: &Path) -> Result<Self, NodeError> {
        let failed = |source| NodeError::Folder { path: root.to_owned(), source };
        create_private(root).map_err(failed)?;
        check_format(root)?;
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(root.join("lock"))
            .map_err(failed)?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| NodeError::InUse { path: root.to_owned() })?;
        let format = root.join("format");
        if !format.exists() {
            write_private(&format, format!("{FORMAT}\n").as_bytes()).map_err(failed)?;
        }
        let folder = Self { root: root.to_owned(), _lock: lock };
        for dir in [folder.intake(), folder.metrics(), folder.logs()] {
            create_private(&dir).map_err(failed)?;
        }
        Ok(folder)
    }

    /// The folder itself; the state database stands in it.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the intake log's segments are.
    #[must_use]
    pub fn intake(&self) -> PathBuf {
        self.root.join("intake")
    }

    /// Where the metric blocks are.
    #[must_use]
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics")
    }

    /// Where the metric blocks are that wait for a store outside.
    #[must_use]
    pub fn spill(&self) -> PathBuf {
        self.root.join("metrics-spill")
    }

    /// Where the log files are.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }
}

/// Creates a folder that only its owner may enter, or takes others' rights from one that is there.
///
/// # Errors
/// Whatever the system reports.
pub fn create_private(dir: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    if fs::metadata(dir)?.permissions().mode() & 0o077 != 0 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// The socket over which the command line reaches the node.
#[must_use]
pub fn socket_path(root: &Path) -> PathBuf {
    root.join("node.sock")
}

/// The file that holds the set-up token while no account exists.
#[must_use]
pub fn setup_token_path(root: &Path) -> PathBuf {
    root.join("setup-token")
}

/// Checks that this version can read the folder.
///
/// # Errors
/// A newer format, or a format file that is no number.
pub fn check_format(root: &Path) -> Result<(), NodeError> {
    let Ok(text) = fs::read_to_string(root.join("format")) else { return Ok(()) };
    match text.trim().parse::<u32>() {
        Ok(found) if found <= FORMAT => Ok(()),
        _ => Err(NodeError::NewerFolder { path: root.to_owned(), found: text.trim().to_owned() }),
    }
}

/// Writes a file that only its owner may read, replacing it whole.
///
/// # Errors
/// Whatever the system reports.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let temporary = path.with_extension("tmp");
    let _ = fs::remove_file(&temporary);
    let mut file = File::options().create_new(true).write(true).mode(0o600).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)
}
