use proptest::prelude::*;
use prost::Message;
use wk_types::Body;

use super::*;
use crate::testing::{NOW, context};

#[derive(Clone, PartialEq, Message)]
struct Push {
    #[prost(message, repeated, tag = "1")]
    streams: Vec<Stream>,
}

#[derive(Clone, PartialEq, Message)]
struct Stream {
    #[prost(string, tag = "1")]
    labels: String,
    #[prost(message, repeated, tag = "2")]
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Message)]
struct Entry {
    #[prost(message, optional, tag = "1")]
    timestamp: Option<Timestamp>,
    #[prost(bytes = "vec", tag = "2")]
    line: Vec<u8>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<Label>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

const LABELS: &str = r#"{host="bridge-pc", app="vsat", deck="4"}"#;

fn entry(line: &[u8]) -> Entry {
    let timestamp = Some(Timestamp { seconds: NOW.0 / 1_000, nanos: 7_000_000 });
    let metadata = vec![Label { name: "detected_level".into(), value: "error".into() }];
    Entry { timestamp, line: line.to_vec(), metadata }
}

fn packed(labels: &str, lines: &[&[u8]]) -> Vec<u8> {
    let entries = lines.iter().map(|line| entry(line)).collect();
    let push = Push { streams: vec![Stream { labels: labels.to_owned(), entries }] };
    snap::raw::Encoder::new().compress_vec(&push.encode_to_vec()).unwrap()
}

fn logs(parsed: ParsedPush) -> Vec<LogRecord> {
    let each = parsed.records.into_iter().flat_map(|record| match record.body {
        Body::Logs(logs) => logs.to_vec(),
        _ => Vec::new(),
    });
    each.collect()
}

const PROTOBUF: Option<&str> = Some("application/x-protobuf");
const JSON: Option<&str> = Some("application/json");

#[test]
fn json_and_protobuf_say_the_same() {
    let (context, _) = context("loki");
    let json = format!(
        r#"{{"streams":[{{"stream":{{"host":"bridge-pc","app":"vsat","deck":"4"}},
        "values":[["{}007000000","rain fade",{{"detected_level":"error"}}]]}}]}}"#,
        NOW.0 / 1_000
    );
    let from_json = logs(parse(&context, json.as_bytes(), JSON, None).unwrap());
    let from_protobuf = logs(parse(&context, &packed(LABELS, &[b"rain fade\n"]), PROTOBUF, None).unwrap());
    assert_eq!(from_json, from_protobuf);
    insta::assert_debug_snapshot!(from_json, @r#"
    [
        LogRecord {
            time: UtcMs(
                1780315200007,
            ),
            asset: AssetId(
                "bridge-pc",
            ),
            app: "vsat",
            severity: Major,
            message: "rain fade",
            attributes: {
                "deck": "4",
                "detected_level": "error",
            },
        },
    ]
    "#);
}

/// As Vector's `loki` sink writes it, and Fluent Bit's `loki` output.
#[test]
fn contract_bodies_of_vector_and_fluent_bit_are_read() {
    let (context, _) = context("loki");
    let vector = r#"{"streams":[{"stream":{"forwarder":"vector","host":"bridge-pc"},"values":[["1780315200000000000","{\"message\":\"link down\"}"]]}]}"#;
    let fluent_bit =
        r#"{"streams":[{"stream":{"job":"fluent-bit"},"values":[["1780315200123456789","{\"log\":\"link up\"}"]]}]}"#;
    let vector = logs(parse(&context, vector.as_bytes(), JSON, None).unwrap());
    let fluent_bit =
        logs(parse(&context, fluent_bit.as_bytes(), Some("application/json; charset=utf-8"), None).unwrap());
    assert_eq!((vector[0].asset.as_str(), &*vector[0].message), ("bridge-pc", r#"{"message":"link down"}"#));
    assert_eq!((&*fluent_bit[0].app, fluent_bit[0].time.0), ("fluent-bit", 1_780_315_200_123));
}

#[test]
fn lines_that_cannot_be_taken_leave_the_others() {
    let (context, _) = context("loki");
    let parsed = parse(&context, &packed(LABELS, &[b"good", b"\xff"]), PROTOBUF, None).unwrap();
    assert_eq!((parsed.rejected, parsed.reason), (1, "line is not UTF-8"));
    assert_eq!(logs(parsed).len(), 1);
    let parsed = parse(&context, &packed("{host=", &[b"a", b"b"]), PROTOBUF, None).unwrap();
    assert_eq!((parsed.rejected, parsed.reason), (2, "labels cannot be read"));
    let counted = context.stats.snapshot();
    assert_eq!((counted.received, counted.rejected.len()), (4, 2));
}

#[test]
fn bodies_beyond_the_bounds_are_refused() {
    let (context, _) = context("loki");
    let many = packed(LABELS, &vec![&b""[..]; LINES_MAX + 1]);
    assert_eq!(parse(&context, &many, PROTOBUF, None).unwrap_err().status(), 413);
    let deep = format!(r#"{{"streams":[{{"values":[{}]}}]}}"#, vec!["[]"; NESTED_MAX].join(","));
    assert_eq!(parse(&context, deep.as_bytes(), JSON, None).unwrap_err().status(), 413);
    // A block that claims to be large is refused before it is unpacked.
    assert_eq!(parse(&context, &[0xff, 0xff, 0xff, 0x7f, 0], PROTOBUF, None).unwrap_err().status(), 413);
    assert_eq!(parse(&context, b"x", Some("text/plain"), None).unwrap_err().status(), 415);
}

#[test]
fn a_time_that_cannot_be_read_is_that_of_receipt_and_counted() {
    let (context, _) = context("loki");
    let body = br#"{"streams":[{"stream":{},"values":[["noon","x"],[1780315199000000000,"y"]]}]}"#;
    let logs = logs(parse(&context, body, JSON, None).unwrap());
    assert_eq!([logs[0].time.0, logs[1].time.0], [NOW.0, NOW.0 - 1_000]);
    assert_eq!(context.stats.snapshot().flagged["time cannot be read"].count, 1);
}

proptest! {
    #[test]
    fn no_body_makes_the_reader_panic(body: Vec<u8>, at in 0_usize..100, byte: u8) {
        let (context, _) = context("loki");
        let _ = parse(&context, &body, JSON, None);
        let _ = parse(&context, &body, PROTOBUF, None);
        let _ = parse(&context, &snap::raw::Encoder::new().compress_vec(&body).unwrap(), PROTOBUF, None);
        let mut damaged = packed(LABELS, &[b"rain fade"]);
        let length = damaged.len();
        damaged[at % length] = byte;
        let _ = parse(&context, &damaged, PROTOBUF, None);
    }

    #[test]
    fn every_line_comes_out_as_it_went_in(lines in prop::collection::vec("[^\\r\\n]{0,40}", 0..20)) {
        let (context, _) = context("loki");
        let bytes: Vec<&[u8]> = lines.iter().map(String::as_bytes).collect();
        let logs = logs(parse(&context, &packed(LABELS, &bytes), PROTOBUF, None).unwrap());
        prop_assert_eq!(logs.iter().map(|log| log.message.to_string()).collect::<Vec<_>>(), lines);
    }
}
