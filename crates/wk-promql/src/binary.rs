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
}

impl Matching {
    fn has(&self, name: &str) -> bool {
        self.labels.iter().any(|label| &**label == name)
    }

    /// The labels by which an element is matched.
    fn signature(&self, labels: &Labels) -> Labels {
        if self.on {
            labels.filtered(|name| self.has(name))
        } else {
            labels.filtered(|name| name != METRIC_NAME && !self.has(name))
        }
    }

    /// The labels of a result: those of the side that may have many, changed as the matching asks.
    fn result(&self, many: &Labels, one: &Labels, keep_name: bool) -> Labels {
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
            BinaryOp::Arithmetic(_) | BinaryOp::Compare(_) => matched(evaluator, node, &left, &right)?,
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

/// Arithmetic and comparison between two vectors.
fn matched(evaluator: &Evaluator<'_>, node: &BinaryNode, left: &[Row], right: &[Row]) -> Result<Vec<Row>, QueryError> {
    let matching = &node.matching;
    let swapped = matching.cardinality == Cardinality::OneToMany;
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let ones = by_signature(many, one, matching)?;
    let keep_name = matches!(node.op, BinaryOp::Compare(_)) && !node.to_bool;
    let mut claimed: HashMap<&Labels, Vec<bool>> = HashMap::new();
    let mut rows = Vec::new();
    for row in many {
        evaluator.check_cancelled()?;
        let Some((signature, partners)) = ones.get_key_value(&matching.signature(&row.labels)) else { continue };
        for partner in partners {
            let combine = |(many, one): (&f64, &f64)| {
                if !is_present(*many) || !is_present(*one) {
                    return ABSENT;
                }
                let pair = if swapped { (*one, *many) } else { (*many, *one) };
                element(node.op, node.to_bool, pair, pair.0)
            };
            if matching.cardinality == Cardinality::OneToOne {
                let taken = claimed.entry(signature).or_insert_with(|| vec![false; row.values.len()]);
                claim(taken, (row, partner), signature)?;
            }
            let values = row.values.iter().zip(&partner.values).map(combine).collect();
            let labels = matching.result(&row.labels, &partner.labels, keep_name);
            let result = Row { labels, drop_name: row.drop_name && keep_name, values };
            if result.is_some() {
                rows.push(result);
            }
        }
    }
    merge(rows).map_err(|error| match (matching.cardinality, error) {
        (Cardinality::OneToOne, error) => error,
        (_, QueryError::SameLabels { labels }) => QueryError::Matching {
            reason: format!(
                "multiple matches for labels: grouping labels must ensure unique matches, but {labels} matches more \
                 than once"
            ),
        },
        (_, error) => error,
    })
}

/// Notes the steps at which a pair matches, whether or not a comparison then filters it.
///
/// # Errors
/// Another pair of the same match group matched there before.
fn claim(taken: &mut [bool], (many, one): (&Row, &Row), signature: &Labels) -> Result<(), QueryError> {
    for ((taken, many), one) in taken.iter_mut().zip(&many.values).zip(&one.values) {
        if is_present(*many) && is_present(*one) && std::mem::replace(taken, true) {
            return Err(QueryError::Matching {
                reason: format!(
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right), \
                     match group {signature}"
                ),
            });
        }
    }
    Ok(())
}

/// The rows of the side that has one element per match, by signature.
///
/// # Errors
/// Two of them have a value at one step at which the other side has any.
fn by_signature<'a>(
    many: &[Row],
    one: &'a [Row],
    matching: &Matching,
) -> Result<HashMap<Labels, Vec<&'a Row>>, QueryError> {
    let mut ones: HashMap<Labels, Vec<&Row>> = HashMap::with_capacity(one.len());
    for row in one {
        let signature = matching.signature(&row.labels);
        let earlier = ones.entry(signature.clone()).or_default();
        let clash = earlier.iter().find(|other| {
            let pairs = other.values.iter().zip(&row.values).enumerate();
            let mut both = pairs.filter(|(_, (a, b))| is_present(**a) && is_present(**b));
            both.any(|(step, _)| many.iter().any(|row| is_present(row.values[step])))
        });
        if let Some(other) = clash {
            let side = if matching.cardinality == Cardinality::OneToMany { "left" } else { "right" };
            return Err(QueryError::Matching {
                reason: format!(
                    "found duplicate series for the match group {signature} on the {side} hand-side of the operation: \
                     [{}, {}];many-to-many matching not allowed: matching labels must be unique on one side",
                    row.labels, other.labels
                ),
            });
        }
        earlier.push(row);
    }
    Ok(ones)
}
