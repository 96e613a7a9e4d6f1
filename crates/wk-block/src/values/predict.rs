//! Predictions: from the integers so far what the next one will be. What is stored is how far off they are.

/// Binary digits behind the point that a running mean has.
const FRACTION: u32 = 6;

/// What is predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The value.
    Value,
    /// The step from one value to the next.
    Step,
}

/// A prediction: a fixed number, or a running mean that moves by 1/2^n of each error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Predictor {
    pub(super) order: Order,
    /// `None` for a fixed number.
    pub(super) gain: Option<u32>,
}

/// Gains are 1, 1/2, 1/4 and 1/8.
const GAINS: u32 = 4;

impl Predictor {
    /// All that are tried, those first that win where several cost the same.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        let of = |order| [None, Some(0), Some(1), Some(2), Some(3)].map(|gain| Self { order, gain });
        of(Order::Value).into_iter().chain(of(Order::Step))
    }

    pub(super) const fn encode(self) -> u8 {
        let order = match self.order {
            Order::Value => 0,
            Order::Step => 8,
        };
        match self.gain {
            None => order,
            Some(gain) => order + 1 + gain as u8,
        }
    }

    pub(super) fn decode(code: u8) -> Option<Self> {
        let order = if code & 8 == 0 { Order::Value } else { Order::Step };
        let gain = u32::from(code & 7).checked_sub(1);
        (code < 16 && gain.is_none_or(|gain| gain < GAINS)).then_some(Self { order, gain })
    }

    /// Tells whether the first integer is stored by itself; else it has a residual as all others.
    pub(super) fn has_first(self) -> bool {
        self.order == Order::Step || self.gain.is_some()
    }

    /// Tells whether a seed is stored: what is predicted before anything is known.
    pub(super) fn has_seed(self) -> bool {
        self.gain.is_none() || self.order == Order::Step
    }

    /// How many residuals `count` integers have.
    pub(super) fn residuals(self, count: usize) -> usize {
        if self.has_first() { count.saturating_sub(1) } else { count }
    }

    /// Gives the residual of each integer to `take`, given a seed.
    pub(super) fn predict(self, integers: &[i64], seed: i64, mut take: impl FnMut(i64)) {
        let Some((first, rest)) = integers.split_first() else { return };
        match (self.order, self.gain) {
            (Order::Value, None) => integers.iter().for_each(|integer| take(integer.wrapping_sub(seed))),
            (Order::Value, Some(gain)) => {
                let mut mean = Mean::new(gain, *first);
                rest.iter().for_each(|integer| take(mean.residual(*integer)));
            }
            (Order::Step, None) => {
                integers.windows(2).for_each(|pair| take(pair[1].wrapping_sub(pair[0]).wrapping_sub(seed)));
            }
            (Order::Step, Some(gain)) => {
                let mut mean = Mean::unknown(gain, seed);
                integers.windows(2).for_each(|pair| take(mean.residual(pair[1].wrapping_sub(pair[0]))));
            }
        }
    }

    /// Turns residuals back into integers, in place; where there is a first integer it stands before the residuals.
    pub(super) fn restore(self, numbers: &mut [i64], seed: i64) {
        match (self.order, self.gain) {
            (Order::Value, None) => numbers.iter_mut().for_each(|number| *number = number.wrapping_add(seed)),
            (Order::Value, Some(gain)) => {
                let Some((first, rest)) = numbers.split_first_mut() else { return };
                let mut mean = Mean::new(gain, *first);
                rest.iter_mut().for_each(|number| *number = mean.restore(*number));
            }
            (Order::Step, None) => {
                let Some((first, rest)) = numbers.split_first_mut() else { return };
                let mut at = *first;
                for number in rest {
                    at = at.wrapping_add(seed).wrapping_add(*number);
                    *number = at;
                }
            }
            (Order::Step, Some(gain)) => {
                let Some((first, rest)) = numbers.split_first_mut() else { return };
                let (mut at, mut mean) = (*first, Mean::unknown(gain, seed));
                for number in rest {
                    at = at.wrapping_add(mean.restore(*number));
                    *number = at;
                }
            }
        }
    }
}

/// A running mean: the plain mean at first, from then on the newest counts for 1/2^`gain`.
struct Mean {
    gain: u32,
    seen: u32,
    /// With [`FRACTION`] digits.
    mean: i64,
    /// The mean, rounded: the prediction.
    next: i64,
}

impl Mean {
    const fn new(gain: u32, first: i64) -> Self {
        Self { gain, seen: 1, mean: first << FRACTION, next: first }
    }

    const fn unknown(gain: u32, seed: i64) -> Self {
        Self { gain, seen: 0, mean: 0, next: seed }
    }

    #[inline]
    fn residual(&mut self, number: i64) -> i64 {
        let residual = number.wrapping_sub(self.next);
        self.learn(number);
        residual
    }

    #[inline]
    fn restore(&mut self, residual: i64) -> i64 {
        let number = self.next.wrapping_add(residual);
        self.learn(number);
        number
    }

    #[inline]
    fn learn(&mut self, number: i64) {
        if self.gain == 0 {
            self.next = number;
            return;
        }
        let scaled = number << FRACTION;
        self.seen = (self.seen + 1).min(1 << self.gain);
        if self.seen == 1 {
            self.mean = scaled;
        } else {
            let shift = self.seen.ilog2();
            self.mean = self.mean.wrapping_add(scaled.wrapping_sub(self.mean) >> shift);
        }
        self.next = self.mean.wrapping_add(1 << (FRACTION - 1)) >> FRACTION;
    }
}
