//! Counters: resets, extrapolation to the borders of the range, and start times.

use wk_types::{Sample, UtcMs};

use super::seconds;
use super::slide::{Bounds, Slide, span};

/// Extrapolate to the border of the range where it is nearer than this many average sample distances.
const EXTRAPOLATION_REACH: f64 = 1.1;

/// Places in a series at which something happened between a sample and the one before it.
pub(super) struct Counted {
    /// Positions of the later samples, ascending.
    places: Vec<usize>,
    low: usize,
    high: usize,
}

impl Counted {
    fn new(samples: &[Sample], happened: impl Fn(usize) -> bool) -> Self {
        Self { places: (1..samples.len()).filter(|at| happened(*at)).collect(), low: 0, high: 0 }
    }

    /// Where the value is another one; that of no number is itself.
    pub(super) fn changes(samples: &[Sample]) -> Self {
        Self::new(samples, |at| {
            let (before, after) = (samples[at - 1].value, samples[at].value);
            after != before && !(after.is_nan() && before.is_nan())
        })
    }

    /// Where a counter began anew: it went down, or says so by its start time.
    pub(super) fn resets(samples: &[Sample], starts: &[UtcMs]) -> Self {
        Self::new(samples, |at| samples[at].value < samples[at - 1].value || began_anew(samples, starts, at))
    }

    /// Where a sample says that it began to count before the sample before it was taken, which cannot be.
    pub(super) fn overlaps(samples: &[Sample], starts: &[UtcMs]) -> Self {
        Self::new(samples, |at| starts[at].0 != 0 && starts[at] < samples[at - 1].time && starts[at] != starts[at - 1])
    }

    /// The places whose sample and the one before it both lie in a window; windows only move forward.
    pub(super) fn within(&mut self, bounds: Bounds) -> &[usize] {
        while self.high < self.places.len() && self.places[self.high] < bounds.high {
            self.high += 1;
        }
        while self.low < self.high && self.places[self.low] <= bounds.low {
            self.low += 1;
        }
        &self.places[self.low..self.high]
    }

    /// How much a counter grew over a window, where these places are its resets.
    pub(super) fn increase(&mut self, samples: &[Sample], bounds: Bounds) -> f64 {
        let change = samples[bounds.high - 1].value - samples[bounds.low].value;
        // What had been counted until the reset still counts.
        self.within(bounds).iter().fold(change, |change, at| change + samples[at - 1].value)
    }
}

/// Tells whether a sample's start time says that its counter began anew since the sample before it.
fn began_anew(samples: &[Sample], starts: &[UtcMs], at: usize) -> bool {
    let (Some(began), Some(began_before)) = (starts.get(at), starts.get(at - 1)) else { return false };
    let before = samples[at - 1].time;
    if began.0 == 0 || *began >= samples[at].time || *began < before {
        return false;
    }
    // A start at the sample before is a reset of what is counted from sample to sample, but not of a counter whose
    // start is unknown.
    *began > before || (*began_before <= before && began_before.0 != 0 && *began_before != before)
}

/// How far a window's samples are from its borders.
pub(super) struct Extrapolation {
    sampled: f64,
    average: f64,
    to_start: f64,
    to_end: f64,
    span: f64,
    first: f64,
}

impl Extrapolation {
    /// Measures a window; `None` below two samples.
    pub(super) fn of(samples: &[Sample], bounds: Bounds) -> Option<Self> {
        let distances = bounds.high - bounds.low - 1;
        if distances == 0 {
            return None;
        }
        let (first, last) = (samples[bounds.low], samples[bounds.high - 1]);
        let sampled = seconds(first.time.0, last.time.0);
        Some(Self {
            sampled,
            average: sampled / distances as f64,
            to_start: seconds(bounds.start, first.time.0),
            to_end: seconds(last.time.0, bounds.end),
            span: span(bounds),
            first: first.value,
        })
    }

    /// The change over the whole range (Source: `extrapolatedRate` of Prometheus 3).
    pub(super) fn of_change(&self, change: f64, counter: bool, per_second: bool) -> Option<f64> {
        let reach = self.average * EXTRAPOLATION_REACH;
        let mut to_start = if self.to_start >= reach { self.average / 2.0 } else { self.to_start };
        if counter && change > 0.0 && self.first >= 0.0 {
            // A counter starts at zero: going back further than that would make it negative.
            to_start = to_start.min(self.sampled * (self.first / change));
        }
        let to_end = if self.to_end >= reach { self.average / 2.0 } else { self.to_end };
        let mut factor = (self.sampled + to_start + to_end) / self.sampled;
        if per_second {
            factor /= self.span;
        }
        Some(change * factor)
    }
}

/// The growth of a counter that is known to have begun within the range: nothing is extrapolated before that.
pub(super) fn since(samples: &[Sample], bounds: Bounds, (began, change): (i64, f64), per_second: bool) -> Option<f64> {
    let (first, last) = (samples[bounds.low].time.0, samples[bounds.high - 1].time.0);
    let distances = bounds.high - bounds.low - 1;
    let average = if distances == 0 { 0.0 } else { seconds(first, last) / distances as f64 };
    let sampled = seconds(began, last);
    let mut to_end = seconds(last, bounds.end);
    if to_end >= average * EXTRAPOLATION_REACH {
        to_end = average / 2.0;
    }
    let mut factor = (sampled + to_end) / sampled;
    if per_second {
        factor /= span(bounds);
    }
    Some(change * factor)
}

/// The difference of the last two samples; per second, with resets of the counter, where `rate`.
pub(super) fn last_two(slide: &Slide<'_>, bounds: Bounds, rate: bool) -> Option<f64> {
    let [.., before, last] = &slide.samples[bounds.low..bounds.high] else { return None };
    let span = seconds(before.time.0, last.time.0);
    if span == 0.0 {
        return None;
    }
    if !rate {
        return Some(last.value - before.value);
    }
    let reset = last.value < before.value || began_anew(slide.samples, slide.starts, bounds.high - 1);
    Some(if reset { last.value } else { last.value - before.value } / span)
}
