//! Binary operators between numbers and instant vectors.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use wk_types::Labels;
use wk_types::labels::METRIC_NAME;

use crate::error::QueryError;
use crate::eval::{Evaluated, Evaluator};
use crate::plan::BinaryNode;
use crate::row::{ABSENT, Row, Steps, is_present, merge, nameless};

mod matched;

/// A binary operator.
#[derive(Clone, Copy)]
pub(crate) enum BinaryOp {
    Arithmetic(fn(f64, f64) -> f64),
    Compare(fn(&f64, &f64) -> bool),
    And,
    Or,
    Unless,
}

impl fmt::Debug for BinaryOp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Arithmetic(_) => "Arithmetic",
            Self::Compare(_) => "Compare",
            Self::And => "And",
            Self::Or => "Or",
            Self::Unless => "Unless",
        })
    }
}

impl BinaryOp {
    /// The operator that is written so.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "+" => Self::Arithmetic(|a, b| a + b),
            "-" => Self::Arithmetic(|a, b| a - b),
            "*" => Self::Arithmetic(|a, b| a * b),
            "/" => Self::Arithmetic(|a, b| a / b),
            "%" => Self::Arithmetic(|a, b| a % b),
            "^" => Self::Arithmetic(f64::powf),
            "atan2" => Self::Arithmetic(f64::atan2),
            "==" => Self::Compare(|a, b| a == b),
            "!=" => Self::Compare(|a, b| a != b),
            ">" => Self::Compare(|a, b| a > b),
            "<" => Self::Compare(|a, b| a < b),
            ">=" => Self::Compare(|a, b| a >= b),
            "<=" => Self::Compare(|a, b| a <= b),
            "and" => Self::And,
            "or" => Self::Or,
            "unless" => Self::Unless,
            _ => return None,
        })
    }
}

/// Which side may have several elements per match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Cardinality {
    #[default]
    OneToOne,
    ManyToOne,
    OneToMany,
}

/// How elements of two vectors find each other.
#[derive(Debug, Default)]
pub(crate) struct Matching {
    /// Match by `labels` alone instead of by all others.
    pub(crate) on: bool,
    pub(crate) labels: Vec<Arc<str>>,
    pub(crate) cardinality: Cardinality,
    /// Labels to take over from the side that has one element.
    pub(crate) include: Vec<Arc<str>>,
    /// What stands in for an element that the left and the right side lack.
    pub(crate) fill: (Option<f64>, Option<f64>),
}

impl Matching {
    fn has(&self, name: &str) -> bool {
        self.labels.iter().any(|label| &**label == name)
    }

    /// The labels by which an element is matched.
    pub(super) fn signature(&self, labels: &Labels) -> Labels {
        if self.on {
            labels.filtered(|name| self.has(name))
        } else {
            labels.filtered(|name| name != METRIC_NAME && !self.has(name))
        }
    }

    /// The labels of a result: those of the side that may have many, changed as the matching asks.
    pub(super) fn result(&self, many: &Labels, one: &Labels, keep_name: bool) -> Labels {
        let mut labels = if keep_name { many.clone() } else { nameless(many) };
        if self.cardinality == Cardinality::OneToOne {
            labels = labels.filtered(|name| self.has(name) == self.on);
        }
        for name in &self.include {
            labels = labels.with(name, one.get(name).unwrap_or(""));
        }
        labels
    }
}

/// Evaluates a binary operator.
pub(crate) fn eval(evaluator: &mut Evaluator<'_>, node: &BinaryNode, steps: &Steps) -> Result<Evaluated, QueryError> {
    let left = evaluator.eval(&node.left, steps)?;
    let right = evaluator.eval(&node.right, steps)?;
    match (left, right) {
        (Evaluated::Scalar(left), Evaluated::Scalar(right)) => Ok(Evaluated::Scalar(scalars(node.op, &left, &right)?)),
        (Evaluated::Rows(rows), Evaluated::Scalar(scalar)) => {
            rows_and_scalar(evaluator, node, (rows, &scalar), false).map(Evaluated::Rows)
        }
        (Evaluated::Scalar(scalar), Evaluated::Rows(rows)) => {
            rows_and_scalar(evaluator, node, (rows, &scalar), true).map(Evaluated::Rows)
        }
        (Evaluated::Rows(left), Evaluated::Rows(right)) => Ok(Evaluated::Rows(match node.op {
            BinaryOp::And => masked(left, &right, &node.matching, true),
            BinaryOp::Unless => masked(left, &right, &node.matching, false),
            BinaryOp::Or => merge(either(left, right, &node.matching))?,
            BinaryOp::Arithmetic(_) | BinaryOp::Compare(_) => matched::eval(evaluator, node, &left, &right)?,
        })),
    }
}

fn not_between_numbers() -> QueryError {
    QueryError::Parameter { reason: "set operators work on instant vectors only".to_owned() }
}

fn scalars(op: BinaryOp, left: &[f64], right: &[f64]) -> Result<Vec<f64>, QueryError> {
    let pairs = left.iter().zip(right);
    match op {
        BinaryOp::Arithmetic(apply) => Ok(pairs.map(|(a, b)| apply(*a, *b)).collect()),
        BinaryOp::Compare(holds) => Ok(pairs.map(|(a, b)| f64::from(u8::from(holds(a, b)))).collect()),
        BinaryOp::And | BinaryOp::Or | BinaryOp::Unless => Err(not_between_numbers()),
    }
}

/// One result; `kept` is what a comparison that holds answers with.
fn element(op: BinaryOp, to_bool: bool, (left, right): (f64, f64), kept: f64) -> f64 {
    match op {
        BinaryOp::Arithmetic(apply) => apply(left, right),
        BinaryOp::Compare(holds) if to_bool => f64::from(u8::from(holds(&left, &right))),
        BinaryOp::Compare(holds) if holds(&left, &right) => kept,
        _ => ABSENT,
    }
}

fn rows_and_scalar(
    evaluator: &Evaluator<'_>,
    node: &BinaryNode,
    (mut rows, scalar): (Vec<Row>, &[f64]),
    scalar_left: bool,
) -> Result<Vec<Row>, QueryError> {
    if matches!(node.op, BinaryOp::And | BinaryOp::Or | BinaryOp::Unless) {
        return Err(not_between_numbers());
    }
    for row in &mut rows {
        for (value, number) in row.values.iter_mut().zip(scalar).filter(|(value, _)| is_present(**value)) {
            let pair = if scalar_left { (*number, *value) } else { (*value, *number) };
            *value = element(node.op, node.to_bool, pair, *value);
        }
    }
    if node.to_bool || matches!(node.op, BinaryOp::Arithmetic(_)) { evaluator.drop_names(rows) } else { Ok(rows) }
}

/// The steps at which any row of each signature has a value.
fn presence(rows: &[Row], matching: &Matching) -> HashMap<Labels, Vec<bool>> {
    let mut present: HashMap<Labels, Vec<bool>> = HashMap::new();
    for row in rows {
        let steps = present.entry(matching.signature(&row.labels)).or_insert_with(|| vec![false; row.values.len()]);
        for (step, value) in steps.iter_mut().zip(&row.values) {
            *step |= is_present(*value);
        }
    }
    present
}

/// `and` (`keep`) and `unless`: rows of the left side where the right side has, or has not, a match.
fn masked(mut left: Vec<Row>, right: &[Row], matching: &Matching, keep: bool) -> Vec<Row> {
    let present = presence(right, matching);
    left.retain_mut(|row| {
        let there = present.get(&matching.signature(&row.labels));
        for (step, value) in row.values.iter_mut().enumerate() {
            if there.is_some_and(|there| there[step]) != keep {
                *value = ABSENT;
            }
        }
        row.is_some()
    });
    left
}

/// `or`: all of the left side, and of the right side what has no match on the left at that step.
fn either(left: Vec<Row>, right: Vec<Row>, matching: &Matching) -> Vec<Row> {
    let present = presence(&left, matching);
    let mut rows = left;
    for mut row in right {
        if let Some(there) = present.get(&matching.signature(&row.labels)) {
            for (value, _) in row.values.iter_mut().zip(there).filter(|(_, there)| **there) {
                *value = ABSENT;
            }
        }
        if row.is_some() {
            rows.push(row);
        }
    }
    rows
}
