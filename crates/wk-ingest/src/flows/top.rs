//! The largest conversations of one exporter, in bounded memory, and exact totals.

use std::collections::HashMap;

use datasketches::frequencies::{ErrorType, FrequentItemsSketch};

use super::record::{Conversation, Flow};

/// How many conversations the sketch holds for each one that is shown.
const HELD_PER_SHOWN: usize = 16;
/// After how many periods a conversation is taken away that was not among the largest.
const IDLE_MAX: u32 = 15;

/// What one exporter has sent.
pub struct Talkers {
    top: usize,
    sketch: Option<FrequentItemsSketch<Conversation>>,
    /// Bytes of this period.
    period_bytes: u64,
    shown: HashMap<Conversation, Shown>,
    /// Everything since the start.
    pub totals: Totals,
}

/// Exact sums since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Flow records.
    pub records: u64,
    /// Bytes of all flows.
    pub bytes: u64,
    /// Packets of all flows.
    pub packets: u64,
    /// Bytes of conversations that are not shown by name.
    pub other_bytes: u64,
    /// Records that could not be read as flows.
    pub unreadable: u64,
    /// Messages or records that the exporter sent and that did not come.
    pub lost: u64,
}

/// A conversation that is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Bytes that are surely its own since it is shown.
    pub bytes: u64,
    /// Whether it was not shown in the last period.
    pub is_new: bool,
    idle: u32,
}

impl Talkers {
    /// Begins with nothing; `top` conversations are shown.
    pub fn new(top: usize) -> Self {
        Self { top, sketch: None, period_bytes: 0, shown: HashMap::new(), totals: Totals::default() }
    }

    fn empty_sketch(&self) -> Option<FrequentItemsSketch<Conversation>> {
        FrequentItemsSketch::new((self.top * HELD_PER_SHOWN).next_power_of_two().max(64)).ok()
    }

    /// Counts a flow.
    pub fn add(&mut self, flow: &Flow) {
        self.totals.records += 1;
        self.totals.bytes = self.totals.bytes.saturating_add(flow.bytes);
        self.totals.packets = self.totals.packets.saturating_add(flow.packets);
        self.period_bytes = self.period_bytes.saturating_add(flow.bytes);
        if let Some(conversation) = flow.conversation.filter(|_| flow.bytes > 0) {
            let mut sketch = self.sketch.take().or_else(|| self.empty_sketch());
            if let Some(sketch) = &mut sketch {
                sketch.update_with_count(conversation, flow.bytes);
            }
            self.sketch = sketch;
        }
    }

    /// Ends a period: the largest conversations get what is surely theirs, the rest goes to the others, so that all of
    /// them together are always the exact total.
    pub fn end_period(&mut self) {
        let mut rest = std::mem::take(&mut self.period_bytes);
        self.shown.retain(|_, shown| shown.idle < IDLE_MAX);
        for shown in self.shown.values_mut() {
            shown.idle += 1;
            shown.is_new = false;
        }
        let Some(sketch) = self.sketch.take() else {
            self.totals.other_bytes = self.totals.other_bytes.saturating_add(rest);
            return;
        };
        let mut largest = sketch.frequent_items_with_threshold(ErrorType::NoFalsePositives, 0);
        largest.sort_by(|a, b| b.lower_bound().cmp(&a.lower_bound()).then_with(|| a.item().cmp(b.item())));
        for row in largest.iter().take(self.top) {
            let fresh = Shown { bytes: 0, is_new: true, idle: 0 };
            self.shown.entry(*row.item()).or_insert(fresh).idle = 0;
        }
        for (conversation, shown) in &mut self.shown {
            let own = sketch.lower_bound(conversation).min(rest);
            shown.bytes = shown.bytes.saturating_add(own);
            rest -= own;
        }
        self.totals.other_bytes = self.totals.other_bytes.saturating_add(rest);
    }

    /// The conversations that are shown.
    pub fn shown(&self) -> impl Iterator<Item = (&Conversation, &Shown)> {
        self.shown.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn flow(host: u16, bytes: u64) -> Flow {
        let source = std::net::Ipv4Addr::from(0x0a00_0000 + u32::from(host)).into();
        let conversation = Conversation::new(source, "10.255.0.1".parse().unwrap(), 6, (443, 50_000));
        Flow { conversation: Some(conversation), bytes, packets: 1 }
    }

    #[test]
    fn the_largest_are_shown_and_the_rest_is_summed_up() {
        let mut talkers = Talkers::new(2);
        for (host, bytes) in [(1, 1_000), (2, 500), (3, 10), (4, 10)] {
            talkers.add(&flow(host, bytes));
        }
        talkers.end_period();
        let mut shown: Vec<u64> = talkers.shown().map(|(_, shown)| shown.bytes).collect();
        shown.sort_unstable();
        assert_eq!((shown, talkers.totals.other_bytes, talkers.totals.bytes), (vec![500, 1_000], 20, 1_520));
    }

    #[test]
    fn a_conversation_that_ends_is_taken_away() {
        let mut talkers = Talkers::new(1);
        talkers.add(&flow(1, 1));
        for period in 0..=IDLE_MAX {
            talkers.end_period();
            assert_eq!(talkers.shown().count(), 1, "{period}");
        }
        talkers.end_period();
        assert_eq!(talkers.shown().count(), 0);
    }

    #[test]
    fn a_heavy_one_is_found_among_very_many() {
        let mut talkers = Talkers::new(1);
        for host in 0..20_000_u16 {
            talkers.add(&flow(host, 100));
            talkers.add(&flow(60_000, 50));
        }
        talkers.end_period();
        let (conversation, shown) = talkers.shown().next().unwrap();
        assert_eq!(conversation.source, std::net::Ipv4Addr::from(0x0a00_0000_u32 + 60_000));
        assert!(shown.bytes <= 1_000_000 && shown.bytes > 500_000, "{}", shown.bytes);
        assert_eq!(shown.bytes + talkers.totals.other_bytes, 3_000_000);
    }

    proptest! {
        #[test]
        fn shown_and_others_are_the_total_while_none_goes(
            flows in proptest::collection::vec((0_u16..500, 0_u64..1_000_000, any::<bool>()), 0..600),
        ) {
            let mut talkers = Talkers::new(5);
            let mut periods = 0;
            for (host, bytes, ends) in flows {
                talkers.add(&flow(host, bytes));
                if ends && periods < IDLE_MAX {
                    talkers.end_period();
                    periods += 1;
                }
            }
            talkers.end_period();
            let shown: u64 = talkers.shown().map(|(_, shown)| shown.bytes).sum();
            prop_assert_eq!(shown + talkers.totals.other_bytes, talkers.totals.bytes);
            prop_assert!(talkers.shown().count() <= 5 * 17);
        }
    }
}
