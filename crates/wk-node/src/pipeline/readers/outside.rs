//! The reader that sends samples to a metric store outside. The intake log is its queue: what is not sent waits there, or,
//! where that is wanted, in the spill once more than half of the log waits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use wk_connect::metrics::{Batch, Limits, Refused, Sent, Unsent, WriteError};
use wk_store::intake::IntakeLog;
use wk_store::metrics::{FUTURE_MAX, HEAD_SAMPLES_FLUSH, MetricStore};
use wk_store::state::{NewEvent, State};
use wk_types::{Body, DurationMs, IntakeRecord, Kinds, Seq, UtcMs};

use super::{Failure, METRICS_OUTSIDE, Reader};
use crate::clock::now;
use crate::gauges::free_bytes;
use crate::node::Node;
use crate::outside::{OutsideMetrics, Spill};
use crate::pipeline::transfer::{Transfer, TransferError};

/// Samples of whole records that are gathered before they are sent.
const BATCH_SAMPLES: usize = 10_000;
/// Further requests that one batch with refused samples may cost.
const SPLITS_MAX: usize = 256;
/// The first wait after a failure; each further one is twice as long.
const WAIT_MIN: Duration = Duration::from_secs(1);
/// The longest wait that the node chooses.
const WAIT_MAX: Duration = Duration::from_secs(30);
/// The longest wait that the store may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);
/// What was sent within such a step settles together.
const SETTLE_STEP: Duration = Duration::from_millis(500);
/// How often the cursor is saved; after a crash at most so much is sent twice.
const SAVE_EVERY: DurationMs = DurationMs::from_secs(1);
/// How often the spill is written into blocks.
const FLUSH_EVERY: DurationMs = DurationMs::from_mins(1);
/// How often samples refused for good are told in the journal, by reason.
const TELL_EVERY: DurationMs = DurationMs::from_mins(10);
/// The share of the disk that the spill leaves free.
const DISK_FREE_MIN: f64 = 0.05;

/// The reader.
pub(super) struct OutsideReader {
    outside: Arc<OutsideMetrics>,
    embedded: MetricStore,
    intake: IntakeLog,
    state: State,
    stop: CancellationToken,
    root: std::path::PathBuf,
    intake_bytes_max: u64,
    /// The way out of the spill.
    transfer: Option<Transfer>,
    /// Everything up to here has been sent, or is in the spill.
    taken: Seq,
    /// What was sent lately, which a store that is killed may still lose.
    unsettled: Unsettled<Seq>,
    /// The same of the spill, by the time up to which it was sent.
    unsettled_spill: Unsettled<UtcMs>,
    /// Where to read from once more.
    rewound: Option<Seq>,
    saved: (Seq, UtcMs),
    flushed_at: UtcMs,
    /// What may have been sent already reaches up to here.
    uncertain: Seq,
    is_spilling: bool,
    pause: Pause,
    untold: Untold,
}

/// Places up to which was sent lately, with when that was.
struct Unsettled<T> {
    after: Duration,
    settled: T,
    recent: VecDeque<(Instant, T)>,
}

impl<T: Copy + Ord> Unsettled<T> {
    fn new(after: Duration, settled: T) -> Self {
        Self { after, settled, recent: VecDeque::new() }
    }

    /// Notes that everything up to here was sent just now.
    fn sent(&mut self, upto: T) {
        let now = Instant::now();
        match self.recent.back_mut() {
            Some((since, last)) if now.duration_since(*since) < SETTLE_STEP => *last = upto,
            _ => self.recent.push_back((now, upto)),
        }
    }

    /// Everything up to here stays.
    fn settled(&mut self) -> T {
        while let Some((_, upto)) = self.recent.pop_front_if(|(since, _)| since.elapsed() >= self.after + SETTLE_STEP) {
            self.settled = upto;
        }
        if self.after.is_zero()
            && let Some((_, upto)) = self.recent.pop_back()
        {
            self.recent.clear();
            self.settled = upto;
        }
        self.settled
    }

    /// What is not settled may be lost, and is forgotten here.
    fn rewind(&mut self) -> T {
        let settled = self.settled();
        self.recent.clear();
        settled
    }
}

/// The time during which the store is left alone.
#[derive(Default)]
struct Pause {
    until: Option<Instant>,
    wait: Duration,
    what: String,
}

impl Pause {
    fn begin(&mut self, error: &WriteError) {
        self.wait = (self.wait * 2).clamp(WAIT_MIN, WAIT_MAX);
        let asked = match error {
            WriteError::Later { after, .. } => after.map(|after| after.min(RETRY_AFTER_MAX)),
            WriteError::Refused { .. } => None,
        };
        self.until = Some(Instant::now() + asked.unwrap_or(self.wait).max(WAIT_MIN));
        self.what = error.to_string();
    }

    fn holds(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() < until)
    }

    fn end(&mut self) {
        *self = Self::default();
    }
}

/// Refusals that the journal has not been told of.
#[derive(Default)]
struct Untold {
    by_reason: BTreeMap<&'static str, Refused>,
    told_at: Option<UtcMs>,
}

impl OutsideReader {
    /// Goes on where it stopped; the first time, where the node's own store stops.
    pub(super) fn new(node: &Node, outside: &Arc<OutsideMetrics>, stop: &CancellationToken) -> Result<Self, Failure> {
        let saved = Seq(node.state.cursor(METRICS_OUTSIDE)?);
        let taken = saved.max(node.metrics.cursor());
        // Saved at once: the node's own blocks, from which the first cursor follows, may be dropped one day.
        node.state.advance_cursor(METRICS_OUTSIDE, taken.0)?;
        let transfer = outside.spill.as_ref().map(|spill| spill.transfer(outside.store.url())).transpose()?;
        let settles_after = outside.store.kind().settles_after();
        Ok(Self {
            outside: Arc::clone(outside),
            embedded: node.metrics.clone(),
            intake: node.intake.clone(),
            state: node.state.clone(),
            stop: stop.clone(),
            root: node.folder.root().to_owned(),
            intake_bytes_max: node.config.storage.intake_bytes_max,
            transfer,
            taken,
            unsettled: Unsettled::new(settles_after, taken),
            unsettled_spill: Unsettled::new(settles_after, UtcMs::MIN),
            rewound: None,
            saved: (taken, now()),
            flushed_at: now(),
            uncertain: node.caught_up,
            is_spilling: false,
            pause: Pause::default(),
            untold: Untold::default(),
        })
    }

    /// Everything up to here is safe outside or in blocks of the spill.
    pub(super) fn cursor(&mut self) -> Seq {
        let settled = self.unsettled.settled();
        let spilled = self.outside.spill.as_ref().map(|spill| &spill.store);
        let cursor = match spilled.filter(|store| store.stats().samples_head > 0) {
            Some(store) => settled.min(store.cursor()),
            None => settled,
        };
        cursor.max(self.saved.0)
    }

    /// Whether more waits than is to wait in the intake log, and the spill has room for it.
    fn is_crowded(&self) -> bool {
        let Some(spill) = self.outside.spill.as_ref().filter(|spill| spill.is_open) else { return false };
        let readers = self.intake.stats().readers;
        let waiting = readers.iter().find(|reader| reader.name == METRICS_OUTSIDE).map_or(0, |reader| reader.lag_bytes);
        waiting > self.intake_bytes_max / 2 && self.has_room(spill)
    }

    fn has_room(&self, spill: &Spill) -> bool {
        let disk = free_bytes(&self.root).is_none_or(|(free, total)| free as f64 >= DISK_FREE_MIN * total as f64);
        disk && spill.store.stats().bytes < spill.bytes_max
    }

    /// Sends on what the spill holds, a little; answers whether it is empty.
    fn return_some(&mut self) -> Result<bool, Failure> {
        let (Some(spill), Some(transfer)) = (self.outside.spill.as_ref(), self.transfer.as_mut()) else {
            return Ok(true);
        };
        let settled = self.unsettled_spill.settled();
        if settled > UtcMs::MIN {
            spill.store.release(settled)?;
            self.unsettled_spill.settled = UtcMs::MIN;
        }
        let stats = spill.store.stats();
        if stats.oldest.is_none() {
            return self.end_return().map(|()| true);
        }
        if stats.samples_head > 0 {
            // Only blocks are given up once they were sent.
            spill.store.flush()?;
        }
        let (outside, stop) = (&self.outside, &self.stop);
        let step = outside.wait_for(async {
            tokio::select! {
                () = stop.cancelled() => Err(Failure::from("the node is stopping")),
                step = transfer.step(&outside.store, SPLITS_MAX) => Ok(step),
            }
        })?;
        match step {
            Ok(Some(step)) => {
                self.outside.counts().returned += step.sent.samples;
                self.went_well(&step.sent);
                if let Some(until) = step.until {
                    self.unsettled_spill.sent(until);
                }
                Ok(false)
            }
            // The blocks go once the store will not lose what was sent.
            Ok(None) => Ok(true),
            Err(TransferError::Unsent(unsent)) => Err(self.went_badly(*unsent)),
            Err(error) => Err(error.into()),
        }
    }

    /// The spill is empty: how far it was sent tells nothing any more.
    fn end_return(&mut self) -> Result<(), Failure> {
        let spill = spill_of(&self.outside)?;
        match std::fs::remove_file(&spill.progress) {
            Ok(()) => self.transfer = Some(spill.transfer(self.outside.store.url())?),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn spill(&mut self, records: &[Arc<IntakeRecord>], next: Seq) -> Result<(), Failure> {
        if !self.unsettled.recent.is_empty() {
            // What the store may yet lose goes into the spill as well: from there on that alone counts.
            self.rewind_log();
            return Ok(());
        }
        let spill = spill_of(&self.outside)?;
        let known = records.partition_point(|record| record.seq <= self.taken);
        for record in &records[known..] {
            let Body::Samples(series) = &record.body else { continue };
            let earliest = series.iter().flat_map(|one| &one.samples).map(|sample| sample.time).min();
            if let (Some(transfer), Some(earliest)) = (self.transfer.as_mut(), earliest) {
                transfer.reach_back(earliest)?;
            }
            let appended = spill.store.append(record.seq, record.received, series)?;
            let mut counts = self.outside.counts();
            counts.spilled += appended.stored;
            counts.waiting_since = None;
            self.taken = record.seq;
        }
        self.taken = self.taken.max(next);
        self.unsettled.settled = self.taken;
        if spill.store.stats().samples_head >= HEAD_SAMPLES_FLUSH {
            spill.store.flush()?;
        }
        Ok(())
    }

    /// Sends whole records, as many as make a good request.
    fn send(&mut self, records: &[Arc<IntakeRecord>], next: Seq) -> Result<(), Failure> {
        let left = records.partition_point(|record| record.seq <= self.taken);
        let mut records = &records[left..];
        while let Some(first) = records.first() {
            let mut batch = Batch::default();
            let mut last = first.seq;
            let taken = records.iter().take_while(|record| {
                let is_wanted = batch.samples() < BATCH_SAMPLES;
                if let (true, Body::Samples(series)) = (is_wanted, &record.body) {
                    batch.add(series, record.received, FUTURE_MAX);
                    last = record.seq;
                }
                is_wanted
            });
            let taken = taken.count();
            self.outside.counts().waiting_since = Some(first.received);
            self.send_batch(batch, last)?;
            self.taken = last;
            self.unsettled.sent(last);
            records = &records[taken..];
        }
        self.outside.counts().waiting_since = None;
        self.taken = self.taken.max(next);
        self.unsettled.sent(self.taken);
        Ok(())
    }

    fn send_batch(&mut self, batch: Batch, last: Seq) -> Result<(), Failure> {
        let future = batch.future();
        let series = batch.into_series();
        let is_uncertain = self.taken < self.uncertain;
        let limits = if is_uncertain { Limits::Exact } else { Limits::Requests(SPLITS_MAX) };
        let (outside, stop) = (&self.outside, &self.stop);
        let sent = outside.wait_for(async {
            tokio::select! {
                () = stop.cancelled() => Err(Failure::from("the node is stopping")),
                sent = outside.store.send(&series, limits, now()) => Ok(sent),
            }
        });
        let Ok(sent) = sent else {
            self.uncertain = self.uncertain.max(last);
            return sent.map(|_| ());
        };
        match sent {
            Ok(sent) => {
                self.outside.counts().future += future;
                self.went_well(&sent);
                Ok(())
            }
            Err(unsent) => {
                if matches!(unsent.error, WriteError::Later { uncertain: true, .. }) || unsent.sent.requests > 1 {
                    self.uncertain = self.uncertain.max(last);
                }
                Err(self.went_badly(*unsent))
            }
        }
    }

    fn went_well(&mut self, sent: &Sent) {
        self.pause.end();
        self.outside.went(Ok(()));
        self.note(sent);
    }

    fn went_badly(&mut self, unsent: Unsent) -> Failure {
        self.pause.begin(&unsent.error);
        self.outside.went(Err(&unsent.error));
        self.note(&unsent.sent);
        if matches!(unsent.error, WriteError::Later { is_away: true, .. }) {
            self.rewind();
        }
        unsent.error.into()
    }

    fn rewind_log(&mut self) {
        let settled = self.unsettled.rewind();
        if settled < self.taken {
            self.uncertain = self.uncertain.max(self.taken);
            self.taken = settled;
            self.rewound = Some(settled);
        }
    }

    /// The store may have been killed: what it took lately is sent once more.
    fn rewind(&mut self) {
        self.rewind_log();
        self.unsettled_spill.rewind();
        if let Some(transfer) = self.transfer.as_mut()
            && let Err(error) = transfer.restart()
        {
            // What was not given up is sent from the beginning at the next start at the latest.
            tracing::warn!(error = crate::http::chain(&error), "the way of the spill could not be begun anew");
        }
    }

    fn note(&mut self, sent: &Sent) {
        self.outside.sent(sent);
        for refused in &sent.refused {
            match self.untold.by_reason.get_mut(refused.reason) {
                Some(known) => known.join(refused.clone()),
                None => drop(self.untold.by_reason.insert(refused.reason, refused.clone())),
            }
        }
    }

    /// Tells the journal what was refused for good, now and then.
    fn tell(&mut self, now: UtcMs, at_once: bool) -> Result<(), Failure> {
        let is_due = self.untold.told_at.is_none_or(|told| !(DurationMs(0)..TELL_EVERY).contains(&now.since(told)));
        if self.untold.by_reason.is_empty() || !(is_due || at_once) {
            return Ok(());
        }
        while let Some((reason, refused)) = self.untold.by_reason.pop_first() {
            let body = serde_json::json!({
                "reason": reason, "samples": refused.samples, "first": refused.first, "last": refused.last,
                "example": refused.example, "said": refused.said, "store": self.outside.store.url(),
            });
            let key = format!("metrics_refused/{}/{reason}", now.0);
            let event = NewEvent { kind: "metrics_refused", key: &key, by: None, body: &body };
            if let Err(error) = self.state.record_event(&event, now) {
                self.untold.by_reason.insert(reason, refused);
                return Err(error.into());
            }
            tracing::warn!(
                reason,
                samples = refused.samples,
                said = refused.said,
                "the metric store outside refused samples for good"
            );
        }
        self.untold.told_at = Some(now);
        Ok(())
    }

    fn save(&mut self, now: UtcMs) -> Result<Seq, Failure> {
        let cursor = self.cursor();
        if cursor > self.saved.0 {
            self.state.advance_cursor(METRICS_OUTSIDE, cursor.0)?;
        }
        self.saved = (cursor, now);
        Ok(cursor)
    }
}

/// The spill, which is there where anything was put into it.
fn spill_of(outside: &OutsideMetrics) -> Result<&Spill, Failure> {
    outside.spill.as_ref().ok_or_else(|| Failure::from("there is no spill"))
}

impl Reader for OutsideReader {
    fn name(&self) -> &'static str {
        METRICS_OUTSIDE
    }

    fn kinds(&self) -> Kinds {
        Kinds::SAMPLES
    }

    fn prepare(&mut self) -> Result<bool, Failure> {
        self.is_spilling = self.is_crowded();
        if self.pause.holds() {
            return if self.is_spilling { Ok(true) } else { Err(self.pause.what.clone().into()) };
        }
        match self.return_some() {
            Ok(is_empty) => Ok(is_empty || self.is_spilling),
            Err(_) if self.is_spilling => Ok(true),
            Err(error) => Err(error),
        }
    }

    fn rewound(&mut self) -> Option<Seq> {
        self.rewound.take()
    }

    fn ailment(&self) -> Option<String> {
        self.pause.until.map(|_| self.pause.what.clone())
    }

    fn take(&mut self, records: &[Arc<IntakeRecord>], next: Seq) -> Result<(), Failure> {
        if self.is_spilling { self.spill(records, next) } else { self.send(records, next) }
    }

    fn maintain(&mut self, now: UtcMs) -> Result<Seq, Failure> {
        // The node's own store is written no more, but what it holds still ages.
        self.embedded.maintain(now)?;
        if let Some(spill) = &self.outside.spill {
            let since = now.since(self.flushed_at);
            // The intake log is crowded until what was taken out of it stands in a block.
            let is_through = self.is_spilling && self.taken >= self.intake.durable();
            if is_through || !(DurationMs(0)..FLUSH_EVERY).contains(&since) {
                spill.store.flush()?;
                self.flushed_at = now;
            }
        }
        self.tell(now, false)?;
        let since = now.since(self.saved.1);
        if !self.is_spilling && (DurationMs(0)..SAVE_EVERY).contains(&since) {
            Ok(self.saved.0)
        } else {
            self.save(now)
        }
    }

    fn finish(&mut self, now: UtcMs) -> Result<Seq, Failure> {
        if let Some(spill) = &self.outside.spill {
            spill.store.flush()?;
        }
        self.tell(now, true)?;
        if self.pause.until.is_none() {
            // The store is well, and the node stops in order: there is nothing to be sent twice.
            self.unsettled.settled = self.taken;
            self.unsettled.recent.clear();
        }
        self.save(now)
    }
}
