//! The stores that are compared: each an empty folder, a process on loopback, and the same two interfaces.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::blocking::Client;
use serde_json::Value;

use super::process::{Process, Usage, folder_bytes};

/// How long a request may take.
const REQUEST_MAX: Duration = Duration::from_secs(120);
/// The readers of our intake log that must have passed a record before it may be freed.
const READERS: [&str; 3] = ["metrics", "logs", "engine"];

/// Which store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The program this repository builds.
    Watchkeeper,
    /// Debian's VictoriaMetrics.
    VictoriaMetrics,
    /// Debian's Prometheus.
    Prometheus,
}

/// A running store.
pub struct Store {
    /// Which one.
    pub kind: Kind,
    /// Its version.
    pub version: String,
    /// Its process.
    pub process: Process,
    /// Where it is reached.
    pub url: String,
    /// From its start until it was ready.
    pub ready_after: Duration,
    /// Where it takes syslog, of ours.
    pub syslog: String,
    /// What queries carry.
    token: Option<String>,
    folder: PathBuf,
    client: Client,
}

/// A client that talks to nobody but the address it is given.
pub fn client() -> Result<Client> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(Client::builder().no_proxy().timeout(REQUEST_MAX).pool_max_idle_per_host(2).build()?)
}

/// A free port of loopback.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Where the set-up unpacked the peers.
pub fn peers() -> Result<PathBuf> {
    let given = std::env::var_os("WATCHKEEPER_PEERS").map(PathBuf::from);
    let cache = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache/watchkeeper/peers"));
    let folder = given.or(cache).context("neither WATCHKEEPER_PEERS nor HOME is set")?;
    ensure!(folder.is_dir(), "there are no peers in {}; fetch them: ./x peers", folder.display());
    Ok(folder)
}

/// A program of the peers.
pub fn peer(name: &str) -> Result<PathBuf> {
    let program = peers()?.join("usr/bin").join(name);
    ensure!(program.exists(), "there is no {}; fetch it: ./x peers", program.display());
    Ok(program)
}

/// The version of a peer's Debian package, from its changelog.
pub fn package_version(package: &str) -> Result<String> {
    let folder = peers()?.join("usr/share/doc").join(package);
    let logs = ["changelog.Debian.amd64.gz", "changelog.Debian.gz", "changelog.gz"];
    let log = logs.iter().map(|name| folder.join(name)).find(|path| path.exists());
    let log = log.with_context(|| format!("{package} has no changelog in {}", folder.display()))?;
    let text = Command::new("zcat").arg(log).output()?.stdout;
    let text = String::from_utf8_lossy(&text);
    let version = text.split_once('(').and_then(|(_, rest)| rest.split_once(')'));
    Ok(version.context("the changelog names no version")?.0.to_owned())
}

/// Our built program.
pub fn program() -> Result<PathBuf> {
    if let Some(program) = std::env::var_os("WATCHKEEPER_PROGRAM") {
        return Ok(program.into());
    }
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let program = folder.join("release/watchkeeper");
    ensure!(program.exists(), "{} is missing; build it: cargo build --release -p watchkeeper", program.display());
    Ok(program)
}

fn our_version() -> Result<String> {
    let said = Command::new(program()?).arg("--version").output()?.stdout;
    let version = String::from_utf8_lossy(&said).trim().trim_start_matches("watchkeeper ").to_owned();
    let commit = Command::new("git").args(["describe", "--always", "--dirty"]).output().map(|output| output.stdout);
    Ok(format!("{version} ({})", String::from_utf8_lossy(&commit.unwrap_or_default()).trim()))
}

impl Kind {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Watchkeeper => "watchkeeper",
            Self::VictoriaMetrics => "VictoriaMetrics",
            Self::Prometheus => "Prometheus",
        }
    }

    const fn ready_path(self) -> &'static str {
        match self {
            Self::Watchkeeper => "/readyz",
            Self::VictoriaMetrics => "/health",
            Self::Prometheus => "/-/ready",
        }
    }
}

impl Store {
    /// Starts a store in a folder, which is made where it does not exist.
    pub fn start(kind: Kind, folder: &Path) -> Result<Self> {
        Self::start_with(kind, folder, "")
    }

    /// As [`start`](Self::start), with further lines of our configuration.
    pub fn start_with(kind: Kind, folder: &Path, further: &str) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let address = format!("127.0.0.1:{}", free_port()?);
        let syslog = format!("127.0.0.1:{}", free_port()?);
        let (mut command, version) = match kind {
            Kind::Watchkeeper => (watchkeeper(folder, [&address, &syslog], further)?, our_version()?),
            Kind::VictoriaMetrics => (victoria_metrics(folder, &address)?, package_version("victoria-metrics")?),
            Kind::Prometheus => (prometheus(folder, &address)?, package_version("prometheus")?),
        };
        let client = client()?;
        let mut process = Process::start(&mut command, &folder.join("log"))?;
        let url = format!("http://{address}");
        let ready_after = process
            .wait_ready(&client, &format!("{url}{}", kind.ready_path()))
            .with_context(|| format!("{} did not start", kind.name()))?;
        let token = if kind == Kind::Watchkeeper { Some(make_token(folder)?) } else { None };
        Ok(Self { kind, version, process, url, ready_after, syslog, token, folder: folder.to_owned(), client })
    }

    /// A request that may carry a token.
    pub fn get(&self, path: &str) -> reqwest::blocking::RequestBuilder {
        self.authorized(self.client.get(format!("{}{path}", self.url)))
    }

    /// A request with parameters.
    pub fn query(&self, path: &str, parameters: &[(&str, &str)]) -> reqwest::blocking::RequestBuilder {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        self.get(&format!("{path}?{query}"))
    }

    /// A request that changes or asks something.
    pub fn post(&self, path: &str) -> reqwest::blocking::RequestBuilder {
        self.authorized(self.client.post(format!("{}{path}", self.url)))
    }

    fn authorized(&self, request: reqwest::blocking::RequestBuilder) -> reqwest::blocking::RequestBuilder {
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// The answer to a request, as JSON.
    pub fn json(request: reqwest::blocking::RequestBuilder) -> Result<Value> {
        let answer = request.send()?;
        let status = answer.status();
        let text = answer.text()?;
        ensure!(status.is_success(), "{status}: {}", text.chars().take(500).collect::<String>());
        Ok(serde_json::from_str(&text)?)
    }

    /// What it has used so far.
    pub fn usage(&self) -> Result<Usage> {
        self.process.usage()
    }

    /// Waits until everything sent so far is answered by queries.
    pub fn wait_queryable(&self) -> Result<()> {
        match self.kind {
            Kind::Prometheus => Ok(()),
            Kind::VictoriaMetrics => {
                self.get("/internal/force_flush").send()?.error_for_status()?;
                Ok(())
            }
            Kind::Watchkeeper => self.wait_readers("reached", Duration::from_secs(300)),
        }
    }

    /// Waits until every reader's cursor in our intake log has passed what is in it now, so that it may be freed.
    pub fn wait_freeable(&self) -> Result<()> {
        match self.kind {
            // The engine's state is saved every 5 min.
            Kind::Watchkeeper => self.wait_readers("cursor", Duration::from_secs(420)),
            Kind::VictoriaMetrics | Kind::Prometheus => Ok(()),
        }
    }

    fn wait_readers(&self, field: &str, within: Duration) -> Result<()> {
        let end = record_number(&self.pipeline()?["intake"]["last"])?;
        let deadline = std::time::Instant::now() + within;
        loop {
            let pipeline = self.pipeline()?;
            let readers = pipeline["intake"]["readers"].as_array().context("the pipeline shows no readers")?;
            let passed = READERS.iter().all(|name| {
                let reader = readers.iter().find(|reader| reader["name"] == *name);
                reader.is_some_and(|reader| record_number(&reader[field]).is_ok_and(|at| at >= end))
            });
            if passed {
                return Ok(());
            }
            ensure!(std::time::Instant::now() < deadline, "not within {within:?}: {field} of all readers: {readers:?}");
            std::thread::sleep(Duration::from_millis(250));
        }
    }

    /// Our pipeline page.
    pub fn pipeline(&self) -> Result<Value> {
        Self::json(self.get("/api/v1/pipeline"))
    }

    /// The folder that holds everything it keeps.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Ends it cleanly and tells what it keeps on disk.
    pub fn stop(&mut self) -> Result<Disk> {
        let snapshot = self.prepare_end()?;
        self.process.terminate()?;
        let data = self.data();
        let part = |path: &str| folder_bytes(&data.join(path));
        Ok(match self.kind {
            Kind::Watchkeeper => Disk { samples: part("metrics")?, index: 0, all: folder_bytes(&data)? },
            Kind::VictoriaMetrics => {
                Disk { samples: part("data")?, index: part("indexdb")?, all: folder_bytes(&data)? }
            }
            Kind::Prometheus => {
                // The snapshot's files are links to those of the blocks.
                Disk { samples: snapshot, index: 0, all: folder_bytes(&data)? - part("snapshots")? }
            }
        })
    }

    /// What each store does to its files at its best, before they are counted.
    fn prepare_end(&self) -> Result<u64> {
        match self.kind {
            Kind::Watchkeeper => Ok(0),
            Kind::VictoriaMetrics => {
                self.get("/internal/force_flush").send()?.error_for_status()?;
                self.get("/internal/force_merge").send()?.error_for_status()?;
                self.wait_settled()?;
                Ok(0)
            }
            Kind::Prometheus => {
                let answer = Self::json(self.post("/api/v1/admin/tsdb/snapshot"))?;
                let name = answer["data"]["name"].as_str().context("the snapshot has no name")?.to_owned();
                folder_bytes(&self.data().join("snapshots").join(name))
            }
        }
    }

    /// Waits until merges have ended: the files no longer change for 5 s.
    fn wait_settled(&self) -> Result<()> {
        let (mut last, mut same) = (0, 0);
        for _ in 0..600 {
            let bytes = folder_bytes(&self.data())?;
            same = if bytes == last { same + 1 } else { 0 };
            if same >= 10 {
                return Ok(());
            }
            last = bytes;
            std::thread::sleep(Duration::from_millis(500));
        }
        bail!("its files still change after 5 min")
    }
}

/// Bytes that a store keeps.
#[derive(Debug, Clone, Copy)]
pub struct Disk {
    /// Its samples; where the index is in the same files, the index too.
    pub samples: u64,
    /// Its index, where it is apart.
    pub index: u64,
    /// All of its files: logs written ahead, state and all.
    pub all: u64,
}

/// The number of a record, which is shown as `r123` or as a number.
fn record_number(value: &Value) -> Result<u64> {
    let shown = value.as_str().map(|text| text.trim_start_matches('r').to_owned());
    let number = value.as_u64().or_else(|| shown?.parse().ok());
    number.with_context(|| format!("{value} is no record"))
}

fn watchkeeper(folder: &Path, [address, syslog]: [&str; 2], further: &str) -> Result<Command> {
    // Every setting that bears on what is measured stays at its default; only the machine itself is not watched.
    let config = format!(
        "name = \"MV Bench\"\n[http]\nlisten = \"{address}\"\n[syslog]\nlisten = \"{syslog}\"\n[logs]\njournald = false\n\
         files = []\n[host]\nenabled = false\n{further}"
    );
    let file = folder.join("watchkeeper.toml");
    std::fs::write(&file, config)?;
    let mut command = Command::new(program()?);
    command.args(["ship", "--config"]).arg(file).arg("--data").arg(folder.join("data"));
    Ok(command)
}

fn make_token(folder: &Path) -> Result<String> {
    let made = Command::new(program()?)
        .arg("--data")
        .arg(folder.join("data"))
        .args(["token", "create", "--role", "viewer", "--json"])
        .output()?;
    ensure!(made.status.success(), "no token: {}", String::from_utf8_lossy(&made.stderr));
    let answer: Value = serde_json::from_slice(&made.stdout)?;
    Ok(answer["secret"].as_str().context("the token has no secret")?.to_owned())
}

fn victoria_metrics(folder: &Path, address: &str) -> Result<Command> {
    let mut command = Command::new(peer("victoria-metrics")?);
    command
        .arg(format!("-storageDataPath={}", folder.join("data").display()))
        .arg(format!("-httpListenAddr={address}"))
        // Queries answer from the data and not from earlier answers, and see what has just been written.
        .args(["-search.disableCache", "-search.latencyOffset=0s", "-retentionPeriod=12", "-loggerLevel=WARN"]);
    Ok(command)
}

fn prometheus(folder: &Path, address: &str) -> Result<Command> {
    let config = folder.join("prometheus.yml");
    std::fs::write(&config, "global: {}\n")?;
    let mut command = Command::new(peer("prometheus")?);
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={address}"))
        .args(["--web.enable-remote-write-receiver", "--web.enable-admin-api", "--log.level=warn"])
        .arg("--query.max-samples=200000000");
    Ok(command)
}
