use std::collections::BTreeSet;

use serde_json::json;
use tempfile::TempDir;
use wk_store::state::{MessageClass, NewEvent};
use wk_types::{
    AssetId, Because, CommandId, Direction, Evidence, IncidentState, Labels, RuleKind, RuleRef, Seq, Severity, Signal,
    SignalId,
};

use super::*;
use crate::settings::Transport;

pub(crate) const NOW: UtcMs = UtcMs(1_764_000_000_000);

pub(crate) fn settings() -> MailSettings {
    MailSettings {
        from: "Watchkeeper <watch@ship.example>".to_owned(),
        to: vec!["eto@ship.example".to_owned()],
        severity_min: Severity::Minor,
        transport: Transport::Sendmail { argv: vec!["/bin/true".to_owned()] },
        console_url: "http://127.0.0.1:8484".to_owned(),
    }
}

pub(crate) fn fresh() -> (TempDir, State) {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path(), NOW).unwrap();
    (dir, state)
}

fn signal(n: u64) -> Signal {
    Signal {
        id: SignalId::from(format!("sig-{n:016x}")),
        asset: AssetId::from("bridge-pc"),
        rule: RuleRef { kind: RuleKind::Rule, name: "HostCpuBusy".to_owned() },
        metric: "node_cpu_seconds_total".to_owned(),
        labels: Labels::default(),
        title: "the cpu of bridge-pc is busy".to_owned(),
        severity: Severity::Major,
        score: 1.0,
        direction: Direction::Up,
        started: NOW,
        raised: NOW,
        ended: None,
        input: Seq(n),
        evidence: Evidence {
            observed: 0.99,
            unit: "ratio".to_owned(),
            expected: None,
            detail: "99 % busy for 5 min".to_owned(),
            query: String::new(),
            recent: Vec::new(),
        },
    }
}

fn incident(n: u64, severity: Severity) -> Incident {
    Incident {
        id: IncidentId::from(format!("inc-{n:016x}")),
        number: n,
        title: "the cpu of bridge-pc is busy".to_owned(),
        state: IncidentState::Open,
        severity,
        opened: NOW,
        acknowledged: None,
        acknowledged_by: None,
        resolved: None,
        reopened_count: 0,
        assets: vec![AssetId::from("bridge-pc")],
        signals: vec![signal(n).id],
    }
}

fn because() -> Because {
    Because { rule: "first-signal".to_owned(), text: String::new(), against: String::new() }
}

fn record(state: &State, input: u64, bodies: Vec<FactBody>) {
    let facts: Vec<Fact> = bodies
        .into_iter()
        .zip(0..)
        .map(|(body, ordinal)| Fact { input: Seq(input), ordinal, at: UtcMs(NOW.0 + input as i64 * 1_000), body })
        .collect();
    state.record_facts(&facts, Seq(input), NOW).unwrap();
}

pub(crate) fn open(state: &State, input: u64, n: u64, severity: Severity) {
    let opened = FactBody::IncidentOpened { incident: Box::new(incident(n, severity)), because: because() };
    record(state, input, vec![FactBody::SignalRaised { signal: Box::new(signal(n)) }, opened]);
}

fn resolved(n: u64, severity: Severity) -> Incident {
    Incident { state: IncidentState::Resolved, resolved: Some(UtcMs(NOW.0 + 600_000)), ..incident(n, severity) }
}

fn resolve(state: &State, input: u64, n: u64, command: Option<CommandId>) {
    let incident = Box::new(resolved(n, Severity::Major));
    record(
        state,
        input,
        vec![FactBody::IncidentResolved { incident, reason: "its signals ended".to_owned(), command }],
    );
}

fn reopen(state: &State, input: u64, n: u64) {
    let incident = Box::new(Incident { reopened_count: 1, ..incident(n, Severity::Major) });
    let body = FactBody::IncidentReopened { incident, signal: signal(n).id, because: because() };
    record(state, input, vec![body]);
}

fn queued(state: &State) -> Vec<Message> {
    let mut messages =
        state.messages(&MessageFilter { state: Some(MessageState::Queued), ..MessageFilter::default() }).unwrap();
    messages.reverse();
    messages
}

fn subjects(state: &State) -> Vec<String> {
    queued(state).into_iter().map(|m| m.subject.trim_start_matches("[Watchkeeper] ").to_owned()).collect()
}

#[test]
fn each_recipient_is_told_once_of_what_began() {
    let (_dir, state) = fresh();
    let settings = MailSettings { to: vec!["a@ship.example".to_owned(), "b@ship.example".to_owned()], ..settings() };
    open(&state, 1, 1, Severity::Major);
    let told = run_once(&state, &settings, NOW).unwrap();
    assert_eq!(told, Told { read: 2, spooled: 2, ..Told::default() });
    assert_eq!(run_once(&state, &settings, NOW).unwrap(), Told::default());
    let ids: BTreeSet<String> = queued(&state).into_iter().map(|message| message.message_id).collect();
    assert_eq!(ids.len(), 2);
    assert!(queued(&state).iter().all(|message| message.class == MessageClass::Alert));
}

#[test]
fn later_mails_follow_the_first_of_their_incident() {
    let (_dir, state) = fresh();
    open(&state, 1, 1, Severity::Major);
    run_once(&state, &settings(), NOW).unwrap();
    let first = queued(&state).remove(0);
    state.message_delivered(first.id, "250 ok", NOW).unwrap();
    resolve(&state, 2, 1, None);
    run_once(&state, &settings(), NOW).unwrap();
    let second = queued(&state).remove(0);
    assert_eq!(first.in_reply_to, None);
    assert_eq!(second.in_reply_to, Some(first.message_id.clone()));
    assert!(first.message_id.starts_with("inc-0000000000000001.per-"));
    assert!(second.message_id.starts_with("fact-2-0.inc-0000000000000001.per-"));
    assert!(second.message_id.ends_with(&format!("@{}.watchkeeper", state.vessel())));
    assert_eq!(second.subject, "[Watchkeeper] Resolved: the cpu of bridge-pc is busy");
}

#[test]
fn what_came_and_went_while_nothing_could_leave_is_told_in_one() {
    let (_dir, state) = fresh();
    open(&state, 1, 1, Severity::Major);
    run_once(&state, &settings(), NOW).unwrap();
    resolve(&state, 2, 1, None);
    run_once(&state, &settings(), NOW).unwrap();
    assert_eq!(subjects(&state), ["Came and went: the cpu of bridge-pc is busy"]);
    let body = queued(&state).remove(0).body;
    assert!(body.starts_with("Was broken for 10 min, healed by itself: the cpu of bridge-pc is busy\n"), "{body}");
    assert!(body.contains("2025-11-24 16:00:00 UTC\nUntil         2025-11-24 16:10:00 UTC, after 10 min"), "{body}");
    assert_eq!(state.spool_counts().unwrap().superseded, 1);

    // The same, when both stand in the journal before the first look.
    open(&state, 3, 2, Severity::Major);
    resolve(&state, 4, 2, None);
    assert_eq!(run_once(&state, &settings(), NOW).unwrap().spooled, 1);
    assert_eq!(subjects(&state).len(), 2);
}

#[test]
fn an_incident_that_flaps_while_nothing_can_leave_does_not_fill_the_spool() {
    let (_dir, state) = fresh();
    open(&state, 1, 1, Severity::Major);
    for round in 1..20 {
        resolve(&state, round * 2, 1, None);
        run_once(&state, &settings(), NOW).unwrap();
        reopen(&state, round * 2 + 1, 1);
        run_once(&state, &settings(), NOW).unwrap();
    }
    let title = "the cpu of bridge-pc is busy";
    assert_eq!(subjects(&state), [format!("Came and went: {title}"), format!("MAJOR, back again: {title}")]);
}

#[test]
fn only_what_waits_is_told_again_when_the_beginning_was_told() {
    let (_dir, state) = fresh();
    open(&state, 1, 1, Severity::Major);
    run_once(&state, &settings(), NOW).unwrap();
    state.message_delivered(queued(&state)[0].id, "250 ok", NOW).unwrap();
    let worse = FactBody::IncidentEscalated {
        incident: incident(1, Severity::Major).id,
        from: Severity::Major,
        to: Severity::Critical,
    };
    record(&state, 2, vec![worse]);
    run_once(&state, &settings(), NOW).unwrap();
    assert_eq!(subjects(&state), ["CRITICAL, worse: the cpu of bridge-pc is busy"]);
    resolve(&state, 3, 1, Some(CommandId::from("cmd-1")));
    run_once(&state, &settings(), NOW).unwrap();
    assert_eq!(subjects(&state), ["Resolved: the cpu of bridge-pc is busy"]);
    assert!(queued(&state)[0].body.starts_with("Closed by hand"));
}

#[test]
fn what_is_too_mild_is_counted_until_it_becomes_worse() {
    let (_dir, state) = fresh();
    open(&state, 1, 1, Severity::Info);
    assert_eq!(run_once(&state, &settings(), NOW).unwrap().untold, 1);
    assert_eq!(state.spool_counts().unwrap().untold, 1);
    assert_eq!(queued(&state), []);
    let worse = FactBody::IncidentEscalated {
        incident: incident(1, Severity::Info).id,
        from: Severity::Info,
        to: Severity::Major,
    };
    record(&state, 2, vec![worse]);
    run_once(&state, &settings(), NOW).unwrap();
    assert_eq!(subjects(&state), ["MAJOR, worse: the cpu of bridge-pc is busy"]);
}

#[test]
fn acknowledging_sends_nothing_and_events_are_passed() {
    let (_dir, state) = fresh();
    let taken = Incident { state: IncidentState::Acknowledged, ..incident(1, Severity::Major) };
    let command = CommandId::from("cmd-1");
    record(&state, 1, vec![FactBody::IncidentAcknowledged { incident: Box::new(taken), command }]);
    let body = json!({});
    state.record_event(&NewEvent { kind: "tested", key: "x", by: None, body: &body }, NOW).unwrap();
    assert_eq!(run_once(&state, &settings(), NOW).unwrap(), Told { read: 2, ..Told::default() });
    assert_eq!(state.cursor(READER).unwrap(), 2);
}

#[test]
fn a_crash_before_the_cursor_moved_tells_nothing_twice() {
    let (dir, state) = fresh();
    open(&state, 1, 1, Severity::Major);
    run_once(&state, &settings(), NOW).unwrap();
    let first = queued(&state);
    drop(state);
    let raw = State::open(dir.path(), NOW).unwrap();
    let again = SpoolBatch {
        reader: "other".to_owned(),
        upto_entry: 1,
        messages: first
            .iter()
            .map(|m| NewMessage {
                key: m.key.clone(),
                recipient: m.recipient.clone(),
                subject: m.subject.clone(),
                body: m.body.clone(),
                severity: m.severity,
                class: m.class,
                incident: m.incident.clone(),
                message_id: m.message_id.clone(),
                in_reply_to: None,
                supersedes: Vec::new(),
            })
            .collect(),
        untold: 0,
    };
    assert_eq!(raw.spool(&again, NOW).unwrap(), 0);
    assert_eq!(queued(&raw), first);
}

#[test]
fn a_node_without_mail_passes_over_the_past_and_counts_it() {
    let (_dir, state) = fresh();
    open(&state, 1, 1, Severity::Major);
    assert_eq!(pass_over(&state, NOW).unwrap(), 2);
    assert_eq!(run_once(&state, &settings(), NOW).unwrap(), Told::default());
    assert_eq!(state.spool_counts().unwrap().untold, 1);
}

#[test]
fn a_long_journal_is_read_in_steps_and_nothing_is_skipped() {
    let (_dir, state) = fresh();
    for n in 1..=150 {
        open(&state, n, n, Severity::Major);
    }
    assert!(run_once(&state, &settings(), NOW).unwrap().more);
    assert!(!run_once(&state, &settings(), NOW).unwrap().more);
    assert_eq!(queued(&state).len(), 150);
}
