use std::fs;

use proptest::prelude::*;
use rusqlite::{Connection, params};
use tempfile::TempDir;

use super::super::tests::{NOW, event, fresh, tamper};
use super::super::{STATE_FILE, State, keys};
use super::*;

/// A state with ten entries, sealed at four and at ten, whose node is down.
fn sealed() -> (TempDir, Head) {
    let (dir, state) = fresh();
    (1..=4).for_each(|n| assert_eq!(event(&state, &format!("e{n}")), n));
    state.seal(NOW).unwrap();
    (5..=10).for_each(|n| assert_eq!(event(&state, &format!("e{n}")), n));
    state.seal(NOW).unwrap();
    let head = state.head().unwrap();
    (dir, head)
}

fn kinds(dir: &TempDir, witness: Option<&Head>) -> Vec<(FindingKind, Option<u64>)> {
    let report = verify_journal(dir.path(), witness).unwrap();
    report.findings.into_iter().filter(|f| f.kind != FindingKind::Guard).map(|f| (f.kind, f.entry)).collect()
}

fn texts(dir: &TempDir) -> Vec<String> {
    verify_journal(dir.path(), None).unwrap().findings.into_iter().map(|finding| finding.text).collect()
}

/// Computes the chain anew from `from` on, as somebody does who knows how it is made but has no key.
fn rechain(connection: &Connection, vessel: &VesselId, from: u64) {
    let entries: Vec<u64> = connection
        .prepare("SELECT entry FROM journal WHERE entry >= ?1 ORDER BY entry")
        .unwrap()
        .query_map([from], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    for entry in entries {
        let previous = journal::hash_at(connection, vessel, entry - 1).unwrap().unwrap();
        let hash = connection
            .query_row("SELECT recorded, kind, key, body FROM journal WHERE entry = ?1", [entry], |row| {
                let (kind, key, body): (String, String, String) = (row.get(1)?, row.get(2)?, row.get(3)?);
                let new = NewEntry { recorded: UtcMs(row.get(0)?), kind: &kind, key: &key, by: None, body: &body };
                Ok(journal::entry_hash(&previous, entry, &new))
            })
            .unwrap();
        connection.execute("UPDATE journal SET hash = ?2 WHERE entry = ?1", params![entry, hash.as_slice()]).unwrap();
    }
}

#[test]
fn an_untouched_journal_is_sound_up_and_down() {
    let (dir, head) = sealed();
    let report = verify_journal(dir.path(), Some(&head)).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!((report.entries, report.sealed, report.seals), (10, 10, 2));
    assert_eq!((report.hash, report.key), (head.hash.clone(), head.key.clone()));

    let state = State::open(dir.path(), NOW).unwrap();
    event(&state, "later");
    let report = verify_journal(dir.path(), Some(&head)).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!((report.entries, report.sealed), (11, 10));
}

#[test]
fn an_empty_journal_is_sound() {
    let (dir, state) = fresh();
    let report = verify_journal(dir.path(), Some(&state.head().unwrap())).unwrap();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!((report.entries, report.seals), (0, 0));
}

#[test]
fn an_edited_entry_is_found_where_it_is() {
    for change in ["body = '{\"key\":\"x\"}'", "recorded = recorded + 1", "kind = 'other'", "person = 'per-1'"] {
        let (dir, _) = sealed();
        tamper(dir.path()).execute(&format!("UPDATE journal SET {change} WHERE entry = 6"), []).unwrap();
        assert_eq!(kinds(&dir, None), [(FindingKind::Edited, Some(6))], "{change}");
    }
}

#[test]
fn entries_that_changed_places_are_found() {
    let (dir, _) = sealed();
    tamper(dir.path())
        .execute_batch(
            "UPDATE journal SET entry = 99 WHERE entry = 6; UPDATE journal SET entry = 6 WHERE entry = 7;
             UPDATE journal SET entry = 7 WHERE entry = 99;",
        )
        .unwrap();
    let found = kinds(&dir, None);
    assert!(found.contains(&(FindingKind::Edited, Some(6))), "{found:?}");
    assert!(found.contains(&(FindingKind::Edited, Some(7))), "{found:?}");
}

#[test]
fn a_removed_entry_is_found_wherever_it_was() {
    for entry in [1, 5, 9] {
        let (dir, _) = sealed();
        tamper(dir.path()).execute("DELETE FROM journal WHERE entry = ?1", [entry]).unwrap();
        assert_eq!(kinds(&dir, None), [(FindingKind::Missing, Some(entry))]);
    }
}

#[test]
fn an_entry_put_in_and_the_chain_computed_anew_is_found_by_the_seals() {
    let (dir, head) = sealed();
    let connection = tamper(dir.path());
    connection
        .execute_batch(
            "UPDATE journal SET entry = entry + 100 WHERE entry >= 3; UPDATE journal SET entry = entry - 99 WHERE entry > 100;
             INSERT INTO journal VALUES (3, 0, 'tested', 'forged', NULL, '{}', zeroblob(32));",
        )
        .unwrap();
    rechain(&connection, &head.vessel, 3);
    let found = kinds(&dir, None);
    let rewritten = |entry| (FindingKind::Rewritten, Some(entry));
    assert_eq!(found, [rewritten(4), rewritten(10), rewritten(10)], "both seals and journal.head object");
}

#[test]
fn a_cut_tail_is_found_even_with_its_seals_gone() {
    let (dir, _) = sealed();
    tamper(dir.path())
        .execute_batch("DELETE FROM journal WHERE entry > 7; DELETE FROM seals WHERE entry > 7;")
        .unwrap();
    assert_eq!(kinds(&dir, None), [(FindingKind::Cut, Some(8))]);
    assert!(texts(&dir).contains(
        &"journal.head vouches for 10 entries, the journal ends at 7: entries at the end were removed".to_owned()
    ));
}

#[test]
fn a_cut_tail_stays_found_after_the_node_went_on() {
    let (dir, _) = sealed();
    tamper(dir.path())
        .execute_batch("DELETE FROM journal WHERE entry > 7; DELETE FROM seals WHERE entry > 7;")
        .unwrap();
    let state = State::open(dir.path(), NOW).unwrap();
    let last = state.journal_after(7, 10).unwrap().pop().unwrap();
    assert_eq!(last.kind, "journal_doubted");
    (0..10).for_each(|n| assert!(event(&state, &format!("new{n}")) > 8));
    state.seal(NOW).unwrap();
    drop(state);
    drop(State::open(dir.path(), NOW).unwrap());
    assert_eq!(kinds(&dir, None), [(FindingKind::Rewritten, Some(10))]);
}

#[test]
fn a_missing_or_broken_head_file_is_found_and_said_in_the_journal() {
    let (dir, _) = sealed();
    let head = dir.path().join("journal.head");
    fs::write(&head, "{").unwrap();
    assert_eq!(kinds(&dir, None), [(FindingKind::HeadFile, None)]);
    fs::remove_file(&head).unwrap();
    assert_eq!(kinds(&dir, None), [(FindingKind::HeadFile, None)]);
    let state = State::open(dir.path(), NOW).unwrap();
    assert_eq!(state.journal_after(10, 10).unwrap()[0].kind, "journal_doubted");
    assert!(verify_journal(dir.path(), None).unwrap().is_sound(), "the new head stands");
}

#[test]
fn a_whole_rewrite_with_another_key_is_found_by_the_pinned_key() {
    let (dir, head) = sealed();
    let forged = rewrite_with_another_key(&dir, &head.vessel);
    let found = kinds(&dir, None);
    assert!(found.contains(&(FindingKind::ForeignKey, None)), "{found:?}");
    assert!(found.contains(&(FindingKind::BadSignature, Some(10))), "{found:?}");

    // With the head file replaced too, only a witness from elsewhere can tell.
    head::write(dir.path(), &forged).unwrap();
    assert_eq!(kinds(&dir, None), []);
    assert_eq!(kinds(&dir, Some(&head)), [(FindingKind::ForeignKey, None)]);
}

fn rewrite_with_another_key(dir: &TempDir, vessel: &VesselId) -> Head {
    let connection = tamper(dir.path());
    connection.execute("UPDATE journal SET body = '{\"nothing\":\"happened\"}' WHERE entry > 2", []).unwrap();
    rechain(&connection, vessel, 1);
    fs::remove_file(dir.path().join("node.key")).unwrap();
    let key = keys::create(dir.path()).unwrap();
    let (last, hash) = journal::last(&connection, vessel).unwrap();
    let forged = Head::sign(vessel, last, &hash, &key);
    connection.execute("DELETE FROM seals", []).unwrap();
    connection
        .execute("INSERT INTO seals VALUES (?1, 0, ?2, ?3)", params![last, forged.hash, forged.signature])
        .unwrap();
    connection.execute("UPDATE meta SET value = ?1 WHERE name = 'public_key'", [&forged.key]).unwrap();
    forged
}

#[test]
fn a_forged_seal_is_found() {
    let (dir, _) = sealed();
    tamper(dir.path())
        .execute("UPDATE seals SET signature = replace(signature, 'a', 'b') WHERE entry = 4", [])
        .unwrap();
    assert_eq!(kinds(&dir, None), [(FindingKind::BadSignature, Some(4))]);
}

#[test]
fn a_witness_finds_a_folder_put_back_to_an_older_copy() {
    let (dir, head) = sealed();
    tamper(dir.path())
        .execute_batch("DELETE FROM journal WHERE entry > 4; DELETE FROM seals WHERE entry > 4;")
        .unwrap();
    let mut older = head.clone();
    older.entries = 4;
    assert!(!older.is_genuine(), "an altered head is not genuine");
    fs::remove_file(dir.path().join("journal.head")).unwrap();
    drop(State::open(dir.path(), NOW).unwrap());
    assert_eq!(kinds(&dir, None), []);
    assert_eq!(kinds(&dir, Some(&head)), [(FindingKind::Cut, Some(6))]);
    assert_eq!(kinds(&dir, Some(&older)), [(FindingKind::BadSignature, None)]);
}

#[test]
fn a_removed_guard_is_found() {
    let (dir, _) = sealed();
    Connection::open(dir.path().join(STATE_FILE)).unwrap().execute("DROP TRIGGER journal_stands", []).unwrap();
    assert_eq!(texts(&dir), ["the guard journal_stands of the journal was removed"]);
}

#[test]
fn findings_are_counted_beyond_those_listed() {
    let (dir, state) = fresh();
    (0..150).for_each(|n| assert!(event(&state, &format!("e{n}")) > 0));
    state.seal(NOW).unwrap();
    drop(state);
    tamper(dir.path()).execute("UPDATE journal SET recorded = 0", []).unwrap();
    let report = verify_journal(dir.path(), None).unwrap();
    assert_eq!((report.findings.len(), report.findings_total), (100, 155));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever single change somebody makes to a sealed entry, it does not go unseen.
    #[test]
    fn no_single_change_goes_unseen(entry in 1_u64..=10, change in 0_usize..6) {
        let (dir, _) = sealed();
        let sql = [
            "UPDATE journal SET body = body || ' ' WHERE entry = ?1",
            "UPDATE journal SET key = key || 'x' WHERE entry = ?1",
            "UPDATE journal SET kind = upper(kind) WHERE entry = ?1",
            "UPDATE journal SET hash = randomblob(32) WHERE entry = ?1",
            "UPDATE journal SET recorded = -recorded WHERE entry = ?1",
            "DELETE FROM journal WHERE entry = ?1",
        ][change];
        tamper(dir.path()).execute(sql, [entry]).unwrap();
        prop_assert!(!kinds(&dir, None).is_empty());
    }
}
