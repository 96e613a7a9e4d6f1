//! The label index: every series of the head and of the blocks whose directory is loaded, each under a number that is
//! never used again, and per label pair the numbers that carry it.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;
use regex::{Regex, RegexBuilder};
use roaring::RoaringBitmap;
use wk_types::series::SourceError;
use wk_types::{Labels, MatchOp, Matcher, Series, SeriesId};

/// Bytes that a compiled regular expression may take.
const REGEX_BYTES_MAX: usize = 1 << 20;

type Values = BTreeMap<Arc<str>, RoaringBitmap>;

/// Series by number, and numbers by label pair.
#[derive(Debug, Default)]
pub(super) struct Index {
    next: u32,
    numbers: HashMap<SeriesId, u32>,
    series: HashMap<u32, Arc<Series>>,
    postings: BTreeMap<Arc<str>, Values>,
    all: RoaringBitmap,
}

impl Index {
    /// The number of a series that is known.
    pub(super) fn number(&self, id: SeriesId) -> Option<u32> {
        self.numbers.get(&id).copied()
    }

    /// The series of a number.
    pub(super) fn series(&self, number: u32) -> Option<&Arc<Series>> {
        self.series.get(&number)
    }

    /// How many series are known.
    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    /// The number of `series`, a new one where it is not yet known; its texts are shared with those already here.
    ///
    /// # Panics
    /// After four billion series in one run of the process.
    pub(super) fn intern(&mut self, series: &Series) -> u32 {
        if let Some(number) = self.number(series.id) {
            return number;
        }
        let number = self.next;
        self.next = number.checked_add(1).expect("a process sees fewer than 2^32 series");
        let mut pairs = Vec::with_capacity(series.labels.len());
        for (name, value) in series.labels.iter() {
            let name = shared(&self.postings, name);
            let values = self.postings.entry(Arc::clone(&name)).or_default();
            let value = shared(values, value);
            values.entry(Arc::clone(&value)).or_default().insert(number);
            pairs.push((name, value));
        }
        let series = Series { id: series.id, labels: Labels::new(pairs), asset: series.asset.clone() };
        self.numbers.insert(series.id, number);
        self.series.insert(number, Arc::new(series));
        self.all.insert(number);
        number
    }

    /// Notes that a series is now attributed to another asset.
    pub(super) fn reattribute(&mut self, number: u32, seen: &Series) {
        if let Some(known) = self.series.get_mut(&number).filter(|known| known.asset != seen.asset) {
            *known = Arc::new(Series { asset: seen.asset.clone(), ..Series::clone(known) });
        }
    }

    /// Forgets every series but those of `live`.
    pub(super) fn retain(&mut self, live: &RoaringBitmap) {
        let dead = &self.all - live;
        for series in dead.iter().filter_map(|number| self.series.remove(&number)) {
            self.numbers.remove(&series.id);
        }
        self.postings.retain(|_, values| {
            values.retain(|_, numbers| {
                *numbers -= &dead;
                !numbers.is_empty()
            });
            !values.is_empty()
        });
        self.all -= dead;
    }

    /// The numbers of all series that meet every one of `matchers`.
    pub(super) fn matching(&self, matchers: &[CompiledMatcher]) -> RoaringBitmap {
        let mut found: Option<RoaringBitmap> = None;
        for matcher in matchers {
            let mine = self.meeting(matcher);
            found = Some(match found {
                Some(before) => before & mine,
                None => mine,
            });
            if found.as_ref().is_some_and(RoaringBitmap::is_empty) {
                break;
            }
        }
        found.unwrap_or_else(|| self.all.clone())
    }

    fn meeting(&self, matcher: &CompiledMatcher) -> RoaringBitmap {
        let Some(values) = self.postings.get(&*matcher.name) else {
            return if matcher.meets("") { self.all.clone() } else { RoaringBitmap::new() };
        };
        if let Test::Equal(text) = &matcher.test
            && !text.is_empty()
        {
            return values.get(text).cloned().unwrap_or_default();
        }
        // Absent counts as empty: where the empty text is met, all series are but those whose value is not.
        let absent_meets = matcher.meets("");
        let mut union = RoaringBitmap::new();
        for (_, numbers) in values.iter().filter(|(value, _)| matcher.meets(value) != absent_meets) {
            union |= numbers;
        }
        if absent_meets { &self.all - union } else { union }
    }

    /// The names of all labels that a series of `among` has, sorted.
    pub(super) fn names(&self, among: &RoaringBitmap) -> Vec<String> {
        let has = |values: &Values| values.values().any(|numbers| !numbers.is_disjoint(among));
        self.postings.iter().filter(|(_, values)| has(values)).map(|(name, _)| name.to_string()).collect()
    }

    /// The values of label `name` that a series of `among` has, sorted.
    pub(super) fn values(&self, name: &str, among: &RoaringBitmap) -> Vec<String> {
        let values = self.postings.get(name).into_iter().flatten();
        values.filter(|(_, numbers)| !numbers.is_disjoint(among)).map(|(value, _)| value.to_string()).collect()
    }
}

fn shared<V>(texts: &BTreeMap<Arc<str>, V>, text: &Arc<str>) -> Arc<str> {
    texts.get_key_value(text).map_or_else(|| Arc::clone(text), |(known, _)| Arc::clone(known))
}

/// A matcher whose regular expression is compiled.
#[derive(Debug)]
pub(super) struct CompiledMatcher {
    name: Arc<str>,
    negated: bool,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Equal(Arc<str>),
    NotEqual(Arc<str>),
    Pattern(Regex),
}

impl CompiledMatcher {
    /// Compiles `matchers`.
    pub(super) fn compile(matchers: &[Matcher]) -> Result<Vec<Self>, SourceError> {
        matchers.iter().map(Self::new).collect()
    }

    fn new(matcher: &Matcher) -> Result<Self, SourceError> {
        let test = match matcher.op {
            MatchOp::Equal => Test::Equal(Arc::clone(&matcher.value)),
            MatchOp::NotEqual => Test::NotEqual(Arc::clone(&matcher.value)),
            MatchOp::Regex | MatchOp::NotRegex => {
                let anchored = format!("^(?s:{})$", matcher.value);
                let built = RegexBuilder::new(&anchored).size_limit(REGEX_BYTES_MAX).build();
                Test::Pattern(built.map_err(|error| SourceError::BadPattern {
                    pattern: matcher.value.to_string(),
                    reason: error.to_string(),
                })?)
            }
        };
        Ok(Self { name: Arc::clone(&matcher.name), negated: matcher.op == MatchOp::NotRegex, test })
    }

    /// Tells whether a label of value `value` meets the condition.
    fn meets(&self, value: &str) -> bool {
        match &self.test {
            Test::Equal(text) => value == &**text,
            Test::NotEqual(text) => value != &**text,
            Test::Pattern(pattern) => pattern.is_match(value) != self.negated,
        }
    }
}

#[cfg(test)]
mod tests;
