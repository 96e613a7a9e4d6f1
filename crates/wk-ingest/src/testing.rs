//! What the tests of the sources share: an intake log in memory whose answers a test chooses.
#![allow(clippy::unwrap_used, reason = "a defect shows as a panic")]

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, oneshot};
use wk_types::{AssetId, Body, LogRecord, NewRecord, Sample, Seq, SeriesSamples, SourceName, UtcMs};

use crate::asset_table::AssetTable;
use crate::contract::{Ack, Attribution, Identity, Intake, Refused, Sender, SourceContext};
use crate::stats::SourceStats;

/// 2026-06-01T12:00:00Z.
pub const NOW: UtcMs = UtcMs(1_780_315_200_000);

#[derive(Default)]
pub struct RecordingIntake {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    stored: Vec<NewRecord>,
    offered: usize,
    busy: bool,
    refusals: VecDeque<Refused>,
    at_once: Option<Refused>,
    held: Option<Vec<oneshot::Sender<Result<Seq, Refused>>>>,
}

impl RecordingIntake {
    pub fn set_busy(&self, busy: bool) {
        self.state.lock().unwrap().busy = busy;
    }

    /// The next acknowledgements come as these failures, after having been queued.
    pub fn fail_next(&self, refusals: impl IntoIterator<Item = Refused>) {
        self.state.lock().unwrap().refusals.extend(refusals);
    }

    /// The next append is refused at once.
    pub fn refuse_next(&self, refused: Refused) {
        self.state.lock().unwrap().at_once = Some(refused);
    }

    /// Acknowledgements wait until [`Self::release`].
    pub fn hold(&self) {
        self.state.lock().unwrap().held = Some(Vec::new());
    }

    pub fn release(&self) {
        let held = self.state.lock().unwrap().held.take().unwrap_or_default();
        for waiting in held {
            let _ = waiting.send(Ok(Seq(1)));
        }
    }

    pub fn records(&self) -> Vec<NewRecord> {
        self.state.lock().unwrap().stored.clone()
    }

    pub fn offered(&self) -> usize {
        self.state.lock().unwrap().offered
    }

    pub fn logs(&self) -> Vec<LogRecord> {
        let records = self.records();
        records
            .iter()
            .flat_map(|record| if let Body::Logs(logs) = &record.body { &**logs } else { &[] })
            .cloned()
            .collect()
    }

    pub fn series(&self) -> Vec<SeriesSamples> {
        let records = self.records();
        records
            .iter()
            .flat_map(|one| if let Body::Samples(series) = &one.body { &**series } else { &[] })
            .cloned()
            .collect()
    }

    /// Waits until `reached` holds; it is looked at after every append.
    pub async fn until(&self, mut reached: impl FnMut(&Self) -> bool) {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if reached(self) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(20), waiting).await.expect("the state is reached in time");
    }
}

impl Intake for RecordingIntake {
    fn append(&self, record: NewRecord) -> Ack {
        let mut state = self.state.lock().unwrap();
        state.offered += 1;
        let answer: Ack = if state.busy {
            Box::pin(std::future::ready(Err(Refused::Busy)))
        } else if let Some(refused) = state.at_once.take() {
            Box::pin(std::future::ready(Err(refused)))
        } else if let Some(refused) = state.refusals.pop_front() {
            Box::pin(async move {
                tokio::task::yield_now().await;
                Err(refused)
            })
        } else {
            state.stored.push(record);
            let seq = Seq(state.stored.len() as u64);
            match &mut state.held {
                None => Box::pin(std::future::ready(Ok(seq))),
                Some(held) => {
                    let (sender, receiver) = oneshot::channel();
                    held.push(sender);
                    Box::pin(async move { receiver.await.unwrap() })
                }
            }
        };
        drop(state);
        self.changed.notify_waiters();
        answer
    }
}

struct TableIdentity(AssetTable);

impl Identity for TableIdentity {
    fn resolve(&self, _source: &SourceName, sender: &Sender<'_>) -> Attribution {
        self.0.look_up(sender)
    }

    fn came_again(&self, _source: &SourceName, _sender: &Sender<'_>, _reason: &str, _items: u64) {}
}

/// A context on the asset `bridge-pc` whose clock stands at [`NOW`].
pub fn context(name: &str) -> (SourceContext, Arc<RecordingIntake>) {
    let intake = Arc::new(RecordingIntake::default());
    let table = AssetTable::new(&AssetId::from("bridge-pc"), []);
    let context = SourceContext {
        name: name.into(),
        intake: Arc::clone(&intake) as Arc<dyn Intake>,
        identity: Arc::new(TableIdentity(table)),
        stats: Arc::new(SourceStats::default()),
        clock: Arc::new(|| NOW),
    };
    (context, intake)
}

/// A record of log messages.
pub fn log_record(messages: &[&str]) -> NewRecord {
    let logs = messages.iter().map(|message| LogRecord {
        time: NOW,
        asset: "bridge-pc".into(),
        app: "test".into(),
        severity: wk_types::Severity::Info,
        message: (*message).into(),
        attributes: wk_types::Attributes::new(),
    });
    NewRecord { received: NOW, source: "test".into(), body: Body::Logs(logs.collect()) }
}

/// Series and their samples as text, one line each, for snapshots.
pub fn series_text(series: &[SeriesSamples]) -> String {
    let value = |sample: &Sample| if sample.is_stale() { "stale".to_owned() } else { sample.value.to_string() };
    let mut lines: Vec<String> = series
        .iter()
        .map(|one| {
            let values: Vec<_> =
                one.samples.iter().map(|sample| format!("{}@{}", value(sample), sample.time.0 - NOW.0)).collect();
            format!("{} {}", one.series.labels, values.join(" "))
        })
        .collect();
    lines.sort();
    lines.join("\n")
}
