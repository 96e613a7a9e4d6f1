//! Moving logs that the node keeps itself into ClickHouse.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wk_lake::{Lake, LakeError, LogRow, StoredFile};
use wk_store::io::{Io, read_all, write_whole};
use wk_types::Seq;

use super::{ClickHouse, ClickHouseError, Line};

/// The number of the format in which the progress is kept.
const FORMAT: u32 = 1;
/// The name of the file in the data folder that holds the progress.
const FILE: &str = "logs-migrated.json";
/// A file of more than this is not ours.
const BYTES_MAX: u64 = 4_096;

/// How far the migration has come.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Progress {
    format: u32,
    /// Every row up to this record has been sent.
    upto: Seq,
    /// The file under way.
    file: String,
    /// Its row groups that have been sent.
    groups: usize,
}

/// What a migration did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Migrated {
    /// Files there are.
    pub files: usize,
    /// Files of them that are in the store now, those of earlier runs included.
    pub files_done: usize,
    /// Rows sent in this run.
    pub rows_sent: u64,
}

/// Why a migration stopped; the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The progress cannot be read or written.
    #[error("could not keep how far the migration has come")]
    Progress(#[source] io::Error),
    /// A log file cannot be read.
    #[error("could not read the logs")]
    Read(#[source] LakeError),
    /// The store did not take rows.
    #[error("could not send logs")]
    Send(#[source] ClickHouseError),
}

/// A migration of the log files of one data folder; it goes on where the last one stopped.
pub struct Migration {
    io: Arc<dyn Io>,
    path: PathBuf,
    lake: Lake,
    store: ClickHouse,
    progress: Progress,
}

impl Migration {
    /// Opens the progress in the data folder.
    ///
    /// # Errors
    /// A file that cannot be read, is damaged, or has a newer format.
    pub fn open(io: Arc<dyn Io>, data: &Path, lake: Lake, store: ClickHouse) -> Result<Self, MigrateError> {
        let path = data.join(FILE);
        let progress = match read_all(&*io, &path, BYTES_MAX) {
            Ok(bytes) => {
                serde_json::from_slice::<Progress>(&bytes).map_err(io::Error::other).and_then(|progress| match progress
                    .format
                {
                    0..=FORMAT => Ok(progress),
                    newer => Err(io::Error::other(format!("it has format {newer}, newer than {FORMAT}"))),
                })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Progress { format: FORMAT, ..Progress::default() })
            }
            Err(error) => Err(error),
        };
        Ok(Self { progress: progress.map_err(MigrateError::Progress)?, io, path, lake, store })
    }

    /// Sends every file that has not been sent, oldest first; `tell` hears of each row group. A row group that is sent
    /// again after a lost answer is stored once.
    ///
    /// # Errors
    /// A store that does not take rows, or a file that cannot be read; another run goes on from there.
    pub fn run(&mut self, tell: &mut dyn FnMut(&Migrated)) -> Result<Migrated, MigrateError> {
        let files = self.lake.stored_files();
        let mut done = Migrated { files: files.len(), ..Migrated::default() };
        for file in files {
            if file.last() > self.progress.upto {
                self.send_file(&file, &mut done, tell)?;
            }
            done.files_done += 1;
            tell(&done);
        }
        Ok(done)
    }

    fn send_file(
        &mut self,
        file: &StoredFile,
        done: &mut Migrated,
        tell: &mut dyn FnMut(&Migrated),
    ) -> Result<(), MigrateError> {
        if self.progress.file != file.name() {
            (self.progress.file, self.progress.groups) = (file.name(), 0);
        }
        while let Some(mut rows) = self.lake.stored_rows(file, self.progress.groups).map_err(MigrateError::Read)? {
            rows.retain(|row: &LogRow| row.seq > self.progress.upto);
            let lines: Vec<Line<'_>> = rows.iter().map(Line::of_row).collect();
            self.store.insert(file.received(), &lines).map_err(MigrateError::Send)?;
            self.progress.groups += 1;
            self.save()?;
            done.rows_sent += lines.len() as u64;
            tell(done);
        }
        self.progress.upto = file.last();
        self.save()
    }

    fn save(&self) -> Result<(), MigrateError> {
        let text = serde_json::to_vec(&self.progress).expect("texts and numbers are always JSON");
        write_whole(&*self.io, &self.path, &text).map_err(MigrateError::Progress)
    }
}
