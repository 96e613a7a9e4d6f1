//! Figures for docs/measurements.md: a simulated ship of 20,000 series, six hours at 15 s, on the real file system.

use std::time::Instant;

use wk_sim::{MetricWorkload, MetricWorkloadOptions};
use wk_types::MatchOp;

use super::*;
use crate::io::SystemIo;

const STEPS: usize = 6 * 240;

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let made = work();
    println!("{what}: {:.1} ms", begin.elapsed().as_secs_f64() * 1e3);
    made
}

#[test]
#[ignore = "measures for a minute; run by hand"]
fn measure_a_ship() {
    let mut workload = MetricWorkload::new(MetricWorkloadOptions::default());
    let (count, targets) = (workload.series(), workload.targets());
    println!("{count} series of {targets} targets, {STEPS} samples each, {:.0} MiB before the store", resident_mib());
    let before = resident_mib();
    let dir = tempfile::tempdir().unwrap();
    let options = MetricOptions::default();
    let (store, _) = MetricStore::open(Arc::new(SystemIo), dir.path(), options.clone()).unwrap();
    let (mut appending, mut upkeep, mut parts, mut merges) = (0.0, 0.0, 0, 0);
    for step in 0..STEPS {
        let mut record = Vec::with_capacity(count);
        workload.step(|_, series, sample| {
            record.push(SeriesSamples { series: Arc::clone(series), samples: vec![sample] });
        });
        let now = workload.time();
        let begin = Instant::now();
        store.append(Seq(step as u64 + 1), now, &record).unwrap();
        appending += begin.elapsed().as_secs_f64();
        let begin = Instant::now();
        let done = store.maintain(now).unwrap();
        upkeep += begin.elapsed().as_secs_f64();
        (parts, merges) = (parts + done.parts_written, merges + done.files_merged);
    }
    store.flush().unwrap();
    let samples = (count * STEPS) as f64;
    let stats = store.stats();
    println!(
        "append {:.1} M samples/s; upkeep of {parts} parts and {merges} merged files {upkeep:.1} s",
        samples / appending / 1e6
    );
    println!(
        "{} blocks, {:.3} bytes/sample; {:.0} MiB for the store",
        stats.blocks,
        stats.bytes as f64 / samples,
        resident_mib() - before
    );
    drop(store);
    let (store, _) = timed("open", || MetricStore::open(Arc::new(SystemIo), dir.path(), options).unwrap());
    let equal = |name, value| Matcher::new(name, MatchOp::Equal, value);
    let narrow = [equal("__name__", "node_load1"), equal("instance", "node-07:9100")];
    let busy = [equal("__name__", "node_cpu_seconds_total")];
    let all = |matchers: &[Matcher]| {
        let found = store.select(matchers, UtcMs::MIN, UtcMs::MAX, usize::MAX).unwrap();
        (found.len(), found.iter().map(|one| one.samples.len()).sum::<usize>())
    };
    for round in ["cold", "warm", "warm"] {
        let (series, samples) = timed(&format!("{round}: one series, 6 h"), || all(&narrow));
        assert_eq!((series, samples), (1, STEPS));
        let (series, samples) = timed(&format!("{round}: 2,560 series, 6 h"), || all(&busy));
        assert_eq!((series, samples), (2_560, 2_560 * STEPS));
    }
    println!("cache {:.1} MiB", store.stats().cache_bytes as f64 / 1_048_576.0);
}
