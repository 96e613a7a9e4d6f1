//! Journal entries as lines that a person reads.

use serde_json::Value;
use wk_types::{Fact, FactBody};

/// What an entry says, in plain words.
#[must_use]
pub fn line(kind: &str, body: &Value) -> String {
    match serde_json::from_value::<Fact>(body.clone()) {
        Ok(fact) => fact_line(&fact.body),
        Err(_) => event_line(kind, body),
    }
}

fn fact_line(body: &FactBody) -> String {
    match body {
        FactBody::SignalRaised { signal } => format!("signal: {}. {}", signal.title, signal.evidence.detail),
        FactBody::SignalWorsened { signal } => format!("worse: {}. {}", signal.title, signal.evidence.detail),
        FactBody::SignalCleared { reason, .. } => format!("signal ended: {reason}"),
        FactBody::IncidentOpened { incident, because } => format!("opened: {}. {}", incident.title, because.text),
        FactBody::IncidentJoined { because, .. } => format!("a signal joined: {}", because.text),
        FactBody::IncidentEscalated { from, to, .. } => format!("severity went from {from} to {to}"),
        FactBody::IncidentAcknowledged { .. } => "acknowledged".to_owned(),
        FactBody::IncidentCommented { text, .. } => text.clone(),
        FactBody::IncidentResolved { reason, .. } => format!("resolved: {reason}"),
        FactBody::IncidentReopened { because, .. } => format!("came back: {}", because.text),
        FactBody::RulesLoaded { rules, .. } => format!("{rules} alerting rules are in force"),
        FactBody::TopologyLoaded { edges, .. } => format!("a topology of {edges} edges is in force"),
        FactBody::SeaModeChanged { state, reason, .. } => match state.mode {
            Some(mode) => format!("the vessel is {mode}: {reason}"),
            None => format!("nobody knows what the vessel does: {reason}"),
        },
        FactBody::CommandRejected { reason, .. } => format!("could not be done: {reason}"),
    }
}

fn event_line(kind: &str, body: &Value) -> String {
    let text = |key: &str| body[key].as_str().unwrap_or_default().to_owned();
    match kind {
        "mail_delivered" => format!("mail was taken by the relay {}", text("receipt")).trim_end().to_owned(),
        "mail_dead" => format!("a mail cannot be delivered: {}", text("error")),
        "intake_damaged" => {
            format!("records r{} to r{} of the intake log are damaged: {}", body["first"], body["last"], text("what"))
        }
        "metrics_refused" => {
            format!(
                "the metric store outside refused {} samples ({}): {}",
                body["samples"],
                text("reason"),
                text("said")
            )
        }
        _ => kind.replace('_', " "),
    }
}
