//! Recorded machines and services in their ordinary days, replayed through the whole engine under the shipped rules.
//!
//! Machines: the Numenta Anomaly Benchmark's recordings of cloud machines, their labelled windows left out. They were
//! recorded every 5 min; a machine's counters are read every minute in between, as they would have grown evenly.
//! Services: the days without an injected fault of the PetShop data set, every 5 min as recorded. Some of them speak only
//! when they have traffic, which is the hardest case for silence: each may be told of until its habit is known.

use std::collections::BTreeMap;
use std::path::PathBuf;

use wk_types::{FactBody, Incident, UtcMs};

use crate::testing::{Point, Ship, point};

/// A labelled window also covers what leads to it and what follows.
const AROUND_MS: i64 = 2 * 3_600_000;
const EIGHT_HOURS: f64 = 8.0 * 3_600.0;

fn data() -> Option<PathBuf> {
    let Ok(data) = std::env::var("WATCHKEEPER_DATA") else {
        assert!(std::env::var("WATCHKEEPER_REQUIRE_DATA").is_err(), "WATCHKEEPER_DATA is not set");
        println!("skipped: WATCHKEEPER_DATA is not set");
        return None;
    };
    Some(PathBuf::from(data))
}

fn time_of(text: &str) -> UtcMs {
    format!("{}Z", text.split('.').next().unwrap().replace(' ', "T")).parse().unwrap()
}

/// What one recording says of its machine: in percent of the processor, or in bytes per 5 min.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Cpu,
    Written,
    Received,
}

fn machines() -> [(&'static str, Kind); 9] {
    [
        ("ec2_cpu_utilization_24ae8d", Kind::Cpu),
        ("ec2_cpu_utilization_53ea38", Kind::Cpu),
        ("ec2_cpu_utilization_5f5533", Kind::Cpu),
        ("ec2_cpu_utilization_77c1ca", Kind::Cpu),
        ("ec2_cpu_utilization_825cc2", Kind::Cpu),
        ("ec2_disk_write_bytes_1ef3de", Kind::Written),
        ("ec2_disk_write_bytes_c0d644", Kind::Written),
        ("ec2_network_in_257a54", Kind::Received),
        ("ec2_network_in_5abac7", Kind::Received),
    ]
}

/// The counters of a machine after `seconds` more at this value.
fn grow(kind: Kind, value: f64, seconds: f64, counters: &mut BTreeMap<&'static str, f64>) -> Vec<Point> {
    let mut count = |name: &'static str, metric: &str, label: (&str, &str), by: f64| {
        let total = counters.entry(name).or_default();
        *total += by;
        point(metric, &[("job", "host"), ("instance", "recorded-pc"), label], *total)
    };
    let per_second = value / 300.0;
    match kind {
        Kind::Cpu => {
            let used = (value / 100.0).clamp(0.0, 1.0) * seconds;
            vec![
                count("user", "node_cpu_seconds_total", ("mode", "user"), used),
                count("idle", "node_cpu_seconds_total", ("mode", "idle"), seconds - used),
            ]
        }
        Kind::Written => {
            vec![count("written", "node_disk_written_bytes_total", ("device", "xvda"), per_second * seconds)]
        }
        Kind::Received => {
            vec![count("received", "node_network_receive_bytes_total", ("device", "eth0"), per_second * seconds)]
        }
    }
}

fn opened(ship: &Ship) -> Vec<(UtcMs, Incident)> {
    let opened = ship.facts.iter().filter_map(|fact| match &fact.body {
        FactBody::IncidentOpened { incident, .. } => Some((fact.at, incident.as_ref().clone())),
        _ => None,
    });
    opened.collect()
}

/// Replays one machine; answers its quiet seconds and the incidents that opened in them.
fn replay_machine(text: &str, kind: Kind, windows: &[(UtcMs, UtcMs)]) -> (f64, Vec<(UtcMs, Incident)>) {
    let (mut ship, mut counters, mut quiet) = (Ship::new(), BTreeMap::new(), 0.0);
    let inside = |at: UtcMs| windows.iter().any(|(from, to)| from.0 - AROUND_MS <= at.0 && at.0 <= to.0 + AROUND_MS);
    let rows: Vec<(UtcMs, f64)> = text
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(','))
        .map(|(time, value)| (time_of(time), value.trim().parse().unwrap()))
        .collect();
    for pair in rows.windows(2) {
        let (began, ended) = (pair[0].0, pair[1].0);
        let minutes = (ended.since(began).0 / 60_000).clamp(1, 10);
        for minute in 1..=minutes {
            ship.now = UtcMs(began.0 + minute * 60_000);
            ship.samples_only(grow(kind, pair[1].1, 60.0, &mut counters));
            ship.tick();
            ship.records.clear();
        }
        quiet += if inside(began) { 0.0 } else { ended.since(began).as_secs_f64() };
    }
    let outside = opened(&ship).into_iter().filter(|(at, _)| !inside(*at)).collect();
    (quiet, outside)
}

#[test]
fn recorded_machines_give_at_most_one_incident_in_eight_quiet_hours() {
    let Some(folder) = data().map(|data| data.join("nab")) else { return };
    let windows = std::fs::read_to_string(folder.join("windows.json")).unwrap();
    let windows: BTreeMap<String, Vec<(String, String)>> = serde_json::from_str(&windows).unwrap();
    let (mut hours, mut incidents) = (0.0, 0);
    for (name, kind) in machines() {
        let file = format!("realAWSCloudwatch/{name}.csv");
        let text = std::fs::read_to_string(folder.join("data").join(&file)).unwrap();
        let windows: Vec<_> = windows[&file].iter().map(|(from, to)| (time_of(from), time_of(to))).collect();
        let (quiet, opened) = replay_machine(&text, kind, &windows);
        println!("{name}: {} incidents in {:.0} quiet hours", opened.len(), quiet / 3_600.0);
        opened.iter().for_each(|(at, incident)| println!("  {at} {} {}", incident.severity, incident.title));
        assert!(opened.len() as f64 <= quiet / EIGHT_HOURS, "{name}");
        hours += quiet / 3_600.0;
        incidents += opened.len();
    }
    println!("recorded machines: {incidents} incidents in {hours:.0} quiet hours of 9 machines");
}

#[test]
fn recorded_services_without_a_fault_give_few_incidents_and_only_of_silence() {
    let Some(data) = data() else { return };
    let text = std::fs::read_to_string(data.join("petshop/low_traffic/noissue/metrics.csv")).unwrap();
    let header: Vec<Vec<&str>> = text.lines().take(3).map(|line| line.split(',').collect()).collect();
    let (mut ship, mut first, mut last, mut series) = (Ship::new(), None, UtcMs::MIN, 0);
    for line in text.lines().skip(4) {
        let mut cells = line.split(',').enumerate();
        let seconds: f64 = cells.next().unwrap().1.parse().unwrap();
        last = UtcMs((seconds * 1_000.0) as i64);
        first = first.or(Some(last));
        let points: Vec<Point> = cells
            .filter_map(|(column, cell)| {
                let value = cell.parse().ok()?;
                let metric = format!("petshop_{}_seconds", header[1][column]);
                let labels = [("instance", header[0][column]), ("statistic", header[2][column])];
                (header[1][column] == "latency").then(|| point(&metric, &labels, value))
            })
            .collect();
        series = series.max(points.len());
        for minute in 0..5 {
            ship.now = UtcMs(last.0 + minute * 60_000);
            if minute == 0 {
                ship.samples_only(points.clone());
            }
            ship.tick();
        }
        ship.records.clear();
    }
    let hours = last.since(first.unwrap()).as_secs_f64() / 3_600.0;
    let opened = opened(&ship);
    println!(
        "recorded services: {series} latencies, {hours:.0} h: {} incidents, {:?}",
        opened.len(),
        ship.engine.stats()
    );
    opened.iter().for_each(|(at, incident)| println!("  {at} {} {}", incident.severity, incident.title));
    assert!(series > 150, "{series}");
    assert!(opened.len() <= 8, "of 40 speakers in two days");
    assert!(opened.iter().all(|(_, incident)| incident.title.contains("is silent")));
}
