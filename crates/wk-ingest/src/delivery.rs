//! Getting records into the intake log: offering them until they are taken, many on their way at once, in order.

use std::collections::VecDeque;
use std::task::Poll;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use wk_types::NewRecord;

use crate::contract::{Ack, Refused, SourceContext};

/// How many records of one sender are on their way to disk at once, so that the time of one fsync does not bound
/// throughput.
pub const IN_FLIGHT_MAX: usize = 8;
/// The first pause after a refusal.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
/// The longest pause after a refusal.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// How long a source that ends waits for what is on its way.
const FINISH_WITHIN: Duration = Duration::from_secs(2);

/// The reason under which items are counted whose record the log never takes.
pub const TOO_LARGE: &str = "record too large for the intake log";

/// What became of a record that was to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Delivered {
    /// It is on disk, and counted as accepted.
    Stored,
    /// The log never takes it; it is counted as rejected.
    Rejected,
    /// The source was told to end before the log took it.
    Ended,
}

/// Offers a record until the log takes it, refuses it for good, or the source is told to end.
///
/// Dropping the future may leave the record stored or not.
pub async fn deliver(context: &SourceContext, record: NewRecord, cancel: &CancellationToken) -> Delivered {
    let mut pause = PAUSE_FIRST;
    loop {
        match context.intake.append(record.clone()).await {
            Ok(_) => {
                context.stats.accepted(record.body.items() as u64);
                return Delivered::Stored;
            }
            Err(refused) if !refused.is_retryable() => {
                reject(context, &refused, record.body.items() as u64);
                return Delivered::Rejected;
            }
            Err(error) => tracing::debug!(source = %context.name, %error, "record is offered again"),
        }
        tokio::select! {
            () = cancel.cancelled() => return Delivered::Ended,
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(PAUSE_MAX),
        }
    }
}

/// Counts the items of a record that the log never takes.
pub fn reject(context: &SourceContext, refused: &Refused, items: u64) {
    tracing::error!(source = %context.name, %refused, items, "a record is given up");
    context.stats.rejected(TOO_LARGE, items, &refused.to_string());
}

/// What became of an offered record at the first look.
pub enum Offer {
    /// It is queued; the acknowledgement is awaited.
    Queued(Ack),
    /// It is on disk.
    Stored,
    /// It was not taken.
    Refused(Refused),
}

/// Offers a record once and looks at the answer without waiting.
pub async fn offer(context: &SourceContext, record: NewRecord) -> Offer {
    let mut ack = context.intake.append(record);
    match futures::poll!(ack.as_mut()) {
        Poll::Pending => Offer::Queued(ack),
        Poll::Ready(Ok(_)) => Offer::Stored,
        Poll::Ready(Err(refused)) => Offer::Refused(refused),
    }
}

/// The answer to a record that was on its way.
pub struct Outcome {
    record: NewRecord,
    refused: Option<Refused>,
}

/// The records of one sender that are on their way, oldest first.
pub struct Pipeline {
    context: SourceContext,
    cancel: CancellationToken,
    in_flight: VecDeque<(Ack, NewRecord)>,
}

impl Pipeline {
    /// Makes an empty pipeline.
    #[must_use]
    pub fn new(context: SourceContext, cancel: CancellationToken) -> Self {
        Self { context, cancel, in_flight: VecDeque::with_capacity(IN_FLIGHT_MAX) }
    }

    /// Queues a record behind all earlier ones, waiting while the log is busy or too many are on their way; what cannot
    /// be queued before the source is told to end counts as lost.
    pub async fn push(&mut self, record: NewRecord) {
        while self.in_flight.len() >= IN_FLIGHT_MAX {
            let outcome = self.next_outcome().await;
            self.conclude(outcome).await;
        }
        match offer(&self.context, record.clone()).await {
            Offer::Queued(ack) => self.in_flight.push_back((ack, record)),
            Offer::Stored => self.context.stats.accepted(record.body.items() as u64),
            Offer::Refused(refused) if !refused.is_retryable() => {
                reject(&self.context, &refused, record.body.items() as u64);
            }
            Offer::Refused(_) => {
                self.settle_all().await;
                self.deliver_or_count(record).await;
            }
        }
    }

    /// Waits for the oldest record's answer; never ends while nothing is on its way. Dropping the future loses nothing.
    pub async fn next_outcome(&mut self) -> Outcome {
        let Some((ack, _)) = self.in_flight.front_mut() else { return std::future::pending().await };
        let answer = ack.await;
        let (_, record) = self.in_flight.pop_front().expect("the front was just looked at");
        Outcome { record, refused: answer.err() }
    }

    /// Counts a stored record, or offers it again if it failed.
    pub async fn conclude(&mut self, outcome: Outcome) {
        match outcome.refused {
            None => self.context.stats.accepted(outcome.record.body.items() as u64),
            Some(refused) if !refused.is_retryable() => {
                reject(&self.context, &refused, outcome.record.body.items() as u64);
            }
            Some(error) => {
                tracing::warn!(source = %self.context.name, %error, "record is offered again");
                self.deliver_or_count(outcome.record).await;
            }
        }
    }

    /// Waits for everything on its way, for a bounded time; what is left then counts as lost.
    pub async fn finish(self) {
        self.finish_within(FINISH_WITHIN).await;
    }

    async fn finish_within(mut self, limit: Duration) {
        if tokio::time::timeout(limit, self.settle_all()).await.is_err() {
            let left: usize = self.in_flight.iter().map(|(_, record)| record.body.items()).sum();
            self.context.stats.lost("not acknowledged before the end", left as u64);
        }
    }

    /// Waits until nothing is on its way.
    pub async fn settle_all(&mut self) {
        while !self.in_flight.is_empty() {
            let outcome = self.next_outcome().await;
            self.conclude(outcome).await;
        }
    }

    async fn deliver_or_count(&mut self, record: NewRecord) {
        let items = record.body.items() as u64;
        if deliver(&self.context, record, &self.cancel).await == Delivered::Ended {
            self.context.stats.lost("intake busy until the end", items);
        }
    }
}

#[cfg(test)]
mod tests;
