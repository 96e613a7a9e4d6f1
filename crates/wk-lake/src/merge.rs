//! Merging files of a day: small ones are rewritten as one row group, larger ones are put one after the other as they
//! are, so that a row is encoded a few times at most and a day can become one file within bounded memory.

use std::ops::Range;
use std::sync::Arc;

use wk_store::io::Io;

use crate::block::{Block, Columns};
use crate::error::LakeError;
use crate::file::{Footer, GroupReader, GroupSummary, LogFile};
use crate::sorted::Sorted;
use crate::write::{Encoder, GROUP_ROWS_MAX};

/// This many neighbours of like size are merged.
const RUN_MIN: usize = 8;
/// Files are merged at once at most.
const RUN_MAX: usize = 64;
/// Rows of files that are rewritten together, one row group.
const REWRITTEN_ROWS_MAX: u64 = GROUP_ROWS_MAX as u64;
/// Bytes of files that are rewritten together, all of which are decoded at once.
const REWRITTEN_BYTES_MAX: u64 = 4 << 20;
/// Files grow to this many rows, so that a footer has a bound.
const ROWS_MAX: u64 = 1 << 23;
/// Files grow to this many bytes.
const BYTES_MAX: u64 = 512 << 20;
/// Rows from which a file is of the next tier; those of the last are full.
const TIERS: [u64; 6] = [1 << 9, 1 << 12, SMALL, 1 << 18, 1 << 21, ROWS_MAX];
/// Files of fewer rows are rewritten.
const SMALL: u64 = 1 << 15;

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

/// Which of the files to merge are damaged.
#[derive(Debug, Default)]
pub(crate) struct Blame {
    /// The file for which a merge failed.
    pub(crate) wholly: Option<Arc<LogFile>>,
    /// Row groups that were left out.
    pub(crate) partly: Vec<(Arc<LogFile>, usize, GroupSummary)>,
}

/// Which neighbours to merge, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Merge {
    /// Their rows are sorted together and encoded anew.
    Rewrite(Range<usize>),
    /// Their row groups are copied one after the other.
    Join(Range<usize>),
}

/// Chooses neighbours to merge, `None` where all is well. Files come in the order of their records.
///
/// Small ones first, so that a row is rewritten once a tier; what is left of a day gone by is merged regardless.
pub(crate) fn choose(files: &[Mergeable], today: i64) -> Option<Merge> {
    for (tier, below) in TIERS.into_iter().enumerate() {
        for run in runs(files, |file| file.tier() <= tier) {
            let merge = if below <= SMALL { rewritten(files, &run) } else { joined(files, &run) };
            if run.len() >= RUN_MIN && merge.files().len() >= 2 {
                return Some(merge);
            }
        }
    }
    let leftovers = |is_wanted: &dyn Fn(&Mergeable) -> bool, window: Window| {
        let runs = runs(files, |file| file.day < today && is_wanted(file));
        runs.into_iter().find_map(|run| {
            let merges = run.clone().map(|start| window(files, &(start..run.end)));
            merges.into_iter().find(|merge| merge.files().len() >= 2)
        })
    };
    leftovers(&|file| file.rows < SMALL, rewritten).or_else(|| leftovers(&|file| file.rows < ROWS_MAX, joined))
}

type Window = fn(&[Mergeable], &Range<usize>) -> Merge;

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

fn rewritten(files: &[Mergeable], run: &Range<usize>) -> Merge {
    Merge::Rewrite(window(files, run, (REWRITTEN_ROWS_MAX, REWRITTEN_BYTES_MAX)))
}

fn joined(files: &[Mergeable], run: &Range<usize>) -> Merge {
    Merge::Join(window(files, run, (ROWS_MAX, BYTES_MAX)))
}

/// As much of a run's start as makes one file.
fn window(files: &[Mergeable], run: &Range<usize>, (rows_max, bytes_max): (u64, u64)) -> Range<usize> {
    let (mut rows, mut bytes) = (0_u64, 0_u64);
    let fits = |file: &&Mergeable| {
        rows = rows.saturating_add(file.rows);
        bytes = bytes.saturating_add(file.bytes);
        rows <= rows_max && bytes <= bytes_max
    };
    let length = files[run.clone()].iter().take(RUN_MAX).take_while(fits).count();
    run.start..run.start + length
}

impl Merge {
    /// Which files.
    pub(crate) fn files(&self) -> Range<usize> {
        match self {
            Self::Rewrite(files) | Self::Join(files) => files.clone(),
        }
    }

    /// Writes the merged file. Of files that are joined, damaged row groups are left out, and the files told in
    /// `blame.partly`; `blame.wholly` is the file that is to blame for an error, where one is.
    ///
    /// # Errors
    /// A file that cannot be read or written.
    pub(crate) fn write(
        &self,
        io: &dyn Io,
        files: &[Arc<LogFile>],
        encoder: &mut Encoder,
        blame: &mut Blame,
    ) -> Result<(), LakeError> {
        let mut blocks = Vec::new();
        for file in files {
            blame.wholly = Some(Arc::clone(file));
            let footer = Footer::load(io, file)?;
            let reader = file.open(io)?;
            for group in 0..footer.groups().len() {
                let group = GroupReader { file, footer: &footer, reader: &*reader, group };
                if matches!(self, Self::Join(_)) && footer.groups().len() > 1 && !group.is_sound()? {
                    blame.partly.push((Arc::clone(file), group.group, *group.summary()));
                    continue;
                }
                match self {
                    Self::Rewrite(_) => blocks.push(group.block(Columns::ALL, None)?),
                    Self::Join(_) if footer.is_present_format() => encoder.copy_group(&group)?,
                    Self::Join(_) => encoder.write(&Sorted::new(&[group.block(Columns::ALL, None)?]))?,
                }
            }
        }
        blame.wholly = None;
        if blocks.is_empty() { Ok(()) } else { encoder.write(&Sorted::new(&blocks as &[Block])) }
    }
}

#[cfg(test)]
mod tests;
