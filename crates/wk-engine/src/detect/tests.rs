//! What the detector says and what it keeps to itself.

use insta::assert_snapshot;
use wk_types::{DurationMs, FactBody, Sample, UtcMs};

use super::track::{Change, Track};
use crate::families::{FAMILIES, Family, Kind, Pattern};
use crate::testing::{START, Ship, point};

const STEP: i64 = 15;

fn gauge() -> Family {
    let base = *FAMILIES.iter().find(|family| family.pattern == Pattern::Name("node_load1")).unwrap();
    Family { effect_min: 2.0, share_min: 0.0, ..base }
}

/// Feeds values every 15 s and writes when something was said, in minutes.
fn said(family: &Family, minutes: i64, value: impl Fn(i64) -> f64) -> Vec<String> {
    let mut track = Track::default();
    let mut said = Vec::new();
    for step in 0..minutes * 60 / STEP {
        let time = UtcMs(START.0 + step * STEP * 1_000);
        let minute = step * STEP / 60;
        match track.step(family, Sample::new(time, value(minute))) {
            Some(Change::Raised(finding)) => said.push(format!("{minute} raised {:.1}", finding.level)),
            Some(Change::Worsened(_, finding)) => said.push(format!("{minute} worsened {:.1}", finding.level)),
            Some(Change::Cleared(..)) => said.push(format!("{minute} cleared")),
            None => {}
        }
    }
    said
}

fn wobble(minute: i64) -> f64 {
    1.0 + 0.1 * ((minute * 7) % 5) as f64
}

#[test]
fn a_lasting_step_is_one_signal_with_an_end() {
    let step = |minute| if (120..150).contains(&minute) { 9.0 } else { wobble(minute) };
    assert_eq!(said(&gauge(), 200, step), ["127 raised 9.0", "155 cleared"]);
}

#[test]
fn spikes_and_short_bursts_say_nothing() {
    let bursts = |minute| if minute > 90 && minute % 30 < 4 { 9.0 } else { wobble(minute) };
    assert!(said(&gauge(), 600, bursts).is_empty());
}

#[test]
fn nothing_is_said_in_the_first_hour() {
    let step = |minute| if minute >= 30 { 9.0 } else { wobble(minute) };
    assert!(said(&gauge(), 60, step).is_empty());
}

#[test]
fn less_than_the_smallest_effect_says_nothing() {
    let step = |minute| if minute >= 120 { 2.9 } else { 1.0 };
    assert!(said(&gauge(), 240, step).is_empty());
}

#[test]
fn the_good_direction_says_nothing() {
    let step = |minute| if minute >= 120 { -9.0 } else { wobble(minute) };
    assert!(said(&gauge(), 240, step).is_empty());
}

#[test]
fn an_hourly_job_is_a_habit_after_three_times() {
    let hourly = |minute| if minute > 90 && minute % 60 < 12 { 9.0 } else { wobble(minute) };
    let raised = said(&gauge(), 1_440, hourly).into_iter().filter(|line| line.contains("raised")).count();
    assert_eq!(raised, 3);
}

#[test]
fn yesterdays_job_at_this_time_is_known() {
    let daily = |minute| if minute % 1_440 > 1_380 && minute % 1_440 < 1_400 { 9.0 } else { wobble(minute) };
    let raised: Vec<String> =
        said(&gauge(), 4 * 1_440, daily).into_iter().filter(|line| line.contains("raised")).collect();
    assert_eq!(raised, ["1388 raised 9.0"]);
}

#[test]
fn a_raised_level_at_the_same_hours_of_every_day_is_said_once() {
    let office = |minute| if (540..1_080).contains(&(minute % 1_440)) { 9.0 } else { wobble(minute) };
    let raised: Vec<String> =
        said(&gauge(), 5 * 1_440, office).into_iter().filter(|line| line.contains("raised")).collect();
    assert_eq!(raised, ["547 raised 9.0"]);
}

#[test]
fn a_fault_that_comes_back_within_the_day_is_said_again() {
    let fault =
        |minute| if (120..180).contains(&minute) || (400..440).contains(&minute) { 9.0 } else { wobble(minute) };
    assert_eq!(said(&gauge(), 600, fault).len(), 4);
}

#[test]
fn a_slow_drift_is_followed() {
    assert!(said(&gauge(), 1_440, |minute| minute as f64 * 0.01).is_empty());
}

#[test]
fn a_worse_deviation_is_told_once_more() {
    let steps = |minute| match minute {
        0..120 => wobble(minute),
        120..140 => 6.0,
        _ => 20.0,
    };
    assert_eq!(said(&gauge(), 180, steps), ["127 raised 6.0", "142 worsened 20.0"]);
}

#[test]
fn a_new_level_counts_as_usual_after_a_day() {
    let step = |minute| if minute >= 120 { 9.0 } else { wobble(minute) };
    assert_eq!(said(&gauge(), 3_000, step), ["127 raised 9.0", "1562 cleared"]);
}

#[test]
fn a_counter_is_its_rate_and_a_reset_is_none() {
    let family = Family { kind: Kind::Counter, ..gauge() };
    let counter = |minute: i64| if minute < 120 { minute as f64 * 60.0 } else { (minute - 120) as f64 * 60.0 };
    assert!(said(&family, 240, counter).is_empty());
}

#[test]
fn a_series_that_never_moves_is_a_few_bytes_and_a_moving_one_stays_within_two_kibibytes() {
    let (mut still, mut moving) = (Track::default(), Track::default());
    for step in 0..10_000_i64 {
        let time = UtcMs(START.0 + step * STEP * 1_000);
        still.step(&gauge(), Sample::new(time, 4.0));
        moving.step(&gauge(), Sample::new(time, wobble(step)));
    }
    assert!(size_of::<Track>() <= 128);
    assert!(still.heap_bytes() == 0 && size_of::<Track>() + moving.heap_bytes() <= 2_048);
}

#[test]
fn a_clock_set_back_does_not_blind_the_detector() {
    let (family, mut track, mut raised) = (gauge(), Track::default(), false);
    for step in 0..1_000_i64 {
        let back = if step < 600 { 0 } else { DurationMs::from_hours(24).0 };
        let time = UtcMs(START.0 + step * STEP * 1_000 - back);
        track.rewind(time + DurationMs::from_mins(10));
        let value = if step < 700 { wobble(step) } else { 9.0 };
        raised |= matches!(track.step(&family, Sample::new(time, value)), Some(Change::Raised(_)));
    }
    assert!(raised);
}

#[test]
fn a_series_that_vanishes_ends_its_signal_and_evidence_names_the_band() {
    let mut ship = Ship::new();
    let labels = [("job", "modem"), ("instance", "vsat")];
    ship.run(9_000, |seconds| {
        let value = if seconds > 7_200 { 4.0 } else { 12.0 + ((seconds / 15) % 5) as f64 * 0.2 };
        vec![point("modem_snr_db", &labels, value)]
    });
    ship.run(900, |_| vec![point("modem_power_watts", &labels, 8.0)]);
    assert_snapshot!(ship.said(), @r#"
    02:12:45 .0 + minor Down: Signal-to-noise ratio on vsat: 4.0 dB, usually 12.4 dB
    02:12:45 .1 #1 open minor opened: Signal-to-noise ratio on vsat: 4.0 dB, usually 12.4 dB [first-signal]
    02:39:45 .0 - no values for 10 min
    02:40:45 .0 #1 resolved minor resolved: its signal ended; the last was "Signal-to-noise ratio on vsat: 4.0 dB, usually 12.4 dB", which ended at 2026-11-24T02:39:45.000Z
    "#);
    let evidence = ship.facts.iter().find_map(|fact| match &fact.body {
        FactBody::SignalRaised { signal } => Some(signal.evidence.clone()),
        _ => None,
    });
    let evidence = evidence.unwrap();
    assert_snapshot!(evidence.detail, @"Signal-to-noise ratio was 4.0 dB (median of 5 min) for 10 min; expected 8.4 dB to 16.4 dB from the last 2 h.");
    assert_snapshot!(evidence.query, @r#"modem_snr_db{instance="vsat", job="modem"}"#);
    assert!(evidence.recent.len() <= 60 && evidence.expected.is_some());
}

/// Simulated quiet machine: see `quiet.rs` for the physics.
#[test]
fn a_quiet_machine_gives_at_most_one_incident_in_eight_hours() {
    let mut ship = Ship::new();
    let mut machine = crate::testing::quiet::Machine::new(7);
    let (mut series, mut spent) = (0, std::time::Duration::ZERO);
    for _ in 0..8 * 240 {
        let points = machine.step();
        series = points.len();
        let before = std::time::Instant::now();
        ship.samples_only(points);
        for _ in 0..3 {
            ship.tick();
        }
        spent += before.elapsed();
    }
    println!("time in the engine: {spent:?}");
    println!("simulated quiet machine, 8 h, {series} series: {:?}", ship.engine.stats());
    println!("saved state: {} bytes\n{}", ship.engine.save().len(), ship.said());
    assert!(series > 1_400, "{series}");
    assert!(ship.incidents().len() <= 1, "{}", ship.said());
}

mod nab;
mod recorded;
