use proptest::prelude::*;

use super::*;

fn filter_of(texts: &[impl AsRef<str>]) -> Vec<u8> {
    let mut builder = FilterBuilder::new();
    for text in texts {
        builder.add_text(text.as_ref());
    }
    builder.finish()
}

#[test]
fn texts_that_are_nowhere_are_mostly_ruled_out() {
    let lines: Vec<String> = (0..2_000).map(|n| format!("session {n} opened for user deck{}", n % 7)).collect();
    let filter = filter_of(&lines);
    let strangers = ["segfault", "out of memory", "link down", "certificate expired", "refused", "overheat", "quench"];
    let wrong = strangers.iter().filter(|text| may_hold_text(&filter, text.as_bytes())).count();
    assert_eq!(wrong, 0);
}

#[test]
fn names_of_one_kind_are_not_names_of_the_other() {
    let mut builder = FilterBuilder::new();
    builder.add_name(NameKind::Asset, "bridge-1");
    builder.add_name(NameKind::App, "sshd");
    let filter = builder.finish();
    assert!(may_hold_name(&filter, NameKind::Asset, "bridge-1"));
    assert!(may_hold_name(&filter, NameKind::App, "sshd"));
    assert!(!may_hold_name(&filter, NameKind::App, "bridge-1"));
}

#[test]
fn a_builder_starts_afresh_after_each_group() {
    let mut builder = FilterBuilder::new();
    builder.add_text("purple haze");
    builder.finish();
    builder.add_text("green field");
    assert!(!may_hold_text(&builder.finish(), b"purple"));
}

#[test]
fn texts_below_the_run_length_are_never_ruled_out() {
    assert!(may_hold_text(&filter_of(&["abc"]), b"zz"));
}

proptest! {
    #[test]
    fn no_part_of_an_added_text_is_ruled_out(
        texts in proptest::collection::vec("\\PC{0,60}", 1..30), pick: prop::sample::Index, from: prop::sample::Index, length in 0_usize..20,
    ) {
        let filter = filter_of(&texts);
        let text = texts[pick.index(texts.len())].to_ascii_lowercase();
        let start = if text.is_empty() { 0 } else { from.index(text.len()) };
        let part = &text.as_bytes()[start..(start + length).min(text.len())];
        prop_assert!(may_hold_text(&filter, part));
    }

    #[test]
    fn filters_of_any_bytes_do_not_panic(filter: Vec<u8>, text in "\\PC{0,20}") {
        may_hold_text(&filter, text.as_bytes());
        may_hold_name(&filter, NameKind::App, &text);
    }
}
