//! Whose a record is: the asset table, and the list of senders nobody knows.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use wk_ingest::{AssetTable, Attribution, Identity, Sender};
use wk_store::state::{State, StateError, UnknownSender};
use wk_types::{SourceName, UtcMs};

/// Most unknown senders remembered between two writes; further ones are counted under `(others)`.
const UNKNOWN_MAX: usize = 1_000;

/// Resolves senders by the asset table and notes the unknown ones.
#[derive(Debug)]
pub struct NodeIdentity {
    table: AssetTable,
    unknown: Mutex<BTreeMap<(String, String), Unknown>>,
}

#[derive(Debug)]
struct Unknown {
    reason: String,
    count: u64,
}

impl NodeIdentity {
    /// Makes it from the table that configuration and registry give.
    #[must_use]
    pub fn new(table: AssetTable) -> Self {
        Self { table, unknown: Mutex::default() }
    }

    /// Writes the unknown senders seen since the last call into the registry.
    ///
    /// # Errors
    /// A state database that cannot be written; the counts are then kept for the next call.
    pub fn flush(&self, state: &State, now: UtcMs) -> Result<(), StateError> {
        // Taken out before the disk is touched: sources must not wait for it.
        let seen = std::mem::take(&mut *self.unknown.lock().unwrap_or_else(PoisonError::into_inner));
        let rows: Vec<UnknownSender> = seen
            .iter()
            .map(|((source, sender), seen)| UnknownSender {
                sender: sender.clone(),
                source: source.clone(),
                reason: seen.reason.clone(),
                count: seen.count,
                first: now,
                last: now,
            })
            .collect();
        let written = state.note_unknown_all(&rows);
        if written.is_err() {
            let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
            for (key, kept) in seen {
                let entry = unknown.entry(key).or_insert_with(|| Unknown { reason: kept.reason, count: 0 });
                entry.count += kept.count;
            }
        }
        written
    }

    fn note(&self, source: &SourceName, sender: &Sender<'_>, reason: &str, items: u64) {
        let name = match (sender.claimed, sender.peer) {
            (Some(claimed), _) if !claimed.is_empty() => claimed.to_owned(),
            (_, Some(peer)) => peer.to_string(),
            _ => "(no name)".to_owned(),
        };
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        let mut key = (source.as_str().to_owned(), name);
        if unknown.len() >= UNKNOWN_MAX && !unknown.contains_key(&key) {
            "(others)".clone_into(&mut key.1);
        }
        unknown.entry(key).or_insert_with(|| Unknown { reason: reason.to_owned(), count: 0 }).count += items;
    }
}

impl Identity for NodeIdentity {
    fn resolve(&self, source: &SourceName, sender: &Sender<'_>) -> Attribution {
        let attribution = self.table.look_up(sender);
        if let Some(reason) = &attribution.unknown {
            self.note(source, sender, reason, 1);
        }
        attribution
    }

    fn came_again(&self, source: &SourceName, sender: &Sender<'_>, reason: &str, items: u64) {
        self.note(source, sender, reason, items);
    }
}
