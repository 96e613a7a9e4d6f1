//! Walks the protobuf message.
//!
//! Senders write the labels of a series behind each other, and the same ones with every request. So their bytes as a
//! whole are looked up first, and read only where they are new.

use std::sync::Arc;

use prost::encoding::{DecodeContext, WireType, skip_field};
use wk_types::{Sample, Series, SeriesSamples, UtcMs};

use super::{BadMessage, RemoteWrite, RemoteWriteError, SAMPLES_MAX, SERIES_MAX};
use crate::series;
use crate::series_cache::SeriesRequest;
use crate::times;

/// How many labels are looked at; a series with more is rejected for it.
const LABELS_READ_MAX: usize = series::LABELS_MAX + 1;

/// Reads `WriteRequest { repeated TimeSeries timeseries = 1; repeated MetricMetadata metadata = 3; }`.
pub fn request(body: &[u8], parsed: &mut RemoteWrite, series: &mut SeriesRequest<'_>) -> Result<(), RemoteWriteError> {
    let mut counts = Counts::default();
    let mut one = OneSeries::default();
    fields(body, |tag, field| {
        if let (1, Field::Bytes(bytes)) = (tag, field) {
            counts.series += 1;
            one.clear();
            time_series(bytes, &mut one, &mut counts)?;
            if counts.series <= SERIES_MAX && counts.samples <= SAMPLES_MAX {
                take(&one, parsed, series)?;
            }
        }
        Ok(())
    })
    .map_err(RemoteWriteError::Protobuf)?;
    for (unit, found, max) in [("series", counts.series, SERIES_MAX), ("samples", counts.samples, SAMPLES_MAX)] {
        if found > max {
            return Err(RemoteWriteError::TooLarge { unit, found, max });
        }
    }
    Ok(())
}

#[derive(Default)]
struct Counts {
    series: usize,
    samples: usize,
}

/// One series as it stands in the body.
#[derive(Default)]
struct OneSeries<'a> {
    /// The fields of the labels, where they stand together.
    labels: &'a [u8],
    /// All of its bytes where they do not.
    scattered: Option<&'a [u8]>,
    samples: Vec<Sample>,
    histograms: u64,
}

impl OneSeries<'_> {
    fn clear(&mut self) {
        self.labels = &[];
        self.scattered = None;
        self.samples.clear();
        self.histograms = 0;
    }
}

/// Labels as they were sent.
#[derive(Default)]
struct RawLabels<'a> {
    pairs: Vec<(&'a str, &'a str)>,
    not_utf8: bool,
}

/// Checks a series and adds what can be stored of it.
fn take(one: &OneSeries<'_>, parsed: &mut RemoteWrite, series: &mut SeriesRequest<'_>) -> Result<(), BadMessage> {
    let bytes = one.scattered.unwrap_or(one.labels);
    let known = if one.scattered.is_none() { series.known(bytes) } else { None };
    let found = match known {
        Some(known) => known,
        None => match learn(one, &read_labels(bytes)?, parsed, series) {
            Some(learned) => learned,
            None => return Ok(()),
        },
    };
    let described = || found.labels.iter().map(|(name, value)| format!("{name}={value:?} ")).collect::<String>();
    if one.histograms > 0 {
        parsed.reject(HISTOGRAM, one.histograms, &described());
    }
    let good = one.samples.iter().filter(|sample| times::is_sample_time(sample.time)).count();
    if good < one.samples.len() {
        parsed.reject("time out of range", (one.samples.len() - good) as u64, &described());
    }
    if good > 0 {
        let mut samples = Vec::with_capacity(good);
        samples.extend(one.samples.iter().filter(|sample| times::is_sample_time(sample.time)));
        parsed.series.push(SeriesSamples { series: found, samples });
    }
    Ok(())
}

const HISTOGRAM: &str = "native histogram";

/// Makes the series of labels that are new, or rejects what it holds.
fn learn(
    one: &OneSeries<'_>,
    labels: &RawLabels<'_>,
    parsed: &mut RemoteWrite,
    series: &mut SeriesRequest<'_>,
) -> Option<Arc<Series>> {
    let bad = match series::check(&labels.pairs) {
        _ if labels.not_utf8 => "label is not UTF-8",
        Err(bad) => reason(bad),
        // Bytes that hold more than labels do not come again.
        Ok(()) if one.scattered.is_some() => return Some(series.attribute(&labels.pairs)),
        Ok(()) => return Some(series.learn(one.labels, &labels.pairs)),
    };
    let described: String = labels.pairs.iter().map(|(name, value)| format!("{name}={value:?} ")).collect();
    parsed.reject(HISTOGRAM, one.histograms, &described);
    parsed.reject(bad, one.samples.len() as u64, &described);
    None
}

const fn reason(bad: series::BadLabels) -> &'static str {
    match bad {
        series::BadLabels::NoName => "no metric name",
        series::BadLabels::Name => "bad label name",
        series::BadLabels::Value => "label value too long",
        series::BadLabels::Duplicate => "duplicate label",
        series::BadLabels::TooMany => "too many labels",
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
                    one.samples.push(sample);
                }
            }
            (4, Field::Bytes(_)) => one.histograms += 1,
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

enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
}

/// Calls `each` with every field of a message; fields of other wire types are skipped.
fn fields<'a>(
    mut body: &'a [u8],
    mut each: impl FnMut(u32, Field<'a>) -> Result<(), BadMessage>,
) -> Result<(), BadMessage> {
    while !body.is_empty() {
        let key = varint(&mut body)?;
        let (tag, wire_type) = (u32::try_from(key >> 3).map_err(|_| BadMessage::Number)?, key & 7);
        if tag == 0 {
            return Err(BadMessage::Number);
        }
        let field = match WireType::try_from(wire_type)? {
            WireType::Varint => Field::Varint(varint(&mut body)?),
            WireType::SixtyFourBit => {
                let (bytes, rest) = body.split_first_chunk::<8>().ok_or(BadMessage::Truncated)?;
                body = rest;
                Field::Fixed64(u64::from_le_bytes(*bytes))
            }
            WireType::LengthDelimited => Field::Bytes(delimited(&mut body)?),
            other @ (WireType::ThirtyTwoBit | WireType::StartGroup | WireType::EndGroup) => {
                skip_field(other, tag, &mut body, DecodeContext::default())?;
                continue;
            }
        };
        each(tag, field)?;
    }
    Ok(())
}

fn delimited<'a>(body: &mut &'a [u8]) -> Result<&'a [u8], BadMessage> {
    let length = usize::try_from(varint(body)?).map_err(|_| BadMessage::Truncated)?;
    let (bytes, rest) = body.split_at_checked(length).ok_or(BadMessage::Truncated)?;
    *body = rest;
    Ok(bytes)
}

/// Reads a number in base 128; most have one or two digits.
fn varint(body: &mut &[u8]) -> Result<u64, BadMessage> {
    let mut number = 0;
    for (at, byte) in body.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if *byte < 0x80 {
            *body = &body[at + 1..];
            return if at == 9 && *byte > 1 { Err(BadMessage::Number) } else { Ok(number) };
        }
    }
    Err(if body.len() < 10 { BadMessage::Truncated } else { BadMessage::Number })
}
