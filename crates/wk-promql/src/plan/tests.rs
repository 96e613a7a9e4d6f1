use wk_types::labels::METRIC_NAME;
use wk_types::{ErrorKind, MatchOp};

use crate::query::Query;

fn lookbacks(query: &str) -> Vec<(i64, bool)> {
    let selectors = Query::parse(query).unwrap().selectors();
    selectors.iter().map(|selector| (selector.lookback.0 / 60_000, selector.fixed_time)).collect()
}

#[test]
fn selectors_say_how_far_back_they_read() {
    assert_eq!(lookbacks("up"), [(5, false)]);
    assert_eq!(lookbacks("rate(a[10m] offset 3m) / b offset 1m"), [(18, false), (6, false)]);
    assert_eq!(lookbacks("max_over_time(rate(a[10m])[1h:1m] offset 30m)"), [(105, false)]);
    assert_eq!(lookbacks("up offset -10m"), [(0, false)]);
    assert_eq!(lookbacks("topk(scalar(a), sum by (b) (c @ 5))"), [(5, false), (5, true)]);
    assert_eq!(lookbacks("time() + 1"), []);
}

#[test]
fn matchers_keep_their_operators() {
    let selectors = Query::parse(r#"up{a="1",b!="2",c=~"x|y",d!~"z{foo}"}"#).unwrap().selectors();
    let found: Vec<(&str, MatchOp, &str)> =
        selectors[0].matchers.iter().map(|matcher| (&*matcher.name, matcher.op, &*matcher.value)).collect();
    assert_eq!(
        found,
        [
            (METRIC_NAME, MatchOp::Equal, "up"),
            ("a", MatchOp::Equal, "1"),
            ("b", MatchOp::NotEqual, "2"),
            ("c", MatchOp::Regex, "x|y"),
            // What Go takes literally is escaped, so that every source can compile it.
            ("d", MatchOp::NotRegex, r"z\{foo}"),
        ]
    );
}

#[test]
fn what_is_not_supported_is_named() {
    let error = Query::parse("histogram_count(up)").unwrap_err();
    assert_eq!(error.to_string(), "function histogram_count(), which reads native histograms, is not supported");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[test]
fn wrong_text_is_refused() {
    let cases = [
        "",
        "up{",
        "sum(",
        "rate(up)",
        "up[5m] + 1",
        "up and 1",
        "1 > 2",
        "-\"a\"",
        "up[0s]",
        "up[1e300]",
        "up[NaN]",
        "up offset 1e30",
        "up @ 1e18",
        "nothing(up)",
        "label_replace(up, \"a\", \"b\", \"c\", \"(\")",
        "{}",
        "sum by (a) up",
        "count_values(up, up)",
        "topk(up, up)",
        "exp(Inf)",
        "quantile_over_time(up[5m], 1)",
    ];
    for text in cases {
        assert!(Query::parse(text).is_err(), "{text}");
    }
}
