//! Figures for docs/measurements.md: a simulated ship of 20,000 series, thirty hours at 15 s, on the real file system.

use std::time::Instant;

use wk_sim::{MetricWorkload, MetricWorkloadOptions};
use wk_types::MatchOp;

use super::*;
use crate::io::SystemIo;

const STEPS: usize = 30 * 240;

fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// CPU time of the whole process in ms, to 10 ms.
fn cpu_ms() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11..13].iter().map(|ticks| ticks.parse::<f64>().unwrap() * 10.0).sum()
}

/// Runs `work` so often that its CPU time can be told, and prints what one run took.
fn timed<T>(what: &str, runs: u32, mut work: impl FnMut() -> T) -> T {
    let (begin, cpu) = (Instant::now(), cpu_ms());
    let made = (0..runs).map(|_| work()).last().unwrap();
    let each = f64::from(runs);
    println!("{what}: {:.2} ms CPU, {:.2} ms", (cpu_ms() - cpu) / each, begin.elapsed().as_secs_f64() * 1e3 / each);
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
    let mut times = Vec::with_capacity(STEPS);
    let (mut appending, mut upkeep, mut parts, mut merges, mut rollups) = (0.0, 0.0, 0, 0, 0);
    for step in 0..STEPS {
        let mut record = Vec::with_capacity(count);
        workload.step(|_, series, sample| {
            record.push(SeriesSamples { series: Arc::clone(series), samples: vec![sample] });
        });
        let now = workload.time();
        times.push(now);
        let cpu = cpu_ms();
        store.append(Seq(step as u64 + 1), now, &record).unwrap();
        appending += cpu_ms() - cpu;
        let cpu = cpu_ms();
        let done = store.maintain(now).unwrap();
        upkeep += cpu_ms() - cpu;
        if done.rollups_written > 0 {
            println!("{} rollups took {:.0} ms CPU", done.rollups_written, cpu_ms() - cpu);
        }
        (parts, merges) = (parts + done.parts_written, merges + done.files_merged);
        rollups += done.rollups_written;
    }
    store.flush().unwrap();
    let samples = (count * STEPS) as f64;
    let stats = store.stats();
    println!(
        "append {:.1} M samples per CPU-s; upkeep of {parts} parts, {merges} merged files and {rollups} rollups {:.1} s CPU",
        samples / appending / 1e3,
        upkeep / 1e3
    );
    println!(
        "{} blocks, {:.3} bytes/sample; {} rollups; {:.0} MiB for the store",
        stats.blocks,
        (stats.bytes - stats.bytes_rollups) as f64 / samples,
        stats.rollups,
        resident_mib() - before
    );
    print_rollups(&store, &times, count);
    drop(store);
    measure_queries(dir.path(), &options, stats.newest.unwrap());
}

/// What rollups take of each sample that they sum up: a file's bytes over the samples that fell into its stretch.
fn print_rollups(store: &MetricStore, times: &[UtcMs], series: usize) {
    for resolution in Resolution::ALL {
        let (mut bytes, mut samples, mut files) = (0, 0, 0);
        for ((_, begin), file) in store.0.read().rollups.iter().filter(|((of, _), _)| *of == resolution) {
            let end = *begin + file::stretch(resolution);
            bytes += file.bytes;
            samples += times.iter().filter(|time| (*begin..end).contains(*time)).count() * series;
            files += 1;
        }
        let each = bytes as f64 / samples.max(1) as f64;
        println!("{files} rollups of {}: {bytes} bytes, {each:.4} bytes per raw sample", resolution.name());
    }
}

fn measure_queries(dir: &Path, options: &MetricOptions, to: UtcMs) {
    let (store, _) = timed("open", 1, || MetricStore::open(Arc::new(SystemIo), dir, options.clone()).unwrap());
    let equal = |name, value| Matcher::new(name, MatchOp::Equal, value);
    let narrow = [equal("__name__", "node_load1"), equal("instance", "node-07:9100")];
    let busy = [equal("__name__", "node_cpu_seconds_total")];
    let recent = |matchers: &[Matcher]| {
        let found = store.select(matchers, to - DurationMs::from_hours(3), to, usize::MAX).unwrap();
        (found.len(), found.iter().map(|one| one.samples.len()).sum::<usize>())
    };
    for (round, runs) in [("cold", 1), ("warm", 20)] {
        let (series, _) = timed(&format!("{round}: one series, 3 h"), runs, || recent(&narrow));
        assert_eq!(series, 1);
        let (series, samples) = timed(&format!("{round}: 2,560 series, 3 h"), runs, || recent(&busy));
        assert!(series == 2_560 && samples > 2_560 * 700, "{series} {samples}");
    }
    let rows = |matchers: &[Matcher], resolution| {
        let found = wk_types::RollupSource::rollups(&store, matchers, UtcMs::MIN, UtcMs::MAX, resolution).unwrap();
        found.map(|one| one.unwrap().rows.len()).sum::<usize>()
    };
    for resolution in Resolution::ALL {
        let name = resolution.name();
        let some = timed(&format!("rollups {name} of one series, 30 h"), 5, || rows(&narrow, resolution));
        let many = timed(&format!("rollups {name} of 2,560 series, 30 h"), 1, || rows(&busy, resolution));
        assert_eq!(some * 2_560, many);
    }
    println!("cache {:.1} MiB, {:.0} MiB resident", store.stats().cache_bytes as f64 / 1_048_576.0, resident_mib());
}
