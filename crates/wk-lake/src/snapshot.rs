//! What a query sees: the files and the buffered rows of one moment.

use std::sync::Arc;
use std::time::Instant;

use wk_store::io::ReadFile;
use wk_types::DurationMs;

use crate::block::{Block, Columns};
use crate::chunk::Chunk;
use crate::error::LakeError;
use crate::file::{Footer, GroupReader, LogFile};
use crate::lake::Inner;
use crate::predicate::Predicate;
use crate::query::{Cancel, Scanned, SearchLimits};

/// Until when a query may run.
#[derive(Debug, Clone)]
pub(crate) struct Deadline {
    at: Option<Instant>,
    limit: DurationMs,
    cancel: Cancel,
}

impl Deadline {
    pub(crate) fn after(limit: DurationMs, cancel: &Cancel) -> Self {
        Self { at: Instant::now().checked_add(limit.to_std()), limit, cancel: cancel.clone() }
    }

    pub(crate) fn has_passed(&self) -> bool {
        self.cancel.is_cancelled() || self.at.is_some_and(|at| Instant::now() >= at)
    }

    pub(crate) fn error(&self) -> LakeError {
        if self.cancel.is_cancelled() { LakeError::Cancelled } else { LakeError::TimeLimit { limit: self.limit } }
    }

    /// What is left of it, as the limits of another question.
    pub(crate) fn left(&self) -> SearchLimits {
        let left = self.at.map_or(self.limit, |at| {
            let left = at.saturating_duration_since(Instant::now());
            DurationMs(i64::try_from(left.as_millis()).unwrap_or(i64::MAX))
        });
        SearchLimits { time_max: left, cancel: self.cancel.clone(), ..SearchLimits::default() }
    }

    pub(crate) fn check(&self) -> Result<(), LakeError> {
        if self.has_passed() { Err(self.error()) } else { Ok(()) }
    }
}

/// The files and the buffered rows of one moment; the files stay on disk as long as it lives.
#[derive(Debug)]
pub(crate) struct Snapshot {
    pub(crate) lake: Arc<Inner>,
    pub(crate) files: Vec<Arc<LogFile>>,
    pub(crate) buffered: Vec<Arc<Chunk>>,
}

/// A file open for reading.
pub(crate) struct Opened {
    pub(crate) footer: Arc<Footer>,
    reader: Box<dyn ReadFile>,
}

impl Opened {
    pub(crate) fn group<'a>(&'a self, file: &'a LogFile, group: usize) -> GroupReader<'a> {
        GroupReader { file, footer: &self.footer, reader: &*self.reader, group }
    }
}

impl Snapshot {
    /// Opens a file; `None` where it is damaged or newer, which is then reported.
    pub(crate) fn open(&self, file: &Arc<LogFile>) -> Result<Option<Opened>, LakeError> {
        let footer = self.lake.footer(file);
        let Some(footer) = self.tolerate(file, footer)? else { return Ok(None) };
        Ok(Some(Opened { footer, reader: file.open(&*self.lake.io)? }))
    }

    /// Turns damage into `None` and sets the file aside, so that one bad file does not hide the others.
    pub(crate) fn tolerate<T>(
        &self,
        file: &Arc<LogFile>,
        result: Result<T, LakeError>,
    ) -> Result<Option<T>, LakeError> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(error @ (LakeError::Damaged { .. } | LakeError::Newer { .. })) => {
                self.lake.set_aside(file, &error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// How many rows there are, wanted or not.
    pub(crate) fn rows(&self) -> u64 {
        let buffered: usize = self.buffered.iter().map(|chunk| chunk.block.rows()).sum();
        self.files.iter().map(|file| file.name.rows).sum::<u64>() + buffered as u64
    }
}

/// Reads wanted rows block by block, in no particular order.
pub(crate) struct Scan {
    snapshot: Arc<Snapshot>,
    predicate: Predicate,
    columns: Columns,
    deadline: Deadline,
    chunk: usize,
    file: usize,
    opened: Option<Opened>,
    group: usize,
    pub(crate) scanned: Scanned,
}

impl Scan {
    pub(crate) fn new(snapshot: Arc<Snapshot>, predicate: Predicate, columns: Columns, deadline: Deadline) -> Self {
        let scanned = Scanned::default();
        Self { snapshot, predicate, columns, deadline, chunk: 0, file: 0, opened: None, group: 0, scanned }
    }

    /// The next block with its rows' numbers, never an empty one; `None` at the end.
    pub(crate) fn next_block(&mut self) -> Result<Option<(Block, Rowids)>, LakeError> {
        while self.chunk < self.snapshot.buffered.len() {
            self.deadline.check()?;
            let (block, rowids) = self.chunk_block();
            if block.rows() > 0 {
                return Ok(Some((block, rowids)));
            }
        }
        while self.file < self.snapshot.files.len() {
            self.deadline.check()?;
            if let Some((block, rowids)) = self.group_block()?
                && block.rows() > 0
            {
                return Ok(Some((block, rowids)));
            }
        }
        Ok(None)
    }

    fn chunk_block(&mut self) -> (Block, Rowids) {
        let chunk = &self.snapshot.buffered[self.chunk];
        let base = rowid_base(0, self.chunk);
        self.chunk += 1;
        self.scanned.rows += chunk.block.rows() as u64;
        if !self.predicate.may_match_group(&chunk.summary) {
            return Default::default();
        }
        let positions = self.predicate.wanted(&chunk.block);
        (chunk.block.clone().only(self.columns).take(&positions), Rowids(base, positions))
    }

    /// Reads the next row group, or steps to the next file.
    fn group_block(&mut self) -> Result<Option<(Block, Rowids)>, LakeError> {
        let file = Arc::clone(&self.snapshot.files[self.file]);
        if self.opened.is_none() && self.predicate.may_match_file(&file.name) {
            self.opened = self.snapshot.open(&file)?;
            self.scanned.files += 1;
        }
        let has_group = self.opened.as_ref().is_some_and(|opened| self.group < opened.footer.groups().len());
        let Some(opened) = self.opened.as_ref().filter(|_| has_group) else {
            (self.opened, self.group) = (None, 0);
            self.file += 1;
            return Ok(None);
        };
        let reader = opened.group(&file, self.group);
        let base = rowid_base(self.file + 1, self.group);
        self.group += 1;
        let read = reader.wanted(&self.predicate, self.columns, &mut self.scanned);
        let read = self.snapshot.tolerate(&file, read)?;
        Ok(read.map(|(positions, block)| (block, Rowids(base, positions))))
    }
}

/// The numbers of rows, by which SQLite knows a row again that it meets twice: a base, and the rows' positions from there.
#[derive(Debug, Default)]
pub(crate) struct Rowids(i64, Vec<u32>);

impl Rowids {
    /// The number of the row at a place in its block.
    pub(crate) fn of(&self, row: usize) -> i64 {
        self.0 + self.1.get(row).copied().map_or(0, i64::from)
    }
}

/// The number of the first row of a group; source 0 is the buffer, the others are files.
pub(crate) const fn rowid_base(source: usize, group: usize) -> i64 {
    (source as i64) << 40 | (group as i64) << 20
}
