//! Rollups: writing those of stretches of time that are over, and reading them together with what is too recent.
//!
//! A file of five-minute rows sums up six hours, one of hourly rows a day, made from the five-minute rows of that day.
//! What a file says is a function of the samples up to the record in its name: a crash before it is whole leaves nothing
//! but that it is made again, and a block of later records with samples of its stretch makes it be made anew.

mod columns;
mod read;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hashbrown::HashMap;
use wk_block::BlockError;
use wk_types::{DurationMs, ErrorKind, Resolution, RollupRow, Seq, UtcMs};

use super::cache::Loaded;
use super::file::{BlockFile, Kind, stretch};
use super::{Maintained, MetricError, Shared, State, Upkeep};
pub(super) use columns::Column;
use columns::{RowReader, RowWriter};
pub(super) use read::dictionary_of_columns;
use rows::{COUNTER_GAP_MAX, fold, renewed, roll};

/// How long rollups that lack late samples wait for more of these before they are made anew.
const RENEW_AFTER: DurationMs = DurationMs::from_hours(1);
/// The range of a block beyond which it is read to learn which stretches it has samples of.
const RANGE_MAX: DurationMs = DurationMs::from_hours(48);

/// What is to be rolled up next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Due {
    resolution: Resolution,
    begin: UtcMs,
    upto: Seq,
}

impl Shared {
    /// Rolls up one stretch that is over, if one is due.
    pub(super) fn roll_up(&self, now: UtcMs, upkeep: &mut Upkeep, done: &mut Maintained) -> Result<(), MetricError> {
        self.learn_stretches(upkeep)?;
        let due = {
            let state = self.read();
            let due = state.due(self.options.late_window, self.oldest_rollups(&state), upkeep, now);
            upkeep.unrolled = state.unrolled(upkeep);
            due
        };
        upkeep.unrolled_since = if upkeep.unrolled.is_empty() { None } else { upkeep.unrolled_since.or(Some(now)) };
        let Some(due) = due else { return Ok(()) };
        let written = match due.resolution {
            Resolution::FiveMinutes => self.roll_samples(due)?,
            Resolution::Hour => self.roll_rows(due)?,
        };
        let Some(file) = written else { return Ok(()) };
        let replaced = {
            let mut state = self.write();
            let file = Arc::new(file);
            state.rollups.insert((due.resolution, due.begin), Arc::clone(&file)).filter(|old| old.name != file.name)
        };
        done.rollups_written += 1;
        self.remove(replaced.iter())
    }

    fn oldest_rollups(&self, state: &State) -> [UtcMs; 2] {
        let since = |age: DurationMs| state.clock.time().map_or(UtcMs::MIN, |time| time - age);
        [since(self.options.rollup_5m_age_max), since(self.options.rollup_1h_age_max)]
    }

    /// Reads which stretches blocks with a long range have samples of: such a range may be mostly empty.
    fn learn_stretches(&self, upkeep: &mut Upkeep) -> Result<(), MetricError> {
        let long: Vec<Arc<BlockFile>> =
            self.read().blocks.iter().filter(|block| has_long_range(block)).cloned().collect();
        upkeep.stretches.retain(|name, _| long.iter().any(|block| block.name == *name));
        for block in long {
            if upkeep.stretches.contains_key(&block.name) {
                continue;
            }
            let Some(inputs) = self.load_inputs(std::slice::from_ref(&block))? else { continue };
            let mut begins = BTreeSet::new();
            let series = self.union(&inputs, &[]);
            self.gather(&inputs, &series, (UtcMs::MIN, UtcMs::MAX), &mut |_, samples| {
                begins.extend(samples.iter().map(|sample| sample.time.floor_to(stretch(Resolution::FiveMinutes))));
                Ok(())
            })?;
            upkeep.stretches.insert(block.name.clone(), begins.into_iter().collect());
        }
        Ok(())
    }

    /// Makes the five-minute rows of a stretch of its samples.
    fn roll_samples(&self, due: Due) -> Result<Option<BlockFile>, MetricError> {
        let from = due.begin - COUNTER_GAP_MAX;
        let to = due.begin + stretch(due.resolution) - DurationMs(1);
        let (blocks, old) = {
            let state = self.read();
            (state.overlapping(from, to), state.rollups.get(&(due.resolution, due.begin)).cloned())
        };
        let Some(inputs) = self.load_inputs(&blocks)? else { return Ok(None) };
        let Some(old) = self.load_inputs(old.as_slice())? else { return Ok(None) };
        let mut old = OldRows::new(old.first());
        let series = self.union(&inputs, &old.numbers());
        let step = due.resolution.step();
        let written = self.write_block(
            |writer| {
                let mut rows = RowWriter::new(writer);
                self.gather(&inputs, &series, (from, to), &mut |(one, number), samples| {
                    let made = roll(one.labels.name(), samples, due.begin, step);
                    rows.push(one, renewed(&old.rows(*number)?, made))
                })?;
                rows.finish()
            },
            |header| BlockFile::rollup(due.resolution, due.begin, due.upto, header),
        );
        self.keep_or_doubt(written)
    }

    /// Makes the hourly rows of a day of its five-minute rows.
    fn roll_rows(&self, due: Due) -> Result<Option<BlockFile>, MetricError> {
        let end = due.begin + stretch(due.resolution) - DurationMs(1);
        let (files, old): (Vec<_>, _) = {
            let state = self.read();
            let fine = state.rollups.range((Resolution::FiveMinutes, due.begin)..=(Resolution::FiveMinutes, end));
            (fine.map(|(_, file)| Arc::clone(file)).collect(), state.rollups.get(&(due.resolution, due.begin)).cloned())
        };
        let Some(inputs) = self.load_inputs(&files)? else { return Ok(None) };
        let Some(old) = self.load_inputs(old.as_slice())? else { return Ok(None) };
        let mut old = OldRows::new(old.first());
        let mut fine: Vec<OldRows<'_>> = inputs.iter().map(|input| OldRows::new(Some(input))).collect();
        let series = self.union(&inputs, &old.numbers());
        let written = self.write_block(
            |writer| {
                let mut rows = RowWriter::new(writer);
                for (one, number) in &series {
                    let mut day: Vec<RollupRow> = Vec::new();
                    for file in &mut fine {
                        day.extend(file.rows(*number)?);
                    }
                    rows.push(one, renewed(&old.rows(*number)?, fold(&day, due.resolution)))?;
                }
                rows.finish()
            },
            |header| BlockFile::rollup(due.resolution, due.begin, due.upto, header),
        );
        self.keep_or_doubt(written)
    }

    /// A file of rollups that turns out damaged goes out of use; what it said is made anew from what is left.
    fn keep_or_doubt(&self, written: Result<BlockFile, MetricError>) -> Result<Option<BlockFile>, MetricError> {
        match written {
            Ok(file) => Ok(Some(file)),
            Err(MetricError::Read { file, source }) if source.kind() == ErrorKind::Corrupt => {
                let known = self.read().rollups.values().find(|one| one.name == file).cloned();
                known.iter().for_each(|block| self.doubt(block, &source));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Rows as a file has them, by the number of the series.
struct OldRows<'a> {
    reader: Option<(RowReader<'a>, &'a Loaded)>,
    positions: HashMap<u32, Vec<usize>>,
}

impl<'a> OldRows<'a> {
    fn new(loaded: Option<&'a Arc<Loaded>>) -> Self {
        let mut positions: HashMap<u32, Vec<usize>> = HashMap::new();
        for (position, number) in loaded.iter().flat_map(|loaded| loaded.dictionary.numbers.iter().enumerate()) {
            positions.entry(*number).or_default().push(position);
        }
        Self { reader: loaded.map(|loaded| (RowReader::new(loaded), &**loaded)), positions }
    }

    fn numbers(&self) -> Vec<u32> {
        self.positions.keys().copied().collect()
    }

    fn rows(&mut self, number: u32) -> Result<Vec<RollupRow>, MetricError> {
        let (Some((reader, loaded)), Some(positions)) = (&mut self.reader, self.positions.get(&number)) else {
            return Ok(Vec::new());
        };
        reader
            .rows(positions, (UtcMs::MIN, UtcMs::MAX))
            .map_err(|source: BlockError| MetricError::Read { file: loaded.file.name.clone(), source })
    }
}

fn has_long_range(block: &BlockFile) -> bool {
    block.samples > 0 && block.last.since(block.first) > RANGE_MAX
}

/// The beginnings of the stretches that `block` may have samples of, where that is known.
fn stretches(block: &BlockFile, learned: &BTreeMap<String, Vec<UtcMs>>) -> Option<Vec<UtcMs>> {
    if block.samples == 0 {
        return Some(Vec::new());
    }
    if has_long_range(block) {
        return learned.get(&block.name).cloned();
    }
    let step = stretch(Resolution::FiveMinutes);
    let begins = std::iter::successors(Some(block.first.floor_to(step)), |begin| Some(*begin + step));
    Some(begins.take_while(|begin| *begin <= block.last).collect())
}

impl State {
    /// Tells whether all samples of a block are in rollups, and none tells any more what a counter had reached before a
    /// stretch that is not.
    pub(super) fn is_rolled(&self, block: &BlockFile, upkeep: &Upkeep) -> bool {
        let rolled = |begin| {
            let file = self.rollups.get(&(Resolution::FiveMinutes, begin));
            file.is_some_and(|file| block.seqs.0 <= file.seqs.1)
        };
        if block.samples == 0 {
            return true;
        }
        let step = stretch(Resolution::FiveMinutes);
        let next = (block.last + COUNTER_GAP_MAX).floor_to(step);
        let is_empty = || !self.blocks.iter().any(|other| other.meets(next, next + step - DurationMs(1)));
        let begins = stretches(block, &upkeep.stretches);
        begins.is_some_and(|begins| begins.into_iter().all(rolled)) && (rolled(next) || is_empty())
    }

    /// The names of blocks with samples of a stretch that was rolled up before these came. What is not known of a block
    /// with a long range counts as such.
    fn unrolled(&self, upkeep: &Upkeep) -> std::collections::HashSet<String> {
        let lacks = |block: &BlockFile, begin| {
            let file = self.rollups.get(&(Resolution::FiveMinutes, begin));
            file.is_some_and(|file| block.seqs.0 > file.seqs.1)
        };
        let is_unrolled = |block: &&Arc<BlockFile>| {
            stretches(block, &upkeep.stretches).is_none_or(|begins| begins.into_iter().any(|begin| lacks(block, begin)))
        };
        self.blocks.iter().filter(is_unrolled).map(|block| block.name.clone()).collect()
    }

    /// The oldest stretch that is over, not older than rollups are kept, and not rolled up, or not with all samples.
    fn due(&self, late_window: DurationMs, oldest: [UtcMs; 2], upkeep: &Upkeep, now: UtcMs) -> Option<Due> {
        let newest = self.blocks.iter().rev().find(|block| block.kind == Kind::Normal && block.samples > 0)?.last;
        let is_over = |resolution, begin: UtcMs| begin + stretch(resolution) + late_window <= newest;
        let waited = upkeep.unrolled_since.map(|since| now.since(since));
        let renews = waited.is_some_and(|waited| waited >= RENEW_AFTER || waited < DurationMs(0));
        let mut pending = BTreeSet::new();
        for block in self.blocks.iter() {
            for begin in stretches(block, &upkeep.stretches).unwrap_or_default() {
                let end = begin + stretch(Resolution::FiveMinutes);
                if end <= oldest[0] || !is_over(Resolution::FiveMinutes, begin) {
                    continue;
                }
                match self.rollups.get(&(Resolution::FiveMinutes, begin)) {
                    Some(file) if block.seqs.0 <= file.seqs.1 || !renews => {}
                    _ => {
                        pending.insert(begin);
                    }
                }
            }
        }
        if let Some(begin) = pending.first() {
            return Some(Due { resolution: Resolution::FiveMinutes, begin: *begin, upto: self.persisted });
        }
        let mut days: BTreeMap<UtcMs, Seq> = BTreeMap::new();
        let fine = (Resolution::FiveMinutes, UtcMs::MIN)..=(Resolution::FiveMinutes, UtcMs::MAX);
        for ((_, begin), file) in self.rollups.range(fine) {
            let upto = days.entry(begin.floor_to(stretch(Resolution::Hour))).or_default();
            *upto = (*upto).max(file.seqs.1);
        }
        days.into_iter()
            .filter(|(begin, _)| is_over(Resolution::Hour, *begin) && *begin + stretch(Resolution::Hour) > oldest[1])
            .find(|(begin, upto)| self.rollups.get(&(Resolution::Hour, *begin)).is_none_or(|file| file.seqs.1 < *upto))
            .map(|(begin, upto)| Due { resolution: Resolution::Hour, begin, upto })
    }
}
