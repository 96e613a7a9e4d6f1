//! Values of instruments: readings that come often, thinned to the last one per resolution, and delivered beside the
//! receiving loop, which never waits for the intake log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use wk_types::labels::METRIC_NAME;
use wk_types::series::STALE_NAN_BITS;
use wk_types::{AssetId, DurationMs, Labels, NewRecord, Sample, Series, SeriesSamples, UtcMs};

use crate::contract::{Sender, SourceContext};
use crate::delivery::{Delivered, deliver};
use crate::records;
use crate::series;
use crate::vessel::Reading;

/// How many series one source of instruments has at most.
pub const SERIES_MAX: usize = 2_000;
/// The reason under which readings of further series are counted.
pub const TOO_MANY_SERIES: &str = "too many series";
/// The reason under which values are counted that their quantity cannot have.
pub const OUT_OF_RANGE: &str = "value out of range";
/// After how long without a reading a source counts as down, and a series ends; a coarser resolution lengthens it.
pub const SILENT_AFTER: Duration = Duration::from_secs(30);
/// How many records wait for the intake log.
const QUEUE_RECORDS_MAX: usize = 16;
/// How long a source waits at its end for what is on its way.
const FINISH_WITHIN: Duration = Duration::from_secs(2);

/// Whose instruments they are, and how often they are noted.
#[derive(Debug, Clone)]
pub struct InstrumentSettings {
    /// The label `job`.
    pub job: &'static str,
    /// The label `instance`.
    pub instance: String,
    /// The asset that all series belong to.
    pub asset: AssetId,
    /// How often a value is kept.
    pub resolution: Duration,
    /// Further labels of every series.
    pub labels: BTreeMap<String, String>,
}

impl InstrumentSettings {
    fn silent_after(&self) -> DurationMs {
        let longest = (self.resolution * 3).max(SILENT_AFTER);
        DurationMs(i64::try_from(longest.as_millis()).unwrap_or(i64::MAX))
    }
}

/// Why a reading was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotNoted {
    /// The source has too many series.
    #[error("{TOO_MANY_SERIES}")]
    TooManySeries,
    /// The labels cannot be stored.
    #[error("{0}")]
    Labels(#[from] series::BadLabels),
}

struct Held {
    series: Arc<Series>,
    /// The last reading, until it is taken.
    sample: Option<Sample>,
    heard: UtcMs,
}

/// The last reading of each series.
pub struct Sampler {
    settings: InstrumentSettings,
    asset: AssetId,
    held: BTreeMap<Labels, Held>,
    heard: Option<UtcMs>,
}

impl Sampler {
    /// Starts with nothing read.
    #[must_use]
    pub const fn new(settings: InstrumentSettings, asset: AssetId) -> Self {
        Self { settings, asset, held: BTreeMap::new(), heard: None }
    }

    /// Notes that the source lives, whatever it said.
    pub fn hear(&mut self, at: UtcMs) {
        self.heard = Some(at);
    }

    /// Notes a value; an earlier one that has not been taken yet gives way.
    ///
    /// # Errors
    /// Labels that cannot be stored, or too many series.
    pub fn note(&mut self, name: &str, labels: &[(&str, &str)], value: f64, at: UtcMs) -> Result<(), NotNoted> {
        let own = [(METRIC_NAME, name), ("job", self.settings.job), ("instance", self.settings.instance.as_str())];
        let further = self.settings.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let pairs: Vec<(&str, &str)> = own.into_iter().chain(further).chain(labels.iter().copied()).collect();
        series::check(&pairs)?;
        let labels = Labels::new(pairs);
        let sample = Some(Sample::new(at, value));
        if let Some(held) = self.held.get_mut(&labels) {
            (held.sample, held.heard) = (sample, at);
            return Ok(());
        }
        if self.held.len() >= SERIES_MAX {
            return Err(NotNoted::TooManySeries);
        }
        let series = Arc::new(Series::new(labels.clone(), self.asset.clone()));
        self.held.insert(labels, Held { series, sample, heard: at });
        Ok(())
    }

    /// What was read since the last call, a stale marker for each series that has fallen silent, and `up`.
    pub fn take(&mut self, now: UtcMs) -> Vec<SeriesSamples> {
        let silent_after = self.settings.silent_after();
        let up = self.heard.is_some_and(|heard| now.since(heard) <= silent_after);
        // The number of series may be at its bound; whether the source lives is said by a series that is always there.
        let _ = self.note("up", &[], f64::from(u8::from(up)), now);
        let mut taken = Vec::with_capacity(self.held.len());
        self.held.retain(|_, held| {
            let lives = now.since(held.heard) <= silent_after;
            let stale = (!lives).then(|| Sample::new(now, f64::from_bits(STALE_NAN_BITS)));
            let samples: Vec<Sample> = held.sample.take().into_iter().chain(stale).collect();
            if !samples.is_empty() {
                taken.push(SeriesSamples { series: Arc::clone(&held.series), samples });
            }
            lives
        });
        taken
    }
}

/// The instruments of one source: the sampler and the way to the intake log.
pub struct Instruments {
    context: SourceContext,
    sampler: Sampler,
    outlet: Outlet,
    resolution: Duration,
}

impl Instruments {
    /// Begins with the series `up`, so that a source that never speaks is seen.
    #[must_use]
    pub fn start(context: SourceContext, settings: InstrumentSettings, cancel: &CancellationToken) -> Self {
        let sender = Sender { claimed: Some(&settings.instance), peer: None, declared: Some(&settings.asset) };
        let asset = context.identity.resolve(&context.name, &sender).asset;
        let resolution = settings.resolution;
        let outlet = Outlet::start(context.clone(), cancel.clone());
        Self { sampler: Sampler::new(settings, asset), outlet, context, resolution }
    }

    /// What the source was given.
    #[must_use]
    pub const fn context(&self) -> &SourceContext {
        &self.context
    }

    /// Beats once per resolution, when [`Self::flush`] is due.
    #[must_use]
    pub fn beat(&self) -> tokio::time::Interval {
        let mut beat = tokio::time::interval_at(tokio::time::Instant::now() + self.resolution, self.resolution);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        beat
    }

    /// Counts bytes that came in from a source that lives.
    pub fn heard(&mut self, bytes: usize) {
        let now = self.context.now();
        self.context.stats.received(0, bytes as u64, now);
        self.sampler.hear(now);
    }

    /// Counts something that cannot be taken.
    pub fn reject(&self, reason: &str, example: &str) {
        self.context.stats.received(1, 0, self.context.now());
        self.context.stats.rejected(reason, 1, example);
    }

    /// Notes a reading of the vessel; one that its quantity cannot have is counted as rejected.
    pub fn read(&mut self, reading: &Reading, at: UtcMs) {
        if !reading.quantity.holds(reading.value) {
            self.reject(OUT_OF_RANGE, &format!("{} {}", reading.quantity.name(), reading.value));
            return;
        }
        let labels: Vec<(&str, &str)> = reading.labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
        self.note(reading.quantity.name(), &labels, reading.value, at);
    }

    /// Notes a value under a name; one that cannot be kept is counted as rejected.
    pub fn note(&mut self, name: &str, labels: &[(&str, &str)], value: f64, at: UtcMs) {
        if let Err(refused) = self.sampler.note(name, labels, value, at) {
            self.reject(&refused.to_string(), name);
        }
    }

    /// Sends what was read since the last time to the intake log.
    pub fn flush(&mut self) {
        let now = self.context.now();
        let series = self.sampler.take(now);
        let samples: usize = series.iter().map(|one| one.samples.len()).sum();
        // The beat says nothing about when the source last spoke.
        self.context.stats.items(samples as u64);
        for record in records::of_series(&self.context, now, series) {
            self.outlet.send(record);
        }
    }

    /// Waits for a while or until cancelled, going on with the beat: a source that is not connected is seen to be down.
    pub async fn idle(&mut self, pause: Duration, cancel: &CancellationToken) {
        let until = tokio::time::Instant::now() + pause;
        let mut beat = self.beat();
        loop {
            tokio::select! {
                () = cancel.cancelled() => return,
                () = tokio::time::sleep_until(until) => break,
                _ = beat.tick() => self.flush(),
            }
        }
        self.flush();
    }

    /// Sends what is left and waits shortly for what is on its way.
    pub async fn finish(mut self) {
        self.flush();
        self.outlet.finish().await;
    }
}

/// Delivers records in order beside the loop that makes them; those beyond [`QUEUE_RECORDS_MAX`] are counted as lost.
struct Outlet {
    context: SourceContext,
    queue: mpsc::Sender<NewRecord>,
    task: JoinHandle<()>,
}

impl Outlet {
    fn start(context: SourceContext, cancel: CancellationToken) -> Self {
        let (queue, mut waiting) = mpsc::channel::<NewRecord>(QUEUE_RECORDS_MAX);
        let delivering = context.clone();
        let task = tokio::spawn(async move {
            while let Some(record) = waiting.recv().await {
                let items = record.body.items() as u64;
                if deliver(&delivering, record, &cancel).await == Delivered::Ended {
                    delivering.stats.lost("intake busy until the end", items);
                }
            }
        });
        Self { context, queue, task }
    }

    fn send(&self, record: NewRecord) {
        if let Err(refused) = self.queue.try_send(record) {
            self.context.stats.lost("intake too slow", refused.into_inner().body.items() as u64);
        }
    }

    async fn finish(self) {
        let Self { context, queue, task } = self;
        drop(queue);
        if tokio::time::timeout(FINISH_WITHIN, task).await.is_err() {
            tracing::warn!(source = %context.name, "records were not acknowledged before the end");
        }
    }
}

#[cfg(test)]
mod tests;
