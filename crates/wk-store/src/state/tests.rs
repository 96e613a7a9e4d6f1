use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use serde_json::json;
use tempfile::TempDir;
use wk_types::{
    AssetId, Because, Direction, ErrorKind, Evidence, Fact, FactBody, Incident, IncidentId, IncidentState, Labels,
    RuleKind, RuleRef, Seq, Severity, Signal, SignalId,
};

use super::*;

pub(super) const NOW: UtcMs = UtcMs(1_764_000_000_000);

pub(super) fn fresh() -> (TempDir, State) {
    let dir = tempfile::tempdir().unwrap();
    let state = State::open(dir.path(), NOW).unwrap();
    (dir, state)
}

pub(super) fn event(state: &State, key: &str) -> u64 {
    let body = json!({ "key": key });
    state.record_event(&NewEvent { kind: "tested", key, by: None, body: &body }, NOW).unwrap()
}

pub(super) fn signal(n: u64) -> Signal {
    Signal {
        id: SignalId::from(format!("sig-{n:016x}")),
        asset: AssetId::from("bridge-pc"),
        rule: RuleRef { kind: RuleKind::Rule, name: "DiskFilling".to_owned() },
        metric: "node_filesystem_avail_bytes".to_owned(),
        labels: Labels::metric("node_filesystem_avail_bytes", &[("mountpoint", "/data")]),
        title: "bridge-pc: /data is filling up".to_owned(),
        severity: Severity::Major,
        score: 0.9,
        direction: Direction::Down,
        started: NOW,
        raised: NOW,
        ended: None,
        input: Seq(n),
        evidence: Evidence {
            observed: 0.04,
            unit: "ratio".to_owned(),
            expected: None,
            detail: "4 % free".to_owned(),
            query: "node_filesystem_avail_bytes".to_owned(),
            recent: Vec::new(),
        },
    }
}

pub(super) fn incident(n: u64, signals: &[u64]) -> Incident {
    Incident {
        id: IncidentId::from(format!("inc-{n:016x}")),
        number: n,
        title: "bridge-pc: /data is filling up".to_owned(),
        state: IncidentState::Open,
        severity: Severity::Major,
        opened: NOW,
        acknowledged: None,
        acknowledged_by: None,
        resolved: None,
        reopened_count: 0,
        assets: vec![AssetId::from("bridge-pc")],
        signals: signals.iter().map(|n| SignalId::from(format!("sig-{n:016x}"))).collect(),
    }
}

pub(super) fn because() -> Because {
    Because { rule: "first-signal".to_owned(), text: "the first of its kind".to_owned(), against: String::new() }
}

pub(super) fn fact(input: u64, ordinal: u32, body: FactBody) -> Fact {
    Fact { input: Seq(input), ordinal, at: NOW, body }
}

/// The facts that open incident `n` with signal `n`.
pub(super) fn opening(n: u64) -> Vec<Fact> {
    vec![
        fact(n, 0, FactBody::SignalRaised { signal: Box::new(signal(n)) }),
        fact(n, 1, FactBody::IncidentOpened { incident: Box::new(incident(n, &[n])), because: because() }),
    ]
}

/// A connection that obeys none of the guards, as somebody with an editor has it.
pub(super) fn tamper(dir: &Path) -> Connection {
    let connection = Connection::open(dir.join(STATE_FILE)).unwrap();
    connection
        .execute_batch(
            "DROP TRIGGER journal_grows; DROP TRIGGER journal_keeps; DROP TRIGGER journal_stands;
             DROP TRIGGER seals_keep; DROP TRIGGER seals_stand;",
        )
        .unwrap();
    connection
}

#[test]
fn vessel_and_key_outlive_a_restart_and_are_private() {
    let (dir, state) = fresh();
    let (vessel, key) = (state.vessel(), state.head().unwrap().key);
    drop(state);
    let state = State::open(dir.path(), NOW).unwrap();
    assert_eq!((state.vessel(), state.head().unwrap().key), (vessel, key));
    for file in [STATE_FILE, "node.key", "state.db-wal"] {
        let mode = fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{file}");
    }
}

#[test]
fn a_key_readable_by_others_is_closed_to_them() {
    let (dir, state) = fresh();
    drop(state);
    let key = dir.path().join("node.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    State::open(dir.path(), NOW).unwrap();
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_newer_schema_is_refused_with_both_numbers_and_left_as_it_is() {
    let (dir, state) = fresh();
    drop(state);
    let connection = Connection::open(dir.path().join(STATE_FILE)).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    let error = State::open(dir.path(), NOW).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the state has schema 99, this version reads up to 1; use a newer watchkeeper, nothing was changed"
    );
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(State::open_read_only(dir.path()).is_err());
    assert_eq!(schema::found(&connection).unwrap(), 99);
}

#[test]
fn a_missing_or_foreign_key_is_refused() {
    let (dir, state) = fresh();
    let (other_dir, _other) = fresh();
    drop(state);
    let key = dir.path().join("node.key");
    fs::copy(other_dir.path().join("node.key"), &key).unwrap();
    assert!(State::open(dir.path(), NOW).unwrap_err().to_string().contains("does not belong to this state"));
    fs::write(&key, "nonsense").unwrap();
    assert!(State::open(dir.path(), NOW).unwrap_err().to_string().contains("cannot be read"));
    fs::remove_file(&key).unwrap();
    assert!(State::open(dir.path(), NOW).unwrap_err().to_string().contains("is missing"));
    assert!(!key.exists(), "no new key takes the lost one's place");
}

#[test]
fn a_file_that_is_no_database_is_named_as_damaged() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(STATE_FILE), vec![b'x'; 8_192]).unwrap();
    assert_eq!(State::open(dir.path(), NOW).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn a_full_disk_is_said_with_a_hint_and_nothing_is_lost() {
    let (_dir, state) = fresh();
    event(&state, "before");
    let pages: i64 =
        state.db().writer("test").unwrap().pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    set_pages_max(&state, pages);
    let body = json!({ "long": "x".repeat(60_000) });
    let long = NewEvent { kind: "tested", key: "long", by: None, body: &body };
    let error = state.record_event(&long, NOW).unwrap_err();
    assert!(matches!(error, StateError::DiskFull { .. }), "{error:?}");
    assert!(error.is_retryable());
    assert!(error.to_string().contains("free space"));
    assert_eq!(state.journal_after(0, 10).unwrap().len(), 1);

    set_pages_max(&state, 1_000_000);
    assert_eq!(state.record_event(&long, NOW).unwrap(), 2);
    state.seal(NOW).unwrap();
    assert!(verify_journal(state.dir(), None).unwrap().is_sound());
}

fn set_pages_max(state: &State, pages: i64) {
    let writer = state.db().writer("test").unwrap();
    let _: i64 = writer.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get(0)).unwrap();
}

#[test]
fn a_disk_that_became_read_only_is_said_with_a_hint_and_works_again_afterwards() {
    let (_dir, state) = fresh();
    let read_only = |on: bool| state.db().writer("test").unwrap().pragma_update(None, "query_only", on).unwrap();
    read_only(true);
    let body = json!({});
    let refused = state.record_event(&NewEvent { kind: "tested", key: "a", by: None, body: &body }, NOW).unwrap_err();
    assert!(matches!(refused, StateError::ReadOnly { .. }), "{refused:?}");
    assert!(refused.to_string().contains("read-only"));
    assert_eq!(state.journal_after(0, 10).unwrap(), []);
    read_only(false);
    assert_eq!(event(&state, "a"), 1);
}

#[test]
fn reading_goes_on_beside_a_node_and_after_it_and_cannot_write() {
    let (dir, state) = fresh();
    event(&state, "a");
    let reader = State::open_read_only(dir.path()).unwrap();
    event(&state, "b");
    assert_eq!(reader.journal_after(0, 10).unwrap().len(), 2);
    assert_eq!(reader.vessel(), state.vessel());
    drop(state);
    assert_eq!(reader.journal_after(0, 10).unwrap().len(), 2);
    assert!(matches!(reader.advance_cursor("x", 1), Err(StateError::ReadOnly { .. })));
    let nowhere = tempfile::tempdir().unwrap();
    assert!(matches!(State::open_read_only(nowhere.path()), Err(StateError::NoState { .. })));
}

#[test]
fn listeners_hear_of_new_entries_only() {
    let (_dir, state) = fresh();
    let heard = Arc::new(AtomicU64::new(0));
    let calls = Arc::clone(&heard);
    state.on_journal(move |last| calls.store(calls.load(Ordering::SeqCst) + 100 + last, Ordering::SeqCst));
    event(&state, "a");
    event(&state, "a");
    assert_eq!(heard.load(Ordering::SeqCst), 101);
}

#[test]
fn readers_and_the_writer_work_side_by_side() {
    let (_dir, state) = fresh();
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let state = state.clone();
            scope.spawn(move || (0..20).for_each(|n| assert!(event(&state, &format!("{writer}/{n}")) > 0)));
        }
        for _ in 0..6 {
            let state = state.clone();
            scope.spawn(move || {
                for _ in 0..20 {
                    let entries = state.journal_after(0, 1_000).unwrap();
                    assert!(entries.iter().enumerate().all(|(at, entry)| entry.entry == at as u64 + 1));
                }
            });
        }
    });
    state.seal(NOW).unwrap();
    assert_eq!(verify_journal(state.dir(), None).unwrap().sealed, 60);
}

#[test]
fn a_snapshot_is_given_back_as_it_was_and_left_aside_when_damaged() {
    let (dir, state) = fresh();
    assert_eq!(state.snapshot().unwrap(), None);
    state.save_snapshot(Seq(7), b"seven").unwrap();
    state.save_snapshot(Seq(8), b"eight").unwrap();
    assert_eq!(state.snapshot().unwrap(), Some((Seq(8), b"eight".to_vec())));
    let connection = Connection::open(dir.path().join(STATE_FILE)).unwrap();
    connection.execute("UPDATE snapshots SET bytes = x'00'", []).unwrap();
    assert_eq!(state.snapshot().unwrap(), None);
}

#[test]
fn cursors_only_move_forward() {
    let (_dir, state) = fresh();
    assert_eq!(state.cursor("console").unwrap(), 0);
    state.advance_cursor("console", 9).unwrap();
    state.advance_cursor("console", 4).unwrap();
    assert_eq!(state.cursor("console").unwrap(), 9);
}

#[test]
fn a_long_journal_opens_at_once_and_verifies_whole() {
    const ENTRIES: u64 = 100_000;
    let (dir, state) = fresh();
    let body = r#"{"fact":"signal_raised","detail":"4 % of 512 GB are free and it shrinks by 2 GB an hour"}"#;
    state
        .write_journal("test", |transaction, vessel| {
            for n in 0..ENTRIES {
                let key = format!("fact/{n}/0");
                let new = journal::NewEntry { recorded: NOW, kind: "signal_raised", key: &key, by: None, body };
                journal::append(transaction, vessel, &new)?;
            }
            Ok(())
        })
        .unwrap();
    state.seal(NOW).unwrap();
    drop(state);
    let begun = std::time::Instant::now();
    let state = State::open(dir.path(), NOW).unwrap();
    let opening = begun.elapsed();
    let report = verify_journal(dir.path(), None).unwrap();
    println!("open: {opening:?}, verify: {:?}", begun.elapsed() - opening);
    assert!(report.is_sound());
    assert_eq!((report.entries, report.sealed), (ENTRIES, ENTRIES));
    assert_eq!(state.head().unwrap().entries, ENTRIES);
    // Opening must not depend on the journal's length; it takes about a millisecond.
    assert!(opening.as_millis() < 100, "{opening:?}");
}
