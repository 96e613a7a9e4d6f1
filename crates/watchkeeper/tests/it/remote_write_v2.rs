//! Remote write 2.0 as a sender makes it, and what it is answered.

use std::time::Duration;

use prost::Message;
use serde_json::{Value, json};

use crate::harness::{Node, Read, until};
use crate::remote_write::now_ms;

const CONTENT_TYPE: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(string, repeated, tag = "4")]
    symbols: Vec<String>,
    #[prost(message, repeated, tag = "5")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(uint32, repeated, tag = "1")]
    labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    histograms: Vec<Histogram>,
    #[prost(message, optional, tag = "5")]
    metadata: Option<Metadata>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Histogram {
    #[prost(double, tag = "3")]
    sum: f64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Metadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(uint32, tag = "3")]
    help_ref: u32,
}

/// Two series, of which the second has native histograms where `histograms` says so.
fn request(histograms: usize) -> Request {
    let symbols = ["", "__name__", "beacons_total", "instance", "localhost:1", "Beacons seen.", "range"];
    let sample = Sample { value: 42.0, timestamp: now_ms() };
    let first = TimeSeries {
        labels_refs: vec![1, 2, 3, 4],
        samples: vec![sample],
        metadata: Some(Metadata { kind: 1, help_ref: 5 }),
        ..TimeSeries::default()
    };
    let second = TimeSeries {
        labels_refs: vec![1, 6, 3, 4],
        samples: vec![sample],
        histograms: vec![Histogram { sum: 1.0 }; histograms],
        ..TimeSeries::default()
    };
    Request { symbols: symbols.map(str::to_owned).to_vec(), timeseries: vec![first, second] }
}

/// Sends a request and answers status, the three counts of what was written, and the body.
fn send(node: &Node, request: &Request) -> (u16, [Option<String>; 3], Value) {
    let body = snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap();
    let response = node
        .request("POST", "/api/v1/write")
        .header("content-type", CONTENT_TYPE)
        .header("content-encoding", "snappy")
        .header("x-prometheus-remote-write-version", "2.0.0")
        .body(body)
        .send()
        .unwrap();
    let header = |what: &str| {
        let value = response.headers().get(format!("x-prometheus-remote-write-{what}-written"))?;
        Some(value.to_str().unwrap().to_owned())
    };
    let counts = ["samples", "histograms", "exemplars"].map(header);
    (response.status().as_u16(), counts, response.json().unwrap_or_default())
}

fn counts(samples: &str) -> [Option<String>; 3] {
    [samples, "0", "0"].map(|count| Some(count.to_owned()))
}

#[test]
fn remote_write_2_is_stored_and_answered_with_what_was_written() {
    let read = Read::new(Node::start(""));
    assert_eq!(send(&read.node, &request(0)), (204, counts("2"), Value::Null));
    until(Duration::from_secs(10), "the samples are there", || {
        let answer = read.get("/api/v1/query?query=beacons_total%2Brange");
        (answer["data"]["result"][0]["value"][1] == "84").then_some(())
    });
    let metadata = read.get("/api/v1/metadata?metric=beacons_total");
    let expected = json!({"beacons_total": [{"type": "counter", "help": "Beacons seen.", "unit": ""}]});
    assert_eq!(metadata["data"], expected);
}

#[test]
fn native_histograms_of_remote_write_2_are_refused_and_the_samples_kept() {
    let read = Read::new(Node::start(""));
    let (status, written, refusal) = send(&read.node, &request(3));
    assert_eq!((status, written), (400, counts("2")));
    let told = refusal["error"].as_str().unwrap();
    assert!(told.contains("native histogram (3 times") && told.contains("range"), "{told}");
    assert_eq!(read.node.rejected("remote-write"), 3);
    until(Duration::from_secs(10), "the samples are there", || {
        let answer = read.get("/api/v1/query?query=beacons_total%2Brange");
        (answer["data"]["result"][0]["value"][1] == "84").then_some(())
    });
}

#[test]
fn another_message_under_the_same_address_is_refused() {
    let node = Node::start("");
    let response = node
        .request("POST", "/api/v1/write")
        .header("content-type", "application/x-protobuf;proto=io.prometheus.write.v3.Request")
        .body("")
        .send()
        .unwrap();
    assert_eq!(response.status().as_u16(), 415);
    assert!(response.headers().keys().all(|name| !name.as_str().ends_with("-written")));
}
