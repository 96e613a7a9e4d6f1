use wk_types::ErrorKind;

use super::super::tests::{NOW, fresh};
use super::*;

const PASSWORD: &str = "a long enough one";

fn later(ms: i64) -> UtcMs {
    UtcMs(NOW.0 + ms)
}

fn set_up(state: &State) -> Account {
    let token = state.issue_setup_token(NOW).unwrap().unwrap();
    state.set_up(token.expose(), "Ada", PASSWORD, NOW).unwrap()
}

#[test]
fn the_first_account_is_made_once_with_the_token_and_is_an_administrators() {
    let (_dir, state) = fresh();
    let token = state.issue_setup_token(NOW).unwrap().unwrap();
    assert_eq!(token.expose().len(), 64);
    assert_eq!(format!("{token:?}"), "Secret(..)");
    let account = state.set_up(token.expose(), " Ada ", PASSWORD, NOW).unwrap();
    assert_eq!((account.name.as_str(), account.role), ("Ada", Role::Admin));
    assert_eq!(state.set_up(token.expose(), "Bob", PASSWORD, NOW).unwrap_err().kind(), ErrorKind::Conflict);
    assert_eq!(state.issue_setup_token(NOW).unwrap(), None);
    assert_eq!(state.accounts().unwrap(), std::slice::from_ref(&account));
    let entry = state.journal_after(0, 10).unwrap().remove(0);
    assert_eq!((entry.kind.as_str(), entry.by), ("account_created", Some(account.person)));
    assert!(!entry.body.to_string().contains("Ada"), "no name in the journal");
}

#[test]
fn a_set_up_token_that_is_wrong_old_or_replaced_is_refused() {
    let (_dir, state) = fresh();
    assert_eq!(state.set_up("", "Ada", PASSWORD, NOW).unwrap_err().kind(), ErrorKind::Denied);
    let first = state.issue_setup_token(NOW).unwrap().unwrap();
    let token = state.issue_setup_token(NOW).unwrap().unwrap();
    let refused = |token: &str, now| state.set_up(token, "Ada", PASSWORD, now).unwrap_err().kind() == ErrorKind::Denied;
    assert!(refused(first.expose(), NOW));
    assert!(refused("wrong", NOW));
    assert!(refused(token.expose(), later(SETUP_TOKEN_VALID.0)));
    assert!(refused(token.expose(), later(-86_400_000)), "a clock set back does not make it last longer");
    assert!(state.set_up(token.expose(), "Ada", PASSWORD, later(SETUP_TOKEN_VALID.0 - 1)).is_ok());
}

#[test]
fn unfit_names_and_passwords_are_refused_before_anything_is_used_up() {
    let (_dir, state) = fresh();
    let token = state.issue_setup_token(NOW).unwrap().unwrap();
    for (name, password) in [("Ada", "too short"), ("", PASSWORD), ("A\nda", PASSWORD), ("Ada", &"x".repeat(2_000))] {
        let refused = state.set_up(token.expose(), name, password, NOW).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{refused}");
    }
    assert!(state.set_up(token.expose(), "Ada", PASSWORD, NOW).is_ok());
}

#[test]
fn passwords_are_kept_as_argon2id_with_a_salt_of_their_own() {
    let gate = Gate::default();
    let (a, b) = (gate.hash(PASSWORD).unwrap(), gate.hash(PASSWORD).unwrap());
    assert!(a.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{a}");
    assert_ne!(a, b);
}

#[test]
fn further_accounts_have_their_role_and_one_per_name() {
    let (_dir, state) = fresh();
    let ada = set_up(&state);
    let new = NewAccount { name: "Bob", password: PASSWORD, role: Role::Operator };
    let bob = state.create_account(&new, Some(&ada.person), NOW).unwrap();
    assert_eq!(bob.role, Role::Operator);
    let again = state.create_account(&NewAccount { name: "bob", ..new.clone() }, None, NOW).unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    let ingest = state.create_account(&NewAccount { name: "Eve", role: Role::Ingest, ..new }, None, NOW).unwrap_err();
    assert_eq!(ingest.kind(), ErrorKind::InvalidInput);
    assert_eq!(state.accounts().unwrap().len(), 2);
}

#[test]
fn a_new_password_ends_the_sessions() {
    let (_dir, state) = fresh();
    let ada = set_up(&state);
    let session = state.sign_in("ada", PASSWORD, NOW).unwrap();
    state.set_password(&ada.person, "another long one", Some(&ada.person), NOW).unwrap();
    assert_eq!(state.session(session.expose(), NOW).unwrap(), None);
    assert_eq!(state.sign_in("Ada", PASSWORD, NOW).unwrap_err().kind(), ErrorKind::Denied);
    assert!(state.sign_in("Ada", "another long one", NOW).is_ok());
    let nobody = state.set_password(&PersonRef::from("per-0"), PASSWORD, None, NOW).unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::NotFound);
}

#[test]
fn guessing_is_slowed_down_per_name_and_said_in_the_journal_once() {
    let (_dir, state) = fresh();
    set_up(&state);
    for _ in 0..5 {
        assert_eq!(state.sign_in("Ada", "wrong password", NOW).unwrap_err().kind(), ErrorKind::Denied);
    }
    let slowed = state.sign_in("ADA", PASSWORD, NOW).unwrap_err();
    assert!(matches!(slowed, StateError::TooManyAttempts { wait: DurationMs(1_000) }), "{slowed:?}");
    assert!(state.sign_in("nobody", PASSWORD, NOW).unwrap_err().kind() == ErrorKind::Denied, "others are not");
    assert!(state.sign_in("Ada", "wrong password", later(1_000)).is_err());
    let slowed = state.sign_in("Ada", PASSWORD, later(1_000)).unwrap_err();
    assert!(matches!(slowed, StateError::TooManyAttempts { wait: DurationMs(2_000) }), "{slowed:?}");
    assert!(state.sign_in("Ada", PASSWORD, later(3_000)).is_ok());
    assert!(state.sign_in("Ada", "wrong password", later(3_000)).unwrap_err().kind() == ErrorKind::Denied);
    let kinds: Vec<String> = state.journal_after(0, 99).unwrap().into_iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, ["account_created", "sign_in_blocked", "signed_in"]);
}

#[test]
fn the_wait_is_bounded_and_ends_after_the_clock_was_set_back() {
    let failures = |count| Failures { count, last: NOW };
    assert_eq!(failures(4).wait(NOW), DurationMs(0));
    assert_eq!(failures(u32::MAX).wait(NOW), WAIT_MAX);
    assert_eq!(failures(6).wait(later(-86_400_000)), DurationMs(2_000));
    assert_eq!(failures(6).wait(later(2_000)), DurationMs(0));
}

#[test]
fn only_so_many_names_are_remembered_and_the_worst_stay() {
    let gate = Gate::default();
    let name = |n: usize| *blake3::hash(&n.to_le_bytes()).as_bytes();
    (0..5).for_each(|_| assert!(gate.note_failure(name(0), NOW) > 0));
    (1..NAMES_MAX + 100).for_each(|n| assert_eq!(gate.note_failure(name(n), NOW), 1));
    let failures = gate.failures();
    assert_eq!(failures.len(), NAMES_MAX);
    assert_eq!(failures[&name(0)].count, 5);
}

#[test]
fn roles_cover_what_is_below_them_and_ingest_only_writes() {
    let covers = |role: Role| Role::ALL.into_iter().filter(|needed| role.covers(*needed)).collect::<Vec<_>>();
    assert_eq!(covers(Role::Ingest), [Role::Ingest]);
    assert_eq!(covers(Role::Viewer), [Role::Viewer]);
    assert_eq!(covers(Role::Operator), [Role::Viewer, Role::Operator]);
    assert_eq!(covers(Role::Approver), [Role::Viewer, Role::Operator, Role::Approver]);
    assert_eq!(covers(Role::Admin), Role::ALL);
    assert!(Role::ALL.into_iter().all(|role| role.as_str().parse::<Role>().unwrap() == role));
    assert_eq!("root".parse::<Role>().unwrap_err().kind(), ErrorKind::InvalidInput);
}

#[test]
fn an_erased_person_leaves_only_a_reference_that_leads_nowhere() {
    let (dir, state) = fresh();
    let ada = set_up(&state);
    let last = state.erase_person(&ada.person, None, NOW).unwrap_err();
    assert_eq!(last.kind(), ErrorKind::Conflict, "the last administrator stays");
    let new = NewAccount { name: "Grace Hopper-Unmistakable", password: PASSWORD, role: Role::Admin };
    let grace = state.create_account(&new, Some(&ada.person), NOW).unwrap();
    let session = state.sign_in(new.name, PASSWORD, NOW).unwrap();
    assert_eq!(state.person(new.name).unwrap(), grace.person);
    assert_eq!(state.person_name(&grace.person).unwrap().as_deref(), Some(new.name));

    state.erase_person(&grace.person, Some(&ada.person), NOW).unwrap();
    assert_eq!(state.person_name(&grace.person).unwrap(), None);
    assert_eq!(state.session(session.expose(), NOW).unwrap(), None);
    assert_eq!(state.accounts().unwrap(), [ada]);
    assert_ne!(state.person(new.name).unwrap(), grace.person, "nobody can tell by guessing the name");
    state.erase_person(&state.person(new.name).unwrap(), None, NOW).unwrap();
    state.seal(NOW).unwrap();
    assert!(super::super::verify_journal(dir.path(), None).unwrap().is_sound());
    for file in ["state.db", "state.db-wal"] {
        let bytes = std::fs::read(dir.path().join(file)).unwrap();
        assert!(!bytes.windows(12).any(|window| window == b"Unmistakable"), "{file}");
    }
}
