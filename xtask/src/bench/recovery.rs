//! Recovery: `kill -9` under load with much stored behind it, then how soon and how rightly the node answers.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use wk_block::{Header, Writer};
use wk_sim::{MetricWorkload, MetricWorkloadOptions};
use wk_types::{DurationMs, UtcMs};

use super::feed::{Bodies, Recorder, send};
use super::process::{folder_bytes, load_average};
use super::store::{Kind, Store, client};
use super::table::mib;

const STEP: DurationMs = DurationMs::from_secs(15);
/// Steps in a block of two hours.
const BLOCK_STEPS: usize = 480;
/// Steps of the load before the kill: 10 min.
const LOAD_STEPS: usize = 40;
/// What is counted: every target of class host has it.
const COUNTED: &str = "node_load1";
/// How many targets have it.
const HOSTS: usize = 40;
/// The record that the newest made block ends with.
const LAST_RECORD: u64 = 1_000_000;
/// How long the load runs at most before the kill.
const LOAD_MAX: Duration = Duration::from_secs(120);

/// How to measure recovery.
#[derive(Args)]
pub struct Options {
    /// MiB of metric blocks behind it
    #[arg(long, default_value_t = 1_024)]
    mib: u64,
    /// How often it is killed
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

/// Runs the measurement.
pub fn run(options: &Options) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    println!("load average before: {}", load_average());
    let folder = scratch.path().join("node");
    let further = "[storage]\nmetrics_days = 36500\nmetrics_bytes_max = 1099511627776\n";
    // The node makes its folders itself.
    Store::start_with(Kind::Watchkeeper, &folder, further)?.stop()?;
    let metrics = folder.join("data/metrics");
    fill(&metrics, options.mib << 20)?;
    println!("{} MiB of blocks in {} files", mib(folder_bytes(&metrics)?), std::fs::read_dir(&metrics)?.count());

    let (clean, clean_ready) = restart(&folder, further)?;
    println!("clean start: ready after {clean_ready:.2?}, {} MiB resident once asked", mib(clean));
    for round in 0..options.rounds {
        let scratch = scratch.path().join(format!("round-{round}"));
        std::fs::create_dir(&scratch)?;
        one_round(&folder, further, &scratch, clean)?;
    }
    println!("load average after: {}", load_average());
    Ok(())
}

/// Starts it, asks it once, ends it; answers its memory and how soon it was ready.
fn restart(folder: &Path, further: &str) -> Result<(u64, Duration)> {
    let mut store = Store::start_with(Kind::Watchkeeper, folder, further)?;
    let ready = store.ready_after;
    count(&store, now()?)?;
    let resident = store.usage()?.resident;
    store.stop()?;
    Ok((resident, ready))
}

/// Load that was made before: scrapes in the order of time, over one connection.
struct Load {
    bodies: Bodies,
    start: UtcMs,
    /// How many bodies hold so many scrapes.
    boundaries: Vec<usize>,
}

fn make_load(scratch: &Path) -> Result<Load> {
    let start = UtcMs(now()?.floor_to(STEP).0 - LOAD_STEPS as i64 * STEP.0);
    let mut recorder = Recorder::new(scratch)?;
    let mut workload = MetricWorkload::new(MetricWorkloadOptions { start, ..MetricWorkloadOptions::default() });
    let mut boundaries = Vec::new();
    for _ in 0..LOAD_STEPS {
        let mut result = Ok(());
        workload.step(|_, series, sample| {
            if result.is_ok() {
                result = recorder.push(0, &series.labels, sample);
            }
        });
        result?;
        boundaries.push(recorder.bodies(0));
    }
    Ok(Load { bodies: recorder.finish()?, start, boundaries })
}

/// Sends until the node is killed in the midst of it; answers how many bodies it had acknowledged.
fn kill_under_load(store: &mut Store, load: &Load) -> Result<usize> {
    let url = format!("{}/api/v1/write", store.url);
    let (acknowledged, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let kill_at = load.boundaries[LOAD_STEPS * 3 / 4];
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| -> Result<()> {
            let client = client()?;
            for number in 0..load.bodies.count(0) {
                let body = load.bodies.body(0, number)?;
                if stop.load(Ordering::Relaxed) || send(&client, &url, body, &AtomicUsize::new(0)).is_err() {
                    break;
                }
                acknowledged.store(number + 1, Ordering::Relaxed);
            }
            Ok(())
        });
        let began = Instant::now();
        while acknowledged.load(Ordering::Relaxed) < kill_at && !sender.is_finished() && began.elapsed() < LOAD_MAX {
            std::thread::sleep(Duration::from_millis(1));
        }
        let killed = store.process.kill();
        stop.store(true, Ordering::Relaxed);
        sender.join().map_err(|_| anyhow::anyhow!("the sender panicked"))??;
        killed
    })?;
    Ok(acknowledged.into_inner())
}

/// Loads the node, kills it, starts it again, and checks every acknowledged sample of the last 5 min.
fn one_round(folder: &Path, further: &str, scratch: &Path, clean: u64) -> Result<()> {
    let load = make_load(scratch)?;
    let mut store = Store::start_with(Kind::Watchkeeper, folder, further)?;
    let acknowledged = kill_under_load(&mut store, &load)?;
    let steps = load.boundaries.iter().filter(|boundary| **boundary <= acknowledged).count();
    ensure!(steps > 20, "only {steps} scrapes were acknowledged before the kill");

    let began = Instant::now();
    let mut store = Store::start_with(Kind::Watchkeeper, folder, further)?;
    let ready = store.ready_after;
    let answers = count(&store, UtcMs(load.start.0 + steps as i64 * STEP.0))?;
    let right = began.elapsed();
    let whole = answers.len() == HOSTS && answers.iter().all(|count| *count >= 20.0);
    ensure!(whole, "acknowledged samples of the last 5 min are missing: {answers:?}");
    let resident = store.usage()?.resident;
    println!(
        "killed after {steps} scrapes of 20,000 series: ready after {ready:.2?}, the last 5 min answered right after \
         {right:.2?}; {} MiB resident, {:+.0} MiB to a clean start",
        mib(resident),
        (resident as f64 - clean as f64) / 1_048_576.0
    );
    store.stop()?;
    Ok(())
}

fn now() -> Result<UtcMs> {
    Ok(UtcMs(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis() as i64))
}

/// How many samples each host has in the 5 min before `at`.
fn count(store: &Store, at: UtcMs) -> Result<Vec<f64>> {
    let query = format!("count_over_time({COUNTED}[5m])");
    let time = at.as_secs_f64().to_string();
    let answer = Store::json(store.query("/api/v1/query", &[("query", &query), ("time", &time)]))?;
    let result = answer["data"]["result"].as_array().context("no result")?;
    result.iter().map(|one| Ok(one["value"][1].as_str().context("no value")?.parse()?)).collect()
}

/// Writes blocks of two hours until the folder holds so many bytes: the same samples in each, at other times.
fn fill(metrics: &Path, bytes: u64) -> Result<()> {
    let span = DurationMs::from_hours(2);
    let newest = now()?.floor_to(span).0 - DurationMs::from_hours(26).0;
    let mut all = MetricWorkload::new(MetricWorkloadOptions::default()).collect(BLOCK_STEPS);
    let mut begin = MetricWorkloadOptions::default().start.0;
    let mut written = 0;
    for number in 0_u64.. {
        if written >= bytes {
            break;
        }
        let wanted = newest - number as i64 * span.0;
        for sample in all.iter_mut().flat_map(|one| &mut one.samples) {
            sample.time = UtcMs(sample.time.0 + wanted - begin);
        }
        begin = wanted;
        let mut writer = Writer::new()?;
        for one in &all {
            writer.push(&one.series, &one.samples)?;
        }
        let block = writer.finish()?;
        let header = Header::read(&block[..])?;
        // Later blocks hold later records, and all of them earlier ones than the node will write.
        let record = LAST_RECORD - number;
        let name = format!("{record:016x}-{record:016x}_{}_{}.wkb", header.first.0, header.last.0);
        std::fs::write(metrics.join(name), &block)?;
        written += block.len() as u64;
        if number % 50 == 49 {
            println!("{} MiB of blocks made", mib(written));
        }
    }
    Ok(())
}
