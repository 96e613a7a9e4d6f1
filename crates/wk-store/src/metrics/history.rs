//! Samples where there are any, and before that what rollups say of them, so that a question that reaches further back
//! than samples are kept has an answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use wk_types::series::SourceError;
use wk_types::{
    DurationMs, Labels, Matcher, Resolution, RollupRow, RollupSource as _, Sample, SeriesData, SeriesSource, UtcMs,
};

use super::MetricStore;
use super::file::{Kind, stretch};

/// How far apart the samples are that are made of rollups, whatever their resolution: PromQL takes a sample for a
/// series' present value for so long.
const SPACING: DurationMs = Resolution::FiveMinutes.step();
/// Two numbers that differ by no more than this share of theirs are the same but for rounding.
const ROUNDING: f64 = 1e-9;

/// The metric store together with its rollups, for one question.
///
/// A gauge has its mean at the end of each step. A counter has its values at the ends of steps and, where it was reset
/// within one, the height it had reached before, so that what it grew by is right. What is known of an hour only is
/// given every five minutes: the mean again and again, the counter's growth in equal parts.
#[derive(Debug)]
pub struct History<'a> {
    store: &'a MetricStore,
    /// The first time of which there are samples; rollups speak of what was before.
    samples_from: UtcMs,
    /// The first time of which there are rows of five minutes.
    fine_from: UtcMs,
    has_fine: AtomicBool,
    has_coarse: AtomicBool,
}

impl MetricStore {
    /// The store together with its rollups, as it is now.
    #[must_use]
    pub fn history(&self) -> History<'_> {
        let state = self.0.read();
        let blocks = state.blocks.iter().filter(|block| block.kind == Kind::Normal && block.samples > 0);
        let samples_from = blocks.map(|block| block.first).min().unwrap_or(UtcMs::MIN);
        let fine = state.rollups.keys().filter(|(resolution, _)| *resolution == Resolution::FiveMinutes);
        let fine_from = fine.map(|(_, begin)| *begin).min().unwrap_or(samples_from).min(samples_from);
        drop(state);
        let (has_fine, has_coarse) = (AtomicBool::new(false), AtomicBool::new(false));
        History { store: self, samples_from, fine_from, has_fine, has_coarse }
    }
}

impl History<'_> {
    /// What whoever reads the answers has to know; `None` while they were made of samples alone.
    #[must_use]
    pub fn note(&self) -> Option<String> {
        let resolution = match (self.has_fine.load(Ordering::Relaxed), self.has_coarse.load(Ordering::Relaxed)) {
            (false, false) => return None,
            (true, false) => "5 min",
            (false, true) => "1 h",
            (true, true) => "5 min and 1 h",
        };
        let from = self.samples_from;
        Some(format!(
            "before {from} the answer is made of rollups of {resolution}: gauges are means of these, counters grow as \
             they did; ranges under 10m find nothing there"
        ))
    }

    /// Adds the samples that rows of a resolution beginning in `from..until` make.
    fn add(&self, found: &mut Found, matchers: &[Matcher], part: Part) -> Result<(), SourceError> {
        let Part { resolution, from, until } = part;
        let first = from.floor_to(resolution.step());
        if first >= until {
            return Ok(());
        }
        let mut rows: BTreeMap<Labels, Vec<RollupRow>> = BTreeMap::new();
        for one in self.store.rollups(matchers, first, until - DurationMs(1), resolution)? {
            let one = one?;
            let ends_before = one.rows.iter().filter(|row| row.time + resolution.step() <= until);
            let kept: Vec<RollupRow> = ends_before.copied().collect();
            found.spend(kept.len() * (resolution.step().0 / SPACING.0) as usize)?;
            rows.entry(one.series.labels.clone()).or_default().extend(kept);
        }
        let used = if resolution == Resolution::Hour { &self.has_coarse } else { &self.has_fine };
        for (labels, rows) in rows.into_iter().filter(|(_, rows)| !rows.is_empty()) {
            used.store(true, Ordering::Relaxed);
            found.series.entry(labels).or_default().extend(samples(&rows, resolution));
        }
        Ok(())
    }
}

impl SeriesSource for History<'_> {
    fn select(
        &self,
        matchers: &[Matcher],
        from: UtcMs,
        to: UtcMs,
        samples_max: usize,
    ) -> Result<Vec<SeriesData>, SourceError> {
        if from >= self.samples_from {
            return self.store.select(matchers, from, to, samples_max);
        }
        let mut found = Found { series: BTreeMap::new(), spent: 0, max: samples_max };
        // A step that samples reach into is told by these alone.
        let until = self.samples_from.floor_to(SPACING).min(to + DurationMs(1));
        let fine_from = self.fine_from.floor_to(stretch(Resolution::FiveMinutes)).clamp(from, until.max(from));
        self.add(&mut found, matchers, Part { resolution: Resolution::Hour, from, until: fine_from })?;
        self.add(&mut found, matchers, Part { resolution: Resolution::FiveMinutes, from: fine_from, until })?;
        let begin = until.max(from);
        for one in self.store.select(matchers, begin, to.max(begin), samples_max)? {
            found.spend(one.samples.len())?;
            found.series.entry(one.labels).or_default().extend(one.samples.iter().filter(|sample| sample.time <= to));
        }
        let mut series: Vec<SeriesData> = Vec::with_capacity(found.series.len());
        for (labels, mut samples) in found.series {
            samples.retain(|sample| (from..=to).contains(&sample.time));
            if !samples.is_empty() {
                series.push(SeriesData { labels, samples: Arc::from(samples) });
            }
        }
        Ok(series)
    }
}

/// Rows to be read.
#[derive(Debug, Clone, Copy)]
struct Part {
    resolution: Resolution,
    from: UtcMs,
    until: UtcMs,
}

/// What a question finds, counted against its bound.
struct Found {
    series: BTreeMap<Labels, Vec<Sample>>,
    spent: usize,
    max: usize,
}

impl Found {
    fn spend(&mut self, samples: usize) -> Result<(), SourceError> {
        self.spent = self.spent.saturating_add(samples);
        if self.spent > self.max { Err(SourceError::TooManySamples { max: self.max }) } else { Ok(()) }
    }
}

/// The samples that rows of one series make, in ascending time.
fn samples(rows: &[RollupRow], resolution: Resolution) -> Vec<Sample> {
    // A gauge that ascends for a while has an increase there, a counter everywhere.
    let is_counter = rows.iter().all(|row| row.increase.is_some());
    let parts = resolution.step().0 / SPACING.0;
    let mut made = Vec::with_capacity(rows.len() * parts as usize);
    let mut before: Option<&RollupRow> = None;
    for row in rows {
        let follows = before.filter(|before| before.time + resolution.step() == row.time);
        let time = |part: i64| row.time + DurationMs(SPACING.0 * part - 1);
        match row.increase.filter(|_| is_counter) {
            Some(increase) => {
                let start = follows.map_or((row.last - increase).max(0.0), |before| before.last);
                count(&mut made, &Growth { start, increase, last: row.last, parts }, time);
            }
            None => {
                let value = row.avg.unwrap_or(row.last);
                made.extend((1..=parts).map(|part| Sample::new(time(part), value)));
            }
        }
        before = Some(row);
    }
    made
}

/// How a counter went through one step.
struct Growth {
    start: f64,
    increase: f64,
    last: f64,
    parts: i64,
}

/// Lets a counter grow through a step. Where it was reset, it reaches the height that is missing from what it had at the
/// end, and begins at zero.
fn count(made: &mut Vec<Sample>, growth: &Growth, time: impl Fn(i64) -> UtcMs) {
    let Growth { start, increase, last, parts } = *growth;
    let peak = start + increase;
    if (peak - last).abs() <= ROUNDING * peak.abs().max(last.abs()) {
        let share = |part: i64| if part == parts { last } else { start + increase * (part as f64 / parts as f64) };
        made.extend((1..=parts).map(|part| Sample::new(time(part), share(part))));
        return;
    }
    let peak = (peak - last).max(0.0);
    let share = |part: i64| start + (peak - start).max(0.0) * (part as f64 / (parts - 1).max(1) as f64);
    made.extend((1..parts).map(|part| Sample::new(time(part), share(part))));
    if parts == 1 {
        made.push(Sample::new(time(1) - DurationMs(SPACING.0 / 2), share(1)));
    }
    made.push(Sample::new(time(parts), last));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(time: i64, increase: Option<f64>, last: f64) -> RollupRow {
        let avg = increase.is_none().then_some(last - 1.0);
        RollupRow { time: UtcMs(time), avg, min: avg, max: avg, last, count: 20, increase }
    }

    /// What a counter grew by in all, as PromQL counts it.
    fn grown(samples: &[Sample]) -> f64 {
        let pairs = samples.windows(2);
        pairs
            .map(|pair| if pair[1].value < pair[0].value { pair[1].value } else { pair[1].value - pair[0].value })
            .sum()
    }

    #[test]
    fn a_gauge_has_its_mean_every_five_minutes() {
        let step = SPACING.0;
        let made = samples(&[row(0, None, 3.0), row(step, None, 5.0)], Resolution::FiveMinutes);
        assert_eq!(made, [Sample::new(UtcMs(step - 1), 2.0), Sample::new(UtcMs(2 * step - 1), 4.0)]);
        let made = samples(&[row(0, None, 3.0)], Resolution::Hour);
        assert_eq!(made.len(), 12);
        assert!(made.iter().all(|sample| sample.value == 2.0));
        assert_eq!(made[11].time, UtcMs(12 * step - 1));
    }

    #[test]
    fn a_counter_grows_by_what_it_grew_by_whether_it_was_reset_or_not() {
        for resolution in Resolution::ALL {
            let step = resolution.step().0;
            // 100, then 40 more, then reset after 10 more and up to 7, then 3 more.
            let rows = [
                row(0, Some(0.0), 100.0),
                row(step, Some(40.0), 140.0),
                row(2 * step, Some(17.0), 7.0),
                row(3 * step, Some(3.0), 10.0),
            ];
            let made = samples(&rows, resolution);
            assert!((grown(&made) - 60.0).abs() < 1e-9, "{made:?}");
            assert!(made.windows(2).all(|pair| pair[0].time < pair[1].time));
            assert_eq!(made.last().unwrap(), &Sample::new(UtcMs(4 * step - 1), 10.0));
            assert!(made.iter().all(|sample| (0.0..=150.0).contains(&sample.value)), "{made:?}");
        }
    }

    #[test]
    fn a_gauge_that_ascends_for_a_while_stays_a_gauge() {
        let step = SPACING.0;
        let rising = RollupRow { increase: Some(2.0), ..row(0, None, 3.0) };
        let made = samples(&[rising, row(step, None, 5.0)], Resolution::FiveMinutes);
        assert_eq!(made[0].value, 2.0);
    }
}
