//! From lines to readings: whose word counts, and what is counted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wk_types::UtcMs;

use super::ais::{self, Assembler};
use super::fields::{NotRead, decode, is_read};
use super::sentence::Sentence;
use super::{LINE_TOO_LONG, NmeaSettings, tag};
use crate::contract::SourceContext;
use crate::instruments::Instruments;
use crate::preference::Preference;
use crate::vessel::{Quantity, Reading};

/// How many talkers are counted apart; further ones count as [`OTHER`].
const TALKERS_MAX: usize = 64;
/// Under what the talkers beyond [`TALKERS_MAX`] and sentences that are not read are counted.
const OTHER: &str = "other";

/// Reads lines of one source.
pub struct Receiver {
    instruments: Instruments,
    preference: Preference,
    assembler: Assembler,
    known: BTreeSet<String>,
    counted: BTreeMap<(String, String), u64>,
    lines: BTreeMap<String, LineCount>,
}

#[derive(Default)]
struct LineCount {
    last: Option<u16>,
    missing: u64,
}

impl Receiver {
    /// Starts with nothing heard.
    #[must_use]
    pub fn start(settings: &NmeaSettings, context: SourceContext, cancel: &CancellationToken) -> Self {
        Self {
            instruments: Instruments::start(context, settings.instruments(), cancel),
            preference: Preference::new(settings.talkers.clone()),
            assembler: Assembler::default(),
            known: BTreeSet::new(),
            counted: BTreeMap::new(),
            lines: BTreeMap::new(),
        }
    }

    /// The instruments that the readings go to.
    #[must_use]
    pub const fn instruments(&self) -> &Instruments {
        &self.instruments
    }

    /// Counts lines that were too long to be kept.
    pub fn too_long(&mut self, lines: u64) {
        for _ in 0..lines {
            self.instruments.reject(LINE_TOO_LONG, "");
        }
    }

    /// Reads one line without its end.
    pub fn line(&mut self, line: &[u8]) {
        let shown = || String::from_utf8_lossy(line).into_owned();
        let parsed = tag::split(line).and_then(|(tag, rest)| Ok((tag, Sentence::parse(rest)?)));
        let (tag, sentence) = match parsed {
            Ok(parsed) => parsed,
            Err(bad) => return self.instruments.reject(&bad.to_string(), &shown()),
        };
        self.instruments.heard(line.len());
        let talker = self.known_talker(tag.source.unwrap_or(sentence.talker));
        self.count(&talker, &sentence);
        if let Some(number) = tag.line {
            self.count_missing(&talker, number);
        }
        let now = self.instruments.context().now();
        if sentence.formatter == "VDO" {
            match self
                .assembler
                .push(&sentence, now)
                .and_then(|bits| bits.map_or(Ok(Vec::new()), |bits| ais::decode(&bits)))
            {
                Ok(readings) => readings.iter().for_each(|reading| self.read(&talker, reading, now)),
                Err(bad) => self.instruments.reject(&bad.to_string(), &shown()),
            }
            return;
        }
        match decode(&sentence) {
            Ok(decoded) => {
                decoded.readings.iter().for_each(|reading| self.read(&talker, reading, now));
                if let Some(utc) = decoded.utc {
                    let offset = (utc.0 - now.0) as f64 / 1_000.0;
                    self.read(&talker, &Reading::new(Quantity::GnssTimeOffset, offset), now);
                }
            }
            // A receiver without a fix says so every second: a state of it, not a fault of the line.
            Err(NotRead::Invalid) => {
                self.instruments.context().stats.flagged(&NotRead::Invalid.to_string(), 1, &shown());
            }
            Err(bad) => self.instruments.reject(&bad.to_string(), &shown()),
        }
    }

    /// Waits for a while or until cancelled, going on with the beat.
    pub async fn idle(&mut self, pause: Duration, cancel: &CancellationToken) {
        self.instruments.idle(pause, cancel).await;
    }

    /// Sends what was read since the last time, with the counts of sentences.
    pub fn flush(&mut self) {
        self.note_counts();
        self.instruments.flush();
    }

    fn note_counts(&mut self) {
        let now = self.instruments.context().now();
        for ((talker, sentence), count) in &self.counted {
            let labels = [("talker", talker.as_str()), ("sentence", sentence.as_str())];
            self.instruments.note("nmea_sentences_total", &labels, *count as f64, now);
        }
        for (talker, count) in &self.lines {
            self.instruments.note("nmea_lines_missing_total", &[("talker", talker)], count.missing as f64, now);
        }
    }

    /// Sends what is left and waits shortly for what is on its way.
    pub async fn finish(mut self) {
        self.note_counts();
        self.instruments.finish().await;
    }

    fn read(&mut self, talker: &str, reading: &Reading, now: UtcMs) {
        // A value that cannot be must not take a quantity over from a talker whose values can.
        if reading.quantity.holds(reading.value) && !self.preference.takes(talker, reading.quantity, now) {
            return;
        }
        self.instruments.read(reading, now);
    }

    fn known_talker(&mut self, talker: &str) -> String {
        if !self.known.contains(talker) {
            if self.known.len() >= TALKERS_MAX {
                return OTHER.to_owned();
            }
            self.known.insert(talker.to_owned());
        }
        talker.to_owned()
    }

    fn count(&mut self, talker: &str, sentence: &Sentence<'_>) {
        let formatter = sentence.formatter;
        let shown = if is_read(formatter) || matches!(formatter, "VDO" | "VDM") { formatter } else { OTHER };
        *self.counted.entry((talker.to_owned(), shown.to_owned())).or_default() += 1;
    }

    /// Counts the gap before a line's number; a number that is not higher than the last one began anew.
    fn count_missing(&mut self, talker: &str, number: u16) {
        let count = self.lines.entry(talker.to_owned()).or_default();
        if let Some(last) = count.last.replace(number)
            && number > last
        {
            count.missing += u64::from(number - last - 1);
        }
    }
}
