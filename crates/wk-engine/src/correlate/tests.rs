//! Joining, bounds and the life of incidents, on signals made for it.

use insta::assert_snapshot;
use proptest::prelude::*;
use wk_types::{Direction, Edge, EdgeKind, Evidence, Fact, Labels, RuleKind, RuleRef, Seq};

use super::*;

fn signal(name: &str, asset: &str, severity: Severity, at: i64) -> Signal {
    Signal {
        id: SignalId::derive(&[name, asset, &at.to_string()]),
        asset: AssetId::from(asset),
        rule: RuleRef { kind: RuleKind::Rule, name: name.to_owned() },
        metric: format!("metric_{name}"),
        labels: Labels::new([("instance", asset)]),
        title: format!("{name} on {asset}"),
        severity,
        score: 1.0,
        direction: Direction::Up,
        started: UtcMs(at * 1_000),
        raised: UtcMs(at * 1_000),
        ended: None,
        input: Seq(1),
        evidence: Evidence {
            observed: 0.1 + 0.2,
            unit: String::new(),
            expected: None,
            detail: String::new(),
            query: String::new(),
            recent: Vec::new(),
        },
    }
}

struct Desk {
    correlator: Correlator,
    facts: Vec<Fact>,
}

impl Desk {
    fn new(options: CorrelationOptions) -> Self {
        let mut correlator = Correlator::default();
        correlator.configure(options);
        Self { correlator, facts: Vec::new() }
    }

    fn at(&mut self, seconds: i64, act: impl FnOnce(&mut Correlator, &mut Outbox)) {
        let mut out = Outbox::new(Seq(1), UtcMs(seconds * 1_000), DurationMs::from_secs(seconds));
        act(&mut self.correlator, &mut out);
        self.facts.extend(out.into_facts());
    }

    fn raise(&mut self, name: &str, asset: &str, severity: Severity, at: i64) -> SignalId {
        let signal = signal(name, asset, severity, at);
        let id = signal.id.clone();
        self.at(at, |correlator, out| correlator.raise(signal, out));
        id
    }

    fn clear(&mut self, id: &SignalId, at: i64) {
        self.at(at, |correlator, out| correlator.clear(id, UtcMs(at * 1_000), "over".to_owned(), out));
    }

    fn tick(&mut self, at: i64) {
        self.at(at, |correlator, out| correlator.tick(DurationMs(0), out));
    }

    fn signals_by_incident(&self) -> Vec<usize> {
        self.correlator.incidents().map(|incident| incident.signals.len()).collect()
    }
}

fn chain(assets: &[&str]) -> Topology {
    let edges = assets.windows(2).map(|pair| Edge {
        from: AssetId::from(pair[0]),
        kind: EdgeKind::Connects,
        to: AssetId::from(pair[1]),
    });
    Topology { edges: edges.collect() }
}

#[test]
fn the_window_counts_from_the_last_signal_that_joined() {
    let mut desk = Desk::new(CorrelationOptions::default());
    for (position, minute) in [0, 25, 50, 81].into_iter().enumerate() {
        desk.raise(&format!("rule{position}"), "a", Severity::Minor, minute * 60);
    }
    assert_eq!(desk.signals_by_incident(), [3, 1]);
}

#[test]
fn an_incident_reaches_no_further_than_two_edges() {
    let mut desk = Desk::new(CorrelationOptions::default());
    desk.correlator.set_topology(chain(&["a", "b", "c", "d"]));
    for (position, asset) in ["a", "b", "c", "d"].into_iter().enumerate() {
        desk.raise("rule", asset, Severity::Minor, position as i64 * 60);
    }
    assert_eq!(desk.signals_by_incident(), [3, 1]);
}

#[test]
fn neighbours_beyond_the_lag_stand_alone() {
    let mut desk = Desk::new(CorrelationOptions::default());
    desk.correlator.set_topology(chain(&["a", "b"]));
    desk.raise("rule", "a", Severity::Minor, 0);
    desk.raise("rule", "b", Severity::Minor, 601);
    assert_eq!(desk.signals_by_incident(), [1, 1]);
}

#[test]
fn information_opens_nothing_but_is_attached_to_what_opens() {
    let mut desk = Desk::new(CorrelationOptions::default());
    desk.raise("load", "a", Severity::Info, 0);
    assert!(desk.signals_by_incident().is_empty());
    let full = desk.raise("full", "a", Severity::Major, 300);
    assert_eq!(desk.signals_by_incident(), [2]);
    desk.clear(&full, 400);
    desk.tick(460);
    let Some(FactBody::IncidentResolved { reason, .. }) = desk.facts.last().map(|fact| &fact.body) else {
        panic!("{:?}", desk.facts.last());
    };
    assert_snapshot!(reason, @r#"all signals ended; the last was "full on a", which ended at 1970-01-01T00:06:40.000Z; one signal of severity info still holds"#);
}

#[test]
fn unknown_assets_are_told_apart_by_instance() {
    let mut desk = Desk::new(CorrelationOptions::default());
    for instance in ["x", "y"] {
        let mut one = signal("rule", "unknown", Severity::Minor, 0);
        one.labels = Labels::new([("instance", instance)]);
        one.id = SignalId::derive(&[instance]);
        desk.at(0, |correlator, out| correlator.raise(one, out));
    }
    assert_eq!(desk.signals_by_incident(), [1, 1]);
}

#[test]
fn a_resolved_incident_is_forgotten_after_the_reopen_window() {
    let mut desk = Desk::new(CorrelationOptions::default());
    let first = desk.raise("rule", "a", Severity::Minor, 0);
    desk.clear(&first, 10);
    desk.tick(70);
    desk.tick(70 + 3_601);
    assert!(desk.signals_by_incident().is_empty());
    desk.raise("rule", "a", Severity::Minor, 4_000);
    let numbers: Vec<u64> = desk.correlator.incidents().map(|incident| incident.number).collect();
    assert_eq!(numbers, [2]);
}

#[test]
fn bounds_on_signals_and_incidents_are_kept_and_counted() {
    let options =
        CorrelationOptions { signals_max: 5, incidents_max: 2, incident_signals_max: 2, ..Default::default() };
    let mut desk = Desk::new(options);
    for number in 0..3 {
        desk.raise(&format!("rule{number}"), "a", Severity::Minor, 0);
    }
    assert_eq!(desk.signals_by_incident(), [2, 1]);
    desk.raise("rule", "b", Severity::Minor, 0);
    desk.raise("rule", "c", Severity::Minor, 0);
    desk.raise("rule", "d", Severity::Minor, 0);
    assert_eq!((desk.correlator.open_signals(), desk.correlator.refused()), (5, (1, 2)));
}

#[test]
fn an_incident_closed_by_hand_comes_back_on_a_relapse() {
    let mut desk = Desk::new(CorrelationOptions::default());
    let first = desk.raise("rule", "a", Severity::Minor, 0);
    let id = IncidentId::derive(&first);
    desk.at(10, |correlator, out| correlator.resolve(&id, &"cmd-1".into(), out).unwrap());
    desk.clear(&first, 20);
    desk.raise("rule", "a", Severity::Critical, 100);
    let kinds: Vec<&str> = desk.facts.iter().map(|fact| fact.body.kind()).collect();
    assert_eq!(
        kinds,
        [
            "signal_raised",
            "incident_opened",
            "incident_resolved",
            "signal_cleared",
            "signal_raised",
            "incident_reopened",
            "incident_escalated"
        ]
    );
}

#[test]
fn a_worse_signal_keeps_when_it_was_raised() {
    let mut desk = Desk::new(CorrelationOptions::default());
    let id = desk.raise("rule", "a", Severity::Minor, 0);
    let mut worse = signal("rule", "a", Severity::Minor, 500);
    worse.title = "worse".to_owned();
    desk.at(500, |correlator, out| correlator.worsen(&id, worse, out));
    let Some(FactBody::SignalWorsened { signal }) = desk.facts.last().map(|fact| &fact.body) else {
        panic!("{:?}", desk.facts);
    };
    assert_eq!((&signal.id, signal.raised, signal.title.as_str()), (&id, UtcMs(0), "worse"));
}

/// What a random watch does.
#[derive(Debug, Clone)]
enum Act {
    Raise(u8, u8, u8),
    Clear(u8),
    Tick,
    Close(u8),
}

fn acts() -> impl Strategy<Value = Vec<(i64, Act)>> {
    let act = prop_oneof![
        (0_u8..4, 0_u8..4, 0_u8..4).prop_map(|(rule, asset, severity)| Act::Raise(rule, asset, severity)),
        any::<u8>().prop_map(Act::Clear),
        Just(Act::Tick),
        any::<u8>().prop_map(Act::Close),
    ];
    prop::collection::vec((1_i64..400, act), 1..80)
}

fn carry_out(acts: &[(i64, Act)]) -> Desk {
    let mut desk = Desk::new(CorrelationOptions::default());
    desk.correlator.set_topology(chain(&["a0", "a1", "a2"]));
    let (mut now, mut open): (i64, Vec<SignalId>) = (0, Vec::new());
    for (wait, act) in acts {
        now += wait;
        match act {
            Act::Raise(rule, asset, severity) => {
                let severity = Severity::ALL[usize::from(*severity)];
                open.push(desk.raise(&format!("rule{rule}"), &format!("a{asset}"), severity, now));
            }
            Act::Clear(which) if !open.is_empty() => {
                let id = open.remove(usize::from(*which) % open.len());
                desk.clear(&id, now);
            }
            Act::Close(which) => {
                let ids: Vec<IncidentId> = desk.correlator.incidents().map(|incident| incident.id.clone()).collect();
                if let Some(id) = ids.get(usize::from(*which) % ids.len().max(1)) {
                    desk.at(now, |correlator, out| drop(correlator.resolve(id, &"cmd-1".into(), out)));
                }
            }
            Act::Clear(_) | Act::Tick => desk.tick(now),
        }
    }
    desk
}

proptest! {
    #[test]
    fn whatever_happens_every_fact_agrees_with_the_ones_before(acts in acts()) {
        let desk = carry_out(&acts);
        let mut states: BTreeMap<IncidentId, IncidentState> = BTreeMap::new();
        let mut raised: BTreeSet<SignalId> = BTreeSet::new();
        for fact in &desk.facts {
            match &fact.body {
                FactBody::SignalRaised { signal } => prop_assert!(raised.insert(signal.id.clone())),
                FactBody::SignalCleared { signal, .. } => prop_assert!(raised.contains(signal)),
                FactBody::IncidentOpened { incident, .. } => {
                    prop_assert!(incident.severity > Severity::Info);
                    prop_assert!(states.insert(incident.id.clone(), IncidentState::Open).is_none());
                }
                FactBody::IncidentJoined { incident, signal, .. } => {
                    prop_assert!(raised.contains(signal));
                    prop_assert_ne!(states[&incident.id], IncidentState::Resolved);
                }
                FactBody::IncidentReopened { incident, .. } => {
                    prop_assert_eq!(states.insert(incident.id.clone(), IncidentState::Open), Some(IncidentState::Resolved));
                }
                FactBody::IncidentResolved { incident, .. } => {
                    prop_assert_eq!(incident.state, IncidentState::Resolved);
                    prop_assert_ne!(states.insert(incident.id.clone(), IncidentState::Resolved), Some(IncidentState::Resolved));
                }
                FactBody::IncidentEscalated { from, to, .. } => prop_assert!(from < to),
                _ => {}
            }
        }
    }

    #[test]
    fn a_saved_correlator_is_the_same_correlator(acts in acts()) {
        let desk = carry_out(&acts);
        let saved = serde_json::to_vec(&desk.correlator).unwrap();
        let mut loaded: Correlator = serde_json::from_slice(&saved).unwrap();
        loaded.configure(CorrelationOptions::default());
        prop_assert_eq!(serde_json::to_vec(&loaded).unwrap(), saved);
    }
}
