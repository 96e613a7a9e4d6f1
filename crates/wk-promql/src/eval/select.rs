//! Reading series.

use std::sync::Arc;

use wk_types::{Matcher, Sample, SeriesData, UtcMs};

use super::{Evaluator, RangeRow, samples_of};
use crate::error::QueryError;
use crate::parallel;
use crate::plan::{InstantSelector, LOOKBACK_MS, RangeOf, RangeSelector};
use crate::range::between;
use crate::row::{ABSENT, Frame, Row, Steps};
use crate::syntax::Extension;

/// What an instant selector answers with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    Value,
    /// The time of the sample.
    Time,
    /// When the sample began to count.
    Start,
}

impl Evaluator<'_> {
    /// Reads every matching series in `(after, to]`.
    fn select(&mut self, matchers: &[Matcher], after: i64, to: i64) -> Result<Vec<SeriesData>, QueryError> {
        self.check_cancelled()?;
        let max = self.limits.samples_max;
        let left = max.saturating_sub(self.samples_read);
        let refused = |error| match QueryError::from(error) {
            QueryError::TooManySamples { .. } => QueryError::TooManySamples { max },
            other => other,
        };
        let series = self.source.select(matchers, UtcMs(after + 1), UtcMs(to), left).map_err(refused)?;
        let read: usize = series.iter().map(|one| one.samples.len()).sum();
        if read > left {
            return Err(QueryError::TooManySamples { max });
        }
        self.samples_read += read;
        Ok(series)
    }

    /// Evaluates an instant selector.
    pub(crate) fn instant_rows(
        &mut self,
        selector: &InstantSelector,
        steps: &Steps,
        want: Want,
    ) -> Result<Vec<Row>, QueryError> {
        let fixed = self.fixed(selector.when);
        let frame = Frame { steps: *steps, fixed, offset: selector.when.offset, range: LOOKBACK_MS };
        let (after, to) = frame.span();
        let to = if selector.smoothed { to + LOOKBACK_MS } else { to };
        let series = self.select(&selector.matchers, after, to)?;
        self.check_size(series.len(), steps.count)?;
        let starts = if want == Want::Start { self.source.starts(&series) } else { Vec::new() };
        if want == Want::Start && starts.is_empty() {
            return Ok(Vec::new());
        }
        let work = series.iter().map(|one| one.samples.len() + steps.count).sum();
        let items: Vec<(usize, SeriesData)> = series.into_iter().enumerate().collect();
        let rows = parallel::map(&items, work, self.cancelled(), |(position, one), _| {
            let values = if selector.smoothed {
                interpolated(&one.samples, &frame)
            } else {
                let value_of = |index: usize| match want {
                    Want::Value => one.samples[index].value,
                    Want::Time => one.samples[index].time.as_secs_f64(),
                    Want::Start => starts[*position].get(index).map_or(0.0, |start| start.as_secs_f64()),
                };
                latest(&one.samples, &frame, value_of)
            };
            Ok(Row { labels: one.labels.clone(), drop_name: false, values })
        })?;
        Ok(rows.into_iter().filter(Row::is_some).collect())
    }

    /// Evaluates a range selector; start times are asked for where `with_starts`.
    pub(super) fn range_rows(
        &mut self,
        selector: &RangeSelector,
        steps: &Steps,
        with_starts: bool,
    ) -> Result<Vec<RangeRow>, QueryError> {
        let (mut after, mut to) = self.frame(selector, steps).span();
        match &selector.of {
            RangeOf::Series { matchers, extension } => {
                after -= if extension.is_some() { LOOKBACK_MS } else { 0 };
                to += if *extension == Some(Extension::Smoothed) { LOOKBACK_MS } else { 0 };
                let series = self.select(matchers, after, to)?;
                let starts = if with_starts { self.source.starts(&series) } else { Vec::new() };
                let starts = starts.into_iter().chain(std::iter::repeat(Vec::new()));
                Ok(series.into_iter().zip(starts).map(|(data, starts)| living(data, starts)).collect())
            }
            RangeOf::Subquery { inner, step } => {
                // The steps of a subquery lie on multiples of its step, whatever the time of the query.
                let start = (after.div_euclid(*step) + 1) * step;
                let count = if to < start { 0 } else { usize::try_from((to - start) / step + 1).unwrap_or(usize::MAX) };
                self.check_size(1, count)?;
                if count == 0 {
                    return Ok(Vec::new());
                }
                let inner_steps = Steps { start, step: *step, count };
                let rows = self.rows(inner, &inner_steps)?;
                Ok(rows.into_iter().map(|row| sampled(row, &inner_steps)).collect())
            }
        }
    }
}

/// What `value_of` makes of the latest sample within the look-back at each step; the cursor only ever moves forward.
fn latest(samples: &[Sample], frame: &Frame, value_of: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut passed = 0;
    let at_step = |step: usize| {
        let (start, end) = frame.window(step);
        while passed < samples.len() && samples[passed].time.0 <= end {
            passed += 1;
        }
        match passed.checked_sub(1) {
            Some(index) if samples[index].time.0 > start && !samples[index].is_stale() => value_of(index),
            _ => ABSENT,
        }
    };
    (0..frame.steps.count).map(at_step).collect()
}

/// The value on the line between the samples around each step, within the look-back on either side; behind the last
/// sample its value stays.
fn interpolated(samples: &[Sample], frame: &Frame) -> Vec<f64> {
    let living: Vec<Sample> = samples.iter().filter(|sample| !sample.is_stale()).copied().collect();
    let mut passed = 0;
    let at_step = |step: usize| {
        let (start, end) = frame.window(step);
        while passed < living.len() && living[passed].time.0 <= end {
            passed += 1;
        }
        let before = passed.checked_sub(1).map(|index| living[index]).filter(|sample| sample.time.0 > start);
        let after = living.get(passed).filter(|sample| sample.time.0 <= end + LOOKBACK_MS);
        match (before, after) {
            (Some(before), _) if before.time.0 == end => before.value,
            (Some(before), Some(after)) => between(&before, after, end, false),
            (Some(before), None) => before.value,
            (None, _) => ABSENT,
        }
    };
    (0..frame.steps.count).map(at_step).collect()
}

fn living(data: SeriesData, starts: Vec<UtcMs>) -> RangeRow {
    let SeriesData { labels, samples } = data;
    if !samples.iter().any(Sample::is_stale) {
        return RangeRow { labels, drop_name: false, samples, starts };
    }
    let kept = |index: &usize| !samples[*index].is_stale();
    let starts = starts.iter().enumerate().filter(|(index, _)| kept(index)).map(|(_, start)| *start).collect();
    let samples: Arc<[Sample]> = samples.iter().filter(|sample| !sample.is_stale()).copied().collect();
    RangeRow { labels, drop_name: false, samples, starts }
}

fn sampled(row: Row, steps: &Steps) -> RangeRow {
    let samples = samples_of(&row.values, steps).into();
    RangeRow { labels: row.labels, drop_name: row.drop_name, samples, starts: Vec::new() }
}
