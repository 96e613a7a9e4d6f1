use super::*;
use crate::query::Query;

#[test]
fn size_and_nesting_are_bounded() {
    let nested = |depth: usize| format!("{}1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Query::parse(&nested(NESTING_MAX - 1)).is_ok());
    for text in [
        nested(NESTING_MAX),
        nested(TOKENS_MAX / 2 - 1),
        "-".repeat(TEXT_BYTES_MAX),
        "- ".repeat(TOKENS_MAX + 1),
        vec!["a"; NESTING_MAX + 1].join(" or "),
        vec!["a"; TOKENS_MAX].join(" or "),
        format!("a[{}1m{}]", "(".repeat(NESTING_MAX), ")".repeat(NESTING_MAX)),
        format!("a[{}]", vec!["1m"; NESTING_MAX + 1].join("+")),
        "a".repeat(TEXT_BYTES_MAX + 1),
    ] {
        assert!(matches!(Query::parse(&text), Err(QueryError::TooLarge { .. })), "{}", &text[..20]);
    }
    // What stands in quotes is no operator.
    assert!(Query::parse(&format!("a{{b=\"{}\"}}", "+(".repeat(TOKENS_MAX))).is_ok());
}

#[test]
fn a_refusal_says_where_and_what_would_do() {
    let cases = [
        ("up +", "1:5: unexpected end of the query, expected a number, a text, a selector or a function"),
        ("sum(\n  up\n  ]", "3:3: unexpected \"]\", expected \",\" or \")\""),
        ("up{job=api}", "1:8: unexpected \"api\", expected a text in quotes"),
        ("rate(up)", "1:6: rate() needs a range vector as argument 1, got instant vector"),
        ("nothing(up)", "1:1: unknown function with name \"nothing\""),
        ("up[5]m]", "1:6: unexpected \"m\", expected an operator or the end of the query"),
        ("up[1h1d]", "1:4: bad number or duration syntax: \"1h1d\""),
        ("(up) offset 5m", "1:6: offset modifier must be preceded by a selector or a subquery"),
        ("sum(up)[5m]", "1:8: ranges only allowed for vector selectors; a subquery is written [range:step]"),
        ("up{a=\"b", "1:6: unterminated quoted text; close its quote"),
        ("up[-5m]", "1:4: duration must be greater than 0"),
        ("up = 1", "1:4: unexpected \"=\", expected an operator; comparison is \"==\", matchers stand in braces"),
    ];
    for (text, message) in cases {
        assert_eq!(Query::parse(text).unwrap_err().to_string(), format!("could not parse the query at {message}"));
    }
}

#[test]
fn keywords_are_names_where_no_keyword_can_stand() {
    for text in ["sum", "by", "offset", "bool + on", "fill", "anchored", "start", "group_left{by=\"1\"}", "STEP() + 1"]
    {
        assert!(Query::parse(text).is_ok(), "{text}: {:?}", Query::parse(text));
    }
}

#[test]
fn quoted_names_and_escapes_are_read() {
    let query = Query::parse(r#"{"http.requests", "my label"="a\x41\u00e9\101\n", b='it''s'}"#);
    assert!(query.is_err(), "two texts next to each other");
    let query = Query::parse(r#"{"http.requests", "my label"="a\x41\u00e9\101\n", c=`raw\n`}"#).unwrap();
    let found: Vec<(String, String)> = query.selectors()[0]
        .matchers
        .iter()
        .map(|matcher| (matcher.name.to_string(), matcher.value.to_string()))
        .collect();
    let expected = [("__name__", "http.requests"), ("my label", "aAéA\n"), ("c", "raw\\n")];
    assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn durations_have_their_units_in_order() {
    for (text, ms) in [("5m", 300_000), ("1h30m", 5_400_000), ("1y2w3d4h5m6s7ms", 33_019_506_007), ("0", 0)] {
        assert_eq!(parse_duration(text).map(|span| span.0), Some(ms), "{text}");
    }
    for text in ["", "5", "m", "30m1h", "1m1m", "1.5h", "-5m", "9999999999999y"] {
        assert_eq!(parse_duration(text), None, "{text}");
    }
}

#[test]
fn patterns_of_go_mean_the_same() {
    let cases = [
        ("z{foo}", r"z\{foo}"),
        ("a{2,3}", "a{2,3}"),
        (r"\d+", "[0-9]+"),
        (r"[\w.]+", "[0-9A-Za-z_.]+"),
        (r"[[:alpha:]]x", "[[:alpha:]]x"),
        ("[a[b&&c]", r"[a\[b\&\&c]"),
        (r"\pL\p{Greek}", r"\pL\p{Greek}"),
        ("[]a]", r"[\]a]"),
    ];
    for (go, rust) in cases {
        assert_eq!(from_go(go), rust);
        assert!(regex::Regex::new(rust).is_ok(), "{rust}");
    }
}
