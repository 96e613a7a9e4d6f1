//! A ship's telemetry, made from seeded walks: 20,000 series of 370 targets every 15 s, in the mix of hosts, network
//! devices, machinery sensors and services. Simulated, autocorrelated, the same on every run.

use std::sync::Arc;

use wk_types::{AssetId, Labels, Sample, Series, UtcMs};

const START: i64 = 1_790_000_000_000;
const INTERVAL_MS: i64 = 15_000;

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly in 0..1.
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// About normal with deviation 1.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

#[derive(Clone, Copy)]
enum Shape {
    /// Never changes.
    Constant,
    /// Counts bytes or events at a wandering rate, in units of 10^-decimals.
    Counter { rate: f64, noise: f64, decimals: i32 },
    /// Counts seldom.
    Errors,
    /// Wanders about a level, measured to `decimals`; held while it moves less than the dead band.
    Gauge { level: f64, spread: f64, decimals: i32, dead_band: f64 },
    /// A share of a common event rate: one bucket of a histogram.
    Bucket { share: f64 },
    /// Counts with full float precision.
    Float,
}

struct Plan {
    name: &'static str,
    count: usize,
    shape: Shape,
}

const fn plan(name: &'static str, count: usize, shape: Shape) -> Plan {
    Plan { name, count, shape }
}

const HOST: [Plan; 10] = [
    plan("node_cpu_seconds_total", 64, Shape::Counter { rate: 180.0, noise: 60.0, decimals: 2 }),
    plan("node_filesystem_size_bytes", 24, Shape::Constant),
    plan(
        "node_filesystem_avail_bytes",
        12,
        Shape::Gauge { level: 4e10, spread: 40_960.0, decimals: 0, dead_band: 0.0 },
    ),
    plan("node_memory_bytes", 20, Shape::Gauge { level: 4e9, spread: 2e5, decimals: 0, dead_band: 0.0 }),
    plan("node_network_bytes_total", 24, Shape::Counter { rate: 90_000.0, noise: 20_000.0, decimals: 0 }),
    plan("node_network_errs_total", 24, Shape::Errors),
    plan("node_disk_io_total", 24, Shape::Counter { rate: 40.0, noise: 12.0, decimals: 0 }),
    plan("node_systemd_unit_state", 50, Shape::Constant),
    plan("node_load", 3, Shape::Gauge { level: 1.4, spread: 0.05, decimals: 2, dead_band: 0.0 }),
    plan("node_hwmon_temp_celsius", 5, Shape::Gauge { level: 51.0, spread: 0.6, decimals: 3, dead_band: 0.5 }),
];
const DEVICE: [Plan; 3] = [
    plan("ifHCInOctets", 12, Shape::Counter { rate: 300_000.0, noise: 30_000.0, decimals: 0 }),
    plan("ifInErrors", 6, Shape::Errors),
    plan("ifOperStatus", 12, Shape::Constant),
];
const GATEWAY: [Plan; 2] = [
    plan("sensor_value", 50, Shape::Gauge { level: 82.0, spread: 0.2, decimals: 1, dead_band: 0.0 }),
    plan("sensor_value_banded", 50, Shape::Gauge { level: 300.0, spread: 0.3, decimals: 2, dead_band: 1.0 }),
];
const SERVICE: [Plan; 2] = [
    plan("request_duration_seconds_bucket", 28, Shape::Bucket { share: 0.4 }),
    plan("request_duration_seconds_sum", 2, Shape::Float),
];
const LINK: [Plan; 2] = [
    plan("link_snr_db", 5, Shape::Gauge { level: 9.0, spread: 0.3, decimals: 1, dead_band: 0.0 }),
    plan("link_bytes_total", 5, Shape::Counter { rate: 40_000.0, noise: 25_000.0, decimals: 0 }),
];
const CLASSES: [(&str, usize, &[Plan]); 5] = [
    ("host", 40, &HOST),
    ("switch", 100, &DEVICE),
    ("gateway", 30, &GATEWAY),
    ("service", 100, &SERVICE),
    ("link", 50, &LINK),
];

struct Target {
    instance: String,
    times: Vec<i64>,
    seed: u64,
}

/// All series in label order, each with its samples made on demand.
pub struct Workload {
    targets: Vec<Target>,
    series: Vec<(Arc<Series>, usize, Shape, u64)>,
}

impl Workload {
    pub fn new(steps: usize, seed: u64) -> Self {
        let mut random = Random(seed);
        let (mut targets, mut series) = (Vec::new(), Vec::new());
        for (class, count, plans) in CLASSES {
            for number in 0..count {
                let instance = format!("{class}-{number:02}:9100");
                for plan in plans {
                    for part in 0..plan.count {
                        let pairs = [("instance", &*instance), ("job", class), ("part", &*format!("{class}{part}"))];
                        let labels = Labels::metric(plan.name, &pairs);
                        let asset = AssetId::from(format!("{class}-{number:02}"));
                        series.push((Arc::new(Series::new(labels, asset)), targets.len(), plan.shape, random.next()));
                    }
                }
                targets.push(Target { instance, times: times(steps, &mut random), seed: random.next() });
            }
        }
        series.sort_by(|a, b| a.0.labels.cmp(&b.0.labels));
        Self { targets, series }
    }

    pub fn len(&self) -> usize {
        self.series.len()
    }

    pub fn targets(&self) -> usize {
        assert!(self.targets.iter().all(|target| !target.instance.is_empty()));
        self.targets.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Arc<Series>, Vec<Sample>)> + '_ {
        self.series.iter().map(|(series, target, shape, seed)| {
            let target = &self.targets[*target];
            let values = values(*shape, target.times.len(), &mut Random(*seed), target.seed);
            let samples = target.times.iter().zip(values).map(|(time, value)| Sample::new(UtcMs(*time), value));
            (series, samples.collect())
        })
    }
}

/// One target's scrapes: its own offset, 2 % of them 3 to 40 ms late.
fn times(steps: usize, random: &mut Random) -> Vec<i64> {
    let offset = random.below(INTERVAL_MS as u64) as i64;
    (0..steps as i64)
        .map(|step| {
            let late = if random.below(50) == 0 { 3 + random.below(38) as i64 } else { 0 };
            START + offset + step * INTERVAL_MS + late
        })
        .collect()
}

fn rounded(value: f64, decimals: i32) -> f64 {
    let power = 10_f64.powi(decimals);
    (value * power).round() / power
}

fn values(shape: Shape, steps: usize, random: &mut Random, common: u64) -> Vec<f64> {
    match shape {
        Shape::Constant => vec![random.below(1_000_000) as f64; steps],
        Shape::Counter { rate, noise, decimals } => counter(steps, random, rate, noise, decimals),
        Shape::Errors => {
            let mut total = random.below(500);
            let seldom = 20 + random.below(2_000);
            (0..steps)
                .map(|_| {
                    total += u64::from(random.below(seldom) == 0);
                    total as f64
                })
                .collect()
        }
        Shape::Gauge { level, spread, decimals, dead_band } => {
            gauge(steps, random, (level, spread, decimals, dead_band))
        }
        Shape::Bucket { share } => {
            let mut events = Random(common);
            let share = share * random.unit();
            let mut total = (random.unit() * 1e6).floor();
            (0..steps)
                .map(|_| {
                    total += (30.0 + 8.0 * events.normal()).max(0.0).round().mul_add(share, 0.0).round();
                    total
                })
                .collect()
        }
        Shape::Float => {
            let mut total = random.unit() * 1e4;
            (0..steps)
                .map(|_| {
                    total += random.unit() * 3.0;
                    total
                })
                .collect()
        }
    }
}

/// The rate wanders slowly; about a third of the counters stand still.
fn counter(steps: usize, random: &mut Random, rate: f64, noise: f64, decimals: i32) -> Vec<f64> {
    let scale = random.unit() * 2.0;
    let idle = random.below(3) == 0;
    let (mut total, mut drift) = ((random.unit() * rate * 1e5).round(), 0.0);
    (0..steps)
        .map(|_| {
            drift = 0.97 * drift + 0.2 * random.normal();
            if !idle {
                total += (scale * (rate + noise * (drift + 0.3 * random.normal()))).max(0.0).round();
            }
            rounded(total / 10_f64.powi(decimals), decimals)
        })
        .collect()
}

fn gauge(steps: usize, random: &mut Random, (level, spread, decimals, dead_band): (f64, f64, i32, f64)) -> Vec<f64> {
    let level = level * (0.5 + random.unit());
    let (mut off, mut held) = (0.0, f64::NAN);
    (0..steps)
        .map(|_| {
            off = 0.98 * off + spread * random.normal();
            let value = rounded(level + off, decimals);
            if held.is_nan() || (value - held).abs() >= dead_band {
                held = value;
            }
            held
        })
        .collect()
}
