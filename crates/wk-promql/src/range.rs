//! Functions of one series' samples in a range: which there are, and what each makes of one window.

use wk_types::Sample;

use crate::numeric::{Mean, Spread, Sum, quantile};
use crate::syntax::Extension;

mod extended;
mod rate;
mod slide;
mod sliding;

pub(crate) use extended::between;
pub(crate) use slide::{Operands, Slide, slide};

/// A function of the samples in a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RangeFunction {
    Avg,
    Changes,
    Count,
    Delta,
    Deriv,
    First,
    Idelta,
    Increase,
    Irate,
    Last,
    Mad,
    Max,
    Min,
    PredictLinear,
    Present,
    Quantile,
    Rate,
    Resets,
    Smoothing,
    Stddev,
    Stdvar,
    Sum,
    TimeOfFirst,
    TimeOfLast,
    TimeOfMax,
    TimeOfMin,
}

impl RangeFunction {
    /// The function of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "avg_over_time" => Self::Avg,
            "changes" => Self::Changes,
            "count_over_time" => Self::Count,
            "delta" => Self::Delta,
            "deriv" => Self::Deriv,
            "first_over_time" => Self::First,
            "idelta" => Self::Idelta,
            "increase" => Self::Increase,
            "irate" => Self::Irate,
            "last_over_time" => Self::Last,
            "mad_over_time" => Self::Mad,
            "max_over_time" => Self::Max,
            "min_over_time" => Self::Min,
            "predict_linear" => Self::PredictLinear,
            "present_over_time" => Self::Present,
            "quantile_over_time" => Self::Quantile,
            "rate" => Self::Rate,
            "resets" => Self::Resets,
            // Prometheus 2 calls it holt_winters.
            "double_exponential_smoothing" | "holt_winters" => Self::Smoothing,
            "stddev_over_time" => Self::Stddev,
            "stdvar_over_time" => Self::Stdvar,
            "sum_over_time" => Self::Sum,
            "ts_of_first_over_time" => Self::TimeOfFirst,
            "ts_of_last_over_time" => Self::TimeOfLast,
            "ts_of_max_over_time" => Self::TimeOfMax,
            "ts_of_min_over_time" => Self::TimeOfMin,
            _ => return None,
        })
    }

    /// Tells whether its answers keep the name of the metric.
    pub(crate) fn keeps_name(self) -> bool {
        matches!(self, Self::Last | Self::First)
    }

    /// Tells whether it can be asked of a range whose borders are extended.
    pub(crate) fn takes(self, extension: Extension) -> bool {
        match self {
            Self::Rate | Self::Increase | Self::Delta => true,
            Self::Changes | Self::Resets => extension == Extension::Anchored,
            _ => false,
        }
    }

    /// Tells whether it is a function of counters, to which start times of samples matter.
    pub(crate) fn uses_starts(self) -> bool {
        matches!(self, Self::Rate | Self::Increase | Self::Irate | Self::Resets)
    }

    /// Tells whether each answer costs a pass over its whole window.
    pub(crate) fn reads_whole_window(self) -> bool {
        use RangeFunction as F;
        matches!(self, F::Deriv | F::Mad | F::PredictLinear | F::Smoothing | F::Stddev | F::Stdvar)
    }
}

/// The samples of one series in `(start, end]`, never empty, without stale markers.
pub(crate) struct Window<'a> {
    pub(crate) samples: &'a [Sample],
    /// The step's own time, which offset and `@` do not move.
    pub(crate) step_time: i64,
    /// The call's scalar operands; not a number where it has none.
    pub(crate) operands: [f64; 2],
}

/// What a function that reads its whole window makes of it; `None` where there are too few samples.
fn of_window(function: RangeFunction, window: &Window<'_>) -> Option<f64> {
    let samples = window.samples;
    match function {
        RangeFunction::Deriv => Some(regression(samples, samples[0].time.0)?.slope),
        RangeFunction::PredictLinear => {
            let line = regression(samples, window.step_time)?;
            Some(line.slope * window.operands[0] + line.intercept)
        }
        RangeFunction::Stdvar => Some(variance(samples)),
        RangeFunction::Stddev => Some(variance(samples).sqrt()),
        RangeFunction::Mad => Some(median_deviation(samples)),
        RangeFunction::Smoothing => smoothed(samples, window.operands),
        RangeFunction::Sum => Some(sum(samples)),
        RangeFunction::Avg => Some(mean(samples)),
        _ => None,
    }
}

fn values(samples: &[Sample]) -> impl Iterator<Item = f64> + '_ {
    samples.iter().map(|sample| sample.value)
}

/// The sum in the order of time.
fn sum(samples: &[Sample]) -> f64 {
    values(samples).fold(Sum::default(), Sum::plus).total()
}

/// The mean in the order of time.
fn mean(samples: &[Sample]) -> f64 {
    let mut mean = Mean::default();
    values(samples).for_each(|value| mean.add(value));
    mean.mean()
}

fn variance(samples: &[Sample]) -> f64 {
    let mut spread = Spread::default();
    values(samples).for_each(|value| spread.add(value));
    spread.variance()
}

/// The median distance from the median; not a number where a sample is none.
fn median_deviation(samples: &[Sample]) -> f64 {
    let mut found: Vec<f64> = values(samples).collect();
    if found.iter().any(|value| value.is_nan()) {
        return f64::NAN;
    }
    let median = quantile(0.5, &mut found);
    found.iter_mut().for_each(|value| *value = (*value - median).abs());
    quantile(0.5, &mut found)
}

/// Double exponential smoothing with the given smoothing and trend factors.
fn smoothed(samples: &[Sample], [smoothing, trend]: [f64; 2]) -> Option<f64> {
    let [first, second, ..] = samples else { return None };
    let (mut before, mut level, mut slope) = (0.0, first.value, second.value - first.value);
    for (index, sample) in samples[1..].iter().enumerate() {
        if index > 0 {
            slope = trend * (level - before) + (1.0 - trend) * slope;
        }
        let next = smoothing * sample.value + (1.0 - smoothing) * (level + slope);
        (before, level) = (level, next);
    }
    Some(level)
}

/// The time from one instant to another, in seconds.
fn seconds(from: i64, to: i64) -> f64 {
    (to - from) as f64 / 1_000.0
}

struct Line {
    slope: f64,
    /// Its value at the time asked for.
    intercept: f64,
}

/// The least-squares line through the samples, its intercept at `origin`; `None` below two samples.
fn regression(samples: &[Sample], origin: i64) -> Option<Line> {
    if samples.len() < 2 {
        return None;
    }
    let first = samples[0].value;
    if samples.iter().all(|sample| sample.value == first) {
        let (slope, intercept) = if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
        return Some(Line { slope, intercept });
    }
    let (mut x, mut y, mut xy, mut xx) = (Sum::default(), Sum::default(), Sum::default(), Sum::default());
    for sample in samples {
        let at = seconds(origin, sample.time.0);
        x = x.plus(at);
        y = y.plus(sample.value);
        xy = xy.plus(at * sample.value);
        xx = xx.plus(at * at);
    }
    let n = samples.len() as f64;
    let [x, y, xy, xx] = [x, y, xy, xx].map(|sum| sum.value + sum.compensation);
    let slope = (xy - x * y / n) / (xx - x * x / n);
    Some(Line { slope, intercept: y / n - slope * x / n })
}

#[cfg(test)]
mod tests;
