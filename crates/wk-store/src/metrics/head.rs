//! The head: samples in memory, as columns per series, until they are written as a part.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use hashbrown::HashMap;
use roaring::RoaringBitmap;
use wk_block::bounds::{DIRECTORY_BYTES_MAX, LABELS_MAX};
use wk_types::{DurationMs, Sample, Seq, Series, UtcMs};

/// Parts without a sample after which the head forgets a series: an hour at one part in 5 min.
const IDLE_PARTS_MAX: u32 = 12;

/// Bytes that the labels of all series of the head may take: what a block's dictionary can surely hold.
const LABEL_BYTES_MAX: usize = DIRECTORY_BYTES_MAX / 4 * 3;

/// Sources that are counted by name; those beyond are counted together.
const SOURCES_MAX: usize = 4_096;
/// What those are called.
const OTHER_SOURCES: &str = "(others)";

/// How many series of one source, or of all, may be active.
#[derive(Debug, Clone, Copy)]
pub(super) struct SeriesLimits {
    pub(super) all: usize,
    pub(super) per_source: usize,
}

/// Why a series is not taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// All sources together have too many.
    Store,
    /// Its source has too many.
    Source,
}

/// The series of one source.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) name: Arc<str>,
    /// How many are active.
    pub(super) series: usize,
    /// Samples of others that were refused.
    pub(super) refused: u64,
    /// Whether that was told since the last part.
    told: bool,
}

/// Who a series comes from: its job, or where it has none its asset.
fn source_of(series: &Series) -> &str {
    series.labels.get("job").unwrap_or_else(|| series.asset.as_str())
}

/// What became of one sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stored {
    /// Newer than all before it.
    InOrder,
    /// Older than one before it, and kept.
    Late,
    /// The same value at the same time.
    Again,
    /// Another value at the same time; the first one stays.
    Duplicate,
}

/// The samples of one series since the last part.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Columns {
    times: Vec<i64>,
    values: Vec<f64>,
    /// Samples that came out of order: older than the last of `times`, and none of them.
    late: BTreeMap<i64, f64>,
}

impl Columns {
    fn push(&mut self, time: i64, value: f64) -> Stored {
        if self.times.last().is_none_or(|newest| time > *newest) {
            self.times.push(time);
            self.values.push(value);
            return Stored::InOrder;
        }
        if let Ok(at) = self.times.binary_search(&time) {
            return compare(self.values[at], value);
        }
        match self.late.entry(time) {
            Entry::Occupied(first) => compare(*first.get(), value),
            Entry::Vacant(free) => {
                free.insert(value);
                Stored::Late
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.times.is_empty() && self.late.is_empty()
    }

    /// How many samples there are.
    pub(super) fn len(&self) -> usize {
        self.times.len() + self.late.len()
    }

    pub(super) fn first(&self) -> Option<i64> {
        let late = self.late.keys().next().copied();
        self.times.first().copied().into_iter().chain(late).min()
    }

    pub(super) fn last(&self) -> Option<i64> {
        let late = self.late.keys().next_back().copied();
        self.times.last().copied().into_iter().chain(late).max()
    }

    /// Tells whether a sample may lie in `from..=to`.
    pub(super) fn meets(&self, from: UtcMs, to: UtcMs) -> bool {
        self.first().is_some_and(|first| first <= to.0) && self.last().is_some_and(|last| last >= from.0)
    }

    /// Appends the samples of `from..=to` to `out`, in ascending time.
    pub(super) fn copy(&self, from: UtcMs, to: UtcMs, out: &mut Vec<Sample>) {
        if from > to {
            return;
        }
        let begin = self.times.partition_point(|time| *time < from.0);
        let end = self.times.partition_point(|time| *time <= to.0);
        let mut late = self.late.range(from.0..=to.0).peekable();
        for (time, value) in self.times[begin..end].iter().zip(&self.values[begin..end]) {
            while let Some((late_time, late_value)) = late.next_if(|(late_time, _)| *late_time < time) {
                out.push(Sample::new(UtcMs(*late_time), *late_value));
            }
            out.push(Sample::new(UtcMs(*time), *value));
        }
        out.extend(late.map(|(time, value)| Sample::new(UtcMs(*time), *value)));
    }
}

fn compare(first: f64, value: f64) -> Stored {
    if first.to_bits() == value.to_bits() { Stored::Again } else { Stored::Duplicate }
}

#[derive(Debug, Default)]
struct HeadSeries {
    columns: Columns,
    /// The newest time this series ever had here; outlives the samples.
    newest: Option<i64>,
    idle_parts: u32,
    size: LabelSize,
    source: u32,
}

/// What the labels of series take in the dictionary of a block, at most.
#[derive(Debug, Clone, Copy, Default)]
struct LabelSize {
    labels: u32,
    bytes: u32,
}

impl LabelSize {
    fn of(series: &Series) -> Self {
        let bytes = series.labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let most = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self { labels: most(series.labels.len()), bytes: most(bytes + series.asset.as_str().len()) }
    }
}

/// Samples since the last part, by the series' number.
#[derive(Debug, Default)]
pub(super) struct Head {
    series: HashMap<u32, HeadSeries>,
    samples: usize,
    /// Labels of all series, and their bytes.
    size: (usize, usize),
    sources: Vec<Source>,
    source_by_name: HashMap<Arc<str>, u32>,
}

/// A head that takes no more samples and is being written.
#[derive(Debug)]
pub(super) struct Frozen {
    /// The records it holds, first and last.
    pub(super) seqs: (Seq, Seq),
    /// Samples by the series' number; none is empty.
    pub(super) columns: HashMap<u32, Columns>,
    /// How many samples there are.
    pub(super) samples: usize,
    /// The times that a normal file may hold; what lies outside goes into one of late samples.
    pub(super) normal: (UtcMs, UtcMs),
}

impl Frozen {
    /// Tells whether any sample lies outside the times of a normal file.
    pub(super) fn has_late(&self) -> bool {
        let (from, to) = self.normal;
        let outside = |columns: &Columns| {
            columns.first().is_some_and(|first| first < from.0) || columns.last().is_some_and(|last| last > to.0)
        };
        self.columns.values().any(outside)
    }

    /// Appends the samples that series `number` has inside, or else outside, the times of a normal file.
    pub(super) fn copy(&self, number: u32, late: bool, out: &mut Vec<Sample>) {
        let Some(columns) = self.columns.get(&number) else { return };
        let (from, to) = self.normal;
        if !late {
            return columns.copy(from, to, out);
        }
        if from > UtcMs::MIN {
            columns.copy(UtcMs::MIN, from - DurationMs(1), out);
        }
        if to < UtcMs::MAX {
            columns.copy(to + DurationMs(1), UtcMs::MAX, out);
        }
    }
}

impl Head {
    pub(super) fn series(&self) -> usize {
        self.series.len()
    }

    pub(super) fn samples(&self) -> usize {
        self.samples
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        self.series.contains_key(&number)
    }

    /// The source of `series`, where the head can take it up within `limits` and still be written as one block. Its
    /// `samples` are counted as refused otherwise.
    pub(super) fn admit(&mut self, series: &Series, samples: u64, limits: SeriesLimits) -> Result<u32, NoRoom> {
        let size = LabelSize::of(series);
        let id = self.source(source_of(series));
        let source = &mut self.sources[id as usize];
        let refusal = if self.series.len() >= limits.all
            || self.size.0 + size.labels as usize > LABELS_MAX
            || self.size.1 + size.bytes as usize > LABEL_BYTES_MAX
        {
            NoRoom::Store
        } else if source.series >= limits.per_source {
            NoRoom::Source
        } else {
            return Ok(id);
        };
        source.refused += samples;
        if !std::mem::replace(&mut source.told, true) {
            let (source, active) = (&*source.name, source.series);
            tracing::warn!(source, active, ?refusal, "new series of this source are refused, too many are active");
        }
        Err(refusal)
    }

    fn source(&mut self, name: &str) -> u32 {
        if let Some(known) = self.source_by_name.get(name) {
            return *known;
        }
        let name: Arc<str> = if self.sources.len() < SOURCES_MAX { name.into() } else { OTHER_SOURCES.into() };
        let next = self.sources.len() as u32;
        let id = *self.source_by_name.entry(Arc::clone(&name)).or_insert(next);
        if id == next {
            self.sources.push(Source { name, series: 0, refused: 0, told: false });
        }
        id
    }

    /// Takes up a series that is new here and was admitted.
    pub(super) fn add(&mut self, number: u32, series: &Series, source: u32) {
        let size = LabelSize::of(series);
        self.size.0 += size.labels as usize;
        self.size.1 += size.bytes as usize;
        self.sources[source as usize].series += 1;
        self.series.insert(number, HeadSeries { size, source, ..HeadSeries::default() });
    }

    /// All sources that there were.
    pub(super) fn sources(&self) -> &[Source] {
        &self.sources
    }

    /// Adds one sample to a series that was taken up.
    pub(super) fn push(&mut self, number: u32, sample: Sample) -> Stored {
        let series = self.series.get_mut(&number).expect("only samples of series that were taken up are pushed");
        let stored = series.columns.push(sample.time.0, sample.value);
        if matches!(stored, Stored::Again | Stored::Duplicate) {
            return stored;
        }
        self.samples += 1;
        let late = stored == Stored::Late || series.newest.is_some_and(|newest| sample.time.0 <= newest);
        series.newest = series.newest.max(Some(sample.time.0));
        if late { Stored::Late } else { Stored::InOrder }
    }

    pub(super) fn columns(&self, number: u32) -> Option<&Columns> {
        self.series.get(&number).map(|series| &series.columns)
    }

    /// Series with samples.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Columns)> {
        self.series.iter().map(|(number, series)| (*number, &series.columns)).filter(|(_, one)| !one.is_empty())
    }

    /// The numbers of all series the head knows.
    pub(super) fn numbers(&self) -> RoaringBitmap {
        self.series.keys().copied().collect()
    }

    /// Takes all samples out; series that were idle for long are forgotten.
    pub(super) fn freeze(&mut self, seqs: (Seq, Seq), normal: (UtcMs, UtcMs)) -> Frozen {
        let mut columns = HashMap::with_capacity(self.series.len());
        let Self { series, samples, size, sources, .. } = self;
        series.retain(|number, series| {
            if series.columns.is_empty() {
                series.idle_parts += 1;
                let keep = series.idle_parts <= IDLE_PARTS_MAX;
                if !keep {
                    size.0 -= series.size.labels as usize;
                    size.1 -= series.size.bytes as usize;
                    sources[series.source as usize].series -= 1;
                }
                return keep;
            }
            series.idle_parts = 0;
            columns.insert(*number, std::mem::take(&mut series.columns));
            true
        });
        sources.iter_mut().for_each(|source| source.told = false);
        Frozen { seqs, columns, samples: std::mem::take(samples), normal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push_all(columns: &mut Columns, times: &[i64]) -> Vec<Stored> {
        times.iter().map(|time| columns.push(*time, *time as f64)).collect()
    }

    #[test]
    fn samples_come_out_in_time_order_whatever_the_order_they_came_in() {
        let mut columns = Columns::default();
        push_all(&mut columns, &[10, 30, 20, 5, 40, 35]);
        let mut out = Vec::new();
        columns.copy(UtcMs(5), UtcMs(40), &mut out);
        assert_eq!(out.iter().map(|sample| sample.time.0).collect::<Vec<_>>(), [5, 10, 20, 30, 35, 40]);
        assert_eq!((columns.first(), columns.last()), (Some(5), Some(40)));
        let mut middle = Vec::new();
        columns.copy(UtcMs(6), UtcMs(20), &mut middle);
        assert_eq!(middle.iter().map(|sample| sample.time.0).collect::<Vec<_>>(), [10, 20]);
    }

    #[test]
    fn of_two_values_at_one_time_the_first_stays() {
        let mut columns = Columns::default();
        push_all(&mut columns, &[10, 30, 20]);
        assert_eq!(
            [columns.push(20, 9.0), columns.push(30, 9.0), columns.push(10, 10.0)],
            [Stored::Duplicate, Stored::Duplicate, Stored::Again]
        );
        let mut out = Vec::new();
        columns.copy(UtcMs(0), UtcMs(99), &mut out);
        assert_eq!(out.iter().map(|sample| sample.value).collect::<Vec<_>>(), [10.0, 20.0, 30.0]);
    }

    const ALL: (UtcMs, UtcMs) = (UtcMs::MIN, UtcMs::MAX);

    fn series(name: &str, job: &str) -> Series {
        Series::new(wk_types::Labels::metric(name, &[("job", job)]), "bridge".into())
    }

    #[test]
    fn an_idle_series_is_forgotten_after_an_hour_of_parts() {
        let mut head = Head::default();
        let limits = SeriesLimits { all: 1, per_source: 1 };
        let source = head.admit(&series("a", "x"), 1, limits).unwrap();
        head.add(1, &series("a", "x"), source);
        head.push(1, Sample::new(UtcMs(5), 1.0));
        for _ in 0..=IDLE_PARTS_MAX {
            head.freeze((Seq(1), Seq(1)), ALL);
            assert_eq!(head.series(), 1);
            assert_eq!(head.admit(&series("b", "x"), 1, limits), Err(NoRoom::Store));
        }
        head.freeze((Seq(1), Seq(1)), ALL);
        assert_eq!(head.series(), 0);
        assert_eq!(head.admit(&series("b", "x"), 1, limits), Ok(source));
    }

    #[test]
    fn a_source_has_only_so_many_series() {
        let mut head = Head::default();
        let limits = SeriesLimits { all: 9, per_source: 1 };
        let source = head.admit(&series("a", "x"), 1, limits).unwrap();
        head.add(1, &series("a", "x"), source);
        assert_eq!(head.admit(&series("b", "x"), 7, limits), Err(NoRoom::Source));
        assert!(head.admit(&series("b", "y"), 1, limits).is_ok());
        let counts: Vec<_> = head.sources().iter().map(|one| (&*one.name, one.series, one.refused)).collect();
        assert_eq!(counts, [("x", 1, 7), ("y", 0, 0)]);
    }

    #[test]
    fn beyond_so_many_sources_they_are_counted_together() {
        let mut head = Head::default();
        for at in 0..SOURCES_MAX + 9 {
            head.source(&format!("job{at}"));
        }
        assert_eq!(head.sources().len(), SOURCES_MAX + 1);
        assert_eq!(&*head.sources()[SOURCES_MAX].name, OTHER_SOURCES);
    }

    #[test]
    fn what_lies_outside_the_times_of_a_normal_file_is_late() {
        let mut head = Head::default();
        let source = head.source("x");
        head.add(1, &series("a", "x"), source);
        for time in [50, 10, 90] {
            head.push(1, Sample::new(UtcMs(time), 1.0));
        }
        let frozen = head.freeze((Seq(1), Seq(1)), (UtcMs(20), UtcMs(60)));
        let times = |late| {
            let mut out = Vec::new();
            frozen.copy(1, late, &mut out);
            out.iter().map(|sample| sample.time.0).collect::<Vec<_>>()
        };
        assert!(frozen.has_late());
        assert_eq!((times(false), times(true)), (vec![50], vec![10, 90]));
    }
}
