//! Bytes to records.

use std::sync::Arc;

use super::bytes::Reader;
use super::{FORMAT, LABELS_MAX, SHARED_LABELS_MAX, WireError, kind};
use crate::attributes::Attributes;
use crate::command::Command;
use crate::digest::{Place, Remembered};
use crate::id::{AssetId, Seq, SourceName};
use crate::intake::{Body, IntakeRecord};
use crate::labels::{Labels, SeriesId};
use crate::log::LogRecord;
use crate::series::{Sample, Series, SeriesSamples};
use crate::severity::Severity;
use crate::time::UtcMs;

/// How many series a decoder keeps at least, if it has met so many.
const SERIES_KEPT: usize = 1 << 17;

/// How many records are made room for at once.
const RECORDS_USUAL: usize = 1 << 12;

const OUTSIDE: WireError = WireError::Damaged { what: "a position points outside its table" };
const COUNTS: WireError = WireError::Damaged { what: "its counts contradict each other" };

/// Decodes batches, and keeps the series it has met, so that a series which comes again is the same one in memory.
#[derive(Debug)]
pub struct Decoder {
    series: Remembered<SeriesId, Arc<Series>>,
    place: Place,
    scratch: Vec<u8>,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// Makes a decoder that has met nothing.
    #[must_use]
    pub fn new() -> Self {
        Self { series: Remembered::new(SERIES_KEPT), place: Place::default(), scratch: Vec::new() }
    }

    /// Decodes one batch.
    ///
    /// *Limits*: the memory taken is a small multiple of the bytes given, and that of [`LABELS_MAX`] labels.
    ///
    /// # Errors
    /// Bytes that are no batch, a newer format, and more than [`LABELS_MAX`] labels.
    pub fn decode(&mut self, bytes: &[u8]) -> Result<Vec<IntakeRecord>, WireError> {
        let mut input = Reader::new(bytes);
        let found = input.position()?;
        if found > FORMAT {
            return Err(WireError::Newer { found });
        }
        let (count, texts, labels) = (input.count()?, input.count()?, input.count()?);
        let texts = input.texts(texts)?;
        let (names, values) = (input.numbers(labels)?, input.numbers(labels)?);
        let labels = names.into_iter().zip(values).map(|(name, value)| (name as usize, value as usize)).collect();
        let shared = vec![None; texts.len()];
        let mut batch = Batch { texts, shared, labels, labels_left: LABELS_MAX, known: self };
        let mut records = Vec::with_capacity(count.min(RECORDS_USUAL));
        let (mut seq, mut received) = (0, 0);
        for _ in 0..count {
            let record = batch.record(&mut input, seq, received)?;
            (seq, received) = (record.seq.0 as i64, record.received.0);
            records.push(record);
        }
        if input.is_empty() { Ok(records) } else { Err(WireError::Damaged { what: "more follows behind its end" }) }
    }

    /// The series with these labels, the one met before where there is one.
    fn series(&mut self, pairs: &[(&str, &str)], asset: &str, make: impl FnOnce() -> (Labels, AssetId)) -> Arc<Series> {
        let id = SeriesId::of(pairs.iter().copied(), &mut self.scratch);
        if let Some((known, fading)) = self.series.get_after(id, &mut self.place)
            && known.asset.as_str() == asset
        {
            let known = Arc::clone(known);
            if fading {
                self.series.keep(id);
            }
            return known;
        }
        let (labels, asset) = make();
        let series = Arc::new(Series::new(labels, asset));
        self.series.insert(series.id, Arc::clone(&series));
        series
    }
}

/// A batch while it is decoded.
struct Batch<'a> {
    texts: Vec<&'a str>,
    /// The texts that have been needed as values of their own.
    shared: Vec<Option<Arc<str>>>,
    labels: Vec<(usize, usize)>,
    labels_left: usize,
    known: &'a mut Decoder,
}

impl<'a> Batch<'a> {
    fn text(&self, at: usize) -> Result<&'a str, WireError> {
        self.texts.get(at).copied().ok_or(OUTSIDE)
    }

    fn shared(&mut self, at: usize) -> Result<Arc<str>, WireError> {
        let shared = self.shared.get_mut(at).ok_or(OUTSIDE)?;
        Ok(Arc::clone(shared.get_or_insert_with(|| self.texts[at].into())))
    }

    fn record(&mut self, input: &mut Reader<'a>, seq: i64, received: i64) -> Result<IntakeRecord, WireError> {
        let kind = input.byte()?;
        let (seq, received) = (input.difference(seq)?, UtcMs(input.difference(received)?));
        let source = SourceName::new(self.shared(input.position()? as usize)?);
        let body = match kind {
            kind::SAMPLES => Body::Samples(self.samples(input, received)?.into()),
            kind::LOGS => Body::Logs(self.logs(input, received)?.into()),
            kind::TICK => Body::Tick,
            kind::COMMAND => {
                let length = input.count()?;
                let command: Command = serde_json::from_slice(input.bytes(length)?).map_err(WireError::Command)?;
                Body::Command(Box::new(command))
            }
            _ => return Err(WireError::Damaged { what: "a record is of an unknown kind" }),
        };
        Ok(IntakeRecord { seq: Seq(seq as u64), received, source, body })
    }

    fn samples(&mut self, input: &mut Reader<'a>, received: UtcMs) -> Result<Vec<SeriesSamples>, WireError> {
        let (count, total) = (input.count()?, input.count()?);
        let assets = input.numbers(count)?;
        let label_counts = input.numbers(count)?;
        let sample_counts = input.numbers(count)?;
        let mut series = Vec::with_capacity(count);
        let mut label_positions: Vec<usize> = Vec::new();
        let mut last: Option<Arc<Series>> = None;
        for (asset, labels) in assets.into_iter().zip(label_counts) {
            let changed = self.label_positions(input, labels, &mut label_positions)?;
            let asset = usize::try_from(asset).map_err(|_| OUTSIDE)?;
            let one = match last.take() {
                Some(last) if !changed && last.asset.as_str() == self.text(asset)? => last,
                _ => self.series(&label_positions, asset)?,
            };
            series.push(SeriesSamples { series: Arc::clone(&one), samples: Vec::new() });
            last = Some(one);
        }
        fill_samples(input, (total, &sample_counts), received, &mut series)?;
        Ok(series)
    }

    /// Turns the positions of the labels of one series into those of the next; tells whether they differ.
    fn label_positions(
        &mut self,
        input: &mut Reader<'a>,
        count: u64,
        positions: &mut Vec<usize>,
    ) -> Result<bool, WireError> {
        let count = usize::try_from(count).ok().filter(|count| *count <= self.labels_left).ok_or(COUNTS)?;
        self.labels_left -= count;
        let mask = input.number()?;
        let changed = mask != 0 || count != positions.len() || count > SHARED_LABELS_MAX;
        positions.truncate(count);
        let named = (0..SHARED_LABELS_MAX).filter(|at| mask >> at & 1 == 1).chain(SHARED_LABELS_MAX..count);
        for at in named {
            let position = input.position()? as usize;
            if let Some(known) = positions.get_mut(at) {
                *known = position;
            } else if at == positions.len() && at < count {
                positions.push(position);
            } else {
                return Err(COUNTS);
            }
        }
        if positions.len() == count { Ok(changed) } else { Err(COUNTS) }
    }

    fn series(&mut self, label_positions: &[usize], asset: usize) -> Result<Arc<Series>, WireError> {
        let mut pairs = Vec::with_capacity(label_positions.len());
        for at in label_positions {
            let (name, value) = *self.labels.get(*at).ok_or(OUTSIDE)?;
            pairs.push((self.text(name)?, self.text(value)?));
        }
        let in_order = pairs.windows(2).all(|two| two[0].0 < two[1].0);
        if !in_order || pairs.iter().any(|(_, value)| value.is_empty()) {
            return Err(WireError::Damaged { what: "labels are out of order" });
        }
        let name = self.text(asset)?;
        let (texts, shared, labels) = (&self.texts, &mut self.shared, &self.labels);
        let mut share = |at: usize| Arc::clone(shared[at].get_or_insert_with(|| texts[at].into()));
        Ok(self.known.series(&pairs, name, || {
            let pairs = label_positions.iter().map(|at| labels[*at]).map(|(name, value)| (share(name), share(value)));
            (Labels::new(pairs.collect::<Vec<_>>()), AssetId::new(share(asset)))
        }))
    }

    fn logs(&mut self, input: &mut Reader<'a>, received: UtcMs) -> Result<Vec<LogRecord>, WireError> {
        let (count, attributes) = (input.count()?, input.count()?);
        let mut times = Vec::with_capacity(count);
        let mut before = received.0;
        for _ in 0..count {
            before = input.difference(before)?;
            times.push(UtcMs(before));
        }
        let (assets, apps) = (input.numbers(count)?, input.numbers(count)?);
        let severities = input.bytes(count)?;
        let attribute_counts = input.numbers(count)?;
        let (names, values) = (input.numbers(attributes)?, input.numbers(attributes)?);
        let messages = input.texts(count)?;
        let mut pairs = names.into_iter().zip(values);
        let mut logs = Vec::with_capacity(count);
        for at in 0..count {
            let attributes = (0..attribute_counts[at]).map(|_| {
                let (name, value) = pairs.next().ok_or(COUNTS)?;
                Ok((self.shared(name as usize)?, self.shared(value as usize)?))
            });
            let attributes = attributes.collect::<Result<Attributes, WireError>>()?;
            logs.push(LogRecord {
                time: times[at],
                asset: AssetId::new(self.shared(assets[at] as usize)?),
                app: self.shared(apps[at] as usize)?,
                severity: *Severity::ALL
                    .get(usize::from(severities[at]))
                    .ok_or(WireError::Damaged { what: "a severity is out of range" })?,
                message: messages[at].into(),
                attributes,
            });
        }
        if pairs.next().is_none() { Ok(logs) } else { Err(COUNTS) }
    }
}

/// Reads times and values and hands them to their series.
fn fill_samples(
    input: &mut Reader<'_>,
    (total, counts): (usize, &[u64]),
    received: UtcMs,
    series: &mut [SeriesSamples],
) -> Result<(), WireError> {
    let mut times = Vec::with_capacity(total);
    let mut before = received.0;
    for _ in 0..total {
        before = input.difference(before)?;
        times.push(UtcMs(before));
    }
    let mut values = vec![0_u64; total];
    for byte in 0..8 {
        for (value, part) in values.iter_mut().zip(input.bytes(total)?) {
            *value |= u64::from(*part) << (8 * byte);
        }
    }
    let mut samples = times.into_iter().zip(values).map(|(time, bits)| Sample::new(time, f64::from_bits(bits)));
    for (one, count) in series.iter_mut().zip(counts) {
        let count = usize::try_from(*count).ok().filter(|count| *count <= samples.len()).ok_or(COUNTS)?;
        one.samples.extend(samples.by_ref().take(count));
    }
    if samples.len() == 0 { Ok(()) } else { Err(COUNTS) }
}
