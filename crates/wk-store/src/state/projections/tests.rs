use proptest::prelude::*;
use wk_types::{CommandId, PersonRef, Seq};

use super::super::tests::{NOW, because, event, fact, fresh, incident, opening, signal};
use super::super::{NewEvent, verify_journal};
use super::*;

fn id(n: u64) -> IncidentId {
    incident(n, &[]).id
}

/// The life of incident 1: opened, joined by signal 2, worse, taken, commented, ended, back again.
fn life() -> Vec<Fact> {
    let taken = Incident {
        state: IncidentState::Acknowledged,
        severity: Severity::Critical,
        acknowledged: Some(NOW),
        acknowledged_by: Some(PersonRef::from("per-1")),
        ..incident(1, &[1, 2])
    };
    let resolved = Incident { state: IncidentState::Resolved, resolved: Some(UtcMs(NOW.0 + 60_000)), ..taken.clone() };
    let back = Incident {
        state: IncidentState::Open,
        resolved: None,
        reopened_count: 1,
        signals: incident(1, &[1, 2, 3]).signals,
        ..resolved.clone()
    };
    let command = CommandId::from("cmd-1");
    let mut facts = opening(1);
    let bodies = [
        FactBody::SignalRaised { signal: Box::new(signal(2)) },
        FactBody::IncidentJoined { incident: Box::new(incident(1, &[1, 2])), signal: signal(2).id, because: because() },
        FactBody::IncidentEscalated { incident: id(1), from: Severity::Major, to: Severity::Critical },
        FactBody::IncidentAcknowledged { incident: Box::new(taken), command: command.clone() },
        FactBody::IncidentCommented { incident: id(1), by: None, text: "on it".to_owned(), command },
        FactBody::SignalCleared { signal: signal(1).id, ended: UtcMs(NOW.0 + 30_000), reason: "well".to_owned() },
        FactBody::IncidentResolved { incident: Box::new(resolved), reason: "healed".to_owned(), command: None },
        FactBody::SignalRaised { signal: Box::new(signal(3)) },
        FactBody::IncidentReopened { incident: Box::new(back), signal: signal(3).id, because: because() },
    ];
    facts.extend(bodies.into_iter().zip(2..).map(|(body, input)| fact(input, 0, body)));
    facts
}

#[test]
fn an_incident_is_shown_as_it_stands_with_its_timeline_and_reasons() {
    let (_dir, state) = fresh();
    state.record_facts(&life(), Seq(10), NOW).unwrap();
    let body = serde_json::json!({ "incident": id(1) });
    state.record_event(&NewEvent { kind: "mail_delivered", key: "m", by: None, body: &body }, NOW).unwrap();
    event(&state, "unrelated");

    let shown = state.incident(&id(1)).unwrap().unwrap();
    assert_eq!((shown.incident.state, shown.incident.reopened_count), (IncidentState::Open, 1));
    assert_eq!(shown.signals.iter().map(|signal| signal.id.clone()).collect::<Vec<_>>(), shown.incident.signals);
    assert_eq!(shown.signals[0].ended, Some(UtcMs(NOW.0 + 30_000)));
    let kinds: Vec<&str> = shown.timeline.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "signal_raised",
            "incident_opened",
            "signal_raised",
            "incident_joined",
            "incident_escalated",
            "incident_acknowledged",
            "incident_commented",
            "signal_cleared",
            "incident_resolved",
            "signal_raised",
            "incident_reopened",
            "mail_delivered"
        ]
    );
    assert_eq!(shown.because.len(), 3);
    assert_eq!(shown.timeline[5].by, Some(PersonRef::from("per-1")));
    assert_eq!(state.incident(&id(2)).unwrap(), None);
}

#[test]
fn an_escalation_changes_the_incident_that_is_stored() {
    let (_dir, state) = fresh();
    state.record_facts(&life()[..5], Seq(4), NOW).unwrap();
    assert_eq!(state.incident(&id(1)).unwrap().unwrap().incident.severity, Severity::Critical);
}

#[test]
fn facts_seen_before_change_nothing() {
    let (_dir, state) = fresh();
    let facts = life();
    let last = state.record_facts(&facts, Seq(10), NOW).unwrap();
    let shown = state.incident(&id(1)).unwrap();
    assert_eq!(state.record_facts(&facts, Seq(3), NOW).unwrap(), last);
    assert_eq!(state.incident(&id(1)).unwrap(), shown);
    assert_eq!(state.cursor("engine").unwrap(), 10);
    state.seal(NOW).unwrap();
    assert!(verify_journal(state.dir(), None).unwrap().is_sound());
}

#[test]
fn incidents_are_listed_by_state_and_in_pages() {
    let (_dir, state) = fresh();
    for n in 1..=5 {
        state.record_facts(&opening(n), Seq(n), NOW).unwrap();
    }
    let resolved = Incident { state: IncidentState::Resolved, resolved: Some(NOW), ..incident(2, &[2]) };
    let body = FactBody::IncidentResolved { incident: Box::new(resolved), reason: String::new(), command: None };
    state.record_facts(&[fact(6, 0, body)], Seq(6), NOW).unwrap();
    let numbers = |filter: &IncidentFilter| -> Vec<u64> {
        state.incidents(filter).unwrap().iter().map(|incident| incident.number).collect()
    };
    assert_eq!(numbers(&IncidentFilter::default()), [5, 4, 3, 2, 1]);
    let open = IncidentFilter { states: vec![IncidentState::Open, IncidentState::Acknowledged], ..Default::default() };
    assert_eq!(numbers(&open), [5, 4, 3, 1]);
    assert_eq!(numbers(&IncidentFilter { limit: 2, after: Some(4), ..open }), [3, 1]);
}

#[test]
fn signals_are_listed_by_what_is_asked() {
    let (_dir, state) = fresh();
    state.record_facts(&life(), Seq(10), NOW).unwrap();
    let count = |filter: SignalFilter| state.signals(&filter).unwrap().len();
    assert_eq!(count(SignalFilter::default()), 3);
    assert_eq!(count(SignalFilter { incident: Some(id(1)), holding: true, ..Default::default() }), 2);
    assert_eq!(count(SignalFilter { asset: Some(AssetId::from("nobody")), ..Default::default() }), 0);
    assert_eq!(count(SignalFilter { since: Some(UtcMs(NOW.0 + 1)), ..Default::default() }), 1);
    let (found, of) = state.signal(&signal(2).id).unwrap().unwrap();
    assert_eq!((found.id, of), (signal(2).id, Some(id(1))));
    assert_eq!(state.signal(&SignalId::from("sig-0")).unwrap(), None);
}

#[test]
fn values_that_are_no_numbers_survive_the_journal() {
    let (_dir, state) = fresh();
    let mut odd = signal(1);
    odd.evidence.observed = f64::INFINITY;
    odd.evidence.expected = Some(wk_types::signal::Band { low: f64::NEG_INFINITY, high: 1.0 });
    odd.evidence.recent = vec![wk_types::Sample::new(NOW, f64::INFINITY)];
    state.record_facts(&[fact(1, 0, FactBody::SignalRaised { signal: Box::new(odd.clone()) })], Seq(1), NOW).unwrap();
    assert_eq!(state.signals(&SignalFilter::default()).unwrap(), [odd.clone()]);
    let read = state.journal_after(0, 1).unwrap()[0].fact().unwrap().unwrap();
    assert_eq!(read.body, FactBody::SignalRaised { signal: Box::new(odd) });
}

#[test]
fn the_query_views_show_times_as_sqlite_writes_them() {
    let (_dir, state) = fresh();
    state.record_facts(&life(), Seq(10), NOW).unwrap();
    let row = |sql: &str| -> String {
        state
            .db()
            .read("test", |connection| {
                let mut statement = connection.prepare(sql)?;
                let columns = statement.column_count();
                Ok(statement.query_row([], |row| {
                    let cells =
                        (0..columns).map(|at| Ok(row.get::<_, Option<String>>(at)?.unwrap_or("NULL".to_owned())));
                    Ok(cells.collect::<rusqlite::Result<Vec<_>>>()?.join(" | "))
                })?)
            })
            .unwrap()
    };
    assert_eq!(
        row("SELECT id, state, severity, title, opened, acknowledged, resolved, assets FROM v_incidents"),
        "inc-0000000000000001 | open | critical | bridge-pc: /data is filling up | 2025-11-24 16:00:00.000 | \
         2025-11-24 16:00:00.000 | NULL | [\"bridge-pc\"]"
    );
    assert_eq!(
        row("SELECT id, incident, asset, rule, kind, metric, severity, title, started, raised, ended FROM v_signals"),
        "sig-0000000000000001 | inc-0000000000000001 | bridge-pc | DiskFilling | rule | node_filesystem_avail_bytes | \
         major | bridge-pc: /data is filling up | 2025-11-24 16:00:00.000 | 2025-11-24 16:00:00.000 | \
         2025-11-24 16:00:30.000"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    /// However the stream is cut into batches and repeated after a crash, journal and tables come out the same.
    #[test]
    fn any_batching_with_repeats_gives_the_same_state(cuts in proptest::collection::vec((0_usize..12, 0_usize..12), 1..6)) {
        let facts = life();
        let (_whole_dir, whole) = fresh();
        whole.record_facts(&facts, Seq(10), NOW).unwrap();
        let (_dir, state) = fresh();
        let mut done = 0;
        for (ahead, back) in cuts {
            let end = (done + ahead).min(facts.len());
            state.record_facts(&facts[done.saturating_sub(back)..end], Seq(end as u64), NOW).unwrap();
            done = end;
        }
        state.record_facts(&facts[done..], Seq(10), NOW).unwrap();
        let bodies = |state: &State| -> Vec<(u64, String, serde_json::Value)> {
            state.journal_after(0, 100).unwrap().into_iter().map(|e| (e.entry, e.key, e.body)).collect()
        };
        prop_assert_eq!(bodies(&state), bodies(&whole));
        let shown = |state: &State| state.incident(&id(1)).unwrap().map(|d| (d.incident, d.signals, d.because));
        prop_assert_eq!(shown(&state), shown(&whole));
    }
}
