use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::testing::{NOW, context, series_text};

/// A small machine as a tree of files.
fn machine() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let files = [
        ("proc/stat", "cpu  100 0 50 800 5 0 1 0 0 0\ncpu0 100 0 50 800 5 0 1 0 0 0\nintr 5\nbtime 1780300000\n"),
        ("proc/loadavg", "0.50 0.25 0.10 1/200 812\n"),
        (
            "proc/meminfo",
            "MemTotal:        4000000 kB\nMemFree:          100 kB\nMemAvailable:    3000000 kB\nSwapTotal: 0 kB\nHugePages_Total: 3\n",
        ),
        (
            "proc/diskstats",
            "   8       0 sda 10 1 20 30 40 5 60 70 0 80 90\n   8       1 sda1 1 1 1 1 1 1 1 1 1 1 1\n   7       0 loop0 1 1 1 1 1 1 1 1 1 1 1\n",
        ),
        (
            "proc/net/dev",
            "Inter-|   Receive  |  Transmit\n face |bytes packets\n  eth0: 1000 10 1 2 0 0 0 0 2000 20 3 4 0 0 0 0\nvethab:1 1 1 1 0 0 0 0 1 1 1 1 0 0 0 0\n",
        ),
        (
            "proc/pressure/cpu",
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
        ),
        (
            "proc/pressure/io",
            "some avg10=0.00 avg60=0.00 avg300=0.00 total=2500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=500000\n",
        ),
        ("proc/sys/kernel/hostname", "bridge-pc\n"),
        ("proc/sys/kernel/ostype", "Linux\n"),
        ("proc/self/mountinfo", ""),
        ("proc/7/stat", "7 (gyro) S 1 7 7 0 -1 4194304 0 0 0 0 150 50 0 0 20 0 1 0 900 0 3 0\n"),
        ("proc/7/cgroup", "0::/system.slice/gyro-feed.service\n"),
        ("sys/class/net/eth0/operstate", "up\n"),
        ("sys/class/net/eth1/operstate", "down\n"),
        ("sys/class/hwmon/hwmon0/name", "k10temp\n"),
        ("sys/class/hwmon/hwmon0/temp1_input", "43250\n"),
        ("sys/class/hwmon/hwmon0/fan1_input", "900\n"),
    ];
    for (name, text) in files {
        write(&folder.path().join(name), text);
    }
    folder
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn settings(root: &Path) -> HostSettings {
    HostSettings {
        proc: root.join("proc"),
        sys: root.join("sys"),
        run: root.join("run"),
        services: vec!["ais.service".to_owned()],
        ..HostSettings::new("bridge-pc")
    }
}

/// The series of a round without those that depend on the machine under test.
fn shown(series: &[SeriesSamples]) -> String {
    let fixed: Vec<_> = series
        .iter()
        .filter(|one| !["node_uname_info", "namedprocess_namegroup_memory_bytes"].contains(&one.series.labels.name()))
        .cloned()
        .collect();
    series_text(&fixed)
        .replace(r#", instance="bridge-pc", job="host""#, "")
        .replace(r#"{instance="bridge-pc", job="host"}"#, "")
        .replace(r#"{instance="bridge-pc", job="host", "#, "{")
}

#[tokio::test]
async fn everything_of_a_round_is_described() {
    let folder = machine();
    let (context, intake) = context("host");
    Host::new(settings(folder.path())).round(&context, &CancellationToken::new()).await;
    let described: std::collections::BTreeMap<&str, _> = metadata().collect();
    for one in intake.series() {
        assert!(described.contains_key(one.series.labels.name()), "{}", one.series.labels);
    }
    assert_eq!(described["node_cpu_seconds_total"].kind, "counter");
}

#[tokio::test]
async fn a_round_is_one_record_with_node_exporter_s_names() {
    let folder = machine();
    let (context, intake) = context("host");
    Host::new(settings(folder.path())).round(&context, &CancellationToken::new()).await;
    assert_eq!(intake.records().len(), 1);
    insta::assert_snapshot!(shown(&intake.series()), @r#"
    namedprocess_namegroup_cpu_seconds_total{groupname="ais", mode="system"} 0@0
    namedprocess_namegroup_cpu_seconds_total{groupname="ais", mode="user"} 0@0
    namedprocess_namegroup_cpu_seconds_total{groupname="gyro-feed", mode="system"} 0.5@0
    namedprocess_namegroup_cpu_seconds_total{groupname="gyro-feed", mode="user"} 1.5@0
    namedprocess_namegroup_num_procs{groupname="ais"} 0@0
    namedprocess_namegroup_num_procs{groupname="gyro-feed"} 1@0
    node_boot_time_seconds 1780300000@0
    node_cpu_seconds_total{cpu="0", mode="idle"} 8@0
    node_cpu_seconds_total{cpu="0", mode="iowait"} 0.05@0
    node_cpu_seconds_total{cpu="0", mode="irq"} 0@0
    node_cpu_seconds_total{cpu="0", mode="nice"} 0@0
    node_cpu_seconds_total{cpu="0", mode="softirq"} 0.01@0
    node_cpu_seconds_total{cpu="0", mode="steal"} 0@0
    node_cpu_seconds_total{cpu="0", mode="system"} 0.5@0
    node_cpu_seconds_total{cpu="0", mode="user"} 1@0
    node_disk_io_time_seconds_total{device="sda"} 0.08@0
    node_disk_read_bytes_total{device="sda"} 10240@0
    node_disk_reads_completed_total{device="sda"} 10@0
    node_disk_writes_completed_total{device="sda"} 40@0
    node_disk_written_bytes_total{device="sda"} 30720@0
    node_hwmon_temp_celsius{chip="k10temp", sensor="temp1"} 43.25@0
    node_load15 0.1@0
    node_load1 0.5@0
    node_load5 0.25@0
    node_memory_MemAvailable_bytes 3072000000@0
    node_memory_MemFree_bytes 102400@0
    node_memory_MemTotal_bytes 4096000000@0
    node_memory_SwapTotal_bytes 0@0
    node_network_receive_bytes_total{device="eth0"} 1000@0
    node_network_receive_drop_total{device="eth0"} 2@0
    node_network_receive_errs_total{device="eth0"} 1@0
    node_network_receive_packets_total{device="eth0"} 10@0
    node_network_transmit_bytes_total{device="eth0"} 2000@0
    node_network_transmit_drop_total{device="eth0"} 4@0
    node_network_transmit_errs_total{device="eth0"} 3@0
    node_network_transmit_packets_total{device="eth0"} 20@0
    node_network_up{device="eth0"} 1@0
    node_network_up{device="eth1"} 0@0
    node_pressure_cpu_waiting_seconds_total 1.5@0
    node_pressure_io_stalled_seconds_total 0.5@0
    node_pressure_io_waiting_seconds_total 2.5@0
    node_time_seconds 1780315200@0
    up 1@0
    "#);
    let series = intake.series();
    assert!(series.iter().all(|one| one.series.asset.as_str() == "bridge-pc"));
    let uname = series.iter().find(|one| one.series.labels.name() == "node_uname_info").unwrap();
    assert_eq!(
        (uname.series.labels.get("nodename"), uname.series.labels.get("sysname")),
        (Some("bridge-pc"), Some("Linux"))
    );
}

#[tokio::test]
async fn what_goes_away_gets_a_stale_marker() {
    let folder = machine();
    let (context, intake) = context("host");
    let mut host = Host::new(settings(folder.path()));
    host.round(&context, &CancellationToken::new()).await;
    fs::remove_dir_all(folder.path().join("sys/class/net/eth1")).unwrap();
    host.round(&context, &CancellationToken::new()).await;
    let second = intake.records().remove(1);
    let Body::Samples(series) = second.body else { panic!("samples are expected") };
    let stale: Vec<String> =
        series.iter().filter(|one| one.samples[0].is_stale()).map(|one| one.series.labels.to_string()).collect();
    assert_eq!(stale, [r#"node_network_up{device="eth1", instance="bridge-pc", job="host"}"#]);
}

#[tokio::test]
async fn a_round_that_the_log_never_takes_is_counted_and_leaves_nothing_to_mark() {
    let folder = machine();
    let (context, intake) = context("host");
    let mut host = Host::new(settings(folder.path()));
    intake.fail_next([crate::Refused::TooLarge { bytes: 17 << 20 }]);
    host.round(&context, &CancellationToken::new()).await;
    fs::remove_dir_all(folder.path().join("sys/class/net/eth1")).unwrap();
    host.round(&context, &CancellationToken::new()).await;
    let stats = context.stats.snapshot();
    assert_eq!((intake.offered(), intake.records().len(), stats.lost.len()), (2, 1, 0));
    assert_eq!(stats.rejected[crate::delivery::TOO_LARGE].count + stats.accepted, stats.received);
    assert!(intake.series().iter().all(|one| !one.samples[0].is_stale()));
}

#[tokio::test]
async fn missing_files_are_counted_and_do_not_stop_the_round() {
    let folder = tempfile::tempdir().unwrap();
    let (context, intake) = context("host");
    Host::new(settings(folder.path())).round(&context, &CancellationToken::new()).await;
    let flagged = context.stats.snapshot().flagged;
    for what in ["could not read /proc/stat", "could not read /proc/meminfo", "could not list processes"] {
        assert_eq!(flagged[what].count, 1, "{what}");
    }
    let up = intake.series().into_iter().find(|one| one.series.labels.name() == "up").unwrap();
    assert_eq!(up.samples[0], Sample::new(NOW, 0.0));
}

#[tokio::test]
async fn rounds_come_by_themselves_until_cancelled() {
    let folder = machine();
    let (context, intake) = context("host");
    let cancel = CancellationToken::new();
    let settings = HostSettings { interval: Duration::from_millis(10), ..settings(folder.path()) };
    let task = tokio::spawn(run(context, settings, cancel.clone()));
    intake.until(|intake| intake.records().len() >= 3).await;
    cancel.cancel();
    task.await.unwrap();
}

#[tokio::test]
async fn this_very_machine_has_processors_memory_and_a_root() {
    let (context, intake) = context("host");
    let settings = HostSettings { interval: Duration::from_secs(60), ..HostSettings::new("bridge-pc") };
    Host::new(settings).round(&context, &CancellationToken::new()).await;
    let series = intake.series();
    for name in [
        "node_cpu_seconds_total",
        "node_memory_MemAvailable_bytes",
        "node_load1",
        "node_boot_time_seconds",
        "namedprocess_namegroup_num_procs",
        "up",
    ] {
        assert!(series.iter().any(|one| one.series.labels.name() == name), "{name}");
    }
}

#[test]
fn names_and_addresses_of_the_machine_are_read() {
    let folder = machine();
    let proc = folder.path().join("proc");
    write(
        &proc.join("net/fib_trie"),
        "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 10.0.0.2\n        /32 host LOCAL\n     |-- 10.0.0.255\n        /32 link BROADCAST\n     |-- 127.0.0.1\n        /32 host LOCAL\n",
    );
    write(
        &proc.join("net/if_inet6"),
        "fd000000000000000000000000000002 02 40 00 80     eth0\nfe800000000000000000000000000001 02 40 20 80     eth0\n00000000000000000000000000000001 01 80 10 80       lo\n",
    );
    let found: Vec<String> = addresses(&proc).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["10.0.0.2", "fd00::2"]);
    assert_eq!(host_name(&proc), "bridge-pc");
    assert_eq!(host_name(folder.path()), "localhost");
}
