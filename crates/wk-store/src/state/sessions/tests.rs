use super::super::NewAccount;
use super::super::Role;
use super::super::tests::{NOW, fresh};
use super::*;

const PASSWORD: &str = "a long enough one";

fn signed_in() -> (tempfile::TempDir, State, Secret) {
    let (dir, state) = fresh();
    state.create_account(&NewAccount { name: "Ada", password: PASSWORD, role: Role::Operator }, None, NOW).unwrap();
    let session = state.sign_in("Ada", PASSWORD, NOW).unwrap();
    (dir, state, session)
}

fn later(span: DurationMs) -> UtcMs {
    NOW + span
}

#[test]
fn a_session_names_its_account_until_it_is_ended() {
    let (_dir, state, session) = signed_in();
    assert_eq!(state.session(session.expose(), NOW).unwrap().unwrap().name, "Ada");
    assert_eq!(state.session("wrong", NOW).unwrap(), None);
    state.sign_out(session.expose()).unwrap();
    state.sign_out(session.expose()).unwrap();
    assert_eq!(state.session(session.expose(), NOW).unwrap(), None);
}

#[test]
fn a_session_ends_when_idle_and_lives_on_when_used() {
    let (_dir, state, session) = signed_in();
    let lives = |at| state.session(session.expose(), at).unwrap().is_some();
    assert!(!lives(later(SESSION_IDLE_MAX)));
    let used = later(SESSION_IDLE_MAX) - DurationMs(1);
    assert!(lives(used));
    assert!(lives(used + SESSION_IDLE_MAX - DurationMs(1)));
}

#[test]
fn a_session_ends_in_any_case_in_time() {
    let (_dir, state, session) = signed_in();
    let mut at = NOW;
    while at.since(NOW) < SESSION_MAX {
        assert!(state.session(session.expose(), at).unwrap().is_some(), "{at}");
        at += DurationMs::from_hours(10);
    }
    assert_eq!(state.session(session.expose(), later(SESSION_MAX)).unwrap(), None);
}

#[test]
fn only_hashes_are_stored_and_only_so_many_sessions_a_person() {
    let (_dir, state, session) = signed_in();
    for second in 1..=SESSIONS_PER_PERSON_MAX as i64 + 2 {
        state.begin_session(&state.person("Ada").unwrap(), later(DurationMs::from_secs(second))).unwrap();
    }
    let (count, plain): (u64, u64) = state
        .db()
        .read("test", |connection| {
            Ok(connection.query_row(
                "SELECT count(*), count(*) FILTER (WHERE hex(hash) = upper(?1)) FROM sessions",
                [session.expose()],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?)
        })
        .unwrap();
    assert_eq!((count, plain), (SESSIONS_PER_PERSON_MAX, 0));
    assert_eq!(state.session(session.expose(), NOW).unwrap(), None, "the oldest made room");
}

#[test]
fn expired_sessions_are_cleared_away_at_the_next_sign_in() {
    let (_dir, state, _session) = signed_in();
    state.sign_in("Ada", PASSWORD, later(SESSION_MAX)).unwrap();
    let count: u64 =
        state.db().read("test", |db| Ok(db.query_row("SELECT count(*) FROM sessions", [], |row| row.get(0))?)).unwrap();
    assert_eq!(count, 1);
}
