//! Aggregation of an instant vector's elements.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use wk_types::Labels;
use wk_types::labels::METRIC_NAME;

use crate::error::QueryError;
use crate::eval::Evaluator;
use crate::numeric::{Mean, Sum, plain_text, quantile};
use crate::parallel;
use crate::plan::{AggregateNode, Grouping, Node, Place};
use crate::row::{ABSENT, Row, Steps, is_present};

mod pick;

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
    LimitK,
    LimitRatio,
}

impl AggregateOp {
    /// The aggregation of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sum" => Self::Sum,
            "avg" => Self::Avg,
            "count" => Self::Count,
            "min" => Self::Min,
            "max" => Self::Max,
            "group" => Self::Group,
            "stddev" => Self::Stddev,
            "stdvar" => Self::Stdvar,
            "topk" => Self::TopK,
            "bottomk" => Self::BottomK,
            "quantile" => Self::Quantile,
            "count_values" => Self::CountValues,
            "limitk" => Self::LimitK,
            "limit_ratio" => Self::LimitRatio,
            _ => return None,
        })
    }

    /// Tells whether a number comes before the vector.
    pub(crate) fn takes_parameter(self) -> bool {
        matches!(self, Self::TopK | Self::BottomK | Self::Quantile | Self::LimitK | Self::LimitRatio)
    }
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
    let parameter = match &node.parameter {
        Some((parameter, place)) => Some((evaluator.scalar(parameter, steps)?, *place)),
        None => None,
    };
    let rows = evaluator.rows(&node.argument, steps)?;
    let groups = grouped(&rows, &node.grouping);
    let work = rows.len() * steps.count;
    let each = |function: &(dyn Fn(&Group<'_>) -> Row + Sync)| {
        parallel::map(&groups, work, evaluator.cancelled(), |group, _| Ok(function(group)))
    };
    match (node.op, &parameter) {
        (AggregateOp::TopK | AggregateOp::BottomK, Some((sizes, _))) => {
            let sizes = pick::sizes(sizes, rows.len())?;
            pick::extremes(evaluator, &groups, node.op == AggregateOp::TopK, &sizes)
        }
        (AggregateOp::LimitK, Some((sizes, _))) => Ok(pick::first(&groups, &pick::sizes(sizes, rows.len())?)),
        (AggregateOp::LimitRatio, Some((ratios, place))) => {
            let ratios = capped(evaluator, ratios, *place)?;
            Ok(pick::share(&groups, &ratios))
        }
        (AggregateOp::Quantile, Some((quantile, place))) => {
            let found = each(&|group| quantiles(group, quantile))?;
            if !found.is_empty() {
                quantile.iter().for_each(|q| evaluator.notes.check_quantile(*q, *place));
            }
            Ok(found)
        }
        (op, _) => each(&|group| folded(group, op, steps.count)),
    }
}

/// Ratios, those beyond their interval taken as its borders.
fn capped(evaluator: &mut Evaluator<'_>, ratios: &[f64], place: Place) -> Result<Vec<f64>, QueryError> {
    let one = |ratio: &f64| {
        if ratio.is_nan() {
            return Err(QueryError::Parameter { reason: "Ratio value is NaN".to_owned() });
        }
        if ratio.abs() > 1.0 {
            evaluator.notes.capped_ratio(*ratio, place);
        }
        Ok(ratio.clamp(-1.0, 1.0))
    };
    ratios.iter().map(one).collect()
}

/// Sorts rows into groups; what they have in common is hashed once per row.
fn grouped<'a>(rows: &'a [Row], grouping: &Grouping) -> Vec<Group<'a>> {
    let keeps_name = matches!(grouping, Grouping::By(names) if names.iter().any(|name| &**name == METRIC_NAME));
    let mut positions: HashMap<u64, Vec<usize>> = HashMap::new();
    let mut groups: Vec<Group<'_>> = Vec::new();
    for row in rows {
        let candidates = positions.entry(group_hash(&row.labels, grouping)).or_default();
        let known =
            candidates.iter().copied().find(|at| same_group(&groups[*at].rows[0].labels, &row.labels, grouping));
        let position = known.unwrap_or_else(|| {
            let labels = group_labels(&row.labels, grouping);
            groups.push(Group { labels, drop_name: false, rows: Vec::new() });
            candidates.push(groups.len() - 1);
            groups.len() - 1
        });
        groups[position].drop_name |= keeps_name && row.drop_name;
        groups[position].rows.push(row);
    }
    groups
}

fn is_kept(name: &str, without: &[std::sync::Arc<str>]) -> bool {
    name != METRIC_NAME && !without.iter().any(|gone| &**gone == name)
}

fn group_hash(labels: &Labels, grouping: &Grouping) -> u64 {
    let mut hasher = DefaultHasher::new();
    match grouping {
        Grouping::By(names) => names.iter().for_each(|name| labels.get(name).hash(&mut hasher)),
        Grouping::Without(names) => {
            labels.iter().filter(|(name, _)| is_kept(name, names)).for_each(|pair| pair.hash(&mut hasher));
        }
    }
    hasher.finish()
}

fn same_group(a: &Labels, b: &Labels, grouping: &Grouping) -> bool {
    match grouping {
        Grouping::By(names) => names.iter().all(|name| a.get(name) == b.get(name)),
        Grouping::Without(names) => {
            let kept = |labels: &'_ Labels| -> Vec<(std::sync::Arc<str>, std::sync::Arc<str>)> {
                labels.iter().filter(|(name, _)| is_kept(name, names)).map(|(n, v)| (n.clone(), v.clone())).collect()
            };
            kept(a) == kept(b)
        }
    }
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

fn count_values(evaluator: &mut Evaluator<'_>, node: &AggregateNode, steps: &Steps) -> Result<Vec<Row>, QueryError> {
    let Some((Node::Text(label), _)) = &node.parameter else {
        return Err(QueryError::Parameter { reason: "count_values needs a label name in quotes".to_owned() });
    };
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
