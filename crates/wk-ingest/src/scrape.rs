//! Scraping: fetches the metrics of configured targets over HTTP, as Prometheus does.
//!
//! Labels of the target win over those of its samples, which then get the prefix `exported_` unless `honor_labels` is
//! set. A series that a target no longer shows, and every series of a target that does not answer, gets a stale marker;
//! series with their own timestamps do not, as in Prometheus.

mod fetch;
mod target;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::Url;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wk_types::{AssetId, ErrorKind, UtcMs};

use crate::contract::SourceContext;
use crate::metadata::Metadata;
use crate::relabel::{self, LabelMap, Rule};
use target::TargetState;

pub use fetch::client;

/// How many bytes an answer may have once it is decompressed.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How many samples a scrape may have by default.
pub const SAMPLES_MAX: usize = 50_000;

/// One target.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where its metrics are.
    pub url: Url,
    /// How often it is scraped.
    pub interval: Duration,
    /// How long it may take to answer.
    pub timeout: Duration,
    /// The label `job`.
    pub job: String,
    /// Further labels; `instance` is host and port of the URL unless it stands here.
    pub labels: BTreeMap<String, String>,
    /// The asset that all its series belong to, where the configuration says so.
    pub asset: Option<AssetId>,
    /// Tells whether labels of the samples win over those of the target.
    pub honor_labels: bool,
    /// Tells whether times that the target gives are kept.
    pub honor_timestamps: bool,
    /// How many samples a scrape may have; one with more fails as a whole.
    pub samples_max: usize,
    /// How this side says who it is.
    pub authorization: Authorization,
    /// Rules for the labels of its samples.
    pub metric_rules: Vec<Rule>,
}

/// How a scrape says who it is. Files are read anew for each scrape, so that what they hold may change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Authorization {
    /// It does not.
    #[default]
    Nobody,
    /// By a user and the password in a file.
    Basic {
        /// The user.
        user: String,
        /// The file.
        password_file: PathBuf,
    },
    /// By the token in a file.
    Bearer {
        /// The file.
        token_file: PathBuf,
    },
}

impl Target {
    /// Makes a target with the shipped defaults: every 15 s, 10 s to answer.
    ///
    /// # Errors
    /// Text that is no http or https URL.
    pub fn new(url: &str, job: &str) -> Result<Self, ScrapeError> {
        let refuse = || ScrapeError::Url { url: url.to_owned() };
        let parsed = Url::parse(url).map_err(|_| refuse())?;
        if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
            return Err(refuse());
        }
        Ok(Self {
            url: parsed,
            interval: Duration::from_secs(15),
            timeout: Duration::from_secs(10),
            job: job.to_owned(),
            labels: BTreeMap::new(),
            asset: None,
            honor_labels: false,
            honor_timestamps: true,
            samples_max: SAMPLES_MAX,
            authorization: Authorization::Nobody,
            metric_rules: Vec::new(),
        })
    }

    /// Applies rules to the target's labels, as Prometheus does before it scrapes; answers `None` where they drop it.
    ///
    /// # Errors
    /// Rules that make no http or https URL of its address.
    pub fn relabeled(mut self, rules: &[Rule]) -> Result<Option<Self>, ScrapeError> {
        let mut labels: LabelMap = self.labels.clone();
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let own = [
            ("job", self.job.clone()),
            ("__scheme__", self.url.scheme().to_owned()),
            ("__address__", format!("{}{port}", self.url.host_str().unwrap_or_default())),
            ("__metrics_path__", self.url.path().to_owned()),
        ];
        labels.extend(own.map(|(name, value)| (name.to_owned(), value)));
        let parameters = self.url.query_pairs().map(|(name, value)| (format!("__param_{name}"), value.into_owned()));
        labels.extend(parameters);
        if !relabel::apply(rules, &mut labels) {
            return Ok(None);
        }
        let take = |labels: &mut LabelMap, name: &str| labels.remove(name).unwrap_or_default();
        let scheme = take(&mut labels, "__scheme__");
        let address = take(&mut labels, "__address__");
        let path = take(&mut labels, "__metrics_path__");
        let text = format!("{scheme}://{address}/{}", path.trim_start_matches('/'));
        let mut url = Self::new(&text, &self.job)?.url;
        let parameters: Vec<(&str, &String)> =
            labels.iter().filter_map(|(name, value)| Some((name.strip_prefix("__param_")?, value))).collect();
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        let same =
            |new: &mut Url, old: &Url| new.set_username(old.username()).and_then(|()| new.set_password(old.password()));
        same(&mut url, &self.url).map_err(|()| ScrapeError::Url { url: text })?;
        self.url = url;
        self.job = take(&mut labels, "job");
        labels.retain(|name, _| !name.starts_with("__"));
        self.labels = labels;
        Ok(Some(self))
    }

    /// The label `instance`.
    #[must_use]
    pub fn instance(&self) -> String {
        if let Some(instance) = self.labels.get("instance") {
            return instance.clone();
        }
        let host = self.url.host_str().unwrap_or("");
        self.url.port_or_known_default().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The address without a password, to be shown.
    #[must_use]
    pub fn shown_url(&self) -> String {
        shown_url(&self.url)
    }

    /// When in its interval the target is scraped, so that targets do not all come at once.
    fn offset(&self) -> Duration {
        let mut hasher = DefaultHasher::new();
        (self.url.as_str(), &self.job).hash(&mut hasher);
        let interval = u64::try_from(self.interval.as_millis()).unwrap_or(u64::MAX).max(1);
        Duration::from_millis(hasher.finish() % interval)
    }
}

/// An address with `xxxxx` in place of its password.
#[must_use]
pub fn shown_url(url: &Url) -> String {
    let mut shown = url.clone();
    if shown.password().is_some() && shown.set_password(Some("xxxxx")).is_err() {
        return String::new();
    }
    shown.to_string()
}

/// How a target did the last time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TargetHealth {
    /// When it was last scraped; `None` before the first time.
    pub scraped: Option<UtcMs>,
    /// Why that failed.
    pub error: Option<String>,
    /// How many samples it had.
    pub samples: usize,
    /// How long it took.
    pub duration_ms: u64,
}

/// Why scraping cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ScrapeError {
    /// The address is not one that can be scraped.
    #[error("could not read {url:?} as a target; write a URL such as http://10.0.0.5:9100/metrics")]
    Url {
        /// The text as written.
        url: String,
    },
    /// The process has no cryptography provider for TLS.
    #[error("no provider of cryptography is installed in this process")]
    NoProvider,
    /// The HTTP client cannot be made.
    #[error("could not make the http client")]
    Client(#[source] reqwest::Error),
}

impl ScrapeError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Url { .. } => ErrorKind::InvalidInput,
            Self::NoProvider => ErrorKind::Bug,
            Self::Client(_) => ErrorKind::Unavailable,
        }
    }
}

/// The scraper of all targets; cheap to clone.
#[derive(Clone)]
pub struct Scraper {
    client: reqwest::Client,
    targets: Arc<[(Target, Mutex<Shown>)]>,
}

/// What others see of a target.
#[derive(Default)]
struct Shown {
    health: TargetHealth,
    metadata: BTreeMap<String, Metadata>,
}

impl Scraper {
    /// Makes a scraper; the caller has installed a cryptography provider for rustls.
    ///
    /// # Errors
    /// No provider, or a client that cannot be made.
    pub fn new(targets: Vec<Target>) -> Result<Self, ScrapeError> {
        let client = client()?;
        let targets = targets.into_iter().map(|target| (target, Mutex::default())).collect();
        Ok(Self { client, targets })
    }

    /// Every target with how it did the last time.
    pub fn health(&self) -> impl Iterator<Item = (&Target, TargetHealth)> {
        self.targets.iter().map(|(target, shown)| (target, lock(shown).health.clone()))
    }

    /// Every target with what it says about its metric families.
    pub fn metadata(&self) -> impl Iterator<Item = (&Target, BTreeMap<String, Metadata>)> {
        self.targets.iter().map(|(target, shown)| (target, lock(shown).metadata.clone()))
    }

    /// Scrapes all targets until cancelled.
    pub async fn run(self, context: SourceContext, cancel: CancellationToken) {
        let tracker = TaskTracker::new();
        for position in 0..self.targets.len() {
            tracker.spawn(self.clone().run_target(position, context.clone(), cancel.clone()));
        }
        tracker.close();
        tracker.wait().await;
    }

    async fn run_target(self, position: usize, context: SourceContext, cancel: CancellationToken) {
        let (target, shown) = &self.targets[position];
        let mut state = TargetState::new(target);
        let mut ticks = tokio::time::interval_at(Instant::now() + target.offset(), target.interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                _ = ticks.tick() => {}
            }
            tokio::select! {
                () = cancel.cancelled() => return,
                () = state.round(&self.client, &context, &cancel, shown) => {}
            }
        }
    }
}

fn lock(shown: &Mutex<Shown>) -> std::sync::MutexGuard<'_, Shown> {
    shown.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
