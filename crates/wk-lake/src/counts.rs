//! Counting rows: histograms, and most frequent values.

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashMap;
use wk_types::{DurationMs, Severity, UtcMs};

use crate::attributes::AttributeFinder;
use crate::block::{Block, Column, Columns};
use crate::error::LakeError;
use crate::lake::Lake;
use crate::query::{Bin, Histogram, LogField, LogQuery, Scanned, SearchLimits, TopValues, ValueCount};
use crate::snapshot::{Deadline, Scan};

/// Bins of a histogram at most.
const BINS_MAX: usize = 10_000;
/// Distinct values counted at most.
pub const VALUES_MAX: usize = 100_000;
/// Bytes of distinct values at most.
const VALUE_BYTES_MAX: usize = 32 << 20;
/// Fields counted together at most.
const FIELDS_MAX: usize = 4;
/// Combinations of names up to which a block's rows are counted in a table.
const TABLE_MAX: usize = 1 << 16;

impl Lake {
    /// Counts wanted rows by severity per `step`, from the first step with a row to the last; the limit, the order and
    /// the place of the query do not matter.
    ///
    /// # Errors
    /// A step that is not positive or gives more than 10,000 bins, and as [`Self::search`].
    pub fn histogram(&self, query: &LogQuery, step: DurationMs, limits: &SearchLimits) -> Result<Histogram, LakeError> {
        let mut bins = HistogramBuilder::new(step)?;
        let mut scan = self.scan(query, [Column::Time, Column::Severity].into_iter().collect(), limits)?;
        while let Some((block, _)) = scan.next_block()? {
            bins.count(&block)?;
        }
        Ok(bins.finish(scan.scanned))
    }

    /// The most frequent combinations of some fields' values among the wanted rows, most frequent first; the limit, the
    /// order and the place of the query do not matter.
    ///
    /// # Errors
    /// No field or more than 4, more than 100,000 different combinations, and as [`Self::search`].
    pub fn top_values(
        &self,
        query: &LogQuery,
        fields: &[LogField],
        limit: usize,
        limits: &SearchLimits,
    ) -> Result<TopValues, LakeError> {
        check_fields(fields)?;
        let fields: Vec<Field> = fields.iter().map(Field::new).collect();
        let mut scan = self.scan(query, fields.iter().map(|field| field.column).collect(), limits)?;
        let mut counter = Counter::default();
        while let Some((block, _)) = scan.next_block()? {
            counter.count(&block, &fields)?;
        }
        let rows = counter.counts.values().sum();
        let distinct = counter.counts.len();
        let mut top: Vec<ValueCount> =
            counter.counts.into_iter().map(|(values, count)| ValueCount { values, count }).collect();
        top.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.values.cmp(&b.values)));
        top.truncate(limit);
        Ok(TopValues { top, distinct, rows, scanned: scan.scanned })
    }

    fn scan(&self, query: &LogQuery, columns: Columns, limits: &SearchLimits) -> Result<Scan, LakeError> {
        let deadline = Deadline::after(limits.time_max, &limits.cancel);
        Ok(Scan::new(Arc::new(self.snapshot()), query.predicate()?, columns, deadline))
    }
}

/// Some rows that are alike in some columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) values: Vec<Option<Arc<str>>>,
    pub(crate) rows: u64,
}

/// Counts the rows of a scan by the values of some columns of names.
///
/// # Errors
/// More than 100,000 different combinations, and what the scan says.
pub(crate) fn count_names(mut scan: Scan, columns: &[Column]) -> Result<Vec<Counted>, LakeError> {
    let fields: Vec<Field> = columns.iter().map(|column| Field { column: *column, attribute: None }).collect();
    let mut counter = Counter::default();
    while let Some((block, _)) = scan.next_block()? {
        counter.count(&block, &fields)?;
    }
    Ok(counter.counts.into_iter().map(|(values, rows)| Counted { values, rows }).collect())
}

/// Checks how many fields are counted together.
///
/// # Errors
/// None, or more than 4.
pub fn check_fields(fields: &[LogField]) -> Result<(), LakeError> {
    if fields.is_empty() || fields.len() > FIELDS_MAX {
        return Err(LakeError::query(format!("values of 1 to {FIELDS_MAX} fields can be counted at once")));
    }
    Ok(())
}

/// The error where there are too many different values to count.
#[must_use]
pub fn too_many_values() -> LakeError {
    LakeError::TooLarge {
        what: format!("there are more than {VALUES_MAX} different values to count, or very long ones"),
    }
}

/// A histogram under way, its bins counted in steps since the epoch.
#[derive(Debug)]
pub struct HistogramBuilder {
    step: i64,
    first: i64,
    counts: Vec<[u64; 4]>,
}

impl HistogramBuilder {
    /// Begins a histogram of this step.
    ///
    /// # Errors
    /// A step that is not positive.
    pub fn new(step: DurationMs) -> Result<Self, LakeError> {
        if step.0 <= 0 {
            return Err(LakeError::query("the step of a histogram must be positive"));
        }
        Ok(Self { step: step.0, first: 0, counts: Vec::new() })
    }

    /// Counts rows of one severity at a time.
    ///
    /// # Errors
    /// More than 10,000 bins.
    pub fn add(&mut self, time: UtcMs, severity: Severity, rows: u64) -> Result<(), LakeError> {
        let bin = time.0.div_euclid(self.step);
        self.make_room(bin, bin)?;
        self.counts[(bin - self.first) as usize][severity as usize] += rows;
        Ok(())
    }

    /// The histogram, from the first bin with a row to the last.
    #[must_use]
    pub fn finish(self, scanned: Scanned) -> Histogram {
        let start = |index: usize| UtcMs((self.first + index as i64).saturating_mul(self.step));
        let bins = self.counts.iter().enumerate().map(|(index, counts)| Bin { start: start(index), counts: *counts });
        Histogram { bins: bins.collect(), scanned }
    }

    fn count(&mut self, block: &Block) -> Result<(), LakeError> {
        let (Some(times), Some((keys, severities))) = (block.times(), block.severity_keys()) else { return Ok(()) };
        let (Some(first), Some(last)) = (times.iter().min(), times.iter().max()) else { return Ok(()) };
        self.make_room(first.div_euclid(self.step), last.div_euclid(self.step))?;
        for (time, key) in times.iter().zip(keys) {
            let bin = (time.div_euclid(self.step) - self.first) as usize;
            self.counts[bin][severities[*key as usize] as usize] += 1;
        }
        Ok(())
    }

    fn make_room(&mut self, first: i64, last: i64) -> Result<(), LakeError> {
        let (from, to) = match self.counts.len() {
            0 => (first, last),
            length => (first.min(self.first), last.max(self.first + length as i64 - 1)),
        };
        if to.abs_diff(from) >= BINS_MAX as u64 {
            let what =
                format!("the histogram would have more than {BINS_MAX} bins; take a larger step or a shorter time");
            return Err(LakeError::Query { what });
        }
        let before = if self.counts.is_empty() { 0 } else { (self.first - from) as usize };
        self.counts.splice(0..0, std::iter::repeat_n([0; 4], before));
        self.counts.resize((to - from) as usize + 1, [0; 4]);
        self.first = from;
        Ok(())
    }
}

/// A field as it is counted.
struct Field {
    column: Column,
    attribute: Option<AttributeFinder>,
}

impl Field {
    fn new(field: &LogField) -> Self {
        let (column, attribute) = field.place();
        Self { column, attribute }
    }

    fn value<'a>(&self, block: &'a Block, row: usize) -> Option<Cow<'a, str>> {
        let text = block.text(self.column, row)?;
        match &self.attribute {
            Some(attribute) => attribute.value(text),
            None => Some(Cow::Borrowed(text)),
        }
    }
}

type Values = Vec<Option<Arc<str>>>;

#[derive(Default)]
struct Counter {
    counts: HashMap<Values, u64>,
    bytes: usize,
}

impl Counter {
    fn count(&mut self, block: &Block, fields: &[Field]) -> Result<(), LakeError> {
        if fields.is_empty() {
            return self.add(Vec::new(), block.rows() as u64);
        }
        let names: Option<Vec<_>> = fields.iter().map(|field| block.names(field.column)).collect();
        let table = names.as_ref().map(|names| names.iter().map(|(_, names)| names.iter().len()).product::<usize>());
        match names.zip(table) {
            Some((names, cells)) if cells <= TABLE_MAX.max(block.rows()) => self.count_names(&names, cells),
            _ => self.count_texts(block, fields),
        }
    }

    /// Counts by places in the names first, so that a row costs no look at its texts.
    fn count_names(&mut self, columns: &[(&[i32], &arrow::array::StringArray)], cells: usize) -> Result<(), LakeError> {
        let mut table = vec![0_u64; cells];
        let width = |names: &arrow::array::StringArray| names.iter().len();
        match columns {
            [(keys, _)] => keys.iter().for_each(|key| table[*key as usize] += 1),
            [(first, _), (second, names)] => {
                let width = width(names);
                first.iter().zip(*second).for_each(|(a, b)| table[*a as usize * width + *b as usize] += 1);
            }
            _ => {
                for row in 0..columns.first().map_or(0, |(keys, _)| keys.len()) {
                    let cell = columns.iter().fold(0, |cell, (keys, names)| cell * width(names) + keys[row] as usize);
                    table[cell] += 1;
                }
            }
        }
        for (cell, count) in table.into_iter().enumerate().filter(|(_, count)| *count > 0) {
            let mut rest = cell;
            let mut values: Values = Vec::with_capacity(columns.len());
            for (_, names) in columns.iter().rev() {
                values.push(Some(names.value(rest % width(names)).into()));
                rest /= width(names);
            }
            values.reverse();
            self.add(values, count)?;
        }
        Ok(())
    }

    fn count_texts(&mut self, block: &Block, fields: &[Field]) -> Result<(), LakeError> {
        let mut values: Vec<Option<Cow<'_, str>>> = Vec::with_capacity(fields.len());
        let mut counts: HashMap<Vec<Option<Cow<'_, str>>>, u64> = HashMap::new();
        for row in 0..block.rows() {
            values.clear();
            values.extend(fields.iter().map(|field| field.value(block, row)));
            match counts.get_mut(&values) {
                Some(count) => *count += 1,
                None => {
                    counts.insert(values.clone(), 1);
                }
            }
        }
        for (values, count) in counts {
            self.add(values.into_iter().map(|value| value.map(|value| (&*value).into())).collect(), count)?;
        }
        Ok(())
    }

    fn add(&mut self, values: Values, count: u64) -> Result<(), LakeError> {
        if let Some(known) = self.counts.get_mut(&values) {
            *known += count;
            return Ok(());
        }
        self.bytes += values.iter().flatten().map(|value| value.len()).sum::<usize>();
        if self.counts.len() >= VALUES_MAX || self.bytes > VALUE_BYTES_MAX {
            return Err(too_many_values());
        }
        self.counts.insert(values, count);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
