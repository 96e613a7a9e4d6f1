//! Correlation: which signals belong together, and the life of an incident.
//!
//! A signal joins the open incident it belonged to before, else an open incident on the same asset within a window,
//! else one on a neighbour in the declared topology within a lag; otherwise it opens its own. A signal whose like was
//! in an incident that was resolved within the reopen window brings that incident back. An incident never reaches
//! further than two edges from its first asset and takes a bounded number of signals, so that nothing chains without
//! end. An incident is resolved once all its signals of severity minor and above have ended and stayed so for the hold
//! time, which doubles with each relapse. Signals of severity info open nothing; they are attached to an incident that
//! is open on their asset. Every joining carries its reason and what speaks against it.

mod place;
mod verbs;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use wk_types::{
    AssetId, Because, DurationMs, FactBody, Incident, IncidentId, IncidentState, Severity, Signal, SignalId, Topology,
    UtcMs,
};

use self::place::{Neighbours, Placement};
use crate::exact;
use crate::outbox::Outbox;

/// How signals are joined, and when incidents end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CorrelationOptions {
    /// How long after its last joining signal an incident still takes signals of the same asset.
    pub window: DurationMs,
    /// How long after its last joining signal an incident still takes signals of neighbours.
    pub neighbour_lag: DurationMs,
    /// How long all signals must have ended before the incident is resolved.
    pub resolve_hold: DurationMs,
    /// How long after being resolved an incident comes back on a relapse; then it is forgotten here.
    pub reopen_window: DurationMs,
    /// How many signals may be open at once; more are counted and raise nothing.
    pub signals_max: usize,
    /// How many incidents are kept, resolved ones within the reopen window included.
    pub incidents_max: usize,
    /// How many signals one incident takes.
    pub incident_signals_max: usize,
}

impl Default for CorrelationOptions {
    fn default() -> Self {
        Self {
            window: DurationMs::from_mins(30),
            neighbour_lag: DurationMs::from_mins(10),
            resolve_hold: DurationMs::from_secs(60),
            reopen_window: DurationMs::from_hours(1),
            signals_max: 5_000,
            incidents_max: 2_000,
            incident_signals_max: 200,
        }
    }
}

/// The hold time grows with relapses up to this.
const RESOLVE_HOLD_MAX: DurationMs = DurationMs::from_mins(30);
/// How many signals of severity info one incident takes.
const INFO_SIGNALS_MAX: usize = 20;

/// Open signals and the incidents they belong to.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Correlator {
    #[serde(skip)]
    options: CorrelationOptions,
    topology: Topology,
    #[serde(skip)]
    neighbours: Neighbours,
    signals: BTreeMap<SignalId, OpenSignal>,
    /// By number, so that facts about several incidents come in the order these were opened.
    incidents: BTreeMap<u64, Kept>,
    last_number: u64,
    signals_refused: u64,
    incidents_refused: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct OpenSignal {
    /// As it stands, without its last values.
    #[serde(with = "exact::signal")]
    signal: Signal,
    incident: Option<u64>,
}

/// An incident with what is needed to go on with it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    incident: Incident,
    /// The asset of its first signal.
    root: AssetId,
    /// The `instance` of its first signal, which tells unknown assets apart.
    instance: String,
    /// Steady time of the last signal that joined.
    joined: DurationMs,
    /// That signal's title and metric.
    last_title: String,
    last_metric: String,
    /// Signals of severity minor and above that still hold.
    holding: BTreeSet<SignalId>,
    /// What its signals were about, so that a relapse is known.
    subjects: BTreeSet<String>,
    infos: usize,
    /// When the last of the holding signals ended.
    ended: Option<Ended>,
    /// Steady time when it was resolved.
    resolved: Option<DurationMs>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Ended {
    steady: DurationMs,
    at: UtcMs,
    title: String,
}

/// What a signal is about, whenever it began.
fn subject_of(signal: &Signal) -> String {
    let labels = signal.labels.to_string();
    let kind = format!("{:?}", signal.rule.kind);
    SignalId::derive(&[&kind, &signal.rule.name, signal.asset.as_str(), &labels]).as_str().to_owned()
}

impl Kept {
    fn opened_by(signal: &Signal, number: u64, out: &Outbox) -> Self {
        Self {
            incident: Incident {
                id: IncidentId::derive(&signal.id),
                number,
                title: signal.title.clone(),
                state: IncidentState::Open,
                severity: signal.severity,
                opened: out.at(),
                acknowledged: None,
                acknowledged_by: None,
                resolved: None,
                reopened_count: 0,
                assets: Vec::new(),
                signals: Vec::new(),
            },
            root: signal.asset.clone(),
            instance: signal.labels.get("instance").unwrap_or_default().to_owned(),
            joined: out.steady(),
            last_title: String::new(),
            last_metric: String::new(),
            holding: BTreeSet::new(),
            subjects: BTreeSet::new(),
            infos: 0,
            ended: None,
            resolved: None,
        }
    }

    const fn is_resolved(&self) -> bool {
        matches!(self.incident.state, IncidentState::Resolved)
    }

    /// Takes a signal in; answers the severity before where the signal makes the incident worse.
    fn take(&mut self, signal: &Signal, steady: DurationMs) -> Option<Severity> {
        self.incident.signals.push(signal.id.clone());
        if let Err(position) = self.incident.assets.binary_search(&signal.asset) {
            self.incident.assets.insert(position, signal.asset.clone());
        }
        if signal.severity == Severity::Info {
            self.infos += 1;
            return None;
        }
        self.holding.insert(signal.id.clone());
        self.subjects.insert(subject_of(signal));
        self.ended = None;
        self.joined = steady;
        self.last_title.clone_from(&signal.title);
        self.last_metric.clone_from(&signal.metric);
        let before = self.incident.severity;
        if signal.severity <= before {
            return None;
        }
        self.incident.severity = signal.severity;
        self.incident.title.clone_from(&signal.title);
        Some(before)
    }

    fn hold(&self, options: &CorrelationOptions) -> DurationMs {
        let doublings = self.incident.reopened_count.min(16);
        let grown = DurationMs(options.resolve_hold.0.saturating_mul(1 << doublings));
        grown.min(RESOLVE_HOLD_MAX.max(options.resolve_hold))
    }

    fn resolve(&mut self, at: UtcMs, steady: DurationMs) {
        self.incident.state = IncidentState::Resolved;
        self.incident.resolved = Some(at);
        self.resolved = Some(steady);
    }

    fn reopen(&mut self) {
        self.incident.state = IncidentState::Open;
        self.incident.acknowledged = None;
        self.incident.acknowledged_by = None;
        self.incident.resolved = None;
        self.incident.reopened_count += 1;
        self.resolved = None;
    }
}

impl Correlator {
    /// Sets what is not saved: the options, and what is derived from the topology.
    pub(crate) fn configure(&mut self, options: CorrelationOptions) {
        self.options = options;
        self.neighbours = Neighbours::of(&self.topology);
    }

    pub(crate) fn set_topology(&mut self, topology: Topology) {
        self.neighbours = Neighbours::of(&topology);
        self.topology = topology;
    }

    pub(crate) fn open_signals(&self) -> usize {
        self.signals.len()
    }

    pub(crate) fn open_incidents(&self) -> usize {
        self.incidents.values().filter(|kept| !kept.is_resolved()).count()
    }

    pub(crate) const fn refused(&self) -> (u64, u64) {
        (self.signals_refused, self.incidents_refused)
    }

    /// The incidents kept here, in the order they were opened.
    pub(crate) fn incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.values().map(|kept| &kept.incident)
    }

    /// Raises a signal and puts it where it belongs; beyond the bound on open signals it is only counted.
    pub(crate) fn raise(&mut self, signal: Signal, out: &mut Outbox) {
        if self.signals.len() >= self.options.signals_max || self.signals.contains_key(&signal.id) {
            self.signals_refused += 1;
            return;
        }
        out.push(FactBody::SignalRaised { signal: Box::new(signal.clone()) });
        let placement = self.place(&signal, out.steady());
        let incident = match placement {
            Placement::Own(because) => self.open(&signal, because, out),
            Placement::Join(number, because) => self.join(number, &signal, because, out),
            Placement::Reopen(number, because) => self.reopen(number, &signal, because, out),
            Placement::Alone => None,
        };
        let mut kept = signal;
        kept.evidence.recent.clear();
        self.signals.insert(kept.id.clone(), OpenSignal { signal: kept, incident });
    }

    fn open(&mut self, signal: &Signal, because: Because, out: &mut Outbox) -> Option<u64> {
        if self.incidents.len() >= self.options.incidents_max {
            self.incidents_refused += 1;
            return None;
        }
        self.last_number += 1;
        let number = self.last_number;
        let mut kept = Kept::opened_by(signal, number, out);
        kept.take(signal, out.steady());
        out.push(FactBody::IncidentOpened { incident: Box::new(kept.incident.clone()), because });
        self.incidents.insert(number, kept);
        self.attach_information(number, signal, out);
        Some(number)
    }

    /// Attaches the signals of severity info that already hold on the asset of a new incident.
    fn attach_information(&mut self, number: u64, first: &Signal, out: &mut Outbox) {
        let Some(kept) = self.incidents.get_mut(&number) else { return };
        let waiting = self.signals.values_mut().filter(|open| {
            open.incident.is_none() && open.signal.severity == Severity::Info && place::same_asset(&open.signal, first)
        });
        for open in waiting.take(INFO_SIGNALS_MAX) {
            kept.take(&open.signal, out.steady());
            open.incident = Some(number);
            out.push(FactBody::IncidentJoined {
                incident: Box::new(kept.incident.clone()),
                signal: open.signal.id.clone(),
                because: place::already_there(&open.signal, first),
            });
        }
    }

    fn join(&mut self, number: u64, signal: &Signal, because: Because, out: &mut Outbox) -> Option<u64> {
        let kept = self.incidents.get_mut(&number)?;
        let before = kept.take(signal, out.steady());
        out.push(FactBody::IncidentJoined {
            incident: Box::new(kept.incident.clone()),
            signal: signal.id.clone(),
            because,
        });
        say_escalation(kept, before, out);
        Some(number)
    }

    fn reopen(&mut self, number: u64, signal: &Signal, because: Because, out: &mut Outbox) -> Option<u64> {
        let kept = self.incidents.get_mut(&number)?;
        kept.reopen();
        let before = kept.take(signal, out.steady());
        out.push(FactBody::IncidentReopened {
            incident: Box::new(kept.incident.clone()),
            signal: signal.id.clone(),
            because,
        });
        say_escalation(kept, before, out);
        Some(number)
    }

    /// Makes an open signal worse, as `worse` says; when it was raised and how severe it is stays.
    pub(crate) fn worsen(&mut self, id: &SignalId, worse: Signal, out: &mut Outbox) {
        let Some(open) = self.signals.get_mut(id) else { return };
        let told = Signal {
            score: worse.score,
            title: worse.title,
            direction: worse.direction,
            evidence: worse.evidence,
            ..open.signal.clone()
        };
        open.signal = told.clone();
        open.signal.evidence.recent.clear();
        out.push(FactBody::SignalWorsened { signal: Box::new(told) });
    }

    /// Ends a signal; nothing happens where it is not open.
    pub(crate) fn clear(&mut self, id: &SignalId, ended: UtcMs, reason: String, out: &mut Outbox) {
        let Some(open) = self.signals.remove(id) else { return };
        out.push(FactBody::SignalCleared { signal: id.clone(), ended, reason });
        let Some(kept) = open.incident.and_then(|number| self.incidents.get_mut(&number)) else { return };
        if kept.holding.remove(id) && kept.holding.is_empty() {
            kept.ended = Some(Ended { steady: out.steady(), at: ended, title: open.signal.title });
        }
    }

    /// Resolves what has ended for long enough, and forgets what was resolved long ago.
    pub(crate) fn tick(&mut self, gap: DurationMs, out: &mut Outbox) {
        let steady = out.steady();
        let any_ended = self.incidents.values().any(|kept| kept.ended.is_some() && !kept.is_resolved());
        let infos = if any_ended { self.infos_held() } else { BTreeMap::new() };
        for kept in self.incidents.values_mut().filter(|kept| !kept.is_resolved()) {
            let Some(ended) = kept.ended.clone() else { continue };
            if DurationMs(steady.0 - ended.steady.0) < kept.hold(&self.options) {
                continue;
            }
            kept.resolve(out.at(), steady);
            let still = infos.get(&kept.incident.number).copied().unwrap_or(0);
            let reason = resolution_text(kept.incident.signals.len(), &ended, still);
            out.push(FactBody::IncidentResolved { incident: Box::new(kept.incident.clone()), reason, command: None });
        }
        let window = self.options.reopen_window;
        let long_gap = gap >= window;
        self.incidents.retain(|_, kept| match kept.resolved {
            Some(resolved) => !long_gap && DurationMs(steady.0 - resolved.0) <= window,
            None => true,
        });
    }

    /// How many signals of severity info still hold, by incident.
    fn infos_held(&self) -> BTreeMap<u64, usize> {
        let mut infos = BTreeMap::new();
        for open in self.signals.values().filter(|open| open.signal.severity == Severity::Info) {
            if let Some(number) = open.incident {
                *infos.entry(number).or_insert(0) += 1;
            }
        }
        infos
    }
}

fn say_escalation(kept: &Kept, before: Option<Severity>, out: &mut Outbox) {
    if let Some(from) = before {
        let incident = kept.incident.id.clone();
        out.push(FactBody::IncidentEscalated { incident, from, to: kept.incident.severity });
    }
}

fn resolution_text(signals: usize, ended: &Ended, infos: usize) -> String {
    let all = if signals == 1 { "its signal ended".to_owned() } else { "all signals ended".to_owned() };
    let last = format!("{all}; the last was \"{}\", which ended at {}", ended.title, ended.at);
    match infos {
        0 => last,
        1 => format!("{last}; one signal of severity info still holds"),
        _ => format!("{last}; {infos} signals of severity info still hold"),
    }
}

#[cfg(test)]
mod tests;
