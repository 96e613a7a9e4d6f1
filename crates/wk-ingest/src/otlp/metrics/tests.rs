use proptest::prelude::*;

use super::*;
use crate::otlp::message::QuantileValue;
use crate::otlp::tests::attribute;
use crate::series_cache::SeriesCache;
use crate::testing::{NOW, context, series_text};

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_metrics: Vec<ResourceMetrics>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceMetrics {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_metrics: Vec<ScopeMetrics>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeMetrics {
    #[prost(message, repeated, tag = "2")]
    metrics: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    description: String,
    #[prost(string, tag = "3")]
    unit: String,
    #[prost(message, optional, tag = "5")]
    gauge: Option<Points<NumberPoint>>,
    #[prost(message, optional, tag = "7")]
    sum: Option<Points<NumberPoint>>,
    #[prost(message, optional, tag = "9")]
    histogram: Option<Points<HistogramPoint>>,
    #[prost(message, optional, tag = "10")]
    exponential: Option<Points<NumberPoint>>,
    #[prost(message, optional, tag = "11")]
    summary: Option<Points<SummaryPoint>>,
}

#[derive(Clone, PartialEq, Message)]
struct Points<P: Message + Default + std::fmt::Debug> {
    #[prost(message, repeated, tag = "1")]
    data_points: Vec<P>,
    #[prost(uint64, tag = "2")]
    temporality: u64,
    #[prost(bool, tag = "3")]
    monotonic: bool,
}

fn request(metrics: Vec<Metric>) -> Vec<u8> {
    let resource = Resource {
        attributes: vec![
            attribute("service.namespace", "sat"),
            attribute("service.name", "vsat"),
            attribute("service.instance.id", "627cc493"),
            attribute("host.name", "bridge-pc"),
            attribute("os.type", "linux"),
        ],
    };
    let scope_metrics = vec![ScopeMetrics { metrics }];
    Request { resource_metrics: vec![ResourceMetrics { resource: Some(resource), scope_metrics }] }.encode_to_vec()
}

fn metric(name: &str, unit: &str) -> Metric {
    Metric { name: name.into(), unit: unit.into(), description: "What it is.".into(), ..Metric::default() }
}

const NANOSECONDS: u64 = NOW.0 as u64 * 1_000_000;

fn point(value: Number) -> NumberPoint {
    let attributes = vec![attribute("net.dev", "eth0")];
    NumberPoint { time_unix_nano: NANOSECONDS, attributes, value: Some(value), ..NumberPoint::default() }
}

fn cumulative<P: Message + Default + std::fmt::Debug>(point: P) -> Option<Points<P>> {
    Some(Points { data_points: vec![point], temporality: CUMULATIVE, monotonic: true })
}

fn histogram() -> HistogramPoint {
    HistogramPoint {
        time_unix_nano: NANOSECONDS,
        count: 6,
        sum: Some(1.5),
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![0.1, 1.0],
        ..HistogramPoint::default()
    }
}

fn read(body: &[u8], encoding: Encoding) -> ParsedMetrics {
    let (context, _) = context("otlp");
    parse(body, encoding, SeriesCache::default().request(&context, None), &Starts::default()).unwrap()
}

fn everything() -> Vec<Metric> {
    let quantile = QuantileValue { quantile: 0.99, value: 7.0 };
    let summary = SummaryPoint {
        time_unix_nano: NANOSECONDS,
        count: 4,
        sum: 9.0,
        quantile_values: vec![quantile],
        ..SummaryPoint::default()
    };
    vec![
        Metric { gauge: cumulative(point(Number::Double(0.5))), ..metric("link.usage", "1") },
        Metric { sum: cumulative(point(Number::Int(12))), ..metric("system.network.io", "By") },
        Metric { histogram: cumulative(histogram()), ..metric("http.server.duration", "s") },
        Metric { summary: cumulative(summary), ..metric("wait", "ms") },
    ]
}

#[test]
fn every_kind_becomes_what_prometheus_makes_of_it() {
    let parsed = read(&request(everything()), Encoding::Protobuf);
    assert_eq!(parsed.rejected.count(), 0);
    insta::assert_snapshot!(series_text(&parsed.series), @r#"
    http_server_duration_seconds_bucket{instance="627cc493", job="sat/vsat", le="+Inf"} 6@0
    http_server_duration_seconds_bucket{instance="627cc493", job="sat/vsat", le="0.1"} 1@0
    http_server_duration_seconds_bucket{instance="627cc493", job="sat/vsat", le="1"} 3@0
    http_server_duration_seconds_count{instance="627cc493", job="sat/vsat"} 6@0
    http_server_duration_seconds_sum{instance="627cc493", job="sat/vsat"} 1.5@0
    link_usage_ratio{instance="627cc493", job="sat/vsat", net_dev="eth0"} 0.5@0
    system_network_io_bytes_total{instance="627cc493", job="sat/vsat", net_dev="eth0"} 12@0
    target_info{host_name="bridge-pc", instance="627cc493", job="sat/vsat", os_type="linux"} 1@0
    wait_milliseconds_count{instance="627cc493", job="sat/vsat"} 4@0
    wait_milliseconds_sum{instance="627cc493", job="sat/vsat"} 9@0
    wait_milliseconds{instance="627cc493", job="sat/vsat", quantile="0.99"} 7@0
    "#);
    assert!(parsed.series.iter().all(|one| one.series.asset.as_str() == "bridge-pc"));
    assert_eq!(parsed.metadata["system_network_io_bytes_total"], Metadata::new("counter", "What it is.", "bytes"));
}

/// As the OpenTelemetry collector's `otlphttp` exporter writes it with `encoding: json`.
#[test]
fn contract_json_of_the_collector_is_read_like_protobuf() {
    let json = format!(
        r#"{{"resourceMetrics":[{{"resource":{{"attributes":[{{"key":"service.name","value":{{"stringValue":"vsat"}}}}]}},
        "scopeMetrics":[{{"scope":{{}},"metrics":[
        {{"name":"system.network.io","unit":"By","sum":{{"dataPoints":[{{"attributes":[{{"key":"net.dev",
        "value":{{"stringValue":"eth0"}}}}],"startTimeUnixNano":"1","timeUnixNano":"{NANOSECONDS}","asInt":"12"}}],
        "aggregationTemporality":2,"isMonotonic":true}}}},
        {{"name":"temperature","unit":"Cel","gauge":{{"dataPoints":[{{"timeUnixNano":"{NANOSECONDS}","asDouble":"NaN"}}]}}}},
        {{"name":"d","histogram":{{"dataPoints":[{{"timeUnixNano":"{NANOSECONDS}","count":"3","sum":1.5,
        "bucketCounts":["1","2"],"explicitBounds":[0.1]}}],"aggregationTemporality":2}}}},
        {{"name":"x","exponentialHistogram":{{"dataPoints":[{{"scale":3}},{{}}],"aggregationTemporality":2}}}}
        ]}}]}}]}}"#
    );
    let parsed = read(json.as_bytes(), Encoding::Json);
    insta::assert_snapshot!(series_text(&parsed.series), @r#"
    d_bucket{job="vsat", le="+Inf"} 3@0
    d_bucket{job="vsat", le="0.1"} 1@0
    d_count{job="vsat"} 3@0
    d_sum{job="vsat"} 1.5@0
    system_network_io_bytes_total{job="vsat", net_dev="eth0"} 12@0
    temperature_celsius{job="vsat"} NaN@0
    "#);
    assert_eq!(parsed.rejected.message(), "exponential histogram (2, such as x)");
}

#[test]
fn what_cannot_be_stored_is_counted_by_reason() {
    let delta =
        |temporality| Some(Points { data_points: vec![point(Number::Int(1)); 3], temporality, monotonic: true });
    let early = NumberPoint { time_unix_nano: 5, ..point(Number::Int(1)) };
    let empty = NumberPoint { value: None, ..point(Number::Int(1)) };
    let odd = HistogramPoint { bucket_counts: vec![1], ..histogram() };
    let long = NumberPoint { attributes: vec![attribute("a", &"x".repeat(5_000))], ..point(Number::Int(1)) };
    let parsed = read(
        &request(vec![
            Metric { sum: delta(1), ..metric("delta", "") },
            Metric { sum: delta(0), ..metric("unspecified", "") },
            Metric { gauge: cumulative(point(Number::Int(1))), ..metric("字", "") },
            Metric { gauge: cumulative(early), ..metric("early", "") },
            Metric { gauge: cumulative(empty), ..metric("empty", "") },
            Metric { histogram: cumulative(odd), ..metric("odd", "") },
            Metric { exponential: cumulative(point(Number::Int(1))), ..metric("exponential", "") },
            Metric { gauge: cumulative(long), ..metric("long", "") },
        ]),
        Encoding::Protobuf,
    );
    // All that is left is what the sender says of itself.
    assert!(parsed.series.iter().all(|one| one.series.labels.name() == "target_info"));
    insta::assert_snapshot!(parsed.rejected.message(), @"temporality is not cumulative; set the sender to cumulative (6, such as unspecified); no metric name (1, such as 字); time out of range (1, such as early); data point without a value (1, such as empty); buckets do not fit their bounds (1, such as odd); exponential histogram (1, such as exponential); label value too long (1, such as long)");
}

#[test]
fn a_point_without_a_value_ends_its_series() {
    let absent = NumberPoint { flags: 1, value: None, ..point(Number::Int(1)) };
    let parsed = read(&request(vec![Metric { gauge: cumulative(absent), ..metric("gone", "") }]), Encoding::Protobuf);
    assert!(parsed.series[0].samples[0].is_stale());
}

#[test]
fn a_counter_that_begins_anew_above_its_old_value_gets_a_zero_in_front() {
    let (context, _) = context("otlp");
    let (cache, starts) = (SeriesCache::default(), Starts::default());
    let mut seen = Vec::new();
    // Start and time in seconds after NOW, and the value.
    for (start, time, value) in [(0, 10, 5), (0, 20, 6), (25, 30, 9), (25, 40, 10), (15, 50, 11)] {
        let at = |seconds: u64| NANOSECONDS + seconds * 1_000_000_000;
        let one =
            NumberPoint { start_time_unix_nano: at(start), time_unix_nano: at(time), ..point(Number::Int(value)) };
        let body = request(vec![Metric { sum: cumulative(one), ..metric("n", "") }]);
        let parsed = parse(&body, Encoding::Protobuf, cache.request(&context, None), &starts).unwrap();
        let counter = parsed.series.into_iter().next().unwrap();
        seen.extend(counter.samples.iter().map(|sample| ((sample.time.0 - NOW.0) / 1_000, sample.value)));
    }
    assert_eq!(seen, [(10, 5.0), (20, 6.0), (25, 0.0), (30, 9.0), (40, 10.0), (50, 11.0)]);
}

#[test]
fn attributes_with_one_label_name_stand_behind_each_other() {
    let both = NumberPoint { attributes: vec![attribute("a_b", "2"), attribute("a.b", "1")], ..point(Number::Int(1)) };
    let parsed = read(&request(vec![Metric { gauge: cumulative(both), ..metric("n", "") }]), Encoding::Protobuf);
    assert_eq!(parsed.series[0].series.labels.get("a_b"), Some("1;2"));
}

#[test]
fn a_sender_without_an_instance_is_told_apart_by_its_host() {
    let sender = |host: &str| {
        let resource = Resource { attributes: vec![attribute("host.name", host)] };
        Sender::of(&resource).labels
    };
    assert_eq!(sender("bridge-pc"), [("instance", "bridge-pc".to_owned())]);
}

proptest! {
    #[test]
    fn no_damage_makes_the_reader_panic(at in 0_usize..1_000, byte: u8, cut in 0_usize..1_000) {
        let (context, _) = context("otlp");
        let (cache, starts) = (SeriesCache::default(), Starts::default());
        let mut bytes = request(everything());
        let length = bytes.len();
        bytes[at % length] = byte;
        let _ = parse(&bytes, Encoding::Protobuf, cache.request(&context, None), &starts);
        bytes.truncate(cut % length);
        let _ = parse(&bytes, Encoding::Protobuf, cache.request(&context, None), &starts);
    }

    #[test]
    fn buckets_never_fall_and_end_at_the_count(counts in prop::collection::vec(0_u64..1_000, 1..20)) {
        let bounds = (1..counts.len()).map(|bound| bound as f64).collect();
        let count = counts.iter().sum();
        let one = HistogramPoint { count, bucket_counts: counts, explicit_bounds: bounds, ..histogram() };
        let parsed = read(&request(vec![Metric { histogram: cumulative(one), ..metric("h", "") }]), Encoding::Protobuf);
        let buckets: Vec<f64> = parsed.series.iter()
            .filter(|one| one.series.labels.get("le").is_some())
            .map(|one| one.samples[0].value)
            .collect();
        prop_assert!(buckets.is_sorted());
        prop_assert_eq!(buckets.last().copied(), Some(count as f64));
    }
}
