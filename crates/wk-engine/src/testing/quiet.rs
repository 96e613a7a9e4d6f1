//! A simulated quiet machine: some 1,500 host series, autocorrelated, with scheduled jobs. SIMULATED, not recorded.
//!
//! One demand for the cpu drives counters, load and temperatures, so that series move together as on a real host. The
//! demand is an autoregressive process around a low mean; every 5 minutes, every hour and once in the night a job adds
//! to it, with disk and network traffic of its own.

use super::{Point, point};

const HOST: [(&str, &str); 2] = [("job", "host"), ("instance", "quiet-pc")];
const STEP: f64 = 15.0;
const CORES: usize = 4;

/// SplitMix64: a seeded generator, so that the machine is the same in every run.
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

/// An autoregressive process of order one around a mean.
struct Walk {
    mean: f64,
    spread: f64,
    memory: f64,
    away: f64,
}

impl Walk {
    fn new(mean: f64, spread: f64, memory: f64) -> Self {
        Self { mean, spread, memory, away: 0.0 }
    }

    fn step(&mut self, random: &mut Random) -> f64 {
        let shock = (1.0 - self.memory * self.memory).sqrt() * self.spread;
        self.away = self.memory * self.away + shock * random.normal();
        (self.mean + self.away).max(0.0)
    }
}

pub(crate) struct Machine {
    random: Random,
    seconds: f64,
    demand: Walk,
    memory: Walk,
    traffic: Vec<Walk>,
    groups: Vec<Walk>,
    noise: Vec<Walk>,
    counters: std::collections::BTreeMap<String, f64>,
    loads: [f64; 3],
    heat: f64,
    written: f64,
}

fn during(seconds: f64, every: f64, from: f64, length: f64) -> bool {
    (from..from + length).contains(&(seconds % every))
}

impl Machine {
    pub(crate) fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let walk = |random: &mut Random, mean: f64| Walk::new(mean * (0.5 + random.uniform()), mean * 0.6, 0.97);
        let traffic = (0..6).map(|_| walk(&mut random, 40_000.0)).collect();
        let groups = (0..60).map(|_| walk(&mut random, 0.004)).collect();
        let noise = (0..620).map(|_| walk(&mut random, 50.0)).collect();
        Self {
            random,
            seconds: 0.0,
            demand: Walk::new(0.25, 0.15, 0.98),
            memory: Walk::new(5.2e9, 1.5e8, 0.999),
            traffic,
            groups,
            noise,
            counters: std::collections::BTreeMap::new(),
            loads: [0.3; 3],
            heat: 44.0,
            written: 0.0,
        }
    }

    fn count(&mut self, name: &str, extra: &[(&str, &str)], by: f64) -> Point {
        let labels: Vec<(&str, &str)> = HOST.iter().chain(extra).copied().collect();
        let point = point(name, &labels, 0.0);
        let total = self.counters.entry(point.0.to_string()).or_insert(0.0);
        *total += by.max(0.0);
        (point.0, *total)
    }

    /// The values 15 s on.
    pub(crate) fn step(&mut self) -> Vec<Point> {
        self.seconds += STEP;
        let often = during(self.seconds, 300.0, 0.0, 30.0);
        let hourly = during(self.seconds, 3_600.0, 1_020.0, 180.0);
        let nightly = during(self.seconds, 86_400.0, 10_800.0, 1_500.0);
        let backup = if nightly { 1.8 } else { 0.0 };
        let jobs = if often { 0.4 } else { 0.0 } + if hourly { 1.1 } else { 0.0 } + backup;
        let busy = (self.demand.step(&mut self.random) + jobs).min(CORES as f64 * 0.98);
        let mut points = self.cpu(busy);
        points.extend(self.memory_and_disks(nightly));
        points.extend(self.network(nightly));
        points.extend(self.processes(backup, hourly));
        points.extend(self.units_and_noise());
        points
    }

    fn cpu(&mut self, busy: f64) -> Vec<Point> {
        let mut points = Vec::new();
        for core in 0..CORES {
            let core = core.to_string();
            for (mode, share) in [("user", 0.6), ("system", 0.25), ("iowait", 0.05), ("irq", 0.02), ("softirq", 0.05)] {
                let used = busy / CORES as f64 * share * STEP;
                points.push(self.count("node_cpu_seconds_total", &[("cpu", &core), ("mode", mode)], used));
            }
            let idle = (1.0 - busy / CORES as f64) * STEP;
            points.push(self.count("node_cpu_seconds_total", &[("cpu", &core), ("mode", "idle")], idle));
        }
        for (load, minutes) in self.loads.iter_mut().zip([1.0, 5.0, 15.0]) {
            let kept = (-STEP / (60.0 * minutes)).exp();
            *load = *load * kept + busy * (1.0 - kept);
        }
        for (name, load) in ["node_load1", "node_load5", "node_load15"].into_iter().zip(self.loads) {
            points.push(point(name, &HOST, (load * 100.0).round() / 100.0));
        }
        self.heat += (40.0 + 9.0 * busy - self.heat) * 0.08;
        for sensor in 0..10 {
            let labels = [HOST[0], HOST[1], ("chip", "coretemp"), ("sensor", &format!("temp{sensor}"))];
            let value = (self.heat + f64::from(sensor) * 0.7 + self.random.normal()).round();
            points.push(point("node_hwmon_temp_celsius", &labels, value));
        }
        let waiting = busy * 0.02 * STEP;
        points.push(self.count("node_pressure_cpu_waiting_seconds_total", &[], waiting));
        points.push(self.count("node_pressure_memory_stalled_seconds_total", &[], 0.0));
        points
    }

    fn memory_and_disks(&mut self, nightly: bool) -> Vec<Point> {
        let available = self.memory.step(&mut self.random) - if nightly { 1.4e9 } else { 0.0 };
        let mut points = vec![
            point("node_memory_MemTotal_bytes", &HOST, 8.2e9),
            point("node_memory_MemAvailable_bytes", &HOST, available),
        ];
        self.written += 2e4 * self.random.uniform() + if nightly { 3e6 } else { 0.0 };
        for (disk, size, full) in
            [("sda1", 2.4e11, 0.71), ("sda2", 1e9, 0.31), ("sdb1", 2e12, 0.83), ("loop0", 1e8, 1.0)]
        {
            let (fstype, mount) = if disk == "loop0" { ("squashfs", "/snap/x") } else { ("ext4", disk) };
            let labels = [HOST[0], HOST[1], ("device", disk), ("fstype", fstype), ("mountpoint", mount)];
            let avail = size * (1.0 - full) - if disk == "sda1" { self.written * 15.0 } else { 0.0 };
            points.push(point("node_filesystem_avail_bytes", &labels, avail.max(0.0)));
            points.push(point("node_filesystem_size_bytes", &labels, size));
            points.push(point("node_filesystem_files", &labels, 1e7));
            points.push(point("node_filesystem_files_free", &labels, if full >= 1.0 { 0.0 } else { 9e6 }));
            points.push(point("node_filesystem_readonly", &labels, if full >= 1.0 { 1.0 } else { 0.0 }));
            let io = if nightly { 0.7 } else { 0.02 * self.random.uniform() } * STEP;
            points.push(self.count("node_disk_io_time_seconds_total", &[("device", disk)], io));
            points.push(self.count("node_disk_written_bytes_total", &[("device", disk)], io * 1e6));
        }
        points
    }

    fn network(&mut self, nightly: bool) -> Vec<Point> {
        let mut points = Vec::new();
        for (position, device) in ["lo", "eth0", "eth1", "wlan0", "docker0", "veth0"].into_iter().enumerate() {
            let mut walk = std::mem::replace(&mut self.traffic[position], Walk::new(0.0, 0.0, 0.0));
            let download = if nightly && device == "eth0" { 6e6 } else { 0.0 };
            let bytes = (walk.step(&mut self.random) + download) * STEP;
            self.traffic[position] = walk;
            let lost = if device == "wlan0" && self.random.uniform() < 0.02 { 2.0 } else { 0.0 };
            for way in ["receive", "transmit"] {
                let name = |what: &str| format!("node_network_{way}_{what}_total");
                points.push(self.count(&name("bytes"), &[("device", device)], bytes));
                points.push(self.count(&name("packets"), &[("device", device)], bytes / 700.0));
                points.push(self.count(&name("errs"), &[("device", device)], lost));
                points.push(self.count(&name("drop"), &[("device", device)], lost));
            }
        }
        points.push(point("up", &HOST, 1.0));
        points
    }

    fn processes(&mut self, backup: f64, hourly: bool) -> Vec<Point> {
        let mut points = Vec::new();
        for position in 0..self.groups.len() {
            let name = format!("service-{position}");
            let mut walk = std::mem::replace(&mut self.groups[position], Walk::new(0.0, 0.0, 0.0));
            let job = match position {
                0 => backup / 3.0,
                1 if hourly => 0.95,
                _ => 0.0,
            };
            let used = (walk.step(&mut self.random) + job) * STEP;
            let resident = 5e7 + walk.away * 1e9;
            self.groups[position] = walk;
            for (mode, share) in [("user", 0.8), ("system", 0.2)] {
                let labels = [("groupname", name.as_str()), ("mode", mode)];
                points.push(self.count("namedprocess_namegroup_cpu_seconds_total", &labels, used * share));
            }
            let labels = [HOST[0], HOST[1], ("groupname", &name), ("memtype", "resident")];
            points.push(point("namedprocess_namegroup_memory_bytes", &labels, resident.max(1e6)));
            points.push(point("namedprocess_namegroup_num_procs", &labels[..3], 3.0));
        }
        points
    }

    fn units_and_noise(&mut self) -> Vec<Point> {
        let mut points = Vec::new();
        for unit in 0..100 {
            for state in ["active", "failed", "inactive", "activating", "deactivating"] {
                let name = format!("unit-{unit}.service");
                let labels = [HOST[0], HOST[1], ("name", &name), ("state", state)];
                points.push(point("node_systemd_unit_state", &labels, if state == "active" { 1.0 } else { 0.0 }));
            }
        }
        for (position, walk) in self.noise.iter_mut().enumerate() {
            let value = walk.step(&mut self.random);
            points.push(point(&format!("node_vmstat_thing_{position}"), &HOST, value.round()));
        }
        points
    }
}
