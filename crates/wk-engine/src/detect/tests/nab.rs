//! The detector on the recorded series of the Numenta Anomaly Benchmark, printed for docs/measurements.md.
//!
//! Nothing is tuned to it: the settings are the shipped ones, with no smallest effect, both directions and no hold
//! beyond one step, as the benchmark's series have no declared family.

use std::collections::BTreeMap;
use std::path::PathBuf;

use wk_types::{DurationMs, Sample, Severity, UtcMs};

use super::super::track::{Change, Track};
use crate::families::{Family, Kind, Pattern};

/// The share of a file, and the most points, in which the benchmark counts nothing.
const PROBATION: f64 = 0.15;
const PROBATION_MAX: usize = 750;

fn any() -> Family {
    Family {
        pattern: Pattern::Suffix(""),
        kind: Kind::Gauge,
        bad: None,
        effect_min: 1e-9,
        share_min: 0.0,
        unit: "",
        says: "Value",
        severity: Severity::Info,
        hold: DurationMs::from_mins(5),
    }
}

fn time_of(text: &str) -> UtcMs {
    let text = text.split('.').next().unwrap();
    format!("{}Z", text.replace(' ', "T")).parse().unwrap()
}

fn alerts(text: &str) -> Vec<UtcMs> {
    let lines: Vec<&str> = text.lines().skip(1).collect();
    let probation = ((lines.len() as f64 * PROBATION) as usize).min(PROBATION_MAX);
    let (family, mut track, mut alerts) = (any(), Track::default(), Vec::new());
    for (position, line) in lines.iter().enumerate() {
        let (time, value) = line.split_once(',').unwrap();
        let time = time_of(time);
        let raised =
            matches!(track.step(&family, Sample::new(time, value.trim().parse().unwrap())), Some(Change::Raised(_)));
        if raised && position >= probation {
            alerts.push(time);
        }
    }
    alerts
}

#[test]
fn nab_evaluation() {
    let Ok(data) = std::env::var("WATCHKEEPER_DATA") else {
        assert!(std::env::var("WATCHKEEPER_REQUIRE_DATA").is_err(), "WATCHKEEPER_DATA is not set");
        println!("skipped: WATCHKEEPER_DATA is not set");
        return;
    };
    let folder = PathBuf::from(data).join("nab");
    let windows = std::fs::read_to_string(folder.join("windows.json")).unwrap();
    let windows: BTreeMap<String, Vec<(String, String)>> = serde_json::from_str(&windows).unwrap();
    let (mut hits, mut all, mut false_alarms, mut days) = (0, 0, 0, 0.0);
    for (file, windows) in &windows {
        let Ok(text) = std::fs::read_to_string(folder.join("data").join(file)) else { continue };
        let windows: Vec<(UtcMs, UtcMs)> = windows.iter().map(|(a, b)| (time_of(a), time_of(b))).collect();
        let alerts = alerts(&text);
        let inside = |alert: &UtcMs| windows.iter().any(|(from, to)| from <= alert && alert <= to);
        let hit = windows.iter().filter(|(from, to)| alerts.iter().any(|alert| from <= alert && alert <= to)).count();
        let outside = alerts.iter().filter(|alert| !inside(alert)).count();
        let first = time_of(text.lines().nth(1).unwrap().split(',').next().unwrap());
        let last = time_of(text.lines().last().unwrap().split(',').next().unwrap());
        days += last.since(first).as_secs_f64() / 86_400.0;
        println!("{file}: {hit} of {} windows, {outside} alerts outside", windows.len());
        hits += hit;
        all += windows.len();
        false_alarms += outside;
    }
    assert!(all > 0, "no file found in {}", folder.display());
    println!("NAB: {hits} of {all} windows hit, {false_alarms} alerts outside in {days:.0} days of series");
}
