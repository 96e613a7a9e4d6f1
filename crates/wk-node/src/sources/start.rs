//! Starting the sources as the configuration says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::TimeZone;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wk_config::{Config, RelabelConfig, ScrapeConfig};
use wk_ingest::files::{self, FileSettings};
use wk_ingest::host::{self, HostSettings};
use wk_ingest::journald::{self, JournalSettings};
use wk_ingest::relabel::Rule;
use wk_ingest::scrape::{Authorization, Scraper, Target};
use wk_types::AssetId;

use super::sockets::Sockets;
use super::{ELASTICSEARCH, JSON_LOGS, LOKI, OTLP, REMOTE_WRITE, context};
use crate::error::NodeError;
use crate::http::chain;
use crate::node::Node;

/// Makes the scraper of the configured targets; `None` where there are none.
///
/// # Errors
/// A target's address or a rule that cannot be understood.
pub fn scraper(config: &Config, base: &Path) -> Result<Option<Scraper>, NodeError> {
    let failed = |error: wk_ingest::scrape::ScrapeError| NodeError::Scrape { what: chain(&error) };
    if config.scrape.is_empty() {
        return Ok(None);
    }
    let mut targets = Vec::with_capacity(config.scrape.len());
    for declared in &config.scrape {
        targets.extend(target(declared, base)?.relabeled(&rules(&declared.relabel)?).map_err(failed)?);
    }
    Scraper::new(targets).map(Some).map_err(failed)
}

fn target(declared: &ScrapeConfig, base: &Path) -> Result<Target, NodeError> {
    let mut target =
        Target::new(&declared.url, &declared.job).map_err(|error| NodeError::Scrape { what: chain(&error) })?;
    target.interval = Duration::from_secs(declared.interval_s.into());
    target.timeout = Duration::from_secs(declared.timeout_s.into());
    target.labels.clone_from(&declared.labels);
    target.asset = declared.asset.as_deref().map(AssetId::from);
    target.honor_labels = declared.honor_labels;
    target.honor_timestamps = declared.honor_timestamps;
    target.samples_max = declared.sample_limit;
    target.metric_rules = rules(&declared.metric_relabel)?;
    target.authorization = match (&declared.username, &declared.password_file, &declared.bearer_token_file) {
        (Some(user), Some(file), _) => Authorization::Basic { user: user.clone(), password_file: base.join(file) },
        (_, _, Some(file)) => Authorization::Bearer { token_file: base.join(file) },
        _ => Authorization::Nobody,
    };
    Ok(target)
}

fn rules(declared: &[RelabelConfig]) -> Result<Vec<Rule>, NodeError> {
    let each = declared.iter().map(|rule| Rule::new(rule).map_err(|error| NodeError::Scrape { what: chain(&error) }));
    each.collect()
}

/// What is bound or made before the start, so that a mistake stops it.
pub struct Prepared {
    /// The sockets of sources that have their own.
    pub sockets: Sockets,
    /// The scraper.
    pub scraper: Option<Scraper>,
}

/// Starts every configured source; they end after `stop`.
pub fn start(node: &Arc<Node>, prepared: Prepared, tasks: &TaskTracker, stop: &CancellationToken) {
    prepared.sockets.start(node, tasks, stop);
    if let Some(scraper) = prepared.scraper {
        tasks.spawn(scraper.run(context(node, "scrape", true), stop.clone()));
    }
    if node.config.host.enabled {
        tasks.spawn(host::run(context(node, "host", true), host_settings(node), stop.clone()));
    }
    own_logs(node, tasks, stop);
    for name in [REMOTE_WRITE, JSON_LOGS, OTLP, LOKI, ELASTICSEARCH] {
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
