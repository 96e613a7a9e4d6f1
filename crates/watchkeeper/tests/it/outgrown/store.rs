//! A real metric store outside, started, killed and started again on the same port and data.

use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{client, free_port, peer, until};

/// Which store it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    VictoriaMetrics,
    Prometheus,
}

/// The store, with a folder of its own.
pub struct Store {
    pub kind: Kind,
    pub port: u16,
    test: &'static str,
    dir: tempfile::TempDir,
    child: Option<Child>,
}

impl Store {
    /// One that is not started yet; `None`, and noted as skipped, where it is not on this machine.
    pub fn prepare(test: &'static str, kind: Kind) -> Option<Self> {
        let store = Self { kind, port: free_port(), test, dir: tempfile::tempdir().unwrap(), child: None };
        store.program().map(|_| store)
    }

    /// One that answers.
    pub fn start(test: &'static str, kind: Kind) -> Option<Self> {
        let mut store = Self::prepare(test, kind)?;
        store.launch();
        Some(store)
    }

    fn program(&self) -> Option<std::process::Command> {
        peer(
            self.test,
            match self.kind {
                Kind::VictoriaMetrics => "usr/bin/victoria-metrics",
                Kind::Prometheus => "usr/bin/prometheus",
            },
        )
    }

    pub fn launch(&mut self) {
        let mut command = self.program().unwrap();
        let (data, address) = (self.dir.path().join("data"), format!("127.0.0.1:{}", self.port));
        match self.kind {
            Kind::VictoriaMetrics => command
                .arg(format!("-storageDataPath={}", data.display()))
                .arg(format!("-httpListenAddr={address}"))
                .args(["-search.disableCache", "-search.latencyOffset=0s", "-retentionPeriod=12", "-loggerLevel=WARN"])
                .arg("-dedup.minScrapeInterval=1ms"),
            Kind::Prometheus => {
                let config: PathBuf = self.dir.path().join("prometheus.yml");
                std::fs::write(&config, "storage: {tsdb: {out_of_order_time_window: 1h}}\n").unwrap();
                command
                    .arg(format!("--config.file={}", config.display()))
                    .arg(format!("--storage.tsdb.path={}", data.display()))
                    .arg(format!("--web.listen-address={address}"))
                    .args(["--web.enable-remote-write-receiver", "--log.level=warn"])
            }
        };
        let log = std::fs::File::options().create(true).append(true).open(self.dir.path().join("log")).unwrap();
        self.child = Some(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        until(Duration::from_secs(30), "the store answers", || self.ask("query", &[("query", "1")]));
    }

    /// Kills it as a power cut would end it.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The lines that make a node keep its metrics there.
    pub fn config(&self, further: &str) -> String {
        let kind = match self.kind {
            Kind::VictoriaMetrics => "victoriametrics",
            Kind::Prometheus => "prometheus",
        };
        format!("[storage]\nmetrics = \"{kind}\"\n{further}\n[storage.outside_metrics]\nurl = \"{}\"\n", self.url())
    }

    /// The `data` of an answer; `None` where there is none.
    pub fn ask(&self, path: &str, parameters: &[(&str, &str)]) -> Option<Value> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let answer: Value = client().get(format!("{}/api/v1/{path}?{query}", self.url())).send().ok()?.json().ok()?;
        Some(answer["data"].clone()).filter(|data| !data.is_null())
    }

    /// The times of a series' samples in the last hours, in milliseconds, as the store holds them: each as often as it
    /// is there.
    pub fn times(&self, metric: &str) -> Vec<i64> {
        if self.kind == Kind::VictoriaMetrics {
            let _ = client().get(format!("{}/internal/force_flush", self.url())).send();
        }
        let Some(data) = self.ask("query", &[("query", &format!("{metric}[3h]"))]) else { return Vec::new() };
        let rows = data["result"].as_array().cloned().unwrap_or_default();
        // A store may or may not show the markers that say where a series ends.
        let values = rows.iter().flat_map(|row| row["values"].as_array().cloned().unwrap_or_default());
        let values = values.filter(|pair| pair[1] != "NaN");
        let mut times: Vec<i64> = values.map(|pair| (pair[0].as_f64().unwrap() * 1_000.0).round() as i64).collect();
        times.sort_unstable();
        times
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.kill();
    }
}
