//! Aggregation of an instant vector's elements.

use std::collections::HashMap;

use wk_types::Labels;
use wk_types::labels::METRIC_NAME;

use crate::error::QueryError;
use crate::eval::Evaluator;
use crate::numeric::{Mean, Sum, nan_last, plain_text, quantile};
use crate::plan::{AggregateNode, Grouping, Node};
use crate::row::{ABSENT, Row, Steps, is_present};

/// What is computed of each group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AggregateOp {
    Sum,
    Avg,
    Count,
    Min,
    Max,
    Group,
    Stddev,
    Stdvar,
    TopK,
    BottomK,
    Quantile,
    CountValues,
}

/// The rows that are aggregated into one.
struct Group<'a> {
    labels: Labels,
    drop_name: bool,
    rows: Vec<&'a Row>,
}

/// Evaluates an aggregation.
pub(crate) fn eval(evaluator: &mut Evaluator<'_>, node: &AggregateNode, steps: &Steps) -> Result<Vec<Row>, QueryError> {
    if node.op == AggregateOp::CountValues {
        return count_values(evaluator, node, steps);
    }
    let parameter = node.parameter.as_ref().map(|parameter| evaluator.scalar(parameter, steps)).transpose()?;
    let rows = evaluator.rows(&node.argument, steps)?;
    let groups = grouped(&rows, &node.grouping);
    evaluator.check_cancelled()?;
    let parameter = parameter.unwrap_or_default();
    match node.op {
        AggregateOp::TopK | AggregateOp::BottomK => {
            let sizes = sizes(&parameter, &rows)?;
            Ok(extremes(&groups, node.op == AggregateOp::TopK, &sizes))
        }
        AggregateOp::Quantile => Ok(groups.into_iter().map(|group| quantiles(&group, &parameter)).collect()),
        op => Ok(groups.into_iter().map(|group| folded(&group, op, steps.count)).collect()),
    }
}

fn grouped<'a>(rows: &'a [Row], grouping: &Grouping) -> Vec<Group<'a>> {
    let keeps_name = matches!(grouping, Grouping::By(names) if names.iter().any(|name| &**name == METRIC_NAME));
    let mut positions: HashMap<Labels, usize> = HashMap::new();
    let mut groups: Vec<Group<'_>> = Vec::new();
    for row in rows {
        let labels = group_labels(&row.labels, grouping);
        let position = *positions.entry(labels.clone()).or_insert_with(|| {
            groups.push(Group { labels, drop_name: false, rows: Vec::new() });
            groups.len() - 1
        });
        groups[position].drop_name |= keeps_name && row.drop_name;
        groups[position].rows.push(row);
    }
    groups
}

fn group_labels(labels: &Labels, grouping: &Grouping) -> Labels {
    match grouping {
        Grouping::By(names) if names.is_empty() => Labels::default(),
        Grouping::By(names) => labels.filtered(|name| names.iter().any(|kept| &**kept == name)),
        Grouping::Without(names) => {
            labels.filtered(|name| name != METRIC_NAME && !names.iter().any(|gone| &**gone == name))
        }
    }
}

/// What has been taken in of one group at one step.
#[derive(Clone, Copy, Default)]
struct Accumulator {
    count: f64,
    sum: Sum,
    mean: Mean,
    /// The extreme so far, or the sum of squared distances from the running mean.
    value: f64,
    running_mean: f64,
}

impl Accumulator {
    fn add(&mut self, op: AggregateOp, value: f64) {
        self.count += 1.0;
        let first = self.count == 1.0;
        match op {
            AggregateOp::Sum if first => self.sum = Sum { value, compensation: 0.0 },
            AggregateOp::Sum => self.sum = self.sum.plus(value),
            AggregateOp::Avg => self.mean.add(value),
            AggregateOp::Min if first || value < self.value || self.value.is_nan() => self.value = value,
            AggregateOp::Max if first || value > self.value || self.value.is_nan() => self.value = value,
            AggregateOp::Stddev | AggregateOp::Stdvar => {
                let delta = value - self.running_mean;
                self.running_mean += delta / self.count;
                self.value += delta * (value - self.running_mean);
            }
            _ => {}
        }
    }

    fn result(&self, op: AggregateOp) -> f64 {
        if self.count == 0.0 {
            return ABSENT;
        }
        match op {
            AggregateOp::Sum => self.sum.total(),
            AggregateOp::Avg => self.mean.mean(),
            AggregateOp::Count => self.count,
            AggregateOp::Group => 1.0,
            AggregateOp::Stdvar => self.value / self.count,
            AggregateOp::Stddev => (self.value / self.count).sqrt(),
            _ => self.value,
        }
    }
}

/// Folds a group row by row, which reads memory in order.
fn folded(group: &Group<'_>, op: AggregateOp, steps: usize) -> Row {
    let mut accumulators = vec![Accumulator::default(); steps];
    for row in &group.rows {
        for (accumulator, value) in accumulators.iter_mut().zip(&row.values).filter(|(_, value)| is_present(**value)) {
            accumulator.add(op, *value);
        }
    }
    let values = accumulators.iter().map(|accumulator| accumulator.result(op)).collect();
    Row { labels: group.labels.clone(), drop_name: group.drop_name, values }
}

/// The present values of a group at each step, with the position of their row in it.
fn columns(group: &Group<'_>, steps: usize) -> Vec<Vec<(f64, usize)>> {
    let mut columns = vec![Vec::new(); steps];
    for (position, row) in group.rows.iter().enumerate() {
        for (column, value) in columns.iter_mut().zip(&row.values).filter(|(_, value)| is_present(**value)) {
            column.push((*value, position));
        }
    }
    columns
}

fn quantiles(group: &Group<'_>, parameter: &[f64]) -> Row {
    let at_step = |(column, q): (Vec<(f64, usize)>, &f64)| {
        let mut values: Vec<f64> = column.into_iter().map(|(value, _)| value).collect();
        if values.is_empty() { ABSENT } else { quantile(*q, &mut values) }
    };
    let values = columns(group, parameter.len()).into_iter().zip(parameter).map(at_step).collect();
    Row { labels: group.labels.clone(), drop_name: group.drop_name, values }
}

/// How many elements `topk` and `bottomk` take at each step.
fn sizes(parameter: &[f64], rows: &[Row]) -> Result<Vec<usize>, QueryError> {
    let size = |value: f64| {
        if value.is_nan() {
            return Err(QueryError::Parameter { reason: "Parameter value is NaN".to_owned() });
        }
        if value.abs() >= i64::MAX as f64 {
            return Err(QueryError::Parameter {
                reason: format!("Scalar value {} overflows int64", plain_text(value)),
            });
        }
        Ok(if value < 1.0 { 0 } else { (value as usize).min(rows.len()) })
    };
    parameter.iter().map(|value| size(*value)).collect()
}

/// The largest or smallest elements of each group; at a single step they come in the order of their values.
fn extremes(groups: &[Group<'_>], largest: bool, sizes: &[usize]) -> Vec<Row> {
    let mut chosen = Vec::new();
    for group in groups {
        let mut rows: Vec<Vec<f64>> = vec![vec![ABSENT; sizes.len()]; group.rows.len()];
        let mut order: Vec<usize> = (0..group.rows.len()).collect();
        for (step, mut column) in columns(group, sizes.len()).into_iter().enumerate() {
            column.sort_by(|(a, _), (b, _)| match largest && !a.is_nan() && !b.is_nan() {
                true => nan_last(b, a),
                false => nan_last(a, b),
            });
            column.truncate(sizes[step]);
            for (value, position) in &column {
                rows[*position][step] = *value;
            }
            if sizes.len() == 1 {
                order = column.iter().map(|(_, position)| *position).collect();
            }
        }
        let picked = order.into_iter().map(|at| group.rows[at].with_values(std::mem::take(&mut rows[at])));
        chosen.extend(picked.filter(Row::is_some));
    }
    chosen
}

fn count_values(evaluator: &mut Evaluator<'_>, node: &AggregateNode, steps: &Steps) -> Result<Vec<Row>, QueryError> {
    let Some(Node::Text(label)) = &node.parameter else {
        return Err(QueryError::Parameter { reason: "count_values needs a label name in quotes".to_owned() });
    };
    if label.is_empty() {
        return Err(QueryError::Parameter { reason: format!("invalid label name {label:?}") });
    }
    let rows = evaluator.rows(&node.argument, steps)?;
    let shown = match &node.grouping {
        Grouping::By(_) => true,
        Grouping::Without(names) => !names.contains(label),
    };
    let mut positions: HashMap<(Labels, u64), usize> = HashMap::new();
    let mut counts: Vec<Row> = Vec::new();
    for row in &rows {
        evaluator.check_cancelled()?;
        let base = group_labels(&row.labels, &node.grouping).filtered(|name| name != &**label);
        for (step, value) in row.values.iter().enumerate().filter(|(_, value)| is_present(**value)) {
            let key = if shown { value_key(*value) } else { 0 };
            let position = *positions.entry((base.clone(), key)).or_insert_with(|| {
                let labels = if shown { base.with(label, &plain_text(*value)) } else { base.clone() };
                counts.push(Row { labels, drop_name: false, values: vec![ABSENT; steps.count] });
                counts.len() - 1
            });
            evaluator.check_size(counts.len(), steps.count)?;
            let count = &mut counts[position].values[step];
            *count = if is_present(*count) { *count + 1.0 } else { 1.0 };
        }
    }
    Ok(counts)
}

/// The same for values that read the same: every NaN is one value.
fn value_key(value: f64) -> u64 {
    if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() }
}
