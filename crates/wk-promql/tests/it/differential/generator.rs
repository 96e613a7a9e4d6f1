//! Series and queries out of a seed.
//!
//! Prometheus 2.42 takes the left border of a range in, Prometheus 3 and we leave it out. So no sample and no step of a
//! subquery may lie on a border: samples lie between whole and half seconds, queries on half seconds, steps of
//! subqueries on multiples of five seconds, and their ranges are primes.

use wk_types::{Labels, Sample, UtcMs};

use super::peer::Matrix;

/// When the series begin.
pub const BEGIN: UtcMs = UtcMs(1_700_000_000_000);
/// How long they last.
pub const SPAN_MS: i64 = 40 * 60_000;
/// How far back a query reaches at most: the longest range, twice nested, and offsets.
pub const REACH_MS_MAX: i64 = 30 * 60_000;
const SAMPLE_STEP_MS: i64 = 15_000;

const HOSTS: [&str; 4] = ["a", "b", "c", "d"];
const RANGES: [&str; 6] = ["31s", "61s", "2m7s", "5m", "10m1s", "20m"];
const SUBQUERY_RANGES: [&str; 4] = ["97s", "317s", "613s", "1201s"];
const SUBQUERY_STEPS: [&str; 5] = ["15s", "30s", "1m", "45s", ""];

/// Random choices (Source: SplitMix64).
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut value = self.0;
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn of<'a, T: ?Sized>(&mut self, choices: &[&'a T]) -> &'a T {
        choices[self.below(choices.len())]
    }
}

/// Gauges, counters with resets, series with gaps, small whole numbers, buckets, and an info metric.
pub fn series(dice: &mut Dice) -> Matrix {
    let mut series = Vec::new();
    for host in HOSTS {
        for disk in ["0", "1"] {
            let level = 50.0 + 100.0 * dice.unit();
            let labels = Labels::metric("gauge", &[("host", host), ("disk", disk)]);
            series.push((labels, samples(dice, false, |dice, _| level + 20.0 * dice.unit())));
            for mode in ["idle", "user"] {
                let labels = Labels::metric("counter_total", &[("host", host), ("cpu", disk), ("mode", mode)]);
                series.push((labels, counter(dice, disk == "1")));
            }
        }
        let labels = Labels::metric("sparse", &[("host", host), ("disk", "0")]);
        series.push((labels, samples(dice, true, |dice, index| 1e6 + index as f64 + dice.unit())));
        let labels = Labels::metric("small", &[("host", host)]);
        series.push((labels, samples(dice, false, |dice, _| dice.below(5) as f64)));
        let labels = Labels::metric("role", &[("host", host), ("role", if host < "c" { "bridge" } else { "engine" })]);
        series.push((labels, samples(dice, false, |_, _| 1.0)));
        series.extend(buckets(dice, host));
    }
    series
}

fn samples(dice: &mut Dice, gaps: bool, mut value: impl FnMut(&mut Dice, i64) -> f64) -> Vec<Sample> {
    let mut found = Vec::new();
    let mut absent = 0;
    for index in 0..SPAN_MS / SAMPLE_STEP_MS {
        let jitter = 1 + dice.below(498) as i64 + if dice.below(2) == 0 { 0 } else { 500 };
        let time = BEGIN + wk_types::DurationMs(index * SAMPLE_STEP_MS + jitter);
        let sample = Sample::new(time, value(dice, index));
        if gaps && absent == 0 && dice.below(12) == 0 {
            absent = 1 + dice.below(40);
        }
        if absent == 0 {
            found.push(sample);
        }
        absent = absent.saturating_sub(1);
    }
    found
}

/// A counter; it begins high, because versions differ in how they extrapolate one that begins near zero with a gap.
fn counter(dice: &mut Dice, resets: bool) -> Vec<Sample> {
    let mut total = 1e4 + dice.unit();
    samples(dice, false, move |dice, _| {
        total += 15.0 * dice.unit();
        if resets && dice.below(40) == 0 {
            total = 500.0 + dice.unit();
        }
        total
    })
}

fn buckets(dice: &mut Dice, host: &str) -> Matrix {
    let bounds = ["0.1", "0.5", "1", "2.5", "10", "+Inf"];
    let shares: Vec<f64> = bounds.iter().map(|_| 1.0 + 4.0 * dice.unit()).collect();
    let mut below = 0.0;
    let mut found = Vec::new();
    // All buckets of a histogram are taken at once.
    let times = samples(dice, false, |_, index| index as f64);
    for (bound, share) in bounds.iter().zip(shares) {
        below += share;
        let labels = Labels::metric("latency_bucket", &[("host", host), ("le", bound)]);
        let counts = times.iter().map(|sample| Sample::new(sample.time, (1e3 + sample.value) * below));
        found.push((labels, counts.collect()));
    }
    found
}

/// A query of at most `depth` levels.
pub fn query(dice: &mut Dice, depth: usize) -> String {
    if dice.below(12) == 0 { scalar(dice, depth) } else { vector(dice, depth) }
}

fn number(dice: &mut Dice) -> String {
    dice.of(&["0", "1", "2", "0.37", "100", "-3", "1e3", "60", "NaN", "Inf"]).to_owned()
}

fn scalar(dice: &mut Dice, depth: usize) -> String {
    match dice.below(if depth == 0 { 3 } else { 5 }) {
        0 | 1 => number(dice),
        2 => dice.of(&["time()", "pi()", "scalar(small{host=\"a\"})"]).to_owned(),
        3 => format!("scalar({})", vector(dice, depth - 1)),
        _ => {
            let op = dice.of(&["+", "-", "*", "/", "%", "^", "atan2", "> bool", "== bool"]);
            format!("({} {op} {})", scalar(dice, depth - 1), scalar(dice, depth - 1))
        }
    }
}

fn matchers(dice: &mut Dice) -> &'static str {
    dice.of(&[
        "",
        "",
        "",
        "{host=\"a\"}",
        "{host!=\"b\"}",
        "{host=~\"a|c\"}",
        "{disk=\"0\"}",
        "{host!~\"[ab]\"}",
        "{mode=\"idle\"}",
    ])
}

fn when(dice: &mut Dice) -> String {
    let base = BEGIN.0 / 1_000;
    match dice.below(10) {
        0 => " offset 61s".to_owned(),
        1 => " offset -37s".to_owned(),
        2 => " offset 7m3s".to_owned(),
        3 => format!(" @ {}.5", base + 600 + dice.below(1_200) as i64),
        4 => dice.of(&[" @ start()", " @ end()", " @ end() offset 61s"]).to_owned(),
        _ => String::new(),
    }
}

fn metric(dice: &mut Dice) -> &'static str {
    dice.of(&["gauge", "gauge", "counter_total", "sparse", "small", "role", "absent_metric"])
}

fn selector(dice: &mut Dice) -> String {
    format!("{}{}{}", metric(dice), matchers(dice), when(dice))
}

fn range(dice: &mut Dice, depth: usize) -> String {
    if depth > 0 && dice.below(4) == 0 {
        let (range, step) = (dice.of(&SUBQUERY_RANGES), dice.of(&SUBQUERY_STEPS));
        let inner = vector(dice, depth - 1);
        return format!("({inner})[{range}:{step}]{}", when(dice));
    }
    format!("{}{}[{}]{}", metric(dice), matchers(dice), dice.of(&RANGES), when(dice))
}

fn over(dice: &mut Dice, depth: usize) -> String {
    const FUNCTIONS: [&str; 19] = [
        "rate",
        "rate",
        "increase",
        "delta",
        "irate",
        "idelta",
        "deriv",
        "resets",
        "changes",
        "avg_over_time",
        "sum_over_time",
        "min_over_time",
        "max_over_time",
        "count_over_time",
        "last_over_time",
        "present_over_time",
        "stddev_over_time",
        "stdvar_over_time",
        "absent_over_time",
    ];
    let range = range(dice, depth);
    match dice.below(12) {
        0 => format!("quantile_over_time({}, {range})", dice.of(&["0", "0.37", "0.9", "1", "-1", "2"])),
        1 if !range.contains("] @") => {
            format!("predict_linear({range}, {})", dice.of(&["60", "3600", "-60"]))
        }
        2 => format!("holt_winters({range}, 0.3, 0.7)"),
        _ => format!("{}({range})", dice.of(&FUNCTIONS)),
    }
}

fn grouping(dice: &mut Dice) -> &'static str {
    dice.of(&["", "by (host)", "by (host, disk)", "without (disk)", "without (host, cpu)", "by (mode)", "by (nothing)"])
}

fn aggregate(dice: &mut Dice, depth: usize) -> String {
    let grouping = grouping(dice);
    match dice.below(8) {
        // Of equal values no version says which ones it takes, so these are asked of values that are not equal.
        0 => {
            let (op, size) = (dice.of(&["topk", "bottomk"]), dice.of(&["1", "2", "3", "0", "100"]));
            let of = dice.of(&["gauge", "counter_total", "rate(counter_total[5m])", "sparse", "delta(gauge[5m])"]);
            format!("{op} {grouping} ({size}, {of})")
        }
        1 => format!("quantile {grouping} ({}, {})", dice.of(&["0.37", "0", "1", "0.9"]), vector(dice, depth)),
        2 => format!("count_values {grouping} (\"value\", {})", dice.of(&["small", "changes(small[5m])", "role"])),
        _ => {
            let op = dice.of(&["sum", "avg", "min", "max", "count", "group", "stddev", "stdvar"]);
            format!("{op} {grouping} ({})", vector(dice, depth))
        }
    }
}

fn binary(dice: &mut Dice, depth: usize) -> String {
    let arithmetic = ["+", "-", "*", "/", "%", "^", "atan2"];
    let comparison = ["==", "!=", ">", "<", ">=", "<=", "> bool", "<= bool", "!= bool"];
    let op = if dice.below(2) == 0 { dice.of(&arithmetic) } else { dice.of(&comparison) };
    match dice.below(6) {
        0 => format!("({}) {op} {}", vector(dice, depth), scalar(dice, depth)),
        1 => format!("{} {op} ({})", scalar(dice, depth), vector(dice, depth)),
        2 => {
            let set = dice.of(&["and", "or", "unless"]);
            let matching = dice.of(&["", "on (host)", "ignoring (disk)", "on ()"]);
            format!("({}) {set} {matching} ({})", vector(dice, depth), vector(dice, depth))
        }
        3 => {
            let one = dice.of(&["role", "sparse", "sum by (host) (gauge)", "small"]);
            let labels = dice.of(&["", "(role)", "(mode)"]);
            format!("({}) {op} on (host) group_left {labels} {one}", vector(dice, depth))
        }
        4 => {
            let one = dice.of(&["role", "small", "avg by (host) (counter_total)"]);
            format!("{one} {op} on (host) group_right ({})", vector(dice, depth))
        }
        _ => {
            let matching =
                dice.of(&["", "", "on (host)", "ignoring (disk)", "on (host, disk)", "ignoring (mode, cpu)"]);
            format!("({}) {op} {matching} ({})", vector(dice, depth), vector(dice, depth))
        }
    }
}

fn mapped(dice: &mut Dice, depth: usize) -> String {
    const PLAIN: [&str; 22] = [
        "abs",
        "ceil",
        "floor",
        "exp",
        "ln",
        "log2",
        "log10",
        "sqrt",
        "sgn",
        "sin",
        "cos",
        "tan",
        "asinh",
        "atan",
        "deg",
        "rad",
        "minute",
        "hour",
        "day_of_week",
        "day_of_year",
        "timestamp",
        "-",
    ];
    let inner = vector(dice, depth);
    match dice.below(10) {
        0 => format!("clamp({inner}, {}, {})", number(dice), number(dice)),
        1 => format!("clamp_min({inner}, {})", number(dice)),
        2 => format!("round({inner}, {})", dice.of(&["1", "0.1", "10"])),
        3 => format!("label_replace({inner}, \"where\", \"$1-x\", \"host\", \"([a-c])\")"),
        4 => format!("label_join({inner}, \"both\", \"/\", \"host\", \"disk\")"),
        5 => format!("absent({inner})"),
        6 => format!("label_replace({inner}, \"host\", \"\", \"host\", \".*\")"),
        _ => format!("{}({inner})", dice.of(&PLAIN)),
    }
}

fn quantile(dice: &mut Dice) -> String {
    let q = dice.of(&["0.37", "0.9", "0.99", "0.05", "-1", "2"]);
    let of = dice.of(&[
        "latency_bucket",
        "rate(latency_bucket[5m])",
        "sum by (le) (rate(latency_bucket[2m7s]))",
        "sum by (le, host) (increase(latency_bucket[10m1s]))",
        "avg without (host) (latency_bucket)",
    ]);
    format!("histogram_quantile({q}, {of})")
}

fn vector(dice: &mut Dice, depth: usize) -> String {
    let Some(depth) = depth.checked_sub(1) else { return selector(dice) };
    match dice.below(12) {
        0 => selector(dice),
        1..=3 => over(dice, depth),
        4..=6 => aggregate(dice, depth),
        7 | 8 => binary(dice, depth),
        9 => quantile(dice),
        10 => format!("vector({})", scalar(dice, depth)),
        _ => mapped(dice, depth),
    }
}
