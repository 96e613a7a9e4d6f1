//! How far sending has come, in a small file that is whole or not at all.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wk_store::io::{Io, read_all, write_whole};
use wk_types::Seq;

/// The number of the file's format.
const FORMAT: u32 = 1;
/// A file of more than this is not ours.
const BYTES_MAX: u64 = 4_096;
/// The file's name in the data folder.
const FILE: &str = "logs-outside.json";

/// How far sending has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Reached {
    format: u32,
    /// Everything up to this record is stored outside, or in the spill.
    pub(super) cursor: Seq,
    /// The last record of a batch that was being sent, and of which it is not known whether it is stored. The same
    /// records make the same batch again, which the store then knows by its token.
    pub(super) sending: Option<Seq>,
    /// Whether logs go outside, or else did so in the past.
    is_active: bool,
}

/// The file, and what stands in it.
#[derive(Debug)]
pub(super) struct Ledger {
    io: Arc<dyn Io>,
    path: PathBuf,
    saved: Option<Reached>,
}

impl Ledger {
    /// Opens the file in the data folder; one that is not there yet is begun at `start`.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or has a newer format.
    pub(super) fn open(io: Arc<dyn Io>, data: &Path, start: Seq) -> io::Result<(Self, Reached)> {
        let path = data.join(FILE);
        let saved = read(&*io, &path)?;
        let reached = saved.unwrap_or(Reached { format: FORMAT, cursor: start, sending: None, is_active: true });
        let reached = Reached { is_active: true, ..reached };
        Ok((Self { io, path, saved }, reached))
    }

    /// Makes what was reached durable.
    ///
    /// # Errors
    /// Whatever the system reports.
    pub(super) fn save(&mut self, reached: Reached) -> io::Result<()> {
        if self.saved != Some(reached) {
            let text = serde_json::to_vec(&reached).expect("numbers are always JSON");
            write_whole(&*self.io, &self.path, &text)?;
            self.saved = Some(reached);
        }
        Ok(())
    }

    /// What is durable.
    pub(super) fn saved(&self) -> Option<Reached> {
        self.saved
    }
}

fn read(io: &dyn Io, path: &Path) -> io::Result<Option<Reached>> {
    let bytes = match read_all(io, path, BYTES_MAX) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let told = |what: String| io::Error::other(format!("{}: {what}", path.display()));
    let reached: Reached = serde_json::from_slice(&bytes).map_err(|error| told(error.to_string()))?;
    if reached.format > FORMAT {
        return Err(told(format!("it has format {}, newer than {FORMAT}", reached.format)));
    }
    Ok(Some(reached))
}

/// Tells whether the logs of this data folder go to a store outside.
///
/// # Errors
/// A file that cannot be read, is damaged, or has a newer format.
pub fn is_outside(io: &dyn Io, data: &Path) -> io::Result<bool> {
    Ok(read(io, &data.join(FILE))?.is_some_and(|reached| reached.is_active))
}

/// Notes that logs no longer go to a store outside; answers up to which record they did.
///
/// # Errors
/// A file that cannot be read or written, is damaged, or has a newer format.
pub fn end_outside(io: &Arc<dyn Io>, data: &Path) -> io::Result<Option<Seq>> {
    let path = data.join(FILE);
    let Some(reached) = read(&**io, &path)? else { return Ok(None) };
    Ledger { io: Arc::clone(io), path, saved: Some(reached) }.save(Reached { is_active: false, ..reached })?;
    Ok(Some(reached.cursor))
}
