//! The records written last, as they were handed in, so that readers which keep up read neither disk nor bytes.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use wk_types::{Body, IntakeRecord, Kinds, LogRecord, Seq, SeriesSamples};

/// How long a frame is kept after it was written: readers that are slower than this read from disk.
const AGE_MAX: Duration = Duration::from_secs(5);
/// What a series takes beside its samples: it shares its labels with the next records.
const SERIES_BYTES: usize = 80;
/// What a log message takes beside its texts.
const LOG_BYTES: usize = 192;
/// What an attribute takes beside its texts, which most often are shared.
const ATTRIBUTE_BYTES: usize = 64;

/// A frame's records.
struct Kept {
    /// The record written before the first of these.
    previous: Seq,
    last: Seq,
    holds: Kinds,
    bytes: usize,
    written: Instant,
    records: Vec<Arc<IntakeRecord>>,
}

/// The last frames, without a gap between them, oldest first.
pub(super) struct Recent {
    frames: VecDeque<Kept>,
    bytes: usize,
    bytes_max: usize,
}

/// What a reader wants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) after: Seq,
    pub(super) kinds: Kinds,
    pub(super) bytes_max: usize,
}

impl Recent {
    pub(super) const fn new(bytes_max: usize) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Takes in the records of a frame that is on disk, which was written after the record `previous`.
    pub(super) fn push(&mut self, previous: Seq, records: Vec<Arc<IntakeRecord>>) {
        let Some(last) = records.last().map(|record| record.seq) else { return };
        let written = Instant::now();
        let bytes = records.iter().map(|record| memory_bytes(&record.body)).sum();
        let holds = records.iter().fold(Kinds::NONE, |kinds, record| kinds.and(record.body.kind()));
        self.bytes += bytes;
        self.frames.push_back(Kept { previous, last, holds, bytes, written, records });
        let stale = |frame: &Kept| written.duration_since(frame.written) > AGE_MAX;
        while self.bytes > self.bytes_max || self.frames.front().is_some_and(stale) {
            let Some(oldest) = self.frames.pop_front() else { break };
            self.bytes -= oldest.bytes;
        }
    }

    /// What follows a record, and what to read after next time; `None` where that is not (or no longer) all here.
    pub(super) fn read(&self, wanted: &Wanted) -> Option<(Vec<Arc<IntakeRecord>>, Seq)> {
        let begin = self.frames.partition_point(|frame| frame.last <= wanted.after);
        let first = self.frames.get(begin).filter(|frame| frame.previous <= wanted.after)?;
        let (mut records, mut bytes, mut next) = (Vec::new(), 0, first.previous);
        for frame in self.frames.range(begin..) {
            next = frame.last;
            if frame.holds.meet(wanted.kinds) {
                let mine =
                    |record: &&Arc<IntakeRecord>| record.seq > wanted.after && record.body.kind().meet(wanted.kinds);
                records.extend(frame.records.iter().filter(mine).cloned());
                bytes += frame.bytes;
            }
            if bytes >= wanted.bytes_max {
                break;
            }
        }
        Some((records, next))
    }
}

/// About how many bytes of memory a body holds by itself.
fn memory_bytes(body: &Body) -> usize {
    match body {
        Body::Samples(series) => series.iter().map(series_bytes).sum(),
        Body::Logs(logs) => logs.iter().map(log_bytes).sum(),
        Body::Tick | Body::Command(_) => 0,
    }
}

const fn series_bytes(one: &SeriesSamples) -> usize {
    SERIES_BYTES + size_of::<wk_types::Sample>() * one.samples.len()
}

fn log_bytes(log: &LogRecord) -> usize {
    let attributes: usize = log.attributes.values().map(|value| ATTRIBUTE_BYTES + value.len()).sum();
    LOG_BYTES + log.app.len() + log.message.len() + attributes
}

#[cfg(test)]
mod tests {
    use super::*;
    use wk_types::UtcMs;

    fn ticks(seqs: std::ops::RangeInclusive<u64>) -> Vec<Arc<IntakeRecord>> {
        let tick = |seq| IntakeRecord { seq: Seq(seq), received: UtcMs(0), source: "t".into(), body: Body::Tick };
        seqs.map(|seq| Arc::new(tick(seq))).collect()
    }

    fn logs(seq: u64) -> Vec<Arc<IntakeRecord>> {
        let log = LogRecord {
            time: UtcMs(0),
            asset: "a".into(),
            app: "b".into(),
            severity: wk_types::Severity::Info,
            message: "x".repeat(1_000).into(),
            attributes: wk_types::Attributes::new(),
        };
        let body = Body::Logs([log].into());
        vec![Arc::new(IntakeRecord { seq: Seq(seq), received: UtcMs(0), source: "t".into(), body })]
    }

    fn read(recent: &Recent, after: u64, kinds: Kinds) -> Option<(Vec<u64>, u64)> {
        let wanted = Wanted { after: Seq(after), kinds, bytes_max: 1 << 20 };
        recent.read(&wanted).map(|(records, next)| (records.iter().map(|record| record.seq.0).collect(), next.0))
    }

    #[test]
    fn what_follows_a_record_is_handed_out_where_nothing_is_missing_before_it() {
        let mut recent = Recent::new(1 << 20);
        recent.push(Seq(4), ticks(5..=6));
        recent.push(Seq(6), ticks(9..=10));
        assert_eq!(read(&recent, 3, Kinds::ALL), None);
        assert_eq!(read(&recent, 4, Kinds::ALL), Some((vec![5, 6, 9, 10], 10)));
        assert_eq!(read(&recent, 5, Kinds::ALL), Some((vec![6, 9, 10], 10)));
        assert_eq!(read(&recent, 7, Kinds::ALL), Some((vec![9, 10], 10)));
        assert_eq!(read(&recent, 10, Kinds::ALL), None);
    }

    #[test]
    fn kinds_that_are_not_wanted_are_passed_over() {
        let mut recent = Recent::new(1 << 20);
        recent.push(Seq(0), ticks(1..=2));
        recent.push(Seq(2), logs(3));
        assert_eq!(read(&recent, 0, Kinds::LOGS), Some((vec![3], 3)));
        assert_eq!(read(&recent, 2, Kinds::SAMPLES), Some((vec![], 3)));
    }

    #[test]
    fn the_oldest_goes_where_the_bound_is_reached() {
        let mut recent = Recent::new(4_000);
        (1..=10).for_each(|seq| recent.push(Seq(seq - 1), logs(seq)));
        assert!(recent.bytes <= 4_000);
        assert_eq!(read(&recent, 5, Kinds::ALL), None);
        assert_eq!(read(&recent, 8, Kinds::ALL), Some((vec![9, 10], 10)));
    }
}
