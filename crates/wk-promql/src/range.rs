//! Functions of one series' samples in a range.

use std::fmt;

use wk_types::Sample;

use crate::numeric::{Mean, Spread, Sum, quantile};

/// Extrapolate to the border of the range where it is nearer than this many average sample distances.
const EXTRAPOLATION_REACH: f64 = 1.1;

/// The samples of one series in `(start, end]`, never empty, without stale markers.
pub(crate) struct Window<'a> {
    pub(crate) samples: &'a [Sample],
    pub(crate) start: i64,
    pub(crate) end: i64,
    /// The step's own time, which offset and `@` do not move.
    pub(crate) step_time: i64,
    /// The call's scalar operand; not a number where it has none.
    pub(crate) operand: f64,
}

/// A function of a window; `None` where it has too few samples.
#[derive(Clone, Copy)]
pub(crate) struct RangeFunction {
    pub(crate) apply: fn(&Window<'_>) -> Option<f64>,
    pub(crate) keeps_name: bool,
    /// It depends on the step's own time even under `@`.
    pub(crate) uses_step_time: bool,
}

impl fmt::Debug for RangeFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RangeFunction").field("keeps_name", &self.keeps_name).finish_non_exhaustive()
    }
}

/// The function of that name.
pub(crate) fn lookup(name: &str) -> Option<RangeFunction> {
    let apply: fn(&Window<'_>) -> Option<f64> = match name {
        "rate" => |window| extrapolated(window, true, true),
        "increase" => |window| extrapolated(window, true, false),
        "delta" => |window| extrapolated(window, false, false),
        "irate" => |window| last_two(window, true),
        "idelta" => |window| last_two(window, false),
        "deriv" => |window| Some(regression(window.samples, window.samples[0].time.0)?.slope),
        "predict_linear" => |window| {
            let line = regression(window.samples, window.step_time)?;
            Some(line.slope * window.operand + line.intercept)
        },
        "resets" => |window| Some(count_pairs(window.samples, |before, after| after < before)),
        "changes" => |window| {
            Some(count_pairs(window.samples, |before, after| after != before && !(after.is_nan() && before.is_nan())))
        },
        "count_over_time" => |window| Some(window.samples.len() as f64),
        "present_over_time" => |_| Some(1.0),
        "last_over_time" => |window| window.samples.last().map(|sample| sample.value),
        "first_over_time" => |window| window.samples.first().map(|sample| sample.value),
        "sum_over_time" => |window| Some(values(window).fold(Sum::default(), Sum::plus).total()),
        "avg_over_time" => |window| {
            let mut mean = Mean::default();
            values(window).for_each(|value| mean.add(value));
            Some(mean.mean())
        },
        "min_over_time" => |window| values(window).reduce(|a, b| if b < a || a.is_nan() { b } else { a }),
        "max_over_time" => |window| values(window).reduce(|a, b| if b > a || a.is_nan() { b } else { a }),
        "quantile_over_time" => |window| Some(quantile(window.operand, &mut values(window).collect::<Vec<_>>())),
        "stdvar_over_time" => |window| Some(variance(window)),
        "stddev_over_time" => |window| Some(variance(window).sqrt()),
        _ => return None,
    };
    Some(RangeFunction {
        apply,
        keeps_name: matches!(name, "last_over_time" | "first_over_time"),
        uses_step_time: name == "predict_linear",
    })
}

fn values<'a>(window: &Window<'a>) -> impl Iterator<Item = f64> + use<'a> {
    window.samples.iter().map(|sample| sample.value)
}

fn variance(window: &Window<'_>) -> f64 {
    let mut spread = Spread::default();
    values(window).for_each(|value| spread.add(value));
    spread.variance()
}

fn count_pairs(samples: &[Sample], counts: fn(f64, f64) -> bool) -> f64 {
    samples.windows(2).filter(|pair| counts(pair[0].value, pair[1].value)).count() as f64
}

fn seconds(from: i64, to: i64) -> f64 {
    (to - from) as f64 / 1_000.0
}

/// The change over the range, extrapolated to its borders (Source: `extrapolatedRate` of Prometheus 3).
fn extrapolated(window: &Window<'_>, counter: bool, per_second: bool) -> Option<f64> {
    let [first, .., last] = window.samples else { return None };
    let mut change = last.value - first.value;
    if counter {
        // A counter that went down was reset: what it had counted until then still counts.
        change += window
            .samples
            .windows(2)
            .filter(|pair| pair[1].value < pair[0].value)
            .fold(0.0, |lost, pair| lost + pair[0].value);
    }
    let sampled = seconds(first.time.0, last.time.0);
    let average = sampled / (window.samples.len() - 1) as f64;
    let reach = average * EXTRAPOLATION_REACH;
    let mut to_start = seconds(window.start, first.time.0);
    if to_start >= reach {
        to_start = average / 2.0;
    }
    if counter && change > 0.0 && first.value >= 0.0 {
        // A counter starts at zero: going back further than that would make it negative.
        to_start = to_start.min(sampled * (first.value / change));
    }
    let mut to_end = seconds(last.time.0, window.end);
    if to_end >= reach {
        to_end = average / 2.0;
    }
    let mut factor = (sampled + to_start + to_end) / sampled;
    if per_second {
        factor /= seconds(window.start, window.end);
    }
    Some(change * factor)
}

/// The difference of the last two samples; per second, with resets of the counter, where `rate`.
fn last_two(window: &Window<'_>, rate: bool) -> Option<f64> {
    let [.., before, last] = window.samples else { return None };
    let span = seconds(before.time.0, last.time.0);
    if span == 0.0 {
        return None;
    }
    if !rate {
        return Some(last.value - before.value);
    }
    let change = if last.value < before.value { last.value } else { last.value - before.value };
    Some(change / span)
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
