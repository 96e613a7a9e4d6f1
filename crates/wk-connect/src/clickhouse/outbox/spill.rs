//! Batches kept on the node's disk while the store is away: a lake of their own, one file for each.

use std::path::Path;
use std::sync::Arc;

use wk_lake::{Lake, LakeError, LakeOptions, LogRow, StoredFile};
use wk_store::io::Io;
use wk_types::{Body, IntakeRecord, Seq};

/// The spill's folder of log files.
#[derive(Debug)]
pub(super) struct Spill {
    lake: Lake,
    bytes_max: u64,
    /// The first record in it.
    first: Option<Seq>,
}

impl Spill {
    pub(super) fn open(io: Arc<dyn Io>, folder: &Path, bytes_max: u64) -> Result<Self, LakeError> {
        let (lake, report) = Lake::open(io, folder, LakeOptions::default())?;
        if report.files > 0 {
            tracing::info!(files = report.files, rows = report.rows, "logs of an earlier run wait in the spill");
        }
        let mut spill = Self { lake, bytes_max, first: None };
        spill.first = spill.oldest()?.and_then(|(_, rows)| rows.first().map(|row| row.seq));
        Ok(spill)
    }

    /// Tells whether no more may be put in.
    pub(super) fn is_full(&self) -> bool {
        self.lake.stats().bytes >= self.bytes_max
    }

    /// Writes a batch to a file of its own; a batch that is there already is passed over.
    pub(super) fn put(&mut self, records: &[Arc<IntakeRecord>]) -> Result<(), LakeError> {
        self.first = self.first.or_else(|| records.first().map(|record| record.seq));
        for record in records {
            if let Body::Logs(logs) = &record.body {
                self.lake.append(record.seq, record.received, logs)?;
            }
        }
        self.lake.flush()
    }

    /// The oldest file with its rows in the order of their arrival; a damaged one is set aside and reported.
    pub(super) fn oldest(&self) -> Result<Option<(StoredFile, Vec<LogRow>)>, LakeError> {
        while let Some(file) = self.lake.stored_files().into_iter().next() {
            let mut rows = Vec::new();
            for group in 0.. {
                let Some(more) = self.lake.stored_rows(&file, group)? else { break };
                rows.extend(more);
            }
            if rows.len() as u64 == file.rows() {
                rows.sort_unstable_by_key(LogRow::arrival);
                return Ok(Some((file, rows)));
            }
            // It was found damaged, and no longer counts; the next one is looked at.
            if self.lake.stored_files().iter().any(|other| other.name() == file.name()) {
                return Ok(Some((file, rows)));
            }
        }
        Ok(None)
    }

    pub(super) fn delete(&mut self, file: StoredFile) -> Result<(), LakeError> {
        self.lake.delete_stored(file)?;
        if self.lake.stored_files().is_empty() {
            self.first = None;
        }
        Ok(())
    }

    /// A record before which nothing is in it; `None` where it is empty.
    pub(super) const fn first(&self) -> Option<Seq> {
        self.first
    }

    /// Its rows and bytes.
    pub(super) fn size(&self) -> (u64, u64) {
        let stats = self.lake.stats();
        (stats.rows, stats.bytes)
    }
}
