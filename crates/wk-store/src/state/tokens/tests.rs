use wk_types::ErrorKind;

use super::super::tests::{NOW, fresh};
use super::*;

#[test]
fn a_token_gives_its_role_until_it_is_revoked() {
    let (_dir, state) = fresh();
    let (id, secret) = state.create_token(Role::Ingest, "vector", None, NOW).unwrap();
    assert!(secret.expose().starts_with("wk_") && secret.expose().len() == 67);
    let token = state.token(secret.expose(), NOW).unwrap().unwrap();
    assert_eq!((token.id.clone(), token.role, token.label.as_str()), (id.clone(), Role::Ingest, "vector"));
    assert_eq!(state.token("wk_wrong", NOW).unwrap(), None);
    assert_eq!(state.token("", NOW).unwrap(), None);
    state.revoke_token(&id, None, NOW).unwrap();
    assert_eq!(state.token(secret.expose(), NOW).unwrap(), None);
    assert_eq!(state.revoke_token(&id, None, NOW).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(state.tokens().unwrap()[0].revoked, Some(NOW));
    let kinds: Vec<String> = state.journal_after(0, 9).unwrap().into_iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, ["token_created", "token_revoked"]);
}

#[test]
fn use_is_noted_to_the_hour() {
    let (_dir, state) = fresh();
    let (_, secret) = state.create_token(Role::Viewer, "grafana", None, NOW).unwrap();
    let used = |at: UtcMs| {
        state.token(secret.expose(), at).unwrap();
        state.tokens().unwrap()[0].used
    };
    assert_eq!(used(NOW), Some(NOW));
    assert_eq!(used(NOW + DurationMs::from_mins(59)), Some(NOW));
    assert_eq!(used(NOW + DurationMs::from_mins(60)), Some(NOW + DurationMs::from_mins(60)));
}

#[test]
fn neither_database_nor_journal_holds_the_secret() {
    let (dir, state) = fresh();
    let (_, secret) = state.create_token(Role::Admin, "cli", None, NOW).unwrap();
    drop(state);
    let bytes = std::fs::read(dir.path().join("state.db")).unwrap();
    let secret = &secret.expose().as_bytes()[3..];
    assert!(!bytes.windows(secret.len()).any(|window| window == secret));
}

#[test]
fn labels_are_bounded() {
    let (_dir, state) = fresh();
    let refused = state.create_token(Role::Viewer, &"x".repeat(101), None, NOW).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidInput);
}
