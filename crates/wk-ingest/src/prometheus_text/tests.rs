use proptest::prelude::*;

use super::*;
use crate::testing::NOW;

fn show(text: &str, format: Format) -> String {
    let exposition = parse(text, format);
    let mut shown = Vec::new();
    for line in &exposition.lines {
        let labels = match labels(line.series) {
            Ok(pairs) => pairs.iter().map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<_>>().join(" "),
            Err(bad) => format!("{bad}: {}", line.series),
        };
        let time = line.time.map(|time| format!(" @{time}")).unwrap_or_default();
        shown.push(format!("{labels} -> {}{time}", line.value));
    }
    for (bad, line) in &exposition.rejected {
        shown.push(format!("{bad}: {line}"));
    }
    for (name, metadata) in &exposition.metadata {
        shown.push(format!("# {name} {} {:?} {}", metadata.kind, metadata.help, metadata.unit));
    }
    if !exposition.complete {
        shown.push("no end".to_owned());
    }
    shown.join("\n")
}

#[test]
fn the_example_of_the_format_s_page_is_read() {
    let text = r#"
# HELP http_requests_total The total number of HTTP requests.
# TYPE http_requests_total counter
http_requests_total{method="post",code="200"} 1027 1395066363000
http_requests_total{method="post",code="400"}    3 1395066363000

# Escaping in label values:
msdos_file_access_time_seconds{path="C:\\DIR\\FILE.TXT",error="Cannot find file:\n\"FILE.TXT\""} 1.458255915e9

# Minimalistic line:
metric_without_timestamp_and_labels 12.47

# A weird metric from before the epoch:
something_weird{problem="division by zero"} +Inf -3982045

# A histogram, which has a pretty complex representation in the text format:
# HELP http_request_duration_seconds A histogram of the request duration.
# TYPE http_request_duration_seconds histogram
http_request_duration_seconds_bucket{le="0.05"} 24054
http_request_duration_seconds_bucket{le="+Inf"} 144320
http_request_duration_seconds_sum 53423
"#;
    insta::assert_snapshot!(show(text, Format::Text), @r#"
    __name__="http_requests_total" method="post" code="200" -> 1027 @2014-03-17T14:26:03.000Z
    __name__="http_requests_total" method="post" code="400" -> 3 @2014-03-17T14:26:03.000Z
    __name__="msdos_file_access_time_seconds" path="C:\\DIR\\FILE.TXT" error="Cannot find file:\n\"FILE.TXT\"" -> 1458255915
    __name__="metric_without_timestamp_and_labels" -> 12.47
    __name__="http_request_duration_seconds_bucket" le="0.05" -> 24054
    __name__="http_request_duration_seconds_bucket" le="+Inf" -> 144320
    __name__="http_request_duration_seconds_sum" -> 53423
    bad timestamp: something_weird{problem="division by zero"} +Inf -3982045
    # http_request_duration_seconds histogram "A histogram of the request duration." 
    # http_requests_total counter "The total number of HTTP requests." 
    "#);
}

#[test]
fn openmetrics_has_seconds_exemplars_units_and_an_end() {
    let text = r#"# TYPE foo_seconds histogram
# UNIT foo_seconds seconds
# HELP foo_seconds How long \"it\" takes.\nReally.
foo_seconds_bucket{le="0.1"} 8 # {} 0.054
foo_seconds_bucket{le="1"} 10 1520879607.789 # {trace_id="KOO # 5"} 0.67 1520879607.7
foo_seconds_created 1.520872607123e+09
# EOF
behind_the_end 1
"#;
    insta::assert_snapshot!(show(text, Format::OpenMetrics), @r#"
    __name__="foo_seconds_bucket" le="0.1" -> 8
    __name__="foo_seconds_bucket" le="1" -> 10 @2018-03-12T18:33:27.789Z
    __name__="foo_seconds_created" -> 1520872607.123
    # foo_seconds histogram "How long \"it\" takes.\nReally." seconds
    "#);
    assert!(!parse("a 1\n", Format::OpenMetrics).complete);
    assert!(parse("a 1\n", Format::Text).complete);
}

#[test]
fn values_of_every_form_are_read() {
    let text = "a NaN\na +Inf\na -Inf\na Inf\na 1e-7\na -0\na 0x10\na 1_000\na\n";
    insta::assert_snapshot!(show(text, Format::Text), @r#"
    __name__="a" -> NaN
    __name__="a" -> inf
    __name__="a" -> -inf
    __name__="a" -> inf
    __name__="a" -> 0.0000001
    __name__="a" -> -0
    bad value: a 0x10
    bad value: a 1_000
    bad series: a
    "#);
}

#[test]
fn names_in_quotes_are_read() {
    let text = "{\"http.requests\",\"service.name\"=\"a\",b=\"c\"} 1\n{\"only.a.name\"} 2\n{\"a\\\"b\"} 3\n# TYPE \"http.requests\" counter\n";
    insta::assert_snapshot!(show(text, Format::Text), @r#"
    __name__="http.requests" service.name="a" b="c" -> 1
    __name__="only.a.name" -> 2
    __name__="a\"b" -> 3
    # http.requests counter "" 
    "#);
}

#[test]
fn spaces_commas_and_braces_inside_values_do_not_confuse() {
    let text = "m { a = \"x}y\" , b=\"1,2=3\", } 4\t1780315200000\nm{} 5\nm\t6\n  m{c=\"\\\\\"} 7  \n";
    insta::assert_snapshot!(show(text, Format::Text), @r#"
    __name__="m" a="x}y" b="1,2=3" -> 4 @2026-06-01T12:00:00.000Z
    __name__="m" -> 5
    __name__="m" -> 6
    __name__="m" c="\\" -> 7
    "#);
}

#[test]
fn damaged_lines_are_rejected_and_their_neighbours_read() {
    let text = "good 1\n9bad 1\nm{a=\"x} 1\nm{a=\"x\"\nm 1 2 3\nm{a=\"x\"}\nm 1 soon\n-m 1\nlast 2\n";
    insta::assert_snapshot!(show(text, Format::Text), @r#"
    __name__="good" -> 1
    __name__="last" -> 2
    bad series: 9bad 1
    bad series: m{a="x} 1
    bad series: m{a="x"
    bad timestamp: m 1 2 3
    bad value: m{a="x"}
    bad timestamp: m 1 soon
    bad series: -m 1
    "#);
    let broken = parse("m{a=x} 1\nm{a} 1\nm{\"n\",,} 1\n", Format::Text);
    assert!(broken.lines.iter().all(|line| labels(line.series) == Err(BadLine::Series)));
}

#[test]
fn labels_beyond_the_bound_are_refused() {
    let many: Vec<String> = (0..LABELS_MAX + 1).map(|at| format!("l{at}=\"v\"")).collect();
    assert_eq!(labels(&format!("m{{{}}}", many.join(","))), Err(BadLine::Series));
}

#[test]
fn descriptions_are_bounded() {
    let text: String = (0..FAMILIES_MAX + 5).map(|at| format!("# TYPE m{at} gauge\n")).collect();
    assert_eq!(parse(&text, Format::Text).metadata.len(), FAMILIES_MAX);
}

#[test]
fn the_content_type_names_the_format() {
    assert_eq!(Format::of(Some("application/openmetrics-text; version=1.0.0; charset=utf-8")), Format::OpenMetrics);
    for text in [None, Some("text/plain; version=0.0.4"), Some("")] {
        assert_eq!(Format::of(text), Format::Text);
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_back(
        name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,10}",
        pairs in proptest::collection::btree_map("[a-zA-Z_][a-zA-Z0-9_]{0,8}", "(\\PC|\n|\\\\|\"){0,12}", 0..5),
        value in any::<f64>(),
        time in proptest::option::of(0_i64..1_000_000_000),
    ) {
        let inside: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
        let time = time.map(|after| UtcMs(NOW.0 + after));
        let suffix = time.map(|time| format!(" {}", time.0)).unwrap_or_default();
        let text = format!("{name}{{{}}} {value:?}{suffix}\n", inside.join(","));
        let exposition = parse(&text, Format::Text);
        prop_assert!(exposition.rejected.is_empty(), "{text}");
        let line = exposition.lines[0];
        prop_assert_eq!(line.value.to_bits() == value.to_bits() || value.is_nan(), true);
        prop_assert_eq!(line.time, time);
        let read = labels(line.series).unwrap();
        let expected: Vec<_> = std::iter::once(("__name__", name.as_str()))
            .chain(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())))
            .collect();
        let read: Vec<_> = read.iter().map(|(name, value)| (&**name, &**value)).collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn hostile_text_is_answered(text in "\\PC{0,200}") {
        for format in [Format::Text, Format::OpenMetrics] {
            for line in parse(&text, format).lines {
                let _ = labels(line.series);
            }
        }
    }

    #[test]
    fn text_close_to_the_grammar_is_answered(text in "([a-z]{0,2}|[{}=,#\"\\\\ \n\t]|é|[0-9.]{1,3}|EOF|HELP |TYPE ){0,60}") {
        for format in [Format::Text, Format::OpenMetrics] {
            for line in parse(&text, format).lines {
                let _ = labels(line.series);
            }
        }
    }
}
