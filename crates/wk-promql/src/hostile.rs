//! Entry points for text that was not written by us: whatever comes in is an answer or an error.
//!
//! Fuzz targets call these, and so does the test run with the targets' seeds.
#![allow(clippy::unwrap_used, reason = "a defect shows as a panic")]

use std::sync::Arc;

use wk_types::series::SourceError;
use wk_types::{DurationMs, Labels, Matcher, Sample, SeriesData, SeriesSource, UtcMs};

use crate::query::{Limits, Query, format, parse_duration, parse_selector};

/// What an evaluation may read and make.
const SAMPLES_MAX: usize = 2_000;
/// Between the samples that every selector finds.
const STEP_MS: i64 = 30_000;

/// Takes `bytes` for a query: what can be parsed is printed, parsed again to the same print, and evaluated at an instant
/// and over a range.
pub fn query(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _ = (parse_duration(text), parse_selector(text));
    let Ok(query) = Query::parse(text) else { return };
    let printed = format(text).unwrap();
    assert_eq!(format(&printed).as_deref().ok(), Some(&*printed), "of {text:?}");
    let limits = Limits { samples_max: SAMPLES_MAX, steps_max: 20, ..Limits::default() };
    let end = UtcMs(20 * STEP_MS);
    let _ = query.instant(&Source, end, &limits);
    let _ = query.range(&Source, UtcMs(0), end, DurationMs(2 * STEP_MS), &limits);
}

/// Answers every selector with the same series: two gauges, and the buckets of a histogram.
struct Source;

impl SeriesSource for Source {
    fn select(
        &self,
        _: &[Matcher],
        from: UtcMs,
        to: UtcMs,
        samples_max: usize,
    ) -> Result<Vec<SeriesData>, SourceError> {
        let buckets = ["0.1", "1", "+Inf"].map(|le| Labels::metric("b", &[("le", le)]));
        let all = [Labels::metric("a", &[("x", "1")]), Labels::metric("a", &[("x", "2")])].into_iter().chain(buckets);
        let mut found = Vec::new();
        for (number, labels) in all.enumerate() {
            let samples: Arc<[Sample]> = (0..20)
                .map(|at| Sample::new(UtcMs(at * STEP_MS), (at % 7) as f64 + number as f64))
                .filter(|sample| (from..=to).contains(&sample.time))
                .collect();
            if !samples.is_empty() {
                found.push(SeriesData { labels, samples });
            }
        }
        let total: usize = found.iter().map(|one| one.samples.len()).sum();
        if total > samples_max { Err(SourceError::TooManySamples { max: samples_max }) } else { Ok(found) }
    }
}

#[cfg(test)]
mod tests;
