//! Whose word counts where several instruments give one quantity.

use std::collections::BTreeMap;

use wk_types::{DurationMs, UtcMs};

use crate::vessel::Quantity;

/// For how long a quantity stays with who gave it last, if a less preferred one speaks too.
const HOLD: DurationMs = DurationMs::from_secs(30);

/// Who gives each quantity now.
#[derive(Debug, Default)]
pub struct Preference {
    order: Vec<String>,
    holders: BTreeMap<Quantity, Holder>,
}

#[derive(Debug)]
struct Holder {
    name: String,
    rank: usize,
    heard: UtcMs,
}

impl Preference {
    /// Prefers those named first; among those not named, the one heard first is kept to while it speaks.
    #[must_use]
    pub const fn new(order: Vec<String>) -> Self {
        Self { order, holders: BTreeMap::new() }
    }

    /// Tells whether `name`'s word counts for a quantity: it is the most preferred one that still speaks.
    pub fn takes(&mut self, name: &str, quantity: Quantity, now: UtcMs) -> bool {
        let rank = self.order.iter().position(|one| one == name).unwrap_or(self.order.len());
        match self.holders.get_mut(&quantity) {
            Some(holder) if holder.name == name => holder.heard = now,
            Some(holder) if holder.rank <= rank && now.since(holder.heard) <= HOLD => return false,
            _ => {
                self.holders.insert(quantity, Holder { name: name.to_owned(), rank, heard: now });
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::NOW;

    #[test]
    fn the_preferred_one_that_speaks_counts() {
        let mut preference = Preference::new(vec!["GN".to_owned(), "GP".to_owned()]);
        let mut takes = |name, seconds: i64| preference.takes(name, Quantity::Latitude, UtcMs(NOW.0 + seconds * 1_000));
        let said = [takes("GL", 0), takes("GA", 1), takes("GP", 2), takes("GL", 3), takes("GN", 4), takes("GP", 20)];
        assert_eq!(said, [true, false, true, false, true, false]);
        // The preferred one has fallen silent.
        assert!(takes("GP", 40));
        assert!(!takes("GL", 41));
        assert!(takes("GN", 42));
    }
}
