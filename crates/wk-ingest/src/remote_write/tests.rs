use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::records::{RECORD_BYTES_AIM, SERIES_PER_RECORD_MAX};
use crate::series_cache::SeriesCache;
use crate::testing::{NOW, context, series_text};
use wk_types::{Body, Sample, UtcMs};

/// The messages as `prompb` has them, for making bodies.
#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
    #[prost(message, repeated, tag = "3")]
    metadata: Vec<ProtoMetadata>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<ProtoSample>,
    #[prost(message, repeated, tag = "3")]
    exemplars: Vec<Exemplar>,
    #[prost(message, repeated, tag = "4")]
    histograms: Vec<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(bytes = "vec", tag = "1")]
    name: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ProtoSample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Exemplar {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(double, tag = "2")]
    value: f64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Histogram {
    #[prost(double, tag = "3")]
    sum: f64,
}

#[derive(Clone, PartialEq, Message)]
struct ProtoMetadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "4")]
    help: String,
    #[prost(string, tag = "5")]
    unit: String,
}

fn series(labels: &[(&str, &str)], samples: &[(i64, f64)]) -> TimeSeries {
    let label =
        |(name, value): &(&str, &str)| Label { name: name.as_bytes().to_vec(), value: value.as_bytes().to_vec() };
    TimeSeries {
        labels: labels.iter().map(label).collect(),
        samples: samples.iter().map(|(at, value)| ProtoSample { value: *value, timestamp: NOW.0 + at }).collect(),
        ..TimeSeries::default()
    }
}

fn body(timeseries: Vec<TimeSeries>) -> Vec<u8> {
    let [name, help, unit] = ["up", "Was reached.", "bool"].map(str::to_owned);
    let metadata = vec![ProtoMetadata { kind: 2, name, help, unit }];
    snap::raw::Encoder::new().compress_vec(&WriteRequest { timeseries, metadata }.encode_to_vec()).unwrap()
}

/// Reads a body from this machine with nothing known before.
fn parse(body: &[u8], kind: Option<&str>, encoding: Option<&str>) -> Result<RemoteWrite, RemoteWriteError> {
    let (context, _) = context("remote-write");
    let cache = SeriesCache::default();
    super::parse(body, kind, encoding, cache.request(&context, Some("127.0.0.1".parse().unwrap())))
}

fn read(timeseries: Vec<TimeSeries>) -> RemoteWrite {
    parse(&body(timeseries), Some("application/x-protobuf"), Some("snappy")).unwrap()
}

fn reasons(parsed: &RemoteWrite) -> Vec<(&str, u64)> {
    parsed.rejected.iter().map(|one| (one.reason, one.count)).collect()
}

#[test]
fn series_and_samples_come_through_in_order() {
    let parsed = read(vec![
        series(&[("__name__", "up"), ("instance", "bridge-pc:9100"), ("job", "node")], &[(0, 1.0), (-15_000, 0.0)]),
        series(&[("job", "node"), ("__name__", "load")], &[(0, f64::NAN)]),
    ]);
    assert!(parsed.rejected.is_empty());
    assert_eq!((parsed.series.len(), parsed.samples()), (2, 3));
    assert_eq!(parsed.series[0].series.labels.to_string(), r#"up{instance="bridge-pc:9100", job="node"}"#);
    assert_eq!(parsed.series[0].samples[1], Sample::new(UtcMs(NOW.0 - 15_000), 0.0));
}

#[test]
fn what_is_said_of_families_is_kept() {
    assert_eq!(read(vec![]).metadata["up"], Metadata::new("gauge", "Was reached.", "bool"));
}

#[test]
fn a_stale_marker_keeps_its_bits() {
    let stale = f64::from_bits(wk_types::series::STALE_NAN_BITS);
    assert!(read(vec![series(&[("__name__", "up")], &[(0, stale)])]).series[0].samples[0].is_stale());
}

#[test]
fn what_cannot_be_stored_is_listed_and_its_neighbours_are_kept() {
    let good = series(&[("__name__", "good")], &[(0, 1.0)]);
    let mut histogram = series(&[("__name__", "latency")], &[]);
    histogram.histograms = vec![Histogram { sum: 1.0 }, Histogram { sum: 2.0 }];
    histogram.exemplars = vec![Exemplar { labels: vec![], value: 1.0 }];
    let mut not_utf8 = series(&[("__name__", "x")], &[(0, 1.0)]);
    not_utf8.labels.push(Label { name: b"a".to_vec(), value: vec![0xff] });
    let many: Vec<(String, String)> = (0..80).map(|at| (format!("l{at}"), "v".to_owned())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let parsed = read(vec![
        good.clone(),
        series(&[("job", "x")], &[(0, 1.0), (1, 1.0)]),
        series(&[("__name__", "x"), ("a", "1"), ("a", "2")], &[(0, 1.0)]),
        series(&[("__name__", "x"), ("", "1")], &[(0, 1.0)]),
        series(&many, &[(0, 1.0)]),
        series(&[("__name__", "clock")], &[(-NOW.0, 1.0), (0, 2.0), (i64::MAX - NOW.0, 3.0)]),
        histogram,
        not_utf8,
        good,
    ]);
    let names: Vec<&str> = parsed.series.iter().map(|one| one.series.labels.name()).collect();
    assert_eq!(names, ["good", "clock", "good"]);
    let expected = [
        ("no metric name", 2),
        ("duplicate label", 1),
        ("bad label name", 1),
        ("too many labels", 1),
        ("time out of range", 2),
        ("native histogram", 2),
        ("label is not UTF-8", 1),
    ];
    assert_eq!(reasons(&parsed), expected);
    assert_eq!(parsed.rejected[0].example, "job=\"x\" ");
}

#[test]
fn other_kinds_of_body_are_refused_with_a_clear_answer() {
    let body = body(vec![]);
    let v3 = "application/x-protobuf;proto=io.prometheus.write.v3.Request";
    let error = parse(&body, Some(v3), Some("snappy")).unwrap_err();
    assert_eq!(error.status(), 415);
    assert!(error.to_string().contains("send remote write 1.0 or 2.0"), "{error}");
    assert_eq!(parse(&body, Some("application/json"), None).unwrap_err().status(), 415);
    assert_eq!(parse(&body, None, Some("gzip")).unwrap_err().status(), 415);
    for fine in [None, Some("application/x-protobuf"), Some("application/x-protobuf; proto=prometheus.WriteRequest")] {
        assert!(parse(&body, fine, Some("snappy")).is_ok(), "{fine:?}");
    }
}

#[test]
fn a_body_that_would_grow_beyond_the_bound_is_refused_before_it_does() {
    // A snappy block begins with its decompressed length as a varint.
    let bomb = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
    let error = parse(&bomb, None, None).unwrap_err();
    assert_eq!(error.status(), 413, "{error}");
}

#[test]
fn counts_beyond_the_bounds_are_refused() {
    let many = vec![TimeSeries::default(); SERIES_MAX + 1];
    let error = parse(&body(many), None, None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the body has 200001 series, more than the 200000 that are taken at once; send smaller batches"
    );
}

#[test]
fn damaged_bodies_are_refused() {
    assert_eq!(parse(b"\x04\x0cabcd", None, None).unwrap_err().status(), 400);
    assert_eq!(parse(b"not snappy at all", None, None).unwrap_err().status(), 400);
    let truncated = snap::raw::Encoder::new().compress_vec(&[0x0a, 0x20, 0x01]).unwrap();
    assert_eq!(parse(&truncated, None, None).unwrap_err().status(), 400);
}

#[test]
fn series_are_attributed_by_instance_and_counted() {
    let (context, _) = context("remote-write");
    let parsed = read(vec![
        series(&[("__name__", "up"), ("instance", "bridge-pc:9100")], &[(0, 1.0)]),
        series(&[("__name__", "up"), ("instance", "galley-tv:9100")], &[(-3_600_000, 1.0)]),
        series(&[("__name__", "up")], &[(0, 1.0)]),
        series(&[("job", "x")], &[(0, 1.0)]),
    ]);
    let records = records(&context, parsed);
    let Body::Samples(series) = &records[0].body else { panic!("samples are expected") };
    let assets: Vec<&str> = series.iter().map(|one| one.series.asset.as_str()).collect();
    assert_eq!(assets, ["bridge-pc", "unknown", "bridge-pc"]);
    let stats = context.stats.snapshot();
    assert_eq!((stats.received, stats.late, stats.rejected["no metric name"].count), (4, 1, 1));
    insta::assert_snapshot!(series_text(series), @r#"
    up 1@0
    up{instance="bridge-pc:9100"} 1@0
    up{instance="galley-tv:9100"} 1@-3600000
    "#);
}

#[test]
fn a_request_that_comes_again_gives_the_same_series_in_memory() {
    let (context, _) = context("remote-write");
    let cache = SeriesCache::default();
    let mut scattered = series(&[("__name__", "scattered")], &[(0, 1.0)]).encode_to_vec();
    scattered
        .extend(TimeSeries { labels: series(&[("job", "x")], &[]).labels, ..TimeSeries::default() }.encode_to_vec());
    let mut plain =
        WriteRequest { timeseries: vec![series(&[("__name__", "up")], &[(0, 1.0)])], metadata: vec![] }.encode_to_vec();
    plain.extend([&[0x0a, scattered.len() as u8][..], &scattered].concat());
    let body = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
    let read = || super::parse(&body, None, None, cache.request(&context, None)).unwrap().series;
    let (first, again) = (read(), read());
    assert_eq!(first, again);
    assert!(std::sync::Arc::ptr_eq(&first[0].series, &again[0].series));
    assert_eq!(first[1].series.labels.to_string(), r#"scattered{job="x"}"#);
}

#[test]
fn large_requests_become_several_records() {
    let (context, _) = context("remote-write");
    let names: Vec<String> = (0..SERIES_PER_RECORD_MAX + 1).map(|at| format!("m{at}")).collect();
    let parsed = read(names.iter().map(|name| series(&[("__name__", name)], &[(0, 1.0)])).collect());
    let sizes: Vec<usize> = records(&context, parsed).iter().map(|record| record.body.items()).collect();
    assert_eq!(sizes, [SERIES_PER_RECORD_MAX, 1]);
}

#[test]
fn a_request_of_long_labels_becomes_records_that_the_log_takes() {
    let (context, _) = context("remote-write");
    let long = "v".repeat(4 * 1024);
    let names: Vec<String> = (0..3_000).map(|at| format!("m{at}")).collect();
    let parsed = read(names.iter().map(|name| series(&[("__name__", name), ("path", &long)], &[(0, 1.0)])).collect());
    let records = records(&context, parsed);
    assert_eq!(records.iter().map(|record| record.body.items()).sum::<usize>(), 3_000);
    for record in &records {
        let Body::Samples(series) = &record.body else { panic!("samples are expected") };
        assert!(series.len() * long.len() <= RECORD_BYTES_AIM);
    }
}

proptest! {
    #[test]
    fn hostile_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes, None, None);
        let compressed = snap::raw::Encoder::new().compress_vec(&bytes).unwrap();
        let _ = parse(&compressed, None, None);
    }

    #[test]
    fn every_well_formed_series_comes_back(
        names in proptest::collection::btree_set("[a-z_]{1,8}", 1..6),
        points in proptest::collection::vec((0_i64..1_000_000, any::<f64>()), 1..5),
    ) {
        let sent: Vec<_> = names.iter().map(|name| series(&[("__name__", name), ("k", "v")], &points)).collect();
        let parsed = read(sent);
        prop_assert_eq!(parsed.series.len(), names.len());
        for one in &parsed.series {
            let same = one.samples.iter().zip(&points).all(|(sample, (at, value))| {
                // An encoder leaves out zeroes, also negative ones.
                let same_value = sample.value == *value || sample.value.to_bits() == value.to_bits();
                sample.time.0 == NOW.0 + at && same_value
            });
            prop_assert!(same && one.samples.len() == points.len());
        }
    }

    #[test]
    fn a_flipped_byte_is_answered(at in 0_usize..200, bits in 1_u8..) {
        let request = WriteRequest { timeseries: vec![series(&[("__name__", "up"), ("a", "b")], &[(0, 1.0)]); 4], metadata: vec![] };
        let mut plain = request.encode_to_vec();
        let position = at % plain.len();
        plain[position] ^= bits;
        let _ = parse(&snap::raw::Encoder::new().compress_vec(&plain).unwrap(), None, None);
    }
}
