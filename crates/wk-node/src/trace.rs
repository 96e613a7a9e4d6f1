//! One event through every stage, with times.

use serde::Serialize;
use wk_store::state::{MessageFilter, MessageState};
use wk_types::{DurationMs, IncidentId, Seq, SignalId, UtcMs};

use crate::http::Problem;
use crate::node::Node;
use crate::pipeline::readers::{ENGINE, LOGS, METRICS, METRICS_OUTSIDE};
use crate::story;

/// One stage that an event has passed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    /// The stage, such as `on disk` or `journal`.
    pub stage: &'static str,
    /// When it passed; `None` where the stage keeps no time.
    pub at: Option<UtcMs>,
    /// Since the stage before, in milliseconds.
    pub after_ms: Option<i64>,
    /// What happened there.
    pub what: String,
}

#[derive(Default)]
struct Trail(Vec<Stage>);

impl Trail {
    fn add(&mut self, stage: &'static str, at: Option<UtcMs>, what: impl Into<String>) {
        self.0.push(Stage { stage, at, after_ms: None, what: what.into() });
    }

    /// The stages in the order of their times; one that keeps none stays behind the one it was added after.
    fn in_order(mut self) -> Vec<Stage> {
        let mut last = None;
        let mut keyed: Vec<(Option<UtcMs>, Stage)> = self
            .0
            .drain(..)
            .map(|stage| {
                last = stage.at.or(last);
                (last, stage)
            })
            .collect();
        keyed.sort_by_key(|(time, _)| *time);
        let mut before: Option<UtcMs> = None;
        for (_, stage) in &mut keyed {
            stage.after_ms = stage.at.zip(before).map(|(at, before)| at.since(before).0);
            before = stage.at.or(before);
        }
        keyed.into_iter().map(|(_, stage)| stage).collect()
    }
}

/// Follows an intake record (`r123`), a signal (`sig-…`) or an incident (`inc-…`).
///
/// # Errors
/// An id of none of these forms, or one that is not known.
pub fn follow(node: &Node, id: &str) -> Result<Vec<Stage>, Problem> {
    let mut trail = Trail::default();
    if id.starts_with("inc-") {
        incident(node, &IncidentId::from(id), &mut trail)?;
    } else if id.starts_with("sig-") {
        signal(node, &SignalId::from(id), &mut trail)?;
    } else if let Some(seq) = id.strip_prefix('r').and_then(|digits| digits.parse().ok()) {
        record(node, Seq(seq), &mut trail)?;
    } else {
        return Err(Problem::bad_request(format!(
            "{id:?} is no event; give a record such as r123 (answered to every write), a signal sig-… or an incident inc-…"
        )));
    }
    Ok(trail.in_order())
}

fn record(node: &Node, seq: Seq, trail: &mut Trail) -> Result<(), Problem> {
    let durable = node.intake.durable();
    if seq > durable || seq.0 == 0 {
        return Err(Problem::not_found(format!("there is no record {seq}; the last one is {durable}")));
    }
    match node.intake.read(Seq(seq.0 - 1), 1) {
        Ok(batch) => match batch.records.into_iter().find(|record| record.seq == seq) {
            Some(found) => {
                let what = format!("from the source {}, {} items", found.source, found.body.items());
                trail.add("received", Some(found.received), what);
                trail.add("on disk", node.intake.written_at(seq), "fsynced in the intake log, then acknowledged");
            }
            None => trail.add("received", None, "its segment was freed: every reader has passed it"),
        },
        Err(error) => trail.add("received", None, format!("could not be read: {error}")),
    }
    let reached = node.stages.all_reached();
    let passed = |reader| reached.get(reader).is_some_and(|at| *at >= seq);
    let stored = |cursor: Seq| if cursor >= seq { "in a file" } else { "in memory, and in the intake log" };
    if passed(METRICS) {
        trail.add("metric store", None, format!("taken in; {}", stored(node.metrics.cursor())));
    }
    if passed(METRICS_OUTSIDE) {
        trail.add("metric store outside", None, "sent, or in the spill");
    }
    if passed(LOGS) {
        trail.add("log store", None, format!("taken in; {}", stored(node.lake.cursor())));
    }
    if passed(ENGINE) {
        trail.add("engine", None, "stepped over");
    }
    for entry in node.state.facts_of(seq)? {
        trail.add("journal", Some(entry.recorded), story::line(&entry.kind, &entry.body));
    }
    Ok(())
}

fn signal(node: &Node, id: &SignalId, trail: &mut Trail) -> Result<(), Problem> {
    let (signal, _) = node.state.signal(id)?.ok_or_else(|| Problem::not_found(format!("there is no signal {id}")))?;
    trail.add("observed", Some(signal.started), format!("the condition began to hold: {}", signal.evidence.detail));
    record(node, signal.input, trail)?;
    if let Some(ended) = signal.ended {
        trail.add("ended", Some(ended), "the signal ended");
    }
    Ok(())
}

fn incident(node: &Node, id: &IncidentId, trail: &mut Trail) -> Result<(), Problem> {
    let detail = node.state.incident(id)?.ok_or_else(|| Problem::not_found(format!("there is no incident {id}")))?;
    if let Some(first) = detail.signals.first() {
        trail.add("observed", Some(first.started), first.title.clone());
        let lag = first.raised.since(first.started).max(DurationMs(0));
        trail.add("signal", Some(first.raised), format!("raised by {} after it held for {lag}", first.rule.name));
        trail.add("on disk", node.intake.written_at(first.input), format!("record {} in the intake log", first.input));
    }
    for entry in &detail.timeline {
        trail.add("journal", Some(entry.recorded), story::line(&entry.kind, &entry.body));
    }
    let messages = node.state.messages(&MessageFilter { incident: Some(id.clone()), ..MessageFilter::default() })?;
    for message in messages {
        trail.add("spool", Some(message.created), format!("mail to {}: {}", message.recipient, message.subject));
        let delivered = message.finished.filter(|_| message.state == MessageState::Delivered);
        match (delivered, &message.error) {
            (Some(at), _) => trail.add("delivered", Some(at), format!("after {} attempts", message.attempts)),
            (None, Some(error)) => trail.add("waiting", None, format!("{} attempts so far: {error}", message.attempts)),
            (None, None) => trail.add("waiting", None, "not tried yet"),
        }
    }
    Ok(())
}
