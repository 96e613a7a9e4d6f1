//! Reading rollups: stretches that are stored, and those that are too recent, made of their samples on the way.

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;

use hashbrown::HashMap;
use roaring::RoaringBitmap;
use wk_block::BlockError;
use wk_types::series::SourceError;
use wk_types::{
    DurationMs, ErrorKind, Matcher, Resolution, RollupRow, RollupSource, Rollups, Series, SeriesRollup, UtcMs,
};

use super::super::cache::{Dictionary, Loaded};
use super::super::file::stretch;
use super::super::index::{CompiledMatcher, Index};
use super::super::query::ATTEMPTS_MAX;
use super::super::{MetricStore, Shared};
use super::columns::{COLUMN, Column, RowReader};
use super::rows::{COUNTER_GAP_MAX, fold, roll};

/// Series whose rows are read together.
const BATCH_SERIES: usize = 256;

impl RollupSource for MetricStore {
    fn rollups(
        &self,
        matchers: &[Matcher],
        from: UtcMs,
        to: UtcMs,
        resolution: Resolution,
    ) -> Result<Rollups, SourceError> {
        CompiledMatcher::compile(matchers)?;
        Ok(Box::new(Reading {
            shared: Arc::clone(&self.0),
            matchers: matchers.to_vec(),
            range: (from, to),
            stretches: self.0.stretches(resolution, from, to).into_iter().collect(),
            resolution,
            begin: UtcMs::MIN,
            series: VecDeque::new(),
            ready: VecDeque::new(),
        }))
    }
}

/// Rollups being read.
struct Reading {
    shared: Arc<Shared>,
    matchers: Vec<Matcher>,
    range: (UtcMs, UtcMs),
    resolution: Resolution,
    /// The beginnings of stretches still to be read.
    stretches: VecDeque<UtcMs>,
    /// The beginning of the one being read, and what is left of its series.
    begin: UtcMs,
    series: VecDeque<Arc<Series>>,
    ready: VecDeque<SeriesRollup>,
}

impl Reading {
    fn fill(&mut self) -> Result<(), SourceError> {
        let end = self.series.len().min(BATCH_SERIES);
        let batch: Vec<Arc<Series>> = self.series.drain(..end).collect();
        let rows = self.shared.rows(self.resolution, self.begin, &batch)?;
        let (from, to) = self.range;
        for (series, mut rows) in batch.into_iter().zip(rows) {
            rows.retain(|row| (from..=to).contains(&row.time));
            if !rows.is_empty() {
                self.ready.push_back(SeriesRollup { series, rows });
            }
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<bool, SourceError> {
        if !self.series.is_empty() {
            self.fill()?;
            return Ok(true);
        }
        let Some(begin) = self.stretches.pop_front() else { return Ok(false) };
        self.begin = begin;
        self.series = self.shared.series_of(self.resolution, begin, &self.matchers)?.into();
        Ok(true)
    }
}

impl Iterator for Reading {
    type Item = Result<SeriesRollup, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(ready) = self.ready.pop_front() {
                return Some(Ok(ready));
            }
            match self.advance() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => {
                    self.stretches.clear();
                    self.series.clear();
                    return Some(Err(error));
                }
            }
        }
    }
}

/// The directory of a rollup block: every column has the number of the series it is a column of.
pub(in crate::metrics) fn dictionary_of_columns(index: &mut Index, series: &[Series]) -> Dictionary {
    let (mut numbers, mut columns) = (Vec::with_capacity(series.len()), Vec::with_capacity(series.len()));
    let mut known: Option<(&Series, u32)> = None;
    for one in series {
        let pairs = || one.labels.iter().filter(|(name, _)| &***name != COLUMN);
        let same = known.filter(|(other, _)| pairs().eq(other.labels.iter().filter(|(name, _)| &***name != COLUMN)));
        let number = match same {
            Some((_, number)) => number,
            None => index.intern(&Series::new(one.labels.filtered(|name| name != COLUMN), one.asset.clone())),
        };
        known = Some((one, number));
        numbers.push(number);
        // A series that is no column has no last value, and so no rows.
        columns.push(Column::parse(one).unwrap_or(Column::Count));
    }
    Dictionary::new(numbers, columns)
}

impl Shared {
    /// The beginnings of the stretches that may have rows in `from..=to`, stored or not.
    fn stretches(&self, resolution: Resolution, from: UtcMs, to: UtcMs) -> BTreeSet<UtcMs> {
        let fine = stretch(Resolution::FiveMinutes);
        // The step that begins last ends later.
        let until = to + resolution.step();
        let state = self.read();
        let stored = state.rollups.values().filter(|file| file.first <= to && file.last >= from);
        let mut begins: BTreeSet<UtcMs> =
            stored.filter_map(|file| file.stretch()).filter(|(of, _)| *of == resolution).map(|(_, at)| at).collect();
        let blocks = state.blocks.iter().filter(|block| block.samples > 0).map(|block| (block.first, block.last));
        for (first, last) in blocks.chain(state.unwritten_range()) {
            let (first, last) = (first.max(from), last.min(until));
            let all = std::iter::successors(Some(first.floor_to(fine)), |begin| Some(*begin + fine));
            begins.extend(
                all.take_while(|begin| *begin <= last && first <= last)
                    .map(|begin| begin.floor_to(stretch(resolution))),
            );
        }
        if resolution == Resolution::Hour {
            let fine = state.rollups.range((Resolution::FiveMinutes, UtcMs::MIN)..(Resolution::Hour, UtcMs::MIN));
            let met = fine.filter(|(_, file)| file.first <= to && file.last >= from);
            begins.extend(met.map(|((_, begin), _)| begin.floor_to(stretch(resolution))));
        }
        begins
    }

    /// The directory of the file of a stretch, where there is one.
    fn stored(&self, resolution: Resolution, begin: UtcMs) -> Result<Option<Arc<Loaded>>, SourceError> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(file) = self.read().rollups.get(&(resolution, begin)).cloned() else { return Ok(None) };
            match self.load(&file) {
                Ok(loaded) => return Ok(Some(loaded)),
                // It was made anew or deleted meanwhile.
                Err(BlockError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == ErrorKind::Corrupt => self.doubt(&file, &error),
                Err(error) => return Err(SourceError::Read { reason: format!("{}: {error}", file.name) }),
            }
        }
        Err(SourceError::Read { reason: "the rollups keep changing".to_owned() })
    }

    /// The series that may have rows in a stretch, sorted by labels.
    fn series_of(
        &self,
        resolution: Resolution,
        begin: UtcMs,
        matchers: &[Matcher],
    ) -> Result<Vec<Arc<Series>>, SourceError> {
        if let Some(loaded) = self.stored(resolution, begin)? {
            let compiled = CompiledMatcher::compile(matchers)?;
            let state = self.read();
            let mut matched = state.index.matching(&compiled);
            matched &= loaded.dictionary.numbers.iter().copied().collect::<RoaringBitmap>();
            let mut series: Vec<Arc<Series>> =
                matched.iter().filter_map(|number| state.index.series(number).cloned()).collect();
            drop(state);
            series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
            return Ok(series);
        }
        let to = begin + stretch(resolution) - DurationMs(1);
        if resolution == Resolution::FiveMinutes {
            return self.present_series(matchers, begin, to);
        }
        let mut series = Vec::new();
        for fine in parts_of_day(begin) {
            series.extend(self.series_of(Resolution::FiveMinutes, fine, matchers)?);
        }
        series.sort_unstable_by(|a: &Arc<Series>, b| a.labels.cmp(&b.labels));
        series.dedup_by(|a, b| a.id == b.id);
        Ok(series)
    }

    /// The rows of each of `batch` in a stretch.
    fn rows(
        &self,
        resolution: Resolution,
        begin: UtcMs,
        batch: &[Arc<Series>],
    ) -> Result<Vec<Vec<RollupRow>>, SourceError> {
        if let Some(loaded) = self.stored(resolution, begin)? {
            return self.stored_rows(&loaded, batch);
        }
        if resolution == Resolution::FiveMinutes {
            return self.recent_rows(begin, batch);
        }
        let mut days = vec![Vec::new(); batch.len()];
        for fine in parts_of_day(begin) {
            let rows = self.rows(Resolution::FiveMinutes, fine, batch)?;
            days.iter_mut().zip(rows).for_each(|(day, rows)| day.extend(rows));
        }
        Ok(days.into_iter().map(|day| fold(&day, resolution)).collect())
    }

    fn stored_rows(&self, loaded: &Loaded, batch: &[Arc<Series>]) -> Result<Vec<Vec<RollupRow>>, SourceError> {
        let slots: HashMap<u32, usize> = {
            let state = self.read();
            let known = |(slot, one): (usize, &Arc<Series>)| Some((state.index.number(one.id)?, slot));
            batch.iter().enumerate().filter_map(known).collect()
        };
        let wanted: RoaringBitmap = slots.keys().copied().collect();
        let numbers = &loaded.dictionary.numbers;
        let mut reader = RowReader::new(loaded);
        let mut rows = vec![Vec::new(); batch.len()];
        let mut damaged = BTreeSet::new();
        for positions in loaded.dictionary.positions(&wanted).chunk_by(|a, b| numbers[*a] == numbers[*b]) {
            let slot = slots[&numbers[positions[0]]];
            match reader.rows(positions, (UtcMs::MIN, UtcMs::MAX)) {
                Ok(read) => rows[slot] = read,
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    if damaged.insert(reader.chunk_of(positions[0])) {
                        self.note_damaged_chunk(&loaded.file, &error);
                    }
                }
                Err(error) => return Err(SourceError::Read { reason: format!("{}: {error}", loaded.file.name) }),
            }
        }
        Ok(rows)
    }

    /// The five-minute rows of a stretch that is not stored, made of its samples.
    fn recent_rows(&self, begin: UtcMs, batch: &[Arc<Series>]) -> Result<Vec<Vec<RollupRow>>, SourceError> {
        let to = begin + stretch(Resolution::FiveMinutes) - DurationMs(1);
        let pick = |index: &Index| batch.iter().filter_map(|one| index.number(one.id)).collect();
        let found = self.collect(&pick, (begin - COUNTER_GAP_MAX, to), usize::MAX)?;
        let slots: HashMap<_, usize> = batch.iter().enumerate().map(|(slot, one)| (one.id, slot)).collect();
        let mut rows = vec![Vec::new(); batch.len()];
        for one in found {
            if let Some(slot) = slots.get(&one.series.id) {
                rows[*slot] = roll(one.series.labels.name(), &one.samples, begin, Resolution::FiveMinutes.step());
            }
        }
        Ok(rows)
    }
}

/// The stretches of five-minute rows that a day consists of.
fn parts_of_day(begin: UtcMs) -> impl Iterator<Item = UtcMs> {
    let (day, part) = (stretch(Resolution::Hour), stretch(Resolution::FiveMinutes));
    (0..day.0 / part.0).map(move |at| begin + DurationMs(at * part.0))
}
