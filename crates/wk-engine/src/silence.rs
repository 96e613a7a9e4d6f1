//! Silence: something that spoke regularly no longer does.
//!
//! A speaker is a job's instance, for metrics, or a source and an asset, for logs. It is expected to speak once it has
//! done so regularly for a while, and is silent when it has said nothing for ten times its usual gap, at least five
//! minutes. Metrics mostly come by schedule: their usual gap is what nine in ten of the last gaps stay within, so that a
//! few outages change nothing, and one who speaks only as things happen gets the patience that it needs. Logs come as
//! things happen: theirs is the longest of the last, and only logs without long pauses count as regular. Who was silent
//! several times in a day and came back each time is given twice its longest such pause, so that a habit is told of
//! but a few times. Gaps are steady time: the node's own stop is nobody's silence.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use wk_types::signal::Band;
use wk_types::{
    AssetId, Direction, DurationMs, Evidence, Labels, RuleKind, RuleRef, Severity, Signal, SignalId, UtcMs,
};

use crate::correlate::Correlator;
use crate::exact;
use crate::outbox::Outbox;

/// The rule's name.
pub const SILENCE_NAME: &str = "source-silent";

/// Nothing is silent before this.
const SILENT_MIN: DurationMs = DurationMs::from_mins(5);
/// How many usual gaps make a silence.
const SILENT_GAPS: i64 = 10;
/// How many of the last gaps are remembered.
const GAPS_MAX: usize = 32;
/// How often and for how long metrics must have come before they are expected.
const METRIC_ARRIVALS_MIN: u64 = 10;
const METRIC_SPAN_MIN: DurationMs = DurationMs::from_mins(10);
/// The same for logs, and the longest pause of regular ones.
const LOG_ARRIVALS_MIN: u64 = 60;
const LOG_SPAN_MIN: DurationMs = DurationMs::from_hours(1);
const LOG_PAUSE_MAX: DurationMs = DurationMs::from_mins(5);
/// So many silences that ended by themselves within [`HABIT_WITHIN`] make a habit; so many are remembered.
const HABIT_PAUSES: usize = 2;
const PAUSES_MAX: usize = 8;
const HABIT_WITHIN: DurationMs = DurationMs::from_hours(24);
/// A speaker silent for this long is no longer expected.
const FORGOTTEN_AFTER: DurationMs = DurationMs::from_hours(24);

/// Who speaks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum SpeakerKey {
    /// Metrics of a job's instance.
    Metrics { job: Arc<str>, instance: Arc<str> },
    /// Logs of an asset through a source.
    Logs { source: Arc<str>, asset: AssetId },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Speaker {
    asset: AssetId,
    first: DurationMs,
    last: DurationMs,
    last_at: UtcMs,
    arrivals: u64,
    /// The last gaps in steady time, oldest first.
    gaps: VecDeque<DurationMs>,
    /// Silences that ended by themselves, oldest first: when in steady time, and how long they were.
    #[serde(default)]
    pauses: VecDeque<(DurationMs, DurationMs)>,
    silent: Option<SignalId>,
}

/// All speakers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Silences {
    #[serde(with = "exact::pairs")]
    speakers: BTreeMap<SpeakerKey, Speaker>,
    /// Arrivals of speakers beyond the bound.
    refused: u64,
    #[serde(skip)]
    speakers_max: usize,
}

impl Speaker {
    fn new(asset: AssetId, steady: DurationMs, at: UtcMs) -> Self {
        let gaps = VecDeque::with_capacity(GAPS_MAX);
        let pauses = VecDeque::new();
        Self { asset, first: steady, last: steady, last_at: at, arrivals: 1, gaps, pauses, silent: None }
    }

    const fn silent_for(&self, steady: DurationMs) -> DurationMs {
        DurationMs(steady.0 - self.last.0)
    }

    /// The usual gap; `None` where the speaker is not regular enough to be expected.
    fn usual_gap(&self, key: &SpeakerKey) -> Option<DurationMs> {
        let span = DurationMs(self.last.0 - self.first.0);
        match key {
            SpeakerKey::Metrics { .. } => {
                let mut gaps: Vec<DurationMs> = self.gaps.iter().copied().collect();
                gaps.sort_unstable();
                let usual = gaps.get(gaps.len() * 9 / 10).copied()?;
                (self.arrivals >= METRIC_ARRIVALS_MIN && span >= METRIC_SPAN_MIN).then_some(usual)
            }
            SpeakerKey::Logs { .. } => {
                let usual = self.gaps.iter().copied().max()?;
                let regular = self.arrivals >= LOG_ARRIVALS_MIN && span >= LOG_SPAN_MIN && usual <= LOG_PAUSE_MAX;
                regular.then_some(usual)
            }
        }
    }

    /// How long it may say nothing, where its usual gap is `usual`.
    fn limit(&self, usual: DurationMs, steady: DurationMs) -> DurationMs {
        let recent = self.pauses.iter().filter(|(ended, _)| steady.0 - ended.0 <= HABIT_WITHIN.0);
        let lengths: Vec<i64> = recent.map(|(_, length)| length.0).collect();
        let habit = lengths.iter().max().filter(|_| lengths.len() >= HABIT_PAUSES).map_or(0, |longest| longest * 2);
        SILENT_MIN.max(DurationMs(usual.0.saturating_mul(SILENT_GAPS).max(habit)))
    }

    fn note_gap(&mut self, gap: DurationMs) {
        if self.gaps.len() == GAPS_MAX {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap);
        self.arrivals += 1;
    }

    fn note_pause(&mut self, ended: DurationMs, length: DurationMs) {
        if self.pauses.len() == PAUSES_MAX {
            self.pauses.pop_front();
        }
        self.pauses.push_back((ended, length));
    }
}

impl Silences {
    /// Sets what is not saved: how many speakers are known.
    pub(crate) const fn configure(&mut self, speakers_max: usize) {
        self.speakers_max = speakers_max;
    }

    pub(crate) fn speakers(&self) -> usize {
        self.speakers.len()
    }

    pub(crate) const fn refused(&self) -> u64 {
        self.refused
    }

    /// Notes that somebody spoke.
    pub(crate) fn hear(&mut self, key: SpeakerKey, asset: &AssetId, correlator: &mut Correlator, out: &mut Outbox) {
        let steady = out.steady();
        let Some(speaker) = self.speakers.get_mut(&key) else {
            if self.speakers.len() >= self.speakers_max {
                self.refused += 1;
            } else {
                self.speakers.insert(key, Speaker::new(asset.clone(), steady, out.at()));
            }
            return;
        };
        speaker.last_at = out.at();
        speaker.asset.clone_from(asset);
        let gap = speaker.silent_for(steady);
        if let Some(signal) = speaker.silent.take() {
            let reason = format!("it speaks again after {gap}");
            correlator.clear(&signal, out.at(), reason, out);
            speaker.note_pause(steady, gap);
        }
        if gap.0 > 0 {
            speaker.note_gap(gap);
        }
        speaker.last = steady;
    }

    /// Raises what has fallen silent, and forgets what has been silent for a day.
    pub(crate) fn tick(&mut self, correlator: &mut Correlator, out: &mut Outbox) {
        let steady = out.steady();
        let mut fallen = Vec::new();
        for (key, speaker) in &self.speakers {
            let silent_for = speaker.silent_for(steady);
            if speaker.silent.is_some() || silent_for <= SILENT_MIN {
                continue;
            }
            if let Some(usual) = speaker.usual_gap(key).filter(|usual| silent_for > speaker.limit(*usual, steady)) {
                fallen.push((signal_of(key, speaker, usual, self.is_alone(key, speaker, steady), out), key.clone()));
            }
        }
        for (signal, key) in fallen {
            if let Some(speaker) = self.speakers.get_mut(&key) {
                speaker.silent = Some(signal.id.clone());
            }
            correlator.raise(signal, out);
        }
        self.speakers.retain(|_, speaker| {
            let keep = speaker.silent_for(steady) <= FORGOTTEN_AFTER;
            if let Some(signal) = speaker.silent.as_ref().filter(|_| !keep) {
                let reason = format!("silent for {FORGOTTEN_AFTER} and no longer expected");
                correlator.clear(signal, out.at(), reason, out);
            }
            keep
        });
    }

    /// Tells whether nobody else speaks for the asset.
    fn is_alone(&self, key: &SpeakerKey, speaker: &Speaker, steady: DurationMs) -> bool {
        speaker.asset != AssetId::unknown()
            && self.speakers.iter().all(|(other, spoken)| {
                other == key || spoken.asset != speaker.asset || spoken.silent_for(steady) > SILENT_MIN
            })
    }
}

fn severity_of(key: &SpeakerKey, alone: bool) -> Severity {
    match (key, alone) {
        (SpeakerKey::Metrics { .. }, true) => Severity::Major,
        (SpeakerKey::Metrics { .. }, false) | (SpeakerKey::Logs { .. }, true) => Severity::Minor,
        (SpeakerKey::Logs { .. }, false) => Severity::Info,
    }
}

fn signal_of(key: &SpeakerKey, speaker: &Speaker, usual: DurationMs, alone: bool, out: &Outbox) -> Signal {
    let silent_for = speaker.silent_for(out.steady());
    let (metric, who, labels) = match key {
        SpeakerKey::Metrics { job, instance } => {
            let labels = Labels::new([("job", Arc::clone(job)), ("instance", Arc::clone(instance))]);
            (job, format!("metrics of {instance} (job {job})"), labels)
        }
        SpeakerKey::Logs { source, .. } => {
            (source, format!("logs through {source}"), Labels::new([("source", Arc::clone(source))]))
        }
    };
    let query = match key {
        SpeakerKey::Metrics { .. } => format!("count({labels})"),
        SpeakerKey::Logs { .. } => String::new(),
    };
    let others = if alone { "; nothing else speaks for this asset" } else { "" };
    let key_text = labels.to_string();
    Signal {
        id: SignalId::derive(&[
            "silence",
            SILENCE_NAME,
            speaker.asset.as_str(),
            &key_text,
            &speaker.last_at.0.to_string(),
        ]),
        asset: speaker.asset.clone(),
        rule: RuleRef { kind: RuleKind::Silence, name: SILENCE_NAME.to_owned() },
        metric: metric.to_string(),
        labels,
        title: format!("{} is silent: no {who} for {silent_for}", speaker.asset),
        severity: severity_of(key, alone),
        score: 1.0,
        direction: Direction::None,
        started: speaker.last_at,
        raised: out.at(),
        ended: None,
        input: out.seq(),
        evidence: Evidence {
            observed: silent_for.as_secs_f64(),
            unit: "seconds".to_owned(),
            expected: Some(Band { low: 0.0, high: speaker.limit(usual, out.steady()).as_secs_f64() }),
            detail: format!("No {who} since {}; it usually speaks at least every {usual}{others}.", speaker.last_at),
            query,
            recent: Vec::new(),
        },
    }
}

#[cfg(test)]
mod tests;
