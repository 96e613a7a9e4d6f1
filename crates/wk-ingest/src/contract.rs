//! What the sources need from the node that runs them: a way into the intake log, a way to say whose a record is,
//! the time, and counters.

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use wk_types::{AssetId, ErrorKind, NewRecord, Seq, SourceName, UtcMs};

use crate::stats::SourceStats;

/// Resolves to the record's position once it is on disk, or to why it was refused.
pub type Ack = Pin<Box<dyn Future<Output = Result<Seq, Refused>> + Send>>;

/// The way into the intake log.
pub trait Intake: Send + Sync {
    /// Queues a record before it returns, so that records keep the order of the calls however their acknowledgements
    /// are awaited; a full queue or byte bound resolves to [`Refused::Busy`] at the first poll.
    fn append(&self, record: NewRecord) -> Ack;
}

/// Why the intake log did not take a record; the record is not stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The queue or the byte bound is full.
    #[error("the intake log is busy")]
    Busy,
    /// Writing failed.
    #[error("could not write to the intake log: {reason}")]
    Failed {
        /// What went wrong.
        reason: String,
    },
    /// The record is larger than the log ever takes.
    #[error("the record has {bytes} bytes, more than the intake log takes")]
    TooLarge {
        /// How many bytes it has.
        bytes: usize,
    },
}

impl Refused {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::Busy | Self::Failed { .. } => ErrorKind::Unavailable,
            Self::TooLarge { .. } => ErrorKind::InvalidInput,
        }
    }

    /// Tells whether the same record may be taken later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.kind().is_retryable()
    }
}

/// What is known of who sent something.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sender<'a> {
    /// The host name in the message, or the `instance` label.
    pub claimed: Option<&'a str>,
    /// The address it came from.
    pub peer: Option<IpAddr>,
    /// The asset that the configuration names for this target or source.
    pub declared: Option<&'a AssetId>,
}

/// Whose a record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribution {
    /// The asset, `unknown` where nobody can say.
    pub asset: AssetId,
    /// Why the asset is unknown; `None` where it is known.
    pub unknown: Option<String>,
}

/// Says whose a record is.
pub trait Identity: Send + Sync {
    /// Attributes a sender to an asset; counts and lists the sender where it is unknown.
    fn resolve(&self, source: &SourceName, sender: &Sender<'_>) -> Attribution;

    /// Counts further items of a sender that was just found to be unknown, for `reason`.
    fn came_again(&self, source: &SourceName, sender: &Sender<'_>, reason: &str, items: u64);
}

/// Reads the wall clock; only the node may.
pub type Clock = Arc<dyn Fn() -> UtcMs + Send + Sync>;

/// What a running source is given; cheap to clone.
#[derive(Clone)]
pub struct SourceContext {
    /// The source's name, on every record.
    pub name: SourceName,
    /// Where records go.
    pub intake: Arc<dyn Intake>,
    /// Whose records are.
    pub identity: Arc<dyn Identity>,
    /// The source's counters.
    pub stats: Arc<SourceStats>,
    /// The wall clock.
    pub clock: Clock,
}

impl SourceContext {
    /// The time now.
    #[must_use]
    pub fn now(&self) -> UtcMs {
        (self.clock)()
    }
}
