//! Metrics: ours against VictoriaMetrics and Prometheus, all fed the same bytes.

use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use wk_block::Writer;
use wk_connect::remote_write::WriteRequest;
use wk_sim::{MetricWorkload, MetricWorkloadOptions};
use wk_types::{DurationMs, UtcMs};

use super::feed::{Bodies, Recorder, Sent};
use super::process::{Usage, load_average, now};
use super::queries::{self, QUERIES, Timed};
use super::store::{Disk, Kind, Store};
use super::table::{Table, mib};

/// Steps of 15 s in the block that is sent to shore.
const BLOCK_STEPS: usize = 20;
const STEP: DurationMs = DurationMs::from_secs(15);
/// A sum over every processor series of everything that was sent: how much of it queries see.
const COUNTED: &str = "node_cpu_seconds_total";

/// How to compare metrics.
#[derive(Args)]
pub struct Options {
    /// Hours of samples
    #[arg(long, default_value_t = 4.0)]
    hours: f64,
    /// About how many series
    #[arg(long, default_value_t = 20_000)]
    series: usize,
    /// Part of the series that ends within an hour
    #[arg(long, default_value_t = 0.0)]
    churn: f64,
    /// How often each query is asked
    #[arg(long, default_value_t = 30)]
    runs: usize,
    /// Leave Prometheus out
    #[arg(long)]
    no_prometheus: bool,
    /// Ours alone, for a quick look
    #[arg(long)]
    ours_only: bool,
    /// Compare sizes on what the real node exporter, Prometheus and VictoriaMetrics say of themselves
    #[arg(long)]
    recorded: bool,
    /// Minutes of that recording
    #[arg(long, default_value_t = 20.0)]
    minutes: f64,
}

/// What one store showed.
pub struct Fed {
    /// The sending.
    pub sent: Sent,
    /// Up to when queries answer everything.
    pub queryable: f64,
    /// Up to when everything may be freed.
    pub freeable: f64,
    /// Once fed.
    pub usage: Usage,
}

/// Runs the comparison.
pub fn run(options: &Options) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    if options.recorded {
        return super::recorded::run(options.minutes, scratch.path());
    }
    let steps = (options.hours * 3_600_000.0 / STEP.0 as f64) as usize;
    println!("load average before: {}", load_average());
    let (bodies, end) = simulate(options, steps, scratch.path())?;
    println!(
        "{} samples in {} MiB of remote write v1, {:.2} bytes a sample",
        bodies.samples,
        mib(bodies.bytes),
        bodies.bytes as f64 / bodies.samples as f64
    );
    print_block(options)?;
    let mut stores = Vec::new();
    let mut fed = Vec::new();
    for kind in options.kinds() {
        let store = Store::start(kind, &scratch.path().join(kind.name()))?;
        fed.push(feed(&store, &bodies)?);
        check_whole(&store, end, steps)?;
        stores.push(store);
    }
    for (store, fed) in stores.iter().zip(&mut fed) {
        store.wait_freeable()?;
        if store.kind == Kind::Watchkeeper {
            fed.freeable = store.usage()?.cpu_seconds;
        }
    }
    let checked = if options.ours_only { vec![String::new(); QUERIES.len()] } else { queries::verify(&stores, end)? };
    let timed = queries::time(&stores, end, options.runs)?;
    let after: Vec<Usage> = stores.iter().map(Store::usage).collect::<Result<_>>()?;
    let disks: Vec<Disk> = stores.iter_mut().map(Store::stop).collect::<Result<_>>()?;
    print_figures(&stores, &fed, &after, &disks, bodies.samples);
    print_queries(&stores, &timed, &checked);
    println!("load average after: {}", load_average());
    Ok(())
}

impl Options {
    fn kinds(&self) -> Vec<Kind> {
        let mut kinds = vec![Kind::Watchkeeper];
        if !self.ours_only {
            kinds.push(Kind::VictoriaMetrics);
            if !self.no_prometheus {
                kinds.push(Kind::Prometheus);
            }
        }
        kinds
    }

    fn workload(&self, start: UtcMs) -> MetricWorkload {
        let options = MetricWorkloadOptions {
            series: self.series,
            churn_per_hour: self.churn,
            start,
            ..MetricWorkloadOptions::default()
        };
        MetricWorkload::new(options)
    }
}

/// Makes the bodies; the last interval ends now, so that every store takes them as fresh.
fn simulate(options: &Options, steps: usize, folder: &Path) -> Result<(Bodies, UtcMs)> {
    let now = now()?.0;
    let end = UtcMs(now).floor_to(STEP);
    let mut workload = options.workload(UtcMs(end.0 - steps as i64 * STEP.0));
    println!(
        "{} series of {} targets, {} of them constant; {steps} scrapes",
        workload.series(),
        workload.targets(),
        workload.constant()
    );
    let mut recorder = Recorder::new(folder)?;
    for _ in 0..steps {
        let mut result = Ok(());
        workload.step(|target, series, sample| {
            if result.is_ok() {
                result = recorder.push(target, &series.labels, sample);
            }
        });
        result?;
    }
    Ok((recorder.finish()?, end))
}

/// Feeds one store and waits until queries answer everything.
pub fn feed(store: &Store, bodies: &Bodies) -> Result<Fed> {
    let before = store.usage()?.cpu_seconds;
    let sent = bodies.send(store)?;
    store.wait_queryable()?;
    let usage = store.usage()?;
    let cpu = usage.cpu_seconds - before;
    println!(
        "{}: {:.0} k samples per CPU-second until queryable, {:.1} s CPU, {:.1} s wall, {} requests tried again",
        store.kind.name(),
        bodies.samples as f64 / cpu / 1e3,
        cpu,
        sent.took.as_secs_f64(),
        sent.refused,
    );
    Ok(Fed { sent, queryable: cpu, freeable: cpu, usage })
}

/// Fails where a store does not answer with everything it was sent.
fn check_whole(store: &Store, end: UtcMs, steps: usize) -> Result<()> {
    let seconds = steps as i64 * STEP.0 / 1_000 + 60;
    let query = format!("sum(count_over_time({COUNTED}[{seconds}s])) / count({COUNTED})");
    let time = end.as_secs_f64().to_string();
    let parameters = [("query", &*query), ("time", &*time), ("nocache", "1")];
    let answer = Store::json(store.query("/api/v1/query", &parameters))?;
    let counted = answer["data"]["result"][0]["value"][1].as_str().context("no count")?.parse::<f64>()?;
    ensure!(counted >= steps as f64, "{} answers {counted} of {steps} samples a series", store.kind.name());
    Ok(())
}

/// Prints the size of blocks of 5 min beside the remote write of the same samples.
fn print_block(options: &Options) -> Result<()> {
    let all = options.workload(MetricWorkloadOptions::default().start).collect(BLOCK_STEPS);
    let (mut writer, mut request) = (Writer::new()?, WriteRequest::default());
    let (mut samples, mut remote) = (0, 0);
    for one in &all {
        writer.push(&one.series, &one.samples)?;
        for sample in &one.samples {
            request.push(one.series.labels.iter(), [*sample]);
            samples += 1;
            if request.samples() == 2_000 {
                remote += request.take_body().len();
            }
        }
    }
    remote += request.take_body().len();
    let block = writer.finish()?.len();
    println!(
        "a block of 5 min, all in: {:.3} bytes a sample ({block} bytes); the same as remote write v1, sorted by series: \
         {:.2}",
        block as f64 / f64::from(samples),
        remote as f64 / f64::from(samples)
    );
    Ok(())
}

fn print_figures(stores: &[Store], fed: &[Fed], after: &[Usage], disks: &[Disk], samples: u64) {
    let samples = samples as f64;
    let mut table = Table::new("figure", stores);
    table.row("k samples per CPU-second, until queryable", fed, |one| format!("{:.0}", samples / one.queryable / 1e3));
    table.row("k samples per CPU-second, until freeable", fed, |one| format!("{:.0}", samples / one.freeable / 1e3));
    table.row("k samples per second, wall", fed, |one| format!("{:.0}", samples / one.sent.took.as_secs_f64() / 1e3));
    table.row("RSS once fed, MiB", fed, |one| mib(one.usage.resident));
    table.row("RSS after the queries, MiB", after, |one| mib(one.resident));
    table.row("peak RSS, under load and queries, MiB", after, |one| mib(one.resident_peak));
    table.row("bytes a sample on disk, index included", disks, |one| {
        format!("{:.3}", (one.samples + one.index) as f64 / samples)
    });
    table.row("of it a separate index", disks, |one| format!("{:.3}", one.index as f64 / samples));
    table.row("bytes a sample, everything it keeps", disks, |one| format!("{:.3}", one.all as f64 / samples));
    table.print();
}

fn print_queries(stores: &[Store], timed: &[Vec<Timed>], checked: &[String]) {
    let mut table = Table::new("query: ms p50 / p95 (CPU ms), answer caches off", stores);
    for (query, timed) in QUERIES.iter().zip(timed) {
        table.row(query.name, timed, Timed::shown);
    }
    table.print();
    for (query, said) in QUERIES.iter().zip(checked) {
        println!("answers to {}: {said}", query.name);
    }
}
