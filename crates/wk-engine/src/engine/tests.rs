//! Scripted streams and what they lead to.

use insta::assert_snapshot;
use proptest::prelude::*;
use wk_types::{AssetId, Body, Edge, EdgeKind, Fact, IncidentId, IncidentState, Topology, Verb};

use super::*;
use crate::testing::{Point, START, Ship, point};

const HOST: [(&str, &str); 2] = [("job", "host"), ("instance", "bridge-pc")];

fn with<'a>(extra: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    HOST.iter().chain(extra).copied().collect()
}

fn disk(mount: &str, full: f64) -> Vec<Point> {
    let labels = with(&[("device", "/dev/sda1"), ("fstype", "ext4"), ("mountpoint", mount)]);
    vec![
        point("node_filesystem_avail_bytes", &labels, 1e11 * (1.0 - full)),
        point("node_filesystem_size_bytes", &labels, 1e11),
        point("node_filesystem_readonly", &labels, 0.0),
    ]
}

fn burner(seconds: i64, from: i64) -> Vec<Point> {
    let burnt = (seconds - from).max(0) as f64;
    let labels = with(&[("groupname", "yes"), ("mode", "user")]);
    vec![point("namedprocess_namegroup_cpu_seconds_total", &labels, burnt)]
}

#[test]
fn a_disk_that_fills_becomes_one_incident_that_escalates_and_resolves() {
    let mut ship = Ship::new();
    ship.run(600, |_| disk("/", 0.5));
    ship.run(300, |_| disk("/", 0.93));
    ship.run(300, |_| disk("/", 0.985));
    ship.run(300, |_| disk("/", 0.5));
    assert_snapshot!(ship.said(), @r#"
    00:12:00 .0 + major Up: Disk / on bridge-pc is 93 % full
    00:12:00 .1 #1 open major opened: Disk / on bridge-pc is 93 % full [first-signal]
    00:12:00 .2 + minor Up: Disk / on bridge-pc will be full in 2m 12s
    00:12:00 .3 #1 open major joined [same-asset] Same asset bridge-pc, raised at the same time as "Disk / on bridge-pc is 93 % full". | 
    00:16:00 .0 + critical Up: Disk / on bridge-pc is 98 % full
    00:16:00 .1 #1 open critical joined [same-asset] Same asset bridge-pc, raised 4 min after "Disk / on bridge-pc will be full in 2m 12s". | 
    00:16:00 .2 escalated major -> critical
    00:20:00 .0 - the condition of DiskFull no longer holds
    00:20:00 .1 - the condition of DiskAlmostFull no longer holds
    00:20:00 .2 - the condition of DiskFilling no longer holds
    00:21:00 .0 #1 resolved critical resolved: all signals ended; the last was "Disk / on bridge-pc will be full in 2m 12s", which ended at 2026-11-24T00:20:00.000Z
    "#);
}

#[test]
fn a_process_that_burns_a_core_is_named_within_ten_minutes_of_the_defaults() {
    let mut ship = Ship::new();
    ship.run(1_200, |seconds| burner(seconds, 300));
    ship.run(600, |_| burner(1_200, 300));
    assert_snapshot!(ship.said(), @r#"
    00:12:00 .0 + minor Up: Process yes on bridge-pc is burning 1.0 cores
    00:12:00 .1 #1 open minor opened: Process yes on bridge-pc is burning 1.0 cores [first-signal]
    00:20:15 .0 - the condition of ProcessBurningCpu no longer holds
    00:21:15 .0 #1 resolved minor resolved: its signal ended; the last was "Process yes on bridge-pc is burning 1.0 cores", which ended at 2026-11-24T00:20:15.000Z
    "#);
    let signal = ship.facts.iter().find_map(|fact| match &fact.body {
        FactBody::SignalRaised { signal } => Some(signal.clone()),
        _ => None,
    });
    let signal = signal.unwrap();
    assert_eq!(signal.metric, "namedprocess_namegroup_cpu_seconds_total");
    assert_eq!(signal.evidence.unit, "cores");
    assert!(signal.evidence.recent.len() > 10, "{:?}", signal.evidence);
    assert_snapshot!(signal.evidence.query, @r#"sum by (instance, job, groupname) (rate(namedprocess_namegroup_cpu_seconds_total{instance="bridge-pc", groupname="yes"}[2m]))"#);
}

#[test]
fn image_file_systems_and_read_only_mounts_never_count_as_full() {
    let mut ship = Ship::new();
    ship.run(900, |_| {
        let snap = with(&[("device", "/dev/loop1"), ("fstype", "squashfs"), ("mountpoint", "/snap/core")]);
        let cdrom = with(&[("device", "/dev/sr0"), ("fstype", "ext4"), ("mountpoint", "/media/cd")]);
        let none = with(&[("device", "none"), ("fstype", "tmpfs"), ("mountpoint", "/none")]);
        vec![
            point("node_filesystem_avail_bytes", &snap, 0.0),
            point("node_filesystem_size_bytes", &snap, 1e8),
            point("node_filesystem_readonly", &snap, 1.0),
            point("node_filesystem_avail_bytes", &cdrom, 0.0),
            point("node_filesystem_size_bytes", &cdrom, 1e8),
            point("node_filesystem_readonly", &cdrom, 1.0),
            point("node_filesystem_avail_bytes", &none, 0.0),
            point("node_filesystem_size_bytes", &none, 0.0),
            point("node_filesystem_readonly", &none, 0.0),
        ]
    });
    assert_snapshot!(ship.said(), @"");
}

#[test]
fn a_tmpfs_that_fills_counts() {
    let mut ship = Ship::new();
    ship.run(300, |_| {
        let labels = with(&[("device", "tmpfs"), ("fstype", "tmpfs"), ("mountpoint", "/mnt/fill")]);
        vec![point("node_filesystem_avail_bytes", &labels, 0.0), point("node_filesystem_size_bytes", &labels, 6.4e7)]
    });
    assert_eq!(ship.incidents().len(), 1);
    assert_snapshot!(ship.incidents()[0].title, @"Disk /mnt/fill on bridge-pc is 100 % full");
}

#[test]
fn a_trend_towards_full_is_told_with_the_time_that_is_left() {
    let mut ship = Ship::new();
    ship.run(3_600, |seconds| disk("/data", 0.72 + seconds as f64 * 2e-5));
    assert_snapshot!(ship.said(), @r"
    00:11:45 .0 + minor Up: Disk /data on bridge-pc will be full in 3h 41m 35s
    00:11:45 .1 #1 open minor opened: Disk /data on bridge-pc will be full in 3h 41m 35s [first-signal]
    ");
}

#[test]
fn one_large_file_is_no_trend() {
    let mut ship = Ship::new();
    ship.run(7_200, |seconds| {
        disk(
            "/data",
            if (3_000..3_120).contains(&seconds) {
                0.74
            } else if seconds >= 3_120 {
                0.78
            } else {
                0.72
            },
        )
    });
    assert_snapshot!(ship.said(), @"");
}

#[test]
fn low_memory_a_down_target_and_a_failed_service_on_one_host_are_one_incident() {
    let mut ship = Ship::new();
    ship.run(900, |_| {
        vec![
            point("node_memory_MemAvailable_bytes", &HOST, 5e8),
            point("node_memory_MemTotal_bytes", &HOST, 8e9),
            point("up", &HOST, 0.0),
            point("node_systemd_unit_state", &with(&[("name", "ntp.service"), ("state", "failed")]), 1.0),
            point("watchkeeper_host_service_processes", &with(&[("service", "chart-server")]), 0.0),
        ]
    });
    assert_snapshot!(ship.said_of_incidents(), @r#"
    00:01:00 .1 #1 open minor opened: Service ntp.service on bridge-pc has failed [first-signal]
    00:01:00 .3 #1 open major joined [same-asset] Same asset bridge-pc, raised at the same time as "Service ntp.service on bridge-pc has failed". | node_systemd_unit_state and watchkeeper_host_service_processes are different metrics and may have separate causes.
    00:01:00 .4 escalated minor -> major
    00:02:00 .1 #1 open major joined [same-asset] Same asset bridge-pc, raised 1 min after "Service chart-server on bridge-pc is down". | watchkeeper_host_service_processes and up are different metrics and may have separate causes.
    00:05:00 .1 #1 open major joined [same-asset] Same asset bridge-pc, raised 3 min after "Target bridge-pc (job host) is down". | up and node_memory_MemAvailable_bytes are different metrics and may have separate causes.
    "#);
}

#[test]
fn unrelated_assets_open_their_own_incidents() {
    let mut ship = Ship::new();
    ship.run(200, |_| {
        ["a", "b"].iter().map(|instance| point("up", &[("job", "node"), ("instance", instance)], 0.0)).collect()
    });
    assert_snapshot!(ship.said_of_incidents(), @r"
    00:02:00 .1 #1 open major opened: Target a (job node) is down [first-signal]
    00:02:00 .3 #2 open major opened: Target b (job node) is down [first-signal]
    ");
}

fn powers(from: &str, to: &str) -> Topology {
    let edge = Edge { from: AssetId::from(from), kind: EdgeKind::Powers, to: AssetId::from(to) };
    Topology { edges: [edge].into() }
}

#[test]
fn neighbours_join_one_incident_with_the_edge_as_the_reason() {
    let mut ship = Ship::new();
    ship.command("cmd-1", Verb::SetTopology { topology: powers("ups", "switch") });
    ship.run(400, |seconds| {
        let down = |from: i64| if seconds >= from { 0.0 } else { 1.0 };
        vec![
            point("up", &[("job", "snmp"), ("instance", "ups")], down(30)),
            point("up", &[("job", "snmp"), ("instance", "switch")], down(60)),
        ]
    });
    assert_snapshot!(ship.said_of_incidents(), @r#"
    00:02:30 .1 #1 open major opened: Target ups (job snmp) is down [first-signal]
    00:03:00 .1 #1 open major joined [neighbour] ups powers switch; raised 30 s after "Target ups (job snmp) is down". | The two assets are only joined by the declared topology; nothing measured shows that one troubles the other.
    "#);
}

#[test]
fn a_relapse_reopens_and_the_hold_grows() {
    let mut ship = Ship::new();
    let down = |value: f64| vec![point("up", &[("job", "node"), ("instance", "a")], value)];
    for _ in 0..3 {
        ship.run(150, |_| down(0.0));
        ship.run(300, |_| down(1.0));
    }
    assert_snapshot!(ship.said_of_incidents(), @r#"
    00:02:00 .1 #1 open major opened: Target a (job node) is down [first-signal]
    00:03:30 .0 #1 resolved major resolved: its signal ended; the last was "Target a (job node) is down", which ended at 2026-11-24T00:02:30.000Z
    00:09:30 .1 #1 open major reopened 1: The same signal came back 6 min after the incident was resolved.
    00:12:00 .0 #1 resolved major resolved: all signals ended; the last was "Target a (job node) is down", which ended at 2026-11-24T00:10:00.000Z
    00:17:00 .1 #1 open major reopened 2: The same signal came back 5 min after the incident was resolved.
    00:21:30 .0 #1 resolved major resolved: all signals ended; the last was "Target a (job node) is down", which ended at 2026-11-24T00:17:30.000Z
    "#);
}

#[test]
fn people_acknowledge_comment_and_close() {
    let mut ship = Ship::new();
    ship.run(200, |_| vec![point("up", &[("job", "node"), ("instance", "a")], 0.0)]);
    let incident = ship.incidents()[0].id.clone();
    ship.command("cmd-1", Verb::Acknowledge { incident: incident.clone() });
    ship.command("cmd-2", Verb::Acknowledge { incident: incident.clone() });
    ship.command("cmd-3", Verb::Comment { incident: incident.clone(), text: "on it".to_owned() });
    ship.command("cmd-4", Verb::Resolve { incident: incident.clone() });
    ship.command("cmd-5", Verb::Resolve { incident });
    ship.command("cmd-6", Verb::Resolve { incident: IncidentId::from("inc-0") });
    assert_snapshot!(ship.said(), @r"
    00:02:00 .0 + major None: Target a (job node) is down
    00:02:00 .1 #1 open major opened: Target a (job node) is down [first-signal]
    00:03:20 .0 #1 acknowledged major acknowledged
    00:03:20 .0 rejected: incident inc-e64d1a4e89b1c866 is already acknowledged
    00:03:20 .0 comment: on it
    00:03:20 .0 #1 resolved major resolved: closed by hand while one signal still held
    00:03:20 .0 rejected: incident inc-e64d1a4e89b1c866 is already resolved
    00:03:20 .0 rejected: no incident inc-0 is open, and none of that id was resolved within the reopen window
    ");
}

#[test]
fn a_command_seen_before_changes_nothing() {
    let mut ship = Ship::new();
    ship.run(200, |_| vec![point("up", &[("job", "node"), ("instance", "a")], 0.0)]);
    let incident = ship.incidents()[0].id.clone();
    let verb = Verb::Acknowledge { incident };
    assert_eq!(ship.command("cmd-1", verb.clone()).len(), 1);
    let before = ship.engine.incidents().cloned().collect::<Vec<_>>();
    assert!(ship.command("cmd-1", verb).is_empty());
    assert_eq!(ship.incidents(), before);
}

#[test]
fn a_record_seen_before_changes_nothing() {
    let mut ship = Ship::new();
    ship.run(200, |_| vec![point("up", &[("job", "node"), ("instance", "a")], 0.0)]);
    let before = ship.engine.save();
    for record in ship.records.clone() {
        assert!(ship.engine.step(&record).is_empty());
    }
    assert_eq!(ship.engine.save(), before);
}

#[test]
fn wrong_rules_are_rejected_and_the_old_ones_stay() {
    let mut ship = Ship::new();
    let files =
        vec![("site.yaml".to_owned(), "groups:\n- name: g\n  rules:\n  - alert: A\n    expr: up ==\n".to_owned())];
    ship.command("cmd-1", Verb::SetRules { files });
    ship.run(200, |_| vec![point("up", &[("job", "node"), ("instance", "a")], 0.0)]);
    assert_snapshot!(ship.said(), @r#"
    00:00:00 .0 rejected: file "site.yaml", group "g", rule "A": could not read expr: could not parse the query at 1:6: unexpected end of the query, expected a number, a text, a selector or a function
    00:02:00 .0 + major None: Target a (job node) is down
    00:02:00 .1 #1 open major opened: Target a (job node) is down [first-signal]
    "#);
}

#[test]
fn alerts_of_rules_that_are_taken_away_end() {
    let mut ship = Ship::new();
    ship.run(200, |_| vec![point("up", &[("job", "node"), ("instance", "a")], 0.0)]);
    ship.set_rules("groups: []");
    ship.run(120, |_| vec![point("up", &[("job", "node"), ("instance", "a")], 0.0)]);
    assert_snapshot!(ship.said(), @r#"
    00:02:00 .0 + major None: Target a (job node) is down
    00:02:00 .1 #1 open major opened: Target a (job node) is down [first-signal]
    00:03:20 .0 - its rule is no longer in force
    00:03:20 .1 0 rules
    00:04:15 .0 #1 resolved major resolved: its signal ended; the last was "Target a (job node) is down", which ended at 2026-11-24T00:03:20.000Z
    "#);
}

#[test]
fn a_stop_of_the_node_ends_and_raises_nothing() {
    let mut ship = Ship::new();
    let values = |_| {
        let mut points = disk("/", 0.93);
        points.push(point("up", &[("job", "node"), ("instance", "a")], 1.0));
        points
    };
    ship.run(1_800, values);
    let before = ship.facts.len();
    ship.stop_for(7_200);
    ship.engine = Engine::load(&ship.engine.save(), ship.options).unwrap();
    ship.run(1_800, values);
    assert_eq!(ship.facts.len(), before, "{}", ship.said());
}

#[test]
fn a_clock_that_jumps_a_day_either_way_raises_and_ends_nothing() {
    for jump in [86_400, -86_400] {
        let mut ship = Ship::new();
        ship.run(1_800, |_| disk("/", 0.93));
        let before = ship.facts.len();
        ship.stop_for(jump);
        ship.run(1_800, |_| disk("/", 0.93));
        assert_eq!(ship.facts.len(), before, "{}", ship.said());
        ship.run(600, |_| disk("/", 0.5));
        assert_eq!(ship.incidents()[0].state, IncidentState::Resolved, "{jump}");
    }
}

#[test]
fn a_newer_format_is_refused() {
    let error = Engine::load(br#"{"format":99}"#, EngineOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_snapshot!(error.to_string(), @"the saved engine has format 99, this version reads up to 1; use a newer watchkeeper");
    assert_eq!(Engine::load(b"{", EngineOptions::default()).unwrap_err().kind(), ErrorKind::Corrupt);
}

#[test]
fn bounds_hold_and_what_is_left_out_is_counted() {
    let options = EngineOptions { series_max: 2, speakers_max: 2, window_samples_max: 50, ..EngineOptions::default() };
    let mut ship = Ship::with(options);
    ship.run(600, |seconds| {
        let load = |instance| point("node_load1", &[("job", "host"), ("instance", instance)], seconds as f64);
        let mut points: Vec<Point> = ["a", "b", "c"].into_iter().map(load).collect();
        points.extend(["a", "b", "c"].map(|instance| point("up", &[("job", "host"), ("instance", instance)], 1.0)));
        points
    });
    let stats = ship.engine.stats();
    assert_eq!((stats.series, stats.speakers), (2, 2));
    assert!(stats.window_samples <= 51, "{stats:?}");
    assert!(stats.series_refused > 0 && stats.speakers_refused > 0 && stats.window_refused > 0, "{stats:?}");
}

/// A stream with something of everything in it.
fn eventful() -> Ship {
    let mut ship = Ship::new();
    ship.command("cmd-1", Verb::SetTopology { topology: powers("ups", "bridge-pc") });
    let values = |seconds: i64| {
        let mut points = disk("/", if (4_200..6_000).contains(&seconds) { 0.95 } else { 0.71 + seconds as f64 * 1e-6 });
        let sensor = with(&[("sensor", "rack")]);
        let warm = if seconds > 4_500 { 9.5 } else { 0.0 };
        points.push(point("rack_temperature_celsius", &sensor, 22.0 + warm + ((seconds / 15) % 7) as f64 * 0.1));
        points.push(point(
            "node_load1",
            &HOST,
            ((seconds / 15) % 11) as f64 * 0.1 + if seconds > 5_000 { 30.0 } else { 0.0 },
        ));
        points.extend(burner(seconds, 4_800));
        if seconds < 5_400 {
            points.push(point("up", &[("job", "snmp"), ("instance", "ups")], if seconds < 4_000 { 1.0 } else { 0.0 }));
        }
        points
    };
    ship.run(4_500, values);
    let incident = ship.incidents().first().map(|incident| incident.id.clone());
    if let Some(incident) = incident {
        ship.command("cmd-2", Verb::Acknowledge { incident });
    }
    ship.run(3_300, values);
    ship.stop_for(600);
    ship.run(600, values);
    ship
}

#[test]
fn an_eventful_watch_reads_as_it_was() {
    assert_snapshot!(eventful().said(), @r#"
    00:00:00 .0 1 edges
    01:08:45 .0 + major None: Target ups (job snmp) is down
    01:08:45 .1 #1 open major opened: Target ups (job snmp) is down [first-signal]
    01:12:00 .0 + major Up: Disk / on bridge-pc is 95 % full
    01:12:00 .1 #1 open major joined [neighbour] ups powers bridge-pc; raised 3 min after "Target ups (job snmp) is down". | The two assets are only joined by the declared topology; nothing measured shows that one troubles the other.
    01:14:30 .0 + minor Up: Disk / on bridge-pc will be full in 28m 7s
    01:14:30 .1 #1 open major joined [same-asset] Same asset bridge-pc, raised 2 min after "Disk / on bridge-pc is 95 % full". | 
    01:15:00 .0 #1 acknowledged major acknowledged
    01:17:30 .0 + info Down: Free disk space (/dev/sda1, ext4, /) on bridge-pc: 4.7 GiB, usually 26.8 GiB
    01:17:30 .1 #1 acknowledged major joined [same-asset] Same asset bridge-pc, raised 2 min after "Disk / on bridge-pc will be full in 28m 7s". | It is of severity info and may have nothing to do with the incident.
    01:19:45 .0 - the condition of DiskFilling no longer holds
    01:27:00 .0 + minor Up: Process yes on bridge-pc is burning 1.0 cores
    01:27:00 .1 #1 acknowledged major joined [same-asset] Same asset bridge-pc, raised 12 min after "Disk / on bridge-pc will be full in 28m 7s". | node_filesystem_avail_bytes and namedprocess_namegroup_cpu_seconds_total are different metrics and may have separate causes.
    01:27:30 .0 + minor Up: Temperature (rack) on bridge-pc: 31.8 °C, usually 22.3 °C
    01:27:30 .1 #1 acknowledged major joined [same-asset] Same asset bridge-pc, raised 25 s after "Process yes on bridge-pc is burning 1.0 cores". | namedprocess_namegroup_cpu_seconds_total and rack_temperature_celsius are different metrics and may have separate causes.
    01:27:30 .2 + info Up: Cpu use (yes, user) on bridge-pc: 1.00 cores, usually 0.00 cores
    01:27:30 .3 #1 acknowledged major joined [same-asset] Same asset bridge-pc, raised at the same time as "Temperature (rack) on bridge-pc: 31.8 °C, usually 22.3 °C". | It is of severity info and may have nothing to do with the incident.
    01:30:45 .0 + info Up: Load on bridge-pc: 30.60, usually 0.50
    01:30:45 .1 #1 acknowledged major joined [same-asset] Same asset bridge-pc, raised 3 min after "Temperature (rack) on bridge-pc: 31.8 °C, usually 22.3 °C". | It is of severity info and may have nothing to do with the incident.
    01:34:45 .0 + major None: ups is silent: no metrics of ups (job snmp) for 5 min
    01:34:45 .1 #1 acknowledged major joined [same-asset] Same asset ups, raised 7 min after "Temperature (rack) on bridge-pc: 31.8 °C, usually 22.3 °C". | rack_temperature_celsius and snmp are different metrics and may have separate causes.
    01:34:45 .2 - the condition of TargetDown no longer holds
    01:40:00 .0 - the condition of DiskAlmostFull no longer holds
    01:45:15 .0 - the level has been back in its usual range for 3 min
    02:21:00 .0 - the condition of ProcessBurningCpu no longer holds
    02:26:45 .0 + minor Up: Process yes on bridge-pc is burning 1.0 cores
    02:26:45 .1 #1 acknowledged major joined [same-asset] The same signal belonged to this incident before. |
    "#);
}

fn replay(engine: &mut Engine, records: &[IntakeRecord]) -> Vec<Fact> {
    records.iter().flat_map(|record| engine.step(record)).collect()
}

#[test]
fn a_replay_gives_the_same_facts_and_the_same_state_byte_for_byte() {
    let ship = eventful();
    let mut again = Engine::new(EngineOptions::default());
    let facts = replay(&mut again, &ship.records);
    assert_eq!(serde_json::to_string(&facts).unwrap(), serde_json::to_string(&ship.facts).unwrap());
    assert_eq!(again.save(), ship.engine.save());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn cutting_the_stream_anywhere_with_save_and_load_changes_nothing(cuts in prop::collection::vec(0.0_f64..1.0, 1..4)) {
        let ship = eventful();
        let mut places: Vec<usize> = cuts.iter().map(|cut| (cut * ship.records.len() as f64) as usize).collect();
        places.push(ship.records.len());
        places.sort_unstable();
        let (mut engine, mut facts, mut from) = (Engine::new(EngineOptions::default()), Vec::new(), 0);
        for place in places {
            facts.extend(replay(&mut engine, &ship.records[from..place]));
            from = place;
            engine = Engine::load(&engine.save(), EngineOptions::default()).unwrap();
        }
        prop_assert_eq!(&facts, &ship.facts);
        prop_assert_eq!(engine.save(), ship.engine.save());
    }

    #[test]
    fn the_order_of_series_within_a_record_changes_no_signal(shift in 0_usize..7) {
        let ship = eventful();
        let mut turned = ship.records.clone();
        for record in &mut turned {
            if let Body::Samples(series) = &mut record.body {
                let by = shift % series.len();
                *series = series[by..].iter().chain(&series[..by]).cloned().collect();
            }
        }
        let ids = |facts: &[Fact]| {
            let raised = facts.iter().filter_map(|fact| match &fact.body {
                FactBody::SignalRaised { signal } => Some(signal.id.clone()),
                _ => None,
            });
            raised.collect::<BTreeSet<_>>()
        };
        let mut engine = Engine::new(EngineOptions::default());
        prop_assert_eq!(ids(&replay(&mut engine, &turned)), ids(&ship.facts));
    }
}

#[test]
fn facts_are_numbered_from_zero_within_their_record_and_stay_finite_as_json() {
    let ship = eventful();
    let mut last = (Seq(0), 0);
    for fact in &ship.facts {
        let expected = if fact.input == last.0 { last.1 + 1 } else { 0 };
        assert_eq!(fact.ordinal, expected);
        last = (fact.input, fact.ordinal);
        let text = serde_json::to_string(fact).unwrap();
        serde_json::from_str::<Fact>(&text).unwrap();
    }
    assert!(START < ship.now);
}
