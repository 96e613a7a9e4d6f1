//! The head: samples in memory, as columns per series, until they are written as a part.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use hashbrown::HashMap;
use roaring::RoaringBitmap;
use wk_block::bounds::{DIRECTORY_BYTES_MAX, LABELS_MAX};
use wk_types::{Sample, Seq, Series, UtcMs};

/// Parts without a sample after which the head forgets a series: an hour at one part in 5 min.
const IDLE_PARTS_MAX: u32 = 12;

/// Bytes that the labels of all series of the head may take: what a block's dictionary can surely hold.
const LABEL_BYTES_MAX: usize = DIRECTORY_BYTES_MAX / 4 * 3;

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
}

/// What the labels of series take in the dictionary of a block, at most.
#[derive(Debug, Clone, Copy, Default)]
struct LabelSize {
    labels: usize,
    bytes: usize,
}

impl LabelSize {
    fn of(series: &Series) -> Self {
        let bytes = series.labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        Self { labels: series.labels.len(), bytes: bytes + series.asset.as_str().len() }
    }
}

/// Samples since the last part, by the series' number.
#[derive(Debug, Default)]
pub(super) struct Head {
    series: HashMap<u32, HeadSeries>,
    samples: usize,
    size: LabelSize,
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

    /// Tells whether the head can take up `series` as one of at most `series_max`, and still be written as one block.
    pub(super) fn has_room(&self, series: &Series, series_max: usize) -> bool {
        let size = LabelSize::of(series);
        self.series.len() < series_max
            && self.size.labels + size.labels <= LABELS_MAX
            && self.size.bytes + size.bytes <= LABEL_BYTES_MAX
    }

    /// Takes up a series that is new here.
    pub(super) fn add(&mut self, number: u32, series: &Series) {
        let size = LabelSize::of(series);
        self.size.labels += size.labels;
        self.size.bytes += size.bytes;
        self.series.insert(number, HeadSeries { size, ..HeadSeries::default() });
    }

    /// Adds one sample to a series, which is taken up where it is new.
    pub(super) fn push(&mut self, number: u32, sample: Sample) -> Stored {
        let series = self.series.entry(number).or_default();
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
    pub(super) fn freeze(&mut self, seqs: (Seq, Seq)) -> Frozen {
        let mut columns = HashMap::with_capacity(self.series.len());
        self.series.retain(|number, series| {
            if series.columns.is_empty() {
                series.idle_parts += 1;
                let keep = series.idle_parts <= IDLE_PARTS_MAX;
                if !keep {
                    self.size.labels -= series.size.labels;
                    self.size.bytes -= series.size.bytes;
                }
                return keep;
            }
            series.idle_parts = 0;
            columns.insert(*number, std::mem::take(&mut series.columns));
            true
        });
        Frozen { seqs, columns, samples: std::mem::take(&mut self.samples) }
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

    #[test]
    fn an_idle_series_is_forgotten_after_an_hour_of_parts() {
        let mut head = Head::default();
        head.push(1, Sample::new(UtcMs(5), 1.0));
        for _ in 0..=IDLE_PARTS_MAX {
            head.freeze((Seq(1), Seq(1)));
            assert_eq!(head.series(), 1);
        }
        head.freeze((Seq(1), Seq(1)));
        assert_eq!(head.series(), 0);
    }
}
