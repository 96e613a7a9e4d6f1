//! The reader of the journal that decides who is told, and writes it into the spool.

use wk_store::state::{
    JournalEntry, Message, MessageFilter, MessageState, NewMessage, SpoolBatch, SpoolId, State, StateError,
};
use wk_types::{ErrorKind, Fact, FactBody, Incident, IncidentId, UtcMs};

use crate::compose::{Occasion, Subject, compose};
use crate::settings::MailSettings;

/// The reader's cursor over the journal.
pub const READER: &str = "notify";
/// Entries read at once.
const ENTRIES_MAX: usize = 200;
/// Messages of one incident that are looked at, the newest, to tell in one what still waits.
const LEDGER_MAX: usize = 1_000;

/// Why nothing could be told just now; nothing is lost by it.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The state could not be read or written.
    #[error("could not bring the journal's news into the mail spool")]
    State(#[from] StateError),
}

impl NotifyError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        match self {
            Self::State(error) => error.kind(),
        }
    }
}

/// What one run did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Told {
    /// Journal entries read.
    pub read: u64,
    /// Messages written into the spool.
    pub spooled: u64,
    /// Entries that were not severe enough to be told.
    pub untold: u64,
    /// Entries that could not be understood; an operator must look.
    pub unreadable: u64,
    /// Whether there is more to read at once.
    pub more: bool,
}

/// Reads the journal's next entries and writes what is to be told into the spool, in one transaction with the cursor.
///
/// # Errors
/// A state that cannot be read or written, or a spool that is full; the cursor then stays where it is.
pub fn run_once(state: &State, settings: &MailSettings, now: UtcMs) -> Result<Told, NotifyError> {
    let entries = state.journal_after(state.cursor(READER)?, ENTRIES_MAX)?;
    let Some(last) = entries.last() else { return Ok(Told::default()) };
    let mut told = Told { read: entries.len() as u64, more: entries.len() == ENTRIES_MAX, ..Told::default() };
    let mut batch = Batch { state, settings, messages: Vec::new() };
    for entry in &entries {
        match news_of(state, entry) {
            Ok(None) => {}
            Ok(Some(news)) if news.incident.severity < settings.severity_min => told.untold += 1,
            Ok(Some(news)) => batch.tell(&news)?,
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                // One entry that a future version wrote must not keep all later news from leaving.
                tracing::error!(entry = entry.entry, %error, "journal entry could not be told");
                told.unreadable += 1;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let (upto_entry, untold) = (last.entry, told.untold);
    let batch = SpoolBatch { reader: READER.to_owned(), upto_entry, messages: batch.messages, untold };
    told.spooled = state.spool(&batch, now)?;
    Ok(told)
}

/// Moves the cursor to the journal's end without telling anybody: for a node whose mail is not set up, so that setting
/// it up later does not send the past. Returns how many entries were passed over.
///
/// # Errors
/// A state that cannot be read or written.
pub fn pass_over(state: &State, now: UtcMs) -> Result<u64, NotifyError> {
    let mut passed = 0;
    loop {
        let entries = state.journal_after(state.cursor(READER)?, ENTRIES_MAX)?;
        let Some(last) = entries.last() else { return Ok(passed) };
        let is_news = |entry: &&JournalEntry| TOLD_KINDS.contains(&entry.kind.as_str());
        let untold = entries.iter().filter(is_news).count() as u64;
        let batch = SpoolBatch { reader: READER.to_owned(), upto_entry: last.entry, untold, ..SpoolBatch::default() };
        state.spool(&batch, now)?;
        passed += entries.len() as u64;
    }
}

/// The kinds of entry that somebody is told of.
const TOLD_KINDS: [&str; 4] = ["incident_opened", "incident_reopened", "incident_escalated", "incident_resolved"];

/// An entry that somebody is told of.
struct News {
    fact: Fact,
    incident: Incident,
}

fn news_of(state: &State, entry: &JournalEntry) -> Result<Option<News>, StateError> {
    if !TOLD_KINDS.contains(&entry.kind.as_str()) {
        return Ok(None);
    }
    let Some(fact) = entry.fact()? else { return Ok(None) };
    let incident = match &fact.body {
        FactBody::IncidentOpened { incident, .. }
        | FactBody::IncidentReopened { incident, .. }
        | FactBody::IncidentResolved { incident, .. } => incident.as_ref().clone(),
        FactBody::IncidentEscalated { incident, to, .. } => match state.incident(incident)? {
            // The tables may be ahead of this entry; what is told is how bad it was then.
            Some(detail) => Incident { severity: *to, ..detail.incident },
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    Ok(Some(News { fact, incident }))
}

/// `is_news`: nothing about the incident has reached the recipient yet.
fn occasion<'a>(body: &'a FactBody, is_news: bool) -> Occasion<'a> {
    match body {
        FactBody::IncidentReopened { .. } => Occasion::Reopened,
        FactBody::IncidentEscalated { from, to, .. } => Occasion::Escalated { from: *from, to: *to },
        FactBody::IncidentResolved { reason, command, .. } => {
            let by_hand = command.is_some();
            if is_news { Occasion::CameAndWent { reason, by_hand } } else { Occasion::Resolved { reason, by_hand } }
        }
        _ => Occasion::Opened,
    }
}

struct Batch<'a> {
    state: &'a State,
    settings: &'a MailSettings,
    messages: Vec<NewMessage>,
}

impl Batch<'_> {
    /// Writes one message per recipient. A resolved incident of which something still waits is told in one message in
    /// place of all that waits.
    fn tell(&mut self, news: &News) -> Result<(), StateError> {
        let id = &news.incident.id;
        let is_end = matches!(news.fact.body, FactBody::IncidentResolved { .. });
        let signals = self.state.incident(id)?.map(|detail| detail.signals).unwrap_or_default();
        let ledger = if is_end { self.ledger(id)? } else { Vec::new() };
        let vessel = self.state.vessel();
        for recipient in &self.settings.to {
            let to_them = |state: MessageState| {
                ledger.iter().filter(move |message| message.recipient == *recipient && message.state == state)
            };
            let supersedes: Vec<SpoolId> = to_them(MessageState::Queued).map(|message| message.id).collect();
            let before = self.messages.len();
            if is_end {
                self.messages
                    .retain(|message| message.recipient != *recipient || message.incident.as_ref() != Some(id));
            }
            let something_waits = !supersedes.is_empty() || self.messages.len() < before;
            let is_news = something_waits && to_them(MessageState::Delivered).next().is_none();
            let about = Subject {
                incident: &news.incident,
                signals: &signals,
                vessel: &vessel,
                console_url: &self.settings.console_url,
                at: news.fact.at,
            };
            let words = compose(occasion(&news.fact.body, is_news), &about);
            let person = self.state.person(recipient)?;
            let first = format!("{id}.{person}@{vessel}.watchkeeper");
            let is_first = matches!(news.fact.body, FactBody::IncidentOpened { .. });
            let key = news.fact.key();
            self.messages.push(NewMessage {
                key: format!("mail/{key}/{person}"),
                recipient: recipient.clone(),
                subject: words.subject,
                body: words.body,
                severity: news.incident.severity,
                class: words.class,
                incident: Some(id.clone()),
                message_id: if is_first { first.clone() } else { format!("{}.{first}", key.replace('/', "-")) },
                in_reply_to: (!is_first).then_some(first),
                supersedes,
            });
        }
        Ok(())
    }

    fn ledger(&self, incident: &IncidentId) -> Result<Vec<Message>, StateError> {
        let filter = MessageFilter { incident: Some(incident.clone()), limit: LEDGER_MAX, ..MessageFilter::default() };
        self.state.messages(&filter)
    }
}

#[cfg(test)]
pub(crate) mod tests;
