//! Totals, extremes and order of the samples in a window, carried from step to step.

use std::collections::VecDeque;

use wk_types::Sample;

use super::slide::Bounds;
use super::{RangeFunction, mean, sum};
use crate::numeric::{nan_first, quantile_of_sorted};

/// Windows of fewer samples are summed afresh: that costs no more, and is the order in which Prometheus adds.
const SAMPLES_CARRIED_MIN: usize = 8;
/// A total smaller than this share of what it is made of is summed afresh, because the order of adding shows in it.
const SHARE_CARRIED_MIN: f64 = 1e-6;

/// A sum in twice the precision, so that it does not depend on the order of adding.
#[derive(Clone, Copy, Default)]
struct Total {
    high: f64,
    low: f64,
    /// The sum of the sizes of all terms.
    size: f64,
}

impl Total {
    fn of(value: f64) -> Self {
        Self { high: value, low: 0.0, size: value.abs() }
    }

    /// The sum of both (Source: Knuth's TwoSum, then Dekker's renormalisation).
    fn plus(self, other: Self) -> Self {
        let sum = self.high + other.high;
        let part = sum - self.high;
        let error = (self.high - (sum - part)) + (other.high - part);
        let rest = self.low + other.low + error;
        let high = sum + rest;
        Self { high, low: rest - (high - sum), size: self.size + other.size }
    }
}

/// The sum of a window out of two stacks: nothing is ever subtracted, so nothing is left behind by what went.
pub(super) struct Totals<'a> {
    samples: &'a [Sample],
    /// Totals of `at..middle` for each `at` from `base` on.
    front: Vec<Total>,
    base: usize,
    middle: usize,
    /// The total of `middle..high`.
    back: Total,
    high: usize,
}

impl<'a> Totals<'a> {
    pub(super) fn new(samples: &'a [Sample]) -> Self {
        Self { samples, front: Vec::new(), base: 0, middle: 0, back: Total::default(), high: 0 }
    }

    /// The sum or the mean of a window.
    pub(super) fn at(&mut self, bounds: Bounds, function: RangeFunction) -> f64 {
        let count = bounds.high - bounds.low;
        if count >= SAMPLES_CARRIED_MIN {
            let total = self.total(bounds);
            let size = total.size;
            if size.is_finite() && total.high.abs() >= size * SHARE_CARRIED_MIN {
                return match function {
                    RangeFunction::Avg => total.high / count as f64 + total.low / count as f64,
                    _ => total.high + total.low,
                };
            }
        }
        let samples = &self.samples[bounds.low..bounds.high];
        if function == RangeFunction::Avg { mean(samples) } else { sum(samples) }
    }

    fn total(&mut self, bounds: Bounds) -> Total {
        if bounds.low >= self.middle {
            self.turn(bounds);
        } else {
            for sample in &self.samples[self.high..bounds.high] {
                self.back = self.back.plus(Total::of(sample.value));
            }
        }
        self.high = bounds.high;
        self.front[bounds.low - self.base].plus(self.back)
    }

    /// Makes the whole window the front.
    fn turn(&mut self, bounds: Bounds) {
        self.front.clear();
        let mut total = Total::default();
        for sample in self.samples[bounds.low..bounds.high].iter().rev() {
            total = Total::of(sample.value).plus(total);
            self.front.push(total);
        }
        self.front.reverse();
        (self.base, self.middle, self.back) = (bounds.low, bounds.high, Total::default());
    }
}

/// Which extreme is looked for, and which of equal ones.
#[derive(Clone, Copy)]
pub(super) struct Order {
    /// Tells whether a value takes the place of one that came before it.
    displaces: fn(f64, f64) -> bool,
}

impl Order {
    pub(super) const FIRST_LARGEST: Self = Self { displaces: |new, old| new > old };
    pub(super) const FIRST_SMALLEST: Self = Self { displaces: |new, old| new < old };
    pub(super) const LAST_LARGEST: Self = Self { displaces: |new, old| new >= old };
    pub(super) const LAST_SMALLEST: Self = Self { displaces: |new, old| new <= old };
}

/// The extreme of a window, by a queue of those that can still become it.
pub(super) struct Extremes<'a> {
    samples: &'a [Sample],
    order: Order,
    candidates: VecDeque<usize>,
    high: usize,
}

impl<'a> Extremes<'a> {
    pub(super) fn new(samples: &'a [Sample], order: Order) -> Self {
        Self { samples, order, candidates: VecDeque::new(), high: 0 }
    }

    /// The position of the extreme of a window; `None` where no sample is a number.
    pub(super) fn at(&mut self, bounds: Bounds) -> Option<usize> {
        for index in self.high.max(bounds.low)..bounds.high {
            let value = self.samples[index].value;
            if value.is_nan() {
                continue;
            }
            while self.candidates.back().is_some_and(|at| (self.order.displaces)(value, self.samples[*at].value)) {
                self.candidates.pop_back();
            }
            self.candidates.push_back(index);
        }
        self.high = bounds.high;
        while self.candidates.front().is_some_and(|at| *at < bounds.low) {
            self.candidates.pop_front();
        }
        self.candidates.front().copied()
    }
}

/// The values of a window in their order.
pub(super) struct Sorted<'a> {
    samples: &'a [Sample],
    values: Vec<f64>,
    low: usize,
    high: usize,
}

impl<'a> Sorted<'a> {
    pub(super) fn new(samples: &'a [Sample]) -> Self {
        Self { samples, values: Vec::new(), low: 0, high: 0 }
    }

    /// The quantile `q` of a window.
    pub(super) fn quantile(&mut self, bounds: Bounds, q: f64) -> f64 {
        if bounds.low >= self.high {
            self.values.clear();
            self.values.extend(self.samples[bounds.low..bounds.high].iter().map(|sample| sample.value));
            self.values.sort_by(nan_first);
        } else {
            for sample in &self.samples[self.low..bounds.low] {
                let at = self.values.partition_point(|value| nan_first(value, &sample.value).is_lt());
                self.values.remove(at);
            }
            for sample in &self.samples[self.high..bounds.high] {
                let at = self.values.partition_point(|value| nan_first(value, &sample.value).is_le());
                self.values.insert(at, sample.value);
            }
        }
        (self.low, self.high) = (bounds.low, bounds.high);
        quantile_of_sorted(q, &self.values)
    }
}
