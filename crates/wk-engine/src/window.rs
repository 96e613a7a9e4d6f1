//! The engine's own window of samples: what the loaded rules select, for as long as they look back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use regex::Regex;
use serde::{Deserialize, Serialize, Serializer};
use wk_types::digest::DigestMap;
use wk_types::series::SourceError;
use wk_types::{
    DurationMs, Labels, MatchOp, Matcher, Sample, SeriesData, SeriesId, SeriesSamples, SeriesSource, UtcMs,
};

use crate::exact;

/// Every selected series is kept at least this long, so that a signal can show what went before.
pub(crate) const KEPT_MIN: DurationMs = DurationMs::from_mins(20);
/// Samples further ahead of their receipt than this are left out, as the metric store rejects them.
const FUTURE_MAX: DurationMs = DurationMs::from_mins(10);

/// What one selector of a rule reads.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    matchers: Vec<Compiled>,
    keep: DurationMs,
}

#[derive(Debug, Clone)]
struct Compiled {
    name: Arc<str>,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Equal(Arc<str>, bool),
    Pattern(Regex, bool),
}

impl Compiled {
    fn of(matcher: &Matcher, patterns: &BTreeMap<Arc<str>, Regex>) -> Result<Self, SourceError> {
        let pattern = || match patterns.get(&matcher.value) {
            Some(pattern) => Ok(pattern.clone()),
            None => compile(&matcher.value),
        };
        let test = match matcher.op {
            MatchOp::Equal => Test::Equal(Arc::clone(&matcher.value), true),
            MatchOp::NotEqual => Test::Equal(Arc::clone(&matcher.value), false),
            MatchOp::Regex => Test::Pattern(pattern()?, true),
            MatchOp::NotRegex => Test::Pattern(pattern()?, false),
        };
        Ok(Self { name: Arc::clone(&matcher.name), test })
    }

    fn matches(&self, labels: &Labels) -> bool {
        let value = labels.get(&self.name).unwrap_or_default();
        match &self.test {
            Test::Equal(wanted, answer) => (&**wanted == value) == *answer,
            Test::Pattern(pattern, answer) => pattern.is_match(value) == *answer,
        }
    }
}

/// Compiles a matcher's pattern, anchored at both ends, `.` matching line breaks as Prometheus has it.
fn compile(pattern: &str) -> Result<Regex, SourceError> {
    Regex::new(&format!("^(?s:{pattern})$"))
        .map_err(|error| SourceError::BadPattern { pattern: pattern.to_owned(), reason: error.to_string() })
}

/// The metric name that matchers ask for, where they ask for exactly one.
pub(crate) fn metric_of(matchers: &[Matcher]) -> Option<&Arc<str>> {
    let mut names = matchers.iter().filter(|matcher| {
        &*matcher.name == wk_types::labels::METRIC_NAME && matcher.op == MatchOp::Equal && !matcher.value.is_empty()
    });
    names.next().map(|matcher| &matcher.value)
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Held {
    #[serde(with = "exact::samples")]
    samples: VecDeque<Sample>,
}

/// Held samples: found by id as they come in, and in the order of names and labels as rules read them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(from = "BTreeMap<Arc<str>, ByLabels>")]
struct HeldSeries {
    by_name: BTreeMap<Arc<str>, BTreeMap<Labels, SeriesId>>,
    held: DigestMap<SeriesId, Held>,
}

/// The saved form of the series of one name.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
struct ByLabels(Vec<(Labels, Held)>);

impl From<BTreeMap<Arc<str>, ByLabels>> for HeldSeries {
    fn from(saved: BTreeMap<Arc<str>, ByLabels>) -> Self {
        let mut series = Self::default();
        for (labels, held) in saved.into_values().flat_map(|ByLabels(pairs)| pairs) {
            *series.entry(labels.id(), &labels) = held.samples;
        }
        series
    }
}

impl Serialize for HeldSeries {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pairs = |ids: &BTreeMap<Labels, SeriesId>| -> Vec<(Labels, &Held)> {
            ids.iter().filter_map(|(labels, id)| Some((labels.clone(), self.held.get(id)?))).collect()
        };
        serializer.collect_map(self.by_name.iter().map(|(name, ids)| (name, pairs(ids))))
    }
}

impl HeldSeries {
    fn get_mut(&mut self, id: SeriesId) -> Option<&mut VecDeque<Sample>> {
        self.held.get_mut(&id).map(|held| &mut held.samples)
    }

    /// The samples of a series, which is taken up where it is new.
    fn entry(&mut self, id: SeriesId, labels: &Labels) -> &mut VecDeque<Sample> {
        if !self.held.contains_key(&id) {
            let ids = match self.by_name.get_mut(labels.name()) {
                Some(ids) => ids,
                None => self.by_name.entry(labels.name().into()).or_default(),
            };
            ids.insert(labels.clone(), id);
        }
        &mut self.held.entry(id).or_default().samples
    }

    /// Drops the series for which `keep` answers false.
    fn retain(&mut self, mut keep: impl FnMut(&Labels, &mut VecDeque<Sample>) -> bool) {
        let held = &mut self.held;
        self.by_name.retain(|_, ids| {
            ids.retain(|labels, id| {
                let kept = held.get_mut(id).is_some_and(|held| keep(labels, &mut held.samples));
                if !kept {
                    held.remove(id);
                }
                kept
            });
            !ids.is_empty()
        });
    }

    fn samples(&self) -> usize {
        self.held.values().map(|held| held.samples.len()).sum()
    }
}

/// A bounded window of samples.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Window {
    #[serde(skip)]
    selections: Vec<Selection>,
    #[serde(skip)]
    patterns: BTreeMap<Arc<str>, Regex>,
    series: HeldSeries,
    samples: usize,
    refused: u64,
    #[serde(skip)]
    samples_max: usize,
}

impl Window {
    /// Sets what is not saved: how many samples are held.
    pub(crate) const fn configure(&mut self, samples_max: usize) {
        self.samples_max = samples_max;
    }

    pub(crate) const fn samples(&self) -> usize {
        self.samples
    }

    pub(crate) const fn refused(&self) -> u64 {
        self.refused
    }

    /// Sets what is selected from here on; series that no selection reads are dropped.
    ///
    /// # Errors
    /// A pattern that does not compile; nothing is changed then.
    pub(crate) fn set_selections(&mut self, selectors: &[(Vec<Matcher>, DurationMs)]) -> Result<(), SourceError> {
        let mut patterns = BTreeMap::new();
        for matcher in selectors.iter().flat_map(|(matchers, _)| matchers) {
            if matches!(matcher.op, MatchOp::Regex | MatchOp::NotRegex) && !patterns.contains_key(&matcher.value) {
                patterns.insert(Arc::clone(&matcher.value), compile(&matcher.value)?);
            }
        }
        let mut selections = Vec::with_capacity(selectors.len());
        for (matchers, lookback) in selectors {
            let matchers = matchers.iter().map(|one| Compiled::of(one, &patterns)).collect::<Result<_, _>>()?;
            selections.push(Selection { matchers, keep: KEPT_MIN.max(*lookback) });
        }
        (self.selections, self.patterns) = (selections, patterns);
        let mut series = std::mem::take(&mut self.series);
        series.retain(|labels, _| self.keeps(labels).is_some());
        self.series = series;
        self.samples = self.series.samples();
        Ok(())
    }

    /// How long the samples of a series are kept; `None` where no rule reads it.
    pub(crate) fn keeps(&self, labels: &Labels) -> Option<DurationMs> {
        let reads = |selection: &&Selection| selection.matchers.iter().all(|matcher| matcher.matches(labels));
        self.selections.iter().filter(reads).map(|selection| selection.keep).max()
    }

    /// Takes samples of a series in any order; a time that is already there keeps its first value.
    pub(crate) fn push(&mut self, one: &SeriesSamples, keep: DurationMs, received: UtcMs) {
        let (oldest, latest) = (received - keep, received + FUTURE_MAX);
        let full = self.samples >= self.samples_max;
        let held = match self.series.get_mut(one.series.id) {
            Some(held) => held,
            None if full => {
                self.refused += one.samples.len() as u64;
                return;
            }
            None => self.series.entry(one.series.id, &one.series.labels),
        };
        let before = held.len();
        for sample in one.samples.iter().filter(|sample| sample.time >= oldest && sample.time <= latest) {
            insert(held, *sample);
        }
        drop_outside(held, oldest, latest);
        if full && held.len() > before {
            self.refused += (held.len() - before) as u64;
            held.drain(..held.len() - before);
        }
        self.samples = self.samples - before + held.len();
    }

    /// Drops what is too old or lies in the future of `now`, and series that have nothing left.
    pub(crate) fn sweep(&mut self, now: UtcMs) {
        let mut series = std::mem::take(&mut self.series);
        series.retain(|labels, samples| {
            let keep = self.keeps(labels).unwrap_or(DurationMs(0));
            drop_outside(samples, now - keep, now + FUTURE_MAX);
            !samples.is_empty()
        });
        self.series = series;
        self.samples = self.series.samples();
    }
}

fn insert(held: &mut VecDeque<Sample>, sample: Sample) {
    if held.back().is_none_or(|last| last.time < sample.time) {
        held.push_back(sample);
        return;
    }
    if let Err(position) = held.binary_search_by_key(&sample.time, |one| one.time) {
        held.insert(position, sample);
    }
}

fn drop_outside(held: &mut VecDeque<Sample>, oldest: UtcMs, latest: UtcMs) {
    while held.front().is_some_and(|sample| sample.time < oldest) {
        held.pop_front();
    }
    while held.back().is_some_and(|sample| sample.time > latest) {
        held.pop_back();
    }
}

impl SeriesSource for Window {
    fn select(
        &self,
        matchers: &[Matcher],
        from: UtcMs,
        to: UtcMs,
        samples_max: usize,
    ) -> Result<Vec<SeriesData>, SourceError> {
        let compiled =
            matchers.iter().map(|one| Compiled::of(one, &self.patterns)).collect::<Result<Vec<_>, SourceError>>()?;
        let named = metric_of(matchers);
        let candidates = match named {
            Some(name) => self.series.by_name.range(Arc::clone(name)..=Arc::clone(name)),
            None => self.series.by_name.range::<Arc<str>, _>(..),
        };
        let (mut selected, mut taken) = (Vec::new(), 0);
        for (labels, id) in candidates.flat_map(|(_, ids)| ids) {
            if !compiled.iter().all(|matcher| matcher.matches(labels)) {
                continue;
            }
            let Some(held) = self.series.held.get(id) else { continue };
            let first = held.samples.partition_point(|sample| sample.time < from);
            let end = held.samples.partition_point(|sample| sample.time <= to);
            if first >= end {
                continue;
            }
            taken += end - first;
            if taken > samples_max {
                return Err(SourceError::TooManySamples { max: samples_max });
            }
            let samples = held.samples.range(first..end).copied().collect();
            selected.push(SeriesData { labels: labels.clone(), samples });
        }
        if named.is_none() {
            selected.sort_by(|a: &SeriesData, b| a.labels.cmp(&b.labels));
        }
        Ok(selected)
    }
}

#[cfg(test)]
mod tests;
