//! Queries: what the label index selects, merged from blocks and head. Decoding happens without any lock.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, RwLockReadGuard};

use hashbrown::HashMap;
use roaring::RoaringBitmap;
use wk_block::{BlockError, SeriesReader};
use wk_types::series::SourceError;
use wk_types::{ErrorKind, Matcher, Sample, Series, SeriesData, SeriesSource, UtcMs};

use super::cache::Loaded;
use super::file::{BlockFile, FileSource};
use super::index::CompiledMatcher;
use super::{MetricStore, Shared, State};

/// How often a query starts over because blocks were merged or deleted under it.
const ATTEMPTS_MAX: usize = 20;

/// Takes the samples of one series out of one block.
type Sink<'a> = dyn FnMut(u32, &[Sample]) -> Result<(), SourceError> + 'a;

/// Counts samples against the bound of a query. Those of overlapping blocks may count twice while they are gathered.
struct Budget {
    max: usize,
    gathered: usize,
}

impl Budget {
    fn spend(&mut self, samples: usize) -> Result<(), SourceError> {
        self.gathered += samples;
        if self.gathered > self.max.saturating_mul(2) {
            return Err(SourceError::TooManySamples { max: self.max });
        }
        Ok(())
    }
}

struct Found {
    series: Arc<Series>,
    samples: Vec<Sample>,
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
        let mut budget = Budget { max: samples_max, gathered: 0 };
        let (state, blocks) = self.0.consistent(from, to)?;
        let matched = state.index.matching(&matchers);
        let mut found: HashMap<u32, Found> = matched
            .iter()
            .filter_map(|number| Some((number, Arc::clone(state.index.series(number)?))))
            .map(|(number, series)| (number, Found { series, samples: Vec::new() }))
            .collect();
        let unwritten = state.copy_unwritten(&matched, from, to, &mut budget)?;
        drop(state);
        for block in &blocks {
            self.0.read_block(block, &matched, (from, to), &mut |number, samples| {
                budget.spend(samples.len())?;
                if let Some(found) = found.get_mut(&number) {
                    found.samples.extend_from_slice(samples);
                }
                Ok(())
            })?;
        }
        for (number, samples) in unwritten {
            if let Some(found) = found.get_mut(&number) {
                found.samples.extend(samples);
            }
        }
        finish(found.into_values(), samples_max)
    }
}

/// Sorts by labels, and collapses what several sources have of one time: the first one stays.
fn finish(found: impl Iterator<Item = Found>, samples_max: usize) -> Result<Vec<SeriesData>, SourceError> {
    let mut found: Vec<Found> = found.filter(|one| !one.samples.is_empty()).collect();
    let mut left = samples_max;
    for one in &mut found {
        in_order(&mut one.samples);
        left = left.checked_sub(one.samples.len()).ok_or(SourceError::TooManySamples { max: samples_max })?;
    }
    found.sort_unstable_by(|a, b| a.series.labels.cmp(&b.series.labels));
    let data = |one: Found| SeriesData { labels: one.series.labels.clone(), samples: one.samples.into() };
    Ok(found.into_iter().map(data).collect())
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
        let (state, present) = self.0.present(matchers, from, to)?;
        let mut series: Vec<Arc<Series>> =
            present.iter().filter_map(|number| state.index.series(number).cloned()).collect();
        drop(state);
        series.sort_unstable_by(|a, b| a.labels.cmp(&b.labels));
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
    /// The state, and the directories of exactly those blocks that it says meet `from..=to`.
    fn consistent(
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
            keep(series.iter().map(|one| state.index.intern(one)).collect())
        })
    }

    /// Passes the samples that `block` has of the series in `matched` between two times to `take`, in label order.
    /// Damaged chunks are reported and left out.
    fn read_block(
        &self,
        block: &Loaded,
        matched: &RoaringBitmap,
        (from, to): (UtcMs, UtcMs),
        take: &mut Sink<'_>,
    ) -> Result<(), SourceError> {
        let mut reader = SeriesReader::new(&block.layout, &block.source);
        let mut damaged = BTreeSet::new();
        for position in block.dictionary.positions(matched) {
            if !block.layout.span(position).meets(from, to) {
                continue;
            }
            match reader.samples(position) {
                Ok(samples) => {
                    let begin = samples.partition_point(|sample| sample.time < from);
                    let end = samples.partition_point(|sample| sample.time <= to);
                    take(block.dictionary.numbers[position], &samples[begin..end])?;
                }
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    if damaged.insert(reader.chunk_of(position)) {
                        self.note_damaged_chunk(&block.file, &error);
                    }
                }
                Err(error) => return Err(SourceError::Read { reason: format!("{}: {error}", block.file.name) }),
            }
        }
        Ok(())
    }

    pub(super) fn note_damaged_chunk(&self, block: &BlockFile, error: &BlockError) {
        tracing::warn!(file = %block.name, first = %block.first, last = %block.last, %error, "metric chunk is damaged and left out");
        self.write().chunks_damaged += 1;
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
    /// Copies what is not yet on disk, in the order it came: first what is being written, then the head.
    fn copy_unwritten(
        &self,
        matched: &RoaringBitmap,
        from: UtcMs,
        to: UtcMs,
        budget: &mut Budget,
    ) -> Result<Vec<(u32, Vec<Sample>)>, SourceError> {
        let mut copied = Vec::new();
        for number in matched {
            let frozen = self.frozen.as_ref().and_then(|frozen| frozen.columns.get(&number));
            let mut samples = Vec::new();
            for columns in frozen.into_iter().chain(self.head.columns(number)) {
                columns.copy(from, to, &mut samples);
            }
            budget.spend(samples.len())?;
            if !samples.is_empty() {
                copied.push((number, samples));
            }
        }
        Ok(copied)
    }
}
