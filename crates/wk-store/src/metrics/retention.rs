//! What may be deleted, and the time that counts for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use wk_types::{DurationMs, Resolution, UtcMs};

use super::file::{BlockFile, Kind};
use crate::io::Space;

/// A step of the clock beyond this is a jump, not progress.
const JUMP: DurationMs = DurationMs::from_hours(1);
/// The same between the last samples of consecutive blocks, which are up to 2 h apart.
const JUMP_BETWEEN_BLOCKS: DurationMs = DurationMs::from_hours(3);

/// The newest time confirmed by monotonic progress. A clock that jumps ahead does not take it along: from then on it
/// moves only as far as the clock moves on in small steps, so that data is deleted late rather than early.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ConfirmedClock {
    confirmed: Option<UtcMs>,
    previous: Option<UtcMs>,
    held: bool,
}

impl ConfirmedClock {
    /// Derives the clock from the blocks' last times in the order they were written. The first ones are no base where
    /// they lie further ahead of the middle one than `age`: they were written under a clock that had jumped.
    pub(super) fn from_history(lasts: &[UtcMs], age: DurationMs) -> Self {
        let mut sorted = lasts.to_vec();
        sorted.sort_unstable();
        let mut clock = Self::default();
        if let Some(middle) = sorted.get(sorted.len() / 2) {
            for last in lasts.iter().skip_while(|last| **last > *middle + age) {
                clock.step(*last, JUMP_BETWEEN_BLOCKS);
            }
        }
        Self { previous: None, ..clock }
    }

    /// Notes what the wall clock says.
    pub(super) fn observe(&mut self, now: UtcMs) {
        self.step(now, JUMP);
    }

    fn step(&mut self, now: UtcMs, jump: DurationMs) {
        let progress = self.previous.map_or(DurationMs(0), |previous| now.since(previous));
        self.previous = Some(now);
        let Some(confirmed) = self.confirmed else {
            self.confirmed = Some(now);
            return;
        };
        self.held = now.since(confirmed) > jump;
        let small = progress.0 > 0 && progress <= jump;
        self.confirmed = Some(match self.held {
            true if small => confirmed + progress,
            true => confirmed,
            false => confirmed.max(now),
        });
    }

    /// A time source or a person says that `now` is right.
    pub(super) fn confirm(&mut self, now: UtcMs) {
        *self = Self { confirmed: Some(now), previous: Some(now), held: false };
    }

    /// The time that age counts from; `None` before the first observation.
    pub(super) const fn time(&self) -> Option<UtcMs> {
        self.confirmed
    }

    /// Tells whether the clock is ahead of what is confirmed.
    pub(super) const fn is_held(&self) -> bool {
        self.held
    }
}

/// The earliest times that are kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Oldest {
    pub(super) raw: UtcMs,
    pub(super) five_minutes: UtcMs,
    pub(super) hour: UtcMs,
}

/// What the files may take. A twentieth of the quota is kept free for what may never go: journal, spool and intake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room {
    /// Bytes of all files together.
    pub(super) bytes_max: u64,
    /// Bytes that the file system lacks.
    pub(super) lacking: u64,
}

impl Room {
    /// The room within `bytes_max` and `percent_max` hundredths of the file system, as far as that tells its room.
    pub(super) fn new(bytes_max: u64, percent_max: u8, space: Option<Space>) -> Self {
        let share = space.map(|space| space.total / 100 * u64::from(percent_max));
        let quota = share.map_or(bytes_max, |share| share.min(bytes_max));
        let reserve = quota / RESERVE_SHARE;
        let lacking = space.map_or(0, |space| reserve.saturating_sub(space.free));
        Self { bytes_max: quota - reserve, lacking }
    }
}

/// The share of the quota that is kept free.
const RESERVE_SHARE: u64 = 20;

/// Files of rollups, by the beginning of the stretch they sum up.
type Rollups = BTreeMap<(Resolution, UtcMs), Arc<BlockFile>>;
type Files = Vec<Arc<BlockFile>>;

/// The files to delete: those wholly older than `oldest`, and those for which there is no `room`. `raw` blocks come in
/// the order they were written, each with whether it is rolled up. For want of room the oldest go first: blocks that are
/// rolled up, then rollups of five minutes, then those of hours, then other blocks; where the file system alone lacks
/// room, only the first of these. Rollups of samples that are there stay, they would only be made again. The block from
/// which the cursor follows always stays.
pub(super) fn expired(raw: &[(Arc<BlockFile>, bool)], rollups: &Rollups, oldest: Oldest, room: Room) -> (Files, Files) {
    let carrier = raw.iter().filter(|(block, _)| block.kind == Kind::Normal).max_by_key(|(block, _)| block.seqs.1);
    let mut blocks: Vec<&(Arc<BlockFile>, bool)> =
        raw.iter().filter(|(block, _)| carrier.is_none_or(|(kept, _)| !Arc::ptr_eq(kept, block))).collect();
    let is_over = |file: &BlockFile| match file.kind {
        Kind::Rollup(Resolution::FiveMinutes) => file.last < oldest.five_minutes,
        Kind::Rollup(Resolution::Hour) => file.last < oldest.hour,
        _ => false,
    };
    // Samples whose rollups are still wanted wait until these are written.
    let is_old = |block: &BlockFile, rolled: bool| {
        block.samples == 0 || (block.last < oldest.raw && (rolled || block.last < oldest.five_minutes))
    };
    let old_blocks = blocks.iter().filter(|(block, rolled)| is_old(block, *rolled)).map(|(block, _)| block);
    let old: Files = old_blocks.chain(rollups.values().filter(|file| is_over(file))).cloned().collect();

    let all = raw.iter().map(|(block, _)| block).chain(rollups.values());
    let left = all.map(|file| file.bytes).sum::<u64>() - old.iter().map(|file| file.bytes).sum::<u64>();
    let over = left.saturating_sub(room.bytes_max);
    blocks.retain(|(block, rolled)| !is_old(block, *rolled));
    blocks.sort_by_key(|(block, rolled)| (!rolled, block.last));
    let rolled = blocks.partition_point(|(_, rolled)| *rolled);
    let mut excess = Files::new();
    let freed = give_up(blocks[..rolled].iter().map(|(block, _)| block), over.max(room.lacking), &mut excess);
    let is_spare =
        |file: &&Arc<BlockFile>| !is_over(file) && !raw.iter().any(|(block, _)| block.meets(file.first, file.last));
    // Their order is that of resolution, then of time.
    let rest = rollups.values().filter(is_spare).chain(blocks[rolled..].iter().map(|(block, _)| block));
    give_up(rest, over.saturating_sub(freed), &mut excess);
    (old, excess)
}

/// Adds as many of `files` to `excess` as have `over` bytes together; answers how many bytes they have.
fn give_up<'a>(files: impl Iterator<Item = &'a Arc<BlockFile>>, over: u64, excess: &mut Files) -> u64 {
    let mut freed = 0;
    for file in files {
        if freed >= over {
            break;
        }
        freed += file.bytes;
        excess.push(Arc::clone(file));
    }
    freed
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400_000;
    const HOUR: i64 = 3_600_000;
    const YEARS: i64 = 3_650 * DAY;

    #[test]
    fn small_steps_are_taken_along_at_once() {
        let mut clock = ConfirmedClock::default();
        for now in [0, 60_000, 30_000, HOUR] {
            clock.observe(UtcMs(now));
        }
        assert_eq!((clock.time(), clock.is_held()), (Some(UtcMs(HOUR)), false));
    }

    #[test]
    fn a_jump_ahead_is_not_taken_along_but_progress_after_it_is() {
        let mut clock = ConfirmedClock::default();
        for now in [0, YEARS, YEARS + 60_000, YEARS + 120_000] {
            clock.observe(UtcMs(now));
        }
        assert_eq!((clock.time(), clock.is_held()), (Some(UtcMs(120_000)), true));
        clock.observe(UtcMs(180_000));
        assert_eq!((clock.time(), clock.is_held()), (Some(UtcMs(180_000)), false));
    }

    #[test]
    fn a_confirmed_jump_counts() {
        let mut clock = ConfirmedClock::default();
        clock.observe(UtcMs(0));
        clock.observe(UtcMs(2 * DAY));
        clock.confirm(UtcMs(2 * DAY));
        assert_eq!((clock.time(), clock.is_held()), (Some(UtcMs(2 * DAY)), false));
    }

    #[test]
    fn history_skips_what_was_written_under_a_wrong_clock() {
        let times = |list: &[i64]| list.iter().map(|time| UtcMs(*time)).collect::<Vec<_>>();
        let check = |list: &[i64], expected: i64| {
            let clock = ConfirmedClock::from_history(&times(list), DurationMs(30 * DAY));
            assert_eq!(clock.time(), Some(UtcMs(expected)), "{list:?}");
        };
        check(&[0, 2 * HOUR, 4 * HOUR], 4 * HOUR);
        check(&[0, YEARS, YEARS + 2 * HOUR, 2 * HOUR, 4 * HOUR], 4 * HOUR);
        check(&[0, YEARS, YEARS + 2 * HOUR], 2 * HOUR);
        check(&[YEARS, 0, 2 * HOUR, 4 * HOUR], 4 * HOUR);
        // Two days off: what came after counts as progress, the two days do not.
        check(&[0, 2 * HOUR, 2 * DAY, 2 * DAY + 2 * HOUR], 4 * HOUR);
    }
}
