//! Counters of one source, as the pipeline page shows them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use wk_types::{DurationMs, UtcMs};

/// How many different reasons are counted apart; further ones count as [`OTHER_REASON`].
pub const REASONS_MAX: usize = 32;
/// Under what the reasons beyond [`REASONS_MAX`] are counted.
pub const OTHER_REASON: &str = "other";
/// How many bytes of the last example are kept.
pub const EXAMPLE_BYTES_MAX: usize = 256;
/// How far behind its receipt an item's time may lie before it counts as late.
pub const LATE_AFTER: DurationMs = DurationMs::from_mins(10);

/// Counters of one source. An item is one log message or one sample.
#[derive(Debug, Default)]
pub struct SourceStats {
    received: AtomicU64,
    accepted: AtomicU64,
    bytes: AtomicU64,
    late: AtomicU64,
    last_received: AtomicI64,
    rejected: Reasons,
    lost: Reasons,
    flagged: Reasons,
}

#[derive(Debug, Default)]
struct Reasons(Mutex<BTreeMap<String, ReasonCount>>);

/// How often something happened for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReasonCount {
    /// How many items.
    pub count: u64,
    /// The last one of them, shortened; empty where there is nothing to show.
    pub example: String,
}

/// The counters at one instant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceSnapshot {
    /// Items that came in, whatever became of them.
    pub received: u64,
    /// Items acknowledged by the intake log.
    pub accepted: u64,
    /// Bytes that came in.
    pub bytes: u64,
    /// Items whose own time lay more than [`LATE_AFTER`] before their receipt.
    pub late: u64,
    /// When something last came in; `None` before the first time.
    pub last_received: Option<UtcMs>,
    /// Items that cannot be accepted, by reason.
    pub rejected: BTreeMap<String, ReasonCount>,
    /// Good items that could not be kept, by reason.
    pub lost: BTreeMap<String, ReasonCount>,
    /// Items kept although something about them was wrong, by reason.
    pub flagged: BTreeMap<String, ReasonCount>,
}

impl SourceStats {
    /// Counts items that came in.
    pub fn received(&self, items: u64, bytes: u64, at: UtcMs) {
        self.received.fetch_add(items, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.last_received.store(at.0, Relaxed);
    }

    /// Counts items that were made of what came in earlier.
    pub fn items(&self, items: u64) {
        self.received.fetch_add(items, Relaxed);
    }

    /// Counts items that the intake log acknowledged.
    pub fn accepted(&self, items: u64) {
        self.accepted.fetch_add(items, Relaxed);
    }

    /// Counts items whose own time lies more than [`LATE_AFTER`] before their receipt.
    pub fn late(&self, items: u64) {
        self.late.fetch_add(items, Relaxed);
    }

    /// Counts an item as late if its own time lies more than [`LATE_AFTER`] before its receipt.
    pub fn check_late(&self, time: UtcMs, received: UtcMs) {
        if received.since(time) > LATE_AFTER {
            self.late.fetch_add(1, Relaxed);
        }
    }

    /// Counts items that cannot be accepted.
    pub fn rejected(&self, reason: &str, items: u64, example: &str) {
        self.rejected.add(reason, items, example);
    }

    /// Counts good items that could not be kept.
    pub fn lost(&self, reason: &str, items: u64) {
        self.lost.add(reason, items, "");
    }

    /// Counts items that were kept although something about them was wrong.
    pub fn flagged(&self, reason: &str, items: u64, example: &str) {
        self.flagged.add(reason, items, example);
    }

    /// The counters as they stand.
    #[must_use]
    pub fn snapshot(&self) -> SourceSnapshot {
        let last_received = self.last_received.load(Relaxed);
        SourceSnapshot {
            received: self.received.load(Relaxed),
            accepted: self.accepted.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            late: self.late.load(Relaxed),
            last_received: (last_received != 0).then_some(UtcMs(last_received)),
            rejected: self.rejected.lock().clone(),
            lost: self.lost.lock().clone(),
            flagged: self.flagged.lock().clone(),
        }
    }
}

impl Reasons {
    fn add(&self, reason: &str, items: u64, example: &str) {
        if items == 0 {
            return;
        }
        let mut reasons = self.lock();
        let known = reasons.contains_key(reason) || reasons.len() < REASONS_MAX;
        let key = if known { reason } else { OTHER_REASON };
        let entry = reasons.entry(key.to_owned()).or_insert(ReasonCount { count: 0, example: String::new() });
        entry.count = entry.count.saturating_add(items);
        if !example.is_empty() {
            entry.example = shortened(example, EXAMPLE_BYTES_MAX).to_owned();
        }
    }

    /// Counters stay right whatever a panicking holder was doing, so a poisoned lock is taken as it is.
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, ReasonCount>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The longest prefix of at most `bytes_max` bytes that ends between two characters.
#[must_use]
pub fn shortened(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_beyond_the_bound_count_as_other() {
        let stats = SourceStats::default();
        for reason in 0..REASONS_MAX + 5 {
            stats.rejected(&format!("reason {reason}"), 2, "line");
        }
        let snapshot = stats.snapshot();
        assert_eq!(snapshot.rejected.len(), REASONS_MAX + 1);
        assert_eq!(snapshot.rejected[OTHER_REASON].count, 10);
    }

    #[test]
    fn the_last_example_stays_and_is_cut_between_characters() {
        let stats = SourceStats::default();
        stats.flagged("cut", 1, "first");
        stats.flagged("cut", 1, &"é".repeat(EXAMPLE_BYTES_MAX));
        stats.flagged("cut", 1, "");
        let cut = &stats.snapshot().flagged["cut"];
        assert_eq!((cut.count, cut.example.len()), (3, EXAMPLE_BYTES_MAX));
    }

    #[test]
    fn only_times_far_behind_their_receipt_are_late() {
        let stats = SourceStats::default();
        stats.check_late(UtcMs(0), UtcMs(LATE_AFTER.0));
        stats.check_late(UtcMs(0), UtcMs(LATE_AFTER.0 + 1));
        stats.check_late(UtcMs(i64::MAX), UtcMs(0));
        assert_eq!(stats.snapshot().late, 1);
    }

    #[test]
    fn nothing_received_has_no_last_time() {
        let stats = SourceStats::default();
        assert_eq!(stats.snapshot().last_received, None);
        stats.received(3, 100, UtcMs(7));
        let snapshot = stats.snapshot();
        assert_eq!((snapshot.received, snapshot.bytes, snapshot.last_received), (3, 100, Some(UtcMs(7))));
    }
}
