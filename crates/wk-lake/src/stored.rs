//! The written files one by one, for moving them to another store.

use std::sync::Arc;

use wk_types::{Seq, UtcMs};

use crate::block::Columns;
use crate::error::LakeError;
use crate::file::LogFile;
use crate::lake::Lake;
use crate::row::LogRow;

/// A written file, which stays on disk as long as this lives.
#[derive(Debug, Clone)]
pub struct StoredFile(pub(crate) Arc<LogFile>);

impl StoredFile {
    /// The file's name; no other file ever has it.
    #[must_use]
    pub fn name(&self) -> String {
        self.0.name.to_string()
    }

    /// When the newest record in it was received.
    #[must_use]
    pub fn received(&self) -> UtcMs {
        self.0.name.received
    }

    /// The last intake record that it stands for.
    #[must_use]
    pub fn last(&self) -> Seq {
        self.0.name.last
    }

    /// How many rows it has.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.0.name.rows
    }
}

impl Lake {
    /// The usable files in the order of their records.
    #[must_use]
    pub fn stored_files(&self) -> Vec<StoredFile> {
        self.snapshot().files.into_iter().map(StoredFile).collect()
    }

    /// The rows of a file's next row group, from 0, in the order of their arrival; `None` behind the last one, and where
    /// the file is damaged, which is then set aside and reported.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn stored_rows(&self, file: &StoredFile, group: usize) -> Result<Option<Vec<LogRow>>, LakeError> {
        let snapshot = self.snapshot();
        let Some(opened) = snapshot.open(&file.0)? else { return Ok(None) };
        if group >= opened.footer.groups().len() {
            return Ok(None);
        }
        let block = opened.group(&file.0, group).block(Columns::ALL, None);
        let Some(block) = snapshot.tolerate(&file.0, block)? else { return Ok(None) };
        let mut rows: Vec<LogRow> = (0..block.rows()).map(|row| block.row(row)).collect();
        rows.sort_unstable_by_key(LogRow::arrival);
        Ok(Some(rows))
    }
}
