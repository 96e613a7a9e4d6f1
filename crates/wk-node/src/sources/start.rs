//! Starting the sources as the configuration says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wk_config::{Config, SyslogConfig};
use wk_ingest::files::{self, FileSettings};
use wk_ingest::host::{self, HostSettings};
use wk_ingest::journald::{self, JournalSettings};
use wk_ingest::scrape::{Scraper, Target};
use wk_ingest::syslog::tcp::TcpSyslog;
use wk_ingest::syslog::udp::UdpSyslog;
use wk_ingest::syslog::{SyslogError, SyslogSettings};
use wk_types::AssetId;

use super::{JSON_LOGS, REMOTE_WRITE, context, snmp};
use crate::error::NodeError;
use crate::http::chain;
use crate::node::Node;

/// The sockets for syslog, bound before anything else starts, so that a port in use stops the start.
pub struct SyslogSockets {
    udp: UdpSyslog,
    tcp: TcpSyslog,
}

/// Binds the sockets for syslog; `None` where it is switched off.
///
/// # Errors
/// A port in use, an address that is not this machine's.
pub async fn bind_syslog(config: &SyslogConfig) -> Result<Option<SyslogSockets>, NodeError> {
    if !config.enabled {
        return Ok(None);
    }
    let failed = |error: SyslogError| {
        let SyslogError::Listen { transport, address, source } = error;
        NodeError::Listen { what: if transport == "udp" { "syslog (UDP)" } else { "syslog (TCP)" }, address, source }
    };
    let mut settings = SyslogSettings::new(config.listen, TimeZone::system());
    settings.allow_networks.clone_from(&config.allow_networks);
    let udp = UdpSyslog::bind(settings.clone()).await.map_err(failed)?;
    let tcp = TcpSyslog::bind(settings).await.map_err(failed)?;
    Ok(Some(SyslogSockets { udp, tcp }))
}

/// Makes the scraper of the configured targets; `None` where there are none.
///
/// # Errors
/// A target's address that cannot be understood.
pub fn scraper(config: &Config) -> Result<Option<Scraper>, NodeError> {
    let failed = |error: wk_ingest::scrape::ScrapeError| NodeError::Scrape { what: chain(&error) };
    if config.scrape.is_empty() {
        return Ok(None);
    }
    let mut targets = Vec::with_capacity(config.scrape.len());
    for declared in &config.scrape {
        let mut target = Target::new(&declared.url, &declared.job).map_err(failed)?;
        target.interval = Duration::from_secs(declared.interval_s.into());
        target.timeout = Duration::from_secs(declared.timeout_s.into());
        target.labels.clone_from(&declared.labels);
        target.asset = declared.asset.as_deref().map(AssetId::from);
        targets.push(target);
    }
    Scraper::new(targets).map(Some).map_err(failed)
}

/// What is bound or made before the start, so that a mistake stops it.
pub struct Prepared {
    /// The sockets for syslog.
    pub syslog: Option<SyslogSockets>,
    /// The scraper.
    pub scraper: Option<Scraper>,
    /// SNMP and flow records.
    pub snmp: snmp::Prepared,
}

/// Starts every configured source; they end after `stop`.
pub fn start(node: &Arc<Node>, prepared: Prepared, tasks: &TaskTracker, stop: &CancellationToken) {
    if let Some(SyslogSockets { udp, tcp }) = prepared.syslog {
        tasks.spawn(udp.run(context(node, "syslog-udp", false), stop.clone()));
        tasks.spawn(tcp.run(context(node, "syslog-tcp", false), stop.clone()));
    }
    if let Some(scraper) = prepared.scraper {
        tasks.spawn(scraper.run(context(node, "scrape", true), stop.clone()));
    }
    snmp::start(node, prepared.snmp, tasks, stop);
    if node.config.host.enabled {
        tasks.spawn(host::run(context(node, "host", true), host_settings(node), stop.clone()));
    }
    own_logs(node, tasks, stop);
    for name in [REMOTE_WRITE, JSON_LOGS] {
        node.sources.add(name, false);
    }
}

fn host_settings(node: &Node) -> HostSettings {
    let mut settings = HostSettings::new(node.own_asset.as_str());
    settings.interval = Duration::from_secs(node.config.host.interval_s.into());
    settings.asset = Some(node.own_asset.clone());
    settings.services.clone_from(&node.config.host.services);
    settings
}

/// The journal where journald runs; else, or where they are named, files.
fn own_logs(node: &Arc<Node>, tasks: &TaskTracker, stop: &CancellationToken) {
    let (logs, own) = (&node.config.logs, node.own_asset.as_str());
    let search_path = std::env::var("PATH").unwrap_or_default();
    let journald_runs = logs.journald && journald::is_present(Path::new("/"), &search_path);
    if journald_runs {
        let settings = JournalSettings::new(node.folder.root().join("journald.cursor"), own);
        tasks.spawn(journald::run(context(node, "journald", false), settings, stop.clone()));
    }
    let globs = match &logs.files {
        Some(globs) => globs.clone(),
        None if journald_runs => Vec::new(),
        None => files::DEFAULT_GLOBS.map(str::to_owned).to_vec(),
    };
    if !globs.is_empty() {
        let positions = node.folder.root().join("files.positions");
        let settings = FileSettings { globs, ..FileSettings::new(positions, own, TimeZone::system()) };
        tasks.spawn(files::run(context(node, "files", false), settings, stop.clone()));
    }
}
