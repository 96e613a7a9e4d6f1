//! What queries cost, over series in memory: figures for docs/measurements.md.

use wk_promql::{Limits, Query};
use wk_types::{DurationMs, Labels, Sample, UtcMs};

use crate::source::MemorySource;

/// Three hours of samples 15 s apart, and the hour before for windows that begin earlier.
const SAMPLES: i64 = 4 * 240;
const STEP: DurationMs = DurationMs(60_000);
const RUNS: u32 = 20;

fn fill(source: &mut MemorySource, labels: Labels, slope: f64, noise: u64) {
    let value = |index: i64| {
        let jitter = ((index as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15 ^ noise) >> 40) as f64 / (1u64 << 24) as f64;
        100.0 + slope * (index as f64 + jitter)
    };
    let samples = (0..SAMPLES).map(|index| Sample::new(UtcMs(index * 15_000 + 7), value(index))).collect();
    source.add(labels, samples);
}

/// Processor time in milliseconds, of all threads.
fn cpu_ms() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    // Fields 14 and 15, in hundredths of a second.
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) * 10.0
}

fn measure(name: &str, source: &MemorySource, text: &str, (from, to): (i64, i64)) {
    let query = Query::parse(text).unwrap();
    let limits = Limits::default();
    let run = || query.range(source, UtcMs(from), UtcMs(to), STEP, &limits).unwrap();
    run();
    let (cpu, wall) = (cpu_ms(), std::time::Instant::now());
    for _ in 0..RUNS {
        run();
    }
    let (cpu, wall) = ((cpu_ms() - cpu) / f64::from(RUNS), wall.elapsed().as_secs_f64() * 1e3 / f64::from(RUNS));
    println!("{name:44} {cpu:6.1} ms CPU {wall:6.1} ms wall   {text}");
}

#[test]
#[ignore = "a benchmark: prints figures"]
fn what_dashboard_queries_cost() {
    let mut source = MemorySource::default();
    for index in 0..200 {
        fill(&mut source, Labels::metric("x", &[("n", &index.to_string())]), 0.1, index);
    }
    for host in 0..40 {
        for cpu in 0..8 {
            for mode in ["idle", "user", "system", "iowait", "irq", "softirq", "steal", "nice"] {
                let pairs = [
                    ("cpu", &*cpu.to_string()),
                    ("instance", &*format!("host-{host}")),
                    ("job", "host"),
                    ("mode", mode),
                ];
                fill(&mut source, Labels::metric("node_cpu_seconds_total", &pairs), 15.0, host * 64 + cpu);
            }
        }
        for handler in 0..5 {
            for le in
                ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "25", "50", "+Inf"]
            {
                let pairs = [
                    ("handler", &*handler.to_string()),
                    ("instance", &*format!("host-{host}")),
                    ("job", "api"),
                    ("le", le),
                ];
                let slope = le.parse::<f64>().unwrap().min(100.0).ln_1p();
                fill(&mut source, Labels::metric("http_duration_seconds_bucket", &pairs), slope, host * 5 + handler);
            }
        }
    }
    let (hours, hour) = ((3_600_000, 14_400_000), 3_600_000);
    let cases = [
        ("200 series, 239 steps, 1 h windows", "avg_over_time(x[1h])", (hour, hour + 238 * 60_000)),
        ("the same, maximum", "max_over_time(x[1h])", (hour, hour + 238 * 60_000)),
        ("the same, quantile", "quantile_over_time(0.9, x[1h])", (hour, hour + 238 * 60_000)),
        ("the same, deviation", "stddev_over_time(x[1h])", (hour, hour + 238 * 60_000)),
        ("instant, 2,800 series", "sum by (instance) (rate(http_duration_seconds_bucket[5m]))", (hour, hour)),
        ("instant, all counters", "sum by (instance) (rate({__name__=~\".+_total|.+_bucket\"}[5m]))", (hour, hour)),
        ("range, 40 series", "avg by (instance) (x{n=~\"[1-3].?\"})", hours),
        ("range, 2,560 series", "sum by (mode) (rate(node_cpu_seconds_total[5m]))", hours),
        ("range, quantile of 200 series", "quantile by (job) (0.9, x)", hours),
        (
            "range, histogram of 2,800 series",
            "histogram_quantile(0.95, sum by (le) (rate(http_duration_seconds_bucket[5m])))",
            hours,
        ),
        (
            "range, 200 histograms of 14 buckets",
            "histogram_quantile(0.95, rate(http_duration_seconds_bucket[5m]))",
            hours,
        ),
        ("topk of 160 series", "topk(10, rate(node_cpu_seconds_total{cpu=~\"[0-3]\",mode=\"idle\"}[5m]))", hours),
        ("single series", "x{n=\"7\"}", hours),
    ];
    for (name, text, span) in cases {
        // Two metrics of one label set cannot lose their names in one vector.
        if Query::parse(text).unwrap().range(&source, UtcMs(span.0), UtcMs(span.1), STEP, &Limits::default()).is_ok() {
            measure(name, &source, text, span);
        }
    }
}
