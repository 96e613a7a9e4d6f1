//! From samples to rows, and from rows to coarser rows. Pure.

use wk_types::{DurationMs, Resolution, RollupRow, Sample, UtcMs};

/// A counter that was silent for longer begins anew: what it grew by meanwhile is in no row.
pub(in crate::metrics) const COUNTER_GAP_MAX: DurationMs = DurationMs::from_hours(1);

/// The endings by which Prometheus names counters and their parts.
const COUNTER_ENDINGS: [&str; 4] = ["_total", "_count", "_sum", "_bucket"];

/// A mean is rounded to so many digits of what the series moves by within a step.
const MEAN_DIGITS: f64 = 3.0;
/// Decimals beyond which nothing is rounded.
const DECIMALS_MAX: i32 = 14;
/// Integers beyond this are not exact in an f64.
const INTEGER_MAX: f64 = 9_007_199_254_740_992.0;

/// Sums up `samples` of the metric `name`, in ascending time, into the rows of steps from `begin` on. Samples before
/// `begin` only tell what a counter had reached.
pub(super) fn roll(name: &str, samples: &[Sample], begin: UtcMs, step: DurationMs) -> Vec<RollupRow> {
    let is_number = |sample: &&Sample| !sample.value.is_nan();
    let first = samples.partition_point(|sample| sample.time < begin);
    let inside = || samples[first..].iter().filter(is_number);
    let Some(start) = inside().next() else { return Vec::new() };
    let before = samples[..first].iter().rev().find(is_number);
    let named_counter = COUNTER_ENDINGS.iter().any(|ending| name.ends_with(ending));
    let is_counter = named_counter || ascends(inside());
    let mut previous = before.filter(|one| start.time.since(one.time) <= COUNTER_GAP_MAX).copied();
    let mut rows: Vec<RollupRow> = Vec::new();
    let mut sum = 0.0;
    for sample in inside() {
        let time = sample.time.floor_to(step);
        let grown = previous
            .filter(|one| is_counter && sample.time.since(one.time) <= COUNTER_GAP_MAX)
            .map_or(0.0, |one| growth(one.value, sample.value));
        previous = Some(*sample);
        match rows.last_mut().filter(|row| row.time == time) {
            Some(row) => {
                sum += sample.value;
                row.count += 1;
                row.last = sample.value;
                row.avg = Some(sum / row.count as f64);
                row.min = row.min.map(|min| min.min(sample.value));
                row.max = row.max.map(|max| max.max(sample.value));
                row.increase = row.increase.map(|increase| increase + grown);
            }
            None => {
                sum = sample.value;
                let value = Some(sample.value);
                let increase = is_counter.then_some(grown);
                rows.push(RollupRow {
                    time,
                    avg: value,
                    min: value,
                    max: value,
                    last: sample.value,
                    count: 1,
                    increase,
                });
            }
        }
    }
    if named_counter {
        rows.iter_mut().for_each(|row| (row.avg, row.min, row.max) = (None, None, None));
    }
    round_means(&mut rows);
    if is_counter {
        let decimals = decimals(inside().chain(before).map(|sample| sample.value));
        rows.iter_mut().for_each(|row| row.increase = row.increase.map(|increase| round_to(increase, decimals)));
    }
    rows
}

/// What a counter grew by from one value to the next; a fall is a new beginning at zero.
fn growth(from: f64, to: f64) -> f64 {
    if to >= from { to - from } else { to }
}

/// Tells whether the values never fall, and do not all stay the same.
fn ascends<'a>(samples: impl Iterator<Item = &'a Sample> + Clone) -> bool {
    let pairs = samples.clone().zip(samples.skip(1));
    let mut rises = false;
    for (before, after) in pairs {
        if after.value < before.value {
            return false;
        }
        rises |= after.value > before.value;
    }
    rises
}

/// Rounds means to what can be told from how far the series moves within a step.
fn round_means(rows: &mut [RollupRow]) {
    let spreads = rows.iter().filter_map(|row| Some(row.max? - row.min?)).filter(|spread| *spread > 0.0);
    let (sum, count) = spreads.fold((0.0, 0_u32), |(sum, count), spread| (sum + spread, count + 1));
    if count == 0 {
        // Steps of one value each: adding it up may have moved its last bit.
        rows.iter_mut().for_each(|row| row.avg = row.min.filter(|min| row.max == Some(*min)).or(row.avg));
        return;
    }
    let decimals = (MEAN_DIGITS - (sum / f64::from(count)).log10()).ceil().clamp(0.0, f64::from(DECIMALS_MAX));
    for row in rows {
        row.avg = match (row.min, row.max) {
            (Some(min), Some(max)) if min == max => Some(min),
            _ => row.avg.map(|avg| round_to(avg, Some(decimals as i32))),
        };
    }
}

/// How many decimals all of `values` can be written with, `None` where that is too many.
fn decimals(values: impl Iterator<Item = f64>) -> Option<i32> {
    let mut decimals = 0;
    for value in values {
        while round_to(value, Some(decimals)) != value {
            decimals += 1;
            if decimals > DECIMALS_MAX {
                return None;
            }
        }
    }
    Some(decimals)
}

fn round_to(value: f64, decimals: Option<i32>) -> f64 {
    let Some(decimals) = decimals else { return value };
    let power = 10_f64.powi(decimals);
    let scaled = (value * power).round();
    if scaled.abs() < INTEGER_MAX { scaled / power } else { value }
}

/// Sums rows in ascending time up into rows of longer steps.
pub(super) fn fold(rows: &[RollupRow], resolution: Resolution) -> Vec<RollupRow> {
    let mut folded: Vec<RollupRow> = Vec::new();
    let mut weight = 0;
    for row in rows {
        let time = row.time.floor_to(resolution.step());
        match folded.last_mut().filter(|before| before.time == time) {
            Some(before) => {
                let both = |a: Option<f64>, b: Option<f64>, join: fn(f64, f64) -> f64| match (a, b) {
                    (Some(a), Some(b)) => Some(join(a, b)),
                    (a, b) => a.or(b),
                };
                // Steps in which it was taken for a counter have no mean to weigh.
                before.avg = match (before.avg, row.avg) {
                    (Some(a), Some(b)) => {
                        let total = (weight + row.count) as f64;
                        Some(a + (b - a) * (row.count as f64 / total))
                    }
                    (a, b) => a.or(b),
                };
                weight += if row.avg.is_some() { row.count } else { 0 };
                before.min = both(before.min, row.min, f64::min);
                before.max = both(before.max, row.max, f64::max);
                before.increase = both(before.increase, row.increase, |a, b| a + b);
                before.last = row.last;
                before.count += row.count;
            }
            None => {
                weight = if row.avg.is_some() { row.count } else { 0 };
                folded.push(RollupRow { time, ..*row });
            }
        }
    }
    round_means(&mut folded);
    let decimals = decimals(rows.iter().filter_map(|row| row.increase));
    folded.iter_mut().for_each(|row| row.increase = row.increase.map(|increase| round_to(increase, decimals)));
    folded
}

/// Joins rows of the same steps: a new row takes the place of an old one unless it counts fewer samples, as when the
/// samples that the old one was made of are no longer kept.
pub(super) fn renewed(old: &[RollupRow], new: Vec<RollupRow>) -> Vec<RollupRow> {
    if old.is_empty() {
        return new;
    }
    let mut rows = Vec::with_capacity(old.len().max(new.len()));
    let mut old = old.iter().peekable();
    for row in new {
        while let Some(before) = old.next_if(|before| before.time < row.time) {
            rows.push(*before);
        }
        match old.next_if(|before| before.time == row.time) {
            Some(before) if before.count > row.count => rows.push(*before),
            _ => rows.push(row),
        }
    }
    rows.extend(old);
    rows
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STEP: DurationMs = DurationMs(100);

    fn samples(list: &[(i64, f64)]) -> Vec<Sample> {
        list.iter().map(|(time, value)| Sample::new(UtcMs(*time), *value)).collect()
    }

    fn gauge(time: i64, (avg, min, max): (f64, f64, f64), last: f64, count: u64) -> RollupRow {
        let (avg, min, max) = (Some(avg), Some(min), Some(max));
        RollupRow { time: UtcMs(time), avg, min, max, last, count, increase: None }
    }

    fn counter(time: i64, increase: f64, last: f64, count: u64) -> RollupRow {
        let increase = Some(increase);
        RollupRow { time: UtcMs(time), avg: None, min: None, max: None, last, count, increase }
    }

    #[test]
    fn a_gauge_has_mean_extremes_and_last_of_each_step() {
        let rows =
            roll("temp", &samples(&[(5, 9.0), (100, 2.5), (150, 1.5), (199, 3.5), (310, 4.0)]), UtcMs(100), STEP);
        assert_eq!(rows, [gauge(100, (2.5, 1.5, 3.5), 3.5, 3), gauge(300, (4.0, 4.0, 4.0), 4.0, 1)]);
    }

    #[test]
    fn a_counter_grows_from_the_sample_before_the_step_and_across_resets() {
        let list = samples(&[(90, 10.25), (110, 12.5), (190, 14.5), (210, 1.5), (290, 4.0)]);
        let rows = roll("bytes_total", &list, UtcMs(100), STEP);
        assert_eq!(rows, [counter(100, 4.25, 14.5, 2), counter(200, 4.0, 4.0, 2)]);
    }

    #[test]
    fn a_counter_that_was_silent_for_long_begins_anew() {
        let gap = COUNTER_GAP_MAX.0;
        let rows = roll("bytes_total", &samples(&[(0, 10.0), (gap + 1, 90.0)]), UtcMs(0), STEP);
        assert_eq!(rows.iter().map(|row| row.increase).collect::<Vec<_>>(), [Some(0.0), Some(0.0)]);
        let rows = roll("bytes_total", &samples(&[(0, 10.0), (gap, 90.0)]), UtcMs(0), STEP);
        assert_eq!(rows[1].increase, Some(80.0));
    }

    #[test]
    fn what_only_ascends_has_an_increase_too() {
        let rows = roll("ifHCInOctets", &samples(&[(0, 1.0), (10, 1.0), (120, 5.0)]), UtcMs(0), STEP);
        assert_eq!(rows[1], RollupRow { increase: Some(4.0), ..gauge(100, (5.0, 5.0, 5.0), 5.0, 1) });
        let rows = roll("level", &samples(&[(0, 1.0), (10, 1.0)]), UtcMs(0), STEP);
        assert_eq!(rows[0].increase, None);
    }

    #[test]
    fn stale_markers_and_other_nans_count_as_no_sample() {
        let rows = roll("temp", &samples(&[(0, f64::NAN), (10, 3.0), (110, f64::NAN)]), UtcMs(0), STEP);
        assert_eq!(rows, [gauge(0, (3.0, 3.0, 3.0), 3.0, 1)]);
        assert_eq!(roll("temp", &samples(&[(0, f64::NAN)]), UtcMs(0), STEP), []);
    }

    #[test]
    fn a_row_that_counts_fewer_samples_does_not_replace_one() {
        let old = [gauge(0, (1.0, 1.0, 1.0), 1.0, 5), gauge(100, (2.0, 2.0, 2.0), 2.0, 5)];
        let new = vec![gauge(100, (3.0, 3.0, 3.0), 3.0, 1), gauge(200, (4.0, 4.0, 4.0), 4.0, 1)];
        assert_eq!(renewed(&old, new.clone()), [old[0], old[1], new[1]]);
        let more = vec![gauge(100, (3.0, 3.0, 3.0), 3.0, 6)];
        assert_eq!(renewed(&old, more.clone()), [old[0], more[0]]);
    }

    fn close(a: Option<f64>, b: Option<f64>, by: f64) -> bool {
        a.zip(b).is_some_and(|(a, b)| (a - b).abs() <= by)
    }

    proptest! {
        #[test]
        fn hours_folded_from_minutes_are_those_made_of_the_samples(
            values in prop::collection::vec((1_i64..200_000, -500_i32..500), 1..200),
        ) {
            let mut time = 0;
            let list: Vec<Sample> = values.iter().map(|(step, value)| {
                time += step;
                Sample::new(UtcMs(time), f64::from(*value) / 10.0)
            }).collect();
            for name in ["x_total", "y"] {
                let fine = roll(name, &list, UtcMs(0), Resolution::FiveMinutes.step());
                let coarse = roll(name, &list, UtcMs(0), Resolution::Hour.step());
                let folded = fold(&fine, Resolution::Hour);
                prop_assert_eq!(folded.len(), coarse.len());
                for (a, b) in folded.iter().zip(&coarse) {
                    prop_assert_eq!((a.time, a.min, a.max, a.last, a.count), (b.time, b.min, b.max, b.last, b.count));
                    prop_assert!(a.avg == b.avg || close(a.avg, b.avg, 0.2), "{:?} {:?}", a.avg, b.avg);
                    prop_assert!(a.increase == b.increase || close(a.increase, b.increase, 1e-6));
                }
            }
        }
    }
}
