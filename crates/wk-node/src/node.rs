//! The running node: its stores, and what every part of it shares.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wk_config::Config;
use wk_engine::RuleSummary;
use wk_ingest::otlp::Starts;
use wk_ingest::scrape::Scraper;
use wk_ingest::series_cache::SeriesCache;
use wk_ingest::{Intake as _, MetadataTable, Refused};
use wk_lake::Lake;
use wk_store::intake::IntakeLog;
use wk_store::metrics::MetricStore;
use wk_store::state::State;
use wk_types::{AssetId, NewRecord, Seq, UtcMs, VesselId};

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::folder::DataFolder;
use crate::pipeline::bridge::IntakeBridge;
use crate::pipeline::identity::NodeIdentity;
use crate::pipeline::readers::{LOGS, METRICS};
use crate::pipeline::stages::{Health, Stages};
use crate::ship::CLOCK;
use crate::sources::SourceRegistry;

/// The running node.
pub struct Node {
    /// The configuration in force.
    pub config: Config,
    /// The locked data folder.
    pub folder: DataFolder,
    /// The ship's immutable id.
    pub vessel: VesselId,
    /// The asset that this machine is.
    pub own_asset: AssetId,
    /// When the node started.
    pub started: UtcMs,
    /// The intake log.
    pub intake: IntakeLog,
    /// The metric store.
    pub metrics: MetricStore,
    /// The logs.
    pub lake: Lake,
    /// Journal, registry, accounts, spool.
    pub state: State,
    /// Whose a record is.
    pub identity: Arc<NodeIdentity>,
    /// The series that came by remote write and OTLP.
    pub series: SeriesCache,
    /// When senders of OTLP began to count.
    pub starts: Starts,
    /// The sources and their counters.
    pub sources: SourceRegistry,
    /// The scraper of the configured targets, where there are any.
    pub scraper: Option<Scraper>,
    /// What remote write and OTLP say of metric families.
    pub metadata: MetadataTable,
    /// The alerting rules in force, by file.
    pub rules: Vec<(String, Vec<RuleSummary>)>,
    /// Counters of the stages behind the intake log.
    pub stages: Arc<Stages>,
    /// Which parts are failing.
    pub health: Health,
    pub(crate) ready: AtomicBool,
    pub(crate) failed: AtomicBool,
    pub(crate) journal_end: watch::Sender<u64>,
    pub(crate) caught_up: Seq,
    /// Cancelled when the node stops.
    pub stop: CancellationToken,
}

impl Node {
    /// Tells whether the node can take in and answer: its stores have read what was on disk at the start, and neither
    /// they nor the intake log are failing.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.has_caught_up() && !self.health.is_ill(&[CLOCK, METRICS, LOGS])
    }

    fn has_caught_up(&self) -> bool {
        if self.ready.load(Ordering::Relaxed) {
            return true;
        }
        let reached = self.stages.all_reached();
        let ready = [METRICS, LOGS].iter().all(|reader| reached.get(reader).is_some_and(|seq| *seq >= self.caught_up));
        self.ready.store(ready, Ordering::Relaxed);
        ready
    }

    /// Ends the node because one of its parts ended by a bug; whoever supervises the process starts it again.
    pub fn fail(&self, part: &'static str) {
        self.health.ill(
            part,
            "it ended unexpectedly; the node ends to be started again".to_owned(),
            crate::clock::now(),
        );
        self.failed.store(true, Ordering::Relaxed);
        self.stop.cancel();
    }

    /// Appends a record to the intake log and answers its position once it is on disk.
    ///
    /// # Errors
    /// A log that is full or cannot be written.
    pub async fn append(&self, record: NewRecord) -> Result<Seq, Refused> {
        IntakeBridge(self.intake.clone()).append(record).await
    }

    /// The journal's last entry, as a value to wait on.
    #[must_use]
    pub fn watch_journal(&self) -> watch::Receiver<u64> {
        self.journal_end.subscribe()
    }
}
