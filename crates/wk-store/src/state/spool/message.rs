//! What stands in the spool.

use std::fmt;

use serde::{Deserialize, Serialize};
use wk_types::{IncidentId, Severity, UtcMs};

/// A message's number in the spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpoolId(pub i64);

impl fmt::Display for SpoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m{}", self.0)
    }
}

/// What a message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageClass {
    /// Something is wrong.
    Alert,
    /// Something is well again.
    Recovery,
}

impl MessageClass {
    /// The class's name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Recovery => "recovery",
        }
    }
}

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageState {
    /// It waits to be sent, for the first time or again.
    Queued,
    /// The next station took it.
    Delivered,
    /// It can never be delivered as it is; a person must look.
    Dead,
    /// A later message tells what it would have told.
    Superseded,
}

impl MessageState {
    /// The state's name in lower case.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
            Self::Superseded => "superseded",
        }
    }
}

/// A message on its way into the spool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// The key under which the spool takes it at most once; names no person.
    pub key: String,
    /// The address it goes to.
    pub recipient: String,
    /// The subject line.
    pub subject: String,
    /// The text.
    pub body: String,
    /// How bad what it tells is.
    pub severity: Severity,
    /// What it is about.
    pub class: MessageClass,
    /// The incident it is about.
    pub incident: Option<IncidentId>,
    /// Its `Message-ID`, the same at every attempt, without angle brackets.
    pub message_id: String,
    /// The `Message-ID` of the message it follows.
    pub in_reply_to: Option<String>,
    /// Waiting messages that it tells again in its own words.
    pub supersedes: Vec<SpoolId>,
}

/// A message of the spool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Its number.
    pub id: SpoolId,
    /// The key under which the spool took it.
    pub key: String,
    /// The address it goes to.
    pub recipient: String,
    /// The subject line.
    pub subject: String,
    /// The text.
    pub body: String,
    /// How bad what it tells is.
    pub severity: Severity,
    /// What it is about.
    pub class: MessageClass,
    /// The incident it is about.
    pub incident: Option<IncidentId>,
    /// Its `Message-ID` without angle brackets.
    pub message_id: String,
    /// The `Message-ID` of the message it follows.
    pub in_reply_to: Option<String>,
    /// Where it stands.
    pub state: MessageState,
    /// How often sending was tried.
    pub attempts: u32,
    /// When it was written.
    pub created: UtcMs,
    /// Not to be tried before.
    pub next_attempt: UtcMs,
    /// What the last failure said.
    pub error: Option<String>,
    /// When it was delivered, given up or superseded.
    pub finished: Option<UtcMs>,
    /// What the next station said when it took the message.
    pub receipt: Option<String>,
}

/// What a reader of the journal has to tell up to an entry.
#[derive(Debug, Clone, Default)]
pub struct SpoolBatch {
    /// The reader's cursor.
    pub reader: String,
    /// The last journal entry that was read.
    pub upto_entry: u64,
    /// What is to be told, in order.
    pub messages: Vec<NewMessage>,
    /// How many entries would have been told were they severe enough.
    pub untold: u64,
}

/// Which messages to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// In this state.
    pub state: Option<MessageState>,
    /// About this incident.
    pub incident: Option<IncidentId>,
    /// At most so many; 0 for [`ROWS_MAX`](crate::state::ROWS_MAX).
    pub limit: usize,
}

/// How the spool stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct SpoolCounts {
    /// Messages that wait.
    pub queued: u64,
    /// Messages that were delivered, as far as the ledger reaches back.
    pub delivered: u64,
    /// Messages that can never be delivered as they are.
    pub dead: u64,
    /// Messages that a later one tells.
    pub superseded: u64,
    /// When the oldest waiting message was written.
    pub oldest_queued: Option<UtcMs>,
    /// Entries that were not severe enough to be told, ever.
    pub untold: u64,
}
