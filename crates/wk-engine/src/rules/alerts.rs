//! Evaluating rules, and the life of their alerts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wk_promql::{Limits, Query, Value};
use wk_types::{AssetId, DurationMs, Evidence, Labels, RuleKind, RuleRef, Sample, Signal, SignalId, UtcMs};

use super::file::{self, Group, Rule, alert_labels};
use super::{RULES_MAX, RuleError, RuleHealth, RuleState};
use crate::correlate::Correlator;
use crate::exact;
use crate::outbox::Outbox;
use crate::window::Window;

/// A rule with more alerts than this fails, so that a slip in its condition floods nobody.
const ALERTS_MAX: usize = 1_000;
/// The samples that one evaluation may read.
const SAMPLES_MAX: usize = 5_000_000;
/// How far back a signal shows what went before, and in which steps.
const RECENT_SPAN: DurationMs = DurationMs::from_mins(14);
const RECENT_STEP: DurationMs = DurationMs::from_secs(15);
/// So many signals of one tick show what went before; further ones only their present value.
const RECENT_SIGNALS_MAX: usize = 20;

/// The rules in force and the state of their alerts.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Rules {
    files: Vec<(String, String)>,
    #[serde(skip)]
    groups: Vec<(String, Group)>,
    /// Files that were in force when saved and that this version cannot read.
    #[serde(skip)]
    unreadable: Vec<(String, String)>,
    /// Steady time of each group's last evaluation, by file and group.
    evaluated: BTreeMap<String, DurationMs>,
    /// By the rule's key.
    states: BTreeMap<String, RuleAlerts>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct RuleAlerts {
    #[serde(with = "exact::pairs")]
    alerts: BTreeMap<Labels, Alert>,
    at: Option<UtcMs>,
    failure: Option<String>,
    failures: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Alert {
    since: UtcMs,
    since_steady: DurationMs,
    /// Steady time when the condition last held.
    held: DurationMs,
    signal: Option<SignalId>,
}

/// One element of a condition's result.
struct Element {
    /// Of the alert.
    labels: Labels,
    /// As the condition gave them, without the metric name.
    result: Labels,
    value: f64,
}

/// What rule evaluation reads and writes beside its own state.
pub(crate) struct Surroundings<'a> {
    pub(crate) window: &'a Window,
    pub(crate) instances: &'a BTreeMap<Arc<str>, AssetId>,
    pub(crate) correlator: &'a mut Correlator,
    pub(crate) out: &'a mut Outbox,
}

impl Rules {
    /// Puts rule files in force in place of all others; answers how many rules they hold.
    ///
    /// # Errors
    /// A file that cannot be loaded; nothing is changed then.
    pub(crate) fn set(
        &mut self,
        files: &[(String, String)],
        window: &mut Window,
        correlator: &mut Correlator,
        out: &mut Outbox,
    ) -> Result<usize, RuleError> {
        let groups = parse_all(files)?;
        window.set_selections(&selections(&groups)).map_err(RuleError::Select)?;
        self.files = files.to_vec();
        self.unreadable.clear();
        self.groups = groups;
        let keys: BTreeSet<&str> = self.rules().map(|rule| rule.key.as_str()).collect();
        let gone: Vec<String> = self.states.keys().filter(|key| !keys.contains(key.as_str())).cloned().collect();
        for key in gone {
            let removed = self.states.remove(&key).unwrap_or_default();
            for signal in removed.alerts.into_values().filter_map(|alert| alert.signal) {
                correlator.clear(&signal, out.at(), "its rule is no longer in force".to_owned(), out);
            }
        }
        Ok(self.rules().count())
    }

    /// Reads the saved files again; a file that this version cannot read is left out and shows in the health.
    pub(crate) fn restore(&mut self, window: &mut Window) {
        for (name, text) in &self.files {
            match file::parse(name, text) {
                Ok(groups) => self.groups.extend(groups.into_iter().map(|group| (name.clone(), group))),
                Err(error) => self.unreadable.push((name.clone(), error.in_full())),
            }
        }
        if let Err(error) = window.set_selections(&selections(&self.groups)) {
            self.unreadable.push((String::new(), RuleError::Select(error).in_full()));
        }
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.groups.iter().flat_map(|(_, group)| &group.rules)
    }

    pub(crate) fn count(&self) -> usize {
        self.rules().count()
    }

    /// The health of every rule, in the order of the files.
    pub(crate) fn health(&self) -> Vec<RuleHealth> {
        let unreadable = self.unreadable.iter().map(|(file, reason)| RuleHealth {
            file: file.clone(),
            group: String::new(),
            alert: String::new(),
            state: RuleState::Unreadable { reason: reason.clone() },
            evaluated: None,
            failures: 0,
        });
        let known = self
            .groups
            .iter()
            .flat_map(|(file, group)| group.rules.iter().map(move |rule| self.health_of(file, &group.name, rule)));
        unreadable.chain(known).collect()
    }

    fn health_of(&self, file: &str, group: &str, rule: &Rule) -> RuleHealth {
        let none = RuleAlerts::default();
        let state = self.states.get(&rule.key).unwrap_or(&none);
        let firing = state.alerts.values().filter(|alert| alert.signal.is_some()).count();
        RuleHealth {
            file: file.to_owned(),
            group: group.to_owned(),
            alert: rule.alert.clone(),
            state: match (&state.failure, state.at) {
                (Some(reason), _) => RuleState::Failing { reason: reason.clone() },
                (None, None) => RuleState::Waiting,
                (None, Some(_)) => RuleState::Evaluated { pending: state.alerts.len() - firing, firing },
            },
            evaluated: state.at,
            failures: state.failures,
        }
    }

    /// Evaluates the groups whose interval has passed.
    pub(crate) fn tick(&mut self, around: &mut Surroundings<'_>) {
        let steady = around.out.steady();
        let mut shown = 0;
        for (file, group) in &self.groups {
            let name = format!("{file}/{}", group.name);
            if self.evaluated.get(&name).is_some_and(|last| steady.0 - last.0 < group.interval.0) {
                continue;
            }
            self.evaluated.insert(name, steady);
            for rule in &group.rules {
                let state = self.states.entry(rule.key.clone()).or_default();
                state.at = Some(around.out.at());
                match evaluate(rule, around.window, around.out.at()) {
                    Ok(elements) => {
                        state.failure = None;
                        state.settle(rule, &elements, &mut shown, around);
                    }
                    Err(reason) => {
                        state.failure = Some(reason);
                        state.failures += 1;
                    }
                }
            }
        }
    }
}

fn parse_all(files: &[(String, String)]) -> Result<Vec<(String, Group)>, RuleError> {
    let mut all = Vec::new();
    for (name, text) in files {
        all.extend(file::parse(name, text)?.into_iter().map(|group| (name.clone(), group)));
    }
    if all.iter().map(|(_, group)| group.rules.len()).sum::<usize>() > RULES_MAX {
        return Err(RuleError::TooMany);
    }
    Ok(all)
}

fn selections(groups: &[(String, Group)]) -> Vec<(Vec<wk_types::Matcher>, DurationMs)> {
    groups.iter().flat_map(|(_, group)| &group.rules).flat_map(|rule| rule.selects.iter().cloned()).collect()
}

fn limits() -> Limits<'static> {
    Limits { samples_max: SAMPLES_MAX, ..Limits::default() }
}

/// The elements for which a rule's condition holds, sorted by the labels of their alerts, each once.
fn evaluate(rule: &Rule, window: &Window, now: UtcMs) -> Result<Vec<Element>, String> {
    let found = match rule.query.instant(window, now, &limits()).map_err(|error| error.to_string())? {
        Value::Vector(elements) => elements,
        Value::Scalar(time, value) => vec![(Labels::default(), Sample::new(time, value))],
        Value::String(..) | Value::Matrix(_) => {
            return Err("the expression gives no instant vector; use an instant vector or a number".to_owned());
        }
    };
    if found.len() > ALERTS_MAX {
        return Err(format!("the condition holds for {} series, at most {ALERTS_MAX} are taken", found.len()));
    }
    let mut elements: Vec<Element> = found
        .into_iter()
        .map(|(result, sample)| Element {
            labels: alert_labels(rule, &result, sample.value),
            result: result.filtered(|name| name != wk_types::labels::METRIC_NAME),
            value: sample.value,
        })
        .collect();
    elements.sort_by(|a, b| a.labels.cmp(&b.labels));
    if let Some(pair) = elements.windows(2).find(|pair| pair[0].labels == pair[1].labels) {
        return Err(format!("two alerts have the same labels {}; keep more labels apart", pair[0].labels));
    }
    Ok(elements)
}

impl RuleAlerts {
    /// Brings the alerts in line with the elements for which the condition holds now.
    fn settle(&mut self, rule: &Rule, elements: &[Element], shown: &mut usize, around: &mut Surroundings<'_>) {
        let (now, steady) = (around.out.at(), around.out.steady());
        for element in elements {
            let new = Alert { since: now, since_steady: steady, held: steady, signal: None };
            let alert = self.alerts.entry(element.labels.clone()).or_insert(new);
            alert.held = steady;
            if alert.signal.is_none() && steady.0 - alert.since_steady.0 >= rule.hold.0 {
                let with_recent = *shown < RECENT_SIGNALS_MAX;
                *shown += 1;
                let signal = signal_of(rule, element, alert.since, with_recent, around);
                alert.signal = Some(signal.id.clone());
                around.correlator.raise(signal, around.out);
            }
        }
        self.alerts.retain(|labels, alert| {
            let firing_on = alert.signal.is_some() && steady.0 - alert.held.0 < rule.keep_firing.0;
            let holds = elements.binary_search_by(|element| element.labels.cmp(labels)).is_ok();
            if holds || firing_on {
                return true;
            }
            if let Some(signal) = &alert.signal {
                let reason = format!("the condition of {} no longer holds", rule.alert);
                around.correlator.clear(signal, now, reason, around.out);
            }
            false
        });
    }
}

fn asset_of(labels: &Labels, instances: &BTreeMap<Arc<str>, AssetId>) -> AssetId {
    if let Some(asset) = labels.get("asset") {
        return AssetId::from(asset);
    }
    labels.get("instance").and_then(|instance| instances.get(instance).cloned()).unwrap_or_else(AssetId::unknown)
}

fn signal_of(rule: &Rule, element: &Element, since: UtcMs, with_recent: bool, around: &Surroundings<'_>) -> Signal {
    let (now, labels) = (around.out.at(), &element.labels);
    let asset = asset_of(labels, around.instances);
    let annotation = |name: &str, escape: fn(&str) -> String| {
        rule.annotations.get(name).map(|template| template.render(&element.result, element.value, escape))
    };
    let title = annotation("summary", str::to_owned).unwrap_or_else(|| format!("{} on {asset}", rule.alert));
    let detail = annotation("description", str::to_owned).unwrap_or_else(|| {
        let held = now.since(since);
        format!("{} has held for {held}; the value is {}.", rule.query.text(), readable(element.value))
    });
    let shows = annotation("query", escape_label).and_then(|text| Query::parse(&text).ok());
    let query = shows.as_ref().unwrap_or(&rule.query);
    let recent = if with_recent { recent_of(query, &element.result, around.window, now) } else { Vec::new() };
    Signal {
        id: SignalId::derive(&["rule", &rule.alert, asset.as_str(), &labels.to_string(), &since.0.to_string()]),
        asset,
        rule: RuleRef { kind: RuleKind::Rule, name: rule.alert.clone() },
        metric: rule.metric.clone(),
        labels: labels.clone(),
        title,
        severity: rule.severity,
        score: 1.0,
        direction: rule.direction,
        started: since,
        raised: now,
        ended: None,
        input: around.out.seq(),
        evidence: Evidence {
            observed: finite(element.value),
            unit: rule.unit.clone(),
            expected: None,
            detail,
            query: query.text().to_owned(),
            recent,
        },
    }
}

/// Facts are written as JSON, which has no infinities and no not-a-number.
fn finite(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(f64::MIN, f64::MAX) }
}

fn escape_label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// The last values of what a query shows, from the row that the alert is about.
fn recent_of(query: &Query, result: &Labels, window: &Window, now: UtcMs) -> Vec<Sample> {
    let Ok(Value::Matrix(rows)) = query.range(window, now - RECENT_SPAN, now, RECENT_STEP, &limits()) else {
        return Vec::new();
    };
    let about = |labels: &Labels| result.iter().all(|(name, value)| labels.get(name) == Some(&**value));
    let row = rows.iter().find(|(labels, _)| about(labels)).or_else(|| rows.first().filter(|_| rows.len() == 1));
    row.map(|(_, samples)| samples.iter().filter(|sample| sample.value.is_finite()).copied().collect())
        .unwrap_or_default()
}

/// A value to read, with four significant digits; the exact one stands beside it in the evidence.
fn readable(value: f64) -> String {
    if !value.is_finite() || value == 0.0 || value.fract() == 0.0 {
        return value.to_string();
    }
    let digits = (3 - value.abs().log10().floor() as i32).clamp(0, 12) as usize;
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
