//! The first rows in some order, found without reading what cannot be among them.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use wk_types::UtcMs;

use crate::block::{Block, Column, Columns};
use crate::chunk::Chunk;
use crate::error::LakeError;
use crate::file::GroupSummary;
use crate::name::FileName;
use crate::predicate::Predicate;
use crate::query::{Cursor, Scanned, TailCursor};
use crate::snapshot::{Deadline, Opened, Snapshot, rowid_base};

/// An order of rows; in all of them no two rows have the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    NewestFirst,
    OldestFirst,
    /// As they came in.
    Arrival,
}

/// A place in an order; the greatest comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank(i64, u64, u32);

impl Order {
    pub(crate) fn rank(self, Cursor { time, arrival: TailCursor { seq, line } }: Cursor) -> Rank {
        match self {
            Self::NewestFirst => Rank(time.0, seq.0, line),
            Self::OldestFirst => Rank(!time.0, !seq.0, !line),
            Self::Arrival => Rank(0, !seq.0, !line),
        }
    }

    /// The best rank that rows of these times and records can have.
    fn best(self, (from, to): (UtcMs, UtcMs), first: wk_types::Seq) -> Rank {
        match self {
            Self::NewestFirst => Rank(to.0, u64::MAX, u32::MAX),
            Self::OldestFirst => Rank(!from.0, u64::MAX, u32::MAX),
            Self::Arrival => Rank(0, !first.0, u32::MAX),
        }
    }

    fn best_of_file(self, name: &FileName) -> Rank {
        self.best((name.from, name.to), name.first)
    }

    fn best_of_group(self, group: &GroupSummary) -> Rank {
        self.best((group.from, group.to), group.seqs.0)
    }
}

/// Where a wanted row is; the greatest comes first in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    rank: Rank,
    /// The file's place in the snapshot; `None` for the buffer.
    file: Option<usize>,
    /// The row group, or the chunk of the buffer.
    group: usize,
    position: u32,
}

impl Place {
    /// The row's number within its snapshot.
    pub(crate) fn rowid(&self) -> i64 {
        rowid_base(self.file.map_or(0, |file| file + 1), self.group) + i64::from(self.position)
    }
}

/// What is looked for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) predicate: Predicate,
    pub(crate) order: Order,
    /// Only rows behind this place in the order.
    pub(crate) after: Option<Cursor>,
    pub(crate) limit: usize,
}

/// A search under way, with the best places found so far.
struct Best<'a> {
    wanted: Wanted,
    after: Option<Rank>,
    deadline: &'a Deadline,
    places: BinaryHeap<Reverse<Place>>,
    scanned: Scanned,
}

impl<'a> Best<'a> {
    fn new(mut wanted: Wanted, deadline: &'a Deadline) -> Self {
        let after = wanted.after.map(|cursor| wanted.order.rank(cursor));
        if let Some(cursor) = wanted.after {
            let predicate = &mut wanted.predicate;
            match wanted.order {
                Order::NewestFirst => predicate.to = predicate.to.min(cursor.time),
                Order::OldestFirst => predicate.from = predicate.from.max(cursor.time),
                Order::Arrival => {}
            }
        }
        Self { wanted, after, deadline, places: BinaryHeap::new(), scanned: Scanned::default() }
    }

    /// The rank that a further row must reach, once there are enough.
    fn floor(&self) -> Option<Rank> {
        self.places.peek().filter(|_| self.places.len() >= self.wanted.limit).map(|Reverse(worst)| worst.rank)
    }

    /// Tells whether rows of at best this rank could be among the best.
    fn may_take(&self, best: Rank) -> bool {
        self.floor().is_none_or(|floor| best >= floor)
    }

    /// Tells whether some records lie wholly before the place that the rows wanted come after.
    fn is_before(&self, last: wk_types::Seq) -> bool {
        self.wanted.order == Order::Arrival && self.wanted.after.is_some_and(|after| last < after.arrival.seq)
    }

    fn offer(&mut self, place: Place) {
        if self.after.is_some_and(|after| place.rank >= after) {
            return;
        }
        if self.places.len() >= self.wanted.limit {
            if self.places.peek().is_some_and(|Reverse(worst)| place <= *worst) {
                return;
            }
            self.places.pop();
        }
        self.places.push(Reverse(place));
    }

    /// Narrows the predicate to what could still be among the best.
    fn narrow(&mut self) {
        let Some(Rank(time, ..)) = self.floor() else { return };
        let predicate = &mut self.wanted.predicate;
        match self.wanted.order {
            Order::NewestFirst => predicate.from = predicate.from.max(UtcMs(time)),
            Order::OldestFirst => predicate.to = predicate.to.min(UtcMs(!time)),
            Order::Arrival => {}
        }
    }

    fn offer_chunk(&mut self, number: usize, chunk: &Chunk) {
        let best = self.wanted.order.best_of_group(&chunk.summary);
        if !self.may_take(best) || !self.wanted.predicate.may_match_group(&chunk.summary) {
            return;
        }
        self.scanned.rows += chunk.block.rows() as u64;
        for position in self.wanted.predicate.wanted(&chunk.block) {
            let rank = self.wanted.order.rank(chunk.block.cursor(position as usize));
            self.offer(Place { rank, file: None, group: number, position });
        }
    }

    fn offer_keys(&mut self, (file, group): (usize, usize), positions: &[u32], keys: &Block) {
        for (row, position) in positions.iter().enumerate() {
            let rank = self.wanted.order.rank(keys.cursor(row));
            self.offer(Place { rank, file: Some(file), group, position: *position });
        }
    }
}

/// The columns that say where in an order a row comes.
const KEYS: Columns = Columns::NONE.with(Column::Time).with(Column::Seq).with(Column::Line);

impl Snapshot {
    /// The places of the first wanted rows in their order, and what was looked at.
    pub(crate) fn top(&self, wanted: Wanted, deadline: &Deadline) -> Result<(Vec<Place>, Scanned), LakeError> {
        if wanted.limit == 0 {
            return Ok(Default::default());
        }
        let order = wanted.order;
        let mut best = Best::new(wanted, deadline);
        for (number, chunk) in self.buffered.iter().enumerate() {
            best.offer_chunk(number, chunk);
        }
        let may_match = |name: &FileName| best.wanted.predicate.may_match_file(name) && !best.is_before(name.last);
        let mut files: Vec<usize> = (0..self.files.len()).filter(|file| may_match(&self.files[*file].name)).collect();
        files.sort_by_key(|file| Reverse(order.best_of_file(&self.files[*file].name)));
        for file in files {
            deadline.check()?;
            let log_file = &self.files[file];
            if !best.may_take(order.best_of_file(&log_file.name)) {
                break;
            }
            if let Some(opened) = self.open(log_file)? {
                best.scanned.files += 1;
                self.offer_file(file, &opened, &mut best)?;
            }
        }
        let mut places: Vec<Place> = best.places.into_iter().map(|Reverse(place)| place).collect();
        places.sort_unstable_by(|a, b| b.cmp(a));
        Ok((places, best.scanned))
    }

    fn offer_file(&self, file: usize, opened: &Opened, best: &mut Best<'_>) -> Result<(), LakeError> {
        let order = best.wanted.order;
        let summaries = opened.footer.groups();
        let mut groups: Vec<usize> = (0..summaries.len()).collect();
        groups.sort_by_key(|group| Reverse(order.best_of_group(&summaries[*group])));
        for group in groups {
            best.deadline.check()?;
            if !best.may_take(order.best_of_group(&summaries[group])) {
                break;
            }
            if best.is_before(summaries[group].seqs.1) {
                continue;
            }
            best.narrow();
            let log_file = &self.files[file];
            let read = opened.group(log_file, group).wanted(&best.wanted.predicate, KEYS, &mut best.scanned);
            let read = self.tolerate_group(log_file, (&opened.footer, group), read)?;
            let Some((positions, keys)) = read else { continue };
            best.offer_keys((file, group), &positions, &keys);
        }
        Ok(())
    }

    /// Some columns of the rows at these places; those found damaged meanwhile are left out.
    pub(crate) fn fetch(&self, places: &[Place], columns: Columns) -> Result<Fetched, LakeError> {
        // For each file and row group the positions there, and which row of the answer each one is.
        let mut by_group: BTreeMap<_, Vec<(u32, usize)>> = BTreeMap::new();
        for (answer, place) in places.iter().enumerate() {
            by_group.entry((place.file, place.group)).or_default().push((place.position, answer));
        }
        let mut at = vec![None; places.len()];
        let mut blocks = Vec::with_capacity(by_group.len());
        for ((file, group), mut wanted) in by_group {
            wanted.sort_unstable();
            let positions: Vec<u32> = wanted.iter().map(|(position, _)| *position).collect();
            let Some(block) = self.rows_at(file, group, &positions, columns)? else { continue };
            for (row, (_, answer)) in wanted.into_iter().enumerate() {
                at[answer] = Some((blocks.len(), row));
            }
            blocks.push(block);
        }
        let found = places.iter().zip(at).filter_map(|(place, at)| at.map(|(block, row)| (place.rowid(), block, row)));
        Ok(Fetched { rows: found.collect(), blocks })
    }

    fn rows_at(
        &self,
        file: Option<usize>,
        group: usize,
        positions: &[u32],
        columns: Columns,
    ) -> Result<Option<Block>, LakeError> {
        let Some(file) = file else {
            return Ok(Some(self.buffered[group].block.clone().only(columns).take(positions)));
        };
        let log_file = &self.files[file];
        let Some(opened) = self.open(log_file)? else { return Ok(None) };
        let block = opened.group(log_file, group).block(columns, Some(positions));
        self.tolerate_group(log_file, (&opened.footer, group), block)
    }
}

/// Rows that were fetched, in the order of their places.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    /// For each row its number, its block, and its place there.
    pub(crate) rows: Vec<(i64, usize, usize)>,
    pub(crate) blocks: Vec<Block>,
}
