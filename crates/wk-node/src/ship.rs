//! Starting and ending the ship node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wk_config::Config;
use wk_engine::{Engine, RuleSummary};
use wk_ingest::otlp::Starts;
use wk_ingest::series_cache::SeriesCache;
use wk_ingest::{AssetTable, MetadataTable};
use wk_lake::{Lake, LakeOptions};
use wk_store::intake::{IntakeLog, IntakeOptions};
use wk_store::io::SystemIo;
use wk_store::metrics::{MetricOptions, MetricStore};
use wk_store::state::State;
use wk_types::{Asset, AssetId, Body, DurationMs, Edge, NewRecord, Seq, Topology, Verb};

use crate::clock::{now, wall};
use crate::error::NodeError;
use crate::folder::{DataFolder, socket_path};
use crate::http::receivers;
use crate::http::server::{Protocol, bind_tcp, bind_unix, serve_tcp, serve_unix};
use crate::http::tls::Tls;
use crate::http::{self, tls};
use crate::node::Node;
use crate::pipeline::identity::NodeIdentity;
use crate::pipeline::readers;
use crate::pipeline::stages::Health;
use crate::sources::{self, Prepared, Sockets, SourceRegistry};
use crate::{mail, own_metrics};

/// How often the engine is told that time passes.
const TICK_EVERY: Duration = Duration::from_secs(5);
/// How often the node looks after its lists and seals the journal.
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(10);
/// How long sources and connections may take to end.
const END_MAX: Duration = Duration::from_millis(1_500);
/// How long the stores may take to write what they hold in memory; the next start reads it from the intake log else.
const FLUSH_MAX: Duration = Duration::from_millis(2_500);
/// The part of the node that tells the engine the time; it fails where nothing can be appended.
pub(crate) const CLOCK: &str = "clock";

/// How to start a ship node.
#[derive(Debug)]
pub struct ShipOptions {
    /// The configuration in force.
    pub config: Config,
    /// The folder that relative paths of the configuration are meant from.
    pub base: PathBuf,
    /// The data folder.
    pub data: PathBuf,
    /// Whether an address other than loopback may be served without TLS.
    pub insecure_http: bool,
}

/// Where people and programs reach the node.
#[derive(Debug, Clone, Copy)]
pub struct Address {
    listen: SocketAddr,
    encrypted: bool,
}

impl Address {
    /// TLS wherever a certificate is given, and on every address but loopback unless that was waived.
    fn of(config: &Config, insecure_http: bool) -> Self {
        let listen = config.http.listen;
        Self { listen, encrypted: receivers::is_encrypted(&config.http, listen, insecure_http) }
    }

    /// The address for a browser, without a slash at its end.
    pub fn url(&self) -> String {
        let scheme = if self.encrypted { "https" } else { "http" };
        if self.listen.ip().is_unspecified() {
            return format!("{scheme}://{}:{}", hostname(), self.listen.port());
        }
        format!("{scheme}://{}", self.listen)
    }
}

/// A node that runs.
pub struct Started {
    /// The console's address for a browser.
    pub console_url: String,
    /// The set-up token, while no account exists.
    pub setup_token: Option<String>,
    tasks: TaskTracker,
    readers: Vec<JoinHandle<()>>,
    readers_stop: CancellationToken,
    node: Arc<Node>,
}

/// Starts a ship node; it runs until `stop` is cancelled and [`Started::finish`] has returned.
///
/// # Errors
/// A folder, address, certificate or rule file that cannot be used, each with a hint.
pub async fn start_ship(options: ShipOptions, stop: CancellationToken) -> Result<Started, NodeError> {
    let ShipOptions { config, base, data, insecure_http } = options;
    let listen = config.http.listen;
    let (rules, summaries) = read_rules(&config, &base)?;
    let address = Address::of(&config, insecure_http);
    let mail_settings = mail::settings(&config, &base, &address)?;
    let folder = DataFolder::open(&data)?;
    let acceptor =
        address.encrypted.then(|| tls::acceptor(&Tls::of(&config.http, listen, &base, &data), &[])).transpose()?;
    let tcp = bind_tcp("console and API", listen).await?;
    let prepared =
        Prepared { sockets: Sockets::bind(&config, &base, &data).await?, scraper: sources::scraper(&config, &base)? };
    let receivers = receivers::bind(&config, &base, &data, insecure_http).await?;
    let unix = bind_unix(&socket_path(&data))?;

    let (mut node, engine, engine_at) = open_node(config, folder, stop.clone(), Purpose::Run)?;
    node.scraper.clone_from(&prepared.scraper);
    node.rules = summaries;
    let node = Arc::new(node);
    let readers_stop = CancellationToken::new();
    let readers = readers::start(&node, engine, engine_at, &readers_stop)
        .map_err(|source| NodeError::Store { store: "readers", source: Box::new(source) })?;
    let setup_token = http::admin::renew_setup_token(&node)
        .map_err(|problem| NodeError::Store { store: "state database", source: problem.message.into() })?;

    let tasks = TaskTracker::new();
    let router = http::router(&node);
    tasks.spawn(serve_unix(unix, router.clone(), stop.clone()));
    tasks.spawn(serve_tcp(tcp, acceptor, router, Protocol::Http1, stop.clone()));
    receivers::serve(&node, receivers, &tasks, &stop);
    instruct(&node, rules).await?;
    watch_over(&node, &tasks, CLOCK, tick(Arc::clone(&node), stop.clone()));
    watch_over(&node, &tasks, "housekeeping", housekeeping(Arc::clone(&node), stop.clone()));
    sources::start(&node, prepared, &tasks, &stop);
    tasks.spawn(own_metrics::run(Arc::clone(&node), node.sources.add(own_metrics::SOURCE, true), stop.clone()));
    mail::start(&node, mail_settings, &tasks, &stop)?;
    tasks.close();
    Ok(Started { console_url: format!("{}/", address.url()), setup_token, tasks, readers, readers_stop, node })
}

impl Started {
    /// Resolves when the node stops by itself, because one of its parts ended by a bug.
    pub async fn failed(&self) {
        self.node.stop.cancelled().await;
    }

    /// Waits until everything has ended and every store is flushed; to be called after the stop. Answers whether the
    /// node ended because it was told to.
    pub async fn finish(self) -> bool {
        if tokio::time::timeout(END_MAX, self.tasks.wait()).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        self.readers_stop.cancel();
        let (readers, node) = (self.readers, self.node);
        let failed = node.failed.load(std::sync::atomic::Ordering::Relaxed);
        let flushed = tokio::task::spawn_blocking(move || {
            for reader in readers {
                let _ = reader.join();
            }
            if let Err(error) = node.state.seal(now()) {
                tracing::warn!(%error, "the journal could not be sealed");
            }
            node.intake.close();
            let _ = std::fs::remove_file(socket_path(node.folder.root()));
        });
        match tokio::time::timeout(FLUSH_MAX, flushed).await {
            Ok(Ok(())) => {}
            _ => tracing::warn!("the stores could not be flushed in time; the next start reads the intake log"),
        }
        !failed
    }
}

/// This machine's name.
#[must_use]
pub fn hostname() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".to_owned() } else { name }
}

fn store_error<E: std::error::Error + Send + Sync + 'static>(store: &'static str) -> impl Fn(E) -> NodeError {
    move |source| NodeError::Store { store, source: Box::new(source) }
}

/// What a folder is opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To run the node.
    Run,
    /// To answer questions while the node is down.
    Read,
}

/// Opens the stores and restores the engine; answers it with the record it stands at.
pub(crate) fn open_node(
    config: Config,
    folder: DataFolder,
    stop: CancellationToken,
    purpose: Purpose,
) -> Result<(Node, Engine, Seq), NodeError> {
    let state = State::open(folder.root(), now()).map_err(store_error("state database"))?;
    let (intake, metrics, lake) = open_stores(&config, &folder, &state)?;
    let options = crate::recording::engine_options(DurationMs::from_secs(config.incident.hold_s.into()));
    let (engine, engine_at) = match state.snapshot().map_err(store_error("state database"))? {
        Some((seq, bytes)) => (Engine::load(&bytes, options).map_err(store_error("engine's saved state"))?, seq),
        None => (Engine::new(options), Seq::default()),
    };
    let own_asset = AssetId::from(hostname());
    if purpose == Purpose::Run {
        register_assets(&config, &state, &own_asset)?;
    }
    let identity = Arc::new(NodeIdentity::new(asset_table(&state, &own_asset)?));
    let (journal_end, _) = watch::channel(0);
    let node = Node {
        vessel: state.vessel(),
        own_asset,
        started: now(),
        caught_up: intake.durable(),
        config,
        folder,
        intake,
        metrics,
        lake,
        state,
        identity,
        series: SeriesCache::default(),
        starts: Starts::default(),
        sources: SourceRegistry::default(),
        scraper: None,
        metadata: MetadataTable::default(),
        rules: Vec::new(),
        stages: Arc::default(),
        health: Health::default(),
        ready: AtomicBool::new(false),
        failed: AtomicBool::new(false),
        journal_end,
        stop,
    };
    let end = node.journal_end.clone();
    node.state.on_journal(move |last| {
        end.send_replace(last);
    });
    if let Ok(latest) = node.state.journal_latest(None, None, 1) {
        node.journal_end.send_replace(latest.first().map_or(0, |entry| entry.entry));
    }
    Ok((node, engine, engine_at))
}

/// Opens the stores. What of the intake log is damaged is told in the journal; damaged files of the others are set
/// aside by them and shown by doctor.
fn open_stores(
    config: &Config,
    folder: &DataFolder,
    state: &State,
) -> Result<(IntakeLog, MetricStore, Lake), NodeError> {
    let io = Arc::new(SystemIo);
    let storage = &config.storage;
    let options = IntakeOptions {
        bytes_max: storage.intake_bytes_max,
        readers_required: [readers::METRICS, readers::LOGS, readers::ENGINE].map(str::to_owned).to_vec(),
        ..IntakeOptions::new(wall())
    };
    let (intake, report) = IntakeLog::open(io.clone(), &folder.intake(), options).map_err(store_error("intake log"))?;
    tracing::info!(last = %report.last, segments = report.segments, bytes = report.bytes, "intake log opened");
    readers::report_damage(state, &report.damage).map_err(store_error("state database"))?;
    let options = MetricOptions {
        age_max: DurationMs::from_hours(24 * i64::from(storage.metrics_days)),
        rollup_5m_age_max: DurationMs::from_hours(24 * i64::from(storage.metrics_5m_days)),
        rollup_1h_age_max: DurationMs::from_hours(24 * i64::from(storage.metrics_1h_days)),
        bytes_max: storage.metrics_bytes_max,
        disk_percent_max: storage.metrics_disk_percent_max,
        series_max: storage.series_max,
        source_series_max: storage.source_series_max,
        ..MetricOptions::default()
    };
    let (metrics, report) =
        MetricStore::open(io.clone(), &folder.metrics(), options).map_err(store_error("metric store"))?;
    tracing::info!(cursor = %report.cursor, blocks = report.blocks, damaged = report.damaged.len(), "metric store opened");
    let options = LakeOptions {
        age_max: DurationMs::from_hours(24 * i64::from(storage.logs_days)),
        bytes_max: storage.logs_bytes_max,
        vessel: Some(state.vessel()),
        ..LakeOptions::default()
    };
    let (lake, report) = Lake::open(io, &folder.logs(), options).map_err(store_error("log store"))?;
    tracing::info!(cursor = %report.cursor, files = report.files, unusable = report.problems.len(), "log store opened");
    Ok((intake, metrics, lake))
}

/// Puts this machine and the configured assets into the registry; what the configuration no longer names goes.
fn register_assets(config: &Config, state: &State, own: &AssetId) -> Result<(), NodeError> {
    let failed = store_error("state database");
    let this = Asset { id: own.clone(), role: "host".to_owned(), identifiers: names(&[own.as_str()], &[]) };
    state.upsert_asset(&this).map_err(&failed)?;
    let declared: Vec<Asset> = config
        .asset
        .iter()
        .map(|one| {
            let hosts: Vec<&str> = std::iter::once(&one.id).chain(&one.hostname).map(String::as_str).collect();
            Asset { id: one.id.as_str().into(), role: one.role.clone(), identifiers: names(&hosts, &one.ip) }
        })
        .collect();
    state.assets_from_configuration(&declared).map_err(&failed)
}

fn names(hosts: &[&str], addresses: &[std::net::IpAddr]) -> BTreeMap<String, BTreeSet<String>> {
    let hosts = hosts.iter().map(|&host| host.to_owned()).collect();
    let addresses = addresses.iter().map(ToString::to_string).collect();
    [("hostname".to_owned(), hosts), ("ip".to_owned(), addresses)].into()
}

/// The look-up table of everything registered and of this machine's own addresses.
fn asset_table(state: &State, own: &AssetId) -> Result<AssetTable, NodeError> {
    let mut table = AssetTable::new(own, [own.as_str()]);
    for address in wk_ingest::host::addresses(Path::new("/proc")) {
        table.add_own_address(address);
    }
    for asset in state.assets().map_err(store_error("state database"))? {
        for clash in table.add(&asset) {
            tracing::warn!(asset = %asset.id, %clash, "a name of the asset belongs to another one already");
        }
    }
    Ok(table)
}

/// Rule files by name.
type ByFile<T> = Vec<(String, T)>;

/// The rule files in force and what is in them; checked, so that a mistake stops the start and not the watch.
fn read_rules(config: &Config, base: &Path) -> Result<(ByFile<String>, ByFile<Vec<RuleSummary>>), NodeError> {
    let mut files = Vec::new();
    if config.rules.defaults {
        files.push((wk_engine::DEFAULT_RULES_FILE.to_owned(), wk_engine::DEFAULT_RULES.to_owned()));
    }
    for path in &config.rules.files {
        let path = base.join(path);
        let text = std::fs::read_to_string(&path)
            .map_err(|error| NodeError::Rules { what: format!("{}: {error}", path.display()) })?;
        files.push((path.display().to_string(), text));
    }
    let mut summaries = Vec::with_capacity(files.len());
    for (name, text) in &files {
        let rules =
            wk_engine::check_rule_file(name, text).map_err(|error| NodeError::Rules { what: http::chain(&error) })?;
        summaries.push((name.clone(), rules));
    }
    Ok((files, summaries))
}

/// Tells the engine which rules and topology are in force; the same ones again change nothing.
async fn instruct(node: &Node, files: Vec<(String, String)>) -> Result<(), NodeError> {
    let edges = node.config.edge.iter().map(|edge| Edge {
        from: edge.from.as_str().into(),
        kind: edge.kind,
        to: edge.to.as_str().into(),
    });
    let topology = Topology { edges: edges.collect() };
    node.state.set_topology(&topology).map_err(store_error("state database"))?;
    for verb in [Verb::SetRules { files }, Verb::SetTopology { topology }] {
        http::incidents::send(node, None, verb)
            .await
            .map_err(|problem| NodeError::Store { store: "intake log", source: problem.message.into() })?;
    }
    Ok(())
}

/// Runs a task of the node; one that ends by a bug ends the node.
pub(crate) fn watch_over(
    node: &Arc<Node>,
    tasks: &TaskTracker,
    part: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) {
    let node = Arc::clone(node);
    let running = tasks.spawn(task);
    tasks.spawn(async move {
        if running.await.is_err_and(|error| error.is_panic()) {
            node.fail(part);
        }
    });
}

async fn tick(node: Arc<Node>, stop: CancellationToken) {
    let mut beat = tokio::time::interval(TICK_EVERY);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => {}
        }
        match node.append(NewRecord { received: now(), source: CLOCK.into(), body: Body::Tick }).await {
            Ok(_) => node.health.well(CLOCK),
            Err(error) => node.health.ill(CLOCK, http::chain(&error), now()),
        }
    }
}

async fn housekeeping(node: Arc<Node>, stop: CancellationToken) {
    let mut beat = tokio::time::interval(HOUSEKEEPING_EVERY);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => {}
        }
        let kept = Arc::clone(&node);
        let _ = tokio::task::spawn_blocking(move || {
            match kept.identity.flush(&kept.state, now()).and_then(|()| kept.state.seal(now())) {
                Ok(()) => kept.health.well("state"),
                Err(error) => kept.health.ill("state", http::chain(&error), now()),
            }
        })
        .await;
    }
}
