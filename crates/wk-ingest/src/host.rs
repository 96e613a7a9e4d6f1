//! Metrics of this machine, under node_exporter's and process-exporter's names, from `/proc`, `/sys` and `statvfs`.

mod describe;
mod filesystems;
mod names;
mod processes;
mod procfs;
mod sysfs;
mod systemd;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use wk_types::labels::METRIC_NAME;
use wk_types::{AssetId, Body, Labels, Sample, Series, SeriesSamples, UtcMs};

use crate::contract::{Sender, SourceContext};
use crate::delivery::{Delivered, deliver};
use crate::records;
use crate::series::Present;
use filesystems::FileSystems;
use processes::Processes;
use procfs::Cpus;
use systemd::Units;

pub use describe::metadata;
pub use names::{addresses, host_name};

/// What is watched and how often.
#[derive(Debug, Clone)]
pub struct HostSettings {
    /// How often a round is taken.
    pub interval: Duration,
    /// Where `/proc` is.
    pub proc: PathBuf,
    /// Where `/sys` is.
    pub sys: PathBuf,
    /// Where `/run` is; systemd is asked only where `systemd/system` is in it.
    pub run: PathBuf,
    /// The label `instance`, the machine's host name.
    pub instance: String,
    /// The asset of this machine.
    pub asset: Option<AssetId>,
    /// Services that are shown even while no process of theirs runs.
    pub services: Vec<String>,
}

impl HostSettings {
    /// The shipped defaults: this machine, every 15 s.
    #[must_use]
    pub fn new(instance: &str) -> Self {
        Self {
            interval: Duration::from_secs(15),
            proc: "/proc".into(),
            sys: "/sys".into(),
            run: "/run".into(),
            instance: instance.to_owned(),
            asset: None,
            services: Vec::new(),
        }
    }
}

/// Metric name, labels, value.
type Reading = (&'static str, Vec<(&'static str, String)>, f64);

/// The readings of one round.
#[derive(Debug, Default)]
struct Readings {
    values: Vec<Reading>,
    /// What could not be read, each with its reason.
    missing: Vec<(&'static str, String)>,
}

impl Readings {
    fn push(&mut self, name: &'static str, labels: &[(&'static str, &str)], value: f64) {
        let labels = labels.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.values.push((name, labels, value));
    }

    fn missing(&mut self, what: &'static str, reason: impl Into<String>) {
        self.missing.push((what, reason.into()));
    }

    /// Reads a file, noting where that fails.
    fn file(&mut self, what: &'static str, path: &std::path::Path) -> Option<String> {
        match std::fs::read(path) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) => {
                self.missing(what, error.to_string());
                None
            }
        }
    }
}

/// What is remembered from round to round and read by blocking calls.
struct Collector {
    settings: HostSettings,
    cpus: Cpus,
    processes: Processes,
}

impl Collector {
    fn collect(&mut self, now: UtcMs) -> Readings {
        let mut readings = Readings::default();
        readings.push("node_time_seconds", &[], now.as_secs_f64());
        let (proc, sys) = (&self.settings.proc, &self.settings.sys);
        self.cpus.read(proc, &mut readings);
        procfs::load(proc, &mut readings);
        procfs::memory(proc, &mut readings);
        procfs::disks(proc, &mut readings);
        procfs::network(proc, &mut readings);
        procfs::pressure(proc, &mut readings);
        names::uname(proc, &mut readings);
        sysfs::network_up(sys, &mut readings);
        sysfs::temperatures(sys, &mut readings);
        self.processes.read(proc, &mut readings);
        readings
    }
}

/// Takes rounds until cancelled.
pub async fn run(context: SourceContext, settings: HostSettings, cancel: CancellationToken) {
    let mut host = Host::new(settings);
    let mut ticks = tokio::time::interval(host.settings.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = ticks.tick() => {}
        }
        tokio::select! {
            () = cancel.cancelled() => return,
            () = host.round(&context, &cancel) => {}
        }
    }
}

struct Host {
    settings: HostSettings,
    /// Not there while a round reads with it.
    collector: Option<Collector>,
    file_systems: FileSystems,
    units: Units,
    present: Present,
}

impl Host {
    fn new(settings: HostSettings) -> Self {
        let collector = Collector {
            settings: settings.clone(),
            cpus: Cpus::default(),
            processes: Processes::new(&settings.services),
        };
        Self {
            file_systems: FileSystems::new(settings.proc.clone()),
            units: Units::new(&settings.run),
            settings,
            collector: Some(collector),
            present: Present::default(),
        }
    }

    /// Takes one round and delivers it, as one record where it is of usual size.
    async fn round(&mut self, context: &SourceContext, cancel: &CancellationToken) {
        let now = context.now();
        let collecting = collected(self.collector.take(), now);
        let ((mut readings, collector), file_systems, units) =
            tokio::join!(collecting, self.file_systems.read(), self.units.read());
        self.collector = collector;
        for part in [file_systems, units] {
            readings.values.extend(part.values);
            readings.missing.extend(part.missing);
        }
        for (what, reason) in &readings.missing {
            context.stats.flagged(what, 1, reason);
        }
        let up = readings.values.iter().any(|(name, ..)| *name == "node_cpu_seconds_total");
        readings.push("up", &[], f64::from(u8::from(up)));
        self.deliver(&readings, context, cancel, now).await;
    }

    async fn deliver(&mut self, readings: &Readings, context: &SourceContext, cancel: &CancellationToken, now: UtcMs) {
        let instance = &self.settings.instance;
        let sender = Sender { claimed: Some(instance), peer: None, declared: self.settings.asset.as_ref() };
        let asset = context.identity.resolve(&context.name, &sender).asset;
        let mut seen = std::collections::HashSet::new();
        let mut series: Vec<SeriesSamples> = Vec::with_capacity(readings.values.len());
        for (name, labels, value) in &readings.values {
            let own = [(METRIC_NAME, *name), ("job", "host"), ("instance", instance.as_str())];
            let labels = labels.iter().map(|(name, value)| (*name, value.as_str()));
            let one = Series::new(Labels::new(own.into_iter().chain(labels)), asset.clone());
            if seen.insert(one.id) {
                series.push(SeriesSamples { series: Arc::new(one), samples: vec![Sample::new(now, *value)] });
            }
        }
        series.extend(self.present.gone(&series, now));
        context.stats.received(series.len() as u64, 0, now);
        let until = tokio::time::Instant::now() + self.settings.interval;
        for record in records::of_series(context, now, series) {
            let Body::Samples(series) = &record.body else { continue };
            let series = series.clone();
            match tokio::time::timeout_at(until, deliver(context, record, cancel)).await {
                Ok(Delivered::Stored) => self.present.stored(&series),
                Ok(Delivered::Rejected) => {}
                Ok(Delivered::Ended) | Err(_) => context.stats.lost("intake busy", series.len() as u64),
            }
        }
    }
}

/// Reads on a thread that may block, and gives the collector back.
async fn collected(collector: Option<Collector>, now: UtcMs) -> (Readings, Option<Collector>) {
    let Some(mut collector) = collector else {
        let mut readings = Readings::default();
        readings.missing("the collector is gone", "an earlier round did not end");
        return (readings, None);
    };
    let settings = collector.settings.clone();
    let task = tokio::task::spawn_blocking(move || (collector.collect(now), Some(collector)));
    task.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a round of host metrics ended early");
        let mut readings = Readings::default();
        readings.missing("a round ended early", error.to_string());
        let processes = Processes::new(&settings.services);
        (readings, Some(Collector { settings, cpus: Cpus::default(), processes }))
    })
}

#[cfg(test)]
mod tests;
