//! Series in memory.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;

use regex::Regex;
use wk_types::series::SourceError;
use wk_types::{Labels, MatchOp, Matcher, Sample, SeriesData, SeriesSource, UtcMs};

/// A source of series in memory that counts how often it is asked.
#[derive(Default)]
pub struct MemorySource {
    series: Vec<(Labels, Vec<Sample>)>,
    pub selects: Cell<usize>,
    /// When samples began to count.
    pub starts: HashMap<(Labels, UtcMs), UtcMs>,
    /// Series that hold native histograms, whose samples are not kept.
    pub natives: Vec<Labels>,
}

impl MemorySource {
    /// Adds samples; of two at one time the later one stays.
    pub fn add(&mut self, labels: Labels, samples: Vec<Sample>) {
        let position = match self.series.binary_search_by(|(known, _)| known.cmp(&labels)) {
            Ok(position) => position,
            Err(position) => {
                self.series.insert(position, (labels, Vec::new()));
                position
            }
        };
        let kept = &mut self.series[position].1;
        kept.extend(samples);
        kept.reverse();
        kept.sort_by_key(|sample| sample.time);
        kept.dedup_by_key(|sample| sample.time);
    }

    /// Tells whether a selector would find native histograms.
    pub fn has_native(&self, matchers: &[Matcher]) -> bool {
        let tests: Vec<Test> = matchers.iter().map(|matcher| test(matcher).unwrap()).collect();
        self.natives.iter().any(|labels| tests.iter().all(|test| test(labels)))
    }
}

impl SeriesSource for MemorySource {
    fn select(
        &self,
        matchers: &[Matcher],
        from: UtcMs,
        to: UtcMs,
        samples_max: usize,
    ) -> Result<Vec<SeriesData>, SourceError> {
        self.selects.set(self.selects.get() + 1);
        let tests = matchers.iter().map(test).collect::<Result<Vec<_>, _>>()?;
        let mut left = samples_max;
        let mut found = Vec::new();
        for (labels, samples) in &self.series {
            if !tests.iter().all(|test| test(labels)) {
                continue;
            }
            let low = samples.partition_point(|sample| sample.time < from);
            let high = samples.partition_point(|sample| sample.time <= to);
            if low >= high {
                continue;
            }
            left = left.checked_sub(high - low).ok_or(SourceError::TooManySamples { max: samples_max })?;
            found.push(SeriesData { labels: labels.clone(), samples: Arc::from(&samples[low..high]) });
        }
        Ok(found)
    }

    fn starts(&self, series: &[SeriesData]) -> Vec<Vec<UtcMs>> {
        if self.starts.is_empty() {
            return Vec::new();
        }
        let of = |one: &SeriesData, sample: &Sample| self.starts.get(&(one.labels.clone(), sample.time)).copied();
        let all = |one: &SeriesData| one.samples.iter().map(|sample| of(one, sample).unwrap_or(UtcMs(0))).collect();
        series.iter().map(all).collect()
    }
}

type Test = Box<dyn Fn(&Labels) -> bool>;

fn test(matcher: &Matcher) -> Result<Test, SourceError> {
    let (name, value) = (Arc::clone(&matcher.name), Arc::clone(&matcher.value));
    let of = move |labels: &Labels| labels.get(&name).unwrap_or("").to_owned();
    Ok(match matcher.op {
        MatchOp::Equal => Box::new(move |labels| of(labels) == *value),
        MatchOp::NotEqual => Box::new(move |labels| of(labels) != *value),
        op => {
            let regex = Regex::new(&format!("^(?s:{value})$"))
                .map_err(|error| SourceError::BadPattern { pattern: value.to_string(), reason: error.to_string() })?;
            Box::new(move |labels| regex.is_match(&of(labels)) == (op == MatchOp::Regex))
        }
    })
}
