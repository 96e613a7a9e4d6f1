//! Evaluation: each node once, over all steps.

use std::sync::Arc;

use wk_types::{Labels, Matcher, Sample, SeriesData, SeriesSource, UtcMs};

use crate::error::QueryError;
use crate::numeric::nan_last;
use crate::plan::{At, CallNode, InstantSelector, LOOKBACK_MS, Node, RangeOf, RangeSelector, ValueKind, When};
use crate::query::{Limits, Value};
use crate::range::{RangeFunction, Window};
use crate::row::{ABSENT, Row, Steps, drop_names, is_present, merge};
use crate::scalar::MapFn;
use crate::{aggregate, binary, histogram, label};

/// What a node evaluates to, over all steps.
pub(crate) enum Evaluated {
    Scalar(Vec<f64>),
    Rows(Vec<Row>),
}

/// What an instant selector answers with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Want {
    Value,
    Time,
}

/// One series of a range vector.
struct RangeRow {
    labels: Labels,
    drop_name: bool,
    /// Without stale markers, ascending in time.
    samples: Arc<[Sample]>,
}

/// Evaluates the nodes of one query.
pub(crate) struct Evaluator<'a> {
    source: &'a dyn SeriesSource,
    limits: &'a Limits<'a>,
    /// What `@ start()` and `@ end()` mean.
    span: (UtcMs, UtcMs),
    delayed_names: bool,
    samples_read: usize,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(
        source: &'a dyn SeriesSource,
        limits: &'a Limits<'a>,
        span: (UtcMs, UtcMs),
        delayed_names: bool,
    ) -> Self {
        Self { source, limits, span, delayed_names, samples_read: 0 }
    }

    /// Evaluates a query at one instant.
    pub(crate) fn instant(&mut self, root: &Node, steps: Steps) -> Result<Value, QueryError> {
        let at = UtcMs(steps.start);
        match root {
            Node::Text(text) => return Ok(Value::String(at, text.to_string())),
            Node::Range(selector) => return self.top_range(selector, &steps),
            _ => {}
        }
        match self.eval(root, &steps)? {
            Evaluated::Scalar(values) => Ok(Value::Scalar(at, values[0])),
            Evaluated::Rows(rows) => {
                let elements = self.named(rows)?.into_iter().filter(|row| is_present(row.values[0]));
                Ok(Value::Vector(elements.map(|row| (row.labels, Sample::new(at, row.values[0]))).collect()))
            }
        }
    }

    /// Evaluates a query over many instants.
    pub(crate) fn range(&mut self, root: &Node, steps: Steps) -> Result<Value, QueryError> {
        let rows = match self.eval(root, &steps)? {
            Evaluated::Scalar(values) => vec![Row { labels: Labels::default(), drop_name: false, values }],
            Evaluated::Rows(rows) => self.named(rows)?,
        };
        let mut lines: Vec<(Labels, Vec<Sample>)> = rows
            .into_iter()
            .map(|row| (row.labels, samples_of(&row.values, &steps)))
            .filter(|(_, samples)| !samples.is_empty())
            .collect();
        lines.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Value::Matrix(lines))
    }

    fn top_range(&mut self, selector: &RangeSelector, steps: &Steps) -> Result<Value, QueryError> {
        let (start, end) = self.window(selector, steps.start);
        let rows = self.range_rows(selector, steps)?;
        let mut lines: Vec<(Labels, Vec<Sample>)> = rows
            .into_iter()
            .map(|row| {
                let inside = row.samples.iter().filter(|sample| (start + 1..=end).contains(&sample.time.0));
                (row.labels, inside.copied().collect())
            })
            .collect();
        lines.retain(|(_, samples): &(_, Vec<_>)| !samples.is_empty());
        lines.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Value::Matrix(lines))
    }

    /// Takes away the names that were marked to go.
    fn named(&self, rows: Vec<Row>) -> Result<Vec<Row>, QueryError> {
        if !rows.iter().any(|row| row.drop_name) {
            return Ok(rows);
        }
        let stripped = rows.into_iter().map(|row| {
            let labels = if row.drop_name { crate::row::nameless(&row.labels) } else { row.labels };
            Row { labels, ..row }
        });
        merge(stripped.collect())
    }

    /// Evaluates one node.
    pub(crate) fn eval(&mut self, node: &Node, steps: &Steps) -> Result<Evaluated, QueryError> {
        if steps.count > 1 && node.is_fixed() {
            let once = self.eval(node, &steps.first())?;
            return self.spread(once, steps.count);
        }
        self.check_cancelled()?;
        match node {
            Node::Number(value) => Ok(Evaluated::Scalar(vec![*value; steps.count])),
            Node::Instant(selector) => Ok(Evaluated::Rows(self.instant_rows(selector, steps, Want::Value)?)),
            Node::Negate(inner) => self.negate(inner, steps),
            Node::Binary(binary) => binary::eval(self, binary, steps),
            Node::Aggregate(aggregate) => Ok(Evaluated::Rows(aggregate::eval(self, aggregate, steps)?)),
            Node::Call(call) => self.call(call, steps),
            Node::Text(_) | Node::Range(_) => Err(wrong_kind(node.kind())),
        }
    }

    /// Evaluates a node that is an instant vector.
    pub(crate) fn rows(&mut self, node: &Node, steps: &Steps) -> Result<Vec<Row>, QueryError> {
        match self.eval(node, steps)? {
            Evaluated::Rows(rows) => Ok(rows),
            Evaluated::Scalar(_) => Err(wrong_kind(ValueKind::Scalar)),
        }
    }

    /// Evaluates a node that is a number.
    pub(crate) fn scalar(&mut self, node: &Node, steps: &Steps) -> Result<Vec<f64>, QueryError> {
        match self.eval(node, steps)? {
            Evaluated::Scalar(values) => Ok(values),
            Evaluated::Rows(_) => Err(wrong_kind(ValueKind::Vector)),
        }
    }

    /// Drops metric names now, or marks them to be dropped at the end.
    pub(crate) fn drop_names(&self, rows: Vec<Row>) -> Result<Vec<Row>, QueryError> {
        drop_names(rows, self.delayed_names)
    }

    /// Stops where the caller's hook says so.
    pub(crate) fn check_cancelled(&self) -> Result<(), QueryError> {
        if (self.limits.cancelled)() { Err(QueryError::Cancelled) } else { Ok(()) }
    }

    /// Stops where a node would make more values than the limits allow.
    pub(crate) fn check_size(&self, rows: usize, steps: usize) -> Result<(), QueryError> {
        match rows.checked_mul(steps) {
            Some(values) if values <= self.limits.samples_max => Ok(()),
            _ => Err(QueryError::TooManySamples { max: self.limits.samples_max }),
        }
    }

    fn spread(&self, once: Evaluated, count: usize) -> Result<Evaluated, QueryError> {
        Ok(match once {
            Evaluated::Scalar(values) => Evaluated::Scalar(vec![values[0]; count]),
            Evaluated::Rows(mut rows) => {
                self.check_size(rows.len(), count)?;
                rows.iter_mut().for_each(|row| row.values = vec![row.values[0]; count]);
                Evaluated::Rows(rows)
            }
        })
    }

    fn negate(&mut self, inner: &Node, steps: &Steps) -> Result<Evaluated, QueryError> {
        Ok(match self.eval(inner, steps)? {
            Evaluated::Scalar(values) => Evaluated::Scalar(values.into_iter().map(|value| -value).collect()),
            Evaluated::Rows(rows) => Evaluated::Rows(self.map(rows, |value, _| Some(-value), &[])?),
        })
    }

    fn call(&mut self, call: &CallNode, steps: &Steps) -> Result<Evaluated, QueryError> {
        Ok(Evaluated::Rows(match call {
            CallNode::Time => return Ok(Evaluated::Scalar(step_seconds(steps))),
            CallNode::Scalar(argument) => {
                let rows = self.rows(argument, steps)?;
                return Ok(Evaluated::Scalar((0..steps.count).map(|step| only_value(&rows, step)).collect()));
            }
            CallNode::Vector(argument) => {
                let values = self.scalar(argument, steps)?;
                vec![Row { labels: Labels::default(), drop_name: false, values }]
            }
            CallNode::Map { function, argument, parameters } => {
                let rows = self.rows(argument, steps)?;
                let operands = parameters.iter().map(|node| self.scalar(node, steps)).collect::<Result<Vec<_>, _>>()?;
                self.map(rows, *function, &operands)?
            }
            CallNode::Over { function, range, parameter } => self.over(*function, range, parameter.as_ref(), steps)?,
            CallNode::Timestamp(argument) => self.timestamp(argument, steps)?,
            CallNode::Absent { argument, labels } => absent(&self.rows(argument, steps)?, labels, steps),
            CallNode::AbsentOver { range, labels } => {
                let present = RangeFunction { apply: |_| Some(1.0), keeps_name: true, uses_step_time: false };
                absent(&self.over(present, range, None, steps)?, labels, steps)
            }
            CallNode::Sort { argument, descending } => {
                let rows = self.rows(argument, steps)?;
                if steps.count == 1 { sorted(rows, *descending) } else { rows }
            }
            CallNode::LabelReplace { argument, target, replacement, source, pattern } => {
                let rows = self.rows(argument, steps)?;
                label::replace(rows, target, &label::Replacement { replacement, source, pattern })?
            }
            CallNode::LabelJoin { argument, target, separator, sources } => {
                label::join(self.rows(argument, steps)?, target, separator, sources)?
            }
            CallNode::HistogramQuantile { quantile, buckets } => {
                let quantile = self.scalar(quantile, steps)?;
                let buckets = self.rows(buckets, steps)?;
                histogram::quantiles(&quantile, &buckets)?
            }
        }))
    }

    fn map(&self, mut rows: Vec<Row>, function: MapFn, operands: &[Vec<f64>]) -> Result<Vec<Row>, QueryError> {
        let mut at_step = vec![0.0; operands.len()];
        for row in &mut rows {
            for (step, value) in row.values.iter_mut().enumerate().filter(|(_, value)| is_present(**value)) {
                for (slot, operand) in at_step.iter_mut().zip(operands) {
                    *slot = operand[step];
                }
                *value = function(*value, &at_step).unwrap_or(ABSENT);
            }
        }
        self.drop_names(rows)
    }

    fn timestamp(&mut self, argument: &Node, steps: &Steps) -> Result<Vec<Row>, QueryError> {
        if let Node::Instant(selector) = argument {
            let rows = self.instant_rows(selector, steps, Want::Time)?;
            return self.drop_names(rows);
        }
        let mut rows = self.rows(argument, steps)?;
        let times = step_seconds(steps);
        for row in &mut rows {
            for (value, time) in row.values.iter_mut().zip(&times).filter(|(value, _)| is_present(**value)) {
                *value = *time;
            }
        }
        self.drop_names(rows)
    }

    fn over(
        &mut self,
        function: RangeFunction,
        range: &RangeSelector,
        parameter: Option<&Node>,
        steps: &Steps,
    ) -> Result<Vec<Row>, QueryError> {
        let operands = parameter.map(|node| self.scalar(node, steps)).transpose()?;
        let series = self.range_rows(range, steps)?;
        self.check_size(series.len(), steps.count)?;
        let mut rows = Vec::with_capacity(series.len());
        for one in series {
            self.check_cancelled()?;
            let values = self.walk(function, range, &one.samples, (steps, operands.as_deref()));
            let row = Row { labels: one.labels, drop_name: one.drop_name, values };
            if row.is_some() {
                rows.push(row);
            }
        }
        if function.keeps_name { Ok(rows) } else { self.drop_names(rows) }
    }

    /// Slides the window over one series: both borders only ever move forward.
    fn walk(
        &self,
        function: RangeFunction,
        range: &RangeSelector,
        samples: &[Sample],
        (steps, operands): (&Steps, Option<&[f64]>),
    ) -> Vec<f64> {
        let (mut low, mut high) = (0, 0);
        let at_step = |step: usize| {
            let step_time = steps.time(step);
            let (start, end) = self.window(range, step_time);
            high += samples[high..].iter().take_while(|sample| sample.time.0 <= end).count();
            low += samples[low..high].iter().take_while(|sample| sample.time.0 <= start).count();
            if low == high {
                return ABSENT;
            }
            let operand = operands.map_or(f64::NAN, |operands| operands[step]);
            let window = Window { samples: &samples[low..high], start, end, step_time, operand };
            (function.apply)(&window).unwrap_or(ABSENT)
        };
        (0..steps.count).map(at_step).collect()
    }

    /// The time that a selector reads at for the step at `time`.
    fn resolve(&self, when: When, time: i64) -> i64 {
        let base = match when.at {
            None => time,
            Some(At::Start) => self.span.0.0,
            Some(At::End) => self.span.1.0,
            Some(At::Time(at)) => at,
        };
        base - when.offset
    }

    /// The range `(start, end]` that a selector reads for the step at `time`.
    fn window(&self, selector: &RangeSelector, time: i64) -> (i64, i64) {
        let end = self.resolve(selector.when, time);
        (end - selector.range, end)
    }

    /// Reads every matching series in `(after, to]`.
    fn select(&mut self, matchers: &[Matcher], after: i64, to: i64) -> Result<Vec<SeriesData>, QueryError> {
        self.check_cancelled()?;
        let left = self.limits.samples_max.saturating_sub(self.samples_read);
        let series =
            self.source.select(matchers, UtcMs(after + 1), UtcMs(to), left).map_err(|error| match QueryError::from(
                error,
            ) {
                QueryError::TooManySamples { .. } => QueryError::TooManySamples { max: self.limits.samples_max },
                other => other,
            })?;
        let read: usize = series.iter().map(|one| one.samples.len()).sum();
        if read > left {
            return Err(QueryError::TooManySamples { max: self.limits.samples_max });
        }
        self.samples_read += read;
        Ok(series)
    }

    fn instant_rows(&mut self, selector: &InstantSelector, steps: &Steps, want: Want) -> Result<Vec<Row>, QueryError> {
        let first = self.resolve(selector.when, steps.start);
        let last = self.resolve(selector.when, steps.last());
        let series = self.select(&selector.matchers, first - LOOKBACK_MS, last)?;
        self.check_size(series.len(), steps.count)?;
        let mut rows = Vec::with_capacity(series.len());
        for one in series {
            self.check_cancelled()?;
            let values = self.latest(&one.samples, selector.when, steps, want);
            let row = Row { labels: one.labels, drop_name: false, values };
            if row.is_some() {
                rows.push(row);
            }
        }
        Ok(rows)
    }

    /// The latest sample within the look-back at each step; the cursor only ever moves forward.
    fn latest(&self, samples: &[Sample], when: When, steps: &Steps, want: Want) -> Vec<f64> {
        let mut passed = 0;
        let at_step = |step: usize| {
            let time = self.resolve(when, steps.time(step));
            passed += samples[passed..].iter().take_while(|sample| sample.time.0 <= time).count();
            match passed.checked_sub(1).map(|index| samples[index]) {
                Some(sample) if sample.time.0 > time - LOOKBACK_MS && !sample.is_stale() => match want {
                    Want::Value => sample.value,
                    Want::Time => sample.time.as_secs_f64(),
                },
                _ => ABSENT,
            }
        };
        (0..steps.count).map(at_step).collect()
    }

    fn range_rows(&mut self, selector: &RangeSelector, steps: &Steps) -> Result<Vec<RangeRow>, QueryError> {
        let (after, _) = self.window(selector, steps.start);
        let (_, to) = self.window(selector, steps.last());
        match &selector.of {
            RangeOf::Series(matchers) => Ok(self.select(matchers, after, to)?.into_iter().map(living).collect()),
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

fn wrong_kind(kind: ValueKind) -> QueryError {
    QueryError::Parameter { reason: format!("a {kind} cannot stand here") }
}

fn step_seconds(steps: &Steps) -> Vec<f64> {
    (0..steps.count).map(|step| UtcMs(steps.time(step)).as_secs_f64()).collect()
}

fn samples_of(values: &[f64], steps: &Steps) -> Vec<Sample> {
    let present = values.iter().enumerate().filter(|(_, value)| is_present(**value));
    present.map(|(step, value)| Sample::new(UtcMs(steps.time(step)), *value)).collect()
}

fn living(data: SeriesData) -> RangeRow {
    let samples = if data.samples.iter().any(Sample::is_stale) {
        data.samples.iter().filter(|sample| !sample.is_stale()).copied().collect()
    } else {
        data.samples
    };
    RangeRow { labels: data.labels, drop_name: false, samples }
}

fn sampled(row: Row, steps: &Steps) -> RangeRow {
    let samples = samples_of(&row.values, steps).into();
    RangeRow { labels: row.labels, drop_name: row.drop_name, samples }
}

/// The one value of a step, or not a number where there is none or more than one.
fn only_value(rows: &[Row], step: usize) -> f64 {
    let mut present = rows.iter().map(|row| row.values[step]).filter(|value| is_present(*value));
    match (present.next(), present.next()) {
        (Some(value), None) => value,
        _ => f64::NAN,
    }
}

fn absent(rows: &[Row], labels: &Labels, steps: &Steps) -> Vec<Row> {
    let missing = |step: usize| !rows.iter().any(|row| is_present(row.values[step]));
    let values = (0..steps.count).map(|step| if missing(step) { 1.0 } else { ABSENT }).collect();
    vec![Row { labels: labels.clone(), drop_name: false, values }]
}

/// Rows by the value of their only step, those that are no number last either way.
fn sorted(mut rows: Vec<Row>, descending: bool) -> Vec<Row> {
    rows.sort_by(|a, b| {
        let (a, b) = (a.values[0], b.values[0]);
        if descending && !a.is_nan() && !b.is_nan() { nan_last(&b, &a) } else { nan_last(&a, &b) }
    });
    rows
}
