//! Walks the protobuf message.

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use wk_types::UtcMs;

use super::{
    BadMessage, Metadata, RawSeries, RemoteWrite, RemoteWriteError, SAMPLES_MAX, SERIES_MAX, Sample, Texts, series,
    times,
};

/// How many labels are looked at; a series with more is rejected for it.
pub(super) const LABELS_READ_MAX: usize = series::LABELS_MAX + 1;

/// Reads `WriteRequest { repeated TimeSeries timeseries = 1; repeated MetricMetadata metadata = 3; }`.
pub fn request(body: &[u8], parsed: &mut RemoteWrite, texts: &mut Texts) -> Result<(), RemoteWriteError> {
    let mut counts = Counts::default();
    let mut one = OneSeries::default();
    fields(body, |tag, field| {
        match (tag, field) {
            (1, Field::Bytes(bytes)) => {
                counts.series += 1;
                one.clear();
                time_series(bytes, &mut one, &mut counts)?;
                if counts.are_within_bounds() {
                    take(&one, parsed, texts);
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
pub(super) struct OneSeries<'a> {
    pub(super) labels: Vec<(&'a str, &'a str)>,
    pub(super) samples: Vec<Sample>,
    pub(super) histograms: u64,
    pub(super) not_utf8: bool,
}

impl OneSeries<'_> {
    pub(super) fn clear(&mut self) {
        self.labels.clear();
        self.samples.clear();
        self.histograms = 0;
        self.not_utf8 = false;
    }
}

impl OneSeries<'_> {
    /// The labels as an example shows them.
    pub(super) fn described(&self) -> String {
        self.labels.iter().map(|(name, value)| format!("{name}={value:?} ")).collect()
    }
}

/// Checks a series and adds what can be stored of it.
pub(super) fn take(one: &OneSeries<'_>, parsed: &mut RemoteWrite, texts: &mut Texts) {
    let described = || one.described();
    if one.histograms > 0 {
        parsed.reject("native histogram", one.histograms, &described());
    }
    if one.not_utf8 {
        parsed.reject("label is not UTF-8", one.samples.len() as u64, &described());
        return;
    }
    if let Err(bad) = series::check(&one.labels) {
        let reason = reason(bad);
        parsed.reject(reason, one.samples.len() as u64, &described());
        return;
    }
    let samples: Vec<Sample> =
        one.samples.iter().copied().filter(|sample| times::is_sample_time(sample.time)).collect();
    let outside = one.samples.len() - samples.len();
    if outside > 0 {
        parsed.reject("time out of range", outside as u64, &described());
    }
    if !samples.is_empty() {
        parsed.series.push(RawSeries { labels: texts.labels(&one.labels), samples });
    }
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
/// repeated Histogram histograms = 4; }`.
fn time_series<'a>(body: &'a [u8], one: &mut OneSeries<'a>, counts: &mut Counts) -> Result<(), BadMessage> {
    fields(body, |tag, field| {
        match (tag, field) {
            (1, Field::Bytes(bytes)) => {
                let (name, value) = label(bytes)?;
                match (std::str::from_utf8(name), std::str::from_utf8(value)) {
                    (Ok(name), Ok(value)) if one.labels.len() < LABELS_READ_MAX => one.labels.push((name, value)),
                    (Ok(_), Ok(_)) => {}
                    _ => one.not_utf8 = true,
                }
            }
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

/// The value of a field.
pub(super) enum Field<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
}

/// Calls `each` with every field of a message; fields of other wire types are skipped.
pub(super) fn fields<'a>(
    mut body: &'a [u8],
    mut each: impl FnMut(u32, Field<'a>) -> Result<(), BadMessage>,
) -> Result<(), BadMessage> {
    while !body.is_empty() {
        let (tag, wire_type) = decode_key(&mut body)?;
        let field = match wire_type {
            WireType::Varint => Field::Varint(decode_varint(&mut body)?),
            WireType::SixtyFourBit => match body.split_first_chunk::<8>() {
                Some((bytes, rest)) => {
                    body = rest;
                    Field::Fixed64(u64::from_le_bytes(*bytes))
                }
                None => return Err(BadMessage::Truncated),
            },
            WireType::LengthDelimited => {
                let length = usize::try_from(decode_varint(&mut body)?).map_err(|_| BadMessage::Truncated)?;
                let (bytes, rest) = body.split_at_checked(length).ok_or(BadMessage::Truncated)?;
                body = rest;
                Field::Bytes(bytes)
            }
            WireType::ThirtyTwoBit | WireType::StartGroup | WireType::EndGroup => {
                skip_field(wire_type, tag, &mut body, DecodeContext::default())?;
                continue;
            }
        };
        each(tag, field)?;
    }
    Ok(())
}
