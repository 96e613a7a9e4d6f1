//! Going through whole series in the order of their labels, for exports: a bounded number of samples at a time.

use hashbrown::HashMap;
use roaring::RoaringBitmap;
use wk_types::series::SourceError;
use wk_types::{Matcher, Sample, Series, UtcMs};

use super::MetricStore;
use super::index::CompiledMatcher;

/// About how many samples are read at once; a series with more is read alone.
const BATCH_SAMPLES: u64 = 1 << 19;
/// Samples of one read at most: a series that alone has more in the range is refused.
const READ_SAMPLES_MAX: usize = 1 << 23;

/// Series that a walk goes through, in the order of their labels, each with about how many samples it has.
#[derive(Debug)]
pub struct Walk {
    store: MetricStore,
    range: (UtcMs, UtcMs),
    series: Vec<(std::sync::Arc<Series>, u64)>,
}

impl MetricStore {
    /// Finds the series that meet any of `selectors` and may have a sample in `from..=to`.
    ///
    /// # Errors
    /// A pattern that does not compile, and blocks that cannot be read.
    pub fn walk(&self, selectors: &[Vec<Matcher>], from: UtcMs, to: UtcMs) -> Result<Walk, SourceError> {
        let selectors =
            selectors.iter().map(|matchers| CompiledMatcher::compile(matchers)).collect::<Result<Vec<_>, _>>()?;
        let mut counts: HashMap<u32, u64> = HashMap::new();
        let (state, blocks) = self.0.consistent(from, to)?;
        let mut matched = RoaringBitmap::new();
        selectors.iter().for_each(|matchers| matched |= state.index.matching(matchers));
        for block in &blocks {
            for position in block.dictionary.positions(&matched) {
                let span = block.layout.span(position);
                if span.meets(from, to) {
                    *counts.entry(block.dictionary.numbers[position]).or_default() += u64::from(span.count);
                }
            }
        }
        let frozen = state.frozen.iter().flat_map(|frozen| &frozen.columns).map(|(number, columns)| (*number, columns));
        for (number, columns) in state.head.iter().chain(frozen) {
            if matched.contains(number) && columns.meets(from, to) {
                *counts.entry(number).or_default() += columns.len() as u64;
            }
        }
        let mut series: Vec<_> = counts
            .into_iter()
            .filter_map(|(number, count)| Some((state.index.series(number).cloned()?, count)))
            .collect();
        drop(state);
        series.sort_unstable_by(|(a, _), (b, _)| a.labels.cmp(&b.labels));
        Ok(Walk { store: self.clone(), range: (from, to), series })
    }
}

impl Walk {
    /// The series, in the order of their labels.
    pub fn series(&self) -> impl Iterator<Item = &Series> {
        self.series.iter().map(|(series, _)| &**series)
    }

    /// Hands each series that has a sample in the range to `take`, with its samples there: in ascending time, each time
    /// once. What is written, merged or deleted meanwhile is seen or not, never twice.
    ///
    /// *Limits*: holds some 2^19 samples at once, or those of one series.
    ///
    /// # Errors
    /// Blocks that cannot be read, more samples of one series than can be read at once, and what `take` answers.
    pub fn run<E: From<SourceError>>(
        &self,
        mut take: impl FnMut(&Series, &[Sample]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = &self.series[..];
        while !rest.is_empty() {
            let mut samples = 0;
            let mut fits = |(_, count): &(_, u64)| {
                samples += count;
                samples <= BATCH_SAMPLES
            };
            let (batch, behind) = rest.split_at(rest.iter().take_while(|one| fits(one)).count().max(1));
            rest = behind;
            // Numbers may change while a walk goes on, ids do not.
            let found = self.store.0.collect(
                &|index| batch.iter().filter_map(|(series, _)| index.number(series.id)).collect(),
                self.range,
                READ_SAMPLES_MAX,
            )?;
            for one in &found {
                take(&one.series, &one.samples)?;
            }
        }
        Ok(())
    }
}
