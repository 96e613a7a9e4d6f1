//! Function calls.

use wk_types::{Labels, UtcMs};

use super::{Evaluated, Evaluator, Want};
use crate::error::QueryError;
use crate::histogram::{self, Fraction};
use crate::numeric::nan_last;
use crate::plan::{CallNode, Node, RangeSelector};
use crate::range::{Operands, RangeFunction, Slide, slide};
use crate::row::{ABSENT, Row, Steps, is_present};
use crate::scalar::MapFn;
use crate::{info, label, parallel};

/// How much more a value costs that is computed of a window than one that is read.
const WORK_OF_WINDOW: usize = 4;

impl Evaluator<'_> {
    pub(super) fn call(&mut self, call: &CallNode, steps: &Steps) -> Result<Evaluated, QueryError> {
        Ok(match call {
            CallNode::Time => Evaluated::Scalar(step_seconds(steps)),
            CallNode::Both { apply, operands: [left, right] } => {
                let (left, right) = (self.scalar(left, steps)?, self.scalar(right, steps)?);
                Evaluated::Scalar(left.into_iter().zip(right).map(|(a, b)| apply(a, b)).collect())
            }
            CallNode::Scalar(argument) => {
                let rows = self.rows(argument, steps)?;
                Evaluated::Scalar((0..steps.count).map(|step| only_value(&rows, step)).collect())
            }
            other => Evaluated::Rows(self.call_rows(other, steps)?),
        })
    }

    fn call_rows(&mut self, call: &CallNode, steps: &Steps) -> Result<Vec<Row>, QueryError> {
        match call {
            CallNode::Vector(argument) => {
                let values = self.scalar(argument, steps)?;
                Ok(vec![Row { labels: Labels::default(), drop_name: false, values }])
            }
            CallNode::Map { function, argument, parameters } => {
                let rows = self.rows(argument, steps)?;
                let operands = self.scalars(parameters, steps)?;
                self.map(rows, *function, &operands)
            }
            CallNode::Over { function, range, parameters } => self.over(*function, range, parameters, steps),
            CallNode::Timestamp(argument) => self.timestamp(argument, steps),
            CallNode::StartTimestamp(Node::Instant(selector)) => {
                let rows = self.instant_rows(selector, steps, Want::Start)?;
                self.drop_names(rows)
            }
            CallNode::Absent { argument, labels } => Ok(absent(&self.rows(argument, steps)?, labels, steps)),
            CallNode::AbsentOver { range, labels } => {
                let rows = self.over_rows(RangeFunction::Present, range, &[], steps)?;
                Ok(absent(&rows, labels, steps))
            }
            CallNode::Sort { argument, descending, place } => {
                let rows = self.rows(argument, steps)?;
                if self.is_range {
                    self.notes.sort_of_range(*place);
                }
                Ok(if steps.count == 1 { sorted(rows, *descending) } else { rows })
            }
            CallNode::SortByLabel { argument, labels, descending, place } => {
                let rows = self.rows(argument, steps)?;
                if self.is_range {
                    self.notes.sort_of_range(*place);
                }
                Ok(label::sorted(rows, labels, *descending))
            }
            CallNode::LabelReplace { argument, target, replacement, source, pattern } => {
                let rows = self.rows(argument, steps)?;
                label::replace(rows, target, &label::Replacement { replacement, source, pattern })
            }
            CallNode::LabelJoin { argument, target, separator, sources } => {
                label::join(self.rows(argument, steps)?, target, separator, sources)
            }
            CallNode::Info { argument, matchers } => info::eval(self, argument, matchers, steps),
            other => self.histogram(other, steps),
        }
    }

    fn histogram(&mut self, call: &CallNode, steps: &Steps) -> Result<Vec<Row>, QueryError> {
        let (place, rows) = match call {
            CallNode::HistogramQuantile { buckets: (node, place), .. }
            | CallNode::HistogramQuantiles { buckets: (node, place), .. }
            | CallNode::HistogramFraction { buckets: (node, place), .. } => (*place, self.rows(node, steps)?),
            // What is read of an expression has no start times.
            _ => return Ok(Vec::new()),
        };
        let histograms = histogram::gather(&rows, &mut self.notes, place);
        match call {
            CallNode::HistogramQuantile { quantile: (node, at), .. } => {
                let quantile = self.scalar(node, steps)?;
                quantile.iter().for_each(|q| self.notes.check_quantile(*q, *at));
                let found = histogram::quantiles(self, &histograms, &quantile, place)?;
                self.drop_names(found)
            }
            CallNode::HistogramQuantiles { label, quantiles, .. } => {
                let mut found = Vec::new();
                for (node, at) in quantiles {
                    let quantile = self.scalar(node, steps)?;
                    quantile.iter().for_each(|q| self.notes.check_quantile(*q, *at));
                    let rows = histogram::quantiles(self, &histograms, &quantile, place)?;
                    found.extend(histogram::labelled(rows, label, &quantile));
                }
                let found = crate::row::merge(found)?;
                self.drop_names(found)
            }
            CallNode::HistogramFraction { lower, upper, .. } => {
                let (lower, upper) = (self.scalar(lower, steps)?, self.scalar(upper, steps)?);
                let found = histogram::fractions(&histograms, &Fraction { lower: &lower, upper: &upper });
                self.drop_names(found)
            }
            _ => Ok(Vec::new()),
        }
    }

    fn scalars(&mut self, nodes: &[Node], steps: &Steps) -> Result<Vec<Vec<f64>>, QueryError> {
        nodes.iter().map(|node| self.scalar(node, steps)).collect()
    }

    /// Applies a function to each element.
    pub(super) fn map(
        &self,
        mut rows: Vec<Row>,
        function: MapFn,
        operands: &[Vec<f64>],
    ) -> Result<Vec<Row>, QueryError> {
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
            let want = if selector.smoothed { Want::Value } else { Want::Time };
            let mut rows = self.instant_rows(selector, steps, want)?;
            if selector.smoothed {
                set_times(&mut rows, steps);
            }
            return self.drop_names(rows);
        }
        let mut rows = self.rows(argument, steps)?;
        set_times(&mut rows, steps);
        self.drop_names(rows)
    }

    fn over(
        &mut self,
        function: RangeFunction,
        range: &RangeSelector,
        parameters: &[Node],
        steps: &Steps,
    ) -> Result<Vec<Row>, QueryError> {
        let rows = self.over_rows(function, range, parameters, steps)?;
        if function.keeps_name() { Ok(rows) } else { self.drop_names(rows) }
    }

    /// Applies a function to each series' windows; names stay.
    fn over_rows(
        &mut self,
        function: RangeFunction,
        range: &RangeSelector,
        parameters: &[Node],
        steps: &Steps,
    ) -> Result<Vec<Row>, QueryError> {
        let operands = self.scalars(parameters, steps)?;
        check_operands(function, &operands)?;
        let series = self.range_rows(range, steps, function.uses_starts())?;
        self.check_size(series.len(), steps.count)?;
        let frame = self.frame(range, steps);
        let work = series.iter().map(|one| one.samples.len() + steps.count * WORK_OF_WINDOW).sum();
        let operands_at: Operands<'_> = [operands.first().map(Vec::as_slice), operands.get(1).map(Vec::as_slice)];
        let extension = range.extension();
        let slid = parallel::map(&series, work, self.cancelled(), |one, stop| {
            slide(
                function,
                &Slide { samples: &one.samples, starts: &one.starts, frame: &frame, stop },
                operands_at,
                extension,
            )
        })?;
        let mut rows = Vec::with_capacity(series.len());
        for (one, slid) in series.into_iter().zip(slid) {
            let row = Row { labels: one.labels, drop_name: one.drop_name, values: slid.values };
            if !row.is_some() {
                continue;
            }
            if slid.overlapping_starts {
                self.notes.overlapping_starts(&row.labels, range.place);
            }
            if matches!(function, RangeFunction::Rate | RangeFunction::Increase) {
                self.notes.check_counter(&row.labels, range.place);
            }
            rows.push(row);
        }
        if function == RangeFunction::Quantile && !rows.is_empty() {
            operands[0].iter().for_each(|q| self.notes.check_quantile(*q, range.place));
        }
        Ok(rows)
    }
}

/// Factors of smoothing lie strictly between nothing and all.
fn check_operands(function: RangeFunction, operands: &[Vec<f64>]) -> Result<(), QueryError> {
    if function != RangeFunction::Smoothing {
        return Ok(());
    }
    for (values, (name, short)) in operands.iter().zip([("smoothing", "sf"), ("trend", "tf")]) {
        if let Some(value) = values.iter().find(|value| **value <= 0.0 || **value >= 1.0) {
            let reason = format!("invalid {name} factor. Expected: 0 < {short} < 1, got: {value}");
            return Err(QueryError::Parameter { reason });
        }
    }
    Ok(())
}

fn step_seconds(steps: &Steps) -> Vec<f64> {
    (0..steps.count).map(|step| UtcMs(steps.time(step)).as_secs_f64()).collect()
}

fn set_times(rows: &mut [Row], steps: &Steps) {
    let times = step_seconds(steps);
    for row in rows {
        for (value, time) in row.values.iter_mut().zip(&times).filter(|(value, _)| is_present(**value)) {
            *value = *time;
        }
    }
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
    let mut missing = vec![1.0; steps.count];
    for row in rows {
        for (missing, _) in missing.iter_mut().zip(&row.values).filter(|(_, value)| is_present(**value)) {
            *missing = ABSENT;
        }
    }
    vec![Row { labels: labels.clone(), drop_name: false, values: missing }]
}

/// Rows by the value of their only step, those that are no number last either way.
fn sorted(mut rows: Vec<Row>, descending: bool) -> Vec<Row> {
    rows.sort_by(|a, b| {
        let (a, b) = (a.values[0], b.values[0]);
        if descending && !a.is_nan() && !b.is_nan() { nan_last(&b, &a) } else { nan_last(&a, &b) }
    });
    rows
}
