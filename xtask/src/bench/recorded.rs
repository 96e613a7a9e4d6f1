//! Real data: what the node exporter, Prometheus and VictoriaMetrics say of this machine and of themselves, recorded
//! once and then written to both stores.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use wk_ingest::prometheus_text::{Format, labels, parse};
use wk_types::{Labels, UtcMs};

use super::feed::{Bodies, Recorder};
use super::metrics::feed;
use super::process::{Process, load_average};
use super::store::{Kind, Store, client, free_port, package_version, peer};
use super::table::Table;

/// Between two scrapes.
const EVERY: Duration = Duration::from_secs(5);

/// Records for so many minutes, then compares sizes.
pub fn run(minutes: f64, folder: &Path) -> Result<()> {
    println!("load average before: {}", load_average());
    let bodies = record(minutes, folder)?;
    println!(
        "{} samples recorded, {:.2} bytes each as remote write v1",
        bodies.samples,
        bodies.bytes as f64 / bodies.samples as f64
    );
    let (mut stores, mut disks) = (Vec::new(), Vec::new());
    for kind in [Kind::Watchkeeper, Kind::VictoriaMetrics, Kind::Prometheus] {
        let mut store = Store::start(kind, &folder.join(kind.name()))?;
        feed(&store, &bodies)?;
        disks.push(store.stop()?);
        stores.push(store);
    }
    let samples = bodies.samples as f64;
    let mut table = Table::new("recorded data", &stores);
    table.row("bytes a sample on disk, index included", &disks, |one| {
        format!("{:.3}", (one.samples + one.index) as f64 / samples)
    });
    table.row("of it a separate index", &disks, |one| format!("{:.3}", one.index as f64 / samples));
    table.row("bytes a sample, everything it keeps", &disks, |one| format!("{:.3}", one.all as f64 / samples));
    table.print();
    println!("load average after: {}", load_average());
    Ok(())
}

/// A target's job and where its metrics are.
struct Target {
    job: &'static str,
    url: String,
    /// Host and port, as the label of its series.
    instance: String,
}

fn record(minutes: f64, folder: &Path) -> Result<Bodies> {
    let exporter_address = format!("127.0.0.1:{}", free_port()?);
    let mut command = Command::new(peer("prometheus-node-exporter")?);
    command.arg(format!("--web.listen-address={exporter_address}"));
    let mut exporter = Process::start(&mut command, &folder.join("exporter.log"))?;
    let client = client()?;
    let exporter_url = format!("http://{exporter_address}");
    exporter.wait_ready(&client, &format!("{exporter_url}/metrics"))?;
    let prometheus = Store::start(Kind::Prometheus, &folder.join("scraped-prometheus"))?;
    let victoria = Store::start(Kind::VictoriaMetrics, &folder.join("scraped-victoria"))?;
    let target =
        |job, base: &str| Target { job, url: format!("{base}/metrics"), instance: base.replace("http://", "") };
    let targets =
        [target("node", &exporter_url), target("prometheus", &prometheus.url), target("victoria", &victoria.url)];
    println!("recording node exporter {} for {minutes} min", package_version("prometheus-node-exporter")?);
    let mut recorder = Recorder::new(folder)?;
    let scrapes = (minutes * 60.0 / EVERY.as_secs_f64()).ceil() as u32;
    let began = Instant::now();
    for scrape in 0..scrapes {
        std::thread::sleep((began + EVERY * scrape).saturating_duration_since(Instant::now()));
        for (number, target) in targets.iter().enumerate() {
            scrape_one(&client, number, target, &mut recorder)?;
        }
    }
    recorder.finish()
}

fn scrape_one(
    client: &reqwest::blocking::Client,
    number: usize,
    target: &Target,
    recorder: &mut Recorder,
) -> Result<()> {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_millis() as i64;
    let text = client.get(&target.url).send()?.error_for_status()?.text()?;
    let exposition = parse(&text, Format::Text);
    ensure!(exposition.rejected.is_empty(), "{} has lines that cannot be read", target.url);
    for line in &exposition.lines {
        let pairs = labels(line.series).context("labels cannot be read")?;
        let labels = Labels::new(pairs.iter().map(|(name, value)| (&**name, &**value)));
        let labels = labels.with("instance", &target.instance).with("job", target.job);
        recorder.push(number, &labels, line.sample(UtcMs(now)))?;
    }
    Ok(())
}
