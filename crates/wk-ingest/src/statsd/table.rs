//! What was gathered, by series.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use wk_types::labels::METRIC_NAME;
use wk_types::{AssetId, DurationMs, Labels, Sample, Series, SeriesSamples, UtcMs};
use xxhash_rust::xxh3::xxh3_64;

use super::line::{Kind, Metric};
use crate::contract::{Sender, SourceContext};
use crate::otlp::names;
use crate::series;

/// How many series are gathered at once; values of further ones are rejected.
pub const SERIES_MAX: usize = 50_000;
/// How many values of one summary are kept in an interval for its quantiles; of more, every so many-th is.
pub const VALUES_MAX: usize = 4_096;
/// How many different values of one set are told apart in an interval.
const SET_MAX: usize = 65_536;
/// After how long without a value a series ends.
pub const UNHEARD_MAX: DurationMs = DurationMs::from_mins(10);
/// The quantiles of summaries, those of `statsd_exporter`.
const QUANTILES: [(f64, &str); 3] = [(0.5, "0.5"), (0.9, "0.9"), (0.99, "0.99")];

/// Everything that was gathered.
#[derive(Debug, Default)]
pub struct Table {
    series: BTreeMap<Key, Entry>,
    /// The kind that each name has on its first value; others under it would be mixed up with it.
    kinds: HashMap<Arc<str>, Kind>,
}

/// What tells series apart.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    name: Arc<str>,
    labels: Vec<(String, String)>,
    peer: IpAddr,
}

#[derive(Debug)]
struct Entry {
    asset: AssetId,
    heard: UtcMs,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Counter(f64),
    Gauge(f64),
    Summary(Summary),
    Set(HashSet<u64>),
}

/// Values of an interval, and their count and sum since the begin.
#[derive(Debug, Default)]
struct Summary {
    count: f64,
    sum: f64,
    values: Vec<f64>,
    /// Every so many-th value is kept.
    stride: usize,
    skipped: usize,
}

impl Summary {
    fn add(&mut self, value: f64, weight: f64) {
        self.count += weight;
        self.sum += value * weight;
        self.skipped += 1;
        if self.skipped < self.stride.max(1) {
            return;
        }
        self.skipped = 0;
        if self.values.len() >= VALUES_MAX {
            // Half of them stand for all, and from now on half as many are kept.
            let mut at = 0;
            self.values.retain(|_| {
                at += 1;
                at % 2 == 0
            });
            self.stride = self.stride.max(1) * 2;
        }
        self.values.push(value);
    }

    /// The quantiles of the interval, which ends with this; none where no value came.
    fn quantiles(&mut self) -> Vec<(&'static str, f64)> {
        let mut values = std::mem::take(&mut self.values);
        (self.stride, self.skipped) = (1, 0);
        values.sort_by(f64::total_cmp);
        let nearest = |quantile: f64| ((quantile * values.len() as f64).ceil() as usize).clamp(1, values.len()) - 1;
        if values.is_empty() {
            return Vec::new();
        }
        QUANTILES.map(|(quantile, word)| (word, values[nearest(quantile)])).to_vec()
    }
}

impl Table {
    /// Adds the values of a line.
    ///
    /// # Errors
    /// Why they cannot be taken.
    pub fn take(
        &mut self,
        context: &SourceContext,
        metric: &Metric<'_>,
        peer: IpAddr,
        now: UtcMs,
    ) -> Result<(), &'static str> {
        let name = plain_name(metric.name).ok_or("no name")?;
        let kind = *self.kinds.get(&*name).unwrap_or(&metric.kind);
        if kind != metric.kind {
            return Err("name has another type already");
        }
        let values = metric.values.iter().map(|value| read(kind, value)).collect::<Result<Vec<_>, _>>()?;
        let key = Key { name: name.into(), labels: labels(metric, peer), peer };
        if !self.series.contains_key(&key) {
            if self.series.len() >= SERIES_MAX {
                return Err("too many series");
            }
            let entry = Entry { asset: whose(context, &key)?, heard: now, value: Value::of(kind) };
            self.kinds.insert(Arc::clone(&key.name), kind);
            self.series.insert(key.clone(), entry);
        }
        let entry = self.series.get_mut(&key).expect("it was just put in");
        entry.heard = now;
        for value in values {
            entry.value.add(&value, metric.rate);
        }
        Ok(())
    }

    /// One sample of each series; those that were not heard for long end, and sets and quantiles begin anew.
    pub fn samples(&mut self, now: UtcMs) -> Vec<SeriesSamples> {
        self.series.retain(|_, entry| now.since(entry.heard) <= UNHEARD_MAX);
        let alive: HashSet<&Arc<str>> = self.series.keys().map(|key| &key.name).collect();
        self.kinds.retain(|name, _| alive.contains(name));
        let mut samples = Vec::with_capacity(self.series.len());
        for (key, entry) in &mut self.series {
            for (suffix, more, value) in entry.value.sample() {
                let series = key.series(suffix, more, &entry.asset);
                samples.push(SeriesSamples { series: Arc::new(series), samples: vec![Sample::new(now, value)] });
            }
        }
        samples
    }
}

impl Key {
    fn series(&self, suffix: &str, quantile: Option<&str>, asset: &AssetId) -> Series {
        let name = format!("{}{suffix}", self.name);
        let own = self.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let more = quantile.map(|quantile| ("quantile", quantile));
        Series::new(Labels::new(own.chain([(METRIC_NAME, &*name)]).chain(more)), asset.clone())
    }
}

/// A value as it was read.
enum Read {
    Number { value: f64, is_change: bool },
    Word(u64),
}

fn read(kind: Kind, text: &str) -> Result<Read, &'static str> {
    if kind == Kind::Set {
        return Ok(Read::Word(xxh3_64(text.as_bytes())));
    }
    let value: f64 = text.trim().parse().ok().filter(|value: &f64| value.is_finite()).ok_or("value is not a number")?;
    if kind == Kind::Counter && value < 0.0 {
        return Err("counter goes down");
    }
    // Timers are sent in milliseconds.
    let value = if kind == Kind::Timer { value / 1_000.0 } else { value };
    Ok(Read::Number { value, is_change: text.starts_with(['+', '-']) })
}

impl Value {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter(0.0),
            Kind::Gauge => Self::Gauge(0.0),
            Kind::Timer | Kind::Histogram => Self::Summary(Summary::default()),
            Kind::Set => Self::Set(HashSet::new()),
        }
    }

    fn add(&mut self, read: &Read, rate: f64) {
        match (self, read) {
            (Self::Counter(sum), Read::Number { value, .. }) => *sum += value / rate,
            (Self::Gauge(last), Read::Number { value, is_change: true }) => *last += value,
            (Self::Gauge(last), Read::Number { value, is_change: false }) => *last = *value,
            (Self::Summary(summary), Read::Number { value, .. }) => summary.add(*value, 1.0 / rate),
            (Self::Set(words), Read::Word(word)) if words.len() < SET_MAX => drop(words.insert(*word)),
            (Self::Set(_), _) | (_, Read::Word(_)) => {}
        }
    }

    /// Suffix of the name, quantile and value of each of its series.
    fn sample(&mut self) -> Vec<(&'static str, Option<&'static str>, f64)> {
        match self {
            Self::Counter(value) | Self::Gauge(value) => vec![("", None, *value)],
            Self::Set(words) => vec![("", None, std::mem::take(words).len() as f64)],
            Self::Summary(summary) => {
                let quantiles = summary.quantiles().into_iter().map(|(word, value)| ("", Some(word), value));
                quantiles.chain([("_sum", None, summary.sum), ("_count", None, summary.count)]).collect()
            }
        }
    }
}

/// The name as Prometheus has it: underscores for what it does not take, and one in front of a digit.
fn plain_name(name: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let is_anything = plain.bytes().any(|byte| byte != b'_');
    let starts_with_digit = plain.starts_with(|first: char| first.is_ascii_digit());
    is_anything.then(|| if starts_with_digit { format!("_{plain}") } else { plain })
}

/// The tags as labels, sorted, of equal names the last; tags without a value say `true`. What tells senders apart that
/// send under one name is added.
fn labels(metric: &Metric<'_>, peer: IpAddr) -> Vec<(String, String)> {
    let tag = |(name, value): &(&str, &str)| {
        let value = if value.is_empty() { "true" } else { value };
        Some((names::label(name)?.into_owned(), value.to_owned()))
    };
    let mut sorted: BTreeMap<String, String> = metric.tags.iter().filter_map(tag).collect();
    sorted.entry("job".to_owned()).or_insert_with(|| "statsd".to_owned());
    sorted.entry("instance".to_owned()).or_insert_with(|| peer.to_canonical().to_string());
    sorted.into_iter().filter(|(name, _)| name != METRIC_NAME && name != "quantile").collect()
}

/// Whose a series is: the host that a tag names, else where it came from.
fn whose(context: &SourceContext, key: &Key) -> Result<AssetId, &'static str> {
    let mut pairs: Vec<(&str, &str)> = key.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    pairs.push((METRIC_NAME, &key.name));
    series::check(&pairs).map_err(series::BadLabels::reason)?;
    let claimed =
        ["host", "hostname", "instance"].iter().find_map(|name| key.labels.iter().find(|(own, _)| own == name));
    let sender = Sender { claimed: claimed.map(|(_, value)| value.as_str()), peer: Some(key.peer), declared: None };
    Ok(context.identity.resolve(&context.name, &sender).asset)
}

#[cfg(test)]
mod tests;
