//! Memory over a simulated day, sent as fast as it is taken, in which series come and go.

use anyhow::{Context as _, Result};
use clap::Args;
use wk_sim::{MetricWorkload, MetricWorkloadOptions};
use wk_types::{DurationMs, UtcMs};

use super::feed::Recorder;
use super::process::{folder_bytes, load_average};
use super::store::{Kind, Store};
use super::table::mib;

const STEPS_PER_HOUR: usize = 240;

/// How to measure memory.
#[derive(Args)]
pub struct Options {
    /// Simulated hours
    #[arg(long, default_value_t = 24)]
    hours: usize,
    /// About how many series at a time
    #[arg(long, default_value_t = 20_000)]
    series: usize,
    /// Part of the series that ends within an hour, others taking their place
    #[arg(long, default_value_t = 0.1)]
    churn: f64,
}

/// Runs the measurement.
pub fn run(options: &Options) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    println!("load average before: {}", load_average());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis() as i64;
    let mut workload = MetricWorkload::new(MetricWorkloadOptions {
        series: options.series,
        churn_per_hour: options.churn,
        start: UtcMs(now - DurationMs::from_hours(options.hours as i64).0),
        ..MetricWorkloadOptions::default()
    });
    let mut store = Store::start(Kind::Watchkeeper, &scratch.path().join("node"))?;
    println!("{} series, {} of them constant; watchkeeper {}", workload.series(), workload.constant(), store.version);
    println!("| simulated hours | RSS, MiB | peak RSS, MiB | series in the index | blocks | metrics on disk, MiB |");
    println!("|---|---|---|---|---|---|");
    for hour in 1..=options.hours {
        let mut recorder = Recorder::new(scratch.path())?;
        for _ in 0..STEPS_PER_HOUR {
            let mut result = Ok(());
            workload.step(|target, series, sample| {
                if result.is_ok() {
                    result = recorder.push(target, &series.labels, sample);
                }
            });
            result?;
        }
        recorder.finish()?.send(&store)?;
        store.wait_queryable()?;
        let (usage, pipeline) = (store.usage()?, store.pipeline()?);
        let number = |name: &str| pipeline["metrics"][name].as_u64().context("the pipeline shows no such figure");
        println!(
            "| {hour} | {} | {} | {} | {} | {} |",
            mib(usage.resident),
            mib(usage.resident_peak),
            number("series")?,
            number("blocks")?,
            mib(folder_bytes(&store.data().join("metrics"))?)
        );
    }
    let disk = store.stop()?;
    println!("{} MiB of blocks after a clean stop; load average after: {}", mib(disk.samples), load_average());
    Ok(())
}
