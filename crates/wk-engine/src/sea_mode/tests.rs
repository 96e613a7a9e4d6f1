use insta::assert_snapshot;
use proptest::prelude::*;
use wk_types::{CommandId, Verb};

use super::*;
use crate::testing::{Point, START, Ship, point};

const GPS: [(&str, &str); 2] = [("job", "nmea"), ("instance", "bridge")];

fn sails(speed: f64, latitude: f64) -> Vec<Point> {
    vec![
        point("vessel_speed_over_ground_knots", &GPS, speed),
        point("vessel_position_latitude_degrees", &GPS, latitude),
        point("vessel_position_longitude_degrees", &GPS, 10.0),
    ]
}

fn modes(ship: &Ship) -> String {
    let lines = ship.facts.iter().filter_map(|fact| match &fact.body {
        FactBody::SeaModeChanged { state, reason, by, .. } => {
            let mode = state.mode.map_or("unknown", SeaMode::as_str);
            let by = if by.is_some() { " (p1)" } else { "" };
            Some(format!("{} min {mode}: {reason}{by}", fact.at.since(START).0 / 60_000))
        }
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_voyage_goes_through_the_modes_with_hysteresis() {
    let mut ship = Ship::new();
    ship.run(30 * 60, |_| sails(0.2, 54.0));
    // A gust of wrong speeds is no departure.
    ship.run(30, |_| sails(3.0, 54.0));
    ship.run(10 * 60, |_| sails(0.2, 54.0));
    ship.run(20 * 60, |_| sails(4.0, 54.0));
    ship.run(60 * 60, |_| sails(14.0, 55.0));
    // Slow for a while in traffic, then the approach.
    ship.run(3 * 60, |_| sails(4.0, 56.0));
    ship.run(30 * 60, |_| sails(14.0, 56.0));
    ship.run(20 * 60, |_| sails(4.5, 56.5));
    ship.run(20 * 60, |_| sails(0.1, 57.0));
    assert_snapshot!(modes(&ship), @r"
    2 min in_port: 0.2 kn over ground for 2 min
    41 min manoeuvring: 4.0 kn over ground for 1 min
    70 min at_sea: 14.0 kn over ground for 10 min
    158 min manoeuvring: 4.5 kn over ground for 5 min
    183 min in_port: 0.1 kn over ground for 10 min
    ");
}

#[test]
fn a_ship_that_drifts_from_its_anchorage_is_not_in_port() {
    let mut ship = Ship::new();
    ship.run(10 * 60, |_| sails(0.2, 54.0));
    ship.run(3 * 60 * 60, |seconds| sails(0.4, 54.0 + 0.4 / 3_600.0 * (seconds - 600) as f64 / 60.0));
    let said = modes(&ship);
    assert!(said.contains("manoeuvring: moved 9"), "{said}");
}

#[test]
fn the_transponder_shortens_the_wait_of_a_ship_that_moored() {
    let mut ship = Ship::new();
    ship.run(10 * 60, |_| sails(3.0, 54.0));
    let moored = |_| [sails(0.1, 54.0), vec![point("vessel_ais_navigation_status", &GPS, MOORED)]].concat();
    ship.run(3 * 60, moored);
    assert_snapshot!(modes(&ship), @r"
    2 min manoeuvring: 3.0 kn over ground for 2 min
    12 min in_port: 0.1 kn over ground for 2 min
    ");
}

#[test]
fn without_a_speed_nobody_knows() {
    let mut ship = Ship::new();
    ship.run(10 * 60, |_| sails(12.0, 54.0));
    ship.run(60 * 60, |_| Vec::new());
    assert_snapshot!(modes(&ship), @r"
    2 min at_sea: 12.0 kn over ground for 2 min
    39 min unknown: no speed over ground for 30 min
    ");
}

#[test]
fn a_second_receiver_takes_over_only_when_the_first_falls_silent() {
    let mut ship = Ship::new();
    let other = [("job", "gpsd"), ("instance", "spare")];
    let both = |_| [sails(12.0, 54.0), vec![point("vessel_speed_over_ground_knots", &other, 0.0)]].concat();
    ship.run(20 * 60, both);
    ship.run(30 * 60, |_| vec![point("vessel_speed_over_ground_knots", &other, 0.0)]);
    assert_snapshot!(modes(&ship), @r"
    2 min at_sea: 12.0 kn over ground for 2 min
    27 min manoeuvring: 0.0 kn over ground for 5 min
    37 min in_port: 0.0 kn over ground for 10 min
    ");
}

#[test]
fn what_a_person_sets_holds_until_its_time_or_until_it_is_taken_back() {
    let mut ship = Ship::new();
    ship.run(10 * 60, |_| sails(0.2, 54.0));
    let until = Some(UtcMs(ship.now.0 + 5 * 60_000));
    ship.command("cmd-1", Verb::SetSeaMode { mode: Some(SeaMode::DryDock), until });
    assert_eq!(ship.engine.stats().sea_mode.mode, Some(SeaMode::DryDock));
    assert_eq!(ship.engine.stats().sea_mode.derived, Some(SeaMode::InPort));
    ship.run(10 * 60, |_| sails(0.2, 54.0));
    ship.command("cmd-2", Verb::SetSeaMode { mode: Some(SeaMode::AtSea), until: None });
    ship.run(10 * 60, |_| sails(0.2, 54.0));
    ship.command("cmd-3", Verb::SetSeaMode { mode: None, until: None });
    ship.command("cmd-4", Verb::SetSeaMode { mode: Some(SeaMode::AtSea), until: Some(START) });
    assert_snapshot!(modes(&ship), @r"
    2 min in_port: 0.2 kn over ground for 2 min
    10 min dry_dock: set by hand (p1)
    15 min in_port: the time it was set by hand for has passed
    20 min at_sea: set by hand (p1)
    30 min in_port: given back to speed and position (p1)
    ");
    let rejected = ship.facts.iter().any(
        |fact| matches!(&fact.body, FactBody::CommandRejected { command, .. } if *command == CommandId::from("cmd-4")),
    );
    assert!(rejected);
}

#[test]
fn a_stop_of_the_node_moves_no_ship() {
    let mut ship = Ship::new();
    ship.run(10 * 60, |_| sails(0.2, 54.0));
    ship.run(15, |_| sails(12.0, 54.0));
    ship.stop_for(6 * 3_600);
    ship.run(30, |_| sails(12.0, 54.0));
    assert_eq!(ship.engine.stats().sea_mode.mode, Some(SeaMode::InPort));
    ship.run(60, |_| sails(12.0, 54.0));
    assert_eq!(ship.engine.stats().sea_mode.mode, Some(SeaMode::Manoeuvring));
}

#[test]
fn distances_are_those_of_the_sphere() {
    let at = |latitude, longitude| Position { latitude, longitude };
    let degree = distance(at(0.0, 0.0), at(1.0, 0.0));
    assert!((degree - 111_195.0).abs() < 1.0, "{degree}");
    assert!(distance(at(0.0, 179.999), at(0.0, -179.999)) < 230.0);
    assert_eq!(distance(at(54.0, 10.0), at(54.0, 10.0)), 0.0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A run that was saved and loaded anywhere says the same as one that was not, whatever the values are.
    #[test]
    fn saving_and_loading_changes_nothing(speeds in proptest::collection::vec(prop_oneof![0.0..20.0_f64, Just(f64::NAN), Just(f64::INFINITY)], 4..40), cut in 0_usize..40) {
        let (mut whole, mut halves) = (Ship::new(), Ship::new());
        for (at, speed) in speeds.iter().enumerate() {
            if at == cut {
                halves.engine = crate::Engine::load(&halves.engine.save(), halves.options).unwrap();
            }
            for ship in [&mut whole, &mut halves] {
                ship.run(60, |_| sails(*speed, 54.0));
            }
        }
        prop_assert_eq!(modes(&whole), modes(&halves));
        prop_assert_eq!(whole.engine.save(), halves.engine.save());
    }
}
