//! Bounds, calls to stop, wrong input, and what must hold for any input.

use std::cell::Cell;

use proptest::prelude::*;
use wk_promql::{Limits, Query, QueryError, Value};
use wk_types::{DurationMs, ErrorKind, Labels, Sample, UtcMs};

use crate::source::MemorySource;

const MINUTE: DurationMs = DurationMs::from_mins(1);

fn at_minute(minute: i64) -> UtcMs {
    UtcMs(minute * MINUTE.0)
}

/// Three series with a sample a minute for an hour.
fn hour() -> MemorySource {
    let mut source = MemorySource::default();
    for host in ["a", "b", "c"] {
        let samples = (0..=60).map(|minute| Sample::new(at_minute(minute), minute as f64)).collect();
        source.add(Labels::metric("x", &[("host", host)]), samples);
    }
    source
}

fn range(query: &str, source: &MemorySource, step: DurationMs, limits: &Limits<'_>) -> Result<Value, QueryError> {
    Query::parse(query).unwrap().range(source, at_minute(0), at_minute(60), step, limits)
}

#[test]
fn too_many_samples_are_refused() {
    let limits = Limits { samples_max: 100, ..Limits::default() };
    for query in ["x", "rate(x[5m])", "vector(1)[1h:1ms]", "count_over_time(vector(1)[1h:1ms])"] {
        let answer = Query::parse(query).unwrap().instant(&hour(), at_minute(60), &limits);
        let small = matches!(query, "x" | "rate(x[5m])");
        assert_eq!(matches!(answer, Err(QueryError::TooManySamples { max: 100 })), !small, "{query}");
    }
    assert!(matches!(range("x", &hour(), MINUTE, &limits), Err(QueryError::TooManySamples { max: 100 })));
}

#[test]
fn too_many_steps_and_wrong_ranges_are_refused() {
    let limits = Limits { steps_max: 60, ..Limits::default() };
    assert!(matches!(range("1", &hour(), MINUTE, &limits), Err(QueryError::TooManySteps { max: 60 })));
    let query = Query::parse("x").unwrap();
    let limits = Limits::default();
    let times = [(1, 0, 1), (0, 1, 0), (0, 1, -1), (i64::MIN, 0, 1), (0, i64::MAX, 1)];
    for (from, to, step) in times {
        assert!(query.range(&hour(), UtcMs(from), UtcMs(to), DurationMs(step), &limits).is_err(), "{from} {to} {step}");
    }
    assert!(query.instant(&hour(), UtcMs::MAX, &limits).is_err());
}

#[test]
fn ranges_and_texts_cannot_be_drawn_over_time() {
    for query in ["x[5m]", "\"text\""] {
        assert!(matches!(range(query, &hour(), MINUTE, &Limits::default()), Err(QueryError::Parameter { .. })));
    }
}

#[test]
fn a_call_to_stop_is_heeded_between_series() {
    let asked = Cell::new(0);
    let cancelled = || {
        asked.set(asked.get() + 1);
        asked.get() > 3
    };
    let limits = Limits { cancelled: &cancelled, ..Limits::default() };
    let error = range("sum(rate(x[5m]))", &hour(), MINUTE, &limits).unwrap_err();
    assert!(matches!(error, QueryError::Cancelled));
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[test]
fn a_call_to_stop_is_heeded_within_the_windows_of_one_series() {
    let mut source = MemorySource::default();
    let samples = (0..50_000).map(|index| Sample::new(UtcMs(index * 70), index as f64)).collect();
    source.add(Labels::metric("x", &[]), samples);
    for query in [
        "stddev_over_time(x[55m])",
        "max_over_time(stddev_over_time(x[55m])[55m:1s])",
        "quantile_over_time(0.5, x[55m])",
    ] {
        let asked = Cell::new(0);
        let cancelled = || {
            asked.set(asked.get() + 1);
            asked.get() > 4
        };
        let limits = Limits { cancelled: &cancelled, ..Limits::default() };
        let answer = range(query, &source, DurationMs(5_000), &limits);
        assert!(matches!(answer, Err(QueryError::Cancelled)), "{query}");
        assert_eq!(asked.get(), 5, "{query}");
    }
}

#[test]
fn a_call_to_stop_is_heeded_by_both_threads() {
    let mut source = MemorySource::default();
    for host in 0..1_000 {
        let samples = (0..=60).map(|minute| Sample::new(at_minute(minute), minute as f64)).collect();
        source.add(Labels::metric("x", &[("host", &host.to_string())]), samples);
    }
    let asked = Cell::new(0);
    let cancelled = || {
        asked.set(asked.get() + 1);
        asked.get() > 100
    };
    let limits = Limits { cancelled: &cancelled, ..Limits::default() };
    let answer = range("rate(x[5m])", &source, DurationMs(10_000), &limits);
    assert!(matches!(answer, Err(QueryError::Cancelled)));
    let whole = range("rate(x[5m])", &source, DurationMs(10_000), &Limits::default()).unwrap();
    assert_eq!(whole, range("rate(x[5m])", &source, DurationMs(10_000), &Limits::default()).unwrap());
    let Value::Matrix(rows) = whole else { panic!("not a matrix") };
    assert_eq!(rows.len(), 1_000);
}

#[test]
fn a_range_query_reads_each_selector_once() {
    let source = hour();
    range("sum(rate(x[5m])) / sum(x) + max_over_time(x[10m:1m])", &source, MINUTE, &Limits::default()).unwrap();
    assert_eq!(source.selects.get(), 3);
}

#[test]
fn the_deepest_query_is_evaluated_on_an_ordinary_stack() {
    let sums = vec!["sum(x)"; 190].join(" + ");
    let Value::Vector(elements) =
        Query::parse(&sums).unwrap().instant(&hour(), at_minute(1), &Limits::default()).unwrap()
    else {
        panic!("not a vector")
    };
    assert_eq!(elements[0].1.value, 570.0);
    let negated = format!("{}sum(max_over_time(x[1h:1m]))", "-".repeat(190));
    range(&negated, &hour(), MINUTE, &Limits::default()).unwrap();
}

#[test]
fn names_are_dropped_at_once_by_default() {
    let mut source = MemorySource::default();
    source.add(Labels::metric("a", &[("host", "1")]), vec![Sample::new(UtcMs(0), 1.0)]);
    source.add(Labels::metric("b", &[("host", "1")]), vec![Sample::new(UtcMs(0), 2.0)]);
    let query = Query::parse(r#"label_replace(-{host="1"}, "was", "$1", "__name__", "(.+)")"#).unwrap();
    assert!(matches!(query.instant(&source, UtcMs(0), &Limits::default()), Err(QueryError::SameLabels { .. })));
    let Value::Vector(elements) =
        query.with_delayed_name_removal().instant(&source, UtcMs(0), &Limits::default()).unwrap()
    else {
        panic!("not a vector")
    };
    assert_eq!(elements.iter().map(|(labels, _)| labels.get("was")).collect::<Vec<_>>(), [Some("a"), Some("b")]);
}

const QUERIES: [&str; 24] = [
    "x",
    "x offset 90s",
    "-x",
    "rate(x[5m])",
    "increase(x[150s] offset 1m)",
    "irate(x[5m]) or x",
    "avg_over_time(x[7m])",
    "quantile_over_time(0.3, x[7m])",
    "predict_linear(x[10m], 60)",
    "sum by (host) (x)",
    "topk(1, x)",
    "x > on (host) group_left x{host=\"a\"}",
    "x unless x > 3",
    "max_over_time(sum(x)[5m:30s])",
    "absent(x)",
    "scalar(x{host=\"a\"}) + vector(time())",
    "increase(x[5m] anchored)",
    "rate(x[150s] smoothed)",
    "x smoothed offset 1m",
    "x + on (host) fill(1) (x > 3)",
    "limitk(1, x)",
    "limit_ratio(0.5, x)",
    "mad_over_time(x[7m]) or ts_of_max_over_time(x[7m])",
    "info(x, {__name__=\"x\"})",
];

/// Words and marks of the language, some of them extreme.
const WORDS: [&str; 84] = [
    "x",
    "y:z",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    ",",
    ":",
    "@",
    "=",
    "!=",
    "=~",
    "!~",
    "==",
    ">",
    "<=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "</",
    "and",
    "or",
    "unless",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "bool",
    "fill",
    "fill_left(0)",
    "offset",
    "anchored",
    "smoothed",
    "by",
    "without",
    "sum",
    "topk",
    "quantile",
    "count_values",
    "limitk",
    "limit_ratio",
    "rate",
    "increase",
    "deriv",
    "predict_linear",
    "quantile_over_time",
    "histogram_quantile",
    "histogram_quantiles",
    "histogram_fraction",
    "label_replace",
    "label_join",
    "sort_by_label",
    "info",
    "absent",
    "double_exponential_smoothing",
    "start_timestamp",
    "step()",
    "range()",
    "start()",
    "end()",
    "min_of",
    "1e300",
    "9223372036854775807",
    "NaN",
    "-Inf",
    "0x1f",
    "017",
    "5m",
    "1y",
    "99999999y",
    "0s",
    "1ms",
    "\"a\"",
    "\"\\xff\"",
    "`(`",
    "host",
    "\"host\"",
    "# c\n",
    "\u{e9}",
];

fn samples() -> impl Strategy<Value = Vec<Sample>> {
    let value =
        prop_oneof![8 => -100.0..100.0f64, 1 => Just(f64::NAN), 1 => Just(f64::from_bits(0x7ff0_0000_0000_0002))];
    prop::collection::vec((0..3_600_000i64, value), 0..60)
        .prop_map(|pairs| pairs.into_iter().map(|(time, value)| Sample::new(UtcMs(time), value)).collect())
}

fn at(value: &Value, time: UtcMs) -> Vec<(Labels, u64)> {
    // The sign of a NaN is not part of the answer.
    let bits = |value: f64| if value.is_nan() { f64::NAN.to_bits() } else { value.to_bits() };
    let mut elements: Vec<(Labels, u64)> = match value {
        Value::Vector(elements) => elements.iter().map(|(labels, s)| (labels.clone(), bits(s.value))).collect(),
        Value::Matrix(rows) => rows
            .iter()
            .filter_map(|(labels, samples)| {
                let sample = samples.iter().find(|sample| sample.time == time)?;
                Some((labels.clone(), bits(sample.value)))
            })
            .collect(),
        other => panic!("neither vector nor matrix: {other:?}"),
    };
    elements.sort();
    elements
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_range_query_answers_what_instant_queries_answer(a in samples(), b in samples()) {
        let mut source = MemorySource::default();
        source.add(Labels::metric("x", &[("host", "a")]), a);
        source.add(Labels::metric("x", &[("host", "b")]), b);
        let (step, limits) = (DurationMs(150_000), Limits::default());
        for text in QUERIES {
            let query = Query::parse(text).unwrap();
            let ranged = query.range(&source, UtcMs(0), at_minute(60), step, &limits).unwrap();
            for index in 0..24 {
                let time = UtcMs(index * step.0);
                let instant = query.instant(&source, time, &limits).unwrap();
                prop_assert_eq!(at(&ranged, time), at(&instant, time), "{} at {}", text, time);
            }
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[a-z0-9(){}\\[\\]\"'=~!<>+*/%^@:., -]{0,60}") {
        let _ = Query::parse(&text);
    }

    #[test]
    fn no_row_of_words_makes_anything_panic(words in prop::collection::vec(prop::sample::select(&WORDS[..]), 1..14), glue in "[ ]?") {
        let text = words.join(&glue);
        let source = hour();
        let limits = Limits { samples_max: 20_000, ..Limits::default() };
        if let Ok(query) = Query::parse(&text) {
            let _ = query.selectors();
            let _ = query.instant(&source, at_minute(30), &limits);
            let _ = query.range(&source, at_minute(0), at_minute(60), DurationMs(600_000), &limits);
        }
    }

    #[test]
    fn no_cut_of_a_query_makes_the_parser_panic(index in 0..QUERIES.len(), cut in 0usize..40, add in "[\\[(\"{0-9a-z]{0,3}") {
        let text = QUERIES[index];
        let kept: String = text.chars().take(cut).collect();
        let _ = Query::parse(&format!("{kept}{add}"));
    }
}
