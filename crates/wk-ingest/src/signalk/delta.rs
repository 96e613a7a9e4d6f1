//! One delta message (Signal K 1.7.0, data model: delta).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::vessel::{KNOTS_PER_METER_PER_SECOND, Quantity, Reading, full_circle};

/// A message of the stream: the hello at its beginning, or a delta.
#[derive(Debug, Deserialize)]
pub struct Delta {
    /// Whom the server means by itself; only in the hello.
    #[serde(rename = "self")]
    own: Option<String>,
    /// Whom the delta is about; the own vessel where it is missing.
    context: Option<String>,
    updates: Option<Vec<Update>>,
}

#[derive(Debug, Deserialize)]
struct Update {
    #[serde(rename = "$source", default)]
    source: String,
    #[serde(default)]
    values: Vec<PathValue>,
}

#[derive(Debug, Deserialize)]
struct PathValue {
    path: String,
    #[serde(default)]
    value: Value,
}

/// Something that a delta said.
#[derive(Debug, PartialEq)]
pub enum Taken<'a> {
    /// A quantity of the vessel.
    Reading { source: &'a str, reading: Reading },
    /// The value of a path that the configuration names.
    Metric { source: &'a str, name: &'a str, value: f64 },
}

/// What is known of a stream: who its own vessel is.
#[derive(Debug, Default)]
pub struct Stream {
    own: Option<String>,
}

impl Stream {
    /// What a message says about the own vessel; `None` for a hello and for other vessels.
    pub fn take<'a>(&mut self, delta: &'a Delta, metrics: &'a BTreeMap<String, String>) -> Option<Vec<Taken<'a>>> {
        if let Some(own) = &delta.own {
            self.own = Some(own.clone());
        }
        let updates = delta.updates.as_ref()?;
        if !self.is_own(delta.context.as_deref()) {
            return None;
        }
        let mut taken = Vec::new();
        for update in updates {
            for one in &update.values {
                let source = update.source.as_str();
                taken.extend(readings(one).into_iter().map(|reading| Taken::Reading { source, reading }));
                if let Some((name, value)) = metrics.get(&one.path).zip(one.value.as_f64()) {
                    taken.push(Taken::Metric { source, name, value });
                }
            }
        }
        Some(taken)
    }

    fn is_own(&self, context: Option<&str>) -> bool {
        let plain = |text: &str| text.trim_start_matches("vessels.").to_owned();
        match context {
            None | Some("vessels.self" | "self") => true,
            Some(context) => self.own.as_deref().is_some_and(|own| plain(own) == plain(context)),
        }
    }
}

/// The quantities behind a path; Signal K has radians and metres per second throughout.
fn readings(one: &PathValue) -> Vec<Reading> {
    let part = |key: &str| one.value.get(key).and_then(Value::as_f64);
    let plain = one.value.as_f64();
    let angle = |value: Option<f64>| value.map(|radians| full_circle(radians.to_degrees()));
    let tilt = |value: Option<f64>| value.map(f64::to_degrees);
    let speed = |value: Option<f64>| value.map(|value| value * KNOTS_PER_METER_PER_SECOND);
    let pairs = match one.path.as_str() {
        // Half a position is none.
        "navigation.position" => match part("latitude").zip(part("longitude")) {
            Some((latitude, longitude)) => {
                vec![(Quantity::Latitude, Some(latitude)), (Quantity::Longitude, Some(longitude))]
            }
            None => Vec::new(),
        },
        "navigation.attitude" => vec![(Quantity::Roll, tilt(part("roll"))), (Quantity::Pitch, tilt(part("pitch")))],
        "navigation.speedOverGround" => vec![(Quantity::SpeedOverGround, speed(plain))],
        "navigation.courseOverGroundTrue" => vec![(Quantity::CourseOverGround, angle(plain))],
        "navigation.speedThroughWater" => vec![(Quantity::SpeedThroughWater, speed(plain))],
        "navigation.headingTrue" => vec![(Quantity::HeadingTrue, angle(plain))],
        "navigation.headingMagnetic" => vec![(Quantity::HeadingMagnetic, angle(plain))],
        "navigation.rateOfTurn" => vec![(Quantity::RateOfTurn, tilt(plain).map(|degrees| degrees * 60.0))],
        "navigation.gnss.satellites" => vec![(Quantity::GnssSatellites, plain)],
        "navigation.gnss.horizontalDilution" => vec![(Quantity::GnssHdop, plain)],
        "environment.depth.belowTransducer" => vec![(Quantity::DepthBelowTransducer, plain)],
        "environment.depth.belowKeel" => vec![(Quantity::DepthBelowKeel, plain)],
        "environment.depth.belowSurface" => vec![(Quantity::DepthBelowSurface, plain)],
        "environment.wind.speedApparent" => vec![(Quantity::WindSpeedRelative, speed(plain))],
        "environment.wind.angleApparent" => vec![(Quantity::WindAngleRelative, angle(plain))],
        "environment.wind.speedTrue" => vec![(Quantity::WindSpeedTrue, speed(plain))],
        "environment.wind.angleTrueWater" => vec![(Quantity::WindAngleTrue, angle(plain))],
        _ => Vec::new(),
    };
    pairs.into_iter().filter_map(|(quantity, value)| Some(Reading::new(quantity, value?))).collect()
}
