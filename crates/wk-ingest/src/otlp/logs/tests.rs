use proptest::prelude::*;

use super::*;
use crate::otlp::message::{ArrayValue, KeyValueList, Value};
use crate::otlp::tests::attribute;
use crate::testing::{NOW, context};
use wk_types::{Body, DurationMs};

#[derive(Clone, PartialEq, prost::Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ResourceLogs {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_logs: Vec<ScopeLogs>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ScopeLogs {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    log_records: Vec<LogRecord>,
}

fn request(records: Vec<LogRecord>) -> Vec<u8> {
    let resource = Resource {
        attributes: vec![
            attribute("service.name", "vsat"),
            attribute("host.name", "bridge-pc"),
            attribute("rack", "2"),
        ],
    };
    let scope_logs = vec![ScopeLogs { scope: Some(Scope { name: "modem".into() }), log_records: records }];
    Request { resource_logs: vec![ResourceLogs { resource: Some(resource), scope_logs }] }.encode_to_vec()
}

fn body(value: Value) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

fn record(message: &str) -> LogRecord {
    LogRecord {
        time_unix_nano: NOW.0 as u64 * 1_000_000,
        severity_number: 17,
        severity_text: "ERROR".into(),
        body: body(Value::Text(message.into())),
        attributes: vec![attribute("port", "7")],
        trace_id: vec![0xab; 16],
        ..LogRecord::default()
    }
}

fn read(body: &[u8], encoding: Encoding) -> (Vec<wk_types::LogRecord>, Rejections) {
    let (context, _) = context("otlp");
    let parsed = parse(&context, body, encoding, None).unwrap();
    let logs = parsed.records.into_iter().flat_map(|record| match record.body {
        Body::Logs(logs) => logs.to_vec(),
        _ => Vec::new(),
    });
    (logs.collect(), parsed.rejected)
}

#[test]
fn a_record_keeps_who_when_how_bad_and_everything_else() {
    let (logs, rejected) = read(&request(vec![record("rain fade")]), Encoding::Protobuf);
    assert_eq!(rejected.count(), 0);
    insta::assert_debug_snapshot!(logs[0], @r#"
    LogRecord {
        time: UtcMs(
            1780315200000,
        ),
        asset: AssetId(
            "bridge-pc",
        ),
        app: "vsat",
        severity: Major,
        message: "rain fade",
        attributes: {
            "level": "ERROR",
            "port": "7",
            "rack": "2",
            "scope": "modem",
            "trace_id": "abababababababababababababababab",
        },
    }
    "#);
}

/// As the OpenTelemetry collector's `otlphttp` exporter writes it with `encoding: json`.
#[test]
fn contract_json_of_the_collector_is_read_like_protobuf() {
    let json = format!(
        r#"{{"resourceLogs":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"vsat"}}}},
        {{"key":"host.name","value":{{"stringValue":"bridge-pc"}}}},{{"key":"rack","value":{{"intValue":"2"}}}}]}},
        "scopeLogs":[{{"scope":{{"name":"modem"}},"logRecords":[{{"timeUnixNano":"{}","observedTimeUnixNano":"1",
        "severityNumber":17,"severityText":"ERROR","body":{{"stringValue":"rain fade"}},
        "attributes":[{{"key":"port","value":{{"intValue":7}}}}],"droppedAttributesCount":0,"flags":0,
        "traceId":"abababababababababababababababab","spanId":""}}]}}],"schemaUrl":"x"}}]}}"#,
        NOW.0 * 1_000_000
    );
    let expected = read(&request(vec![record("rain fade")]), Encoding::Protobuf);
    assert_eq!(read(json.as_bytes(), Encoding::Json), expected);
}

#[test]
fn values_of_every_kind_become_text() {
    let pair = |key: &str, value| KeyValue { key: key.into(), value: body(value) };
    let list = KeyValueList { values: vec![pair("a", Value::Int(1)), pair("b", Value::Bool(true))] };
    let array = ArrayValue { values: vec![AnyValue::default(), AnyValue { value: Some(Value::Double(f64::NAN)) }] };
    let attributes = vec![
        pair("list", Value::List(list.clone())),
        pair("array", Value::Array(array)),
        pair("bytes", Value::Bytes(vec![1, 2, 3])),
        pair("half", Value::Double(0.5)),
    ];
    let one = LogRecord { body: body(Value::List(list)), attributes, ..record("") };
    let (logs, _) = read(&request(vec![one]), Encoding::Protobuf);
    assert_eq!(&*logs[0].message, r#"{"a":1,"b":true}"#);
    let shown = |name: &str| logs[0].attributes[name].to_string();
    let names = ["list.a", "list.b", "array", "bytes", "half"];
    assert_eq!(names.map(shown), ["1", "true", r#"[null,"NaN"]"#, "AQID", "0.5"]);
}

#[test]
fn severities_map_by_number_and_else_by_word() {
    let cases = [
        (1, "", "info"),
        (12, "", "info"),
        (13, "", "minor"),
        (20, "", "major"),
        (24, "", "critical"),
        (0, "WARN", "minor"),
        (0, "", "info"),
    ];
    for (number, word, expected) in cases {
        let one = LogRecord { severity_number: number, severity_text: word.into(), ..LogRecord::default() };
        assert_eq!(severity(&one).as_str(), expected, "{number} {word}");
    }
}

#[test]
fn a_record_without_a_time_has_that_of_its_observation_or_receipt() {
    let seen = (NOW - DurationMs::from_secs(5)).0 as u64 * 1_000_000;
    let observed = LogRecord { time_unix_nano: 0, observed_time_unix_nano: seen, ..record("a") };
    let none = LogRecord { time_unix_nano: 0, ..record("b") };
    let (logs, _) = read(&request(vec![observed, none]), Encoding::Protobuf);
    assert_eq!([logs[0].time, logs[1].time], [NOW - DurationMs::from_secs(5), NOW]);
}

#[test]
fn a_record_that_cannot_be_decoded_leaves_the_others() {
    let mut bad = record("good text");
    bad.body = body(Value::Text("marker".into()));
    let mut bytes = request(vec![record("first"), bad, record("last")]);
    let at = memchr::memmem::find(&bytes, b"marker").unwrap();
    bytes[at] = 0xff;
    let (logs, rejected) = read(&bytes, Encoding::Protobuf);
    assert_eq!(logs.iter().map(|log| &*log.message).collect::<Vec<_>>(), ["first", "last"]);
    assert_eq!(rejected.count(), 1);
}

#[test]
fn very_many_records_are_refused_as_a_whole() {
    let (context, _) = context("otlp");
    let many = request(vec![LogRecord::default(); RECORDS_MAX + 1]);
    assert_eq!(parse(&context, &many, Encoding::Protobuf, None).unwrap_err().status(), 413);
}

#[test]
fn long_texts_are_cut_and_counted() {
    let (context, _) = context("otlp");
    let long = "é".repeat(MESSAGE_BYTES_MAX);
    let parsed = parse(&context, &request(vec![record(&long)]), Encoding::Protobuf, None).unwrap();
    let Body::Logs(logs) = &parsed.records[0].body else { panic!("logs were sent") };
    assert_eq!(logs[0].message.len(), MESSAGE_BYTES_MAX);
    assert_eq!(context.stats.snapshot().flagged["message cut at 64 KiB"].count, 1);
}

proptest! {
    #[test]
    fn no_damage_makes_the_reader_panic(at in 0_usize..200, byte: u8, cut in 0_usize..200) {
        let (context, _) = context("otlp");
        let mut bytes = request(vec![record("rain fade"), record("link down")]);
        let length = bytes.len();
        bytes[at % length] = byte;
        let _ = parse(&context, &bytes, Encoding::Protobuf, None);
        bytes.truncate(cut % length);
        let _ = parse(&context, &bytes, Encoding::Protobuf, None);
    }

    #[test]
    fn every_text_comes_out_as_it_went_in(texts in prop::collection::vec("[^\\x00]{0,40}", 0..20)) {
        let (logs, _) = read(&request(texts.iter().map(|text| record(text)).collect()), Encoding::Protobuf);
        prop_assert_eq!(logs.iter().map(|log| log.message.to_string()).collect::<Vec<_>>(), texts);
    }
}
