use proptest::prelude::*;
use prost::Message;

use super::super::*;
use super::SYMBOLS_MAX;
use crate::series_cache::SeriesCache;
use crate::testing::{NOW, context, series_text};
use wk_types::{Body, Sample, UtcMs};

const CONTENT_TYPE: &str = "application/x-protobuf;proto=io.prometheus.write.v2.Request";

fn parse(body: &[u8], kind: Option<&str>, encoding: Option<&str>) -> Result<RemoteWrite, RemoteWriteError> {
    let (context, _) = context("remote-write");
    super::super::parse(body, kind, encoding, SeriesCache::default().request(&context, None))
}

/// The messages as `io/prometheus/write/v2/types.proto` has them, for making bodies.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(bytes = "vec", repeated, tag = "4")]
    symbols: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "5")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(uint32, repeated, tag = "1")]
    labels_refs: Vec<u32>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<ProtoSample>,
    #[prost(message, repeated, tag = "3")]
    histograms: Vec<Histogram>,
    #[prost(message, repeated, tag = "4")]
    exemplars: Vec<Exemplar>,
    #[prost(message, optional, tag = "5")]
    metadata: Option<ProtoMetadata>,
    #[prost(int64, tag = "6")]
    created_timestamp: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ProtoSample {
    #[prost(double, tag = "1")]
    value: f64,
    #[prost(int64, tag = "2")]
    timestamp: i64,
    #[prost(int64, tag = "3")]
    start_timestamp: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Histogram {
    #[prost(double, tag = "3")]
    sum: f64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Exemplar {
    #[prost(double, tag = "2")]
    value: f64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ProtoMetadata {
    #[prost(int32, tag = "1")]
    kind: i32,
    #[prost(uint32, tag = "3")]
    help_ref: u32,
    #[prost(uint32, tag = "4")]
    unit_ref: u32,
}

impl Request {
    fn new() -> Self {
        Self { symbols: vec![Vec::new()], timeseries: Vec::new() }
    }

    fn symbol(&mut self, text: &[u8]) -> u32 {
        let at = self.symbols.iter().position(|known| known == text).unwrap_or_else(|| {
            self.symbols.push(text.to_vec());
            self.symbols.len() - 1
        });
        u32::try_from(at).unwrap()
    }

    /// Adds a series and answers it, to be given more.
    fn add(&mut self, labels: &[(&str, &str)], samples: &[(i64, f64)]) -> &mut TimeSeries {
        let labels_refs =
            labels.iter().flat_map(|(name, value)| [name, value]).map(|text| self.symbol(text.as_bytes())).collect();
        let sample =
            |(at, value): &(i64, f64)| ProtoSample { value: *value, timestamp: NOW.0 + at, start_timestamp: 0 };
        let samples = samples.iter().map(sample).collect();
        self.timeseries.push(TimeSeries { labels_refs, samples, ..TimeSeries::default() });
        self.timeseries.last_mut().unwrap()
    }

    fn body(&self) -> Vec<u8> {
        snap::raw::Encoder::new().compress_vec(&self.encode_to_vec()).unwrap()
    }

    fn read(&self) -> RemoteWrite {
        parse(&self.body(), Some(CONTENT_TYPE), Some("snappy")).unwrap()
    }
}

fn reasons(parsed: &RemoteWrite) -> Vec<(&str, u64)> {
    parsed.rejected.iter().map(|one| (one.reason, one.count)).collect()
}

#[test]
fn series_and_samples_come_through_with_what_is_said_of_them() {
    let mut request = Request::new();
    let (help, unit) = (request.symbol(b"Requests."), request.symbol(b"requests"));
    let metadata = |kind| Some(ProtoMetadata { kind, help_ref: help, unit_ref: unit });
    let labels = [("__name__", "requests_total"), ("instance", "bridge-pc:9100"), ("job", "node")];
    request.add(&labels, &[(-15_000, 1.0), (0, 2.0)]).metadata = metadata(1);
    request.add(&[("__name__", "latency_seconds_bucket"), ("le", "+Inf")], &[(0, 1.0)]).metadata = metadata(3);
    request.add(&[("__name__", "plain")], &[(0, f64::NAN)]);
    let parsed = request.read();
    assert_eq!((parsed.version, parsed.samples(), parsed.rejected.len()), (Version::Two, 4, 0));
    let expected = r#"requests_total{instance="bridge-pc:9100", job="node"}"#;
    assert_eq!(parsed.series[0].series.labels.to_string(), expected);
    assert_eq!(parsed.series[0].samples[0], Sample::new(UtcMs(NOW.0 - 15_000), 1.0));
    let told: Vec<(&str, &str)> =
        parsed.metadata.iter().map(|(name, one)| (name.as_str(), one.kind.as_str())).collect();
    assert_eq!(told, [("latency_seconds", "histogram"), ("requests_total", "counter")]);
    assert_eq!(parsed.metadata["requests_total"], Metadata::new("counter", "Requests.", "requests"));
}

#[test]
fn native_histograms_are_rejected_with_their_number_and_their_neighbours_are_kept() {
    let mut request = Request::new();
    request.add(&[("__name__", "before")], &[(0, 1.0)]);
    request.add(&[("__name__", "latency")], &[]).histograms = vec![Histogram { sum: 1.0 }; 3];
    request.add(&[("__name__", "after")], &[(0, 1.0)]);
    let parsed = request.read();
    assert_eq!(parsed.series.len(), 2);
    assert_eq!(reasons(&parsed), [("native histogram", 3)]);
    assert_eq!(parsed.rejected[0].example, "__name__=\"latency\" ");
}

#[test]
fn references_that_name_no_symbol_cost_their_series_alone() {
    let mut request = Request::new();
    request.add(&[("__name__", "good")], &[(0, 1.0)]);
    request.add(&[("__name__", "odd")], &[(0, 1.0), (1, 1.0)]).labels_refs.push(0);
    request.add(&[("__name__", "outside")], &[(0, 1.0)]).labels_refs.extend([1_000, 0]);
    request.add(&[("__name__", "largest")], &[(0, 1.0)]).labels_refs.extend([u32::MAX, u32::MAX]);
    let bad = request.symbol(&[0xff]);
    request.add(&[("__name__", "binary")], &[(0, 1.0)]).labels_refs.extend([1, bad]);
    request.add(&[("job", "nameless")], &[(0, 1.0)]);
    let parsed = request.read();
    assert_eq!(parsed.series.len(), 1);
    let expected = [("label is no pair of symbols", 4), ("label is not UTF-8", 1), ("no metric name", 1)];
    assert_eq!(reasons(&parsed), expected);
}

#[test]
fn what_is_not_kept_is_counted() {
    let mut request = Request::new();
    let one = request.add(&[("__name__", "up")], &[(0, 1.0), (1, 1.0)]);
    one.exemplars = vec![Exemplar { value: 1.0 }; 2];
    one.created_timestamp = NOW.0 - 1;
    one.samples[1].start_timestamp = NOW.0 - 1;
    let parsed = request.read();
    assert_eq!((parsed.exemplars, parsed.starts, parsed.samples()), (2, 2, 2));
    let (context, _) = context("remote-write");
    let records = records(&context, parsed);
    let Body::Samples(series) = &records[0].body else { panic!("samples are expected") };
    assert_eq!(series_text(series), "up 1@0 1@1");
    let flagged = context.stats.snapshot().flagged;
    assert_eq!((flagged["exemplar not kept"].count, flagged["start time not kept"].count), (2, 2));
}

#[test]
fn a_series_that_comes_again_is_the_same_one_and_no_other() {
    let (context, _) = context("remote-write");
    let cache = SeriesCache::default();
    let read = |labels: &[(&str, &str)]| {
        let mut request = Request::new();
        request.add(&[("__name__", "other")], &[(0, 1.0)]);
        request.add(labels, &[(0, 1.0)]);
        let parsed = super::super::parse(&request.body(), Some(CONTENT_TYPE), None, cache.request(&context, None));
        parsed.unwrap().series.swap_remove(1).series
    };
    let first = read(&[("__name__", "up"), ("a", "bc")]);
    assert!(std::sync::Arc::ptr_eq(&first, &read(&[("__name__", "up"), ("a", "bc")])), "not read anew");
    assert_eq!(read(&[("__name__", "up"), ("ab", "c")]).labels.to_string(), r#"up{ab="c"}"#);
}

#[test]
fn symbols_may_stand_behind_the_series_that_use_them() {
    let mut request = Request::new();
    request.add(&[("__name__", "up")], &[(0, 1.0)]);
    let symbols = Request { timeseries: Vec::new(), ..request.clone() };
    let series = Request { symbols: Vec::new(), ..request };
    let plain = [series.encode_to_vec(), symbols.encode_to_vec()].concat();
    let body = snap::raw::Encoder::new().compress_vec(&plain).unwrap();
    assert_eq!(parse(&body, Some(CONTENT_TYPE), None).unwrap().series[0].series.labels.name(), "up");
}

#[test]
fn a_body_of_one_version_under_the_name_of_the_other_is_refused() {
    let refused = |plain: &[u8], name| {
        let body = snap::raw::Encoder::new().compress_vec(plain).unwrap();
        let error = parse(&body, Some(name), None).unwrap_err();
        std::error::Error::source(&error).unwrap().to_string()
    };
    let said = "is none of this version of remote write; send the content type of the body's version";
    assert_eq!(refused(&[0x0a, 0x02, 0x0a, 0x00], CONTENT_TYPE), format!("field 1 {said}"));
    assert_eq!(refused(&[0x22, 0x00], "application/x-protobuf"), format!("field 4 {said}"));
}

#[test]
fn counts_beyond_the_bounds_are_refused() {
    let refused = |request: &Request| parse(&request.body(), Some(CONTENT_TYPE), None).unwrap_err().to_string();
    let symbols = Request { symbols: vec![Vec::new(); SYMBOLS_MAX + 1], timeseries: Vec::new() };
    assert!(refused(&symbols).starts_with("the body has 1000001 symbols"), "{}", refused(&symbols));
    let series = Request { symbols: Vec::new(), timeseries: vec![TimeSeries::default(); SERIES_MAX + 1] };
    assert!(refused(&series).starts_with("the body has 200001 series"), "{}", refused(&series));
}

proptest! {
    #[test]
    fn hostile_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let compressed = snap::raw::Encoder::new().compress_vec(&bytes).unwrap();
        let _ = parse(&compressed, Some(CONTENT_TYPE), None);
    }

    #[test]
    fn a_flipped_byte_is_answered(at in 0_usize..400, bits in 1_u8..) {
        let mut request = Request::new();
        for name in ["a", "b", "c", "d"] {
            let one = request.add(&[("__name__", name), ("job", "node")], &[(0, 1.0), (1, 2.0)]);
            one.metadata = Some(ProtoMetadata { kind: 1, help_ref: 1, unit_ref: 0 });
        }
        let mut plain = request.encode_to_vec();
        let position = at % plain.len();
        plain[position] ^= bits;
        let _ = parse(&snap::raw::Encoder::new().compress_vec(&plain).unwrap(), Some(CONTENT_TYPE), None);
    }

    #[test]
    fn every_well_formed_series_comes_back(
        names in proptest::collection::btree_set("[a-z_]{1,8}", 1..6),
        points in proptest::collection::vec((0_i64..1_000_000, any::<f64>()), 1..5),
    ) {
        let mut request = Request::new();
        for name in &names {
            request.add(&[("__name__", name), ("k", "v")], &points);
        }
        let parsed = request.read();
        let came: Vec<&str> = parsed.series.iter().map(|one| one.series.labels.name()).collect();
        prop_assert_eq!(came, names.iter().map(String::as_str).collect::<Vec<_>>());
        for one in &parsed.series {
            let same = one.samples.iter().zip(&points).all(|(sample, (at, value))| {
                // An encoder leaves out zeroes, also negative ones.
                sample.time.0 == NOW.0 + at && (sample.value == *value || sample.value.to_bits() == value.to_bits())
            });
            prop_assert!(same && one.samples.len() == points.len());
        }
    }
}
