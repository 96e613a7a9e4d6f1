use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::records::{LOGS_PER_RECORD_MAX, RECORD_BYTES_AIM, log_bytes};
use crate::testing::{NOW, context};
use wk_types::Body;

fn show(parsed: &ParsedLogs<'_>) -> Value {
    let records: Vec<Value> = parsed
        .records
        .iter()
        .map(|log| {
            json!({
                "time": log.time.map(|time| time.to_string()), "host": log.host, "app": log.app,
                "severity": log.severity, "message": log.message, "attributes": log.attributes, "flags": log.flags,
            })
        })
        .collect();
    let rejected: Vec<String> =
        parsed.rejected.iter().map(|one| format!("{}: {}: {}", one.line, one.reason, one.example)).collect();
    json!({ "records": records, "rejected": rejected })
}

fn read(body: &str) -> ParsedLogs<'_> {
    parse(body.as_bytes())
}

fn one(body: &str) -> ParsedLog<'_> {
    let parsed = read(body);
    assert_eq!((parsed.records.len(), parsed.rejected_count), (1, 0), "{body}");
    parsed.records.into_iter().next().unwrap()
}

#[test]
fn vectors_http_sink_is_read() {
    let body = r#"[{"appname":"cron","facility":"daemon","host":"bridge-pc","hostname":"bridge-pc","message":"job ended","msgid":"ID8","procid":812,"severity":"warning","source_ip":"10.0.0.2","source_type":"syslog","timestamp":"2026-06-01T11:59:58.123456789Z","version":1}]"#;
    insta::assert_json_snapshot!(show(&read(body)), @r#"
    {
      "records": [
        {
          "app": "cron",
          "attributes": {
            "facility": "daemon",
            "hostname": "bridge-pc",
            "level": "warning",
            "msgid": "ID8",
            "procid": "812",
            "source_ip": "10.0.0.2",
            "source_type": "syslog",
            "version": "1"
          },
          "flags": [],
          "host": "bridge-pc",
          "message": "job ended",
          "severity": "minor",
          "time": "2026-06-01T11:59:58.123Z"
        }
      ],
      "rejected": []
    }
    "#);
}

#[test]
fn fluent_bits_http_output_is_read() {
    let body = r#"[{"date":1780315198.25,"log":"2 disks failed\n","stream":"stderr","hostname":"nas","level":"ERROR","kubernetes":{"pod":{"name":"raid-0"},"labels":{"app":"raid"}}},{"date":1780315199.5,"cpu_p":12.5,"user_p":3}]"#;
    insta::assert_json_snapshot!(show(&read(body)), @r#"
    {
      "records": [
        {
          "app": "",
          "attributes": {
            "kubernetes.labels.app": "raid",
            "kubernetes.pod.name": "raid-0",
            "level": "ERROR",
            "stream": "stderr"
          },
          "flags": [],
          "host": "nas",
          "message": "2 disks failed",
          "severity": "major",
          "time": "2026-06-01T11:59:58.250Z"
        },
        {
          "app": "",
          "attributes": {
            "cpu_p": "12.5",
            "user_p": "3"
          },
          "flags": [],
          "host": null,
          "message": "{\"cpu_p\":12.5,\"date\":1780315199.5,\"user_p\":3}",
          "severity": "info",
          "time": "2026-06-01T11:59:59.500Z"
        }
      ],
      "rejected": []
    }
    "#);
}

#[test]
fn json_lines_reject_only_the_damaged_line() {
    let body = "\u{feff}{\"time\":\"2026-06-01T12:00:00+02:00\",\"msg\":\"a\",\"service\":\"gps\"}\r\n{broken\n\n42\n{\"@timestamp\":\"1780315200250\",\"message\":\"b\",\"level\":3}\n";
    insta::assert_json_snapshot!(show(&read(body)), @r#"
    {
      "records": [
        {
          "app": "gps",
          "attributes": {},
          "flags": [],
          "host": null,
          "message": "a",
          "severity": "info",
          "time": "2026-06-01T10:00:00.000Z"
        },
        {
          "app": "",
          "attributes": {
            "level": "3"
          },
          "flags": [],
          "host": null,
          "message": "b",
          "severity": "major",
          "time": "2026-06-01T12:00:00.250Z"
        }
      ],
      "rejected": [
        "2: not valid JSON: {broken",
        "4: not a JSON object: 42"
      ]
    }
    "#);
}

#[test]
fn an_array_keeps_what_stands_before_the_damage() {
    let parsed = read(r#"[{"msg":"a"}, 7, {"msg":"b"}, {"msg":"#);
    let messages: Vec<&str> = parsed.records.iter().map(|log| &*log.message).collect();
    assert_eq!(messages, ["a", "b"]);
    let lines: Vec<(usize, &str)> = parsed.rejected.iter().map(|one| (one.line, one.reason)).collect();
    assert_eq!(lines, [(2, "not a JSON object"), (4, "not valid JSON")]);
    assert_eq!(read("[{\"msg\":\"a\"}] trailing").rejected_count, 1);
}

#[test]
fn objects_may_follow_each_other_or_spread_over_lines() {
    assert_eq!(read(r#"{"msg":"a"}{"msg":"b"}"#).records.len(), 2);
    let pretty = "{\n  \"msg\": \"a\",\n  \"level\": \"warn\"\n}\n{\n  \"msg\": \"b\"\n}\n";
    let parsed = read(pretty);
    assert_eq!((parsed.records.len(), parsed.rejected_count), (2, 0));
    assert_eq!(parsed.records[0].severity, Severity::Minor);
}

#[test]
fn an_empty_body_holds_nothing() {
    for body in ["", " \r\n \n", "[]", "\u{feff}"] {
        let parsed = read(body);
        assert_eq!((parsed.records.len(), parsed.rejected_count), (0, 0), "{body:?}");
    }
}

#[test]
fn every_form_of_time_is_read() {
    for time in [
        "\"2026-06-01T12:00:00Z\"",
        "\"2026-06-01 12:00:00Z\"",
        "\"2026-06-01T14:00:00+02:00\"",
        "1780315200",
        "1780315200.0",
        "1780315200000",
        "1780315200000000",
        "1780315200000000000",
        "\"1780315200\"",
        "\"1780315200.0\"",
        "1.7803152e9",
    ] {
        let body = format!("{{\"time\":{time},\"msg\":\"x\"}}");
        let log = one(&body);
        assert_eq!(log.time, Some(NOW), "{time}");
    }
}

#[test]
fn a_time_that_cannot_be_read_stays_as_an_attribute() {
    let log = one(r#"{"time":"yesterday","msg":"x"}"#);
    assert_eq!((log.time, &*log.attributes["time"], &log.flags[..]), (None, "yesterday", &["time cannot be read"][..]));
    let second = one(r#"{"timestamp":"never","date":1780315200,"msg":"x"}"#);
    assert_eq!((second.time, &*second.attributes["timestamp"]), (Some(NOW), "never"));
}

#[test]
fn names_are_read_from_texts_and_from_objects() {
    let log = one(r#"{"host":{"name":"nas","ip":"10.0.0.3"},"service":{"name":"smb"},"msg":"x"}"#);
    assert_eq!((log.host.as_deref(), &*log.app), (Some("nas"), "smb"));
    let log = one(r#"{"host":{"ip":"10.0.0.3"},"hostname":"nas","msg":"x"}"#);
    assert_eq!((log.host.as_deref(), &*log.attributes["host.ip"]), (Some("nas"), "10.0.0.3"));
}

#[test]
fn levels_are_words_syslog_codes_or_tens() {
    let expected = [
        ("\"FATAL\"", Severity::Critical),
        ("\"Warning\"", Severity::Minor),
        ("\"debug\"", Severity::Info),
        ("\"4\"", Severity::Minor),
        ("0", Severity::Critical),
        ("50", Severity::Major),
        ("20", Severity::Info),
    ];
    for (level, severity) in expected {
        assert_eq!(one(&format!("{{\"severity\":{level},\"msg\":\"x\"}}")).severity, severity, "{level}");
    }
    let odd = one(r#"{"level":"purple","msg":"x"}"#);
    assert_eq!((odd.severity, &*odd.attributes["level"]), (Severity::Info, "purple"));
}

#[test]
fn attributes_are_bounded_in_depth_and_number() {
    let deep = format!("{{\"msg\":\"x\",{}1{}}}", "\"a\":{".repeat(20) + "\"b\":", "}".repeat(20));
    let log = one(&deep);
    assert_eq!(log.attributes.len(), 1);
    assert!(log.attributes.keys().all(|name| name.matches('.').count() < 8));
    let wide: Vec<String> = (0..200).map(|at| format!("\"k{at}\":1")).collect();
    let body = format!("{{\"msg\":\"x\",{}}}", wide.join(","));
    let log = one(&body);
    assert_eq!((log.attributes.len(), &log.flags[..]), (64, &["attributes left out"][..]));
}

#[test]
fn nesting_beyond_reason_is_rejected() {
    let body = format!("{{\"msg\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let parsed = read(&body);
    assert_eq!((parsed.records.len(), parsed.rejected[0].reason), (0, "not valid JSON"));
}

#[test]
fn long_messages_are_cut_and_flagged() {
    let body = format!("{{\"msg\":\"{}\"}}", "é".repeat(MESSAGE_BYTES_MAX));
    let log = one(&body);
    assert_eq!((log.message.len(), &log.flags[..]), (MESSAGE_BYTES_MAX, &["message cut at 64 KiB"][..]));
}

#[test]
fn records_are_attributed_and_counted() {
    let (context, _) = context("json-logs");
    let body = "{\"msg\":\"a\",\"host\":\"bridge-pc\"}\n{\"msg\":\"b\",\"host\":\"galley-tv\",\"time\":5}\n{\n";
    let records = records(&context, read(body), Some("127.0.0.1".parse().unwrap()));
    let Body::Logs(logs) = &records[0].body else { panic!("logs are expected") };
    let assets: Vec<&str> = logs.iter().map(|log| log.asset.as_str()).collect();
    assert_eq!(assets, ["bridge-pc", "unknown"]);
    assert_eq!((logs[1].time, &*logs[1].attributes["host"]), (NOW, "galley-tv"));
    let stats = context.stats.snapshot();
    assert_eq!((stats.received, stats.rejected["not valid JSON"].count), (3, 1));
    assert_eq!(stats.flagged["clock differs"].count, 1);
}

#[test]
fn large_requests_become_several_records() {
    let (context, _) = context("json-logs");
    let body = "{\"msg\":\"a\"}\n".repeat(LOGS_PER_RECORD_MAX + 1);
    let sizes: Vec<usize> = records(&context, read(&body), None).iter().map(|record| record.body.items()).collect();
    assert_eq!(sizes, [LOGS_PER_RECORD_MAX, 1]);
}

#[test]
fn a_request_of_long_messages_becomes_records_that_the_log_takes() {
    let (context, _) = context("json-logs");
    let line = format!("{{\"msg\":\"{}\",\"detail\":\"{}\"}}\n", "m".repeat(60 * 1024), "d".repeat(8 * 1024));
    let records = records(&context, read(&line.repeat(200)), None);
    assert_eq!(records.iter().map(|record| record.body.items()).sum::<usize>(), 200);
    for record in &records {
        let Body::Logs(logs) = &record.body else { panic!("logs are expected") };
        assert!(logs.iter().map(log_bytes).sum::<usize>() <= RECORD_BYTES_AIM);
    }
}

proptest! {
    #[test]
    fn hostile_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
    }

    #[test]
    fn text_close_to_json_is_answered(text in "([\\[\\]{},:\n ]|\"[a-z]{0,3}\"|\"time\":|\"msg\":|[0-9.e-]{1,4}|true|null){0,40}") {
        let parsed = read(&text);
        prop_assert!(parsed.records.len() <= text.len());
    }

    #[test]
    fn any_number_as_time_is_answered(number in any::<i64>(), float in any::<f64>()) {
        let _ = read(&format!("{{\"time\":{number},\"msg\":\"x\"}}\n{{\"time\":{float:e},\"msg\":\"x\"}}"));
    }
}

#[test]
fn the_level_of_elastic_common_schema_is_found() {
    let log =
        one(r#"{"@timestamp":"2026-06-01T12:00:00Z","message":"x","log":{"level":"error","file":{"path":"/a"}}}"#);
    assert_eq!((log.severity, &*log.attributes["log.file.path"]), (Severity::Major, "/a"));
}

#[test]
fn nested_values_are_counted_outside_of_texts() {
    assert_eq!(nested_in(br#"{"a":"{[{\"{","b":[{}]}"#), 3);
}
