//! Answers of the Prometheus API, and whether two of them agree.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

/// Sums are built in another order in each engine; more than this is another answer.
const EXACT: f64 = 1e-9;

/// Series by their labels, each with times in milliseconds and values.
pub type Answer = BTreeMap<String, Vec<(i64, f64)>>;

/// How near two answers must be.
#[derive(Debug, Clone, Copy)]
pub enum Nearness {
    /// The same labels, times and values but for the order of sums.
    Exact,
    /// The same labels and times, and values within such a part of each other: VictoriaMetrics computes rates from
    /// the sample before the window and does not extrapolate.
    Within(f64),
    /// As before, of the values alone, in their order: of series nearly alike, other ones may be the highest.
    ValuesWithin(f64),
}

/// Reads the body of `query` or `query_range`.
pub fn read(body: &Value) -> Result<Answer> {
    ensure!(body["status"] == "success", "refused: {}", body["error"]);
    let result = body["data"]["result"].as_array().context("no result")?;
    let mut answer = Answer::new();
    for series in result {
        let labels = series["metric"].to_string();
        let points = match series["values"].as_array() {
            Some(points) => points.iter().map(point).collect::<Result<Vec<_>>>()?,
            None => vec![point(&series["value"])?],
        };
        ensure!(answer.insert(labels.clone(), points).is_none(), "{labels} stands twice in the answer");
    }
    Ok(answer)
}

fn point(pair: &Value) -> Result<(i64, f64)> {
    let time = pair[0].as_f64().context("a point has no time")?;
    let value = pair[1].as_str().context("a point has no value")?;
    Ok(((time * 1_000.0).round() as i64, value.parse()?))
}

/// The largest relative difference of the values, where the answers are alike enough.
///
/// # Errors
/// What is different.
pub fn compare(ours: &Answer, theirs: &Answer, nearness: Nearness) -> Result<f64> {
    ensure!(!theirs.is_empty(), "the peer's answer is empty");
    ensure!(ours.len() == theirs.len(), "{} series, the peer has {}", ours.len(), theirs.len());
    if let Nearness::ValuesWithin(part) = nearness {
        return compare_values(&sorted(ours), &sorted(theirs), part);
    }
    let part = if let Nearness::Within(part) = nearness { part } else { EXACT };
    let mut worst = 0.0_f64;
    for (labels, points) in ours {
        let Some(others) = theirs.get(labels) else { bail!("the peer has no {labels}") };
        let times = |points: &[(i64, f64)]| points.iter().map(|(time, _)| *time).collect::<Vec<_>>();
        ensure!(times(points) == times(others), "other times of {labels}: {} and {}", points.len(), others.len());
        let values = |points: &[(i64, f64)]| points.iter().map(|(_, value)| *value).collect::<Vec<_>>();
        let difference = compare_values(&values(points), &values(others), part);
        worst = worst.max(difference.with_context(|| labels.clone())?);
    }
    Ok(worst)
}

fn sorted(answer: &Answer) -> Vec<f64> {
    let mut values: Vec<f64> = answer.values().flatten().map(|(_, value)| *value).collect();
    values.sort_by(f64::total_cmp);
    values
}

fn compare_values(ours: &[f64], theirs: &[f64], part: f64) -> Result<f64> {
    let mut worst = 0.0_f64;
    for (one, other) in ours.iter().zip(theirs) {
        if one == other || one.is_nan() && other.is_nan() {
            continue;
        }
        let difference = (one - other).abs() / one.abs().max(other.abs());
        ensure!(difference <= part, "{one} and {other} differ by {difference:.2e}, more than {part:e}");
        worst = worst.max(difference);
    }
    Ok(worst)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(value: &str) -> Answer {
        let series = json!({"metric": {"job": "x"}, "values": [[1.5, "1"], [2.5, value]]});
        read(&json!({"status": "success", "data": {"resultType": "matrix", "result": [series]}})).unwrap()
    }

    #[test]
    fn answers_differ_by_value_label_and_time() {
        let same = |one: &Answer, other: &Answer, nearness| compare(one, other, nearness).is_ok();
        let one = answer("2");
        assert!(same(&one, &answer("2"), Nearness::Exact));
        assert!(same(&one, &answer("2.000000000001"), Nearness::Exact));
        assert!(!same(&one, &answer("2.1"), Nearness::Exact));
        assert!(same(&answer("0"), &answer("-0"), Nearness::Exact));
        assert!(!same(&answer("0"), &answer("1e-30"), Nearness::Exact));
        assert!(same(&one, &answer("2.1"), Nearness::Within(0.05)));
        assert!(!same(&one, &answer("2.2"), Nearness::Within(0.05)));
        assert!(!same(&one, &answer("2.2"), Nearness::ValuesWithin(0.05)));
        let renamed = Answer::from([("{}".to_owned(), one.values().next().unwrap().clone())]);
        assert!(!same(&one, &renamed, Nearness::Within(0.05)));
        assert!(same(&one, &renamed, Nearness::ValuesWithin(0.05)));
        let later = one.iter().map(|(labels, points)| (labels.clone(), vec![(9, 1.0), points[1]])).collect();
        assert!(!same(&one, &later, Nearness::Exact));
        assert!(!same(&Answer::new(), &Answer::new(), Nearness::Exact), "nothing proves nothing");
    }
}
