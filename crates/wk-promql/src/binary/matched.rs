//! Arithmetic and comparison between two vectors.

use std::collections::HashMap;

use wk_types::Labels;

use super::{BinaryOp, Cardinality, Matching, element};
use crate::error::QueryError;
use crate::eval::Evaluator;
use crate::plan::BinaryNode;
use crate::row::{ABSENT, Row, is_present, merge};

/// Elements that may be many per match, and those that are one, each with its signature.
struct Sides<'a> {
    many: Vec<(Labels, &'a Row)>,
    one: Vec<(Labels, &'a Row)>,
    /// What stands in for an element that either side lacks.
    fill_many: Option<f64>,
    fill_one: Option<f64>,
    /// The left operand is the side of one.
    swapped: bool,
}

/// Applies the operator to each pair that matches.
pub(super) fn eval(
    evaluator: &Evaluator<'_>,
    node: &BinaryNode,
    left: &[Row],
    right: &[Row],
) -> Result<Vec<Row>, QueryError> {
    let matching = &node.matching;
    let swapped = matching.cardinality == Cardinality::OneToMany;
    let signed = |rows: &'_ [Row]| -> Vec<Labels> { rows.iter().map(|row| matching.signature(&row.labels)).collect() };
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    // Prometheus turns the sides around before it fills them: with group_right, `fill_left` fills the side of many.
    let (fill_many, fill_one) = matching.fill;
    let sides = Sides {
        many: signed(many).into_iter().zip(many).collect(),
        one: signed(one).into_iter().zip(one).collect(),
        fill_many,
        fill_one,
        swapped,
    };
    let mut rows = pairs(evaluator, node, &sides)?;
    if fill_one.is_some() || fill_many.is_some() {
        filled(node, &sides, &mut rows);
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

fn keeps_name(node: &BinaryNode) -> bool {
    matches!(node.op, BinaryOp::Compare(_)) && !node.to_bool
}

/// One result of the values of the side of many and of that of one.
fn combined(node: &BinaryNode, swapped: bool, many: f64, one: f64) -> f64 {
    let pair = if swapped { (one, many) } else { (many, one) };
    element(node.op, node.to_bool, pair, pair.0)
}

fn pairs(evaluator: &Evaluator<'_>, node: &BinaryNode, sides: &Sides<'_>) -> Result<Vec<Row>, QueryError> {
    let matching = &node.matching;
    let ones = by_signature(sides, matching)?;
    let grouped = matching.cardinality != Cardinality::OneToOne;
    // What arithmetic makes twice is found when rows are merged; a comparison may filter it before that.
    let filters = keeps_name(node);
    let mut claimed: HashMap<Labels, Vec<bool>> = HashMap::new();
    let mut rows = Vec::new();
    for (signature, row) in &sides.many {
        evaluator.check_cancelled()?;
        let Some(partners) = ones.get(signature) else { continue };
        for partner in partners {
            let labels = matching.result(&row.labels, &partner.labels, keeps_name(node));
            if !grouped || filters {
                let key = if grouped { labels.clone() } else { signature.clone() };
                let taken = claimed.entry(key).or_insert_with(|| vec![false; row.values.len()]);
                claim(taken, (row, partner), signature, grouped)?;
            }
            let combine = |(many, one): (&f64, &f64)| {
                if is_present(*many) && is_present(*one) { combined(node, sides.swapped, *many, *one) } else { ABSENT }
            };
            let values = row.values.iter().zip(&partner.values).map(combine).collect();
            let result = Row { labels, drop_name: row.drop_name && keeps_name(node), values };
            if result.is_some() {
                rows.push(result);
            }
        }
    }
    Ok(rows)
}

/// Adds what comes of elements that lack a partner, where a value stands in for it.
fn filled(node: &BinaryNode, sides: &Sides<'_>, rows: &mut Vec<Row>) {
    let matching = &node.matching;
    if let Some(fill) = sides.fill_one {
        let present = presence(&sides.one);
        for (signature, row) in &sides.many {
            let values = lonely(row, present.get(signature), |value| combined(node, sides.swapped, value, fill));
            let labels = matching.result(&row.labels, signature, keeps_name(node));
            rows.push(Row { labels, drop_name: row.drop_name && keeps_name(node), values });
        }
    }
    if let Some(fill) = sides.fill_many {
        let present = presence(&sides.many);
        for (signature, row) in &sides.one {
            let values = lonely(row, present.get(signature), |value| combined(node, sides.swapped, fill, value));
            let labels = matching.result(signature, &row.labels, keeps_name(node));
            rows.push(Row { labels, drop_name: false, values });
        }
    }
    rows.retain(Row::is_some);
}

/// What comes of a row's values at the steps at which it has no partner.
fn lonely(row: &Row, partners: Option<&Vec<bool>>, combine: impl Fn(f64) -> f64) -> Vec<f64> {
    let at_step = |(step, value): (usize, &f64)| {
        let alone = is_present(*value) && !partners.is_some_and(|partners| partners[step]);
        if alone { combine(*value) } else { ABSENT }
    };
    row.values.iter().enumerate().map(at_step).collect()
}

/// The steps at which any row of each signature has a value.
fn presence<'a>(rows: &'a [(Labels, &Row)]) -> HashMap<&'a Labels, Vec<bool>> {
    let mut present: HashMap<&Labels, Vec<bool>> = HashMap::new();
    for (signature, row) in rows {
        let there = present.entry(signature).or_insert_with(|| vec![false; row.values.len()]);
        there.iter_mut().zip(&row.values).for_each(|(there, value)| *there |= is_present(*value));
    }
    present
}

/// Notes the steps at which a pair matches, whether or not a comparison then filters it.
///
/// # Errors
/// Another pair of the same match group matched there before.
fn claim(taken: &mut [bool], (many, one): (&Row, &Row), signature: &Labels, grouped: bool) -> Result<(), QueryError> {
    for ((taken, many), one) in taken.iter_mut().zip(&many.values).zip(&one.values) {
        if is_present(*many) && is_present(*one) && std::mem::replace(taken, true) {
            let what = match grouped {
                true => "grouping labels must ensure unique matches",
                false => "many-to-one matching must be explicit (group_left/group_right)",
            };
            let reason = format!("multiple matches for labels: {what}, match group {signature}");
            return Err(QueryError::Matching { reason });
        }
    }
    Ok(())
}

/// The rows of the side that has one element per match, by signature.
///
/// # Errors
/// Two of them have a value at one step at which the other side has any.
fn by_signature<'a>(
    sides: &'a Sides<'_>,
    matching: &Matching,
) -> Result<HashMap<&'a Labels, Vec<&'a Row>>, QueryError> {
    let mut ones: HashMap<&Labels, Vec<&Row>> = HashMap::with_capacity(sides.one.len());
    for (signature, row) in &sides.one {
        let earlier = ones.entry(signature).or_default();
        let clash = earlier.iter().find(|other| {
            let pairs = other.values.iter().zip(&row.values).enumerate();
            let mut both = pairs.filter(|(_, (a, b))| is_present(**a) && is_present(**b));
            both.any(|(step, _)| sides.many.iter().any(|(_, row)| is_present(row.values[step])))
        });
        if let Some(other) = clash {
            let side = if matching.cardinality == Cardinality::OneToMany { "left" } else { "right" };
            let (first, second) =
                (other.labels.clone().min(row.labels.clone()), other.labels.clone().max(row.labels.clone()));
            let reason = format!(
                "found duplicate series for the match group {} on the {side} hand-side of the operation: [{}, \
                 {}];many-to-many matching not allowed: matching labels must be unique on one side",
                Braces(signature),
                Braces(&first),
                Braces(&second)
            );
            return Err(QueryError::Matching { reason });
        }
        earlier.push(row);
    }
    Ok(ones)
}

/// Labels with all of them in braces, the metric name too.
struct Braces<'a>(&'a Labels);

impl std::fmt::Display for Braces<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("{")?;
        for (position, (name, value)) in self.0.iter().enumerate() {
            let comma = if position == 0 { "" } else { ", " };
            write!(f, "{comma}{name}={value:?}")?;
        }
        f.write_str("}")
    }
}
