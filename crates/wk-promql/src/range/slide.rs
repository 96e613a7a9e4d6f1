//! Slides a window over one series; what can be carried from one step to the next is.

use wk_types::{Sample, UtcMs};

use super::rate::{self, Counted};
use super::sliding::{Extremes, Order, Sorted, Totals};
use super::{RangeFunction, Window, extended, of_window, seconds};
use crate::error::QueryError;
use crate::plan::LOOKBACK_MS;
use crate::row::{ABSENT, Frame};
use crate::syntax::Extension;

/// After this many samples read, or as many steps, the caller's hook is asked whether to stop.
const WORK_UNCHECKED_MAX: usize = 1 << 18;

/// The scalar operands of a call, one value per step each.
pub(crate) type Operands<'a> = [Option<&'a [f64]>; 2];

/// What came of one series.
pub(crate) struct Slid {
    /// One value per step.
    pub(crate) values: Vec<f64>,
    /// A sample says it began to count before the sample before it was taken.
    pub(crate) overlapping_starts: bool,
}

/// What slides over the samples.
pub(crate) struct Slide<'a> {
    pub(crate) samples: &'a [Sample],
    /// When each sample began to count; empty where that is not known.
    pub(crate) starts: &'a [UtcMs],
    pub(crate) frame: &'a Frame,
    pub(crate) stop: &'a dyn Fn() -> bool,
}

/// One step's window: the samples `low..high` lie in `(start, end]`.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) low: usize,
    pub(super) high: usize,
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) step: usize,
}

impl Slide<'_> {
    /// Asks `at_step` at each step whose window holds a sample; both borders only ever move forward.
    fn each(
        &self,
        weight: impl Fn(usize) -> usize,
        mut at_step: impl FnMut(Bounds) -> Option<f64>,
    ) -> Result<Vec<f64>, QueryError> {
        let (mut low, mut high, mut work) = (0, 0, 0);
        let mut values = Vec::with_capacity(self.frame.steps.count);
        for step in 0..self.frame.steps.count {
            let (start, end) = self.frame.window(step);
            let passed = high;
            while high < self.samples.len() && self.samples[high].time.0 <= end {
                high += 1;
            }
            while low < high && self.samples[low].time.0 <= start {
                low += 1;
            }
            work += 1 + (high - passed) + weight(high - low);
            if work > WORK_UNCHECKED_MAX {
                work = 0;
                if (self.stop)() {
                    return Err(QueryError::Cancelled);
                }
            }
            let value = if low == high { None } else { at_step(Bounds { low, high, start, end, step }) };
            values.push(value.unwrap_or(ABSENT));
        }
        Ok(values)
    }

    fn constant(&self, at_step: impl FnMut(Bounds) -> Option<f64>) -> Result<Vec<f64>, QueryError> {
        self.each(|_| 0, at_step)
    }
}

/// Applies a function to each step's window.
///
/// # Errors
/// The caller's hook says stop.
pub(crate) fn slide(
    function: RangeFunction,
    slide: &Slide<'_>,
    operands: Operands<'_>,
    extension: Option<Extension>,
) -> Result<Slid, QueryError> {
    if let Some(extension) = extension {
        let values = extended_values(function, slide, extension)?;
        return Ok(Slid { values, overlapping_starts: false });
    }
    if matches!(function, RangeFunction::Rate | RangeFunction::Increase) && !slide.starts.is_empty() {
        return counted(function, slide);
    }
    let values = if function.reads_whole_window() {
        whole_windows(function, slide, operands)?
    } else {
        carried(function, slide, operands)?
    };
    Ok(Slid { values, overlapping_starts: false })
}

fn whole_windows(function: RangeFunction, slide: &Slide<'_>, operands: Operands<'_>) -> Result<Vec<f64>, QueryError> {
    slide.each(
        |samples| samples,
        |bounds| {
            let operands = operands.map(|values| values.map_or(f64::NAN, |values| values[bounds.step]));
            let step_time = slide.frame.steps.time(bounds.step);
            of_window(function, &Window { samples: &slide.samples[bounds.low..bounds.high], step_time, operands })
        },
    )
}

/// Functions whose next answer follows from the last one and the samples that came and went.
fn carried(function: RangeFunction, slide: &Slide<'_>, operands: Operands<'_>) -> Result<Vec<f64>, QueryError> {
    let samples = slide.samples;
    let first = |bounds: &Bounds| samples[bounds.low];
    let last = |bounds: &Bounds| samples[bounds.high - 1];
    match function {
        RangeFunction::Count => slide.constant(|bounds| Some((bounds.high - bounds.low) as f64)),
        RangeFunction::Present => slide.constant(|_| Some(1.0)),
        RangeFunction::First => slide.constant(|bounds| Some(first(&bounds).value)),
        RangeFunction::Last => slide.constant(|bounds| Some(last(&bounds).value)),
        RangeFunction::TimeOfFirst => slide.constant(|bounds| Some(first(&bounds).time.as_secs_f64())),
        RangeFunction::TimeOfLast => slide.constant(|bounds| Some(last(&bounds).time.as_secs_f64())),
        RangeFunction::Sum | RangeFunction::Avg => {
            let mut totals = Totals::new(samples);
            slide.constant(|bounds| Some(totals.at(bounds, function)))
        }
        RangeFunction::Min | RangeFunction::Max => {
            let order = if function == RangeFunction::Max { Order::FIRST_LARGEST } else { Order::FIRST_SMALLEST };
            let mut extremes = Extremes::new(samples, order);
            slide.constant(|bounds| Some(extremes.at(bounds).map_or(f64::NAN, |index| samples[index].value)))
        }
        RangeFunction::TimeOfMax | RangeFunction::TimeOfMin => {
            let order = if function == RangeFunction::TimeOfMax { Order::LAST_LARGEST } else { Order::LAST_SMALLEST };
            let mut extremes = Extremes::new(samples, order);
            slide.constant(|bounds| {
                let index = extremes.at(bounds).unwrap_or(bounds.high - 1);
                Some(samples[index].time.as_secs_f64())
            })
        }
        RangeFunction::Quantile => {
            let mut sorted = Sorted::new(samples);
            let q = |step: usize| operands[0].map_or(f64::NAN, |values| values[step]);
            // Taking one value out of the sorted ones moves all behind it, at a fraction of the cost of a read.
            slide.each(|samples| samples / 16, |bounds| Some(sorted.quantile(bounds, q(bounds.step))))
        }
        RangeFunction::Irate => slide.constant(|bounds| rate::last_two(slide, bounds, true)),
        RangeFunction::Idelta => slide.constant(|bounds| rate::last_two(slide, bounds, false)),
        RangeFunction::Changes => {
            let mut events = Counted::changes(samples);
            slide.constant(|bounds| Some(events.within(bounds).len() as f64))
        }
        RangeFunction::Resets => {
            let mut events = Counted::resets(samples, slide.starts);
            slide.constant(|bounds| Some(events.within(bounds).len() as f64))
        }
        RangeFunction::Delta => slide.constant(|bounds| {
            let change = last(&bounds).value - first(&bounds).value;
            rate::Extrapolation::of(samples, bounds)?.of_change(change, false, false)
        }),
        RangeFunction::Rate | RangeFunction::Increase => {
            let mut resets = Counted::resets(samples, &[]);
            let per_second = function == RangeFunction::Rate;
            slide.constant(|bounds| {
                let change = resets.increase(samples, bounds);
                rate::Extrapolation::of(samples, bounds)?.of_change(change, true, per_second)
            })
        }
        _ => Ok(vec![ABSENT; slide.frame.steps.count]),
    }
}

/// `rate` and `increase` where samples tell when they began to count.
fn counted(function: RangeFunction, slide: &Slide<'_>) -> Result<Slid, QueryError> {
    let (samples, starts) = (slide.samples, slide.starts);
    let mut resets = Counted::resets(samples, starts);
    let mut overlaps = Counted::overlaps(samples, starts);
    let mut overlapping_starts = false;
    let per_second = function == RangeFunction::Rate;
    let values = slide.constant(|bounds| {
        overlapping_starts |= !overlaps.within(bounds).is_empty();
        let change = resets.increase(samples, bounds);
        let (began, first) = (starts[bounds.low].0, samples[bounds.low]);
        if began != 0 && began > bounds.start && began < first.time.0 {
            return rate::since(samples, bounds, (began, change + first.value), per_second);
        }
        rate::Extrapolation::of(samples, bounds)?.of_change(change, true, per_second)
    })?;
    Ok(Slid { values, overlapping_starts })
}

/// Functions of a range whose borders reach out for samples within the look-back.
fn extended_values(function: RangeFunction, slide: &Slide<'_>, extension: Extension) -> Result<Vec<f64>, QueryError> {
    let after = if extension == Extension::Smoothed { LOOKBACK_MS } else { 0 };
    let frame = slide.frame.wider(LOOKBACK_MS, after);
    let wide = Slide { frame: &frame, samples: slide.samples, starts: slide.starts, stop: slide.stop };
    wide.each(
        |samples| samples,
        |bounds| {
            let range = (bounds.start + LOOKBACK_MS, bounds.end - after);
            extended::of_window(function, &slide.samples[bounds.low..bounds.high], range, extension)
        },
    )
}

/// The span of a window in seconds.
pub(super) fn span(bounds: Bounds) -> f64 {
    seconds(bounds.start, bounds.end)
}
