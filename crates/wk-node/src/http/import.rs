//! Metrics from Parquet files.

use std::fs::File;
use std::io::{Seek as _, Write as _};
use std::net::IpAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use futures::StreamExt as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use wk_ingest::{Delivered, Sender, SourceContext, deliver, records, series, times};
use wk_lake::{MetricFileError, MetricFileReader, MetricRows};
use wk_store::metrics::FUTURE_MAX;
use wk_types::{AssetId, Sample, Series, SeriesSamples, UtcMs};

use crate::http::auth::Ingest;
use crate::http::problem::Problem;
use crate::http::session::blocking;
use crate::node::Node;
use crate::sources::{self, IMPORT};

/// Largest file that is taken; it lies in the data folder meanwhile.
const FILE_BYTES_MAX: u64 = 4 << 30;
/// Samples gathered before they are offered to the intake log.
const BATCH_SAMPLES: usize = 1 << 16;

/// Takes the samples of one Parquet file in, as `watchkeeper export metrics` writes it. The answer comes once all of them
/// are on disk. Samples that are stored already change nothing, so that a call that failed may be repeated.
#[utoipa::path(post, path = "/api/v1/import/metrics", tag = "ingest", request_body(content = Vec<u8>, content_type = "application/vnd.apache.parquet"), responses((status = 200, body = Object), (status = 400, body = Object), (status = 413, body = Object), (status = 503, body = Object)))]
pub async fn metrics(Shared(node): Shared<Arc<Node>>, ingest: Ingest, body: Body) -> Result<Json<Value>, Problem> {
    let file = received(&node, body).await?;
    let cancel = node.stop.child_token();
    let _called_off = cancel.clone().drop_guard();
    let taken = blocking(&node, move |node| take_in(node, file, ingest.peer, cancel)).await?;
    Ok(Json(taken))
}

/// Writes the body into a file without a name, which is gone with the call.
async fn received(node: &Arc<Node>, body: Body) -> Result<File, Problem> {
    let folder = node.folder.root().to_owned();
    let failed = |error: std::io::Error| {
        let hint = "make room there, then import again: df -h";
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("could not keep the file in the data folder: {error}; {hint}"),
        )
    };
    let mut file = blocking(node, move |_| tempfile::tempfile_in(folder).map_err(failed)).await?;
    let (mut stream, mut bytes) = (body.into_data_stream(), 0);
    while let Some(piece) = stream.next().await {
        let piece = piece.map_err(|error| Problem::bad_request(format!("the file did not come whole: {error}")))?;
        bytes += piece.len() as u64;
        if bytes > FILE_BYTES_MAX {
            let message = format!("the file has more than {} MiB; export fewer days into one", FILE_BYTES_MAX >> 20);
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
        file = blocking(node, move |_| file.write_all(&piece).map(|()| file).map_err(failed)).await?;
    }
    blocking(node, move |_| file.rewind().map(|()| file).map_err(failed)).await
}

impl From<MetricFileError> for Problem {
    fn from(error: MetricFileError) -> Self {
        let problem = Self::of(error.kind(), &error);
        // A file that cannot be read is the caller's, not the node's.
        let is_bad = problem.status == StatusCode::INTERNAL_SERVER_ERROR;
        if is_bad { Self { status: StatusCode::BAD_REQUEST, ..problem } } else { problem }
    }
}

fn take_in(node: &Node, file: File, peer: Option<IpAddr>, cancel: CancellationToken) -> Result<Value, Problem> {
    let reader = MetricFileReader::open(file)?;
    let context = sources::context(node, IMPORT, false);
    let (now, oldest) = (context.now(), node.metrics.oldest_kept());
    let mut import = Import {
        context,
        peer,
        cancel,
        kept: (oldest, now + FUTURE_MAX),
        waiting: Vec::new(),
        counts: Counts::default(),
    };
    for rows in reader {
        rows?.into_iter().for_each(|rows| import.add(rows));
        if import.waiting.iter().map(|one| one.samples.len()).sum::<usize>() >= BATCH_SAMPLES {
            import.store()?;
        }
    }
    import.store()?;
    let Counts { stored, rejected, too_old, future, example } = import.counts;
    Ok(json!({"stored": stored, "rejected": rejected, "too_old": too_old, "future": future, "example": example}))
}

/// What became of the samples of a file.
#[derive(Debug, Default)]
struct Counts {
    stored: u64,
    /// Of series whose labels cannot be stored, or without a usable time.
    rejected: u64,
    /// Older than what the store keeps.
    too_old: u64,
    /// Further ahead than the store takes.
    future: u64,
    /// One that was rejected, and why.
    example: Option<String>,
}

struct Import {
    context: SourceContext,
    peer: Option<IpAddr>,
    cancel: CancellationToken,
    /// The times that the store keeps.
    kept: (UtcMs, UtcMs),
    waiting: Vec<SeriesSamples>,
    counts: Counts,
}

impl Import {
    fn add(&mut self, rows: MetricRows) {
        let MetricRows { labels, asset, samples } = rows;
        let pairs: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (&**name, &**value)).collect();
        if let Err(error) = series::check(&pairs) {
            let example = format!("{labels}: {error}");
            self.context.stats.rejected("bad labels", samples.len() as u64, &example);
            self.counts.rejected += samples.len() as u64;
            self.counts.example.get_or_insert(example);
            return;
        }
        let samples = self.usable(samples);
        if samples.is_empty() {
            return;
        }
        let declared = asset.map(AssetId::new).filter(|asset| *asset != AssetId::unknown());
        let sender = Sender { claimed: labels.get("instance"), peer: self.peer, declared: declared.as_ref() };
        let asset = self.context.identity.resolve(&self.context.name, &sender).asset;
        self.waiting.push(SeriesSamples { series: Arc::new(Series::new(labels, asset)), samples });
    }

    fn usable(&mut self, mut samples: Vec<Sample>) -> Vec<Sample> {
        let (oldest, newest) = self.kept;
        let Counts { rejected, too_old, future, .. } = &mut self.counts;
        let before = (*rejected, *too_old, *future);
        samples.retain(|sample| {
            *rejected += u64::from(!times::is_sample_time(sample.time));
            *too_old += u64::from(sample.time < oldest);
            *future += u64::from(sample.time > newest);
            times::is_sample_time(sample.time) && sample.time >= oldest && sample.time <= newest
        });
        for (reason, count) in [
            ("bad timestamp", *rejected - before.0),
            ("older than what is kept", *too_old - before.1),
            ("too far in the future", *future - before.2),
        ] {
            if count > 0 {
                self.context.stats.rejected(reason, count, "");
            }
        }
        samples
    }

    /// Puts what waits on disk.
    fn store(&mut self) -> Result<(), Problem> {
        let received = self.context.now();
        for record in records::of_series(&self.context, received, std::mem::take(&mut self.waiting)) {
            let items = record.body.items() as u64;
            self.context.stats.received(items, 0, received);
            let delivered = tokio::runtime::Handle::current().block_on(deliver(&self.context, record, &self.cancel));
            match delivered {
                Delivered::Stored => self.counts.stored += items,
                Delivered::Rejected => self.counts.rejected += items,
                Delivered::Ended => {
                    let stored = self.counts.stored;
                    let message = format!("the import was called off after {stored} samples; import the file again");
                    return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, message));
                }
            }
        }
        Ok(())
    }
}
