//! Starting and ending the ship node.

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
use wk_engine::Engine;
use wk_ingest::AssetTable;
use wk_lake::{Lake, LakeOptions};
use wk_store::intake::{IntakeLog, IntakeOptions};
use wk_store::io::SystemIo;
use wk_store::metrics::{MetricOptions, MetricStore};
use wk_store::state::State;
use wk_types::{Asset, AssetId, Body, DurationMs, Edge, NewRecord, Seq, Topology, Verb};

use crate::clock::{now, wall};
use crate::error::NodeError;
use crate::folder::{DataFolder, socket_path};
use crate::http::server::{bind_tcp, bind_unix, serve_tcp, serve_unix};
use crate::http::{self, tls};
use crate::node::Node;
use crate::pipeline::identity::NodeIdentity;
use crate::pipeline::readers;
use crate::pipeline::stages::Health;
use crate::sources::{self, Prepared, SourceRegistry};
use crate::{mail, own_metrics};

/// How often the engine is told that time passes.
const TICK_EVERY: Duration = Duration::from_secs(5);
/// How often the node looks after its lists and seals the journal.
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(10);
/// How long sources and connections may take to end.
const END_MAX: Duration = Duration::from_secs(2);

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

/// A node that runs.
pub struct Started {
    /// Where console and API listen.
    pub address: SocketAddr,
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
    let rules = read_rules(&config, &base)?;
    let mail_settings = mail::settings(&config, &base)?;
    let folder = DataFolder::open(&data)?;
    let encrypted = !listen.ip().is_loopback() && !insecure_http;
    let acceptor = encrypted.then(|| tls::acceptor(&config.http, &data, &hostname())).transpose()?;
    let tcp = bind_tcp("console and API", listen).await?;
    let prepared =
        Prepared { syslog: sources::bind_syslog(&config.syslog).await?, scraper: sources::scraper(&config)? };
    let unix = bind_unix(&socket_path(&data))?;
    let address = tcp.local_addr().unwrap_or(listen);

    let (node, engine, engine_at) = open_node(config, folder, stop.clone())?;
    let node = Arc::new(node);
    let readers_stop = CancellationToken::new();
    let readers = readers::start(&node, engine, engine_at, &readers_stop)
        .map_err(|source| NodeError::Store { store: "readers", source: Box::new(source) })?;
    let setup_token = http::admin::renew_setup_token(&node)
        .map_err(|problem| NodeError::Store { store: "state database", source: problem.message.into() })?;

    let tasks = TaskTracker::new();
    let router = http::router(&node);
    tasks.spawn(serve_unix(unix, router.clone(), stop.clone()));
    tasks.spawn(serve_tcp(tcp, acceptor, router, stop.clone()));
    instruct(&node, rules).await?;
    tasks.spawn(tick(Arc::clone(&node), stop.clone()));
    tasks.spawn(housekeeping(Arc::clone(&node), stop.clone()));
    sources::start(&node, prepared, &tasks, &stop);
    tasks.spawn(own_metrics::run(Arc::clone(&node), node.sources.add(own_metrics::SOURCE, true), stop.clone()));
    mail::start(&node, mail_settings, &tasks, &stop)?;
    tasks.close();
    let scheme = if encrypted { "https" } else { "http" };
    Ok(Started {
        address,
        console_url: format!("{scheme}://{address}/"),
        setup_token,
        tasks,
        readers,
        readers_stop,
        node,
    })
}

impl Started {
    /// Waits until everything has ended and every store is flushed; to be called after the stop.
    pub async fn finish(self) {
        if tokio::time::timeout(END_MAX, self.tasks.wait()).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        self.readers_stop.cancel();
        let (readers, node) = (self.readers, self.node);
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
        if flushed.await.is_err() {
            tracing::error!("the last flush failed; the next start reads the intake log again");
        }
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

/// Opens the stores and restores the engine; answers it with the record it stands at.
pub(crate) fn open_node(
    config: Config,
    folder: DataFolder,
    stop: CancellationToken,
) -> Result<(Node, Engine, Seq), NodeError> {
    let state = State::open(folder.root(), now()).map_err(store_error("state database"))?;
    let (intake, metrics, lake) = open_stores(&config, &folder)?;
    let options = crate::recording::engine_options(DurationMs::from_secs(config.incident.hold_s.into()));
    let (engine, engine_at) = match state.snapshot().map_err(store_error("state database"))? {
        Some((seq, bytes)) => (Engine::load(&bytes, options).map_err(store_error("engine's saved state"))?, seq),
        None => (Engine::new(options), Seq::default()),
    };
    let own_asset = AssetId::from(hostname());
    let identity = Arc::new(NodeIdentity::new(register_assets(&config, &state, &own_asset)?));
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
        sources: SourceRegistry::default(),
        stages: Arc::default(),
        health: Health::default(),
        ready: AtomicBool::new(false),
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

fn open_stores(config: &Config, folder: &DataFolder) -> Result<(IntakeLog, MetricStore, Lake), NodeError> {
    let io = Arc::new(SystemIo);
    let storage = &config.storage;
    let options = IntakeOptions {
        bytes_max: storage.intake_bytes_max,
        readers_required: [readers::METRICS, readers::LOGS, readers::ENGINE].map(str::to_owned).to_vec(),
        ..IntakeOptions::new(wall())
    };
    let (intake, report) = IntakeLog::open(io.clone(), &folder.intake(), options).map_err(store_error("intake log"))?;
    tracing::info!(?report, "intake log opened");
    let options = MetricOptions {
        age_max: DurationMs::from_hours(24 * i64::from(storage.metrics_days)),
        bytes_max: storage.metrics_bytes_max,
        series_max: storage.series_max,
        ..MetricOptions::default()
    };
    let (metrics, report) =
        MetricStore::open(io.clone(), &folder.metrics(), options).map_err(store_error("metric store"))?;
    tracing::info!(?report, "metric store opened");
    let options = LakeOptions {
        age_max: DurationMs::from_hours(24 * i64::from(storage.logs_days)),
        bytes_max: storage.logs_bytes_max,
        ..LakeOptions::default()
    };
    let (lake, report) = Lake::open(io, &folder.logs(), options).map_err(store_error("log store"))?;
    tracing::info!(?report, "log store opened");
    Ok((intake, metrics, lake))
}

/// Puts this machine and the configured assets into the registry, and everything registered into the look-up table.
fn register_assets(config: &Config, state: &State, own: &AssetId) -> Result<AssetTable, NodeError> {
    let failed = store_error("state database");
    let mut this = Asset { id: own.clone(), role: "host".to_owned(), identifiers: Default::default() };
    this.identifiers.entry("hostname".to_owned()).or_default().insert(own.to_string());
    state.upsert_asset(&this).map_err(&failed)?;
    for declared in &config.asset {
        let mut asset =
            Asset { id: declared.id.as_str().into(), role: declared.role.clone(), identifiers: Default::default() };
        let names = asset.identifiers.entry("hostname".to_owned()).or_default();
        names.extend(declared.hostname.iter().cloned());
        names.insert(declared.id.clone());
        asset
            .identifiers
            .entry("ip".to_owned())
            .or_default()
            .extend(declared.ip.iter().map(std::net::IpAddr::to_string));
        state.upsert_asset(&asset).map_err(&failed)?;
    }
    let mut table = AssetTable::new(own, [own.as_str()]);
    for address in wk_ingest::host::addresses(Path::new("/proc")) {
        table.add_own_address(address);
    }
    for asset in state.assets().map_err(&failed)? {
        for clash in table.add(&asset) {
            tracing::warn!(asset = %asset.id, %clash, "a name of the asset belongs to another one already");
        }
    }
    Ok(table)
}

/// The rule files in force, each with its name; checked, so that a mistake stops the start and not the watch.
fn read_rules(config: &Config, base: &Path) -> Result<Vec<(String, String)>, NodeError> {
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
    for (name, text) in &files {
        wk_engine::check_rule_file(name, text).map_err(|error| NodeError::Rules { what: http::chain(&error) })?;
    }
    Ok(files)
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

async fn tick(node: Arc<Node>, stop: CancellationToken) {
    let mut beat = tokio::time::interval(TICK_EVERY);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = beat.tick() => {}
        }
        match node.append(NewRecord { received: now(), source: "clock".into(), body: Body::Tick }).await {
            Ok(_) => node.health.well("clock"),
            Err(error) => node.health.ill("clock", http::chain(&error), now()),
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
