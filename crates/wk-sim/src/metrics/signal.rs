//! How single series move.

use crate::random::Random;

/// How much of a rate's deviation is left at the next scrape.
const RATE_MEMORY: f64 = 0.97;
/// How much of a level's deviation is left at the next scrape.
const LEVEL_MEMORY: f64 = 0.985;
/// Buckets of a service's histogram.
pub const BUCKETS: usize = 28;

/// The upper bounds of these buckets in seconds, as labels; the last one is `+Inf`.
pub const BOUNDS: [&str; BUCKETS] = [
    "0.001", "0.002", "0.003", "0.005", "0.0075", "0.01", "0.015", "0.02", "0.03", "0.04", "0.05", "0.075", "0.1",
    "0.15", "0.2", "0.3", "0.4", "0.5", "0.75", "1", "1.5", "2", "3", "5", "7.5", "10", "30", "+Inf",
];

/// One series' course.
#[derive(Debug, Clone)]
pub enum Signal {
    /// Never changes.
    Constant(f64),
    /// Counts up at a rate that wanders; whole units of `1 / per_unit`.
    Counter { total: f64, mean: f64, spread: f64, drift: f64, per_unit: f64 },
    /// Counts up by one, seldom.
    Seldom { total: f64, one_in: u64 },
    /// Wanders about a level in steps of `1 / per_unit`; what is shown changes once it moves by the dead band.
    Gauge { level: f64, off: f64, spread: f64, per_unit: f64, dead_band: f64, shown: f64 },
    /// Cumulated count of one bucket of the target's requests.
    Bucket(usize),
    /// Count of the target's requests.
    RequestCount,
    /// Summed time of the target's requests, with full precision.
    RequestSum,
}

impl Signal {
    /// A counter with `mean` units a scrape, wandering by `spread` of that; some run at twice the rate of others.
    pub fn counter(random: &mut Random, mean: f64, spread: f64, per_unit: f64) -> Self {
        let mean = mean * random.between(0.5, 1.5);
        // As if it had counted for some weeks.
        let total = (mean * random.between(1e4, 1e5)).round();
        Self::Counter { total, mean, spread, drift: random.normal(), per_unit }
    }

    /// A counter of rare events.
    pub fn seldom(random: &mut Random, one_in: u64) -> Self {
        Self::Seldom { total: random.below(500) as f64, one_in: one_in + random.below(one_in) }
    }

    /// A gauge about a level, measured in steps of `1 / per_unit`.
    pub fn gauge(random: &mut Random, level: f64, spread: f64, per_unit: f64) -> Self {
        let level = level * random.between(0.6, 1.4);
        Self::Gauge { level, off: 0.0, spread, per_unit, dead_band: 0.0, shown: f64::NAN }
    }

    /// The same gauge, of which small movements are not sent.
    pub fn banded(mut self, band: f64) -> Self {
        if let Self::Gauge { dead_band, .. } = &mut self {
            *dead_band = band;
        }
        self
    }

    /// The value at the next scrape.
    pub fn next(&mut self, random: &mut Random, requests: &Requests) -> f64 {
        match self {
            Self::Constant(value) => *value,
            Self::Counter { total, mean, spread, drift, per_unit } => {
                *drift = RATE_MEMORY * *drift + (1.0 - RATE_MEMORY * RATE_MEMORY).sqrt() * random.normal();
                let rate = *mean * (1.0 + *spread * (*drift + 0.4 * random.normal()));
                *total += rate.max(0.0).round();
                *total / *per_unit
            }
            Self::Seldom { total, one_in } => {
                *total += f64::from(u8::from(random.once_in(*one_in)));
                *total
            }
            Self::Gauge { level, off, spread, per_unit, dead_band, shown } => {
                *off = LEVEL_MEMORY * *off + *spread * random.normal();
                // What is above zero by nature stays there; and never the negative zero.
                let least = if *level > 0.0 { 0.0 } else { f64::NEG_INFINITY };
                let value = ((*level + *off).max(least) * *per_unit).round() / *per_unit + 0.0;
                if shown.is_nan() || (value - *shown).abs() >= *dead_band {
                    *shown = value;
                }
                *shown
            }
            Self::Bucket(number) => requests.up_to(*number) as f64,
            Self::RequestCount => requests.up_to(BUCKETS - 1) as f64,
            Self::RequestSum => requests.seconds,
        }
    }
}

/// Requests that a service has answered: how many, and how long they took.
#[derive(Debug, Clone)]
pub struct Requests {
    cumulated: [u64; BUCKETS],
    seconds: f64,
    per_scrape: f64,
    load: f64,
    /// Natural logarithm of the usual time, in seconds.
    usual: f64,
}

impl Requests {
    /// A service that has answered for a while.
    pub fn new(random: &mut Random) -> Self {
        let mut requests = Self {
            cumulated: [0; BUCKETS],
            seconds: 0.0,
            per_scrape: random.between(6.0, 50.0),
            load: 0.0,
            usual: random.between(0.02, 0.12).ln(),
        };
        (0..20).for_each(|_| requests.step(random));
        let scraped = 500 + random.below(5_000);
        requests.cumulated.iter_mut().for_each(|count| *count *= scraped);
        requests.seconds *= scraped as f64;
        requests
    }

    /// The requests until the next scrape.
    pub fn step(&mut self, random: &mut Random) {
        self.load = RATE_MEMORY * self.load + 0.2 * random.normal();
        let count = (self.per_scrape * (1.0 + 0.3 * self.load + 0.1 * random.normal())).max(0.0).round() as u64;
        let mut counts = [0_u64; BUCKETS];
        for _ in 0..count {
            let seconds = (self.usual + 0.25 * self.load + 0.7 * random.normal()).exp();
            self.seconds += seconds;
            counts[bucket(seconds)] += 1;
        }
        let mut sum = 0;
        for (total, count) in self.cumulated.iter_mut().zip(counts) {
            sum += count;
            *total += sum;
        }
    }

    const fn up_to(&self, bucket: usize) -> u64 {
        self.cumulated[bucket]
    }
}

/// The first bucket whose bound is not below `seconds`.
fn bucket(seconds: f64) -> usize {
    const SECONDS: [f64; BUCKETS - 1] = [
        0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5,
        0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 7.5, 10.0, 30.0,
    ];
    SECONDS.partition_point(|bound| *bound < seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_as_labels_and_as_numbers_agree() {
        for (number, bound) in BOUNDS.iter().enumerate() {
            let seconds: f64 = bound.trim_start_matches('+').parse().unwrap_or(f64::INFINITY);
            assert_eq!(bucket(seconds), number, "{bound}");
        }
    }
}
