//! Rows as a block: each column of a series is a series of its own, whose labels are those of the series and one more.
//!
//! The name of that label comes after every other, so that all columns of a series stand next to each other. It also
//! means that a series comes after those that have all of its labels and more: the writer holds it back until then.

use std::sync::Arc;

use wk_block::{BlockError, SeriesReader};
use wk_types::{Labels, RollupRow, Sample, Series, UtcMs};

use super::super::MetricError;
use super::super::cache::Loaded;
use super::super::file::FileSource;
use super::super::upkeep::{BlockWriter, encoding};

/// The label that says which column a series of a rollup block is.
pub(in crate::metrics) const COLUMN: &str = "\u{10ffff}";

/// What a column says of each step. A constant gauge has only `Count` and `Last`; a counter has no `Avg`, `Max`, `Min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::metrics) enum Column {
    Avg,
    Count,
    Increase,
    Last,
    Max,
    Min,
}

impl Column {
    /// All of them, in the order of their names.
    const ALL: [Self; 6] = [Self::Avg, Self::Count, Self::Increase, Self::Last, Self::Max, Self::Min];

    const fn name(self) -> &'static str {
        match self {
            Self::Avg => "avg",
            Self::Count => "count",
            Self::Increase => "increase",
            Self::Last => "last",
            Self::Max => "max",
            Self::Min => "min",
        }
    }

    fn of(self, row: &RollupRow) -> Option<f64> {
        match self {
            Self::Avg => row.avg,
            Self::Count => Some(row.count as f64),
            Self::Increase => row.increase,
            Self::Last => Some(row.last),
            Self::Max => row.max,
            Self::Min => row.min,
        }
    }

    /// The column that a series of a rollup block is; `None` for any other series.
    pub(in crate::metrics) fn parse(series: &Series) -> Option<Self> {
        let name = series.labels.get(COLUMN)?;
        Self::ALL.into_iter().find(|column| column.name() == name)
    }
}

/// Writes rows series after series.
pub(super) struct RowWriter<'w, 'io> {
    writer: &'w mut BlockWriter<'io>,
    /// Series of which those with more labels may still come, each having all labels of the one before.
    held: Vec<(Arc<Series>, Vec<RollupRow>)>,
    samples: Vec<Sample>,
}

impl<'w, 'io> RowWriter<'w, 'io> {
    pub(super) fn new(writer: &'w mut BlockWriter<'io>) -> Self {
        Self { writer, held: Vec::new(), samples: Vec::new() }
    }

    /// Adds the rows of a series, in label order; one without rows is left out, and so is one that has the column label.
    pub(super) fn push(&mut self, series: &Arc<Series>, rows: Vec<RollupRow>) -> Result<(), MetricError> {
        if rows.is_empty() || series.labels.iter().any(|(name, _)| &**name >= COLUMN) {
            return Ok(());
        }
        while self.held.last().is_some_and(|(held, _)| !begins(&held.labels, &series.labels)) {
            self.write_held()?;
        }
        self.held.push((Arc::clone(series), rows));
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<(), MetricError> {
        while !self.held.is_empty() {
            self.write_held()?;
        }
        Ok(())
    }

    fn write_held(&mut self) -> Result<(), MetricError> {
        let Some((series, rows)) = self.held.pop() else { return Ok(()) };
        let constant = rows.iter().all(is_constant);
        for column in Column::ALL {
            if constant && !matches!(column, Column::Count | Column::Last) {
                continue;
            }
            self.samples.clear();
            self.samples.extend(rows.iter().filter_map(|row| Some(Sample::new(row.time, column.of(row)?))));
            let labels = series.labels.with(COLUMN, column.name());
            let series = Arc::new(Series::new(labels, series.asset.clone()));
            self.writer.push(&series, &self.samples).map_err(encoding)?;
        }
        Ok(())
    }
}

/// Tells whether `longer` begins with all pairs of `shorter`.
fn begins(shorter: &Labels, longer: &Labels) -> bool {
    shorter.len() <= longer.len() && shorter.iter().eq(longer.iter().take(shorter.len()))
}

fn is_constant(row: &RollupRow) -> bool {
    let bits = Some(row.last.to_bits());
    row.increase.is_none() && [row.avg, row.min, row.max].iter().all(|value| value.map(f64::to_bits) == bits)
}

/// Reads rows out of a rollup block.
pub(super) struct RowReader<'a> {
    loaded: &'a Loaded,
    reader: SeriesReader<'a, FileSource>,
    columns: [Vec<Sample>; Column::ALL.len()],
}

impl<'a> RowReader<'a> {
    pub(super) fn new(loaded: &'a Loaded) -> Self {
        let reader = SeriesReader::new(&loaded.layout, &loaded.source);
        Self { loaded, reader, columns: Default::default() }
    }

    /// The rows that begin in `from..=to` of the series whose columns stand at `positions`.
    pub(super) fn rows(
        &mut self,
        positions: &[usize],
        (from, to): (UtcMs, UtcMs),
    ) -> Result<Vec<RollupRow>, BlockError> {
        self.columns.iter_mut().for_each(Vec::clear);
        for position in positions {
            let Some(column) = self.loaded.dictionary.columns.get(*position) else { continue };
            self.reader.append(*position, from, to, &mut self.columns[*column as usize])?;
        }
        let [avg, count, increase, last, max, min] = &self.columns;
        let mut others = [avg, count, increase, max, min].map(|column| column.iter().peekable());
        let mut rows = Vec::with_capacity(last.len());
        for sample in last {
            let [avg, count, increase, max, min] = others.each_mut().map(|column| {
                while column.next_if(|one| one.time < sample.time).is_some() {}
                column.next_if(|one| one.time == sample.time).map(|one| one.value)
            });
            let constant = if avg.is_none() && increase.is_none() { Some(sample.value) } else { None };
            rows.push(RollupRow {
                time: sample.time,
                avg: avg.or(constant),
                min: min.or(constant),
                max: max.or(constant),
                last: sample.value,
                count: count.map_or(0, |count| count as u64),
                increase,
            });
        }
        Ok(rows)
    }

    /// The neighbourhood of a position, which shares its damage.
    pub(super) fn chunk_of(&self, position: usize) -> usize {
        self.reader.chunk_of(position)
    }
}
