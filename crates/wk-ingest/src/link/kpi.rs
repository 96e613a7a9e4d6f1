//! The vocabulary of links: what every profile maps its device's fields to. Levels are in decibels, as the trade has
//! them; times, sizes and ratios are in the base units of Prometheus (ADR 12).

use std::collections::BTreeMap;

use crate::metadata::Metadata;
use crate::vocabulary::vocabulary;

vocabulary! {
    /// A figure that says how a link is.
    Kpi
    Up, "link_up", 0.0, 1.0, "Whether the device says that its link carries traffic.";
    State, "link_state", 1.0, 1.0, "The device's own word for the state of its link, as a label.";
    Snr, "link_snr_db", -50.0, 100.0, "Signal to noise ratio of what is received.";
    EsNo, "link_es_no_db", -50.0, 100.0, "Energy per symbol over noise density of what is received.";
    CarrierToNoise, "link_c_n0_db_hz", 0.0, 150.0, "Carrier to noise density of what is received.";
    RemoteSnr, "link_remote_snr_db", -50.0, 100.0, "Signal to noise ratio at which the other side receives.";
    Signal, "link_signal_dbm", -200.0, 50.0, "Power of the signal received.";
    Rsrp, "link_rsrp_dbm", -200.0, 0.0, "Reference signal received power of a mobile network.";
    Rsrq, "link_rsrq_db", -50.0, 20.0, "Reference signal received quality of a mobile network.";
    Sinr, "link_sinr_db", -50.0, 100.0, "Signal to interference and noise ratio of a mobile network.";
    BitErrors, "link_bit_error_ratio", 0.0, 1.0, "Bits in error to all bits.";
    TxPower, "link_tx_power_dbm", -100.0, 100.0, "Power sent.";
    TxMuted, "link_tx_muted", 0.0, 1.0, "Whether sending is inhibited.";
    Modcod, "link_modcod", 0.0, 256.0, "Index of modulation and coding, as the device counts it.";
    Rtt, "link_rtt_seconds", 0.0, 600.0, "Round trip time.";
    Loss, "link_loss_ratio", 0.0, 1.0, "Packets lost to all packets.";
    Receive, "link_receive_bits_per_second", 0.0, 1e12, "Bits received a second.";
    Transmit, "link_transmit_bits_per_second", 0.0, 1e12, "Bits sent a second.";
    Obstruction, "link_obstruction_ratio", 0.0, 1.0, "Part of the time or of the sky in which something is in the way.";
    Obstructed, "link_obstructed", 0.0, 1.0, "Whether something is in the way now.";
    QuotaUsed, "link_quota_used_bytes", 0.0, 1e18, "Bytes used of the plan.";
    Quota, "link_quota_bytes", 0.0, 1e18, "Bytes of the plan.";
    QuotaRatio, "link_quota_used_ratio", 0.0, 100.0, "Bytes used to bytes of the plan.";
    Azimuth, "link_antenna_azimuth_degrees", -360.0, 360.0, "Azimuth of the antenna, true.";
    RelativeAzimuth, "link_antenna_relative_azimuth_degrees", -360.0, 360.0, "Azimuth of the antenna, from the bow.";
    Elevation, "link_antenna_elevation_degrees", -90.0, 90.0, "Elevation of the antenna.";
    Skew, "link_antenna_skew_degrees", -180.0, 180.0, "Polarisation angle of the antenna.";
    Locked, "link_antenna_locked", 0.0, 1.0, "Whether the antenna follows its satellite.";
    Blocked, "link_antenna_blocked", 0.0, 1.0, "Whether the antenna points into a blocked sector.";
    Temperature, "link_temperature_celsius", -100.0, 200.0, "Temperature of the device.";
    Power, "link_power_watts", 0.0, 100_000.0, "Electrical power of the device.";
    Alert, "link_alert", 0.0, 1.0, "An alert that the device raises, by its name.";
    Uptime, "link_device_uptime_seconds", 0.0, 1e10, "Time since the device started.";
    GnssValid, "link_gnss_valid", 0.0, 1.0, "Whether the device knows where it is.";
    GnssSatellites, "link_gnss_satellites", 0.0, 200.0, "Navigation satellites that the device uses.";
}

/// A value of one figure.
#[derive(Debug, Clone, PartialEq)]
pub struct Value {
    /// Which figure.
    pub kpi: Kpi,
    /// The value, in the figure's unit.
    pub value: f64,
    /// Further labels.
    pub labels: Vec<(String, String)>,
}

/// What the metrics of links are.
#[must_use]
pub fn metadata() -> BTreeMap<String, Metadata> {
    Kpi::ALL.iter().map(|one| (one.name().to_owned(), Metadata::new("gauge", one.help(), ""))).collect()
}
