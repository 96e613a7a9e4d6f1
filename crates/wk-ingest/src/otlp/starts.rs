//! When senders began to count: a counter that began anew, and has already passed its old value, gets a zero in front.

use std::sync::{Mutex, PoisonError};

use wk_types::digest::Remembered;
use wk_types::{SeriesId, UtcMs};

/// How many series are remembered at least, if so many have come; twice as many at most.
const SERIES_KEPT: usize = 1 << 17;

/// Since when each series is counted. It is kept in memory alone: after a start of the node the first word of a sender
/// is taken as it is.
#[derive(Debug)]
pub struct Starts(Mutex<Remembered<SeriesId, Count>>);

/// The last that was heard of a count.
#[derive(Debug, Clone, Copy)]
struct Count {
    start: UtcMs,
    last: UtcMs,
}

impl Default for Starts {
    fn default() -> Self {
        Self(Mutex::new(Remembered::new(SERIES_KEPT)))
    }
}

impl Starts {
    /// Notes that a series, counted since `start`, was heard at `time`; answers when it began anew, if it did since the
    /// last time and a zero at that instant lies between the two.
    pub(super) fn begun_anew(&self, series: SeriesId, start: UtcMs, time: UtcMs) -> Option<UtcMs> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known.get(series).map(|(count, _)| *count);
        if before.is_none_or(|before| time > before.last) {
            known.insert(series, Count { start, last: time });
        }
        let before = before?;
        (start > before.start && start > before.last && start < time).then_some(start)
    }
}
