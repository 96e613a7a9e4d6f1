//! Alerting rules and the alerts that hold, in Prometheus' shapes.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::extract::State as Shared;
use axum::response::Response;
use serde_json::{Value, json};
use wk_engine::{RuleHealth, RuleState, RuleSummary};
use wk_store::state::SignalFilter;
use wk_types::{DurationMs, RuleKind, Signal};

use super::answer::{Refusal, answer, success};
use super::targets::NEVER;
use crate::http::auth::Viewer;
use crate::http::params::Params;
use crate::node::Node;

/// Lists the rules by group with their state and their alerts that fire. Pending alerts show in the rule's `state`
/// alone, and `evaluationTime` is 0, for the time of a single rule is not measured.
#[utoipa::path(get, path = "/api/v1/rules", tag = "prometheus", params(("type" = Option<String>, Query), ("rule_name[]" = Option<Vec<String>>, Query), ("rule_group[]" = Option<Vec<String>>, Query), ("file[]" = Option<Vec<String>>, Query), ("exclude_alerts" = Option<bool>, Query)), responses((status = 200, body = Object), (status = 400, body = Object)))]
pub async fn rules(Shared(node): Shared<Arc<Node>>, _: Viewer, params: Params) -> Response {
    answer(node, move |node| {
        let wanted = Wanted::read(&params)?;
        let signals = if wanted.alerts { holding(node)? } else { Vec::new() };
        let health = node.stages.rules();
        let mut groups = Vec::new();
        for (file, rules) in node.rules.iter().filter(|(file, _)| wanted.alerting && wanted.takes("file[]", file)) {
            for group in rules.chunk_by(|a, b| a.group == b.group) {
                groups.extend(wanted.describe(file, group, &health, &signals));
            }
        }
        success(json!({ "groups": groups }))
    })
    .await
}

/// Lists what holds: alerts of rules, and signals of detectors and of silence, whose name is the detector's.
#[utoipa::path(get, path = "/api/v1/alerts", tag = "prometheus", responses((status = 200, body = Object)))]
pub async fn alerts(Shared(node): Shared<Arc<Node>>, _: Viewer) -> Response {
    answer(node, |node| {
        let alerts: Vec<Value> = holding(node)?.iter().map(alert).collect();
        success(json!({ "alerts": alerts }))
    })
    .await
}

/// Answers that no Alertmanager is told: the node tells people itself.
#[utoipa::path(get, path = "/api/v1/alertmanagers", tag = "prometheus", responses((status = 200, body = Object)))]
pub async fn alertmanagers(Shared(node): Shared<Arc<Node>>, _: Viewer) -> Response {
    answer(node, |_| success(json!({"activeAlertmanagers": [], "droppedAlertmanagers": []}))).await
}

fn holding(node: &Node) -> Result<Vec<Signal>, Refusal> {
    Ok(node.state.signals(&SignalFilter { holding: true, ..SignalFilter::default() })?)
}

/// What a caller wants to see.
struct Wanted<'a> {
    params: &'a Params,
    /// There are no recording rules, so whoever wants these gets none.
    alerting: bool,
    alerts: bool,
}

impl<'a> Wanted<'a> {
    fn read(params: &'a Params) -> Result<Self, Refusal> {
        let alerting = match params.first("type").unwrap_or_default() {
            "" | "alert" => true,
            "record" => false,
            other => return Err(Refusal::parameter("type", format_args!("not supported value {other:?}"))),
        };
        let alerts = match params.first("exclude_alerts").unwrap_or_default() {
            "" | "false" | "0" => true,
            "true" | "1" => false,
            other => return Err(Refusal::parameter("exclude_alerts", format_args!("{other:?} is not true or false"))),
        };
        Ok(Self { params, alerting, alerts })
    }

    /// Tells whether a name is among those asked for, which is any where none is.
    fn takes(&self, parameter: &str, name: &str) -> bool {
        self.params.all(parameter).next().is_none() || self.params.all(parameter).any(|wanted| wanted == name)
    }

    /// One group; `None` where nothing of it is wanted.
    fn describe(&self, file: &str, group: &[RuleSummary], health: &[RuleHealth], signals: &[Signal]) -> Option<Value> {
        let first = group.first().filter(|first| self.takes("rule_group[]", &first.group))?;
        // Health comes in the order of the rules, in which names may repeat.
        let mut health: VecDeque<&RuleHealth> =
            health.iter().filter(|one| one.file == file && one.group == first.group).collect();
        let evaluated = health.iter().filter_map(|one| one.evaluated).max();
        let rules: Vec<Value> = group
            .iter()
            .map(|rule| (rule, health.pop_front().filter(|health| health.alert == rule.alert)))
            .filter(|(rule, _)| self.takes("rule_name[]", &rule.alert))
            .map(|(rule, health)| self.rule(rule, health, signals))
            .collect();
        (!rules.is_empty()).then(|| {
            json!({
                "name": first.group, "file": file, "rules": rules, "interval": seconds(first.interval), "limit": 0,
                "evaluationTime": 0, "lastEvaluation": time_or_never(evaluated),
            })
        })
    }

    fn rule(&self, rule: &RuleSummary, health: Option<&RuleHealth>, signals: &[Signal]) -> Value {
        let (state, grade, error) = match health.map(|health| &health.state) {
            Some(RuleState::Evaluated { firing: 1.., .. }) => ("firing", "ok", None),
            Some(RuleState::Evaluated { pending: 1.., .. }) => ("pending", "ok", None),
            Some(RuleState::Evaluated { .. }) => ("inactive", "ok", None),
            Some(RuleState::Failing { reason } | RuleState::Unreadable { reason }) => ("inactive", "err", Some(reason)),
            Some(RuleState::Waiting) | None => ("inactive", "unknown", None),
        };
        let alerts: Vec<Value> = signals.iter().filter(|signal| is_of(signal, rule)).map(alert).collect();
        let mut described = json!({
            "state": state, "name": rule.alert, "query": rule.expr, "duration": seconds(rule.hold),
            "keepFiringFor": seconds(rule.keep_firing), "labels": rule.labels, "annotations": rule.annotations,
            "health": grade, "evaluationTime": 0,
            "lastEvaluation": time_or_never(health.and_then(|health| health.evaluated)), "type": "alerting",
        });
        if self.alerts {
            described["alerts"] = json!(alerts);
        }
        if let Some(error) = error {
            described["lastError"] = json!(error);
        }
        described
    }
}

/// Tells whether a signal is of this rule: its name, and the labels that the rule writes without templates.
fn is_of(signal: &Signal, rule: &RuleSummary) -> bool {
    let fits = |(name, value): (&String, &String)| value.contains("{{") || signal.labels.get(name) == Some(value);
    signal.rule.kind == RuleKind::Rule && signal.rule.name == rule.alert && rule.labels.iter().all(fits)
}

fn alert(signal: &Signal) -> Value {
    let own = [("alertname", signal.rule.name.as_str()), ("severity", signal.severity.as_str())];
    let mut labels = signal.labels.filtered(|name| name != wk_types::labels::METRIC_NAME);
    for (name, value) in own.into_iter().chain([("asset", signal.asset.as_str())]) {
        if labels.get(name).is_none() {
            labels = labels.with(name, value);
        }
    }
    json!({
        "labels": labels,
        "annotations": {"summary": signal.title, "description": signal.evidence.detail},
        "state": "firing",
        "activeAt": signal.started.to_string(),
        "value": go_exponent(signal.evidence.observed),
    })
}

/// A span in seconds, whole ones without a point.
fn seconds(span: DurationMs) -> Value {
    if span.0 % 1_000 == 0 { json!(span.0 / 1_000) } else { json!(span.as_secs_f64()) }
}

fn time_or_never(at: Option<wk_types::UtcMs>) -> String {
    at.map_or_else(|| NEVER.to_owned(), |at| at.to_string())
}

/// A number as Go writes it with an exponent: `1e+00`, `2.5e-07`.
fn go_exponent(value: f64) -> String {
    let text = format!("{value:e}");
    let Some((digits, exponent)) = text.split_once('e') else { return text };
    let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |exponent| ('-', exponent));
    format!("{digits}e{sign}{exponent:0>2}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_exponent_of_go() {
        for (value, text) in [(1.0, "1e+00"), (2.5e-7, "2.5e-07"), (-3e200, "-3e+200"), (0.0, "0e+00")] {
            assert_eq!(go_exponent(value), text);
        }
    }
}
