use serde_json::json;
use wk_types::{ErrorKind, Seq};

use super::super::tests::{NOW, event, fresh, opening};
use super::super::verify_journal;
use super::*;

#[test]
fn an_entry_hashes_as_documented() {
    let vessel = VesselId::from("vessel-0123456789abcdef");
    let by = PersonRef::from("per-1");
    let new = NewEntry { recorded: NOW, kind: "tested", key: "k\"1", by: Some(&by), body: r#"{"a":1.50}"# };
    let canonical =
        r#"{"entry":1,"recorded":1764000000000,"kind":"tested","key":"k\"1","by":"per-1","body":{"a":1.50}}"#;
    let expected = *blake3::Hasher::new()
        .update(blake3::hash(b"watchkeeper journal 1 vessel-0123456789abcdef").as_bytes())
        .update(canonical.as_bytes())
        .finalize()
        .as_bytes();
    assert_eq!(entry_hash(&genesis(&vessel), 1, &new), expected);
    // Fixed for good: journals that stand on ships were made with it.
    assert_eq!(hex::encode(expected), "f800b066e8541f609d37cff89e089b440cabab73db80b38c1f9e62038f9b4781");
}

#[test]
fn an_event_is_taken_once_per_key() {
    let (_dir, state) = fresh();
    assert_eq!(event(&state, "a"), 1);
    assert_eq!(event(&state, "b"), 2);
    assert_eq!(event(&state, "a"), 2);
    let entries = state.journal_after(0, 10).unwrap();
    assert_eq!(entries.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(entries[0].body, json!({ "key": "a" }));
}

#[test]
fn events_cannot_pose_as_facts_and_are_bounded() {
    let (_dir, state) = fresh();
    let body = json!({});
    let refused = |kind, key| state.record_event(&NewEvent { kind, key, by: None, body: &body }, NOW).unwrap_err();
    for (kind, key) in [("tested", "fact/1/0"), ("", "a"), ("tested", "")] {
        assert_eq!(refused(kind, key).kind(), ErrorKind::InvalidInput);
    }
    let body = json!("x".repeat(EVENT_BYTES_MAX));
    let long = state.record_event(&NewEvent { kind: "tested", key: "long", by: None, body: &body }, NOW);
    assert_eq!(long.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(state.journal_after(0, 10).unwrap(), []);
}

#[test]
fn the_database_itself_refuses_to_change_the_journal() {
    let (_dir, state) = fresh();
    event(&state, "a");
    state.seal(NOW).unwrap();
    for sql in [
        "UPDATE journal SET body = '{}'",
        "DELETE FROM journal",
        "INSERT OR REPLACE INTO journal VALUES (1, 0, 'k', 'k', NULL, '{}', x'00')",
        "INSERT OR REPLACE INTO journal VALUES (2, 0, 'k', 'a', NULL, '{}', x'00')",
        "INSERT INTO journal VALUES (7, 0, 'k', 'k', NULL, '{}', x'00')",
        "UPDATE seals SET hash = ''",
        "DELETE FROM seals",
    ] {
        assert!(state.db().writer("test").unwrap().execute(sql, []).is_err(), "{sql}");
    }
    assert!(verify_journal(state.dir(), None).unwrap().is_sound());
}

#[test]
fn reading_goes_on_after_an_entry_and_keeps_to_the_limit() {
    let (_dir, state) = fresh();
    (1..=5).for_each(|n| assert_eq!(event(&state, &format!("e{n}")), n));
    let numbers = |after, limit| -> Vec<u64> {
        state.journal_after(after, limit).unwrap().iter().map(|entry| entry.entry).collect()
    };
    assert_eq!(numbers(0, 2), [1, 2]);
    assert_eq!(numbers(2, usize::MAX), [3, 4, 5]);
    assert_eq!(numbers(5, 10), [0; 0]);
}

#[test]
fn sealing_signs_once_per_new_entry() {
    let (_dir, state) = fresh();
    let seals = || -> u64 {
        state.db().read("test", |db| Ok(db.query_row("SELECT count(*) FROM seals", [], |row| row.get(0))?)).unwrap()
    };
    state.seal(NOW).unwrap();
    assert_eq!(seals(), 0);
    event(&state, "a");
    event(&state, "b");
    state.seal(NOW).unwrap();
    state.seal(NOW).unwrap();
    assert_eq!(seals(), 1);
    let head = state.head().unwrap();
    assert_eq!(head.entries, 2);
    assert!(head.is_genuine());
}

#[test]
fn a_head_survives_json() {
    let (_dir, state) = fresh();
    event(&state, "a");
    let head = state.head().unwrap();
    let text = serde_json::to_string(&head).unwrap();
    let back: Head = serde_json::from_str(&text).unwrap();
    assert_eq!(back, head);
    assert!(back.is_genuine());
    assert!(!Head { entries: 2, ..back }.is_genuine());
}

#[test]
fn facts_are_read_back_and_events_are_none() {
    let (_dir, state) = fresh();
    let facts = opening(1);
    assert_eq!(state.record_facts(&facts, Seq(1), NOW).unwrap(), 2);
    event(&state, "a");
    let entries = state.journal_after(0, 10).unwrap();
    let read: Vec<Option<Fact>> = entries.iter().map(|entry| entry.fact().unwrap()).collect();
    assert_eq!(read, [Some(facts[0].clone()), Some(facts[1].clone()), None]);
}
