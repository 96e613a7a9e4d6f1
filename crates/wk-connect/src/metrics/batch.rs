//! Samples that are sent together.

use std::collections::BTreeMap;

use wk_types::{DurationMs, SeriesId, SeriesSamples, UtcMs};

/// Samples of some records, by series; within a series in ascending time, each time once, as remote write wants them.
#[derive(Debug, Default)]
pub struct Batch {
    series: BTreeMap<SeriesId, SeriesSamples>,
    samples: usize,
    future: u64,
}

impl Batch {
    /// Adds what a record holds; samples further ahead of its reception than `future_max` are left out and counted, as
    /// the node's own store does.
    pub fn add(&mut self, series: &[SeriesSamples], received: UtcMs, future_max: DurationMs) {
        let latest = received + future_max;
        for one in series {
            let wanted = one.samples.iter().filter(|sample| sample.time <= latest).copied();
            let known = self.series.entry(one.series.id).or_insert_with(|| SeriesSamples {
                series: one.series.clone(),
                samples: Vec::with_capacity(one.samples.len()),
            });
            let before = known.samples.len();
            known.samples.extend(wanted);
            let added = known.samples.len() - before;
            self.samples += added;
            self.future += (one.samples.len() - added) as u64;
        }
    }

    /// How many samples it holds.
    #[must_use]
    pub const fn samples(&self) -> usize {
        self.samples
    }

    /// How many samples were left out because they were too far ahead.
    #[must_use]
    pub const fn future(&self) -> u64 {
        self.future
    }

    /// The series with their samples in order.
    #[must_use]
    pub fn into_series(self) -> Vec<SeriesSamples> {
        let mut all: Vec<SeriesSamples> = self.series.into_values().filter(|one| !one.samples.is_empty()).collect();
        for one in &mut all {
            // The sort is stable: of several values at one time the first stays, as in the node's own store.
            one.samples.sort_by_key(|sample| sample.time);
            one.samples.dedup_by_key(|sample| sample.time);
        }
        all
    }
}
