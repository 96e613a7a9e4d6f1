//! How fast a device is asked: how long an answer is waited for, and how much is asked for at once. Both follow what the
//! device has shown it can do.

use std::time::Duration;

/// The shortest wait for an answer; a device may be busy for as long at any time.
const TIMEOUT_MIN: Duration = Duration::from_millis(250);
/// How many values one answer holds at most: as many usual ones fit the 1,472 bytes of an unfragmented datagram.
const VALUES_MAX: f64 = 60.0;
/// By how much more is asked for after a full answer.
const VALUES_STEP: f64 = 2.0;
/// How often a wait doubles within one request.
const DOUBLINGS_MAX: u32 = 3;
/// How much a new answer counts in the smoothed round trip (RFC 6298 section 2).
const ALPHA: f64 = 0.125;
/// How much it counts in the variation.
const BETA: f64 = 0.25;

/// The pace of one device.
#[derive(Debug, Clone)]
pub struct Pace {
    timeout_max: Duration,
    /// Smoothed round trip and its variation, in milliseconds.
    round_trip: Option<(f64, f64)>,
    /// How many values are asked for at once.
    values: f64,
}

impl Pace {
    /// Begins with a device of which nothing is known.
    pub const fn new(timeout_max: Duration) -> Self {
        Self { timeout_max, round_trip: None, values: 30.0 }
    }

    /// How long the answer to the given attempt (0 is the first) is waited for.
    pub fn timeout(&self, attempt: u32) -> Duration {
        let known = self.round_trip.map(|(smoothed, variation)| smoothed + 4.0 * variation);
        let usual = known.map_or(self.timeout_max, |ms| Duration::from_secs_f64(ms / 1e3));
        let floor = TIMEOUT_MIN.min(self.timeout_max);
        usual.saturating_mul(1 << attempt.min(DOUBLINGS_MAX)).clamp(floor, self.timeout_max)
    }

    /// How many rows are asked for at once where each has so many columns.
    pub fn rows(&self, columns: usize) -> u32 {
        ((self.values / columns.max(1) as f64) as u32).max(1)
    }

    /// How many single objects are asked for at once.
    pub fn objects(&self) -> usize {
        (self.values as usize).max(1)
    }

    /// Notes an answer.
    pub fn answered(&mut self, round_trip: Duration) {
        let ms = round_trip.as_secs_f64() * 1e3;
        self.round_trip = Some(match self.round_trip {
            None => (ms, ms / 2.0),
            Some((smoothed, variation)) => {
                (smoothed + ALPHA * (ms - smoothed), variation + BETA * ((ms - smoothed).abs() - variation))
            }
        });
        self.values = (self.values + VALUES_STEP).min(VALUES_MAX);
    }

    /// Notes that a request brought no answer, or that the answer was too big for the device; answers whether less can
    /// be asked for.
    pub fn too_much(&mut self) -> bool {
        let before = self.values;
        self.values = (self.values / 2.0).max(1.0);
        self.values < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAX: Duration = Duration::from_secs(2);

    #[test]
    fn a_quick_device_is_waited_for_less() {
        let mut pace = Pace::new(MAX);
        assert_eq!(pace.timeout(0), MAX);
        for _ in 0..20 {
            pace.answered(Duration::from_millis(5));
        }
        assert_eq!(pace.timeout(0), TIMEOUT_MIN);
        for _ in 0..20 {
            pace.answered(Duration::from_millis(400));
        }
        assert!(pace.timeout(0) > Duration::from_millis(400));
    }

    #[test]
    fn less_is_asked_for_after_a_failure_and_more_after_answers() {
        let mut pace = Pace::new(MAX);
        assert_eq!(pace.rows(10), 3);
        assert!(pace.too_much());
        assert_eq!((pace.rows(10), pace.objects()), (1, 15));
        for _ in 0..100 {
            pace.answered(Duration::from_millis(5));
        }
        assert_eq!((pace.rows(10), pace.objects()), (6, 60));
        while pace.too_much() {}
        assert_eq!((pace.rows(1), pace.objects()), (1, 1));
    }

    proptest! {
        #[test]
        fn waits_and_sizes_stay_within_their_bounds(
            steps in proptest::collection::vec((any::<bool>(), 0_u64..100_000), 0..200),
            attempt in any::<u32>(),
            max_ms in 50_u64..60_000,
        ) {
            let max = Duration::from_millis(max_ms);
            let mut pace = Pace::new(max);
            for (answered, ms) in steps {
                if answered { pace.answered(Duration::from_millis(ms)); } else { pace.too_much(); }
                prop_assert!(pace.timeout(attempt) <= max && pace.timeout(attempt) >= TIMEOUT_MIN.min(max));
                prop_assert!(pace.timeout(0) <= pace.timeout(1));
                prop_assert!((1..=60).contains(&pace.objects()) && (1..=60).contains(&pace.rows(1)));
            }
        }
    }
}
