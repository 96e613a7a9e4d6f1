//! The worker that takes the spool to its next station, as long as it takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lettre::message::Mailbox;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use wk_store::state::{Message, RETRY_WAIT_MAX, State, StateError};
use wk_types::{DurationMs, UtcMs};

use crate::settings::{MailSettings, SettingsError, Transport, parse_address};
use crate::{mime, sendmail, smtp};

/// The first wait after a failure.
const BACKOFF_FIRST: DurationMs = DurationMs::from_secs(10);
/// The longest wait while the next station cannot be spoken to: a link that comes back is used within this time, and
/// one attempt at a connection, all that a round then makes, costs next to nothing.
const UNREACHABLE_WAIT_MAX: DurationMs = DurationMs::from_secs(60);
/// Messages taken from the spool at once.
const ROUND_MAX: usize = 20;
/// The spool is looked at so often even when nobody says that something is new.
const LOOK_EVERY: DurationMs = DurationMs::from_secs(60);

/// How handing over one mail ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The next station has it and said this.
    Delivered(String),
    /// It may go better later.
    Temporary(String),
    /// The next station could not be spoken to, whatever the message.
    Unreachable(String),
    /// It can never go as it is.
    Permanent(String),
}

/// What one round did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Round {
    /// Messages that the next station took.
    pub delivered: u64,
    /// Messages that wait again.
    pub waiting: u64,
    /// Messages that were given up and are shown.
    pub dead: u64,
    /// When to try again at the latest, where the next station could not be spoken to.
    pub paused_until: Option<UtcMs>,
}

/// Reads the time; only the node itself knows a clock.
pub type Clock = Arc<dyn Fn() -> UtcMs + Send + Sync>;

/// The delivery worker: one message at a time, oldest first.
pub struct Delivery {
    state: State,
    from: Mailbox,
    transport: Transport,
    wake: Arc<Notify>,
    clock: Clock,
    /// The next station could not be spoken to the last time; also at start, when that is not known.
    is_closed: AtomicBool,
}

impl Delivery {
    /// Makes the worker; `wake` is notified by whoever puts messages into the spool.
    ///
    /// # Errors
    /// Settings that cannot be used.
    pub fn new(state: State, settings: &MailSettings, wake: Arc<Notify>, clock: Clock) -> Result<Self, SettingsError> {
        settings.validate()?;
        let from = parse_address(&settings.from)?;
        Ok(Self { state, from, transport: settings.transport.clone(), wake, clock, is_closed: AtomicBool::new(true) })
    }

    /// Delivers until `stop` is cancelled. A message in flight then is sent again after the next start.
    pub async fn run(&self, stop: CancellationToken) {
        loop {
            let round = tokio::select! {
                () = stop.cancelled() => return,
                round = self.deliver_due() => round,
            };
            let wait = match self.wait_after(round).await {
                Ok(wait) => wait,
                Err(error) => {
                    tracing::warn!(%error, "mail spool could not be read or written, trying again");
                    BACKOFF_FIRST
                }
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(wait.to_std()) => {}
            }
        }
    }

    async fn wait_after(&self, round: Result<Round, StateError>) -> Result<DurationMs, StateError> {
        let paused_until = round?.paused_until;
        let next = self.with_state(State::next_due).await?;
        let now = (self.clock)();
        let wait = match (paused_until, next) {
            (Some(paused), _) => paused.since(now).min(RETRY_WAIT_MAX),
            (None, Some(next)) => next.since(now).min(LOOK_EVERY),
            (None, None) => LOOK_EVERY,
        };
        Ok(wait.max(DurationMs(0)))
    }

    /// Tries each message that is due once; stops early where the next station cannot be spoken to.
    ///
    /// # Errors
    /// A state that cannot be read or written.
    pub async fn deliver_due(&self) -> Result<Round, StateError> {
        let mut round = Round::default();
        loop {
            let now = (self.clock)();
            let due = self.with_state(move |state| state.due_messages(now, ROUND_MAX)).await?;
            if due.is_empty() {
                return Ok(round);
            }
            for message in due {
                self.deliver(message, &mut round).await?;
                if round.paused_until.is_some() {
                    return Ok(round);
                }
            }
        }
    }

    async fn deliver(&self, message: Message, round: &mut Round) -> Result<(), StateError> {
        let (id, attempts) = (message.id, message.attempts);
        let outcome = self.attempt(&message).await;
        let now = (self.clock)();
        let unreachable = matches!(outcome, Outcome::Unreachable(_));
        let wait_max = if unreachable { UNREACHABLE_WAIT_MAX } else { RETRY_WAIT_MAX };
        let next_attempt = now + backoff(attempts, wait_max, &message.message_id);
        if self.is_closed.swap(unreachable, Ordering::Relaxed) && !unreachable {
            // The way is open again: what waits for its turn need not wait any longer.
            self.with_state(move |state| state.retry_queued_now(now)).await?;
        }
        match outcome {
            Outcome::Delivered(receipt) => {
                tracing::info!(message = %id, attempts = attempts + 1, "mail delivered");
                round.delivered += 1;
                self.with_state(move |state| state.message_delivered(id, &receipt, now)).await
            }
            Outcome::Temporary(error) | Outcome::Unreachable(error) => {
                tracing::warn!(message = %id, attempts = attempts + 1, error, "mail waits");
                round.waiting += 1;
                round.paused_until = unreachable.then_some(next_attempt);
                self.with_state(move |state| state.message_failed(id, &error, Some(next_attempt), now)).await
            }
            Outcome::Permanent(error) => {
                tracing::error!(message = %id, error, "mail can never be delivered as it is");
                round.dead += 1;
                self.with_state(move |state| state.message_failed(id, &error, None, now)).await
            }
        }
    }

    async fn attempt(&self, message: &Message) -> Outcome {
        let mail = match mime::mail(message, &self.from) {
            Ok(mail) => mail,
            Err(error) => return Outcome::Permanent(error.to_string()),
        };
        match &self.transport {
            Transport::Smtp(settings) => smtp::send(settings, &mail).await,
            Transport::Sendmail { argv } => sendmail::send(argv, &mail).await,
        }
    }

    /// Runs a call that may wait for the disk where it holds nobody up.
    async fn with_state<T: Send + 'static>(
        &self,
        call: impl FnOnce(&State) -> Result<T, StateError> + Send + 'static,
    ) -> Result<T, StateError> {
        let state = self.state.clone();
        match tokio::task::spawn_blocking(move || call(&state)).await {
            Ok(answer) => answer,
            Err(stopped) => match stopped.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(StateError::Conflict("the node is stopping".to_owned())),
            },
        }
    }
}

/// How long to wait after so many attempts: doubling from [`BACKOFF_FIRST`] to `wait_max`, less up to a quarter that
/// depends on the message alone, so that not all messages come back at once and a replay waits the same.
fn backoff(attempts: u32, wait_max: DurationMs, message_id: &str) -> DurationMs {
    let whole = BACKOFF_FIRST.0.saturating_mul(1_i64 << attempts.min(20)).min(wait_max.0);
    let digest = message_id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let less = (digest >> 32) % 250;
    DurationMs(whole - whole * less as i64 / 1_000)
}

#[cfg(test)]
mod tests;
