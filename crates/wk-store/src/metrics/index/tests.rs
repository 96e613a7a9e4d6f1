use wk_types::AssetId;

use super::*;

fn index() -> Index {
    let mut index = Index::default();
    for (name, job) in [("up", "node"), ("up", "snmp"), ("load", "node"), ("bare", "")] {
        index.intern(&Series::new(Labels::metric(name, &[("job", job)]), AssetId::from("a")));
    }
    index
}

fn check(matchers: &[(&str, MatchOp, &str)], expected: &[u32]) {
    let matchers: Vec<Matcher> = matchers.iter().map(|(name, op, value)| Matcher::new(name, *op, value)).collect();
    let found = index().matching(&CompiledMatcher::compile(&matchers).unwrap());
    assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{matchers:?}");
}

#[test]
fn each_operator_selects_as_prometheus_does() {
    use MatchOp::{Equal, NotEqual, NotRegex, Regex};
    check(&[], &[0, 1, 2, 3]);
    check(&[("__name__", Equal, "up")], &[0, 1]);
    check(&[("__name__", Equal, "up"), ("job", Equal, "snmp")], &[1]);
    check(&[("__name__", NotEqual, "up")], &[2, 3]);
    check(&[("job", Regex, "no.*")], &[0, 2]);
    check(&[("job", Regex, "nod")], &[]);
    check(&[("job", NotRegex, "no.*")], &[1, 3]);
    check(&[("job", Regex, "snmp|node")], &[0, 1, 2]);
}

#[test]
fn an_absent_label_counts_as_the_empty_text() {
    use MatchOp::{Equal, NotEqual, NotRegex, Regex};
    check(&[("job", Equal, "")], &[3]);
    check(&[("job", NotEqual, "")], &[0, 1, 2]);
    check(&[("job", Regex, ".*")], &[0, 1, 2, 3]);
    check(&[("job", Regex, ".+")], &[0, 1, 2]);
    check(&[("job", NotRegex, ".+")], &[3]);
    check(&[("nowhere", Equal, "")], &[0, 1, 2, 3]);
    check(&[("nowhere", NotEqual, "x")], &[0, 1, 2, 3]);
    check(&[("nowhere", Equal, "x")], &[]);
}

#[test]
fn a_broken_pattern_is_named() {
    let error = CompiledMatcher::compile(&[Matcher::new("job", MatchOp::Regex, "(")]).unwrap_err();
    assert!(matches!(error, SourceError::BadPattern { pattern, .. } if pattern == "("));
}

#[test]
fn forgotten_series_leave_no_trace_and_no_number_is_used_twice() {
    let mut index = index();
    index.retain(&RoaringBitmap::from_iter([0, 2]));
    assert_eq!(index.len(), 2);
    let all = index.matching(&[]);
    assert_eq!(index.values("job", &all), ["node"]);
    assert_eq!(index.values("__name__", &all), ["load", "up"]);
    assert_eq!(index.intern(&Series::new(Labels::metric("bare", &[]), AssetId::from("a"))), 4);
}
