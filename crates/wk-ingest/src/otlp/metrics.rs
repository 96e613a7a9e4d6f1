//! Metrics, as Prometheus translates them: names with units and `_total`, histograms and summaries as series of their
//! own, resource attributes as `job`, `instance` and `target_info`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use prost::Message;
use wk_types::labels::METRIC_NAME;
use wk_types::series::STALE_NAN_BITS;
use wk_types::{NewRecord, Sample, SeriesSamples, UtcMs};

use super::message::{HistogramPoint, KeyValue, Number, NumberPoint, Resource, SummaryPoint};
use super::names::{self, Kind};
use super::{Encoding, OtlpError, Rejections, Starts, attributes, json};
use crate::contract::SourceContext;
use crate::metadata::{FAMILIES_MAX, Metadata};
use crate::protobuf::{Field, fields};
use crate::records;
use crate::series;
use crate::series_cache::SeriesRequest;
use crate::stats::LATE_AFTER;
use crate::times;

/// How many samples one request becomes at most.
pub const SAMPLES_MAX: usize = 500_000;
/// How many bytes one data point has at most.
pub const POINT_BYTES_MAX: usize = 1024 * 1024;
/// How many buckets or quantiles one data point has at most.
pub const BUCKETS_MAX: usize = 1_000;

/// What is left of a request.
#[derive(Debug, Default)]
pub struct ParsedMetrics {
    /// What can be stored.
    pub series: Vec<SeriesSamples>,
    /// What is said about metric families.
    pub metadata: BTreeMap<String, Metadata>,
    /// The data points that cannot be taken.
    pub rejected: Rejections,
    /// How many data points there were.
    points: u64,
    /// How many bytes the body had.
    bytes: usize,
}

/// Reads a request of metrics; points that cannot be stored are listed, the others are returned.
///
/// # Errors
/// A body that as a whole is no such request, or exceeds a bound; nothing of it is taken then.
pub fn parse(
    body: &[u8],
    encoding: Encoding,
    mut series: SeriesRequest<'_>,
    starts: &Starts,
) -> Result<ParsedMetrics, OtlpError> {
    let parsed = ParsedMetrics { bytes: body.len(), ..ParsedMetrics::default() };
    let mut reader = Reader { series: &mut series, starts, parsed, sender: Sender::default(), samples: 0 };
    match encoding {
        Encoding::Protobuf => reader.protobuf(body)?,
        Encoding::Json => reader.json(body)?,
    }
    let parsed = reader.parsed;
    series.finish();
    Ok(parsed)
}

/// Counts what a body holds, and makes the records.
#[must_use]
pub fn records(context: &SourceContext, parsed: ParsedMetrics) -> Vec<NewRecord> {
    let received = context.now();
    let taken: usize = parsed.series.iter().map(|one| one.samples.len()).sum();
    context.stats.received(taken as u64 + parsed.rejected.count(), parsed.bytes as u64, received);
    parsed.rejected.count_in(context);
    let samples = parsed.series.iter().flat_map(|one| &one.samples);
    context.stats.late(samples.filter(|sample| received.since(sample.time) > LATE_AFTER).count() as u64);
    records::of_series(context, received, parsed.series)
}

/// Whose metrics are being read.
#[derive(Default)]
struct Sender {
    /// `job` and `instance`, where they are known.
    labels: Vec<(&'static str, String)>,
    /// The machine, where it is named.
    host: Option<String>,
    /// Labels of `target_info`.
    info: Vec<(String, String)>,
    /// When it last measured anything.
    latest: Option<UtcMs>,
}

impl Sender {
    fn of(resource: &Resource) -> Self {
        let resource = &resource.attributes;
        let host = attributes::host(resource).map(Cow::into_owned);
        let instance = attributes::find(resource, "service.instance.id").map(Cow::into_owned).or_else(|| host.clone());
        let job = attributes::job(resource).map(Cow::into_owned);
        let identity = ["service.name", "service.namespace", "service.instance.id"];
        let rest = resource.iter().filter(|pair| !identity.contains(&pair.key.as_str()));
        let mut info = Vec::new();
        add_labels(&mut info, rest);
        let labels = [("job", job), ("instance", instance)];
        let labels = labels.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        Self { labels, host, info, latest: None }
    }
}

/// What the points of a metric share.
#[derive(Clone, Default)]
struct Head {
    /// As it was sent.
    name: String,
    unit: String,
    help: String,
}

/// What a metric is and how it counts.
#[derive(Clone, Copy)]
struct Shape {
    kind: Kind,
    word: &'static str,
    /// Whether its points grow from a start, so that they can begin anew.
    grows: bool,
}

const GAUGE: Shape = Shape { kind: Kind::Gauge, word: "gauge", grows: false };
const HISTOGRAM: Shape = Shape { kind: Kind::Other, word: "histogram", grows: true };
const SUMMARY: Shape = Shape { kind: Kind::Other, word: "summary", grows: true };
const NOT_CUMULATIVE: &str = "temporality is not cumulative; set the sender to cumulative";
/// The number of the temporality that counts since the start.
const CUMULATIVE: u64 = 2;
const UNDECODABLE: &str = "data point cannot be decoded";
const TOO_LARGE: &str = "data point over 1 MiB";

const fn sum(is_monotonic: bool) -> Shape {
    if is_monotonic {
        Shape { kind: Kind::Counter, word: "counter", grows: true }
    } else {
        Shape { kind: Kind::Other, word: "gauge", grows: false }
    }
}

struct Reader<'a, 'r> {
    series: &'a mut SeriesRequest<'r>,
    starts: &'a Starts,
    parsed: ParsedMetrics,
    sender: Sender,
    samples: usize,
}

/// The points of one metric, written one way or the other.
trait Point: Message + Default {
    fn take(self, reader: &mut Reader<'_, '_>, name: &str, shape: Shape) -> Result<(), OtlpError>;
}

impl Reader<'_, '_> {
    fn json(&mut self, body: &[u8]) -> Result<(), OtlpError> {
        let request: json::MetricsRequest = super::read_json(body)?;
        for sender in request.resource_metrics {
            self.sender = Sender::of(&sender.resource);
            for metric in sender.scope_metrics.into_iter().flat_map(|part| part.metrics) {
                self.json_metric(metric)?;
            }
            self.tell_of_sender()?;
        }
        Ok(())
    }

    fn json_metric(&mut self, metric: json::Metric) -> Result<(), OtlpError> {
        let json::Metric { name, description, unit, gauge, sum: total, histogram, exponential_histogram, summary } =
            metric;
        let head = Head { name, unit, help: description };
        if let Some(points) = gauge {
            self.json_points(&head, GAUGE, true, points.data_points)?;
        }
        if let Some(points) = total {
            let is_cumulative = points.aggregation_temporality == CUMULATIVE;
            self.json_points(&head, sum(points.is_monotonic), is_cumulative, points.data_points)?;
        }
        if let Some(points) = histogram {
            self.json_points(&head, HISTOGRAM, points.aggregation_temporality == CUMULATIVE, points.data_points)?;
        }
        if let Some(points) = summary {
            self.json_points(&head, SUMMARY, true, points.data_points)?;
        }
        if let Some(points) = exponential_histogram {
            self.reject_exponential(&head, points.data_points.len());
        }
        Ok(())
    }

    fn json_points<P: Point>(
        &mut self,
        head: &Head,
        shape: Shape,
        is_cumulative: bool,
        points: Vec<P>,
    ) -> Result<(), OtlpError> {
        let Some(name) = self.begin(head, shape, is_cumulative, points.len()) else { return Ok(()) };
        points.into_iter().try_for_each(|point| point.take(self, &name, shape))
    }

    /// Reads `ExportMetricsServiceRequest { repeated ResourceMetrics resource_metrics = 1; }`.
    fn protobuf(&mut self, body: &[u8]) -> Result<(), OtlpError> {
        super::parts(body, 1, |sender| {
            self.sender = Sender::of(&super::first(sender, 1)?);
            // ResourceMetrics { Resource resource = 1; repeated ScopeMetrics scope_metrics = 2; }, and within
            // ScopeMetrics { InstrumentationScope scope = 1; repeated Metric metrics = 2; }
            super::parts(sender, 2, |part| super::parts(part, 2, |metric| self.metric(metric)))?;
            self.tell_of_sender()
        })
    }

    /// Reads `Metric { name = 1; description = 2; unit = 3; oneof { Gauge = 5; Sum = 7; Histogram = 9;
    /// ExponentialHistogram = 10; Summary = 11; } }`.
    fn metric(&mut self, body: &[u8]) -> Result<(), OtlpError> {
        let mut head = Head::default();
        let mut data: Option<(u32, &[u8])> = None;
        fields(body, |tag, field| {
            let Field::Bytes(bytes) = field else { return Ok(()) };
            match tag {
                1 => head.name = String::from_utf8_lossy(bytes).into_owned(),
                2 => head.help = String::from_utf8_lossy(bytes).into_owned(),
                3 => head.unit = String::from_utf8_lossy(bytes).into_owned(),
                5 | 7 | 9..=11 => data = Some((tag, bytes)),
                _ => {}
            }
            Ok(())
        })?;
        let Some((tag, data)) = data else { return Ok(()) };
        // The points stand under 1, the temporality under 2 and whether a sum only grows under 3.
        let (mut count, mut temporality, mut monotonic) = (0, 0, 0);
        fields(data, |tag, field| {
            match (tag, field) {
                (1, Field::Bytes(_)) => count += 1,
                (2, Field::Varint(number)) => temporality = number,
                (3, Field::Varint(number)) => monotonic = number,
                _ => {}
            }
            Ok(())
        })?;
        match tag {
            5 => self.points::<NumberPoint>(&head, GAUGE, data, (count, true)),
            7 => self.points::<NumberPoint>(&head, sum(monotonic != 0), data, (count, temporality == CUMULATIVE)),
            9 => self.points::<HistogramPoint>(&head, HISTOGRAM, data, (count, temporality == CUMULATIVE)),
            11 => self.points::<SummaryPoint>(&head, SUMMARY, data, (count, true)),
            _ => {
                self.reject_exponential(&head, count);
                Ok(())
            }
        }
    }

    fn points<P: Point>(
        &mut self,
        head: &Head,
        shape: Shape,
        data: &[u8],
        (count, is_cumulative): (usize, bool),
    ) -> Result<(), OtlpError> {
        let Some(name) = self.begin(head, shape, is_cumulative, count) else { return Ok(()) };
        super::parts(data, 1, |point| {
            if point.len() > POINT_BYTES_MAX {
                self.parsed.rejected.add(TOO_LARGE, 1, &name);
                return Ok(());
            }
            match P::decode(point) {
                Ok(point) => point.take(self, &name, shape),
                Err(error) => {
                    self.parsed.rejected.add(UNDECODABLE, 1, &format!("{name}: {error}"));
                    Ok(())
                }
            }
        })
    }

    fn reject_exponential(&mut self, head: &Head, count: usize) {
        self.parsed.points += count as u64;
        self.parsed.rejected.add("exponential histogram", count as u64, &head.name);
    }

    /// The name under which a metric's points are kept, which is noted with what it measures; `None` where they cannot
    /// be, and are rejected.
    fn begin(&mut self, head: &Head, shape: Shape, is_cumulative: bool, count: usize) -> Option<String> {
        self.parsed.points += count as u64;
        let mut reject = |reason| self.parsed.rejected.add(reason, count as u64, &head.name);
        if !is_cumulative {
            reject(NOT_CUMULATIVE);
            return None;
        }
        let Some(name) = names::metric(&head.name, &head.unit, shape.kind) else {
            reject("no metric name");
            return None;
        };
        let metadata = Metadata::new(shape.word, &head.help, &names::unit(&head.unit));
        if self.parsed.metadata.len() < FAMILIES_MAX {
            self.parsed.metadata.entry(name.clone()).or_insert(metadata);
        }
        Some(name)
    }

    /// Keeps what else the sender says of itself as labels of `target_info`.
    fn tell_of_sender(&mut self) -> Result<(), OtlpError> {
        let sender = std::mem::take(&mut self.sender);
        let Some(time) = sender.latest.filter(|_| !sender.info.is_empty() && !sender.labels.is_empty()) else {
            return Ok(());
        };
        let info = sender.info.clone();
        self.sender = sender;
        self.sample("target_info", &info, &[], (0, Sample::new(time, 1.0)))
    }

    /// Keeps a value of a series that is counted since `start` nanoseconds; 0 where it is not.
    fn sample(
        &mut self,
        name: &str,
        labels: &[(String, String)],
        more: &[(&str, &str)],
        (start, sample): (u64, Sample),
    ) -> Result<(), OtlpError> {
        self.samples += 1;
        if self.samples > SAMPLES_MAX {
            return Err(OtlpError::TooLarge { unit: "samples", max: SAMPLES_MAX });
        }
        let mut pairs: Vec<(&str, &str)> = vec![(METRIC_NAME, name)];
        pairs.extend(labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let own = self.sender.labels.iter().map(|(name, value)| (*name, value.as_str()));
        for (name, value) in own.chain(more.iter().copied()) {
            pairs.retain(|(taken, _)| *taken != name);
            pairs.push((name, value));
        }
        let claimed = self.sender.host.as_deref();
        let key = key(&pairs, claimed);
        let found = match self.series.known(&key) {
            Some(known) => known,
            None => match (series::check(&pairs), claimed) {
                (Err(bad), _) => {
                    self.parsed.rejected.add(bad.reason(), 1, name);
                    return Ok(());
                }
                (Ok(()), Some(claimed)) => self.series.learn_of(&key, &pairs, claimed),
                (Ok(()), None) => self.series.learn(&key, &pairs),
            },
        };
        let mut samples = Vec::with_capacity(1);
        if start > 0 {
            let begun = self.starts.begun_anew(found.id, super::instant(start), sample.time);
            samples.extend(begun.map(|begun| Sample::new(begun, 0.0)));
        }
        samples.push(sample);
        self.parsed.series.push(SeriesSamples { series: found, samples });
        Ok(())
    }

    /// A point's own labels; `None` where they cannot name a series, and the point is rejected.
    fn labels(&mut self, name: &str, attributes: &[KeyValue]) -> Option<Vec<(String, String)>> {
        let mut labels = Vec::with_capacity(attributes.len());
        add_labels(&mut labels, attributes);
        let own = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        // Room for what the reader adds: job, instance, and le or quantile.
        let more = [(METRIC_NAME, name), ("job", ""), ("instance", ""), ("le", "")];
        let taken: Vec<(&str, &str)> = own.filter(|(name, _)| !more.iter().any(|(own, _)| own == name)).collect();
        match series::check(&[&more, &taken[..]].concat()) {
            Ok(()) => Some(labels),
            Err(bad) => {
                self.parsed.rejected.add(bad.reason(), 1, name);
                None
            }
        }
    }

    /// When a point was measured; `None` where that cannot be right, and it is rejected.
    fn time(&mut self, name: &str, nanoseconds: u64) -> Option<UtcMs> {
        let time = super::instant(nanoseconds);
        if !times::is_sample_time(time) {
            self.parsed.rejected.add("time out of range", 1, name);
            return None;
        }
        self.sender.latest = self.sender.latest.max(Some(time));
        Some(time)
    }
}

impl Point for NumberPoint {
    fn take(self, reader: &mut Reader<'_, '_>, name: &str, shape: Shape) -> Result<(), OtlpError> {
        let Some(time) = reader.time(name, self.time_unix_nano) else { return Ok(()) };
        let value = match self.value {
            _ if is_absent(self.flags) => stale(),
            Some(Number::Double(number)) => number,
            Some(Number::Int(number)) => number as f64,
            None => {
                reader.parsed.rejected.add("data point without a value", 1, name);
                return Ok(());
            }
        };
        let Some(labels) = reader.labels(name, &self.attributes) else { return Ok(()) };
        let start = if shape.grows { self.start_time_unix_nano } else { 0 };
        reader.sample(name, &labels, &[], (start, Sample::new(time, value)))
    }
}

impl Point for HistogramPoint {
    fn take(self, reader: &mut Reader<'_, '_>, name: &str, _: Shape) -> Result<(), OtlpError> {
        let Some(time) = reader.time(name, self.time_unix_nano) else { return Ok(()) };
        let (counts, bounds) = (&self.bucket_counts, &self.explicit_bounds);
        if counts.len() > BUCKETS_MAX || bounds.len() > BUCKETS_MAX {
            reader.parsed.rejected.add("more than 1000 buckets", 1, name);
            return Ok(());
        }
        let fits = counts.is_empty() || counts.len() == bounds.len() + 1;
        if !fits || !bounds.is_sorted_by(|one, next| one < next) {
            reader.parsed.rejected.add("buckets do not fit their bounds", 1, name);
            return Ok(());
        }
        let Some(labels) = reader.labels(name, &self.attributes) else { return Ok(()) };
        let absent = is_absent(self.flags);
        let at = |value: f64| (self.start_time_unix_nano, Sample::new(time, if absent { stale() } else { value }));
        if let Some(sum) = self.sum {
            reader.sample(&format!("{name}_sum"), &labels, &[], at(sum))?;
        }
        reader.sample(&format!("{name}_count"), &labels, &[], at(self.count as f64))?;
        let bucket = format!("{name}_bucket");
        let mut below = 0_u64;
        for (bound, count) in bounds.iter().zip(counts) {
            below = below.saturating_add(*count);
            reader.sample(&bucket, &labels, &[("le", &number(*bound))], at(below as f64))?;
        }
        reader.sample(&bucket, &labels, &[("le", "+Inf")], at(self.count as f64))
    }
}

impl Point for SummaryPoint {
    fn take(self, reader: &mut Reader<'_, '_>, name: &str, _: Shape) -> Result<(), OtlpError> {
        let Some(time) = reader.time(name, self.time_unix_nano) else { return Ok(()) };
        if self.quantile_values.len() > BUCKETS_MAX {
            reader.parsed.rejected.add("more than 1000 quantiles", 1, name);
            return Ok(());
        }
        let Some(labels) = reader.labels(name, &self.attributes) else { return Ok(()) };
        let absent = is_absent(self.flags);
        let sample = |value: f64| Sample::new(time, if absent { stale() } else { value });
        let since = self.start_time_unix_nano;
        reader.sample(&format!("{name}_sum"), &labels, &[], (since, sample(self.sum)))?;
        reader.sample(&format!("{name}_count"), &labels, &[], (since, sample(self.count as f64)))?;
        for one in &self.quantile_values {
            reader.sample(name, &labels, &[("quantile", &number(one.quantile))], (0, sample(one.value)))?;
        }
        Ok(())
    }
}

/// Adds attributes as labels; values of those that get the same name stand behind each other, as Prometheus has it.
fn add_labels<'a>(labels: &mut Vec<(String, String)>, attributes: impl IntoIterator<Item = &'a KeyValue>) {
    let mut sorted: Vec<&KeyValue> = attributes.into_iter().collect();
    sorted.sort_by(|one, other| one.key.cmp(&other.key));
    for pair in sorted {
        let Some(name) = names::label(&pair.key) else { continue };
        let value = pair.value.as_ref().map(attributes::text).unwrap_or_default();
        match labels.iter_mut().find(|(known, _)| *known == *name) {
            Some((_, known)) => {
                known.push(';');
                known.push_str(&value);
            }
            None => labels.push((name.into_owned(), value.into_owned())),
        }
    }
}

/// What tells a label set apart, and who it is said to be of.
fn key(pairs: &[(&str, &str)], claimed: Option<&str>) -> Vec<u8> {
    let texts = pairs.iter().flat_map(|(name, value)| [*name, *value]).chain(claimed);
    let mut key = Vec::with_capacity(256);
    for text in texts {
        key.extend_from_slice(&(text.len() as u32).to_le_bytes());
        key.extend_from_slice(text.as_bytes());
    }
    key
}

/// A bound or quantile as Prometheus writes it.
fn number(number: f64) -> String {
    if number == f64::INFINITY { "+Inf".to_owned() } else { number.to_string() }
}

/// Tells whether a point says that there is no value.
const fn is_absent(flags: u32) -> bool {
    flags & 1 != 0
}

const fn stale() -> f64 {
    f64::from_bits(STALE_NAN_BITS)
}

#[cfg(test)]
mod tests;
