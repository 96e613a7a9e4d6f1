use proptest::prelude::*;

use super::*;

fn like(pattern: &str, text: &str) -> bool {
    Pattern::like(pattern).unwrap().matches(text, &mut String::new())
}

#[test]
fn parts_are_found_in_any_ascii_case() {
    let pattern = Pattern::contains("Link DOWN").unwrap();
    assert!(pattern.matches("eth0: link down, flaps 3", &mut String::new()));
    assert!(!pattern.matches("eth0: link is down", &mut String::new()));
}

#[test]
fn overlong_patterns_are_refused() {
    assert!(Pattern::contains(&"x".repeat(PATTERN_BYTES_MAX + 1)).is_err());
    assert!(Pattern::like(&"%".repeat(PATTERN_BYTES_MAX + 1)).is_err());
}

#[test]
fn literals_are_what_every_match_holds() {
    let pattern = Pattern::like("%Disk _d%FULL").unwrap();
    assert_eq!(pattern.literals().collect::<Vec<_>>(), [&b"disk "[..], b"d", b"full"]);
}

#[test]
fn the_worst_pattern_still_ends() {
    assert!(!like(&"%a".repeat(400), &"a".repeat(399)));
}

proptest! {
    #[test]
    fn like_agrees_with_sqlite(pattern in "[aAbßé%_]{0,8}", text in "[aAbBßÉé]{0,12}") {
        let sqlite = rusqlite::Connection::open_in_memory().unwrap();
        let expected: bool = sqlite.query_row("SELECT ?2 LIKE ?1", (&pattern, &text), |row| row.get(0)).unwrap();
        prop_assert_eq!(like(&pattern, &text), expected);
    }
}
