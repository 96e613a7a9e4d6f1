//! Walks `io.prometheus.write.v2.Request`: labels and texts are numbers of a table of symbols.

use wk_types::labels::METRIC_NAME;
use wk_types::{Sample, UtcMs};

use super::walk::{Counts, Held, LABELS_READ_MAX, RawLabels, keep, kind_of};
use super::{Metadata, RemoteWrite, RemoteWriteError, SAMPLES_MAX};
use crate::protobuf::{BadMessage, Field, fields, varint};
use crate::series_cache::SeriesRequest;

/// How many symbols one request holds at most.
pub(super) const SYMBOLS_MAX: usize = 1_000_000;

/// Reads `Request { repeated string symbols = 4; repeated TimeSeries timeseries = 5; }`.
pub(super) fn request(
    body: &[u8],
    parsed: &mut RemoteWrite,
    series: &mut SeriesRequest<'_>,
) -> Result<(), RemoteWriteError> {
    let symbols = Symbols::read(body)?;
    let mut counts = Counts::default();
    let mut entry = Entry::default();
    fields(body, |tag, field| {
        match (tag, field) {
            (5, Field::Bytes(bytes)) => {
                counts.series += 1;
                entry.clear();
                entry.read(bytes, &mut counts)?;
                if counts.are_within_bounds() {
                    entry.store(&symbols, parsed, series);
                }
            }
            // Reserved, for these are series and metadata of 1.0.
            (1..=3, _) => return Err(BadMessage::OtherVersion { field: tag }),
            _ => {}
        }
        Ok(())
    })
    .map_err(RemoteWriteError::Protobuf)?;
    counts.check()
}

/// The table of symbols; `None` stands for one that is not UTF-8.
struct Symbols<'a>(Vec<Option<&'a str>>);

impl<'a> Symbols<'a> {
    fn read(body: &'a [u8]) -> Result<Self, RemoteWriteError> {
        let (mut symbols, mut found) = (Vec::new(), 0);
        fields(body, |tag, field| {
            if let (4, Field::Bytes(bytes)) = (tag, field) {
                found += 1;
                if found <= SYMBOLS_MAX {
                    symbols.push(std::str::from_utf8(bytes).ok());
                }
            }
            Ok(())
        })
        .map_err(RemoteWriteError::Protobuf)?;
        if found > SYMBOLS_MAX {
            return Err(RemoteWriteError::TooLarge { unit: "symbols", found, max: SYMBOLS_MAX });
        }
        Ok(Self(symbols))
    }

    /// A text of metadata; empty where it cannot be read, for metadata is not worth a refusal.
    fn text(&self, reference: u64) -> &'a str {
        usize::try_from(reference).ok().and_then(|at| self.0.get(at).copied().flatten()).unwrap_or_default()
    }
}

/// One series as it stands in the body.
#[derive(Default)]
struct Entry<'a> {
    references: Vec<u64>,
    labels: RawLabels<'a>,
    /// The labels as bytes under which the series is remembered.
    key: Vec<u8>,
    held: Held,
    /// Kind, help and unit, the latter two as references.
    metadata: (u64, u64, u64),
    exemplars: u64,
    starts: u64,
}

impl<'a> Entry<'a> {
    fn clear(&mut self) {
        self.references.clear();
        self.labels.pairs.clear();
        self.labels.not_utf8 = false;
        self.held.clear();
        (self.metadata, self.exemplars, self.starts) = Default::default();
    }

    /// Reads `TimeSeries { repeated uint32 labels_refs = 1; repeated Sample samples = 2; repeated Histogram histograms
    /// = 3; repeated Exemplar exemplars = 4; Metadata metadata = 5; int64 created_timestamp = 6; }`.
    fn read(&mut self, body: &[u8], counts: &mut Counts) -> Result<(), BadMessage> {
        fields(body, |tag, field| {
            match (tag, field) {
                (1, Field::Varint(reference)) => self.refer(reference),
                (1, Field::Bytes(mut packed)) => {
                    while !packed.is_empty() {
                        self.refer(varint(&mut packed)?);
                    }
                }
                (2, Field::Bytes(bytes)) => self.sample(bytes, counts)?,
                (3, Field::Bytes(_)) => self.held.histograms += 1,
                (4, Field::Bytes(_)) => self.exemplars += 1,
                (5, Field::Bytes(bytes)) => self.metadata = metadata(bytes)?,
                (6, Field::Varint(time)) => self.starts += u64::from(time != 0),
                _ => {}
            }
            Ok(())
        })
    }

    fn refer(&mut self, reference: u64) {
        if self.references.len() < 2 * LABELS_READ_MAX {
            self.references.push(reference);
        }
    }

    /// Reads `Sample { double value = 1; int64 timestamp = 2; int64 start_timestamp = 3; }`.
    fn sample(&mut self, body: &[u8], counts: &mut Counts) -> Result<(), BadMessage> {
        counts.samples += 1;
        let mut sample = Sample::new(UtcMs(0), 0.0);
        fields(body, |tag, field| {
            match (tag, field) {
                (1, Field::Fixed64(bits)) => sample.value = f64::from_bits(bits),
                (2, Field::Varint(time)) => sample.time = UtcMs(time as i64),
                (3, Field::Varint(time)) => self.starts += u64::from(time != 0),
                _ => {}
            }
            Ok(())
        })?;
        if counts.samples <= SAMPLES_MAX {
            self.held.samples.push(sample);
        }
        Ok(())
    }

    /// Looks the labels up and adds what can be stored.
    fn store(&mut self, symbols: &Symbols<'a>, parsed: &mut RemoteWrite, series: &mut SeriesRequest<'_>) {
        parsed.exemplars += self.exemplars;
        parsed.starts += self.starts;
        if !self.resolve(symbols) {
            let count = self.held.samples.len() as u64 + self.held.histograms;
            parsed.reject("label is no pair of symbols", count, &self.labels.described());
            return;
        }
        self.describe(symbols, parsed);
        self.spell();
        let found = match series.known(&self.key) {
            Some(known) if !self.labels.not_utf8 => known,
            _ if self.labels.check(&self.held, parsed) => series.learn(&self.key, &self.labels.pairs),
            _ => return,
        };
        keep(found, &self.held, parsed);
    }

    /// Writes the key: each text with its length, behind a byte with which no labels of 1.0 begin.
    fn spell(&mut self) {
        self.key.clear();
        self.key.push(0xff);
        for text in self.labels.pairs.iter().flat_map(|(name, value)| [name, value]) {
            self.key.extend_from_slice(&(text.len() as u64).to_le_bytes());
            self.key.extend_from_slice(text.as_bytes());
        }
    }

    /// Turns references into labels; false where they are no pairs of symbols.
    fn resolve(&mut self, symbols: &Symbols<'a>) -> bool {
        let (pairs, rest) = self.references.as_chunks::<2>();
        for pair in pairs {
            let [name, value] = pair.map(|at| usize::try_from(at).ok().and_then(|at| symbols.0.get(at).copied()));
            match (name, value) {
                (Some(Some(name)), Some(Some(value))) => self.labels.pairs.push((name, value)),
                (Some(_), Some(_)) => self.labels.not_utf8 = true,
                _ => return false,
            }
        }
        rest.is_empty()
    }

    fn describe(&self, symbols: &Symbols<'a>, parsed: &mut RemoteWrite) {
        let (kind, help, unit) =
            (kind_of(self.metadata.0), symbols.text(self.metadata.1), symbols.text(self.metadata.2));
        let Some((_, name)) = self.labels.pairs.iter().find(|(name, _)| *name == METRIC_NAME) else { return };
        let family = family_of(name, kind);
        if !parsed.metadata.contains_key(family) {
            parsed.describe(family, Metadata::new(kind, help, unit));
        }
    }
}

/// Reads `Metadata { MetricType type = 1; uint32 help_ref = 3; uint32 unit_ref = 4; }`.
fn metadata(body: &[u8]) -> Result<(u64, u64, u64), BadMessage> {
    let mut metadata = (0, 0, 0);
    fields(body, |tag, field| {
        match (tag, field) {
            (1, Field::Varint(kind)) => metadata.0 = kind,
            (3, Field::Varint(help)) => metadata.1 = help,
            (4, Field::Varint(unit)) => metadata.2 = unit,
            _ => {}
        }
        Ok(())
    })?;
    Ok(metadata)
}

/// The family of a series, without the ending that histograms and summaries give their series.
fn family_of<'a>(name: &'a str, kind: &str) -> &'a str {
    let endings: &[&str] = match kind {
        "histogram" => &["_bucket", "_sum", "_count"],
        "gaugehistogram" => &["_bucket", "_gsum", "_gcount"],
        "summary" => &["_sum", "_count"],
        _ => &[],
    };
    endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name)
}

#[cfg(test)]
mod tests;
