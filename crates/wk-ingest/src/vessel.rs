//! The vessel's motion and surroundings in one vocabulary: what every navigation source calls what it reads.
//!
//! Angles are in degrees and speeds in knots, as on every bridge and in every rule of the trade; everything else is in
//! the base units of Prometheus (ADR 12).

use std::collections::BTreeMap;

use crate::metadata::Metadata;

/// Knots in one metre per second.
pub const KNOTS_PER_METER_PER_SECOND: f64 = 3_600.0 / 1_852.0;

/// What a navigation source reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quantity {
    /// Latitude, north positive.
    Latitude,
    /// Longitude, east positive.
    Longitude,
    /// Speed over ground.
    SpeedOverGround,
    /// Course over ground, true.
    CourseOverGround,
    /// Speed through the water.
    SpeedThroughWater,
    /// Heading, true.
    HeadingTrue,
    /// Heading, magnetic.
    HeadingMagnetic,
    /// Rate of turn, to starboard positive.
    RateOfTurn,
    /// Roll, starboard down positive.
    Roll,
    /// Pitch, bow up positive.
    Pitch,
    /// Heave, up positive.
    Heave,
    /// Depth of water below the transducer.
    DepthBelowTransducer,
    /// Depth of water below the keel.
    DepthBelowKeel,
    /// Depth of water below the surface.
    DepthBelowSurface,
    /// Wind speed as felt on board.
    WindSpeedRelative,
    /// Angle of the wind as felt on board, clockwise from the bow.
    WindAngleRelative,
    /// Wind speed with the vessel's own motion taken out.
    WindSpeedTrue,
    /// Angle of that wind, clockwise from the bow.
    WindAngleTrue,
    /// Satellites that a position was computed from.
    GnssSatellites,
    /// Horizontal dilution of precision.
    GnssHdop,
    /// Quality of the position as GGA counts it.
    GnssFixQuality,
    /// Time of the receiver less that of the node.
    GnssTimeOffset,
    /// Navigational status as the AIS transponder sends it.
    AisNavigationStatus,
    /// Latitude as the AIS transponder sends it.
    AisLatitude,
    /// Longitude as the AIS transponder sends it.
    AisLongitude,
    /// What the AIS transponder says about the vessel, as labels.
    AisInfo,
    /// Draught as the AIS transponder sends it.
    Draught,
    /// Temperature of a transducer.
    TransducerTemperature,
    /// Pressure of a transducer.
    TransducerPressure,
    /// Relative humidity of a transducer.
    TransducerHumidity,
}

/// A quantity's metric name, what it measures, and between what its values lie.
struct Described(&'static str, &'static str, f64, f64);

impl Quantity {
    /// Every quantity.
    pub const ALL: [Self; 30] = [
        Self::Latitude,
        Self::Longitude,
        Self::SpeedOverGround,
        Self::CourseOverGround,
        Self::SpeedThroughWater,
        Self::HeadingTrue,
        Self::HeadingMagnetic,
        Self::RateOfTurn,
        Self::Roll,
        Self::Pitch,
        Self::Heave,
        Self::DepthBelowTransducer,
        Self::DepthBelowKeel,
        Self::DepthBelowSurface,
        Self::WindSpeedRelative,
        Self::WindAngleRelative,
        Self::WindSpeedTrue,
        Self::WindAngleTrue,
        Self::GnssSatellites,
        Self::GnssHdop,
        Self::GnssFixQuality,
        Self::GnssTimeOffset,
        Self::AisNavigationStatus,
        Self::AisLatitude,
        Self::AisLongitude,
        Self::AisInfo,
        Self::Draught,
        Self::TransducerTemperature,
        Self::TransducerPressure,
        Self::TransducerHumidity,
    ];

    #[expect(clippy::too_many_lines, reason = "it is a table, a line or two for each quantity")]
    const fn describe(self) -> Described {
        match self {
            Self::Latitude => Described("vessel_position_latitude_degrees", "Latitude, north positive.", -90.0, 90.0),
            Self::Longitude => {
                Described("vessel_position_longitude_degrees", "Longitude, east positive.", -180.0, 180.0)
            }
            Self::SpeedOverGround => Described("vessel_speed_over_ground_knots", "Speed over ground.", 0.0, 150.0),
            Self::CourseOverGround => {
                Described("vessel_course_over_ground_degrees", "Course over ground, true.", 0.0, 360.0)
            }
            Self::SpeedThroughWater => {
                Described("vessel_speed_through_water_knots", "Speed through the water.", -50.0, 150.0)
            }
            Self::HeadingTrue => Described("vessel_heading_true_degrees", "Heading, true.", 0.0, 360.0),
            Self::HeadingMagnetic => Described("vessel_heading_magnetic_degrees", "Heading, magnetic.", 0.0, 360.0),
            Self::RateOfTurn => Described(
                "vessel_rate_of_turn_degrees_per_minute",
                "Rate of turn, to starboard positive.",
                -10_000.0,
                10_000.0,
            ),
            Self::Roll => Described("vessel_roll_degrees", "Roll, starboard down positive.", -180.0, 180.0),
            Self::Pitch => Described("vessel_pitch_degrees", "Pitch, bow up positive.", -90.0, 90.0),
            Self::Heave => Described("vessel_heave_meters", "Heave, up positive.", -100.0, 100.0),
            Self::DepthBelowTransducer => {
                Described("vessel_depth_below_transducer_meters", "Depth of water below the transducer.", 0.0, 12_000.0)
            }
            Self::DepthBelowKeel => {
                Described("vessel_depth_below_keel_meters", "Depth of water below the keel.", -100.0, 12_000.0)
            }
            Self::DepthBelowSurface => {
                Described("vessel_depth_below_surface_meters", "Depth of water below the surface.", 0.0, 12_000.0)
            }
            Self::WindSpeedRelative => {
                Described("vessel_wind_speed_relative_knots", "Wind speed as felt on board.", 0.0, 300.0)
            }
            Self::WindAngleRelative => Described(
                "vessel_wind_angle_relative_degrees",
                "Angle of the wind felt on board, clockwise from the bow.",
                0.0,
                360.0,
            ),
            Self::WindSpeedTrue => Described(
                "vessel_wind_speed_true_knots",
                "Wind speed with the vessel's own motion taken out.",
                0.0,
                300.0,
            ),
            Self::WindAngleTrue => Described(
                "vessel_wind_angle_true_degrees",
                "Angle of the wind with the vessel's own motion taken out, clockwise from the bow.",
                0.0,
                360.0,
            ),
            Self::GnssSatellites => {
                Described("vessel_gnss_satellites", "Satellites that the position was computed from.", 0.0, 200.0)
            }
            Self::GnssHdop => Described("vessel_gnss_hdop", "Horizontal dilution of precision.", 0.0, 1_000.0),
            Self::GnssFixQuality => Described(
                "vessel_gnss_fix_quality",
                "Quality of the position as GGA counts it: 0 none, 1 autonomous, 2 differential, 4 and 5 real-time kinematic, 6 estimated.",
                0.0,
                9.0,
            ),
            Self::GnssTimeOffset => {
                Described("vessel_gnss_time_offset_seconds", "Time of the receiver less that of the node.", -1e12, 1e12)
            }
            Self::AisNavigationStatus => Described(
                "vessel_ais_navigation_status",
                "Navigational status that the AIS transponder sends: 0 under way using engine, 1 at anchor, 5 moored.",
                0.0,
                15.0,
            ),
            Self::AisLatitude => Described(
                "vessel_ais_position_latitude_degrees",
                "Latitude that the AIS transponder sends.",
                -90.0,
                90.0,
            ),
            Self::AisLongitude => Described(
                "vessel_ais_position_longitude_degrees",
                "Longitude that the AIS transponder sends.",
                -180.0,
                180.0,
            ),
            Self::AisInfo => Described("vessel_ais_info", "What the AIS transponder says about the vessel.", 1.0, 1.0),
            Self::Draught => Described("vessel_draught_meters", "Draught that the AIS transponder sends.", 0.0, 30.0),
            Self::TransducerTemperature => {
                Described("vessel_transducer_temperature_celsius", "Temperature of a transducer.", -273.15, 5_000.0)
            }
            Self::TransducerPressure => {
                Described("vessel_transducer_pressure_pascals", "Pressure of a transducer.", -1e9, 1e9)
            }
            Self::TransducerHumidity => {
                Described("vessel_transducer_humidity_ratio", "Relative humidity of a transducer.", 0.0, 1.0)
            }
        }
    }

    /// The metric's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.describe().0
    }

    /// Tells whether a value can be one of this quantity; what is not a number cannot.
    #[must_use]
    pub fn holds(self, value: f64) -> bool {
        let Described(_, _, least, most) = self.describe();
        (least..=most).contains(&value)
    }
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
    Quantity::ALL
        .into_iter()
        .map(|one| {
            let Described(name, help, ..) = one.describe();
            (name.to_owned(), Metadata::new("gauge", help, ""))
        })
        .collect()
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
