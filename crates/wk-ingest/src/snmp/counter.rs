//! Counters of 32 bits, unfolded so that a wrap does not look like a restart.

/// Half of what a 32-bit counter holds: a step as large as this in one interval is a reset, not a wrap.
const HALF: u32 = 1 << 31;

/// One counter from poll to poll.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unfolded {
    last: Option<u32>,
    /// What the wraps so far add up to.
    base: u64,
}

impl Unfolded {
    /// The value without wraps: a counter that steps back by more than half of its range has wrapped, one that steps
    /// back by less has begun anew, and begins anew here too, which queries then see as a reset.
    pub fn next(&mut self, raw: u32) -> u64 {
        if let Some(last) = self.last.filter(|last| raw < *last) {
            let wrapped = raw.wrapping_sub(last) < HALF;
            self.base = if wrapped { self.base + (1 << 32) } else { 0 };
        }
        self.last = Some(raw);
        self.base + u64::from(raw)
    }

    /// Forgets what was, because the device says that the counter began anew.
    pub fn restart(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wrap_goes_on_and_a_reset_begins_anew() {
        let mut counter = Unfolded::default();
        let values = [4_294_967_000, 704, 1_000, 10].map(|raw| counter.next(raw));
        assert_eq!(values, [4_294_967_000, 4_294_968_000, 4_294_968_296, 10]);
    }

    #[test]
    fn a_device_that_began_anew_is_believed() {
        let mut counter = Unfolded::default();
        counter.next(4_294_967_000);
        counter.restart();
        assert_eq!(counter.next(5), 5);
    }

    proptest! {
        #[test]
        fn a_64_bit_counter_seen_through_32_bits_comes_back(
            first in any::<u32>(),
            steps in proptest::collection::vec(0_u32..HALF, 0..50),
        ) {
            let mut counter = Unfolded::default();
            let mut truth = u64::from(first);
            prop_assert_eq!(counter.next(first), truth);
            for step in steps {
                truth += u64::from(step);
                prop_assert_eq!(counter.next(truth as u32), truth);
            }
        }
    }
}
