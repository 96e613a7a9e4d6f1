//! Detection: one robust streaming detector for each series of the declared [families](crate::families).
//!
//! Each detector compares the median of the last five minutes with the median and the median absolute deviation of the
//! last day, held as 288 five-minute levels. It speaks only when the level has left the usual range by more than six
//! robust deviations *and* by more than the family's smallest effect, has stayed out for the family's hold time, and
//! has not been there before: on three occasions within the last day, or yesterday at this time. So the scale has a
//! floor, single spikes fall to the median, and scheduled jobs are learned. While a level is out, nothing is learned,
//! and an episode gives one signal, which ends when the level has stayed well inside the range for some minutes.
//! A counter is looked at as its rate; a series that has never moved costs a few bytes.

mod track;

use std::collections::BTreeSet;
use std::collections::hash_map::Entry;

use serde::{Deserialize, Serialize};
use wk_types::digest::DigestMap;
use wk_types::signal::Band;
use wk_types::{
    AssetId, Direction, DurationMs, Evidence, RuleKind, RuleRef, Sample, Series, SeriesId, SeriesSamples, Signal,
    SignalId, UtcMs,
};

use self::track::{Change, Finding, Track};
use crate::correlate::Correlator;
use crate::exact;
use crate::families::{Family, Kind, family_of, with_unit};
use crate::outbox::Outbox;

/// The detector's name as rules are named.
pub const DETECTOR_NAME: &str = "robust-deviation";

/// After this long without a value a raised signal ends, or after three of the series' own steps if that is longer.
const VANISHED_AFTER: DurationMs = DurationMs::from_mins(10);
/// A series not heard of for this long is forgotten.
const FORGOTTEN_AFTER: DurationMs = DurationMs::from_hours(24);
/// Samples further ahead of their receipt than this are passed over, as the metric store rejects them.
const FUTURE_MAX: DurationMs = DurationMs::from_mins(10);
/// How often series are looked through for forgotten ones.
const SWEEP_EVERY: DurationMs = DurationMs::from_hours(1);

/// The detectors of all series, and what they hold open.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Detection {
    #[serde(with = "exact::digests")]
    tracks: DigestMap<SeriesId, Track>,
    /// Series whose signal is open.
    raised: BTreeSet<SeriesId>,
    /// Samples not looked at because the bound on series was reached.
    refused: u64,
    swept: DurationMs,
    #[serde(skip)]
    series_max: usize,
}

impl Detection {
    /// Sets what is not saved: how many series are followed.
    pub(crate) const fn configure(&mut self, series_max: usize) {
        self.series_max = series_max;
    }

    pub(crate) fn series(&self) -> usize {
        self.tracks.len()
    }

    pub(crate) const fn refused(&self) -> u64 {
        self.refused
    }

    /// Looks at the samples of one series of a family.
    pub(crate) fn step(&mut self, one: &SeriesSamples, family: &Family, correlator: &mut Correlator, out: &mut Outbox) {
        let id = one.series.id;
        let followed = self.tracks.len();
        let track = match self.tracks.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(_) if followed >= self.series_max => {
                self.refused += one.samples.len() as u64;
                return;
            }
            Entry::Vacant(free) => free.insert(Track::default()),
        };
        track.heard(out.steady());
        let latest = out.at() + FUTURE_MAX;
        track.rewind(latest);
        for sample in one.samples.iter().filter(|sample| sample.time <= latest) {
            match track.step(family, *sample) {
                None => {}
                Some(Change::Raised(finding)) => {
                    let signal = signal_of(&one.series, family, &finding, out);
                    track.name_signal(signal.id.clone());
                    self.raised.insert(id);
                    correlator.raise(signal, out);
                }
                Some(Change::Worsened(signal, finding)) => {
                    let worse = signal_of(&one.series, family, &finding, out);
                    correlator.worsen(&signal, worse, out);
                }
                Some(Change::Cleared(signal, ended, reason)) => {
                    self.raised.remove(&id);
                    correlator.clear(&signal, ended, reason, out);
                }
            }
        }
    }

    /// Ends the signals of series that have vanished, and forgets series not heard of for a day.
    pub(crate) fn tick(&mut self, correlator: &mut Correlator, out: &mut Outbox) {
        let steady = out.steady();
        let mut vanished = Vec::new();
        for id in &self.raised {
            let Some(track) = self.tracks.get_mut(id) else { continue };
            let patience = VANISHED_AFTER.max(DurationMs(track.spacing().0.saturating_mul(3)));
            if track.silent_for(steady) <= patience {
                continue;
            }
            vanished.push(*id);
            if let Some(signal) = track.give_up() {
                correlator.clear(&signal, out.at(), format!("no values for {patience}"), out);
            }
        }
        for id in vanished {
            self.raised.remove(&id);
        }
        if DurationMs(steady.0 - self.swept.0) >= SWEEP_EVERY {
            self.swept = steady;
            self.tracks.retain(|_, track| track.silent_for(steady) <= FORGOTTEN_AFTER);
        }
    }
}

fn signal_of(series: &Series, family: &Family, finding: &Finding, out: &Outbox) -> Signal {
    let metric = series.labels.name();
    let direction = if finding.level >= finding.center { Direction::Up } else { Direction::Down };
    Signal {
        id: signal_id(&series.asset, series, finding.since),
        asset: series.asset.clone(),
        rule: RuleRef { kind: RuleKind::Anomaly, name: DETECTOR_NAME.to_owned() },
        metric: metric.to_owned(),
        labels: series.labels.clone(),
        title: title_of(series, family, finding),
        severity: family.severity,
        score: 1.0 - 0.5 * finding.threshold / finding.excess,
        direction,
        started: finding.since,
        raised: out.at(),
        ended: None,
        input: out.seq(),
        evidence: evidence_of(series, family, finding),
    }
}

fn signal_id(asset: &AssetId, series: &Series, since: UtcMs) -> SignalId {
    let labels = series.labels.to_string();
    SignalId::derive(&["anomaly", DETECTOR_NAME, asset.as_str(), &labels, &since.0.to_string()])
}

fn title_of(series: &Series, family: &Family, finding: &Finding) -> String {
    let about: Vec<&str> = series
        .labels
        .iter()
        .filter(|(name, _)| !matches!(&***name, "__name__" | "job" | "instance" | "asset"))
        .map(|(_, value)| &**value)
        .collect();
    let about = if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
    format!(
        "{}{about} on {}: {}, usually {}",
        family.says,
        series.asset,
        with_unit(finding.level, family.unit),
        with_unit(finding.center, family.unit)
    )
}

fn evidence_of(series: &Series, family: &Family, finding: &Finding) -> Evidence {
    let band = band_of(family, finding);
    let detail = format!(
        "{} was {} (median of 5 min) for {}; expected {} to {} from the last {}.",
        family.says,
        with_unit(finding.level, family.unit),
        finding.held,
        with_unit(band.low, family.unit),
        with_unit(band.high, family.unit),
        finding.learned,
    );
    Evidence {
        observed: finding.level,
        unit: family.unit.to_owned(),
        expected: Some(band),
        detail,
        query: match family.kind {
            Kind::Gauge => series.labels.to_string(),
            Kind::Counter => format!("rate({}[5m])", series.labels),
        },
        recent: finding.recent.iter().map(|(time, value)| Sample::new(*time, *value)).collect(),
    }
}

fn band_of(family: &Family, finding: &Finding) -> Band {
    let low = finding.center - finding.threshold;
    let never_negative = family.unit != "celsius" && family.unit != "db" && finding.center >= 0.0;
    Band { low: if never_negative { low.max(0.0) } else { low }, high: finding.center + finding.threshold }
}

/// The family that evaluates a series, where there is one.
pub(crate) fn family_for(series: &Series) -> Option<&'static Family> {
    family_of(series.labels.name()).map(|(_, family)| family)
}

#[cfg(test)]
mod tests;
