//! The script language of Prometheus' `promqltest` package, as far as floats need it.
//!
//! Native histograms and start timestamps are not loaded; annotations (`expect warn` and the like) are not compared.

use wk_promql::{Limits, Query, QueryError, Value};
use wk_types::series::STALE_NAN_BITS;
use wk_types::{DurationMs, Labels, Sample, UtcMs};

use crate::source::MemorySource;

/// Relative difference up to which Prometheus' own tests take two values as equal.
const TOLERANCE: f64 = 1e-6;

/// What came of a script.
#[derive(Default)]
pub struct Outcome {
    pub passed: usize,
    /// The line, and what went wrong.
    pub failed: Vec<(usize, String)>,
}

/// One evaluation and what it must answer.
#[derive(Debug)]
struct Case {
    query: String,
    from: UtcMs,
    /// End and step, for a range query.
    range: Option<(UtcMs, DurationMs)>,
    fails: bool,
    ordered: bool,
    text: Option<String>,
    /// The times of an expected range vector.
    raw: Option<(UtcMs, DurationMs)>,
    expected: Vec<String>,
}

/// When metric names are removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// In each operation, as by default.
    AtOnce,
    /// At the end, as Prometheus' own tests have it.
    Delayed,
}

impl Names {
    fn parse(self, text: &str) -> Result<Query, QueryError> {
        let query = Query::parse(text)?;
        Ok(if self == Self::Delayed { query.with_delayed_name_removal() } else { query })
    }
}

/// Runs a script from the top.
pub fn run(script: &str, names: Names) -> Outcome {
    let lines: Vec<&str> = script.lines().map(str::trim).collect();
    let mut outcome = Outcome::default();
    let mut source = MemorySource::default();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let body: Vec<&str> = lines[at + 1..].iter().copied().take_while(|line| is_body(line)).collect();
        if line == "clear" {
            source = MemorySource::default();
        } else if let Some(step) = line.strip_prefix("load_with_nhcb ").or_else(|| line.strip_prefix("load ")) {
            body.iter().for_each(|line| load(&mut source, line, duration(step)));
            at += body.len();
        } else if line.starts_with("eval") {
            match check(&source, &case(line, &body), names) {
                Ok(()) => outcome.passed += 1,
                Err(why) => outcome.failed.push((at + 1, format!("{line}: {why}"))),
            }
            at += body.len();
        }
        at += 1;
    }
    outcome
}

fn is_body(line: &str) -> bool {
    let first = line.split([' ', '_']).next().unwrap_or("");
    !line.is_empty() && !line.starts_with('#') && !matches!(first, "eval" | "load") && line != "clear"
}

fn case(line: &str, body: &[&str]) -> Case {
    let (verb, rest) = line.split_once(' ').unwrap();
    let (kind, rest) = rest.split_once(' ').unwrap();
    let words: Vec<&str> = rest.split_whitespace().collect();
    let after = |words: usize| rest.split_whitespace().nth(words).map_or("", |word| &rest[offset(rest, word)..]);
    let mut case = if kind == "range" {
        let [_, from, _, to, _, step, ..] = words[..] else { panic!("not a range: {line}") };
        let range = Some((UtcMs(duration(to).0), duration(step)));
        Case { query: after(6).to_owned(), from: UtcMs(duration(from).0), range, ..Case::empty() }
    } else {
        Case { query: after(2).to_owned(), from: UtcMs(duration(words[1]).0), ..Case::empty() }
    };
    case.fails = verb == "eval_fail";
    case.ordered = verb == "eval_ordered";
    for line in body {
        let Some(expect) = line.strip_prefix("expect ") else {
            case.expected.push((*line).to_owned());
            continue;
        };
        let words: Vec<&str> = expect.split_whitespace().collect();
        match words[0] {
            "fail" => case.fails = true,
            "ordered" => case.ordered = true,
            "string" => case.text = Some(expect["string ".len()..].trim().to_owned()),
            "range" => case.raw = Some((UtcMs(duration(words[3]).0), duration(words[7]))),
            _ => {}
        }
    }
    case
}

/// Where `part`, a slice of `whole`, begins in it.
fn offset(whole: &str, part: &str) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}

impl Case {
    fn empty() -> Self {
        Self {
            query: String::new(),
            from: UtcMs(0),
            range: None,
            fails: false,
            ordered: false,
            text: None,
            raw: None,
            expected: Vec::new(),
        }
    }
}

fn load(source: &mut MemorySource, line: &str, step: DurationMs) {
    if line.split_whitespace().any(|word| word.ends_with("@st")) {
        return;
    }
    let (labels, values) = series(line);
    let times = (0..).map(|index| UtcMs(step.0 * index));
    let samples = times.zip(sequence(values)).filter_map(|(time, value)| Some(Sample::new(time, value?))).collect();
    source.add(labels, samples);
}

fn check(source: &MemorySource, case: &Case, names: Names) -> Result<(), String> {
    if case.expected.iter().any(|line| line.contains("{{")) {
        return Err("expects native histograms".to_owned());
    }
    let limits = Limits::default();
    let answer = names.parse(&case.query).and_then(|query| match case.range {
        None => query.instant(source, case.from, &limits),
        Some((to, step)) => query.range(source, case.from, to, step, &limits),
    });
    let value = match (answer, case.fails) {
        (Err(_), true) => return Ok(()),
        (Ok(value), true) => return Err(format!("answered {value:?} instead of failing")),
        (Err(error), false) => return Err(error.to_string()),
        (Ok(value), false) => value,
    };
    compare(case, &value)?;
    agrees_with_range(source, case, &value, names)
}

fn compare(case: &Case, value: &Value) -> Result<(), String> {
    let (from, step) = case.range.map_or((case.from, DurationMs(1)), |(_, step)| (case.from, step));
    let (from, step) = case.raw.unwrap_or((from, step));
    let mut found: Vec<(Labels, Vec<Sample>)> = match value {
        Value::String(_, text) => {
            let wanted = case.text.as_deref().unwrap_or("").trim_matches(['"', '`']);
            return if text == wanted { Ok(()) } else { Err(format!("answered {text:?}")) };
        }
        Value::Scalar(at, number) => vec![(Labels::default(), vec![Sample::new(*at, *number)])],
        Value::Vector(elements) => elements.iter().map(|(labels, sample)| (labels.clone(), vec![*sample])).collect(),
        Value::Matrix(rows) => rows.clone(),
    };
    let times = |count: usize| (0..count as i64).map(move |index| UtcMs(from.0 + step.0 * index));
    let mut wanted: Vec<(Labels, Vec<Sample>)> = Vec::new();
    for line in &case.expected {
        let (labels, values) = match line.parse::<f64>() {
            Ok(_) => (Labels::default(), line.as_str()),
            Err(_) => series(line),
        };
        let values = sequence(values);
        let samples = times(values.len()).zip(values).filter_map(|(at, value)| Some(Sample::new(at, value?)));
        wanted.push((labels, samples.collect()));
    }
    wanted.retain(|(_, samples)| !samples.is_empty());
    if !case.ordered {
        found.sort_by(|a, b| a.0.cmp(&b.0));
        wanted.sort_by(|a, b| a.0.cmp(&b.0));
    }
    let same = found.len() == wanted.len() && found.iter().zip(&wanted).all(|(a, b)| a.0 == b.0 && close(&a.1, &b.1));
    if same { Ok(()) } else { Err(format!("answered {}\n      instead of {}", show(&found), show(&wanted))) }
}

/// An instant query and a range query answer the same at the same time.
fn agrees_with_range(source: &MemorySource, case: &Case, value: &Value, names: Names) -> Result<(), String> {
    let Value::Vector(elements) = value else { return Ok(()) };
    if case.range.is_some() || case.query.contains("start()") || case.query.contains("end()") {
        return Ok(());
    }
    let minute = DurationMs::from_mins(1);
    let query = names.parse(&case.query).map_err(|error| error.to_string())?;
    let answer = query.range(source, case.from - minute, case.from + minute, minute, &Limits::default());
    let Value::Matrix(rows) = answer.map_err(|error| format!("as a range: {error}"))? else {
        return Err("as a range: no matrix".to_owned());
    };
    let at_time = |samples: &[Sample]| samples.iter().find(|sample| sample.time == case.from).copied();
    let mut ranged: Vec<_> = rows.iter().filter_map(|(labels, samples)| Some((labels, at_time(samples)?))).collect();
    let mut instant: Vec<_> = elements.iter().map(|(labels, sample)| (labels, *sample)).collect();
    ranged.sort_by(|a, b| a.0.cmp(b.0));
    instant.sort_by(|a, b| a.0.cmp(b.0));
    let same =
        ranged.len() == instant.len() && ranged.iter().zip(&instant).all(|(a, b)| a.0 == b.0 && close(&[a.1], &[b.1]));
    if same { Ok(()) } else { Err(format!("as a range answered {ranged:?}")) }
}

fn close(a: &[Sample], b: &[Sample]) -> bool {
    let pairs = a.iter().zip(b);
    a.len() == b.len() && pairs.into_iter().all(|(a, b)| a.time == b.time && almost_equal(a.value, b.value))
}

fn almost_equal(a: f64, b: f64) -> bool {
    if a == b || (a.is_nan() && b.is_nan()) {
        return true;
    }
    (a - b).abs() / (a.abs() + b.abs()).min(f64::MAX) < TOLERANCE
}

fn show(rows: &[(Labels, Vec<Sample>)]) -> String {
    let row = |(labels, samples): &(Labels, Vec<Sample>)| {
        let values: Vec<String> = samples.iter().map(|s| format!("{}@{}", s.value, s.time.0 / 1_000)).collect();
        format!("{labels} [{}]", values.join(" "))
    };
    rows.iter().map(row).collect::<Vec<_>>().join(", ")
}

/// Splits a line into the series it names and the rest.
fn series(line: &str) -> (Labels, &str) {
    let (mut quote, mut escaped, mut braces) = (None, false, 0);
    let mut end = line.len();
    for (index, char) in line.char_indices() {
        match (quote, char) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), _) if open == char => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(char),
            (None, '{') => braces += 1,
            (None, '}') => {
                end = index + 1;
                break;
            }
            (None, ' ' | '\t') if braces == 0 => {
                end = index;
                break;
            }
            _ => {}
        }
    }
    (labels(&line[..end]), line[end..].trim())
}

fn labels(text: &str) -> Labels {
    let text = text.trim();
    if text == "{}" {
        return Labels::default();
    }
    let query = Query::parse(text).unwrap_or_else(|error| panic!("cannot read the series {text}: {error}"));
    let selectors = query.selectors();
    Labels::new(selectors[0].matchers.iter().map(|matcher| (matcher.name.clone(), matcher.value.clone())))
}

/// Expands `1 2+3x4 _ stale` into values, one per step; native histograms leave their steps out.
fn sequence(text: &str) -> Vec<Option<f64>> {
    let mut values = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        if rest.starts_with("{{") {
            let end = rest.rfind("}}").unwrap();
            let tail = &rest[end + 2..];
            rest = tail.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start());
            continue;
        }
        let (word, tail) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        rest = tail.trim_start();
        expand(word, &mut values);
    }
    values
}

fn expand(word: &str, values: &mut Vec<Option<f64>>) {
    match word {
        "_" => return values.push(None),
        "stale" => return values.push(Some(f64::from_bits(STALE_NAN_BITS))),
        _ => {}
    }
    if let Ok(value) = word.parse() {
        return values.push(Some(value));
    }
    let Some((body, times)) = word.rsplit_once('x') else { panic!("cannot read the value {word}") };
    let times: usize = times.parse().unwrap();
    match body {
        "_" => return values.extend(std::iter::repeat_n(None, times)),
        "stale" => return values.extend(std::iter::repeat_n(Some(f64::from_bits(STALE_NAN_BITS)), times)),
        _ => {}
    }
    if let Ok(value) = body.parse() {
        return values.extend(std::iter::repeat_n(Some(value), times + 1));
    }
    // The sign between start and step is the last one that does not belong to an exponent.
    let split = body.char_indices().rev().find(|(index, char)| {
        matches!(char, '+' | '-') && *index > 0 && !body[..*index].ends_with(['e', 'E', '+', '-'])
    });
    let (index, _) = split.unwrap();
    let start: f64 = body[..index].parse().unwrap();
    let step: f64 = body[index..].replace("+-", "-").parse().unwrap();
    let mut value = start;
    for _ in 0..=times {
        values.push(Some(value));
        value += step;
    }
}

/// Reads `1h30m`, `15s`, `1ms` or a number of seconds.
fn duration(text: &str) -> DurationMs {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return DurationMs((seconds * 1_000.0).round() as i64);
    }
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut total = 0;
    while !rest.is_empty() {
        let digits = rest.find(|char: char| !char.is_ascii_digit()).unwrap();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|char: char| char.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let unit = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            "y" => 31_536_000_000,
            other => panic!("cannot read the duration {text}: {other}"),
        };
        total += number.parse::<i64>().unwrap() * unit;
        rest = tail;
    }
    DurationMs(sign * total)
}
