//! Random queries that a real Prometheus answers too, over the same series.
//!
//! The suite runs 300 of them; `cargo xtask differential`, or `WATCHKEEPER_DIFFERENTIAL=20000`, as many as it is told.
//! Prometheus 2.42 lacks what later versions added: `mad_over_time`, `first_over_time`, `ts_of_…_over_time`,
//! `sort_by_label`, `info`, `limitk`, `limit_ratio`, `histogram_fraction` of buckets, `histogram_quantiles`, `min_of`,
//! `max_of`, `step`, `range`, `start`, `end`, `start_timestamp`, `fill`, `anchored`, `smoothed`, durations as numbers
//! and duration expressions. None of these is generated; its own scripts cover them. Nor is `predict_linear` of a fixed
//! time, of which 2.42 answers from another window from its second step on.

use std::collections::BTreeMap;

use wk_promql::{Limits, Query, Value};
use wk_types::{DurationMs, Sample, UtcMs};

use crate::skip::skip;
use crate::source::MemorySource;

mod generator;
mod peer;

use generator::{BEGIN, Dice};
use peer::{Matrix, Peer};

const SHORT_FORM: usize = 300;
/// Deepest generated query.
const DEPTH_MAX: usize = 3;
/// Relative difference up to which two values are one.
const TOLERANCE: f64 = 1e-9;
/// The signs of comparisons.
const COMPARISONS: [char; 3] = ['<', '>', '='];
/// What is left of sums whose terms cancel each other is rounding, and that is not bigger than this for our series.
const ROUNDING: f64 = 1e-6;
/// Why answers may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rule {
    /// Terms cancel each other: 2.42 adds without compensation.
    Cancellation,
    /// A counter near zero whose window begins long before its first sample: 2.42 goes back to the time at which it was
    /// zero before it looks how far that is, 3 the other way round.
    ZeroPoint,
    /// `stddev` and `stdvar` of a single value that is infinite or no number: 2.42 answers zero, 3 no number.
    DeviationOfInfinity,
    /// The date of what is no number or beyond the calendar: Go converts it to whatever the processor makes of it.
    DateOfNoNumber,
    /// `scalar atan2 vector` and `vector atan2 scalar`: 2.42 keeps the name of the metric.
    NameUnderAtan2,
    /// Several elements match one, but a comparison filters them: 2.42 does not see the error.
    FilteredMatches,
    /// `clamp` to a border that is no number: 2.42 takes it for no border where the other one is infinite.
    ClampToNoNumber,
    /// A comparison, remainder, rounding or sign of values that differ by rounding.
    Discontinuity,
}

struct Tally {
    equal: usize,
    refused_by_both: usize,
    allowed: BTreeMap<Rule, usize>,
    unexplained: Vec<String>,
}

#[test]
fn random_queries_answer_what_a_real_prometheus_answers() {
    let count = std::env::var("WATCHKEEPER_DIFFERENTIAL").map_or(SHORT_FORM, |count| count.parse().unwrap());
    let seed = std::env::var("WATCHKEEPER_SEED").map_or(1, |seed| seed.parse().unwrap());
    let series = generator::series(&mut Dice(seed));
    let Some(mut peer) = Peer::start(&series) else {
        return skip("random_queries_answer_what_a_real_prometheus_answers", "no Prometheus in WATCHKEEPER_PEERS");
    };
    let mut source = MemorySource::default();
    for (labels, samples) in series {
        source.add(labels, samples);
    }
    let mut tally = Tally { equal: 0, refused_by_both: 0, allowed: BTreeMap::new(), unexplained: Vec::new() };
    let mut dice = Dice(seed ^ 0xd1ff);
    for _ in 0..count {
        let text = generator::query(&mut dice, DEPTH_MAX);
        let from = UtcMs(BEGIN.0 + 500 + 1_000 * (dice.next() % 2_500) as i64);
        let step = 1_000 * [1, 15, 60, 300][(dice.next() % 4) as usize];
        let span = (from, UtcMs(from.0 + 5 * step), step);
        compare(&source, &mut peer, &text, span, &mut tally);
    }
    let Tally { equal, refused_by_both, allowed, unexplained } = &tally;
    println!("{count} queries, seed {seed}: {equal} equal, {refused_by_both} refused by both, allowed {allowed:?}");
    for difference in unexplained.iter().take(20) {
        println!("    {difference}");
    }
    assert!(unexplained.is_empty(), "{} unexplained differences", unexplained.len());
    assert!(*equal > count / 2, "most queries have an answer");
}

fn compare(source: &MemorySource, peer: &mut Peer, text: &str, span: (UtcMs, UtcMs, i64), tally: &mut Tally) {
    let (from, to, step) = span;
    let theirs = peer.range(text, span);
    let limits = Limits::default();
    let ours = Query::parse(text).and_then(|query| query.range(source, from, to, DurationMs(step), &limits));
    let ours = ours.map(|value| match value {
        Value::Matrix(rows) => rows,
        other => panic!("a range query answers {other:?}"),
    });
    match (ours, theirs) {
        (Err(_), Err(_)) => tally.refused_by_both += 1,
        (Ok(mut ours), Ok(mut theirs)) => {
            ours.sort_by(|a, b| a.0.cmp(&b.0));
            theirs.sort_by(|a, b| a.0.cmp(&b.0));
            match difference(&ours, &theirs) {
                None => tally.equal += 1,
                Some(difference) => match explained(text, &ours, &theirs) {
                    Some(rule) => {
                        *tally.allowed.entry(rule).or_default() += 1;
                        println!("    {rule:?}: {text} from {} by {step}: {difference}", from.0);
                    }
                    None => tally.unexplained.push(format!("{text} from {} by {step}: {difference}", from.0)),
                },
            }
        }
        (Err(error), Ok(_)) if text.contains(COMPARISONS) && error.to_string().starts_with("multiple matches") => {
            *tally.allowed.entry(Rule::FilteredMatches).or_default() += 1;
        }
        (ours, theirs) => {
            let (ours, theirs) = (ours.map_err(|error| error.to_string()), theirs);
            let show =
                |answer: Result<Matrix, String>| answer.map_or_else(|why| why, |rows| format!("{} rows", rows.len()));
            tally.unexplained.push(format!("{text} from {}: ours {}, theirs {}", from.0, show(ours), show(theirs)));
        }
    }
}

fn difference(ours: &Matrix, theirs: &Matrix) -> Option<String> {
    let names = |rows: &Matrix| rows.iter().map(|(labels, _)| labels.to_string()).collect::<Vec<_>>();
    if names(ours) != names(theirs) {
        return Some(format!("ours has {:?}, theirs {:?}", names(ours), names(theirs)));
    }
    for ((labels, ours), (_, theirs)) in ours.iter().zip(theirs) {
        let same = |(a, b): (&Sample, &Sample)| a.time == b.time && close(a.value, b.value, 0.0);
        if ours.len() != theirs.len() || !ours.iter().zip(theirs).all(same) {
            let values = |samples: &[Sample]| samples.iter().map(|s| (s.time.0 - BEGIN.0, s.value)).collect::<Vec<_>>();
            return Some(format!("{labels}: ours {:?}, theirs {:?}", values(ours), values(theirs)));
        }
    }
    None
}

fn close(a: f64, b: f64, slack: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= slack.max(TOLERANCE * a.abs().max(b.abs()))
}

/// The named rule that allows a difference.
fn explained(text: &str, ours: &Matrix, theirs: &Matrix) -> Option<Rule> {
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let no_number = |rows: &Matrix| rows.iter().flat_map(|(_, samples)| samples).any(|sample| sample.value.is_nan());
    let aligned = same_labels(ours, theirs);
    let agree = || {
        ours.iter().zip(theirs).all(|(a, b)| {
            let pairs = a.1.iter().zip(&b.1);
            pairs.into_iter().all(|(a, b)| a.time == b.time && close(a.value, b.value, ROUNDING))
        })
    };
    let same_steps = aligned && ours.iter().zip(theirs).all(|(a, b)| a.1.len() == b.1.len());
    if same_steps && has(&["sum", "avg", "stddev", "stdvar", "deriv"]) && agree() {
        return Some(Rule::Cancellation);
    }
    let first = ours.iter().filter_map(|(_, samples)| samples.first()).map(|sample| sample.time).min();
    let early = first.is_some_and(|first| first.0 - BEGIN.0 < generator::REACH_MS_MAX);
    if same_steps && early && has(&["rate", "increase"]) {
        return Some(Rule::ZeroPoint);
    }
    if has(&["stddev", "stdvar"]) && no_number(ours) && !no_number(theirs) {
        return Some(Rule::DeviationOfInfinity);
    }
    if has(&["minute", "hour", "day_of"]) && no_number(ours) && !no_number(theirs) {
        return Some(Rule::DateOfNoNumber);
    }
    if text.contains("atan2") && same_labels(&nameless(ours), &nameless(theirs)) {
        return Some(Rule::NameUnderAtan2);
    }
    if text.contains("clamp") && text.contains("NaN") && no_number(ours) && !no_number(theirs) {
        return Some(Rule::ClampToNoNumber);
    }
    let jumps =
        text.contains(COMPARISONS) || has(&["%", "ceil", "floor", "round", "changes", "resets", "sgn", "count_values"]);
    let computes = has(&[
        "sum",
        "avg",
        "std",
        "rate",
        "increase",
        "delta",
        "deriv",
        "predict",
        "quantile",
        "holt_winters",
        "exp",
        "ln",
        "log",
    ]);
    (jumps && computes).then_some(Rule::Discontinuity)
}

fn same_labels(a: &Matrix, b: &Matrix) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0)
}

fn nameless(rows: &Matrix) -> Matrix {
    let mut rows: Matrix =
        rows.iter().map(|(labels, samples)| (labels.with("__name__", ""), samples.clone())).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows
}
