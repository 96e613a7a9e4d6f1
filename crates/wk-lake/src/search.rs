//! Structured search: rows in the order of time, histograms, and most frequent values.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wk_types::{AssetId, DurationMs, Severity, UtcMs};

use crate::block::{Column, Columns};
use crate::error::LakeError;
use crate::lake::Lake;
use crate::pattern::Pattern;
use crate::predicate::{Predicate, Severities};
use crate::row::{LogRow, Row};
use crate::snapshot::{Deadline, Opened, Scan, Snapshot, rowid_base};

/// Rows answered at once at most.
pub(crate) const SEARCH_ROWS_MAX: usize = 10_000;
/// Bins of a histogram at most.
const BINS_MAX: usize = 10_000;
/// Distinct values counted at most.
const VALUES_MAX: usize = 100_000;

/// What logs are wanted; the default is the newest hundred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogQuery {
    /// The earliest time wanted.
    pub from: UtcMs,
    /// The latest time wanted.
    pub to: UtcMs,
    /// Only of this asset.
    pub asset: Option<AssetId>,
    /// Only of this app.
    pub app: Option<Arc<str>>,
    /// Only as bad as this, or worse.
    pub severity_min: Option<Severity>,
    /// Only messages that hold this text, in any ASCII case.
    pub contains: Option<String>,
    /// How many rows at most, up to 10,000.
    pub limit: usize,
    /// Whether the newest come first and are the ones kept by the limit, or the oldest.
    pub newest_first: bool,
}

impl Default for LogQuery {
    fn default() -> Self {
        Self {
            from: UtcMs::MIN,
            to: UtcMs::MAX,
            asset: None,
            app: None,
            severity_min: None,
            contains: None,
            limit: 100,
            newest_first: true,
        }
    }
}

/// One step of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Bin {
    /// Where the step begins.
    pub start: UtcMs,
    /// Rows of each severity, least first.
    pub counts: [u64; 4],
}

/// A field whose values can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogField {
    /// Whose message it is.
    Asset,
    /// The program or service that wrote it.
    App,
    /// How bad it is.
    Severity,
}

impl LogField {
    const fn column(self) -> Column {
        match self {
            Self::Asset => Column::Asset,
            Self::App => Column::App,
            Self::Severity => Column::Severity,
        }
    }
}

impl LogQuery {
    fn predicate(&self) -> Result<Predicate, LakeError> {
        let contains = self.contains.as_deref().filter(|text| !text.is_empty());
        Ok(Predicate {
            from: self.from,
            to: self.to,
            asset: self.asset.as_ref().map(|asset| asset.as_str().into()),
            app: self.app.clone(),
            severities: self.severity_min.map_or(Severities::ALL, Severities::at_least),
            patterns: contains.map(Pattern::contains).transpose()?.into_iter().collect(),
        })
    }
}

impl Lake {
    /// The rows that a query wants, in the order of time.
    ///
    /// # Errors
    /// A query beyond its bounds, or a file that cannot be read. A damaged file is set aside, reported, and left out.
    pub fn search(&self, query: &LogQuery) -> Result<Vec<LogRow>, LakeError> {
        if query.limit > SEARCH_ROWS_MAX {
            return Err(LakeError::query(format!("at most {SEARCH_ROWS_MAX} rows can be asked for at once")));
        }
        let snapshot = self.snapshot();
        let places = snapshot.top(&query.predicate()?, query.limit, query.newest_first, &Deadline::NONE)?;
        Ok(snapshot.fetch(&places)?.iter().map(|(_, row)| row.to_log_row()).collect())
    }

    /// Counts wanted rows by severity per `step`, from the first step with a row to the last; the limit and the order
    /// of the query do not matter.
    ///
    /// # Errors
    /// A step that is not positive or gives more than 10,000 bins, or a file that cannot be read.
    pub fn histogram(&self, query: &LogQuery, step: DurationMs) -> Result<Vec<Bin>, LakeError> {
        if step.0 <= 0 {
            return Err(LakeError::query("the step of a histogram must be positive"));
        }
        let columns = [Column::Time, Column::Severity].into_iter().collect();
        let mut scan = Scan::new(Arc::new(self.snapshot()), query.predicate()?, columns, Deadline::NONE);
        let mut counts: BTreeMap<i64, [u64; 4]> = BTreeMap::new();
        while let Some((block, _)) = scan.next_block()? {
            for row in 0..block.rows() {
                let bin = block.time(row).0.div_euclid(step.0);
                counts.entry(bin).or_default()[block.severity(row) as usize] += 1;
            }
            check_bins(&counts)?;
        }
        let (Some(first), Some(last)) = (counts.keys().next(), counts.keys().next_back()) else {
            return Ok(Vec::new());
        };
        let bins = (*first..=*last).map(|bin| Bin {
            start: UtcMs(bin.saturating_mul(step.0)),
            counts: counts.get(&bin).copied().unwrap_or_default(),
        });
        Ok(bins.collect())
    }

    /// The most frequent values of a field with their counts, most frequent first.
    ///
    /// # Errors
    /// More than 100,000 distinct values, or a file that cannot be read.
    pub fn top_values(&self, query: &LogQuery, field: LogField, limit: usize) -> Result<Vec<(String, u64)>, LakeError> {
        let columns = Columns::default().with(field.column());
        let mut scan = Scan::new(Arc::new(self.snapshot()), query.predicate()?, columns, Deadline::NONE);
        let mut counts: HashMap<String, u64> = HashMap::new();
        while let Some((block, _)) = scan.next_block()? {
            for value in (0..block.rows()).filter_map(|row| block.text(field.column(), row)) {
                match counts.get_mut(value) {
                    Some(count) => *count += 1,
                    None => _ = counts.insert(value.to_owned(), 1),
                }
            }
            if counts.len() > VALUES_MAX {
                return Err(LakeError::TooLarge { what: format!("there are more than {VALUES_MAX} values to count") });
            }
        }
        let mut values: Vec<_> = counts.into_iter().collect();
        values.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        values.truncate(limit);
        Ok(values)
    }
}

fn check_bins(counts: &BTreeMap<i64, [u64; 4]>) -> Result<(), LakeError> {
    let (Some(first), Some(last)) = (counts.keys().next(), counts.keys().next_back()) else { return Ok(()) };
    if last.abs_diff(*first) >= BINS_MAX as u64 {
        let what = format!("the histogram would have more than {BINS_MAX} bins; take a larger step or a shorter time");
        return Err(LakeError::Query { what });
    }
    Ok(())
}

/// Where a wanted row is; the greatest comes first in the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The time, or its complement where the oldest come first.
    rank: i64,
    /// The record and then the position in it, ranked likewise.
    ties: (i64, i64),
    /// The file's place in the snapshot; `None` for the buffer.
    file: Option<usize>,
    group: usize,
    position: u32,
}

impl Place {
    /// The row's number within its snapshot.
    pub(crate) fn rowid(&self) -> i64 {
        match self.file {
            Some(file) => rowid_base(file + 1, self.group) + i64::from(self.position),
            None => rowid_base(0, 0) + i64::from(self.position),
        }
    }
}

/// Reverses the order of numbers where the oldest come first.
const fn ranked(number: i64, is_newest_first: bool) -> i64 {
    if is_newest_first { number } else { !number }
}

/// A search under way, with the best places found so far.
struct Best<'a> {
    predicate: Predicate,
    deadline: &'a Deadline,
    places: BinaryHeap<Reverse<Place>>,
    limit: usize,
    is_newest_first: bool,
}

impl Best<'_> {
    /// The rank that a further row must reach, once there are enough.
    fn floor(&self) -> Option<i64> {
        self.places.peek().filter(|_| self.places.len() >= self.limit).map(|Reverse(worst)| worst.rank)
    }

    /// Tells whether rows of these times could still be among the best.
    fn may_take(&self, from: UtcMs, to: UtcMs) -> bool {
        self.floor().is_none_or(|floor| self.best_rank(from, to) >= floor)
    }

    fn best_rank(&self, from: UtcMs, to: UtcMs) -> i64 {
        ranked(if self.is_newest_first { to.0 } else { from.0 }, self.is_newest_first)
    }

    fn offer(&mut self, place: Place) {
        if self.places.len() >= self.limit {
            if self.places.peek().is_some_and(|Reverse(worst)| place <= *worst) {
                return;
            }
            self.places.pop();
        }
        self.places.push(Reverse(place));
    }

    /// Narrows the predicate to what could still be among the best.
    fn narrow(&mut self) {
        match self.floor() {
            Some(floor) if self.is_newest_first => self.predicate.from = self.predicate.from.max(UtcMs(floor)),
            Some(floor) => self.predicate.to = self.predicate.to.min(UtcMs(!floor)),
            None => {}
        }
    }
}

impl Snapshot {
    /// The places of the first `limit` wanted rows in the order of time, first one first.
    pub(crate) fn top(
        &self,
        predicate: &Predicate,
        limit: usize,
        is_newest_first: bool,
        deadline: &Deadline,
    ) -> Result<Vec<Place>, LakeError> {
        if limit == 0 {
            return Ok(Vec::new());
        }
        let predicate = predicate.clone();
        let mut best = Best { predicate, deadline, places: BinaryHeap::new(), limit, is_newest_first };
        self.offer_buffered(&mut best);
        let mut files: Vec<usize> =
            (0..self.files.len()).filter(|file| best.predicate.may_match_file(&self.files[*file].name)).collect();
        files.sort_by_key(|file| Reverse(best.best_rank(self.files[*file].name.from, self.files[*file].name.to)));
        for file in files {
            deadline.check()?;
            let log_file = &self.files[file];
            if !best.may_take(log_file.name.from, log_file.name.to) {
                break;
            }
            if let Some(opened) = self.open(log_file)? {
                let done = self.offer_file(file, &opened, &mut best);
                self.tolerate(log_file, done)?;
            }
        }
        let mut places: Vec<Place> = best.places.into_iter().map(|Reverse(place)| place).collect();
        places.sort_unstable_by(|a, b| b.cmp(a));
        Ok(places)
    }

    fn offer_buffered(&self, best: &mut Best<'_>) {
        let mut scratch = String::new();
        for (position, row) in self.buffered.iter().enumerate() {
            let rank = ranked(row.time.0, best.is_newest_first);
            if best.floor().is_none_or(|floor| rank >= floor) && best.predicate.matches_row(row, &mut scratch) {
                let ties = [row.seq.0 as i64, position as i64].map(|number| ranked(number, best.is_newest_first));
                best.offer(Place { rank, ties: ties.into(), file: None, group: 0, position: position as u32 });
            }
        }
    }

    fn offer_file(&self, file: usize, opened: &Opened, best: &mut Best<'_>) -> Result<(), LakeError> {
        let summaries = opened.footer.groups();
        let mut groups: Vec<usize> = (0..summaries.len()).collect();
        groups.sort_by_key(|group| Reverse(best.best_rank(summaries[*group].from, summaries[*group].to)));
        for group in groups {
            best.deadline.check()?;
            best.narrow();
            let reader = opened.group(&self.files[file], group);
            if !reader.may_match(&best.predicate)? {
                continue;
            }
            let positions = reader.positions(&best.predicate)?;
            if positions.is_empty() {
                continue;
            }
            let keys = reader.block([Column::Time, Column::Seq].into_iter().collect(), Some(&positions))?;
            for (row, position) in positions.into_iter().enumerate() {
                let rank = ranked(keys.time(row).0, best.is_newest_first);
                let ties = [keys.seq(row).0 as i64, i64::from(position)];
                let ties = ties.map(|number| ranked(number, best.is_newest_first)).into();
                best.offer(Place { rank, ties, file: Some(file), group, position });
            }
        }
        Ok(())
    }

    /// The rows at these places, in this order; those of a file found damaged meanwhile are left out.
    pub(crate) fn fetch<'a>(&self, places: &'a [Place]) -> Result<Vec<(&'a Place, Arc<Row>)>, LakeError> {
        let mut rows: Vec<Option<Arc<Row>>> = vec![None; places.len()];
        let mut by_group: BTreeMap<(usize, usize), Vec<(u32, usize)>> = BTreeMap::new();
        for (answer, place) in places.iter().enumerate() {
            match place.file {
                Some(file) => by_group.entry((file, place.group)).or_default().push((place.position, answer)),
                None => rows[answer] = Some(Arc::clone(&self.buffered[place.position as usize])),
            }
        }
        for ((file, group), mut wanted) in by_group {
            let log_file = &self.files[file];
            let Some(opened) = self.open(log_file)? else { continue };
            wanted.sort_unstable();
            let positions: Vec<u32> = wanted.iter().map(|(position, _)| *position).collect();
            let block = opened.group(log_file, group).block(Columns::ALL, Some(&positions));
            let Some(block) = self.tolerate(log_file, block)? else { continue };
            for (row, (_, answer)) in wanted.into_iter().enumerate() {
                rows[answer] = Some(Arc::new(block.row(row)));
            }
        }
        Ok(places.iter().zip(rows).filter_map(|(place, row)| Some((place, row?))).collect())
    }
}

#[cfg(test)]
mod tests;
