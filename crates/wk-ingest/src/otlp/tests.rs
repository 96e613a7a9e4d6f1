use proptest::prelude::*;
use prost::Message;

use super::message::{AnyValue, KeyValue, Value};
use super::*;
use crate::series_cache::SeriesCache;
use crate::testing::context;

/// An attribute that is a text.
pub fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(Value::Text(value.to_owned())) }) }
}

#[test]
fn content_types_name_the_encoding() {
    assert_eq!(Encoding::of(Some("application/json; charset=utf-8")).unwrap(), Encoding::Json);
    assert_eq!(Encoding::of(Some("application/x-protobuf")).unwrap(), Encoding::Protobuf);
    for other in [None, Some("text/plain")] {
        assert_eq!(Encoding::of(other).unwrap_err().status(), 415);
    }
}

#[test]
fn answers_say_what_was_not_taken() {
    let mut rejected = Rejections::default();
    assert_eq!(answer(Telemetry::Logs, Encoding::Json, &rejected), b"{}");
    assert!(answer(Telemetry::Metrics, Encoding::Protobuf, &rejected).is_empty());
    rejected.add("time out of range", 1, "a");
    rejected.add("time out of range", 2, "b");
    rejected.add("no metric name", 1, "");
    let json = String::from_utf8(answer(Telemetry::Metrics, Encoding::Json, &rejected)).unwrap();
    insta::assert_snapshot!(json, @r#"{"partialSuccess":{"errorMessage":"time out of range (3, such as b); no metric name (1)","rejectedDataPoints":"4"}}"#);
    let protobuf = Partial::decode(&*answer(Telemetry::Logs, Encoding::Protobuf, &rejected)).unwrap();
    assert_eq!(protobuf.success.unwrap().rejected, 4);
}

#[test]
fn a_body_of_very_many_objects_is_refused_before_it_is_read() {
    let body = format!(r#"{{"resourceLogs":[{}]}}"#, vec!["{}"; OBJECTS_MAX].join(","));
    let (context, _) = context("otlp");
    let error = logs::parse(&context, body.as_bytes(), Encoding::Json, None).unwrap_err();
    assert_eq!((error.status(), error.kind()), (413, ErrorKind::InvalidInput));
}

proptest! {
    #[test]
    fn no_body_makes_a_reader_panic(body: Vec<u8>) {
        let (context, _) = context("otlp");
        let (cache, starts) = (SeriesCache::default(), Starts::default());
        for encoding in [Encoding::Protobuf, Encoding::Json] {
            let _ = logs::parse(&context, &body, encoding, None);
            let _ = metrics::parse(&body, encoding, cache.request(&context, None), &starts);
        }
    }
}
