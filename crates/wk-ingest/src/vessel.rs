//! The vessel's motion and surroundings in one vocabulary: what every navigation source calls what it reads.
//!
//! Angles are in degrees and speeds in knots, as on every bridge and in every rule of the trade; everything else is in
//! the base units of Prometheus (ADR 12).

use std::collections::BTreeMap;

use crate::metadata::Metadata;
use crate::vocabulary::vocabulary;

/// Knots in one metre per second.
pub const KNOTS_PER_METER_PER_SECOND: f64 = 3_600.0 / 1_852.0;

vocabulary! {
    /// What a navigation source reads.
    Quantity
    Latitude, "vessel_position_latitude_degrees", -90.0, 90.0, "Latitude, north positive.";
    Longitude, "vessel_position_longitude_degrees", -180.0, 180.0, "Longitude, east positive.";
    SpeedOverGround, "vessel_speed_over_ground_knots", 0.0, 150.0, "Speed over ground.";
    CourseOverGround, "vessel_course_over_ground_degrees", 0.0, 360.0, "Course over ground, true.";
    SpeedThroughWater, "vessel_speed_through_water_knots", -50.0, 150.0, "Speed through the water.";
    HeadingTrue, "vessel_heading_true_degrees", 0.0, 360.0, "Heading, true.";
    HeadingMagnetic, "vessel_heading_magnetic_degrees", 0.0, 360.0, "Heading, magnetic.";
    RateOfTurn, "vessel_rate_of_turn_degrees_per_minute", -10_000.0, 10_000.0, "Rate of turn, to starboard positive.";
    Roll, "vessel_roll_degrees", -180.0, 180.0, "Roll, starboard down positive.";
    Pitch, "vessel_pitch_degrees", -90.0, 90.0, "Pitch, bow up positive.";
    Heave, "vessel_heave_meters", -100.0, 100.0, "Heave, up positive.";
    DepthBelowTransducer, "vessel_depth_below_transducer_meters", 0.0, 12_000.0, "Depth of water below the transducer.";
    DepthBelowKeel, "vessel_depth_below_keel_meters", -100.0, 12_000.0, "Depth of water below the keel.";
    DepthBelowSurface, "vessel_depth_below_surface_meters", 0.0, 12_000.0, "Depth of water below the surface.";
    WindSpeedRelative, "vessel_wind_speed_relative_knots", 0.0, 300.0, "Wind speed as felt on board.";
    WindAngleRelative, "vessel_wind_angle_relative_degrees", 0.0, 360.0, "Angle of the wind felt on board, clockwise from the bow.";
    WindSpeedTrue, "vessel_wind_speed_true_knots", 0.0, 300.0, "Wind speed with the vessel's own motion taken out.";
    WindAngleTrue, "vessel_wind_angle_true_degrees", 0.0, 360.0, "Angle of the wind with the vessel's own motion taken out, clockwise from the bow.";
    GnssSatellites, "vessel_gnss_satellites", 0.0, 200.0, "Satellites that the position was computed from.";
    GnssHdop, "vessel_gnss_hdop", 0.0, 1_000.0, "Horizontal dilution of precision.";
    GnssFixQuality, "vessel_gnss_fix_quality", 0.0, 9.0, "Quality of the position as GGA counts it: 0 none, 1 autonomous, 2 differential, 4 and 5 real-time kinematic, 6 estimated.";
    GnssTimeOffset, "vessel_gnss_time_offset_seconds", -1e12, 1e12, "Time of the receiver less that of the node.";
    AisNavigationStatus, "vessel_ais_navigation_status", 0.0, 15.0, "Navigational status that the AIS transponder sends: 0 under way using engine, 1 at anchor, 5 moored.";
    AisLatitude, "vessel_ais_position_latitude_degrees", -90.0, 90.0, "Latitude that the AIS transponder sends.";
    AisLongitude, "vessel_ais_position_longitude_degrees", -180.0, 180.0, "Longitude that the AIS transponder sends.";
    AisInfo, "vessel_ais_info", 1.0, 1.0, "What the AIS transponder says about the vessel.";
    Draught, "vessel_draught_meters", 0.0, 30.0, "Draught that the AIS transponder sends.";
    TransducerTemperature, "vessel_transducer_temperature_celsius", -273.15, 5_000.0, "Temperature of a transducer.";
    TransducerPressure, "vessel_transducer_pressure_pascals", -1e9, 1e9, "Pressure of a transducer.";
    TransducerHumidity, "vessel_transducer_humidity_ratio", 0.0, 1.0, "Relative humidity of a transducer.";
}

/// One value of a quantity.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// What was read.
    pub quantity: Quantity,
    /// The value, in the quantity's unit.
    pub value: f64,
    /// Further labels.
    pub labels: Vec<(&'static str, String)>,
}

impl Reading {
    /// Makes a reading without further labels.
    #[must_use]
    pub const fn new(quantity: Quantity, value: f64) -> Self {
        Self { quantity, value, labels: Vec::new() }
    }
}

/// An angle brought into 0 to below 360 degrees.
#[must_use]
pub fn full_circle(degrees: f64) -> f64 {
    let turned = degrees.rem_euclid(360.0);
    // The remainder of a tiny negative angle rounds to the whole circle.
    if turned >= 360.0 { 0.0 } else { turned }
}

/// What the metrics of navigation sources are.
#[must_use]
pub fn metadata() -> BTreeMap<String, Metadata> {
    Quantity::ALL.iter().map(|one| (one.name().to_owned(), Metadata::new("gauge", one.help(), ""))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quantity_has_its_own_name_and_a_range() {
        let names: std::collections::BTreeSet<_> = Quantity::ALL.iter().map(|one| one.name()).collect();
        assert_eq!(names.len(), Quantity::ALL.len());
        for one in Quantity::ALL {
            assert!(!one.holds(f64::NAN) && !one.holds(f64::INFINITY), "{one:?}");
        }
        assert_eq!(metadata().len(), Quantity::ALL.len());
    }

    #[test]
    fn angles_come_into_one_circle() {
        let cases = [(0.0, 0.0), (360.0, 0.0), (-1.0, 359.0), (725.0, 5.0), (-1e-20, 0.0)];
        for (angle, expected) in cases {
            assert_eq!(full_circle(angle), expected, "{angle}");
        }
    }
}
