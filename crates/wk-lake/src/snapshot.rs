//! What a query sees: the files and the buffered rows of one moment.

use std::sync::Arc;
use std::time::Instant;

use wk_store::io::ReadFile;
use wk_types::DurationMs;

use crate::block::{Block, Columns};
use crate::error::LakeError;
use crate::file::{Footer, GroupReader, LogFile};
use crate::lake::Inner;
use crate::predicate::Predicate;
use crate::row::Row;

/// Buffered rows handed on at once.
const BUFFER_BLOCK_ROWS: usize = 8_192;

/// Until when a query may run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Option<Instant>,
    limit: DurationMs,
}

impl Deadline {
    pub(crate) const NONE: Self = Self { at: None, limit: DurationMs(0) };

    pub(crate) fn after(limit: DurationMs) -> Self {
        Self { at: Instant::now().checked_add(limit.to_std()), limit }
    }

    pub(crate) fn has_passed(&self) -> bool {
        self.at.is_some_and(|at| Instant::now() >= at)
    }

    pub(crate) const fn error(&self) -> LakeError {
        LakeError::TimeLimit { limit: self.limit }
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
    pub(crate) buffered: Vec<Arc<Row>>,
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
        self.files.iter().map(|file| file.name.rows).sum::<u64>() + self.buffered.len() as u64
    }
}

/// Reads wanted rows block by block, in no particular order.
pub(crate) struct Scan {
    snapshot: Arc<Snapshot>,
    predicate: Predicate,
    columns: Columns,
    deadline: Deadline,
    buffer_position: usize,
    file: usize,
    opened: Option<Opened>,
    group: usize,
}

impl Scan {
    pub(crate) fn new(snapshot: Arc<Snapshot>, predicate: Predicate, columns: Columns, deadline: Deadline) -> Self {
        Self { snapshot, predicate, columns, deadline, buffer_position: 0, file: 0, opened: None, group: 0 }
    }

    /// The next block with its rows' numbers, never an empty one; `None` at the end.
    pub(crate) fn next_block(&mut self) -> Result<Option<(Block, Rowids)>, LakeError> {
        while self.buffer_position < self.snapshot.buffered.len() {
            self.deadline.check()?;
            let (block, rowids) = self.buffer_block();
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

    fn buffer_block(&mut self) -> (Block, Rowids) {
        let start = self.buffer_position;
        let end = (start + BUFFER_BLOCK_ROWS).min(self.snapshot.buffered.len());
        self.buffer_position = end;
        let rows = &self.snapshot.buffered[start..end];
        let mut scratch = String::new();
        let positions: Vec<u32> = (0..rows.len() as u32)
            .filter(|position| self.predicate.matches_row(&rows[*position as usize], &mut scratch))
            .collect();
        let block = Block::from_rows(positions.iter().map(|position| &*rows[*position as usize]));
        (block, Rowids::At(rowid_base(0, 0) + start as i64, positions))
    }

    /// Reads the next row group, or steps to the next file.
    fn group_block(&mut self) -> Result<Option<(Block, Rowids)>, LakeError> {
        let file = Arc::clone(&self.snapshot.files[self.file]);
        if self.opened.is_none() && self.predicate.may_match_file(&file.name) {
            self.opened = self.snapshot.open(&file)?;
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
        let block = read_wanted(&reader, &self.predicate, self.columns);
        let block = self.snapshot.tolerate(&file, block)?;
        Ok(block.map(|(block, positions)| (block, Rowids::At(base, positions))))
    }
}

/// Reads the wanted rows of a group, and their positions.
fn read_wanted(
    reader: &GroupReader<'_>,
    predicate: &Predicate,
    columns: Columns,
) -> Result<(Block, Vec<u32>), LakeError> {
    if !reader.may_match(predicate)? {
        return Ok(Default::default());
    }
    let positions = reader.positions(predicate)?;
    let block = if positions.is_empty() { Block::bare(0) } else { reader.block(columns, Some(&positions))? };
    Ok((block, positions))
}

/// The numbers of rows, by which SQLite knows a row again that it meets twice.
#[derive(Debug)]
pub(crate) enum Rowids {
    /// A base and the rows' positions from there.
    At(i64, Vec<u32>),
    /// Each row's own.
    Each(Vec<i64>),
}

impl Default for Rowids {
    fn default() -> Self {
        Self::Each(Vec::new())
    }
}

impl Rowids {
    /// The number of the row at a place in its block.
    pub(crate) fn of(&self, row: usize) -> i64 {
        match self {
            Self::At(base, positions) => base + positions.get(row).copied().map_or(0, i64::from),
            Self::Each(numbers) => numbers.get(row).copied().unwrap_or_default(),
        }
    }
}

/// The number of the first row of a group; source 0 is the buffer, the others are files.
pub(crate) const fn rowid_base(source: usize, group: usize) -> i64 {
    (source as i64) << 40 | (group as i64) << 20
}
