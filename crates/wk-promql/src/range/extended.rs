//! Ranges whose borders are extended: `anchored` takes the last sample before the range for its beginning, `smoothed`
//! interpolates at both ends. Source: `extendedRate` of Prometheus 3.

use wk_types::Sample;

use super::{RangeFunction, seconds};
use crate::syntax::Extension;

/// What a function makes of the samples within the look-back around the range `(start, end]`.
pub(super) fn of_window(
    function: RangeFunction,
    samples: &[Sample],
    (start, end): (i64, i64),
    extension: Extension,
) -> Option<f64> {
    let counter = function != RangeFunction::Delta;
    match function {
        RangeFunction::Changes | RangeFunction::Resets => {
            let anchored = &samples[anchor(samples, start)?..];
            let pairs = anchored.windows(2).map(|pair| (pair[0].value, pair[1].value));
            let happened = |(before, after): &(f64, f64)| match function {
                RangeFunction::Resets => after < before,
                _ => after != before && !(after.is_nan() && before.is_nan()),
            };
            Some(pairs.filter(happened).count() as f64)
        }
        _ => {
            let change = change(samples, (start, end), extension == Extension::Smoothed, counter)?;
            Some(if function == RangeFunction::Rate { change / seconds(start, end) } else { change })
        }
    }
}

/// The last sample at or before `start`, or the first one; `None` where none lies behind `start`.
fn anchor(samples: &[Sample], start: i64) -> Option<usize> {
    let behind = samples.partition_point(|sample| sample.time.0 <= start);
    (behind < samples.len()).then(|| behind.saturating_sub(1))
}

fn change(samples: &[Sample], (start, end): (i64, i64), smoothed: bool, counter: bool) -> Option<f64> {
    // Neither search looks at the last sample: it is what remains where no other fits.
    let all_but_last = &samples[..samples.len() - 1];
    let mut first = all_but_last.partition_point(|sample| sample.time.0 <= start).saturating_sub(1);
    let mut last = match smoothed {
        true => all_but_last.partition_point(|sample| sample.time.0 < end),
        false => samples.len() - 1,
    };
    if samples[last].time.0 <= start || (smoothed && samples[first].time.0 > end) {
        return None;
    }
    let left = match samples[first] {
        sample if smoothed && sample.time.0 < start => between(&sample, &samples[first + 1], start, counter),
        sample => sample.value,
    };
    let right = match samples[last] {
        sample if smoothed && last > 0 && sample.time.0 > end => between(&samples[last - 1], &sample, end, counter),
        sample => sample.value,
    };
    if !counter {
        return Some(right - left);
    }
    // Resets at the borders are part of the interpolation, so only samples strictly within the range count.
    if samples[first].time.0 <= start {
        first += 1;
    }
    if samples[last].time.0 >= end {
        last = last.wrapping_sub(1);
    }
    let inside = if last == usize::MAX || first > last { &[][..] } else { &samples[first..=last] };
    let (mut before, mut lost) = (left, 0.0);
    for value in inside.iter().map(|sample| sample.value).chain([right]) {
        if value < before {
            lost += before;
        }
        before = value;
    }
    Some(right - left + lost)
}

/// The value on the line between two samples; a counter that was reset between them counts from zero.
pub(crate) fn between(before: &Sample, after: &Sample, at: i64, counter: bool) -> f64 {
    let low = if counter && after.value < before.value { 0.0 } else { before.value };
    low + (after.value - low) * (at - before.time.0) as f64 / (after.time.0 - before.time.0) as f64
}
