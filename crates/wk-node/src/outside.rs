//! The metric store outside that has taken over from the node's own: how it is reached, and how it does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};
use tokio::runtime::Handle;
use wk_config::{Config, MetricsStore, OutsideMetricsConfig};
use wk_connect::Credentials;
use wk_connect::metrics::{Kind, MetricSettings, OutsideStore, Question, Refused, Sent, WriteError};
use wk_store::intake::ReaderStats;
use wk_store::io::SystemIo;
use wk_store::metrics::{MetricOptions, MetricStore};
use wk_types::{DurationMs, Labels, UtcMs};

use crate::clock::now;
use crate::error::NodeError;
use crate::folder::{DataFolder, write_private};
use crate::http::chain;
use crate::pipeline::transfer::Transfer;

/// How long a figure of the status page may take to come from outside.
const FIGURE_MAX: Duration = Duration::from_secs(3);
/// The metrics of the spill are never deleted by age.
const SPILL_AGE_MAX: DurationMs = DurationMs::from_hours(100 * 365 * 24);

/// The metric store outside, as the parts of the node share it.
pub struct OutsideMetrics {
    /// The store.
    pub store: OutsideStore,
    /// Where samples are kept while too many wait; `None` where that is not wanted and nothing is left of it.
    pub spill: Option<Spill>,
    counts: Mutex<OutsideCounts>,
    runtime: Handle,
}

/// The node's own store of samples that wait for the one outside.
pub struct Spill {
    /// The samples. Nobody looks after them but the reader: they are deleted once they were sent, never before.
    pub store: MetricStore,
    /// Whether more may be put there.
    pub is_open: bool,
    /// How many bytes it may take.
    pub bytes_max: u64,
    /// How far it has been sent.
    pub progress: PathBuf,
}

/// What went wrong last.
#[derive(Debug, Clone, Serialize)]
pub struct LastError {
    /// What happened.
    pub what: String,
    /// When.
    pub at: UtcMs,
}

/// Samples that the store outside will not have, of one reason.
#[derive(Debug, Clone, Serialize)]
pub struct Refusals {
    /// How many.
    pub samples: u64,
    /// The time of the earliest.
    pub first: UtcMs,
    /// The time of the latest.
    pub last: UtcMs,
    /// One of their series.
    pub example: String,
    /// What the store said last.
    pub said: String,
}

/// What has been done with the store outside since the node started.
#[derive(Debug, Clone, Default, Serialize)]
pub struct OutsideCounts {
    /// Samples taken by it, those that were sent again included.
    pub sent: u64,
    /// Requests made.
    pub requests: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
    /// Requests that came to nothing and are made again.
    pub failures: u64,
    /// Samples refused for good, by reason.
    pub refused: BTreeMap<&'static str, Refusals>,
    /// Samples left out because they were too far in the future.
    pub future: u64,
    /// Samples put into the spill.
    pub spilled: u64,
    /// Samples sent from the spill.
    pub returned: u64,
    /// When it last took something.
    pub last_sent: Option<UtcMs>,
    /// What went wrong last.
    pub last_error: Option<LastError>,
    /// Since when nothing gets through; `None` while all is well.
    pub failing_since: Option<UtcMs>,
    /// When the oldest record was received that is not yet sent or in the spill; `None` where none waits.
    pub waiting_since: Option<UtcMs>,
}

impl OutsideMetrics {
    /// Sets up the store that the configuration names; `None` where metrics are kept in the node's own.
    ///
    /// # Errors
    /// Settings that cannot be used, a spill that cannot be opened.
    pub fn open(config: &Config, base: &Path, folder: &DataFolder) -> Result<Option<Arc<Self>>, NodeError> {
        let kind = match config.storage.metrics {
            MetricsStore::Embedded => return Ok(None),
            MetricsStore::VictoriaMetrics => Kind::VictoriaMetrics,
            MetricsStore::Mimir => Kind::Mimir,
            MetricsStore::Prometheus => Kind::Prometheus,
        };
        let Some(outside) = &config.storage.outside_metrics else {
            return Err(NodeError::Outside { what: "storage.outside_metrics is missing".to_owned() });
        };
        let store = OutsideStore::new(&settings(kind, outside, base))
            .map_err(|error| NodeError::Outside { what: chain(&error) })?;
        let spill = if outside.spill || has_spilled(folder) {
            Some(Spill::open(folder, outside.spill, config.storage.metrics_bytes_max)?)
        } else {
            None
        };
        tracing::info!(kind = store.kind().name(), url = store.url(), "metrics are kept outside");
        let counts = Mutex::default();
        Ok(Some(Arc::new(Self { store, spill, counts, runtime: Handle::current() })))
    }

    /// Waits for `future` on a thread of its own kind, which must not be one of the event loop's.
    pub fn wait_for<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    /// The counters now.
    pub fn counts(&self) -> MutexGuard<'_, OutsideCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what was sent; answers what was refused.
    pub fn sent(&self, sent: &Sent) {
        let mut counts = self.counts();
        counts.sent += sent.samples;
        counts.requests += sent.requests;
        counts.bytes += sent.bytes;
        if sent.samples > 0 {
            counts.last_sent = Some(now());
        }
        for refused in &sent.refused {
            counts.refuse(refused);
        }
    }

    /// Counts a failure, or that things go well again.
    pub fn went(&self, outcome: Result<(), &WriteError>) {
        let mut counts = self.counts();
        match outcome {
            Ok(()) => counts.failing_since = None,
            Err(error) => {
                counts.failures += 1;
                counts.last_error = Some(LastError { what: error.to_string(), at: now() });
                counts.failing_since.get_or_insert_with(now);
            }
        }
    }

    /// Evaluates PromQL outside, now; labels and values of the vector. Not to be called on the event loop.
    ///
    /// # Errors
    /// Why there is no answer, in words.
    pub fn vector(&self, query: &str) -> Result<Vec<(Labels, f64)>, String> {
        let counts = self.counts().clone();
        if let (Some(_), Some(error)) = (counts.failing_since, counts.last_error) {
            // A page of many figures does not wait for each of them.
            return Err(format!("the metric store outside does not answer: {}", error.what));
        }
        let form = form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        let question = Question { path: &["query"], form, is_form: true, time_max: FIGURE_MAX };
        let answer = self.wait_for(self.store.ask(&question)).map_err(|error| chain(&error))?;
        let answer: Value = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
        if let Some(error) = answer["error"].as_str() {
            return Err(error.to_owned());
        }
        rows(&answer["data"]).ok_or_else(|| format!("{query} answers no numbers"))
    }

    /// How long the oldest sample has waited that the store does not have yet; 0 where none waits.
    pub fn lag_seconds(&self) -> f64 {
        let spilled = self.spill.as_ref().and_then(|spill| spill.store.stats().oldest);
        let waiting = self.counts().waiting_since.into_iter().chain(spilled).min();
        waiting.map_or(0.0, |since| now().since(since).as_secs_f64().max(0.0))
    }

    /// How it does, for the pipeline page; without secrets.
    pub fn describe(&self, reader: Option<&ReaderStats>) -> Value {
        let counts = self.counts().clone();
        let spill = self.spill.as_ref().map(|spill| {
            let stats = spill.store.stats();
            json!({
                "is_open": spill.is_open, "bytes": stats.bytes, "bytes_max": spill.bytes_max,
                "samples": stats.samples_blocks + stats.samples_head as u64, "oldest": stats.oldest,
            })
        });
        let mut shown = json!(counts);
        shown["kind"] = json!(self.store.kind().name());
        shown["url"] = json!(self.store.url());
        shown["lag_records"] = json!(reader.map(|reader| reader.lag_records));
        shown["lag_bytes"] = json!(reader.map(|reader| reader.lag_bytes));
        shown["lag_seconds"] = json!(self.lag_seconds());
        shown["spill"] = json!(spill);
        shown
    }
}

impl OutsideCounts {
    /// Counts samples refused for good.
    pub fn refuse(&mut self, refused: &Refused) {
        let Refused { reason, samples, first, last, example, said } = refused;
        let known = self.refused.entry(reason).or_insert_with(|| Refusals {
            samples: 0,
            first: *first,
            last: *last,
            example: String::new(),
            said: String::new(),
        });
        known.samples += samples;
        (known.first, known.last) = (known.first.min(*first), known.last.max(*last));
        (known.example, known.said) = (example.clone(), said.clone());
    }

    /// Samples refused for good, whatever the reason.
    #[must_use]
    pub fn refused_samples(&self) -> u64 {
        self.refused.values().map(|one| one.samples).sum()
    }
}

impl Spill {
    fn open(folder: &DataFolder, is_open: bool, bytes_max: u64) -> Result<Self, NodeError> {
        let options = MetricOptions {
            age_max: SPILL_AGE_MAX,
            series_max: usize::MAX,
            source_series_max: usize::MAX,
            ..MetricOptions::default()
        };
        let (store, report) = MetricStore::open(Arc::new(SystemIo), &folder.spill(), options)
            .map_err(|source| NodeError::Store { store: "spill", source: Box::new(source) })?;
        if report.blocks > 0 {
            tracing::info!(blocks = report.blocks, "the spill holds metrics that wait for the store outside");
        }
        Ok(Self { store, is_open, bytes_max, progress: folder.spill().join("sent") })
    }

    /// The way of what is in it to the store at `url`.
    ///
    /// # Errors
    /// A file of its progress that cannot be read.
    pub fn transfer(&self, url: &str) -> std::io::Result<Transfer> {
        Transfer::open(self.store.clone(), self.progress.clone(), url)
    }
}

/// Tells whether a spill holds something, or did so when the node last ran.
pub fn has_spilled(folder: &DataFolder) -> bool {
    std::fs::read_dir(folder.spill()).is_ok_and(|mut entries| entries.next().is_some())
}

/// Notes where metrics are kept for whoever opens the folder while the node is down.
///
/// # Errors
/// A folder that cannot be written.
pub fn note_place(folder: &DataFolder, outside: Option<&OutsideMetrics>) -> std::io::Result<()> {
    let file = place_file(folder);
    match outside {
        Some(outside) => write_private(&file, outside.store.url().as_bytes()),
        None => match std::fs::remove_file(file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

/// Where metrics were kept when the node last ran, where that was outside.
pub fn noted_place(folder: &DataFolder) -> Option<String> {
    std::fs::read_to_string(place_file(folder)).ok()
}

fn place_file(folder: &DataFolder) -> PathBuf {
    folder.root().join("metrics-outside")
}

fn settings(kind: Kind, outside: &OutsideMetricsConfig, base: &Path) -> MetricSettings {
    let in_base = |file: &Option<PathBuf>| file.as_ref().map(|file| base.join(file));
    let basic = outside.user.clone().zip(in_base(&outside.password_file));
    let credentials = match (basic, in_base(&outside.bearer_token_file)) {
        (Some((user, password_file)), _) => Some(Credentials::Basic { user, password_file }),
        (None, Some(token_file)) => Some(Credentials::Bearer { token_file }),
        (None, None) => None,
    };
    MetricSettings {
        kind,
        url: outside.url.clone(),
        query_url: outside.query_url.clone(),
        tenant: outside.tenant.clone(),
        credentials,
        authority_file: in_base(&outside.authority_file),
    }
}

/// The rows of an answer that is a vector or a scalar.
fn rows(data: &Value) -> Option<Vec<(Labels, f64)>> {
    let value = |pair: &Value| pair[1].as_str()?.parse::<f64>().ok();
    match data["resultType"].as_str()? {
        "scalar" => Some(vec![(Labels::default(), value(&data["result"])?)]),
        "vector" => data["result"]
            .as_array()?
            .iter()
            .map(|row| {
                let labels = row["metric"].as_object()?.iter();
                let labels = labels.map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
                Some((Labels::new(labels.collect::<Option<Vec<_>>>()?), value(&row["value"])?))
            })
            .collect(),
        _ => None,
    }
}
