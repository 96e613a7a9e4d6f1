//! The catalog: which segments there are, who has read how far, and what may be freed.

use std::collections::{BTreeMap, VecDeque};

use wk_types::{DurationMs, Seq, UtcMs};

use super::frame::Header;
use super::segment::Segment;
use super::{Damage, ReaderStats};

/// Places at which readers stopped that are kept, so that they go on without a search.
const POSITIONS_MAX: usize = 16;
/// Reports of damage that are kept, so that each is counted once however many readers come upon it.
const DAMAGE_KEPT_MAX: usize = 1_024;

/// Where a reader that has everything up to some record goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// The segment.
    pub(super) base: u64,
    /// The next frame to look at.
    pub(super) offset: u64,
    /// How many bytes of the segment count.
    pub(super) end: u64,
    /// The segment's last record.
    pub(super) last: Seq,
    /// The latest time of receipt in the segment.
    pub(super) received: Option<UtcMs>,
    /// Everything up to here has been freed, not lost.
    pub(super) freed: Seq,
}

/// When segments that all readers have passed are freed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Retention {
    pub(super) bytes_max: u64,
    pub(super) read_bytes_max: u64,
    pub(super) age_max: DurationMs,
}

/// What the log knows of itself.
#[derive(Debug)]
pub(super) struct Catalog {
    segments: VecDeque<Segment>,
    /// Whether the newest segment is being written.
    writing: bool,
    /// The seq that the next record gets.
    next: u64,
    /// The last record on disk.
    last: Seq,
    readers: BTreeMap<String, Seq>,
    readers_required: Vec<String>,
    positions: VecDeque<(Seq, u64, u64)>,
    read_failures: BTreeMap<Seq, u32>,
    damage: VecDeque<Damage>,
    pub(super) damaged_frames: u64,
    pub(super) damaged_records: u64,
    pub(super) freed_segments: u64,
}

impl Catalog {
    /// Starts with the segments found on disk, in order.
    pub(super) fn new(segments: VecDeque<Segment>, next: u64, readers_required: Vec<String>) -> Self {
        let last = segments.iter().map(|segment| segment.last).max().unwrap_or_default();
        Self {
            segments,
            writing: false,
            next,
            last,
            readers: BTreeMap::new(),
            readers_required,
            positions: VecDeque::new(),
            read_failures: BTreeMap::new(),
            damage: VecDeque::new(),
            damaged_frames: 0,
            damaged_records: 0,
            freed_segments: 0,
        }
    }

    /// The last record on disk.
    pub(super) const fn last(&self) -> Seq {
        self.last
    }

    /// The first record on disk.
    pub(super) fn first(&self) -> Option<Seq> {
        self.segments.iter().find_map(Segment::first)
    }

    pub(super) fn segments(&self) -> usize {
        self.segments.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    // What the writer does.

    /// Hands out seqs for `count` records; none of them is ever handed out again.
    pub(super) fn take_seqs(&mut self, count: u64) -> Seq {
        let first = Seq(self.next);
        self.next += count;
        first
    }

    /// A new segment is ready to be written.
    pub(super) fn begin_segment(&mut self, base: u64) {
        self.segments.push_back(Segment::new(base, self.last));
        self.writing = true;
    }

    /// How many bytes the segment has that is being written.
    pub(super) fn active_bytes(&self) -> u64 {
        self.segments.back().filter(|_| self.writing).map_or(0, |segment| segment.bytes)
    }

    /// Frames are on disk.
    pub(super) fn commit(&mut self, frames: &[Header]) {
        let newest = self.segments.back_mut().expect("the writer begins a segment before it commits to it");
        for frame in frames {
            let offset = newest.bytes;
            newest.add(frame, offset);
        }
        self.last = newest.last;
    }

    /// Nothing more is written to the newest segment.
    pub(super) fn end_segment(&mut self) {
        if let Some(newest) = self.segments.back_mut().filter(|_| self.writing) {
            newest.next = newest.next.max(self.next);
        }
        self.writing = false;
    }

    /// Forgets the newest segment where it is the segment `base` and holds nothing; answers whether it did.
    pub(super) fn drop_newest_if_empty(&mut self, base: u64) -> bool {
        let empty = self.segments.back().is_some_and(|segment| segment.base == base && segment.records == 0);
        if empty {
            self.segments.pop_back();
        }
        empty
    }

    /// The segments that are no longer written and have no index file yet.
    pub(super) fn unsealed(&self) -> Vec<Segment> {
        let ended = self.segments.len() - usize::from(self.writing);
        self.segments.iter().take(ended).filter(|segment| !segment.sealed).cloned().collect()
    }

    /// The index file of the segment `base` is on disk.
    pub(super) fn sealed(&mut self, base: u64) {
        if let Some(segment) = self.segments.iter_mut().find(|segment| segment.base == base) {
            segment.sealed = true;
        }
    }

    // What readers do.

    /// Enters a reader, or moves its cursor forward; answers what is missing where the reader has seen more than the
    /// log holds.
    pub(super) fn advance(&mut self, name: &str, cursor: Seq) -> Option<Damage> {
        let known = self.readers.entry(name.to_owned()).or_default();
        *known = cursor.max(*known);
        if cursor <= self.last {
            return None;
        }
        let missing = (self.last.next(), cursor);
        self.next = self.next.max(cursor.0 + 1);
        let segment = self.segments.back().map_or(0, |segment| segment.base);
        let what = format!("the newest records are missing: the reader {name} has seen them");
        Some(Damage { segment, frames: 0, records: Some(missing), received: None, what })
    }

    /// Each reader, how far it is, and how many records lie before it.
    pub(super) fn readers(&self) -> Vec<ReaderStats> {
        let before = |cursor: Seq| self.segments.iter().filter(move |segment| segment.last > cursor);
        let stats = |(name, cursor): (&String, &Seq)| ReaderStats {
            name: name.clone(),
            cursor: *cursor,
            lag_records: before(*cursor).map(|segment| segment.records_after(*cursor)).sum(),
            lag_bytes: before(*cursor).map(|segment| segment.bytes).sum(),
        };
        self.readers.iter().map(stats).collect()
    }

    /// Where to go on after the record `after`; `None` where nothing newer is on disk.
    pub(super) fn place(&self, after: Seq) -> Option<Place> {
        let at = self.segments.partition_point(|segment| segment.last <= after);
        let segment = self.segments.get(at)?;
        let freed = Seq(self.segments.front()?.base.saturating_sub(1));
        let kept = self.positions.iter().find(|kept| kept.0 == after && kept.1 == segment.base);
        let offset = kept.map_or_else(|| segment.offset_before(after.next()), |kept| kept.2);
        Some(Place {
            base: segment.base,
            offset,
            end: segment.bytes,
            last: segment.last,
            received: segment.received.map(|(_, to)| to),
            freed,
        })
    }

    /// Keeps in mind that the frame after the record `after` stands at `offset` of the segment `base`.
    pub(super) fn keep_position(&mut self, after: Seq, base: u64, offset: u64) {
        if self.positions.len() == POSITIONS_MAX {
            self.positions.pop_front();
        }
        self.positions.push_back((after, base, offset));
    }

    /// How often reading on after the record `seen` has failed.
    pub(super) fn read_failures(&self, seen: Seq) -> u32 {
        self.read_failures.get(&seen).copied().unwrap_or(0)
    }

    /// Reading on after the record `seen` has failed once more.
    pub(super) fn note_read_failure(&mut self, seen: Seq) {
        if self.read_failures.len() >= POSITIONS_MAX && !self.read_failures.contains_key(&seen) {
            self.read_failures.clear();
        }
        *self.read_failures.entry(seen).or_default() += 1;
    }

    /// Tells whether a segment is still in the log.
    pub(super) fn holds(&self, base: u64) -> bool {
        self.segments.iter().any(|segment| segment.base == base)
    }

    /// Counts damage, each report once.
    pub(super) fn note_damage(&mut self, damage: &Damage) {
        let within = |kept: &Damage| match (kept.records, damage.records) {
            (Some(kept), Some(new)) => kept.0 <= new.0 && new.1 <= kept.1,
            (None, None) => kept.segment == damage.segment && kept.what == damage.what,
            _ => false,
        };
        if self.damage.iter().any(within) {
            return;
        }
        tracing::warn!(
            segment = damage.segment,
            frames = damage.frames,
            records = damage.records_lost(),
            what = damage.what,
            "the intake log is damaged"
        );
        self.damaged_frames += damage.frames;
        self.damaged_records += damage.records_lost();
        if self.damage.len() == DAMAGE_KEPT_MAX {
            self.damage.pop_front();
        }
        self.damage.push_back(damage.clone());
    }

    // What retention does.

    /// Takes out the segments that may go, oldest first: all readers have passed them, and they are older or more
    /// than what is kept. The newest stays in any case, because the seqs go on from it.
    pub(super) fn take_free(&mut self, retention: &Retention) -> Vec<u64> {
        let now = self.segments.iter().filter_map(|segment| segment.written_at).max();
        let mut bytes = self.bytes();
        let mut read_bytes: u64 = self.read_segments().map(|segment| segment.bytes).sum();
        let needless = |oldest: &&Segment| {
            let age = now.zip(oldest.written_at).map_or(DurationMs(0), |(now, written)| now.since(written));
            let needless = oldest.records == 0
                || bytes >= retention.bytes_max
                || read_bytes > retention.read_bytes_max
                || age > retention.age_max;
            bytes -= oldest.bytes;
            read_bytes -= oldest.bytes;
            needless
        };
        let free: Vec<u64> = self.read_segments().take_while(needless).map(|segment| segment.base).collect();
        self.segments.drain(..free.len());
        self.freed_segments += free.len() as u64;
        free
    }

    /// The oldest segments, as far as all readers have passed them.
    fn read_segments(&self) -> impl Iterator<Item = &Segment> {
        let passed = self.passed();
        let older = self.segments.len().saturating_sub(1);
        self.segments
            .iter()
            .take(older)
            .take_while(move |segment| segment.records == 0 || passed.is_some_and(|passed| segment.last <= passed))
    }

    /// What all readers have passed; `None` while one of the required ones, or any at all, is missing.
    fn passed(&self) -> Option<Seq> {
        let complete = self.readers_required.iter().all(|name| self.readers.contains_key(name));
        self.readers.values().min().copied().filter(|_| complete)
    }
}

#[cfg(test)]
mod tests;
