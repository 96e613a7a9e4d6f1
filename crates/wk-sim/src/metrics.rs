//! A ship's metrics: 20,000 series of 370 targets every 15 s, where nothing else is asked for.
//!
//! Hosts, network devices, machinery gateways, services, links and constants, in the proportions of a real ship. Each
//! target has its own offset within the interval and its own clock; 2 % of its scrapes come 3 to 40 ms late.

mod mix;
mod signal;

use std::collections::HashMap;
use std::sync::Arc;

use wk_types::series::STALE_NAN_BITS;
use wk_types::{DurationMs, Sample, Series, SeriesSamples, UtcMs};

use crate::random::Random;
use signal::{Requests, Signal};

/// One scrape in so many comes late.
const LATE_ONE_IN: u64 = 50;
/// How late it is, in milliseconds: from and to.
const LATE_MS: (u64, u64) = (3, 40);
/// No scrape is so near to a whole interval after the start, so that none lies on the border of a query's range.
const MARGIN_MS: u64 = 100;

/// What to make.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricWorkloadOptions {
    /// About how many series; the number of targets is scaled to it, their mix stays.
    pub series: usize,
    /// The seed; the same one gives the same samples.
    pub seed: u64,
    /// When the first interval begins.
    pub start: UtcMs,
    /// The time between two scrapes of a target.
    pub interval: DurationMs,
    /// Which part of all series ends within an hour, others with new labels taking their place.
    pub churn_per_hour: f64,
}

impl Default for MetricWorkloadOptions {
    fn default() -> Self {
        Self {
            series: mix::SERIES,
            seed: 20_261_124,
            start: UtcMs(1_790_000_010_000),
            interval: DurationMs::from_secs(15),
            churn_per_hour: 0.0,
        }
    }
}

/// Something that is scraped as a whole.
struct Target {
    class: mix::Class,
    number: usize,
    /// How often it was replaced.
    generation: u32,
    offset_ms: u64,
    random: Random,
    /// Requests that a service has answered, of which its histogram tells.
    requests: Requests,
    series: Vec<(Arc<Series>, Signal)>,
}

impl Target {
    fn new(class: mix::Class, number: usize, generation: u32, random: &mut Random, interval_ms: u64) -> Self {
        let mut random = Random::new(random.bits());
        let offset_ms = MARGIN_MS + random.below(interval_ms.saturating_sub(2 * MARGIN_MS));
        let series = mix::series(class, number, generation, &mut random);
        let requests = Requests::new(&mut random);
        Self { class, number, generation, offset_ms, random, requests, series }
    }

    fn late_ms(&mut self) -> u64 {
        if self.random.once_in(LATE_ONE_IN) { LATE_MS.0 + self.random.below(LATE_MS.1 - LATE_MS.0 + 1) } else { 0 }
    }
}

/// A stream of scrapes that never ends; it needs the same memory however long it runs.
pub struct MetricWorkload {
    options: MetricWorkloadOptions,
    /// In the order of their offsets.
    targets: Vec<Target>,
    random: Random,
    step: u64,
    /// How many series have still to be replaced, by the churn so far.
    churn_owed: f64,
}

impl MetricWorkload {
    /// Begins a stream.
    #[must_use]
    pub fn new(options: MetricWorkloadOptions) -> Self {
        let mut random = Random::new(options.seed);
        let interval_ms = options.interval.0.unsigned_abs();
        let mut targets: Vec<Target> = mix::targets(options.series)
            .map(|(class, number)| Target::new(class, number, 0, &mut random, interval_ms))
            .collect();
        targets.sort_by_key(|target| target.offset_ms);
        Self { options, targets, random, step: 0, churn_owed: 0.0 }
    }

    /// How many series there are at a time.
    #[must_use]
    pub fn series(&self) -> usize {
        self.targets.iter().map(|target| target.series.len()).sum()
    }

    /// How many targets there are.
    #[must_use]
    pub const fn targets(&self) -> usize {
        self.targets.len()
    }

    /// How many series never change, by construction.
    #[must_use]
    pub fn constant(&self) -> usize {
        let signals = self.targets.iter().flat_map(|target| &target.series);
        signals.filter(|(_, signal)| matches!(signal, Signal::Constant(_))).count()
    }

    /// When the interval begins that [`step`](Self::step) makes next.
    #[must_use]
    pub const fn time(&self) -> UtcMs {
        UtcMs(self.options.start.0 + self.step as i64 * self.options.interval.0)
    }

    /// Scrapes every target once, in the order of time; gives each sample with the number of its target. Of a series
    /// that ended the last sample is a stale marker.
    pub fn step(&mut self, mut take: impl FnMut(usize, &Arc<Series>, Sample)) {
        let begin = self.time();
        self.step += 1;
        self.churn(begin, &mut take);
        for (number, target) in self.targets.iter_mut().enumerate() {
            let late = target.late_ms();
            let time = UtcMs(begin.0 + (target.offset_ms + late) as i64);
            target.requests.step(&mut target.random);
            for (series, signal) in &mut target.series {
                take(number, series, Sample::new(time, signal.next(&mut target.random, &target.requests)));
            }
        }
    }

    /// All samples of `steps` further steps, by series in the order of their labels; it needs the memory for them.
    #[must_use]
    pub fn collect(mut self, steps: usize) -> Vec<SeriesSamples> {
        let mut places = HashMap::new();
        let mut all: Vec<SeriesSamples> = Vec::new();
        for _ in 0..steps {
            self.step(|_, series, sample| {
                let place = *places.entry(series.id).or_insert_with(|| {
                    all.push(SeriesSamples { series: Arc::clone(series), samples: Vec::with_capacity(steps) });
                    all.len() - 1
                });
                all[place].samples.push(sample);
            });
        }
        all.sort_by(|a, b| a.series.labels.cmp(&b.series.labels));
        all
    }

    /// Replaces as many targets as the churn of one interval asks for.
    fn churn(&mut self, begin: UtcMs, take: &mut impl FnMut(usize, &Arc<Series>, Sample)) {
        let hours = self.options.interval.0 as f64 / 3_600_000.0;
        self.churn_owed += self.series() as f64 * self.options.churn_per_hour * hours;
        while self.step > 1 && self.churn_owed >= 1.0 && !self.targets.is_empty() {
            let number = self.random.below(self.targets.len() as u64) as usize;
            let old = &self.targets[number];
            self.churn_owed -= old.series.len() as f64;
            for (series, _) in &old.series {
                take(number, series, Sample::new(begin, f64::from_bits(STALE_NAN_BITS)));
            }
            let interval_ms = self.options.interval.0.unsigned_abs();
            let (class, old_number, generation) = (old.class, old.number, old.generation + 1);
            let mut new = Target::new(class, old_number, generation, &mut self.random, interval_ms);
            new.offset_ms = old.offset_ms;
            self.targets[number] = new;
        }
    }
}

#[cfg(test)]
mod tests;
