//! Evaluation: each node once, over all steps.

use std::sync::Arc;

use wk_types::{Labels, Sample, SeriesSource, UtcMs};

use crate::error::QueryError;
use crate::notes::Notes;
use crate::plan::{At, Node, RangeSelector, ValueKind, When};
use crate::query::{Limits, Value};
use crate::row::{Frame, Row, Steps, drop_names, is_present, merge};
use crate::{aggregate, binary};

mod call;
mod select;

pub(crate) use select::Want;

/// What a node evaluates to, over all steps.
pub(crate) enum Evaluated {
    Scalar(Vec<f64>),
    Rows(Vec<Row>),
}

/// One series of a range vector.
struct RangeRow {
    labels: Labels,
    drop_name: bool,
    /// Without stale markers, ascending in time.
    samples: Arc<[Sample]>,
    /// When each sample began to count; empty where that is not known.
    starts: Vec<UtcMs>,
}

/// Evaluates the nodes of one query.
pub(crate) struct Evaluator<'a> {
    source: &'a dyn SeriesSource,
    limits: &'a Limits<'a>,
    /// What `@ start()` and `@ end()` mean.
    span: (UtcMs, UtcMs),
    delayed_names: bool,
    /// It is a range query, whose answer is ordered by labels.
    is_range: bool,
    samples_read: usize,
    pub(crate) notes: Notes,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(
        source: &'a dyn SeriesSource,
        limits: &'a Limits<'a>,
        span: (UtcMs, UtcMs),
        delayed_names: bool,
    ) -> Self {
        Self { source, limits, span, delayed_names, is_range: false, samples_read: 0, notes: Notes::default() }
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
        self.is_range = true;
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
        let (start, end) = self.frame(selector, steps).window(0);
        let rows = self.range_rows(selector, steps, false)?;
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

    /// The hook that tells whether to stop.
    pub(crate) fn cancelled(&self) -> &'a dyn Fn() -> bool {
        self.limits.cancelled
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

    /// The time that a selector reads at whatever the step, before its offset.
    fn fixed(&self, when: When) -> Option<i64> {
        when.at.map(|at| match at {
            At::Start => self.span.0.0,
            At::End => self.span.1.0,
            At::Time(at) => at,
        })
    }

    /// The windows that a selector reads.
    fn frame(&self, selector: &RangeSelector, steps: &Steps) -> Frame {
        let When { offset, .. } = selector.when;
        Frame { steps: *steps, fixed: self.fixed(selector.when), offset, range: selector.range }
    }
}

fn wrong_kind(kind: ValueKind) -> QueryError {
    QueryError::Parameter { reason: format!("a {kind} cannot stand here") }
}

fn samples_of(values: &[f64], steps: &Steps) -> Vec<Sample> {
    let present = values.iter().enumerate().filter(|(_, value)| is_present(**value));
    present.map(|(step, value)| Sample::new(UtcMs(steps.time(step)), *value)).collect()
}
