//! Who counts as silent, and who does not.

use insta::assert_snapshot;

use crate::testing::{Point, Ship, point};

fn load(instance: &str) -> Vec<Point> {
    vec![point("node_load15", &[("job", "node"), ("instance", instance)], 0.5)]
}

#[test]
fn an_instance_that_spoke_regularly_is_silent_after_five_minutes_and_speaks_again() {
    let mut ship = Ship::new();
    ship.run(900, |_| load("switch-1"));
    ship.run(600, |_| Vec::new());
    ship.run(120, |_| load("switch-1"));
    assert_snapshot!(ship.said(), @r#"
    00:19:45 .0 + major None: switch-1 is silent: no metrics of switch-1 (job node) for 5 min
    00:19:45 .1 #1 open major opened: switch-1 is silent: no metrics of switch-1 (job node) for 5 min [first-signal]
    00:25:00 .0 - it speaks again after 10 min
    00:25:55 .0 #1 resolved major resolved: its signal ended; the last was "switch-1 is silent: no metrics of switch-1 (job node) for 5 min", which ended at 2026-11-24T00:25:00.000Z
    "#);
}

#[test]
fn a_slow_speaker_gets_ten_of_its_gaps() {
    let mut ship = Ship::new();
    ship.run(7_200, |seconds| if seconds % 300 == 0 { load("tank") } else { Vec::new() });
    ship.run(2_900, |_| Vec::new());
    assert_snapshot!(ship.said(), @r"
    02:45:00 .0 + major None: tank is silent: no metrics of tank (job node) for 50 min
    02:45:00 .1 #1 open major opened: tank is silent: no metrics of tank (job node) for 50 min [first-signal]
    ");
    ship.run(300, |_| Vec::new());
    assert_eq!(ship.incidents().len(), 1);
}

#[test]
fn who_spoke_only_for_a_while_is_not_missed() {
    let mut ship = Ship::new();
    ship.run(300, |_| load("visitor"));
    ship.run(3_600, |_| Vec::new());
    assert_snapshot!(ship.said(), @"");
}

#[test]
fn an_asset_that_still_speaks_otherwise_is_less_grave() {
    let mut ship = Ship::new();
    let other = || point("modem_uptime", &[("job", "modem"), ("instance", "switch-1")], 1.0);
    ship.run(900, |_| load("switch-1").into_iter().chain([other()]).collect());
    ship.run(600, |_| vec![other()]);
    assert_snapshot!(ship.said_of_incidents(), @"00:19:45 .1 #1 open minor opened: switch-1 is silent: no metrics of switch-1 (job node) for 5 min [first-signal]");
}

#[test]
fn the_silence_of_regular_logs_is_told_and_that_of_rare_ones_is_not() {
    let mut ship = Ship::new();
    for step in 0..(2 * 720) {
        if step % 6 == 0 {
            ship.log("radar-pc", "position fix");
        }
        if step % 400 == 0 {
            ship.log("printer", "page printed");
        }
        ship.tick();
    }
    for _ in 0..720 {
        ship.tick();
    }
    assert_snapshot!(ship.said(), @r"
    02:04:30 .0 + minor None: radar-pc is silent: no logs through syslog-udp for 5 min
    02:04:30 .1 #1 open minor opened: radar-pc is silent: no logs through syslog-udp for 5 min [first-signal]
    ");
}

#[test]
fn a_day_of_silence_is_no_longer_expected() {
    let mut ship = Ship::new();
    ship.run(900, |_| load("switch-1"));
    ship.run(90_000, |_| Vec::new());
    assert_snapshot!(ship.said(), @r#"
    00:19:45 .0 + major None: switch-1 is silent: no metrics of switch-1 (job node) for 5 min
    00:19:45 .1 #1 open major opened: switch-1 is silent: no metrics of switch-1 (job node) for 5 min [first-signal]
    24:14:45 .0 - silent for 1 d and no longer expected
    24:15:45 .0 #1 resolved major resolved: its signal ended; the last was "switch-1 is silent: no metrics of switch-1 (job node) for 5 min", which ended at 2026-11-25T00:14:45.000Z
    "#);
    assert_eq!(ship.engine.stats().speakers, 0);
}

#[test]
fn who_pauses_by_habit_is_told_of_twice_and_then_only_when_it_pauses_longer() {
    let mut ship = Ship::new();
    let (hour, pause) = (3_600, 1_200);
    let habit = |seconds: i64| if seconds % hour < hour - pause { load("kiosk") } else { Vec::new() };
    ship.run(8 * hour, habit);
    let told = |ship: &Ship| ship.said().matches("+ major").count();
    let after_eight_hours = told(&ship);
    ship.run(2 * hour, |_| Vec::new());
    assert_eq!((after_eight_hours, told(&ship)), (2, 3), "{}", ship.said());
}
