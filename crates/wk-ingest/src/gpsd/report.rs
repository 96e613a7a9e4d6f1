//! One report of gpsd.

use serde::Deserialize;
use wk_types::UtcMs;

use crate::vessel::{KNOTS_PER_METER_PER_SECOND, Quantity, Reading, full_circle};

/// gpsd's status of a fix that is simulated.
const STATUS_SIMULATED: u8 = 8;

/// What a report says.
#[derive(Debug, PartialEq)]
pub enum Report {
    /// A receiver's values.
    Readings { device: String, readings: Vec<Reading> },
    /// Something that is not read, such as the daemon's version.
    Other,
    /// The daemon itself is in trouble.
    Trouble(String),
}

/// Why a line was not taken; the text is the reason it is counted under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadReport {
    #[error("not a report of gpsd")]
    Json,
    #[error("simulated fix")]
    Simulated,
}

#[derive(Deserialize)]
struct Raw {
    class: String,
    #[serde(default)]
    device: String,
    #[serde(default)]
    mode: u8,
    #[serde(default)]
    status: u8,
    time: Option<String>,
    lat: Option<f64>,
    lon: Option<f64>,
    speed: Option<f64>,
    track: Option<f64>,
    depth: Option<f64>,
    heading: Option<f64>,
    pitch: Option<f64>,
    roll: Option<f64>,
    hdop: Option<f64>,
    #[serde(rename = "uSat")]
    used: Option<f64>,
    satellites: Option<Vec<Satellite>>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Satellite {
    #[serde(default)]
    used: bool,
}

/// Reads one line.
pub fn read(line: &[u8], now: UtcMs) -> Result<Report, BadReport> {
    let raw: Raw = serde_json::from_slice(line).map_err(|_| BadReport::Json)?;
    let mut readings = Vec::new();
    let mut push = |quantity, value: Option<f64>| readings.extend(value.map(|value| Reading::new(quantity, value)));
    match raw.class.as_str() {
        "TPV" => {
            if raw.status == STATUS_SIMULATED {
                return Err(BadReport::Simulated);
            }
            if raw.mode >= 2 {
                // Half a position is none.
                let (latitude, longitude) = raw.lat.zip(raw.lon).unzip();
                push(Quantity::Latitude, latitude);
                push(Quantity::Longitude, longitude);
                push(Quantity::SpeedOverGround, raw.speed.map(|speed| speed * KNOTS_PER_METER_PER_SECOND));
                push(Quantity::CourseOverGround, raw.track.map(full_circle));
            }
            push(Quantity::DepthBelowTransducer, raw.depth);
            let utc = raw.time.as_deref().and_then(|time| time.parse::<jiff::Timestamp>().ok());
            let offset = |utc: jiff::Timestamp| (utc.as_millisecond() - now.0) as f64 / 1_000.0;
            push(Quantity::GnssTimeOffset, utc.map(offset));
        }
        "ATT" => {
            push(Quantity::HeadingTrue, raw.heading.map(full_circle));
            push(Quantity::Pitch, raw.pitch);
            push(Quantity::Roll, raw.roll);
        }
        "SKY" => {
            let counted = raw.satellites.map(|all| all.iter().filter(|one| one.used).count() as f64);
            push(Quantity::GnssSatellites, raw.used.or(counted));
            push(Quantity::GnssHdop, raw.hdop);
        }
        "ERROR" => return Ok(Report::Trouble(raw.message.unwrap_or_default())),
        _ => return Ok(Report::Other),
    }
    Ok(Report::Readings { device: raw.device, readings })
}
