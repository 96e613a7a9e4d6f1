//! Records to bytes.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use super::bytes::{put, put_difference};
use super::{FORMAT, SHARED_LABELS_MAX, kind};
use crate::intake::{Body, IntakeRecord};
use crate::log::LogRecord;
use crate::series::SeriesSamples;

/// Encodes records as one batch of format [`FORMAT`], uncompressed.
///
/// Texts are written once where they share their memory or are equal; sharing makes it fast.
#[must_use]
pub fn encode<R: Borrow<IntakeRecord>>(records: &[R]) -> Vec<u8> {
    let mut tables = Tables::default();
    let mut body = Vec::new();
    let (mut seq, mut received) = (0, 0);
    for record in records {
        let record = record.borrow();
        body.push(kind_of(&record.body));
        put_difference(&mut body, record.seq.0 as i64, seq);
        put_difference(&mut body, record.received.0, received);
        (seq, received) = (record.seq.0 as i64, record.received.0);
        put(&mut body, tables.texts.position(record.source.as_str()).into());
        match &record.body {
            Body::Samples(series) => put_samples(&mut body, series, record.received.0, &mut tables),
            Body::Logs(logs) => put_logs(&mut body, logs, record.received.0, &mut tables.texts),
            Body::Tick => {}
            Body::Command(command) => {
                let text = serde_json::to_vec(command).expect("a command has only texts and numbers");
                put(&mut body, text.len() as u64);
                body.extend(text);
            }
        }
    }
    tables.batch(records.len(), &body)
}

const fn kind_of(body: &Body) -> u8 {
    match body {
        Body::Samples(_) => kind::SAMPLES,
        Body::Logs(_) => kind::LOGS,
        Body::Tick => kind::TICK,
        Body::Command(_) => kind::COMMAND,
    }
}

/// What records refer to.
#[derive(Default)]
struct Tables<'a> {
    texts: Texts<'a>,
    labels: LabelTable,
}

impl<'a> Tables<'a> {
    fn label(&mut self, name: &'a Arc<str>, value: &'a Arc<str>) -> u32 {
        let place = (Place::of(name), Place::of(value));
        if let Some(position) = self.labels.by_place.get(&place) {
            return *position;
        }
        let texts = (self.texts.position(name), self.texts.position(value));
        let next = position(self.labels.labels.len());
        let position = *self.labels.by_texts.entry(texts).or_insert(next);
        if position == next {
            self.labels.labels.push(texts);
        }
        self.labels.by_place.insert(place, position);
        position
    }

    fn batch(&self, records: usize, body: &[u8]) -> Vec<u8> {
        let (texts, labels) = (&self.texts.texts, &self.labels.labels);
        let text_bytes: usize = texts.iter().map(|text| text.len() + 1).sum();
        let mut out = Vec::with_capacity(body.len() + text_bytes + 8 * labels.len() + 64);
        for number in [FORMAT as usize, records, texts.len(), labels.len()] {
            put(&mut out, number as u64);
        }
        put_texts(&mut out, texts.iter().copied());
        labels.iter().for_each(|(name, _)| put(&mut out, u64::from(*name)));
        labels.iter().for_each(|(_, value)| put(&mut out, u64::from(*value)));
        out.extend_from_slice(body);
        out
    }
}

#[derive(Default)]
struct LabelTable {
    labels: Vec<(u32, u32)>,
    by_place: HashMap<(Place, Place), u32, BuildHasherDefault<PlaceHasher>>,
    by_texts: HashMap<(u32, u32), u32, BuildHasherDefault<PlaceHasher>>,
}

#[derive(Default)]
struct Texts<'a> {
    texts: Vec<&'a str>,
    by_place: HashMap<Place, u32, BuildHasherDefault<PlaceHasher>>,
    by_text: hashbrown::HashMap<&'a str, u32>,
}

impl<'a> Texts<'a> {
    fn position(&mut self, text: &'a str) -> u32 {
        if let Some(position) = self.by_place.get(&Place::of(text)) {
            return *position;
        }
        let next = position(self.texts.len());
        let position = *self.by_text.entry(text).or_insert(next);
        if position == next {
            self.texts.push(text);
        }
        self.by_place.insert(Place::of(text), position);
        position
    }
}

fn position(length: usize) -> u32 {
    u32::try_from(length).expect("a batch holds fewer than 2^32 texts and labels")
}

/// Where a text stands in memory: equal places are equal texts as long as the records are borrowed.
#[derive(PartialEq, Eq, Hash, Clone, Copy)]
struct Place {
    address: usize,
    length: usize,
}

impl Place {
    fn of(text: &str) -> Self {
        Self { address: text.as_ptr() as usize, length: text.len() }
    }
}

/// Mixes few numbers quickly; they are addresses and positions, which nobody outside chooses.
#[derive(Default)]
struct PlaceHasher(u64);

impl PlaceHasher {
    /// The fractional part of the golden ratio.
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
}

impl Hasher for PlaceHasher {
    fn finish(&self) -> u64 {
        // The upper bits of a product are its mixed ones, the map looks at the lower ones first.
        self.0.rotate_left(32)
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(5) ^ number).wrapping_mul(Self::FACTOR);
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}

fn put_texts<'a>(out: &mut Vec<u8>, texts: impl Iterator<Item = &'a str> + Clone) {
    texts.clone().for_each(|text| put(out, text.len() as u64));
    texts.for_each(|text| out.extend_from_slice(text.as_bytes()));
}

fn put_samples<'a>(out: &mut Vec<u8>, series: &'a [SeriesSamples], received: i64, tables: &mut Tables<'a>) {
    put(out, series.len() as u64);
    put(out, series.iter().map(|one| one.samples.len() as u64).sum());
    for one in series {
        put(out, tables.texts.position(one.series.asset.as_str()).into());
    }
    series.iter().for_each(|one| put(out, one.series.labels.len() as u64));
    series.iter().for_each(|one| put(out, one.samples.len() as u64));
    put_labels(out, series, tables);
    let samples = || series.iter().flat_map(|one| &one.samples);
    let mut before = received;
    for sample in samples() {
        put_difference(out, sample.time.0, before);
        before = sample.time.0;
    }
    let values: Vec<u64> = samples().map(|sample| sample.value.to_bits()).collect();
    for byte in 0..8 {
        out.extend(values.iter().map(|bits| (bits >> (8 * byte)) as u8));
    }
}

fn put_labels<'a>(out: &mut Vec<u8>, series: &'a [SeriesSamples], tables: &mut Tables<'a>) {
    let mut before: &[(Arc<str>, Arc<str>)] = &[];
    let (mut positions, mut changed): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
    for one in series {
        let labels = one.series.labels.pairs();
        let mut mask = 0_u64;
        changed.clear();
        positions.truncate(labels.len());
        for (at, (name, value)) in labels.iter().enumerate() {
            let shared = before.get(at).is_some_and(|(a, b)| Arc::ptr_eq(a, name) && Arc::ptr_eq(b, value));
            let position = if shared { positions[at] } else { tables.label(name, value) };
            let known = positions.get_mut(at);
            let same = known.as_ref().is_some_and(|known| **known == position);
            if at >= SHARED_LABELS_MAX || !same {
                mask |= if at < SHARED_LABELS_MAX { 1 << at } else { 0 };
                changed.push(position);
            }
            match known {
                Some(known) => *known = position,
                None => positions.push(position),
            }
        }
        put(out, mask);
        changed.iter().for_each(|position| put(out, u64::from(*position)));
        before = labels;
    }
}

fn put_logs<'a>(out: &mut Vec<u8>, logs: &'a [LogRecord], received: i64, texts: &mut Texts<'a>) {
    put(out, logs.len() as u64);
    put(out, logs.iter().map(|log| log.attributes.len() as u64).sum());
    let mut before = received;
    for log in logs {
        put_difference(out, log.time.0, before);
        before = log.time.0;
    }
    for log in logs {
        put(out, texts.position(log.asset.as_str()).into());
    }
    for log in logs {
        put(out, texts.position(&log.app).into());
    }
    out.extend(logs.iter().map(|log| log.severity as u8));
    logs.iter().for_each(|log| put(out, log.attributes.len() as u64));
    for name in logs.iter().flat_map(|log| log.attributes.keys()) {
        put(out, texts.position(name).into());
    }
    for value in logs.iter().flat_map(|log| log.attributes.values()) {
        put(out, texts.position(value).into());
    }
    put_texts(out, logs.iter().map(|log| &*log.message));
}
