//! A Starlink terminal's own interface: gRPC without TLS on the local network, which only answers what is asked.
//!
//! The interface is documented by nobody but the devices' own reflection; the messages here are the part of
//! `SpaceX.API.Device` that is needed. A field that an older or newer firmware lacks gives no value, but for numbers that
//! are left out because they are zero: those count as zero only while the terminal measures at all.

use prost::Message;
use serde_json::{Map, Value as Json, json};

use super::grpc::Method;
use super::profile::Profile;
use super::{Answer, LinkError};

const PATH: &str = "/SpaceX.API.Device.Device/Handle";

#[derive(Clone, PartialEq, Message)]
pub(super) struct Request {
    #[prost(message, optional, tag = "1004")]
    get_status: Option<Empty>,
    #[prost(message, optional, tag = "1007")]
    get_history: Option<Empty>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
struct Empty {}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Response {
    #[prost(message, optional, tag = "2004")]
    pub(super) status: Option<Status>,
    #[prost(message, optional, tag = "2006")]
    pub(super) history: Option<History>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(message, optional, tag = "2")]
    pub(super) device_state: Option<DeviceState>,
    #[prost(float, optional, tag = "1003")]
    pub(super) pop_ping_drop_rate: Option<f32>,
    #[prost(message, optional, tag = "1004")]
    pub(super) obstruction: Option<Obstruction>,
    #[prost(message, optional, tag = "1005")]
    pub(super) alerts: Option<Alerts>,
    #[prost(float, optional, tag = "1007")]
    pub(super) downlink: Option<f32>,
    #[prost(float, optional, tag = "1008")]
    pub(super) uplink: Option<f32>,
    #[prost(float, optional, tag = "1009")]
    pub(super) pop_ping_latency: Option<f32>,
    #[prost(float, optional, tag = "1011")]
    pub(super) azimuth: Option<f32>,
    #[prost(float, optional, tag = "1012")]
    pub(super) elevation: Option<f32>,
    #[prost(message, optional, tag = "1014")]
    pub(super) outage: Option<Outage>,
    #[prost(message, optional, tag = "1015")]
    pub(super) gps: Option<Gps>,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct DeviceState {
    #[prost(uint64, tag = "1")]
    pub(super) uptime: u64,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Obstruction {
    #[prost(float, tag = "1")]
    pub(super) fraction: f32,
    #[prost(bool, tag = "5")]
    pub(super) now: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Alerts {
    #[prost(bool, tag = "1")]
    pub(super) motors_stuck: bool,
    #[prost(bool, tag = "2")]
    pub(super) thermal_shutdown: bool,
    #[prost(bool, tag = "3")]
    pub(super) thermal_throttle: bool,
    #[prost(bool, tag = "8")]
    pub(super) unexpected_location: bool,
    #[prost(bool, tag = "15")]
    pub(super) slow_ethernet: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Outage {
    #[prost(int32, tag = "1")]
    pub(super) cause: i32,
}

#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub(super) struct Gps {
    #[prost(bool, tag = "1")]
    pub(super) valid: bool,
    #[prost(uint32, tag = "2")]
    pub(super) satellites: u32,
}

/// The last seconds, one value each, in rings that `current` counts through.
#[derive(Clone, PartialEq, Message)]
pub(super) struct History {
    #[prost(uint64, tag = "1")]
    pub(super) current: u64,
    #[prost(float, repeated, tag = "1001")]
    pub(super) drop_rate: Vec<f32>,
    #[prost(float, repeated, tag = "1002")]
    pub(super) latency: Vec<f32>,
    #[prost(float, repeated, tag = "1010")]
    pub(super) power: Vec<f32>,
}

/// The terminal's words for the causes of an outage, by their number.
const CAUSES: [&str; 13] = [
    "UNKNOWN",
    "BOOTING",
    "STOWED",
    "THERMAL_SHUTDOWN",
    "NO_SCHEDULE",
    "NO_SATS",
    "OBSTRUCTED",
    "NO_DOWNLINK",
    "NO_PINGS",
    "ACTUATOR_ACTIVITY",
    "CABLE_TEST",
    "SLEEPING",
    "SKY_SEARCH",
];

/// A terminal.
pub struct Dish {
    method: Method,
    /// Up to where its history was read.
    read_to: Option<u64>,
}

impl Dish {
    /// Makes the client.
    ///
    /// # Errors
    /// An address that cannot be read, or no HTTP client.
    pub fn new(address: &str) -> Result<Self, LinkError> {
        Ok(Self { method: Method::new(address, PATH, "starlink")?, read_to: None })
    }

    /// Asks for the status and for the seconds since the last time.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn ask(&mut self, profile: &Profile) -> Result<Answer, String> {
        let ask_status = Request { get_status: Some(Empty {}), get_history: None };
        let ask_history = Request { get_status: None, get_history: Some(Empty {}) };
        let (status, status_bytes): (Response, usize) = self.method.call(&ask_status).await?;
        let (history, history_bytes): (Response, usize) = self.method.call(&ask_history).await?;
        let status = status.status.ok_or("the terminal answered no status; is it a router in front of it?")?;
        let seen = history.history.as_ref().and_then(|history| seconds_since(history, self.read_to));
        self.read_to = history.history.map(|history| history.current);
        let fields = json!({"status": fields_of(&status), "history": seen});
        let mut answer = Answer { bytes: status_bytes + history_bytes, ..Answer::default() };
        for request in &profile.requests {
            let (values, bad) = request.read(&fields);
            answer.values.extend(values);
            answer.bad.extend(bad);
        }
        Ok(answer)
    }
}

/// The status as the profile looks it up.
pub(super) fn fields_of(status: &Status) -> Json {
    let mut fields = Map::new();
    let mut put = |name: &str, value: Option<Json>| {
        fields.extend(value.map(|value| (name.to_owned(), value)));
    };
    // Zero is left out on the wire. A terminal that measures a round trip measures losses too.
    let drop_rate = status.pop_ping_drop_rate.or(status.pop_ping_latency.map(|_| 0.0));
    put("pop_ping_drop_rate", drop_rate.map(|rate| json!(rate)));
    put("pop_ping_latency_ms", status.pop_ping_latency.map(|latency| json!(latency)));
    put("downlink_throughput_bps", status.downlink.map(|rate| json!(rate)));
    put("uplink_throughput_bps", status.uplink.map(|rate| json!(rate)));
    put("boresight_azimuth_deg", status.azimuth.map(|angle| json!(angle)));
    put("boresight_elevation_deg", status.elevation.map(|angle| json!(angle)));
    put("fraction_obstructed", status.obstruction.map(|one| json!(one.fraction)));
    put("currently_obstructed", status.obstruction.map(|one| json!(one.now)));
    put("gps_valid", status.gps.map(|gps| json!(gps.valid)));
    put("gps_sats", status.gps.map(|gps| json!(gps.satellites)));
    put("uptime_s", status.device_state.map(|state| json!(state.uptime)));
    put("connected", Some(json!(status.outage.is_none())));
    let cause = |outage: Outage| usize::try_from(outage.cause).ok().and_then(|at| CAUSES.get(at)).unwrap_or(&CAUSES[0]);
    put("state", Some(json!(status.outage.map_or("CONNECTED", |outage| *cause(outage)))));
    if let Some(alerts) = status.alerts {
        put("alert_motors_stuck", Some(json!(alerts.motors_stuck)));
        put("alert_thermal_shutdown", Some(json!(alerts.thermal_shutdown)));
        put("alert_thermal_throttle", Some(json!(alerts.thermal_throttle)));
        put("alert_unexpected_location", Some(json!(alerts.unexpected_location)));
        put("alert_slow_ethernet", Some(json!(alerts.slow_ethernet)));
    }
    Json::Object(fields)
}

/// Means over the seconds that have come since `read_to`, of the whole ring where that is not known or too long ago.
pub(super) fn seconds_since(history: &History, read_to: Option<u64>) -> Option<Json> {
    let ring = history.drop_rate.len();
    let new = match read_to {
        Some(read_to) if read_to <= history.current => history.current - read_to,
        // The terminal has started anew.
        _ => history.current,
    };
    let count = usize::try_from(new).unwrap_or(usize::MAX).min(ring);
    if count == 0 {
        return None;
    }
    let places = |values: &[f32]| -> Vec<f64> {
        let current = history.current;
        let at = |back: u64| usize::try_from((current - 1 - back) % values.len().max(1) as u64).unwrap_or_default();
        (0..count as u64).filter_map(|back| values.get(at(back)).copied()).map(f64::from).collect()
    };
    let drops = places(&history.drop_rate);
    // A second in which every ping was lost has no round trip.
    let latencies: Vec<f64> =
        places(&history.latency).into_iter().zip(&drops).filter(|(_, drop)| **drop < 1.0).map(|(ms, _)| ms).collect();
    let power = places(&history.power);
    let mean = |values: &[f64]| (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64);
    Some(json!({
        "seconds": count, "pop_ping_drop_rate": mean(&drops), "pop_ping_latency_ms": mean(&latencies),
        "power_in_w": mean(&power),
    }))
}
