//! What a metric store of the node's holds, on its way to the store outside: by time, the oldest first, each series in
//! order. How far it has come stands in a file, so that it goes on where it stopped.

use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use wk_connect::metrics::{Limits, OutsideStore, Sent, Unsent};
use wk_store::metrics::MetricStore;
use wk_types::labels::METRIC_NAME;
use wk_types::series::SourceError;
use wk_types::{DurationMs, MatchOp, Matcher, SeriesData, SeriesSamples, SeriesSource as _, UtcMs};

use crate::clock::now;
use crate::folder::write_private;

/// The number of the file's format.
const FORMAT: u32 = 1;
/// How much time is gone through before the next metric's turn comes. Blocks span at most a day, so that each is read
/// about once.
const WINDOW: DurationMs = DurationMs::from_hours(2);
/// About how many samples are sent before it is noted how far it has come.
const STEP_SAMPLES: usize = 100_000;
/// How many samples of one metric are read at once.
const READ_SAMPLES_MAX: usize = 500_000;

/// Why a step could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// The store outside did not take it.
    #[error(transparent)]
    Unsent(#[from] Box<Unsent>),
    /// The store here cannot be read.
    #[error("could not read the samples that are to be sent")]
    Read(#[from] SourceError),
    /// It cannot be noted how far it has come.
    #[error("could not write {}", path.display())]
    Progress {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

/// How far it has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    format: u32,
    /// Where to.
    to: String,
    /// Everything up to here has been sent; nothing yet where there is none.
    until: Option<UtcMs>,
    /// Of the window after that, the metrics up to this one in the order of their names.
    metric: Option<String>,
    samples: u64,
    refused: u64,
}

/// The samples of a store on their way.
#[derive(Debug)]
pub struct Transfer {
    store: MetricStore,
    file: PathBuf,
    progress: Progress,
    /// Whether what is sent next may have been sent before.
    uncertain: bool,
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was sent.
    pub sent: Sent,
    /// Everything up to here has been sent.
    pub until: Option<UtcMs>,
}

impl Transfer {
    /// Goes on where the file says, or at the beginning where it is missing, or tells of another destination.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn open(store: MetricStore, file: PathBuf, to: &str) -> io::Result<Self> {
        let noted = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice::<Progress>(&bytes).ok(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let noted = noted.filter(|noted| noted.format == FORMAT && noted.to == to);
        let progress = noted.unwrap_or_else(|| Progress { format: FORMAT, to: to.to_owned(), ..Progress::default() });
        Ok(Self { store, file, progress, uncertain: true })
    }

    /// Samples sent so far, and those refused for good.
    #[must_use]
    pub const fn samples(&self) -> (u64, u64) {
        (self.progress.samples, self.progress.refused)
    }

    /// Everything up to here has been sent.
    #[must_use]
    pub const fn until(&self) -> Option<UtcMs> {
        self.progress.until
    }

    /// Sends some more; `None` where everything has been sent.
    ///
    /// # Errors
    /// A store outside that does not take it, after which the same is sent again, or a store here that cannot be read.
    pub async fn step(&mut self, outside: &OutsideStore, splits_max: usize) -> Result<Option<Step>, TransferError> {
        let Some((from, to)) = self.window() else { return Ok(None) };
        let mut names = self.store.label_values(METRIC_NAME, &[], from, to)?;
        names.sort_unstable();
        let done = self.progress.metric.clone();
        let left = names.into_iter().filter(|name| done.as_ref().is_none_or(|done| name > done));
        let mut all = Sent::default();
        let mut gathered: Vec<SeriesSamples> = Vec::new();
        let mut samples = 0;
        for name in left {
            let mut begin = from;
            while begin <= to {
                let (found, end) = self.read(&name, begin, to)?;
                samples += found.iter().map(|one| one.samples.len()).sum::<usize>();
                gathered.extend(found);
                if end < to {
                    // One metric that is too much for one read: its times come one after the other.
                    all.add(self.send(outside, std::mem::take(&mut gathered), splits_max).await?);
                }
                begin = end + DurationMs(1);
            }
            if samples >= STEP_SAMPLES {
                all.add(self.send(outside, gathered, splits_max).await?);
                self.note(Progress { metric: Some(name), ..self.progress.clone() }, &all)?;
                return Ok(Some(Step { sent: all, until: self.progress.until }));
            }
        }
        all.add(self.send(outside, gathered, splits_max).await?);
        self.note(Progress { metric: None, until: Some(to), ..self.progress.clone() }, &all)?;
        Ok(Some(Step { sent: all, until: self.progress.until }))
    }

    /// Samples from `time` on are about to come in, and are to be sent as well.
    ///
    /// # Errors
    /// A file that cannot be written; nothing may be put into the store then.
    pub fn reach_back(&mut self, time: UtcMs) -> Result<(), TransferError> {
        // A window that has been begun counts as sent up to its metric, and the new samples may be of one before it.
        if self.progress.until.is_none() && self.progress.metric.is_none() {
            return Ok(());
        }
        let window_end = self.window().map_or(UtcMs::MIN, |(_, to)| to);
        let is_begun = self.progress.metric.is_some() && time <= window_end;
        if !is_begun && self.progress.until.is_none_or(|until| time > until) {
            return Ok(());
        }
        let until = self.progress.until.map(|until| until.min(time - DurationMs(1)));
        self.note(Progress { until, metric: None, ..self.progress.clone() }, &Sent::default())
    }

    /// Begins anew: what was sent may not be there any more.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn restart(&mut self) -> Result<(), TransferError> {
        self.uncertain = true;
        if self.progress.until.is_none() && self.progress.metric.is_none() {
            return Ok(());
        }
        self.note(Progress { until: None, metric: None, ..self.progress.clone() }, &Sent::default())
    }

    /// The stretch of time that comes next.
    fn window(&self) -> Option<(UtcMs, UtcMs)> {
        let stats = self.store.stats();
        let (oldest, newest) = (stats.oldest?, stats.newest?);
        let begin = self.progress.until.map_or(oldest, |until| oldest.max(until + DurationMs(1)));
        let end = UtcMs((begin.0.div_euclid(WINDOW.0) + 1) * WINDOW.0 - 1);
        (begin <= newest).then_some((begin, end))
    }

    /// The samples of one metric from `from` on, up to `to` or as far as can be read at once; answers how far.
    fn read(&self, name: &str, from: UtcMs, to: UtcMs) -> Result<(Vec<SeriesSamples>, UtcMs), SourceError> {
        let matcher = Matcher::new(METRIC_NAME, MatchOp::Equal, name);
        let mut end = to;
        loop {
            match self.store.select(std::slice::from_ref(&matcher), from, end, READ_SAMPLES_MAX) {
                Ok(found) => return Ok((found.into_iter().map(series).collect(), end)),
                Err(SourceError::TooManySamples { .. }) if end > from => {
                    end = UtcMs(from.0 + (end.0 - from.0) / 2);
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn send(
        &mut self,
        outside: &OutsideStore,
        series: Vec<SeriesSamples>,
        splits_max: usize,
    ) -> Result<Sent, Box<Unsent>> {
        let limits = if self.uncertain { Limits::Exact } else { Limits::Requests(splits_max) };
        let sent = outside.send(&series, limits, now()).await;
        self.uncertain = sent.is_err();
        sent
    }

    fn note(&mut self, mut progress: Progress, sent: &Sent) -> Result<(), TransferError> {
        progress.samples += sent.samples;
        progress.refused += sent.refused.iter().map(|one| one.samples).sum::<u64>();
        let failed = |source| TransferError::Progress { path: self.file.clone(), source };
        let bytes = serde_json::to_vec(&progress).map_err(|error| failed(error.into()))?;
        write_private(&self.file, &bytes).map_err(failed)?;
        self.progress = progress;
        Ok(())
    }
}

/// Whose they are is not told outside, so that the asset may stay unknown.
fn series(data: SeriesData) -> SeriesSamples {
    let series = wk_types::Series::new(data.labels, wk_types::AssetId::unknown());
    SeriesSamples { series: series.into(), samples: data.samples.to_vec() }
}
