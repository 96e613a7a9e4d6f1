//! Reading a rule file.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use wk_promql::Query;
use wk_types::{Direction, DurationMs, Labels, Matcher, Severity};

use super::template::Template;
use super::{FILE_BYTES_MAX, LOOKBACK_MAX, Place, RULES_MAX, RuleError, RuleSummary};
use crate::window::metric_of;

/// How often a group is evaluated that does not say so.
const INTERVAL_DEFAULT: DurationMs = DurationMs::from_secs(15);
/// What every selector reads beyond its own range.
const STALENESS: DurationMs = DurationMs::from_mins(5);

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileForm {
    #[serde(default)]
    groups: Vec<GroupForm>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct GroupForm {
    name: String,
    interval: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    rules: Vec<RuleForm>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleForm {
    alert: Option<String>,
    record: Option<String>,
    expr: String,
    #[serde(rename = "for")]
    hold: Option<String>,
    keep_firing_for: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// A group of rules that are evaluated together.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) interval: DurationMs,
    pub(crate) rules: Vec<Rule>,
}

/// One alerting rule.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// Names the rule's state over a reload that leaves the rule as it is.
    pub(crate) key: String,
    pub(crate) alert: String,
    pub(crate) query: Query,
    pub(crate) hold: DurationMs,
    pub(crate) keep_firing: DurationMs,
    pub(crate) severity: Severity,
    pub(crate) labels: Vec<(String, Template)>,
    pub(crate) annotations: BTreeMap<String, Template>,
    /// The unit of its values: the annotation `unit`.
    pub(crate) unit: String,
    /// The metric that is named first.
    pub(crate) metric: String,
    pub(crate) direction: Direction,
    pub(crate) selects: Vec<(Vec<Matcher>, DurationMs)>,
}

impl Rule {
    pub(crate) fn summary(&self, group: &Group) -> RuleSummary {
        let written = |(name, template): (&String, &Template)| (name.clone(), template.text().to_owned());
        RuleSummary {
            group: group.name.clone(),
            interval: group.interval,
            alert: self.alert.clone(),
            expr: self.query.text().to_owned(),
            hold: self.hold,
            keep_firing: self.keep_firing,
            severity: self.severity,
            labels: self.labels.iter().map(|(name, template)| written((name, template))).collect(),
            annotations: self.annotations.iter().map(written).collect(),
        }
    }
}

/// Parses and checks one rule file.
///
/// # Errors
/// Text that is no rule file, or a rule that cannot be loaded.
pub(crate) fn parse(file: &str, text: &str) -> Result<Vec<Group>, RuleError> {
    if text.len() > FILE_BYTES_MAX {
        return Err(RuleError::FileSize { file: file.to_owned(), bytes: text.len() });
    }
    let form: FileForm = serde_saphyr::from_str(text).map_err(|error| {
        let reason = error.without_snippet().to_string();
        RuleError::ReadFile { file: file.to_owned(), reason: reason.replace('\n', " ") }
    })?;
    if form.groups.iter().map(|group| group.rules.len()).sum::<usize>() > RULES_MAX {
        return Err(RuleError::TooMany);
    }
    let mut names = BTreeSet::new();
    form.groups
        .into_iter()
        .map(|group| {
            if !names.insert(group.name.clone()) {
                return Err(RuleError::SameGroup { file: file.to_owned(), group: group.name });
            }
            parse_group(file, group)
        })
        .collect()
}

fn parse_group(file: &str, form: GroupForm) -> Result<Group, RuleError> {
    let place = Place { file: file.to_owned(), group: form.name.clone(), rule: "the group itself".to_owned() };
    let interval = match &form.interval {
        Some(text) => {
            parse_duration(text).filter(|span| span.0 > 0).ok_or_else(|| bad_duration(&place, "interval", text))?
        }
        None => INTERVAL_DEFAULT,
    };
    let mut rules = Vec::with_capacity(form.rules.len());
    for (position, rule) in form.rules.into_iter().enumerate() {
        let named = rule.alert.clone().unwrap_or_else(|| format!("number {}", position + 1));
        let place = Place { rule: named, ..place.clone() };
        rules.push(parse_rule(place, &form.labels, rule)?);
    }
    name_rules(file, &form.name, &mut rules);
    Ok(Group { name: form.name, interval, rules })
}

/// Gives every rule its key; rules that are alike in one group are numbered.
fn name_rules(file: &str, group: &str, rules: &mut [Rule]) {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for rule in rules {
        let key = format!("{file}/{group}/{}/{}", rule.alert, rule.query.text());
        let number = seen.entry(key.clone()).or_insert(0);
        rule.key = format!("{key}#{number}");
        *number += 1;
    }
}

fn parse_rule(place: Place, group: &BTreeMap<String, String>, form: RuleForm) -> Result<Rule, RuleError> {
    if form.record.is_some() {
        return Err(RuleError::Recording { place });
    }
    let Some(alert) = form.alert.filter(|alert| !alert.is_empty()) else {
        let problem = "is missing; give the rule a name".to_owned();
        return Err(RuleError::ReadField { place: Box::new(place), field: "alert".to_owned(), problem });
    };
    let span = |field: &str, text: &Option<String>| match text {
        Some(text) => parse_duration(text).ok_or_else(|| bad_duration(&place, field, text)),
        None => Ok(DurationMs(0)),
    };
    let (hold, keep_firing) = (span("for", &form.hold)?, span("keep_firing_for", &form.keep_firing_for)?);
    let query = Query::parse(form.expr.trim())
        .map_err(|source| RuleError::ReadExpression { place: place.clone(), source: Box::new(source) })?;
    let selects = parse_selects(&place, &query)?;
    let mut labels = group.clone();
    labels.extend(form.labels);
    let severity = labels.get("severity").and_then(|word| Severity::from_word(word)).unwrap_or(Severity::Minor);
    let metric = selects.iter().find_map(|(matchers, _)| metric_of(matchers)).map(ToString::to_string);
    Ok(Rule {
        key: String::new(),
        direction: direction_of(query.text()),
        query,
        hold,
        keep_firing,
        severity,
        labels: parse_templates(&place, "label", &labels)?.into_iter().collect(),
        unit: form.annotations.get("unit").cloned().unwrap_or_default(),
        annotations: parse_templates(&place, "annotation", &form.annotations)?,
        metric: metric.unwrap_or_else(|| alert.clone()),
        alert,
        selects,
    })
}

fn parse_selects(place: &Place, query: &Query) -> Result<Vec<(Vec<Matcher>, DurationMs)>, RuleError> {
    let selectors = query.selectors();
    if selectors.iter().any(|selector| selector.fixed_time) {
        return Err(RuleError::FixedTime { place: place.clone() });
    }
    let farthest = selectors.iter().map(|selector| selector.lookback).max().unwrap_or_default();
    if farthest.0 > LOOKBACK_MAX.0 + STALENESS.0 {
        return Err(RuleError::LooksBack { place: place.clone(), lookback: DurationMs(farthest.0 - STALENESS.0) });
    }
    Ok(selectors.into_iter().map(|selector| (selector.matchers, selector.lookback)).collect())
}

fn parse_templates(
    place: &Place,
    what: &str,
    texts: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Template>, RuleError> {
    let parse = |(name, text): (&String, &String)| match Template::parse(text) {
        Ok(template) => Ok((name.clone(), template)),
        Err(problem) => {
            Err(RuleError::ReadField { place: Box::new(place.clone()), field: format!("{what} {name:?}"), problem })
        }
    };
    texts.iter().map(parse).collect()
}

fn bad_duration(place: &Place, field: &str, text: &str) -> RuleError {
    let problem = format!("{text:?} is no duration; write it as 90s, 5m or 1h30m");
    RuleError::ReadField { place: Box::new(place.clone()), field: field.to_owned(), problem }
}

/// Reads a Prometheus duration such as `1h30m`; the units must come from large to small, each once.
fn parse_duration(text: &str) -> Option<DurationMs> {
    const UNITS: [(&str, i64); 7] = [
        ("y", 31_536_000_000),
        ("w", 604_800_000),
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    if text == "0" {
        return Some(DurationMs(0));
    }
    let (mut rest, mut total, mut next) = (text, 0_i64, 0);
    while !rest.is_empty() {
        let digits = rest.find(|character: char| !character.is_ascii_digit()).filter(|digits| *digits > 0)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|character: char| !character.is_ascii_alphabetic()).unwrap_or(tail.len());
        let position = UNITS.iter().position(|(unit, _)| *unit == &tail[..letters]).filter(|at| *at >= next)?;
        total = total.checked_add(number.parse::<i64>().ok()?.checked_mul(UNITS[position].1)?)?;
        next = position + 1;
        rest = &tail[letters..];
    }
    (!text.is_empty()).then_some(DurationMs(total))
}

/// Which way a value went for a condition to hold, from the first comparison outside of quotes and selectors.
fn direction_of(expr: &str) -> Direction {
    let (mut quote, mut braces) = (None, 0_u32);
    for character in expr.chars() {
        match (quote, character) {
            (Some(open), _) if open == character => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'' | '`') => quote = Some(character),
            (None, '{') => braces += 1,
            (None, '}') => braces = braces.saturating_sub(1),
            (None, '>') if braces == 0 => return Direction::Up,
            (None, '<') if braces == 0 => return Direction::Down,
            _ => {}
        }
    }
    Direction::None
}

/// The labels of a rule's alert: those of the result without the metric name, then the rule's own, then its name.
pub(crate) fn alert_labels(rule: &Rule, result: &Labels, value: f64) -> Labels {
    let plain = result.filtered(|name| name != wk_types::labels::METRIC_NAME);
    let own = rule.labels.iter().map(|(name, template)| (name.as_str(), template.render(&plain, value, str::to_owned)));
    let mut pairs: Vec<(String, String)> =
        plain.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect();
    pairs.extend(own.map(|(name, text)| (name.to_owned(), text)));
    pairs.push(("alertname".to_owned(), rule.alert.clone()));
    Labels::new(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_prometheus_reads_them() {
        let read = |text| parse_duration(text).map(|span| span.0);
        assert_eq!(read("1h30m"), Some(5_400_000));
        assert_eq!(read("1d"), Some(86_400_000));
        assert_eq!(read("250ms"), Some(250));
        assert_eq!(read("0"), Some(0));
        for wrong in ["", "5", "m", "30m1h", "1.5h", "5 m", "1h1h", "99999999999999999999s"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_direction_is_that_of_the_first_comparison() {
        assert_eq!(direction_of("rate(a{b=~\"<x>\"}[5m]) > 1"), Direction::Up);
        assert_eq!(direction_of("100 * a / b < 10"), Direction::Down);
        assert_eq!(direction_of("up == 0"), Direction::None);
    }
}
