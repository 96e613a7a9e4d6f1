//! The sea mode: derived from speed, distance moved and the AIS status with hysteresis, or set by hand.
//!
//! The thresholds are editable starting values of the trade, not measured ones: under half a knot is a ship that lies,
//! from six knots on one that has left the harbour behind. What must hold for a while is measured in steady time, so
//! that a stop of the node or a jump of its clock moves no ship.

use serde::{Deserialize, Serialize};
use wk_types::{Command, DurationMs, FactBody, Sample, SeaMode, SeaModeState, Series, SeriesId, SeriesSamples, UtcMs};

use crate::outbox::Outbox;

/// Below this a ship lies, in knots; what a GNSS receiver makes of a ship that lies stays below it.
const LIES_BELOW: f64 = 0.5;
/// From this on a ship that lay is under way, in knots.
const MOVES_FROM: f64 = 1.0;
/// From this on a ship is on passage, in knots.
const PASSAGE_FROM: f64 = 6.0;
/// Below this a ship on passage manoeuvres, in knots.
const PASSAGE_BELOW: f64 = 5.0;
/// How far a ship at anchor swings at most, in metres; one that moves further drifts or is under way.
const SWING_MAX: f64 = 900.0;
/// How long a first mode must hold.
const FIRST_AFTER: DurationMs = DurationMs::from_mins(2);
/// How long a ship that lay must move.
const MOVES_AFTER: DurationMs = DurationMs::from_mins(1);
/// How long a ship must be fast to be on passage.
const PASSAGE_AFTER: DurationMs = DurationMs::from_mins(10);
/// How long a ship on passage must be slow to manoeuvre.
const SLOW_AFTER: DurationMs = DurationMs::from_mins(5);
/// How long a ship must lie, and how long if its transponder says moored or at anchor.
const LIES_AFTER: DurationMs = DurationMs::from_mins(10);
const LIES_AFTER_WITH_AIS: DurationMs = DurationMs::from_mins(2);
/// For how long the last speed and position count.
const FRESH_FOR: DurationMs = DurationMs::from_mins(2);
/// After how long without a speed nobody knows any more what the ship does.
const UNKNOWN_AFTER: DurationMs = DurationMs::from_mins(30);
/// The AIS navigational status of a ship at anchor and of one that is moored (ITU-R M.1371-5, table 45).
const AT_ANCHOR: f64 = 1.0;
const MOORED: f64 = 5.0;
/// Mean radius of the earth in metres.
const EARTH_RADIUS: f64 = 6_371_008.8;

/// What a series says about the sea mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Says {
    Speed,
    Latitude,
    Longitude,
    AisStatus,
}

impl Says {
    /// What a series of this name says; `None` for those that say nothing.
    pub(crate) fn of(series: &Series) -> Option<Self> {
        Some(match series.labels.get(wk_types::labels::METRIC_NAME)? {
            "vessel_speed_over_ground_knots" => Self::Speed,
            "vessel_position_latitude_degrees" => Self::Latitude,
            "vessel_position_longitude_degrees" => Self::Longitude,
            "vessel_ais_navigation_status" => Self::AisStatus,
            _ => return None,
        })
    }
}

/// The last value of one kind, from one series for as long as that speaks.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Last {
    series: SeriesId,
    #[serde(with = "crate::exact::bits")]
    value: f64,
    heard: DurationMs,
}

/// A place on the earth, in degrees.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Position {
    #[serde(with = "crate::exact::bits")]
    latitude: f64,
    #[serde(with = "crate::exact::bits")]
    longitude: f64,
}

/// A mode that must hold for a while before it is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Candidate {
    mode: SeaMode,
    since: DurationMs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct ByHand {
    mode: SeaMode,
    until: Option<UtcMs>,
}

/// Everything that is remembered about the sea mode.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SeaModes {
    speed: Option<Last>,
    latitude: Option<Last>,
    longitude: Option<Last>,
    ais_status: Option<Last>,
    derived: Option<SeaMode>,
    candidate: Option<Candidate>,
    /// Where a ship in port came to lie.
    berth: Option<Position>,
    by_hand: Option<ByHand>,
    state: SeaModeState,
}

impl SeaModes {
    /// Notes the last of a series' samples.
    pub(crate) fn hear(&mut self, says: Says, one: &SeriesSamples, steady: DurationMs) {
        let Some(sample) = one.samples.last().filter(|sample| !Sample::is_stale(sample) && sample.value.is_finite())
        else {
            return;
        };
        let last = match says {
            Says::Speed => &mut self.speed,
            Says::Latitude => &mut self.latitude,
            Says::Longitude => &mut self.longitude,
            Says::AisStatus => &mut self.ais_status,
        };
        let series = one.series.id;
        if last.is_none_or(|last| last.series == series || steady.0 - last.heard.0 > FRESH_FOR.0) {
            *last = Some(Last { series, value: sample.value, heard: steady });
        }
    }

    /// Sets the mode by hand, or gives it back to what is derived.
    pub(crate) fn set(
        &mut self,
        (mode, until): (Option<SeaMode>, Option<UtcMs>),
        command: &Command,
        out: &mut Outbox,
    ) -> Result<(), String> {
        if until.is_some_and(|until| until <= out.at()) {
            return Err("the time until which the sea mode is to hold has passed".to_owned());
        }
        self.by_hand = mode.map(|mode| ByHand { mode, until });
        self.refresh(out.at());
        let reason = if mode.is_some() { "set by hand" } else { "given back to speed and position" };
        self.tell(reason.to_owned(), Some(command), out);
        Ok(())
    }

    /// Looks at what holds now.
    pub(crate) fn tick(&mut self, out: &mut Outbox) {
        let before = self.state;
        let reason = self.derive(out.steady());
        let ended = self.by_hand.filter(|by_hand| by_hand.until.is_some_and(|until| until <= out.at()));
        if ended.is_some() {
            self.by_hand = None;
        }
        self.refresh(out.at());
        if self.state.mode != before.mode || self.state.by_hand != before.by_hand {
            let reason = if ended.is_some() { "the time it was set by hand for has passed".to_owned() } else { reason };
            self.tell(reason, None, out);
        }
    }

    /// The mode in force.
    pub(crate) const fn state(&self) -> SeaModeState {
        self.state
    }

    /// Brings the state in line with what is set and derived.
    fn refresh(&mut self, at: UtcMs) {
        let (mode, by_hand, until) = match self.by_hand {
            Some(by_hand) => (Some(by_hand.mode), true, by_hand.until),
            None => (self.derived, false, None),
        };
        let changed = mode != self.state.mode;
        let since = if changed { mode.map(|_| at) } else { self.state.since };
        self.state = SeaModeState { mode, since, by_hand, until, derived: self.derived };
    }

    fn tell(&self, reason: String, command: Option<&Command>, out: &mut Outbox) {
        out.push(FactBody::SeaModeChanged {
            state: self.state,
            reason,
            by: command.and_then(|command| command.by.clone()),
            command: command.map(|command| command.id.clone()),
        });
    }

    /// Moves the derived mode where one has held long enough, and says why.
    fn derive(&mut self, steady: DurationMs) -> String {
        let fresh = |last: Option<Last>, most: DurationMs| {
            last.filter(|last| steady.0 - last.heard.0 <= most.0).map(|last| last.value)
        };
        let Some(speed) = fresh(self.speed, FRESH_FOR) else {
            self.candidate = None;
            if fresh(self.speed, UNKNOWN_AFTER).is_none() {
                (self.derived, self.berth) = (None, None);
            }
            return format!("no speed over ground for {UNKNOWN_AFTER}");
        };
        let place = fresh(self.latitude, FRESH_FOR)
            .zip(fresh(self.longitude, FRESH_FOR))
            .map(|(latitude, longitude)| Position { latitude, longitude });
        let lies_by_ais =
            fresh(self.ais_status, UNKNOWN_AFTER).is_some_and(|status| status == AT_ANCHOR || status == MOORED);
        let moved = self.berth.zip(place).map_or(0.0, |(berth, place)| distance(berth, place));
        let Some((next, after)) = next(self.derived, speed, moved, lies_by_ais) else {
            self.candidate = None;
            self.remember_berth(place);
            return String::new();
        };
        let candidate = self
            .candidate
            .filter(|candidate| candidate.mode == next)
            .unwrap_or(Candidate { mode: next, since: steady });
        self.candidate = Some(candidate);
        if steady.0 - candidate.since.0 < after.0 {
            return String::new();
        }
        self.candidate = None;
        (self.derived, self.berth) = (Some(next), None);
        self.remember_berth(place);
        if moved > SWING_MAX {
            return format!("moved {moved:.0} m from where it lay");
        }
        format!("{speed:.1} kn over ground for {after}")
    }

    fn remember_berth(&mut self, place: Option<Position>) {
        if self.derived == Some(SeaMode::InPort) && self.berth.is_none() {
            self.berth = place;
        }
    }
}

/// The mode that speed and distance speak for where it is another one, and how long it must hold.
fn next(mode: Option<SeaMode>, speed: f64, moved: f64, lies_by_ais: bool) -> Option<(SeaMode, DurationMs)> {
    match mode {
        None if speed < LIES_BELOW => Some((SeaMode::InPort, FIRST_AFTER)),
        None if speed >= PASSAGE_FROM => Some((SeaMode::AtSea, FIRST_AFTER)),
        None => Some((SeaMode::Manoeuvring, FIRST_AFTER)),
        Some(SeaMode::InPort) if speed >= MOVES_FROM || moved > SWING_MAX => Some((SeaMode::Manoeuvring, MOVES_AFTER)),
        Some(SeaMode::AtSea) if speed < PASSAGE_BELOW => Some((SeaMode::Manoeuvring, SLOW_AFTER)),
        Some(SeaMode::Manoeuvring) if speed >= PASSAGE_FROM => Some((SeaMode::AtSea, PASSAGE_AFTER)),
        Some(SeaMode::Manoeuvring) if speed < LIES_BELOW => {
            Some((SeaMode::InPort, if lies_by_ais { LIES_AFTER_WITH_AIS } else { LIES_AFTER }))
        }
        _ => None,
    }
}

/// Metres between two places on a sphere (haversine).
fn distance(from: Position, to: Position) -> f64 {
    let half = |angle: f64| (angle.to_radians() / 2.0).sin().powi(2);
    let shrunk = from.latitude.to_radians().cos() * to.latitude.to_radians().cos();
    let chord = half(to.latitude - from.latitude) + shrunk * half(to.longitude - from.longitude);
    2.0 * EARTH_RADIUS * chord.clamp(0.0, 1.0).sqrt().asin()
}

#[cfg(test)]
mod tests;
