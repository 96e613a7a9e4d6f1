//! Which targets a ship has, and which series each of them.

use std::sync::Arc;

use wk_types::labels::METRIC_NAME;
use wk_types::{AssetId, Labels, Series};

use super::signal::{BOUNDS, Signal};
use crate::random::Random;

/// Series of the whole mix, once.
pub const SERIES: usize = 20_000;

/// What a target is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A computer with node exporter: 250 series.
    Host,
    /// A network device asked by SNMP: 30 series.
    Device,
    /// A gateway to machinery sensors: 100 series.
    Gateway,
    /// A service with a histogram of its requests: 30 series.
    Service,
    /// A link or satellite terminal: 10 series.
    Link,
    /// Settings and inventory: 10 series.
    Inventory,
}

/// How many there are of each class among [`SERIES`].
const CLASSES: [(Class, usize); 6] = [
    (Class::Host, 40),
    (Class::Device, 100),
    (Class::Gateway, 30),
    (Class::Service, 100),
    (Class::Link, 50),
    (Class::Inventory, 50),
];

impl Class {
    const fn job(self) -> &'static str {
        match self {
            Self::Host => "node",
            Self::Device => "snmp",
            Self::Gateway => "machinery",
            Self::Service => "service",
            Self::Link => "link",
            Self::Inventory => "inventory",
        }
    }
}

/// The targets of about so many series, each class in its proportion, at least one of each.
pub fn targets(series: usize) -> impl Iterator<Item = (Class, usize)> {
    CLASSES.into_iter().flat_map(move |(class, count)| {
        let count = ((count * series + SERIES / 2) / SERIES).max(1);
        (0..count).map(move |number| (class, number))
    })
}

/// The series of one target.
pub fn series(class: Class, number: usize, generation: u32, random: &mut Random) -> Vec<(Arc<Series>, Signal)> {
    let job = class.job();
    let name = if generation == 0 { format!("{job}-{number:02}") } else { format!("{job}-{number:02}-g{generation}") };
    let zone = format!("FZ{}", 1 + number % 7);
    let mut maker = Maker { job, zone, instance: format!("{name}:9100"), asset: AssetId::from(name), made: Vec::new() };
    match class {
        Class::Host => host(&mut maker, random),
        Class::Device => device(&mut maker, number, random),
        Class::Gateway => gateway(&mut maker, random),
        Class::Service => service(&mut maker),
        Class::Link => link(&mut maker, random),
        Class::Inventory => inventory(&mut maker, random),
    }
    maker.made
}

/// Gathers a target's series.
struct Maker {
    job: &'static str,
    zone: String,
    instance: String,
    asset: AssetId,
    made: Vec<(Arc<Series>, Signal)>,
}

impl Maker {
    fn add(&mut self, name: &str, pairs: &[(&str, &str)], signal: Signal) {
        let own = [
            (METRIC_NAME, name),
            ("instance", &self.instance),
            ("job", self.job),
            ("vessel", "mv-example"),
            ("zone", &self.zone),
        ];
        let labels = Labels::new(own.into_iter().chain(pairs.iter().copied()));
        self.made.push((Arc::new(Series::new(labels, self.asset.clone())), signal));
    }
}

fn host(maker: &mut Maker, random: &mut Random) {
    processors(maker, random);
    interfaces(maker, random);
    disks(maker, random);
    file_systems(maker, random);
    memory(maker, random);
    units(maker, random);
    temperatures(maker, random);
    kernel(maker, random);
}

/// 64 series.
fn processors(maker: &mut Maker, random: &mut Random) {
    for cpu in 0..8 {
        let cpu = cpu.to_string();
        // Hundredths of a second in an interval of 1,500.
        for (mode, mean, spread) in
            [("user", 120.0, 0.35), ("system", 45.0, 0.3), ("idle", 1_290.0, 0.04), ("iowait", 6.0, 0.8)]
        {
            let signal = Signal::counter(random, mean, spread, 100.0);
            maker.add("node_cpu_seconds_total", &[("cpu", &cpu), ("mode", mode)], signal);
        }
        let softirq = Signal::counter(random, 3.0, 0.4, 100.0);
        maker.add("node_cpu_seconds_total", &[("cpu", &cpu), ("mode", "softirq")], softirq);
        for mode in ["nice", "irq", "steal"] {
            let signal = Signal::Constant(random.below(900) as f64 / 100.0);
            maker.add("node_cpu_seconds_total", &[("cpu", &cpu), ("mode", mode)], signal);
        }
    }
}

/// 32 series; the last interface is down.
fn interfaces(maker: &mut Maker, random: &mut Random) {
    for (device, share) in [("eth0", 1.0), ("eth1", 0.3), ("vlan20", 0.08), ("eth2", 0.0)] {
        for (way, packets) in [("receive", 9_000.0), ("transmit", 6_000.0)] {
            for (unit, size, spread) in [("bytes", 420.0, 0.25), ("packets", 1.0, 0.2)] {
                let name = format!("node_network_{way}_{unit}_total");
                let signal = match share {
                    0.0 => Signal::Constant(0.0),
                    _ => Signal::counter(random, packets * share * size, spread, 1.0),
                };
                maker.add(&name, &[("device", device)], signal);
            }
            let errors = Signal::Constant(random.below(4) as f64);
            maker.add(&format!("node_network_{way}_errs_total"), &[("device", device)], errors);
            let drops = if way == "receive" { Signal::seldom(random, 300) } else { Signal::Constant(0.0) };
            maker.add(&format!("node_network_{way}_drop_total"), &[("device", device)], drops);
        }
    }
}

/// 18 series; the second disk is little used.
fn disks(maker: &mut Maker, random: &mut Random) {
    for (device, share) in [("sda", 1.0), ("sdb", 0.04)] {
        for (name, mean, spread, per_unit) in [
            ("node_disk_reads_completed_total", 60.0, 0.6, 1.0),
            ("node_disk_writes_completed_total", 180.0, 0.3, 1.0),
            ("node_disk_io_time_seconds_total", 700.0, 0.4, 1_000.0),
            ("node_disk_read_time_seconds_total", 90.0, 0.6, 1_000.0),
            ("node_disk_write_time_seconds_total", 500.0, 0.4, 1_000.0),
            ("node_disk_io_time_weighted_seconds_total", 900.0, 0.4, 1_000.0),
        ] {
            maker.add(name, &[("device", device)], Signal::counter(random, mean * share, spread, per_unit));
        }
        // Whole sectors: the unit is one of 4,096 bytes.
        for (name, mean) in [("node_disk_read_bytes_total", 300.0), ("node_disk_written_bytes_total", 700.0)] {
            let signal = Signal::counter(random, mean * share, 0.5, 1.0 / 4_096.0);
            maker.add(name, &[("device", device)], signal);
        }
        let now = Signal::gauge(random, 1.0, 0.1, 1.0);
        maker.add("node_disk_io_now", &[("device", device)], now);
    }
}

/// 30 series; the first two file systems are never written to.
fn file_systems(maker: &mut Maker, random: &mut Random) {
    for (mount, blocks) in [("/boot", 0.0), ("/boot/efi", 0.0), ("/", 2e7), ("/var", 5e7), ("/srv/charts", 2e8)] {
        let pairs = [("device", "/dev/mapper/ship"), ("fstype", "ext4"), ("mountpoint", mount)];
        let size = 1e5 + blocks + random.below(1_000_000) as f64;
        maker.add("node_filesystem_size_bytes", &pairs, Signal::Constant(size * 4_096.0));
        maker.add("node_filesystem_files", &pairs, Signal::Constant((size / 4.0).round()));
        maker.add("node_filesystem_readonly", &pairs, Signal::Constant(0.0));
        for (name, part, per_unit) in [
            ("node_filesystem_avail_bytes", 0.50, 1.0 / 4_096.0),
            ("node_filesystem_free_bytes", 0.55, 1.0 / 4_096.0),
            ("node_filesystem_files_free", 0.12, 1.0),
        ] {
            let level = size * part / per_unit;
            let signal = if blocks > 0.0 {
                Signal::gauge(random, level, 12.0 / per_unit, per_unit).banded(4.0 / per_unit)
            } else {
                Signal::Constant((level * per_unit).round() / per_unit)
            };
            maker.add(name, &pairs, signal);
        }
    }
}

/// 29 series, the loads among them.
fn memory(maker: &mut Maker, random: &mut Random) {
    for name in [
        "MemTotal",
        "SwapTotal",
        "SwapFree",
        "SwapCached",
        "HugePages",
        "CommitLimit",
        "VmallocTotal",
        "Mlocked",
        "Unevictable",
    ] {
        let pages = random.below(4_000_000) as f64;
        maker.add(&format!("node_memory_{name}_bytes"), &[], Signal::Constant(pages * 4_096.0));
    }
    for (name, pages, spread) in [
        ("MemFree", 400_000.0, 300.0),
        ("MemAvailable", 1_200_000.0, 250.0),
        ("Buffers", 60_000.0, 8.0),
        ("Cached", 800_000.0, 120.0),
        ("Active", 700_000.0, 150.0),
        ("Inactive", 600_000.0, 120.0),
        ("Active_anon", 300_000.0, 150.0),
        ("Inactive_anon", 20_000.0, 30.0),
        ("Active_file", 400_000.0, 60.0),
        ("Inactive_file", 500_000.0, 80.0),
        ("AnonPages", 300_000.0, 150.0),
        ("Mapped", 90_000.0, 20.0),
        ("Shmem", 20_000.0, 2.0),
        ("Slab", 70_000.0, 15.0),
        ("SReclaimable", 50_000.0, 10.0),
        ("Dirty", 300.0, 40.0),
        ("Committed_AS", 900_000.0, 400.0),
    ] {
        let signal = Signal::gauge(random, pages * 4_096.0, spread * 4_096.0, 1.0 / 4_096.0);
        maker.add(&format!("node_memory_{name}_bytes"), &[], signal);
    }
    for (name, spread) in [("node_load1", 0.09), ("node_load5", 0.03), ("node_load15", 0.01)] {
        maker.add(name, &[], Signal::gauge(random, 1.4, spread, 100.0));
    }
}

/// 50 series.
fn units(maker: &mut Maker, random: &mut Random) {
    const STATES: [&str; 5] = ["activating", "active", "deactivating", "failed", "inactive"];
    for unit in ["cron", "dbus", "ssh", "rsyslog", "chrony", "nginx", "postfix", "ecdis-sync", "smartd", "snmpd"] {
        let held = if random.once_in(10) { "inactive" } else { "active" };
        for state in STATES {
            let pairs = [("name", &*format!("{unit}.service")), ("state", state), ("type", "simple")];
            maker.add("node_systemd_unit_state", &pairs, Signal::Constant(f64::from(u8::from(state == held))));
        }
    }
}

/// 6 series.
fn temperatures(maker: &mut Maker, random: &mut Random) {
    for (chip, sensor) in [("platform_coretemp_0", "temp1"), ("platform_coretemp_0", "temp2"), ("nvme_nvme0", "temp1")]
    {
        let signal = Signal::gauge(random, 48.0, 0.25, 1.0).banded(1.0);
        maker.add("node_hwmon_temp_celsius", &[("chip", chip), ("sensor", sensor)], signal);
    }
    let ambient = Signal::gauge(random, 31.0, 0.05, 8.0);
    maker.add("node_hwmon_temp_celsius", &[("chip", "pci0000:00"), ("sensor", "temp1")], ambient);
    for sensor in ["temp1", "temp2"] {
        let pairs = [("chip", "platform_coretemp_0"), ("sensor", sensor)];
        maker.add("node_hwmon_temp_crit_celsius", &pairs, Signal::Constant(100.0));
    }
}

/// 21 series.
fn kernel(maker: &mut Maker, random: &mut Random) {
    for (name, mean, spread) in [
        ("node_context_switches_total", 22_000.0, 0.15),
        ("node_intr_total", 14_000.0, 0.15),
        ("node_forks_total", 25.0, 0.4),
        ("node_vmstat_pgpgin_total", 900.0, 0.6),
        ("node_vmstat_pgpgout_total", 3_000.0, 0.4),
        ("node_vmstat_pgfault_total", 9_000.0, 0.3),
        ("node_netstat_Tcp_InSegs_total", 5_000.0, 0.2),
        ("node_netstat_Tcp_OutSegs_total", 4_500.0, 0.2),
        ("node_netstat_Udp_InDatagrams_total", 400.0, 0.2),
        ("node_netstat_Udp_OutDatagrams_total", 300.0, 0.2),
    ] {
        maker.add(name, &[], Signal::counter(random, mean, spread, 1.0));
    }
    for (name, one_in) in [("node_vmstat_pgmajfault_total", 10), ("node_netstat_Tcp_RetransSegs_total", 6)] {
        maker.add(name, &[], Signal::seldom(random, one_in));
    }
    for (name, level, spread) in [("node_procs_running", 2.0, 0.3), ("node_sockstat_sockets_used", 300.0, 1.5)] {
        maker.add(name, &[], Signal::gauge(random, level, spread, 1.0));
    }
    for name in ["node_vmstat_oom_kill_total", "node_vmstat_pswpin_total", "node_vmstat_pswpout_total"] {
        maker.add(name, &[], Signal::Constant(random.below(3) as f64));
    }
    for name in ["node_netstat_Icmp_InErrors_total", "node_netstat_Ip_Forwarding"] {
        maker.add(name, &[], Signal::Constant(random.below(3) as f64));
    }
    maker.add("node_boot_time_seconds", &[], Signal::Constant(1_780_000_000.0 + random.below(9_000_000) as f64));
    maker.add("node_uname_info", &[("machine", "x86_64"), ("sysname", "Linux")], Signal::Constant(1.0));
}

/// 30 series; the last of six ports is down. Errors are seen on one port, on every second device on two.
fn device(maker: &mut Maker, number: usize, random: &mut Random) {
    let noisy_ports = if number.is_multiple_of(2) { 2 } else { 1 };
    for port in 1..=6 {
        let pairs = [("ifDescr", &*format!("GigabitEthernet0/{port}")), ("ifIndex", &*port.to_string())];
        for (name, octets) in [("ifHCInOctets", 2.2e6), ("ifHCOutOctets", 3.1e6)] {
            let up = if port < 6 { Signal::counter(random, octets, 0.2, 1.0) } else { Signal::Constant(0.0) };
            maker.add(name, &pairs, up);
        }
        let errors =
            if port <= noisy_ports { Signal::seldom(random, 200) } else { Signal::Constant(random.below(50) as f64) };
        maker.add("ifInErrors", &pairs, errors);
        maker.add("ifOperStatus", &pairs, Signal::Constant(if port < 6 { 1.0 } else { 2.0 }));
        maker.add("ifHighSpeed", &pairs, Signal::Constant(1_000.0));
    }
}

/// 100 series, every second one with a dead band.
fn gateway(maker: &mut Maker, random: &mut Random) {
    const KINDS: [(&str, f64, f64, f64); 5] = [
        ("celsius", 84.0, 0.25, 10.0),
        ("bar", 6.2, 0.01, 100.0),
        ("rpm", 720.0, 2.5, 1.0),
        ("percent", 62.0, 0.08, 10.0),
        ("mm_per_s", 3.1, 0.02, 1_000.0),
    ];
    for channel in 0..100 {
        let (unit, level, spread, per_unit) = KINDS[channel / 2 % KINDS.len()];
        let signal = Signal::gauge(random, level, spread, per_unit);
        let signal = if channel % 2 == 0 { signal } else { signal.banded(6.0 * spread) };
        let channel = format!("ME1.{channel:03}");
        maker.add("sensor_value", &[("channel", &channel), ("unit", unit)], signal);
    }
}

/// 30 series.
fn service(maker: &mut Maker) {
    for (number, bound) in BOUNDS.iter().enumerate() {
        maker.add("http_request_duration_seconds_bucket", &[("le", bound)], Signal::Bucket(number));
    }
    maker.add("http_request_duration_seconds_count", &[], Signal::RequestCount);
    maker.add("http_request_duration_seconds_sum", &[], Signal::RequestSum);
}

/// 10 series.
fn link(maker: &mut Maker, random: &mut Random) {
    for (name, mean) in [("link_receive_bytes_total", 900_000.0), ("link_transmit_bytes_total", 250_000.0)] {
        maker.add(name, &[], Signal::counter(random, mean, 0.4, 1.0));
    }
    for (name, level, spread, per_unit) in [
        ("link_snr_db", 9.0, 0.12, 10.0),
        ("link_latency_ms", 600.0, 6.0, 1.0),
        ("link_loss_percent", 0.6, 0.05, 10.0),
        ("link_signal_dbm", -71.0, 0.5, 1.0),
        ("link_azimuth_degrees", 180.0, 0.3, 10.0),
        ("link_elevation_degrees", 38.0, 0.05, 10.0),
    ] {
        maker.add(name, &[], Signal::gauge(random, level, spread, per_unit));
    }
    maker.add("link_handovers_total", &[], Signal::seldom(random, 40));
    maker.add("link_outages_total", &[], Signal::seldom(random, 240));
}

/// 10 series.
fn inventory(maker: &mut Maker, random: &mut Random) {
    for name in ["warn", "limit", "trip", "spare", "rated"] {
        maker.add("asset_threshold", &[("kind", name)], Signal::Constant(random.below(10_000) as f64 / 10.0));
    }
    for name in ["firmware", "serial", "location", "contract", "owner"] {
        maker.add("asset_info", &[("field", name)], Signal::Constant(1.0));
    }
}
