//! The way of what the node's own metric store holds to the store outside, begun by a person.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio_util::sync::CancellationToken;
use wk_connect::metrics::WriteError;
use wk_types::UtcMs;

use crate::http::chain;
use crate::node::Node;
use crate::outside::OutsideMetrics;
use crate::pipeline::transfer::{Transfer, TransferError};

/// Further requests that one step with refused samples may cost.
const SPLITS_MAX: usize = 1_024;
/// How long to wait after the store outside did not take something.
const RETRY: Duration = Duration::from_secs(5);
/// After so many failures in a row it ends; it can be begun again where it stopped.
const FAILURES_MAX: u32 = 60;

/// How the migration of metrics goes.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MigrationStatus {
    /// Whether it runs.
    pub running: bool,
    /// Whether everything has been sent.
    pub done: bool,
    /// Samples taken by the store outside, since the migration was first begun.
    pub samples: u64,
    /// Samples that it refused for good.
    pub refused: u64,
    /// Why, with what the store said, of the last refusal.
    pub refusal: Option<String>,
    /// Everything up to here has been sent.
    pub until: Option<UtcMs>,
    /// The time of the latest sample that is to be sent.
    pub newest: Option<UtcMs>,
    /// Blocks given up after they were sent.
    pub blocks_dropped: usize,
    /// What stands in its way, or ended it.
    pub error: Option<String>,
}

/// The migration of metrics; at most one at a time.
#[derive(Debug, Default)]
pub struct Migration(Mutex<MigrationStatus>);

/// Why a migration cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// There is no store outside.
    #[error(
        "metrics are kept in the node's own store; name the one outside first: storage.metrics and [storage.outside_metrics]"
    )]
    NowhereToGo,
    /// One runs.
    #[error("the metrics are on their way already; watchkeeper pipeline shows how far they are")]
    Running,
    /// It cannot be read how far an earlier one had come.
    #[error("could not read how far the migration had come")]
    Progress(#[source] std::io::Error),
    /// The thread cannot be started.
    #[error("could not start the migration")]
    Start(#[source] std::io::Error),
}

impl Migration {
    /// How it goes.
    pub fn status(&self) -> MigrationStatus {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, MigrationStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Begins to send what the node's own metric store holds, or goes on with it; with `drop` the blocks are given up once
/// all has been sent and nothing was refused.
///
/// # Errors
/// There is no store outside, a migration runs, or an earlier one's progress cannot be read.
pub fn begin(node: &Arc<Node>, drop: bool) -> Result<(), MigrationError> {
    let Some(outside) = node.outside_metrics.clone() else { return Err(MigrationError::NowhereToGo) };
    let mut status = node.migration.lock();
    if status.running {
        return Err(MigrationError::Running);
    }
    let transfer = Transfer::open(node.metrics.clone(), progress_file(node), outside.store.url())
        .map_err(MigrationError::Progress)?;
    let (samples, refused) = transfer.samples();
    let newest = node.metrics.stats().newest;
    let (until, running) = (transfer.until(), true);
    *status = MigrationStatus { running, samples, refused, until, newest, ..MigrationStatus::default() };
    let node_of_thread = Arc::clone(node);
    let started = std::thread::Builder::new().name("migrate-metrics".to_owned()).spawn(move || {
        let node = node_of_thread;
        let ended = run(&node, &outside, transfer, drop);
        let mut status = node.migration.lock();
        status.running = false;
        match ended {
            Ok(()) => status.error = None,
            Err(what) => status.error = Some(what),
        }
    });
    if let Err(error) = started {
        status.running = false;
        return Err(MigrationError::Start(error));
    }
    Ok(())
}

fn progress_file(node: &Node) -> PathBuf {
    node.folder.root().join("metrics-migrated")
}

fn run(node: &Node, outside: &OutsideMetrics, mut transfer: Transfer, drop: bool) -> Result<(), String> {
    let mut failures = 0;
    loop {
        match step(outside, &mut transfer, &node.stop) {
            None => return Err("the node is stopping; begin again, it goes on where it stopped".to_owned()),
            Some(Ok(true)) => failures = 0,
            Some(Ok(false)) => break,
            Some(Err(TransferError::Unsent(unsent))) if failures < FAILURES_MAX => {
                failures += 1;
                node.migration.lock().error = Some(unsent.error.to_string());
                let wait = match unsent.error {
                    WriteError::Later { after: Some(after), .. } => after.max(RETRY),
                    _ => RETRY,
                };
                outside.wait_for(async {
                    let _ = tokio::time::timeout(wait, node.stop.cancelled()).await;
                });
                continue;
            }
            Some(Err(error)) => return Err(chain(&error)),
        }
        let mut status = node.migration.lock();
        (status.samples, status.refused) = transfer.samples();
        (status.until, status.error) = (transfer.until(), None);
    }
    let mut status = node.migration.lock();
    status.done = true;
    if drop && status.refused > 0 {
        return Err(format!("{} samples were refused, so the blocks stay", status.refused));
    }
    if drop {
        status.blocks_dropped = node.metrics.release(UtcMs::MAX).map_err(|error| chain(&error))?;
    }
    Ok(())
}

/// Sends some more, and tells whether there was any; `None` where the node stops.
fn step(
    outside: &OutsideMetrics,
    transfer: &mut Transfer,
    stop: &CancellationToken,
) -> Option<Result<bool, TransferError>> {
    outside.wait_for(async {
        tokio::select! {
            () = stop.cancelled() => None,
            step = transfer.step(&outside.store, SPLITS_MAX) => Some(step.map(|step| step.is_some())),
        }
    })
}
