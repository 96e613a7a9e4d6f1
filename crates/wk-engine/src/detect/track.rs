//! The detector of one series.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use wk_types::{Direction, DurationMs, Sample, SignalId, UtcMs};

use crate::exact;
use crate::families::{Family, Kind};

/// How wide one remembered level is.
const SLOT: DurationMs = DurationMs::from_mins(5);
/// How many levels are remembered: one day, so that a level's place is its time of day.
const SLOTS: usize = 288;
/// How many levels before anything is said: one hour of data.
const SLOTS_WARM: usize = 12;
/// How many of the last values make the present level.
const RECENT_MAX: usize = 20;
/// How few of the last values still make a level.
const RECENT_MIN: usize = 3;
/// Values closer together than this are passed over, so that `RECENT_MAX` values span five minutes.
const SPACING_MIN: DurationMs = DurationMs(14_000);
/// After a gap of this length the last values say nothing about the present.
const GAP: DurationMs = DurationMs::from_mins(15);
/// How many robust standard deviations are out of the ordinary.
const DEVIATIONS_MIN: f64 = 6.0;
/// Turns a median absolute deviation into a standard deviation for normal data (1 / 0.6745).
const MAD_TO_SIGMA: f64 = 1.4826;
/// A level counts as back when it is within this share of the threshold.
const CALM_SHARE: f64 = 0.5;
/// How long a level must be back before the signal ends.
const CALM_HOLD: DurationMs = DurationMs::from_mins(3);
/// A signal worsens when the deviation has grown by this factor since it was last told.
const WORSE_FACTOR: f64 = 2.0;
/// A level that has been out for this long is the new usual.
const ADAPTED_AFTER: DurationMs = DurationMs::from_hours(24);
/// An earlier level counts as equal to the present one from this share of its deviation on.
const SAME_SHARE: f64 = 0.8;
/// So many earlier occasions make a habit.
const HABIT_OCCASIONS: usize = 3;
/// Levels this close before the present one belong to the same event, and this close around yesterday's to the same job.
const NEAR_SLOTS: usize = 6;
/// What a detector found out of the ordinary.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Finding {
    pub(crate) since: UtcMs,
    pub(crate) held: DurationMs,
    pub(crate) learned: DurationMs,
    pub(crate) level: f64,
    pub(crate) center: f64,
    pub(crate) threshold: f64,
    /// How far the level is from the center in the bad direction; at least `threshold`.
    pub(crate) excess: f64,
    pub(crate) recent: Vec<(UtcMs, f64)>,
}

/// What a sample changed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Change {
    /// An episode began.
    Raised(Finding),
    /// The episode became worse.
    Worsened(SignalId, Finding),
    /// The episode ended, and why.
    Cleared(SignalId, UtcMs, String),
}

/// The detector of one series.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Track {
    /// The counter's last value, where the series is a counter.
    counter: Option<Point>,
    first: Option<UtcMs>,
    last: UtcMs,
    spacing: DurationMs,
    heard: DurationMs,
    shape: Shape,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Point {
    time: UtcMs,
    #[serde(with = "exact::bits")]
    value: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
enum Shape {
    #[default]
    Empty,
    /// Every value so far was this one.
    Constant(#[serde(with = "exact::bits")] f64),
    Moving(Box<Moving>),
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Moving {
    /// Levels of the last day by time of day; not a number where none was learned.
    #[serde(with = "exact::row")]
    slots: Box<[f32]>,
    /// Yesterday's levels that were overwritten last, newest at the end.
    #[serde(with = "exact::row")]
    replaced: Box<[f32]>,
    slot: i64,
    filled: usize,
    recent: VecDeque<Point>,
    #[serde(with = "exact::bits")]
    center: f64,
    #[serde(with = "exact::bits")]
    scale: f64,
    episode: Episode,
}

/// How the present level compares.
#[derive(Debug, Clone, Copy)]
struct Measure {
    level: f64,
    threshold: f64,
    /// How far the level is from the center in the direction that is bad.
    out_by: f64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
enum Episode {
    #[default]
    Quiet,
    /// The level is out, not yet for long enough.
    Pending { since: UtcMs },
    /// The signal is open.
    Raised {
        signal: SignalId,
        since: UtcMs,
        #[serde(with = "exact::bits")]
        told: f64,
        /// The level when the signal was raised.
        #[serde(with = "exact::bits")]
        level: f64,
        calm_since: Option<UtcMs>,
    },
}

impl Track {
    pub(crate) const fn heard(&mut self, steady: DurationMs) {
        self.heard = steady;
    }

    pub(crate) const fn silent_for(&self, steady: DurationMs) -> DurationMs {
        DurationMs(steady.0 - self.heard.0)
    }

    pub(crate) const fn spacing(&self) -> DurationMs {
        self.spacing
    }

    /// Gives the open episode its signal's id.
    pub(crate) fn name_signal(&mut self, id: SignalId) {
        if let Shape::Moving(moving) = &mut self.shape
            && let Episode::Raised { signal, .. } = &mut moving.episode
        {
            *signal = id;
        }
    }

    /// Ends the open episode, where there is one, without learning from it.
    pub(crate) fn give_up(&mut self) -> Option<SignalId> {
        let Shape::Moving(moving) = &mut self.shape else { return None };
        match std::mem::take(&mut moving.episode) {
            Episode::Raised { signal, .. } => Some(signal),
            Episode::Quiet | Episode::Pending { .. } => None,
        }
    }

    /// Forgets the present, but not the past, where the last sample lies after `latest`: the clock was set back.
    pub(crate) fn rewind(&mut self, latest: UtcMs) {
        if self.first.is_none() || self.last <= latest {
            return;
        }
        self.last = UtcMs(latest.0 - GAP.0 * 2);
        self.first = self.first.map(|first| first.min(self.last));
        self.counter = None;
        if let Shape::Moving(moving) = &mut self.shape {
            moving.slot = slot_of(self.last);
            moving.after_gap();
        }
    }

    /// Looks at one sample; samples that are not newer than the last one are passed over.
    pub(crate) fn step(&mut self, family: &Family, sample: Sample) -> Option<Change> {
        if !sample.value.is_finite() || self.first.is_some() && sample.time.since(self.last) < SPACING_MIN {
            return None;
        }
        let value = match family.kind {
            Kind::Gauge => sample.value,
            Kind::Counter => self.rate(sample)?,
        };
        let first = *self.first.get_or_insert(sample.time);
        let gap = if first == sample.time { DurationMs(0) } else { sample.time.since(self.last) };
        let last = std::mem::replace(&mut self.last, sample.time);
        let patience = self.patience();
        self.spacing = gap;
        let moving = match &mut self.shape {
            Shape::Empty => {
                self.shape = Shape::Constant(value);
                return None;
            }
            Shape::Constant(constant) if constant.to_bits() == value.to_bits() => return None,
            Shape::Constant(constant) => {
                let moving = Moving::after_constant(*constant, first, last);
                self.shape = Shape::Moving(Box::new(moving));
                let Shape::Moving(moving) = &mut self.shape else { return None };
                moving
            }
            Shape::Moving(moving) => moving,
        };
        if gap > patience {
            moving.after_gap();
        }
        moving.step(family, Point { time: sample.time, value })
    }

    /// How long a step may be before it is a gap: slow series are given three of their steps.
    fn patience(&self) -> DurationMs {
        GAP.max(DurationMs(self.spacing.0.saturating_mul(3)))
    }

    /// The counter's rate a second since its last value; `None` for the first value, after a reset and after a gap.
    fn rate(&mut self, sample: Sample) -> Option<f64> {
        let before = self.counter.replace(Point { time: sample.time, value: sample.value });
        let before = before?;
        let span = sample.time.since(before.time);
        if span.0 <= 0 || sample.value < before.value {
            return None;
        }
        if span > self.patience() {
            self.spacing = span;
            return None;
        }
        Some((sample.value - before.value) / span.as_secs_f64())
    }
}

const fn slot_of(time: UtcMs) -> i64 {
    time.0.div_euclid(SLOT.0)
}

const fn place(slot: i64) -> usize {
    slot.rem_euclid(SLOTS as i64) as usize
}

/// How far `level` is from `center` in the direction that is bad; negative on the good side.
fn excess(bad: Option<Direction>, level: f64, center: f64) -> f64 {
    match bad {
        Some(Direction::Up) => level - center,
        Some(Direction::Down) => center - level,
        Some(Direction::None) | None => (level - center).abs(),
    }
}

/// The middle value, the upper one of two.
fn median(values: &mut [f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let middle = values.len() / 2;
    Some(*values.select_nth_unstable_by(middle, f64::total_cmp).1)
}

impl Moving {
    fn after_constant(constant: f64, first: UtcMs, last: UtcMs) -> Self {
        let mut moving = Self {
            slots: vec![f32::NAN; SLOTS].into(),
            replaced: vec![f32::NAN; NEAR_SLOTS].into(),
            slot: slot_of(last),
            filled: 0,
            recent: VecDeque::with_capacity(RECENT_MAX + 1),
            center: constant,
            scale: 0.0,
            episode: Episode::Quiet,
        };
        let oldest = slot_of(first).max(slot_of(last) - SLOTS as i64);
        for slot in oldest..slot_of(last) {
            moving.slots[place(slot)] = constant as f32;
            moving.filled += 1;
        }
        let step = SLOT.0 / RECENT_MAX as i64;
        let times = (0..RECENT_MAX as i64).rev().map(|back| UtcMs(last.0 - back * step));
        moving.recent.extend(times.filter(|time| *time >= first).map(|time| Point { time, value: constant }));
        moving
    }

    fn after_gap(&mut self) {
        self.recent.clear();
        if matches!(self.episode, Episode::Pending { .. }) {
            self.episode = Episode::Quiet;
        }
    }

    fn step(&mut self, family: &Family, point: Point) -> Option<Change> {
        let slot = slot_of(point.time);
        if slot > self.slot {
            self.close_slot(slot);
        }
        self.recent.push_back(point);
        while self.recent.len() > RECENT_MAX
            || self.recent.len() > RECENT_MIN && point.time.since(self.recent[0].time) > SLOT
        {
            self.recent.pop_front();
        }
        let level = self.level()?;
        self.judge(family, level, point.time)
    }

    fn level(&self) -> Option<f64> {
        if self.recent.len() < RECENT_MIN {
            return None;
        }
        let mut values = [0.0; RECENT_MAX];
        for (value, point) in values.iter_mut().zip(&self.recent) {
            *value = point.value;
        }
        median(&mut values[..self.recent.len().min(RECENT_MAX)])
    }

    /// Learns the level of the slot that ended, unless it is out of the ordinary, and goes to the slot `next`.
    fn close_slot(&mut self, next: i64) {
        let level = self.level();
        if let (Some(level), Episode::Quiet) = (level, &self.episode) {
            self.learn(self.slot, level);
            self.summarise();
        }
        self.slot = next;
    }

    fn learn(&mut self, slot: i64, level: f64) {
        let old = std::mem::replace(&mut self.slots[place(slot)], level as f32);
        self.filled += usize::from(old.is_nan());
        self.replaced.rotate_left(1);
        self.replaced[NEAR_SLOTS - 1] = old;
    }

    fn summarise(&mut self) {
        let mut levels: Vec<f64> =
            self.slots.iter().filter(|level| !level.is_nan()).map(|level| f64::from(*level)).collect();
        let Some(center) = median(&mut levels) else { return };
        for level in &mut levels {
            *level = (*level - center).abs();
        }
        self.center = center;
        self.scale = MAD_TO_SIGMA * median(&mut levels).unwrap_or(0.0);
    }

    /// How far from the center is out of the ordinary. The fewer levels are known, the less is their scale believed.
    fn threshold(&self, family: &Family) -> f64 {
        let doubt = 1.0 + SLOTS_WARM as f64 / self.filled.max(1) as f64;
        (DEVIATIONS_MIN * self.scale * doubt).max(family.effect_min).max(family.share_min * self.center.abs())
    }

    fn judge(&mut self, family: &Family, level: f64, now: UtcMs) -> Option<Change> {
        let out_by = excess(family.bad, level, self.center);
        let measure = Measure { level, threshold: self.threshold(family), out_by };
        let is_out = out_by >= measure.threshold;
        match &self.episode {
            Episode::Quiet => {
                if self.filled >= SLOTS_WARM && is_out && !self.is_habit(family, out_by, now) {
                    self.episode = Episode::Pending { since: now };
                }
                None
            }
            Episode::Pending { since } => {
                let since = *since;
                if !is_out || self.is_habit(family, out_by, since) {
                    self.episode = Episode::Quiet;
                    return None;
                }
                if now.since(since) < family.hold {
                    return None;
                }
                let signal = SignalId::from("");
                self.episode = Episode::Raised { signal, since, told: out_by, level, calm_since: None };
                Some(Change::Raised(self.finding(since, now, measure)))
            }
            Episode::Raised { .. } => self.judge_raised(measure, now),
        }
    }

    fn judge_raised(&mut self, measure: Measure, now: UtcMs) -> Option<Change> {
        let Episode::Raised { signal, since, told, level, calm_since } = &mut self.episode else { return None };
        let (signal, since, level) = (signal.clone(), *since, *level);
        if now.since(since) >= ADAPTED_AFTER {
            self.forget();
            let reason = format!("the level has held for {ADAPTED_AFTER} and now counts as usual");
            return Some(Change::Cleared(signal, now, reason));
        }
        if measure.out_by < CALM_SHARE * measure.threshold {
            let calm = *calm_since.get_or_insert(now);
            if now.since(calm) < CALM_HOLD {
                return None;
            }
            self.episode = Episode::Quiet;
            for slot in slot_of(since)..slot_of(calm).max(slot_of(since) + 1) {
                self.learn(slot, level);
            }
            let reason = format!("the level has been back in its usual range for {CALM_HOLD}");
            return Some(Change::Cleared(signal, calm, reason));
        }
        *calm_since = None;
        if measure.out_by < WORSE_FACTOR * *told {
            return None;
        }
        *told = measure.out_by;
        Some(Change::Worsened(signal, self.finding(since, now, measure)))
    }

    fn forget(&mut self) {
        self.episode = Episode::Quiet;
        self.slots.fill(f32::NAN);
        self.replaced.fill(f32::NAN);
        self.filled = 0;
    }

    fn finding(&self, since: UtcMs, now: UtcMs, measure: Measure) -> Finding {
        Finding {
            since,
            held: now.since(since),
            learned: DurationMs(self.filled as i64 * SLOT.0),
            level: measure.level,
            center: self.center,
            threshold: measure.threshold,
            excess: measure.out_by,
            recent: self.recent.iter().map(|point| (point.time, point.value)).collect(),
        }
    }

    /// Tells whether a deviation that began at `since` has been usual: on several occasions in the last day, already
    /// some time ago as in a drift, or yesterday about this time. The slots from `since` on are still yesterday's, as
    /// nothing is learned while a level is out.
    fn is_habit(&self, family: &Family, out_by: f64, since: UtcMs) -> bool {
        let same =
            |level: f32| !level.is_nan() && excess(family.bad, f64::from(level), self.center) >= SAME_SHARE * out_by;
        let began = place(slot_of(since));
        let ago = |slots: usize| same(self.slots[(began + SLOTS - slots) % SLOTS]);
        let yesterday = (0..=NEAR_SLOTS).any(|ahead| same(self.slots[(began + ahead) % SLOTS]))
            || self.replaced.iter().any(|level| same(*level));
        let occasions = (NEAR_SLOTS + 1..SLOTS - NEAR_SLOTS).filter(|slots| ago(*slots) && !ago(slots + 1)).count();
        yesterday || ago(NEAR_SLOTS + 1) || occasions >= HABIT_OCCASIONS
    }
}

#[cfg(test)]
impl Track {
    /// What the track takes beside itself.
    pub(crate) fn heap_bytes(&self) -> usize {
        let Shape::Moving(moving) = &self.shape else { return 0 };
        let rows = (moving.slots.len() + moving.replaced.len()) * size_of::<f32>();
        size_of::<Moving>() + rows + moving.recent.capacity() * size_of::<Point>()
    }
}
