//! What a plain test machine does not have, sent by remote write under the label `simulated="yes"`: probes of links, a
//! dish, switches by SNMP, and, where this machine lacks them, sensors, units and the like.

use std::time::Duration;

use serde_json::Value;

use crate::harness::{Read, until};
use crate::remote_write::{self, now_ms};

/// How far back the simulated samples reach, and how far apart they are.
const SAMPLES: i64 = 21;
const STEP_MS: i64 = 15_000;

/// How a simulated value runs.
#[derive(Clone, Copy)]
enum Course {
    /// Stays.
    Flat(f64),
    /// Swings around a value by a tenth of it, with a period of some minutes.
    Swing(f64),
    /// Grows by so much a second.
    Grows(f64),
}

impl Course {
    fn at(self, sample: i64) -> f64 {
        match self {
            Self::Flat(value) => value,
            Self::Swing(value) => value * (1.0 + 0.1 * (sample as f64 / 3.0).sin()),
            Self::Grows(pace) => 1_000.0 + pace * (sample * STEP_MS) as f64 / 1_000.0,
        }
    }
}

type Simulated = (Vec<(String, String)>, Course);

fn series(name: &str, labels: &[(&str, &str)], course: Course) -> Simulated {
    let mut all: Vec<(String, String)> = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    all.push(("__name__".into(), name.into()));
    all.push(("simulated".into(), "yes".into()));
    all.sort();
    (all, course)
}

/// Sends everything and waits until it can be asked for.
pub fn send(read: &Read) {
    let mut all = links();
    all.extend(switches());
    all.extend(lacking(read));
    let last = now_ms();
    let labels: Vec<Vec<(&str, &str)>> = all
        .iter()
        .map(|(labels, _)| labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect())
        .collect();
    let samples: Vec<Vec<(f64, i64)>> = all
        .iter()
        .map(|(_, course)| (0..SAMPLES).map(|at| (course.at(at), last - (SAMPLES - 1 - at) * STEP_MS)).collect())
        .collect();
    let series: Vec<remote_write::Series<'_>> =
        labels.iter().zip(&samples).map(|(labels, samples)| (&labels[..], &samples[..])).collect();
    let response = read.node.request("POST", "/api/v1/write").body(remote_write::body(&series)).send().unwrap();
    assert_eq!(response.status().as_u16(), 204);
    until(Duration::from_secs(20), "what is simulated is stored", || {
        let stored = read.get("/api/v1/query?query=count({simulated=\"yes\"})");
        (stored["data"]["result"][0]["value"][1].as_str()? == all.len().to_string()).then_some(())
    });
}

fn links() -> Vec<Simulated> {
    let mut all = Vec::new();
    for (instance, round_trip) in [("vsat-gateway.example", 0.62), ("lte-gateway.example", 0.045)] {
        let labels = [("job", "blackbox"), ("instance", instance)];
        all.push(series("probe_success", &labels, Course::Flat(1.0)));
        let labels = [labels[0], labels[1], ("phase", "rtt")];
        all.push(series("probe_icmp_duration_seconds", &labels, Course::Swing(round_trip)));
    }
    let dish = [("job", "starlink"), ("instance", "dish.example:9817")];
    for (name, value) in [
        ("starlink_dish_downlink_throughput_bytes", 4e6),
        ("starlink_dish_uplink_throughput_bytes", 5e5),
        ("starlink_dish_pop_ping_latency_seconds", 0.04),
        ("starlink_dish_pop_ping_drop_ratio", 0.01),
        ("starlink_dish_fraction_obstruction_ratio", 0.02),
    ] {
        all.push(series(name, &dish, Course::Swing(value)));
    }
    all
}

fn switches() -> Vec<Simulated> {
    let mut all =
        vec![series("sysUpTime", &[("job", "snmp"), ("instance", "core-switch.example")], Course::Grows(100.0))];
    for (port, state) in [("gi1/0/1", 1.0), ("gi1/0/2", 2.0)] {
        let labels = [("job", "snmp"), ("instance", "core-switch.example"), ("ifName", port)];
        all.push(series("ifOperStatus", &labels, Course::Flat(state)));
        all.push(series("ifAdminStatus", &labels, Course::Flat(1.0)));
        all.push(series("ifHighSpeed", &labels, Course::Flat(1_000.0)));
        for (name, pace) in [
            ("ifHCInOctets", 2e6),
            ("ifHCOutOctets", 1e6),
            ("ifInErrors", 0.1),
            ("ifOutErrors", 0.0),
            ("ifInDiscards", 0.2),
            ("ifOutDiscards", 0.0),
        ] {
            all.push(series(name, &labels, Course::Grows(pace)));
        }
    }
    all
}

/// Name, labels beside those of the host, and course.
type Lacked = (&'static str, &'static [(&'static str, &'static str)], Course);

/// Metrics of a host that this machine, or the box the test runs in, may lack.
fn lacking(read: &Read) -> Vec<Simulated> {
    let ask = |query: &str| -> Value {
        let form = form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        read.get(&format!("/api/v1/query?{form}"))["data"]["result"].clone()
    };
    let host = ask("node_uname_info")[0]["metric"]["instance"].as_str().unwrap().to_owned();
    let own = |labels: &[(&'static str, &'static str)]| -> Vec<(&'static str, String)> {
        let mut all: Vec<(&'static str, String)> =
            labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        all.extend([("job", "host".to_owned()), ("instance", host.clone())]);
        all
    };
    let disk: &'static [(&str, &str)] = &[("device", "sda")];
    let port: &'static [(&str, &str)] = &[("device", "eth0")];
    let wanted: [Lacked; 20] = [
        ("node_hwmon_temp_celsius", &[("chip", "k10temp"), ("sensor", "temp1")], Course::Swing(45.0)),
        ("node_systemd_unit_state", &[("name", "chrony.service"), ("state", "failed")], Course::Flat(0.0)),
        ("node_disk_read_bytes_total", disk, Course::Grows(1e5)),
        ("node_disk_written_bytes_total", disk, Course::Grows(2e5)),
        ("node_disk_io_time_seconds_total", disk, Course::Grows(0.1)),
        ("node_network_receive_bytes_total", port, Course::Grows(1e5)),
        ("node_network_transmit_bytes_total", port, Course::Grows(1e5)),
        ("node_network_receive_errs_total", port, Course::Grows(0.0)),
        ("node_network_transmit_errs_total", port, Course::Grows(0.0)),
        ("node_network_receive_drop_total", port, Course::Grows(0.0)),
        ("node_network_transmit_drop_total", port, Course::Grows(0.0)),
        ("node_pressure_cpu_waiting_seconds_total", &[], Course::Grows(0.01)),
        ("node_pressure_memory_waiting_seconds_total", &[], Course::Grows(0.01)),
        ("node_pressure_io_waiting_seconds_total", &[], Course::Grows(0.01)),
        (
            "node_filesystem_avail_bytes",
            &[("mountpoint", "/"), ("fstype", "ext4"), ("device", "/dev/sda1")],
            Course::Flat(5e9),
        ),
        (
            "node_filesystem_size_bytes",
            &[("mountpoint", "/"), ("fstype", "ext4"), ("device", "/dev/sda1")],
            Course::Flat(2e10),
        ),
        ("node_memory_SwapTotal_bytes", &[], Course::Flat(1e9)),
        ("node_memory_SwapFree_bytes", &[], Course::Flat(1e9)),
        ("namedprocess_namegroup_cpu_seconds_total", &[("groupname", "ais"), ("mode", "user")], Course::Grows(0.1)),
        ("namedprocess_namegroup_memory_bytes", &[("groupname", "ais"), ("memtype", "resident")], Course::Swing(3e7)),
    ];
    let mut all = Vec::new();
    for (name, labels, course) in wanted {
        if ask(&format!("{name}{{device!=\"lo\"}}")).as_array().is_some_and(Vec::is_empty) {
            eprintln!("{name} is simulated, this machine has none");
            let labels = own(labels);
            let labels: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
            all.push(series(name, &labels, course));
        }
    }
    all
}
