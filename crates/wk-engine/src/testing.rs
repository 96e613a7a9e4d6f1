//! A scripted ship for tests: feeds an engine and writes what it concluded as lines.

pub(crate) mod quiet;

use std::sync::Arc;

use wk_types::{
    AssetId, Body, Command, CommandId, Fact, FactBody, Incident, IntakeRecord, Labels, LogRecord, Sample, Seq, Series,
    SeriesSamples, Severity, SourceName, UtcMs, Verb,
};

use crate::{Engine, EngineOptions};

/// Midnight from which tests count.
pub(crate) const START: UtcMs = UtcMs(1_795_478_400_000);

/// One metric value at the present moment, written as PromQL writes series.
pub(crate) type Point = (Labels, f64);

/// A series' point on the asset that its instance names.
pub(crate) fn point(name: &str, labels: &[(&str, &str)], value: f64) -> Point {
    (Labels::metric(name, labels), value)
}

pub(crate) struct Ship {
    pub(crate) engine: Engine,
    pub(crate) options: EngineOptions,
    pub(crate) records: Vec<IntakeRecord>,
    pub(crate) facts: Vec<Fact>,
    pub(crate) now: UtcMs,
    seq: u64,
}

impl Ship {
    pub(crate) fn new() -> Self {
        Self::with(EngineOptions::default())
    }

    pub(crate) fn with(options: EngineOptions) -> Self {
        let engine = Engine::new(options);
        Self { engine, options, records: Vec::new(), facts: Vec::new(), now: START, seq: 0 }
    }

    /// Feeds one record at the present moment and answers its facts.
    pub(crate) fn give(&mut self, source: &str, body: Body) -> Vec<Fact> {
        self.seq += 1;
        let record = IntakeRecord { seq: Seq(self.seq), received: self.now, source: SourceName::from(source), body };
        let facts = self.engine.step(&record);
        self.records.push(record);
        self.facts.extend(facts.iter().cloned());
        facts
    }

    pub(crate) fn samples(&mut self, points: Vec<Point>) -> Vec<Fact> {
        let body = body(self.now, points);
        self.give("host", body)
    }

    /// Feeds values without keeping the record, for long runs.
    pub(crate) fn samples_only(&mut self, points: Vec<Point>) {
        self.samples(points);
        self.records.clear();
    }

    /// Feeds a tick and lets 5 s pass.
    pub(crate) fn tick(&mut self) {
        self.give("node", Body::Tick);
        self.now = UtcMs(self.now.0 + 5_000);
    }

    pub(crate) fn log(&mut self, asset: &str, message: &str) -> Vec<Fact> {
        let log = LogRecord {
            time: self.now,
            asset: AssetId::from(asset),
            app: "app".into(),
            severity: Severity::Info,
            message: message.into(),
            attributes: wk_types::Attributes::new(),
        };
        self.give("syslog-udp", Body::Logs([log].into()))
    }

    pub(crate) fn command(&mut self, id: &str, verb: Verb) -> Vec<Fact> {
        let by = Some(wk_types::PersonRef::from("p1"));
        self.give("console", Body::Command(Box::new(Command { id: CommandId::from(id), by, verb })))
    }

    pub(crate) fn set_rules(&mut self, text: &str) {
        let files = vec![("own.yaml".to_owned(), text.to_owned())];
        let facts = self.command(&format!("cmd-rules-{}", self.seq), Verb::SetRules { files });
        assert!(facts.iter().any(|fact| matches!(fact.body, FactBody::RulesLoaded { .. })), "{facts:?}");
    }

    /// Lets seconds pass: a tick every 5 s, and every 15 s the values that `values` gives for the seconds since start.
    pub(crate) fn run(&mut self, seconds: i64, mut values: impl FnMut(i64) -> Vec<Point>) {
        for _ in 0..seconds / 5 {
            let since_start = self.now.since(START).0 / 1_000;
            if since_start % 15 == 0 {
                let points = values(since_start);
                if !points.is_empty() {
                    self.samples(points);
                }
            }
            self.tick();
        }
    }

    /// Lets the clock run on without the node.
    pub(crate) fn stop_for(&mut self, seconds: i64) {
        self.now = UtcMs(self.now.0 + seconds * 1_000);
    }

    pub(crate) fn incidents(&self) -> Vec<Incident> {
        self.engine.incidents().cloned().collect()
    }

    /// What was concluded, a line for each fact.
    pub(crate) fn said(&self) -> String {
        self.facts.iter().map(said).collect::<Vec<_>>().join("\n")
    }

    /// As [`Ship::said`], only facts about incidents.
    pub(crate) fn said_of_incidents(&self) -> String {
        let about = |fact: &&Fact| fact.body.kind().starts_with("incident");
        self.facts.iter().filter(about).map(said).collect::<Vec<_>>().join("\n")
    }
}

/// Values of one moment as a record carries them, each on the asset that its instance names.
pub(crate) fn body(now: UtcMs, points: Vec<Point>) -> Body {
    let series = points.into_iter().map(|(labels, value)| {
        let asset = AssetId::from(labels.get("instance").unwrap_or("unknown"));
        let samples = vec![Sample::new(now, value)];
        SeriesSamples { series: Arc::new(Series::new(labels, asset)), samples }
    });
    Body::Samples(series.collect())
}

fn said(fact: &Fact) -> String {
    let seconds = fact.at.since(START).0 / 1_000;
    let time = format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{time} .{} {}", fact.ordinal, said_body(&fact.body))
}

fn said_body(body: &FactBody) -> String {
    let of = |incident: &Incident| format!("#{} {} {}", incident.number, incident.state.as_str(), incident.severity);
    match body {
        FactBody::SignalRaised { signal } => format!("+ {} {:?}: {}", signal.severity, signal.direction, signal.title),
        FactBody::SignalWorsened { signal } => format!("! {}: {}", signal.severity, signal.title),
        FactBody::SignalCleared { reason, .. } => format!("- {reason}"),
        FactBody::IncidentOpened { incident, because } => {
            format!("{} opened: {} [{}]", of(incident), incident.title, because.rule)
        }
        FactBody::IncidentJoined { incident, because, .. } => {
            format!("{} joined [{}] {} | {}", of(incident), because.rule, because.text, because.against)
        }
        FactBody::IncidentEscalated { from, to, .. } => format!("escalated {from} -> {to}"),
        FactBody::IncidentAcknowledged { incident, .. } => format!("{} acknowledged", of(incident)),
        FactBody::IncidentCommented { text, .. } => format!("comment: {text}"),
        FactBody::IncidentResolved { incident, reason, .. } => format!("{} resolved: {reason}", of(incident)),
        FactBody::IncidentReopened { incident, because, .. } => {
            format!("{} reopened {}: {}", of(incident), incident.reopened_count, because.text)
        }
        FactBody::RulesLoaded { rules, .. } => format!("{rules} rules"),
        FactBody::TopologyLoaded { edges, .. } => format!("{edges} edges"),
        FactBody::SeaModeChanged { state, reason, .. } => {
            format!("sea mode {}: {reason}", state.mode.map_or("unknown", wk_types::SeaMode::as_str))
        }
        FactBody::CommandRejected { reason, .. } => format!("rejected: {reason}"),
    }
}
