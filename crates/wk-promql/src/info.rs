//! `info()`: labels of info metrics, such as `target_info`, joined to the series of the same job and instance.
//! Source: `info.go` of Prometheus 3.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wk_types::labels::METRIC_NAME;
use wk_types::{Labels, MatchOp, Matcher};

use crate::error::QueryError;
use crate::eval::{Evaluator, Want};
use crate::matcher::Test;
use crate::plan::{InstantSelector, Node, refer};
use crate::row::{ABSENT, Row, Steps, is_present, merge};

/// The labels that say whose an info series is.
const IDENTIFYING: [&str; 2] = ["instance", "job"];

/// The series of one info metric that tell of one target.
struct Target<'a> {
    rows: Vec<(&'a Row, &'a Row)>,
}

impl<'a> Target<'a> {
    /// The labels that hold at a step: those of the latest sample.
    fn at(&self, step: usize) -> Result<Option<&'a Labels>, QueryError> {
        let mut latest: Option<(f64, &Labels)> = None;
        for (row, times) in self.rows.iter().filter(|(row, _)| is_present(row.values[step])) {
            let time = times.values[step];
            match latest {
                Some((known, labels)) if known == time => {
                    let reason = format!("found duplicate series for info metric: {labels} and {}", row.labels);
                    return Err(QueryError::Matching { reason });
                }
                Some((known, _)) if known > time => {}
                _ => latest = Some((time, &row.labels)),
            }
        }
        Ok(latest.map(|(_, labels)| labels))
    }
}

/// Evaluates `info(argument, {matchers})`.
pub(crate) fn eval(
    evaluator: &mut Evaluator<'_>,
    argument: &Node,
    matchers: &[Matcher],
    steps: &Steps,
) -> Result<Vec<Row>, QueryError> {
    let base = evaluator.rows(argument, steps)?;
    let tests = matchers.iter().map(Test::new).collect::<Result<Vec<_>, _>>()?;
    let (names, data): (Vec<_>, Vec<_>) = tests.into_iter().partition(|test| test.name() == METRIC_NAME);
    let is_info = |row: &Row| names.iter().all(|test| test.holds(row.labels.name()));
    let identified: Vec<&Row> = base.iter().filter(|row| !is_info(row)).collect();
    let identifying = identifying(&identified);
    let (mut infos, mut times) = (Vec::new(), Vec::new());
    if !identifying.is_empty() {
        // Samples are looked for at the time at which those of the argument are.
        let when = refer(argument).unwrap_or_default();
        let matchers = matchers.iter().cloned().chain(identifying).collect();
        let selector = InstantSelector { matchers, when, smoothed: false };
        infos = evaluator.instant_rows(&selector, steps, Want::Value)?;
        times = evaluator.instant_rows(&selector, steps, Want::Time)?;
    }
    let targets = targets(&infos, &times);
    let mut joined = Vec::new();
    for row in &base {
        evaluator.check_cancelled()?;
        if is_info(row) {
            joined.push(row.clone());
            continue;
        }
        let own: Vec<&Target<'_>> =
            targets.get(&identity(&row.labels)).into_iter().flatten().map(|(_, target)| target).collect();
        join(row, &own, &data, &mut joined)?;
    }
    merge(joined)
}

/// Matchers of the targets that the rows belong to.
fn identifying(rows: &[&Row]) -> Vec<Matcher> {
    let pattern = |name: &str| {
        let values: BTreeSet<&str> = rows.iter().filter_map(|row| row.labels.get(name)).collect();
        let escaped: Vec<String> = values.into_iter().map(regex::escape).collect();
        (!escaped.is_empty()).then(|| Matcher::new(name, MatchOp::Regex, &escaped.join("|")))
    };
    IDENTIFYING.into_iter().filter_map(pattern).collect()
}

fn identity(labels: &Labels) -> Labels {
    labels.filtered(|name| IDENTIFYING.contains(&name))
}

/// Info series by whom they tell of, then by metric.
fn targets<'a>(infos: &'a [Row], times: &'a [Row]) -> HashMap<Labels, BTreeMap<&'a str, Target<'a>>> {
    let mut found: HashMap<Labels, BTreeMap<&str, Target<'_>>> = HashMap::new();
    for pair in infos.iter().zip(times) {
        let metrics = found.entry(identity(&pair.0.labels)).or_default();
        metrics.entry(pair.0.labels.name()).or_insert(Target { rows: Vec::new() }).rows.push(pair);
    }
    found
}

/// Splits a row by the labels that hold at each step.
fn join(row: &Row, targets: &[&Target<'_>], data: &[Test<'_>], joined: &mut Vec<Row>) -> Result<(), QueryError> {
    let data_may_lack = data.iter().all(|test| test.holds(""));
    let mut parts: HashMap<Labels, Row> = HashMap::new();
    let mut order: Vec<Labels> = Vec::new();
    for (step, value) in row.values.iter().enumerate().filter(|(_, value)| is_present(**value)) {
        let infos = targets.iter().filter_map(|target| target.at(step).transpose()).collect::<Result<Vec<_>, _>>()?;
        if infos.is_empty() && !data_may_lack {
            continue;
        }
        let labels = enriched(&row.labels, &infos, data)?;
        let part = parts.entry(labels).or_insert_with_key(|labels| {
            order.push(labels.clone());
            Row { labels: labels.clone(), drop_name: row.drop_name, values: vec![ABSENT; row.values.len()] }
        });
        part.values[step] = *value;
    }
    joined.extend(order.iter().filter_map(|labels| parts.remove(labels)));
    Ok(())
}

/// The labels with those of info series that were asked for and that they do not have.
fn enriched(base: &Labels, infos: &[&Labels], data: &[Test<'_>]) -> Result<Labels, QueryError> {
    let mut added: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, value) in infos.iter().flat_map(|labels| labels.iter()) {
        let asked = data.is_empty() || data.iter().any(|test| test.name() == &**name);
        if &**name == METRIC_NAME || !asked || base.get(name).is_some() {
            continue;
        }
        if added.insert(name, value).is_some_and(|other| other != &**value) {
            return Err(QueryError::Matching { reason: format!("conflicting label: {name}") });
        }
    }
    if added.is_empty() {
        return Ok(base.clone());
    }
    let own = base.iter().map(|(name, value)| (&**name, &**value));
    Ok(Labels::new(own.chain(added)))
}
