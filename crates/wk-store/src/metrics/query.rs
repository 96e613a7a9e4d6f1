//! Queries: what the label index selects, merged from blocks and head. Decoding happens without any lock.

use std::collections::BTreeSet;
use std::io;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, RwLockReadGuard};

use hashbrown::HashMap;
use roaring::RoaringBitmap;
use wk_block::{BlockError, SeriesReader};
use wk_types::series::SourceError;
use wk_types::{ErrorKind, Matcher, Sample, Series, SeriesData, SeriesSource, UtcMs};

use super::cache::{Dictionary, Loaded};
use super::file::{BlockFile, FileSource};
use super::index::{CompiledMatcher, Index};
use super::rollup::dictionary_of_columns;
use super::{MetricStore, Shared, State};

/// How often a query starts over because blocks were merged or deleted under it.
pub(super) const ATTEMPTS_MAX: usize = 20;

/// Samples in the blocks of a query from which on a second thread takes half of the series.
const TWO_THREADS_SAMPLES: u64 = 1 << 19;

/// The times of a query, and its samples counted against their bound. Those of overlapping blocks may count twice while
/// they are gathered.
struct Budget {
    range: (UtcMs, UtcMs),
    max: usize,
    gathered: AtomicUsize,
}

impl Budget {
    fn spend(&self, samples: usize) -> Result<(), SourceError> {
        let gathered = self.gathered.fetch_add(samples, Ordering::Relaxed).saturating_add(samples);
        if gathered > self.max.saturating_mul(2) {
            return Err(SourceError::TooManySamples { max: self.max });
        }
        Ok(())
    }
}

/// A series that a query selects, and its samples.
pub(super) struct Found {
    pub(super) series: Arc<Series>,
    pub(super) samples: Vec<Sample>,
    number: u32,
    /// Samples that are not yet on disk; they come after all others.
    unwritten: Vec<Sample>,
}

/// What is to be read of one block: positions, and which of the selected series each is, both ascending.
struct Wanted<'a> {
    block: &'a Loaded,
    positions: Vec<(usize, usize)>,
}

impl SeriesSource for MetricStore {
    fn select(
        &self,
        matchers: &[Matcher],
        from: UtcMs,
        to: UtcMs,
        samples_max: usize,
    ) -> Result<Vec<SeriesData>, SourceError> {
        let matchers = CompiledMatcher::compile(matchers)?;
        if from > to {
            return Ok(Vec::new());
        }
        let found = self.0.collect(&|index| index.matching(&matchers), (from, to), samples_max)?;
        let data = |one: Found| SeriesData { labels: one.series.labels.clone(), samples: one.samples.into() };
        Ok(found.into_iter().map(data).collect())
    }
}

/// Brings samples that were joined in the order of their records into ascending time; of one time the first stays.
pub(super) fn in_order(samples: &mut Vec<Sample>) {
    if samples.windows(2).all(|pair| pair[0].time < pair[1].time) {
        return;
    }
    samples.sort_by_key(|sample| sample.time);
    samples.dedup_by_key(|sample| sample.time);
}

impl MetricStore {
    /// Returns the series that meet all `matchers` and may have a sample in `from..=to`, sorted by labels, the first
    /// `limit` of them.
    ///
    /// # Errors
    /// A pattern that does not compile, and blocks that cannot be read.
    pub fn series(
        &self,
        matchers: &[Matcher],
        from: UtcMs,
        to: UtcMs,
        limit: usize,
    ) -> Result<Vec<Arc<Series>>, SourceError> {
        let mut series = self.0.present_series(matchers, from, to)?;
        series.truncate(limit);
        Ok(series)
    }

    /// Returns the names of all labels of such series, sorted.
    ///
    /// # Errors
    /// As [`series`](Self::series).
    pub fn label_names(&self, matchers: &[Matcher], from: UtcMs, to: UtcMs) -> Result<Vec<String>, SourceError> {
        let (state, present) = self.0.present(matchers, from, to)?;
        Ok(state.index.names(&present))
    }

    /// Returns the values that label `name` has on such series, sorted.
    ///
    /// # Errors
    /// As [`series`](Self::series).
    pub fn label_values(
        &self,
        name: &str,
        matchers: &[Matcher],
        from: UtcMs,
        to: UtcMs,
    ) -> Result<Vec<String>, SourceError> {
        let (state, present) = self.0.present(matchers, from, to)?;
        Ok(state.index.values(name, &present))
    }
}

impl Shared {
    /// The series that `pick` selects and that have samples in `from..=to`, sorted by labels, with these samples: in
    /// ascending time, each time once.
    pub(super) fn collect(
        &self,
        pick: &dyn Fn(&Index) -> RoaringBitmap,
        range: (UtcMs, UtcMs),
        samples_max: usize,
    ) -> Result<Vec<Found>, SourceError> {
        let budget = Budget { range, max: samples_max, gathered: AtomicUsize::new(0) };
        let (state, blocks) = self.consistent(range.0, range.1)?;
        let matched = pick(&state.index);
        let mut found = state.find(&matched, &budget)?;
        drop(state);
        found.sort_unstable_by(|a, b| a.series.labels.cmp(&b.series.labels));
        let slots: HashMap<u32, usize> = found.iter().enumerate().map(|(slot, one)| (one.number, slot)).collect();
        let mut samples = 0;
        let wanted: Vec<Wanted<'_>> = blocks
            .iter()
            .map(|block| {
                let mut positions = block.dictionary.positions(&matched);
                positions.retain(|position| block.layout.span(*position).meets(range.0, range.1));
                samples += positions.iter().map(|at| u64::from(block.layout.span(*at).count)).sum::<u64>();
                let slot = |position: usize| Some((position, *slots.get(&block.dictionary.numbers[position])?));
                Wanted { block, positions: positions.into_iter().filter_map(slot).collect() }
            })
            .collect();
        if samples < TWO_THREADS_SAMPLES
            || std::thread::available_parallelism().is_ok_and(|cores| cores == NonZero::<usize>::MIN)
        {
            self.read_series(&wanted, &mut found, 0, &budget)?;
        } else {
            let middle = found.len() / 2;
            let (first, second) = found.split_at_mut(middle);
            std::thread::scope(|scope| {
                let other = scope.spawn(|| self.read_series(&wanted, second, middle, &budget));
                let mine = self.read_series(&wanted, first, 0, &budget);
                mine.and(other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            })?;
        }
        found.retain(|one| !one.samples.is_empty());
        let total = found.iter().map(|one| one.samples.len()).sum::<usize>();
        if total > samples_max { Err(SourceError::TooManySamples { max: samples_max }) } else { Ok(found) }
    }

    /// Reads the samples of `found`, which begin at slot `base`. Damaged chunks are reported and left out.
    fn read_series(
        &self,
        wanted: &[Wanted<'_>],
        found: &mut [Found],
        base: usize,
        budget: &Budget,
    ) -> Result<(), SourceError> {
        let (from, to) = budget.range;
        let slots = base..base + found.len();
        for Wanted { block, positions } in wanted {
            let begin = positions.partition_point(|(_, slot)| *slot < slots.start);
            let end = positions.partition_point(|(_, slot)| *slot < slots.end);
            let mut reader = SeriesReader::new(&block.layout, &block.source);
            let mut damaged = BTreeSet::new();
            for (position, slot) in &positions[begin..end] {
                let samples = &mut found[slot - base].samples;
                let before = samples.len();
                match reader.append(*position, from, to, samples) {
                    Ok(()) => budget.spend(samples.len() - before)?,
                    Err(error) if error.kind() == ErrorKind::Corrupt => {
                        samples.truncate(before);
                        if damaged.insert(reader.chunk_of(*position)) {
                            self.note_damaged_chunk(&block.file, &error);
                        }
                    }
                    Err(error) => return Err(SourceError::Read { reason: format!("{}: {error}", block.file.name) }),
                }
            }
        }
        for one in found {
            one.samples.append(&mut one.unwritten);
            in_order(&mut one.samples);
        }
        Ok(())
    }

    /// The state, and the directories of exactly those blocks that it says meet `from..=to`.
    pub(super) fn consistent(
        &self,
        from: UtcMs,
        to: UtcMs,
    ) -> Result<(RwLockReadGuard<'_, State>, Vec<Arc<Loaded>>), SourceError> {
        for _ in 0..ATTEMPTS_MAX {
            let wanted = self.read().overlapping(from, to);
            let Some(loaded) = self.load_all(&wanted)? else { continue };
            let state = self.read();
            let now = state.overlapping(from, to);
            if now.len() == wanted.len() && now.iter().zip(&wanted).all(|(a, b)| Arc::ptr_eq(a, b)) {
                return Ok((state, loaded));
            }
            drop(state);
            for block in wanted.iter().filter(|block| !self.has(block)) {
                self.cache.forget(&block.name);
            }
        }
        Err(SourceError::Read { reason: "the blocks keep changing".to_owned() })
    }

    /// Loads the directories of `blocks`; `None` where one is gone or found damaged, so that the list must be asked anew.
    fn load_all(&self, blocks: &[Arc<BlockFile>]) -> Result<Option<Vec<Arc<Loaded>>>, SourceError> {
        let mut loaded = Vec::with_capacity(blocks.len());
        for block in blocks {
            match self.load(block) {
                Ok(one) => loaded.push(one),
                Err(BlockError::Read { source, .. })
                    if source.kind() == io::ErrorKind::NotFound && !self.has(block) =>
                {
                    return Ok(None);
                }
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    self.doubt(block, &error);
                    return Ok(None);
                }
                Err(error) => return Err(SourceError::Read { reason: format!("{}: {error}", block.name) }),
            }
        }
        Ok(Some(loaded))
    }

    fn has(&self, block: &Arc<BlockFile>) -> bool {
        self.read().blocks.iter().any(|known| Arc::ptr_eq(known, block))
    }

    /// The directory of one block.
    pub(super) fn load(&self, block: &Arc<BlockFile>) -> Result<Arc<Loaded>, BlockError> {
        let open = || {
            FileSource::open(&*self.io, &self.dir.join(&block.name))
                .map_err(|source| BlockError::Read { part: "file", source })
        };
        self.cache.load(block, open, |series, keep| {
            let mut state = self.write();
            keep(if block.is_raw() {
                Dictionary::new(series.iter().map(|one| state.index.intern(one)).collect(), Vec::new())
            } else {
                dictionary_of_columns(&mut state.index, series)
            })
        })
    }

    pub(super) fn note_damaged_chunk(&self, block: &BlockFile, error: &BlockError) {
        tracing::warn!(file = %block.name, first = %block.first, last = %block.last, %error, "metric chunk is damaged and left out");
        self.write().chunks_damaged += 1;
    }

    /// The series that meet `matchers` and may have a sample in `from..=to`, sorted by labels.
    pub(super) fn present_series(
        &self,
        matchers: &[Matcher],
        from: UtcMs,
        to: UtcMs,
    ) -> Result<Vec<Arc<Series>>, SourceError> {
        let (state, present) = self.present(matchers, from, to)?;
        let mut series: Vec<Arc<Series>> =
            present.iter().filter_map(|number| state.index.series(number).cloned()).collect();
        drop(state);
        series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
        Ok(series)
    }

    /// The state, and the series that meet `matchers` and may have a sample in `from..=to`.
    fn present(
        &self,
        matchers: &[Matcher],
        from: UtcMs,
        to: UtcMs,
    ) -> Result<(RwLockReadGuard<'_, State>, RoaringBitmap), SourceError> {
        let matchers = CompiledMatcher::compile(matchers)?;
        let (state, blocks) = self.consistent(from, to)?;
        let mut present = RoaringBitmap::new();
        if from > to {
            return Ok((state, present));
        }
        let matched = state.index.matching(&matchers);
        for block in &blocks {
            let positions = block.dictionary.positions(&matched).into_iter();
            let there = positions.filter(|position| block.layout.span(*position).meets(from, to));
            present.extend(there.map(|position| block.dictionary.numbers[position]));
        }
        let frozen = state.frozen.iter().flat_map(|frozen| &frozen.columns).map(|(number, columns)| (*number, columns));
        let unwritten = state.head.iter().chain(frozen).filter(|(_, columns)| columns.meets(from, to));
        present.extend(unwritten.map(|(number, _)| number).filter(|number| matched.contains(*number)));
        Ok((state, present))
    }
}

impl State {
    /// The series of `matched`, with what is not yet on disk, in the order it came: first what is being written, then
    /// the head.
    fn find(&self, matched: &RoaringBitmap, budget: &Budget) -> Result<Vec<Found>, SourceError> {
        let (from, to) = budget.range;
        let mut found = Vec::with_capacity(matched.len() as usize);
        for number in matched {
            let Some(series) = self.index.series(number) else { continue };
            let frozen = self.frozen.as_ref().and_then(|frozen| frozen.columns.get(&number));
            let mut unwritten = Vec::new();
            for columns in frozen.into_iter().chain(self.head.columns(number)) {
                columns.copy(from, to, &mut unwritten);
            }
            budget.spend(unwritten.len())?;
            found.push(Found { series: Arc::clone(series), samples: Vec::new(), number, unwritten });
        }
        Ok(found)
    }
}
