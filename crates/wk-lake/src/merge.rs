//! Merging small files of a day into larger ones.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::ops::Range;
use std::sync::Arc;

use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use wk_store::io::{Io, ReadFile};

use crate::block::{Block, Columns};
use crate::error::LakeError;
use crate::file::{Footer, GroupReader, LogFile};
use crate::row::Row;
use crate::write::{Encoded, Encoder};

/// This many neighbours of like size are merged.
const RUN_MIN: usize = 8;
/// So many files are open at once at most, each with one row group in memory.
const RUN_MAX: usize = 10;
/// Files grow to this many rows, so that a query that needs one row of a file does not pay for a day.
const ROWS_MAX: u64 = 1 << 19;
/// Files grow to this many bytes; a merged file is built in memory.
const BYTES_MAX: u64 = 16 << 20;
/// Rows from which a file is of the next tier; those of the last are full.
const TIERS: [u64; 4] = [1 << 9, 1 << 12, 1 << 15, 1 << 18];
/// Rows decoded at once from each file.
const BATCH_ROWS: usize = 1_024;

/// What merging looks at in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mergeable {
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) day: i64,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}

impl Mergeable {
    pub(crate) fn of(file: &LogFile) -> Self {
        let name = &file.name;
        Self { first: name.first.0, last: name.last.0, day: name.day(), rows: name.rows, bytes: file.bytes }
    }

    fn tier(&self) -> usize {
        TIERS.iter().take_while(|rows| self.rows >= **rows).count()
    }

    /// Only files between whose records nothing is missing are merged: a merged file stands for its whole range.
    fn is_followed_by(&self, next: &Self) -> bool {
        self.last.checked_add(1) == Some(next.first) && self.day == next.day
    }
}

/// Chooses neighbours to merge, `None` where all is well. Files come in the order of their records.
///
/// Small ones first, so that a row is rewritten once a tier; what is left of a day gone by is merged regardless.
pub(crate) fn choose(files: &[Mergeable], today: i64) -> Option<Range<usize>> {
    for tier in 0..TIERS.len() {
        for run in runs(files, |file| file.tier() <= tier) {
            let window = window(files, &run);
            if run.len() >= RUN_MIN && window.len() >= 2 {
                return Some(window);
            }
        }
    }
    let leftovers = runs(files, |file| file.day < today && file.tier() < TIERS.len());
    leftovers.into_iter().find_map(|run| {
        let windows = run.clone().map(|start| window(files, &(start..run.end)));
        windows.into_iter().find(|window| window.len() >= 2)
    })
}

/// The longest runs of neighbours that all have some property.
fn runs(files: &[Mergeable], has: impl Fn(&Mergeable) -> bool) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (position, file) in files.iter().enumerate().filter(|(_, file)| has(file)) {
        match runs.last_mut() {
            Some(run) if run.end == position && files[position - 1].is_followed_by(file) => run.end += 1,
            _ => runs.push(position..position + 1),
        }
    }
    runs
}

/// As much of a run's start as makes one file.
fn window(files: &[Mergeable], run: &Range<usize>) -> Range<usize> {
    let (mut rows, mut bytes) = (0_u64, 0_u64);
    let fits = |file: &&Mergeable| {
        rows = rows.saturating_add(file.rows);
        bytes = bytes.saturating_add(file.bytes);
        rows <= ROWS_MAX && bytes <= BYTES_MAX
    };
    let length = files[run.clone()].iter().take(RUN_MAX).take_while(fits).count();
    run.start..run.start + length
}

/// Merges files into one; `None` where none of them has a row.
///
/// # Errors
/// The file that cannot be read, with why.
pub(crate) fn merge(
    io: &dyn Io,
    files: &[Arc<LogFile>],
    vessel: Option<&str>,
) -> Result<Option<Encoded>, (Option<Arc<LogFile>>, LakeError)> {
    let mut encoder = Encoder::new(vessel).map_err(|error| (None, error))?;
    let mut inputs = Vec::new();
    let mut heads = BinaryHeap::new();
    for (position, file) in files.iter().enumerate() {
        let fault = |error| (Some(Arc::clone(file)), error);
        let mut input = Input::open(io, file).map_err(fault)?;
        if let Some(row) = input.next().map_err(fault)? {
            heads.push(Reverse(Head { row, input: position }));
        }
        inputs.push(input);
    }
    while let Some(Reverse(Head { row, input })) = heads.pop() {
        encoder.push(Arc::new(row)).map_err(|error| (None, error))?;
        let fault = |error| (Some(Arc::clone(&files[input])), error);
        if let Some(row) = inputs[input].next().map_err(fault)? {
            heads.push(Reverse(Head { row, input }));
        }
    }
    encoder.finish().map_err(|error| (None, error))
}

struct Head {
    row: Row,
    input: usize,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> Ordering {
        self.row.order(&other.row).then(self.input.cmp(&other.input))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Head {}

/// A file being read from its first row to its last.
struct Input {
    file: Arc<LogFile>,
    footer: Footer,
    reader: Box<dyn ReadFile>,
    group: usize,
    batches: Option<ParquetRecordBatchReader>,
    block: Block,
    row: usize,
}

impl Input {
    fn open(io: &dyn Io, file: &Arc<LogFile>) -> Result<Self, LakeError> {
        let footer = Footer::load(io, file)?;
        let reader = file.open(io)?;
        Ok(Self { file: Arc::clone(file), footer, reader, group: 0, batches: None, block: Block::bare(0), row: 0 })
    }

    fn next(&mut self) -> Result<Option<Row>, LakeError> {
        while self.row >= self.block.rows() {
            let Some(block) = self.next_block()? else { return Ok(None) };
            (self.block, self.row) = (block, 0);
        }
        self.row += 1;
        Ok(Some(self.block.row(self.row - 1)))
    }

    fn next_block(&mut self) -> Result<Option<Block>, LakeError> {
        let damaged = |what: String| LakeError::damaged(&self.file.name.to_string(), what);
        loop {
            if let Some(batch) = self.batches.as_mut().and_then(Iterator::next) {
                let batch = batch.map_err(|error| damaged(error.to_string()))?;
                let block = Block::from_batch(&batch);
                return block.map(Some).ok_or_else(|| damaged("a column has an unexpected type".to_owned()));
            }
            if self.group >= self.footer.groups().len() {
                return Ok(None);
            }
            let (file, footer, reader) = (&*self.file, &self.footer, &*self.reader);
            let group = GroupReader { file, footer, reader, group: self.group };
            self.batches = Some(group.batches(Columns::ALL, None, BATCH_ROWS)?);
            self.group += 1;
        }
    }
}

#[cfg(test)]
mod tests;
