//! Walks the protobuf message.
//!
//! Senders write the labels of a series behind each other, and the same ones with every request. So their bytes as a
//! whole are looked up first, and read only where they are new.

use std::sync::Arc;

use wk_types::{Sample, Series, SeriesSamples, UtcMs};

use super::{Metadata, RemoteWrite, RemoteWriteError, SAMPLES_MAX, SERIES_MAX};
use crate::protobuf::{BadMessage, Field, delimited, fields};
use crate::series;
use crate::series_cache::SeriesRequest;
use crate::times;

/// How many labels are looked at; a series with more is rejected for it.
pub(super) const LABELS_READ_MAX: usize = series::LABELS_MAX + 1;

/// Reads `WriteRequest { repeated TimeSeries timeseries = 1; repeated MetricMetadata metadata = 3; }`.
pub fn request(body: &[u8], parsed: &mut RemoteWrite, series: &mut SeriesRequest<'_>) -> Result<(), RemoteWriteError> {
    let mut counts = Counts::default();
    let mut one = OneSeries::default();
    fields(body, |tag, field| {
        match (tag, field) {
            (1, Field::Bytes(bytes)) => {
                counts.series += 1;
                one.clear();
                time_series(bytes, &mut one, &mut counts)?;
                if counts.are_within_bounds() {
                    take(&one, parsed, series)?;
                }
            }
            (3, Field::Bytes(bytes)) => family(bytes, parsed)?,
            // Symbols and series of 2.0.
            (4 | 5, _) => return Err(BadMessage::OtherVersion { field: tag }),
            _ => {}
        }
        Ok(())
    })
    .map_err(RemoteWriteError::Protobuf)?;
    counts.check()
}

/// Reads `MetricMetadata { MetricType type = 1; string metric_family_name = 2; string help = 4; string unit = 5; }`.
fn family(body: &[u8], parsed: &mut RemoteWrite) -> Result<(), BadMessage> {
    let (mut kind, mut texts) = ("", [""; 6]);
    fields(body, |tag, field| {
        match (tag, field) {
            (1, Field::Varint(number)) => kind = kind_of(number),
            (2 | 4 | 5, Field::Bytes(bytes)) => texts[tag as usize] = std::str::from_utf8(bytes).unwrap_or_default(),
            _ => {}
        }
        Ok(())
    })?;
    parsed.describe(texts[2], Metadata::new(kind, texts[4], texts[5]));
    Ok(())
}

/// The word for a number of `MetricType`, which is the same in both messages; empty where nothing is said.
pub(super) const fn kind_of(number: u64) -> &'static str {
    match number {
        1 => "counter",
        2 => "gauge",
        3 => "histogram",
        4 => "gaugehistogram",
        5 => "summary",
        6 => "info",
        7 => "stateset",
        _ => "",
    }
}

/// How much of a body has been read.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) series: usize,
    pub(super) samples: usize,
}

impl Counts {
    /// Tells whether what was read so far may be kept.
    pub(super) const fn are_within_bounds(&self) -> bool {
        self.series <= SERIES_MAX && self.samples <= SAMPLES_MAX
    }

    /// Refuses a body that held too much.
    pub(super) fn check(&self) -> Result<(), RemoteWriteError> {
        for (unit, found, max) in [("series", self.series, SERIES_MAX), ("samples", self.samples, SAMPLES_MAX)] {
            if found > max {
                return Err(RemoteWriteError::TooLarge { unit, found, max });
            }
        }
        Ok(())
    }
}

/// One series as it stands in the body.
#[derive(Default)]
struct OneSeries<'a> {
    /// The fields of the labels, where they stand together.
    labels: &'a [u8],
    /// All of its bytes where they do not.
    scattered: Option<&'a [u8]>,
    held: Held,
}

impl OneSeries<'_> {
    fn clear(&mut self) {
        self.labels = &[];
        self.scattered = None;
        self.held.clear();
    }
}

/// What a series holds.
#[derive(Default)]
pub(super) struct Held {
    pub(super) samples: Vec<Sample>,
    pub(super) histograms: u64,
}

impl Held {
    pub(super) fn clear(&mut self) {
        self.samples.clear();
        self.histograms = 0;
    }
}

/// Labels as they were sent.
#[derive(Default)]
pub(super) struct RawLabels<'a> {
    pub(super) pairs: Vec<(&'a str, &'a str)>,
    pub(super) not_utf8: bool,
}

impl RawLabels<'_> {
    /// The labels as an example shows them.
    pub(super) fn described(&self) -> String {
        self.pairs.iter().map(|(name, value)| format!("{name}={value:?} ")).collect()
    }

    /// Tells whether they can name a series; where they cannot, all that it holds is rejected.
    pub(super) fn check(&self, held: &Held, parsed: &mut RemoteWrite) -> bool {
        let bad = match series::check(&self.pairs) {
            _ if self.not_utf8 => "label is not UTF-8",
            Err(bad) => bad.reason(),
            Ok(()) => return true,
        };
        parsed.reject(HISTOGRAM, held.histograms, &self.described());
        parsed.reject(bad, held.samples.len() as u64, &self.described());
        false
    }
}

/// Finds the series, and adds what can be stored of it.
fn take(one: &OneSeries<'_>, parsed: &mut RemoteWrite, series: &mut SeriesRequest<'_>) -> Result<(), BadMessage> {
    let known = if one.scattered.is_none() { series.known(one.labels) } else { None };
    let found = match known {
        Some(known) => known,
        None => {
            let labels = read_labels(one.scattered.unwrap_or(one.labels))?;
            if !labels.check(&one.held, parsed) {
                return Ok(());
            }
            // Bytes that hold more than labels do not come again.
            match one.scattered {
                Some(_) => series.attribute(&labels.pairs),
                None => series.learn(one.labels, &labels.pairs),
            }
        }
    };
    keep(found, &one.held, parsed);
    Ok(())
}

const HISTOGRAM: &str = "native histogram";

/// Adds what can be stored of a series.
pub(super) fn keep(found: Arc<Series>, held: &Held, parsed: &mut RemoteWrite) {
    let described = || found.labels.iter().map(|(name, value)| format!("{name}={value:?} ")).collect::<String>();
    if held.histograms > 0 {
        parsed.reject(HISTOGRAM, held.histograms, &described());
    }
    let good = held.samples.iter().filter(|sample| times::is_sample_time(sample.time)).count();
    if good < held.samples.len() {
        parsed.reject("time out of range", (held.samples.len() - good) as u64, &described());
    }
    if good > 0 {
        let mut samples = Vec::with_capacity(good);
        samples.extend(held.samples.iter().filter(|sample| times::is_sample_time(sample.time)));
        parsed.series.push(SeriesSamples { series: found, samples });
    }
}

/// Reads `TimeSeries { repeated Label labels = 1; repeated Sample samples = 2; repeated Exemplar exemplars = 3;
/// repeated Histogram histograms = 4; }`; the labels are only delimited.
fn time_series<'a>(body: &'a [u8], one: &mut OneSeries<'a>, counts: &mut Counts) -> Result<(), BadMessage> {
    let rest = behind_labels(body)?;
    one.labels = &body[..body.len() - rest.len()];
    fields(rest, |tag, field| {
        match (tag, field) {
            (1, Field::Bytes(_)) => one.scattered = Some(body),
            (2, Field::Bytes(bytes)) => {
                counts.samples += 1;
                let sample = sample(bytes)?;
                if counts.samples <= SAMPLES_MAX {
                    one.held.samples.push(sample);
                }
            }
            (4, Field::Bytes(_)) => one.held.histograms += 1,
            _ => {}
        }
        Ok(())
    })
}

/// What follows the labels with which a series begins.
fn behind_labels(mut body: &[u8]) -> Result<&[u8], BadMessage> {
    /// The key of field 1, delimited by its length.
    const LABEL: u8 = 0x0a;
    while let Some((&LABEL, mut rest)) = body.split_first() {
        delimited(&mut rest)?;
        body = rest;
    }
    Ok(body)
}

/// Reads the labels of a series.
fn read_labels(body: &[u8]) -> Result<RawLabels<'_>, BadMessage> {
    let mut labels = RawLabels::default();
    fields(body, |tag, field| {
        let (1, Field::Bytes(bytes)) = (tag, field) else { return Ok(()) };
        let (name, value) = label(bytes)?;
        match (std::str::from_utf8(name), std::str::from_utf8(value)) {
            (Ok(name), Ok(value)) if labels.pairs.len() < LABELS_READ_MAX => labels.pairs.push((name, value)),
            (Ok(_), Ok(_)) => {}
            _ => labels.not_utf8 = true,
        }
        Ok(())
    })?;
    Ok(labels)
}

/// Reads `Label { string name = 1; string value = 2; }`.
fn label(body: &[u8]) -> Result<(&[u8], &[u8]), BadMessage> {
    let mut label: (&[u8], &[u8]) = (&[], &[]);
    fields(body, |tag, field| {
        match (tag, field) {
            (1, Field::Bytes(bytes)) => label.0 = bytes,
            (2, Field::Bytes(bytes)) => label.1 = bytes,
            _ => {}
        }
        Ok(())
    })?;
    Ok(label)
}

/// Reads `Sample { double value = 1; int64 timestamp = 2; }`.
fn sample(body: &[u8]) -> Result<Sample, BadMessage> {
    let mut sample = Sample::new(UtcMs(0), 0.0);
    fields(body, |tag, field| {
        match (tag, field) {
            (1, Field::Fixed64(bits)) => sample.value = f64::from_bits(bits),
            (2, Field::Varint(time)) => sample.time = UtcMs(time as i64),
            _ => {}
        }
        Ok(())
    })?;
    Ok(sample)
}
