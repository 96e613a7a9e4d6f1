//! The script language of Prometheus' `promqltest` package.
//!
//! Samples that are native histograms are not loaded. An evaluation that does not answer as expected is told apart as
//! *native* by one rule alone: it selects a series that holds native histograms, expects one, or asks for a function
//! of native histograms by name.

use regex::Regex;
use wk_promql::{Answer, Limits, Query, QueryError, Value};
use wk_types::{DurationMs, Labels, Sample, UtcMs};

use crate::source::MemorySource;

mod values;

use values::{Item, duration, labels, sequence, split, starts};

/// Relative difference up to which Prometheus' own tests take two values as equal.
const TOLERANCE: f64 = 1e-6;

/// What came of a script.
#[derive(Default)]
pub struct Outcome {
    pub passed: usize,
    /// How many evaluations fail and are about native histograms.
    pub native: usize,
    /// The line, and what went wrong.
    pub failed: Vec<(usize, String)>,
}

/// What must be said along with an answer.
#[derive(Debug)]
enum Said {
    Any,
    None,
    Message(String),
    Pattern(Regex),
}

/// One evaluation and what it must answer.
#[derive(Debug, Default)]
struct Case {
    query: String,
    from: UtcMs,
    /// End and step, for a range query.
    range: Option<(UtcMs, DurationMs)>,
    /// What the failure must say.
    fails: Option<Said>,
    ordered: bool,
    text: Option<String>,
    /// The times of an expected range vector.
    raw: Option<(UtcMs, DurationMs)>,
    warnings: Vec<Said>,
    infos: Vec<Said>,
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
        let body_lines: Vec<&str> = body.iter().copied().filter(|line| !line.starts_with('#')).collect();
        if line == "clear" {
            source = MemorySource::default();
        } else if let Some(step) = line.strip_prefix("load_with_nhcb ") {
            body_lines.iter().for_each(|line| load(&mut source, line, duration(step), true));
            at += body.len();
        } else if let Some(step) = line.strip_prefix("load ") {
            body_lines.iter().for_each(|line| load(&mut source, line, duration(step), false));
            at += body.len();
        } else if line.starts_with("eval") {
            let case = case(line, &body_lines);
            match check(&source, &case, names) {
                Ok(()) => outcome.passed += 1,
                Err(_) if is_native(&source, &case) => outcome.native += 1,
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
    !line.is_empty() && !matches!(first, "eval" | "load") && line != "clear"
}

/// Tells whether an evaluation is about native histograms.
fn is_native(source: &MemorySource, case: &Case) -> bool {
    let expects = case.expected.iter().any(|line| line.contains("{{"));
    expects
        || match Query::parse(&case.query) {
            Ok(query) => query.selectors().iter().any(|selector| source.has_native(&selector.matchers)),
            Err(error) => matches!(error, QueryError::Unsupported { .. }),
        }
}

fn case(line: &str, body: &[&str]) -> Case {
    let (verb, rest) = line.split_once(' ').unwrap();
    let (kind, rest) = rest.trim_start().split_once(' ').unwrap();
    let words: Vec<&str> = rest.split_whitespace().collect();
    let after = |words: usize| rest.split_whitespace().nth(words).map_or("", |word| &rest[offset(rest, word)..]);
    let mut case = if kind == "range" {
        let [_, from, _, to, _, step, ..] = words[..] else { panic!("not a range: {line}") };
        let range = Some((UtcMs(duration(to).0), duration(step)));
        Case { query: after(6).to_owned(), from: UtcMs(duration(from).0), range, ..Case::default() }
    } else {
        Case { query: after(2).to_owned(), from: UtcMs(duration(words[1]).0), ..Case::default() }
    };
    match verb {
        "eval_fail" => case.fails = Some(Said::Any),
        "eval_ordered" => case.ordered = true,
        "eval_warn" => case.warnings.push(Said::Any),
        "eval_info" => case.infos.push(Said::Any),
        _ => {}
    }
    for line in body {
        match line.strip_prefix("expect ") {
            Some(expect) => expectation(&mut case, expect),
            None => case.expected.push((*line).to_owned()),
        }
    }
    case
}

fn expectation(case: &mut Case, expect: &str) {
    let (word, rest) = expect.split_once(' ').unwrap_or((expect, ""));
    let said = || match rest.trim().split_once(':') {
        Some(("msg", text)) => Said::Message(text.trim().to_owned()),
        Some(("regex", text)) => Said::Pattern(Regex::new(text.trim()).unwrap()),
        _ => Said::Any,
    };
    match word {
        "fail" => case.fails = Some(said()),
        "warn" => case.warnings.push(said()),
        "info" => case.infos.push(said()),
        "no_warn" => case.warnings.push(Said::None),
        "no_info" => case.infos.push(Said::None),
        "ordered" => case.ordered = true,
        "string" => case.text = Some(rest.trim().to_owned()),
        "range" => {
            let words: Vec<&str> = expect.split_whitespace().collect();
            case.raw = Some((UtcMs(duration(words[3]).0), duration(words[7])));
        }
        other => panic!("cannot read expect {other}"),
    }
}

/// Where `part`, a slice of `whole`, begins in it.
fn offset(whole: &str, part: &str) -> usize {
    part.as_ptr() as usize - whole.as_ptr() as usize
}

fn load(source: &mut MemorySource, line: &str, step: DurationMs, with_native: bool) {
    let (name, values) = split(line);
    let time = |index: usize| UtcMs(step.0 * index as i64);
    if let Some(name) = name.strip_suffix("@st") {
        let labels = labels(name);
        for (index, start) in starts(values).into_iter().enumerate() {
            if let Some(start) = start {
                source.starts.insert((labels.clone(), time(index)), time(index) + start);
            }
        }
        return;
    }
    let labels = labels(name);
    if with_native && let Some(base) = labels.name().strip_suffix("_bucket") {
        source.natives.push(labels.with("__name__", base).with("le", ""));
    }
    let items = sequence(values);
    if items.contains(&Item::Native) {
        source.natives.push(labels.clone());
    }
    source.add(labels, samples(&items, UtcMs(0), step));
}

fn samples(items: &[Item], from: UtcMs, step: DurationMs) -> Vec<Sample> {
    let sample = |(index, item): (usize, &Item)| match item {
        Item::Value(value) => Some(Sample::new(UtcMs(from.0 + step.0 * index as i64), *value)),
        Item::Nothing | Item::Native => None,
    };
    items.iter().enumerate().filter_map(sample).collect()
}

fn check(source: &MemorySource, case: &Case, names: Names) -> Result<(), String> {
    if case.expected.iter().any(|line| line.contains("{{")) {
        return Err("expects native histograms".to_owned());
    }
    let limits = Limits::default();
    let answer = names.parse(&case.query).and_then(|query| match case.range {
        None => query.answer_instant(source, case.from, &limits),
        Some((to, step)) => query.answer_range(source, case.from, to, step, &limits),
    });
    let Answer { value, notes } = match (answer, &case.fails) {
        (Err(error), Some(said)) => return heard(&[error.to_string()], std::slice::from_ref(said), true),
        (Ok(answer), Some(_)) => return Err(format!("answered {:?} instead of failing", answer.value)),
        (Err(error), None) => return Err(error.to_string()),
        (Ok(answer), None) => answer,
    };
    compare(case, &value)?;
    heard(&notes.warnings(), &case.warnings, false)?;
    heard(&notes.infos(), &case.infos, false)?;
    agrees_with_range(source, case, &value, names)
}

/// Everything expected is said, and where messages are expected, nothing else; a failure says it among other things.
fn heard(said: &[String], expected: &[Said], within: bool) -> Result<(), String> {
    let holds = |expected: &Said, text: &String| match expected {
        Said::Any => true,
        Said::None => false,
        Said::Message(message) if within => text.contains(message.as_str()),
        Said::Message(message) => text == message,
        Said::Pattern(pattern) => pattern.is_match(text),
    };
    let met = |expected: &Said| match expected {
        Said::None => said.is_empty(),
        expected => said.iter().any(|text| holds(expected, text)),
    };
    let known = |text: &String| expected.is_empty() || expected.iter().any(|expected| holds(expected, text));
    if expected.iter().all(met) && said.iter().all(known) {
        return Ok(());
    }
    Err(format!("said {said:?} instead of {expected:?}"))
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
    let mut wanted: Vec<(Labels, Vec<Sample>)> = Vec::new();
    for line in &case.expected {
        let (labels, values) = match line.parse::<f64>() {
            Ok(_) => (Labels::default(), line.as_str()),
            Err(_) => {
                let (name, values) = split(line);
                (labels(name), values)
            }
        };
        wanted.push((labels, samples(&sequence(values), from, step)));
    }
    wanted.retain(|(_, samples)| !samples.is_empty());
    if !case.ordered {
        found.sort_by(|a, b| a.0.cmp(&b.0));
        wanted.sort_by(|a, b| a.0.cmp(&b.0));
    }
    // Steps of a range query that lie behind its end are expected of nobody.
    if let Some((to, _)) = case.range {
        wanted.iter_mut().for_each(|(_, samples)| samples.retain(|sample| sample.time <= to));
    }
    let same = found.len() == wanted.len() && found.iter().zip(&wanted).all(|(a, b)| a.0 == b.0 && close(&a.1, &b.1));
    if same { Ok(()) } else { Err(format!("answered {}\n      instead of {}", show(&found), show(&wanted))) }
}

/// An instant query and a range query answer the same at the same time.
fn agrees_with_range(source: &MemorySource, case: &Case, value: &Value, names: Names) -> Result<(), String> {
    let Value::Vector(elements) = value else { return Ok(()) };
    let scoped = ["start()", "end()", "step()", "range()"].iter().any(|word| case.query.contains(word));
    if case.range.is_some() || scoped {
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
