use proptest::prelude::*;

use super::*;

fn literals(text: &str) -> Vec<String> {
    Regular::new(text).unwrap().literals().map(|literal| String::from_utf8_lossy(literal).into_owned()).collect()
}

#[test]
fn what_every_match_holds_is_known() {
    assert_eq!(literals("link (is )?down"), ["link ", "down"]);
    assert_eq!(literals("Failed password for (root|admin) from"), ["failed password for ", " from"]);
    assert_eq!(literals("(?i)Error[0-9]+x"), ["error", "x"]);
    assert_eq!(literals("(?i)disk"), ["di"]);
    assert_eq!(literals("^(?:abc)+$"), ["abc"]);
    assert_eq!(literals(".*"), Vec::<String>::new());
    assert_eq!(literals("a|b"), Vec::<String>::new());
}

#[test]
fn what_is_no_expression_or_too_large_is_refused() {
    for text in ["(", "a{1000}{1000}", &"x".repeat(PATTERN_BYTES_MAX + 1)] {
        assert!(Regular::new(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn a_matching_text_holds_all_literals(
        expression in r"(\(\?i\))?([a-cK]|[a-c]\?|\(ab\|c\)|[ab]\+|\.|\[ab\]|\(a\)\{2\}){1,8}",
        text in r"[a-cA-CkK\u{212a}]{0,12}",
    ) {
        let regular = Regular::new(&expression).unwrap();
        let folded = text.to_ascii_lowercase();
        if regular.is_match(&text) {
            for literal in regular.literals() {
                let is_held = folded.as_bytes().windows(literal.len()).any(|window| window == literal);
                prop_assert!(is_held, "{} in {}", String::from_utf8_lossy(literal), folded);
            }
        }
    }
}
