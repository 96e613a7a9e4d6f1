//! What may be deleted, and the time that counts for it.

use std::sync::Arc;

use wk_types::{DurationMs, UtcMs};

use super::file::BlockFile;

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

/// The blocks to delete, given in the order they were written: those wholly older than `oldest_kept`, and the first ones
/// while all together are over `bytes_max`. The last one always stays, because the cursor is derived from it.
pub(super) fn expired(
    blocks: &[Arc<BlockFile>],
    oldest_kept: UtcMs,
    bytes_max: u64,
) -> (Vec<Arc<BlockFile>>, Vec<Arc<BlockFile>>) {
    let Some((_, deletable)) = blocks.split_last() else { return Default::default() };
    let (old, rest): (Vec<_>, Vec<_>) = deletable.iter().cloned().partition(|block| block.last < oldest_kept);
    let mut bytes =
        blocks.iter().map(|block| block.bytes).sum::<u64>() - old.iter().map(|block| block.bytes).sum::<u64>();
    let mut excess = Vec::new();
    for block in rest {
        if bytes <= bytes_max {
            break;
        }
        bytes -= block.bytes;
        excess.push(block);
    }
    (old, excess)
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
