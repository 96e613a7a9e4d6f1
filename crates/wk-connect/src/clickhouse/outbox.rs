//! From the intake log to ClickHouse: batches that are sent until they are acknowledged.
//!
//! The intake log is the queue. A batch that is under way is noted in the ledger before it is sent and stays as it is
//! until it is acknowledged, so that it has the same token whenever it is sent again, also after a restart.

mod spill;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use wk_lake::LakeError;
use wk_store::io::Io;
use wk_types::{Body, IntakeRecord, Seq, UtcMs};

use self::spill::Spill;
use super::ledger::{Ledger, Reached};
use super::{ClickHouse, ClickHouseError, Line};

/// Rows from which a batch is sent.
const BATCH_ROWS_MAX: usize = 50_000;
/// Bytes of text from which a batch is sent.
const BATCH_BYTES_MAX: usize = 16 << 20;
/// How long a row waits for others.
const BATCH_AFTER: Duration = Duration::from_secs(1);
/// How long to wait after a first failure; each further one doubles it.
const RETRY_FIRST: Duration = Duration::from_secs(1);
/// How long to wait at most.
const RETRY_MAX: Duration = Duration::from_secs(60);
/// How often the cursor is saved while nothing is to be sent.
const SAVE_EVERY: Duration = Duration::from_secs(5);
/// Rows of one batch refused one by one at most; beyond, the rest of the batch is refused together.
const REFUSED_ALONE_MAX: usize = 64;

/// Rows that the store refuses for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The first and the last intake record of them.
    pub records: (Seq, Seq),
    /// How many rows.
    pub rows: u64,
    /// What the store said.
    pub what: String,
}

/// Tells somebody of rows that the store refuses for good.
pub type Told = Box<dyn Fn(&Refused) -> Result<(), Box<dyn std::error::Error + Send + Sync>> + Send>;

/// How an outbox is run.
pub struct OutboxOptions {
    /// Tells whether so much waits that batches must go to the spill.
    pub is_pressed: Box<dyn Fn() -> bool + Send>,
    /// The folder of the spill and its largest size in bytes; without, everything waits in the intake log.
    pub spill: Option<(PathBuf, u64)>,
    /// Is told of rows that the store refuses for good.
    pub told: Told,
    /// Where sending begins where the data folder does not say how far it has come.
    pub start: Seq,
}

/// Why records could not be sent now; they stay in the intake log.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// The ledger cannot be read or written.
    #[error("could not keep how far logs have been sent")]
    Ledger(#[source] io::Error),
    /// The spill cannot be used.
    #[error("could not use the spill of logs")]
    Spill(#[source] LakeError),
    /// The store did not take a batch.
    #[error("could not send logs")]
    Send(#[source] ClickHouseError),
    /// The store did not take the batch before; it is tried again later.
    #[error("waiting to send logs again: {last}")]
    Waiting {
        /// What the store said last.
        last: String,
    },
    /// Rows that were refused could not be told of.
    #[error("could not note the rows that were refused")]
    Tell(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// How sending goes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct OutboxStats {
    /// Rows acknowledged since the start, those of the spill included.
    pub sent_rows: u64,
    /// Batches acknowledged since the start.
    pub sent_batches: u64,
    /// Attempts that failed since the start.
    pub failures: u64,
    /// Rows that the store refused for good since the start; they are lost.
    pub refused_rows: u64,
    /// Rows put into the spill since the start.
    pub spilled_rows: u64,
    /// Rows in the spill.
    pub spill_rows: u64,
    /// Bytes of the spill.
    pub spill_bytes: u64,
    /// Rows of the batch that is gathered or sent.
    pub waiting_rows: u64,
    /// When the store last acknowledged.
    pub acknowledged: Option<UtcMs>,
    /// What went wrong last, while it does.
    pub last_error: Option<String>,
}

/// The figures of an outbox, for others to read. Cheap to clone; all clones are one.
#[derive(Debug, Clone, Default)]
pub struct SharedStats(Arc<Mutex<OutboxStats>>);

impl SharedStats {
    /// The figures now.
    #[must_use]
    pub fn read(&self) -> OutboxStats {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut OutboxStats)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Records gathered, in the order they came.
#[derive(Default)]
struct Batch {
    records: Vec<Arc<IntakeRecord>>,
    rows: usize,
    bytes: usize,
    began: Option<Instant>,
    /// Nothing is added any more: it has been sent, or noted as being sent.
    is_sealed: bool,
}

impl Batch {
    fn push(&mut self, record: &Arc<IntakeRecord>) {
        let Body::Logs(logs) = &record.body else { return };
        self.began.get_or_insert_with(Instant::now);
        self.rows += logs.len();
        self.bytes += logs.iter().map(|log| log.message.len()).sum::<usize>();
        self.records.push(Arc::clone(record));
    }

    fn is_full(&self) -> bool {
        self.rows >= BATCH_ROWS_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    fn is_due(&self) -> bool {
        self.is_sealed || self.is_full() || self.began.is_some_and(|began| began.elapsed() >= BATCH_AFTER)
    }

    fn last(&self) -> Option<Seq> {
        self.records.last().map(|record| record.seq)
    }

    fn lines(&self) -> Vec<Line<'_>> {
        let lines = self.records.iter().filter_map(|record| match &record.body {
            Body::Logs(logs) => Some((0..).zip(logs.iter()).map(|(line, log)| Line::of_record(record.seq, line, log))),
            _ => None,
        });
        lines.flatten().collect()
    }

    /// When the newest record was received.
    fn received(&self) -> UtcMs {
        self.records.last().map_or(UtcMs::default(), |record| record.received)
    }
}

/// When the store is tried again.
#[derive(Debug, Default)]
struct Backoff {
    failures: u32,
    until: Option<Instant>,
}

impl Backoff {
    fn is_due(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() >= until)
    }

    fn failed(&mut self) {
        let wait = RETRY_FIRST.saturating_mul(1 << self.failures.min(6)).min(RETRY_MAX);
        self.failures += 1;
        self.until = Some(Instant::now() + wait);
    }
}

/// Sends the log records of the intake log to ClickHouse.
pub struct LogOutbox {
    store: ClickHouse,
    ledger: Ledger,
    reached: Reached,
    saved_at: Instant,
    /// Everything up to this record has been taken into a batch.
    seen: Seq,
    batch: Batch,
    backoff: Backoff,
    spill: Option<Spill>,
    options: OutboxOptions,
    stats: SharedStats,
}

impl LogOutbox {
    /// Opens the ledger in the data folder, and the spill.
    ///
    /// # Errors
    /// A ledger or spill that cannot be read.
    pub fn open(io: Arc<dyn Io>, data: &Path, store: ClickHouse, options: OutboxOptions) -> Result<Self, OutboxError> {
        let (ledger, mut reached) = Ledger::open(Arc::clone(&io), data, options.start).map_err(OutboxError::Ledger)?;
        // What another store has taken meanwhile is not sent.
        if options.start > reached.cursor {
            reached.cursor = options.start;
            reached.sending = reached.sending.filter(|last| *last > options.start);
        }
        let spill = options.spill.as_ref().map(|(folder, bytes_max)| Spill::open(io, folder, *bytes_max));
        let spill = spill.transpose().map_err(OutboxError::Spill)?;
        let outbox = Self {
            store,
            ledger,
            reached,
            saved_at: Instant::now(),
            seen: reached.cursor,
            batch: Batch::default(),
            backoff: Backoff::default(),
            spill,
            options,
            stats: SharedStats::default(),
        };
        outbox.note_reached();
        outbox.note_spill();
        Ok(outbox)
    }

    /// Everything up to this record need not be read again.
    #[must_use]
    pub fn cursor(&self) -> Seq {
        self.reached.cursor
    }

    /// The figures, for others to read.
    #[must_use]
    pub fn stats(&self) -> SharedStats {
        self.stats.clone()
    }

    /// Takes records in; there are no others with logs up to `next`. Sends what is full. After an error the same call is
    /// to be repeated; what was taken before is passed over.
    ///
    /// # Errors
    /// A store that does not take the batch under way. Nothing is lost, and nothing more is taken until it does.
    pub fn take(&mut self, records: &[Arc<IntakeRecord>], next: Seq) -> Result<(), OutboxError> {
        if self.batch.is_sealed {
            self.send()?;
        }
        for record in records {
            if record.seq <= self.seen {
                continue;
            }
            if self.reached.sending.is_some_and(|last| record.seq > last) {
                self.send()?;
            }
            self.batch.push(record);
            self.seen = record.seq;
            if self.batch.is_full() && self.reached.sending.is_none() {
                self.send()?;
            }
        }
        self.seen = self.seen.max(next);
        if self.reached.sending.is_some_and(|last| self.seen >= last) {
            self.send()?;
        }
        self.stats.change(|stats| stats.waiting_rows = self.batch.rows as u64);
        Ok(())
    }

    /// Sends what has waited long enough, and what lies in the spill; answers up to where the intake log may be freed.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn maintain(&mut self) -> Result<Seq, OutboxError> {
        if self.batch.is_due() && !self.is_gathering_again() {
            self.send()?;
        } else if self.has_spilled() && self.backoff.is_due() {
            self.empty_spill()?;
        }
        if self.batch.records.is_empty() && self.reached.sending.is_none() {
            self.reached.cursor = self.reached.cursor.max(self.seen);
            if self.saved_at.elapsed() >= SAVE_EVERY {
                self.save()?;
            }
            self.note_reached();
        }
        Ok(self.ledger.saved().map_or(Seq::default(), |saved| saved.cursor))
    }

    /// Sends what there is, at the end, and saves how far that came.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn finish(&mut self) -> Result<Seq, OutboxError> {
        if !self.is_gathering_again() {
            self.send()?;
            self.reached.cursor = self.reached.cursor.max(self.seen);
        }
        self.save()?;
        Ok(self.reached.cursor)
    }

    /// Tells whether a batch of an earlier run is not yet read back whole; part of it would have another token.
    fn is_gathering_again(&self) -> bool {
        self.reached.sending.is_some() && !self.batch.is_sealed
    }

    /// Sends the batch; returns once it is acknowledged, refused for good, or in the spill.
    fn send(&mut self) -> Result<(), OutboxError> {
        let Some(last) = self.batch.last() else {
            // The records of the batch that was being sent had no logs that could still be read.
            self.reached.sending = None;
            return Ok(());
        };
        self.batch.is_sealed = true;
        if self.reached.sending != Some(last) {
            self.reached.sending = Some(last);
            self.save()?;
        }
        if !self.backoff.is_due() {
            let last = self.stats.read().last_error.unwrap_or_default();
            return self.spill_or(OutboxError::Waiting { last });
        }
        match self.empty_spill().and_then(|()| self.deliver()) {
            Ok(()) => self.acknowledged(last),
            Err(OutboxError::Send(error)) => self.spill_or(OutboxError::Send(error)),
            Err(error) => Err(error),
        }
    }

    fn deliver(&mut self) -> Result<(), OutboxError> {
        let (received, lines) = (self.batch.received(), self.batch.lines());
        match self.store.insert(received, &lines) {
            Ok(()) => {
                self.stats.change(|stats| stats.sent_rows += lines.len() as u64);
                Ok(())
            }
            Err(error) if error.is_of_content() => {
                let mut refusals = Vec::new();
                deliver_parts(&self.store, received, &lines, &mut refusals).map_err(OutboxError::Send)?;
                let refused: u64 = refusals.iter().map(|one| one.rows).sum();
                refusals.iter().try_for_each(|one| (self.options.told)(one)).map_err(OutboxError::Tell)?;
                self.stats.change(|stats| {
                    stats.sent_rows += lines.len() as u64 - refused;
                    stats.refused_rows += refused;
                });
                Ok(())
            }
            Err(error) => Err(OutboxError::Send(error)),
        }
        .inspect_err(|error| note_failure(&mut self.backoff, &self.stats, error))
    }

    fn acknowledged(&mut self, last: Seq) -> Result<(), OutboxError> {
        self.backoff = Backoff::default();
        self.stats.change(|stats| {
            stats.sent_batches += 1;
            stats.acknowledged = Some(self.batch.received());
            stats.last_error = None;
        });
        self.pass(last)
    }

    /// Goes on behind the batch, which is safe.
    fn pass(&mut self, last: Seq) -> Result<(), OutboxError> {
        self.batch = Batch::default();
        self.reached.cursor = self.reached.cursor.max(last);
        self.reached.sending = None;
        self.stats.change(|stats| stats.waiting_rows = 0);
        self.note_reached();
        self.save()
    }

    /// Puts the batch into the spill where too much waits; `error` where it has to wait.
    fn spill_or(&mut self, error: OutboxError) -> Result<(), OutboxError> {
        let (Some(spill), Some(last)) = (&mut self.spill, self.batch.last()) else { return Err(error) };
        if !(self.options.is_pressed)() || spill.is_full() {
            return Err(error);
        }
        spill.put(&self.batch.records).map_err(OutboxError::Spill)?;
        let rows = self.batch.rows as u64;
        self.stats.change(|stats| stats.spilled_rows += rows);
        self.note_spill();
        self.pass(last)
    }

    /// Sends the spill's files, oldest first, each deleted once it is acknowledged.
    fn empty_spill(&mut self) -> Result<(), OutboxError> {
        let Some(spill) = &mut self.spill else { return Ok(()) };
        while let Some((file, rows)) = spill.oldest().map_err(OutboxError::Spill)? {
            let lines: Vec<Line<'_>> = rows.iter().map(Line::of_row).collect();
            let mut refusals = Vec::new();
            deliver_parts(&self.store, file.received(), &lines, &mut refusals)
                .map_err(OutboxError::Send)
                .inspect_err(|error| note_failure(&mut self.backoff, &self.stats, error))?;
            refusals.iter().try_for_each(|one| (self.options.told)(one)).map_err(OutboxError::Tell)?;
            let refused: u64 = refusals.iter().map(|one| one.rows).sum();
            self.stats.change(|stats| {
                stats.sent_rows += lines.len() as u64 - refused;
                stats.refused_rows += refused;
            });
            spill.delete(file).map_err(OutboxError::Spill)?;
        }
        self.note_spill();
        self.note_reached();
        Ok(())
    }

    fn has_spilled(&self) -> bool {
        self.spill.as_ref().is_some_and(|spill| spill.first().is_some())
    }

    fn save(&mut self) -> Result<(), OutboxError> {
        self.ledger.save(self.reached).map_err(OutboxError::Ledger)?;
        self.saved_at = Instant::now();
        Ok(())
    }

    /// Tells the store's readers how far it can be asked; what lies in the spill it does not have.
    fn note_reached(&self) {
        let spilled = self.spill.as_ref().and_then(Spill::first);
        let sent = spilled.map_or(self.reached.cursor, |first| Seq(first.0.saturating_sub(1)));
        self.store.note_sent(sent.min(self.reached.cursor));
    }

    fn note_spill(&self) {
        let Some(spill) = &self.spill else { return };
        let (rows, bytes) = spill.size();
        self.stats.change(|stats| (stats.spill_rows, stats.spill_bytes) = (rows, bytes));
    }
}

fn note_failure(backoff: &mut Backoff, stats: &SharedStats, error: &OutboxError) {
    let OutboxError::Send(error) = error else { return };
    backoff.failed();
    let text = chain(error);
    stats.change(|stats| {
        stats.failures += 1;
        stats.last_error = Some(text);
    });
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text += &format!(": {inner}");
        cause = inner.source();
    }
    text
}

/// Sends lines; where the store refuses what they say, sends their halves, down to the lines that it means.
fn deliver_parts(
    store: &ClickHouse,
    received: UtcMs,
    lines: &[Line<'_>],
    refused: &mut Vec<Refused>,
) -> Result<(), ClickHouseError> {
    let (Some(first), Some(last)) = (lines.first(), lines.last()) else { return Ok(()) };
    match store.insert(received, lines) {
        Err(error) if error.is_of_content() => {
            if lines.len() == 1 || refused.len() >= REFUSED_ALONE_MAX {
                let (records, rows) = ((first.seq, last.seq), lines.len() as u64);
                refused.push(Refused { records, rows, what: chain(&error) });
                return Ok(());
            }
            let (left, right) = lines.split_at(lines.len() / 2);
            deliver_parts(store, received, left, refused)?;
            deliver_parts(store, received, right, refused)
        }
        sent => sent,
    }
}
