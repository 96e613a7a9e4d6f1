//! The engine's sense of time.
//!
//! Ticks carry the wall clock, which may jump, and stop while the node is down. What must *hold* for a while (a rule's
//! `for`, a silence, the quiet after an incident) is measured in steady time instead: the sum of the steps between
//! ticks, in which a jump or a gap counts for nothing.

use serde::{Deserialize, Serialize};
use wk_types::{DurationMs, UtcMs};

/// A step between ticks longer than this, or backwards, is a stop of the node or a jump of its clock.
pub(crate) const STEP_MAX: DurationMs = DurationMs::from_secs(60);
/// After such a step nothing is concluded from missing data for this long, so that every source can speak first.
pub(crate) const SETTLING: DurationMs = DurationMs::from_secs(60);

/// The engine's clock, driven by ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Clock {
    last: Option<UtcMs>,
    steady: DurationMs,
    settled_from: DurationMs,
}

/// What a tick says about time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Step {
    /// How far the wall clock moved beyond what counts as steady; zero in the ordinary.
    pub(crate) gap: DurationMs,
    /// Whether missing data may be taken to mean something.
    pub(crate) settled: bool,
}

impl Clock {
    /// The time spent watching.
    pub(crate) const fn steady(&self) -> DurationMs {
        self.steady
    }

    /// Takes a tick.
    pub(crate) fn tick(&mut self, now: UtcMs) -> Step {
        let step = self.last.map_or(DurationMs(0), |last| now.since(last));
        self.last = Some(now);
        let ordinary = step.0 >= 0 && step <= STEP_MAX;
        if ordinary {
            self.steady = DurationMs(self.steady.0 + step.0);
        } else {
            self.settled_from = DurationMs(self.steady.0 + SETTLING.0);
        }
        Step { gap: if ordinary { DurationMs(0) } else { step }, settled: self.steady >= self.settled_from }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_and_jumps_count_for_nothing_and_are_settled_first() {
        let mut clock = Clock::default();
        let mut steady_after = |seconds: i64| {
            let step = clock.tick(UtcMs(seconds * 1_000));
            (clock.steady().0 / 1_000, step.gap.0 / 1_000, step.settled)
        };
        assert_eq!(steady_after(100), (0, 0, true));
        assert_eq!(steady_after(105), (5, 0, true));
        assert_eq!(steady_after(7_205), (5, 7_100, false));
        assert_eq!(steady_after(7_255), (55, 0, false));
        assert_eq!(steady_after(7_265), (65, 0, true));
        assert_eq!(steady_after(200), (65, -7_065, false));
    }
}
